/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what a walk has found to a struct where for the operation, and back again when the operation has
 * met a link.  See path_walk.c for the whole.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "path_walk.h"
#include "fs/proc.h"

void where_native(struct where *w)
{
	w->fs = &real_fs;
	w->fast = false;
	w->dir_mode = 0;		/* the walk ended somewhere before */
	w->proc.what = PROC_NONE;
	w->cow = 0;
	w->moved = w->nested = false;
	w->last = LAST_NAME;
	w->read_only = w->kept = false;
	w->state = STATE_RAW;
}

void where_file(struct where *w, struct file *f)
{
	long n = file_path(w->t, f, w->path, sizeof(w->path));

	if (n < 0)
		n = 0;
	w->path[n] = 0;
	w->len = w->rest = (size_t)n;
	w->fs = &remote_fs;
	w->fast = false;
	w->base = 0;
	w->handle = f->handle;
	w->node = f->node;
	w->walk = 0;
	w->last = LAST_NAME;
	w->trailing = false;
	w->read_only = f->flags & FILE_RDONLY;
	if (view_mount_by_id(w->t, f->mount, &w->mount, NULL, 0))
		w->mount = (struct mount) { .id = f->mount, .kind = UM_MOUNT_REMOTE, .is_dir = 1 };
	w->mount.server = f->server;
	file_get(f);
	w->file = f;
}

/* ---- from a walk to a place ----------------------------------------------------------------------- */

static void copy_bind(struct walk *k)
{
	struct where *w = k->w;

	const struct place *p = &k->place;

	w->nested = p->nested;
	if (p->top.id && p->cow && !p->cow_bound) {	/* there is more in front of the tree that it is in */
		w->moved = true;
		w->bind = w->bound = 0;
		w->read_only = w->kept = false;
		return;
	}
	w->moved = place_is_moved(p) || p->cow_bound;
	w->bind = p->nested || (w->moved && !p->cow_bound) ? 0 : p->bind;
	w->bound = w->bind && !p->cow_bound ? (uint32_t)p->back_len : 0;
	w->read_only = k->place.read_only;
	w->kept = k->place.kept;
}

/* The backing path into w->path; "/" for the root. */
static int copy_path(struct walk *k)
{
	struct where *w = k->w;
	size_t len;
	const char *path = walk_backing(k, &len);

	if (len + 3 > sizeof(w->path))		/* room for "/." */
		return -ENAMETOOLONG;
	memcpy(w->path, path, len);
	if (!len)
		w->path[len++] = '/';
	w->path[len] = 0;
	w->len = len;
	copy_bind(k);
	return 0;
}

static long finish_remote(struct walk *k)
{
	struct where *w = k->w;
	const struct place *p = &k->place;
	bool entry = k->flags & WHERE_ENTRY;
	int r = copy_path(k);

	if (r)
		return r;
	if (w->trailing && walk_at_root(k) && !p->m.is_dir)
		return -ENOTDIR;
	w->fs = &remote_fs;
	w->fast = false;
	w->proc.what = PROC_NONE;
	w->mount = p->m;
	w->base = p->handle ? 0 : p->base;
	w->handle = p->handle;
	w->node = p->handle ? p->handle_node : p->base;
	w->rest = walk_rest_offset(p, w->path, w->len);
	w->walk = w->trailing ? UM_WALK_DIR : 0;
	if (!entry && (w->trailing || !(k->flags & WHERE_NOFOLLOW)))
		w->walk |= UM_WALK_FOLLOW;
	if (k->flags & WHERE_NO_LINKS)
		w->walk |= UM_WALK_NO_LINKS;
	w->state = STATE_LINK;
	return 0;
}

/* What the end of the guest's path said must not be lost with it. */
static void keep_end(struct where *w)
{
	if (w->last == LAST_DOT || w->last == LAST_DOTDOT) {
		if (w->path[w->len - 1] != '/')
			w->path[w->len++] = '/';
		w->path[w->len++] = '.';
	} else if (w->trailing && w->path[w->len - 1] != '/') {
		w->path[w->len++] = '/';
	}
	w->path[w->len] = 0;
}

static long finish_real(struct walk *k)
{
	struct where *w = k->w;
	size_t len;
	const char *path = walk_backing(k, &len);
	int r;

	w->fs = &real_fs;
	w->fuse_device = !w->trailing && len == 9 && !memcmp(path, "/dev/fuse", 9);
	if (w->fuse_device)
		w->fs = fuse_node_fs();
	else if (w->proc.what)
		w->fs = proc_fs();
	if (w->fs != &real_fs)
		k->cacheable = false;
	if (k->pure && !k->rewrite && !k->place.read_only) {
		w->last = LAST_NAME;
		w->state = STATE_RAW;
		copy_bind(k);
		return 0;
	}
	r = copy_path(k);
	if (r)
		return r;
	w->state = STATE_PATH;
	for (w->rest = w->len; w->rest && w->path[w->rest - 1] != '/'; w->rest--)
		;
	keep_end(w);
	w->dfd = AT_FDCWD;
	w->upath = (gaddr)w->path;
	return 0;
}

long walk_finish(struct walk *k)
{
	long r;

	if (k->place.top.id && k->flags & WHERE_CHANGE) {
		r = walk_settle_top(k);
		return r ? r : walk_finish_top(k);
	}
	if (k->place.top.id && (r = walk_other_name_over(k)))
		return r;
	if (k->place.top.id)
		k->place.read_only = false;	/* what is changed is the session's */
	if (k->place.cow && k->flags & WHERE_CHANGE && !k->place.read_only)
		return walk_finish_cow(k);
	if (k->place.cow_state == COW_LOWER && (r = walk_other_name(k)))
		return r;
	return k->place.remote ? finish_remote(k) : finish_real(k);
}

long where_path(const struct where *w, char *buf, size_t size)
{
	size_t n = strlen(w->path);

	if ((w->state & ~STATE_NEW) == STATE_RAW)	/* the guest's own text, from a cwd behind that mount */
		return path_canonical(w->t, w->dfd, w->path, (w->flags & WHERE_NOFOLLOW) | WHERE_VIEW, buf, size);
	if (n >= size)
		return -ENAMETOOLONG;
	memcpy(buf, w->path, n + 1);
	if (w->moved) {
		long len = (long)n;

		cow_to_view(buf, &len, size);
		if (len < 0 || !w->bind)
			return len;
		n = (size_t)len;
	}
	return w->bind ? path_through_bind(w->t, w->bind, w->bound, buf, n, size) : (long)n;
}

/* ---- links that operations meet ------------------------------------------------------------------- */

long where_link(struct where *w, const struct um_slot *s)
{
	const char *target = (const char *)s->data;
	size_t n = strlen(target), end = w->rest + s->rep.consumed, dir = end, tail;

	if (w->state != STATE_LINK || w->file || end > w->len || (w->path[end] && w->path[end] != '/'))
		return -EIO;
	if (++w->links > WALK_MAX_LINKS)
		return -ELOOP;
	while (dir > w->rest && w->path[dir - 1] != '/')
		dir--;
	tail = w->len - end;
	if (dir + n + tail + 3 > sizeof(w->path))
		return -ENAMETOOLONG;
	memmove(w->path + dir + n, w->path + end, tail);
	memcpy(w->path + dir, target, n);
	w->len = dir + n + tail;
	keep_end(w);
	w->rest = dir;
	w->base = w->node = s->rep.node ? s->rep.node : UM_ROOT_NODE;
	w->handle = 0;
	return -UM_EAGAIN;
}

/* path[0 .. len) as the guest sees it becomes v. */
static int view_path(struct where *w, struct walk *k, size_t len)
{
	struct mount m;
	long n;

	while (len > 1 && w->path[len - 1] == '/')
		len--;
	if (len >= sizeof(k->v))
		return -ENAMETOOLONG;
	memcpy(k->v, w->path, len);
	k->v[len] = 0;
	if (w->bind && view_mount_by_id(w->t, w->bind, &m, NULL, 0))
		w->bind = w->bound = 0;
	n = (long)len;
	if (w->moved)
		cow_to_view(k->v, &n, sizeof(k->v));
	if (n > 0 && w->bind && (size_t)n < w->bound)
		n = view_mount_by_id(w->t, w->bind, &m, k->v, sizeof(k->v)) ? -ENOENT : (long)strlen(k->v);
	else if (n > 0 && w->bind)
		n = path_through_bind(w->t, w->bind, w->bound, k->v, (size_t)n, sizeof(k->v));
	if (n < 0)
		return (int)n;
	k->len = n == 1 ? 0 : (size_t)n;
	k->v[k->len] = 0;
	return 0;
}

long where_resume(struct where *w, struct walk *k)
{
	bool link = w->state == STATE_LINK;
	size_t dir = w->rest;
	struct place *p = &k->place;
	int r;

	k->grounded = k->pure = k->cacheable = k->anchored = false;
	if (link && w->path[dir] == '/')
		return walk_guest_root(k);
	r = view_path(w, k, dir);
	if (r)
		return r;
	k->verify = true;
	k->lazy = false;
	if (!link || w->bind || view_has(UM_MOUNT_MERGE) || (view_has(UM_MOUNT_COW) && cow_over_any(w->t)))
		return walk_locate(k);
	*p = (struct place) {
		.remote = true, .read_only = w->read_only, .m = w->mount, .base = w->base, .since = w->mount.rank,
	};
	p->base_len = k->len;
	return 0;
}
