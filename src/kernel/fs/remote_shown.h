/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server's agent shows its clients: wire/dcache.h and wire/pages.h, mapped (remote_dcache.c), for those who read it
 * (remote_dcache.c, remote_pages.c).
 */
#ifndef UM_KERNEL_FS_REMOTE_SHOWN_H
#define UM_KERNEL_FS_REMOTE_SHOWN_H

#include "remote.h"
#include "../../wire/pages.h"

struct shown {
	uint32_t server;
	const struct um_dcache *names;	/* never NULL for who gets it */
	const struct um_pages *pages;	/* NULL: there was no room for it; opens likewise */
	struct um_opens *opens;
};

/* What that server shows.  NULL: there is no room for it in this process, ask. */
const struct shown *shown_by(uint32_t server);

/* The same, if the server lives; shown_to: and the caller may see what it serves. */
const struct shown *shown_alive(struct task *t, uint32_t server, const struct um_server **head);
const struct shown *shown_to(struct task *t, uint32_t server, const struct um_server **head);

/* The time, of which one system call asks once, and only where something has an end: begins as zeros. */
struct shown_clock { uint64_t now; };

/* What is valid of a node; false: nothing, ask. */
struct shown_node {
	struct um_attr attr;
	uint64_t contents;
	uint32_t flags;		/* UM_DCACHE_* */
};
bool shown_node(const struct um_dcache *c, uint64_t nodeid, struct shown_clock *now, struct shown_node *out);

/*
 * From a node by path; walk: UM_WALK_*.  1, and what is there; -ENOENT: it is known that nothing is; 0: it is not known.  The caller sets
 * node and type (0: not known) to where it begins.
 */
struct shown_place {
	uint64_t node;
	uint32_t type;				/* S_IFMT */
	const struct um_dcache_name *name;	/* the last one of the path, NULL if that has none; */
	uint32_t seq;				/* it is still true as long as that is its `seq` */
};
int shown_walk(const struct um_dcache *c, const char *path, uint32_t walk, struct shown_clock *now, struct shown_place *p);

/* DT_* of a name in the directory, 0: it is not known. */
uint8_t shown_kind(const struct um_dcache *c, uint64_t directory, const char *name, struct shown_clock *now);

#endif
