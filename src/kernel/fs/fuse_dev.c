/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtual /dev/fuse: what the server's read(2) and write(2) do.
 *
 * read() is where everything is set going.  It takes, in this order: an INTERRUPT that is due, a message
 * that waits in the queue, a request a guest has posted (which runs as a coroutine and usually leaves a
 * message in the queue), what a mount that ends still has to say, FORGETs.  If there is nothing, the thread
 * sleeps on the doorbell.  write() finds the request a reply belongs to and runs its coroutine on.
 *
 * The lock is held throughout, but while bytes are copied from or to the server's buffers
 * and while a thread sleeps.
 */
#include <linux/futex.h>
#include <linux/time_types.h>
#include "fuse_conn.h"
#include "../fd.h"
#include "../../agent/signal.h"

#define FORGETS_URGENT	512u		/* so many do not wait until there is nothing else to do */
#define FORGETS_AT_ONCE	64u
#define LOCKS_MS	50		/* while somebody waits for a lock, killed owners are looked for so often */

/* ---- the server's buffers ---------------------------------------------------------------------------------- */

struct vec {
	const struct iovec *v;
	int n;
	size_t at;		/* in v[0] */
};

static size_t vec_size(const struct iovec *v, int n)
{
	size_t size = 0;

	for (int i = 0; i < n; i++)
		size += v[i].iov_len;
	return size;
}

static int vec_copy(struct task *t, struct vec *v, void *own, size_t n, bool to_guest)
{
	while (n) {
		size_t part;
		gaddr at;
		int err;

		if (!v->n)
			return -EFAULT;
		part = v->v->iov_len - v->at;
		at = (gaddr)v->v->iov_base + v->at;
		if (!part) {
			v->v++, v->n--, v->at = 0;
			continue;
		}
		if (part > n)
			part = n;
		err = to_guest ? copy_to_guest(t, at, own, part) : copy_from_guest(t, own, at, part);
		if (err)
			return err;
		v->at += part;
		own = (char *)own + part;
		n -= part;
	}
	return 0;
}

static int vec_put(struct task *t, struct vec *v, const void *own, size_t n)
{
	return vec_copy(t, v, (void *)own, n, true);
}

/* ---- waking ------------------------------------------------------------------------------------------------ */

static void wake_reader(struct fuse_conn *c)
{
	if (!c->waiting)
		return;
	__atomic_fetch_add(&c->shm->doorbell, 1, __ATOMIC_SEQ_CST);
	futex_wake(&c->shm->doorbell, 1);
}

static uint32_t server_state(const struct fuse_conn *c)
{
	return __atomic_load_n(&c->shm->state, __ATOMIC_ACQUIRE);
}

static bool posted(const struct fuse_conn *c)
{
	uint64_t any = 0;

	if (c->init != INIT_DONE)
		return false;		/* they have to wait */
	for (unsigned k = 0; k < UM_SLOTS / 64; k++)
		any |= __atomic_load_n(&c->shm->posted[k], __ATOMIC_SEQ_CST);
	return any;
}

/* ---- sleeping ---------------------------------------------------------------------------------------------- */

static long bell_sleep(struct task *t, struct fuse_conn *c, uint32_t value, int timeout_ms)
{
	struct __kernel_timespec ts = { timeout_ms / 1000, timeout_ms % 1000 * 1000000l };
	long r = kernel_call(t, __NR_futex, &c->shm->doorbell, FUTEX_WAIT, value, timeout_ms < 0 ? NULL : &ts, 0, 0);

	if (r == -EINTR || r == -UM_ERESTART)
		return signal_restarts(t) ? -UM_ERESTART : -EINTR;
	return 0;
}

/* O_NONBLOCK may have been set later: the descriptor the guest used knows. */
static bool nonblocking(struct task *t, const struct file *f)
{
	int fd = (int)t->regs.rdi;
	long flags;

	if (!t->files || fd_peek(t, fd) != f)
		return f->open_flags & O_NONBLOCK;
	flags = raw_syscall(__NR_fcntl, fd, F_GETFL);
	return flags >= 0 && (flags & O_NONBLOCK);
}

/* Nothing to do.  0: look again; or -errno. */
static long wait_for_work(struct task *t, struct fuse_conn *c, struct file *f, uint32_t state)
{
	bool keeper = c->nhandles && !c->timekeeper;
	int timeout = c->lock_waits ? LOCKS_MS : keeper ? 1000 : c->nhandles ? 5000 : -1;
	uint32_t bell;
	long r = 0;

	if (nonblocking(t, f))
		return -EAGAIN;
	if (fuse_bell_misled(c))
		return -EINTR;
	c->waiting++;
	__atomic_fetch_add(&c->shm->sleepers, 1, __ATOMIC_SEQ_CST);
	bell = __atomic_load_n(&c->shm->doorbell, __ATOMIC_SEQ_CST);
	if (!posted(c) && !fuse_locks_interrupted(c) && server_state(c) == state) {
		c->timekeeper |= keeper;
		lock_release(&fuse_lock);
		r = bell_sleep(t, c, bell, timeout);
		lock_acquire(&fuse_lock);
		if (keeper)
			c->timekeeper = false;
	}
	__atomic_fetch_sub(&c->shm->sleepers, 1, __ATOMIC_SEQ_CST);
	c->waiting--;
	if (r < 0 && (c->queue || posted(c)))
		wake_reader(c);		/* the wake-up we got was meant for somebody who stays */
	return r;
}

/* ---- messages out ------------------------------------------------------------------------------------------ */

static void req_done(struct fuse_req *r, int error)
{
	if (!r->job) {
		heap_free(r);
		return;
	}
	r->error = error;
	r->state = REQ_DONE;
	fuse_job_continue(r->job);
}

/* The first of the queue to the server's buffer: its size, 0 if that was none of its business, -errno. */
static long send_request(struct task *t, struct fuse_conn *c, const struct vec *to, size_t room)
{
	struct fuse_req *r = c->queue;
	const uint32_t len = r->h.len;
	struct vec v = *to;
	int err;

	c->queue = r->next;
	if (len > room) {
		req_done(r, r->h.opcode == FUSE_SETXATTR ? -E2BIG : -EIO);
		return 0;
	}
	lock_release(&fuse_lock);
	err = vec_put(t, &v, &r->h, sizeof r->h);
	for (uint32_t i = 0; i < r->nargs && !err; i++)
		err = vec_put(t, &v, r->arg[i].p, r->arg[i].n);
	lock_acquire(&fuse_lock);
	if (err) {
		req_done(r, -EIO);
		return err;
	}
	if (r->job) {
		r->state = REQ_SENT;
		fuse_sent_put(c, r);
	} else {
		heap_free(r);
	}
	if (c->queue)
		wake_reader(c);
	return len;
}

/* A guest whose call was interrupted: the server is told once for the request it works on. */
static struct fuse_req *interrupt_due(const struct fuse_conn *c)
{
	for (struct fuse_job *j = c->jobs; j && !c->can.no_interrupt; j = j->next)
		if (j->shm && j->sent && j->sent->state == REQ_SENT && !j->sent->interrupted &&
		    __atomic_load_n(&j->shm->interrupt, __ATOMIC_RELAXED))
			return j->sent;
	return NULL;
}

static long send_interrupt(struct task *t, struct fuse_req *r, const struct vec *to)
{
	struct {
		struct fuse_in_header h;
		struct fuse_interrupt_in in;
	} m = {
		.h = { .len = sizeof m, .opcode = FUSE_INTERRUPT, .unique = r->h.unique | 1 },
		.in = { .unique = r->h.unique },
	};
	struct vec v = *to;

	r->interrupted = true;
	return vec_put(t, &v, &m, sizeof m) ? -EFAULT : (long)sizeof m;
}

static long send_forget(struct task *t, struct fuse_conn *c, const struct vec *to)
{
	struct fuse_forget *f = &c->forgets[--c->nforgets];
	struct {
		struct fuse_in_header h;
		struct fuse_forget_in in;
	} m = {
		.h = { .len = sizeof m, .opcode = FUSE_FORGET, .unique = c->unique += 2, .nodeid = f->nodeid },
		.in = { .nlookup = f->nlookup },
	};
	struct vec v = *to;

	return vec_put(t, &v, &m, sizeof m) ? -EFAULT : (long)sizeof m;
}

static long send_forgets(struct task *t, struct fuse_conn *c, const struct vec *to)
{
	struct {
		struct fuse_in_header h;
		struct fuse_batch_forget_in in;
		struct fuse_forget_one one[FORGETS_AT_ONCE];
	} m;
	struct vec v = *to;
	uint32_t n = 0;

	c->forgets_first &= c->nforgets > (c->can.minor < 16 ? 1 : FORGETS_AT_ONCE);
	if (c->nforgets == 1 || c->can.minor < 16)
		return send_forget(t, c, to);
	while (n < FORGETS_AT_ONCE && c->nforgets) {
		const struct fuse_forget *f = &c->forgets[--c->nforgets];
		m.one[n++] = (struct fuse_forget_one){ f->nodeid, f->nlookup };
	}
	m.in = (struct fuse_batch_forget_in){ .count = n };
	m.h = (struct fuse_in_header){
		.len = (uint32_t)(sizeof m.h + sizeof m.in + n * sizeof m.one[0]),
		.opcode = FUSE_BATCH_FORGET, .unique = c->unique += 2,
	};
	return vec_put(t, &v, &m, m.h.len) ? -EFAULT : (long)m.h.len;
}

bool fuse_dev_ready(const struct fuse_conn *c)
{
	const uint32_t state = server_state(c);

	return (state >= UM_SERVER_LIVE && (c->init == INIT_NOT || state != UM_SERVER_LIVE)) || c->queue || c->ready || c->nforgets || posted(c) ||
	       interrupt_due(c) || fuse_locks_interrupted(c);
}

/* ---- the end of a connection ------------------------------------------------------------------------------- */

/* The mount is gone: what is open is released, then DESTROY, then ENODEV.  true: something was done. */
static bool end_step(struct fuse_conn *c)
{
	if (c->end == END_NOT) {
		c->end = c->init == INIT_DONE ? END_RELEASING : END_OVER;
		fuse_locks_end(c);
		return true;
	}
	if (c->end != END_RELEASING || c->njobs)
		return false;
	if (c->nhandles) {
		fuse_handles_sweep(c, true);
		return c->queue || !c->nhandles;
	}
	c->end = fuse_job_start(c, fuse_destroy_job) ? END_OVER : END_DESTROYING;
	return true;
}

static bool sweep_due(const struct fuse_conn *c)
{
	uint64_t pause = c->lock_waits ? LOCKS_MS * 1000000ull : FUSE_NSEC / 2;

	return (c->nhandles || c->shadow) && fuse_now() >= c->swept + pause;
}

/* ---- read -------------------------------------------------------------------------------------------------- */

/* Something for the queue, if there is anything to be done at all. */
static bool find_work(struct fuse_conn *c, uint32_t state)
{
	if (c->init == INIT_NOT && state == UM_SERVER_LIVE) {
		c->init = fuse_job_start(c, fuse_init_job) ? INIT_NOT : INIT_SENT;
		return c->init == INIT_SENT;
	}
	if (c->init == INIT_FAILED)
		fuse_refuse_slots(c, -ECONNREFUSED);
	if (c->init == INIT_DONE && c->end != END_OVER && fuse_take_slot(c))
		return true;
	if (state == UM_SERVER_ENDING && end_step(c))
		return true;
	if (!sweep_due(c))
		return false;
	fuse_handles_sweep(c, false);
	return c->queue;
}

/* The next message to the server: its size, 0 if there is none yet, -errno. */
static long next_message(struct task *t, struct fuse_conn *c, const struct vec *to, size_t room, uint32_t state)
{
	for (;;) {
		struct fuse_req *r;
		long n;

		if (fuse_locks_interrupted(c))
			fuse_locks_interrupt(c);
		fuse_run_ready(c);
		if (state == UM_SERVER_DEAD || c->end == END_OVER) {
			fuse_refuse_slots(c, -ENOTCONN);
			wake_reader(c);		/* each who leaves tells another one */
			return -ENODEV;
		}
		r = interrupt_due(c);
		if (r)
			return send_interrupt(t, r, to);
		if (c->forgets_first || c->nforgets >= FORGETS_URGENT)
			return send_forgets(t, c, to);
		if (c->queue) {
			n = send_request(t, c, to, room);
			if (n)
				return n;
		} else if (!find_work(c, state)) {
			return c->nforgets ? send_forgets(t, c, to) : 0;
		}
	}
}

/*
 * Who reads requests serves the mount: it sees the world as it was before.  INIT does not count: go-fuse
 * reads that with the thread that then opens a file of the mount, to see that it works.
 */
static void becomes_server(struct task *t, struct fuse_conn *c)
{
	uint32_t id = __atomic_load_n(&c->shm->mount_id, __ATOMIC_RELAXED);

	if (c->init == INIT_DONE && id && id < t->epoch)
		t->epoch = id;
	t->is_server = 1;
	__atomic_store_n(&c->shm->pid, (uint32_t)process.pid, __ATOMIC_RELAXED);
}

long fuse_dev_read(struct task *t, struct file *f, const struct iovec *iov, int iovcnt)
{
	struct fuse_conn *c = f->conn;
	struct vec to = { iov, iovcnt, 0 };
	size_t room = vec_size(iov, iovcnt), least;
	uint32_t state;
	long r;

	if (!c)
		return -ENODEV;
	lock_acquire(&fuse_lock);
	least = sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in) + c->can.max_write;
	do {
		state = server_state(c);
		if (state < UM_SERVER_LIVE)
			r = -EPERM;
		else if (room < FUSE_MIN_READ_BUFFER || room < least)
			r = -EINVAL;
		else
			r = next_message(t, c, &to, room, state);
		if (!r)
			r = wait_for_work(t, c, f, state);
	} while (!r);
	if (r > 0)
		becomes_server(t, c);
	fuse_bell_settle(c);
	lock_release(&fuse_lock);
	return r;
}

/* ---- write ------------------------------------------------------------------------------------------------- */

static long take_notification(struct task *t, struct fuse_conn *c, struct vec *v, int code, size_t len)
{
	uint8_t data[FUSE_NOTIFY_ROOM];
	size_t n = len < sizeof data ? len : sizeof data;
	int err = vec_copy(t, v, data, n, false);

	if (!err) {
		lock_acquire(&fuse_lock);
		err = fuse_notify(c, code, data, len);
		if (c->queue)
			wake_reader(c);
		fuse_bell_settle(c);
		lock_release(&fuse_lock);
	}
	return err ? err : (long)(len + sizeof(struct fuse_out_header));
}

static int take_interrupt_reply(struct fuse_conn *c, const struct fuse_out_header *oh)
{
	struct fuse_req *r = fuse_sent_find(c, oh->unique & ~1ull);

	if (oh->len != sizeof *oh)
		return -EINVAL;
	if (oh->error == -ENOSYS)
		c->can.no_interrupt = true;
	if (!r)
		return -ENOENT;
	if (oh->error == -EAGAIN) {	/* it came too early: say it again */
		r->interrupted = false;
		wake_reader(c);
	}
	return 0;
}

/* Copies what the request wants, and ends it.  0, or what write(2) returns. */
static int take_reply(struct task *t, struct fuse_conn *c, struct vec *v, struct fuse_req *r,
		      const struct fuse_out_header *oh)
{
	uint32_t n = oh->len - (uint32_t)sizeof *oh;
	int err = 0;

	fuse_sent_remove(c, r);
	if (oh->error ? n : n > r->reply_max || (n < r->reply_max && !r->any_size)) {
		err = -EINVAL;
	} else if (n) {
		lock_release(&fuse_lock);
		err = vec_copy(t, v, r->reply, n, false);
		lock_acquire(&fuse_lock);
	}
	r->reply_len = err ? 0 : n;
	req_done(r, err ? -EIO : oh->error);
	return err;
}

long fuse_dev_write(struct task *t, struct file *f, const struct iovec *iov, int iovcnt)
{
	struct fuse_conn *c = f->conn;
	struct vec v = { iov, iovcnt, 0 };
	size_t size = vec_size(iov, iovcnt);
	struct fuse_out_header oh;
	struct fuse_req *r;
	int err;

	if (!c || server_state(c) < UM_SERVER_LIVE)
		return -EPERM;
	if (size < sizeof oh || size > UINT32_MAX)
		return -EINVAL;
	if (vec_copy(t, &v, &oh, sizeof oh, false))
		return -EFAULT;
	if (oh.len != size)
		return -EINVAL;
	if (!oh.unique)
		return take_notification(t, c, &v, oh.error, size - sizeof oh);
	if (oh.error > 0 || oh.error <= -512)
		return -EINVAL;

	lock_acquire(&fuse_lock);
	r = oh.unique & 1 ? NULL : fuse_sent_find(c, oh.unique);
	if (oh.unique & 1) {
		err = take_interrupt_reply(c, &oh);
	} else if (!r) {
		err = -ENOENT;
	} else {
		bool starting = c->init != INIT_DONE;

		err = take_reply(t, c, &v, r, &oh);
		if (c->queue || c->end != END_NOT || starting)
			wake_reader(c);
	}
	fuse_bell_settle(c);
	lock_release(&fuse_lock);
	return err ? err : (long)size;
}
