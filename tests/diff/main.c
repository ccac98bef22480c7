/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The differential fuzzer's frame: options, draws, the steps one after the other, their lines.
 *
 *	difftest ROOT --seed S --steps N [--record FILE]	steps drawn from a seed
 *	difftest ROOT --replay FILE				recorded ones: OPERATION DRAW...
 *	... [--without FEATURE,...] [--program FILE] [--out FILE] [--other-root DIR] [--tree make|there]
 *
 * ROOT is made by us and must not exist; with `--tree make` that is all, with `--tree there` it has been done.  FILE of --program is copied into the tree, to be executed there.
 * Every step's draws come from (seed, number of the step) alone.  The process has no state of its own that
 * decides anything; only a child of a fork and its parent agree on who takes how many steps.
 */
#include "diff.h"
#include <stdarg.h>

#define MAX_LINE	65536

unsigned features = ~0u;
char root[PATH_MAX];
size_t root_len;
const char *other_root = "";

static const struct op *const tables[] = {
	ops_open, ops_rw, ops_name, ops_attr, ops_fd, ops_map, ops_life, ops_signal, ops_ipc, ops_wait, ops_place, ops_proc,
	ops_odd, ops_sock, ops_intr,
};
static const char *const feature_names[] = {
	"lock", "xattr", "shared", "map", "special", "rename", "tmpfile", "hole", "perm", "time", "dirsize", "owner",
	"direct", "statfs", "hardlink", "dino", "same", "unlinked", "environ", "longname", "resolve", "noappend", "ready", "apart", "atime", "order",
	"user", "fewfds", "watch", "aio", "hint", "root",
};

static uint64_t seed;
static unsigned step, steps;		/* the next step's number, how many there are */
static char **script;			/* recorded steps, or NULL */
static int depth;			/* of children and threads */

/* ---- draws ---------------------------------------------------------------------------------------------- */

static uint64_t state;
static const struct op *current;	/* the step's operation until it has been recorded */
static bool recording;
static char *draws;			/* what is left of a recorded step */
static char recorded[MAX_LINE];
static size_t recorded_len;

static uint64_t next_random(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

unsigned pick(unsigned n)
{
	unsigned v;

	if (script)
		v = (unsigned)strtoul(draws, &draws, 10) % n;
	else
		v = (unsigned)(next_random() >> 16) % n;
	if (recorded_len < sizeof recorded - 16)
		recorded_len += (size_t)sprintf(recorded + recorded_len, " %u", v);
	return v;
}

bool chance(unsigned one_in)
{
	return pick(one_in) == one_in - 1;
}

/* ---- the line ------------------------------------------------------------------------------------------- */

static char line[MAX_LINE];
static size_t line_len;

static void record(void);

void say(const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line + line_len, sizeof line - line_len - 1, fmt, args);
	va_end(args);
	line_len += (size_t)n;
	if (line_len > sizeof line - 2)
		line_len = sizeof line - 2;
}

void flush_line(void)
{
	record();
	line[line_len++] = '\n';
	if (write(FD_OUT, line, line_len) != (ssize_t)line_len)
		_exit(125);
	line_len = 0;
}

long result(long r)
{
	if (r >= 0)
		say(" = %ld", r);
	else
		say(" = %s", strerrorname_np(errno));
	return r;
}

long result_of_two(long r)
{
	if (r >= 0 || features & FEAT_ORDER)
		return result(r);
	say(" fails");
	return r;
}

/* ---- steps ---------------------------------------------------------------------------------------------- */

unsigned step_number(void)
{
	return step;
}

void depth_add(int by)
{
	depth += by;
}

int depth_now(void)
{
	return depth;
}

static const struct op *op_named(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct op *op = tables[i]; op->name; op++)
			if (strlen(op->name) == len && !memcmp(op->name, name, len))
				return op;
	fprintf(stderr, "difftest: no operation '%.*s'\n", (int)len, name);
	exit(2);
}

static const struct op *op_drawn(void)
{
	unsigned total = 0, at;

	if (step % 64 == 63 || step == steps - 1)
		return op_named("walk", 4);
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct op *op = tables[i]; op->name; op++)
			total += op->weight;
	at = (unsigned)(next_random() >> 16) % total;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct op *op = tables[i]; op->name; op++) {
			if (at < op->weight)
				return op;
			at -= op->weight;
		}
	abort();
}

/* Once a step, as soon as all is drawn: the steps of a child come after the one that starts it. */
static void record(void)
{
	char text[MAX_LINE + 64];
	int n;

	if (!current)
		return;
	n = snprintf(text, sizeof text, "%s%.*s\n", current->name, (int)recorded_len, recorded);
	current = NULL;
	if (recording && write(FD_RECORD, text, (size_t)n) != n)
		_exit(125);
}

static void one_step(void)
{
	state = (seed + 1) * 0xd1342543de82ef95u ^ (step + 1) * 0xaf251af3b0f025b5u;
	next_random();
	if (script) {
		draws = script[step] + strcspn(script[step], " ");
		current = op_named(script[step], (size_t)(draws - script[step]));
	} else {
		current = op_drawn();
	}
	step++;
	recorded_len = 0;
	say("%u%.*s %s ", step, depth < 8 ? depth : 8, "''''''''", current->name);
	if (current->needs & ~features)
		say("left out");
	else
		current->run();
	if (line_len)
		flush_line();
}

/* A child's child has no more steps than the child: its parent knows where to go on. */
static unsigned limit = UINT_MAX;

void run_steps(unsigned count)
{
	unsigned outer = limit;

	if (count < limit - step)
		limit = step + count;
	while (step < limit && step < steps)
		one_step();
	limit = outer;
}

void skip_steps(unsigned count)
{
	step = count < limit - step ? step + count : limit;
}

/* ---- options -------------------------------------------------------------------------------------------- */

static void fail(const char *what)
{
	fprintf(stderr, "difftest: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void leave_out(char *list)
{
	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		unsigned i = 0, n = sizeof feature_names / sizeof *feature_names;

		while (i < n && strcmp(feature_names[i], name))
			i++;
		if (i == n) {
			fprintf(stderr, "difftest: no feature '%s'\n", name);
			exit(2);
		}
		features &= ~(1u << i);
	}
}

static void read_script(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t size = 0, room = 0;

	if (!f)
		fail(path);
	while (getline(&text, &size, f) > 0) {
		text[strcspn(text, "\n")] = 0;
		if (!*text || *text == '#')
			continue;
		if (steps == room) {
			room = room ? 2 * room : 256;
			script = realloc(script, room * sizeof *script);
		}
		script[steps++] = strdup(text);
	}
	free(text);
	fclose(f);
}

static void open_at(int fd, const char *path, int flags)
{
	int r = open(path, flags, 0600);

	if (r < 0 || dup3(r, fd, O_CLOEXEC) < 0)
		fail(path);
	close(r);
}

static const char *program, *out = "/dev/stdout", *tree = "";

static bool option(const char *name, char *value)
{
	if (!strcmp(name, "--seed"))
		seed = strtoull(value, NULL, 10);
	else if (!strcmp(name, "--steps"))
		steps = (unsigned)strtoul(value, NULL, 10);
	else if (!strcmp(name, "--replay"))
		read_script(value);
	else if (!strcmp(name, "--without"))
		leave_out(value);
	else if (!strcmp(name, "--other-root"))
		other_root = value;
	else if (!strcmp(name, "--program"))
		program = value;
	else if (!strcmp(name, "--out"))
		out = value;
	else if (!strcmp(name, "--tree"))
		tree = value;
	else if (!strcmp(name, "--record"))
		open_at(FD_RECORD, value, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND), recording = true;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	bool good = argc > 3 && argc % 2 == 0 && *argv[1] == '/';

	for (int i = 2; good && i < argc; i += 2)
		good = option(argv[i], argv[i + 1]);
	if (!good || !program) {
		fprintf(stderr, "usage: difftest ROOT --program FILE (--seed S --steps N | --replay FILE) [OPTION...]\n");
		return 2;
	}
	root_len = strlen(strcpy(root, argv[1]));
	syscall(SYS_close_range, 3, FD_OUT - 1, 0);	/* what was inherited is nothing for random steps */
	open_at(FD_OUT, out, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND);
	fcntl(FD_OUT, F_SETFD, 0);
	umask(022);
	fifo_made = mmap(NULL, sizeof *fifo_made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signals_start();
	if (strcmp(tree, "there"))
		tree_make(program);
	if (!strcmp(tree, "make"))
		return 0;
	open_at(FD_ROOT, root, O_RDONLY | O_DIRECTORY);
	if (chdir(root))
		fail(root);
	run_steps(steps);
	return 0;
}
