/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps that a child takes in other circumstances: few descriptors, small files, another root, another user, nothing
 * to be seen of it in /proc; and what a child by vfork or posix_spawn does before it executes something.
 */
#include "diff.h"
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* ---- circumstances ------------------------------------------------------------------------------------------ */

static void limit_to(int what, rlim_t value)
{
	struct rlimit l = { value, value };

	say(" limit %d %llu", what, (unsigned long long)value);
	result(setrlimit((__rlimit_resource_t)what, &l));
}

static void become(uid_t id)
{
	say(" become %u", id);
	result(syscall(SYS_setgroups, 0L, NULL));
	result(syscall(SYS_setresgid, id, id, id));
	result(syscall(SYS_setresuid, id, id, id));
}

bool root_changed;

/* A new root.  The cwd stays where it is, outside or not. */
static void change_root(unsigned which)
{
	static const char *const roots[] = { "@", "a", "ld", "f0", "nowhere", "a/b/../..", "@/d/" };
	char name[PATH_MAX];

	snprintf(name, sizeof name, "%s%s", *roots[which] == '@' ? root : "", roots[which] + (*roots[which] == '@'));
	say(" chroot %s", roots[which]);
	root_changed |= result(syscall(SYS_chroot, name)) == 0;
}

enum circumstance { FEW_FDS, SMALL_FILES, OTHER_ROOT, OTHER_USER, UNDUMPABLE, OWN_TABLES, OWN_FS, NO_CORE, IDLE_SIGNALS };

static void circumstances(enum circumstance c, unsigned more)
{
	static const unsigned sizes[] = { 0, 100, 4096, 8192 };

	switch (c) {
	case FEW_FDS:
		few_descriptors = true;
		limit_to(RLIMIT_NOFILE, 3 + more % 20);
		break;
	case SMALL_FILES:
		signal(SIGXFSZ, SIG_IGN);
		/* The output is a file, too: 100 bytes are less than it has by now, or it could be less than a view makes of /proc (docs/limits.md). */
		limit_to(RLIMIT_FSIZE, sizes[step_number() < 8 ? more % 4 & 2 : more % 4]);
		break;
	case OTHER_ROOT:
		change_root(more % 7);
		break;
	case OTHER_USER:
		become(65534);
		break;
	case UNDUMPABLE:
		say(" undumpable");
		result(prctl(PR_SET_DUMPABLE, more % 2));
		break;
	case OWN_TABLES:
		say(" unshare files");
		result(syscall(SYS_unshare, CLONE_FILES));
		break;
	case OWN_FS:
		say(" unshare fs");
		result(syscall(SYS_unshare, CLONE_FS | CLONE_SYSVSEM));
		break;
	case NO_CORE:
		limit_to(RLIMIT_CORE, 0);
		limit_to(RLIMIT_NPROC, 100000);
		break;
	case IDLE_SIGNALS:
		signal(SIGUSR1, SIG_IGN);
		say(" name");
		result(prctl(PR_SET_NAME, "renamed"));
		break;
	}
}

static void op_apart(void)
{
	static const enum circumstance all[] = { FEW_FDS, SMALL_FILES, OTHER_ROOT, OTHER_USER, UNDUMPABLE, OWN_TABLES, OWN_FS, NO_CORE,
		IDLE_SIGNALS };
	enum circumstance c = PICK_OF(all);
	unsigned more = pick(140), count = 3 + pick(14);
	int status;
	pid_t pid;

	if ((c == OTHER_USER || c == SMALL_FILES) && !(features & FEAT_USER))
		c = OWN_FS;
	if (c == OTHER_ROOT && (!(features & FEAT_ROOT) || geteuid()))		/* nobody but root may, natively */
		c = NO_CORE;
	if (c == OTHER_USER && root_changed)	/* may perhaps not search the directories above the root: docs/limits.md */
		c = OWN_FS;
	if (c == FEW_FDS && !(features & FEAT_FEWFDS))
		c = OWN_TABLES;
	say("%u steps,", count);
	if (depth_now() > 2) {
		say(" too deep");
		return;
	}
	flush_line();
	pid = fork();
	if (!pid) {
		depth_add(1);
		circumstances(c, more);
		flush_line();
		run_steps(count);
		_exit(7);
	}
	skip_steps(count);
	waitpid(pid, &status, 0);
	say("  back: status %#x", (unsigned)status);
}

/* ---- before an exec ----------------------------------------------------------------------------------------- */

static void add_action(posix_spawn_file_actions_t *actions)
{
	struct upath p;
	int fd, to;

	switch (pick(5)) {
	case 0:
		fd = pick_fd();
		say(" close");
		if (fd >= 0)
			posix_spawn_file_actions_addclose(actions, fd);
		break;
	case 1:
		fd = pick_fd();
		to = 3 + (int)pick(12);
		say(" dup2 %d", to);
		if (fd >= 0)
			posix_spawn_file_actions_adddup2(actions, fd, to);
		break;
	case 2:
		to = 3 + (int)pick(12);
		say(" open %d ", to);
		pick_path(&p);
		if (p.arg == p.text)
			posix_spawn_file_actions_addopen(actions, to, p.text, O_RDONLY | O_CREAT | O_NONBLOCK, 0644);
		break;
	case 3:
		say(" chdir ");
		pick_path(&p);
		if (p.arg == p.text)
			posix_spawn_file_actions_addchdir_np(actions, p.text);
		break;
	case 4:
		fd = pick_fd();
		say(" fchdir");
		if (fd >= 0)
			posix_spawn_file_actions_addfchdir_np(actions, fd);
		break;
	}
	say(",");
}

static void spawn_attributes(posix_spawnattr_t *attr)
{
	static const short flags[] = { 0, POSIX_SPAWN_SETSIGMASK, POSIX_SPAWN_SETSIGDEF, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF,
		POSIX_SPAWN_RESETIDS, POSIX_SPAWN_SETPGROUP, POSIX_SPAWN_SETSID };
	sigset_t set;
	short flag = PICK_OF(flags);

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGSYS);
	posix_spawnattr_init(attr);
	posix_spawnattr_setflags(attr, flag);
	posix_spawnattr_setsigmask(attr, &set);
	posix_spawnattr_setsigdefault(attr, &set);
	say(" flags %#x", (unsigned)flag);
}

/* The program is started by its name in the tree: "@/x" or a script. */
static void op_spawn(void)
{
	static const char *const programs[] = { "x", "s0", "x", "s1", "nowhere", "a" };
	char *argv[] = { "spawned", "1", NULL }, *env[] = { "E=s", NULL };
	posix_spawn_file_actions_t actions;
	unsigned n = pick(4);
	const char *program = PICK_OF(programs);
	char path[PATH_MAX + 16];
	posix_spawnattr_t attr;
	int r, status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	say("%s", program);
	while (n--)
		add_action(&actions);
	spawn_attributes(&attr);
	snprintf(path, sizeof path, "%s/%s", root, program);
	if (program_busy(path)) {
		say(" busy");
	} else {
		flush_line();
		r = posix_spawn(&pid, path, &actions, &attr, argv, env);
		say("  back: %s", r ? strerrorname_np(r) : "0");
		if (!r && waitpid(pid, &status, 0) == pid)
			say(WIFSIGNALED(status) ? " killed" : " status %#x", (unsigned)status);
	}
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
}

/* ---- exec with arguments that are wrong, or too many ---------------------------------------------------------- */

#define MUCH	(140 * 1024)		/* more than one string may have */

static long exec_oddly(unsigned how, const char *path, char *much)
{
	char *good[] = { "odd", NULL }, *bad[] = { "odd", (char *)16, NULL }, *one_big[] = { "odd", much, NULL };
	char *none[] = { NULL }, *empty[] = { "", "", NULL };

	switch (how) {
	case 0: return syscall(SYS_execve, path, NULL, NULL);
	case 1: return syscall(SYS_execve, path, (char *)16, good);
	case 2: return syscall(SYS_execve, path, good, (char *)16);
	case 3: return syscall(SYS_execve, path, bad, NULL);
	case 4: return syscall(SYS_execve, path, good, bad);
	case 5: return syscall(SYS_execve, path, one_big, NULL);
	case 6: return syscall(SYS_execve, path, good, one_big);
	case 7: return syscall(SYS_execve, path, none, none);
	case 8: return syscall(SYS_execve, path, empty, empty);
	case 9: return syscall(SYS_execveat, AT_FDCWD, path, good, good, 0x10000 /* AT_EXECVE_CHECK */);
	case 10: return syscall(SYS_execveat, AT_FDCWD, path, good, good, 0x8000);
	case 11: return syscall(SYS_execveat, -5, path, good, good, AT_EMPTY_PATH);
	default: return syscall(SYS_execve, (char *)16, good, good);
	}
}

static void op_execodd(void)
{
	static const char *const programs[] = { "x", "s0", "s2", "a", "nowhere", "f0", "s1", "f0/x", "sx" };
	unsigned how = pick(13);
	const char *program = PICK_OF(programs);
	char path[PATH_MAX + 16], *much;
	int status;
	pid_t pid;

	snprintf(path, sizeof path, "%s/%s", root, program);
	say("%u %s", how, program);
	if (program_busy(path)) {
		say(" busy");
		return;
	}
	much = malloc(MUCH + 1);
	memset(much, 'm', MUCH);
	much[MUCH] = 0;
	flush_line();
	pid = fork();
	if (!pid) {
		say("  it");
		result(exec_oddly(how, path, much));
		flush_line();
		_exit(99);
	}
	free(much);
	say("  back:");
	if (waitpid(pid, &status, 0) == pid)
		say(WIFSIGNALED(status) ? " killed" : " status %#x", (unsigned)status);
}

const struct op ops_place[] = {
	{ "apart", op_apart, 10, 0 },
	{ "spawn", op_spawn, 6, 0 },
	{ "execodd", op_execodd, 4, 0 },
	{ 0 }
};
