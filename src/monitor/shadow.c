/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories for shadows: the real files that stand for watched files of a mounted file system, made there by its
 * server (kernel/fs/fuse_shadow.c).
 *
 * Best is a file system in memory that is mounted nowhere: a child mounts it in a mount namespace of its own and ends,
 * and then it lives as long as somebody has it open.  So nothing is left behind whoever is killed, and when the mount
 * ends the kernel itself says IN_UNMOUNT.  It takes root, or a kernel that gives users a user namespace.  Anywhere else
 * it is a directory with a name, which is removed at the end.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"

#define TMPFS	"mode=0700,nr_inodes=262144"
#define NAME	".umview-%d-watch-%u"		/* of the monitor, of the server */

/* ---- mounted nowhere ------------------------------------------------------------------------------ */

struct plan {
	int flags;		/* of clone */
	int fd;			/* to become the directory */
	char uid_map[32], gid_map[32];
};

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return good;
}

/* In the child, which shares our descriptors but no memory. */
static bool mount_nowhere(const struct plan *p)
{
	if (p->flags & CLONE_NEWUSER && (!put("/proc/self/uid_map", p->uid_map) || !put("/proc/self/setgroups", "deny") ||
					 !put("/proc/self/gid_map", p->gid_map)))
		return false;
	/* with a user namespace of its own nothing of it is seen outside anyway */
	if ((!(p->flags & CLONE_NEWUSER) && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) ||
	    mount("umview", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, TMPFS) < 0)
		return false;
	int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = dup3(fd, p->fd, O_CLOEXEC) >= 0;
	close(fd);
	return good;
}

static bool try_plan(const struct plan *p)
{
	int status;
	pid_t pid = (pid_t)syscall(SYS_clone, p->flags | CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);

	if (pid == 0)
		_exit(mount_nowhere(p) ? 0 : 1);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int open_nowhere(void)
{
	struct plan p = { .flags = CLONE_NEWNS, .fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) };

	if (p.fd < 0)
		return -1;
	snprintf(p.uid_map, sizeof(p.uid_map), "%u %u 1", geteuid(), geteuid());
	snprintf(p.gid_map, sizeof(p.gid_map), "%u %u 1", getegid(), getegid());
	if (try_plan(&p))
		return p.fd;
	p.flags |= CLONE_NEWUSER;
	if (try_plan(&p))
		return p.fd;
	close(p.fd);
	return -1;
}

/* ---- with a name ---------------------------------------------------------------------------------- */

static const char *const places[] = { "/dev/shm", "/tmp", "/var/tmp" };
#define PLACES	(sizeof(places) / sizeof(*places))

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	remove(path);
	return 0;
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Those of monitors that were killed. */
static void sweep(const char *place)
{
	DIR *d = opendir(place);
	char path[512];

	for (struct dirent *e; d && (e = readdir(d));) {
		unsigned server;
		int pid;

		if (sscanf(e->d_name, NAME, &pid, &server) != 2 || pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
			continue;
		snprintf(path, sizeof(path), "%s/%s", place, e->d_name);
		remove_tree(path);
	}
	if (d)
		closedir(d);
}

static int open_named(struct server *srv, uint32_t s)
{
	char path[128];

	for (size_t i = 0; i < PLACES; i++) {
		snprintf(path, sizeof(path), "%s/" NAME, places[i], getpid(), s);
		sweep(places[i]);
		if (mkdir(path, 0700) < 0)
			continue;
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		srv->shadow_path = fd < 0 ? NULL : strdup(path);
		if (srv->shadow_path)
			return fd;
		close(fd);
		rmdir(path);
	}
	return -1;
}

/* ---- for servers ---------------------------------------------------------------------------------- */

int shadow_open(struct server *srv, uint32_t s)
{
	if (srv->shadow >= 0)
		return 0;
	srv->shadow = open_nowhere();
	if (srv->shadow < 0)
		srv->shadow = open_named(srv, s);
	if (srv->shadow < 0) {
		log_line("umview: server %u: nothing can be watched: no directory could be made for that", s);
		return -ENOSPC;
	}
	log_line("umview: server %u: files are watched in %s", s, srv->shadow_path ? srv->shadow_path : "memory");
	__atomic_store_n(&srv->shm->shadow, (uint32_t)srv->shadow + 1, __ATOMIC_RELEASE);
	return 0;
}

void shadow_close(struct server *srv)
{
	if (srv->shadow < 0)
		return;
	close(srv->shadow);
	srv->shadow = -1;
	if (srv->shadow_path)
		remove_tree(srv->shadow_path);
	free(srv->shadow_path);
	srv->shadow_path = NULL;
}
