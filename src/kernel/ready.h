/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for files of which the kernel does not know when they are ready: those of a server that answers FUSE_POLL (fs/fuse_poll.c), and
 * /dev/fuse.  Of all others a carrier is what an ordinary file is, always ready.
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
 * Returns how many are ready, or -errno: -EINTR, -ENOMEM.
 */
long ready_wait(struct task *t, struct pollfd *p, unsigned n, struct timespec64 *left, long mask, size_t size);

/* sys/poll.c: ppoll(2), pselect6(2) with the mask taken care of: what the kernel is given for it. */
long poll_call(struct task *t, gaddr fds, unsigned nfds, gaddr timeout, long mask, size_t size);
long select_call(struct task *t, int n, gaddr in, gaddr out, gaddr ex, gaddr timeout, long sig);

#endif
