/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shadows: the real files by which the kernel's inotify tells of changes in a mounted file system.
 *
 * inotify watches real files only.  So for what guests watch here there is a tree of real files of the same names, on
 * a file system of its own (monitor/shadow.c): their watches are put on these (UM_OP_WATCH), and what has been done to
 * a file of the mount is done to its shadow too, before the guest that did it is answered.  Masks, names, cookies,
 * merging and the end of a watch are thereby the kernel's.
 *
 * The tree holds what is watched and the directories on the way there.  A watched directory has all its names, one on
 * the way only some.  A shadow is found by path, which comes from the names of fuse_node.c; nodes with a state of
 * their own are pinned, so that these stay known.  When the last inotify that watched something here is gone, all of
 * it is removed.  Events of open files go through a descriptor per handle, of which there are not too many: they are
 * taken from the server's own number.
 *
 * A shadow has one byte, a hole, so that reading it reads something.  Nothing here gives the processor away, so one
 * buffer is enough for all.  Errors are not the guest's, whose call has succeeded: what cannot be done here is not told.
 */
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include "fuse_conn.h"
#include "../fd.h"

#define DESCRIPTORS_MOST	64u
#define STAGE			"t"		/* where a file is made before it gets its name */
#define ROOT			"r"		/* the shadow of the mount's root */
#define NSEC_NOW		0x3fffffffl	/* UTIME_NOW, UTIME_OMIT of utimensat(2) */
#define NSEC_OMIT		0x3ffffffel

struct fuse_shadow {
	int root;				/* the directory in which ROOT is */
	uint32_t descriptors;			/* of handles */
	uint32_t beginning;			/* watches that are being prepared */
	bool for_ever;				/* somebody watches who could not lock */
	char path[2][FUSE_PATH_ROOM + UM_NAME_MOST + 2];
};

#define call(c, nr, ...)	raw_syscall(nr, (c)->shadow->root, __VA_ARGS__)

/* ---- where a shadow is ------------------------------------------------------------------------------------ */

/* Of `name` in dir; of dir itself, if that is NULL.  NULL: nobody knows where that is any more. */
static char *path_in(struct fuse_conn *c, int k, const struct fuse_node *dir, const char *name, size_t len)
{
	char *buf = c->shadow->path[k];
	long n = fuse_node_path(c, dir, buf + 1, FUSE_PATH_ROOM);

	if (n < 0)
		return NULL;
	buf[0] = ROOT[0];
	n = n == 1 ? 1 : n + 1;
	if (name) {
		buf[n++] = '/';
		memcpy(buf + n, name, len);
		n += (long)len;
	}
	buf[n] = 0;
	return buf;
}

static char *path_of_place(struct fuse_conn *c, int k, const struct fuse_place *p)
{
	return path_in(c, k, p->dir, p->name, p->len);
}

/* Of n, which was reached by p (or NULL).  NULL: it has none. */
static char *path_of(struct fuse_conn *c, const struct fuse_node *n, const struct fuse_place *p)
{
	if (p && p->dir && p->dir->shadow)
		return path_of_place(c, 0, p);
	if (n->shadow && (fuse_node_is(n, S_IFDIR) || n == &c->root))
		return path_in(c, 0, n, NULL, 0);
	if (p && p->dir && !n->shadow)
		return NULL;
	for (const struct fuse_name *e = n->names; e; e = e->sibling)
		if (e->parent->shadow)
			return path_in(c, 0, e->parent, e->name, e->len);
	return NULL;
}

long fuse_shadow_path(struct fuse_conn *c, const struct fuse_node *n, const struct fuse_place *p, char *buf, size_t size)
{
	const char *path = path_of(c, n, p);
	size_t len = path ? strlen(path) : 0;

	if (!path || len >= size)
		return path ? -ENAMETOOLONG : -ENOENT;
	memcpy(buf, path, len + 1);
	return (long)len;
}

/* ---- making them ------------------------------------------------------------------------------------------ */

void fuse_shadow_keep(struct fuse_node *n, enum fuse_shadow_state state)
{
	if (!n->shadow)
		fuse_node_pin(n);
	if (n->shadow < state)
		n->shadow = (uint8_t)state;
}

static void let_go(struct fuse_conn *c, struct fuse_node *n)
{
	if (!n->shadow)
		return;
	n->shadow = SHADOW_NONE;
	fuse_node_unpin(c, n);
}

/* A link makes IN_CREATE and nothing else, whoever watches. */
static int make_file(struct fuse_conn *c, const char *path)
{
	long fd = call(c, __NR_openat, STAGE, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), r;

	if (fd < 0)
		return (int)fd;
	raw_syscall(__NR_ftruncate, fd, 1);
	raw_syscall(__NR_close, fd);
	r = call(c, __NR_linkat, STAGE, c->shadow->root, path, 0);
	call(c, __NR_unlinkat, STAGE, 0);
	return (int)r;
}

/* 0: it is there. */
static int make(struct fuse_conn *c, const char *path, bool is_dir)
{
	long r = is_dir ? call(c, __NR_mkdirat, path, 0700) : make_file(c, path);

	return r == -EEXIST ? 0 : (int)r;
}

static int shadow_new(struct fuse_conn *c)
{
	uint32_t theirs = __atomic_load_n(&c->shm->shadow, __ATOMIC_ACQUIRE);
	struct fuse_shadow *s;
	char path[40];
	int root;

	if (!theirs)
		return -ENOSPC;
	s = heap_alloc(sizeof *s);
	if (!s)
		return -ENOMEM;
	text_format(path, sizeof path, "/proc/%u/fd/%u", process.world->monitor_pid, theirs - 1);
	root = fd_keep(raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
	if (root < 0) {
		heap_free(s);
		return root;
	}
	s->root = root;
	c->shadow = s;
	return make(c, ROOT, fuse_node_is(&c->root, S_IFDIR));
}

int fuse_shadow_begin(struct fuse_conn *c, bool for_ever)
{
	int err = c->shadow ? 0 : shadow_new(c);

	if (!err) {
		c->shadow->beginning++;
		c->shadow->for_ever |= for_ever;
	}
	return err;
}

void fuse_shadow_end(struct fuse_conn *c)
{
	c->shadow->beginning--;
}

/* The directories on the way: made where they are missing, name by name. */
static int make_way(struct fuse_conn *c, char *path)
{
	int err = 0;

	for (char *p = path; *p && !err; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		err = make(c, path, true);
		*p = '/';
	}
	return err ? err : make(c, path, true);
}

int fuse_shadow_dir(struct fuse_conn *c, struct fuse_node *dir)
{
	char *path;
	int err;

	if (dir->shadow)
		return 0;
	path = path_in(c, 0, dir, NULL, 0);
	err = path ? make_way(c, path) : -ENOENT;
	for (struct fuse_node *n = dir; !err && !n->shadow; n = n->names->parent) {
		fuse_shadow_keep(n, SHADOW_SOME);
		if (n == &c->root)
			break;
	}
	return err;
}

static bool is_there(struct fuse_conn *c, const char *path)
{
	return path && !call(c, __NR_faccessat, path, 0);
}

int fuse_shadow_name(struct fuse_conn *c, struct fuse_node *dir, const char *name, size_t len, bool is_dir)
{
	const char *path = path_in(c, 0, dir, name, len);

	if (!path)
		return -ENOENT;
	return is_there(c, path) ? 0 : make(c, path, is_dir);
}

/* ---- open files ------------------------------------------------------------------------------------------- */

static int shadow_open(struct fuse_conn *c, const struct fuse_handle *h, const char *path, int flags)
{
	flags |= (int)h->open_flags & O_ACCMODE;

	if ((flags & O_ACCMODE) == O_ACCMODE)
		flags ^= O_ACCMODE ^ O_RDWR;
	if (h->is_dir)
		flags |= O_DIRECTORY;
	return (int)call(c, __NR_openat, path, flags | O_NOFOLLOW | O_CLOEXEC, 0);
}

/* Who has too many open hears of them when they are closed. */
static void attach(struct fuse_conn *c, struct fuse_handle *h, const char *path, int flags)
{
	struct fuse_shadow *s = c->shadow;
	int fd;

	if (s->descriptors >= DESCRIPTORS_MOST) {
		h->shadow = is_there(c, path) ? -1 : 0;
		return;
	}
	fd = fd_keep(shadow_open(c, h, path, flags));
	if (fd < 0)
		return;			/* who watches believes that it was closed again */
	h->shadow = fd;
	s->descriptors++;
}

static bool is_in(const struct fuse_node *n, const struct fuse_node *dir)
{
	for (const struct fuse_name *e = n->names; e; e = e->sibling)
		if (e->parent == dir)
			return true;
	return false;
}

void fuse_shadow_attach(struct fuse_conn *c, struct fuse_node *n)
{
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		for (struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			if (!h->shadow && !h->dead && !(h->open_flags & O_PATH) && (h->node == n || is_in(h->node, n))) {
				const char *path = path_of(c, h->node, NULL);

				if (path)
					attach(c, h, path, 0);
			}
}

static void touch(int at, const char *path, uint32_t event)
{
	struct timespec64 ts[2] = {
		{ 0, event == IN_MODIFY ? NSEC_OMIT : NSEC_NOW }, { 0, event == IN_ACCESS ? NSEC_OMIT : NSEC_NOW },
	};

	raw_syscall(__NR_utimensat, at, path, ts, path ? AT_SYMLINK_NOFOLLOW : 0);
}

void fuse_shadow_opened(struct fuse_conn *c, uint32_t handle, const struct fuse_place *p, bool truncated)
{
	struct fuse_handle *h = c->shadow ? fuse_handle_find(c, handle) : NULL;
	const char *path;

	if (!h || h->shadow)
		return;
	path = path_of(c, h->node, p);
	if (!path)
		return;
	attach(c, h, path, truncated ? O_TRUNC : 0);
	if (truncated && h->shadow <= 0)
		touch(c->shadow->root, path, IN_MODIFY);
}

void fuse_shadow_closed(struct fuse_conn *c, struct fuse_handle *h)
{
	int fd = h->shadow;

	h->shadow = 0;
	if (!fd || !c->shadow)
		return;
	if (fd > 0) {
		fd_disown(fd);
		c->shadow->descriptors--;
	} else {
		const char *path = path_of(c, h->node, NULL);

		fd = path ? shadow_open(c, h, path, 0) : -1;
	}
	if (fd >= 0)
		raw_syscall(__NR_close, fd);
}

/* ---- what has been done ----------------------------------------------------------------------------------- */

static void through(const struct fuse_handle *h, uint32_t event)
{
	bool done = false;
	char byte;

	if (event == IN_ACCESS && h->is_dir)	/* there is no room for a name, but it has been read */
		done = raw_syscall(__NR_getdents64, h->shadow, &byte, 0) <= 0;
	else if (event == IN_ACCESS)
		done = raw_syscall(__NR_pread64, h->shadow, &byte, 1, 0) == 1;
	else if (event == IN_MODIFY)		/* the hole becomes a hole */
		done = !raw_syscall(__NR_fallocate, h->shadow, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1);
	if (!done)
		touch(h->shadow, NULL, event);
}

void fuse_shadow_did(struct fuse_conn *c, const struct fuse_handle *h, const struct fuse_node *n,
		     const struct fuse_place *p, uint32_t event)
{
	const char *path;

	if (!c->shadow)
		return;
	if (h && h->shadow > 0) {
		through(h, event);
		return;
	}
	path = path_of(c, n, p);
	if (path)
		touch(c->shadow->root, path, event);
}

/* As the kernel's fsnotify_change() sees it. */
void fuse_shadow_set(struct fuse_conn *c, const struct fuse_handle *h, const struct fuse_node *n,
		     const struct fuse_place *p, uint32_t valid)
{
	uint32_t atime = valid & (FATTR_ATIME | FATTR_ATIME_NOW), mtime = valid & (FATTR_MTIME | FATTR_MTIME_NOW);

	if (!c->shadow)
		return;
	if (valid & FATTR_SIZE || (mtime && !atime))
		fuse_shadow_did(c, h, n, p, IN_MODIFY);
	if (atime && !mtime)
		fuse_shadow_did(c, h, n, p, IN_ACCESS);
	if (valid & (FATTR_MODE | FATTR_UID | FATTR_GID) || (atime && mtime))
		fuse_shadow_did(c, h, n, p, IN_ATTRIB);
}

/* ---- names ------------------------------------------------------------------------------------------------ */

void fuse_shadow_made(struct fuse_conn *c, const struct fuse_place *p, const struct fuse_node *n)
{
	const char *path;

	if (!c->shadow || p->dir->shadow != SHADOW_FULL)
		return;
	path = path_of_place(c, 0, p);
	if (path)
		make(c, path, fuse_node_is(n, S_IFDIR));
}

/* Many servers say that this is another node. */
void fuse_shadow_linked(struct fuse_conn *c, const struct fuse_node *old, const struct fuse_place *p)
{
	const struct fuse_name *e = old->names;
	const char *from, *to;

	if (!c->shadow)
		return;
	while (e && (!e->parent->shadow || (e->parent == p->dir && e->len == p->len && !memcmp(e->name, p->name, p->len))))
		e = e->sibling;
	if (!e || !is_there(c, path_in(c, 0, e->parent, e->name, e->len)) ||
	    (p->dir->shadow != SHADOW_FULL && (!old->shadow || fuse_shadow_dir(c, p->dir)))) {
		fuse_shadow_made(c, p, p->node);
		return;
	}
	from = path_in(c, 0, e->parent, e->name, e->len);
	to = path_of_place(c, 1, p);
	if (from && to)
		call(c, __NR_linkat, from, c->shadow->root, to, 0);
}

struct rest {
	_Alignas(8) uint8_t buf[1024];
	const char *full;	/* the name of a directory that is not empty, or NULL */
	bool stuck;		/* something cannot be removed */
};

/* Removes what is in the directory at path, up to the first directory that is not empty. */
static void empty(struct fuse_conn *c, const char *path, struct rest *r)
{
	long fd = call(c, __NR_openat, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0), n;

	r->full = NULL;
	r->stuck = fd < 0;
	while (!r->stuck && !r->full && (n = raw_syscall(__NR_getdents64, fd, r->buf, sizeof r->buf)) > 0)
		for (long at = 0; at < n && !r->full;) {
			const struct linux_dirent64 *d = (const struct linux_dirent64 *)(r->buf + at);
			const char *name = (const char *)(d + 1);
			bool dots = name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
			long e = dots ? 0 : raw_syscall(__NR_unlinkat, fd, name, 0);

			if (e == -EISDIR)
				e = raw_syscall(__NR_unlinkat, fd, name, AT_REMOVEDIR);
			if (e == -ENOTEMPTY)
				r->full = name;
			else if (e)
				r->stuck = true;
			at += d->d_reclen;
		}
	if (fd >= 0)
		raw_syscall(__NR_close, fd);
}

/* Whatever is there, with all that is in it. */
static void remove_at(struct fuse_conn *c, char *path)
{
	size_t top = strlen(path);
	struct rest r;

	if (call(c, __NR_unlinkat, path, 0) != -EISDIR)
		return;
	for (;;) {
		size_t len = strlen(path);
		long e = call(c, __NR_unlinkat, path, AT_REMOVEDIR);

		if (e == -ENOTEMPTY) {
			empty(c, path, &r);
			if (r.stuck || (r.full && len + strlen(r.full) + 2 > FUSE_PATH_ROOM))
				return;
			if (r.full)
				text_format(path + len, FUSE_PATH_ROOM - len, "/%s", r.full);
		} else if (e || len == top) {
			return;
		} else {
			*strrchr(path, '/') = 0;
		}
	}
}

/* A name of n is gone. */
static void nameless(struct fuse_conn *c, struct fuse_node *n)
{
	if (fuse_node_is(n, S_IFDIR) || !n->names)
		let_go(c, n);
}

void fuse_shadow_gone(struct fuse_conn *c, const struct fuse_place *p)
{
	char *path;

	if (!c->shadow)
		return;
	if (p->dir->shadow) {
		path = path_of_place(c, 0, p);
		if (path)
			remove_at(c, path);
	}
	nameless(c, p->node);
}

/* May somebody see what happens to this name? */
static bool matters(struct fuse_conn *c, const struct fuse_place *p)
{
	return p->dir->shadow == SHADOW_FULL || (p->dir->shadow && is_there(c, path_of_place(c, 0, p)));
}

static int stand(struct fuse_conn *c, const struct fuse_place *p)
{
	return fuse_shadow_name(c, p->dir, p->name, p->len, fuse_node_is(p->node, S_IFDIR));
}

void fuse_shadow_moved(struct fuse_conn *c, const struct fuse_place *from, const struct fuse_place *to, bool exchange)
{
	if (!c->shadow || (!matters(c, from) && !matters(c, to)))
		return;
	if (fuse_shadow_dir(c, from->dir) || fuse_shadow_dir(c, to->dir) || stand(c, from) || (exchange && stand(c, to)))
		return;
	char *a = path_of_place(c, 0, from), *b = path_of_place(c, 1, to);
	if (!a || !b)
		return;
	for (int i = 0; i < 2; i++) {
		long r = call(c, __NR_renameat2, a, c->shadow->root, b, exchange ? RENAME_EXCHANGE : 0);

		if (r != -ENOTEMPTY && r != -EISDIR && r != -ENOTDIR)
			break;
		remove_at(c, b);
	}
	if (to->node && !exchange)
		nameless(c, to->node);
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static struct fuse_node *find_shadowed(struct fuse_conn *c)
{
	for (unsigned k = 0; k < FUSE_HASH; k++)
		for (struct fuse_node *n = c->nodes[k]; n; n = n->chain)
			if (n->shadow)
				return n;
	return NULL;
}

void fuse_shadow_free(struct fuse_conn *c)
{
	struct fuse_node *n;

	if (!c->shadow)
		return;
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		for (struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			fuse_shadow_closed(c, h);
	while ((n = find_shadowed(c)))
		let_go(c, n);
	fd_give_up(c->shadow->root);
	heap_free(c->shadow);
	c->shadow = NULL;
}

static bool is_watched(const struct fuse_conn *c)
{
	struct flock lk = {
		.l_type = F_WRLCK, .l_start = (long)UM_WATCH_LOCK(process.world->monitor_pid, c->server), .l_len = 1,
	};
	long fd = raw_syscall(__NR_eventfd2, 0, O_CLOEXEC), r;

	if (fd < 0)
		return true;
	r = raw_syscall(__NR_fcntl, fd, F_OFD_GETLK, &lk);
	raw_syscall(__NR_close, fd);
	return r || lk.l_type != F_UNLCK;
}

void fuse_shadow_sweep(struct fuse_conn *c)
{
	struct fuse_shadow *s = c->shadow;

	if (!s || s->beginning || s->for_ever || is_watched(c))
		return;
	text_format(s->path[0], sizeof s->path[0], ROOT);
	remove_at(c, s->path[0]);
	fuse_shadow_free(c);
}
