/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Command lines and what they are parsed into, as tables.
 */
#include <stdlib.h>

#include "tap.h"
#include "../../src/monitor/options.c"

#define MAX_WORDS	12

struct line { const char *words[MAX_WORDS]; };

static int count(const char *const *words)
{
	int n = 0;

	while (n < MAX_WORDS && words[n])
		n++;
	return n;
}

static int parse(struct options *o, const char *const *words)
{
	return options_parse(o, count(words), (char **)words);
}

/* ---- what is accepted ----------------------------------------------------------------------------- */

static const struct {
	const char *words[MAX_WORDS];
	enum action action;
	int steps, argc;
	const char *argv0;
} good[] = {
	{ { "umview" }, ACT_RUN, 0, 0, NULL },
	{ { "umview", "ls" }, ACT_SUBCOMMAND, 0, 1, "ls" },
	{ { "umview", "--", "ls" }, ACT_RUN, 0, 1, "ls" },
	{ { "umview", "mount", "-t", "bind", "a", "b" }, ACT_SUBCOMMAND, 0, 5, "mount" },
	{ { "umview", "/bin/mount" }, ACT_RUN, 0, 1, "/bin/mount" },
	{ { "umview", "sh", "-c", "--mount" }, ACT_RUN, 0, 3, "sh" },
	{ { "umview", "--mount", "a", "b", "sh" }, ACT_RUN, 1, 1, "sh" },
	{ { "umview", "--mount", "a", "b", "--bind", "c", "d" }, ACT_RUN, 2, 0, NULL },
	{ { "umview", "--mount", "a", "b", "--", "ls", "-l" }, ACT_RUN, 1, 2, "ls" },
	{ { "umview", "--mount-opts", "ro", "--mount-type", "ext4", "a", "b" }, ACT_RUN, 1, 0, NULL },
	{ { "umview", "--mount-opts=ro", "--mount", "a", "b" }, ACT_RUN, 1, 0, NULL },
	{ { "umview", "--help" }, ACT_HELP, 0, 0, NULL },
	{ { "umview", "-h" }, ACT_HELP, 0, 0, NULL },
	{ { "umview", "help" }, ACT_HELP, 0, 1, "help" },
	{ { "umview", "--version" }, ACT_VERSION, 0, 0, NULL },
	{ { "umview", "--probe" }, ACT_PROBE, 0, 0, NULL },
	{ { "umview", "--probe", "--json" }, ACT_PROBE, 0, 0, NULL },
	{ { "umview", "--tier", "trap", "--", "ls" }, ACT_RUN, 0, 1, "ls" },
	{ { "umview", "--chdir", "/x", "pwd" }, ACT_RUN, 0, 1, "pwd" },
	{ { "umview", "--chdir", "/x", "--inside-exec", "--", "ls" }, ACT_INSIDE_EXEC, 0, 1, "ls" },
	{ { "umview", "--inside-binds", "--bind", "a", "b", "--bind", "c", "d" }, ACT_INSIDE_BINDS, 2, 0, NULL },
	{ { "umview", "-" }, ACT_RUN, 0, 1, "-" },
	{ { "umview", "--fakeroot", "id" }, ACT_RUN, 0, 1, "id" },
	{ { "umview", "--user", "1:2:3,4", "--fakeroot-save=f", "id" }, ACT_RUN, 0, 1, "id" },
	{ { "umview", "su", "-c", "id" }, ACT_SUBCOMMAND, 0, 3, "su" },
	{ { "umview", "--fakeroot", "--", "su" }, ACT_RUN, 0, 1, "su" },
};

static void test_good(void)
{
	struct options o;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		is_int(parse(&o, good[i].words), 0, "line %zu is accepted", i);
		is_int(o.action, good[i].action, "... its action");
		is_int(o.nsteps, good[i].steps, "... its steps");
		is_int(o.argc, good[i].argc, "... its command's words");
		if (good[i].argv0)
			is_str(o.argv[0], good[i].argv0, "... its command");
		options_free(&o);
	}
}

/* ---- what is not ---------------------------------------------------------------------------------- */

static const struct {
	const char *words[MAX_WORDS];
	const char *says;
} bad[] = {
	{ { "umview", "--nonsense" }, "unknown option --nonsense; try umview --help" },
	{ { "umview", "-x", "sh" }, "unknown option -x; try umview --help" },
	{ { "umview", "--mount", "a" }, "--mount needs SRC DST; try umview --help" },
	{ { "umview", "--mount" }, "--mount needs SRC DST; try umview --help" },
	{ { "umview", "--mount", "", "b" }, "an empty path; give SRC and DST" },
	{ { "umview", "--mount=a", "b" }, "--mount takes no value with =; try umview --help" },
	{ { "umview", "--kill-on-exit=yes" }, "--kill-on-exit takes no value with =; try umview --help" },
	{ { "umview", "--mount-opts", "ro" }, "--mount-opts comes before --mount or --mount-type; none follows" },
	{ { "umview", "--tier", "fast" }, "--tier: fast: there are patch and trap" },
	{ { "umview", "--tier" }, "--tier needs patch or trap; try umview --help" },
	{ { "umview", "--patch-after", "many" }, "--patch-after: many: a number from 0 (never) to 1000000" },
	{ { "umview", "--trace", "ls" }, "ls is a command of umview and takes no start options; to run a program "
					 "of that name: umview OPTION... -- ls" },
	{ { "umview", "--fakeroot", "--user", "1:1" }, "--fakeroot and --user: give one of them, once" },
	{ { "umview", "--fakeroot-save", "f" }, "--fakeroot-load and --fakeroot-save go with --fakeroot, --user or --secure" },
	{ { "umview", "--json", "sh" }, "--json belongs to umview ls and to --probe; try umview ls --json" },
};

static void test_bad(void)
{
	struct options o;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		is_int(parse(&o, bad[i].words), -1, "bad line %zu is refused", i);
		is_str(o.error, bad[i].says, "... and why");
		options_free(&o);
	}
}

/* ---- values --------------------------------------------------------------------------------------- */

static void test_values(void)
{
	struct options o;
	const char *line[] = { "umview", "--mount-opts", "ro", "--mount-type", "fuse.x", "s", "d", "--mount", "e",
			       "f", "sh", NULL };
	const char *trace[] = { "umview", "--trace=/tmp/t", "--log", "--kill-on-exit", "--patch-after=0", "--tier=trap",
				"sh", NULL };

	parse(&o, line);
	is_int(o.tier, TIER_NONE, "no tier is asked for");
	is_str(o.steps[0].type, "fuse.x", "the type");
	is_str(o.steps[0].opts, "ro", "options go to the next mount");
	ok(!o.steps[1].opts && !o.steps[1].type, "... and only to that");
	is_str(o.steps[1].dst, "f", "the second mount's DST");
	options_free(&o);
	parse(&o, trace);
	ok(o.trace && o.log && o.kill_on_exit, "flags");
	is_str(o.trace_file, "/tmp/t", "--trace=FILE");
	ok(!o.log_file, "--log without a file");
	is_int(o.patch_after, 0, "--patch-after=0");
	is_int(o.tier, TIER_TRAP, "--tier=trap");
	is_str(o.argv[0], "sh", "--log takes no word");
	options_free(&o);
}

/* There is no limit but the command line's own. */
static void test_many(void)
{
	const char *words[3 * 1000 + 2] = { "umview" };
	struct options o;

	for (int i = 0; i < 1000; i++) {
		words[1 + 3 * i] = "--bind";
		words[2 + 3 * i] = "/src";
		words[3 + 3 * i] = "/dst";
	}
	is_int(options_parse(&o, 3001, (char **)words), 0, "a thousand mounts");
	is_int(o.nsteps, 1000, "all of them");
	options_free(&o);
}

static void test_mount(void)
{
	struct mount_options o;
	const char *a[] = { "mount", "-text4", "-o", "ro", "-o", "x=1", "src", "dst" };
	const char *b[] = { "mount", "--", "-s", "-d" };
	const char *c[] = { "mount", "src" };
	const char *d[] = { "umount", "-l", "dst" };
	const char *e[] = { "umount" };
	const char *f[] = { "mount", "-t" };

	is_int(mount_options_parse(&o, 8, (char **)a), 0, "mount -text4 -o ro -o x=1 src dst");
	is_str(o.type, "ext4", "type");
	is_str(o.opts, "ro,x=1", "options are joined");
	ok(o.read_only, "ro is seen");
	free((char *)o.opts);
	is_int(mount_options_parse(&o, 4, (char **)b), 0, "names that begin with a dash");
	is_str(o.dst, "-d", "DST");
	is_int(mount_options_parse(&o, 2, (char **)c), -1, "one path is too few");
	is_int(mount_options_parse(&o, 2, (char **)f), -1, "-t needs a value");
	is_str(o.error, "-t needs a value", "... and says so");
	is_int(umount_options_parse(&o, 3, (char **)d), 0, "umount -l dst");
	ok(o.lazy && !o.force, "lazy");
	is_int(umount_options_parse(&o, 1, (char **)e), -1, "umount needs a path");
}

static void test_opts(void)
{
	static const struct { const char *list, *word, *rest; bool there; } cases[] = {
		{ "a,b,c", "b", "a,c", true }, { "a", "a", "", true }, { "ab,c", "a", "ab,c", false },
		{ "", "a", "", false }, { NULL, "a", "", false }, { "a,,a", "a", "", true }, { "x,a", "a", "x", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *rest = opts_without(cases[i].list, cases[i].word);
		is_int(opts_have(cases[i].list, cases[i].word), cases[i].there, "list %zu has it", i);
		is_str(rest, cases[i].rest, "... without it");
		free(rest);
	}
}

int main(void)
{
	plan(0);
	test_good();
	test_bad();
	test_values();
	test_many();
	test_mount();
	test_opts();
	return done();
}
