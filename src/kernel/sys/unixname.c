/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UNIX sockets with names in mounted file systems.
 *
 * bind makes the name at the server (MKNOD), binds the guest's socket to a real name of our own, shows that
 * to the server's agent, which keeps hold of it (fs/fuse_standin.c), and removes it.  connect and send ask
 * the agent, and are given /proc/PID/fd/N.  The socket itself knows only the name of our own, which is
 * what getsockname and recvfrom tell; sent to, it is translated.
 */
#include "calls.h"
#include "unixname.h"
#include "../standin.h"
#include <linux/socket.h>
#include <linux/un.h>

static long bind_real(struct task *t, int fd, uint32_t server, uint64_t node, char *path)
{
	struct sockaddr_un sun = { .sun_family = 1 /* AF_UNIX */ };
	long r = -EOPNOTSUPP;

	for (unsigned i = 0; standin_path(path, i, server, node); i++) {
		raw_syscall(__NR_unlink, path);
		memcpy(sun.sun_path, path, strlen(path) + 1);
		r = kernel_call(t, __NR_bind, fd, &sun, offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
		if (r != -ENOENT && r != -EACCES && r != -EROFS && r != -ENOTDIR)
			break;
	}
	return r;
}

static long show(struct where *w, uint64_t node, const char *path)
{
	struct um_slot *s;
	int error;
	long r;

	s = channel_begin(w->t, w->mount.server, UM_OP_STANDIN, &error);
	if (!s)
		return error;
	s->req.base = node;
	r = channel_path(s, "", 0);
	if (!r)
		r = channel_path2(s, path, strlen(path));
	return r ? r : channel_call_on(w->t, w->mount.server, s);
}

static void unmake(struct where *w)
{
	long r;
	struct um_slot *s = remote_begin(w, UM_OP_UNLINK, &r);

	if (s)
		channel_call_on(w->t, w->mount.server, s);
}

long unixname_bind(struct where *w, int fd)
{
	char path[UM_STANDIN_ROOM];
	struct um_slot *s;
	uint64_t node;
	long r;

	if (remote_is_root(w) || w->last != LAST_NAME)
		return -EADDRINUSE;
	s = remote_begin(w, UM_OP_MKNOD, &r);
	if (!s)
		return r;
	s->req.mode = S_IFSOCK | 0777;
	r = remote_call(w, s);
	if (r)
		return r == -EEXIST ? -EADDRINUSE : r;
	if (s->rep.status != UM_WALK_DONE)
		return -EIO;
	node = s->rep.node;
	r = bind_real(w->t, fd, w->mount.server, node, path);
	if (!r) {
		r = show(w, node, path);
		raw_syscall(__NR_unlink, path);
	}
	if (r)
		unmake(w);
	return r;
}

static long write_path(const struct um_slot *s, char *path, size_t size)
{
	int n = text_format(path, size, "/proc/%u/fd/%u", (unsigned)s->rep.offset, (unsigned)s->rep.size);

	return n < (int)size ? 0 : -ENAMETOOLONG;
}

long unixname_find(struct where *w, char *path, size_t size)
{
	long r;
	struct um_slot *s = remote_begin(w, UM_OP_STANDIN, &r);

	if (s)
		r = remote_call(w, s);
	return r ? r : write_path(s, path, size);
}

long unixname_translate(struct task *t, const char *address, char *path, size_t size)
{
	uint32_t server;
	uint64_t node;
	struct um_slot *s;
	int error;
	long r;

	if (!standin_parse(address, &server, &node))
		return -ENOENT;
	s = channel_begin(t, server, UM_OP_STANDIN, &error);
	if (!s)
		return -ECONNREFUSED;
	s->req.base = node;
	r = channel_path(s, "", 0);
	if (!r)
		r = channel_call(t, server, s);
	return r ? -ECONNREFUSED : write_path(s, path, size);
}
