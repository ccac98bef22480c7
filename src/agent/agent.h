/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the mechanism offers to the rest of the agent.
 *
 * The agent lives inside somebody else's process.  Rules for every line of it (src/agent, src/kernel,
 * src/arch):
 *
 *  - no libc, no thread-local storage, no floating point or vector registers (they are the guest's),
 *    no memory but our own heap and our own stacks (64 KiB each: no large automatic arrays beyond a
 *    couple of PATH_MAX buffers);
 *  - the guest may be interrupted by its signals anywhere, in us too: the handler only queues the
 *    signal, we run on, and it is delivered at our edge.  So a lock held here is always released;
 *  - what the guest passes is touched with copy_*_guest() only, once, and may be garbage;
 *  - a system call on behalf of the guest that can block goes through kernel_call(): it returns early
 *    when a signal has come.  Our own book-keeping uses raw_syscall();
 *  - functions return 0 or a value >= 0, or -errno.
 *
 * The same sources are compiled hosted for the unit tests (-DUM_HOSTED, tests/unit/shim.c).
 */
#ifndef UM_AGENT_AGENT_H
#define UM_AGENT_AGENT_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdarg.h>
#include <asm/errno.h>
#include "linux_types.h"

/* One image, no dynamic linking: every symbol is reached relative to the instruction pointer. */
#ifndef UM_HOSTED
#pragma GCC visibility push(hidden)
#endif

struct task;

/* An address in the guest's memory: never dereferenced directly. */
typedef unsigned long gaddr;

/* ---- system calls of our own --------------------------------------------------------------------- */

/* The bare instruction.  Returns what the kernel returned: -errno on failure. */
long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f);
#define raw_syscall(...)	RAW_SYSCALL_(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define RAW_SYSCALL_(nr, a, b, c, d, e, f, ...) \
	raw_syscall6((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/*
 * A system call on behalf of the guest.  If a signal for the guest has come or comes while it blocks,
 * returns -EINTR (when the kernel said so) or -UM_ERESTART (not executed, or to be restarted by the
 * rules of SA_RESTART); the caller undoes what must be undone and passes the value on, the dispatcher
 * knows what to do with it.
 */
long kernel_call6(struct task *t, long nr, long a, long b, long c, long d, long e, long f);
#define kernel_call(t, ...)	KERNEL_CALL_(t, __VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define KERNEL_CALL_(t, nr, a, b, c, d, e, f, ...) \
	kernel_call6((t), (nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define UM_ERESTART	512	/* the kernel's ERESTARTSYS: make the guest execute the call again */

/* ---- guest memory -------------------------------------------------------------------------------- */

/* All return 0 or -EFAULT.  n may be 0. */
int copy_from_guest(struct task *t, void *dst, gaddr src, size_t n);
int copy_to_guest(struct task *t, gaddr dst, const void *src, size_t n);
/* While we have all signals blocked: from n pieces of ours to as many of the guest's, of the same sizes. */
struct iovec;
int copy_to_guest_blocked(struct task *t, const struct iovec *own, const struct iovec *guest, size_t n);

/* A structure that may have grown: we know n bytes of it, the guest has size.  What we do not know must be zero (E2BIG),
 * what it does not know becomes zero.  Or -EFAULT. */
int copy_struct_from_guest(struct task *t, void *dst, size_t n, gaddr src, size_t size);

/* Copies a string with its NUL.  Returns its length (without NUL), -EFAULT, or -ENAMETOOLONG if there
 * is no NUL within size bytes. */
long string_from_guest(struct task *t, char *dst, gaddr src, size_t size);

/* ---- heap: private memory of this process, ours alone ----------------------------------------------- */

/* 16-byte aligned; zeroed; NULL when the kernel gives no memory.  heap_free(NULL) is fine. */
void *heap_alloc(size_t size);
void heap_free(void *p);
/* A copy of s[0 .. n) with a zero behind it; all n bytes must be there: unlike strndup(3) this looks for no end.  heap_copy() makes it in
 * a block of `size` bytes, more than n, zeroed. */
char *heap_copy(const char *s, size_t n, size_t size);
char *heap_strndup(const char *s, size_t n);

/* Maps / unmaps whole pages in the agent's own range (never seen by the guest as its own).
 * fd < 0: anonymous private.  Returns the address or -errno. */
long own_map(size_t size, int prot, int flags, int fd, uint64_t offset);
void own_unmap(void *p, size_t size);

/* Large tables that a short process hardly touches: kept apart from what every process writes. */
#define UM_LARGE	__attribute__((section(".bss.large")))

/* ---- locks: within one process; all of them are taken around fork ----------------------------------- */

struct lock {
	uint32_t word;		/* 0 free, else who holds it, and whether somebody sleeps: lock.c */
};
void lock_acquire(struct lock *l);
void lock_release(struct lock *l);

/* ---- waiting on shared memory ------------------------------------------------------------------------ */

/*
 * Sleeps while *word == value (shared futex), at most timeout_ms (< 0: for ever).  Returns 0 when woken
 * or when the value differs, -ETIMEDOUT, or -EINTR when a signal waits for the guest (only if t != NULL).
 */
int futex_sleep(struct task *t, uint32_t *word, uint32_t value, int timeout_ms);
void futex_wake(uint32_t *word, int how_many);

/* ---- text -------------------------------------------------------------------------------------------- */

#ifdef UM_HOSTED
#include <string.h>
#else
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
#endif
/* %s %c %d %u %x %o %p %%, with l or z, '-', '0', width, precision (both also *).  Always
 * NUL-terminated; returns the length it wanted, as C99 snprintf. */
int text_format(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int text_vformat(char *buf, size_t size, const char *fmt, va_list ap);
/* Parses a decimal number at *s, moves *s behind it.  -1 when there is none or it does not fit. */
long text_number(const char **s);

/* One line (no newline needed) to the log of the view.  Never fails, never blocks on the guest. */
void agent_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes to a descriptor of ours.  As write(2), but no signal comes of what goes wrong. */
long own_write(int fd, const void *data, size_t n);

/* A call that makes a memory file of ours larger: the guest's limit on the size of files does not count, unless it is a hard
 * one (-EFBIG). */
long own_file_call(long nr, long fd, long a, long b, long c);

/* An inner contradiction: says so on the log and on stderr, and ends the process with SIGKILL. */
_Noreturn void agent_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
