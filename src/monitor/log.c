/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages and the log of the view.
 *
 * A message is one line on the user's stderr.  The monitor has no stderr (it would keep a pipe of the
 * caller open), so it hands its messages to the launcher as long as that lives.  The log is for what
 * nobody asked for: output of servers, diagnostics of guests.  Its end is kept in memory so that it can
 * be shown when a mount fails.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define LOG_KEPT	(64u << 10)
#define LINE_SIZE	1024

static void (*say_send)(void *arg, const char *line);
static void *say_arg;

static char kept[LOG_KEPT];
static size_t kept_len;
static int log_fd = -1;

void log_say_to(void (*send)(void *arg, const char *line), void *arg)
{
	say_send = send;
	say_arg = arg;
}

void say(const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (say_send)
		say_send(say_arg, line);
	else
		dprintf(STDERR_FILENO, "umview: %s\n", line);
}

void log_to_file(int fd)
{
	log_fd = fd;
}

/* Makes room by dropping whole lines from the front. */
static void kept_make_room(size_t need)
{
	if (kept_len + need <= LOG_KEPT)
		return;
	size_t drop = kept_len + need - LOG_KEPT;
	char *nl = memchr(kept + drop, '\n', kept_len - drop);

	drop = nl ? (size_t)(nl + 1 - kept) : kept_len;
	memmove(kept, kept + drop, kept_len - drop);
	kept_len -= drop;
}

void log_text(const char *line, size_t len)
{
	char text[LINE_SIZE + 1];

	while (len && line[len - 1] == '\n')
		len--;
	if (!len)
		return;
	if (len > LINE_SIZE)
		len = LINE_SIZE;
	memcpy(text, line, len);
	text[len++] = '\n';
	if (log_fd >= 0 && write(log_fd, text, len) < 0)
		log_fd = -1;
	kept_make_room(len);
	memcpy(kept + kept_len, text, len);
	kept_len += len;
}

void log_line(const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		log_text(line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

size_t log_tail(char *buf, size_t size)
{
	size_t from = 0;

	if (kept_len > size) {
		char *nl = memchr(kept + kept_len - size, '\n', size);
		from = nl ? (size_t)(nl + 1 - kept) : kept_len;
	}
	memcpy(buf, kept + from, kept_len - from);
	return kept_len - from;
}
