/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names that are to become whiteouts: gone.h.
 *
 * A list, in the order in which they went, and a table by the hash of the path that leads to its entries.  An entry counts as soon as
 * it is in the list; one that is added can be found at once, with nothing else changed.  When entries go, `seq` is odd meanwhile.
 * Whoever is killed on the way leaves a list that is right, from which the table is made again.
 */
#include "../agent/agent.h"
#include "gone.h"

#define EMPTY	0u

uint32_t gone_count(const struct um_cow_gone *g)
{
	uint32_t n = __atomic_load_n(&g->n, __ATOMIC_ACQUIRE);

	return n < UM_COW_GONE_NAMES ? n : UM_COW_GONE_NAMES;
}

/* Does it lie within the text? */
static bool is_sound(const struct um_cow_gone_name *e)
{
	return e->len && e->len < UM_COW_GONE_PATH && e->dir < e->len && e->at < UM_COW_GONE_TEXT && UM_COW_GONE_TEXT - e->at >= e->len;
}

/* ---- looking --------------------------------------------------------------------------------------------- */

static bool is_this(const struct um_cow_gone *g, uint32_t i, uint64_t place, const char *path, size_t len)
{
	struct um_cow_gone_name e;

	if (i >= UM_COW_GONE_NAMES)
		return false;
	e = g->name[i];
	return e.place == place && e.len == len && is_sound(&e) && !memcmp(g->text + e.at, path, len);
}

long gone_find(const struct um_cow_gone *g, const char *path)
{
	uint64_t place = um_cow_place(path);
	size_t len = strlen(path);
	uint32_t slot = (uint32_t)place;

	for (uint32_t tries = 0; tries < UM_COW_GONE_SLOTS; tries++, slot++) {
		uint16_t i = __atomic_load_n(&g->slot[slot % UM_COW_GONE_SLOTS], __ATOMIC_ACQUIRE);

		if (i == EMPTY)
			return -1;
		if (is_this(g, i - 1u, place, path, len))
			return i - 1;
	}
	return -1;
}

int gone_has(const struct um_cow_gone *g, const char *path)
{
	uint32_t seq = __atomic_load_n(&g->seq, __ATOMIC_ACQUIRE);
	bool has;

	if (seq & 1)
		return -1;
	has = gone_find(g, path) >= 0;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&g->seq, __ATOMIC_RELAXED) == seq ? has : -1;
}

bool gone_get(const struct um_cow_gone *g, uint32_t i, char *buf, uint32_t *dir)
{
	const struct um_cow_gone_name e = i < gone_count(g) ? g->name[i] : (struct um_cow_gone_name){ .len = 0 };

	if (!is_sound(&e))
		return false;
	memcpy(buf, g->text + e.at, e.len);
	buf[e.len] = 0;
	*dir = e.dir;
	return strlen(buf) == e.len;
}

bool gone_each(const struct um_cow_gone *g, const char *dir, bool (*take)(void *to, const char *name), void *to)
{
	uint32_t seq = __atomic_load_n(&g->seq, __ATOMIC_ACQUIRE), n = gone_count(g), len = (uint32_t)strlen(dir), skip = len ? len + 1 : 0;
	char name[256];

	for (uint32_t i = 0; i < n && !(seq & 1); i++) {
		struct um_cow_gone_name e = g->name[i];

		if (!is_sound(&e) || e.dir != len || memcmp(g->text + e.at, dir, len) || e.len - skip >= sizeof name || e.len <= skip)
			continue;
		memcpy(name, g->text + e.at + skip, e.len - skip);
		name[e.len - skip] = 0;
		if (!take(to, name))
			return false;
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(seq & 1) && __atomic_load_n(&g->seq, __ATOMIC_RELAXED) == seq;
}

/* ---- changing -------------------------------------------------------------------------------------------- */

static void enter(struct um_cow_gone *g, uint32_t i)
{
	uint32_t slot = (uint32_t)g->name[i].place, tries = UM_COW_GONE_SLOTS;

	while (g->slot[slot % UM_COW_GONE_SLOTS] != EMPTY && --tries)
		slot++;
	__atomic_store_n(&g->slot[slot % UM_COW_GONE_SLOTS], (uint16_t)(i + 1), __ATOMIC_RELEASE);
}

static void begin(struct um_cow_gone *g)
{
	__atomic_store_n(&g->seq, g->seq | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void end(struct um_cow_gone *g)
{
	__atomic_store_n(&g->seq, (g->seq | 1) + 1, __ATOMIC_RELEASE);
}

/* The list again, without those of no account, and the table.  seq is odd. */
static void make_again(struct um_cow_gone *g)
{
	uint32_t n = gone_count(g), kept = 0, used = 0;

	memset(g->slot, 0, sizeof g->slot);
	for (uint32_t i = 0; i < n; i++) {
		struct um_cow_gone_name e = g->name[i];

		if (!is_sound(&e) || e.at < used)	/* they lie in the order of the list */
			continue;
		memmove(g->text + used, g->text + e.at, e.len);
		e.at = used;
		used += e.len;
		g->name[kept] = e;
		enter(g, kept++);
	}
	g->used = used;
	__atomic_store_n(&g->n, kept, __ATOMIC_RELEASE);
	__atomic_store_n(&g->live, kept, __ATOMIC_RELEASE);
}

/* Nothing is left: only what was used is to be cleared. */
static void clear(struct um_cow_gone *g)
{
	for (uint32_t i = gone_count(g); i-- > 0; ) {
		uint32_t slot = (uint32_t)g->name[i].place;

		while (g->slot[slot % UM_COW_GONE_SLOTS] != EMPTY)
			g->slot[slot++ % UM_COW_GONE_SLOTS] = EMPTY;
	}
	g->used = 0;
	__atomic_store_n(&g->n, 0, __ATOMIC_RELEASE);
}

static bool has_room(const struct um_cow_gone *g, size_t len)
{
	return g->n < UM_COW_GONE_NAMES && g->used <= UM_COW_GONE_TEXT && UM_COW_GONE_TEXT - g->used >= len;
}

bool gone_add(struct um_cow_gone *g, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = strlen(path);

	if (len >= UM_COW_GONE_PATH)
		return false;
	if (!has_room(g, len) && g->live < g->n / 2) {
		begin(g);
		make_again(g);
		end(g);
	}
	if (!has_room(g, len))
		return false;
	g->name[g->n] = (struct um_cow_gone_name) {
		.place = um_cow_place(path), .at = g->used, .len = (uint16_t)len, .dir = slash ? (uint16_t)(slash - path) : 0,
	};
	memcpy(g->text + g->used, path, len);
	g->used += (uint32_t)len;
	__atomic_store_n(&g->n, g->n + 1, __ATOMIC_RELEASE);
	enter(g, g->n - 1);
	__atomic_store_n(&g->live, g->live + 1, __ATOMIC_RELEASE);
	return true;
}

/* seq is odd. */
static void forget(struct um_cow_gone *g, uint32_t i)
{
	if (!g->name[i].len)
		return;
	g->name[i].len = 0;
	__atomic_store_n(&g->live, g->live ? g->live - 1 : 0, __ATOMIC_RELEASE);
}

void gone_forget(struct um_cow_gone *g, uint32_t i)
{
	begin(g);
	if (i < gone_count(g))
		forget(g, i);
	if (!g->live)
		clear(g);
	end(g);
}

void gone_drop(struct um_cow_gone *g, const char *dir)
{
	size_t len = strlen(dir);

	begin(g);
	for (uint32_t i = 0; i < gone_count(g); i++) {
		const struct um_cow_gone_name *e = &g->name[i];

		if (is_sound(e) && e->dir == len && !memcmp(g->text + e->at, dir, len))
			forget(g, i);
	}
	if (!g->live)
		clear(g);
	end(g);
}

void gone_mend(struct um_cow_gone *g)
{
	begin(g);
	make_again(g);
	end(g);
}
