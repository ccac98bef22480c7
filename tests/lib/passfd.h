/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors through sockets, for guest programs. */
#ifndef UM_TESTS_PASSFD_H
#define UM_TESTS_PASSFD_H

#include <sys/socket.h>

/* What sendmsg() says: 1, if it went. */
static MAYBE long send_fd(int sock, int fd, int flags)
{
	union { struct cmsghdr h; char room[CMSG_SPACE(sizeof(int))]; } u = { .h = {
		.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u) };

	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	return sendmsg(sock, &m, flags);
}

static MAYBE int receive_fd(int sock, int flags)
{
	union { struct cmsghdr h; char room[CMSG_SPACE(sizeof(int))]; } u;
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof(u) };
	int fd = -1;

	MUST(recvmsg(sock, &m, flags));
	REQUIRE(m.msg_controllen >= CMSG_LEN(sizeof(int)) && u.h.cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(&u.h), sizeof(fd));
	return fd;
}

#endif
