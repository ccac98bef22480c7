/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moving a mount: mount(2) with MS_MOVE, and move_mount(2) of a mount that is there.
 *
 * The kernel's order of errors: what is wrong with the paths (ENOENT, ...); EINVAL if the first is no mount point, or one of them is
 * a directory and the other is not; ELOOP if the new place lies in what is moved.  The monitor says the rest: EINVAL for what shows
 * what lies beneath it (a merge, copy-on-write), EPERM for what is permanent, EBUSY for an image that an outer view has, too.
 */
#include <linux/mount.h>
#include "../fd.h"
#include "../perm.h"
#include "../../agent/channel.h"
#include "handlers.h"
#include "mount.h"

#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_SYMLINKS	0x01u
#define MOVE_MOUNT_F_EMPTY_PATH	0x04u
#define MOVE_MOUNT_T_SYMLINKS	0x10u
#define MOVE_MOUNT_T_EMPTY_PATH	0x40u
#endif
#define KNOWN	0x77u		/* and both AUTOMOUNTS: nothing is ever mounted by looking */

/* a->bound and a->path are known. */
static long move(struct task *t, struct mount_args *a)
{
	struct um_ctl_mount m = { 0 };
	struct mount old;
	long r = mount_mode(t, a->path, &a->mode);

	if (r)
		return r;
	if (view_lookup(t, a->bound, strlen(a->bound), &old) != VIEW_MOUNT || old.kind == UM_MOUNT_HIDE ||
	    !old.is_dir != !S_ISDIR(a->mode))
		return -EINVAL;
	r = mount_ask(t, UM_CTL_MOVE, &m, a);
	return r < 0 ? r : 0;
}

static long canonical(struct task *t, int dfd, const char *path, unsigned flags, char *buf)
{
	long r = path_canonical(t, dfd, path, flags, buf, UM_PATH_MAX);

	return r < 0 ? r : 0;
}

long mount_move(struct task *t, struct mount_args *a)
{
	long r = a->source[0] ? canonical(t, AT_FDCWD, a->source, 0, a->bound) : -EINVAL;

	if (!r)
		r = a->target[0] ? canonical(t, AT_FDCWD, a->target, 0, a->path) : -ENOENT;
	a->source[0] = a->fstype[0] = a->data[0] = 0;
	return r ? r : move(t, a);
}

/* One of the two places: what dfd is of, if the text is empty and may be. */
static long place(struct task *t, int dfd, gaddr text, bool empty, bool follow, char *own, char *buf)
{
	long r = string_from_guest(t, own, text, UM_PATH_MAX);

	if (r < 0)
		return r;
	if (*own)
		return canonical(t, dfd, own, follow ? 0 : WHERE_NOFOLLOW, buf);
	if (!empty)
		return -ENOENT;
	r = dfd == AT_FDCWD ? path_of_cwd(t, buf, UM_PATH_MAX) : path_of_fd(t, dfd, buf, UM_PATH_MAX);
	return r < 0 ? r : 0;
}

long sys_move_mount(struct task *t, int from_dfd, gaddr from, int to_dfd, gaddr to, unsigned flags)
{
	long r = perm_capable(t, CRED_SYS_ADMIN);
	struct mount_args *a;

	if (r)
		return r;
	if (flags & ~KNOWN)
		return -EINVAL;
	a = heap_alloc(sizeof *a);
	if (!a)
		return -ENOMEM;
	r = place(t, from_dfd, from, flags & MOVE_MOUNT_F_EMPTY_PATH, flags & MOVE_MOUNT_F_SYMLINKS, a->source, a->bound);
	if (!r)
		r = place(t, to_dfd, to, flags & MOVE_MOUNT_T_EMPTY_PATH, flags & MOVE_MOUNT_T_SYMLINKS, a->target, a->path);
	a->source[0] = 0;
	if (!r)
		r = move(t, a);
	heap_free(a);
	return r;
}
