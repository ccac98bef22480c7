/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test bench for the FUSE client (src/kernel/fs/fuse_*.c): both of its ends in one process.  The
 * client's end, here, is a slot of a server's area, filled as channel.c would; the server's is in
 * fuse_rig_server.h.
 */
#ifndef UM_FUSE_RIG_H
#define UM_FUSE_RIG_H

#include "fuse_rig_server.h"
#include "../../src/wire/dcache.h"

/* ---- the client ------------------------------------------------------------------------------------------- */

static struct um_slot *rig_slot(unsigned k)
{
	return fuse_slot(rig.c, k);
}

/* A fresh request in slot k. */
static struct um_slot *rig_begin(unsigned k, uint32_t op)
{
	struct um_slot *s = rig_slot(k);

	s->interrupt = 0;
	memset(&s->req, 0, sizeof s->req);
	s->req.op = op;
	s->req.base = UM_ROOT_NODE;
	s->req.pid = s->req.tgid = (uint32_t)getpid();
	s->req.walk = UM_WALK_FOLLOW;
	s->data[0] = 0;
	return s;
}

static void rig_path(struct um_slot *s, const char *path)
{
	s->req.path_len = (uint32_t)strlen(path);
	strcpy((char *)s->data, path);
}

__attribute__((unused)) static void rig_path2(struct um_slot *s, const char *path)
{
	s->req.path2_len = (uint32_t)strlen(path);
	strcpy((char *)s->data + s->req.path_len + 1, path);
}

static void rig_post(unsigned k)
{
	__atomic_store_n(&rig_slot(k)->state, UM_SLOT_POSTED, __ATOMIC_RELEASE);
	__atomic_fetch_or(&rig.shm->posted[k / 64], 1ull << (k % 64), __ATOMIC_SEQ_CST);
}

/* Posts, serves, and returns the error of the answer; 1000 if there was none. */
static int rig_call(unsigned k)
{
	rig_post(k);
	rig_pump();
	if (rig_slot(k)->state != UM_SLOT_DONE)
		return 1000;
	rig_slot(k)->state = UM_SLOT_IDLE;
	return rig_slot(k)->rep.error;
}

static int rig_do(uint32_t op, const char *path)
{
	rig_path(rig_begin(0, op), path);
	return rig_call(0);
}

/* open(2): the handle, or -errno. */
__attribute__((unused)) static long rig_open(const char *path, uint32_t flags, uint32_t mode)
{
	struct um_slot *s = rig_begin(0, UM_OP_OPEN);
	int r;

	rig_path(s, path);
	s->req.open_flags = flags;
	s->req.mode = mode;
	s->req.umask = 022;
	if ((flags & O_NOFOLLOW) || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		s->req.walk = 0;
	r = rig_call(0);
	return r ? r : (long)s->rep.handle;
}

static struct um_slot *rig_on(uint32_t op, long handle)
{
	struct um_slot *s = rig_begin(0, op);

	s->req.base = 0;
	s->req.handle = (uint32_t)handle;
	return s;
}

__attribute__((unused)) static int rig_close(long handle)
{
	rig_on(UM_OP_CLOSED, handle);
	return rig_call(0);
}

__attribute__((unused)) static long rig_read_at(long handle, uint64_t offset, uint64_t size)
{
	struct um_slot *s = rig_on(UM_OP_READ, handle);
	int r;

	s->req.offset = offset;
	s->req.size = size;
	r = rig_call(0);
	return r ? r : (long)s->rep.size;
}

__attribute__((unused)) static long rig_write_at(long handle, uint64_t offset, const char *text)
{
	struct um_slot *s = rig_on(UM_OP_WRITE, handle);
	int r;

	s->req.offset = offset;
	s->req.size = strlen(text);
	memcpy(s->data, text, s->req.size);
	r = rig_call(0);
	return r ? r : (long)s->rep.size;
}

/* Of an attribute: the value, or of that length what is asked for. */
__attribute__((unused)) static int rig_xattr_op(uint32_t op, const char *path, const char *name, const char *value)
{
	struct um_slot *s = rig_begin(0, op);

	rig_path(s, path);
	rig_path2(s, name);
	s->req.size = strlen(value);
	strcpy((char *)s->data + s->req.path_len + s->req.path2_len + 2, value);
	return rig_call(0);
}

__attribute__((unused)) static const struct um_attr *rig_stat(const char *path)
{
	return rig_do(UM_OP_STAT, path) ? NULL : &rig_slot(0)->rep.attr;
}

/* The request that slot 0 has: what comes, to `to`.  Bytes or -errno. */
__attribute__((unused)) static long rig_data(void *to)
{
	int r = rig_call(0);

	if (r)
		return r;
	memcpy(to, rig_slot(0)->data, rig_slot(0)->rep.size);
	return (long)rig_slot(0)->rep.size;
}

/* RENAME, LINK: both paths from the root. */
__attribute__((unused)) static int rig_two(uint32_t op, const char *from, const char *to)
{
	struct um_slot *s = rig_begin(0, op);

	rig_path(s, from);
	rig_path2(s, to);
	s->req.base2 = UM_ROOT_NODE;
	return rig_call(0);
}

/* Random steps that are the same each time. */
static uint32_t rig_state;

__attribute__((unused)) static uint32_t pick(uint32_t n)
{
	rig_state = rig_state * 1664525u + 1013904223u;
	return (rig_state >> 8) % n;
}

/* ---- beginning and end ------------------------------------------------------------------------------------- */

/* The carrier of a handle, as a client would hold it. */
__attribute__((unused)) static int rig_carrier(uint32_t handle)
{
	struct flock fl = { .l_type = F_WRLCK, .l_start = (long)UM_LOCK(1, handle), .l_len = 1 };
	char path[64];
	long fd;

	snprintf(path, sizeof path, "/proc/self/fd/%d", process.world_fd);
	fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDWR, 0);
	if (fd < 0 || raw_syscall(__NR_fcntl, fd, F_OFD_SETLK, &fl))
		abort();
	return (int)fd;
}

static struct um_world rig_world;

/* A new connection, mounted, not yet initialised. */
__attribute__((unused)) static void rig_start(void)
{
	if (process.world_fd < 0) {
		process.world_fd = memfd_create("world", 0);
		if (ftruncate(process.world_fd, (off_t)UM_WORLD_SIZE))
			abort();
	}
	for (int i = 0; i < RIG_NODES; i++)
		free(rig.node[i].data);
	memset(&rig, 0, sizeof rig);
	process.pid = getpid();
	process.world = &rig_world;
	rig.task.epoch = UINT32_MAX;
	rig.task.tid = rig.task.pid = process.pid;
	raw_syscall(__NR_fallocate, process.world_fd, 3 /* PUNCH_HOLE, KEEP_SIZE */, UM_OFF_DCACHE(1), UM_SERVER_SPAN - UM_DCACHE_OFF);
	rig.c = fuse_conn_join(1);
	rig.shm = rig.c->shm;
	memset(rig.shm, 0, sizeof *rig.shm);
	for (unsigned k = 0; k < 8; k++)
		memset(rig_slot(k), 0, 4096);
	rig.shm->state = UM_SERVER_LIVE;
	rig.shm->mount_id = 5;
	rig.shm->rootmode = S_IFDIR;
	rig.shm->allow_other = 1;
	rig.file = (struct file){ .refs = 1, .kind = FILE_FUSE_DEVICE, .conn = rig.c, .open_flags = O_RDWR | O_NONBLOCK };
	rig.next = 2;
	rig.minor = 31;
	rig.init_flags = ~(uint32_t)(FUSE_DO_READDIRPLUS | FUSE_POSIX_ACL);
	rig.init_max_write = 1 << 20;
	rig.init_max_pages = 256;
	rig.init_size = sizeof(struct fuse_init_out);
	rig.entry_valid = rig.attr_valid = 3600;
	rig.node[1] = (struct rig_node){ .used = true, .mode = S_IFDIR | 0755, .nlink = 2 };
}

/* Unmounts and checks that nothing is left anywhere. */
__attribute__((unused)) static void rig_stop(const char *what)
{
	rig.shm->state = UM_SERVER_ENDING;
	is_int(rig_pump(), -ENODEV, "%s: read says ENODEV after the unmount", what);
	is_int(rig_open_count(), 0, "%s: every file was released", what);
	is_int(rig.shm->nhandles, 0, "%s: no handles left", what);
	is_int(rig.wrong, 0, "%s: no breach of protocol", what);
	fuse_conn_leave(rig.c);
	is_int(shim_heap_live, 0, "%s: no memory left", what);
}

/* The time-outs of everything cached run out. */
__attribute__((unused)) static void rig_expire(void)
{
	for (struct fuse_name *e = rig.c->oldest; e; e = e->newer)
		e->until = 0;
	for (unsigned k = 0; k < FUSE_HASH; k++)
		for (struct fuse_node *n = rig.c->nodes[k]; n; n = n->chain)
			n->attr_until = n->size_until = 0;
}

#endif
