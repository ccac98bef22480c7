/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directories that tmpfs mounts of a view show.
 *
 * An ordinary user cannot mount a tmpfs, but he has a place on one (/dev/shm, mostly).  A directory made there,
 * for him alone, and shown at the mount point is as fast as the kernel's, since it is that.  It is
 *
 *	PLACE/umview-UID-PID-WORLD.XXXXXX/		which others may not list
 *	PLACE/umview-UID-PID-WORLD.XXXXXX/root		what is shown, with the mode that was asked for
 *
 * where PID is the monitor's, and WORLD the inode of its world file.  The monitor removes it when it is unmounted, at
 * the end of the view at last.  If the monitor was killed, the next one of this user that makes such a directory
 * does that, when no process has that world mapped any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"

#define SHOWN	"/root"

/* ---- removing ------------------------------------------------------------------------------------- */

static int private_remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	if (type == FTW_DP || type == FTW_DNR)
		rmdir(path);
	else
		unlink(path);
	return 0;
}

/* Directories without permissions for their owner have to be opened up first. */
static int open_up(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)at;
	if (type == FTW_DNR || (type == FTW_D && (st->st_mode & 0700) != 0700))
		chmod(path, 0700);
	return 0;
}

static void private_remove_tree(const char *path)
{
	nftw(path, private_remove_one, 32, FTW_DEPTH | FTW_PHYS);
	for (int i = 0; i < 64 && access(path, F_OK) == 0; i++) {	/* each turn opens up one level more */
		nftw(path, open_up, 32, FTW_PHYS);
		nftw(path, private_remove_one, 32, FTW_DEPTH | FTW_PHYS);
	}
}

/* A process of its own: there may be a million files.  It is our child, so the view waits for it. */
void private_remove(const char *path)
{
	char dir[PRIVATE_PATH];
	size_t n = strlen(path);

	if (n < sizeof(SHOWN) || n >= sizeof(dir) || strcmp(path + n - strlen(SHOWN), SHOWN))
		return;
	memcpy(dir, path, n - strlen(SHOWN));
	dir[n - strlen(SHOWN)] = 0;
	pid_t pid = fork();
	if (pid > 0)
		return;
	private_remove_tree(dir);
	if (pid == 0)
		_exit(0);
}

/* ---- what others have left behind ----------------------------------------------------------------- */

struct stale {
	unsigned uid, pid;
	unsigned long world;
};

static bool parse_name(const char *name, struct stale *s)
{
	char dot;

	return sscanf(name, "umview-%u-%u-%lu%c", &s->uid, &s->pid, &s->world, &dot) == 4 && dot == '.';
}

/* Has this process the world with that inode mapped? */
static bool maps_world(const char *pid, unsigned long world)
{
	char path[64], line[PATH_MAX + 128], want[40];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%s/maps", pid);
	snprintf(want, sizeof(want), " %lu ", world);
	FILE *f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, "/memfd:umview-world") && strstr(line, want);
	if (f)
		fclose(f);
	return found;
}

static bool world_lives(const struct stale *s)
{
	bool lives = false;
	char monitor[16];

	snprintf(monitor, sizeof(monitor), "%u", s->pid);
	DIR *d = maps_world(monitor, s->world) ? NULL : opendir("/proc");
	if (!d)
		return true;
	for (struct dirent *e; !lives && (e = readdir(d));)
		lives = e->d_name[0] >= '1' && e->d_name[0] <= '9' && maps_world(e->d_name, s->world);
	closedir(d);
	return lives;
}

static void private_sweep(const char *place)
{
	char path[PRIVATE_PATH];
	struct stale s;
	struct stat st;
	DIR *d = opendir(place);

	if (!d)
		return;
	for (struct dirent *e; (e = readdir(d));) {
		if (!parse_name(e->d_name, &s) || s.uid != getuid() || world_lives(&s) ||
		    snprintf(path, sizeof(path), "%s/%s" SHOWN, place, e->d_name) >= (int)sizeof(path))
			continue;
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode) ||
		    st.st_uid != getuid())
			continue;
		log_line("umview: %s was left behind by a monitor that is gone", e->d_name);
		private_remove(path);
	}
	closedir(d);
}

/* ---- making --------------------------------------------------------------------------------------- */

/* May directories be made there, and programs run from it?  strict: is it memory, too? */
static bool is_place(const char *place, bool strict)
{
	struct statfs fs;

	if (!place || place[0] != '/' || access(place, W_OK | X_OK) < 0 || statfs(place, &fs) < 0)
		return false;
	return !((unsigned long)fs.f_flags & (ST_NOEXEC | ST_RDONLY)) && (!strict || fs.f_type == TMPFS_MAGIC);
}

static const char *find_place(void)
{
	const char *places[] = { "/dev/shm", getenv("XDG_RUNTIME_DIR"), getenv("TMPDIR"), "/tmp" };

	for (int strict = 1; strict >= 0; strict--)
		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
			if (is_place(places[i], strict))
				return places[i];
	return NULL;
}

int private_make(const struct monitor *m, unsigned mode, char path[PRIVATE_PATH])
{
	const char *place = find_place();
	struct stat st;
	int n;

	if (!place || fstat(m->w.fd, &st) < 0)
		return -ENOENT;
	private_sweep(place);
	n = snprintf(path, PRIVATE_PATH, "%s/umview-%u-%d-%lu.XXXXXX", place, getuid(), (int)getpid(),
		     (unsigned long)st.st_ino);
	if (n + sizeof(SHOWN) > PRIVATE_PATH)
		return -ENAMETOOLONG;
	if (!mkdtemp(path))
		return -errno;
	if (geteuid() == 0)
		chmod(path, 0711);	/* guests may become somebody else */
	memcpy(path + n, SHOWN, sizeof(SHOWN));
	if (mkdir(path, 0700) == 0 && chmod(path, mode & 07777) == 0)
		return 0;
	int error = -errno;
	private_remove(path);
	return error;
}
