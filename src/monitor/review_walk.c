/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk through a session's tree and the directory below it.
 *
 * Both are open, directory by directory, and names are visited in the order of their bytes.  Whoever is visited may change the place:
 * what is below is looked at again before the walk goes down there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "review.h"

#define DEPTH_MAX	2000

/* ---- names ---------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* One block: the pointers, then the texts. */
static int pack(const char *text, size_t len, int n, char ***names)
{
	char **list = malloc((size_t)(n + 1) * sizeof(*list) + len);

	if (!list)
		return -ENOMEM;
	char *to = (char *)(list + n + 1);
	if (len)
		memcpy(to, text, len);
	for (int i = 0; i < n; i++, to += strlen(to) + 1)
		list[i] = to;
	list[n] = NULL;
	qsort(list, (size_t)n, sizeof(*list), by_name);
	*names = list;
	return n;
}

int names_read(int dir_fd, char ***names)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char *text = NULL;
	size_t len = 0, room = 0;

	if (!d) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		return -error;
	}
	errno = 0;
	for (struct dirent *e; (e = readdir(d));) {
		size_t k = strlen(e->d_name) + 1;
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (len + k > room) {
			room = 2 * room + 4096;
			char *more = realloc(text, room);
			if (!more)
				break;
			text = more;
		}
		memcpy(text + len, e->d_name, k);
		len += k;
		n++;
	}
	n = errno ? -errno : pack(text, len, n, names);
	free(text);
	closedir(d);
	return n;
}

static bool is_among(const char *name, char **names, int n)
{
	return n && bsearch(&name, names, (size_t)n, sizeof(*names), by_name);
}

/* ---- one place -------------------------------------------------------------------------------------------- */

static void show_virtual(const struct session *s, struct stat *st)
{
	struct vstat v;

	if (!session_vstat(s, st->st_dev, st->st_ino, &v))
		return;
	if (v.have & UM_VS_UID)
		st->st_uid = v.uid;
	if (v.have & UM_VS_GID)
		st->st_gid = v.gid;
	if (v.have & UM_VS_MODE)
		st->st_mode = (st->st_mode & ~07777u) | (v.mode & 07777);
	if (v.have & UM_VS_TYPE)
		st->st_mode = (st->st_mode & 07777) | (v.mode & ~07777u);
	if (v.have & UM_VS_RDEV)
		st->st_rdev = v.rdev;
}

static bool is_opaque(const struct session *s, const struct stat *st)
{
	struct vstat v;

	return session_vstat(s, st->st_dev, st->st_ino, &v) && v.have & UM_VS_FLAGS && v.flags & UM_VSF_OPAQUE;
}

/* Is what lies below at this name what the directory is a copy of?  So it is when it has been moved there below, too. */
static bool is_original(const struct session *s, const struct change *c)
{
	struct vstat v;

	return c->has_low && S_ISDIR(c->low.st_mode) && session_vstat(s, c->real.st_dev, c->real.st_ino, &v) &&
	       v.have & UM_VS_ORIGIN && v.origin_ino == c->low.st_ino && v.origin_dev == um_cow_dev(c->low.st_dev);
}

static bool is_below(const char *path, const char *dir, bool itself)
{
	size_t n = strlen(dir);

	return !n ? itself || *path : !strncmp(path, dir, n) && (path[n] == '/' || (itself && !path[n]));
}

int review_moved_below(const struct review *r, const char *low_path, bool itself)
{
	int n = 0;

	for (int i = 0; i < r->nmoved; i++)
		n += is_below(r->moved[i], low_path, itself);
	return n;
}

static void trouble(struct review *r, const char *path, int error)
{
	if (r->trouble)
		r->trouble(r, path, error);
}

/* That something is not there, and not that it cannot be seen. */
static bool is_absence(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG;
}

/* What is at this name on both sides.  0, or -errno: one of them cannot be seen. */
static int place_look(struct review *r, struct change *c)
{
	c->has_up = c->has_low = c->whiteout = c->opaque = false;
	if (c->up_dir >= 0 && fstatat(c->up_dir, *c->name ? c->name : ".", &c->real, AT_SYMLINK_NOFOLLOW) == 0) {
		c->up = c->real;
		c->whiteout = *c->name && review_is_whiteout(c->up_dir, c->name, &c->real);
		c->has_up = !c->whiteout;
	} else if (c->up_dir >= 0 && !c->implied) {
		return -errno;
	}
	if (c->low_dir >= 0 && fstatat(c->low_dir, *c->name ? c->name : ".", &c->low, AT_SYMLINK_NOFOLLOW) == 0)
		c->has_low = true;
	else if (c->low_dir >= 0 && !is_absence(errno))
		return -errno;
	free(c->from);
	c->from = NULL;
	if (c->has_up && S_ISDIR(c->up.st_mode)) {
		c->opaque = is_opaque(r->s, &c->real);
		c->from = c->opaque || !*c->name ? NULL : session_redirect(r->s, c->real.st_ino);
		c->opaque |= c->inside && !c->from && !is_original(r->s, c);
	}
	if (c->from && !strcmp(c->from, c->low_path)) {		/* it was to be moved, and has not been */
		free(c->from);
		c->from = NULL;
	}
	if (c->has_up)
		show_virtual(r->s, &c->up);
	review_compare(r, c);
	c->moved_away = c->kind == CHANGE_DELETED && r->nmoved && review_moved_below(r, c->low_path, true);
	if (c->from)
		c->kind = CHANGE_MOVED;
	return 0;
}

void review_again(struct review *r, struct change *c)
{
	place_look(r, c);
}

/* ---- directories ------------------------------------------------------------------------------------------ */

struct place {
	int up, low;		/* the directory, on both sides */
	bool opaque;		/* its names hide what is below */
	const char *path, *low_path;
};

static int walk_directory(struct review *r, struct change *c, const struct place *p, int depth);

static int leave(struct review *r, struct change *c, int up, int low)
{
	return r->leave && r->leave(r, c, up, low) == VISIT_STOP ? VISIT_STOP : 0;
}

/* Goes on below c, which has been visited. */
static int walk_down(struct review *r, struct change *c, int depth)
{
	int up = openat(c->up_dir, c->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), low = -1, stop = 0;

	if (up < 0 || depth > DEPTH_MAX) {
		trouble(r, c->path, up < 0 ? errno : ENAMETOOLONG);
		if (up >= 0)
			close(up);
		return leave(r, c, -1, -1);
	}
	struct place p = { up, -1, c->opaque, c->path, c->from ? c->from : c->low_path };
	if (c->from)
		low = open_below(r->s->low_fd, c->from, O_PATH | O_DIRECTORY);
	else if (c->low_dir >= 0)
		low = openat(c->low_dir, c->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (low < 0 && c->low_dir >= 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
		trouble(r, c->path, errno);
		stop = leave(r, c, -1, -1);
	} else {
		p.low = low < 0 ? -1 : low;
		stop = walk_directory(r, c, &p, depth);
	}
	close(up);
	if (low >= 0)
		close(low);
	return stop;
}

static char *join(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s%s%s", dir, *dir ? "/" : "", name) < 0 ? NULL : path;
}

static int walk_name(struct review *r, const struct place *p, const char *name, bool implied, int depth)
{
	struct change c = { .name = name, .up_dir = p->up, .low_dir = p->low, .implied = implied, .inside = p->opaque };
	char *path = join(p->path, name), *low_path = join(p->low_path, name);
	int selected = path && low_path ? review_selected(r, path) : SELECTED_NOT, stop = 0;

	c.path = path;
	c.low_path = low_path;
	c.selected = selected == SELECTED;
	int error = selected == SELECTED_NOT ? 0 : place_look(r, &c);
	if (error && error != -ENOENT)
		trouble(r, path, -error);
	if (selected != SELECTED_NOT && !error) {
		enum visit v = r->visit(r, &c);
		if (v == VISIT_STOP)
			stop = VISIT_STOP;
		else if (v == VISIT_ON && c.has_up && S_ISDIR(c.real.st_mode))
			stop = walk_down(r, &c, depth + 1);
	}
	free(c.from);
	free(path);
	free(low_path);
	return stop;
}

/* What is below and hidden because the directory is another one. */
static int walk_hidden(struct review *r, struct change *c, const struct place *p, char **names, int n, int depth)
{
	char **below;
	int m = names_read(p->low, &below), stop = 0;

	if (m < 0) {
		trouble(r, c->path, -m);
		return VISIT_SKIP;
	}
	for (int i = 0; i < m && !stop; i++)
		if (!is_among(below[i], names, n))
			stop = walk_name(r, p, below[i], true, depth);
	free(below);
	if (!stop && r->hidden_done)
		stop = (int)r->hidden_done(r, c, p->low);
	return stop;
}

static int walk_directory(struct review *r, struct change *c, const struct place *p, int depth)
{
	char **names;
	int n = names_read(p->up, &names), stop = 0;

	if (n < 0) {
		trouble(r, c->path, -n);
		return leave(r, c, -1, -1);
	}
	if (c->opaque && p->low >= 0)
		stop = walk_hidden(r, c, p, names, n, depth);
	for (int i = 0; i < n && !stop; i++)
		stop = walk_name(r, p, names[i], false, depth);
	free(names);
	return stop == VISIT_STOP ? stop : leave(r, c, p->up, p->low);
}

static int walk_root(struct review *r)
{
	const struct place p = { r->s->tree_fd, r->s->low_fd, false, "", "" };
	struct change c = { .path = "", .low_path = "", .name = "", .up_dir = p.up, .low_dir = p.low };

	c.selected = review_selected(r, "") == SELECTED;
	int error = place_look(r, &c);
	if (error) {
		trouble(r, "", -error);
		return 0;
	}
	enum visit v = r->visit(r, &c);
	return v == VISIT_ON ? walk_directory(r, &c, &p, 0) : v == VISIT_STOP ? VISIT_STOP : 0;
}

int review_walk(struct review *r)
{
	r->nmoved = session_redirects(r->s, &r->moved);
	int stop = walk_root(r);
	for (int i = 0; i < r->nmoved; i++)
		free(r->moved[i]);
	free(r->moved);
	r->moved = NULL;
	r->nmoved = 0;
	return stop;
}

/* ---- sets of inodes ----------------------------------------------------------------------------------------- */

static size_t slot_of(const struct inode_set *set, uint64_t dev, uint64_t ino)
{
	size_t i = (ino * 0x9e3779b97f4a7c15ull >> 32 ^ dev) & (set->room - 1);

	while (set->at[i].ino && (set->at[i].ino != ino || set->at[i].dev != dev))
		i = (i + 1) & (set->room - 1);
	return i;
}

bool inode_set_has(const struct inode_set *set, uint64_t dev, uint64_t ino)
{
	return set->n && set->at[slot_of(set, dev, ino)].ino;
}

void inode_set_add(struct inode_set *set, uint64_t dev, uint64_t ino)
{
	if (2 * (set->n + 1) > set->room) {
		struct inode_set more = { .room = set->room ? 2 * set->room : 64 };
		more.at = calloc(more.room, sizeof(*more.at));
		if (!more.at)
			return;
		for (size_t i = 0; i < set->room; i++)
			if (set->at[i].ino)
				inode_set_add(&more, set->at[i].dev, set->at[i].ino);
		free(set->at);
		*set = more;
	}
	size_t i = slot_of(set, dev, ino);
	set->n += !set->at[i].ino;
	set->at[i].dev = dev;
	set->at[i].ino = ino;
}

void inode_set_free(struct inode_set *set)
{
	free(set->at);
	*set = (struct inode_set) { 0 };
}
