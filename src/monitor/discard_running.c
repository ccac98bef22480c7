/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discarding what a session holds while a view is working on it.
 *
 * A guest finds a name in the tree, and uses it there a moment later; so a name that goes on showing something does not leave the
 * tree: what is there becomes, by one rename, a new copy of what is below, which is no change.  What is in the session only goes, and so
 * does a whiteout.  Directories that something below would show in, or at another place than now, are left, for guests
 * remember those; and so is what is open for writing.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commit.h"
#include "difftext.h"

#define WRITTEN	"left alone: it is open for writing in the view; discard it later"
#define MOVED	"left alone: a moved directory is not discarded while a view works on the session"
#define NAMES	"left alone: it has several names below, and is not discarded while a view works on the session"
#define NAME	"review"

/* ---- is anything of it being written? ------------------------------------------------------------------------ */

static bool is_written(int dir, const char *name)
{
	struct stat st;
	char **names;
	bool is = false;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return false;
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;		/* what may not be read cannot be told */
	int n = S_ISDIR(st.st_mode) ? names_read(fd, &names) : -1;
	if (S_ISREG(st.st_mode))
		is = commit_is_written(fd);
	for (int i = 0; i < n && !is; i++)
		is = is_written(fd, names[i]);
	if (n >= 0)
		free(names);
	close(fd);
	return is;
}

/* What is in a directory that is about to go as a whole, and may not: NULL: nothing. */
static const char *obstacle(const struct session *s, int dir, const char *name)
{
	const char *why = NULL;
	struct stat st;
	char **names;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return NULL;
	if (!S_ISDIR(st.st_mode))
		return st.st_nlink > 1 && session_is_indexed(s, &st) ? NAMES : NULL;
	char *from = session_redirect(s, st.st_ino);
	bool moved = from != NULL;
	free(from);
	if (moved)
		return MOVED;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), n = fd < 0 ? -1 : names_read(fd, &names);
	for (int i = 0; i < n && !why; i++)
		why = obstacle(s, fd, names[i]);
	if (n >= 0)
		free(names);
	if (fd >= 0)
		close(fd);
	return why;
}

/* ---- what is in the session only ------------------------------------------------------------------------------- */

static void keep_times(int dir, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	utimensat(dir, ".", times, 0);
}

/* Out of the tree at once; back if it turns out that somebody has opened it just before. */
static const char *take_away(struct session *s, struct change *c, int work)
{
	const char *why = c->has_up ? obstacle(s, c->up_dir, c->name) : NULL;
	struct stat dir;

	if (why || is_written(c->up_dir, c->name))
		return why ? why : WRITTEN;
	session_change_begin(s);
	if (c->whiteout && c->has_low && c->low.st_nlink > 1 && !S_ISDIR(c->low.st_mode))
		session_name_gone(s, c->low.st_dev, c->low.st_ino);
	int r = fstatat(c->up_dir, ".", &dir, 0) < 0 || renameat(c->up_dir, c->name, work, NAME) < 0 ? -errno : 0;
	bool back = !r && is_written(work, NAME) && renameat2(work, NAME, c->up_dir, c->name, RENAME_NOREPLACE) == 0;
	if (!r)
		keep_times(c->up_dir, &dir);
	session_change_end(s);
	if (!r && !back)
		r = session_drop(s, work, NAME, c->path);
	return back ? WRITTEN : r && r != -ENOENT ? strerror(-r) : NULL;
}

/* ---- what becomes a copy of what is below ------------------------------------------------------------------------- */

static int copy_file(const struct change *c, int work)
{
	int in = openat(c->low_dir, c->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r;

	if (in < 0)
		return -errno;
	int out = openat(work, NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = out < 0 ? -errno : commit_copy(in, out, c->low.st_size);
	close(in);
	if (out >= 0 && close(out) < 0 && !r)
		r = -errno;
	return r;
}

static int copy_other(const struct change *c, int work)
{
	char text[PATH_MAX];

	if (!S_ISLNK(c->low.st_mode))
		return mknodat(work, NAME, (c->low.st_mode & S_IFMT) | 0600, c->low.st_rdev) < 0 ? -errno : 0;
	return link_text(c->low_dir, c->name, text, sizeof(text)) < 0 || symlinkat(text, work, NAME) < 0 ? -errno : 0;
}

/* As kernel/cow_up.c does it: what only the table can remember of the copy. */
static int note_copy(struct session *s, const struct change *c, int work)
{
	struct vstat v = { .have = UM_VS_ORIGIN, .origin_dev = c->low.st_dev, .origin_ino = c->low.st_ino };
	struct stat st;

	if (fstatat(work, NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (st.st_uid != c->low.st_uid) {
		v.have |= UM_VS_UID;
		v.uid = c->low.st_uid;
	}
	if (st.st_gid != c->low.st_gid) {
		v.have |= UM_VS_GID;
		v.gid = c->low.st_gid;
	}
	return session_note_copy(s, st.st_dev, st.st_ino, &v);
}

/* What commit_attributes() is to give: those that c has below. */
static struct change as_below(const struct change *c)
{
	struct change low = *c;

	low.up_dir = c->low_dir;
	low.up = c->low;
	low.mode = c->low.st_mode & 07777;
	low.uid = c->low.st_uid;
	low.gid = c->low.st_gid;
	return low;
}

static int make_copy(struct session *s, const struct change *c, int work)
{
	struct commit k = { .s = s, .unkept = LONG_MAX / 2 };		/* the owner is remembered, and nothing said */
	const struct change low = as_below(c);
	int r = S_ISREG(c->low.st_mode) ? copy_file(c, work) : copy_other(c, work);

	if (!r)
		r = commit_attributes(&k, &low, work, NAME, true);
	return r ? r : note_copy(s, c, work);
}

/* They change places, so that what was there can be looked at once more. */
static const char *put_copy(struct session *s, struct change *c, int work)
{
	struct stat now, dir;

	session_change_begin(s);
	bool same = fstatat(c->up_dir, c->name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == c->real.st_ino &&
		    fstatat(c->up_dir, ".", &dir, 0) == 0;
	int r = same && renameat2(work, NAME, c->up_dir, c->name, RENAME_EXCHANGE) < 0 ? -errno : 0;
	bool back = same && !r && is_written(work, NAME) && renameat2(work, NAME, c->up_dir, c->name, RENAME_EXCHANGE) == 0;
	if (same && !r && !back)
		session_renew_origin(s, c->path, &c->low);
	if (same && !r)
		keep_times(c->up_dir, &dir);
	session_change_end(s);
	return !same ? "left alone: it is being changed in the view" : r ? strerror(-r) : back ? WRITTEN : NULL;
}

static const char *show_below(struct session *s, struct change *c, int work)
{
	const char *why = NULL;

	if (is_written(c->up_dir, c->name))
		return WRITTEN;
	int r = make_copy(s, c, work);
	if (!r)
		why = put_copy(s, c, work);
	session_drop(s, work, NAME, NULL);
	return r ? strerror(-r) : why;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------ */

static const char *not_now(const struct session *s, const struct change *c)
{
	if (c->from || c->moved_away)
		return MOVED;
	if (c->has_up && linked_is(c) && session_is_indexed(s, &c->real))
		return NAMES;
	if (c->has_up && c->has_low && (c->up.st_mode & S_IFMT) != (c->low.st_mode & S_IFMT))
		return "left alone: what replaces something of another type is not discarded while a view works on the session";
	if (c->has_up && c->has_low && c->opaque)
		return "left alone: what replaces another directory is not discarded while a view works on the session";
	return NULL;
}

/* A directory that is below, too: of its own it has nothing but attributes. */
static void like_below(struct session *s, const struct change *c)
{
	struct commit k = { .s = s, .unkept = LONG_MAX / 2 };
	const struct change low = as_below(c);

	if (c->kind == CHANGE_ATTRIBUTES)
		commit_attributes(&k, &low, c->up_dir, c->name, true);
}

const char *discard_running(struct session *s, struct change *c)
{
	const char *why = not_now(s, c);

	if (why)
		return why;
	if (c->has_up && c->has_low && S_ISDIR(c->up.st_mode)) {
		like_below(s, c);
		return "";
	}
	if (c->kind == CHANGE_NONE && c->has_up)
		return NULL;
	int work = openat(s->dir_fd, UM_COW_WORK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (work < 0)
		return strerror(errno);
	session_drop(s, work, NAME, NULL);		/* of one who was killed */
	why = c->has_up && c->has_low ? show_below(s, c, work) : take_away(s, c, work);
	close(work);
	return why;
}
