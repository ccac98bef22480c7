/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beyond real_fs: what a few handlers need of real places that the table of operations has no slot for.
 */
#ifndef UM_KERNEL_FS_REAL_H
#define UM_KERNEL_FS_REAL_H

#include "../path.h"
#include <linux/openat2.h>

/*
 * On the fast way the last name may still be a link that the call should follow: -UM_EAGAIN then, else 0.
 * For calls that have no way of saying "do not follow".
 */
long real_check_link(struct where *w);

/* What openat2 is to be asked for an openat that must not meet a link: -ELOOP then. */
struct open_how real_no_link(int flags, unsigned mode);

long real_openat2(struct where *w, const struct open_how *how);

#endif
