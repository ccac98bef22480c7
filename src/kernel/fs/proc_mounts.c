/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/mounts, mountinfo, mountstats: the kernel's lines and ours behind them.
 */
#include <linux/mman.h>
#include "proc.h"
#include "../path_walk.h"

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

/*
 * For a guest with a root of its own: is the mount of this line below it?  Then its path is counted from there.  (Odd
 * bytes in a path stand as \\ooo, so roots with such in their names find only themselves left out.)
 */
static bool below_root(const struct made *m, char *line)
{
	const char *root = m->t->fs->root;
	char *at = m->hit.what == PROC_MOUNTSTATS ? NULL : line, *end;		/* that file is left empty */
	size_t n = root ? strlen(root) : 0, len;

	if (!root)
		return true;
	for (int skip = m->hit.what == PROC_MOUNTINFO ? 4 : 1; skip && at; skip--) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	end = at ? strchr(at, ' ') : NULL;
	if (!end)
		return false;
	len = (size_t)(end - at);
	if (!path_within(at, len, root, n))
		return false;
	if (len == n)
		n--;		/* leaves the slash: of a name's own beginning */
	memmove(at, at + n, strlen(at + n) + 1);
	*at = '/';
	return true;
}

/* Our own lines, each with its newline, likewise. */
static void put_table(struct made *m, char *line)
{
	for (char *end; *line; line = end) {
		char *newline = strchr(line, '\n');

		end = newline ? newline + 1 : strchr(line, 0);
		if (newline)
			*newline = 0;
		if (below_root(m, line)) {
			made_put(m, line, strlen(line));
			made_put(m, "\n", 1);
		}
	}
}

void made_mounts(struct made *m)
{
	long n, at = own_map(TABLE_SIZE, PROT_READ | PROT_WRITE, 0, -1, 0);
	char *table = (char *)at;

	for (char *line = made_line(m); line; line = made_line(m))
		if (below_root(m, line)) {
			m->line_len = strlen(line);
			made_copy(m, line);
		}
	if (at < 0) {
		m->error = at;
		return;
	}
	n = view_print(m->t, m->hit.what == PROC_MOUNTINFO, table, TABLE_SIZE - 1);
	if (n < 0)
		m->error = n;
	else if (m->hit.what != PROC_MOUNTSTATS)
		put_table(m, table);
	else if (!m->t->fs->root)
		for (table[n] = 0; *table; )
			table = statistics(m, table);
	own_unmap((void *)at, TABLE_SIZE);
}
