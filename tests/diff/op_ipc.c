/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps with pipes and sockets: made without blocking, so that nothing waits; descriptors passed over them;
 * poll, select and epoll on whatever there is; sockets with names in the tree.
 */
#include "diff.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>

static void said_pair(long r, const int *fd)
{
	if (result(r))
		return;
	say(" %d %d", fd[0], fd[1]);
	if (fd[0] >= FD_TRIM || fd[1] >= FD_TRIM) {
		say(" full");
		syscall(SYS_close_range, 12, FD_TRIM + 20, 0);
	}
}

static void op_pipe(void)
{
	int fd[2], flags = O_NONBLOCK | (pick(2) ? O_CLOEXEC : 0);

	said_pair(syscall(SYS_pipe2, fd, flags), fd);
}

static void op_socketpair(void)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	int fd[2], type = PICK_OF(types) | SOCK_NONBLOCK | (pick(2) ? SOCK_CLOEXEC : 0);

	said_pair(syscall(SYS_socketpair, AF_UNIX, type, 0, fd), fd);
}

/* ---- readiness ---------------------------------------------------------------------------------------------- */

static void op_poll(void)
{
	struct pollfd p[3];
	struct timespec none = { 0, 0 };
	bool ppolls = pick(2);
	long r;

	for (int i = 0; i < 3; i++) {
		p[i].fd = pick_fd();
		p[i].events = (short)(pick(2) ? POLLIN : POLLIN | POLLOUT | POLLPRI);
		p[i].revents = 0;
		say(" ");
	}
	r = ppolls ? ppoll(p, 3, &none, NULL) : poll(p, 3, 0);
	result(r);
	for (int i = 0; i < 3; i++)
		say(" %#x", (unsigned)p[i].revents);
}

static void op_select(void)
{
	struct timeval none = { 0, 0 };
	int fds[3];
	fd_set in, out;

	FD_ZERO(&in);
	FD_ZERO(&out);
	for (int i = 0; i < 3; i++) {
		fds[i] = pick_fd();
		say(" ");
		if (fds[i] < 0)
			fds[i] = 3;
		FD_SET(fds[i], &in);
		FD_SET(fds[i], &out);
	}
	result(select(FD_DRAWN + 8, &in, &out, NULL, &none));
	for (int i = 0; i < 3; i++)
		say(" %d%d", !!FD_ISSET(fds[i], &in), !!FD_ISSET(fds[i], &out));
}

static void op_epoll(void)
{
	static const int ops[] = { EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL };
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT }, got[8];
	int ep, fd, op;
	uint64_t seen = 0;
	long r;

	switch (pick(4)) {
	case 0:
		result(syscall(SYS_epoll_create1, pick(2) ? EPOLL_CLOEXEC : 0));
		break;
	case 1:
	case 2:
		ep = pick_fd();
		say(", ");
		fd = pick_fd();
		op = PICK_OF(ops);
		e.data.u32 = (unsigned)fd;
		say(", %d", op);
		result(syscall(SYS_epoll_ctl, ep, op, fd, &e));
		break;
	case 3:
		ep = pick_fd();
		say(" wait");
		r = syscall(SYS_epoll_pwait, ep, got, 8, 0, NULL, 8L);
		result(r);
		for (long i = 0; i < r; i++)
			seen += (uint64_t)(got[i].data.u32 + 1) * 64 * (got[i].events + 1);
		say(" sum %llx", (unsigned long long)seen);
		break;
	}
}

static void op_eventfd(void)
{
	result(eventfd(pick(3), EFD_NONBLOCK));
}

/* ---- messages ------------------------------------------------------------------------------------------------- */

static void op_send_fds(void)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(2 * sizeof(int))]; } c = { 0 };
	struct iovec v = { "msg", 3 };
	unsigned n = 1 + pick(2);
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	int to = pick_fd(), fds[2];
	struct stat st;
	long r;

	for (unsigned i = 0; i < n; i++) {
		say(" ");
		fds[i] = pick_fd();
	}
	for (unsigned i = 0; i < n; i++)		/* a socket in a socket is closed when the kernel finds time */
		if (!fstat(fds[i], &st) && S_ISSOCK(st.st_mode)) {
			say(" socket");
			return;
		}
	c.head.cmsg_level = SOL_SOCKET;
	c.head.cmsg_type = SCM_RIGHTS;
	c.head.cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&c.head), fds, n * sizeof(int));
	r = syscall(SYS_sendmsg, to, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (r < 0 && errno == EBADF && !(features & FEAT_READY))
		errno = ENOTSOCK;	/* to the kernel an O_PATH descriptor of a mount is none */
	result(r);
}

static void say_credentials(const struct cmsghdr *h)
{
	struct ucred who;

	memcpy(&who, CMSG_DATA(h), sizeof who);
	say(" from %s %d:%d", who.pid == getpid() ? "self" : "another", who.uid, who.gid);
}

static void op_recv_fds(void)
{
	union { struct cmsghdr head; char room[CMSG_SPACE(4 * sizeof(int))]; } c = { 0 };
	char text[64];
	struct iovec v = { text, sizeof text };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c };
	int from = pick_fd(), fd;
	long r = syscall(SYS_recvmsg, from, &m, MSG_DONTWAIT | (pick(2) ? MSG_CMSG_CLOEXEC : 0));

	if (r < 0 && errno == EBADF && !(features & FEAT_READY))
		errno = ENOTSOCK;
	result(r);
	if (r < 0)
		return;
	say_data(text, r);
	say(" flags %#x", (unsigned)m.msg_flags & ~(unsigned)MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
		if (h->cmsg_type == SCM_CREDENTIALS)
			say_credentials(h);
		else for (size_t at = 0; CMSG_LEN(at) < h->cmsg_len; at += sizeof fd) {
			memcpy(&fd, CMSG_DATA(h) + at, sizeof fd);
			say(" fd %d", fd);
			if (stray(fd) || fd >= FD_TRIM)
				close(fd);
		}
}

/* ---- sockets in the tree ---------------------------------------------------------------------------------------- */

static void op_bind(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct upath p;
	int fd = pick_fd();
	bool binds = pick(2);

	say(binds ? ", bind " : ", connect ");
	pick_path(&p);
	if (p.arg != p.text || strlen(p.text) >= sizeof a.sun_path || !*p.text)
		return;
	strcpy(a.sun_path, p.text);
	result(syscall(binds ? SYS_bind : SYS_connect, fd, &a, sizeof a));
}

static void op_socket(void)
{
	result(syscall(SYS_socket, AF_UNIX, (pick(2) ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0));
}

static void op_listen(void)
{
	int fd = pick_fd();

	if (pick(2)) {
		say(" listen");
		result(syscall(SYS_listen, fd, 4));
	} else {
		say(" accept");
		result(syscall(SYS_accept4, fd, NULL, NULL, SOCK_NONBLOCK));
	}
}

const struct op ops_ipc[] = {
	{ "pipe", op_pipe, 8, 0 },
	{ "socketpair", op_socketpair, 6, 0 },
	{ "poll", op_poll, 6, FEAT_READY },
	{ "select", op_select, 4, FEAT_READY },
	{ "epoll", op_epoll, 10, FEAT_READY },
	{ "eventfd", op_eventfd, 2, 0 },
	{ "send_fds", op_send_fds, 8, 0 },
	{ "recv_fds", op_recv_fds, 8, 0 },
	{ "socket", op_socket, 4, FEAT_SPECIAL },
	{ "bind", op_bind, 5, FEAT_SPECIAL },
	{ "listen", op_listen, 4, FEAT_SPECIAL },
	{ 0 }
};
