/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fd, fdinfo, cwd in /proc: our own and another process's; opening files through them.
 * GUEST_WORLDS: view mount bind cow bindcow cowmount cowbind cowcow merge
 */
#include "guest.h"
#include <pthread.h>
#include <sys/sysmacros.h>
#include <linux/openat2.h>

#define FDS 1100

static const char *name_of(pid_t pid, const char *what, int fd)
{
	static char names[4][80];
	static int turn;
	char *s = names[turn++ & 3];

	if (fd < 0)
		snprintf(s, sizeof(names[0]), "/proc/%d/%s", pid, what);
	else
		snprintf(s, sizeof(names[0]), "/proc/%d/%s/%d", pid, what, fd);
	return s;
}

/* Marks what a directory of descriptors lists; but not the one it is read by. */
static int listed(const char *directory, bool is_open[FDS])
{
	struct dirent *e;
	DIR *d = opendir(directory);
	int n = 0;

	REQUIRE(d);
	memset(is_open, 0, FDS);
	while ((e = readdir(d))) {
		int fd = atoi(e->d_name);

		if (e->d_name[0] == '.')
			continue;
		REQUIRE(fd >= 0 && fd < FDS);
		is_open[fd] = true;
		n++;
	}
	closedir(d);
	return n;
}

/* A child with a few things open, which waits; what it has open, by its own account, is in `is_open`. */
struct child {
	pid_t pid;
	int deep, file, directory;
	bool is_open[FDS];
};

static struct child *with_child(int flags)
{
	struct child *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ready[2], block[2];
	char byte;
	pid_t pid;

	REQUIRE(c != MAP_FAILED);
	OK(mkdir("d", 0755));
	put("d/file", "0123456789");
	OK(pipe(ready));
	OK(pipe(block));
	pid = MUST(fork());
	if (pid == 0) {
		c->file = open("d/file", flags);
		c->directory = open("d", O_RDONLY | O_DIRECTORY);
		c->deep = fcntl(c->file, F_DUPFD, 700);
		close(block[1]);
		if (chdir("d") < 0 || lseek(c->file, 4, SEEK_SET) != 4)
			_exit(1);
		for (int i = 0; i < FDS; i++)
			c->is_open[i] = fcntl(i, F_GETFD) >= 0;
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		(void)!read(block[0], &byte, 1);
		_exit(0);
	}
	EQ(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	close(block[0]);
	c->pid = pid;
	return c;
}

static void end_child(struct child *c)
{
	OK(kill(c->pid, SIGKILL));
	OK(waitpid(c->pid, NULL, 0));
}

static void same_set(const struct child *c, const char *what)
{
	bool seen[FDS];
	struct stat st;
	int n = listed(name_of(c->pid, what, -1), seen), want = 0;

	for (int i = 0; i < FDS; i++) {
		want += c->is_open[i];
		if (seen[i] != c->is_open[i])
			FAIL("%s of the child: %d is %slisted", what, i, seen[i] ? "" : "not ");
		if ((lstat(name_of(c->pid, what, i), &st) == 0) != c->is_open[i])
			FAIL("%s of the child: %d can%s be found", what, i, seen[i] ? "not" : "");
	}
	EQ(n, want);
}

TEST(lists, "fd and fdinfo of another process list exactly what it has open")
{
	struct child *c = with_child(O_RDONLY);
	bool seen[FDS];
	struct stat st;

	same_set(c, "fd");
	same_set(c, "fdinfo");
	OK(stat(name_of(c->pid, "fd", -1), &st));
	if (st.st_size)		/* Linux 6.2 */
		EQ(st.st_size, listed(name_of(c->pid, "fd", -1), seen));
	end_child(c);
}

TEST(own_lists, "fd and fdinfo of our own, also by task and thread-self")
{
	static const char *const names[] = { "/proc/self/fd", "/proc/self/fdinfo", "/proc/thread-self/fd",
					     "/proc/thread-self/fdinfo", "/dev/fd" };
	bool is_open[FDS], seen[FDS];
	struct stat st;
	char name[80];
	int n = 0, reader;

	put("f", "");
	MUST(open("f", O_RDONLY));
	for (int fd = 0; fd < FDS; fd++)
		n += is_open[fd] = fcntl(fd, F_GETFD) >= 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		reader = MUST(dup(0));	/* where the directory will be open */
		close(reader);
		EQ(listed(names[i], seen), n + 1);
		for (int fd = 0; fd < FDS; fd++)
			EQ(seen[fd], is_open[fd] || fd == reader);
	}
	OK(stat("/proc/self/fd", &st));
	if (st.st_size)
		EQ(st.st_size, n);
	for (int fd = 0; fd < FDS; fd++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		EQ(lstat(name, &st) == 0, is_open[fd]);
		snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
		EQ(access(name, F_OK) == 0, is_open[fd]);
	}
}

TEST(links, "fd/N of another process: the path of the file, also when it is gone; cwd")
{
	struct child *c = with_child(O_RDONLY);
	char cwd[PATH_MAX], want[PATH_MAX + 32];
	struct stat a, b;

	REQUIRE(getcwd(cwd, sizeof(cwd)));
	snprintf(want, sizeof(want), "%s/d/file", cwd);
	STR(link_of(name_of(c->pid, "fd", c->file)), want);
	STR(link_of(name_of(c->pid, "fd", c->deep)), want);
	OK(stat(name_of(c->pid, "fd", c->file), &a));
	OK(stat("d/file", &b));
	EQ(a.st_ino, b.st_ino);
	EQ(a.st_dev, b.st_dev);
	snprintf(want, sizeof(want), "%s/d", cwd);
	STR(link_of(name_of(c->pid, "fd", c->directory)), want);
	STR(link_of(name_of(c->pid, "cwd", -1)), want);
	snprintf(want, sizeof(want), "%s/file", name_of(c->pid, "cwd", -1));
	STR(get(want), "0123456789");
	snprintf(want, sizeof(want), "%s/../d/file", name_of(c->pid, "fd", c->directory));
	STR(get(want), "0123456789");
	snprintf(want, sizeof(want), "/proc/%d/task/%d/cwd/file", c->pid, c->pid);
	STR(get(want), "0123456789");
	end_child(c);
}

TEST(gone, "fd/N of a file that has been removed")
{
	struct child *c = with_child(O_RDONLY);
	char cwd[PATH_MAX], want[PATH_MAX + 32];

	if (on_fuse())
		SKIP("a server may keep a removed file under another name");
	REQUIRE(getcwd(cwd, sizeof(cwd)));
	OK(unlink("d/file"));
	snprintf(want, sizeof(want), "%s/d/file (deleted)", cwd);
	STR(link_of(name_of(c->pid, "fd", c->file)), want);
	end_child(c);
}

TEST(reopen, "a file opened through fd/N of another process is open anew, with an offset of its own")
{
	struct child *c = with_child(O_RDWR);
	char buf[16] = "";
	int fd = MUST(open(name_of(c->pid, "fd", c->file), O_RDWR));

	EQ(lseek(fd, 0, SEEK_CUR), 0);
	EQ(read(fd, buf, 3), 3);
	STR(buf, "012");
	EQ(pwrite(fd, "XY", 2, 8), 2);
	STR(get("d/file"), "01234567XY");
	STR(get(name_of(c->pid, "fd", c->deep)), "01234567XY");
	FAILS(open(name_of(c->pid, "fd", c->file), O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open(name_of(c->pid, "fd", c->file), O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(open(name_of(c->pid, "fd", 699), O_RDONLY), ENOENT);
	close(fd);
	end_child(c);
}

TEST(reopen_own, "our own file through /proc/self/fd, /dev/fd, O_PATH")
{
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_NO_MAGICLINKS };
	char name[64], buf[8] = "";
	int fd, path;

	put("f", "content");
	fd = MUST(open("f", O_RDONLY));
	EQ(read(fd, buf, 3), 3);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	STR(get(name), "content");
	EQ(syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof(how)), -1);
	EQ(errno, ELOOP);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	STR(get(name), "content");
	path = MUST(open("f", O_PATH));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
	STR(get(name), "content");
	OK(dup2(fd, 0));
	STR(get("/dev/stdin"), "content");
}

/* A number in fdinfo, in base 8 for flags. */
static long long info(const char *file, const char *key)
{
	const char *s = strstr(get(file), key);

	return s ? strtoll(s + strlen(key) + 2, NULL, strcmp(key, "flags") ? 10 : 8) : -1;
}

static bool mount_listed(long long id)
{
	char line[4096];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		found |= atoll(line) == id;
	fclose(f);
	return found;
}

TEST(fdinfo, "fdinfo: offset, flags, mount and inode, our own and another process's")
{
	struct child *c = with_child(O_RDWR | O_APPEND | O_NONBLOCK);
	struct stat st;
	const char *name;
	int fd;

	OK(stat("d/file", &st));
	name = name_of(c->pid, "fdinfo", c->file);
	EQ(info(name, "pos"), 4);
	EQ(info(name, "flags") & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_CLOEXEC), O_RDWR | O_APPEND | O_NONBLOCK);
	TRUE(mount_listed(info(name, "mnt_id")));
	if (info(name, "ino") != -1)	/* Linux 5.14 */
		EQ(info(name, "ino"), st.st_ino);
	fd = MUST(open("d/file", O_RDONLY | O_CLOEXEC));
	EQ(lseek(fd, 7, SEEK_SET), 7);
	name = name_of(getpid(), "fdinfo", fd);
	EQ(info(name, "pos"), 7);
	EQ(info(name, "flags"), fcntl(fd, F_GETFL) | O_CLOEXEC);
	TRUE(mount_listed(info(name, "mnt_id")));
	OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	OK(fcntl(fd, F_SETFD, 0));
	EQ(info(name, "flags"), fcntl(fd, F_GETFL));
	EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EQ(strncmp(get(name), "pos:\t7\nflags:\t0", 15), 0);
	TRUE(strstr(get(name), "lock:") == NULL);
	end_child(c);
}

static void *open_in_thread(void *arg)
{
	char name[96];
	int fd = *(int *)arg;

	snprintf(name, sizeof(name), "/proc/%ld/fd/%d", syscall(SYS_gettid), fd);
	STR(get(name), "content");
	snprintf(name, sizeof(name), "/proc/thread-self/fd/%d", fd);
	STR(get(name), "content");
	snprintf(name, sizeof(name), "/proc/%d/task/%ld/fd/%d", getpid(), syscall(SYS_gettid), fd);
	STR(get(name), "content");
	return NULL;
}

TEST(threads, "fd/N by a thread's number, by thread-self, by task")
{
	char name[96];
	pthread_t t;
	int fd;

	put("f", "content");
	fd = MUST(open("f", O_RDONLY));
	EQ(pthread_create(&t, NULL, open_in_thread, &fd), 0);
	pthread_join(t, NULL);
	snprintf(name, sizeof(name), "/proc/%d/task/%d/fd/%d", getpid(), getpid(), fd);
	STR(get(name), "content");
}

TEST(over_exec, "fd/N and fdinfo of a child that has executed another program")
{
	char *const argv[] = { "/bin/cat", NULL };
	int in[2], fd;
	char exe[PATH_MAX];
	pid_t pid;

	REQUIRE(realpath("/bin/cat", exe));
	put("f", "content");
	OK(pipe(in));
	fd = MUST(open("f", O_RDONLY));
	EQ(lseek(fd, 2, SEEK_SET), 2);
	pid = MUST(fork());
	if (pid == 0) {
		dup2(in[0], 0);
		close(in[1]);
		execv(argv[0], argv);
		_exit(1);
	}
	for (int i = 0; i < 1000 && strcmp(get(name_of(pid, "comm", -1)), "cat\n"); i++)
		sleep_ms(5);
	for (int i = 0; i < 400 && strcmp(link_of(name_of(pid, "exe", -1)), exe); i++)
		sleep_ms(5);
	STR(link_of(name_of(pid, "exe", -1)), exe);
	STR(get(name_of(pid, "fd", fd)), "content");
	EQ(info(name_of(pid, "fdinfo", fd), "pos"), 2);
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, NULL, 0));
}

TEST(not_searched, "what lies above a directory does not matter to who goes on from its descriptor, in a child by vfork either")
{
	char name[64];
	struct stat st;
	int d, status;

	OK(mkdir("p", 0700));
	OK(mkdir("p/t", 0700));
	put("p/t/f", "content");
	d = MUST(open("p/t", O_RDONLY));
	OK(chmod("p", 0600));
	snprintf(name, sizeof name, "/proc/self/fd/%d/f", d);
	OK(stat(name, &st));
	for (int i = 0; i < 2; i++) {
		pid_t pid = i ? vfork() : fork();

		if (pid == 0)
			_exit(stat(name, &st) ? errno : 0);
		OK(waitpid(pid, &status, 0));
		EXITED(status, 0);
	}
	OK(chmod("p", 0700));
}

TEST(newborn, "cwd of a child that is just becoming itself")
{
	char here[PATH_MAX];

	TRUE(getcwd(here, sizeof here) != NULL);
	for (int i = 0; i < 1500 && !guest_bad; i++) {
		pid_t pid = MUST(fork());

		if (pid == 0) {
			pause();
			_exit(0);
		}
		for (volatile int wait = i % 300 * 200; wait; wait--)
			;
		STR(link_of(name_of(pid, "cwd", -1)), here);
		OK(kill(pid, SIGKILL));
		OK(waitpid(pid, NULL, 0));
	}
}

TEST(not_allowed, "what belongs to root is not shown to others")
{
	if (geteuid() == 0)
		SKIP("root may see everything");
	FAILS(open("/proc/1/fd", O_RDONLY | O_DIRECTORY), EACCES);
	FAILS(open("/proc/1/maps", O_RDONLY), EACCES);
	FAILS(readlink("/proc/1/exe", (char[8]){ 0 }, 8), EACCES);
	FAILS(readlink("/proc/1/cwd", (char[8]){ 0 }, 8), EACCES);
	FAILS(readlink("/proc/1/fd/0", (char[8]){ 0 }, 8), EACCES);
	TRUE(strncmp(get("/proc/1/status"), "Name:\t", 6) == 0);
}
