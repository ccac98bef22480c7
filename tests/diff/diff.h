/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The differential fuzzer's program: random system calls on a small tree, one line of output for each step, the
 * same in every world as long as the worlds are the same (tests/diff/run.py compares).
 *
 * A step is an operation (a function of one of the tables op_*.c) that draws its arguments with pick(), makes its
 * calls, and says what came of them.  The draws are the step: they come from the seed, or from a recorded sequence
 * (main.c), one line `OPERATION DRAW...` a step, from which lines can be taken away.  So an operation never draws
 * from anything else, and a recorded sequence outlives changes of how often an operation is chosen.  New values
 * are added at the end of a table, so that recorded draws keep their meaning.
 *
 * What is printed may not depend on chance: no inode numbers, no addresses, no process ids, of times only
 * those that were set.  The tree's own path is printed as "@".
 */
#ifndef UM_TESTS_DIFF_H
#define UM_TESTS_DIFF_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>

/* Descriptors that steps leave alone; they use those below FD_TRIM, and draw from 3 to FD_DRAWN. */
#define FD_OUT		100
#define FD_ROOT		101
#define FD_RECORD	102
#define FD_DRAWN	18
#define FD_TRIM		30

/* What a world may leave out (--without): run.py tells which world does, and why. */
enum feature {
	FEAT_LOCK = 1 << 0,		/* locks on files */
	FEAT_XATTR = 1 << 1,
	FEAT_SHARED = 1 << 2,		/* shared writable mappings */
	FEAT_MAP = 1 << 3,		/* private mappings that outlive their step */
	FEAT_SPECIAL = 1 << 4,		/* making FIFOs and sockets in the tree */
	FEAT_RENAME = 1 << 5,		/* flags of renameat2 */
	FEAT_TMPFILE = 1 << 6,
	FEAT_HOLE = 1 << 7,		/* fallocate, SEEK_DATA, SEEK_HOLE */
	FEAT_PERM = 1 << 8,		/* modes that keep the owner out; sticky bits */
	FEAT_TIME = 1 << 9,		/* showing times */
	FEAT_DIRSIZE = 1 << 10,		/* showing sizes and link counts of directories */
	FEAT_OWNER = 1 << 11,		/* showing and changing owners */
	FEAT_DIRECT = 1 << 12,		/* O_DIRECT, and access mode 3 */
	FEAT_STATFS = 1 << 13,
	FEAT_HARDLINK = 1 << 14,
	FEAT_DINO = 1 << 15,		/* inode numbers and types in directories are those of stat */
	FEAT_SAME = 1 << 16,		/* two descriptors of a file show one inode */
	FEAT_UNLINKED = 1 << 17,	/* the name of an open file that was removed */
	FEAT_ENVIRON = 1 << 18,		/* names of files in /proc/self/fd */
	FEAT_LONGNAME = 1 << 19,	/* names of more than 255 bytes */
	FEAT_RESOLVE = 1 << 20,		/* openat2's rules for the path */
	FEAT_NOAPPEND = 1 << 21,	/* RWF_NOAPPEND */
	FEAT_READY = 1 << 22,		/* poll, select, epoll */
	FEAT_APART = 1 << 23,		/* children that share descriptors or the cwd, threads that do not */
	FEAT_ATIME = 1 << 24,		/* showing access times */
	FEAT_ORDER = 1 << 25,		/* which of several errors of a call on two files is told */
	FEAT_USER = 1 << 26,		/* children with another user's rights, with a limit on the size of files */
	FEAT_FEWFDS = 1 << 27,		/* children that may have few descriptors only */
	FEAT_WATCH = 1 << 28,		/* inotify */
	FEAT_AIO = 1 << 29,		/* asynchronous input and output */
	FEAT_ROOT = 1u << 31,		/* chroot */
	FEAT_HINT = 1 << 30,		/* seals, leases, flags and the like, which a file system may know or not */
};
extern unsigned features;

struct op {
	const char *name;
	void (*run)(void);
	unsigned weight;		/* how often it is drawn */
	enum feature needs;		/* left out, said so, where the world lacks it */
};
extern const struct op ops_open[], ops_rw[], ops_name[], ops_attr[], ops_fd[], ops_map[], ops_life[], ops_signal[],
	ops_ipc[], ops_wait[], ops_place[], ops_proc[], ops_odd[], ops_sock[], ops_intr[];

/* ---- main.c: draws and the line of output ------------------------------------------------------------- */

unsigned pick(unsigned n);			/* 0 to n - 1 */
bool chance(unsigned one_in);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
long result(long r);				/* says " = R" or " = -1 ENAME" by errno; returns r */
long result_of_two(long r);			/* the same for calls on two files */
unsigned step_number(void);
void run_steps(unsigned count);			/* the next ones; in a child, a thread */
void skip_steps(unsigned count);		/* what a child has done already */
void flush_line(void);				/* before a child goes on with lines of its own */
void depth_add(int by);
int depth_now(void);

#define PICK_OF(table)	((table)[pick(sizeof(table) / sizeof *(table))])

/* ---- gen.c: arguments ----------------------------------------------------------------------------------- */

extern char root[];				/* the tree, absolute */
extern size_t root_len;
extern const char *other_root;			/* the same behind a bind mount, or "" */

struct upath {
	int dfd;				/* AT_FDCWD or a descriptor */
	char *arg;				/* text, or an address that is no memory */
	char text[8200];
};

/* A path and a descriptor to start from (said as "DFD, PATH"), or a path alone. */
void pick_at(struct upath *p);
void pick_path(struct upath *p);
int pick_fd(void);				/* said, too */
unsigned pick_bits(const unsigned *bits, unsigned n);
unsigned pick_mode(void);
size_t pick_size(void);
int64_t pick_offset(void);
bool in_thread(void);
const char *pick_target(char *buf, size_t size);	/* of a symbolic link */
void say_path(const char *path);		/* with "@" for the tree; digits in brackets left out */
void tree_make(const char *program);

/* ---- op_name.c: a FIFO is somewhere in the tree --------------------------------------------------------- */

extern bool *fifo_made;		/* shared: a child may make it */

/* ---- op_life.c ------------------------------------------------------------------------------------------- */

extern bool root_changed;	/* of a child: it has made a chroot */
extern bool few_descriptors;	/* of a child: what a view needs one or two for is not done (docs/limits.md) */
bool program_busy(const char *path);	/* may not be executed: somebody writes to it, or to the tree's own */

/* ---- op_signal.c ---------------------------------------------------------------------------------------- */

void signals_start(void);

/* ---- norm.c: what came of it ---------------------------------------------------------------------------- */

uint32_t hash(const void *data, size_t size);
void say_data(const void *data, long size);
void say_stat(const struct stat *st);
void say_time(int64_t sec, unsigned nsec);
void say_listing(int fd, size_t room);		/* from where it stands: names and types, sorted */
void walk_tree(void);
bool stray(int fd);				/* says its name; is it a directory outside of the tree? */
void back_home(void);				/* chdir to the tree when the cwd has left it */

#endif
