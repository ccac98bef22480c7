/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of mounted file systems, as the rest of the agent sees them: what a place (struct where) and an
 * open file (struct file) are asked through the channel of their server.
 *
 *	remote.c	requests, remote_fs, names: mkdir, unlink, rename, link, ...
 *	remote_dcache.c	what need not be asked for
 *	remote_pages.c	the same for contents
 *	remote_attr.c	attributes: stat, chmod, times, statfs, xattr
 *	remote_open.c	open, close, chdir; opening by name for exec
 *	remote_io.c	read, write, seek, readdir; a whole file into memory
 *	remote_watch.c	inotify
 */
#ifndef UM_KERNEL_FS_REMOTE_H
#define UM_KERNEL_FS_REMOTE_H

#include "../fd.h"
#include "../path.h"
#include "../../agent/channel.h"

/* ---- requests ------------------------------------------------------------------------------------- */

/* A request about a place, base and path filled in.  NULL and *error when there is no channel. */
struct um_slot *remote_begin(struct where *w, uint32_t op, long *error);

/* Sends it.  0, -errno, or -UM_EAGAIN when the walk met a link (w then holds the rest of it). */
long remote_call(struct where *w, struct um_slot *s);

/* The same about an open file. */
struct um_slot *file_begin(struct task *t, const struct file *f, uint32_t op, long *error);
long file_call(struct task *t, const struct file *f, struct um_slot *s);

/* Is this place the root of its mount: a mount point, which no name operation may touch? */
bool remote_is_root(const struct where *w);

/*
 * The attributes of what lies at path below that node, if they are known to be valid: 1.  -ENOENT: that nothing is there is known.  0: the
 * server has to be asked.  walk: UM_WALK_*.
 */
bool dcache_lacks(struct task *t, uint32_t server, uint64_t node, const char *path, uint32_t walk, const char *xattr);	/* as dcache_attr() */
int dcache_attr(struct task *t, uint32_t server, uint64_t node, const char *path, uint32_t walk, struct um_attr *attr);

/* ---- open files ------------------------------------------------------------------------------------ */

/*
 * Opens the place w at its server: *out is a file with one reference and no descriptor yet.  The handle
 * lives until remote_close(), or until the last carrier made for it is closed.
 */
struct file *remote_file_new(const struct where *w, int flags);		/* what is known of it before it is open; or NULL */
long remote_open_file(struct where *w, int flags, unsigned mode, struct file **out);
long remote_open(struct where *w, int flags, unsigned mode);	/* the same with a descriptor: remote_fs.open */
long remote_chdir(struct where *w);
long remote_enter(struct task *t, struct file *f);	/* f becomes the cwd, if it may be */

/* Opens a path of our own, without a carrier (exec).  -EXDEV if the path turns out to be real. */
long remote_open_path(struct task *t, const char *path, int flags, struct file **out);

/* Tells the server that a descriptor of f (or its only, carrierless use) is closed, and drops the
 * reference.  Returns what the server says to FLUSH: close(2)'s result. */
long remote_close(struct task *t, struct file *f);

/* ---- data ------------------------------------------------------------------------------------------ */

/* The guest's buffers of one read or write, our own copy of the vector. */
struct guest_iov {
	struct iovec *v;
	int n;			/* vectors left, v[0] is the current one */
	size_t at;		/* bytes of v[0] already used */
	size_t left;		/* bytes left in all, never more than the kernel's MAX_RW_COUNT */
	struct iovec *heap;
	struct iovec few[8];
};
#define UM_MAX_RW	0x7ffff000ul	/* the kernel's MAX_RW_COUNT */

long iov_single(struct guest_iov *g, gaddr buf, size_t size);
long iov_import(struct task *t, struct guest_iov *g, gaddr vec, unsigned long n);
void iov_done(struct guest_iov *g);
size_t iov_put(struct task *t, struct guest_iov *g, const void *src, size_t n);	/* bytes copied */
size_t iov_get(struct task *t, struct guest_iov *g, void *dst, size_t n);

/*
 * offset: a position, or UM_OFFSET_FILE (the file's own, moved).  append: to the end, wherever that is, as
 * is done in any case with a file opened with O_APPEND.  Results as of read(2) and write(2).
 */
long file_read(struct task *t, struct file *f, struct guest_iov *g, uint64_t offset);
long file_write(struct task *t, struct file *f, struct guest_iov *g, uint64_t offset, bool append);

/*
 * As much of it as is known: bytes read, the vector and the file's own offset moved.  *done: that is the result, as of read(2) (-EFAULT is
 * possible); else the server has to be asked for the rest.
 */
long pages_read(struct task *t, const struct file *f, struct guest_iov *g, uint64_t offset, bool *done);

/* getdents64(2) where that needs no asking: true, and the result. */
bool pages_listing(struct task *t, const struct file *f, struct guest_iov *g, long *result);

/*
 * Opens the place w for reading without asking: 1, and *out is as of remote_open_file(); -ENOENT: it is known that nothing is there; 0: the
 * server has to be asked.  client_opened() when there is a carrier.  client_closed(): no carrier of f is left; false: ask.
 */
long client_open(struct where *w, int flags, struct file **out);
void client_opened(const struct file *f);
bool client_closed(const struct file *f);

/* Of a file that has been opened so (UM_HANDLE_CLIENT): somebody has got it from another process; has anybody? */
void client_share(uint32_t server, uint32_t handle);
bool client_is_shared(const struct file *f);

/* lseek(2) where that needs no asking: true, and the result. */
bool pages_seek(struct task *t, const struct file *f, int64_t offset, unsigned whence, long *result);

/* The server's agent will find out that f is closed, if nobody says so.  false: it will not. */
bool pages_closed(struct task *t, const struct file *f);

/* One piece of at most UM_DATA_SIZE bytes; *data points into the channel until its next use. */
long file_read_piece(struct task *t, struct file *f, size_t size, uint64_t offset, uint8_t **data);
/* A channel whose data window the caller fills, then file_write_piece() sends size bytes of it. */
struct um_slot *file_write_begin(struct task *t, struct file *f, long *error);
long file_write_piece(struct task *t, struct file *f, struct um_slot *s, size_t size, uint64_t offset);

long file_seek(struct task *t, struct file *f, int64_t offset, unsigned whence);
long file_readdir(struct task *t, struct file *f, gaddr buf, size_t size, bool legacy);
long file_fsync(struct task *t, struct file *f, bool datasync);
long file_set_flags(struct task *t, struct file *f, unsigned flags);	/* as F_SETFL: O_APPEND, O_NONBLOCK, O_NOATIME, O_DIRECT */
/* Bytes copied by their common server; -EOPNOTSUPP: it does not do that. */
long file_copy(struct task *t, struct file *in, int64_t from, struct file *out, int64_t to, size_t len);
/* The name of a memory file that stands for f, so that it is shown in /proc as path (fs/proc.h), if that is not too long for a name.  0 or -errno. */
#define MEMORY_NAME	(NAME_MAX - sizeof "memfd:")
long file_stand_in_name(struct task *t, struct file *f, const char *path, char *name);
/*
 * A descriptor of ours, for reading and writing, of what is to be mapped in place of f, which is open so (kernel/fs/fuse_map.c), and is shown as
 * path; -errno.  What is stored there is the file's.
 */
long file_mapped(struct task *t, struct file *f, const char *path);
long file_msync(struct task *t);	/* what this process has stored so goes to the servers.  0 or -errno */
/*
 * What it is ready for (POLL*), of `events`; and waker != NULL: what can be read from when it is worth asking again.  -errno: the server does
 * not answer.
 */
struct file_waker { uint32_t pid, fd; uint64_t ino; };
long file_poll(struct task *t, struct file *f, uint32_t events, struct file_waker *waker);
long file_ioctl(struct task *t, struct file *f, unsigned cmd, gaddr arg);	/* what its server makes of it */
long file_fallocate(struct task *t, struct file *f, int mode, int64_t offset, int64_t len);

/* A regular file's whole contents into the empty file fd, with holes where there are zeros.  0 or -errno. */
long file_copy_to(struct task *t, struct file *f, long fd);

/*
 * A regular file's whole contents in a new memory file that stands for that path, with holes where there are zeros;
 * cloexec: O_CLOEXEC or 0.  Returns the raw descriptor.
 */
long file_to_memfd(struct task *t, struct file *f, const char *path, int cloexec);

/* inotify_add_watch(2) at a place, with the guest's descriptor. */
long remote_watch(struct where *w, int fd, unsigned mask);

/* ---- attributes ------------------------------------------------------------------------------------- */

void attr_to_stat(const struct um_attr *a, uint32_t dev_minor, struct stat *st);
void attr_to_statx(const struct um_attr *a, uint32_t dev_minor, struct statx *sx);

long file_stat(struct task *t, struct file *f, gaddr buf);
long file_statx(struct task *t, struct file *f, gaddr buf);
long file_attr(struct task *t, struct file *f, struct um_attr *a);
long file_access(struct task *t, struct file *f, int mode);	/* with the effective ids */
long file_statfs(struct task *t, struct file *f, gaddr buf);
long file_chmod(struct task *t, struct file *f, unsigned mode);
long file_chown(struct task *t, struct file *f, unsigned uid, unsigned gid);
long file_utimens(struct task *t, struct file *f, const struct timespec64 *ts);
long file_truncate(struct task *t, struct file *f, uint64_t size);
long file_getxattr(struct task *t, struct file *f, const char *name, gaddr buf, size_t size);
long file_setxattr(struct task *t, struct file *f, const char *name, gaddr buf, size_t size, int flags);
long file_listxattr(struct task *t, struct file *f, gaddr buf, size_t size);
long file_removexattr(struct task *t, struct file *f, const char *name);

/* remote_attr.c's part of remote_fs */
long remote_look(struct where *w, struct stat *st);	/* as the server has it */
long remote_stat(struct where *w, gaddr buf);
long remote_statx(struct where *w, int flags, unsigned mask, gaddr buf);
long remote_statfs(struct where *w, gaddr buf);
long remote_access(struct where *w, int mode, int flags);
long remote_chmod(struct where *w, unsigned mode, int flags);
long remote_chown(struct where *w, unsigned uid, unsigned gid);
long remote_utimens(struct where *w, const struct timespec64 *ts);
long remote_truncate(struct where *w, uint64_t size);
long remote_getxattr(struct where *w, const char *name, gaddr buf, size_t size);
long remote_setxattr(struct where *w, const char *name, gaddr buf, size_t size, int flags);
long remote_listxattr(struct where *w, gaddr buf, size_t size);
long remote_removexattr(struct where *w, const char *name);

#endif
