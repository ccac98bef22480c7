/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps that look at attributes and change them: the stat family, access, modes, owners, times, extended
 * attributes, directories' entries, statfs, umask.
 */
#include "diff.h"
#include <linux/stat.h>
#include <sys/vfs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

static const int at_flags[] = { 0, 0, 0, AT_SYMLINK_NOFOLLOW, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
	AT_NO_AUTOMOUNT, 0x40000 };

static int pick_at_flags(struct upath *p)
{
	int flags = PICK_OF(at_flags);

	if (flags & AT_EMPTY_PATH && pick(2)) {
		p->arg = p->text;
		*p->text = 0;
		say(" EMPTY");
	}
	say(", %#x", (unsigned)flags);
	return flags;
}

static void op_stat(void)
{
	struct upath p;
	struct stat st;
	long r;

	switch (pick(4)) {
	case 0:
		pick_path(&p);
		r = syscall(SYS_stat, p.arg, &st);
		break;
	case 1:
		say("l ");
		pick_path(&p);
		r = syscall(SYS_lstat, p.arg, &st);
		break;
	case 2:
		r = syscall(SYS_fstat, pick_fd(), &st);
		break;
	default:
		pick_at(&p);
		r = syscall(SYS_newfstatat, p.dfd, p.arg, &st, pick_at_flags(&p));
	}
	if (!result(r))
		say_stat(&st);
}

static void op_statx(void)
{
	struct statx sx;
	struct upath p;
	struct stat st = { 0 };
	int flags;

	pick_at(&p);
	flags = pick_at_flags(&p);
	if (chance(10))
		flags |= AT_STATX_DONT_SYNC;
	if (result(syscall(SYS_statx, p.dfd, p.arg, flags, STATX_BASIC_STATS, &sx)))
		return;
	st.st_mode = sx.stx_mode;
	st.st_nlink = sx.stx_nlink;
	st.st_size = (off_t)sx.stx_size;
	st.st_uid = sx.stx_uid;
	st.st_gid = sx.stx_gid;
	st.st_atim.tv_sec = sx.stx_atime.tv_sec;
	st.st_atim.tv_nsec = sx.stx_atime.tv_nsec;
	st.st_mtim.tv_sec = sx.stx_mtime.tv_sec;
	st.st_mtim.tv_nsec = sx.stx_mtime.tv_nsec;
	say_stat(&st);
}

/* Do two descriptors, or a descriptor and a path, show the same file? */
static void op_same(void)
{
	struct stat a, b;
	struct upath p;
	bool by_path = pick(2);
	long r;

	r = syscall(SYS_fstat, pick_fd(), &a);
	say(", ");
	if (by_path) {
		pick_path(&p);
		r |= syscall(SYS_stat, p.arg, &b);
	} else {
		r |= syscall(SYS_fstat, pick_fd(), &b);
	}
	if (!result(r))
		say(a.st_ino == b.st_ino && a.st_dev == b.st_dev ? " same" : " other");
}

static void op_access(void)
{
	static const int flags[] = { 0, 0, AT_EACCESS, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EACCESS | AT_SYMLINK_NOFOLLOW, 1 };
	struct upath p;
	int mode = (int)pick(9), flag;

	pick_at(&p);
	flag = PICK_OF(flags);
	say(", %d, %#x", mode, (unsigned)flag);
	if (!flag && p.dfd == AT_FDCWD && pick(2))
		result(syscall(SYS_access, p.arg, mode));
	else if (!flag && pick(2))
		result(syscall(SYS_faccessat, p.dfd, p.arg, mode));
	else
		result(syscall(SYS_faccessat2, p.dfd, p.arg, mode, flag));
}

static void op_chmod(void)
{
	struct upath p;
	unsigned how = pick(4), mode = pick_mode();

	say("%o ", mode);
	if (how == 0) {
		pick_path(&p);
		result(syscall(SYS_chmod, p.arg, mode));
	} else if (how == 1) {
		result(syscall(SYS_fchmod, pick_fd(), mode));
	} else if (how == 2) {
		pick_at(&p);
		result(syscall(SYS_fchmodat, p.dfd, p.arg, mode));
	} else {
		pick_at(&p);
		result(syscall(452 /* fchmodat2 */, p.dfd, p.arg, mode, pick_at_flags(&p)));
	}
}

static void op_chown(void)
{
	static const unsigned ids[] = { ~0u, 0, 1, 65534 };
	struct upath p;
	unsigned how = pick(4), uid = PICK_OF(ids), gid = PICK_OF(ids);

	say("%d:%d ", (int)uid, (int)gid);
	if (how == 0) {
		pick_path(&p);
		result(syscall(SYS_chown, p.arg, uid, gid));
	} else if (how == 1) {
		result(syscall(SYS_fchown, pick_fd(), uid, gid));
	} else if (how == 2) {
		pick_path(&p);
		result(syscall(SYS_lchown, p.arg, uid, gid));
	} else {
		pick_at(&p);
		result(syscall(SYS_fchownat, p.dfd, p.arg, uid, gid, pick_at_flags(&p)));
	}
}

static struct timespec pick_time(void)
{
	static const long nsecs[] = { 0, 5, 999999999, UTIME_NOW, UTIME_OMIT, 1000000000, -1 };
	struct timespec t = { 1000 + pick(20), PICK_OF(nsecs) };

	say(" %ld.%ld", t.tv_sec, t.tv_nsec);
	return t;
}

static void op_utimens(void)
{
	struct timespec t[2];
	struct timeval v[2];
	struct upath p;
	bool now = chance(5);
	int flags;

	t[0] = pick_time();
	t[1] = pick_time();
	say(now ? " now " : " ");
	switch (pick(5)) {
	case 0:
		v[0] = (struct timeval){ t[0].tv_sec, t[0].tv_nsec / 1000 };
		v[1] = (struct timeval){ t[1].tv_sec, t[1].tv_nsec / 1000 };
		pick_path(&p);
		result(syscall(SYS_utimes, p.arg, now ? NULL : v));
		break;
	case 1:
		pick_path(&p);
		result(syscall(SYS_utime, p.arg, now ? NULL : &(struct utimbuf){ t[0].tv_sec, t[1].tv_sec }));
		break;
	case 2:
		result(syscall(SYS_utimensat, pick_fd(), NULL, now ? NULL : t, 0));
		break;
	default:
		pick_at(&p);
		flags = pick_at_flags(&p);
		result(syscall(SYS_utimensat, p.dfd, p.arg, now ? NULL : t, flags));
	}
}

/* ---- extended attributes -------------------------------------------------------------------------------------- */

static const char *const attrs[] = { "user.a", "user.a", "user.b", "user.longer_name", "user.", "noclass", "user.c", "trusted.x", "" };

static void set_attr(unsigned how, const struct upath *p, int fd, const char *attr)
{
	static const int flags[] = { 0, 0, XATTR_CREATE, XATTR_REPLACE, 4 };
	char value[256];
	size_t size = pick(sizeof value);
	int flag = PICK_OF(flags);

	memset(value, 'a' + (int)(step_number() % 26), sizeof value);
	say(", %s, %zu, %d", attr, size, flag);
	if (how == 0)
		result(syscall(SYS_fsetxattr, fd, attr, value, size, flag));
	else
		result(syscall(how == 1 ? SYS_lsetxattr : SYS_setxattr, p->arg, attr, value, size, flag));
}

static void get_attr(unsigned how, const struct upath *p, int fd, const char *attr)
{
	size_t size = chance(3) ? pick(20) : 256;
	char value[256];
	long r;

	say(", %s, %zu", attr, size);
	if (how == 0)
		r = syscall(SYS_fgetxattr, fd, attr, value, size);
	else
		r = syscall(how == 1 ? SYS_lgetxattr : SYS_getxattr, p->arg, attr, value, size);
	result(r);
	if (size)
		say_data(value, r);
}

static void op_xattr(void)
{
	const char *attr = PICK_OF(attrs);
	unsigned how = pick(4), what = pick(4);
	struct upath p;
	char names[1024];
	int fd = -1;
	long r;

	if (how == 0)
		fd = pick_fd();
	else
		pick_path(&p);
	if (what == 0) {
		say(" set");
		set_attr(how, &p, fd, attr);
	} else if (what == 1) {
		get_attr(how, &p, fd, attr);
	} else if (what == 2) {
		say(" list");
		if (how == 0)
			r = syscall(SYS_flistxattr, fd, names, sizeof names);
		else
			r = syscall(how == 1 ? SYS_llistxattr : SYS_listxattr, p.arg, names, sizeof names);
		result(r);
		for (long at = 0; at < r; at += (long)strlen(names + at) + 1)
			say(" %s", names + at);
	} else {
		say(" remove %s", attr);
		if (how == 0)
			result(syscall(SYS_fremovexattr, fd, attr));
		else
			result(syscall(how == 1 ? SYS_lremovexattr : SYS_removexattr, p.arg, attr));
	}
}

/* ---- the rest ----------------------------------------------------------------------------------------------- */

static void op_getdents(void)
{
	static const unsigned rooms[] = { 32768, 4096, 1024, 300, 280, 100, 20, 8 };
	int fd = pick_fd();
	unsigned room = PICK_OF(rooms);

	say(", %u", room);
	if (pick(2))
		say(" rewind %ld", (long)syscall(SYS_lseek, fd, 0L, SEEK_SET));
	if (room < 280)			/* how many fit is a question of their order */
		result(syscall(SYS_getdents64, fd, (char[32768]){ 0 }, room < 24 ? room : 20));
	else
		say_listing(fd, room);
}

static void op_statfs(void)
{
	struct statfs s = { 0 };
	struct upath p;
	long r;

	if (pick(2)) {
		pick_path(&p);
		r = syscall(SYS_statfs, p.arg, &s);
	} else {
		r = syscall(SYS_fstatfs, pick_fd(), &s);
	}
	if (!result(r))
		say(" %lx %ld %ld", (unsigned long)s.f_type, s.f_bsize, s.f_namelen);
}

static void op_umask(void)
{
	static const unsigned masks[] = { 022, 0, 077, 027, 0777, 0133 };
	unsigned mask = PICK_OF(masks);

	if (!(features & FEAT_PERM))
		mask &= 077;
	say("%o", mask);
	say(" = %lo", syscall(SYS_umask, mask));
}

static void op_walk(void)
{
	walk_tree();
}

const struct op ops_attr[] = {
	{ "stat", op_stat, 50, 0 },
	{ "statx", op_statx, 20, 0 },
	{ "same", op_same, 10, FEAT_SAME },
	{ "access", op_access, 15, 0 },
	{ "chmod", op_chmod, 15, 0 },
	{ "chown", op_chown, 6, FEAT_OWNER },
	{ "utimens", op_utimens, 12, 0 },
	{ "xattr", op_xattr, 20, FEAT_XATTR },
	{ "getdents", op_getdents, 15, 0 },
	{ "statfs", op_statfs, 5, FEAT_STATFS },
	{ "umask", op_umask, 4, 0 },
	{ "walk", op_walk, 0, 0 },
	{ 0 }
};
