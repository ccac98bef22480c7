/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a file is, and which FUSE program serves such a thing.
 */
#ifndef UM_MONITOR_DETECT_H
#define UM_MONITOR_DETECT_H

#include <stdbool.h>
#include <stddef.h>

/* How a FUSE program is called for a kind of image. */
struct fs_program {
	const char *type;		/* as in umview mount -t */
	const char *program, *package;
	const char *arg;		/* an argument in front of SRC, or NULL */
	const char *opts;		/* always given */
	const char *opts_rw, *opts_ro;	/* in addition, by whether it is to be written */
	bool nonempty;			/* ask for `nonempty` if it is linked with libfuse 2 */
	bool read_only;			/* it can only be read */
	bool exact;			/* no file has two names, but for hard links that st_nlink tells of */
	bool fsname;			/* tell it to name SRC as the source of the mount */
};

/* By type ("ext4", "squashfs", ...); NULL if there is none. */
const struct fs_program *program_for_type(const char *type);

/*
 * Looks at the content of an open file.  Returns a type program_for_type() knows, or NULL and in `found`
 * what it seems to be ("nothing known", "a partition table (dos)", "xfs").
 */
const char *detect_type(int fd, const char *name, char *found, size_t size);

/* Where a program is: in PATH, or where administrators' programs are.  Returns a string to be freed, or NULL. */
char *find_program(const char *name);

/* Does the program use libfuse 2? */
bool uses_libfuse2(const char *path);

#endif
