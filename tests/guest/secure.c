/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GUEST_WORLDS: fakeroot
 * GUEST_OPTIONS: --secure
 *
 * What who is not root may not do.  Natively this needs root, who becomes others (run as an ordinary user everything is skipped;
 * AS=root tests/run.sh guest secure compares); in a view it needs --fakeroot --secure.
 */
#include "guest.h"
#include "caps.h"
#include <poll.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define START()	do { if (geteuid()) SKIP("needs root"); umask(0); MUST(chmod(".", 0755)); } while (0)

enum { USER = 1000, GROUP = 2000, OTHER = 1001, EXTRA = 3000 };

static void become(uid_t uid, gid_t gid)
{
	MUST(setgroups(1, (gid_t[]){ EXTRA }));
	MUST(setresgid(gid, gid, 0));
	MUST(setresuid(uid, uid, 0));
}

static void become_root(void)
{
	MUST(setresuid(0, 0, 0));
	MUST(setresgid(0, 0, 0));
}

static void make(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	put(path, "x");
	MUST(chown(path, uid, gid));
	MUST(chmod(path, mode));
}

static void make_dir(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	MUST(mkdir(path, 0700));
	MUST(chown(path, uid, gid));
	MUST(chmod(path, mode));
}

static void keep_only(uint64_t effective)
{
	MUST(caps_set((struct caps){ effective, effective, 0 }));
}

/* ---- the table: whose the file is, its mode, what is done with it --------------------------------------- */

/* How the file belongs to who asks, and where in the mode his bits are. */
static const struct { uid_t uid; gid_t gid; int shift; } classes[] = {
	{ USER, 0, 6 }, { USER, GROUP, 6 }, { OTHER, GROUP, 3 }, { 0, EXTRA, 3 }, { OTHER, 0, 0 }, { 0, 0, 0 },
};

static void expect(bool granted, long r, int e, int class, unsigned bits, int line)
{
	char what[60];

	snprintf(what, sizeof(what), "class %d, bits %o", class, bits);
	if (granted)
		guest_ok(r, line, what);
	else
		guest_fails(r, e, EACCES, line, what);
}
#define EXPECT(need, call)	do { long r_ = (call); expect((bits & (need)) == (need), r_, errno, class, bits, __LINE__); } while (0)

static long open_close(const char *path, int flags)
{
	int fd = open(path, flags, 0600);

	if (fd >= 0)
		close(fd);
	return fd;
}

static void try_file(int class, unsigned bits)
{
	const struct timespec now[2] = { { 0, UTIME_NOW }, { 0, UTIME_NOW } };
	char v[8];

	EXPECT(4, open_close("f", O_RDONLY));
	EXPECT(2, open_close("f", O_WRONLY));
	EXPECT(6, open_close("f", O_RDWR));
	EXPECT(6, open_close("f", O_RDONLY | O_TRUNC));
	EXPECT(2, open_close("f", O_WRONLY | O_CREAT));
	EXPECT(0, open_close("f", O_PATH));
	EXPECT(2, truncate("f", 1));
	EXPECT(0, access("f", F_OK));
	EXPECT(4, access("f", R_OK));
	EXPECT(6, access("f", R_OK | W_OK));
	EXPECT(1, faccessat(AT_FDCWD, "f", X_OK, AT_EACCESS));
	if (classes[class].uid != USER)
		EXPECT(2, utimensat(AT_FDCWD, "f", now, 0));
	if (setxattr("f", "user.t", "1", 1, 0) == 0 || errno == EACCES) {
		EXPECT(2, setxattr("f", "user.t", "1", 1, 0));
		EXPECT(4, getxattr("f", "user.t", v, sizeof(v)) == -1 && errno == EACCES ? -1 : 0);
	}
	if ((bits & 6) == 2)
		OK(open_close("f", O_WRONLY | O_APPEND));
}

static void try_directory(int class, unsigned bits)
{
	int fd, watch = MUST(inotify_init());

	EXPECT(4, open_close("d", O_RDONLY | O_DIRECTORY));
	EXPECT(1, access("d/in", F_OK));
	EXPECT(1, chdir("d") ? -1 : chdir(".."));
	EXPECT(4, inotify_add_watch(watch, "d", IN_CREATE));
	EXPECT(3, mkdir("d/new", 0700) ? -1 : rmdir("d/new"));
	EXPECT(3, open_close("d/new", O_CREAT | O_WRONLY) < 0 ? -1 : unlink("d/new"));
	EXPECT(3, symlink("x", "d/new") ? -1 : unlink("d/new"));
	EXPECT(3, mknod("d/new", S_IFIFO | 0600, 0) ? -1 : unlink("d/new"));
	EXPECT(3, rename("d/in", "d/out") ? -1 : rename("d/out", "d/in"));
	EXPECT(3, rename("mine", "d/mine") ? -1 : rename("d/mine", "mine"));
	EXPECT(3, link("mine", "d/new") ? -1 : unlink("d/new"));
	EXPECT(3, open_close("d", O_TMPFILE | O_RDWR) < 0 && errno == EOPNOTSUPP ? ((bits & 3) == 3 ? 0 : (errno = EACCES, -1)) :
	       open_close("d", O_TMPFILE | O_RDWR));
	fd = open("d", O_PATH);
	EXPECT(1, fchdir(fd) ? -1 : chdir(".."));
	EXPECT(1, faccessat(fd, "in", F_OK, 0));
	close(fd);
	close(watch);
}

TEST(table, "owner, group, other and each mode")
{
	START();
	MUST(chown(".", USER, 0));
	make("mine", USER, GROUP, 0644);
	for (int class = 0; class < (int)(sizeof(classes) / sizeof(*classes)); class++)
		for (unsigned bits = 0; bits < 8; bits++) {
			unsigned mode = (0777 & ~(7u << classes[class].shift)) | bits << classes[class].shift;

			make("f", classes[class].uid, classes[class].gid, mode);
			make_dir("d", classes[class].uid, classes[class].gid, mode);
			make("d/in", USER, GROUP, 0644);
			become(USER, GROUP);
			try_file(class, bits);
			try_directory(class, bits);
			become_root();
			MUST(unlink("f"));
			MUST(unlink("d/in"));
			MUST(rmdir("d"));
		}
}

TEST(search, "every directory of a path is searched, behind links too")
{
	START();
	make_dir("a", 0, 0, 0755);
	make_dir("a/b", 0, 0, 0700);
	make_dir("a/b/c", 0, 0, 0777);
	make("a/b/c/f", 0, 0, 0666);
	OK(symlink("a/b/c/f", "l"));
	OK(symlink("a/b", "lb"));
	int dir = MUST(open("a/b/c", O_PATH));
	become(USER, GROUP);
	FAILS(open("a/b/c/f", O_RDONLY), EACCES);
	FAILS(open("l", O_RDONLY), EACCES);
	FAILS(access("lb/c", F_OK), EACCES);
	FAILS(access("a/b/../b", F_OK), EACCES);
	FAILS(access("a/b/.", F_OK), EACCES);
	FAILS(chdir("a/b"), EACCES);
	FAILS(access("a/b/none", F_OK), EACCES);
	FAILS(access("a/none/x", F_OK), ENOENT);
	FAILS(access("a/b/c/f/x", F_OK), EACCES);
	struct stat st;
	FAILS(stat("a/b/c", &st), EACCES);
	FAILS(lstat("a/b/c", &st), EACCES);
	OK(stat("a/b", &st));
	OK(lstat("l", &st));
	OK(openat(dir, "f", O_RDWR));
	FAILS(openat(dir, "../c/f", O_RDWR), EACCES);
	OK(fchdir(dir));
	OK(open("f", O_RDONLY));
}

TEST(sticky, "in a sticky directory everybody removes his own")
{
	START();
	make_dir("s", 0, 0, 01777);
	make_dir("own", USER, 0, 01777);
	for (int i = 0; i < 2; i++) {
		MUST(chdir(i ? "../own" : "s"));
		make("root", 0, 0, 0666);
		make("other", OTHER, 0, 0666);
		make("user", USER, 0, 0600);
		make_dir("dir", 0, 0, 0777);
	}
	become(USER, GROUP);
	OK(unlink("root"));
	OK(rmdir("dir"));
	MUST(chdir("../s"));
	FAILS(unlink("root"), EPERM);
	FAILS(rmdir("dir"), EPERM);
	FAILS(unlink("none"), ENOENT);
	FAILS(rename("other", "x"), EPERM);
	FAILS(rename("user", "other"), EPERM);
	FAILS(renameat2(AT_FDCWD, "user", AT_FDCWD, "other", RENAME_EXCHANGE), EPERM);
	FAILS(renameat2(AT_FDCWD, "user", AT_FDCWD, "other", RENAME_NOREPLACE), EEXIST);
	OK(rename("user", "user2"));
	FAILS(mkdir("dir", 0700), EEXIST);
	OK(unlink("user2"));
}

TEST(moving, "a directory that changes its parent must be writable")
{
	START();
	make_dir("a", USER, 0, 0755);
	make_dir("b", USER, 0, 0755);
	make_dir("a/rootdir", 0, 0, 0755);
	make_dir("a/mydir", USER, 0, 0755);
	make("a/rootfile", 0, 0, 0600);
	become(USER, GROUP);
	FAILS(rename("a/rootdir", "b/rootdir"), EACCES);
	OK(rename("a/rootdir", "a/renamed"));
	OK(rename("a/mydir", "b/mydir"));
	OK(rename("a/rootfile", "b/rootfile"));
	FAILS(renameat2(AT_FDCWD, "b/mydir", AT_FDCWD, "a/renamed", RENAME_EXCHANGE), EACCES);
}

TEST(hard_links, "files of others are linked by who could write them, if that is a rule")
{
	char rule[4] = "";
	int fd = open("/proc/sys/fs/protected_hardlinks", O_RDONLY);

	START();
	if (fd < 0 || read(fd, rule, 1) < 1 || rule[0] != '1')
		SKIP("not a rule here");
	MUST(chown(".", USER, 0));
	make("f", 0, 0, 0644);
	make("g", 0, 0, 0666);
	make("h", 0, 0, 04666);
	become(USER, GROUP);
	FAILS(link("f", "l"), EPERM);
	OK(link("g", "l"));
	FAILS(link("h", "m"), EPERM);
	FAILS(link("f", "l"), EEXIST);
}

TEST(owners, "mode, owner and times are the owner's to change")
{
	const struct timespec then[2] = { { 1, 0 }, { 2, 0 } }, half[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
	struct stat st;

	START();
	make("mine", USER, GROUP, 0600);
	make("theirs", 0, GROUP, 0666);
	become(USER, GROUP);
	int fd = MUST(open("theirs", O_RDWR)), own = MUST(open("mine", O_RDWR));
	FAILS(chmod("theirs", 0600), EPERM);
	FAILS(fchmod(fd, 0600), EPERM);
	FAILS(chown("theirs", USER, -1), EPERM);
	FAILS(fchown(fd, USER, -1), EPERM);
	FAILS(utimensat(AT_FDCWD, "theirs", then, 0), EPERM);
	FAILS(futimens(fd, then), EPERM);
	FAILS(utimensat(AT_FDCWD, "theirs", half, 0), EPERM);
	OK(utimensat(AT_FDCWD, "theirs", NULL, 0));
	OK(futimens(fd, NULL));
	FAILS(open("theirs", O_RDONLY | O_NOATIME), EPERM);
	OK(open("mine", O_RDONLY | O_NOATIME));
	OK(utimensat(AT_FDCWD, "mine", then, 0));
	OK(futimens(own, then));
	FAILS(chown("mine", OTHER, -1), EPERM);
	FAILS(chown("mine", -1, 77), EPERM);
	OK(chmod("mine", 06711));
	OK(chown("mine", -1, EXTRA));
	OK(stat("mine", &st));
	EQ(st.st_mode & 07777, 0711);
	OK(chmod("mine", 0));
	FAILS(open("mine", O_RDONLY), EACCES);
	OK(chmod("mine", 0400));
	OK(open("mine", O_RDONLY));
	FAILS(open("mine", O_WRONLY), EACCES);
}

TEST(new_files, "what is made is whose maker it is")
{
	struct stat st;
	int fd;

	START();
	MUST(chmod(".", 0777));
	make_dir("g", 0, EXTRA, 02777);
	become(USER, GROUP);
	OK(open_close("f", O_CREAT | O_WRONLY));
	OK(stat("f", &st));
	EQ(st.st_uid, USER);
	EQ(st.st_gid, GROUP);
	OK(open_close("g/f", O_CREAT | O_WRONLY));
	OK(stat("g/f", &st));
	EQ(st.st_uid, USER);
	EQ(st.st_gid, EXTRA);
	OK(mkdir("g/d", 0755));
	OK(stat("g/d", &st));
	EQ(st.st_gid, EXTRA);
	EQ(st.st_mode & 07777, 02755);
	OK(symlink("x", "g/l"));
	OK(lstat("g/l", &st));
	EQ(st.st_gid, EXTRA);
	fd = open(".", O_TMPFILE | O_RDWR, 0600);
	if (fd >= 0) {
		OK(fstat(fd, &st));
		EQ(st.st_uid, USER);
		EQ(st.st_gid, GROUP);
	}
	struct { uint64_t flags, mode, resolve; } how = { O_CREAT | O_WRONLY, 0640, 0 };
	OK((int)syscall(SYS_openat2, AT_FDCWD, "how", &how, sizeof(how)));
	OK(stat("how", &st));
	EQ(st.st_uid, USER);
	EQ(st.st_mode & 07777, 0640);
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "sock" };
	OK(bind(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&sun, sizeof(sun)));
	OK(stat("sock", &st));
	EQ(st.st_uid, USER);
}

TEST(sockets, "to connect is to write")
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX, .sun_path = "s" }, other = { .sun_family = AF_UNIX, .sun_path = "t" };
	int s;

	START();
	s = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(s, (void *)&sun, sizeof(sun)));
	MUST(listen(s, 5));
	MUST(chmod("s", 0755));
	become(USER, GROUP);
	FAILS(connect(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&sun, sizeof(sun)), EACCES);
	FAILS(bind(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&other, sizeof(other)), EACCES);
	FAILS(bind(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&sun, sizeof(sun)), EADDRINUSE);
	become_root();
	MUST(chmod("s", 0666));
	become(USER, GROUP);
	OK(connect(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&sun, sizeof(sun)));
}

/* ---- who asks ------------------------------------------------------------------------------------------- */

TEST(real_ids, "access asks for the real ids, everything else for the effective ones")
{
	START();
	make("root", 0, 0, 0600);
	make("user", USER, GROUP, 0600);
	OK(setresuid(USER, 0, 0));
	OK(open("root", O_RDONLY));
	FAILS(access("root", R_OK), EACCES);
	OK(access("user", R_OK));
	OK(faccessat(AT_FDCWD, "root", R_OK, AT_EACCESS));
	OK(setresuid(0, USER, 0));
	OK(access("root", R_OK));
	FAILS(faccessat(AT_FDCWD, "root", R_OK, AT_EACCESS), EACCES);
	FAILS(open("root", O_RDONLY), EACCES);
	OK(setresuid(0, 0, 0));
	EQ(setfsuid(USER), 0);
	FAILS(open("root", O_RDONLY), EACCES);
	OK(open("user", O_RDONLY));
	EQ(setfsuid(0), USER);
	OK(open("root", O_RDONLY));
}

TEST(capabilities, "capabilities about files, one by one")
{
	START();
	make("f", USER, 0, 0);
	make("x", USER, 0, 0644);
	make_dir("d", USER, 0, 0);
	make_dir("s", USER, 0, 01777);
	make("d/in", 0, 0, 0644);
	make("s/f", USER, 0, 0644);
	prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	MUST(setgroups(0, NULL));
	MUST(setresgid(GROUP, GROUP, GROUP));
	MUST(setresuid(OTHER, OTHER, OTHER));
	keep_only(1u << CAP_DAC_READ_SEARCH | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER);
	OK(open("f", O_RDWR));
	OK(chmod("f", 0));
	OK(unlink("s/f"));
	FAILS(access("x", X_OK), EACCES);
	FAILS(chown("f", OTHER, -1), EPERM);
	keep_only(1u << CAP_DAC_READ_SEARCH | 1u << CAP_DAC_OVERRIDE);
	FAILS(chmod("f", 0), EPERM);
	OK(open_close("s/g", O_CREAT | O_WRONLY));
	OK(open_close("d/new", O_CREAT | O_WRONLY));
	OK(unlink("d/new"));
	keep_only(1u << CAP_DAC_READ_SEARCH);
	OK(open("f", O_RDONLY));
	FAILS(open("f", O_WRONLY), EACCES);
	FAILS(open("f", O_RDWR), EACCES);
	OK(open("d/in", O_RDONLY));
	FAILS(open("d/new", O_CREAT | O_WRONLY, 0600), EACCES);
	keep_only(0);
	FAILS(open("f", O_RDONLY), EACCES);
	FAILS(open("d/in", O_RDONLY), EACCES);
}

TEST(saved, "the saved id comes back, and with it everything")
{
	START();
	make("f", 0, 0, 0600);
	OK(seteuid(USER));
	FAILS(open("f", O_RDONLY), EACCES);
	OK(seteuid(0));
	OK(open("f", O_RDONLY));
	OK(setuid(USER));
	FAILS(open("f", O_RDONLY), EACCES);
	FAILS(seteuid(0), EPERM);
}

/* ---- access lists --------------------------------------------------------------------------------------- */

struct acl {
	uint32_t version;
	struct { uint16_t tag, perm; uint32_t id; } e[6];
};

TEST(lists, "access control lists")
{
	const struct acl named = { 2, { { 1, 6, -1u }, { 2, 6, USER }, { 2, 7, OTHER }, { 4, 0, -1u }, { 16, 4, -1u }, { 32, 0, -1u } } };
	const struct acl groups = { 2, { { 1, 6, -1u }, { 4, 0, -1u }, { 8, 4, GROUP }, { 8, 2, EXTRA }, { 16, 7, -1u }, { 32, 7, -1u } } };

	START();
	make("f", 0, 0, 0600);
	make("g", 0, 0, 0600);
	if (setxattr("f", "system.posix_acl_access", &named, sizeof(named), 0))
		SKIP("no access lists here");
	MUST(setxattr("g", "system.posix_acl_access", &groups, sizeof(groups), 0));
	become(USER, GROUP);
	OK(open("f", O_RDONLY));
	FAILS(open("f", O_RDWR), EACCES);
	OK(open("g", O_RDONLY));
	OK(open("g", O_WRONLY));
	FAILS(open("g", O_RDWR), EACCES);
	FAILS(setxattr("f", "system.posix_acl_access", &named, sizeof(named), 0), EPERM);
	become_root();
	become(12345, 54321);
	FAILS(open("f", O_RDONLY), EACCES);
	FAILS(open("g", O_RDWR), EACCES);		/* by EXTRA: only to write */
	OK(open("g", O_WRONLY));
}

TEST(list_modes, "an access list sets the mode, and the mode the list")
{
	const struct acl none = { 2, { { 1, 0, -1u }, { 2, 4, USER }, { 4, 4, -1u }, { 16, 0, -1u }, { 32, 0, -1u } } };
	struct acl seen = { 0 };
	const size_t size = offsetof(struct acl, e[5]);
	struct stat st;
	int fd;

	START();
	make("f", 0, 0, 04755);
	if (setxattr("f", "system.posix_acl_access", &none, size, 0))
		SKIP("no access lists here");
	OK(stat("f", &st));
	EQ(st.st_mode & 07777, 04000);
	EQ(getxattr("f", "system.posix_acl_access", &seen, sizeof(seen)), size);
	TRUE(!memcmp(&seen, &none, size));
	fd = OK(open("f", O_RDWR));
	OK(chmod("f", 0640));
	EQ(fgetxattr(fd, "system.posix_acl_access", &seen, sizeof(seen)), size);
	EQ(seen.e[0].perm, 6);
	EQ(seen.e[3].perm, 4);
	OK(fsetxattr(fd, "system.posix_acl_access", &none, size, 0));
	OK(stat("f", &st));
	EQ(st.st_mode & 07777, 0);
	OK(open("f", O_RDONLY));
}

/* ---- programs ------------------------------------------------------------------------------------------- */

static int run(const char *program, const char *helper)
{
	int status;
	pid_t pid = MUST(fork());

	if (!pid) {
		execl(program, program, "--helper", helper, NULL);
		_exit(errno == EACCES ? 126 : 125);
	}
	MUST(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void copy_self(const char *to, mode_t mode)
{
	char cmd[2 * PATH_MAX + 20];

	snprintf(cmd, sizeof(cmd), "cp %s %s", guest_self, to);
	MUST(system(cmd));
	MUST(chmod(to, mode));
}

/* Can it read what only root may? */
HELPER(reads)
{
	return open("secret", O_RDONLY) >= 0 ? 10 : errno == EACCES ? 11 : 12;
}

TEST(exec, "who may execute what, and what set-id programs may")
{
	START();
	make("secret", 0, 0, 0600);
	copy_self("p", 0744);
	copy_self("q", 0755);
	copy_self("r", 04755);
	make_dir("d", 0, 0, 0700);
	copy_self("d/p", 0755);
	put("script", "#!./p\n");
	MUST(chmod("script", 0755));
	EQ(run("./q", "reads"), 10);
	become(USER, GROUP);
	OK(setresuid(USER, USER, USER));
	EQ(run("./p", "reads"), 126);
	EQ(run("./q", "reads"), 11);
	EQ(run("d/p", "reads"), 126);
	EQ(run("./script", "reads"), 126);
	EQ(run("./r", "reads"), 10);
	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	EQ(run("./r", "reads"), 11);
}

/* ---- other processes ------------------------------------------------------------------------------------ */

/* A process that waits, of that user, and ends with the test at the latest. */
static pid_t sleeper(uid_t uid)
{
	int p[2];
	char c;
	pid_t pid;

	MUST(pipe(p));
	pid = MUST(fork());
	if (!pid) {
		signal(SIGUSR1, SIG_IGN);
		if (uid)
			MUST(setresuid(uid, uid, uid));
		MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
		MUST(write(p[1], "x", 1));
		poll(NULL, 0, 20000);
		_exit(0);
	}
	MUST(read(p[0], &c, 1));
	close(p[0]);
	close(p[1]);
	return pid;
}

TEST(signals, "signals to processes of others")
{
	pid_t mine, root, other;
	int status;

	START();
	MUST(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0));
	MUST(setpgid(0, 0));
	root = sleeper(0);
	other = sleeper(OTHER);
	mine = sleeper(USER);
	become(USER, GROUP);
	OK(setresuid(USER, USER, USER));
	FAILS(kill(root, SIGUSR1), EPERM);
	FAILS(kill(other, SIGUSR1), EPERM);
	FAILS(kill(root, 0), EPERM);
	FAILS(kill(root, 99), EINVAL);
	OK(kill(root, SIGCONT));
	FAILS((int)syscall(SYS_tkill, root, SIGUSR1), EPERM);
	FAILS((int)syscall(SYS_tgkill, root, root, SIGUSR1), EPERM);
	OK(kill(mine, SIGUSR1));
	OK(kill(getpid(), 0));
	OK(kill(0, 0));
	int fd = (int)syscall(SYS_pidfd_open, other, 0);
	if (fd >= 0)
		FAILS((int)syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0), EPERM);
	FAILS(kill(1, SIGUSR1), EPERM);
	FAILS(kill(999999999, SIGUSR1), ESRCH);
	signal(SIGTERM, SIG_IGN);
	OK(kill(0, SIGTERM));
	MUST(waitpid(mine, &status, 0));
	EQ(WTERMSIG(status), SIGTERM);
	EQ(waitpid(root, &status, WNOHANG), 0);
	EQ(waitpid(other, &status, WNOHANG), 0);
	if (waitpid(other, &status, WNOHANG) == 0)
		FAILS(kill(other, SIGKILL), EPERM);
}

TEST(meddling, "memory, limits and priorities of processes of others")
{
	struct iovec io = { (char[8]){ 0 }, 8 }, far = { guest_dir, 8 };
	struct rlimit limit;
	pid_t other, mine;

	START();
	MUST(setpgid(0, 0));
	other = sleeper(OTHER);
	mine = sleeper(USER);
	become(USER, GROUP);
	OK(setresuid(USER, USER, USER));
	FAILS(ptrace(PTRACE_ATTACH, other, 0, 0), EPERM);
	FAILS(ptrace(PTRACE_SEIZE, other, 0, 0), EPERM);
	FAILS(process_vm_readv(other, &io, 1, &far, 1, 0), EPERM);
	FAILS(prlimit(other, RLIMIT_CORE, NULL, &limit), EPERM);
	FAILS(setpriority(PRIO_PROCESS, other, 19), EPERM);
	FAILS(sched_setaffinity(other, sizeof(cpu_set_t), &(cpu_set_t){ { ~0ul } }), EPERM);
	OK(prlimit(getpid(), RLIMIT_CORE, NULL, &limit));
	OK(setpriority(PRIO_PROCESS, mine, 19));
	OK(setpriority(PRIO_PROCESS, 0, 5));
	OK(kill(mine, SIGKILL));
}

TEST(privileged, "what takes root")
{
	START();
	become(USER, GROUP);
	OK(setresuid(USER, USER, USER));
	FAILS(sethostname("x", 1), EPERM);
	FAILS(chroot("."), EPERM);
	FAILS(mount("none", ".", "tmpfs", 0, NULL), EPERM);
	FAILS(umount("."), EPERM);
	FAILS(mknod("dev", S_IFCHR | 0666, 0x103), EACCES);
	FAILS(setgroups(0, NULL), EPERM);
}
