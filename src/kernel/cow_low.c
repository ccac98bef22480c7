/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copy-on-write: what is below, whoever answers there.
 *
 * Mostly that is the kernel, by the path that it has in the view: one call.  Where a copy-on-write mount lies over something virtual (an
 * image, a bind mount, another copy-on-write mount), the path is resolved as if that mount and newer ones were not, each time anew
 * (path_cow_over.c), and whoever is found is asked: a server, or the kernel by the path that it knows.
 *
 * Nobody may hold the session's lock here, since a server may take its time.
 */
#include <linux/fcntl.h>
#include <linux/fs.h>
#include "cow.h"
#include "dir_list.h"
#include "path_walk.h"
#include "fs/dirents.h"
#include "fs/remote.h"

#define PIECE		(256u << 10)
#define CHUNK		(32u << 10)

/* A place below, found. */
struct low {
	struct where w;
	bool remote;		/* else w.path is the kernel's own path */
	struct cow *merged;	/* it is a directory in the tree of this session (that is below ours), and shows what is below that, too: */
	char rel[UM_PATH_MAX];	/* its path there */
};

static long take_place(struct low *l, struct walk *k)
{
	const struct place *p = &k->place;
	long r = walk_finish(k), error;
	size_t len;
	const char *there;

	if (r)
		return r;
	l->remote = l->w.fs == &remote_fs;
	if (!p->cow || p->cow_state != COW_MERGED)
		return 0;
	there = walk_there(k, &len) + p->cow_cut;
	there += *there == '/';
	memcpy(l->rel, there, strlen(there) + 1);
	l->merged = cow_get(k->t, p->cow, &error);
	return 0;
}

static long walk_to(struct low *l, struct walk *k, struct cow *c, const char *low)
{
	size_t len = strcmp(low, "/") ? strlen(low) : 0;
	long r = walk_start(k, &l->w, WHERE_VIEW | WHERE_NOFOLLOW, "", 0);

	if (r || len + 2 > sizeof(k->v))
		return r ? r : -ENAMETOOLONG;
	k->len = len;
	memcpy(k->v, low, len);
	k->v[len] = 0;
	r = walk_locate_below(k, c);
	if (r)
		return r;
	l->w.trailing = false;		/* no text said so */
	l->w.last = LAST_NAME;
	return k->place.cow_state == COW_ABSENT ? -ENOENT : take_place(l, k);
}

/* For low_done(), whatever *error is; NULL: no memory. */
static struct low *low_find(struct task *t, struct cow *c, const char *low, long *error)
{
	struct low *l = heap_alloc(sizeof *l);
	struct walk *k = l ? heap_alloc(sizeof *k) : NULL;

	*error = -ENOMEM;
	if (k) {
		l->merged = NULL;
		where_init(&l->w, t, AT_FDCWD, (gaddr)l->w.path, WHERE_VIEW | WHERE_NOFOLLOW);
		l->w.strict = false;
		*error = walk_to(l, k, c, low);
	}
	heap_free(k);
	return l;
}

/* A server has met a link: somebody has changed what is there meanwhile. */
static long low_done(struct low *l, long r)
{
	heap_free(l);
	return r == -UM_EAGAIN || r == -UM_ERETRY ? -ENOENT : r;
}

/* What a server is asked, or else the kernel, at a place that is found anew. */
#define ask(t, c, low, remote_call, real_call) ({ \
	long r_; \
	struct low *l = low_find(t, c, low, &r_); \
	if (!r_) \
		r_ = l->remote ? (remote_call) : (real_call); \
	low_done(l, r_); })

/* ---- attributes ------------------------------------------------------------------------------------------ */

int cow_low_look(struct task *t, struct cow *c, const char *low, struct stat *st)
{
	struct low *l;
	long r;

	if (!c->over)
		return cow_look(low, st);
	l = low_find(t, c, low, &r);
	if (!r)
		r = l->remote ? remote_look(&l->w, st) : cow_look(l->w.path, st);
	if (!r && l->remote)
		c->low_dev = st->st_dev;
	if (!r)
		cow_show_below(t, st, c->id);
	return (int)low_done(l, r);
}

uint64_t cow_low_dev(const struct task *t, struct cow *c)
{
	struct stat st;

	if (c->low_dev || c->low_asked)
		return c->low_dev;
	cow_low_look((struct task *)t, c, *c->dir ? c->dir : "/", &st);
	for (struct cow *o = cow_first(t); o && o->id < c->id && !c->low_dev; o = cow_next(t, o))
		if (o->over && path_within(c->dir, strlen(c->dir), o->dir, strlen(o->dir)))
			c->low_dev = cow_low_dev(t, o);
	c->low_asked = true;
	return c->low_dev;
}

long cow_low_readlink(struct task *t, struct cow *c, const char *low, char *buf, size_t size)
{
	if (!c->over)
		return raw_syscall(__NR_readlinkat, AT_FDCWD, low, buf, size);
	return ask(t, c, low, remote_fs.readlink(&l->w, (gaddr)buf, size), raw_syscall(__NR_readlinkat, AT_FDCWD, l->w.path, buf, size));
}

long cow_low_getxattr(struct task *t, struct cow *c, const char *low, const char *name, char *value, size_t size)
{
	if (!c->over)
		return raw_syscall(__NR_lgetxattr, low, name, value, size);
	return ask(t, c, low, remote_getxattr(&l->w, name, (gaddr)value, size), raw_syscall(__NR_lgetxattr, l->w.path, name, value, size));
}

long cow_low_listxattr(struct task *t, struct cow *c, const char *low, char *names, size_t size)
{
	if (!c->over)
		return raw_syscall(__NR_llistxattr, low, names, size);
	return ask(t, c, low, remote_listxattr(&l->w, (gaddr)names, size), raw_syscall(__NR_llistxattr, l->w.path, names, size));
}

long cow_low_access(struct task *t, struct cow *c, const char *low, int mode)
{
	const int flags = AT_EACCESS | AT_SYMLINK_NOFOLLOW;

	if (!c->over)
		return raw_syscall(__NR_faccessat2, AT_FDCWD, low, mode, flags);
	return ask(t, c, low, remote_access(&l->w, mode, flags), raw_syscall(__NR_faccessat2, AT_FDCWD, l->w.path, mode, flags));
}

/* ---- contents -------------------------------------------------------------------------------------------- */

static long copy_by_hand(int in, int out, long from, long to)
{
	uint8_t *buf = heap_alloc(PIECE);
	long r = 0;

	if (!buf)
		return -ENOMEM;
	while (from < to) {
		long n = raw_syscall(__NR_pread64, in, buf, to - from < (long)PIECE ? to - from : (long)PIECE, from);

		if (n > 0)
			r = raw_syscall(__NR_pwrite64, out, buf, n, from);
		if (n <= 0 || r <= 0) {
			r = n < 0 ? n : n ? r : 0;
			break;
		}
		from += r;
		r = 0;
	}
	heap_free(buf);
	return r;
}

static long copy_range(int in, int out, long from, long to)
{
	while (from < to) {
		int64_t at = from, there = from;
		long n = raw_syscall(__NR_copy_file_range, in, &at, out, &there, to - from, 0);

		if (n < 0 && n != -ENOSPC && n != -EDQUOT && n != -EIO)
			return copy_by_hand(in, out, from, to);
		if (n <= 0)
			return n;
		from += n;
	}
	return 0;
}

/* Holes stay holes. */
static long copy_contents(int in, int out, long size)
{
	long at = 0, end, r;

	if (!raw_syscall(__NR_ioctl, out, FICLONE, in))
		return 0;
	while (at < size) {
		at = raw_syscall(__NR_lseek, in, at, 3 /* SEEK_DATA */);
		if (at == -ENXIO)
			break;
		end = at < 0 ? at : raw_syscall(__NR_lseek, in, at, 4 /* SEEK_HOLE */);
		if (end < 0) {
			at = 0;
			end = size;
		}
		r = copy_range(in, out, at, end);
		if (r)
			return r;
		at = end;
	}
	return raw_syscall(__NR_ftruncate, out, size);
}

static long copy_real(const char *path, int out, long size)
{
	long r, in = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);

	if (in < 0)
		return in;
	r = copy_contents((int)in, out, size);
	raw_syscall(__NR_close, in);
	return r;
}

static long copy_remote(struct where *w, int out)
{
	struct file *f;
	long r = remote_open_file(w, O_RDONLY | O_NOFOLLOW, 0, &f);

	if (r)
		return r;
	r = file_copy_to(w->t, f, out);
	remote_close(w->t, f);
	return r;
}

long cow_low_copy(struct task *t, struct cow *c, const char *low, int out, long size)
{
	if (!c->over)
		return copy_real(low, out, size);
	return ask(t, c, low, copy_remote(&l->w, out), copy_real(l->w.path, out, size));
}

/* As a place of its own it is opened as any: what its descriptor has to know comes with it. */
long cow_low_open(struct task *t, struct cow *c, const char *low, int flags, unsigned mode)
{
	if (!c->over)
		return kernel_call(t, __NR_openat, AT_FDCWD, low, flags, mode);
	return ask(t, c, low, remote_open(&l->w, flags, mode), real_fs.open(&l->w, flags, mode));
}

/* ---- listings -------------------------------------------------------------------------------------------- */

struct taker {
	bool (*take)(void *to, struct linux_dirent64 *d);
	void *to;
	uint8_t *chunk;
	struct task *t;
	struct cow *c;
	const char *low;	/* the directory */
	char *path;		/* of a name in it; NULL: none is hidden */
};

static bool is_hidden(const struct taker *k, const char *name)
{
	struct stat st;

	return k->path && !dir_is_dots(name) && !cow_join(k->path, strcmp(k->low, "/") ? k->low : "", name) &&
	       cow_low_look(k->t, k->c, k->path, &st) == -ENOENT;
}

static long take_chunk(const struct taker *k, long n)
{
	for (long at = 0; at < n; at += ((struct linux_dirent64 *)(k->chunk + at))->d_reclen) {
		struct linux_dirent64 *d = (struct linux_dirent64 *)(k->chunk + at);

		if (!is_hidden(k, d->d_name) && !k->take(k->to, d))
			return -ENOMEM;
	}
	return n;
}

/* One that is gone, or may not be read, shows nothing. */
static long list_real(const struct taker *k, const char *path)
{
	long n, fd = dir_open(path, O_NOATIME);

	if (fd < 0)
		return 0;
	while ((n = raw_syscall(__NR_getdents64, fd, k->chunk, CHUNK)) > 0)
		if ((n = take_chunk(k, n)) < 0)
			break;
	raw_syscall(__NR_close, fd);
	return n;
}

static long list_remote(const struct taker *k, struct where *w)
{
	struct file *f;
	long n = remote_open_file(w, O_RDONLY | O_DIRECTORY, 0, &f);

	if (n)
		return n == -EACCES || n == -ENOENT || n == -ENOTDIR || n == -UM_EAGAIN ? 0 : n;
	while ((n = file_readdir(w->t, f, (gaddr)k->chunk, CHUNK, false)) > 0)
		if ((n = take_chunk(k, n)) < 0)
			break;
	remote_close(w->t, f);
	return n;
}

static long list_merged(const struct taker *k, struct low *l)
{
	const struct linux_dirent64 *d;
	size_t at = 0;
	long r;
	struct dir_list *list = cow_list_make(k->t, l->merged, l->rel, true, true, O_NOATIME, &r);

	while (list && !r && (d = dir_list_next(list, &at)))
		r = k->take(k->to, (struct linux_dirent64 *)d) ? 0 : -ENOMEM;
	dir_list_put(list);
	return r == -EACCES || r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

static long list(const struct taker *k)
{
	long r;
	struct low *l;

	if (!k->c->over)
		return list_real(k, k->low);
	l = low_find(k->t, k->c, k->low, &r);
	if (!r)
		r = l->remote ? list_remote(k, &l->w) : l->merged ? list_merged(k, l) : list_real(k, l->w.path);
	r = low_done(l, r);
	return r == -ENOENT ? 0 : r;
}

long cow_low_list(struct task *t, struct cow *c, const char *low, bool (*take)(void *to, struct linux_dirent64 *d), void *to)
{
	const bool hides = c->over && view_hides();
	const struct taker k = { take, to, heap_alloc(CHUNK), t, c, low, hides ? heap_alloc(UM_PATH_MAX) : NULL };
	long r = k.chunk && (k.path || !hides) ? list(&k) : -ENOMEM;

	heap_free(k.chunk);
	heap_free(k.path);
	return r;
}

bool cow_low_is_merged(struct task *t, struct cow *c, const char *low)
{
	long r;
	struct low *l = low_find(t, c, low, &r);
	bool is = !r && l->merged;

	low_done(l, r);
	return is;
}
