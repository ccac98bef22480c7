/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reviewing a session of copy-on-write: what differs between its tree and the directory below it.
 *
 *	review_walk.c		the walk through both, by descriptors
 *	review_compare.c	one place: what kind of change it is, and whether somebody else changed what is below, too
 *	review_path.c		which paths are meant
 *	review_open.c		which session is meant; options
 *	diffcmd.c, difftext.c, commitcmd.c, commit_*.c, discardcmd.c, trycmd.c	who uses it
 *
 * No path is followed: everything is looked up by its name in a directory that is open, and links are never followed, so
 * whatever somebody else plants below meanwhile, nothing outside the directory below is reached.
 */
#ifndef UM_MONITOR_REVIEW_H
#define UM_MONITOR_REVIEW_H

#include <sys/stat.h>

#include "session.h"

enum change_kind {
	CHANGE_NONE,		/* in the tree, and the same as below; or a whiteout of nothing */
	CHANGE_ADDED,
	CHANGE_DELETED,
	CHANGE_CONTENTS,	/* of a file or link, or a device's number; perhaps attributes as well */
	CHANGE_ATTRIBUTES,	/* nothing but those in `attributes` */
	CHANGE_TYPE,		/* something of another type is there */
	CHANGE_MOVED,		/* a directory that shows what is below at another place: `from` */
	CHANGE_KINDS,
};

#define CHANGE_MODE	1u
#define CHANGE_OWNER	2u
#define CHANGE_GROUP	4u
#define CHANGE_TIMES	8u
#define CHANGE_XATTRS	16u

struct change {
	const char *path;	/* from the tree's root; "" is that itself */
	const char *name;	/* in up_dir and low_dir */
	int up_dir, low_dir;	/* descriptors, -1 = there is none; low_dir: O_PATH */
	enum change_kind kind;
	unsigned attributes;
	bool has_up, has_low;
	bool whiteout;		/* of the name, in up_dir */
	bool implied;		/* not in up_dir at all: the directory was replaced */
	bool inside;		/* in a directory that hides what is below */
	bool opaque;		/* one itself: marked so, or in one and not moved there */
	bool moved_away;	/* hidden, but a directory of the session that was moved shows it, or something in it */
	char *from;		/* CHANGE_MOVED: the path below of what it shows; allocated by the walk */
	const char *low_path;	/* of what is below: another than path in directories that were moved */
	bool selected;		/* false: something in it may be */
	const char *conflict;	/* why it is one, or NULL */
	struct stat up, low;	/* up: as the session shows it */
	struct stat real;	/* up: as it is */
	mode_t mode;		/* what it is to be after a commit: where the session has not changed something, as it is below */
	uid_t uid;
	gid_t gid;
};

enum visit { VISIT_ON, VISIT_SKIP, VISIT_STOP };

struct inode_set;

struct review {
	struct session *s;
	char **moved;		/* paths below of what moved directories show; set by the walk */
	int nmoved;
	char **only;		/* paths from the tree's root; NULL: all */
	int nonly;
	bool *changed;		/* for each of them, by review_note_path() */
	const struct inode_set *touched;	/* below, by ourselves: a later ctime means nothing */
	void *arg;
	/* Each name in the tree, and each that is hidden with a directory; directories before what is in them. */
	enum visit (*visit)(struct review *r, struct change *c);
	/* What an opaque directory hides has been visited; now comes what is in the tree.  NULL: nobody cares. */
	enum visit (*hidden_done)(struct review *r, struct change *c, int low_dir);
	/* All in a directory has been visited, which VISIT_ON was said to; low_dir is it below (O_PATH), or -1; up_dir -1: it could
	 * not be read.  NULL likewise. */
	enum visit (*leave)(struct review *r, struct change *c, int up_dir, int low_dir);
	/* Something cannot be read. */
	void (*trouble)(struct review *r, const char *path, int error);
};

/* 0 or VISIT_STOP. */
int review_walk(struct review *r);
/* Something was done to it: what is it now? */
void review_again(struct review *r, struct change *c);
/* How many moved directories show something that is at or below this path below, itself: or only below it. */
int review_moved_below(const struct review *r, const char *low_path, bool itself);

/* Is there any change at all?  -1: it cannot be told, reason in error. */
int review_any(const char *dir, char *error, size_t size);

/* review_compare.c: completes what the walk has found out. */
void review_compare(struct review *r, struct change *c);
bool review_is_whiteout(int dir, const char *name, const struct stat *st);
bool review_same_contents(int up_dir, int low_dir, const char *name, const struct stat *up, const struct stat *low);
/* Has anything in this directory below changed since (ns since 1970), or since it was copied? */
bool review_hidden_changed(const struct review *r, int dir, const char *name, const char *path, int64_t since);

/* A set of inodes. */
struct inode_set {
	struct { uint64_t dev, ino; } *at;
	size_t room, n;
};
bool inode_set_has(const struct inode_set *set, uint64_t dev, uint64_t ino);
void inode_set_add(struct inode_set *set, uint64_t dev, uint64_t ino);
void inode_set_free(struct inode_set *set);

/* review_path.c.  Paths on a command line become paths from the tree's root; NULL and an error message if one is not in there. */
char **review_paths(const struct session *s, int n, char **paths, char *error, size_t size);
void review_paths_free(char **paths, int n);

/* This change is one of what is meant. */
void review_note_path(struct review *r, const struct change *c);
/* Says of which paths that are meant there was none (quiet: only where there is nothing at all).  How many of these are nowhere. */
int review_tell_unchanged(const struct review *r, const char *command, bool quiet);

#define SELECTED_NOT	0
#define SELECTED_WITHIN	1	/* something in it */
#define SELECTED	2
int review_selected(const struct review *r, const char *path);

/* A list of strings that grows. */
struct strings {
	char **at;
	size_t n;
};
/* Adds a copy.  0 or -ENOMEM. */
int strings_add(struct strings *l, const char *text);
void strings_free(struct strings *l);

/* Names in a directory but "." and "..", sorted; -errno.  Free the list, which is one block. */
int names_read(int dir_fd, char ***names);

/* A path for a terminal: no control characters, no bytes that are no UTF-8.  Free it. */
char *path_shown(const char *lower, const char *path);

/* ---- the commands' own ------------------------------------------------------------------------------------- */

/* Long work tells on a terminal how far it is. */
struct progress {
	const char *what;
	long n;
	int64_t shown;
	bool tty, visible;
};
void progress_start(struct progress *p, const char *what);
void progress_step(struct progress *p);
void progress_end(struct progress *p);

/* Options of diff, commit and discard. */
struct review_options {
	const char *session, *upper;
	bool json, stat, text, force, all;
	int npaths;
	char **paths;
};
/* 0, or the exit status after having said what is wrong (or helped).  flags: which letters of "jsufa" it knows. */
int review_options_parse(struct review_options *o, int argc, char **argv, const char *flags, const char *usage);

/* Opens what is meant.  0, or the exit status after having said why not. */
int review_open(struct session *s, const struct review_options *o, const char *command, bool writable);

/* Inside of the view that works on the session the command is run outside.  Its exit status, or -1: that is not so. */
int review_outside(struct review_options *o, const char *command);

/* The same for those who change it: locked, and what was left half done is finished.  s->running: a view works on it.
 * session_end closes it, and removes it if it is one of umview's naming and nothing is left in it. */
int session_use(struct session *s, const struct review_options *o, const char *command);
void session_end(struct session *s);

/* Numbers of changes, by kind, and bytes that files of the session have. */
struct review_counts {
	long kinds[CHANGE_KINDS];
	long conflicts, trouble;
	long long bytes;
};
void review_count(struct review_counts *n, const struct change *c);
/* "3 added, 1 deleted" */
void review_counts_text(const struct review_counts *n, char *buf, size_t size);
int review_session_counts(struct session *s, struct review_counts *n);

char change_letter(enum change_kind kind);		/* as `umview diff` prints it */
int diff_show(struct session *s, const struct review_options *o);
/* What is committed: paths, or everything.  The exit status. */
int commit_session(struct session *s, const struct review_options *o);

#endif
