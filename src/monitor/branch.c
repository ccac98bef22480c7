/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview` inside a view: a branch.
 *
 * There is one monitor per world; a branch is a number in it.  The monitor process of a branch is a guest
 * like any other: it asks for a view of its own, starts COMMAND as an ordinary child, waits until all
 * guests below it are gone, and gives the view back, which unmounts what was mounted in it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "log.h"
#include "monitor.h"

static int branch_begin(struct life *l)
{
	l->view = client_branch("");
	return l->view < 0 ? l->view : 0;
}

static void branch_exec(struct life *l, const char *file, char **argv)
{
	int r = l->identity ? client_identity(l->identity) : 0;

	if (r < 0) {
		say("cannot change the identity: %s", strerror(-r));
		_exit(125);
	}
	execvp(file, argv);
	int error = errno;
	say("%s: %s", file, strerror(error));
	_exit(error == ENOENT || error == ENOTDIR ? 127 : 126);
}

static int branch_servants(struct life *l, pid_t *pids, int max)
{
	(void)l;
	int n = client_servants(pids, max);
	return n < 0 ? 0 : n;
}

static bool branch_has_mounts(struct life *l)
{
	struct client_mount *list;
	int n = client_mounts(&list);
	bool own = false;

	for (int i = 0; i < n && !own; i++)
		own = list[i].info.view == (uint32_t)l->view;
	free(list);
	return own;
}

static bool branch_close(struct life *l)
{
	client_branch_end(l->view);
	return true;
}

const struct life_ops branch_view = {
	.begin = branch_begin,
	.exec = branch_exec,
	.servants = branch_servants,
	.has_mounts = branch_has_mounts,
	.close = branch_close,
};
