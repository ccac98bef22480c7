/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slow way where it meets links of /proc that are none.
 *
 * What /proc/PID/fd/N, cwd, root, exe and map_files lead to is told by their text only in the plain case.  Where the text shows the
 * agent, the other end of a bind mount, or nothing at all, the walk goes on with what the guest would have read (fs/proc.h says
 * which it is); in a directory of our own it goes on as from its descriptor; and what only the kernel can follow is left to it.
 * See path_walk.c for the whole.
 */
#include <linux/fcntl.h>
#include "cow.h"
#include "path_walk.h"
#include "fs/proc.h"

/* Goes on at one of our own virtual files, through a magic link of /proc. */
static long jump(struct walk *k, struct file *f, bool final)
{
	k->pure = k->cacheable = false;
	if (!f)
		return -ENOENT;
	if (++k->w->links > WALK_MAX_LINKS)
		return -ELOOP;
	if (!final)
		return walk_file(k, f);
	where_file(k->w, f);
	return WALK_DONE;
}

/* A descriptor on the way to something else: of a directory, or the path ends here. */
static long is_magic_dir(struct walk *k)
{
	struct stat st;
	int dfd;
	const char *path = walk_kernel_path(k, &dfd);
	long r = raw_syscall(__NR_newfstatat, dfd, path, &st, 0);

	if (!r && (st.st_mode & 0170000) != 0040000)
		r = -ENOTDIR;
	return r ? walk_fail(k, r) : 0;
}

bool proc_link_is_at(int dfd, const char *link, const char *path, struct stat *st)
{
	struct stat there;

	return !raw_syscall(__NR_newfstatat, dfd, link, st, 0) &&
	       !raw_syscall(__NR_newfstatat, AT_FDCWD, path, &there, AT_SYMLINK_NOFOLLOW) &&
	       st->st_ino == there.st_ino && st->st_dev == there.st_dev;
}

/*
 * Is it a file that a copy-on-write mount covers (its path is k->pending), and that is to be changed?  Then the copy is meant; but
 * who has it open for writing has it from outside, and is to get it.
 */
static bool is_to_copy(const struct walk *k, const struct proc_hit *h, int dfd, const char *link, size_t n)
{
	struct stat st;

	if (!view_has(UM_MOUNT_COW) || k->pending[0] != '/' || !cow_covers(k->t, k->pending, n))
		return false;
	if (!h->pid && h->arg >= 0 && (raw_syscall(__NR_fcntl, h->arg, F_GETFL) & O_ACCMODE) != O_RDONLY)
		return false;
	return proc_link_is_at(dfd, link, k->pending, &st);
}

/* Where this link of /proc, whose text is in pending, leads in the view.  Length or -errno; room for UM_PATH_MAX. */
static long link_in_view(struct walk *k, const struct proc_hit *h, char *view, long len)
{
	if (h->what == PROC_BOUND)
		return proc_link_text(k->t, h, view, UM_PATH_MAX);
	memcpy(view, k->pending, (size_t)len + 1);
	cow_to_view(view, &len, UM_PATH_MAX);
	return len;
}

/* The same where something virtual is below: then pending becomes the path of the view, which is *n long. */
static bool is_to_copy_over(struct walk *k, const struct proc_hit *h, int dfd, const char *link, long *n)
{
	bool written = !h->pid && h->arg >= 0 && (raw_syscall(__NR_fcntl, h->arg, F_GETFL) & O_ACCMODE) != O_RDONLY;
	char *view = !written && *n < UM_PATH_MAX && view_has(UM_MOUNT_COW) && cow_over_any(k->t) ? heap_alloc(UM_PATH_MAX) : NULL;
	long len = view ? link_in_view(k, h, view, *n) : -ENOMEM;
	struct stat st;
	bool is = len > 0 && cow_kernels_over(k->t, k->pending, view, (size_t)len) && proc_link_is_at(dfd, link, k->pending, &st);

	if (is) {
		memcpy(k->pending, view, (size_t)len + 1);
		*n = len;
	}
	heap_free(view);
	return is;
}

/* Is a link open there, not what it leads to (O_PATH|O_NOFOLLOW)?  Then the kernel ends at it, too. */
static bool is_link_itself(int dfd, const char *link)
{
	struct stat st;

	return !raw_syscall(__NR_newfstatat, dfd, link, &st, 0) && (st.st_mode & 0170000) == 0120000;
}

/*
 * A link of /proc that only the kernel can follow.  On the way to something else its text is the best
 * there is: the path of a directory.  And what is open somewhere below /proc is looked up there again,
 * since it may be a file that we make.
 */
static long magic(struct walk *k, const struct proc_hit *h, size_t dir_len, bool final)
{
	int dfd;
	const char *path = walk_kernel_path(k, &dfd), *stands;
	size_t room = (size_t)(k->rest - k->pending), len;
	long n;

	k->cacheable = false;
	n = raw_syscall(__NR_readlinkat, dfd, path, k->pending, room - 1);
	if (n > 0) {
		k->pending[n] = 0;
		stands = proc_stands_for(k->pending, &len, NULL, NULL);
		if (stands) {
			memmove(k->pending, stands, len);
			n = (long)len;
		}
	}
	if (final && n > 0 && k->flags & WHERE_CHANGE && is_to_copy(k, h, dfd, path, (size_t)n)) {
		k->pure = false;
		cow_to_view(k->pending, &n, room);
		return n < 0 ? n : walk_text(k, dir_len, (size_t)n, true);
	}
	if (final && n > 0 && k->flags & WHERE_CHANGE && is_to_copy_over(k, h, dfd, path, &n)) {
		k->pure = false;
		return walk_text(k, dir_len, (size_t)n, true);
	}
	if (final && (n <= 6 || memcmp(k->pending, "/proc/", 6) || is_link_itself(dfd, path)))
		return 0;
	if (!final) {
		long r = is_magic_dir(k);

		if (r)
			return r;
	}
	if (n <= 0 || k->pending[0] != '/')
		return walk_fail(k, n < 0 ? n : -ENOTDIR);
	return walk_text(k, dir_len, (size_t)n, true);
}

/* Has this thread of the process the same cwd, or the same descriptors, as we? */
static bool shares(const struct walk *k, int tid, int fd)
{
	const struct task *o = NULL;

	while ((o = task_next(o)) && o->tid != tid)
		;
	return o && o->pid == k->t->pid && (fd == AT_FDCWD ? o->fs == k->t->fs : o->files == k->t->files);
}

/* Is it a descriptor or the cwd of the calling thread itself? */
static bool is_own(const struct walk *k, const struct proc_hit *h)
{
	int tid = h->tid ? h->tid : k->t->pid;

	return !h->pid && h->arg != PROC_NO_FD && (tid == k->t->tid || shares(k, tid, h->arg));
}

/*
 * Goes on in a real directory of our own as from any descriptor: what may be searched on the way to it does
 * not matter, as it does not in the kernel.
 */
static long enter_own(struct walk *k, const struct proc_hit *h)
{
	long r = is_magic_dir(k);

	if (r)
		return r;
	if (++k->w->links > WALK_MAX_LINKS)
		return walk_fail(k, -ELOOP);
	k->links = true;
	k->grounded = k->cacheable = false;
	k->place = (struct place) { 0 };
	walk_truncate(k, 0);
	r = walk_base(k, h->arg);
	return r ? r : WALK_AGAIN;
}

/* Goes on at the text of a link that is ours. */
static long faked_link(struct walk *k, const struct proc_hit *h, size_t dir_len)
{
	long n = proc_link_text(k->t, h, k->pending, (size_t)(k->rest - k->pending));

	k->pure = k->cacheable = false;
	return n < 0 ? n : walk_text(k, dir_len, (size_t)n, true);
}

/* One that leads to a virtual file: by its handle, whatever its path has become. */
static long virtual_link(struct walk *k, const struct proc_hit *h, size_t dir_len, bool final)
{
	struct file *f = proc_file_of(k->t, h);
	char *path = f && final && k->flags & WHERE_CHANGE && view_has(UM_MOUNT_COW) ? heap_alloc(UM_PATH_MAX) : NULL;
	long r, len;

	if (path && cow_file_over(k->t, f, path, &len)) {
		memcpy(k->pending, path, (size_t)len + 1);
		k->pure = k->cacheable = false;
		r = walk_text(k, dir_len, (size_t)len, true);
	} else {
		r = jump(k, f, final);
	}
	heap_free(path);
	file_put(f);
	return r;
}

/* A file that is opened anew by its descriptor stays behind its bind mount. */
static long magic_file(struct walk *k, const struct proc_hit *h, size_t dir_len, bool final)
{
	if (final && proc_is_read_only(k->t, h))
		k->place.read_only = true;
	return magic(k, h, dir_len, final);
}

long walk_magic(struct walk *k, size_t dir_len, bool final)
{
	size_t len;
	const char *path = walk_backing(k, &len);
	struct proc_hit h = proc_look(k->t, path, len);
	long n;

	switch (h.what) {
	case PROC_NONE:
		return WALK_PLAIN;
	case PROC_HIDDEN:
		return -ENOENT;
	case PROC_EXE:
		n = proc_exe(h.pid, k->pending, (size_t)(k->rest - k->pending));
		if (proc_no_descriptor(n))
			return n;
		if (n < 0)
			return magic(k, &h, dir_len, final);
		k->pure = k->cacheable = false;
		return walk_text(k, dir_len, (size_t)n, true);
	case PROC_ROOT:
		return faked_link(k, &h, dir_len);
	case PROC_CWD:
	case PROC_FD:
		return virtual_link(k, &h, dir_len, final);
	case PROC_BOUND:
		if (final && (h.pid || !walk_is_directory_fd(h.arg)))
			return magic_file(k, &h, dir_len, final);
		if (is_own(k, &h))
			return enter_own(k, &h);
		n = is_magic_dir(k);
		return n ? n : faked_link(k, &h, dir_len);
	case PROC_MAGIC:
		return !final && is_own(k, &h) ? enter_own(k, &h) : magic_file(k, &h, dir_len, final);
	default:
		if (final && h.what != PROC_DIR)
			k->w->proc = h;
		return 0;
	}
}
