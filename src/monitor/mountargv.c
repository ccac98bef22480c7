/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a FUSE program is called: its arguments, as it is usual, or as the options `nosource`, `pre=`, `post=` and `format=` of `umview mount` say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mountargv.h"
#include "options.h"

#define MOST	64		/* arguments */

/* ---- options ---------------------------------------------------------------------------------------------- */

/* NAME=VALUE out of the list, where "\," is a comma of the value; NULL: it is not there. */
static char *take_value(char *list, const char *name)
{
	const size_t n = strlen(name);
	char *at = list, *value, *to;

	while (*at && (strncmp(at, name, n) || at[n] != '=')) {
		while (*at && *at != ',')
			at += 1 + (*at == '\\' && at[1]);
		at += *at == ',';
	}
	if (!*at)
		return NULL;
	value = to = malloc(strlen(at) + 1);
	if (!value)
		return NULL;
	char *end = at + n + 1;
	while (*end && *end != ',') {
		if (*end == '\\' && end[1] == ',')
			end++;
		*to++ = *end++;
	}
	*to = 0;
	if (*end)
		end++;
	else if (at > list)
		at--;			/* the comma in front of the last one */
	memmove(at, end, strlen(end) + 1);
	return value;
}

int mount_call_take(struct mount_call_form *f, char **options)
{
	char *list = *options, *less;

	*f = (struct mount_call_form) {
		.no_source = opts_have(list, "nosource"), .show = opts_have(list, "showcall"),
		.pre = take_value(list, "pre"), .post = take_value(list, "post"), .format = take_value(list, "format"),
		.uid = take_value(list, "fuseuid"), .gid = take_value(list, "fusegid"),
	};
	less = opts_without(list, "nosource");
	free(list);
	*options = less ? opts_without(less, "showcall") : NULL;
	free(less);
	return *options ? 0 : -1;
}

void mount_call_free(struct mount_call_form *f)
{
	free(f->pre);
	free(f->post);
	free(f->format);
	free(f->uid);
	free(f->gid);
	*f = (struct mount_call_form) { .pre = NULL };
}

/* ---- arguments -------------------------------------------------------------------------------------------- */

struct arguments {
	char **v;
	size_t n;
	bool full;
};

static void add(struct arguments *a, const char *word)
{
	if (a->n == MOST || !(a->v[a->n] = strdup(word)))
		a->full = true;
	else
		a->n++;
}

/* What a letter behind % stands for; NULL: nothing. */
static const char *meaning(const struct mount_call_what *w, char letter)
{
	switch (letter) {
	case 'O': return w->options;
	case 'S': return w->source;
	case 'M': return w->place;
	case '%': return "%";
	default: return NULL;
	}
}

/* One word, quotes taken away and what stands behind % put in; *at goes behind it. */
static char *next_word(const struct mount_call_what *w, const char **at)
{
	char *word = NULL, quote = 0;
	size_t size;
	FILE *out = open_memstream(&word, &size);
	const char *s = *at;

	for (; out && *s && (quote || *s != ' '); s++) {
		const char *means = *s == '%' && s[1] ? meaning(w, s[1]) : NULL;

		if (means) {
			fputs(means, out);
			s++;
		} else if (quote ? *s == quote : *s == '\'' || *s == '"') {
			quote = quote ? 0 : *s;
		} else {
			fputc(*s, out);
		}
	}
	if (out)
		fclose(out);
	*at = s;
	return word;
}

static void add_words(struct arguments *a, const struct mount_call_what *w, const char *text)
{
	while (text && *text) {
		char *word;

		if (*text == ' ') {
			text++;
			continue;
		}
		word = next_word(w, &text);
		if (word)
			add(a, word);
		else
			a->full = true;
		free(word);
	}
}

static void add_usual(struct arguments *a, const struct mount_call_form *f, const struct mount_call_what *w)
{
	add_words(a, w, f->pre);
	if (w->arg)
		add(a, w->arg);
	if (!f->no_source && strcasecmp(w->source, "none"))
		add(a, w->source);
	add(a, w->place);
	if (*w->options) {
		add(a, "-o");
		add(a, w->options);
	}
	add_words(a, w, f->post);
}

char **mount_call_argv(const struct mount_call_form *f, const struct mount_call_what *w)
{
	struct arguments a = { .v = calloc(MOST + 1, sizeof(char *)) };

	if (!a.v)
		return NULL;
	add(&a, w->program);
	if (w->module)
		add(&a, w->module);
	if (f->format)
		add_words(&a, w, f->format);
	else
		add_usual(&a, f, w);
	if (!a.full)
		return a.v;
	mount_call_argv_free(a.v);
	return NULL;
}

void mount_call_argv_free(char **argv)
{
	for (size_t i = 0; argv && argv[i]; i++)
		free(argv[i]);
	free(argv);
}
