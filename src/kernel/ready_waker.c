/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wakers: ends of pipes that can be read when it is worth asking a server again (fs/fuse_poll.c), opened through /proc as long as
 * anybody in this process waits for them.
 */
#include <linux/fcntl.h>
#include "ready.h"
#include "fs/remote.h"

#define WAKERS	16u		/* servers that are waited for at the same time; for more one has to ask now and then */

static struct waker {
	uint32_t pid, users;
	uint64_t ino;
	int fd;
} wakers[WAKERS];
static struct lock wakers_lock;

/* Is it still that pipe?  Only then it is opened: to open anything else might have an effect. */
static long open_waker(const struct file_waker *w)
{
	char path[48];
	struct stat st;
	long found, fd;

	text_format(path, sizeof path, "/proc/%u/fd/%u", w->pid, w->fd);
	found = raw_syscall(__NR_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC, 0);
	if (found < 0)
		return found == -ENOENT ? -ESTALE : found;
	if (raw_syscall(__NR_fstat, found, &st) || st.st_ino != w->ino) {
		raw_syscall(__NR_close, found);
		return -ESTALE;
	}
	text_format(path, sizeof path, "/proc/thread-self/fd/%ld", found);
	fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0);
	raw_syscall(__NR_close, found);
	return fd;
}

static int get(const struct file_waker *w)
{
	struct waker *free = NULL;

	for (struct waker *k = wakers; k < wakers + WAKERS; k++) {
		if (k->users && k->pid == w->pid && k->ino == w->ino) {
			k->users++;
			return k->fd;
		}
		if (!k->users)
			free = k;
	}
	if (!free)
		return -EMFILE;
	*free = (struct waker){ .pid = w->pid, .ino = w->ino, .fd = fd_keep(open_waker(w)) };
	free->users = free->fd >= 0;
	return free->fd;
}

int ready_waker_get(const struct file_waker *w)
{
	int fd;

	if (!w->ino)
		return -EMFILE;
	lock_acquire(&wakers_lock);
	fd = get(w);
	lock_release(&wakers_lock);
	return fd;
}

void ready_waker_put(int fd)
{
	lock_acquire(&wakers_lock);
	for (struct waker *k = wakers; k < wakers + WAKERS; k++)
		if (k->users && k->fd == fd && !--k->users)
			fd_give_up(fd);
	lock_release(&wakers_lock);
}

void ready_after_fork(void)
{
	wakers_lock = (struct lock){ 0 };
	for (struct waker *k = wakers; k < wakers + WAKERS; k++) {
		if (k->users)
			fd_give_up(k->fd);
		k->users = 0;
	}
}
