/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first program of a view: the monitor started the agent with a command, which is looked up as
 * execvp(3) does, in the view.  What fails is said on standard error, with the status that env(1) uses.
 */
#include "exec.h"
#include "../kernel/path.h"
#include <linux/fcntl.h>

static const char *environment(char **envp, const char *name)
{
	size_t n = strlen(name);
	for (; *envp; envp++)
		if (!strncmp(*envp, name, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

static const char *error_text(long e)
{
	switch (e) {
	case -ENOENT: return "no such file or directory";
	case -EACCES: return "permission denied";
	case -ENOEXEC: return "not a program for this machine (exec format error)";
	case -ENOTDIR: return "not a directory";
	case -ELOOP: return "too many levels of symbolic links or interpreters";
	case -E2BIG: return "argument list too long";
	case -ENOMEM: return "out of memory";
	case -ELIBBAD: return "its interpreter is broken";
	case -ENOTCONN: return "the server of its file system is dead";
	default: return "cannot be executed";
	}
}

/* What execvp(3) does with a text file that is no `#!` script. */
static long try_shell(struct task *t, const char *path, char **argv, char **envp)
{
	char *args[64] = { "/bin/sh", (char *)path };
	int n = 2;

	for (char **a = argv + 1; *argv && *a && n < 63; a++)
		args[n++] = *a;
	args[n] = NULL;
	return exec_program(t, AT_FDCWD, (gaddr)"/bin/sh", (gaddr)args, (gaddr)envp, 0);
}

static bool looks_binary(const char *path)
{
	char head[4] = { 0 };
	long fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return true;
	long n = raw_syscall(__NR_read, fd, head, 4);
	raw_syscall(__NR_close, fd);
	for (long i = 0; i < n; i++)
		if (!head[i] || head[i] == 0x7f)
			return true;
	return false;
}

static long try_one(struct task *t, const char *path, char **argv, char **envp)
{
	long r = exec_program(t, AT_FDCWD, (gaddr)path, (gaddr)argv, (gaddr)envp, 0);
	if (r == -ENOEXEC && !looks_binary(path))
		r = try_shell(t, path, argv, envp);
	return r;
}

static long try_path(struct task *t, const char *name, char **argv, char **envp)
{
	const char *path = environment(envp, "PATH"), *end;
	char full[UM_PATH_MAX];
	long result = -ENOENT;

	for (path = path ? path : "/bin:/usr/bin"; path; path = *end ? end + 1 : NULL) {
		end = strchr(path, ':');
		if (!end)
			end = path + strlen(path);
		int n = text_format(full, sizeof full, "%.*s%s%s", (int)(end - path), path,
				    end > path ? "/" : "", name);
		if (n >= (int)sizeof full)
			continue;
		long r = try_one(t, full, argv, envp);
		if (r != -ENOENT && r != -ENOTDIR && r != -EACCES)
			return r;
		if (r == -EACCES)
			result = r;
	}
	return result;
}

/* The directory we were started in may be another one in the view.  If it is not there at all, we stay where we are. */
static void enter_view(struct task *t)
{
	char path[UM_PATH_MAX];
	struct where w;
	long r = view_is_empty(t) ? 0 : raw_syscall(__NR_getcwd, path, sizeof path);

	if (r <= 0 || path[0] != '/')
		return;
	r = where_begin_path(&w, t, AT_FDCWD, path, WHERE_VERIFY);
	while (where_next(&w, &r))
		r = w.fs->chdir(&w);
	where_end(&w, r);
}

_Noreturn void exec_first(struct task *t, char **argv, char **envp)
{
	enter_view(t);
	const char *name = argv[0] ? argv[0] : "";
	long r = strchr(name, '/') ? try_one(t, name, argv, envp) : *name ? try_path(t, name, argv, envp) : -ENOENT;
	char line[UM_PATH_MAX + 128];
	int n = text_format(line, sizeof line, "umview: %s: %s\n", name, error_text(r));

	raw_syscall(__NR_write, 2, line, n < (int)sizeof line ? n : (int)sizeof line - 1);
	int status = r == -ENOENT || r == -ENOTDIR ? 127 : 126;
	for (;;)
		raw_syscall(__NR_exit_group, status);
}
