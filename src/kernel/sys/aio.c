/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asynchronous input and output (libaio's, not io_uring, which a view does not have).
 *
 * The kernel works on descriptors where no agent can look, so what concerns a virtual file must not get
 * there.  io_submit() takes what comes before the first such request, or fails with the EINVAL of a
 * file that has no asynchronous operations; programs then read and write in the usual way.
 */
#include <linux/aio_abi.h>
#include "handlers.h"
#include "../fd.h"

/* 0 if the kernel may have this request, else its errno. */
static long check_request(struct task *t, gaddr iocb)
{
	struct iocb cb;

	if (copy_from_guest(t, &cb, iocb, sizeof(cb)))
		return -EFAULT;
	if (fd_is_ours((int)cb.aio_fildes))
		return -EBADF;
	if (fd_peek(t, (int)cb.aio_fildes))
		return -EINVAL;
	return 0;
}

long sys_io_submit(struct task *t, unsigned long ctx, long nr, gaddr iocbs)
{
	long n, r = 0;

	if (nr <= 0)
		return pass_through(t);		/* the kernel says which error that is */
	for (n = 0; n < nr; n++) {
		gaddr iocb;

		r = copy_from_guest(t, &iocb, iocbs + (gaddr)n * sizeof(iocb), sizeof(iocb));
		if (!r)
			r = check_request(t, iocb);
		if (r)
			break;
	}
	return n ? kernel_call(t, __NR_io_submit, ctx, n, iocbs) : r;
}
