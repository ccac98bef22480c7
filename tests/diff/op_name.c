/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Steps that make, move and remove names.  Of link and rename each argument is a path of its own, so that they
 * cross directories, mounts and links.
 */
#include "diff.h"

bool *fifo_made;

static void op_mkdir(void)
{
	struct upath p;
	unsigned mode;

	pick_at(&p);
	mode = pick_mode();
	say(", %o", mode);
	if (p.dfd == AT_FDCWD && pick(2))
		result(syscall(SYS_mkdir, p.arg, mode));
	else
		result(syscall(SYS_mkdirat, p.dfd, p.arg, mode));
}

static void op_rmdir(void)
{
	struct upath p;

	pick_at(&p);
	if (p.dfd == AT_FDCWD && pick(2))
		result(syscall(SYS_rmdir, p.arg));
	else
		result(syscall(SYS_unlinkat, p.dfd, p.arg, AT_REMOVEDIR));
}

static void op_unlink(void)
{
	struct upath p;

	pick_at(&p);
	if (p.dfd == AT_FDCWD && pick(2))
		result(syscall(SYS_unlink, p.arg));
	else
		result(syscall(SYS_unlinkat, p.dfd, p.arg, chance(20) ? 1 : 0));
}

static void op_rename(void)
{
	struct upath from, to;

	pick_at(&from);
	say(", ");
	pick_at(&to);
	if (from.dfd == AT_FDCWD && to.dfd == AT_FDCWD && pick(2))
		result_of_two(syscall(SYS_rename, from.arg, to.arg));
	else
		result_of_two(syscall(SYS_renameat, from.dfd, from.arg, to.dfd, to.arg));
}

static void op_renameat2(void)
{
	static const unsigned flags[] = { 1, 1, 2, 2, 4, 0, 3, 5, 8 };	/* NOREPLACE, EXCHANGE, WHITEOUT */
	struct upath from, to;
	unsigned flag;

	pick_at(&from);
	say(", ");
	pick_at(&to);
	flag = PICK_OF(flags);
	if (flag == 4 || flag == 5)
		flag = 1;		/* a whiteout: refused behind copy-on-write, docs/limits.md */
	say(", %u", flag);
	result_of_two(syscall(SYS_renameat2, from.dfd, from.arg, to.dfd, to.arg, flag));
}

static void op_link(void)
{
	static const int flags[] = { 0, 0, 0, AT_SYMLINK_FOLLOW, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW };
	struct upath from, to;
	int flag;

	pick_at(&from);
	say(", ");
	pick_at(&to);
	flag = PICK_OF(flags);
	if (flag == AT_EMPTY_PATH && chance(3)) {
		*from.text = 0;
		say(" EMPTY");
	}
	say(", %#x", flag);
	if (!flag && from.dfd == AT_FDCWD && to.dfd == AT_FDCWD && pick(2))
		result_of_two(syscall(SYS_link, from.arg, to.arg));
	else
		result_of_two(syscall(SYS_linkat, from.dfd, from.arg, to.dfd, to.arg, flag));
}

static void op_symlink(void)
{
	char text[PATH_MAX + 64];
	struct upath p;

	pick_at(&p);
	say(" -> ");
	say_path(pick_target(text, sizeof text));
	if (p.dfd == AT_FDCWD && pick(2))
		result(syscall(SYS_symlink, text, p.arg));
	else
		result(syscall(SYS_symlinkat, text, p.dfd, p.arg));
}

static void op_readlink(void)
{
	char text[PATH_MAX];
	struct upath p;
	size_t size;
	bool by_path;
	long r;

	pick_at(&p);
	size = chance(8) ? pick(8) : sizeof text - 1;
	by_path = p.dfd == AT_FDCWD && pick(2);
	r = by_path ? syscall(SYS_readlink, p.arg, text, size) : syscall(SYS_readlinkat, p.dfd, p.arg, text, size);
	if (r < 0) {
		result(r);
		return;
	}
	if (size < 8)
		say(" cut %ld", r);
	text[r] = 0;
	if (size >= 8 && (strncmp(p.text, "/proc/", 6) || features & FEAT_ENVIRON)) {
		say(" = ");
		say_path(text);
	}
}

static void op_mknod(void)
{
	static const unsigned types[] = { S_IFREG, S_IFREG, S_IFIFO, S_IFSOCK, 0, S_IFDIR, S_IFLNK };
	struct upath p;
	unsigned mode;
	long r;

	pick_at(&p);
	mode = PICK_OF(types);
	if ((mode == S_IFIFO || mode == S_IFSOCK) && !(features & FEAT_SPECIAL))
		mode = S_IFREG;
	mode |= pick_mode();
	say(", %o", mode);
	if (p.dfd == AT_FDCWD && pick(2))
		r = syscall(SYS_mknod, p.arg, mode, 0L);
	else
		r = syscall(SYS_mknodat, p.dfd, p.arg, mode, 0L);
	if (!result(r) && (mode & S_IFMT) == S_IFIFO)
		*fifo_made = true;
}

const struct op ops_name[] = {
	{ "mkdir", op_mkdir, 22, 0 },
	{ "rmdir", op_rmdir, 12, 0 },
	{ "unlink", op_unlink, 20, 0 },
	{ "rename", op_rename, 20, 0 },
	{ "renameat2", op_renameat2, 15, FEAT_RENAME },
	{ "link", op_link, 18, FEAT_HARDLINK },
	{ "symlink", op_symlink, 25, 0 },
	{ "readlink", op_readlink, 15, 0 },
	{ "mknod", op_mknod, 10, 0 },
	{ 0 }
};
