/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small FUSE file system of the high-level API, of libfuse 2.9 or 3 by FUSE_USE_VERSION, with a main() of its own: one file, whose text --text=
 * says.  Built as a shared object it is mounted by `umview mount -t umfuse...`; it keeps its state in globals, as old ones do.
 */
#if FUSE_USE_VERSION >= 30
#include <fuse3/fuse.h>
#define INFO		, struct fuse_file_info *fi
#define FLAGS		, enum fuse_readdir_flags flags
#define NO_INFO		(void)fi
#define NO_FLAGS	(void)flags
#define ADD(buf, name)	fill(buf, name, NULL, 0, 0)
#else
#include <fuse.h>
#define INFO
#define FLAGS
#define NO_INFO
#define NO_FLAGS
#define ADD(buf, name)	fill(buf, name, NULL, 0)
#endif
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static char text[200];

static int get(const char *path, struct stat *st INFO)
{
	NO_INFO;
	memset(st, 0, sizeof *st);
	st->st_mode = S_IFDIR | 0755;
	st->st_nlink = 2;
	if (!strcmp(path, "/"))
		return 0;
	st->st_mode = S_IFREG | 0444;
	st->st_nlink = 1;
	st->st_size = (off_t)strlen(text);
	return strcmp(path, "/text") ? -ENOENT : 0;
}

static int list(const char *path, void *buf, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *fi FLAGS)
{
	(void)path;
	(void)offset;
	(void)fi;
	NO_FLAGS;
	ADD(buf, ".");
	ADD(buf, "..");
	ADD(buf, "text");
	return 0;
}

static int get_text(const char *path, char *buf, size_t size, off_t offset, struct fuse_file_info *fi)
{
	size_t len = strlen(text);

	(void)path;
	(void)fi;
	if ((size_t)offset >= len)
		return 0;
	if (size > len - (size_t)offset)
		size = len - (size_t)offset;
	memcpy(buf, text + offset, size);
	return (int)size;
}

static const struct fuse_operations ops = { .getattr = get, .readdir = list, .read = get_text };

int main(int argc, char **argv)
{
	static const struct option options[] = { { "text", required_argument, NULL, 't' }, { NULL, 0, NULL, 0 } };

	snprintf(text, sizeof text, "%s", FUSE_USE_VERSION >= 30 ? "three" : "two");
	if (getopt_long(argc, argv, "+", options, NULL) == 't')
		snprintf(text, sizeof text, "%s", optarg);
	argv[optind - 1] = argv[0];
	return fuse_main(argc - optind + 1, argv + optind - 1, &ops, NULL);
}
