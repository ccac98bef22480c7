/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a path to a node, name by name, with the caches of fuse_node.c and LOOKUPs where they do not know.
 *
 * A walk starts at a node the client names and goes through real names only.  At ".." and at a symbolic
 * link that has to be followed it stops: the reply then tells the client how far it came and where the
 * link leads, and the client's resolver goes on, for only it knows what is mounted where.
 */
#include <linux/stat.h>
#include <linux/limits.h>
#include "fuse_conn.h"

/* ---- asking the server -------------------------------------------------------------------------------- */

static int lookup_ask(struct fuse_job *j, struct fuse_node *dir, const char *name, size_t len,
		      struct fuse_node **child)
{
	struct fuse_conn *c = j->c;
	struct fuse_entry_out e = { 0 };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_LOOKUP, dir->nodeid);
	fuse_req_arg(&r, name, len + 1);
	fuse_req_reply(&r, &e, fuse_entry_size(c));
	err = fuse_call(j, &r);
	/* what others changed here meanwhile may be newer than this answer: then believe it only now */
	bool raced = dir->changed > r.version;
	uint64_t until = raced ? 0 : err == -ENOENT ? fuse_absent_until(j, name, len) : fuse_entry_until(j, name, len, &e);
	if (err == -ENOENT || (!err && !e.nodeid)) {
		if (!raced)
			fuse_name_set(c, dir, name, len, NULL, until);
		return 0;
	}
	if (err)
		return err;
	if (e.nodeid == FUSE_ROOT_ID || !fuse_attr_ok(&e.attr))
		return -EIO;
	*child = fuse_node_get(j, &e, r.version);
	if (!*child)
		return -ENOMEM;
	if (fuse_node_is(*child, S_IFDIR) && fuse_node_below(dir, *child)) {
		fuse_node_unpin(c, *child);
		*child = NULL;
		return -ELOOP;		/* a directory within itself */
	}
	dir->advise_plus = true;
	if (!raced || !fuse_name_find(c, dir, name, len))
		fuse_name_set(c, dir, name, len, *child, until);
	return 0;
}

/* What the caches say.  0, -errno, or 1: the server has to be asked. */
static int lookup_cached(struct fuse_job *j, struct fuse_place *p)
{
	struct fuse_name *e;

	if (p->dir->bad)
		return -EIO;
	if (p->dir->removed)
		return -ENOENT;
	e = fuse_name_find(j->c, p->dir, p->name, p->len);
	if (!e || e->until <= j->now || (e->node && e->node->bad))
		return 1;
	if (e->node)
		p->node = fuse_node_pin(e->node);
	return 0;
}

int fuse_statfs(struct fuse_job *j, const struct fuse_node *n, struct fuse_kstatfs *st)
{
	struct fuse_statfs_out out = { 0 };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_STATFS, n->nodeid);
	fuse_req_reply(&r, &out, j->c->can.minor < 4 ? FUSE_COMPAT_STATFS_SIZE : sizeof out);
	err = fuse_call(j, &r);
	*st = out.st;
	return err;
}

/*
 * A name longer than any file system of the kernel's has.  The kernel's FUSE asks for it whatever the server says of its names in its answer to
 * STATFS, and fuse2fs damages its image then.  So it is asked for if that says so.
 */
static int long_name(struct fuse_job *j, const struct fuse_place *p)
{
	struct fuse_caps *can = &j->c->can;
	struct fuse_kstatfs st;

	if (!can->name_most) {
		int err = fuse_statfs(j, p->dir, &st);

		if (err && err != -ENOSYS)
			return err;
		can->name_most = err || st.namelen < NAME_MAX ? NAME_MAX : st.namelen;
	}
	return p->len > can->name_most ? -ENAMETOOLONG : 0;
}

int fuse_lookup(struct fuse_job *j, struct fuse_place *p)
{
	int r = lookup_cached(j, p);

	if (r <= 0)
		return r;
	r = p->len > NAME_MAX ? long_name(j, p) : 0;
	if (r)
		return r;
	p->fresh = true;
	return lookup_ask(j, p->dir, p->name, p->len, &p->node);
}

static int lookup(struct fuse_job *j, struct fuse_place *p)
{
	int r = lookup_cached(j, p);

	if (r <= 0)
		return r;
	fuse_mutex_share(j, &p->dir->lock);
	r = fuse_lookup(j, p);
	fuse_mutex_unshare(&p->dir->lock);
	return r;
}

int fuse_getattr(struct fuse_job *j, struct fuse_node *n, const struct fuse_handle *h, bool force)
{
	struct fuse_attr_out out = { 0 };
	struct fuse_getattr_in in = { 0 };
	struct fuse_req r;
	int err;

	if (n->bad)
		return -EIO;
	if (!force && n->attr_until > j->now)
		return 0;
	if (h && !h->unopened && fuse_node_is(n, S_IFREG) && !n->names) {	/* unlinked: only the handle is left */
		in.getattr_flags = FUSE_GETATTR_FH;
		in.fh = h->fh;
	}
	fuse_req_init(&r, j, FUSE_GETATTR, n->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply(&r, &out, fuse_attr_size(j->c));
	err = fuse_call(j, &r);
	if (err)
		return err;
	return fuse_node_told(j, n, &out, r.version);
}

/* ---- walking ------------------------------------------------------------------------------------------ */

struct walker {
	const char *path;	/* in the slot: may change under us, so it is read once, byte by byte */
	uint32_t len, at;
	bool last, dot, dotdot;
};

/* The next name into p->name.  1, 0 at the end, or -ENAMETOOLONG. */
static int next_name(struct walker *w, struct fuse_place *p)
{
	while (w->at < w->len && w->path[w->at] == '/')
		w->at++;
	if (w->at == w->len)
		return 0;
	for (p->len = 0; w->at < w->len; w->at++) {
		char ch = ((const volatile char *)w->path)[w->at];

		if (ch == '/' || !ch)
			break;
		if (p->len == UM_NAME_MOST)
			return -ENAMETOOLONG;
		p->name[p->len++] = ch;
	}
	p->name[p->len] = 0;
	if (!p->len)
		return -EINVAL;		/* a NUL within the path: no client of ours */
	w->dot = p->len == 1 && p->name[0] == '.';
	w->dotdot = p->len == 2 && p->name[0] == '.' && p->name[1] == '.';
	w->last = true;
	for (uint32_t i = w->at; i < w->len && w->last; i++)
		w->last = w->path[i] == '/';
	return 1;
}

/* The reply for a walk that stopped behind p->name in dir. */
static int stopped(struct fuse_job *j, const struct fuse_place *p, const char *target, size_t len)
{
	memcpy(j->shm->data, target, len);
	j->shm->data[len] = 0;
	j->rep.status = UM_WALK_LINK;
	j->rep.consumed = p->at;
	j->rep.node = p->dir->nodeid;
	j->rep.size = len;
	return FUSE_STOPPED;
}

/* What reading has changed, if it was read and that is anywhere noted: the access time. */
void fuse_link_read(struct fuse_job *j, struct fuse_node *n, int err)
{
	if (!err && !fuse_may_change(j))
		fuse_node_read(j->c, n);
}

static int stop_at_link(struct fuse_job *j, const struct fuse_place *p)
{
	char *target = heap_alloc(4096);
	struct fuse_req r;
	int err;

	if (!target)
		return -ENOMEM;
	fuse_req_init(&r, j, FUSE_READLINK, p->node->nodeid);
	fuse_req_reply_upto(&r, target, 4095);
	err = fuse_call(j, &r);
	fuse_link_read(j, p->node, err);
	if (!err)
		err = stopped(j, p, target, strlen(target));
	heap_free(target);
	return err;
}

static struct fuse_node *start_node(struct fuse_job *j, unsigned flags, int *err)
{
	const struct um_request *q = &j->req;
	uint64_t base = flags & WALK_SECOND ? q->base2 : q->base;
	uint32_t handle = flags & WALK_SECOND ? q->handle2 : q->handle;
	struct fuse_node *n;

	if (base) {
		n = fuse_node_find(j->c, base);
		*err = -ESTALE;
	} else {
		n = fuse_handle_node(j->c, handle);
		*err = -EBADF;
	}
	return n ? fuse_node_pin(n) : NULL;
}

static int walker_init(struct walker *w, struct fuse_job *j, unsigned flags)
{
	uint64_t from = 0, len = j->req.path_len;

	if (flags & WALK_SECOND) {
		from = len + 1;
		len = j->req.path2_len;
	}
	if (from + len >= UM_DATA_SIZE)
		return -EINVAL;
	*w = (struct walker){ .path = (const char *)j->shm->data + from, .len = (uint32_t)len };
	return 0;
}

/* May (and must) the link at the end of the path be followed? */
static bool follows(const struct fuse_job *j, unsigned flags)
{
	if (flags & (WALK_NOFOLLOW | WALK_SECOND))
		return false;
	return (j->req.walk & UM_WALK_FOLLOW) || ((j->req.walk & UM_WALK_DIR) && !(flags & WALK_NAME));
}

/* What was found, or not, behind p->name. */
static int found(struct fuse_job *j, const struct fuse_place *p, bool last, unsigned flags)
{
	if (!p->node)
		return last && (flags & WALK_NAME) ? 0 : -ENOENT;
	if (fuse_node_is(p->node, S_IFLNK) && (!last || follows(j, flags)))
		return flags & WALK_SECOND || j->req.walk & UM_WALK_NO_LINKS ? -ELOOP : stop_at_link(j, p);
	return 0;
}

/* One name further: p->dir (pinned) and p->name are known, p->node is found. */
static int step(struct fuse_job *j, struct fuse_place *p, const struct walker *w, unsigned flags)
{
	int r;

	if (!fuse_node_is(p->dir, S_IFDIR))
		return -ENOTDIR;
	r = fuse_may(j, p->dir, MAY_EXEC);
	if (r)
		return r;
	if (w->dotdot)
		return flags & WALK_SECOND ? -EINVAL : stopped(j, p, "..", 2);
	if (w->dot) {
		p->node = fuse_node_pin(p->dir);
		return 0;
	}
	if (w->last && (flags & WALK_PARENT))
		return 0;
	r = lookup(j, p);
	return r ? r : found(j, p, w->last, flags);
}

/* "name/" */
static int end_of_walk(const struct fuse_job *j, const struct fuse_place *p, unsigned flags)
{
	if (!(j->req.walk & UM_WALK_DIR) || (flags & (WALK_NAME | WALK_SECOND)) || !p->node)
		return 0;
	return fuse_node_is(p->node, S_IFDIR) ? 0 : -ENOTDIR;
}

int fuse_walk(struct fuse_job *j, struct fuse_place *p, unsigned flags)
{
	struct walker w;
	int r = walker_init(&w, j, flags);

	p->dir = p->node = NULL;
	p->len = 0;
	p->fresh = p->locked = false;
	if (!r)
		r = fuse_may_enter(j);
	if (r)
		return r;
	p->node = start_node(j, flags, &r);
	if (!p->node)
		return r;
	while ((r = next_name(&w, p)) > 0) {
		if (p->dir)
			fuse_node_unpin(j->c, p->dir);
		p->dir = p->node;
		p->node = NULL;
		p->fresh = false;
		p->at = w.at;
		r = step(j, p, &w, flags);
		if (r)
			break;
	}
	if (!r && w.dot && p->dir) {
		fuse_node_unpin(j->c, p->dir);
		p->dir = NULL;
	}
	if (!r)
		r = end_of_walk(j, p, flags);
	if (r)
		fuse_place_put(j, p);
	return r;
}

int fuse_walk_last(struct fuse_job *j, struct fuse_place *p, unsigned flags)
{
	int r = fuse_lookup(j, p);

	if (!r)
		r = found(j, p, true, flags);
	return r ? r : end_of_walk(j, p, flags);
}

void fuse_place_put(struct fuse_job *j, struct fuse_place *p)
{
	if (p->dir)
		fuse_node_unpin(j->c, p->dir);
	if (p->node)
		fuse_node_unpin(j->c, p->node);
	p->dir = p->node = NULL;
}

/* ---- new names ------------------------------------------------------------------------------------------ */

int fuse_created(struct fuse_job *j, struct fuse_place *p, const struct fuse_entry_out *e, uint32_t type,
		 uint64_t version, struct fuse_node **out)
{
	struct fuse_conn *c = j->c;
	struct fuse_node *n;

	fuse_node_changed(c, p->dir);
	if (!e->nodeid || e->nodeid == FUSE_ROOT_ID || !fuse_attr_ok(&e->attr) ||
	    (e->attr.mode & S_IFMT) != type) {
		fuse_name_drop_at(c, p->dir, p->name, p->len);
		return -EIO;
	}
	n = fuse_node_get(j, e, version);
	if (!n)
		return -ENOMEM;
	fuse_name_set(c, p->dir, p->name, p->len, n, fuse_entry_until(j, p->name, p->len, e));
	*out = n;
	return 0;
}
