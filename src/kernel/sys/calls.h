/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the handlers of calls on files share.  A handler by path fetches, resolves and calls
 * `w.fs->verb` (kernel/path.h); a handler by descriptor looks whether it is virtual and asks the file
 * (fs/remote.h), or makes the same call on the real descriptor.
 */
#ifndef UM_KERNEL_SYS_CALLS_H
#define UM_KERNEL_SYS_CALLS_H

#include "../../agent/trace.h"
#include "../fd.h"
#include "../path.h"
#include "../fs/readonly.h"
#include "../perm.h"
#include "../fs/remote.h"
#include "handlers.h"
#include "sysnr.h"

/* The call on a descriptor that fd_peek() says is real: `fd` must be its first argument. */
#define real_call(t, nr, fd, ...) \
	(__builtin_expect(fd_is_ours(fd), 0) ? -EBADF : kernel_call((t), (nr), (fd), ##__VA_ARGS__))

/*
 * The same as the last act of a handler whose call is the guest's own, number and arguments unchanged: the
 * shortest way there and back (pass_last() in entry.S).  Unit tests call handlers without registers.
 */
#ifdef UM_HOSTED
#define real_last	real_call
#else
#define real_last(t, nr, fd, ...) \
	(__builtin_expect(fd_is_ours(fd), 0) ? -EBADF : \
	 trace_ends() ? pass_through(t) : pass_last(t))
#endif

/*
 * Right after where_begin(): is the guest's call, as it made it, what is to be done, and nothing besides?  Then it can
 * be the handler's last act, too.
 */
#ifdef UM_HOSTED
#define where_is_last(w, name)	((void)(name), false)
#define where_way(w, t, dfd, name, flags)	((void)(w), WAY_LONG)
#else
static inline bool where_is_last(const struct where *w, gaddr name)
{
	return w->fs == &real_fs && !w->fast && w->upath == name && !(w->bind | w->read_only) &&
	       !trace_ends();
}
#endif

static inline bool fd_is_virtual(const struct task *t, int fd)
{
	return __builtin_expect(fd_peek(t, fd) != NULL, 0);
}

/* A NULL operation of struct fs_ops: there is no such thing at this place. */
#define place_call(w, verb, missing, ...) \
	((w)->fs->verb ? (w)->fs->verb((w), ##__VA_ARGS__) : -(missing))

/*
 * A change is to be made by a descriptor: true, if it is of something that a copy-on-write mount covers; then w is its
 * place, and the operation's result goes to where_end(), which tells -UM_ERETRY too.  False: *r is what is wrong, or 0.
 */
static inline bool cow_fd(struct where *w, struct task *t, int fd, long *r)
{
	long flags;

	*r = 0;
	if (!view_has(UM_MOUNT_COW) || cow_has_fd(t, fd))
		return false;
	flags = fd_is_ours(fd) ? -EBADF : raw_syscall(__NR_fcntl, fd, F_GETFL);
	if (flags < 0 || flags & O_PATH || (fd_is_virtual(t, fd) && fd_peek(t, fd)->flags & FILE_PATH))
		*r = -EBADF;
	else
		*r = where_begin(w, t, fd, 0, WHERE_EMPTY | WHERE_CHANGE | WHERE_SECOND);
	return !*r && w->cow;
}

/* The whole of it: true, and *r is the result; or as above. */
#define cow_fd_change(t, fd, r, verb, missing, ...) \
	({ \
		struct where w_; \
		bool took_; \
		do { \
			took_ = cow_fd(&w_, (t), (fd), (r)); \
			if (took_) \
				*(r) = where_end(&w_, place_call(&w_, verb, missing, ##__VA_ARGS__)); \
		} while (took_ && *(r) == -UM_ERETRY); \
		took_; \
	})

/* What may be in the way of a change (enum readonly_change): a read-only bind mount, permissions.  0 or -errno. */
static inline long change_verdict(struct where *w, enum readonly_change change)
{
	if (__builtin_expect(w->read_only, 0))
		return readonly_verdict(w, change);
	return __builtin_expect(w->strict, 0) ? perm_change(w, change) : 0;
}

/* The same, if nothing is. */
#define place_change(w, change, verb, missing, ...) \
	({ \
		long verdict_ = change_verdict((w), (change)); \
		verdict_ ? verdict_ : place_call(w, verb, missing, ##__VA_ARGS__); \
	})

/* May what is behind fd not be changed, though fd itself is fine? */
static inline bool fd_is_read_only(const struct task *t, int fd)
{
	const struct file *f = fd_peek(t, fd);

	return f ? f->flags & FILE_RDONLY : fd_read_only(t, fd);
}

/* AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH for where_begin(). */
static inline unsigned where_flags(int at)
{
	return (at & AT_SYMLINK_NOFOLLOW ? WHERE_NOFOLLOW : 0) | (at & AT_EMPTY_PATH ? WHERE_EMPTY : 0);
}

/* Is it fd itself that is meant: AT_EMPTY_PATH and an empty (since Linux 6.11 also a NULL) path? */
static inline bool names_fd(struct task *t, int fd, gaddr path, int at)
{
	char first;

	if (!(at & AT_EMPTY_PATH) || fd < 0)
		return false;
	return !path || (!copy_from_guest(t, &first, path, 1) && !first);
}

/* Closes a virtual descriptor: the carrier, the server, the entry.  close(2)'s result. */
long close_virtual(struct task *t, int fd);

#endif
