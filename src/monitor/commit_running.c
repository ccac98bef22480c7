/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Committing a session that a view is working on.
 *
 * Nothing leaves the session then: what is committed is the same below and in the tree, so no guest sees anything of it, whatever it has
 * open or remembers; and what it changes later is a change once more, against what is below by now (struct um_cow_origin is
 * renewed).  The names leave with a commit after the view has ended, or with the session.
 *
 * Not while it runs: what would have to change in the tree together with what is below (moved directories, copies of files below with
 * several names); and files that are open for writing, which may be half.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "commit.h"

#define TICK_NS	20000000l	/* times of files are at least as fine as this */

/* By a lease, which nobody is given on what is open for writing, mapped so included.  What has no leases cannot tell. */
bool commit_is_written(int fd)
{
	signal(SIGIO, SIG_IGN);			/* somebody opens it just now */
	if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
		fcntl(fd, F_SETLEASE, F_UNLCK);
		return false;
	}
	return errno == EAGAIN;
}

static bool is_older_than(struct timespec t, const struct timespec *now)
{
	return (now->tv_sec - t.tv_sec) * 1000000000l + now->tv_nsec - t.tv_nsec > TICK_NS || now->tv_sec < t.tv_sec;
}

int commit_copy_begin(struct commit *k, struct change *c, int fd)
{
	struct timespec now;
	struct stat st;

	if (!k->s->running)
		return 0;
	clock_gettime(CLOCK_REALTIME, &now);
	if (!is_older_than(c->real.st_ctim, &now))	/* or the next change might have the same time */
		usleep(TICK_NS / 1000);
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino != c->real.st_ino || (!k->o->force && commit_is_written(fd)))
		return BEING_WRITTEN;
	c->real = st;
	c->up.st_size = st.st_size;
	c->up.st_atim = st.st_atim;
	c->up.st_mtim = st.st_mtim;
	return 0;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool commit_is_current(struct commit *k, const struct change *c, int fd)
{
	struct stat now;

	if (!k->s->running)
		return true;
	if (fstatat(c->up_dir, c->name, &now, AT_SYMLINK_NOFOLLOW) < 0 || now.st_ino != c->real.st_ino)
		return false;
	if (fd < 0 || k->o->force)
		return true;
	return is_same_time(now.st_mtim, c->real.st_mtim) && is_same_time(now.st_ctim, c->real.st_ctim) && !commit_is_written(fd);
}

void commit_note_below(struct commit *k, const struct change *c)
{
	const struct um_cow_origin *o = session_origin(k->s, c->path);
	struct stat st;

	if (!k->s->running || fstatat(c->low_dir, *c->name ? c->name : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!o || o->ino != st.st_ino || o->mode != st.st_mode || o->ctime != st.st_ctim.tv_sec * 1000000000l + st.st_ctim.tv_nsec)
		session_renew_origin(k->s, c->path, &st);
}

void commit_change_begin(struct commit *k)
{
	if (k->s->running)
		session_change_begin(k->s);
}

void commit_change_end(struct commit *k)
{
	if (k->s->running)
		session_change_end(k->s);
}

const char *commit_not_now(struct commit *k, const struct change *c)
{
	if (!k->s->running)
		return NULL;
	if (c->kind == CHANGE_MOVED || c->moved_away)
		return "left alone: a moved directory is not committed while a view works on the session";
	if (linked_is(c) && session_is_indexed(k->s, &c->real))
		return "left alone: it has several names below, and is not committed while a view works on the session";
	return NULL;
}
