/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * File systems that are shared objects.
 */
#ifndef UM_MONITOR_MODULE_H
#define UM_MONITOR_MODULE_H

/* The path of NAME.so, allocated, or NULL; *where: the directories that were looked through, allocated. */
char *module_find(const char *name, char **where);

#endif
