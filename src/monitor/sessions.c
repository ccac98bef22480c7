/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The copy-on-write sessions of a view, in its monitor: locked as long as they are mounted; looked at when the view ends.
 *
 * A session that umview has named, and in which nothing has changed, is removed then; one with changes is told of.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"
#include "review.h"

/* SESSION/tree: the session.  Allocated. */
static char *session_of(const char *tree)
{
	const char *slash = strrchr(tree, '/');

	return slash && !strcmp(slash, "/" UM_COW_TREE) ? strndup(tree, (size_t)(slash - tree)) : NULL;
}

static struct used_session *find(struct monitor *m, const char *dir)
{
	for (int i = 0; i < m->nsessions; i++)
		if (!strcmp(m->sessions[i].dir, dir))
			return &m->sessions[i];
	return NULL;
}

int sessions_take(struct monitor *m, const char *tree, const char *lower)
{
	char *dir = session_of(tree), what[220], holder[320];
	struct used_session *u = dir ? find(m, dir) : NULL;

	if (!dir || (!u && m->nsessions == MAX_SESSIONS)) {
		free(dir);
		return -EINVAL;
	}
	snprintf(what, sizeof(what), "a view: %.200s", m->command ? m->command : "umview");
	int fd = session_lock(dir, UM_COW_LOCK, what, holder, sizeof(holder));
	if (fd < 0) {
		free(dir);
		return fd == -EAGAIN ? -EALREADY : fd;
	}
	if (u) {
		free(dir);
	} else {
		u = &m->sessions[m->nsessions++];
		*u = (struct used_session) { .dir = dir, .lower = strdup(lower) };
	}
	u->lock_fd = fd;
	return 0;
}

void sessions_release(struct monitor *m, const char *tree)
{
	char *dir = session_of(tree);
	struct used_session *u = dir ? find(m, dir) : NULL;

	if (u && u->lock_fd >= 0) {
		close(u->lock_fd);
		u->lock_fd = -1;
	}
	free(dir);
}

/* One that somebody has given: nothing in it is put off any more. */
static int settle(const char *dir, char *error, size_t size)
{
	struct session s;

	if (session_open(&s, dir, false, error, size) < 0)
		return -1;
	session_close(&s);
	return -2;
}

static void finish(const struct used_session *u)
{
	char error[SESSION_ERROR];
	const char *id = strrchr(u->dir, '/') + 1;
	int any = session_is_own(u->dir) ? review_any(u->dir, error, sizeof(error)) : settle(u->dir, error, sizeof(error));

	if (any == -1)
		log_line("umview: %s", error);
	else if (any == 0 && session_remove(u->dir, error, sizeof(error)) < 0)
		log_line("umview: %s", error);
	else if (any > 0)
		say("%s: changes of it are in session %s: umview diff, commit or discard --session %s", u->lower ? u->lower : "?",
		    id, id);
}

void sessions_finish(struct monitor *m)
{
	for (int i = 0; i < m->nsessions; i++) {
		struct used_session *u = &m->sessions[i];
		if (u->lock_fd >= 0)
			close(u->lock_fd);
		finish(u);
		free(u->dir);
		free(u->lower);
	}
	m->nsessions = 0;
}
