/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names that are to become whiteouts (wire/cow.h: SESSION/gone), as a table in memory that all processes of a session share: gone.c.
 *
 * Who has the session's lock changes it; who looks takes none.  Nothing that the file says is believed: it never leads out of it.
 */
#ifndef UM_KERNEL_GONE_H
#define UM_KERNEL_GONE_H

#include <stdbool.h>
#include "../wire/cow.h"

/* Is there any?  Then a look is worth while. */
static inline bool gone_any(const struct um_cow_gone *g)
{
	return __atomic_load_n(&g->live, __ATOMIC_ACQUIRE) != 0;
}

/* Is this path (in tree/, without a slash in front) one of them?  -1: it is just being changed, or who did that was killed. */
int gone_has(const struct um_cow_gone *g, const char *path);

/* Its number, for who has the lock: -1: it is none. */
long gone_find(const struct um_cow_gone *g, const char *path);

/* How many entries there are, of account or not; none of more. */
uint32_t gone_count(const struct um_cow_gone *g);

/* The names that are noted in this directory, until take() says false: then, or if the list is just being changed, so does this. */
bool gone_each(const struct um_cow_gone *g, const char *dir, bool (*take)(void *to, const char *name), void *to);

/* One more, which is not among them; false: there is no room. */
bool gone_add(struct um_cow_gone *g, const char *path);

/* Those that lie in this directory (not deeper) are no more. */
void gone_drop(struct um_cow_gone *g, const char *dir);

/* Entry number i: its path in buf (UM_PATH_MAX of them), and how long that of its directory is in *dir; false: it is of no account. */
bool gone_get(const struct um_cow_gone *g, uint32_t i, char *buf, uint32_t *dir);
void gone_forget(struct um_cow_gone *g, uint32_t i);

/* Whoever gets the lock: has to be mended what somebody who was killed has left?  (Or a machine that was switched off.) */
static inline bool gone_is_torn(const struct um_cow_gone *g)
{
	return g->seq & 1;
}
void gone_mend(struct um_cow_gone *g);

#endif
