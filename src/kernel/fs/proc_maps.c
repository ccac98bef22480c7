/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/maps, smaps, numa_maps.
 *
 * What is the agent's, pages of stubs too, is shown as memory that nobody can touch, named [umview], as few
 * entries as there are stretches of it.  Text is one mapping again although pages of it were made writable for a
 * moment when sites were patched.  A memory file that is a copy of a virtual file is shown as that file, and a
 * file that was found through a bind mount where it was found.
 *
 * An entry is a line of maps, in smaps followed by lines about it ("Rss:  4 kB"), which are added up when
 * entries become one.
 */
#include <linux/mman.h>
#include "proc.h"
#include "../cow.h"
#include "../path_walk.h"
#include "../../arch/x86_64/offsets.h"

struct mapping {
	uint64_t from, to, offset, ino;
	unsigned major, minor;
	char perms[5];
	const char *name;
	size_t name_len;
	bool agent;
};

#define ATTRIBUTES	48		/* lines of one entry that can be added up */

struct printer {
	struct made *m;
	struct proc_stubs stubs;
	bool pending;			/* `now` waits for what may belong to it */
	struct mapping now;
	uint64_t sum[ATTRIBUTES];	/* what merged entries add to the lines of the first */
	int line;			/* of the present entry */
	bool merged;
	size_t text_len;
	char text[4096];		/* those lines */
	char name[UM_PATH_MAX + 256];	/* now.name */
	long exe_len;			/* > 0: the kernel has the program as exe_there, the view as exe_here */
	char exe_there[UM_PATH_MAX], exe_here[UM_PATH_MAX];
	size_t root_len;		/* of the reader's own root, 0 = none */
	size_t nbound;
	char found[UM_PATH_MAX];	/* behind a bind mount */
	struct proc_bound bound[PROC_BOUND_MAX];
};

static bool is_agent(const struct printer *p, const struct mapping *e)
{
	if (e->from >= UM_AGENT_BASE && e->to <= UM_OWN_END)
		return true;
	if (!p->stubs.n || e->ino || strcmp(e->perms, "rwxp"))
		return false;
	for (uint64_t page = e->from; page < e->to; page += 4096)
		if (!proc_is_stub(&p->stubs, page))
			return false;
	return true;
}

/* ---- lines of maps ------------------------------------------------------------------------------------------ */

/* "FROM-TO PERMS OFFSET MAJOR:MINOR INODE   NAME" */
static bool parse(const char *s, struct mapping *e)
{
	*e = (struct mapping) { .from = proc_hex(&s) };
	if (*s++ != '-')
		return false;
	e->to = proc_hex(&s);
	if (*s++ != ' ' || strlen(s) < 5)
		return false;
	memcpy(e->perms, s, 4);
	s += 5;
	e->offset = proc_hex(&s);
	if (*s++ != ' ')
		return false;
	e->major = (unsigned)proc_hex(&s);
	if (*s++ != ':')
		return false;
	e->minor = (unsigned)proc_hex(&s);
	if (*s++ != ' ')
		return false;
	e->ino = (uint64_t)text_number(&s);
	while (*s == ' ')
		s++;
	e->name = s;
	e->name_len = strlen(s);
	return true;
}

/* ---- behind bind mounts ------------------------------------------------------------------------------------- */

static void find_bound(struct printer *p, int pid)
{
	p->nbound = proc_bound_list(pid, p->bound);
	p->exe_len = 0;
	p->root_len = p->m->t->fs->root ? strlen(p->m->t->fs->root) : 0;
	if (proc_remembered_exe(pid, p->exe_here, sizeof(p->exe_here)) > 0)
		p->exe_len = proc_mapped_exe(pid, p->exe_there, sizeof(p->exe_there));
}

/* Does the kernel's name lie behind this bind mount?  Then p->found is where the view has it. */
static bool through(struct printer *p, const struct proc_bound *b, const struct mapping *e)
{
	long n = view_bind_target(p->m->t, b->bind, p->found, sizeof(p->found));
	bool copied;

	if (n || e->name_len >= sizeof(p->found) || !path_within(e->name, e->name_len, p->found, b->bound))
		return false;
	memcpy(p->found, e->name, e->name_len + 1);
	return path_from_kernel(p->m->t, b->bind, b->bound, p->found, (long)e->name_len, sizeof(p->found), &copied) > 0;
}

static void translate_name(struct printer *p, struct mapping *e)
{
	const char *name = NULL;

	if (p->exe_len > 0 && e->name_len == (size_t)p->exe_len && !memcmp(e->name, p->exe_there, e->name_len))
		name = p->exe_here;
	for (size_t i = 0; i < p->nbound && !name; i++) {
		const struct proc_bound *b = &p->bound[i];

		if (e->from >= b->at && e->from < b->at + b->len && through(p, b, e))
			name = p->found;
	}
	if (!name && e->name[0] == '/' && e->name_len < sizeof(p->found)) {
		long n = (long)e->name_len;

		memcpy(p->found, e->name, e->name_len + 1);
		if (cow_to_view(p->found, &n, sizeof(p->found)) && n > 0)
			name = p->found;
	}
	if (name) {
		e->name = name;
		e->name_len = strlen(name);
	}
	if (p->root_len && path_within(e->name, e->name_len, p->m->t->fs->root, p->root_len)) {
		e->name += p->root_len;
		e->name_len -= p->root_len;
	}
}

static void show_agent(struct mapping *e)
{
	e->agent = true;
	e->offset = e->ino = e->major = e->minor = 0;
	memcpy(e->perms, "---p", 4);
	e->name = "[umview]";
	e->name_len = 8;
}

/* Prepared text and its stubs: p is what the world file holds at that offset. */
static void show_prepared(struct mapping *e, const struct um_prepared *p, bool stubs)
{
	if (stubs) {
		show_agent(e);
		return;
	}
	e->offset = e->offset - p->copy + p->text_offset;
	e->ino = p->ino;
	e->major = p->dev >> 8 & 0xfff;
	e->minor = (p->dev & 0xff) | (p->dev >> 12 & 0xfff00);
	e->name = p->path;
	e->name_len = strlen(p->path);
}

/* As the guest shall see it. */
static void translate(struct printer *p, struct mapping *e)
{
	const struct um_prepared *copy;
	const char *stands;
	bool stubs;

	if (is_agent(p, e)) {
		show_agent(e);
	} else if (e->name[0] == '/') {
		if (!strcmp(e->name, PROC_WORLD) && (copy = proc_prepared_copy(e->offset, &stubs))) {
			show_prepared(e, copy, stubs);
		} else if ((stands = proc_stands_for(e->name, &e->name_len, &e->minor, &e->ino))) {
			e->name = stands;
			e->major = 0;
		}
		translate_name(p, e);
	}
}

static bool belongs_to(const struct mapping *next, const struct mapping *e)
{
	if (next->from != e->to || next->agent != e->agent)
		return false;
	return e->agent || (!strcmp(e->perms, "r-xp") && !strcmp(next->perms, "r-xp") && e->ino && next->ino == e->ino &&
			    next->major == e->major && next->minor == e->minor &&
			    next->offset == e->offset + (e->to - e->from) && next->name_len == e->name_len &&
			    !memcmp(next->name, e->name, e->name_len));
}

#define NAME_COLUMN	73

static void print_entry(struct printer *p)
{
	const struct mapping *e = &p->now;
	char line[160];
	int n = text_format(line, sizeof(line), "%08lx-%08lx %s %08lx %02x:%02x %lu ", e->from, e->to, e->perms,
			    e->offset, e->major, e->minor, e->ino);

	if (e->name_len) {
		while (n < NAME_COLUMN - 1)
			line[n++] = ' ';
		line[n++] = ' ';
	}
	made_put(p->m, line, (size_t)n);
	made_put(p->m, e->name, e->name_len);
	made_put(p->m, "\n", 1);
}

/* ---- what smaps says about them ------------------------------------------------------------------------------ */

#define NUMBER_ENDS	24		/* the column behind a number */

/* "Label:    123 kB", a number that can be added to another; not so the sizes of pages. */
static bool parse_amount(const char *s, size_t n, size_t *label, uint64_t *kb)
{
	const char *colon = strchr(s, ':');
	long v;

	if (!colon || n < 4 || memcmp(s + n - 3, " kB", 3) || !strncmp(s, "KernelPageSize", 14) ||
	    !strncmp(s, "MMUPageSize", 11))
		return false;
	*label = (size_t)(colon + 1 - s);
	for (s = colon + 1; *s == ' '; s++)
		;
	v = text_number(&s);
	*kb = v < 0 ? 0 : (uint64_t)v;
	return v >= 0;
}

static void print_amount(struct made *m, const char *line, size_t label, uint64_t kb)
{
	char number[24];
	int n = text_format(number, sizeof(number), "%lu", kb);

	made_put(m, line, label);
	for (size_t column = label; column + (size_t)n < NUMBER_ENDS; column++)
		made_put(m, " ", 1);
	made_put(m, number, (size_t)n);
	made_put(m, " kB\n", 4);
}

static void print_attributes(struct printer *p)
{
	char *line = p->text, *end;
	size_t label;
	uint64_t kb;

	if (!p->merged) {
		made_put(p->m, p->text, p->text_len);
		return;
	}
	p->text[p->text_len] = 0;
	for (int i = 0; (end = strchr(line, '\n')); i++, line = end + 1) {
		if (i < ATTRIBUTES && parse_amount(line, (size_t)(end - line), &label, &kb))
			print_amount(p->m, line, label, kb + p->sum[i]);
		else
			made_put(p->m, line, (size_t)(end - line) + 1);
	}
}

static void attribute(struct printer *p, const char *line)
{
	static const char untouchable[] = "VmFlags: mr mw me ";
	size_t n = p->m->line_len, label;
	uint64_t kb;

	if (p->now.agent && !strncmp(line, untouchable, 8)) {
		line = untouchable;
		n = sizeof(untouchable) - 1;
	}
	if (!p->merged) {
		if (p->text_len + n + 2 > sizeof(p->text))
			return;
		memcpy(p->text + p->text_len, line, n);
		p->text_len += n;
		p->text[p->text_len++] = '\n';
	} else if (p->line < ATTRIBUTES && parse_amount(line, n, &label, &kb)) {
		p->sum[p->line] += kb;
	}
	p->line++;
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

static void finish_entry(struct printer *p)
{
	if (!p->pending)
		return;
	print_entry(p);
	print_attributes(p);
	p->pending = p->merged = false;
	p->text_len = 0;
	memset(p->sum, 0, sizeof(p->sum));
}

static void entry(struct printer *p, struct mapping *e)
{
	translate(p, e);
	p->line = 0;
	if (p->pending && belongs_to(e, &p->now)) {
		p->now.to = e->to;
		p->merged = true;
		return;
	}
	finish_entry(p);
	p->pending = true;
	p->now = *e;
	p->now.name = p->name;
	if (p->now.name_len > sizeof(p->name))
		p->now.name_len = sizeof(p->name);
	memcpy(p->name, e->name, p->now.name_len);
}

void made_maps(struct made *m)
{
	long at = own_map(sizeof(struct printer), PROT_READ | PROT_WRITE, 0, -1, 0);
	struct printer *p = (struct printer *)at;
	struct mapping e;

	if (at < 0) {
		m->error = at;
		return;
	}
	p->m = m;
	proc_stubs_find(&p->stubs, m->hit.pid);
	find_bound(p, m->hit.pid);
	for (char *line = made_line(m); line; line = made_line(m)) {
		if (parse(line, &e))
			entry(p, &e);
		else
			attribute(p, line);
	}
	finish_entry(p);
	own_unmap(p, sizeof(*p));
}

/* ---- numa_maps ------------------------------------------------------------------------------------------------ */

/* "FROM POLICY file=NAME ...", blanks in the name as \040; p: what is really mapped there, or NULL. */
static void numa_file(struct made *m, const char *line, const char *name, const struct um_prepared *p)
{
	const char *end = strchr(name, ' '), *stands;
	char text[UM_PATH_MAX];
	size_t n;

	if (!end)
		end = strchr(name, 0);
	text_format(text, sizeof(text), "%.*s", (int)(end - name), name);
	n = strlen(text);
	if (n > 13 && !strcmp(text + n - 13, "\\040(deleted)"))
		text[n - 13] = 0;
	stands = p ? p->path : proc_stands_for(text, &n, NULL, NULL);
	made_put(m, line, (size_t)(name - line));
	if (p)
		n = strlen(p->path);
	made_put(m, stands ? stands : text, stands ? n : strlen(text));
	made_put(m, end, strlen(end));
	made_put(m, "\n", 1);
}

void made_numa_maps(struct made *m)
{
	struct proc_stubs stubs;
	uint64_t last = 0;

	proc_stubs_find(&stubs, m->hit.pid);
	for (char *line = made_line(m); line; line = made_line(m)) {
		const char *s = line, *name = strchr(line, '=');
		uint64_t from = proc_hex(&s);

		if (proc_is_stub(&stubs, from) || (from >= UM_AGENT_BASE && from < UM_OWN_END)) {
			if (last >> 32 != from >> 32)
				made_format(m, "%lx default\n", from);
			last = from;
		} else if (name && !strncmp(name, "=/memfd:umview", 14)) {
			numa_file(m, line, name + 1, proc_prepared_at(&stubs, from));
		} else {
			made_copy(m, line);
		}
	}
}
