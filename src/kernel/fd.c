/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor table: which numbers are carriers of virtual files, which are the agent's own.
 *
 * The table only ever grows, and an outgrown one is kept until the end: a reader takes no lock, and may
 * still be looking at it.  Writers, and who wants a reference, take files->lock.
 *
 * Over exec the table travels as text, one item per descriptor, numbers in decimal:
 *
 *	fd:server:handle:kind:mount:mode:open_flags:flags:node/2^32:node%2^32,
 *
 * an 'x' in front of fd: exec closes this one, its server is to be told.  Then the real ones that were reached through
 * bind mounts, as far as there is room:
 *
 *	bfd:bind:bound,
 */
#include <linux/fcntl.h>
#include "fd.h"
#include "path.h"
#include "path_walk.h"
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

/* As high as the process's limit lets us, but below 1024, where select() still reaches. */
int fd_park(int fd)
{
	long high = -EMFILE;

	for (int from = 1000; from > 2 && high < 0; from -= from / 4)
		high = raw_syscall(__NR_fcntl, fd, F_DUPFD, from);
	if (high < 0)
		return (int)high;
	if (fd_own((int)high) < 0) {
		raw_syscall(__NR_close, high);
		return -EMFILE;
	}
	raw_syscall(__NR_close, fd);
	return (int)high;
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

static int table_set(struct files *fs, int fd, struct file *f, struct file **old)
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

struct file *fd_hold(struct task *t, int fd)
{
	struct file *f;

	if (!fd_peek(t, fd))
		return NULL;
	lock_acquire(&t->files->lock);
	f = fd_peek(t, fd);
	if (f)
		file_get(f);
	lock_release(&t->files->lock);
	return f;
}

int fd_install(struct task *t, int fd, struct file *f)
{
	struct file *old = NULL;
	int r;

	fd_forget_hint(t, fd);
	lock_acquire(&t->files->lock);
	r = table_set(t->files, fd, f, &old);
	lock_release(&t->files->lock);
	file_put(old);
	return r;
}

struct file *fd_remove(struct task *t, int fd)
{
	struct file *f;

	if (!fd_peek(t, fd))
		return NULL;
	lock_acquire(&t->files->lock);
	f = fd_peek(t, fd);
	if (f)
		__atomic_store_n(&t->files->tab[fd], NULL, __ATOMIC_RELEASE);
	lock_release(&t->files->lock);
	return f;
}

void fd_forget_hint(struct task *t, int fd)
{
	struct files *fs = t->files;

	if ((unsigned)fd < (unsigned)__atomic_load_n(&fs->nhints, __ATOMIC_ACQUIRE) && fs->hints[fd])
		hint_forget(fs->hints[fd]);
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

void fd_adopt(struct task *t, int fd)
{
	uint32_t server, handle;
	struct file *f;

	if (fd_peek(t, fd) || !carrier_identify(fd, &server, &handle))
		return;
	f = adopt(t, fd, server, handle);
	if (!f || fd_install(t, fd, f)) {
		agent_log("descriptor %d (handle %u of server %u) could not be taken over", fd, handle, server);
		file_put(f);
	}
}

/* ---- exec ----------------------------------------------------------------------------------------- */

/* Writes one item; 0 if it did not fit. */
static size_t describe(char *buf, size_t size, int fd, const struct file *f, bool closes)
{
	int n = text_format(buf, size, "%s%d:%u:%u:%u:%u:%u:%u:%u:%u:%u,", closes ? "x" : "", fd, f->server,
			    f->handle, (unsigned)f->kind, f->mount, f->mode, f->open_flags, f->flags,
			    (unsigned)(f->node >> 32), (unsigned)f->node);

	return (size_t)n < size ? (size_t)n : 0;
}

static size_t describe_bound(struct files *fs, char *buf, size_t size)
{
	size_t len = 0;

	for (int fd = 0; fd < fs->nhints; fd++) {
		const struct dir_hint *h = fs->hints[fd];
		long flags = h && h->bind ? raw_syscall(__NR_fcntl, fd, F_GETFD) : -1;
		size_t n;

		if (flags < 0 || flags & FD_CLOEXEC)
			continue;
		n = (size_t)text_format(buf + len, size - len, "b%d:%u:%u,", fd, h->bind, h->bound);
		if (n >= size - len)
			break;
		len += n;
	}
	buf[len] = 0;
	return len;
}

int files_describe(struct files *fs, char *buf, size_t size)
{
	size_t len = 0;

	if (!size)
		return -ENOSPC;
	buf[0] = 0;
	for (int fd = 0; fd < fs->size; fd++) {
		const struct file *f = fs->tab[fd];
		long flags = f ? raw_syscall(__NR_fcntl, fd, F_GETFD) : -1;
		size_t n;

		if (flags < 0)
			continue;
		n = describe(buf + len, size - len, fd, f, flags & FD_CLOEXEC);
		if (!n)
			return -ENOSPC;
		len += n;
	}
	return (int)(len + describe_bound(fs, buf + len, size - len));
}

enum { ITEM_FD, ITEM_SERVER, ITEM_HANDLE, ITEM_KIND, ITEM_MOUNT, ITEM_MODE, ITEM_OPEN, ITEM_FLAGS, ITEM_HI, ITEM_LO,
       ITEM_FIELDS };

/* Reads the fields of one item and the comma; false when that is not what is there. */
static bool parse(const char **s, long *field, int fields)
{
	for (int i = 0; i < fields; i++) {
		field[i] = text_number(s);
		if (field[i] < 0 || *(*s)++ != (i == fields - 1 ? ',' : ':'))
			return false;
	}
	return field[ITEM_FD] <= 1 << 20;
}

/* Descriptors that were duplicates are duplicates again. */
static struct file *find_same(struct files *fs, const long *field)
{
	for (int fd = 0; fd < fs->size; fd++) {
		struct file *f = fs->tab[fd];

		if (f && f->server == field[ITEM_SERVER] && f->handle == field[ITEM_HANDLE]) {
			file_get(f);
			return f;
		}
	}
	return NULL;
}

static struct file *rebuild(struct files *fs, const long *field)
{
	struct file *f = find_same(fs, field);

	if (f)
		return f;
	f = file_new((enum file_kind)field[ITEM_KIND]);
	if (!f)
		return NULL;
	f->server = (uint32_t)field[ITEM_SERVER];
	f->handle = (uint32_t)field[ITEM_HANDLE];
	f->mount = (uint32_t)field[ITEM_MOUNT];
	f->mode = (uint32_t)field[ITEM_MODE];
	f->open_flags = (uint32_t)field[ITEM_OPEN];
	f->flags = (uint32_t)field[ITEM_FLAGS];
	f->node = (uint64_t)field[ITEM_HI] << 32 | (uint32_t)field[ITEM_LO];
	if (f->kind == FILE_FUSE_DEVICE)
		f->conn = fuse_conn_join(f->server);
	return f;
}

static void note_gone(struct files *fs, const long *field)
{
	if (field[ITEM_KIND] != FILE_REMOTE || fs->ngone == (int)(sizeof(fs->gone) / sizeof(fs->gone[0])))
		return;		/* too many: the server will find out by the lock */
	fs->gone[fs->ngone][0] = (uint32_t)field[ITEM_SERVER];
	fs->gone[fs->ngone++][1] = (uint32_t)field[ITEM_HANDLE];
}

static int restore_bound(struct files *fs, const char *text)
{
	long field[3];

	while (*text == 'b') {
		text++;
		if (!parse(&text, field, 3))
			return -EINVAL;
		if (!hints_add(fs, (int)field[0], (uint32_t)field[1], (uint32_t)field[2]))
			return -ENOMEM;
	}
	return 0;
}

int files_restore(struct files *fs, const char *text)
{
	long field[ITEM_FIELDS];

	while (*text && *text != ' ' && *text != 'b') {
		bool closed = *text == 'x';
		struct file *f, *old;
		int r;

		text += closed;
		if (!parse(&text, field, ITEM_FIELDS) || field[ITEM_KIND] > FILE_FUSE_DEVICE)
			return -EINVAL;
		if (closed) {
			note_gone(fs, field);
			continue;
		}
		f = rebuild(fs, field);
		if (!f)
			return -ENOMEM;
		r = table_set(fs, (int)field[ITEM_FD], f, &old);
		if (r)
			return r;
		file_put(old);
	}
	return restore_bound(fs, text);
}

void files_after_exec(struct task *t)
{
	struct files *fs = t->files;

	for (int i = 0; i < fs->ngone; i++) {
		struct file f = { .kind = FILE_REMOTE, .server = fs->gone[i][0], .handle = fs->gone[i][1] };

		file_closed(t, &f);
	}
	fs->ngone = 0;
}

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
