/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes of what is committed.
 *
 * By /proc/self/fd/DIR/NAME where there is no call that takes a descriptor of a directory; the last name is never followed.
 * An owner that we may not give files to is not kept, and then neither are set-id bits: they would be ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "commit.h"
#include "log.h"

#define UNKEPT_SHOWN	10
#define VALUE_MAX	65536

void commit_unkept(struct commit *k, const struct change *c, const char *what)
{
	if (k->unkept++ < UNKEPT_SHOWN) {
		char *shown = path_shown(k->s->lower, c->path);
		progress_end(&k->progress);
		say("commit: %s: %s", shown ? shown : c->path, what);
		free(shown);
	}
}

static int set_owner(struct commit *k, const struct change *c, int dir, const char *name, mode_t *mode)
{
	struct stat st;
	char text[100];

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (st.st_uid == c->uid && st.st_gid == c->gid)
		return 0;
	if (fchownat(dir, name, c->uid, c->gid, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM && errno != EINVAL)
		return -errno;
	if (st.st_gid != c->gid && fchownat(dir, name, (uid_t)-1, c->gid, AT_SYMLINK_NOFOLLOW) < 0 && errno != EPERM && errno != EINVAL)
		return -errno;
	bool set_id = *mode & 06000 && !S_ISDIR(st.st_mode);
	snprintf(text, sizeof(text), "owner %u:%u cannot be kept%s", c->uid, c->gid, set_id ? ", nor its set-id bits" : "");
	commit_unkept(k, c, text);
	if (set_id)
		*mode &= ~06000u;
	return 0;
}

static bool is_kept(const char *name)
{
	return !strncmp(name, "user.", 5) || !strcmp(name, "system.posix_acl_access") ||
	       !strcmp(name, "system.posix_acl_default") || !strcmp(name, "security.capability");
}

static char *list_names(const char *path, ssize_t *len)
{
	char *names = NULL;

	*len = llistxattr(path, NULL, 0);
	if (*len > 0 && (names = malloc((size_t)*len)))
		*len = llistxattr(path, names, (size_t)*len);
	return names;
}

static bool is_in(const char *name, const char *names, ssize_t len)
{
	for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
		if (!strcmp(names + at, name))
			return true;
	return false;
}

/* No room, or no luck: not that it cannot be kept there. */
static bool is_failure(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EIO || error == ENOMEM;
}

static int set_xattrs(struct commit *k, const struct change *c, int dir, const char *name)
{
	int r = 0;
	char from[64 + NAME_MAX], to[64 + NAME_MAX], *value = malloc(VALUE_MAX);
	ssize_t n, had;

	snprintf(from, sizeof(from), "/proc/self/fd/%d/%s", c->up_dir, *c->name ? c->name : ".");
	snprintf(to, sizeof(to), "/proc/self/fd/%d/%s", dir, name);
	char *names = list_names(from, &n), *old = list_names(to, &had);
	for (ssize_t at = 0; names && value && !r && at < n; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t size = is_kept(names + at) ? lgetxattr(from, names + at, value, VALUE_MAX) : -1;
		if (size < 0 || lsetxattr(to, names + at, value, (size_t)size, 0) == 0)
			continue;
		if (is_failure(errno))
			r = -errno;
		else
			commit_unkept(k, c, "an extended attribute cannot be kept");
	}
	if (!value || (n > 0 && !names))
		r = -ENOMEM;
	for (ssize_t at = 0; old && at < had; at += (ssize_t)strlen(old + at) + 1)
		if (is_kept(old + at) && !is_in(old + at, names, names ? n : 0))
			lremovexattr(to, old + at);
	free(names);
	free(old);
	free(value);
	return r;
}

int commit_set_mode(int dir, const char *name, mode_t mode)
{
	char path[64 + NAME_MAX];
	int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), r = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISLNK(st.st_mode) && (st.st_mode & 07777) != mode && chmod(path, mode) < 0)
		r = -errno;
	close(fd);
	return r;
}

int commit_attributes(struct commit *k, const struct change *c, int dir, const char *name, bool all)
{
	const struct timespec times[2] = { c->up.st_atim, c->up.st_mtim };
	mode_t mode = c->mode;
	int r = 0;

	if (all || c->attributes & (CHANGE_OWNER | CHANGE_GROUP))
		r = set_owner(k, c, dir, name, &mode);
	if (!r && (all || c->attributes & CHANGE_XATTRS))
		r = set_xattrs(k, c, dir, name);
	if (!r && (all || c->attributes & (CHANGE_MODE | CHANGE_OWNER | CHANGE_GROUP)))
		r = commit_set_mode(dir, name, mode);
	if (!r && (all || c->attributes & CHANGE_TIMES) && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r;
}
