/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one path resolver.  It knows mounts, links, dot-dot, the virtual cwd and virtual directory
 * descriptors; everybody else gets a `struct where` and calls the operation of whoever answers there:
 *
 *	long sys_mkdirat(struct task *t, int dfd, gaddr path, mode_t mode)
 *	{
 *		struct where w;
 *		long r = where_begin(&w, t, dfd, path, WHERE_NOFOLLOW | WHERE_CREATE);
 *		while (where_next(&w, &r))
 *			r = w.fs->mkdir(&w, mode);
 *		return where_end(&w, r);
 *	}
 *
 * The loop turns more than once only if a server met a symbolic link on its way (it gives the rest of
 * the path back and the walk goes on from there, wherever that is), or if the fast way turned out to be
 * wrong (a link where none was expected), or if what was found of a place in a copy-on-write mount did not hold until
 * the operation had been made (cow_change.c): then the whole walk begins anew.
 *
 * The fast way: a path whose directory part is known to be plain (real directories only, no link, no
 * mount at or below what the last name could be) goes to the kernel as it is, as one call.  What is known
 * is cached per process and dies when view_generation() changes.
 */
#ifndef UM_KERNEL_PATH_H
#define UM_KERNEL_PATH_H

#include "file.h"
#include "view.h"

#define UM_PATH_MAX	4096

struct fs_ops;

struct fsinfo {			/* shared by CLONE_FS, copied otherwise */
	uint32_t refs;
	struct lock lock;
	struct file *cwd;	/* virtual cwd, or NULL: the kernel's is right */
	int cwd_fd;		/* its carrier, one of ours, -1 if none */
	uint32_t umask;		/* last value the guest set (kept for servers) */
	uint32_t cwd_bind;	/* real cwd reached through this bind mount (its id), 0 = none */
	uint32_t cwd_bound;	/* bytes of the kernel's cwd that stand for that mount's path */
	bool cwd_read_only;	/* real cwd reached through a bind mount that is */
	struct dir_hint *hint;	/* where the real cwd is: path_base.c */
	char *root;		/* canonical path, in the view, of the guest's "/"; NULL: the view's (path_root.c) */
};

/* flags of where_begin */
#define WHERE_NOFOLLOW	1u	/* the last name is taken as it is, even if a link (O_NOFOLLOW, lstat, unlink) */
#define WHERE_EMPTY	2u	/* AT_EMPTY_PATH: "" means dfd itself */
#define WHERE_CREATE	4u	/* the last name need not exist (mkdir, mknod, link, rename, O_CREAT) */
#define WHERE_PARENT	8u	/* resolve all but the last name (rename, link) */
#define WHERE_ENTRY	16u	/* acts on the name itself (mkdir, unlink, rmdir): not even a trailing slash makes a
				   link be followed.  PARENT implies it; it implies NOFOLLOW */
#define WHERE_CHANGE	128u	/* the operation changes what is there: in a copy-on-write mount `fs` copies it first */
#define WHERE_VIEW	64u	/* the path is one of the view, not of the guest, whose root may be another */
#define WHERE_REALLY	256u	/* by the real ids, in secure mode: access(2) */
#define WHERE_LOOKS	512u	/* the operation changes nothing and may be made again though it succeeded */
#define WHERE_SECOND	1024u	/* the other place of a call on two, inside the loop of the first */
#define WHERE_STAT	2048u	/* the operation sees whether the file has several names (ident_stat()), or it may have none: the
				   walk need not look */
#define WHERE_CHEAP	4096u	/* the operation has a NOFOLLOW form that costs no more: the last name need not be known */
#define WHERE_NO_LINKS	8192u	/* ELOOP at the first link on the way, which nobody has read then: its access time stays */
#define WHERE_VERIFY	32u	/* the kernel has no NOFOLLOW form of the operation (truncate, statfs, chdir...):
				   the last name is looked at beforehand and `fast` is never set */

/* Where a place stands in a copy-on-write mount. */
enum cow_state {
	COW_NONE,		/* in none, or one whose directory is not copied */
	COW_LOWER,		/* nothing of it is in the session's tree; it need not exist */
	COW_MERGED,		/* a directory in the tree that shows what is below, too */
	COW_UPPER,		/* in the tree only */
	COW_ABSENT,		/* there is a whiteout */
};

/* What of a process of /proc a place is: kernel/fs/proc.h. */
struct proc_hit {
	uint8_t what;		/* enum proc_what; 0 = nothing that we know better than the kernel */
	int arg;		/* a descriptor, or AT_FDCWD, or PROC_NO_FD */
	int pid, tid;		/* as the path names them; pid 0: our own process, tid 0: no thread in particular */
};

#define PROC_NO_FD	(-1)

/* where.last: what the last name was.  The kernel has errors of its own for those that are no name:
 * mkdir, link: EEXIST; unlink: EISDIR; rmdir: EINVAL for ".", ENOTEMPTY for "..", EBUSY for the root; rename: EBUSY. */
enum where_last { LAST_NAME, LAST_ROOT, LAST_DOT, LAST_DOTDOT };

struct where {
	struct task *t;
	const struct fs_ops *fs;	/* real_fs or remote_fs */
	unsigned flags;

	/* real: what to give the kernel.  `upath` is either the guest's own pointer (unchanged path) or
	 * the address of `path` below. */
	int dfd;
	gaddr upath;
	bool fast;		/* unverified last component: use NOFOLLOW and report links (-UM_EAGAIN) */
	bool read_only;		/* behind a bind mount that is: fs/readonly.h */
	bool kept;		/* ... because a merge mount shows this name */
	bool nested;		/* behind a bind mount that was met behind another: `bind` does not tell which */
	bool below_plain;	/* a name, no link, in a directory with nothing virtual below it: see where_opened() */
	bool moved;		/* path is the kernel's own of something in a copy-on-write mount: cow_to_view() */
	bool strict;		/* a virtual user who may not do everything: perm.h; then `fast` is never set, and this is */
	bool dir_writable;	/* the directory of the last name, as the guest sees it (dir_mode 0: nobody knows), and may */
	uint32_t dir_uid, dir_gid, dir_mode;	/* names be made in it? */
	uint64_t dir_dev, dir_ino;
	bool leads_nowhere;	/* the walk has found an error; the kernel shall say which */
	bool fuse_device;	/* it is /dev/fuse: `fs` opens and shows it as it should be */
	struct proc_hit proc;	/* proc.what: `fs` fakes something of /proc */

	/* remote; path[rest] is NUL for the root of the mount itself (nothing may remove or rename that:
	 * EBUSY).  With WHERE_PARENT the base is the parent directory and the rest is the last name. */
	struct mount mount;
	uint64_t base;		/* node the rest starts from; 0: the node of `handle` */
	uint32_t handle;
	uint64_t node;		/* the node of the rest's start in any case, 0: not known */
	size_t rest;		/* offset in path of what the server has to walk; path[rest] may be NUL */
	uint32_t walk;		/* UM_WALK_* */

	struct file *file;	/* WHERE_EMPTY on a virtual descriptor, else NULL; referenced */
	int links;		/* symbolic links followed so far: ELOOP beyond 40 */
	size_t len;
	bool trailing;		/* the path ended in a slash (or in "." or "..") */
	uint8_t last;		/* enum where_last; LAST_NAME when the kernel gets the guest's own path */
	uint8_t state;		/* path.c: how to go on when the operation meets a link */
	uint64_t generation, key;	/* path_fast.c, with fast: view_generation(), and the cache's key of where the path starts; 0: it was walked */
	uint32_t bind;		/* path leads through this bind mount (its id; 0 = none): the first `bound` */
	uint32_t bound;		/* bytes of path are where it leads */
	uint32_t cow;		/* WHERE_CHANGE in this copy-on-write mount (its id; 0 = none): path[cow_at ..] is the */
	uint8_t cow_state;	/* place in its tree; cow_below: a file below this name, if there is one, would be seen */
	bool cow_below;		/* without the tree's */
	bool cow_placed;	/* the directory that it lies in is in the tree */
	uint32_t via;		/* what `bind` is for a descriptor of something in the tree */
	bool cow_unseen;	/* COW_LOWER, but nobody has looked for it in the tree */
	bool cow_copied;	/* it was COW_LOWER, and we have copied it since */
	uint32_t cow_at;
	char *made_for;		/* what is made at path is for another place, this one, and gets what its directory gives */
	const void *how;	/* openat2: what it is asked besides flags and mode */
	const char *asked_text;	/* what where_begin_path() was given, which is there until where_end(); or where_begin(): */
	gaddr asked;
	int asked_dfd;
	unsigned asked_flags, tries;
	uint32_t changes;	/* cow_changes() when it was begun */
	char path[UM_PATH_MAX];	/* canonical absolute path as far as resolved, then the rest */
};

long where_begin(struct where *w, struct task *t, int dfd, gaddr upath, unsigned flags);

/*
 * For handlers whose call is mostly the kernel's affair, first: may it make the call on the guest's own path, as their last act
 * (pass_last(), leave_call())?  Only little of w is filled in, and where_begin() comes next if not.  WAY_NOFOLLOW: yes, but a link there
 * must not be followed; if it turns out to be one, where_at_link() gives w and the -UM_EAGAIN with which the usual loop goes on.
 * WAY_COW: there are copy-on-write mounts; stat and open of real_fs may look at w, but what they say holds only if where_is_stale() says no
 * behind them (what has been opened always does).
 */
enum where_way { WAY_LONG, WAY_OWN, WAY_NOFOLLOW, WAY_COW };
enum where_way where_way(struct where *w, struct task *t, int dfd, gaddr upath, unsigned flags);
long where_at_link(struct where *w, struct task *t, int dfd, gaddr upath, unsigned flags);

bool where_next(struct where *w, long *r);
long where_end(struct where *w, long r);

/* With w->fast: the last name has been seen to be no link.  The next such operation need not look. */
void where_no_link(const struct where *w);

#define UM_EAGAIN	513	/* an operation found a link: the resolver goes on (never seen by guests) */
#define UM_ERETRY	514	/* what was found does not hold any more: it begins anew (likewise) */
#define WHERE_TRIES	500u	/* so often; then it is as if nothing had changed */

/* Has a name come to mean something else since w was begun?  (cow_change.c) */
bool where_is_stale(const struct where *w);

/* The canonical path, in the view, of where w leads.  Length or -errno. */
long where_path(const struct where *w, char *buf, size_t size);

/* After a real directory has been opened as fd: what is known of it from the path.  (Behind a bind mount it is not
 * where the kernel says it is; below a directory with nothing virtual in it there is nothing virtual.) */
void where_opened(struct where *w, int fd);

/* Is it known, without asking the kernel, that this real descriptor is of something in the tree of a copy-on-write mount? */
bool cow_has_fd(const struct task *t, int fd);

/* Is this virtual descriptor of something that a copy-on-write mount lies over?  Then a change by it is one of the place. */
bool cow_fd_over(struct task *t, int fd);

/*
 * For operations of remote_fs: the server stopped at a link or at ".." (s->rep.status == UM_WALK_LINK).
 * Puts what is left to walk into w and returns -UM_EAGAIN for the operation to return, or -ELOOP,
 * -ENAMETOOLONG.
 */
long where_link(struct where *w, const struct um_slot *s);

/* A path of our own (not in guest memory): mount points, interpreters, cwd at exec. */
long where_begin_path(struct where *w, struct task *t, int dfd, const char *path, unsigned flags);

/* The canonical absolute path (in the view) of dfd / of the cwd.  Length or -errno. */
long path_of_fd(struct task *t, int fd, char *buf, size_t size);
long path_of_cwd(struct task *t, char *buf, size_t size);

/* chroot(2). */
long path_set_root(struct task *t, const char *text);

/* From the guest's absolute path to the view's: fs->root goes in front of buf[0 .. len).  Length or -ENAMETOOLONG. */
long path_below_root(const struct task *t, char *buf, size_t len, size_t size);

/* And back, where it lies below the root.  Length. */
size_t path_strip_root(const struct task *t, char *buf, size_t len);
bool path_is_outside(const struct task *t, const char *path, size_t len);

/* Full resolution to a canonical path of the view; virtual or real is told by w->fs.  WHERE_CREATE: the last name
 * may be missing. */
long path_canonical(struct task *t, int dfd, const char *path, unsigned flags, char *buf, size_t size);

struct fsinfo *fsinfo_new(uint32_t umask);
struct fsinfo *fsinfo_copy(struct fsinfo *, bool same_table);
void fsinfo_leave(struct fsinfo *old, const struct fsinfo *now);	/* in the same table; old may be NULL */
void fsinfo_put(struct fsinfo *);
int fsinfo_describe(struct fsinfo *, char *buf, size_t size);	/* for exec, as files_describe */
int fsinfo_restore(struct task *t, const char *text);
struct file *fsinfo_cwd(struct task *t);	/* with a reference, or NULL: it is the kernel's */

/*
 * The cwd has changed.  f: a virtual directory (takes over the caller's reference, whatever the result;
 * opens a carrier of its own for the handle and parks the kernel's cwd at "/").  NULL: the kernel's own cwd
 * has been changed by chdir(2), w says how the directory was found, or by fchdir(2) to a real fd.
 */
int fsinfo_set_cwd(struct task *t, struct file *f);
void fsinfo_moved(struct task *t, const struct where *w);
void fsinfo_moved_to(struct task *t, int fd);

/*
 * What can be done at a place.  real_fs hands the call to the kernel, remote_fs sends a request.  A NULL
 * entry means the operation is not there: EOPNOTSUPP (xattr), else EPERM.
 * Each returns a result >= 0, -errno, or -UM_EAGAIN after it has put the rest of the walk into w.
 */
struct fs_ops {
	const char *name;
	long (*statx)(struct where *w, int flags, unsigned mask, gaddr buf);	/* flags: AT_STATX_* sync part */
	long (*stat)(struct where *w, gaddr buf);			/* struct stat of x86-64 */
	long (*open)(struct where *w, int flags, unsigned mode);	/* -> descriptor */
	long (*access)(struct where *w, int mode, int flags);
	long (*readlink)(struct where *w, gaddr buf, size_t size);
	long (*mkdir)(struct where *w, unsigned mode);
	long (*mknod)(struct where *w, unsigned mode, unsigned dev);
	long (*unlink)(struct where *w, int flags);
	long (*symlink)(struct where *w, const char *target);
	long (*link)(struct where *from, struct where *to, int flags);	/* same fs, same mount; `to` is WHERE_PARENT */
	long (*rename)(struct where *from, struct where *to, unsigned flags);
	long (*chmod)(struct where *w, unsigned mode, int flags);
	long (*chown)(struct where *w, unsigned uid, unsigned gid);
	long (*utimens)(struct where *w, const struct timespec64 *ts);	/* NULL = now */
	long (*truncate)(struct where *w, uint64_t size);
	long (*statfs)(struct where *w, gaddr buf);
	long (*getxattr)(struct where *w, const char *name, gaddr buf, size_t size);
	long (*setxattr)(struct where *w, const char *name, gaddr buf, size_t size, int flags);
	long (*listxattr)(struct where *w, gaddr buf, size_t size);
	long (*removexattr)(struct where *w, const char *name);
	long (*chdir)(struct where *w);
};
extern const struct fs_ops real_fs, remote_fs;

#endif
