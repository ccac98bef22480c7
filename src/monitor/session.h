/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copy-on-write sessions on disk (wire/cow.h): made (session.c), locked and listed (session_use.c), opened for
 * those who review them (session_open.c).
 */
#ifndef UM_MONITOR_SESSION_H
#define UM_MONITOR_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../wire/cow.h"
#include "../wire/vstat.h"

#define SESSION_FIRST	"umview copy-on-write session, version 2\n"	/* line of `info` */
#define SESSION_ERROR	1024		/* bytes that are enough for a reason */

/* Where a reason goes.  session_fail() writes one, and returns -1. */
struct failure {
	char *text;
	size_t size;
};
__attribute__((format(printf, 2, 3)))
int session_fail(const struct failure *f, const char *fmt, ...);

/* Is the directory in a mounted image of this view?  No session can be kept or used there: agents map its files without a server. */
bool session_is_virtual(const char *dir);

/* Makes the session `dir` for changes of the directory `lower`, or takes the one that is there.  command: what for, or
 * NULL.  What is below is what this process sees there.  0, or -1 with the reason in error. */
int session_prepare(const char *dir, const char *lower, const char *command, char *error, size_t size);

/* Whose is the directory that this process sees at this path, if it is not the kernel's?  "TYPE SOURCE" of a mount of the view: allocated;
 * or NULL. */
char *session_over(const char *lower);

/* A new name for a session: $XDG_STATE_HOME/umview/TIME-PID, its directory made.  0, or -1 with the reason in error. */
int session_name(char *dir, size_t size, char *error, size_t error_size);

/* Where those sessions are that were given no place.  0, or -1: nothing says where. */
int session_home(char *dir, size_t size);

/* ---- who works on it ---------------------------------------------------------------------------------- */

/* A lock of a session, UM_COW_LOCK or UM_COW_REVIEWING, for `what`.  A descriptor; -EAGAIN: somebody has it, whom `holder` names;
 * -errno. */
int session_lock(const char *dir, const char *lock, const char *what, char *holder, size_t size);
/* Has somebody it?  Then holder says who. */
bool session_is_used(const char *dir, char *holder, size_t size);

/* ---- reviewing ------------------------------------------------------------------------------------------ */

struct stat;

struct session {
	char *dir, *lower;	/* absolute */
	char *command;		/* what it was made for; "" */
	char *over;		/* whose what is below is, as session_over() says; NULL: the kernel's */
	int dir_fd, tree_fd, low_fd;	/* low_fd: O_PATH; -1 if the directory below is not there any more */
	bool writable;
	bool running;		/* a view works on it: nothing leaves it (docs/design.md) */
	int lock_fd, review_fd;	/* locks of session_use(), or -1 */
	struct um_cow_state *state;
	struct vtable *inodes;	/* session_table.c */
	struct origins *origins;	/* session_origin.c */
};

#define SESSION_NONE	(struct session) { .dir_fd = -1, .tree_fd = -1, .low_fd = -1, .lock_fd = -1, .review_fd = -1 }

/* Opens a session that is whole, of this version and in its first place.  The directory below may be missing.  0, or -1 with the
 * reason in error. */
int session_open(struct session *s, const char *dir, bool writable, char *error, size_t size);
void session_close(struct session *s);

/* Paths in the tree, opened name by name: the directory of `rel`, and *name in it.  A descriptor or -errno. */
int session_open_parent(int fd, char *rel, const char **name);

/* A whiteout of the kind this session has (a device 0:0, or a link) as `name` in a directory.  0, or -1 with
 * errno. */
int session_make_whiteout(const struct session *s, int dir, const char *name);

/* What lay below at each path of the tree when it was hidden (session_origin.c).  0 or -ENOMEM. */
int session_origins_open(struct session *s);
void session_origins_close(struct session *s);
/* At this one, or NULL if nobody wrote that down. */
const struct um_cow_origin *session_origin(const struct session *s, const char *path);
/* It is not hidden any more. */
void session_forget_origin(struct session *s, const char *path);
/* It is this now. */
void session_renew_origin(struct session *s, const char *path, const struct stat *low);

/* The table of virtual attributes (session_table.c).  Attached to a mapping, which it keeps: 0 or -EINVAL. */
int session_table_attach(struct session *s, void *base, uint64_t size);
void session_table_detach(struct session *s);
/* The first record of a new one: the tree's root (dev, ino) is shown as the directory below.  0 or -errno. */
int session_table_begin(void *base, uint64_t size, uint64_t dev, uint64_t ino, uint64_t low_dev, uint64_t low_ino);
bool session_vstat(const struct session *s, uint64_t dev, uint64_t ino, struct vstat *out);
int session_set_flags(struct session *s, uint64_t dev, uint64_t ino, uint32_t flags);	/* 0 or -errno */
/* This file of the session is a copy, of which this is all that is to be remembered.  0 or -errno. */
int session_note_copy(struct session *s, uint64_t dev, uint64_t ino, const struct vstat *v);
/* UM_VS_NLINK of an inode: what is added to its number of names. */
void session_set_nlink(struct session *s, uint64_t dev, uint64_t ino, int32_t n);
/* A file below has really lost a name that did not count any more, or has got one back. */
void session_name_gone(struct session *s, uint64_t dev, uint64_t ino);
void session_forget_inode(struct session *s, uint64_t dev, uint64_t ino);
/* What a directory of the tree that is redirected shows: a path below, allocated; NULL if it is not. */
char *session_redirect(const struct session *s, uint64_t ino);
/* It is not any more; it is an ordinary directory. */
int session_unredirect(struct session *s, uint64_t ino);
/* All there are, sorted; their number. */
int session_redirects(const struct session *s, char ***texts);

/* Room on the disk for these bytes of a file of the session that is mapped.  0 or -errno. */
int session_reserve(const struct session *s, const char *name, uint64_t at, uint64_t size);

/* The session's lock for changes of its tree; what a process that was killed has left is set right. */
void session_tree_lock(struct session *s);

/* The whiteouts that are put off (session_gone.c): are there any?  They are made; the tree is locked.  killed: who had locked it was.
 * 0, or -errno of one that could not be. */
bool session_has_gone(const struct session *s);
int session_settle(struct session *s, bool killed);
void session_tree_unlock(struct session *s);
/* The lock, for what changes what names of the view mean: guests that have looked at one before, or begin meanwhile, look again
 * (kernel/cow_change.c). */
void session_change_begin(struct session *s);
void session_change_end(struct session *s);
void session_finish_journal(struct session *s);		/* session_open.c; the lock is held */

/* The directory `rel` ("" = itself) below fd, without following links: a new descriptor or -errno. */
int open_below(int fd, const char *rel, int flags);

/* Finds the session that --session ID or --upper DIR means, or the only one there is.  0, or -1 with the reason. */
int session_find(char *dir, size_t size, const char *id, const char *upper, char *error, size_t error_size);

/* Names below session_home(), sorted; their number, or -errno.  Free each and the list. */
int session_list(char ***names);

/* Is it one in session_home()? */
bool session_is_own(const char *dir);

/* Removes what killed guests and commands have left in it, unless somebody works on it (commit_end.c). */
void session_tidy(const char *dir);

/* Removes one that could not be made, and so has no `info`. */
void session_remove_half(const char *dir);

/* Removes a session, whole or not, if nobody works on it.  0, or -1 with the reason. */
int session_remove(const char *dir, char *error, size_t size);

#endif
