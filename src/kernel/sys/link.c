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
	const unsigned how = WHERE_NOFOLLOW | WHERE_EMPTY | WHERE_LOOKS;
	struct where w;
	long r;

	if ((int)size <= 0)
		return -EINVAL;
	size = (size_t)(int)size;
	if (where_way(&w, t, dfd, name, how) == WAY_OWN)
		return pass_last(t);
	r = where_begin(&w, t, dfd, name, how);
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

/* Where the last name in text[0 .. *end) begins; slashes behind it are taken off *end. */
static size_t last_begins(const char *text, size_t *end)
{
	size_t at;

	while (*end && text[*end - 1] == '/')
		--*end;
	for (at = *end; at && text[at - 1] != '/'; at--)
		;
	return at;
}

/* Nothing is there: is there a directory it could be in? */
static long directory_error(const struct where *w)
{
	size_t end = strlen(w->path), n = last_begins(w->path, &end);
	char dir[UM_PATH_MAX];
	struct stat st;

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

/* Both the kernel's, on one side of bind mounts, or both in one mount of a server: 0.  Else EXDEV, or what `wrong` finds, which comes before it. */
static long same_world(const struct where *a, const struct where *b, long (*wrong)(const struct where *w))
{
	long r;

	bool same = (a->fs == &remote_fs) == (b->fs == &remote_fs) &&
		    (a->fs != &remote_fs || a->mount.id == b->mount.id) && a->cow == b->cow && !over_an_edge(a, b);

	if (!a->cow && b->cow && a->fs != &remote_fs && !has_name(a))
		return 0;	/* O_TMPFILE */
	if (same && a->read_only == b->read_only && (!a->read_only || a->bind == b->bind))
		return 0;
	r = wrong(a);
	if (!r)
		r = wrong(b);
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
	long r = same_world(from, to, real_error);

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

/* The kernel has it, be it something of /proc that we show otherwise. */
static bool is_kernels(const struct where *w)
{
	return w->fs == &real_fs || w->fs == proc_fs();
}

/* One name is no place, r tells why.  The kernel has looked for the other one's directory before. */
static long directory_first(struct where *other, unsigned flags, long r)
{
	long e;

	if (other->cow && !other->trailing) {		/* nobody has asked yet whether that is one */
		e = place_call(other, access, EACCES, 0, 0);
		return e == -ENOTDIR ? e : r;
	}
	if (!is_kernels(other))
		return r;
	e = try_rename(other, (int)flags);
	return e == -EFAULT ? r : e;
}

/* Bytes of the last name in a path; 0: "/", "." or "..", which nothing is renamed to or from. */
static size_t last_length(struct task *t, gaddr path)
{
	char text[UM_PATH_MAX];
	long n = string_from_guest(t, text, path, sizeof(text));
	size_t end = n < 0 ? 0 : (size_t)n, at = last_begins(text, &end);

	if (end - at <= 2 && text[at] == '.' && text[end - 1] == '.')
		return 0;
	return end - at;
}

static bool has_last_name(const struct where *w)
{
	return is_kernels(w) ? last_length(w->t, w->upath) > 0 : w->last == LAST_NAME;
}

/* No directory has such a name: that is found last, in the directory that was found before. */
static bool name_too_long(struct task *t, gaddr path)
{
	return last_length(t, path) > NAME_MAX;
}

/* Is anything by that name?  What a slash behind it would ask for is no matter yet. */
static long name_error(const struct where *w)
{
	char text[UM_PATH_MAX];
	struct stat st;
	long n = string_from_guest(w->t, text, w->upath, sizeof(text));

	while (n > 1 && text[n - 1] == '/')
		text[--n] = 0;
	return n < 0 ? n : raw_syscall(__NR_newfstatat, w->dfd, text, &st, AT_SYMLINK_NOFOLLOW);
}

/* The same; where it is the new name itself that is wrong, the kernel has looked for the old one, too. */
static long old_name_first(struct where *from, unsigned flags, long r, gaddr new)
{
	long e;

	if (r != -ENAMETOOLONG || !name_too_long(from->t, new))
		return directory_first(from, flags, r);
	if (!has_last_name(from))
		return directory_first(from, flags, -EBUSY);
	e = is_kernels(from) ? name_error(from) : place_call(from, access, EACCES, 0, 0);
	if (e == -ENOTDIR)		/* "file/": whether that is one is asked after both names */
		return directory_first(from, flags, r);
	return e ? e : r;
}

/* What is wrong with the directory that it is in: all that comes before EXDEV. */
static long parent_error(const struct where *w)
{
	long e = is_kernels(w) ? try_rename(w, 0) : 0;

	return e == -EFAULT ? 0 : e;
}

static long rename_places(struct where *from, struct where *to, unsigned flags)
{
	long r = to->leads_nowhere && to->fs == &real_fs ? real_error(to) : 0;

	if (r)			/* both directories are looked for before anything in them */
		return old_name_first(from, flags, r, to->upath);
	r = same_world(from, to, parent_error);
	if ((!from->fast && from->last != LAST_NAME) || (!to->fast && to->last != LAST_NAME)) {
		if (!r && is_kernels(from))		/* the kernel refuses it, too, and knows what comes first */
			return place_call(from, rename, EPERM, to, flags);
		return directory_first(from, flags,
					   flags & RENAME_NOREPLACE && has_last_name(from) ? -EEXIST : -EBUSY);
	}
	if (!r && (from->read_only || to->kept))
		r = -EROFS;
	if (!r && from->strict)
		r = perm_rename(from, to, flags);
	return r ? r : place_call(from, rename, EPERM, to, flags);
}

/* Another path into the same directory, with a name that could be there: "d/..", "/" and names that are too long are none. */
static void plain_last_name(char *path)
{
	size_t end = strlen(path), at = last_begins(path, &end);

	if (end - at > NAME_MAX)
		path[at + NAME_MAX] = 0;
	else if (path[at] == '/' || !strncmp(path + at, ".", end - at) || !strncmp(path + at, "..", end - at))
		memcpy(path + at + (path[at] == '/'), "n", *path ? 2 : 0);
}

/* Both are the kernel's, which knows its own mounts: it is asked with a name that is too long, so that nothing is renamed. */
static long real_world(const struct where *from, const struct where *to)
{
	char text[UM_PATH_MAX];
	long n = string_from_guest(from->t, text, from->upath, sizeof(text) - NAME_MAX - 1);

	if (n < 0)
		return 0;
	while (n > 1 && text[n - 1] == '/')
		n--;
	memset(text + n, 'n', NAME_MAX);
	text[n + NAME_MAX] = 0;
	return raw_syscall(__NR_renameat2, from->dfd, text, to->dfd, to->upath, 0) == -EXDEV ? -EXDEV : 0;
}

static long directories(struct where *from, struct where *to)
{
	long r = directory_first(from, 0, 0);

	if (!r)
		r = directory_first(to, 0, 0);
	if (!r)
		r = same_world(from, to, parent_error);
	if (!r && from->fs != &remote_fs && to->fs != &remote_fs && !from->cow)
		r = real_world(from, to);
	return r;
}

/*
 * What is wrong before any name is looked for: one of the directories, or that they are in two worlds.  Where a name is too long its
 * walk has stopped there and has not found that out.
 */
static long directories_first(struct task *t, int olddfd, gaddr old, int newdfd, gaddr new)
{
	char from_text[UM_PATH_MAX], to_text[UM_PATH_MAX];
	struct where from, to;
	long r = string_from_guest(t, from_text, old, sizeof(from_text));

	if (r >= 0)
		r = string_from_guest(t, to_text, new, sizeof(to_text));
	if (r < 0)
		return 0;
	plain_last_name(from_text);
	plain_last_name(to_text);
	r = where_begin_path(&from, t, olddfd, from_text, WHERE_PARENT | WHERE_CREATE | WHERE_CHANGE);
	while (where_next(&from, &r)) {
		r = directory_first(&from, 0, 0);
		if (r)
			continue;
		r = where_begin_path(&to, t, newdfd, to_text, WHERE_PARENT | WHERE_CREATE | WHERE_CHANGE | WHERE_SECOND);
		while (where_next(&to, &r))
			r = directories(&from, &to);
		r = where_end(&to, r);
	}
	r = where_end(&from, r);
	return r == -EBUSY ? 0 : r;		/* a mount point */
}

/* What is wrong with a path before it is looked up: 0 or -errno. */
static long text_error(struct task *t, gaddr path)
{
	char text[UM_PATH_MAX];
	long n = string_from_guest(t, text, path, sizeof(text));

	return n > 0 ? 0 : n ? n : -ENOENT;
}

/* r is what the call says otherwise. */
static long rename_too_long(struct task *t, int olddfd, gaddr old, int newdfd, gaddr new, unsigned flags, long r)
{
	long e = directories_first(t, olddfd, old, newdfd, new);

	if (!e && r == -ENAMETOOLONG)
		e = text_error(t, new);
	if (e)
		return e;
	if (r == -ENAMETOOLONG && name_too_long(t, old) && !last_length(t, new))
		return flags & RENAME_NOREPLACE ? -EEXIST : -EBUSY;
	return r;
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
		if (!r && from.leads_nowhere && name_too_long(t, old))
			r = -ENAMETOOLONG;
		if (r)
			continue;
		r = where_begin(&to, t, newdfd, new, WHERE_PARENT | WHERE_CREATE | WHERE_CHANGE | WHERE_SECOND);
		if (r < 0)
			r = old_name_first(&from, flags, r, new);
		while (where_next(&to, &r))
			r = rename_places(&from, &to, flags);
		r = where_end(&to, r);
	}
	r = where_end(&from, r);
	if (r < 0 && (name_too_long(t, old) || name_too_long(t, new)))
		r = rename_too_long(t, olddfd, old, newdfd, new, flags, r);
	return r;
}
