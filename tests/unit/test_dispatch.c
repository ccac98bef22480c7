/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/agent/dispatch.c and trace.c: registers to arguments and back, calls made again, unknown numbers, and
 * the tracer's lines.  The dispatch table is this file's own, so that no handler is needed.
 */
#include <stdlib.h>
#include <unistd.h>
#include "tap.h"
#include "shim.h"
#include "sysnr.h"

static struct um_world world;

#define BAD_ADDRESS	0x1000ul

static unsigned long seen[6];
static long answer;

static long record(struct task *t, const unsigned long *a)
{
	(void)t;
	memcpy(seen, a, sizeof(seen));
	return answer;
}

static long through(struct task *t, const unsigned long *a)
{
	(void)a;
	return pass_through(t);
}

extern const syscall_fn um_dispatch[UM_NR_MAX + 1];
extern const syscall_fn um_dispatch_private;
const syscall_fn um_dispatch[UM_NR_MAX + 1] = {
	[UM_NR_read] = record, [UM_NR_write] = record, [UM_NR_openat] = record, [UM_NR_exit] = record,
	[UM_NR_mmap] = record, [UM_NR_close] = through, [UM_NR_getpid] = through, [UM_NR_fchmod] = record,
	[UM_NR_lseek] = record,
};
const syscall_fn um_dispatch_private = record;

static struct task task;

static uint64_t make(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	task.regs = (struct regs){ .rax = nr, .rdi = a, .rsi = b, .rdx = c, .r10 = d, .r8 = 15, .r9 = 16,
				   .rip = 0x1002, .site = 0x1000 };
	agent_syscall(&task);
	return task.regs.rax;
}

static void test_dispatch(void)
{
	answer = 42;
	is_int(make(UM_NR_read, 11, 12, 13, 14), 42, "the result");
	ok(seen[0] == 11 && seen[1] == 12 && seen[2] == 13 && seen[3] == 14 && seen[4] == 15 && seen[5] == 16,
	   "the arguments' order");
	is_int(task.regs.rip, 0x1002, "goes on behind the call");
	is_int(task.nr, UM_NR_read, "the number is noted");
	is_int(make(0xffffffff00000000 | UM_NR_read, 0, 0, 0, 0), 42, "the high half of rax does not count");
	is_int(make(UM_NR_CALL, 1, 0, 0, 0), 42, "the private number");
	is_int(make(UM_NR_MAX + 1, 0, 0, 0, 0), -ENOSYS, "a number that is too large");
	is_int(make(UM_NR_MAX - 1, 0, 0, 0, 0), -ENOSYS, "a number without entry");
	is_int(make(0xffffffff, 0, 0, 0, 0), -ENOSYS, "-1");

	answer = -UM_ERESTART;
	is_int(make(UM_NR_read, 1, 2, 3, 4), UM_NR_read, "made again: the number");
	is_int(task.regs.rip, 0x1000, "made again: the place");

	is_int(make(UM_NR_getpid, 0, 0, 0, 0), getpid(), "passed through");
	is_int(make(UM_NR_close, (uint64_t)-1, 0, 0, 0), -EBADF, "passed through, an error");
}

/* Runs one call under trace and returns its line(s). */
static const char *traced(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	static char text[4096];
	int fd[2];
	ssize_t n;

	if (pipe(fd))
		abort();
	world.trace = (uint32_t)fd[1];
	process.watch = WATCH_TRACE;
	make(nr, a, b, c, d);
	process.watch = 0;
	world.trace = 0;
	close(fd[1]);
	n = read(fd[0], text, sizeof(text) - 1);
	close(fd[0]);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static void test_trace(void)
{
	static char data[] = "a\n\"b\\\1 and much more than the tracer shows of it";
	char *longpath = calloc(1, 5000);
	const char *text;

	memset(longpath, 'x', 4999);
	task.tid = 7;
	answer = 3;
	is_str(traced(UM_NR_openat, (uint64_t)AT_FDCWD, (uint64_t)"/etc/x", 0x80000, 0),
	       "7 openat(AT_FDCWD, \"/etc/x\", 0x80000, 00) = 3\n", "openat");
	answer = -ENOENT;
	is_str(traced(UM_NR_openat, 5, (uint64_t)"", 0, 0644),
	       "7 openat(5, \"\", 0, 0644) = -1 ENOENT\n", "an error has its name");
	is_str(traced(UM_NR_openat, 5, BAD_ADDRESS, 0, 0),
	       "7 openat(5, 0x1000, 0, 00) = -1 ENOENT\n", "a bad address");
	is_str(traced(UM_NR_openat, 5, 0, 0, 0), "7 openat(5, NULL, 0, 00) = -1 ENOENT\n", "NULL");
	text = traced(UM_NR_openat, 5, (uint64_t)longpath, 0, 0);
	ok(strlen(text) < 400 && strstr(text, "xxx\"..., 0, 00) = -1 ENOENT\n"), "a long path is cut");

	answer = 6;
	is_str(traced(UM_NR_read, 3, (uint64_t)data, 100, 0), "7 read(3, \"a\\n\\\"b\\\\\\1\", 100) = 6\n",
	       "what was read, escaped");
	is_str(traced(UM_NR_read, 3, (uint64_t)data, 2, 0), "7 read(3, \"a\\n\", 2) = 6\n",
	       "never more than the buffer");
	text = traced(UM_NR_write, 3, (uint64_t)data, 40, 0);
	ok(strstr(text, "\"..., 40) = 6\n"), "long data are cut");
	answer = 0;
	is_str(traced(UM_NR_lseek, 3, (uint64_t)-5, 2, 0), "7 lseek(3, -5, 2) = 0\n", "negative offset");
	answer = 0x7f0000001000;
	text = traced(UM_NR_mmap, 0, 4096, 3, 0x22);
	is_str(text, "7 mmap(0, 4096, 3, 0x22, 15, 16) = 0x7f0000001000\n", "an address as result");
	answer = -UM_ERESTART;
	ok(strstr(traced(UM_NR_read, 3, 0, 0, 0), ") = ? (made again"), "a call to be made again");
	answer = 0;
	is_str(traced(UM_NR_exit, 1, 0, 0, 0), "7 exit(1) = ?\n7 exit(1) = 0\n", "one that may not return");
	is_str(traced(400, 1, 2, 3, 0), "7 syscall_400(0x1, 0x2, 0x3) = -1 ENOSYS\n", "an unknown number");
	free(longpath);
}

int main(void)
{

	plan(0);
	process.world = &world;
	test_dispatch();
	test_trace();
	return done();
}
