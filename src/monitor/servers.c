/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The servers: numbers, death, the end.
 *
 * A server is a number, an area of the world file, and a process that reads requests there.  It lives as
 * long as its descriptor of /dev/fuse, whose carrier holds a lock (wire/world.h): one thread per server
 * sleeps until it can have that lock, and then the server is dead.  The mount stays, as with the kernel,
 * and everything in it gives ENOTCONN until it is unmounted.
 *
 * When its mount is gone a server is told (its next read gives ENODEV), and then it flushes and exits.
 * Whoever unmounted it is answered after that.  A server that does not come to an end in half a minute
 * is killed if it is ours to kill: started by `umview mount`, or nobody is left in the view.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"
#include "procs.h"

#define PATIENCE	30000	/* ms for a server to flush and exit */
#define PATIENCE_HAND	10000	/* ... one started by hand, after it closed /dev/fuse */
#define PATIENCE_TERM	5000
#define PATIENCE_KILL	2000
#define LAZY_PERIOD	50	/* ms between looks whether the last file was closed */
#define OPEN_GRACE	10000	/* ms a number may be given out without a mount */

struct gone { uint32_t server, life; };

int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void futex_wake_all(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

/* It waits with epoll: kernel/fs/fuse_bell.c. */
static void ring_bell(struct um_server *shm)
{
	char path[48];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u/fd/%u", shm->bell_pid, shm->bell_fd);
	int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode) || write(fd, "", 1) < 0)
		__atomic_store_n(&shm->bell, 1, __ATOMIC_SEQ_CST);
	if (fd >= 0)
		close(fd);
}

void server_ring(struct um_server *shm)
{
	__atomic_fetch_add(&shm->doorbell, 1, __ATOMIC_SEQ_CST);
	futex_wake_all(&shm->doorbell);
	if (__atomic_exchange_n(&shm->bell, 0, __ATOMIC_SEQ_CST))
		ring_bell(shm);
}

static void set_state(struct server *srv, enum um_server_state state)
{
	__atomic_store_n(&srv->shm->state, (uint32_t)state, __ATOMIC_SEQ_CST);
}

/* ---- numbers -------------------------------------------------------------------------------------- */

static uint32_t new_number(struct monitor *m)
{
	struct server *srv = &m->servers[m->next_server];

	srv->pidfd = srv->waiter = srv->shadow = -1;
	return m->next_server++;
}

int servers_start(struct monitor *m)
{
	struct server *self = &m->servers[0];

	if (pipe2(m->gone_fd, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	m->next_server = 0;
	new_number(m);
	self->shm = world_map(&m->w, UM_OFF_SERVER(0), 4096);
	if (!self->shm)
		return -errno;
	self->shm->pid = (uint32_t)getpid();
	self->shm->sleepers = 1;
	set_state(self, UM_SERVER_LIVE);
	return 0;
}

void servers_stop(struct monitor *m)
{
	for (uint32_t s = 0; s < m->next_server; s++) {
		if (m->servers[s].shm)
			munmap(m->servers[s].shm, 4096);
		if (m->servers[s].pidfd >= 0)
			close(m->servers[s].pidfd);
		shadow_close(&m->servers[s]);
		free(m->servers[s].path);
	}
	close(m->gone_fd[0]);
	close(m->gone_fd[1]);
}

static bool range_is_locked(struct monitor *m, uint64_t from, uint64_t len)
{
	struct flock fl = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)from, .l_len = (off_t)len,
	};

	return fcntl(m->w.fd, F_OFD_GETLK, &fl) == 0 && fl.l_type != F_UNLCK;
}

bool server_is_busy(struct monitor *m, uint32_t s)
{
	return range_is_locked(m, UM_LOCK(s, 1), UM_HANDLE_DEVICE - 1);
}

/* Can the number be given out again?  Not while anybody holds a descriptor of the old server. */
static bool is_reusable(struct monitor *m, uint32_t s)
{
	struct server *srv = &m->servers[s];

	if (srv->served || srv->ending)
		return false;
	if (!srv->gone_at && now_ms() - srv->opened < OPEN_GRACE)
		return false;
	return !server_is_busy(m, s) && !range_is_locked(m, UM_LOCK(s, UM_HANDLE_DEVICE), 1);
}

static uint32_t pick_number(struct monitor *m)
{
	if (m->next_server < UM_SERVERS)
		return new_number(m);
	for (uint32_t s = 1; s < UM_SERVERS; s++)
		if (is_reusable(m, s))
			return s;
	return 0;
}

int server_new(struct monitor *m)
{
	servers_reclaim(m);
	uint32_t s = pick_number(m);
	struct server *srv = &m->servers[s];

	if (!s)
		return -ENFILE;
	if (!srv->shm)
		srv->shm = world_map(&m->w, UM_OFF_SERVER(s), 4096);
	if (!srv->shm)
		return -ENOMEM;
	server_forget(m, s);
	uint32_t doorbell = srv->shm->doorbell;
	memset(srv->shm, 0, sizeof(*srv->shm));
	srv->shm->doorbell = doorbell;
	srv->opened = now_ms();
	srv->gone_at = 0;
	srv->life++;
	set_state(srv, UM_SERVER_OPEN);
	return (int)s;
}

/* ---- the death watch ------------------------------------------------------------------------------ */

struct watch {
	int world_fd;		/* a description of its own */
	int notify_fd;
	struct gone what;
};

static void *watch_main(void *arg)
{
	struct watch *w = arg;
	struct gone what = w->what;
	struct flock fl = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET,
		.l_start = (off_t)UM_LOCK(what.server, UM_HANDLE_DEVICE), .l_len = 1,
	};
	int r;

	do
		r = fcntl(w->world_fd, F_OFD_SETLKW, &fl);
	while (r < 0 && errno == EINTR);
	close(w->world_fd);
	if (write(w->notify_fd, &what, sizeof(what)) < 0)
		r = -1;		/* the pipe is full or closed: the view is ending */
	free(w);
	return NULL;
}

int thread_start(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 64 << 10);
	int r = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return -r;
}

static int start_watch(struct monitor *m, uint32_t s)
{
	struct watch *w = calloc(1, sizeof(*w));
	int r = -ENOMEM;

	if (!w)
		return r;
	w->what = (struct gone) { s, m->servers[s].life };
	w->notify_fd = m->gone_fd[1];
	w->world_fd = r = world_reopen(&m->w);
	if (r >= 0) {
		r = thread_start(watch_main, w);
		if (r == 0)
			return 0;
		close(w->world_fd);
	}
	free(w);
	return r;
}

void server_mounted(struct monitor *m, uint32_t s, uint32_t mount, const char *path)
{
	struct server *srv = &m->servers[s];

	srv->served = true;
	srv->mount = mount;
	free(srv->path);
	srv->path = strdup(path);
	int r = start_watch(m, s);
	if (r < 0)
		log_line("umview: server %u: its death will not be noticed: %s", s, strerror(-r));
}

/* Wakes everybody who sleeps on an answer of this server. */
void server_wake(struct monitor *m, uint32_t s)
{
	for (uint32_t k = 0; k < UM_SLOTS; k++) {
		struct { uint32_t owner, state; } head = { 0, 0 };
		uint64_t at = UM_OFF_SLOT(s, k);

		/* pread: looking at a page that does not exist yet would make it. */
		if (pread(m->w.fd, &head, sizeof(head), (off_t)at) != sizeof(head) || !head.owner)
			continue;
		struct um_slot *slot = world_map(&m->w, at, 4096);
		if (!slot)
			continue;
		futex_wake_all(&slot->state);
		munmap(slot, 4096);
	}
	server_ring(m->servers[s].shm);
}

/* A client that looked at the state just before it changed goes to sleep just after: wake it again later. */
static void declare_dead(struct monitor *m, uint32_t s)
{
	struct server *srv = &m->servers[s];

	set_state(srv, UM_SERVER_DEAD);
	server_wake(m, s);
	srv->rewakes = 3;
	srv->rewake_at = now_ms() + 10;
}

void servers_gone(struct monitor *m)
{
	struct gone g;

	while (read(m->gone_fd[0], &g, sizeof(g)) == sizeof(g)) {
		struct server *srv = &m->servers[g.server];
		if (srv->life != g.life)
			continue;
		srv->gone_at = now_ms();
		if (srv->shm->state == UM_SERVER_LIVE)
			log_line("umview: server %u (process %u) is gone", g.server, srv->shm->pid);
		declare_dead(m, g.server);
	}
}

/* ---- the end -------------------------------------------------------------------------------------- */

/* Is the process the server of another mount too?  Then its exit cannot be awaited. */
static bool serves_others(struct monitor *m, uint32_t s, pid_t pid)
{
	for (uint32_t i = 1; i < m->next_server; i++)
		if (i != s && m->servers[i].served && !m->servers[i].ending && (pid_t)m->servers[i].shm->pid == pid)
			return true;
	return false;
}

static void tell(struct monitor *m, uint32_t s)
{
	struct server *srv = &m->servers[s];
	pid_t pid = (pid_t)srv->shm->pid;

	if (!srv->gone_at)
		set_state(srv, UM_SERVER_ENDING);
	server_ring(srv->shm);
	srv->ending = END_TOLD;
	srv->deadline = now_ms() + PATIENCE;
	srv->pid = 0;
	if (pid <= 0 || serves_others(m, s, pid) || !proc_descends(pid, getpid()))
		return;
	srv->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (srv->pidfd >= 0)
		srv->pid = pid;
}

void server_end(struct monitor *m, uint32_t s, bool lazy, int waiter)
{
	struct server *srv = &m->servers[s];

	srv->waiter = waiter;
	if (lazy && server_is_busy(m, s))
		srv->ending = END_LAZY;
	else
		tell(m, s);
}

static void finish(struct monitor *m, uint32_t s)
{
	struct server *srv = &m->servers[s];

	if (srv->pidfd >= 0)
		close(srv->pidfd);
	srv->pidfd = -1;
	srv->pid = 0;
	srv->ending = END_NOT;
	srv->served = false;
	srv->reclaim = true;
	if (!srv->gone_at)
		srv->gone_at = now_ms();
	declare_dead(m, s);
	server_forget(m, s);		/* nobody looks there, who has seen that it is dead */
	shadow_close(srv);
	if (srv->waiter >= 0)
		control_answer(m, srv->waiter, 0);
	srv->waiter = -1;
}

static bool has_ended(struct monitor *m, const struct server *srv)
{
	struct pollfd p = { .fd = srv->pidfd, .events = POLLIN };

	if (srv->pidfd < 0)
		return srv->gone_at != 0;
	if (poll(&p, 1, 0) > 0)
		return true;
	return srv->gone_at && !srv->shm->keeper && !m->closing && now_ms() - srv->gone_at > PATIENCE_HAND;
}

static void send_signal(const struct server *srv, int sig)
{
	if (srv->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, srv->pidfd, sig, NULL, 0);
	else if (srv->shm->keeper)
		kill((pid_t)srv->shm->keeper, sig);
}

/* Its time is up.  Returns false when there is nothing left to try. */
static bool press(struct monitor *m, uint32_t s)
{
	struct server *srv = &m->servers[s];

	if (srv->ending == END_KILLED || (!srv->shm->keeper && !m->closing))
		return false;
	bool term = srv->ending == END_TOLD;
	const char *doing = term ? "asking it to end" : "killing it";
	say("server %u (process %d) has not ended after its unmount; %s", s, srv->pid, doing);
	log_line("umview: server %u (process %d) has not ended after its unmount; %s", s, srv->pid, doing);
	send_signal(srv, term ? SIGTERM : SIGKILL);
	srv->ending = term ? END_TERM : END_KILLED;
	srv->deadline = now_ms() + (term ? PATIENCE_TERM : PATIENCE_KILL);
	return true;
}

static void work_on_end(struct monitor *m, uint32_t s)
{
	struct server *srv = &m->servers[s];

	if (srv->ending == END_LAZY) {
		if (m->closing || srv->gone_at || !server_is_busy(m, s))
			tell(m, s);
		return;
	}
	if (srv->waiter >= 0 && control_slot(m, (uint32_t)srv->waiter)->interrupt) {
		control_answer(m, srv->waiter, 0);
		srv->waiter = -1;
	}
	if (has_ended(m, srv) || (now_ms() >= srv->deadline && !press(m, s)))
		finish(m, s);
}

static void work_on_rewake(struct monitor *m, uint32_t s)
{
	struct server *srv = &m->servers[s];

	if (!srv->rewakes || now_ms() < srv->rewake_at)
		return;
	server_wake(m, s);
	srv->rewakes--;
	srv->rewake_at = now_ms() + (srv->rewakes == 2 ? 100 : 1000);
}

void servers_work(struct monitor *m)
{
	for (uint32_t s = 1; s < m->next_server; s++) {
		if (m->servers[s].ending)
			work_on_end(m, s);
		work_on_rewake(m, s);
	}
}

bool servers_ending(struct monitor *m)
{
	for (uint32_t s = 1; s < m->next_server; s++)
		if (m->servers[s].ending)
			return true;
	return false;
}

static int earlier(int timeout, int64_t at)
{
	int64_t left = at - now_ms();

	left = left < 0 ? 0 : left + 1;
	return timeout < 0 || left < timeout ? (int)left : timeout;
}

int servers_timeout(struct monitor *m, int timeout)
{
	for (uint32_t s = 1; s < m->next_server; s++) {
		struct server *srv = &m->servers[s];
		if (srv->rewakes)
			timeout = earlier(timeout, srv->rewake_at);
		if (srv->ending == END_LAZY)
			timeout = earlier(timeout, now_ms() + LAZY_PERIOD);
		else if (srv->ending)
			timeout = earlier(timeout, has_ended(m, srv) ? 0 : srv->deadline);
		if (srv->ending && srv->gone_at && !m->closing && !srv->shm->keeper)
			timeout = earlier(timeout, srv->gone_at + PATIENCE_HAND);
	}
	return timeout;
}
