/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor table: which numbers are carriers of virtual files, which are the agent's own.
 *
 * The table only ever grows, and an outgrown one is kept until the end: a reader takes no lock, and may
 * still be looking at it.  Writers, and who wants a reference, take files->lock.
 */
#include <linux/fcntl.h>
#include "fd.h"
#include "path.h"
#include "path_walk.h"
#include "ready.h"
#include "../agent/channel.h"
#include "fs/fuse.h"
#include "fs/proc.h"

/* ---- the agent's own descriptors ------------------------------------------------------------------ */

/*
 * A word per descriptor: its number + 1, and how many hold it (a vfork child's cwd and its parent's are the
 * same number in two tables, but one memory).  Changed by compare-and-swap: no lock that fork could copy.
 */
static uint32_t own_fds[UM_OWN_MAX - 2];	/* and two that process knows */
int fd_own_lowest;	/* 0: not yet told, look at all (fd_own_start) */
#define OWN(fd, count)	((uint32_t)((fd) + 1) << 8 | (count))

static uint32_t *own_find(int fd)
{
	for (unsigned i = 0; i < sizeof(own_fds) / sizeof(own_fds[0]); i++)
		if (__atomic_load_n(&own_fds[i], __ATOMIC_ACQUIRE) >> 8 == (uint32_t)fd + 1)
			return &own_fds[i];
	return NULL;
}

bool fd_is_ours_slow(int fd)
{
	if (fd < 0)
		return false;
	return fd == process.world_fd || fd == process.image_fd || own_find(fd);
}

int fd_list_owned(int pid, int list[UM_OWN_MAX])
{
	uint32_t own[sizeof(own_fds) / sizeof(own_fds[0])];
	struct process p;
	int n = 0;

	if (!peer_read(pid, &process, &p, sizeof(p)) || !peer_read(pid, own_fds, own, sizeof(own)))
		return -EPERM;
	list[n++] = p.world_fd;
	list[n++] = p.image_fd;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (own[i])
			list[n++] = (int)(own[i] >> 8) - 1;
	return n;
}

void fd_own_start(void)
{
	fd_own_lowest = process.world_fd < process.image_fd ? process.world_fd : process.image_fd;
}

static bool own_change(uint32_t *word, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

int fd_own(int fd)
{
	uint32_t *word = own_find(fd);
	int lowest = __atomic_load_n(&fd_own_lowest, __ATOMIC_RELAXED);

	while (fd < lowest && !__atomic_compare_exchange_n(&fd_own_lowest, &lowest, fd, false, __ATOMIC_ACQ_REL,
							   __ATOMIC_RELAXED))
		;
	while (word) {
		uint32_t had = __atomic_load_n(word, __ATOMIC_ACQUIRE);

		if (had >> 8 != (uint32_t)fd + 1)
			break;
		if (own_change(word, had, had + 1))
			return 0;
	}
	for (unsigned i = 0; i < sizeof(own_fds) / sizeof(own_fds[0]); i++)
		if (own_change(&own_fds[i], 0, OWN(fd, 1)))
			return 0;
	return -EMFILE;
}

void fd_disown(int fd)
{
	uint32_t *word = own_find(fd);

	while (word) {
		uint32_t had = __atomic_load_n(word, __ATOMIC_ACQUIRE);

		if (had >> 8 != (uint32_t)fd + 1 || own_change(word, had, (had & 0xff) > 1 ? had - 1 : 0))
			return;
	}
}

void fd_give_up(int fd)
{
	fd_disown(fd);
	raw_syscall(__NR_close, fd);
}

long fd_memory(const char *name, unsigned flags)
{
	long fd = raw_syscall(__NR_memfd_create, name, flags | 0x10 /* MFD_EXEC */);

	return fd == -EINVAL ? raw_syscall(__NR_memfd_create, name, flags) : fd;
}

/* As high as the process's limit lets us, but below 1024, where select() still reaches. */
static int park(int fd, int how)
{
	long high = -EMFILE;

	for (int from = 1000; from > 2 && high < 0; from -= from / 4 + 1)
		high = raw_syscall(__NR_fcntl, fd, how, from);
	if (high < 0)
		return (int)high;
	if (fd_own((int)high) < 0) {
		raw_syscall(__NR_close, high);
		return -EMFILE;
	}
	raw_syscall(__NR_close, fd);
	return (int)high;
}

int fd_park(int fd)
{
	return park(fd, F_DUPFD);
}

int fd_keep(long fd)
{
	int high = fd < 0 ? (int)fd : park((int)fd, F_DUPFD_CLOEXEC);

	if (high < 0 && fd >= 0)
		raw_syscall(__NR_close, fd);
	return high;
}

int fd_pipe(int fd[2])
{
	int low[2], in, out;
	long r = raw_syscall(__NR_pipe2, low, O_NONBLOCK | O_CLOEXEC);

	if (r < 0)
		return (int)r;
	in = fd_keep(low[0]);
	out = fd_keep(low[1]);
	if (in >= 0 && out >= 0) {
		fd[0] = in;
		fd[1] = out;
		return 0;
	}
	if (in >= 0)
		fd_give_up(in);
	if (out >= 0)
		fd_give_up(out);
	return -EMFILE;
}

long fd_has_room(void)
{
	long r = raw_syscall(__NR_openat, -1, ".", O_PATH | O_CLOEXEC, 0);	/* no directory: no child can inherit what is not opened */

	return r == -EMFILE || r == -ENFILE ? r : 0;
}

/* ---- the table ------------------------------------------------------------------------------------ */

/* The word in front of an array points to the one it has replaced. */
void **slots_grow(void **old, size_t had, size_t want)
{
	void **a = heap_alloc((want + 1) * sizeof(*a));

	if (!a)
		return NULL;
	a[0] = old;
	if (had)
		memcpy(a + 1, old, had * sizeof(*a));
	return a + 1;
}

void slots_free(void **a)
{
	while (a) {
		void **older = a[-1];

		heap_free(a - 1);
		a = older;
	}
}

struct files *files_new(void)
{
	struct files *fs = heap_alloc(sizeof(*fs));

	if (fs)
		fs->refs = 1;
	return fs;
}

void files_get(struct files *fs)
{
	__atomic_add_fetch(&fs->refs, 1, __ATOMIC_RELAXED);
}

void files_put(struct files *fs)
{
	if (!fs || __atomic_sub_fetch(&fs->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (int i = 0; i < SPARES; i++)
		if (fs->spare[i].fd)
			fd_disown(fs->spare[i].fd);	/* the kernel closes it, with its own table */
	for (int i = 0; i < fs->size; i++)
		file_put(fs->tab[i]);
	for (int i = 0; i < fs->nhints; i++)
		hint_free(fs->hints[i]);
	slots_free((void **)fs->tab);
	slots_free((void **)fs->hints);
	heap_free(fs);
}

/* Caller holds the lock. */
static int table_grow(struct files *fs, int fd)
{
	int size = fs->size ? fs->size : 64;
	struct file **tab;

	if (fd < fs->size)
		return 0;
	while (size <= fd)
		size *= 2;
	tab = (struct file **)slots_grow((void **)fs->tab, (size_t)fs->size, (size_t)size);
	if (!tab)
		return -ENOMEM;
	__atomic_fetch_or(&process.watch, WATCH_VIRTUAL, __ATOMIC_ACQ_REL);
	__atomic_store_n(&fs->tab, tab, __ATOMIC_RELEASE);	/* before size: fd_peek reads size first */
	__atomic_store_n(&fs->size, size, __ATOMIC_RELEASE);
	return 0;
}

int files_set(struct files *fs, int fd, struct file *f, struct file **old)
{
	int r = table_grow(fs, fd);

	if (r)
		return r;
	*old = fs->tab[fd];
	__atomic_store_n(&fs->tab[fd], f, __ATOMIC_RELEASE);
	return 0;
}

struct files *files_copy(struct files *old)
{
	struct files *fs = files_new();

	if (!fs)
		return NULL;
	lock_acquire(&old->lock);
	carrier_drop_spares(old);
	fs->copies = old->copies;
	if ((old->size && table_grow(fs, old->size - 1)) || !hints_copy(fs, old)) {
		lock_release(&old->lock);
		files_put(fs);
		return NULL;
	}
	for (int i = 0; i < old->size; i++) {
		fs->tab[i] = old->tab[i];
		if (fs->tab[i])
			file_get(fs->tab[i]);
	}
	lock_release(&old->lock);
	return fs;
}

/* The file at fd with one reference: the table's own, which then has it no more, or another one. */
static inline struct file *take(struct task *t, int fd, bool out)
{
	struct file *f;

	if (!fd_peek(t, fd))
		return NULL;
	lock_acquire(&t->files->lock);
	f = fd_peek(t, fd);
	if (f && out)
		__atomic_store_n(&t->files->tab[fd], NULL, __ATOMIC_RELEASE);
	else if (f)
		file_get(f);
	lock_release(&t->files->lock);
	return f;
}

struct file *fd_hold(struct task *t, int fd)
{
	return take(t, fd, false);
}

bool fd_pass(struct task *t, int fd)
{
	struct file *f = fd_hold(t, fd);

	if (f)
		file_passed(f);
	file_put(f);
	return !fd_is_ours(fd);
}

int fd_install(struct task *t, int fd, struct file *f)
{
	struct file *old = NULL;
	int r;

	fd_forget_hint(t, fd);
	lock_acquire(&t->files->lock);
	r = files_set(t->files, fd, f, &old);
	lock_release(&t->files->lock);
	file_put(old);
	if (!r)
		ready_watch(t, f);
	return r;
}

struct file *fd_remove(struct task *t, int fd)
{
	return take(t, fd, true);
}

void fd_forget_hint(struct task *t, int fd)
{
	struct files *fs = t->files;
	struct dir_hint *h;

	if ((unsigned)fd >= (unsigned)__atomic_load_n(&fs->nhints, __ATOMIC_ACQUIRE) || !(h = fs->hints[fd]))
		return;
	if (!h->list) {
		hint_forget(h);
		return;
	}
	lock_acquire(&fs->lock);
	hint_forget(h);
	lock_release(&fs->lock);
}

/* ---- carriers that came from elsewhere ------------------------------------------------------------ */

/* What only the server knows of a handle.  A server that does not answer leaves a file that answers
 * nothing either. */
static void adopt_remote(struct task *t, struct file *f)
{
	int error;
	struct um_server *head = channel_server(t, f->server, &error);
	struct um_slot *s;

	if (head)
		f->mount = head->mount_id;
	s = channel_begin(t, f->server, UM_OP_STAT, &error);
	if (!s)
		return;
	s->req.handle = f->handle;
	if (channel_call(t, f->server, s))
		return;
	f->mode = s->rep.attr.mode & 0170000;
	f->node = s->rep.node;
	f->open_flags |= (uint32_t)s->rep.offset & (O_DIRECT | O_DIRECTORY | O_NOFOLLOW | O_NOATIME);	/* no carrier has these */
	if (s->rep.open_reply & UM_OPEN_PATH) {
		f->flags |= FILE_PATH;
		f->open_flags |= O_PATH;
	}
}

struct file *fd_carried(struct task *t, uint32_t server, uint32_t handle, uint32_t open_flags)
{
	struct file *f = file_new(handle == UM_HANDLE_DEVICE ? FILE_FUSE_DEVICE : FILE_REMOTE);

	if (!f)
		return NULL;
	f->server = server;
	f->handle = handle;
	f->open_flags = open_flags;
	if (f->kind == FILE_REMOTE)
		adopt_remote(t, f);
	else
		f->mode = 0020000;	/* S_IFCHR */
	return f;
}

static struct file *adopt(struct task *t, int fd, uint32_t server, uint32_t handle)
{
	struct file *f = fd_carried(t, server, handle, (uint32_t)raw_syscall(__NR_fcntl, fd, F_GETFL));

	if (!f || f->kind == FILE_REMOTE)
		return f;
	f->conn = fuse_conn_join(server);
	if (!f->conn) {
		file_put(f);
		return NULL;
	}
	return f;
}

long fd_adopt(struct task *t, int fd)
{
	uint32_t server, handle;
	struct file *f;

	if (fd_peek(t, fd) || !carrier_identify(fd, &server, &handle))
		return 0;
	if (!carrier_share(server, handle))
		return -EBADF;
	f = adopt(t, fd, server, handle);
	if (f)
		file_passed(f);
	if (!f || fd_install(t, fd, f)) {
		agent_log("descriptor %d (handle %u of server %u) could not be taken over", fd, handle, server);
		file_put(f);
	}
	return 0;
}

/* ---- the end ------------------------------------------------------------------------------------- */

void files_exit(struct task *t)
{
	for (int fd = 0; fd < t->files->size; fd++) {
		struct file *f = fd_remove(t, fd);

		if (!f)
			continue;
		raw_syscall(__NR_close, fd);
		file_closed(t, f);
		file_put(f);
	}
}
