/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `umview ls`: the mounts of this view, oldest first, for people or as JSON.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "commands.h"
#include "log.h"

static const char *state_name(const struct um_mount_info *i)
{
	switch (i->state) {
	case UM_SERVER_LIVE:
		return i->kind == UM_MOUNT_REMOTE && !i->proto_major ? "starting" : "live";
	case UM_SERVER_ENDING:
		return "ending";
	case UM_SERVER_DEAD:
		return "dead";
	}
	return "?";
}

static const char *type_name(const struct client_mount *m)
{
	return m->info.kind == UM_MOUNT_BIND && strcmp(m->fstype, "tmpfs") ? "bind" : m->fstype;
}

static const char *source_name(const struct client_mount *m)
{
	return m->info.kind == UM_MOUNT_BIND ? m->target : m->source;
}

static const char *access_name(const struct client_mount *m)
{
	return m->info.flags & 1 ? "ro" : "rw";
}

/* A source may be anything; JSON is UTF-8. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);

	if (j)
		return j;
	char *ascii = strdup(s);
	for (char *p = ascii; p && *p; p++)
		if (*p & 0x80)
			*p = '?';
	j = json_string(ascii ? ascii : "");
	free(ascii);
	return j;
}

static void print_json(const struct client_mount *list, int n)
{
	json_t *array = json_array();
	struct um_info info;

	client_info(&info);
	for (int i = 0; i < n; i++) {
		const struct client_mount *m = &list[i];
		json_t *o = json_object();
		json_object_set_new(o, "id", json_integer(m->info.id));
		json_object_set_new(o, "source", text(source_name(m)));
		json_object_set_new(o, "target", text(m->path));
		json_object_set_new(o, "type", text(type_name(m)));
		json_object_set_new(o, "access", text(access_name(m)));
		json_object_set_new(o, "options", text(m->options));
		json_object_set_new(o, "server", m->info.pid ? json_integer(m->info.pid) : json_null());
		json_object_set_new(o, "state", text(state_name(&m->info)));
		json_object_set_new(o, "inherited", json_boolean(m->info.view != info.view));
		json_array_append_new(array, o);
	}
	json_dumpf(array, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(array);
}

static int width(int so_far, const char *s)
{
	int n = (int)strlen(s);

	return n > so_far ? n : so_far;
}

static void print_table(const struct client_mount *list, int n)
{
	int target = 6, source = 6, type = 4;

	for (int i = 0; i < n; i++) {
		target = width(target, list[i].path);
		source = width(source, source_name(&list[i]));
		type = width(type, type_name(&list[i]));
	}
	if (n)
		printf("%-*s  %-*s  %-*s  %-2s  %-8s  %s\n", target, "TARGET", source, "SOURCE", type, "TYPE",
		       "RW", "STATE", "SERVER");
	for (int i = 0; i < n; i++) {
		const struct client_mount *m = &list[i];
		printf("%-*s  %-*s  %-*s  %-2s  %-8s  ", target, m->path, source, source_name(m), type,
		       type_name(m), access_name(m), state_name(&m->info));
		if (m->info.pid)
			printf("%u\n", m->info.pid);
		else
			printf("-\n");
	}
}

int cmd_ls(int argc, char **argv)
{
	struct client_mount *list;
	bool json = false, sessions = false;

	for (int i = 1; i < argc; i++) {
		json |= !strcmp(argv[i], "--json");
		sessions |= !strcmp(argv[i], "--sessions");
		if (strcmp(argv[i], "--json") && strcmp(argv[i], "--sessions")) {
			say("ls: unknown argument %s; usage: umview ls [--sessions] [--json]", argv[i]);
			return 1;
		}
	}
	if (sessions)
		return ls_sessions(json);
	int n = client_mounts(&list);
	if (n < 0) {
		if (!client_inside())
			say("ls: not inside a view; start one with `umview`");
		else
			say("ls: %s", strerror(-n));
		return 1;
	}
	if (json)
		print_json(list, n);
	else
		print_table(list, n);
	free(list);
	return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
