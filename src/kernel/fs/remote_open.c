/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening and closing files of mounted file systems, and the virtual working directory.
 *
 * An open file is a handle at the server; a carrier (kernel/file.h) makes it a descriptor.  Order matters
 * at both ends: the server opens first, then the carrier is made (until then nothing but our own word
 * keeps the handle); at close the carrier goes first, then the server is told, and looks whether that
 * was the last one.  What needs no asking is remote_client.c's.
 */
#include "remote.h"

#define OPEN_ONCE	(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC)	/* no part of F_GETFL */

/*
 * What may be opened.  The server has looked already; this is for servers that did not.  Devices would
 * need a driver: EACCES (as on a nodev mount).
 */
static long open_verdict(const struct um_attr *a, int flags)
{
	uint32_t type = a->mode & S_IFMT;

	if (flags & O_DIRECTORY && type != S_IFDIR)
		return -ENOTDIR;
	if (flags & O_PATH)
		return 0;
	switch (type) {
	case S_IFREG:
		return 0;
	case S_IFDIR:
		return (flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_TRUNC) ? -EISDIR : 0;
	case S_IFLNK:
		return -ELOOP;
	case S_IFCHR:
	case S_IFBLK:
		return -EACCES;
	default:
		return -ENXIO;
	}
}

/* The canonical path of w without the slash at its end. */
static char *path_copy(const struct where *w)
{
	size_t len = strlen(w->path);

	while (len > 1 && w->path[len - 1] == '/')
		len--;
	return heap_strndup(w->path, len);
}

struct file *remote_file_new(const struct where *w, int flags)
{
	struct file *f = file_new(FILE_REMOTE);

	if (!f)
		return NULL;
	f->server = w->mount.server;
	f->mount = w->mount.id;
	f->open_flags = (uint32_t)(flags & ~OPEN_ONCE);
	f->flags = (flags & O_PATH ? FILE_PATH : 0) | (w->read_only ? FILE_RDONLY : 0);
	return f;
}

static long open_request(struct where *w, int flags, unsigned mode, struct um_reply *rep)
{
	long r;
	struct um_slot *s = remote_begin(w, UM_OP_OPEN, &r);

	if (!s)
		return r;
	s->req.open_flags = (uint32_t)flags;
	s->req.mode = mode & 07777;
	r = remote_call(w, s);
	if (!r)
		*rep = s->rep;
	return r;
}

/* fuse_standin.c has a real FIFO for us: opening that may block, as it must. */
static long open_standin(struct where *w, const struct um_reply *rep, int flags)
{
	char path[48];

	text_format(path, sizeof path, "/proc/%u/fd/%u", (unsigned)rep->offset, (unsigned)rep->size);
	return kernel_call(w->t, __NR_openat, AT_FDCWD, path, flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW), 0);
}

/* As remote_open_file(); of a FIFO there is no *out, and the result is UM_STANDIN. */
#define UM_STANDIN	1
static long open_file(struct where *w, int flags, unsigned mode, struct um_reply *rep, struct file **out)
{
	struct file *f;
	long r;

	if (flags & O_PATH)
		flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY) ||
	    ((flags & O_TMPFILE) == O_TMPFILE && (flags & O_ACCMODE) == O_RDONLY))
		return -EINVAL;
	f = remote_file_new(w, flags);
	if (!f)
		return -ENOMEM;
	r = open_request(w, flags, mode, rep);
	if (r || rep->open_reply & UM_OPEN_STANDIN) {
		file_put(f);
		return r ? r : UM_STANDIN;
	}
	f->handle = rep->handle;
	f->mode = rep->attr.mode & S_IFMT;
	f->flags |= rep->open_reply & UM_OPEN_QUIET ? FILE_QUIET : 0;
	f->node = rep->node;
	r = open_verdict(&rep->attr, rep->created ? flags & ~(O_CREAT | O_TRUNC) : flags);
	if (!r && S_ISDIR(f->mode) && !(f->path = path_copy(w)))
		r = -ENOMEM;
	if (r)
		remote_close(w->t, f);
	else
		*out = f;
	return r;
}

long remote_open_file(struct where *w, int flags, unsigned mode, struct file **out)
{
	struct um_reply rep = { 0 };
	long r = open_file(w, flags, mode, &rep, out);

	return r == UM_STANDIN ? -EACCES : r;
}

/* As open_file(), without asking where that can be. */
static long open_any(struct where *w, int flags, unsigned mode, struct um_reply *rep, struct file **out)
{
	long r = client_open(w, flags, out);

	if (r <= 0)
		return r ? r : open_file(w, flags, mode, rep, out);
	if (!S_ISDIR((*out)->mode) || ((*out)->path = path_copy(w)))
		return 0;
	remote_close(w->t, *out);
	return -ENOMEM;
}

long remote_open(struct where *w, int flags, unsigned mode)
{
	struct um_reply rep = { 0 };
	struct file *f;
	long r = flags & (O_CREAT | O_TRUNC) ? fd_has_room() : 0;	/* before the server makes or truncates something */
	int fd;

	if (!r)
		r = open_any(w, flags, mode, &rep, &f);
	if (r == UM_STANDIN)
		return open_standin(w, &rep, flags);
	if (r)
		return r;
	fd = carrier_open_for(w->t, f, flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_DIRECTORY));
	if (fd < 0) {
		remote_close(w->t, f);
		return fd;
	}
	r = fd_install(w->t, fd, f);
	if (r) {
		raw_syscall(__NR_close, fd);
		remote_close(w->t, f);
		return r;
	}
	client_opened(f);
	return fd;
}

long remote_open_path(struct task *t, const char *path, int flags, struct file **out)
{
	struct where w;
	long r = where_begin_path(&w, t, AT_FDCWD, path, flags & O_NOFOLLOW ? WHERE_NOFOLLOW : 0);

	while (where_next(&w, &r))
		r = w.fs == &remote_fs ? remote_open_file(&w, flags, 0, out) : -EXDEV;
	return where_end(&w, r);
}

/* The descriptor is gone whatever happened, so the call is never executed again. */
long remote_close(struct task *t, struct file *f)
{
	long r = file_closed(t, f);

	file_put(f);
	return r == -UM_ERESTART ? -EINTR : r;
}

/* fsinfo_set_cwd() makes the carrier and takes a reference, whatever its result; ours is for the rest. */
long remote_enter(struct task *t, struct file *f)
{
	long r;

	if (f->kind != FILE_REMOTE || !S_ISDIR(f->mode))
		return -ENOTDIR;
	r = file_access(t, f, 1);
	if (r)
		return r;
	file_get(f);
	return fsinfo_set_cwd(t, f);
}

long remote_chdir(struct where *w)
{
	struct file *f;
	long r = remote_open_file(w, O_PATH | O_DIRECTORY, 0, &f);

	if (r)
		return r;
	r = remote_enter(w->t, f);
	if (r)
		remote_close(w->t, f);
	else
		file_put(f);
	return r;
}
