/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Access control lists: acl.h.
 */
#include "acl.h"

/* A user's entry decides alone; of the groups', which come behind it, one that grants is enough; the mask is behind them all. */
int acl_verdict(const struct acl_entry *list, int n, uint32_t uid, uint32_t owning, bool (*in_group)(const void *who, uint32_t gid),
		const void *who, unsigned want)
{
	unsigned mask = 7, granted = 0;
	bool any = false;

	for (int i = 0; i < n; i++)
		if (list[i].tag == ACL_MASK)
			mask = list[i].perm;
	for (int i = 0; i < n; i++) {
		const struct acl_entry *e = &list[i];
		bool applies = (e->tag == ACL_GROUP_OBJ && in_group(who, owning)) || (e->tag == ACL_GROUP && in_group(who, e->id));

		if (e->tag == ACL_USER && e->id == uid)
			return !(want & ~(e->perm & mask));
		if (applies && !(want & ~(unsigned)e->perm))
			granted = e->perm;
		any |= applies;
		if (e->tag == ACL_OTHER && !any)
			return !(want & ~(unsigned)e->perm);
	}
	return !n ? -1 : !(want & ~(granted & mask));
}
