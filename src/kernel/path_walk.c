/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow way: a path is walked name by name.
 *
 * `v` is the canonical path in the view as far as the walk has come, `pending` the text still to be
 * walked (it lies at the end of its buffer, so that the target of a link is put in front of it), `place`
 * who answers at v:
 *
 *  - the kernel: every name is looked at with readlinkat, links are followed here;
 *  - a server (remote): names are only collected, the server walks them when the operation is sent, and
 *    says where a link lies.  It is asked on the way only for "..", which means something only in what
 *    is known to be a directory;
 *  - either of them behind a bind mount: then v is what the guest sees (mounts are looked up by it, ".."
 *    goes by it), and the same place has another path, the backing path, which the kernel or the server
 *    knows.  What is mounted at the other end is seen as it was when the bind mount was made.
 *
 * At every name the mount table is asked whether something is mounted there (walk_arrive).  A mount hides
 * what is below it, older mounts included (`since`).
 *
 * As long as nothing virtual is met, the walk is `pure`: the guest's own path, given to the kernel,
 * leads to the same place.  So it is what the kernel gets in the end, and also when something fails, since
 * the kernel knows best with which error.  Otherwise it gets the canonical path.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "path_walk.h"
#include "perm.h"
#include "fs/proc.h"
#include "../agent/channel.h"

#define MAX_NAME	255

/* ---- v, the backing path, the pending text -------------------------------------------------------- */

const char *walk_backing(struct walk *k, size_t *len)
{
	const struct place *p = &k->place;
	size_t tail = k->len - p->cut;

	if (place_is_moved(p)) {
		*len = p->low_len + k->len - p->low_cut;
		memmove(k->tmp, k->low, p->low_len);
		memcpy(k->tmp + p->low_len, k->v + p->low_cut, k->len - p->low_cut);
		k->tmp[*len] = 0;
		return k->tmp;
	}
	if (!p->bind) {
		*len = k->len;
		return k->v;
	}
	memmove(k->tmp, k->back, p->back_len);
	memcpy(k->tmp + p->back_len, k->v + p->cut, tail);
	*len = p->back_len + tail;
	k->tmp[*len] = 0;
	return k->tmp;
}

const char *walk_kernel_path(struct walk *k, int *dfd)
{
	const char *path;
	size_t len;

	if (k->anchored) {
		*dfd = k->dfd;
		return k->len > k->anchor ? k->v + k->anchor + 1 : ".";
	}
	*dfd = AT_FDCWD;
	path = walk_backing(k, &len);
	return len ? path : "/";
}

int walk_push(struct walk *k, const char *name, size_t n)
{
	const struct place *p = &k->place;

	if (k->len + n + 2 > sizeof(k->v))
		return -ENAMETOOLONG;
	if (p->cow_moved && p->low_len + (k->len - p->low_cut) + n + 2 > sizeof(k->tmp))
		return -ENAMETOOLONG;
	if (p->bind && p->back_len + (k->len - p->cut) + n + 2 > sizeof(k->tmp))
		return -ENAMETOOLONG;
	if (p->cow_bound && p->there_len + (k->len - p->cut) + n + 2 > sizeof(k->there))
		return -ENAMETOOLONG;
	k->v[k->len] = '/';
	memcpy(k->v + k->len + 1, name, n);
	k->len += n + 1;
	k->v[k->len] = 0;
	k->seen_directory = false;
	return 0;
}

void walk_truncate(struct walk *k, size_t len)
{
	k->len = len;
	k->v[len] = 0;
	k->seen_directory = false;
	k->v_hash.len = k->back_hash.len = 0;
	if (k->anchored && len < k->anchor)
		k->anchored = false;
}

void walk_pop(struct walk *k)
{
	size_t n = k->len;

	while (n && k->v[n - 1] != '/')
		n--;
	walk_truncate(k, n ? n - 1 : 0);
}

int walk_prepend(struct walk *k, const char *s, size_t n)
{
	bool slash = *k->rest && *k->rest != '/';

	if (n + slash > (size_t)(k->rest - k->pending))
		return -ENAMETOOLONG;
	if (slash)
		*--k->rest = '/';
	k->rest -= n;
	memmove(k->rest, s, n);
	return 0;
}

long walk_fail(struct walk *k, long error)
{
	return k->pure ? WALK_NATIVE : error;
}

/* ---- where a walk starts -------------------------------------------------------------------------- */

int walk_start(struct walk *k, struct where *w, unsigned flags, const char *text, size_t len)
{
	__builtin_memset(k, 0, offsetof(struct walk, v));
	k->t = w->t;
	k->w = w;
	k->flags = flags;
	if (flags & WHERE_PARENT)
		k->flags |= WHERE_ENTRY;
	k->generation = view_generation(w->t);
	k->pure = k->cacheable = true;
	k->lazy = flags & WHERE_CHANGE && !(flags & WHERE_VERIFY) && view_has(UM_MOUNT_COW);
	k->lazy = k->lazy && !w->strict;
	k->verify = flags & WHERE_VERIFY || k->lazy || w->strict;
	k->key = base_key(w->t, BASE_ROOT);
	k->v[0] = 0;
	k->rest = k->pending + sizeof(k->pending) - 1;
	*k->rest = 0;
	return walk_prepend(k, text, len);
}

int walk_root(struct walk *k)
{
	k->w->last = LAST_ROOT;
	k->w->trailing = true;
	walk_truncate(k, 0);
	return walk_locate(k);
}

int walk_guest_root(struct walk *k)
{
	const char *root = k->t->fs->root;
	size_t n = root ? strlen(root) : 0;

	if (!n)
		return walk_root(k);
	k->w->last = LAST_ROOT;
	k->w->trailing = true;
	k->pure = false;
	walk_truncate(k, 0);
	memcpy(k->v, root, n + 1);
	k->len = n;
	return walk_locate(k);
}

bool walk_at_guest_root(const struct walk *k)
{
	const char *root = k->t->fs->root;

	return root && k->len == strlen(root) && !memcmp(k->v, root, k->len);
}

/* The directory lies behind a bind mount, if that is still there. */
static int base_behind_bind(struct walk *k, uint32_t bind)
{
	struct place *p = &k->place;
	size_t len = k->len;
	struct mount m;
	int r;

	if (view_mount_by_id(k->t, bind, &m, NULL, 0))
		return 0;
	k->len = m.path_len == 1 ? 0 : m.path_len;
	if (len < k->len)
		return -ENOENT;
	p->bind = bind;
	p->since = m.rank;
	r = walk_behind(k, &m);
	k->len = len;
	k->cacheable = false;
	return !r && p->back_len + len - p->cut >= sizeof(k->back) ? -ENAMETOOLONG : r;
}

/* The directory may have been copied since it was opened, or be in a tree, and then the guest's text leads elsewhere; but not if
 * there is nothing of it below (plain). */
static int base_in_cow(struct walk *k, bool plain)
{
	int r = walk_locate(k);

	if (k->place.cow && k->place.bind) {
		k->place.cow_pure = false;
		if (k->place.cow_bound) {
			k->cacheable = false;
			plain = !r && base_is_copied(k->t, k->dfd) && walk_bound_is_plain(k);
		}
		k->anchored = k->pure = plain && (k->place.cow_state == COW_UPPER || place_is_moved(&k->place));
	}
	return r;
}

int walk_base(struct walk *k, int dfd)
{
	uint32_t bind, bound;
	struct base b;
	long n = base_path(k->t, dfd, k->generation, k->v, sizeof(k->v));

	if (n < 0 || base_find(k->t, dfd, k->generation, &b))
		return WALK_NATIVE;
	k->len = n == 1 ? 0 : (size_t)n;
	k->v[k->len] = 0;
	if (path_within(k->v, k->len, "/proc", 5) && !base_is_directory(k->t, dfd))
		return WALK_NATIVE;		/* a link of /proc that was opened itself: what it leads to is not meant */
	k->key = b.key;
	k->dfd = dfd;
	k->anchor = k->len;
	if (view_has(UM_MOUNT_COW))
		return base_is_directory(k->t, dfd) ? base_in_cow(k, b.plain) : -ENOTDIR;
	k->anchored = true;
	bind = base_bind(k->t, dfd, &bound);
	k->place.read_only = fd_read_only(k->t, dfd);
	k->cacheable &= !k->place.read_only;
	if (!bind)
		return view_has(UM_MOUNT_MERGE) && base_is_directory(k->t, dfd) ? walk_base_merged(k, 0) : 0;
	if (!base_is_directory(k->t, dfd))
		return -ENOTDIR;
	return view_has(UM_MOUNT_MERGE) && walk_base_merged(k, bind) ? 0 : base_behind_bind(k, bind);
}

/* f->path, asked for if nobody has yet. */
static const char *known_path(struct walk *k, struct file *f)
{
	char *none = NULL, *path = __atomic_load_n(&f->path, __ATOMIC_ACQUIRE);
	long n;

	bool moved = view_has_moves();

	if (path && !moved)
		return path;
	n = file_path(k->t, f, k->tmp, sizeof(k->tmp));
	if (moved)
		return n < 0 ? NULL : k->tmp;
	if (n < 0 || !(path = heap_strndup(k->tmp, (size_t)n)))
		return NULL;
	if (__atomic_compare_exchange_n(&f->path, &none, path, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return path;
	heap_free(path);
	return none;
}

static void mount_of_file(struct task *t, const struct file *f, struct mount *m)
{
	if (view_mount_by_id(t, f->mount, m, NULL, 0) == 0)
		return;
	*m = (struct mount) {	/* unmounted while in use: only the handle leads there */
		.id = f->mount, .rank = f->mount, .kind = UM_MOUNT_REMOTE, .server = f->server, .is_dir = 1, .path_len = UINT32_MAX,
	};
}

/* The directory may have been copied since it was opened. */
static void base_over(struct walk *k)
{
	const struct place own = k->place;

	if (walk_locate(k) || !(k->place.top.id || k->place.cow))
		k->place = own;
	k->anchored = k->grounded = k->pure = k->cacheable = false;
}

int walk_file(struct walk *k, struct file *f)
{
	struct place *p = &k->place;
	const char *path;
	size_t n;

	if (f->kind != FILE_REMOTE || (f->mode & 0170000) != 0040000)
		return -ENOTDIR;
	path = known_path(k, f);
	if (!path)
		path = "(unreachable)";		/* no mount lies there */
	n = strlen(path);
	if (n >= sizeof(k->v))
		return -ENAMETOOLONG;
	memcpy(k->v, path, n + 1);
	k->anchored = k->grounded = k->pure = k->cacheable = false;
	walk_truncate(k, n == 1 ? 0 : n);
	*p = (struct place) { .remote = true, .handle = f->handle, .handle_node = f->node, .base_len = k->len,
			      .read_only = f->flags & FILE_RDONLY };
	mount_of_file(k->t, f, &p->m);
	p->since = p->m.rank;
	if (view_has(UM_MOUNT_MERGE))
		walk_base_merged(k, 0);
	if (view_has(UM_MOUNT_COW) && cow_over_any(k->t))
		base_over(k);
	return 0;
}

/* ---- names ---------------------------------------------------------------------------------------- */

long walk_text(struct walk *k, size_t dir_len, size_t n, bool view)
{
	bool absolute = k->pending[0] == '/';
	long r;

	if (++k->w->links > WALK_MAX_LINKS)
		return walk_fail(k, -ELOOP);
	if (!n)
		return walk_fail(k, -ENOENT);
	k->links = true;
	r = walk_prepend(k, k->pending, n);
	if (!r)
		r = walk_leave_name(k, dir_len);
	if (r)
		return walk_fail(k, r);
	r = !absolute ? 0 : view ? walk_root(k) : walk_guest_root(k);
	return r ? r : WALK_AGAIN;
}

static long walk_link(struct walk *k, size_t dir_len, size_t n)
{
	return walk_text(k, dir_len, n, false);
}

/* The last name, not to be followed. */
static long walk_entry(struct walk *k, int hit)
{
	size_t len;
	const char *path = walk_backing(k, &len);
	struct proc_hit h = { 0 };

	if (path_within(path, len, "/proc", 5))
		h = proc_look(k->t, path, len);
	if (h.what == PROC_HIDDEN)
		return -ENOENT;
	if (h.what != PROC_DIR)
		k->w->proc = h;
	if (hit == VIEW_ABOVE && k->flags & WHERE_ENTRY)
		k->rewrite = true;	/* so that it can be seen that mounts lie below it */
	return 0;
}

static void remember_name(struct walk *k)
{
	const char *path;
	size_t len;

	walk_remember_below(k);
	path = walk_backing(k, &len);
	if (k->grounded && !place_is_moved(&k->place))
		cache_store(BASE_ROOT, path, len, k->generation, CACHE_KNOWN | CACHE_DIRECT |
			    (path_needs_check(k->t, path, len) ? CACHE_CHECK : 0), NULL, 0);
}

/*
 * Nothing is there, nor mounted there or below: the kernel will say so, now and as long as nobody makes a
 * link.  (".." behind what may be made some day leads elsewhere then.)
 */
static void remember_missing(struct walk *k)
{
	if (!k->pure || !k->cacheable || k->place.bind || !k->last_at || path_within(k->v, k->len, "/proc", 5) ||
	    k->parent.cow_state == COW_MERGED || k->parent.nover)
		return;
	for (const char *s = k->rest; s < k->last_at; s++)
		if (s[0] == '/' && s[1] == '.' && s[2] == '.')
			return;
	cache_store(k->key, k->w->path, k->dir_len, k->generation, CACHE_KNOWN | (k->links ? CACHE_LINKS : 0),
		    NULL, 0);
}

/*
 * A link's target, to `pending`, or -EINVAL; -ELOOP: nobody may follow it.  *directory: only that may be remembered.  (A file that goes makes
 * no new generation; but behind copy-on-write what has gone is still there, below.)
 */
static long read_link(struct walk *k, int dfd, const char *path, bool *directory)
{
	struct stat st;
	long r;

	*directory = true;
	if (view_has(UM_MOUNT_COW) || k->flags & WHERE_NO_LINKS) {
		r = raw_syscall(__NR_newfstatat, dfd, path, &st, AT_SYMLINK_NOFOLLOW);
		*directory = !r && S_ISDIR(st.st_mode);
		if (r || !S_ISLNK(st.st_mode))
			return r ? r : -EINVAL;
		if (k->flags & WHERE_NO_LINKS)
			return -ELOOP;
	}
	return raw_syscall(__NR_readlinkat, dfd, path, k->pending, k->rest - k->pending);
}

/* WHERE_NO_LINKS: the walk has met one.  Who asks sees whether it was behind a bind mount. */
static long walk_no_links(struct walk *k)
{
	k->w->links++;
	k->w->bind = k->place.cow ? 0 : k->place.bind;
	return walk_fail(k, -ELOOP);
}

/* A real name, on the way or to be followed. */
static long walk_real(struct walk *k, size_t dir_len, int hit, bool final)
{
	size_t len;
	const char *path = walk_backing(k, &len);
	bool directory;
	int dfd;
	long r;

	if (path_within(path, len, "/proc", 5) && (r = walk_magic(k, dir_len, final)) != WALK_PLAIN)
		return r;
	if (k->place.cow_known) {
		k->verified = true;
		return 0;
	}
	if (final && k->lazy && k->place.cow_state == COW_UPPER && k->len != k->place.cow_over && !k->place.top.id) {
		k->w->fast = true;
		return 0;
	}
	if (final && !k->verify && !(k->pure && k->links)) {
		k->w->fast = true;
		return 0;
	}
	if (!final && k->grounded && cache_find(BASE_ROOT, path, len, k->generation) & CACHE_DIRECT)
		return 0;
	path = walk_kernel_path(k, &dfd);
	r = read_link(k, dfd, path, &directory);
	if (r == -ELOOP && k->flags & WHERE_NO_LINKS)
		return walk_no_links(k);
	if (r == k->rest - k->pending)
		return walk_fail(k, -ENAMETOOLONG);	/* perhaps cut short */
	if (r >= 0)
		return walk_link(k, dir_len, (size_t)r);
	if (final)
		k->verified = r == -EINVAL;
	else if (r == -EINVAL && directory)
		remember_name(k);
	k->seen_directory = r == -EINVAL && directory && view_has(UM_MOUNT_COW);
	if (final || r == -EINVAL || (r == -ENOENT && (hit == VIEW_ABOVE || k->lenient)))
		return 0;
	if (r == -ENOENT)
		remember_missing(k);
	return walk_fail(k, r);
}

/* WHERE_PARENT: the operation is sent with the node of the directory and one name. */
static long walk_parent(struct walk *k, char *name)
{
	char *behind = k->rest;
	uint64_t node;
	long r;

	if (!k->place.remote || walk_at_node(k) || walk_at_root(k))
		return 0;
	k->rest = name;		/* should a link be met, the name comes after it */
	r = walk_ask(k, UM_WALK_DIR | UM_WALK_FOLLOW, &node);
	if (r)
		return r;
	k->rest = behind;
	k->place.handle = 0;
	k->place.base = node;
	k->place.base_len = k->len;
	return 0;
}

/* A hidden name: nothing is there, but a mount or an unmount may name it. */
static long walk_hidden(struct walk *k, bool final)
{
	if (!final)
		return -ENOENT;
	if (k->lenient) {
		k->pure = false;
		return 0;
	}
	return k->flags & WHERE_CREATE ? -EACCES : -ENOENT;
}

static long walk_name(struct walk *k, char *name, size_t n, bool final)
{
	bool parent = final && k->flags & WHERE_PARENT;
	size_t dir_len = k->len;
	long r;
	int hit;

	if (n > (k->place.remote ? UM_NAME_MOST : MAX_NAME)) {	/* in a file no name is too long */
		r = k->pure ? 0 : walk_is_directory(k, name);
		return r ? r : walk_fail(k, -ENAMETOOLONG);
	}
	if (walk_at_root(k) && !k->place.m.is_dir)
		return -ENOTDIR;
	r = parent ? walk_parent(k, name) : 0;
	if (r)
		return r;
	k->parent = k->place;
	k->last = final;
	k->parent_pure = k->pure;
	r = walk_push(k, name, n);
	if (r)
		return walk_fail(k, r);
	hit = walk_arrive(k);
	if (hit == WALK_HIDDEN)
		return walk_hidden(k, final);
	if (hit < 0)
		return hit;
	if (final && (k->parent.cow_state == COW_MERGED || k->parent.nover))
		k->cacheable = false;	/* what is made in that directory makes no new generation */
	if (k->place.cow_state == COW_ABSENT && !(final && (k->flags & WHERE_CHANGE || k->lenient)))
		return -ENOENT;
	if (k->place.cow_state == COW_ABSENT && k->place.read_only && !k->lenient)
		return k->flags & (WHERE_CREATE | WHERE_ENTRY) ? -EROFS : -ENOENT;
	if (parent && hit != VIEW_PLAIN)
		return -EBUSY;
	if (hit == VIEW_MOUNT && final && k->flags & WHERE_ENTRY)	/* a mount point: unlink, rmdir, mkdir... */
		return k->flags & WHERE_CREATE ? -EEXIST : -EBUSY;
	if (hit == VIEW_MOUNT || k->place.remote)
		return 0;
	if (final && k->flags & (WHERE_NOFOLLOW | WHERE_ENTRY))
		return walk_entry(k, hit);
	return walk_real(k, dir_len, hit, final);
}

/* ---- the whole ------------------------------------------------------------------------------------ */

bool walk_is_straight(const struct walk *k, const char *text, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++)
		if (text[i] == '.' && text[i + 1] == '.' && (!i || text[i - 1] == '/'))
			return false;
	return !k->links;
}

/* It is below a copy-on-write mount, and the guest's own text does not lead there. */
static void remember_below(struct walk *k, const char *text, size_t len)
{
	const struct place *p = &k->place;
	const char *path;
	size_t n;

	if (!k->cacheable || p->cow_state != COW_LOWER || p->bind || p->remote || p->read_only || place_is_moved(p) ||
	    !walk_is_straight(k, text, len) || path_needs_check(k->t, k->v, k->len))
		return;
	path = walk_backing(k, &n);
	cache_store(k->key, text, len, k->generation, CACHE_KNOWN | CACHE_BELOW, path, n);
}

/*
 * A file is no directory to the kernel, and will be none when it has gone.  But behind copy-on-write what has gone is still there, below or as
 * a whiteout: that is for directories only, which make a new generation when they go.
 */
static bool stays_one(struct walk *k, const char *text, size_t len)
{
	const char *path;
	struct stat st;
	size_t n;

	if (!view_has(UM_MOUNT_COW) || k->seen_directory || k->place.remote || cache_find(k->key, text, len, k->generation))
		return true;
	path = walk_backing(k, &n);
	return !n || (!raw_syscall(__NR_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode));
}

/* The directory part of the guest's own text has been walked: next time it need not be. */
static void remember_directory(struct walk *k)
{
	const char *text = k->w->path;
	size_t len = k->dir_len;
	bool check, direct;

	if (k->place.cow_bound || !stays_one(k, text, len))
		return;
	if (k->place.cow && k->place.bind) {
		if (!k->place.top.id)
			walk_remember_tree(k, text, len);
		return;
	}
	if (!k->pure && k->place.cow)
		remember_below(k, text, len);
	if (!k->pure || !k->cacheable || k->place.remote || k->place.bind)
		return;
	check = path_needs_check(k->t, k->v, k->len);
	direct = k->key == BASE_ROOT && len == k->len && !memcmp(text, k->v, len);
	cache_store(k->key, text, len, k->generation, CACHE_KNOWN | (k->links ? CACHE_LINKS : 0) |
		    (check ? CACHE_CHECK : 0) | (direct ? CACHE_DIRECT : 0),
		    check && !direct ? k->v : NULL, k->len);
}

/* One component; last: no name comes behind it.  0, WALK_*, or -errno. */
static long walk_component(struct walk *k, char *name, size_t n, bool last)
{
	struct where *w = k->w;
	long r = w->strict ? perm_search(k) : 0;

	if (r)
		return r;
	if (name[0] == '.' && n <= 2 && name[n - 1] == '.')
		w->dir_mode = 0;	/* no name that is made or removed */
	if (n == 1 && name[0] == '.') {
		w->last = LAST_DOT;
		w->trailing = true;
		return last && k->flags & (WHERE_ENTRY | WHERE_CREATE) ? walk_is_directory(k, name) : 0;
	}
	if (n == 2 && name[0] == '.' && name[1] == '.') {
		w->last = LAST_DOTDOT;
		w->trailing = true;
		return walk_dotdot(k, name);
	}
	w->last = LAST_NAME;
	w->trailing = name[n] == '/';
	if (w->trailing && last && (k->flags & (WHERE_CREATE | WHERE_ENTRY)) == WHERE_CREATE) {
		r = walk_is_directory(k, name);		/* open makes no directories */
		return r ? r : walk_fail(k, -EISDIR);
	}
	return walk_name(k, name, n, last && (!w->trailing || k->flags & WHERE_ENTRY));
}

long walk_run(struct walk *k)
{
	for (;;) {
		char *name = k->rest, *end, *more;

		while (*name == '/')
			name++;
		if (name == k->last_at) {
			remember_directory(k);
			k->last_at = NULL;	/* the target of a link may come to lie there */
		}
		if (!*name) {
			long r = walk_finish(k);
			if (r == WALK_AGAIN)
				continue;
			return r;
		}
		for (end = name; *end && *end != '/'; end++)
			;
		for (more = end; *more == '/'; more++)
			;
		k->rest = end;
		long r = walk_component(k, name, (size_t)(end - name), !*more);
		if (r == WALK_DONE)
			return 0;
		if (r && r != WALK_AGAIN)
			return r;
	}
}
