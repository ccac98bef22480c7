/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text of common libraries with its system call sites patched: prepare.c. */
#ifndef UM_MONITOR_PREPARE_H
#define UM_MONITOR_PREPARE_H

#include "world.h"

/* Where in the world what is prepared of which file lies. */
enum { PREPARED_LINKER, PREPARED_LIBC };

/*
 * Prepares the dynamic linker or the C library that this very program uses, once each: fills w->head->prepared[which], and the
 * text in the world file.  What cannot be prepared is left to trap: there are no errors.
 */
void prepare_text(struct world *w, int which);

#endif
