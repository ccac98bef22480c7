/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Open files: their numbers, and how the last close is seen.
 *
 * A guest's descriptor is a carrier, an open file description of the world file that holds an OFD lock at
 * UM_LOCK(server, handle).  When a guest has closed a descriptor it says so (UM_OP_CLOSED) and we test the
 * lock: is it gone, that was the last one, and the file is released.  A guest killed by SIGKILL says
 * nothing: so while files are open a reader of the device wakes up once a second and tests them all.
 *
 * A handle is made before its carrier can be locked.  Until the lock was seen once, or the guest has closed
 * it, a missing lock means nothing as long as the thread that opened it lives.
 *
 * Before a name is removed, the files open there are tested too: libfuse would hide a file that nobody has
 * open any more instead of removing it, and its directory could not be removed.
 */
#include <linux/stat.h>
#include "fuse_conn.h"

struct fuse_handle *fuse_handle_new(struct fuse_job *j, struct fuse_node *n)
{
	struct fuse_conn *c = j->c;
	struct fuse_handle *h = heap_alloc(sizeof *h), **chain;

	if (!h)
		return NULL;
	do
		c->last_handle++;
	while (c->last_handle == UM_NO_HANDLE || c->last_handle == UM_HANDLE_DEVICE);
	h->number = c->last_handle;
	h->users = 1;
	h->opening = true;
	h->node = fuse_node_pin(n);
	n->nopen++;
	h->is_dir = fuse_node_is(n, S_IFDIR);
	h->open_flags = j->req.open_flags & ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	h->open_flags |= O_LARGEFILE;
	h->opener = j->req.pid;
	chain = &c->handles[h->number % FUSE_HANDLES];
	h->chain = *chain;
	*chain = h;
	__atomic_store_n(&c->shm->nhandles, ++c->nhandles, __ATOMIC_RELAXED);
	return h;
}

struct fuse_handle *fuse_handle_find(struct fuse_conn *c, uint32_t number)
{
	struct fuse_handle *h = c->handles[number % FUSE_HANDLES];

	while (h && h->number != number)
		h = h->chain;
	return h && !h->dead && !h->opening ? h : NULL;
}

struct fuse_handle *fuse_handle_get(struct fuse_job *j)
{
	struct fuse_handle *h = fuse_handle_find(j->c, j->req.handle);

	if (h)
		h->users++;
	return h;
}

struct fuse_node *fuse_handle_node(struct fuse_conn *c, uint32_t number)
{
	struct fuse_handle *h = fuse_handle_find(c, number);

	return h ? h->node : NULL;
}

void fuse_handle_free(struct fuse_conn *c, struct fuse_handle *h)
{
	for (struct fuse_handle **p = &c->handles[h->number % FUSE_HANDLES]; *p; p = &(*p)->chain) {
		if (*p == h) {
			*p = h->chain;
			break;
		}
	}
	__atomic_store_n(&c->shm->nhandles, --c->nhandles, __ATOMIC_RELAXED);
	fuse_locks_forget(c, h);
	fuse_shadow_closed(c, h);
	h->node->nopen--;
	fuse_node_unpin(c, h->node);
	heap_free(h);
}

/* ---- the last close ----------------------------------------------------------------------------------- */

static int janitor(struct fuse_job *j)
{
	struct fuse_conn *c = j->c;

	while (c->dead) {
		struct fuse_handle *h = c->dead;

		c->dead = h->dead_next;
		fuse_flush(j, h);
		fuse_release(j, h);
	}
	c->janitor = false;
	return 0;
}

/* Nobody uses it and nobody can: has it released by a job of our own. */
static void to_janitor(struct fuse_conn *c, struct fuse_handle *h)
{
	h->dead_next = c->dead;
	c->dead = h;
	if (!c->janitor)
		c->janitor = fuse_job_start(c, janitor) == 0;
}

void fuse_handle_dead(struct fuse_conn *c, struct fuse_handle *h)
{
	if (h->dead)
		return;
	h->dead = true;
	if (!h->users)
		to_janitor(c, h);
}

void fuse_handle_put(struct fuse_job *j, struct fuse_handle *h)
{
	if (--h->users == 0 && h->dead)
		to_janitor(j->c, h);
}

bool fuse_handle_locked(const struct fuse_conn *c, const struct fuse_handle *h)
{
	struct flock lk = {
		.l_type = F_WRLCK, .l_whence = 0,
		.l_start = (__kernel_off_t)UM_LOCK(c->server, h->number), .l_len = 1,
	};

	/* An error would mean that the world is not what it must be: rather keep files open. */
	if (raw_syscall(__NR_fcntl, process.world_fd, F_OFD_GETLK, &lk))
		return true;
	return lk.l_type != F_UNLCK;
}

static bool opener_lives(const struct fuse_handle *h)
{
	return h->opener && raw_syscall(__NR_kill, h->opener, 0) != -ESRCH;
}

static bool handle_is_over(struct fuse_conn *c, struct fuse_handle *h)
{
	if (fuse_handle_locked(c, h)) {
		h->mature = true;
		return false;
	}
	return h->mature || !opener_lives(h);
}

bool fuse_handle_over(struct fuse_conn *c, uint32_t number)
{
	struct fuse_handle *h = fuse_handle_find(c, number);

	return !h || handle_is_over(c, h);
}

void fuse_handles_sweep(struct fuse_conn *c, bool all)
{
	c->swept = fuse_now();
	for (unsigned k = 0; k < FUSE_HANDLES && c->nhandles; k++)
		for (struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			if (!h->dead && (all || handle_is_over(c, h)))
				fuse_handle_dead(c, h);
	if (c->dead && !c->janitor)
		c->janitor = fuse_job_start(c, janitor) == 0;
	fuse_locks_sweep(c);
	fuse_shadow_sweep(c);
	fuse_run_ready(c);
}

static struct fuse_handle *find_over(struct fuse_conn *c, const struct fuse_node *n)
{
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		for (struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			if (h->node == n && !h->dead && !h->users && handle_is_over(c, h))
				return h;
	return NULL;
}

static bool is_releasing(const struct fuse_conn *c, const struct fuse_node *n)
{
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		for (const struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			if (h->node == n && h->releasing)
				return true;
	return false;
}

/* A server with several threads may still work on a release that was sent before: wait for those, too. */
void fuse_handles_reap(struct fuse_job *j, struct fuse_node *n)
{
	struct fuse_handle *h;

	while (n->nopen && (h = find_over(j->c, n))) {
		h->dead = true;
		fuse_flush(j, h);
		fuse_release(j, h);
	}
	while (n->nopen && is_releasing(j->c, n)) {
		fuse_mutex_lock(j, &n->release);
		fuse_mutex_unlock(&n->release);
	}
}

/* ---- telling the server --------------------------------------------------------------------------------- */

int fuse_flush(struct fuse_job *j, struct fuse_handle *h)
{
	struct fuse_flush_in in = { .fh = h->fh, .lock_owner = fuse_lock_owner(j, h) };
	int r;

	if (h->is_dir || (h->open_flags & O_PATH) || (h->fopen & FOPEN_NOFLUSH) || j->c->can.no_flush)
		return 0;
	if (h->node->bad)
		return -EIO;
	r = fuse_call_plain(j, FUSE_FLUSH, h->node->nodeid, &in, sizeof in);
	if (r == -ENOSYS) {
		j->c->can.no_flush = true;
		return 0;
	}
	return r;
}

/* The caller has marked it dead, and nobody uses it. */
void fuse_release(struct fuse_job *j, struct fuse_handle *h)
{
	struct fuse_release_in in = { .fh = h->fh, .flags = h->open_flags };

	fuse_locks_release(j, h);
	if (h->flocked) {
		in.release_flags = FUSE_RELEASE_FLOCK_UNLOCK;
		in.lock_owner = FUSE_OWNER_FILE | h->number;
	}
	if (!h->unopened) {
		h->releasing = true;
		fuse_mutex_lock(j, &h->node->release);
		fuse_call_plain(j, h->is_dir ? FUSE_RELEASEDIR : FUSE_RELEASE, h->node->nodeid,
				&in, sizeof in);
		h->releasing = false;
		fuse_mutex_unlock(&h->node->release);
	}
	fuse_handle_free(j->c, h);
}
