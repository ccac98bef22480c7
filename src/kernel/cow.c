/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sessions of copy-on-write mounts, as this process uses them.
 *
 * A session is opened when the process changes something behind its mount for the first time, or meets a directory of
 * its tree, and stays mapped.  The list of sessions only grows, so readers take no lock.
 */
#include <linux/fs.h>
#include <linux/mman.h>
#include "cow.h"
#include "shared_lock.h"

static struct cow *sessions UM_LARGE;
static struct lock sessions_lock UM_LARGE;

/* ---- opening --------------------------------------------------------------------------------------------- */

long cow_open_file(const struct cow *c, const char *name)
{
	char path[UM_PATH_MAX];

	if (text_format(path, sizeof path, "%s/%s", c->session, name) >= (int)sizeof path)
		return -ENAMETOOLONG;
	return raw_syscall(__NR_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
}

static long map_file(const struct cow *c, const char *name, size_t size)
{
	struct stat st;
	long fd = cow_open_file(c, name), at;

	if (fd < 0)
		return fd;
	at = raw_syscall(__NR_fstat, fd, &st);
	if (!at)
		at = (uint64_t)st.st_size < size ? -EINVAL : own_map(size, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	raw_syscall(__NR_close, fd);
	return at;
}

static void note_white(struct cow *c)
{
	struct stat st;

	if (!cow_look(c->white, &st))
		__atomic_store_n(&c->white_ino, st.st_ino, __ATOMIC_RELAXED);
}

static long map_session(struct cow *c)
{
	struct stat st;
	long at = map_file(c, UM_COW_STATE, UM_COW_STATE_SIZE), gone;

	if (at < 0)
		return at;
	c->state = (struct um_cow_state *)at;
	if (c->state->magic != UM_COW_MAGIC || c->state->version != UM_COW_VERSION)
		return -EINVAL;
	at = map_file(c, UM_COW_INODES, um_vtable_size(UM_VSTAT_RECORDS));
	if (at < 0)
		return at;
	at = vtable_attach(&c->inodes, (void *)at, um_vtable_size(UM_VSTAT_RECORDS));
	c->inodes.grow = cow_grow_inodes;
	if (!at)
		at = raw_syscall(__NR_newfstatat, AT_FDCWD, c->tree, &st, 0);
	c->dev = st.st_dev;
	note_white(c);
	gone = map_file(c, UM_COW_GONE_FILE, sizeof *c->gone);
	c->gone = gone < 0 ? NULL : (struct um_cow_gone *)gone;
	return at;
}

static long fill(struct task *t, struct cow *c, char *buf)
{
	struct mount m;
	long r = view_mount_by_id(t, c->id, &m, buf, UM_PATH_MAX);

	if (r)
		return r;
	c->over = m.flags & UM_MNT_OVER;
	c->dir = heap_strndup(buf, strcmp(buf, "/") ? strlen(buf) : 0);
	r = view_bind_target(t, c->id, buf, UM_PATH_MAX);
	if (r)
		return r;
	c->tree = heap_strndup(buf, strlen(buf));
	c->session = heap_strndup(buf, (size_t)(strrchr(buf, '/') - buf));
	if (text_format(buf, UM_PATH_MAX, "%s/" UM_COW_WHITE, c->session) < UM_PATH_MAX)
		c->white = heap_strndup(buf, strlen(buf));
	return c->dir && c->tree && c->session && c->white ? map_session(c) : -ENOMEM;
}

static void drop(struct cow *c)
{
	if (c->state)
		own_unmap(c->state, UM_COW_STATE_SIZE);
	if (c->gone)
		own_unmap(c->gone, sizeof *c->gone);
	if (c->inodes.head)
		own_unmap(c->inodes.head, um_vtable_size(UM_VSTAT_RECORDS));
	heap_free(c->dir);
	heap_free(c->tree);
	heap_free(c->session);
	heap_free(c->white);
	heap_free(c);
}

static struct cow *find(uint32_t id)
{
	for (struct cow *c = __atomic_load_n(&sessions, __ATOMIC_ACQUIRE); c; c = c->next)
		if (c->id == id)
			return c;
	return NULL;
}

static struct cow *open_session(struct task *t, uint32_t id, long *error)
{
	struct cow *c = heap_alloc(sizeof *c);
	char *buf = heap_alloc(UM_PATH_MAX);

	*error = -ENOMEM;
	if (c && buf) {
		c->id = id;
		*error = fill(t, c, buf);
	}
	heap_free(buf);
	if (*error && c) {
		if (c->session)
			agent_log("the copy-on-write session %s cannot be used: error %ld", c->session, -*error);
		drop(c);
		return NULL;
	}
	if (c && c->state->op != UM_COW_NOTHING) {	/* somebody has been killed, or is about to be ready */
		cow_lock(t, c);
		cow_unlock(c);
	}
	return c;
}

/* The older a mount, the further in front; the lock is held. */
static void insert(struct cow *c)
{
	struct cow **at = &sessions;

	while (*at && (*at)->id < c->id)
		at = &(*at)->next;
	c->next = *at;
	__atomic_store_n(at, c, __ATOMIC_RELEASE);
}

struct cow *cow_get(struct task *t, uint32_t id, long *error)
{
	struct cow *c = find(id);

	if (c)
		return c;
	lock_acquire(&sessions_lock);
	c = find(id);
	if (!c) {
		c = open_session(t, id, error);
		if (c)
			insert(c);
	}
	lock_release(&sessions_lock);
	return c;
}

/* ---- what copies look like ------------------------------------------------------------------------------- */

static struct cow *if_seen(const struct task *t, struct cow *c)
{
	return c && c->id < t->epoch ? c : NULL;
}

struct cow *cow_first(const struct task *t)
{
	return if_seen(t, __atomic_load_n(&sessions, __ATOMIC_ACQUIRE));
}

struct cow *cow_next(const struct task *t, const struct cow *c)
{
	return if_seen(t, __atomic_load_n(&c->next, __ATOMIC_ACQUIRE));
}

void cow_open_all(struct task *t)
{
	static uint64_t opened;
	uint64_t generation = view_generation(t);
	uint32_t ids[COW_MOUNTS];
	long error;

	if (__atomic_load_n(&opened, __ATOMIC_RELAXED) == generation)
		return;
	for (int n = view_cow_ids(t, ids, COW_MOUNTS); n-- > 0;)
		cow_get(t, ids[n], &error);
	__atomic_store_n(&opened, generation, __ATOMIC_RELAXED);
}

/* Has the session something to say of this file? */
static bool show(const struct task *t, struct cow *c, struct stat *st)
{
	struct vstat v;

	if (c->dev != st->st_dev && !(cow_knows_links(c) && cow_has_names(st)))
		return false;
	if (!um_cow_dev(st->st_dev) && (!c->over || st->st_dev != cow_low_dev(t, c)))
		return false;		/* another image's */
	if (!vtable_get(&c->inodes, um_cow_dev(st->st_dev), st->st_ino, &v))
		return false;
	if (v.have & UM_VS_NLINK)
		st->st_nlink += (uint64_t)(int64_t)v.nlink;
	if (v.have & UM_VS_UID)
		st->st_uid = v.uid;
	if (v.have & UM_VS_GID)
		st->st_gid = v.gid;
	if (v.have & UM_VS_ORIGIN) {
		st->st_dev = v.origin_dev ? v.origin_dev : cow_low_dev(t, c);
		st->st_ino = v.origin_ino;
		if (S_ISDIR(st->st_mode))
			st->st_nlink = 1;	/* nobody has counted */
	}
	return true;
}

void cow_show_below(const struct task *t, struct stat *st, uint32_t id)
{
	bool over;

	if (!view_has(UM_MOUNT_COW))
		return;
	over = cow_over_any((struct task *)t);
	for (struct cow *c = cow_first(t); c && c->id < id; c = cow_next(t, c))
		if (show(t, c, st) && !over)
			return;
}

void cow_show(const struct task *t, struct stat *st)
{
	cow_show_below(t, st, UINT32_MAX);
}

bool cow_over_any(struct task *t)
{
	bool any = false;

	cow_open_all(t);
	for (const struct cow *c = cow_first(t); c && !any; c = cow_next(t, c))
		any = c->over;
	return any;
}

bool cow_is_mount(const struct task *t, uint32_t id)
{
	struct mount m;

	return view_has(UM_MOUNT_COW) && !view_mount_by_id(t, id, &m, NULL, 0) && m.kind == UM_MOUNT_COW;
}

/* ---- paths ----------------------------------------------------------------------------------------------- */

int cow_join(char *buf, const char *dir, const char *rel)
{
	size_t d = strlen(dir), n = strlen(rel);

	if (d + n + 2 > UM_PATH_MAX)
		return -ENAMETOOLONG;
	memcpy(buf, dir, d);
	if (n || !d)
		buf[d++] = '/';
	memcpy(buf + d, rel, n + 1);
	return 0;
}

int cow_up_path(const struct cow *c, char *buf, const char *rel)
{
	return cow_join(buf, c->tree, rel);
}

int cow_work_path(struct task *t, struct cow *c, char *buf)
{
	uint32_t n = __atomic_add_fetch(&c->state->number, 1, __ATOMIC_RELAXED);
	int len = text_format(buf, UM_PATH_MAX, "%s/" UM_COW_WORK "/%d.%u", c->session, t->tid, n);

	return len < UM_PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* ---- whiteouts and opaque directories -------------------------------------------------------------------- */

bool cow_is_whiteout(int dfd, const char *path, const struct stat *st)
{
	char text[sizeof UM_COW_WHITEOUT];
	size_t n = sizeof UM_COW_WHITEOUT - 1;

	if (S_ISCHR(st->st_mode))
		return st->st_rdev == 0;
	return S_ISLNK(st->st_mode) && (size_t)st->st_size == n &&
	       raw_syscall(__NR_readlinkat, dfd, path, text, sizeof text) == (long)n &&
	       !memcmp(text, UM_COW_WHITEOUT, n);
}

bool cow_entry_is_whiteout(const struct cow *c, int fd, struct linux_dirent64 *d)
{
	enum { UNKNOWN = 0, CHR = 2, LNK = 10 };		/* DT_* */
	long r;
	struct stat st;

	if (d->d_type != UNKNOWN && d->d_type != CHR && d->d_type != LNK)
		return false;
	if (d->d_type != UNKNOWN && d->d_ino == __atomic_load_n(&c->white_ino, __ATOMIC_RELAXED))
		return true;
	r = raw_syscall(__NR_newfstatat, fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW);
	if (r)
		return r == -ENOENT;
	if (cow_is_whiteout(fd, d->d_name, &st))
		return true;
	d->d_type = st.st_mode >> 12 & 15;		/* IFTODT: something may have taken its place since */
	d->d_ino = st.st_ino;
	return false;
}

static long make_white(const struct cow *c, const char *path)
{
	if (c->state->links)
		return raw_syscall(__NR_symlinkat, UM_COW_WHITEOUT, AT_FDCWD, path);
	return raw_syscall(__NR_mknodat, AT_FDCWD, path, S_IFCHR, 0);
}

/* A further name costs a file system much less than a new inode; but it may have no room for one more. */
long cow_make_whiteout(struct cow *c, const char *path)
{
	long r = raw_syscall(__NR_linkat, AT_FDCWD, c->white, AT_FDCWD, path, 0);

	if (r == -ENOENT && !c->white_ino) {
		make_white(c, c->white);
		note_white(c);
		r = raw_syscall(__NR_linkat, AT_FDCWD, c->white, AT_FDCWD, path, 0);
	}
	return !r || r == -EEXIST ? r : make_white(c, path);
}

/* Whatever the table says of an inode that had the number of a new one does not count. */
int cow_set_opaque(struct task *t, struct cow *c, const char *up, bool made)
{
	const struct vstat v = { .have = UM_VS_FLAGS, .flags = UM_VSF_OPAQUE };
	struct stat st;
	int r = (int)raw_syscall(__NR_newfstatat, AT_FDCWD, up, &st, AT_SYMLINK_NOFOLLOW);

	return r ? r : vtable_set(&c->inodes, t, st.st_dev, st.st_ino, &v, made ? ~0u : UM_VS_FLAGS);
}

/* ---- the lock and the journal ---------------------------------------------------------------------------- */

/* Has what was to come to b come, or gone what was to go from there? */
static bool has_come(const struct cow *c, char *path)
{
	const struct um_cow_state *s = c->state;
	struct stat st;
	int r = cow_up_path(c, path, s->b);

	if (!r)
		r = cow_look(path, &st);
	if (s->op == UM_COW_GONE)
		return r ? r == -ENOENT : st.st_ino != s->ino;
	if (r)
		return false;
	return s->ino ? st.st_ino == s->ino : cow_is_whiteout(AT_FDCWD, path, &st);
}

static void finish(struct task *t, struct cow *c)
{
	struct um_cow_state *s = c->state;
	const struct cow_count n = { s->count_dev, s->count_ino, s->count };
	char *path = heap_alloc(2 * UM_PATH_MAX), *work = path + UM_PATH_MAX;

	if (!path)
		return;
	s->a[sizeof s->a - 1] = s->b[sizeof s->b - 1] = 0;
	if (has_come(c, path)) {
		if (s->op == UM_COW_MOVED && !cow_up_path(c, path, s->a) && !cow_work_path(t, c, work) &&
		    !cow_make_whiteout(c, work)) {
			raw_syscall(__NR_renameat2, AT_FDCWD, work, AT_FDCWD, path, 0);
			raw_syscall(__NR_unlinkat, AT_FDCWD, work, 0);	/* still there if that was a whiteout, too */
		}
		cow_count_set(t, c, &n);
	}
	heap_free(path);
}

void cow_journal(struct cow *c, enum um_cow_op op, const char *a, const char *b, uint64_t ino, const struct cow_count *n)
{
	struct um_cow_state *s = c->state;

	memcpy(s->a, a, strlen(a) + 1);
	memcpy(s->b, b, strlen(b) + 1);
	s->ino = ino;
	s->count_dev = n->dev;
	s->count_ino = n->ino;
	s->count = n->to;
	__atomic_store_n(&s->op, op, __ATOMIC_SEQ_CST);
}

void cow_journal_end(struct cow *c)
{
	__atomic_store_n(&c->state->op, UM_COW_NOTHING, __ATOMIC_SEQ_CST);
}

void cow_lock(struct task *t, struct cow *c)
{
	bool killed = shared_lock(&c->state->lock, t);

	cow_gone_mend(c, killed);
	if (!killed)
		return;
	if (c->state->changes & 1)
		cow_change_end(t, c, true);
	if (c->state->op != UM_COW_NOTHING)
		finish(t, c);
	c->state->op = UM_COW_NOTHING;
}

void cow_unlock(struct cow *c)
{
	shared_unlock(&c->state->lock);
}
