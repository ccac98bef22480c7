/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The private system call: how a process talks to its view (wire/channel.h, enum um_call).
 *
 * What the shared memory tells is read here; the rest goes to the monitor as a control request.  The
 * programs that use it are umview's own commands (src/monitor/client.c), but any guest may: everything is
 * checked, and nothing in it gives more rights than the guest has.
 */
#include "../cred.h"
#include "../perm.h"
#include "../task.h"
#include "../view.h"
#include "../../agent/catch.h"
#include "../../agent/channel.h"
#include "../../agent/heap.h"
#include "handlers.h"
#include <linux/mman.h>

#define LINE_MAX_SIZE	1000u
#define SNAPSHOT_TRIES	1000

/* ---- a private copy of the mount table ------------------------------------------------------------- */

/*
 * Copies the valid snapshot, with zeros behind it so that every string in it ends.  NULL: no memory, or
 * the monitor writes faster than we read.  *size: its bytes.
 */
static struct um_snapshot *snapshot_copy(uint32_t *size)
{
	for (int n = 0; n < SNAPSHOT_TRIES; n++) {
		uint32_t k = __atomic_load_n(&process.views->current, __ATOMIC_ACQUIRE);
		const struct um_snapshot *s = (const struct um_snapshot *)
			((const char *)process.views + um_snapshot_at(k));
		uint64_t seq = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);
		uint32_t used = s->size > sizeof *s ? s->size : sizeof *s;

		if (seq & 1 || used > um_snapshot_limit(k))
			continue;
		struct um_snapshot *copy = heap_alloc(used + 8);
		if (!copy)
			return NULL;
		memcpy(copy, s, used);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (__atomic_load_n(&s->seq, __ATOMIC_RELAXED) == seq) {
			*size = used;
			return copy;
		}
		heap_free(copy);
	}
	return NULL;
}

static const struct um_mount *snapshot_mount(const struct um_snapshot *s, uint32_t size, uint32_t i)
{
	uint64_t at = s->mounts + (uint64_t)i * sizeof(struct um_mount);

	if (at & 3 || at + sizeof(struct um_mount) > size)
		return NULL;
	return (const struct um_mount *)((const char *)s + at);
}

static uint32_t count_visible(const struct task *t)
{
	uint32_t size, n = 0;
	struct um_snapshot *s = snapshot_copy(&size);

	for (uint32_t i = 0; s && i < s->nmounts; i++) {
		const struct um_mount *m = snapshot_mount(s, size, i);
		n += m && m->id < t->epoch && !(m->flags & UM_MNT_PART);
	}
	heap_free(s);
	return n;
}

/* ---- UM_CALL_INFO ----------------------------------------------------------------------------------- */

static long call_info(struct task *t, gaddr buf, unsigned long size)
{
	struct um_info info = {
		.version = UM_WORLD_VERSION, .view = t->view, .epoch = t->epoch,
		.monitor_pid = process.world->monitor_pid, .nmounts = count_visible(t),
		.depth = process.views->depth, .strict = t->cred && t->cred->strict,
	};

	memcpy(info.name, process.views->name, sizeof info.name);
	info.name[sizeof info.name - 1] = 0;
	if (copy_to_guest(t, buf, &info, size < sizeof info ? size : sizeof info) < 0)
		return -EFAULT;
	return sizeof info;
}

/* ---- UM_CALL_MOUNTS --------------------------------------------------------------------------------- */

/* Collects the records in guest memory. */
struct collector {
	struct task *t;
	gaddr buf;
	unsigned long size, used;
};

static long collect(struct collector *c, const void *p, size_t n)
{
	if (n > c->size - c->used)
		return -ERANGE;
	if (copy_to_guest(c->t, c->buf + c->used, p, n) < 0)
		return -EFAULT;
	c->used += n;
	return 0;
}

static void describe_server(struct um_mount_info *info)
{
	long at;

	info->state = UM_SERVER_LIVE;
	if (info->kind != UM_MOUNT_REMOTE || info->server >= UM_SERVERS)
		return;
	at = own_map(4096, PROT_READ, MAP_SHARED, process.world_fd, UM_OFF_SERVER(info->server));
	if (at < 0)
		return;
	const struct um_server *s = (const struct um_server *)at;
	info->state = __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
	info->pid = s->pid;
	info->keeper = s->keeper;
	info->proto_major = __atomic_load_n(&s->proto_major, __ATOMIC_ACQUIRE);
	own_unmap((void *)at, 4096);
}

/* The strings of a mount: path, source, fstype, options, target. */
#define STRINGS	5

static long collect_mount(struct collector *c, const struct um_snapshot *s, uint32_t size, const struct um_mount *m)
{
	static const char zeros[8];
	const uint32_t at[STRINGS] = { m->path, m->source, m->fstype, m->options, m->target };
	uint32_t len[STRINGS], total = sizeof(struct um_mount_info);
	struct um_mount_info info = {
		.id = m->id, .kind = m->kind, .server = m->server, .flags = m->flags, .view = m->view,
	};

	for (int i = 0; i < STRINGS; i++) {
		if (at[i] >= size)
			return -EIO;
		len[i] = strlen((const char *)s + at[i]);
		total += len[i] + 1;
	}
	uint32_t padding = -total & 7;
	info.size = total + padding;
	info.path_len = len[0];
	info.source_len = len[1];
	info.fstype_len = len[2];
	info.options_len = len[3];
	info.target_len = len[4];
	describe_server(&info);
	long r = collect(c, &info, sizeof info);
	for (int i = 0; i < STRINGS && r == 0; i++)
		r = collect(c, (const char *)s + at[i], len[i] + 1);
	return r < 0 ? r : collect(c, zeros, padding);
}

static long call_mounts(struct task *t, gaddr buf, unsigned long size)
{
	struct collector c = { .t = t, .buf = buf, .size = size };
	uint32_t bytes;
	struct um_snapshot *s = snapshot_copy(&bytes);
	long r = 0;

	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->nmounts && r == 0; i++) {
		const struct um_mount *m = snapshot_mount(s, bytes, i);
		if (m && m->id < t->epoch && !(m->flags & UM_MNT_PART))
			r = collect_mount(&c, s, bytes, m);
	}
	heap_free(s);
	return r < 0 ? r : (long)c.used;
}

/* ---- requests to the monitor ------------------------------------------------------------------------ */

static long call_with_text(struct task *t, uint32_t op, gaddr text, struct um_slot **slot)
{
	char line[LINE_MAX_SIZE];
	int error;
	long n = text ? string_from_guest(t, line, text, sizeof line) : 0;

	if (n < 0)
		return n;
	struct um_slot *s = channel_begin(t, 0, op, &error);
	if (!s)
		return error;
	error = channel_path(s, line, n);
	if (error < 0)
		return error;
	*slot = s;
	return channel_call(t, 0, s);
}

/* The view changes for this process: its threads share the mapping, its later children inherit it. */
static long call_branch(struct task *t, gaddr name)
{
	struct um_slot *s;
	long r = call_with_text(t, UM_CTL_BRANCH, name, &s);

	if (r < 0)
		return r;
	uint32_t view = s->rep.handle;
	if (view >= UM_VIEWS)
		return -EIO;
	r = view_map(view);
	if (r < 0)
		return r;
	t->view = view;
	view_links_changed(t);
	return view;
}

static long call_branch_end(struct task *t, unsigned long view)
{
	int error;
	struct um_slot *s = channel_begin(t, 0, UM_CTL_BRANCH_END, &error);

	if (!s)
		return error;
	s->req.handle = view;
	return channel_call(t, 0, s);
}

static long call_log(struct task *t, gaddr line)
{
	struct um_slot *s;

	return call_with_text(t, UM_CTL_LOG, line, &s);
}

/* What is done then is done outside, to what is real. */
static long call_review(struct task *t, gaddr text)
{
	struct um_slot *s;
	long r = t->cred && t->cred->strict ? -EPERM : call_with_text(t, UM_CTL_REVIEW, text, &s);

	return r < 0 ? r : (long)s->rep.handle;
}

/* Reviewing such a session is work on what is below it, where the view alone has that. */
static long call_below(struct task *t, unsigned long id)
{
	struct mount m;

	if (t->cred && t->cred->strict)
		return -EPERM;
	if (view_mount_by_id(t, (uint32_t)id, &m, NULL, 0) || m.id >= t->epoch || m.kind != UM_MOUNT_COW || !(m.flags & UM_MNT_OVER))
		return -EINVAL;
	t->epoch = m.id;
	view_links_changed(t);
	return 0;
}

/* A request whose answer is bytes in the data window. */
static long call_for_data(struct task *t, uint32_t op, uint32_t mode, gaddr buf, unsigned long size)
{
	int error;
	struct um_slot *s = channel_begin(t, 0, op, &error);

	if (!s)
		return error;
	s->req.mode = mode;
	s->req.size = size;
	long r = channel_call(t, 0, s);
	if (r < 0)
		return r;
	uint64_t n = s->rep.size;
	if (n > UM_DATA_SIZE)
		return -EIO;
	if (n > size)
		return -ERANGE;
	return copy_to_guest(t, buf, s->data, n) < 0 ? -EFAULT : (long)n;
}

#define SERVANT_HOW	(UM_SERVANT_ROOT | UM_SERVANT_RO | UM_SERVANT_MERGE | UM_SERVANT_ALONE | UM_SERVANT_UID | UM_SERVANT_GID)

static long call_servant(struct task *t, uint32_t flags, unsigned long a, unsigned long b)
{
	struct um_slot *s;
	int error;

	if (flags & UM_SERVANT_LIST)
		return call_for_data(t, UM_CTL_SERVANT, UM_SERVANT_LIST, a, b);
	if (flags & ~SERVANT_HOW)
		return -EINVAL;
	s = channel_begin(t, 0, UM_CTL_SERVANT, &error);
	if (!s)
		return error;
	s->req.mode = flags;
	s->req.set_uid = (uint32_t)a;
	s->req.set_gid = (uint32_t)b;
	return channel_call(t, 0, s);
}

/* Anybody may be anybody here, for to the kernel he remains who he is; but he who is kept from what is not his needs the right to. */
static long call_identity(struct task *t, gaddr text)
{
	char line[UM_CRED_TEXT];
	long r = string_from_guest(t, line, text, sizeof line);
	struct cred *c, *old = t->cred;

	if (r >= 0 && perm_capable(t, CRED_SETUID) + perm_capable(t, CRED_SETGID))
		r = -EPERM;
	if (r < 0)
		return r;
	c = cred_login(line, old);
	if (!c)
		return -EINVAL;
	r = old ? 0 : catch_identity();
	if (r < 0) {
		heap_free(c);
		return r;
	}
	__atomic_fetch_or(&process.watch, WATCH_IDENTITY, __ATOMIC_RELAXED);
	t->cred = c;
	heap_free(old);
	return 0;
}

long sys_um_call(struct task *t, unsigned long op, unsigned long a, unsigned long b, unsigned long c)
{
	switch (op) {
	case UM_CALL_INFO:		return call_info(t, a, b);
	case UM_CALL_BRANCH:		return call_branch(t, a);
	case UM_CALL_BRANCH_END:	return call_branch_end(t, a);
	case UM_CALL_LOG:		return call_log(t, a);
	case UM_CALL_SERVER_LOG:	return call_for_data(t, UM_CTL_LOG_READ, 0, a, b);
	case UM_CALL_SERVANT:		return call_servant(t, a, b, c);
	case UM_CALL_MOUNTS:		return call_mounts(t, a, b);
	case UM_CALL_REVIEW:		return call_review(t, a);
	case UM_CALL_BELOW:		return call_below(t, a);
	case UM_CALL_IDENTITY:		return call_identity(t, a);
	default:			return -ENOSYS;
	}
}
