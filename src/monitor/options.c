/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsing the command line.
 *
 * Start options come from one table; an option takes up to two words.  `--name=value` is accepted
 * wherever an option takes one word.  Parsing stops at `--` or at the first word that is no option: if that
 * is the name of a subcommand it is that subcommand, else it is COMMAND.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

const char options_help[] =
"usage: umview [OPTION...] [--] [COMMAND [ARG...]]	run COMMAND (your shell) in a new view\n"
"       umview mount [-t TYPE] [-o OPTS] SRC DST	inside a view: mount a file system for it alone\n"
"       umview mount -t hide|tmpfs [-o OPTS] DST\n"
"       umview mount --move OLD NEW		inside a view: what is mounted at OLD goes to NEW\n"
"       umview umount [-l] DST			inside a view: unmount it\n"
"       umview ls [--json]			inside a view: list what is mounted\n"
"       umview ls --sessions [--json]		list what --cow has kept aside\n"
"       umview diff|commit|discard [--session ID] [PATH...]	show, make real, or drop what it holds\n"
"       umview try [OPTION...] COMMAND		run COMMAND with --cow /, then ask what to keep\n"
"\n"
"Mounted before COMMAND starts, in this order:\n"
"  --mount SRC DST             an image (ext2/3/4, squashfs, iso9660, vfat, ntfs, zip, tar)\n"
"  --mount-type TYPE SRC DST   the same; TYPE as in `umview mount -t`, e.g. fuse.sshfs\n"
"  --mount-opts OPTS           options of the next --mount or --mount-type\n"
"  --bind SRC DST              show SRC at DST\n"
"  --ro-bind SRC DST           the same, and nothing can be changed there\n"
"  --merge LOWER DST           at DST the names in LOWER, read-only, and those that are there\n"
"  --hide PATH                 PATH, and all that is below it, is not there\n"
"  --tmpfs DST                 an empty directory in memory at DST\n"
"  --cow DIR                   changes of DIR are kept aside: DIR itself stays as it is\n"
"  --mincow DIR                the same of those only that you may not make yourself\n"
"  --upper DIR                 ... in DIR, made when missing; else in a session of its own\n"
"\n"
"Who COMMAND believes to be (to everybody else it is you):\n"
"  --fakeroot                  root; owners, modes and devices that it makes are remembered\n"
"  --user UID:GID[:GROUPS]     this user, likewise; names or numbers\n"
"  -s, --secure                who is not root there is kept from what is not his\n"
"  --fakeroot-load FILE        remember what another view, or fakeroot -s, has saved\n"
"  --fakeroot-save FILE        save it when the view ends\n"
"  umview su [USER], umview sudo COMMAND   inside a view: as somebody else\n"
"\n"
"COMMAND:\n"
"  --chroot DIR                start it with DIR as its root directory\n"
"  --chdir DIR                 start it in DIR (in the view)\n"
"  --kill-on-exit              when it ends, end what it left running\n"
"\n"
"Looking inside:\n"
"  --trace[=FILE]              write every intercepted system call to FILE (stderr)\n"
"  --log[=FILE]                write the log of the view to FILE (stderr)\n"
"  --tier patch|trap           how system calls are intercepted (the best that this machine allows)\n"
"  --probe [--json]            tell what this machine offers to umview\n"
"  --version, --help\n"
"\n"
"The exit status is COMMAND's, 128+N if signal N ended it; 125: umview itself failed,\n"
"126: COMMAND cannot be executed, 127: COMMAND was not found.\n";

/* ---- small helpers -------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3)))
static int fail(char error[256], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, 256, fmt, ap);
	va_end(ap);
	return -1;
}

bool opts_have(const char *list, const char *word)
{
	size_t n = strlen(word);

	while (list && *list) {
		size_t len = strcspn(list, ",");
		if (len == n && !memcmp(list, word, n))
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

char *opts_without(const char *list, const char *word)
{
	char *out = calloc(1, (list ? strlen(list) : 0) + 1);
	size_t n = strlen(word), at = 0;

	while (out && list && *list) {
		size_t len = strcspn(list, ",");
		if (len && !(len == n && !memcmp(list, word, n))) {
			if (at)
				out[at++] = ',';
			memcpy(out + at, list, len);
			at += len;
		}
		list += len + (list[len] == ',');
	}
	return out;
}

/* ---- start options -------------------------------------------------------------------------------- */

#define STEP_WORDS	1	/* of the command line, at least, make a step */

struct parser {
	struct options *o;
	const char *opts;	/* of --mount-opts, until a mount takes it */
	const char *type;
};

static int add_step(struct parser *p, enum step_kind kind, const char *type, const char *src, const char *dst)
{
	struct options *o = p->o;

	if ((src && !*src) || !*dst)
		return fail(o->error, "an empty path; give SRC and DST");
	o->steps[o->nsteps++] = (struct step) { kind, type, kind == STEP_MOUNT ? p->opts : NULL, src, dst };
	if (kind == STEP_MOUNT)
		p->opts = NULL;
	return 0;
}

static int opt_mount(struct parser *p, char **v)
{
	return add_step(p, STEP_MOUNT, NULL, v[0], v[1]);
}

static int opt_mount_type(struct parser *p, char **v)
{
	return add_step(p, STEP_MOUNT, v[0], v[1], v[2]);
}

static int opt_mount_opts(struct parser *p, char **v)
{
	p->opts = v[0];
	return 0;
}

static int opt_bind(struct parser *p, char **v)
{
	return add_step(p, STEP_BIND, NULL, v[0], v[1]);
}

static int opt_merge(struct parser *p, char **v)
{
	return add_step(p, STEP_MERGE, NULL, v[0], v[1]);
}

static int opt_ro_bind(struct parser *p, char **v)
{
	int r = add_step(p, STEP_BIND, NULL, v[0], v[1]);

	if (r == 0)
		p->o->steps[p->o->nsteps - 1].opts = "ro";
	return r;
}

static int opt_hide(struct parser *p, char **v)
{
	return add_step(p, STEP_HIDE, NULL, NULL, v[0]);
}

static int opt_tmpfs(struct parser *p, char **v)
{
	return add_step(p, STEP_TMPFS, NULL, NULL, v[0]);
}

static int opt_cow(struct parser *p, char **v)
{
	return add_step(p, STEP_COW, NULL, NULL, v[0]);
}

static int opt_mincow(struct parser *p, char **v)
{
	return add_step(p, STEP_MINCOW, NULL, NULL, v[0]);
}

static int opt_upper(struct parser *p, char **v)
{
	struct step *s = p->o->nsteps ? &p->o->steps[p->o->nsteps - 1] : NULL;

	if (!s || (s->kind != STEP_COW && s->kind != STEP_MINCOW) || s->src)
		return fail(p->o->error, "--upper comes right after --cow or --mincow; try umview --help");
	if (!*v[0])
		return fail(p->o->error, "--upper: an empty path; give a directory");
	s->src = v[0];
	return 0;
}

static int opt_chroot(struct parser *p, char **v)
{
	if (!*v[0])
		return fail(p->o->error, "--chroot: an empty path; give a directory");
	p->o->chroot = v[0];
	return 0;
}

static int opt_chdir(struct parser *p, char **v)
{
	p->o->chdir = v[0];
	return 0;
}

static int set_user(struct parser *p, const char *user)
{
	if (p->o->user)
		return fail(p->o->error, "--fakeroot and --user: give one of them, once");
	p->o->user = user;
	return 0;
}

static int opt_fakeroot(struct parser *p, char **v)
{
	(void)v;
	return set_user(p, "0:0:0");
}

static int opt_user(struct parser *p, char **v)
{
	return set_user(p, v[0]);
}

static int opt_secure(struct parser *p, char **v)
{
	(void)v;
	p->o->secure = true;
	return 0;
}

static int opt_load(struct parser *p, char **v)
{
	p->o->table_load = v[0];
	return 0;
}

static int opt_save(struct parser *p, char **v)
{
	p->o->table_save = v[0];
	return 0;
}

static int opt_trace(struct parser *p, char **v)
{
	p->o->trace = true;
	p->o->trace_file = v[0];
	return 0;
}

static int opt_log(struct parser *p, char **v)
{
	p->o->log = true;
	p->o->log_file = v[0];
	return 0;
}

static int opt_kill(struct parser *p, char **v)
{
	(void)v;
	p->o->kill_on_exit = true;
	return 0;
}

static int opt_patch_after(struct parser *p, char **v)
{
	char *end;
	unsigned long n = strtoul(v[0], &end, 10);

	if (!*v[0] || *end || n > 1000000)
		return fail(p->o->error, "--patch-after: %s: a number from 0 (never) to 1000000", v[0]);
	p->o->patch_after = (unsigned)n;
	return 0;
}

static int opt_plain_ptrace(struct parser *p, char **v)
{
	(void)v;
	p->o->plain_ptrace = true;
	return 0;
}

static int opt_tier(struct parser *p, char **v)
{
	int tier = tier_by_name(v[0]);

	if (tier < 0)
		return fail(p->o->error, "--tier: %s: there are patch and trap", v[0]);
	p->o->tier = (enum tier)tier;
	return 0;
}

static int opt_probe(struct parser *p, char **v)
{
	(void)v;
	p->o->action = ACT_PROBE;
	return 0;
}

static int opt_version(struct parser *p, char **v)
{
	(void)v;
	p->o->action = ACT_VERSION;
	return 0;
}

static int opt_help(struct parser *p, char **v)
{
	(void)v;
	p->o->action = ACT_HELP;
	return 0;
}

static int opt_json(struct parser *p, char **v)
{
	(void)v;
	p->o->json = true;
	return 0;
}

static int opt_inside_exec(struct parser *p, char **v)
{
	(void)v;
	p->o->action = ACT_INSIDE_EXEC;
	return 0;
}

static int opt_inside_binds(struct parser *p, char **v)
{
	(void)v;
	p->o->action = ACT_INSIDE_BINDS;
	return 0;
}

#define WORD_OPTIONAL	-1	/* --name or --name=VALUE */

static const struct option_rule {
	const char *name;
	int words;
	const char *usage;
	int (*set)(struct parser *p, char **words);
} rules[] = {
	{ "--mount", 2, "SRC DST", opt_mount },
	{ "--mount-type", 3, "TYPE SRC DST", opt_mount_type },
	{ "--mount-opts", 1, "OPTS", opt_mount_opts },
	{ "--bind", 2, "SRC DST", opt_bind },
	{ "--ro-bind", 2, "SRC DST", opt_ro_bind },
	{ "--merge", 2, "LOWER DST", opt_merge },
	{ "--hide", 1, "PATH", opt_hide },
	{ "--tmpfs", 1, "DST", opt_tmpfs },
	{ "--cow", 1, "DIR", opt_cow },
	{ "--mincow", 1, "DIR", opt_mincow },
	{ "--upper", 1, "DIR", opt_upper },
	{ "--chroot", 1, "DIR", opt_chroot },
	{ "--chdir", 1, "DIR", opt_chdir },
	{ "--fakeroot", 0, "", opt_fakeroot },
	{ "--user", 1, "UID:GID[:GROUP,GROUP...]", opt_user },
	{ "--secure", 0, "", opt_secure },
	{ "-s", 0, "", opt_secure },
	{ "--fakeroot-load", 1, "FILE", opt_load },
	{ "--fakeroot-save", 1, "FILE", opt_save },
	{ "--trace", WORD_OPTIONAL, "", opt_trace },
	{ "--log", WORD_OPTIONAL, "", opt_log },
	{ "--kill-on-exit", 0, "", opt_kill },
	{ "--patch-after", 1, "N", opt_patch_after },
	{ "--plain-ptrace", 0, "", opt_plain_ptrace },
	{ "--tier", 1, "patch or trap", opt_tier },
	{ "--json", 0, "", opt_json },
	{ "--probe", 0, "", opt_probe },
	{ "--version", 0, "", opt_version },
	{ "-V", 0, "", opt_version },
	{ "--help", 0, "", opt_help },
	{ "-h", 0, "", opt_help },
	{ "--inside-exec", 0, "", opt_inside_exec },
	{ "--inside-binds", 0, "", opt_inside_binds },
};

static const struct option_rule *rule_find(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strlen(rules[i].name) == len && !memcmp(rules[i].name, word, len))
			return &rules[i];
	return NULL;
}

/* Takes one option.  Returns the words used, or -1. */
static int take_option(struct parser *p, int left, char **words)
{
	size_t len = strcspn(words[0], "=");
	char *value = words[0][len] ? words[0] + len + 1 : NULL;
	const struct option_rule *r = rule_find(words[0], len);
	int r_words;

	if (!r)
		return fail(p->o->error, "unknown option %.*s; try umview --help", (int)len, words[0]);
	if (r->words == WORD_OPTIONAL)
		return r->set(p, &value) < 0 ? -1 : 1;
	if (value) {
		if (r->words != 1)
			return fail(p->o->error, "%s takes no value with =; try umview --help", r->name);
		return r->set(p, &value) < 0 ? -1 : 1;
	}
	r_words = r->words;
	if (left - 1 < r_words)
		return fail(p->o->error, "%s needs %s; try umview --help", r->name, r->usage);
	return r->set(p, words + 1) < 0 ? -1 : 1 + r_words;
}

/* ---- subcommands ---------------------------------------------------------------------------------- */

static const char *const subcommands[] = {
	"mount", "umount", "ls", "ps", "set", "net", "module", "attach", "diff", "commit", "discard",
	"try", "trace", "name", "show", "learn", "help", "su", "sudo",
};

static bool is_subcommand(const char *word)
{
	for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
		if (!strcmp(subcommands[i], word))
			return true;
	return false;
}

static int take_command(struct parser *p, int argc, char **argv, bool dashes)
{
	struct options *o = p->o;

	o->argc = argc;
	o->argv = argv;
	if (p->opts)
		return fail(o->error, "--mount-opts comes before --mount or --mount-type; none follows");
	if (o->action != ACT_RUN)
		return 0;
	if (o->secure && !o->user)
		o->user = "0:0:0";
	if ((o->table_load || o->table_save) && !o->user)
		return fail(o->error, "--fakeroot-load and --fakeroot-save go with --fakeroot, --user or --secure");
	if (o->json)
		return fail(o->error, "--json belongs to umview ls and to --probe; try umview ls --json");
	if (dashes || !argc || !is_subcommand(argv[0]))
		return 0;
	if (!strcmp(argv[0], "help")) {
		o->action = ACT_HELP;
		return 0;
	}
	if (o->nsteps || o->chdir || o->chroot || o->user || o->trace || o->log || o->kill_on_exit || o->tier)
		return fail(o->error, "%s is a command of umview and takes no start options; "
			    "to run a program of that name: umview OPTION... -- %s", argv[0], argv[0]);
	o->action = ACT_SUBCOMMAND;
	return 0;
}

void options_free(struct options *o)
{
	free(o->steps);
	o->steps = NULL;
}

int options_parse(struct options *o, int argc, char **argv)
{
	struct parser p = { .o = o };
	int i = 1;

	memset(o, 0, sizeof(*o));
	o->patch_after = 30;
	o->steps = calloc((size_t)argc / STEP_WORDS + 1, sizeof(*o->steps));
	if (!o->steps)
		return fail(o->error, "out of memory");
	while (i < argc && argv[i][0] == '-' && argv[i][1] && strcmp(argv[i], "--")) {
		int n = take_option(&p, argc - i, argv + i);
		if (n < 0)
			return -1;
		i += n;
	}
	bool dashes = i < argc && !strcmp(argv[i], "--");
	return take_command(&p, argc - i - dashes, argv + i + dashes, dashes);
}

/* ---- umview mount, umview umount ------------------------------------------------------------------ */

/* Joins `-o a -o b` as mount(8) does. */
static int join_opts(struct mount_options *o, const char *more)
{
	char *joined;

	if (!o->opts) {
		o->opts = more;
		return 0;
	}
	if (asprintf(&joined, "%s,%s", o->opts, more) < 0)
		return fail(o->error, "out of memory");
	free(o->joined);
	o->opts = o->joined = joined;
	return 0;
}

/* An option with a value, `-o X` or `-oX`.  Returns the value and moves *i, or NULL. */
static const char *option_value(int argc, char **argv, int *i)
{
	if (argv[*i][2])
		return argv[*i] + 2;
	return *i + 1 < argc ? argv[++*i] : NULL;
}

/* Types, and options, that show nothing of another place. */
static bool needs_no_source(const struct mount_options *o)
{
	if (!o->type)
		return opts_have(o->opts, "renew");
	return !strcmp(o->type, "hide") || !strcmp(o->type, "cow") || !strcmp(o->type, "mincow") || !strcmp(o->type, "tmpfs") ||
	       opts_have(o->opts, "renew") || opts_have(o->opts, "hide");
}

static int two_paths(struct mount_options *o, int argc, char **argv, int i)
{
	if (argc - i == 1 && needs_no_source(o)) {
		o->dst = argv[i];
		return *o->dst ? 0 : fail(o->error, "an empty path; give DST");
	}
	if (argc - i != 2)
		return fail(o->error, "give SRC and DST; usage: umview mount [-t TYPE] [-o OPTS] SRC DST");
	o->src = argv[i];
	o->dst = argv[i + 1];
	if (!*o->src || !*o->dst)
		return fail(o->error, "an empty path; give SRC and DST");
	return 0;
}

int mount_options_parse(struct mount_options *o, int argc, char **argv)
{
	int i = 1;

	memset(o, 0, sizeof(*o));
	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *value;
		char c = argv[i][1];

		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (c == 'r' && !argv[i][2]) {
			o->read_only = true;
			continue;
		}
		if (!strcmp(argv[i], "--move") || !strcmp(argv[i], "-M")) {
			o->move = true;
			continue;
		}
		if (c != 't' && c != 'o' && c != 'c')
			return fail(o->error, "unknown option %s; try umview --help", argv[i]);
		value = option_value(argc, argv, &i);
		if (!value)
			return fail(o->error, "-%c needs a value", c);
		if (c == 't')
			o->type = value;
		else if (c == 'c')
			o->command = value;
		else if (join_opts(o, value) < 0)
			return -1;
	}
	if (opts_have(o->opts, "ro"))
		o->read_only = true;
	if (o->move && (o->type || o->opts || o->read_only))
		return fail(o->error, "--move takes no type and no options: a mount keeps those it has");
	if (o->move && argc - i != 2)
		return fail(o->error, "give OLD and NEW; usage: umview mount --move OLD NEW");
	return two_paths(o, argc, argv, i);
}

int umount_options_parse(struct mount_options *o, int argc, char **argv)
{
	int i = 1;

	memset(o, 0, sizeof(*o));
	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		if (!strcmp(argv[i], "-l") || !strcmp(argv[i], "--lazy"))
			o->lazy = true;
		else if (!strcmp(argv[i], "-f") || !strcmp(argv[i], "--force"))
			o->force = true;
		else
			return fail(o->error, "unknown option %s; try umview --help", argv[i]);
	}
	if (argc - i != 1 || !*argv[i])
		return fail(o->error, "give one mount point; usage: umview umount [-l] DST");
	o->dst = argv[i];
	return 0;
}
