/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc as programs read it: about themselves and about others.
 * GUEST_WORLDS: view
 */
#include "guest.h"
#include "status.h"
#include <pthread.h>
#include <sys/resource.h>

TEST(exe, "exe: readlink, open and stat of the program, by self and by number")
{
	struct stat a, b;
	char name[64], magic[4] = "";
	int fd;

	STR(link_of("/proc/self/exe"), guest_self);
	snprintf(name, sizeof(name), "/proc/%d/exe", getpid());
	STR(link_of(name), guest_self);
	STR(link_of("/proc/thread-self/exe"), guest_self);
	OK(stat("/proc/self/exe", &a));
	OK(stat(guest_self, &b));
	EQ(a.st_ino, b.st_ino);
	OK(lstat("/proc/self/exe", &a));
	TRUE(S_ISLNK(a.st_mode));
	fd = MUST(open(name, O_RDONLY));
	EQ(read(fd, magic, 4), 4);
	EQ(memcmp(magic, "\177ELF", 4), 0);
	FAILS(open("/proc/self/exe", O_RDONLY | O_NOFOLLOW), ELOOP);
	OK(access("/proc/self/exe", X_OK));
}

TEST(exe_last, "exe without a descriptor left: the program, or EMFILE, and never something else")
{
	struct rlimit few = { 32, 32 };
	struct stat st, program;
	char buf[PATH_MAX];
	int fd;

	OK(stat("/proc/self/exe", &program));
	OK(setrlimit(RLIMIT_NOFILE, &few));
	do
		fd = dup(0);
	while (fd >= 0);
	EQ(errno, EMFILE);
	if (stat("/proc/self/exe", &st))
		EQ(errno, EMFILE);
	else
		EQ(st.st_ino, program.st_ino);
	if (readlink("/proc/self/exe", buf, sizeof(buf)) < 0)
		EQ(errno, EMFILE);
	else
		EQ(strncmp(buf, "/memfd:", 7) != 0, 1);
}

TEST(cwd_root, "cwd and root")
{
	char cwd[PATH_MAX], name[64];

	REQUIRE(getcwd(cwd, sizeof(cwd)));
	STR(link_of("/proc/self/cwd"), cwd);
	snprintf(name, sizeof(name), "/proc/%d/cwd", getpid());
	STR(link_of(name), cwd);
	STR(link_of("/proc/self/root"), "/");
	put("f", "by cwd");
	STR(get("/proc/self/cwd/f"), "by cwd");
	OK(chdir("/"));
	STR(link_of("/proc/self/cwd"), "/");
}

TEST(comm_cmdline, "comm, cmdline; comm can be written")
{
	char want[32];
	const char *line = get("/proc/self/cmdline");

	snprintf(want, sizeof(want), "%.15s\n", strrchr(guest_self, '/') + 1);
	STR(get("/proc/self/comm"), want);
	STR(link_of("/proc/self/exe"), guest_self);
	TRUE(strstr(guest_self, strrchr(line, '/') ? strrchr(line, '/') : line) != NULL);
	put("/proc/self/comm", "renamed");
	STR(get("/proc/self/comm"), "renamed\n");
}

TEST(status, "status: Name, Pid, PPid, Threads, Uid, signal masks without ours")
{
	char want[64];
	sigset_t set;

	snprintf(want, sizeof(want), "%d", getpid());
	STR(status_of("self", "Pid"), want);
	STR(status_of("self", "Tgid"), want);
	snprintf(want, sizeof(want), "%d", getppid());
	STR(status_of("self", "PPid"), want);
	STR(status_of("self", "Threads"), "1");
	snprintf(want, sizeof(want), "%d\t%d\t%d\t%d", getuid(), geteuid(), getuid(), getuid());
	STR(status_of("self", "Uid"), want);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
	STR(status_of("self", "SigBlk"), "0000000000000200");
	STR(status_of("self", "TracerPid"), "0");
}

TEST(stat_line, "stat: pid, name, parent, in the kernel's places")
{
	char name[64], state;
	int pid, parent;

	REQUIRE(sscanf(get("/proc/self/stat"), "%d (%60[^)]) %c %d", &pid, name, &state, &parent) == 4);
	EQ(pid, getpid());
	EQ(parent, getppid());
	EQ(state, 'R');
}

TEST(maps, "maps: the program, its heap and its stack are there")
{
	char line[PATH_MAX + 200], *heap = sbrk(8192);
	bool program = false, heap_seen = false, stack = false;
	unsigned long from, to;
	FILE *f = fopen("/proc/self/maps", "re");

	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		REQUIRE(sscanf(line, "%lx-%lx", &from, &to) == 2);
		program |= strstr(line, guest_self) != NULL;
		heap_seen |= strstr(line, "[heap]") && from <= (unsigned long)heap && (unsigned long)heap < to;
		stack |= strstr(line, "[stack]") && from <= (unsigned long)line && (unsigned long)line < to;
	}
	fclose(f);
	TRUE(program);
	TRUE(heap_seen);
	TRUE(stack);
}

TEST(environ_auxv, "environ and auxv")
{
	const char *env = get("/proc/self/environ");
	int fd = MUST(open("/proc/self/auxv", O_RDONLY));
	unsigned long pair[2];
	bool phdr = false, end = false;

	TRUE(strchr(env, '=') != NULL);
	while (read(fd, pair, sizeof(pair)) == (ssize_t)sizeof(pair)) {
		phdr |= pair[0] == 3;
		end |= pair[0] == 0;
	}
	TRUE(phdr);
	TRUE(end);
}

static void mounts_have(const char *file)
{
	char line[4096];
	bool root = false, proc = false;
	FILE *f = fopen(file, "re");

	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		root |= strstr(line, " / ") != NULL;
		proc |= strstr(line, " /proc ") != NULL;
	}
	fclose(f);
	if (!root)
		FAIL("%s has no /", file);
	if (!proc)
		FAIL("%s has no /proc", file);
}

TEST(mounts, "mounts, mountinfo, mountstats list the kernel's mounts")
{
	mounts_have("/proc/self/mounts");
	mounts_have("/proc/mounts");
	mounts_have("/proc/self/mountinfo");
	if (exists("/etc/mtab"))	/* a small system may lack it */
		mounts_have("/etc/mtab");
	STR(link_of("/proc/mounts"), "self/mounts");
}

TEST(fd_directory, "fd: exactly what is open is listed")
{
	struct dirent *e;
	int listed = 0, real = 0, self;
	DIR *d;

	put("f", "");
	for (int i = 0; i < 5; i++)
		MUST(open("f", O_RDONLY));
	d = opendir("/proc/self/fd");
	REQUIRE(d);
	self = dirfd(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		listed++;
		if (fcntl(atoi(e->d_name), F_GETFD) < 0)
			FAIL("descriptor %s is listed, but not open", e->d_name);
	}
	for (int i = 0; i < 4096; i++)
		real += fcntl(i, F_GETFD) >= 0;
	EQ(listed, real);
	TRUE(self > 2);
}

static void *sleeper(void *p)
{
	char c;

	(void)!read(*(int *)p, &c, 1);
	return NULL;
}

TEST(tasks, "task: one entry per thread")
{
	struct dirent *e;
	int p[2], n = 0;
	pthread_t t;
	DIR *d;

	OK(pipe(p));
	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, sleeper, p);
	d = opendir("/proc/self/task");
	REQUIRE(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	EQ(n, 4);
	STR(status_of("self", "Threads"), "4");
}

TEST(other, "another process's exe, cwd, cmdline, fd")
{
	char name[64], cwd[PATH_MAX], want[PATH_MAX + 8];
	pid_t pid;
	int fd;

	REQUIRE(getcwd(cwd, sizeof(cwd)));
	OK(mkdir("d", 0700));
	put("f", "theirs");
	pid = MUST(fork());
	if (pid == 0) {
		if (chdir("d") < 0 || open("../f", O_RDONLY) < 0)
			_exit(1);
		put("ready", "");
		for (;;)
			pause();
	}
	for (int i = 0; i < 500 && !exists("d/ready"); i++)
		sleep_ms(5);
	snprintf(name, sizeof(name), "/proc/%d/cwd", pid);
	snprintf(want, sizeof(want), "%s/d", cwd);
	STR(link_of(name), want);
	snprintf(name, sizeof(name), "/proc/%d/exe", pid);
	STR(link_of(name), guest_self);
	snprintf(name, sizeof(name), "/proc/%d/fd/3", pid);
	fd = open(name, O_RDONLY);
	if (fd >= 0 && strcmp(get(name), "theirs") != 0 && fcntl(3, F_GETFD) < 0)
		FAIL("%s is not the file", name);
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, NULL, 0));
	FAILS(readlink(name, want, sizeof(want)), ENOENT);
}

TEST(not_ours, "what concerns no process: version, cpuinfo, meminfo, uptime, sys")
{
	TRUE(strncmp(get("/proc/version"), "Linux version ", 14) == 0);
	TRUE(strstr(get("/proc/cpuinfo"), "processor") != NULL);
	TRUE(strncmp(get("/proc/meminfo"), "MemTotal:", 9) == 0);
	TRUE(atof(get("/proc/uptime")) > 0);
	TRUE(strlen(get("/proc/sys/kernel/ostype")) == 6);
	FAILS(open("/proc/999999999/stat", O_RDONLY), ENOENT);
	FAILS(open("/proc/none", O_RDONLY), ENOENT);
}
