/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of a session with several names: they are committed as one file.
 *
 * The first name is put in its place, the others become further names of it.  They leave the session together, when all are done:
 * until then each of them tells that it is the same file as the others.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit.h"

bool linked_is(const struct change *c)
{
	return c->has_up && !S_ISDIR(c->real.st_mode) && c->real.st_nlink > 1;
}

static size_t slot_of(const struct commit *k, uint64_t ino)
{
	size_t i = (ino * 0x9e3779b97f4a7c15ull >> 32) & (k->links_room - 1);

	while (k->links[i] && k->links[i]->up_ino != ino)
		i = (i + 1) & (k->links_room - 1);
	return i;
}

struct linked *linked_find(struct commit *k, const struct change *c)
{
	return k->links_room ? k->links[slot_of(k, c->real.st_ino)] : NULL;
}

static bool make_room(struct commit *k)
{
	struct linked **old = k->links;
	size_t room = k->links_room;

	if (2 * (k->nlinks + 1) <= room)
		return true;
	struct linked **more = calloc(room ? 2 * room : 64, sizeof(*more));
	if (!more)
		return false;
	k->links = more;
	k->links_room = room ? 2 * room : 64;
	for (size_t i = 0; i < room; i++)
		if (old[i])
			k->links[slot_of(k, old[i]->up_ino)] = old[i];
	free(old);
	return true;
}

struct linked *linked_begin(struct commit *k, const struct change *c)
{
	struct vstat v;
	struct linked *l = make_room(k) ? calloc(1, sizeof(*l)) : NULL;

	if (!l)
		return NULL;
	l->up_ino = c->real.st_ino;
	if (session_vstat(k->s, c->real.st_dev, c->real.st_ino, &v) && v.have & UM_VS_ORIGIN) {
		l->has_origin = true;
		l->origin_dev = v.origin_dev;
		l->origin_ino = v.origin_ino;
	}
	k->links[slot_of(k, l->up_ino)] = l;
	k->nlinks++;
	return l;
}

/* This name is where it belongs. */
void linked_note(struct linked *l, const struct change *c)
{
	struct stat st;

	if (!l->path && fstatat(c->low_dir, c->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		l->low_ino = st.st_ino;
		l->path = strdup(c->path);
	}
	strings_add(&l->names, c->path);	/* no memory: it stays in the session */
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

static void drop_names(struct commit *k, struct linked *l)
{
	for (size_t j = 0; j < l->names.n; j++) {
		char *path = l->names.at[j], *slash = strrchr(path, '/');
		if (slash)
			*slash = 0;
		int dir = k->lost || k->s->running ? -1 : open_below(k->s->tree_fd, slash ? path : "", O_RDONLY | O_DIRECTORY);
		if (slash)
			*slash = '/';
		if (dir >= 0) {
			session_drop(k->s, dir, slash ? slash + 1 : path, path);
			close(dir);
		}
	}
	strings_free(&l->names);
}

void linked_drop(struct commit *k)
{
	for (size_t i = 0; i < k->links_room; i++)
		if (k->links[i])
			k->failed += names_link(k, k->links[i]);
	if (k->nlinks && !k->lost && commit_write_all(k->s->low_fd) < 0) {
		k->failed++;
		k->lost = true;
	}
	for (size_t i = 0; i < k->links_room; i++) {
		struct linked *l = k->links[i];
		if (!l)
			continue;
		drop_names(k, l);
		free(l->path);
		free(l);
	}
	free(k->links);
}
