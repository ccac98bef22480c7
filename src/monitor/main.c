/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * umview: where it starts.  Depending on its name and its first words it is the launcher of a view, one of
 * the commands inside a view, or fusermount.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"
#include "config.h"
#include "log.h"
#include "monitor.h"
#include "options.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "mount", cmd_mount },
	{ "umount", cmd_umount },
	{ "ls", cmd_ls },
	{ "diff", cmd_diff },
	{ "commit", cmd_commit },
	{ "discard", cmd_discard },
	{ "try", cmd_try },
	{ "su", cmd_su },
	{ "sudo", cmd_sudo },
};

static int run_command(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, argv[0]))
			return commands[i].run(argc, argv);
	say("%s: this command is not in this version; to run a program of that name: umview -- %s", argv[0], argv[0]);
	return 125;
}

/* What every program expects below its root, from outside, unless something is mounted there already. */
static void show_in_root(const char *root, const char *name)
{
	struct client_mount *list;
	char path[PATH_MAX];
	int n = client_mounts(&list);
	bool there = false;

	snprintf(path, sizeof(path), "%s%s", root, name);
	for (int i = 0; i < n; i++)
		there |= !strcmp(list[i].path, path);
	if (!there && mount(name, path, "none", MS_BIND, NULL) < 0)
		say("--chroot: %s: %s", path, strerror(errno));
	free(list);
}

static int enter_root(const char *dir)
{
	char *root = realpath(dir, NULL);

	if (root && strcmp(root, "/")) {
		show_in_root(root, "/proc");
		show_in_root(root, "/sys");
		show_in_root(root, "/dev");
	}
	if (root && chroot(root) == 0 && chdir("/") == 0) {
		free(root);
		return 0;
	}
	say("--chroot: %s: %s", dir, strerror(errno));
	free(root);
	return -1;
}

/* The last step before COMMAND, already in the view: its directory may be in a mount. */
static int inside_exec(const struct options *o)
{
	if (!o->argc) {
		say("--inside-exec needs a command");
		return 125;
	}
	if (o->chroot && enter_root(o->chroot) < 0)
		return 125;
	if (o->chdir && chdir(o->chdir) < 0) {
		say("--chdir: %s: %s", o->chdir, strerror(errno));
		return 125;
	}
	execvp(o->argv[0], o->argv);
	int error = errno;
	say("%s: %s", o->argv[0], strerror(error));
	return error == ENOENT || error == ENOTDIR ? 127 : 126;
}

/* Programs that we are under another name. */
static const struct command links[] = {
	{ "fusermount", cmd_fusermount },
	{ "fusermount3", cmd_fusermount },
	{ "viewsu", cmd_su },
	{ "viewsudo", cmd_sudo },
	{ "umview-reviewer", cmd_reviewer },
	{ "umview-module", cmd_module },
};

static const struct command *find_link(const char *name)
{
	const char *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (!strcmp(links[i].name, name))
			return &links[i];
	return NULL;
}

int main(int argc, char **argv)
{
	static struct options o;	/* never freed: it lives as long as we do */
	const struct command *link = argc > 0 ? find_link(argv[0]) : NULL;

	if (link)
		return link->run(argc, argv);
	if (options_parse(&o, argc, argv) < 0) {
		say("%s", o.error);
		return 125;
	}
	switch (o.action) {
	case ACT_HELP:
		return fputs(options_help, stdout) < 0 || fflush(stdout) ? 1 : 0;
	case ACT_VERSION:
		return printf("umview %s\n", UMVIEW_VERSION) < 0 || fflush(stdout) ? 1 : 0;
	case ACT_PROBE:
		return probe(o.json);
	case ACT_SUBCOMMAND:
		return run_command(o.argc, o.argv);
	case ACT_INSIDE_EXEC:
		return inside_exec(&o);
	case ACT_INSIDE_BINDS:
		return make_binds(o.steps, o.nsteps);
	case ACT_RUN:
		break;
	}
	return launch(&o, client_inside());
}
