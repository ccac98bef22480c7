/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount(2) and umount2(2).
 *
 * What a view can mount is a FUSE file system, whose server holds an open (virtual) /dev/fuse, and what needs no
 * server: mount_view.c.  The monitor keeps the table; here paths are made canonical and the option string of FUSE is
 * read as the kernel reads it.  Anything else is EPERM, even for root: the kernel would change the machine, not the
 * view.
 *
 * A change of propagation (MS_PRIVATE and the like) succeeds without doing anything: mounts of a view
 * never propagate, so private is what they are.
 */
#include <linux/fs.h>
#include <linux/mount.h>
#include "../fd.h"
#include "../path.h"
#include "../perm.h"
#include "../../agent/channel.h"
#include "handlers.h"
#include "mount.h"

#define MS_MGC_MASK	0xffff0000ul
#define MS_MGC		0xc0ed0000ul
#define PROPAGATION	(MS_UNBINDABLE | MS_PRIVATE | MS_SLAVE | MS_SHARED)
#define UMOUNT_FLAGS	(1 | 2 | 4 | 8)		/* MNT_FORCE, MNT_DETACH, MNT_EXPIRE, UMOUNT_NOFOLLOW */
#define EXPIRE_FLAG	4
#define NOFOLLOW_FLAG	8

/* ---- fetching -------------------------------------------------------------------------------------------- */

static long fetch(struct task *t, char *to, gaddr from, size_t size, long too_long)
{
	long r;

	to[0] = 0;
	if (!from)
		return 0;
	r = string_from_guest(t, to, from, size);
	return r == -ENAMETOOLONG ? too_long : r < 0 ? r : 0;
}

/* ---- the options of FUSE --------------------------------------------------------------------------------- */

struct fuse_options {
	uint32_t fd, rootmode, user_id, group_id, max_read, blksize;
	uint32_t default_permissions, allow_other;
	unsigned seen;			/* bits of the first four */
};

/* One of "NAME=NUMBER"; 1 if it is that. */
static int number_option(const char *word, const char *name, unsigned base, uint32_t *value)
{
	size_t len = strlen(name);
	uint64_t n = 0;

	if (strncmp(word, name, len) || word[len] != '=' || !word[len + 1])
		return 0;
	for (const char *p = word + len + 1; *p; p++) {
		if (*p < '0' || *p >= (char)('0' + base) || n > UINT32_MAX)
			return -EINVAL;
		n = n * base + (uint64_t)(*p - '0');
	}
	*value = (uint32_t)n;
	return n > UINT32_MAX ? -EINVAL : 1;
}

static int parse_word(struct fuse_options *o, const char *word, bool block)
{
	const struct { const char *name; unsigned base; uint32_t *value; } numbers[] = {
		{ "fd", 10, &o->fd }, { "rootmode", 8, &o->rootmode },
		{ "user_id", 10, &o->user_id }, { "group_id", 10, &o->group_id },
		{ "max_read", 10, &o->max_read }, { "blksize", 10, &o->blksize },
	};

	for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		int r = number_option(word, numbers[i].name, numbers[i].base, numbers[i].value);

		if (r < 0 || (r && i == 5 && !block))
			return -EINVAL;
		if (r) {
			o->seen |= 1u << i;
			return 0;
		}
	}
	if (!strcmp(word, "default_permissions"))
		o->default_permissions = 1;
	else if (!strcmp(word, "allow_other"))
		o->allow_other = 1;
	else if (word[0] && strncmp(word, "subtype=", 8))
		return -EINVAL;
	return 0;
}

/* The text is taken apart in place. */
static int parse_options(struct fuse_options *o, char *text, bool block)
{
	memset(o, 0, sizeof *o);
	while (text) {
		char *comma = strchr(text, ',');
		int r;

		if (comma)
			*comma++ = 0;
		r = parse_word(o, text, block);
		if (r)
			return r;
		text = comma;
	}
	return (o->seen & 15) == 15 ? 0 : -EINVAL;
}

/* As /proc/mounts shows them. */
static void print_options(const struct fuse_options *o, char *buf, size_t size)
{
	int n = text_format(buf, size, "user_id=%u,group_id=%u%s%s", o->user_id, o->group_id,
			    o->default_permissions ? ",default_permissions" : "",
			    o->allow_other ? ",allow_other" : "");

	if (o->max_read)
		n += text_format(buf + n, size - (size_t)n, ",max_read=%u", o->max_read);
	if (o->blksize)
		text_format(buf + n, size - (size_t)n, ",blksize=%u", o->blksize);
}

/* ---- the kinds of mount ---------------------------------------------------------------------------------- */

static bool is_fuse(const char *fstype, bool *block)
{
	size_t n = !strncmp(fstype, "fuseblk", 7) ? 7 : 4;

	*block = n == 7;
	return !strncmp(fstype, "fuse", 4) && (!fstype[n] || fstype[n] == '.');
}

static long fuse_mount(struct task *t, struct mount_args *a, const struct fuse_options *o, struct file *f)
{
	struct um_ctl_mount m = {
		.flags = (uint32_t)(a->flags & MOUNT_KEPT), .rootmode = o->rootmode, .max_read = o->max_read,
		.default_permissions = o->default_permissions, .allow_other = o->allow_other,
		.user_id = o->user_id, .is_dir = S_ISDIR(o->rootmode),
	};
	long id;

	if (f->kind != FILE_FUSE_DEVICE || !f->conn)
		return -EINVAL;
	if (a->mode && S_ISDIR(a->mode) != S_ISDIR(o->rootmode))
		return -ENOTDIR;
	m.server = f->server;
	if (!a->source[0])
		text_format(a->source, sizeof a->source, "none");
	print_options(o, a->data, sizeof a->data);
	id = mount_ask(t, UM_CTL_MOUNT, &m, a);
	if (id < 0)
		return id;
	if ((uint32_t)id < t->epoch)	/* whoever mounts serves, or has this done: it sees what was before */
		t->epoch = (uint32_t)id;
	return 0;
}

static long mount_fuse(struct task *t, struct mount_args *a, bool block)
{
	struct fuse_options o;
	struct file *f;
	long r = parse_options(&o, a->data, block);

	if (!r)
		r = mount_point(t, a);
	if (r)
		return r;
	f = fd_hold(t, (int)o.fd);
	if (!f)
		return -EINVAL;
	r = fuse_mount(t, a, &o, f);
	file_put(f);
	return r;
}

static long mount(struct task *t, struct mount_args *a)
{
	bool block;

	if (a->flags & PROPAGATION)
		return a->flags & ~(unsigned long)(PROPAGATION | MS_REC | MS_SILENT) ? -EINVAL : 0;
	if (a->flags & MS_REMOUNT)
		return mount_again(t, a);
	if (a->flags & MS_BIND)
		return mount_bind(t, a);
	if (a->flags & MS_MOVE)
		return mount_move(t, a);
	if (mount_is_view(a->fstype))
		return mount_view(t, a);
	return is_fuse(a->fstype, &block) ? mount_fuse(t, a, block) : -EPERM;
}

long sys_mount(struct task *t, gaddr source, gaddr target, gaddr fstype, unsigned long flags, gaddr data)
{
	long r = perm_capable(t, CRED_SYS_ADMIN);
	struct mount_args *a = r ? NULL : heap_alloc(sizeof *a);
	bool block;

	if (!a)
		return r ? r : -ENOMEM;
	a->flags = (flags & MS_MGC_MASK) == MS_MGC ? flags & ~MS_MGC_MASK : flags;
	r = fetch(t, a->source, source, sizeof a->source, -EINVAL);
	if (!r)
		r = fetch(t, a->target, target, sizeof a->target, -ENAMETOOLONG);
	if (!r)
		r = fetch(t, a->fstype, fstype, sizeof a->fstype, -EINVAL);
	if (!r && (is_fuse(a->fstype, &block) || mount_is_view(a->fstype)))
		r = fetch(t, a->data, data, sizeof a->data, -EINVAL);
	if (!r)
		r = mount(t, a);
	heap_free(a);
	return r;
}

/* ---- umount ------------------------------------------------------------------------------------------------ */

static long umount(struct task *t, const char *path, int flags)
{
	int error = 0;
	struct um_slot *s = channel_begin(t, 0, UM_CTL_UMOUNT, &error);
	long r;

	if (!s)
		return error == -ENOTCONN ? -EINVAL : error;
	r = channel_path(s, path, strlen(path));
	if (r)
		return r;
	s->req.open_flags = (uint32_t)flags;
	return channel_call(t, 0, s);
}

/* The name as it is first: a mount point needs no question to its server, which may be dead. */
static long umount_target(struct task *t, char *path, int flags, char *buf)
{
	struct mount m;
	size_t n = strlen(path);
	long r;

	while (n > 1 && path[n - 1] == '/')
		path[--n] = 0;
	r = path_canonical(t, AT_FDCWD, path, WHERE_CREATE | WHERE_NOFOLLOW, buf, UM_PATH_MAX);
	if (flags & NOFOLLOW_FLAG || (r > 0 && view_lookup(t, buf, (size_t)r, &m) == VIEW_MOUNT))
		return r;
	return path_canonical(t, AT_FDCWD, path, WHERE_CREATE, buf, UM_PATH_MAX);
}

long sys_umount2(struct task *t, gaddr target, int flags)
{
	char *path;
	long r;

	if (flags & ~UMOUNT_FLAGS || flags & EXPIRE_FLAG)
		return -EINVAL;
	r = perm_capable(t, CRED_SYS_ADMIN);
	if (r)
		return r;
	path = heap_alloc(2 * UM_PATH_MAX);
	if (!path)
		return -ENOMEM;
	r = string_from_guest(t, path, target, UM_PATH_MAX);
	if (r == 0)
		r = -ENOENT;
	if (r > 0)
		r = umount_target(t, path, flags, path + UM_PATH_MAX);
	if (r >= 0)
		r = umount(t, path + UM_PATH_MAX, flags);
	heap_free(path);
	return r;
}
