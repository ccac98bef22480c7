/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File locks at the server's side (fuse_lock.c, fuse_ops_lock.c): kept by us, with waiting, deadlocks, signals
 * and owners that die; and kept by the server, which is asked and told.
 */
#include <signal.h>
#include <sys/wait.h>
#include "fuse_rig.h"

#define ME	((uint32_t)getpid())
#define OTHER	((uint32_t)getppid())

/* An open file as a guest has it, with its carrier. */
static int carriers[64];

static long file_open(uint32_t flags)
{
	long h = rig_open("f", flags, 0);

	if (h <= 0 || h >= 64)
		abort();
	carriers[h] = rig_carrier((uint32_t)h);
	return h;
}

static int file_close(long h)
{
	close(carriers[h]);
	return rig_close(h);
}

static struct um_slot *lock_begin(unsigned k, long h, uint32_t tgid, unsigned flags, int type, long start, long len)
{
	struct um_slot *s = rig_begin(k, UM_OP_LOCK);

	s->req.base = 0;
	s->req.handle = (uint32_t)h;
	s->req.tgid = tgid;
	s->req.open_flags = flags;
	s->req.mode = (uint32_t)type;
	s->req.offset = (uint64_t)start;
	s->req.size = (uint64_t)len;
	return s;
}

static int lock(long h, uint32_t tgid, unsigned flags, int type, long start, long len)
{
	lock_begin(0, h, tgid, flags, type, start, len);
	return rig_call(0);
}

/* What GETLK says about a write lock of tgid there. */
static const char *held(long h, uint32_t tgid, long start, long len)
{
	static char text[64];
	struct um_lock l;
	int r = lock(h, tgid, UM_LOCK_GET, F_WRLCK, start, len);

	memcpy(&l, rig_slot(0)->data, sizeof l);
	if (r || l.type == F_UNLCK)
		return r ? "error" : "-";
	snprintf(text, sizeof text, "%s %ld+%ld %s", l.type == F_RDLCK ? "R" : "W", (long)l.start, (long)l.len,
		 l.pid == -1 ? "file" : (uint32_t)l.pid == ME ? "me" : (uint32_t)l.pid == OTHER ? "other" : "?");
	return text;
}

static void begin(uint32_t without)
{
	rig_start();
	rig.init_flags &= ~without;
	rig_put(rig_new(1, "f", S_IFREG | 0644), "0123456789");
	is_int(rig_pump(), -EAGAIN, "INIT");
}

static void test_ranges(void)
{
	long a = file_open(O_RDWR), b = file_open(O_RDONLY);

	is_int(lock(a, ME, 0, F_WRLCK, 0, 100), 0, "a write lock");
	is_int(lock(a, ME, 0, F_UNLCK, 40, 20), 0, "a hole in it");
	is_int(lock(a, ME, 0, F_RDLCK, 10, 5), 0, "a part of another kind");
	is_str(held(b, OTHER, 0, 0), "W 0+10 me", "the first part");
	is_str(held(b, OTHER, 10, 0), "R 10+5 me", "the second");
	is_str(held(b, OTHER, 15, 0), "W 15+25 me", "the third");
	is_str(held(b, OTHER, 40, 20), "-", "the hole");
	is_str(held(b, OTHER, 40, 21), "W 60+40 me", "behind it");
	is_str(held(b, ME, 0, 0), "-", "nobody is in his own way");
	is_int(lock(b, OTHER, 0, F_RDLCK, 12, 2), 0, "two readers");
	is_int(lock(b, OTHER, 0, F_RDLCK, 12, 4), -EAGAIN, "a reader where somebody writes");
	is_int(lock(b, OTHER, 0, F_WRLCK, 45, 1), -EBADF, "a write lock on what is open for reading");
	is_int(lock(a, OTHER, 0, F_WRLCK, 40, 20), 0, "all of the hole");
	is_int(lock(a, ME, UM_LOCK_OFD, F_RDLCK, 13, 1), 0, "an open file reads with them");
	is_int(lock(a, ME, UM_LOCK_OFD, F_RDLCK, 20, 1), -EAGAIN, "but is not the process");
	is_str(held(a, OTHER, 13, 1), "R 10+5 me", "told by owner");
	is_int(rig.c->nlocks, 7, "seven pieces");
	is_int(lock(a, ME, 0, F_WRLCK, 4, -4), 0, "a range that ends before its start");
	is_int(lock(a, ME, 0, F_WRLCK, 4, -5), -EINVAL, "that starts before the file");
	is_int(lock(a, ME, 0, F_WRLCK, 2, INT64_MAX), -EOVERFLOW, "that ends behind all files");
	is_int(lock(a, ME, 0, 3, 0, 1), -EINVAL, "no such type");
	is_int(lock(a, ME, UM_LOCK_GET | UM_LOCK_FLOCK, F_RDLCK, 0, 1), -EINVAL, "nobody can ask for a flock");
	is_int(lock(999, ME, 0, F_RDLCK, 0, 1), -EBADF, "no such file");
	lock_begin(0, a, ME, 0, F_WRLCK, -1, 1)->req.whence = 2;
	is_int(rig_call(0), 0, "from the end");
	lock_begin(0, a, ME, 0, F_WRLCK, 0, 1)->req.whence = 3;
	is_int(rig_call(0), -EINVAL, "from nowhere");
	is_int(lock(b, ME, UM_LOCK_FLOCK, F_WRLCK, 0, 0), 0, "flock is another matter");
	is_int(lock(a, ME, UM_LOCK_FLOCK, F_RDLCK, 0, 0), -EAGAIN, "... between open files");
	is_int(file_close(b), 0, "a close by this process");
	is_str(held(a, OTHER, 0, 0), "R 13+1 file", "takes all of its locks, not those of open files");
	is_int(lock(a, ME, UM_LOCK_FLOCK, F_RDLCK, 0, 0), 0, "the flock went with its file");
	is_int(file_close(a), 0, "close");
	is_int(rig.c->nlocks, 0, "nothing is left");
}

static int done_with(unsigned k)
{
	if (rig_slot(k)->state != UM_SLOT_DONE)
		return 1000;
	rig_slot(k)->state = UM_SLOT_IDLE;
	return rig_slot(k)->rep.error;
}

static void wait_for(unsigned k, long h, uint32_t tgid, unsigned flags, long start, long len)
{
	lock_begin(k, h, tgid, flags | UM_LOCK_WAIT, F_WRLCK, start, len);
	rig_post(k);
	rig_pump();
}

/* Nobody waits for a close while there are no locks: one that is set before it is taken is later than the close. */
static void test_quiet_close(void)
{
	long a = file_open(O_RDWR), b = file_open(O_RDONLY);

	is_int(lock(a, ME, 0, F_WRLCK, 0, 10), 0, "a lock");
	close(carriers[b]);
	rig_on(UM_OP_CLOSED, b)->req.open_flags = UM_CLOSED_QUIET;
	is_int(rig_call(0), 0, "a close that was before it");
	is_str(held(a, OTHER, 0, 0), "W 0+10 me", "leaves it");
	is_int(file_close(a), 0, "one that was after it");
	is_int(rig.shm->nlocks, 0, "does not");
}

static void test_waiting(void)
{
	long a = file_open(O_RDWR), b = file_open(O_RDWR);

	is_int(lock(a, ME, 0, F_WRLCK, 0, 10), 0, "held");
	wait_for(1, a, OTHER, 0, 5, 10);
	wait_for(2, b, ME, UM_LOCK_OFD, 12, 1);
	is_int(done_with(1), 1000, "one waits");
	is_int(done_with(2), 0, "one need not");
	is_int(lock(a, ME, 0, F_UNLCK, 5, 1), 0, "a part is given back");
	is_int(done_with(1), 1000, "one still waits");
	is_int(lock(b, ME, UM_LOCK_OFD, F_UNLCK, 0, 0), 0, "the open file's is given back");
	is_int(done_with(1), 1000, "one still waits");
	is_int(lock(a, ME, 0, F_UNLCK, 5, 0), 0, "the rest");
	is_int(done_with(1), 0, "he has it");
	is_str(held(a, ME, 0, 0), "W 5+10 other", "and no more");

	wait_for(3, a, ME, 0, 14, 0);
	is_int(lock(a, OTHER, UM_LOCK_WAIT, F_WRLCK, 0, 1), -EDEADLK, "a deadlock is seen");
	is_int(lock(a, OTHER, 0, F_WRLCK, 0, 1), -EAGAIN, "who does not wait makes none");
	rig_slot(3)->interrupt = 1;
	rig_pump();
	is_int(done_with(3), -EINTR, "a signal ends the wait");
	wait_for(3, a, ME, 0, 14, 0);
	is_int(file_close(b), 0, "a close elsewhere");
	is_int(lock(a, OTHER, 0, F_UNLCK, 0, 0), 0, "free");
	is_int(done_with(3), 0, "goes on");
	is_int(lock(a, OTHER, UM_LOCK_FLOCK, F_RDLCK, 0, 0), 0, "flock");
	is_int(file_close(a), 0, "close");
	is_int(rig.c->nlocks, 0, "nothing is left");
}

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	return pid;
}

/* A zombie: killed, nobody has looked. */
static void make_zombie(pid_t pid)
{
	siginfo_t info;

	kill(pid, SIGKILL);
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
}

static void test_killed(void)
{
	pid_t holder = sleeper(), waiter = sleeper(), second = sleeper();
	long a = file_open(O_RDWR), b = file_open(O_RDWR);

	is_int(lock(a, (uint32_t)holder, 0, F_WRLCK, 0, 10), 0, "held by a process");
	is_int(lock(a, ME, 0, F_WRLCK, 0, 1), -EAGAIN, "in the way");
	make_zombie(holder);
	is_int(lock(a, ME, 0, F_WRLCK, 0, 1), 0, "not any more");
	is_int(lock(a, (uint32_t)second, 0, F_WRLCK, 20, 10), 0, "held by a second one");
	wait_for(1, a, ME, 0, 20, 1);
	wait_for(2, a, (uint32_t)waiter, 0, 0, 1);
	make_zombie(waiter);
	make_zombie(second);
	usleep(60000);
	rig_pump();
	is_int(done_with(1), 0, "who waited has it soon");
	is_int(done_with(2), -EINTR, "who waited and died does not wait");
	is_int(lock(b, ME, UM_LOCK_FLOCK, F_WRLCK, 0, 0), 0, "held by an open file");
	is_int(lock(a, ME, UM_LOCK_FLOCK, F_RDLCK, 0, 0), -EAGAIN, "in the way");
	close(carriers[b]);
	is_int(lock(a, ME, UM_LOCK_FLOCK, F_RDLCK, 0, 0), 0, "not any more");
	waitpid(holder, NULL, 0);
	waitpid(waiter, NULL, 0);
	waitpid(second, NULL, 0);
}

/* The mount ends while somebody waits. */
static void test_end(void)
{
	long a = file_open(O_RDWR);

	is_int(lock(a, ME, 0, F_WRLCK, 100, 10), 0, "held");
	wait_for(1, a, OTHER, 0, 100, 1);
	is_int(done_with(1), 1000, "one waits");
	rig.shm->state = UM_SERVER_ENDING;
	is_int(rig_pump(), -ENODEV, "the mount ends");
	is_int(done_with(1), -ENOTCONN, "one is told");
	rig_stop("locks kept by us");
}

static void test_server(void)
{
	pid_t child = sleeper();	/* first: it must not have the carriers */
	long a = file_open(O_RDWR), b = file_open(O_RDWR);
	uint64_t me = FUSE_OWNER_PROCESS | ME;

	is_int(lock(a, ME, 0, F_WRLCK, 5, 10), 0, "SETLK");
	is_int(rig.count[FUSE_SETLK], 1, "was sent");
	ok(rig.last_lk.lk.start == 5 && rig.last_lk.lk.end == 14 && rig.last_lk.lk.type == F_WRLCK, "with its range");
	ok(rig.last_lk.owner == me && rig.last_lk.lk.pid == ME && !rig.last_lk.lk_flags, "and its owner");
	is_int(lock(a, ME, UM_LOCK_WAIT, F_RDLCK, 0, 0), 0, "SETLKW");
	is_int(rig.count[FUSE_SETLKW], 1, "was sent");
	ok(rig.last_lk.lk.end == (uint64_t)INT64_MAX, "to the end of everything");
	rig.refuse[FUSE_SETLK] = -EAGAIN;
	is_int(lock(b, OTHER, 0, F_RDLCK, 0, 1), -EAGAIN, "what it says is what is said");
	rig.refuse[FUSE_SETLK] = 0;
	rig.lk.lk = (struct fuse_file_lock){ .start = 3, .end = 7, .type = F_RDLCK, .pid = OTHER };
	is_str(held(a, ME, 0, 0), "R 3+5 other", "GETLK");
	rig.lk.lk.end = 2;
	is_str(held(a, ME, 0, 0), "error", "an impossible range");
	rig.lk.lk = (struct fuse_file_lock){ .start = 3, .end = 7, .type = 9 };
	is_str(held(a, ME, 0, 0), "error", "an impossible type");
	rig.lk.lk.type = F_UNLCK;
	is_str(held(a, ME, 0, 0), "-", "nothing");

	is_int(lock(b, ME, UM_LOCK_FLOCK | UM_LOCK_WAIT, F_WRLCK, 0, 0), 0, "flock");
	is_int(rig.last_lk.lk_flags, FUSE_LK_FLOCK, "is told to be one");
	is_int(file_close(b), 0, "close");
	ok(rig.last_flush.lock_owner == me, "FLUSH names the process");
	is_int(rig.last_release.release_flags, FUSE_RELEASE_FLOCK_UNLOCK, "RELEASE unlocks");
	ok(rig.last_release.lock_owner == (FUSE_OWNER_FILE | (uint64_t)b), "what the file held");
	is_int(rig.c->nlocks, 0, "no note is left: FLUSH has done it");

	is_int(lock(a, (uint32_t)child, 0, F_WRLCK, 1, 1), 0, "held by a child");
	make_zombie(child);
	fuse_handles_sweep(rig.c, false);
	rig_pump();
	ok(rig.last_lk.lk.type == F_UNLCK && rig.last_lk.owner == (FUSE_OWNER_PROCESS | (uint64_t)child),
	   "given back when it was killed");
	is_int(lock(a, ME, UM_LOCK_OFD, F_WRLCK, 1, 1), 0, "held by an open file");
	is_int(file_close(a), 0, "close");
	rig_pump();
	ok(rig.last_lk.lk.type == F_UNLCK && rig.last_lk.owner == (FUSE_OWNER_FILE | (uint64_t)a), "given back");
	waitpid(child, NULL, 0);
}

int main(void)
{
	plan(0);
	begin(FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS);
	test_ranges();
	test_quiet_close();
	test_waiting();
	test_killed();
	test_end();
	begin(0);
	test_server();
	rig_stop("locks kept by the server");
	return done();
}
