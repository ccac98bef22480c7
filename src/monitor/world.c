/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world file, its views, and their mounts.
 *
 * The monitor keeps the mounts of each view as ordinary records.  Whatever changes them publishes the view
 * anew (snapshot.c), and undoes the change if that fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

/* ---- paths ---------------------------------------------------------------------------------------- */

bool path_is_canonical(const char *path)
{
	if (path[0] != '/' || strlen(path) >= PATH_MAX)
		return false;
	if (!path[1])
		return true;
	while (*path) {
		size_t n = strcspn(++path, "/");
		if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += n;
	}
	return true;
}

bool path_is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (n == 1)
		return true;
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || !path[n]);
}

/* ---- the file ------------------------------------------------------------------------------------- */

void *world_map(const struct world *w, uint64_t offset, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, (off_t)offset);
	return p == MAP_FAILED ? NULL : p;
}

int world_reopen(const struct world *w)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int world_open_file(struct world *w)
{
	w->fd = memfd_create("umview-world", MFD_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	if (ftruncate(w->fd, (off_t)UM_WORLD_SIZE) < 0)
		return -errno;
	w->head = world_map(w, 0, 4096);
	return w->head ? 0 : -errno;
}

static int world_make_vstat(struct world *w)
{
	void *p = world_map(w, UM_OFF_VSTAT, 4096);

	if (!p)
		return -errno;
	um_vtable_format(p, UM_VSTAT_RECORDS);
	munmap(p, 4096);
	return 0;
}

static void world_name_binary(struct um_world *head)
{
	ssize_t n = readlink("/proc/self/exe", head->umview_path, sizeof(head->umview_path) - 1);

	if (n < 0 || n == (ssize_t)sizeof(head->umview_path) - 1)
		n = 0;
	head->umview_path[n] = 0;
}

static int view_open(struct world *w, uint32_t v, uint32_t parent, const char *name);

int world_create(struct world *w)
{
	struct timespec now;

	memset(w, 0, sizeof(*w));
	w->next_id = 1;
	int r = world_open_file(w);
	if (r < 0) {
		world_destroy(w);
		return r;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	w->head->magic = UM_WORLD_MAGIC;
	w->head->version = UM_WORLD_VERSION;
	w->head->monitor_pid = (uint32_t)getpid();
	w->head->boot_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	w->head->patch_after = 30;
	world_name_binary(w->head);
	r = world_make_vstat(w);
	if (r == 0)
		r = view_open(w, 0, 0, "");
	if (r == 0)
		r = view_publish(&w->views[0]);
	if (r < 0)
		world_destroy(w);
	return r;
}

static void mount_put(struct mount_rec *m)
{
	if (--m->refs > 0)
		return;
	free(m->path);
	free(m->source);
	free(m->fstype);
	free(m->options);
	free(m->target);
	free(m);
}

static void view_close(struct view *v)
{
	for (uint32_t i = 0; i < v->nmounts; i++)
		mount_put(v->mounts[i]);
	free(v->mounts);
	if (v->slot)
		munmap(v->slot, UM_VIEW_SPAN);
	memset(v, 0, sizeof(*v));
}

void world_destroy(struct world *w)
{
	for (uint32_t v = 0; v < UM_VIEWS; v++)
		view_close(&w->views[v]);
	if (w->head)
		munmap(w->head, 4096);
	if (w->fd >= 0)
		close(w->fd);
	w->head = NULL;
	w->fd = -1;
}

/* ---- views ---------------------------------------------------------------------------------------- */

struct view *view_get(struct world *w, uint32_t v)
{
	return v < UM_VIEWS && w->views[v].slot ? &w->views[v] : NULL;
}

static int view_open(struct world *w, uint32_t v, uint32_t parent, const char *name)
{
	struct um_view_slot *slot = world_map(w, UM_OFF_VIEW(v), UM_VIEW_SPAN);
	struct um_snapshot *old;

	if (!slot)
		return -errno;
	/* A number that is used again goes on counting: a stale reader must not take new for old. */
	old = (struct um_snapshot *)((char *)slot + um_snapshot_at(slot->current));
	w->views[v].version = old->seq / 2;
	w->views[v].published[slot->current >= UM_RING] = slot->current % UM_RING;
	w->views[v].slot = slot;
	slot->parent = parent;
	slot->depth = v ? w->views[parent].slot->depth + 1 : 0;
	slot->moves = v ? w->views[parent].slot->moves : 0;
	snprintf(slot->name, sizeof(slot->name), "%s", name);
	__atomic_store_n(&slot->used, 1, __ATOMIC_RELEASE);
	return 0;
}

static int view_append(struct view *v, struct mount_rec *m)
{
	if (v->nmounts == v->room) {
		uint32_t room = v->room ? 2 * v->room : 16;
		void *p = realloc(v->mounts, room * sizeof(*v->mounts));
		if (!p)
			return -ENOMEM;
		v->mounts = p;
		v->room = room;
	}
	v->mounts[v->nmounts++] = m;
	m->refs++;
	return 0;
}

static int view_copy_mounts(struct view *to, const struct view *from, uint32_t epoch)
{
	int r = 0;

	for (uint32_t i = 0; i < from->nmounts && r == 0; i++)
		if (from->mounts[i]->id < epoch)
			r = view_append(to, from->mounts[i]);
	return r < 0 ? r : view_publish(to);
}

int view_branch(struct world *w, uint32_t parent, uint32_t epoch, const char *name)
{
	struct view *from = view_get(w, parent);
	uint32_t v = 1;

	if (!from)
		return -EINVAL;
	while (v < UM_VIEWS && w->views[v].slot)
		v++;
	if (v == UM_VIEWS)
		return -ENOSPC;
	int r = view_open(w, v, parent, name);
	if (r == 0)
		r = view_copy_mounts(&w->views[v], from, epoch);
	if (r < 0) {
		view_free(w, v);
		return r;
	}
	return (int)v;
}

void view_free(struct world *w, uint32_t v)
{
	if (w->views[v].slot)
		__atomic_store_n(&w->views[v].slot->used, 0, __ATOMIC_RELEASE);
	view_close(&w->views[v]);
}

/* ---- mounts --------------------------------------------------------------------------------------- */

static char *copy_string(const char *s)
{
	return strdup(s ? s : "");
}

static struct mount_rec *mount_new(const struct mount_rec *like)
{
	struct mount_rec *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	*m = *like;
	m->refs = 0;
	m->path = copy_string(like->path);
	m->source = copy_string(like->source);
	m->fstype = copy_string(like->fstype);
	m->options = copy_string(like->options);
	m->target = copy_string(like->target);
	if (!m->path || !m->source || !m->fstype || !m->options || !m->target) {
		mount_put(m);
		return NULL;
	}
	return m;
}

/* One more, at the end, without publishing. */
static int mount_append(struct view *view, uint32_t v, const struct mount_rec *like, uint32_t id)
{
	struct mount_rec *m = mount_new(like);

	if (!m)
		return -ENOMEM;
	m->id = m->rank = id;
	m->view = v;
	m->epoch = like->epoch ? like->epoch : id;
	int r = view_append(view, m);
	if (r < 0)
		mount_put(m);
	return r;
}

static void drop_newest(struct view *view, uint32_t had)
{
	while (view->nmounts > had)
		mount_put(view->mounts[--view->nmounts]);
}

int mount_add_with(struct world *w, uint32_t v, const struct mount_rec *like, struct mount_rec *parts, uint32_t nparts)
{
	struct view *view = view_get(w, v);
	uint32_t id = w->next_id, had = view ? view->nmounts : 0;

	if (!view)
		return -EINVAL;
	int r = mount_append(view, v, like, id);
	for (uint32_t i = 0; i < nparts && r == 0; i++) {
		parts[i].owner = parts[i].epoch = id;
		r = mount_append(view, v, &parts[i], id + 1 + i);
	}
	if (r == 0)
		r = view_publish(view);
	if (r < 0) {
		drop_newest(view, had);
		return r;
	}
	w->next_id += 1 + nparts;
	return (int)id;
}

int mount_add(struct world *w, uint32_t v, const struct mount_rec *like)
{
	return mount_add_with(w, v, like, NULL, 0);
}

static bool is_or_belongs(const struct mount_rec *m, uint32_t id)
{
	return m->id == id || (m->owner == id && m->flags & UM_MNT_PART);
}

/* The mounts of a view but those with this id or owner, and these behind them: which of them is told by *kept. */
static struct mount_rec **mounts_sorted(const struct view *view, uint32_t id, uint32_t *kept)
{
	struct mount_rec **list = calloc(view->room, sizeof(*list));
	uint32_t n = 0;

	for (uint32_t i = 0; list && i < view->nmounts; i++)
		if (!is_or_belongs(view->mounts[i], id))
			list[n++] = view->mounts[i];
	*kept = n;
	for (uint32_t i = 0; list && i < view->nmounts; i++)
		if (is_or_belongs(view->mounts[i], id))
			list[n++] = view->mounts[i];
	return list;
}

int mount_remove(struct world *w, uint32_t v, uint32_t id)
{
	struct view *view = view_get(w, v);
	uint32_t kept, had = view ? view->nmounts : 0;
	struct mount_rec **list = had ? mounts_sorted(view, id, &kept) : NULL, **old;

	if (!list)
		return had ? -ENOMEM : -ENOENT;
	if (kept == had) {
		free(list);
		return -ENOENT;
	}
	old = view->mounts;
	view->mounts = list;
	view->nmounts = kept;
	int r = view_publish(view);
	if (r < 0) {
		view->mounts = old;
		view->nmounts = had;
		free(list);
		return r;
	}
	free(old);
	for (uint32_t i = kept; i < had; i++)
		mount_put(list[i]);
	return 0;
}

struct mount_rec *mount_own(struct view *view, struct mount_rec *m)
{
	if (m->refs == 1)
		return m;
	struct mount_rec *copy = m->kind == UM_MOUNT_REMOTE || m->made ? NULL : mount_new(m);
	for (uint32_t i = 0; copy && i < view->nmounts; i++)
		if (view->mounts[i] == m) {
			view->mounts[i] = copy;
			copy->refs = 1;
			mount_put(m);
		}
	return copy;
}

int mount_set_flags(struct world *w, uint32_t v, struct mount_rec *m, uint32_t flags)
{
	struct view *view = view_get(w, v);

	m = mount_own(view, m);
	if (!m)
		return -EBUSY;
	uint32_t before = m->flags;
	m->flags = flags;
	int r = view_publish(view);
	if (r < 0)
		m->flags = before;
	return r;
}

int mount_renew(struct world *w, uint32_t v, struct mount_rec *m)
{
	struct view *view = view_get(w, v);
	uint32_t kept, id = m->id;
	struct mount_rec **list = mounts_sorted(view, id, &kept);

	if (!list)
		return -ENOMEM;
	free(view->mounts);
	view->mounts = list;
	for (uint32_t i = kept; i < view->nmounts; i++) {
		struct mount_rec *own = mount_own(view, list[i]);
		if (!own)
			return -EBUSY;
		own->rank = w->next_id++;
	}
	return view_publish(view);
}

struct mount_rec *mount_at(struct world *w, uint32_t v, const char *path, uint32_t epoch)
{
	struct view *view = view_get(w, v);

	for (uint32_t i = view ? view->nmounts : 0; i-- > 0;)
		if (view->mounts[i]->id < epoch && !(view->mounts[i]->flags & UM_MNT_PART) &&
		    !strcmp(view->mounts[i]->path, path))
			return view->mounts[i];
	return NULL;
}

struct mount_rec *mount_by_id(struct world *w, uint32_t v, uint32_t id)
{
	struct view *view = view_get(w, v);

	for (uint32_t i = 0; view && i < view->nmounts; i++)
		if (view->mounts[i]->id == id)
			return view->mounts[i];
	return NULL;
}

bool mount_has_children(struct world *w, uint32_t v, const struct mount_rec *m)
{
	struct view *view = view_get(w, v);

	for (uint32_t i = 0; view && i < view->nmounts; i++) {
		const struct mount_rec *o = view->mounts[i];
		if (is_or_belongs(o, m->id))
			continue;
		if (o->rank > m->rank && path_is_below(o->path, m->path) && strcmp(o->path, m->path))
			return true;
		if ((o->kind == UM_MOUNT_BIND || o->kind == UM_MOUNT_MERGE) && o->epoch > m->id && path_is_below(o->target, m->path))
			return true;
	}
	return false;
}
