/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the machine offers, found out by trying, and what follows from it.
 *
 * Every look at the kernel goes through a struct host, so that the tests can play a machine that lacks
 * something (tests/unit/machine_test.c).
 */
#ifndef UM_MONITOR_MACHINE_H
#define UM_MONITOR_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <string.h>

/* How guests' calls come to the agent. */
enum tier {
	TIER_NONE,		/* not at all: umview cannot run here */
	TIER_TRAP,		/* each by a signal */
	TIER_PATCH,		/* those of hot sites by a jump, the others by a signal */
};

struct host {
	/* The system call: -errno on failure. */
	long (*call)(long nr, long a, long b, long c, long d, long e, long f);
	unsigned long (*auxval)(unsigned long type);
};
extern const struct host host_real;

enum need {
	NEED_ALWAYS,		/* without it nothing works */
	NEED_PATCH,		/* without it the tier is trap */
	NEED_SOMETIMES,		/* without it something is worse */
};

struct machine_check {
	const char *name;	/* one word, for programs */
	const char *what;	/* for people */
	enum need need;
	bool (*works)(const struct host *h);
	const char *without;	/* what is lost, and where it comes from */
};
extern const struct machine_check machine_checks[];
extern const size_t machine_nchecks;

/* The best tier that can be had, as far as a few cheap looks tell: not TIER_NONE.  *lacks is what the
 * next better one would need, or NULL. */
enum tier machine_tier(const struct host *h, const struct machine_check **lacks);

/* Does the kernel let a program read gs by an instruction (AT_HWCAP2)? */
bool machine_fsgsbase(const struct host *h);

/* What a page fault costs here, in nanoseconds: the least of a few.  0 if that cannot be found out. */
uint64_t machine_fault_ns(void);

static inline const char *tier_name(enum tier tier)
{
	return tier == TIER_PATCH ? "patch" : tier == TIER_TRAP ? "trap" : "none";
}

/* -1: no tier that could be asked for. */
static inline int tier_by_name(const char *name)
{
	for (int tier = TIER_TRAP; tier <= TIER_PATCH; tier++)
		if (!strcmp(tier_name((enum tier)tier), name))
			return tier;
	return -1;
}

#endif
