/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which interception tier a view gets: what --tier or $UMVIEW_TIER asks for, else the best that the machine
 * allows.  Guests learn it from the world (patch_after, 0 in the tier `trap`), so all of a view and of its
 * branches have the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "monitor.h"

/* What was asked for, TIER_NONE if nothing; -1 after having said what is wrong. */
static int tier_wanted(const struct options *o)
{
	const char *name = getenv("UMVIEW_TIER");

	if (o->tier != TIER_NONE || !name || !*name)
		return o->tier;
	int tier = tier_by_name(name);
	if (tier < 0)
		say("UMVIEW_TIER: %s: there are patch and trap", name);
	return tier;
}

/* Is a stub to find its task by rdgsbase?  UMVIEW_FSGSBASE=no: tests of what is done elsewhere. */
static bool fsgsbase_wanted(void)
{
	const char *wanted = getenv("UMVIEW_FSGSBASE");

	return machine_fsgsbase(&host_real) && (!wanted || strcmp(wanted, "no"));
}

/*
 * Some 400 pages of text mapped at once take 60 us, and spare a program ten faults.  UMVIEW_POPULATE=yes or no: tests of what is done
 * elsewhere.
 */
#define FAULT_DEAR	6000	/* ns */

static bool populate_wanted(void)
{
	const char *wanted = getenv("UMVIEW_POPULATE");

	return wanted && *wanted ? !strcmp(wanted, "yes") : machine_fault_ns() > FAULT_DEAR;
}

int tier_choose(struct life *l)
{
	const struct machine_check *lacks;
	int wanted = tier_wanted(l->o);

	if (wanted < 0)
		return -1;
	enum tier tier = wanted == TIER_TRAP ? TIER_TRAP : machine_tier(&host_real, &lacks);
	if (wanted == TIER_PATCH && tier != TIER_PATCH) {
		say("tier patch: this machine lacks %s; see umview --probe", lacks->what);
		return -1;
	}
	if (tier == TIER_TRAP && l->log_fd >= 0)
		dprintf(l->log_fd, "umview: tier trap: %s%s\n", wanted ? "as asked for" : "this machine lacks ",
			wanted ? "" : lacks->what);
	l->m->w.head->patch_after = tier == TIER_PATCH ? l->o->patch_after : 0;
	l->m->w.head->fsgsbase = fsgsbase_wanted();
	l->m->w.head->populate = populate_wanted();
	l->m->w.head->plain_ptrace = l->o->plain_ptrace;
	return 0;
}
