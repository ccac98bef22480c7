/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listings of directories that are made by us, as a whole: the kernel knows only a part of what is in them.
 *
 * A listing hangs on the descriptor's hint (path_base.c), shared by duplicates, with its position; a position is the
 * offset of a record.  After fork parent and child each read on by themselves, and after exec a listing begins anew, as it does
 * after a rewind.
 *
 * Who makes one (cow_list.c, merge_list.c) keeps the names that it has seen already in a set, so that joining costs a look
 * at each name and no more.
 */
#include <linux/fcntl.h>
#include "dir_list.h"
#include "path_walk.h"
#include "fs/dirents.h"

struct dir_list {
	uint32_t refs;
	size_t pos, len, size;	/* in bytes of `data` */
	uint8_t *data;		/* struct linux_dirent64 */
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

struct dir_list *dir_list_new(void)
{
	struct dir_list *l = heap_alloc(sizeof *l);

	if (l)
		l->refs = 1;
	return l;
}

void dir_list_put(struct dir_list *l)
{
	if (!l || __atomic_sub_fetch(&l->refs, 1, __ATOMIC_ACQ_REL))
		return;
	heap_free(l->data);
	heap_free(l);
}

struct dir_list *dir_list_get(struct dir_list *l)
{
	if (l)
		__atomic_add_fetch(&l->refs, 1, __ATOMIC_RELAXED);
	return l;
}

/* ---- the names that are in it ---------------------------------------------------------------------------- */

static uint32_t *place_of(const struct dir_names *s, const char *name, uint32_t len)
{
	uint32_t i = um_path_hash(name, len);

	for (;; i++) {
		uint32_t *at = &s->set[i & (s->set_size - 1)];

		if (!*at || !strcmp(s->names + *at - 1, name))
			return at;
	}
}

static bool grow(struct dir_names *s)
{
	uint32_t *old = s->set, had = s->set_size;

	if (2 * (s->set_used + 1) <= had)
		return true;
	s->set_size = had ? 2 * had : 256;
	s->set = heap_alloc(s->set_size * sizeof *s->set);
	for (uint32_t i = 0; s->set && i < had; i++)
		if (old[i])
			*place_of(s, s->names + old[i] - 1, (uint32_t)strlen(s->names + old[i] - 1)) = old[i];
	heap_free(old);
	return s->set;
}

bool dir_names_add(struct dir_names *s, const char *name)
{
	size_t n = strlen(name) + 1;

	if (!room((void **)&s->names, &s->names_size, s->names_len, n) || !grow(s))
		return false;
	memcpy(s->names + s->names_len, name, n);
	*place_of(s, name, (uint32_t)n - 1) = (uint32_t)s->names_len + 1;
	s->names_len += n;
	s->set_used++;
	return true;
}

bool dir_names_have(const struct dir_names *s, const char *name)
{
	return s->set && *place_of(s, name, (uint32_t)strlen(name));
}

void dir_names_free(struct dir_names *s)
{
	heap_free(s->names);
	heap_free(s->set);
}

/* ---- records --------------------------------------------------------------------------------------------- */

long dir_open(const char *path, int flags)
{
	long fd;

	flags |= O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	fd = raw_syscall(__NR_openat, AT_FDCWD, path, flags, 0);
	return fd == -EPERM && flags & O_NOATIME ? raw_syscall(__NR_openat, AT_FDCWD, path, flags & ~O_NOATIME, 0) : fd;
}

bool dir_is_dots(const char *s)
{
	return s[0] == '.' && (!s[1] || (s[1] == '.' && !s[2]));
}

bool dir_list_add(struct dir_list *l, const struct linux_dirent64 *d, uint64_t ino)
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

const struct linux_dirent64 *dir_list_next(const struct dir_list *l, size_t *at)
{
	while (*at < l->len) {
		const struct linux_dirent64 *d = (const struct linux_dirent64 *)(l->data + *at);

		*at += d->d_reclen;
		if (!dir_is_dots(d->d_name))
			return d;
	}
	return NULL;
}

/* ---- records by name ------------------------------------------------------------------------------------- */

static struct linux_dirent64 *record_at(const struct dir_list *l, size_t at)
{
	return (struct linux_dirent64 *)(l->data + at);
}

static uint32_t *index_place(const struct dir_index *x, const struct dir_list *l, const char *name)
{
	uint32_t i = um_path_hash(name, (uint32_t)strlen(name));

	for (;; i++) {
		uint32_t *at = &x->set[i & (x->size - 1)];

		if (!*at || !strcmp(record_at(l, *at - 1)->d_name, name))
			return at;
	}
}

static bool index_grow(struct dir_index *x, const struct dir_list *l)
{
	uint32_t *old = x->set, had = x->size;

	if (2 * (x->used + 1) <= had)
		return true;
	x->size = had ? 2 * had : 256;
	x->set = heap_alloc(x->size * sizeof *x->set);
	for (uint32_t i = 0; x->set && i < had; i++)
		if (old[i])
			*index_place(x, l, record_at(l, old[i] - 1)->d_name) = old[i];
	heap_free(old);
	return x->set;
}

struct linux_dirent64 *dir_index_find(const struct dir_index *x, const struct dir_list *l, const char *name)
{
	uint32_t *at = x->set ? index_place(x, l, name) : NULL;

	return at && *at ? record_at(l, *at - 1) : NULL;
}

bool dir_index_add(struct dir_index *x, struct dir_list *l, const struct linux_dirent64 *d)
{
	uint32_t at = (uint32_t)l->len;

	if (!index_grow(x, l) || !dir_list_add(l, d, d->d_ino))
		return false;
	*index_place(x, l, d->d_name) = at + 1;
	x->used++;
	return true;
}

bool dir_list_each(const struct dir_list *from, struct dir_index *x, struct dir_list *to)
{
	bool fine = true;

	for (size_t at = 0; fine && at < from->len; at += record_at(from, at)->d_reclen)
		fine = dir_index_add(x, to, record_at(from, at));
	return fine;
}

/* ---- reading it ------------------------------------------------------------------------------------------ */

struct dir_list *dir_list_of(struct task *t, int fd, struct dir_list *fresh)
{
	struct dir_list *l = NULL;
	struct dir_hint *h = hint_at(t, fd, false);

	if (!fresh && !(h && h->list))
		return NULL;
	lock_acquire(&t->files->lock);
	h = hint_at(t, fd, fresh);
	if (h && fresh && !h->list) {
		h->list = dir_list_get(fresh);
		__atomic_fetch_or(&process.watch, WATCH_VIRTUAL, __ATOMIC_ACQ_REL);	/* lseek has to come here */
	}
	if (h)
		l = dir_list_get(h->list);
	lock_release(&t->files->lock);
	return l;
}

static long serve(struct task *t, struct dir_list *l, gaddr buf, unsigned count, bool legacy)
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

bool dir_list_getdents(struct task *t, int fd, gaddr buf, unsigned count, bool legacy,
		       struct dir_list *(*make)(struct task *t, int fd, long *error), long *r)
{
	struct dir_list *l = dir_list_of(t, fd, NULL);
	struct base b;

	if (!l) {
		if (!fd_peek(t, fd) && (base_find(t, fd, view_generation(t), &b) || b.plain))
			return false;
		l = make(t, fd, r);
	}
	if (!l)
		return *r != 0;
	*r = serve(t, l, buf, count, legacy);
	if (*r > 0 && view_hides() && !fd_peek(t, fd))
		*r = dirents_hide_real(t, fd, buf, *r, legacy);
	dir_list_put(l);
	return true;
}

static void list_forget(struct task *t, int fd)
{
	struct dir_list *l = NULL;
	struct dir_hint *h;

	lock_acquire(&t->files->lock);
	h = hint_at(t, fd, false);
	if (h) {
		l = h->list;
		h->list = NULL;
	}
	lock_release(&t->files->lock);
	dir_list_put(l);
}

/* The first record that is not before offset: one may be given that no record has. */
static size_t record_from(const struct dir_list *l, uint64_t offset)
{
	size_t at = 0;

	while (at < l->len && at < offset)
		at += record_at(l, at)->d_reclen;
	return at;
}

bool dir_list_seek(struct task *t, int fd, int64_t offset, int whence, long *r)
{
	struct dir_list *l = !fd_is_ours(fd) ? dir_list_of(t, fd, NULL) : NULL;

	if (!l)
		return false;
	if (whence == 1 /* SEEK_CUR */)
		offset += (int64_t)l->pos;
	else if (whence)
		offset = -1;
	*r = offset < 0 ? -EINVAL : offset;
	if (offset >= 0)
		__atomic_store_n(&l->pos, record_from(l, (uint64_t)offset), __ATOMIC_RELAXED);
	if (!offset && !whence)
		list_forget(t, fd);
	dir_list_put(l);
	return true;
}
