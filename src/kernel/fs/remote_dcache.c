/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names and attributes of mounted file systems that need not be asked for: wire/dcache.h, read by the client.
 *
 * A walk by what the server's agent has published goes the way that fuse_walk.c goes with its own tables, and gives up (0) at whatever it does not
 * find valid there: then the server is asked.  So nothing here decides anything, and there is no way in which
 * an answer can differ but by being as old as the server allows.
 */
#include <linux/mman.h>
#include <linux/resource.h>
#include <linux/stat.h>
#include "remote_shown.h"
#include "../cred.h"
#include "../../agent/life.h"

/* ---- the mapping ------------------------------------------------------------------------------------- */

/* A process has few mounts in use: those after the first few are asked. */
#define MAPS	16

static struct shown maps[MAPS];
static uint32_t nmaps;
static struct lock maps_lock;

static const struct shown *map_find(uint32_t server)
{
	uint32_t n = __atomic_load_n(&nmaps, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n; i++)
		if (maps[i].server == server)
			return &maps[i];
	return NULL;
}

/* The guest's memory dumps are without it: it is as large as many a guest, and holds what the guest has never read. */
static void *map_part(uint64_t offset, size_t size, int prot)
{
	long r = own_map(size, prot, MAP_SHARED, process.world_fd, offset);

	if (r < 0 && r > -4096)
		return NULL;
	raw_syscall(__NR_madvise, r, size, MADV_DONTDUMP);
	return (void *)r;
}

/* Who may have so much memory and no more needs it for himself. */
static bool has_room(void)
{
	struct rlimit64 limit;

	return !raw_syscall(__NR_prlimit64, 0, RLIMIT_AS, NULL, &limit) && limit.rlim_cur == RLIM64_INFINITY;
}

static void map_make(struct shown *m, uint32_t server)
{
	m->server = server;
	if (!has_room())
		return;
	m->names = map_part(UM_OFF_DCACHE(server), sizeof(*m->names), PROT_READ);
	m->pages = map_part(UM_OFF_PAGES(server), sizeof(*m->pages), PROT_READ);
	m->opens = map_part(UM_OFF_OPENS(server), sizeof(*m->opens), PROT_READ | PROT_WRITE);
	if (!m->pages || !m->opens)
		m->pages = NULL;
}

__attribute__((noinline)) static const struct shown *map_get(uint32_t server)
{
	static bool registered;
	const struct shown *m;

	if (!__atomic_exchange_n(&registered, true, __ATOMIC_RELAXED))
		life_register_lock(&maps_lock);
	lock_acquire(&maps_lock);
	m = map_find(server);
	if (!m && nmaps < MAPS) {
		map_make(&maps[nmaps], server);
		m = &maps[nmaps];
		__atomic_store_n(&nmaps, nmaps + 1, __ATOMIC_RELEASE);
	}
	lock_release(&maps_lock);
	return m;
}

const struct shown *shown_by(uint32_t server)
{
	const struct shown *m = map_find(server);

	if (!m)
		m = map_get(server);
	return m && m->names ? m : NULL;
}

/* ---- entries ----------------------------------------------------------------------------------------- */

static bool same_name(const struct um_dcache_name *d, uint64_t parent, uint32_t hash, const char *name, uint32_t len)
{
	return __atomic_load_n(&d->hash, __ATOMIC_RELAXED) == hash && __atomic_load_n(&d->parent, __ATOMIC_RELAXED) == parent &&
	       __atomic_load_n(&d->len, __ATOMIC_RELAXED) == len && !memcmp(d->name, name, len);
}

/* CLOCK_MONOTONIC, as coarse as the kernel's own time-outs of names. */
__attribute__((noinline)) static void clock_ask(struct shown_clock *c)
{
	struct timespec64 ts = { 0, 0 };

	raw_syscall(__NR_clock_gettime, 6 /* CLOCK_MONOTONIC_COARSE */, &ts);
	c->now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool is_valid(uint64_t until, struct shown_clock *c)
{
	if (until == UM_SHOWN_FOREVER)
		return true;
	if (!c->now)
		clock_ask(c);
	return until > c->now;
}

static bool find_name(const struct um_dcache *c, uint64_t parent, const char *name, uint32_t len, struct shown_clock *now, struct shown_place *f)
{
	uint32_t hash = um_dcache_hash(parent, name, len);
	const struct um_dcache_name *set = c->names + um_dcache_name_set(hash);

	for (unsigned i = 0; i < UM_DCACHE_WAYS; i++) {
		const struct um_dcache_name *d = &set[i];
		uint32_t seq = __atomic_load_n(&d->seq, __ATOMIC_ACQUIRE);
		uint64_t until;

		if (!same_name(d, parent, hash, name, len))
			continue;
		f->name = d;
		f->seq = seq;
		f->node = __atomic_load_n(&d->node, __ATOMIC_RELAXED);
		f->type = __atomic_load_n(&d->type, __ATOMIC_RELAXED);
		until = __atomic_load_n(&d->until, __ATOMIC_RELAXED);
		return is_valid(until, now) && um_entry_whole(&d->seq, seq);
	}
	return false;
}

bool shown_node(const struct um_dcache *c, uint64_t nodeid, struct shown_clock *now, struct shown_node *out)
{
	const struct um_dcache_node *set = c->nodes + um_dcache_node_set(nodeid);

	for (unsigned i = 0; i < UM_DCACHE_WAYS; i++) {
		const struct um_dcache_node *d = &set[i];
		uint32_t seq = __atomic_load_n(&d->seq, __ATOMIC_ACQUIRE);

		if (__atomic_load_n(&d->nodeid, __ATOMIC_RELAXED) != nodeid)
			continue;
		memcpy(&out->attr, &d->attr, sizeof(out->attr));
		out->contents = __atomic_load_n(&d->contents, __ATOMIC_RELAXED);
		out->flags = __atomic_load_n(&d->flags, __ATOMIC_RELAXED);
		return is_valid(__atomic_load_n(&d->until, __ATOMIC_RELAXED), now) && um_entry_whole(&d->seq, seq);
	}
	return false;
}

uint8_t shown_kind(const struct um_dcache *c, uint64_t directory, const char *name, struct shown_clock *now)
{
	struct shown_place p = { .node = 0 };
	const uint32_t len = (uint32_t)strlen(name);

	return len <= UM_DCACHE_NAME_MAX && find_name(c, directory, name, len, now, &p) && p.node ? (uint8_t)(p.type >> 12) : 0;
}

/* ---- the walk ---------------------------------------------------------------------------------------- */

int shown_walk(const struct um_dcache *c, const char *path, uint32_t walk, struct shown_clock *now, struct shown_place *f)
{
	f->name = NULL;
	while (*path) {
		const char *name = path;
		uint32_t len;

		while (*path && *path != '/')
			path++;
		len = (uint32_t)(path - name);
		while (*path == '/')
			path++;
		if (!len)
			continue;
		if (len > UM_DCACHE_NAME_MAX || (f->type != S_IFDIR && f->type))
			return 0;
		if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
			return 0;
		if (!find_name(c, f->node, name, len, now, f))
			return 0;
		if (!f->node)
			return -ENOENT;
		if (f->type == S_IFLNK && (*path || walk))
			return 0;
	}
	return walk & UM_WALK_DIR && f->type != S_IFDIR ? 0 : 1;
}

/* May the caller see what is in the mount?  As fuse_perm.c has it; where the mode bits count, the server is asked. */
static bool may_enter(const struct task *t, const struct um_server *head)
{
	uint32_t uid;

	if (!(__atomic_load_n(&head->mount_flags, __ATOMIC_RELAXED) & UM_MNT_HUMAN))
		return true;
	if (__atomic_load_n(&head->default_permissions, __ATOMIC_RELAXED))
		return false;
	if (__atomic_load_n(&head->allow_other, __ATOMIC_RELAXED))
		return true;
	uid = t->cred ? t->cred->uid.fs : (uint32_t)raw_syscall(__NR_geteuid);
	return !uid || uid == __atomic_load_n(&head->owner_uid, __ATOMIC_RELAXED);
}

const struct shown *shown_alive(struct task *t, uint32_t server, const struct um_server **head)
{
	int error;

	*head = channel_server(t, server, &error);
	return *head && __atomic_load_n(&(*head)->state, __ATOMIC_ACQUIRE) == UM_SERVER_LIVE ? shown_by(server) : NULL;
}

const struct shown *shown_to(struct task *t, uint32_t server, const struct um_server **head)
{
	const struct shown *m = shown_alive(t, server, head);

	return m && may_enter(t, *head) ? m : NULL;
}

/* What is shown of the node that the path leads to: 1; or as shown_walk(). */
static int find_node(struct task *t, uint32_t server, uint64_t node, const char *path, uint32_t walk, struct shown_node *n)
{
	struct shown_place p = { .node = node };
	const struct um_server *head;
	const struct shown *m = node ? shown_to(t, server, &head) : NULL;
	struct shown_clock now = { 0 };
	int r;

	if (!m)
		return 0;
	r = shown_walk(m->names, path, walk, &now, &p);
	return r <= 0 ? r : shown_node(m->names, p.node, &now, n);
}

bool dcache_lacks(struct task *t, uint32_t server, uint64_t node, const char *path, uint32_t walk, const char *xattr)
{
	const int number = um_dcache_lacks(xattr);
	struct shown_node n;

	return number >= 0 && find_node(t, server, node, path, walk, &n) == 1 && n.flags & UM_DCACHE_LACKS(number);
}

int dcache_attr(struct task *t, uint32_t server, uint64_t node, const char *path, uint32_t walk, struct um_attr *attr)
{
	struct shown_node n;
	int r = find_node(t, server, node, path, walk, &n);

	if (r <= 0 || n.flags & UM_DCACHE_READ)
		return r < 0 ? r : 0;
	*attr = n.attr;
	return 1;
}
