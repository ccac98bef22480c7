/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading directories: READDIR, or READDIRPLUS, whose entries come with what a LOOKUP would say.
 *
 * The server's records go to a buffer of our own first, for they fill the caches that all clients
 * share, while the slot is its client's to write.  From there they are turned into the kernel's
 * linux_dirent64, which are never longer.  Each record carries the offset of the next one; the handle keeps
 * that of the last record the guest got, so what did not fit is simply asked for again.
 *
 * READDIRPLUS costs the server a lookup per name.  As the kernel does, it is used for the first piece
 * of a directory and where names of the directory were looked up since.
 */
#include <linux/inotify.h>
#include <linux/stat.h>
#include "fuse_conn.h"

#define PIECE		(32u << 10)	/* asked for at once */
#define FIRST_PLUS	4096u		/* the first READDIRPLUS: a guess, so a small one */
#define LEAST		2048u		/* room below which no more is asked for */

struct reading {
	struct fuse_handle *h;
	uint8_t *buf;		/* of PIECE bytes: the server's records */
	uint32_t room;		/* bytes the guest wants at most */
	uint32_t done;		/* bytes in the slot's data */
	bool plus;
	bool asked;		/* the server has been, at least once */
};

/* ---- one record ------------------------------------------------------------------------------------------ */

static bool is_dots(const char *name, uint32_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

/* Many servers say of no name what kind of file it is, and who lists has to ask for each: of those that we know he need not. */
uint8_t fuse_dirent_type(struct fuse_conn *c, struct fuse_node *dir, const struct fuse_dirent *d)
{
	const struct fuse_name *e;

	if (d->type & 15)
		return (uint8_t)(d->type & 15);
	if (is_dots(d->name, d->namelen))
		return S_IFDIR >> 12;
	e = fuse_name_find(c, dir, d->name, d->namelen);
	return e && e->node && e->until > fuse_now() ? (uint8_t)((e->node->attr.mode & S_IFMT) >> 12) : 0;
}

uint32_t fuse_record(uint8_t *to, uint32_t room, const struct fuse_dirent *d, uint8_t type, uint64_t nodeid)
{
	uint32_t size = (uint32_t)(sizeof(struct linux_dirent64) + d->namelen + 1 + 7) & ~7u;
	struct linux_dirent64 o = {
		.d_ino = d->ino ? d->ino : nodeid ? nodeid : 0xffffffffu,	/* 0 means "deleted" to old readers */
		.d_off = (int64_t)d->off, .d_reclen = (uint16_t)size, .d_type = type,
	};

	if (size > room)
		return 0;
	memcpy(to, &o, sizeof o);
	memcpy(to + sizeof o, d->name, d->namelen);
	memset(to + sizeof o + d->namelen, 0, size - sizeof o - d->namelen);
	return size;
}

/* 0; 1: no room for it */
static int put_record(struct fuse_job *j, struct reading *rd, const struct fuse_dirent *d, uint64_t nodeid)
{
	uint32_t size = fuse_record(j->shm->data + rd->done, rd->room - rd->done, d, fuse_dirent_type(j->c, rd->h->node, d), nodeid);

	if (!size)
		return 1;
	rd->done += size;
	rd->h->offset = d->off;
	return 0;
}

/* What READDIRPLUS says beyond the name.  The server has counted a lookup for it. */
static int enter_plus(struct fuse_job *j, struct fuse_handle *h, const struct fuse_direntplus *d, uint64_t version)
{
	const struct fuse_entry_out *e = &d->entry_out;
	struct fuse_node *n;

	if (!e->nodeid || is_dots(d->dirent.name, d->dirent.namelen))
		return 0;
	if (e->nodeid == FUSE_ROOT_ID || !fuse_attr_ok(&e->attr))
		return -EIO;
	n = fuse_node_get(j, e, version);
	if (!n)
		return -ENOMEM;
	if (h->node->changed <= version)
		fuse_name_set(j->c, h->node, d->dirent.name, d->dirent.namelen, n,
			      fuse_entry_until(j, d->dirent.name, d->dirent.namelen, e));
	fuse_node_unpin(j->c, n);
	return 0;
}

/* ---- one reply ------------------------------------------------------------------------------------------- */

long fuse_dirent(const uint8_t *p, uint32_t left, bool plus, const struct fuse_dirent **d)
{
	uint32_t head = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	uint32_t namelen;

	if (left < head)
		return 0;
	*d = (const struct fuse_dirent *)(p + head - FUSE_NAME_OFFSET);
	namelen = (*d)->namelen;
	if (!namelen || namelen > UM_NAME_MOST)
		return -EIO;
	if (FUSE_REC_ALIGN((uint64_t)head + namelen) > left)
		return 0;
	if (!fuse_name_ok((*d)->name, namelen))
		return -EIO;
	return (long)FUSE_REC_ALIGN((uint64_t)head + namelen);
}

/*
 * 0: all taken; 1: the guest's buffer is full; -errno.  Once it is full the rest of READDIRPLUS is still
 * entered, for the server has counted it.
 */
static int take_reply(struct fuse_job *j, struct reading *rd, uint32_t len, uint64_t version)
{
	const struct fuse_dirent *d;
	int full = 0;
	long size;

	for (uint32_t at = 0; (size = fuse_dirent(rd->buf + at, len - at, rd->plus, &d)) > 0; at += (uint32_t)size) {
		const struct fuse_direntplus *plus = (const struct fuse_direntplus *)(rd->buf + at);

		if (!full)
			full = put_record(j, rd, d, rd->plus ? plus->entry_out.nodeid : 0);
		if (rd->plus) {
			int err = enter_plus(j, rd->h, plus, version);
			if (err)
				return err;
		} else if (full) {
			break;
		}
	}
	return size < 0 ? (int)size : full;
}

/* ---- asking ------------------------------------------------------------------------------------------------ */

static bool wants_plus(struct fuse_job *j, const struct fuse_handle *h, bool *small)
{
	bool advised = h->node->advise_plus;

	*small = !advised;
	if (!j->c->can.readdirplus)
		return false;
	h->node->advise_plus = false;
	return !j->c->can.readdirplus_auto || advised || !h->offset;
}

/* What has been read before.  As ask(), or -1. */
static long known(struct fuse_job *j, struct reading *rd, uint64_t *version)
{
	uint32_t len;
	const uint8_t *data = fuse_dir_read(j->c, rd->h, &len);

	if (!data || len > PIECE)
		return -1;
	memcpy(rd->buf, data, len);
	rd->plus = false;
	*version = j->c->version;
	return (long)len;
}

/* One READDIR.  >= 0: bytes of the reply, 0 at the end of the directory. */
static long ask(struct fuse_job *j, struct reading *rd, uint64_t *version)
{
	struct fuse_read_in in = { .offset = rd->h->offset, .size = PIECE, .flags = rd->h->open_flags };
	struct fuse_req r;
	bool small;
	int err = fuse_late_open(j, rd->h);

	if (err)
		return err;
	rd->asked = true;
	in.fh = rd->h->fh;
	if (!in.offset)
		rd->h->began = rd->h->node->changed + 1;
	rd->plus = wants_plus(j, rd->h, &small);
	if (rd->plus && small && j->c->can.readdirplus_auto)
		in.size = FIRST_PLUS;
	else if (!rd->plus && rd->room - rd->done < PIECE)	/* all that comes shall fit, if that is no nonsense */
		in.size = rd->room - rd->done < LEAST ? LEAST : (rd->room - rd->done) & ~7u;
	if (in.size > j->c->can.max_read)
		in.size = j->c->can.max_read;
	fuse_req_init(&r, j, rd->plus ? FUSE_READDIRPLUS : FUSE_READDIR, rd->h->node->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply_upto(&r, rd->buf, in.size);
	err = fuse_call(j, &r);
	*version = r.version;
	if (err == -ENOSYS && rd->plus) {
		j->c->can.readdirplus = false;
		return ask(j, rd, version);
	}
	if (!err && rd->h->node->changed <= r.version)
		fuse_dir_keep(j->c, rd->h, in.offset, rd->buf, r.reply_len, rd->plus);
	return err ? err : (long)r.reply_len;
}

static int fill(struct fuse_job *j, struct reading *rd)
{
	uint64_t version;

	while (rd->room - rd->done >= LEAST || !rd->done) {
		uint32_t before = rd->done;
		long len;
		int r;

		if (rd->h->at_end) {
			rd->h->at_end = rd->done;	/* told once: whoever goes on asks anew */
			return 0;
		}
		len = known(j, rd, &version);
		if (len < 0)
			len = ask(j, rd, &version);
		if (len < 0)
			return (int)len;
		rd->h->at_end = !len;
		r = len ? take_reply(j, rd, (uint32_t)len, version) : 0;
		if (r < 0)
			return r;
		if (r)
			return rd->done ? 0 : -EINVAL;	/* not even one fits */
		if (len && rd->done == before)
			return -EIO;			/* a reply without a whole record */
	}
	return 0;
}

/* Where it is, and whether that is the end, if a client has read or sought in it since. */
static void take_up(struct fuse_handle *h)
{
	const bool ended = fuse_offset_ended(h);
	const uint64_t offset = fuse_offset_take(h);

	if (ended || offset != h->offset)
		h->at_end = ended;
	h->offset = offset;
}

int fuse_op_readdir(struct fuse_job *j)
{
	struct reading rd = { .room = (uint32_t)j->req.size };
	int err;

	if (j->req.size > UM_DATA_SIZE)
		return -EINVAL;
	rd.h = fuse_handle_get(j);
	if (!rd.h)
		return -EBADF;
	rd.buf = heap_alloc(PIECE);
	err = !rd.buf ? -ENOMEM : rd.h->open_flags & O_PATH ? -EBADF : !rd.h->is_dir ? -ENOTDIR :
	      rd.h->node->bad ? -EIO : 0;
	if (!err) {
		fuse_mutex_lock(j, &rd.h->lock);
		fuse_mutex_share(j, &rd.h->node->lock);
		take_up(rd.h);
		err = rd.h->node->removed ? -ENOENT : fill(j, &rd);
		j->rep.offset = rd.h->offset;
		fuse_offset_put(rd.h, rd.h->offset);
		fuse_mutex_unshare(&rd.h->node->lock);
		fuse_mutex_unlock(&rd.h->lock);
		if (rd.asked)
			fuse_node_read(j->c, rd.h->node);
		if (rd.asked && rd.h->at_end && fuse_open_may_wait(j->c, rd.h->node, O_RDONLY)) {
			fuse_clients_may_open(j->c, rd.h->node);
			if (rd.h->node->opens_shown)	/* its access time, while we are at it: else who lists it next time asks for that alone */
				fuse_getattr(j, rd.h->node, NULL, true);
		}
	}
	heap_free(rd.buf);
	if (!err)
		fuse_shadow_did(j->c, rd.h, rd.h->node, NULL, IN_ACCESS);
	fuse_handle_put(j, rd.h);
	j->rep.size = rd.done;
	return rd.done ? 0 : err;
}
