/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Virtual files and their carriers.
 *
 * A carrier is made in three steps: a new open file description of the world file, its offset moved to
 * UM_LOCK(server, handle), and an OFD lock of one byte put there.  The kernel only allows a write lock on
 * what is open for writing, so a carrier of a file opened read-only holds a read lock; who tests with a
 * write lock (F_OFD_GETLK) sees both.  Nothing is ever read or written through a carrier: every call on
 * it is answered by the agent.  So the guest's own open flags can stand on it, and F_GETFL and F_SETFL
 * are the kernel's.
 */
#include <linux/fcntl.h>
#include "fd.h"
#include "path.h"
#include "view.h"
#include "fs/fuse.h"
#include "fs/remote.h"
#include "../agent/channel.h"

struct file *file_new(enum file_kind kind)
{
	struct file *f = heap_alloc(sizeof(*f));

	if (f) {
		f->refs = 1;
		f->kind = kind;
	}
	return f;
}

void file_get(struct file *f)
{
	__atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
}

void file_put(struct file *f)
{
	if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (f->conn)
		fuse_conn_leave(f->conn);
	heap_free(f->path);
	heap_free(f);
}

/* ---- what the server is asked about an open file -------------------------------------------------- */

/* Nothing that others can see happens when this file is closed: no FLUSH, no lock that goes, nobody who watches. */
static bool is_quiet(struct task *t, const struct file *f)
{
	int error;
	const struct um_server *head = f->flags & FILE_QUIET ? channel_server(t, f->server, &error) : NULL;

	return head && !__atomic_load_n(&head->nlocks, __ATOMIC_ACQUIRE) && !__atomic_load_n(&head->nmaps, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&head->shadow, __ATOMIC_ACQUIRE);
}

static long tell_closed(struct task *t, const struct file *f)
{
	struct um_slot *s;
	bool quiet;
	int error;

	quiet = is_quiet(t, f);
	if (quiet && ((!(f->flags & FILE_OVER) && carrier_is_open(f->server, f->handle)) || client_closed(f)))
		return 0;		/* in the first case who closes the last one tells */
	if (quiet && (f->open_flags & O_ACCMODE) == O_RDONLY && pages_closed(t, f) && channel_later(t, f->server, f->handle))
		return 0;
	s = channel_begin(t, f->server, UM_OP_CLOSED, &error);
	if (!s)
		return error;
	s->req.handle = f->handle;
	if (!quiet)
		return channel_call(t, f->server, s);
	s->req.open_flags = UM_CLOSED_QUIET;
	return channel_tell(t, f->server, s);
}

/* close(2) has an error only from FLUSH, and from what was stored in a mapping: without that, not even where the server is dead. */
long file_closed(struct task *t, struct file *f)
{
	long r;

	if (f->spare)
		carrier_forget(t, f);
	r = f->kind == FILE_REMOTE ? tell_closed(t, f) : 0;
	return f->flags & FILE_QUIET && r == -ENOTCONN ? 0 : r;
}

/* Appends the path within a mount ("/" = its root) to the path of the mount. */
static long join_mount(char *buf, size_t size, const char *in, size_t n)
{
	size_t len = strlen(buf);

	if (n == 1 && in[0] == '/')
		return (long)len;
	if (len == 1)
		len = 0;	/* mounted on "/" itself */
	if (len + n + 1 > size)
		return -ENAMETOOLONG;
	memcpy(buf + len, in, n);
	buf[len + n] = 0;
	return (long)(len + n);
}

static long ask_path(struct task *t, const struct file *f, char *buf, size_t size, bool removed_too)
{
	struct mount m;
	struct um_slot *s;
	size_t n;
	int error = view_mount_by_id(t, f->mount, &m, buf, size);

	if (error)
		return error == -ENOENT ? -ENOTCONN : error;	/* the mount is gone, not the file */
	s = channel_begin(t, f->server, UM_OP_PATHOF, &error);
	if (!s)
		return error;
	s->req.handle = f->handle;
	s->req.mode = removed_too;
	error = (int)channel_call(t, f->server, s);
	if (error)
		return error;
	n = s->rep.size;
	if (n && !s->data[n - 1])
		n--;
	if (!n || n >= UM_PATH_MAX || s->data[0] != '/')
		return -EIO;
	return join_mount(buf, size, (const char *)s->data, n);
}

long file_path(struct task *t, const struct file *f, char *buf, size_t size)
{
	long r;
	size_t n;

	if (f->kind == FILE_FUSE_DEVICE) {
		r = text_format(buf, size, "/dev/fuse");
		return r < (long)size ? r : -ENAMETOOLONG;
	}
	r = ask_path(t, f, buf, size, false);
	if (r >= 0 || r == -ENOENT || r == -ENAMETOOLONG || !f->path)
		return r;
	n = strlen(f->path);
	if (n >= size)
		return -ENAMETOOLONG;
	memcpy(buf, f->path, n + 1);
	return (long)n;
}

long file_path_removed(struct task *t, const struct file *f, char *buf, size_t size)
{
	return ask_path(t, f, buf, size, true);
}
