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
#include "../../wire/pages.h"

struct fuse_handle *fuse_handle_add(struct fuse_conn *c, struct fuse_node *n, uint32_t number)
{
	struct fuse_handle *h = heap_alloc(sizeof *h), **chain;

	if (!h)
		return NULL;
	h->number = number;
	h->node = fuse_node_pin(n);
	n->nopen++;
	h->is_dir = fuse_node_is(n, S_IFDIR);
	chain = &c->handles[number % FUSE_HANDLES];
	h->chain = *chain;
	*chain = h;
	__atomic_store_n(&c->shm->nhandles, ++c->nhandles, __ATOMIC_RELAXED);
	return h;
}

struct fuse_handle *fuse_handle_new(struct fuse_job *j, struct fuse_node *n)
{
	struct fuse_conn *c = j->c;
	struct fuse_handle *h;

	c->last_handle = (c->last_handle + 1) & ~UM_HANDLE_CLIENT;
	if (c->last_handle == UM_NO_HANDLE)
		c->last_handle++;
	h = fuse_handle_add(c, n, c->last_handle);
	if (!h)
		return NULL;
	h->users = 1;
	h->opening = true;
	h->open_flags = j->req.open_flags & ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC);
	h->open_flags |= O_LARGEFILE;
	h->opener = j->req.pid;
	return h;
}

/* Dead or alive. */
static struct fuse_handle *handle_by_number(struct fuse_conn *c, uint32_t number)
{
	struct fuse_handle *h = c->handles[number % FUSE_HANDLES];

	while (h && h->number != number)
		h = h->chain;
	if (!h)
		return fuse_client_handle(c, number);
	return h->opening ? NULL : h;
}

struct fuse_handle *fuse_handle_find(struct fuse_conn *c, uint32_t number)
{
	struct fuse_handle *h = handle_by_number(c, number);

	return h && !h->dead ? h : NULL;
}

bool fuse_handle_on(const struct fuse_conn *c, uint64_t nodeid)
{
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		for (const struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			if (h->node->nodeid == nodeid)
				return true;
	return false;
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
	c->nhandles--;
	if (!c->leaving)
		__atomic_store_n(&c->shm->nhandles, c->nhandles, __ATOMIC_RELAXED);
	fuse_offset_unshare(c, h);
	fuse_locks_forget(c, h);
	fuse_shadow_closed(c, h);
	fuse_dir_put(c, h->dir);
	if (!--h->node->nopen)
		fuse_node_closed(c, h->node);
	fuse_node_unpin(c, h->node);
	heap_free(h);
}

/* ---- the last close ----------------------------------------------------------------------------------- */

void fuse_handle_finish(struct fuse_job *j, struct fuse_handle *h)
{
	fuse_mutex_lock(j, &h->lock);
	if (!h->flushed)
		h->flush_error = fuse_flush(j, h);
	h->flushed = true;
	fuse_mutex_unlock(&h->lock);
	h->ending = false;
	if (!h->users)		/* else who waits for that (fuse_handle_finished) gives it to the janitor */
		fuse_release(j, h);
}

int fuse_handle_finished(struct fuse_job *j)
{
	struct fuse_handle *h = handle_by_number(j->c, j->req.handle);
	int err;

	if (!h || h->leaving)
		return 0;
	h->users++;
	fuse_mutex_lock(j, &h->lock);
	err = h->flushed ? h->flush_error : fuse_flush(j, h);
	fuse_mutex_unlock(&h->lock);
	fuse_handle_put(j, h);
	return err;
}

static int janitor(struct fuse_job *j)
{
	struct fuse_conn *c = j->c;

	while (c->dead) {
		struct fuse_handle *h = c->dead;

		c->dead = h->dead_next;
		fuse_handle_finish(j, h);
	}
	c->janitor = false;
	return 0;
}

/* Nobody uses it and nobody can: has it released by a job of our own, once. */
static void to_janitor(struct fuse_conn *c, struct fuse_handle *h)
{
	if (h->ending)
		return;
	h->ending = true;
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
	return carrier_is_open(c->server, h->number);
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
	return h->mature || fuse_offset_closed(h) || !opener_lives(h);
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
	fuse_maps_sweep(c, all);
	fuse_locks_sweep(c);
	fuse_shadow_sweep(c);
	fuse_run_ready(c);
}

/* A guest has closed a file that it only read, and says so with its next request. */
void fuse_closed_later(struct fuse_job *j)
{
	struct fuse_handle *h = fuse_handle_find(j->c, j->req.closed);

	if (!h)
		return;
	if (handle_is_over(j->c, h))
		fuse_handle_dead(j->c, h);
}

static struct fuse_handle *find_over(struct fuse_conn *c, const struct fuse_node *n)
{
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		for (struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			if (h->node == n && !h->dead && !h->users && handle_is_over(c, h))
				return h;
	return NULL;
}

static struct fuse_handle *find_lazy(struct fuse_conn *c, const struct fuse_node *n)
{
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		for (struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			if (h->node == n && h->lazy && !h->dead)
				return h;
	return NULL;
}

/* One that cannot be opened has lost its file: it stays lazy, and says so. */
void fuse_handles_open(struct fuse_job *j, struct fuse_node *n)
{
	struct fuse_handle *h;
	int err = 0;

	while (!err && n->nopen && (h = find_lazy(j->c, n))) {
		h->users++;
		err = fuse_late_open(j, h);
		fuse_handle_put(j, h);
	}
}

static bool is_releasing(const struct fuse_conn *c, const struct fuse_node *n)
{
	for (unsigned k = 0; k < FUSE_HANDLES; k++)
		for (const struct fuse_handle *h = c->handles[k]; h; h = h->chain)
			if (h->node == n && h->releasing)
				return true;
	return false;
}

/* Closes that nobody waits for (UM_CLOSED_QUIET) and that have not been taken yet: they came before what is done now. */
static void see_closes(struct fuse_conn *c)
{
	for (unsigned k = 0; k < UM_SLOTS; k++) {
		const struct um_slot *s = fuse_slot(c, k);
		struct fuse_handle *h = NULL;

		if (__atomic_load_n(&c->shm->posted[k / 64], __ATOMIC_ACQUIRE) >> k % 64 & 1 && s->req.op == UM_OP_CLOSED)
			h = fuse_handle_find(c, s->req.handle);
		if (h)
			h->mature = true;
	}
}

/* A server with several threads may still work on a release that was sent before: wait for those, too. */
void fuse_handles_reap(struct fuse_job *j, struct fuse_node *n)
{
	struct fuse_handle *h;

	fuse_clients_know(j->c, n);
	if (n->nopen)
		see_closes(j->c);
	fuse_map_reap(j, n);
	while (n->nopen && (h = find_over(j->c, n))) {
		h->dead = h->ending = true;
		fuse_handle_finish(j, h);
	}
	while (n->nopen && is_releasing(j->c, n)) {
		fuse_mutex_lock(j, &n->release);
		fuse_mutex_unlock(&n->release);
	}
}

/* ---- telling the server --------------------------------------------------------------------------------- */

bool fuse_needs_flush(const struct fuse_conn *c, const struct fuse_handle *h)
{
	return !h->is_dir && !h->lazy && !(h->open_flags & O_PATH) && !(h->fopen & FOPEN_NOFLUSH) && !c->can.no_flush;
}

int fuse_flush(struct fuse_job *j, struct fuse_handle *h)
{
	struct fuse_flush_in in = { .fh = h->fh, .lock_owner = fuse_lock_owner(j, h) };
	int r;

	if (!fuse_needs_flush(j->c, h))
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

	h->leaving = true;
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
