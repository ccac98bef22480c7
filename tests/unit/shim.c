/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent's mechanism, hosted: everything src/agent/agent.h promises, on top of the C library, so that
 * src/kernel and parts of src/agent run as ordinary unit tests (-DUM_HOSTED).
 *
 * Guest memory is the test's own memory; it is still read through the kernel (process_vm_readv), so that
 * a bad address gives -EFAULT and not a crash.  Headers of the C library that define the kernel's
 * structures again (sys/stat.h, sys/uio.h, fcntl.h) must not be included here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/futex.h>
#include "shim.h"

#define WEAK __attribute__((weak))

char shim_log[16384];
unsigned shim_log_len;
long shim_heap_live, shim_heap_fail_after = -1, shim_last_call = -1;
long (*shim_kernel_call)(long nr, const long *args);

WEAK struct process process = { .world_fd = -1, .image_fd = -1 };

/* ---- system calls --------------------------------------------------------------------------------- */

WEAK long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	long r = syscall(nr, a, b, c, d, e, f);

	return r == -1 ? -errno : r;
}

WEAK long kernel_call6(struct task *t, long nr, long a, long b, long c, long d, long e, long f)
{
	const long args[6] = { a, b, c, d, e, f };

	(void)t;
	shim_last_call = nr;
	return shim_kernel_call ? shim_kernel_call(nr, args) : raw_syscall6(nr, a, b, c, d, e, f);
}

WEAK long pass_through(struct task *t)
{
	const struct regs *r = &t->regs;

	return kernel_call6(t, (long)r->rax, (long)r->rdi, (long)r->rsi, (long)r->rdx, (long)r->r10,
			    (long)r->r8, (long)r->r9);
}

/* ---- guest memory --------------------------------------------------------------------------------- */

static int copy(long nr, void *own, gaddr guest, size_t n)
{
	struct iovec local = { own, n }, remote = { (void *)guest, n };

	if (!n)
		return 0;
	return raw_syscall(nr, getpid(), &local, 1, &remote, 1, 0) == (long)n ? 0 : -EFAULT;
}

WEAK int copy_from_guest(struct task *t, void *dst, gaddr src, size_t n)
{
	(void)t;
	return copy(__NR_process_vm_readv, dst, src, n);
}

WEAK int copy_to_guest(struct task *t, gaddr dst, const void *src, size_t n)
{
	(void)t;
	return copy(__NR_process_vm_writev, (void *)src, dst, n);
}

WEAK int copy_to_guest_blocked(struct task *t, const struct iovec *own, const struct iovec *guest, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && !r; i++)
		r = copy_to_guest(t, (gaddr)guest[i].iov_base, own[i].iov_base, own[i].iov_len);
	return r;
}

WEAK long string_from_guest(struct task *t, char *dst, gaddr src, size_t size)
{
	for (size_t done = 0; done < size; ) {
		size_t n = 4096 - ((src + done) & 4095);
		char *end;

		if (n > size - done)
			n = size - done;
		if (copy_from_guest(t, dst + done, src + done, n))
			return -EFAULT;
		end = memchr(dst + done, 0, n);
		if (end)
			return end - dst;
		done += n;
	}
	return -ENAMETOOLONG;
}

/* ---- heap and maps -------------------------------------------------------------------------------- */

WEAK void *heap_alloc(size_t size)
{
	if (shim_heap_fail_after == 0)
		return NULL;
	if (shim_heap_fail_after > 0)
		shim_heap_fail_after--;
	__atomic_add_fetch(&shim_heap_live, 1, __ATOMIC_RELAXED);
	return calloc(1, size ? size : 1);
}

WEAK void heap_free(void *p)
{
	if (p)
		__atomic_sub_fetch(&shim_heap_live, 1, __ATOMIC_RELAXED);
	free(p);
}

WEAK char *heap_copy(const char *s, size_t n, size_t size)
{
	char *p = heap_alloc(size);

	if (p)
		memcpy(p, s, n);
	return p;
}

WEAK char *heap_strndup(const char *s, size_t n)
{
	return heap_copy(s, n, n + 1);
}

WEAK long own_map(size_t size, int prot, int flags, int fd, uint64_t offset)
{
	if (fd < 0)
		flags |= 0x22;	/* MAP_PRIVATE | MAP_ANONYMOUS */
	return raw_syscall(__NR_mmap, 0, size, prot, flags, fd, offset);
}

WEAK void own_unmap(void *p, size_t size)
{
	raw_syscall(__NR_munmap, p, size);
}

/* ---- waiting -------------------------------------------------------------------------------------- */

WEAK int futex_sleep(struct task *t, uint32_t *word, uint32_t value, int timeout_ms)
{
	struct timespec64 ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	long r = raw_syscall(__NR_futex, word, FUTEX_WAIT, value, timeout_ms < 0 ? NULL : &ts);

	if (r == -EINTR)
		return t ? -EINTR : 0;
	return r == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

WEAK void futex_wake(uint32_t *word, int how_many)
{
	raw_syscall(__NR_futex, word, FUTEX_WAKE, how_many);
}

/* ---- messages ------------------------------------------------------------------------------------- */

void shim_log_clear(void)
{
	shim_log_len = 0;
	shim_log[0] = 0;
}

WEAK long own_write(int fd, const void *data, size_t n)
{
	return raw_syscall(__NR_write, fd, data, n);
}

WEAK void agent_log(const char *fmt, ...)
{
	size_t left = sizeof(shim_log) - shim_log_len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(shim_log + shim_log_len, left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n + 2 > left) {	/* full: what does not fit is not kept */
		shim_log[shim_log_len] = 0;
		return;
	}
	shim_log_len += (unsigned)n;
	strcpy(shim_log + shim_log_len++, "\n");
}

WEAK _Noreturn void agent_panic(const char *fmt, ...)
{
	va_list ap;

	fputs("# agent_panic: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs("\n", stderr);
	abort();
}
