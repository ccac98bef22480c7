/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/mounts, mountinfo, mountstats: the kernel's lines and ours behind them.
 */
#include <linux/mman.h>
#include "proc.h"

#define TABLE_SIZE	(UM_SNAPSHOT_SIZE * 4)	/* every byte of it may become \ooo */

/* A line of mounts, "SOURCE PATH TYPE OPTIONS 0 0", as one of mountstats.  Returns the next line. */
static char *statistics(struct made *m, char *line)
{
	char *word[3], *at = line, *end;

	for (int i = 0; i < 3; i++) {
		word[i] = at;
		at = strchr(at, ' ');
		*at++ = 0;
	}
	made_put(m, "device ", 7);
	made_put(m, word[0], strlen(word[0]));
	made_put(m, " mounted on ", 12);
	made_put(m, word[1], strlen(word[1]));
	made_format(m, " with fstype %.64s\n", word[2]);
	end = strchr(at, '\n');
	return end ? end + 1 : strchr(at, 0);
}

void made_mounts(struct made *m)
{
	long n, at = own_map(TABLE_SIZE, PROT_READ | PROT_WRITE, 0, -1, 0);
	char *table = (char *)at;

	for (char *line = made_line(m); line; line = made_line(m))
		made_copy(m, line);
	if (at < 0) {
		m->error = at;
		return;
	}
	n = view_print(m->t, m->hit.what == PROC_MOUNTINFO, table, TABLE_SIZE - 1);
	if (n < 0)
		m->error = n;
	else if (m->hit.what != PROC_MOUNTSTATS)
		made_put(m, table, (size_t)n);
	else
		for (table[n] = 0; *table; )
			table = statistics(m, table);
	own_unmap((void *)at, TABLE_SIZE);
}
