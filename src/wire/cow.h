/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A copy-on-write session on disk: what a directory tree looks like after changes that were never made to it.
 *
 *	SESSION/info		text for people: which version, which directory below, whose, since when
 *	SESSION/tree/		the upper layer: every file and directory that was made or changed, under its own path
 *	SESSION/work/		things that are being made; what nobody works on any more is rubbish
 *	SESSION/index/		DEV-INO (both hexadecimal, without leading zeros, of a file below that has several names):
 *				its copy, as one more name, so that it stays one file
 *	SESSION/redirect/	INO (hexadecimal, of a directory in tree/): a symbolic link whose text is the path,
 *				relative to the directory below, of what that directory shows
 *	SESSION/white		a whiteout, once one has been needed: others are further names of it, where that can be
 *	SESSION/state		struct um_cow_state, mapped by every process that changes something
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
 *    it is made opaque before it is removed;
 *  - a *whiteout* says that a name does not exist: a character device with number 0:0, or, where those cannot be
 *    made, a symbolic link whose text is UM_COW_WHITEOUT.
 *
 * A file below that has several names, whatever it is but a directory, has one copy: all its names lead to that from then
 * on.  Those in tree/ are names of it; one that is not there yet is put there when it is looked up.  What st_nlink
 * is shown to be stands in `inodes`, as a number to be added (UM_VS_NLINK): for the copy, which has one name in index/ and not
 * all of the names below; and for the inode below, names of which have been removed before there was a copy.  Names
 * below that tree/ hides do not count.  When the sum is 0 index/DEV-INO goes.
 *
 * Each change of tree/ is one rename, link, unlink or mknod; what takes two of them is written down in the
 * journal first and finished by whoever takes the lock next.  So a process that is killed at any moment leaves
 * the tree as it was before its call, or as it is after it.
 */
#ifndef UM_WIRE_COW_H
#define UM_WIRE_COW_H

#include <stdint.h>

#define UM_COW_TREE	"tree"
#define UM_COW_WORK	"work"
#define UM_COW_INDEX	"index"
#define UM_COW_REDIRECT	"redirect"
#define UM_COW_WHITE	"white"
#define UM_COW_STATE	"state"
#define UM_COW_INODES	"inodes"
#define UM_COW_INFO	"info"

#define UM_COW_WHITEOUT	"/(umview: removed)"

#define UM_COW_MAGIC	0x31776f6377656976ULL	/* "viewcow1" */
#define UM_COW_VERSION	2u

enum um_cow_op {
	UM_COW_NOTHING,
	UM_COW_MOVED,		/* a has been moved to b: a becomes a whiteout */
	UM_COW_COUNTED,		/* something has come to b; nothing but the count is left to do */
};

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
};

#endif
