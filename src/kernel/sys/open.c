/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open and close.  /dev/fuse, faked files of /proc and the like are places with operations of their own
 * (kernel/path.h), so nothing here knows them.
 */
#include "calls.h"
#include "../cow.h"
#include "../path_walk.h"
#include "../fs/ident.h"
#include "../fs/proc.h"
#include "../fs/real.h"
#include <linux/close_range.h>

#define HOW_FLAGS	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | \
			 O_DIRECT | O_LARGEFILE | O_NOATIME | O_TMPFILE | FASYNC | O_PATH | O_NOFOLLOW | O_CLOEXEC)
#define HOW_RESOLVE	(RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | \
			 RESOLVE_IN_ROOT | RESOLVE_CACHED)

static unsigned open_where(uint64_t flags)
{
	bool creates = flags & O_CREAT && !(flags & O_PATH);
	bool nofollow = flags & O_NOFOLLOW || (creates && flags & O_EXCL);

	bool changes = !(flags & O_PATH) && (flags & (O_ACCMODE | O_CREAT | O_TRUNC) || (flags & O_TMPFILE) == O_TMPFILE);

	return (nofollow ? WHERE_NOFOLLOW : 0) | (flags & O_DIRECTORY ? WHERE_STAT : 0) | (creates ? WHERE_CREATE : 0) | (changes ? WHERE_CHANGE : 0);
}

static bool contradict(uint64_t flags)
{
	unsigned tmpfile = O_TMPFILE & ~O_DIRECTORY;

	return (flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY) ||
	       (flags & tmpfile && (!(flags & O_DIRECTORY) || (flags & O_ACCMODE) == O_RDONLY));
}

/*
 * Nothing was opened: r tells why, or is 0.  But flags that contradict each other are refused before a path is looked at, and a number
 * for the descriptor is found before it is walked.  (Where the kernel, or the server's side, opens something, it does that itself.)
 */
static long not_opened(const struct where *w, uint64_t flags, long r)
{
	long room;

	if (!r || r == -EINTR || r <= -UM_ERESTART)
		return r;
	if (!(flags & O_PATH) && contradict(flags))
		return -EINVAL;
	room = w->len ? fd_has_room() : 0;
	return room ? room : r;
}

/* Where the kernel does all of it.  True: that failed with *r.  Else *r is what where_begin() says. */
static bool open_at_once(struct where *w, struct task *t, int dfd, gaddr name, int flags, unsigned mode, long *r)
{
	const unsigned how = open_where((unsigned)flags) | WHERE_CHEAP;
	const enum where_way way = where_way(w, t, dfd, name, how);
	struct open_how real;

	if (way == WAY_COW) {
		*r = real_fs.open(w, flags, mode);
		if (*r >= 0 || (*r > -UM_ERESTART && !where_is_stale(w)))
			return true;
	} else if (way != WAY_LONG && !(w->below_plain && flags & O_DIRECTORY)) {	/* else it will be remembered */
		if (way == WAY_OWN) {
			*r = pass_last(t);
			return true;
		}
		real = real_no_link(flags, mode);
		*r = leave_call(t, __NR_openat2, dfd, (long)name, (long)&real, sizeof real, 0, 0);
		if (*r == -ELOOP) {
			*r = where_at_link(w, t, dfd, name, how);
			return false;
		}
		if (*r != -ENOSYS)
			return true;
	}
	*r = where_begin(w, t, dfd, name, how);
	return false;
}

long sys_openat(struct task *t, int dfd, gaddr name, int flags, unsigned mode)
{
	struct where w;
	long r;

	if (open_at_once(&w, t, dfd, name, flags, mode, &r))
		return r;
	if (!r && where_is_last(&w, name) && !(w.below_plain && flags & O_DIRECTORY) && !has_identity(t))
		return pass_last(t);
	if (r < 0 && r != -UM_EAGAIN)
		return not_opened(&w, (unsigned)flags, r);
	while (where_next(&w, &r)) {
		int f = flags;

		r = w.strict ? not_opened(&w, (unsigned)flags, perm_open(&w, f)) : 0;
		if (!r && w.read_only)
			r = not_opened(&w, (unsigned)flags, readonly_open(&w, &f));
		if (!r)
			r = place_call(&w, open, EACCES, f, mode);
	}
	if (r < 0 && w.fs != &real_fs)
		r = not_opened(&w, (unsigned)flags, r);
	return where_end(&w, r);
}

/* ---- openat2 ---------------------------------------------------------------------------------------- */

static long check_how(const struct open_how *how)
{
	bool makes = how->flags & O_CREAT || (how->flags & O_TMPFILE) == O_TMPFILE;

	if (how->flags & ~(uint64_t)(unsigned)HOW_FLAGS || how->resolve & ~(uint64_t)HOW_RESOLVE)
		return -EINVAL;
	if (how->mode & ~(uint64_t)(makes ? 07777 : 0))
		return -EINVAL;
	if (how->resolve & RESOLVE_BENEATH && how->resolve & RESOLVE_IN_ROOT)
		return -EINVAL;
	if (how->flags & O_PATH && how->flags & ~(uint64_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
		return -EINVAL;
	return 0;
}

#define BELOW	(RESOLVE_BENEATH | RESOLVE_IN_ROOT)

/* Does the text alone lead out of the directory it starts from? */
static bool climbs_out(const char *p)
{
	int depth = 0;

	while (depth >= 0 && *p) {
		size_t n = 0;

		while (*p == '/')
			p++;
		while (p[n] && p[n] != '/')
			n++;
		if (n == 2 && p[0] == '.' && p[1] == '.')
			depth--;
		else if (n && !(n == 1 && *p == '.'))
			depth++;
		p += n;
	}
	return depth < 0;
}

/* RESOLVE_IN_ROOT: "/" and ".." at the start stay where they are. */
static char *clamp(char *p)
{
	for (;;) {
		if (*p == '/')
			p++;
		else if (p[0] == '.' && p[1] == '.' && (!p[2] || p[2] == '/'))
			p += 2;
		else
			return *p ? p : ".";
	}
}

/* Does a path start in the tree of a copy-on-write mount? */
static bool starts_in_tree(struct task *t, int dfd)
{
	char path[UM_PATH_MAX];
	long n = dfd == AT_FDCWD ? path_of_cwd(t, path, sizeof path) : path_of_fd(t, dfd, path, sizeof path);
	uint32_t bound;

	if (n > 0 && bind_shows_copied(t, base_bind(t, dfd, &bound)))
		return true;
	return n > 0 && !cow_leads(t, path, (size_t)n, false);
}

static struct file *virtual_start(struct task *t, int dfd)
{
	return dfd == AT_FDCWD ? t->fs->cwd : fd_peek(t, dfd);
}

/* Does a path that must stay below its start start at what the kernel does not know as we do? */
static bool starts_apart(struct task *t, int dfd)
{
	return virtual_start(t, dfd) || (t->cred && t->cred->strict) || (view_has(UM_MOUNT_COW) && starts_in_tree(t, dfd));
}

/*
 * The walk for openat2.  The resolver knows no restrictions, so where it starts in a mount a path that
 * must stay below its start is cut to one that does, as far as its text shows: in text, which has room for a path.
 */
static long begin_how(struct where *w, struct task *t, int dfd, gaddr name, const struct open_how *how, char *text)
{
	unsigned flags = open_where(how->flags) | (how->resolve & RESOLVE_NO_SYMLINKS ? WHERE_NOFOLLOW | WHERE_NO_LINKS : 0);
	char *p = text;
	bool apart;
	long n;

	w->t = t;		/* where the path cannot be read there is no walk */
	w->links = 0;
	if (how->resolve & RESOLVE_NO_SYMLINKS && view_has(UM_MOUNT_COW))
		flags |= WHERE_VERIFY;		/* what is remembered of a tree does not tell of links in the text */

	if (!(how->resolve & BELOW))
		return where_begin(w, t, dfd, name, flags);
	apart = starts_apart(t, dfd);
	n = string_from_guest(t, text, name, UM_PATH_MAX);
	w->len = n < 0 ? 0 : (size_t)n;
	if (n <= 0)
		return n ? n : -ENOENT;
	if (!apart && !(how->resolve & RESOLVE_IN_ROOT && *text == '/'))
		return where_begin(w, t, dfd, name, flags);
	if (how->resolve & RESOLVE_IN_ROOT)
		p = clamp(text);
	if (apart && (*p == '/' || climbs_out(p)))
		return -EXDEV;
	return where_begin_path(w, t, dfd, p, flags);
}

/* Is the place w below dfd after all, whatever links led there?  0, or -EXDEV, or what is wrong with its path. */
static long below_verdict(const struct where *w, int dfd)
{
	char base[UM_PATH_MAX], path[UM_PATH_MAX];
	long m = w->fs == &remote_fs ? text_format(path, sizeof path, "%s", w->path) : where_path(w, path, sizeof path);
	long n = dfd == AT_FDCWD ? path_of_cwd(w->t, base, sizeof base) : path_of_fd(w->t, dfd, base, sizeof base);

	if (m == -ENOENT || m == -ENOTDIR)
		return m;
	if (n <= 0 || m <= 0)
		return -EXDEV;
	return n == 1 || (!strncmp(path, base, (size_t)n) && (!path[n] || path[n] == '/')) ? 0 : -EXDEV;
}

/*
 * The resolve flags where the path leads into a mount: tested on what the resolver did.  What cannot be
 * shown to be harmless gets the error of a path that breaks the rule; a cached lookup (only an attempt by
 * its nature) gets EAGAIN, on which callers try again without it.
 */
static long remote_verdict(const struct where *w, int dfd, uint64_t resolve)
{
	const struct file *start = virtual_start(w->t, dfd);

	if (resolve & RESOLVE_CACHED)
		return -EAGAIN;
	if (resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS) && w->links)
		return -ELOOP;
	if (resolve & RESOLVE_NO_XDEV && !(start && start->mount == w->mount.id))
		return -EXDEV;
	return resolve & BELOW ? below_verdict(w, dfd) : 0;
}

/* As real_open(): behind a bind mount a descriptor is not where the kernel says. */
static long opened_how(struct where *w, long fd, const struct open_how *how)
{
	if (cow_opened_white(w, fd, (int)how->flags)) {
		raw_syscall(__NR_close, fd);
		return -UM_ERETRY;
	}
	if (fd >= 0 && (w->bind || w->read_only || (w->below_plain && how->flags & O_DIRECTORY)))
		where_opened(w, (int)fd);
	return fd;
}

static bool is_copied_on_write(const struct where *w)
{
	char path[UM_PATH_MAX];
	long n = w->cow || w->bind ? 0 : where_path(w, path, sizeof path);

	return n == 0 || (n > 0 && cow_covers(w->t, path, (size_t)n));
}

/* From or into a tree: it is one file system with what is below, and has no magic links. */
static long tree_verdict(const struct where *w, int dfd, uint64_t resolve)
{
	if (resolve & RESOLVE_CACHED)
		return -EAGAIN;
	if (resolve & RESOLVE_NO_SYMLINKS && w->links)
		return -ELOOP;
	if (resolve & RESOLVE_NO_XDEV && !is_copied_on_write(w))
		return -EXDEV;
	return resolve & BELOW ? below_verdict(w, dfd) : 0;
}

/* The path has been walked; what remains is not to follow what has become a link since. */
static long tree_how(struct where *w, int dfd, const struct open_how *how)
{
	struct open_how own = *how;
	long r = tree_verdict(w, dfd, how->resolve);

	own.resolve &= RESOLVE_NO_SYMLINKS;
	return r ? r : opened_how(w, real_openat2(w, &own), how);
}

/* Is it in the tree of a copy-on-write mount, or does the path start there?  The kernel finds nothing there that is not copied. */
static bool in_a_tree(const struct where *w, int dfd, gaddr name, uint64_t resolve)
{
	struct base b;
	char first;

	if (w->bind || !view_has(UM_MOUNT_COW))
		return w->bind && cow_is_mount(w->t, w->bind);
	if (copy_from_guest(w->t, &first, name, 1) || (first == '/' && !(resolve & RESOLVE_IN_ROOT)))
		return false;
	return starts_in_tree(w->t, dfd) && (base_find(w->t, dfd, view_generation(w->t), &b) || !b.plain);
}

/*
 * Behind a bind mount of ours the kernel cannot test these: it knows the other end.  What lies below it may be
 * many mounts, so whether the path crosses one stays open.
 */
static long bound_how(struct where *w, int dfd, const struct open_how *how)
{
	struct open_how own = *how;

	long r = how->resolve & BELOW ? below_verdict(w, dfd) : 0;

	if (how->resolve & RESOLVE_NO_XDEV || r == -EXDEV)
		return -EXDEV;
	if (how->resolve & (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS) && w->links)
		return -ELOOP;
	own.resolve &= RESOLVE_NO_SYMLINKS | RESOLVE_CACHED;
	return opened_how(w, real_openat2(w, &own), how);
}

/*
 * And where it does not.  A path that the resolver has rewritten hides from the kernel what must be
 * tested, so the guest's own goes to it then; the resolver's result was real without a bind mount, hence both
 * mean the same file.
 */
static long real_how(struct where *w, int dfd, gaddr name, const struct open_how *how)
{
	char first;
	long r;

	if (w->upath == name)
		return opened_how(w, real_openat2(w, how), how);
	if (how->resolve & RESOLVE_NO_SYMLINKS && w->links)
		return -ELOOP;
	if (in_a_tree(w, dfd, name, how->resolve))
		return tree_how(w, dfd, how);
	if (!(how->resolve & (RESOLVE_NO_XDEV | RESOLVE_BENEATH | RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)))
		return opened_how(w, real_openat2(w, how), how);
	if (w->bind && w->state == STATE_RAW && bind_shows_copied(w->t, w->bind))	/* from there, and nothing virtual on the way */
		return opened_how(w, kernel_call(w->t, __NR_openat2, dfd, name, how, sizeof *how), how);
	if (w->bind)
		return bound_how(w, dfd, how);
	if (virtual_start(w->t, dfd) && !(copy_from_guest(w->t, &first, name, 1) == 0 && first == '/'))
		return -EXDEV;
	r = real_check_link(w);
	if (!r && w->t->fs->root && !(how->resolve & BELOW))	/* an absolute name would lead elsewhere */
		return kernel_call(w->t, __NR_openat2, w->dfd, w->upath, how, sizeof *how);
	return r ? r : kernel_call(w->t, __NR_openat2, dfd, name, how, sizeof *how);
}

/* The guest's own words. */
struct asked {
	int dfd;
	gaddr name;
	uint64_t resolve;
};

/* As open is (fs/ident.h). */
static long how_open(struct where *w, int flags, unsigned mode)
{
	const struct asked *a = w->how;
	struct open_how how = { .flags = (unsigned)flags, .mode = mode, .resolve = a->resolve };

	return real_how(w, a->dfd, a->name, &how);
}

static long real_open_how(struct where *w, int dfd, gaddr name, const struct open_how *how)
{
	struct asked a = { dfd, name, how->resolve };

	w->how = &a;
	if (has_identity(w->t) && !w->proc.what)
		return ident_open(w, (int)how->flags, (unsigned)how->mode, how_open);
	return proc_made(w, how_open(w, (int)how->flags, (unsigned)how->mode), (int)how->flags);
}

/* EACCES, unless the kernel finds that the rules for the path are broken. */
static long rules_first(struct task *t, int dfd, gaddr name, uint64_t resolve)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = resolve };
	long fd = resolve ? kernel_call(t, __NR_openat2, dfd, name, &how, sizeof how) : -EACCES;

	if (fd < 0)
		return fd == -EXDEV || fd == -ELOOP || fd == -EAGAIN ? fd : -EACCES;
	raw_syscall(__NR_close, fd);
	return -EACCES;
}

/* A path that stays below a real directory: the kernel knows where it leads, and our walk, which begins at the view's root where it is absolute, does not. */
static bool is_kernels(struct task *t, int dfd, uint64_t resolve)
{
	return resolve & BELOW && !starts_apart(t, dfd);
}

/* RESOLVE_NO_SYMLINKS: the kernel does not look what is wrong behind a link.  What breaks another rule is found on the way there. */
static long no_symlinks(const struct where *w, int dfd, uint64_t resolve, long r)
{
	if (r >= 0 || r <= -UM_ERESTART || r == -EXDEV || r == -EAGAIN)
		return r;
	return resolve & RESOLVE_NO_SYMLINKS && w->links && !is_kernels(w->t, dfd, resolve) ? -ELOOP : r;
}

/* The walk has failed: what is wrong? */
static long walk_error(const struct where *w, int dfd, gaddr name, uint64_t resolve, long r)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = resolve };
	long fd;

	if (r == -ELOOP && resolve & RESOLVE_NO_XDEV && w->bind)
		return -EXDEV;		/* the bind mount came before the link */
	if (!is_kernels(w->t, dfd, resolve))
		return no_symlinks(w, dfd, resolve, r);
	fd = kernel_call(w->t, __NR_openat2, dfd, name, &how, sizeof how);
	if (fd < 0)
		return fd;
	raw_syscall(__NR_close, fd);
	return r;
}

/* Nor does it open one with O_PATH, but with O_NOFOLLOW, too. */
static long no_link_opened(struct task *t, long fd, const struct open_how *asked)
{
	const struct file *f = fd >= 0 ? fd_peek(t, (int)fd) : NULL;

	if (!f || !S_ISLNK(f->mode) || !(asked->resolve & RESOLVE_NO_SYMLINKS) || asked->flags & O_NOFOLLOW)
		return fd;
	sys_close(t, (int)fd);
	return -ELOOP;
}

long sys_openat2(struct task *t, int dfd, gaddr name, gaddr how_at, size_t size)
{
	char text[UM_PATH_MAX];
	struct open_how how, asked;
	struct where w;
	long r = size < sizeof how ? -EINVAL : copy_struct_from_guest(t, &how, sizeof how, how_at, size);

	if (!r)
		r = check_how(&how);
	if (r)
		return r;
	asked = how;
	r = begin_how(&w, t, dfd, name, &how, text);
	if (r < 0)
		return not_opened(&w, how.flags, r == -EACCES && w.strict ? rules_first(t, dfd, name, how.resolve)
									 : walk_error(&w, dfd, name, how.resolve, r));
	while (where_next(&w, &r)) {
		int f = (int)asked.flags;

		how = asked;
		r = w.strict && !(w.links && how.resolve & RESOLVE_NO_SYMLINKS) ? not_opened(&w, how.flags, perm_open(&w, f)) : 0;
		if (r == -EACCES)
			r = rules_first(t, dfd, name, how.resolve);
		if (!r && w.read_only)
			r = not_opened(&w, how.flags, readonly_open(&w, &f));
		if (r)
			continue;
		if (!(f & O_CREAT) && how.flags & O_CREAT)
			how.mode = 0;
		how.flags = (unsigned)f;
		if (w.fs == &real_fs || w.proc.what) {
			r = real_open_how(&w, dfd, name, &how);
			continue;
		}
		r = w.fs == &remote_fs ? remote_verdict(&w, dfd, how.resolve) :
		    w.cow ? tree_verdict(&w, dfd, how.resolve) : 0;
		if (w.cow && how.resolve & RESOLVE_NO_SYMLINKS)
			how.flags |= O_NOFOLLOW;	/* the walk has left the last name to the kernel */
		if (!r)
			r = no_link_opened(t, place_call(&w, open, EACCES, (int)how.flags, (unsigned)how.mode), &asked);
	}
	if (r < 0)		/* the rules, too, are ours to look at, also of real places */
		r = not_opened(&w, asked.flags, no_symlinks(&w, dfd, asked.resolve, r));
	return where_end(&w, r);
}

/* ---- close ------------------------------------------------------------------------------------------ */

/*
 * The entry goes first: as long as the carrier is open the kernel gives its number to nobody else, so the
 * entry of another thread's new file cannot be hit.
 */
long close_virtual(struct task *t, int fd)
{
	struct file *f = fd_remove(t, fd);

	if (!f)
		return -EBADF;
	carrier_close(t, f, fd);
	return remote_close(t, f);
}

long sys_close(struct task *t, int fd)
{
	if (fd_is_virtual(t, fd))
		return close_virtual(t, fd);
	fd_forget_hint(t, fd);
	return real_last(t, __NR_close, fd);
}

/* ---- close_range ------------------------------------------------------------------------------------ */

#define OURS_BELOW	1024u		/* the agent's descriptors are below this */

/* The kernel's close_range on what is not the agent's own. */
static long close_real_range(struct task *t, unsigned first, unsigned last, unsigned flags)
{
	long r = 0;
	unsigned from = first;

	for (unsigned fd = first; !r && fd <= last && fd < OURS_BELOW; fd++) {
		if (!fd_is_ours((int)fd))
			continue;
		if (fd > from)
			r = kernel_call(t, __NR_close_range, from, fd - 1, flags);
		from = fd + 1;
	}
	if (!r && from <= last)
		r = kernel_call(t, __NR_close_range, from, last, flags);
	return r;
}

static void close_virtual_range(struct task *t, unsigned first, unsigned last)
{
	unsigned size = (unsigned)__atomic_load_n(&t->files->size, __ATOMIC_ACQUIRE);

	for (unsigned fd = first; fd <= last && fd < size; fd++)
		if (fd_peek(t, (int)fd))
			close_virtual(t, (int)fd);
}

/* A table of descriptors of our own, in the kernel and here. */
static long unshare_files(struct task *t)
{
	struct files *own = files_copy(t->files);
	long r;

	if (!own)
		return -ENOMEM;
	r = raw_syscall(__NR_unshare, 0x400 /* CLONE_FILES */);
	if (r) {
		files_put(own);
		return r;
	}
	files_put(t->files);
	t->files = own;
	return 0;
}

long sys_close_range(struct task *t, unsigned first, unsigned last, unsigned flags)
{
	long r = 0;

	if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
		return -EINVAL;
	if (flags & CLOSE_RANGE_UNSHARE)
		r = unshare_files(t);
	if (r)
		return r;
	flags &= ~CLOSE_RANGE_UNSHARE;
	if (flags & CLOSE_RANGE_CLOEXEC)
		return close_real_range(t, first, last, flags);
	close_virtual_range(t, first, last);
	for (unsigned fd = first; fd <= last && fd < (unsigned)t->files->nhints; fd++)
		fd_forget_hint(t, (int)fd);
	return close_real_range(t, first, last, flags);
}
