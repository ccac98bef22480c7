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

/* A carrier that has been kept: carrier.c. */
struct spare {
	int fd;			/* one of ours, close-on-exec; 0: none */
	uint32_t flags;		/* O_* that it has */
	struct file *user;	/* that it stands for; NULL: for none, and it holds no lock */
};
#define SPARES	4

struct files {
	uint32_t refs;		/* atomic: tasks that share it */
	struct lock lock;	/* writers */
	int size;		/* slots in tab; 0 while nothing is virtual */
	struct file **tab;	/* NULL = real.  An outgrown table stays valid: readers take no lock */
	/* where real directory descriptors are: path_base.c */
	int nhints;
	struct dir_hint **hints;	/* likewise */
	uint32_t gone[32][2];		/* files_restore: (server, handle) closed by exec, not yet told */
	int ngone;
	uint32_t copies;		/* how often it has been copied */
	struct spare spare[SPARES];
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

bool fd_pass(struct task *t, int fd);			/* it is going to be sent to another process; false: it is ours, and must not be */
struct file *fd_hold(struct task *t, int fd);		/* with a reference, or NULL; file_put() it */
int fd_install(struct task *t, int fd, struct file *f);	/* takes over the caller's reference; 0 or -ENOMEM */
struct file *fd_remove(struct task *t, int fd);		/* gives its reference to the caller, or NULL */
void fd_dup_hint(struct task *t, int from, int to);	/* a real descriptor has been duplicated */
bool fd_read_only(const struct task *t, int fd);	/* a real one (or AT_FDCWD) behind a read-only bind mount? */
void fd_forget_hint(struct task *t, int fd);		/* fd is closed or replaced: drop what path.c noted */

/* Is fd one of the descriptors the agent itself owns?  The guest gets EBADF for it.  They are all parked
 * high, so that for most numbers one comparison is the answer. */
extern int fd_own_lowest;
bool fd_is_ours_slow(int fd);
static inline bool fd_is_ours(int fd)
{
	return __builtin_expect(fd >= fd_own_lowest, 0) && fd_is_ours_slow(fd);
}

/* Is there a number for one more descriptor?  0 or -EMFILE, -ENFILE.  The kernel looks before it walks a path. */
long fd_has_room(void);

/* The descriptors that the agent of a process (0: we) owns.  How many, or -EPERM if it may not be asked. */
#define UM_OWN_MAX	116
int fd_list_owned(int pid, int list[UM_OWN_MAX]);

/* process.world_fd and process.image_fd are known now. */
void fd_own_start(void);

/* memfd_create(2), of a file that may be executed: MFD_EXEC where the kernel knows it (6.3). */
long fd_memory(const char *name, unsigned flags);

/* Moves fd to a high number (it stays open over exec) and makes it one of ours.  Returns the new number,
 * or -errno with fd still open.  fd_own() only declares; fd_disown() before it is closed or given away. */
int fd_park(int fd);
int fd_own(int fd);
void fd_disown(int fd);
void fd_give_up(int fd);	/* disowns and closes it */

/* The same with what has just been opened (or -errno, which is the result then); exec closes it.  If there is no room, it is closed now. */
int fd_keep(long fd);

/* A pipe of ours: its end to read, its end to write, neither blocks, both are closed by exec.  0 or -errno. */
int fd_pipe(int fd[2]);

/* After SCM_RIGHTS, pidfd_getfd, exec: if fd is a carrier nobody told us about, note it.  0, or -EBADF: it is one of a file that was closed at that
 * moment (only what has been taken without the owner's help can be). */
long fd_adopt(struct task *t, int fd);

/* A file by what a carrier says, without a carrier of our own (and, if it is /dev/fuse, without its connection). */
struct file *fd_carried(struct task *t, uint32_t server, uint32_t handle, uint32_t open_flags);

struct files *files_new(void);
struct files *files_copy(struct files *old);		/* fork, or clone without CLONE_FILES */
void files_get(struct files *f);
void files_put(struct files *f);
int files_set(struct files *f, int fd, struct file *file, struct file **old);	/* its lock is held, or nobody else has it */

/* exec: writes the virtual descriptors as text "fd:server:handle:..." (no blanks) for the next image, and
 * reads it back.  files_describe returns the length or -ENOSPC.  Carriers that exec closes are in it too:
 * files_after_exec() tells their servers, as soon as the new image has a task. */
int files_describe(struct files *f, char *buf, size_t size);
int files_restore(struct files *f, const char *text);
void files_after_exec(struct task *t);

/* The same by a descriptor (carry.h), for tables of any size; files_carried() closes it.  0 or -errno. */
int files_carry(struct files *f);
int files_carried(struct files *f, int fd);

/* The process ends in an orderly way: close every virtual descriptor, as the kernel would (FLUSH). */
void files_exit(struct task *t);

#endif
