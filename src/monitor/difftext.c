/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The difference of two files as text, by diff(1).
 *
 * It gets both as descriptors, so what it reads are the files that were compared; where there is no diff(1), the list says at
 * least that they differ.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "difftext.h"

int link_text(int dir, const char *name, char *buf, size_t size)
{
	ssize_t n = readlinkat(dir, name, buf, size - 1);

	if (n < 0)
		return -1;
	buf[n] = 0;
	return 0;
}

static void print_link(char sign, int dir, const char *name)
{
	char text[4097];

	if (link_text(dir, name, text, sizeof(text)) == 0) {
		char *shown = path_shown("/", text);
		printf("%c-> %s\n", sign, shown ? shown + 1 : "?");
		free(shown);
	}
}

/* Only in the child. */
static _Noreturn void run_diff(int low, int up, const char *label_low, const char *label_up)
{
	char a[32] = "/dev/null", b[32] = "/dev/null";

	if (low >= 0)
		snprintf(a, sizeof(a), "/proc/self/fd/%d", low);
	if (up >= 0)
		snprintf(b, sizeof(b), "/proc/self/fd/%d", up);
	execlp("diff", "diff", "-u", "--label", label_low, "--label", label_up, a, b, (char *)NULL);
	_exit(127);
}

static void diff_files(const char *shown, int low, int up)
{
	char *label_low, *label_up;
	int status = 0;

	fflush(stdout);
	if (asprintf(&label_low, "%s%s", low < 0 ? "/dev/null" : "a", low < 0 ? "" : shown) < 0 ||
	    asprintf(&label_up, "%s%s", up < 0 ? "/dev/null" : "b", up < 0 ? "" : shown) < 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		if (low >= 0)
			fcntl(low, F_SETFD, 0);
		if (up >= 0)
			fcntl(up, F_SETFD, 0);
		run_diff(low, up, label_low, label_up);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 127)
		printf("(there is no diff(1) to show how they differ)\n");
	free(label_low);
	free(label_up);
}

void difftext(const char *lower, const struct change *c)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	bool old = c->has_low && S_ISREG(c->low.st_mode), new = c->has_up && S_ISREG(c->up.st_mode);

	if (c->kind == CHANGE_ATTRIBUTES || c->kind == CHANGE_MOVED)
		return;
	if (c->has_low && S_ISLNK(c->low.st_mode))
		print_link('-', c->low_dir, c->name);
	if (old || new) {
		int low = old ? openat(c->low_dir, c->name, flags) : -1, up = new ? openat(c->up_dir, c->name, flags) : -1;
		char *shown = path_shown(lower, c->path);
		if ((old && low < 0) || (new && up < 0))
			printf("(its contents cannot be read: %s)\n", strerror(errno));
		else if (shown)
			diff_files(shown, low, up);
		free(shown);
		if (low >= 0)
			close(low);
		if (up >= 0)
			close(up);
	}
	if (c->has_up && S_ISLNK(c->up.st_mode))
		print_link('+', c->up_dir, c->name);
}
