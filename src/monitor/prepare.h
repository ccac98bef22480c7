/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The dynamic linker's system call sites, for the loader: prepare.c. */
#ifndef UM_MONITOR_PREPARE_H
#define UM_MONITOR_PREPARE_H

#include "wire/world.h"

/* Fills *p; count 0 and size 0 if there is nothing to prepare. */
void prepare_linker(struct um_prepared *p);

#endif
