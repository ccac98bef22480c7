/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many processes make, open, rename, exchange and remove the same few names at the same time.  What a call may say then is what the
 * kernel could say in some order of all of them: a name that is only ever a file, a link or a directory is never anything else;
 * what is never removed is always there; what was removed before it began never comes back; who has made a name with O_EXCL
 * (mkdir, symlink, link) is the only one; a directory that is open is none of those it lies in, and stays the one it is.
 *
 * usage: cowstorm make DIR [files] | cowstorm run DIR SECONDS PROCESSES SEED [files]
 * files: no directory is moved, no file has a second name.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOCKS	4
#define TEXT	"the text of a file\n"

static struct shared {
	int inside[LOCKS];
	int stop;
	unsigned long calls, worked;
} *shared;
static unsigned long long rng;
static unsigned long calls, worked;
static int files;		/* no directory is moved, no file linked */

__attribute__((format(printf, 1, 2)))
static void wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "cowstorm: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	va_end(ap);
	shared->stop = 1;
	_exit(1);
}

static unsigned pick(unsigned n)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(rng >> 33) % n;
}

/* ---- names ------------------------------------------------------------------------------------------------ */

static const char *const dirs[] = { "", "", "d0/", "d1/", "d2/", "d0/s/", "d1/s/" };

static char *name(char *buf, const char *kind, unsigned n)
{
	sprintf(buf, "%s%s%u", dirs[pick(sizeof(dirs) / sizeof(*dirs))], kind, pick(n));
	return buf;
}

static char *file(char *buf)
{
	return name(buf, "f", 4);
}

static char *directory(char *buf)
{
	sprintf(buf, pick(3) ? "d%u" : "d%u/s", pick(3));
	return buf;
}

/* ---- what a call may say ---------------------------------------------------------------------------------- */

/* r is what it has returned; the errors that are possible follow, 0 at the end. */
static int may(const char *call, const char *a, const char *b, long r, ...)
{
	const int e = errno;
	int is;
	va_list ap;

	calls++;
	worked += r >= 0;
	if (r >= 0)
		return 1;
	va_start(ap, r);
	while ((is = va_arg(ap, int)) && is != e)
		;
	va_end(ap);
	if (!is)
		wrong("%s %s %s: %s", call, a, b, strerror(e));
	return 0;
}

static void look_type(const char *call, const char *path, const struct stat *st, mode_t type)
{
	if ((st->st_mode & S_IFMT) != type)
		wrong("%s %s: mode %o", call, path, st->st_mode);
}

static void look_text(const char *path, int fd, int whole)
{
	char buf[64];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 || (n && memcmp(buf, TEXT, (size_t)n < sizeof(TEXT) - 1 ? (size_t)n : sizeof(TEXT) - 1)) || (whole && !n))
		wrong("read %s: %zd bytes, %s", path, n, n < 0 ? strerror(errno) : "of another text");
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		wrong("make %s: %s", path, strerror(errno));
	close(fd);
}

/* ---- files, links ----------------------------------------------------------------------------------------- */

static void open_file(void)
{
	static const int flags[] = { O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY | O_TRUNC, O_RDWR | O_CREAT, O_PATH, O_RDONLY | O_NOFOLLOW,
				     O_WRONLY | O_CREAT | O_EXCL };
	int f = flags[pick(sizeof(flags) / sizeof(*flags))];
	char a[64];
	struct stat st, again;
	int fd = open(file(a), f, 0644);

	if (!may("open", a, "", fd, ENOENT, f & O_EXCL ? EEXIST : 0, 0))
		return;
	if (fstat(fd, &st) < 0 || fstat(fd, &again) < 0)
		wrong("fstat %s: %s", a, strerror(errno));
	look_type("open", a, &st, S_IFREG);
	if ((f & O_ACCMODE) == O_RDONLY && !(f & O_PATH))
		look_text(a, fd, 0);
	else if (f & O_CREAT && pwrite(fd, TEXT, sizeof(TEXT) - 1, 0) < 0)
		wrong("write %s: %s", a, strerror(errno));
	close(fd);
}

static void look_file(void)
{
	char a[64], buf[64];
	struct stat st;

	switch (pick(5)) {
	case 0:
		if (may("stat", a, "", stat(file(a), &st), ENOENT, 0))
			look_type("stat", a, &st, S_IFREG);
		break;
	case 1:
		if (may("lstat", a, "", lstat(name(a, "l", 2), &st), ENOENT, 0))
			look_type("lstat", a, &st, S_IFLNK);
		break;
	case 2:
		if (may("stat", a, "", stat(name(a, "l", 2), &st), ENOENT, 0))
			look_type("stat", a, &st, S_IFREG);
		break;
	case 3:
		if (may("readlink", a, "", readlink(name(a, "l", 2), buf, sizeof(buf)), ENOENT, 0) && buf[0] != 'f')
			wrong("readlink %s: %.20s", a, buf);
		break;
	default:
		may("access", a, "", access(file(a), pick(2) ? R_OK : R_OK | W_OK), ENOENT, 0);
	}
}

static void change_file(void)
{
	char a[64];

	switch (pick(5)) {
	case 0:
		may("chmod", a, "", chmod(file(a), pick(2) ? 0644 : 0600), ENOENT, 0);
		break;
	case 1:
		may("utimensat", a, "", utimensat(AT_FDCWD, file(a), NULL, 0), ENOENT, 0);
		break;
	case 2:
		may("truncate", a, "", truncate(file(a), 0), ENOENT, 0);
		break;
	case 3:
		may("chown", a, "", chown(file(a), -1u, getegid()), ENOENT, 0);
		break;
	default:
		may("lchown", a, "", lchown(name(a, "l", 2), -1u, getegid()), ENOENT, 0);
	}
}

static void name_file(void)
{
	static const unsigned flags[] = { 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	unsigned f = flags[pick(4)];
	char a[64], b[64];

	switch (files ? 2 + pick(6) : pick(8)) {
	case 0:
	case 1:
		may("link", a, b, link(file(a), file(b)), ENOENT, EEXIST, 0);
		break;
	case 2:
		may("symlink", a, "", symlink(pick(2) ? "f0" : "f1", name(a, "l", 2)), ENOENT, EEXIST, 0);
		break;
	case 3:
		may("unlink", a, "", unlink(name(a, "l", 2)), ENOENT, 0);
		break;
	case 4:
		may("rename", a, b, renameat2(AT_FDCWD, name(a, "l", 2), AT_FDCWD, name(b, "l", 2), f), ENOENT,
		    f & RENAME_NOREPLACE ? EEXIST : 0, 0);
		break;
	case 5:
		may("rename", a, b, renameat2(AT_FDCWD, file(a), AT_FDCWD, file(b), f), ENOENT, f & RENAME_NOREPLACE ? EEXIST : 0, 0);
		break;
	default:
		may("unlink", a, "", unlink(file(a)), ENOENT, 0);
	}
}

/* ---- directories ------------------------------------------------------------------------------------------ */

static void name_directory(void)
{
	static const unsigned flags[] = { 0, 0, RENAME_EXCHANGE };
	unsigned f = flags[pick(3)];
	char a[64], b[64];

	switch (pick(files ? 2 : 4)) {
	case 0:
		may("mkdir", a, "", mkdir(directory(a), 0755), ENOENT, EEXIST, 0);
		break;
	case 1:
		may("rmdir", a, "", rmdir(directory(a)), ENOENT, ENOTEMPTY, 0);
		break;
	case 2:
		sprintf(a, "d%u", pick(3));
		sprintf(b, "d%u", pick(3));
		may("rename", a, b, renameat2(AT_FDCWD, a, AT_FDCWD, b, f), ENOENT, ENOTEMPTY, 0);
		break;
	default:
		sprintf(a, "d%u/s", pick(3));
		sprintf(b, "d%u/s", pick(3));
		may("rename", a, b, renameat2(AT_FDCWD, a, AT_FDCWD, b, f), ENOENT, ENOTEMPTY, 0);
	}
}

static void list_directory(void)
{
	char a[64];
	int fd = open(pick(4) ? directory(a) : strcpy(a, "."), O_RDONLY | O_DIRECTORY);
	DIR *d;

	if (!may("opendir", a, "", fd, ENOENT, 0))
		return;
	d = fdopendir(fd);
	errno = 0;
	for (struct dirent *e; (e = readdir(d));) {
		int want = strchr("fky", e->d_name[0]) ? DT_REG : e->d_name[0] == 'l' ? DT_LNK : DT_DIR;

		if (e->d_name[0] != 'k' && e->d_name[0] != 't' && e->d_type != DT_UNKNOWN && e->d_type != want)
			wrong("readdir %s: %s has type %d", a, e->d_name, e->d_type);
	}
	if (errno)
		wrong("readdir %s: %s", a, strerror(errno));
	closedir(d);
}

static void descend(void)
{
	struct stat top, sub, again;
	char a[64];
	int fd, in;

	sprintf(a, "d%u", pick(3));
	fd = open(a, O_RDONLY | O_DIRECTORY);
	if (!may("open", a, "", fd, ENOENT, 0))
		return;
	in = openat(fd, "s", O_RDONLY | O_DIRECTORY);
	if (may("openat", a, "s", in, ENOENT, 0)) {
		if (fstat(fd, &top) < 0 || fstat(in, &sub) < 0 || fstat(fd, &again) < 0)
			wrong("fstat %s: %s", a, strerror(errno));
		if (top.st_ino == sub.st_ino && top.st_dev == sub.st_dev && again.st_ino == top.st_ino)
			wrong("%s/s is %s itself: inode %lu", a, a, (unsigned long)top.st_ino);
		close(in);
	}
	close(fd);
}

/* ---- what holds always ------------------------------------------------------------------------------------- */

static void look_always(void)
{
	char a[64];
	struct stat st;
	int fd;

	sprintf(a, "a%u/x", pick(2));
	fd = open(a, O_RDONLY);
	if (may("open", a, "which is always there", fd, 0)) {
		look_text(a, fd, 1);
		close(fd);
	}
	if (may("stat", a, "which is always there", stat(a, &st), 0))
		look_type("stat", a, &st, S_IFREG);
	fd = open("y", O_RDONLY);
	if (may("open", "y", "which is always there", fd, 0)) {
		look_text("y", fd, 1);
		close(fd);
	}
	for (int i = 0; i < 6; i++) {
		sprintf(a, "%c%d/gone", "aam"[i % 3], i & 1);
		if (i % 2 ? stat(a, &st) == 0 : (fd = open(a, O_RDONLY)) >= 0)
			wrong("%s is there again", a);
	}
}

static void change_always(int self)
{
	char a[64];

	switch (files ? 2 + pick(2) : pick(4)) {
	case 0:
		may("exchange", "a0", "a1", renameat2(AT_FDCWD, "a0", AT_FDCWD, "a1", RENAME_EXCHANGE), 0);
		break;
	case 1:
		if (pick(2))
			may("rename", "m0", "m1", rename("m0", "m1"), ENOENT, 0);
		else
			may("rename", "m1", "m0", rename("m1", "m0"), ENOENT, 0);
		break;
	case 2:
		sprintf(a, "a%u/x", pick(2));
		may("chmod", a, "which is always there", chmod(a, 0644), 0);
		break;
	default:
		sprintf(a, "t%d", self);
		put(a, TEXT);
		may("rename", a, "y", rename(a, "y"), 0);
	}
}

/* The name is made by one at a time. */
static void exclude(int self)
{
	int i = (int)pick(LOCKS), r;
	char a[64], b[64];

	sprintf(a, "k%d", i);
	sprintf(b, "t%d", self);
	switch (i) {
	case 0:
		r = open(a, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (r >= 0)
			close(r);
		break;
	case 1:
		r = mkdir(a, 0700);
		break;
	case 2:
		r = symlink("f0", a);
		break;
	default:
		put(b, TEXT);
		r = link(b, a);
	}
	if (!may("lock", a, "", r, EEXIST, 0))
		return;
	if (__atomic_fetch_add(&shared->inside[i], 1, __ATOMIC_SEQ_CST))
		wrong("%s: two have made it", a);
	if (__atomic_fetch_sub(&shared->inside[i], 1, __ATOMIC_SEQ_CST) != 1)
		wrong("%s: two have made it", a);
	may("unlock", a, "", i == 1 ? rmdir(a) : unlink(a), 0);
}

/* ---- the whole --------------------------------------------------------------------------------------------- */

static void work(int self, const char *seed)
{
	rng = strtoull(seed, NULL, 0) * 1000 + (unsigned)self;
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		static void (*const some[])(void) = { open_file, open_file, look_file, look_file, change_file, name_file, name_file, name_file,
						      name_directory, list_directory, descend, look_always };
		unsigned n = pick(sizeof(some) / sizeof(*some) + 2);

		if (n < sizeof(some) / sizeof(*some))
			some[n]();
		else if (n == sizeof(some) / sizeof(*some))
			change_always(self);
		else
			exclude(self);
	}
	__atomic_fetch_add(&shared->calls, calls, __ATOMIC_RELAXED);
	__atomic_fetch_add(&shared->worked, worked, __ATOMIC_RELAXED);
	_exit(0);
}

static int run(int seconds, int processes, const char *seed)
{
	int bad = 0, status;

	for (int i = 0; i < 4; i++) {		/* below there is something of each name */
		char a[8];

		sprintf(a, "k%d", i);
		unlink(a);
		sprintf(a, "%c%d/gone", "am"[i & 1], i / 2);
		unlink(a);
	}
	for (int i = 0; i < processes; i++)
		if (!fork())
			work(i, seed);
	for (int i = 0; i < 20 * seconds && !shared->stop; i++)
		nanosleep(&(struct timespec){ 0, 50000000 }, NULL);
	shared->stop = 1;
	while (wait(&status) > 0)
		bad |= status;
	printf("%lu calls, %lu worked\n", shared->calls, shared->worked);
	return bad != 0;
}

static void make(void)
{
	char a[64], b[64];

	for (unsigned i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		if (*dirs[i] && mkdir(dirs[i], 0755) < 0)
			wrong("mkdir %s: %s", dirs[i], strerror(errno));
		for (int j = 0; j < 3; j++) {
			sprintf(a, "%sf%d", dirs[i], j);
			put(a, TEXT);
		}
		sprintf(b, "%sf3", dirs[i]);
		sprintf(a, "%sl0", dirs[i]);
		if (files)
			put(b, TEXT);
		else if (link("f0", b) < 0 && errno != EEXIST)
			wrong("make %s: %s", b, strerror(errno));
		if (symlink("f0", a) < 0 && errno != EEXIST)
			wrong("make %s: %s", a, strerror(errno));
	}
	for (int i = 0; i < 4; i++) {
		sprintf(a, "%c%d", "am"[i & 1], i / 2);
		if (i != 3) {			/* m1 is where m0 may go */
			mkdir(a, 0755);
			strcat(strcpy(b, a), "/x");
			put(b, TEXT);
			strcat(a, "/gone");
			put(a, TEXT);
		}
		sprintf(a, "k%d", i);
		put(a, TEXT);
	}
	put("y", TEXT);
}

int main(int argc, char **argv)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (argc < 3 || shared == MAP_FAILED || chdir(argv[2]) < 0)
		return 2;
	files = !strcmp(argv[argc - 1], "files");
	if (!strcmp(argv[1], "make")) {
		make();
		return 0;
	}
	return argc >= 6 ? run(atoi(argv[3]), atoi(argv[4]), argv[5]) : 2;
}
