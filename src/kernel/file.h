/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual files.
 *
 * A virtual open file is a handle at a server.  In the guest it occupies a real descriptor, its
 * carrier: an open file description of the world file (wire/world.h) whose offset is
 * UM_LOCK(server, handle) and which holds an OFD write lock at that offset.  So dup, fork, exec,
 * SCM_RIGHTS, close-on-exec and /proc/self/fd stay the kernel's; whoever finds such a descriptor can tell
 * what it stands for (carrier_identify); and the server can test the lock to see the last close, even
 * after SIGKILL.  The file's own offset lives at the server with the handle.
 */
#ifndef UM_KERNEL_FILE_H
#define UM_KERNEL_FILE_H

#include "task.h"

struct files;

enum file_kind {
	FILE_REMOTE,		/* file or directory of a mounted file system */
	FILE_FUSE_DEVICE,	/* an open /dev/fuse: we are the server */
};

/* One per open file description per process; several descriptors may point to it. */
struct file {
	uint32_t refs;		/* atomic */
	enum file_kind kind;
	uint32_t server;
	uint32_t handle;	/* UM_HANDLE_DEVICE for the device */
	uint32_t mount;		/* id of the mount it was opened on */
	uint32_t mode;		/* st_mode's type bits */
	uint32_t open_flags;	/* O_* at open; F_SETFL's part lives in the carrier */
	uint32_t flags;		/* FILE_* */
	uint64_t node;
	char *path;		/* canonical path at open: directories only, else NULL.  Also NULL after exec
				   and SCM_RIGHTS until it is needed: use file_path() */
	struct fuse_conn *conn;	/* FILE_FUSE_DEVICE: kernel/fs/fuse.h */
	uint32_t copies;	/* of the descriptor table, when it was opened: carrier.c */
	uint32_t spare;		/* 1 + the number of the spare carrier that it has got, 0: none; files->lock */
};
#define FILE_PATH	1u	/* O_PATH */
#define FILE_QUIET	4u	/* the server need not be waited for when it is closed */
#define FILE_RDONLY	2u	/* opened through a read-only bind mount */
#define FILE_PASSED	8u	/* its carrier may be known elsewhere, or be changed: not to be used again */
#define FILE_OVER	16u	/* its carrier is known to be gone, everywhere */

static inline void file_passed(struct file *f)
{
	__atomic_fetch_or(&f->flags, FILE_PASSED, __ATOMIC_RELAXED);
}

struct file *file_new(enum file_kind kind);
void file_get(struct file *f);
void file_put(struct file *f);		/* frees the struct; says nothing to the server */

/* A descriptor of f has been closed (the carrier is gone already): UM_OP_CLOSED to its server.  What close(2)
 * returns. */
long file_closed(struct task *t, struct file *f);

/* Where the file is now: its server is asked, f->path is what is left when it cannot tell.  Length or -errno. */
long file_path(struct task *t, const struct file *f, char *buf, size_t size);
long file_path_removed(struct task *t, const struct file *f, char *buf, size_t size);	/* if that is ENOENT: what it was */

/* Opens a carrier for (server, handle).  open_flags: the guest's O_ACCMODE, O_APPEND, O_NONBLOCK,
 * O_CLOEXEC... are put on it.  Returns the descriptor (lowest free) or -errno. */
int carrier_open(uint32_t server, uint32_t handle, int open_flags);

/* The same for a file that has its handle: by a carrier that has been kept, if there is one.  Until carrier_close() or, where its descriptor
 * has been closed by other means, carrier_forget() (which file_closed() calls). */
int carrier_open_for(struct task *t, struct file *f, int open_flags);
void carrier_close(struct task *t, struct file *f, int fd);	/* closes fd, of f, which is in no table any more; may keep its carrier */
void carrier_forget(struct task *t, struct file *f);

/* The table is being copied (its lock is held): what has been kept goes first, and what is open then is not alone any more. */
void carrier_drop_spares(struct files *fs);

/* Somebody has got a descriptor of this from another process.  false: it was closed at that moment. */
bool carrier_share(uint32_t server, uint32_t handle);

/* Is a descriptor with a carrier of (server, handle) open in any process?  An error would mean that the world is not what it must be: yes. */
bool carrier_is_open(uint32_t server, uint32_t handle);

/* Is fd a carrier?  Fills *server, *handle and returns 1; 0 if it is an ordinary descriptor. */
int carrier_identify(int fd, uint32_t *server, uint32_t *handle);

#endif
