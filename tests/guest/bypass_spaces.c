/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ways around a mount that change what the process sees: file handles, calls that make mounts, name spaces.
 * GUEST_WORLDS: view mount bind
 *
 * As in bypass.c: each way leads to the file that its name leads to, or is refused.
 */
#include "guest.h"
#include "leads.h"
#include <sched.h>
#include <sys/mount.h>

/* ---- handles, mounts, name spaces ------------------------------------------------------------------------- */

static int by_handle(const char *name)
{
	struct { struct file_handle h; char room[MAX_HANDLE_SZ]; } u = { .h = { .handle_bytes = MAX_HANDLE_SZ } };
	int id, dir;

	if (name_to_handle_at(AT_FDCWD, name, &u.h, &id, 0) < 0)
		return -1;
	dir = open(".", O_RDONLY);
	return open_by_handle_at(dir, &u.h, O_RDONLY);
}

TEST(handles, "file handles")
{
	struct { struct file_handle h; char room[8]; } none = { .h = { .handle_bytes = 8, .handle_type = 1 } };

	start();
	LEADS_OR_REFUSED(by_handle("f"));
	TRUE(open_by_handle_at(open("/", O_RDONLY), &none.h, O_RDONLY) < 0);
}

/* In a child, as what it does may be for good.  It ends with the number of checks that failed. */
#define IN_CHILD(fn)	EXITED(in_child(fn, NULL), 0)

static long in_tree(const char *dir, unsigned flags, const char *name)
{
	long tree = syscall(SYS_open_tree, AT_FDCWD, dir, flags);

	return tree < 0 ? tree : openat((int)tree, name, O_RDONLY);
}

static void new_mounts(void *arg MAYBE)
{
	int fs, mnt;

	LEADS_OR_REFUSED(in_tree(".", 0, "f"));
	LEADS_OR_REFUSED(in_tree("/", 0, strcat(here, "/f") + 1));
	here[strlen(here) - 2] = 0;
	LEADS_OR_REFUSED(in_tree(".", 1 /* OPEN_TREE_CLONE */, "f"));
	/* into a place of its own only, or else this would change the machine */
	if (unshare(CLONE_NEWNS) < 0) {
		TRUE(refusal(errno));
		return;
	}
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	fs = (int)syscall(SYS_fsopen, "tmpfs", 0);
	TRUE(fs >= 0 || refusal(errno));
	if (fs >= 0 && syscall(SYS_fsconfig, fs, 6 /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) == 0) {
		mnt = (int)syscall(SYS_fsmount, fs, 0, 0);
		TRUE(mnt >= 0 || refusal(errno));
	}
	LEADS(opened("%s/f", here));
}

TEST(mount_calls, "open_tree, fsopen and the rest lead to what is mounted, or are refused")
{
	char buf[512];
	uint64_t none[8] = { 24 };

	start();
	IN_CHILD(new_mounts);
	/* never 0: what they are given does not make sense anywhere */
	TRUE(syscall(SYS_move_mount, -1, "", -1, "", 0) < 0);
	TRUE(syscall(SYS_mount_setattr, -1, "f", 0, buf, 0) < 0);
	TRUE(syscall(SYS_fspick, -1, "f", 0) < 0);
	TRUE(syscall(SYS_fsmount, -1, 0, 0) < 0);
	TRUE(syscall(457 /* statmount */, none, buf, sizeof(buf), 0) < 0);
	LEADS(open("f", O_RDONLY));
}

static void own_mounts(void *arg MAYBE)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
		TRUE(refusal(errno) || errno == ENOSPC || errno == EINVAL);
		return;
	}
	LEADS(opened("%s/f", here));
	LEADS(opened("f"));
}

static void others_mounts(void *arg MAYBE)
{
	int ns = open("/proc/self/ns/mnt", O_RDONLY), self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	TRUE(ns >= 0 && (setns(ns, CLONE_NEWNS) == 0 || refusal(errno)));
	TRUE(setns(self, CLONE_NEWNS) == 0 || refusal(errno));
	LEADS(opened("%s/f", here));
}

static void new_root(void *arg MAYBE)
{
	TRUE(syscall(SYS_pivot_root, "d", "d/e") < 0);
	LEADS(opened("%s/f", here));
	if (chroot("d") < 0) {
		TRUE(refusal(errno));
		return;
	}
	LEADS(opened("/f"));
	LEADS(opened("/e/../../../f"));
	OK(chdir("/"));
	LEADS(opened("../f"));
}

TEST(name_spaces, "unshare, setns, pivot_root and chroot")
{
	start();
	IN_CHILD(own_mounts);
	IN_CHILD(others_mounts);
	IN_CHILD(new_root);
}

/* Other name spaces do not concern files: all works in them. */
static void in_user_space(void *arg)
{
	long flags = (long)arg;

	if (unshare(CLONE_NEWUSER | (int)flags) < 0)
		return;
	if (flags & CLONE_NEWPID) {
		pid_t pid = fork();
		int status;

		if (pid) {
			OK(waitpid(pid, &status, 0));
			EXITED(status, 0);
			return;
		}
		guest_bad = 0;
		EQ(getpid(), 1);
	}
	LEADS(opened("f"));
	put("g", TEXT);
	LEADS(opened("%s/g", here));
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			put("h", TEXT);
			_exit(guest_bad != 0);
		}
		int status = -1;
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
	}
	LEADS(opened("h"));
	if (flags & CLONE_NEWPID)
		_exit(guest_bad != 0);
}

TEST(user_spaces, "in a user name space, and in ones of processes, names and networks, files are where they were")
{
	static const long flags[] = { 0, CLONE_NEWPID, CLONE_NEWUTS | CLONE_NEWIPC, CLONE_NEWNET };

	start();
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		EXITED(in_child(in_user_space, (void *)flags[i]), 0);
}

#define NEIGHBOURS 40

/* Reads and writes a file of its own until somebody makes "stop"; it must never find another's. */
static void own_file(int number)
{
	char name[16], text[32];

	snprintf(name, sizeof(name), "own%d", number);
	snprintf(text, sizeof(text), "the file of %d", number);
	put(name, text);
	for (; !guest_bad && !exists("stop"); sleep_ms(1))	/* the others are to be born, too */
		STR(get(name), text);
	_exit(guest_bad != 0);
}

/* A process that does nothing but take a number. */
static pid_t number(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	waitpid(MUST(pid), NULL, 0);
	return pid;
}

/* Process ids are given in a row: those whose remainder is small are the numbers that the space within will have. */
static int neighbours(void)
{
	int n = 0, last = 1000;
	pid_t pid;

	for (int i = 0; i < 2100 && n < NEIGHBOURS / 2; i++, last = pid % 1024) {
		if (last > NEIGHBOURS && last < 1000) {
			pid = number();
			continue;
		}
		pid = MUST(fork());
		if (pid == 0 && getpid() % 1024 <= NEIGHBOURS)
			own_file(1000 + getpid());
		if (pid == 0)
			_exit(0);
		if (pid % 1024 <= NEIGHBOURS)
			n++;
		else
			waitpid(pid, NULL, 0);
	}
	return n;
}

static void crowd_within(void *arg MAYBE)
{
	int status;

	if (unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
		return;
	pid_t first = MUST(fork());
	if (first == 0) {
		guest_bad = 0;
		EQ(getpid(), 1);
		for (int i = 0; i < NEIGHBOURS; i++)
			if (MUST(fork()) == 0)
				own_file(i);
		sleep_ms(700);
		put("stop", "");
		while (wait(&status) > 0)
			EXITED(status, 0);
		_exit(guest_bad != 0);
	}
	OK(waitpid(first, &status, 0));
	EXITED(status, 0);
}

TEST(same_numbers, "processes of two spaces have the same numbers, at the same time, and files of their own")
{
	int status;

	start();
	if (neighbours() == 0)
		SKIP("process ids are not given in a row");
	EXITED(in_child(crowd_within, NULL), 0);
	put("stop", "");
	while (wait(&status) > 0)
		EXITED(status, 0);
}
