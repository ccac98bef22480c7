/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world: one memory file that every process of a view shares.
 *
 * The monitor creates it (a memfd), every guest inherits one descriptor of it and maps the parts it
 * needs.  It holds the views (mount tables), and one area per server (wire/channel.h).  Fixed-width
 * fields only; offsets are relative to what the comment says; nothing in it is a pointer.
 *
 *	offset 0		struct um_world			header
 *	UM_OFF_VIEW(v)		struct um_view_slot, then	written by the monitor only,
 *				two rings of snapshots		mapped read-only in guests
 *	UM_OFF_PREPARED		text of common libraries	written by the monitor before it is ready
 *	UM_OFF_VSTAT		struct um_vtable		virtual attributes of real files (wire/vstat.h):
 *								mapped and written by guests with an identity
 *	UM_OFF_SERVER(s)	struct um_server, then slots	mapped by clients and by the server
 *
 * One writer: the monitor writes everything here but (a) `links`, a counter that guests only ever
 * increment, and `vstat_used` (they map the header once more for that, and most never do), (b) the words of a server's area whose owner wire/channel.h names,
 * and (c) the table of virtual attributes, whose lock says who writes.
 *
 * The file is also what the carriers of virtual files are opened on (an open file description of its
 * own, see kernel/file.h): an OFD write lock at offset UM_LOCK(server, handle) lives exactly as long as
 * that description, through dup, fork, SCM_RIGHTS and SIGKILL, so the last close can always be seen.
 */
#ifndef UM_WIRE_WORLD_H
#define UM_WIRE_WORLD_H

#include <stdint.h>
#include "vstat.h"

#define UM_WORLD_MAGIC		0x31646c726f774d55ULL	/* "UMworld1" */
#define UM_WORLD_VERSION	1u

#define UM_VIEWS		256u		/* views (branches) of one monitor */
#define UM_RING			8u		/* snapshots of a size kept per view */
#define UM_SMALL_SIZE		(6u << 10)	/* of a snapshot in the first ring: a few mounts */
#define UM_SNAPSHOT_SIZE	(512u << 10)	/* in the second */
#define UM_SMALL_RING		4096u		/* offsets of the rings in a view's span */
#define UM_LARGE_RING		(64u << 10)
#define UM_VIEW_SPAN		(UM_LARGE_RING + (uint64_t)UM_RING * UM_SNAPSHOT_SIZE)
#define UM_OFF_VIEWS		4096ULL		/* behind the header: the first view and it are one mapping, and */
						/* what most processes read of both is one page fault */
#define UM_OFF_VIEW(v)		(UM_OFF_VIEWS + (uint64_t)(v) * UM_VIEW_SPAN)

#define UM_SERVERS		1024u		/* number 0 is the monitor itself */
#define UM_SERVER_SPAN		(512ULL << 20)
#define UM_OFF_SERVERS		(4ULL << 30)
#define UM_OFF_SERVER(s)	(UM_OFF_SERVERS + (uint64_t)(s) * UM_SERVER_SPAN)
#define UM_WORLD_SIZE		UM_OFF_SERVER(UM_SERVERS)

/* Lock offsets: bit 61 keeps them apart from anything the file holds. */
#define UM_LOCK(server, handle)	((1ULL << 61) | (uint64_t)(server) << 32 | (uint32_t)(handle))
#define UM_LOCK_IS(off)		((uint64_t)(off) >> 61 == 1)
#define UM_LOCK_SERVER(off)	((uint32_t)((uint64_t)(off) >> 32) & 0x1fffffffu)
#define UM_LOCK_HANDLE(off)	((uint32_t)(off))
#define UM_HANDLE_DEVICE	0xffffffffu	/* the server's own descriptor of /dev/fuse */

/*
 * Prepared text: the executable segment of a file that nearly every program maps (the dynamic linker, the C
 * library) with its system call sites patched, made once by the monitor and mapped by guests in place of the
 * file's own (agent/prepared.c).  Addresses are the file's own, as in its program headers.  The first two are those
 * that umview itself uses; others come when a guest meets them (UM_CTL_PREPARE): of another root, or made anew.
 */
#define UM_PREPARED		8u
#define UM_PREPARED_YES		1u
#define UM_PREPARED_NOT		2u	/* it cannot be prepared: nobody need ask again */
#define UM_OFF_PREPARED		(2ULL << 30)
#define UM_PREPARED_SPAN	(16ULL << 20)
struct um_prepared {
	uint32_t ready;			/* 0: there are no more; stored last, with release: all else is valid and never
					   changes */
	uint32_t stub_pages;		/* pages of stubs that follow the text in the world file and lie behind
					   the whole file in memory; 0: they fitted into the text's last page */
	uint64_t dev, ino, size, ctime_ns;	/* of the file meant */
	uint64_t map_length;		/* from its first to its last byte in memory */
	uint64_t text_offset;		/* of the segment in the file, page-aligned */
	uint64_t text_size;		/* in whole pages */
	uint64_t text_vaddr;
	uint64_t stubs_vaddr, stubs_size;
	uint64_t copy;			/* of the text in the world file */
	char	 path[256];		/* of the file: for those who look at a process's mappings */
};

/* Virtual attributes: owners, modes, devices that files of the kernel's are given in a view with an identity. */
#define UM_OFF_VSTAT		(3ULL << 30)

struct um_world {
	uint64_t magic;
	uint32_t version;
	uint32_t monitor_pid;
	uint64_t links;		/* any guest increments it (atomically) after it made a symbolic link
				   or renamed or exchanged a directory or link: cached prefixes die */
	uint32_t trace;		/* 0: no tracing; else the number of the descriptor, inherited and guarded in
				   every guest, that they write one line per system call to */
	uint32_t log;		/* 1: guests write diagnostics to the log */
	uint32_t patch_after;	/* a site is patched at this many traps; 0 = never */
	uint32_t fsgsbase;	/* 1: stubs find their task by rdgsbase, else through gs */
	uint32_t plain_ptrace;	/* 1: ptrace is the kernel's, so debuggers see the agent (tests of it want to) */
	uint32_t ended;		/* 1: the monitor is gone or going; nothing can be mounted any more */
	uint32_t vstat_used;	/* 1: something was once written to the table at UM_OFF_VSTAT, by any guest */
	uint32_t populate;	/* 1: page faults are so dear that prepared text is better mapped at once */
	uint64_t boot_ns;	/* CLOCK_MONOTONIC at creation: a name for this world, with monitor_pid */
	char	 umview_path[256];	/* the umview binary: what an exec of fusermount in the view runs */
	struct um_prepared prepared[UM_PREPARED];
};
_Static_assert(sizeof(struct um_world) <= 4096, "wire");

/* ---- views -------------------------------------------------------------------------------------- */

struct um_view_slot {
	uint32_t current;	/* which of the UM_SNAPSHOTS is valid; stored with release when it is whole */
	uint32_t kinds;		/* its `kinds`, and, while another is being published, those of both */
	uint64_t seq;		/* its `seq`, stored last, with release: who has seen it sees that snapshot, or a newer one */
	uint32_t oldest;	/* its `oldest`; while another is being published, the older of both */
	uint32_t used;		/* 0 = this view does not exist */
	uint32_t parent;	/* view this one was branched from; itself for view 0 */
	uint32_t depth;
	uint32_t moves;		/* how often a mount has been moved: 0 while paths that were true once still are */
	char	 name[64];
};

/* Snapshot k of a view: its offset in the view's span, and how large it may be.  Any k is somewhere. */
#define UM_SNAPSHOTS		(2 * UM_RING)
static inline uint64_t um_snapshot_at(uint32_t k)
{
	k %= UM_SNAPSHOTS;
	return k < UM_RING ? UM_SMALL_RING + k * UM_SMALL_SIZE
			   : UM_LARGE_RING + (uint64_t)(k - UM_RING) * UM_SNAPSHOT_SIZE;
}
static inline uint32_t um_snapshot_limit(uint32_t k)
{
	return k % UM_SNAPSHOTS < UM_RING ? UM_SMALL_SIZE : UM_SNAPSHOT_SIZE;
}
_Static_assert(UM_SMALL_RING + UM_RING * UM_SMALL_SIZE <= UM_LARGE_RING, "wire");
_Static_assert(UM_OFF_VIEW(UM_VIEWS) <= UM_OFF_PREPARED, "wire");
_Static_assert(UM_OFF_PREPARED + UM_PREPARED * UM_PREPARED_SPAN <= UM_OFF_VSTAT, "wire");
_Static_assert(UM_OFF_VSTAT + (256ULL << 20) <= UM_OFF_SERVERS, "wire");	/* um_vtable_size(UM_VSTAT_RECORDS) is 80 MiB */

/*
 * A snapshot: this header, the mounts (by rank), the hash table, the strings.  All offsets are
 * from the start of the snapshot.  A reader notes `current`, reads, and reads `seq` again: if it changed
 * (the ring came round) it starts again.
 */
struct um_snapshot {
	uint64_t seq;		/* odd while the monitor writes; even and larger than before when valid */
	uint32_t size;		/* bytes used */
	uint32_t nmounts;
	uint32_t mounts;	/* offset of struct um_mount[nmounts] */
	uint32_t hash;		/* offset of struct um_hash[hash_size] */
	uint32_t hash_size;	/* power of two, at most half full; 0 if there is no mount */
	uint32_t strings;	/* offset of the first string */
	uint32_t kinds;		/* bit K: there is a mount of kind K */
	uint32_t oldest;	/* the smallest id of a mount, 0 = there is none */
};

enum um_mount_kind {
	UM_MOUNT_NONE,
	UM_MOUNT_REMOTE,	/* a server answers: `server` is its number */
	UM_MOUNT_BIND,		/* another place of the same view (as it was): `target` is its path */
	UM_MOUNT_COW,		/* what is really at `path`, changes going to the tree `target` (wire/cow.h) */
	UM_MOUNT_MERGE,		/* a directory: the names in `target` (as of the mount's epoch), read-only, then those at `path` */
	UM_MOUNT_HIDE = 8,	/* nothing is there, nor below it */
};

#define UM_MNT_ID(id)	(1000000u + (id))	/* of a mount in mountinfo and fdinfo: the kernel's are smaller */

/* um_mount.flags: the kernel's MS_RDONLY (1), MS_NOSUID (2), MS_NODEV (4), MS_NOEXEC (8), and: */
#define UM_MNT_RDONLY	1u		/* MS_RDONLY */
#define UM_MNT_ALONE	(1u << 24)	/* UM_MOUNT_REMOTE: what it shows changes by what is done through the mount, and by nothing
					   else; no file has two names but by link() */
#define UM_MNT_OVER	(1u << 25)	/* UM_MOUNT_COW: what is below is virtual itself: another mount's */
#define UM_MNT_MIN	(1u << 26)	/* UM_MOUNT_COW: what the kernel permits is changed below */
#define UM_MNT_MERGE	(1u << 27)	/* UM_MOUNT_REMOTE: what its server has not, shows what is below (also counts as a
					   UM_MOUNT_MERGE in um_snapshot.kinds) */
#define UM_MNT_PART	(1u << 28)	/* belongs to another mount (except=): comes and goes with it, is not shown */
#define UM_MNT_PERM	(1u << 29)	/* stays until the view ends */
#define UM_MNT_HUMAN	(1u << 30)	/* send the caller's ids, not 0 */
#define UM_MNT_DYING	(1u << 31)	/* being unmounted: new walks get ENOENT below it */

struct um_mount {
	uint32_t id;		/* unique in the world, grows: also the epoch.  A process with epoch E
				   sees the mounts with id < E only (servers see what was there before) */
	uint32_t rank;		/* the mount covers those of lower rank: its id, until it is renewed */
	uint32_t kind;		/* enum um_mount_kind */
	uint32_t server;
	uint32_t flags;
	uint32_t view;		/* the view it was made in (a branch unmounts only its own) */
	uint32_t below;		/* 1 + index of the mount this one covers at the same path, 0 = none */
	uint32_t path;		/* string offset: absolute, no symlinks, no trailing slash; "/" allowed */
	uint32_t path_len;
	uint32_t source;	/* string offsets, as in /proc/mounts */
	uint32_t fstype;
	uint32_t options;
	uint32_t target;	/* BIND, MERGE: what is seen at `path` (absolute, resolved); COW: the tree */
	uint32_t is_dir;	/* the root is a directory (else a file) */
	uint32_t dev_minor;	/* st_dev of its files is makedev(0, dev_minor) */
	uint32_t epoch;		/* BIND, MERGE: at its other end mounts with id < epoch are seen */
};

/* Key: um_path_hash() of an absolute path.  An entry with key 0 and path 0 is empty.  Probing is linear,
 * from key & (hash_size - 1).  Every proper ancestor of a mount point has an entry too, "/" included. */
struct um_hash {
	uint32_t key;
	uint32_t path;		/* string offset of the whole path (mount point or ancestor) */
	uint32_t path_len;
	uint32_t mount;		/* 1 + index of the newest mount exactly here, 0 = only an ancestor of some */
};

/* FNV-1a; never 0, so that 0 can mean "empty". */
static inline uint32_t um_path_hash(const char *path, uint32_t len)
{
	uint32_t h = 2166136261u;
	for (uint32_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)path[i]) * 16777619u;
	return h ? h : 1;
}

_Static_assert(sizeof(struct um_mount) == 64, "wire");
_Static_assert(sizeof(struct um_hash) == 16, "wire");
_Static_assert(sizeof(struct um_snapshot) == 40, "wire");

#endif
