/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps with calls in their rarer forms, and with arguments that are wrong: masks and flags of statx, vectors,
 * old calls, sizes of structures, signals that are none, the rest of fcntl and ioctl, asynchronous input and output.
 */
#include "diff.h"
#include <linux/aio_abi.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <termios.h>

static char buf[65536] __attribute__((aligned(4096)));
static void *const nowhere = (void *)16;

/* ---- attributes --------------------------------------------------------------------------------------------- */

static void op_statx2(void)
{
	static const unsigned masks[] = { 0, STATX_TYPE, STATX_MODE | STATX_SIZE, STATX_NLINK, STATX_BASIC_STATS, 0xfff, 0x80000000u, 0x1fff };
	static const int flags[] = { 0, AT_EMPTY_PATH, AT_STATX_FORCE_SYNC, AT_STATX_DONT_SYNC, 0x6000, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, 0x8000,
		AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, AT_SYMLINK_FOLLOW };
	struct statx sx = { 0 };
	struct upath p;
	unsigned mask, flag;
	bool empty;

	pick_at(&p);
	mask = PICK_OF(masks);
	flag = (unsigned)PICK_OF(flags);
	empty = flag & AT_EMPTY_PATH && pick(2);
	if (empty) {
		p.arg = p.text;
		*p.text = 0;
	}
	say(", %#x, %#x%s", flag, mask, empty ? " EMPTY" : "");
	if (chance(20)) {
		result(syscall(SYS_statx, p.dfd, chance(2) ? NULL : p.arg, flag, mask, nowhere));
		return;
	}
	if (result(syscall(SYS_statx, p.dfd, p.arg, flag, mask, &sx)))
		return;
	say(" %o", sx.stx_mode & S_IFMT);
	if (!(features & FEAT_ATIME) && flag == AT_STATX_DONT_SYNC)
		return;			/* the kernel's FUSE does not ask then, be it that it knows nothing yet */
	if (mask & STATX_MODE)
		say(" %o", sx.stx_mode);
	if (mask & STATX_SIZE && !S_ISDIR(sx.stx_mode))
		say(" %llu", (unsigned long long)sx.stx_size);
}

static void op_oldtimes(void)
{
	static const long usecs[] = { 0, 7, 999999, 1000000, -1 };
	struct timeval v[2] = { { 2000 + pick(9), 0 }, { 3000 + pick(9), 0 } };
	struct upath p;
	long r;

	v[0].tv_usec = PICK_OF(usecs);
	v[1].tv_usec = PICK_OF(usecs);
	say("%ld %ld ", v[0].tv_usec, v[1].tv_usec);
	pick_at(&p);
	switch (pick(5)) {
	case 0:
		r = syscall(SYS_futimesat, p.dfd, NULL, v);
		say(" no path");
		break;
	case 1:
		r = syscall(SYS_futimesat, p.dfd, p.arg, nowhere);
		say(" bad");
		break;
	case 2:
		r = syscall(SYS_utimensat, p.dfd, NULL, NULL, 0);
		say(" no path, now");
		break;
	default:
		r = syscall(SYS_futimesat, p.dfd, p.arg, v);
	}
	result(r);
}

static void op_olddents(void)
{
	int fd = pick_fd();
	unsigned room = pick(2) ? 32768 : pick(24);
	long total = 0, r;

	say(", %u", room);
	syscall(SYS_lseek, fd, 0L, SEEK_SET);
	if (chance(10)) {
		say(" bad");
		result(syscall(pick(2) ? SYS_getdents : SYS_getdents64, fd, nowhere, 4096));
		return;
	}
	while ((r = syscall(SYS_getdents, fd, buf, room)) > 0)
		for (long at = 0; at < r; at += *(unsigned short *)(buf + at + 16))
			total += strncmp(buf + at + 18, ".fuse_hidden", 12) != 0;
	result(r);
	say(" %ld", total);
}

/* ---- data --------------------------------------------------------------------------------------------------- */

/* Vectors with empty, bad, huge pieces. */
static int pick_vector(struct iovec *v, bool writes)
{
	static const long counts[] = { 1, 3, 4, 0, 2, -1, 1025 };
	long n = PICK_OF(counts);

	for (int i = 0; i < 4; i++) {
		v[i] = (struct iovec){ buf + i * 5000, pick(5000) };
		if (writes)
			memset(v[i].iov_base, 'a' + (int)((step_number() + (unsigned)i) % 26), 5000);
	}
	switch (pick(12)) {
	case 0:
		v[1].iov_base = nowhere;
		say(" second bad");
		break;
	case 1:
		v[0].iov_len = (size_t)-1;
		say(" negative");
		break;
	case 2:
		v[0] = (struct iovec){ nowhere, 0 };
		say(" empty bad");
		break;
	case 3:
		v[0].iov_base = nowhere;
		say(" first bad");
		break;
	}
	say(", %ld", n);
	return (int)n;
}

static void op_vector(void)
{
	static const int64_t offsets[] = { -1, 0, 0, 100, 5000, -2, 70000 };
	static const int flags[] = { 0, 0, 0, 1 /* HIPRI */, 2 /* DSYNC */, 4 /* SYNC */, 0x10, 0x100, 0x1000 };
	struct iovec v[1026];
	int fd = pick_fd(), flag;
	bool writes = pick(2);
	long at, n, r;

	memset(v, 0, sizeof v);
	n = pick_vector(v, writes);
	at = PICK_OF(offsets);
	flag = PICK_OF(flags);
	if (flag == 0x100 && !(features & FEAT_NOAPPEND))	/* RWF_NOSIGNAL of newer kernels */
		flag = 0;
	say(" %s at %ld %#x", writes ? "write" : "read", at, (unsigned)flag);
	switch (pick(3)) {
	case 0:
		r = syscall(writes ? SYS_pwritev : SYS_preadv, fd, v, n, at, 0L);
		break;
	case 1:
		r = syscall(writes ? SYS_pwritev2 : SYS_preadv2, fd, v, n, at, at < 0 ? -1L : 0L, flag);
		break;
	default:
		r = syscall(writes ? SYS_writev : SYS_readv, fd, chance(20) ? nowhere : v, n);
	}
	result(r);
	if (r > 0 && !writes)
		for (long i = 0, left = r; i < 4 && left > 0; left -= (long)v[i++].iov_len)
			say_data(v[i].iov_base, left < (long)v[i].iov_len ? left : (long)v[i].iov_len);
}

static void op_flush(void)
{
	int fd = pick_fd();
	unsigned flags = pick(9);

	switch (pick(3)) {
	case 0:
		say(" range %u", flags);
		result(syscall(SYS_sync_file_range, fd, chance(8) ? -1L : 0L, 4096L, flags));
		break;
	case 1:
		say(" syncfs");
		result(syscall(SYS_syncfs, fd));
		break;
	default:
		say(" advise %u", flags);
		result(syscall(SYS_fadvise64, fd, 100L, chance(8) ? -1L : 4096L, (long)flags));
	}
}

/* The pipe has our memory in it, whenever it is read: so that never changes. */
static void op_vmsplice(void)
{
	static char memory[4096];
	struct iovec v = { memory, pick_size() % sizeof memory };
	int fd = pick_fd();

	if (!memory[0])
		memset(memory, 'v', sizeof memory);
	say(", %zu", v.iov_len);
	result(syscall(SYS_vmsplice, fd, &v, 1L, 2 /* SPLICE_F_NONBLOCK */ | (chance(8) ? 0x100 : 0)));
}

/* ---- bad arguments ------------------------------------------------------------------------------------------ */

static void op_openat2odd(void)
{
	static const uint64_t flags[] = { 0, O_PATH, O_PATH | O_RDWR, O_CREAT, 1ull << 40, O_TMPFILE, O_TMPFILE | O_RDWR, O_DIRECTORY | O_CREAT, 0x40000000,
		O_PATH | O_CREAT, O_PATH | O_TRUNC };
	static const uint64_t modes[] = { 0, 0, 0600, 010000, 07777, 1ull << 33 };
	static const uint64_t resolves[] = { 0, 0, 0, 0x40, 1ull << 34, RESOLVE_BENEATH | RESOLVE_IN_ROOT };
	static const size_t sizes[] = { 24, 24, 24, 16, 0, 32, 4096, 4097, 25 };
	static union { struct open_how how; char room[4200]; } u;
	struct upath p;
	size_t size;
	long fd;

	pick_at(&p);
	memset(&u, 0, sizeof u);
	u.how.flags = PICK_OF(flags);
	if (!(u.how.flags & O_PATH))
		u.how.flags |= O_NONBLOCK;
	u.how.mode = PICK_OF(modes);
	u.how.resolve = PICK_OF(resolves);
	if (!(features & FEAT_RESOLVE))
		u.how.resolve = 0;
	if (!(features & FEAT_TMPFILE))
		u.how.flags &= ~(uint64_t)(O_TMPFILE ^ O_DIRECTORY);
	size = PICK_OF(sizes);
	if (chance(4))
		u.room[size < 24 ? 0 : size - 1] |= 1;
	say(", %#llx, %#llo, %#llx, size %zu", (unsigned long long)u.how.flags, (unsigned long long)u.how.mode,
	    (unsigned long long)u.how.resolve, size);
	fd = syscall(SYS_openat2, p.dfd, p.arg, chance(20) ? nowhere : &u, size);
	result(fd);
	if (fd >= 0)
		close((int)fd);
}

static void op_badsignal(void)
{
	static const int numbers[] = { 0, 65, -1, SIGKILL, SIGSTOP, 32, 33, SIGUSR1, SIGSYS };
	static const size_t sizes[] = { 8, 8, 8, 4, 16, 128 };
	struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } old = { 0 };
	int sig = PICK_OF(numbers);
	size_t size = PICK_OF(sizes);
	unsigned long set = 0;

	say("%d, %zu", sig, size);
	switch (pick(6)) {
	case 0:
		result(syscall(SYS_rt_sigaction, sig, NULL, &old, size));
		break;
	case 1:
		result(syscall(SYS_rt_sigaction, sig, nowhere, NULL, size));
		break;
	case 2:
		say(" mask");
		result(syscall(SYS_rt_sigprocmask, sig, NULL, &set, size));
		say(" %lx", set & ~(3ul << 31));
		break;
	case 3:
		say(" mask bad");
		result(syscall(SYS_rt_sigprocmask, sig, nowhere, NULL, size));
		break;
	case 4:
		say(" pending");
		result(syscall(SYS_rt_sigpending, chance(3) ? nowhere : &set, size));
		break;
	default:
		say(" queue");
		result(syscall(SYS_rt_sigqueueinfo, getpid(), sig == SIGUSR1 || sig == SIGSYS || sig == 32 || sig == 33 ? 0 : sig & 65, nowhere));
	}
}

/* ---- what there is besides of fcntl and ioctl ----------------------------------------------------------------- */

static void op_fcntl2(void)
{
	static const struct { int cmd; long arg; } all[] = {
		{ F_SETOWN, 0 }, { F_GETOWN, 0 }, { F_SETSIG, 0 }, { F_SETSIG, 65 }, { F_GETLEASE, 0 }, { F_SETLEASE, F_UNLCK }, { F_SETLEASE, 9 },
		{ F_NOTIFY, 0 }, { F_ADD_SEALS, 1 }, { F_GET_SEALS, 0 }, { F_SETPIPE_SZ, 4096 }, { 1036 /* F_SET_RW_HINT */, 16 }, { 1035, 16 },
		{ F_DUPFD, -1 }, { F_DUPFD, 1 << 20 }, { F_SETFD, 2 }, { F_SETFL, O_ASYNC | O_NONBLOCK }, { F_SETFL, O_NONBLOCK }, { F_SETLKW, 16 }, { F_GETLK, 16 },
		{ F_SETOWN_EX, 16 }, { F_GETOWN_EX, 16 }, { 1027, 4 }, { -1, 0 },
	};
	unsigned i = pick(sizeof all / sizeof *all);
	int fd = pick_fd();
	long r;

	say(", %d %ld", all[i].cmd, all[i].arg);
	if (!(features & FEAT_HINT) && all[i].cmd >= 1024)
		return;
	r = syscall(SYS_fcntl, fd, all[i].cmd, all[i].arg);
	result(r > 0 && all[i].cmd == 1027 ? 1 : r);
}

static void op_ioctl2(void)
{
	static const unsigned long all[] = { FIGETBSZ, FS_IOC_GETFLAGS, FS_IOC_GETVERSION, FIOQSIZE, FIOASYNC, TIOCGWINSZ, 0x12345678, FIFREEZE, FICLONE, FS_IOC_FIEMAP,
		FIONREAD, FIBMAP };
	unsigned i = pick(sizeof all / sizeof *all);
	int fd = pick_fd(), zero = 0;
	long r;

	say(", %#lx", all[i]);
	if (all[i] == FIFREEZE || (!(features & FEAT_HINT) && (i < 4 || all[i] == FICLONE || all[i] == FS_IOC_FIEMAP)))
		return;
	if (all[i] == FICLONE)
		r = syscall(SYS_ioctl, fd, all[i], pick_fd());
	else if (all[i] == FS_IOC_FIEMAP || all[i] == FIBMAP)
		r = syscall(SYS_ioctl, fd, all[i], nowhere);
	else if (all[i] == FIOASYNC)
		r = syscall(SYS_ioctl, fd, all[i], &zero);
	else
		r = syscall(SYS_ioctl, fd, all[i], buf);
	result(r);
}

static void op_odddup(void)
{
	int fd = pick_fd();

	switch (pick(6)) {
	case 0:
		say(" itself");
		result(syscall(SYS_dup2, fd, fd));
		break;
	case 1:
		say(" itself, 3");
		result(syscall(SYS_dup3, fd, fd, 0));
		break;
	case 2:
		say(" far");
		result(syscall(SYS_dup2, fd, 1 << 30));
		break;
	case 3:
		say(" -1");
		result(syscall(SYS_dup2, fd, -1));
		break;
	case 4:
		say(" flags");
		result(syscall(SYS_dup3, fd, 20, 0x12));
		break;
	default:
		say(" range");
		result(syscall(SYS_close_range, 20u + pick(3), chance(2) ? 19u : 18u, pick(2) ? 4 : 0));
	}
}

static void op_memfd(void)
{
	long fd = syscall(SYS_memfd_create, "name", pick(4));

	if (result(fd) >= FD_TRIM)
		close((int)fd);
}

/* ---- asynchronous input and output ---------------------------------------------------------------------------- */

static void op_aio(void)
{
	aio_context_t context = 0;
	struct iocb job = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (uintptr_t)buf, .aio_nbytes = pick(5000), .aio_offset = pick(3000) };
	struct iocb *jobs[] = { &job };
	struct io_event event = { 0 };
	int fd = pick_fd();
	struct stat st;
	long r;

	job.aio_fildes = (unsigned)fd;
	if (pick(2)) {
		job.aio_lio_opcode = IOCB_CMD_PWRITE;
		memset(buf, 'A' + (int)(step_number() % 26), 5000);
	}
	if (chance(8))
		job.aio_lio_opcode = 99;
	say(", %d %llu", job.aio_lio_opcode, (unsigned long long)job.aio_nbytes);
	if (!fstat(fd, &st) && !S_ISREG(st.st_mode)) {		/* what may wait */
		say(" no file");
		return;
	}
	syscall(SYS_io_setup, 4, &context);
	r = syscall(SYS_io_submit, context, 1L, chance(20) ? nowhere : jobs);
	result(r);
	if (r == 1) {
		syscall(SYS_io_getevents, context, 1L, 1L, &event, NULL);
		say(" %lld", (long long)event.res);
		if (job.aio_lio_opcode == IOCB_CMD_PREAD)
			say_data(buf, (long)event.res);
	}
	syscall(SYS_io_destroy, context);
}

const struct op ops_odd[] = {
	{ "statx2", op_statx2, 12, 0 },
	{ "oldtimes", op_oldtimes, 5, 0 },
	{ "olddents", op_olddents, 4, 0 },
	{ "vector", op_vector, 20, 0 },
	{ "flush", op_flush, 4, 0 },
	{ "vmsplice", op_vmsplice, 2, FEAT_SPECIAL },
	{ "openat2odd", op_openat2odd, 8, 0 },
	{ "badsignal", op_badsignal, 4, 0 },
	{ "fcntl2", op_fcntl2, 8, 0 },
	{ "ioctl2", op_ioctl2, 6, 0 },
	{ "odddup", op_odddup, 6, 0 },
	{ "memfd", op_memfd, 2, FEAT_ENVIRON },
	{ "aio", op_aio, 4, FEAT_AIO },
	{ 0 }
};
