/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tiny harness for tests that print TAP (Test Anything Protocol), as `prove` and `meson test` read it:
 *
 *	int main(void)
 *	{
 *		plan(0);			// 0: the number is printed at the end
 *		ok(2 > 1, "two is more");
 *		is_int(add(1, 2), 3, "add");
 *		is_str(name(), "x", "name of %d", 1);
 *		return done();			// 0 if all went well
 *	}
 */
#ifndef UM_TAP_H
#define UM_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_planned, tap_run, tap_failed;

__attribute__((unused)) static void plan(int n)
{
	tap_planned = n;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (n)
		printf("1..%d\n", n);
}

/* A comment, shown by `prove -v`. */
__attribute__((unused, format(printf, 1, 2))) static void diag(const char *fmt, ...)
{
	va_list ap;

	printf("# ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

__attribute__((unused)) static int tap_result(int good, const char *file, int line, const char *fmt, va_list ap)
{
	printf("%sok %d - ", good ? "" : "not ", ++tap_run);
	vprintf(fmt, ap);
	printf("\n");
	if (!good) {
		tap_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	return good;
}

__attribute__((unused, format(printf, 4, 5)))
static int tap_ok(int good, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_result(good, file, line, fmt, ap);
	va_end(ap);
	return good;
}

__attribute__((unused, format(printf, 5, 6)))
static int tap_is_int(long long got, long long want, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tap_result(got == want, file, line, fmt, ap);
	va_end(ap);
	if (got != want)
		printf("#   got %lld (0x%llx), want %lld (0x%llx)\n", got, (unsigned long long)got,
		       want, (unsigned long long)want);
	return got == want;
}

__attribute__((unused, format(printf, 5, 6)))
static int tap_is_str(const char *got, const char *want, const char *file, int line, const char *fmt, ...)
{
	int good = got && want ? !strcmp(got, want) : got == want;
	va_list ap;

	va_start(ap, fmt);
	tap_result(good, file, line, fmt, ap);
	va_end(ap);
	if (!good)
		printf("#   got \"%s\", want \"%s\"\n", got ? got : "(null)", want ? want : "(null)");
	return good;
}

#define ok(cond, ...)		tap_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, want, ...)	tap_is_int((long long)(got), (long long)(want), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, want, ...)	tap_is_str((got), (want), __FILE__, __LINE__, __VA_ARGS__)

/* Counts as passed; the reason is shown. */
__attribute__((unused, format(printf, 1, 2))) static void skip(const char *fmt, ...)
{
	va_list ap;

	printf("ok %d # SKIP ", ++tap_run);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

__attribute__((unused)) static int done(void)
{
	if (!tap_planned)
		printf("1..%d\n", tap_run);
	return tap_failed || (tap_planned && tap_planned != tap_run);
}

#endif
