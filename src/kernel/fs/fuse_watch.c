/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A watch begins: what is to be watched gets a shadow (fuse_shadow.c), a directory with all its names.
 *
 * The names must be there before the guest's watch is, for it would be told of them.  While they are read no guest can
 * change the directory (its lock is held); from then on each change is made in the shadow too.
 */
#include <linux/fcntl.h>
#include <linux/stat.h>
#include "fuse_conn.h"
#include "../path.h"

#define PIECE		(32u << 10)	/* of a directory, asked for at once */
#define NAMES_MOST	100000u		/* in one directory */
#define TYPE_DIR	4		/* DT_DIR; 0 is DT_UNKNOWN */

struct filling {
	struct fuse_node *dir;
	uint64_t fh, offset;
	uint32_t names;
	bool unopened;
};

static int fill_open(struct fuse_job *j, struct filling *f)
{
	struct fuse_open_in in = { .flags = O_RDONLY | O_DIRECTORY | O_LARGEFILE };
	struct fuse_open_out out = { 0 };
	struct fuse_req r;
	int err;

	f->unopened = j->c->can.no_opendir;
	if (f->unopened)
		return 0;
	fuse_req_init(&r, j, FUSE_OPENDIR, f->dir->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply(&r, &out, sizeof out);
	err = fuse_call(j, &r);
	f->unopened = err;
	f->fh = out.fh;
	return err == -ENOSYS && j->c->can.opendir_optional ? 0 : err;
}

static void fill_close(struct fuse_job *j, struct filling *f)
{
	struct fuse_release_in in = { .fh = f->fh, .flags = O_RDONLY | O_DIRECTORY | O_LARGEFILE };

	if (!f->unopened)
		fuse_call_plain(j, FUSE_RELEASEDIR, f->dir->nodeid, &in, sizeof in);
}

/* Many servers do not say what a name is. */
static int fill_name(struct fuse_job *j, struct filling *f, const struct fuse_dirent *d)
{
	bool is_dir = d->type == TYPE_DIR;
	int err = 0;

	if (d->name[0] == '.' && (d->namelen == 1 || (d->namelen == 2 && d->name[1] == '.')))
		return 0;
	if (++f->names > NAMES_MOST)
		return -ENOSPC;
	if (!d->type) {
		struct fuse_place p;

		p.dir = f->dir;
		p.node = NULL;
		p.len = d->namelen;
		memcpy(p.name, d->name, p.len);
		p.name[p.len] = 0;
		err = fuse_lookup(j, &p);
		if (err || !p.node)
			return err == -EINTR || err == -ENOMEM ? err : 0;
		is_dir = fuse_node_is(p.node, S_IFDIR);
		fuse_node_unpin(j->c, p.node);
	}
	err = fuse_shadow_name(j->c, f->dir, d->name, d->namelen, is_dir);
	return err == -ENAMETOOLONG ? 0 : err;
}

/* One READDIR: bytes of the reply, 0 at the end, or -errno. */
static long fill_piece(struct fuse_job *j, struct filling *f, uint8_t *buf)
{
	struct fuse_read_in in = {
		.fh = f->fh, .offset = f->offset, .size = PIECE, .flags = O_RDONLY | O_DIRECTORY | O_LARGEFILE,
	};
	const struct fuse_dirent *d;
	struct fuse_req r;
	uint32_t at = 0;
	long size;
	int err;

	if (in.size > j->c->can.max_read)
		in.size = j->c->can.max_read;
	fuse_req_init(&r, j, FUSE_READDIR, f->dir->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply_upto(&r, buf, in.size);
	err = fuse_call(j, &r);
	while (!err && (size = fuse_dirent(buf + at, r.reply_len - at, false, &d))) {
		if (size < 0)
			return size;
		f->offset = d->off;
		err = fill_name(j, f, d);
		at += (uint32_t)size;
	}
	return err ? err : r.reply_len && !at ? -EIO : (long)at;
}

static int fill(struct fuse_job *j, struct fuse_node *dir)
{
	struct filling f = { .dir = dir };
	uint8_t *buf = heap_alloc(PIECE);
	long n = -ENOMEM;

	if (buf)
		n = fill_open(j, &f);
	if (!n) {
		while ((n = fill_piece(j, &f, buf)) > 0)
			;
		fill_close(j, &f);
	}
	heap_free(buf);
	return (int)n;
}

static int watch_dir(struct fuse_job *j, struct fuse_node *n)
{
	int err;

	fuse_mutex_lock(j, &n->lock);
	err = n->removed ? -ENOENT : fuse_shadow_dir(j->c, n);
	if (!err && n->shadow != SHADOW_FULL)
		err = fill(j, n);
	if (!err && !n->removed) {
		fuse_shadow_keep(n, SHADOW_FULL);
		fuse_shadow_attach(j->c, n);
	}
	fuse_mutex_unlock(&n->lock);
	return err;
}

static int watch_file(struct fuse_job *j, struct fuse_node *n, const struct fuse_place *p)
{
	struct fuse_node *dir = p->dir ? p->dir : n->names ? n->names->parent : NULL;
	const char *name = p->dir ? p->name : n->names ? n->names->name : NULL;
	size_t len = p->dir ? p->len : n->names ? n->names->len : 0;
	int err = n == &j->c->root ? 0 : dir ? fuse_shadow_dir(j->c, dir) : -ENOENT;

	if (!err && dir)
		err = fuse_shadow_name(j->c, dir, name, len, false);
	if (err)
		return err;
	fuse_shadow_keep(n, SHADOW_SOME);
	fuse_shadow_attach(j->c, n);
	return 0;
}

int fuse_op_watch(struct fuse_job *j)
{
	struct fuse_place p;
	long n = fuse_walk(j, &p, 0);

	if (n)
		return (int)n;
	n = p.node->bad ? -EIO : fuse_may(j, p.node, MAY_READ);
	if (!n)
		n = fuse_shadow_begin(j->c, j->req.mode);
	if (!n) {
		fuse_clients_know_all(j->c);	/* what they have open is told of when it is closed */
		n = fuse_node_is(p.node, S_IFDIR) ? watch_dir(j, p.node) : watch_file(j, p.node, &p);
		if (!n)
			n = fuse_shadow_path(j->c, p.node, &p, (char *)j->shm->data, UM_PATH_MAX);
		fuse_shadow_end(j->c);
	}
	fuse_place_put(j, &p);
	if (n < 0)
		return (int)n;
	j->rep.size = (uint64_t)n;
	return 0;
}
