/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which code may be patched, and what a stub looks like.  Exact shapes only:
 *
 *	b8 imm32 0f 05			mov $nr,%eax; syscall	the mov becomes e9 rel32
 *	48 c7 c0 imm32 0f 05		mov $nr,%rax; syscall	likewise
 *	31 c0 0f 05 48 3d 00 f0 ff ff	xor %eax,%eax; syscall; cmp $-4096,%rax (glibc's read): the xor becomes
 *					a short jump to e9 rel32 in padding behind a near `cmp; ja; ret`
 *	mov %esi,%eax; syscall		in glibc's _exit, whole, where esi is 231: a short jump to the nop
 *					in front of its loop
 *
 * rt_sigreturn is never patched: unwinders know its bytes.  Pure functions, tested by tests/golden.
 */
#include <string.h>
#include <asm/unistd.h>
#include "patch_shape.h"
#include "../arch/x86_64/offsets.h"

#define PAGE	4096ul

static uint32_t read32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

/* Bytes of the nop at p, or 0: the forms that assemblers use for padding. */
static int nop_length(const uint8_t *p, int n)
{
	int prefix = 0;

	while (prefix < n && prefix < 5 && p[prefix] == 0x66)
		prefix++;
	if (prefix < n && p[prefix] == 0x2e)
		prefix++;
	if (n - prefix < 8 || p[prefix] != 0x0f || p[prefix + 1] != 0x1f)
		return 0;
	switch (p[prefix + 2]) {
	case 0x00: return prefix + 3;
	case 0x04:
	case 0x40: return prefix + 4;
	case 0x44: return prefix + 5;
	case 0x80: return prefix + 7;
	case 0x84: return prefix + 8;
	default:   return 0;
	}
}

static const char compare[] = "\x48\x3d\x00\xf0\xff\xff";	/* cmp $-4096,%rax */

/*
 * Five unused bytes that a short jump at `from` reaches: the padding behind `cmp; ja; ret`, or its second
 * half when the first is already in use.  Their place, or -1.
 */
static int find_padding(const uint8_t *p, int n, int from)
{
	for (int i = from > 110 ? from - 110 : 0; i + 9 + 10 <= n && i < from + 110; i++) {
		const uint8_t *pad = p + i + 9;
		if (memcmp(p + i, compare, 6) || p[i + 6] != 0x77 || p[i + 8] != 0xc3)
			continue;
		if (nop_length(pad, n - i - 9) >= 5)
			return i + 9;
		if (pad[0] == 0xe9 && !memcmp(pad + 5, "\0\0\0\0\0", 5))
			return i + 14;
	}
	return -1;
}

/* glibc's read: xor %eax,%eax; syscall; cmp $-4096,%rax: room for a short jump only. */
static bool is_read(const uint8_t *p, int n, int at)
{
	return at >= 2 && at + 8 <= n && p[at - 2] == 0x31 && p[at - 1] == 0xc0 &&
	       !memcmp(p + at + 2, compare, 6);
}

/*
 * glibc's _exit up to its exit_group: mov $231,%esi; mov $60,%edx; jmp 1f; nopl; 2: mov %edx,%eax; syscall;
 * cmp $-4096,%rax; ja; hlt; 1: mov %esi,%eax.  (It loops back to 2.)
 */
static const uint8_t exit_code[] =
	"\xbe\xe7\0\0\0\xba\x3c\0\0\0\xeb\x12\x0f\x1f\x44\0\0\x89\xd0\x0f\x05\x48\x3d\0\xf0\xff\xff\x77\x1c\xf4\x89\xf0";
#define EXIT_LENGTH	((int)sizeof(exit_code) - 1)
#define EXIT_NOP	12

static bool is_exit(const uint8_t *p, int at)
{
	return at >= EXIT_LENGTH && !memcmp(p + at - EXIT_LENGTH, exit_code, EXIT_LENGTH);
}

bool patch_recognise(const uint8_t *p, int n, int at, struct patch_shape *s)
{
	*s = (struct patch_shape){ 0 };
	if (at + 2 > n || p[at] != 0x0f || p[at + 1] != 0x05)
		return false;
	if (at >= 7 && p[at - 7] == 0x48 && p[at - 6] == 0xc7 && p[at - 5] == 0xc0)
		*s = (struct patch_shape){ at - 7, at - 7, 9, read32(p + at - 4) };
	else if (at >= 6 && p[at - 5] == 0xb8 && (p[at - 6] & 0xf0) != 0x40)
		*s = (struct patch_shape){ at - 5, at - 5, 7, read32(p + at - 4) };
	else if (is_read(p, n, at) && find_padding(p, n, at - 2) >= 0)
		*s = (struct patch_shape){ at - 2, find_padding(p, n, at - 2), 4, 0 };
	else if (is_exit(p, at))
		*s = (struct patch_shape){ at - 2, at - EXIT_LENGTH + EXIT_NOP, 4, __NR_exit_group };
	return s->length && s->nr != __NR_rt_sigreturn;
}

/*
 * Calls about the descriptor that is their first argument, which the kernel may be given as they are when no
 * descriptor is virtual (fd_entry in entry.S); those that open or close descriptors have hints to think of, too.
 */
static uint32_t short_way(int nr)
{
	switch (nr) {
	case __NR_read: case __NR_write: case __NR_pread64: case __NR_pwrite64: case __NR_readv: case __NR_writev:
	case __NR_lseek: case __NR_fsync: case __NR_fdatasync: case __NR_ftruncate:
		return WATCH_FD;
	case __NR_close: case __NR_fcntl: case __NR_dup:
		return WATCH_FD_TABLE;
	case __NR_fstat:
		return WATCH_FD_OWNER;
	default:
		return 0;
	}
}

void patch_write_stub(uint8_t *buf, uint64_t stub, uint64_t site, const struct patch_shape *s)
{
	uint64_t resume = site + s->length;
	uint32_t rel, mask = short_way(s->nr);

	memset(buf, 0xcc, STUB_SIZE);
	memcpy(buf, "\x48\x8d\x0d", 3);				/* lea tail(%rip),%rcx */
	rel = STUB_TAIL - 7;
	memcpy(buf + 3, &rel, 4);
	memcpy(buf + 7, "\xff\x25", 2);				/* jmp *entry(%rip) */
	rel = PAGE - (mask ? 16 : 8) - ((stub & (PAGE - 1)) + 13);	/* the page's last words hold them */
	memcpy(buf + 9, &rel, 4);
	buf[13] = 0xb8;						/* mov $nr,%eax; syscall: if gs is not ours */
	memcpy(buf + 14, &s->nr, 4);
	memcpy(buf + 18, "\x0f\x05", 2);
	buf[STUB_TAIL] = 0xe9;					/* jmp resume */
	rel = (uint32_t)(resume - (stub + STUB_TAIL + 5));
	memcpy(buf + STUB_TAIL + 1, &rel, 4);
	memcpy(buf + STUB_TAIL + STUB_MASK, &mask, 4);
	site -= stub + STUB_TAIL;
	resume -= stub + STUB_TAIL;
	memcpy(buf + STUB_TAIL + STUB_SITE, &site, 8);
	memcpy(buf + STUB_TAIL + STUB_RESUME, &resume, 8);
}
