/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A signal at every single instruction of a call: a debugger (the parent) steps through one call of a child to
 * learn which instructions there are, in a view also the agent's; then for each of them a fresh child is stopped there
 * and gets a signal.  Whatever the instruction: the handler runs once, sees itself called from the site of the
 * call, the call is made once, and every register, flag and byte of the red zone is as it should be afterwards.
 *
 * GUEST_WORLDS: native view mount
 * GUEST_OPTIONS: --plain-ptrace
 */
#include "guest.h"
#include <setjmp.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <ucontext.h>

#define WARM	40		/* calls after which a view has patched the site */
#define POINTS	4000
#define STEPS	20000
#define NEVER	2		/* the child's status when no signal came */
#define FLAGS	0xcd5		/* what arithmetic leaves, and the direction */

struct args { long a, b, c, flags; };
struct seen { long rax, rbx, rbp, r12, r13, r14, r15, rdi, rsi, rdx, r10, r8, r9, zone, flags; };

/* seen MAKE_nr(args): one call with known registers; its labels are what the debugger looks for. */
#define SITE(name, nr) \
	void name(const struct args *a, struct seen *s); \
	extern const char name##_ready[], name##_site[], name##_end[]; \
	__asm__(".text\n" #name ":\n" \
	"	push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rsi\n" \
	"	mov $0x11,%ebx\n mov $0x12,%ebp\n mov $0x13,%r12d\n mov $0x14,%r13d\n mov $0x15,%r14d\n" \
	"	mov $0x16,%r15d\n mov $0x17,%r10d\n mov $0x18,%r8d\n mov $0x19,%r9d\n" \
	"	mov 8(%rdi),%rsi\n mov 16(%rdi),%rdx\n pushq 24(%rdi)\n mov (%rdi),%rdi\n popfq\n" \
	"	movq $0x1a,-8(%rsp)\n movq $0x1b,-128(%rsp)\n" \
	#name "_ready:\n nop\n" \
	#name "_site:\n mov $" #nr ",%eax\n syscall\n" \
	#name "_end:\n" \
	"	mov (%rsp),%r11\n mov %rax,(%r11)\n mov %rbx,8(%r11)\n mov %rbp,16(%r11)\n mov %r12,24(%r11)\n" \
	"	mov %r13,32(%r11)\n mov %r14,40(%r11)\n mov %r15,48(%r11)\n mov %rdi,56(%r11)\n" \
	"	mov %rsi,64(%r11)\n mov %rdx,72(%r11)\n mov %r10,80(%r11)\n mov %r8,88(%r11)\n mov %r9,96(%r11)\n" \
	"	mov -8(%rsp),%rcx\n mov %rcx,104(%r11)\n mov -128(%rsp),%rcx\n" \
	"	mov %ecx,108(%r11)\n pushfq\n popq 112(%r11)\n cld\n" \
	"	pop %rsi\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n ret\n")

SITE(site_read, 0);
SITE(site_open, 2);
SITE(site_close, 3);
SITE(site_stat, 4);
SITE(site_lseek, 8);
SITE(site_dup, 32);
SITE(site_umask, 95);
SITE(site_getcwd, 79);

static struct call {
	const char *name;
	void (*make)(const struct args *, struct seen *);
	const char *ready, *site, *end;
} calls[] = {
#define CALL(name)	{ #name, site_##name, site_##name##_ready, site_##name##_site, site_##name##_end }
	CALL(read), CALL(close), CALL(lseek), CALL(dup), CALL(umask), CALL(getcwd), CALL(stat),
	CALL(open),
};
enum { READ, CLOSE, LSEEK, DUP, UMASK, GETCWD, STAT, OPEN };

#define REAL	"/etc/passwd"	/* where a view has other mounts */

/* ---- the child ------------------------------------------------------------------------------------- */

enum how { RETURNS, NESTS, JUMPS, FEEDS };	/* what the handler does */

static struct call *call;
static enum how how;
static bool in_file;		/* what is read is a file of the scratch directory, which may be virtual */
static int fds[2], others[2];
static volatile int handled;
static volatile bool calling;
static sigjmp_buf back;
static char buf[4096];

static void check_registers(const struct seen *s, const struct args *a)
{
	EQ(s->rbx, 0x11); EQ(s->rbp, 0x12); EQ(s->r12, 0x13); EQ(s->r13, 0x14); EQ(s->r14, 0x15);
	EQ(s->r15, 0x16); EQ(s->r10, 0x17); EQ(s->r8, 0x18); EQ(s->r9, 0x19);
	EQ(s->rdi, a->a); EQ(s->rsi, a->b); EQ(s->rdx, a->c);
	EQ(s->zone, 0x1a | 0x1bl << 32);
	EQ(s->flags & FLAGS, a->flags & FLAGS);
}

static void once(struct args a, long want)
{
	struct seen s = { 0 };

	call->make(&a, &s);
	EQ(s.rax, want);
	check_registers(&s, &a);
}

static void check_context(const mcontext_t *m)
{
	unsigned long ip = (unsigned long)m->gregs[REG_RIP];

	if (ip < (unsigned long)call->site || ip > (unsigned long)call->end)
		guest_fail(__LINE__, "%s: the handler sees %lx, the call is at %lx..%lx", call->name, ip,
			   (unsigned long)call->site, (unsigned long)call->end);
	EQ(m->gregs[REG_RBX], 0x11); EQ(m->gregs[REG_R15], 0x16); EQ(m->gregs[REG_R8], 0x18);
	EQ(m->gregs[REG_EFL] & FLAGS, FLAGS);
}

static void handler(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)info;
	handled++;
	EQ(calling, 1);
	check_context(&((ucontext_t *)uc)->uc_mcontext);
	if (how == FEEDS)
		EQ(write(fds[1], "f", 1), 1);
	if (how == NESTS) {
		struct args a = { others[0], (long)buf + 100, 1, 0 };
		if (call != &calls[READ])
			a = (struct args){ -1, -1, 0, 0 };
		for (int i = 0; i < 3; i++)
			once(a, call == &calls[READ] ? 1 : call == &calls[STAT] ? -EFAULT : -EBADF);
	}
	if (how == JUMPS)
		siglongjmp(back, 1);
}

static struct args arguments(void)
{
	switch (call - calls) {
	case READ: return (struct args){ fds[0], (long)buf, 1, FLAGS };
	case LSEEK: return (struct args){ others[0], 0, SEEK_CUR, FLAGS };
	case UMASK: return (struct args){ 022, 0, 0, FLAGS };
	case GETCWD: return (struct args){ (long)buf, sizeof(buf), 0, FLAGS };
	case STAT: return (struct args){ (long)REAL, (long)buf, 0, FLAGS };
	case OPEN: return (struct args){ (long)REAL, O_RDONLY, 0, FLAGS };
	default: return (struct args){ others[1], 0, 0, FLAGS };
	}
}

static long result(void)
{
	switch (call - calls) {
	case READ: return 1;
	case LSEEK: return -ESPIPE;
	case UMASK: return 022;
	case GETCWD: return 2;
	case DUP:
	case OPEN: return others[1] + 1;
	default: return 0;
	}
}

/* What the call did, it did once. */
static void check_effect(void)
{
	char c[8];

	switch (call - calls) {
	case READ:
		EQ(buf[0], how == FEEDS ? 'f' : 'a');
		fcntl(fds[0], F_SETFL, O_NONBLOCK);
		EQ(read(fds[0], c, 8), how == FEEDS ? -1 : 1);
		break;
	case CLOSE:
		FAILS(fcntl(others[1], F_GETFD), EBADF);
		break;
	case STAT:
		TRUE(S_ISREG(((struct stat *)buf)->st_mode));
		break;
	case DUP:
	case OPEN:
		OK(close(others[1] + 1));
		FAILS(close(others[1] + 2), EBADF);
		break;
	}
}

static _Noreturn void child(int restart)
{
	struct sigaction sa = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | (restart ? SA_RESTART : 0) };

	guest_bad = 0;
	MUST(pipe(fds));
	MUST(pipe(others));
	EQ(write(others[1], "0123456789", 10), 10);
	if (how != FEEDS)
		EQ(write(fds[1], "ab", 2), 2);
	umask(022);
	if (in_file) {
		put("f", "ab");
		OK(dup2(MUST(open("f", O_RDONLY)), fds[0]));
	}
	MUST(chdir("/"));
	for (int i = 0; i < WARM; i++)
		call->make(&(struct args){ call == &calls[UMASK] ? 022 : -1, -1, 0, 0 }, &(struct seen){ 0 });
	OK(access(REAL, R_OK));		/* where that is has been looked up */
	OK(sigaction(SIGUSR1, &sa, NULL));
	MUST(ptrace(PTRACE_TRACEME, 0, 0, 0));
	raise(SIGSTOP);
	if (!sigsetjmp(back, 1)) {
		calling = true;
		once(arguments(), result());
		calling = false;
		check_effect();
		EQ(how == JUMPS, 0);
	}
	if (!handled && !guest_bad)
		_exit(NEVER);
	EQ(handled, 1);
	if (how == JUMPS && call == &calls[READ]) {	/* the first may have been made, or not */
		how = RETURNS;
		once(arguments(), 1);
		TRUE(buf[0] == 'a' || buf[0] == 'b');
	}
	_exit(guest_bad ? 1 : 0);
}

/* ---- the debugger ---------------------------------------------------------------------------------- */

/* Waits for the child's next stop: false, it sleeps, and is gone.  Only what waits to be fed does so; a server may be slow. */
static bool next_stop(pid_t pid, int *status)
{
	const long end = now_ms() + (how == FEEDS ? 1000 : 12000);

	for (int i = 0; now_ms() < end; i++) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		usleep(i < 200 ? 20 : 500);
	}
	kill(pid, SIGKILL);
	waitpid(pid, status, 0);
	return false;
}

enum came { THERE, ENDED, SLEEPS };

/* Lets it run to the instruction at `at`, which it may miss: what waits for a server is not always the same. */
static enum came run_to(pid_t pid, unsigned long at)
{
	struct user_regs_struct r;
	long word;
	int status, sig = 0;

	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, at, 0);
	REQUIRE(errno == 0);
	MUST(ptrace(PTRACE_POKETEXT, pid, at, (word & ~0xffl) | 0xcc));
	do {
		MUST(ptrace(PTRACE_CONT, pid, 0, sig));
		if (!next_stop(pid, &status))
			return SLEEPS;
		if (!WIFSTOPPED(status))
			return ENDED;
		sig = WSTOPSIG(status);
	} while (sig != SIGTRAP);
	MUST(ptrace(PTRACE_POKETEXT, pid, at, word));
	MUST(ptrace(PTRACE_GETREGS, pid, 0, &r));
	EQ(r.rip - 1, at);
	r.rip = at;
	MUST(ptrace(PTRACE_SETREGS, pid, 0, &r));
	return THERE;
}

static pid_t start(int restart)
{
	int status;
	pid_t pid = MUST(fork());

	if (!pid)
		child(restart);
	REQUIRE(next_stop(pid, &status) && WIFSTOPPED(status));
	REQUIRE(run_to(pid, (unsigned long)call->ready) == THERE);
	return pid;
}

static unsigned long points[POINTS];
static int npoints;

static void note(unsigned long at)
{
	for (int i = 0; i < npoints; i++)
		if (points[i] == at)
			return;
	if (npoints < POINTS)
		points[npoints++] = at;
}

/* Which instructions there are. */
static void learn(void)
{
	struct user_regs_struct r;
	pid_t pid = start(0);
	int status, sig = 0;

	npoints = 0;
	for (int i = 0; i < STEPS; i++) {
		MUST(ptrace(PTRACE_SINGLESTEP, pid, 0, sig));
		REQUIRE(next_stop(pid, &status) && WIFSTOPPED(status));
		sig = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
		MUST(ptrace(PTRACE_GETREGS, pid, 0, &r));
		note(r.rip);
		if (r.rip == (unsigned long)call->end)
			break;
	}
	EQ(r.rip, (unsigned long)call->end);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A signal at this instruction, if the child comes there in the call that is meant; the agent has it for others, too. */
static enum came shoot(unsigned long at, int restart)
{
	pid_t pid = start(restart);
	enum came came = run_to(pid, at);
	int status, sig = SIGUSR1;

	if (came != THERE)
		return came;
	if (!(ptrace(PTRACE_PEEKDATA, pid, &calling, 0) & 0xff)) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return ENDED;
	}
	do {
		MUST(ptrace(PTRACE_CONT, pid, 0, sig));
		if (!next_stop(pid, &status)) {
			guest_fail(__LINE__, "%s: sleeps after a signal at %lx", call->name, at);
			return SLEEPS;
		}
		sig = WSTOPSIG(status);
	} while (WIFSTOPPED(status));
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		guest_fail(__LINE__, "%s: status %x after a signal at %lx", call->name, status, at);
	return THERE;
}

/* Every eighth instruction, then those in between: on a busy machine time may end before all have had their turn. */
static void shoot_everywhere(int which, enum how what, int restart)
{
	const long end = now_ms() + 12000;
	const int rounds = what == FEEDS ? 1 : 8;
	enum came came = THERE;
	int hit = 0, shot = 0;

	call = &calls[which];
	how = RETURNS;
	learn();
	how = what;
	for (int first = 0; first < rounds; first++) {
		for (int i = first; i < npoints && guest_bad < 10 && came != SLEEPS && now_ms() < end; i += rounds) {
			came = shoot(points[i], restart);	/* sleeps: and so it will wherever else */
			hit += came == THERE;
			shot++;
		}
	}
	TRUE(how == FEEDS ? hit > 0 : hit > shot / 2);
	if (getenv("VERBOSE"))
		fprintf(stderr, "# %s: %d of %d shots at %d instructions\n", call->name, hit, shot, npoints);
}

TEST(reads, "read: the handler returns") { shoot_everywhere(READ, RETURNS, 0); }
TEST(reads_restart, "read, SA_RESTART: the handler returns") { shoot_everywhere(READ, RETURNS, 1); }
TEST(reads_nested, "read: the handler reads, too") { shoot_everywhere(READ, NESTS, 0); }
TEST(reads_jump, "read: siglongjmp out of the handler") { shoot_everywhere(READ, JUMPS, 0); }
TEST(reads_wait, "read of an empty pipe: no EINTR from a signal before it") { shoot_everywhere(READ, FEEDS, 0); }
TEST(reads_wait_restart, "read of an empty pipe, SA_RESTART") { shoot_everywhere(READ, FEEDS, 1); }

TEST(reads_file, "read of a file: read once")
{
	in_file = true;
	shoot_everywhere(READ, RETURNS, 0);
}

TEST(reads_file_nested, "read of a file: the handler reads a pipe")
{
	in_file = true;
	shoot_everywhere(READ, NESTS, 1);
}

TEST(closes, "close: closed once") { shoot_everywhere(CLOSE, RETURNS, 0); }
TEST(closes_nested, "close: the handler closes, too") { shoot_everywhere(CLOSE, NESTS, 0); }
TEST(seeks, "lseek: failing") { shoot_everywhere(LSEEK, NESTS, 1); }
TEST(dups, "dup: duplicated once") { shoot_everywhere(DUP, RETURNS, 0); }
TEST(masks, "umask: not about a descriptor") { shoot_everywhere(UMASK, RETURNS, 0); }
TEST(cwds, "getcwd: writes to the caller's memory") { shoot_everywhere(GETCWD, RETURNS, 0); }
TEST(stats, "stat: no link is there") { shoot_everywhere(STAT, RETURNS, 0); }
TEST(stats_nested, "stat: the handler looks, too") { shoot_everywhere(STAT, NESTS, 0); }
TEST(opens, "open: opened once") { shoot_everywhere(OPEN, RETURNS, 0); }
