/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capabilities, for guest programs that have to be root. */
#ifndef UM_TESTS_CAPS_H
#define UM_TESTS_CAPS_H

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>

struct caps { uint64_t effective, permitted, inheritable; };

static MAYBE int caps_get(struct caps *c)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	int r = (int)syscall(SYS_capget, &h, d);

	*c = (struct caps){
		d[0].effective | (uint64_t)d[1].effective << 32, d[0].permitted | (uint64_t)d[1].permitted << 32,
		d[0].inheritable | (uint64_t)d[1].inheritable << 32,
	};
	return r;
}

static MAYBE int caps_set(struct caps c)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2] = {
		{ (uint32_t)c.effective, (uint32_t)c.permitted, (uint32_t)c.inheritable },
		{ (uint32_t)(c.effective >> 32), (uint32_t)(c.permitted >> 32), (uint32_t)(c.inheritable >> 32) },
	};

	return (int)syscall(SYS_capset, &h, d);
}

/* Containers lack some capabilities, and newer kernels have more: what these tests do not need goes first. */
static MAYBE void settle_caps(void)
{
	struct caps c;

	for (int n = 9; n < 64; n++)
		if (n != CAP_MKNOD && n != CAP_SETFCAP)
			prctl(PR_CAPBSET_DROP, n, 0, 0, 0);
	caps_get(&c);
	c.permitted &= 0x1ff | 1ull << CAP_MKNOD | 1ull << CAP_SETFCAP;
	c.effective = c.permitted;
	OK(caps_set(c));
	OK(setgroups(0, NULL));
}

/* At the head of a test: it is root's. */
#define ROOT()	do { if (geteuid()) SKIP("needs root"); settle_caps(); } while (0)

#endif
