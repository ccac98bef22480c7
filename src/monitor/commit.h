/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview commit`: what its parts share.
 *
 *	commitcmd.c	the command: which change is done how, and what leaves the session
 *	commit_move.c	directories that were moved
 *	commit_put.c	a file, link or device, made complete beside its place, and put there
 *	commit_links.c	files with several names
 *	commit_names.c	those of their names that the session has never looked at
 *	commit_attr.c	its attributes
 *	commit_running.c	what is different while a view works on the session
 *	commit_end.c	what is not needed any more: names below that the session has removed, names of the session
 */
#ifndef UM_MONITOR_COMMIT_H
#define UM_MONITOR_COMMIT_H

#include "review.h"

#define CHANGED_MEANWHILE	(-ESTALE)	/* what is below is not what it was a moment ago */
#define BEING_WRITTEN		(-ETXTBSY)	/* ... what is in the session; or it may not be any more in a moment */

/* A directory that the walk is in. */
struct frame {
	struct frame *outer;
	struct strings drop;	/* names in it that are committed */
	bool changed;		/* something was done in it below */
	bool unwritten;		/* files are new there, and perhaps not on the disk yet */
	bool kept;		/* something in it was not committed */
	bool hidden_kept;	/* ... namely something that had to be removed below */
	bool stays;		/* it cannot leave the session itself */
};

/* A file of the session with several names (commit_links.c). */
struct linked {
	uint64_t up_ino, low_ino;	/* low_ino: of what is below at path */
	bool has_origin;	/* it is a copy of this, */
	uint64_t origin_dev, origin_ino;	/* which is below, or has been */
	char *path;		/* where it is committed: the first of its names; NULL: not yet */
	struct strings names;	/* all of them: dropped at the very end */
};

struct commit {
	struct session *s;
	const struct review_options *o;
	struct review r;
	struct progress progress;
	struct inode_set touched;
	struct frame *frame;
	struct linked **links;	/* hash table by up_ino */
	size_t links_room, nlinks;
	int journal_fd;
	char *journaled;	/* the directory that it names, or NULL */
	char temp[64];		/* the name of what is not complete */
	struct origin *origins;	/* by inode (commit_names.c) */
	int norigins;
	bool lost;		/* something could not be written out: files with several names stay in the session */
	long done, conflicts, failed, unkept;
};

/* Everything that was done in the file system of this directory, and is not on the disk yet, is written there.  0 or -errno. */
int commit_write_all(int dir);

/* Moves what can be moved. */
void commit_moves(struct commit *k);

/* The contents of a file of this size, with its holes, to an empty one.  0 or -errno. */
int commit_copy(int in, int out, off_t size);

/* What is at c's name becomes what the session has (c->up).  0, CHANGED_MEANWHILE, -errno. */
int commit_put(struct commit *k, struct change *c);
/* The same by one more name for what is below at `path` already. */
int commit_link(struct commit *k, struct change *c, const char *path);

bool linked_is(const struct change *c);
struct linked *linked_find(struct commit *k, const struct change *c);
struct linked *linked_begin(struct commit *k, const struct change *c);
void linked_note(struct linked *l, const struct change *c);
void linked_drop(struct commit *k);

/* Finds the names below of files with copies, which the session shows and does not hold.  Before anything is done there.  0 or -errno. */
int names_find(struct commit *k);
/* This file is committed: makes those that are left of them its names.  How many it could not. */
int names_link(struct commit *k, const struct linked *l);
void names_free(struct commit *k);

/* To dir/name; all: not only those that c says have changed.  Says what cannot be kept. */
int commit_attributes(struct commit *k, const struct change *c, int dir, const char *name, bool all);
int commit_set_mode(int dir, const char *name, mode_t mode);
void commit_unkept(struct commit *k, const struct change *c, const char *what);

/* While a view works on the session (commit_running.c).  Why this is not done then; NULL: it is. */
const char *commit_not_now(struct commit *k, const struct change *c);
/* Before the file, open as fd, is copied: is it whole?  c becomes what it is now.  0, BEING_WRITTEN, -errno. */
int commit_copy_begin(struct commit *k, struct change *c, int fd);
/* Is what was copied (fd; -1: nothing was read) still what the session has? */
bool commit_is_current(struct commit *k, const struct change *c, int fd);
bool commit_is_written(int fd);
/* What is below at c's name is ours now: a later change of the session is one of that. */
void commit_note_below(struct commit *k, const struct change *c);
/* Around steps by which a name comes, or after it has gone, below: guests that have looked for it look again. */
void commit_change_begin(struct commit *k);
void commit_change_end(struct commit *k);

/* Removes what was below at c's name, and is at `name` beside it now.  0, CHANGED_MEANWHILE, -errno. */
int commit_remove(struct commit *k, struct change *c, const char *name);
void commit_name_gone(struct commit *k, const struct stat *low);
/* Before something half made is below in the directory of this change: so that it is found if we are killed. */
int commit_journal(struct commit *k, const struct change *c);
/* Before names leave c, a directory of the tree, which changes its times; or its mode is another one for a moment. */
int commit_journal_attributes(struct commit *k, const struct change *c);
/* What somebody left who was killed. */
void session_clean(struct session *s);
void commit_temp_name(const struct session *s, char *buf, size_t size);

/* Takes a name out of the tree for good, with all that is remembered of it. */
int session_drop(struct session *s, int up_dir, const char *name, const char *path);

/* Has this file of the tree a name in index/, for the names that it has below? */
bool session_is_indexed(const struct session *s, const struct stat *up);

/* Is c->low still what is there? */
bool commit_is_still(const struct change *c);

/* ---- discarding while a view works on the session (discard_running.c) ----------------------------------------- */

/* Makes c, which is selected, what it is below.  NULL: done; "" : there is more in it, which is to be visited; or why not. */
const char *discard_running(struct session *s, struct change *c);

#endif
