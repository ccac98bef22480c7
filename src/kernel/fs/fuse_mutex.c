/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks between jobs, and which of them an operation holds while the server works on it.
 *
 * Servers rely on what the kernel's VFS locks around a request.  libfuse, say, keeps a tree of names beside the file
 * system's own: a LOOKUP that is answered between a RENAME in the file system and the same in that tree gives the
 * name a second node, open files are counted at one of the two, and then a file that is open is removed, not hidden; what
 * is written to it lands in whatever was given its inode.  So, as in the kernel:
 *
 *	LOOKUP, READDIR					the directory, shared
 *	CREATE, MKNOD, MKDIR, SYMLINK			the directory
 *	LINK						the directory, then the file
 *	UNLINK, RMDIR					the directory, then what is removed
 *	RENAME						conn.moving if the directories differ; both, an ancestor first; then what is
 *							moved (a directory only if its parent changes) and what is replaced
 *	SETATTR, WRITE, FALLOCATE, FSYNC, LSEEK, SETXATTR, REMOVEXATTR	the file
 *	OPEN, READ, GETATTR, READLINK, ACCESS, GETXATTR, FLUSH, RELEASE, FORGET	none
 *
 * That order (top to bottom in the tree, directories before files, files by address) is the only one; the lock of a handle
 * (its offset) comes before that of its node, that of a release after all others.  A job holds a directory shared only
 * for the request itself, never while it waits for another lock.
 *
 * A caller that is killed changes nothing in that: its job goes on, with its locks, until the server has answered.
 */
#include "fuse_conn.h"

static bool may_have(const struct fuse_mutex *m, bool shared)
{
	return !m->owner && (shared || !m->shared);
}

static void give(struct fuse_mutex *m, struct fuse_job *j, bool shared)
{
	if (shared)
		m->shared++;
	else
		m->owner = j;
}

/* Fair: who comes later waits behind those who wait already. */
static void acquire(struct fuse_job *j, struct fuse_mutex *m, bool shared)
{
	if (!m->first && may_have(m, shared)) {
		give(m, j, shared);
		return;
	}
	j->wait = NULL;
	j->shares = shared;
	j->waits = true;
	if (m->first)
		m->last->wait = j;
	else
		m->first = j;
	m->last = j;
	while (j->waits)
		co_yield(&j->co);
}

static void pass_on(struct fuse_mutex *m)
{
	struct fuse_job *next;

	while ((next = m->first) && may_have(m, next->shares)) {
		m->first = next->wait;
		give(m, next, next->shares);
		next->waits = false;
		fuse_job_ready(next);
	}
}

void fuse_mutex_lock(struct fuse_job *j, struct fuse_mutex *m)
{
	acquire(j, m, false);
}

void fuse_mutex_unlock(struct fuse_mutex *m)
{
	m->owner = NULL;
	pass_on(m);
}

void fuse_mutex_share(struct fuse_job *j, struct fuse_mutex *m)
{
	acquire(j, m, true);
}

void fuse_mutex_unshare(struct fuse_mutex *m)
{
	m->shared--;
	pass_on(m);
}
