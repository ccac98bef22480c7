/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps with sockets beyond pairs: many messages in one call, messages to names, names of sockets, options; and
 * watches of inotify.
 */
#include "diff.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>

/* An O_PATH descriptor of a mount is to the kernel no socket, not none at all (docs/limits.md). */
static void socket_result(long r)
{
	if (r < 0 && errno == EBADF && !(features & FEAT_READY))
		errno = ENOTSOCK;
	result(r);
}

/* ---- many messages ------------------------------------------------------------------------------------------- */

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static void op_sendmany(void)
{
	union control c[3] = { 0 };
	struct mmsghdr m[3] = { 0 };
	struct iovec v = { "many", 4 };
	unsigned n = 1 + pick(3);
	int to = pick_fd(), fd;
	struct stat st;
	long r;

	say(", %u", n);
	for (unsigned i = 0; i < n; i++) {
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v, .msg_iovlen = 1 };
		if (pick(2))
			continue;
		say(" ");
		fd = pick_fd();
		if (!fstat(fd, &st) && S_ISSOCK(st.st_mode))	/* closed when the kernel finds time */
			continue;
		c[i].head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd) };
		memcpy(CMSG_DATA(&c[i].head), &fd, sizeof fd);
		m[i].msg_hdr.msg_control = &c[i];
		m[i].msg_hdr.msg_controllen = sizeof c[i];
	}
	r = syscall(SYS_sendmmsg, to, m, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	socket_result(r);
	for (long i = 0; i < r; i++)
		say(" %u", m[i].msg_len);
}

static void received(struct msghdr *m)
{
	int fd;

	say(" flags %#x", (unsigned)m->msg_flags & ~(unsigned)MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h))
		for (size_t at = 0; h->cmsg_type == SCM_RIGHTS && CMSG_LEN(at) < h->cmsg_len; at += sizeof fd) {
			memcpy(&fd, CMSG_DATA(h) + at, sizeof fd);
			say(" fd %d", fd);
			if (stray(fd) || fd >= FD_TRIM)
				close(fd);
		}
}

static void op_recvmany(void)
{
	union control c[3];
	struct mmsghdr m[3] = { 0 };
	char text[3][32];
	struct iovec v[3];
	unsigned n = 1 + pick(3), small = pick(4);
	int from = pick_fd(), flags = MSG_DONTWAIT | (pick(2) ? MSG_CMSG_CLOEXEC : 0) | (chance(6) ? MSG_PEEK : 0) | (chance(6) ? MSG_TRUNC : 0);
	long r;

	for (unsigned i = 0; i < n; i++) {
		v[i] = (struct iovec){ text[i], small ? sizeof text[i] : 2 };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &v[i], .msg_iovlen = 1, .msg_control = &c[i],
			.msg_controllen = small == 1 ? 0 : sizeof c[i] };
	}
	say(", %u %#x", n, (unsigned)flags);
	r = syscall(SYS_recvmmsg, from, m, n, flags, NULL);
	socket_result(r);
	for (long i = 0; i < r; i++) {
		say(" %u", m[i].msg_len);
		received(&m[i].msg_hdr);
	}
}

/* ---- names --------------------------------------------------------------------------------------------------- */

static void say_address(const struct sockaddr_un *a, socklen_t len)
{
	if (len > 2 && a->sun_family == AF_UNIX && *a->sun_path == '/' && !(features & FEAT_ENVIRON)) {
		say(" absolute");		/* behind a bind mount that is where it really is, as /proc/PID/fd tells it */
		return;
	}
	say(" len %u", len);
	if (len > 2 && a->sun_family == AF_UNIX && *a->sun_path)
		say_path(a->sun_path);
}

static void op_sockname(void)
{
	struct sockaddr_un a;
	socklen_t len = pick(2) ? sizeof a : 5;
	int fd = pick_fd();
	bool peer = pick(2);
	long r;

	memset(&a, 0, sizeof a);
	say(peer ? " peer" : " own");
	r = syscall(peer ? SYS_getpeername : SYS_getsockname, fd, &a, &len);
	socket_result(r);
	if (!r)
		say_address(&a, len);
}

/* To a name in the tree, a datagram; sendto and sendmsg. */
static void op_sendto(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct iovec v = { "to", 2 };
	struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof a, .msg_iov = &v, .msg_iovlen = 1 };
	struct upath p;
	int fd = pick_fd();
	unsigned how = pick(3);
	long r;

	say(", %u ", how);
	pick_path(&p);
	if (p.arg != p.text || strlen(p.text) >= sizeof a.sun_path || !*p.text)
		return;
	strcpy(a.sun_path, p.text);
	if (how == 0)
		r = syscall(SYS_sendto, fd, "to", 2L, MSG_DONTWAIT | MSG_NOSIGNAL, &a, sizeof a);
	else if (how == 1)
		r = syscall(SYS_sendmsg, fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	else
		r = syscall(SYS_sendto, fd, "to", 2L, MSG_DONTWAIT | MSG_NOSIGNAL, &a, 1 + (long)pick(200));
	socket_result(r);
}

static void op_sockopt(void)
{
	static const int options[] = { SO_TYPE, SO_ACCEPTCONN, SO_ERROR, SO_PASSCRED, SO_DOMAIN, SO_PEERCRED, 999 };
	int fd = pick_fd(), option = PICK_OF(options), value[4] = { 0 };
	socklen_t len = sizeof value;
	unsigned how = pick(4);
	long r;

	say(", %d %u", option, how);
	if (how == 0) {
		socket_result(syscall(SYS_shutdown, fd, pick(4)));
	} else if (how == 1) {
		value[0] = (int)pick(2);
		socket_result(syscall(SYS_setsockopt, fd, SOL_SOCKET, SO_PASSCRED, value, 4L));
	} else {
		r = syscall(SYS_getsockopt, fd, SOL_SOCKET, option, value, &len);
		socket_result(r);
		if (!r && option != SO_PEERCRED)
			say(" %d", value[0]);
		else if (!r)
			say(" %s %d", value[0] == getpid() ? "own" : "other", value[1]);
	}
}

/* ---- waiting with a mask ------------------------------------------------------------------------------------- */

static void op_poll2(void)
{
	struct timespec none = { 0, 0 };
	struct pollfd p = { .events = POLLIN | POLLOUT };
	struct epoll_event e[4];
	sigset_t set;
	long r;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGSYS);
	p.fd = pick_fd();
	switch (pick(3)) {
	case 0:
		r = syscall(SYS_ppoll, &p, 1L, &none, &set, chance(4) ? 4L : 8L);
		say(" ppoll");
		break;
	case 1:
		r = syscall(441 /* epoll_pwait2 */, p.fd, e, 4L, &none, &set, 8L);
		say(" epoll");
		break;
	default:
		r = syscall(SYS_epoll_pwait, p.fd, e, pick(2) ? 4L : 0L, 0L, &set, chance(4) ? 4L : 8L);
		say(" epoll old");
	}
	result(r);
	say(" %#x", (unsigned)p.revents);
}

/* ---- watches ------------------------------------------------------------------------------------------------- */

static void say_events(int fd)
{
	char events[8192] __attribute__((aligned(8)));
	long n = read(fd, events, sizeof events);

	result(n < 0 ? n : n > 0);
	for (long at = 0; at < n; ) {
		const struct inotify_event *e = (const void *)(events + at);

		say(" (%d %#x%s %.40s)", e->wd, e->mask, e->cookie ? " moved" : "", !e->len ? "" : *e->name == '#' ? "#inode" : e->name);	/* O_TMPFILE */
		at += (long)sizeof *e + e->len;
	}
}

/* Who reads what is the loader's affair: it is ours in a view. */
#define CHANGES	(IN_ALL_EVENTS & ~(unsigned)(IN_OPEN | IN_ACCESS | IN_CLOSE_NOWRITE))

/* A watch, a few steps of a child, what was seen. */
static void op_watch(void)
{
	static const unsigned masks[] = { CHANGES, IN_CREATE | IN_DELETE, IN_MOVE, IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE, IN_CREATE | IN_ONLYDIR,
		IN_DONT_FOLLOW | CHANGES, IN_MODIFY, IN_DELETE_SELF | IN_MOVE_SELF, IN_ONESHOT | CHANGES, IN_MASK_CREATE | IN_ATTRIB };
	unsigned mask, n = 1 + pick(2);
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), high = fcntl(fd, F_DUPFD_CLOEXEC, 116), status;
	unsigned count = pick(6);
	struct upath p;
	pid_t pid;

	close(fd);
	if (high < 0) {		/* which of several errors is told is not its own affair */
		say("no descriptor");
		return;
	}
	say("%u steps", count);
	while (n--) {
		say(" ");
		pick_path(&p);
		mask = PICK_OF(masks);
		say(" %#x", mask);
		result(syscall(SYS_inotify_add_watch, high, p.arg, mask));
	}
	if (depth_now() > 2) {
		say(" too deep");
		close(high);
		return;
	}
	flush_line();
	pid = fork();
	if (!pid) {
		depth_add(1);
		run_steps(count);
		_exit(7);
	}
	skip_steps(count);
	waitpid(pid, &status, 0);
	say("  back: %#x", (unsigned)status);
	say_events(high);
	close(high);
}

const struct op ops_sock[] = {
	{ "sendmany", op_sendmany, 5, 0 },
	{ "recvmany", op_recvmany, 5, 0 },
	{ "sockname", op_sockname, 3, FEAT_SPECIAL },
	{ "sendto", op_sendto, 5, FEAT_SPECIAL },
	{ "sockopt", op_sockopt, 3, 0 },
	{ "poll2", op_poll2, 4, FEAT_READY },
	{ "watch", op_watch, 5, FEAT_WATCH },
	{ 0 }
};
