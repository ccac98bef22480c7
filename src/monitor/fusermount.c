/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our fusermount and fusermount3.
 *
 * FUSE programs that may not mount themselves, or that are used to it, run this helper: it opens /dev/fuse,
 * mounts, and sends the descriptor back over the socket whose number is in _FUSE_COMMFD.  In a view every
 * exec of a program of these names runs umview under that name, whether or not one is installed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"
#include "options.h"

struct request {
	const char *name;		/* argv[0]'s last part */
	bool unmount, lazy, quiet, auto_unmount, block_device;
	unsigned long flags;		/* MS_* */
	char data[4096];		/* options for mount(2) */
	char *fsname, *subtype;
	const char *mountpoint;
	int comm_fd;
};

__attribute__((format(printf, 2, 3)))
static int fail(const struct request *r, const char *fmt, ...)
{
	va_list ap;

	if (!r->quiet) {
		fprintf(stderr, "%s: ", r->name);
		va_start(ap, fmt);
		vfprintf(stderr, fmt, ap);
		va_end(ap);
		fputc('\n', stderr);
	}
	return 1;
}

/* ---- the options ---------------------------------------------------------------------------------- */

static const struct flag { const char *word; unsigned long set, clear; } flags[] = {
	{ "rw", 0, MS_RDONLY }, { "ro", MS_RDONLY, 0 },
	{ "suid", 0, MS_NOSUID }, { "nosuid", MS_NOSUID, 0 },
	{ "dev", 0, MS_NODEV }, { "nodev", MS_NODEV, 0 },
	{ "exec", 0, MS_NOEXEC }, { "noexec", MS_NOEXEC, 0 },
	{ "async", 0, MS_SYNCHRONOUS }, { "sync", MS_SYNCHRONOUS, 0 },
	{ "atime", 0, MS_NOATIME }, { "noatime", MS_NOATIME, 0 },
	{ "diratime", 0, MS_NODIRATIME }, { "nodiratime", MS_NODIRATIME, 0 },
	{ "relatime", MS_RELATIME, 0 }, { "norelatime", 0, MS_RELATIME },
	{ "strictatime", MS_STRICTATIME, 0 }, { "dirsync", MS_DIRSYNC, 0 },
	{ "nosymfollow", 256, 0 },
};

/* Options that mean nothing here: they are for mount(8), fstab, or what reads /etc/mtab. */
static bool is_ignored(const char *word)
{
	static const char *const words[] = {
		"nonempty", "defaults", "auto", "noauto", "user", "nouser", "users", "owner", "_netdev", "nofail",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i], word))
			return true;
	return !strncmp(word, "x-", 2);
}

static bool goes_to_mount(const char *word)
{
	return !strcmp(word, "allow_other") || !strcmp(word, "default_permissions") ||
	       !strncmp(word, "max_read=", 9) || !strncmp(word, "blksize=", 8);
}

static int take_option(struct request *r, const char *word)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (!strcmp(flags[i].word, word)) {
			r->flags = (r->flags | flags[i].set) & ~flags[i].clear;
			return 0;
		}
	if (!strncmp(word, "fsname=", 7)) {
		r->fsname = strdup(word + 7);
	} else if (!strncmp(word, "subtype=", 8)) {
		r->subtype = strdup(word + 8);
	} else if (!strcmp(word, "blkdev")) {
		r->block_device = true;
	} else if (!strcmp(word, "auto_unmount")) {
		r->auto_unmount = true;
	} else if (!strcmp(word, "allow_root")) {
		return take_option(r, "allow_other");
	} else if (goes_to_mount(word)) {
		size_t n = strlen(r->data);
		snprintf(r->data + n, sizeof(r->data) - n, ",%s", word);
	} else if (!is_ignored(word)) {
		return fail(r, "unknown option '%s'", word);
	}
	return 0;
}

/* Words are parted by commas; a backslash takes the next character as it is. */
static int take_options(struct request *r, const char *list)
{
	char word[1024];
	size_t n = 0;

	for (;; list++) {
		if (*list && *list != ',') {
			if (*list == '\\' && list[1])
				list++;
			if (n < sizeof(word) - 1)
				word[n++] = *list;
			continue;
		}
		word[n] = 0;
		if (n && take_option(r, word))
			return 1;
		n = 0;
		if (!*list)
			return 0;
	}
}

static int take_comm_fd(struct request *r, const char *text)
{
	char *end;
	long fd = text ? strtol(text, &end, 10) : -1;

	if (!text || end == text || *end || fd < 0)
		return fail(r, "old style mounting not supported: _FUSE_COMMFD is not set; this program is for FUSE libraries");
	r->comm_fd = (int)fd;
	return 0;
}

static int usage(const struct request *r)
{
	printf("%s: [options] mountpoint\n"
	       "Options:\n"
	       " -h		    print help\n"
	       " -V		    print version\n"
	       " -o opt[,opt...]    mount options\n"
	       " -u		    unmount\n"
	       " -q		    quiet\n"
	       " -z		    lazy unmount\n", r->name);
	return 0;
}

static int take_mountpoint(struct request *r, const char *word)
{
	if (r->mountpoint)
		return fail(r, "extra arguments after the mountpoint");
	r->mountpoint = word;
	return 0;
}

/* Options may stand behind the mount point (gocryptfs).  Returns 0 to go on, else 1 + exit status. */
static int parse(struct request *r, int argc, char **argv)
{
	const char *comm = getenv("_FUSE_COMMFD");
	bool words = false;

	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		if (words || a[0] != '-' || !a[1]) {
			if (take_mountpoint(r, a))
				return 2;
			continue;
		}
		if (!strcmp(a, "--")) {
			words = true;
			continue;
		}
		if (!strcmp(a, "-h") || !strcmp(a, "--help"))
			return 1 + usage(r);
		if (!strcmp(a, "-V") || !strcmp(a, "--version")) {
			printf("%s version: 3.14.0\n", r->name);
			return 1;
		}
		if (!strncmp(a, "--comm-fd=", 10)) {
			comm = a + 10;
		} else if (!strncmp(a, "-o", 2)) {
			const char *list = a[2] ? a + 2 : i + 1 < argc ? argv[++i] : "";
			if (take_options(r, list))
				return 2;
		} else if (strspn(a + 1, "uqzU") == strlen(a + 1)) {
			r->unmount |= strchr(a, 'u') != NULL;
			r->quiet |= strchr(a, 'q') != NULL;
			r->lazy |= strchr(a, 'z') != NULL;
			r->auto_unmount |= strchr(a, 'U') != NULL;
		} else {
			return 1 + fail(r, "unknown option %s", a);
		}
	}
	if (!r->mountpoint)
		return 1 + fail(r, "missing mountpoint argument");
	return !r->unmount && take_comm_fd(r, comm) ? 2 : 0;
}

/* ---- mounting ------------------------------------------------------------------------------------- */

static int send_descriptor(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(socket, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

static int do_mount(const struct request *r, int fd)
{
	char type[300], data[4400];
	struct stat st;
	const char *kind = r->block_device ? "fuseblk" : "fuse";
	const char *source = r->fsname ? r->fsname : r->subtype ? r->subtype : "/dev/fuse";

	if (stat(r->mountpoint, &st) < 0)
		return fail(r, "failed to access mountpoint %s: %s", r->mountpoint, strerror(errno));
	snprintf(type, sizeof(type), "%s%s%s", kind, r->subtype ? "." : "", r->subtype ? r->subtype : "");
	snprintf(data, sizeof(data), "fd=%d,rootmode=%o,user_id=%u,group_id=%u%s", fd, st.st_mode & S_IFMT,
		 getuid(), getgid(), r->data);
	if (mount(source, r->mountpoint, type, r->flags, data) < 0)
		return fail(r, "mount failed: %s", strerror(errno));
	return 0;
}

/* auto_unmount: stays until the other end of the socket is closed, then unmounts. */
static void unmount_at_end(const struct request *r)
{
	char *path = realpath(r->mountpoint, NULL);
	char byte;

	if (fork() > 0)
		_exit(0);
	client_servant(0, 0, 0);
	setsid();
	signal(SIGHUP, SIG_IGN);
	if (chdir("/") < 0)
		_exit(1);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	while (read(r->comm_fd, &byte, 1) > 0 || errno == EINTR)
		;
	umount2(path ? path : r->mountpoint, MNT_DETACH);
	_exit(0);
}

static int mount_and_send(const struct request *r)
{
	int fd = open("/dev/fuse", O_RDWR);

	if (fd < 0)
		return fail(r, "failed to open /dev/fuse: %s", strerror(errno));
	if (do_mount(r, fd))
		return 1;
	int error = send_descriptor(r->comm_fd, fd);
	if (error < 0) {
		umount2(r->mountpoint, MNT_DETACH);
		return fail(r, "sending file descriptor: %s", strerror(-error));
	}
	close(fd);
	if (r->auto_unmount)
		unmount_at_end(r);
	return 0;
}

int cmd_fusermount(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	struct request r = {
		.name = slash ? slash + 1 : argv[0], .flags = MS_NOSUID | MS_NODEV, .comm_fd = -1,
	};
	int stop = parse(&r, argc, argv);

	if (stop)
		return stop - 1;
	if (!client_inside())
		return fail(&r, "this is umview's, for programs in a view; start one with umview");
	if (!r.unmount)
		return mount_and_send(&r);
	if (umount2(r.mountpoint, UMOUNT_NOFOLLOW | (r.lazy ? MNT_DETACH : 0)) < 0)
		return fail(&r, "failed to unmount %s: %s", r.mountpoint, strerror(errno));
	return 0;
}
