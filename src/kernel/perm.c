/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of the kernel's fs/namei.c, fs/attr.c and fs/posix_acl.c, on the attributes that the view shows.
 */
#include "acl.h"
#include "cow.h"
#include "perm.h"
#include "path_walk.h"
#include "fs/ident.h"
#include "sysnr.h"
#include <linux/securebits.h>

#define NSEC_NOW	0x3fffffffl
#define NSEC_OMIT	0x3ffffffel
#define BIT(n)		(1ull << (n))

/* Who asks: the ids of the file system, or for access(2) the real ones. */
struct who {
	const struct cred *c;
	uint32_t uid, gid;
	uint64_t caps;
};

static struct who who_acts(const struct cred *c)
{
	return (struct who){ c, c->uid.fs, c->gid.fs, c->effective };
}

static struct who who_really(const struct cred *c)
{
	uint64_t caps = c->effective;

	if (!(c->securebits & SECBIT_NO_SETUID_FIXUP))
		caps = c->uid.real ? 0 : c->permitted;
	return (struct who){ c, c->uid.real, c->gid.real, caps };
}

static bool can(const struct who *who, int capability)
{
	return who->caps >> capability & 1;
}

static bool in_group(const struct who *who, uint32_t gid)
{
	for (uint32_t i = 0; i < who->c->ngroups; i++)
		if (who->c->groups[i] == gid)
			return true;
	return gid == who->gid;
}

/* Who makes the call that w belongs to. */
static struct who who_asks(const struct where *w)
{
	return w->flags & WHERE_REALLY ? who_really(w->t->cred) : who_acts(w->t->cred);
}

bool perm_is_strict(const struct cred *c, bool really)
{
	const uint64_t all = BIT(CRED_DAC_OVERRIDE) | BIT(CRED_FOWNER);

	return c->strict && ((really ? who_really(c).caps : c->effective) & all) != all;
}

/* ---- a file and its bits -------------------------------------------------------------------------------- */

struct thing {
	struct stat st;			/* as the guest sees it */
	const struct target *at;	/* for its access list; NULL: there is none to be asked for */
};

/* Entries in list, or 0: there is none, or it cannot be read. */
static int acl_read(const struct target *g, struct acl_entry list[ACL_ENTRIES])
{
	struct acl x;
	char path[64];
	long n;

	if (g->at & AT_EMPTY_PATH) {
		text_format(path, sizeof path, "/proc/thread-self/fd/%d", g->dfd);
		n = raw_syscall(__NR_getxattr, path, ACL_NAME, &x, sizeof x);
	} else {
		long fd = raw_syscall(__NR_openat, g->dfd, g->path, O_PATH | O_CLOEXEC);

		if (fd < 0)
			return 0;
		text_format(path, sizeof path, "/proc/thread-self/fd/%d", (int)fd);
		n = raw_syscall(__NR_getxattr, path, ACL_NAME, &x, sizeof x);
		raw_syscall(__NR_close, fd);
	}
	if (n <= 4 || x.version != ACL_VERSION)
		return 0;
	memcpy(list, x.list, (size_t)n - 4);
	return (int)((n - 4) / (long)sizeof *list);
}

static bool is_in_group(const void *who, uint32_t gid)
{
	return in_group(who, gid);
}

/* What the list says to this: as acl_verdict(). */
static int list_verdict(const struct who *who, const struct thing *f, unsigned want)
{
	struct acl_entry list[ACL_ENTRIES];
	int n = f->at && f->st.st_mode & 070 ? acl_read(f->at, list) : 0;

	return acl_verdict(list, n, who->uid, f->st.st_gid, is_in_group, who, want);
}

static bool bits_grant(const struct who *who, const struct thing *f, unsigned want)
{
	unsigned mode = f->st.st_mode;
	int verdict;

	if (who->uid == f->st.st_uid)
		return !(want & ~(mode >> 6) & 7);
	verdict = list_verdict(who, f, want);
	if (verdict >= 0)
		return verdict;
	if (in_group(who, f->st.st_gid))
		mode >>= 3;
	return !(want & ~mode & 7);
}

static bool caps_grant(const struct who *who, const struct stat *st, unsigned want)
{
	bool dir = S_ISDIR(st->st_mode);

	if (can(who, CRED_DAC_READ_SEARCH) && (dir ? !(want & PERM_W) : want == PERM_R))
		return true;
	return can(who, CRED_DAC_OVERRIDE) && (dir || !(want & PERM_X) || st->st_mode & 0111);
}

/* What lies in the kernel's /proc: its owners there are the real ones. */
static bool is_of_proc(const struct stat *st)
{
	static uint64_t dev;
	struct stat root;

	if (!dev && !raw_syscall(__NR_newfstatat, AT_FDCWD, "/proc/self", &root, AT_SYMLINK_NOFOLLOW))
		dev = root.st_dev;
	return st->st_dev == dev;
}

/* A pipe, reached through a link of /proc. */
static bool is_pipe(const struct stat *st)
{
	static uint64_t dev;
	struct stat some;
	int fd[2];

	if (!S_ISFIFO(st->st_mode))
		return false;
	if (!dev && !raw_syscall(__NR_pipe2, fd, O_CLOEXEC)) {
		if (!raw_syscall(__NR_fstat, fd[0], &some))
			dev = some.st_dev;
		raw_syscall(__NR_close, fd[0]);
		raw_syscall(__NR_close, fd[1]);
	}
	return st->st_dev == dev;
}

static long verdict(const struct who *who, const struct thing *f, unsigned want)
{
	if (is_of_proc(&f->st) || is_pipe(&f->st))
		return 0;
	return bits_grant(who, f, want) || caps_grant(who, &f->st, want) ? 0 : -EACCES;
}

static bool owns(const struct cred *c, const struct stat *st)
{
	return c->uid.fs == st->st_uid || cred_can(c, CRED_FOWNER);
}

/* ---- the place ------------------------------------------------------------------------------------------ */

#define ELSEWHERE	1	/* look(): not ours to judge */

/* What is below a copy-on-write mount, where that is virtual. */
static int look_below(struct task *t, struct cow *c, const char *low, struct stat *st)
{
	int r = cow_low_look(t, c, low, st);

	if (!r && um_cow_dev(st->st_dev))
		ident_show(t, st);
	return r;
}

static long look_over(struct where *w, struct cow *c, struct thing *f)
{
	char *path = heap_alloc(UM_PATH_MAX);
	long r = path ? cow_up_path(c, path, w->path + w->cow_at) : -ENOMEM;

	if (!r && cow_is_gone_name(w->t, c, w->path + w->cow_at)) {
		heap_free(path);
		return -ENOENT;
	}
	if (!r)
		r = cow_look(path, &f->st);
	if (!r) {
		r = cow_is_whiteout(AT_FDCWD, path, &f->st) ? -ENOENT : 0;
		ident_show(w->t, &f->st);
	} else if (r == -ENOENT) {
		r = cow_low_path(c, path, w->path + w->cow_at);
		if (!r)
			r = look_below(w->t, c, path, &f->st);
	}
	f->at = NULL;
	heap_free(path);
	return r;
}

/* What is there: 0, -errno, or ELSEWHERE. */
static long look(struct where *w, bool follow, struct thing *f, struct target *at)
{
	unsigned flags = (follow && !(w->flags & WHERE_NOFOLLOW) ? 0 : AT_SYMLINK_NOFOLLOW) |
			 (w->flags & WHERE_EMPTY ? AT_EMPTY_PATH : 0);
	long r;

	if (w->fs == &remote_fs || w->fuse_device || w->proc.what)
		return ELSEWHERE;
	if (w->cow && w->cow_state == COW_ABSENT)
		return -ENOENT;
	*at = (struct target){ w->t, w->dfd, w->upath, (int)flags, NULL };
	if (w->fs == &cow_fs && w->cow_state == COW_LOWER) {
		struct cow *c = cow_get(w->t, w->cow, &r);

		if (c && c->over)
			return look_over(w, c, f);
	}
	if (flags & AT_EMPTY_PATH && w->path[0])
		at->at &= ~AT_EMPTY_PATH;
	r = raw_syscall(__NR_newfstatat, at->dfd, at->path, &f->st, at->at);
	if (r)
		return r;
	f->at = S_ISLNK(f->st.st_mode) ? NULL : at;
	ident_show(w->t, &f->st);
	return 0;
}

/* Names come and go in the directory where the last name was looked up. */
static long parent_writable(const struct where *w)
{
	struct thing dir = { .st = { .st_uid = w->dir_uid, .st_gid = w->dir_gid, .st_mode = w->dir_mode } };
	struct who who = who_acts(w->t->cred);

	if (!w->dir_mode || w->dir_writable)
		return 0;
	return bits_grant(&who, &dir, PERM_W | PERM_X) || caps_grant(&who, &dir.st, PERM_W | PERM_X) ? 0 : -EACCES;
}

/* The directory in which the walk stands: 0, -errno, or ELSEWHERE. */
static long look_at_directory(struct walk *k, struct thing *f)
{
	struct where *w = k->w;
	const struct target *at = f->at;
	long error;
	struct cow *c = k->place.remote && k->place.top.id ? cow_get(w->t, k->place.top.id, &error) : NULL;
	long r = ELSEWHERE;

	if (c)
		r = look_below(w->t, c, k->len ? k->v : "/", &f->st);
	else if (!k->place.remote)
		r = raw_syscall(__NR_newfstatat, at->dfd, at->path, &f->st, 0);
	if (r || !S_ISDIR(f->st.st_mode) || is_of_proc(&f->st))
		return r ? r : ELSEWHERE;
	if (c)
		f->at = NULL;
	w->dir_dev = f->st.st_dev;
	w->dir_ino = f->st.st_ino;
	if (!c)
		ident_show(w->t, &f->st);
	return 0;
}

long perm_search(struct walk *k)
{
	struct where *w = k->w;
	int dfd;
	const char *path = walk_kernel_path(k, &dfd);
	struct target at = { w->t, dfd, (gaddr)path, 0, NULL };
	struct who who = who_asks(w);
	struct thing f = { .at = &at };

	w->dir_mode = 0;
	if (look_at_directory(k, &f))
		return 0;
	w->dir_uid = f.st.st_uid;
	w->dir_gid = f.st.st_gid;
	w->dir_mode = f.st.st_mode;
	w->dir_writable = !verdict(&who, &f, PERM_W | PERM_X);
	return verdict(&who, &f, PERM_X);
}

/* ---- operations ----------------------------------------------------------------------------------------- */

long perm_have(struct where *w, unsigned want)
{
	struct who who = who_acts(w->t->cred);
	struct target at;
	struct thing f;
	long r = look(w, true, &f, &at);

	return r ? 0 : verdict(&who, &f, want);
}

long perm_enter(struct where *w)
{
	struct who who = who_acts(w->t->cred);
	struct target at;
	struct thing f;

	return look(w, true, &f, &at) || !S_ISDIR(f.st.st_mode) ? 0 : verdict(&who, &f, PERM_X);
}

long perm_access(struct where *w, unsigned mode)
{
	struct who who = who_asks(w);
	struct target at;
	struct thing f;

	if (!mode || look(w, true, &f, &at) || S_ISLNK(f.st.st_mode))
		return 0;
	return verdict(&who, &f, mode);
}

static unsigned wants(int flags)
{
	static const uint8_t want[] = { PERM_R, PERM_W, PERM_R | PERM_W, PERM_R | PERM_W };

	return want[flags & O_ACCMODE] | (flags & O_TRUNC ? PERM_W : 0);
}

long perm_open(struct where *w, int flags)
{
	bool creates = flags & O_CREAT, no_name = (flags & O_TMPFILE) == O_TMPFILE;
	struct who who = who_acts(w->t->cred);
	unsigned want = wants(flags);
	struct target at;
	struct thing f;
	long r;

	if (flags & O_PATH)
		return 0;
	r = look(w, !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL), &f, &at);
	if (r == -ENOENT && creates)
		return parent_writable(w);
	if (r || S_ISLNK(f.st.st_mode) || (creates && flags & O_EXCL))
		return 0;		/* the kernel knows better what is wrong */
	if (!S_ISDIR(f.st.st_mode) && flags & O_DIRECTORY)
		return 0;
	if (S_ISDIR(f.st.st_mode) && no_name)
		want = PERM_W | PERM_X;
	else if (S_ISDIR(f.st.st_mode) && (creates || want & PERM_W))
		return 0;
	r = verdict(&who, &f, want);
	return !r && flags & O_NOATIME && !owns(w->t->cred, &f.st) ? -EPERM : r;
}

/* A name of f goes from where the walk has been. */
static long may_remove(const struct where *w, const struct stat *st)
{
	const struct cred *c = w->t->cred;
	long r = parent_writable(w);

	if (r)
		return r;
	return w->dir_mode & 01000 && c->uid.fs != w->dir_uid && !owns(c, st) ? -EPERM : 0;
}

long perm_change(struct where *w, enum readonly_change change)
{
	struct who who = who_acts(w->t->cred);
	struct target at;
	struct thing f;
	long r = change == CHANGE_OLD ? ELSEWHERE : look(w, change == CHANGE_SIZE, &f, &at);

	switch (change) {
	case CHANGE_NEW:
	case CHANGE_DIR:
		return r == -ENOENT && (change == CHANGE_DIR || !w->trailing) ? parent_writable(w) : 0;
	case CHANGE_NAME:
		return r ? 0 : may_remove(w, &f.st);
	case CHANGE_SIZE:
		return r || !S_ISREG(f.st.st_mode) ? 0 : verdict(&who, &f, PERM_W);
	default:
		return 0;
	}
}

/* Where it is a rule, other people's files may be linked only by who could read and write them. */
static bool links_are_protected(void)
{
	long fd = raw_syscall(__NR_openat, AT_FDCWD, "/proc/sys/fs/protected_hardlinks", O_RDONLY | O_CLOEXEC);
	char rule = '0';

	if (fd < 0)
		return false;
	raw_syscall(__NR_read, fd, &rule, 1);
	raw_syscall(__NR_close, fd);
	return rule == '1';
}

static bool may_be_linked(const struct cred *c, const struct thing *f)
{
	struct who who = who_acts(c);
	unsigned mode = f->st.st_mode;

	if (owns(c, &f->st) || !links_are_protected())
		return true;
	return S_ISREG(mode) && !(mode & S_ISUID) && (mode & (S_ISGID | S_IXGRP)) != (S_ISGID | S_IXGRP) &&
	       !verdict(&who, f, PERM_R | PERM_W);
}

/* On another file system: EXDEV comes first. */
static bool is_elsewhere(const struct where *a, const struct where *b)
{
	return !a->cow && a->dir_mode && b->dir_mode && a->dir_dev != b->dir_dev;
}

long perm_link(struct where *from, struct where *to)
{
	struct target at, new_at;
	struct thing f, new;

	if (look(to, false, &new, &new_at) != -ENOENT || to->trailing || look(from, true, &f, &at))
		return 0;
	if (from->flags & WHERE_EMPTY && !from->path[0] && (!S_ISREG(f.st.st_mode) || !f.st.st_nlink))
		return 0;		/* what has no name cannot get one */
	if (is_elsewhere(from, to))
		return 0;
	return may_be_linked(from->t->cred, &f) ? parent_writable(to) : -EPERM;
}

static bool same_directory(const struct where *a, const struct where *b)
{
	return a->dir_dev == b->dir_dev && a->dir_ino == b->dir_ino;
}

/* A directory that comes into another one gets another "..". */
static long may_move(struct where *from, const struct where *to, const struct thing *f)
{
	struct who who = who_acts(from->t->cred);

	return S_ISDIR(f->st.st_mode) && !same_directory(from, to) ? verdict(&who, f, PERM_W) : 0;
}

long perm_rename(struct where *from, struct where *to, unsigned flags)
{
	struct target at, new_at;
	struct thing f, new;
	long r, there;

	if (look(from, false, &f, &at) || is_elsewhere(from, to))
		return 0;
	there = look(to, false, &new, &new_at);
	if (there == ELSEWHERE || (there && there != -ENOENT) || (!there && flags & 1 /* RENAME_NOREPLACE */) ||
	    (there && flags & 2 /* RENAME_EXCHANGE */))
		return 0;
	if (!there && f.st.st_dev == new.st.st_dev && f.st.st_ino == new.st.st_ino)
		return 0;
	r = may_remove(from, &f.st);
	if (!r)
		r = there ? parent_writable(to) : may_remove(to, &new.st);
	if (!r)
		r = may_move(from, to, &f);
	if (!r && !there && flags & 2)
		r = may_move(to, from, &new);
	return r;
}

/* To say that it is now is to write; to say another time is the owner's. */
static long may_touch(const struct task *t, const struct thing *f, const struct timespec64 *ts)
{
	struct who who = who_acts(t->cred);

	if (owns(t->cred, &f->st) || is_of_proc(&f->st) || !(f->st.st_mode & S_IFMT))
		return 0;
	return !ts || (ts[0].tv_nsec == NSEC_NOW && ts[1].tv_nsec == NSEC_NOW) ? verdict(&who, f, PERM_W) : -EPERM;
}

long perm_utimens(struct where *w, const struct timespec64 *ts)
{
	struct target at;
	struct thing f;

	return look(w, true, &f, &at) ? 0 : may_touch(w->t, &f, ts);
}

static long may_attribute(const struct task *t, const struct thing *f, const char *name, unsigned want)
{
	struct who who = who_acts(t->cred);

	if (!strncmp(name, "system.", 7))
		return want & PERM_W && !owns(t->cred, &f->st) ? -EPERM : 0;
	if (strncmp(name, "user.", 5))
		return 0;		/* the kernel asks for capabilities that nobody has here */
	if (S_ISDIR(f->st.st_mode) && f->st.st_mode & 01000 && want & PERM_W && !owns(t->cred, &f->st))
		return -EPERM;
	return S_ISREG(f->st.st_mode) || S_ISDIR(f->st.st_mode) ? verdict(&who, f, want) : 0;
}

long perm_xattr(struct where *w, const char *name, unsigned want)
{
	struct target at;
	struct thing f;

	return look(w, true, &f, &at) ? 0 : may_attribute(w->t, &f, name, want);
}

/* ---- descriptors ---------------------------------------------------------------------------------------- */

static bool look_fd(struct task *t, int fd, struct thing *f, struct target *at)
{
	if (__builtin_expect(!t->cred, 1) || !perm_is_strict(t->cred, false) || fd_is_ours(fd) || raw_syscall(__NR_fstat, fd, &f->st))
		return false;
	*at = target_fd(t, fd);
	f->at = at;
	ident_show(t, &f->st);
	return true;
}

long perm_fd_enter(struct task *t, int fd)
{
	struct target at;
	struct thing f;

	if (!look_fd(t, fd, &f, &at) || !S_ISDIR(f.st.st_mode))
		return 0;
	struct who who = who_acts(t->cred);

	return verdict(&who, &f, PERM_X);
}

/* Through a descriptor that is only a place nothing is changed or read: EBADF. */
static bool is_place(int fd)
{
	long flags = raw_syscall(__NR_fcntl, fd, F_GETFL);

	return flags < 0 || flags & O_PATH;
}

long perm_fd_utimens(struct task *t, int fd, const struct timespec64 *ts)
{
	struct target at;
	struct thing f;

	return look_fd(t, fd, &f, &at) && !is_place(fd) ? may_touch(t, &f, ts) : 0;
}

long perm_fd_xattr(struct task *t, int fd, gaddr name, unsigned want)
{
	struct target at;
	struct thing f;
	char text[256];

	if (!look_fd(t, fd, &f, &at) || is_place(fd) || string_from_guest(t, text, name, sizeof text) <= 0)
		return 0;
	return may_attribute(t, &f, text, want);
}
