/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * umview-module: a FUSE file system that was built as a shared object (`umview mount -t umfuseNAME`).
 *
 * Its own main() is called, as if it were a program, in a process of its own; it brings the libfuse that it was built against.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "log.h"
#include "module.h"

/* Where modules are looked for: a list like PATH. */
static char *places(void)
{
	const char *user = getenv("UMVIEW_MODULES");
	char exe[PATH_MAX], *slash, *list;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = 0;
	slash = strrchr(exe, '/');
	if (slash)
		*slash = 0;
	if (asprintf(&list, "%s%s%s/modules:/usr/local/lib/umview:/usr/lib/umview", user ? user : "", user ? ":" : "", exe) < 0)
		return NULL;
	return list;
}

char *module_find(const char *name, char **where)
{
	char *list = places(), *save, *path = NULL;

	*where = list ? strdup(list) : NULL;
	for (char *dir = list ? strtok_r(list, ":", &save) : NULL; dir && !path; dir = strtok_r(NULL, ":", &save)) {
		if (asprintf(&path, "%s/%s.so", dir, name) < 0)
			path = NULL;
		if (path && access(path, R_OK) < 0) {
			free(path);
			path = NULL;
		}
	}
	free(list);
	return path;
}

int cmd_module(int argc, char **argv)
{
	int (*run)(int argc, char **argv);
	char *name = argc > 1 ? strdup(argv[1]) : NULL, *slash;
	void *module;

	if (!name) {
		say("umview-module: which one?");
		return 125;
	}
	module = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
	if (!module) {
		say("%s", dlerror());
		return 126;
	}
	*(void **)&run = dlsym(module, "main");
	if (!run) {
		say("%s: has no main(); build it with -fPIC -shared from the file system's own sources", argv[1]);
		return 126;
	}
	slash = strrchr(name, '/');
	argv[1] = slash ? slash + 1 : name;
	if (strlen(argv[1]) > 3)
		argv[1][strlen(argv[1]) - 3] = 0;	/* .so */
	return run(argc - 1, argv + 1);
}
