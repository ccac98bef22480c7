/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk through a session's tree and what is below it (monitor/review_walk.c, review_compare.c): sessions made by hand, as the
 * agent would leave them.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "../../src/monitor/review.h"

static char top[] = "/tmp/umview-review-XXXXXX";
static struct session s;
static char told[4096];

static void put(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

/* A new session of a new directory, in a new place, which is the working directory. */
static void begin(const char *name)
{
	char error[SESSION_ERROR], low[PATH_MAX];

	if (chdir(top) < 0 || mkdir(name, 0755) < 0 || chdir(name) < 0 || mkdir("low", 0755) < 0 || !realpath("low", low))
		abort();
	if (session_prepare("upper", low, "a test", error, sizeof(error)) < 0)
		printf("# %s\n", error);
}

static enum visit note(struct review *r, struct change *c)
{
	static const char letters[] = ".ADMaTR";
	size_t n = strlen(told);

	(void)r;
	if (*c->path)
		snprintf(told + n, sizeof(told) - n, "%c%s%s ", letters[c->kind], c->conflict ? "!" : "", c->path);
	return VISIT_ON;
}

static const char *walk(char **only, int n)
{
	char error[SESSION_ERROR];
	struct review r = { .s = &s, .visit = note, .only = only, .nonly = n };

	*told = 0;
	if (session_open(&s, "upper", true, error, sizeof(error)) < 0) {
		snprintf(told, sizeof(told), "%s", error);
		return told;
	}
	review_walk(&r);
	session_close(&s);
	return told;
}

static void kinds(void)
{
	begin("kinds");
	put("low/f", "one");
	put("low/gone", "x");
	put("low/same", "same");
	put("upper/tree/f", "two");
	put("upper/tree/new", "n");
	put("upper/tree/same", "same");
	if (symlink(UM_COW_WHITEOUT, "upper/tree/gone") || symlink(UM_COW_WHITEOUT, "upper/tree/nothing"))
		abort();
	/* Nobody wrote down what was below, and it is as new as the session. */
	chmod("upper/tree/same", 0600);
	is_str(walk(NULL, 0), "M!f D!gone Anew .nothing asame ", "kinds of changes, and that nothing is known of what was below");
	char *only[] = { (char *)"gone" };
	is_str(walk(only, 1), "D!gone ", "one path");
}

static void directories(void)
{
	char error[SESSION_ERROR];
	struct stat st;

	begin("dirs");
	if (mkdir("low/d", 0755) || mkdir("low/t", 0755) || mkdir("upper/tree/d", 0755) || mkdir("upper/tree/e", 0755))
		abort();
	put("low/d/hidden", "h");
	put("low/d/both", "b");
	put("low/e", "was a file");
	put("upper/tree/d/both", "b");
	put("upper/tree/t", "is a file");
	if (stat("upper/tree/d", &st) < 0)
		abort();
	is_str(walk(NULL, 0), ".d ad/both T!e Tt ", "a directory that is in both; directories and files change places");
	if (session_open(&s, "upper", true, error, sizeof(error)) < 0)
		abort();
	session_set_flags(&s, st.st_dev, st.st_ino, UM_VSF_OPAQUE);
	session_close(&s);
	is_str(walk(NULL, 0), ".d D!d/hidden ad/both T!e Tt ", "an opaque one hides what is below");
}

static void origins(void)
{
	struct stat st;
	struct um_cow_origin *o;
	char error[SESSION_ERROR];

	begin("origins");
	put("low/f", "one");
	put("upper/tree/f", "two");
	if (stat("low/f", &st) < 0 || session_open(&s, "upper", true, error, sizeof(error)) < 0)
		abort();
	o = (struct um_cow_origin *)((char *)s.state + UM_COW_ORIGINS_AT) + s.state->norigins++;
	*o = (struct um_cow_origin) {
		.place = um_cow_place("f"), .dev = st.st_dev, .ino = st.st_ino, .size = (uint64_t)st.st_size, .mode = st.st_mode,
		.mtime = st.st_mtim.tv_sec * 1000000000l + st.st_mtim.tv_nsec,
		.ctime = st.st_ctim.tv_sec * 1000000000l + st.st_ctim.tv_nsec, .uid = st.st_uid, .gid = st.st_gid, .nlink = 1,
	};
	session_close(&s);
	is_str(walk(NULL, 0), "Mf ", "what is below is what was hidden: no conflict");
	put("low/f", "else");
	is_str(walk(NULL, 0), "M!f ", "it has been changed: a conflict");
	unlink("low/f");
	is_str(walk(NULL, 0), "A!f ", "it has been removed: a conflict");
	if (session_open(&s, "upper", true, error, sizeof(error)) < 0)
		abort();
	session_forget_origin(&s, "f");
	session_close(&s);
	is_str(walk(NULL, 0), "Af ", "what is forgotten does not count");
}

/* Somebody who was killed with the lock; then his number is another's: process 1 is always there. */
static void lock_of_the_dead(void)
{
	char error[SESSION_ERROR];

	begin("lock");
	if (session_open(&s, "upper", true, error, sizeof(error)) < 0)
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		session_tree_lock(&s);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	is_int((long)(s.state->lock & 0x3fffffff), pid, "the killed one has the lock");
	s.state->lock = (s.state->lock & ~0x3fffffffull) | 1;
	alarm(20);
	session_tree_lock(&s);
	alarm(0);
	is_int((long)(s.state->lock & 0x3fffffff), getpid(), "his number is another's: it is ours now");
	session_tree_unlock(&s);
	session_close(&s);
}

static void paths(void)
{
	char error[SESSION_ERROR], *given[] = { (char *)"low/../low//a/./b/", (char *)"/etc" };

	begin("paths");
	if (session_open(&s, "upper", false, error, sizeof(error)) < 0)
		abort();
	char **p = review_paths(&s, 1, given, error, sizeof(error));
	ok(p && !strcmp(p[0], "a/b"), "a path in the directory below");
	review_paths_free(p, p ? 1 : 0);
	ok(!review_paths(&s, 2, given, error, sizeof(error)), "one that is not");
	char *shown = path_shown("/", "a\nb");
	ok(shown && !strcmp(shown, "/a\\012b"), "control characters are not shown as such");
	free(shown);
	ok(open_below(s.tree_fd, "a/../../x", O_PATH) < 0, "no way up");
	session_close(&s);
}

int main(void)
{
	char command[100];

	plan(0);
	umask(022);
	if (!mkdtemp(top))
		return 1;
	kinds();
	directories();
	origins();
	lock_of_the_dead();
	paths();
	snprintf(command, sizeof(command), "rm -rf %s", top);
	if (chdir("/") < 0 || system(command))
		printf("# %s stays\n", top);
	return done();
}
