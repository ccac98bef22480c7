/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview --probe`: what this machine offers, a line each, and what breaks without it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands.h"
#include "detect.h"
#include "monitor.h"

#define AGENT_BASE	0x7e9000000000ul
#define HWCAP2_FSGSBASE_BIT	2ul

enum need { NEEDED, USEFUL };

static bool seccomp_works(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(1);
		_exit(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool has_fsgsbase(void)
{
	return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT;
}

/* A memory file that holds a program must run: here a copy of our own, asked for its version. */
static bool copy_file(int from, int to)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			return false;
	return n == 0;
}

static bool memory_file_runs(void)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), status;
	int mem = memfd_create("probe", MFD_CLOEXEC | 0x10u /* MFD_EXEC */);
	char path[32];

	if (mem < 0)
		mem = memfd_create("probe", MFD_CLOEXEC);
	if (self < 0 || mem < 0 || !copy_file(self, mem))
		return false;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", mem);
	int ro = open(path, O_RDONLY | O_CLOEXEC);
	close(mem);
	close(self);
	pid_t pid = fork();
	if (pid == 0) {
		char *argv[] = { (char *)"umview", (char *)"--version", NULL };
		int null = open("/dev/null", O_WRONLY);
		dup2(null, STDOUT_FILENO);
		syscall(SYS_execveat, ro, "", argv, environ, AT_EMPTY_PATH);
		_exit(1);
	}
	close(ro);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool world_fits(void)
{
	struct world w;

	signal(SIGXFSZ, SIG_IGN);
	if (world_create(&w) < 0)
		return false;
	world_destroy(&w);
	return true;
}

static bool ofd_locks_work(void)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)UM_LOCK(1, 1), .l_len = 1 };
	int fd = memfd_create("probe", MFD_CLOEXEC);
	bool yes = fd >= 0 && fcntl(fd, F_OFD_SETLK, &fl) == 0;

	close(fd);
	return yes;
}

static bool has_membarrier(void)
{
	long q = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	return q > 0 && q & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE;
}

static bool address_is_free(void)
{
	void *p = mmap((void *)AGENT_BASE, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, 4096);
	return p == (void *)AGENT_BASE;
}

static bool has_mm_map(void)
{
	unsigned size = 0;

	return prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) == 0;
}

static bool has_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	close(fd);
	return fd >= 0;
}

static bool has_proc(void)
{
	char buf[16];

	return readlink("/proc/self/fd/0", buf, sizeof(buf)) >= 0 || errno == ENOENT ?
	       access("/proc/self/exe", F_OK) == 0 : false;
}

static const struct check {
	const char *what;
	enum need need;
	bool (*works)(void);
	const char *without;
} checks[] = {
	{ "/proc", NEEDED, has_proc, "nothing works; mount it" },
	{ "seccomp filters", NEEDED, seccomp_works,
	  "nothing works; the kernel needs CONFIG_SECCOMP_FILTER, and a container must allow seccomp(2)" },
	{ "memory files that can be executed", NEEDED, memory_file_runs,
	  "nothing works; vm.memfd_noexec must be below 2, and no policy may forbid it" },
	{ "a large sparse memory file", NEEDED, world_fits, "nothing works; raise the limit (ulimit -f unlimited)" },
	{ "locks of open files", NEEDED, ofd_locks_work, "the last close is not seen; Linux 3.15 has them" },
	{ "the agent's address range", NEEDED, address_is_free, "nothing works; something else lies there" },
	{ "pidfd", NEEDED, has_pidfd, "the end of a server is not seen; Linux 5.3 has it" },
	{ "fsgsbase", USEFUL, has_fsgsbase, "every intercepted call costs a signal: slower" },
	{ "membarrier SYNC_CORE", USEFUL, has_membarrier, "programs with threads are not patched: slower" },
	{ "PR_SET_MM_MAP", USEFUL, has_mm_map, "ps and /proc/PID/cmdline show the agent's arguments" },
};

static void show_programs(void)
{
	static const char *const types[] = { "ext4", "squashfs", "iso9660", "vfat", "ntfs", "zip" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const struct fs_program *p = program_for_type(types[i]);
		char *path = find_program(p->program);
		if (path)
			printf("%-36s ok: %s\n", p->program, path);
		else
			printf("%-36s missing: %s cannot be mounted; Debian package %s\n", p->program, p->type, p->package);
		free(path);
	}
}

int probe(void)
{
	bool usable = true;

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const struct check *c = &checks[i];
		fflush(stdout);
		bool ok = c->works();
		if (ok)
			printf("%-36s ok\n", c->what);
		else
			printf("%-36s %s: %s\n", c->what, c->need == NEEDED ? "MISSING" : "missing", c->without);
		usable = usable && (ok || c->need == USEFUL);
	}
	show_programs();
	printf("%s\n", usable ? "umview can run here" : "umview cannot run here");
	return usable ? 0 : 125;
}
