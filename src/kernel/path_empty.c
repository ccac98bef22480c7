/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places without a path: AT_EMPTY_PATH, and what a change by a descriptor means behind a copy-on-write mount.
 *
 * Of what is open below such a mount the name is changed, in the session's tree: so where that is found out, and is then as any path.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "path_walk.h"
#include "fs/remote.h"

/* Is what has the name now what is open (st), or its copy?  What has no name any more stays below as it is. */
static long is_it_yet(const struct where *w, const struct stat *st)
{
	struct stat now;

	if (!w->cow || (w->cow_state != COW_UPPER && w->cow_state != COW_ABSENT))
		return 0;
	if (w->cow_state == COW_ABSENT || cow_look(w->path, &now))
		return -EROFS;
	cow_show(w->t, &now);
	return now.st_ino == st->st_ino && now.st_dev == st->st_dev ? 0 : -EROFS;
}

/* w->path[0 .. len) is the name, in the view, of what is changed by a descriptor, of which st is true. */
static long begin_named(struct where *w, size_t len, const struct stat *st)
{
	long r;

	w->len = len;
	w->flags = WHERE_CHANGE | WHERE_NOFOLLOW;
	w->upath = (gaddr)w->path;
	w->dfd = AT_FDCWD;
	r = walk_slow(w, NULL);
	w->state |= STATE_NEW;
	return r ? r : is_it_yet(w, st);
}

/* A real descriptor of what a copy-on-write mount covers: it is the name that is changed, in the tree. */
static long begin_copied(struct where *w)
{
	char link[48];
	struct stat st;
	bool covered;
	long n;

	if (w->dfd == AT_FDCWD)
		text_format(link, sizeof(link), "/proc/thread-self/cwd");
	else
		text_format(link, sizeof(link), "/proc/thread-self/fd/%d", w->dfd);
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, link, w->path, sizeof(w->path) - 1);
	if (n <= 0 || w->path[0] != '/' || n == (long)sizeof(w->path) - 1)
		n = 0;
	w->path[n] = 0;
	covered = n && cow_covers(w->t, w->path, (size_t)n);
	if (!n || !proc_link_is_at(AT_FDCWD, link, w->path, &st) || !(covered || cow_real_over(w->t, w->dfd, w->path, &n))) {
		w->path[0] = 0;
		return 0;
	}
	if (covered)
		cow_to_view(w->path, &n, sizeof(w->path));
	cow_show(w->t, &st);
	return n < 0 ? n : begin_named(w, (size_t)n, &st);
}

/* A virtual descriptor of what such a mount lies over. */
static long begin_over(struct where *w, struct file *f)
{
	struct stat st;
	long n, r;

	if (!cow_file_over(w->t, f, w->path, &n)) {
		w->path[0] = 0;
		return 0;
	}
	r = file_stat(w->t, f, (gaddr)&st);
	return r ? r : begin_named(w, (size_t)n, &st);
}

/* "": dfd itself, if the operation allows that. */
long where_empty(struct where *w)
{
	struct file *f;

	if (!(w->flags & WHERE_EMPTY))
		return -ENOENT;
	f = virtual_base(w->t, w->dfd);
	if (f) {
		long r = w->flags & WHERE_CHANGE && view_has(UM_MOUNT_COW) ? begin_over(w, f) : 0;

		if (!r && !w->cow)
			where_file(w, f);
		file_put(f);
		return r;
	} else if (fd_is_ours(w->dfd)) {
		return -EBADF;
	} else {
		w->read_only = fd_read_only(w->t, w->dfd);
	}
	return w->flags & WHERE_CHANGE && (w->dfd >= 0 || w->dfd == AT_FDCWD) && view_has(UM_MOUNT_COW) ? begin_copied(w) : 0;
}
