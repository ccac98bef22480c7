/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories that have been moved: what they show stays where it is, below (wire/cow.h: redirect/).
 *
 * From a place in the tree to what is below it is a matter of the directories above: the nearest one that is redirected
 * says where.  The way back is needed for what the kernel knows by its path below, the cwd and open files: which
 * directory of the tree is it that shows this?  Its inode is known, its path may have changed with that of a directory above
 * it; so it is looked for, and remembered as long as it is found where it was.
 */
#include <linux/fcntl.h>
#include "cow.h"

#define DEPTH_MAX	200
#define CHUNK		(16u << 10)

/* One redirected directory. */
struct moved {
	uint64_t ino;
	char *low;		/* what it shows: a path below */
	char *up;		/* where it is, in the tree, when it has just been found */
};

/* Where some were met last, by their inodes: paths of the kernel's. */
#define NOTES		256u
static struct note {
	uint64_t ino;
	char *path;
} notes[NOTES] UM_LARGE;

struct cow_moves {
	uint32_t seen;		/* state.nredirect when they were read */
	uint32_t n;
	struct moved of[];
};

static struct lock moves_lock UM_LARGE;

/* ---- from the tree to what is below ---------------------------------------------------------------------- */

static int redirect_path(const struct cow *c, char *buf, uint64_t ino)
{
	int n = text_format(buf, UM_PATH_MAX, "%s/" UM_COW_REDIRECT "/%lx", c->session, (unsigned long)ino);

	return n < UM_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* The text for this inode.  Length or -errno. */
static long redirect_text(const struct cow *c, uint64_t ino, char *buf)
{
	char *path = heap_alloc(UM_PATH_MAX);
	long n = path ? redirect_path(c, path, ino) : -ENOMEM;

	if (!n)
		n = raw_syscall(__NR_readlinkat, AT_FDCWD, path, buf, UM_PATH_MAX - 1);
	buf[n > 0 ? n : 0] = 0;
	heap_free(path);
	return n;
}

unsigned cow_dir_flags(const struct cow *c, const struct stat *st)
{
	struct vstat v;

	return vtable_get(&c->inodes, st->st_dev, st->st_ino, &v) && v.have & UM_VS_FLAGS ? v.flags : 0;
}

long cow_redirected(const struct cow *c, const struct stat *st, char *buf)
{
	char *text;
	long n;

	if (!cow_knows_moves(c) || !S_ISDIR(st->st_mode) || !(cow_dir_flags(c, st) & UM_VSF_REDIRECT))
		return 0;
	text = heap_alloc(UM_PATH_MAX);
	n = text ? redirect_text(c, st->st_ino, text) : -ENOMEM;
	if (n > 0)
		n = cow_join(buf, c->dir, text);
	heap_free(text);
	return n < 0 ? n : (long)strlen(buf);
}

/* Below rel, of whose first `cut` bytes the nearest directory counts that is redirected. */
static int low_of(const struct cow *c, char *buf, const char *rel, size_t cut)
{
	char *up = heap_alloc(2 * UM_PATH_MAX), *low = up + UM_PATH_MAX;
	struct stat st;
	long r = up ? cow_up_path(c, up, rel) : -ENOMEM;
	size_t base = strlen(c->tree) + 1, n = 0;

	for (; !r && cut && !n; cut -= !n) {
		up[base + cut] = 0;
		if (!cow_look(up, &st)) {
			long found = cow_redirected(c, &st, low);

			n = found > 0 ? (size_t)found : 0;
			r = found < 0 ? found : 0;
		}
		if (n)
			break;
		while (cut > 1 && rel[cut - 1] != '/')
			cut--;
	}
	if (!r && !n)
		r = cow_join(buf, c->dir, rel);
	else if (!r)
		r = rel[cut] ? cow_join(buf, low, rel + cut + 1) : cow_join(buf, low, "");
	heap_free(up);
	return (int)r;
}

int cow_low_path(const struct cow *c, char *buf, const char *rel)
{
	const char *slash = strrchr(rel, '/');

	if (!cow_knows_moves(c) || !slash)
		return cow_join(buf, c->dir, rel);
	return low_of(c, buf, rel, (size_t)(slash - rel));
}

int cow_low_dir(const struct cow *c, char *buf, const char *rel)
{
	return cow_knows_moves(c) ? low_of(c, buf, rel, strlen(rel)) : cow_join(buf, c->dir, rel);
}

/* ---- redirecting ----------------------------------------------------------------------------------------- */

static long write_redirect(struct task *t, struct cow *c, uint64_t ino, const char *text)
{
	char *path = heap_alloc(2 * UM_PATH_MAX), *work = path + UM_PATH_MAX;
	long r = path ? redirect_path(c, path, ino) : -ENOMEM;

	if (!r)
		r = cow_work_path(t, c, work);
	if (!r)
		r = raw_syscall(__NR_symlinkat, text, AT_FDCWD, work);
	if (!r)
		r = raw_syscall(__NR_renameat2, AT_FDCWD, work, AT_FDCWD, path, 0);	/* over what is rubbish */
	heap_free(path);
	return r;
}

static long redirect(struct task *t, struct cow *c, const struct stat *st, const char *text)
{
	const struct vstat v = { .have = UM_VS_FLAGS, .flags = UM_VSF_REDIRECT };
	long r;

	__atomic_add_fetch(&c->state->nredirect, 1, __ATOMIC_SEQ_CST);
	r = write_redirect(t, c, st->st_ino, text);
	if (!r)
		r = vtable_set(&c->inodes, t, st->st_dev, st->st_ino, &v, UM_VS_FLAGS);
	__atomic_add_fetch(&c->state->nredirect, 1, __ATOMIC_SEQ_CST);
	return r;
}

long cow_redirect(struct task *t, struct cow *c, const char *rel, const struct stat *st)
{
	char *low;
	long r;

	if (cow_dir_flags(c, st))
		return 0;	/* it is already, or opaque */
	low = heap_alloc(UM_PATH_MAX);
	r = low ? cow_low_path(c, low, rel) : -ENOMEM;
	if (!r)
		r = redirect(t, c, st, low + strlen(c->dir) + 1);
	heap_free(low);
	return r;
}

long cow_seal(struct task *t, struct cow *c, const struct stat *st)
{
	return cow_dir_flags(c, st) & UM_VSF_OPAQUE ? 0 : redirect(t, c, st, UM_COW_NOWHERE);
}

void cow_redirect_gone(const struct cow *c, const struct stat *st)
{
	char *path = cow_knows_moves(c) ? heap_alloc(UM_PATH_MAX) : NULL;

	if (path && !redirect_path(c, path, st->st_ino))
		raw_syscall(__NR_unlinkat, AT_FDCWD, path, 0);
	heap_free(path);
}

/* ---- all of them ----------------------------------------------------------------------------------------- */

static void forget_moves(struct cow *c)
{
	struct cow_moves *all = c->moves;

	c->moves = NULL;
	for (uint32_t i = 0; all && i < all->n; i++) {
		heap_free(all->of[i].low);
		heap_free(all->of[i].up);
	}
	heap_free(all);
}

/* Puts those in the listing into m->of, as far as there is room.  The number of them. */
static uint32_t take_names(const struct cow *c, const char *chunk, long n, struct cow_moves *m, uint32_t room, char *text)
{
	uint32_t count = 0;

	for (long at = 0; at < n; at += ((const struct linux_dirent64 *)(chunk + at))->d_reclen) {
		const char *name = ((const struct linux_dirent64 *)(chunk + at))->d_name;
		uint64_t ino = 0;
		const char *s = name;

		for (; (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'); s++)
			ino = ino << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
		if (s == name || *s)
			continue;
		if (m && m->n < room && redirect_text(c, ino, text) > 0) {
			m->of[m->n].ino = ino;
			m->of[m->n].low = heap_strndup(text, strlen(text));
			m->n += m->of[m->n].low != NULL;
		}
		count++;
	}
	return count;
}

static uint32_t list_moves(const struct cow *c, struct cow_moves *m, uint32_t room)
{
	char *chunk = heap_alloc(CHUNK + UM_PATH_MAX), *text = chunk + CHUNK;
	uint32_t count = 0;
	long n, fd;

	if (!chunk)
		return 0;
	text_format(text, UM_PATH_MAX, "%s/" UM_COW_REDIRECT, c->session);
	fd = raw_syscall(__NR_openat, AT_FDCWD, text, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	while (fd >= 0 && (n = raw_syscall(__NR_getdents64, fd, chunk, CHUNK)) > 0)
		count += take_names(c, chunk, n, m, room, text);
	if (fd >= 0)
		raw_syscall(__NR_close, fd);
	heap_free(chunk);
	return count;
}

/* The lock is held. */
static struct cow_moves *moves_of(struct cow *c)
{
	uint32_t seen = __atomic_load_n(&c->state->nredirect, __ATOMIC_SEQ_CST), room;

	if (c->moves && c->moves->seen == seen)
		return c->moves;
	forget_moves(c);
	room = list_moves(c, NULL, 0);
	c->moves = heap_alloc(sizeof *c->moves + room * sizeof c->moves->of[0]);
	if (c->moves) {
		list_moves(c, c->moves, room);
		c->moves->seen = seen;
	}
	return c->moves;
}

/* ---- where one is in the tree ---------------------------------------------------------------------------- */

static bool is_it(const struct cow *c, const char *path, uint64_t ino)
{
	struct stat st;

	return !cow_look(path, &st) && st.st_ino == ino && S_ISDIR(st.st_mode) && cow_dir_flags(c, &st) & UM_VSF_REDIRECT;
}

/* The directories in the one at path; if one is that inode, perhaps no others. */
static void subdirectories(const char *path, uint64_t ino, struct dir_names *names)
{
	long n, fd = dir_open(path, O_NOATIME | O_NOFOLLOW);
	bool found = false;
	char *chunk = fd < 0 ? NULL : heap_alloc(CHUNK);

	while (chunk && !found && (n = raw_syscall(__NR_getdents64, fd, chunk, CHUNK)) > 0)
		for (long at = 0; at < n && !found; at += ((const struct linux_dirent64 *)(chunk + at))->d_reclen) {
			const struct linux_dirent64 *d = (const struct linux_dirent64 *)(chunk + at);

			if ((d->d_type && d->d_type != 4 /* DT_DIR */) || dir_is_dots(d->d_name))
				continue;
			found = d->d_ino == ino;
			if (found)
				names->names_len = 0;
			if (!dir_names_add(names, d->d_name))
				break;
		}
	heap_free(chunk);
	if (fd >= 0)
		raw_syscall(__NR_close, fd);
}

/* path has room for UM_PATH_MAX; when this is true it is that of the directory. */
static bool search(const struct cow *c, char *path, uint64_t ino, int depth)
{
	struct dir_names names = { 0 };
	size_t len = strlen(path);
	bool found = false;

	if (depth < DEPTH_MAX)
		subdirectories(path, ino, &names);
	for (const char *s = names.names; s < names.names + names.names_len && !found; s += strlen(s) + 1) {
		if (len + strlen(s) + 2 > UM_PATH_MAX)
			continue;
		path[len] = '/';
		memcpy(path + len + 1, s, strlen(s) + 1);
		found = is_it(c, path, ino) || search(c, path, ino, depth + 1);
	}
	if (!found)
		path[len] = 0;
	dir_names_free(&names);
	return found;
}

/* The lock is held. */
static void note(uint64_t ino, const char *path)
{
	struct note *n = &notes[ino % NOTES];
	char *copy = heap_strndup(path, strlen(path)), *old = n->path;

	n->path = NULL;
	n->ino = ino;
	n->path = copy;
	heap_free(old);
}

void cow_met_moved(const struct stat *st, const char *path)
{
	const struct note *n = &notes[st->st_ino % NOTES];

	lock_acquire(&moves_lock);
	if (n->ino != st->st_ino || !n->path || strcmp(n->path, path))
		note(st->st_ino, path);
	lock_release(&moves_lock);
}

/* m->up is right when this is true. */
static bool find(const struct cow *c, struct moved *m)
{
	const struct note *n = &notes[m->ino % NOTES];
	char *path = heap_alloc(UM_PATH_MAX);
	size_t tree = strlen(c->tree);
	bool found = n->ino == m->ino && n->path && !strncmp(n->path, c->tree, tree) && n->path[tree] == '/' &&
		     is_it(c, n->path, m->ino);

	if (!found && path) {
		memcpy(path, c->tree, tree + 1);
		found = search(c, path, m->ino, 0);
		if (found)
			note(m->ino, path);
	}
	heap_free(path);
	heap_free(m->up);
	m->up = found && n->path ? heap_strndup(n->path + tree + 1, strlen(n->path + tree + 1)) : NULL;
	return m->up;
}

/* ---- back to the view ------------------------------------------------------------------------------------ */

/* The one that shows what is at rel, below; or NULL. */
static struct moved *shows(struct cow *c, const char *rel)
{
	struct cow_moves *all = moves_of(c);
	struct moved *best = NULL;
	size_t longest = 0;

	for (uint32_t i = 0; all && i < all->n; i++) {
		size_t n = strlen(all->of[i].low);

		if (n > longest && !strncmp(rel, all->of[i].low, n) && (!rel[n] || rel[n] == '/') && find(c, &all->of[i])) {
			longest = n;
			best = &all->of[i];
		}
	}
	return best;
}

static bool in_session(struct cow *c, char *buf, long *len, size_t size)
{
	size_t d = strlen(c->dir), n, up;
	struct moved *m;

	if (!cow_knows_moves(c) || strncmp(buf, c->dir, d) || buf[d] != '/')
		return false;
	lock_acquire(&moves_lock);
	m = shows(c, buf + d + 1);
	if (m) {
		n = strlen(m->low);
		up = strlen(m->up);
		*len = *len - (long)n + (long)up;
		if ((size_t)*len >= size) {
			*len = -ENAMETOOLONG;
		} else {
			memmove(buf + d + 1 + up, buf + d + 1 + n, (size_t)*len - d - 1 - up);
			memcpy(buf + d + 1, m->up, up);
			buf[*len] = 0;
		}
	}
	lock_release(&moves_lock);
	return m;
}

bool cow_moved_to_view(char *buf, long *len, size_t size)
{
	struct task *t;

	if (*len <= 0 || buf[0] != '/' || !view_has(UM_MOUNT_COW))
		return false;
	t = task_next(NULL);
	cow_open_all(t);
	for (struct cow *c = cow_first(t); c; c = cow_next(t, c))
		if (in_session(c, buf, len, size))
			return true;
	return false;
}
