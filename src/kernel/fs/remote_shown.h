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

/* What is valid of a node; false: nothing, ask. */
struct shown_node {
	struct um_attr attr;
	uint64_t contents;
	bool read;		/* attr.atime is not known */
};
bool shown_node(const struct um_dcache *c, uint64_t nodeid, uint64_t now, struct shown_node *out);

/* CLOCK_MONOTONIC in ns, as coarse as the kernel's own time-outs of names. */
uint64_t shown_now(void);

#endif
