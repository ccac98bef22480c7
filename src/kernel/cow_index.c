/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files below that have several names: one file they stay, when it is copied by one of them and when some go.
 *
 * SESSION/index has the copy of such a file under the numbers of its inode; what is below is asked for its numbers
 * wherever a name of it is met, as soon as there is any such copy.  A name that leads there becomes one of the copy, in
 * the tree (cow_up.c), and is an ordinary place from then on.
 *
 * Link counts: wire/cow.h.  That of a file changes together with its names, so what it will be stands in the journal
 * before.
 */
#include "cow.h"

bool cow_has_links(struct task *t)
{
	bool has = false;

	cow_open_all(t);
	for (const struct cow *c = cow_first(t); c && !has; c = cow_next(t, c))
		has = cow_knows_links(c);
	return has;
}

int cow_index_path(const struct cow *c, char *buf, const struct stat *low)
{
	int n = text_format(buf, UM_PATH_MAX, "%s/" UM_COW_INDEX "/%lx-%lx", c->session,
			    (unsigned long)um_cow_dev(low->st_dev), (unsigned long)low->st_ino);

	return n < UM_PATH_MAX ? 0 : -ENAMETOOLONG;
}

bool cow_index_find(const struct cow *c, const struct stat *low, struct stat *st)
{
	char *path;
	bool found;

	if (!cow_knows_links(c) || !cow_has_names(low))
		return false;
	path = heap_alloc(UM_PATH_MAX);
	found = path && !cow_index_path(c, path, low) && !cow_look(path, st);
	heap_free(path);
	return found;
}

bool cow_has_copy(struct task *t, const struct stat *st)
{
	struct stat there;

	if (!cow_has_names(st) || !cow_has_links(t))
		return false;
	for (const struct cow *c = cow_first(t); c; c = cow_next(t, c))
		if (cow_index_find(c, st, &there))
			return true;
	return false;
}

bool cow_is_other_name(struct where *w, int follow)
{
	struct stat st;

	return !(w->flags & WHERE_STAT) && cow_has_links(w->t) && !w->bind &&
	       !raw_syscall(__NR_newfstatat, w->dfd, w->upath, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) && cow_has_copy(w->t, &st);
}

/* ---- counts ---------------------------------------------------------------------------------------------- */

int32_t cow_count_of(const struct cow *c, const struct stat *st)
{
	struct vstat v;

	return vtable_get(&c->inodes, um_cow_dev(st->st_dev), st->st_ino, &v) && v.have & UM_VS_NLINK ? v.nlink : 0;
}

struct cow_count cow_count_less(struct cow *c, const struct stat *low)
{
	struct stat st;

	if (!cow_has_names(low))
		return (struct cow_count) { 0 };
	if (!cow_index_find(c, low, &st))
		st = *low;
	__atomic_add_fetch(&c->state->nindex, 1, __ATOMIC_RELAXED);
	return (struct cow_count) { um_cow_dev(st.st_dev), st.st_ino, cow_count_of(c, &st) - 1 };
}

void cow_count_set(struct task *t, struct cow *c, const struct cow_count *n)
{
	const struct vstat v = { .have = UM_VS_NLINK, .nlink = n->to };

	if (n->ino && n->to == UM_COW_FORGET)
		vtable_remove(&c->inodes, t, n->dev, n->ino);
	else if (n->ino)
		vtable_set(&c->inodes, t, n->dev, n->ino, &v, UM_VS_NLINK);
}

void cow_index_drop(struct task *t, struct cow *c, const struct stat *up)
{
	struct stat low = { 0 }, st;
	struct vstat v;
	bool gone;
	char *path;

	if (!cow_knows_links(c) || S_ISDIR(up->st_mode) || !vtable_get(&c->inodes, up->st_dev, up->st_ino, &v) ||
	    !(v.have & UM_VS_ORIGIN))
		return;
	low.st_dev = v.origin_dev;
	low.st_ino = v.origin_ino;
	path = heap_alloc(UM_PATH_MAX);
	gone = path && !cow_index_path(c, path, &low) && !cow_look(path, &st) && st.st_ino == up->st_ino &&
	       (int64_t)st.st_nlink + (v.have & UM_VS_NLINK ? v.nlink : 0) <= 0;
	if (gone && st.st_nlink <= 1)		/* before another inode can get the number */
		vtable_remove(&c->inodes, t, up->st_dev, up->st_ino);
	if (gone)
		raw_syscall(__NR_unlinkat, AT_FDCWD, path, 0);
	heap_free(path);
}
