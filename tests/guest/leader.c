/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that are not what /proc/self shows: the first thread has ended while others live on, or a thread has a
 * table of descriptors of its own.
 * GUEST_WORLDS: native view mount bind
 */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>

static pid_t leader;

/* Waits until the first thread is a zombie. */
static void leader_gone(void)
{
	char state = 0;

	for (int i = 0; i < 2000 && state != 'Z'; i++) {
		const char *end = strrchr(get("/proc/thread-self/../../stat"), ')');

		state = end ? end[2] : 0;
		sleep_ms(1);
	}
	EQ(state, 'Z');
}

static void (*body)(void);

static void *other(void *arg)
{
	(void)arg;
	leader_gone();
	body();
	_exit(guest_bad != 0);
}

/* Runs fn in the second thread of a child, after its first has ended. */
static int status_without_leader(void (*fn)(void))
{
	pid_t pid = fork();
	pthread_t t;
	int status = -1;

	if (pid == 0) {
		guest_bad = 0;
		leader = getpid();
		body = fn;
		if (pthread_create(&t, NULL, other, NULL))
			_exit(99);
		pthread_exit(NULL);
	}
	OK(waitpid(pid, &status, 0));
	return status;
}

static void without_leader(void (*fn)(void))
{
	EXITED(status_without_leader(fn), 0);
}

static void use_files(void)
{
	char buf[64], name[64];
	struct stat st;
	int fd, fd2;

	put("f", "text");
	STR(get("f"), "text");
	fd = MUST(open("f", O_RDWR));
	EQ(pwrite(fd, "TEXT", 4, 0), 4);
	OK(fstat(fd, &st));
	EQ(st.st_size, 4);
	fd2 = MUST(dup(fd));
	EQ(read(fd2, buf, 2), 2);
	EQ(lseek(fd, 0, SEEK_CUR), 2);
	OK(close(fd2));
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	REQUIRE(p != MAP_FAILED);
	TRUE(memcmp(p, "TEXT", 4) == 0);
	munmap(p, 4096);
	OK(mkdir("d", 0755));
	OK(rename("f", "d/f"));
	OK(symlink("d/f", "link"));
	STR(get("link"), "TEXT");
	OK(chdir("d"));
	STR(get("f"), "TEXT");
	STR(get("../link"), "TEXT");
	REQUIRE(getcwd(buf, 0) || errno == EINVAL || errno == ERANGE);
	OK(chdir(".."));
	snprintf(name, sizeof(name), "/proc/thread-self/fd/%d", fd);
	STR(get(name), "TEXT");
	DIR *d = opendir("d");
	REQUIRE(d);
	int n = 0;
	while (readdir(d))
		n++;
	EQ(n, 3);
	closedir(d);
	OK(unlink("link"));
}

TEST(files, "files and directories are used as ever")
{
	without_leader(use_files);
}

static void use_processes(void)
{
	int status, p[2];
	char c;
	pid_t pid;

	EQ(getpid(), leader);
	TRUE(gettid() != leader);
	MUST(pipe(p));
	pid = MUST(fork());
	if (pid == 0) {
		put("g", "by a child");
		MUST(write(p[1], "x", 1));
		_exit(guest_bad ? 1 : 7);
	}
	MUST(read(p[0], &c, 1));
	OK(waitpid(pid, &status, 0));
	EXITED(status, 7);
	STR(get("g"), "by a child");
	pid = MUST(vfork());
	if (pid == 0) {
		execl("/bin/true", "true", NULL);
		_exit(90);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

TEST(processes, "fork, vfork and exec of children")
{
	without_leader(use_processes);
}

static volatile sig_atomic_t caught;

static void catch(int sig)
{
	caught = sig;
}

static void *add(void *arg)
{
	return (char *)arg + 1;
}

static void use_signals(void)
{
	struct sigaction sa = { .sa_handler = catch };
	sigset_t usr2;
	pthread_t t;
	void *r;

	OK(sigaction(SIGUSR1, &sa, NULL));
	OK(kill(getpid(), SIGUSR1));
	for (int i = 0; i < 2000 && !caught; i++)
		sleep_ms(1);
	EQ(caught, SIGUSR1);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	OK(sigprocmask(SIG_BLOCK, &usr2, NULL));
	OK(kill(getpid(), SIGUSR2));
	EQ(sigwaitinfo(&usr2, NULL), SIGUSR2);
	REQUIRE(pthread_create(&t, NULL, add, (void *)41) == 0);
	pthread_join(t, &r);
	EQ((long)r, 42);
}

TEST(signals, "signals for the process, new threads")
{
	without_leader(use_signals);
}

HELPER(afterwards)
{
	EQ(getpid(), atoi(argv[0]));
	EQ(gettid(), getpid());
	STR(get("f"), "before exec");
	STR(get(argv[1]), "before exec");
	put("h", "after exec");
	TRUE(access("/proc/self/exe", X_OK) == 0);
	return guest_bad ? 1 : 0;
}

static void use_exec(void)
{
	char pid[16], fd[32];

	put("f", "before exec");
	snprintf(pid, sizeof(pid), "%d", leader);
	snprintf(fd, sizeof(fd), "/proc/self/fd/%d", (int)MUST(open("f", O_RDONLY)));
	execl(guest_self, "x", "--helper", "afterwards", pid, fd, NULL);
	FAIL("exec: %s", strerrorname_np(errno));
}

TEST(program, "exec: the process has a first thread again")
{
	without_leader(use_exec);
	STR(get("h"), "after exec");
}

static void use_sockets(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "s" };
	int s = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), fifo;
	char b;

	OK(bind(s, (void *)&sun, sizeof(sun)));
	OK(listen(s, 1));
	OK(connect(c, (void *)&sun, sizeof(sun)));
	OK(mkfifo("fifo", 0600));
	fifo = MUST(open("fifo", O_RDWR));
	EQ(write(fifo, "x", 1), 1);
	EQ(read(fifo, &b, 1), 1);
}

TEST(sockets, "UNIX sockets and FIFOs by name")
{
	without_leader(use_sockets);
}

static void use_proc(void)
{
	char name[64], link[PATH_MAX] = "";
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/task/%d/comm", gettid());
	STR(get(name), "leader\n");
	n = readlink("/proc/thread-self/exe", link, sizeof(link) - 1);
	TRUE(n > 0);
	STR(link, guest_self);
	n = readlink("/proc/thread-self/cwd", link, sizeof(link) - 1);
	TRUE(n > 0);
	link[n > 0 ? n : 0] = 0;
	STR(link + strlen(link) - 5, "/proc");
	TRUE(strstr(get("/proc/thread-self/maps"), "leader") != NULL);
	TRUE(strstr(get("/proc/thread-self/status"), "Name:\tleader") != NULL);
	STR(get("/proc/self/maps"), "");
}

TEST(proc, "what /proc shows by thread, and of the zombie")
{
	without_leader(use_proc);
}

/* ---- by descriptors ---------------------------------------------------------------------------------- */

static void use_descriptors(void)
{
	char name[64], dir[64];
	int fd, up;
	struct dirent *e;
	DIR *d;

	put("f", "text");
	for (int i = 0; i < 20; i++)		/* numbers that the first thread does not have */
		fd = MUST(open("f", O_RDONLY));
	char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(p != MAP_FAILED);
	TRUE(memcmp(p, "text", 4) == 0);
	snprintf(name, sizeof(name), "/proc/thread-self/fd/%d", fd);
	STR(get(name), "text");
	up = MUST(open("..", O_PATH));
	snprintf(dir, sizeof(dir), "/proc/thread-self/fd/%d", up);
	TRUE(access(dir, F_OK) == 0);
	d = opendir("/proc/thread-self/fd");
	REQUIRE(d);
	while ((e = readdir(d))) {
		int n = atoi(e->d_name);

		if (e->d_name[0] != '.' && fcntl(n, F_GETFD) < 0)
			FAIL("%d is listed", n);
	}
	closedir(d);
}

TEST(descriptors, "mappings, and /proc/thread-self/fd, without a first thread")
{
	without_leader(use_descriptors);
}

HELPER(seven)
{
	return 7;
}

static void use_program(void)
{
	int fd = MUST(open(guest_self, O_RDONLY | O_CLOEXEC)), high = MUST(fcntl(fd, F_DUPFD_CLOEXEC, 50));

	syscall(SYS_execveat, high, "", (char *[]){ "x", "--helper", "seven", NULL }, environ, AT_EMPTY_PATH);
	FAIL("execveat: %s", strerrorname_np(errno));
}

TEST(program_by_descriptor, "execveat of a descriptor, without a first thread")
{
	EXITED(status_without_leader(use_program), 7);
}

/* A directory whose path does not fit into a socket's address. */
static void use_long_path(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "s" };
	int s = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	char name[101];

	memset(name, 'd', 100);
	name[100] = 0;
	for (int i = 0; i < 2; i++) {
		OK(mkdir(name, 0755));
		OK(chdir(name));
	}
	for (int i = 0; i < 20; i++)
		MUST(open(".", O_RDONLY));
	OK(bind(s, (void *)&sun, sizeof(sun)));
	OK(listen(s, 1));
	OK(connect(c, (void *)&sun, sizeof(sun)));
	OK(chdir("../.."));
}

TEST(long_path, "a UNIX socket in a directory with a long path, without a first thread")
{
	without_leader(use_long_path);
}

static void *with_own_table(void *fn)
{
	MUST(unshare(CLONE_FILES));
	((void (*)(void))fn)();
	return NULL;
}

static void in_own_table(void (*fn)(void))
{
	pthread_t t;

	REQUIRE(pthread_create(&t, NULL, with_own_table, (void *)fn) == 0);
	pthread_join(t, NULL);
}

TEST(own_table, "the same in a thread with a table of its own")
{
	in_own_table(use_descriptors);
	in_own_table(use_long_path);
	if (fork() == 0) {
		in_own_table(use_program);
		_exit(90);
	}
	EXITED(({ int s; OK(wait(&s)); s; }), 7);
}
