/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text of common libraries with its system call sites patched: prepare.c. */
#ifndef UM_MONITOR_PREPARE_H
#define UM_MONITOR_PREPARE_H

#include "world.h"

/*
 * Prepares the dynamic linker and the C library that this very program uses: each takes the next place in w->head->prepared,
 * and its text is in the world file.  What cannot be prepared is left to trap: there are no errors.
 */
void prepare_text(struct world *w);

/* The same for another dynamic linker and the C library that belongs to it, unless they are known. */
void prepare_linker(struct world *w, const char *path);

#endif
