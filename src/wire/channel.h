/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The channel protocol: how a guest thread asks a server (or the monitor) to do one system call.
 *
 * A server's area of the world (wire/world.h) is one struct um_server followed by UM_SLOTS slots.  A
 * guest thread owns a slot from its first call to that server until it exits.  One request at a time
 * per slot:
 *
 *	client				server
 *	fill req, data
 *	state = POSTED (release)
 *	set bit in posted[], doorbell++
 *	futex-wake doorbell if sleepers	sees the bit, clears it, state = TAKEN
 *	futex-wait on state		works; fills rep, data; state = DONE (release), futex-wake
 *	read rep; state = IDLE
 *
 * Every request is answered exactly once.  To interrupt, the client sets `interrupt` and rings again;
 * the answer (often -EINTR) still comes.  A server that dies is noticed by the monitor, which sets
 * um_server.state to UM_SERVER_DEAD and wakes every slot: waiting and later calls get -ENOTCONN.
 *
 * Requests are per system call: the server walks the path itself, from `base`, through names that
 * have no symbolic link and no "..": at either it stops and gives the rest back (UM_WALK_LINK).
 *
 * Everything that comes over a channel is checked by the side that reads it: lengths against the
 * data window, ids against the tables.
 */
#ifndef UM_WIRE_CHANNEL_H
#define UM_WIRE_CHANNEL_H

#include <stdint.h>
#include "world.h"

#define UM_SLOTS	512u
#define UM_DATA_SIZE	(128u << 10)		/* payload of a slot; also the largest read or write */
#define UM_SLOT_SPAN	(UM_DATA_SIZE + 4096u)
#define UM_SLOTS_OFF	8192u			/* first slot, from the start of the area */
#define UM_OFF_SLOT(s, k) (UM_OFF_SERVER(s) + UM_SLOTS_OFF + (uint64_t)(k) * UM_SLOT_SPAN)

enum um_server_state {
	UM_SERVER_FREE,
	UM_SERVER_OPEN,		/* /dev/fuse is open, nothing mounted yet */
	UM_SERVER_LIVE,		/* mounted; requests may be posted (they wait for INIT) */
	UM_SERVER_ENDING,	/* unmounted: the server's read() returns ENODEV after DESTROY */
	UM_SERVER_DEAD,		/* gone: calls fail with ENOTCONN */
};

struct um_server {
	uint32_t state;		/* monitor writes */
	uint32_t mount_id;	/* monitor: the mount it serves */
	uint32_t mount_flags;	/* monitor: MS_* and UM_MNT_* of that mount */
	uint32_t rootmode;	/* monitor: S_IFMT of the root */
	uint32_t max_read;	/* monitor: option max_read=, 0 = none */
	uint32_t default_permissions;	/* monitor; and the server, if it has asked for access lists */
	uint32_t allow_other;
	uint32_t owner_uid;	/* monitor: option user_id= */
	uint32_t as;		/* monitor: UM_SERVANT_UID, UM_SERVANT_GID: who all requests come from */
	uint32_t as_uid, as_gid;
	uint32_t doorbell;	/* futex; clients and monitor increment it after posting */
	uint32_t sleepers;	/* server: threads that sleep on doorbell */
	uint32_t pid;		/* server: the process that last read requests */
	uint32_t proto_major;	/* server: negotiated FUSE version, 0 before INIT */
	uint32_t proto_minor;
	uint32_t nhandles;	/* server: open handles (for EBUSY and the leak check) */
	uint32_t keeper;	/* monitor: the process below which the server was started (UM_CALL_SERVANT), or 0 */
	uint32_t shadow;	/* monitor: 1 + its descriptor of the directory for UM_OP_WATCH, 0 = not asked for yet */
	uint32_t nlocks;	/* server: locks on files that guests hold */
	uint32_t nmaps;		/* server: files that guests may store in */
	uint32_t bell;		/* server: 1: who rings next writes a byte, too, to descriptor bell_fd of process bell_pid, and sets it to 0 */
	uint32_t bell_pid, bell_fd;
	uint32_t polls;		/* server: UM_POLLS_*: are its files ready when it says so? */
	uint32_t waker_pid, waker_fd;	/* server: where to write a byte, when that changes */
	uint32_t pages;		/* server: how many of wire/pages.h are used, a power of two; 0: none yet */
	uint64_t posted[UM_SLOTS / 64];	/* clients set bits, the server clears them, both atomically */
};
_Static_assert(sizeof(struct um_server) <= 4096, "wire");

enum um_slot_state { UM_SLOT_IDLE, UM_SLOT_POSTED, UM_SLOT_TAKEN, UM_SLOT_DONE };

enum um_op {
	UM_OP_NONE,
	/* file servers; [w] = walks base + path */
	UM_OP_STAT,		/* [w] or handle -> attr, node, open_reply; of a handle: offset = O_* with which it was opened */
	UM_OP_OPEN,		/* [w] open_flags, mode, umask -> handle, node, attr, open_reply */
	UM_OP_READ,		/* handle, size; offset or UM_OFFSET_FILE -> data */
	UM_OP_WRITE,		/* handle, size, data; offset, UM_OFFSET_FILE or UM_OFFSET_END -> size */
	UM_OP_READDIR,		/* handle, size -> data: struct linux_dirent64 records; offset kept by server */
	UM_OP_SEEK,		/* handle, offset, whence -> offset (all whences, directories too) */
	UM_OP_CLOSED,		/* handle: a descriptor of it was closed: FLUSH, and RELEASE if it was the last */
	UM_OP_FSYNC,		/* handle, open_flags & 1: datasync */
	UM_OP_FALLOCATE,	/* handle, mode, offset, size */
	UM_OP_SETATTR,		/* [w] or handle: valid (FATTR_*), and the values -> attr */
	UM_OP_READLINK,		/* [w] -> data */
	UM_OP_SYMLINK,		/* [w] data = path NUL target NUL */
	UM_OP_LINK,		/* base/path = existing (node only: path empty), base2 + path2 = new name */
	UM_OP_MKNOD,		/* [w] mode, rdev, umask */
	UM_OP_MKDIR,		/* [w] mode, umask */
	UM_OP_UNLINK,		/* [w] */
	UM_OP_RMDIR,		/* [w] */
	UM_OP_RENAME,		/* base + path (one name) -> base2 + path2 (one name), rename_flags */
	UM_OP_STATFS,		/* [w] or handle -> data: struct statfs */
	UM_OP_ACCESS,		/* [w] mode */
	UM_OP_GETXATTR,		/* [w] or handle; path2 = name; size (0 = ask) -> data, size */
	UM_OP_SETXATTR,		/* [w] or handle; path2 = name, then size bytes of value; xattr flags in mode */
	UM_OP_LISTXATTR,	/* [w] or handle; size -> data, size */
	UM_OP_REMOVEXATTR,	/* [w] or handle; path2 = name */
	UM_OP_PATHOF,		/* handle or base -> data: path from the root of the mount, "/" = root; unlinked: ENOENT, or
				   with mode = 1 the path it had */
	UM_OP_IOCTL,		/* handle, mode = the command, offset = its argument, size bytes of data the argument points to,
				   rdev = how many bytes it may be answered with -> data, offset = the result */
	UM_OP_COPY,		/* handle, offset -> handle2, base2 = where in that; size -> size (copy_file_range) */
	UM_OP_MAP,		/* handle, data = a name for /proc/PID/maps -> what to map instead: descriptor `size` of process `offset`, inode `node` */
	UM_OP_MSYNC,		/* base */
	UM_OP_LOCK,		/* handle, open_flags = UM_LOCK_*, mode = F_*LCK, whence, offset, size (signed) as in
				   struct flock; tgid owns it -> GET: data: struct um_lock */
	UM_OP_STANDIN,		/* [w] a socket; path2 = a real one that stands for it, NUL, the address it was bound to, or ""
				   -> as UM_OPEN_STANDIN; data = that address, `consumed` bytes */
	UM_OP_WATCH,		/* [w] mode = 1 if UM_WATCH_LOCK is not held -> data: path of what inotify is to watch
				   instead, from um_server.shadow */
	UM_OP_SETFL,		/* handle, open_flags as of fcntl(2) F_SETFL; with O_APPEND every WRITE is to UM_OFFSET_END */
	UM_OP_POLL,		/* handle, mode = POLL* that are of interest, open_flags: UM_POLL_WAIT -> consumed = POLL* that are so; UM_POLL_WAIT: offset,
				   size, node: from when it is worth asking again, descriptor `size` of process `offset`, inode `node`, can be read */

	/* the monitor, server number 0 */
	UM_CTL_NEW_SERVER = 64,	/* -> handle = server number */
	UM_CTL_MOUNT,		/* see struct um_ctl_mount in data -> handle = mount id */
	UM_CTL_BIND,		/* likewise */
	UM_CTL_UMOUNT,		/* path in data; flags MNT_* in open_flags */
	UM_CTL_BRANCH,		/* view, data = name or "" -> handle = new view number */
	UM_CTL_BRANCH_END,	/* handle = view number */
	UM_CTL_LOG,		/* data = one line for the log */
	UM_CTL_LOG_READ,	/* -> data, size: the last lines of the log */
	UM_CTL_SERVANT,		/* mode = UM_SERVANT_*, set_uid, set_gid: the caller and what it starts serve, they are no guests */
	UM_CTL_HIDE,		/* struct um_ctl_mount; so the next three */
	UM_CTL_TMPFS,		/* mode = of its root; the monitor makes the directory that is shown */
	UM_CTL_REMOUNT,		/* new flags for the mount at `path` */
	UM_CTL_COW,		/* `target` = SESSION/tree */
	UM_CTL_RENEW,		/* the mount at `path` (of `source`, unless that is empty) covers newer ones */
	UM_CTL_SHADOW,		/* handle = server number: um_server.shadow is set */
	UM_CTL_PREPARE,		/* data = the real path of a dynamic linker: world->prepared has it, and its C library */
	UM_CTL_MERGE,		/* struct um_ctl_mount */
	UM_CTL_MOVE,		/* likewise: the mount at `target` goes to `path` */
	UM_CTL_REVIEW,		/* data = "PID FD FD FD FD": umview-reviewer is started with that (monitor/review_inside.c) -> handle = its PID */
};

#define UM_NAME_MOST	1024u			/* bytes of a name at a server, as the kernel's FUSE_NAME_MAX */
#define UM_IOCTL_MOST	16384u			/* bytes that a command's number can tell of, and one more */
#define UM_COPY_MOST	(1u << 30)		/* bytes of one UM_OP_COPY */
#define UM_OFFSET_FILE	UINT64_MAX		/* use and move the open file's own offset */
#define UM_OFFSET_END	(UINT64_MAX - 1)	/* append */
#define UM_NO_HANDLE	0u			/* handle numbers start at 1 */
#define UM_ROOT_NODE	1u			/* FUSE_ROOT_ID */

/* um_request.walk */
#define UM_WALK_FOLLOW	1u	/* a symbolic link as last name stops the walk too (else the op acts on it) */
#define UM_WALK_DIR	2u	/* the path ended in '/': the last must be a directory (or may become one, MKDIR) */
#define UM_WALK_NO_LINKS 4u	/* where it would stop at a symbolic link: ELOOP, and the link is not read (RESOLVE_NO_SYMLINKS) */

struct um_request {
	uint32_t op;
	uint32_t walk;
	uint64_t base;		/* node id, UM_ROOT_NODE or 0 = the node of `handle` */
	uint64_t base2;
	uint32_t handle;
	uint32_t handle2;	/* base2 == 0: node of this handle */
	uint64_t offset;
	uint64_t size;
	uint32_t open_flags;	/* O_* of the guest; AT_*, RENAME_*, MNT_* of other ops */
	uint32_t mode;
	uint32_t umask;
	uint32_t rdev;
	uint32_t whence;
	uint32_t valid;		/* SETATTR: FATTR_* of linux/fuse.h */
	uint32_t uid, gid, pid;	/* who asks (0, 0 unless the mount is `human` or allow_other...) */
	uint32_t set_uid, set_gid;
	uint32_t atime_nsec, mtime_nsec;
	uint32_t path_len;	/* bytes of path at data[0], NUL behind it not counted */
	uint32_t path2_len;	/* bytes of path2 at data[path_len + 1] */
	uint32_t view;		/* the caller's view and epoch (control ops) */
	uint32_t epoch;
	uint32_t tgid;		/* the process, where pid is the thread: owner of record locks */
	uint32_t closed;	/* a handle that this thread has closed: UM_OP_CLOSED of that, when this request has been answered */
	int64_t  atime, mtime;
};

/* um_request.open_flags of UM_OP_LOCK; neither OFD nor FLOCK: a record lock of the process */
#define UM_LOCK_GET	1u	/* only tell what is in the way */
#define UM_LOCK_WAIT	2u
#define UM_LOCK_OFD	4u	/* a record lock of the open file */
#define UM_LOCK_FLOCK	8u	/* flock(2) */

/* um_request.open_flags of UM_OP_CLOSED: nobody had a lock, so none ends; who closed goes on before this is taken */
#define UM_CLOSED_QUIET	1u

/* um_server.polls: not known yet; they are always ready; they are asked by UM_OP_POLL */
#define UM_POLLS_UNKNOWN 0u
#define UM_POLLS_NO	1u
#define UM_POLLS_YES	2u

#define UM_POLL_WAIT	1u	/* um_request.open_flags of UM_OP_POLL: the caller is going to wait, if it is not ready */

/* um_reply.open_reply: a FIFO; no handle, but descriptor `size` of process `offset` is a real one */
#define UM_OPEN_STANDIN	(1u << 31)
#define UM_OPEN_PATH	(1u << 29)	/* STAT of a handle: it was opened with O_PATH */
#define UM_OPEN_QUIET	(1u << 30)	/* its end is no affair of the server's: UM_OP_CLOSED needs not be waited for */

struct um_lock {		/* what is in the way; the fields of struct flock */
	int64_t  start, len;
	uint32_t type;		/* F_UNLCK: nothing is */
	int32_t  pid;
};

/*
 * An inotify that watches files of a server holds a read lock there (OFD), on its own description.  All of these are of
 * one inode of the kernel's, so the server can ask by any other anonymous file whether there is one left.
 */
#define UM_WATCH_LOCK(monitor, server)	((1ULL << 62) | (uint64_t)(monitor) << 16 | (server))

enum um_walk_status { UM_WALK_DONE, UM_WALK_LINK };

struct um_attr {		/* struct fuse_attr, and what the mount adds */
	uint64_t ino, size, blocks;
	int64_t  atime, mtime, ctime;
	uint32_t atimensec, mtimensec, ctimensec;
	uint32_t mode, nlink, uid, gid, rdev, blksize, reserved;
};

struct um_reply {
	int32_t  error;		/* 0 or -errno */
	uint32_t status;	/* enum um_walk_status; LINK: data = link target NUL, `consumed` bytes of the
				   path were walked, the link's own name included; `node` = its directory.
				   ".." is given back as if it were a link with the target ".." */
	uint32_t consumed;
	uint32_t handle;
	uint64_t node;
	uint64_t offset;
	uint64_t size;		/* bytes in data, or bytes written */
	uint32_t open_reply;	/* FOPEN_* of linux/fuse.h, UM_OPEN_* */
	uint32_t created;	/* OPEN: 1 if it made the file */
	struct um_attr attr;
};

struct um_slot {
	uint32_t owner;		/* client: compare-and-swap 0 -> thread id claims it, 0 frees it */
	uint32_t state;		/* futex; POSTED and IDLE by the client, TAKEN and DONE by the server */
	uint32_t interrupt;	/* client */
	uint32_t reserved;
	struct um_request req;	/* client writes */
	struct um_reply   rep;	/* server writes */
	uint8_t  pad[4096 - 16 - sizeof(struct um_request) - sizeof(struct um_reply)];
	uint8_t  data[UM_DATA_SIZE];
};
_Static_assert(sizeof(struct um_slot) == UM_SLOT_SPAN, "wire");

/* UM_CTL_MOUNT and its kin: this, then the strings, each with its NUL, in this order */
struct um_ctl_mount {
	uint32_t server;	/* MOUNT: from UM_CTL_NEW_SERVER */
	uint32_t flags;		/* MS_*, UM_MNT_PERM */
	uint32_t rootmode;
	uint32_t is_dir;
	uint32_t max_read;
	uint32_t default_permissions, allow_other, user_id;
	uint32_t path_len, source_len, fstype_len, options_len, target_len, except_len;
	/* char path[], source[], fstype[], options[], target[] (BIND only, else empty), except[] (BIND: a line
	   for each subtree that is left as it was, 'd' or 'f' and its path below `path`) */
};

/*
 * The private system call of a view: um_call(op, a, b, c) = syscall(UM_NR_CALL, op, a, b, c).  The
 * number is beyond any the kernel has: outside a view it is a plain ENOSYS.
 */
#define UM_NR_CALL	0x756du
#define UM_NR_DEBUG	0x756eu	/* an agent tells a debugger in the view (agent/debug.h) */

/* What a seccomp listener in a view answers for "go on": the waiting guest's agent makes the call. */
#define UM_NOTIF_CONTINUE	0x756d5ec0c0470011l

enum um_call {
	UM_CALL_INFO,		/* (struct um_info *, size): fills it, returns its size */
	UM_CALL_BRANCH,		/* (name): this process and its later children get a view of their own -> view number */
	UM_CALL_BRANCH_END,	/* (view number) */
	UM_CALL_LOG,		/* (line): to the log of the view */
	UM_CALL_SERVER_LOG,	/* (buf, size) -> text logged about the last server (mount failures) */
	UM_CALL_SERVANT,	/* (UM_SERVANT_*, uid, gid): this process and its children are not guests whose end is awaited */
	UM_CALL_MOUNTS,		/* (buf, size) -> bytes: struct um_mount_info records, oldest first; ERANGE: too small */
	UM_CALL_IDENTITY,	/* ("[s]UID:GID:GROUP,GROUP...", numbers; s: strict): who this thread is from now on, and its children */
	UM_CALL_BELOW,		/* (mount id): this process sees the view as it was below that copy-on-write mount, which is over something
				   virtual; EINVAL: it is none.  Not in secure mode: EPERM */
	UM_CALL_REVIEW,		/* ("PID FD FD FD FD"): UM_CTL_REVIEW -> PID; not in secure mode: EPERM */
};
#define UM_SERVANT_ROOT	1u	/* what is mounted below is served as uid 0 (umview mount without -o human) */
#define UM_SERVANT_RO	4u	/* ... and is read-only, whatever the program says */
#define UM_SERVANT_MERGE 8u	/* ... and what it has not, shows what is below (UM_MNT_MERGE) */
#define UM_SERVANT_ALONE 16u	/* ... and nobody else has what it shows: UM_MNT_ALONE */
#define UM_SERVANT_UID	32u	/* (..., uid, gid): ... as that user, */
#define UM_SERVANT_GID	64u	/* of that group */
#define UM_SERVANT_LIST	2u	/* (UM_SERVANT_LIST, buf, size) -> bytes: the process numbers (int32_t) of all servants */

struct um_info {
	uint32_t version, view, epoch, monitor_pid, nmounts, depth;
	char	 name[64];
	uint32_t strict;	/* the caller is kept from what is not his: kernel/perm.h */
	uint32_t reserved;
};

/* UM_CALL_MOUNTS: this, then path, source, fstype, options, target, each with its NUL; `size` bytes in all,
 * a multiple of 8. */
struct um_mount_info {
	uint32_t size;
	uint32_t id, kind, server, flags, view;	/* as in struct um_mount */
	uint32_t state;				/* enum um_server_state; of a bind mount: UM_SERVER_LIVE */
	uint32_t pid, keeper, proto_major;	/* as in struct um_server */
	uint32_t path_len, source_len, fstype_len, options_len, target_len;
	uint32_t reserved;
};
_Static_assert(sizeof(struct um_mount_info) == 64, "wire");

#endif
