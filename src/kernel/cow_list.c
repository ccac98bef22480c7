/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listings of merged directories: the names in the tree, then those below that the tree does not hide.
 *
 * The descriptor is the kernel's, of the directory in the tree (or of the one below, if it was opened before that one was made),
 * but its listing is made here, as a whole, when it is read for the first time, and again after a rewind: as with
 * overlayfs.  One that is copied while it is being read is read to its end as the kernel began it.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "dir_list.h"
#include "path_walk.h"
#include "fs/dirents.h"

#define CHUNK		(32u << 10)
#define LIST_TRIES	20u

/* What is being put together. */
struct builder {
	const struct cow *c;
	int atime;		/* of the directory in the tree: O_NOATIME or 0 */
	struct dir_list *l;
	struct dir_names names;	/* in the tree */
	uint8_t *chunk;
};

/* ---- the listing ----------------------------------------------------------------------------------------- */

/* A copy is shown as what it is a copy of. */
static uint64_t shown_inode(const struct cow *c, uint64_t ino)
{
	struct vstat v;

	return vtable_get(&c->inodes, c->dev, ino, &v) && v.have & UM_VS_ORIGIN ? v.origin_ino : ino;
}

static bool take(struct builder *b, int fd, struct linux_dirent64 *d, bool up)
{
	if (up)
		return dir_names_add(&b->names, d->d_name) &&
		       (cow_entry_is_whiteout(b->c, fd, d) || dir_list_add(b->l, d, shown_inode(b->c, d->d_ino)));
	return dir_is_dots(d->d_name) || dir_names_have(&b->names, d->d_name) || dir_list_add(b->l, d, d->d_ino);
}

/* atime: O_NOATIME, or 0 if the guest's reading is to be seen. */
static long open_dir(const char *path, int atime)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	long fd = raw_syscall(__NR_openat, AT_FDCWD, path, flags | atime, 0);

	return fd == -EPERM && atime ? raw_syscall(__NR_openat, AT_FDCWD, path, flags, 0) : fd;
}

static long read_all(struct builder *b, const char *path, bool up)
{
	long n, fd = open_dir(path, up ? b->atime : O_NOATIME);

	if (fd < 0)
		return up ? fd : 0;	/* gone, or not to be read: nothing */
	while ((n = raw_syscall(__NR_getdents64, fd, b->chunk, CHUNK)) > 0)
		for (long at = 0; at < n && n > 0; at += ((struct linux_dirent64 *)(b->chunk + at))->d_reclen)
			if (!take(b, (int)fd, (struct linux_dirent64 *)(b->chunk + at), up))
				n = -ENOMEM;
	raw_syscall(__NR_close, fd);
	return n;
}

struct dir_list *cow_list_make(const struct cow *c, const char *rel, bool up, bool low, int atime, long *error)
{
	struct builder b = { .c = c, .atime = atime, .l = dir_list_new(), .chunk = heap_alloc(CHUNK) };
	char *path = heap_alloc(UM_PATH_MAX);
	long r = b.l && b.chunk && path ? 0 : -ENOMEM;

	if (!r && up)
		r = cow_up_path(c, path, rel);
	if (!r && up)
		r = read_all(&b, path, true);
	if (!r && low)
		r = cow_low_dir(c, path, rel);
	if (!r && low)
		r = read_all(&b, path, false);
	heap_free(path);
	heap_free(b.chunk);
	dir_names_free(&b.names);
	*error = r;
	if (!r)
		return b.l;
	dir_list_put(b.l);
	return NULL;
}

long cow_check_empty(const struct cow *c, const char *rel, const struct stat *up, bool has_low)
{
	struct dir_list *l;
	size_t at = 0;
	long r;

	if (up && cow_dir_flags(c, up))
		has_low = cow_dir_flags(c, up) & UM_VSF_REDIRECT;
	l = cow_list_make(c, rel, up, has_low, O_NOATIME, &r);
	if (l && dir_list_next(l, &at))
		r = -ENOTEMPTY;
	dir_list_put(l);
	return r;
}

/* ---- reading it ------------------------------------------------------------------------------------------ */

/* What is in fd now, if it is a merged directory of which nothing has been read. */
static struct dir_list *list_now(struct task *t, int fd, int atime, char *path, long *error)
{
	long n = base_path(t, fd, view_generation(t), path, UM_PATH_MAX);
	const char *rel;
	struct cow *c = n > 0 ? cow_merged_at(t, path, (size_t)n, &rel) : NULL;

	if (!c || raw_syscall(__NR_lseek, fd, 0, 1 /* SEEK_CUR */) > 0)		/* the kernel goes on with what it has begun */
		return NULL;
	return cow_list_make(c, rel, true, true, atime, error);
}

/* A list for fd, if it is a merged directory.  Where that is, and what it hides, is to be the same before and after. */
static struct dir_list *make_list(struct task *t, int fd, long *error)
{
	long flags = raw_syscall(__NR_fcntl, fd, F_GETFL);
	struct dir_list *fresh = NULL, *l = NULL;
	char *path = flags < 0 || flags & O_PATH ? NULL : heap_alloc(UM_PATH_MAX);
	uint32_t changes;

	*error = 0;
	for (unsigned tries = 0; path && tries < LIST_TRIES; tries++) {
		dir_list_put(fresh);
		*error = 0;
		changes = cow_changes(t);
		fresh = list_now(t, fd, (int)flags & O_NOATIME, path, error);
		if (!cow_changed_since(changes))
			break;
	}
	if (fresh)
		l = dir_list_of(t, fd, fresh);
	if (fresh && !l)
		*error = -ENOMEM;
	dir_list_put(fresh);
	heap_free(path);
	return l;
}

bool cow_getdents(struct task *t, int fd, gaddr buf, unsigned count, bool legacy, long *r)
{
	return view_has(UM_MOUNT_COW) && fd >= 0 && !fd_is_ours(fd) &&
	       dir_list_getdents(t, fd, buf, count, legacy, make_list, r);
}
