/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow way, where it meets mounts: going in, through bind mounts, and out again by "..", and what a
 * server has to be asked on the way.  See path_walk.c for the whole.
 */
#include <linux/fcntl.h>
#include "merge.h"
#include "path_walk.h"
#include "../agent/channel.h"

/* um_path_hash() of a path that was hashed up to r->len bytes before. */
static uint32_t hash_on(struct running *r, const char *path, size_t len)
{
	if (!r->len || r->len > len)
		*r = (struct running) { 0, 2166136261u };
	for (; r->len < len; r->len++)
		r->h = (r->h ^ (unsigned char)path[r->len]) * 16777619u;
	return r->h ? r->h : 1;
}

static enum view_hit look(uint32_t epoch, const char *path, size_t len, struct mount *m)
{
	return view_lookup_at(epoch, len ? path : "/", len ? len : 1, m);
}

/* ---- mounts --------------------------------------------------------------------------------------- */

int walk_stand_in(struct walk *k, const struct mount *m)
{
	struct place *p = &k->place;

	p->remote = true;
	p->m = *m;
	p->base = UM_ROOT_NODE;
	p->handle = 0;
	p->base_len = 0;
	return m->flags & UM_MNT_DYING ? -ENOENT : 0;
}

static int bind_target(struct walk *k, uint32_t id, char *buf, size_t *len)
{
	int r = view_bind_target(k->t, id, buf, UM_PATH_MAX);

	*len = r ? 0 : strlen(buf);
	if (*len == 1)
		*len = 0;	/* the root */
	return r;
}

bool mount_around(const char *path, size_t *n, uint32_t epoch, struct mount *m)
{
	enum view_hit hit;

	for (;;) {
		hit = look(epoch, path, *n, m);
		while (hit == VIEW_MOUNT && mount_merges(m))
			hit = view_lookup_under(epoch, m->rank, *n ? path : "/", *n ? *n : 1, m);
		if (hit == VIEW_MOUNT || !*n)
			return hit == VIEW_MOUNT;
		do
			--*n;
		while (*n && path[*n] != '/');
	}
}

/* Who answers at the backing path: the innermost mount it lies in, as of `epoch`; through further bind
 * mounts, whose ids only fall. */
static int settle(struct walk *k, uint32_t epoch)
{
	struct place *p = &k->place;
	struct mount m;
	size_t target;

	for (;;) {
		size_t n = p->back_len;

		p->epoch = epoch;
		p->remote = false;
		if (!mount_around(k->back, &n, epoch, &m))
			return 0;
		if (m.kind == UM_MOUNT_HIDE)
			return -ENOENT;
		if (m.kind == UM_MOUNT_REMOTE)
			return walk_stand_in(k, &m);
		if (m.flags & UM_MNT_RDONLY)
			p->read_only = true;
		if (m.kind == UM_MOUNT_COW)
			return walk_settle_cow(k, &m, n);
		int r = bind_target(k, m.id, k->tmp, &target);
		if (r)
			return r;
		if (target + p->back_len - n >= sizeof(k->back))
			return -ENAMETOOLONG;
		memmove(k->back + target, k->back + n, p->back_len - n + 1);
		memcpy(k->back, k->tmp, target);
		p->back_len += target - n;
		epoch = m.epoch;
	}
}

/* v is where m is, at whose other end nobody but the kernel answers. */
int walk_at_kernels(struct walk *k, const struct mount *m)
{
	struct place *p = &k->place;
	int r = m->flags & UM_MNT_DYING ? -ENOENT : bind_target(k, m->id, k->back, &p->back_len);

	k->back_hash.len = 0;
	p->cut = k->len;
	p->cut_is_file = !m->is_dir;
	p->epoch = m->epoch;
	if (m->flags & UM_MNT_RDONLY)
		p->read_only = true;
	return r;
}

int walk_behind(struct walk *k, const struct mount *m)
{
	int r = walk_at_kernels(k, m);

	return r ? r : settle(k, m->epoch);
}

/* v is a mount point. */
static int enter(struct walk *k, const struct mount *m)
{
	struct place *p = &k->place;

	if (m->kind == UM_MOUNT_HIDE)
		return WALK_HIDDEN;
	if (m->kind == UM_MOUNT_COW)
		return walk_enter_cow(k, m);
	k->pure = k->anchored = false;
	*p = (struct place) { .since = m->rank, .top = walk_under(k) ? p->top : (struct top) { 0 } };
	if (m->kind == UM_MOUNT_REMOTE)
		return walk_stand_in(k, m);
	p->bind = m->id;
	return walk_behind(k, m);
}

/* The backing path is one, seen from the other end of the bind mount. */
int walk_enter_behind(struct walk *k, const struct mount *m)
{
	if (m->kind == UM_MOUNT_HIDE)
		return WALK_HIDDEN;
	k->anchored = false;
	k->place.top = (struct top) { 0 };	/* is not copied: a descriptor of it would not know where it is in the view */
	if (k->place.cow_bound)
		walk_leave_cow_bound(k);
	if (m->kind == UM_MOUNT_REMOTE)
		return walk_stand_in(k, m);
	k->place.nested = true;
	return walk_behind(k, m);
}

int walk_arrive_behind(struct walk *k, int hit)
{
	enum view_hit behind;
	const char *path;
	struct mount m;
	size_t len;
	int r;

	if (k->place.cow_bound)
		return walk_arrive_bound(k, hit);
	path = walk_backing(k, &len);
	behind = len ? view_lookup_key(k->place.epoch, path, len, hash_on(&k->back_hash, path, len), &m)
		     : look(k->place.epoch, path, 0, &m);
	if (behind == VIEW_MOUNT && mount_merges(&m)) {
		r = walk_merged_behind(k, path, len, &m, &behind);
		return r ? r : (int)VIEW_MOUNT;
	}
	if (behind != VIEW_MOUNT || (k->place.remote && m.rank <= k->place.m.rank))
		return behind == VIEW_PLAIN ? hit : (int)VIEW_ABOVE;
	k->pure = false;
	r = walk_enter_behind(k, &m);
	return r ? r : (int)VIEW_MOUNT;
}

int walk_arrive_at(struct walk *k, int hit, struct mount *m)
{
	int r;

	if (hit == VIEW_MOUNT && m->rank > k->place.since) {
		r = enter(k, m);
		return r ? r : (int)VIEW_MOUNT;
	}
	if (k->place.cow_bound)
		return walk_arrive_bound(k, hit == VIEW_MOUNT ? (int)VIEW_ABOVE : hit);
	r = k->place.cow ? walk_step_cow(k) : 0;
	if (r)
		return r < 0 ? r : hit == VIEW_MOUNT ? (int)VIEW_ABOVE : hit;
	if (hit == VIEW_MOUNT && k->place.cow_state == COW_LOWER && m->rank > k->place.cow_since) {
		r = enter(k, m);	/* older than the copy-on-write mount, and what that shows there */
		return r ? r : (int)VIEW_MOUNT;
	}
	if (hit == VIEW_MOUNT)
		hit = VIEW_ABOVE;
	return !k->place.bind || k->place.cow ? hit : walk_arrive_behind(k, hit);
}

int walk_arrive(struct walk *k)
{
	const struct under *u = walk_under(k);
	struct mount m;
	enum view_hit hit;

	if (u) {
		hit = view_lookup_under(k->t->epoch, u->rank, k->len ? k->v : "/", k->len ? k->len : 1, &m);
		return walk_arrive_at(k, (int)hit, &m);
	}
	if (!k->len)
		hit = look(k->t->epoch, k->v, 0, &m);
	else
		hit = view_lookup_key(k->t->epoch, k->v, k->len, hash_on(&k->v_hash, k->v, k->len), &m);
	if (k->place.nover || (hit == VIEW_MOUNT && mount_merges(&m)))
		return walk_arrive_merged(k, (int)hit, &m);
	return walk_arrive_at(k, (int)hit, &m);
}

int walk_locate(struct walk *k)
{
	return walk_locate_from(k, &(struct place) { 0 });
}

int walk_locate_from(struct walk *k, const struct place *start)
{
	size_t end = k->len, at = 0;
	int r;

	k->place = *start;
	k->last = false;
	k->v_hash.len = 0;
	k->anchored = false;
	k->grounded = true;
	k->len = 0;
	r = walk_arrive(k);
	while (r >= 0 && at < end) {
		at++;
		while (at < end && k->v[at] != '/')
			at++;
		k->len = at;
		r = walk_arrive(k);
	}
	k->len = end;
	return r < 0 ? r : r == WALK_HIDDEN ? -ENOENT : 0;
}

/* ---- asking a server ------------------------------------------------------------------------------ */

bool walk_at_root(struct walk *k)
{
	size_t len;

	walk_backing(k, &len);
	return k->place.remote && len == place_root_len(&k->place);
}

bool walk_at_node(const struct walk *k)
{
	const struct place *p = &k->place;

	return p->remote && (p->handle || p->base != UM_ROOT_NODE) && k->len == p->base_len;
}

void walk_by_path(struct walk *k)
{
	k->place.handle = 0;
	k->place.base = UM_ROOT_NODE;
	k->place.base_len = 0;
}

size_t walk_rest_offset(const struct place *p, const char *path, size_t len)
{
	size_t at = place_root_len(p);

	if (p->handle || p->base != UM_ROOT_NODE)
		at = p->bind ? p->back_len + p->base_len - p->cut : p->base_len;
	return at < len && path[at] == '/' ? at + 1 : at;
}

/* The server stopped at a link: `sent` bytes at the end of v were its to walk. */
static long follow_reply(struct walk *k, const struct um_slot *s, size_t sent)
{
	const struct um_reply *rep = &s->rep;
	size_t target = strlen((const char *)s->data), end = k->len - sent + rep->consumed, dir = end;
	int r;

	if (rep->consumed > sent || (end < k->len && k->v[end] != '/'))
		return -EIO;
	if (++k->w->links > WALK_MAX_LINKS)
		return -ELOOP;
	while (dir && k->v[dir - 1] != '/')
		dir--;
	r = walk_prepend(k, k->v + end, k->len - end);
	if (!r)
		r = walk_prepend(k, (const char *)s->data, target);
	if (r)
		return r;
	k->links = true;
	if (s->data[0] == '/') {
		r = walk_guest_root(k);
		return r ? r : WALK_AGAIN;
	}
	walk_truncate(k, dir ? dir - 1 : 0);
	if (view_has(UM_MOUNT_MERGE) || k->place.top.id) {
		r = walk_locate(k);
		return r ? r : WALK_AGAIN;
	}
	k->place.handle = 0;
	k->place.base = rep->node ? rep->node : UM_ROOT_NODE;
	k->place.base_len = k->len;
	return WALK_AGAIN;
}

/* Sends the question; *sent: how much of v it is about. */
static struct um_slot *ask(struct walk *k, unsigned how, size_t *sent, int *error)
{
	struct place *p = &k->place;
	size_t len, at;
	const char *path = walk_backing(k, &len);
	struct um_slot *s;

	at = walk_rest_offset(p, path, len);
	s = channel_begin(k->t, p->m.server, UM_OP_STAT, error);
	if (!s)
		return NULL;
	s->req.walk = how | (k->flags & WHERE_NO_LINKS ? UM_WALK_NO_LINKS : 0);
	s->req.base = p->base;
	s->req.handle = p->handle;
	*error = channel_path(s, path + at, len - at);
	if (!*error)
		*error = (int)channel_call(k->t, p->m.server, s);
	*sent = len - at;
	return *error ? NULL : s;
}

int walk_mode(struct walk *k, uint32_t *mode)
{
	size_t sent;
	int r;
	struct um_slot *s = ask(k, 0, &sent, &r);

	if (!s)
		return r;
	*mode = s->rep.attr.mode;
	return s->rep.status == UM_WALK_LINK ? -ENOENT : 0;
}

int walk_ask(struct walk *k, unsigned how, uint64_t *node)
{
	size_t sent;
	int r;
	struct um_slot *s = ask(k, how, &sent, &r);

	if (!s)
		return r;
	if (s->rep.status == UM_WALK_LINK)
		return (int)follow_reply(k, s, sent);
	if (node)
		*node = s->rep.node;
	return 0;
}

/* ---- ".." ----------------------------------------------------------------------------------------- */

/* A directory handle may have been moved since it was opened. */
static long refresh_handle(struct walk *k)
{
	struct place *p = &k->place;
	struct file f = { .kind = FILE_REMOTE, .server = p->m.server, .handle = p->handle, .mount = p->m.id };
	long n = file_path(k->t, &f, k->v, sizeof(k->v));

	if (n < 0)
		return n;
	walk_truncate(k, n == 1 ? 0 : (size_t)n);
	walk_by_path(k);
	return 0;
}

static long leave(struct walk *k)
{
	k->pure = false;
	walk_pop(k);
	return walk_locate(k);
}

/* Makes sure that v is a directory. */
static long verify_remote(struct walk *k, char *from)
{
	struct place *p = &k->place;
	char *behind = k->rest;
	long r;

	if (p->handle && k->len == p->base_len)
		return refresh_handle(k);
	if (walk_at_node(k))
		return 0;
	if (walk_at_root(k))
		return p->m.is_dir ? 0 : -ENOTDIR;
	k->rest = from;		/* should a link be met, ".." comes after it */
	r = walk_ask(k, UM_WALK_DIR | UM_WALK_FOLLOW, NULL);
	if (!r)
		k->rest = behind;
	return r;
}

/* Is v a directory that may be searched?  One that exists only for a mount below it counts. */
static long check_directory(struct walk *k)
{
	struct mount m;
	struct stat st;
	int dfd;
	const char *path = walk_kernel_path(k, &dfd);
	size_t n = strlen(path);
	long r;

	if (n + 3 > sizeof(k->tmp))
		return -ENAMETOOLONG;
	memmove(k->tmp, path, n);
	memcpy(k->tmp + n, "/.", 3);
	r = raw_syscall(__NR_newfstatat, dfd, k->tmp, &st, 0);
	if (r == -ENOENT && (k->lenient || look(k->t->epoch, k->v, k->len, &m) != VIEW_PLAIN))
		return 0;
	return r;
}

long walk_is_directory(struct walk *k, char *from)
{
	const struct place *p = &k->place;
	long r;

	if (p->bind && k->len == p->cut && p->cut_is_file)
		return -ENOTDIR;
	if (p->remote)
		return verify_remote(k, from);
	r = check_directory(k);
	return r ? walk_fail(k, r) : 0;
}

long walk_dotdot(struct walk *k, char *from)
{
	const struct place *p = &k->place;
	long r = walk_is_directory(k, from);
	int hit;

	if (r || !k->len)
		return r;
	if (k->t->fs->root && walk_at_guest_root(k)) {
		k->pure = false;
		return 0;
	}
	if (p->cow || p->top.id || view_has(UM_MOUNT_MERGE)) {
		k->pure = k->pure && !p->bind && !p->remote;
		walk_pop(k);
		return walk_locate(k);
	}
	if (walk_at_root(k) || (p->bind && k->len == p->cut))
		return leave(k);
	walk_pop(k);
	if (p->remote) {
		walk_by_path(k);
		return 0;
	}
	hit = walk_arrive(k);	/* a real directory may lie below one that is covered by now */
	return hit < 0 ? hit : hit == WALK_HIDDEN ? -ENOENT : 0;
}
