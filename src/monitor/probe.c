/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview --probe [--json]`: what this machine offers (machine.c), what follows from what it lacks, and
 * which programs are there to serve images.  Status 0 if umview can run here, in whichever tier, else 125.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "commands.h"
#include "config.h"
#include "detect.h"
#include "machine.h"

static const char *const types[] = { "ext4", "squashfs", "iso9660", "vfat", "ntfs", "zip" };
#define NTYPES (sizeof(types) / sizeof(types[0]))

/* ---- for people ----------------------------------------------------------------------------------- */

static void show_check(const struct machine_check *c, bool ok)
{
	if (ok)
		printf("%-36s ok\n", c->what);
	else if (c->need == NEED_ALWAYS)
		printf("%-36s MISSING: nothing works; %s\n", c->what, c->without);
	else
		printf("%-36s missing: %s\n", c->what, c->without);
}

static void show_program(const struct fs_program *p, const char *path)
{
	if (path)
		printf("%-36s ok: %s\n", p->program, path);
	else
		printf("%-36s missing: %s cannot be mounted; Debian package %s\n", p->program, p->type, p->package);
}

static void show_tier(enum tier tier)
{
	static const char *const means[] = {
		[TIER_NONE] = "umview cannot run here",
		[TIER_TRAP] = "trap: every intercepted call costs a signal",
		[TIER_PATCH] = "patch: places that call often jump to the agent",
	};

	if (tier != TIER_NONE)
		printf("%-36s %s\n", "tier", means[tier]);
	printf("%s\n", tier == TIER_NONE ? means[tier] : "umview can run here");
}

/* ---- for programs --------------------------------------------------------------------------------- */

static json_t *json_check(const struct machine_check *c, bool ok)
{
	static const char *const needs[] = { "always", "patch", "sometimes" };

	return json_pack("{s:s, s:s, s:b, s:s, s:s}", "name", c->name, "what", c->what, "ok", ok,
			 "need", needs[c->need], "without", c->without);
}

static json_t *json_program(const struct fs_program *p, const char *path)
{
	return json_pack("{s:s, s:s, s:s?, s:s}", "type", p->type, "program", p->program, "path", path,
			 "package", p->package);
}

static void print_json(json_t *checks, json_t *programs, enum tier tier, bool inside)
{
	json_t *o = json_pack("{s:s, s:b, s:b, s:s, s:o, s:o}", "version", UMVIEW_VERSION, "usable",
			      inside || tier != TIER_NONE, "inside", inside, "tier",
			      inside ? "inherited" : tier_name(tier), "checks", checks, "programs", programs);

	json_dumpf(o, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(o);
}

/* ---- both ----------------------------------------------------------------------------------------- */

static enum tier probe_machine(json_t *list)
{
	enum tier tier = TIER_PATCH;

	for (size_t i = 0; i < machine_nchecks; i++) {
		const struct machine_check *c = &machine_checks[i];
		fflush(stdout);		/* a check may fork */
		bool ok = c->works(&host_real);
		if (list)
			json_array_append_new(list, json_check(c, ok));
		else
			show_check(c, ok);
		if (!ok && c->need == NEED_ALWAYS)
			tier = TIER_NONE;
		if (!ok && c->need == NEED_PATCH && tier == TIER_PATCH)
			tier = TIER_TRAP;
	}
	return tier;
}

static void probe_programs(json_t *list)
{
	for (size_t i = 0; i < NTYPES; i++) {
		const struct fs_program *p = program_for_type(types[i]);
		char *path = find_program(p->program);
		if (list)
			json_array_append_new(list, json_program(p, path));
		else
			show_program(p, path);
		free(path);
	}
}

/* In a view there is nothing to ask the machine: umview makes a branch there, with the view's tier. */
int probe(bool json)
{
	json_t *checks = json ? json_array() : NULL, *programs = json ? json_array() : NULL;
	bool inside = client_inside();
	enum tier tier = inside ? TIER_TRAP : probe_machine(checks);

	probe_programs(programs);
	if (json)
		print_json(checks, programs, tier, inside);
	else if (inside)
		printf("this is a view: umview can run here, in the tier of the view\n");
	else
		show_tier(tier);
	return inside || tier != TIER_NONE ? 0 : 125;
}
