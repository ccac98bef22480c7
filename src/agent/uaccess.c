/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: touched by the instructions of the copy windows in entry.S, where a fault becomes
 * -EFAULT.  A guest that has SIGSEGV or SIGBUS blocked would be killed by the kernel for that fault, so
 * for such a guest, and in our signal handler, the kernel does the copy (process_vm_readv on ourselves needs no rights).
 */
#include "agent.h"
#include "signal.h"
#include "../kernel/task.h"
#include <asm/signal.h>
#include <linux/random.h>

#define NO_HOW	99	/* rt_sigprocmask() reads the set, then says EINVAL */

long guest_copy(void *dst, const void *src, size_t n);
long guest_string(char *dst, const char *src, size_t size);

/* ---- while faults are blocked -------------------------------------------------------------------------------- */

/*
 * Is this memory there?  The kernel touches a byte of each page for us, which makes a stack grow; of what is going to be written
 * it is written.
 */
static bool touch(int nr, gaddr at, size_t n)
{
	if (at + n < at)
		return false;
	for (gaddr p = at; p < at + n; p = (p | 4095) + 1) {
		const gaddr word = p & ~7ull;
		long r = nr == __NR_process_vm_writev ? raw_syscall(__NR_getrandom, p, 1, GRND_NONBLOCK)
						      : raw_syscall(__NR_rt_sigprocmask, NO_HOW, word, 0, 8);

		if (r == -EFAULT)
			return false;
	}
	return true;
}

#define TRIES	8

/* From or to the guest's n pieces.  Where the kernel will not do that for us (memory of memfd_secret; EPERM in some containers), they are
 * there at least: not because another thread takes them away and gives them back, or the kernel would have done it one of these times.
 * The process may have lost its first thread. */
static int copy_by_kernel(struct task *t, int nr, const struct iovec *own, const struct iovec *guest, size_t n)
{
	bool in = nr == __NR_process_vm_readv;
	long want = 0, r;

	for (size_t i = 0; i < n; i++)
		want += (long)own[i].iov_len;
	for (int tries = 0; tries < TRIES; tries++) {
		r = want ? raw_syscall(nr, t->tid, own, n, guest, n, 0) : 0;
		if (r == want)
			return 0;
		for (size_t i = 0; i < n; i++)
			if (!touch(nr, (gaddr)guest[i].iov_base, guest[i].iov_len))
				return -EFAULT;
	}
	for (size_t i = 0; i < n; i++)
		if (guest_copy(in ? own[i].iov_base : guest[i].iov_base, in ? guest[i].iov_base : own[i].iov_base, own[i].iov_len))
			return -EFAULT;
	return 0;
}

static int copy_piece(struct task *t, int nr, void *own, gaddr guest, size_t n)
{
	const struct iovec a = { own, n }, b = { (void *)guest, n };

	return copy_by_kernel(t, nr, &a, &b, 1);
}

int copy_to_guest_blocked(struct task *t, const struct iovec *own, const struct iovec *guest, size_t n)
{
	return copy_by_kernel(t, __NR_process_vm_writev, own, guest, n);
}

int copy_from_guest(struct task *t, void *dst, gaddr src, size_t n)
{
	if (__builtin_expect(signal_faults_blocked(t), 0))
		return copy_piece(t, __NR_process_vm_readv, dst, src, n);
	return guest_copy(dst, (const void *)src, n);
}

int copy_to_guest(struct task *t, gaddr dst, const void *src, size_t n)
{
	if (__builtin_expect(signal_faults_blocked(t), 0))
		return copy_piece(t, __NR_process_vm_writev, (void *)src, dst, n);
	return guest_copy((void *)dst, src, n);
}

/* Page by page: the string may end right before an unmapped one. */
static long string_by_kernel(struct task *t, char *dst, gaddr src, size_t size)
{
	size_t done = 0;
	while (done < size) {
		size_t n = 4096 - ((src + done) & 4095);
		if (n > size - done)
			n = size - done;
		if (copy_piece(t, __NR_process_vm_readv, dst + done, src + done, n))
			return -EFAULT;
		for (size_t i = done; i < done + n; i++)
			if (!dst[i])
				return i;
		done += n;
	}
	return -ENAMETOOLONG;
}

long string_from_guest(struct task *t, char *dst, gaddr src, size_t size)
{
	if (__builtin_expect(signal_faults_blocked(t), 0))
		return string_by_kernel(t, dst, src, size);
	long n = guest_string(dst, (const char *)src, size);
	return n == (long)size ? -ENAMETOOLONG : n;
}
