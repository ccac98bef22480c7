/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Real files as seen by who has an identity of its own (kernel/cred.h): fs/real.c and the handlers of calls on real
 * descriptors come here when task.cred is set, and only then.
 *
 * Files that really are the caller's are shown as owned by cred.own_uid and own_gid.  What is changed about owner, mode and
 * device beyond what the kernel does for the caller is remembered by inode in the world's table (kernel/vstat.h), for all
 * processes of all views with an identity.
 */
#ifndef UM_KERNEL_FS_IDENT_H
#define UM_KERNEL_FS_IDENT_H

#include "../acl.h"
#include "../cred.h"
#include "../path.h"
#include "../vstat.h"

static inline bool has_identity(const struct task *t)
{
	return __builtin_expect(t->cred != NULL, 0);
}

/* Or is what the kernel shows of a file not what this guest shall see, for that or another reason (cow_show())? */
static inline bool shows_other(const struct task *t)
{
	return __builtin_expect(t->cred != NULL || view_has(UM_MOUNT_COW), 0);
}

/* How to name a file to the kernel: a path as *at() calls take it; of a descriptor "" and AT_EMPTY_PATH. */
struct target {
	struct task *t;
	int dfd;
	gaddr path;
	int at;
	struct where *w;	/* stat: nobody has asked yet whether it is a name of what a copy-on-write mount has a copy of; or NULL */
};
static inline struct target target_fd(struct task *t, int fd)
{
	return (struct target){ t, fd, (gaddr)"", AT_EMPTY_PATH, NULL };
}

/* What the kernel says of a file becomes what the guest is shown. */
void ident_show(const struct task *t, struct stat *st);

/* The calls, on something that is real.  must_follow: a link gives -UM_EAGAIN (fs/real.c). */
long ident_stat(const struct target *g, bool must_follow, gaddr buf);
long ident_statx(const struct target *g, bool must_follow, int flags, unsigned mask, gaddr buf);
long ident_chmod(const struct target *g, bool must_follow, unsigned mode);
long ident_chown(const struct target *g, bool must_follow, unsigned uid, unsigned gid);

/*
 * Access lists (ident_acl.c).  begin: 1, a->acl is to be set in place of what the guest gave, and if that succeeds, end; 0, it is
 * nothing of the kind; or -errno.  show: n bytes have just been read.
 */
struct ident_acl {
	struct acl acl;
	unsigned mode;
};
long ident_acl_begin(const struct target *g, const char *name, gaddr buf, size_t size, struct ident_acl *a);
void ident_acl_end(const struct target *g, const struct ident_acl *a);
void ident_acl_show(const struct target *g, const char *name, gaddr buf, long n);

/* As the guest sees it; its mode becomes this one; a mode with which its real owner can go on as root would. */
long ident_ask(const struct target *g, struct stat *shown);
long ident_settle_mode(const struct target *g, unsigned mode);
unsigned ident_workable(const struct stat *st, unsigned mode);

/* The calls that make something: `make` is the kernel's way to do it. */
long ident_open(struct where *w, int flags, unsigned mode, long (*make)(struct where *w, int flags, unsigned mode));
long ident_mkdir(struct where *w, unsigned mode);
long ident_mknod(struct where *w, unsigned mode, unsigned dev);
void ident_symlinked(struct where *w);
void ident_bound(struct task *t, char *path);	/* a socket; from the cwd */

/* Before a name is taken away (true: there may be something to forget), and when it is gone. */
bool ident_will_go(struct where *w, struct stat *st);
bool ident_stays(struct where *w, const struct stat *st);	/* a rename of two names of one file does nothing */
void ident_gone(struct task *t, const struct stat *st);

#endif
