/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview mount`: mounts for this view alone.
 *
 * What needs no server (bind, hide, tmpfs) is one system call.  For everything else a FUSE program is chosen, by the type or by what SRC
 * contains, and started; we return when its mount has appeared in the view and answers, or say why not.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "commands.h"
#include "detect.h"
#include "identity.h"
#include "keeper.h"
#include "log.h"
#include "module.h"
#include "mountargv.h"
#include "options.h"

#define TIME_OUT	60000	/* ms for a program to mount */
#define MOUNT_AFTER_END	2000	/* ... after its first process has ended: a daemon mounts before that */

/* One error line; the value is the exit status. */
#define fail(...)	(say("mount: " __VA_ARGS__), 1)

/* ---- what to mount -------------------------------------------------------------------------------- */

struct plan {
	const struct mount_options *o;
	const struct fs_program *known;	/* NULL: fuse.PROGRAM */
	char *src, *dst;		/* absolute where they exist */
	char *program;			/* path */
	char *module;			/* umfuseNAME: path of the shared object, or NULL */
	char opts[4096];
	bool human, secure, read_only;
	bool merge;			/* what it has not, shows what is at dst */
	bool alone;			/* UM_SERVANT_ALONE */
	bool new_place;			/* nothing is at dst yet */
	uint32_t as, uid, gid;		/* UM_SERVANT_UID, UM_SERVANT_GID, and those */
	struct mount_call_form form;	/* how the program is called */
};

static void add_opts(struct plan *p, const char *more)
{
	size_t n = strlen(p->opts);

	if (more && *more)
		snprintf(p->opts + n, sizeof(p->opts) - n, "%s%s", n ? "," : "", more);
}

/* A comma or a backslash in it would need an escape that not every program understands. */
static void add_fsname(struct plan *p)
{
	char *name;

	if (!p->known->fsname || strpbrk(p->src, ",\\") ||
	    asprintf(&name, "fsname=%s,subtype=%s", p->src, p->known->program) < 0)
		return;
	add_opts(p, name);
	free(name);
}

/* A mount point that does not exist yet: the directory it would be in must. */
static char *absolute_new_path(const char *path)
{
	char *copy = strdup(path), *dir = NULL, *all = NULL;
	size_t n = strlen(path);

	while (copy && n > 1 && copy[n - 1] == '/')
		copy[--n] = 0;
	char *slash = copy ? strrchr(copy, '/') : NULL;
	const char *name = slash ? slash + 1 : copy;
	if (slash)
		*slash = 0;
	if (copy && *name && strcmp(name, ".") && strcmp(name, ".."))
		dir = realpath(!slash ? "." : *copy ? copy : "/", NULL);
	if (dir && asprintf(&all, "%s/%s", strcmp(dir, "/") ? dir : "", name) < 0)
		all = NULL;
	free(dir);
	free(copy);
	return all;
}

static int resolve_dst(struct plan *p)
{
	struct stat st;

	p->dst = realpath(p->o->dst, NULL);
	if (!p->dst && errno == ENOENT) {
		p->dst = absolute_new_path(p->o->dst);
		p->new_place = true;
		return p->dst ? 0 : fail("%s: does not exist, nor does the directory it would be in", p->o->dst);
	}
	if (!p->dst)
		return fail("%s: %s", p->o->dst, strerror(errno));
	if (p->src && !strcmp(p->src, p->dst))
		return fail("%s: cannot be mounted on itself", p->src);
	if (p->known && (stat(p->dst, &st) < 0 || !S_ISDIR(st.st_mode)))
		return fail("%s: is not a directory; give one to mount on", p->dst);
	return 0;
}

/* SRC by what it contains. */
static int detect(struct plan *p, int fd)
{
	char found[128];
	const char *type = detect_type(fd, p->src, found, sizeof(found));

	if (!type)
		return fail("%s: no file system that I know (found: %s)", p->o->src, found);
	p->known = program_for_type(type);
	return 0;
}

static int choose_by_content(struct plan *p)
{
	struct stat st;
	int r = 0, fd = open(p->src, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		r = fail("%s: %s", p->o->src, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		r = fail("%s: is a directory; to show it at %s: umview mount -t bind SRC DST", p->o->src, p->o->dst);
	else if (!p->known)
		r = detect(p, fd);
	if (fd >= 0)
		close(fd);
	return r;
}

static int find_fs_program(struct plan *p, const char *name, const char *package)
{
	p->program = find_program(name);
	if (p->program)
		return 0;
	if (package)
		return fail("%s not found; install the Debian package %s", name, package);
	return fail("%s not found; install it, or give its path as fuse.PATH", name);
}

static int choose_module(struct plan *p, const char *name)
{
	char *where;
	int r = 0;

	p->src = realpath(p->o->src, NULL);
	if (!p->src)
		p->src = strdup(p->o->src);
	p->module = module_find(name, &where);
	p->program = realpath("/proc/self/exe", NULL);
	if (!p->module)
		r = fail("%s: there is no %s.so in %s (UMVIEW_MODULES names directories of yours)", name, name, where ? where : "any place");
	free(where);
	return r;
}

static int choose_program(struct plan *p)
{
	const char *type = p->o->type;

	if (type && !strncmp(type, "fuse.", 5) && type[5]) {
		p->src = realpath(p->o->src, NULL);
		if (!p->src)
			p->src = strdup(p->o->src);	/* not a file: host:dir, a name, ... */
		return find_fs_program(p, type + 5, NULL);
	}
	if (type && !strncmp(type, "umfuse", 6) && type[6] && !strchr(type, '/'))
		return choose_module(p, type);
	if (type && strcmp(type, "auto")) {
		p->known = program_for_type(type);
		if (!p->known)
			return fail("%s: unknown type; known are bind, merge, hide, tmpfs, cow, mincow, fuse.PROGRAM, umfuseNAME, ext2, ext3, ext4, squashfs, "
				    "iso9660, vfat, ntfs, zip, tar", type);
	}
	p->src = realpath(p->o->src, NULL);
	if (!p->src)
		return fail("%s: %s", p->o->src, strerror(errno));
	int r = choose_by_content(p);
	return r ? r : find_fs_program(p, p->known->program, p->known->package);
}

/* -o fuseuid=, fusegid=.  0, or an exit status after having said why not. */
static int choose_ids(struct plan *p)
{
	struct identity i;

	if (p->form.uid && !identity_user(p->form.uid, &i))
		return fail("-o fuseuid=%s: there is no such user, and it is no number", p->form.uid);
	if (p->form.uid)
		p->uid = i.uid;
	if (p->form.gid && !identity_group(p->form.gid, &p->gid))
		return fail("-o fusegid=%s: there is no such group, and it is no number", p->form.gid);
	p->as = (p->form.uid ? UM_SERVANT_UID : 0) | (p->form.gid ? UM_SERVANT_GID : 0);
	return 0;
}

/* Options that are ours are taken out; what the kind of image needs is put in front. */
static void choose_opts(struct plan *p)
{
	static const char *const ours[] = { "human", "merge", "ro", "rw", "rw+", "defaults", "loop" };
	const struct fs_program *k = p->known;
	char *user = strdup(p->o->opts ? p->o->opts : "");

	if (!user || mount_call_take(&p->form, &user) < 0)
		user = strdup("");
	p->read_only = p->o->read_only || (k && (k->read_only || access(p->src, W_OK) < 0));
	p->secure = client_is_strict();		/* then nobody is root in an image because it is his */
	p->human = p->secure || opts_have(user, "human");
	p->merge = opts_have(user, "merge") && !p->new_place;
	p->alone = k && (k->exact || p->read_only) && !strstr(user, "_timeout=");
	for (size_t i = 0; i < (k ? sizeof(ours) / sizeof(ours[0]) : 2); i++) {
		char *less = opts_without(user, ours[i]);
		free(user);
		user = less;
	}
	if (k) {
		if (!p->human)
			add_opts(p, k->opts);
		if (p->secure)
			add_opts(p, "allow_other,default_permissions");
		add_opts(p, p->read_only ? k->opts_ro : k->opts_rw);
		if (k->nonempty && uses_libfuse2(p->program))
			add_opts(p, "nonempty");
		if (!strstr(user, "fsname="))
			add_fsname(p);
	} else if (p->o->read_only && !opts_have(user, "ro")) {
		add_opts(p, "ro");
	}
	add_opts(p, user);
	free(user);
}

/* ---- running it ----------------------------------------------------------------------------------- */

enum { STARTING, MOUNTED, LOST };

/* Has a mount of this keeper's appeared, and has its server answered the first request? */
static int mount_state(pid_t keeper, bool *seen)
{
	struct client_mount *list;
	int n = client_mounts(&list), state = *seen ? LOST : STARTING;

	for (int i = 0; i < n; i++) {
		if ((pid_t)list[i].info.keeper != keeper)
			continue;
		*seen = true;
		state = list[i].info.proto_major ? MOUNTED : STARTING;
		if (list[i].info.state == UM_SERVER_DEAD)
			state = LOST;
	}
	free(list);
	return state;
}

static int64_t ms_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Returns NULL when it is mounted, or what went wrong. */
static const char *wait_for_mount(struct keeper_link *k, char *why, size_t size)
{
	int64_t start = ms_now(), ended = 0;
	bool seen = false;

	for (int turn = 0;; turn++) {
		keeper_listen(k, turn < 50 ? 1 : 10);
		bool over = k->exited && !ended, bad = k->exited && k->status;
		if (over)
			ended = ms_now();
		int state = mount_state(k->pid, &seen);
		if (state == MOUNTED)
			return NULL;
		if (bad && WIFEXITED(k->status))
			snprintf(why, size, "exit status %d", WEXITSTATUS(k->status));
		else if (bad)
			snprintf(why, size, "killed by signal %d", WTERMSIG(k->status));
		else if (state == LOST || k->closed)
			snprintf(why, size, "its server ended");
		else if (!seen && ended && ms_now() - ended > MOUNT_AFTER_END)
			snprintf(why, size, "it ended without having mounted anything");
		else if (ms_now() - start > TIME_OUT)
			snprintf(why, size, "nothing was mounted within %d seconds", TIME_OUT / 1000);
		else
			continue;
		return why;
	}
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void print_output(const struct keeper_link *k, const char *name)
{
	char *text = strdup(k->output);

	for (char *line = text ? strtok(text, "\n") : NULL; line; line = strtok(NULL, "\n"))
		say("mount: %s: %s", name, line);
	free(text);
}

static const char *program_name(const struct plan *p)
{
	return p->module ? p->o->type : base_name(p->program);
}

/* -o showcall */
static void show_call(char *const *argv)
{
	fputs("umview: mount:", stderr);
	for (; *argv; argv++)
		fprintf(stderr, " '%s'", *argv);
	fputc('\n', stderr);
}

static int run(struct plan *p)
{
	const struct mount_call_what what = {
		.program = p->module ? "umview-module" : p->program, .module = p->module, .arg = p->known ? p->known->arg : NULL, .source = p->src, .place = p->dst, .options = p->opts,
	};
	char why[100], **argv = mount_call_argv(&p->form, &what);
	struct service s = {
		.program = p->program, .keep_cwd = !p->known,
		.flags = (p->human ? 0 : UM_SERVANT_ROOT) | (p->read_only ? UM_SERVANT_RO : 0) |
			 (p->merge ? UM_SERVANT_MERGE : 0) | (p->alone ? UM_SERVANT_ALONE : 0) | p->as,
		.uid = p->uid, .gid = p->gid,
		.argv = argv, .new_place = p->new_place ? p->dst : NULL,
	};
	struct keeper_link k;

	if (!argv)
		return fail("-o format=, pre=, post=: more than 64 words");
	if (p->form.show)
		show_call(argv);
	int r = keeper_start(&k, &s);
	mount_call_argv_free(argv);
	if (r < 0)
		return fail("cannot start a process: %s", strerror(-r));
	if (!wait_for_mount(&k, why, sizeof(why))) {
		keeper_accept(&k);
		return 0;
	}
	keeper_reject(&k);
	print_output(&k, program_name(p));
	return fail("%s: %s could not mount it: %s", p->o->src, program_name(p), why);
}

/* ---- what needs no program ------------------------------------------------------------------------ */

static bool needs_no_program(const struct mount_options *o)
{
	static const char *const types[] = { "bind", "merge", "hide", "tmpfs", "viewfs", "cow" };

	for (size_t i = 0; o->type && i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(o->type, types[i]))
			return true;
	return !o->type && opts_have(o->opts, "renew");
}

/* Is there a word in the list that a bind does not know?  Allocated, or NULL. */
static char *unknown_option(const char *list)
{
	static const char *const known[] = {
		"ro", "rw", "bind", "merge", "move", "hide", "renew", "perm", "permanent", "defaults",
	};
	char *copy = strdup(list ? list : ""), *found = NULL, *save;

	for (char *w = copy ? strtok_r(copy, ",", &save) : NULL; w && !found; w = strtok_r(NULL, ",", &save)) {
		bool ok = !strncmp(w, "except=/", 8);
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			ok |= !strcmp(w, known[i]);
		if (!ok)
			found = strdup(w);
	}
	free(copy);
	return found;
}

static int why_not(const struct mount_options *o)
{
	int error = errno;

	if (o->src && error == ENOENT && access(o->src, F_OK) < 0)
		return fail("%s: %s", o->src, strerror(ENOENT));
	if (error == ENOENT && o->opts && strstr(o->opts, "except="))
		return fail("%s: what except= names has to be there", o->dst);
	if (error == EINVAL && opts_have(o->opts, "renew"))
		return fail("%s: is not a mount point of this view; umview ls shows them", o->dst);
	if (error == EOPNOTSUPP && o->src)
		return fail("%s: what is merged into an image (-o merge) cannot be shown at %s, too; mount it there before the image",
			    o->src, o->dst);
	if (error == EBUSY && o->src)
		return fail("%s: is in a copy-on-write mount over a mount of the view; a bind mount cannot show it; make that first, and "
			    "the copy-on-write one over it", o->src);
	return fail("%s%s%s: %s", o->src ? o->src : "", o->src ? " on " : "", o->dst, strerror(error));
}

static int mount_tmpfs(const struct mount_options *o)
{
	char *opts = opts_without(o->opts, "rw"), *left = opts_without(opts, "ro");
	int r = 0;

	if (left && *left && strncmp(left, "mode=", 5))
		r = fail("tmpfs: -o %s: only mode= is possible: the memory is that of a directory of yours, and a limit "
			 "could not be kept", left);
	else if (mount(o->src ? o->src : "none", o->dst, "tmpfs", o->read_only ? MS_RDONLY : 0, left) < 0)
		r = why_not(o);
	free(opts);
	free(left);
	return r;
}

/* Nothing that mount(2) has no flag for? */
static bool is_plain(const char *opts)
{
	char *once = opts_without(opts, "ro"), *left = opts_without(once, "rw");
	bool plain = left && !*left;

	free(once);
	free(left);
	return plain;
}

/* Words of the first UMview that are not there: what to do instead. */
static const char *refused_option(const char *word)
{
	if (!strcmp(word, "vstat"))
		return "owners, modes and devices are kept virtually for a whole view and not for one mount: umview --fakeroot, "
		       "with --cow for the files themselves";
	if (!strcmp(word, "wok"))
		return "access(2) tells what would happen; make it true: -t cow or mincow makes what may not be written writable, "
		       "umview --fakeroot lets a virtual root see it so";
	return NULL;
}

/* bind, hide, renew: words of viewfs, which the agent knows. */
static int mount_viewfs(const struct mount_options *o)
{
	char *unknown = unknown_option(o->opts), *opts;
	const char *instead = unknown ? refused_option(unknown) : NULL;
	int r;

	if (instead) {
		r = fail("-o %s: %s", unknown, instead);
		free(unknown);
		return r;
	}
	if (unknown) {
		r = fail("-o %s: not known; there are ro, except=/REL, perm, renew, hide, merge, move", unknown);
		free(unknown);
		return r;
	}
	opts = opts_without(o->opts, "defaults");
	const char *type = o->type && (!strcmp(o->type, "hide") || !strcmp(o->type, "merge")) ? o->type : "viewfs";
	if (o->type && !strcmp(o->type, "bind") && is_plain(opts))
		r = mount(o->src, o->dst, "none", MS_BIND | (o->read_only ? MS_RDONLY : 0), NULL);
	else
		r = mount(o->src ? o->src : "none", o->dst, type, 0, opts);
	free(opts);
	return r < 0 ? why_not(o) : 0;
}

/* The newest mount at a path of the view. */
static bool find_mount(struct client_mount *list, int n, const char *path, struct um_mount_info *info)
{
	bool found = false;

	for (int i = 0; path && i < n; i++)
		if (!strcmp(list[i].path, path)) {
			*info = list[i].info;
			found = true;
		}
	return found;
}

/* EINVAL has several reasons. */
static int why_not_moved(const struct mount_options *o, int error)
{
	struct client_mount *list = NULL;
	struct um_mount_info info = { .kind = UM_MOUNT_NONE };
	char *old = realpath(o->src, NULL);
	int n = client_mounts(&list);
	bool is = find_mount(list, n, old ? old : o->src, &info);

	free(list);
	free(old);
	if (error == ENOENT)
		return fail("%s: does not exist", access(o->src, F_OK) < 0 ? o->src : o->dst);
	if (error == ELOOP)
		return fail("%s: lies in %s, which cannot be moved into itself", o->dst, o->src);
	if (error == EPERM && is && info.flags & UM_MNT_PERM)
		return fail("%s: is mounted for good (perm), and stays where it is", o->src);
	if (error == EBUSY)
		return fail("%s: the view outside has it, too; move it there", o->src);
	if (error != EINVAL)
		return fail("%s to %s: %s", o->src, o->dst, strerror(error));
	if (!is)
		return fail("%s: is not a mount point of this view; umview ls shows them", o->src);
	if (info.kind == UM_MOUNT_COW || info.kind == UM_MOUNT_MERGE || info.flags & UM_MNT_MERGE)
		return fail("%s: shows what lies there itself, too, and cannot be moved; to have it at %s: umview mount -t bind",
			    o->src, o->dst);
	if (info.kind == UM_MOUNT_HIDE)
		return fail("%s: is hidden, and nothing is there to be moved", o->src);
	return fail("%s to %s: one of them is a directory and the other is not, or something in it is copied on write", o->src, o->dst);
}

static int move_mount_to(const struct mount_options *o)
{
	return mount(o->src, o->dst, NULL, MS_MOVE, NULL) < 0 ? why_not_moved(o, errno) : 0;
}

/* ---- the command ---------------------------------------------------------------------------------- */

int make_binds(const struct step *steps, int n)
{
	int r = 0;

	for (int i = 0; !r && i < n; i++)
		r = mount_viewfs(&(struct mount_options){ .type = "bind", .src = steps[i].src, .dst = steps[i].dst });
	return r;
}

int cmd_mount(int argc, char **argv)
{
	struct mount_options o;
	struct plan p = { .o = &o };
	int r;

	if (argc == 1)
		return cmd_ls(argc, argv);
	if (mount_options_parse(&o, argc, argv) < 0)
		return fail("%s", o.error);
	if (!client_inside())
		return fail("not inside a view; start one with `umview`, or use umview --mount SRC DST -- COMMAND");
	if (o.move)
		return move_mount_to(&o);
	if (mount_is_cow(&o))
		return mount_cow(&o);
	if (needs_no_program(&o))
		return o.type && !strcmp(o.type, "tmpfs") ? mount_tmpfs(&o) : mount_viewfs(&o);
	r = choose_program(&p);
	if (!r)
		r = resolve_dst(&p);
	if (!r) {
		choose_opts(&p);
		r = choose_ids(&p);
	}
	if (!r)
		r = run(&p);
	mount_call_free(&p.form);
	free(p.module);
	free(p.src);
	free(p.dst);
	free(p.program);
	return r;
}
