/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A root directory of one's own: chroot(2) without the kernel's, which needs privilege.
 *
 * fs->root is the canonical path, in the view, of the directory that a process (all tasks that share its fsinfo)
 * takes for "/".  Inside the agent paths are the view's, so an absolute path of such a guest gets this in front
 * (path_below_root) when it comes in, and loses it when it goes out (path_strip_root).  Between the two the resolver
 * works as ever, but that absolute links start at the root again and ".." stays there; what it finds so is not "pure",
 * so that the kernel never follows such a text itself.
 *
 * As in the kernel, the cwd and descriptors may lie outside, and who has one can leave.  A root that is moved is not
 * followed: its path leads nowhere, then.
 */
#include <linux/fcntl.h>
#include "path_walk.h"

/* Without the slash behind it.  The old one stays allocated: another thread may be reading it. */
static long set_root(struct task *t, const char *path)
{
	size_t n = strlen(path);
	char *root = n > 1 ? heap_strndup(path, n) : NULL;

	if (n > 1 && !root)
		return -ENOMEM;
	lock_acquire(&t->fs->lock);
	__atomic_store_n(&t->fs->root, root, __ATOMIC_RELEASE);
	lock_release(&t->fs->lock);
	view_links_changed(t);		/* where ".." and absolute links led is no longer so */
	return 0;
}

long path_below_root(const struct task *t, char *buf, size_t len, size_t size)
{
	size_t n = strlen(t->fs->root), slashes = 0;

	while (buf[slashes] == '/')
		slashes++;
	if (len + n + 2 > size)
		return -ENAMETOOLONG;
	memmove(buf + n, buf, len + 1);
	memcpy(buf, t->fs->root, n);
	if (slashes == len) {		/* the root itself: no name that could be removed */
		memcpy(buf + n + len, ".", 2);
		len++;
	}
	return (long)(n + len);
}

size_t path_strip_root(const struct task *t, char *buf, size_t len)
{
	size_t n = t->fs->root ? strlen(t->fs->root) : 0;

	if (!n || !path_within(buf, len, t->fs->root, n))
		return len;
	if (len == n) {
		memcpy(buf, "/", 2);
		return 1;
	}
	memmove(buf, buf + n, len - n);
	buf[len - n] = 0;
	return len - n;
}

bool path_is_outside(const struct task *t, const char *path, size_t len)
{
	return t->fs->root && !path_within(path, len, t->fs->root, strlen(t->fs->root));
}

long path_set_root(struct task *t, const char *text)
{
	char path[UM_PATH_MAX];
	struct where w;
	struct stat st;
	long r = path_canonical(t, AT_FDCWD, text, 0, path, sizeof(path));

	if (r < 0)
		return r;
	r = where_begin_path(&w, t, AT_FDCWD, path, WHERE_VIEW);
	while (where_next(&w, &r)) {
		r = w.fs->stat(&w, (gaddr)&st);
		if (!r && (st.st_mode & 0170000) != 0040000)
			r = -ENOTDIR;
		if (!r)
			r = w.fs->access(&w, 1 /* X_OK */, AT_EACCESS);
	}
	r = where_end(&w, r);
	return r ? r : set_root(t, path);
}
