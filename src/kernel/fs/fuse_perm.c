/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may do what, as far as it is not the server's business.
 *
 * allow_other: without it only the user who mounted (and uid 0, as which the user's own images are
 * served) may enter.  default_permissions: the mode bits are checked here, as the kernel would; requests
 * carry no supplementary groups, so only the main group counts.  So they are for a server that has asked for access lists (FUSE_POSIX_ACL): those
 * count, too.  A mount made read-only refuses changes.
 */
#include <linux/stat.h>
#include <linux/mount.h>
#include "fuse_conn.h"
#include "../acl.h"

int fuse_may_enter(const struct fuse_job *j)
{
	const struct um_server *s = j->c->shm;

	if (!j->req.uid || __atomic_load_n(&s->allow_other, __ATOMIC_RELAXED) ||
	    j->req.uid == __atomic_load_n(&s->owner_uid, __ATOMIC_RELAXED))
		return 0;
	return -EACCES;
}

int fuse_may_change(const struct fuse_job *j)
{
	return __atomic_load_n(&j->c->shm->mount_flags, __ATOMIC_RELAXED) & MS_RDONLY ? -EROFS : 0;
}

static bool mode_allows(const struct fuse_job *j, const struct fuse_attr *a, uint32_t mask)
{
	uint32_t mode = a->mode;

	if (!j->req.uid)	/* may do all, but execute only what somebody may execute */
		return !(mask & MAY_EXEC) || (mode & 0111) || (mode & S_IFMT) == S_IFDIR;
	if (a->uid == j->req.uid)
		mode >>= 6;
	else if (a->gid == j->req.gid)
		mode >>= 3;
	return !(mask & ~mode & 7);
}

/* ---- access lists ----------------------------------------------------------------------------------- */

static bool is_in_group(const void *who, uint32_t gid)
{
	return ((const struct fuse_job *)who)->req.gid == gid;
}

/* As acl_verdict(); what cannot be had says nothing. */
static int list_verdict(struct fuse_job *j, const struct fuse_node *n, uint32_t mask)
{
	struct fuse_getxattr_in in = { .size = sizeof(struct acl) };
	struct acl *x = heap_alloc(sizeof *x);
	uint32_t had = n->attr.gid;
	struct fuse_req r;
	int verdict = -1;

	if (!x)
		return -1;
	fuse_req_init(&r, j, FUSE_GETXATTR, n->nodeid);
	fuse_req_arg(&r, &in, sizeof in);
	fuse_req_arg(&r, ACL_NAME, sizeof ACL_NAME);
	fuse_req_reply_upto(&r, x, sizeof *x);
	if (!fuse_call(j, &r) && r.reply_len > sizeof x->version && x->version == ACL_VERSION)
		verdict = acl_verdict(x->list, (int)((r.reply_len - sizeof x->version) / sizeof *x->list), j->req.uid, had,
				      is_in_group, j, mask);
	heap_free(x);
	return verdict;
}

/* The list counts for who does not own the file, if its mode gives a group anything. */
static int list_or_mode(struct fuse_job *j, const struct fuse_node *n, uint32_t mask)
{
	bool may_count = j->c->can.posix_acl && !j->c->can.no_getxattr && j->req.uid && j->req.uid != n->attr.uid && n->attr.mode & 070 &&
			 !fuse_node_is(n, S_IFLNK);
	int verdict = may_count ? list_verdict(j, n, mask & 7) : -1;

	return verdict < 0 ? mode_allows(j, &n->attr, mask) : verdict;
}

/* ---- who may ------------------------------------------------------------------------------------------ */

int fuse_may(struct fuse_job *j, struct fuse_node *n, int mask)
{
	int r;

	if (!fuse_checks(j->c) || (!j->req.uid && !(mask & MAY_EXEC && !fuse_node_is(n, S_IFDIR))))
		return 0;
	r = fuse_getattr(j, n, NULL, false);
	if (r)
		return r;
	return list_or_mode(j, n, (uint32_t)mask) ? 0 : -EACCES;
}

/* The sticky bit of dir: only the owner of the file or of the directory. */
int fuse_may_delete(struct fuse_job *j, struct fuse_node *dir, struct fuse_node *victim)
{
	int r = fuse_may_change(j);

	if (!r)
		r = fuse_may(j, dir, MAY_WRITE | MAY_EXEC);
	if (r || !fuse_checks(j->c) || !j->req.uid || !(dir->attr.mode & S_ISVTX))
		return r;
	if (dir->attr.uid == j->req.uid)
		return 0;
	r = fuse_getattr(j, victim, NULL, false);
	if (r)
		return r;
	return victim->attr.uid == j->req.uid ? 0 : -EPERM;
}

static bool times_now(uint32_t valid)
{
	return (!(valid & FATTR_ATIME) || (valid & FATTR_ATIME_NOW)) &&
	       (!(valid & FATTR_MTIME) || (valid & FATTR_MTIME_NOW));
}

int fuse_may_setattr(struct fuse_job *j, struct fuse_node *n)
{
	const struct um_request *q = &j->req;
	bool owner;
	int r = fuse_may_change(j);

	if (r || !fuse_checks(j->c) || !q->uid)
		return r;
	r = fuse_getattr(j, n, NULL, false);
	if (r)
		return r;
	owner = n->attr.uid == q->uid;
	if ((q->valid & FATTR_MODE) && !owner)
		return -EPERM;
	if ((q->valid & FATTR_UID) && !(owner && q->set_uid == n->attr.uid))
		return -EPERM;
	if ((q->valid & FATTR_GID) && !(owner && (q->set_gid == q->gid || q->set_gid == n->attr.gid)))
		return -EPERM;
	if ((q->valid & (FATTR_ATIME | FATTR_MTIME)) && !owner)
		return times_now(q->valid) && list_or_mode(j, n, MAY_WRITE) ? 0 :
		       times_now(q->valid) ? -EACCES : -EPERM;
	if ((q->valid & FATTR_SIZE) && !q->handle && !list_or_mode(j, n, MAY_WRITE))
		return -EACCES;
	return 0;
}
