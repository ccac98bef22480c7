/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copy-on-write sessions on disk.
 *
 * A session that is there already is taken up again if it is one of ours, of the same directory, and in its
 * first place: what the agent remembers of inodes would be about others in a copy of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "session.h"

struct making {
	const char *dir, *lower, *command;
	const char *over;	/* NULL: what is below is the kernel's */
	struct failure f;
};

int session_fail(const struct failure *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text, f->size, fmt, ap);
	va_end(ap);
	return -1;
}

static int join(const struct making *m, char path[PATH_MAX], const char *name)
{
	if (snprintf(path, PATH_MAX, "%s/%s", m->dir, name) >= PATH_MAX)
		return session_fail(&m->f, "%s: the path of the session is too long", m->dir);
	return 0;
}

/* ---- names ---------------------------------------------------------------------------------------- */

static int make_directories(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		int r = mkdir(path, 0700);
		*p = '/';
		if (r < 0 && errno != EEXIST)
			return -1;
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -1 : 0;
}

int session_home(char *dir, size_t size)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n = -1;

	if (state && *state == '/')
		n = snprintf(dir, size, "%s/umview", state);
	else if (home && *home == '/')
		n = snprintf(dir, size, "%s/.local/state/umview", home);
	return n < 0 || (size_t)n >= size ? -1 : 0;
}

int session_name(char *dir, size_t size, char *error, size_t error_size)
{
	const struct failure f = { error, error_size };
	char home[PATH_MAX], when[32];
	time_t now = time(NULL);
	struct tm tm;

	if (session_home(home, sizeof(home)) < 0)
		return session_fail(&f, "neither XDG_STATE_HOME nor HOME names a directory for the session; give -o upper=DIR");
	strftime(when, sizeof(when), "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
	int n = snprintf(dir, size, "%s/%s-%d", home, when, (int)getpid());
	if (n < 0 || (size_t)n >= size)
		return session_fail(&f, "the path of the session would be too long");
	return make_directories(dir) < 0 ? session_fail(&f, "%s: %s", dir, strerror(errno)) : 0;
}

/* ---- making ---------------------------------------------------------------------------------------- */

static int make_directory(const struct making *m, const char *name, mode_t mode)
{
	char path[PATH_MAX];

	if (join(m, path, name) < 0)
		return -1;
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return session_fail(&m->f, "%s: %s", path, strerror(errno));
	return 0;
}

/* What may not be set is left out, as with all that is copied. */
static void copy_xattrs(const char *from, const char *to)
{
	ssize_t n = listxattr(from, NULL, 0);
	char *names = n > 0 ? malloc((size_t)n) : NULL, *value = names ? malloc(XATTR_SIZE_MAX) : NULL;

	n = value ? listxattr(from, names, (size_t)n) : 0;
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t size = getxattr(from, names + at, value, XATTR_SIZE_MAX);

		if (size >= 0)
			setxattr(to, names + at, value, (size_t)size, 0);
	}
	free(names);
	free(value);
}

/* The root of the tree looks like the directory it stands for. */
static int dress_tree(const struct making *m)
{
	char path[PATH_MAX];
	struct stat st;

	if (join(m, path, UM_COW_TREE) < 0)
		return -1;
	if (stat(m->lower, &st) < 0)
		return session_fail(&m->f, "%s: %s", m->lower, strerror(errno));
	if (chown(path, st.st_uid, st.st_gid) < 0 && errno != EPERM)
		return session_fail(&m->f, "%s: %s", path, strerror(errno));
	copy_xattrs(m->lower, path);
	const struct timespec times[2] = { st.st_atim, st.st_mtim };
	if (chmod(path, (st.st_mode & 07777) | 0700) < 0 || utimensat(AT_FDCWD, path, times, 0) < 0)
		return session_fail(&m->f, "%s: %s", path, strerror(errno));
	return 0;
}

bool session_is_virtual(const char *dir)
{
	struct client_mount *list = NULL;
	char *path = realpath(dir, NULL);
	int n = path ? client_mounts(&list) : 0;
	size_t best = 0;
	bool yes = false;

	for (int i = 0; i < n; i++) {
		const size_t len = strcmp(list[i].path, "/") ? strlen(list[i].path) : 0;

		if (len >= best && !strncmp(path, list[i].path, len) && (!path[len] || path[len] == '/')) {
			best = len;
			yes = list[i].info.kind == UM_MOUNT_REMOTE;
		}
	}
	free(list);
	free(path);
	return yes;
}

/* `room`: so much of it is not sparse. */
static void *map_new(const struct making *m, const char *name, size_t size, size_t room)
{
	char path[PATH_MAX];

	if (join(m, path, name) < 0)
		return NULL;
	if (session_is_virtual(m->dir)) {
		session_fail(&m->f, "%s: a session cannot be kept in a mounted image; give another place with --upper DIR", m->dir);
		return NULL;
	}
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	void *p = MAP_FAILED;
	if (fd >= 0 && ftruncate(fd, (off_t)size) == 0 && (errno = posix_fallocate(fd, 0, (off_t)room)) == 0)
		p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		session_fail(&m->f, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

/* The root of the tree is shown as the directory that it stands for. */
static int note_copy(const struct making *m, struct um_vtable *t, size_t size)
{
	char path[PATH_MAX];
	struct stat tree, low;
	int r = join(m, path, UM_COW_TREE);

	if (r < 0)
		return r;
	if (stat(path, &tree) < 0 || stat(m->lower, &low) < 0)
		return session_fail(&m->f, "%s: %s", path, strerror(errno));
	r = session_table_begin(t, size, tree.st_dev, tree.st_ino, low.st_dev, low.st_ino);
	return r < 0 ? session_fail(&m->f, "%s: %s", m->dir, strerror(-r)) : 0;
}

static int make_inodes(const struct making *m)
{
	size_t size = um_vtable_size(UM_VSTAT_RECORDS);
	struct um_vtable *t = map_new(m, UM_COW_INODES, size, um_vtable_records_at(UM_VSTAT_RECORDS) +
				    UM_VSTAT_RECORDS_FIRST * sizeof(struct um_vstat_record));

	if (!t)
		return -1;
	um_vtable_format(t, UM_VSTAT_RECORDS);
	t->room = UM_VSTAT_RECORDS_FIRST;
	int r = note_copy(m, t, size);
	munmap(t, size);
	return r;
}

/* Can a device with number 0:0, which means "removed", be made here? */
static bool whiteouts_possible(const struct making *m)
{
	char path[PATH_MAX];

	if (join(m, path, UM_COW_WORK "/whiteout") < 0)
		return false;
	bool possible = mknod(path, S_IFCHR, 0) == 0;
	unlink(path);
	return possible;
}

/* The root of the tree is a copy of the directory below, as far as we may make one. */
static void note_root(const struct making *m, struct um_cow_state *s, const struct stat *tree)
{
	struct um_cow_origin *o = (struct um_cow_origin *)((char *)s + UM_COW_ORIGINS_AT);
	struct timespec now;
	struct stat st;

	clock_gettime(CLOCK_REALTIME, &now);
	s->started = now.tv_sec * 1000000000l + now.tv_nsec;
	if (stat(m->lower, &st) < 0)
		return;
	s->norigins = 1;
	*o = (struct um_cow_origin) {
		.place = um_cow_place(""), .dev = um_cow_dev(st.st_dev), .ino = st.st_ino, .nlink = 1, .size = (uint64_t)st.st_size,
		.mtime = st.st_mtim.tv_sec * 1000000000l + st.st_mtim.tv_nsec,
		.ctime = st.st_ctim.tv_sec * 1000000000l + st.st_ctim.tv_nsec,
		.mode = tree->st_mode, .uid = tree->st_uid, .gid = tree->st_gid,
	};
}

static int make_state(const struct making *m)
{
	char path[PATH_MAX];
	struct stat st;
	struct um_cow_state *s = map_new(m, UM_COW_STATE, UM_COW_STATE_SIZE,
					  UM_COW_ORIGINS_AT + UM_COW_ORIGINS_FIRST * sizeof(struct um_cow_origin));

	if (!s || join(m, path, UM_COW_TREE) < 0)
		return -1;
	if (stat(path, &st) < 0)
		return session_fail(&m->f, "%s: %s", path, strerror(errno));
	s->version = UM_COW_VERSION;
	s->origins_room = UM_COW_ORIGINS_FIRST;
	s->links = !whiteouts_possible(m);
	note_root(m, s, &st);
	s->tree_dev = st.st_dev;
	s->tree_ino = st.st_ino;
	s->magic = UM_COW_MAGIC;
	munmap(s, UM_COW_STATE_SIZE);
	return 0;
}

static int make_gone(const struct making *m)
{
	void *p = map_new(m, UM_COW_GONE_FILE, sizeof(struct um_cow_gone), sizeof(struct um_cow_gone));

	if (!p)
		return -1;
	munmap(p, sizeof(struct um_cow_gone));
	return 0;
}

static int make_info(const struct making *m)
{
	char path[PATH_MAX];

	if (join(m, path, UM_COW_INFO) < 0)
		return -1;
	FILE *f = fopen(path, "wxe");
	if (!f)
		return session_fail(&m->f, "%s: %s", path, strerror(errno));
	bool bad = fprintf(f, SESSION_FIRST "%s\n%s\n", m->lower, m->command ? m->command : "") < 0 ||
		   (m->over && fprintf(f, "over %s\n", m->over) < 0);
	if (fclose(f) || bad)
		return session_fail(&m->f, "%s: %s", path, strerror(errno));
	return 0;
}

/* ---- taking up ------------------------------------------------------------------------------------- */

static int check_state(const struct making *m)
{
	char path[PATH_MAX];
	struct um_cow_state *s;
	struct stat st;

	if (join(m, path, UM_COW_STATE) < 0)
		return -1;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < (off_t)UM_COW_STATE_SIZE) {
		if (fd >= 0)
			close(fd);
		return session_fail(&m->f, "%s: is no copy-on-write session of umview; give an empty directory, or none", m->dir);
	}
	s = mmap(NULL, sizeof(*s), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (s == MAP_FAILED)
		return session_fail(&m->f, "%s: %s", path, strerror(errno));
	bool ours = s->magic == UM_COW_MAGIC && s->version == UM_COW_VERSION;
	uint64_t dev = s->tree_dev, ino = s->tree_ino;
	munmap(s, sizeof(*s));
	if (!ours)
		return session_fail(&m->f, "%s: is a session of another version of umview", m->dir);
	if (join(m, path, UM_COW_TREE) < 0 || stat(path, &st) < 0 || st.st_ino != ino || st.st_dev != dev)
		return session_fail(&m->f, "%s: has been copied or restored from elsewhere; only the session itself can be gone on with",
			    m->dir);
	return 0;
}

/* The rest of `info`: does it tell of what is below now? */
static int check_over(const struct making *m, FILE *f)
{
	char *line = NULL;
	size_t room = 0;
	const char *over = NULL;

	if (getline(&line, &room, f) > 0 && getline(&line, &room, f) > 0 && !strncmp(line, "over ", 5)) {
		line[strcspn(line, "\n")] = 0;
		over = line + 5;
	}
	int r = !over && !m->over ? 0 :
		!over ? session_fail(&m->f, "%s: holds changes of %s itself, and %s is mounted there now", m->dir, m->lower, m->over) :
		!m->over || strcmp(over, m->over) ? session_fail(&m->f, "%s: holds changes of what %s has at %s, which is not mounted there now",
								  m->dir, over, m->lower) : 0;
	free(line);
	return r;
}

static int check_info(const struct making *m)
{
	char path[PATH_MAX], line[PATH_MAX + 2];

	if (join(m, path, UM_COW_INFO) < 0)
		return -1;
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(line, sizeof(line), f) && !strcmp(line, SESSION_FIRST) && fgets(line, sizeof(line), f);
	line[strcspn(line, "\n")] = 0;
	int r = !ok ? session_fail(&m->f, "%s: is no copy-on-write session of umview; give an empty directory, or none", m->dir) :
		strcmp(line, m->lower) ? session_fail(&m->f, "%s: holds changes of %s, not of %s", m->dir, line, m->lower) : 0;
	if (!r)
		r = check_over(m, f);
	if (f)
		fclose(f);
	return r;
}

/* All of it, in an empty directory. */
static int make(const struct making *m)
{
	removexattr(m->dir, "system.posix_acl_default");	/* nothing that is copied into it shall inherit from it */
	if (make_directory(m, UM_COW_TREE, 0755) < 0 || dress_tree(m) < 0 ||
	    make_directory(m, UM_COW_WORK, 0700) < 0 || make_directory(m, UM_COW_INDEX, 0700) < 0 ||
	    make_directory(m, UM_COW_REDIRECT, 0700) < 0 || make_inodes(m) < 0 || make_gone(m) < 0 || make_state(m) < 0)
		return -1;
	return make_info(m);
}

static int prepare(const struct making *m)
{
	char info[PATH_MAX];

	if (mkdir(m->dir, 0700) < 0 && errno != EEXIST)
		return session_fail(&m->f, "%s: %s", m->dir, strerror(errno));
	if (join(m, info, UM_COW_INFO) < 0)
		return -1;
	if (access(info, F_OK) == 0)
		return check_info(m) < 0 ? -1 : check_state(m);
	if (rmdir(m->dir) < 0 && errno == ENOTEMPTY)
		return session_fail(&m->f, "%s: is neither empty nor a session of umview", m->dir);
	if (mkdir(m->dir, 0700) < 0 && errno != EEXIST)
		return session_fail(&m->f, "%s: %s", m->dir, strerror(errno));
	if (make(m) == 0)
		return 0;
	session_remove_half(m->dir);
	return -1;
}

int session_prepare(const char *dir, const char *lower, const char *command, char *error, size_t size)
{
	struct making m = { dir, lower, command, NULL, { error, size } };

	if (strchr(lower, '\n'))		/* `info` has lines */
		return session_fail(&m.f, "a directory with a line break in its path cannot be worked on copy-on-write");
	char *over = session_over(lower);
	m.over = over;
	int r = prepare(&m);
	free(over);
	return r;
}
