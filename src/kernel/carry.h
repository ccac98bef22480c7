/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What crosses exec, but is too large for the boot text: in a file in memory, by its descriptor.
 */
#ifndef UM_KERNEL_CARRY_H
#define UM_KERNEL_CARRY_H

#include "../agent/agent.h"

/* The descriptor, close-on-exec, from which exactly this can be read, or -errno. */
int carry_out(const char *data, size_t size);

/* All of it, to be freed; NULL if there is no memory.  fd is closed. */
char *carry_in(int fd, size_t *size);

#endif
