/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount(2) of what needs no server: another place of the view (bind, with its exceptions), nothing at all (hide),
 * memory (tmpfs), the machine's own /proc, /sys and /dev.
 *
 *	mount(A, B, any, MS_BIND | flags)
 *	mount(A, B, "viewfs", flags, "move,except=/REL,perm")	the same, as the first UMview had it
 *	mount(any, B, "viewfs", 0, "hide"), or type "hide"
 *	mount(A or "none", B, "viewfs", 0, "renew")		the mount of A at B covers what was mounted later
 *	mount(A, B, "merge", 0, "except=/REL,perm")	the names in A, read-only, and those at B; or viewfs with "merge"
 *	mount(any, B, "tmpfs", flags, "mode=OCTAL")
 *	mount(any, B, "proc", flags, "")			so "sysfs", "devtmpfs" and "devpts": those that are there
 *	mount(any, B, any, MS_REMOUNT | flags)
 *
 * Words that would need something we have not are refused: silence would be a lie.
 */
#include "calls.h"
#include "mount.h"
#include "../cow.h"
#include "../merge.h"
#include "../../agent/channel.h"

long mount_mode(struct task *t, const char *path, uint32_t *mode)
{
	struct stat st;
	struct where w;
	long r = where_begin_path(&w, t, AT_FDCWD, path, WHERE_VIEW | WHERE_LOOKS);

	while (where_next(&w, &r))
		r = w.fs->stat(&w, (gaddr)&st);
	r = where_end(&w, r);
	*mode = r ? 0 : st.st_mode;
	return r;
}

long mount_point(struct task *t, struct mount_args *a)
{
	long r;

	if (!a->target[0])
		return -ENOENT;
	r = path_canonical(t, AT_FDCWD, a->target, WHERE_CREATE, a->path, sizeof a->path);
	if (r < 0)
		return r;
	r = mount_mode(t, a->path, &a->mode);
	return r == -ENOENT ? 0 : r;
}

/* ---- asking the monitor ---------------------------------------------------------------------------------- */

static int put_string(struct um_slot *s, size_t *at, const char *text, uint32_t *len)
{
	size_t n = strlen(text);

	if (*at + n + 1 > UM_DATA_SIZE)
		return -EINVAL;
	memcpy(s->data + *at, text, n + 1);
	*at += n + 1;
	*len = (uint32_t)n;
	return 0;
}

long mount_ask(struct task *t, uint32_t op, struct um_ctl_mount *m, const struct mount_args *a)
{
	size_t at = sizeof *m;
	int error = 0;
	struct um_slot *s = channel_begin(t, 0, op, &error);
	long r;

	if (!s)
		return error == -ENOTCONN ? -EPERM : error;
	if (put_string(s, &at, a->path, &m->path_len) || put_string(s, &at, a->source, &m->source_len) ||
	    put_string(s, &at, a->fstype, &m->fstype_len) || put_string(s, &at, a->data, &m->options_len) ||
	    put_string(s, &at, a->bound, &m->target_len) || put_string(s, &at, a->except, &m->except_len))
		return -EINVAL;
	memcpy(s->data, m, sizeof *m);
	s->req.mode = a->mode;
	r = channel_call(t, 0, s);
	return r < 0 ? r : (long)s->rep.handle;
}

/* ---- the options of viewfs ------------------------------------------------------------------------------- */

enum view_mode { MODE_MOVE, MODE_MERGE, MODE_HIDE, MODE_RENEW };

struct view_options {
	enum view_mode mode;
	bool chosen;			/* a mode was named */
	uint32_t flags;
};

static bool canonical_rest(const char *s)
{
	if (s[0] != '/' || !s[1])
		return false;
	while (*s) {
		size_t n = 0;

		for (s++; s[n] && s[n] != '/'; n++)
			if (s[n] == '\n')
				return false;
		if (!n || (s[0] == '.' && (n == 1 || (n == 2 && s[1] == '.'))))
			return false;
		s += n;
	}
	return true;
}

/* One more subtree that is left as it is.  It has to be there. */
static long add_except(struct task *t, struct mount_args *a, const char *rel)
{
	size_t len = strlen(a->except), base = a->path[1] ? strlen(a->path) : 0, n = strlen(rel);
	char path[UM_PATH_MAX];
	uint32_t mode;
	long r;

	if (!canonical_rest(rel))
		return -EINVAL;
	if (base + n >= sizeof path || len + n + 3 > sizeof a->except)
		return -ENAMETOOLONG;
	memcpy(path, a->path, base);
	memcpy(path + base, rel, n + 1);
	r = mount_mode(t, path, &mode);
	if (r)
		return r;
	text_format(a->except + len, sizeof a->except - len, "%s%c%s", len ? "\n" : "", S_ISDIR(mode) ? 'd' : 'f', rel);
	return 0;
}

static long refuse(const char *word)
{
	agent_log("viewfs: %s is not there; `umview mount` tells what to do instead", word);
	return -EINVAL;
}

static long choose(struct view_options *o, enum view_mode mode)
{
	if (o->chosen && o->mode != mode)
		return -EINVAL;
	o->chosen = true;
	o->mode = mode;
	return 0;
}

static long view_word(struct task *t, struct mount_args *a, struct view_options *o, const char *word)
{
	if (!strncmp(word, "except=", 7))
		return add_except(t, a, word + 7);
	if (!strcmp(word, "move") || !strcmp(word, "bind"))
		return choose(o, MODE_MOVE);
	if (!strcmp(word, "merge"))
		return choose(o, MODE_MERGE);
	if (!strcmp(word, "hide"))
		return choose(o, MODE_HIDE);
	if (!strcmp(word, "renew"))
		return choose(o, MODE_RENEW);
	if (!strcmp(word, "perm") || !strcmp(word, "permanent"))
		o->flags |= UM_MNT_PERM;
	else if (!strcmp(word, "ro"))
		a->flags |= MS_RDONLY;
	else if (word[0] && strcmp(word, "rw"))
		return refuse(word);
	return 0;
}

/* The text is taken apart and put together again: it is what /proc/mounts shows. */
static long view_words(struct task *t, struct mount_args *a, struct view_options *o)
{
	long r = 0;

	for (char *word = a->data; word && !r; ) {
		char *comma = strchr(word, ',');

		if (comma)
			*comma = 0;
		r = view_word(t, a, o, word);
		if (comma)
			*comma++ = ',';
		word = comma;
	}
	return r;
}

/* ---- the kinds of mount ---------------------------------------------------------------------------------- */

/* What has been found becomes a path of the view, where the kernel's is another. */
static void name_in_view(struct where *w)
{
	long n = (long)strlen(w->path);

	if (w->moved)
		cow_to_view(w->path, &n, sizeof w->path);
}

/*
 * What is to be shown elsewhere lies in a merge mount: of a name that is A's, A's path is meant, and it is read-only; with a
 * merged directory go the directories that show in it, each a part of the new mount.
 */
static long bind_merged(struct task *t, struct mount_args *a, struct um_ctl_mount *m)
{
	struct where *w = heap_alloc(sizeof *w);
	size_t len = strlen(a->except);
	uint32_t n = 0;
	long r = w ? 0 : -ENOMEM;

	while (!r && !(r = merge_layer(t, a->bound, n, w)))
		n++;
	r = r == -ENOENT ? 0 : r;
	while (!r && n-- > 0 && !(r = merge_layer(t, a->bound, n, w))) {
		name_in_view(w);
		if (!w->kept || len + strlen(w->path) + 3 > sizeof a->except)
			r = w->kept ? -ENAMETOOLONG : -EOPNOTSUPP;	/* a server's own merge has no other path */
		else
			len += (size_t)text_format(a->except + len, sizeof a->except - len, "%sm%s", len ? "\n" : "", w->path);
	}
	if (!r && !(r = merge_place(t, a->bound, w)) && w->kept) {
		name_in_view(w);
		text_format(a->bound, sizeof a->bound, "%s", w->path);
		m->flags |= MS_RDONLY;
	}
	heap_free(w);
	return r;
}

/* a->path is known.  Shows a->source there; merge: and what is there, if both are directories. */
static long bind_at(struct task *t, struct mount_args *a, uint32_t flags, bool merge)
{
	struct um_ctl_mount m = { .flags = (uint32_t)(a->flags & MOUNT_KEPT) | flags };
	uint32_t mode = 0;
	long r = path_canonical(t, AT_FDCWD, a->source, 0, a->bound, sizeof a->bound);

	if (r >= 0)
		r = mount_mode(t, a->bound, &mode);
	if (r < 0)
		return r;
	if (a->mode && S_ISDIR(a->mode) != S_ISDIR(mode))
		return -ENOTDIR;
	m.is_dir = S_ISDIR(mode);
	m.rootmode = mode & S_IFMT;
	if (merge && !(S_ISDIR(mode) && a->mode)) {
		merge = false;
		m.flags |= MS_RDONLY;
	}
	if (merge && !strcmp(a->bound, a->path))
		return -EINVAL;
	if (view_has(UM_MOUNT_COW) && (cow_lies_over(t, a->bound, strlen(a->bound)) || (merge && cow_lies_over(t, a->path, strlen(a->path)))))
		return -EBUSY;		/* what is there has no path by which it could be found from elsewhere */
	r = view_has(UM_MOUNT_MERGE) ? bind_merged(t, a, &m) : 0;
	if (r < 0)
		return r;
	r = mount_ask(t, merge ? UM_CTL_MERGE : UM_CTL_BIND, &m, a);
	return r < 0 ? r : 0;
}

long mount_bind(struct task *t, struct mount_args *a)
{
	long r = mount_point(t, a);

	if (r < 0)
		return r;
	text_format(a->fstype, sizeof a->fstype, "none");
	text_format(a->data, sizeof a->data, "bind");
	return bind_at(t, a, 0, false);
}

long mount_again(struct task *t, struct mount_args *a)
{
	struct um_ctl_mount m = { .flags = (uint32_t)(a->flags & MOUNT_KEPT) };
	long r = mount_point(t, a);

	a->data[0] = 0;
	r = r < 0 ? r : mount_ask(t, UM_CTL_REMOUNT, &m, a);
	return r < 0 ? r : 0;
}

static long mount_hide(struct task *t, struct mount_args *a, uint32_t flags)
{
	struct um_ctl_mount m = { .flags = flags, .is_dir = S_ISDIR(a->mode) };
	long r;

	text_format(a->source, sizeof a->source, "none");
	text_format(a->fstype, sizeof a->fstype, "hide");
	a->data[0] = 0;
	r = mount_ask(t, UM_CTL_HIDE, &m, a);
	return r < 0 ? r : 0;
}

/* What is meant may be covered, so a path that cannot be resolved is taken as it is. */
static long mount_renew(struct task *t, struct mount_args *a)
{
	struct um_ctl_mount m = { 0 };
	long r = path_canonical(t, AT_FDCWD, a->target, WHERE_CREATE, a->path, sizeof a->path);

	if (r < 0 && a->target[0] != '/')
		return r;
	if (r < 0)
		memcpy(a->path, a->target, sizeof a->path);
	if (!strcmp(a->source, "none"))
		a->source[0] = 0;
	else if (path_canonical(t, AT_FDCWD, a->source, 0, a->bound, sizeof a->bound) > 0)
		memcpy(a->source, a->bound, sizeof a->source);
	r = mount_ask(t, UM_CTL_RENEW, &m, a);
	return r < 0 ? r : 0;
}

static long mount_viewfs(struct task *t, struct mount_args *a)
{
	struct view_options o = { .mode = MODE_MOVE };
	long r = mount_point(t, a);

	if (!strcmp(a->fstype, "hide"))
		choose(&o, MODE_HIDE);
	else if (!strcmp(a->fstype, "merge"))
		choose(&o, MODE_MERGE);
	if (r < 0)		/* where it is covered, it may be renewed all the same */
		return strcmp(a->data, "renew") ? r : mount_renew(t, a);
	r = view_words(t, a, &o);
	if (r < 0)
		return r;
	switch (o.mode) {
	case MODE_HIDE:
		return a->except[0] || a->flags & MS_RDONLY ? -EINVAL : mount_hide(t, a, o.flags);
	case MODE_RENEW:
		return a->except[0] || o.flags || a->flags & MS_RDONLY ? -EINVAL : mount_renew(t, a);
	case MODE_MERGE:
		return a->flags & MS_RDONLY ? -EINVAL : bind_at(t, a, o.flags, true);
	default:
		return bind_at(t, a, o.flags, false);
	}
}

/* ---- tmpfs ----------------------------------------------------------------------------------------------- */

static long tmpfs_mode(struct mount_args *a, const char *digits)
{
	a->mode = 0;
	if (!*digits)
		return -EINVAL;
	for (; *digits; digits++) {
		if (*digits < '0' || *digits > '7' || a->mode > 07777 >> 3)
			return -EINVAL;
		a->mode = a->mode << 3 | (uint32_t)(*digits - '0');
	}
	return 0;
}

/* A limit (size=, nr_inodes=) could not be kept: the memory is that of the place where the directory is. */
static long mount_tmpfs(struct task *t, struct mount_args *a)
{
	struct um_ctl_mount m = { .flags = (uint32_t)(a->flags & MOUNT_KEPT), .is_dir = 1 };
	long r = mount_point(t, a);

	if (r < 0)
		return r;
	if (a->mode && !S_ISDIR(a->mode))
		return -ENOTDIR;
	a->mode = 01777;
	if (!strncmp(a->data, "mode=", 5))
		r = tmpfs_mode(a, a->data + 5);
	else if (a->data[0])
		r = refuse(a->data);
	if (r)
		return r;
	if (!a->source[0])
		text_format(a->source, sizeof a->source, "none");
	text_format(a->data, sizeof a->data, "mode=%o", a->mode);
	r = mount_ask(t, UM_CTL_TMPFS, &m, a);
	return r < 0 ? r : 0;
}

/* ---- the machine's own ----------------------------------------------------------------------------------- */

/* Where the file system of this type is that everybody uses, or NULL. */
static const char *machine_place(const char *fstype)
{
	static const char *const places[][2] = {
		{ "proc", "/proc" }, { "sysfs", "/sys" }, { "devtmpfs", "/dev" }, { "devpts", "/dev/pts" },
	};

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (!strcmp(fstype, places[i][0]))
			return places[i][1];
	return NULL;
}

/* There is one of each, which is shown at another place; who has processes of his own would see those of others. */
static long mount_machine(struct task *t, struct mount_args *a)
{
	struct um_ctl_mount m = { .flags = (uint32_t)(a->flags & MOUNT_KEPT), .is_dir = 1, .rootmode = S_IFDIR };
	uint32_t mode;
	long r = mount_point(t, a);

	if (r < 0)
		return r;
	if (a->mode && !S_ISDIR(a->mode))
		return -ENOTDIR;
	if (a->data[0])
		return refuse(a->data);
	text_format(a->bound, sizeof a->bound, "%s", machine_place(a->fstype));
	r = process.own_pids ? -EPERM : mount_mode(t, a->bound, &mode);
	if (r < 0)
		return r == -ENOENT ? -ENODEV : r;
	if (!a->source[0])
		text_format(a->source, sizeof a->source, "none");
	r = mount_ask(t, UM_CTL_BIND, &m, a);
	return r < 0 ? r : 0;
}

/* ---- copy-on-write --------------------------------------------------------------------------------------- */

/* Is this canonical path the kernel's, and nothing else? */
static bool is_real(struct task *t, const char *path)
{
	struct where w;
	long r = where_begin_path(&w, t, AT_FDCWD, path, WHERE_CHANGE | WHERE_NOFOLLOW | WHERE_VIEW);
	bool real = !r && w.fs == &real_fs && !w.bind;

	where_end(&w, r);
	return real;
}

/*
 * Where the kernel has the directory at this path of the view, if nobody but the kernel is asked about what is in it: then the session's
 * files may be used by that path.  In another session it has to be that one's alone.  0 or -errno.
 */
static long kernel_path(struct task *t, char *path, size_t size)
{
	struct where w;
	long r = where_begin_path(&w, t, AT_FDCWD, path, WHERE_CHANGE | WHERE_NOFOLLOW | WHERE_VIEW);

	if (!r && w.fs != &real_fs && !(w.fs == &cow_fs && w.cow_state == COW_UPPER && !w.cow_below))
		r = -EBUSY;
	if (!r && (w.fs == &cow_fs || w.bind)) {
		r = w.len < size ? 0 : -ENAMETOOLONG;
		if (!r)
			memcpy(path, w.path, w.len + 1);
	}
	return where_end(&w, r);
}

/* a->source is the tree of a session that `umview mount` has prepared. */
static long mount_cow(struct task *t, struct mount_args *a)
{
	struct um_ctl_mount m = { .is_dir = 1, .flags = strcmp(a->fstype, "cow") ? UM_MNT_MIN : 0 };
	struct view_options o = { .mode = MODE_MOVE };
	uint32_t ids[COW_MOUNTS];
	long r = mount_point(t, a);

	if (r >= 0)
		r = path_canonical(t, AT_FDCWD, a->source, 0, a->bound, sizeof a->bound);
	if (r < 0)
		return r;
	if (!S_ISDIR(a->mode))
		return a->mode ? -ENOTDIR : -ENOENT;
	if (!is_real(t, a->path))
		m.flags |= UM_MNT_OVER;
	if (m.flags & UM_MNT_OVER && (m.flags & UM_MNT_MIN || view_has(UM_MOUNT_MERGE)))
		return -EBUSY;		/* what is merged behind a bind mount could not be listed */
	if (view_cow_ids(t, ids, COW_MOUNTS) == COW_MOUNTS)
		return -ENOSPC;
	r = kernel_path(t, a->bound, sizeof a->bound);
	if (r)
		return r;
	r = view_words(t, a, &o);
	if (!r && (o.chosen || a->flags & MS_RDONLY))
		r = -EINVAL;
	if (r)
		return r;
	m.flags |= o.flags;
	r = mount_ask(t, UM_CTL_COW, &m, a);
	return r < 0 ? r : 0;
}

bool mount_is_view(const char *fstype)
{
	return !strcmp(fstype, "viewfs") || !strcmp(fstype, "hide") || !strcmp(fstype, "tmpfs") || !strcmp(fstype, "merge") ||
	       !strcmp(fstype, "cow") || !strcmp(fstype, "mincow") || machine_place(fstype);
}

long mount_view(struct task *t, struct mount_args *a)
{
	if (!strcmp(a->fstype, "cow") || !strcmp(a->fstype, "mincow"))
		return mount_cow(t, a);
	if (machine_place(a->fstype))
		return mount_machine(t, a);
	return !strcmp(a->fstype, "tmpfs") ? mount_tmpfs(t, a) : mount_viewfs(t, a);
}
