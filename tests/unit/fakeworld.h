/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A world for unit tests: the world file, views written as the monitor writes them, and servers, each a
 * thread that answers UM_OP_STAT (with links), UM_OP_PATHOF and UM_OP_CLOSED from a small tree in memory.
 *
 *	fw_create();					process.world, view 0
 *	fw_serve(1, nodes);				server 1 lives
 *	fw_mount(UM_MOUNT_REMOTE, "/mnt", 1, 1, "");	returns the mount's id; published at once
 *
 * A node is {path in the mount, 'd' 'f' or 'l', target}; its number is its index + 2, 1 is the root.
 * Handles are node numbers.
 */
#ifndef UM_TEST_FAKEWORLD_H
#define UM_TEST_FAKEWORLD_H

#include <pthread.h>
#include <stdlib.h>
#include <linux/mman.h>
#include <linux/memfd.h>
#include "shim.h"
#include "../../src/kernel/view.h"
#include "../../src/agent/channel.h"

struct fw_node { const char *path; char type; const char *target; };

struct fw_server {
	uint32_t number;
	const struct fw_node *nodes;
	int rootless;			/* the root is a file */
	struct um_server *head;
	char *slots;
	pthread_t thread;
	int lock_fd;
	volatile int stop, mute;	/* mute: takes requests, never answers */
	volatile int requests, closed, interrupts;
};

static struct fw_server fw_servers[32];
static struct um_world *fw_world;	/* the header, writable */
static char *fw_view;			/* view 0, writable */
static struct um_mount fw_mounts[64];
static const char *fw_paths[64], *fw_targets[64];
static uint32_t fw_nmounts, fw_next_id;
static uint64_t fw_version;

/* ---- the view --------------------------------------------------------------------------------------- */

static uint32_t fw_string(char *base, uint32_t *at, const char *s)
{
	uint32_t offset = *at;

	strcpy(base + offset, s);
	*at += (uint32_t)strlen(s) + 1;
	return offset;
}

static struct um_hash *fw_slot(char *base, struct um_hash *h, uint32_t size, const char *path, uint32_t len)
{
	uint32_t key = um_path_hash(path, len), i = key & (size - 1);

	while (h[i].path && (h[i].key != key || h[i].path_len != len || memcmp(base + h[i].path, path, len)))
		i = (i + 1) & (size - 1);
	return &h[i];
}

static void fw_enter(char *base, struct um_hash *h, uint32_t size, struct um_mount *m, uint32_t index)
{
	for (uint32_t n = 1; n <= m->path_len; n++) {
		const char *p = base + m->path;
		struct um_hash *e;

		if (n != 1 && n != m->path_len && p[n] != '/')
			continue;
		e = fw_slot(base, h, size, p, n);
		if (!e->path)
			*e = (struct um_hash) { um_path_hash(p, n), m->path, n, 0 };
		if (n == m->path_len) {
			m->below = e->mount;
			e->mount = index + 1;
		}
	}
}

__attribute__((unused)) static void fw_publish(void)
{
	struct um_view_slot *slot = (struct um_view_slot *)fw_view;
	uint32_t k = UM_RING + (slot->current + 1) % UM_RING, at, size = 1024;
	char *base = fw_view + um_snapshot_at(k);
	struct um_snapshot *s = (struct um_snapshot *)base;
	struct um_mount *m = (struct um_mount *)(s + 1);
	struct um_hash *h;

	__atomic_store_n(&s->seq, 2 * fw_version + 1, __ATOMIC_SEQ_CST);
	memcpy(m, fw_mounts, fw_nmounts * sizeof(*m));
	at = (uint32_t)((char *)(m + fw_nmounts) - base);
	h = (struct um_hash *)(base + at);
	memset(h, 0, size * sizeof(*h));
	s->nmounts = fw_nmounts;
	s->oldest = fw_nmounts ? m[0].id : 0;
	s->kinds = 0;
	s->mounts = sizeof(*s);
	s->hash = at;
	s->hash_size = fw_nmounts ? size : 0;
	at += size * (uint32_t)sizeof(*h);
	for (uint32_t i = 0; i < fw_nmounts; i++) {
		m[i].path = fw_string(base, &at, fw_paths[i]);
		m[i].path_len = (uint32_t)strlen(fw_paths[i]);
		m[i].source = fw_string(base, &at, "img file");
		m[i].fstype = fw_string(base, &at, "fuse.test");
		m[i].options = fw_string(base, &at, "rw,user_id=0");
		m[i].target = fw_string(base, &at, fw_targets[i]);
		s->kinds |= 1u << m[i].kind;
		fw_enter(base, h, size, &m[i], i);
	}
	s->size = at;
	fw_version++;
	__atomic_store_n(&s->seq, 2 * fw_version, __ATOMIC_RELEASE);
	slot->kinds = s->kinds;
	slot->oldest = s->oldest;
	__atomic_store_n(&slot->current, k, __ATOMIC_RELEASE);
	slot->seq = s->seq;
}

__attribute__((unused)) static uint32_t fw_mount(uint32_t kind, const char *path, uint32_t server, uint32_t is_dir,
						 const char *target)
{
	fw_paths[fw_nmounts] = strdup(path);
	fw_targets[fw_nmounts] = strdup(target);
	fw_next_id++;
	fw_mounts[fw_nmounts++] = (struct um_mount) {
		.id = fw_next_id, .rank = fw_next_id, .epoch = fw_next_id, .kind = kind, .server = server, .is_dir = is_dir, .dev_minor = 100 + fw_next_id,
	};
	if (kind == UM_MOUNT_REMOTE)
		fw_servers[server].head->mount_id = fw_next_id;
	fw_publish();
	return fw_next_id;
}

__attribute__((unused)) static void fw_umount(uint32_t id)
{
	uint32_t i = 0;

	while (i < fw_nmounts && fw_mounts[i].id != id)
		i++;
	free((void *)fw_paths[i]);
	free((void *)fw_targets[i]);
	for (; i + 1 < fw_nmounts; i++) {
		fw_mounts[i] = fw_mounts[i + 1];
		fw_paths[i] = fw_paths[i + 1];
		fw_targets[i] = fw_targets[i + 1];
	}
	fw_nmounts--;
	fw_publish();
}

static void *fw_map(uint64_t offset, size_t size)
{
	long r = own_map(size, PROT_READ | PROT_WRITE, MAP_SHARED, process.world_fd, offset);

	if (r < 0)
		abort();
	return (void *)r;
}

__attribute__((unused)) static void fw_create(void)
{
	process.world_fd = (int)raw_syscall(__NR_memfd_create, "world", MFD_CLOEXEC);
	raw_syscall(__NR_ftruncate, process.world_fd, UM_WORLD_SIZE);
	process.pid = (int)raw_syscall(__NR_getpid);
	fw_world = fw_map(0, 4096);
	fw_world->monitor_pid = (uint32_t)process.pid;
	if (view_map_world())
		abort();
	fw_view = fw_map(UM_OFF_VIEW(0), UM_VIEW_SPAN);
	if (view_map(0))
		abort();
	fw_publish();
}

/* ---- servers ---------------------------------------------------------------------------------------- */

/* The number of a path in a tree, 0 if there is none. */
__attribute__((unused)) static uint64_t fw_find(const struct fw_server *v, const char *path)
{
	if (!*path || !strcmp(path, "/"))
		return UM_ROOT_NODE;
	for (uint32_t i = 0; v->nodes[i].path; i++)
		if (!strcmp(v->nodes[i].path, path))
			return i + 2;
	return 0;
}

__attribute__((unused)) static const char *fw_path(const struct fw_server *v, uint64_t node)
{
	return node == UM_ROOT_NODE ? "/" : v->nodes[node - 2].path;
}

static int fw_walk(const struct fw_server *v, struct um_slot *s)
{
	const char *text = (const char *)s->data;
	uint64_t node = s->req.base ? s->req.base : s->req.handle;
	uint32_t n = s->req.path_len, at = 0;

	while (at < n) {
		char path[4400];
		uint32_t end = at;
		uint64_t next;
		int last;

		while (end < n && text[end] != '/')
			end++;
		if (node != UM_ROOT_NODE && v->nodes[node - 2].type != 'd')
			return -ENOTDIR;
		snprintf(path, sizeof(path), "%s/%.*s", node == UM_ROOT_NODE ? "" : fw_path(v, node),
			 (int)(end - at), text + at);
		next = fw_find(v, path);
		if (!next)
			return -ENOENT;
		last = end >= n;
		if (v->nodes[next - 2].type == 'l' && (!last || s->req.walk & UM_WALK_FOLLOW)) {
			s->rep.status = UM_WALK_LINK;
			s->rep.consumed = end;
			s->rep.node = node;
			strcpy((char *)s->data, v->nodes[next - 2].target);
			return 0;
		}
		node = next;
		at = last ? n : end + 1;
	}
	s->rep.node = node;
	s->rep.attr.mode = (node == UM_ROOT_NODE ? !v->rootless : v->nodes[node - 2].type == 'd') ? 0040755 : 0100644;
	return s->req.walk & UM_WALK_DIR && (s->rep.attr.mode & 0170000) != 0040000 ? -ENOTDIR : 0;
}

static void fw_answer(struct fw_server *v, struct um_slot *s)
{
	s->rep.error = -ENOSYS;
	switch (s->req.op) {
	case UM_OP_STAT:
		s->rep.error = fw_walk(v, s);
		break;
	case UM_OP_PATHOF:
		s->rep.error = 0;
		strcpy((char *)s->data, fw_path(v, s->req.handle));
		s->rep.size = strlen((char *)s->data);
		break;
	case UM_OP_CLOSED:
		v->closed++;
		s->rep.error = 0;
		break;
	case UM_OP_READ:		/* answered only when interrupted */
		while (!__atomic_load_n(&s->interrupt, __ATOMIC_ACQUIRE) && !v->stop)
			raw_syscall(__NR_sched_yield);
		v->interrupts++;
		s->rep.error = -EINTR;
		break;
	case UM_OP_IOCTL:		/* a liar: what the test has put into the request comes back */
		s->rep.error = (int32_t)s->req.rdev;
		s->rep.status = s->req.whence;
		s->rep.consumed = s->req.valid;
		s->rep.size = s->req.size;
		break;
	}
}

static void *fw_thread(void *arg)
{
	struct fw_server *v = arg;

	while (!v->stop) {
		uint32_t bell = __atomic_load_n(&v->head->doorbell, __ATOMIC_SEQ_CST);

		for (unsigned k = 0; k < UM_SLOTS; k++) {
			struct um_slot *s = (struct um_slot *)(v->slots + (size_t)k * UM_SLOT_SPAN);
			uint64_t bit = 1ull << (k % 64);

			if (!(__atomic_load_n(&v->head->posted[k / 64], __ATOMIC_ACQUIRE) & bit))
				continue;
			__atomic_fetch_and(&v->head->posted[k / 64], ~bit, __ATOMIC_ACQ_REL);
			if (__atomic_load_n(&s->state, __ATOMIC_ACQUIRE) != UM_SLOT_POSTED)
				continue;
			__atomic_store_n(&s->state, UM_SLOT_TAKEN, __ATOMIC_RELEASE);
			v->requests++;
			if (v->mute)
				continue;
			fw_answer(v, s);
			__atomic_store_n(&s->state, UM_SLOT_DONE, __ATOMIC_RELEASE);
			futex_wake(&s->state, 1);
		}
		__atomic_add_fetch(&v->head->sleepers, 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&v->head->doorbell, __ATOMIC_SEQ_CST) == bell)
			futex_sleep(NULL, &v->head->doorbell, bell, 100);
		__atomic_sub_fetch(&v->head->sleepers, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

__attribute__((unused)) static struct fw_server *fw_serve(uint32_t number, const struct fw_node *nodes)
{
	struct fw_server *v = &fw_servers[number];
	char path[32];
	struct flock lock = { .l_type = F_WRLCK, .l_start = (long)UM_LOCK(number, UM_HANDLE_DEVICE), .l_len = 1 };

	v->number = number;
	v->nodes = nodes;
	v->head = fw_map(UM_OFF_SERVER(number), UM_SLOTS_OFF);
	v->slots = fw_map(UM_OFF_SLOT(number, 0), (size_t)UM_SLOTS * UM_SLOT_SPAN);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", process.world_fd);
	v->lock_fd = (int)raw_syscall(__NR_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	raw_syscall(__NR_fcntl, v->lock_fd, F_OFD_SETLK, &lock);
	v->head->state = UM_SERVER_LIVE;
	pthread_create(&v->thread, NULL, fw_thread, v);
	return v;
}

__attribute__((unused)) static void fw_stop(struct fw_server *v)
{
	v->stop = 1;
	__atomic_add_fetch(&v->head->doorbell, 1, __ATOMIC_SEQ_CST);
	futex_wake(&v->head->doorbell, 1);
	pthread_join(v->thread, NULL);
	raw_syscall(__NR_close, v->lock_fd);
	own_unmap(v->head, UM_SLOTS_OFF);
	own_unmap(v->slots, (size_t)UM_SLOTS * UM_SLOT_SPAN);
}

#endif
