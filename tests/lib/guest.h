/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kit of the self-checking guest programs (tests/guest).
 *
 *	TEST(truncate_grows, "ftruncate grows a file with zeros")
 *	{
 *		int fd = OK(open("f", O_RDWR | O_CREAT, 0600));
 *		OK(ftruncate(fd, 10));
 *		EQ(file_size(fd), 10);
 *		FAILS(ftruncate(fd, -1), EINVAL);
 *	}
 *
 * A test registers itself.  Each runs in a child process of its own, in an empty directory below the
 * scratch directory (argv[1]), and gives one line of TAP on standard output; what is wrong goes to standard
 * error.  The output of a program must be the same in every world, and the native run is the oracle: so
 * nothing that can differ (numbers, addresses, times) is printed on standard output.
 *
 *	PROGRAM [SCRATCH [PATTERN]]	PATTERN: only tests whose name contains it
 *	PROGRAM --helper NAME ARG...	the other side of an exec test, see HELPER()
 *
 * Environment: GUEST_NOFORK=1 runs tests in the process itself (for a debugger);  GUEST_FS=fuse (or bind) says
 * that the scratch directory lies on a FUSE file system (behind a bind mount), where a few things honestly differ.
 */
#ifndef UM_TESTS_GUEST_H
#define UM_TESTS_GUEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>

#define MAYBE __attribute__((unused))
#define GUEST_TIMEOUT_MS 45000
#define GUEST_SKIPPED 77

struct guest_test {
	const char *name, *text;
	void (*run)(void);
	struct guest_test *next;
};
struct guest_helper {
	const char *name;
	int (*run)(int argc, char **argv);
	struct guest_helper *next;
};
static struct guest_test *guest_first, **guest_last = &guest_first;
static struct guest_helper *guest_helpers;
static char guest_self[PATH_MAX];	/* this program, absolute */
static char guest_dir[PATH_MAX];	/* scratch directory, absolute */
static volatile int guest_bad;		/* checks that failed in this test */
static char *guest_reason;		/* shared with the child: why it skipped */

#define TEST(id, what) \
	static void id(void); \
	static struct guest_test guest_##id = { #id, what, id, NULL }; \
	__attribute__((constructor)) static void guest_add_##id(void) \
	{ *guest_last = &guest_##id; guest_last = &guest_##id.next; } \
	static void id(void)

/* int NAME(argc, argv) run by `PROGRAM --helper NAME ARG...`; argv[0] is the first ARG. */
#define HELPER(id) \
	static int helper_##id(int argc, char **argv); \
	static struct guest_helper guest_helper_##id = { #id, helper_##id, NULL }; \
	__attribute__((constructor)) static void guest_add_helper_##id(void) \
	{ guest_helper_##id.next = guest_helpers; guest_helpers = &guest_helper_##id; } \
	static int helper_##id(int argc MAYBE, char **argv MAYBE)

/* ---- checks -------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3)))
static MAYBE void guest_fail(int line, const char *fmt, ...)
{
	char buf[1024];
	va_list ap;
	int n = snprintf(buf, sizeof(buf), "# line %d: ", line);

	va_start(ap, fmt);
	n += vsnprintf(buf + n, sizeof(buf) - 2 - (size_t)n, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(buf) - 2)
		n = sizeof(buf) - 2;
	buf[n++] = '\n';
	if (write(2, buf, (size_t)n) < 0)
		_exit(99);
	guest_bad++;
}

static MAYBE long guest_ok(long r, int line, const char *what)
{
	if (r == -1)
		guest_fail(line, "%s: %s", what, strerrorname_np(errno) ?: "?");
	return r;
}

static MAYBE long guest_must(long r, int line, const char *what)
{
	if (guest_ok(r, line, what) == -1)
		_exit(1);
	return r;
}

static MAYBE void guest_fails(long r, int e, int want, int line, const char *what)
{
	if (r != -1)
		guest_fail(line, "%s: gave %ld, expected %s", what, r, strerrorname_np(want) ?: "?");
	else if (e != want)
		guest_fail(line, "%s: %s, expected %s", what, strerrorname_np(e) ?: "?", strerrorname_np(want) ?: "?");
}

static MAYBE void guest_eq(long long a, long long b, int line, const char *what)
{
	if (a != b)
		guest_fail(line, "%s: %lld (0x%llx), expected %lld", what, a, a, b);
}

static MAYBE void guest_str(const char *a, const char *b, int line, const char *what)
{
	if (!a || strcmp(a, b) != 0)
		guest_fail(line, "%s: \"%s\", expected \"%s\"", what, a ? a : "(null)", b);
}

static MAYBE _Noreturn void guest_skip(const char *reason)
{
	if (guest_reason)
		snprintf(guest_reason, 200, "%s", reason);
	_exit(guest_bad ? 1 : GUEST_SKIPPED);
}

/* The value of a call that must not fail; the test goes on (OK) or ends (MUST). */
#define OK(call)	guest_ok((long)(call), __LINE__, #call)
#define MUST(call)	guest_must((long)(call), __LINE__, #call)
#define FAILS(call, want) do { \
	errno = 0; long r_ = (long)(call); int e_ = errno; \
	guest_fails(r_, e_, want, __LINE__, #call); } while (0)
#define EQ(a, b)	guest_eq((long long)(a), (long long)(b), __LINE__, #a)
#define STR(a, b)	guest_str(a, b, __LINE__, #a)
#define TRUE(cond)	do { if (!(cond)) guest_fail(__LINE__, "%s", #cond); } while (0)
#define REQUIRE(cond)	do { if (!(cond)) { guest_fail(__LINE__, "%s (errno %d)", #cond, errno); _exit(1); } } while (0)
#define SKIP(reason)	guest_skip(reason)
#define FAIL(...)	guest_fail(__LINE__, __VA_ARGS__)

/* ---- small tools --------------------------------------------------------------------------------- */

static MAYBE bool on_fuse(void)
{
	const char *fs = getenv("GUEST_FS");

	return fs && strcmp(fs, "fuse") == 0;
}

static MAYBE bool on_cow(void)
{
	const char *fs = getenv("GUEST_FS");

	return fs && (strcmp(fs, "cow") == 0 || strcmp(fs, "bindcow") == 0);
}

static MAYBE bool behind_bind(void)
{
	const char *fs = getenv("GUEST_FS");

	return fs && (strcmp(fs, "bind") == 0 || strcmp(fs, "bindcow") == 0);
}

static MAYBE void put_file(const char *path, const void *data, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, data, n) != (ssize_t)n || close(fd) < 0) {
		guest_fail(__LINE__, "put_file(%s): errno %d", path, errno);
		_exit(1);
	}
}

static MAYBE void put(const char *path, const char *text)
{
	put_file(path, text, strlen(text));
}

/* The first bytes of a file, as a string; in one of four buffers. */
static MAYBE const char *get(const char *path)
{
	static char bufs[4][4096];
	static int turn;
	char *b = bufs[turn++ & 3];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, b, sizeof(bufs[0]) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		snprintf(b, sizeof(bufs[0]), "(%s)", strerrorname_np(errno) ?: "?");
	else
		b[n] = 0;
	return b;
}

/* Where a symbolic link leads. */
static MAYBE const char *link_of(const char *path)
{
	static char buf[PATH_MAX];
	ssize_t n = readlink(path, buf, sizeof(buf) - 1);

	if (n < 0)
		return "(none)";
	buf[n] = 0;
	return buf;
}

static MAYBE long long file_size(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? -1 : (long long)st.st_size;
}

static MAYBE bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static MAYBE long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static MAYBE void sleep_ms(long ms)
{
	long end = now_ms() + ms;

	while (ms > 0) {
		struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

		nanosleep(&ts, NULL);
		ms = end - now_ms();
	}
}

/* Runs fn(arg) in a child; its wait status.  The child ends with guest_bad != 0. */
static MAYBE int in_child(void (*fn)(void *), void *arg)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		guest_bad = 0;
		fn(arg);
		_exit(guest_bad ? 1 : 0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* The wait status of a child that must exit with `code`. */
#define EXITED(status, code) do { int s_ = (status); \
	if (!WIFEXITED(s_) || WEXITSTATUS(s_) != (code)) \
		guest_fail(__LINE__, "%s: status 0x%x, expected exit %d", #status, (unsigned)s_, code); } while (0)
#define SIGNALED(status, sig) do { int s_ = (status); \
	if (!WIFSIGNALED(s_) || WTERMSIG(s_) != (sig)) \
		guest_fail(__LINE__, "%s: status 0x%x, expected signal %d", #status, (unsigned)s_, sig); } while (0)

/* ---- the runner ---------------------------------------------------------------------------------- */

static void guest_remove(const char *path)
{
	struct dirent *e;
	DIR *d;

	if (unlink(path) == 0 || errno == ENOENT)
		return;
	if (chmod(path, 0700) < 0)
		return;
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char sub[PATH_MAX];

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name) < (int)sizeof(sub))
			guest_remove(sub);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static _Noreturn void guest_child(struct guest_test *t, const char *dir)
{
	if (mkdir(dir, 0755) < 0 || chdir(dir) < 0) {
		fprintf(stderr, "# %s: %s\n", dir, strerror(errno));
		_exit(1);
	}
	setpgid(0, 0);
	umask(022);
	guest_bad = 0;
	t->run();
	_exit(guest_bad ? 1 : 0);
}

/* Waits by looking, so that the runner itself needs nothing of what is being tested. */
static bool guest_wait(pid_t pid, int *status)
{
	long start = now_ms();

	for (;;) {
		struct timespec pause = { 0, now_ms() - start < 20 ? 500000 : 5000000 };

		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		if (now_ms() - start > GUEST_TIMEOUT_MS)
			break;
		nanosleep(&pause, NULL);
	}
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	waitpid(pid, status, 0);
	return false;
}

static bool guest_run(struct guest_test *t, int n)
{
	char dir[PATH_MAX + 256];
	int status = 0;
	bool in_time, good;
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s/%s", guest_dir, t->name);
	guest_remove(dir);
	guest_reason[0] = 0;
	fflush(NULL);
	if (getenv("GUEST_NOFORK"))
		guest_child(t, dir);
	pid = fork();
	if (pid == 0)
		guest_child(t, dir);
	in_time = pid > 0 && guest_wait(pid, &status);
	if (pid > 0)
		kill(-pid, SIGKILL);	/* what the test left behind */
	if (!in_time)
		fprintf(stderr, "# %s: no end after %d ms\n", t->name, GUEST_TIMEOUT_MS);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "# %s: died of signal %d\n", t->name, WTERMSIG(status));
	good = in_time && WIFEXITED(status) &&
		(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == GUEST_SKIPPED);
	printf("%s %d - %s: %s%s%s\n", good ? "ok" : "not ok", n, t->name, t->text,
		good && guest_reason[0] ? " # SKIP " : "", good ? guest_reason : "");
	fflush(stdout);
	guest_remove(dir);
	return good;
}

static int guest_help(int argc, char **argv)
{
	for (struct guest_helper *h = guest_helpers; h; h = h->next)
		if (argc > 2 && strcmp(h->name, argv[2]) == 0)
			return h->run(argc - 3, argv + 3);
	fprintf(stderr, "no helper %s\n", argc > 2 ? argv[2] : "named");
	return 98;
}

int main(int argc, char **argv)
{
	const char *dir = argc > 1 ? argv[1] : "/tmp";
	int n = 0, bad = 0;

	if (argc > 1 && strcmp(argv[1], "--helper") == 0)
		return guest_help(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	guest_reason = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (guest_reason == MAP_FAILED || !realpath(argv[0], guest_self) || !realpath(dir, guest_dir)) {
		fprintf(stderr, "%s: scratch directory %s: %s\n", argv[0], dir, strerror(errno));
		return 99;
	}
	signal(SIGPIPE, SIG_DFL);
	for (struct guest_test *t = guest_first; t; t = t->next)
		if (argc < 3 || strstr(t->name, argv[2]))
			bad += !guest_run(t, ++n);
	printf("1..%d\n", n);
	return bad ? 1 : 0;
}

#endif
