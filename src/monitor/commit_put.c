/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Putting a file of a session where it belongs.
 *
 * It is made complete, with all its attributes, under another name beside its place, written out, and renamed.  What was there is
 * looked at once more before that.  A directory in its place changes places with it and is removed then.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commit.h"
#include "difftext.h"
#include "remove.h"

#define PIECE	(256u << 10)

/* ---- contents --------------------------------------------------------------------------------------- */

static int copy_by_hand(int in, int out, off_t from, off_t to)
{
	static char buf[PIECE];

	while (from < to) {
		ssize_t n = pread(in, buf, to - from < (off_t)PIECE ? (size_t)(to - from) : PIECE, from);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (ssize_t done = 0; done < n;) {
			ssize_t k = pwrite(out, buf + done, (size_t)(n - done), from + done);
			if (k <= 0)
				return k < 0 ? -errno : -EIO;
			done += k;
		}
		from += n;
	}
	return 0;
}

static int copy_range(int in, int out, off_t from, off_t to)
{
	while (from < to) {
		off_t at = from, there = from;
		ssize_t n = copy_file_range(in, &at, out, &there, (size_t)(to - from), 0);
		if (n <= 0)
			return n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO) ? -errno
											     : copy_by_hand(in, out, from, to);
		from += n;
	}
	return 0;
}

/* Holes stay holes. */
int commit_copy(int in, int out, off_t size)
{
	off_t at = 0;

	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	while (at < size) {
		off_t data = lseek(in, at, SEEK_DATA), end;
		if (data < 0 && errno == ENXIO)
			break;
		end = data < 0 ? -1 : lseek(in, data, SEEK_HOLE);
		if (end < 0) {
			data = at;
			end = size;
		}
		int r = copy_range(in, out, data, end < size ? end : size);
		if (r)
			return r;
		at = end;
	}
	return ftruncate(out, size) < 0 ? -errno : 0;
}

int commit_write_all(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0) {		/* it may not be read */
		sync();
		return 0;
	}
	r = syncfs(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

/* ---- making it ---------------------------------------------------------------------------------------- */

/* in: the file of the session. */
static int make_file(struct commit *k, struct change *c, int in)
{
	int r = commit_copy_begin(k, c, in);

	if (r)
		return r;
	int out = openat(c->low_dir, k->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = out < 0 ? -errno : commit_copy(in, out, c->real.st_size);
	if (!r)
		r = commit_attributes(k, c, c->low_dir, k->temp, true);
	if (!r && !c->has_low)
		k->frame->unwritten = true;	/* nothing is lost with it: the session has it until all of the directory is written */
	else if (!r && fsync(out) < 0 && errno != EINVAL && errno != EROFS)
		r = -errno;
	if (out >= 0 && close(out) < 0 && !r)
		r = -errno;
	return r;
}

static int make_other(struct commit *k, struct change *c)
{
	char text[PATH_MAX];
	int r = 0;

	if (S_ISLNK(c->up.st_mode)) {
		if (link_text(c->up_dir, c->name, text, sizeof(text)) < 0 || symlinkat(text, c->low_dir, k->temp) < 0)
			r = -errno;
	} else if (mknodat(c->low_dir, k->temp, (c->up.st_mode & S_IFMT) | 0600, c->up.st_rdev) < 0) {
		r = -errno;
	}
	return r ? r : commit_attributes(k, c, c->low_dir, k->temp, true);
}

/* ---- putting it there ----------------------------------------------------------------------------------- */

bool commit_is_still(const struct change *c)
{
	struct stat now;

	if (fstatat(c->low_dir, c->name, &now, AT_SYMLINK_NOFOLLOW) < 0)
		return !c->has_low && errno == ENOENT;
	return c->has_low && now.st_ino == c->low.st_ino && now.st_dev == c->low.st_dev &&
	       (S_ISDIR(now.st_mode) ||
		(now.st_size == c->low.st_size && now.st_mtim.tv_sec == c->low.st_mtim.tv_sec &&
		 now.st_mtim.tv_nsec == c->low.st_mtim.tv_nsec && now.st_mode == c->low.st_mode));
}

static int exchange(struct commit *k, const struct change *c)
{
	return renameat2(c->low_dir, k->temp, c->low_dir, c->name, RENAME_EXCHANGE) < 0 ? -errno : 0;
}

static int put_there(struct commit *k, struct change *c)
{
	if (!commit_is_still(c))
		return CHANGED_MEANWHILE;
	if (c->has_low && S_ISDIR(c->low.st_mode))
		return exchange(k, c);
	if (!c->has_low) {
		if (renameat2(c->low_dir, k->temp, c->low_dir, c->name, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno == EEXIST)
			return CHANGED_MEANWHILE;
		if (errno != EINVAL && errno != ENOSYS)
			return -errno;
	}
	if (renameat(c->low_dir, k->temp, c->low_dir, c->name) < 0)
		return -errno;
	if (c->has_low && c->low.st_nlink > 1)
		commit_name_gone(k, &c->low);
	return 0;
}

/* The directory that has changed places with it goes, which takes its time; or all is as it was. */
static int remove_replaced(struct commit *k, struct change *c)
{
	int r = commit_remove(k, c, k->temp), e = 0;

	commit_change_begin(k);
	if (r)
		e = exchange(k, c);
	else
		commit_note_below(k, c);
	commit_change_end(k);
	return e ? e : r;
}

/* A guest sees what it does to the name, or we see what it has done. */
static int put(struct commit *k, struct change *c, int in)
{
	int r;

	commit_change_begin(k);
	r = commit_is_current(k, c, in) ? put_there(k, c) : BEING_WRITTEN;
	if (!r)
		commit_note_below(k, c);
	commit_change_end(k);
	return !r && c->has_low && S_ISDIR(c->low.st_mode) ? remove_replaced(k, c) : r;
}

/* A file of the session.  One that its owner may not read, for the time that takes may: which is written down before. */
static int open_up(struct commit *k, const struct change *c)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(c->up_dir, c->name, flags), r = -errno;

	if (fd >= 0 || r != -EACCES || k->s->running || c->real.st_uid != geteuid())
		return fd >= 0 ? fd : r;
	r = commit_journal_attributes(k, c);
	if (!r)
		r = commit_set_mode(c->up_dir, c->name, (c->real.st_mode & 07777) | 0400);
	if (r)
		return r;
	fd = openat(c->up_dir, c->name, flags);
	r = fd < 0 ? -errno : fd;
	commit_set_mode(c->up_dir, c->name, c->real.st_mode & 07777);
	return r;
}

int commit_put(struct commit *k, struct change *c)
{
	int in = S_ISREG(c->up.st_mode) ? open_up(k, c) : -1;
	int r = in < 0 && S_ISREG(c->up.st_mode) ? in : c->low_dir < 0 ? -ENOENT : commit_journal(k, c);

	if (!r) {
		remove_tree(c->low_dir, k->temp, false);
		r = S_ISREG(c->up.st_mode) ? make_file(k, c, in) : make_other(k, c);
		if (!r)
			r = put(k, c, in);
		if (r)
			remove_tree(c->low_dir, k->temp, false);
	}
	if (in >= 0)
		close(in);
	return r;
}

int commit_link(struct commit *k, struct change *c, const char *path)
{
	char *dir = strdup(path), *slash = dir ? strrchr(dir, '/') : NULL;
	const char *name = slash ? slash + 1 : dir;
	int r = c->low_dir < 0 ? -ENOENT : commit_journal(k, c), from;

	if (!dir)
		return -ENOMEM;
	if (slash)
		*slash = 0;
	from = r ? r : open_below(k->s->low_fd, slash ? dir : "", O_PATH | O_DIRECTORY);
	if (from < 0)
		r = from;
	if (!r) {
		remove_tree(c->low_dir, k->temp, false);
		r = linkat(from, name, c->low_dir, k->temp, 0) < 0 ? -errno : put(k, c, -1);
		if (r)
			remove_tree(c->low_dir, k->temp, false);
	}
	if (from >= 0)
		close(from);
	free(dir);
	return r;
}
