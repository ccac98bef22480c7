/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps that open: open, openat, creat, openat2, O_TMPFILE, reopening through /proc/self/fd; chdir, fchdir.
 *
 * As soon as a FIFO has been made in the tree, everything is opened with O_NONBLOCK: nothing may wait here.
 */
#include "diff.h"
#include <linux/openat2.h>



static const unsigned open_flags[] = {
	O_CREAT, O_CREAT, O_EXCL | O_CREAT, O_TRUNC, O_APPEND, O_NOFOLLOW, O_NOFOLLOW, O_DIRECTORY, O_DIRECTORY, O_CLOEXEC,
	O_CLOEXEC, O_PATH, O_PATH, O_NONBLOCK, O_NOCTTY, O_NOATIME, O_DSYNC, O_DIRECT, O_EXCL, O_CREAT | O_DIRECTORY,
	O_PATH | O_NOFOLLOW, O_LARGEFILE,
};

static unsigned pick_open_flags(void)
{
	static const unsigned how[] = { O_RDONLY, O_RDONLY, O_RDONLY, O_RDWR, O_RDWR, O_WRONLY, O_ACCMODE };
	unsigned flags = PICK_OF(how) | pick_bits(open_flags, sizeof open_flags / sizeof *open_flags);

	if (*fifo_made)
		flags |= O_NONBLOCK;
	if (!(features & FEAT_DIRECT))
		flags &= ~(unsigned)(O_DIRECT | ((flags & O_ACCMODE) == O_ACCMODE ? O_WRONLY : 0));
	return flags;
}

/* A new descriptor: its name; not kept if it leads out of the tree or there are too many. */
static void opened(long fd)
{
	struct stat st;

	if (result(fd) < 0)
		return;
	if (!fstat((int)fd, &st) && S_ISFIFO(st.st_mode))	/* a pipe, through /proc */
		fcntl((int)fd, F_SETFL, fcntl((int)fd, F_GETFL) | O_NONBLOCK);
	if (fd < 3 || stray((int)fd)) {
		say(" stray");
		close((int)fd);
	} else if (fd >= FD_TRIM) {
		say(" full");
		syscall(SYS_close_range, 12, FD_TRIM + 20, 0);
	}
}

static void op_open(void)
{
	struct upath p;
	unsigned flags, mode;
	int how = (int)pick(6);

	if (how < 4)
		pick_at(&p);
	else
		pick_path(&p);
	flags = pick_open_flags();
	mode = pick_mode();
	if (how == 5) {
		say(", creat %o", mode);
		opened(*fifo_made ? syscall(SYS_open, p.arg, O_CREAT | O_WRONLY | O_TRUNC | O_NONBLOCK, mode) :
		       syscall(SYS_creat, p.arg, mode));
		return;
	}
	say(", %#o, %o", flags, mode);
	opened(how == 4 ? syscall(SYS_open, p.arg, flags, mode) : syscall(SYS_openat, p.dfd, p.arg, flags, mode));
}

static void op_openat2(void)
{
	static const unsigned resolve[] = {
		RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT,
		RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT,
	};
	struct open_how how = { 0 };
	struct upath p;

	pick_at(&p);
	how.flags = pick_open_flags();
	how.resolve = pick_bits(resolve, sizeof resolve / sizeof *resolve);
	if (how.flags & O_CREAT || chance(20))
		how.mode = pick_mode();
	if (chance(30))
		how.resolve |= 0x100;
	if (!(features & FEAT_RESOLVE) || root_changed)		/* the order of errors: docs/limits.md */
		how.resolve = 0;
	say(", %#llo, %llo, resolve %#llx", how.flags, how.mode, how.resolve);
	opened(syscall(SYS_openat2, p.dfd, p.arg, &how, sizeof how - (chance(40) ? 8 : 0)));
}

static void op_tmpfile(void)
{
	static const unsigned how[] = { O_RDWR, O_WRONLY, O_RDWR | O_EXCL, O_RDONLY };
	struct upath p;
	unsigned flags, mode;

	pick_at(&p);
	flags = PICK_OF(how);
	mode = pick_mode();
	say(", %#o, %o", flags | O_TMPFILE, mode);
	opened(syscall(SYS_openat, p.dfd, p.arg, flags | O_TMPFILE, mode));
}

static void op_chdir(void)
{
	struct upath p;

	pick_path(&p);
	if (!result(syscall(SYS_chdir, p.arg)))
		back_home();
}

static void op_fchdir(void)
{
	if (!result(syscall(SYS_fchdir, pick_fd())))
		back_home();
}

static void op_getcwd(void)
{
	char buf[PATH_MAX];
	size_t size = chance(4) ? 1 + pick(20) : sizeof buf;
	long r = syscall(SYS_getcwd, buf, size);

	if (r < 0) {
		result(r);
		return;
	}
	say_path(buf);
}

const struct op ops_open[] = {
	{ "open", op_open, 90, 0 },
	{ "openat2", op_openat2, 30, 0 },
	{ "tmpfile", op_tmpfile, 5, FEAT_TMPFILE },
	{ "chdir", op_chdir, 12, 0 },
	{ "fchdir", op_fchdir, 6, 0 },
	{ "getcwd", op_getcwd, 5, 0 },
	{ 0 }
};
