/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of names that are to become whiteouts (kernel/gone.c): what is in it is found, whoever is killed when, and what a damaged file
 * says leads nowhere.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tap.h"
#include "../../src/kernel/gone.h"

static struct um_cow_gone *g;

static void begin(void)
{
	free(g);
	g = calloc(1, sizeof *g);
}

static const char *path(const char *dir, unsigned i)
{
	static char buf[64];

	snprintf(buf, sizeof buf, "%s/name%u", dir, i);
	return buf;
}

/* How many of the first n names in dir are there. */
static unsigned there(const char *dir, unsigned n)
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		found += gone_has(g, path(dir, i)) == 1;
	return found;
}

static void test_names(void)
{
	char buf[UM_COW_GONE_PATH], longest[UM_COW_GONE_PATH + 1];
	uint32_t dir;

	begin();
	ok(!gone_any(g), "a new one is empty");
	is_int(gone_has(g, "a/b"), 0, "nothing is in it");
	ok(gone_add(g, "a/b"), "one more");
	ok(gone_any(g), "so there is one");
	is_int(gone_has(g, "a/b"), 1, "it is found");
	is_int(gone_has(g, "a/c") | gone_has(g, "a") | gone_has(g, "a/b/c") | gone_has(g, ""), 0, "no other is");
	ok(gone_get(g, 0, buf, &dir), "the first");
	is_str(buf, "a/b", "its path");
	is_int(dir, 1, "and how much of that is its directory's");
	ok(gone_add(g, "top"), "one in the root");
	ok(gone_get(g, 1, buf, &dir) && !dir, "whose directory's path is empty");
	ok(!gone_get(g, 2, buf, &dir), "there is no third one");
	gone_forget(g, 0);
	is_int(gone_has(g, "a/b"), 0, "one is forgotten");
	is_int(gone_has(g, "top"), 1, "the other stays");
	gone_drop(g, "");
	ok(!gone_any(g) && !g->n && !g->used, "with the last one all is as it was");
	is_int(gone_has(g, "top"), 0, "nothing is found");
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = 0;
	ok(!gone_add(g, longest), "a path that is too long");
	is_int(gone_has(g, longest), 0, "is not there");
}

static void test_directories(void)
{
	begin();
	for (unsigned i = 0; i < 1000; i++)
		if (!gone_add(g, path("d", i)) || !gone_add(g, path("d/e", i)) || !gone_add(g, path("dd", i)))
			abort();
	is_int(there("d", 1000) + there("d/e", 1000) + there("dd", 1000), 3000, "three directories");
	gone_drop(g, "d");
	is_int(there("d", 1000), 0, "one goes");
	is_int(there("d/e", 1000) + there("dd", 1000), 2000, "the others do not, not even those in it");
	ok(gone_add(g, "d/name5"), "one comes again");
	is_int(there("d", 1000), 1, "and is found");
	gone_drop(g, "d/e");
	gone_drop(g, "d");
	gone_drop(g, "dd");
	ok(!gone_any(g) && !g->n, "all go");
}

static void test_full(void)
{
	unsigned n = 0;

	begin();
	while (gone_add(g, path("d", n)))
		n++;
	is_int(n, UM_COW_GONE_NAMES, "as many as there is room for");
	is_int(there("d", n), n, "all are found");
	for (unsigned i = 0; i < n / 2 + 1; i++)
		gone_forget(g, i);
	is_int(there("d", n), n - n / 2 - 1, "the first half is forgotten");
	ok(gone_add(g, "one/more"), "then there is room again");
	is_int(gone_has(g, "one/more"), 1, "for that");
	is_int(there("d", n), n - n / 2 - 1, "and the rest is where it was");
	is_int(g->n, n - n / 2, "without those of no account");
}

static unsigned taken;

static bool take(void *to, const char *name)
{
	taken += !strncmp(name, to, strlen(to));
	return true;
}

static void test_listing(void)
{
	begin();
	gone_add(g, "top");
	gone_add(g, "d/one");
	gone_add(g, "d/other");
	gone_add(g, "d/e/deep");
	is_int(gone_count(g), 4, "four");
	is_int((int)gone_find(g, "d/other"), 2, "the third");
	is_int((int)gone_find(g, "d/o"), -1, "no other");
	ok(gone_each(g, "d", take, "o"), "those of a directory");
	is_int(taken, 2, "are two");
	taken = 0;
	ok(gone_each(g, "", take, "top") && taken == 1, "those of the root: one");
	g->seq |= 1;
	ok(gone_is_torn(g), "somebody has been killed");
	ok(!gone_each(g, "d", take, "o"), "then nobody knows");
	gone_mend(g);
	ok(!gone_is_torn(g), "mended");
	g->n = UINT32_MAX;
	is_int(gone_count(g), UM_COW_GONE_NAMES, "there are never more than there can be");
}

/* Killed: in the list, but not found; half forgotten; seq odd. */
static void test_killed(void)
{
	begin();
	for (unsigned i = 0; i < 10; i++)
		gone_add(g, path("d", i));
	memset(g->slot, 0, sizeof g->slot);
	g->live = 3;
	g->name[4].len = 0;
	g->seq |= 1;
	is_int(gone_has(g, path("d", 1)), -1, "while it is being changed nobody knows");
	gone_mend(g);
	is_int(there("d", 10), 9, "the list says what there is");
	is_int(g->live, 9, "and how many");
	is_int(g->seq & 1, 0, "it is whole");
}

/* What is in the file may be anything. */
static void test_damaged(void)
{
	char buf[UM_COW_GONE_PATH];
	unsigned state = 1, found = 0;
	uint32_t dir;

	begin();
	for (unsigned round = 0; round < 30; round++) {
		for (size_t i = 0; i < sizeof *g; i++) {
			state = state * 1103515245 + 12345;
			((unsigned char *)g)[i] = (unsigned char)(state >> 16);
		}
		g->seq = round & 1;
		if (round % 3 == 0)
			memset(g->slot, 0xff, sizeof g->slot);
		gone_has(g, "d/name1");
		for (unsigned i = 0; i < UM_COW_GONE_NAMES; i += 97)
			found += gone_get(g, i, buf, &dir) && dir >= strlen(buf);
		gone_drop(g, "d");
		gone_forget(g, UM_COW_GONE_NAMES + 5);
		gone_add(g, "d/name1");
		gone_mend(g);
		gone_has(g, "d/name1");
	}
	is_int(found, 0, "nothing leads out of it");
}

int main(void)
{
	test_names();
	test_directories();
	test_full();
	test_listing();
	test_killed();
	test_damaged();
	free(g);
	return done();
}
