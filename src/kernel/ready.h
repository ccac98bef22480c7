/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for files of which the kernel does not know when they are ready: those of a server that answers FUSE_POLL (fs/fuse_poll.c), and
 * /dev/fuse.  Of all others a carrier is what an ordinary file is, always ready.
 *
 *	ready.c		which they are, and the filter that brings poll and select to us
 *	ready_waker.c	what can be read when it is worth asking a server again
 *	ready_wait.c	the waiting
 *	sys/poll.c	the system calls
 */
#ifndef UM_KERNEL_READY_H
#define UM_KERNEL_READY_H

#include <asm/poll.h>
#include "fd.h"

bool ready_is_asked(struct task *t, const struct file *f);	/* is it such a file? */

/* f has become open in this process: if it is such a file, poll and select come to us from now on (agent/catch.h). */
void ready_watch(struct task *t, const struct file *f);

/* Is one of them among these? */
bool ready_concerns(struct task *t, const struct pollfd *p, unsigned n);

/*
 * ppoll(2): fills p[].revents.  left: how long, NULL: for ever; then what is left of it.  mask: what the kernel is given for it, or 0.
 * select: as for select(2), only what is in p[].events counts, POLLHUP and POLLERR, too.
 * Returns how many are ready, or -errno: -EINTR, -ENOMEM, and before anything was done -UM_ERESTART.
 */
long ready_wait(struct task *t, struct pollfd *p, unsigned n, bool select, struct timespec64 *left, long mask, size_t size);

/* A descriptor of ours that can be read when what this names can, shared by all threads; -ESTALE: it can already; -errno: there is none. */
struct file_waker;
int ready_waker_get(const struct file_waker *w);
void ready_waker_put(int fd);
void ready_after_fork(void);	/* those of threads that are not in the child */

/* sys/poll.c: ppoll(2), pselect6(2) with the mask taken care of: what the kernel is given for it. */
long poll_call(struct task *t, gaddr fds, unsigned nfds, gaddr timeout, long mask, size_t size);
long select_call(struct task *t, int n, gaddr in, gaddr out, gaddr ex, gaddr timeout, long sig);

#endif
