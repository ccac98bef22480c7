/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor of a view: the process that owns the world file, answers control requests and looks after
 * the servers (struct monitor: control.c, servers.c); and the life of a view, which is the same for a
 * view of its own and for a branch of one (struct life: monitor.c, guest.c, branch.c).
 *
 * One thread does everything.  The helper threads only turn a sleep that poll(2) cannot do (a futex, a
 * lock) into a readable descriptor; they touch nothing else.
 */
#ifndef UM_MONITOR_MONITOR_H
#define UM_MONITOR_MONITOR_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"
#include "world.h"

/* ---- servers -------------------------------------------------------------------------------------- */

enum end_stage {
	END_NOT,
	END_LAZY,		/* taken out of the views; told when its last open file is closed */
	END_TOLD,		/* its next read gives ENODEV; we wait for it to exit */
	END_TERM,		/* it was asked by SIGTERM */
	END_KILLED,
};

struct server {
	struct um_server *shm;	/* first page of its area; NULL until the number is used */
	int64_t opened;		/* ms: when the number was given out */
	int64_t gone_at;	/* ms: when its /dev/fuse was closed for good; 0 = it is open */
	uint32_t life;		/* grows with every use of the number */
	bool served;		/* it was mounted */
	char *path;		/* where, and the mount's number: known even when the mount is gone */
	uint32_t mount;
	bool reclaim;		/* it has ended, and its memory is still to be given back */
	int rewakes;		/* how often those who wait for it are still to be woken */
	int64_t rewake_at;
	enum end_stage ending;
	int64_t deadline;
	pid_t pid;		/* whose exit is awaited */
	int pidfd;
	int waiter;		/* slot of the umount that waits, or -1 */
	int shadow;		/* shadow.c: the directory, -1 = none */
	char *shadow_path;	/* where it is, NULL = nowhere */
};

/* A process below which servers run: `umview mount` started it. */
struct keeper {
	pid_t pid;
	int pidfd;
	uint32_t flags;		/* UM_SERVANT_*, and for those */
	uint32_t uid, gid;
};

#define MAX_KEEPERS	UM_SERVERS

/* A branch whose monitor may die. */
struct branch {
	uint32_t view;
	int pidfd;		/* of its monitor, or -1 */
	bool ending;
	int waiter;		/* slot of the BRANCH_END that waits */
	uint32_t server;	/* which is ending now, or 0 */
};

#define MAX_SESSIONS	64

/* A session of copy-on-write that is, or was, mounted (sessions.c). */
struct used_session {
	char *dir, *lower;
	int lock_fd;		/* -1: not mounted any more */
};

struct monitor {
	struct world w;
	char *command;		/* for people: what the view is for */
	struct used_session sessions[MAX_SESSIONS];
	int nsessions;
	struct server servers[UM_SERVERS];	/* 0 is ourselves */
	uint32_t next_server;
	struct um_slot *slots[UM_SLOTS];	/* of area 0, mapped when first used */
	struct keeper keepers[MAX_KEEPERS];
	int nkeepers;
	struct branch branches[UM_VIEWS];
	int nbranches;
	int bell_fd;		/* eventfd: area 0's doorbell rang */
	int gone_fd[2];		/* pipe: a struct gone per lock that was let go */
	bool closing;		/* the view ends */
};

int64_t now_ms(void);

/* 0 or -errno.  A monitor that was started can be ended only by exit (its threads sleep for ever), but
 * for tests monitor_stop() takes down what can be. */
int monitor_start(struct monitor *m);
void monitor_stop(struct monitor *m);

/* What to poll, and what to do about it.  monitor_poll returns the number of entries it filled (at most
 * MONITOR_POLLS), and lowers *timeout (ms, < 0: for ever) if something is due earlier. */
#define MONITOR_POLLS	(2 + UM_SERVERS + MAX_KEEPERS + UM_VIEWS)
int monitor_poll(struct monitor *m, struct pollfd *fds, int *timeout);
void monitor_work(struct monitor *m);

/* The view ends: unmount everything, newest first.  Call until it returns true. */
bool monitor_close(struct monitor *m);

/* control.c */
void control_serve(struct monitor *m);
void control_answer(struct monitor *m, int slot, int error);
struct um_slot *control_slot(struct monitor *m, uint32_t k);

/* servers.c */
int thread_start(void *(*run)(void *), void *arg);	/* a small detached thread: 0 or -errno */
int servers_start(struct monitor *m);
void servers_stop(struct monitor *m);
int server_new(struct monitor *m);
void server_mounted(struct monitor *m, uint32_t s, uint32_t mount, const char *path);
bool server_is_busy(struct monitor *m, uint32_t s);	/* something of it is open, or somebody's cwd */
/* The mount was taken out of its last view: let the server end.  lazy: when nothing of it is open. */
void server_end(struct monitor *m, uint32_t s, bool lazy, int waiter);
void servers_gone(struct monitor *m);			/* reads gone_fd */
void servers_work(struct monitor *m);			/* deadlines, exits */
int servers_timeout(struct monitor *m, int timeout);
bool servers_ending(struct monitor *m);
void server_wake(struct monitor *m, uint32_t s);	/* everybody who waits for it */
void server_ring(struct um_server *shm);
void servers_reclaim(struct monitor *m);		/* reclaim.c: memory of those that have ended */
void server_forget(struct monitor *m, uint32_t s);

/* private.c: directories that tmpfs mounts show.  private_make: 0, or -errno and nothing is there. */
#define PRIVATE_PATH	4096
int private_make(const struct monitor *m, unsigned mode, char path[PRIVATE_PATH]);
void private_remove(const char *path);		/* in the background */

/* sessions.c.  sessions_take: 0; -EALREADY: somebody else works on it; -errno.  sessions_finish: when the view has ended. */
int sessions_take(struct monitor *m, const char *tree, const char *lower);
void sessions_release(struct monitor *m, const char *tree);
void sessions_finish(struct monitor *m);

/* keepers.c */
int keeper_add(struct monitor *m, pid_t pid, const struct um_request *req);
struct keeper *keeper_of(struct monitor *m, pid_t pid);	/* the one pid runs below, or NULL */
void keepers_work(struct monitor *m);			/* forgets those that are gone */
int monitor_servants(struct monitor *m, pid_t *pids, int max);

/* shadow.c: a directory for what stands for files that are watched; 0 or -errno. */
int shadow_open(struct server *srv, uint32_t s);
void shadow_close(struct server *srv);

/* umount.c */
int umount_request(struct monitor *m, const struct um_request *req, const char *path, int slot);
int branch_end_request(struct monitor *m, uint32_t view, int slot);
void branches_work(struct monitor *m);
/* Takes a mount out of a view; answers `slot` (or -1) when that is done.  Returns the server that ends, or 0. */
uint32_t mount_end(struct monitor *m, uint32_t view, struct mount_rec *r, bool lazy, int slot);

/* umount_request, branch_end_request: the answer comes later, by control_answer(). */
#define ANSWER_LATER	1

/* ---- the life of a view --------------------------------------------------------------------------- */

struct life;

/* What differs between a view of its own and a branch of one. */
struct life_ops {
	int (*begin)(struct life *l);				/* in the monitor: 0 or -errno */
	void (*exec)(struct life *l, const char *file, char **argv);	/* in a guest's process; returns on failure only */
	int (*servants)(struct life *l, pid_t *pids, int max);	/* processes that are no guests */
	bool (*has_mounts)(struct life *l);
	bool (*close)(struct life *l);				/* unmount all; true when done, else call again */
};
extern const struct life_ops own_view, branch_view;

enum phase {
	PHASE_STEPS,		/* --mount, --bind: each is a guest that has to succeed */
	PHASE_COMMAND,
	PHASE_AFTER,		/* COMMAND has ended; are there other guests? */
	PHASE_CLOSING,		/* nobody is left: unmount */
	PHASE_DRAIN,		/* wait for what the servers left running */
	PHASE_OVER,
};

#define SIGSETXID	33		/* the C library's own; it has no name for it */
struct raw_action { void *handler; unsigned long flags; void *restorer; unsigned long mask; };	/* the kernel's */

struct life {
	const struct options *o;
	const struct life_ops *ops;
	struct monitor *m;		/* own_view */
	int view;			/* branch_view: its number */
	int image_fd, trace_fd, log_fd;	/* -1: none */
	char *identity;			/* of COMMAND, for an agent (identity.h), or NULL */
	char *table_save;		/* --fakeroot-save, absolute, or NULL */
	char self[4096];		/* path of the umview binary */

	pid_t launcher;
	pid_t pgid;			/* the launcher's process group: COMMAND's too */
	int socket;			/* to the launcher, or (in the launcher) to the monitor; -1 when closed */
	sigset_t mask;			/* as the launcher found it */
	bool chld_ignored, setxid_ignored;

	enum phase phase;
	int step;
	pid_t child;			/* of the step, or COMMAND; 0 when it has ended */
	int64_t recheck;		/* ms: whether the launcher runs again; 0 = no need */
	bool failed;
	int64_t since;			/* ms: when the phase began */
	int pressed;			/* signals sent to what remains */
};

/* Between launcher and monitor: SOCK_SEQPACKET. */
enum message_kind {
	MSG_SAY,		/* text: print it */
	MSG_STATUS,		/* value: COMMAND's wait status */
	MSG_STOPPED,		/* value: the signal that stopped COMMAND, text: its number */
	MSG_FAILED,		/* a step failed, or COMMAND could not be started: exit 125 */
	MSG_BACKGROUND,		/* guests live on: do not wait */
	MSG_ENDED,		/* the view is no more */
	MSG_SIGNAL,		/* launcher to monitor, value: send it to COMMAND */
};

struct message {
	int32_t kind, value;
	char text[1024];
};

void message_send(int socket, enum message_kind kind, int value, const char *text);
/* 1, 0 at the end, or -EAGAIN. */
int message_receive(int socket, struct message *msg);

/* launch.c */
int launch(const struct options *o, bool inside);	/* returns the exit status */
/* Closes what was inherited for COMMAND; 0, 1 and (unless kept) 2 become /dev/null. */
void drop_inherited(bool keep_stderr);
/* COMMAND as one line for people, which may be cut short.  Allocated. */
char *command_text(const struct options *o);

/* tier.c: the tier of a new view, into its world.  0, or -1 after having said why not. */
int tier_choose(struct life *l);

/* monitor.c: the monitor process. */
_Noreturn void life_main(struct life *l);

/* guest.c */
pid_t guest_spawn(struct life *l, const char *file, char **argv);	/* or -errno */
/* The guests that live, or all that runs below us.  Their number (at most max) or -errno. */
int life_guests(struct life *l, pid_t *pids, int max, bool servants_too);
int image_open(void);					/* the agent as a file that can be executed, or -errno */

#endif
