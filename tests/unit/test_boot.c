/* SPDX-License-Identifier: GPL-2.0-or-later */
/* src/agent/boot.c: what goes over exec comes back as it was, and nonsense is refused. */
#include "tap.h"
#include "shim.h"
#include "agent/exec.h"

static void round_trip(void)
{
	char text[UM_BOOT_MAX];
	struct boot a = {
		.first = true, .image_fd = 1023, .world_fd = 1022, .view = 7, .epoch = UINT32_MAX, .server = 1,
		.umask = 0277, .ignored = 1ull << 63 | 5, .sigsys_blocked = true, .prog_fd = 3, .interp_fd = -1, .hold_fd = 1001,
		.guard = 5, .guard_fd = 9,
		.ident = "0:0:0", .cred = "1,2,3",
		.fds = "4:2:17:x", .cwd = "/a b/100%\n\tend", .exe = "/usr/bin/with space=and equal",
	}, b;

	ok(boot_write(&a, text, sizeof text) > 0, "written");
	ok(strchr(text, '\n') == NULL, "one line");
	ok(boot_read(&b, text), "read back");
	is_int(b.first, 1, "first");
	is_int(b.image_fd, 1023, "image");
	is_int(b.world_fd, 1022, "world");
	is_int(b.view, 7, "view");
	ok(b.epoch == UINT32_MAX, "epoch");
	is_int(b.server, 1, "server");
	ok(b.ignored == a.ignored, "ignored signals, the 64th too");
	ok(b.sigsys_blocked, "SIGSYS blocked");
	is_int(b.umask, 0277, "the umask");
	is_int(b.prog_fd, 3, "program");
	is_int(b.interp_fd, -1, "no interpreter");
	is_int(b.hold_fd, 1001, "what keeps the mount busy");
	is_int(b.guard, 5, "what there is of filters");
	is_int(b.guard_fd, 9, "the filters");
	is_str(b.cred, a.cred, "an identity");
	ok(!b.ident, "who the first was said to be does not matter any more");
	is_str(b.fds, a.fds, "descriptors");
	is_str(b.cwd, a.cwd, "a directory with blanks, percent, newline");
	is_str(b.exe, a.exe, "a program with a blank and an equals sign");
}

static void bad_text(void)
{
	struct boot b;
	char small[16], no_world[] = "um1 image=5", other[] = "hello", odd[] = "um1 image=5 world=6 new=thing junk x=%zz";
	struct boot a = { .image_fd = 1, .world_fd = 2, .exe = "/a/long/enough/path" };

	is_int(boot_write(&a, small, sizeof small), -E2BIG, "too long for the buffer");
	ok(!boot_read(&b, no_world), "no world");
	ok(!boot_read(&b, other), "another first argument");
	ok(boot_read(&b, odd), "unknown keys and words are passed over");
	is_int(b.prog_fd, -1, "what is not said is not there");
}

int main(void)
{
	plan(0);
	round_trip();
	bad_text();
	return done();
}
