/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Giving back the memory of servers that have ended.
 *
 * Every thread that talked to a server has used a slot of its area, up to 132 KiB.  The data of a slot may be
 * given back when nobody can be reading it any more: its owner let go of it, or is dead.  The first page
 * of the slot stays, so that who still owns it is known when the number is used again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "monitor.h"
#include "../wire/dcache.h"

static bool is_in_use(struct monitor *m, uint32_t s, uint32_t k)
{
	uint32_t owner = 0;

	if (pread(m->w.fd, &owner, sizeof(owner), (off_t)UM_OFF_SLOT(s, k)) != sizeof(owner))
		return true;
	return owner && (kill((pid_t)owner, 0) == 0 || errno != ESRCH);
}

/* Goes through what exists of the area only.  Returns whether something had to be kept. */
static bool reclaim(struct monitor *m, uint32_t s)
{
	const off_t first = (off_t)UM_OFF_SLOT(s, 0), end = (off_t)UM_OFF_SLOT(s, UM_SLOTS);
	const off_t head = offsetof(struct um_slot, data);
	bool left = false;

	for (off_t at = lseek(m->w.fd, first, SEEK_DATA); at >= 0 && at < end;) {
		uint32_t k = (uint32_t)((at - first) / UM_SLOT_SPAN);
		if (is_in_use(m, s, k))
			left = true;
		else
			fallocate(m->w.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				  (off_t)UM_OFF_SLOT(s, k) + head, UM_DATA_SIZE);
		at = lseek(m->w.fd, (off_t)UM_OFF_SLOT(s, k + 1), SEEK_DATA);
	}
	return left;
}

/* What the last server with that number let its clients know is gone.  One of them that is reading it finds nothing there, and asks. */
void server_forget(struct monitor *m, uint32_t s)
{
	fallocate(m->w.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)UM_OFF_DCACHE(s), UM_SERVER_SPAN - UM_DCACHE_OFF);
}

void servers_reclaim(struct monitor *m)
{
	for (uint32_t s = 1; s < m->next_server; s++) {
		struct server *srv = &m->servers[s];
		if (srv->reclaim && !srv->served && !srv->ending)
			srv->reclaim = reclaim(m, s);
	}
}
