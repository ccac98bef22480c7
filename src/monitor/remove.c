/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Removing trees by descriptors: no link is followed, whatever is put there meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remove.h"
#include "review.h"

static int remove_in(int fd, bool open_up)
{
	char **names;
	int n = names_read(fd, &names), first = 0;

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		int r = remove_tree(fd, names[i], open_up);
		if (r && r != -ENOENT && !first)
			first = r;
	}
	free(names);
	return first;
}

int remove_tree(int dir, const char *name, bool open_up)
{
	struct stat st;
	int r = 0;

	if (unlinkat(dir, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM && errno != EACCES)
		return -errno;
	int error = errno;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -error;
	if (open_up && (st.st_mode & 0700) != 0700)
		fchmodat(dir, name, 0700, 0);
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		r = remove_in(fd, open_up);
		close(fd);
	}
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0)
		return r ? r : -errno;
	return 0;
}
