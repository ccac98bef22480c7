/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Access lists of a server that has asked for FUSE_POSIX_ACL (fuse_perm.c): who may do what is found out here, as by the kernel.
 */
#include "fuse_rig.h"
#include "../../src/kernel/acl.h"

static struct acl list;
static uint64_t file;
static unsigned entries;	/* 0: the file has none */

static void entry(uint16_t tag, uint16_t perm, uint32_t id)
{
	list.list[entries++] = (struct acl_entry){ tag, perm, id };
}

static void answer(uint32_t opcode, uint8_t *message, uint32_t *len)
{
	struct fuse_out_header *oh = (struct fuse_out_header *)message;

	if (opcode != FUSE_GETXATTR || ((struct fuse_in_header *)rig.in)->nodeid != file)
		return;
	oh->error = entries ? 0 : -ENODATA;
	oh->len = (uint32_t)(sizeof *oh + (entries ? sizeof list.version + entries * sizeof *list.list : 0));
	memcpy(message + sizeof *oh, &list, oh->len - sizeof *oh);
	*len = oh->len;
}

static int may(uint32_t uid, uint32_t gid, uint32_t mask)
{
	struct um_slot *s = rig_begin(0, UM_OP_ACCESS);

	rig_path(s, "file");
	s->req.uid = uid;
	s->req.gid = gid;
	s->req.mode = mask;
	return rig_call(0);
}

static void begin(uint32_t flags)
{
	rig_start();
	rig.init_flags |= flags;
	rig.shm->allow_other = 1;
	file = rig_new(1, "file", S_IFREG | 0660);
	rig.node[1].mode = S_IFDIR | 0705;	/* a group has nothing of it: no list matters */
	rig.node[file].uid = 1000;
	rig.node[file].gid = 100;
	rig_pump();
	rig.spoil = answer;
	entries = 0;
	list.version = ACL_VERSION;
}

static void test_list(void)
{
	unsigned asked;

	begin(FUSE_POSIX_ACL);
	is_int(rig.shm->default_permissions, 1, "it leaves all checks to us");
	entry(ACL_USER_OBJ, 6, 0);
	entry(ACL_USER, 6, 2000);
	entry(ACL_USER, 0, 2001);
	entry(ACL_GROUP_OBJ, 6, 0);
	entry(ACL_GROUP, 4, 300);
	entry(ACL_MASK, 4, 0);
	entry(ACL_OTHER, 0, 0);
	asked = rig.count[FUSE_GETXATTR];
	is_int(may(1000, 1, 6), 0, "the owner may");
	is_int(may(0, 0, 6), 0, "so may root");
	is_int(rig.count[FUSE_GETXATTR], asked, "without a look at the list");
	is_int(may(2000, 1, 4), 0, "who is named may what his entry says");
	is_int(may(2000, 1, 2), -EACCES, "less what the mask takes away");
	is_int(may(2001, 100, 4), -EACCES, "whatever his group may");
	is_int(may(3000, 100, 4), 0, "the group may read");
	is_int(may(3000, 100, 2), -EACCES, "and not write, by the mask");
	is_int(may(3000, 300, 4), 0, "a group that is named");
	is_int(may(3000, 400, 4), -EACCES, "the others may nothing");
	ok(rig.count[FUSE_GETXATTR] > asked, "the list was looked at");
	entries = 0;
	is_int(may(3000, 100, 6), 0, "without a list the mode counts");
	is_int(may(2000, 1, 4), -EACCES, "for all");
	rig_stop("list");
}

static void test_odd(void)
{
	begin(FUSE_POSIX_ACL);
	entry(ACL_USER, 7, 2000);
	list.version = 7;
	is_int(may(2000, 1, 4), -EACCES, "a list of another version says nothing");
	list.version = ACL_VERSION;
	entries = ACL_ENTRIES;
	is_int(may(2000, 1, 4), 0, "a long one");
	memset(&list, 0xff, sizeof list);
	list.version = ACL_VERSION;
	is_int(may(2000, 1, 4), -EACCES, "one of nonsense gives nobody anything");
	rig_stop("odd");
	memset(&list, 0, sizeof list);
}

static void test_without(void)
{
	begin(0);
	is_int(rig.shm->default_permissions, 0, "a server that has not asked");
	entry(ACL_USER, 0, 2000);
	entry(ACL_OTHER, 0, 0);
	is_int(may(2000, 1, 4), 0, "is asked what it thinks of it");
	is_int(rig.count[FUSE_GETXATTR], 0, "its lists are its own affair");
	rig_stop("without");
}

int main(void)
{
	test_list();
	test_odd();
	test_without();
	return done();
}
