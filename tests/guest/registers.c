/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system call ABI: which registers, flags and memory a call leaves alone, here and in signal handlers.
 * GUEST_WORLDS: view
 *
 * ABI: rax is the result, rcx and r11 are lost, everything else stays: the other registers, the flags (as far as
 * the program can know: r11 gets a copy), the vector registers, x87 and MXCSR state, and the 128 bytes
 * below the stack pointer (the red zone).
 */
#include "guest.h"
#include <asm/prctl.h>
#include <sys/auxv.h>
#include <immintrin.h>
#include <pthread.h>
#include <ucontext.h>
#include <sys/time.h>

struct regs {
	uint64_t rbx, rbp, r12, r13, r14, r15;
	uint64_t rdi, rsi, rdx, r8, r9, r10;
	uint64_t rax, flags;
};

/*
 * Loads all of *in, executes the call `rax`, stores all of *out.  The flags are set before and read after.
 * Its `syscall` is the shape that gets patched: mov $imm32,%eax; syscall does not fit here, so the two sites
 * differ: call_mov() has the immediate, call_any() takes the number from the structure.
 */
#define CALL_BODY(load) \
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rsi\n" \
	"mov %rdi,%rax\n" \
	"push 104(%rax); popf\n" \
	"mov 0(%rax),%rbx; mov 8(%rax),%rbp; mov 16(%rax),%r12; mov 24(%rax),%r13; mov 32(%rax),%r14\n" \
	"mov 40(%rax),%r15; mov 48(%rax),%rdi; mov 56(%rax),%rsi; mov 64(%rax),%rdx; mov 72(%rax),%r8\n" \
	"mov 80(%rax),%r9; mov 88(%rax),%r10\n" \
	load \
	"syscall\n" \
	"mov (%rsp),%rcx; mov %rax,96(%rcx)\n" \
	"pushf; pop 104(%rcx)\n" \
	"mov %rbx,0(%rcx); mov %rbp,8(%rcx); mov %r12,16(%rcx); mov %r13,24(%rcx); mov %r14,32(%rcx)\n" \
	"mov %r15,40(%rcx); mov %rdi,48(%rcx); mov %rsi,56(%rcx); mov %rdx,64(%rcx); mov %r8,72(%rcx)\n" \
	"mov %r9,80(%rcx); mov %r10,88(%rcx)\n" \
	"pop %rsi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n" \
	"ret\n"

void call_any(const struct regs *in, struct regs *out);
void call_getppid(const struct regs *in, struct regs *out);
void call_umask(const struct regs *in, struct regs *out);
void call_lseek(const struct regs *in, struct regs *out);
void call_read(const struct regs *in, struct regs *out);
__asm__(".text\n"
	"call_any:\n" CALL_BODY("mov 96(%rax),%rax\n")
	"call_getppid:\n" CALL_BODY("mov $110,%eax\n")
	"call_umask:\n" CALL_BODY("mov $95,%eax\n")
	"call_lseek:\n" CALL_BODY("mov $8,%eax\n")
	"call_read:\n" CALL_BODY("xor %eax,%eax\n"));

static uint64_t seed = 88172645463325252u;

static uint64_t any_number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

#define FLAGS 0xcd5u	/* CF PF AF ZF SF DF OF: what a program can set */

static void fill(struct regs *r)
{
	uint64_t *w = (uint64_t *)r;

	for (int i = 0; i < 12; i++)
		w[i] = any_number();
	r->flags = 0x202 | (any_number() & FLAGS);
}

static void compare(const struct regs *in, const struct regs *out, bool arguments)
{
	TRUE(out->rbx == in->rbx);
	TRUE(out->rbp == in->rbp);
	TRUE(out->r12 == in->r12);
	TRUE(out->r13 == in->r13);
	TRUE(out->r14 == in->r14);
	TRUE(out->r15 == in->r15);
	if (arguments) {
		TRUE(out->rdi == in->rdi);
		TRUE(out->rsi == in->rsi);
		TRUE(out->rdx == in->rdx);
		TRUE(out->r8 == in->r8);
		TRUE(out->r9 == in->r9);
		TRUE(out->r10 == in->r10);
	}
	EQ(out->flags & FLAGS, in->flags & FLAGS);
}

TEST(any_call, "registers and flags over calls whose number is not an immediate")
{
	static const int calls[] = { SYS_getppid, SYS_getpid, SYS_umask, SYS_sched_yield, SYS_close, SYS_dup,
		SYS_fsync, SYS_alarm, SYS_getuid, SYS_access, SYS_stat, SYS_chdir, SYS_unlink, SYS_lseek, 5000 };

	for (int i = 0; i < 3000; i++) {
		struct regs in, out;

		fill(&in);
		in.rax = (uint64_t)calls[(size_t)i % (sizeof(calls) / sizeof(calls[0]))];
		in.rdi = (any_number() & 1) ? 0xfffffffffffff000u : 9999;	/* bad pointer or bad descriptor */
		in.rsi = 16;
		if (in.rax == SYS_alarm)
			in.rdi = 0;
		call_any(&in, &out);
		compare(&in, &out, true);
		if (guest_bad)
			break;
	}
}

TEST(patched_call, "the same over `mov $nr,%eax; syscall`, often enough to be patched")
{
	struct regs in, out;

	for (int i = 0; i < 3000 && !guest_bad; i++) {
		fill(&in);
		call_getppid(&in, &out);
		compare(&in, &out, true);
		EQ(out.rax, getppid());
	}
	for (int i = 0; i < 3000 && !guest_bad; i++) {
		fill(&in);
		call_umask(&in, &out);
		compare(&in, &out, true);
	}
}

static volatile sig_atomic_t rings;

static void ring(int sig)
{
	(void)sig;
	rings = rings + 1;
	lseek(0, 0, SEEK_CUR);		/* the same way again, in between */
}

TEST(descriptor_call, "the same over a call on a descriptor, also in a storm of signals")
{
	struct itimerval fast = { { 0, 100 }, { 0, 100 } }, off = { { 0, 0 }, { 0, 0 } };
	int fd = MUST(open("/dev/zero", O_RDONLY));
	struct regs in, out;

	signal(SIGALRM, ring);
	for (long i = 0; i < 300000 && !guest_bad; i++) {
		if (i == 10000)
			OK(setitimer(ITIMER_REAL, &fast, NULL));
		fill(&in);
		in.rdi = (i & 7) == 7 ? (uint64_t)-1 : (uint64_t)fd;
		in.rsi = 0;
		in.rdx = SEEK_CUR;
		call_lseek(&in, &out);
		compare(&in, &out, true);
		EQ((long)out.rax, (i & 7) == 7 ? -EBADF : 0);
	}
	OK(setitimer(ITIMER_REAL, &off, NULL));
	TRUE(rings > 0);
}

TEST(xor_call, "the same over `xor %eax,%eax; syscall`")
{
	struct regs in, out;
	char c = 0;
	int fd = MUST(open("/dev/zero", O_RDONLY));

	for (int i = 0; i < 3000 && !guest_bad; i++) {
		fill(&in);
		in.flags = 0x246;	/* as xor leaves them */
		in.rdi = (uint64_t)fd;
		in.rsi = (uint64_t)&c;
		in.rdx = 1;
		call_read(&in, &out);
		compare(&in, &out, true);
		EQ(out.rax, 1);
	}
}

TEST(upper_halves, "arguments keep their 64 bits, 32-bit ones ignore the upper half")
{
	struct regs in, out;
	int fd = MUST(open("/dev/zero", O_RDONLY));
	char buf[8] = "1234567";

	for (int i = 0; i < 200 && !guest_bad; i++) {
		fill(&in);
		in.rdi = (uint64_t)fd | 0xabcd00000000u;
		in.rsi = (uint64_t)buf;
		in.rdx = 8;
		in.flags = 0x246;
		call_read(&in, &out);
		EQ(out.rax, 8);
		in.rax = 0x100000000u | SYS_getpid;
		call_any(&in, &out);
		EQ((int)out.rax, getpid());	/* Linux looks at eax alone */
	}
}

#define XMMS 16

static bool vectors_kept(void (*between)(void))
{
	static uint8_t a[XMMS][16] __attribute__((aligned(64))), b[XMMS][16] __attribute__((aligned(64)));

	for (int i = 0; i < XMMS * 2; i++)
		((uint64_t *)a)[i] = any_number();
	__asm__ volatile(
		"movdqa 0(%0),%%xmm0; movdqa 16(%0),%%xmm1; movdqa 32(%0),%%xmm2; movdqa 48(%0),%%xmm3\n"
		"movdqa 64(%0),%%xmm4; movdqa 80(%0),%%xmm5; movdqa 96(%0),%%xmm6; movdqa 112(%0),%%xmm7\n"
		"movdqa 128(%0),%%xmm8; movdqa 144(%0),%%xmm9; movdqa 160(%0),%%xmm10; movdqa 176(%0),%%xmm11\n"
		"movdqa 192(%0),%%xmm12; movdqa 208(%0),%%xmm13; movdqa 224(%0),%%xmm14; movdqa 240(%0),%%xmm15\n"
		"sub $128,%%rsp; call *%2; add $128,%%rsp\n"
		"movdqa %%xmm0,0(%1); movdqa %%xmm1,16(%1); movdqa %%xmm2,32(%1); movdqa %%xmm3,48(%1)\n"
		"movdqa %%xmm4,64(%1); movdqa %%xmm5,80(%1); movdqa %%xmm6,96(%1); movdqa %%xmm7,112(%1)\n"
		"movdqa %%xmm8,128(%1); movdqa %%xmm9,144(%1); movdqa %%xmm10,160(%1); movdqa %%xmm11,176(%1)\n"
		"movdqa %%xmm12,192(%1); movdqa %%xmm13,208(%1); movdqa %%xmm14,224(%1); movdqa %%xmm15,240(%1)\n"
		: : "b"(a), "r"((char *)b), "r"(between)
		: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc",
		  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
		  "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
	return memcmp(a, b, sizeof(a)) == 0;
}

/* Calls by hand, so that the C library uses no vector register between. */
__attribute__((target("general-regs-only")))
static long bare(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}

__attribute__((target("general-regs-only")))
static void some_calls(void)
{
	bare(SYS_getppid, 0, 0, 0);
	bare(SYS_access, (long)"/usr/bin/env", F_OK, 0);
	bare(SYS_open, (long)"/none/such/file", O_RDONLY, 0);
	bare(SYS_chdir, (long)".", 0, 0);
	bare(SYS_close, bare(SYS_open, (long)"/usr/bin/../bin/env", O_RDONLY, 0), 0, 0);
	bare(SYS_sched_yield, 0, 0, 0);
}

TEST(vectors, "xmm0-15 over calls, real ones and ones that need path resolution")
{
	for (int i = 0; i < 1000 && !guest_bad; i++)
		TRUE(vectors_kept(some_calls));
}

__attribute__((target("general-regs-only")))
static void raise_signal(void)
{
	bare(SYS_tgkill, bare(SYS_getpid, 0, 0, 0), bare(SYS_gettid, 0, 0, 0), SIGUSR1);
}

static void spoil(int sig MAYBE)
{
	__asm__ volatile("pcmpeqd %%xmm0,%%xmm0; movdqa %%xmm0,%%xmm7; movdqa %%xmm0,%%xmm15; std; cld"
			 : : : "xmm0", "xmm7", "xmm15");
}

TEST(vectors_signal, "xmm0-15 over a signal whose handler uses them")
{
	signal(SIGUSR1, spoil);
	for (int i = 0; i < 1000 && !guest_bad; i++)
		TRUE(vectors_kept(raise_signal));
}

__attribute__((target("avx")))
static void avx_body(void)
{
	uint64_t a[8] __attribute__((aligned(32))), b[8] __attribute__((aligned(32)));

	for (int i = 0; i < 8; i++)
		a[i] = any_number();
	__asm__ volatile(
		"vmovdqa 0(%0),%%ymm3; vmovdqa 32(%0),%%ymm12\n"
		"mov $110,%%eax; syscall\n"
		"mov $21,%%eax; mov %2,%%rdi; xor %%esi,%%esi; syscall\n"
		"vmovdqa %%ymm3,0(%1); vmovdqa %%ymm12,32(%1)\n"
		: : "b"(a), "r"((char *)b), "r"("/usr/bin/env")
		: "rax", "rcx", "r11", "rdi", "rsi", "xmm3", "xmm12", "memory");
	TRUE(memcmp(a, b, sizeof(a)) == 0);
}

TEST(avx, "ymm registers over calls")
{
	if (!__builtin_cpu_supports("avx"))
		SKIP("no AVX");
	for (int i = 0; i < 1000 && !guest_bad; i++)
		avx_body();
}

TEST(float_control, "MXCSR, the x87 control word and x87 values over calls and signals")
{
	unsigned mxcsr = 0x7f80;	/* round towards zero, flush to zero off */
	unsigned short cw = 0x0f7f, got_cw = 0;
	long double x = 3.0L, y = 0;

	signal(SIGUSR1, spoil);
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	__asm__ volatile("fldcw %0" : : "m"(cw));
	__asm__ volatile("fldt %0" : : "m"(x));
	for (int i = 0; i < 100; i++) {
		some_calls();
		raise_signal();
	}
	__asm__ volatile("fstpt %0" : "=m"(y));
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(got_cw));
	__asm__ volatile("fninit");
	EQ(mxcsr & 0xffc0, 0x7f80);
	EQ(got_cw & 0xfff, 0x0f7f & 0xfff);
	TRUE(y == x);
}

static uint64_t red_zone(void)
{
	uint64_t sum;

	/* fills the 128 bytes below rsp, makes calls, adds them up */
	__asm__ volatile(
		"mov $16,%%r12d\n"
		"1:\tmov %%r12,%%rax; neg %%rax; mov %%r12,(%%rsp,%%rax,8); dec %%r12d; jnz 1b\n"
		"mov $110,%%eax; syscall\n"
		"mov $21,%%eax; mov %1,%%rdi; xor %%esi,%%esi; syscall\n"
		"mov $110,%%eax; syscall\n"
		"xor %0,%0; mov $16,%%r12d\n"
		"1:\tmov %%r12,%%rax; neg %%rax; add (%%rsp,%%rax,8),%0; dec %%r12d; jnz 1b\n"
		: "=&b"(sum) : "r"("/usr/bin/env") : "rax", "rcx", "r11", "r12", "rdi", "rsi", "memory", "cc");
	return sum;
}

TEST(red_zone_kept, "the red zone over calls, also in a storm of signals")
{
	struct itimerval it = { { 0, 500 }, { 0, 500 } };

	for (int i = 0; i < 1000; i++)
		REQUIRE(red_zone() == 136);
	signal(SIGALRM, spoil);
	OK(setitimer(ITIMER_REAL, &it, NULL));
	for (long start = now_ms(); now_ms() - start < 500; )
		REQUIRE(red_zone() == 136);
}

static volatile int handler_runs;

static void check_entry(int sig, siginfo_t *si, void *uc)
{
	uint64_t sp, flags;

	__asm__ volatile("mov %%rsp,%0; pushf; pop %1" : "=r"(sp), "=r"(flags));
	TRUE(sig == SIGUSR1 && si->si_signo == SIGUSR1 && uc != NULL);
	TRUE(((uint64_t)__builtin_frame_address(0) & 15) == 0);
	EQ(flags & 0x400, 0);	/* direction flag clear, as the ABI wants */
	handler_runs++;
}

TEST(handler_entry, "a handler starts with an aligned stack and DF clear, whatever the program had")
{
	struct sigaction sa = { .sa_sigaction = check_entry, .sa_flags = SA_SIGINFO };

	OK(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 0; i < 200; i++)
		__asm__ volatile("push %%rbx; std; mov %0,%%rax; mov %1,%%rdi; mov %2,%%rsi; mov %3,%%rdx; syscall; cld; pop %%rbx"
			: : "i"(SYS_tgkill), "r"((long)getpid()), "r"((long)gettid()), "i"(SIGUSR1)
			: "rax", "rcx", "r11", "rdi", "rsi", "rdx", "memory");
	EQ(handler_runs, 200);
}

static volatile uint64_t site_rip, site_rax, site_rbx;

static void look_at_site(int sig MAYBE, siginfo_t *si MAYBE, void *uc)
{
	const greg_t *g = ((ucontext_t *)uc)->uc_mcontext.gregs;

	site_rip = (uint64_t)g[REG_RIP];
	site_rax = (uint64_t)g[REG_RAX];
	site_rbx = (uint64_t)g[REG_RBX];
	handler_runs++;
}

TEST(context_of_site, "a signal sent to oneself shows the program's own place behind its syscall")
{
	struct sigaction sa = { .sa_sigaction = look_at_site, .sa_flags = SA_SIGINFO };

	OK(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 0; i < 200; i++) {
		uint64_t after = 0, result;

		__asm__ volatile("lea 1f(%%rip),%1; mov $234,%%eax; syscall\n1:"
			: "=&a"(result), "=&b"(after)
			: "D"((long)getpid()), "S"((long)gettid()), "d"((long)SIGUSR1)
			: "rcx", "r11", "memory");
		EQ(handler_runs, i + 1);
		EQ(site_rip, after);
		EQ(site_rax, 0);
		EQ(site_rbx, after);
		EQ(result, 0);
		if (guest_bad)
			break;
	}
}

/* ---- the trap flag --------------------------------------------------------------------------------- */

static volatile int steps;

static void on_step(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)info;
	if (++steps > 100000)		/* going in circles */
		((ucontext_t *)uc)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}

TEST(single_steps, "a program steps through its own calls, cold ones and often made ones")
{
	struct sigaction sa = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO }, old;
	char buf[3] = "";
	struct stat st;
	int p[2], r, q, m = 0, after;

	MUST(pipe(p));
	EQ(write(p[1], "ab", 2), 2);
	umask(022);
	for (int i = 0; i < 100; i++)
		umask(022);
	OK(sigaction(SIGTRAP, &sa, &old));
	__asm__ volatile("pushfq\n\torl $0x100,(%%rsp)\n\tpopfq" ::: "cc", "memory");
	r = (int)read(p[0], buf, 2);
	q = stat("/", &st);
	for (int i = 0; i < 3; i++)
		m += umask(022);
	after = steps;
	__asm__ volatile("pushfq\n\tandl $~0x100,(%%rsp)\n\tpopfq" ::: "cc", "memory");
	OK(sigaction(SIGTRAP, &old, NULL));
	EQ(r, 2);
	STR(buf, "ab");
	EQ(q, 0);
	EQ(m, 3 * 022);
	TRUE(after > 20 && steps >= after && steps < 10000);	/* it was stepped on to the end */
}

/* ---- gs -------------------------------------------------------------------------------------------- */

static volatile int rung;

static void ring_gs(int sig)
{
	(void)sig;
	rung++;
}

/* By instructions where the kernel lets programs have them, else by calls. */
static bool gs_instructions(void)
{
	return getauxval(AT_HWCAP2) & 2;
}

static void gs_set(unsigned long gs)
{
	if (gs_instructions())
		__asm__ volatile("wrgsbase %0" : : "r"(gs));
	else
		REQUIRE(syscall(SYS_arch_prctl, ARCH_SET_GS, gs) == 0);
}

static unsigned long gs_get(void)
{
	unsigned long gs;

	if (gs_instructions())
		__asm__ volatile("rdgsbase %0" : "=r"(gs));
	else
		REQUIRE(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs) == 0);
	return gs;
}

/* One round of calls on descriptors, and whether gs is still what it was made. */
static void round_with_gs(unsigned long gs)
{
	struct stat st;
	int p[2], d;
	char c;

	REQUIRE(pipe(p) == 0);
	REQUIRE(write(p[1], "x", 1) == 1);
	REQUIRE(read(p[0], &c, 1) == 1);
	REQUIRE(fstat(p[0], &st) == 0);
	d = dup(p[0]);
	REQUIRE(d > 0 && close(d) == 0);
	REQUIRE(fcntl(p[0], F_GETFD) == 0);
	REQUIRE(close(p[0]) == 0 && close(p[1]) == 0);
	REQUIRE(gs_get() == gs);
}

TEST(own_gs, "a program that uses the gs register itself, also in a storm of signals and over fork")
{
	static char there[4096];
	const unsigned long values[] = { 0, (unsigned long)there, 0x12345678, 0x7fffffffe000 };
	struct sigaction sa = { .sa_handler = ring_gs, .sa_flags = SA_RESTART };
	struct itimerval it = { { 0, 200 }, { 0, 200 } };
	int status;

	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &it, NULL));
	for (int k = 0; k < 4; k++) {
		gs_set(values[k]);
		for (int i = 0; i < 500; i++)
			round_with_gs(values[k]);
	}
	while (!rung)
		round_with_gs(values[3]);
	it = (struct itimerval){ { 0, 0 }, { 0, 0 } };
	OK(setitimer(ITIMER_REAL, &it, NULL));
	pid_t pid = MUST(fork());
	if (!pid) {
		round_with_gs(values[3]);
		_exit(0);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}
