/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * calls OPERATION [ARGUMENT...]: does one thing often and prints the nanoseconds that one took.
 *
 * The same program runs natively, in a view, under PRoot: bench/run.sh compares.  Each operation is warmed up
 * first (caches, patched sites), then done in batches for a fifth of a second; the figure is the median batch's, so
 * that other programs on the machine do little harm.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static const char *path;	/* the operation's argument */
static int fd;
static char page[4096], big[1 << 17];

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "calls: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- operations that are repeated ----------------------------------------------------------------- */

static void op_getppid(void)
{
	syscall(SYS_getppid);
}

static void op_read1(void)
{
	if (read(fd, page, 1) != 1)
		die("read");
}

static void op_pread4k(void)
{
	if (pread(fd, page, 4096, 0) < 0)
		die("pread");
}

static void op_write1(void)
{
	if (write(fd, page, 1) != 1)
		die("write");
}

/* To the start of a file again and again: it shall not grow. */
static void op_write4k(void)
{
	static int n;

	if (write(fd, page, 4096) != 4096 || (++n % 256 == 0 && lseek(fd, 0, SEEK_SET) < 0))
		die("write");
}

static void op_stat(void)
{
	struct stat st;

	if (stat(path, &st) < 0)
		die(path);
}

static void op_openclose(void)
{
	int f = open(path, O_RDONLY);

	if (f < 0)
		die(path);
	close(f);
}

static void op_openreadclose(void)
{
	int f = open(path, O_RDONLY);

	if (f < 0 || read(f, page, sizeof(page)) < 0)
		die(path);
	close(f);
}

static const struct op {
	const char *name;
	void (*run)(void);
	int open_flags;		/* of the argument, kept open; -1: not opened */
	int warm_up;
} ops[] = {
	{ "getppid",	   op_getppid,	     -1,       2000 },
	{ "read1",	   op_read1,	     O_RDONLY, 2000 },
	{ "write1",	   op_write1,	     O_WRONLY, 2000 },
	{ "pread4k",	   op_pread4k,	     O_RDONLY, 2000 },
	{ "write4k",	   op_write4k,	     O_RDWR,   2000 },
	{ "stat",	   op_stat,	     -1,       500 },
	{ "openclose",	   op_openclose,     -1,       500 },
	{ "openreadclose", op_openreadclose, -1,       200 },
};

#define BATCH	50
#define BATCHES	8192

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void repeat(const struct op *op)
{
	static double batches[BATCHES];
	double start, last;
	size_t n = 0;

	if (op->open_flags >= 0) {
		fd = open(path ? path : "/dev/zero", op->open_flags);
		if (fd < 0)
			die(path);
	}
	for (int i = 0; i < op->warm_up; i++)
		op->run();
	start = last = now();
	while (n < BATCHES && last - start < 2e8) {
		double end;

		for (int i = 0; i < BATCH; i++)
			op->run();
		end = now();
		batches[n++] = (end - last) / BATCH;
		last = end;
	}
	qsort(batches, n, sizeof(batches[0]), by_size);
	printf("%.1f\n", batches[n / 2]);
}

/* ---- operations that are done once ---------------------------------------------------------------- */

/* N times fork, exec, wait; what the command prints goes to /dev/null.  Nanoseconds for one. */
static int time_command(int argc, char **argv)
{
	posix_spawn_file_actions_t fa;
	int n = argc > 1 ? atoi(argv[1]) : 0, status;
	double start;
	pid_t pid;

	if (n < 1 || argc < 3)
		return 2;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	start = now();
	for (int i = 0; i < n; i++) {
		errno = posix_spawnp(&pid, argv[2], &fa, NULL, argv + 2, environ);
		if (errno)
			die(argv[2]);
		waitpid(pid, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) == 127) {
			fprintf(stderr, "calls: %s: status 0x%x\n", argv[2], (unsigned)status);
			return 1;
		}
	}
	printf("%.1f\n", (now() - start) / n);
	return 0;
}

static int forkexec(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 300, status;
	double start = now();

	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(127);
		}
		if (waitpid(pid, &status, 0) != pid || status != 0)
			die("/bin/true");
	}
	printf("%.1f\n", (now() - start) / n);
	return 0;
}

static int sequential(int argc, char **argv)
{
	int writing = argv[0][0] == 'w', f;
	long size = argc > 2 ? atol(argv[2]) << 20 : 64 << 20, left = size;
	double start;

	if (argc < 2)
		return 2;
	start = now();
	f = open(argv[1], writing ? O_WRONLY | O_CREAT | O_TRUNC : O_RDONLY, 0600);
	if (f < 0)
		die(argv[1]);
	while (left > 0) {
		ssize_t n = writing ? write(f, big, sizeof(big)) : read(f, big, sizeof(big));

		if (n <= 0)
			die(argv[1]);
		left -= n;
	}
	if (close(f) < 0)
		die(argv[1]);
	printf("%.1f\n", now() - start);
	return 0;
}

/* A thousand small files in a new directory. */
static int create(int argc, char **argv)
{
	char name[4096];
	double start;

	if (argc < 2)
		return 2;
	if (mkdir(argv[1], 0700) < 0)
		die(argv[1]);
	start = now();
	for (int i = 0; i < 1000; i++) {
		int f;

		snprintf(name, sizeof(name), "%s/file-%d", argv[1], i);
		f = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (f < 0 || write(f, page, 100) != 100 || close(f) < 0)
			die(name);
	}
	printf("%.1f\n", (now() - start) / 1000);
	return 0;
}

/*
 * The least filter by which a view could catch calls at sites that it has not patched: it looks where a call comes from, and lets all
 * pass.  What this costs alone no view can go below.
 */
static void filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		die("seccomp");
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "filtered")) {
		filter();
		argc--;
		argv++;
	}
	const char *name = argc > 1 ? argv[1] : "";

	argc--;
	argv++;
	if (strcmp(name, "time") == 0)
		return time_command(argc, argv);
	if (strcmp(name, "forkexec") == 0)
		return forkexec(argc, argv);
	if (strcmp(name, "read") == 0 || strcmp(name, "write") == 0)
		return sequential(argc, argv);
	if (strcmp(name, "create") == 0)
		return create(argc, argv);
	path = argc > 1 ? argv[1] : NULL;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].name, name) == 0) {
			repeat(&ops[i]);
			return 0;
		}
	fprintf(stderr, "usage: calls [filtered] OPERATION [ARGUMENT...]: getppid read1 write1 pread4k write4k stat\n"
		"       openclose openreadclose\n"
		"       time N COMMAND..., forkexec [N], read FILE [MIB], write FILE [MIB], create DIRECTORY\n");
	return 2;
}
