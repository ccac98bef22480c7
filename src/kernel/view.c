/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a view.
 *
 * The monitor writes a new snapshot of the mount table into a ring and then says which one is valid
 * (wire/world.h).  A reader takes the valid one, reads, and looks at its sequence number again: if the
 * ring has come round meanwhile, it reads again.  What is read before that check may be torn, so every
 * offset is held against the size of a snapshot, and every loop is bounded; nothing is believed before
 * the check.  Readers never write and never wait.
 */
#include <linux/mman.h>
#include "view.h"

#define MAX_TRIES	1000	/* the ring came round that often: the monitor has gone mad */

struct reader {
	const char *base;	/* of the snapshot */
	const struct um_snapshot *head;
	uint64_t seq;
	uint32_t limit;		/* bytes it may have */
};

static bool reader_begin(struct reader *r)
{
	uint32_t k = __atomic_load_n(&process.views->current, __ATOMIC_ACQUIRE);

	r->base = (const char *)process.views + um_snapshot_at(k);
	r->limit = um_snapshot_limit(k);
	r->head = (const struct um_snapshot *)r->base;
	r->seq = __atomic_load_n(&r->head->seq, __ATOMIC_ACQUIRE);
	return !(r->seq & 1);
}

static bool reader_valid(const struct reader *r)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&r->head->seq, __ATOMIC_RELAXED) == r->seq;
}

static const struct um_mount *mount_at(const struct reader *r, uint32_t index)
{
	uint64_t at = r->head->mounts + (uint64_t)index * sizeof(struct um_mount);

	if (index >= r->head->nmounts || at & 3 || at + sizeof(struct um_mount) > r->limit)
		return NULL;
	return (const struct um_mount *)(r->base + at);
}

/* A string of the snapshot, "" if the offset is 0 or garbage. */
static const char *string_at(const struct reader *r, uint32_t offset, size_t *len)
{
	size_t n = 0;

	*len = 0;
	if (!offset || offset >= r->limit)
		return "";
	while (offset + n < r->limit && r->base[offset + n])
		n++;
	*len = n;
	return r->base + offset;
}

static const struct um_hash *hash_find(const struct reader *r, const char *path, size_t len, uint32_t key)
{
	uint32_t size = r->head->hash_size;
	uint64_t table = r->head->hash;

	if (size & (size - 1) || table & 3 || table + (uint64_t)size * sizeof(struct um_hash) > r->limit)
		return NULL;
	for (uint32_t n = 0, i = key; n < size; n++, i++) {
		const struct um_hash *h = (const struct um_hash *)(r->base + table) + (i & (size - 1));

		if (!h->path)
			return NULL;
		if (h->key == key && h->path_len == len && (uint64_t)h->path + len <= r->limit &&
		    !memcmp(r->base + h->path, path, len))
			return h;
	}
	return NULL;
}

/* The newest mount from `index` (1 + index) downwards, of those below `rank`, that a process with this epoch sees. */
static const struct um_mount *visible(const struct reader *r, uint32_t index, uint32_t epoch, uint32_t rank)
{
	for (uint32_t n = 0; index && n < r->limit / sizeof(struct um_mount); n++) {
		const struct um_mount *m = mount_at(r, index - 1);

		if (!m || (m->id < epoch && m->rank < rank))
			return m;
		index = m->below;
	}
	return NULL;
}

static void mount_copy(struct mount *m, const struct um_mount *from)
{
	m->id = from->id;
	m->rank = from->rank;
	m->kind = from->kind;
	m->server = from->server;
	m->flags = from->flags;
	m->is_dir = from->is_dir;
	m->dev_minor = from->dev_minor;
	m->epoch = from->epoch;
	m->path_len = from->path_len;
}

/*
 * Most paths that are looked up have nothing to do with any mount; often their length tells.  One word, so
 * that it is read and written at once: the snapshot it is about, and which lengths (modulo 32) its paths have.
 */
static uint64_t filter;

static uint32_t lengths_of(const struct reader *r)
{
	uint64_t table = r->head->hash, size = r->head->hash_size;
	uint32_t lengths = 0;

	if (table & 3 || table + size * sizeof(struct um_hash) > r->limit)
		return UINT32_MAX;
	for (uint32_t i = 0; i < size; i++) {
		const struct um_hash *h = (const struct um_hash *)(r->base + table) + i;

		if (h->path)
			lengths |= 1u << (h->path_len & 31);
	}
	return lengths;
}

static bool filtered(const struct reader *r, size_t len)
{
	uint64_t f = __atomic_load_n(&filter, __ATOMIC_RELAXED);

	if (f >> 32 != (uint32_t)r->seq) {
		f = r->seq << 32 | lengths_of(r);
		if (!reader_valid(r))
			return false;
		__atomic_store_n(&filter, f, __ATOMIC_RELAXED);
	}
	return !(f >> (len & 31) & 1);
}

static enum view_hit lookup_once(const struct reader *r, uint32_t epoch, uint32_t rank, const char *path, size_t len,
				 uint32_t key, struct mount *m)
{
	const struct um_hash *h = hash_find(r, path, len, key ? key : um_path_hash(path, (uint32_t)len));
	const struct um_mount *found;

	if (!h)
		return VIEW_PLAIN;
	found = visible(r, h->mount, epoch, rank);
	if (!found)
		return VIEW_ABOVE;
	mount_copy(m, found);
	return VIEW_MOUNT;
}

static inline enum view_hit lookup(uint32_t epoch, uint32_t rank, const char *path, size_t len, uint32_t key, struct mount *m)
{
	struct reader r;

	for (int n = 0; n < MAX_TRIES; n++) {
		if (!reader_begin(&r))
			continue;
		enum view_hit hit = VIEW_PLAIN;
		if (r.head->nmounts && !filtered(&r, len))
			hit = lookup_once(&r, epoch, rank, path, len, key, m);
		if (reader_valid(&r))
			return hit;
	}
	return VIEW_PLAIN;
}

enum view_hit view_lookup_key(uint32_t epoch, const char *path, size_t len, uint32_t key, struct mount *m)
{
	return lookup(epoch, UINT32_MAX, path, len, key, m);
}

enum view_hit view_lookup_under(uint32_t epoch, uint32_t rank, const char *path, size_t len, struct mount *m)
{
	return lookup(epoch, rank, path, len, 0, m);
}

enum view_hit view_lookup_at(uint32_t epoch, const char *path, size_t len, struct mount *m)
{
	return view_lookup_key(epoch, path, len, 0, m);
}

enum view_hit view_lookup(const struct task *t, const char *path, size_t len, struct mount *m)
{
	return view_lookup_at(t->epoch, path, len, m);
}

static struct um_world *writable;	/* the header once more, when it was first needed so */
static void *separate;			/* the span of a view that is not the first */

int view_map_world(void)
{
	long at = own_map(UM_OFF_VIEW(0) + UM_VIEW_SPAN, PROT_READ, MAP_SHARED, process.world_fd, 0);

	if (at < 0)
		return (int)at;
	process.world = (const struct um_world *)at;
	return 0;
}

static struct um_world *writable_world(void)
{
	struct um_world *w = __atomic_load_n(&writable, __ATOMIC_ACQUIRE);
	if (!w) {
		long at = own_map(4096, PROT_READ | PROT_WRITE, MAP_SHARED, process.world_fd, 0);
		if (at < 0)
			agent_panic("the world's header cannot be mapped for writing (%ld)", -at);
		w = (struct um_world *)at;
		__atomic_store_n(&writable, w, __ATOMIC_RELEASE);	/* mapped twice by two threads: no harm */
	}
	return w;
}

void view_links_changed(const struct task *t)
{
	(void)t;
	__atomic_fetch_add(&writable_world()->links, 1, __ATOMIC_ACQ_REL);
}

void view_vstat_used(void)
{
	if (!__atomic_load_n(&process.world->vstat_used, __ATOMIC_RELAXED))
		__atomic_store_n(&writable_world()->vstat_used, 1, __ATOMIC_RELEASE);
}

int view_map(uint32_t view)
{
	long at;

	if (view >= UM_VIEWS)
		return -EINVAL;
	if (view == 0 && process.world) {
		at = (long)process.world + UM_OFF_VIEW(0);
	} else {
		at = own_map(UM_VIEW_SPAN, PROT_READ, MAP_SHARED, process.world_fd, UM_OFF_VIEW(view));
		if (at < 0)
			return (int)at;
	}
	if (separate)
		own_unmap(separate, UM_VIEW_SPAN);
	separate = view ? (void *)at : NULL;
	process.views = (const struct um_view_slot *)at;
	__atomic_store_n(&filter, 0, __ATOMIC_RELAXED);
	return 0;
}

/* ---- mounts by id --------------------------------------------------------------------------------- */

static const struct um_mount *find_id(const struct reader *r, uint32_t id)
{
	for (uint32_t i = 0; i < r->head->nmounts; i++) {
		const struct um_mount *m = mount_at(r, i);

		if (!m || m->id == id)
			return m;
	}
	return NULL;
}

static int copy_string(const struct reader *r, uint32_t offset, char *buf, size_t size)
{
	size_t len;
	const char *s = string_at(r, offset, &len);

	if (len >= size)
		return -ENAMETOOLONG;
	memcpy(buf, s, len);
	buf[len] = 0;
	return 0;
}

static int bind_target_once(const struct reader *r, uint32_t id, char *buf, size_t size)
{
	const struct um_mount *m = find_id(r, id);

	return m && m->kind >= UM_MOUNT_BIND && m->kind <= UM_MOUNT_MERGE ? copy_string(r, m->target, buf, size) : -ENOENT;
}

int view_bind_target(const struct task *t, uint32_t mount_id, char *buf, size_t size)
{
	struct reader r;

	(void)t;
	for (int n = 0; n < MAX_TRIES; n++) {
		if (!reader_begin(&r))
			continue;
		int result = bind_target_once(&r, mount_id, buf, size);
		if (reader_valid(&r))
			return result;
	}
	return -ENOENT;
}

static int mount_by_id_once(const struct reader *r, uint32_t id, struct mount *m, char *path, size_t size)
{
	const struct um_mount *found = find_id(r, id);

	if (!found)
		return -ENOENT;
	mount_copy(m, found);
	return path ? copy_string(r, found->path, path, size) : 0;
}

int view_mount_by_id(const struct task *t, uint32_t mount_id, struct mount *m, char *path, size_t size)
{
	struct reader r;

	(void)t;
	for (int n = 0; n < MAX_TRIES; n++) {
		if (!reader_begin(&r))
			continue;
		int result = mount_by_id_once(&r, mount_id, m, path, size);
		if (reader_valid(&r))
			return result;
	}
	return -ENOENT;
}

static int cow_by_tree_once(const struct reader *r, uint32_t epoch, const char *path, size_t len, struct mount *m, char *dir, size_t size)
{
	for (uint32_t i = r->head->nmounts; i-- > 0;) {
		const struct um_mount *c = mount_at(r, i);
		size_t n;

		if (!c || c->kind != UM_MOUNT_COW || c->id >= epoch)
			continue;
		const char *tree = string_at(r, c->target, &n);
		if (len < n || memcmp(path, tree, n) || (path[n] && path[n] != '/'))
			continue;
		mount_copy(m, c);
		return copy_string(r, c->path, dir, size) ? -ENOENT : (int)n;
	}
	return -ENOENT;
}

int view_cow_ids(const struct task *t, uint32_t *ids, int max)
{
	struct reader r;

	for (int tries = 0; tries < MAX_TRIES; tries++) {
		int n = 0;

		if (!reader_begin(&r))
			continue;
		for (uint32_t i = 0; i < r.head->nmounts && n < max; i++) {
			const struct um_mount *m = mount_at(&r, i);

			if (m && m->kind == UM_MOUNT_COW && m->id < t->epoch)
				ids[n++] = m->id;
		}
		if (reader_valid(&r))
			return n;
	}
	return 0;
}

int view_cow_by_tree(const struct task *t, const char *path, size_t len, struct mount *m, char *dir, size_t size)
{
	struct reader r;

	for (int n = 0; n < MAX_TRIES; n++) {
		if (!reader_begin(&r))
			continue;
		int result = cow_by_tree_once(&r, t->epoch, path, len, m, dir, size);
		if (reader_valid(&r))
			return result;
	}
	return -ENOENT;
}

/* ---- /proc/PID/mounts, mountinfo ------------------------------------------------------------------ */

struct out {
	char *buf;
	size_t size, len;	/* len > size: it did not fit */
};

static void put_char(struct out *o, char c)
{
	if (o->len < o->size)
		o->buf[o->len] = c;
	o->len++;
}

/* As the kernel's mangle(): blanks and the escape itself become \ooo; '#' too, which would be a comment. */
static void put_mangled(struct out *o, const struct reader *r, uint32_t offset, const char *if_empty)
{
	size_t len;
	const char *s = string_at(r, offset, &len);

	if (!len)
		for (; *if_empty; if_empty++)
			put_char(o, *if_empty);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c != ' ' && c != '\t' && c != '\n' && c != '\\' && c != '#') {
			put_char(o, (char)c);
			continue;
		}
		put_char(o, '\\');
		put_char(o, (char)('0' + (c >> 6)));
		put_char(o, (char)('0' + (c >> 3 & 7)));
		put_char(o, (char)('0' + (c & 7)));
	}
}

static void put_text(struct out *o, const char *s)
{
	while (*s)
		put_char(o, *s++);
}

/* MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC */
static void put_flags(struct out *o, uint32_t flags)
{
	put_text(o, flags & 1 ? "ro" : "rw");
	put_text(o, flags & 2 ? ",nosuid" : "");
	put_text(o, flags & 4 ? ",nodev" : "");
	put_text(o, flags & 8 ? ",noexec" : "");
}

static void put_options(struct out *o, const struct reader *r, const struct um_mount *m)
{
	size_t len;
	const char *s = string_at(r, m->options, &len);

	/* our own "ro" or "rw" stands in front already */
	if (len >= 2 && (s[0] == 'r' && (s[1] == 'w' || s[1] == 'o')) && (len == 2 || s[2] == ','))
		s += len == 2 ? 2 : 3, len -= len == 2 ? 2 : 3;
	if (!len)
		return;
	put_char(o, ',');
	put_mangled(o, r, (uint32_t)(s - r->base), "");
}

static void put_mounts_line(struct out *o, const struct reader *r, const struct um_mount *m)
{
	put_mangled(o, r, m->source, "none");
	put_char(o, ' ');
	put_mangled(o, r, m->path, "/");
	put_char(o, ' ');
	put_mangled(o, r, m->fstype, m->kind == UM_MOUNT_BIND ? "none" : "fuse");
	put_char(o, ' ');
	put_flags(o, m->flags);
	put_options(o, r, m);
	put_text(o, " 0 0\n");
}

/* Ids from 1,000,000 on are ours: the kernel's are small.  The parent is not worked out: 1. */
static void put_mountinfo_line(struct out *o, const struct reader *r, const struct um_mount *m)
{
	char text[64];

	text_format(text, sizeof(text), "%u 1 0:%u ", UM_MNT_ID(m->id), m->dev_minor);
	put_text(o, text);
	put_mangled(o, r, m->kind == UM_MOUNT_BIND ? m->target : 0, "/");
	put_char(o, ' ');
	put_mangled(o, r, m->path, "/");
	put_char(o, ' ');
	put_flags(o, m->flags);
	put_text(o, " - ");
	put_mangled(o, r, m->fstype, m->kind == UM_MOUNT_BIND ? "none" : "fuse");
	put_char(o, ' ');
	put_mangled(o, r, m->source, "none");
	put_char(o, ' ');
	put_text(o, m->flags & 1 ? "ro" : "rw");
	put_options(o, r, m);
	put_char(o, '\n');
}

static void print_once(struct out *o, const struct reader *r, uint32_t epoch, int style)
{
	for (uint32_t i = 0; i < r->head->nmounts; i++) {
		const struct um_mount *m = mount_at(r, i);

		if (!m)
			return;
		if (m->id >= epoch || m->kind == UM_MOUNT_HIDE || m->flags & UM_MNT_PART)
			continue;
		if (style)
			put_mountinfo_line(o, r, m);
		else
			put_mounts_line(o, r, m);
	}
}

long view_print(const struct task *t, int style, char *buf, size_t size)
{
	struct reader r;

	for (int n = 0; n < MAX_TRIES; n++) {
		struct out o = { buf, size, 0 };

		if (!reader_begin(&r))
			continue;
		print_once(&o, &r, t->epoch, style);
		if (reader_valid(&r))
			return o.len > size ? -ENOSPC : (long)o.len;
	}
	return -ENOSPC;
}
