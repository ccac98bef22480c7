/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor table over exec.  It travels as text, one item per descriptor, numbers in decimal:
 *
 *	fd:server:handle:kind:mount:mode:open_flags:flags:node/2^32:node%2^32,
 *
 * an 'x' in front of fd: exec closes this one, its server is to be told.  Then the real ones that were reached through
 * bind mounts:
 *
 *	bfd:bind:bound:read_only,
 *
 * A text that is too long for an argument goes in a file (carry.h).
 */
#include <linux/fcntl.h>
#include "carry.h"
#include "fd.h"
#include "path_walk.h"
#include "fs/fuse.h"

/* Writes one item; 0 if it did not fit.  Others may have the same description: what has crossed exec is not used again (carrier.c). */
static size_t describe(char *buf, size_t size, int fd, const struct file *f, bool closes)
{
	int n = text_format(buf, size, "%s%d:%u:%u:%u:%u:%u:%u:%u:%u:%u,", closes ? "x" : "", fd, f->server,
			    f->handle, (unsigned)f->kind, f->mount, f->mode, f->open_flags, f->flags | FILE_PASSED,
			    (unsigned)(f->node >> 32), (unsigned)f->node);

	return (size_t)n < size ? (size_t)n : 0;
}

static int describe_bound(struct files *fs, char *buf, size_t size)
{
	size_t len = 0;

	for (int fd = 0; fd < fs->nhints; fd++) {
		const struct dir_hint *h = fs->hints[fd];
		long flags = h && (h->bind || h->read_only) ? raw_syscall(__NR_fcntl, fd, F_GETFD) : -1;
		size_t n;

		if (flags < 0 || flags & FD_CLOEXEC)
			continue;
		n = (size_t)text_format(buf + len, size - len, "b%d:%u:%u:%d,", fd, h->bind, h->bound,
				       h->read_only);
		if (n >= size - len)
			return -ENOSPC;
		len += n;
	}
	buf[len] = 0;
	return (int)len;
}

int files_describe(struct files *fs, char *buf, size_t size)
{
	size_t len = 0;

	if (!size)
		return -ENOSPC;
	buf[0] = 0;
	for (int fd = 0; fd < fs->size; fd++) {
		const struct file *f = fs->tab[fd];
		long flags = f ? raw_syscall(__NR_fcntl, fd, F_GETFD) : -1;
		size_t n;

		if (flags < 0)
			continue;
		n = describe(buf + len, size - len, fd, f, flags & FD_CLOEXEC);
		if (!n)
			return -ENOSPC;
		len += n;
	}
	int bound = describe_bound(fs, buf + len, size - len);
	return bound < 0 ? bound : (int)len + bound;
}

/* No item is longer, with all its numbers. */
#define ITEM_MOST	128u

int files_carry(struct files *fs)
{
	size_t items = 1;
	char *text;
	int r;

	for (int fd = 0; fd < fs->size; fd++)
		items += fs->tab[fd] != NULL;
	for (int fd = 0; fd < fs->nhints; fd++)
		items += fs->hints[fd] && (fs->hints[fd]->bind || fs->hints[fd]->read_only);
	text = heap_alloc(items * ITEM_MOST);
	if (!text)
		return -ENOMEM;
	r = files_describe(fs, text, items * ITEM_MOST);
	if (r >= 0)
		r = carry_out(text, (size_t)r + 1);
	heap_free(text);
	return r;
}

enum { ITEM_FD, ITEM_SERVER, ITEM_HANDLE, ITEM_KIND, ITEM_MOUNT, ITEM_MODE, ITEM_OPEN, ITEM_FLAGS, ITEM_HI, ITEM_LO,
       ITEM_FIELDS };

/* Reads the fields of one item and the comma; false when that is not what is there. */
static bool parse(const char **s, long *field, int fields)
{
	for (int i = 0; i < fields; i++) {
		field[i] = text_number(s);
		if (field[i] < 0 || *(*s)++ != (i == fields - 1 ? ',' : ':'))
			return false;
	}
	return field[ITEM_FD] <= 1 << 20;
}

/* Descriptors that were duplicates are duplicates again. */
static struct file *find_same(struct files *fs, const long *field)
{
	for (int fd = 0; fd < fs->size; fd++) {
		struct file *f = fs->tab[fd];

		if (f && f->server == field[ITEM_SERVER] && f->handle == field[ITEM_HANDLE]) {
			file_get(f);
			return f;
		}
	}
	return NULL;
}

static struct file *rebuild(struct files *fs, const long *field)
{
	struct file *f = find_same(fs, field);

	if (f)
		return f;
	f = file_new((enum file_kind)field[ITEM_KIND]);
	if (!f)
		return NULL;
	f->server = (uint32_t)field[ITEM_SERVER];
	f->handle = (uint32_t)field[ITEM_HANDLE];
	f->mount = (uint32_t)field[ITEM_MOUNT];
	f->mode = (uint32_t)field[ITEM_MODE];
	f->open_flags = (uint32_t)field[ITEM_OPEN];
	f->flags = (uint32_t)field[ITEM_FLAGS];
	f->node = (uint64_t)field[ITEM_HI] << 32 | (uint32_t)field[ITEM_LO];
	if (f->kind == FILE_FUSE_DEVICE)
		f->conn = fuse_conn_join(f->server);
	return f;
}

static void note_gone(struct files *fs, const long *field)
{
	if (field[ITEM_KIND] != FILE_REMOTE || fs->ngone == (int)(sizeof(fs->gone) / sizeof(fs->gone[0])))
		return;		/* too many: the server will find out by the lock */
	fs->gone[fs->ngone][0] = (uint32_t)field[ITEM_SERVER];
	fs->gone[fs->ngone++][1] = (uint32_t)field[ITEM_HANDLE];
}

static int restore_bound(struct files *fs, const char *text)
{
	long field[4];

	while (*text == 'b') {
		text++;
		if (!parse(&text, field, 4))
			return -EINVAL;
		if (!hints_add(fs, (int)field[0], (uint32_t)field[1], (uint32_t)field[2], field[3] != 0))
			return -ENOMEM;
	}
	return 0;
}

int files_restore(struct files *fs, const char *text)
{
	long field[ITEM_FIELDS];

	while (*text && *text != ' ' && *text != 'b') {
		bool closed = *text == 'x';
		struct file *f, *old;
		int r;

		text += closed;
		if (!parse(&text, field, ITEM_FIELDS) || field[ITEM_KIND] > FILE_FUSE_DEVICE)
			return -EINVAL;
		if (closed) {
			note_gone(fs, field);
			continue;
		}
		f = rebuild(fs, field);
		if (!f)
			return -ENOMEM;
		r = files_set(fs, (int)field[ITEM_FD], f, &old);
		if (r)
			return r;
		file_put(old);
	}
	return restore_bound(fs, text);
}

int files_carried(struct files *fs, int fd)
{
	size_t size;
	char *text = carry_in(fd, &size);
	int r = !text ? -ENOMEM : size && !text[size - 1] ? files_restore(fs, text) : -EINVAL;

	heap_free(text);
	return r;
}

void files_after_exec(struct task *t)
{
	struct files *fs = t->files;

	for (int i = 0; i < fs->ngone; i++) {
		struct file f = { .kind = FILE_REMOTE, .server = fs->gone[i][0], .handle = fs->gone[i][1] };

		file_closed(t, &f);
	}
	fs->ngone = 0;
}
