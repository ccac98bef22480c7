/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor's control server with guests and servers that are not real: threads that post requests
 * as the wire format says, and child processes that hold the lock of a /dev/fuse, see that they are to end,
 * "flush" for a while and exit.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tap.h"

/* Nothing is prepared here (monitor/prepare.c). */
extern const uint8_t um_agent_image[64];
const uint8_t um_agent_image[64];
#include "../../src/monitor/log.c"
#include "../../src/monitor/world.c"
#include "../../src/monitor/procs.c"
#include "../../src/monitor/keepers.c"
#include "../../src/monitor/shadow.c"
#include "../../src/monitor/servers.c"
#include "../../src/monitor/reclaim.c"
#include "../../src/wire/pages.h"
#include "../../src/monitor/private.c"
#include "../../src/monitor/umount.c"
#include "../../src/monitor/control.c"

/* Nothing is mounted copy-on-write here (monitor/sessions.c). */
int sessions_take(struct monitor *mon, const char *tree, const char *lower)
{
	(void)mon, (void)tree, (void)lower;
	return 0;
}

void sessions_release(struct monitor *mon, const char *tree)
{
	(void)mon, (void)tree;
}

#define FLUSH_MS	150

static struct monitor *m;
static int stop;
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;	/* a test looks at the monitor's own records */

/* ---- the monitor's loop --------------------------------------------------------------------------- */

static void turn(int timeout)
{
	static struct pollfd fds[MONITOR_POLLS];
	pthread_mutex_lock(&looking);
	int n = monitor_poll(m, fds, &timeout);
	pthread_mutex_unlock(&looking);
	poll(fds, (nfds_t)n, timeout);
	pthread_mutex_lock(&looking);
	monitor_work(m);
	pthread_mutex_unlock(&looking);
}

/* A value among the monitor's own records. */
#define LOOK(value) ({ \
	pthread_mutex_lock(&looking); \
	__typeof__(value) seen_ = (value); \
	pthread_mutex_unlock(&looking); \
	seen_; \
})

static bool has_mount(uint32_t view, const char *path)
{
	pthread_mutex_lock(&looking);
	bool yes = mount_at(&m->w, view, path, UINT32_MAX) != NULL;
	pthread_mutex_unlock(&looking);
	return yes;
}

static void *loop(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		turn(20);
	return NULL;
}

/* ---- a guest -------------------------------------------------------------------------------------- */

struct guest {
	uint32_t k;
	struct um_slot *slot;
	struct um_server *head;
};

static struct guest guest_new(uint32_t k)
{
	struct guest g = { k, world_map(&m->w, UM_OFF_SLOT(0, k), sizeof(struct um_slot)),
			   world_map(&m->w, UM_OFF_SERVER(0), 4096) };

	g.slot->owner = (uint32_t)syscall(SYS_gettid);
	return g;
}

static void post(struct guest *g, uint32_t op, const struct um_request *req)
{
	g->slot->req = *req;
	g->slot->req.op = op;
	if (!req->pid)
		g->slot->req.pid = (uint32_t)getpid();
	__atomic_store_n(&g->slot->state, UM_SLOT_POSTED, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&g->head->posted[g->k / 64], 1ull << g->k % 64, __ATOMIC_SEQ_CST);
	server_ring(g->head);
}

static int await(struct guest *g)
{
	uint32_t s;

	while ((s = __atomic_load_n(&g->slot->state, __ATOMIC_ACQUIRE)) != UM_SLOT_DONE)
		syscall(SYS_futex, &g->slot->state, FUTEX_WAIT, s, NULL, NULL, 0);
	__atomic_store_n(&g->slot->state, UM_SLOT_IDLE, __ATOMIC_RELEASE);
	return g->slot->rep.error;
}

static int ask(struct guest *g, uint32_t op, struct um_request req)
{
	if (!req.epoch)
		req.epoch = UINT32_MAX;
	post(g, op, &req);
	return await(g);
}

static int ask_path(struct guest *g, uint32_t op, const char *path, uint32_t flags, uint32_t view, uint32_t pid)
{
	strcpy((char *)g->slot->data, path);
	return ask(g, op, (struct um_request) {
		.path_len = (uint32_t)strlen(path), .open_flags = flags, .view = view, .pid = pid });
}

static int ask_mount_but(struct guest *g, uint32_t op, uint32_t server, const char *path, const char *target,
			 uint32_t view, const char *except, uint32_t flags)
{
	const char *strings[] = { path, "source", "fuse.test", "rw", target, except };
	struct um_ctl_mount c = { .server = server, .rootmode = 040000, .is_dir = 1, .flags = flags };
	char *at = (char *)g->slot->data + sizeof(c);

	c.path_len = (uint32_t)strlen(path);
	c.source_len = 6;
	c.fstype_len = 9;
	c.options_len = 2;
	c.target_len = (uint32_t)strlen(target);
	c.except_len = (uint32_t)strlen(except);
	memcpy(g->slot->data, &c, sizeof(c));
	for (int i = 0; i < 6; i++)
		at = stpcpy(at, strings[i]) + 1;
	return ask(g, op, (struct um_request) { .view = view, .epoch = UINT32_MAX, .mode = 0755 });
}

static int ask_mount(struct guest *g, uint32_t op, uint32_t server, const char *path, const char *target,
		     uint32_t view)
{
	return ask_mount_but(g, op, server, path, target, view, "", 0);
}

/* ---- a server ------------------------------------------------------------------------------------- */

static int lock_at(uint64_t off)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = 1 };
	int fd = world_reopen(&m->w);

	fcntl(fd, F_OFD_SETLK, &fl);
	return fd;
}

/* Waits for its end as a FUSE server does, then takes its time. */
static void serve(struct um_server *shm, int ready)
{
	shm->pid = (uint32_t)getpid();
	if (write(ready, "", 1) != 1)
		_exit(1);
	while (__atomic_load_n(&shm->state, __ATOMIC_ACQUIRE) != UM_SERVER_ENDING) {
		uint32_t v = __atomic_load_n(&shm->doorbell, __ATOMIC_ACQUIRE);
		if (__atomic_load_n(&shm->state, __ATOMIC_ACQUIRE) != UM_SERVER_ENDING)
			syscall(SYS_futex, &shm->doorbell, FUTEX_WAIT, v, NULL, NULL, 0);
	}
	usleep(FLUSH_MS * 1000);
	_exit(0);
}

/* A number, a process that serves it, a mount.  Returns the number. */
static uint32_t server_start(struct guest *g, const char *path, uint32_t view, pid_t *pid)
{
	char c;
	int ready[2];

	is_int(ask(g, UM_CTL_NEW_SERVER, (struct um_request) { .op = 0 }), 0, "a number for %s", path);
	uint32_t s = g->slot->rep.handle;
	struct um_server *shm = world_map(&m->w, UM_OFF_SERVER(s), 4096);
	int fd = lock_at(UM_LOCK(s, UM_HANDLE_DEVICE));
	if (pipe(ready) < 0)
		return 0;
	*pid = fork();
	if (*pid == 0)
		serve(shm, ready[1]);
	close(fd);
	is_int(ask_mount(g, UM_CTL_MOUNT, s, path, "", view), 0, "it mounts");
	if (read(ready[0], &c, 1) != 1)
		return 0;
	close(ready[0]);
	close(ready[1]);
	munmap(shm, 4096);
	return s;
}

static uint32_t state_of(uint32_t s)
{
	struct um_server head;

	if (pread(m->w.fd, &head, sizeof(head), (off_t)UM_OFF_SERVER(s)) != sizeof(head))
		return 99;
	return head.state;
}

static bool becomes(uint32_t s, uint32_t state)
{
	for (int i = 0; i < 400 && state_of(s) != state; i++)
		usleep(5000);
	return state_of(s) == state;
}

/* ---- the tests ------------------------------------------------------------------------------------ */

static void test_garbage(struct guest *g)
{
	is_int(ask(g, 9999, (struct um_request) { .op = 0 }), -ENOSYS, "an unknown request");
	is_int(ask(g, UM_CTL_UMOUNT, (struct um_request) { .path_len = 0xffffffff }), -EINVAL, "a length from nowhere");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/nothing", 0, 0, 0), -EINVAL, "what is not mounted");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/nothing", 0, 77, 0), -EINVAL, "in a view that is not there");
	is_int(ask_mount(g, UM_CTL_BIND, 0, "relative", "/x", 0), -EINVAL, "a relative mount point");
	is_int(ask_mount(g, UM_CTL_BIND, 0, "/a/../b", "/x", 0), -EINVAL, "one that is not canonical");
	is_int(ask_mount(g, UM_CTL_BIND, 0, "/a", "", 0), -EINVAL, "a bind to nowhere");
	is_int(ask_mount(g, UM_CTL_BIND, 0, "/a", "/x", 300), -EINVAL, "in no view");
	is_int(ask_mount(g, UM_CTL_MOUNT, 5, "/a", "", 0), -EINVAL, "a server that was never given out");
	is_int(ask_mount(g, UM_CTL_MOUNT, 0, "/a", "", 0), -EINVAL, "the monitor as server");
	is_int(ask_mount(g, UM_CTL_MOUNT, 70000, "/a", "", 0), -EINVAL, "a number beyond all");
	is_int(ask(g, UM_CTL_BRANCH_END, (struct um_request) { .handle = 3 }), -EINVAL, "the end of no branch");
}

static void test_umount(struct guest *g)
{
	pid_t pid;
	uint32_t s = server_start(g, "/m", 0, &pid);

	is_int(state_of(s), UM_SERVER_LIVE, "it lives");
	is_int(ask_mount(g, UM_CTL_MOUNT, s, "/n", "", 0), -EINVAL, "it cannot be mounted twice");
	int handle = lock_at(UM_LOCK(s, 1));
	is_int(ask_path(g, UM_CTL_UMOUNT, "/m", 0, 0, 0), -EBUSY, "busy while a file is open");
	close(handle);
	is_int(ask_mount(g, UM_CTL_BIND, 0, "/m/below", "/tmp", 0), 0, "a bind below it");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/m", 0, 0, 0), -EBUSY, "busy while something is mounted in it");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/m/below", 0, 0, 0), 0, "that goes at once");
	int64_t before = now_ms();
	is_int(ask_path(g, UM_CTL_UMOUNT, "/m", 0, 0, 0), 0, "then it can be unmounted");
	ok(now_ms() - before >= FLUSH_MS, "the answer waits for the server's exit");
	is_int(waitpid(pid, NULL, WNOHANG), pid, "which has happened");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/m", 0, 0, 0), -EINVAL, "a second time there is nothing");
}

static void test_own_umount(struct guest *g)
{
	pid_t pid;
	uint32_t s = server_start(g, "/own", 0, &pid);
	int64_t before = now_ms();

	is_int(ask_path(g, UM_CTL_UMOUNT, "/own", MNT_DETACH, 0, (uint32_t)pid), 0, "a server unmounts itself");
	ok(now_ms() - before < FLUSH_MS, "and is not made to wait for itself");
	waitpid(pid, NULL, 0);
	ok(becomes(s, UM_SERVER_DEAD), "it is noted as gone");
	server_start(g, "/low", 0, &pid);
	is_int(ask(g, UM_CTL_UMOUNT, (struct um_request) { .path_len = 0, .epoch = 9999 }), -EINVAL, "no path");
	strcpy((char *)g->slot->data, "/low");
	is_int(ask(g, UM_CTL_UMOUNT, (struct um_request) { .path_len = 4, .epoch = 9999 }), -EINVAL,
	       "a server cannot unmount what it does not serve");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/low", 0, 0, 0), 0, "a guest can");
	waitpid(pid, NULL, 0);
}

static void test_death(struct guest *g)
{
	pid_t pid;
	uint32_t s = server_start(g, "/dies", 0, &pid);
	struct um_slot *client = world_map(&m->w, UM_OFF_SLOT(s, 3), sizeof(*client));
	struct timespec limit = { 3, 0 };

	client->owner = 1;
	client->state = UM_SLOT_POSTED;
	kill(pid, SIGKILL);
	long r = syscall(SYS_futex, &client->state, FUTEX_WAIT, UM_SLOT_POSTED, &limit, NULL, 0);
	ok(r == 0, "who waits for a server is woken by its death");
	waitpid(pid, NULL, 0);
	ok(becomes(s, UM_SERVER_DEAD), "it is dead");
	ok(has_mount(0, "/dies"), "its mount stays");
	int64_t before = now_ms();
	is_int(ask_path(g, UM_CTL_UMOUNT, "/dies", 0, 0, 0), 0, "until it is unmounted");
	ok(now_ms() - before < 1000, "which takes no time");
	munmap(client, sizeof(*client));
}

static void test_lazy(struct guest *g)
{
	pid_t pid;
	uint32_t s = server_start(g, "/lazy", 0, &pid);
	int handle = lock_at(UM_LOCK(s, 7));

	is_int(ask_path(g, UM_CTL_UMOUNT, "/lazy", MNT_DETACH, 0, 0), 0, "a lazy umount of a busy mount");
	ok(!has_mount(0, "/lazy"), "nobody finds it any more");
	usleep(200000);
	is_int(state_of(s), UM_SERVER_LIVE, "but who has it open can use it");
	close(handle);
	ok(becomes(s, UM_SERVER_ENDING) || becomes(s, UM_SERVER_DEAD), "until the last file is closed");
	waitpid(pid, NULL, 0);
	ok(becomes(s, UM_SERVER_DEAD), "then it ends");
}

static void test_branch(struct guest *g)
{
	pid_t outer, inner;
	uint32_t s = server_start(g, "/outer", 0, &outer);

	is_int(ask_path(g, UM_CTL_BRANCH, "b", 0, 0, 0), 0, "a branch");
	uint32_t v = g->slot->rep.handle;
	uint32_t t = server_start(g, "/inner", v, &inner);
	ok(has_mount(v, "/outer") && !has_mount(0, "/inner"), "who sees what");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/outer", 0, v, 0), 0, "the branch lets go of what it inherited");
	is_int(state_of(s), UM_SERVER_LIVE, "which lives on outside");
	int64_t before = now_ms();
	is_int(ask(g, UM_CTL_BRANCH_END, (struct um_request) { .handle = v }), 0, "the end of the branch");
	ok(now_ms() - before >= FLUSH_MS, "waits for its own server");
	is_int(state_of(t), UM_SERVER_DEAD, "which has ended");
	is_int(state_of(s), UM_SERVER_LIVE, "the other has not");
	waitpid(inner, NULL, 0);
	is_int(ask_path(g, UM_CTL_BRANCH, "b", 0, 0, 0), 0, "another branch");
	v = g->slot->rep.handle;
	is_int(ask_path(g, UM_CTL_UMOUNT, "/outer", 0, 0, 0), 0, "outside it is unmounted");
	is_int(state_of(s), UM_SERVER_LIVE, "but the branch still has it");
	is_int(ask(g, UM_CTL_BRANCH_END, (struct um_request) { .handle = v }), 0, "with the branch");
	ok(becomes(s, UM_SERVER_DEAD), "it ends");
	waitpid(outer, NULL, 0);
}

static long blocks(void)
{
	struct stat st;

	return fstat(m->w.fd, &st) == 0 ? st.st_blocks : -1;
}

/* What clients of an ended server used is given back, unless they may still be reading. */
static uint32_t rank_of(const char *path)
{
	pthread_mutex_lock(&looking);
	const struct mount_rec *r = mount_at(&m->w, 0, path, UINT32_MAX);
	uint32_t rank = r ? r->rank : 0;
	pthread_mutex_unlock(&looking);
	return rank;
}

static void test_viewfs(struct guest *g)
{
	is_int(ask_mount_but(g, UM_CTL_BIND, 0, "/v", "/else", 0, "d/a\nf/b/c", 0), 0, "a bind with exceptions");
	is_int(LOOK(m->w.views[0].nmounts), 3, "... is three mounts");
	is_int(LOOK(m->w.views[0].mounts[1]->flags == UM_MNT_PART), 1, "... of which two are parts");
	is_int(has_mount(0, "/v/a"), 0, "... that nobody finds by name");
	is_int(LOOK(m->w.views[0].mounts[1]->epoch), LOOK(m->w.views[0].mounts[0]->id), "... and see what was before");
	is_int(ask_mount_but(g, UM_CTL_BIND, 0, "/w", "/else", 0, "d/../x", 0), -EINVAL, "an exception that leads elsewhere");
	is_int(ask_mount_but(g, UM_CTL_HIDE, 0, "/v/h", "", 0, "", UM_MNT_PERM), 0, "hidden for good");
	is_int(ask_mount(g, UM_CTL_HIDE, 0, "/", "", 0), -EINVAL, "not the root");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/v/h", 0, 0, 0), -EPERM, "... is not to be unmounted");
	is_int(ask_mount_but(g, UM_CTL_REMOUNT, 0, "/v", "", 0, "", MS_RDONLY), 0, "made read-only");
	is_int(LOOK(m->w.views[0].mounts[0]->flags), MS_RDONLY, "... it is");
	is_int(ask_mount(g, UM_CTL_REMOUNT, 0, "/v/h", "", 0), -EINVAL, "nothing cannot");
	is_int(ask_mount(g, UM_CTL_REMOUNT, 0, "/none", "", 0), -EINVAL, "nor what is not mounted");
	uint32_t before = rank_of("/v"), hidden = rank_of("/v/h");
	is_int(before < hidden, 1, "the older is covered by the younger");
	is_int(ask_mount(g, UM_CTL_RENEW, 0, "/v", "", 0), 0, "renewed");
	is_int(rank_of("/v") > hidden, 1, "... it is not");
	is_int(LOOK(m->w.views[0].nmounts), 4, "... and still has its parts");
	is_int(LOOK(m->w.views[0].mounts[3]->rank > m->w.views[0].mounts[2]->rank), 1, "... above it");
	is_int(ask_mount(g, UM_CTL_RENEW, 0, "/none", "", 0), -EINVAL, "only what is mounted");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/v", 0, 0, 0), 0, "unmounted");
	is_int(LOOK(m->w.views[0].nmounts), 1, "... with its parts");
	pthread_mutex_lock(&looking);
	mount_remove(&m->w, 0, m->w.views[0].mounts[0]->id);
	pthread_mutex_unlock(&looking);
}

static void test_tmpfs(struct guest *g)
{
	char dir[200];
	struct stat st;

	is_int(ask_mount(g, UM_CTL_TMPFS, 0, "/t", "", 0), 0, "a tmpfs");
	pthread_mutex_lock(&looking);
	snprintf(dir, sizeof(dir), "%s", m->w.views[0].mounts[0]->target);
	pthread_mutex_unlock(&looking);
	is_int(stat(dir, &st), 0, "is a directory");
	is_int(st.st_mode, 040755, "... with the mode that was asked for");
	strcat(dir, "/a");
	mkdir(dir, 0);
	is_int(ask_path(g, UM_CTL_UMOUNT, "/t", 0, 0, 0), 0, "unmounted");
	strrchr(dir, '/')[0] = 0;
	for (int i = 0; i < 1000 && stat(dir, &st) == 0; i++)
		usleep(5000);
	is_int(stat(dir, &st), -1, "... it goes");
}

static void test_reclaim(struct guest *g)
{
	pid_t pid;
	uint32_t s = server_start(g, "/memory", 0, &pid);
	struct um_slot *dead = world_map(&m->w, UM_OFF_SLOT(s, 5), sizeof(*dead));
	struct um_slot *alive = world_map(&m->w, UM_OFF_SLOT(s, 500), sizeof(*alive));
	char *shown = world_map(&m->w, UM_OFF_PAGES(s), 1 << 20);

	memset(shown, 1, 1 << 20);
	dead->owner = 0x3ffffff;
	alive->owner = (uint32_t)getpid();
	memset(dead->data, 1, sizeof(dead->data));
	memset(alive->data, 1, sizeof(alive->data));
	is_int(ask_path(g, UM_CTL_UMOUNT, "/memory", 0, 0, 0), 0, "unmounted");
	waitpid(pid, NULL, 0);
	is_int(LOOK(shown[5]), 0, "what the server had shown its clients goes at once");
	long before = blocks();
	is_int(ask(g, UM_CTL_NEW_SERVER, (struct um_request) { .op = 0 }), 0, "the next number");
	ok(before - blocks() >= (long)UM_DATA_SIZE / 512 - 16, "memory was given back");
	ok(dead->data[0] == 0 && dead->owner, "that of a dead thread, but for the head");
	ok(alive->data[0] == 1, "not that of a living one");
	munmap(dead, sizeof(*dead));
	munmap(alive, sizeof(*alive));
	munmap(shown, 1 << 20);
}

/* A directory for watched files: asked for, there until the mount ends. */
static void test_shadow(struct guest *g)
{
	pid_t pid;
	uint32_t s = server_start(g, "/watched", 0, &pid);
	int fd;

	is_int(ask(g, UM_CTL_SHADOW, (struct um_request) { .handle = s }), 0, "a directory for watched files");
	fd = (int)LOOK(m->servers[s].shm->shadow) - 1;
	is_int(mkdirat(fd, "r", 0700), 0, "something can be made there");
	is_int(ask(g, UM_CTL_SHADOW, (struct um_request) { .handle = s }), 0, "it is asked for again");
	is_int((int)LOOK(m->servers[s].shm->shadow) - 1, fd, "and is the same");
	is_int(ask(g, UM_CTL_SHADOW, (struct um_request) { .handle = UM_SERVERS }), -ENOTCONN, "of no server");
	is_int(ask_path(g, UM_CTL_UMOUNT, "/watched", 0, 0, 0), 0, "its mount ends");
	is_int(LOOK(m->servers[s].shadow), -1, "the directory is no more");
	is_int(waitpid(pid, NULL, 0), pid, "nor is the server");
}

/* The same where nothing can be mounted: one with a name, and what others left behind is removed. */
static void test_shadow_named(void)
{
	struct server srv = { .shadow = -1 };
	char left[64], own[64];
	pid_t dead = fork();

	if (!dead)
		_exit(0);
	waitpid(dead, NULL, 0);
	snprintf(left, sizeof(left), "/dev/shm/" NAME, dead, 1u);
	mkdir(left, 0700);
	srv.shadow = open_named(&srv, 7);
	snprintf(own, sizeof(own), "%s", srv.shadow_path);
	ok(srv.shadow >= 0 && strstr(own, "-watch-7"), "a directory with a name");
	is_int(mkdirat(srv.shadow, "r", 0700), 0, "something can be made there");
	ok(access(left, F_OK) < 0, "that of a monitor that was killed is gone");
	shadow_close(&srv);
	ok(access(own, F_OK) < 0, "and so is this one when it is closed");
}

static void test_log(struct guest *g)
{
	is_int(ask_path(g, UM_CTL_LOG, "one line", 0, 0, 0), 0, "a line for the log");
	is_int(ask(g, UM_CTL_LOG_READ, (struct um_request) { .size = 1000 }), 0, "the log is read");
	g->slot->data[g->slot->rep.size] = 0;
	ok(strstr((char *)g->slot->data, "one line\n"), "and has it");
	is_int(ask(g, UM_CTL_LOG_READ, (struct um_request) { .size = 4 }), 0, "less than a line");
	is_int(g->slot->rep.size, 0, "is none");
}

/* Many guests at once: everyone gets his own answer. */
static void *crowd(void *arg)
{
	struct guest g = guest_new((uint32_t)(long)arg);
	long wrong = 0;

	for (int i = 0; i < 100; i++) {
		char path[64];
		snprintf(path, sizeof(path), "/crowd/%u/%d", g.k, i);
		wrong += ask_mount(&g, UM_CTL_BIND, 0, path, "/tmp", 0) != 0;
		wrong += ask_path(&g, UM_CTL_UMOUNT, path, 0, 0, 0) != 0;
		wrong += ask_path(&g, UM_CTL_UMOUNT, path, 0, 0, 0) != -EINVAL;
	}
	return (void *)wrong;
}

static void test_crowd(void)
{
	pthread_t threads[6];
	long wrong = 0;

	for (long i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, crowd, (void *)(100 + i * 70));
	for (int i = 0; i < 6; i++) {
		void *r;
		pthread_join(threads[i], &r);
		wrong += (long)r;
	}
	is_int(wrong, 0, "six guests at once");
}

/* Without the loop's thread: this is the end. */
static void test_close(struct guest *g, pthread_t thread)
{
	pid_t first, second;
	uint32_t a = server_start(g, "/first", 0, &first), b = server_start(g, "/first/second", 0, &second);

	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	ok(!monitor_close(m), "closing takes time");
	is_int(state_of(b), UM_SERVER_ENDING, "the newest ends first");
	is_int(state_of(a), UM_SERVER_LIVE, "the older one waits");
	while (!monitor_close(m))
		turn(1000);
	ok(state_of(a) == UM_SERVER_DEAD && state_of(b) == UM_SERVER_DEAD, "all have ended");
	is_int(m->w.head->ended, 1, "and the world says so");
	waitpid(first, NULL, 0);
	waitpid(second, NULL, 0);
}

int main(void)
{
	pthread_t thread;

	plan(0);
	m = calloc(1, sizeof(*m));
	is_int(world_create(&m->w), 0, "a world");
	is_int(monitor_start(m), 0, "a monitor");
	pthread_create(&thread, NULL, loop, NULL);
	struct guest g = guest_new(2);
	test_garbage(&g);
	test_umount(&g);
	test_own_umount(&g);
	test_death(&g);
	test_lazy(&g);
	test_branch(&g);
	test_viewfs(&g);
	test_tmpfs(&g);
	test_reclaim(&g);
	test_shadow(&g);
	test_shadow_named();
	test_log(&g);
	test_crowd();
	test_close(&g, thread);
	fflush(stdout);
	_exit(done());
}
