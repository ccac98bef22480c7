/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prepared text (struct um_prepared, wire/world.h) in place of a file's own.  See prepared.c.
 */
#ifndef UM_AGENT_PREPARED_H
#define UM_AGENT_PREPARED_H

#include "../kernel/task.h"

/* What the monitor has prepared of the dynamic linker fd, or prepares now; or NULL. */
const struct um_prepared *prepared_linker(struct task *t, int fd);

/*
 * The stubs that lie behind a file which was mapped at bias, and whose pages behind it are ours: maps them (a file
 * whose stubs are part of its text has none) and makes all its stubs known.  false: the text must not be used.
 */
bool prepared_stubs(const struct um_prepared *p, uint64_t bias);

/* Maps the text of a file that lies at bias, over what is there.  false: the kernel does not want that. */
bool prepared_text(const struct um_prepared *p, uint64_t bias);

/*
 * Takes over an mmap(2) of a real file by the guest when it is one of the two that matter: that of a whole
 * prepared file, and that of its text.  *result: what mmap returns.  false: it is none of these.
 */
bool prepared_mmap(gaddr addr, size_t len, int prot, int flags, int fd, int64_t off, long *result);

/* The guest has unmapped [addr, addr + len): if that was a prepared file, its stubs go with it. */
void prepared_munmap(gaddr addr, size_t len);

#endif
