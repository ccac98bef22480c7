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
#include "gone.h"
#include "path_walk.h"
#include "fs/dirents.h"
#include "fs/remote.h"

#define CHUNK		(32u << 10)
#define SEEK_CUR	1
#define LIST_TRIES	20u

/* What is being put together. */
struct builder {
	const struct cow *c;
	int atime;		/* of the directory in the tree: O_NOATIME or 0 */
	struct dir_list *l;
	struct dir_names names;	/* in the tree, or noted to have gone: of those below they do not show */
	uint8_t *chunk;
};

/* ---- the listing ----------------------------------------------------------------------------------------- */

/* A copy is shown as what it is a copy of. */
static uint64_t shown_inode(const struct cow *c, uint64_t ino)
{
	struct vstat v;

	return vtable_get(&c->inodes, c->dev, ino, &v) && v.have & UM_VS_ORIGIN ? v.origin_ino : ino;
}

static bool take(struct builder *b, int fd, struct linux_dirent64 *d)
{
	return (dir_names_have(&b->names, d->d_name) || dir_names_add(&b->names, d->d_name)) &&
	       (cow_entry_is_whiteout(b->c, fd, d) || dir_list_add(b->l, d, shown_inode(b->c, d->d_ino)));
}

static bool take_low(void *to, struct linux_dirent64 *d)
{
	struct builder *b = to;

	return dir_is_dots(d->d_name) || dir_names_have(&b->names, d->d_name) || dir_list_add(b->l, d, d->d_ino);
}

static bool take_gone(void *to, const char *name)
{
	struct builder *b = to;

	return dir_names_have(&b->names, name) || dir_names_add(&b->names, name);
}

/* Before the tree is read: what becomes a whiteout meanwhile is known then. */
static bool read_gone(struct task *t, struct builder *b, struct cow *c, const char *rel)
{
	for (unsigned tries = 0; c->gone && gone_any(c->gone) && !gone_each(c->gone, rel, take_gone, b); tries++) {
		if (tries == LIST_TRIES)
			return false;
		cow_lock(t, c);		/* mends it, if need be */
		cow_unlock(c);
	}
	return true;
}

static long read_tree(struct builder *b, const char *path)
{
	long n, fd = dir_open(path, b->atime);

	if (fd < 0)
		return fd;
	while ((n = raw_syscall(__NR_getdents64, fd, b->chunk, CHUNK)) > 0)
		for (long at = 0; at < n && n > 0; at += ((struct linux_dirent64 *)(b->chunk + at))->d_reclen)
			if (!take(b, (int)fd, (struct linux_dirent64 *)(b->chunk + at)))
				n = -ENOMEM;
	raw_syscall(__NR_close, fd);
	return n;
}

/* A directory that its owner may not read any more: whoever has it open, or removes it when it is empty, need not be allowed to. */
static long read_closed(struct task *t, struct builder *b, struct cow *c, const char *path)
{
	struct stat st;
	long r;

	cow_lock(t, c);
	r = cow_look(path, &st);
	if (!r)
		r = raw_syscall(__NR_fchmodat, AT_FDCWD, path, (st.st_mode & 07777) | 0700);
	if (!r) {
		r = read_tree(b, path);
		raw_syscall(__NR_fchmodat, AT_FDCWD, path, st.st_mode & 07777);
	}
	cow_unlock(c);
	return r;
}

static bool add_dot(struct builder *b, const char *name, uint64_t ino)
{
	struct linux_dirent64 *d = (struct linux_dirent64 *)b->chunk;

	d->d_reclen = 24;
	d->d_type = 4;		/* DT_DIR */
	memcpy(d->d_name, name, strlen(name) + 1);
	return dir_list_add(b->l, d, ino);
}

/* What the tree would have told. */
static long add_dots(struct task *t, struct builder *b, struct cow *c, const char *low)
{
	struct stat st;
	long r = cow_low_look(t, c, low, &st);

	if (r)
		return r;
	return add_dot(b, ".", st.st_ino) && add_dot(b, "..", st.st_ino) ? 0 : -ENOMEM;
}

struct dir_list *cow_list_make(struct task *t, struct cow *c, const char *rel, bool up, bool low, int atime, long *error)
{
	struct builder b = { .c = c, .atime = atime, .l = dir_list_new(), .chunk = heap_alloc(CHUNK) };
	char *path = heap_alloc(UM_PATH_MAX);
	long r = b.l && b.chunk && path && (!up || !low || read_gone(t, &b, c, rel)) ? 0 : -ENOMEM;

	if (!r && up)
		r = cow_up_path(c, path, rel);
	if (!r && up)
		r = read_tree(&b, path);
	if (r == -EACCES && up)
		r = read_closed(t, &b, c, path);
	if (!r && low)
		r = cow_low_dir(c, path, rel);
	if (!r && low && !up && c->over)
		r = add_dots(t, &b, c, path);
	if (!r && low)
		r = cow_low_list(t, c, path, take_low, &b);
	heap_free(path);
	heap_free(b.chunk);
	dir_names_free(&b.names);
	*error = r;
	if (!r)
		return b.l;
	dir_list_put(b.l);
	return NULL;
}

long cow_check_empty(struct task *t, struct cow *c, const char *rel, const struct stat *up, bool has_low)
{
	struct dir_list *l;
	size_t at = 0;
	long r;

	if (up && cow_dir_flags(c, up))
		has_low = cow_dir_flags(c, up) & UM_VSF_REDIRECT;
	l = cow_list_make(t, c, rel, up, has_low, O_NOATIME, &r);
	if (l && dir_list_next(l, &at))
		r = -ENOTEMPTY;
	dir_list_put(l);
	return r;
}

/* ---- reading it ------------------------------------------------------------------------------------------ */

/* Does the kernel have the directory by its path in the view? */
static bool is_kernels(int fd, const char *path)
{
	char there[UM_PATH_MAX];

	return base_backing(fd, there, sizeof there) > 0 && !strcmp(there, path);
}

/* What is in fd now, if it is a merged directory of which nothing has been read. */
static struct dir_list *list_now(struct task *t, int fd, int atime, char *path, long *error)
{
	struct file *f = fd_hold(t, fd);
	long n = f ? file_path(t, f, path, UM_PATH_MAX) : base_path(t, fd, view_generation(t), path, UM_PATH_MAX), at;
	const char *rel;
	bool up;
	struct cow *c = n > 0 ? cow_listed_at(t, path, (size_t)n, &rel, &up) : NULL;

	at = f ? file_seek(t, f, 0, SEEK_CUR) : raw_syscall(__NR_lseek, fd, 0, SEEK_CUR);
	if (c && !up && (f || is_kernels(fd, path)) && !cow_low_is_merged(t, c, path))
		c = NULL;		/* as whoever has it below lists it */
	file_put(f);
	if (!c || at > 0)		/* whoever has begun goes on with it */
		return NULL;
	return cow_list_make(t, c, rel, up, true, atime, error);
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
		if (!cow_changed_since(t, changes))
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
	return view_has(UM_MOUNT_COW) && fd >= 0 && !fd_is_ours(fd) && (!fd_peek(t, fd) || cow_over_any(t)) &&
	       dir_list_getdents(t, fd, buf, count, legacy, make_list, r);
}
