/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of UNIX sockets that lie in mounted file systems: sys/unixname.c resolves them for sys/net.c.
 */
#ifndef UM_KERNEL_SYS_UNIXNAME_H
#define UM_KERNEL_SYS_UNIXNAME_H

#include "../path.h"

/* Binds fd to the place w, which the guest calls name: bind(2)'s result, or -UM_EAGAIN. */
long unixname_bind(struct where *w, int fd, const char *name);

/* A path by which the kernel finds the socket at the place w: 0, -errno, or -UM_EAGAIN. */
long unixname_find(struct where *w, char *path, size_t size);

/* The same for an address that a socket bound in a mount is known by.  -ENOENT: it is none. */
long unixname_translate(struct task *t, const char *address, char *path, size_t size);

#endif
