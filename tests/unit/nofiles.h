/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests that define real_fs and remote_fs themselves: stand-ins for what else of virtual files and of the
 * mechanism /proc looks at, so that nothing of these is linked.
 */
#ifndef UM_TEST_NOFILES_H
#define UM_TEST_NOFILES_H

#include "../../src/agent/patch.h"
#include "../../src/kernel/fs/remote.h"

long file_seek(struct task *t, struct file *f, int64_t offset, unsigned whence)
{
	(void)t;
	(void)f;
	(void)whence;
	return offset;
}

long file_attr(struct task *t, struct file *f, struct um_attr *a)
{
	(void)t;
	*a = (struct um_attr){ .ino = f->node };
	return 0;
}

const struct stub_area *patch_areas(const int **count)
{
	static const struct stub_area none[STUB_AREAS];
	static const int zero;

	*count = &zero;
	return none;
}

#endif
