/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/monitor/options.c: command lines.  The input is the words, each with its NUL; the first byte says
 * whose options they are.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/monitor/options.c"

#define MAX_WORDS	200

static void mount_words(int argc, char **argv)
{
	struct mount_options o;

	if (mount_options_parse(&o, argc, argv) == 0 && ((o.src && !*o.src) || !*o.dst))
		abort();
	free(o.joined);
	if (umount_options_parse(&o, argc, argv) == 0 && !*o.dst)
		abort();
}

static void start_words(int argc, char **argv)
{
	struct options o;

	if (options_parse(&o, argc, argv) < 0) {
		if (!o.error[0])
			abort();
		options_free(&o);
		return;
	}
	if (o.argc < 0 || o.argc >= argc || o.nsteps >= argc)
		abort();
	for (int i = 0; i < o.nsteps; i++)
		free(opts_without(o.steps[i].opts, "ro"));
	options_free(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *argv[MAX_WORDS + 1];
	int argc = 0;

	memcpy(text, data, size);
	text[size] = 0;
	for (char *p = text + (size > 0); p < text + size && argc < MAX_WORDS; p += strlen(p) + 1)
		argv[argc++] = p;
	argv[argc] = NULL;
	if (argc > 0 && (data[0] & 1))
		mount_words(argc, argv);
	else if (argc > 0)
		start_words(argc, argv);
	free(text);
	return 0;
}
