/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What those sources of the agent need that umview shares with it (tools/sources.sh): the table of virtual attributes.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../agent/agent.h"

long raw_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	long r = syscall(nr, a, b, c, d, e, f);

	return r == -1 ? -errno : r;
}
