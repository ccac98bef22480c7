/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared writable mappings of files in mounted file systems, at the client: fuse_map.c has the memory.
 */
#include "proc.h"
#include "remote.h"
#include <linux/fcntl.h>
#include <linux/limits.h>

/* ---- whose files this process has mapped ------------------------------------------------------------------ */

#define MOST	64u

/* The first MOST.  Of a server whose files find no room any more all are meant: node 0. */
static struct { uint32_t server; uint64_t node; } mapped[MOST];
static uint32_t nmapped;

static void remember(uint32_t server, uint64_t node)
{
	uint32_t n = __atomic_load_n(&nmapped, __ATOMIC_ACQUIRE);

	for (uint32_t i = 0; i < n && i < MOST; i++)
		if (mapped[i].server == server && (mapped[i].node == node || !mapped[i].node))
			return;
	while (n < MOST && !__atomic_compare_exchange_n(&nmapped, &n, n + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
	for (uint32_t i = 0; n == MOST && i < MOST; i++)
		if (mapped[i].server == server)
			__atomic_store_n(&mapped[i].node, 0, __ATOMIC_RELAXED);
	if (n < MOST) {
		mapped[n].node = node;
		__atomic_store_n(&mapped[n].server, server, __ATOMIC_RELEASE);
	}
}

long file_msync(struct task *t)
{
	const uint32_t n = __atomic_load_n(&nmapped, __ATOMIC_ACQUIRE);
	long result = 0;

	for (uint32_t i = 0; i < n && i < MOST; i++) {
		const uint32_t server = __atomic_load_n(&mapped[i].server, __ATOMIC_ACQUIRE);
		int error;
		struct um_slot *s = server ? channel_begin(t, server, UM_OP_MSYNC, &error) : NULL;
		long r;

		if (!s)
			continue;		/* unmounted: that was written then */
		s->req.base = mapped[i].node;
		r = channel_call(t, server, s);
		if (r && r != -ENOTCONN && !result)
			result = r;
	}
	return result;
}

/* ---- mapping ---------------------------------------------------------------------------------------------- */

/* Is that the memory file that we were told of?  Its server may have closed it since, and given the number to another. */
static bool is_memory_file(long fd, uint64_t ino)
{
	struct stat st;

	return !raw_syscall(__NR_fstat, fd, &st) && st.st_ino == ino;
}

/* A descriptor of it; -EPERM: it has just ended. */
long file_mapped(struct task *t, struct file *f, const char *path)
{
	char name[MEMORY_NAME], link[48];
	struct um_slot *s;
	uint64_t memory;
	long r = file_stand_in_name(t, f, path, name);

	if (r)
		return r;
	s = file_begin(t, f, UM_OP_MAP, &r);
	if (!s)
		return r;
	memcpy(s->data, name, strlen(name) + 1);
	r = file_call(t, f, s);
	if (r)
		return r;
	memory = s->rep.node;
	text_format(link, sizeof link, "/proc/%u/fd/%u", (unsigned)s->rep.offset, (unsigned)s->rep.size);
	r = raw_syscall(__NR_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
	if (r < 0)
		return r == -ENOENT || r == -ENXIO ? -EPERM : r;
	if (!is_memory_file(r, memory)) {
		raw_syscall(__NR_close, r);
		return -EPERM;
	}
	remember(f->server, f->node);
	return r;
}
