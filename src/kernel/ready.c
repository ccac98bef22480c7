/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of which the kernel does not know when they are ready (ready.h): which they are, and the filter that brings poll and select to us.
 */
#include "ready.h"
#include "../agent/catch.h"
#include "../agent/channel.h"

bool ready_is_asked(struct task *t, const struct file *f)
{
	const struct um_server *head;
	int error;

	if (f->kind == FILE_FUSE_DEVICE)
		return true;
	if (S_ISDIR(f->mode) || f->flags & FILE_PATH)
		return false;
	head = channel_server(t, f->server, &error);
	return head && __atomic_load_n(&head->polls, __ATOMIC_ACQUIRE) != UM_POLLS_NO;
}

void ready_watch(struct task *t, const struct file *f)
{
	long r;

	if (process.polls || t->polls || !ready_is_asked(t, f))
		return;
	r = catch_polls();
	if (r < 0) {
		agent_log("files that are not always ready seem to be: no filter can be installed, error %ld", -r);
		return;
	}
	t->polls = true;
	process.polls = !r && t->pid == process.pid;		/* a child by vfork has it for itself */
}

bool ready_concerns(struct task *t, const struct pollfd *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct file *f = fd_hold(t, p[i].fd);
		bool is = f && ready_is_asked(t, f);

		file_put(f);
		if (is)
			return true;
	}
	return false;
}
