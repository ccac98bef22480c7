/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the agent of another process knows.
 *
 * All guests of a monitor execute one image, at one address.  So whoever may read the memory of a process of
 * the view finds there, at the addresses of our own variables, those of its agent.  The kernel lets us read
 * another's memory where it lets us debug it, which is a little less often than it shows us its maps (Yama);
 * without it a few things are shown as the kernel knows them, and never anything wrong.
 *
 * The other process runs meanwhile: what is read is only shown, and pointers in it are only given to
 * peer_read() again.
 */
#include <linux/fcntl.h>
#include "proc.h"
#include "../../arch/x86_64/offsets.h"

extern char first_task_region[];

/* Asks no server of that file system: it may be slow, or wait for us. */
bool proc_leads_to(const char *path, int fd)
{
	struct statx a, b;

	return raw_syscall(__NR_statx, AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &a) == 0 &&
	       raw_syscall(__NR_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &b) == 0 &&
	       a.stx_ino == b.stx_ino && a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor;
}

bool proc_in_view(int pid)
{
	char path[32];

	text_format(path, sizeof(path), "/proc/%d/exe", pid);
	return !pid || proc_leads_to(path, process.image_fd);
}

bool peer_read(int pid, const void *at, void *buf, size_t n)
{
	struct iovec local = { buf, n }, remote = { (void *)(uintptr_t)at, n };

	if (pid)
		return raw_syscall(__NR_process_vm_readv, pid, &local, 1, &remote, 1, 0) == (long)n;
	memcpy(buf, at, n);
	return true;
}

/* Piece by piece, none of which crosses into a page that the string need not reach. */
long peer_string(int pid, const char *at, char *buf, size_t size)
{
	size_t len = 0;

	if (!pid) {
		len = strlen(at);
		if (len >= size)
			return -ENAMETOOLONG;
		memcpy(buf, at, len + 1);
		return (long)len;
	}
	while (len < size) {
		size_t n = 64 - ((uintptr_t)(at + len) & 63);

		if (n > size - len)
			n = size - len;
		if (!peer_read(pid, at + len, buf + len, n))
			return -EFAULT;
		for (; n; n--, len++)
			if (!buf[len])
				return (long)len;
	}
	return -ENAMETOOLONG;
}

/* A child that has not run yet since its fork has the memory of its parent, whose ids stand in it. */
static bool is_newborn(int pid)
{
	int believed;

	return peer_read(pid, &process.pid, &believed, sizeof(believed)) && believed != pid;
}

/* Regions are mapped one behind the other; the first one that cannot be read is the end.  *some: one with another task, or 0. */
static bool find_task(int pid, int tid, struct task *copy, uint64_t *some)
{
	int who = pid ? pid : process.pid;

	*some = 0;
	for (uint64_t at = (uint64_t)first_task_region + TASK_OFFSET; at < UM_TASKS_BASE + (1ull << 32); at += UM_TASK_SPAN) {
		if (!peer_read(who, (const void *)at, copy, sizeof(*copy)))
			break;
		if (copy->busy && copy->tid == (tid ? tid : pid))
			return true;
		if (copy->busy && !*some)
			*some = at;
	}
	return false;
}

bool peer_task(int pid, int tid, struct task *copy)
{
	uint64_t some;

	if (!tid && !pid)
		return false;
	if (find_task(pid, tid, copy, &some))
		return true;
	if (!some || !pid)
		return false;
	if (is_newborn(pid))
		return peer_read(pid, (const void *)some, copy, sizeof(*copy));
	return find_task(pid, tid, copy, &some);	/* it may have become itself while we were looking */
}
