/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copy-on-write: the session of such a mount (wire/cow.h), as a process of the view uses it.
 *
 *	cow.c		which session; its lock and its journal; names in its tree
 *	cow_change.c	what was found out of a path: does it still hold?
 *	cow_low.c	what is below, whoever answers there
 *	cow_up.c	copying from below into the tree
 *	cow_index.c	files below that have several names
 *	cow_moved.c	directories that show what is below another name
 *	cow_gone.c	whiteouts that are put off
 *	cow_list.c	listings of merged directories
 *	cow_where.c	where a directory is, by its path
 *	cow_room.c	room on the disk
 *	cow_origin.c	what lay below, for whoever commits the session
 *	fs/cow.c	the operations at a place that change it
 *	fs/cow_new.c	those that make something
 *	fs/cow_name.c	those that remove names, and give further ones
 *	fs/cow_rename.c	those that move names
 *	path_cow.c	the resolver
 *
 * Nothing here is kept but what the session's files say: another process may change them at any time.  Looking takes no
 * lock.  What takes more than one step is made in work/ or under the lock.  What a walk has found holds as long as no name
 * of the session has come to mean something else (`changes`): who changes something sees to that under the lock, who only
 * looks afterwards, and begins anew if it did not.
 */
#ifndef UM_KERNEL_COW_H
#define UM_KERNEL_COW_H

#include "dir_list.h"
#include "path.h"
#include "vstat.h"
#include "../wire/cow.h"

#define COW_MOUNTS	64	/* that a view has at most */

struct cow {
	struct cow *next;
	uint32_t id;		/* of the mount */
	char *dir;		/* where it is mounted, "" for the root: what is below is there, too */
	char *session;
	char *tree;		/* SESSION/tree */
	char *white;		/* SESSION/white */
	uint64_t white_ino;	/* 0: not known yet */
	struct um_cow_state *state;
	struct um_cow_gone *gone;	/* NULL: the session has none */
	struct vtable inodes;
	uint64_t dev;		/* of the tree */
	bool over;		/* what is below is another mount's: cow_low.c */
	uint64_t low_dev;	/* st_dev of what is below, if that is a server's and has been met; or 0 */
	bool low_asked;		/* its root has been looked at for that */
	struct cow_moves *moves;	/* redirects, as they were read last; or NULL: cow_moved.c */
};

/* The session of this mount; NULL and *error if it cannot be used.  Valid as long as the process lives. */
struct cow *cow_get(struct task *t, uint32_t id, long *error);

/* What the kernel says of a file becomes what the guest is shown, if it is a copy: the inode and the owner of the original, as
 * long as nobody has changed that. */
void cow_show(const struct task *t, struct stat *st);

/* The same as who is below the copy-on-write mount with this id is shown it. */
void cow_show_below(const struct task *t, struct stat *st, uint32_t id);

/* The sessions that this process uses and sees, the oldest mount's first; all of the view are among them after cow_open_all(). */
struct cow *cow_first(const struct task *t);
struct cow *cow_next(const struct task *t, const struct cow *c);
void cow_open_all(struct task *t);

/* Is the mount with this id a copy-on-write one? */
bool cow_is_mount(const struct task *t, uint32_t id);

/* lstat(2) of a path of the kernel's.  0 or -errno. */
static inline int cow_look(const char *path, struct stat *st)
{
	return (int)raw_syscall(__NR_newfstatat, AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

/* Is what lies at (dfd, path), a directory entry with this st, a whiteout? */
bool cow_is_whiteout(int dfd, const char *path, const struct stat *st);

/* The same of what getdents says of a name in the directory fd; or has it gone?  What has taken its place since, d tells. */
bool cow_entry_is_whiteout(const struct cow *c, int fd, struct linux_dirent64 *d);

/* A directory of the tree shows nothing of what is below.  made: just now, by us. */
int cow_set_opaque(struct task *t, struct cow *c, const char *up, bool made);

/* Something of the tree is going to be at REL, where this lies below (cow_origin.c). */
void cow_note_origin(const struct cow *c, const char *rel, const struct stat *low);

/* A file of the session's own, by its name there: a descriptor for the caller to close, or -errno. */
long cow_open_file(const struct cow *c, const char *name);

/* Is there room for what a call may have to note?  0 or -errno (cow_room.c). */
long cow_reserve(struct cow *c);
static inline long cow_has_room(struct cow *c)
{
	uint32_t room = __atomic_load_n(&c->state->origins_room, __ATOMIC_RELAXED);

	return __atomic_load_n(&c->state->norigins, __ATOMIC_RELAXED) + UM_COW_SLACK <= room ? 0 : cow_reserve(c);
}
int cow_grow_inodes(struct vtable *vt);

/* For whoever changes more than one thing of the session at a time.  Locking finishes what a killed one left. */
void cow_lock(struct task *t, struct cow *c);
void cow_unlock(struct cow *c);

/* A number to be added to st_nlink that changes with a name: of which inode (0: of none), and what it becomes. */
struct cow_count {
	uint64_t dev, ino;
	int32_t to;
};

/*
 * What is going to happen, by one step: this inode (0: a whiteout) comes to b.  If that leaves something to do, it will be done
 * whoever may be killed meanwhile.  The lock is held until it is done, by the caller, and cow_journal_end().
 */
void cow_journal(struct cow *c, enum um_cow_op op, const char *a, const char *b, uint64_t ino, const struct cow_count *n);
void cow_journal_end(struct cow *c);

/* ---- does it still hold? (cow_change.c) ------------------------------------------------------------------ */

/* How often what names mean has changed, in all sessions that this process uses.  If that is just being done, it is waited for. */
uint32_t cow_changes(struct task *t);
bool cow_changed_since(const struct task *t, uint32_t changes);

/* Around steps that make a name go, or mean something else.  The lock is held by cow_lock_place(), for these. */
void cow_change_begin(struct cow *c, struct where *w, struct where *other);
void cow_change_end(struct task *t, struct cow *c, bool paths);		/* paths: of a directory or a symbolic link */

/* Something has come to the tree that was below: w, which did that, knows, if it held until then. */
void cow_change_copied(struct cow *c, struct where *w, bool held);

/*
 * Takes the lock for a change at a place: 0, or -UM_ERETRY and it is not held, for what was found of w (and of the other place
 * of the call, or NULL) does not hold any more.
 */
long cow_lock_place(struct cow *c, const struct where *w, const struct where *other);

/* Is low what shows at the name rel, and nothing of the tree? */
bool cow_shows_below(const struct cow *c, const char *rel, const char *low);

/* Is what has just been opened (O_PATH) at w's place a whiteout? */
bool cow_opened_white(const struct where *w, long fd, int flags);

/*
 * An inode of the tree is about to lose a name.  As long as it is pinned no other one gets its number, so that what `inodes` says of
 * it can be taken away when it is gone.
 */
int cow_pin(const struct cow *c, const char *path, const struct stat *st);
bool cow_is_gone(int pin, const struct stat *st);	/* st is of before */
void cow_unpin(int pin);

/* For the journal: what is to be done about the record of st, which goes unless it has more names. */
struct cow_count cow_count_forget(const struct cow *c, const struct stat *st);

/* DIR/REL, SESSION/tree/REL.  0 or -ENAMETOOLONG. */
int cow_join(char *buf, const char *dir, const char *rel);
int cow_up_path(const struct cow *c, char *buf, const char *rel);

/* What is below the name REL; and, if that is a directory of the tree, what is below that: where it was moved from. */
int cow_low_path(const struct cow *c, char *buf, const char *rel);
int cow_low_dir(const struct cow *c, char *buf, const char *rel);

/* A new name in work/ of our own. */
int cow_work_path(struct task *t, struct cow *c, char *buf);

/*
 * A rename between work/ and the tree.  Who is not root may not give a directory another parent that he may not write: for that moment
 * he may.
 */
long cow_put(const char *from, const char *to, unsigned flags);

/* Removes all whiteouts in a directory of the tree, or of work/, which is about to go. */
void cow_clear_whiteouts(const struct cow *c, const char *dir);

/* Makes a whiteout at a path (of the tree, or of work/) where there is nothing.  0 or -errno. */
long cow_make_whiteout(struct cow *c, const char *path);

/* ---- whiteouts that are put off (cow_gone.c) --------------------------------------------------------------- */

/*
 * Is there to be a whiteout at REL, or at this path of a tree?  Who wants to know whether there is one looks here first, then in the tree: so it
 * is found in one of them.
 */
bool cow_is_gone_name(struct task *t, const struct cow *c, const char *rel);
bool cow_is_gone_path(struct task *t, const char *path);

/*
 * A name that is only below goes, and is noted: 0; -EEXIST: something is there, if only a whiteout; -EAGAIN: a whiteout has to be made at once.  up
 * is the path in the tree, low what is below.  The lock is held for this and the next ones.
 */
long cow_hide_later(struct task *t, const struct cow *c, const char *rel, char *up, const struct stat *low);
void cow_directory_went(const struct cow *c, const char *rel);	/* so did all names in it */
void cow_gone_mend(const struct cow *c, bool killed);	/* the lock has just been got; killed: from somebody who is no more */

void cow_watched(struct task *t);		/* somebody watches directories: from now on whiteouts are made at once */

/* That one is made, if it is one; or all are, for a directory is to be moved: 0, or what went wrong, and it stays noted. */
long cow_settle_name(struct cow *c, const char *rel);
long cow_settle(struct cow *c);

/* ---- what is below (cow_low.c) ---------------------------------------------------------------------------- */

/*
 * `low` is a path that cow_low_path() gave: of the kernel's own; or, where something virtual is below (c->over), of the view, and who
 * answers there is looked for anew.  Nothing follows a last name that is a link.  All return what the system call does.
 */
int cow_low_look(struct task *t, struct cow *c, const char *low, struct stat *st);
long cow_low_copy(struct task *t, struct cow *c, const char *low, int out, long size);	/* contents, into an empty file */
long cow_low_readlink(struct task *t, struct cow *c, const char *low, char *buf, size_t size);
long cow_low_getxattr(struct task *t, struct cow *c, const char *low, const char *name, char *value, size_t size);
long cow_low_listxattr(struct task *t, struct cow *c, const char *low, char *names, size_t size);
long cow_low_access(struct task *t, struct cow *c, const char *low, int mode);	/* with the effective ids */
long cow_low_open(struct task *t, struct cow *c, const char *low, int flags, unsigned mode);	/* for the guest */

/* Is this directory below one that a session below shows, and something below that? */
bool cow_low_is_merged(struct task *t, struct cow *c, const char *low);

/* Each record of the directory's listing, until take() says false: -ENOMEM then. */
long cow_low_list(struct task *t, struct cow *c, const char *low, bool (*take)(void *to, struct linux_dirent64 *d), void *to);

/* Has any session of the view something virtual below? */
bool cow_over_any(struct task *t);

/* st_dev of what is below, where that is a server's. */
uint64_t cow_low_dev(const struct task *t, struct cow *c);

/* ---- copying up (cow_up.c) ------------------------------------------------------------------------------ */

/* The directories that REL lies in are in the tree when this returns 0.  w: the place for which that is done; -UM_ERETRY: it is
 * another one meanwhile. */
long cow_copy_parents(struct where *w, struct cow *c, const char *rel);

/*
 * Copies the file, directory or link DIR/REL into the tree, and the directories it lies in; a directory becomes a merged one.
 * empty: a regular file without its contents.  0 if it is there then; -UM_ERETRY: somebody else has put something there meanwhile.
 */
long cow_copy_up(struct where *w, struct cow *c, const char *rel, bool empty);

/* ---- files with several names (cow_index.c) ------------------------------------------------------------- */

/* Is this, below, a file with several names? */
static inline bool cow_has_names(const struct stat *low)
{
	return low->st_nlink > 1 && (low->st_mode & 0170000) != 0040000;
}

/* Has the session changed any such file?  Has any session of the view? */
static inline bool cow_knows_links(const struct cow *c)
{
	return __atomic_load_n(&c->state->nindex, __ATOMIC_RELAXED) != 0;
}
bool cow_has_links(struct task *t);

/* Where the copy of this file below is, or would be.  0 or -ENAMETOOLONG. */
int cow_index_path(const struct cow *c, char *buf, const struct stat *low);

/* Has it one?  Then that is *st. */
bool cow_index_find(const struct cow *c, const struct stat *low, struct stat *st);

/* Has any session one of this file? */
bool cow_has_copy(struct task *t, const struct stat *st);

/* Is the place, below as far as is known, a name of a file that has a copy?  follow: it may be a link to one. */
bool cow_is_other_name(struct where *w, int follow);

/* What is added to st_nlink. */
int32_t cow_count_of(const struct cow *c, const struct stat *st);

/* The file below is about to lose a name that the tree has not: what is to be counted.  The lock is held for these. */
struct cow_count cow_count_less(struct cow *c, const struct stat *low);
void cow_count_set(struct task *t, struct cow *c, const struct cow_count *n);

/* This file of the tree has lost a name.  If it was the last one that shows its copy goes. */
void cow_index_drop(struct task *t, struct cow *c, const struct stat *up);

/* ---- directories that have been moved (cow_moved.c) ------------------------------------------------------ */

/* Has the session redirected any? */
static inline bool cow_knows_moves(const struct cow *c)
{
	return __atomic_load_n(&c->state->nredirect, __ATOMIC_RELAXED) != 0;
}

/* UM_VSF_* of a directory of the tree. */
unsigned cow_dir_flags(const struct cow *c, const struct stat *st);

/* Is this, in the tree, a directory that is redirected?  Then the path of what it shows.  Its length, 0, or -errno. */
long cow_redirected(const struct cow *c, const struct stat *st, char *buf);

/* The directory REL of the tree (st) goes on showing what it shows, wherever it will be.  0 or -errno. */
long cow_redirect(struct task *t, struct cow *c, const char *rel, const struct stat *st);

/* A directory of the tree in which nothing shows is about to be removed: nothing shows from now on, whiteouts or not.  0 or -errno. */
long cow_seal(struct task *t, struct cow *c, const struct stat *st);

/* It has gone. */
void cow_redirect_gone(const struct cow *c, const struct stat *st);

/* A redirected directory has been met at this path of the kernel's. */
void cow_met_moved(const struct stat *st, const char *path);

/* The second case of cow_to_view(). */
bool cow_moved_to_view(char *buf, long *len, size_t size);

/* ---- listings (cow_list.c) ------------------------------------------------------------------------------ */

struct dir_list;
/* The names in the directory REL, of the tree, of what is below, or both.  atime: O_NOATIME, or 0 if that in the
 * tree shall be seen to have been read.  NULL and *error if they cannot be had. */
struct dir_list *cow_list_make(struct task *t, struct cow *c, const char *rel, bool up, bool low, int atime, long *error);

/* Is this path that of a directory of the kernel's own, which is never copied: /proc, /sys, /dev? */
bool cow_is_uncopied(const char *path, size_t len);

/* Would the kernel, in the directory at this path of the view, find what the view has there?  copied: the directory that is meant
 * is the one in a tree; without, what is asked is whether it has no copy there. */
bool cow_leads(const struct task *t, const char *path, size_t len, bool copied);

/* Does this bind mount (or merge mount) show a place in a copy-on-write one?  Then buf (UM_PATH_MAX) is its path in the view; the
 * root's is "". */
bool cow_shown_by(const struct task *t, const struct mount *bind, char *buf, size_t *len);

/* The session in which the directory at this path of the view (canonical; room for UM_PATH_MAX) is a merged one, or NULL.  *rel: its
 * path there, in `path`, which is changed if that is behind a bind mount. */
struct cow *cow_merged_at(struct task *t, char *path, size_t len, const char **rel);

/* The same, also where it is below, and something virtual is there (then !*up). */
struct cow *cow_listed_at(struct task *t, char *path, size_t len, const char **rel, bool *up);

/* A path that the kernel knows, in the tree of a copy-on-write mount or below something that has been moved: puts its path in the
 * view instead.  COW_NONE: it is neither.  Else COW_UPPER or COW_LOWER; then *len is its new length, or -ENAMETOOLONG. */
enum cow_state cow_to_view(char *buf, long *len, size_t size);

/* Is the place at this path of the view in a mount over something virtual? */
bool cow_lies_over(const struct task *t, const char *path, size_t len);

/* Is this file, or real descriptor at the kernel's path `path`, of something that a copy-on-write mount lies over, and so not in its tree?
 * Then path (UM_PATH_MAX) becomes that of the view. */
bool cow_file_over(struct task *t, const struct file *f, char *path, long *len);
bool cow_real_over(struct task *t, int dfd, char *path, long *len);
bool cow_kernels_over(const struct task *t, const char *kernels, const char *view, size_t len);	/* both paths are known */

/* Is the real directory fd a merged one, whose listing we make?  Then *r is what getdents returns. */
bool cow_getdents(struct task *t, int fd, gaddr buf, unsigned count, bool legacy, long *r);

/* Is there a name in the directory REL, up in the tree (NULL: there is none)?  0, -ENOTEMPTY, -errno. */
long cow_check_empty(struct task *t, struct cow *c, const char *rel, const struct stat *up, bool has_low);

/* A socket is to be bound at this place: w->path is where, in the tree, when this returns 0. */
long cow_prepare(struct where *w);

extern const struct fs_ops cow_fs, mincow_fs;

#endif
