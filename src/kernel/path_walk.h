/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the path resolver: what path.c, path_base.c, path_cache.c and path_walk.c share.
 *
 *	path.c		where_begin(), where_next(): when to take the fast way, and when to walk
 *	path_fast.c	the fast way
 *	path_walk.c	the slow way, name by name
 *	path_proc.c	the slow way, at the magic links of /proc
 *	path_mount.c	the slow way, where it meets mounts
 *	path_cow.c	the slow way in copy-on-write mounts
 *	path_cow_bound.c	the same behind a bind mount of what is in one
 *	path_cow_over.c	the same where what is below one is virtual itself
 *	path_merge.c	the slow way where directories are merged
 *	path_empty.c	descriptors themselves, as places
 *	path_where.c	from what was found to a struct where, and back
 *	path_canon.c	what path a thing has
 *	path_base.c	where the cwd and directory descriptors are
 *	path_cache.c	what is known of directory prefixes
 */
#ifndef UM_KERNEL_PATH_WALK_H
#define UM_KERNEL_PATH_WALK_H

#include "fd.h"
#include "path.h"

/* ---- directories that relative paths start from (path_base.c) ---------------------------------------- */

/* Where a real cwd or directory descriptor is.  `path` and `len` under the lock of its owner (struct files or
 * fsinfo); the other words are read without. */
struct dir_hint {
	uint64_t known;		/* the generation in which `path` was found, 0 = never */
	uint64_t plain;		/* the generation in which nothing virtual was at or below it, 0 = never */
	uint32_t serial;	/* names this finding: key of cached relative prefixes */
	uint32_t bind, bound;	/* descriptors: as where.bind and bound when it was opened (fsinfo has the cwd's) */
	bool read_only;		/* likewise */
	bool directory;		/* descriptors: it is known to be one */
	bool copied;		/* it is in the tree of a copy-on-write mount, if it is `known` */
	uint32_t len;
	char *path;		/* canonical, in the view */
	struct dir_list *list;	/* of a directory that is being read: dir_list.c */
};

void hint_free(struct dir_hint *h);
void hint_forget(struct dir_hint *h);
bool hints_copy(struct files *to, const struct files *from);
bool hints_add(struct files *to, int fd, uint32_t bind, uint32_t bound, bool read_only);

/* The hint of a descriptor, made if there is none and that is wanted, or NULL.  The table is locked. */
struct dir_hint *hint_at(struct task *t, int fd, bool make);

/* Arrays that readers use without a lock: an outgrown one stays valid as long as its successor (fd.c). */
void **slots_grow(void **old, size_t had, size_t want);
void slots_free(void **a);

struct cow;

struct base {
	uint64_t key;		/* for the cache */
	bool plain;		/* nothing virtual or faked at or below it */
};

/* Finds out about a real dfd (or AT_FDCWD).  0, or -errno if nobody can say where it is. */
int base_find(struct task *t, int dfd, uint64_t generation, struct base *b);

/* Is it a directory?  What has been found out stands in the hint, which base_find() has made. */
bool base_is_directory(const struct task *t, int dfd);

/* Its canonical path in the view.  Length or -errno. */
long base_path(struct task *t, int dfd, uint64_t generation, char *buf, size_t size);

/* The same as the kernel knows it: at the other end of a bind mount. */
long base_backing(int dfd, char *buf, size_t size);

/* Has base_find() seen that it is in the tree of a copy-on-write mount? */
bool base_is_copied(const struct task *t, int dfd);

/* The bind mount it was reached through, 0 = none.  *bound: bytes of the kernel's path that stand for it. */
uint32_t base_bind(const struct task *t, int dfd, uint32_t *bound);

/* The path in buf lies behind a bind mount: puts that mount's path in front of it instead.  It is the kernel's, or, where
 * the mount shows a place in a copy-on-write one, that of the view.  Length or -errno. */
long path_through_bind(const struct task *t, uint32_t bind, uint32_t bound, char *buf, size_t len, size_t size);

/* Does the mount with this id (0: none) show a place in a copy-on-write one? */
bool bind_shows_copied(const struct task *t, uint32_t bind);

/* The kernel's path of something that was reached through this bind mount (0: none) becomes the view's.  *copied: it is in the
 * tree of a copy-on-write mount.  Length or -errno. */
long path_from_kernel(const struct task *t, uint32_t bind, uint32_t bound, char *buf, long len, size_t size, bool *copied);

#define BASE_TREE	0u	/* the key of directories of copy-on-write mounts, by their path in the tree */
#define BASE_ROOT	1u	/* the key of absolute paths; serials start above */

/* The key for a task: with a root of its own ".." and absolute links lead elsewhere than for its neighbours, who share
 * the table. */
static inline uint64_t base_key(const struct task *t, uint64_t key)
{
	return key ^ (uint64_t)t->fs->root << 12;
}

static inline uint64_t load64(const char *s)
{
	uint64_t v;

	__builtin_memcpy(&v, s, 8);
	return v;
}

/* ---- cached prefixes (path_cache.c) ------------------------------------------------------------------ */

#define CACHE_KNOWN	1u	/* leads through real directories only, to a real place */
#define CACHE_LINKS	2u	/* there are symbolic links in it (else none) */
#define CACHE_CHECK	4u	/* a name in that directory may be virtual or faked: look it up */
#define CACHE_DIRECT	8u	/* the text is the canonical path itself */
#define CACHE_MERGED	16u	/* a merged directory; its canonical path is that in the tree, as the kernel has it */
#define CACHE_UPPER	32u	/* one of the tree only; likewise */
#define CACHE_MOVED	64u	/* one that shows another name's directory below: then that is its canonical path (BASE_TREE) */
#define CACHE_BELOW	128u	/* its canonical path is that below a copy-on-write mount; it is not in the tree.  With CACHE_MERGED: the
				   guest's own text does not lead to what is below */
#define CACHE_TREE	(CACHE_MERGED | CACHE_UPPER)

/* A directory prefix as it stands in a path.  0 or CACHE_*. */
unsigned cache_find(uint64_t key, const char *text, size_t len, uint64_t generation);

/* The canonical path of a prefix stored with one.  Length, or 0 if it is gone. */
size_t cache_canon(uint64_t key, const char *text, size_t len, uint64_t generation, char *buf, size_t size);

void cache_store(uint64_t key, const char *text, size_t len, uint64_t generation, unsigned flags,
		 const char *canon, size_t canon_len);

/* Whole paths whose last name may be followed by the kernel: it is no link, or leads to a real place. */
#define CACHE_WHOLE(key)	((key) ^ 1ull << 63)

/* ---- the fast way (path_fast.c) ----------------------------------------------------------------------- */

/* text[0 .. dir) is the directory part, text[last .. end) the last name; empty if the path ends in a name that is
 * none ("/", ".", ".."), then all of it is directory. */
struct split {
	size_t dir, last, end;
};

/* len is not 0.  entry: a name with slashes behind it is one all the same. */
struct split split_text(const char *text, size_t len, bool entry);

static inline bool entry_only(unsigned flags)
{
	return flags & (WHERE_ENTRY | WHERE_PARENT);
}

static inline bool follows(unsigned flags)
{
	return !(flags & (WHERE_NOFOLLOW | WHERE_ENTRY | WHERE_PARENT));
}

/* Nothing is mounted, and the last name is none that we answer for: the kernel may have the guest's path. */
bool path_only_real(const struct where *w);

/* w has the guest's text.  true: it, or what has been put in its place, may go to the kernel, or the operation finds out (w->fast). */
bool path_fast_way(struct where *w);

/* An operation has met a link on the fast way: may the kernel follow it? */
bool path_whole_is_known(const struct where *w);

/* ---- what of a real place is not plain ---------------------------------------------------------------- */

/* Is `path` dir itself or below it? */
static inline bool path_within(const char *path, size_t len, const char *dir, size_t n)
{
	return len >= n && !memcmp(path, dir, n) && (len == n || path[n] == '/');
}

/* May names directly in this directory be virtual or faked?  (len 0 = the root) */
bool path_needs_check(const struct task *t, const char *dir, size_t len);

/* ---- the walk (path_walk.c) --------------------------------------------------------------------------- */

/* A merge mount whose names show in the directory where the walk stands: v[cut ..] is the path in what it shows. */
struct over {
	uint32_t id, rank, cut;
};
#define MERGE_DEPTH	6		/* so many, one above the other */

/*
 * The walk has left a copy-on-write mount for what is below it, which is another mount's, and stands there: who answers is found as
 * if that mount and newer ones were not, but what is changed is its session's (path_cow_over.c).
 */
struct top {
	uint32_t id, rank;	/* of the mount; 0: none */
	uint32_t cut;		/* v[cut ..] is the path in its tree */
	bool unseen;		/* as place.cow_unseen */
};

/* While a place below a mount is looked for: of v[0 .. cut] only mounts of a lower rank count. */
struct under {
	const struct under *outer;
	uint32_t rank;
	size_t cut;
};

/* Who answers at the place where the walk stands. */
struct place {
	bool remote;		/* `m` does, else the kernel */
	bool nested;		/* a bind mount met behind another: cut is not where the outermost is */
	bool cut_is_file;	/* what is bound is no directory */
	bool read_only;		/* a bind mount on the way is */
	struct mount m;
	uint64_t base;		/* remote: v[0..base_len) is this node, or if 0 the node of `handle` */
	uint32_t handle;
	uint64_t handle_node;	/* handle's, if it is known */
	size_t base_len;
	uint32_t since;		/* the rank of the mount v lies in, 0 = none: what is lower is covered by it */
	uint32_t bind;		/* behind this bind mount (the outermost), 0 = none: then the names that count */
	uint32_t epoch;		/* are back[0..back_len) and v[cut..], and mounts from `epoch` on are not seen */
	size_t cut, back_len;
	uint32_t cow;		/* in this copy-on-write mount, 0 = none: path_cow.c */
	uint32_t cow_since;	/* what `since` was outside */
	uint8_t cow_state;	/* enum cow_state */
	bool cow_pure;		/* the walk was pure when it came in, and has followed no link of the tree */
	bool cow_known;		/* v has just been looked at, and is no link */
	bool cow_unseen;	/* nobody has looked for v in the tree: the operation finds out, mostly by trying */
	bool cow_under;		/* were there nothing in the tree, what is below v would be seen */
	bool cow_min;		/* what the kernel permits is changed below: fs/mincow.c */
	bool cow_virtual;	/* what is below it is another mount's: path_cow_over.c */
	bool cow_moved;		/* v[0 .. low_cut) is a directory that shows the one at low[0 .. low_len) */
	size_t low_cut, low_len;
	size_t cow_cut;		/* walk_there()[cow_cut ..] is the path in the tree */
	size_t cow_over;	/* COW_UPPER, COW_ABSENT: below v[0 .. cow_over) nothing is merged */
	bool cow_bound;		/* it was entered by the bind mount, which shows a place in it: path_cow_bound.c */
	uint32_t cow_rank;	/* cow_bound: of the copy-on-write mount; */
	size_t there_len, tree_len;	/* that place is there[0 .. there_len); how much of back is the tree */
	bool kept;		/* read_only because a merge mount shows this name */
	struct top top;
	uint32_t nover;		/* a directory in which names of merge mounts show, too: path_merge.c */
	struct over over[MERGE_DEPTH];	/* those, the newest first */
};

/* The hash of a path that grows: of its first `len` bytes. */
struct running {
	size_t len;
	uint32_t h;
};

struct walk {
	struct task *t;
	struct where *w;
	unsigned flags;		/* WHERE_*, with what they imply */
	uint64_t generation;
	struct place place;
	struct place parent;	/* what it was before the last name, and whether the walk was pure */
	bool parent_pure;
	size_t len;		/* of v; 0 = the root */
	struct running v_hash, back_hash;	/* of v and of the backing path */
	char *rest;		/* what is still to walk, at the end of `pending` */
	const char *last_at;	/* where in `pending` the last name of the guest's own text begins, and how */
	size_t dir_len;		/* long the directory part of that text is (which stands in w->path) */
	uint64_t key;		/* the cache's key of where that text starts */
	const struct under *under;	/* NULL: all mounts count */
	int dfd;		/* while anchored: v[0..anchor) is dfd's path, and dfd is used for it */
	size_t anchor;
	bool anchored;
	bool grounded;		/* v was reached from the root: nothing covers it */
	bool pure;		/* nothing virtual met so far: the guest's own path would lead here */
	bool cacheable;		/* nothing met that differs from time to time */
	bool links;		/* a symbolic link met */
	bool verify;		/* look at the last name too */
	bool lazy;		/* not so where a tree alone has it */
	bool verified;		/* done: it exists and is no link */
	bool lenient;		/* names that do not exist are accepted */
	bool rewrite;		/* give the kernel the canonical path even if pure */
	bool seen_directory;	/* behind copy-on-write: at v is a directory, the kernel says */
	bool last;		/* the name that has just been added is the last one */
	char v[UM_PATH_MAX];	/* canonical path in the view, so far */
	/* A processor takes a load for one of what was just stored at the same place of another page, and waits. */
	char apart1[256];
	char back[UM_PATH_MAX];
	char apart2[256];
	char low[UM_PATH_MAX];
	char apart3[256];
	char there[UM_PATH_MAX];
	char apart5[256];
	char tmp[UM_PATH_MAX];
	char apart4[256];
	char pending[2 * UM_PATH_MAX];
};

#define WALK_MAX_LINKS	40

/* walk_arrive(): nothing is here, and nothing may be made. */
#define WALK_HIDDEN	(VIEW_MOUNT + 1)

/* Positive results of the steps. */
#define WALK_NATIVE	1	/* the kernel shall say what is wrong with the guest's own path */
#define WALK_DONE	2	/* the place is in w already */
#define WALK_AGAIN	3	/* a link was met: the text to walk has changed */
#define WALK_PLAIN	4	/* walk_magic(): nothing to do with /proc */

/* Begins a walk of `text` for w: then one of the next four says where it starts. */
int walk_start(struct walk *k, struct where *w, unsigned flags, const char *text, size_t len);
int walk_root(struct walk *k);				/* the view's root */
int walk_guest_root(struct walk *k);			/* the guest's */
bool walk_at_guest_root(const struct walk *k);
int walk_base(struct walk *k, int dfd);			/* a real cwd or descriptor */
int walk_file(struct walk *k, struct file *f);		/* a virtual directory */
int walk_locate(struct walk *k);			/* v and len are given */

/* Walks the rest.  0: w is filled; WALK_NATIVE; or -errno. */
long walk_run(struct walk *k);

/* Is every directory that the text goes through one that the canonical path goes through?  Then each is still asked whether it may be searched. */
bool walk_is_straight(const struct walk *k, const char *text, size_t len);

/* Pieces of it. */
const char *walk_backing(struct walk *k, size_t *len);	/* v as the kernel or the server knows it; "" = the root */
const char *walk_kernel_path(struct walk *k, int *dfd);	/* the same for a call of ours */
void walk_truncate(struct walk *k, size_t len);
void walk_pop(struct walk *k);
int walk_push(struct walk *k, const char *name, size_t n);
int walk_prepend(struct walk *k, const char *s, size_t n);
long walk_fail(struct walk *k, long error);
long walk_text(struct walk *k, size_t dir_len, size_t n, bool view);	/* a link's text stands in `pending`.  view: it is a path of the view, and not the guest's */
bool walk_is_directory_fd(int dfd);	/* the path of a link or a file that was opened with O_PATH would lead somewhere, too */

/* A name below /proc, on the way or to be followed (path_proc.c). */
long walk_magic(struct walk *k, size_t dir_len, bool final);

/* Is what a link of /proc leads to (*st) still at this path of the kernel's? */
bool proc_link_is_at(int dfd, const char *link, const char *path, struct stat *st);

/* The innermost mount that path[0 .. *n) lies in, as of `epoch`, and where it is; what merge mounts show is not meant.  False:
 * none. */
bool mount_around(const char *path, size_t *n, uint32_t epoch, struct mount *m);

/* Pieces that know mounts (path_mount.c). */
int walk_arrive(struct walk *k);	/* v has a new last name: enters what is mounted there.  enum view_hit, WALK_HIDDEN, or -errno */
int walk_behind(struct walk *k, const struct mount *m);	/* v is where the bind mount m is */
int walk_at_kernels(struct walk *k, const struct mount *m);	/* the same where the kernel answers */
long walk_dotdot(struct walk *k, char *from);		/* from: where ".." stands in the text */
long walk_is_directory(struct walk *k, char *from);	/* v must be one: 0, WALK_*, -errno */
int walk_ask(struct walk *k, unsigned how, uint64_t *node);	/* UM_OP_STAT of v: 0, WALK_AGAIN, -errno */
bool walk_at_root(struct walk *k);			/* v is the root of a server's mount */
bool walk_at_node(const struct walk *k);		/* v is the node or handle that requests start from */
void walk_by_path(struct walk *k);			/* let them start from the root of the mount */
size_t walk_rest_offset(const struct place *p, const char *path, size_t len);	/* what the server has to walk */

int walk_arrive_at(struct walk *k, int hit, struct mount *m);	/* the same when v has been looked up, merge mounts aside */
int walk_arrive_behind(struct walk *k, int hit);	/* the rest of it: what is mounted at the other end of a bind */
int walk_enter_behind(struct walk *k, const struct mount *m);	/* m is mounted at v, seen from there */
int walk_stand_in(struct walk *k, const struct mount *m);	/* a server answers */
int walk_mode(struct walk *k, uint32_t *mode);		/* asks it for v's st_mode, links not followed; ENOENT if v is behind one */

/* Pieces that know merge mounts (path_merge.c). */
int walk_arrive_merged(struct walk *k, int hit, struct mount *m);	/* v has been looked up, and a merge mount concerns it */
int walk_merged_behind(struct walk *k, const char *path, size_t len, struct mount *m, enum view_hit *hit);	/* what is below them becomes *hit, *m */
int walk_enter_over(struct walk *k, const struct over *o);	/* goes to v as o shows it */
int walk_base_merged(struct walk *k, uint32_t bind);	/* v is the cwd or a descriptor: do names of merge mounts show in it? */

/*
 * An operation with these flags makes a name that is to go, or to come, in a directory that is in the tree: most often the tree has none, and the
 * step that changes that would say so if it had.
 */
static inline bool may_stay_unseen(unsigned flags)
{
	return flags & WHERE_CHANGE && !(flags & WHERE_PARENT) &&
	       (flags & WHERE_ENTRY || (flags & WHERE_CREATE && flags & WHERE_NOFOLLOW));
}

/* Pieces that know copy-on-write mounts (path_cow.c).  0 or -errno. */
int walk_enter_cow(struct walk *k, const struct mount *m);	/* v is where m is */
int walk_step_cow(struct walk *k);			/* v has a new last name in place.cow.  1: walk_step_under() has been made */
int walk_leave_name(struct walk *k, size_t dir_len);	/* back to the directory of v's last name: a link is followed */
void walk_remember_tree(struct walk *k, const char *text, size_t len);	/* the guest's text leads to v, in the tree */
void walk_remember_below(struct walk *k);		/* v is a directory; if that is not in the tree, it is so until another generation */
int walk_other_name(struct walk *k);			/* v is below; if it is a name of what has a copy, it leads there now */
int walk_finish_cow(struct walk *k);			/* the place of an operation that changes something */

/* ... and those behind a bind mount of what is in one (path_cow_bound.c). */
int walk_settle_cow(struct walk *k, const struct mount *m, size_t at);	/* back is a path of the view, back[0 .. at) that of m */
int walk_arrive_bound(struct walk *k, int hit);		/* as walk_arrive_behind() */
void walk_leave_cow_bound(struct walk *k);		/* it is an ordinary bind mount from here on */
bool walk_bound_is_plain(struct walk *k);		/* nothing virtual below v, a directory of the tree alone */
const char *walk_there(struct walk *k, size_t *len);	/* v as the view has it in the copy-on-write mount itself */

/* ... and where what is below one is virtual (path_cow_over.c). */
int walk_locate_from(struct walk *k, const struct place *start);	/* walk_locate() that begins as this place */
const struct under *walk_under(const struct walk *k);	/* what limits the mounts that count at v; NULL: nothing does */
int walk_step_under(struct walk *k, bool copied);	/* v is not in the tree.  copied: or else it never will be */
int walk_locate_below(struct walk *k, const struct cow *c);	/* as walk_locate(), to what is below c */
long walk_settle_top(struct walk *k);			/* v is where a change is to be made: no link is on its way.  0, WALK_AGAIN, -errno */
int walk_finish_top(struct walk *k);			/* as walk_finish_cow() */
int walk_other_name_over(struct walk *k);		/* as walk_other_name() */

/*
 * The fast way: `path` is in a tree, its directory known as CACHE_MERGED or CACHE_UPPER; named: by a last name that is not
 * known.  COW_FAST_TREE: that is the place, and w->bind, bound and fast are set.  COW_FAST_BELOW: it is not in the tree, so the
 * guest's own path is right.
 */
enum { COW_FAST_NO, COW_FAST_BELOW, COW_FAST_TREE };
int cow_fast_name(struct where *w, char *path, size_t len, unsigned known, bool named);

/* Is what the kernel has at this path changed in a tree, if it is changed? */
bool cow_covers(const struct task *t, const char *path, size_t len);

/* Is the kernel's path of a place in a copy-on-write mount neither that in the view nor that in the tree? */
static inline bool place_is_moved(const struct place *p)
{
	return p->cow_moved && p->cow_state == COW_LOWER;
}

static inline size_t place_root_len(const struct place *p)
{
	return p->m.path_len == 1 ? 0 : p->m.path_len;
}

/* Before there is a walk (path.c). */
void where_init(struct where *w, struct task *t, int dfd, gaddr upath, unsigned flags);
struct file *virtual_base(struct task *t, int dfd);	/* the virtual directory that a relative path starts from, with a reference, or NULL */
long where_empty(struct where *w);			/* w->dfd itself (path_empty.c) */
long walk_slow(struct where *w, struct file *base);	/* the slow way, from w->path; base: as above */
int walk_begin(struct walk *k, struct where *w, struct file *base);	/* of the guest's own text, in w->path; base as above */

/* Turning what was found into a place (path_where.c). */
long walk_finish(struct walk *k);
void where_file(struct where *w, struct file *f);	/* the place is an open file */
void where_native(struct where *w);			/* the guest's own path, unchanged */
long where_resume(struct where *w, struct walk *k);	/* stands where the operation met a link */

/* where.state: what to do when an operation meets a link. */
enum where_state {
	STATE_RAW,		/* walk the guest's text, which is in path, and look at the last name */
	STATE_PATH,		/* path is canonical but for the last name, at `rest` */
	STATE_LINK,		/* where_link(): path[0 .. rest) is done, the rest is new text */
	STATE_NEW = 0x80,	/* no operation has been tried yet */
};

#endif
