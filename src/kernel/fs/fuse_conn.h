/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the FUSE client: what the files fuse_*.c share.  Start here.
 *
 *	fuse_conn.c	connections, opening the device
 *	fuse_dev.c	the device: read, write, waiting, the end of a connection
 *	fuse_bell.c	the device in an epoll set
 *	fuse_poll.c	files that are not always ready
 *	fuse_splice.c	read and write through a pipe
 *	fuse_mutex.c	locks between jobs: what an operation holds while the server works
 *	fuse_change.c	the places of an operation that changes names
 *	fuse_job.c	jobs: a guest's request taken from its slot, run as a coroutine, answered
 *	fuse_co.c	the coroutines themselves: stacks and switching
 *	fuse_proto.c	FUSE messages: building requests, checking replies, attributes
 *	fuse_init.c	INIT and DESTROY
 *	fuse_notify.c	what a server says unasked
 *	fuse_node.c	nodes and names: lookup counts, caches, FORGET
 *	fuse_dcache.c	what of these clients find without asking
 *	fuse_dircache.c	directories that need not be read again
 *	fuse_pages.c	contents likewise, and where open files are
 *	fuse_map.c	files that guests have mapped to store in them
 *	fuse_handle.c	open files: numbers, locks, the sweep that finds the last close
 *	fuse_client.c	those that clients have opened without asking
 *	fuse_lock.c	file locks: who holds what, who waits, whose owner is gone
 *	fuse_standin.c	the real FIFOs and sockets behind those of the mount
 *	fuse_shadow.c	the real files by which the kernel tells who watches: what is done, done to them too
 *	fuse_watch.c	the same: a watch begins
 *	fuse_perm.c	who may do what (allow_other, default_permissions, read-only mounts)
 *	fuse_walk.c	from a path to a node
 *	fuse_ops*.c, fuse_readdir.c	one function per UM_OP_*
 *
 * Everything here is protected by one lock, which is held whenever a coroutine runs.  A
 * coroutine gives the processor away in two places only: fuse_call() (waits for the server's reply) and
 * fuse_mutex_lock() (and its shared kin).  So what is looked up in the tables stays true up to the next of these; what must
 * live longer is pinned (nodes) or held (handles).
 *
 * The only thing done without the lock is copying between the server's buffers and a message that is in no
 * list meanwhile, so that nobody else can find it.
 *
 * Nothing here trusts the server (sizes, counts, names, types: EIO) nor the client (its slot is shared
 * memory: the request is copied before it is looked at, names are copied before they are used).
 */
#ifndef UM_KERNEL_FUSE_CONN_H
#define UM_KERNEL_FUSE_CONN_H

#include <linux/fuse.h>
#include "fuse.h"
#include "../standin.h"

#define FUSE_NO_PAGES	(FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE | FOPEN_STREAM)	/* open so, a file is never read through a kernel's page cache */
#define FUSE_NAMES_MAX		32768u	/* names (and with them nodes) kept; older unused ones are forgotten */
#define FUSE_NSEC		1000000000ull
#define FUSE_PATH_ROOM	8192u	/* more than a path can have within the view: the client says ENAMETOOLONG */

/* ---- coroutines -------------------------------------------------------------------------------------- */

struct co {
	void *sp;		/* its stack pointer while it is not running */
	void *back;		/* that of whoever resumed it, while it is */
	void (*run)(struct co *);
	struct co *next;	/* pool */
	char *base;		/* the mapping it lies in */
	void *fake;		/* address sanitizer's book-keeping, hosted builds only */
	const void *back_stack;
	size_t back_size;
	bool done;
};
#define CO_STACK	(16u << 10)

struct co_pool { struct co *free; };

struct co *co_new(struct co_pool *pool, size_t size);	/* `size` zeroed bytes that start with struct co; or NULL */
void co_free(struct co_pool *pool, struct co *co);	/* must have ended */
void co_drain(struct co_pool *pool);			/* gives the stacks back */
void co_resume(struct co *co);				/* runs it until co_yield() or its end (co->done) */
void co_yield(struct co *co);

/* ---- what is kept -------------------------------------------------------------------------------------- */

struct fuse_job;
struct fuse_mutex {		/* between jobs; fair; one owner or many who share it */
	struct fuse_job *owner, *first, *last;
	uint32_t shared;
};

struct fuse_node {
	struct fuse_node *chain;	/* by nodeid */
	uint64_t nodeid, generation;
	uint64_t nlookup;		/* what the server counts for this node, to be given back by FORGET */
	uint32_t pins;			/* handles, jobs, and names in this directory */
	uint32_t nopen;			/* handles */
	struct fuse_name *names;	/* those that lead here; none: unlinked */
	struct fuse_node *lingers;	/* open, and its name was removed: the directory (pinned) where libfuse keeps it until it is closed */
	char *was;			/* open, and without a name: the path that it had last, or NULL */
	struct fuse_attr attr;		/* valid until attr_until; the type bits of mode always */
	uint64_t attr_until;		/* CLOCK_MONOTONIC in ns */
	uint64_t size_until;		/* attr.size alone, for appending: our own writes keep it up to date */
	uint64_t changed;		/* conn.version of the last change made through us */
	uint64_t contents;		/* fuse_pages.c: another number when what was read may not be true any more */
	struct fuse_mutex lock;		/* the kernel's i_rwsem: fuse_mutex.c */
	struct fuse_mutex release;	/* held while the server is told of a last close */
	struct fuse_lock *locks;	/* held by guests: fuse_lock.c */
	struct fuse_map *map;		/* fuse_map.c: what is read instead of the server's, or NULL */
	uint32_t fopen;			/* FOPEN_* of the last that was opened for reading, if `opens` */
	bool opens;
	struct fuse_dir *dir;		/* fuse_dircache.c: the directory as it was read */
	uint32_t untyped;		/* names in what is shown of a directory of which it does not tell what kind of file they are */
	bool opens_shown;		/* clients may open it for reading without asking: fuse_client.c */
	bool clients;			/* ... or could, since it was last looked who has */
	bool atime_stale;		/* it was read since attr came: fuse_node_read() */
	uint32_t lacks;			/* UM_DCACHE_LACKS */
	bool unshown;			/* a bad one of the same number is open: clients would take this one's attributes for that one's */
	bool bad;			/* the server contradicted itself: EIO from now on */
	bool removed;			/* a directory that was removed: nothing can be found in it */
	uint8_t shadow;			/* enum fuse_shadow_state */
	bool hashed;
	bool advise_plus;		/* names of this directory were looked up: READDIRPLUS pays */
};

struct fuse_name {
	struct fuse_name *chain;	/* by parent and name */
	struct fuse_name *sibling;	/* next in node->names */
	struct fuse_name *older, *newer;	/* least recently used order */
	struct fuse_node *parent;	/* pinned */
	struct fuse_node *node;		/* NULL: known not to exist */
	uint64_t until;
	uint32_t hash;
	uint32_t len;
	char name[];
};

struct fuse_handle {
	struct fuse_handle *chain;	/* by number */
	struct fuse_handle *dead_next;	/* conn.dead */
	uint32_t number;
	uint32_t users;			/* jobs that are using it */
	struct fuse_node *node;		/* pinned */
	uint64_t fh;
	uint32_t open_flags;		/* the guest's O_* */
	uint32_t fopen;			/* FOPEN_* */
	bool is_dir;
	bool unopened;			/* the server knows nothing of it: O_PATH, or it has no OPEN: no RELEASE */
	bool lazy;			/* ... yet: fuse_late_open() */
	struct fuse_mutex late;		/* held by who does that */
	bool mature;			/* its carrier was seen locked, or it was closed once */
	bool opening;			/* its number has not been told to anybody yet */
	bool dead;			/* to be released when nobody uses it */
	bool ending;			/* ... and somebody is going to: fuse_handle_finish() */
	bool releasing;			/* the server is being told: node->release */
	bool leaving;			/* nobody may take it any more: fuse_release() */
	bool flushed;			/* dead, and that was sent; what came of it: */
	int flush_error;
	bool at_end;			/* directory: the last READDIR said so */
	struct fuse_dir *dir;		/* what is known of it, where this reading goes on; NULL: at the server */
	uint64_t began;			/* node.changed + 1 when the server began this reading */
	bool flocked;			/* flock(2) was used, and the server does it */
	uint32_t opener;		/* thread that opened it */
	int shadow;			/* a descriptor of its shadow; 0: none, -1: only when it is closed */
	uint64_t offset;		/* the open file's own: fuse_offset_take(), fuse_offset_put() */
	struct um_open *shared;		/* the same, where clients move it, too; NULL: they do not */
	uint64_t read_from, read_end;	/* what the last READs brought into pages, */
	uint32_t ahead;			/* so much more than was asked for */
	struct fuse_mutex lock;		/* for those who use and move `offset` */
};

/* ---- messages to the server ------------------------------------------------------------------------------ */

enum fuse_req_state { REQ_QUEUED, REQ_SENT, REQ_DONE };

struct fuse_req {
	struct fuse_in_header h;
	struct { const void *p; uint32_t n; } arg[3];
	uint32_t nargs;
	enum fuse_req_state state;
	bool interrupted;		/* INTERRUPT has been sent */
	bool any_size;			/* the reply may be shorter than reply_max */
	void *reply;
	uint32_t reply_max, reply_len;
	int error;
	uint64_t version;		/* conn.version when it was issued */
	struct fuse_job *job;		/* who waits; NULL: nobody, see fuse_queue() */
	struct fuse_req *next;		/* queue, or chain by unique */
};

struct fuse_forget { uint64_t nodeid, nlookup; };

/* One coroutine: a guest's request, or our own work (slot < 0). */
struct fuse_job {
	struct co co;			/* first: a struct co * is a struct fuse_job * */
	struct fuse_conn *c;
	struct fuse_job *next, *prev;	/* conn.jobs */
	struct fuse_job *wait;		/* mutex queue, or conn.ready */
	bool waits, shares;		/* in the queue of a mutex; to share it */
	int slot;
	struct um_slot *shm;		/* its slot, NULL when answered or our own work */
	struct um_request req;		/* our copy */
	struct um_reply rep;
	struct fuse_req *sent;		/* the FUSE request it waits for */
	uint64_t now;			/* when it started, ns */
	int (*own)(struct fuse_job *);	/* our own work */
};

/* What the server cannot do (it said ENOSYS), and what was negotiated. */
struct fuse_caps {
	bool no_access, no_create, no_flush, no_fsync, no_fsyncdir, no_getxattr, no_setxattr, no_listxattr,
	     no_removexattr, no_open, no_opendir, no_lseek, no_fallocate, no_copy, no_rename2, no_interrupt, no_tmpfile;
	bool posix_acl;			/* it keeps access lists, and leaves it to us what they mean */
	bool poll_asked, poll;		/* fuse_poll.c: is it known whether it has FUSE_POLL; has it? */
	bool locks, flocks;		/* it wants to be asked for them */
	bool atomic_o_trunc, dont_mask, big_writes, readdirplus, readdirplus_auto, open_optional,
	     opendir_optional, killpriv;
	uint32_t minor;
	uint32_t max_read, max_write;
	uint32_t name_most;		/* bytes of a name, 0: not asked for yet */
};

#define FUSE_HASH	8192u		/* chains of the tables by nodeid and by name */
#define FUSE_HANDLES	256u
#define FUSE_SENT	64u

struct fuse_conn {
	uint32_t refs;			/* files (struct file) that stand for it in this process */
	bool leaving;			/* it is being freed here; shared memory is left to the process that goes on */
	struct fuse_conn *next;		/* all of this process */
	uint32_t server;
	struct um_server *shm;		/* the whole area, slots behind it */
	struct um_dcache *dcache;	/* of the same area; NULL: there was no room for it */
	uint32_t dcache_turn, pages_turn;	/* which entry of a full set is given up next */
	struct um_pages *pages;		/* likewise */
	struct um_opens *opens;
	uint64_t contents;		/* the last fuse_node.contents */
	uint32_t dir_bytes;		/* in all struct fuse_dir */

	enum { INIT_NOT, INIT_SENT, INIT_DONE, INIT_FAILED } init;
	enum { END_NOT, END_RELEASING, END_DESTROYING, END_OVER } end;
	struct fuse_caps can;

	uint64_t unique;		/* last one used; even, the low bit marks an INTERRUPT */
	uint64_t version;		/* grows with each change made through us */
	struct fuse_req *queue, *queue_last;	/* to be read by the server */
	struct fuse_req *sent[FUSE_SENT];	/* read, not yet answered */
	struct fuse_job *jobs;
	struct fuse_job *ready, *ready_last;	/* got the mutex they waited for */
	uint32_t njobs;
	uint32_t next_word;		/* where to look first for posted slots: fairness */
	uint32_t waiting;		/* threads asleep in read */
	int bell_in, bell_out;		/* fuse_bell.c: the pipe that is in epoll sets, 0: none */
	bool rung;			/* we have put a byte into it */
	int waker[2];			/* fuse_poll.c: the pipe that tells of the next NOTIFY_POLL, 0: none */
	uint64_t waker_ino;
	bool timekeeper;		/* one of them wakes up every second */
	struct co_pool pool;

	struct fuse_forget *forgets;
	uint32_t nforgets, forgets_room;
	bool forgets_first;		/* before any request: the server may give such an inode's number to what is made next */

	struct fuse_node root;
	struct fuse_node *nodes[FUSE_HASH];
	struct fuse_name *names[FUSE_HASH];
	struct fuse_name *oldest, *newest;
	uint32_t nnames, names_max;
	struct fuse_mutex moving;	/* held while something is moved between directories */

	struct fuse_handle *handles[FUSE_HANDLES];
	struct fuse_handle *dead;	/* to be released by the janitor */
	uint32_t nhandles, last_handle;
	bool bad_open;			/* a node that is open has become bad, at any time */
	bool janitor;			/* a job releases what is in `dead` */
	uint64_t swept;			/* ns */

	struct fuse_lock_wait *lock_waits;	/* oldest first */
	uint32_t nlocks;
	bool lock_reaper;		/* a job lets go of what dead processes hold */

	struct fuse_map *maps;
	uint32_t nmaps;
	bool map_worker;		/* a job works on them */
	struct fuse_standin *standins;
	uint32_t nstandins;
	struct fuse_shadow *shadow;	/* NULL: nothing was ever watched */
};

extern struct lock fuse_lock;		/* one for all connections: a process rarely has two */

static inline struct um_slot *fuse_slot(const struct fuse_conn *c, unsigned k)
{
	return (struct um_slot *)((char *)c->shm + UM_SLOTS_OFF + (size_t)k * UM_SLOT_SPAN);
}

/* ---- fuse_job.c ------------------------------------------------------------------------------------------ */

uint64_t fuse_now(void);
bool fuse_take_slot(struct fuse_conn *c);	/* starts a job for one posted slot; false: there is none */
void fuse_refuse_slots(struct fuse_conn *c, int error);	/* answers everything posted with that error */
int fuse_job_start(struct fuse_conn *c, int (*own)(struct fuse_job *));	/* 0 or -ENOMEM */
void fuse_job_answer(struct fuse_job *j);	/* tells the guest now, the job goes on */
void fuse_job_ready(struct fuse_job *j);	/* it runs at the next fuse_run_ready() */
void fuse_run_ready(struct fuse_conn *c);
void fuse_job_continue(struct fuse_job *j);
static inline struct fuse_job *fuse_job_of(struct co *co) { return (struct fuse_job *)co; }

/* ---- fuse_dev.c, fuse_bell.c ----------------------------------------------------------------------------- */

bool fuse_dev_ready(const struct fuse_conn *c);	/* read() would have something to do, if not to say */
void fuse_bell_settle(struct fuse_conn *c);	/* epoll(7) tells that */
bool fuse_bell_misled(struct fuse_conn *c);	/* it has told so, but there is nothing: no more */
void fuse_bell_free(struct fuse_conn *c);

/* ---- fuse_poll.c ----------------------------------------------------------------------------------------- */

void fuse_poll_probe(struct fuse_conn *c, const struct fuse_node *n);	/* just opened: it will be found out whether the server has FUSE_POLL */
void fuse_poll_wake(struct fuse_conn *c);	/* NOTIFY_POLL, of whatever file */
void fuse_poll_free(struct fuse_conn *c);

/* ---- fuse_mutex.c ---------------------------------------------------------------------------------------- */

void fuse_mutex_lock(struct fuse_job *j, struct fuse_mutex *m);
void fuse_mutex_unlock(struct fuse_mutex *m);
void fuse_mutex_share(struct fuse_job *j, struct fuse_mutex *m);
void fuse_mutex_unshare(struct fuse_mutex *m);

/* ---- fuse_proto.c ---------------------------------------------------------------------------------------- */

void fuse_req_init(struct fuse_req *r, struct fuse_job *j, uint32_t opcode, uint64_t nodeid);
void fuse_req_arg(struct fuse_req *r, const void *p, size_t n);
void fuse_req_reply(struct fuse_req *r, void *p, size_t n);		/* exactly n bytes */
void fuse_req_reply_upto(struct fuse_req *r, void *p, size_t n);	/* at most n */

/* To be read by the server, with the number that it has.  One without a job has no answer, is its own piece of heap, and is freed when it
 * has been read. */
void fuse_queue(struct fuse_conn *c, struct fuse_req *r);
void fuse_queue_free(struct fuse_conn *c);	/* the connection goes: those without a job */

/* Sends r and waits for the answer.  0 or the server's -errno. */
int fuse_call(struct fuse_job *j, struct fuse_req *r);

/* A request whose reply is no more than an error. */
int fuse_call_plain(struct fuse_job *j, uint32_t opcode, uint64_t nodeid, const void *arg, size_t n);

void fuse_send_forget(struct fuse_conn *c, uint64_t nodeid, uint64_t nlookup);
struct fuse_req *fuse_sent_find(struct fuse_conn *c, uint64_t unique);	/* or NULL */
void fuse_sent_remove(struct fuse_conn *c, struct fuse_req *r);
void fuse_sent_put(struct fuse_conn *c, struct fuse_req *r);

size_t fuse_entry_size(const struct fuse_conn *c);	/* struct fuse_entry_out as old servers have it */
size_t fuse_attr_size(const struct fuse_conn *c);
bool fuse_attr_ok(const struct fuse_attr *a);
bool fuse_name_ok(const char *name, size_t len);
/*
 * How long what the server has said is valid.  The server's own time-outs; in a mount that is alone (UM_MNT_ALONE) UM_SHOWN_FOREVER:
 * names, and attributes but of files with several names, of which the server may have several nodes.  absent: that there is no such name.
 */
uint64_t fuse_entry_until(const struct fuse_job *j, const char *name, size_t len, const struct fuse_entry_out *e);
uint64_t fuse_attr_until(const struct fuse_job *j, const struct fuse_attr *a, uint64_t sec, uint32_t nsec);
uint64_t fuse_absent_until(const struct fuse_job *j, const char *name, size_t len);
bool fuse_is_alone(const struct fuse_conn *c);
void fuse_attr_wire(const struct fuse_attr *a, struct um_attr *out);
void fuse_attr_out(struct fuse_job *j, const struct fuse_node *n);	/* into the reply to the guest */

/* ---- fuse_init.c ----------------------------------------------------------------------------------------- */

int fuse_init_job(struct fuse_job *j);
int fuse_destroy_job(struct fuse_job *j);

/* ---- fuse_notify.c --------------------------------------------------------------------------------------- */

/* code is the notification's; data its first bytes (all but a STORE's), len its whole length.  0 or -errno. */
#define FUSE_NOTIFY_ROOM	(64u + UM_NAME_MOST)
int fuse_notify(struct fuse_conn *c, int code, const uint8_t *data, size_t len);

/* ---- fuse_node.c ----------------------------------------------------------------------------------------- */

void fuse_nodes_init(struct fuse_conn *c);
void fuse_nodes_free(struct fuse_conn *c);
struct fuse_node *fuse_node_find(struct fuse_conn *c, uint64_t nodeid);
static inline struct fuse_node *fuse_node_pin(struct fuse_node *n) { n->pins++; return n; }
void fuse_node_unpin(struct fuse_conn *c, struct fuse_node *n);
void fuse_node_bad(struct fuse_conn *c, struct fuse_node *n);
static inline bool fuse_node_is(const struct fuse_node *n, uint32_t type)
{
	return (n->attr.mode & S_IFMT) == type;
}
/*
 * The node of a reply to LOOKUP and its like, pinned and with its lookup counted; attributes stored.
 * NULL: no memory (the server is told to forget it).  `version`: that of the request.
 */
struct fuse_node *fuse_node_get(struct fuse_job *j, const struct fuse_entry_out *e, uint64_t version);
/*
 * New attributes of a known node.  -EIO if the type differs or they make no sense.  What has no name any more may be gone for the server at
 * any time: it is asked again.
 */
int fuse_node_told(struct fuse_job *j, struct fuse_node *n, const struct fuse_attr_out *out, uint64_t version);
void fuse_node_changed(struct fuse_conn *c, struct fuse_node *n);	/* by us: cached attributes are stale */
void fuse_node_stale(struct fuse_conn *c, struct fuse_node *n);		/* they may be, though nothing was changed */
void fuse_node_lingers(struct fuse_conn *c, struct fuse_node *n, struct fuse_node *dir);	/* its name in dir was removed */
void fuse_node_closed(struct fuse_conn *c, struct fuse_node *n);	/* nobody has it open any more */
void fuse_node_read(struct fuse_conn *c, struct fuse_node *n);		/* its access time is */

struct fuse_name *fuse_name_find(struct fuse_conn *c, struct fuse_node *dir, const char *name, size_t len);
/* name in dir leads to node (NULL: to nothing) until then. */
void fuse_name_set(struct fuse_conn *c, struct fuse_node *dir, const char *name, size_t len,
		   struct fuse_node *node, uint64_t until);
void fuse_name_drop(struct fuse_conn *c, struct fuse_name *e);
void fuse_name_drop_at(struct fuse_conn *c, struct fuse_node *dir, const char *name, size_t len);
bool fuse_node_below(const struct fuse_node *n, const struct fuse_node *top);	/* n is top or below it */
long fuse_node_path(const struct fuse_conn *c, const struct fuse_node *n, char *buf, size_t size);

/* ---- fuse_dcache.c --------------------------------------------------------------------------------------- */

void fuse_dcache_node(struct fuse_conn *c, const struct fuse_node *n);	/* its attributes have changed, or what is known of them */
void fuse_dcache_name(struct fuse_conn *c, const struct fuse_name *e);	/* likewise */
void fuse_dcache_drop_name(struct fuse_conn *c, const struct fuse_name *e);
void fuse_dcache_drop_directory(struct fuse_conn *c, const struct fuse_node *dir);	/* all names in it */

/* ---- fuse_dircache.c ------------------------------------------------------------------------------------- */

void fuse_dir_forget(struct fuse_conn *c, struct fuse_node *n);
void fuse_dir_put(struct fuse_conn *c, struct fuse_dir *d);
bool fuse_dir_known(const struct fuse_conn *c, const struct fuse_node *n);	/* all of it? */
bool fuse_dir_show(struct fuse_conn *c, struct fuse_node *n);	/* all of it to clients; false: it cannot be */
/* What comes at h's offset: records as the server gave them; *len 0: the end.  NULL: it is not known. */
const uint8_t *fuse_dir_read(struct fuse_conn *c, struct fuse_handle *h, uint32_t *len);
void fuse_dir_keep(struct fuse_conn *c, struct fuse_handle *h, uint64_t offset, const uint8_t *data, uint32_t len, bool plus);

/*
 * fuse_ops_open.c: tells the server that h is open, if that was put off.  Before whatever needs h->fh.
 *
 * Where nobody else changes anything, a file that the server has opened for reading before will not be refused now, and what is read of it is
 * in pages, mostly; likewise directories of which something is known.  Their OPEN is sent when there is a question.
 */
bool fuse_open_may_wait(const struct fuse_conn *c, const struct fuse_node *n, uint32_t flags);	/* may OPEN? */
int fuse_late_open(struct fuse_job *j, struct fuse_handle *h);
void fuse_handles_open(struct fuse_job *j, struct fuse_node *n);	/* all of n: its name is going to be removed */

/* ---- fuse_pages.c ---------------------------------------------------------------------------------------- */

/* A READ that was sent at that version has brought this; offset begins a page. */
void fuse_pages_fill(struct fuse_conn *c, struct fuse_node *n, uint64_t offset, const uint8_t *data, uint32_t len, uint64_t version);
void fuse_pages_init(struct fuse_conn *c);	/* how many there are */
uint64_t fuse_pages_most(const struct fuse_conn *c);	/* bytes: a larger file would take the room of all others */
/* What is known of it from there on, without a gap: bytes. */
uint32_t fuse_pages_copy(struct fuse_conn *c, const struct fuse_node *n, uint64_t offset, uint8_t *to, uint32_t size);
void fuse_pages_list(struct fuse_conn *c, const struct fuse_node *n, const uint8_t *data, uint32_t len);	/* a directory */
void fuse_pages_drop(struct fuse_conn *c, struct fuse_node *n, uint64_t offset, uint64_t len);	/* this has been written */
void fuse_pages_forget(struct fuse_conn *c, struct fuse_node *n);	/* all of it may have changed */

void fuse_offset_share(struct fuse_conn *c, struct fuse_handle *h);	/* it has been opened */
void fuse_offset_unshare(const struct fuse_conn *c, struct fuse_handle *h);
/* The offset of the open file, for who holds its lock and is going to put it back, or another one: nobody moves it meanwhile. */
uint64_t fuse_offset_take(struct fuse_handle *h);
void fuse_offset_put(struct fuse_handle *h, uint64_t offset);
bool fuse_offset_closed(const struct fuse_handle *h);	/* a client has closed it */
bool fuse_offset_ended(const struct fuse_handle *h);	/* a client has read a directory to its end, where it is */
uint64_t fuse_offset_look(const struct fuse_handle *h);	/* where it is now */

/* ---- fuse_map.c ------------------------------------------------------------------------------------------ */

int fuse_map_sync(struct fuse_job *j, struct fuse_node *n);	/* what has been stored goes to the server.  0 or -errno */
void fuse_maps_sweep(struct fuse_conn *c, bool all);
/* The next with n->lock held.  Before the server changes a part of the file by itself, what has been stored there goes first. */
int fuse_map_sync_range(struct fuse_job *j, struct fuse_node *n, uint64_t offset, uint64_t len);
void fuse_map_reap(struct fuse_job *j, struct fuse_node *n);	/* ends that which nobody maps any more */
/*  Reading: n->map is there; bytes read. */
uint32_t fuse_map_read(const struct fuse_node *n, uint64_t offset, uint8_t *to, uint32_t size);
void fuse_map_wrote(struct fuse_node *n, uint64_t offset, const uint8_t *data, uint32_t size);	/* so did the server */
void fuse_map_truncated(struct fuse_node *n, uint64_t size);
int fuse_map_reload(struct fuse_job *j, struct fuse_node *n, uint64_t offset, uint64_t len);

/* ---- fuse_handle.c --------------------------------------------------------------------------------------- */

struct fuse_handle *fuse_handle_add(struct fuse_conn *c, struct fuse_node *n, uint32_t number);	/* or NULL */
struct fuse_handle *fuse_handle_new(struct fuse_job *j, struct fuse_node *n);	/* with a new number, used by j; or NULL */
struct fuse_handle *fuse_handle_find(struct fuse_conn *c, uint32_t number);	/* or NULL */
bool fuse_handle_on(const struct fuse_conn *c, uint64_t nodeid);	/* is a node of that number open? */
struct fuse_handle *fuse_handle_get(struct fuse_job *j);	/* the request's; NULL: EBADF */
struct fuse_node *fuse_handle_node(struct fuse_conn *c, uint32_t number);	/* or NULL */
void fuse_handle_put(struct fuse_job *j, struct fuse_handle *h);
void fuse_handle_finish(struct fuse_job *j, struct fuse_handle *h);	/* FLUSH and RELEASE; it is dead and nobody uses it */
int fuse_handle_finished(struct fuse_job *j);	/* waits for the FLUSH of the request's that is dead.  Its error */
void fuse_handle_dead(struct fuse_conn *c, struct fuse_handle *h);
void fuse_handle_free(struct fuse_conn *c, struct fuse_handle *h);
bool fuse_handle_locked(const struct fuse_conn *c, const struct fuse_handle *h);
bool fuse_handle_over(struct fuse_conn *c, uint32_t number);	/* nobody has it open any more */
void fuse_closed_later(struct fuse_job *j);	/* the request's `closed` */
void fuse_handles_sweep(struct fuse_conn *c, bool all);		/* all: the mount ends, nothing is open any more */
void fuse_handles_reap(struct fuse_job *j, struct fuse_node *n);	/* releases those of n nobody has any more */
bool fuse_needs_flush(const struct fuse_conn *c, const struct fuse_handle *h);
int fuse_flush(struct fuse_job *j, struct fuse_handle *h);
void fuse_release(struct fuse_job *j, struct fuse_handle *h);	/* RELEASE(DIR), then frees it */

/* ---- fuse_client.c --------------------------------------------------------------------------------------- */

void fuse_clients_may_open(struct fuse_conn *c, struct fuse_node *n);	/* for reading, without asking */
void fuse_clients_know(struct fuse_conn *c, struct fuse_node *n);	/* they may no more, and who has done so has a handle of ours */
void fuse_clients_know_all(struct fuse_conn *c);
struct fuse_handle *fuse_client_handle(struct fuse_conn *c, uint32_t number);	/* one of theirs is ours now; or NULL */
void fuse_client_gone(struct fuse_handle *h);	/* ... and closed */

/* ---- fuse_lock.c ----------------------------------------------------------------------------------------- */

struct fuse_lock {		/* held, or wanted */
	struct fuse_lock *next;		/* node->locks: by owner, each one's by start */
	uint64_t owner;			/* FUSE_OWNER_PROCESS | tgid, FUSE_OWNER_FILE | handle */
	uint64_t start, end;		/* first and last byte */
	uint32_t type;			/* F_RDLCK, F_WRLCK; wanted also F_UNLCK */
	enum fuse_lock_kind {
		LOCK_RECORD, LOCK_FLOCK,
		LOCK_THEIRS,		/* the server keeps it: a note that this owner has some */
	} kind;
	uint32_t pid;			/* whom F_GETLK names */
	uint32_t handle;		/* through which it was set */
};
#define FUSE_OWNER_PROCESS	(1ull << 32)
#define FUSE_OWNER_FILE		(2ull << 32)
#define FUSE_LOCK_END		((uint64_t)INT64_MAX)

/* What is in the way of `want`, but for owners that are gone: those lose their locks here.  NULL: nothing. */
const struct fuse_lock *fuse_lock_conflict(struct fuse_conn *c, struct fuse_node *n, const struct fuse_lock *want);
/* Waits until nothing is in the way, or -EAGAIN, -EDEADLK, -EINTR, -ENOTCONN. */
int fuse_lock_wait(struct fuse_job *j, struct fuse_node *n, const struct fuse_lock *want, bool wait);
/* The owner of *want has exactly that there now.  0 or -ENOLCK. */
int fuse_lock_set(struct fuse_conn *c, struct fuse_node *n, const struct fuse_lock *want);
void fuse_locks_drop(struct fuse_conn *c, struct fuse_node *n, uint64_t owner);
void fuse_locks_release(struct fuse_job *j, struct fuse_handle *h);	/* h is closed for good: at the server */
void fuse_locks_forget(struct fuse_conn *c, const struct fuse_handle *h);	/* ... and here */
uint64_t fuse_lock_owner(const struct fuse_job *j, const struct fuse_handle *h);	/* for FLUSH */
void fuse_locks_sweep(struct fuse_conn *c);	/* looks for owners that were killed */
bool fuse_locks_interrupted(const struct fuse_conn *c);	/* does somebody who waits have a signal? */
void fuse_locks_interrupt(struct fuse_conn *c);
void fuse_locks_end(struct fuse_conn *c);	/* nobody waits any more */
int fuse_unlock_at_server(struct fuse_job *j, struct fuse_handle *h, uint64_t owner);	/* fuse_ops_lock.c */

/* ---- fuse_standin.c -------------------------------------------------------------------------------------- */

int fuse_open_fifo(struct fuse_job *j, struct fuse_node *n);	/* who stands for it, into the reply */
void fuse_standin_unlinked(struct fuse_conn *c, struct fuse_node *n);	/* a name of n is gone */
void fuse_standins_free(struct fuse_conn *c);

/* ---- fuse_shadow.c, fuse_watch.c -------------------------------------------------------------------------- */

enum fuse_shadow_state {	/* of a node; all but the first pin it */
	SHADOW_NONE,
	SHADOW_SOME,		/* a file that is watched; a directory whose shadow has some of its names */
	SHADOW_FULL,		/* a directory that is watched: its shadow has all names */
};

struct fuse_place;
int fuse_shadow_begin(struct fuse_conn *c, bool for_ever);	/* something is going to be watched */
void fuse_shadow_end(struct fuse_conn *c);	/* ... all of that is in place, or has failed */
void fuse_shadow_free(struct fuse_conn *c);
void fuse_shadow_sweep(struct fuse_conn *c);	/* nobody may be watching any more */
int fuse_shadow_dir(struct fuse_conn *c, struct fuse_node *dir);	/* it has a shadow now */
int fuse_shadow_name(struct fuse_conn *c, struct fuse_node *dir, const char *name, size_t len, bool is_dir);
void fuse_shadow_keep(struct fuse_node *n, enum fuse_shadow_state state);
void fuse_shadow_attach(struct fuse_conn *c, struct fuse_node *n);	/* to what is open of it, or of what is in it */
long fuse_shadow_path(struct fuse_conn *c, const struct fuse_node *n, const struct fuse_place *p, char *buf, size_t size);

/* What has been done, told to who watches.  event: IN_ACCESS, IN_MODIFY, IN_ATTRIB; h, p: how n was reached, or NULL. */
void fuse_shadow_did(struct fuse_conn *c, const struct fuse_handle *h, const struct fuse_node *n,
		     const struct fuse_place *p, uint32_t event);
void fuse_shadow_set(struct fuse_conn *c, const struct fuse_handle *h, const struct fuse_node *n,
		     const struct fuse_place *p, uint32_t valid);	/* SETATTR */
void fuse_shadow_made(struct fuse_conn *c, const struct fuse_place *p, const struct fuse_node *n);
void fuse_shadow_linked(struct fuse_conn *c, const struct fuse_node *old, const struct fuse_place *p);
void fuse_shadow_gone(struct fuse_conn *c, const struct fuse_place *p);
void fuse_shadow_moved(struct fuse_conn *c, const struct fuse_place *from, const struct fuse_place *to, bool exchange);
void fuse_shadow_opened(struct fuse_conn *c, uint32_t handle, const struct fuse_place *p, bool truncated);
void fuse_shadow_closed(struct fuse_conn *c, struct fuse_handle *h);

/* ---- fuse_perm.c ----------------------------------------------------------------------------------------- */

#define MAY_EXEC	1
#define MAY_WRITE	2
#define MAY_READ	4

int fuse_may_enter(const struct fuse_job *j);			/* allow_other */
int fuse_may_change(const struct fuse_job *j);			/* EROFS */
int fuse_may(struct fuse_job *j, struct fuse_node *n, int mask);	/* under default_permissions */
int fuse_may_delete(struct fuse_job *j, struct fuse_node *dir, struct fuse_node *victim);
int fuse_may_setattr(struct fuse_job *j, struct fuse_node *n);
static inline bool fuse_checks(const struct fuse_conn *c)
{
	return __atomic_load_n(&c->shm->default_permissions, __ATOMIC_RELAXED);
}

/* ---- fuse_walk.c ----------------------------------------------------------------------------------------- */

struct fuse_place {
	struct fuse_node *dir;		/* pinned: where the last name is; NULL: the path is its start */
	struct fuse_node *node;		/* pinned: what is there; NULL: nothing */
	bool fresh;			/* node's attributes came with this very request */
	bool locked;			/* dir is, for a change */
	uint32_t at;			/* how much of the path is behind us, name included */
	uint32_t len;			/* of name */
	char name[UM_NAME_MOST + 1];
};

/* fuse_walk()'s flags */
#define WALK_NAME	1u		/* the last name need not exist */
#define WALK_NOFOLLOW	2u		/* a link at the end is what is wanted, whatever the request says */
#define WALK_SECOND	4u		/* base2, handle2 and path2 of the request; links on the way: -ELOOP */
#define WALK_PARENT	8u		/* stops in front of the last name (unless that is "."): node is NULL */

#define FUSE_STOPPED	1		/* met a link: the reply says so, answer 0 */

void fuse_link_read(struct fuse_job *j, struct fuse_node *n, int err);	/* READLINK of n gave err */
/* 0, FUSE_STOPPED or -errno.  After 0 fuse_place_put(). */
int fuse_walk(struct fuse_job *j, struct fuse_place *p, unsigned flags);
int fuse_walk_last(struct fuse_job *j, struct fuse_place *p, unsigned flags);	/* goes on; p->dir is locked */
void fuse_place_put(struct fuse_job *j, struct fuse_place *p);

/* fuse_readdir.c: the record at p, checked; its size, 0 if there is no whole one, or -EIO. */
long fuse_dirent(const uint8_t *p, uint32_t left, bool plus, const struct fuse_dirent **d);
/* The same for getdents64(2); nodeid: what is known of it, or 0.  Bytes; 0: more than `room`. */
uint32_t fuse_record(uint8_t *to, uint32_t room, const struct fuse_dirent *d, uint8_t type, uint64_t nodeid);
uint8_t fuse_dirent_type(struct fuse_conn *c, struct fuse_node *dir, const struct fuse_dirent *d);	/* DT_*, if only because we know the name */

/* fuse_change.c: fuse_walk() for who changes names there: nobody else does until fuse_change_end(), which is
 * fuse_place_put(), too.  Two: p[0] and p[1], by the request's first and second path, the latter with WALK_NAME. */
int fuse_change_begin(struct fuse_job *j, struct fuse_place *p, unsigned flags);
void fuse_change_unlock(struct fuse_place *p);	/* nothing will be changed: the place stays */
void fuse_change_end(struct fuse_job *j, struct fuse_place *p);
int fuse_change_begin_two(struct fuse_job *j, struct fuse_place *p, unsigned flags);
void fuse_change_end_two(struct fuse_job *j, struct fuse_place *p);

/* What the change is about, locked, too: a, then b (either may be NULL); the places keep them alive. */
struct fuse_subjects { struct fuse_node *node[2]; };
struct fuse_subjects fuse_change_lock(struct fuse_job *j, struct fuse_node *a, struct fuse_node *b);
struct fuse_subjects fuse_change_lock_moved(struct fuse_job *j, const struct fuse_place *from,
					    const struct fuse_place *to, bool exchange);
void fuse_subjects_unlock(const struct fuse_subjects *s);

/* The child p->name of p->dir, which is locked, if only shared: p->node, pinned; untouched if there is none. */
int fuse_lookup(struct fuse_job *j, struct fuse_place *p);

/* Makes sure that the attributes are valid (force: asks anyway).  h may be NULL.  0 or -errno. */
int fuse_getattr(struct fuse_job *j, struct fuse_node *n, const struct fuse_handle *h, bool force);

int fuse_statfs(struct fuse_job *j, const struct fuse_node *n, struct fuse_kstatfs *st);

/* The reply to something that made a new name: checked, entered into the tables; *out pinned. */
int fuse_created(struct fuse_job *j, struct fuse_place *p, const struct fuse_entry_out *e, uint32_t type,
		 uint64_t version, struct fuse_node **out);

/* The request's open file, used by j, if it may be read (unwanted: O_WRONLY) or written (O_RDONLY), or is open at all (O_ACCMODE). */
int fuse_io_begin(struct fuse_job *j, struct fuse_handle **out, uint32_t unwanted);
void fuse_size_reaches(struct fuse_job *j, struct fuse_node *n, uint64_t end);	/* it has been written up to there */

/* ---- fuse_ops.c, fuse_ops_attr.c, fuse_ops_file.c, fuse_ops_dir.c ------------------------------------------ */

typedef int (*fuse_op_fn)(struct fuse_job *j);	/* 0, FUSE_STOPPED or -errno; the reply is in j->rep */
int fuse_op(struct fuse_job *j);		/* the one for j->req.op */

int fuse_op_stat(struct fuse_job *j);
int fuse_op_setattr(struct fuse_job *j);
int fuse_op_statfs(struct fuse_job *j);
int fuse_op_access(struct fuse_job *j);
int fuse_op_getxattr(struct fuse_job *j);
int fuse_op_setxattr(struct fuse_job *j);
int fuse_op_listxattr(struct fuse_job *j);
int fuse_op_removexattr(struct fuse_job *j);
int fuse_op_open(struct fuse_job *j);
int fuse_op_closed(struct fuse_job *j);
int fuse_op_read(struct fuse_job *j);
int fuse_op_write(struct fuse_job *j);
int fuse_op_seek(struct fuse_job *j);
int fuse_op_ioctl(struct fuse_job *j);
int fuse_op_copy(struct fuse_job *j);
int fuse_op_map(struct fuse_job *j);
int fuse_op_msync(struct fuse_job *j);
int fuse_op_fsync(struct fuse_job *j);
int fuse_op_setfl(struct fuse_job *j);
int fuse_op_fallocate(struct fuse_job *j);
int fuse_op_readdir(struct fuse_job *j);
int fuse_op_readlink(struct fuse_job *j);
int fuse_op_symlink(struct fuse_job *j);
int fuse_op_link(struct fuse_job *j);
int fuse_op_mknod(struct fuse_job *j);
int fuse_op_mkdir(struct fuse_job *j);
int fuse_op_unlink(struct fuse_job *j);
int fuse_op_rmdir(struct fuse_job *j);
int fuse_op_rename(struct fuse_job *j);
int fuse_op_pathof(struct fuse_job *j);
int fuse_op_lock(struct fuse_job *j);
int fuse_op_standin(struct fuse_job *j);
int fuse_op_watch(struct fuse_job *j);
int fuse_op_poll(struct fuse_job *j);

/* Handle or path, whichever the request names: the node, pinned.  h is NULL for a path. */
struct fuse_target {
	struct fuse_handle *h;
	struct fuse_node *node;
	struct fuse_place place;
	bool fresh;
};
int fuse_target(struct fuse_job *j, struct fuse_target *t, unsigned flags);
void fuse_target_put(struct fuse_job *j, struct fuse_target *t);

int fuse_truncate(struct fuse_job *j, struct fuse_node *n, uint64_t size);	/* for O_TRUNC */
uint32_t fuse_new_mode(const struct fuse_job *j);	/* permissions of what is made, less the umask unless the server masks */
int fuse_mknod(struct fuse_job *j, struct fuse_place *p, uint32_t mode, uint32_t rdev);	/* p->node: the new one */
int fuse_kill_suid(struct fuse_job *j, struct fuse_node *n);	/* before somebody but root writes */

#endif
