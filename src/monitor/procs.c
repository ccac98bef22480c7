/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process tree.
 *
 * The monitor is the subreaper of its view: every guest and every server is below it.  Which of them are
 * guests is found here, when COMMAND has ended: whoever is not a server, nor below one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "procs.h"

static ssize_t read_proc_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t n = read(fd, buf, size - 1);
	close(fd);
	if (n >= 0)
		buf[n] = 0;
	return n;
}

int proc_stat(pid_t pid, pid_t *ppid, char *state)
{
	char path[40], text[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_proc_file(path, text, sizeof(text)) <= 0)
		return -1;
	char *close_paren = strrchr(text, ')');		/* the name may hold anything */
	int parent;

	if (!close_paren || sscanf(close_paren + 1, " %c %d", state, &parent) != 2)
		return -1;
	*ppid = parent;
	return 0;
}

static int procs_add(struct procs *ps, size_t *room, pid_t pid)
{
	if (ps->n == *room) {
		size_t bigger = *room ? 2 * *room : 256;
		void *p = realloc(ps->tab, bigger * sizeof(*ps->tab));
		if (!p)
			return -ENOMEM;
		ps->tab = p;
		*room = bigger;
	}
	struct proc *p = &ps->tab[ps->n];

	*p = (struct proc) { .pid = pid };
	if (proc_stat(pid, &p->ppid, &p->state) == 0)
		ps->n++;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct proc *x = a, *y = b;
	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int procs_read(struct procs *ps)
{
	size_t room = 0;
	int r = 0;
	DIR *d = opendir("/proc");

	memset(ps, 0, sizeof(*ps));
	if (!d)
		return -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9')
			r = procs_add(ps, &room, atoi(e->d_name));
	closedir(d);
	if (r < 0)
		procs_free(ps);
	else if (ps->n)
		qsort(ps->tab, ps->n, sizeof(*ps->tab), by_pid);
	return r;
}

void procs_free(struct procs *ps)
{
	free(ps->tab);
	memset(ps, 0, sizeof(*ps));
}

static struct proc *procs_find(struct procs *ps, pid_t pid)
{
	struct proc key = { .pid = pid };
	return ps->n ? bsearch(&key, ps->tab, ps->n, sizeof(key), by_pid) : NULL;
}

static bool leads_to(struct procs *ps, struct proc *p, pid_t root, char mark)
{
	/* The count guards against a cycle: the tree changed while it was read. */
	for (size_t i = 0; p && i <= ps->n; i++) {
		if (p->mark)
			return p->mark == mark;
		if (p->pid == root)
			return true;
		p = procs_find(ps, p->ppid);
	}
	return false;
}

void procs_mark_below(struct procs *ps, pid_t root, char mark)
{
	for (size_t i = 0; i < ps->n; i++)
		if (!ps->tab[i].mark && leads_to(ps, &ps->tab[i], root, mark))
			ps->tab[i].mark = mark;
}

pid_t proc_of_thread(pid_t tid)
{
	char path[40], text[2048];
	int tgid;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (read_proc_file(path, text, sizeof(text)) <= 0)
		return -1;
	char *line = strstr(text, "\nTgid:");
	return line && sscanf(line, "\nTgid: %d", &tgid) == 1 ? tgid : -1;
}

bool proc_descends(pid_t pid, pid_t ancestor)
{
	char state;

	while (pid > 1 && pid != ancestor)
		if (proc_stat(pid, &pid, &state) < 0)
			return false;
	return pid == ancestor;
}

/* A process whose first thread has ended while others run is shown as a zombie too. */
static bool has_several_threads(pid_t pid)
{
	char path[40];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *d = opendir(path);
	if (!d)
		return false;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n > 1;
}

bool proc_is_over(pid_t pid)
{
	pid_t ppid;
	char state;

	if (proc_stat(pid, &ppid, &state) < 0 || state == 'X')
		return true;
	return state == 'Z' && !has_several_threads(pid);
}

void proc_name(pid_t pid, char *buf, size_t size)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (read_proc_file(path, buf, size) <= 0)
		snprintf(buf, size, "?");
	buf[strcspn(buf, "\n")] = 0;
}
