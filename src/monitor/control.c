/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control requests: what guests ask the monitor for, over the channel of server number 0.
 *
 * One thread sleeps on the doorbell (a futex, which poll(2) cannot wait for) and passes each ring on to
 * an eventfd; the main loop then serves what is posted.  Nothing here blocks: a request that has to
 * wait for a server's end is answered later.
 *
 * A request lies in memory that the guest can write, so it is copied first, then checked, then believed.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"
#include "prepare.h"
#include "procs.h"

#define MOUNT_FLAGS	(0x0fffffffu | UM_MNT_PERM)	/* what a guest may set: MS_*; above are our own */
#define REMOUNT_FLAGS	(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define MAX_PARTS	256u

/* ---- the channel ---------------------------------------------------------------------------------- */

struct um_slot *control_slot(struct monitor *m, uint32_t k)
{
	if (!m->slots[k])
		m->slots[k] = world_map(&m->w, UM_OFF_SLOT(0, k), sizeof(struct um_slot));
	return m->slots[k];
}

static void slot_done(struct um_slot *s)
{
	__atomic_store_n(&s->state, UM_SLOT_DONE, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &s->state, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

void control_answer(struct monitor *m, int slot, int error)
{
	struct um_slot *s = control_slot(m, (uint32_t)slot);

	s->rep.error = error;
	slot_done(s);
}

/* One request, copied out of the guest's reach. */
struct call {
	struct monitor *m;
	int slot;
	struct um_slot *shm;
	struct um_request req;
	pid_t pid;			/* who asks */
	struct um_reply rep;
};

/* The path of the request as a string of its own; NULL if it makes no sense. */
static char *call_text(struct call *c)
{
	uint32_t len = c->req.path_len;
	char *text = len < UM_DATA_SIZE ? malloc(len + 1) : NULL;

	if (!text)
		return NULL;
	memcpy(text, c->shm->data, len);
	text[len] = 0;
	if (strlen(text) == len)
		return text;
	free(text);
	return NULL;
}

/* ---- mount ---------------------------------------------------------------------------------------- */

struct mount_call {
	struct um_ctl_mount c;
	char *data;			/* the strings */
	char *except;
	struct mount_rec rec;		/* points into data */
};

static char *next_string(struct mount_call *mc, size_t *at, uint32_t len)
{
	char *s = mc->data + *at;

	if (len >= UM_DATA_SIZE || *at + len + 1 > UM_DATA_SIZE - sizeof(mc->c))
		return NULL;
	if (s[len] || strlen(s) != len)
		return NULL;
	*at += len + 1;
	return s;
}

static int mount_call_read(struct mount_call *mc, const struct call *c)
{
	size_t at = 0;

	memcpy(&mc->c, c->shm->data, sizeof(mc->c));
	mc->data = malloc(UM_DATA_SIZE);
	if (!mc->data)
		return -ENOMEM;
	memcpy(mc->data, c->shm->data + sizeof(mc->c), UM_DATA_SIZE - sizeof(mc->c));
	mc->rec = (struct mount_rec) { .flags = mc->c.flags & MOUNT_FLAGS, .is_dir = mc->c.is_dir != 0 };
	if (!(mc->rec.path = next_string(mc, &at, mc->c.path_len)) ||
	    !(mc->rec.source = next_string(mc, &at, mc->c.source_len)) ||
	    !(mc->rec.fstype = next_string(mc, &at, mc->c.fstype_len)) ||
	    !(mc->rec.options = next_string(mc, &at, mc->c.options_len)) ||
	    !(mc->rec.target = next_string(mc, &at, mc->c.target_len)) ||
	    !(mc->except = next_string(mc, &at, mc->c.except_len)))
		return -EINVAL;
	return path_is_canonical(mc->rec.path) ? 0 : -EINVAL;
}

static void server_describe(struct call *c, const struct mount_call *mc)
{
	struct um_server *shm = c->m->servers[mc->c.server].shm;
	struct keeper *k = keeper_of(c->m, c->pid);

	shm->keeper = k ? (uint32_t)k->pid : 0;
	shm->mount_id = c->m->w.next_id;
	shm->mount_flags = mc->rec.flags;
	shm->rootmode = mc->c.rootmode;
	shm->max_read = mc->c.max_read;
	shm->default_permissions = mc->c.default_permissions;
	shm->allow_other = mc->c.allow_other;
	shm->owner_uid = mc->c.user_id;
	shm->as = k ? k->flags & (UM_SERVANT_UID | UM_SERVANT_GID) : 0;
	shm->as_uid = k ? k->uid : 0;
	shm->as_gid = k ? k->gid : 0;
}

/* A file system in an image of the user's own is served as root's; one started by hand is not. */
static uint32_t keeper_flags(struct call *c)
{
	struct keeper *k = keeper_of(c->m, c->pid);
	uint32_t flags = k && k->flags & UM_SERVANT_ROOT ? 0 : UM_MNT_HUMAN;

	if (k && k->flags & UM_SERVANT_MERGE)
		flags |= UM_MNT_MERGE;
	if (k && k->flags & UM_SERVANT_ALONE)
		flags |= UM_MNT_ALONE;
	return k && k->flags & UM_SERVANT_RO ? flags | MS_RDONLY : flags;
}

/* What a keeper put where there was nothing, so that the FUSE program found a directory, has served. */
static void drop_placeholder(struct call *c, const char *path, uint32_t id)
{
	struct mount_rec *r = mount_at(&c->m->w, c->req.view, path, id);

	if (r && r->placeholder)
		mount_end(c->m, c->req.view, r, false, -1);
}

static int mount_remote(struct call *c, struct mount_call *mc)
{
	uint32_t s = mc->c.server;
	struct server *srv = &c->m->servers[s < UM_SERVERS ? s : 0];

	if (!s || s >= UM_SERVERS || !srv->shm || srv->shm->state != UM_SERVER_OPEN)
		return -EINVAL;
	mc->rec.kind = UM_MOUNT_REMOTE;
	mc->rec.server = s;
	mc->rec.flags |= keeper_flags(c);
	server_describe(c, mc);
	/* Live before anybody can find it. */
	__atomic_store_n(&srv->shm->state, UM_SERVER_LIVE, __ATOMIC_RELEASE);
	int id = mount_add(&c->m->w, c->req.view, &mc->rec);
	if (id < 0) {
		__atomic_store_n(&srv->shm->state, UM_SERVER_OPEN, __ATOMIC_RELEASE);
		return id;
	}
	server_mounted(c->m, s, (uint32_t)id, mc->rec.path);
	drop_placeholder(c, mc->rec.path, (uint32_t)id);
	return id;
}

/* One line of `except`: a bind of the place on itself, as it was before; or what is merged into the whole.  0, or -errno. */
static int part_read(struct mount_rec *part, const struct mount_call *mc, char *line)
{
	const char *dir = mc->rec.path[1] ? mc->rec.path : "";
	char *path;

	if (line[0] == 'm') {
		path = strdup(mc->rec.path);
		*part = (struct mount_rec) {
			.kind = UM_MOUNT_MERGE, .flags = UM_MNT_PART, .is_dir = 1, .path = path, .target = line + 1,
		};
		return !path ? -ENOMEM : path_is_canonical(line + 1) ? 0 : -EINVAL;
	}
	if (strlen(line) < 3 || asprintf(&path, "%s%s", dir, line + 1) < 0)
		return -EINVAL;
	*part = (struct mount_rec) {
		.kind = UM_MOUNT_BIND, .flags = UM_MNT_PART, .is_dir = line[0] == 'd', .path = path, .target = path,
	};
	return path_is_canonical(path) ? 0 : -EINVAL;
}

static int mount_place(struct call *c, struct mount_call *mc, uint32_t kind)
{
	struct mount_rec parts[MAX_PARTS];
	struct keeper *k = keeper_of(c->m, c->pid);
	uint32_t n = 0;
	int r = path_is_canonical(mc->rec.target) ? 0 : -EINVAL;

	mc->rec.kind = kind;
	mc->rec.placeholder = k && k->pid == c->pid;
	for (char *save, *line = strtok_r(mc->except, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save)) {
		if (n == MAX_PARTS)
			r = -E2BIG;
		else if (!(r = part_read(&parts[n], mc, line)))
			n++;
	}
	if (r == 0)
		r = mount_add_with(&c->m->w, c->req.view, &mc->rec, parts, n);
	while (n > 0)
		free(parts[--n].path);
	return r;
}

static int mount_bind(struct call *c, struct mount_call *mc)
{
	return mount_place(c, mc, UM_MOUNT_BIND);
}

static int mount_merge(struct call *c, struct mount_call *mc)
{
	return mount_place(c, mc, UM_MOUNT_MERGE);
}

static int mount_hide(struct call *c, struct mount_call *mc)
{
	mc->rec.kind = UM_MOUNT_HIDE;
	return mc->rec.path[1] ? mount_add(&c->m->w, c->req.view, &mc->rec) : -EINVAL;
}

static int mount_tmpfs(struct call *c, struct mount_call *mc)
{
	char dir[PRIVATE_PATH];
	int r = private_make(c->m, c->req.mode, dir);

	if (r < 0)
		return r;
	mc->rec.kind = UM_MOUNT_BIND;
	mc->rec.is_dir = 1;
	mc->rec.made = true;
	mc->rec.target = dir;
	r = mount_add(&c->m->w, c->req.view, &mc->rec);
	if (r < 0)
		private_remove(dir);
	return r;
}

static int mount_cow(struct call *c, struct mount_call *mc)
{
	if (!path_is_canonical(mc->rec.target) || !strrchr(mc->rec.target + 1, '/'))
		return -EINVAL;
	int r = sessions_take(c->m, mc->rec.target, mc->rec.path);
	if (r < 0)
		return r;
	r = mount_place(c, mc, UM_MOUNT_COW);
	if (r < 0)
		sessions_release(c->m, mc->rec.target);
	return r;
}

static int remount(struct call *c, struct mount_call *mc)
{
	struct mount_rec *r = mount_at(&c->m->w, c->req.view, mc->rec.path, c->req.epoch);

	if (!r || r->kind == UM_MOUNT_HIDE)
		return -EINVAL;
	if (r->kind == UM_MOUNT_REMOTE)		/* its server was told when it was mounted */
		return (r->flags & REMOUNT_FLAGS) == (mc->rec.flags & REMOUNT_FLAGS) ? (int)r->id : -EINVAL;
	int e = mount_set_flags(&c->m->w, c->req.view, r, (r->flags & ~(uint32_t)REMOUNT_FLAGS) |
				(mc->rec.flags & REMOUNT_FLAGS));
	return e < 0 ? e : (int)r->id;
}

static int renew(struct call *c, struct mount_call *mc)
{
	struct view *view = view_get(&c->m->w, c->req.view);
	const char *source = mc->rec.source;

	for (uint32_t i = view ? view->nmounts : 0; i-- > 0;) {
		struct mount_rec *r = view->mounts[i];
		uint32_t id = r->id;
		if (r->flags & UM_MNT_PART || r->id >= c->req.epoch || strcmp(r->path, mc->rec.path) ||
		    (*source && strcmp(source, r->source) && strcmp(source, r->target)))
			continue;
		int e = mount_renew(&c->m->w, c->req.view, r);
		return e < 0 ? e : (int)id;
	}
	return -EINVAL;
}

static int move(struct call *c, struct mount_call *mc)
{
	struct mount_rec *r = mount_at(&c->m->w, c->req.view, mc->rec.target, c->req.epoch);

	if (!r)
		return -EINVAL;
	if (r->flags & UM_MNT_PERM)
		return -EPERM;
	uint32_t id = r->id;
	int e = mount_move(&c->m->w, c->req.view, r, mc->rec.path);
	return e < 0 ? e : (int)id;
}

static const struct mount_op {
	const char *name;
	int (*run)(struct call *c, struct mount_call *mc);
} mount_ops[] = {
	[UM_CTL_MOUNT - UM_CTL_MOUNT] = { "server", mount_remote },
	[UM_CTL_BIND - UM_CTL_MOUNT] = { "bind", mount_bind },
	[UM_CTL_MERGE - UM_CTL_MOUNT] = { "merge", mount_merge },
	[UM_CTL_HIDE - UM_CTL_MOUNT] = { "hide", mount_hide },
	[UM_CTL_TMPFS - UM_CTL_MOUNT] = { "tmpfs", mount_tmpfs },
	[UM_CTL_COW - UM_CTL_MOUNT] = { "cow", mount_cow },
	[UM_CTL_REMOUNT - UM_CTL_MOUNT] = { "remount", remount },
	[UM_CTL_RENEW - UM_CTL_MOUNT] = { "renew", renew },
	[UM_CTL_MOVE - UM_CTL_MOUNT] = { "move", move },
};

static int ctl_mount(struct call *c)
{
	const struct mount_op *op = &mount_ops[c->req.op - UM_CTL_MOUNT];
	struct mount_call mc = { .data = NULL };
	int r = mount_call_read(&mc, c);

	if (r == 0 && c->m->closing)
		r = -EPERM;
	if (r == 0)
		r = op->run(c, &mc);
	free(mc.data);
	if (r < 0)
		return r;
	log_line("umview: mount %d: %s on view %u, by process %d", r, op->name, c->req.view, c->pid);
	c->rep.handle = (uint32_t)r;
	return 0;
}

/* ---- the other requests --------------------------------------------------------------------------- */

static int ctl_new_server(struct call *c)
{
	int s = c->m->closing ? -EPERM : server_new(c->m);

	if (s < 0)
		return s;
	c->rep.handle = (uint32_t)s;
	return 0;
}

static int ctl_umount(struct call *c)
{
	char *path = call_text(c);

	if (!path)
		return -EINVAL;
	c->req.pid = (uint32_t)c->pid;
	int r = umount_request(c->m, &c->req, path, c->slot);
	free(path);
	return r;
}

static int ctl_branch(struct call *c)
{
	char *name = call_text(c);
	int v = name ? view_branch(&c->m->w, c->req.view, c->req.epoch, name) : -EINVAL;

	free(name);
	if (v < 0)
		return v;
	c->m->branches[c->m->nbranches++] = (struct branch) {
		.view = (uint32_t)v, .waiter = -1, .pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0),
	};
	c->rep.handle = (uint32_t)v;
	return 0;
}

static int ctl_branch_end(struct call *c)
{
	return branch_end_request(c->m, c->req.handle, c->slot);
}

static int ctl_log(struct call *c)
{
	char *line = call_text(c);

	if (!line)
		return -EINVAL;
	log_text(line, strlen(line));
	free(line);
	return 0;
}

static int ctl_log_read(struct call *c)
{
	size_t room = c->req.size < UM_DATA_SIZE ? c->req.size : UM_DATA_SIZE;

	c->rep.size = log_tail((char *)c->shm->data, room);
	return 0;
}

static int ctl_servant(struct call *c)
{
	if (!(c->req.mode & UM_SERVANT_LIST))
		return keeper_add(c->m, c->pid, &c->req);
	c->rep.size = sizeof(pid_t) * (size_t)monitor_servants(c->m, (pid_t *)c->shm->data,
							       UM_DATA_SIZE / sizeof(pid_t));
	return 0;
}

static int ctl_shadow(struct call *c)
{
	uint32_t s = c->req.handle;

	return s && s < UM_SERVERS && c->m->servers[s].served ? shadow_open(&c->m->servers[s], s) : -ENOTCONN;
}

static int ctl_prepare(struct call *c)
{
	char *path = call_text(c);

	if (!path)
		return -EINVAL;
	if (c->m->w.head->patch_after)
		prepare_linker(&c->m->w, path);
	free(path);
	return 0;
}

/* Outside: as we are, in no view. */
static int ctl_review(struct call *c)
{
	char *text = call_text(c), *save, *args[7] = { (char *)"umview-reviewer" };
	sigset_t none;
	int n = 1;

	for (char *word = text ? strtok_r(text, " ", &save) : NULL; word && n < 6; word = strtok_r(NULL, " ", &save))
		args[n++] = word;
	pid_t pid = n == 6 && !c->m->closing ? fork() : -2;
	if (!pid) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execv("/proc/self/exe", args);
		_exit(127);
	}
	free(text);
	c->rep.handle = pid > 0 ? (uint32_t)pid : 0;
	return pid == -2 ? -EINVAL : pid < 0 ? -EAGAIN : 0;
}

static int dispatch(struct call *c)
{
	switch (c->req.op) {
	case UM_CTL_NEW_SERVER:	return ctl_new_server(c);
	case UM_CTL_MOUNT:
	case UM_CTL_BIND:
	case UM_CTL_MERGE:
	case UM_CTL_HIDE:
	case UM_CTL_TMPFS:
	case UM_CTL_COW:
	case UM_CTL_REMOUNT:
	case UM_CTL_MOVE:
	case UM_CTL_RENEW:	return ctl_mount(c);
	case UM_CTL_UMOUNT:	return ctl_umount(c);
	case UM_CTL_BRANCH:	return ctl_branch(c);
	case UM_CTL_BRANCH_END:	return ctl_branch_end(c);
	case UM_CTL_LOG:	return ctl_log(c);
	case UM_CTL_LOG_READ:	return ctl_log_read(c);
	case UM_CTL_SERVANT:	return ctl_servant(c);
	case UM_CTL_SHADOW:	return ctl_shadow(c);
	case UM_CTL_REVIEW:	return ctl_review(c);
	case UM_CTL_PREPARE:	return ctl_prepare(c);
	default:		return -ENOSYS;
	}
}

static void serve_slot(struct monitor *m, uint32_t k)
{
	struct call c = { .m = m, .slot = (int)k, .shm = control_slot(m, k) };

	if (!c.shm || __atomic_load_n(&c.shm->state, __ATOMIC_ACQUIRE) != UM_SLOT_POSTED)
		return;
	__atomic_store_n(&c.shm->state, UM_SLOT_TAKEN, __ATOMIC_SEQ_CST);
	memcpy(&c.req, &c.shm->req, sizeof(c.req));
	c.pid = c.req.pid ? (pid_t)c.req.pid : proc_of_thread((pid_t)c.shm->owner);
	/* Only then: an answer that comes from within umount_request must not be overwritten. */
	c.shm->rep = c.rep;
	int r = dispatch(&c);
	if (r == ANSWER_LATER)
		return;
	c.rep.error = r;
	c.shm->rep = c.rep;
	slot_done(c.shm);
}

void control_serve(struct monitor *m)
{
	struct um_server *self = m->servers[0].shm;
	uint64_t rings;

	if (read(m->bell_fd, &rings, sizeof(rings)) < 0 && errno != EAGAIN)
		return;
	for (uint32_t i = 0; i < UM_SLOTS / 64; i++) {
		uint64_t bits = __atomic_exchange_n(&self->posted[i], 0, __ATOMIC_SEQ_CST);
		for (; bits; bits &= bits - 1)
			serve_slot(m, i * 64 + (uint32_t)__builtin_ctzll(bits));
	}
}

/* ---- the doorbell --------------------------------------------------------------------------------- */

/* What it reads of the monitor was set before it was started and does not change. */
static void *bell_main(void *arg)
{
	const struct monitor *m = arg;
	uint32_t *doorbell = &m->servers[0].shm->doorbell, seen = 0;
	const uint64_t one = 1;

	for (;;) {
		uint32_t now = __atomic_load_n(doorbell, __ATOMIC_SEQ_CST);
		if (now != seen) {
			seen = now;
			if (write(m->bell_fd, &one, sizeof(one)) < 0 && errno == EBADF)
				return NULL;
			continue;
		}
		syscall(SYS_futex, doorbell, FUTEX_WAIT, now, NULL, NULL, 0);
	}
}

/* ---- the monitor as a whole ----------------------------------------------------------------------- */

int monitor_start(struct monitor *m)
{
	int r = servers_start(m);

	if (r < 0)
		return r;
	m->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->bell_fd < 0)
		return -errno;
	return thread_start(bell_main, m);
}

void monitor_stop(struct monitor *m)
{
	for (uint32_t k = 0; k < UM_SLOTS; k++)
		if (m->slots[k])
			munmap(m->slots[k], sizeof(struct um_slot));
	for (int i = 0; i < m->nkeepers; i++)
		close(m->keepers[i].pidfd);
	for (int i = 0; i < m->nbranches; i++)
		if (m->branches[i].pidfd >= 0)
			close(m->branches[i].pidfd);
	servers_stop(m);
	world_destroy(&m->w);
}

int monitor_poll(struct monitor *m, struct pollfd *fds, int *timeout)
{
	int n = 0;

	fds[n++] = (struct pollfd) { .fd = m->bell_fd, .events = POLLIN };
	fds[n++] = (struct pollfd) { .fd = m->gone_fd[0], .events = POLLIN };
	for (uint32_t s = 1; s < m->next_server; s++)
		if (m->servers[s].pidfd >= 0)
			fds[n++] = (struct pollfd) { .fd = m->servers[s].pidfd, .events = POLLIN };
	for (int i = 0; i < m->nkeepers; i++)
		fds[n++] = (struct pollfd) { .fd = m->keepers[i].pidfd, .events = POLLIN };
	for (int i = 0; i < m->nbranches; i++)
		if (m->branches[i].pidfd >= 0)
			fds[n++] = (struct pollfd) { .fd = m->branches[i].pidfd, .events = POLLIN };
	*timeout = servers_timeout(m, *timeout);
	return n;
}

void monitor_work(struct monitor *m)
{
	servers_gone(m);
	control_serve(m);
	keepers_work(m);
	servers_work(m);
	branches_work(m);
}
