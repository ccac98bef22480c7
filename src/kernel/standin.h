/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names that stand-ins of FIFOs and sockets (fs/fuse_standin.c) have for a moment, and by which sockets know
 * the address they were bound to.
 */
#ifndef UM_KERNEL_STANDIN_H
#define UM_KERNEL_STANDIN_H

#include "task.h"

#define UM_STANDIN_ROOM	100u		/* fits into an address of AF_UNIX */

/* The name in the i'th directory where one may be made; false: there are no more. */
bool standin_path(char *path, unsigned i, uint32_t server, uint64_t node);

/* Is that such a name, of this world? */
bool standin_parse(const char *path, uint32_t *server, uint64_t *node);

#endif
