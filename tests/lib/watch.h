/* SPDX-License-Identifier: GPL-2.0-or-later */
/* inotify, for guest programs: what is in a queue, as a text. */
#ifndef UM_TESTS_WATCH_H
#define UM_TESTS_WATCH_H

#include <sys/inotify.h>

#define ALL	(IN_ALL_EVENTS)

static const struct { uint32_t bit; const char *name; } bits[] = {
	{ IN_ACCESS, "access" }, { IN_MODIFY, "modify" }, { IN_ATTRIB, "attrib" }, { IN_CLOSE_WRITE, "close-write" },
	{ IN_CLOSE_NOWRITE, "close" }, { IN_OPEN, "open" }, { IN_MOVED_FROM, "from" }, { IN_MOVED_TO, "to" },
	{ IN_CREATE, "create" }, { IN_DELETE, "delete" }, { IN_DELETE_SELF, "delete-self" }, { IN_MOVE_SELF, "move-self" },
	{ IN_UNMOUNT, "unmount" }, { IN_Q_OVERFLOW, "overflow" }, { IN_IGNORED, "ignored" }, { IN_ISDIR, "dir" },
};

static MAYBE int watching(void)
{
	return (int)MUST(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
}

/* What is in the queue: "WD BIT+BIT NAME; ...".  A move's two halves have "=" in front: the cookies are the same. */
static MAYBE const char *events(int fd)
{
	static char out[8192], buf[65536] __attribute__((aligned(8)));
	uint32_t cookie = 0;
	size_t at = 0;
	ssize_t n;

	out[0] = 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n && at < sizeof(out) - 512;) {
			const struct inotify_event *e = (const void *)(buf + i);
			const char *plus = "";

			at += (size_t)sprintf(out + at, "%s%s", at ? "; " : "", e->cookie && e->cookie == cookie ? "=" : "");
			if (e->wd != 1)
				at += (size_t)sprintf(out + at, "%d ", e->wd);
			for (size_t b = 0; b < sizeof(bits) / sizeof(bits[0]); b++)
				if (e->mask & bits[b].bit) {
					at += (size_t)sprintf(out + at, "%s%s", plus, bits[b].name);
					plus = "+";
				}
			if (e->len)
				at += (size_t)snprintf(out + at, 300, " %s", e->name);
			TRUE(!e->cookie == !(e->mask & (IN_MOVED_FROM | IN_MOVED_TO)));
			cookie = e->cookie;
			i += (ssize_t)sizeof(*e) + e->len;
		}
	}
	EQ(errno, EAGAIN);
	return out;
}

#endif
