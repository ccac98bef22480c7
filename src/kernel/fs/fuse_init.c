/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first and the last request of a connection: INIT, in which both sides say what they can, and
 * DESTROY.
 *
 * We offer version 7.38 and only what we keep: no splice, no write-back cache.  Servers answer with any version of 7 down to 7.1, and the older ones with shorter replies; what
 * their reply does not have is 0.
 */
#include "fuse_conn.h"

#define OUR_MINOR	38u
#define READAHEAD	(128u << 10)
#define PAGE		4096u
#define MOST_PAGES	(UM_DATA_SIZE / PAGE)

#define OFFERED (FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | \
		 FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | \
		 FUSE_ASYNC_DIO | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV | \
		 FUSE_MAX_PAGES | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA | FUSE_INIT_EXT | \
		 FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR | FUSE_POSIX_ACL)

static void take_flags(struct fuse_caps *can, uint32_t flags)
{
	can->atomic_o_trunc = flags & FUSE_ATOMIC_O_TRUNC;
	can->big_writes = flags & FUSE_BIG_WRITES;
	can->dont_mask = flags & FUSE_DONT_MASK;
	can->readdirplus = flags & FUSE_DO_READDIRPLUS;
	can->readdirplus_auto = flags & FUSE_READDIRPLUS_AUTO;
	can->killpriv = flags & FUSE_HANDLE_KILLPRIV;
	can->posix_acl = flags & FUSE_POSIX_ACL;
	can->open_optional = can->opendir_optional = true;	/* we offered it: ENOSYS has this meaning */
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

static uint32_t at_least(uint32_t value, uint32_t limit)
{
	return value > limit ? value : limit;
}

static void take_limits(struct fuse_conn *c, const struct fuse_init_out *out, uint32_t flags)
{
	uint32_t option = __atomic_load_n(&c->shm->max_read, __ATOMIC_RELAXED);
	uint32_t pages = MOST_PAGES;

	if ((flags & FUSE_MAX_PAGES) && out->max_pages)
		pages = at_most(out->max_pages, MOST_PAGES);
	c->can.max_read = pages * PAGE;
	if (option)
		c->can.max_read = at_most(at_least(option, PAGE), pages * PAGE);
	c->can.max_write = at_most(at_least(out->max_write, PAGE), pages * PAGE);
	if (out->minor < 5 || !c->can.big_writes)
		c->can.max_write = PAGE;
}

static void take_init(struct fuse_conn *c, const struct fuse_init_out *out)
{
	uint32_t flags = out->minor >= 6 ? out->flags : 0;

	c->can.minor = at_most(out->minor, OUR_MINOR);
	take_flags(&c->can, flags);
	c->can.locks = flags & FUSE_POSIX_LOCKS;
	c->can.flocks = c->can.minor >= 17 ? flags & FUSE_FLOCK_LOCKS : c->can.locks;
	take_limits(c, out, flags);
	if (c->can.posix_acl)
		__atomic_store_n(&c->shm->default_permissions, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&c->shm->proto_minor, c->can.minor, __ATOMIC_RELAXED);
	__atomic_store_n(&c->shm->proto_major, FUSE_KERNEL_VERSION, __ATOMIC_RELEASE);
	fuse_nodes_init(c);
	fuse_pages_init(c);
	c->init = INIT_DONE;
}

int fuse_init_job(struct fuse_job *j)
{
	struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION, .minor = OUR_MINOR, .max_readahead = READAHEAD,
		.flags = OFFERED, .flags2 = FUSE_HAS_EXPIRE_ONLY >> 32,
	};
	struct fuse_init_out out = { 0 };
	struct fuse_req r;
	int err;

	fuse_req_init(&r, j, FUSE_INIT, 0);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_reply_upto(&r, &out, sizeof out);
	err = fuse_call(j, &r);
	if (err || r.reply_len < FUSE_COMPAT_INIT_OUT_SIZE || out.major != FUSE_KERNEL_VERSION) {
		agent_log("fuse server: INIT failed: error %d, version %u.%u", -err, out.major, out.minor);
		j->c->init = INIT_FAILED;
		return -EIO;
	}
	take_init(j->c, &out);
	return 0;
}

int fuse_destroy_job(struct fuse_job *j)
{
	fuse_call_plain(j, FUSE_DESTROY, 0, NULL, 0);
	fuse_shadow_free(j->c);
	j->c->end = END_OVER;
	return 0;
}
