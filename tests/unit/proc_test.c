/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The translation of files of /proc, line by line: what goes in, what must come out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include "tap.h"
#include "shim.h"
#include "../../src/agent/signal.h"
#include "../../src/kernel/fs/proc.h"
#include "../../src/kernel/guard.h"

static struct fsinfo fsinfo;		/* no root of its own */
static struct task task = { .fs = &fsinfo };
static struct sigstate sig;
static struct sighand hand;
static struct guard guard;
static struct um_world world;

static char *out;

/* Runs a maker over `text`; the result is a string, valid until the next. */
static const char *made(void (*maker)(struct made *m), enum proc_what what, const char *text, size_t n)
{
	struct made m = { .t = &task, .hit = { .what = (uint8_t)what }, .ends = true };
	char *buf = malloc(2 * MADE_SIZE);
	long size;

	m.in = (int)raw_syscall(__NR_memfd_create, "in", 0);
	m.out = (int)raw_syscall(__NR_memfd_create, "out", 0);
	m.buf = buf;
	m.obuf = buf + MADE_SIZE;
	if (pwrite(m.in, text, n, 0) != (ssize_t)n)
		exit(1);
	maker(&m);
	made_flush(&m);
	size = lseek(m.out, 0, SEEK_END);
	free(out);
	out = calloc(1, (size_t)size + 1);
	if (pread(m.out, out, (size_t)size, 0) != size)
		exit(1);
	close(m.in);
	close(m.out);
	free(buf);
	return out;
}

#define MADE(maker, what, text) made(maker, what, text, strlen(text))

#define PAD	"                          "
#define AGENT	"7e9100000000-7e9100050000 ---p 00000000 00:00 0" PAD "[umview]\n"

static const struct { const char *what, *in, *want; } maps[] = {
	{ "nothing", "", "" },
	{ "what is nobody's stays",
	  "00400000-00401000 r-xp 00001000 fe:00 7                                  /bin/a b\n"
	  "7ffc0000-7ffc1000 rw-p 00000000 00:00 0 \n",
	  "00400000-00401000 r-xp 00001000 fe:00 7                                  /bin/a b\n"
	  "7ffc0000-7ffc1000 rw-p 00000000 00:00 0 \n" },
	{ "the agent is one entry",
	  "7e9100000000-7e9100030000 r-xp 00001000 00:01 9                          /memfd:umview (deleted)\n"
	  "7e9100030000-7e9100040000 rw-p 00031000 00:01 9                          /memfd:umview (deleted)\n"
	  "7e9100040000-7e9100050000 rw-p 00000000 00:00 0 \n", AGENT },
	{ "patched text is whole",
	  "7f0000001000-7f0000002000 r-xp 00001000 fe:00 7                          /lib/c\n"
	  "7f0000002000-7f0000003000 r-xp 00002000 fe:00 7                          /lib/c\n"
	  "7f0000003000-7f0000004000 r-xp 00003000 fe:00 7                          /lib/c\n",
	  "7f0000001000-7f0000004000 r-xp 00001000 fe:00 7                          /lib/c\n" },
	{ "another file, another offset, a gap, data: not",
	  "7f0000001000-7f0000002000 r-xp 00001000 fe:00 7                          /lib/c\n"
	  "7f0000002000-7f0000003000 r-xp 00002000 fe:00 8                          /lib/d\n"
	  "7f0000003000-7f0000004000 r-xp 00005000 fe:00 8                          /lib/d\n"
	  "7f0000005000-7f0000006000 r-xp 00006000 fe:00 8                          /lib/d\n"
	  "7f0000006000-7f0000007000 r--p 00007000 fe:00 8                          /lib/d\n"
	  "7f0000007000-7f0000008000 r--p 00008000 fe:00 8                          /lib/d\n", NULL },
	{ "a copy of a virtual file",
	  "7f0000001000-7f0000002000 r--p 00001000 00:01 7                          /memfd:umview:80001:1f:/mnt/a (b (deleted)\n",
	  "7f0000001000-7f0000002000 r--p 00001000 00:80001 31                      /mnt/a (b\n" },
	{ "names that only look like ours",
	  "7f0000001000-7f0000002000 r--p 00001000 00:01 7                          /memfd:umview:80001:1f:mnt (deleted)\n"
	  "7f0000002000-7f0000003000 r--p 00001000 00:01 8                          /memfd:umview (deleted)\n", NULL },
	{ "no newline at the end, no maps at all", "7f0000001000-7f00", "7f0000001000-7f00\n" },
};

static void test_maps(void)
{
	for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
		const char *want = maps[i].want ? maps[i].want : maps[i].in;
		const char *got = MADE(made_maps, PROC_MAPS, maps[i].in);

		if (i + 1 < sizeof maps / sizeof *maps)
			is_str(got, want, "maps: %s", maps[i].what);
		else
			ok(strlen(got) < 40, "maps: %s", maps[i].what);
	}
}

static void test_long_lines(void)
{
	size_t n = 200000;
	char *text = malloc(n + 1);

	memset(text, 'x', n);
	memcpy(text, "Groups:\t", 8);
	text[n - 1] = '\n';
	text[n] = 0;
	ok(!strcmp(MADE(made_status, PROC_STATUS, text), text), "status: a line of 200000 bytes passes unchanged");
	memcpy(text, "7f0000001000-7f0000002000 r--p 00001000 00:01 7 ", 48);
	text[n - 1] = 0;
	ok(strlen(MADE(made_maps, PROC_MAPS, text)) > 0, "maps: such a line does no harm");
	free(text);
}

static void test_smaps(void)
{
	is_str(MADE(made_maps, PROC_SMAPS,
		    "7f0000001000-7f0000002000 r-xp 00001000 fe:00 7                          /lib/c\n"
		    "Size:                  4 kB\nKernelPageSize:        4 kB\nRss:                   4 kB\nVmFlags: rd ex \n"
		    "7f0000002000-7f0000004000 r-xp 00002000 fe:00 7                          /lib/c\n"
		    "Size:                  8 kB\nKernelPageSize:        4 kB\nRss:            12345678 kB\nVmFlags: rd ex ac \n"),
	       "7f0000001000-7f0000004000 r-xp 00001000 fe:00 7                          /lib/c\n"
	       "Size:                 12 kB\nKernelPageSize:        4 kB\nRss:            12345682 kB\nVmFlags: rd ex \n",
	       "smaps: what is merged is added up, the size of a page is not");
}

static void test_status(void)
{
	static struct guest_filter oldest = { .refs = 1 }, newest = { .refs = 1, .prev = &oldest };

	is_str(MADE(made_status, PROC_STATUS,
		    "SigBlk:\t0000000000000200\nSigIgn:\t0000000000000000\nSigCgt:\t0000000040000442\n"
		    "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\nCpus_allowed:\t3\n"),
	       "SigBlk:\t0000000040000200\nSigIgn:\t0000000000000040\nSigCgt:\t0000000000000402\n"
	       "NoNewPrivs:\t0\nSeccomp:\t0\nSeccomp_filters:\t0\nCpus_allowed:\t3\n", "status: one filter is ours");
	guard.mode = SECCOMP_MODE_FILTER;
	is_str(MADE(made_status, PROC_STATUS, "Seccomp:\t2\nSeccomp_filters:\t3\n"),
	       "Seccomp:\t2\nSeccomp_filters:\t2\n", "status: of three, two are those the view was started under");
	guard.filter = &newest;
	guard.caught = guard.no_new_privs = true;
	is_str(MADE(made_status, PROC_STATUS, "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n"),
	       "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\n", "status: the guest's own");
	guard = (struct guard) { 0 };
	is_str(MADE(made_status, PROC_STATUS, "Seccomp:\t2\nThreads:\t1\n"), "Seccomp:\t0\nThreads:\t1\n",
	       "status: a kernel that does not count filters");
	is_str(MADE(made_status, PROC_STATUS, "Seccomp:\t2"), "Seccomp:\t0\n", "status: that is cut short");
}

static void test_stat(void)
{
	static const char tail[] = "S 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 ";

	char in[300], want[300];

	snprintf(in, sizeof in, "1 (a) b ) (c) %s512 0 1073742914 35 36\n", tail);
	snprintf(want, sizeof want, "1 (a) b ) (c) %s1073742336 64 1026 35 36\n", tail);
	is_str(MADE(made_stat, PROC_STAT, in), want, "stat: by the last bracket of the line");
	is_str(MADE(made_stat, PROC_STAT, "1 (a"), "1 (a", "stat: that is cut short");
}

static void test_stands(void)
{
	unsigned minor = 0;
	uint64_t ino = 0;
	size_t n = 0;
	const char *s = proc_stands_for("/memfd:umview:a:b:/x/y (deleted)", &n, &minor, &ino);

	ok(s && n == 4 && !memcmp(s, "/x/y", 4) && minor == 10 && ino == 11, "the name of a memory file");
	ok(!proc_stands_for("/memfd:umview:a:b", &n, NULL, NULL), "one without a path");
	ok(!proc_stands_for("/memfd:umview-world (deleted)", &n, NULL, NULL), "the world's");
	ok(!proc_stands_for("", &n, NULL, NULL), "none");
}

int main(void)
{
	plan(0);
	process.pid = getpid();
	process.world = &world;
	process.views = (void *)own_map(UM_VIEW_SPAN, PROT_READ, 0, -1, 0);
	task.self = &task;
	task.tid = task.pid = process.pid;
	task.sig = &sig;
	task.sighand = &hand;
	task.guard = &guard;
	sig.mask = SIGBIT(31) | SIGBIT(10);
	hand.act[7].handler = 1;
	hand.act[2].handler = hand.act[11].handler = 0x1000;
	test_maps();
	test_long_lines();
	test_smaps();
	test_status();
	test_stat();
	test_stands();
	free(out);
	return done();
}
