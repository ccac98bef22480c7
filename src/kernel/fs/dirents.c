/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of directories, less the names that are hidden.
 *
 * Only a directory with a mount below it can have a hidden name in it, and which have one the mount table says at one
 * look; so all others cost nothing but that.
 */
#include "dirents.h"
#include "../cow.h"
#include "../path_walk.h"

#define NAME_LONGEST	UM_NAME_MOST

long dirents_drop(struct task *t, gaddr buf, long n, bool legacy, bool (*drop)(const void *arg, const char *name),
		  const void *arg)
{
	size_t name_at = legacy ? 18 : 19;
	char record[NAME_LONGEST + 1 + 24 + 8];
	long kept = 0;

	for (long at = 0; at < n; ) {
		uint16_t reclen;

		if (copy_from_guest(t, &reclen, buf + (gaddr)at + 16, sizeof(reclen)) || reclen <= name_at ||
		    reclen > sizeof(record) || copy_from_guest(t, record, buf + (gaddr)at, reclen))
			return n;
		if (!legacy)
			record[reclen - 1] = 0;		/* else it is the type, and a NUL stands before it */
		if (!drop(arg, record + name_at)) {
			if (kept != at && copy_to_guest(t, buf + (gaddr)kept, record, reclen))
				return n;
			kept += reclen;
		}
		at += reclen;
	}
	return kept;
}

/* A directory as the view knows it, and as it is known at the other end of a bind mount. */
struct hiding {
	char path[2][UM_PATH_MAX + NAME_LONGEST + 2];
	size_t len[2];			/* with the slash before the names; 0: nothing can be hidden by it */
	uint32_t epoch[2];
};

static void add_path(struct hiding *h, int i, uint32_t epoch, long n)
{
	struct mount m;

	h->len[i] = 0;
	if (n <= 0 || view_lookup_at(epoch, h->path[i], (size_t)n, &m) == VIEW_PLAIN)
		return;
	h->epoch[i] = epoch;
	h->len[i] = n == 1 ? 1 : (size_t)n + 1;
	h->path[i][h->len[i] - 1] = '/';
}

static bool is_hidden(const void *arg, const char *name)
{
	struct hiding *h = (struct hiding *)arg;
	size_t n = strlen(name);
	struct mount m;

	if (n > NAME_LONGEST || (name[0] == '.' && (n == 1 || (n == 2 && name[1] == '.'))))
		return false;
	for (int i = 0; i < 2; i++) {
		if (!h->len[i])
			continue;
		memcpy(h->path[i] + h->len[i], name, n);
		if (view_lookup_at(h->epoch[i], h->path[i], h->len[i] + n, &m) == VIEW_MOUNT && m.kind == UM_MOUNT_HIDE)
			return true;
	}
	return false;
}

static long hide(struct task *t, struct hiding *h, gaddr buf, long n, bool legacy)
{
	if (!h->len[0] && !h->len[1])
		return n;
	return dirents_drop(t, buf, n, legacy, is_hidden, h);
}

long dirents_hide_real(struct task *t, int fd, gaddr buf, long n, bool legacy)
{
	uint64_t generation = view_generation(t);
	struct hiding h;
	struct mount m;
	struct base b;
	uint32_t bound, bind;
	long n_there;

	if (base_find(t, fd, generation, &b) || b.plain)
		return n;
	add_path(&h, 0, t->epoch, base_path(t, fd, generation, h.path[0], UM_PATH_MAX));
	bind = base_bind(t, fd, &bound);
	h.len[1] = 0;
	if (bind && !view_mount_by_id(t, bind, &m, NULL, 0)) {
		n_there = base_backing(fd, h.path[1], UM_PATH_MAX);
		cow_to_view(h.path[1], &n_there, UM_PATH_MAX);
		add_path(&h, 1, m.epoch, n_there);
	}
	return hide(t, &h, buf, n, legacy);
}

long dirents_hide(struct task *t, struct file *dir, gaddr buf, long n, bool legacy)
{
	struct hiding h;

	add_path(&h, 0, t->epoch, file_path(t, dir, h.path[0], UM_PATH_MAX));
	h.len[1] = 0;
	return hide(t, &h, buf, n, legacy);
}

/*
 * Both forms of a record have the same size: the new one has the type where the old one's name
 * starts, the old one has it in the record's last byte.
 */
void dirents_to_legacy(uint8_t *data, size_t size)
{
	size_t at = 0;

	const size_t name = offsetof(struct linux_dirent64, d_name);

	while (at + name < size) {
		struct linux_dirent64 *d = (struct linux_dirent64 *)(data + at);
		uint8_t *old_name = data + at + offsetof(struct linux_dirent64, d_type);
		uint8_t type = d->d_type;
		size_t reclen = d->d_reclen;

		if (reclen <= name || reclen > size - at)
			return;
		memmove(old_name, old_name + 1, reclen - name);
		data[at + reclen - 1] = type;
		at += reclen;
	}
}
