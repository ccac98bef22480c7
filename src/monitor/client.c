/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wrappers of the private system call.  The kernel knows no such number: outside a view, ENOSYS.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client.h"

static long um_call(enum um_call op, unsigned long a, unsigned long b, unsigned long c)
{
	long r = syscall(UM_NR_CALL, (long)op, a, b, c);

	return r < 0 ? -errno : r;
}

int client_info(struct um_info *info)
{
	memset(info, 0, sizeof(*info));
	return (int)um_call(UM_CALL_INFO, (unsigned long)info, sizeof(*info), 0);
}

bool client_is_strict(void)
{
	struct um_info info;

	return client_info(&info) >= 0 && info.strict;
}

bool client_inside(void)
{
	struct um_info info;

	return client_info(&info) >= 0;
}

int client_branch(const char *name)
{
	return (int)um_call(UM_CALL_BRANCH, (unsigned long)name, 0, 0);
}

int client_branch_end(int view)
{
	return (int)um_call(UM_CALL_BRANCH_END, (unsigned long)view, 0, 0);
}

int client_review(int in, int status, int out, int err)
{
	char text[64];

	snprintf(text, sizeof(text), "%d %d %d %d %d", (int)getpid(), in, status, out, err);
	return (int)um_call(UM_CALL_REVIEW, (unsigned long)text, 0, 0);
}

int client_log(const char *line)
{
	return (int)um_call(UM_CALL_LOG, (unsigned long)line, 0, 0);
}

int client_log_tail(char *buf, size_t size)
{
	return (int)um_call(UM_CALL_SERVER_LOG, (unsigned long)buf, size, 0);
}

int client_servant(uint32_t flags, uint32_t uid, uint32_t gid)
{
	return (int)um_call(UM_CALL_SERVANT, flags, uid, gid);
}

int client_servants(pid_t *pids, int max)
{
	long r = um_call(UM_CALL_SERVANT, UM_SERVANT_LIST, (unsigned long)pids, (unsigned long)max * sizeof(*pids));

	return r < 0 ? (int)r : (int)(r / (long)sizeof(*pids));
}

int client_below(unsigned id)
{
	return (int)um_call(UM_CALL_BELOW, id, 0, 0);
}

int client_identity(const char *text)
{
	return (int)um_call(UM_CALL_IDENTITY, (unsigned long)text, 0, 0);
}

/* ---- mounts --------------------------------------------------------------------------------------- */

/* The records as the agent wrote them, in a buffer that is large enough.  *n: their bytes. */
static char *read_records(long *n)
{
	size_t size = 16 << 10;
	char *buf = NULL;

	for (;; size *= 4) {
		char *p = realloc(buf, size);
		if (!p) {
			*n = -ENOMEM;
			break;
		}
		buf = p;
		*n = um_call(UM_CALL_MOUNTS, (unsigned long)buf, size, 0);
		if (*n != -ERANGE)
			break;
	}
	if (*n >= 0)
		return buf;
	free(buf);
	return NULL;
}

static void take_record(struct client_mount *m, const char *text)
{
	memcpy(&m->info, text, sizeof(m->info));
	m->path = text + sizeof(m->info);
	m->source = m->path + m->info.path_len + 1;
	m->fstype = m->source + m->info.source_len + 1;
	m->options = m->fstype + m->info.fstype_len + 1;
	m->target = m->options + m->info.options_len + 1;
}

static uint32_t record_size(const char *text)
{
	struct um_mount_info info;

	memcpy(&info, text, sizeof(info));
	return info.size;
}

/* The records follow the array in one allocation, so that one free() does. */
int client_mounts(struct client_mount **list)
{
	long bytes, at = 0;
	size_t n = 0;
	char *text = read_records(&bytes);

	*list = NULL;
	if (!text)
		return (int)bytes;
	for (at = 0; at < bytes; at += record_size(text + at))
		n++;
	struct client_mount *m = malloc(n * sizeof(*m) + (size_t)bytes + 1);
	if (!m) {
		free(text);
		return -ENOMEM;
	}
	char *copy = memcpy((char *)(m + n), text, (size_t)bytes);
	free(text);
	at = 0;
	for (size_t i = 0; i < n; i++, at += record_size(copy + at))
		take_record(&m[i], copy + at);
	*list = m;
	return (int)n;
}
