/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client half of FUSE, in the agent of the process that serves a file system.
 *
 * The server program opens /dev/fuse (a FILE_FUSE_DEVICE), mounts, and reads requests.  Each read() here
 * takes work posted by other guests (wire/channel.h), runs it as a coroutine that issues FUSE requests
 * one after the other, and returns the next FUSE request; each write() hands a reply to the coroutine
 * that waits for it.  So the server's own threads do all the work, and one system call of a guest costs
 * one switch however many LOOKUPs it takes.
 */
#ifndef UM_KERNEL_FUSE_H
#define UM_KERNEL_FUSE_H

#include "../file.h"

struct fuse_conn;

/* open("/dev/fuse"): asks the monitor for a server number, maps its area.  Returns the descriptor. */
long fuse_dev_open(struct task *t, int open_flags);

/* A descriptor of /dev/fuse that came from another process (SCM_RIGHTS, fork + exec): joins `server`. */
struct fuse_conn *fuse_conn_join(uint32_t server);

/* A file that stood for the connection is gone (file_put). */
void fuse_conn_leave(struct fuse_conn *c);

/* read(2), readv(2), write(2), writev(2), ioctl(2), poll on it.  iov holds guest addresses. */
long fuse_dev_read(struct task *t, struct file *f, const struct iovec *iov, int iovcnt);
long fuse_dev_write(struct task *t, struct file *f, const struct iovec *iov, int iovcnt);
/* splice(2): a whole message from (write) or to a real pipe. */
long fuse_dev_splice(struct task *t, struct file *f, int pipe, size_t len, bool write);
/* Our descriptor that can be read when the device can (poll, select); -ENODEV: it is at its end, or not mounted yet.  Not longer than f is held. */
long fuse_dev_bell(const struct file *f);
bool fuse_dev_readable(const struct file *f);
long fuse_dev_epoll(struct file *f, int epfd, int op, gaddr event);	/* epoll_ctl(2) */
long fuse_dev_ioctl(struct task *t, struct file *f, unsigned cmd, gaddr arg);

#endif
