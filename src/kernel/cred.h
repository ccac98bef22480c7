/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The identity that a thread believes to have: ids, groups, capabilities, as the kernel keeps them in its struct cred.
 *
 * A thread without one (task.cred == NULL) is who the kernel says it is, and pays a test of that pointer.  With one
 * (--fakeroot, --user, umview su) the calls about users and groups are answered here, by the kernel's rules but with these
 * ids; to the kernel the process is who it always was, so nothing is gained that the user does not have.  What
 * real files are then said to be, fs/ident.c knows.
 *
 * Owned by one thread, copied at birth, and carried over exec in the boot text.  fs/proc_status.c of another process may
 * read it.
 */
#ifndef UM_KERNEL_CRED_H
#define UM_KERNEL_CRED_H

#include "task.h"

#define UM_NGROUPS	512u
#define UM_CRED_TEXT	(25u * 11 + UM_NGROUPS * 11)

enum {		/* capabilities that something here asks for; numbers of linux/capability.h */
	CRED_CHOWN = 0, CRED_DAC_OVERRIDE, CRED_DAC_READ_SEARCH, CRED_FOWNER, CRED_FSETID, CRED_KILL, CRED_SETGID, CRED_SETUID,
	CRED_SETPCAP, CRED_SYS_MODULE = 16, CRED_SYS_RAWIO, CRED_SYS_CHROOT, CRED_SYS_PTRACE, CRED_SYS_PACCT, CRED_SYS_ADMIN,
	CRED_SYS_BOOT, CRED_SYS_NICE, CRED_SYS_RESOURCE, CRED_SYS_TIME, CRED_SYS_TTY_CONFIG, CRED_MKNOD, CRED_LAST = 40,
};
#define CRED_ALL	((1ull << (CRED_LAST + 1)) - 1)

struct cred_ids {		/* of one kind: users, or groups */
	uint32_t real, effective, saved, fs;
};

struct cred {
	struct cred_ids uid, gid;
	uint64_t permitted, effective, inheritable, bounding, ambient;
	uint32_t securebits;
	uint32_t secure;		/* AT_SECURE of the running program */
	uint32_t own_uid, own_gid;	/* whose the files are said to be that really are the caller's: */
	uint32_t kernel_uid, kernel_gid;	/* these ids.  All four never change */
	uint32_t strict;		/* he is kept from what is not his: perm.h */
	uint32_t ngroups;
	uint32_t groups[];
};

static inline bool cred_can(const struct cred *c, int capability)
{
	return c->effective >> capability & 1;
}

/* Is gid the file system's group, or one of the others? */
bool cred_in_group(const struct cred *c, uint32_t gid);

/* "UID:GID:GROUP,GROUP..." (numbers; the groups may be none): who has just logged in with these.  With an "s" in front
 * he is strict, as he is if `old` was.  Root has all capabilities.  `old`, if any, tells whose the caller's files are, else this one owns them.  NULL: nonsense, or no memory. */
struct cred *cred_login(const char *text, const struct cred *old);

/* The same with these groups. */
struct cred *cred_with_groups(const struct cred *c, const uint32_t *groups, uint32_t n);

struct cred *cred_copy(const struct cred *c);	/* NULL of NULL; or of no memory */

/* The text for the next image, as cred_read() takes it. */
void cred_write(const struct cred *c, char buf[UM_CRED_TEXT]);
struct cred *cred_read(const char *text);

/* What execve makes of it: the program's mode, owner and group may change the ids. */
void cred_exec(struct cred *c, uint32_t mode, uint32_t uid, uint32_t gid);

/* ---- the rules of the calls: 0 or a result, or -errno ------------------------------------------------- */

#define CRED_SAME	UINT32_MAX	/* -1: leave this one */

long cred_setuid(struct cred *c, uint32_t id);
long cred_setgid(struct cred *c, uint32_t id);
long cred_setreuid(struct cred *c, uint32_t real, uint32_t effective);
long cred_setregid(struct cred *c, uint32_t real, uint32_t effective);
long cred_setresuid(struct cred *c, uint32_t real, uint32_t effective, uint32_t saved);
long cred_setresgid(struct cred *c, uint32_t real, uint32_t effective, uint32_t saved);
long cred_setfsuid(struct cred *c, uint32_t id);
long cred_setfsgid(struct cred *c, uint32_t id);
long cred_capset(struct cred *c, uint64_t effective, uint64_t permitted, uint64_t inheritable);

/* The options of prctl(2) that are about capabilities; -ENOSYS: this is none of them. */
long cred_prctl(struct cred *c, int option, unsigned long a, unsigned long b, unsigned long d, unsigned long e);

#endif
