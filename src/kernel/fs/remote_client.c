/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of mounted file systems that are opened, and closed, without asking: um_opens.client of wire/pages.h, which tells how clients and the server's
 * agent do not miss each other.
 *
 * Only for reading, only what the server's agent has said may be opened so (UM_DCACHE_OPENS), and only as long as nobody watches by
 * inotify.  Whatever else is wanted of such a file is a request with its handle, and then the server's agent knows it.
 */
#include "remote_shown.h"

#define PLAIN	(O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW | O_LARGEFILE | O_DIRECTORY)

/* ---- entries ----------------------------------------------------------------------------------------- */

/* That of a file which a client has opened; NULL: there is none, or no room for them here. */
static struct um_open *entry_of(uint32_t server, uint32_t handle)
{
	const struct shown *m = handle & UM_HANDLE_CLIENT ? shown_by(server) : NULL;

	return m && m->opens ? um_open_of(m->opens, handle) : NULL;
}

static bool is_gone(uint32_t tid)
{
	return raw_syscall(__NR_kill, tid, 0) == -ESRCH;
}

/* One that a killed client has left becomes ours: MAKING, and `owner` is tid. */
static bool entry_inherit(uint32_t server, struct um_open *o, uint32_t tid)
{
	uint32_t owner = __atomic_load_n(&o->owner, __ATOMIC_ACQUIRE), handle = __atomic_load_n(&o->handle, __ATOMIC_RELAXED);
	enum um_client_state state = __atomic_load_n(&o->state, __ATOMIC_ACQUIRE) & 3;

	if (state == UM_CLIENT_KNOWN || (state != UM_CLIENT_OPEN && !is_gone(owner)))
		return false;
	if (state != UM_CLIENT_MAKING && (carrier_is_open(server, handle) || !um_client_turn(o, handle, state, UM_CLIENT_MAKING)))
		return false;
	return __atomic_compare_exchange_n(&o->owner, &owner, tid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static struct um_open *entry_take(const struct shown *m, uint64_t node, uint32_t tid)
{
	struct um_open *set = m->opens->client + um_client_set(node);
	uint32_t none;

	for (unsigned i = 0; i < UM_CLIENT_WAYS; i++) {
		none = 0;
		if (__atomic_compare_exchange_n(&set[i].owner, &none, tid, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			return &set[i];
	}
	for (unsigned i = 0; i < UM_CLIENT_WAYS; i++)
		if (entry_inherit(m->server, &set[i], tid))
			return &set[i];
	return NULL;
}

/* It is for all to see from here on. */
static uint32_t entry_publish(const struct shown *m, struct um_open *o, uint64_t node)
{
	const uint32_t place = (uint32_t)(o - m->opens->client);
	const uint32_t handle = um_client_handle((__atomic_load_n(&o->state, __ATOMIC_RELAXED) >> 2) + 1, place);

	__atomic_store_n(&o->flags, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&o->node, node, __ATOMIC_RELAXED);
	__atomic_store_n(&o->offset, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&o->handle, handle, __ATOMIC_RELAXED);
	__atomic_store_n(&o->state, um_client_state(handle, UM_CLIENT_OPENING), __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return handle;
}

/* The server's agent has it: false. */
static bool entry_free(struct um_open *o, uint32_t handle)
{
	if (!um_client_turn(o, handle, UM_CLIENT_OPEN, UM_CLIENT_MAKING) &&
	    !um_client_turn(o, handle, UM_CLIENT_OPENING, UM_CLIENT_MAKING))
		return false;
	um_client_free(o);
	return true;
}

/* ---- open -------------------------------------------------------------------------------------------- */

static bool is_still_there(const struct shown *m, const struct shown_place *p, const struct shown_node *was, struct shown_clock *now)
{
	struct shown_node n;

	return shown_node(m->names, p->node, now, &n) && n.flags & UM_DCACHE_OPENS && n.contents == was->contents &&
	       um_entry_whole(&p->name->seq, p->seq);
}

static bool may_open(const struct shown *m, const struct shown_place *p, int flags, struct shown_clock *now, struct shown_node *n)
{
	if (!p->name || !shown_node(m->names, p->node, now, n) || !(n->flags & UM_DCACHE_OPENS) || (n->attr.mode & S_IFMT) != p->type)
		return false;
	return S_ISDIR(p->type) || (S_ISREG(p->type) && !(flags & O_DIRECTORY));
}

/* The handle, or UM_NO_HANDLE. */
static uint32_t entry_open(struct task *t, const struct shown *m, const struct shown_place *p, const struct shown_node *n, struct shown_clock *now)
{
	struct um_open *o = entry_take(m, p->node, (uint32_t)t->tid);
	uint32_t handle;

	if (!o)
		return UM_NO_HANDLE;
	handle = entry_publish(m, o, p->node);
	if (is_still_there(m, p, n, now))
		return handle;
	if (!entry_free(o, handle))
		__atomic_fetch_or(&o->flags, UM_OPEN_CLOSED, __ATOMIC_RELEASE);	/* the server's agent will see that it has no carrier */
	return UM_NO_HANDLE;
}

static const struct shown *place_find(struct where *w, struct shown_clock *now, struct shown_place *p, long *r)
{
	const struct um_server *head;
	const struct shown *m = w->node && !w->file ? shown_to(w->t, w->mount.server, &head) : NULL;

	if (!m || !m->pages || __atomic_load_n(&head->shadow, __ATOMIC_RELAXED))
		return NULL;
	p->node = w->node;
	*r = shown_walk(m->names, w->path + w->rest, w->walk, now, p);
	return m;
}

long client_open(struct where *w, int flags, struct file **out)
{
	struct shown_place p = { .type = 0 };
	struct shown_clock now = { 0 };
	const struct shown *m;
	struct shown_node n;
	struct file *f;
	long r = 0;

	m = flags & ~PLAIN ? NULL : place_find(w, &now, &p, &r);
	if (!m || r <= 0)
		return r;
	if (!may_open(m, &p, flags, &now, &n))
		return 0;
	f = remote_file_new(w, flags);
	if (!f)
		return -ENOMEM;
	f->mode = p.type;
	f->flags |= FILE_QUIET;
	f->node = p.node;
	f->handle = entry_open(w->t, m, &p, &n, &now);
	if (f->handle == UM_NO_HANDLE) {
		file_put(f);
		return 0;
	}
	*out = f;
	return 1;
}

void client_opened(const struct file *f)
{
	struct um_open *o = entry_of(f->server, f->handle);

	if (o)
		um_client_turn(o, f->handle, UM_CLIENT_OPENING, UM_CLIENT_OPEN);
}

/* ---- close ------------------------------------------------------------------------------------------- */

bool client_closed(const struct file *f)
{
	struct um_open *o = entry_of(f->server, f->handle);

	return o && entry_free(o, f->handle);
}

/* ---- carriers ---------------------------------------------------------------------------------------- */

void client_share(uint32_t server, uint32_t handle)
{
	struct um_open *o = entry_of(server, handle);

	if (o)
		__atomic_fetch_or(&o->flags, UM_OPEN_SHARED, __ATOMIC_SEQ_CST);
}

bool client_is_shared(const struct file *f)
{
	const struct um_open *o = entry_of(f->server, f->handle);

	return !o || __atomic_load_n(&o->flags, __ATOMIC_SEQ_CST) & UM_OPEN_SHARED;
}
