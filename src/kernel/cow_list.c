/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listings of merged directories: the names in the tree, then those below that the tree does not hide.
 *
 * The descriptor is the kernel's, of the directory in the tree (or of the one below, if it was opened before that one was made),
 * but its listing is made here, as a whole, when it is read for the first time, and again after a rewind: as with
 * overlayfs.  It hangs on the descriptor's hint (path_base.c), shared by duplicates, with its position; a position is the
 * offset of a record.  After fork parent and child each read on by themselves, and after exec a listing begins anew.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "path_walk.h"
#include "fs/dirents.h"

#define CHUNK		(32u << 10)
#define RECORD_ALIGN	8u

struct cow_list {
	uint32_t refs;
	size_t pos, len, size;	/* in bytes of `data` */
	uint8_t *data;		/* struct linux_dirent64 */
};

/* What is being put together. */
struct builder {
	const struct cow *c;
	int atime;		/* of the directory in the tree: O_NOATIME or 0 */
	struct cow_list *l;
	uint32_t *set;		/* offsets in `names`, + 1, of the names in the tree */
	uint32_t set_size, set_used;
	char *names;
	size_t names_len, names_size;
	uint8_t *chunk;
};

/* ---- memory ---------------------------------------------------------------------------------------------- */

static bool room(void **p, size_t *size, size_t used, size_t more)
{
	size_t want = *size ? *size : 4096;
	void *bigger;

	if (used + more <= *size)
		return true;
	while (want < used + more)
		want *= 2;
	bigger = heap_alloc(want);
	if (!bigger)
		return false;
	memcpy(bigger, *p, used);
	heap_free(*p);
	*p = bigger;
	*size = want;
	return true;
}

void cow_list_put(struct cow_list *l)
{
	if (!l || __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL))
		return;
	heap_free(l->data);
	heap_free(l);
}

struct cow_list *cow_list_get(struct cow_list *l)
{
	if (l)
		__atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
	return l;
}

/* ---- the names in the tree ------------------------------------------------------------------------------- */

static uint32_t *set_place(const struct builder *b, const char *name, uint32_t len)
{
	uint32_t i = um_path_hash(name, len);

	for (;; i++) {
		uint32_t *at = &b->set[i & (b->set_size - 1)];

		if (!*at || !strcmp(b->names + *at - 1, name))
			return at;
	}
}

static bool set_grow(struct builder *b)
{
	uint32_t *old = b->set, had = b->set_size;

	if (2 * (b->set_used + 1) <= had)
		return true;
	b->set_size = had ? 2 * had : 256;
	b->set = heap_alloc(b->set_size * sizeof *b->set);
	for (uint32_t i = 0; b->set && i < had; i++)
		if (old[i])
			*set_place(b, b->names + old[i] - 1, (uint32_t)strlen(b->names + old[i] - 1)) = old[i];
	heap_free(old);
	return b->set;
}

static bool set_add(struct builder *b, const char *name)
{
	size_t n = strlen(name) + 1;

	if (!room((void **)&b->names, &b->names_size, b->names_len, n) || !set_grow(b))
		return false;
	memcpy(b->names + b->names_len, name, n);
	*set_place(b, name, (uint32_t)n - 1) = (uint32_t)b->names_len + 1;
	b->names_len += n;
	b->set_used++;
	return true;
}

static bool in_set(const struct builder *b, const char *name)
{
	return b->set && *set_place(b, name, (uint32_t)strlen(name));
}

/* ---- the listing ----------------------------------------------------------------------------------------- */

static bool is_dots(const char *s)
{
	return s[0] == '.' && (!s[1] || (s[1] == '.' && !s[2]));
}

/* A copy is shown as what it is a copy of. */
static uint64_t shown_inode(const struct cow *c, uint64_t ino)
{
	struct vstat v;

	return vtable_get(&c->inodes, c->dev, ino, &v) && v.have & UM_VS_ORIGIN ? v.origin_ino : ino;
}

static bool append(struct cow_list *l, const struct linux_dirent64 *d, uint64_t ino)
{
	struct linux_dirent64 *to;

	if (!room((void **)&l->data, &l->size, l->len, d->d_reclen))
		return false;
	to = (struct linux_dirent64 *)(l->data + l->len);
	memcpy(to, d, d->d_reclen);
	l->len += d->d_reclen;
	to->d_off = (int64_t)l->len;
	to->d_ino = ino;
	return true;
}

static bool entry_is_white(int fd, const struct linux_dirent64 *d)
{
	struct stat st;

	if (d->d_type != 0 && d->d_type != 2 /* DT_CHR */ && d->d_type != 10 /* DT_LNK */)
		return false;
	return !raw_syscall(__NR_newfstatat, fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
	       cow_is_whiteout(fd, d->d_name, &st);
}

static bool take(struct builder *b, int fd, const struct linux_dirent64 *d, bool up)
{
	if (up)
		return set_add(b, d->d_name) && (entry_is_white(fd, d) || append(b->l, d, shown_inode(b->c, d->d_ino)));
	return is_dots(d->d_name) || in_set(b, d->d_name) || append(b->l, d, d->d_ino);
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
			if (!take(b, (int)fd, (const struct linux_dirent64 *)(b->chunk + at), up))
				n = -ENOMEM;
	raw_syscall(__NR_close, fd);
	return n;
}

struct cow_list *cow_list_make(const struct cow *c, const char *rel, bool up, bool low, int atime, long *error)
{
	struct builder b = { .c = c, .atime = atime, .l = heap_alloc(sizeof *b.l), .chunk = heap_alloc(CHUNK) };
	char *path = heap_alloc(UM_PATH_MAX);
	long r = b.l && b.chunk && path ? 0 : -ENOMEM;

	if (!r && up)
		r = cow_up_path(c, path, rel);
	if (!r && up)
		r = read_all(&b, path, true);
	if (!r && low)
		r = cow_low_path(c, path, rel);
	if (!r && low)
		r = read_all(&b, path, false);
	heap_free(path);
	heap_free(b.chunk);
	heap_free(b.names);
	heap_free(b.set);
	if (b.l)
		b.l->refs = 1;
	*error = r;
	if (!r)
		return b.l;
	cow_list_put(b.l);
	return NULL;
}

const char *cow_list_next(const struct cow_list *l, size_t *at)
{
	while (*at < l->len) {
		const struct linux_dirent64 *d = (const struct linux_dirent64 *)(l->data + *at);

		*at += d->d_reclen;
		if (!is_dots(d->d_name))
			return d->d_name;
	}
	return NULL;
}

long cow_check_empty(struct task *t, struct cow *c, const char *rel, bool has_up, bool has_low)
{
	char *path = heap_alloc(UM_PATH_MAX);
	struct cow_list *l;
	struct stat st;
	size_t at = 0;
	long r = path ? cow_up_path(c, path, rel) : -ENOMEM;

	if (!r && has_up && !raw_syscall(__NR_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) &&
	    cow_is_opaque(t, c->id, &st))
		has_low = false;
	heap_free(path);
	l = r ? NULL : cow_list_make(c, rel, has_up, has_low, O_NOATIME, &r);
	if (l && cow_list_next(l, &at))
		r = -ENOTEMPTY;
	cow_list_put(l);
	return r;
}

/* ---- reading it ------------------------------------------------------------------------------------------ */

/* Where the list hangs, made if need be.  NULL: no memory, or (make false) there is none. */
static struct cow_list *list_of(struct task *t, int fd, struct cow_list *fresh)
{
	struct cow_list *l = NULL;
	struct dir_hint *h = hint_at(t, fd, false);

	if (!fresh && !(h && h->list))
		return NULL;
	lock_acquire(&t->files->lock);
	h = hint_at(t, fd, fresh);
	if (h && fresh && !h->list) {
		h->list = cow_list_get(fresh);
		__atomic_fetch_or(&process.watch, WATCH_VIRTUAL, __ATOMIC_ACQ_REL);	/* lseek has to come here */
	}
	if (h)
		l = cow_list_get(h->list);
	lock_release(&t->files->lock);
	return l;
}

static long serve(struct task *t, struct cow_list *l, gaddr buf, unsigned count, bool legacy)
{
	size_t from, to;
	uint8_t *copy;
	long r;

	from = to = __atomic_load_n(&l->pos, __ATOMIC_RELAXED);
	while (to < l->len && to - from + ((struct linux_dirent64 *)(l->data + to))->d_reclen <= count)
		to += ((struct linux_dirent64 *)(l->data + to))->d_reclen;
	if (to == from)
		return from < l->len ? -EINVAL : 0;
	copy = heap_alloc(to - from);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, l->data + from, to - from);
	if (legacy)
		dirents_to_legacy(copy, to - from);
	r = copy_to_guest(t, buf, copy, to - from) ? -EFAULT : (long)(to - from);
	if (r > 0)
		__atomic_store_n(&l->pos, to, __ATOMIC_RELAXED);
	heap_free(copy);
	return r;
}

/* A list for fd, if it is a merged directory. */
static struct cow_list *make_list(struct task *t, int fd, long *error)
{
	long flags = raw_syscall(__NR_fcntl, fd, F_GETFL);
	struct cow_list *fresh = NULL, *l = NULL;
	char *path = heap_alloc(UM_PATH_MAX);
	const char *rel;
	struct cow *c;
	long n = flags < 0 || flags & O_PATH ? 0 : path ? base_path(t, fd, view_generation(t), path, UM_PATH_MAX) : -ENOMEM;

	*error = 0;
	c = n > 0 ? cow_merged_at(t, path, (size_t)n, &rel) : NULL;
	if (c)
		fresh = cow_list_make(c, rel, true, true, (int)flags & O_NOATIME, error);
	if (fresh)
		l = list_of(t, fd, fresh);
	if (fresh && !l)
		*error = -ENOMEM;
	cow_list_put(fresh);
	heap_free(path);
	return l;
}

bool cow_getdents(struct task *t, int fd, gaddr buf, unsigned count, bool legacy, long *r)
{
	struct cow_list *l;
	struct base b;

	if (!view_has(UM_MOUNT_COW) || fd < 0 || fd_is_ours(fd))
		return false;
	l = list_of(t, fd, NULL);
	if (!l) {
		if (base_find(t, fd, view_generation(t), &b) || b.plain)
			return false;
		l = make_list(t, fd, r);
	}
	if (!l)
		return *r != 0;
	*r = serve(t, l, buf, count, legacy);
	if (*r > 0)
		*r = dirents_hide_real(t, fd, buf, *r, legacy);
	cow_list_put(l);
	return true;
}

static void list_forget(struct task *t, int fd)
{
	struct cow_list *l = NULL;
	struct dir_hint *h;

	lock_acquire(&t->files->lock);
	h = hint_at(t, fd, false);
	if (h) {
		l = h->list;
		h->list = NULL;
	}
	lock_release(&t->files->lock);
	cow_list_put(l);
}

bool cow_seek(struct task *t, int fd, int64_t offset, int whence, long *r)
{
	struct cow_list *l = view_has(UM_MOUNT_COW) && !fd_is_ours(fd) ? list_of(t, fd, NULL) : NULL;

	if (!l)
		return false;
	if (whence == 1 /* SEEK_CUR */)
		offset += (int64_t)l->pos;
	else if (whence)
		offset = -1;
	*r = offset < 0 ? -EINVAL : offset;
	if (offset >= 0)
		__atomic_store_n(&l->pos, (uint64_t)offset < l->len ? (size_t)offset : l->len, __ATOMIC_RELAXED);
	if (!offset && !whence)
		list_forget(t, fd);
	cow_list_put(l);
	return true;
}
