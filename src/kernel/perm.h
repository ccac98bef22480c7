/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * May a virtual user do that?  Secure mode (umview -s).
 *
 * A virtual user (cred.h) is to the kernel always the same one, so who is not root in the view could do to the user's own files
 * what root can.  With cred.strict he gets EACCES and EPERM where a kernel would give them to him: by the owners, groups and modes
 * that the view shows (fs/ident.h), the access lists that files have, and his capabilities.  What he may then do, the kernel still has to allow.
 *
 * It is a convenience, not a wall: the agent shares his memory, and a descriptor that root has opened is as good as ever.
 *
 * How it gets there: where_init() sets where.strict, if anything can be refused.  Then there is no fast way; the walk
 * asks perm_search() at every directory and leaves the last one in where.dir; and the handlers call perm_*() between
 * where_next() and the operation.  Everybody else pays one test of task.cred for a path.
 *
 * Not looked at: files of servers (they, or umfuse, check for themselves: `human`), and /proc.
 */
#ifndef UM_KERNEL_PERM_H
#define UM_KERNEL_PERM_H

#include "cred.h"
#include "path.h"
#include "fs/readonly.h"

#define PERM_R	4u
#define PERM_W	2u
#define PERM_X	1u

/* Are there files that this thread may not touch?  really: as access(2) asks, by the real ids. */
bool perm_is_strict(const struct cred *c, bool really);

/* -EPERM, if the thread is bound by rules and lacks the capability. */
static inline long perm_capable(const struct task *t, int capability)
{
	const struct cred *c = t->cred;

	return __builtin_expect(c && c->strict && !cred_can(c, capability), 0) ? -EPERM : 0;
}

/* In a walk: dfd and path are the directory in which the next name is looked up.  0 or -EACCES. */
struct walk;
long perm_search(struct walk *k);

/* Each returns 0 (the operation shall go on, or fail as it would anyway) or -errno.  For w->strict only. */
long perm_open(struct where *w, int flags);
long perm_access(struct where *w, unsigned mode);
long perm_change(struct where *w, enum readonly_change change);
long perm_link(struct where *from, struct where *to);
long perm_rename(struct where *from, struct where *to, unsigned flags);
long perm_utimens(struct where *w, const struct timespec64 *ts);
long perm_xattr(struct where *w, const char *name, unsigned want);
long perm_have(struct where *w, unsigned want);		/* PERM_*, on what is there */
long perm_enter(struct where *w);			/* if it is a directory */

/* May the thread meddle with another process?  all: only if it is the same user's in all respects (memory, limits); else
 * being its user is enough (priorities).  0, -EPERM.  Of who is not strict 0. */
long perm_process(const struct task *t, int tid, int capability, bool all);

/* The same of what a real descriptor is open on; for everybody. */
long perm_fd_enter(struct task *t, int fd);
long perm_fd_utimens(struct task *t, int fd, const struct timespec64 *ts);
long perm_fd_xattr(struct task *t, int fd, gaddr name, unsigned want);

#endif
