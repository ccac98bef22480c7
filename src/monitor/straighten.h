/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System call numbers that are loaded some instructions before the call: straighten.c. */
#ifndef UM_MONITOR_STRAIGHTEN_H
#define UM_MONITOR_STRAIGHTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * If the syscall instruction code[at] (of n bytes) gets its number from `mov $nr,%eax` a few instructions before it,
 * moves that mov down to right before the syscall, where a jump can take its place, and returns true.  Only where the
 * instructions between touch neither eax nor memory, and no jump nearby leads among them.
 */
bool straighten(uint8_t *code, size_t n, size_t at);

#endif
