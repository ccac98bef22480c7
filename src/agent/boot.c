/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot text: how a process's state in the agent crosses execve, as the first argument of the new
 * image (which takes it away before the program sees its arguments).
 */
#include "exec.h"

struct writer { char *p; size_t size, len; };

static void put(struct writer *w, char c)
{
	if (w->len + 1 < w->size)
		w->p[w->len] = c;
	w->len++;
}

static void put_text(struct writer *w, const char *key, const char *value)
{
	static const char hex[] = "0123456789abcdef";

	if (!value)
		return;
	put(w, ' ');
	while (*key)
		put(w, *key++);
	put(w, '=');
	for (; *value; value++) {
		unsigned char c = *value;
		if (c <= ' ' || c == '%') {
			put(w, '%');
			put(w, hex[c >> 4]);
			put(w, hex[c & 15]);
		} else {
			put(w, c);
		}
	}
}

static void put_number(struct writer *w, const char *key, long value)
{
	char text[24];
	text_format(text, sizeof text, "%ld", value);
	put_text(w, key, text);
}

long boot_write(const struct boot *b, char *buf, size_t size)
{
	struct writer w = { buf, size, 0 };

	put(&w, 'u');
	put(&w, 'm');
	put(&w, '1');
	put_number(&w, "first", b->first);
	put_number(&w, "image", b->image_fd);
	put_number(&w, "world", b->world_fd);
	put_number(&w, "view", b->view);
	put_number(&w, "epoch", b->epoch);
	put_number(&w, "server", b->server);
	put_number(&w, "umask", b->umask);
	put_number(&w, "ignored", (long)b->ignored);
	put_number(&w, "sigsys", b->sigsys_blocked);
	put_number(&w, "prog", b->prog_fd);
	put_number(&w, "interp", b->interp_fd);
	put_number(&w, "hold", b->hold_fd);
	if (b->guard)
		put_number(&w, "guard", b->guard);
	if (b->guard_fd >= 0)
		put_number(&w, "filters", b->guard_fd);
	put_text(&w, "cred", b->cred);
	if (b->own_pids)
		put_number(&w, "pids", 1);
	if (b->polls)
		put_number(&w, "polls", 1);
	if (b->fds_fd >= 0)
		put_number(&w, "table", b->fds_fd);
	put_text(&w, "fds", b->fds);
	put_text(&w, "cwd", b->cwd);
	put_text(&w, "exe", b->exe);
	if (w.len >= size)
		return -E2BIG;
	buf[w.len] = 0;
	return w.len;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(char *s)
{
	char *d = s;
	for (; *s; s++) {
		if (*s == '%' && hex_digit(s[1]) >= 0 && hex_digit(s[2]) >= 0) {
			*d++ = hex_digit(s[1]) * 16 + hex_digit(s[2]);
			s += 2;
		} else {
			*d++ = *s;
		}
	}
	*d = 0;
}

static long number(const char *s)
{
	bool minus = *s == '-';
	unsigned long v = 0;
	for (s += minus; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (*s - '0');
	return (long)(minus ? -v : v);
}

static void take(struct boot *b, const char *key, char *value)
{
	if (!strcmp(key, "first"))
		b->first = number(value);
	else if (!strcmp(key, "image"))
		b->image_fd = number(value);
	else if (!strcmp(key, "world"))
		b->world_fd = number(value);
	else if (!strcmp(key, "view"))
		b->view = number(value);
	else if (!strcmp(key, "epoch"))
		b->epoch = number(value);
	else if (!strcmp(key, "server"))
		b->server = number(value);
	else if (!strcmp(key, "umask"))
		b->umask = number(value);
	else if (!strcmp(key, "ignored"))
		b->ignored = number(value);
	else if (!strcmp(key, "sigsys"))
		b->sigsys_blocked = number(value);
	else if (!strcmp(key, "prog"))
		b->prog_fd = number(value);
	else if (!strcmp(key, "interp"))
		b->interp_fd = number(value);
	else if (!strcmp(key, "hold"))
		b->hold_fd = number(value);
	else if (!strcmp(key, "guard"))
		b->guard = number(value);
	else if (!strcmp(key, "filters"))
		b->guard_fd = number(value);
	else if (!strcmp(key, "ident"))
		b->ident = value;
	else if (!strcmp(key, "cred"))
		b->cred = value;
	else if (!strcmp(key, "pids"))
		b->own_pids = number(value);
	else if (!strcmp(key, "polls"))
		b->polls = number(value);
	else if (!strcmp(key, "table"))
		b->fds_fd = number(value);
	else if (!strcmp(key, "fds"))
		b->fds = value;
	else if (!strcmp(key, "cwd"))
		b->cwd = value;
	else if (!strcmp(key, "exe"))
		b->exe = value;
}

bool boot_read(struct boot *b, char *text)
{
	*b = (struct boot){ .image_fd = -1, .world_fd = -1, .epoch = UINT32_MAX, .prog_fd = -1, .interp_fd = -1,
			    .hold_fd = -1, .guard_fd = -1, .fds_fd = -1 };
	if (strncmp(text, "um1 ", 4))
		return false;
	for (char *p = text + 4; p; ) {
		char *next = strchr(p, ' '), *value;
		if (next)
			*next++ = 0;
		value = strchr(p, '=');
		if (value) {
			*value++ = 0;
			unescape(value);
			take(b, p, value);
		}
		p = next;
	}
	return b->image_fd >= 0 && b->world_fd >= 0;
}
