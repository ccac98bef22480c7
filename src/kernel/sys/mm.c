/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory calls where they meet us: a file mapping may be of a virtual file; nothing of the guest's may be
 * mapped over, unmapped from, or moved out of the agent's part of the address space.
 */
#include "handlers.h"
#include "../path_walk.h"
#include "../fs/proc.h"
#include "../fs/remote.h"
#include "../../agent/prepared.h"
#include "../../arch/x86_64/offsets.h"
#include <linux/mman.h>

/* Does [addr, addr + len) touch what is ours? */
static bool touches_agent(uint64_t addr, uint64_t len)
{
	return addr < UM_OWN_END && (len > UM_OWN_END || addr + len > UM_AGENT_BASE);
}

/* May a descriptor opened like this be mapped so?  mmap(2), EACCES. */
static long may_map(const struct file *f, int prot, int flags)
{
	unsigned mode = f->open_flags & O_ACCMODE, type = (unsigned)flags & MAP_TYPE;

	if (f->flags & FILE_PATH)
		return -EBADF;
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (f->kind != FILE_REMOTE || (f->mode & S_IFMT) != S_IFREG)
		return -ENODEV;
	if (mode == O_WRONLY || ((flags & MAP_TYPE) != MAP_PRIVATE && (prot & PROT_WRITE) && mode != O_RDWR))
		return -EACCES;
	return 0;
}

/* A mapping of what is the kernel's.  Was the file opened through a bind mount of ours? */
static long map_real(struct task *t, gaddr addr, size_t len, int prot, int flags, int fd, int64_t off)
{
	uint32_t bound, bind;
	long r;

	if (flags & MAP_ANONYMOUS || !prepared_mmap(addr, len, prot, flags, fd, off, &r))
		r = raw_syscall(__NR_mmap, addr, len, prot, flags, fd, off);
	if (flags & MAP_ANONYMOUS || r < 0)
		return r;
	bind = base_bind(t, fd, &bound);
	if (bind)
		proc_bound_note((uint64_t)r, len, bind, bound);
	return r;
}

/* The same memory file, read-only: so that mprotect() cannot make a mapping writable whose changes nobody
 * would write back. */
static long read_only(long fd)
{
	char name[32];

	text_format(name, sizeof name, "/proc/thread-self/fd/%ld", fd);
	long r = raw_syscall(__NR_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0);
	raw_syscall(__NR_close, fd);
	return r;
}

/*
 * A shared mapping of a file that may be written to.  EPERM: nobody has mapped it any more, and so it has been given up, just now.
 * EACCES: its server has just been killed, and says so when it is asked again; or its memory is not for us.
 */
static long map_shared(struct task *t, struct file *f, const char *path, gaddr addr, size_t len, int prot, int flags, uint64_t off)
{
	long r = -EPERM;

	for (int i = 0; i < 20 && (r == -EPERM || r == -EACCES); i++) {
		long fd = file_mapped(t, f, path);

		if (fd < 0) {
			r = fd;
			continue;
		}
		r = raw_syscall(__NR_mmap, addr, len, prot, flags, fd, off);
		raw_syscall(__NR_close, fd);
	}
	return r == -EPERM ? -EAGAIN : r;
}

/* A private (or read-only) mapping of a virtual file: of a memory file that holds its content now. */
static long map_virtual(struct task *t, struct file *f, gaddr addr, size_t len, int prot, int flags,
			uint64_t off)
{
	char path[UM_PATH_MAX];
	if (file_path(t, f, path, sizeof path) < 0)
		text_format(path, sizeof path, "%s", f->path ? f->path : "/");
	if ((flags & MAP_TYPE) != MAP_PRIVATE && (f->open_flags & O_ACCMODE) == O_RDWR)
		return map_shared(t, f, path, addr, len, prot, flags, off);
	long fd = file_to_memfd(t, f, path, O_CLOEXEC);
	if (fd >= 0 && (flags & MAP_TYPE) != MAP_PRIVATE)
		fd = read_only(fd);
	if (fd < 0)
		return fd;
	long r = raw_syscall(__NR_mmap, addr, len, prot, flags, fd, off);
	raw_syscall(__NR_close, fd);
	return r;
}

long sys_mmap(struct task *t, gaddr addr, size_t len, int prot, int flags, int fd, int64_t off)
{
	struct file *f;

	if (addr && touches_agent(addr, len)) {
		if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
			return flags & MAP_FIXED_NOREPLACE ? -EEXIST : -ENOMEM;
		addr = 0;		/* only a hint: somewhere else, then */
	}
	if ((flags & MAP_ANONYMOUS) || !(f = fd_hold(t, fd))) {
		if (!(flags & MAP_ANONYMOUS) && fd_is_ours(fd))
			return -EBADF;
		return map_real(t, addr, len, prot, flags, fd, off);
	}
	long r = off & 4095 ? -EINVAL : may_map(f, prot, flags);
	if (r == 0)
		r = map_virtual(t, f, addr, len, prot, flags, off);
	file_put(f);
	return r;
}

long sys_munmap(struct task *t, gaddr addr, size_t len)
{
	if (touches_agent(addr, len))
		return -EINVAL;
	long r = pass_through(t);
	if (r == 0)
		prepared_munmap(addr, len);
	return r;
}

/* The kernel's memory is up to date; what lies behind it at a server may not be. */
long sys_msync(struct task *t, gaddr addr, size_t len, int flags)
{
	long r = pass_through(t);

	(void)addr;
	(void)len;
	return r || !(flags & MS_SYNC) ? r : file_msync(t);
}

long sys_mprotect(struct task *t, gaddr addr, size_t len, int prot)
{
	(void)prot;
	return touches_agent(addr, len) ? -ENOMEM : pass_through(t);
}

long sys_pkey_mprotect(struct task *t, gaddr addr, size_t len, int prot, int pkey)
{
	(void)prot;
	(void)pkey;
	return touches_agent(addr, len) ? -ENOMEM : pass_through(t);
}

long sys_madvise(struct task *t, gaddr addr, size_t len, int advice)
{
	(void)advice;
	return touches_agent(addr, len) ? -ENOMEM : pass_through(t);
}

long sys_mremap(struct task *t, gaddr old, size_t old_len, size_t new_len, int flags, gaddr new)
{
	if (touches_agent(old, old_len))
		return -EFAULT;
	if ((flags & MREMAP_FIXED) && touches_agent(new, new_len))
		return -EINVAL;
	return pass_through(t);
}
