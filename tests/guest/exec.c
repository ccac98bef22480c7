/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a program finds when it starts: arguments, environment, auxiliary vector, /proc/self, signals.
 * GUEST_WORLDS: view mount bind cow bindcow cowmount cowbind cowcow merge secure
 */
#include "guest.h"
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>

extern char **environ;

/* Runs path with argv and env; its standard output goes to buf; its wait status. */
static int run(char *buf, size_t size, const char *path, char *const argv[], char *const env[])
{
	int p[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	OK(pipe(p));
	pid = MUST(fork());
	if (pid == 0) {
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		execve(path, argv, env ? env : environ);
		_exit(errno == 0 ? 99 : errno);
	}
	close(p[1]);
	while (n < size - 1 && (got = read(p[0], buf + n, size - 1 - n)) > 0)
		n += (size_t)got;
	buf[n] = 0;
	close(p[0]);
	OK(waitpid(pid, &status, 0));
	return status;
}

/* A copy of this program in the test's directory (which may be in an image). */
static const char *copy(const char *name)
{
	static char data[1 << 16];
	int from = MUST(open(guest_self, O_RDONLY)), to = MUST(open(name, O_WRONLY | O_CREAT | O_EXCL, 0755));
	ssize_t n;

	while ((n = read(from, data, sizeof(data))) > 0)
		REQUIRE(write(to, data, (size_t)n) == n);
	OK(close(from));
	OK(close(to));
	return name;
}

HELPER(args)
{
	for (int i = 0; i < argc; i++)
		printf("[%s]", argv[i]);
	return argc;
}

TEST(arguments, "arguments arrive, empty ones too")
{
	char buf[256];
	char *argv[] = { "zero", "--helper", "args", "one", "", "three words here", "\xff\n", NULL };

	EXITED(run(buf, sizeof(buf), guest_self, argv, NULL), 4);
	STR(buf, "[one][][three words here][\xff\n]");
	EXITED(run(buf, sizeof(buf), copy("./copy"), argv, NULL), 4);
	STR(buf, "[one][][three words here][\xff\n]");
}

HELPER(env)
{
	for (char **e = environ; *e; e++)
		if (strncmp(*e, "LD_", 3) != 0)
			printf("[%s]", *e);
	return 0;
}

TEST(environment, "the environment is what was given, nothing added")
{
	char buf[256];
	char *argv[] = { guest_self, "--helper", "env", NULL };
	char *env[] = { "A=1", "B=", "EMPTY", "A=2", NULL }, *none[] = { NULL };

	EXITED(run(buf, sizeof(buf), guest_self, argv, env), 0);
	STR(buf, "[A=1][B=][EMPTY][A=2]");
	EXITED(run(buf, sizeof(buf), guest_self, argv, none), 0);
	STR(buf, "");
}

HELPER(bigenv)
{
	size_t n = 0, total = 0;

	for (char **e = environ; *e; e++, n++)
		total += strlen(*e);
	return n == 100 && total == 100 * 1024 && strlen(argv[0]) == 100000 ? 0 : 1;
}

TEST(large_environment, "100 KiB of environment and an argument of 100 KB")
{
	static char vars[100][1025], arg[100001], buf[64];
	char *env[101], *argv[] = { guest_self, "--helper", "bigenv", arg, NULL };

	memset(arg, 'a', 100000);
	for (int i = 0; i < 100; i++) {
		memset(vars[i], 'e', 1024);
		vars[i][1] = '=';
		env[i] = vars[i];
	}
	env[100] = NULL;
	EXITED(run(buf, sizeof(buf), guest_self, argv, env), 0);
}

TEST(too_big, "E2BIG: one string of 128 KiB, or more than the stack allows")
{
	char *big = malloc(131072 + 16), **many = calloc(100001, sizeof(char *));

	memset(big, 'x', 131072);
	big[131072] = 0;
	FAILS(execve("/bin/true", (char *[]){ "true", big, NULL }, environ), E2BIG);
	FAILS(execve("/bin/true", (char *[]){ "true", NULL }, (char *[]){ big, NULL }), E2BIG);
	big[100] = 0;
	for (int i = 0; i < 100000; i++)
		many[i] = big;
	FAILS(execve("/bin/true", many, environ), E2BIG);
}

TEST(argv0, "argv[0] may be anything; /proc/self/exe is the program all the same")
{
	char buf[PATH_MAX], link[PATH_MAX] = "";
	char *argv[] = { "not a path", "-c", "printf %s \"$0\"", NULL };

	EXITED(run(buf, sizeof(buf), "/bin/sh", argv, NULL), 0);
	STR(buf, "not a path");
	EXITED(run(buf, sizeof(buf), "/usr/bin/readlink", (char *[]){ "x", "/proc/self/exe", NULL }, NULL), 0);
	OK(readlink("/proc/self/exe", link, sizeof(link) - 1));
	STR(link, guest_self);
	TRUE(strstr(buf, "readlink") != NULL);
}

/* Everything a loader promises its program; prints nothing, counts what is wrong. */
HELPER(auxv)
{
	const ElfW(Phdr) *ph = (void *)getauxval(AT_PHDR);
	extern int main(int, char **);
	extern char _start[], __ehdr_start[];
	unsigned char *random = (void *)getauxval(AT_RANDOM);
	const char *fn = (const char *)getauxval(AT_EXECFN);

	guest_bad = 0;
	STR(fn, argv[0]);
	TRUE(getauxval(AT_ENTRY) == (unsigned long)_start);
	TRUE(ph == (void *)(__ehdr_start + ((const ElfW(Ehdr) *)__ehdr_start)->e_phoff));
	EQ(getauxval(AT_PHNUM), ((const ElfW(Ehdr) *)__ehdr_start)->e_phnum);
	EQ(getauxval(AT_PHENT), sizeof(*ph));
	EQ(getauxval(AT_PAGESZ), 4096);
	EQ(getauxval(AT_UID), getuid());
	EQ(getauxval(AT_EUID), geteuid());
	EQ(getauxval(AT_GID), getgid());
	EQ(getauxval(AT_SECURE), 0);
	EQ(getauxval(AT_CLKTCK), 100);
	TRUE(getauxval(AT_HWCAP) != 0);
	TRUE(random && (random[0] | random[1] | random[2] | random[3] | random[4] | random[5]));
	STR((const char *)getauxval(AT_PLATFORM), "x86_64");
	TRUE(getauxval(AT_MINSIGSTKSZ) >= 1024);
	TRUE(getauxval(AT_SYSINFO_EHDR) != 0);
	for (int i = 0; i < (int)getauxval(AT_PHNUM); i++)
		if (ph[i].p_type == PT_INTERP)
			TRUE(getauxval(AT_BASE) != 0);
	return guest_bad;
}

TEST(auxiliary, "the auxiliary vector: EXECFN, PHDR, ENTRY, BASE, RANDOM and the rest")
{
	char buf[64], path[PATH_MAX];

	EXITED(run(buf, sizeof(buf), guest_self, (char *[]){ "zero", "--helper", "auxv", guest_self, NULL }, NULL), 0);
	copy("copy");
	EXITED(run(buf, sizeof(buf), "copy", (char *[]){ "zero", "--helper", "auxv", "copy", NULL }, NULL), 0);
	EXITED(run(buf, sizeof(buf), ".//copy", (char *[]){ "z", "--helper", "auxv", ".//copy", NULL }, NULL), 0);
	OK(symlink("copy", "link"));
	EXITED(run(buf, sizeof(buf), "link", (char *[]){ "z", "--helper", "auxv", "link", NULL }, NULL), 0);
	REQUIRE(getcwd(path, sizeof(path)));
	strcat(path, "/copy");
	EXITED(run(buf, sizeof(buf), path, (char *[]){ "z", "--helper", "auxv", path, NULL }, NULL), 0);
}

HELPER(stack)
{
	/* the stack as the ABI lays it out: argc, argv, NULL, environment, NULL, auxv */
	unsigned long *auxv = (unsigned long *)environ;
	char **args = argv - 3;

	TRUE(((long *)args)[-1] == argc + 3);
	TRUE(args[argc + 3] == NULL);
	TRUE(args + argc + 4 == environ);
	while (*auxv++)
		;
	EQ(getauxval(AT_PHDR) != 0, 1);
	for (; auxv[0] != AT_NULL; auxv += 2)
		if (auxv[0] == AT_PHDR)
			EQ(auxv[1], getauxval(AT_PHDR));
	TRUE(((unsigned long)(args - 1) & 15) == 0);
	return guest_bad;
}

TEST(stack_layout, "the initial stack: argc, argv, environ, auxv in a row, aligned")
{
	char buf[64];

	for (int i = 0; i < 5; i++) {
		char *argv[] = { "z", "--helper", "stack", i > 0 ? "1" : NULL, i > 1 ? "2" : NULL,
				 i > 2 ? "3" : NULL, i > 3 ? "4" : NULL, NULL };

		EXITED(run(buf, sizeof(buf), guest_self, argv, NULL), 0);
	}
}

HELPER(proc)
{
	char cwd[PATH_MAX], link[PATH_MAX] = "", want[64];
	const char *text;

	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(cwd, argv[1]);
	OK(readlink("/proc/self/cwd", link, sizeof(link) - 1));
	STR(link, cwd);
	memset(link, 0, sizeof(link));
	OK(readlink("/proc/self/exe", link, sizeof(link) - 1));
	STR(link, argv[0]);
	snprintf(want, sizeof(want), "%.15s\n", strrchr(argv[0], '/') + 1);
	STR(get("/proc/self/comm"), want);
	text = get("/proc/self/cmdline");
	STR(text, "argument zero");
	STR(text + 14, "--helper");
	STR(get("/proc/self/environ"), "ONLY=this");
	return guest_bad;
}

TEST(proc_self, "/proc/self: exe, comm, cmdline, environ, cwd")
{
	char cwd[PATH_MAX], path[PATH_MAX], buf[64];

	copy("a-copy-with-a-long-name");
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	snprintf(path, sizeof(path), "%.4000s/a-copy-with-a-long-name", cwd);
	EXITED(run(buf, sizeof(buf), "./a-copy-with-a-long-name",
		(char *[]){ "argument zero", "--helper", "proc", path, cwd, NULL },
		(char *[]){ "ONLY=this", NULL }), 0);
}

HELPER(exe_open)
{
	struct stat a, b;
	int fd = OK(open("/proc/self/exe", O_RDONLY));
	char magic[4];

	OK(fstat(fd, &a));
	OK(stat(argv[0], &b));
	EQ(a.st_ino, b.st_ino);
	EQ(a.st_size, b.st_size);
	EQ(read(fd, magic, 4), 4);
	EQ(memcmp(magic, "\177ELF", 4), 0);
	OK(stat("/proc/self/exe", &b));
	EQ(a.st_ino, b.st_ino);
	if (argc > 1)
		return guest_bad;
	execl("/proc/self/exe", "again", "--helper", "exe_open", argv[0], "second", NULL);
	return 97;
}

TEST(proc_exe, "/proc/self/exe opens, stats and executes as the program")
{
	char buf[64];

	EXITED(run(buf, sizeof(buf), copy("./copy"), (char *[]){ "x", "--helper", "exe_open", "copy", NULL }, NULL), 0);
}

TEST(proc_other, "/proc/PID/exe and cmdline of another process")
{
	char name[64], link[PATH_MAX] = "", *argv[] = { "sleeper", "30", NULL };
	pid_t pid = MUST(fork());

	if (pid == 0) {
		execv("/bin/sleep", argv);
		_exit(1);
	}
	snprintf(name, sizeof(name), "/proc/%d/cmdline", pid);
	for (int i = 0; i < 500 && strcmp(get(name), "sleeper") != 0; i++)
		sleep_ms(10);
	STR(get(name), "sleeper");
	snprintf(name, sizeof(name), "/proc/%d/exe", pid);
	OK(readlink(name, link, sizeof(link) - 1));
	STR(strrchr(link, '/'), "/sleep");
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, NULL, 0));
}

TEST(errors, "ENOENT, EACCES, ENOEXEC, ENOTDIR, ELOOP, EFAULT, EISDIR")
{
	char *argv[] = { "x", NULL };

	FAILS(execve("none", argv, environ), ENOENT);
	FAILS(execve("", argv, environ), ENOENT);
	put("text", "no program\n");
	FAILS(execve("text", argv, environ), EACCES);
	OK(chmod("text", 0755));
	FAILS(execve("text", argv, environ), ENOEXEC);
	FAILS(execve("text/x", argv, environ), ENOTDIR);
	FAILS(execve("text/", argv, environ), ENOTDIR);
	put("empty", "");
	OK(chmod("empty", 0755));
	FAILS(execve("empty", argv, environ), ENOEXEC);
	put_file("elf", "\177ELF\2\1\1", 8);
	OK(chmod("elf", 0755));
	FAILS(execve("elf", argv, environ), ENOEXEC);
	OK(mkdir("d", 0755));
	FAILS(execve("d", argv, environ), EACCES);
	OK(symlink("loop", "loop"));
	FAILS(execve("loop", argv, environ), ELOOP);
	FAILS(syscall(SYS_execve, NULL, argv, environ), EFAULT);
	FAILS(syscall(SYS_execve, "/bin/true", (void *)16, environ), EFAULT);
	FAILS(syscall(SYS_execve, "/bin/true", argv, (void *)16), EFAULT);
	FAILS(execve("/dev/null", argv, environ), EACCES);
}

TEST(missing_loader, "a program whose interpreter is missing: ENOENT; one that names none: EACCES")
{
	char *data = malloc(1 << 22), *at;
	int fd = MUST(open("/bin/true", O_RDONLY));
	ssize_t n = MUST(read(fd, data, 1 << 22));

	at = memmem(data, (size_t)n, "/lib64/ld-linux", 15);
	REQUIRE(at);
	memcpy(at, "/nil64", 6);
	put_file("prog", data, (size_t)n);
	OK(chmod("prog", 0755));
	FAILS(execve("prog", (char *[]){ "prog", NULL }, environ), ENOENT);
	*at = 0;
	put_file("prog", data, (size_t)n);
	FAILS(execve("prog", (char *[]){ "prog", NULL }, environ), EACCES);
}

TEST(by_descriptor, "fexecve and execveat")
{
	char buf[64];
	int fd, d, p[2], status;

	copy("copy");
	fd = MUST(open("copy", O_RDONLY | O_CLOEXEC));
	d = MUST(open(".", O_PATH));
	for (int way = 0; way < 4; way++) {
		char *argv[] = { "x", "--helper", "args", "by fd", NULL };

		OK(pipe(p));
		if (fork() == 0) {
			dup2(p[1], 1);
			if (way == 0)
				fexecve(fd, argv, environ);
			else if (way == 1)
				syscall(SYS_execveat, d, "copy", argv, environ, 0);
			else if (way == 2)
				syscall(SYS_execveat, open("copy", O_PATH), "", argv, environ, AT_EMPTY_PATH);
			else
				syscall(SYS_execveat, AT_FDCWD, "copy", argv, environ, AT_SYMLINK_NOFOLLOW);
			_exit(90 + way);
		}
		OK(wait(&status));
		EXITED(status, 1);
		memset(buf, 0, sizeof(buf));
		EQ(read(p[0], buf, sizeof(buf) - 1), 7);
		STR(buf, "[by fd]");
		OK(close(p[0]));
		OK(close(p[1]));
	}
	OK(symlink("copy", "l"));
	FAILS(syscall(SYS_execveat, d, "l", (char *[]){ "x", NULL }, environ, AT_SYMLINK_NOFOLLOW), ELOOP);
	FAILS(syscall(SYS_execveat, 700, "copy", (char *[]){ "x", NULL }, environ, 0), EBADF);
	FAILS(syscall(SYS_execveat, d, "", (char *[]){ "x", NULL }, environ, 0), ENOENT);
	FAILS(syscall(SYS_execveat, d, "copy", (char *[]){ "x", NULL }, environ, 0x8000), EINVAL);
}

TEST(program_replaced, "a program removed or renamed after it started runs on")
{
	char buf[64];

	copy("copy");
	if (fork() == 0) {
		execl("./copy", "x", "--helper", "unlinked", NULL);
		_exit(90);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 0);
	TRUE(!exists("copy"));
	(void)buf;
}

HELPER(unlinked)
{
	char link[PATH_MAX] = "";
	size_t n;

	OK(unlink("copy"));
	OK(readlink("/proc/self/exe", link, sizeof(link) - 1));
	n = strlen(link);
	/* in a mounted image, or behind a bind mount, its old path: docs/limits.md */
	TRUE((n > 15 && strcmp(link + n - 15, "/copy (deleted)") == 0) ||
	     ((on_fuse() || behind_bind()) && n > 5 && strcmp(link + n - 5, "/copy") == 0));
	return guest_bad;
}

TEST(chain, "300 programs, each the child of exec of the one before")
{
	char buf[64];

	EXITED(run(buf, sizeof(buf), guest_self, (char *[]){ "x", "--helper", "chain", "300", NULL }, NULL), 42);
}

HELPER(chain)
{
	char n[16];
	int left = atoi(argv[0]);

	if (left == 0)
		return 42;
	snprintf(n, sizeof(n), "%d", left - 1);
	execl(guest_self[0] ? guest_self : "/proc/self/exe", "x", "--helper", "chain", n, NULL);
	return 97;
}
