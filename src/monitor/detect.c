/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detection.
 *
 * libblkid knows file systems and partition tables; archives are told by their first bytes here.  The file
 * is read through ordinary calls, so it may lie inside another mount.
 */
#include <blkid/blkid.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "detect.h"

#define EXT(name) { name, "fuse2fs", "fuse2fs", NULL, "fakeroot", NULL, "ro", true, false, true, false }

static const struct fs_program programs[] = {
	EXT("ext2"), EXT("ext3"), EXT("ext4"),
	{ "squashfs", "squashfuse", "squashfuse", NULL, NULL, NULL, NULL, true, true, true, true },
	{ "iso9660", "fuseiso", "fuseiso", "-n", NULL, NULL, NULL, true, true, true, true },
	{ "vfat", "fusefat", "fusefat", NULL, NULL, "rw+", "ro", true, false, false, true },
	{ "ntfs", "ntfs-3g", "ntfs-3g", NULL, NULL, NULL, "ro", false, false, false, false },
	{ "zip", "archivemount", "archivemount", NULL, NULL, NULL, "readonly", true, false, false, true },
	{ "tar", "archivemount", "archivemount", NULL, NULL, NULL, "readonly", true, false, false, true },
};

const struct fs_program *program_for_type(const char *type)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (!strcmp(programs[i].type, type))
			return &programs[i];
	return NULL;
}

/* ---- archives ------------------------------------------------------------------------------------- */

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);

	return n >= k && !strcasecmp(name + n - k, suffix);
}

/* Whatever is compressed, only its name tells that a tar archive is in it. */
static bool is_compressed_tar(const char *name, const unsigned char *head, size_t n)
{
	static const struct { const char *magic; size_t len; const char *suffixes[3]; } known[] = {
		{ "\x1f\x8b", 2, { ".tar.gz", ".tgz", NULL } },
		{ "BZh", 3, { ".tar.bz2", ".tbz2", ".tbz" } },
		{ "\xfd" "7zXZ", 5, { ".tar.xz", ".txz", NULL } },
		{ "\x28\xb5\x2f\xfd", 4, { ".tar.zst", ".tzst", NULL } },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		for (int k = 0; k < 3 && known[i].suffixes[k]; k++)
			if (n >= known[i].len && !memcmp(head, known[i].magic, known[i].len) &&
			    has_suffix(name, known[i].suffixes[k]))
				return true;
	return false;
}

static const char *detect_archive(int fd, const char *name)
{
	unsigned char head[512];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	if (n < 4)
		return NULL;
	if (!memcmp(head, "PK\3\4", 4) || !memcmp(head, "PK\5\6", 4))
		return "zip";
	if (n == sizeof(head) && !memcmp(head + 257, "ustar", 5))
		return "tar";
	return is_compressed_tar(name, head, (size_t)n) ? "tar" : NULL;
}

/* ---- file systems --------------------------------------------------------------------------------- */

static const char *value(blkid_probe pr, const char *name)
{
	const char *v;

	return blkid_probe_lookup_value(pr, name, &v, NULL) == 0 ? v : NULL;
}

static const char *known_type(const char *type)
{
	const struct fs_program *p = program_for_type(type);

	return p ? p->type : NULL;
}

/* Looks for one thing: the probe must not mix file systems and partition tables. */
static const char *probe(blkid_probe pr, char *found, size_t size)
{
	const char *type, *table;

	int r = blkid_do_safeprobe(pr);
	if (r == -2) {
		snprintf(found, size, "signatures of several file systems");
		return NULL;
	}
	if (r != 0)
		return NULL;
	type = value(pr, "TYPE");
	table = value(pr, "PTTYPE");
	if (type && known_type(type))
		return known_type(type);
	if (type)
		snprintf(found, size, "%s", type);
	else if (table)
		snprintf(found, size, "a partition table (%s)", table);
	return NULL;
}

static const char *detect_fs(int fd, char *found, size_t size)
{
	blkid_probe pr = blkid_new_probe();
	const char *type = NULL;

	if (!pr)
		return NULL;
	if (blkid_probe_set_device(pr, fd, 0, 0) == 0) {
		blkid_probe_enable_superblocks(pr, 1);
		blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_USAGE);
		type = probe(pr, found, size);
		if (!type && !*found) {
			blkid_reset_probe(pr);
			blkid_probe_enable_superblocks(pr, 0);
			blkid_probe_enable_partitions(pr, 1);
			type = probe(pr, found, size);
		}
	}
	blkid_free_probe(pr);
	return type;
}

const char *detect_type(int fd, const char *name, char *found, size_t size)
{
	struct stat st;
	const char *type;

	*found = 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0) {
		snprintf(found, size, "an empty file");
		return NULL;
	}
	type = detect_fs(fd, found, size);
	if (!type && !*found)
		type = detect_archive(fd, name);
	if (!type && !*found)
		snprintf(found, size, "nothing known");
	return type;
}

/* ---- programs ------------------------------------------------------------------------------------- */

static char *program_in(const char *dir, size_t len, const char *name)
{
	struct stat st;
	char *path;

	if (asprintf(&path, "%.*s%s%s", (int)len, dir, len ? "/" : "", name) < 0)
		return NULL;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static char *program_in_list(const char *list, const char *name)
{
	char *path = NULL;

	while (list && !path) {
		size_t len = strcspn(list, ":");
		path = program_in(list, len, name);
		list = list[len] ? list + len + 1 : NULL;
	}
	return path;
}

char *find_program(const char *name)
{
	char *path;

	if (strchr(name, '/'))
		return program_in("", 0, name);
	path = program_in_list(getenv("PATH"), name);
	return path ? path : program_in_list("/usr/local/sbin:/usr/sbin:/sbin", name);
}

bool uses_libfuse2(const char *path)
{
	const char name[] = "libfuse.so.2";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool yes = false;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && st.st_size > 0) {
		void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p != MAP_FAILED) {
			yes = memmem(p, (size_t)st.st_size, name, sizeof(name) - 1) != NULL;
			munmap(p, (size_t)st.st_size);
		}
	}
	close(fd);
	return yes;
}
