/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whiteouts of a session that are put off (SESSION/gone; kernel/gone.h): whoever reviews it, or whoever's view ends, makes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/gone.h"
#include "session.h"

/* A name of the session's whiteout, or one of its own. */
static int make_whiteout(const struct session *s, int dir, const char *name)
{
	int r = linkat(s->dir_fd, UM_COW_WHITE, dir, name, 0) == 0 ? 0 : -errno;

	if (!r || r == -EEXIST)
		return r;
	r = s->state->links ? symlinkat(UM_COW_WHITEOUT, dir, name) : mknodat(dir, name, S_IFCHR, 0);
	return r < 0 ? -errno : 0;
}

/* The directory's times are those of when the name went.  0, also if nothing shows there any more; -errno. */
static int make_one(const struct session *s, char *rel)
{
	const char *name;
	struct stat st;
	int dir = session_open_parent(s->tree_fd, rel, &name), r = dir;

	if (dir >= 0) {
		r = fstat(dir, &st) < 0 ? -errno : make_whiteout(s, dir, name);
		const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st.st_mtim };
		if (!r)
			utimensat(dir, ".", times, 0);
		close(dir);
	}
	return r == -EEXIST || r == -ENOENT || r == -ENOTDIR || r == -ELOOP ? 0 : r;
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

int session_settle(struct session *s, bool mend)
{
	struct um_cow_gone *g = map(s);
	char rel[UM_COW_GONE_PATH];
	uint32_t dir;
	int r, failed = 0;

	if (!g)
		return 0;
	if (mend)
		gone_mend(g);
	for (uint32_t i = g->n < UM_COW_GONE_NAMES ? g->n : UM_COW_GONE_NAMES; i-- > 0; ) {
		r = gone_get(g, i, rel, &dir) ? make_one(s, rel) : 0;
		if (!r)
			gone_forget(g, i);
		else
			failed = r;
	}
	munmap(g, sizeof(*g));
	return failed;
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
