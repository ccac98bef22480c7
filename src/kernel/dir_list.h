/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listings of directories that are made by us: dir_list.c.
 */
#ifndef UM_KERNEL_DIR_LIST_H
#define UM_KERNEL_DIR_LIST_H

#include "task.h"

struct dir_list;
struct linux_dirent64;

struct dir_list *dir_list_new(void);			/* empty, with one reference; NULL: no memory */
struct dir_list *dir_list_get(struct dir_list *l);	/* one more reference; of NULL: NULL */
void dir_list_put(struct dir_list *l);

/* One more record, with this inode.  False: no memory. */
bool dir_list_add(struct dir_list *l, const struct linux_dirent64 *d, uint64_t ino);

/* Opens a directory of the kernel's for reading; flags: O_NOATIME (without it where that may not be), O_NOFOLLOW.  A descriptor or -errno. */
long dir_open(const char *path, int flags);

/* The next record but those of "." and "..", from *at = 0 on; NULL: there are no more. */
const struct linux_dirent64 *dir_list_next(const struct dir_list *l, size_t *at);
bool dir_is_dots(const char *s);

/* A set of names; all zero is an empty one. */
struct dir_names {
	uint32_t *set;		/* offsets in `names`, + 1 */
	uint32_t set_size, set_used;
	char *names;
	size_t names_len, names_size;
};
bool dir_names_add(struct dir_names *s, const char *name);	/* one that is not in it.  False: no memory */
bool dir_names_have(const struct dir_names *s, const char *name);
void dir_names_free(struct dir_names *s);

/* Records by their names; all zero is an empty one, freed by heap_free(set). */
struct dir_index {
	uint32_t *set;		/* offsets in the list, + 1 */
	uint32_t size, used;
};
struct linux_dirent64 *dir_index_find(const struct dir_index *x, const struct dir_list *l, const char *name);
bool dir_index_add(struct dir_index *x, struct dir_list *l, const struct linux_dirent64 *d);	/* as dir_list_add() */
bool dir_list_each(const struct dir_list *from, struct dir_index *x, struct dir_list *to);	/* adds all of them */

/* The listing that hangs at fd, with a reference, or NULL.  If there is none and fresh is not NULL: that one from now on
 * (NULL: no memory). */
struct dir_list *dir_list_of(struct task *t, int fd, struct dir_list *fresh);

/*
 * getdents of what may have one.  make() is asked if it has none yet; it returns what dir_list_of() gives for a fresh one, or NULL, and *error.
 * True: *r is the result, bytes or -errno.  False: the directory is none of ours.
 */
bool dir_list_getdents(struct task *t, int fd, gaddr buf, unsigned count, bool legacy,
		       struct dir_list *(*make)(struct task *t, int fd, long *error), long *r);

/* lseek of a directory that has one: true, then *r is the result. */
bool dir_list_seek(struct task *t, int fd, int64_t offset, int whence, long *r);

#endif
