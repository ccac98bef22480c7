/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's filters over exec: a word in the boot text and, only if there are filters, a file in memory (or
 * a pipe) that lists them, newest first, each as struct item and its code.  (As long as a thread's filters may
 * be, they fit neither in the boot text nor among the arguments.)  What is read is checked again: it comes
 * from memory that the guest could write to.
 */
#include "carry.h"
#include "guard.h"
#include "cbpf.h"
#include <linux/prctl.h>

enum { WORD_NO_NEW_PRIVS = 1, WORD_FILTER = 2, WORD_CAUGHT = 4 };

struct item {
	uint32_t len;
	bool log, listener;
	uint64_t allows[GUARD_NUMBERS / 64];
};

unsigned guard_word(const struct task *t)
{
	const struct guard *g = t->guard;

	return (g->no_new_privs ? WORD_NO_NEW_PRIVS : 0) | (g->mode == SECCOMP_MODE_FILTER ? WORD_FILTER : 0) |
	       (g->caught ? WORD_CAUGHT : 0);
}

/* f and those before it, as they are written; *size bytes, to be freed.  NULL: no memory. */
static char *list(const struct guest_filter *f, size_t *size)
{
	char *all, *p;

	*size = 0;
	for (const struct guest_filter *g = f; g; g = g->prev)
		*size += sizeof(struct item) + g->len * sizeof g->code[0];
	all = p = heap_alloc(*size);
	for (; p && f; f = f->prev) {
		struct item item = { .len = f->len, .log = f->log, .listener = f->listener };

		memcpy(item.allows, f->allows, sizeof item.allows);
		memcpy(p, &item, sizeof item);
		memcpy(p + sizeof item, f->code, f->len * sizeof f->code[0]);
		p += sizeof item + f->len * sizeof f->code[0];
	}
	return all;
}

int guard_file(const struct task *t)
{
	size_t size;
	char *all;
	long r;

	if (!t->guard->filter)
		return -1;
	all = list(t->guard->filter, &size);
	if (!all)
		return -ENOMEM;
	r = carry_out(all, size);
	heap_free(all);
	return r < 0 ? -ENOMEM : (int)r;	/* -EPERM would be -1 */
}

/* The next filter; *f is NULL at the end.  0 or -errno. */
static int read_filter(int fd, struct guest_filter **f)
{
	struct item item;
	long size;

	*f = NULL;
	if (raw_syscall(__NR_read, fd, &item, sizeof item) != sizeof item)
		return 0;
	if (!item.len || item.len > BPF_MAXINSNS)
		return -EINVAL;
	size = item.len * sizeof (*f)->code[0];
	*f = guard_new(item.len);
	if (!*f)
		return -ENOMEM;
	memcpy((*f)->allows, item.allows, sizeof item.allows);
	(*f)->log = item.log;
	(*f)->listener = item.listener;
	return raw_syscall(__NR_read, fd, (*f)->code, size) == size ? cbpf_check((*f)->code, (*f)->len) : -EINVAL;
}

int guard_start(struct task *t, unsigned word, int fd)
{
	struct guard *g = t->guard;
	struct guest_filter **at = &g->filter;
	int r;

	g->no_new_privs = word & WORD_NO_NEW_PRIVS;
	g->mode = word & WORD_FILTER ? SECCOMP_MODE_FILTER : SECCOMP_MODE_DISABLED;
	g->caught = word & WORD_CAUGHT;
	if (fd < 0)
		return 0;
	while ((r = read_filter(fd, at)) == 0 && *at)
		at = &(*at)->prev;
	process.watch |= WATCH_GUARD;
	raw_syscall(__NR_close, fd);
	return r;
}

void guard_first(struct task *t)
{
	t->guard->no_new_privs = raw_syscall(__NR_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	t->guard->mode = raw_syscall(__NR_prctl, PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER ?
			 SECCOMP_MODE_FILTER : SECCOMP_MODE_DISABLED;
}
