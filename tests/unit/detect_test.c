/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detection on small real images, made here with the ordinary tools.  What cannot be made because a tool
 * is missing is skipped.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tap.h"
#include "../../src/monitor/detect.c"

static char dir[] = "/tmp/um-detect-XXXXXX";

static const struct {
	const char *name, *tool, *make;		/* shell text; $I is the image, $D a directory with a file */
	const char *type, *found;
} cases[] = {
	{ "e4", "mkfs.ext4", "truncate -s 4M $I; mkfs.ext4 -qF $I", "ext4", "" },
	{ "e2", "mkfs.ext2", "truncate -s 1M $I; mkfs.ext2 -qF $I", "ext2", "" },
	{ "sq", "mksquashfs", "mksquashfs $D $I -quiet -no-progress", "squashfs", "" },
	{ "iso", "genisoimage", "genisoimage -quiet -R -o $I $D", "iso9660", "" },
	{ "fat", "mkfs.vfat", "truncate -s 2M $I; mkfs.vfat $I", "vfat", "" },
	{ "ntfs", "mkfs.ntfs", "truncate -s 4M $I; mkfs.ntfs -QqF $I", "ntfs", "" },
	{ "a.zip", "zip", "cd $D && zip -qr $I .", "zip", "" },
	{ "a.tar", "tar", "tar -C $D -cf $I .", "tar", "" },
	{ "a.tar.gz", "gzip", "tar -C $D -c . | gzip >$I", "tar", "" },
	{ "b.tgz", "gzip", "tar -C $D -c . | gzip >$I", "tar", "" },
	{ "plain.gz", "gzip", "echo hello | gzip >$I", NULL, "nothing known" },
	{ "text", "sh", "echo this is no image >$I", NULL, "nothing known" },
	{ "zeros", "truncate", "truncate -s 1M $I", NULL, "nothing known" },
	{ "empty", "sh", ": >$I", NULL, "an empty file" },
	{ "short", "sh", "printf P >$I", NULL, "nothing known" },
	{ "swap", "mkswap", "truncate -s 1M $I; chmod 600 $I; mkswap -q $I", NULL, "swap" },
	{ "mbr", "sfdisk", "truncate -s 4M $I; echo 2048,,83 | sfdisk -q $I", NULL, "a partition table (dos)" },
	{ "gpt", "sfdisk", "truncate -s 4M $I; echo 'label: gpt' | sfdisk -q $I", NULL, "a partition table (gpt)" },
};

static int shell(const char *image, const char *text)
{
	char line[1024];

	snprintf(line, sizeof(line), "D=%s/d; I=%s/%s; { %s; } >/dev/null 2>&1", dir, dir, image, text);
	return system(line);
}

static void test_case(size_t i)
{
	char path[200], found[128] = "?";
	char *tool = find_program(cases[i].tool);

	if (!tool) {
		skip("%s: %s is not installed", cases[i].name, cases[i].tool);
		return;
	}
	free(tool);
	snprintf(path, sizeof(path), "%s/%s", dir, cases[i].name);
	shell(cases[i].name, cases[i].make);
	int fd = open(path, O_RDONLY);
	const char *type = detect_type(fd, path, found, sizeof(found));
	is_str(type, cases[i].type, "%s: its type", cases[i].name);
	is_str(found, cases[i].found, "%s: what was found", cases[i].name);
	if (fd >= 0)
		close(fd);
}

static void test_programs(void)
{
	char *sh = find_program("sh"), *mkfs = find_program("mkfs.ext4");

	ok(sh && sh[0] == '/', "sh is found");
	ok(!find_program("no-such-program"), "no-such-program is not");
	ok(!find_program("/etc/passwd"), "nor what is no program");
	free(mkfs);
	free(sh);
	setenv("PATH", "/nowhere", 1);
	ok(!find_program("sh"), "nor what is not in PATH");
	mkfs = find_program("mkfs.ext4");
	ok(mkfs, "but programs of the administrator are");
	free(mkfs);
	is_str(program_for_type("ext3")->program, "fuse2fs", "ext3 is fuse2fs's");
	ok(!program_for_type("btrfs"), "nobody serves btrfs");
	ok(!uses_libfuse2("/bin/sh"), "sh does not use libfuse 2");
}

int main(void)
{
	char line[100];

	plan(0);
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	if (!mkdtemp(dir))
		return 1;
	shell("-", "mkdir $D; echo hello >$D/file");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(i);
	test_programs();
	setenv("PATH", "/usr/bin:/bin", 1);
	snprintf(line, sizeof(line), "rm -rf %s", dir);
	ok(system(line) == 0, "nothing is left behind");
	return done();
}
