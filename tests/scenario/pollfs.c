/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A FUSE program (libfuse 3, high level) whose files are queues: what is written can be read once.  poll tells what a queue is ready
 * for, and who waits is told when that changes.  "mute" is one of which nobody is told, "slow" one that takes 0.3 s to say what it is ready for,
 * "end" one that is at its end, and can be written to only later.
 */
#define FUSE_USE_VERSION 31
#include <fuse3/fuse.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define ROOM	4096

static struct queue {
	const char *name;
	char data[ROOM];
	size_t n;
	struct fuse_pollhandle *waits[16];
} queues[] = { { .name = "q0" }, { .name = "q1" }, { .name = "q2" }, { .name = "mute" }, { .name = "slow" }, { .name = "end" } };
#define QUEUES	(sizeof queues / sizeof *queues)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct queue *find(const char *path)
{
	for (size_t i = 0; i < QUEUES; i++)
		if (!strcmp(path + 1, queues[i].name))
			return &queues[i];
	return NULL;
}

static void tell(struct queue *q)
{
	for (unsigned i = 0; i < 16; i++) {
		if (!q->waits[i])
			continue;
		fuse_notify_poll(q->waits[i]);
		fuse_pollhandle_destroy(q->waits[i]);
		q->waits[i] = NULL;
	}
}

static int q_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	memset(st, 0, sizeof *st);
	st->st_mode = S_IFDIR | 0755;
	st->st_nlink = 2;
	if (!strcmp(path, "/"))
		return 0;
	st->st_mode = S_IFREG | 0644;
	st->st_nlink = 1;
	return find(path) ? 0 : -ENOENT;
}

static int q_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t at, struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
	(void)path, (void)at, (void)fi, (void)flags;
	for (size_t i = 0; i < QUEUES; i++)
		fill(buf, queues[i].name, NULL, 0, 0);
	return 0;
}

static int q_open(const char *path, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fi->nonseekable = 1;
	return find(path) ? 0 : -ENOENT;
}

static int q_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
	(void)path, (void)size, (void)fi;
	return 0;
}

static int q_read(const char *path, char *buf, size_t size, off_t at, struct fuse_file_info *fi)
{
	struct queue *q = find(path);
	int r = -EAGAIN;

	(void)at, (void)fi;
	pthread_mutex_lock(&lock);
	if (q->n) {
		r = (int)(size < q->n ? size : q->n);
		memcpy(buf, q->data, (size_t)r);
		q->n -= (size_t)r;
		memmove(q->data, q->data + r, q->n);
		tell(q);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

static int q_write(const char *path, const char *buf, size_t size, off_t at, struct fuse_file_info *fi)
{
	struct queue *q = find(path);
	int r = -EAGAIN;

	(void)at, (void)fi;
	pthread_mutex_lock(&lock);
	if (q->n < ROOM) {
		r = (int)(size < ROOM - q->n ? size : ROOM - q->n);
		memcpy(q->data + q->n, buf, (size_t)r);
		q->n += (size_t)r;
		if (strcmp(q->name, "mute"))
			tell(q);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

static int q_poll(const char *path, struct fuse_file_info *fi, struct fuse_pollhandle *ph, unsigned *revents)
{
	struct queue *q = find(path);
	unsigned i = 0;

	(void)fi;
	if (!strcmp(q->name, "slow"))
		usleep(300000);
	pthread_mutex_lock(&lock);
	while (ph && i < 16 && q->waits[i])
		i++;
	if (ph && i < 16)
		q->waits[i] = ph;
	else if (ph)
		fuse_pollhandle_destroy(ph);
	*revents = !strcmp(q->name, "end") ? POLLHUP | (q->n ? POLLOUT : 0) : (q->n ? POLLIN : 0) | (q->n < ROOM ? POLLOUT : 0);
	pthread_mutex_unlock(&lock);
	return 0;
}

static const struct fuse_operations operations = {
	.getattr = q_getattr, .readdir = q_readdir, .open = q_open, .truncate = q_truncate, .read = q_read, .write = q_write, .poll = q_poll,
};

int main(int argc, char **argv)
{
	return fuse_main(argc, argv, &operations, NULL);
}
