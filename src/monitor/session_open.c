/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Opening a copy-on-write session for review.
 *
 * What the files of a session say is not believed: sizes and numbers are checked before they are used.  The directory
 * below is reached name by name without following any link, so that nothing that was planted on the way leads elsewhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "review.h"

struct opening {
	struct session *s;
	struct failure f;
};

int open_below(int fd, const char *rel, int flags)
{
	char name[NAME_MAX + 1];
	int at = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	while (at >= 0) {
		rel += strspn(rel, "/");
		size_t n = strcspn(rel, "/");
		bool last = !rel[n + strspn(rel + n, "/")];
		if (n > NAME_MAX || (n == 2 && rel[0] == '.' && rel[1] == '.')) {
			close(at);
			return -EINVAL;
		}
		memcpy(name, n ? rel : ".", n ? n : 1);
		name[n ? n : 1] = 0;
		int next = openat(at, name, (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
		int error = errno;
		close(at);
		errno = error;
		if (next < 0 || last)
			return next < 0 ? -errno : next;
		at = next;
		rel += n;
	}
	return -errno;
}

/* ---- its files -------------------------------------------------------------------------------------- */

static void *map_file(const struct opening *o, const char *name, uint64_t size)
{
	struct session *s = o->s;
	struct stat st;
	void *p = MAP_FAILED;
	int fd = openat(s->dir_fd, name, (s->writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0) {
		session_fail(&o->f, "%s/%s: %s", s->dir, name, strerror(errno));
		return NULL;
	}
	if (s->writable && session_is_virtual(s->dir)) {
		session_fail(&o->f, "%s: a session cannot be used in a mounted image", s->dir);
		close(fd);
		return NULL;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < size)
		session_fail(&o->f, "%s: the session is damaged: %s is too short", s->dir, name);
	else if ((p = mmap(NULL, size, PROT_READ | (s->writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0)) == MAP_FAILED)
		session_fail(&o->f, "%s/%s: %s", s->dir, name, strerror(errno));
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

/* Lines of `info` behind the first: what is below, and what the session is for. */
static int read_info(const struct opening *o)
{
	struct session *s = o->s;
	char *line = NULL;
	size_t room = 0;
	int fd = openat(s->dir_fd, UM_COW_INFO, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && faccessat(s->dir_fd, UM_COW_DISCARDING, F_OK, 0) == 0)
		return session_fail(&o->f, "%s: was being discarded; `umview discard` finishes that", s->dir);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return session_fail(&o->f, "%s: is no copy-on-write session of umview", s->dir);
	ssize_t n = getline(&line, &room, f);
	bool ours = n > 0 && !strcmp(line, SESSION_FIRST), some = n > 0 && !strncmp(line, SESSION_FIRST, 30);
	if (ours && (n = getline(&line, &room, f)) > 1 && line[0] == '/') {
		line[strcspn(line, "\n")] = 0;
		s->lower = strdup(line);
	}
	if (s->lower && (n = getline(&line, &room, f)) > 0) {
		line[strcspn(line, "\n")] = 0;
		s->command = strdup(line);
	}
	if (s->lower && !s->command)
		s->command = strdup("");
	if (s->command && (n = getline(&line, &room, f)) > 0 && !strncmp(line, "over ", 5)) {
		line[strcspn(line, "\n")] = 0;
		s->over = strdup(line + 5);
	}
	free(line);
	fclose(f);
	if (s->lower && s->command)
		return 0;
	return ours || !some ? session_fail(&o->f, "%s: the session is damaged: nobody knows of what it holds changes", s->dir)
			     : session_fail(&o->f, "%s: is a session of another version of umview", s->dir);
}

static int map_state(const struct opening *o)
{
	struct session *s = o->s;
	struct stat st;

	s->state = map_file(o, UM_COW_STATE, UM_COW_STATE_SIZE);
	if (!s->state)
		return -1;
	if (s->state->magic != UM_COW_MAGIC)
		return session_fail(&o->f, "%s: the session is damaged: state is something else", s->dir);
	if (s->state->version != UM_COW_VERSION)
		return session_fail(&o->f, "%s: is a session of another version of umview", s->dir);
	s->tree_fd = openat(s->dir_fd, UM_COW_TREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->tree_fd < 0 || fstat(s->tree_fd, &st) < 0)
		return session_fail(&o->f, "%s/" UM_COW_TREE ": %s", s->dir, strerror(errno));
	if (st.st_dev != s->state->tree_dev || st.st_ino != s->state->tree_ino)
		return session_fail(&o->f, "%s: has been copied or restored from elsewhere; only the session itself can be reviewed: "
			    "what it remembers of its files is about others now", s->dir);
	void *table = map_file(o, UM_COW_INODES, um_vtable_size(UM_VSTAT_RECORDS));
	if (!table)
		return -1;
	if (session_table_attach(s, table, um_vtable_size(UM_VSTAT_RECORDS)) < 0) {
		munmap(table, um_vtable_size(UM_VSTAT_RECORDS));
		return session_fail(&o->f, "%s: the session is damaged: inodes is no table", s->dir);
	}
	return 0;
}

/* ---- the journal --------------------------------------------------------------------------------------- */

int session_make_whiteout(const struct session *s, int dir, const char *name)
{
	return s->state->links ? symlinkat(UM_COW_WHITEOUT, dir, name) : mknodat(dir, name, S_IFCHR, 0);
}

int session_open_parent(int fd, char *rel, const char **name)
{
	char *slash = strrchr(rel, '/');

	*name = slash ? slash + 1 : rel;
	if (!slash)
		return open_below(fd, "", O_PATH | O_DIRECTORY);
	*slash = 0;
	int r = open_below(fd, rel, O_PATH | O_DIRECTORY);
	*slash = '/';
	return r;
}

/* Has what was to come to b come, or gone what was to go from there? */
static bool has_come(const struct um_cow_state *st, int dir, const char *name)
{
	struct stat is;
	bool there = fstatat(dir, name, &is, AT_SYMLINK_NOFOLLOW) == 0;

	if (st->op == UM_COW_GONE)
		return there ? is.st_ino != st->ino : errno == ENOENT;
	return there && (st->ino ? is.st_ino == st->ino : review_is_whiteout(dir, name, &is));
}

/* What kernel/cow.c would do: if what was to come to b has come, a becomes a whiteout if it was moved from there, and the
 * number of names becomes what it is to be. */
void session_finish_journal(struct session *s)
{
	struct um_cow_state *st = s->state;
	const char *name_a, *name_b, *work = UM_COW_WORK "/review";

	st->a[sizeof(st->a) - 1] = st->b[sizeof(st->b) - 1] = 0;
	int b = st->op == UM_COW_NOTHING ? -1 : session_open_parent(s->tree_fd, st->b, &name_b);
	bool come = b >= 0 && has_come(st, b, name_b);
	int a = come && st->op == UM_COW_MOVED ? session_open_parent(s->tree_fd, st->a, &name_a) : -1;
	if (a >= 0) {
		unlinkat(s->dir_fd, work, 0);
		if (session_make_whiteout(s, s->dir_fd, work) == 0 && renameat(s->dir_fd, work, a, name_a) < 0)
			unlinkat(s->dir_fd, work, 0);
		close(a);
	}
	if (come && st->count_ino && st->count == UM_COW_FORGET)
		session_forget_inode(s, st->count_dev, st->count_ino);
	else if (come && st->count_ino)
		session_set_nlink(s, st->count_dev, st->count_ino, st->count);
	if (b >= 0)
		close(b);
	__atomic_store_n(&st->op, UM_COW_NOTHING, __ATOMIC_SEQ_CST);
}

int session_reserve(const struct session *s, const char *name, uint64_t at, uint64_t size)
{
	int fd = openat(s->dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC), r = fd < 0 ? -errno : 0;

	if (!r && fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)size) < 0 && errno != EOPNOTSUPP && errno != ENOSYS)
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

/* Is what is below what the session is of?  Another copy-on-write mount shows it, too. */
static int check_over(const struct opening *o)
{
	const struct session *s = o->s;
	char *now = session_over(s->lower);
	bool same = s->over ? now && !strcmp(now, s->over) : !now || !strncmp(now, "cow ", 4);
	int r = same ? 0 :
		s->over ? session_fail(&o->f, "%s: holds changes of what %s has at %s; give the command in a view in which that is mounted there",
				       s->dir, s->over, s->lower) :
			  session_fail(&o->f, "%s: holds changes of %s itself; give the command outside of this view, where %s is not mounted there",
				       s->dir, s->lower, now);

	free(now);
	return r;
}

static int open_lower(const struct opening *o)
{
	struct session *s = o->s;
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	s->low_fd = root < 0 ? -errno : open_below(root, s->lower, O_PATH | O_DIRECTORY);
	int r = s->low_fd;
	if (root >= 0)
		close(root);
	if (r >= 0)
		return 0;
	s->low_fd = -1;
	if (r == -ELOOP || r == -ENOTDIR)
		return session_fail(&o->f, "%s: is no directory any more, or lies behind a symbolic link now", s->lower);
	return r == -ENOENT ? 0 : session_fail(&o->f, "%s: %s", s->lower, strerror(-r));
}

static void raise_limit(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max < 1u << 20 ? lim.rlim_max : 1u << 20;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* In the view that works on it what is below cannot be seen: what is seen there is what the session makes of it. */
static bool is_its_tree(const struct session *s, const char *path)
{
	size_t len = strlen(s->dir);

	return !strncmp(path, s->dir, len) && !strcmp(path + len, "/" UM_COW_TREE);
}

static bool is_of_this_view(const struct session *s)
{
	struct client_mount *list;
	int n = client_mounts(&list);
	bool is = false;

	if (n < 0)
		return false;
	for (int i = 0; i < n; i++)
		is |= list[i].info.kind == UM_MOUNT_COW && (is_its_tree(s, list[i].source) || is_its_tree(s, list[i].target));
	free(list);
	return is;
}

static int open_all(const struct opening *o, const char *dir)
{
	struct session *s = o->s;

	s->dir = realpath(dir, NULL);
	if (s->dir)
		s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return session_fail(&o->f, "%s: %s", dir, strerror(errno));
	if (is_of_this_view(s))
		return session_fail(&o->f, "%s: is what this view works on; it can be reviewed from outside of it", s->dir);
	raise_limit();		/* two descriptors for each directory on the way down */
	if (read_info(o) < 0 || map_state(o) < 0)
		return -1;
	if (session_origins_open(s) < 0)
		return session_fail(&o->f, "out of memory");
	return check_over(o) < 0 ? -1 : open_lower(o);
}

/* Whoever looks at the tree finds all whiteouts there; which may have to be made. */
static int settle(const struct opening *o, const char *dir)
{
	struct session *s = o->s, w;

	if (!session_has_gone(s))
		return 0;
	if (!s->writable) {
		int r = session_open(&w, dir, true, o->f.text, o->f.size);

		session_close(&w);
		return r;
	}
	session_change_begin(s);	/* nobody looks at the directories meanwhile, whose times change */
	int r = session_settle(s, false);
	session_change_end(s);
	return r < 0 ? session_fail(&o->f, "%s: a name that was removed cannot be marked as such in " UM_COW_TREE ": %s", s->dir, strerror(-r)) : 0;
}

int session_open(struct session *s, const char *dir, bool writable, char *error, size_t size)
{
	struct opening o = { s, { error, size } };

	*s = SESSION_NONE;
	s->writable = writable;
	if (open_all(&o, dir) == 0 && settle(&o, dir) == 0)
		return 0;
	session_close(s);
	return -1;
}

void session_close(struct session *s)
{
	const int fds[] = { s->dir_fd, s->tree_fd, s->low_fd, s->lock_fd, s->review_fd };

	session_origins_close(s);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (s->state)
		munmap(s->state, UM_COW_STATE_SIZE);
	session_table_detach(s);
	free(s->dir);
	free(s->lower);
	free(s->command);
	free(s->over);
	*s = SESSION_NONE;
}
