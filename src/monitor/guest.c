/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting guests, and counting them.
 *
 * A guest of a view of our own is started by executing the agent's image with a boot line in front of the
 * arguments; the agent finds and loads the program.  The image is a memory file that nobody may have open
 * for writing, else it could not be executed.  In a branch we are a guest ourselves and execute as anybody
 * does.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "monitor.h"
#include "procs.h"

#ifndef MFD_EXEC
#define MFD_EXEC	0x0010u
#endif

extern const char um_agent_image[];

/* ---- the image ------------------------------------------------------------------------------------ */

static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

/* What of the file is ever mapped: the sections behind that are for debuggers. */
static size_t image_size(void)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)um_agent_image;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(um_agent_image + e->e_phoff);
	size_t end = e->e_phoff + e->e_phnum * sizeof(*p);

	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_offset + p[i].p_filesz > end)
			end = p[i].p_offset + p[i].p_filesz;
	return end;
}

/* The same file by a description that cannot write; the writing one is closed. */
static int reopen_read_only(int fd)
{
	char path[32];

	fchmod(fd, 0555);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int ro = open(path, O_RDONLY | O_CLOEXEC);
	int r = ro < 0 ? -errno : ro;
	close(fd);
	return r;
}

int image_open(void)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("umview", flags | MFD_EXEC);

	if (fd < 0 && errno == EINVAL)		/* a kernel that does not know MFD_EXEC */
		fd = memfd_create("umview", flags);
	if (fd < 0)
		return -errno;
	int r = write_all(fd, um_agent_image, image_size());
	if (r < 0) {
		close(fd);
		return r;
	}
	fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return reopen_read_only(fd);
}

/* ---- starting a guest ----------------------------------------------------------------------------- */

static void restore_signals(const struct life *l)
{
	if (l->chld_ignored)
		signal(SIGCHLD, SIG_IGN);
	if (l->setxid_ignored) {
		const struct raw_action ign = { .handler = (void *)SIG_IGN };

		syscall(SYS_rt_sigaction, SIGSETXID, &ign, NULL, 8);
	}
	sigprocmask(SIG_SETMASK, &l->mask, NULL);
}

/* To copy the monitor's memory would take longer than all that the child does before it executes the agent. */
pid_t guest_spawn(struct life *l, const char *file, char **argv)
{
	pid_t pid = l->ops == &own_view ? vfork() : fork();

	if (pid < 0)
		return -errno;
	if (pid > 0) {
		setpgid(pid, l->pgid);
		return pid;
	}
	setpgid(0, l->pgid);
	restore_signals(l);
	l->ops->exec(l, file, argv);
	_exit(125);
}

/* Where a guest finds its descriptors: just below the limit, out of everybody's way. */
struct parked { int image, world, trace, log; };

static struct parked parked_numbers(const struct life *l)
{
	struct rlimit lim = { 1024, 1024 };

	getrlimit(RLIMIT_NOFILE, &lim);
	int top = lim.rlim_cur < 1024 ? (int)lim.rlim_cur : 1024;
	return (struct parked) {
		.image = top - 1, .world = top - 2,
		.trace = l->trace_fd < 0 ? -1 : top - 3,
		.log = l->log_fd < 0 ? -1 : top - 4,
	};
}

static int park(int fd, int number, int lowest)
{
	if (fd < 0)
		return 0;
	if (fd >= lowest)
		return -EMFILE;
	return dup2(fd, number) < 0 ? -errno : 0;
}

static int park_all(const struct life *l, const struct parked *p)
{
	int lowest = p->image - 3;
	int r = park(l->image_fd, p->image, lowest);

	if (r >= 0)
		r = park(l->m->w.fd, p->world, lowest);
	if (r >= 0)
		r = park(l->trace_fd, p->trace, lowest);
	return r < 0 ? r : park(l->log_fd, p->log, lowest);
}

static void own_exec(struct life *l, const char *file, char **argv)
{
	struct parked p = parked_numbers(l);
	char *boot;
	int argc = 0, r = park_all(l, &p);

	if (r < 0) {
		say("cannot place the view's descriptors at %d and below: %s; raise the limit of open files "
		    "(ulimit -n)", p.image, strerror(-r));
		return;
	}
	while (argv[argc])
		argc++;
	char **args = calloc((size_t)argc + 3, sizeof(*args));
	if (!args)
		return;
	if (asprintf(&boot, "um1 first=1 image=%d world=%d view=0 epoch=4294967295 server=0 trace=%d%s%s", p.image, p.world,
		     p.trace, l->identity ? " ident=" : "", l->identity ? l->identity : "") < 0)
		return;
	args[0] = boot;
	args[1] = (char *)file;
	memcpy(args + 2, argv, (size_t)argc * sizeof(*args));
	syscall(SYS_execveat, p.image, "", args, environ, 0x1000 /* AT_EMPTY_PATH */);
	say("cannot start the agent: %s; is the kernel one that allows to execute memory files "
	    "(see umview --probe)?", strerror(errno));
}

/* ---- the view of our own -------------------------------------------------------------------------- */

static int own_begin(struct life *l)
{
	struct parked p = parked_numbers(l);
	struct um_world *head = l->m->w.head;

	head->monitor_pid = (uint32_t)getpid();
	head->trace = p.trace < 0 ? 0 : (uint32_t)p.trace;
	head->log = p.log < 0 ? 0 : (uint32_t)p.log;
	return monitor_start(l->m);
}

static int own_servants(struct life *l, pid_t *pids, int max)
{
	return monitor_servants(l->m, pids, max);
}

static bool own_has_mounts(struct life *l)
{
	for (uint32_t v = 0; v < UM_VIEWS; v++)
		if (l->m->w.views[v].nmounts)
			return true;
	return false;
}

static bool own_close(struct life *l)
{
	return monitor_close(l->m);
}

const struct life_ops own_view = {
	.begin = own_begin,
	.exec = own_exec,
	.servants = own_servants,
	.has_mounts = own_has_mounts,
	.close = own_close,
};

/* ---- counting ------------------------------------------------------------------------------------- */

#define MAX_SERVANTS	2048

int life_guests(struct life *l, pid_t *pids, int max, bool servants_too)
{
	static pid_t servants[MAX_SERVANTS];
	struct procs ps;
	int n = 0, nservants = l->ops->servants(l, servants, MAX_SERVANTS);
	int r = procs_read(&ps);

	if (r < 0)
		return r;
	for (int i = 0; i < nservants && !servants_too; i++)
		if (servants[i] != getpid())
			procs_mark_below(&ps, servants[i], 's');
	procs_mark_below(&ps, getpid(), 'g');
	for (size_t i = 0; i < ps.n && n < max; i++) {
		const struct proc *p = &ps.tab[i];
		if (p->mark != 'g' || p->pid == getpid())
			continue;
		if (p->state == 'Z' && proc_is_over(p->pid))
			continue;
		pids[n++] = p->pid;
	}
	procs_free(&ps);
	return n;
}
