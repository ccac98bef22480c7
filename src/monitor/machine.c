/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the machine offers (machine.h).  Each check does in small what umview or its agent will do, and asks
 * no version number: a container, a security module or an old kernel may all refuse the same thing.
 * What cannot be taken back (a seccomp filter) is done in a child.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../wire/world.h"
#include "machine.h"

#define AGENT_BASE		0x7e9000000000ul
#define HWCAP2_FSGSBASE_BIT	2ul
#define PAGE			4096ul
#ifndef MFD_EXEC
#define MFD_EXEC		0x0010u
#endif

#define CALL(h, ...)		CALL_(h, __VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define CALL_(h, nr, a, b, c, d, e, f, ...) \
	(h)->call((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static long real_call(long nr, long a, long b, long c, long d, long e, long f)
{
	long r = syscall(nr, a, b, c, d, e, f);
	return r < 0 ? -errno : r;
}

const struct host host_real = { real_call, getauxval };

static bool failed(long r)
{
	return r < 0 && r > -4096;
}

/* Does fn say yes in a child? */
static bool in_child(bool (*fn)(const struct host *h), const struct host *h)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(!fn(h));
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* ---- without which nothing works ------------------------------------------------------------------ */

static bool has_proc(const struct host *h)
{
	return CALL(h, SYS_access, "/proc/self/fd", F_OK) == 0 && CALL(h, SYS_access, "/proc/self/exe", F_OK) == 0;
}

static bool set_no_new_privs(const struct host *h)
{
	return CALL(h, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static volatile sig_atomic_t trapped;

static void on_trap(int sig)
{
	trapped = sig;
}

/* A filter that traps one call, and the trap. */
static bool trap_a_call(const struct host *h)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	CALL(h, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	signal(SIGSYS, on_trap);
	if (CALL(h, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
		return false;
	CALL(h, SYS_getppid);
	return trapped == SIGSYS;
}

/* Who may install filters without it does not need it. */
static bool has_no_new_privs(const struct host *h)
{
	return in_child(set_no_new_privs, h) || in_child(trap_a_call, h);
}

static bool has_seccomp(const struct host *h)
{
	return in_child(trap_a_call, h);
}

static long memory_file(const struct host *h)
{
	long fd = CALL(h, SYS_memfd_create, "probe", MFD_CLOEXEC | MFD_EXEC);

	if (fd == -EINVAL)		/* a kernel that does not know MFD_EXEC */
		fd = CALL(h, SYS_memfd_create, "probe", MFD_CLOEXEC);
	return fd;
}

/* A copy of our own program in a memory file, read-only; or -1. */
static int program_in_memory(const struct host *h)
{
	char buf[65536], path[32];
	ssize_t n;
	int mem = (int)memory_file(h), ro = -1;
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	while (self >= 0 && mem >= 0 && (n = read(self, buf, sizeof(buf))) > 0)
		if (write(mem, buf, (size_t)n) != n)
			break;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", mem);
	if (self >= 0 && mem >= 0)
		ro = open(path, O_RDONLY | O_CLOEXEC);
	if (mem >= 0)
		close(mem);
	if (self >= 0)
		close(self);
	return ro;
}

/* Runs it, with an argument that makes it end at once. */
static bool run_in_memory(const struct host *h)
{
	char *argv[] = { (char *)"umview", (char *)"--version", NULL };
	int fd = program_in_memory(h), null = open("/dev/null", O_WRONLY);

	if (fd < 0)
		return false;
	dup2(null, STDOUT_FILENO);
	CALL(h, SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
	return false;
}

static bool memory_file_runs(const struct host *h)
{
	return in_child(run_in_memory, h);
}

/* Where there are no memory files at all, these two cannot be tried, and it was said before. */
static bool world_fits(const struct host *h)
{
	long fd = memory_file(h), p = -1;
	void (*old)(int) = signal(SIGXFSZ, SIG_IGN);

	if (fd >= 0 && CALL(h, SYS_ftruncate, fd, UM_WORLD_SIZE) == 0)
		p = CALL(h, SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, UM_OFF_SERVER(UM_SERVERS - 1));
	signal(SIGXFSZ, old);
	if (fd < 0)
		return true;
	close((int)fd);
	if (failed(p))
		return false;
	munmap((void *)p, PAGE);
	return true;
}

static bool ofd_locks_work(const struct host *h)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)UM_LOCK(1, 1), .l_len = 1 };
	long fd = memory_file(h);

	if (fd < 0)
		return true;
	bool yes = CALL(h, SYS_fcntl, fd, F_OFD_SETLK, &fl) == 0;
	close((int)fd);
	return yes;
}

static bool address_is_free(const struct host *h)
{
	long p = CALL(h, SYS_mmap, AGENT_BASE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (failed(p))
		return false;
	munmap((void *)p, PAGE);
	return p == (long)AGENT_BASE;
}

static bool has_pidfd(const struct host *h)
{
	long fd = CALL(h, SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return false;
	close((int)fd);
	return true;
}

/* ---- what things cost ------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t machine_fault_ns(void)
{
	enum { PAGES = 8 };
	volatile char *pages = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t least = UINT64_MAX;

	if (pages == MAP_FAILED)
		return 0;
	for (int i = 0; i < PAGES; i++) {
		uint64_t start = now_ns(), took;

		pages[i * PAGE] = 1;
		took = now_ns() - start;
		least = took < least ? took : least;
	}
	munmap((void *)pages, PAGES * PAGE);
	return least;
}

/* ---- what patching needs -------------------------------------------------------------------------- */

bool machine_fsgsbase(const struct host *h)
{
	return h->auxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
}

/* Our own gs, set to what it is. */
static bool gs_can_be_set(const struct host *h)
{
	unsigned long gs = 0;

	return CALL(h, SYS_arch_prctl, ARCH_GET_GS, &gs) == 0 && CALL(h, SYS_arch_prctl, ARCH_SET_GS, gs) == 0;
}

static bool stubs_can_be_made(const struct host *h)
{
	long p = CALL(h, SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (failed(p))
		return false;
	munmap((void *)p, PAGE);
	return true;
}

/* A page of a file, mapped as program text is, changed and executable again. */
static bool change_text(const struct host *h, int fd)
{
	long p = CALL(h, SYS_mmap, 0, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	if (failed(p))
		return false;
	bool yes = CALL(h, SYS_mprotect, p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0;
	if (yes) {
		*(volatile uint8_t *)p = 0xcc;
		yes = CALL(h, SYS_mprotect, p, PAGE, PROT_READ | PROT_EXEC) == 0;
	}
	munmap((void *)p, PAGE);
	return yes;
}

static bool text_can_be_changed(const struct host *h)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool yes = fd >= 0 && change_text(h, fd);

	if (fd >= 0)
		close(fd);
	return yes;
}

/* ---- what is good to have ------------------------------------------------------------------------- */

static bool has_mm_map(const struct host *h)
{
	unsigned size = 0;

	return CALL(h, SYS_prctl, PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) == 0;
}

static bool copies_own_memory(const struct host *h)
{
	char from = 'x', to = 0;
	struct iovec a = { &to, 1 }, b = { &from, 1 };

	return CALL(h, SYS_process_vm_readv, getpid(), &a, 1, &b, 1, 0) == 1 && to == 'x';
}

/* Our parent's memory, which is a copy of ours: guests look at each other, not only at their children. */
static bool read_parent(const struct host *h)
{
	static const char mark[] = "umview";
	char there[sizeof(mark)] = "";
	struct iovec to = { there, sizeof(there) }, from = { (void *)mark, sizeof(mark) };

	return CALL(h, SYS_process_vm_readv, getppid(), &to, 1, &from, 1, 0) == sizeof(mark) && !strcmp(there, mark);
}

static bool reads_others(const struct host *h)
{
	return in_child(read_parent, h);
}

const struct machine_check machine_checks[] = {
	{ "proc", "/proc", NEED_ALWAYS, has_proc, "mount it" },
	{ "no_new_privs", "no_new_privs", NEED_ALWAYS, has_no_new_privs,
	  "an ordinary user's filter needs it; Linux 3.5 has it, a container must allow prctl(2)" },
	{ "seccomp", "seccomp filters that trap", NEED_ALWAYS, has_seccomp,
	  "the kernel needs CONFIG_SECCOMP_FILTER, and a container must allow seccomp(2)" },
	{ "memfd_exec", "memory files that can be executed", NEED_ALWAYS, memory_file_runs,
	  "vm.memfd_noexec must be below 2, and no policy may forbid it" },
	{ "sparse_file", "a large sparse memory file", NEED_ALWAYS, world_fits, "raise the limit (ulimit -f unlimited)" },
	{ "ofd_locks", "locks of open files", NEED_ALWAYS, ofd_locks_work, "the last close is not seen; Linux 3.15 has them" },
	{ "address", "the agent's address range", NEED_ALWAYS, address_is_free, "something else lies there" },
	{ "gs", "a gs register to be set", NEED_PATCH, gs_can_be_set,
	  "every call costs a signal; a container must allow arch_prctl(2)" },
	{ "execmem", "memory both writable and executable", NEED_PATCH, stubs_can_be_made,
	  "every call costs a signal; SELinux execmem and PR_SET_MDWE forbid it" },
	{ "execmod", "program text that can be changed", NEED_PATCH, text_can_be_changed,
	  "every call costs a signal; SELinux execmod and PR_SET_MDWE forbid it" },
	{ "pidfd", "pidfd", NEED_SOMETIMES, has_pidfd, "nothing can be mounted; Linux 5.3 has it" },
	{ "fsgsbase", "fsgsbase", NEED_SOMETIMES, machine_fsgsbase,
	  "each call of a program that sets its own gs costs two signals; processors since 2012 and Linux 5.9 have it" },
	{ "mm_map", "PR_SET_MM_MAP", NEED_SOMETIMES, has_mm_map,
	  "ps and /proc/PID/cmdline show the agent's arguments, brk(2) fails; the kernel needs CONFIG_CHECKPOINT_RESTORE" },
	{ "process_vm", "process_vm_readv on oneself", NEED_SOMETIMES, copies_own_memory,
	  "calls of programs that block SIGSEGV are slower; a container must allow process_vm_readv(2)" },
	{ "process_vm_others", "process_vm_readv on others", NEED_SOMETIMES, reads_others,
	  "/proc shows of other guests no cwd in a mount, no handlers of SIGSEGV, and what they opened through binds where "
	  "it is; kernel.yama.ptrace_scope must be 0" },
};
const size_t machine_nchecks = sizeof(machine_checks) / sizeof(machine_checks[0]);

enum tier machine_tier(const struct host *h, const struct machine_check **lacks)
{
	*lacks = NULL;
	for (size_t i = 0; i < machine_nchecks && !*lacks; i++)
		if (machine_checks[i].need == NEED_PATCH && !machine_checks[i].works(h))
			*lacks = &machine_checks[i];
	return *lacks ? TIER_TRAP : TIER_PATCH;
}
