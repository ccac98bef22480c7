/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GUEST_WORLDS: fakeroot
 * GUEST_OPTIONS: --hide /nonexistent
 *
 * What root can do about users, groups and capabilities.  Natively this needs root (run as an
 * ordinary user everything is skipped; AS=root tests/run.sh guest identity compares); in a view it needs
 * --fakeroot.
 */
#include "guest.h"
#include "caps.h"
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

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

/* ---- a root of one's own, and a neighbour without ---------------------------------------------------- */

#define ROUNDS	20

static struct {
	pthread_barrier_t turn;
	char path[4096];		/* of l/f, as who has the whole tree calls it */
	int dir;
} two_roots;

/* By its path and from a descriptor: which of the two files is it? */
static void expect_file(const char *path, off_t size)
{
	struct stat st;

	OK(stat(path, &st));
	EQ(st.st_size, size);
	OK(fstatat(two_roots.dir, "l/f", &st, 0));
	EQ(st.st_size, size);
}

static void *in_a_root(void *arg)
{
	(void)arg;
	OK(unshare(CLONE_FS));
	OK(chroot("d"));
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&two_roots.turn);
		expect_file("/l/f", 2);
		pthread_barrier_wait(&two_roots.turn);
	}
	return NULL;
}

TEST(roots, "two threads, one of them with a root of its own: an absolute link leads each to its own file")
{
	char cwd[1024], inside[2048];
	pthread_t thread;

	if (geteuid())
		SKIP("needs root");
	MUST(getcwd(cwd, sizeof(cwd)) ? 0 : -1);
	MUST(mkdir("d", 0755));
	MUST(mkdir("o", 0755));
	snprintf(two_roots.path, sizeof(two_roots.path), "%s/o", cwd);
	MUST(symlink(two_roots.path, "d/l"));
	put("o/f", "1");
	for (char *slash = cwd + 1; slash; slash = strchr(slash, '/') ? strchr(slash, '/') + 1 : NULL) {
		snprintf(inside, sizeof(inside), "d/%.*s", (int)(strcspn(slash, "/") + (size_t)(slash - cwd)), cwd);
		MUST(mkdir(inside, 0755));
	}
	strcat(inside, "/o");
	MUST(mkdir(inside, 0755));
	strcat(inside, "/f");
	put(inside, "22");
	snprintf(two_roots.path, sizeof(two_roots.path), "%s/d/l/f", cwd);
	two_roots.dir = MUST(open("d", O_RDONLY | O_DIRECTORY));
	MUST(-pthread_barrier_init(&two_roots.turn, NULL, 2));
	MUST(-pthread_create(&thread, NULL, in_a_root, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&two_roots.turn);
		pthread_barrier_wait(&two_roots.turn);
		expect_file(two_roots.path, 1);
	}
	pthread_join(thread, NULL);
	close(two_roots.dir);
}
