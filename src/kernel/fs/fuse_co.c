/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Coroutines with stacks of their own: each request of a guest is straight-line C that waits for the
 * server's reply in the middle of a function.
 *
 * A coroutine is one mapping: a guard page, then CO_STACK bytes, whose top holds struct co and what its
 * user keeps with it.  Ended ones go to a pool and are used again; there are never more than requests
 * were under way at once.  One runs on whichever thread resumes it, the lock of its connection held, so it
 * must neither block nor touch guest memory.
 */
#include <asm/mman.h>
#include "fuse_conn.h"

#define GUARD	4096u
#define MAPPED	(GUARD + CO_STACK)

void co_switch(void **save, void *load);
void co_first(void);

/* Address sanitizer wants to know which stack is in use (unit tests only). */
#ifdef __has_feature
#define HAS_ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#else
#define HAS_ASAN 0
#endif
#if HAS_ASAN
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *save, const void **bottom, size_t *size);
#define fiber_start	__sanitizer_start_switch_fiber
#define fiber_finish	__sanitizer_finish_switch_fiber
#else
static inline void fiber_start(void **save, const void *bottom, size_t size)
{
	(void)save, (void)bottom, (void)size;
}
static inline void fiber_finish(void *save, const void **bottom, size_t *size)
{
	(void)save, (void)bottom, (void)size;
}
#endif

static void leave(struct co *co, void **fake)
{
	fiber_start(fake, co->back_stack, co->back_size);
	co_switch(&co->sp, co->back);
}

static void co_main(struct co *co)
{
	fiber_finish(NULL, &co->back_stack, &co->back_size);
	co->run(co);
	co->done = true;
	leave(co, NULL);
	agent_panic("an ended coroutine was resumed");
}

static char *stack_take(struct co_pool *pool)
{
	struct co *co = pool->free;

	if (co) {
		pool->free = co->next;
		return co->base;
	}
	long r = own_map(MAPPED, PROT_READ | PROT_WRITE, 0, -1, 0);
	if (r < 0 && r > -4096)
		return NULL;
	raw_syscall(__NR_mprotect, r, GUARD, PROT_NONE);
	return (char *)r;
}

struct co *co_new(struct co_pool *pool, size_t size)
{
	char *base = stack_take(pool);
	struct co *co;
	void **sp;

	if (!base)
		return NULL;
	size = (size + 63) & ~(size_t)63;
	co = (struct co *)(base + MAPPED - size);
	memset(co, 0, size);
	co->base = base;
	sp = (void **)co - 2;		/* 16-byte aligned at the call in co_first */
	*--sp = (void *)co_first;
	*--sp = NULL;			/* rbp */
	*--sp = NULL;			/* rbx */
	*--sp = co;			/* r12 */
	*--sp = (void *)co_main;	/* r13 */
	*--sp = NULL;			/* r14 */
	*--sp = NULL;			/* r15 */
	co->sp = sp;
	return co;
}

void co_free(struct co_pool *pool, struct co *co)
{
	co->next = pool->free;
	pool->free = co;
}

void co_drain(struct co_pool *pool)
{
	while (pool->free) {
		struct co *co = pool->free;
		pool->free = co->next;
		own_unmap(co->base, MAPPED);
	}
}

void co_resume(struct co *co)
{
	void *fake = NULL;

	fiber_start(&fake, co->base + GUARD, CO_STACK);
	co_switch(&co->back, co->sp);
	fiber_finish(fake, NULL, NULL);
}

void co_yield(struct co *co)
{
	leave(co, &co->fake);
	fiber_finish(co->fake, &co->back_stack, &co->back_size);
}
