/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An access control list, as the attribute system.posix_acl_access has it (linux/posix_acl_xattr.h). */
#ifndef UM_KERNEL_ACL_H
#define UM_KERNEL_ACL_H

#include "../agent/agent.h"

#define ACL_NAME	"system.posix_acl_access"
#define ACL_DEFAULT	"system.posix_acl_default"
#define ACL_VERSION	2u
#define ACL_ENTRIES	128

enum { ACL_USER_OBJ = 1, ACL_USER = 2, ACL_GROUP_OBJ = 4, ACL_GROUP = 8, ACL_MASK = 16, ACL_OTHER = 32 };

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	uint32_t version;
	struct acl_entry list[ACL_ENTRIES];
};

/*
 * What a list of n entries says to who wants that (MAY_*: 4 read, 2 write, 1 execute) of a file that is not his, whose group is `owning`: 1 yes,
 * 0 no, -1 nothing, for there is none.  acl(5), "access check algorithm".
 */
int acl_verdict(const struct acl_entry *list, int n, uint32_t uid, uint32_t owning, bool (*in_group)(const void *who, uint32_t gid),
		const void *who, unsigned want);

#endif
