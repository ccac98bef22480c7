/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may do what, as far as it is not the server's business.
 *
 * allow_other: without it only the user who mounted (and uid 0, as which the user's own images are
 * served) may enter.  default_permissions: the mode bits are checked here, as the kernel would; requests
 * carry no supplementary groups, so only the main group counts.  A mount made read-only refuses changes.
 */
#include <linux/stat.h>
#include <linux/mount.h>
#include "fuse_conn.h"

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

int fuse_may(struct fuse_job *j, struct fuse_node *n, int mask)
{
	int r;

	if (!fuse_checks(j->c) || (!j->req.uid && !(mask & MAY_EXEC && !fuse_node_is(n, S_IFDIR))))
		return 0;
	r = fuse_getattr(j, n, NULL, false);
	if (r)
		return r;
	return mode_allows(j, &n->attr, (uint32_t)mask) ? 0 : -EACCES;
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
		return times_now(q->valid) && mode_allows(j, &n->attr, MAY_WRITE) ? 0 :
		       times_now(q->valid) ? -EACCES : -EPERM;
	if ((q->valid & FATTR_SIZE) && !q->handle && !mode_allows(j, &n->attr, MAY_WRITE))
		return -EACCES;
	return 0;
}
