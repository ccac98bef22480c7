/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is no guest.
 *
 * A view ends when its last guest is gone; its servers are no guests.  A server is known by having read
 * requests.  But it may have helpers (the ssh of an sshfs), and before it serves it is some program.  So
 * `umview mount` leaves a keeper: a process that says "what runs below me serves" and lives until that is
 * gone.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor.h"
#include "procs.h"

int keeper_add(struct monitor *m, pid_t pid, const struct um_request *req)
{
	if (m->nkeepers == MAX_KEEPERS)
		return -ENFILE;
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	m->keepers[m->nkeepers++] = (struct keeper) { pid, fd, req->mode, req->set_uid, req->set_gid };
	return 0;
}

struct keeper *keeper_of(struct monitor *m, pid_t pid)
{
	char state;

	while (pid > 1 && m->nkeepers) {
		for (int i = 0; i < m->nkeepers; i++)
			if (m->keepers[i].pid == pid)
				return &m->keepers[i];
		if (proc_stat(pid, &pid, &state) < 0)
			break;
	}
	return NULL;
}

void keepers_work(struct monitor *m)
{
	for (int i = m->nkeepers; i-- > 0;) {
		struct pollfd p = { .fd = m->keepers[i].pidfd, .events = POLLIN };
		if (poll(&p, 1, 0) <= 0)
			continue;
		close(m->keepers[i].pidfd);
		m->keepers[i] = m->keepers[--m->nkeepers];
	}
}

int monitor_servants(struct monitor *m, pid_t *pids, int max)
{
	int n = 0;

	for (int i = 0; i < m->nkeepers && n < max; i++)
		pids[n++] = m->keepers[i].pid;
	for (uint32_t s = 1; s < m->next_server && n < max; s++) {
		const struct server *srv = &m->servers[s];
		if ((srv->served || srv->ending) && srv->shm->pid)
			pids[n++] = (pid_t)srv->shm->pid;
	}
	return n;
}
