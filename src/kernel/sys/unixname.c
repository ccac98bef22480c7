/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UNIX sockets with names in mounted file systems.
 *
 * bind makes the name at the server (MKNOD), binds the guest's socket to a real name of our own, shows that
 * to the server's agent, which keeps hold of it (fs/fuse_standin.c), and removes it.  connect and send ask
 * the agent, and are given /proc/PID/fd/N.  The socket itself knows only the name of our own, which is
 * what accept and recvfrom tell; sent to, it is translated.  getsockname and getpeername ask the agent for the true one.
 */
#include "calls.h"
#include "../cow.h"
#include "unixname.h"
#include "../standin.h"
#include <linux/socket.h>
#include <linux/un.h>

#define NAME_MOST	sizeof ((struct sockaddr_un *)0)->sun_path

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

static long show(struct where *w, uint64_t node, const char *path, const char *name)
{
	const size_t path_len = strlen(path) + 1, name_len = strlen(name);
	char both[UM_STANDIN_ROOM + NAME_MOST];
	struct um_slot *s;
	int error;
	long r;

	s = channel_begin(w->t, w->mount.server, UM_OP_STANDIN, &error);
	if (!s)
		return error;
	s->req.base = node;
	memcpy(both, path, path_len);
	memcpy(both + path_len, name, name_len);
	r = channel_path(s, "", 0);
	if (!r)
		r = channel_path2(s, both, path_len + name_len);
	return r ? r : channel_call_on(w->t, w->mount.server, s);
}

static void unmake(struct where *w)
{
	long r;
	struct um_slot *s = remote_begin(w, UM_OP_UNLINK, &r);

	if (s)
		channel_call_on(w->t, w->mount.server, s);
}

long unixname_bind(struct where *w, int fd, const char *name)
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
		r = show(w, node, path, name);
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

/* Asks the server's agent about an address of our own.  -ENOENT: it is none. */
static long ask(struct task *t, const char *address, struct um_slot **s)
{
	uint32_t server;
	uint64_t node;
	int error;
	long r;

	if (!standin_parse(address, &server, &node))
		return -ENOENT;
	*s = channel_begin(t, server, UM_OP_STANDIN, &error);
	if (!*s)
		return -ECONNREFUSED;
	(*s)->req.base = node;
	r = channel_path(*s, "", 0);
	if (!r)
		r = channel_call(t, server, *s);
	return r ? -ECONNREFUSED : 0;
}

long unixname_translate(struct task *t, const char *address, char *path, size_t size)
{
	struct um_slot *s;
	long r = ask(t, address, &s);

	return r ? r : write_path(s, path, size);
}

/* ---- what a socket is called ------------------------------------------------------------------------- */

union address {
	struct sockaddr_un un;
	char room[128];		/* the longest there is */
};

/* A name in the tree of a copy-on-write mount becomes that in the view, if there is room for it. */
static bool from_tree(union address *a, int *len)
{
	char *path;
	long n = (long)strlen(a->un.sun_path);
	bool copied;

	if (!view_has(UM_MOUNT_COW) || !(path = heap_copy(a->un.sun_path, (size_t)n, UM_PATH_MAX)))
		return false;
	copied = cow_to_view(path, &n, UM_PATH_MAX);
	if (copied && n > 0 && n <= (long)NAME_MOST) {
		memcpy(a->un.sun_path, path, (size_t)n + 1);
		*len = (int)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + 1);
	}
	heap_free(path);
	return copied;
}

/* Puts the guest's own name in place of ours, as long as the socket has it. */
static void rename_address(struct task *t, union address *a, int *len)
{
	struct um_slot *s;
	uint32_t n;

	if (*len <= (int)offsetof(struct sockaddr_un, sun_path) || *len >= (int)sizeof(a->room) ||
	    a->un.sun_family != 1 /* AF_UNIX */ || a->un.sun_path[0] != '/')
		return;
	a->room[*len] = 0;
	if (from_tree(a, len) || ask(t, a->un.sun_path, &s))
		return;
	n = s->rep.consumed;
	if (!n || n > NAME_MOST)
		return;
	memcpy(a->un.sun_path, s->data, n);
	a->un.sun_path[n] = 0;
	*len = (int)(offsetof(struct sockaddr_un, sun_path) + n + 1);
}

static long name_of(struct task *t, long nr, int fd, gaddr addr, gaddr length)
{
	union address a;
	int len = sizeof(a.room), room;
	long r;

	if (fd_is_ours(fd))
		return -EBADF;
	if (view_is_empty(t))
		return kernel_call(t, nr, fd, addr, length);
	r = kernel_call(t, nr, fd, &a, &len);
	if (r)
		return r;
	rename_address(t, &a, &len);
	if (copy_from_guest(t, &room, length, sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if (copy_to_guest(t, addr, &a, (size_t)(room < len ? room : len)))
		return -EFAULT;
	return copy_to_guest(t, length, &len, sizeof(len)) ? -EFAULT : 0;
}

long sys_getsockname(struct task *t, int fd, gaddr addr, gaddr length)
{
	return name_of(t, __NR_getsockname, fd, addr, length);
}

long sys_getpeername(struct task *t, int fd, gaddr addr, gaddr length)
{
	return name_of(t, __NR_getpeername, fd, addr, length);
}
