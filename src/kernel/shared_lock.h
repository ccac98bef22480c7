/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Locks between processes: shared_lock.c.
 */
#ifndef UM_KERNEL_SHARED_LOCK_H
#define UM_KERNEL_SHARED_LOCK_H

#include "task.h"

/*
 * Takes the lock whose word this is, in memory that processes share; waits as long as it is held by a thread that
 * lives.  True: the one that held it was killed meanwhile, so what the lock protects has to be set right first.
 * t is NULL where there is no task (the monitor).  Does not nest.
 */
bool shared_lock(uint64_t *word, struct task *t);
void shared_unlock(uint64_t *word);

#endif
