/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which copy-on-write sessions there are, and who works on them.
 *
 * Whoever works on a session, the monitor of a view or a command that commits or discards, holds a lock on SESSION/lock, whose text
 * says who that is.  A command holds one on SESSION/reviewing as well, and before: so who has that, and not the other one, knows that
 * a view is running.  A lock goes with its holder, however that ends.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "session.h"

/* ---- the lock --------------------------------------------------------------------------------------- */

static int lock_open(const char *dir, const char *lock, int flags)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", dir, lock) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

/* "PID what" becomes "process PID (what)". */
static void read_holder(int fd, char *holder, size_t size)
{
	char text[256];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	char *what = strchr(text, ' ');
	if (what)
		*what++ = 0;
	if (what && *what)
		snprintf(holder, size, "process %s (%s)", text, what);
	else
		snprintf(holder, size, "%s%s", *text ? "process " : "somebody", text);
}

int session_lock(const char *dir, const char *lock, const char *what, char *holder, size_t size)
{
	char text[256];
	int fd = lock_open(dir, lock, O_RDWR | O_CREAT);

	*holder = 0;
	if (fd < 0)
		return fd;
	for (int i = 0; i < 5 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK; i++)
		usleep(5000);		/* somebody who only looks whether it is used lets go at once */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? -EAGAIN : -errno;
		read_holder(fd, holder, size);
		close(fd);
		return r;
	}
	int n = snprintf(text, sizeof(text), "%d %s", (int)getpid(), what);
	if (n >= (int)sizeof(text))
		n = (int)sizeof(text) - 1;
	text[n] = '\n';
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n + 1, 0) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

bool session_is_used(const char *dir, char *holder, size_t size)
{
	int fd = lock_open(dir, UM_COW_LOCK, O_RDONLY);
	bool used = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;

	*holder = 0;
	if (used)
		read_holder(fd, holder, size);
	if (fd >= 0)
		close(fd);
	return used;
}

/* ---- what is below ---------------------------------------------------------------------------------- */

/* Directories that no copy-on-write mount copies. */
static bool is_uncopied(const char *path)
{
	const char *const machine[] = { "/proc", "/sys", "/dev" };

	for (size_t i = 0; i < sizeof(machine) / sizeof(machine[0]); i++) {
		size_t n = strlen(machine[i]);
		if (!strncmp(path, machine[i], n) && (!path[n] || path[n] == '/'))
			return true;
	}
	return false;
}

static bool lies_at(const char *path, const char *mount)
{
	size_t n = strcmp(mount, "/") ? strlen(mount) : 0;

	return !strncmp(path, mount, n) && (!path[n] || path[n] == '/');
}

char *session_over(const char *lower)
{
	struct client_mount *list;
	int n = client_inside() ? client_mounts(&list) : -1;
	char *over = NULL;

	for (int i = n; i-- > 0 && !over;) {
		const struct client_mount *m = &list[i];
		const char *type = m->info.kind == UM_MOUNT_COW ? "cow" : m->info.kind == UM_MOUNT_BIND ? "bind" : m->fstype;
		const char *source = m->info.kind == UM_MOUNT_REMOTE ? m->source : m->target;
		bool is = m->info.kind == UM_MOUNT_COW || m->info.kind == UM_MOUNT_BIND || m->info.kind == UM_MOUNT_REMOTE;
		if (!is || !lies_at(lower, m->path))
			continue;
		if ((m->info.kind == UM_MOUNT_COW && is_uncopied(lower)) || asprintf(&over, "%s %s", type, source) < 0)
			over = NULL;
	}
	if (n >= 0)
		free(list);
	return over;
}

/* ---- which there are -------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int session_list(char ***names)
{
	char home[PATH_MAX];
	DIR *d = session_home(home, sizeof(home)) < 0 ? NULL : opendir(home);
	char **list = NULL;
	int n = 0;

	*names = NULL;
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (struct dirent *e; (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		char **more = realloc(list, (size_t)(n + 1) * sizeof(*list));
		if (!more)
			break;
		list = more;
		list[n] = strdup(e->d_name);
		n += list[n] != NULL;
	}
	closedir(d);
	if (n)
		qsort(list, (size_t)n, sizeof(*list), by_name);
	*names = list;
	return n;
}

static bool lies_in(const char *dir, const char *home)
{
	size_t n = strlen(home);

	return !strncmp(dir, home, n) && dir[n] == '/' && !strchr(dir + n + 1, '/');
}

/* Is it one that nobody but us has named?  By whatever links one gets there. */
bool session_is_own(const char *dir)
{
	char home[PATH_MAX];

	if (session_home(home, sizeof(home)) < 0)
		return false;
	if (lies_in(dir, home))
		return true;
	char *real = realpath(home, NULL);
	bool is = real && lies_in(dir, real);
	free(real);
	return is;
}

static int find_only(char *dir, size_t size, const char *home, const struct failure *f)
{
	char **names;
	int n = session_list(&names), r = -1;

	if (n < 1)
		session_fail(f, "there is no session in %s; give --upper DIR for one elsewhere", home);
	else if (n > 1)
		session_fail(f, "there are %d sessions; give --session ID (umview ls --sessions names them)", n);
	else
		r = snprintf(dir, size, "%s/%s", home, names[0]) < (int)size ? 0 : session_fail(f, "the path is too long");
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return r;
}

int session_find(char *dir, size_t size, const char *id, const char *upper, char *error, size_t error_size)
{
	const struct failure f = { error, error_size };
	char home[PATH_MAX];

	if (id && upper)
		return session_fail(&f, "--session and --upper: give one of them");
	if (upper) {
		if (snprintf(dir, size, "%s", upper) >= (int)size)
			return session_fail(&f, "%s: %s", upper, strerror(ENAMETOOLONG));
		return 0;
	}
	if (session_home(home, sizeof(home)) < 0)
		return session_fail(&f, "neither XDG_STATE_HOME nor HOME says where sessions are; give --upper DIR");
	if (!id)
		return find_only(dir, size, home, &f);
	if (!*id || strchr(id, '/') || id[0] == '.')
		return session_fail(&f, "--session %s: is no name of a session; for a directory there is --upper DIR", id);
	if (snprintf(dir, size, "%s/%s", home, id) >= (int)size)
		return session_fail(&f, "%s: %s", id, strerror(ENAMETOOLONG));
	return access(dir, F_OK) == 0 ? 0 : session_fail(&f, "%s: there is no such session", id);
}
