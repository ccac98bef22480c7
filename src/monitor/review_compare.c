/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One place of a session: how it differs from what is below, and whether that is still what the session has hidden.
 *
 * Three states are compared: what is in the tree, what is below now, and (struct um_cow_origin) what was below when it was hidden.
 * An attribute that is in the tree as it was then has not been changed by the session, and stays as it is now.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "review.h"

#define PIECE	65536

static int64_t ns(struct timespec t)
{
	return t.tv_sec * 1000000000l + t.tv_nsec;
}

bool review_is_whiteout(int dir, const char *name, const struct stat *st)
{
	char text[sizeof(UM_COW_WHITEOUT)];
	const ssize_t n = sizeof(UM_COW_WHITEOUT) - 1;

	if (S_ISCHR(st->st_mode))
		return st->st_rdev == 0;
	return S_ISLNK(st->st_mode) && st->st_size == n && readlinkat(dir, name, text, sizeof(text)) == n &&
	       !memcmp(text, UM_COW_WHITEOUT, (size_t)n);
}

/* ---- contents ----------------------------------------------------------------------------------------- */

static bool same_bytes(int a, int b)
{
	static char one[PIECE], two[PIECE];

	for (off_t at = 0;;) {
		ssize_t n = pread(a, one, PIECE, at), m = pread(b, two, PIECE, at);
		if (n < 0 || n != m || memcmp(one, two, (size_t)n))
			return false;
		if (!n)
			return true;
		at += n;
	}
}

/* What its owner may not read is taken for the same if it was changed at the same time: a commit has put it there. */
static bool same_time(const struct stat *up, const struct stat *low)
{
	return ns(up->st_mtim) == ns(low->st_mtim) && (up->st_mode & 07777) == (low->st_mode & 07777);
}

static bool same_files(int up_dir, int low_dir, const char *name, const struct stat *up, const struct stat *low)
{
	int a = openat(up_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int b = a < 0 ? -1 : openat(low_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	bool same = b >= 0 ? same_bytes(a, b) : errno == EACCES && same_time(up, low);

	if (a >= 0)
		close(a);
	if (b >= 0)
		close(b);
	return same;
}

static bool same_links(int up_dir, int low_dir, const char *name)
{
	char one[PATH_MAX], two[PATH_MAX];
	ssize_t n = readlinkat(up_dir, name, one, sizeof(one)), m = readlinkat(low_dir, name, two, sizeof(two));

	return n >= 0 && n == m && !memcmp(one, two, (size_t)n);
}

/* Both are of one type. */
bool review_same_contents(int up_dir, int low_dir, const char *name, const struct stat *up, const struct stat *low)
{
	switch (up->st_mode & S_IFMT) {
	case S_IFREG:
		return up->st_size == low->st_size && (!up->st_size || same_files(up_dir, low_dir, name, up, low));
	case S_IFLNK:
		return up->st_size == low->st_size && same_links(up_dir, low_dir, name);
	case S_IFCHR:
	case S_IFBLK:
		return up->st_rdev == low->st_rdev;
	}
	return true;
}

/* ---- attributes ---------------------------------------------------------------------------------------- */

/* Those that a session keeps and a commit can set. */
static bool is_kept(const char *name)
{
	return !strncmp(name, "user.", 5) || !strcmp(name, "system.posix_acl_access") ||
	       !strcmp(name, "system.posix_acl_default") || !strcmp(name, "security.capability");
}

struct xattrs {
	char path[64 + NAME_MAX];
	char *names;
	ssize_t len;
};

static void xattrs_read(struct xattrs *x, int dir, const char *name)
{
	snprintf(x->path, sizeof(x->path), "/proc/self/fd/%d/%s", dir, name);
	x->names = NULL;
	x->len = llistxattr(x->path, NULL, 0);
	if (x->len <= 0)
		return;
	x->names = malloc((size_t)x->len);
	x->len = x->names ? llistxattr(x->path, x->names, (size_t)x->len) : 0;
}

/* Is everything that `a` has in `b`, with the same value? */
static bool contains(const struct xattrs *b, const struct xattrs *a)
{
	char one[PIECE], two[PIECE];

	for (ssize_t at = 0; at < a->len; at += (ssize_t)strlen(a->names + at) + 1) {
		const char *name = a->names + at;
		if (!is_kept(name))
			continue;
		ssize_t n = lgetxattr(a->path, name, one, sizeof(one)), m = lgetxattr(b->path, name, two, sizeof(two));
		if (n >= 0 && (n != m || memcmp(one, two, (size_t)n)))
			return false;
	}
	return true;
}

static bool same_xattrs(const struct change *c)
{
	struct xattrs up, low;

	xattrs_read(&up, c->up_dir, *c->name ? c->name : ".");
	xattrs_read(&low, c->low_dir, *c->name ? c->name : ".");
	bool same = contains(&low, &up) && contains(&up, &low);
	free(up.names);
	free(low.names);
	return same;
}

/* One attribute: what the session has, what is below, what was below.  Returns whether the session changed it; *to is what it
 * is to be. */
static bool attribute(unsigned up, unsigned low, const unsigned *was, unsigned *to, bool *conflict)
{
	bool changed = up != low && !(was && up == *was);

	*to = changed ? up : low;
	*conflict |= changed && was && low != *was;
	return changed;
}

/* Not every mounted image keeps the nanoseconds. */
static bool same_mtime(const struct session *s, const struct stat *up, const struct stat *low)
{
	if (s->over && !low->st_mtim.tv_nsec)
		return up->st_mtim.tv_sec == low->st_mtim.tv_sec;
	return ns(up->st_mtim) == ns(low->st_mtim);
}

static void compare_attributes(const struct session *s, struct change *c, const struct um_cow_origin *o)
{
	const unsigned mode = o ? o->mode & 07777 : 0;
	bool conflict = false;
	unsigned to;

	if (!S_ISLNK(c->up.st_mode) &&
	    attribute(c->up.st_mode & 07777, c->low.st_mode & 07777, o ? &mode : NULL, &to, &conflict))
		c->attributes |= CHANGE_MODE;
	c->mode = S_ISLNK(c->up.st_mode) ? 0777 : to;
	if (attribute(c->up.st_uid, c->low.st_uid, o ? &o->uid : NULL, &c->uid, &conflict))
		c->attributes |= CHANGE_OWNER;
	if (attribute(c->up.st_gid, c->low.st_gid, o ? &o->gid : NULL, &c->gid, &conflict))
		c->attributes |= CHANGE_GROUP;
	if (!S_ISDIR(c->up.st_mode) && !same_mtime(s, &c->up, &c->low) && !(o && ns(c->up.st_mtim) == o->mtime))
		c->attributes |= CHANGE_TIMES;
	if (!same_xattrs(c))
		c->attributes |= CHANGE_XATTRS;
	if (!*c->path) {	/* the tree's own owner is that of who began the session */
		c->attributes &= ~(CHANGE_OWNER | CHANGE_GROUP);
		c->uid = c->low.st_uid;
		c->gid = c->low.st_gid;
	}
	if (conflict && c->attributes)
		c->conflict = "its mode or owner has been changed below, too";
}

/* ---- was it changed below? ----------------------------------------------------------------------------- */

/* That a name was added or taken away, or permissions changed, explains a later ctime. */
static bool is_as_it_was(const struct stat *st, const struct um_cow_origin *o)
{
	if (st->st_ino != o->ino || (st->st_mode & S_IFMT) != (o->mode & S_IFMT))
		return false;
	if (S_ISDIR(st->st_mode))
		return true;
	return ns(st->st_mtim) == o->mtime && (uint64_t)st->st_size == o->size &&
	       (ns(st->st_ctim) == o->ctime || st->st_nlink != o->nlink || st->st_mode != o->mode ||
		st->st_uid != o->uid || st->st_gid != o->gid);
}

static bool changed_since(const struct review *r, const struct stat *st, const char *path, int64_t since)
{
	const struct um_cow_origin *o = session_origin(r->s, path);

	if (o && !S_ISDIR(st->st_mode))
		return !is_as_it_was(st, o);
	if (r->touched && inode_set_has(r->touched, st->st_dev, st->st_ino))
		return ns(st->st_mtim) > since;
	return ns(st->st_ctim) > since;
}

/* Names that came to it or went are looked at one by one; but a directory that was moved here, with old things in it, is seen only
 * by its own inode.  Renaming it changes its ctime and not its mtime. */
static bool directory_changed_since(const struct review *r, const struct stat *st, const char *path, int64_t since)
{
	const struct um_cow_origin *o = session_origin(r->s, path);

	return o ? !is_as_it_was(st, o) : ns(st->st_ctim) > since && ns(st->st_ctim) != ns(st->st_mtim);
}

bool review_hidden_changed(const struct review *r, int dir, const char *name, const char *path, int64_t since)
{
	struct stat st;
	char **names = NULL;
	bool changed = false;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (!S_ISDIR(st.st_mode))
		return changed_since(r, &st, path, since);
	if (directory_changed_since(r, &st, path, since))
		return true;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int n = fd < 0 ? 0 : names_read(fd, &names);
	for (int i = 0; i < n && !changed; i++) {
		char *sub;
		if (asprintf(&sub, "%s/%s", path, names[i]) < 0)
			break;
		changed = review_hidden_changed(r, fd, names[i], sub, since);
		free(sub);
	}
	free(names);
	if (fd >= 0)
		close(fd);
	return changed;
}

/* What is below is hidden by something else of the session. */
static void look_for_conflict(struct review *r, struct change *c)
{
	const struct um_cow_origin *o = session_origin(r->s, c->path);
	int64_t since = r->s->state->started;

	if (S_ISDIR(c->low.st_mode) && !(c->has_up && S_ISDIR(c->up.st_mode))) {
		if (review_hidden_changed(r, c->low_dir, c->name, c->path, since))
			c->conflict = "something in it has been changed below since";
	} else if (o ? !is_as_it_was(&c->low, o) : changed_since(r, &c->low, c->path, since)) {
		c->conflict = "it has been changed below since";
	}
}

/*
 * Is the session's file another one than that below, which has further names?  Then what is changed of one must not become so of the other,
 * even if they look the same.  What a commit has put there before is not what the session has hidden; or, if a view works on
 * it, has as many names.
 */
static bool is_another(const struct review *r, const struct change *c, const struct um_cow_origin *hidden)
{
	struct vstat v;

	return !S_ISDIR(c->up.st_mode) && c->low.st_nlink > 1 && c->low.st_nlink != c->real.st_nlink &&
	       hidden && hidden->ino == c->low.st_ino && hidden->dev == um_cow_dev(c->low.st_dev) &&
	       !(session_vstat(r->s, c->real.st_dev, c->real.st_ino, &v) && v.have & UM_VS_ORIGIN);
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static void compare_both(struct review *r, struct change *c)
{
	const struct um_cow_origin *o = session_origin(r->s, c->path);

	if ((c->up.st_mode & S_IFMT) != (c->low.st_mode & S_IFMT)) {
		c->kind = CHANGE_TYPE;
		look_for_conflict(r, c);
		return;
	}
	const bool another = is_another(r, c, o);

	compare_attributes(r->s, c, o && !another && (o->mode & S_IFMT) == (c->low.st_mode & S_IFMT) ? o : NULL);
	if (S_ISDIR(c->up.st_mode) ||
	    (!another && review_same_contents(c->up_dir, c->low_dir, c->name, &c->real, &c->low))) {
		c->kind = c->attributes ? CHANGE_ATTRIBUTES : CHANGE_NONE;
		return;
	}
	c->kind = CHANGE_CONTENTS;
	look_for_conflict(r, c);
}

void review_compare(struct review *r, struct change *c)
{
	c->conflict = NULL;
	c->attributes = 0;
	if (c->has_up) {
		c->mode = c->up.st_mode & 07777;
		c->uid = c->up.st_uid;
		c->gid = c->up.st_gid;
	}
	if (c->has_up && c->has_low) {
		compare_both(r, c);
	} else if (c->has_up) {
		c->kind = CHANGE_ADDED;
		if (!S_ISDIR(c->up.st_mode) && session_origin(r->s, c->path))
			c->conflict = "it has been removed below since";
	} else if (c->has_low) {
		c->kind = CHANGE_DELETED;
		look_for_conflict(r, c);
	} else {
		c->kind = CHANGE_NONE;
	}
}
