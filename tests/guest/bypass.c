/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ways around a mount: all that lead to a file other than by its name.
 * GUEST_WORLDS: view mount bind
 *
 * On a mounted image nothing of the scratch directory exists beneath the mount point.  So each way leads to the
 * file that its name leads to, or is refused; it never says that there is no such file, and never leads to
 * another.  Natively every way that is allowed leads there.
 */
#include "guest.h"
#include "int80.h"
#include "leads.h"
#include "passfd.h"
#include <linux/openat2.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

TEST(by_proc, "cwd, root and fd in /proc, our own and another process's, and `..` from there")
{
	int d, status, pid;

	start();
	d = MUST(open("d", O_RDONLY | O_DIRECTORY));
	pid = MUST(fork());
	if (pid == 0)
		for (;;)
			pause();
	LEADS(opened("/proc/self/cwd/f"));
	LEADS(opened("/proc/self/cwd/d/../f"));
	LEADS(opened("/proc/self/root%s/f", here));
	LEADS(opened("/proc/thread-self/cwd/f"));
	LEADS(opened("/proc/thread-self/root%s/d/f", here));
	LEADS(opened("/proc/self/task/%d/cwd/f", getpid()));
	LEADS(opened("/proc/self/task/%d/root%s/f", getpid(), here));
	LEADS(opened("/proc/self/fd/%d/f", d));
	LEADS(opened("/proc/self/fd/%d/../f", d));
	LEADS(opened("/proc/self/fd/%d/e/../../f", d));
	LEADS(opened("/dev/fd/%d/../d/f", d));
	LEADS(opened("/proc/%d/cwd/f", pid));
	LEADS(opened("/proc/%d/cwd/d/e/../f", pid));
	LEADS(opened("/proc/%d/root%s/f", pid, here));
	LEADS(opened("/proc/%d/fd/%d/../f", pid, d));
	LEADS(opened("/proc/%d/root/proc/%d/root%s/f", pid, pid, here));
	kill(pid, SIGKILL);
	OK(waitpid(pid, &status, 0));
}

TEST(by_root, "descriptors of the root, by every name that it has, and names relative to them")
{
	static const char *const roots[] = { "/", "/proc/self/root", "/proc/self/cwd/../../../../../../../../..",
					     "/proc/self/root/proc/..", "/dev/..", "/proc/1/../.." };

	start();
	for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++) {
		int fd = MUST(open(roots[i], O_RDONLY | O_DIRECTORY)), path = MUST(open(roots[i], O_PATH));
		struct open_how in_root = { .resolve = RESOLVE_IN_ROOT }, beneath = { .resolve = RESOLVE_BENEATH };
		char rel[PATH_MAX + 8];

		snprintf(rel, sizeof(rel), "%s/f", here);
		LEADS(openat(fd, rel + 1, O_RDONLY));
		LEADS(openat(path, rel + 1, O_RDONLY));
		LEADS(syscall(SYS_openat2, fd, rel, &in_root, sizeof(in_root)));
		LEADS(syscall(SYS_openat2, path, rel + 1, &beneath, sizeof(beneath)));
		OK(fchdir(path));
		LEADS(open(rel + 1, O_RDONLY));
		OK(chdir(here));
		close(fd);
		close(path);
	}
}

TEST(step_by_step, "up to the root and down again, one descriptor after the other")
{
	char way[PATH_MAX], *name, *rest = way;
	int fd, next, turns = 0;

	start();
	fd = MUST(open(".", O_PATH));
	while (turns++ < 64) {
		next = MUST(openat(fd, "..", turns & 1 ? O_PATH : O_RDONLY | O_DIRECTORY));
		close(fd);
		fd = next;
	}
	strcpy(way, here + 1);
	while ((name = strsep(&rest, "/"))) {
		next = openat(fd, name, turns++ & 1 ? O_PATH : O_RDONLY | O_DIRECTORY);
		if (next < 0 && errno == EACCES)	/* we may enter it, but not list it */
			next = openat(fd, name, O_PATH);
		REQUIRE(next >= 0);
		close(fd);
		fd = next;
	}
	LEADS(openat(fd, "f", O_RDONLY));
	LEADS(openat(fd, "d/e/../f", O_RDONLY));

	OK(chdir("/"));
	strcpy(way, here + 1);
	for (rest = way; (name = strsep(&rest, "/"));)
		OK(chdir(name));
	LEADS(open("f", O_RDONLY));
	LEADS(open("d/../f", O_RDONLY));
}

/* ---- descriptors from elsewhere --------------------------------------------------------------------------- */

/* A child that has opened `path` and shows us the descriptor: sent, or taken out of it by its pidfd. */
static int from_child(const char *path, int flags, bool take)
{
	int s[2], fd, other;
	pid_t pid;

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid = MUST(fork());
	if (pid == 0) {
		fd = MUST(open(path, flags));
		MUST(send_fd(s[1], fd, 0));
		MUST(write(s[1], &fd, sizeof(fd)));
		for (;;)
			pause();
	}
	fd = receive_fd(s[0], 0);
	MUST(read(s[0], &other, sizeof(other)));
	if (take) {
		int pidfd = MUST(syscall(SYS_pidfd_open, pid, 0));

		close(fd);
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, other, 0);
		int e = errno;
		close(pidfd);
		errno = e;
	}
	int e = errno;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(s[0]);
	close(s[1]);
	errno = e;
	return fd;
}

TEST(given, "files and directories that another process sends, or that are taken from it")
{
	start();
	for (int take = 0; take < 2; take++) {
		char rel[PATH_MAX + 8];
		int root = from_child("/", O_RDONLY, take), dir, path;

		if (root < 0 && take && refusal(errno))
			break;
		dir = from_child(".", O_RDONLY, take);
		path = from_child("d", O_PATH, take);
		LEADS(from_child("f", O_RDWR, take));
		snprintf(rel, sizeof(rel), "%s/f", here);
		LEADS(openat(root, rel + 1, O_RDONLY));
		LEADS(openat(dir, "f", O_RDONLY));
		LEADS(openat(dir, "d/../f", O_RDONLY));
		LEADS(openat(path, "f", O_RDONLY));
		LEADS(openat(path, "../f", O_RDONLY));
		OK(fchdir(path));
		LEADS(open("../f", O_RDONLY));
		OK(chdir(here));
		LEADS(opened("/proc/self/fd/%d/../f", path));
	}
}

/* From d out of the mount, which is two levels above the test's directory, and back in. */
static const char *out_and_in(void)
{
	static char way[PATH_MAX + 16];
	int names = 0;
	char *p = here + strlen(here);

	while (p > here && names < 3)
		names += *--p == '/';
	snprintf(way, sizeof(way), "../../../../%s/f", p + 1);
	return way;
}

TEST(given_path, "a descriptor opened with O_PATH that another process sends, or that is taken from it, is one of O_PATH")
{
	start();
	for (int take = 0; take < 2; take++) {
		char byte;
		int fd = from_child("f", O_PATH, take);

		if (fd < 0 && take && refusal(errno))
			break;
		REQUIRE(fd >= 0);
		FAILS(read(fd, &byte, 1), EBADF);
		FAILS(pread(fd, &byte, 1, INT64_MAX), EBADF);
		TRUE(fcntl(fd, F_GETFL) & O_PATH);
		close(fd);
	}
}

TEST(around, "out of the mount and back in, from a directory's descriptor and from the cwd")
{
	int d;

	start();
	d = MUST(open("d", O_PATH));
	LEADS(openat(d, out_and_in(), O_RDONLY));
	LEADS(openat(dup(d), out_and_in(), O_RDONLY));
	OK(chdir("d"));
	LEADS(open(out_and_in(), O_RDONLY));
	if (fork() == 0) {
		LEADS(openat(d, out_and_in(), O_RDONLY));
		LEADS(open(out_and_in(), O_RDONLY));
		_exit(guest_bad != 0);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
}

HELPER(inherited)
{
	REQUIRE(argc == 4);
	LEADS(openat(atoi(argv[2]), argv[3], O_RDONLY));
	LEADS(openat(atoi(argv[0]), argv[1], O_RDONLY));
	LEADS(openat(atoi(argv[2]), "../f", O_RDONLY));
	LEADS(opened("/proc/self/fd/%s/f", argv[2]));
	return guest_bad;
}

TEST(inherited, "directories that are open over exec")
{
	char root[12], dir[12], rel[PATH_MAX + 8];
	int status;

	start();
	snprintf(root, sizeof(root), "%d", (int)MUST(open("/", O_RDONLY)));
	snprintf(dir, sizeof(dir), "%d", (int)MUST(open("d", O_PATH)));
	snprintf(rel, sizeof(rel), "%s/f", here);
	if (fork() == 0) {
		OK(chdir("/"));
		execl(guest_self, "x", "--helper", "inherited", root, rel + 1, dir, out_and_in(), NULL);
		_exit(90);
	}
	OK(wait(&status));
	EXITED(status, 0);
}

/* ---- calls that take a path for the kernel alone ---------------------------------------------------------- */

TEST(for_administrators, "acct, swapon, swapoff, quotactl, uselib: never done with a path")
{
	start();
	if (geteuid() == 0)
		SKIP("root may");
	FAILS(syscall(SYS_acct, "f"), EPERM);
	FAILS(syscall(SYS_swapon, "f", 0), EPERM);
	FAILS(syscall(SYS_swapoff, "f"), EPERM);
	TRUE(syscall(SYS_quotactl, 0x80000700 /* Q_GETFMT */, "f", 0, here) < 0);
	TRUE(syscall(SYS_uselib, "f") < 0);
	TRUE(syscall(SYS_bpf, 6 /* BPF_OBJ_PIN */, here, 16) < 0);
}

TEST(watches, "fanotify and landlock: for files of this name, or not at all")
{
	long fd;

	start();
	fd = syscall(SYS_fanotify_init, 0x200 /* FAN_REPORT_FID */, 0);
	TRUE(fd >= 0 || refusal(errno));
	fd = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* VERSION */);
	TRUE(fd > 0 || errno == ENOSYS || errno == EOPNOTSUPP);
}

/* ---- other entries to the kernel -------------------------------------------------------------------------- */

#define LOW	0x40000000ul

/* open(2) by the i386 entry: the path must lie below 4 GiB. */
static long open_by_int80(const char *path)
{
	char *low = mmap((void *)LOW, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	long r;

	REQUIRE(low != MAP_FAILED);
	strcpy(low, path);
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(5L), "b"(low), "c"(0L), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	munmap(low, 4096);
	if ((int)r >= 0)
		return (int)r;
	errno = -(int)r;
	return -1;
}

/* lea/mov-free code that the program writes itself: `mov $257,%eax; mov %rcx,%r10; syscall; ret`. */
static const unsigned char openat_code[] = { 0x49, 0x89, 0xca, 0xb8, 1, 1, 0, 0, 0x0f, 0x05, 0xc3 };
#define AT_SYSCALL 8

static long from(void *code, long nr, const char *path)
{
	register long r10 __asm__("r10") = 0;
	long r;

	/* rcx as the fourth argument is dead; a jump behind the mov finds the number in rax already */
	__asm__ volatile("call *%[code]" : "=a"(r) : [code] "r"(code), "a"(nr), "D"((long)AT_FDCWD), "S"(path), "d"(0L),
			 "r"(r10) : "rcx", "r11", "memory");
	errno = r < 0 ? (int)-r : 0;
	return r < 0 ? -1 : r;
}

TEST(entries, "int $0x80, x32 numbers, code made at run time, a jump right onto its syscall instruction")
{
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[PATH_MAX + 8];

	start();
	snprintf(path, sizeof(path), "%s/f", here);
	if (has_int80())
		LEADS_OR_REFUSED(strlen(path) < 4096 ? open_by_int80(path) : -1);
	LEADS_OR_REFUSED(syscall(0x40000000 | SYS_openat, AT_FDCWD, path, O_RDONLY, 0));
	LEADS_OR_REFUSED(syscall(0x40000000 | SYS_open, path, O_RDONLY, 0));
	REQUIRE(code != MAP_FAILED);
	memcpy(code, openat_code, sizeof(openat_code));
	for (int i = 0; i < 300; i++) {
		LEADS(from(code, 0, path));
		LEADS(from(code + AT_SYSCALL, SYS_openat, path));
		LEADS(from(code + AT_SYSCALL, SYS_open, path) < 0 ? open(path, O_RDONLY) : -1);
		if (guest_bad)
			break;
	}
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

TEST(memory_of_others, "process_vm_readv and writev: what another process has read, and what it is going to write")
{
	static char buf[64];
	struct iovec mine = { buf, sizeof(TEXT) - 1 }, theirs = { buf, sizeof(TEXT) - 1 };
	int status, p[2], q[2];
	pid_t pid;
	char c;

	start();
	MUST(pipe(p));
	MUST(pipe(q));
	pid = MUST(fork());
	if (pid == 0) {
		int fd = MUST(open("f", O_RDONLY)), out = MUST(open("out", O_WRONLY | O_CREAT, 0600));

		MUST(read(fd, buf, sizeof(buf)));
		MUST(write(p[1], "x", 1));
		MUST(read(q[0], &c, 1));
		MUST(write(out, buf, sizeof(TEXT) - 1));
		_exit(guest_bad != 0);
	}
	MUST(read(p[0], &c, 1));
	long r = process_vm_readv(pid, &mine, 1, &theirs, 1, 0);
	if (r < 0 && refusal(errno)) {
		kill(pid, SIGKILL);
		SKIP("no right to read the memory of a child");
	}
	STR(buf, TEXT);
	memcpy(buf, "the file", 8);
	memset(buf + 8, 'y', 4);
	EQ(process_vm_writev(pid, &mine, 1, &theirs, 1, 0), r);
	MUST(write(q[1], "x", 1));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
	STR(get("out"), "the fileyyyythis name");
}

/* ---- sockets and programs ---------------------------------------------------------------------------------- */

static int connected(const char *fmt, ...)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int s = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), n, r;
	va_list ap;

	va_start(ap, fmt);
	n = vsnprintf(sun.sun_path, sizeof(sun.sun_path), fmt, ap);
	va_end(ap);
	r = n < (int)sizeof(sun.sun_path) ? connect(s, (void *)&sun, sizeof(sun)) : 0;
	close(s);
	return r;
}

TEST(unix_sockets, "a UNIX socket by names through /proc and descriptors")
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "s" };
	int s = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), d;

	start();
	OK(bind(s, (void *)&sun, sizeof(sun)));
	OK(listen(s, 20));
	d = MUST(open("d", O_PATH));
	OK(connected("s"));
	OK(connected("d/../s"));
	OK(connected("%s/s", here));
	OK(connected("/proc/self/cwd/s"));
	OK(connected("/proc/self/root%s/s", here));
	OK(connected("/proc/self/fd/%d/../s", d));
	OK(chdir("d"));
	OK(connected("../s"));
	OK(chdir("/"));
	OK(connected("%s/s", here + 1));
}

static int run_program(int fd, const char *path, int flags)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		syscall(SYS_execveat, fd, path, (char *[]){ "x", "--helper", "seven", NULL }, environ, flags);
		_exit(errno == ENOENT ? 90 : 91);
	}
	OK(waitpid(pid, &status, 0));
	return status;
}

HELPER(seven)
{
	return 7;
}

static void copy_self(const char *to)
{
	static char buf[1 << 16];
	int in = MUST(open("/proc/self/exe", O_RDONLY)), out = MUST(open(to, O_WRONLY | O_CREAT, 0755));
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		MUST(write(out, buf, (size_t)n));
	close(in);
	close(out);
}

TEST(programs, "a program by descriptors and names of all kinds")
{
	char path[2 * PATH_MAX];
	int fd, dir, root;

	start();
	copy_self("d/prog");
	dir = MUST(open("d", O_PATH));
	root = from_child("/", O_PATH, false);
	fd = from_child("d/prog", O_PATH, false);
	EXITED(run_program(fd, "", AT_EMPTY_PATH), 7);
	EXITED(run_program(dir, "prog", 0), 7);
	EXITED(run_program(dir, "../d/prog", AT_SYMLINK_NOFOLLOW), 7);
	snprintf(path, sizeof(path), "%s/d/prog", here);
	EXITED(run_program(root, path + 1, 0), 7);
	snprintf(path, sizeof(path), "/proc/self/root%s/d/prog", here);
	EXITED(run_program(AT_FDCWD, path, 0), 7);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/../d/prog", dir);
	EXITED(run_program(AT_FDCWD, path, 0), 7);
	EXITED(run_program(AT_FDCWD, "/proc/self/cwd/d/prog", 0), 7);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	EXITED(run_program(AT_FDCWD, path, 0), 7);
}
