/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restartable sequences: what the kernel aborts, and where a signal's context then shows the program.
 * GUEST_WORLDS: native view
 */
#include "guest.h"
#include <linux/rseq.h>
#include <pthread.h>
#include <sys/rseq.h>
#include <sys/time.h>

static struct rseq *own(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static volatile sig_atomic_t rings;
static volatile unsigned long rip;

static void ring(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)info;
	rings++;
	rip = (unsigned long)((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];
	getpid();
	close(-1);		/* one that a view looks at */
}

extern char section_start[], section_abort[];

/* Turns in a critical section until it is aborted; 1 for that, 0 if `turns` were enough. */
__attribute__((noinline)) static int section(struct rseq *r, long turns)
{
	static struct rseq_cs cs __attribute__((aligned(32)));
	int aborted = 0;

	cs.start_ip = (uint64_t)(uintptr_t)section_start;
	cs.abort_ip = (uint64_t)(uintptr_t)section_abort;
	__asm__ volatile(
		"lea 2f(%%rip), %%rax\n\t"
		"sub %[start], %%rax\n\t"
		"mov %%rax, %[length]\n\t"
		"mov %[cs], %[slot]\n\t"
		"section_start:\n"
		"1:\tdec %[turns]\n\t"
		"jnz 1b\n"
		"2:\tjmp 3f\n\t"
		".byte 0x0f, 0xb9, 0x3d\n\t"	/* ud1 with the signature for its operand */
		".long 0x53053053\n"
		"section_abort:\n\t"
		"movl $1, %[aborted]\n"
		"3:\n\t"
		: [slot] "=m"(r->rseq_cs), [length] "=m"(cs.post_commit_offset), [turns] "+r"(turns), [aborted] "+m"(aborted)
		: [cs] "r"((uint64_t)(uintptr_t)&cs), [start] "r"((uint64_t)(uintptr_t)section_start)
		: "rax", "cc", "memory");
	r->rseq_cs = 0;
	return aborted;
}

/* A timer's signals abort it, each before its handler starts. */
static void abort_often(void)
{
	struct rseq *r = own();
	long end = now_ms() + 5000;
	int aborts = 0, tries = 0;

	while (section(r, 10) && ++tries < 100)	/* a short one: hardly ever, but a signal may hit that, too */
		;
	TRUE(tries < 100);
	for (rings = 0; aborts < 100 && now_ms() < end; ) {
		if (!section(r, 300000))
			continue;
		aborts++;
		TRUE(r->cpu_id < 4096);
	}
	TRUE(aborts == 100);
}

static void storm(void)
{
	struct sigaction sa = { .sa_sigaction = ring, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct itimerval it = { { 0, 300 }, { 0, 300 } };

	sigemptyset(&sa.sa_mask);
	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &it, NULL));
}

TEST(aborted, "a critical section is aborted by each signal, and its handler never sees the inside of it")
{
	struct rseq *r = own();

	if (!__rseq_size)
		SKIP("the C library has not registered");
	storm();
	abort_often();
	for (int i = 0; i < 500; i++) {
		int aborted = section(r, 300000);

		if (aborted && (rip >= (unsigned long)section_start && rip < (unsigned long)section_abort - 9))
			FAIL("rip %lx within the section", rip);
	}
}

static void *thread(void *arg)
{
	(void)arg;
	sigset_t alarms;

	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
	abort_often();
	return NULL;
}

TEST(of_thread, "the same in a thread, and in a child, which have areas of their own")
{
	sigset_t alarms;
	pthread_t t;

	if (!__rseq_size)
		SKIP("the C library has not registered");
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarms, NULL);
	storm();
	REQUIRE(pthread_create(&t, NULL, thread, NULL) == 0);
	pthread_join(t, NULL);
	if (fork() == 0) {
		sigprocmask(SIG_UNBLOCK, &alarms, NULL);
		storm();
		abort_often();
		_exit(guest_bad != 0);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
}

TEST(calls_between, "calls between sections, often made: the kernel's word is kept up to date")
{
	struct rseq *r = own();

	if (!__rseq_size)
		SKIP("the C library has not registered");
	for (int i = 0; i < 20000; i++) {
		close(-1);
		if (r->cpu_id != r->cpu_id_start || r->cpu_id >= 4096) {
			FAIL("cpu_id %u", r->cpu_id);
			break;
		}
		if (i % 100 == 0)
			EQ(section(r, 3) & ~1, 0);
	}
}
