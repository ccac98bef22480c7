/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's structures and constants as the system calls use them, from the kernel's own headers
 * (asm/, linux/) and not from the C library, whose versions differ.
 */
#ifndef UM_AGENT_LINUX_TYPES_H
#define UM_AGENT_LINUX_TYPES_H

#include <asm/unistd.h>
#include <asm/stat.h>
#include <linux/types.h>
#pragma push_macro("__GLIBC__")
#undef __GLIBC__	/* hosted, <linux/stat.h> would leave S_IFMT and its kin to the C library */
#include <linux/stat.h>
#pragma pop_macro("__GLIBC__")
#include <linux/fcntl.h>
#include <linux/uio.h>

struct timespec64 { int64_t tv_sec, tv_nsec; };

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t  d_off;
	uint16_t d_reclen;
	uint8_t  d_type;
	char     d_name[];
} __attribute__((packed));		/* so that its size is where the name starts: 19 */

#endif
