/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview ls --sessions`: what --cow has kept aside, oldest first, for people or as JSON.
 */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "log.h"
#include "review.h"

struct entry {
	const char *id;
	char dir[PATH_MAX], error[SESSION_ERROR], holder[320], started[64], counts[256];
	struct review_counts n;
	struct session s;
	bool good, used;
};

static void fill(struct entry *e)
{
	struct tm tm;

	e->used = session_is_used(e->dir, e->holder, sizeof(e->holder));
	e->good = session_open(&e->s, e->dir, false, e->error, sizeof(e->error)) == 0;
	if (!e->good)
		return;
	time_t started = e->s.state->started / 1000000000;
	strftime(e->started, sizeof(e->started), "%Y-%m-%d %H:%M:%S", localtime_r(&started, &tm));
	review_session_counts(&e->s, &e->n);
	review_counts_text(&e->n, e->counts, sizeof(e->counts));
}

static json_t *text(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : json_string("?");
}

static json_t *as_json(const struct entry *e)
{
	json_t *o = json_object();

	json_object_set_new(o, "id", text(e->id));
	json_object_set_new(o, "session", text(e->dir));
	json_object_set_new(o, "in_use", e->used ? text(e->holder) : json_null());
	if (!e->good) {
		json_object_set_new(o, "error", text(e->error));
		return o;
	}
	json_object_set_new(o, "lower", text(e->s.lower));
	json_object_set_new(o, "started", json_integer(e->s.state->started / 1000000000));
	json_object_set_new(o, "command", text(e->s.command));
	json_object_set_new(o, "added", json_integer(e->n.kinds[CHANGE_ADDED]));
	json_object_set_new(o, "changed", json_integer(e->n.kinds[CHANGE_CONTENTS] + e->n.kinds[CHANGE_TYPE]));
	json_object_set_new(o, "deleted", json_integer(e->n.kinds[CHANGE_DELETED]));
	json_object_set_new(o, "attributes", json_integer(e->n.kinds[CHANGE_ATTRIBUTES]));
	json_object_set_new(o, "conflicts", json_integer(e->n.conflicts));
	return o;
}

/* Names and commands are anybody's. */
static void print_shown(const char *before, const char *text)
{
	char *shown = path_shown(text, "");

	printf("%s%s", before, shown ? shown : "?");
	free(shown);
}

static void print(const struct entry *e)
{
	print_shown("", e->id);
	if (e->good) {
		print_shown("  ", e->s.lower);
		printf("  since %s", e->started);
		print_shown("  (", e->s.command);
		printf("): %s", e->counts);
	} else {
		print_shown("  ", e->error);
	}
	if (e->used)
		print_shown("; in use by ", e->holder);
	putchar('\n');
}

int ls_sessions(bool json)
{
	json_t *array = json_array();
	char home[PATH_MAX], **names;
	int n = session_list(&names);
	static struct entry e;

	if (n < 0 || session_home(home, sizeof(home)) < 0) {
		say("ls: no sessions can be listed: %s", n < 0 ? strerror(-n) : "neither XDG_STATE_HOME nor HOME is set");
		return 1;
	}
	for (int i = 0; i < n; i++) {
		memset(&e, 0, sizeof(e));
		e.id = names[i];
		if (snprintf(e.dir, sizeof(e.dir), "%s/%s", home, names[i]) >= (int)sizeof(e.dir))
			continue;
		fill(&e);
		if (json)
			json_array_append_new(array, as_json(&e));
		else
			print(&e);
		if (e.good)
			session_close(&e.s);
		free(names[i]);
	}
	free(names);
	if (json) {
		json_dumpf(array, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		putchar('\n');
	}
	json_decref(array);
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
