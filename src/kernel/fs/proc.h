/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the real /proc and /dev must look different in a view: of a guest, whoever looks at it in the
 * view, its program, cwd, virtual descriptors, mappings and signals; the mount tables; /dev/fuse.
 *
 *	proc.c		names, and the tables of operations
 *	proc_peer.c	what the agent of another process knows
 *	proc_exe.c	exe
 *	proc_fd.c	fd, fdinfo, cwd
 *	proc_file.c	files whose text is made when they are opened
 *	proc_bound.c	mappings of what lies behind bind mounts
 *	proc_text.c	text in disguise
 *	proc_maps.c	maps, smaps, numa_maps
 *	proc_status.c	status, stat, syscall
 *	proc_mounts.c	mounts, mountinfo, mountstats
 */
#ifndef UM_KERNEL_FS_PROC_H
#define UM_KERNEL_FS_PROC_H

#include "../path.h"
#include "../../agent/patch.h"

enum proc_what {
	PROC_NONE,		/* nothing special */
	PROC_DIR,		/* a directory, surely no link (self and thread-self are taken as such) */
	PROC_EXE,		/* the program: the kernel's link shows the agent */
	PROC_CWD,		/* a virtual cwd */
	PROC_FD,		/* a virtual descriptor */
	PROC_BOUND,		/* a real descriptor or cwd (AT_FDCWD) behind a bind mount: the kernel knows the other end */
	PROC_HIDDEN,		/* one of the agent's descriptors */
	PROC_MAGIC,		/* a link whose text is no path to walk: only the kernel can follow it */
	PROC_MOUNTS,		/* from here on, files whose text we make: proc_made() */
	PROC_MOUNTINFO,
	PROC_MOUNTSTATS,
	PROC_MAPS,
	PROC_SMAPS,
	PROC_NUMA_MAPS,
	PROC_STATUS,
	PROC_STAT,
	PROC_SYSCALL,
	PROC_FDINFO,
	PROC_FDS,		/* a directory of descriptors: its size is their number */
	PROC_ROOT,		/* a root of its own */
};

static inline bool proc_is_made(uint8_t what)
{
	return what >= PROC_MOUNTS && what <= PROC_FDINFO;
}

/* What is at this canonical path?  It begins with "/proc". */
struct proc_hit proc_look(const struct task *t, const char *path, size_t len);

/* The operations for places with w->proc.what set, and for /dev/fuse: real_fs but for what is faked. */
const struct fs_ops *proc_fs(void);
const struct fs_ops *fuse_node_fs(void);

/* ---- other processes (proc_peer.c); pid 0 means we ---------------------------------------------------- */

/* Does a magic link lead to the file that our descriptor is open on? */
bool proc_leads_to(const char *path, int fd);

/* Is it a guest of this view's monitor, as far as we may know? */
bool proc_in_view(int pid);

/*
 * Memory of its agent, which is the same image as ours: so our own addresses lead to its variables.  False
 * if it may not be read.  What comes back may have been caught in the middle of a change.
 */
bool peer_read(int pid, const void *at, void *buf, size_t n);

/* A string there, with its NUL.  Length or -errno. */
long peer_string(int pid, const char *at, char *buf, size_t size);

/* A copy of the task of one of its threads (0: the first). */
bool peer_task(int pid, int tid, struct task *copy);

/* ---- links -------------------------------------------------------------------------------------------- */

/* A whole small file, NUL-terminated, as much as fits.  Length or -errno. */
long proc_read_file(const char *path, char *buf, size_t size);

/* The canonical path of the program that a process (0: we) runs.  Length, or -errno: the kernel's link is
 * right, or nobody knows better. */
long proc_exe(int pid, char *buf, size_t size);

/* To find that out takes a descriptor for a moment.  Without one this is said, rather than the agent be shown. */
static inline bool proc_no_descriptor(long error) { return error == -EMFILE || error == -ENFILE; }

/* process.exe of that process (length, 0 if it has none, or -errno); its path as the kernel has it (length or
 * -errno). */
long proc_remembered_exe(int pid, char *buf, size_t size);
long proc_mapped_exe(int pid, char *buf, size_t size);

/* What /proc/PID/fd/N and cwd of another process are. */
enum proc_what proc_fd_kind(int pid, int fd);
enum proc_what proc_cwd_kind(int pid, int tid);

/* Is it a descriptor (PROC_BOUND, PROC_MAGIC) that was opened through a read-only bind mount? */
bool proc_is_read_only(const struct task *t, const struct proc_hit *h);

/* The virtual file behind PROC_FD, PROC_CWD or PROC_FDINFO, with a reference, or NULL. */
struct file *proc_file_of(struct task *t, const struct proc_hit *h);

/* Is this descriptor of a process (0: we) of something in the tree of a copy-on-write mount, or that has a copy there by now? */
bool fd_in_tree(const struct task *t, int pid, int fd);		/* t: who asks, or NULL: what has been copied does not matter */

/* Has a process (0: we) a root of its own? */
bool proc_has_root(const struct task *t, int pid, int tid);

/* The text of the link of PROC_CWD, PROC_FD, PROC_ROOT, PROC_BOUND, as a path of the view.  Length or -errno. */
long proc_link_text(struct task *t, const struct proc_hit *h, char *buf, size_t size);

/* Memory files that stand for something bear it in their name (file_to_memfd, proc_made).  `text` is what the
 * kernel shows of one ("/memfd:..."): where the path in it begins and how long it is, or NULL. */
const char *proc_stands_for(const char *text, size_t *n, unsigned *minor, uint64_t *ino);
#define PROC_STANDS	"umview:%x:%lx:%s"

/* How many descriptors of a process are its agent's. */
int proc_hidden_fds(int pid);

/* The process of a pidfd; <= 0: it is none, or its process is no more. */
long proc_of_pidfd(int pidfd);

/* Is fd, in the process of that pidfd, its agent's? */
bool proc_pidfd_hides(int pidfd, int fd);

/* Takes the agent's out of n bytes of directory entries of fd, just read into guest memory.  Bytes left. */
long proc_filter_dirents(struct task *t, int fd, gaddr buf, long n, bool legacy);

/* ---- text in disguise (proc_text.c) --------------------------------------------------------------------- */

struct proc_stubs {
	int n;
	struct stub_area area[STUB_AREAS];
};
void proc_stubs_find(struct proc_stubs *s, int pid);	/* none, if its agent may not be asked */
bool proc_is_stub(const struct proc_stubs *s, uint64_t page);

/* An address in a stub becomes the one behind the site that the stub is for. */
uint64_t proc_not_in_stub(int pid, uint64_t pc);

/* The prepared file whose copy is at this offset of the world file (*stubs: behind its text), or NULL. */
const struct um_prepared *proc_prepared_copy(uint64_t offset, bool *stubs);
/* The prepared file whose text is at this address of the process whose stubs these are, or NULL. */
const struct um_prepared *proc_prepared_at(const struct proc_stubs *s, uint64_t address);

#define PROC_WORLD	"/memfd:umview-world (deleted)"	/* as the kernel names it */

/* ---- mappings of what lies behind bind mounts (proc_bound.c) -------------------------------------------- */

struct proc_bound {
	struct proc_bound *next;
	uint64_t at, len;
	uint32_t bind, bound;	/* as where.bind and bound */
};
#define PROC_BOUND_MAX	4096u

void proc_bound_note(uint64_t at, uint64_t len, uint32_t bind, uint32_t bound);
size_t proc_bound_list(int pid, struct proc_bound list[PROC_BOUND_MAX]);	/* of a process, newest first */

/* ---- files whose text is made (proc_file.c) ------------------------------------------------------------ */

struct made {
	struct task *t;
	struct proc_hit hit;
	int in, out;		/* the kernel's file, and the memory file */
	long error;		/* of writing */
	char *buf, *obuf;	/* MADE_SIZE each */
	size_t from, to;	/* what has been read into buf */
	size_t olen;		/* and what waits in obuf */
	size_t line_len;	/* without its newline */
	bool begins, ends;	/* the line is whole, or which end of it this piece has */
};
#define MADE_SIZE	(32u << 10)

/* The next line of the kernel's file, NUL instead of its newline; a very long one comes in pieces.  NULL: the end. */
char *made_line(struct made *m);
void made_put(struct made *m, const char *s, size_t n);
void made_flush(struct made *m);
void made_format(struct made *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void made_copy(struct made *m, const char *line);	/* the line as it was */

/* The kernel's file at w has been opened as `real` (or -errno): what the guest gets instead, under the same
 * number. */
long proc_made(struct where *w, long real, int flags);

void made_maps(struct made *m);		/* and smaps */
void made_numa_maps(struct made *m);
void made_status(struct made *m);
void made_stat(struct made *m);
void made_syscall(struct made *m);
void made_mounts(struct made *m);	/* and mountinfo, mountstats */
void made_fdinfo(struct made *m);

/* A hexadecimal number at *s, moves *s behind it. */
uint64_t proc_hex(const char **s);

#endif
