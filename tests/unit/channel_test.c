/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client's half of a channel against servers that answer, stay silent, die, and lie.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <signal.h>
#include <sys/wait.h>
#include <sys/time.h>
#include "tap.h"
#include "fakeworld.h"
#include "../../src/kernel/path.h"

static struct task task;
static const struct fw_node tree[] = { { "/d", 'd', "" }, { "/d/f", 'f', "" }, { "/l", 'l', "d/f" }, { NULL, 0, NULL } };

static double seconds(void)
{
	struct timeval tv;

	gettimeofday(&tv, NULL);
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static long call(struct task *t, uint32_t server, uint32_t op, const char *path, struct um_slot **out)
{
	int error;
	struct um_slot *s = channel_begin(t, server, op, &error);

	*out = s;
	if (!s)
		return error;
	s->req.base = UM_ROOT_NODE;
	s->req.size = 100;
	channel_path(s, path, strlen(path));
	return channel_call(t, server, s);
}

static void test_calls(struct fw_server *v)
{
	struct um_slot *s, *again;
	int error;

	is_int(call(&task, 1, UM_OP_STAT, "d/f", &s), 0, "a request is answered");
	is_int(s->rep.node, 3, "with the node");
	is_int(s->owner, task.tid, "the slot is ours");
	is_int(s->state, UM_SLOT_IDLE, "and idle again");
	is_int(s->req.uid, 0, "the user is root in what he has mounted for himself");
	is_int(call(&task, 1, UM_OP_STAT, "d/none", &again), -ENOENT, "errors come through");
	ok(s == again, "by the same slot");
	is_int(call(&task, 1, UM_OP_STAT, "l/x", &s), 0, "a link is no error");
	is_int(s->rep.status, UM_WALK_LINK, "but a status");
	is_str((char *)s->data, "d/f", "with its target");
	v->head->mount_flags = UM_MNT_HUMAN;
	s = channel_begin(&task, 1, UM_OP_STAT, &error);
	is_int(s->req.uid, geteuid(), "other mounts hear who asks");
	is_int(s->rep.status, UM_WALK_DONE, "a new request starts clean");
	v->head->mount_flags = 0;
	is_int(channel_path(s, "x", UM_PATH_MAX), -ENAMETOOLONG, "a path that is too long");
	is_int(channel_path(s, "first", 5), 0, "a path");
	is_int(channel_path2(s, "second", 6), 0, "a second one");
	ok(!memcmp(s->data, "first\0second", 13), "behind the first");
	ok(!channel_begin(&task, UM_SERVERS, UM_OP_STAT, &error) && error == -ENOTCONN, "no such server");
	ok(!channel_begin(&task, 7, UM_OP_STAT, &error) && error == -ENOTCONN, "nobody there");
	v->head->state = UM_SERVER_OPEN;
	ok(!channel_begin(&task, 1, UM_OP_STAT, &error) && error == -ENOTCONN, "not mounted yet");
	v->head->state = UM_SERVER_LIVE;
}

static void test_lies(void)
{
	static const struct { uint32_t error, status, consumed; uint64_t size; const char *what; } lies[] = {
		{ 5, 0, 0, 0, "a positive error" }, { (uint32_t)-5000, 0, 0, 0, "an error that is none" },
		{ 0, 2, 0, 0, "an unknown status" }, { 0, 0, 0, UM_DATA_SIZE + 1, "more data than there is room" },
		{ 0, UM_WALK_LINK, 4, 0, "more walked than was sent" }, { 0, UM_WALK_LINK, 0, 0, "nothing walked" },
	};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		int error;
		struct um_slot *s = channel_begin(&task, 1, UM_OP_IOCTL, &error);

		channel_path(s, "abc", 3);
		s->req.rdev = lies[i].error;
		s->req.whence = lies[i].status;
		s->req.valid = lies[i].consumed;
		s->req.size = lies[i].size;
		is_int(channel_call(&task, 1, s), -EIO, "%s", lies[i].what);
	}
}

/* ---- signals ----------------------------------------------------------------------------------------- */

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_signals(struct fw_server *v)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval soon = { .it_value.tv_usec = 50000 };
	int before = v->requests;
	struct um_slot *s;

	task.pending = 1;
	is_int(call(&task, 1, UM_OP_READ, "", &s), -UM_ERESTART, "a signal is waiting: a read is not even posted");
	is_int(v->requests, before, "nothing was posted");
	is_int(call(&task, 1, UM_OP_STAT, "d", &s), 0, "what cannot block is");
	task.pending = 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &soon, NULL);
	is_int(call(&task, 1, UM_OP_READ, "", &s), -EINTR, "a signal while it waits");
	is_int(v->interrupts, 1, "was told to the server, and its answer awaited");
	is_int(call(&task, 1, UM_OP_STAT, "d", &s), 0, "life goes on");
	is_int(s->interrupt, 0, "uninterrupted");
}

/* ---- slots ------------------------------------------------------------------------------------------- */

static uint32_t dead_thread(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	return (uint32_t)pid;
}

static struct um_slot *slot_at(struct fw_server *v, uint32_t k)
{
	return (struct um_slot *)(v->slots + (size_t)(k % UM_SLOTS) * UM_SLOT_SPAN);
}

static void test_slots(struct fw_server *v)
{
	uint32_t dead = dead_thread(), tid = (uint32_t)task.tid;
	struct um_slot *s;

	channel_task_exit(&task);
	is_int(slot_at(v, tid)->owner, 0, "a thread that ends gives its slot back");
	slot_at(v, tid)->owner = dead;
	slot_at(v, tid)->state = UM_SLOT_TAKEN;
	slot_at(v, tid + 1)->owner = 1;
	slot_at(v, tid + 2)->owner = dead;
	slot_at(v, tid + 2)->state = UM_SLOT_DONE;
	is_int(call(&task, 1, UM_OP_STAT, "d", &s), 0, "among slots of others");
	is_int(slot_at(v, tid)->owner, dead, "one whose answer may still come is left alone");
	is_int(slot_at(v, tid + 1)->owner, 1, "one whose owner lives, too");
	is_int(slot_at(v, tid + 2)->owner, tid, "one of a dead thread is taken over");
	channel_after_fork(&task);
	is_int(slot_at(v, tid + 2)->owner, tid, "a child does not give back its parent's");
	slot_at(v, tid)->state = UM_SLOT_POSTED;
	is_int(call(&task, 1, UM_OP_STAT, "d", &s), 0, "again among slots of others");
	is_int(slot_at(v, tid)->owner, tid, "one whose owner was killed before its request could be seen is taken over");
	channel_after_fork(&task);
	for (uint32_t k = 0; k < UM_SLOTS; k++)
		slot_at(v, k)->owner = 1;
	is_int(call(&task, 1, UM_OP_STAT, "d", &s), -EAGAIN, "no slot left");
	for (uint32_t k = 0; k < UM_SLOTS; k++)
		slot_at(v, k)->owner = slot_at(v, k)->state = 0;
	is_int(call(&task, 1, UM_OP_STAT, "d", &s), 0, "there is again");
}

/* A request that nobody waits for: the next one comes after it, and who ends before it is done leaves its slot behind. */
static void test_told(struct fw_server *v)
{
	uint32_t tid = (uint32_t)task.tid;
	struct um_slot *s, *next;
	int error, before = v->requests;

	s = channel_begin(&task, 1, UM_OP_STAT, &error);
	channel_path(s, "d/f", 3);
	s->req.base = UM_ROOT_NODE;
	is_int(channel_tell(&task, 1, s), 0, "told");
	is_int(call(&task, 1, UM_OP_STAT, "d", &next), 0, "the next request");
	ok(s == next && next->rep.node == 2, "has the same slot, and its own answer");
	is_int(v->requests - before, 2, "when the one before it has been answered, too");

	v->mute = 1;
	s = channel_begin(&task, 1, UM_OP_STAT, &error);
	channel_path(s, "d", 1);
	is_int(channel_tell(&task, 1, s), 0, "told to one who does not answer");
	channel_task_exit(&task);
	is_int(slot_at(v, tid)->owner, tid, "a thread that ends does not give back a slot that is in use");
	while (__atomic_load_n(&slot_at(v, tid)->state, __ATOMIC_ACQUIRE) != UM_SLOT_TAKEN)
		usleep(1000);
	v->mute = 0;
	is_int(call(&task, 1, UM_OP_STAT, "d", &s), 0, "another is used");
	is_int(slot_at(v, tid)->state, UM_SLOT_TAKEN, "that one is left alone");
	channel_task_exit(&task);
	slot_at(v, tid)->state = UM_SLOT_DONE;
	is_int(call(&task, 1, UM_OP_STAT, "d", &s), 0, "until it is done");
	is_int(slot_at(v, tid)->state, UM_SLOT_IDLE, "and then is used again");
}

/* ---- many threads ------------------------------------------------------------------------------------- */

static void *caller(void *arg)
{
	struct task t = { .tid = (int)raw_syscall(__NR_gettid), .epoch = UINT32_MAX };
	long *good = arg;
	struct um_slot *s;

	for (int i = 0; i < 500; i++)
		if (!call(&t, 1, UM_OP_STAT, i & 1 ? "d" : "d/f", &s) && s->rep.node == (i & 1 ? 2 : 3))
			++*good;
	channel_task_exit(&t);
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[4];
	long good[4] = { 0 };

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, caller, &good[i]);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	is_int(good[0] + good[1] + good[2] + good[3], 2000, "four threads at once");
}

/* ---- death ------------------------------------------------------------------------------------------- */

static void *killer(void *arg)
{
	struct fw_server *v = arg;

	usleep(100000);
	__atomic_store_n(&v->head->state, UM_SERVER_DEAD, __ATOMIC_RELEASE);
	for (uint32_t k = 0; k < UM_SLOTS; k++)
		futex_wake(&slot_at(v, k)->state, 1);
	return NULL;
}

static void test_death(void)
{
	struct fw_server *v = fw_serve(2, tree), *u = fw_serve(3, tree);
	pthread_t thread;
	struct um_slot *s;
	double start;
	int lock;

	v->mute = u->mute = 1;
	pthread_create(&thread, NULL, killer, v);
	start = seconds();
	is_int(call(&task, 2, UM_OP_STAT, "d", &s), -ENOTCONN, "the server dies while we wait");
	ok(seconds() - start < 0.9, "we hear of it at once");
	pthread_join(thread, NULL);
	is_int(call(&task, 2, UM_OP_STAT, "d", &s), -ENOTCONN, "later calls fail, too");
	lock = u->lock_fd;
	raw_syscall(__NR_close, lock);
	u->lock_fd = -1;
	start = seconds();
	is_int(call(&task, 3, UM_OP_STAT, "d", &s), -ENOTCONN, "the server is gone and nobody says so");
	ok(seconds() - start < 3, "we find out");
	is_int(call(&task, 3, UM_OP_STAT, "d", &s), -ENOTCONN, "and remember it");
	fw_world->ended = 1;
	is_int(call(&task, 0, UM_CTL_LOG, "x", &s), -ENOTCONN, "no monitor any more");
	fw_world->ended = 0;
	fw_world->monitor_pid = dead_thread();
	start = seconds();
	is_int(call(&task, 0, UM_CTL_LOG, "x", &s), -ENOTCONN, "a monitor that was killed");
	ok(seconds() - start < 3, "is noticed, too");
	fw_stop(v);
	fw_stop(u);
}

int main(void)
{
	struct fw_server *v;

	plan(0);
	fw_create();
	task.tid = process.pid;
	task.epoch = UINT32_MAX;
	v = fw_serve(1, tree);
	test_calls(v);
	test_lies();
	test_signals(v);
	test_slots(v);
	test_told(v);
	test_threads();
	test_death();
	channel_task_exit(&task);
	is_int(shim_heap_live, 0, "no memory is lost");
	fw_stop(v);
	return done();
}
