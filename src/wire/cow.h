/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A copy-on-write session on disk: what a directory tree looks like after changes that were never made to it.
 *
 *	SESSION/info		text for people: which version, which directory below, whose, since when
 *	SESSION/tree/		the upper layer: every file and directory that was made or changed, under its own path
 *	SESSION/work/		things that are being made; what nobody works on any more is rubbish
 *	SESSION/index/		DEV-INO (hexadecimal, of a file below that has several names): its copy, as one more
 *				name, so that it stays one file
 *	SESSION/state		struct um_cow_state, mapped by every process that changes something
 *	SESSION/inodes		a table of virtual attributes (wire/vstat.h), keyed by inode of the upper layer
 *
 * In tree/
 *
 *  - a name that is there hides the same name below, except that
 *  - a directory shows the names of the directory below it, too, unless it is *opaque* (a flag in `inodes`) or
 *    there is none;
 *  - a *whiteout* says that a name does not exist: a character device with number 0:0, or, where those cannot be
 *    made, a symbolic link whose text is UM_COW_WHITEOUT.
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
#define UM_COW_STATE	"state"
#define UM_COW_INODES	"inodes"
#define UM_COW_INFO	"info"

#define UM_COW_WHITEOUT	"/(umview: removed)"

#define UM_COW_MAGIC	0x31776f6377656976ULL	/* "viewcow1" */
#define UM_COW_VERSION	1u

enum um_cow_op {
	UM_COW_NOTHING,
	UM_COW_MOVED,		/* a and b have been exchanged: a becomes a whiteout */
};

struct um_cow_state {
	uint64_t magic;
	uint32_t version;
	uint32_t links;		/* whiteouts are links */
	uint64_t lock;		/* of who changes more than one thing: kernel/shared_lock.h */
	uint32_t nindex;	/* files in index/, ever: 0 saves looking there */
	uint32_t ncopies;	/* copies of what is no directory, ever: 0 says that `inodes` knows of directories only */
	uint64_t tree_dev, tree_ino;	/* of tree/ when it was made: a copy of a session is none, since its
					   inodes are others */
	uint32_t op;		/* the journal: enum um_cow_op, stored last */
	uint32_t number;	/* for names in work/ */
	uint64_t ino;		/* of what is to be at b */
	char a[4096], b[4096];	/* paths in tree/, without a slash in front */
};

#endif
