/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The names of stand-ins: DIRECTORY/.umview-MONITOR-SERVER-NODE.
 */
#include "standin.h"

static const char *const places[] = { "/dev/shm", "/tmp", "/var/tmp" };
#define PLACES	(sizeof places / sizeof *places)

bool standin_path(char *path, unsigned i, uint32_t server, uint64_t node)
{
	if (i >= PLACES)
		return false;
	text_format(path, UM_STANDIN_ROOM, "%s/.umview-%u-%u-%lu", places[i], process.world->monitor_pid, server,
		    (unsigned long)node);
	return true;
}

/* One field of the name and what must follow it. */
static bool field(const char **s, char end, uint64_t *value)
{
	uint64_t n = 0;
	const char *p = *s;

	while (*p >= '0' && *p <= '9')
		n = n * 10 + (uint64_t)(*p++ - '0');
	if (p == *s || *p != end)
		return false;
	*s = p + (end != 0);
	*value = n;
	return true;
}

bool standin_parse(const char *path, uint32_t *server, uint64_t *node)
{
	uint64_t world, number;
	size_t n;

	for (unsigned i = 0; i < PLACES; i++) {
		const char *p = path;

		n = strlen(places[i]);
		if (strncmp(p, places[i], n) || strncmp(p + n, "/.umview-", 9))
			continue;
		p += n + 9;
		if (!field(&p, '-', &world) || !field(&p, '-', &number) || !field(&p, 0, node))
			return false;
		*server = (uint32_t)number;
		return world == process.world->monitor_pid && number < UM_SERVERS;
	}
	return false;
}
