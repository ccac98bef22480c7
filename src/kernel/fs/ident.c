/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Showing and changing the attributes of real files for a virtual user.
 *
 * The kernel is asked first and does what it does for the caller; so that a virtual root can go on working with his files, the
 * owner's own bits are really never taken from them.  Only where what is to be seen differs from what the kernel and
 * ident_default() would show, the table gets an entry, and loses it when they agree again: unpacking an
 * archive of root's files as root leaves it empty.
 */
#include "ident.h"
#include "../cow.h"
#include "sysnr.h"
#include <linux/mman.h>

/* ---- the table ------------------------------------------------------------------------------------------ */

/* The world's table; false: it is empty (and shall not be written), or there is no memory. */
static bool table(struct vtable *vt, bool write)
{
	static void *mapped;
	const size_t size = um_vtable_size(UM_VSTAT_RECORDS);
	void *base = __atomic_load_n(&mapped, __ATOMIC_ACQUIRE), *none = NULL;

	if (!write && !__atomic_load_n(&process.world->vstat_used, __ATOMIC_RELAXED))
		return false;
	if (!base) {
		long at = own_map(size, PROT_READ | PROT_WRITE, MAP_SHARED, process.world_fd, UM_OFF_VSTAT);

		if (at < 0) {
			agent_log("the table of virtual attributes cannot be mapped (%ld): files are shown as they are", -at);
			return false;
		}
		base = (void *)at;
		if (!__atomic_compare_exchange_n(&mapped, &none, base, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			own_unmap(base, size);
			base = none;
		}
	}
	return vtable_attach(vt, base, size) == 0;
}

static bool recall(const struct stat *st, struct vstat *v)
{
	struct vtable vt;

	v->have = 0;
	return table(&vt, false) && vtable_get(&vt, st->st_dev, st->st_ino, v);
}

/* ---- showing -------------------------------------------------------------------------------------------- */

/* Without an entry in the table. */
static void ident_default(const struct cred *c, struct stat *st)
{
	if (st->st_uid == c->kernel_uid)
		st->st_uid = c->own_uid;
	if (st->st_gid == c->kernel_gid)
		st->st_gid = c->own_gid;
}

static void apply(const struct vstat *v, struct stat *st)
{
	if (v->have & UM_VS_UID)
		st->st_uid = v->uid;
	if (v->have & UM_VS_GID)
		st->st_gid = v->gid;
	if (v->have & UM_VS_MODE)
		st->st_mode = (st->st_mode & S_IFMT) | (v->mode & 07777);
	if (v->have & UM_VS_TYPE)
		st->st_mode = (v->mode & S_IFMT) | (st->st_mode & 07777);
	if (v->have & UM_VS_RDEV)
		st->st_rdev = v->rdev;
}

void ident_show(const struct task *t, struct stat *st)
{
	const struct stat real = *st;
	struct vstat v;

	cow_show(t, st);
	if (!t->cred)
		return;
	ident_default(t->cred, st);
	if (recall(&real, &v))
		apply(&v, st);
}

/* What the kernel shows as st shall be shown as `shown`: so much of that goes into the table as is not shown anyway. */
static long settle(struct task *t, const struct stat *st, const struct stat *shown)
{
	struct vstat v = { .uid = shown->st_uid, .gid = shown->st_gid, .mode = shown->st_mode, .rdev = shown->st_rdev };
	struct stat plain = *st;
	struct vtable vt;

	cow_show(t, &plain);
	ident_default(t->cred, &plain);
	if (plain.st_uid != v.uid)
		v.have |= UM_VS_UID;
	if (plain.st_gid != v.gid)
		v.have |= UM_VS_GID;
	if ((plain.st_mode ^ v.mode) & 07777)
		v.have |= UM_VS_MODE;
	if ((plain.st_mode ^ v.mode) & S_IFMT)
		v.have |= UM_VS_TYPE | UM_VS_RDEV;
	if (!table(&vt, v.have != 0))
		return v.have ? -ENOMEM : 0;
	if (v.have)
		view_vstat_used();
	return vtable_set(&vt, t, st->st_dev, st->st_ino, &v,
			  UM_VS_UID | UM_VS_GID | UM_VS_MODE | UM_VS_TYPE | UM_VS_RDEV);
}

static long ask(const struct target *g, struct stat *st)
{
	return kernel_call(g->t, __NR_newfstatat, g->dfd, g->path, st, g->at);
}

/* The same of a name just made, whatever it is. */
static bool ask_name(struct where *w, struct stat *st)
{
	return raw_syscall(__NR_newfstatat, w->dfd, w->upath, st, AT_SYMLINK_NOFOLLOW) == 0;
}

long ident_ask(const struct target *g, struct stat *shown)
{
	long r = ask(g, shown);

	if (!r)
		ident_show(g->t, shown);
	return r;
}

long ident_settle_mode(const struct target *g, unsigned mode)
{
	struct stat st, shown;
	long r = ask(g, &st);

	if (r)
		return r;
	shown = st;
	ident_show(g->t, &shown);
	shown.st_mode = (shown.st_mode & S_IFMT) | mode;
	return settle(g->t, &st, &shown);
}

/* The place leads to what is below, and should lead to a copy of that: the walk has to see to it. */
static bool is_other_name(const struct target *g, const struct stat *st)
{
	if (!g->w || !cow_has_copy(g->t, st))
		return false;
	g->w->asked_flags &= ~WHERE_STAT;
	return true;
}

long ident_stat(const struct target *g, bool must_follow, gaddr buf)
{
	struct stat st;
	long r = ask(g, &st);

	if (r)
		return r;
	if (must_follow && S_ISLNK(st.st_mode))
		return -UM_EAGAIN;
	if (is_other_name(g, &st))
		return -UM_ERETRY;
	ident_show(g->t, &st);
	return copy_to_guest(g->t, buf, &st, sizeof st);
}

/* st_dev and st_rdev, of the two numbers that statx gives. */
static uint64_t device(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | major << 8 | (uint64_t)(minor & ~0xffu) << 12;
}

static uint32_t device_major(uint64_t dev)
{
	return dev >> 8 & 0xfff;
}

static uint32_t device_minor(uint64_t dev)
{
	return (dev & 0xff) | (dev >> 12 & ~0xffu);
}

long ident_statx(const struct target *g, bool must_follow, int flags, unsigned mask, gaddr buf)
{
	struct statx x;
	long r = kernel_call(g->t, __NR_statx, g->dfd, g->path, flags | g->at, mask | STATX_BASIC_STATS, &x);

	if (r)
		return r;
	if (must_follow && S_ISLNK(x.stx_mode))
		return -UM_EAGAIN;
	struct stat st = {
		.st_dev = device(x.stx_dev_major, x.stx_dev_minor), .st_ino = x.stx_ino, .st_mode = x.stx_mode,
		.st_nlink = x.stx_nlink, .st_uid = x.stx_uid, .st_gid = x.stx_gid, .st_rdev = device(x.stx_rdev_major, x.stx_rdev_minor),
	};
	if (is_other_name(g, &st))
		return -UM_ERETRY;
	ident_show(g->t, &st);
	x.stx_mode = (uint16_t)st.st_mode;
	x.stx_uid = st.st_uid;
	x.stx_nlink = (uint32_t)st.st_nlink;
	x.stx_ino = st.st_ino;
	x.stx_dev_major = device_major(st.st_dev);
	x.stx_dev_minor = device_minor(st.st_dev);
	x.stx_gid = st.st_gid;
	x.stx_rdev_major = device_major(st.st_rdev);
	x.stx_rdev_minor = device_minor(st.st_rdev);
	return copy_to_guest(g->t, buf, &x, sizeof x);
}

/* ---- changing ------------------------------------------------------------------------------------------- */

unsigned ident_workable(const struct stat *st, unsigned mode)
{
	if (S_ISDIR(st->st_mode))
		return mode | 0700;
	return mode | 0600 | (mode & 0111 ? 0100 : 0);
}

static long kernel_chmod(const struct target *g, unsigned mode)
{
	long r = kernel_call(g->t, UM_NR_fchmodat2, g->dfd, g->path, mode, g->at);

	if (r != -ENOSYS)	/* it came with Linux 6.6; that it is no link is known */
		return r;
	return g->at & AT_EMPTY_PATH ? kernel_call(g->t, __NR_fchmod, g->dfd, mode)
				     : kernel_call(g->t, __NR_fchmodat, g->dfd, g->path, mode);
}

/* The mode becomes `mode`, as far as the kernel lets us, and is shown as that in any case. */
static long set_mode(const struct target *g, struct stat *shown, unsigned mode)
{
	struct stat st;
	long r = S_ISCHR(shown->st_mode) || S_ISBLK(shown->st_mode) ? 0 : kernel_chmod(g, ident_workable(shown, mode));

	if (r && r != -EPERM)
		return r;
	r = ask(g, &st);
	shown->st_mode = (shown->st_mode & S_IFMT) | mode;
	return r ? r : settle(g->t, &st, shown);
}

static bool may_chmod(const struct cred *c, const struct stat *shown)
{
	return c->uid.fs == shown->st_uid || cred_can(c, CRED_FOWNER);
}

long ident_chmod(const struct target *g, bool must_follow, unsigned mode)
{
	const struct cred *c = g->t->cred;
	struct stat shown;
	long r = ask(g, &shown);

	if (r)
		return r;
	if (S_ISLNK(shown.st_mode))
		return must_follow ? -UM_EAGAIN : -EOPNOTSUPP;
	if (!(shown.st_mode & S_IFMT))		/* nothing of a file system */
		return kernel_chmod(g, mode);
	ident_show(g->t, &shown);
	if (!may_chmod(c, &shown))
		return -EPERM;
	mode &= 07777;
	if (!cred_in_group(c, shown.st_gid) && !cred_can(c, CRED_FSETID))
		mode &= ~(unsigned)S_ISGID;
	return set_mode(g, &shown, mode);
}

static bool may_chown(const struct cred *c, const struct stat *shown, unsigned uid, unsigned gid)
{
	if (cred_can(c, CRED_CHOWN))
		return true;
	if (uid != CRED_SAME && (c->uid.fs != shown->st_uid || uid != shown->st_uid))
		return false;
	return gid == CRED_SAME || (c->uid.fs == shown->st_uid && (cred_in_group(c, gid) || gid == shown->st_gid));
}

/* The set-id bits that go when the owner of a file changes. */
static unsigned without_set_id(const struct stat *shown)
{
	unsigned mode = shown->st_mode & 07777;

	if (S_ISDIR(shown->st_mode) || S_ISLNK(shown->st_mode))
		return mode;
	return mode & ~(unsigned)(S_ISUID | (mode & S_IXGRP ? S_ISGID : 0));
}

/* The kernel does as far as it changes nothing: times, and who watches, are told. */
static long touch_owner(const struct target *g, struct stat *st, unsigned uid, unsigned gid)
{
	if (st->st_uid != g->t->cred->kernel_uid || (uid == CRED_SAME && gid == CRED_SAME))
		return 0;
	raw_syscall(__NR_fchownat, g->dfd, g->path, uid == CRED_SAME ? uid : st->st_uid, gid == CRED_SAME ? gid : st->st_gid, g->at);
	return ask(g, st);
}

long ident_chown(const struct target *g, bool must_follow, unsigned uid, unsigned gid)
{
	struct stat st, shown;
	long r = ask(g, &st);

	if (r)
		return r;
	if (must_follow && S_ISLNK(st.st_mode))
		return -UM_EAGAIN;
	if (!(st.st_mode & S_IFMT))		/* nothing of a file system */
		return kernel_call(g->t, __NR_fchownat, g->dfd, g->path, uid, gid, g->at);
	shown = st;
	ident_show(g->t, &shown);
	if (!may_chown(g->t->cred, &shown, uid, gid))
		return -EPERM;
	if (without_set_id(&shown) != (shown.st_mode & 07777) && !may_chmod(g->t->cred, &shown))
		return -EPERM;
	r = touch_owner(g, &st, uid, gid);
	if (r)
		return r;
	if (uid != CRED_SAME)
		shown.st_uid = uid;
	if (gid != CRED_SAME)
		shown.st_gid = gid;
	if (without_set_id(&shown) != (shown.st_mode & 07777))
		return set_mode(g, &shown, without_set_id(&shown));
	return settle(g->t, &st, &shown);
}

/* ---- making --------------------------------------------------------------------------------------------- */

/* Who makes something now: are its files shown as its own without further ado? */
static bool owns_new(const struct cred *c)
{
	return c->uid.fs == c->own_uid && c->gid.fs == c->own_gid;
}

/* The directory of a name, as the guest sees it.  The path is cut for a moment. */
static bool ask_directory(const struct task *t, int dfd, char *path, struct stat *st)
{
	size_t n = strlen(path);
	char cut;
	long r;

	while (n && path[n - 1] == '/')
		n--;
	while (n && path[n - 1] != '/')
		n--;
	cut = path[n];
	path[n] = 0;
	r = raw_syscall(__NR_newfstatat, dfd, n ? path : ".", st, 0);
	path[n] = cut;
	if (!r)
		ident_show(t, st);
	return !r;
}

/*
 * An inode that has just been made, by us, with more bits than were wanted: whatever the table tells of an earlier one with that number does not count.
 * dir: what it was made in, or NULL.
 */
static void born(struct task *t, const struct stat *dir, const struct stat *st, unsigned more)
{
	const struct cred *c = t->cred;
	struct stat shown = *st;

	shown.st_uid = c->uid.fs;
	shown.st_gid = c->gid.fs;
	shown.st_mode &= ~more;
	if (dir && dir->st_mode & S_ISGID) {
		shown.st_gid = dir->st_gid;
		shown.st_mode |= S_ISDIR(st->st_mode) ? S_ISGID : 0;
	}
	if (settle(t, st, &shown))
		agent_log("no room to remember the owner of a new file");
}

/* The same of the name that w leads to. */
static void born_at(struct where *w, const struct stat *st, unsigned more)
{
	struct stat dir;

	born(w->t, ask_directory(w->t, w->dfd, w->made_for ? w->made_for : w->path, &dir) ? &dir : NULL, st, more);
}

/* One without a name, in the directory that w leads to. */
static void born_nameless(struct where *w, long fd)
{
	struct target g = { w->t, w->dfd, w->upath, w->flags & WHERE_EMPTY && !w->path[0] ? AT_EMPTY_PATH : 0, NULL };
	struct stat st, dir;
	bool known = !ask(&g, &dir);

	if (known)
		ident_show(w->t, &dir);
	if (!raw_syscall(__NR_fstat, fd, &st))
		born(w->t, known ? &dir : NULL, &st, 0);
}

void ident_bound(struct task *t, char *path)
{
	struct stat st, dir;

	if (!raw_syscall(__NR_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW))
		born(t, ask_directory(t, AT_FDCWD, path, &dir) ? &dir : NULL, &st, 0);
}

/* Some devices that everybody has: what is one of them to the guest is opened in its place. */
static const char *device_path(const struct vstat *v)
{
	static const struct { uint32_t major, minor; const char *path; } known[] = {
		{ 1, 3, "/dev/null" }, { 1, 5, "/dev/zero" }, { 1, 7, "/dev/full" }, { 1, 8, "/dev/random" },
		{ 1, 9, "/dev/urandom" }, { 5, 0, "/dev/tty" }, { 5, 2, "/dev/ptmx" },
	};

	for (size_t i = 0; S_ISCHR(v->mode) && i < sizeof known / sizeof *known; i++)
		if (device_major(v->rdev) == known[i].major && device_minor(v->rdev) == known[i].minor)
			return known[i].path;
	return NULL;
}

/* What has been opened as fd may be meant for a device. */
static long opened(struct task *t, long fd, int flags)
{
	struct stat st;
	struct vstat v;

	if (flags & O_PATH || raw_syscall(__NR_fstat, fd, &st) || !S_ISREG(st.st_mode) || !recall(&st, &v) ||
	    !(v.have & UM_VS_TYPE))
		return fd;
	raw_syscall(__NR_close, fd);
	const char *path = device_path(&v);

	return path ? kernel_call(t, __NR_openat, AT_FDCWD, path, flags & ~(O_CREAT | O_EXCL | O_TRUNC)) : -ENXIO;
}

/* Through a link that led nowhere: the kernel knows where that is. */
static void born_elsewhere(struct task *t, long fd, const struct stat *st, unsigned more)
{
	char link[64], *path = heap_alloc(UM_PATH_MAX);
	struct stat dir;
	long n = -1;

	text_format(link, sizeof link, "/proc/thread-self/fd/%d", (int)fd);
	if (path)
		n = raw_syscall(__NR_readlinkat, AT_FDCWD, link, path, UM_PATH_MAX - 1);
	if (n > 0)
		path[n] = 0;
	born(t, n > 0 && ask_directory(t, AT_FDCWD, path, &dir) ? &dir : NULL, st, more);
	heap_free(path);
}

/* What opening has made, with more bits than were wanted. */
static long opened_new(struct where *w, long fd, unsigned more, bool here)
{
	struct stat st;

	if (fd < 0 || raw_syscall(__NR_fstat, fd, &st))
		return fd;
	if (here)
		born_at(w, &st, more);
	else
		born_elsewhere(w->t, fd, &st, more);
	return fd;
}

/* With O_CREAT where it matters whether the file is new. */
static long open_telling(struct where *w, int flags, unsigned mode, unsigned more, bool *is_new,
			 long (*make)(struct where *w, int flags, unsigned mode))
{
	struct target g = { w->t, w->dfd, w->upath, 0, NULL };
	struct stat st;
	long fd = make(w, flags | O_EXCL, mode | more);

	*is_new = true;
	if (fd != -EEXIST || flags & O_EXCL)
		return opened_new(w, fd, more, true);
	fd = make(w, flags & ~O_CREAT, 0);
	if (fd == -ENOENT)			/* a link that leads nowhere */
		return opened_new(w, make(w, flags, mode | more), more, false);
	*is_new = false;
	if (fd == -EACCES && !ask(&g, &st) && S_ISDIR(st.st_mode))
		return -EISDIR;
	if (fd >= 0 && !raw_syscall(__NR_fstat, fd, &st) && S_ISDIR(st.st_mode)) {
		raw_syscall(__NR_close, fd);
		return -EISDIR;
	}
	return fd;
}

/* The bits of `want` that a mode has not, and the mask does not take: they are added, and not shown. */
static unsigned more_bits(const struct task *t, unsigned mode, unsigned want)
{
	return want & ~(mode & ~t->fs->umask);
}

long ident_open(struct where *w, int flags, unsigned mode, long (*make)(struct where *w, int flags, unsigned mode))
{
	bool creates = (flags & (O_CREAT | O_DIRECTORY | O_PATH)) == O_CREAT;
	unsigned more = creates ? more_bits(w->t, mode, 0600) : 0;
	struct vtable vt;
	bool any = table(&vt, false), is_new = false;
	long fd;

	if (!creates || (!any && !more && owns_new(w->t->cred)))
		fd = make(w, flags, mode);
	else
		fd = open_telling(w, flags, mode, more, &is_new, make);
	if (fd < 0)
		return fd;
	if ((flags & O_TMPFILE) == O_TMPFILE && !(flags & O_PATH))
		born_nameless(w, fd);
	return any && !is_new ? opened(w->t, fd, flags) : fd;
}

long ident_mkdir(struct where *w, unsigned mode)
{
	unsigned more = more_bits(w->t, mode, 0700);
	struct stat st;
	long r = kernel_call(w->t, __NR_mkdirat, w->dfd, w->upath, mode | more);

	if (!r && ask_name(w, &st))
		born_at(w, &st, more);
	return r;
}

/* An empty file that is only said to be a device.  (0, 0) is what overlayfs calls a whiteout: anybody may make one. */
static long make_device(struct where *w, unsigned mode, unsigned dev)
{
	const struct cred *c = w->t->cred;
	struct stat st, shown;
	long fd, r;

	if (!cred_can(c, CRED_MKNOD) && (!S_ISCHR(mode) || dev))
		return -EPERM;
	fd = kernel_call(w->t, __NR_openat, w->dfd, w->upath, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
			 (mode & 0777) | 0600);
	if (fd < 0)
		return fd;
	r = raw_syscall(__NR_fstat, fd, &st);
	raw_syscall(__NR_close, fd);
	shown = st;
	shown.st_mode = mode & ~w->t->fs->umask;
	shown.st_rdev = dev;
	shown.st_uid = c->uid.fs;
	shown.st_gid = c->gid.fs;
	return r ? r : settle(w->t, &st, &shown);
}

long ident_mknod(struct where *w, unsigned mode, unsigned dev)
{
	unsigned more = more_bits(w->t, mode, 0600);
	struct stat st;
	long r;

	if (S_ISCHR(mode) || S_ISBLK(mode))
		return make_device(w, mode, dev);
	r = kernel_call(w->t, __NR_mknodat, w->dfd, w->upath, mode | more, dev);
	if (!r && ask_name(w, &st))
		born_at(w, &st, more);
	return r;
}

void ident_symlinked(struct where *w)
{
	struct stat st;

	if (ask_name(w, &st))
		born_at(w, &st, 0);
}

/* ---- going ---------------------------------------------------------------------------------------------- */

bool ident_will_go(struct where *w, struct stat *st)
{
	struct vtable vt;

	return has_identity(w->t) && table(&vt, false) && ask_name(w, st);
}

bool ident_stays(struct where *w, const struct stat *st)
{
	struct stat now;

	return ask_name(w, &now) && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

void ident_gone(struct task *t, const struct stat *st)
{
	struct vtable vt;

	if ((S_ISDIR(st->st_mode) || st->st_nlink == 1) && table(&vt, false))
		vtable_remove(&vt, t, st->st_dev, st->st_ino);
}
