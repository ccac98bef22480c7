/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Directories that a session has moved are moved below, by one rename each, before anything else is done.
 *
 * One whose old place holds what another one shows has to wait until that has gone; so it is gone through the session until
 * nothing moves any more.  Who is killed between the rename and the end of the redirection finds the directory below, by its
 * inode, in its new place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commit.h"

struct moving {
	struct commit *k;
	long moved;
};

/* The directories that it lies in, below, as far as they are new; their attributes come later.  The last one, or -errno. */
static int make_parents(struct session *s, const char *path)
{
	char *part = strdup(path), *end = part ? strrchr(part, '/') : NULL;
	int at = openat(s->low_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (end)
		*end = 0;
	for (char *save, *name = end ? strtok_r(part, "/", &save) : NULL; name && at >= 0; name = strtok_r(NULL, "/", &save)) {
		int made = mkdirat(at, name, 0700), next = -1;
		if (made == 0 || errno == EEXIST)
			next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int error = errno;
		close(at);
		errno = error;
		at = next;
	}
	int r = at < 0 ? -errno : at;
	free(part);
	return r;
}

/* Is what lay at c->from where it belongs already? */
static bool has_moved(struct session *s, const struct change *c)
{
	struct vstat v;

	return c->has_low && S_ISDIR(c->low.st_mode) && session_vstat(s, c->real.st_dev, c->real.st_ino, &v) &&
	       v.have & UM_VS_ORIGIN && v.origin_ino == c->low.st_ino;
}

static int move_below(struct commit *k, struct change *c)
{
	char *from = strdup(c->from), *slash = from ? strrchr(from, '/') : NULL;
	int r = 0, old;

	if (slash)
		*slash = 0;
	old = open_below(k->s->low_fd, slash ? from : "", O_PATH | O_DIRECTORY);
	if (c->has_low)
		r = commit_is_still(c) ? commit_remove(k, c, c->name) : CHANGED_MEANWHILE;
	if (!r && (old < 0 || renameat2(old, slash ? slash + 1 : from, c->low_dir, c->name, RENAME_NOREPLACE) < 0))
		r = old < 0 ? old : -errno;
	if (old >= 0)
		close(old);
	free(from);
	return r == -EEXIST ? CHANGED_MEANWHILE : r;
}

/* Is what lies below at its new place, or something in it, still to be moved away?  Then it is not to be removed. */
static bool is_in_the_way(const struct review *r, struct session *s, const struct change *c)
{
	return c->has_low && !has_moved(s, c) && review_moved_below(r, c->low_path, true);
}

static enum visit visit(struct review *r, struct change *c)
{
	struct moving *m = r->arg;
	struct session *s = m->k->s;
	int e = 0, made = -1;

	review_note_path(r, c);
	if (!c->has_up || !S_ISDIR(c->up.st_mode))
		return VISIT_SKIP;
	if (c->kind != CHANGE_MOVED || !c->selected || (c->conflict && !m->k->o->force) || review_moved_below(r, c->from, false) ||
	    is_in_the_way(r, s, c))
		return VISIT_ON;
	if (c->low_dir < 0) {
		made = make_parents(s, c->path);
		e = made < 0 ? made : 0;
		c->low_dir = made;
	}
	if (!e && !has_moved(s, c))
		e = move_below(m->k, c);
	if (!e)			/* were only the end of the redirection on the disk, the session would show nothing there */
		e = commit_write_all(c->low_dir);
	if (!e) {
		m->moved++;
		m->k->done++;
		session_unredirect(s, c->real.st_ino);
		free(c->from);
		c->from = NULL;
	}
	if (made >= 0)
		close(made);
	return VISIT_SKIP;
}

void commit_moves(struct commit *k)
{
	struct moving m = { .k = k };
	struct review r = k->r;

	r.arg = &m;
	r.visit = visit;
	r.leave = NULL;
	r.hidden_done = NULL;
	r.trouble = NULL;		/* told by the walk that follows */
	do {
		m.moved = 0;
		review_walk(&r);
	} while (m.moved);
}
