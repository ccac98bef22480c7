/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Read-only bind mounts, in the kernel's order of errors: what is wrong with the path comes first, then EEXIST, then
 * EROFS, and only then permissions (but for open, where it is the other way round).
 */
#include "readonly.h"
#include "real.h"
#include <asm/statfs.h>

#define FLAG_RDONLY	1l	/* ST_RDONLY */
#define FLAG_VALID	32l	/* ST_VALID: f_flags means something */

static bool is_special(uint32_t mode)
{
	return !S_ISREG(mode) && !S_ISDIR(mode) && !S_ISLNK(mode);
}

static long mode_at(struct where *w, uint32_t *mode)
{
	struct stat st;
	long r = w->fs->stat(w, (gaddr)&st);

	*mode = r ? 0 : st.st_mode;
	return r;
}

/* There is no such name: but is there the directory?  (Where it is real, the walk has seen it.) */
static long directory_error(const struct where *w)
{
	char path[UM_PATH_MAX];
	struct where dir;
	long n = w->fs == &remote_fs ? where_path(w, path, sizeof path) : 0, r;

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 1 && path[n - 1] != '/')
		n--;
	if (n <= 0)
		return n;
	path[n] = 0;
	r = where_begin_path(&dir, w->t, AT_FDCWD, path, WHERE_VIEW);
	while (where_next(&dir, &r))
		r = dir.fs->access(&dir, 0, 0);
	return where_end(&dir, r);
}

/* Is the name taken, by whatever? */
static long new_name(struct where *w)
{
	unsigned flags = w->flags;
	uint32_t mode;
	long r;

	w->flags |= WHERE_NOFOLLOW;
	r = mode_at(w, &mode);
	w->flags = flags;
	if (!r || (r == -ENOTDIR && w->trailing))
		return -EEXIST;
	if (r == -ENOENT)
		r = directory_error(w);
	return r ? r : -EROFS;
}

long readonly_verdict(struct where *w, enum readonly_change change)
{
	uint32_t mode;
	long r;

	if (change == CHANGE_NAME)
		return -EROFS;
	if (change == CHANGE_NEW || change == CHANGE_DIR)
		return new_name(w);
	r = mode_at(w, &mode);
	if (!r && change == CHANGE_SIZE && !S_ISREG(mode))
		return S_ISDIR(mode) ? -EISDIR : -EINVAL;
	return r ? r : -EROFS;
}

long readonly_open(struct where *w, int *flags)
{
	bool creates = *flags & O_CREAT, writes = (*flags & O_ACCMODE) != O_RDONLY || *flags & O_TRUNC;
	uint32_t mode;
	long r;

	if (*flags & O_PATH || !(creates || writes))
		return 0;
	if (creates && *flags & O_DIRECTORY)
		return -EINVAL;
	r = mode_at(w, &mode);
	if (r)
		return r == -ENOENT && creates ? new_name(w) : r;
	if (creates && *flags & O_EXCL)
		return -EEXIST;
	if (S_ISDIR(mode))
		return (*flags & O_TMPFILE) == O_TMPFILE ? -EROFS : -EISDIR;
	*flags &= ~(O_CREAT | O_EXCL);
	if (!writes || is_special(mode) || S_ISLNK(mode))
		return 0;
	if (*flags & O_DIRECTORY)
		return -ENOTDIR;
	r = w->fs->access(w, ((*flags & O_ACCMODE) == O_WRONLY ? 0 : 4) | 2, AT_EACCESS);
	return r ? r : -EROFS;
}

long readonly_access(struct where *w, int mode)
{
	uint32_t found;
	long r = mode & 2 ? mode_at(w, &found) : 0;

	return r || !(mode & 2) || is_special(found) ? r : -EROFS;
}

long readonly_statfs(struct task *t, gaddr buf)
{
	struct statfs st;

	if (copy_from_guest(t, &st, buf, sizeof st))
		return -EFAULT;
	st.f_flags |= FLAG_RDONLY | FLAG_VALID;
	return copy_to_guest(t, buf, &st, sizeof st) ? -EFAULT : 0;
}
