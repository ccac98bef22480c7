/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does what was found out of a path in a copy-on-write mount still hold?
 *
 * Where a place is comes from several looks at the tree and below, and others change the tree meanwhile: a file that was
 * found there may be a whiteout when the call is made, a directory that was found merged may lie elsewhere, so that what it
 * hid shows.  So each session counts the changes of what its names mean, in memory that all share.  A walk remembers the
 * number; who finds another one later begins anew (path.c).  It is odd while such a change is being made, under the lock, and
 * nobody begins then.  Names that come where nothing was shown are no such change.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "gone.h"

/* ---- the number ------------------------------------------------------------------------------------------ */

static uint32_t changes_of(const struct cow *c)
{
	return __atomic_load_n(&c->state->changes, __ATOMIC_SEQ_CST);
}

static uint32_t changes_now(const struct task *t)
{
	uint32_t sum = 0;

	for (const struct cow *c = cow_first(t); c; c = cow_next(t, c))
		sum += changes_of(c);
	return sum;
}

uint32_t cow_changes(struct task *t)
{
	uint32_t sum = 0, n;

	for (struct cow *c = cow_first(t); c; c = cow_next(t, c)) {
		n = changes_of(c);
		if (n & 1) {
			cow_lock(t, c);
			n = changes_of(c);
			cow_unlock(c);
		}
		sum += n;
	}
	return sum;
}

bool cow_changed_since(const struct task *t, uint32_t changes)
{
	return changes_now(t) != changes;
}

bool where_is_stale(const struct where *w)
{
	return view_has(UM_MOUNT_COW) && w->tries < WHERE_TRIES && changes_now(w->t) != w->changes;
}

/* To whoever does it himself nothing has changed: if it fails, that is so. */
void cow_change_begin(struct cow *c, struct where *w, struct where *other)
{
	w->changes += 2;
	if (other)
		other->changes += 2;
	__atomic_fetch_add(&c->state->changes, 1, __ATOMIC_SEQ_CST);
}

/* Paths that processes remember may be of before. */
void cow_change_end(struct task *t, struct cow *c, bool paths)
{
	if (paths)
		view_links_changed(t);
	__atomic_fetch_add(&c->state->changes, 1, __ATOMIC_SEQ_CST);
}

void cow_change_copied(struct cow *c, struct where *w, bool held)
{
	__atomic_fetch_add(&c->state->changes, 2, __ATOMIC_SEQ_CST);
	if (held)
		w->changes += 2;
	w->cow_copied = true;
}

long cow_lock_place(struct cow *c, const struct where *w, const struct where *other)
{
	if (c->over)
		cow_low_dev(w->t, c);	/* what is shown of a copy may need that, and its server is not asked under the lock */
	cow_lock(w->t, c);
	if (!where_is_stale(w) && !(other && where_is_stale(other)))
		return 0;
	cow_unlock(c);
	return -UM_ERETRY;
}

/* ---- looking again ---------------------------------------------------------------------------------------- */

/* Is the directory at up, of the tree, one that shows what is below it?  *moved: what is below another name. */
static bool shows(const struct cow *c, const char *up, bool *moved)
{
	struct stat st;
	unsigned flags;

	if (cow_look(up, &st) || !S_ISDIR(st.st_mode))
		return false;
	flags = cow_dir_flags(c, &st);
	*moved = flags & UM_VSF_REDIRECT;
	return *moved || !(flags & UM_VSF_OPAQUE);
}

bool cow_shows_below(const struct cow *c, const char *rel, const char *low)
{
	char *path = heap_alloc(UM_PATH_MAX), *slash;
	size_t base = strlen(c->tree);
	bool is = path && !cow_low_path(c, path, rel) && !strcmp(path, low), moved = false;
	struct stat st;

	is = is && !(c->gone && gone_has(c->gone, rel) != 0) && !cow_up_path(c, path, rel) && cow_look(path, &st) == -ENOENT;
	while (is && !moved && (slash = strrchr(path, '/')) > path + base) {
		*slash = 0;
		is = shows(c, path, &moved);
	}
	heap_free(path);
	return is;
}

bool cow_opened_white(const struct where *w, long fd, int flags)
{
	struct stat st;

	return fd >= 0 && flags & O_PATH && w->bind && where_is_stale(w) && !raw_syscall(__NR_fstat, fd, &st) &&
	       cow_is_whiteout((int)fd, "", &st);
}

/* ---- inodes that go --------------------------------------------------------------------------------------- */

static bool has_record(const struct cow *c, const struct stat *st)
{
	struct vstat v;

	return vtable_get(&c->inodes, st->st_dev, st->st_ino, &v);
}

int cow_pin(const struct cow *c, const char *path, const struct stat *st)
{
	long fd = has_record(c, st) ? raw_syscall(__NR_openat, AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0) : -1;

	return (int)fd;
}

bool cow_is_gone(int pin, const struct stat *st)
{
	struct stat now = *st;
	bool gone = S_ISDIR(st->st_mode) || st->st_nlink <= 1;

	if (pin < 0)
		return gone;
	if (!S_ISDIR(st->st_mode) && !raw_syscall(__NR_fstat, pin, &now))
		gone = !now.st_nlink;
	return gone;
}

void cow_unpin(int pin)
{
	if (pin >= 0)
		raw_syscall(__NR_close, pin);
}

struct cow_count cow_count_forget(const struct cow *c, const struct stat *st)
{
	if (!(S_ISDIR(st->st_mode) || st->st_nlink <= 1) || !has_record(c, st))
		return (struct cow_count) { 0 };
	return (struct cow_count) { st->st_dev, st->st_ino, UM_COW_FORGET };
}
