/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes whose first thread has ended while others live on: /proc/self is a zombie then.
 * GUEST_WORLDS: native view mount bind
 */
#include "guest.h"
#include <pthread.h>
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
static void without_leader(void (*fn)(void))
{
	pid_t pid = fork();
	pthread_t t;
	int status;

	if (pid == 0) {
		guest_bad = 0;
		leader = getpid();
		body = fn;
		if (pthread_create(&t, NULL, other, NULL))
			_exit(99);
		pthread_exit(NULL);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
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
