/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whiteouts of a session that are put off (SESSION/gone; kernel/gone.h): whoever reviews it, or whoever's view ends, makes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/gone.h"
#include "session.h"

/* A name of the session's whiteout, or one of its own. */
static int link_whiteout(const struct session *s, int dir, const char *name)
{
	int r = linkat(s->dir_fd, UM_COW_WHITE, dir, name, 0) == 0 ? 0 : -errno;

	if (!r || r == -EEXIST)
		return r;
	return session_make_whiteout(s, dir, name) < 0 ? -errno : 0;
}

/* In a directory that nobody may write by now, too; its times are those of when the name went. */
static int make_in(const struct session *s, int dir, const char *name)
{
	char path[32];
	struct stat st;
	int r = fstat(dir, &st) < 0 ? -errno : link_whiteout(s, dir, name);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	if (r == -EACCES && chmod(path, (st.st_mode & 07777) | 0300) == 0) {
		r = link_whiteout(s, dir, name);
		chmod(path, st.st_mode & 07777);
	}
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st.st_mtim };
	if (!r)
		utimensat(dir, ".", times, 0);
	return r;
}

/* 0, also if nothing shows there any more; -errno. */
static int make_one(const struct session *s, char *rel)
{
	const char *name;
	int dir = session_open_parent(s->tree_fd, rel, &name), r = dir;

	if (dir >= 0) {
		r = make_in(s, dir, name);
		close(dir);
	}
	return r == -EEXIST || r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ENAMETOOLONG ? 0 : r;
}

static struct um_cow_gone *map(const struct session *s)
{
	int fd = openat(s->dir_fd, UM_COW_GONE_FILE, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	void *p = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size >= sizeof(struct um_cow_gone))
		p = mmap(NULL, sizeof(struct um_cow_gone), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static int settle(struct session *s, struct um_cow_gone *g)
{
	char rel[UM_COW_GONE_PATH];
	uint32_t dir;
	int r, failed = 0;

	for (uint32_t i = gone_count(g); i-- > 0; ) {
		r = gone_get(g, i, rel, &dir) ? make_one(s, rel) : 0;
		if (!r)
			gone_forget(g, i);
		else
			failed = r;
	}
	return failed;
}

int session_settle(struct session *s, bool killed)
{
	struct um_cow_gone *g = map(s);
	int r;

	if (!g)
		return 0;
	if (killed || gone_is_torn(g))
		gone_mend(g);
	r = settle(s, g);
	munmap(g, sizeof(*g));
	return r;
}

bool session_has_gone(const struct session *s)
{
	int fd = openat(s->dir_fd, UM_COW_GONE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	uint32_t n = 0;
	bool any = fd >= 0 && pread(fd, &n, sizeof(n), offsetof(struct um_cow_gone, n)) == (ssize_t)sizeof(n) && n;

	if (fd >= 0)
		close(fd);
	return any;
}
