/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps with descriptors as such: dup and its kin, close, fcntl, flags, locks, what /proc/self/fd shows.
 */
#include "diff.h"
#include <dirent.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

static void kept(long fd)
{
	if (result(fd) >= FD_TRIM) {
		say(" full");
		syscall(SYS_close_range, 12, FD_TRIM + 20, 0);
	}
}

static void op_close(void)
{
	result(syscall(SYS_close, pick_fd()));
}

static void op_close_range(void)
{
	static const unsigned flags[] = { 0, 0, CLOSE_RANGE_CLOEXEC, 2 /* CLOSE_RANGE_UNSHARE */, 8 };
	unsigned first = 3 + pick(16), last = first + pick(6) - 1, flag = PICK_OF(flags);

	say("%u, %u, %u", first, last, flag);
	result(syscall(SYS_close_range, first, last, flag));
}

static void op_dup(void)
{
	unsigned how = pick(3);
	int fd = pick_fd(), to = 3 + (int)pick(20), flags;

	if (how == 0) {
		kept(syscall(SYS_dup, fd));
		return;
	}
	say(", %d", to);
	if (how == 1) {
		kept(syscall(SYS_dup2, fd, to));
		return;
	}
	flags = pick(2) ? O_CLOEXEC : chance(8) ? O_APPEND : 0;
	say(", %#o", (unsigned)flags);
	kept(syscall(SYS_dup3, fd, to, flags));
}

static void op_fcntl(void)
{
	static const unsigned others[] = { F_GETPIPE_SZ, F_GET_SEALS, F_GETOWN, F_GETSIG, 999 };
	static const unsigned status[] = { O_APPEND, O_NONBLOCK, O_NOATIME, O_RDWR, O_CREAT };
	int fd = pick_fd();
	unsigned n;
	long r;

	switch (pick(9)) {
	case 0:
		n = 3 + pick(15);
		say(", DUPFD %u", n);
		kept(syscall(SYS_fcntl, fd, F_DUPFD, n));
		break;
	case 1:
		n = 3 + pick(15);
		say(", DUPFD_CLOEXEC %u", n);
		kept(syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, n));
		break;
	case 2:
	case 3:
		say(", GETFD");
		result(syscall(SYS_fcntl, fd, F_GETFD));
		break;
	case 4:
		n = pick(2);
		say(", SETFD %u", n);
		result(syscall(SYS_fcntl, fd, F_SETFD, n));
		break;
	case 5:
	case 6:
		say(", GETFL");
		r = syscall(SYS_fcntl, fd, F_GETFL);
		if (r >= 0 && !(features & FEAT_DIRECT))
			r &= ~(long)(O_NOATIME | O_DIRECT);
		say(" = %lo", r);
		break;
	case 7:
		n = pick_bits(status, 5) | O_NONBLOCK;
		if (!(features & FEAT_DIRECT))
			n &= ~(unsigned)O_NOATIME;
		say(", SETFL %#o", n);
		result(syscall(SYS_fcntl, fd, F_SETFL, n));
		break;
	case 8:
		n = PICK_OF(others);
		say(", cmd %u", n);
		result(syscall(SYS_fcntl, fd, n, 0));
		break;
	}
}

static void op_ioctl(void)
{
	int fd = pick_fd(), n = -1;
	long r;

	switch (pick(4)) {
	case 0:
		r = syscall(SYS_ioctl, fd, FIONREAD, &n);
		if (!r)
			say(" %d", n);
		break;
	case 1:
		say(", CLOEX");
		r = syscall(SYS_ioctl, fd, pick(2) ? FIOCLEX : FIONCLEX);
		break;
	case 2:
		n = 1;
		say(", NBIO");
		r = syscall(SYS_ioctl, fd, FIONBIO, &n);
		break;
	default:
		say(", TCGETS");
		r = syscall(SYS_ioctl, fd, TCGETS, (char[256]){ 0 });
	}
	result(r);
}

/* ---- locks ---------------------------------------------------------------------------------------------------- */

/* Of the whole machine, such as the one inode of all event descriptors: other processes, of another run too, lock it as well. */
static bool shared_by_all(int fd)
{
	struct stat st, tree;
	bool shared = !fstat(fd, &st) && !stat(root, &tree) &&
		      (!(st.st_mode & S_IFMT) || S_ISCHR(st.st_mode) || st.st_dev != tree.st_dev);

	if (shared)
		say(" shared");
	return shared;
}

static void op_flock(void)
{
	static const int ops[] = { LOCK_SH | LOCK_NB, LOCK_EX | LOCK_NB, LOCK_UN, LOCK_EX | LOCK_NB, LOCK_NB, 64 | LOCK_NB };
	int fd = pick_fd(), op = PICK_OF(ops);

	say(", %d", op);
	if (!shared_by_all(fd))
		result(syscall(SYS_flock, fd, op));
}

static const char *owner(pid_t pid)
{
	return pid == -1 ? "open file" : pid == getpid() ? "self" : pid == getppid() ? "parent" : pid ? "other" : "none";
}

static void op_lock(void)
{
	static const int cmds[] = { F_SETLK, F_SETLK, F_OFD_SETLK, F_GETLK, F_OFD_GETLK };
	static const short types[] = { F_RDLCK, F_WRLCK, F_UNLCK, F_WRLCK, 7 };
	static const int starts[] = { 0, 0, 10, 100, -5, 1000 };
	int fd = pick_fd(), cmd = PICK_OF(cmds);
	struct flock l = { .l_type = PICK_OF(types), .l_whence = (short)pick(4) };

	if (cmd == F_OFD_GETLK && l.l_type == F_UNLCK)
		l.l_type = F_RDLCK;		/* a question for one's own locks, since Linux 6.5 only */
	l.l_start = PICK_OF(starts);
	l.l_len = PICK_OF(starts);
	say(", %d, %d %d %ld %ld", cmd, l.l_type, l.l_whence, (long)l.l_start, (long)l.l_len);
	if (shared_by_all(fd))
		return;
	if (result(syscall(SYS_fcntl, fd, cmd, &l)) || cmd == F_SETLK || cmd == F_OFD_SETLK)
		return;
	say(" %d", l.l_type);
	if (l.l_type != F_UNLCK)
		say(" %d %ld %ld %s", l.l_whence, (long)l.l_start, (long)l.l_len, owner(l.l_pid));
}

/* ---- what the kernel shows of them ------------------------------------------------------------------------- */

static void op_fds(void)
{
	for (int fd = 0; fd < 40; fd++) {
		int flags = fcntl(fd, F_GETFD);
		struct stat st;

		if (flags < 0)
			continue;
		say(" %d%s", fd, flags ? "e" : "");
		if (fd > 2 && !fstat(fd, &st))
			say("%c", "?pc?d?b?-?l?s???"[st.st_mode >> 12 & 15]);
	}
}

static void op_fdname(void)
{
	char link[32], name[PATH_MAX];
	long n;

	sprintf(link, "/proc/%s/fd/%d", in_thread() ? "thread-self" : "self", pick_fd());
	n = readlink(link, name, sizeof name - 1);
	if (n < 0) {
		result(n);
		return;
	}
	name[n] = 0;
	say(" ");
	say_path(name);
}

static void op_fdlist(void)
{
	DIR *d = opendir(pick(2) && !in_thread() ? "/proc/self/fd" : "/proc/thread-self/fd");
	char there[40] = { 0 };
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (*e->d_name != '.' && atoi(e->d_name) < 40)
			there[atoi(e->d_name)] = e->d_type == DT_LNK ? 'l' : '?';
	for (int fd = 0; fd < 40; fd++)
		if (there[fd])
			say(" %d%c", fd, there[fd]);
	if (d)
		closedir(d);
}

const struct op ops_fd[] = {
	{ "close", op_close, 45, 0 },
	{ "close_range", op_close_range, 5, 0 },
	{ "dup", op_dup, 25, 0 },
	{ "fcntl", op_fcntl, 25, 0 },
	{ "ioctl", op_ioctl, 6, 0 },
	{ "flock", op_flock, 8, FEAT_LOCK },
	{ "lock", op_lock, 12, FEAT_LOCK },
	{ "fds", op_fds, 4, 0 },
	{ "fdname", op_fdname, 8, FEAT_ENVIRON },
	{ "fdlist", op_fdlist, 2, 0 },
	{ 0 }
};
