/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections: a server's area mapped into its process, and the descriptors of /dev/fuse that stand for it.
 *
 * A process has one connection per server number, however many descriptors lead to it.  A child by fork
 * has copies of them all, which it never uses unless it is the child that goes on as the server.
 */
#include <asm/ioctl.h>
#include <asm/mman.h>
#include <linux/mman.h>
#include <linux/stat.h>
#include "fuse_conn.h"
#include "../fd.h"
#include "../../wire/pages.h"
#include "../../agent/channel.h"
#include "../../agent/life.h"

#define AREA_SIZE	(UM_SLOTS_OFF + (size_t)UM_SLOTS * UM_SLOT_SPAN)

struct lock fuse_lock;
static struct fuse_conn *conns;

static void *area_map(uint64_t offset, size_t size)
{
	long r = own_map(size, PROT_READ | PROT_WRITE, MAP_SHARED, process.world_fd, offset);

	return r < 0 && r > -4096 ? NULL : (void *)r;
}

static struct fuse_conn *conn_new(uint32_t server)
{
	const bool exists = server && server < UM_SERVERS;
	struct um_server *shm = exists ? area_map(UM_OFF_SERVER(server), AREA_SIZE) : NULL;
	struct fuse_conn *c;

	if (!shm)
		return NULL;
	c = heap_alloc(sizeof *c);
	if (!c) {
		own_unmap(shm, AREA_SIZE);
		return NULL;
	}
	c->server = server;
	c->shm = shm;
	c->dcache = area_map(UM_OFF_DCACHE(server), sizeof *c->dcache);
	c->pages = area_map(UM_OFF_PAGES(server), sizeof *c->pages);
	c->opens = area_map(UM_OFF_OPENS(server), sizeof *c->opens);
	c->next = conns;
	conns = c;
	return c;
}

struct fuse_conn *fuse_conn_join(uint32_t server)
{
	static bool registered;
	struct fuse_conn *c;

	if (!__atomic_exchange_n(&registered, true, __ATOMIC_RELAXED))
		life_register_lock(&fuse_lock);
	lock_acquire(&fuse_lock);
	for (c = conns; c && c->server != server; c = c->next)
		;
	if (!c)
		c = conn_new(server);
	if (c)
		c->refs++;
	lock_release(&fuse_lock);
	return c;
}

/* What clients see of it.  A child by fork that closes its copy of the device must not change it: its parent goes on. */
static void shown_unmap(struct fuse_conn *c)
{
	c->leaving = true;
	if (c->dcache)
		own_unmap(c->dcache, sizeof *c->dcache);
	if (c->pages)
		own_unmap(c->pages, sizeof *c->pages);
	if (c->opens)
		own_unmap(c->opens, sizeof *c->opens);
	c->dcache = NULL;
	c->pages = NULL;
	c->opens = NULL;
}

static void conn_free(struct fuse_conn *c)
{
	fuse_bell_free(c);
	fuse_poll_free(c);
	shown_unmap(c);
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		while (c->handles[k])
			fuse_handle_free(c, c->handles[k]);
	fuse_standins_free(c);
	fuse_shadow_free(c);
	fuse_nodes_free(c);
	co_drain(&c->pool);
	fuse_queue_free(c);
	heap_free(c->forgets);
	own_unmap(c->shm, AREA_SIZE);
	heap_free(c);
}

/* One with jobs under way stays, though nobody finds it: they hold its nodes and will never end. */
void fuse_conn_leave(struct fuse_conn *c)
{
	lock_acquire(&fuse_lock);
	if (--c->refs == 0) {
		for (struct fuse_conn **p = &conns; *p; p = &(*p)->next) {
			if (*p == c) {
				*p = c->next;
				break;
			}
		}
		if (!c->njobs)
			conn_free(c);
	}
	lock_release(&fuse_lock);
}

/* ---- open and ioctl ---------------------------------------------------------------------------------------- */

static long new_server(struct task *t)
{
	int error = 0;
	struct um_slot *s = channel_begin(t, 0, UM_CTL_NEW_SERVER, &error);
	long r;

	if (!s)
		return error;
	r = channel_call(t, 0, s);
	return r < 0 ? r : (long)s->rep.handle;
}

long fuse_dev_open(struct task *t, int open_flags)
{
	long server = new_server(t), fd;
	struct file *f;

	if (server < 0)
		return server;
	f = file_new(FILE_FUSE_DEVICE);
	if (!f)
		return -ENOMEM;
	f->server = (uint32_t)server;
	f->handle = UM_HANDLE_DEVICE;
	f->mode = S_IFCHR;
	f->open_flags = (uint32_t)open_flags;
	f->conn = fuse_conn_join(f->server);
	fd = f->conn ? carrier_open(f->server, UM_HANDLE_DEVICE, open_flags) : -ENOMEM;
	if (fd >= 0) {
		int err = fd_install(t, (int)fd, f);

		if (!err)
			return fd;
		raw_syscall(__NR_close, fd);
		fd = err;
	}
	file_put(f);
	return fd;
}

/* A further descriptor for the same connection: libfuse's option clone_fd. */
static long clone_fd(struct task *t, struct file *f, int fd)
{
	struct file *other = fd_hold(t, fd);
	struct fuse_conn *old = f->conn;

	if (!other)
		return -EINVAL;
	if (other->kind != FILE_FUSE_DEVICE || !other->conn || __atomic_load_n(&old->shm->state, __ATOMIC_ACQUIRE) != UM_SERVER_OPEN) {
		file_put(other);
		return -EINVAL;
	}
	f->conn = fuse_conn_join(other->conn->server);
	file_put(other);
	fuse_conn_leave(old);
	return 0;
}

long fuse_dev_ioctl(struct task *t, struct file *f, unsigned cmd, gaddr arg)
{
	uint32_t fd;

	if (cmd != FUSE_DEV_IOC_CLONE)
		return -ENOTTY;
	if (copy_from_guest(t, &fd, arg, sizeof fd))
		return -EFAULT;
	return clone_fd(t, f, (int)fd);
}
