/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory: touched by the instructions of the copy windows in entry.S, where a fault becomes
 * -EFAULT.  A guest that has SIGSEGV or SIGBUS blocked would be killed by the kernel for that fault, so
 * for such a guest the kernel does the copy (process_vm_readv on ourselves needs no rights).  Where that fails,
 * because a container forbids it or because the stack would have to grow, the two are unblocked meanwhile.
 */
#include "agent.h"
#include "signal.h"
#include "../kernel/task.h"
#include <asm/signal.h>

long guest_copy(void *dst, const void *src, size_t n);
long guest_string(char *dst, const char *src, size_t size);

/* Other signals stay as they are: one that is queued meanwhile blocks them all. */
static int copy_unblocked(int nr, void *own, gaddr guest, size_t n)
{
	uint64_t faults = SIGBIT(11 /* SIGSEGV */) | SIGBIT(7 /* SIGBUS */);
	uint64_t before = 0;
	bool in = nr == __NR_process_vm_readv;

	raw_syscall(__NR_rt_sigprocmask, SIG_UNBLOCK, &faults, &before, 8);
	int r = guest_copy(in ? own : (void *)guest, in ? (void *)guest : own, n);
	faults &= before;
	raw_syscall(__NR_rt_sigprocmask, SIG_BLOCK, &faults, NULL, 8);
	return r;
}

static int copy_by_kernel(int nr, void *own, gaddr guest, size_t n)
{
	struct iovec a = { own, n }, b = { (void *)guest, n };
	if (!n)
		return 0;
	if (raw_syscall(nr, process.pid, &a, 1, &b, 1, 0) == (long)n)
		return 0;
	return copy_unblocked(nr, own, guest, n);
}

int copy_to_guest_blocked(const struct iovec *own, const struct iovec *guest, size_t n)
{
	long want = 0;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		want += (long)own[i].iov_len;
	if (raw_syscall(__NR_process_vm_writev, process.pid, own, n, guest, n, 0) == want)
		return 0;
	for (size_t i = 0; i < n && !r; i++)
		r = copy_unblocked(__NR_process_vm_writev, own[i].iov_base, (gaddr)guest[i].iov_base, own[i].iov_len);
	return r;
}

int copy_from_guest(struct task *t, void *dst, gaddr src, size_t n)
{
	if (__builtin_expect(signal_faults_blocked(t), 0))
		return copy_by_kernel(__NR_process_vm_readv, dst, src, n);
	return guest_copy(dst, (const void *)src, n);
}

int copy_to_guest(struct task *t, gaddr dst, const void *src, size_t n)
{
	if (__builtin_expect(signal_faults_blocked(t), 0))
		return copy_by_kernel(__NR_process_vm_writev, (void *)src, dst, n);
	return guest_copy((void *)dst, src, n);
}

/* Page by page: the string may end right before an unmapped one. */
static long string_by_kernel(char *dst, gaddr src, size_t size)
{
	size_t done = 0;
	while (done < size) {
		size_t n = 4096 - ((src + done) & 4095);
		if (n > size - done)
			n = size - done;
		if (copy_by_kernel(__NR_process_vm_readv, dst + done, src + done, n))
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
		return string_by_kernel(dst, src, size);
	long n = guest_string(dst, (const char *)src, size);
	return n == (long)size ? -ENAMETOOLONG : n;
}
