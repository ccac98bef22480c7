/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names below that a session has never looked at.
 *
 * A file below that had several names has one copy, to which all of them lead (SESSION/index).  The session holds those that it has looked
 * at, or has given it; when the copy is committed, the others must become names of it, too.  So before anything is
 * changed below, all names of such files are looked for, once, in all of the directory below; those that the session shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit.h"

/* A file below with a copy, and where it is. */
struct origin {
	uint64_t dev, ino;
	struct strings paths;	/* of its names that the session has never looked at */
	bool known;		/* what it is like: */
	int64_t mtime;		/* ns since 1970 */
	int64_t size;
};

static int by_inode(const void *a, const void *b)
{
	const struct origin *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->dev < y->dev ? -1 : x->dev > y->dev;
}

static struct origin *origin_of(const struct commit *k, uint64_t dev, uint64_t ino)
{
	const struct origin key = { .dev = um_cow_dev(dev), .ino = ino };

	return k->norigins ? bsearch(&key, k->origins, (size_t)k->norigins, sizeof(key), by_inode) : NULL;
}

/* The files that SESSION/index names. */
static int read_index(struct commit *k)
{
	int fd = openat(k->s->dir_fd, UM_COW_INDEX, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char **names = NULL;
	int n = fd < 0 ? -errno : names_read(fd, &names);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return n == -ENOENT ? 0 : n;
	k->origins = calloc((size_t)n, sizeof(*k->origins));
	for (int i = 0; i < n && k->origins; i++) {
		struct origin *o = &k->origins[k->norigins];
		k->norigins += sscanf(names[i], "%" SCNx64 "-%" SCNx64, &o->dev, &o->ino) == 2;
	}
	free(names);
	if (!k->origins)
		return -ENOMEM;
	qsort(k->origins, (size_t)k->norigins, sizeof(*k->origins), by_inode);
	return 0;
}

/* Has a file system names of such files?  That of the directory below itself is looked through anyway: others are mounted there. */
static bool is_searched(struct commit *k, uint64_t dev)
{
	static uint64_t asked;
	static bool is;
	struct stat root;

	if (dev == asked)
		return is;
	is = fstat(k->s->low_fd, &root) == 0 && root.st_dev == dev;
	for (int i = 0; i < k->norigins && !is; i++)
		is = k->origins[i].dev == um_cow_dev(dev);
	asked = dev;
	return is;
}

static int64_t mtime_of(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000000000l + st->st_mtim.tv_nsec;
}

/* ---- what is left of one that has been linked elsewhere ------------------------------------------------------ */

static void know(struct origin *o, int64_t mtime, int64_t size)
{
	o->known = true;
	o->mtime = mtime;
	o->size = size;
}

/* What a commit wrote down that was killed. */
static void read_linking(struct commit *k)
{
	int fd = openat(k->s->dir_fd, UM_COW_LINKING, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	struct origin was, *o;

	if (fd >= 0 && !f)
		close(fd);
	while (f && fscanf(f, "%" SCNx64 "-%" SCNx64 " %" SCNd64 " %" SCNd64, &was.dev, &was.ino, &was.mtime, &was.size) == 4)
		if ((o = origin_of(k, was.dev, was.ino)))
			know(o, was.mtime, was.size);
	if (f)
		fclose(f);
}

/* Before the first of their names leads elsewhere.  Complete, or not there. */
static int write_linking(const struct commit *k)
{
	const char *work = UM_COW_WORK "/" UM_COW_LINKING;
	int fd = openat(k->s->dir_fd, work, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600), r = fd < 0 ? -errno : 0;

	for (int i = 0; i < k->norigins && !r; i++) {
		const struct origin *o = &k->origins[i];
		if (o->known && dprintf(fd, "%" PRIx64 "-%" PRIx64 " %" PRId64 " %" PRId64 "\n", o->dev, o->ino, o->mtime, o->size) < 0)
			r = -errno;
	}
	if (fd >= 0)
		close(fd);
	if (!r && renameat(k->s->dir_fd, work, k->s->dir_fd, UM_COW_LINKING) < 0)
		r = -errno;
	return r;
}

/* Is this the file that the session has copied?  The last of its names may be all that is left of it, if a commit was killed that had
 * given it the others; then its number is not enough, which may be that of another file. */
static bool is_copied(const struct origin *o, const struct stat *st)
{
	return o && st->st_ino == o->ino && um_cow_dev(st->st_dev) == o->dev &&
	       (st->st_nlink > 1 || (o->known && o->mtime == mtime_of(st) && o->size == st->st_size));
}

/* ---- looking for their names ---------------------------------------------------------------------------------- */

static int note_path(struct origin *o, const char *path, const struct stat *st)
{
	know(o, mtime_of(st), st->st_size);
	return strings_add(&o->paths, path);
}

/* Does the session hide this name in a directory that it has, too?  up: that directory, -1 if it has none. */
static bool is_hidden(int up, const char *name)
{
	struct stat st;

	return up >= 0 && fstatat(up, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The directory `name` of the tree, *hidden: not what is below shows there; -1: it has none. */
static int enter_up(const struct commit *k, int up, const char *name, bool *hidden)
{
	struct vstat v;
	struct stat st;
	int fd = up < 0 ? -1 : openat(up, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	*hidden = fd < 0 && is_hidden(up, name);
	if (fd >= 0 && fstat(fd, &st) == 0)
		*hidden = session_vstat(k->s, st.st_dev, st.st_ino, &v) && v.have & UM_VS_FLAGS && v.flags;
	return fd;
}

static int look_in(struct commit *k, int low, int up, const char *path);

static int look_at(struct commit *k, int low, int up, const char *name, const char *path)
{
	struct origin *o;
	struct stat st;
	bool hidden;
	int r = 0;

	if (fstatat(low, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode)) {
		o = origin_of(k, st.st_dev, st.st_ino);
		return is_copied(o, &st) && !is_hidden(up, name) ? note_path(o, path, &st) : 0;
	}
	if (!is_searched(k, st.st_dev))
		return 0;
	int up_in = enter_up(k, up, name, &hidden);
	int fd = hidden ? -1 : openat(low, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		r = look_in(k, fd, up_in, path);
		close(fd);
	}
	if (up_in >= 0)
		close(up_in);
	return r;
}

static int look_in(struct commit *k, int low, int up, const char *path)
{
	char **names;
	int n = names_read(low, &names), r = 0;

	for (int i = 0; i < n && !r; i++) {
		char *sub;
		if (asprintf(&sub, "%s%s%s", path, *path ? "/" : "", names[i]) < 0)
			sub = NULL;
		progress_step(&k->progress);
		r = sub ? look_at(k, low, up, names[i], sub) : -ENOMEM;
		free(sub);
	}
	if (n >= 0)
		free(names);
	return r;
}

int names_find(struct commit *k)
{
	int r = read_index(k), fd;

	if (r || !k->norigins)
		return r;
	read_linking(k);
	fd = openat(k->s->low_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : look_in(k, fd, k->s->tree_fd, "");
	if (fd >= 0)
		close(fd);
	return r ? r : write_linking(k);
}

/* ---- giving them what is committed --------------------------------------------------------------------------- */

/* One more name of what is committed at `to`, instead of what has been there. */
static int link_at(struct commit *k, const struct origin *o, const char *path, const char *to)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? strndup(path, (size_t)(slash - path)) : strdup("");
	struct change c = { .path = path, .name = slash ? slash + 1 : path, .up_dir = -1, .has_low = true };
	int r = 0;

	c.low_dir = dir ? open_below(k->s->low_fd, dir, O_PATH | O_DIRECTORY) : -1;
	if (c.low_dir >= 0 && fstatat(c.low_dir, c.name, &c.low, AT_SYMLINK_NOFOLLOW) == 0 && is_copied(o, &c.low))
		r = commit_link(k, &c, to);
	if (c.low_dir >= 0)
		close(c.low_dir);
	free(dir);
	return dir ? r : -ENOMEM;
}

int names_link(struct commit *k, const struct linked *l)
{
	const struct origin *o = l->has_origin ? origin_of(k, l->origin_dev, l->origin_ino) : NULL;
	int failed = 0;

	if (!o || !l->path || l->low_ino == o->ino)
		return 0;
	for (size_t i = 0; i < o->paths.n; i++)
		failed += link_at(k, o, o->paths.at[i], l->path) != 0;
	return failed;
}

void names_free(struct commit *k)
{
	for (int i = 0; i < k->norigins; i++)
		strings_free(&k->origins[i].paths);
	free(k->origins);
	if (!k->failed)
		unlinkat(k->s->dir_fd, UM_COW_LINKING, 0);
}
