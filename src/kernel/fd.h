/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor table: which numbers of this process are virtual.
 *
 * The kernel keeps the descriptors; we only note which of them are carriers of virtual files.  Most
 * processes have none, so the test in front of every read and write is one comparison.
 */
#ifndef UM_KERNEL_FD_H
#define UM_KERNEL_FD_H

#include "file.h"

struct files {
	uint32_t refs;		/* atomic: tasks that share it */
	struct lock lock;	/* writers */
	int size;		/* slots in tab; 0 while nothing is virtual */
	struct file **tab;	/* NULL = real.  Replaced, never freed, when it grows */
	/* directory descriptors known to hold nothing virtual: see path.c */
	struct dir_hint *hints;
};

/* The virtual file behind fd, or NULL if fd is real or not open.  No reference is taken: valid while
 * the calling thread does not close fd (as with the kernel's fdget; a race with another thread's close
 * is resolved by fd_hold). */
static inline struct file *fd_peek(const struct task *t, int fd)
{
	const struct files *fs = t->files;
	if (__builtin_expect((unsigned)fd >= (unsigned)__atomic_load_n(&fs->size, __ATOMIC_ACQUIRE), 1))
		return NULL;
	return __atomic_load_n(&fs->tab[fd], __ATOMIC_ACQUIRE);
}

struct file *fd_hold(struct task *t, int fd);		/* with a reference, or NULL; file_put() it */
int fd_install(struct task *t, int fd, struct file *f);	/* takes over the caller's reference; 0 or -ENOMEM */
struct file *fd_remove(struct task *t, int fd);		/* gives its reference to the caller, or NULL */
void fd_forget_hint(struct task *t, int fd);		/* fd is closed or replaced: drop what path.c noted */

/* Is fd one of the descriptors the agent itself owns?  The guest gets EBADF for it. */
bool fd_is_ours(int fd);

/* After SCM_RIGHTS, pidfd_getfd, exec: if fd is a carrier nobody told us about, note it. */
void fd_adopt(struct task *t, int fd);

struct files *files_new(void);
struct files *files_copy(struct files *old);		/* fork, or clone without CLONE_FILES */
void files_get(struct files *f);
void files_put(struct files *f);

/* exec: writes the descriptors that stay open as text "fd:server:handle:..." for the next image, and
 * reads it back.  files_describe returns the length or -ENOSPC. */
int files_describe(struct files *f, char *buf, size_t size);
int files_restore(struct files *f, const char *text);

/* The process ends in an orderly way: close every virtual descriptor, as the kernel would (FLUSH). */
void files_exit(struct task *t);

#endif
