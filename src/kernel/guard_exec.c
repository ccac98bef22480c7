/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's filters over exec: a word in the boot text and, only if there are filters, a file in memory that
 * lists them, oldest first, each as struct item and its code.  (As long as a thread's filters may be, they
 * fit neither in the boot text nor among the arguments.)  What is read is checked again: it comes from
 * memory that the guest could write to.
 */
#include "guard.h"
#include "cbpf.h"
#include <linux/memfd.h>
#include <linux/prctl.h>

enum { WORD_NO_NEW_PRIVS = 1, WORD_FILTER = 2, WORD_CAUGHT = 4 };

struct item { uint32_t len, log, listener; };

static struct item item_of(const struct guest_filter *f)
{
	return (struct item){ .len = f->len, .log = f->log, .listener = f->listener };
}

unsigned guard_word(const struct task *t)
{
	const struct guard *g = t->guard;

	return (g->no_new_privs ? WORD_NO_NEW_PRIVS : 0) | (g->mode == SECCOMP_MODE_FILTER ? WORD_FILTER : 0) |
	       (g->caught ? WORD_CAUGHT : 0);
}

/* Writes f and those before it so that f's item ends at `end`. */
static bool write_filters(int fd, const struct guest_filter *f, uint64_t end)
{
	for (; f; f = f->prev) {
		struct item item = item_of(f);
		size_t size = f->len * sizeof f->code[0];

		end -= sizeof item + size;
		if (raw_syscall(__NR_pwrite64, fd, &item, sizeof item, end) != sizeof item ||
		    raw_syscall(__NR_pwrite64, fd, f->code, size, end + sizeof item) != (long)size)
			return false;
	}
	return true;
}

int guard_file(const struct task *t)
{
	const struct guest_filter *f = t->guard->filter;
	uint64_t size = 0;

	if (!f)
		return -1;
	for (; f; f = f->prev)
		size += sizeof(struct item) + f->len * sizeof f->code[0];
	long fd = raw_syscall(__NR_memfd_create, "filters", MFD_CLOEXEC);
	if (fd >= 0 && !write_filters((int)fd, t->guard->filter, size)) {
		raw_syscall(__NR_close, fd);
		return -ENOMEM;
	}
	return (int)fd;
}

/* The filter at `pos`, which moves behind it; *f is NULL at the end.  0 or -errno. */
static int read_filter(int fd, uint64_t *pos, struct guest_filter **f)
{
	struct item item;
	size_t size;

	*f = NULL;
	if (raw_syscall(__NR_pread64, fd, &item, sizeof item, *pos) != sizeof item)
		return 0;
	if (!item.len || item.len > BPF_MAXINSNS)
		return -EINVAL;
	size = item.len * sizeof (*f)->code[0];
	*f = heap_alloc(sizeof **f + size);
	if (!*f)
		return -ENOMEM;
	(*f)->refs = 1;
	(*f)->len = item.len;
	(*f)->log = item.log;
	(*f)->listener = item.listener;
	if (raw_syscall(__NR_pread64, fd, (*f)->code, size, *pos + sizeof item) != (long)size)
		return -EINVAL;
	*pos += sizeof item + size;
	return cbpf_check((*f)->code, (*f)->len);
}

int guard_start(struct task *t, unsigned word, int fd)
{
	struct guard *g = t->guard;
	struct guest_filter *f;
	uint64_t pos = 0;
	int r = 0;

	g->no_new_privs = word & WORD_NO_NEW_PRIVS;
	g->mode = word & WORD_FILTER ? SECCOMP_MODE_FILTER : SECCOMP_MODE_DISABLED;
	g->caught = word & WORD_CAUGHT;
	if (fd < 0)
		return 0;
	while ((r = read_filter(fd, &pos, &f)) == 0 && f) {
		f->prev = g->filter;
		g->filter = f;
	}
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
