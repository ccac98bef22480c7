/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stand-ins: what is behind a FIFO or a UNIX socket of a mounted file system.
 *
 * A FIFO's data and a socket's listener are the kernel's.  For a FIFO that is opened we make a real one without
 * a name, for a socket that was bound the guest shows us the one it has bound; both are kept as O_PATH
 * descriptors, high among the agent's own, for as long as the file has a name here, and guests reach them
 * through /proc/PID/fd.  The real name exists for a moment only, so nothing is left behind whoever is killed.
 */
#include <linux/fcntl.h>
#include <linux/stat.h>
#include "fuse_conn.h"
#include "../fd.h"

#define STANDINS_MOST	32u
#define UM_SOCKET_NAME	108u		/* sun_path */

struct fuse_standin {
	struct fuse_standin *next;
	struct fuse_node *node;		/* pinned */
	int fd;
	char name[UM_SOCKET_NAME];	/* a socket's address, as the guest gave it */
	uint32_t name_len;
};

static struct fuse_standin **find(struct fuse_conn *c, const struct fuse_node *n)
{
	struct fuse_standin **p = &c->standins;

	while (*p && (*p)->node != n)
		p = &(*p)->next;
	return p;
}

static void standin_free(struct fuse_conn *c, struct fuse_standin **p)
{
	struct fuse_standin *s = *p;

	*p = s->next;
	c->nstandins--;
	fd_give_up(s->fd);
	fuse_node_unpin(c, s->node);
	heap_free(s);
}

void fuse_standin_unlinked(struct fuse_conn *c, struct fuse_node *n)
{
	struct fuse_standin **p = find(c, n);

	if (*p && !n->names)
		standin_free(c, p);
}

void fuse_standins_free(struct fuse_conn *c)
{
	while (c->standins)
		standin_free(c, &c->standins);
}

/* Whatever is at that path now stands for n, if it is of that type. */
static int standin_set(struct fuse_conn *c, struct fuse_node *n, const char *path, uint32_t type)
{
	long fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
	struct fuse_standin *s;
	struct stat st;
	int high;

	if (fd < 0)
		return (int)fd;
	s = c->nstandins < STANDINS_MOST ? heap_alloc(sizeof *s) : NULL;
	if (raw_syscall(__NR_fstat, fd, &st) || (st.st_mode & S_IFMT) != type || !s || (high = fd_park((int)fd)) < 0) {
		raw_syscall(__NR_close, fd);
		heap_free(s);
		return -ENFILE;
	}
	raw_syscall(__NR_fcntl, high, F_SETFD, FD_CLOEXEC);
	*s = (struct fuse_standin){ .next = c->standins, .node = fuse_node_pin(n), .fd = high };
	c->standins = s;
	c->nstandins++;
	return 0;
}

/* Mode: who opens it may do so according to the server, so at least its owner, who is us, may. */
static int fifo_make(struct fuse_conn *c, struct fuse_node *n)
{
	uint32_t mode = (n->attr.mode & 0777) | 0600;
	char path[UM_STANDIN_ROOM];
	int err = -ENOENT;

	for (unsigned i = 0; err && standin_path(path, i, c->server, n->nodeid); i++) {
		raw_syscall(__NR_unlink, path);
		err = (int)raw_syscall(__NR_mknod, path, S_IFIFO | mode, 0);
		if (err)
			continue;
		raw_syscall(__NR_chmod, path, mode);
		err = standin_set(c, n, path, S_IFIFO);
		raw_syscall(__NR_unlink, path);
	}
	if (err)
		agent_log("no FIFO could be made to stand for one of a mounted file system: error %d", -err);
	return err;
}

static int standin_tell(struct fuse_job *j, const struct fuse_node *n)
{
	struct fuse_standin *s = *find(j->c, n);

	if (!s)
		return -ECONNREFUSED;
	j->rep.offset = (uint64_t)process.pid;
	j->rep.size = (uint64_t)s->fd;
	j->rep.consumed = s->name_len;
	memcpy(j->shm->data, s->name, s->name_len);
	return 0;
}

int fuse_open_fifo(struct fuse_job *j, struct fuse_node *n)
{
	int err = *find(j->c, n) ? 0 : fifo_make(j->c, n);

	if (err)
		return err == -ENFILE ? err : -ENXIO;
	fuse_attr_out(j, n);
	j->rep.open_reply = UM_OPEN_STANDIN;
	return standin_tell(j, n);
}

/* The guest has bound a socket there: the second path, and the address that it used. */
static int socket_set(struct fuse_job *j, struct fuse_node *n)
{
	uint64_t at = (uint64_t)j->req.path_len + 1, len = j->req.path2_len;
	char path[UM_STANDIN_ROOM + UM_SOCKET_NAME];
	struct fuse_standin *s;
	size_t name_at;
	int err;

	if (len >= sizeof path || at + len > UM_DATA_SIZE)
		return -EINVAL;
	memcpy(path, j->shm->data + at, len);
	path[len] = 0;
	err = *find(j->c, n) ? -EADDRINUSE : standin_set(j->c, n, path, S_IFSOCK);
	name_at = strlen(path) + 1;
	if (!err && name_at < len && len - name_at <= UM_SOCKET_NAME) {
		s = *find(j->c, n);
		s->name_len = (uint32_t)(len - name_at);
		memcpy(s->name, path + name_at, s->name_len);
	}
	return err;
}

int fuse_op_standin(struct fuse_job *j)
{
	struct fuse_target t;
	int err = fuse_target(j, &t, 0);

	if (err)
		return err;
	if (!fuse_node_is(t.node, S_IFSOCK))
		err = -ECONNREFUSED;
	else if (j->req.path2_len)
		err = socket_set(j, t.node);
	else
		err = fuse_may(j, t.node, MAY_WRITE);
	if (!err)
		err = standin_tell(j, t.node);
	fuse_target_put(j, &t);
	return err;
}
