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

/* What a copy-on-write mount over a server's asks of that. */
#define NO_FILE(name, ...) long name(__VA_ARGS__) { return -ENOSYS; }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
NO_FILE(remote_look, struct where *w, struct stat *st)
NO_FILE(remote_getxattr, struct where *w, const char *name, gaddr buf, size_t size)
NO_FILE(remote_listxattr, struct where *w, gaddr buf, size_t size)
NO_FILE(remote_access, struct where *w, int mode, int flags)
NO_FILE(remote_open_file, struct where *w, int flags, unsigned mode, struct file **out)
NO_FILE(remote_open, struct where *w, int flags, unsigned mode)
NO_FILE(remote_close, struct task *t, struct file *f)
NO_FILE(file_stat, struct task *t, struct file *f, gaddr buf)
NO_FILE(file_copy_to, struct task *t, struct file *f, long fd)
NO_FILE(file_readdir, struct task *t, struct file *f, gaddr buf, size_t size, bool legacy)
#pragma GCC diagnostic pop

const struct stub_area *patch_areas(const int **count)
{
	static const struct stub_area none[STUB_AREAS];
	static const int zero;

	*count = &zero;
	return none;
}

#endif
