/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SIGKILL at any instant: processes that hammer files are killed, and afterwards everything works for
 * the others: nothing is locked, nothing half done is seen.  On a mounted image e2fsck looks at what is left: a
 * server's own tables go wrong, and then its disk, when it is sent requests side by side that the kernel would not send so
 * (src/kernel/fs/fuse_mutex.c).
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <sys/uio.h>

static unsigned seed = 12345;

static unsigned chance(unsigned below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 12) % below;
}

/* One round of everything that changes or looks at files, in the working directory. */
static void hammer_once(int me, int i)
{
	char a[64], b[64], buf[512];
	struct stat st;
	int fd;

	snprintf(a, sizeof(a), "h%d.%d", me, i % 5);
	snprintf(b, sizeof(b), "g%d.%d", me, i % 3);
	fd = open(a, O_RDWR | O_CREAT, 0644);
	if (fd >= 0) {
		if (write(fd, a, strlen(a)) < 0 || pread(fd, buf, sizeof(buf), 0) < 0 || ftruncate(fd, 100) < 0)
			errno = 0;
		fd = dup2(fd, 200);
		close(fd);
	}
	rename(a, b);
	symlink(b, a);
	stat(a, &st);
	if (readlink(a, buf, sizeof(buf)) < 0)
		errno = 0;
	unlink(a);
	mkdir("shared", 0755);
	rmdir("shared");
	stat("/etc/passwd", &st);
	DIR *d = opendir(".");
	while (d && readdir(d))
		;
	if (d)
		closedir(d);
}

static void check_world(int round)
{
	char name[32], other[40];

	snprintf(name, sizeof(name), "check%d", round);
	snprintf(other, sizeof(other), "%s.moved", name);
	OK(mkdir(name, 0755));
	OK(rename(name, other));
	OK(rmdir(other));
	put(name, "content");
	OK(rename(name, other));
	STR(get(other), "content");
	OK(unlink(other));
	TRUE(!exists(other));
	TRUE(exists("/etc/passwd"));
}

static void reap_killed(pid_t pid)
{
	int status;

	OK(waitpid(pid, &status, 0));
	SIGNALED(status, SIGKILL);
}

TEST(processes, "96 processes that hammer files are killed at random instants, the world works on")
{
	pid_t pids[12];

	for (int round = 0; round < 8; round++) {
		for (int i = 0; i < 12; i++) {
			pids[i] = MUST(fork());
			for (int k = 0; pids[i] == 0; k++)
				hammer_once(i, k);
		}
		for (int i = 0; i < 12; i++) {
			usleep(chance(4000));
			OK(kill(pids[i], SIGKILL));
		}
		for (int i = 0; i < 12; i++)
			reap_killed(pids[i]);
		check_world(round);
	}
}

/* A few names, here and in two directories that come and go themselves. */
static const char *some_name(char *buf)
{
	static const char *const places[] = { "", "", "d0/", "d1/" };

	if (chance(5))
		sprintf(buf, "%sn%u", places[chance(4)], chance(5));
	else
		sprintf(buf, "d%u", chance(2));
	return buf;
}

static void write_some(const char *name)
{
	char data[4096] = "";
	int fd = open(name, O_RDWR | O_CREAT, 0644);
	long r;

	if (fd < 0)
		return;
	r = write(fd, data, chance(sizeof data));
	if (!chance(3))
		usleep(chance(500));
	r |= ftruncate(fd, chance(9000)) | write(fd, data, chance(sizeof data));
	errno = r < 0;
	close(fd);
}

static int list(const char *name)
{
	DIR *d = opendir(name);

	while (d && readdir(d))
		;
	return d ? closedir(d) : -1;
}

static void move_once(void)
{
	char from[16], to[16];
	struct stat st;
	int r = 0;

	some_name(from);
	some_name(to);
	switch (chance(10)) {
	case 0: case 1: write_some(from); break;
	case 2: case 3: r = rename(from, to); break;
	case 4: r = symlink(to, from) | link(from, to); break;
	case 5: r = unlink(from) | truncate(to, chance(9000)); break;
	case 6: r = mkdir(from, 0755); break;
	case 7: r = rmdir(from); break;
	case 8: r = stat(from, &st) | lstat(to, &st); break;
	case 9: r = list(chance(2) ? "." : "d0"); break;
	}
	errno = r;
}

TEST(moving, "120 processes that move, open and remove the same few names are killed")
{
	pid_t pids[12] = { 0 };

	for (unsigned k = 0; k < 120; k++) {
		unsigned i = k % 12;

		if (pids[i]) {
			usleep(chance(6000));
			OK(kill(pids[i], SIGKILL));
			reap_killed(pids[i]);
		}
		seed++;
		pids[i] = MUST(fork());
		while (pids[i] == 0)
			move_once();
	}
	for (int i = 0; i < 12; i++) {
		OK(kill(pids[i], SIGKILL));
		reap_killed(pids[i]);
	}
	check_world(0);
}

static void *hammer_thread(void *arg)
{
	for (int k = 0;; k++)
		hammer_once((int)(long)arg, k);
	return NULL;
}

TEST(threads, "processes of five threads each are killed")
{
	for (int round = 0; round < 20; round++) {
		pid_t pid = MUST(fork());
		if (pid == 0) {
			pthread_t thread;
			for (long i = 0; i < 4; i++)
				pthread_create(&thread, NULL, hammer_thread, (void *)i);
			hammer_thread((void *)9L);
		}
		usleep(2000 + chance(8000));
		OK(kill(pid, SIGKILL));
		reap_killed(pid);
		check_world(round);
	}
}

TEST(starters, "processes that fork and exec all the time are killed, with what they started")
{
	for (int round = 0; round < 20; round++) {
		pid_t pid = MUST(fork());
		if (pid == 0) {
			setpgid(0, 0);
			for (;;) {
				pid_t child = fork();
				if (child == 0) {
					execl("/bin/true", "true", NULL);
					_exit(1);
				}
				waitpid(child, NULL, 0);
			}
		}
		setpgid(pid, pid);
		usleep(1000 + chance(9000));
		OK(kill(-pid, SIGKILL));
		reap_killed(pid);
		check_world(round);
	}
}

/* ---- children that share our memory ---------------------------------------------------------------- */

static volatile pid_t *victim;		/* shared with the killer */

/* A process that kills whoever writes its number to *victim, after a moment. */
static pid_t start_killer(void)
{
	victim = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE((void *)victim != MAP_FAILED);
	pid_t pid = MUST(fork());
	while (pid == 0) {
		pid_t who = *victim;
		if (who) {
			usleep(chance(900));
			*victim = 0;		/* before the next one can have written it */
			kill(who, SIGKILL);
		}
		usleep(50);
	}
	return pid;
}

/* Only bare calls: the memory is shared with the parent. */
static _Noreturn void hammer_bare(void)
{
	struct stat st;
	char buf[256];

	*victim = (pid_t)syscall(SYS_getpid);
	for (;;) {
		long fd = syscall(SYS_openat, AT_FDCWD, "f", O_RDWR | O_CREAT, 0644);
		syscall(SYS_newfstatat, AT_FDCWD, "f", &st, 0);
		syscall(SYS_getcwd, buf, sizeof(buf));
		syscall(SYS_dup2, fd, 150);
		syscall(SYS_pread64, 150, buf, 10, 0);
		syscall(SYS_chdir, ".");
		syscall(SYS_close, 150);
		syscall(SYS_close, fd);
	}
}

static void kill_vfork_child(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		hammer_bare();
	REQUIRE(pid > 0);
	reap_killed(pid);
}

TEST(vforked, "300 children by vfork are killed while they work in our memory: we go on")
{
	pid_t killer = start_killer();

	put("f", "0123456789");
	for (int i = 0; i < 300; i++) {
		kill_vfork_child();
		STR(get("f"), "0123456789");
		put("g", "x");
		if (guest_bad)
			break;
	}
	kill(killer, SIGKILL);
	reap_killed(killer);
	check_world(0);
}

static int clone_body(void *arg)
{
	(void)arg;
	hammer_bare();
}

TEST(cloned, "200 children by CLONE_VM are killed while they and we work at the same time")
{
	pid_t killer = start_killer();
	char *stack = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	put("f", "0123456789");
	for (int i = 0; i < 200; i++) {
		pid_t pid = MUST(clone(clone_body, stack + (1 << 16), CLONE_VM | SIGCHLD | (i & 1 ? CLONE_FILES : 0), NULL));
		int status;
		do {
			char buf[16];
			int fd = open("f", O_RDONLY);
			EQ(pread(fd, buf, 16, 0), 10);
			OK(close(fd));
			put("g", "x");
		} while (waitpid(pid, &status, WNOHANG) == 0);
		SIGNALED(status, SIGKILL);
		if (i & 1) {	/* what it left open in our table */
			close(150);
			for (int fd = 3; fd < 20; fd++)
				close(fd);
		}
		if (guest_bad)
			break;
	}
	kill(killer, SIGKILL);
	reap_killed(killer);
	check_world(0);
}
