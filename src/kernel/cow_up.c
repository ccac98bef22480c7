/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copying up: what is changed for the first time gets a copy in the session's tree.
 *
 * A copy is made in work/, complete with contents, holes, times, attributes and what the table of inodes has to say of it,
 * without a lock; then it is put in its place by one rename.  If somebody else was faster, or what is below does not show there
 * any more, it is dropped, and whoever wanted it looks again (-UM_ERETRY).
 * What cannot be kept (an owner that we may not give files to, an attribute of a kind that needs rights) is left
 * out, but the owner, which the table remembers.
 */
#include <linux/fs.h>
#include <linux/xattr.h>
#include "cow.h"
#include "dir_list.h"

#define LIST_MAX	65536u		/* names of extended attributes: what the kernel lets there be */
#define VALUE_MAX	65536u

struct copy {
	struct task *t;
	struct cow *c;
	struct where *w;		/* the place for which it is made */
	const char *rel;		/* the path of both */
	struct stat st;			/* of what is below */
	char low[UM_PATH_MAX], up[UM_PATH_MAX], work[UM_PATH_MAX];
};

/* ---- attributes ------------------------------------------------------------------------------------------ */

/* What the session's file system cannot keep is left out; that there is no room for it is an error. */
static long copy_xattr(const struct copy *k, const char *name, char *value)
{
	long n = cow_low_getxattr(k->t, k->c, k->low, name, value, VALUE_MAX);

	if (n >= 0)
		n = raw_syscall(__NR_lsetxattr, k->work, name, value, n, 0);
	return n == -ENOSPC || n == -EDQUOT || n == -EIO ? n : 0;
}

static long copy_xattrs(const struct copy *k)
{
	char *names, *value;
	long n = cow_low_listxattr(k->t, k->c, k->low, NULL, 0), r = 0;

	if (n <= 0 || n > (long)LIST_MAX)
		return 0;
	names = heap_alloc(LIST_MAX);
	value = heap_alloc(VALUE_MAX);
	if (!names || !value)
		r = -ENOMEM;
	n = r ? 0 : cow_low_listxattr(k->t, k->c, k->low, names, LIST_MAX);
	for (long at = 0; at < n && !r; at += (long)strlen(names + at) + 1)
		r = copy_xattr(k, names + at, value);
	heap_free(names);
	heap_free(value);
	return r;
}

static void copy_times(const char *path, const struct stat *st)
{
	const struct timespec64 ts[2] = {
		{ (int64_t)st->st_atime, (int64_t)st->st_atime_nsec },
		{ (int64_t)st->st_mtime, (int64_t)st->st_mtime_nsec },
	};

	raw_syscall(__NR_utimensat, AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW);
}

/* What only the table can remember of the copy in work/, of which st is true. */
static int note_attributes(const struct copy *k, const struct stat *st)
{
	struct vstat v = {
		.have = UM_VS_ORIGIN, .origin_dev = um_cow_dev(k->st.st_dev), .origin_ino = k->st.st_ino,
	};

	if (st->st_uid != k->st.st_uid) {
		v.have |= UM_VS_UID;
		v.uid = k->st.st_uid;
	}
	if (st->st_gid != k->st.st_gid) {
		v.have |= UM_VS_GID;
		v.gid = k->st.st_gid;
	}
	if (!S_ISDIR(st->st_mode))
		__atomic_add_fetch(&k->c->state->ncopies, 1, __ATOMIC_RELAXED);
	return vtable_set(&k->c->inodes, k->t, st->st_dev, st->st_ino, &v, ~0u);
}

static int copy_attributes(const struct copy *k)
{
	const struct stat *want = &k->st;
	struct stat st;
	int r = cow_look(k->work, &st);

	if (r)
		return r;
	if ((st.st_uid != want->st_uid || st.st_gid != want->st_gid) &&
	    !raw_syscall(__NR_fchownat, AT_FDCWD, k->work, want->st_uid, want->st_gid, AT_SYMLINK_NOFOLLOW)) {
		st.st_uid = want->st_uid;
		st.st_gid = want->st_gid;
		st.st_mode &= S_IFMT;		/* may have taken bits away */
	}
	if (!S_ISLNK(want->st_mode) && (st.st_mode & 07777) != (want->st_mode & 07777))
		raw_syscall(__NR_fchmodat, AT_FDCWD, k->work, want->st_mode & 07777);
	r = (int)copy_xattrs(k);
	copy_times(k->work, want);
	return r ? r : note_attributes(k, &st);
}

/* ---- putting it in its place ----------------------------------------------------------------------------- */

/* Is it a directory that may not be written, and may be now? */
static bool make_writable(const char *path, struct stat *st)
{
	return !cow_look(path, st) && S_ISDIR(st->st_mode) && !(st->st_mode & 0200) &&
	       !raw_syscall(__NR_fchmodat, AT_FDCWD, path, (st->st_mode & 07777) | 0200);
}

long cow_put(const char *from, const char *to, unsigned flags)
{
	struct stat a, b;
	long r = raw_syscall(__NR_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
	bool first, second;

	if (r != -EACCES)
		return r;
	first = make_writable(from, &a);
	second = flags & RENAME_EXCHANGE && make_writable(to, &b);
	if (first || second)
		r = raw_syscall(__NR_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
	if (first)
		raw_syscall(__NR_fchmodat, AT_FDCWD, r ? from : to, a.st_mode & 07777);
	if (second)
		raw_syscall(__NR_fchmodat, AT_FDCWD, r ? to : from, b.st_mode & 07777);
	return r;
}

/* The table first: as soon as the inode is free another one may get its number, and would be shown as this one's original. */
static void discard(const struct copy *k)
{
	struct stat st;

	if (!cow_look(k->work, &st))
		vtable_remove(&k->c->inodes, k->t, st.st_dev, st.st_ino);
	raw_syscall(__NR_unlinkat, AT_FDCWD, k->work, S_ISDIR(k->st.st_mode) ? AT_REMOVEDIR : 0);
}

/* The directory of the place: k->up up to its last slash, in buf. */
static void parent_of(const char *path, char *buf)
{
	size_t n = (size_t)(strrchr(path, '/') - path);

	memcpy(buf, path, n);
	buf[n] = 0;
}

/* -EEXIST: somebody else was faster.  (The lock is held: not every file system can say so itself.) */
static long put(const struct copy *k, const char *index)
{
	struct stat st;
	long r;

	if (index)
		return raw_syscall(__NR_linkat, AT_FDCWD, index, AT_FDCWD, k->up, 0);
	r = cow_put(k->work, k->up, RENAME_NOREPLACE);
	if (r != -EINVAL)
		return r;
	return cow_look(k->up, &st) ? cow_put(k->work, k->up, 0) : -EEXIST;
}

/* Into a directory that its owner has made unwritable, too: the copy is no change of it. */
static long put_in(const struct copy *k, const char *index, const char *dir, const struct stat *st)
{
	long r = put(k, index);

	if (r != -EACCES || raw_syscall(__NR_fchmodat, AT_FDCWD, dir, (st->st_mode & 07777) | 0700))
		return r;
	r = put(k, index);
	raw_syscall(__NR_fchmodat, AT_FDCWD, dir, st->st_mode & 07777);
	return r;
}

static long publish(struct copy *k)
{
	struct stat parent;
	char *dir = heap_alloc(UM_PATH_MAX);
	bool held;
	long r;

	if (!dir) {
		discard(k);
		return -ENOMEM;
	}
	parent_of(k->up, dir);
	cow_lock(k->t, k->c);
	held = !where_is_stale(k->w);
	r = held || cow_shows_below(k->c, k->rel, k->low) ? cow_look(dir, &parent) : -UM_ERETRY;
	if (!r) {
		cow_note_origin(k->c, k->rel, &k->st);
		r = put_in(k, NULL, dir, &parent);
	}
	if (!r) {
		copy_times(dir, &parent);
		cow_change_copied(k->c, k->w, held);
	}
	cow_unlock(k->c);
	if (r)
		discard(k);
	heap_free(dir);
	return r == -EEXIST ? -UM_ERETRY : r;
}

/* ---- one thing ------------------------------------------------------------------------------------------- */

static long make_file(struct copy *k, bool empty)
{
	long r = 0, out = raw_syscall(__NR_openat, AT_FDCWD, k->work, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
				      k->st.st_mode & 0777);

	if (out < 0)
		return out;
	if (!empty)
		r = cow_low_copy(k->t, k->c, k->low, (int)out, (long)k->st.st_size);
	if (r == -EACCES && !k->st.st_size)
		r = 0;
	raw_syscall(__NR_close, out);
	if (r)
		discard(k);
	return r;
}

static long make_link(struct copy *k)
{
	char *text = heap_alloc(UM_PATH_MAX);
	long n = text ? cow_low_readlink(k->t, k->c, k->low, text, UM_PATH_MAX - 1) : -ENOMEM;

	if (n >= 0) {
		text[n] = 0;
		n = raw_syscall(__NR_symlinkat, text, AT_FDCWD, k->work);
	}
	heap_free(text);
	return n;
}

static long make(struct copy *k, bool empty)
{
	unsigned type = k->st.st_mode & S_IFMT, mode = k->st.st_mode & 0777;	/* work/ is nobody else's */

	switch (type) {
	case S_IFREG:
		return make_file(k, empty);
	case S_IFDIR:
		return raw_syscall(__NR_mkdirat, AT_FDCWD, k->work, mode);
	case S_IFLNK:
		return make_link(k);
	default:
		return raw_syscall(__NR_mknodat, AT_FDCWD, k->work, type | mode, k->st.st_rdev);
	}
}

/* ---- what has several names below ------------------------------------------------------------------------ */

/* Of the copy: it has one name, that in the index, and the guest sees all names below that have not gone. */
static int count_first(struct copy *k)
{
	struct vstat v = { .have = UM_VS_NLINK, .nlink = (int32_t)k->st.st_nlink + cow_count_of(k->c, &k->st) - 1 };
	struct stat st;
	int r = cow_look(k->work, &st);

	return r ? r : vtable_set(&k->c->inodes, k->t, st.st_dev, st.st_ino, &v, UM_VS_NLINK);
}

/* Makes the copy, in the index. */
static long index_new(struct copy *k, const char *index, bool empty)
{
	struct stat st;
	long r = cow_work_path(k->t, k->c, k->work);

	if (!r)
		r = make(k, empty);
	if (r)
		return r;
	r = copy_attributes(k);
	__atomic_add_fetch(&k->c->state->nindex, 1, __ATOMIC_SEQ_CST);
	cow_lock(k->t, k->c);
	if (!r && !cow_look(index, &st)) {
		discard(k);		/* somebody else was faster */
	} else {
		if (!r)
			r = count_first(k);
		if (!r)
			r = raw_syscall(__NR_renameat2, AT_FDCWD, k->work, AT_FDCWD, index, 0);
		if (r)
			discard(k);
	}
	cow_unlock(k->c);
	return r;
}

/* The copy in the index gets its name in the tree.  The lock is held. */
static long index_link(struct copy *k, const char *rel, const char *index, const char *dir)
{
	struct cow_count n;
	struct stat st, parent;
	long r = cow_look(index, &st);

	if (!r)
		r = cow_look(dir, &parent);
	if (r)
		return r;
	n = (struct cow_count) { st.st_dev, st.st_ino, cow_count_of(k->c, &st) - 1 };
	cow_journal(k->c, UM_COW_COUNTED, "", rel, st.st_ino, &n);
	r = put_in(k, index, dir, &parent);
	if (!r)
		cow_count_set(k->t, k->c, &n);
	if (r && st.st_nlink == 1) {
		vtable_remove(&k->c->inodes, k->t, st.st_dev, st.st_ino);
		raw_syscall(__NR_unlinkat, AT_FDCWD, index, 0);
	}
	cow_journal_end(k->c);
	if (!r)
		copy_times(dir, &parent);
	return r;
}

/* k->up and k->st are known. */
static long copy_named(struct copy *k, const char *rel, bool empty)
{
	char *index = heap_alloc(2 * UM_PATH_MAX), *dir = index + UM_PATH_MAX;
	struct stat st;
	bool held;
	long r = index ? cow_index_path(k->c, index, &k->st) : -ENOMEM;

	if (!r && cow_look(index, &st))
		r = index_new(k, index, empty);
	if (!r) {
		parent_of(k->up, dir);
		cow_lock(k->t, k->c);
		held = !where_is_stale(k->w);
		if (!held && !cow_shows_below(k->c, rel, k->low))
			r = -UM_ERETRY;
		if (!r) {
			cow_note_origin(k->c, rel, &k->st);
			r = index_link(k, rel, index, dir);
		}
		if (!r)
			cow_change_copied(k->c, k->w, held);
		cow_unlock(k->c);
	}
	heap_free(index);
	return r;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

/* It was not in the tree just now. */
static long copy_one(struct copy *k, const char *rel, bool empty)
{
	long r = cow_has_room(k->c);

	k->rel = rel;
	if (!r)
		r = cow_low_path(k->c, k->low, rel);
	if (!r)
		r = cow_up_path(k->c, k->up, rel);
	if (!r)
		r = cow_low_look(k->t, k->c, k->low, &k->st);
	if (!r && cow_has_names(&k->st)) {
		r = copy_named(k, rel, empty);
		if (r != -EPERM && r != -EOPNOTSUPP)
			return r;
		r = 0;		/* no links in this file system */
	}
	if (!r)
		r = cow_work_path(k->t, k->c, k->work);
	if (!r)
		r = make(k, empty);
	if (r)
		return r;
	r = copy_attributes(k);
	if (r) {
		discard(k);
		return r;
	}
	r = publish(k);
	if (!r && S_ISDIR(k->st.st_mode))
		view_links_changed(k->t);
	return r;
}

static long copy_parents(struct copy *k, const char *rel)
{
	const char *last = strrchr(rel, '/');
	char *part = last ? heap_strndup(rel, strlen(rel)) : NULL, *slash = NULL;
	struct stat st;
	long r = last && !part ? -ENOMEM : 0;
	bool there = false;

	/* Most often the last one is there, or the one before it. */
	while (part && !r && !there && (slash = strrchr(part, '/'))) {
		*slash = 0;
		r = cow_up_path(k->c, k->up, part);
		there = !r && !cow_look(k->up, &st);
	}
	while (part && !r) {
		size_t n = strlen(part);

		if (!there)
			r = copy_one(k, part, false);
		there = false;
		if (rel + n == last)
			break;
		part[n] = '/';		/* up to the next that was cut */
	}
	heap_free(part);
	return r;
}

static struct copy *copy_new(struct where *w, struct cow *c)
{
	struct copy *k = heap_alloc(sizeof *k);

	if (k) {
		k->w = w;
		k->t = w->t;
		k->c = c;
	}
	return k;
}

long cow_copy_parents(struct where *w, struct cow *c, const char *rel)
{
	struct copy *k;
	long r;

	if (!strchr(rel, '/'))
		return 0;
	k = copy_new(w, c);
	if (!k)
		return -ENOMEM;
	r = copy_parents(k, rel);
	heap_free(k);
	return r;
}

long cow_copy_up(struct where *w, struct cow *c, const char *rel, bool empty)
{
	struct copy *k = copy_new(w, c);
	long r;

	if (!k)
		return -ENOMEM;
	r = copy_parents(k, rel);
	if (!r)
		r = copy_one(k, rel, empty);
	heap_free(k);
	return r;
}
