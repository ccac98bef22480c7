/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Access control lists of real files, for who has an identity: a list holds the owner's bits of the mode, too, and to set
 * one sets the mode.  So it is with them as with chmod: the file's real owner keeps bits to go on with, and what was
 * wanted is remembered and shown.
 */
#include "ident.h"
#include "sysnr.h"

static bool is_list(const char *name)
{
	return !strcmp(name, ACL_NAME);
}

/* The mode that a list means, with the bits above that the file has; 0: it is none. */
static unsigned mode_of(const struct acl *a, size_t size, unsigned mode)
{
	int group = -1, mask = -1;

	mode &= 07000;
	for (size_t i = 0; offsetof(struct acl, list[i + 1]) <= size; i++) {
		const struct acl_entry *e = &a->list[i];

		if (e->perm > 7)
			return 0;
		if (e->tag == ACL_USER_OBJ)
			mode |= e->perm << 6;
		else if (e->tag == ACL_GROUP_OBJ)
			group = e->perm;
		else if (e->tag == ACL_MASK)
			mask = e->perm;
		else if (e->tag == ACL_OTHER)
			mode |= e->perm;
	}
	return group < 0 ? 0 : mode | (unsigned)(mask < 0 ? group : mask) << 3 | S_IFREG;
}

long ident_acl_begin(const struct target *g, const char *name, gaddr buf, size_t size, struct ident_acl *a)
{
	const struct cred *c = g->t->cred;
	struct stat shown;

	if (!is_list(name) || size > sizeof a->acl || size < offsetof(struct acl, list[1]))
		return 0;
	if (copy_from_guest(g->t, &a->acl, buf, size))
		return -EFAULT;
	if (a->acl.version != ACL_VERSION || a->acl.list[0].tag != ACL_USER_OBJ || ident_ask(g, &shown))
		return 0;
	a->mode = mode_of(&a->acl, size, shown.st_mode) & 07777;
	if (!mode_of(&a->acl, size, 0))
		return 0;
	if (c->uid.fs != shown.st_uid && !cred_can(c, CRED_FOWNER))
		return -EPERM;
	if (!cred_in_group(c, shown.st_gid) && !cred_can(c, CRED_FSETID))
		a->mode &= ~(unsigned)S_ISGID;
	a->acl.list[0].perm = (uint16_t)(ident_workable(&shown, a->mode) >> 6 & 7);
	return 1;
}

void ident_acl_end(const struct target *g, const struct ident_acl *a)
{
	if (ident_settle_mode(g, a->mode))
		agent_log("no room to remember the mode of a file with a new access list");
}

void ident_acl_show(const struct target *g, const char *name, gaddr buf, long n)
{
	const gaddr at = buf + offsetof(struct acl, list);
	struct acl_entry first;
	struct stat shown;

	if (n < (long)offsetof(struct acl, list[1]) || !is_list(name) || ident_ask(g, &shown) ||
	    copy_from_guest(g->t, &first, at, sizeof first) || first.tag != ACL_USER_OBJ)
		return;
	first.perm = shown.st_mode >> 6 & 7;
	copy_to_guest(g->t, at, &first, sizeof first);
}
