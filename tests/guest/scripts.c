/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scripts: `#!` lines, nested ones, long ones, and their errors.
 * GUEST_WORLDS: view mount bind cow bindcow cowmount cowbind cowcow merge
 */
#include "guest.h"

extern char **environ;

static void script(const char *name, const char *text)
{
	put(name, text);
	OK(chmod(name, 0755));
}

/* A shell script that prints its arguments in brackets, to be used as an interpreter. */
static void show_arguments(const char *name)
{
	script(name, "#!/bin/sh\nprintf '[%s]' \"$0\" \"$@\"\n");
}

static int run(char *buf, const char *path, const char *a, const char *b)
{
	int p[2], status;
	size_t n = 0;
	ssize_t got;

	OK(pipe(p));
	if (fork() == 0) {
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		dup2(open("/dev/null", O_WRONLY), 2);
		execl(path, "argv zero", a, b, NULL);
		_exit(errno);
	}
	close(p[1]);
	while (n < 4095 && (got = read(p[0], buf + n, 4095 - n)) > 0)
		n += (size_t)got;
	buf[n] = 0;
	close(p[0]);
	OK(wait(&status));
	return status;
}

static char out[4096];

TEST(plain, "a shell script gets its path and its arguments")
{
	show_arguments("s");
	EXITED(run(out, "./s", "one", "two words"), 0);
	STR(out, "[./s][one][two words]");
	OK(mkdir("d", 0755));
	OK(chdir("d"));
	EXITED(run(out, "../s", NULL, NULL), 0);
	STR(out, "[../s]");
}

TEST(argument, "the interpreter line has one argument at most, blanks cut off")
{
	char line[PATH_MAX + 100], cwd[PATH_MAX], want[2 * PATH_MAX];

	REQUIRE(getcwd(cwd, sizeof(cwd)));
	show_arguments("show");
	if (strlen(cwd) > 200)
		SKIP("the scratch directory's name is too long for a script's first line");
	snprintf(line, sizeof(line), "#!  %s/show   several words in one \t \n", cwd);
	script("s", line);
	EXITED(run(out, "./s", "x", NULL), 0);
	snprintf(want, sizeof(want), "[%s/show][several words in one][./s][x]", cwd);
	STR(out, want);
	snprintf(line, sizeof(line), "#!%s/show", cwd);	/* no newline at all */
	script("t", line);
	EXITED(run(out, "./t", NULL, NULL), 0);
	snprintf(want, sizeof(want), "[%s/show][./t]", cwd);
	STR(out, want);
}

TEST(nested, "a script whose interpreter is a script, four deep; deeper is ELOOP")
{
	char line[PATH_MAX + 100], cwd[PATH_MAX], want[5 * PATH_MAX];

	REQUIRE(getcwd(cwd, sizeof(cwd)));
	if (strlen(cwd) > 200)
		SKIP("the scratch directory's name is too long for a script's first line");
	show_arguments("i0");
	for (int i = 1; i <= 5; i++) {
		char name[8];

		snprintf(name, sizeof(name), "i%d", i);
		snprintf(line, sizeof(line), "#!%s/i%d a%d\n", cwd, i - 1, i);
		script(name, line);
	}
	EXITED(run(out, "./i1", "x", NULL), 0);
	snprintf(want, sizeof(want), "[%s/i0][a1][./i1][x]", cwd);
	STR(out, want);
	EXITED(run(out, "./i3", NULL, NULL), 0);
	snprintf(want, sizeof(want), "[%s/i0][a1][%s/i1][a2][%s/i2][a3][./i3]", cwd, cwd, cwd);
	STR(out, want);
	EXITED(run(out, "./i4", NULL, NULL), 0);
	EXITED(run(out, "./i5", NULL, NULL), ELOOP);
}

TEST(long_line, "first lines of 255 and more bytes")
{
	char line[700];

	memset(line, ' ', sizeof(line));
	memcpy(line, "#!/bin/sh", 9);
	strcpy(line + 200, "\nexit 3\n");
	script("fits", line);
	EXITED(run(out, "./fits", NULL, NULL), 3);
	memset(line, 'x', sizeof(line));
	memcpy(line, "#!/bin/sh ", 10);
	strcpy(line + 600, "\nexit 3\n");
	script("cut", line);	/* the argument is cut off, the interpreter is whole: it runs */
	TRUE(WIFEXITED(run(out, "./cut", NULL, NULL)));
	memset(line, 'x', sizeof(line));
	memcpy(line, "#!/", 3);
	strcpy(line + 600, "\n");
	script("long-name", line);
	EXITED(run(out, "./long-name", NULL, NULL), ENOEXEC);
}

TEST(errors, "a missing, a forbidden and an empty interpreter")
{
	script("missing", "#!/none/such\n");
	EXITED(run(out, "./missing", NULL, NULL), ENOENT);
	script("forbidden", "#!/etc/passwd\n");
	EXITED(run(out, "./forbidden", NULL, NULL), EACCES);
	script("directory", "#!/etc\n");
	EXITED(run(out, "./directory", NULL, NULL), EACCES);
	script("empty", "#!\n");
	EXITED(run(out, "./empty", NULL, NULL), ENOEXEC);
	script("blank", "#!   \nexit 3\n");
	EXITED(run(out, "./blank", NULL, NULL), ENOEXEC);
	put("noexec", "#!/bin/sh\n");
	EXITED(run(out, "./noexec", NULL, NULL), EACCES);
}

TEST(relative, "an interpreter relative to the working directory")
{
	show_arguments("show");
	script("s", "#!./show\n");
	EXITED(run(out, "./s", NULL, NULL), 0);
	STR(out, "[./show][./s]");
	OK(mkdir("d", 0755));
	OK(chdir("d"));
	EXITED(run(out, "../s", NULL, NULL), ENOENT);
}

TEST(through_link, "a script by a symbolic link has the link's name")
{
	show_arguments("s");
	OK(symlink("s", "l"));
	EXITED(run(out, "./l", NULL, NULL), 0);
	STR(out, "[./l]");
}

TEST(shell_fallback, "execvp runs a file without that line with sh; execve does not")
{
	int status;

	script("s", "exit 5\n");
	EXITED(run(out, "./s", NULL, NULL), ENOEXEC);
	if (fork() == 0) {
		execlp("./s", "./s", NULL);
		_exit(1);
	}
	OK(wait(&status));
	EXITED(status, 5);
}

TEST(path_search, "execvp searches PATH, skips what may not be executed")
{
	int status;

	OK(mkdir("a", 0755));
	OK(mkdir("b", 0755));
	put("a/prog", "not executable");
	script("b/prog", "#!/bin/sh\nexit 7\n");
	OK(setenv("PATH", "none:a:b", 1));
	if (fork() == 0) {
		execlp("prog", "prog", NULL);
		_exit(1);
	}
	OK(wait(&status));
	EXITED(status, 7);
	FAILS(execlp("nothing", "nothing", NULL), ENOENT);
}

TEST(by_descriptor, "a script by descriptor, with and without close-on-exec")
{
	int fd, status;

	script("s", "#!/bin/sh\nread line < \"$0\"; test \"$line\" = '#!/bin/sh' && exit 6\n");
	fd = MUST(open("s", O_RDONLY));
	if (fork() == 0) {
		fexecve(fd, (char *[]){ "x", NULL }, environ);
		_exit(1);
	}
	OK(wait(&status));
	EXITED(status, 6);
	OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
	FAILS(syscall(SYS_execveat, fd, "", (char *[]){ "x", NULL }, environ, AT_EMPTY_PATH), ENOENT);
}

TEST(comm, "comm is the script's, exe the interpreter's")
{
	script("my-script", "#!/bin/sh\nread c < /proc/$$/comm; printf '%s ' \"$c\"; readlink /proc/$$/exe\n");
	EXITED(run(out, "./my-script", NULL, NULL), 0);
	EQ(strncmp(out, "my-script /", 11), 0);
	TRUE(strstr(out, "sh\n") != NULL);
}

TEST(perl_like, "env as the interpreter, and env -S")
{
	script("s", "#!/usr/bin/env sh\nexit 9\n");
	EXITED(run(out, "./s", NULL, NULL), 9);
	script("t", "#!/usr/bin/env -S sh -c \"exit 4\"\n");
	EXITED(run(out, "./t", NULL, NULL), 4);
}
