/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview umount`, and what it says when a mount is busy.
 *
 * Who holds it /proc tells: we are inside of the view, so the agents show descriptors and working directories as the guests have them.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"
#include "log.h"
#include "options.h"
#include "procs.h"

/* One error line; the value is the exit status. */
#define fail(...)	(say("umount: " __VA_ARGS__), 1)

/* ---- who holds it --------------------------------------------------------------------------------- */

static bool is_open_file_of(const char *dir, const char *name, unsigned mnt_id)
{
	char path[PATH_MAX], line[256];
	unsigned id = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	while (!id && fgets(line, sizeof(line), f))
		sscanf(line, "mnt_id: %u", &id);
	fclose(f);
	return id == mnt_id;
}

/* Is its working directory in the mount at path? */
static bool works_in(pid_t pid, const char *path)
{
	char link[40], cwd[PATH_MAX];
	size_t len = strlen(path);

	snprintf(link, sizeof(link), "/proc/%d/cwd", pid);
	ssize_t n = readlink(link, cwd, sizeof(cwd) - 1);
	if (n < 0)
		return false;
	cwd[n] = 0;
	return !strncmp(cwd, path, len) && (!cwd[len] || cwd[len] == '/');
}

static bool holds(pid_t pid, const struct client_mount *m)
{
	char dir[40];
	bool yes = works_in(pid, m->path);

	snprintf(dir, sizeof(dir), "/proc/%d/fdinfo", pid);
	DIR *d = opendir(dir);
	if (!d)
		return yes;
	for (struct dirent *e; !yes && (e = readdir(d));)
		if (e->d_name[0] != '.')
			yes = is_open_file_of(dir, e->d_name, UM_MNT_ID(m->info.id));
	closedir(d);
	return yes;
}

/* ": used by bash (12), vi (34)", or "" if nobody is found. */
static void name_holders(const struct client_mount *m, char *buf, size_t size)
{
	struct procs ps;
	size_t at = 0;
	int named = 0;

	*buf = 0;
	if (procs_read(&ps) < 0)
		return;
	for (size_t i = 0; i < ps.n && named < 5 && at < size; i++) {
		char name[64];
		if (ps.tab[i].pid == getpid() || !holds(ps.tab[i].pid, m))
			continue;
		proc_name(ps.tab[i].pid, name, sizeof(name));
		at += (size_t)snprintf(buf + at, size - at, "%s%s (%d)", named++ ? ", " : ": used by ", name,
				       ps.tab[i].pid);
	}
	procs_free(&ps);
}

static int fail_busy(const char *dst)
{
	char *path = realpath(dst, NULL);
	const char *key = path ? path : dst;
	struct client_mount *list;
	int n = client_mounts(&list);
	char who[500] = "";
	uint32_t id = 0;

	for (int i = 0; i < n; i++) {
		size_t len = strlen(key);
		if (!strcmp(list[i].path, key)) {
			id = list[i].info.id;
			name_holders(&list[i], who, sizeof(who));
		} else if (id && !strncmp(list[i].path, key, len) && (list[i].path[len] == '/' || len == 1)) {
			snprintf(who, sizeof(who), ": %s is mounted in it; unmount that first", list[i].path);
		}
	}
	free(list);
	int r = fail("%s: busy%s", dst, who);
	free(path);
	return r;
}

int cmd_umount(int argc, char **argv)
{
	struct mount_options o;

	if (umount_options_parse(&o, argc, argv) < 0)
		return fail("%s", o.error);
	if (!client_inside())
		return fail("not inside a view; start one with `umview`");
	if (umount2(o.dst, (o.lazy ? MNT_DETACH : 0) | (o.force ? MNT_FORCE : 0)) == 0)
		return 0;
	if (errno == EBUSY)
		return fail_busy(o.dst);
	if (errno == EINVAL || (errno == EPERM && !client_is_strict()))
		return fail("%s: is not a mount point of this view; umview ls shows them", o.dst);
	return fail("%s: %s", o.dst, strerror(errno));
}
