/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs: a guest's request taken from its slot, run as a coroutine, answered.
 *
 * A job begins when a server's thread finds the slot's bit in posted[], and runs whenever a reply it
 * waits for has come; the thread that brings the reply runs it.  It answers its slot exactly once.  Our own
 * work (INIT, releasing files whose owner died) are jobs without a slot.
 */
#include "fuse_conn.h"

#define WORDS	(UM_SLOTS / 64)

uint64_t fuse_now(void)
{
	struct timespec64 ts = { 0, 0 };

	raw_syscall(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &ts);
	return (uint64_t)ts.tv_sec * FUSE_NSEC + (uint64_t)ts.tv_nsec;
}

/* ---- answering ------------------------------------------------------------------------------------- */

/* A slot whose owner was killed may have a new one by now: then there is nobody to tell. */
static void slot_done(struct um_slot *s)
{
	uint32_t taken = UM_SLOT_TAKEN;

	if (__atomic_compare_exchange_n(&s->state, &taken, UM_SLOT_DONE, false,
					__ATOMIC_RELEASE, __ATOMIC_RELAXED))
		futex_wake(&s->state, 1);
}

static void slot_refuse(struct um_slot *s, int error)
{
	struct um_reply rep = { .error = error };

	s->rep = rep;
	slot_done(s);
}

void fuse_job_answer(struct fuse_job *j)
{
	struct um_slot *s = j->shm;

	j->shm = NULL;
	s->rep = j->rep;
	slot_done(s);
}

/* ---- running --------------------------------------------------------------------------------------- */

static void job_main(struct co *co)
{
	struct fuse_job *j = fuse_job_of(co);
	int r;

	if (j->own) {
		j->own(j);
		return;
	}
	r = fuse_op(j);
	if (j->shm) {
		j->rep.error = r < 0 ? r : 0;
		fuse_job_answer(j);
	}
	if (j->req.closed)
		fuse_closed_later(j);
}

static struct fuse_job *job_new(struct fuse_conn *c)
{
	struct fuse_job *j = fuse_job_of(co_new(&c->pool, sizeof *j));

	if (!j)
		return NULL;
	j->co.run = job_main;
	j->c = c;
	j->now = fuse_now();
	j->next = c->jobs;
	if (j->next)
		j->next->prev = j;
	c->jobs = j;
	c->njobs++;
	return j;
}

static void job_end(struct fuse_job *j)
{
	struct fuse_conn *c = j->c;

	if (j->prev)
		j->prev->next = j->next;
	else
		c->jobs = j->next;
	if (j->next)
		j->next->prev = j->prev;
	c->njobs--;
	co_free(&c->pool, &j->co);
}

static void job_run(struct fuse_job *j)
{
	co_resume(&j->co);
	if (j->co.done)
		job_end(j);
}

static void ready_add(struct fuse_conn *c, struct fuse_job *j)
{
	j->wait = NULL;
	if (c->ready)
		c->ready_last->wait = j;
	else
		c->ready = j;
	c->ready_last = j;
}

void fuse_job_ready(struct fuse_job *j)
{
	ready_add(j->c, j);
}

void fuse_run_ready(struct fuse_conn *c)
{
	while (c->ready) {
		struct fuse_job *j = c->ready;
		c->ready = j->wait;
		job_run(j);
	}
}

void fuse_job_continue(struct fuse_job *j)
{
	struct fuse_conn *c = j->c;

	job_run(j);
	fuse_run_ready(c);
}

int fuse_job_start(struct fuse_conn *c, int (*own)(struct fuse_job *))
{
	struct fuse_job *j = job_new(c);

	if (!j)
		return -ENOMEM;
	j->own = own;
	ready_add(c, j);
	return 0;
}

/* ---- slots ----------------------------------------------------------------------------------------- */

/* The lowest posted slot, made ours; -1 if there is none. */
static int slot_take(struct fuse_conn *c)
{
	for (unsigned i = 0; i < WORDS; i++) {
		unsigned k = (c->next_word + i) % WORDS;
		uint64_t w = __atomic_load_n(&c->shm->posted[k], __ATOMIC_ACQUIRE);

		for (; w; w &= w - 1) {
			uint32_t posted = UM_SLOT_POSTED;
			uint64_t bit = w & -w;
			unsigned slot = k * 64 + (unsigned)__builtin_ctzll(w);

			if (!(__atomic_fetch_and(&c->shm->posted[k], ~bit, __ATOMIC_ACQ_REL) & bit))
				continue;
			if (!__atomic_compare_exchange_n(&fuse_slot(c, slot)->state, &posted, UM_SLOT_TAKEN,
							 false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
				continue;
			c->next_word = k + 1;
			return (int)slot;
		}
	}
	return -1;
}

bool fuse_take_slot(struct fuse_conn *c)
{
	int slot = slot_take(c);
	struct fuse_job *j;

	if (slot < 0)
		return false;
	j = job_new(c);
	if (!j) {
		slot_refuse(fuse_slot(c, (unsigned)slot), -ENOMEM);
		return true;
	}
	j->shm = fuse_slot(c, (unsigned)slot);
	memcpy(&j->req, &j->shm->req, sizeof j->req);
	fuse_job_continue(j);
	return true;
}

void fuse_refuse_slots(struct fuse_conn *c, int error)
{
	int slot;

	while ((slot = slot_take(c)) >= 0)
		slot_refuse(fuse_slot(c, (unsigned)slot), error);
}
