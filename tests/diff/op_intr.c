/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps that really wait, until a signal comes: what a call that waits makes of it, with SA_RESTART and without.
 *
 * A timer sends SIGALRM again and again, so that it does not matter whether the first one comes too early.  After
 * MANY of them the handler leaves the call by a jump, so that a call that is restarted comes to an end, too.
 */
#include "diff.h"
#include <poll.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <linux/futex.h>
#include <time.h>

#define MANY	4
#define EVERY	15000		/* microseconds */

static sigjmp_buf out;
static volatile int alarms, entered;
static int word;

static void alarmed(int sig)
{
	(void)sig;
	if (entered && ++alarms >= MANY)
		siglongjmp(out, 1);
}

static void start_alarms(int flags, struct sigaction *old)
{
	struct itimerval every = { { 0, EVERY }, { 0, EVERY } };
	struct sigaction a = { .sa_handler = alarmed, .sa_flags = flags };

	alarms = entered = 0;
	sigaction(SIGALRM, &a, old);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void stop_alarms(const struct sigaction *old)
{
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	signal(SIGALRM, SIG_IGN);	/* also what is on its way */
	sigaction(SIGALRM, old, NULL);
}

enum waiting { READ, WRITE, POLL, PPOLL, SELECT, EPOLL, NANOSLEEP, FUTEX, WAIT4, WAITID, FLOCK, LOCK, OFD_LOCK, ACCEPT, RECV, SENDMSG, SIGWAIT, PAUSE,
	SIGSUSPEND, OPEN_FIFO, READV, CLOCK, PSELECT, WAITS };

struct waits {
	int pipe[2], full[2], pair[2], listener, epoll;
	int file, other;		/* two descriptions of one file; `file` holds it locked, in a child too */
	pid_t child;
};

static long wait_in(enum waiting what, const struct waits *w, unsigned more)
{
	struct timespec day = { 86400, 0 };
	struct timeval long_time = { 86400, 0 };
	struct flock l = { .l_type = F_WRLCK };
	struct pollfd p = { w->pipe[0], POLLIN, 0 };
	struct iovec v = { &(char[1]){ 0 }, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct epoll_event e;
	static char much[65536];
	sigset_t set;
	fd_set in;

	sigemptyset(&set);
	FD_ZERO(&in);
	FD_SET(w->pipe[0], &in);
	entered = 1;
	switch (what) {
	case READ: return syscall(SYS_read, w->pipe[0], v.iov_base, 1L);
	case WRITE: return syscall(SYS_write, w->full[1], much, sizeof much);
	case POLL: return syscall(SYS_poll, &p, 1L, 86400000L);
	case PPOLL: return syscall(SYS_ppoll, &p, 1L, &day, &set, 8L);
	case SELECT: return syscall(SYS_select, w->pipe[0] + 1, &in, NULL, NULL, &long_time);
	case EPOLL: return syscall(SYS_epoll_pwait, w->epoll, &e, 1L, -1L, more ? &set : NULL, 8L);
	case NANOSLEEP: return syscall(SYS_nanosleep, &day, NULL);
	case FUTEX: return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0L);
	case WAIT4: return syscall(SYS_wait4, w->child, NULL, 0L, NULL);
	case WAITID: return syscall(SYS_waitid, P_PID, w->child, NULL, WEXITED, NULL);
	case FLOCK: return syscall(SYS_flock, w->other, LOCK_EX);
	case LOCK: return syscall(SYS_fcntl, w->other, F_SETLKW, &l);
	case OFD_LOCK: return syscall(SYS_fcntl, w->other, F_OFD_SETLKW, &l);
	case ACCEPT: return syscall(SYS_accept4, w->listener, NULL, NULL, 0L);
	case RECV: return syscall(SYS_recvfrom, w->pair[0], v.iov_base, 1L, 0L, NULL, NULL);
	case SENDMSG: return syscall(SYS_recvmsg, w->pair[0], &m, 0L);
	case SIGWAIT: sigaddset(&set, SIGPIPE); return syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8L);
	case PAUSE: return syscall(SYS_pause);
	case SIGSUSPEND: return syscall(SYS_rt_sigsuspend, &set, 8L);
	case OPEN_FIFO: return syscall(SYS_openat, FD_ROOT, "waits", O_RDONLY);
	case READV: return syscall(SYS_readv, w->pipe[0], &v, 1L);
	case CLOCK: return syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0L, &day, NULL);
	case PSELECT: return syscall(SYS_pselect6, w->pipe[0] + 1, &in, NULL, NULL, &day, &(struct { void *set; size_t n; }){ &set, 8 });
	default: return 0;
	}
}

static void prepare(struct waits *w, enum waiting what)
{
	char much[4096] = { 0 };

	w->listener = w->epoll = w->file = w->other = -1;
	pipe2(w->pipe, O_CLOEXEC);
	pipe2(w->full, O_CLOEXEC | O_NONBLOCK);
	while (write(w->full[1], much, sizeof much) > 0)
		;
	fcntl(w->full[1], F_SETFL, 0);
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->pair);
	if (what == ACCEPT) {
		struct sockaddr_un_auto { sa_family_t family; } a = { AF_UNIX };	/* a name of the kernel's choice */

		w->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		bind(w->listener, (struct sockaddr *)&a, sizeof a);
		listen(w->listener, 1);
	}
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->pipe[0], &(struct epoll_event){ .events = EPOLLIN });
	if (what == FLOCK || what == LOCK || what == OFD_LOCK) {
		w->file = openat(FD_ROOT, "locked", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		w->other = openat(FD_ROOT, "locked", O_RDWR | O_CLOEXEC);
	}
	if (what == OPEN_FIFO)
		mknodat(FD_ROOT, "waits", S_IFIFO | 0600, 0);
}

/* It holds what its parent waits for, until it is killed. */
static void start_holder(struct waits *w, enum waiting what)
{
	struct flock l = { .l_type = F_WRLCK };
	int ready[2];
	char byte = 0;

	if (what != WAIT4 && what != WAITID && what != LOCK && what != OFD_LOCK && what != FLOCK)
		return;
	if (what == FLOCK)
		flock(w->file, LOCK_EX);
	if (what == OFD_LOCK)
		fcntl(w->file, F_OFD_SETLK, &l);
	pipe2(ready, O_CLOEXEC);
	w->child = fork();
	if (!w->child) {
		if (what == LOCK)
			fcntl(w->file, F_SETLK, &l);
		write(ready[1], &byte, 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	while (read(ready[0], &byte, 1) < 0)
		;
	close(ready[0]);
}

static void clean_up(const struct waits *w)
{
	int fds[] = { w->pipe[0], w->pipe[1], w->full[0], w->full[1], w->pair[0], w->pair[1], w->listener, w->epoll, w->file, w->other };

	if (w->child > 0) {
		kill(w->child, SIGKILL);
		waitpid(w->child, NULL, 0);
	}
	for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	unlinkat(FD_ROOT, "waits", 0);
	unlinkat(FD_ROOT, "locked", 0);
}

static void waited(enum waiting what, int flags, unsigned more)
{
	static struct waits w;
	struct sigaction old;
	volatile long r = -2;
	sigset_t set;

	memset(&w, 0, sizeof w);
	prepare(&w, what);
	start_holder(&w, what);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	if (!sigsetjmp(out, 1)) {
		start_alarms(flags, &old);
		r = wait_in(what, &w, more);
	}
	stop_alarms(&old);
	if (r == -2)
		say(" goes on");
	else
		result(r);
	clean_up(&w);
}

/* In a child, so that no mask, no descriptor and no timer of it stays. */
static void op_interrupted(void)
{
	static const int flags[] = { 0, SA_RESTART, SA_RESTART | SA_ONSTACK, SA_NODEFER };
	enum waiting what = pick(WAITS);
	int flag = PICK_OF(flags), status;
	unsigned more = pick(2);
	pid_t pid;

	say("%d %#x", (int)what, (unsigned)flag);
	if ((what == OPEN_FIFO && !(features & FEAT_SPECIAL)) || in_thread() || few_descriptors)
		return;
	flush_line();
	pid = fork();
	if (!pid) {
		say("  in it");
		waited(what, flag, more);
		flush_line();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	say("  back: status %#x", (unsigned)status);
}

const struct op ops_intr[] = {
	{ "interrupted", op_interrupted, 4, 0 },
	{ 0 }
};
