/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The heap's lock, for fork (agent.h has the rest). */
#ifndef UM_AGENT_HEAP_H
#define UM_AGENT_HEAP_H
#include "agent.h"
extern struct lock heap_lock;
#endif
