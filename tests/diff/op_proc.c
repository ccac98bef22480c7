/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps that look into /proc, at what must look in a view as it does natively.
 */
#include "diff.h"
#include <dirent.h>
#include <sys/prctl.h>
#include <asm/prctl.h>

static const char *self(void)
{
	return in_thread() ? "thread-self" : "self";
}

/* The lines of a file that begin with one of these words. */
static void say_lines(const char *path, const char *const *words)
{
	char text[512];
	FILE *f = few_descriptors ? NULL : fopen(path, "re");

	if (!f) {
		if (!few_descriptors)
			result(-1);
		return;
	}
	while (fgets(text, sizeof text, f))
		for (unsigned i = 0; words[i]; i++)
			if (!strncmp(text, words[i], strlen(words[i]))) {
				text[strcspn(text, "\n")] = 0;
				for (char *p = text; *p; p++)
					if (*p == '\t')
						*p = ' ';
				say(" %s;", text);
			}
	fclose(f);
}

static void op_status(void)
{
	static const char *const words[] = { "Name:", "Umask:", "State:", "Uid:", "Gid:", "Threads:", "SigPnd:", "ShdPnd:", "SigBlk:",
		"SigIgn:", "SigCgt:", "NoNewPrivs:", "Seccomp:", "CapEff:", "CoreDumping:", "TracerPid:", NULL };
	char path[64];

	sprintf(path, "/proc/%s/status", self());
	say_lines(path, words);
}

static void op_fdinfo(void)
{
	static const char *const words[] = { "pos:", "flags:", NULL };
	char path[64];
	int fd = pick_fd();
	struct stat st;

	sprintf(path, "/proc/%s/fdinfo/%d", self(), fd);
	say_lines(path, words + (!fstat(fd, &st) && S_ISDIR(st.st_mode)));	/* a directory's position is its own */
}

/* Fields of stat that are the program's own: name, state, signals. */
static void op_procstat(void)
{
	static const int fields[] = { 1, 30, 31, 32, 37, 0 };
	char text[2048], *p;
	FILE *f;
	int at;

	if (few_descriptors)
		return;
	sprintf(text, "/proc/%s/stat", self());
	f = fopen(text, "re");
	if (!f || !fgets(text, sizeof text, f)) {
		result(-1);
		if (f)
			fclose(f);
		return;
	}
	fclose(f);
	say(" %.*s", (int)strcspn(strchr(text, ' ') + 1, ")") + 1, strchr(text, ' ') + 1);
	p = strrchr(text, ')') + 2;
	at = 2;
	for (char *word = strtok(p, " "); word; word = strtok(NULL, " "), at++)
		for (int i = 0; fields[i]; i++)
			if (at == fields[i])
				say(" %s", word);
}

/* Small files, whole. */
static void op_procfile(void)
{
	static const char *const files[] = { "comm", "cmdline", "environ", "limits", "oom_score_adj", "personality", "coredump_filter", "exe",
		"root", "cwd", "ns/mnt", "attr/current", "loginuid", "nothing", "task/nothing", "fd/nothing", "fd/-1", "fd/03", "fd/" };
	const char *file = PICK_OF(files);
	static char text[65536];
	char path[64];
	long n;
	int fd;

	sprintf(path, "/proc/%s/%s", self(), file);
	say("%s", file);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		result(fd);
		return;
	}
	n = read(fd, text, sizeof text);
	close(fd);
	if (n < 0)
		result(n);
	else
		say_data(text, n);
	if (!strcmp(file, "comm") && n > 0)
		say(" %.*s", (int)n - 1, text);
}

/* A name below /proc/self, in every way to look at it. */
static void op_procname(void)
{
	static const char *const files[] = { "exe", "root", "cwd", "fd", "task", "maps", "status", "fd/4", "fd/5", "fdinfo/4", "fd/101", "mounts", "",
		"fdinfo", "fd/6/", "cwd/", "exe/", "root/", "fd/101/..", "cwd/..", "root/..", "fd/7/.", "fd/1023", "fd/1022", "fd/1021" };
	const char *file = PICK_OF(files);
	char path[64], name[PATH_MAX];
	struct stat st;
	long n;

	sprintf(path, "/proc/%s/%s", self(), file);
	say("%s", file);
	if (few_descriptors && !strncmp(file, "exe", 3))	/* needs one: docs/limits.md */
		return;
	if (!result(lstat(path, &st)))
		say(" %o", st.st_mode);
	if (!result(stat(path, &st)))
		say(" %o", S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? st.st_mode : st.st_mode & S_IFMT);
	result(access(path, R_OK));
	result(access(path, X_OK));
	n = readlink(path, name, sizeof name - 1);
	if (n < 0) {
		result(n);
		return;
	}
	name[n] = 0;
	if (features & FEAT_ENVIRON && strcmp(file, "exe")) {
		say(" ");
		say_path(name);
	}
}

static void op_prctl(void)
{
	static const int options[] = { PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_GET_SECCOMP, PR_GET_KEEPCAPS, PR_GET_PDEATHSIG, PR_GET_TIMERSLACK,
		PR_GET_NAME, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE, PR_SET_MM, 9999, PR_SET_SYSCALL_USER_DISPATCH };
	char name[64] = "";
	int option = PICK_OF(options), value = 77;
	unsigned long base = 77;
	long r;

	say("%d", option);
	switch (option) {
	case PR_GET_PDEATHSIG:
	case PR_GET_CHILD_SUBREAPER:
		r = syscall(SYS_prctl, option, &value, 0L, 0L, 0L);
		say(" %d", value);
		break;
	case PR_GET_NAME:
		r = syscall(SYS_prctl, option, name, 0L, 0L, 0L);
		say(" %s", name);
		break;
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_DUMPABLE:
	case PR_SET_MM:
	case PR_SET_SYSCALL_USER_DISPATCH:	/* with what is refused */
		r = syscall(SYS_prctl, option, 99L, 0L, 0L, 0L);
		break;
	default:
		r = syscall(SYS_prctl, option, 0L, 0L, 0L, 0L);
	}
	result(r);
	if (pick(2)) {
		r = syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
		say(" gs %lx %ld", base, r);
	} else {
		syscall(SYS_arch_prctl, ARCH_SET_GS, 0x12345678L);
		syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
		syscall(SYS_arch_prctl, ARCH_SET_GS, 0L);
		say(" gs set %lx", base);
	}
}

const struct op ops_proc[] = {
	{ "status", op_status, 4, 0 },
	{ "fdinfo", op_fdinfo, 5, 0 },
	{ "procstat", op_procstat, 2, 0 },
	{ "procfile", op_procfile, 4, 0 },
	{ "procname", op_procname, 8, 0 },
	{ "prctl", op_prctl, 4, 0 },
	{ 0 }
};
