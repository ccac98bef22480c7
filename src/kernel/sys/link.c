/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Links and renaming.  link and rename concern two places; the kernel does it when both are real, a
 * server when both lie in its mount, nobody else can: EXDEV.
 */
#include "calls.h"
#include "../cow.h"
#include "../fs/proc.h"
#include <linux/fs.h>

long sys_readlinkat(struct task *t, int dfd, gaddr name, gaddr buf, size_t size)
{
	struct where w;
	long r;

	if ((int)size <= 0)
		return -EINVAL;
	size = (size_t)(int)size;
	r = where_begin(&w, t, dfd, name, WHERE_NOFOLLOW | WHERE_EMPTY | WHERE_LOOKS);
	if (!r && where_is_last(&w, name))
		return pass_last(t);
	while (where_next(&w, &r))
		r = place_call(&w, readlink, EINVAL, buf, size);
	return where_end(&w, r);
}

long sys_symlinkat(struct task *t, gaddr target, int dfd, gaddr name)
{
	char text[UM_PATH_MAX];
	struct where w;
	long r = string_from_guest(t, text, target, sizeof text);

	if (r <= 0)
		return r ? r : -ENOENT;
	r = where_begin(&w, t, dfd, name, WHERE_ENTRY | WHERE_CREATE | WHERE_CHANGE);
	while (where_next(&w, &r)) {
		if (!w.fast && w.last != LAST_NAME)
			r = -EEXIST;
		else
			r = place_change(&w, CHANGE_NEW, symlink, EPERM, text);
	}
	return where_end(&w, r);
}

/* Nothing is there: is there a directory it could be in? */
static long directory_error(const struct where *w)
{
	size_t n = strlen(w->path);
	char dir[UM_PATH_MAX];
	struct stat st;

	while (n && w->path[n - 1] == '/')
		n--;
	while (n && w->path[n - 1] != '/')
		n--;
	if (!n)
		return 0;
	memcpy(dir, w->path, n);
	dir[n] = 0;
	return raw_syscall(__NR_newfstatat, w->dfd, dir, &st, 0);
}

/* What is wrong with a real place that the kernel will not be asked about. */
static long real_error(const struct where *w)
{
	struct stat st;
	long r;

	if (w->fs == &remote_fs)
		return 0;
	r = raw_syscall(__NR_newfstatat, w->dfd, w->upath, &st, AT_SYMLINK_NOFOLLOW);
	return r == -ENOENT ? directory_error(w) : r;
}

/* The file at a place that the resolver has followed links to. */
static bool has_name(const struct where *w)
{
	bool is_fd = w->flags & WHERE_EMPTY && !w->path[0];
	struct stat st;

	if (is_fd && fd_in_tree(NULL, 0, w->dfd))
		return false;		/* one there, but it is a descriptor that is linked */
	return raw_syscall(__NR_newfstatat, w->dfd, w->upath, &st, is_fd ? AT_EMPTY_PATH : 0) || st.st_nlink;
}

/* The bind mount by which the place is reached; what is copied on write is no other mount than what is below it. */
static uint32_t bind_of(const struct where *w)
{
	return w->bind && !(w->cow && w->bind == w->cow) && !cow_is_mount(w->t, w->bind) ? w->bind : 0;
}

/* A descriptor, by itself or by its link in /proc: it does not tell by which mount it was reached. */
static bool is_descriptor(const struct where *w)
{
	return w->file || !w->path[0] || !strncmp(w->path, "/proc/", 6);
}

/* Is the edge of a bind mount between them?  Not known where one was met behind another. */
static bool over_an_edge(const struct where *a, const struct where *b)
{
	return a->bind != b->bind && !a->nested && !b->nested && !is_descriptor(a) && bind_of(a) != bind_of(b);
}

/* Both the kernel's, on one side of bind mounts, or both in one mount of a server: 0.  Else EXDEV, or what comes before it. */
static long same_world(const struct where *a, const struct where *b)
{
	long r;

	bool same = (a->fs == &remote_fs) == (b->fs == &remote_fs) &&
		    (a->fs != &remote_fs || a->mount.id == b->mount.id) && a->cow == b->cow && !over_an_edge(a, b);

	if (!a->cow && b->cow && a->fs != &remote_fs && !has_name(a))
		return 0;	/* O_TMPFILE */
	if (same && a->read_only == b->read_only && (!a->read_only || a->bind == b->bind))
		return 0;
	r = real_error(a);
	if (!r)
		r = real_error(b);
	return r ? r : a->kept || b->kept ? -EROFS : -EXDEV;
}

static bool is_there(const struct where *w)
{
	struct stat st;

	return !raw_syscall(__NR_newfstatat, w->dfd, w->upath, &st, AT_SYMLINK_NOFOLLOW);
}

static long link_places(struct where *from, struct where *to, int flags)
{
	bool no_name = !to->fast && to->last != LAST_NAME;
	long r = same_world(from, to);

	if (to->read_only && (!r || r == -EXDEV || r == -EROFS))
		r = readonly_verdict(to, CHANGE_NEW);
	if (no_name || r) {
		long e = place_call(from, access, EACCES, 0, 0);	/* it has to be there */

		if (e)
			return e;
	}
	if (no_name || (r == -EXDEV && to->fs != &remote_fs && is_there(to)))
		return -EEXIST;
	if (!r && to->strict)
		r = perm_link(from, to);
	if (!r && to->cow)
		return to->fs->link(from, to, flags);
	return r ? r : place_call(from, link, EPERM, to, flags);
}

/* The new name is no place, r tells why.  The kernel has looked at the old one before. */
static long old_first(struct task *t, int dfd, gaddr old, unsigned flags, long r)
{
	struct where w;
	long e = where_begin(&w, t, dfd, old, flags);

	while (where_next(&w, &e))
		e = place_call(&w, access, EACCES, 0, 0);
	e = where_end(&w, e);
	return e ? e : r;
}

/*
 * The kernel does not look at the new name (and at links on its way, whose times tell) if there is nothing by the old one.  Where our walk
 * has found that, it says so itself: an old name's error comes before that of a bad new one.
 */
static long old_error(const struct where *w, long (*call)(const struct where *w, int flags), int flags)
{
	long r = w->leads_nowhere ? call(w, flags) : 0;

	return r == -EFAULT ? 0 : r;
}

static long try_link(const struct where *w, int flags)
{
	return raw_syscall(__NR_linkat, w->dfd, w->upath, AT_FDCWD, 0, flags);
}

static long try_rename(const struct where *w, int flags)
{
	return raw_syscall(__NR_renameat2, w->dfd, w->upath, AT_FDCWD, 0, flags);
}

/*
 * With AT_EMPTY_PATH, a descriptor that was opened with other credentials is ENOENT to the kernel before it looks at the path
 * (and to older ones everything is, without a capability).  It says so for an empty path, too.
 */
static bool denies_descriptor(struct task *t, int dfd, gaddr old)
{
	char name[UM_PATH_MAX];

	if (string_from_guest(t, name, old, sizeof(name)) < 0)
		return false;
	if (*name == '/')
		dfd = AT_FDCWD;
	return (dfd == AT_FDCWD || !fd_is_virtual(t, dfd)) &&
	       raw_syscall(__NR_linkat, dfd, "", -1, "x", AT_EMPTY_PATH) == -ENOENT;
}

long sys_linkat(struct task *t, int olddfd, gaddr old, int newdfd, gaddr new, int flags)
{
	unsigned follow = WHERE_CHANGE | (flags & AT_SYMLINK_FOLLOW ? 0 : WHERE_NOFOLLOW) | (flags & AT_EMPTY_PATH ? WHERE_EMPTY : 0);
	struct where from, to;
	long r;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return -EINVAL;
	if (flags & AT_EMPTY_PATH && denies_descriptor(t, olddfd, old))
		return -ENOENT;
	r = where_begin(&from, t, olddfd, old, follow);
	r = where_end(&from, r ? 0 : old_error(&from, try_link, flags));
	if (r)
		return r;
	/* The new name's directory first: it is fully resolved when where_begin() returns. */
	r = where_begin(&to, t, newdfd, new, WHERE_PARENT | WHERE_CREATE | WHERE_CHANGE);
	if (r == -EBUSY)
		r = -EEXIST;	/* a mount point */
	if (r < 0)
		return old_first(t, olddfd, old, follow, r);
	while (where_next(&to, &r)) {
		r = where_begin(&from, t, olddfd, old, follow | WHERE_SECOND);
		while (where_next(&from, &r))
			r = link_places(&from, &to, flags);
		r = where_end(&from, r);
	}
	return where_end(&to, r);
}

/* The new name is no place, r tells why.  The kernel has looked for the old one's directory before. */
static long old_directory_first(const struct where *from, unsigned flags, long r)
{
	long e;

	if (from->fs != &real_fs)
		return r;
	e = try_rename(from, (int)flags);
	return e == -EFAULT ? r : e;
}

static long rename_places(struct where *from, struct where *to, unsigned flags)
{
	long r = same_world(from, to);

	if ((!from->fast && from->last != LAST_NAME) || (!to->fast && to->last != LAST_NAME)) {
		if (!r && from->fs == &real_fs)		/* the kernel refuses it, too, and knows what comes first */
			return place_call(from, rename, EPERM, to, flags);
		return old_directory_first(from, flags,
					   flags & RENAME_NOREPLACE && from->last == LAST_NAME ? -EEXIST : -EBUSY);
	}
	if (!r && (from->read_only || to->kept))
		r = -EROFS;
	if (!r && from->strict)
		r = perm_rename(from, to, flags);
	return r ? r : place_call(from, rename, EPERM, to, flags);
}

long sys_renameat2(struct task *t, int olddfd, gaddr old, int newdfd, gaddr new, unsigned flags)
{
	struct where from, to;
	long r;

	if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) ||
	    (flags & RENAME_EXCHANGE && flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
		return -EINVAL;
	r = where_begin(&from, t, olddfd, old, WHERE_PARENT | WHERE_CHANGE);
	while (where_next(&from, &r)) {
		r = old_error(&from, try_rename, (int)flags);
		if (r)
			continue;
		r = where_begin(&to, t, newdfd, new, WHERE_PARENT | WHERE_CREATE | WHERE_CHANGE | WHERE_SECOND);
		if (r < 0)
			r = old_directory_first(&from, flags, r);
		while (where_next(&to, &r))
			r = rename_places(&from, &to, flags);
		r = where_end(&to, r);
	}
	return where_end(&from, r);
}
