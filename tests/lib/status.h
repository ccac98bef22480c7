/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/status, for guest programs. */
#ifndef UM_TESTS_STATUS_H
#define UM_TESTS_STATUS_H

/* A line of /proc/PID/status, behind "KEY:\t". */
static MAYBE const char *status_of(const char *who, const char *key)
{
	static char line[256];
	char name[64];
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%s/status", who);
	f = fopen(name, "re");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':') {
			fclose(f);
			line[strcspn(line, "\n")] = 0;
			return line + strlen(key) + 2;
		}
	fclose(f);
	return "(none)";
}

#endif
