/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Carriers: the real descriptors that virtual files occupy (file.h).
 *
 * To make one costs the kernel 3 us, as it leads through /proc.  So what the last descriptor of a file has been is kept, and the next file
 * that is opened gets it: a duplicate of it in the lowest free number, with its own offset and lock.  That may only be done with what nobody
 * else has: a carrier that has been inherited, sent to another process, duplicated or changed by fcntl is never used again.  A
 * process that takes it meanwhile (pidfd_getfd) says so before it looks whether the file is still open, and we look whether somebody has said so
 * after we have closed it: one of us sees the other.
 */
#include <linux/fcntl.h>
#include "fd.h"
#include "fs/remote.h"
#include "../wire/pages.h"

/* What of the guest's flags the carrier gets.  Not those that would act on the world file (O_TRUNC, O_CREAT),
 * nor those it may refuse (O_DIRECT, O_NOATIME, O_DIRECTORY, O_NOFOLLOW). */
#define CARRIER_FLAGS	(O_ACCMODE | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_SYNC | O_DSYNC)

static int carrier_flags(int open_flags)
{
	int flags = open_flags & CARRIER_FLAGS;

	if (open_flags & O_PATH || (flags & O_ACCMODE) == O_ACCMODE)
		flags &= ~O_ACCMODE;	/* a description without any access could hold no lock */
	return flags | O_LARGEFILE;
}

static long carrier_lock(int fd, uint64_t where, int flags)
{
	struct flock lock = {
		.l_type = (flags & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK,
		.l_start = (long)where,
		.l_len = 1,
	};
	long r = raw_syscall(__NR_lseek, fd, where, 0 /* SEEK_SET */);

	return r < 0 ? r : raw_syscall(__NR_fcntl, fd, F_OFD_SETLK, &lock);
}

int carrier_open(uint32_t server, uint32_t handle, int open_flags)
{
	int flags = carrier_flags(open_flags);
	char path[48];
	long fd, r;

	text_format(path, sizeof(path), "/proc/thread-self/fd/%d", process.world_fd);
	fd = raw_syscall(__NR_openat, AT_FDCWD, path, flags, 0);
	if (fd < 0) {
		if (fd != -EMFILE && fd != -ENFILE)
			agent_log("cannot open the world by %s (is /proc mounted?): error %ld", path, -fd);
		return (int)fd;
	}
	r = carrier_lock((int)fd, UM_LOCK(server, handle), flags);
	if (r < 0) {
		agent_log("cannot lock the carrier of handle %u at server %u: error %ld", handle, server, -r);
		raw_syscall(__NR_close, fd);
		return (int)r;
	}
	return (int)fd;
}

/* Is fd open on the same file as our world descriptor? */
static bool same_as_world(int fd)
{
	struct stat ours, st;

	return raw_syscall(__NR_fstat, process.world_fd, &ours) == 0 && raw_syscall(__NR_fstat, fd, &st) == 0 &&
	       ours.st_dev == st.st_dev && ours.st_ino == st.st_ino;
}

int carrier_identify(int fd, uint32_t *server, uint32_t *handle)
{
	long offset = raw_syscall(__NR_lseek, fd, 0, 1 /* SEEK_CUR */);

	if (offset < 0 || !UM_LOCK_IS(offset) || !same_as_world(fd))
		return 0;
	*server = UM_LOCK_SERVER(offset);
	*handle = UM_LOCK_HANDLE(offset);
	return *server < UM_SERVERS;
}

bool carrier_is_open(uint32_t server, uint32_t handle)
{
	struct flock lk = { .l_type = F_WRLCK, .l_start = (long)UM_LOCK(server, handle), .l_len = 1 };

	return raw_syscall(__NR_fcntl, process.world_fd, F_OFD_GETLK, &lk) || lk.l_type != F_UNLCK;
}

/* ---- used again ---------------------------------------------------------------------------------------- */

#define CHANGEABLE	(O_APPEND | O_NONBLOCK)		/* by F_SETFL */
#define SPARE_LOWEST	1000		/* who has a limit below keeps none */

static bool is_clients(uint32_t handle)
{
	return handle & UM_HANDLE_CLIENT && handle != UM_HANDLE_DEVICE;
}

bool carrier_share(uint32_t server, uint32_t handle)
{
	if (!is_clients(handle))
		return true;		/* such a one is not used again */
	client_share(server, handle);
	return carrier_is_open(server, handle);
}

static void spare_drop(struct spare *s)
{
	if (s->user)
		s->user->spare = 0;
	if (s->fd)
		fd_give_up(s->fd);
	*s = (struct spare){ .fd = 0 };
}

/* All of them.  Was there any? */
static bool spares_drop(struct files *fs)
{
	bool some = false;

	for (int i = 0; i < SPARES; i++) {
		some = some || fs->spare[i].fd;
		spare_drop(&fs->spare[i]);
	}
	return some;
}

void carrier_drop_spares(struct files *fs)
{
	fs->copies++;
	spares_drop(fs);
}

/* A duplicate of f's carrier fd, of ours; -1: there is no room above what guests use, or another thread has put something else at fd. */
static int high_duplicate(const struct file *f, int fd)
{
	long high = raw_syscall(__NR_fcntl, fd, F_DUPFD_CLOEXEC, SPARE_LOWEST);
	uint32_t server, handle;

	if (high < 0)
		return -1;
	if (carrier_identify((int)high, &server, &handle) && server == f->server && handle == f->handle && !fd_own((int)high))
		return (int)high;
	raw_syscall(__NR_close, high);
	return -1;
}

/* The file's own, or one more.  The caller holds the lock. */
static struct spare *spare_of(struct files *fs, struct file *f, int fd)
{
	struct spare *s = fs->spare;
	int high;

	if (f->spare)
		return &fs->spare[f->spare - 1];
	while (s < fs->spare + SPARES && s->fd)
		s++;
	if (s == fs->spare + SPARES)
		return NULL;
	high = high_duplicate(f, fd);
	if (high < 0)
		return NULL;
	*s = (struct spare){ .fd = high, .flags = carrier_flags((int)f->open_flags), .user = f };
	f->spare = (uint32_t)(s - fs->spare) + 1;
	return s;
}

static bool is_alone(const struct files *fs, const struct file *f)
{
	return is_clients(f->handle) && !(f->flags & FILE_PASSED) && f->copies == fs->copies &&
	       __atomic_load_n(&f->refs, __ATOMIC_ACQUIRE) == 1;
}

/* It holds no lock any more, and nobody else has it. */
static bool spare_free(struct spare *s, const struct file *f)
{
	struct flock lock = { .l_type = F_UNLCK, .l_start = (long)UM_LOCK(f->server, f->handle), .l_len = 1 };

	if (client_is_shared(f) || raw_syscall(__NR_fcntl, s->fd, F_OFD_SETLK, &lock))
		return false;
	if (!client_is_shared(f))
		return true;
	lock.l_type = F_RDLCK;
	raw_syscall(__NR_fcntl, s->fd, F_OFD_SETLK, &lock);
	return false;
}

void carrier_close(struct task *t, struct file *f, int fd)
{
	struct files *fs = t->files;
	struct spare *s;

	lock_acquire(&fs->lock);
	s = is_alone(fs, f) ? spare_of(fs, f, fd) : NULL;
	raw_syscall(__NR_close, fd);
	if (s && spare_free(s, f)) {
		s->user = NULL;
		f->spare = 0;
		f->flags |= FILE_OVER;
	}
	if (f->spare)
		spare_drop(&fs->spare[f->spare - 1]);
	lock_release(&fs->lock);
}

void carrier_forget(struct task *t, struct file *f)
{
	lock_acquire(&t->files->lock);
	if (f->spare)
		spare_drop(&t->files->spare[f->spare - 1]);
	lock_release(&t->files->lock);
}

static struct spare *spare_idle(struct files *fs, int flags)
{
	for (struct spare *s = fs->spare; s < fs->spare + SPARES; s++)
		if (s->fd && !s->user && !((s->flags ^ (uint32_t)flags) & ~(uint32_t)(CHANGEABLE | O_CLOEXEC)))
			return s;
	return NULL;
}

/* A duplicate of it that stands for f, or -errno. */
static long spare_use(struct spare *s, const struct file *f, int flags)
{
	long fd = raw_syscall(__NR_fcntl, s->fd, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0), r = 0;

	if (fd < 0)
		return fd;
	if ((s->flags ^ (uint32_t)flags) & CHANGEABLE)
		r = raw_syscall(__NR_fcntl, fd, F_SETFL, flags & CHANGEABLE);
	if (!r)
		r = carrier_lock((int)fd, UM_LOCK(f->server, f->handle), flags);
	s->flags = (uint32_t)flags;
	if (!r)
		return fd;
	raw_syscall(__NR_close, fd);
	return r;
}

/* At the limit of descriptors: what is kept goes.  Was there anything? */
static bool make_room(struct files *fs)
{
	bool some;

	lock_acquire(&fs->lock);
	some = spares_drop(fs);
	lock_release(&fs->lock);
	return some;
}

static long open_spare(struct files *fs, struct file *f, int flags)
{
	struct spare *s;
	long fd = -ENOENT;

	lock_acquire(&fs->lock);
	s = spare_idle(fs, flags);
	if (s) {
		s->user = f;
		f->spare = (uint32_t)(s - fs->spare) + 1;
		fd = spare_use(s, f, flags);
		if (fd < 0)
			spare_drop(s);
	}
	lock_release(&fs->lock);
	return fd;
}

int carrier_open_for(struct task *t, struct file *f, int open_flags)
{
	long fd;

	f->copies = __atomic_load_n(&t->files->copies, __ATOMIC_RELAXED);
	fd = is_clients(f->handle) ? open_spare(t->files, f, carrier_flags(open_flags)) : -ENOENT;
	if (fd >= 0)
		return (int)fd;
	fd = carrier_open(f->server, f->handle, open_flags);
	return fd == -EMFILE && make_room(t->files) ? carrier_open(f->server, f->handle, open_flags) : (int)fd;
}
