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
		UM_COW_TREE, UM_COW_WORK, UM_COW_INDEX, UM_COW_REDIRECT, UM_COW_WHITE, UM_COW_STATE, UM_COW_GONE_FILE, UM_COW_INODES, UM_COW_COMMITTING, UM_COW_LINKING,
		UM_COW_LOCK, UM_COW_REVIEWING, UM_COW_DISCARDING,
	};
	int r = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !r; i++) {
		r = remove_tree(fd, parts[i], true);
		r = r == -ENOENT ? 0 : r;
	}
	return r;
}

/* Both locks.  0 or -errno. */
static int lock_both(const char *dir, int fds[2], char *holder, size_t size)
{
	fds[1] = -1;
	fds[0] = session_lock(dir, UM_COW_REVIEWING, "umview discard", holder, size);
	if (fds[0] >= 0)
		fds[1] = session_lock(dir, UM_COW_LOCK, "umview discard", holder, size);
	return fds[0] < 0 ? fds[0] : fds[1] < 0 ? fds[1] : 0;
}

static int remove_locked(int fd)
{
	if (renameat(fd, UM_COW_INFO, fd, UM_COW_DISCARDING) < 0 && errno != ENOENT)
		return -errno;
	return remove_parts(fd);
}

void session_remove_half(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (!is_session(fd))
		remove_parts(fd);
	close(fd);
	rmdir(dir);
}

int session_remove(const char *dir, char *error, size_t size)
{
	const struct failure f = { error, size };
	char holder[320];
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), locks[2];

	if (fd < 0)
		return session_fail(&f, "%s: %s", dir, strerror(errno));
	if (!is_session(fd)) {
		close(fd);
		return session_fail(&f, "%s: is no copy-on-write session of umview", dir);
	}
	int r = lock_both(dir, locks, holder, sizeof(holder));
	if (!r)
		r = remove_locked(fd);
	for (int i = 0; i < 2; i++)
		if (locks[i] >= 0)
			close(locks[i]);
	close(fd);
	if (!r && rmdir(dir) < 0 && errno != ENOTEMPTY && errno != EBUSY)
		r = -errno;
	if (r == -EAGAIN)
		return session_fail(&f, "%s: is in use by %s", dir, holder);
	return r ? session_fail(&f, "%s: %s", dir, strerror(-r)) : 0;
}
