/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/exe: the program, not the agent that the kernel started.
 *
 * process.exe is set for a program that runs from a copy, or by a path that the kernel does not know.  Every
 * other is found by its mapping, so that the path is the present one, with " (deleted)" where it must be.
 */
#include <linux/fcntl.h>
#include "proc.h"
#include "../cow.h"

long proc_read_file(const char *path, char *buf, size_t size)
{
	long fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), n = 0;
	size_t len = 0;

	if (fd < 0)
		return fd;
	while (len + 1 < size && (n = raw_syscall(__NR_read, fd, buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	raw_syscall(__NR_close, fd);
	buf[len] = 0;
	return n < 0 ? n : (long)len;
}

/* Of our own process by this thread: the first one may have ended, and then the kernel shows nothing by its number. */
static void own_or_other(char path[48], int pid, const char *name)
{
	if (pid)
		text_format(path, 48, "/proc/%d/%s", pid, name);
	else
		text_format(path, 48, "/proc/thread-self/%s", name);
}

/* Where the program's text lies, field 26 of /proc/PID/stat; 0 or 1 if nobody may know, and *error why it cannot be looked up. */
static uint64_t start_code(int pid, long *error)
{
	char path[48], text[1024];
	const char *s;

	own_or_other(path, pid, "stat");
	*error = proc_read_file(path, text, sizeof(text));
	if (*error <= 0)
		return 0;
	s = strrchr(text, ')');		/* the name in front may contain anything */
	for (int field = 2; s && field < 26; field++)
		s = strchr(s + 1, ' ');
	return s && s[1] ? (uint64_t)text_number(&(const char *) { s + 1 }) : 0;
}

uint64_t proc_hex(const char **s)
{
	uint64_t v = 0;

	for (;; (*s)++) {
		char c = **s;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return v;
	}
}

/* ---- by its mapping ------------------------------------------------------------------------------------- */

/* A line of /proc/PID/maps: the path of the file mapped over `address`, or NULL. */
static const char *maps_line(const char *s, uint64_t address)
{
	uint64_t from = proc_hex(&s), to;

	if (*s++ != '-')
		return NULL;
	to = proc_hex(&s);
	return address >= from && address < to ? strchr(s, '/') : NULL;
}

/* The offset in such a line: "FROM-TO PERMS OFFSET ..." */
static uint64_t world_offset(const char *s)
{
	s = strchr(s, ' ');
	s = s ? strchr(s + 1, ' ') : NULL;
	return s ? proc_hex(&(const char *) { s + 1 }) : 0;
}

struct maps {
	long fd;
	size_t len;
	char buf[UM_PATH_MAX + 128];
};

/* The next line, without its newline; NULL at the end.  `used` is what the last one took. */
static char *next_line(struct maps *m, size_t *used)
{
	char *newline;
	long n;

	m->len -= *used;
	memmove(m->buf, m->buf + *used, m->len);
	m->buf[m->len] = 0;
	while (!(newline = strchr(m->buf, '\n')) && m->len + 1 < sizeof(m->buf)) {
		n = raw_syscall(__NR_read, m->fd, m->buf + m->len, sizeof(m->buf) - 1 - m->len);
		if (n <= 0)
			return NULL;
		m->len += (size_t)n;
		m->buf[m->len] = 0;
	}
	if (!newline)
		return NULL;
	*newline = 0;
	*used = (size_t)(newline - m->buf) + 1;
	return m->buf;
}

static long mapped_file(int pid, uint64_t address, char *buf, size_t size)
{
	struct maps m = { .len = 0 };
	const char *found = NULL, *line;
	const struct um_prepared *copy;
	size_t used = 0, n;
	char path[48];
	bool stubs;

	own_or_other(path, pid, "maps");
	m.fd = raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (m.fd < 0)
		return m.fd;
	while (!found && (line = next_line(&m, &used)))
		found = maps_line(line, address);
	raw_syscall(__NR_close, m.fd);
	if (!found)
		return -ENOENT;
	n = strlen(found);
	if (!strcmp(found, PROC_WORLD)) {
		copy = proc_prepared_copy(world_offset(line), &stubs);
		found = copy ? copy->path : found;
		n = strlen(found);
	} else if (!strncmp(found, "/memfd:umview:", 14) && !(found = proc_stands_for(found, &n, NULL, NULL))) {
		return -ENOENT;
	}
	if (n >= size)
		return -ENOENT;
	memcpy(buf, found, n);
	buf[n] = 0;
	return (long)n;
}

/* ---- by what the agent remembers -------------------------------------------------------------------------- */

long proc_remembered_exe(int pid, char *buf, size_t size)
{
	const char *at;

	if (!peer_read(pid, &process.exe, &at, sizeof(at)) || !at)
		return 0;
	return peer_string(pid, at, buf, size);
}

long proc_mapped_exe(int pid, char *buf, size_t size)
{
	long error;
	uint64_t start = start_code(pid, &error);

	return start > 1 ? mapped_file(pid, start, buf, size) : proc_no_descriptor(error) ? error : -EACCES;
}

long proc_exe(int pid, char *buf, size_t size)
{
	long n;

	if (!proc_in_view(pid))
		return -ENOENT;
	n = proc_remembered_exe(pid, buf, size);
	if (!n) {
		n = proc_mapped_exe(pid, buf, size);
		cow_to_view(buf, &n, size);
	}
	return n;
}
