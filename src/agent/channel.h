/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client's half of a channel (wire/channel.h): a guest thread calls a server.
 */
#ifndef UM_AGENT_CHANNEL_H
#define UM_AGENT_CHANNEL_H

#include "../kernel/task.h"

/*
 * Our slot at `server` (0: the monitor), claimed on first use, with a zeroed request whose op, uid, gid,
 * pid, umask, view and epoch are filled.  Never nested: one request per thread and server at a time.
 * NULL and *error = -ENOTCONN (dead), -ENOMEM, -EAGAIN (no slot free).
 */
struct um_slot *channel_begin(struct task *t, uint32_t server, uint32_t op, int *error);

/* Puts a string at the right place of the data window and its length into the request.  Call path
 * before path2.  0 or -ENAMETOOLONG. */
int channel_path(struct um_slot *s, const char *path, size_t len);
int channel_path2(struct um_slot *s, const char *path, size_t len);

/* Posts the request and waits for the answer; a signal sends an interrupt, the answer is still awaited.
 * Returns rep.error, or -ENOTCONN when the server died.  The slot's rep and data stay valid until the
 * thread's next channel_begin() to that server. */
long channel_call(struct task *t, uint32_t server, struct um_slot *s);

/* Posts it, and nobody waits for the answer: the thread's next request to that server comes after it. */
long channel_tell(struct task *t, uint32_t server, struct um_slot *s);

/* The thread's next request to that server, whatever it is about, says that handle is closed.  false: there is one for that already. */
bool channel_later(struct task *t, uint32_t server, uint32_t handle);

/* The same for the later pieces of a call: sent even if a signal waits, so that a long read or write of a
 * regular file does not come out short because of it. */
long channel_call_on(struct task *t, uint32_t server, struct um_slot *s);

/* The head of a server's area, mapped read-write for this thread; NULL and *error as channel_begin(). */
struct um_server *channel_server(struct task *t, uint32_t server, int *error);

void channel_task_exit(struct task *t);		/* thread ends: gives the slots back */
void channel_after_fork(struct task *t);	/* child: forget the parent's slots */

#endif
