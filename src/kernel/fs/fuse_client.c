/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that clients have opened without asking: um_opens.client of wire/pages.h, which tells how they and we do not miss each other.
 *
 * What is shown to clients as to be opened so (node.opens_shown) is what OPEN may be put off for (fuse_open_may_wait): a file that the server has
 * opened for reading before, and a directory whose whole listing is shown as well (fuse_dir_show).  Nothing happens here when a client
 * does that.  Its handle becomes one of ours, lazy as those are, when it comes with a request, and, of all clients that have a node
 * open, before the node is given up or loses a name (fuse_clients_know).
 *
 * What is in an entry is what a client has put there: it is believed to be a file of this server, open for reading, no more.
 */
#include <linux/stat.h>
#include "fuse_conn.h"
#include "../../wire/pages.h"

void fuse_clients_may_open(struct fuse_conn *c, struct fuse_node *n)
{
	if (n->opens_shown || !c->opens || (fuse_node_is(n, S_IFDIR) && !fuse_dir_show(c, n)))
		return;
	n->opens_shown = n->clients = true;
	fuse_dcache_node(c, n);
}

/* ---- a handle of theirs becomes ours ---------------------------------------------------------------------- */

static struct fuse_handle *handle_make(struct fuse_conn *c, struct um_open *o, struct fuse_node *n, uint32_t number)
{
	struct fuse_handle *h = fuse_handle_add(c, n, number);

	if (!h)
		return NULL;
	h->open_flags = O_LARGEFILE | (h->is_dir ? O_DIRECTORY : 0);
	h->opener = __atomic_load_n(&o->owner, __ATOMIC_RELAXED);
	h->fopen = n->fopen;
	h->unopened = h->lazy = true;
	h->shared = o;
	return h;
}

/* In that state it has become known.  NULL: it was closed meanwhile, or there is no memory. */
static struct fuse_handle *take(struct fuse_conn *c, struct um_open *o, struct fuse_node *n, uint32_t number, enum um_client_state state)
{
	struct fuse_handle *h;

	if (state == UM_CLIENT_OPEN && !carrier_is_open(c->server, number)) {
		if (um_client_turn(o, number, state, UM_CLIENT_MAKING))
			um_client_free(o);
		return NULL;
	}
	if (!um_client_turn(o, number, state, UM_CLIENT_KNOWN))
		return NULL;
	h = handle_make(c, o, n, number);
	if (h)
		h->mature = state == UM_CLIENT_OPEN;
	else
		um_client_turn(o, number, UM_CLIENT_KNOWN, state);
	return h;
}

struct fuse_handle *fuse_client_handle(struct fuse_conn *c, uint32_t number)
{
	struct um_open *o = c->opens && number & UM_HANDLE_CLIENT ? um_open_of(c->opens, number) : NULL;
	struct fuse_node *n = o ? fuse_node_find(c, __atomic_load_n(&o->node, __ATOMIC_RELAXED)) : NULL;
	struct fuse_handle *h = NULL;

	if (!n || __atomic_load_n(&o->handle, __ATOMIC_ACQUIRE) != number)
		return NULL;
	for (enum um_client_state state = UM_CLIENT_OPENING; !h && state <= UM_CLIENT_OPEN; state++)
		if (__atomic_load_n(&o->state, __ATOMIC_SEQ_CST) == um_client_state(number, state))
			h = take(c, o, n, number, state);
	return h;
}

/* Those of an entry, if it is of that node. */
static void know(struct fuse_conn *c, const struct um_open *o, const struct fuse_node *n)
{
	enum um_client_state state = __atomic_load_n(&o->state, __ATOMIC_SEQ_CST) & 3;

	if ((state == UM_CLIENT_OPENING || state == UM_CLIENT_OPEN) && (!n || __atomic_load_n(&o->node, __ATOMIC_RELAXED) == n->nodeid))
		fuse_client_handle(c, __atomic_load_n(&o->handle, __ATOMIC_RELAXED));
}

void fuse_clients_know(struct fuse_conn *c, struct fuse_node *n)
{
	const struct um_open *set;

	if (!n->clients || !c->opens)
		return;
	n->opens_shown = false;
	fuse_dcache_node(c, n);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	set = c->opens->client + um_client_set(n->nodeid);
	for (unsigned i = 0; i < UM_CLIENT_WAYS; i++)
		know(c, &set[i], n);
	n->clients = false;
}

void fuse_clients_know_all(struct fuse_conn *c)
{
	for (unsigned i = 0; c->opens && i < UM_OPENS; i++)
		know(c, &c->opens->client[i], NULL);
}

void fuse_client_gone(struct fuse_handle *h)
{
	if (um_client_turn(h->shared, h->number, UM_CLIENT_KNOWN, UM_CLIENT_MAKING))
		um_client_free(h->shared);
}
