/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unmounting: on request, with a branch, at the end of the view.
 *
 * A mount is first taken out of the table, so that nobody finds it any more.  If no other view has it, its
 * server is told to end, and the request is answered when it has; the monitor serves others meanwhile.
 */
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"
#include "procs.h"

static bool is_last_holder(const struct mount_rec *r)
{
	return r->refs == 1;
}

uint32_t mount_end(struct monitor *m, uint32_t view, struct mount_rec *r, bool lazy, int slot)
{
	uint32_t server = r->kind == UM_MOUNT_REMOTE && is_last_holder(r) ? r->server : 0;

	log_line("umview: mount %u (%s) is taken out of view %u", r->id, r->path, view);
	if (r->made && is_last_holder(r))
		private_remove(r->target);
	if (r->kind == UM_MOUNT_COW && is_last_holder(r))
		sessions_release(m, r->target);
	mount_remove(&m->w, view, r->id);
	if (server)
		server_end(m, server, lazy, slot);
	else if (slot >= 0)
		control_answer(m, slot, 0);
	return server;
}

/* ---- umount(2) ------------------------------------------------------------------------------------ */

static bool is_served_by(struct monitor *m, const struct mount_rec *r, pid_t pid)
{
	if (r->kind != UM_MOUNT_REMOTE)
		return false;
	const struct um_server *shm = m->servers[r->server].shm;
	return (shm->pid && proc_descends(pid, (pid_t)shm->pid)) ||
	       (shm->keeper && proc_descends(pid, (pid_t)shm->keeper));
}

/* A server knows its mount by where it was made, wherever that has been moved. */
static bool is_own_name(struct monitor *m, const struct mount_rec *r, const char *path)
{
	const char *made = r->kind == UM_MOUNT_REMOTE ? m->servers[r->server].path : NULL;

	return made && !strcmp(made, path);
}

/*
 * What the caller means by this path.  A server (its epoch is the number of its own mount) sees only what
 * was there before it; it may name its own mount or another one it serves, nothing else: late in its
 * life, when its mount is gone, it must not unmount what was below.
 */
static struct mount_rec *find_target(struct monitor *m, const struct um_request *req, const char *path)
{
	if (req->epoch == UINT32_MAX)
		return mount_at(&m->w, req->view, path, req->epoch);
	struct mount_rec *r = mount_by_id(&m->w, req->view, req->epoch);
	if (r && (!strcmp(r->path, path) || is_own_name(m, r, path)))
		return r;
	r = mount_at(&m->w, req->view, path, req->epoch);
	return r && is_served_by(m, r, (pid_t)req->pid) ? r : NULL;
}

/*
 * A FUSE library unmounts when its loop has ended, also when that was because somebody else had unmounted.
 * For a server that names its own mount, which is gone, all is as it wishes.
 */
static bool is_own_and_gone(struct monitor *m, const struct um_request *req, const char *path)
{
	for (uint32_t s = 1; s < m->next_server; s++) {
		const struct server *srv = &m->servers[s];
		if (srv->mount == req->epoch && srv->path && !strcmp(srv->path, path))
			return true;
	}
	return false;
}

/* A lazy umount takes along what lies below. */
static void end_children(struct monitor *m, uint32_t v, const struct mount_rec *top)
{
	struct view *view = view_get(&m->w, v);

	for (uint32_t i = view->nmounts; i-- > 0;) {
		struct mount_rec *r = view->mounts[i];
		if (r->rank > top->rank && path_is_below(r->path, top->path) && strcmp(r->path, top->path))
			mount_end(m, v, r, true, -1);
	}
}

int umount_request(struct monitor *m, const struct um_request *req, const char *path, int slot)
{
	bool lazy = req->open_flags & MNT_DETACH;

	if (req->open_flags & ~(uint32_t)(MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW))
		return -EINVAL;
	struct mount_rec *r = view_get(&m->w, req->view) ? find_target(m, req, path) : NULL;
	if (!r)
		return is_own_and_gone(m, req, path) ? 0 : -EINVAL;
	if (r->flags & UM_MNT_PERM)
		return -EPERM;
	bool own = is_served_by(m, r, (pid_t)req->pid) || req->epoch == r->id;
	if (!lazy) {
		if (mount_has_children(&m->w, req->view, r))
			return -EBUSY;
		if (r->kind == UM_MOUNT_REMOTE && is_last_holder(r) && server_is_busy(m, r->server))
			return -EBUSY;
	} else {
		end_children(m, req->view, r);
	}
	bool wait = !own && !lazy;
	log_line("umview: process %u unmounts %s", req->pid, path);
	mount_end(m, req->view, r, lazy, wait ? slot : -1);
	return wait ? ANSWER_LATER : 0;
}

/* ---- branches ------------------------------------------------------------------------------------- */

/* Takes the newest mount out of a view (own: made there, not inherited).  Returns the server that ends now,
 * 0 if that needs none, -1 if there was no such mount. */
static int end_newest(struct monitor *m, uint32_t v, bool own, bool lazy)
{
	struct view *view = view_get(&m->w, v);

	for (uint32_t i = view->nmounts; i-- > 0;)
		if (!own || view->mounts[i]->view == v)
			return (int)mount_end(m, v, view->mounts[i], lazy, -1);
	return -1;
}

int branch_end_request(struct monitor *m, uint32_t v, int slot)
{
	for (int i = 0; i < m->nbranches; i++)
		if (m->branches[i].view == v && !m->branches[i].ending) {
			m->branches[i].ending = true;
			m->branches[i].waiter = slot;
			return ANSWER_LATER;
		}
	return -EINVAL;
}

/* One look at a branch.  Returns true when it is done with. */
static bool work_on_branch(struct monitor *m, struct branch *b)
{
	struct pollfd p = { .fd = b->pidfd, .events = POLLIN };

	if (!b->ending && b->pidfd >= 0 && poll(&p, 1, 0) > 0) {
		/* Its monitor died: guests may live in it, so the view stays and its mounts go when unused. */
		log_line("umview: the monitor of branch %u is gone", b->view);
		while (end_newest(m, b->view, true, true) >= 0)
			;
		return true;
	}
	if (!b->ending)
		return false;
	while (!m->servers[b->server].ending) {
		int s = end_newest(m, b->view, false, false);
		if (s < 0) {
			view_free(&m->w, b->view);
			control_answer(m, b->waiter, 0);
			return true;
		}
		b->server = (uint32_t)s;
	}
	return false;
}

void branches_work(struct monitor *m)
{
	for (int i = m->nbranches; i-- > 0;) {
		if (!work_on_branch(m, &m->branches[i]))
			continue;
		if (m->branches[i].pidfd >= 0)
			close(m->branches[i].pidfd);
		m->branches[i] = m->branches[--m->nbranches];
	}
}

/* ---- the end of the view -------------------------------------------------------------------------- */

static struct mount_rec *newest_of_all(struct monitor *m, uint32_t *view)
{
	struct mount_rec *newest = NULL;

	for (uint32_t v = 0; v < UM_VIEWS; v++) {
		struct view *w = view_get(&m->w, v);
		if (w && w->nmounts && (!newest || w->mounts[w->nmounts - 1]->id > newest->id)) {
			newest = w->mounts[w->nmounts - 1];
			*view = v;
		}
	}
	return newest;
}

bool monitor_close(struct monitor *m)
{
	struct mount_rec *r;
	uint32_t v = 0;

	if (!m->closing) {
		m->closing = true;
		__atomic_store_n(&m->w.head->ended, 1, __ATOMIC_RELEASE);
	}
	while (!servers_ending(m) && (r = newest_of_all(m, &v)))
		mount_end(m, v, r, false, -1);
	return !servers_ending(m);
}
