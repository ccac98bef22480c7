/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Removing a copy-on-write session as a whole.
 *
 * The first step decides: `info` becomes `discarding`, and nobody takes the session for one any more.  Whoever is killed
 * after that leaves rubbish, which the next one who discards it removes.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remove.h"
#include "session.h"

static int fail(char *error, size_t size, const char *dir, int r)
{
	snprintf(error, size, "%s: %s", dir, strerror(-r));
	return -1;
}

/* Is it a session, or what is left of one? */
static bool is_session(int fd)
{
	char line[64] = "";
	struct stat st;
	int f = openat(fd, UM_COW_INFO, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (f < 0)
		return fstatat(fd, UM_COW_DISCARDING, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
	ssize_t n = read(f, line, sizeof(line) - 1);
	close(f);
	return n > 0 && !strncmp(line, SESSION_FIRST, 30);
}

/* Only what is ours: a directory that somebody has put other things into keeps them. */
static int remove_parts(int fd)
{
	static const char *const parts[] = {
		UM_COW_TREE, UM_COW_WORK, UM_COW_INDEX, UM_COW_REDIRECT, UM_COW_WHITE, UM_COW_STATE, UM_COW_INODES, UM_COW_COMMITTING, UM_COW_LOCK,
		UM_COW_DISCARDING,
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !r; i++) {
		r = remove_tree(fd, parts[i], true);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

int session_remove(const char *dir, char *error, size_t size)
{
	char holder[320];
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail(error, size, dir, -errno);
	if (!is_session(fd)) {
		close(fd);
		snprintf(error, size, "%s: is no copy-on-write session of umview", dir);
		return -1;
	}
	int lock = session_lock(dir, "umview discard", holder, sizeof(holder));
	int r = lock < 0 ? lock : 0;
	if (!r && renameat(fd, UM_COW_INFO, fd, UM_COW_DISCARDING) < 0 && errno != ENOENT)
		r = -errno;
	if (!r)
		r = remove_parts(fd);
	if (lock >= 0)
		close(lock);
	close(fd);
	if (!r && rmdir(dir) < 0 && errno != ENOTEMPTY && errno != EBUSY)
		r = -errno;
	if (r == -EAGAIN) {
		snprintf(error, size, "%s: is in use by %s", dir, holder);
		return -1;
	}
	return r ? fail(error, size, dir, r) : 0;
}
