/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program in the differential fuzzer's tree: says, as a line of the fuzzer's output (descriptor 100), what it
 * was started with: arguments, environment, name, descriptors, offsets, directory, signals.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/auxv.h>
#include <sys/stat.h>

static char line[8192];
static size_t len;

static void __attribute__((format(printf, 1, 2))) say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	len += (size_t)vsnprintf(line + len, sizeof line - len - 2, fmt, args);
	va_end(args);
	if (len > sizeof line - 2)
		len = sizeof line - 2;
}

static void say_link(const char *name)
{
	char text[PATH_MAX];
	ssize_t n = readlink(name, text, sizeof text - 1);

	text[n < 0 ? 0 : n] = 0;
	say(" %s", n < 0 ? strerrorname_np(errno) : text);
}

static void say_files(void)
{
	struct stat st;
	char byte;

	for (int fd = 0; fd < 40; fd++) {
		int flags = fcntl(fd, F_GETFL);

		if (flags < 0)
			continue;
		say(" %d:%o", fd, (unsigned)flags);
		if (fd < 3 || fstat(fd, &st) || !S_ISREG(st.st_mode) || flags & O_PATH)
			continue;
		say("@%ld", (long)lseek(fd, 0, SEEK_CUR));
		if (read(fd, &byte, 1) == 1)
			say("%c", byte > ' ' && byte < 127 ? byte : '?');
	}
}

int main(int argc, char **argv)
{
	char cwd[PATH_MAX];
	sigset_t set;
	struct sigaction a;

	say("  prog");
	for (int i = 0; i < argc; i++)
		say(" '%s'", argv[i]);
	say(", %s, E=%s,", (const char *)getauxval(AT_EXECFN), getenv("E") ? getenv("E") : "-");
	say_link("/proc/self/exe");
	say(" cwd %s umask %o", getcwd(cwd, sizeof cwd) ? cwd : strerrorname_np(errno), umask(0));
	sigprocmask(SIG_BLOCK, NULL, &set);
	sigset_t pending;
	sigpending(&pending);
	say(" signals");
	for (int sig = 1; sig < 64; sig++) {
		if (sigismember(&set, sig) == 1)
			say(" b%d", sig);
		if (sigismember(&pending, sig) == 1)
			say(" p%d", sig);
		if (!sigaction(sig, NULL, &a) && a.sa_handler != SIG_DFL)
			say(" i%d", sig);
	}
	say(" files");
	say_files();
	line[len++] = '\n';
	return write(100, line, len) == (ssize_t)len ? 5 : 6;
}
