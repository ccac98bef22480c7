/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Looking at and changing the guest's code: patch_text.c. */
#ifndef UM_AGENT_PATCH_TEXT_H
#define UM_AGENT_PATCH_TEXT_H

#include "../kernel/task.h"

/* Copies n bytes of code.  0 or -EFAULT. */
int guest_code(uint64_t from, uint8_t *buf, size_t n);

/* May n bytes at `at` be replaced now: a private read-execute mapping, and one atomic store if there
 * are several threads? */
bool text_may_store(uint64_t at, size_t n);

/* Replaces n bytes: by one store if they lie in one aligned block of 16.  Whether it worked or not nothing
 * is broken. */
void text_store(uint64_t at, const uint8_t *bytes, size_t n);

/* gs is ours to use, and nothing has refused writable code. */
bool text_patching_possible(void);
void text_set_patching(bool possible);

/* Passes on the result of a call that asked for writable code.  A refusal by policy (SELinux, PR_SET_MDWE, which
 * the guest may set at any time) is for good: this process is not patched any further. */
long text_asked(long r);

extern struct lock patch_lock;

#endif
