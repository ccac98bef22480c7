/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What path a thing has in the view: a descriptor, the cwd, and what a text leads to (path_canonical(), which walks it to the
 * end and looks whether it is there; nobody else needs that, since operations find out by being made).
 */
#include <linux/fcntl.h>
#include "path_walk.h"

long path_of_fd(struct task *t, int fd, char *buf, size_t size)
{
	struct file *f = fd_hold(t, fd);
	long r;

	if (!f)
		return fd_is_ours(fd) ? -EBADF : base_path(t, fd, view_generation(t), buf, size);
	r = file_path(t, f, buf, size);
	file_put(f);
	return r;
}

long path_of_cwd(struct task *t, char *buf, size_t size)
{
	struct file *f = virtual_base(t, AT_FDCWD);
	long r;

	if (!f)
		return base_path(t, AT_FDCWD, view_generation(t), buf, size);
	r = file_path(t, f, buf, size);
	file_put(f);
	return r;
}

/* Behind a walk that ended at a server: are there links in what it has to walk?  The last name may be
 * missing if that is allowed.  The root itself is no link; asking for it would fail when the server is dead,
 * and then it must still be possible to unmount it. */
static long confirm_remote(struct walk *k)
{
	char name[UM_NAME_MOST + 1];
	size_t len = k->len;
	long r;

	if (walk_at_root(k))
		return k->w->trailing && !k->place.m.is_dir ? -ENOTDIR : 0;
	r = walk_ask(k, k->w->walk, NULL);

	if (r != -ENOENT || !(k->flags & WHERE_CREATE) || walk_at_node(k))
		return r;
	walk_pop(k);
	memcpy(name, k->v + k->len + 1, len - k->len);
	name[len - k->len - 1] = 0;
	r = walk_prepend(k, name, len - k->len - 1);
	if (!r)
		r = walk_ask(k, UM_WALK_DIR | UM_WALK_FOLLOW, NULL);
	if (r)
		return r;
	return walk_push(k, name, len - k->len - 1);
}

static long confirm_real(struct walk *k)
{
	struct stat st;
	int dfd;
	const char *path = walk_kernel_path(k, &dfd);
	long r = raw_syscall(__NR_newfstatat, dfd, path, &st, AT_SYMLINK_NOFOLLOW);

	if (r)
		return r == -ENOENT && k->lenient ? 0 : r;
	return k->w->trailing && (st.st_mode & 0170000) != 0040000 ? -ENOTDIR : 0;
}

/* What a walk that gave up would have heard from the kernel. */
static long native_error(const struct where *w)
{
	struct stat st;
	long r = raw_syscall(__NR_newfstatat, w->dfd, w->path, &st, 0);

	return r < 0 ? r : -ENOENT;
}

static long canonical(struct walk *k)
{
	struct where *w = k->w;
	long r;

	do {
		r = walk_run(k);
		if (r)
			return r == WALK_NATIVE ? native_error(w) : r;
		if (w->file)
			return 0;
		r = k->place.remote ? confirm_remote(k) : confirm_real(k);
	} while (r == WALK_AGAIN);
	return r;
}

long path_canonical(struct task *t, int dfd, const char *path, unsigned flags, char *buf, size_t size)
{
	struct file *base = NULL;
	struct walk k;
	struct where w;
	const char *found;
	size_t n = strlen(path);
	long r;

	where_init(&w, t, dfd, (gaddr)path, flags);
	if (!n || n >= sizeof(w.path))
		return n ? -ENAMETOOLONG : -ENOENT;
	memcpy(w.path, path, n + 1);
	w.len = n;
	if (path[0] == '/' && t->fs->root && !(flags & WHERE_VIEW)) {
		r = path_below_root(t, w.path, n, sizeof(w.path));
		if (r < 0)
			return r;
		w.len = (size_t)r;
	}
	if (path[0] != '/')
		base = virtual_base(t, dfd);
	r = walk_begin(&k, &w, base);
	file_put(base);
	k.verify = true;
	k.lenient = flags & WHERE_CREATE;
	r = r ? (r == WALK_NATIVE ? native_error(&w) : r) : canonical(&k);
	found = w.file ? w.path : k.len ? k.v : "/";
	n = strlen(found);
	if (!r && n >= size)
		r = -ENAMETOOLONG;
	if (!r)
		memcpy(buf, found, n + 1);
	where_end(&w, 0);
	return r ? r : (long)n;
}
