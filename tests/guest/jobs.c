/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Job control on a terminal that the test makes: stop and continue, Ctrl-C and Ctrl-Z, reading and writing in
 * the background, hang-up, and a shell that does all this.
 *
 * GUEST_WORLDS: native view
 */
#include "guest.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static int master, slave;

/* A terminal; its other end is opened by who becomes the leader of its session. */
static void make_pty(void)
{
	struct termios t;

	master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0)
		SKIP("no pseudo terminals here");
	OK(grantpt(master));
	OK(unlockpt(master));
	slave = MUST(open(ptsname(master), O_RDWR | O_NOCTTY));
	OK(tcgetattr(slave, &t));
	t.c_lflag &= ~(tcflag_t)ECHO;
	OK(tcsetattr(slave, TCSANOW, &t));
}

static void type(const char *text)
{
	OK(write(master, text, strlen(text)));
}

/* Reads from the terminal until `word` has come, 10 seconds at most. */
static bool comes(const char *word)
{
	static char seen[16384];
	static size_t n;
	long end = now_ms() + 10000;
	char *at;

	while (!(at = memmem(seen, n, word, strlen(word)))) {
		struct pollfd pfd = { .fd = master, .events = POLLIN };
		if (now_ms() > end || n == sizeof(seen)) {
			FAIL("\"%s\" did not come, but: %.*s", word, (int)n, seen);
			return false;
		}
		if (poll(&pfd, 1, 200) > 0) {
			ssize_t r = read(master, seen + n, sizeof(seen) - n);
			n += r > 0 ? (size_t)r : 0;
		}
	}
	at += strlen(word);
	n -= (size_t)(at - seen);
	memmove(seen, at, n);
	return true;
}

static void become_leader(void)
{
	OK(setsid());
	OK(ioctl(slave, TIOCSCTTY, 0));
	dup2(slave, 0);
	dup2(slave, 1);
}

/* Runs fn as leader of the terminal's session. */
static pid_t session(void (*fn)(void))
{
	make_pty();
	pid_t pid = MUST(fork());
	if (pid == 0) {
		become_leader();
		close(master);
		fn();
		_exit(guest_bad ? 1 : 0);
	}
	return pid;
}

static void ends(pid_t pid)
{
	int status;

	OK(waitpid(pid, &status, 0));
	EXITED(status, 0);
}

/* A job: a process in a group of its own, in the foreground or not. */
static pid_t job(void (*fn)(void), bool foreground)
{
	pid_t pid = MUST(fork());

	if (pid == 0)
		usleep(20000);		/* until the parent has put us where we belong */
	setpgid(pid, pid);
	if (pid == 0) {
		fn();
		_exit(guest_bad ? 1 : 0);
	}
	if (foreground)
		OK(tcsetpgrp(0, pid));
	return pid;
}

static void stopped(pid_t pid, int sig)
{
	int status;

	OK(waitpid(pid, &status, WUNTRACED));
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != sig)
		FAIL("status 0x%x, expected stop by %d", (unsigned)status, sig);
}

static void say(const char *text)
{
	OK(write(1, text, strlen(text)));
}

/* ---- reading and writing in the background ---------------------------------------------------------- */

static void read_line(void)
{
	char buf[32];
	ssize_t n = read(0, buf, sizeof(buf));

	EQ(n, 6);
	TRUE(n == 6 && !memcmp(buf, "typed\n", 6));
}

static void background_read(void)
{
	signal(SIGTTOU, SIG_IGN);
	pid_t pid = job(read_line, false);
	stopped(pid, SIGTTIN);
	OK(kill(pid, SIGCONT));
	stopped(pid, SIGTTIN);
	OK(tcsetpgrp(0, pid));
	OK(kill(pid, SIGCONT));
	say("ready");
	ends(pid);
}

TEST(ttin, "a read in the background stops by SIGTTIN, and goes on in the foreground")
{
	pid_t pid = session(background_read);

	comes("ready");
	type("typed\n");
	ends(pid);
}

static void read_refused(void)
{
	char c;

	signal(SIGTTIN, SIG_IGN);
	FAILS(read(0, &c, 1), EIO);
}

static void write_loud(void)
{
	say("loud\n");
}

static void background_others(void)
{
	struct termios t;
	pid_t pid;

	signal(SIGTTOU, SIG_IGN);
	ends(job(read_refused, false));
	OK(tcgetattr(0, &t));
	t.c_lflag |= TOSTOP;
	OK(tcsetattr(0, TCSANOW, &t));
	signal(SIGTTOU, SIG_DFL);
	pid = job(write_loud, false);
	stopped(pid, SIGTTOU);
	signal(SIGTTOU, SIG_IGN);
	OK(tcsetpgrp(0, pid));
	OK(kill(pid, SIGCONT));
	ends(pid);
}

TEST(ttou, "SIGTTIN ignored: EIO; a write in the background with TOSTOP stops by SIGTTOU")
{
	pid_t pid = session(background_others);

	comes("loud");
	ends(pid);
}

/* ---- keys ------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t got;

static void note(int sig)
{
	got = sig;
}

static void wait_for_key(void)
{
	struct sigaction sa = { .sa_handler = note };
	char c;

	sigemptyset(&sa.sa_mask);
	OK(sigaction(SIGINT, &sa, NULL));
	say("int?");
	FAILS(read(0, &c, 1), EINTR);
	EQ(got, SIGINT);
	OK(sigaction(SIGTSTP, &sa, NULL));
	say("tstp?");
	FAILS(pause(), EINTR);
	EQ(got, SIGTSTP);
	signal(SIGTSTP, SIG_DFL);
	OK(sigaction(SIGCONT, &sa, NULL));
	say("stop?");
	FAILS(read(0, &c, 1), EINTR);	/* by SIGCONT's handler */
	EQ(got, SIGCONT);
	signal(SIGINT, SIG_DFL);
	say("die?");
	for (;;)
		pause();
}

static void foreground_keys(void)
{
	int status;

	signal(SIGTTOU, SIG_IGN);
	pid_t pid = job(wait_for_key, true);
	stopped(pid, SIGTSTP);
	OK(tcsetpgrp(0, getpid()));
	OK(tcsetpgrp(0, pid));
	OK(kill(pid, SIGCONT));
	OK(waitpid(pid, &status, 0));
	SIGNALED(status, SIGINT);
}

TEST(keys, "Ctrl-C and Ctrl-Z: handlers, stop, continue, death")
{
	pid_t pid = session(foreground_keys);

	comes("int?");
	usleep(200000);
	type("\003");
	comes("tstp?");
	usleep(200000);
	type("\032");
	comes("stop?");
	usleep(200000);
	type("\032");
	comes("die?");
	usleep(200000);
	type("\003");
	ends(pid);
}

static void stop_often(void)
{
	struct stat st;

	say("go");
	for (int i = 0; i < 20000; i++)
		if (stat("/etc/passwd", &st) < 0 || chdir(".") < 0)
			_exit(7);
}

static void stop_at_work(void)
{
	int status, stops = 0;

	signal(SIGTTOU, SIG_IGN);
	pid_t pid = job(stop_often, true);
	for (;;) {
		OK(waitpid(pid, &status, WUNTRACED));
		if (!WIFSTOPPED(status))
			break;
		stops++;
		OK(kill(pid, SIGCONT));
	}
	EXITED(status, 0);
	TRUE(stops > 0);
}

TEST(stop_busy, "Ctrl-Z again and again while it makes calls: it goes on each time")
{
	pid_t pid = session(stop_at_work);
	int status;

	comes("go");
	while (waitpid(pid, &status, WNOHANG) == 0) {
		type("\032");
		usleep(3000);
	}
	EXITED(status, 0);
}

/* ---- hang-up ---------------------------------------------------------------------------------------- */

static void wait_for_end(void)
{
	struct sigaction sa = { .sa_handler = note };
	char c;

	sigemptyset(&sa.sa_mask);
	OK(sigaction(SIGHUP, &sa, NULL));
	say("there");
	while (!got)
		if (read(0, &c, 1) == 0)
			break;
	usleep(20000);
	EQ(got, SIGHUP);
	EQ(read(0, &c, 1), 0);
}

TEST(hangup, "the terminal goes away: SIGHUP, and the end of the file")
{
	pid_t pid = session(wait_for_end);

	comes("there");
	OK(close(slave));
	OK(close(master));
	ends(pid);
}

/* ---- a shell ---------------------------------------------------------------------------------------- */

static void run_shell(void)
{
	setenv("PS1", "", 1);
	setenv("HISTFILE", "", 1);
	dup2(slave, 2);
	execlp("bash", "bash", "--norc", "--noprofile", "--noediting", "-i", NULL);
	_exit(127);
}

TEST(shell, "a shell on the terminal: Ctrl-C, Ctrl-Z, jobs, bg, fg, kill")
{
	if (access("/bin/bash", X_OK) < 0)
		SKIP("no bash here");
	pid_t pid = session(run_shell);

	type("echo started\n");
	comes("started");
	type("sleep 100; echo status=$?\n");
	usleep(300000);
	type("\003");
	type("echo after=$?\n");
	comes("after=130");
	type("cat\n");
	usleep(300000);
	type("\032");
	comes("Stopped");
	type("jobs; echo listed\n");
	comes("cat");
	comes("listed");
	type("fg\n");
	usleep(300000);
	type("echoed\n");
	comes("echoed");
	type("\032");
	comes("Stopped");
	type("bg; sleep 0.3; jobs; echo again\n");
	comes("again");
	type("kill %1; sleep 0.2; jobs; echo killed\n");
	comes("killed");
	type("sleep 100 & kill $!; wait $!; echo wait=$?\n");
	comes("wait=143");
	type("exit 0\n");
	ends(pid);
}

/*
 * For tests/scenario/tty.bats: COMMAND, which copies its input as cat does, as a job of a shell on a terminal.
 */
HELPER(shell_job)
{
	char line[2048] = "";
	static char reason[200];

	guest_reason = reason;
	for (int i = 0; i < argc; i++) {
		strncat(line, argv[i], sizeof(line) - strlen(line) - 2);
		strcat(line, " ");
	}
	pid_t pid = session(run_shell);
	type("echo started\n");
	comes("started");
	type(line);
	type("; echo first=$?\n");
	usleep(700000);
	type("one\n");
	comes("one");
	type("\032");
	comes("Stopped");
	type("jobs; echo listed\n");
	comes("Stopped");
	comes("listed");
	type("fg\n");
	usleep(700000);
	type("two\n");
	comes("two");
	type("\003");
	type("\n\n");
	usleep(300000);
	type("echo status=$?\n");
	comes("status=130");
	type(line);
	type("\n");
	usleep(700000);
	type("three\n");
	comes("three");
	type("\004");
	type("echo last=$?\n");
	comes("last=0");
	type("exit 0\n");
	ends(pid);
	return guest_bad;
}
