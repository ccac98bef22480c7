/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where relative paths start: the canonical path, in the view, of a real cwd and of real directory
 * descriptors.
 *
 * The kernel knows (getcwd, /proc/thread-self/fd), but asking costs a system call, so the answer is
 * remembered in a hint: with the fsinfo for the cwd, with the descriptor table for descriptors.  A
 * hint is good for one generation, since a directory moved by a process of the view counts as a change of
 * links; chdir and close drop it.
 *
 * If nothing virtual lies at or below the directory, a hint says so in one word, and a path of a single
 * name is then known to be the kernel's without looking at anything else.  A directory opened by such a
 * path is of the same kind, and its own path need not even be asked.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "dir_list.h"
#include "merge.h"
#include "path_walk.h"

void hint_free(struct dir_hint *h)
{
	if (h) {
		dir_list_put(h->list);
		heap_free(h->path);
	}
	heap_free(h);
}

void hint_forget(struct dir_hint *h)
{
	struct dir_list *list = h->list;

	h->bind = 0;
	h->read_only = h->directory = false;
	__atomic_store_n(&h->plain, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&h->known, 0, __ATOMIC_RELEASE);
	h->list = NULL;		/* first: whoever is killed here has lost memory, and no more */
	dir_list_put(list);
}

static const struct dir_hint *hint_peek(const struct task *t, int dfd)
{
	if (dfd == AT_FDCWD)
		return __atomic_load_n(&t->fs->hint, __ATOMIC_ACQUIRE);
	if ((unsigned)dfd >= (unsigned)__atomic_load_n(&t->files->nhints, __ATOMIC_ACQUIRE))
		return NULL;
	return __atomic_load_n(&t->files->hints[dfd], __ATOMIC_ACQUIRE);
}

uint32_t base_bind(const struct task *t, int dfd, uint32_t *bound)
{
	const struct dir_hint *h;

	if (dfd == AT_FDCWD) {
		*bound = t->fs->cwd_bound;
		return t->fs->cwd_bind;
	}
	h = hint_peek(t, dfd);
	*bound = h ? h->bound : 0;
	return h ? h->bind : 0;
}

bool base_is_copied(const struct task *t, int dfd)
{
	const struct dir_hint *h = hint_peek(t, dfd);

	return h && h->known && h->copied;
}

bool fd_read_only(const struct task *t, int fd)
{
	const struct dir_hint *h = fd == AT_FDCWD ? NULL : hint_peek(t, fd);

	return fd == AT_FDCWD ? t->fs->cwd_read_only : h && h->read_only;
}

/* ---- what is not plain ---------------------------------------------------------------------------- */

bool path_needs_check(const struct task *t, const char *dir, size_t len)
{
	struct mount m;

	if (path_within(dir, len, "/proc", 5) || (len == 4 && !memcmp(dir, "/dev", 4)))
		return true;
	return view_lookup(t, len ? dir : "/", len ? len : 1, &m) != VIEW_PLAIN ||
	       (view_has(UM_MOUNT_MERGE) && merge_has(t, dir, len));
}

/* Nothing virtual or faked at or below it?  (What lies behind a bind mount has two paths: walk.) */
static bool tree_is_plain(const struct task *t, int dfd, const char *path, size_t len, bool copied)
{
	struct mount m;

	uint32_t bound, bind = base_bind(t, dfd, &bound);

	if ((bind && !cow_is_mount(t, bind)) || fd_read_only(t, dfd))
		return false;
	if (len <= 1 || path_within(path, len, "/proc", 5) || path_within(path, len, "/dev", 4))
		return false;
	return view_lookup(t, path, len, &m) == VIEW_PLAIN && cow_leads(t, path, len, copied) &&
	       !(view_has(UM_MOUNT_MERGE) && merge_has(t, path, len));
}

/* ---- finding out ---------------------------------------------------------------------------------- */

long base_backing(int dfd, char *buf, size_t size)
{
	char link[48];
	long n;

	if (dfd == AT_FDCWD) {
		n = raw_syscall(__NR_getcwd, buf, size);
		if (n > 0)
			n--;	/* its NUL */
	} else {
		text_format(link, sizeof(link), "/proc/thread-self/fd/%d", dfd);
		n = raw_syscall(__NR_readlinkat, AT_FDCWD, link, buf, size - 1);
		if (n >= (long)size - 1)
			return -ENAMETOOLONG;
	}
	if (n < 0)
		return n;
	buf[n] = 0;
	return buf[0] == '/' ? n : -ENOENT;	/* "(unreachable)/...", "pipe:[1]" */
}

/* How much of the path stands for this mount: `bound`, but where it shows something in a copy-on-write one. */
__attribute__((noinline))
static uint32_t bound_in_cow(const struct task *t, const struct mount *m, const char *path, size_t len, uint32_t bound)
{
	char there[UM_PATH_MAX];
	size_t n;

	if (!cow_shown_by(t, m, there, &n))
		return bound;
	return path_within(path, len, there, n) ? (uint32_t)n : UINT32_MAX;
}

long path_through_bind(const struct task *t, uint32_t bind, uint32_t bound, char *buf, size_t len, size_t size)
{
	char mount[UM_PATH_MAX];
	struct mount m;
	size_t n, tail;

	if (view_mount_by_id(t, bind, &m, mount, sizeof(mount)))
		return (long)len;	/* unmounted meanwhile: the place itself is still there */
	if (view_has(UM_MOUNT_COW))
		bound = bound_in_cow(t, &m, buf, len, bound);
	if (len < bound)
		return (long)len;
	tail = len == 1 ? 0 : len - bound;
	n = m.path_len == 1 && tail ? 0 : strlen(mount);
	if (n + tail >= size)
		return -ENAMETOOLONG;
	memmove(buf + n, buf + bound, tail);
	memcpy(buf, mount, n);
	buf[n + tail] = 0;
	return (long)(n + tail);
}

__attribute__((noinline)) bool bind_shows_copied(const struct task *t, uint32_t bind)
{
	char there[UM_PATH_MAX];
	struct mount m;
	size_t n;

	return bind && !view_mount_by_id(t, bind, &m, NULL, 0) && cow_shown_by(t, &m, there, &n);
}

long path_from_kernel(const struct task *t, uint32_t bind, uint32_t bound, char *buf, long len, size_t size, bool *copied)
{
	enum cow_state state = cow_to_view(buf, &len, size);

	*copied = state == COW_UPPER;
	if (len <= 0 || !bind || (state != COW_NONE && !bind_shows_copied(t, bind)))
		return len;
	return path_through_bind(t, bind, bound, buf, (size_t)len, size);
}

static uint32_t new_serial(void)
{
	static uint32_t serials = BASE_ROOT;

	return __atomic_add_fetch(&serials, 1, __ATOMIC_RELAXED);
}

/* The owner's lock is held. */
static void hint_set(const struct task *t, struct dir_hint *h, int dfd, const char *path, size_t len,
		     bool copied, uint64_t generation)
{
	char *copy = heap_strndup(path, len), *old;

	if (!copy)
		return;
	__atomic_store_n(&h->known, 0, __ATOMIC_RELEASE);
	old = h->path;
	h->path = copy;
	h->len = (uint32_t)len;
	h->copied = copied;
	heap_free(old);
	__atomic_store_n(&h->serial, new_serial(), __ATOMIC_RELEASE);
	__atomic_store_n(&h->plain, tree_is_plain(t, dfd, path, len, copied) ? generation : 0, __ATOMIC_RELEASE);
	__atomic_store_n(&h->known, generation, __ATOMIC_RELEASE);
}

/* ---- whose hint ----------------------------------------------------------------------------------- */

static struct lock *owner_lock(struct task *t, int dfd)
{
	return dfd == AT_FDCWD ? &t->fs->lock : &t->files->lock;
}

static bool hints_grow(struct files *fs, int fd)
{
	int n = fs->nhints ? fs->nhints : 64;
	void **hints;

	if (fd < fs->nhints)
		return true;
	while (n <= fd)
		n *= 2;
	hints = slots_grow((void **)fs->hints, (size_t)fs->nhints, (size_t)n);
	if (!hints)
		return false;
	__atomic_store_n(&fs->hints, (struct dir_hint **)hints, __ATOMIC_RELEASE);	/* before its size */
	__atomic_fetch_or(&process.watch, WATCH_HINTS, __ATOMIC_ACQ_REL);
	__atomic_store_n(&fs->nhints, n, __ATOMIC_RELEASE);
	return true;
}

/* In a table that nobody else has yet. */
bool hints_add(struct files *to, int fd, uint32_t bind, uint32_t bound, bool read_only)
{
	struct dir_hint *h = hints_grow(to, fd) ? heap_alloc(sizeof(*h)) : NULL;

	if (!h)
		return false;
	h->bind = bind;
	h->bound = bound;
	h->read_only = read_only;
	to->hints[fd] = h;
	return true;
}

/* Into a new table, `from` is locked: which descriptors lie behind a bind mount nobody else knows. */
bool hints_copy(struct files *to, const struct files *from)
{
	for (int fd = 0; fd < from->nhints; fd++) {
		const struct dir_hint *h = from->hints[fd];

		if (h && (h->bind || h->read_only) && !hints_add(to, fd, h->bind, h->bound, h->read_only))
			return false;
	}
	return true;
}

/* The owner's lock is held. */
static struct dir_hint *hint_make(struct task *t, int dfd)
{
	struct dir_hint **at;
	struct dir_hint *h;

	if (dfd != AT_FDCWD && (dfd < 0 || dfd > 1 << 20 || !hints_grow(t->files, dfd)))
		return NULL;
	at = dfd == AT_FDCWD ? &t->fs->hint : &t->files->hints[dfd];
	if (*at)
		return *at;
	h = heap_alloc(sizeof(*h));
	if (h)
		__atomic_store_n(at, h, __ATOMIC_RELEASE);
	return h;
}

struct dir_hint *hint_at(struct task *t, int fd, bool make)
{
	if (make)
		return hint_make(t, fd);
	return fd >= 0 && fd < t->files->nhints ? t->files->hints[fd] : NULL;
}

/* The owner's lock is held. */
static long base_ask(struct task *t, int dfd, uint64_t generation, char *buf, size_t size)
{
	long n = base_backing(dfd, buf, size);
	uint32_t bound, bind = base_bind(t, dfd, &bound);
	struct dir_hint *h;
	bool copied;

	n = path_from_kernel(t, bind, bound, buf, n, size, &copied);
	if (n > 0 && (h = hint_make(t, dfd)))
		hint_set(t, h, dfd, buf, (size_t)n, copied, generation);
	return n;
}

long base_path(struct task *t, int dfd, uint64_t generation, char *buf, size_t size)
{
	struct lock *lock = owner_lock(t, dfd);
	const struct dir_hint *h;
	long n;

	lock_acquire(lock);
	h = hint_peek(t, dfd);
	if (h && h->known == generation && h->len < size) {
		n = h->len;
		memcpy(buf, h->path, h->len + 1);
	} else {
		n = base_ask(t, dfd, generation, buf, size);
	}
	lock_release(lock);
	return n;
}

/* A hint without a path: what is known of it can be used, the path is asked for when it is needed. */
static void hint_make_like(struct task *t, int fd, const struct dir_hint *like)
{
	struct dir_hint *h;

	lock_acquire(&t->files->lock);
	h = hint_make(t, fd);
	if (h) {
		hint_forget(h);
		h->bind = like->bind;
		h->bound = like->bound;
		h->list = dir_list_get(like->list);
		h->read_only = like->read_only;
		__atomic_store_n(&h->serial, like->serial, __ATOMIC_RELEASE);
		__atomic_store_n(&h->plain, like->plain, __ATOMIC_RELEASE);
	}
	lock_release(&t->files->lock);
}

void where_opened(struct where *w, int fd)
{
	const struct dir_hint like = {
		.bind = w->bind, .bound = w->bound, .read_only = w->read_only, .plain = w->below_plain ? w->generation : 0, .serial = new_serial(),
	};

	if (like.bind || like.plain || like.read_only)
		hint_make_like(w->t, fd, &like);
}

void fd_dup_hint(struct task *t, int from, int to)
{
	const struct dir_hint *h = hint_peek(t, from);

	if (h && (h->plain || h->bind || h->list || h->read_only))
		hint_make_like(t, to, h);
}

__attribute__((noinline)) static int base_refresh(struct task *t, int dfd, uint64_t generation)
{
	char path[UM_PATH_MAX];
	long n = base_path(t, dfd, generation, path, sizeof(path));

	return n < 0 ? (int)n : 0;
}

bool walk_is_directory_fd(int dfd)
{
	struct stat st;

	return dfd == AT_FDCWD ||
	       (!raw_syscall(__NR_fstat, dfd, &st) && (st.st_mode & 0170000) == 0040000);
}

bool base_is_directory(const struct task *t, int dfd)
{
	const struct dir_hint *h = dfd < 0 ? NULL : hint_peek(t, dfd);

	if (!h)
		return walk_is_directory_fd(dfd);
	if (!h->directory)
		((struct dir_hint *)h)->directory = walk_is_directory_fd(dfd);
	return h->directory;
}

int base_find(struct task *t, int dfd, uint64_t generation, struct base *b)
{
	const struct dir_hint *h = hint_peek(t, dfd);

	if (!h || (__atomic_load_n(&h->known, __ATOMIC_ACQUIRE) != generation &&
		   __atomic_load_n(&h->plain, __ATOMIC_ACQUIRE) != generation)) {
		int r = base_refresh(t, dfd, generation);

		if (r)
			return r;
		h = hint_peek(t, dfd);
		if (!h)
			return -ENOMEM;
	}
	b->key = base_key(t, __atomic_load_n(&h->serial, __ATOMIC_ACQUIRE));
	b->plain = __atomic_load_n(&h->plain, __ATOMIC_ACQUIRE) == generation;
	return 0;
}
