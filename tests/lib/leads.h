/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ways to a file, for guest programs: each leads to the file of this name, or is refused. */
#ifndef UM_TESTS_LEADS_H
#define UM_TESTS_LEADS_H

#include <stdarg.h>

#define TEXT "the file of this name"

/* What kernels and views say that do not let programs go a way at all. */
static MAYBE bool refusal(int e)
{
	return e == EPERM || e == EACCES || e == ENOSYS || e == EOPNOTSUPP;
}

/* fd is open on our file; closed afterwards. */
static MAYBE void is_ours(long fd, int line, const char *way)
{
	char buf[64] = "";
	int e = errno;

	if (fd < 0) {
		guest_fail(line, "%s: %s", way, strerrorname_np(e));
		return;
	}
	if (pread((int)fd, buf, sizeof(buf) - 1, 0) < 0 || strcmp(buf, TEXT))
		guest_fail(line, "%s: reads \"%s\" (%s)", way, buf, strerrorname_np(errno));
	close((int)fd);
}

#define LEADS(way)	is_ours((long)(way), __LINE__, #way)
#define LEADS_OR_REFUSED(way) do { \
	errno = 0; \
	long fd_ = (long)(way); \
	if (fd_ >= 0 || !refusal(errno)) \
		is_ours(fd_, __LINE__, #way); \
	} while (0)

static char here[PATH_MAX];

static MAYBE void start(void)
{
	REQUIRE(getcwd(here, sizeof(here)));
	put("f", TEXT);
	OK(mkdir("d", 0755));
	OK(mkdir("d/e", 0755));
	put("d/f", TEXT);
}

static MAYBE int opened(const char *fmt, ...)
{
	char path[2 * PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	return open(path, O_RDONLY);
}

#endif
