/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GUEST_WORLDS: fakeroot
 *
 * What root can do about users, groups, capabilities and the attributes of files.  Natively this needs root (run as an
 * ordinary user everything is skipped; AS=root tests/run.sh guest identity compares); in a view it needs
 * --fakeroot.
 */
#include "guest.h"
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <grp.h>

#define ROOT()	do { if (geteuid()) SKIP("needs root"); settle_caps(); } while (0)

struct caps { uint64_t effective, permitted, inheritable; };

static int caps_get(struct caps *c)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	int r = (int)syscall(SYS_capget, &h, d);

	*c = (struct caps){
		d[0].effective | (uint64_t)d[1].effective << 32, d[0].permitted | (uint64_t)d[1].permitted << 32,
		d[0].inheritable | (uint64_t)d[1].inheritable << 32,
	};
	return r;
}

static int caps_set(struct caps c)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = {
		{ (uint32_t)c.effective, (uint32_t)c.permitted, (uint32_t)c.inheritable },
		{ (uint32_t)(c.effective >> 32), (uint32_t)(c.permitted >> 32), (uint32_t)(c.inheritable >> 32) },
	};

	return (int)syscall(SYS_capset, &h, d);
}

/* Containers lack some capabilities, and newer kernels have more: what these tests do not need goes first. */
static void settle_caps(void)
{
	struct caps c;

	for (int n = 9; n < 64; n++)
		if (n != CAP_MKNOD && n != CAP_SETFCAP)
			prctl(PR_CAPBSET_DROP, n, 0, 0, 0);
	caps_get(&c);
	c.permitted &= 0x1ff | 1ull << CAP_MKNOD | 1ull << CAP_SETFCAP;
	c.effective = c.permitted;
	OK(caps_set(c));
	OK(setgroups(0, NULL));
}

static void expect_uids(uid_t real, uid_t effective, uid_t saved, int line)
{
	uid_t r, e, s;

	getresuid(&r, &e, &s);
	guest_eq(r, real, line, "real");
	guest_eq(e, effective, line, "effective");
	guest_eq(s, saved, line, "saved");
	guest_eq(getuid(), real, line, "getuid()");
	guest_eq(geteuid(), effective, line, "geteuid()");
}
#define UIDS(r, e, s)	expect_uids(r, e, s, __LINE__)

TEST(root, "root has all ids and capabilities")
{
	struct caps c;

	ROOT();
	UIDS(0, 0, 0);
	EQ(getgid(), 0);
	EQ(getegid(), 0);
	OK(caps_get(&c));
	TRUE(c.permitted & 1u << CAP_CHOWN && c.effective == c.permitted && !c.inheritable);
	EQ(prctl(PR_CAPBSET_READ, CAP_SETUID, 0, 0, 0), 1);
	FAILS(prctl(PR_CAPBSET_READ, 99, 0, 0, 0), EINVAL);
}

TEST(drop, "setuid of root is for good")
{
	struct caps c;

	ROOT();
	OK(setgroups(2, (gid_t[]){ 7, 5 }));
	OK(setgid(2000));
	OK(setuid(1000));
	UIDS(1000, 1000, 1000);
	OK(caps_get(&c));
	EQ(c.permitted | c.effective, 0);
	FAILS(setuid(0), EPERM);
	FAILS(seteuid(0), EPERM);
	FAILS(setreuid(1000, 0), EPERM);
	FAILS(setresuid(-1, -1, 0), EPERM);
	FAILS(setgid(0), EPERM);
	FAILS(setgroups(0, NULL), EPERM);
	FAILS(setuid(-1), EINVAL);
	OK(setuid(1000));
	EQ(getegid(), 2000);
}

TEST(comeback, "seteuid goes and comes back")
{
	struct caps c;

	ROOT();
	OK(seteuid(1000));
	UIDS(0, 1000, 0);
	OK(caps_get(&c));
	TRUE(c.permitted && !c.effective);
	FAILS(setgroups(0, NULL), EPERM);
	FAILS(seteuid(1001), EPERM);
	OK(seteuid(0));
	OK(caps_get(&c));
	TRUE(c.effective == c.permitted);
	OK(setresuid(1000, 1001, 0));
	UIDS(1000, 1001, 0);
	OK(setresuid(-1, 0, -1));
	UIDS(1000, 0, 0);
	OK(setreuid(-1, 1000));
	UIDS(1000, 1000, 0);
	OK(setreuid(0, -1) == -1 ? 0 : -1);
}

TEST(fsids, "setfsuid tells the old one, and takes the capabilities about files")
{
	struct caps c;

	ROOT();
	EQ(setfsuid(1000), 0);
	EQ(setfsuid(-1), 1000);
	OK(caps_get(&c));
	TRUE(!(c.effective & 1u << CAP_CHOWN) && c.effective & 1u << CAP_SETUID);
	EQ(setfsuid(0), 1000);
	OK(caps_get(&c));
	TRUE(c.effective & 1u << CAP_CHOWN);
	EQ(setfsgid(7), 0);
	EQ(setfsgid(0), 7);
	OK(seteuid(1000));
	EQ(setfsuid(1234), 1000);
	EQ(setfsuid(-1), 1000);
}

TEST(groups, "groups come back sorted")
{
	gid_t list[8];

	ROOT();
	OK(setgroups(4, (gid_t[]){ 9, 3, 7, 3 }));
	EQ(getgroups(0, NULL), 4);
	FAILS(getgroups(3, list), EINVAL);
	FAILS(syscall(SYS_getgroups, -1, list), EINVAL);
	EQ(getgroups(8, list), 4);
	TRUE(list[0] == 3 && list[1] == 3 && list[2] == 7 && list[3] == 9);
	FAILS(setgroups(1, (gid_t *)8), EFAULT);
	FAILS(syscall(SYS_setgroups, 70000, list), EINVAL);
	OK(setgroups(0, NULL));
	EQ(getgroups(8, list), 0);
}

/* ---- capabilities --------------------------------------------------------------------------------------- */

TEST(capset_rules, "capset never adds to what is permitted")
{
	struct __user_cap_header_struct h = { 0x12345678, 0 };
	struct caps c, d;

	ROOT();
	FAILS(syscall(SYS_capget, &h, &c), EINVAL);
	EQ(h.version, _LINUX_CAPABILITY_VERSION_3);
	h.version = 1;
	OK(syscall(SYS_capget, &h, NULL));
	h.pid = -3;
	FAILS(syscall(SYS_capget, &h, &(struct __user_cap_data_struct[2]){ 0 }), EINVAL);
	OK(caps_get(&c));
	d = c;
	d.effective &= ~(1ull << CAP_CHOWN);
	OK(caps_set(d));
	OK(caps_set(c));
	d.permitted &= ~(1ull << CAP_CHOWN);
	OK(caps_set(d));
	FAILS(caps_set(c), EPERM);
	d.effective = c.effective;
	FAILS(caps_set(d), EPERM);
	d.effective = d.permitted;
	d.inheritable = 1u << CAP_SETUID;
	OK(caps_set(d));
	put("f", "x");
	FAILS(chown("f", 1, 1), EPERM);
}

TEST(bits, "securebits, keepcaps, ambient")
{
	struct caps c;

	ROOT();
	EQ(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0), 0);
	FAILS(prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0), EINVAL);
	OK(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
	EQ(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0), SECBIT_KEEP_CAPS);
	OK(caps_get(&c));
	c.inheritable = 1u << CAP_CHOWN;
	OK(caps_set(c));
	FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM);
	OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 1);
	FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 1, 0), EINVAL);
	FAILS(prctl(PR_CAP_AMBIENT, 77, CAP_CHOWN, 0, 0), EINVAL);
	OK(setuid(1000));
	OK(caps_get(&c));
	TRUE(c.permitted && !c.effective);
	EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
	FAILS(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), EPERM);
	c.effective = c.permitted;
	OK(caps_set(c));
	OK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED, 0, 0, 0));
	FAILS(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0), EPERM);
	OK(prctl(PR_CAPBSET_DROP, CAP_MKNOD, 0, 0, 0));
	EQ(prctl(PR_CAPBSET_READ, CAP_MKNOD, 0, 0, 0), 0);
}

/* ---- any sequence of calls ------------------------------------------------------------------------------ */

static uint64_t digest;

static void note(uint64_t v)
{
	digest = (digest ^ v) * 0x100000001b3ull;
	digest ^= digest >> 29;
}

static unsigned next(unsigned *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 12;
}

static unsigned any_id(unsigned *seed)
{
	static const unsigned ids[] = { 0, 1000, 1001, 2002, -1u, 0 };

	return ids[next(seed) % 6];
}

static long any_call(unsigned *s)
{
	unsigned n = next(s) % 14, a = any_id(s), b = any_id(s), c = any_id(s);

	switch (n) {
	case 0: return syscall(SYS_setuid, a);
	case 1: return syscall(SYS_setgid, a);
	case 2: return syscall(SYS_setreuid, a, b);
	case 3: return syscall(SYS_setregid, a, b);
	case 4: case 5: return syscall(SYS_setresuid, a, b, c);
	case 6: return syscall(SYS_setresgid, a, b, c);
	case 7: return syscall(SYS_setfsuid, a);
	case 8: return syscall(SYS_setfsgid, a);
	case 9: return setgroups(2, (gid_t[]){ a & 0xffff, b & 0xffff });
	case 10: return prctl(PR_SET_KEEPCAPS, next(s) % 2, 0, 0, 0);
	case 11: return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, next(s) % 8, 0, 0);
	case 12: return caps_set((struct caps){ (uint64_t)next(s) & 0x1ff, 0x1ff, (uint64_t)next(s) & 0xff });
	default: return prctl(PR_SET_SECUREBITS, next(s) % 3 ? 0 : 1u << 2 * (next(s) % 4), 0, 0, 0);
	}
}

static void note_all(long r, int e)
{
	uid_t u[3];
	gid_t g[3], list[16];
	struct caps c;

	note((uint64_t)r + 7);
	note(r < 0 ? (uint64_t)e : 0);
	getresuid(u, u + 1, u + 2);
	getresgid(g, g + 1, g + 2);
	for (int i = 0; i < 3; i++)
		note(u[i] | (uint64_t)g[i] << 32);
	note((uint64_t)syscall(SYS_setfsuid, -1) << 32 | (uint32_t)syscall(SYS_setfsgid, -1));
	caps_get(&c);
	note(c.effective);
	note(c.permitted);
	note(c.inheritable);
	note((uint64_t)prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	int n = getgroups(16, list);
	for (int i = 0; i < n; i++)
		note(list[i]);
	for (int i = 0; i < 9; i++)
		note((uint64_t)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0));
}

/* 300 walks of 40 steps each.  The number is what Linux 6.18 gave to root. */
#define WALKS_DIGEST	0x22a2a2178034938cull

TEST(walks, "what random sequences of calls lead to")
{
	uint64_t *sum = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(sum != MAP_FAILED);
	ROOT();
	setfsuid(5);
	OK(setresuid(0, -1, -1));
	if (setfsuid(0) != 5)
		SKIP("this kernel changes the file system's id, too (before 5.19)");
	for (unsigned walk = 0; walk < 300; walk++) {
		pid_t pid = MUST(fork());

		if (!pid) {
			unsigned seed = walk;

			digest = *sum;
			for (int i = 0; i < 40; i++) {
				long r = any_call(&seed);

				note_all(r, errno);
			}
			*sum = digest;
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	EQ(*sum, WALKS_DIGEST);
}

/* ---- birth and exec ------------------------------------------------------------------------------------- */

static void *raw_change(void *arg)
{
	*(long *)arg = syscall(SYS_setresuid, 1000, 1000, 1000) ? -1 : (long)syscall(SYS_geteuid);
	return NULL;
}

static void *ask_euid(void *arg)
{
	pthread_barrier_wait(arg);
	pthread_barrier_wait(arg);
	return (void *)(long)geteuid();
}

TEST(threads, "a thread has an identity of its own; the C library changes all of them")
{
	pthread_barrier_t barrier;
	pthread_t t;
	long seen = -1;
	void *euid;

	ROOT();
	pthread_create(&t, NULL, raw_change, &seen);
	pthread_join(t, NULL);
	EQ(seen, 1000);
	EQ(geteuid(), 0);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&t, NULL, ask_euid, &barrier);
	pthread_barrier_wait(&barrier);
	OK(seteuid(1001));
	pthread_barrier_wait(&barrier);
	pthread_join(t, &euid);
	EQ((long)euid, 1001);
}

TEST(children, "children inherit, parents do not")
{
	int status;
	pid_t pid;

	ROOT();
	OK(setresuid(1000, 0, 0));
	pid = MUST(fork());
	if (!pid)
		_exit(getuid() == 1000 && geteuid() == 0 && !setuid(1000) && setuid(0) ? 0 : 1);
	MUST(waitpid(pid, &status, 0));
	EQ(status, 0);
	UIDS(1000, 0, 0);
	pid = vfork();
	if (!pid) {
		syscall(SYS_setresuid, 5, 5, 5);
		_exit(syscall(SYS_getuid) == 5 ? 0 : 1);
	}
	MUST(waitpid(pid, &status, 0));
	EQ(status, 0);
	UIDS(1000, 0, 0);
}

/* Tells what it is: real effective saved, groups, AT_*. */
HELPER(tell)
{
	uid_t u[3];
	gid_t g[3];

	getresuid(u, u + 1, u + 2);
	getresgid(g, g + 1, g + 2);
	dprintf(1, "%u %u %u  %u %u %u  %lu %lu %lu %lu  %lu  %d", u[0], u[1], u[2], g[0], g[1], g[2], getauxval(AT_UID),
		getauxval(AT_EUID), getauxval(AT_GID), getauxval(AT_EGID), getauxval(AT_SECURE), getgroups(0, NULL));
	return 0;
}

/* What `program`, executed by a child that has run `before`, tells. */
static const char *told(const char *program, void (*before)(void))
{
	static char buf[256];
	int p[2], status;
	pid_t pid;

	MUST(pipe(p));
	pid = MUST(fork());
	if (!pid) {
		dup2(p[1], 1);
		before();
		execl(program, program, "--helper", "tell", NULL);
		dprintf(1, "exec: %d", errno);
		_exit(1);
	}
	close(p[1]);
	ssize_t n = read(p[0], buf, sizeof(buf) - 1);
	close(p[0]);
	buf[n > 0 ? n : 0] = 0;
	waitpid(pid, &status, 0);
	return buf;
}

static void copy_self(const char *to)
{
	char cmd[2 * PATH_MAX + 20];

	snprintf(cmd, sizeof(cmd), "cp %s %s", guest_self, to);
	MUST(system(cmd));
	MUST(chmod(".", 0755));
}

static void nothing(void) {}
static void as_user(void) { MUST(setgroups(1, (gid_t[]){ 7 })); MUST(setresgid(2000, 2000, 2000)); MUST(setresuid(1000, 1000, 1000)); }
static void half(void) { MUST(setresuid(1000, 1000, 0)); }
static void as_user_quietly(void) { as_user(); MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

TEST(exec_keeps, "exec keeps the ids, and tells them to the program")
{
	ROOT();
	MUST(chmod("..", 0755));
	copy_self("prog");
	STR(told("./prog", nothing), "0 0 0  0 0 0  0 0 0 0  0  0");
	STR(told("./prog", as_user), "1000 1000 1000  2000 2000 2000  1000 1000 2000 2000  0  1");
	STR(told("./prog", half), "1000 1000 1000  0 0 0  1000 1000 0 0  0  0");
}

TEST(set_id, "set-user-id and set-group-id programs")
{
	ROOT();
	MUST(chmod("..", 0755));
	copy_self("prog");
	OK(chmod("prog", 04755));
	STR(told("./prog", as_user), "1000 0 0  2000 2000 2000  1000 0 2000 2000  1  1");
	STR(told("./prog", as_user_quietly), "1000 1000 1000  2000 2000 2000  1000 1000 2000 2000  0  1");
	OK(chown("prog", 1234, 4321));
	STR(told("./prog", as_user), "1000 1000 1000  2000 2000 2000  1000 1000 2000 2000  0  1");
	OK(chmod("prog", 06755));
	STR(told("./prog", as_user), "1000 1234 1234  2000 4321 4321  1000 1234 2000 4321  1  1");
	STR(told("./prog", nothing), "0 1234 1234  0 4321 4321  0 1234 0 4321  1  0");
	OK(chmod("prog", 02744));
	STR(told("./prog", nothing), "0 0 0  0 0 0  0 0 0 0  0  0");
}

TEST(status, "/proc/self/status")
{
	char text[8192];
	int fd;

	ROOT();
	OK(setgroups(2, (gid_t[]){ 8, 6 }));
	OK(setresgid(10, 11, 12));
	OK(setresuid(1, 0, 2));
	OK(caps_set((struct caps){ 1, 3, 1 }));
	fd = MUST(open("/proc/self/status", O_RDONLY));
	text[MUST(read(fd, text, sizeof(text) - 1))] = 0;
	TRUE(strstr(text, "\nUid:\t1\t0\t2\t0\nGid:\t10\t11\t12\t11\n"));
	TRUE(strstr(text, "\nGroups:\t6 8 \n"));
	TRUE(strstr(text, "\nCapInh:\t0000000000000001\nCapPrm:\t0000000000000003\nCapEff:\t0000000000000001\n"));
}

/* ---- files ---------------------------------------------------------------------------------------------- */

static void expect_owner(const char *path, uid_t uid, gid_t gid, mode_t mode, int line)
{
	struct stat st, l;
	struct statx x;
	int fd = open(path, O_PATH | O_NOFOLLOW);

	guest_ok(fstat(fd, &st), line, "fstat");
	guest_ok(lstat(path, &l), line, "lstat");
	guest_ok(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &x), line, "statx");
	close(fd);
	guest_eq(st.st_uid, uid, line, "uid");
	guest_eq(st.st_gid, gid, line, "gid");
	if (mode)
		guest_eq(st.st_mode, mode, line, "mode");
	guest_eq(st.st_mode, l.st_mode, line, "mode of fstat");
	guest_eq(l.st_uid, uid, line, "uid of lstat");
	guest_eq(x.stx_uid, uid, line, "uid of statx");
	guest_eq(x.stx_gid, gid, line, "gid of statx");
	guest_eq(x.stx_mode, st.st_mode, line, "mode of statx");
	guest_eq(makedev(x.stx_rdev_major, x.stx_rdev_minor), st.st_rdev, line, "rdev of statx");
}
#define OWNER(path, uid, gid, mode)	expect_owner(path, uid, gid, mode, __LINE__)

TEST(chown_forms, "chown in all its forms")
{
	int fd;

	ROOT();
	umask(022);
	put("f", "x");
	OK(mkdir("d", 0755));
	OK(symlink("f", "l"));
	OWNER("f", 0, 0, S_IFREG | 0644);
	OK(chown("f", 2000, 4000));
	OWNER("f", 2000, 4000, S_IFREG | 0644);
	OK(chown("l", 2001, -1));
	OWNER("f", 2001, 4000, 0);
	OWNER("l", 0, 0, 0);
	OK(lchown("l", 5, 6));
	OWNER("l", 5, 6, S_IFLNK | 0777);
	OWNER("f", 2001, 4000, 0);
	fd = MUST(open("f", O_RDONLY));
	OK(fchown(fd, -1, 7));
	OWNER("f", 2001, 7, 0);
	close(fd);
	fd = MUST(open("d", O_PATH));
	FAILS(fchown(fd, 1, 1), EBADF);
	OK(fchownat(fd, "", 8, 9, AT_EMPTY_PATH));
	OWNER("d", 8, 9, S_IFDIR | 0755);
	OK(chown("d", 0, 0));
	OWNER("d", 0, 0, S_IFDIR | 0755);
	FAILS(chown("none", 1, 1), ENOENT);
	FAILS(chown("f/x", 1, 1), ENOTDIR);
}

TEST(chown_rules, "who is not root may give groups only")
{
	ROOT();
	OK(chmod(".", 0777));
	put("mine", "x");
	put("other", "x");
	OK(chown("mine", 1000, 2000));
	OK(setgroups(1, (gid_t[]){ 7 }));
	OK(setresgid(2000, 2000, 2000));
	OK(seteuid(1000));
	FAILS(chown("mine", 1001, -1), EPERM);
	FAILS(chown("mine", -1, 8), EPERM);
	OK(chown("mine", -1, 7));
	OK(chown("mine", 1000, 2000));
	FAILS(chown("other", -1, 7), EPERM);
	FAILS(chown("other", 1000, -1), EPERM);
	OK(chmod("mine", 0600));
	FAILS(chmod("other", 0600), EPERM);
	OWNER("mine", 1000, 2000, S_IFREG | 0600);
}

TEST(chmod_forms, "modes, and what takes their set-id bits")
{
	int fd;

	ROOT();
	put("f", "x");
	OK(chmod("f", 07755));
	OWNER("f", 0, 0, S_IFREG | 07755);
	OK(chown("f", 1, 2));
	OWNER("f", 1, 2, S_IFREG | 01755);
	OK(chmod("f", 02644));
	OK(chown("f", 1, 3));
	OWNER("f", 1, 3, S_IFREG | 02644);
	OK(mkdir("d", 0700));
	OK(chmod("d", 06000));
	OK(chown("d", 4, 4));
	OWNER("d", 4, 4, S_IFDIR | 06000);
	put("d/inside", "root may");
	STR(get("d/inside"), "root may");
	fd = MUST(open("f", O_RDWR));
	OK(fchmod(fd, 0));
	OWNER("f", 1, 3, S_IFREG);
	close(fd);
	STR(get("f"), "x");
	OK(access("f", R_OK | W_OK));
	FAILS(access("f", X_OK), EACCES);
	FAILS(fchmodat(AT_FDCWD, "none", 0600, 0), ENOENT);
}

TEST(made, "modes that would keep an ordinary owner out")
{
	struct stat st;
	int fd;

	ROOT();
	umask(022);
	OK(mkdir("d", 0555));
	OWNER("d", 0, 0, S_IFDIR | 0555);
	fd = MUST(open("d/f", O_CREAT | O_WRONLY, 0444));
	OWNER("d/f", 0, 0, S_IFREG | 0444);
	close(fd);
	put("d/f", "again");
	STR(get("d/f"), "again");
	OWNER("d/f", 0, 0, S_IFREG | 0444);
	FAILS(open("d/f", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
	FAILS(open("d", O_CREAT | O_RDONLY, 0600), EISDIR);
	OK(symlink("target", "dangling"));
	fd = MUST(open("dangling", O_CREAT | O_RDWR, 0600));
	close(fd);
	OWNER("target", 0, 0, S_IFREG | 0600);
	umask(0277);
	fd = MUST(open("masked", O_CREAT | O_RDWR, 0666));
	OK(fstat(fd, &st));
	EQ(st.st_mode, S_IFREG | 0400);
	OK(mkfifo("fifo", 0666));
	OWNER("fifo", 0, 0, S_IFIFO | 0400);
}

TEST(devices, "device nodes")
{
	struct stat st;
	char c = 1;
	int fd;

	ROOT();
	umask(0);
	OK(mknod("c", S_IFCHR | 0640, makedev(42, 44)));
	OK(mknod("b", S_IFBLK | 0666, makedev(259, 70000)));
	OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	OWNER("c", 0, 0, S_IFCHR | 0640);
	OWNER("b", 0, 0, S_IFBLK | 0666);
	OK(stat("c", &st));
	EQ(major(st.st_rdev), 42);
	EQ(minor(st.st_rdev), 44);
	OK(stat("b", &st));
	EQ(st.st_rdev, makedev(259, 70000));
	EQ(st.st_size, 0);
	FAILS(mknod("c", S_IFCHR | 0600, 1), EEXIST);
	OK(chmod("c", 0600));
	OK(chown("c", 3, 4));
	OWNER("c", 3, 4, S_IFCHR | 0600);
	OK(link("c", "c2"));
	OK(unlink("c"));
	OWNER("c2", 3, 4, S_IFCHR | 0600);
	FAILS(open("c2", O_RDWR), ENXIO);
	fd = open("null", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 && errno == EACCES)
		SKIP("a file system without devices");
	EQ(write(fd, "x", 1), 1);
	EQ(read(fd, &c, 1), 0);
	OK(chmod(".", 0777));
	OK(seteuid(1000));
	FAILS(mknod("c3", S_IFCHR | 0600, makedev(1, 3)), EPERM);
}

TEST(owners, "what a user makes is his")
{
	int fd;

	ROOT();
	umask(022);
	OK(chmod(".", 0777));
	OK(setegid(2000));
	OK(seteuid(1000));
	put("f", "x");
	OK(mkdir("d", 0700));
	OK(symlink("x", "l"));
	OK(mkfifo("p", 0600));
	OWNER("f", 1000, 2000, S_IFREG | 0644);
	OWNER("d", 1000, 2000, S_IFDIR | 0700);
	OWNER("l", 1000, 2000, 0);
	OWNER("p", 1000, 2000, S_IFIFO | 0600);
	OK(seteuid(0));
	fd = MUST(open("f", O_RDWR | O_CREAT | O_TRUNC, 0600));
	close(fd);
	OWNER("f", 1000, 2000, S_IFREG | 0644);
	OK(setfsuid(77));
	put("g", "x");
	OWNER("g", 77, 2000, S_IFREG | 0644);
}

TEST(gone, "a new file has nothing of the one that was there before")
{
	ROOT();
	umask(022);
	for (int i = 0; i < 20; i++) {
		put("f", "x");
		OWNER("f", 0, 0, S_IFREG | 0644);
		OK(chown("f", 7, 7));
		OK(unlink("f"));
		OK(mkdir("d", 0755));
		OWNER("d", 0, 0, S_IFDIR | 0755);
		OK(chown("d", 8, 8));
		OK(rmdir("d"));
		put("a", "a");
		put("b", "b");
		OK(chown("a", 9, 9));
		OK(chown("b", 10, 10));
		OK(rename("a", "b"));
		OWNER("b", 9, 9, S_IFREG | 0644);
		OK(link("b", "c"));
		OK(rename("b", "c"));
		OWNER("c", 9, 9, 0);
		OK(unlink("b"));
		OWNER("c", 9, 9, 0);
		OK(unlink("c"));
	}
}
