/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory and strings, and a small formatter: what the agent has in place of a C library.
 *
 * The memory functions are one string instruction each: they touch no vector register (those are the
 * guest's) and today's processors run them fast.  The compiler itself calls memcpy, memmove, memset and
 * memcmp for structures and loops it recognises, so none of them may be written as a loop that it would
 * turn back into a call of itself; the other loops here keep an empty asm in the body for the same
 * reason.  Hosted (unit tests) the C library's are used, and only the formatter is compiled.
 */
#include "agent.h"

#ifndef UM_HOSTED

#define OPAQUE(x)	__asm__("" : "+r"(x))

/* Words when dst lies 1..31 bytes further into its page than src: see guest_copy in entry.S. */
void *memcpy(void *dst, const void *src, size_t n)
{
	void *to = dst;

	if ((((uintptr_t)dst - (uintptr_t)src - 1) & 4095) < 31) {
		size_t words = n / 8;

		__asm__ volatile("rep movsq" : "+D"(to), "+S"(src), "+c"(words) : : "memory");
		n &= 7;
	}
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	unsigned char *to = dst;
	const unsigned char *from = src;

	if (to == from)
		return dst;
	if ((uintptr_t)to - (uintptr_t)from >= n)	/* not inside [from, from + n): backwards is a byte at a time */
		return memcpy(dst, src, n);
	to += n - 1;
	from += n - 1;
	__asm__ volatile("std; rep movsb; cld" : "+D"(to), "+S"(from), "+c"(n) : : "memory", "cc");
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	void *to = dst;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (; n; n--, p++, q++) {
		OPAQUE(p);
		if (*p != *q)
			return *p - *q;
	}
	return 0;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (*p) {
		p++;
		OPAQUE(p);
	}
	return (size_t)(p - s);
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	const unsigned char *p = (const unsigned char *)a, *q = (const unsigned char *)b;

	for (; n; n--, p++, q++) {
		OPAQUE(p);
		if (*p != *q)
			return *p - *q;
		if (!*p)
			break;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		OPAQUE(s);
		if (*s == (char)c)
			return (char *)s;
		if (!*s)
			return NULL;
	}
}

char *strrchr(const char *s, int c)
{
	const char *found = NULL;

	do {
		OPAQUE(s);
		if (*s == (char)c)
			found = s;
	} while (*s++);
	return (char *)found;
}

#endif

/* ---- the formatter ------------------------------------------------------------------------------- */

struct out {
	char *buf;
	size_t size, len;	/* len counts what would have been written, too */
};

/* One conversion: %[-][0][width][.precision][l|ll|z]letter */
struct conversion {
	bool left, zero;
	int width, precision;	/* precision -1: none */
	int longs;
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_times(struct out *o, char c, long n)
{
	while (n-- > 0)
		put(o, c);
}

static void put_text(struct out *o, const struct conversion *cv, const char *s)
{
	long n = 0;

	if (!s)
		s = "(null)";
	while ((cv->precision < 0 || n < cv->precision) && s[n])
		n++;
	if (!cv->left)
		put_times(o, ' ', cv->width - n);
	for (long i = 0; i < n; i++)
		put(o, s[i]);
	if (cv->left)
		put_times(o, ' ', cv->width - n);
}

static void put_number(struct out *o, const struct conversion *cv, unsigned long v, unsigned base,
		       const char *sign)
{
	char digits[24];
	long n = 0, zeros, length;

	do {
		digits[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	zeros = cv->precision - n;
	length = (long)strlen(sign) + n;
	if (cv->precision < 0 && cv->zero && !cv->left)
		zeros = cv->width - length;
	if (zeros < 0)
		zeros = 0;
	length += zeros;
	if (!cv->left)
		put_times(o, ' ', cv->width - length);
	while (*sign)
		put(o, *sign++);
	put_times(o, '0', zeros);
	while (n)
		put(o, digits[--n]);
	if (cv->left)
		put_times(o, ' ', cv->width - length);
}

static int small_number(const char **fmt)
{
	int v = 0;

	while (**fmt >= '0' && **fmt <= '9' && v < 100000)
		v = v * 10 + (*(*fmt)++ - '0');
	return v;
}

/* The caller copies its va_list into this, so that one function may take arguments for another. */
struct args { va_list ap; };

static const char *read_conversion(const char *fmt, struct conversion *cv, struct args *a)
{
	*cv = (struct conversion){ .precision = -1 };
	for (; *fmt == '-' || *fmt == '0'; fmt++) {
		cv->left |= *fmt == '-';
		cv->zero |= *fmt == '0';
	}
	if (*fmt == '*') {
		fmt++;
		cv->width = va_arg(a->ap, int);
	} else {
		cv->width = small_number(&fmt);
	}
	if (*fmt == '.') {
		fmt++;
		if (*fmt == '*') {
			fmt++;
			cv->precision = va_arg(a->ap, int);
		} else {
			cv->precision = small_number(&fmt);
		}
	}
	for (; *fmt == 'l' || *fmt == 'z'; fmt++)
		cv->longs++;
	return fmt;
}

static void convert(struct out *o, char letter, const struct conversion *cv, struct args *a)
{
	const char one[2] = { letter == 'c' ? (char)va_arg(a->ap, int) : letter, 0 };
	unsigned long v;
	long sv;

	switch (letter) {
	case 's':
		put_text(o, cv, va_arg(a->ap, const char *));
		return;
	case 'd':
	case 'i':
		sv = cv->longs ? va_arg(a->ap, long) : va_arg(a->ap, int);
		v = sv < 0 ? 0 - (unsigned long)sv : (unsigned long)sv;
		put_number(o, cv, v, 10, sv < 0 ? "-" : "");
		return;
	case 'p':
		put_number(o, cv, (unsigned long)va_arg(a->ap, void *), 16, "0x");
		return;
	case 'u':
	case 'x':
	case 'o':
		v = cv->longs ? va_arg(a->ap, unsigned long) : va_arg(a->ap, unsigned);
		put_number(o, cv, v, letter == 'u' ? 10 : letter == 'x' ? 16 : 8, "");
		return;
	case 'c':
		if (!one[0]) {		/* put_text() would print nothing */
			put(o, 0);
			return;
		}
		put_text(o, cv, one);
		return;
	default:			/* %% and what we do not know: the letter itself */
		put(o, letter);
	}
}

int text_vformat(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { .buf = buf, .size = size };
	struct conversion cv;
	struct args a;

	va_copy(a.ap, ap);
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt = read_conversion(fmt + 1, &cv, &a);
		if (!*fmt)
			break;
		convert(&o, *fmt, &cv, &a);
	}
	va_end(a.ap);
	if (size)
		buf[o.len < size ? o.len : size - 1] = 0;
	return (int)o.len;
}

int text_format(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = text_vformat(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

long text_number(const char **s)
{
	const char *p = *s;
	long v = 0;

	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10L, &v) || __builtin_add_overflow(v, *p - '0', &v))
			return -1;
	}
	*s = p;
	return v;
}
