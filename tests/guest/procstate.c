/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * status, stat, syscall of ourselves and of others: signals and calls as the guest knows them.
 * GUEST_WORLDS: view fakeroot
 */
#include "guest.h"
#include "status.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

static unsigned long mask_of(const char *who, const char *key)
{
	return strtoul(status_of(who, key), NULL, 16);
}

/* Field n (from 1) of /proc/PID/stat. */
static unsigned long field_of(const char *who, int n)
{
	char name[64];
	const char *s;

	snprintf(name, sizeof(name), "/proc/%s/stat", who);
	s = strrchr(get(name), ')');
	REQUIRE(s);
	for (int i = 2; i < n; i++) {
		s = strchr(s + 1, ' ');
		REQUIRE(s);
	}
	return strtoul(s + 1, NULL, 10);
}

#define BIT(sig) (1ul << ((sig) - 1))
#define THREE (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGSYS))

static void handler(int sig MAYBE)
{
}

static void set_up(void)
{
	struct sigaction sa = { .sa_handler = handler };
	sigset_t set;

	OK(sigaction(SIGSEGV, &sa, NULL));
	OK(sigaction(SIGUSR1, &sa, NULL));
	signal(SIGBUS, SIG_IGN);
	signal(SIGSYS, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigaddset(&set, SIGUSR2);
	OK(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void check(const char *who)
{
	EQ(mask_of(who, "SigCgt") & (THREE | BIT(SIGUSR1)), BIT(SIGSEGV) | BIT(SIGUSR1));
	EQ(mask_of(who, "SigIgn") & THREE, BIT(SIGBUS) | BIT(SIGSYS));
	EQ(mask_of(who, "SigBlk") & (BIT(SIGSYS) | BIT(SIGUSR1) | BIT(SIGUSR2)), BIT(SIGSYS) | BIT(SIGUSR2));
	EQ(field_of(who, 32), BIT(SIGSYS) | BIT(SIGUSR2));
	EQ(field_of(who, 33) & THREE, BIT(SIGBUS) | BIT(SIGSYS));
	EQ(field_of(who, 34) & (THREE | BIT(SIGUSR1)), BIT(SIGSEGV) | BIT(SIGUSR1));
}

TEST(nothing_handled, "status, stat: a program without handlers catches none of SIGSEGV, SIGBUS, SIGSYS")
{
	EQ(mask_of("self", "SigCgt") & THREE, 0);
	EQ(mask_of("self", "SigIgn") & THREE, 0);
	EQ(mask_of("self", "SigBlk"), 0);
	EQ(field_of("self", 32), 0);
	EQ(field_of("self", 34) & THREE, 0);
	EQ(mask_of("thread-self", "SigCgt") & THREE, 0);
}

TEST(masks, "status, stat: what is handled, ignored, blocked")
{
	char who[32];

	set_up();
	check("self");
	check("thread-self");
	snprintf(who, sizeof(who), "%d/task/%d", getpid(), getpid());
	check(who);
}

static pid_t waiting_child(void (*before)(void), int report[2], int block[2])
{
	pid_t pid;
	char c;

	OK(pipe(report));
	OK(pipe(block));
	pid = MUST(fork());
	if (pid == 0) {
		before();
		OK(write(report[1], guest_bad ? "n" : "y", 1));
		(void)!read(block[0], &c, 1);
		_exit(0);
	}
	EQ(read(report[0], &c, 1), 1);
	EQ(c, 'y');
	return pid;
}

TEST(of_child, "status, stat of another process")
{
	int report[2], block[2];
	char who[32];
	pid_t pid = waiting_child(set_up, report, block);

	snprintf(who, sizeof(who), "%d", pid);
	check(who);
	snprintf(who, sizeof(who), "%d/task/%d", pid, pid);
	check(who);
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, NULL, 0));
}

static void nothing(void)
{
}

TEST(syscall_file, "syscall: the call in which another process waits, its stack and where it was made")
{
	unsigned long nr, arg[6], sp, pc, local;
	int report[2], block[2];
	pid_t pid = waiting_child(nothing, report, block);
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/syscall", pid);
	if (strchr(get(name), '('))
		SKIP("who may not trace may not look");
	for (int i = 0; i < 400 && strncmp(get(name), "0 ", 2); i++)
		sleep_ms(5);
	EQ(sscanf(get(name), "%lu 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx 0x%lx", &nr, &arg[0], &arg[1], &arg[2], &arg[3],
		  &arg[4], &arg[5], &sp, &pc), 9);
	EQ(nr, SYS_read);
	EQ(arg[0], block[0]);
	EQ(arg[2], 1);
	TRUE(sp > (unsigned long)&local - (1 << 20) && sp < (unsigned long)&local + (1 << 20));
	TRUE(pc - (unsigned long)read < 4096);		/* the same library at the same place */
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, NULL, 0));
}

static void *check_thread(void *arg MAYBE)
{
	char who[64];

	check("thread-self");
	snprintf(who, sizeof(who), "%d/task/%ld", getpid(), syscall(SYS_gettid));
	check(who);
	return NULL;
}

TEST(of_thread, "status, stat of a thread, seen by itself and by another")
{
	pthread_t t;

	set_up();
	EQ(pthread_create(&t, NULL, check_thread, NULL), 0);
	pthread_join(t, NULL);
	check("self");
}

static void add_filter(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };

	OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

static int filters_of(const char *who)
{
	const char *n = status_of(who, "Seccomp_filters");

	return *n == '(' ? -1 : atoi(n);	/* before Linux 5.9 */
}

TEST(seccomp, "status: seccomp and no_new_privs as prctl has them, before and after a filter")
{
	EQ(prctl(PR_GET_SECCOMP), atoi(status_of("self", "Seccomp")));
	EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), atoi(status_of("self", "NoNewPrivs")));
	if (filters_of("self") >= 0)
		EQ(filters_of("self") > 0, atoi(status_of("self", "Seccomp")) > 0);
	add_filter();
	STR(status_of("self", "Seccomp"), "2");
	STR(status_of("thread-self", "NoNewPrivs"), "1");
	if (filters_of("self") >= 0) {
		int had = filters_of("self");

		add_filter();
		EQ(filters_of("self"), had + 1);
	}
}

static void under_filters(void)
{
	add_filter();
	add_filter();
}

TEST(seccomp_of_child, "status: seccomp and no_new_privs of another process")
{
	int report[2], block[2], had = filters_of("self");
	char who[32];
	pid_t pid = waiting_child(under_filters, report, block);

	snprintf(who, sizeof(who), "%d", pid);
	STR(status_of(who, "Seccomp"), "2");
	STR(status_of(who, "NoNewPrivs"), "1");
	if (had == 0)
		EQ(filters_of(who), 2);
	EQ(filters_of("self"), had);
	OK(kill(pid, SIGKILL));
	OK(waitpid(pid, NULL, 0));
}

TEST(named, "stat: a name with blanks and brackets")
{
	OK(prctl(PR_SET_NAME, "a) b (c"));
	EQ(strncmp(strchr(get("/proc/self/stat"), '('), "(a) b (c) R ", 12), 0);
	EQ(field_of("self", 4), getppid());
	STR(status_of("self", "Name"), "a) b (c");
}
