/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of /proc whose text we make: the kernel's file is opened as the guest wants it, so that it says who
 * may and what does not exist; then its lines, changed where they must be, go into a memory file, which
 * takes the descriptor's number.  It is sealed, read-only, has the mode of the kernel's file, and its name
 * tells what it stands for.  It is a snapshot: who wants to see a change opens anew, as nearly everybody does.
 */
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include "proc.h"
#include "real.h"

/* ---- lines ------------------------------------------------------------------------------------------------ */

/* Reads on behind what is there.  Bytes, 0 at the end, or -errno. */
static long fill(struct made *m)
{
	long n;

	if (m->from) {
		memmove(m->buf, m->buf + m->from, m->to - m->from);
		m->to -= m->from;
		m->from = 0;
	}
	n = raw_syscall(__NR_read, m->in, m->buf + m->to, MADE_SIZE - 1 - m->to);
	if (n > 0)
		m->to += (size_t)n;
	return n;
}

char *made_line(struct made *m)
{
	char *line, *end;
	long n = 1;

	m->buf[m->to] = 0;
	while (!(end = strchr(m->buf + m->from, '\n')) && n > 0 && m->to - m->from < MADE_SIZE - 1) {
		n = fill(m);
		m->buf[m->to] = 0;
	}
	line = m->buf + m->from;
	if (m->from == m->to)
		return NULL;
	m->begins = m->ends;
	m->ends = end;
	m->line_len = end ? (size_t)(end - line) : m->to - m->from;
	m->from += m->line_len + (end ? 1 : 0);
	if (end)
		*end = 0;
	return line;
}

void made_flush(struct made *m)
{
	for (size_t at = 0; at < m->olen && !m->error; ) {
		long r = own_file_call(__NR_write, m->out, (long)(m->obuf + at), (long)(m->olen - at), 0);

		if (r <= 0)
			m->error = r ? r : -EIO;
		else
			at += (size_t)r;
	}
	m->olen = 0;
}

void made_put(struct made *m, const char *s, size_t n)
{
	while (n) {
		size_t part = MADE_SIZE - m->olen < n ? MADE_SIZE - m->olen : n;

		memcpy(m->obuf + m->olen, s, part);
		m->olen += part;
		s += part;
		n -= part;
		if (m->olen == MADE_SIZE)
			made_flush(m);
	}
}

void made_format(struct made *m, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = text_vformat(text, sizeof(text), fmt, ap);
	va_end(ap);
	made_put(m, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

void made_copy(struct made *m, const char *line)
{
	made_put(m, line, m->line_len);
	if (m->ends)
		made_put(m, "\n", 1);
}

/* ---- the memory file -------------------------------------------------------------------------------------- */

static void (*const makers[])(struct made *m) = {
	[PROC_MOUNTS] = made_mounts,
	[PROC_MOUNTINFO] = made_mounts,
	[PROC_MOUNTSTATS] = made_mounts,
	[PROC_MAPS] = made_maps,
	[PROC_SMAPS] = made_maps,
	[PROC_NUMA_MAPS] = made_numa_maps,
	[PROC_STATUS] = made_status,
	[PROC_STAT] = made_stat,
	[PROC_SYSCALL] = made_syscall,
	[PROC_FDINFO] = made_fdinfo,
};

/* With something of the kernel's file in m->buf already. */
static long make(struct made *m)
{
	struct stat st;
	long r;

	makers[m->hit.what](m);
	made_flush(m);
	if (m->error)
		return m->error;
	if (raw_syscall(__NR_fstat, m->in, &st) == 0)
		raw_syscall(__NR_fchmod, m->out, st.st_mode & 0777);
	r = raw_syscall(__NR_fcntl, m->out, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return r;
}

/*
 * The memory file as the guest would have it: read-only, at offset 0, under the number the kernel chose.  On the
 * way no more than two descriptors are needed.
 */
static long take_place(long real, long memory, int flags)
{
	char path[48];
	long fd, r = raw_syscall(__NR_dup3, memory, real, O_CLOEXEC);

	raw_syscall(__NR_close, memory);
	if (r < 0)
		return r;
	text_format(path, sizeof(path), "/proc/thread-self/fd/%ld", real);
	fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | (flags & O_NONBLOCK), 0);
	if (fd < 0)
		return fd;
	r = raw_syscall(__NR_dup3, fd, real, flags & O_CLOEXEC);
	raw_syscall(__NR_close, fd);
	return r;
}

/* A memory file named after the kernel's file. */
static long memory_file(long real)
{
	char name[249], link[48], path[128];
	long n;

	text_format(link, sizeof(link), "/proc/thread-self/fd/%ld", real);
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = 0;
	text_format(name, sizeof(name), PROC_STANDS, 0u, 0ul, path);
	return raw_syscall(__NR_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

/* real: the kernel's file, newly opened.  It stays what it is when it cannot be read: then it says why. */
static long replace(struct made *m, long real, int flags)
{
	long r, memory;

	if (fill(m) < 0)
		return real;
	memory = memory_file(real);
	if (memory < 0)
		return memory;
	m->out = (int)memory;
	r = make(m);
	if (!r)
		return take_place(real, memory, flags);
	raw_syscall(__NR_close, memory);
	return r;
}

long proc_made(struct where *w, long real, int flags)
{
	struct made m = { .t = w->t, .hit = w->proc, .ends = true };
	long r;

	if (real < 0 || !proc_is_made(w->proc.what) || flags & O_PATH || (flags & O_ACCMODE) != O_RDONLY ||
	    !proc_in_view(w->proc.pid))
		return real;
	r = own_map(2 * MADE_SIZE, PROT_READ | PROT_WRITE, 0, -1, 0);
	if (r >= 0) {
		m.in = (int)real;
		m.buf = (char *)r;
		m.obuf = m.buf + MADE_SIZE;
		r = replace(&m, real, flags);
		own_unmap(m.buf, 2 * MADE_SIZE);
	}
	if (r < 0)
		raw_syscall(__NR_close, real);
	return r;
}
