/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of cow_fs share: fs/cow.c, fs/cow_new.c, fs/cow_name.c, fs/cow_rename.c.
 */
#ifndef UM_KERNEL_FS_COW_H
#define UM_KERNEL_FS_COW_H

#include "../cow.h"
#include "../path_walk.h"

/* A place in a session, as it is when an operation looks at it. */
struct spot {
	struct task *t;
	struct where *w;
	struct cow *c;
	bool has_up, has_low;		/* something is there in the tree; below, where it would show if the tree had nothing */
	bool white;			/* a whiteout is */
	bool seen;			/* the tree has been looked at for that */
	bool placed;			/* the directory that it is in is in the tree */
	struct stat up_st, low_st;
	char rel[UM_PATH_MAX], up[UM_PATH_MAX], low[UM_PATH_MAX];
};

/* *s is new, for spot_done(); NULL and -errno otherwise. */
long spot_look(struct where *w, struct spot **s);
void spot_done(struct spot *s);

/* Somebody else has put something there meanwhile. */
long spot_look_again(struct spot *s);

/* The directories that it lies in are in the tree when this returns 0. */
long spot_place(struct spot *s);

/* Is it, and what it lies in, in the tree only?  Then a change is nothing but the kernel's call. */
static inline bool place_is_own(const struct where *w)
{
	return w->cow_state == COW_UPPER && !w->cow_below;
}

/* The operation of real_fs that follows is to be about this path. */
void spot_at(struct spot *s, const char *path);

/* What is opened there the kernel knows by another path than the view. */
void spot_goes_to_tree(struct spot *s);

/* Anything a guest would see there. */
static inline bool spot_exists(const struct spot *s)
{
	return s->has_up || (s->has_low && !s->white);
}

static inline const struct stat *spot_stat(const struct spot *s)
{
	return s->has_up ? &s->up_st : &s->low_st;
}

/* The inode, pinned by cow_pin(), that has just lost a name is gone if that was its last: so is what the table says of it. */
void spot_forget(struct spot *s, const struct stat *st, int pin);

/* open(O_CREAT) where nothing is, and the others that make something. */
long cow_open_new(struct spot *s, int flags, unsigned mode);
long cow_mkdir(struct where *w, unsigned mode);
long cow_mknod(struct where *w, unsigned mode, unsigned dev);
long cow_symlink(struct where *w, const char *text);

/* What is below is going to be hidden by something else, or by nothing. */
void spot_note(const struct spot *s);

/* Is the whiteout that was there still there?  The lock is held, so what is found stays. */
bool spot_is_white_yet(const struct spot *s);

/* The two places of a call: 0, or -errno and nothing to free; one of them is copied; the directories that one lies in are. */
long spot_look_both(struct where *a, struct where *b, struct spot **from, struct spot **to);
long spot_copy_one(struct spot *s, struct spot *other);
long spot_place_one(struct spot *s, struct spot *other);

long cow_unlink(struct where *w, int flags);
long cow_link(struct where *from, struct where *to, int flags);
long cow_rename(struct where *from, struct where *to, unsigned flags);

#endif
