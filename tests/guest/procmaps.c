/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps and smaps: what is mapped, as natively; and files of /proc as files (offsets, small pieces, links to them).
 * GUEST_WORLDS: view mount bind
 */
#include "guest.h"
#include <poll.h>
#include <sys/resource.h>
#include <linux/openat2.h>

struct entry {
	unsigned long from, to, offset, ino;
	char perms[5], name[PATH_MAX];
};

static bool parse(const char *line, struct entry *e)
{
	int at = 0;

	memset(e, 0, sizeof(*e));
	if (sscanf(line, "%lx-%lx %4s %lx %*x:%*x %lu %n", &e->from, &e->to, e->perms, &e->offset, &e->ino, &at) != 5)
		return false;
	snprintf(e->name, sizeof(e->name), "%s", line + at);
	e->name[strcspn(e->name, "\n")] = 0;
	return true;
}

/* A whole file, read by pieces of `piece` bytes. */
static char *slurp(int fd, size_t piece, size_t *len)
{
	size_t room = 8 << 20;
	char *buf = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ssize_t n;

	REQUIRE(buf != MAP_FAILED);
	*len = 0;
	while ((n = read(fd, buf + *len, *len + piece < room ? piece : room - 1 - *len)) > 0)
		*len += (size_t)n;
	EQ(n, 0);
	return buf;
}

/* Calls fn for every entry of a maps file. */
static int each(const char *file, void (*fn)(const struct entry *e, void *), void *arg)
{
	size_t len;
	int fd = MUST(open(file, O_RDONLY)), n = 0;
	char *text = slurp(fd, 65536, &len), *line = text, *end;
	struct entry e;

	TRUE(len > 0 && text[len - 1] == '\n');
	for (; (end = memchr(line, '\n', len - (size_t)(line - text))); line = end + 1) {
		*end = 0;
		if (!parse(line, &e))
			FAIL("%s: line \"%s\"", file, line);
		else
			fn(&e, arg);
		n++;
	}
	close(fd);
	munmap(text, 8 << 20);
	return n;
}

static void none_of_ours(const struct entry *e, void *arg MAYBE)
{
	if (strstr(e->name, "memfd:") || strstr(e->name, "umview-world"))
		FAIL("%lx: %s", e->from, e->name);
	if (!e->name[0] && strcmp(e->perms, "rwxp") == 0)
		FAIL("%lx: memory to write and execute", e->from);
}

TEST(strangers, "maps: no memory files, no memory to write and execute, whatever the path to it")
{
	char name[64];

	for (int i = 0; i < 300; i++)	/* call sites become hot */
		TRUE(access("/", F_OK) == 0 && getppid() > 0);
	each("/proc/self/maps", none_of_ours, NULL);
	each("/proc/thread-self/maps", none_of_ours, NULL);
	each("/proc/self/../self/maps", none_of_ours, NULL);
	each("/usr/../proc/self/maps", none_of_ours, NULL);
	each("//proc/./self//maps", none_of_ours, NULL);
	each("/proc/self/root/proc/self/maps", none_of_ours, NULL);
	snprintf(name, sizeof(name), "/proc/self/../%d/maps", getpid());
	each(name, none_of_ours, NULL);
	snprintf(name, sizeof(name), "/proc/%d/task/%d/maps", getpid(), getpid());
	each(name, none_of_ours, NULL);
	OK(chdir("/proc/self"));
	each("maps", none_of_ours, NULL);
	OK(chdir("task"));
	each("../maps", none_of_ours, NULL);
}

static void whole_text(const struct entry *e, void *arg)
{
	struct entry *last = arg;

	if (strcmp(e->perms, "r-xp") == 0 && e->ino && e->from == last->to && e->ino == last->ino &&
	    strcmp(last->perms, "r-xp") == 0)
		FAIL("%lx: the text of %s is in pieces", e->from, e->name);
	if (e->from < last->to)
		FAIL("%lx: overlaps what is before it", e->from);
	*last = *e;
}

TEST(text, "maps: the text of a file is one mapping; entries are in order")
{
	struct entry last = { 0 };

	for (int i = 0; i < 300; i++)
		TRUE(access("/", F_OK) == 0 && getppid() > 0);
	each("/proc/self/maps", whole_text, &last);
	TRUE(last.to > 0);
}

struct wanted {
	unsigned long address;
	struct entry found;
};

static void covers(const struct entry *e, void *arg)
{
	struct wanted *w = arg;

	if (w->address >= e->from && w->address < e->to)
		w->found = *e;
}

static struct entry entry_at(const char *file, const void *address)
{
	struct wanted w = { .address = (unsigned long)address };

	each(file, covers, &w);
	return w.found;
}

TEST(labels, "maps: [heap], [stack], [vdso] and the program are named")
{
	char *heap = sbrk(8192), local;
	struct entry e = entry_at("/proc/self/maps", heap);

	STR(e.name, "[heap]");
	STR(e.perms, "rw-p");
	STR(entry_at("/proc/self/maps", &local).name, "[stack]");
	STR(entry_at("/proc/self/maps", labels).name, guest_self);
	STR(entry_at("/proc/self/maps", labels).perms, "r-xp");
}

TEST(mapped_file, "maps: a mapped file has its path, its inode and its offset")
{
	char path[PATH_MAX + 8], data[8192] = "data";
	struct stat st;
	struct entry e;
	char *at;
	int fd;

	REQUIRE(getcwd(path, PATH_MAX));
	strcat(path, "/file");
	put_file("file", data, sizeof(data));
	fd = MUST(open("file", O_RDONLY));
	OK(fstat(fd, &st));
	at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096);
	REQUIRE(at != MAP_FAILED);
	close(fd);
	e = entry_at("/proc/self/maps", at);
	STR(e.name, path);
	EQ(e.ino, st.st_ino);
	EQ(e.offset, 4096);
	STR(e.perms, "r--p");
	if (behind_bind())
		return;		/* map_files has the other end of the mount: docs/limits.md */
	snprintf(data, 64, "/proc/self/map_files/%lx-%lx", e.from, e.to);
	if (readlink(data, data + 64, 4096) >= 0 || errno != EPERM)	/* before Linux 5.9 it needs a capability */
		STR(data + 64, path);
}

TEST(map_files, "map_files lists files of mappings that maps has")
{
	struct dirent *e;
	unsigned long from, to;
	char name[300], link[PATH_MAX];
	struct entry file;
	ssize_t len;
	int n = 0;
	DIR *d = opendir("/proc/self/map_files");

	if (!d)
		SKIP("no map_files here");
	for (; (e = readdir(d)); n++) {
		if (e->d_name[0] == '.')
			continue;
		EQ(sscanf(e->d_name, "%lx-%lx", &from, &to), 2);
		file = entry_at("/proc/self/maps", (void *)from);
		TRUE(file.name[0] == '/');
		snprintf(name, sizeof(name), "/proc/self/map_files/%s", e->d_name);
		len = readlink(name, link, sizeof(link) - 1);
		link[len > 0 ? len : 0] = 0;
		if (len >= 0)
			STR(link, file.name);
	}
	TRUE(n > 4);
	closedir(d);
}

TEST(small_pieces, "maps: read in small pieces, at offsets, again from the start")
{
	size_t len, n;
	int fd = MUST(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
	char *text = slurp(fd, 13, &len), *again, part[64];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct stat st;

	TRUE(len > 200 && text[len - 1] == '\n');
	EQ(lseek(fd, 0, SEEK_SET), 0);
	again = slurp(fd, 100, &n);
	TRUE(n >= len);
	EQ(memcmp(text, again, 200), 0);
	EQ(pread(fd, part, 20, 50), 20);
	EQ(memcmp(part, again + 50, 20), 0);
	EQ(lseek(fd, 100, SEEK_SET), 100);
	EQ(read(fd, part, 10), 10);
	EQ(memcmp(part, again + 100, 10), 0);
	EQ(poll(&p, 1, 0), 1);
	TRUE(p.revents & POLLIN);
	FAILS(write(fd, "x", 1), EBADF);
	EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	OK(fstat(fd, &st));
	EQ(st.st_mode, S_IFREG | 0444);
	EQ(st.st_uid, geteuid());
}

#define MANY 3000

static void count_readable(const struct entry *e, void *arg)
{
	unsigned long *v = arg;		/* from, to, seen */

	if (e->from >= v[0] && e->to <= v[1])
		v[2]++;
}

TEST(many, "maps: thousands of mappings")
{
	const size_t size = MANY * 4096ul;
	char *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long v[3] = { (unsigned long)at, (unsigned long)at + size, 0 };

	REQUIRE(at != MAP_FAILED);
	for (size_t i = 0; i < MANY; i += 2)
		OK(mprotect(at + i * 4096, 4096, PROT_READ | PROT_WRITE));
	TRUE(each("/proc/self/maps", count_readable, v) > MANY);
	TRUE(v[2] >= MANY - 2);
}

TEST(smaps, "smaps: an entry's size is its size, what is resident is not more")
{
	char line[PATH_MAX + 200];
	struct entry e = { 0 }, next;
	unsigned long kb, sizes = 0, headers = 0;
	FILE *f = fopen("/proc/self/smaps", "re");

	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		if (parse(line, &next)) {
			none_of_ours(&next, NULL);
			e = next;
			headers++;
		} else if (sscanf(line, "Size: %lu kB", &kb) == 1) {
			EQ(kb * 1024, e.to - e.from);
			sizes++;
		} else if (sscanf(line, "Rss: %lu kB", &kb) == 1 && kb * 1024 > e.to - e.from) {
			FAIL("%lx: Rss %lu kB", e.from, kb);
		}
	}
	TRUE(headers > 5);
	EQ(headers, sizes);
	fclose(f);
}

TEST(doors, "maps by a directory descriptor, by O_PATH and /proc/self/fd, by /dev/fd")
{
	char name[64], link[128] = "", want[64];
	int dir = MUST(open("/proc/self", O_RDONLY | O_DIRECTORY)), fd, path;
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_NO_MAGICLINKS };

	fd = MUST(openat(dir, "maps", O_RDONLY));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	snprintf(want, sizeof(want), "/proc/%d/maps", getpid());
	OK(readlink(name, link, sizeof(link) - 1));
	STR(link, want);
	each(name, none_of_ours, NULL);
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	each(name, none_of_ours, NULL);
	OK(syscall(SYS_openat2, dir, "maps", &how, sizeof(how)));
	path = MUST(openat(dir, "maps", O_PATH));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
	each(name, none_of_ours, NULL);
	errno = 0;
	EQ(syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof(how)), -1);
	EQ(errno, ELOOP);
	FAILS(open(name, O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(read(path, link, 1), EBADF);
	FAILS(openat(dir, "maps/", O_RDONLY), ENOTDIR);
	FAILS(openat(dir, "maps", O_RDONLY | O_DIRECTORY), ENOTDIR);
	if (geteuid())
		FAILS(openat(dir, "maps", O_RDWR), EACCES);
}

static void reader(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	char name[64], line[PATH_MAX + 200];

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	for (int i = 0; i < 200; i++) {
		FILE *f = fopen(name, "re");
		struct entry e;

		if (!f && errno != ENOENT && errno != ESRCH)
			FAIL("open: errno %d", errno);
		while (f && fgets(line, sizeof(line), f))
			if (!parse(line, &e))
				FAIL("line \"%s\"", line);
		if (f && ferror(f) && errno != ESRCH)
			FAIL("read: errno %d", errno);
		if (f)
			fclose(f);
	}
}

TEST(exiting, "maps of a process that executes and ends meanwhile")
{
	char *const argv[] = { "/bin/true", NULL };
	pid_t pid;

	for (int i = 0; i < 5; i++) {
		pid = MUST(fork());
		if (pid == 0) {
			sleep_ms(i);
			execv(argv[0], argv);
			_exit(0);
		}
		EXITED(in_child(reader, &pid), 0);
		OK(waitpid(pid, NULL, 0));
	}
}

HELPER(maps_of_parent)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/maps", getppid());
	each(name, none_of_ours, NULL);
	STR(entry_at(name, (void *)strtoul(argv[0], NULL, 16)).name, argv[1]);
	return guest_bad != 0;
}

TEST(of_other, "maps of another process: its program, its mapped file")
{
	char path[PATH_MAX + 8], address[32];
	int fd, status;
	char *at;
	pid_t pid;

	REQUIRE(getcwd(path, PATH_MAX));
	strcat(path, "/file");
	put("file", "data");
	fd = MUST(open("file", O_RDONLY));
	at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	REQUIRE(at != MAP_FAILED);
	for (int i = 0; i < 300; i++)
		TRUE(getppid() > 0);
	snprintf(address, sizeof(address), "%lx", (unsigned long)at);
	pid = MUST(fork());
	if (pid == 0) {
		execl(guest_self, guest_self, "--helper", "maps_of_parent", address, path, NULL);
		_exit(99);
	}
	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

TEST(few_descriptors, "maps with hardly a descriptor left")
{
	struct rlimit limit;
	int fd, last = 0;

	OK(getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = 64;
	OK(setrlimit(RLIMIT_NOFILE, &limit));
	while ((fd = dup(0)) >= 0)
		last = fd;
	EQ(errno, EMFILE);
	FAILS(open("/proc/self/maps", O_RDONLY), EMFILE);
	close(last);
	close(last - 1);
	fd = MUST(open("/proc/self/maps", O_RDONLY));
	EQ(fd, last - 1);
	TRUE(dup(0) >= 0);
}
