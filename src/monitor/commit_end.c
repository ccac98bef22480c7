/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes when a session is committed or discarded: names below that it has removed; its own names, with what its
 * tables remember of them; and what somebody who was killed had left half made.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit.h"
#include "remove.h"

/* One of several names of a file below. */
void commit_name_gone(struct commit *k, const struct stat *low)
{
	inode_set_add(&k->touched, low->st_dev, low->st_ino);
	session_name_gone(k->s, low->st_dev, low->st_ino);
}

/* ---- names below ---------------------------------------------------------------------------------------- */

struct removing {
	struct commit *k;
	int64_t since;
};

static int remove_below(struct removing *g, int dir, const char *name, const char *path);

static int remove_in(struct removing *g, int fd, const char *path)
{
	char **names;
	int n = names_read(fd, &names), r = n < 0 ? n : 0;

	for (int i = 0; i < n && !r; i++) {
		char *sub;
		if (asprintf(&sub, "%s/%s", path, names[i]) < 0)
			sub = NULL;
		r = sub ? remove_below(g, fd, names[i], sub) : -ENOMEM;
		free(sub);
	}
	if (n >= 0)
		free(names);
	return r;
}

/* Each file is looked at once more, last thing before. */
static int remove_below(struct removing *g, int dir, const char *name, const char *path)
{
	struct stat st;
	int r;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode)) {
		int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 ? -errno : remove_in(g, fd, path);
		if (fd >= 0)
			close(fd);
		if (!r && unlinkat(dir, name, AT_REMOVEDIR) < 0)
			r = -errno;
		if (!r)
			session_forget_origin(g->k->s, path);
		return r;
	}
	if (!g->k->o->force && review_hidden_changed(&g->k->r, dir, name, path, g->since))
		return CHANGED_MEANWHILE;
	if (unlinkat(dir, name, 0) < 0)
		return -errno;
	if (st.st_nlink > 1)
		commit_name_gone(g->k, &st);
	session_forget_origin(g->k->s, path);	/* what is put there next is another thing */
	return 0;
}

int commit_remove(struct commit *k, struct change *c, const char *name)
{
	struct removing g = { k, k->s->state->started };

	return remove_below(&g, c->low_dir, name, c->path);
}

/* ---- names of the session ---------------------------------------------------------------------------------- */

/* A directory of the tree that its owner may not write: the guest that took the rights away did not mean us. */
static int unlink_up(int up_dir, const char *name, int flags)
{
	struct stat st;
	char path[64];

	if (unlinkat(up_dir, name, flags) == 0)
		return 0;
	if (errno != EACCES || fstatat(up_dir, ".", &st, 0) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", up_dir);
	if (chmod(path, (st.st_mode & 07777) | 0700) < 0)
		return -EACCES;
	int r = unlinkat(up_dir, name, flags) < 0 ? -errno : 0;
	chmod(path, st.st_mode & 07777);
	return r;
}

static int drop_all(struct session *s, int up_dir, const char *name, const char *path)
{
	char **names;
	int fd = openat(up_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r = 0;
	int n = fd < 0 ? -errno : names_read(fd, &names);

	for (int i = 0; i < n && !r; i++) {
		char *sub = NULL;
		if (path && asprintf(&sub, "%s/%s", path, names[i]) < 0)
			r = -ENOMEM;
		else
			r = session_drop(s, fd, names[i], sub);
		free(sub);
	}
	if (n >= 0)
		free(names);
	if (fd >= 0)
		close(fd);
	return n < 0 ? n : r;
}

/* The name in index/ of this file of the tree, if it has one, which then is st. */
static bool index_name(const struct session *s, const struct stat *up, char *name, size_t size, struct stat *st)
{
	struct vstat v;

	if (!session_vstat(s, up->st_dev, up->st_ino, &v) || !(v.have & UM_VS_ORIGIN))
		return false;
	snprintf(name, size, UM_COW_INDEX "/%llx-%llx", (unsigned long long)v.origin_dev, (unsigned long long)v.origin_ino);
	return fstatat(s->dir_fd, name, st, AT_SYMLINK_NOFOLLOW) == 0 && st->st_ino == up->st_ino;
}

bool session_is_indexed(const struct session *s, const struct stat *up)
{
	struct stat st;
	char name[100];

	return index_name(s, up, name, sizeof(name), &st);
}

/* Other names below do not lead to this copy any more; its names are those that it has. */
static void forget_index(struct session *s, const struct stat *up)
{
	struct stat st;
	char name[100];

	if (!index_name(s, up, name, sizeof(name), &st))
		return;
	session_set_nlink(s, up->st_dev, up->st_ino, 0);
	unlinkat(s->dir_fd, name, 0);
	if (st.st_nlink <= 1)
		session_forget_inode(s, up->st_dev, up->st_ino);
}

int session_drop(struct session *s, int up_dir, const char *name, const char *path)
{
	struct stat st, dir;
	int r;

	if (fstatat(up_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || fstatat(up_dir, ".", &dir, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (path)
		session_forget_origin(s, path);
	if (path && !S_ISDIR(st.st_mode) && st.st_nlink > 1) {
		forget_index(s, &st);
		fstatat(up_dir, name, &st, AT_SYMLINK_NOFOLLOW);
	}
	r = unlink_up(up_dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
	if (r == -ENOTEMPTY || r == -EEXIST) {
		if ((st.st_mode & 0700) != 0700)
			fchmodat(up_dir, name, 0700, 0);
		r = drop_all(s, up_dir, name, path);
		if (!r)
			r = unlink_up(up_dir, name, AT_REMOVEDIR);
	}
	char *from = !r && S_ISDIR(st.st_mode) ? session_redirect(s, st.st_ino) : NULL;
	if (from)
		session_unredirect(s, st.st_ino);
	free(from);
	if (!r && (S_ISDIR(st.st_mode) || st.st_nlink <= 1))
		session_forget_inode(s, st.st_dev, st.st_ino);
	const struct timespec times[2] = { dir.st_atim, dir.st_mtim };
	utimensat(up_dir, ".", times, 0);
	return r;
}

/* ---- what was left half made ---------------------------------------------------------------------------------- */

void commit_temp_name(const struct session *s, char *buf, size_t size)
{
	snprintf(buf, size, ".umview-commit-%llx", (unsigned long long)s->state->tree_ino);
}

struct journal {
	uint32_t has_attributes, mode;	/* of the directory in the tree */
	struct timespec times[2];
	char path[2 * PATH_MAX];	/* as long as it is */
};

static int write_journal(struct commit *k, const char *path, size_t n, const struct stat *st)
{
	static struct journal j;
	const size_t size = offsetof(struct journal, path) + n + 1;

	if (n >= sizeof(j.path))
		return -ENAMETOOLONG;
	if (k->journal_fd < 0)
		k->journal_fd = openat(k->s->dir_fd, UM_COW_COMMITTING, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (k->journal_fd < 0)
		return -errno;
	j.has_attributes = st != NULL;
	if (st) {
		j.mode = st->st_mode & 07777;
		j.times[0] = st->st_atim;
		j.times[1] = st->st_mtim;
	}
	memcpy(j.path, path, n);
	j.path[n] = 0;
	free(k->journaled);
	k->journaled = NULL;
	ssize_t w = pwrite(k->journal_fd, &j, size, 0);
	if (w != (ssize_t)size)
		return w < 0 ? -errno : -ENOSPC;
	k->journaled = strndup(path, n);
	return 0;
}

int commit_journal(struct commit *k, const struct change *c)
{
	const char *slash = strrchr(c->path, '/');
	size_t n = slash ? (size_t)(slash - c->path) : 0;

	if (k->journaled && strlen(k->journaled) == n && !memcmp(k->journaled, c->path, n))
		return 0;
	return write_journal(k, c->path, n, NULL);
}

int commit_journal_attributes(struct commit *k, const struct change *c)
{
	return write_journal(k, c->path, strlen(c->path), &c->real);
}

static void undo_attributes(struct session *s, const struct journal *j)
{
	char path[64];
	struct stat st;
	int fd = open_below(s->tree_fd, j->path, O_PATH);

	if (fd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fstat(fd, &st) == 0 && !S_ISLNK(st.st_mode)) {
		chmod(path, j->mode & 07777);
		utimensat(AT_FDCWD, path, j->times, 0);
	}
	close(fd);
}

/* What the journal says is not believed: it names directories, which are reached name by name. */
static void undo_journal(struct session *s, const struct journal *j)
{
	char temp[64];
	int dir = s->low_fd < 0 ? -1 : open_below(s->low_fd, j->path, O_PATH | O_DIRECTORY);

	commit_temp_name(s, temp, sizeof(temp));
	if (dir >= 0) {
		remove_tree(dir, temp, false);
		close(dir);
	}
	if (j->has_attributes && !s->running)
		undo_attributes(s, j);
}

void session_clean(struct session *s)
{
	static struct journal j;
	char **names;
	int fd = openat(s->dir_fd, UM_COW_COMMITTING, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, &j, sizeof(j));

	if (fd >= 0)
		close(fd);
	j.path[sizeof(j.path) - 1] = 0;
	if (n > (ssize_t)offsetof(struct journal, path))
		undo_journal(s, &j);
	unlinkat(s->dir_fd, UM_COW_COMMITTING, 0);
	if (s->running)			/* guests make things there */
		return;
	int work = openat(s->dir_fd, UM_COW_WORK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int m = work < 0 ? -1 : names_read(work, &names);
	for (int i = 0; i < m; i++)
		session_drop(s, work, names[i], NULL);
	if (m >= 0)
		free(names);
	if (work >= 0)
		close(work);
}

static bool is_tidy(int dir)
{
	char **names = NULL;
	int work = openat(dir, UM_COW_WORK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), n = work < 0 ? 0 : names_read(work, &names);

	if (work >= 0)
		close(work);
	if (n >= 0)
		free(names);
	return n <= 0 && faccessat(dir, UM_COW_COMMITTING, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
}

void session_tidy(const char *dir)
{
	char error[SESSION_ERROR], holder[320];
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool tidy = fd < 0 || is_tidy(fd);
	struct session s;

	if (fd >= 0)
		close(fd);
	if (tidy || session_open(&s, dir, true, error, sizeof(error)) < 0)
		return;
	s.review_fd = session_lock(s.dir, UM_COW_REVIEWING, "umview", holder, sizeof(holder));
	s.lock_fd = s.review_fd < 0 ? -1 : session_lock(s.dir, UM_COW_LOCK, "umview", holder, sizeof(holder));
	if (s.lock_fd >= 0) {
		session_tree_lock(&s);
		session_tree_unlock(&s);
		session_clean(&s);
	}
	session_close(&s);
}
