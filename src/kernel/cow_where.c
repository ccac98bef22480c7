/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copy-on-write: which directories are where, by their paths.
 *
 * The resolver finds out on its way (path_cow.c); this is for everybody else who has a path: of the cwd or of a descriptor, as the
 * kernel tells it or as the view has it.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "merge.h"
#include "path_walk.h"

/* Directories of the kernel's own, that nobody wants a copy of. */
bool cow_is_uncopied(const char *path, size_t len)
{
	return (len == 5 && !memcmp(path, "/proc", 5)) ||
	       (len == 4 && (!memcmp(path, "/sys", 4) || !memcmp(path, "/dev", 4)));
}

/* ---- paths of directories --------------------------------------------------------------------------- */

/* One step through a bind mount that path[0 .. *len) lies in, behind `at`.  Room for UM_PATH_MAX. */
static bool go_through(const struct task *t, const struct mount *m, char *path, size_t *len, size_t at)
{
	char *target = heap_alloc(UM_PATH_MAX);
	size_t n = target && !view_bind_target(t, m->id, target, UM_PATH_MAX) ? strlen(target) : 0, tail = *len - at;
	bool fits = n && n + tail < UM_PATH_MAX;

	if (n == 1)
		n = 0;		/* the root */
	if (fits) {
		memmove(path + n, path + at, tail);
		memcpy(path, target, n);
		*len = n + tail;
		path[*len] = 0;
	}
	heap_free(target);
	return fits;
}

/* Through which bind mounts ever: is it in a copy-on-write mount?  Then path is where, and *m that. */
static bool behind_binds(const struct task *t, uint32_t *epoch, char *path, size_t *len, struct mount *m)
{
	for (;;) {
		size_t at = *len;

		if (!mount_around(path, &at, *epoch, m))
			return false;
		if (m->kind != UM_MOUNT_BIND)
			return m->kind == UM_MOUNT_COW;
		*epoch = m->epoch;
		if (!go_through(t, m, path, len, at))
			return false;
	}
}

bool cow_shown_by(const struct task *t, const struct mount *bind, char *buf, size_t *len)
{
	struct mount m;
	uint32_t epoch = bind->epoch;

	if (!view_has(UM_MOUNT_COW) || (bind->kind != UM_MOUNT_BIND && bind->kind != UM_MOUNT_MERGE) ||
	    view_bind_target(t, bind->id, buf, UM_PATH_MAX))
		return false;
	*len = buf[1] ? strlen(buf) : 0;
	return behind_binds(t, &epoch, buf, len, &m);
}

/* A directory in one that is COW_MERGED or COW_UPPER; tree[0 .. n) is its path.  COW_ABSENT: it is none, or hidden. */
static enum cow_state next_state(const struct cow *c, enum cow_state parent, const char *tree, size_t n, uint64_t generation)
{
	unsigned known = cache_find(BASE_TREE, tree, n, generation), flags;
	struct stat st;
	int r;

	if (known)
		return known & CACHE_MERGED ? COW_MERGED : known & CACHE_UPPER ? COW_UPPER : COW_LOWER;
	r = cow_look(tree, &st);
	if (r)
		return r == -ENOENT && parent == COW_MERGED ? COW_LOWER : COW_ABSENT;
	if (!S_ISDIR(st.st_mode))
		return COW_ABSENT;
	flags = cow_dir_flags(c, &st);
	if (flags & UM_VSF_REDIRECT)
		return COW_MERGED;	/* path_cow.c remembers that, and what it shows */
	known = flags & UM_VSF_OPAQUE || parent == COW_UPPER ? CACHE_UPPER : CACHE_MERGED;
	cache_store(BASE_TREE, tree, n, generation, CACHE_KNOWN | known, NULL, 0);
	return known & CACHE_UPPER ? COW_UPPER : COW_MERGED;
}

/*
 * Where in a copy-on-write mount a directory is, whose path in the view, as of `epoch`, this is, and in which (its id).  *at: where its path
 * in the tree begins, behind the slash.
 */
static enum cow_state state_of(const struct task *t, uint32_t epoch, const char *path, size_t len, uint32_t *id, size_t *at)
{
	enum cow_state state = COW_MERGED;
	char tree[UM_PATH_MAX];
	struct mount m;
	struct cow *c;
	long error;
	uint64_t generation = view_generation(t);
	size_t cut, n;

	*at = cut = len;
	if (!mount_around(path, at, epoch, &m))
		m.kind = UM_MOUNT_NONE;
	cut = *at;
	*id = m.id;
	if (m.kind != UM_MOUNT_COW || view_bind_target(t, m.id, tree, sizeof(tree)) ||
	    !(c = cow_get((struct task *)t, m.id, &error)))
		return COW_NONE;
	*at += cut < len && path[cut] == '/';
	for (n = strlen(tree); cut < len && path[cut + 1]; ) {
		size_t end = cut + 1;

		while (end < len && path[end] != '/')
			end++;
		if (cow_is_uncopied(path, end))
			return COW_NONE;
		if (n + (end - cut) >= sizeof(tree))
			return COW_UPPER;
		memcpy(tree + n, path + cut, end - cut);
		n += end - cut;
		tree[n] = 0;
		cut = end;
		state = next_state(c, state, tree, n, generation);
		if (state == COW_LOWER || state == COW_ABSENT || (state == COW_UPPER && !cow_knows_moves(c)))
			break;
	}
	return state == COW_ABSENT ? COW_UPPER : state;
}

/* Is what is below this mount another one's? */
static bool is_over(const struct task *t, uint32_t id)
{
	long error;
	const struct cow *c = cow_over_any((struct task *)t) ? cow_get((struct task *)t, id, &error) : NULL;

	return c && c->over;
}

bool cow_leads(const struct task *t, const char *path, size_t len, bool copied)
{
	enum cow_state state;
	uint32_t id;
	size_t at;
	long error;

	if (!view_has(UM_MOUNT_COW))
		return true;
	state = state_of(t, t->epoch, path, len, &id, &at);
	if (state == COW_LOWER && is_over(t, id))
		return false;
	if (copied && state == COW_UPPER) {
		const struct cow *c = cow_get((struct task *)t, id, &error);

		return c && !cow_knows_moves(c);	/* one may lie below it */
	}
	return copied ? false : state == COW_NONE || state == COW_LOWER;
}

bool cow_has_fd(const struct task *t, int fd)
{
	uint32_t bound, bind = fd < 0 ? 0 : base_bind(t, fd, &bound);

	return bind && cow_is_mount(t, bind);
}

bool cow_lies_over(const struct task *t, const char *path, size_t len)
{
	uint32_t id;
	size_t at;

	return state_of(t, t->epoch, path, len, &id, &at) != COW_NONE && is_over(t, id);
}

bool cow_file_over(struct task *t, const struct file *f, char *path, long *len)
{
	*len = view_has(UM_MOUNT_COW) && cow_over_any(t) ? file_path(t, f, path, UM_PATH_MAX) : 0;
	return *len > 0 && cow_lies_over(t, path, (size_t)*len);
}

bool cow_fd_over(struct task *t, int fd)
{
	struct file *f = view_has(UM_MOUNT_COW) ? fd_hold(t, fd) : NULL;
	char *path = f ? heap_alloc(UM_PATH_MAX) : NULL;
	long len;
	bool over = path && cow_file_over(t, f, path, &len);

	heap_free(path);
	file_put(f);
	return over;
}

bool cow_kernels_over(const struct task *t, const char *kernels, const char *view, size_t len)
{
	char dir[8];
	struct mount m;
	uint32_t id;
	size_t at;

	if (state_of(t, t->epoch, view, len, &id, &at) == COW_NONE || !is_over(t, id))
		return false;
	return view_cow_by_tree(t, kernels, strlen(kernels), &m, dir, sizeof dir) == -ENOENT || m.id != id;
}

bool cow_real_over(struct task *t, int dfd, char *path, long *len)
{
	uint32_t bound, bind = base_bind(t, dfd, &bound);
	char kernels[UM_PATH_MAX];
	bool copied;

	if (!cow_over_any(t))
		return false;
	memcpy(kernels, path, (size_t)*len + 1);
	*len = path_from_kernel(t, bind, bound, path, *len, UM_PATH_MAX, &copied);
	return *len > 0 && cow_kernels_over(t, kernels, path, (size_t)*len);
}

bool cow_covers(const struct task *t, const char *path, size_t len)
{
	uint32_t id;
	size_t at;
	char *dir = heap_alloc(UM_PATH_MAX);
	struct mount m;
	bool covers = dir && view_cow_by_tree(t, path, len, &m, dir, UM_PATH_MAX) < 0 &&
		      state_of(t, t->epoch, path, len, &id, &at) != COW_NONE;

	heap_free(dir);
	return covers;
}

struct cow *cow_listed_at(struct task *t, char *path, size_t len, const char **rel, bool *up)
{
	uint32_t id, epoch = t->epoch;
	enum cow_state state;
	struct mount m;
	size_t at;
	long error;

	if (!behind_binds(t, &epoch, path, &len, &m))
		return NULL;
	state = state_of(t, epoch, path, len, &id, &at);
	*up = state == COW_MERGED;
	if (state != COW_MERGED && !(state == COW_LOWER && is_over(t, id)))
		return NULL;
	*rel = path + at;
	return cow_get(t, id, &error);
}

struct cow *cow_merged_at(struct task *t, char *path, size_t len, const char **rel)
{
	bool up;
	struct cow *c = cow_listed_at(t, path, len, rel, &up);

	return up ? c : NULL;
}

/* Is another copy-on-write mount over what the tree of this one shows at this path of the view? */
static bool is_below_another(const struct task *t, const char *path, size_t len, uint32_t id)
{
	struct mount m;

	return cow_over_any((struct task *)t) && mount_around(path, &len, t->epoch, &m) && m.kind == UM_MOUNT_COW && m.id != id;
}

enum cow_state cow_to_view(char *buf, long *len, size_t size)
{
	char dir[UM_PATH_MAX];
	struct mount m;
	int n = *len > 0 && view_has(UM_MOUNT_COW) ? view_cow_by_tree(task_next(NULL), buf, (size_t)*len, &m, dir, sizeof(dir)) : -ENOENT;
	size_t d, tail;

	if (n < 0)
		return cow_moved_to_view(buf, len, size) ? COW_LOWER : COW_NONE;
	d = strlen(dir);
	tail = (size_t)*len - (size_t)n;
	if (d == 1 && tail)
		d = 0;
	*len = d + tail < size ? (long)(d + tail) : -ENAMETOOLONG;
	if (*len < 0)
		return COW_UPPER;
	memmove(buf + d, buf + n, tail);
	memcpy(buf, dir, d);
	buf[d + tail] = 0;
	return is_below_another(task_next(NULL), buf, d + tail, m.id) ? COW_LOWER : COW_UPPER;
}
