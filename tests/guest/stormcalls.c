/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A timer of 3 kHz against each class of call: what waits gives EINTR or what it waited for, never both and
 * never neither; what does not wait is never disturbed.
 *
 * GUEST_WORLDS: native view mount
 */
#include "guest.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>

#define ROUNDS 400

static volatile sig_atomic_t rings;

static void ring(int sig)
{
	(void)sig;
	rings++;
}

static void storm(int flags)
{
	struct sigaction sa = { .sa_handler = ring, .sa_flags = flags };
	struct itimerval it = { { 0, 333 }, { 0, 333 } };

	sigemptyset(&sa.sa_mask);
	rings = 0;
	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &it, NULL));
}

static void calm(void)
{
	struct itimerval never = { { 0, 0 }, { 0, 0 } };

	OK(setitimer(ITIMER_REAL, &never, NULL));
	TRUE(rings > 0);
}

/* ---- what waits ------------------------------------------------------------------------------------ */

static int feed[2];
static volatile int stop;

/* Writes a byte now and then. */
static void *feeder(void *arg)
{
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		usleep(500);
		if (write(feed[1], "x", 1) != 1)
			break;
	}
	return NULL;
}

static pthread_t start_feeder(int nonblock)
{
	sigset_t alarms, old;
	pthread_t thread;

	MUST(pipe2(feed, nonblock));
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	sigprocmask(SIG_BLOCK, &alarms, &old);
	REQUIRE(pthread_create(&thread, NULL, feeder, NULL) == 0);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return thread;
}

static void count_bytes(int (*ready)(void))
{
	pthread_t thread = start_feeder(0);
	int bytes = 0;
	char c;

	storm(0);
	while (bytes < ROUNDS && !guest_bad) {
		int r = ready();
		if (r < 0) {
			EQ(errno, EINTR);
			continue;
		}
		EQ(r, 1);
		while ((r = (int)read(feed[0], &c, 1)) < 0)
			EQ(errno, EINTR);
		bytes += r;
	}
	calm();
	pthread_join(thread, NULL);
	EQ(poll(&(struct pollfd){ .fd = feed[0], .events = POLLIN }, 1, 0), 0);
}

static int by_read(void) { return 1; }
static int by_poll(void) { return poll(&(struct pollfd){ .fd = feed[0], .events = POLLIN }, 1, 1000); }

static int by_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(feed[0], &set);
	return select(feed[0] + 1, &set, NULL, NULL, NULL);
}

static int epoll_fd = -1;

static int by_epoll(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	if (epoll_fd < 0) {
		epoll_fd = MUST(epoll_create1(0));
		MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, feed[0], &e));
	}
	return epoll_wait(epoll_fd, &e, 1, 1000);
}

TEST(reads, "read") { count_bytes(by_read); }
TEST(polls, "poll") { count_bytes(by_poll); }
TEST(selects, "select") { count_bytes(by_select); }
TEST(epolls, "epoll_wait") { count_bytes(by_epoll); }

TEST(sleeps, "nanosleep with the rest, clock_nanosleep to a time: as long as they should, at least")
{
	long start = now_ms();

	storm(SA_RESTART);
	for (int i = 0; i < 10; i++) {
		struct timespec ts = { 0, 20000000 };
		while (nanosleep(&ts, &ts) < 0)
			EQ(errno, EINTR);
	}
	TRUE(now_ms() - start >= 199);
	for (int i = 0; i < 10; i++) {
		struct timespec at;
		int r;
		clock_gettime(CLOCK_MONOTONIC, &at);
		long before = now_ms();
		at.tv_nsec += 20000000;
		if (at.tv_nsec >= 1000000000) {
			at.tv_sec++;
			at.tv_nsec -= 1000000000;
		}
		while ((r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL)) != 0)
			EQ(r, EINTR);
		TRUE(now_ms() - before >= 19);
	}
	calm();
}

static uint32_t word, handed;

static long futex(uint32_t *w, int op, uint32_t value)
{
	return syscall(SYS_futex, w, op, value, NULL, NULL, 0);
}

static void *ping(void *arg)
{
	sigset_t all;

	(void)arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		while (__atomic_load_n(&handed, __ATOMIC_SEQ_CST) != i)
			futex(&handed, FUTEX_WAIT, i - 1);
		__atomic_store_n(&word, i + 1, __ATOMIC_SEQ_CST);
		futex(&word, FUTEX_WAKE, 1);
	}
	return NULL;
}

TEST(futexes, "two threads that hand a word to and fro")
{
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, ping, NULL) == 0);
	storm(0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		while (__atomic_load_n(&word, __ATOMIC_SEQ_CST) != i + 1)
			if (futex(&word, FUTEX_WAIT, i) < 0)
				TRUE(errno == EINTR || errno == EAGAIN);
		__atomic_store_n(&handed, i + 1, __ATOMIC_SEQ_CST);
		futex(&handed, FUTEX_WAKE, 1);
		usleep(100);
	}
	calm();
	pthread_join(thread, NULL);
}

TEST(waits, "fork and wait: each child's status once, EINTR or not")
{
	storm(0);
	for (int i = 0; i < ROUNDS / 2; i++) {
		int status = -1;
		pid_t pid, got;
		while ((pid = fork()) < 0)
			EQ(errno, EINTR);
		if (pid == 0) {
			usleep((useconds_t)(i % 5) * 200);
			_exit(i % 200);
		}
		while ((got = waitpid(pid, &status, 0)) < 0)
			EQ(errno, EINTR);
		EQ(got, pid);
		EXITED(status, i % 200);
		FAILS(waitpid(pid, &status, 0), ECHILD);
		if (guest_bad)
			break;
	}
	calm();
}

TEST(sockets, "accept, connect, send and receive")
{
	struct sockaddr addr = { .sa_family = AF_UNIX };
	socklen_t len = sizeof(addr);
	int l = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	pid_t pid;
	int status;

	OK(bind(l, &addr, sizeof(sa_family_t)));
	OK(getsockname(l, &addr, &len));
	OK(listen(l, 5));
	pid = fork();
	storm(0);
	for (int i = 0; i < 100 && !guest_bad; i++) {
		char c = (char)i;
		int s;
		if (pid == 0) {
			s = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
			while (connect(s, &addr, len) < 0)
				TRUE(errno == EINTR);
		} else {
			while ((s = accept(l, NULL, NULL)) < 0)
				EQ(errno, EINTR);
		}
		if (pid == 0)
			usleep(300);
		while (pid == 0 ? send(s, &c, 1, 0) < 0 : recv(s, &c, 1, 0) < 0)
			EQ(errno, EINTR);
		EQ(c, i);
		OK(close(s));
	}
	calm();
	if (pid == 0)
		_exit(guest_bad ? 1 : 0);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

TEST(locks, "a lock that is waited for: EINTR, and then it is got")
{
	int fd = MUST(open("/tmp", O_TMPFILE | O_RDWR, 0600)), p[2], status;
	struct flock fl = { .l_type = F_WRLCK, .l_len = 1 };
	int interrupted = 0;
	char c;

	MUST(pipe(p));
	pid_t pid = fork();
	if (pid == 0) {
		OK(fcntl(fd, F_SETLKW, &fl));
		OK(write(p[1], "x", 1));
		usleep(50000);
		_exit(0);
	}
	EQ(read(p[0], &c, 1), 1);
	storm(0);
	while (fcntl(fd, F_SETLKW, &fl) < 0) {
		EQ(errno, EINTR);
		interrupted++;
	}
	calm();
	TRUE(interrupted > 0);
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

/* ---- what does not wait ---------------------------------------------------------------------------- */

TEST(names, "mkdir, rename, link, symlink, readlink, stat, unlink: never EINTR, never done twice")
{
	char buf[64];
	struct stat st;

	storm(0);
	for (int i = 0; i < ROUNDS / 2 && !guest_bad; i++) {
		OK(mkdir("d", 0755));
		int fd = MUST(open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0644));
		EQ(write(fd, "abc", 3), 3);
		OK(close(fd));
		OK(rename("d/f", "d/g"));
		OK(symlink("g", "d/s"));
		EQ(readlink("d/s", buf, sizeof(buf)), 1);
		OK(stat("d/s", &st));
		EQ(st.st_size, 3);
		FAILS(rmdir("d"), ENOTEMPTY);
		OK(unlink("d/s"));
		OK(rename("d/g", "kept"));
		OK(rmdir("d"));
		OK(stat("/etc/passwd", &st));
		FAILS(open("/etc/passwd/x", O_RDONLY), ENOTDIR);
	}
	calm();
}

TEST(lists, "directories are listed without a gap")
{
	char name[16];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		put(name, "");
	}
	storm(0);
	for (int k = 0; k < 40 && !guest_bad; k++) {
		DIR *d = opendir(".");
		int n = 0;
		REQUIRE(d != NULL);
		for (struct dirent *e; (e = readdir(d));)
			n += e->d_name[0] == 'f';
		OK(closedir(d));
		EQ(n, 300);
	}
	calm();
}

TEST(mappings, "mmap, mprotect, mremap, munmap, brk")
{
	put("f", "mapped content");
	int fd = MUST(open("f", O_RDONLY));

	storm(0);
	for (int i = 0; i < ROUNDS && !guest_bad; i++) {
		char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(p != MAP_FAILED);
		p[5000] = 'x';
		OK(mprotect(p, 8192, PROT_READ));
		p = mremap(p, 8192, 65536, MREMAP_MAYMOVE);
		REQUIRE(p != MAP_FAILED && p[5000] == 'x');
		OK(munmap(p, 65536));
		p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
		REQUIRE(p != MAP_FAILED && !memcmp(p, "mapped", 6));
		OK(munmap(p, 4096));
		free(malloc(300000));
	}
	calm();
}

static void *nothing(void *arg) { return arg; }

TEST(starts, "threads, children by vfork, programs: all come and go")
{
	storm(SA_RESTART);
	for (int i = 0; i < 40 && !guest_bad; i++) {
		pthread_t thread;
		int status;
		REQUIRE(pthread_create(&thread, NULL, nothing, NULL) == 0);
		pthread_join(thread, NULL);
		pid_t pid = vfork();
		if (pid == 0) {
			execl("/bin/true", "true", NULL);
			_exit(1);
		}
		EQ(waitpid(pid, &status, 0), pid);
		EXITED(status, 0);
	}
	calm();
}

/* ---- out of the handler for good -------------------------------------------------------------------- */

static sigjmp_buf jump;
static volatile sig_atomic_t armed;

static void jump_out(int sig)
{
	(void)sig;
	rings++;
	if (armed) {
		armed = 0;
		siglongjmp(jump, 1);
	}
}

TEST(jumps_raised, "siglongjmp out of a handler 200000 times")
{
	signal(SIGUSR1, jump_out);
	for (volatile int i = 0; i < 200000; i++) {
		if (sigsetjmp(jump, 1) == 0) {
			armed = 1;
			raise(SIGUSR1);
			FAIL("came back");
			break;
		}
	}
	EQ(rings, 200000);
}

/* Out of calls that take the agent's locks, and servers' time. */
static char home[PATH_MAX], below[PATH_MAX + 2];

static void touch_everything(int i)
{
	char buf[256];
	struct stat st;
	char *p;

	stat("f", &st);
	if (!getcwd(buf, sizeof(buf)) || chdir(i & 1 ? below : home))
		errno = 0;
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 100, 0);
	if (p != MAP_FAILED)
		munmap(p, 4096);
	dup2(100, 101);
	if (pread(101, buf, sizeof(buf), 0) < 0)
		errno = 0;
	close(101);
	signal(SIGUSR2, i & 2 ? SIG_IGN : SIG_DFL);
}

TEST(jumps_anywhere, "siglongjmp out of whatever a storm interrupts: nothing stays locked, nothing leaks")
{
	struct sigaction sa = { .sa_handler = jump_out, .sa_flags = 0 };
	struct itimerval it = { { 0, 150 }, { 0, 150 } };
	volatile int jumps = 0;
	int status;

	REQUIRE(getcwd(home, sizeof(home)) != NULL);
	snprintf(below, sizeof(below), "%s/d", home);
	OK(mkdir("d", 0755));
	put("f", "content");
	put("d/f", "content");
	int fd = MUST(open("f", O_RDONLY)), lowest;
	MUST(dup2(fd, 100));
	lowest = MUST(dup(0));
	OK(close(lowest));
	sigemptyset(&sa.sa_mask);
	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &it, NULL));
	long end = now_ms() + 3000;
	for (volatile int i = 0; now_ms() < end; i++) {
		if (sigsetjmp(jump, 1) == 0) {
			armed = 1;
			touch_everything(i);
			touch_everything(i + 1);
			armed = 0;
		} else {
			jumps++;
		}
	}
	armed = 0;
	calm();
	TRUE(jumps > 100);
	close(101);
	EQ(dup(0), lowest);
	OK(close(lowest));
	OK(chdir(home));
	STR(get("f"), "content");
	pid_t pid = MUST(fork());
	if (pid == 0) {
		touch_everything(1);
		execl("/bin/true", "true", NULL);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}
