/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared writable mappings of files in a mounted file system.
 *
 * The first mapping makes a memory file with the file's contents, which this process keeps, and which guests map through /proc/PID/fd, as they reach
 * stand-ins.  As long as there is one, it is what is read; what is written goes to the server and to it; and what has been stored in it
 * goes to the server when somebody says so (msync, fsync, close), every few seconds, and when nobody maps it any more.  Nothing
 * tells which pages were stored to, so each has a checksum of what the server has.
 *
 * Whether anybody maps it is asked of the kernel: it seals a memory file against writing (F_SEAL_WRITE) only if nobody can.
 *
 * An open file of the first who mapped it is held for all of that: it is the one that is written by.
 */
#include <linux/fcntl.h>
#include <linux/falloc.h>
#include <linux/inotify.h>
#include <linux/memfd.h>
#include <linux/stat.h>
#include "fuse_conn.h"
#include "../fd.h"

#define PAGE		4096u
#define PIECE		(64u << 10)
#define PROMISED	(FUSE_NSEC / 10)
#define LOOK_EVERY	FUSE_NSEC		/* whether anybody maps it still */
#define SYNC_EVERY	(5 * FUSE_NSEC)		/* stores go to the server at least so often */
#define MAPS_MOST	64u
#define MAPS_MANY	32u		/* so many: who wants another one looks which are over */
#define LARGEST		(1ull << 32)		/* bytes */

struct fuse_map {
	struct fuse_map *next;
	struct fuse_node *node;		/* pinned */
	struct fuse_handle *h;		/* used */
	int fd;
	uint64_t ino;			/* its inode's number: that of fd may be another's soon */
	bool due, over;			/* the worker shall look at it; and then it ends */
	int error;			/* that nobody has been told of yet */
	uint64_t size, npages;
	uint64_t looked, synced;	/* when the worker did, ns */
	uint64_t promised;		/* when somebody was told of it, who is going to map it */
	uint64_t *sums;			/* of npages pages as the server has them; 0: zeros, a hole */
};

/* ---- checksums ------------------------------------------------------------------------------------------- */

#define DIRTY	1ull			/* what the server has there is not known */

/* 0: zeros */
static uint64_t sum_of(const uint8_t *page, size_t n)
{
	uint64_t h = n * 0x9e3779b97f4a7c15ull, word;

	if (!n || (!page[0] && !memcmp(page, page + 1, n - 1)))
		return 0;
	for (size_t i = 0; i < n; i += 8) {
		size_t left = n - i < 8 ? n - i : 8;

		word = 0;
		memcpy(&word, page + i, left);
		h = (h ^ word) * 0xbf58476d1ce4e5b9ull;
		h ^= h >> 29;
	}
	return h > DIRTY ? h : DIRTY + 1;
}

/* Is that what the server has? */
static bool is_clean(const struct fuse_map *m, uint64_t page, const uint8_t *data, size_t n)
{
	return m->sums[page] == sum_of(data, n);
}

/* Room for the sums of so many bytes.  0 or -ENOMEM. */
static int sums_resize(struct fuse_map *m, uint64_t size)
{
	const uint64_t n = (size + PAGE - 1) / PAGE;
	uint64_t *sums;

	if (n <= m->npages)
		return 0;
	sums = heap_alloc((n + n / 4 + 16) * sizeof *sums);
	if (!sums)
		return -ENOMEM;
	if (m->npages)
		memcpy(sums, m->sums, m->npages * sizeof *sums);
	heap_free(m->sums);
	m->sums = sums;
	m->npages = n + n / 4 + 16;
	return 0;
}

/* How much of that page lies in a file of that size. */
static uint32_t part_of(uint64_t page, uint64_t size)
{
	return size <= page * PAGE ? 0 : size - page * PAGE < PAGE ? (uint32_t)(size - page * PAGE) : PAGE;
}

/*
 * The server has that now (data NULL: the file ends at offset, or did), and the memory file will: the sums of its first and last page are
 * made of what was there before, if that was the server's.  Guests store meanwhile, so what is in the memory file afterwards may not be taken for the server's.
 */
static void page_has(struct fuse_map *m, uint64_t i, uint64_t offset, const uint8_t *data, uint64_t size, uint64_t new_size)
{
	const uint32_t before = part_of(i, m->size), now = part_of(i, new_size);
	const uint32_t from = offset > i * PAGE ? (uint32_t)(offset - i * PAGE) : 0;
	const uint32_t to = offset + size < (i + 1) * PAGE ? (uint32_t)(offset + size - i * PAGE) : PAGE;
	uint8_t page[PAGE] = { 0 };
	bool clean = true;

	if (data && !from && to >= now) {
		m->sums[i] = sum_of(data + (i * PAGE - offset), to);
		return;
	}
	if (before)
		clean = raw_syscall(__NR_pread64, m->fd, page, before, i * PAGE) == before && is_clean(m, i, page, before);
	if (data)
		memcpy(page + from, data + (i * PAGE + from - offset), to - from);
	m->sums[i] = clean ? sum_of(page, now) : DIRTY;
}

/* What was stored behind the end is not there when the file grows. */
static void clear_tail(struct fuse_map *m, uint64_t new_size)
{
	static const uint8_t zeros[PAGE];
	const uint32_t n = part_of(m->size / PAGE, new_size), from = m->size % PAGE;

	if (from && n > from)
		raw_syscall(__NR_pwrite64, m->fd, zeros, n - from, m->size);
}

/* ---- from the server ------------------------------------------------------------------------------------- */

static long read_from_server(struct fuse_job *j, struct fuse_map *m, uint64_t offset, uint8_t *buf, uint32_t size)
{
	struct fuse_read_in in = { .fh = m->h->fh, .offset = offset, .size = size, .flags = m->h->open_flags };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_READ, m->node->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply_upto(&r, buf, size);
	err = fuse_call(j, &r);
	return err ? err : (long)r.reply_len;
}

/* That part of the file, as it is at the server.  Of the pages that it begins and ends in the rest is what guests have stored. */
static int load(struct fuse_job *j, struct fuse_map *m, uint64_t from, uint64_t to)
{
	const uint32_t most = j->c->can.max_read < PIECE ? j->c->can.max_read & ~(PAGE - 1) : PIECE;
	uint64_t offset = from & ~(uint64_t)(PAGE - 1), end = (to + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	uint8_t *buf = heap_alloc(PIECE);
	int err = buf ? 0 : -ENOMEM;

	end = end < m->size ? end : m->size;
	while (!err && offset < end) {
		const uint32_t want = end - offset < most ? (uint32_t)(end - offset) : most;
		const uint32_t skip = offset < from ? (uint32_t)(from - offset) : 0, upto = to - offset < want ? (uint32_t)(to - offset) : want;
		long n = read_from_server(j, m, offset, buf, want);

		if (n < 0) {
			err = (int)n;
			break;
		}
		memset(buf + n, 0, want - (uint32_t)n);		/* the rest is a hole */
		for (uint32_t i = 0; i < want; i += PAGE)
			m->sums[(offset + i) / PAGE] = sum_of(buf + i, want - i < PAGE ? want - i : PAGE);
		if (raw_syscall(__NR_pwrite64, m->fd, buf + skip, upto - skip, offset + skip) != (long)(upto - skip))
			err = -ENOSPC;
		offset += want;
	}
	heap_free(buf);
	return err;
}

/* ---- to the server --------------------------------------------------------------------------------------- */

static int write_to_server(struct fuse_job *j, struct fuse_map *m, uint64_t offset, const uint8_t *data, uint32_t size)
{
	struct fuse_write_in in = { .fh = m->h->fh, .offset = offset, .size = size, .write_flags = FUSE_WRITE_CACHE, .flags = m->h->open_flags };
	struct fuse_write_out out = { 0 };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_WRITE, m->node->nodeid);
	fuse_req_arg(&r, &in, j->c->can.minor < 9 ? FUSE_COMPAT_WRITE_IN_SIZE : sizeof in);
	fuse_req_arg(&r, data, size);
	fuse_req_reply(&r, &out, sizeof out);
	err = fuse_call(j, &r);
	return err ? err : out.size == size ? 0 : -EIO;
}

/* Pages of one piece that are not what the server has: each run of them by one WRITE. */
static int sync_piece(struct fuse_job *j, struct fuse_map *m, uint64_t offset, const uint8_t *data, uint32_t len, bool *wrote)
{
	const uint32_t most = j->c->can.max_write < PAGE ? PAGE : j->c->can.max_write & ~(PAGE - 1);
	int err = 0;

	for (uint32_t at = 0; at < len && !err;) {
		uint32_t end = at;

		while (end < len && end - at < most) {
			const uint32_t n = len - end < PAGE ? len - end : PAGE;

			if (is_clean(m, (offset + end) / PAGE, data + end, n))
				break;
			end += n;
		}
		if (end == at) {
			at += PAGE;
			continue;
		}
		err = write_to_server(j, m, offset + at, data + at, end - at);
		for (uint32_t i = at; !err && i < end; i += PAGE)
			m->sums[(offset + i) / PAGE] = sum_of(data + i, end - i < PAGE ? end - i : PAGE);
		*wrote |= !err;
		at = end;
	}
	return err;
}

/* Where the next page begins that can be another than the server's: a hole is, if the server has something there (MADV_REMOVE). */
static uint64_t skip_hole(const struct fuse_map *m, uint64_t offset)
{
	long data = raw_syscall(__NR_lseek, m->fd, offset, 3 /* SEEK_DATA */);
	const uint64_t at = data == -ENXIO ? m->size : (data < 0 ? offset : (uint64_t)data) & ~(uint64_t)(PAGE - 1);

	for (uint64_t i = offset / PAGE; i * PAGE < at && i < m->npages; i++)
		if (m->sums[i])
			return i * PAGE;
	return at;
}

/* The node's lock is held. */
static int sync_range(struct fuse_job *j, struct fuse_map *m, uint64_t offset, uint64_t end)
{
	uint8_t *buf = heap_alloc(PIECE);
	bool wrote = false;
	int err = buf ? 0 : -ENOMEM;

	if (end > m->size)
		end = m->size;
	for (uint64_t at = skip_hole(m, offset & ~(uint64_t)(PAGE - 1)); !err && at < end; at = skip_hole(m, at + PIECE)) {
		const uint64_t left = ((end - at) + PAGE - 1) & ~(uint64_t)(PAGE - 1);
		long n = raw_syscall(__NR_pread64, m->fd, buf, left < PIECE ? left : PIECE, at);

		if (n <= 0)
			err = n ? (int)n : 0;
		else
			err = sync_piece(j, m, at, buf, (uint32_t)n, &wrote);
		if (n < (long)PIECE)
			break;
	}
	heap_free(buf);
	if (wrote)
		fuse_node_changed(j->c, m->node);
	return err;
}

static int sync_locked(struct fuse_job *j, struct fuse_map *m)
{
	int err = sync_range(j, m, 0, m->size);

	m->synced = fuse_now();
	if (!err)
		err = m->error;
	m->error = 0;
	return err;
}

int fuse_map_sync_range(struct fuse_job *j, struct fuse_node *n, uint64_t offset, uint64_t len)
{
	return n->map && len ? sync_range(j, n->map, offset, offset + len) : 0;
}

int fuse_map_sync(struct fuse_job *j, struct fuse_node *n)
{
	int err = 0;

	if (!n->map)
		return 0;
	fuse_mutex_lock(j, &n->lock);
	if (n->map)
		err = sync_locked(j, n->map);
	fuse_mutex_unlock(&n->lock);
	return err;
}

/* ---- beginning and end ----------------------------------------------------------------------------------- */

static void maps_count(struct fuse_conn *c, int more)
{
	c->nmaps += (uint32_t)more;
	__atomic_store_n(&c->shm->nmaps, c->nmaps, __ATOMIC_RELEASE);
}

static void map_free(struct fuse_job *j, struct fuse_map *m)
{
	struct fuse_conn *c = j->c;
	struct fuse_map **p = &c->maps;

	while (*p && *p != m)
		p = &(*p)->next;
	if (*p) {
		*p = m->next;
		maps_count(c, -1);
	}
	m->node->map = NULL;
	fd_give_up(m->fd);
	fuse_handle_put(j, m->h);
	fuse_node_unpin(c, m->node);
	heap_free(m->sums);
	heap_free(m);
}

/* Nobody maps it any more.  Its node's lock is held. */
static void map_end(struct fuse_job *j, struct fuse_map *m)
{
	int err = sync_locked(j, m);

	if (err)
		agent_log("what was stored in a mapped file could not be written: error %d", -err);
	map_free(j, m);
}

/* Nobody maps it, and from now on nobody can. */
static bool is_unmapped(const struct fuse_map *m)
{
	return !raw_syscall(__NR_fcntl, m->fd, F_ADD_SEALS, F_SEAL_WRITE);
}

/* Its name is going to be removed: what nobody maps any more does not keep it open at the server.  Its lock is held. */
void fuse_map_reap(struct fuse_job *j, struct fuse_node *n)
{
	struct fuse_map *m = n->map;
	struct fuse_handle *h;

	if (!m || !is_unmapped(m))
		return;
	h = m->h;
	h->users++;
	map_end(j, m);
	if (h->users > 1 || !h->dead) {
		fuse_handle_put(j, h);
		return;
	}
	h->users--;
	fuse_handle_finish(j, h);
}

static int memory_file(const char *name)
{
	return fd_keep(fd_memory(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

/* The lock of h's node is held; name is shown in /proc/PID/maps. */
static int map_make(struct fuse_job *j, struct fuse_handle *h, const char *name)
{
	struct fuse_node *n = h->node;
	struct stat st = { 0 };
	struct fuse_map *m;
	int err = fuse_getattr(j, n, h, true);

	if (!err && (n->attr.size > LARGEST || j->c->nmaps >= MAPS_MOST))
		err = n->attr.size > LARGEST ? -EFBIG : -ENFILE;
	m = err ? NULL : heap_alloc(sizeof *m);
	if (!m)
		return err ? err : -ENOMEM;
	*m = (struct fuse_map){ .node = fuse_node_pin(n), .h = h, .fd = memory_file(name), .size = n->attr.size, .synced = fuse_now(), .looked = fuse_now() };
	h->users++;
	if (m->fd < 0) {
		err = m->fd;
		fuse_handle_put(j, h);
		fuse_node_unpin(j->c, n);
		heap_free(m);
		return err;
	}
	err = (int)raw_syscall(__NR_fstat, m->fd, &st);
	m->ino = st.st_ino;
	if (!err)
		err = sums_resize(m, m->size);
	if (!err)
		err = (int)raw_syscall(__NR_ftruncate, m->fd, m->size);
	if (!err)
		err = load(j, m, 0, m->size);
	if (err) {
		map_free(j, m);
		return err;
	}
	m->next = j->c->maps;
	j->c->maps = m;
	maps_count(j->c, 1);
	n->map = m;
	fuse_pages_forget(j->c, n);	/* none but this from now on */
	return 0;
}

static struct fuse_map *looked_before(struct fuse_conn *c, uint64_t time)
{
	struct fuse_map *m = c->maps;

	while (m && (m->looked >= time || (m->promised + PROMISED > time && c->nmaps < MAPS_MOST)))
		m = m->next;
	return m;
}

/* `work` with m, if it is not over when its node's lock is had.  What that says. */
static int with_map(struct fuse_job *j, struct fuse_map *m, int (*work)(struct fuse_job *j, struct fuse_map *m))
{
	struct fuse_node *n = fuse_node_pin(m->node);
	int err = 0;

	fuse_mutex_lock(j, &n->lock);
	if (n->map == m)
		err = work(j, m);
	fuse_mutex_unlock(&n->lock);
	fuse_node_unpin(j->c, n);
	return err;
}

static int end_unmapped(struct fuse_job *j, struct fuse_map *m)
{
	if (is_unmapped(m))
		map_end(j, m);
	return 0;
}

/* Room for another one: those that nobody maps any more end now, not within a second. */
static void end_some(struct fuse_job *j)
{
	const uint64_t now = fuse_now();
	struct fuse_map *m;

	while (j->c->nmaps >= MAPS_MANY && (m = looked_before(j->c, now))) {
		m->looked = now;
		with_map(j, m, end_unmapped);
	}
}

int fuse_op_map(struct fuse_job *j)
{
	struct fuse_handle *h;
	char name[250];
	int err = fuse_io_begin(j, &h, O_ACCMODE);

	if (err)
		return err;
	memcpy(name, j->shm->data, sizeof name - 1);
	name[sizeof name - 1] = 0;
	if (!fuse_node_is(h->node, S_IFREG) || h->fopen & FOPEN_DIRECT_IO)
		err = -ENODEV;
	else if ((h->open_flags & O_ACCMODE) != O_RDWR)
		err = -EACCES;
	if (!err) {
		end_some(j);
		fuse_mutex_lock(j, &h->node->lock);
		if (!h->node->map)
			err = map_make(j, h, name);
		if (!err) {
			h->node->map->promised = h->node->map->looked = fuse_now();
			j->rep.offset = (uint64_t)process.pid;
			j->rep.size = (uint64_t)h->node->map->fd;
			j->rep.node = h->node->map->ino;
		}
		fuse_mutex_unlock(&h->node->lock);
	}
	fuse_handle_put(j, h);
	return err;
}

static struct fuse_map *synced_before(struct fuse_conn *c, uint64_t time)
{
	struct fuse_map *m = c->maps;

	while (m && m->synced >= time)
		m = m->next;
	return m;
}

static int sync_all(struct fuse_job *j)
{
	const uint64_t now = fuse_now();
	struct fuse_map *m;
	int err = 0;

	while ((m = synced_before(j->c, now))) {
		int r = with_map(j, m, sync_locked);

		err = err ? err : r;
	}
	return err;
}

/* msync(2): what has been stored in the file of that node; 0: in all. */
int fuse_op_msync(struct fuse_job *j)
{
	struct fuse_node *n = j->req.base ? fuse_node_find(j->c, j->req.base) : NULL;
	int err;

	if (!n)
		return j->req.base ? 0 : sync_all(j);
	fuse_node_pin(n);
	err = fuse_map_sync(j, n);
	fuse_node_unpin(j->c, n);
	return err;
}

/* ---- what others do to the file: its lock is held, and that part of it was synchronised before ---------------------------------------------------------- */

uint32_t fuse_map_read(const struct fuse_node *n, uint64_t offset, uint8_t *to, uint32_t size)
{
	long got = raw_syscall(__NR_pread64, n->map->fd, to, size, offset);

	return got > 0 ? (uint32_t)got : 0;
}

void fuse_map_wrote(struct fuse_node *n, uint64_t offset, const uint8_t *data, uint32_t size)
{
	struct fuse_map *m = n->map;
	const uint64_t end = offset + size, new_size = m && end < m->size ? m->size : end;

	if (!m || !size || sums_resize(m, new_size))
		return;
	for (uint64_t i = offset / PAGE; i * PAGE < end; i++)
		page_has(m, i, offset, data, size, new_size);
	clear_tail(m, new_size);
	raw_syscall(__NR_pwrite64, m->fd, data, size, offset);
	m->size = new_size;
}

void fuse_map_truncated(struct fuse_node *n, uint64_t size)
{
	struct fuse_map *m = n->map;
	const uint64_t before = m ? m->size : 0, cut = size < before ? size : before;

	if (!m || size == before || sums_resize(m, size))
		return;
	if (cut % PAGE)
		page_has(m, cut / PAGE, cut, NULL, 0, size);
	clear_tail(m, size);
	raw_syscall(__NR_ftruncate, m->fd, size);
	m->size = size;
	for (uint64_t i = (size + PAGE - 1) / PAGE; i < (before + PAGE - 1) / PAGE; i++)
		m->sums[i] = 0;
}

/* The server has changed that part by itself. */
int fuse_map_reload(struct fuse_job *j, struct fuse_node *n, uint64_t offset, uint64_t len)
{
	struct fuse_map *m = n->map;
	int err;

	if (!m)
		return 0;
	err = fuse_getattr(j, n, m->h, true);
	if (err)
		return err;
	fuse_map_truncated(n, n->attr.size);
	return len && offset < m->size ? load(j, m, offset, offset + len < m->size ? offset + len : m->size) : 0;
}

/* ---- from time to time ------------------------------------------------------------------------------------- */

static struct fuse_map *find_due(struct fuse_conn *c)
{
	for (struct fuse_map *m = c->maps; m; m = m->next)
		if (m->due)
			return m;
	return NULL;
}

/* The lock of its node is held: what is sealed now can only end, and nobody writes to the file meanwhile. */
static int look_after(struct fuse_job *j, struct fuse_map *m)
{
	int err;

	if (m->over || is_unmapped(m)) {
		map_end(j, m);
		return 0;
	}
	m->looked = fuse_now();
	err = m->looked >= m->synced + SYNC_EVERY ? sync_locked(j, m) : 0;
	if (err)
		m->error = err;
	return 0;
}

static int worker(struct fuse_job *j)
{
	struct fuse_map *m;

	while ((m = find_due(j->c))) {
		m->due = false;
		with_map(j, m, look_after);
	}
	j->c->map_worker = false;
	return 0;
}

void fuse_maps_sweep(struct fuse_conn *c, bool all)
{
	for (struct fuse_map *m = c->maps; m; m = m->next) {
		m->over = m->over || all;
		m->due = m->due || m->over || fuse_now() >= m->looked + LOOK_EVERY;
	}
	if (find_due(c) && !c->map_worker)
		c->map_worker = fuse_job_start(c, worker) == 0;
}
