/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * umview: where it starts.  Depending on its name and its first words it is the launcher of a view, one of
 * the commands inside a view, or fusermount.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
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
};

static int run_command(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, argv[0]))
			return commands[i].run(argc, argv);
	say("%s: this command is not in this version; to run a program of that name: umview -- %s", argv[0], argv[0]);
	return 125;
}

/* The last step before COMMAND, already in the view: its directory may be in a mount. */
static int inside_exec(const struct options *o)
{
	if (!o->argc) {
		say("--inside-exec needs a command");
		return 125;
	}
	if (o->chdir && chdir(o->chdir) < 0) {
		say("--chdir: %s: %s", o->chdir, strerror(errno));
		return 125;
	}
	execvp(o->argv[0], o->argv);
	int error = errno;
	say("%s: %s", o->argv[0], strerror(error));
	return error == ENOENT || error == ENOTDIR ? 127 : 126;
}

static bool is_fusermount(const char *name)
{
	const char *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	return !strcmp(name, "fusermount") || !strcmp(name, "fusermount3");
}

int main(int argc, char **argv)
{
	static struct options o;	/* never freed: it lives as long as we do */

	if (argc > 0 && is_fusermount(argv[0]))
		return cmd_fusermount(argc, argv);
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
