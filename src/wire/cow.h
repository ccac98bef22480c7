/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A copy-on-write session on disk: what a directory tree looks like after changes that were never made to it.
 *
 *	SESSION/info		text, in lines: which version, which directory below, for which command; "over WHAT" if what is below
 *				is not the kernel's: "over cow TREE", "over bind DIRECTORY", "over TYPE SOURCE" of a mount
 *	SESSION/lock		locked (flock) by the monitor of the view that works on it, or by a command that does; its text
 *				tells who that is: "PID what"
 *	SESSION/reviewing	the same for commands alone, which take it first: one that has it may work while a view does
 *	SESSION/tree/		the upper layer: every file and directory that was made or changed, under its own path
 *	SESSION/work/		things that are being made; what nobody works on any more is rubbish
 *	SESSION/index/		DEV-INO (both hexadecimal, without leading zeros, of a file below that has several names):
 *				its copy, as one more name, so that it stays one file
 *	SESSION/redirect/	INO (hexadecimal, of a directory in tree/): a symbolic link whose text is the path,
 *				relative to the directory below, of what that directory shows
 *	SESSION/white		a whiteout, once one has been needed: others are further names of it, where that can be
 *	SESSION/gone		struct um_cow_gone, mapped likewise: names that are to become whiteouts.  A session may have none
 *	SESSION/state		struct um_cow_state, mapped by every process that changes something, and behind it what was
 *				below when it was hidden (struct um_cow_origin)
 *	SESSION/committing	a directory in which a commit may have left something half done
 *	SESSION/linking	of each file in index/ that a commit is about to give new names below: "DEV-INO MTIME SIZE", the first two
 *				hexadecimal, then ns since 1970, bytes: the last of its old names is still known by that
 *	SESSION/discarding	`info`, once it was decided that the session goes: what there is still of it is rubbish
 *	SESSION/inodes		a table of virtual attributes (wire/vstat.h), keyed by inode of the upper layer
 *
 * In tree/
 *
 *  - a name that is there hides the same name below, except that
 *  - a directory shows the names of the directory below it, too, unless it is *opaque* (a flag in `inodes`) or
 *    there is none;
 *  - the directory below it is the one of its name in the directory below its parent; unless it is *redirected* (a flag in
 *    `inodes`; without that what redirect/ says is rubbish): then it is the one that redirect/INO names, wherever it lies,
 *    in an opaque directory, too.  A directory is redirected before it is moved, which changes nothing, then moved;
 *    before it is removed, or whiteouts in it are, it is redirected to what is nowhere (UM_COW_NOWHERE);
 *  - a *whiteout* says that a name does not exist: a character device with number 0:0, or, where those cannot be
 *    made, a symbolic link whose text is UM_COW_WHITEOUT; or an entry in `gone`, of a name that is not in tree/.
 *
 * Whiteouts in `gone` are for directories that are about to go as a whole, with all that is said of their names.  They become names
 * in tree/ before something comes to be there, before a directory is moved, when a view ends, and when somebody begins to review the session.
 *
 * A file below that has several names, whatever it is but a directory, has one copy: all its names lead to that from then
 * on.  Those in tree/ are names of it; one that is not there yet is put there when it is looked up.  What st_nlink
 * is shown to be stands in `inodes`, as a number to be added (UM_VS_NLINK): for the copy, which has one name in index/ and not
 * all of the names below; and for the inode below, names of which have been removed before there was a copy.  Names
 * below that tree/ hides do not count.  When the sum is 0 index/DEV-INO goes.
 *
 * Each change of tree/ is one rename, link, unlink or mknod; what takes two of them is written down in the
 * journal first and finished by whoever takes the lock next, as everybody does who opens the session and finds something
 * there.  So a process that is killed at any moment leaves the tree as it was before its call, or as it is after it.
 *
 * Committing has to find out whether what lies below has changed since the session put something in its place.  So each
 * copy, and each thing or whiteout that hides something, is preceded by a struct um_cow_origin: they are only ever
 * added, without a lock, and the first one of a path counts.  Who commits or discards a path takes its records away; or, while a
 * view works on the session and the path stays in tree/, makes the first one tell of what he has put below.
 */
#ifndef UM_WIRE_COW_H
#define UM_WIRE_COW_H

#include <stdint.h>

#define UM_COW_TREE	"tree"
#define UM_COW_WORK	"work"
#define UM_COW_INDEX	"index"
#define UM_COW_REDIRECT	"redirect"
#define UM_COW_WHITE	"white"
#define UM_COW_GONE_FILE "gone"
#define UM_COW_STATE	"state"
#define UM_COW_INODES	"inodes"
#define UM_COW_INFO	"info"
#define UM_COW_LOCK	"lock"
#define UM_COW_REVIEWING "reviewing"
#define UM_COW_COMMITTING "committing"
#define UM_COW_LINKING	"linking"
#define UM_COW_DISCARDING "discarding"

#define UM_COW_WHITEOUT	"/(umview: removed)"

#define UM_COW_NOWHERE	"(umview: nowhere)"

#define UM_COW_MAGIC	0x31776f6377656976ULL	/* "viewcow1" */
#define UM_COW_VERSION	2u

enum um_cow_op {
	UM_COW_NOTHING,
	UM_COW_MOVED,		/* a has been moved to b: a becomes a whiteout */
	UM_COW_COUNTED,		/* something has come to b; nothing but the count is left to do */
	UM_COW_GONE,		/* the same when this inode is not at b any more */
};

/* As a count: the inode was to go, and what `inodes` says of it with it; another one may get its number. */
#define UM_COW_FORGET	INT32_MIN

struct um_cow_state {
	uint64_t magic;
	uint32_t version;
	uint32_t links;		/* whiteouts are links */
	uint64_t lock;		/* of who changes more than one thing: kernel/shared_lock.h */
	uint32_t nindex;	/* files below with several names that have a copy or have lost a name, ever: 0 saves looking */
	uint32_t ncopies;	/* copies of what is no directory, ever: 0 says that `inodes` knows of directories only */
	uint64_t tree_dev, tree_ino;	/* of tree/ when it was made: a copy of a session is none, since its
					   inodes are others */
	uint32_t op;		/* the journal: enum um_cow_op, stored last */
	uint32_t number;	/* for names in work/ */
	uint64_t ino;		/* of what is to be at b; 0: a whiteout */
	char a[4096], b[4096];	/* paths in tree/, without a slash in front */
	uint64_t count_dev, count_ino;	/* if it is there the UM_VS_NLINK of this inode, unless 0, */
	int32_t count;		/* becomes this */
	uint32_t nredirect;	/* changes of redirect/, ever: 0 saves looking there */
	int64_t started;	/* ns since 1970 */
	uint32_t norigins;	/* records behind this, ever; grows before one is filled.  More than there is room for is possible:
				   those were not kept */
	uint32_t watched;	/* somebody may watch directories of tree/ (inotify), ever: no whiteouts are put off */
	uint32_t origins_room;	/* records behind this that there is room for on the disk: none is filled beyond that */
	uint32_t changes;	/* how often what names mean has changed; odd while that is being done.  Of who holds the lock */
};

#define UM_COW_ORIGINS_AT	12288u
#define UM_COW_ORIGINS		(1u << 20)
#define UM_COW_ORIGINS_FIRST	1024u		/* that there is room for from the beginning */
#define UM_COW_SLACK		256u		/* for so many there is room before a call begins that may need one or two */

/* What lay below at a path when the session put something of its own there.  Times are ns since 1970. */
struct um_cow_origin {
	uint64_t place;		/* um_cow_place() of the path */
	uint64_t dev, ino;
	int64_t mtime, ctime;
	uint64_t size;
	uint32_t mode, uid, gid;
	uint32_t nlink;		/* stored last: 0 = not complete, or of no account any more */
};

/* A name that is to become a whiteout. */
struct um_cow_gone_name {
	uint64_t place;		/* um_cow_place() of its path */
	uint32_t at;		/* where that is in `text`; without a slash in front, and without a NUL */
	uint16_t len, dir;	/* its length (0: of no account any more), and that of what is in front of its last slash */
};

#define UM_COW_GONE_NAMES	16384u
#define UM_COW_GONE_SLOTS	(2 * UM_COW_GONE_NAMES)
#define UM_COW_GONE_TEXT	(1u << 20)
#define UM_COW_GONE_PATH	4096u		/* longer paths are not kept here */

/* Of who holds um_cow_state.lock; kernel/gone.h. */
struct um_cow_gone {
	uint32_t seq;		/* odd while entries are being taken away */
	uint32_t n;		/* entries, in the order in which they came */
	uint32_t live;		/* that count */
	uint32_t used;		/* bytes of text */
	uint16_t slot[UM_COW_GONE_SLOTS];	/* by place, then the next free one: 1 + number of the entry */
	struct um_cow_gone_name name[UM_COW_GONE_NAMES];
	char text[UM_COW_GONE_TEXT];
};

#define UM_COW_STATE_SIZE	(UM_COW_ORIGINS_AT + (uint64_t)UM_COW_ORIGINS * sizeof(struct um_cow_origin))

/* st_dev of a file below, as it is kept: a mounted image has another number in each view, so 0 stands for those. */
static inline uint64_t um_cow_dev(uint64_t dev)
{
	return dev >> 8 & 0xfff || !(dev >> 12 & 0x80000) ? dev : 0;
}

/* A path in tree/, without a slash in front, as a number. */
static inline uint64_t um_cow_place(const char *path)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	while (*path)
		h = (h ^ (unsigned char)*path++) * 0x100000001b3ULL;
	return h;
}

_Static_assert(sizeof(struct um_cow_origin) == 64, "wire");
_Static_assert(sizeof(struct um_cow_gone_name) == 16, "wire");
_Static_assert(sizeof(struct um_cow_state) <= UM_COW_ORIGINS_AT, "wire");

#endif
