/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a step produced, without what is left to chance: a hash of data, attributes, sorted listings, and the
 * walk of the whole tree.
 */
#include "diff.h"
#include <dirent.h>
#include <sys/xattr.h>

uint32_t hash(const void *data, size_t size)
{
	const unsigned char *p = data;
	uint64_t h = 0xcbf29ce484222325u;

	while (size--)
		h = (h ^ *p++) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

void say_data(const void *data, long size)
{
	if (size > 0)
		say(" #%08x", hash(data, (size_t)size));
}

/* A time that was set, or not. */
void say_time(int64_t sec, unsigned nsec)
{
	if (sec > 1500000000)
		say(" now");
	else
		say(" %lld.%u", (long long)sec, nsec);
}

static char type_letter(unsigned mode)
{
	return "?pc?d?b?-?l?s???"[mode >> 12 & 15];
}

void say_stat(const struct stat *st)
{
	bool dir = S_ISDIR(st->st_mode);
	bool named_once = !(features & FEAT_UNLINKED) && !st->st_nlink;	/* a server's count of a hidden file: sometimes 0, sometimes 1 */

	/* a link of /proc/PID/fd: the kernel sets its mode anew whenever anybody at all looks at it there */
	if (S_ISLNK(st->st_mode) && st->st_size == 64 && (st->st_mode & 07777) != 0777)
		say(" lfd");
	else
		say(" %c%04o", type_letter(st->st_mode), st->st_mode & 07777);
	if (!dir || features & FEAT_DIRSIZE)
		say(" n%lu s%lld", named_once ? 1 : (unsigned long)st->st_nlink, (long long)st->st_size);
	if (features & FEAT_OWNER)
		say(" %u:%u", st->st_uid, st->st_gid);
	if (features & FEAT_TIME && (dir || S_ISREG(st->st_mode) || S_ISLNK(st->st_mode))) {
		if (features & FEAT_ATIME)
			say_time(st->st_atim.tv_sec, (unsigned)st->st_atim.tv_nsec);
		say_time(st->st_mtim.tv_sec, (unsigned)st->st_mtim.tv_nsec);
	}
}

/* ---- directories ------------------------------------------------------------------------------------------- */

struct listing {
	unsigned n;
	struct entry {
		uint64_t ino;
		unsigned char type;
		char name[256];
	} entry[1200];
};

struct dirent_raw {
	uint64_t ino, off;
	unsigned short len;
	unsigned char type;
	char name[];
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* All entries from where fd stands, through a buffer of `room` bytes; 0 or -1. */
static int list(struct listing *l, int fd, size_t room)
{
	static char buf[65536] __attribute__((aligned(8)));
	long got;

	l->n = 0;
	while ((got = syscall(SYS_getdents64, fd, buf, room)) > 0)
		for (long at = 0; at < got; ) {
			const struct dirent_raw *d = (const void *)(buf + at);
			struct entry *e = &l->entry[l->n];

			if (l->n < sizeof l->entry / sizeof *l->entry - 1)
				l->n++;
			e->ino = d->ino;
			e->type = d->type;
			snprintf(e->name, sizeof e->name, "%s", d->name);
			at += d->len;
		}
	qsort(l->entry, l->n, sizeof *l->entry, by_name);
	return (int)got;
}

void say_listing(int fd, size_t room)
{
	static struct listing l;
	unsigned hidden = 0;

	result(list(&l, fd, room));
	for (unsigned i = 0; i < l.n; i++)
		hidden += !strncmp(l.entry[i].name, ".fuse_hidden", 12);
	if (l.n - hidden > 12)
		say(" %u:", l.n - hidden);
	for (unsigned i = 0; i < l.n; i++)
		if (strncmp(l.entry[i].name, ".fuse_hidden", 12) && (l.n - hidden <= 12 || l.entry[i].name[0] != 'm' || (i && !strcmp(l.entry[i].name, l.entry[i - 1].name))))
			say(" %.12s/%d", l.entry[i].name, features & FEAT_DINO ? l.entry[i].type : 0);
}

/* ---- the walk ------------------------------------------------------------------------------------------------ */

static void walk_file(int dir, const char *name, const struct stat *st)
{
	static char buf[65536];
	int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	long n;

	if (fd < 0 && errno == EPERM)
		fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		say(" %s", strerrorname_np(errno));
		return;
	}
	for (long long at = 0; at < st->st_size && at < 1 << 20; at += sizeof buf) {
		n = pread(fd, buf, sizeof buf, at);
		if (n < 0)
			say(" %s", strerrorname_np(errno));
		say_data(buf, n);
	}
	close(fd);
}

static void walk_xattrs(int dir, const char *name)
{
	char path[64 + 256], names[1024], value[256];
	long n;

	snprintf(path, sizeof path, "/proc/thread-self/fd/%d/%s", dir, name);
	n = features & FEAT_XATTR ? llistxattr(path, names, sizeof names) : 0;
	for (long at = 0; at < n; at += (long)strlen(names + at) + 1) {
		if (strncmp(names + at, "user.", 5))
			continue;
		long got = lgetxattr(path, names + at, value, sizeof value);

		say(" %s", names + at);
		say_data(value, got);
	}
}

static void walk_dir(int dir, int level);

static void walk_entry(int dir, int level, const struct entry *e)
{
	char target[PATH_MAX];
	struct stat st;
	long n;
	int fd;

	say("|%*s%.20s", level + 1, "", e->name);
	if (fstatat(dir, e->name, &st, AT_SYMLINK_NOFOLLOW)) {
		result(-1);
		flush_line();
		return;
	}
	say_stat(&st);
	if (features & FEAT_DINO && e->type != (st.st_mode >> 12 & 15))
		say(" d_type %u", e->type);
	if (features & FEAT_DINO && e->ino != st.st_ino)
		say(" d_ino");
	if (S_ISREG(st.st_mode))
		walk_file(dir, e->name, &st);
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(dir, e->name, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = 0;
		say(" ");
		say_path(target);
	}
	if (!S_ISLNK(st.st_mode))
		walk_xattrs(dir, e->name);
	if (!S_ISDIR(st.st_mode)) {
		flush_line();
		return;
	}
	fd = openat(dir, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
	if (fd < 0 && errno == EPERM)
		fd = openat(dir, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		result(fd);
	flush_line();
	if (fd >= 0) {
		walk_dir(fd, level + 1);
		close(fd);
	}
}

static void walk_dir(int dir, int level)
{
	struct listing *l = malloc(sizeof *l);

	lseek(dir, 0, SEEK_SET);
	if (list(l, dir, 32768)) {
		say("|%*s", level + 1, "");
		result(-1);
		flush_line();
	}
	for (unsigned i = 0; i < l->n; i++) {
		const struct entry *e = &l->entry[i];

		/* Of "many" only what does not look as it was made, where that is told; nothing of libfuse's own. */
		if (strncmp(e->name, ".fuse_hidden", 12) && strcmp(e->name, ".") && strcmp(e->name, "..") && level < 20 &&
		    !(e->name[0] == 'm' && e->name[1] >= '0' && e->name[1] <= '9' && (!(features & FEAT_DINO) || e->type == DT_REG || e->type == DT_UNKNOWN)))
			walk_entry(dir, level, e);
	}
	free(l);
}

void walk_tree(void)
{
	flush_line();
	walk_dir(FD_ROOT, 0);
}

/* ---- staying inside ------------------------------------------------------------------------------------------ */

static bool below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return len && !strncmp(path, dir, len) && (!path[len] || path[len] == '/' || path[len] == ' ');
}

static bool outside(const char *path)
{
	return !below(path, root) && !below(path, other_root);
}

bool stray(int fd)
{
	char link[32], name[PATH_MAX];
	struct stat st;
	long n;

	sprintf(link, "/proc/thread-self/fd/%d", fd);
	n = readlink(link, name, sizeof name - 1);
	name[n < 0 ? 0 : n] = 0;
	if (features & FEAT_ENVIRON) {
		say(" ");
		say_path(name);
	}
	return !fstat(fd, &st) && S_ISDIR(st.st_mode) && outside(name);
}

void back_home(void)
{
	char name[PATH_MAX + 16];
	long n = syscall(SYS_getcwd, name, sizeof name);

	if (n < 0) {
		say(" cwd %s", strerrorname_np(errno));
		return;
	}
	say(" cwd ");
	say_path(name);
	if (outside(name) && chdir(root))
		say(" lost");
}
