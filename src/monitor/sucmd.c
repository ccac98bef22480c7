/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview su` (viewsu) and `umview sudo` (viewsudo): a command as somebody else, as far as the view is concerned.  No
 * password is asked for, since nothing is gained by it that the user does not have.  Outside a view they are su and sudo.
 */
#include <errno.h>
#include <paths.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"
#include "identity.h"
#include "log.h"

#define USAGE_SU	"usage: umview su [-l] [-s SHELL] [-c COMMAND] [USER [ARG...]]"
#define USAGE_SUDO	"usage: umview sudo [-u USER] [-g GROUP] COMMAND [ARG...]"

static int run(const char *file, char **argv)
{
	execvp(file, argv);
	int error = errno;

	say("%s: %s", file, strerror(error));
	return error == ENOENT || error == ENOTDIR ? 127 : 126;
}

/* The real program of that name. */
static int outside(const char *name, char **argv)
{
	argv[0] = (char *)name;
	return run(name, argv);
}

/* From here on we are that user.  0, or -1 after having said why not. */
static int become(const struct identity *i)
{
	char *text = identity_with_groups(i);
	int r = text ? client_identity(text) : -ENOMEM;

	free(text);
	if (r < 0)
		say("cannot change the identity: %s", strerror(-r));
	return r < 0 ? -1 : 0;
}

static int find_user(const char *name, struct identity *i)
{
	memset(i, 0, sizeof(*i));
	if (!identity_user(name, i)) {
		say("%s: there is no such user", name);
		return -1;
	}
	return 0;
}

/* What su and sudo tell the command about who it is. */
static void set_environment(const struct identity *i, bool login)
{
	if (login) {
		char *term = getenv("TERM");

		if (term)
			term = strdup(term);
		clearenv();
		if (term)
			setenv("TERM", term, 1);
		free(term);
		setenv("PATH", i->uid ? "/usr/local/bin:/usr/bin:/bin" : _PATH_STDPATH, 1);
		if (i->home[0] && chdir(i->home) < 0)
			say("cannot change to %s: %s", i->home, strerror(errno));
	}
	if (i->home[0])
		setenv("HOME", i->home, 1);
	if (i->shell[0])
		setenv("SHELL", i->shell, 1);
	if (i->name[0] && (i->uid || login)) {
		setenv("USER", i->name, 1);
		setenv("LOGNAME", i->name, 1);
	}
}

struct su {
	const char *user, *shell, *command;
	bool login, keep;
};

/* The words used, or -1. */
static int su_options(struct su *s, int argc, char **argv)
{
	int c;

	*s = (struct su){ .user = "root" };
	while ((c = getopt(argc, argv, "lmpc:s:")) != -1) {
		switch (c) {
		case 'l': s->login = true; break;
		case 'm': case 'p': s->keep = true; break;
		case 'c': s->command = optarg; break;
		case 's': s->shell = optarg; break;
		default:
			say(USAGE_SU);
			return -1;
		}
	}
	if (optind < argc && !strcmp(argv[optind], "-")) {
		s->login = true;
		optind++;
	}
	if (optind < argc)
		s->user = argv[optind++];
	return optind;
}

int cmd_su(int argc, char **argv)
{
	struct identity i;
	struct su s;
	char name[1100];

	if (!client_inside())
		return outside("su", argv);
	int used = su_options(&s, argc, argv), n = 0;
	if (used < 0 || find_user(s.user, &i) < 0)
		return 125;
	const char *shell = s.shell ? s.shell : i.shell[0] ? i.shell : "/bin/sh", *slash = strrchr(shell, '/');
	char **args = calloc((size_t)(argc - used) + 4, sizeof(*args));

	if (!args || become(&i) < 0)
		return 125;
	snprintf(name, sizeof(name), "%s%s", s.login ? "-" : "", slash ? slash + 1 : shell);
	args[n++] = name;
	if (s.command) {
		args[n++] = (char *)"-c";
		args[n++] = (char *)s.command;
	}
	memcpy(args + n, argv + used, (size_t)(argc - used) * sizeof(*args));
	if (!s.keep)
		set_environment(&i, s.login);
	return run(shell, args);
}

int cmd_sudo(int argc, char **argv)
{
	const char *user = "root", *group = NULL;
	struct identity i;
	int c;

	if (!client_inside())
		return outside("sudo", argv);
	while ((c = getopt(argc, argv, "+u:g:")) != -1) {
		if (c != 'u' && c != 'g') {
			say(USAGE_SUDO);
			return 125;
		}
		*(c == 'u' ? &user : &group) = optarg;
	}
	if (optind == argc) {
		say(USAGE_SUDO);
		return 125;
	}
	if (find_user(user, &i) < 0)
		return 125;
	if (group ? !identity_group(group, &i.gid) : !i.has_group) {
		say("%s: there is no such group", group ? group : user);
		return 125;
	}
	if (become(&i) < 0)
		return 125;
	set_environment(&i, false);
	return run(argv[optind], argv + optind);
}
