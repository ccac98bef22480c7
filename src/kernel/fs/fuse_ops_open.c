/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening, creating and closing files.
 *
 * open(2) is a walk, then for what exists OPEN or OPENDIR (and a truncation, where the server does not do
 * it itself), for what does not CREATE, or MKNOD and OPEN where the server has no CREATE.
 */
#include <linux/stat.h>
#include <linux/mount.h>
#include "fuse_conn.h"

#define OPEN_TRIES	8
#define TMPFILE_BIT	(O_TMPFILE & ~O_DIRECTORY)

static uint32_t access_mask(uint32_t flags)
{
	uint32_t mask = (flags & O_ACCMODE) == O_RDONLY ? MAY_READ :
			(flags & O_ACCMODE) == O_WRONLY ? MAY_WRITE : MAY_READ | MAY_WRITE;

	return flags & O_TRUNC ? mask | MAY_WRITE : mask;
}

static int opened(struct fuse_job *j, struct fuse_handle *h)
{
	h->opening = false;
	if (!h->lazy && !(h->open_flags & O_PATH))
		fuse_poll_probe(j->c, h->node);
	fuse_offset_share(j->c, h);
	j->rep.handle = h->number;
	j->rep.open_reply = h->fopen | (fuse_needs_flush(j->c, h) ? 0 : UM_OPEN_QUIET);
	if (fuse_open_may_wait(j->c, h->node, O_RDONLY))
		fuse_clients_may_open(j->c, h->node);
	fuse_attr_out(j, h->node);
	fuse_handle_put(j, h);
	return 0;
}

/* It came to nothing: the number was never told to anybody. */
static int not_opened(struct fuse_job *j, struct fuse_handle *h, int err)
{
	h->dead = true;
	h->users--;
	fuse_release(j, h);
	return err;
}

/* ---- what exists --------------------------------------------------------------------------------------- */

/* May this kind of file be opened so?  In the kernel's order. */
static int kind_check(const struct fuse_job *j, const struct fuse_node *n, uint32_t flags)
{
	bool nodev = __atomic_load_n(&j->c->shm->mount_flags, __ATOMIC_RELAXED) & MS_NODEV;
	uint32_t type = n->attr.mode & S_IFMT;

	if (type == S_IFDIR && (flags & O_CREAT))
		return -EISDIR;
	if ((flags & O_DIRECTORY) && type != S_IFDIR)
		return -ENOTDIR;
	switch (type) {
	case S_IFLNK:
		return -ELOOP;
	case S_IFDIR:
		return access_mask(flags) & MAY_WRITE ? -EISDIR : 0;
	case S_IFCHR: case S_IFBLK:
		return nodev ? -EACCES : -ENXIO;	/* the devices of a file system are nobody's here */
	case S_IFSOCK:
		return -ENXIO;
	}
	return 0;
}

/* A server that has no OPEN (or OPENDIR) says ENOSYS: then files need none. */
static bool needs_none(struct fuse_caps *can, bool is_dir, int err)
{
	if (err == -ENOSYS && is_dir && can->opendir_optional)
		can->no_opendir = true;
	if (err == -ENOSYS && !is_dir && can->open_optional)
		can->no_open = true;
	return is_dir ? can->no_opendir : can->no_open;
}

static int send_open(struct fuse_job *j, struct fuse_handle *h, uint32_t flags)
{
	struct fuse_caps *can = &j->c->can;
	struct fuse_open_out out = { 0 };
	struct fuse_open_in in = { .flags = h->open_flags };
	struct fuse_req r;
	int err = 0;

	if (can->atomic_o_trunc)
		in.flags |= flags & O_TRUNC;
	if (!needs_none(can, h->is_dir, 0)) {
		fuse_req_init(&r, j, h->is_dir ? FUSE_OPENDIR : FUSE_OPEN, h->node->nodeid);
		fuse_req_arg(&r, &in, sizeof in);
		fuse_req_reply(&r, &out, sizeof out);
		err = fuse_call(j, &r);
	}
	if (needs_none(can, h->is_dir, err)) {
		h->fopen = FOPEN_KEEP_CACHE;
		return 0;
	}
	if (err)
		return err;
	h->unopened = false;
	h->fh = out.fh;
	h->fopen = out.open_flags;
	if ((h->open_flags & O_ACCMODE) == O_RDONLY) {
		h->node->fopen = h->fopen;
		h->node->opens = true;
	}
	if (!(h->fopen & (FOPEN_KEEP_CACHE | FOPEN_DIRECT_IO)) && !h->is_dir && !fuse_is_alone(j->c))
		fuse_pages_forget(j->c, h->node);
	return 0;
}

/* May OPEN be put off?  Not if its last name was just removed, or is being: who does that has opened what was lazy then (fuse_handles_open). */
bool fuse_open_may_wait(const struct fuse_conn *c, const struct fuse_node *n, uint32_t flags)
{
	if (n->lock.owner || (!n->names && n != &c->root))
		return false;
	if (!fuse_is_alone(c) || !n->opens || flags & (O_PATH | O_TRUNC | O_DIRECT) || (flags & O_ACCMODE) != O_RDONLY)
		return false;
	if (fuse_node_is(n, S_IFDIR))
		return fuse_dir_known(c, n);
	return fuse_node_is(n, S_IFREG) && !(n->fopen & FUSE_NO_PAGES) && !c->can.poll;
}

int fuse_late_open(struct fuse_job *j, struct fuse_handle *h)
{
	int err = 0;

	if (!h->lazy)
		return 0;
	fuse_mutex_lock(j, &h->late);
	if (h->lazy) {
		err = send_open(j, h, 0);
		h->lazy = err;
	}
	fuse_mutex_unlock(&h->late);
	return err;
}

/* OPEN with O_TRUNC: nobody writes, nor is what was stored by a mapping written, meanwhile. */
static int open_truncated(struct fuse_job *j, struct fuse_handle *h, uint32_t flags)
{
	struct fuse_node *n = h->node;
	bool by_server = j->c->can.atomic_o_trunc && !j->c->can.no_open;
	int err;

	if (!by_server) {
		err = send_open(j, h, flags);
		return err ? err : fuse_truncate(j, n, 0);
	}
	fuse_mutex_lock(j, &n->lock);
	err = send_open(j, h, flags);
	by_server = !j->c->can.no_open;
	if (!err && by_server) {
		n->attr.size = 0;
		fuse_map_truncated(n, 0);
		fuse_node_changed(j->c, n);
		fuse_pages_forget(j->c, n);
	}
	fuse_mutex_unlock(&n->lock);
	return err || by_server ? err : fuse_truncate(j, n, 0);
}

/* From here on the file exists and may be opened. */
static int open_node(struct fuse_job *j, struct fuse_node *n, uint32_t flags)
{
	struct fuse_handle *h = fuse_handle_new(j, n);
	int err;

	if (!h)
		return -ENOMEM;
	h->unopened = true;
	h->lazy = fuse_open_may_wait(j->c, n, flags);
	if (h->lazy)
		h->fopen = n->fopen;
	if (flags & O_TRUNC && fuse_node_is(n, S_IFREG))
		err = open_truncated(j, h, flags);
	else
		err = flags & O_PATH || h->lazy ? 0 : send_open(j, h, flags);
	return err ? not_opened(j, h, err) : opened(j, h);
}

static int open_existing(struct fuse_job *j, struct fuse_place *p, uint32_t flags)
{
	struct fuse_node *n = p->node;
	int err;

	if (n->bad)
		return -EIO;
	if (flags & O_PATH)
		return (flags & O_DIRECTORY) && !fuse_node_is(n, S_IFDIR) ? -ENOTDIR :
		       open_node(j, n, flags & (O_PATH | O_DIRECTORY));
	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if ((flags & O_CREAT) && (j->req.walk & UM_WALK_DIR))
		return -EISDIR;
	err = kind_check(j, n, flags);
	if (!err && (access_mask(flags) & MAY_WRITE) && !fuse_node_is(n, S_IFIFO))
		err = fuse_may_change(j);
	if (!err)
		err = fuse_may(j, n, (int)access_mask(flags));
	if (!err && (flags & O_NOATIME) && fuse_checks(j->c) && j->req.uid && j->req.uid != n->attr.uid)
		err = -EPERM;
	if (!err && fuse_node_is(n, S_IFIFO))
		return fuse_open_fifo(j, n);
	return err ? err : open_node(j, n, flags);
}

/* ---- what does not ------------------------------------------------------------------------------------- */

uint32_t fuse_new_mode(const struct fuse_job *j)
{
	uint32_t mode = j->req.mode & 07777;

	return j->c->can.dont_mask ? mode : mode & ~j->req.umask;
}

/* CREATE and TMPFILE: two structures in one reply, the first shorter from old servers. */
struct create_out {
	struct fuse_entry_out entry;
	struct fuse_open_out open;
};

static int send_create(struct fuse_job *j, uint32_t opcode, struct fuse_place *p, const char *name,
		       struct create_out *out, uint64_t *version)
{
	struct fuse_conn *c = j->c;
	struct fuse_create_in in = {
		.flags = (j->req.open_flags & ~(uint32_t)(O_NOCTTY | O_CLOEXEC)) | O_LARGEFILE,
		.mode = S_IFREG | fuse_new_mode(j), .umask = j->req.umask,
	};
	uint8_t raw[sizeof *out] = { 0 };
	size_t entry = fuse_entry_size(c);
	struct fuse_node *dir = p->node ? p->node : p->dir;	/* TMPFILE: in what the path leads to */
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, opcode, dir->nodeid);
	fuse_req_arg(&r, &in, c->can.minor < 12 ? sizeof(struct fuse_open_in) : sizeof in);
	fuse_req_arg(&r, name, strlen(name) + 1);
	fuse_req_reply(&r, raw, entry + sizeof out->open);
	err = fuse_call(j, &r);
	memset(out, 0, sizeof *out);
	memcpy(&out->entry, raw, entry);
	memcpy(&out->open, raw + entry, sizeof out->open);
	*version = r.version;
	return err;
}

/* What the server has opened for nothing. */
static int give_back(struct fuse_job *j, uint64_t nodeid, const struct fuse_open_out *out)
{
	struct fuse_release_in in = { .fh = out->fh, .flags = j->req.open_flags };

	fuse_call_plain(j, FUSE_RELEASE, nodeid, &in, sizeof in);
	return -ENOMEM;
}

/* A handle for what CREATE made and opened.  Takes the caller's pin of n. */
static int open_created(struct fuse_job *j, struct fuse_node *n, const struct fuse_open_out *out)
{
	struct fuse_handle *h = fuse_handle_new(j, n);
	int err;

	if (h) {
		h->fh = out->fh;
		h->fopen = out->open_flags;
		j->rep.created = 1;
		err = opened(j, h);
	} else {
		err = give_back(j, n->nodeid, out);
	}
	fuse_node_unpin(j->c, n);
	return err;
}

static int create_by_mknod(struct fuse_job *j, struct fuse_place *p, uint32_t flags)
{
	int err = fuse_mknod(j, p, S_IFREG | fuse_new_mode(j), 0);

	if (err)
		return err;
	err = open_node(j, p->node, flags & ~(uint32_t)(O_CREAT | O_EXCL | O_TRUNC));
	j->rep.created = !err;
	return err;
}

static int create_may(struct fuse_job *j, struct fuse_place *p, uint32_t flags)
{
	int err = fuse_may_change(j);

	if (j->req.walk & UM_WALK_DIR)
		return -EISDIR;
	if (flags & O_DIRECTORY)
		return -EINVAL;
	return err ? err : fuse_may(j, p->dir, MAY_WRITE | MAY_EXEC);
}

static int open_new(struct fuse_job *j, struct fuse_place *p, uint32_t flags)
{
	struct fuse_caps *can = &j->c->can;
	struct fuse_node *n = NULL;
	struct create_out out;
	uint64_t version;
	int err = create_may(j, p, flags);

	if (err)
		return err;
	if (can->no_create)
		return create_by_mknod(j, p, flags);
	err = send_create(j, FUSE_CREATE, p, p->name, &out, &version);
	if (err == -ENOSYS) {
		can->no_create = true;
		return create_by_mknod(j, p, flags);
	}
	if (err)
		return err;
	err = fuse_created(j, p, &out.entry, S_IFREG, version, &n);
	if (err == -ENOMEM)
		return give_back(j, out.entry.nodeid, &out.open);
	if (err)
		return err;
	fuse_shadow_made(j->c, p, n);
	return open_created(j, n, &out.open);
}

/* O_TMPFILE: a file without a name in the directory p. */
static int open_tmpfile(struct fuse_job *j, struct fuse_place *p, uint32_t flags)
{
	struct fuse_caps *can = &j->c->can;
	struct fuse_node *n;
	struct create_out out;
	uint64_t version;
	int err;

	if (!fuse_node_is(p->node, S_IFDIR))
		return -ENOTDIR;
	if (!(access_mask(flags) & MAY_WRITE))
		return -EINVAL;
	err = fuse_may_change(j);
	if (!err)
		err = fuse_may(j, p->node, MAY_WRITE | MAY_EXEC);
	if (!err)
		err = can->no_tmpfile ? -ENOSYS : send_create(j, FUSE_TMPFILE, p, "/", &out, &version);
	if (err == -ENOSYS)
		can->no_tmpfile = true;
	if (err)
		return err == -ENOSYS ? -EOPNOTSUPP : err;
	if (!out.entry.nodeid || out.entry.nodeid == FUSE_ROOT_ID || !fuse_attr_ok(&out.entry.attr))
		return -EIO;
	n = fuse_node_get(j, &out.entry, version);
	return n ? open_created(j, n, &out.open) : give_back(j, out.entry.nodeid, &out.open);
}

/* *gone: what the walk has found was not there any more when it was to be opened. */
static int open_once(struct fuse_job *j, uint32_t flags, bool creates, bool *gone)
{
	struct fuse_place p;
	int err;

	*gone = false;
	err = creates ? fuse_change_begin(j, &p, WALK_NAME) : fuse_walk(j, &p, 0);
	if (err)
		return err;
	if (p.node)			/* it exists: nothing is going to be changed */
		fuse_change_unlock(&p);
	*gone = p.node && p.dir;
	if (!p.node)
		err = open_new(j, &p, flags);
	else if ((flags & TMPFILE_BIT) && !(flags & O_PATH))
		err = open_tmpfile(j, &p, flags);
	else
		err = open_existing(j, &p, flags);
	if (!err && !(flags & O_PATH))
		fuse_shadow_opened(j->c, j->rep.handle, &p, flags & O_TRUNC && !j->rep.created);
	*gone = *gone && (err == -ESTALE || (err == -ENOENT && creates));
	if (*gone)
		fuse_name_drop_at(j->c, p.dir, p.name, p.len);
	fuse_change_end(j, &p);
	return err;
}

/* As the kernel does with ESTALE it begins anew, also where a file that need not exist has just lost its name. */
int fuse_op_open(struct fuse_job *j)
{
	uint32_t flags = j->req.open_flags;
	bool creates = (flags & O_CREAT) && !(flags & O_PATH), gone;
	int tries = 0, err;

	if (flags & O_PATH)
		j->req.open_flags = flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	do
		err = open_once(j, flags, creates, &gone);
	while (gone && ++tries < OPEN_TRIES);
	return err;
}

/* ---- closing -------------------------------------------------------------------------------------------- */

/*
 * The guest waits for FLUSH only, whose result is that of close(2); the release comes after the answer,
 * as in the kernel.
 */
int fuse_op_closed(struct fuse_job *j)
{
	struct fuse_handle *h = fuse_handle_get(j);
	int err;

	if (!h)
		return fuse_handle_finished(j);	/* we have seen that nobody has it open any more before we were told */
	err = fuse_map_sync(j, h->node);
	if (!err)
		err = fuse_flush(j, h);
	h->mature = true;
	if (!(j->req.open_flags & UM_CLOSED_QUIET))	/* else another thread may have set one since */
		fuse_locks_drop(j->c, h->node, FUSE_OWNER_PROCESS | j->req.tgid);
	if (h->dead || fuse_handle_locked(j->c, h)) {
		fuse_handle_put(j, h);
		return err;
	}
	h->dead = true;
	j->rep.error = err;
	if (h->users > 1) {		/* another call is under way: the last one has it released */
		fuse_handle_put(j, h);
		return err;
	}
	fuse_shadow_closed(j->c, h);
	fuse_job_answer(j);
	fuse_release(j, h);
	return err;
}
