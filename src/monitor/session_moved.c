/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories of a session that have been moved: SESSION/redirect (wire/cow.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "review.h"

char *session_redirect(const struct session *s, uint64_t ino)
{
	char name[64], text[PATH_MAX];
	struct vstat v;

	if (!session_vstat(s, s->state->tree_dev, ino, &v) || !(v.have & UM_VS_FLAGS) || !(v.flags & UM_VSF_REDIRECT))
		return NULL;
	snprintf(name, sizeof(name), UM_COW_REDIRECT "/%llx", (unsigned long long)ino);
	ssize_t n = readlinkat(s->dir_fd, name, text, sizeof(text) - 1);
	if (n <= 0)
		return NULL;
	text[n] = 0;
	return strdup(text);
}

int session_unredirect(struct session *s, uint64_t ino)
{
	char name[64];
	int r = session_set_flags(s, s->state->tree_dev, ino, 0);

	__atomic_add_fetch(&s->state->nredirect, 1, __ATOMIC_SEQ_CST);
	snprintf(name, sizeof(name), UM_COW_REDIRECT "/%llx", (unsigned long long)ino);
	unlinkat(s->dir_fd, name, 0);
	return r;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int session_redirects(const struct session *s, char ***texts)
{
	int fd = openat(s->dir_fd, UM_COW_REDIRECT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char **names = NULL, *end;
	int n = fd < 0 ? 0 : names_read(fd, &names), m = 0;

	*texts = n > 0 ? calloc((size_t)n, sizeof(**texts)) : NULL;
	for (int i = 0; i < n && *texts; i++) {
		unsigned long long ino = strtoull(names[i], &end, 16);
		(*texts)[m] = *end ? NULL : session_redirect(s, ino);
		m += (*texts)[m] != NULL;
	}
	free(names);
	if (fd >= 0)
		close(fd);
	if (m)
		qsort(*texts, (size_t)m, sizeof(**texts), by_text);
	return m;
}
