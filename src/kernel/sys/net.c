/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Socket calls that name a path or move descriptors: UNIX addresses go through the resolver, and what
 * arrives by SCM_RIGHTS may be the carrier of a virtual file.
 *
 * A name in a mounted file system stands for a socket elsewhere: sys/unixname.c.
 */
#include "calls.h"
#include "../fs/ident.h"
#include "unixname.h"
#include "../cow.h"
#include "../fs/real.h"
#include <linux/socket.h>
#include <linux/un.h>

#define AF_UNIX_	1
#define SOL_SOCKET_	1
#define SCM_RIGHTS_	1

/* What the guest passes to sendmsg and recvmsg. */
struct guest_msghdr {
	gaddr name;
	int namelen, pad1;
	gaddr iov;
	size_t iovlen;
	gaddr control;
	size_t controllen;
	unsigned flags, pad2;
};
_Static_assert(sizeof(struct guest_msghdr) == 56, "the kernel's user_msghdr");

struct guest_mmsghdr {
	struct guest_msghdr hdr;
	unsigned len, pad;
};

struct guest_cmsghdr {
	size_t len;
	int level, type;
};

/* ---- addresses -------------------------------------------------------------------------------------- */

/* An address that the kernel gets instead of the guest's. */
struct unix_address {
	struct sockaddr_un sun;
	int len;
	int dir_fd;		/* kept open while the address is used, -1: none */
	bool bound;		/* all has been done already */
};

static void address_done(struct unix_address *a)
{
	if (a->dir_fd >= 0)
		raw_syscall(__NR_close, a->dir_fd);
	a->dir_fd = -1;
}

/*
 * A path that does not fit into an address is reached through a descriptor of its directory.  Our thread's: only
 * where there is no room for that name the process's, whose first thread has the same table nearly always.
 */
static long address_shorten(struct unix_address *a, char *path)
{
	char *base = strrchr(path, '/');
	long fd;
	int n;

	if (!base)
		return -ENAMETOOLONG;
	*base++ = 0;
	fd = raw_syscall(__NR_openat, AT_FDCWD, *path ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	a->dir_fd = (int)fd;
	n = text_format(a->sun.sun_path, sizeof a->sun.sun_path, "/proc/thread-self/fd/%d/%s", (int)fd, base);
	if (n >= (int)sizeof a->sun.sun_path)
		n = text_format(a->sun.sun_path, sizeof a->sun.sun_path, "/proc/self/fd/%d/%s", (int)fd, base);
	return n < (int)sizeof a->sun.sun_path ? 0 : -ENAMETOOLONG;
}

static long address_set(struct unix_address *a, struct where *w, const char *own)
{
	char *path = (char *)w->upath;
	size_t len = strlen(path);
	long r = 0;

	if (w->dfd == AT_FDCWD && !strcmp(path, own))
		return 0;			/* as the guest has it */
	if (len < sizeof a->sun.sun_path)
		memcpy(a->sun.sun_path, path, len + 1);
	else
		r = address_shorten(a, path);
	a->len = (int)(offsetof(struct sockaddr_un, sun_path) + strlen(a->sun.sun_path) + 1);
	return r ? r : 1;
}

/* The socket's name lies in a mount. */
static long address_virtual(struct where *w, struct unix_address *a, int bind_fd, const char *own)
{
	long r;

	if (bind_fd >= 0) {
		r = unixname_bind(w, bind_fd, own);
		a->bound = !r;
		return r;
	}
	r = unixname_find(w, a->sun.sun_path, sizeof a->sun.sun_path);
	a->len = (int)(offsetof(struct sockaddr_un, sun_path) + strlen(a->sun.sun_path) + 1);
	return r ? r : 1;
}

/* The guest got this address from a socket that was bound in a mount.  0: it did not. */
static long address_standin(struct task *t, const char *path, struct unix_address *a)
{
	long r = unixname_translate(t, path, a->sun.sun_path, sizeof a->sun.sun_path);

	if (r)
		return r == -ENOENT ? 0 : r;
	a->len = (int)(offsetof(struct sockaddr_un, sun_path) + strlen(a->sun.sun_path) + 1);
	return 1;
}

/*
 * What the kernel should be given for this address: 0, the guest's own; 1, a->sun instead; or -errno.
 * bind_fd: the socket that bind(2) is about, else -1.
 */
static long address_resolve(struct task *t, gaddr addr, int length, struct unix_address *a, int bind_fd)
{
	bool create = bind_fd >= 0;
	char path[sizeof a->sun.sun_path + 1];
	struct where w;
	long r;

	a->dir_fd = -1;
	a->bound = false;
	memset(&a->sun, 0, sizeof a->sun);
	if (!addr || length <= (int)offsetof(struct sockaddr_un, sun_path) || length > (int)sizeof a->sun ||
	    (view_is_empty(t) && !t->fs->cwd && !t->fs->root && !t->cred))
		return 0;
	if (copy_from_guest(t, &a->sun, addr, (size_t)length) || a->sun.sun_family != AF_UNIX_ ||
	    !a->sun.sun_path[0])
		return 0;
	memcpy(path, a->sun.sun_path, sizeof a->sun.sun_path);
	path[sizeof a->sun.sun_path] = 0;
	r = create ? 0 : address_standin(t, path, a);
	if (r)
		return r;
	r = where_begin_path(&w, t, AT_FDCWD, path, create ? WHERE_ENTRY | WHERE_CREATE | WHERE_CHANGE : 0);
	while (where_next(&w, &r)) {
		if (create && w.read_only) {
			r = readonly_verdict(&w, CHANGE_NEW);
			r = r == -EEXIST ? -EADDRINUSE : r;
			continue;
		}
		if (w.fs == &remote_fs) {
			r = address_virtual(&w, a, bind_fd, path);
			continue;
		}
		r = !w.strict ? 0 : create ? perm_change(&w, CHANGE_NEW) : perm_have(&w, PERM_W);
		if (r)
			continue;
		r = w.cow ? cow_prepare(&w) : create ? 0 : real_check_link(&w);
		if (!r)
			r = address_set(a, &w, path);
	}
	r = where_end(&w, r);
	if (r < 0)
		address_done(a);
	return r;
}

/*
 * The name leads nowhere: r.  But what is wrong with fd comes first, and who sends over anything but datagrams need not
 * be told: 0, the kernel does not look at the name then.
 */
static long address_error(int fd, long r, bool sends)
{
	int type, size = sizeof type;
	long e = raw_syscall(__NR_getsockopt, fd, 1 /* SOL_SOCKET */, 3 /* SO_TYPE */, &type, &size);

	if (e)
		return e;
	return sends && type != 2 /* SOCK_DGRAM */ ? 0 : r;
}

static long call_with_address(struct task *t, long nr, int fd, gaddr addr, int length)
{
	struct unix_address a;
	long r;

	if (fd_is_ours(fd))
		return -EBADF;
	r = address_resolve(t, addr, length, &a, nr == __NR_bind ? fd : -1);
	if (r < 0)
		return address_error(fd, r, false);
	if (a.bound)
		return r;
	if (r)
		r = kernel_call(t, nr, fd, &a.sun, a.len);
	else
		r = kernel_call(t, nr, fd, addr, length);
	if (nr == __NR_bind && !r && has_identity(t) && a.sun.sun_path[0] && a.sun.sun_family == AF_UNIX_ && !a.sun.sun_path[sizeof a.sun.sun_path - 1])
		ident_bound(t, a.sun.sun_path);
	address_done(&a);
	return r;
}

long sys_bind(struct task *t, int fd, gaddr addr, int length)
{
	return call_with_address(t, __NR_bind, fd, addr, length);
}

long sys_connect(struct task *t, int fd, gaddr addr, int length)
{
	return call_with_address(t, __NR_connect, fd, addr, length);
}

long sys_sendto(struct task *t, int fd, gaddr buf, size_t count, unsigned flags, gaddr addr, int length)
{
	struct unix_address a;
	long r;

	if (fd_is_ours(fd))
		return -EBADF;
	r = address_resolve(t, addr, length, &a, -1);
	if (r < 0)
		r = address_error(fd, r, true);
	if (r < 0)
		return r;
	if (r)
		r = kernel_call(t, __NR_sendto, fd, buf, count, flags, &a.sun, a.len);
	else
		r = kernel_call(t, __NR_sendto, fd, buf, count, flags, addr, length);
	address_done(&a);
	return r;
}

/* ---- sendmsg ---------------------------------------------------------------------------------------- */

static bool any_is_ours(struct task *t, gaddr fds, size_t len)
{
	int fd;

	for (size_t done = 0; done + sizeof fd <= len; done += sizeof fd)
		if (!copy_from_guest(t, &fd, fds + done, sizeof fd) && !fd_pass(t, fd))
			return true;
	return false;
}

/*
 * Would a descriptor of the agent's be given away?  Virtual files are marked as given away.  What is wrong with the control data the
 * kernel says.
 */
static bool gives_ours(struct task *t, const struct guest_msghdr *h)
{
	struct guest_cmsghdr c;
	size_t at = 0;

	while (h->control && at + sizeof c <= h->controllen) {
		if (copy_from_guest(t, &c, h->control + at, sizeof c) || c.len < sizeof c ||
		    c.len > h->controllen - at)
			return false;
		if (c.level == SOL_SOCKET_ && c.type == SCM_RIGHTS_ &&
		    any_is_ours(t, h->control + at + sizeof c, c.len - sizeof c))
			return true;
		at += (c.len + 7) & ~(size_t)7;
	}
	return false;
}

long sys_sendmsg(struct task *t, int fd, gaddr msg, unsigned flags)
{
	struct guest_msghdr h;
	struct unix_address a;
	long r;

	if (fd_is_ours(fd))
		return -EBADF;
	if (copy_from_guest(t, &h, msg, sizeof h))
		return address_error(fd, -EFAULT, false);
	if (gives_ours(t, &h))
		return -EBADF;
	r = address_resolve(t, h.name, h.namelen, &a, -1);
	if (r < 0)
		r = address_error(fd, r, true);
	if (r < 0)
		return r;
	if (!r)
		return kernel_call(t, __NR_sendmsg, fd, msg, flags);
	h.name = (gaddr)&a.sun;
	h.namelen = a.len;
	r = kernel_call(t, __NR_sendmsg, fd, &h, flags);
	address_done(&a);
	return r;
}

/* Must we look at any of the messages?  Most often none has an address at all, nor descriptors. */
static bool any_concerns_us(struct task *t, gaddr msgs, unsigned count)
{
	struct guest_msghdr h;

	for (unsigned i = 0; i < count && i < UIO_MAXIOV; i++) {
		if (copy_from_guest(t, &h, msgs + i * sizeof(struct guest_mmsghdr), sizeof h))
			return false;
		if ((h.name && !view_is_empty(t)) || gives_ours(t, &h))
			return true;
	}
	return false;
}

/* If so, one by one.  As in the kernel an error after the first message is the next call's. */
long sys_sendmmsg(struct task *t, int fd, gaddr msgs, unsigned count, unsigned flags)
{
	unsigned sent = 0;
	long r = 0;

	if (!any_concerns_us(t, msgs, count))
		return real_call(t, __NR_sendmmsg, fd, msgs, count, flags);
	while (sent < count && sent < UIO_MAXIOV) {
		gaddr at = msgs + sent * sizeof(struct guest_mmsghdr);
		unsigned len;

		r = sys_sendmsg(t, fd, at, flags);
		if (r < 0)
			break;
		len = (unsigned)r;
		if (copy_to_guest(t, at + offsetof(struct guest_mmsghdr, len), &len, sizeof len)) {
			r = -EFAULT;
			break;
		}
		sent++;
	}
	return sent ? (long)sent : r;
}

/* ---- recvmsg ---------------------------------------------------------------------------------------- */

static void adopt_descriptors(struct task *t, gaddr at, size_t len)
{
	for (size_t done = 0; done + sizeof(int) <= len; done += sizeof(int)) {
		int fd;

		if (copy_from_guest(t, &fd, at + done, sizeof fd))
			return;
		fd_adopt(t, fd);
	}
}

/* The control data of a received message, as the kernel has filled it in. */
static void adopt_rights(struct task *t, gaddr msg)
{
	struct guest_msghdr h;
	struct guest_cmsghdr c;
	size_t at = 0;

	if (copy_from_guest(t, &h, msg, sizeof h))
		return;
	while (at + sizeof c <= h.controllen) {
		if (copy_from_guest(t, &c, h.control + at, sizeof c) || c.len < sizeof c ||
		    c.len > h.controllen - at)
			return;
		if (c.level == SOL_SOCKET_ && c.type == SCM_RIGHTS_)
			adopt_descriptors(t, h.control + at + sizeof c, c.len - sizeof c);
		at += (c.len + 7) & ~(size_t)7;
	}
}

long sys_recvmsg(struct task *t, int fd, gaddr msg, unsigned flags)
{
	long r = real_call(t, __NR_recvmsg, fd, msg, flags);

	if (r >= 0)
		adopt_rights(t, msg);
	return r;
}

long sys_recvmmsg(struct task *t, int fd, gaddr msgs, unsigned count, unsigned flags, gaddr timeout)
{
	long n = real_call(t, __NR_recvmmsg, fd, msgs, count, flags, timeout);

	for (long i = 0; i < n; i++)
		adopt_rights(t, msgs + (gaddr)i * sizeof(struct guest_mmsghdr));
	return n;
}
