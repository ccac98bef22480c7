/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client's half of a channel.
 *
 * A thread that calls a server for the first time maps the head of the server's area and claims one of
 * its slots by putting its thread id into the slot's owner word; both stay its own until the thread ends.
 * Slots of threads that were killed are recognised by that id and used again.
 *
 * A call hands over one request and waits for its one answer.  Nobody may hang because somebody else
 * died, so the waiting is done in pieces of a second, and after each the server's life is looked at: the
 * monitor says UM_SERVER_DEAD and wakes everybody; should the monitor itself have been killed, the lock
 * that the server's /dev/fuse holds on the world file tells (the kernel drops it with the last close).
 *
 * A signal for the guest does not end the wait: the server is told (`interrupt`), and its answer, often
 * -EINTR, still comes.  Only a request that has not been posted can be left alone: then -UM_ERESTART.
 */
#include <linux/mman.h>
#include <linux/fcntl.h>
#include "channel.h"
#include "../kernel/cred.h"
#include "../kernel/path.h"

struct slot_ref {
	struct slot_ref *next;
	uint32_t server;
	uint32_t number;		/* of the slot */
	uint32_t tid, tgid;		/* ours, as the world counts: known with the slot */
	bool broken;			/* given up while a request was under way: never used again */
	bool told;			/* a request is under way whose answer nobody waits for */
	uint32_t later;			/* a handle that is closed: the next request says so */
	struct um_server *head;
	struct um_slot *slot;		/* NULL: only the head has been needed so far */
};

#define HEAD_SIZE	4096u
#define WAIT_MS		1000
#define SPINS		40		/* pauses, some 2000 cycles */
_Static_assert(sizeof(struct um_server) <= HEAD_SIZE && HEAD_SIZE <= UM_SLOTS_OFF, "the head lies in front of the slots");

/* ---- claiming ------------------------------------------------------------------------------------- */

static void *map_world(uint64_t offset, size_t size)
{
	long at = own_map(size, PROT_READ | PROT_WRITE, MAP_SHARED, process.world_fd, offset);

	return at < 0 ? NULL : (void *)at;
}

/*
 * Ids cross the border to other processes, so they are those of the name space that the world was made in.  A guest
 * may have one of its own, but mounts no /proc there: what it sees as /proc counts like the world.
 */
static void world_ids(const struct task *t, struct slot_ref *ref)
{
	char text[40];
	const char *at = text;
	long n, tgid, tid = -1;

	ref->tid = (uint32_t)t->tid;
	ref->tgid = (uint32_t)t->pid;
	if (!process.own_pids)
		return;
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, "/proc/thread-self", text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;	/* "12/task/34" */
	tgid = text_number(&at);
	if (tgid > 0 && !strncmp(at, "/task/", 6)) {
		at += 6;
		tid = text_number(&at);
	}
	if (tid > 0) {
		ref->tid = (uint32_t)tid;
		ref->tgid = (uint32_t)tgid;
	}
}

static bool thread_is_dead(uint32_t tid)
{
	char path[24];

	if (!process.own_pids)
		return raw_syscall(__NR_kill, tid, 0) == -ESRCH;
	text_format(path, sizeof(path), "/proc/%u", tid);
	return raw_syscall(__NR_faccessat, AT_FDCWD, path, 0) == -ENOENT;
}

static uint64_t *posted_word(const struct slot_ref *ref, uint32_t k)
{
	return &ref->head->posted[k / 64];
}

static uint64_t posted_bit(uint32_t k)
{
	return 1ull << (k % 64);
}

/*
 * The owner is dead: will nobody ever take what it has posted?  So it is if it died before it set the bit.  A server
 * that has cleared the bit and is about to take the request makes us fail, or finds nothing to take.
 */
static bool never_posted(const struct slot_ref *ref, struct um_slot *s, uint32_t k)
{
	uint32_t state = UM_SLOT_POSTED;

	return !(__atomic_load_n(posted_word(ref, k), __ATOMIC_SEQ_CST) & posted_bit(k)) &&
	       __atomic_compare_exchange_n(&s->state, &state, UM_SLOT_IDLE, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* A slot whose owner died may be taken over when no answer to its last request is on the way. */
static bool slot_claim(const struct slot_ref *ref, struct um_slot *s, uint32_t k, uint32_t tid)
{
	uint32_t owner = __atomic_load_n(&s->owner, __ATOMIC_ACQUIRE);
	uint32_t state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);

	if (owner && state == UM_SLOT_TAKEN)
		return false;
	if (owner && owner != tid && !thread_is_dead(owner))
		return false;
	if (owner && state == UM_SLOT_POSTED && !never_posted(ref, s, k))
		return false;
	return __atomic_compare_exchange_n(&s->owner, &owner, tid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Threads start at different places, so that the first try is nearly always the last. */
static int ref_claim(const struct task *t, struct slot_ref *ref)
{
	world_ids(t, ref);
	for (uint32_t i = 0; i < UM_SLOTS; i++) {
		uint32_t k = (ref->tid + i) % UM_SLOTS;
		struct um_slot *s = map_world(UM_OFF_SLOT(ref->server, k), UM_SLOT_SPAN);

		if (!s)
			return -ENOMEM;
		if (slot_claim(ref, s, k, ref->tid)) {
			ref->slot = s;
			ref->number = k;
			__atomic_store_n(&s->state, UM_SLOT_IDLE, __ATOMIC_RELEASE);
			return 0;
		}
		own_unmap(s, UM_SLOT_SPAN);
	}
	return -EAGAIN;
}

static struct slot_ref *ref_get(struct task *t, uint32_t server)
{
	struct slot_ref *ref;

	for (ref = t->slots; ref; ref = ref->next)
		if (ref->server == server)
			return ref;
	ref = heap_alloc(sizeof(*ref));
	if (!ref)
		return NULL;
	ref->server = server;
	ref->head = map_world(UM_OFF_SERVER(server), HEAD_SIZE);
	if (!ref->head) {
		heap_free(ref);
		return NULL;
	}
	ref->next = t->slots;
	t->slots = ref;
	return ref;
}

static bool server_usable(const struct slot_ref *ref)
{
	if (ref->broken)
		return false;
	if (!ref->server)
		return !__atomic_load_n(&process.world->ended, __ATOMIC_ACQUIRE);
	return __atomic_load_n(&ref->head->state, __ATOMIC_ACQUIRE) == UM_SERVER_LIVE;
}

struct um_server *channel_server(struct task *t, uint32_t server, int *error)
{
	struct slot_ref *ref = server < UM_SERVERS ? ref_get(t, server) : NULL;

	*error = ref ? 0 : server < UM_SERVERS ? -ENOMEM : -ENOTCONN;
	return ref ? ref->head : NULL;
}

/* ---- the request ---------------------------------------------------------------------------------- */

/* A mount made by the user for himself is his wholly: its server sees root.  Others see who asks. */
static void request_identity(const struct task *t, struct um_request *q, const struct slot_ref *ref)
{
	if (ref->server && !(ref->head->mount_flags & UM_MNT_HUMAN))
		return;
	q->uid = t->cred ? t->cred->uid.fs : (uint32_t)raw_syscall(__NR_geteuid);
	q->gid = t->cred ? t->cred->gid.fs : (uint32_t)raw_syscall(__NR_getegid);
}

static int settle(struct slot_ref *ref);

static struct um_slot *request_begin(struct task *t, struct slot_ref *ref, uint32_t op)
{
	struct um_slot *s = ref->slot;

	memset(&s->req, 0, sizeof(s->req));
	memset(&s->rep, 0, sizeof(s->rep));
	s->data[0] = 0;
	s->req.op = op;
	s->req.pid = ref->tid;
	s->req.tgid = ref->tgid;
	s->req.umask = t->fs ? t->fs->umask : 022;
	s->req.view = t->view;
	s->req.epoch = t->epoch;
	s->req.closed = ref->later;
	ref->later = 0;
	request_identity(t, &s->req, ref);
	return s;
}

struct um_slot *channel_begin(struct task *t, uint32_t server, uint32_t op, int *error)
{
	struct slot_ref *ref;

	*error = -ENOTCONN;
	if (server >= UM_SERVERS)
		return NULL;
	ref = ref_get(t, server);
	if (!ref) {
		*error = -ENOMEM;
		return NULL;
	}
	if (!server_usable(ref))
		return NULL;
	*error = ref->slot ? settle(ref) : ref_claim(t, ref);
	return *error ? NULL : request_begin(t, ref, op);
}

static int put_path(struct um_slot *s, size_t at, const char *path, size_t len)
{
	if (len >= UM_PATH_MAX || at + len + 1 > UM_DATA_SIZE)
		return -ENAMETOOLONG;
	memcpy(s->data + at, path, len);
	s->data[at + len] = 0;
	return 0;
}

int channel_path(struct um_slot *s, const char *path, size_t len)
{
	s->req.path_len = (uint32_t)len;
	return put_path(s, 0, path, len);
}

int channel_path2(struct um_slot *s, const char *path, size_t len)
{
	s->req.path2_len = (uint32_t)len;
	return put_path(s, (size_t)s->req.path_len + 1, path, len);
}

/* ---- the call ------------------------------------------------------------------------------------- */

/* A server that waits with epoll.  Nothing but the pipe that it should be is written to (fs/fuse_bell.c). */
__attribute__((noinline)) static void ring_bell(struct um_server *head)
{
	char path[48];
	struct stat st;
	long fd, r = -EBADF;

	if (!__atomic_exchange_n(&head->bell, 0, __ATOMIC_SEQ_CST))
		return;
	text_format(path, sizeof(path), "/proc/%u/fd/%u", head->bell_pid, head->bell_fd);
	fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0);
	if (fd >= 0 && !raw_syscall(__NR_fstat, fd, &st) && S_ISFIFO(st.st_mode))
		r = raw_syscall(__NR_write, fd, "", 1);
	if (fd >= 0)
		raw_syscall(__NR_close, fd);
	if (r < 0 && r != -EAGAIN)
		__atomic_store_n(&head->bell, 1, __ATOMIC_SEQ_CST);	/* somebody tries again: await() */
}

static void ring(struct slot_ref *ref)
{
	__atomic_add_fetch(&ref->head->doorbell, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&ref->head->sleepers, __ATOMIC_SEQ_CST))
		futex_wake(&ref->head->doorbell, 1);
	if (__atomic_load_n(&ref->head->bell, __ATOMIC_SEQ_CST))
		ring_bell(ref->head);
}

static void post(struct slot_ref *ref)
{
	struct um_slot *s = ref->slot;
	uint32_t k = ref->number;

	__atomic_store_n(&s->interrupt, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->state, UM_SLOT_POSTED, __ATOMIC_RELEASE);
	__atomic_fetch_or(posted_word(ref, k), posted_bit(k), __ATOMIC_SEQ_CST);
	ring(ref);
}

/* More than one CPU for us?  Only then spinning can help. */
static bool many_cpus(void)
{
	static int known;	/* 0 not asked yet, 1 no, 2 yes */
	unsigned long mask[128];
	long n;
	int bits = 0;

	if (known)
		return known == 2;
	n = raw_syscall(__NR_sched_getaffinity, 0, sizeof(mask), mask);
	for (long i = 0; i < n / (long)sizeof(long); i++)
		for (unsigned long m = mask[i]; m; m &= m - 1)
			bits++;
	known = bits > 1 ? 2 : 1;
	return bits > 1;
}

/* No word from the monitor, but is anybody there?  The server's /dev/fuse holds this lock. */
static bool server_vanished(const struct slot_ref *ref)
{
	if (!ref->server)
		return process.world->ended || thread_is_dead(process.world->monitor_pid);
	if (__atomic_load_n(&ref->head->state, __ATOMIC_ACQUIRE) == UM_SERVER_DEAD)
		return true;
	return !carrier_is_open(ref->server, UM_HANDLE_DEVICE);
}

static bool answered(struct um_slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE) == UM_SLOT_DONE;
}

static bool spin(struct um_slot *s)
{
	for (int i = 0; i < SPINS && !answered(s); i++)
		__builtin_ia32_pause();
	return answered(s);
}

/* 0 when the answer is there, -ENOTCONN when there will be none. */
static int await(struct task *t, struct slot_ref *ref)
{
	struct um_slot *s = ref->slot;
	struct task *waiter = t;	/* NULL once the server has been told of a signal */

	if (many_cpus() && spin(s))
		return 0;
	for (;;) {
		uint32_t state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);

		if (state == UM_SLOT_DONE)
			return 0;
		int r = futex_sleep(waiter, &s->state, state, WAIT_MS);
		if (r == -EINTR && waiter) {
			waiter = NULL;
			__atomic_store_n(&s->interrupt, 1, __ATOMIC_RELEASE);
			ring(ref);
		}
		if (answered(s))
			return 0;
		if (r == -ETIMEDOUT && __atomic_load_n(&ref->head->bell, __ATOMIC_ACQUIRE))
			ring(ref);		/* also since such a server looks for killed owners of locks when it is woken only */
		if (__atomic_load_n(&ref->head->state, __ATOMIC_ACQUIRE) == UM_SERVER_DEAD ||
		    (r == -ETIMEDOUT && server_vanished(ref))) {
			ref->broken = true;
			return -ENOTCONN;
		}
	}
}

/* What was told is done when the slot is used again. */
static int settle(struct slot_ref *ref)
{
	int r;

	if (!ref->told)
		return 0;
	r = await(NULL, ref);
	if (r)
		return r;
	ref->told = false;
	__atomic_store_n(&ref->slot->state, UM_SLOT_IDLE, __ATOMIC_RELEASE);
	return 0;
}

/* What came from another process is checked before anybody uses it. */
static long check_reply(const struct um_slot *s)
{
	const struct um_request *q = &s->req;
	const struct um_reply *p = &s->rep;

	if (p->error > 0 || p->error < -4095 || p->status > UM_WALK_LINK ||
	    p->size > (q->op == UM_OP_COPY ? UM_COPY_MOST : UM_DATA_SIZE))
		return -EIO;
	if (p->error)
		return p->error;
	if ((q->op == UM_OP_READ || q->op == UM_OP_WRITE || q->op == UM_OP_READDIR || q->op == UM_OP_COPY) && p->size > q->size)
		return -EIO;
	if (p->status != UM_WALK_LINK)
		return 0;
	for (size_t i = 0; i < UM_PATH_MAX; i++)
		if (!s->data[i])
			return i && p->consumed && p->consumed <= q->path_len ? 0 : -EIO;
	return -ENAMETOOLONG;
}

static bool may_block(uint32_t op)
{
	return op == UM_OP_OPEN || op == UM_OP_READ || op == UM_OP_WRITE || op == UM_OP_FSYNC || op == UM_OP_IOCTL ||
	       op == UM_OP_LOCK || op == UM_OP_COPY;
}

long channel_call_on(struct task *t, uint32_t server, struct um_slot *s)
{
	struct slot_ref *ref = ref_get(t, server);
	int r;

	if (!ref || ref->slot != s || !server_usable(ref))
		return -ENOTCONN;
	post(ref);
	r = await(t, ref);
	if (r)
		return r;
	__atomic_store_n(&s->state, UM_SLOT_IDLE, __ATOMIC_RELEASE);
	return check_reply(s);
}

long channel_call(struct task *t, uint32_t server, struct um_slot *s)
{
	if (may_block(s->req.op) && __atomic_load_n(&t->pending, __ATOMIC_ACQUIRE))
		return -UM_ERESTART;
	return channel_call_on(t, server, s);
}

bool channel_later(struct task *t, uint32_t server, uint32_t handle)
{
	struct slot_ref *ref = ref_get(t, server);

	if (!ref || ref->later)
		return false;
	ref->later = handle;
	return true;
}

long channel_tell(struct task *t, uint32_t server, struct um_slot *s)
{
	struct slot_ref *ref = ref_get(t, server);

	if (!ref || ref->slot != s || !server_usable(ref))
		return -ENOTCONN;
	post(ref);
	ref->told = true;
	return 0;
}

/* ---- the end of a thread, and fork ---------------------------------------------------------------- */

static void ref_drop(struct slot_ref *ref)
{
	if (ref->slot)
		own_unmap(ref->slot, UM_SLOT_SPAN);
	own_unmap(ref->head, HEAD_SIZE);
	heap_free(ref);
}

static void drop_all(struct task *t, bool give_back)
{
	while (t->slots) {
		struct slot_ref *ref = t->slots;

		t->slots = ref->next;
		if (give_back && ref->slot && !ref->broken && !ref->told)	/* told: who finds us dead takes it, when it is done */
			__atomic_store_n(&ref->slot->owner, 0, __ATOMIC_RELEASE);
		ref_drop(ref);
	}
}

void channel_task_exit(struct task *t)
{
	drop_all(t, true);
}

void channel_after_fork(struct task *t)
{
	drop_all(t, false);
}
