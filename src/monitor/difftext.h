/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text differences: difftext.c.
 */
#ifndef UM_MONITOR_DIFFTEXT_H
#define UM_MONITOR_DIFFTEXT_H

#include "review.h"

/* Prints the difference of contents, if there is one, as a unified difference. */
void difftext(const char *lower, const struct change *c);

/* The text of a link.  0, or -1. */
int link_text(int dir, const char *name, char *buf, size_t size);

#endif
