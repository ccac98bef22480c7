/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File locks: who holds what, who waits for it, and whose owner is gone.
 *
 * The locks of a file hang on its node, and are ours to keep unless the server said in INIT that it wants to
 * be asked (fuse_ops_lock.c).  An owner is a process (fcntl) or an open file (flock, F_OFD_*).  Processes that
 * close a file say so and lose their locks on it; killed ones say nothing, so a lock is believed in only
 * as long as its owner lives: before it stands in somebody's way that is looked at, and while somebody waits
 * for it, again and again.  An open file lives as long as its carrier's lock on the world, a process
 * until it is a zombie, as with the kernel.
 *
 * Who waits is a job that sleeps in fuse_lock_wait(), on its own stack's entry in conn->lock_waits.
 */
#include <asm/poll.h>
#include <linux/fcntl.h>
#include "fuse_conn.h"

struct fuse_lock_wait {
	struct fuse_lock_wait *next;
	struct fuse_job *j;
	struct fuse_node *n;		/* pinned by the job's handle */
	const struct fuse_lock *want;
	int error;
	bool ready;			/* it has been told to look again */
	bool seen;			/* by the search for a deadlock */
};

/* ---- what is held ---------------------------------------------------------------------------------------- */

static bool overlap(const struct fuse_lock *a, const struct fuse_lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

static bool in_the_way(const struct fuse_lock *l, const struct fuse_lock *want)
{
	return l->owner != want->owner && l->kind == want->kind && overlap(l, want) &&
	       (l->type == F_WRLCK || want->type == F_WRLCK);
}

static void wake(struct fuse_conn *c, const struct fuse_node *n)
{
	for (struct fuse_lock_wait *w = c->lock_waits; w; w = w->next) {
		if (w->n != n || w->ready)
			continue;
		w->ready = true;
		fuse_job_ready(w->j);
	}
}

static void locks_count(struct fuse_conn *c, int more)
{
	c->nlocks += (uint32_t)more;
	if (!c->leaving)
		__atomic_store_n(&c->shm->nlocks, c->nlocks, __ATOMIC_RELEASE);
}

static void lock_remove(struct fuse_conn *c, struct fuse_lock **p)
{
	struct fuse_lock *l = *p;

	*p = l->next;
	locks_count(c, -1);
	heap_free(l);
}

static void lock_insert(struct fuse_conn *c, struct fuse_node *n, struct fuse_lock *l)
{
	struct fuse_lock **p = &n->locks;

	while (*p && (*p)->owner != l->owner)
		p = &(*p)->next;
	while (*p && (*p)->owner == l->owner && (*p)->start < l->start)
		p = &(*p)->next;
	l->next = *p;
	*p = l;
	locks_count(c, 1);
}

/* Takes the bytes of `out` from *p; *spare becomes the second half if there are two. */
static void lock_cut(struct fuse_conn *c, struct fuse_lock **p, const struct fuse_lock *out, struct fuse_lock **spare)
{
	struct fuse_lock *l = *p, *rest = *spare;

	if (l->start < out->start && l->end > out->end) {
		*spare = NULL;
		*rest = *l;
		rest->start = out->end + 1;
		l->end = out->start - 1;
		rest->next = l->next;
		l->next = rest;
		locks_count(c, 1);
	} else if (l->start < out->start) {
		l->end = out->start - 1;
	} else if (l->end > out->end) {
		l->start = out->end + 1;
	} else {
		lock_remove(c, p);
	}
}

int fuse_lock_set(struct fuse_conn *c, struct fuse_node *n, const struct fuse_lock *want)
{
	struct fuse_lock *mine = heap_alloc(sizeof *mine), *spare = heap_alloc(sizeof *spare);

	if (!mine || !spare) {
		heap_free(mine);
		heap_free(spare);
		return -ENOLCK;
	}
	*mine = *want;
	for (struct fuse_lock **p = &n->locks; *p; ) {
		struct fuse_lock *l = *p;

		if (l->owner != want->owner || l->kind != want->kind) {
			p = &l->next;
		} else if (l->type == want->type && l->start <= mine->end + 1 && mine->start <= l->end + 1) {
			mine->start = l->start < mine->start ? l->start : mine->start;
			mine->end = l->end > mine->end ? l->end : mine->end;
			lock_remove(c, p);
		} else {
			if (overlap(l, want))
				lock_cut(c, p, want, &spare);
			if (*p == l)
				p = &l->next;
		}
	}
	if (want->type == F_UNLCK)
		heap_free(mine);
	else
		lock_insert(c, n, mine);
	heap_free(spare);
	wake(c, n);
	return 0;
}

void fuse_locks_drop(struct fuse_conn *c, struct fuse_node *n, uint64_t owner)
{
	for (struct fuse_lock **p = &n->locks; *p; ) {
		if ((*p)->owner == owner)
			lock_remove(c, p);
		else
			p = &(*p)->next;
	}
	wake(c, n);
}

void fuse_locks_forget(struct fuse_conn *c, const struct fuse_handle *h)
{
	for (struct fuse_lock **p = &h->node->locks; *p; ) {
		if ((*p)->handle == h->number)
			lock_remove(c, p);
		else
			p = &(*p)->next;
	}
	wake(c, h->node);
}

void fuse_locks_release(struct fuse_job *j, struct fuse_handle *h)
{
	struct fuse_lock *l;

	do {
		for (l = h->node->locks; l; l = l->next)
			if (l->handle == h->number && l->kind == LOCK_THEIRS)
				break;
		if (l) {
			uint64_t owner = l->owner;

			fuse_locks_drop(j->c, h->node, owner);
			fuse_unlock_at_server(j, h, owner);
		}
	} while (l);
}

uint64_t fuse_lock_owner(const struct fuse_job *j, const struct fuse_handle *h)
{
	return j->req.tgid ? FUSE_OWNER_PROCESS | j->req.tgid : FUSE_OWNER_FILE | h->number;
}

/* ---- whose owner is gone ---------------------------------------------------------------------------------- */

/* All its threads have ended, whether or not its parent has looked. */
static bool process_over(uint32_t tgid)
{
	long fd = raw_syscall(__NR_pidfd_open, tgid, 0), r;
	struct pollfd p = { .fd = (int)fd, .events = POLLIN };

	if (fd < 0)
		return fd == -ESRCH;
	r = raw_syscall(__NR_poll, &p, 1, 0);
	raw_syscall(__NR_close, fd);
	return r > 0;
}

/* A process that lives and whose lock's file is closed has not told us that: exec does not name all. */
static bool owner_over(struct fuse_conn *c, const struct fuse_lock *l)
{
	if ((l->owner & FUSE_OWNER_PROCESS) && process_over((uint32_t)l->owner))
		return true;
	return fuse_handle_over(c, l->handle);
}

const struct fuse_lock *fuse_lock_conflict(struct fuse_conn *c, struct fuse_node *n, const struct fuse_lock *want)
{
	const struct fuse_lock *l = n->locks;

	while (l && !in_the_way(l, want))
		l = l->next;
	if (!l || !owner_over(c, l))
		return l;
	fuse_locks_drop(c, n, l->owner);
	return fuse_lock_conflict(c, n, want);
}

/* A process's lock that outlived it, and the file it was set through.  The same process is asked for once. */
static struct fuse_lock *find_orphan(struct fuse_conn *c, struct fuse_handle **out)
{
	uint64_t lives = 0;

	for (unsigned k = 0; k < FUSE_HANDLES; k++) {
		for (struct fuse_handle *h = c->handles[k]; h; h = h->chain) {
			for (struct fuse_lock *l = h->node->locks; l && !h->dead; l = l->next) {
				if (l->handle != h->number || !(l->owner & FUSE_OWNER_PROCESS) || l->owner == lives)
					continue;
				lives = l->owner;
				*out = h;
				if (process_over((uint32_t)l->owner))
					return l;
			}
		}
	}
	return NULL;
}

static int reaper(struct fuse_job *j)
{
	struct fuse_handle *h;
	struct fuse_lock *l;

	while ((l = find_orphan(j->c, &h))) {
		uint64_t owner = l->owner;
		bool theirs = l->kind == LOCK_THEIRS;

		h->users++;
		fuse_locks_drop(j->c, h->node, owner);
		if (theirs)
			fuse_unlock_at_server(j, h, owner);
		fuse_handle_put(j, h);
	}
	j->c->lock_reaper = false;
	return 0;
}

static void give_up(struct fuse_lock_wait *w, int error)
{
	w->error = error;
	if (!w->ready)
		fuse_job_ready(w->j);
	w->ready = true;
}

void fuse_locks_sweep(struct fuse_conn *c)
{
	struct fuse_handle *h;

	for (struct fuse_lock_wait *w = c->lock_waits; w; w = w->next) {
		if (process_over(w->j->req.tgid))
			give_up(w, -EINTR);
		else if (!w->ready && !fuse_lock_conflict(c, w->n, w->want))
			wake(c, w->n);
	}
	if (c->nlocks && !c->lock_reaper && find_orphan(c, &h))
		c->lock_reaper = fuse_job_start(c, reaper) == 0;
}

/* ---- waiting ---------------------------------------------------------------------------------------------- */

static bool signalled(const struct fuse_lock_wait *w)
{
	return w->j->shm && !w->error && __atomic_load_n(&w->j->shm->interrupt, __ATOMIC_ACQUIRE);
}

bool fuse_locks_interrupted(const struct fuse_conn *c)
{
	for (const struct fuse_lock_wait *w = c->lock_waits; w; w = w->next)
		if (signalled(w))
			return true;
	return false;
}

void fuse_locks_interrupt(struct fuse_conn *c)
{
	for (struct fuse_lock_wait *w = c->lock_waits; w; w = w->next)
		if (signalled(w))
			give_up(w, -EINTR);
}

void fuse_locks_end(struct fuse_conn *c)
{
	for (struct fuse_lock_wait *w = c->lock_waits; w; w = w->next)
		give_up(w, -ENOTCONN);
}

/* Does anybody whom `want` would have to wait for wait for `me`, directly or not? */
static bool leads_to(struct fuse_conn *c, const struct fuse_node *n, const struct fuse_lock *want, uint64_t me,
		     int depth)
{
	for (const struct fuse_lock *l = n->locks; l; l = l->next) {
		if (!in_the_way(l, want) || !(l->owner & FUSE_OWNER_PROCESS))
			continue;
		if (l->owner == me)
			return true;
		for (struct fuse_lock_wait *w = c->lock_waits; w && depth; w = w->next) {
			if (w->want->owner != l->owner || w->seen)
				continue;
			w->seen = true;
			if (leads_to(c, w->n, w->want, me, depth - 1))
				return true;
		}
	}
	return false;
}

/* Only processes can be found waiting for each other: an open file is nobody's in particular. */
static bool deadlock(struct fuse_conn *c, const struct fuse_node *n, const struct fuse_lock *want)
{
	if (!(want->owner & FUSE_OWNER_PROCESS))
		return false;
	for (struct fuse_lock_wait *w = c->lock_waits; w; w = w->next)
		w->seen = false;
	return leads_to(c, n, want, want->owner, 20);
}

static void wait_add(struct fuse_conn *c, struct fuse_lock_wait *w)
{
	struct fuse_lock_wait **p = &c->lock_waits;

	while (*p)
		p = &(*p)->next;
	*p = w;
}

static void wait_remove(struct fuse_conn *c, struct fuse_lock_wait *w)
{
	struct fuse_lock_wait **p = &c->lock_waits;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
}

int fuse_lock_wait(struct fuse_job *j, struct fuse_node *n, const struct fuse_lock *want, bool wait)
{
	struct fuse_lock_wait w = { .j = j, .n = n, .want = want };
	struct fuse_conn *c = j->c;
	bool listed = false;

	while (!w.error && fuse_lock_conflict(c, n, want)) {
		if (!wait)
			w.error = -EAGAIN;
		else if (deadlock(c, n, want))
			w.error = -EDEADLK;
		if (w.error)
			break;
		if (!listed)
			wait_add(c, &w);
		listed = true;
		w.ready = false;
		while (!w.ready)
			co_yield(&j->co);
	}
	if (listed)
		wait_remove(c, &w);
	return w.error;
}
