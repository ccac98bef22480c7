/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listings of merged directories: what is there without merge mounts, then what each of them shows, the oldest first.
 *
 * A name that is in both has the record of what prevails: a directory stays as it is below if it is one above, too; anything
 * else is replaced.  So d_ino and d_type are what stat says.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "dir_list.h"
#include "merge.h"
#include "path_walk.h"
#include "fs/dirents.h"
#include "fs/remote.h"

#define CHUNK		(32u << 10)
#define DT_DIR		4

/* ---- which merge mounts show in it ------------------------------------------------------------------------ */

#define THE_PLACE	UINT32_MAX	/* no layer, but the whole */

static long layer(struct walk *k, const char *path, uint32_t i)
{
	struct over o;
	int r;

	k->len = strcmp(path, "/") ? strlen(path) : 0;
	memcpy(k->v, path, k->len);
	k->v[k->len] = 0;
	r = walk_locate(k);
	k->w->trailing = false;		/* no text said so */
	k->w->last = LAST_NAME;
	if (r || i == THE_PLACE)
		return r ? r : walk_finish(k);
	if (i >= k->place.nover)
		return -ENOENT;
	o = k->place.over[i];
	r = walk_enter_over(k, &o);
	return r ? r : walk_finish(k);
}

long merge_layer(struct task *t, const char *path, uint32_t i, struct where *w)
{
	struct walk *k = heap_alloc(sizeof *k);
	long r = k ? where_begin_path(w, t, AT_FDCWD, "/", WHERE_VIEW) : -ENOMEM;

	if (!r)
		r = walk_start(k, w, WHERE_VIEW, "", 0);
	if (!r)
		r = layer(k, path, i);
	heap_free(k);
	return r;
}

long merge_place(struct task *t, const char *path, struct where *w)
{
	return merge_layer(t, path, THE_PLACE, w);
}

/* ---- the listing ------------------------------------------------------------------------------------------ */

struct builder {
	struct task *t;
	struct dir_list *l;
	struct dir_index index;
	uint8_t *chunk;
};

static bool take(struct builder *b, const struct linux_dirent64 *d, bool bottom)
{
	struct linux_dirent64 *had = bottom ? NULL : dir_index_find(&b->index, b->l, d->d_name);

	if (!bottom && dir_is_dots(d->d_name))
		return true;
	if (!had)
		return dir_index_add(&b->index, b->l, d);
	if (had->d_type != DT_DIR || d->d_type != DT_DIR) {
		had->d_ino = d->d_ino;
		had->d_type = d->d_type;
	}
	return true;
}

static long take_chunk(struct builder *b, long n, bool bottom)
{
	for (long at = 0; at < n; at += ((struct linux_dirent64 *)(b->chunk + at))->d_reclen)
		if (!take(b, (const struct linux_dirent64 *)(b->chunk + at), bottom))
			return -ENOMEM;
	return n;
}

static long take_real(struct builder *b, int fd, bool bottom)
{
	long n;

	while ((n = raw_syscall(__NR_getdents64, fd, b->chunk, CHUNK)) > 0)
		if ((n = take_chunk(b, n, bottom)) < 0)
			break;
	return n;
}

static long take_remote(struct builder *b, struct file *f, bool bottom)
{
	long n;

	while ((n = file_readdir(b->t, f, (gaddr)b->chunk, CHUNK, false)) > 0)
		if ((n = take_chunk(b, n, bottom)) < 0)
			break;
	return n;
}

/* What is below: what the descriptor is of, from its beginning. */
static long take_bottom(struct builder *b, int fd, const char *path)
{
	struct file *f = fd_hold(b->t, fd);
	char *there;
	struct cow *c;
	const char *rel;
	long r = 0;

	if (f) {
		r = file_seek(b->t, f, 0, 0);
		r = r < 0 ? r : take_remote(b, f, true);
		file_put(f);
		return r;
	}
	there = view_has(UM_MOUNT_COW) ? heap_copy(path, strlen(path), UM_PATH_MAX) : NULL;
	c = there ? cow_merged_at(b->t, there, strlen(path), &rel) : NULL;
	if (c) {
		struct dir_list *l = cow_list_make(b->t, c, rel, true, true, 0, &r);

		if (l && !dir_list_each(l, &b->index, b->l))
			r = -ENOMEM;
		dir_list_put(l);
	}
	heap_free(there);
	if (c)
		return r;
	r = raw_syscall(__NR_lseek, fd, 0, 0);
	return r < 0 ? r : take_real(b, fd, true);
}

/* The same where it is in the tree of a copy-on-write mount and below it.  False: it is not. */
static bool take_copied(struct builder *b, const struct where *w, long *r)
{
	char *there = w->moved ? heap_copy(w->path, strlen(w->path), UM_PATH_MAX) : NULL;
	long n = (long)strlen(w->path);
	struct dir_list *l;
	struct cow *c = NULL;
	const char *rel;

	if (there)
		cow_to_view(there, &n, UM_PATH_MAX);
	if (there && n > 0)
		c = cow_merged_at(b->t, there, (size_t)n, &rel);
	if (c) {
		const struct linux_dirent64 *d;
		size_t at = 0;

		l = cow_list_make(b->t, c, rel, true, true, 0, r);
		while (l && (d = dir_list_next(l, &at)) && !*r)
			*r = take(b, d, false) ? 0 : -ENOMEM;
		dir_list_put(l);
	}
	heap_free(there);
	return c;
}

/* A directory that a merge mount shows.  One that may not be read shows nothing. */
static long take_layer(struct builder *b, struct where *w)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	struct file *f;
	long r, fd;

	if (w->fs == &remote_fs) {
		r = remote_open_file(w, flags, 0, &f);
		if (r)
			return r == -EACCES ? 0 : r;
		r = take_remote(b, f, false);
		remote_close(b->t, f);
		return r;
	}
	if (take_copied(b, w, &r))
		return r == -EACCES ? 0 : r;
	fd = dir_open(w->path, O_NOATIME);
	if (fd < 0)
		return fd == -EACCES ? 0 : fd;
	r = take_real(b, (int)fd, false);
	raw_syscall(__NR_close, fd);
	return r;
}

static long take_layers(struct builder *b, const char *path)
{
	struct where *w = heap_alloc(sizeof *w);
	uint32_t n = 0;
	long r = w ? 0 : -ENOMEM;

	while (!r && !(r = merge_layer(b->t, path, n, w)))
		n++;
	r = r == -ENOENT ? 0 : r;
	while (!r && n-- > 0) {
		r = merge_layer(b->t, path, n, w);
		r = r ? r : take_layer(b, w);
	}
	heap_free(w);
	return r;
}

static struct dir_list *build(struct task *t, int fd, const char *path, long *error)
{
	struct builder b = { .t = t, .l = dir_list_new(), .chunk = heap_alloc(CHUNK) };
	long r = b.l && b.chunk ? take_bottom(&b, fd, path) : -ENOMEM;

	if (r >= 0)
		r = take_layers(&b, path);
	heap_free(b.chunk);
	heap_free(b.index.set);
	*error = r;
	if (r >= 0)
		return b.l;
	dir_list_put(b.l);
	return NULL;
}

static bool is_merged(struct task *t, const char *path)
{
	struct where *w = heap_alloc(sizeof *w);
	bool merged = w && !merge_layer(t, path, 0, w);

	heap_free(w);
	return merged;
}

/* A list for fd, if it is a merged directory. */
static struct dir_list *make_list(struct task *t, int fd, long *error)
{
	long flags = raw_syscall(__NR_fcntl, fd, F_GETFL);
	char *path = flags < 0 || flags & O_PATH ? NULL : heap_alloc(UM_PATH_MAX);
	struct dir_list *fresh, *l = NULL;
	uint32_t bound;
	long n = path ? path_of_fd(t, fd, path, UM_PATH_MAX) : -EBADF;

	*error = 0;
	if (n > 0 && (base_bind(t, fd, &bound) || merge_has(t, path, (size_t)n)) && is_merged(t, path) && (fresh = build(t, fd, path, error))) {
		l = dir_list_of(t, fd, fresh);
		*error = l ? 0 : -ENOMEM;
		dir_list_put(fresh);
	}
	heap_free(path);
	return l;
}

bool merge_getdents(struct task *t, int fd, gaddr buf, unsigned count, bool legacy, long *r)
{
	return view_has(UM_MOUNT_MERGE) && fd >= 0 && !fd_is_ours(fd) &&
	       dir_list_getdents(t, fd, buf, count, legacy, make_list, r);
}
