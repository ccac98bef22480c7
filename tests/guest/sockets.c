/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sockets of the host: loopback TCP and UDP, UNIX ones by name and abstract, ancillary data, options.
 * GUEST_WORLDS: view mount bind cow bindcow cowmount cowbind cowcow merge
 */
#include "guest.h"
#include <netdb.h>
#include <pthread.h>
#include <stddef.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

static int listener(struct sockaddr_in *a)
{
	socklen_t len = sizeof(*a);
	int s = MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), one = 1;

	*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	OK(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	OK(bind(s, (struct sockaddr *)a, sizeof(*a)));
	OK(listen(s, 8));
	OK(getsockname(s, (struct sockaddr *)a, &len));
	return s;
}

static void *echo_once(void *arg)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	int c = accept4(*(int *)arg, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
	char buf[4096];
	ssize_t n;

	while (c >= 0 && (n = recv(c, buf, sizeof(buf), 0)) > 0)
		if (send(c, buf, (size_t)n, MSG_NOSIGNAL) != n)
			break;
	close(c);
	return NULL;
}

TEST(tcp_echo, "TCP on the loopback: 1 MiB there and back")
{
	static char out[1 << 20], in[1 << 20];
	struct sockaddr_in a;
	size_t sent = 0, got = 0;
	int l = listener(&a), c;
	pthread_t t;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 13 + i / 1000);
	pthread_create(&t, NULL, echo_once, &l);
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	while (got < sizeof(in)) {
		ssize_t n;

		if (sent < sizeof(out) && sent - got < 65536) {
			n = send(c, out + sent, sizeof(out) - sent < 8192 ? sizeof(out) - sent : 8192, 0);
			REQUIRE(n > 0);
			sent += (size_t)n;
		}
		n = recv(c, in + got, sizeof(in) - got, sent < sizeof(out) && sent - got < 65536 ? MSG_DONTWAIT : 0);
		REQUIRE(n > 0 || errno == EAGAIN);
		got += n > 0 ? (size_t)n : 0;
	}
	EQ(memcmp(in, out, sizeof(in)), 0);
	OK(shutdown(c, SHUT_WR));
	EQ(recv(c, in, 1, 0), 0);
	pthread_join(t, NULL);
}

TEST(tcp_refused, "connections that fail, options, names")
{
	struct sockaddr_in a, b;
	socklen_t len = sizeof(b);
	int l = listener(&a), c, v = 0;

	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	OK(getpeername(c, (struct sockaddr *)&b, &len));
	EQ(b.sin_port, a.sin_port);
	v = 1;
	OK(setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)));
	len = sizeof(v);
	OK(getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &len));
	EQ(v, 0);
	OK(getsockopt(c, SOL_SOCKET, SO_TYPE, &v, &len));
	EQ(v, SOCK_STREAM);
	OK(close(l));
	OK(close(c));
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	FAILS(connect(c, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	FAILS(socket(4711, SOCK_STREAM, 0), EAFNOSUPPORT);
	FAILS(connect(700, (struct sockaddr *)&a, sizeof(a)), EBADF);
	FAILS(connect(0, (struct sockaddr *)&a, sizeof(a)), ENOTSOCK);
	FAILS(bind(c, (void *)16, sizeof(a)), EFAULT);
}

TEST(nonblocking, "non-blocking accept and connect with poll")
{
	struct sockaddr_in a;
	int l = listener(&a), c, s;

	OK(fcntl(l, F_SETFL, O_NONBLOCK));
	FAILS(accept(l, NULL, NULL), EAGAIN);
	c = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	if (connect(c, (struct sockaddr *)&a, sizeof(a)) < 0)
		EQ(errno, EINPROGRESS);
	for (int i = 0; i < 200 && (s = accept(l, NULL, NULL)) < 0; i++)
		sleep_ms(5);
	TRUE(s >= 0);
	FAILS(recv(s, &a, 1, MSG_DONTWAIT), EAGAIN);
}

TEST(udp, "UDP: sendto, recvfrom, connected, sendmmsg, recvmmsg")
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) }, from;
	socklen_t len = sizeof(a);
	char b[2][16] = { "first", "second" }, in[2][16];
	struct iovec ov[2] = { { b[0], 5 }, { b[1], 6 } }, iv[2] = { { in[0], 16 }, { in[1], 16 } };
	struct mmsghdr om[2] = { { .msg_hdr = { .msg_iov = &ov[0], .msg_iovlen = 1 } },
				 { .msg_hdr = { .msg_iov = &ov[1], .msg_iovlen = 1 } } };
	struct mmsghdr im[2] = { { .msg_hdr = { .msg_iov = &iv[0], .msg_iovlen = 1 } },
				 { .msg_hdr = { .msg_iov = &iv[1], .msg_iovlen = 1 } } };
	int s = MUST(socket(AF_INET, SOCK_DGRAM, 0)), c = MUST(socket(AF_INET, SOCK_DGRAM, 0));

	OK(bind(s, (struct sockaddr *)&a, sizeof(a)));
	OK(getsockname(s, (struct sockaddr *)&a, &len));
	EQ(sendto(c, "datagram", 8, 0, (struct sockaddr *)&a, sizeof(a)), 8);
	len = sizeof(from);
	EQ(recvfrom(s, in[0], 16, 0, (struct sockaddr *)&from, &len), 8);
	EQ(from.sin_family, AF_INET);
	OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	EQ(sendmmsg(c, om, 2, 0), 2);
	EQ(recvmmsg(s, im, 2, 0, NULL), 2);
	EQ(im[1].msg_len, 6);
	EQ(memcmp(in[1], "second", 6), 0);
}

static void unix_pair(struct sockaddr_un *a, socklen_t len)
{
	struct sockaddr_un name;
	socklen_t nlen = sizeof(name);
	char buf[32] = "";
	int l = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	struct ucred cred;
	pthread_t t;

	OK(bind(l, (struct sockaddr *)a, len));
	OK(listen(l, 4));
	OK(getsockname(l, (struct sockaddr *)&name, &nlen));
	if (!a->sun_path[0] || !on_cow())	/* it tells the whole path there */
		EQ(nlen, len);
	if (!a->sun_path[0] || !on_cow())
		EQ(memcmp(&name, a, len), 0);
	pthread_create(&t, NULL, echo_once, &l);
	OK(connect(c, (struct sockaddr *)a, len));
	memset(&name, 0, sizeof(name));
	nlen = sizeof(name);
	OK(getpeername(c, (struct sockaddr *)&name, &nlen));
	if (!a->sun_path[0] || !on_cow()) {
		EQ(nlen, len);
		EQ(memcmp(&name, a, len), 0);
	}
	EQ(send(c, "unix", 4, 0), 4);
	EQ(recv(c, buf, sizeof(buf), 0), 4);
	STR(buf, "unix");
	nlen = sizeof(cred);
	OK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cred, &nlen));
	EQ(cred.pid, getpid());
	OK(close(c));
	pthread_join(t, NULL);
	OK(close(l));
}

TEST(unix_name, "a UNIX socket with a name in a directory")
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "sock" };
	struct stat st;
	int s = MUST(socket(AF_UNIX, SOCK_STREAM, 0));

	FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ENOENT);
	unix_pair(&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 5));
	OK(stat("sock", &st));
	TRUE(S_ISSOCK(st.st_mode));
	FAILS(open("sock", O_RDONLY), ENXIO);
	FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	FAILS(bind(s, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	OK(unlink("sock"));
	FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ENOENT);
	put("file", "");
	strcpy(a.sun_path, "file");
	FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	FAILS(bind(s, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	strcpy(a.sun_path, "none/sock");
	FAILS(bind(s, (struct sockaddr *)&a, sizeof(a)), ENOENT);
	strcpy(a.sun_path, "two");
	OK(bind(s, (struct sockaddr *)&a, sizeof(a)));
	strcpy(a.sun_path, "three");
	FAILS(bind(s, (struct sockaddr *)&a, sizeof(a)), EINVAL);
	TRUE(!exists("three"));
}

TEST(unix_name_room, "the name of a socket: how much of it fits, errors")
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "./sub/../sub/a.socket" }, name;
	const socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(a.sun_path) + 1);
	int s = MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), c = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	socklen_t n = 9;

	if (on_cow())
		SKIP("it tells the whole path there");
	OK(mkdir("sub", 0700));
	OK(bind(s, (struct sockaddr *)&a, sizeof(a)));
	memset(&name, 'x', sizeof(name));
	OK(getsockname(s, (struct sockaddr *)&name, &n));
	EQ(n, len);
	EQ(memcmp(&name, &a, 9), 0);
	EQ(((char *)&name)[9], 'x');
	n = 0;
	OK(getsockname(s, NULL, &n));
	EQ(n, len);
	n = (socklen_t)-1;
	FAILS(getsockname(s, (struct sockaddr *)&name, &n), EINVAL);
	FAILS(getsockname(s, (struct sockaddr *)&name, NULL), EFAULT);
	n = sizeof(name);
	FAILS(getsockname(s, (void *)16, &n), EFAULT);
	FAILS(getsockname(700, (struct sockaddr *)&name, &n), EBADF);
	FAILS(getsockname(MUST(open("file", O_CREAT | O_RDWR, 0600)), (struct sockaddr *)&name, &n), ENOTSOCK);
	FAILS(getpeername(c, (struct sockaddr *)&name, &n), ENOTCONN);
	OK(getsockname(c, (struct sockaddr *)&name, &n));
	EQ(n, sizeof(sa_family_t));
	OK(connect(c, (struct sockaddr *)&a, sizeof(a)));
	n = sizeof(name);
	OK(getpeername(c, (struct sockaddr *)&name, &n));
	EQ(n, len);
	STR(name.sun_path, a.sun_path);
}

TEST(unix_moved, "a bound name is renamed, linked to by a symbolic link, and replaced")
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "a" };
	int l = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), s = MUST(socket(AF_UNIX, SOCK_STREAM, 0)), c;
	char text[8];

	OK(mkdir("d", 0700));
	OK(bind(l, (struct sockaddr *)&a, sizeof(a)));
	OK(listen(l, 5));
	OK(rename("a", "d/b"));
	OK(symlink("d/b", "link"));
	strcpy(a.sun_path, "link");
	OK(connect(s, (struct sockaddr *)&a, sizeof(a)));
	c = MUST(accept(l, NULL, NULL));
	EQ(write(s, "hello", 5), 5);
	EQ(read(c, text, sizeof(text)), 5);
	OK(close(l));
	OK(close(s));
	s = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	put("plain", "");
	OK(rename("plain", "d/b"));
	FAILS(connect(s, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
}

TEST(unix_datagram, "UNIX datagrams to a name, and an answer to the sender's address")
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "server" }, from;
	int server = MUST(socket(AF_UNIX, SOCK_DGRAM, 0)), client = MUST(socket(AF_UNIX, SOCK_DGRAM, 0));
	socklen_t len = sizeof(from);
	char text[16] = "";

	OK(bind(server, (struct sockaddr *)&a, sizeof(a)));
	strcpy(a.sun_path, "client");
	OK(bind(client, (struct sockaddr *)&a, sizeof(a)));
	strcpy(a.sun_path, "server");
	EQ(sendto(client, "question", 8, 0, (struct sockaddr *)&a, sizeof(a)), 8);
	EQ(recvfrom(server, text, sizeof(text), 0, (struct sockaddr *)&from, &len), 8);
	EQ(sendto(server, "answer", 6, 0, (struct sockaddr *)&from, len), 6);
	EQ(read(client, text, sizeof(text)), 6);
	EQ(memcmp(text, "answer", 6), 0);
	OK(close(client));
	FAILS(sendto(server, "answer", 6, 0, (struct sockaddr *)&from, len), ECONNREFUSED);
}

TEST(unix_abstract, "an abstract UNIX socket")
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int n = snprintf(a.sun_path + 1, 50, "umview-guest-test-%d", getpid());

	unix_pair(&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n));
}

TEST(message, "sendmsg and recvmsg: several buffers, MSG_PEEK, MSG_TRUNC, credentials")
{
	char a[4], b[10], control[256];
	struct iovec out[2] = { { "head", 4 }, { "body text", 9 } }, in[2] = { { a, 4 }, { b, 5 } };
	struct msghdr m = { .msg_iov = out, .msg_iovlen = 2 };
	int s[2], one = 1;

	OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)));
	EQ(sendmsg(s[0], &m, 0), 13);
	EQ(recv(s[1], a, 4, MSG_PEEK | MSG_TRUNC), 13);
	m = (struct msghdr){ .msg_iov = in, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control) };
	EQ(recvmsg(s[1], &m, 0), 9);
	EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
	EQ(memcmp(a, "head", 4), 0);
	REQUIRE(CMSG_FIRSTHDR(&m));
	EQ(CMSG_FIRSTHDR(&m)->cmsg_type, SCM_CREDENTIALS);
	EQ(((struct ucred *)CMSG_DATA(CMSG_FIRSTHDR(&m)))->pid, getpid());
	FAILS(sendmsg(s[0], (void *)16, 0), EFAULT);
}

TEST(interfaces, "interface ioctls and name look-up without a network")
{
	struct ifreq r = { .ifr_name = "lo" };
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST }, *ai;
	int s = MUST(socket(AF_INET, SOCK_DGRAM, 0));

	OK(ioctl(s, SIOCGIFFLAGS, &r));
	TRUE(r.ifr_flags & IFF_LOOPBACK);
	EQ(if_nametoindex("lo") > 0, 1);
	EQ(getaddrinfo("127.0.0.1", "80", &hints, &ai), 0);
	EQ(((struct sockaddr_in *)ai->ai_addr)->sin_port, htons(80));
	freeaddrinfo(ai);
}

TEST(processes, "a server process and five client processes")
{
	struct sockaddr_in a;
	int l = listener(&a), status;
	pid_t server = MUST(fork());

	if (server == 0) {
		for (int i = 0; i < 5; i++)
			echo_once(&l);
		_exit(0);
	}
	for (int i = 0; i < 5; i++) {
		if (fork() == 0) {
			int c = socket(AF_INET, SOCK_STREAM, 0);
			char buf[8] = "";

			if (connect(c, (struct sockaddr *)&a, sizeof(a)) < 0 || write(c, "hello", 5) != 5)
				_exit(1);
			_exit(read(c, buf, 5) == 5 && strcmp(buf, "hello") == 0 ? 0 : 2);
		}
	}
	for (int i = 0; i < 6; i++) {
		OK(wait(&status));
		EXITED(status, 0);
	}
}
