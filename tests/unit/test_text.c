/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/agent/text.c: our memory and string functions against the C library's (compiled here once more
 * under names of their own), and the formatter against snprintf().
 */
#include <limits.h>
#include <stdlib.h>
#include <stdint.h>
#include "tap.h"

#undef UM_HOSTED
#define memcpy um_memcpy
#define memmove um_memmove
#define memset um_memset
#define memcmp um_memcmp
#define strlen um_strlen
#define strcmp um_strcmp
#define strncmp um_strncmp
#define strchr um_strchr
#define strrchr um_strrchr
#include "../../src/agent/text.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef strlen
#undef strcmp
#undef strncmp
#undef strchr
#undef strrchr

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static void test_memory(void)
{
	unsigned char a[64], b[64];
	int bad = 0;

	for (unsigned from = 0; from < 32; from++) {
		for (unsigned to = 0; to < 32; to++) {
			for (unsigned n = 0; n < 32; n++) {
				for (unsigned i = 0; i < 64; i++)
					a[i] = b[i] = (unsigned char)(i * 7);
				bad |= um_memmove(a + to, a + from, n) != a + to;
				memmove(b + to, b + from, n);
				bad |= memcmp(a, b, sizeof(a)) != 0;
			}
		}
	}
	ok(!bad, "memmove, all overlaps");

	um_memset(a, 0x1ab, 10);
	ok(a[0] == 0xab && a[9] == 0xab && a[10] != 0xab, "memset");
	um_memcpy(b, a, 10);
	ok(!memcmp(a, b, 10), "memcpy");
	is_int(um_memcmp("abc", "abd", 2), 0, "memcmp stops at n");
	ok(um_memcmp("ab\xff", "ab\1", 3) > 0, "memcmp compares unsigned");
}

static void test_strings(void)
{
	static const char *const s[] = { "", "a", "ab", "abc", "abd", "b", "\xff", "a/b/c", "//" };
	int bad = 0;

	for (unsigned i = 0; i < sizeof(s) / sizeof(*s); i++) {
		bad |= um_strlen(s[i]) != strlen(s[i]);
		for (int c = 0; c < 256; c++)
			bad |= um_strchr(s[i], c) != strchr(s[i], c) || um_strrchr(s[i], c) != strrchr(s[i], c);
		for (unsigned j = 0; j < sizeof(s) / sizeof(*s); j++) {
			bad |= sign(um_strcmp(s[i], s[j])) != sign(strcmp(s[i], s[j]));
			for (unsigned n = 0; n < 5; n++)
				bad |= sign(um_strncmp(s[i], s[j], n)) != sign(strncmp(s[i], s[j], n));
		}
	}
	ok(!bad, "strlen, strchr, strrchr, strcmp, strncmp as the C library's");
}

#define SAME(...) do { \
	char own[64], libc[64]; \
	int n = text_format(own, sizeof(own), __VA_ARGS__), m = snprintf(libc, sizeof(libc), __VA_ARGS__); \
	is_str(own, libc, "text_format(%s)", #__VA_ARGS__); \
	is_int(n, m, "its length"); \
} while (0)

static void test_format(void)
{
	const char *volatile none = NULL;
	char buf[8];

	SAME("plain");
	SAME("%s|%10s|%-10s|%.2s|%.*s", "abc", "abc", "abc", "abc", 1, "abc");
	SAME("%c%c%%", 'x', 'y');
	SAME("%d %d %d %5d|%-5d|%05d", 0, -1, INT_MAX, -42, -42, -42);
	SAME("%d %ld %ld", INT_MIN, LONG_MIN, LONG_MAX);
	SAME("%u %lu %zu", UINT_MAX, ULONG_MAX, sizeof(int));
	SAME("%x %lx %08x %4x|%-4x|", 0xbeefu, ULONG_MAX, 0x1234u, 0xau, 0xau);
	SAME("%o %03o %lo", 0644u, 7u, 0ul);
	SAME("%.3d %6.3d %llu", 7, -7, 18446744073709551615ull);
	SAME("%p", (void *)0x7e9000000000);
	SAME("%*d|%s", 6, 12, "end");

	is_int(text_format(buf, sizeof(buf), "0123456789"), 10, "a short buffer: the length wanted");
	is_str(buf, "0123456", "... is cut and terminated");
	is_int(text_format(NULL, 0, "abc"), 3, "no buffer at all");
	text_format(buf, sizeof(buf), "%s", none);
	is_str(buf, "(null)", "NULL as a string");
}

static void test_number(void)
{
	const char *s = "123:9223372036854775807:9223372036854775808:x";

	is_int(text_number(&s), 123, "a number");
	is_str(s, ":9223372036854775807:9223372036854775808:x", "moved behind it");
	s++;
	is_int(text_number(&s), LONG_MAX, "the largest");
	s++;
	is_int(text_number(&s), -1, "one too large");
	s = "";
	is_int(text_number(&s), -1, "none");
	s = "-1";
	is_int(text_number(&s), -1, "no sign");
}

int main(void)
{
	plan(0);
	test_memory();
	test_strings();
	test_format();
	test_number();
	return done();
}
