/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview commit`: what a session has changed is done to the directory below.
 *
 * In each directory: what was removed is removed, what is new or changed is put there (commit_put.c), the directory is
 * written out, and only then do the names leave the session.  So whoever is killed, at any moment, has lost nothing: what is
 * done, and still in the session, is found to be the same as below when he begins again.
 *
 * What somebody else has changed below since the session hid it is left alone, and told, unless --force is given.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "commit.h"
#include "log.h"

static const char usage[] =
"usage: umview commit [--force] [--session ID | --upper DIR] [PATH...]\n"
"Does what a copy-on-write session holds (of PATH, and in it) to the directory below, and takes it out of the session.\n"
"  -f, --force   even where something was changed below since\n"
"The exit status is 1 if something was left.\n";

static const char changing[] = "is open for writing, or changes, in the view: left in the session; commit it later, or with --force";

/* ---- telling ------------------------------------------------------------------------------------------- */

static void tell(struct commit *k, const char *path, const char *what)
{
	char *shown = path_shown(k->s->lower, path);

	progress_end(&k->progress);
	say("commit: %s: %s", shown ? shown : path, what);
	free(shown);
	if (k->frame)
		k->frame->kept = k->frame->stays = true;
}

static void tell_conflict(struct commit *k, struct change *c, const char *why)
{
	char text[200];

	k->conflicts++;
	snprintf(text, sizeof(text), "conflict, left alone: %s", why);
	tell(k, c->path, text);
}

enum still { STILL_THERE, LEFT, REPLACED };

/* What could not be done may be one that a guest has taken away or moved just now: it is no change any more, or one elsewhere.
 * Or one that it has replaced: whatever went wrong was about that. */
static enum still is_still_there(const struct commit *k, const struct change *c)
{
	struct stat st;

	if (!k->s->running || c->up_dir < 0)
		return STILL_THERE;
	if (fstatat(c->up_dir, c->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? LEFT : STILL_THERE;
	return c->has_up && st.st_ino != c->real.st_ino ? REPLACED : STILL_THERE;
}

/* Returns whether it was done. */
static bool is_done(struct commit *k, struct change *c, int r)
{
	const enum still still = r ? is_still_there(k, c) : STILL_THERE;

	if (still == LEFT) {
		;
	} else if (r == CHANGED_MEANWHILE) {
		tell_conflict(k, c, "it has been changed below since");
	} else if (r == BEING_WRITTEN || still == REPLACED) {
		k->failed++;
		tell(k, c->path, changing);
	} else if (r) {
		k->failed++;
		tell(k, c->path, strerror(-r));
	} else {
		k->done++;
		if (k->frame)
			k->frame->changed = true;
	}
	return !r;
}

/* ---- frames --------------------------------------------------------------------------------------------- */

static void frame_enter(struct commit *k)
{
	struct frame *f = calloc(1, sizeof(*f));

	if (!f) {
		say("commit: out of memory");
		exit(1);		/* nothing is lost: this is one of those moments */
	}
	f->outer = k->frame;
	k->frame = f;
}

static void drop_later(struct commit *k, const char *name)
{
	if (!k->s->running)
		strings_add(&k->frame->drop, name);	/* no memory: it stays, as one that is the same as below */
}

static void frame_leave(struct commit *k)
{
	struct frame *f = k->frame;

	k->frame = f->outer;
	if (k->frame) {
		k->frame->kept |= f->kept;
		k->frame->stays |= f->stays;
	}
	strings_free(&f->drop);
	free(f);
}

static void drop_all(struct commit *k, const struct change *c, int up_dir)
{
	struct frame *f = k->frame;
	const char *path = c->path;

	if (f->drop.n)
		commit_journal_attributes(k, c);

	for (size_t i = 0; i < f->drop.n; i++) {
		char *sub;
		if (asprintf(&sub, "%s%s%s", path, *path ? "/" : "", f->drop.at[i]) < 0)
			continue;
		int r = session_drop(k->s, up_dir, f->drop.at[i], sub);
		if (r && r != -ENOENT) {
			k->failed++;
			tell(k, sub, "is committed, but cannot be taken out of the session");
		}
		free(sub);
	}
}

/* ---- one change --------------------------------------------------------------------------------------------- */

/* The first name that is put there is the file; the others are links. */
static int put_linked(struct commit *k, struct change *c, struct linked *l)
{
	if (l->path)
		return c->has_low && c->low.st_ino == l->low_ino ? 0 : commit_link(k, c, l->path);
	if (c->kind == CHANGE_ATTRIBUTES)
		return commit_attributes(k, c, c->low_dir, c->name, false);
	return c->kind == CHANGE_NONE ? 0 : commit_put(k, c);
}

static enum visit put_file(struct commit *k, struct change *c)
{
	struct linked *l = linked_is(c) ? linked_find(k, c) : NULL;
	int r = 0;

	if (!l && linked_is(c) && !(l = linked_begin(k, c)))
		r = -ENOMEM;
	else if (l)
		r = put_linked(k, c, l);
	else if (c->kind == CHANGE_ATTRIBUTES)
		r = commit_attributes(k, c, c->low_dir, c->name, false);
	else if (c->kind != CHANGE_NONE)
		r = commit_put(k, c);
	if ((r || c->kind != CHANGE_NONE) && !is_done(k, c, r))
		return VISIT_SKIP;
	if (c->kind == CHANGE_NONE)		/* perhaps by a commit that was killed before it wrote it out */
		k->frame->unwritten |= !k->s->running;
	if (c->kind == CHANGE_NONE || c->kind == CHANGE_ATTRIBUTES)
		commit_note_below(k, c);
	if (l)
		linked_note(l, c);
	else
		drop_later(k, c->name);
	return VISIT_SKIP;
}

static int make_there(struct change *c)
{
	if (!commit_is_still(c))
		return CHANGED_MEANWHILE;
	if (c->has_low && unlinkat(c->low_dir, c->name, 0) < 0)
		return -errno;
	if (mkdirat(c->low_dir, c->name, 0700) < 0)
		return errno == EEXIST ? CHANGED_MEANWHILE : -errno;
	return 0;
}

/* It stays in the session, and so it has to go on showing nothing but what is in it there: guests take names away without whiteouts. */
static int make_beside(struct commit *k, struct change *c)
{
	int r = c->opaque ? 0 : session_set_flags(k->s, c->real.st_dev, c->real.st_ino, UM_VSF_OPAQUE);

	if (r)
		return r;
	commit_change_begin(k);
	r = commit_is_current(k, c, -1) ? make_there(c) : BEING_WRITTEN;
	if (!r)
		commit_note_below(k, c);
	commit_change_end(k);
	return r;
}

static enum visit make_directory(struct commit *k, struct change *c)
{
	int r = c->low_dir < 0 ? -ENOENT : 0;

	if (!r && c->opaque && !k->s->running)
		r = session_set_flags(k->s, c->real.st_dev, c->real.st_ino, 0);	/* nothing is below that this could show */
	if (!r)
		r = k->s->running ? make_beside(k, c) : make_there(c);
	c->opaque = false;
	if (!is_done(k, c, r))
		return VISIT_SKIP;
	frame_enter(k);
	return VISIT_ON;
}

/* One that is below, too. */
static enum visit enter_directory(struct commit *k, struct change *c)
{
	bool widened = c->kind == CHANGE_ATTRIBUTES && c->selected && !c->conflict && (c->mode & 0300) == 0300 &&
		       (c->low.st_mode & 0300) != 0300;

	if (widened && is_done(k, c, commit_attributes(k, c, c->low_dir, *c->name ? c->name : ".", false))) {
		c->kind = CHANGE_NONE;
		commit_note_below(k, c);
	}
	frame_enter(k);
	return VISIT_ON;
}

/* commit_move.c has done what could be done. */
static enum visit not_moved(struct commit *k, struct change *c, const char *why)
{
	k->failed++;
	k->frame->hidden_kept |= c->implied;
	if (why)
		tell(k, c->path, why);
	else if (c->kind != CHANGE_MOVED)
		tell(k, c->path, "left alone: the session shows it, or something in it, at another place, and that is not committed");
	else if (c->conflict)
		tell_conflict(k, c, c->conflict);
	else
		tell(k, c->path, "left alone: the directory cannot be moved there below");
	return VISIT_SKIP;
}

/* Guests that have seen it, and put something in the place of its whiteout, look again. */
static int remove_it(struct commit *k, struct change *c)
{
	int r = commit_remove(k, c, c->name);

	if (r || !k->s->running)
		return r;
	commit_change_begin(k);
	session_forget_origin(k->s, c->path);
	commit_change_end(k);
	return 0;
}

static enum visit visit(struct review *r, struct change *c)
{
	struct commit *k = r->arg;
	bool dir = c->has_up && S_ISDIR(c->up.st_mode);
	const char *why = commit_not_now(k, c);

	progress_step(&k->progress);
	review_note_path(r, c);
	if (k->o->force)
		c->conflict = NULL;
	if (!dir && !c->selected)
		return VISIT_SKIP;
	if (c->kind == CHANGE_MOVED || c->moved_away || (why && (c->kind != CHANGE_NONE)))
		return not_moved(k, c, why);
	if (c->conflict && c->kind != CHANGE_NONE) {
		tell_conflict(k, c, c->conflict);
		if (c->implied)
			k->frame->hidden_kept = true;
		if (!dir || c->kind == CHANGE_TYPE)
			return VISIT_SKIP;
	}
	if (dir)
		return c->kind == CHANGE_ADDED || c->kind == CHANGE_TYPE ? make_directory(k, c) : enter_directory(k, c);
	if (c->has_up)
		return put_file(k, c);
	if (c->kind == CHANGE_DELETED && !is_done(k, c, remove_it(k, c)))
		k->frame->hidden_kept |= c->implied;
	else if (c->whiteout)
		drop_later(k, c->name);
	return VISIT_SKIP;
}

/* The directories in one that is going to show what is below again: they hide that themselves from now on. */
static int keep_hidden(struct session *s, const struct change *c)
{
	int fd = openat(c->up_dir, *c->name ? c->name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char **names = NULL;
	struct vstat v = { 0 };
	struct stat st;
	int n = fd < 0 ? -errno : names_read(fd, &names), r = n < 0 ? n : 0;

	for (int i = 0; i < n && !r; i++)
		if (fstatat(fd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
		    !(session_vstat(s, st.st_dev, st.st_ino, &v) && v.have & (UM_VS_FLAGS | UM_VS_ORIGIN)))
			r = session_set_flags(s, st.st_dev, st.st_ino, UM_VSF_OPAQUE);
	if (n >= 0)
		free(names);
	if (fd >= 0)
		close(fd);
	return r;
}

/* Now the directory can show what is below again: nothing is, and that is on the disk. */
static enum visit hidden_done(struct review *r, struct change *c, int low_dir)
{
	struct commit *k = r->arg;
	int e = 0;

	if (!k->frame->hidden_kept && c->selected)
		e = commit_write_all(low_dir);
	if (!k->frame->hidden_kept && c->selected && !e && !k->s->running)
		e = keep_hidden(k->s, c);
	if (!k->frame->hidden_kept && c->selected && !e && !k->s->running)
		e = session_set_flags(k->s, c->real.st_dev, c->real.st_ino, 0);
	if (!k->frame->hidden_kept && c->selected && !e)
		return VISIT_ON;
	tell(k, c->path, e ? strerror(-e) : c->selected ? "left alone: it replaces a directory of which something is left"
							: "left alone: it replaces a directory; name that");
	k->failed++;
	return VISIT_SKIP;
}

/* ---- the end of a directory ------------------------------------------------------------------------------------ */

/* Nothing leaves the session before it is on the disk.  fd: the directory below; < 0: it may not be read. */
static int write_out(const struct frame *f, int fd)
{
	if (fd < 0) {
		sync();
		return 0;
	}
	if (f->unwritten)
		return syncfs(fd) < 0 ? -errno : 0;
	return fsync(fd) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;
}

/* Its own attributes, and, if all in it is done, its times as the session shows them. */
static int finish_directory(struct commit *k, struct change *c, int low_dir)
{
	const struct um_cow_origin *o = session_origin(k->s, c->path);
	const struct timespec times[2] = { c->up.st_atim, c->up.st_mtim };
	bool new = c->kind == CHANGE_ADDED || c->kind == CHANGE_TYPE;
	bool moved = !o || o->mtime != c->up.st_mtim.tv_sec * 1000000000l + c->up.st_mtim.tv_nsec;
	int r = 0;

	if (low_dir < 0 || (c->conflict && !new))
		return 0;
	if (new || (c->kind == CHANGE_ATTRIBUTES && c->selected))
		r = commit_attributes(k, c, low_dir, ".", new);
	if (!new && c->selected && !k->frame->kept && moved)
		utimensat(low_dir, ".", times, 0);	/* he who may not set them has not changed it either */
	return r;
}

/* All of it stays in the session. */
static void not_written(struct commit *k, const struct change *c, int error)
{
	char text[200];

	k->failed++;
	k->lost = true;
	snprintf(text, sizeof(text), "cannot be written out: %s; what is in it stays in the session", strerror(-error));
	tell(k, c->path, text);
}

static enum visit leave(struct review *r, struct change *c, int up_dir, int low_dir)
{
	struct commit *k = r->arg;
	int fd = low_dir < 0 ? -1 : openat(low_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int e = finish_directory(k, c, low_dir), lost = 0;
	bool stays = k->frame->stays || up_dir < 0 || e || (c->conflict && c->kind == CHANGE_ATTRIBUTES) ||
		     (c->kind == CHANGE_ATTRIBUTES && !c->selected) || low_dir < 0;

	if (e) {
		k->failed++;
		tell(k, c->path, strerror(-e));
	} else if (low_dir >= 0 && (c->kind == CHANGE_ADDED || c->kind == CHANGE_TYPE || c->kind == CHANGE_ATTRIBUTES)) {
		commit_note_below(k, c);
	}
	if (k->frame->changed || k->frame->drop.n)
		lost = write_out(k->frame, fd);
	if (fd >= 0)
		close(fd);
	if (lost)
		not_written(k, c, lost);
	else if (up_dir >= 0)
		drop_all(k, c, up_dir);
	frame_leave(k);
	char **names = NULL;
	int n = up_dir < 0 ? -1 : names_read(up_dir, &names);
	if (n >= 0)
		free(names);
	if (k->frame && !stays && n == 0)
		drop_later(k, c->name);
	if (k->frame && c->kind == CHANGE_ATTRIBUTES && c->selected && !e)
		k->done++;
	return VISIT_ON;
}

static void trouble(struct review *r, const char *path, int error)
{
	struct commit *k = r->arg;

	if (k->s->running && error == ENOENT)		/* a guest has taken it away just now */
		return;
	k->failed++;
	tell(k, path, k->s->running && (error == ENOTDIR || error == ELOOP) ? changing : strerror(error));
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static void tell_end(struct commit *k)
{
	if (k->unkept > 10)
		say("commit: ... and %ld more that could not be kept", k->unkept - 10);
	if (k->conflicts)
		say("commit: %ld done, %ld in conflict with what was changed below: they are still in the session; --force commits them",
		    k->done, k->conflicts);
	else if (k->failed)
		say("commit: %ld done, %ld not", k->done, k->failed);
}

int commit_session(struct session *s, const struct review_options *o)
{
	struct commit k = { .s = s, .o = o, .journal_fd = -1 };
	char error[SESSION_ERROR];

	k.r = (struct review) {
		.s = s, .arg = &k, .touched = &k.touched, .nonly = o->npaths,
		.visit = visit, .hidden_done = hidden_done, .leave = leave, .trouble = trouble,
	};
	if (s->low_fd < 0) {
		say("commit: %s: is not there any more", s->lower);
		return 2;
	}
	k.r.only = review_paths(s, o->npaths, o->paths, error, sizeof(error));
	if (!k.r.only) {
		say("commit: %s", error);
		return 2;
	}
	k.r.changed = calloc((size_t)o->npaths + 1, sizeof(*k.r.changed));
	if (!k.r.changed) {
		say("commit: out of memory");
		return 2;
	}
	commit_temp_name(s, k.temp, sizeof(k.temp));
	session_clean(s);
	progress_start(&k.progress, "commit");
	if (!s->running)
		commit_moves(&k);
	const int e = s->running ? 0 : names_find(&k);
	if (e) {
		k.failed++;
		tell(&k, "", strerror(-e));
	} else {
		review_walk(&k.r);
		linked_drop(&k);
	}
	names_free(&k);
	progress_end(&k.progress);
	const int nowhere = review_tell_unchanged(&k.r, "commit", false);
	tell_end(&k);
	free(k.r.changed);
	review_paths_free(k.r.only, k.r.nonly);
	inode_set_free(&k.touched);
	free(k.journaled);
	if (k.journal_fd >= 0)
		close(k.journal_fd);
	unlinkat(s->dir_fd, UM_COW_COMMITTING, 0);
	return k.conflicts || k.failed || nowhere ? 1 : 0;
}

int cmd_commit(int argc, char **argv)
{
	struct review_options o;
	struct session s;
	int r = review_options_parse(&o, argc, argv, "f", usage);

	if (r)
		return r < 0 ? 0 : r;
	r = review_outside(&o, "commit");
	if (r >= 0)
		return r;
	r = session_use(&s, &o, "commit");
	if (r)
		return r;
	r = commit_session(&s, &o);
	session_end(&s);
	return r;
}
