/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors and cwd of guests in /proc: ours, about which we know everything, and those of other
 * processes.  There a carrier is recognised by what the kernel shows of it: it is open on the world file, its
 * offset (in fdinfo) names server and handle.  Which descriptors belong to the other agent, where its cwd is, and
 * what was found behind bind mounts, its memory says; without that, those that can only be the agent's are left out.
 */
#include <linux/fcntl.h>
#include "proc.h"
#include "../cow.h"
#include "../path_walk.h"
#include "remote.h"
#include "dirents.h"
#include "../../arch/x86_64/offsets.h"

/* ---- another process's descriptors ------------------------------------------------------------------------ */

struct carried {
	uint32_t server, handle, flags;
};

/* What fdinfo says: "pos:\t123\nflags:\t0100002\n...".  False: no carrier's offset. */
static bool parse_carrier(const char *s, struct carried *c)
{
	uint64_t pos;

	if (strncmp(s, "pos:\t", 5))
		return false;
	s += 5;
	pos = (uint64_t)text_number(&s);
	if ((long)pos < 0 || !UM_LOCK_IS(pos))
		return false;
	c->server = UM_LOCK_SERVER(pos);
	c->handle = UM_LOCK_HANDLE(pos);
	c->flags = 0;
	if (strncmp(s, "\nflags:\t", 8))
		return false;
	for (s += 8; *s >= '0' && *s <= '7'; s++)
		c->flags = c->flags << 3 | (uint32_t)(*s - '0');
	return true;
}

static bool find_carrier(int pid, int fd, struct carried *c)
{
	char path[48], text[512];

	text_format(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	if (!proc_leads_to(path, process.world_fd))
		return false;
	text_format(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	return proc_read_file(path, text, sizeof(text)) > 0 && parse_carrier(text, c);
}

/* By what it is open on, where the agent may not be asked. */
static bool looks_owned(int pid, int fd)
{
	struct carried c;
	char path[48];

	text_format(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
	return proc_leads_to(path, process.image_fd) || (proc_leads_to(path, process.world_fd) && !find_carrier(pid, fd, &c));
}

/* Who owns what in one process, asked for once. */
struct owned {
	int pid, n;
	int list[UM_OWN_MAX];
	struct proc_stubs stubs;	/* for map_files only */
};

static void owned_ask(struct owned *o, int pid)
{
	o->pid = pid;
	o->n = fd_list_owned(pid, o->list);
}

static bool owned_has(const struct owned *o, int fd)
{
	for (int i = 0; i < o->n; i++)
		if (o->list[i] == fd)
			return true;
	return o->n < 0 && looks_owned(o->pid, fd);
}

int proc_hidden_fds(int pid)
{
	struct owned o;

	owned_ask(&o, pid);
	return o.n < 0 ? 2 : o.n;
}

/* What that agent has noted of a real descriptor: opened through a bind mount? */
static bool peer_hint(int pid, int fd, struct dir_hint *h)
{
	struct dir_hint *at;
	struct files files;
	struct task t;

	return peer_task(pid, 0, &t) && peer_read(pid, t.files, &files, sizeof(files)) && fd < files.nhints &&
	       peer_read(pid, files.hints + fd, &at, sizeof(at)) && at && peer_read(pid, at, h, sizeof(*h)) &&
	       (h->bind || h->read_only);
}

bool proc_is_read_only(const struct task *t, const struct proc_hit *h)
{
	struct dir_hint hint;

	if (h->arg == PROC_NO_FD)
		return false;
	return h->pid ? peer_hint(h->pid, h->arg, &hint) && hint.read_only : fd_read_only(t, h->arg);
}

/* Does the kernel have it at a path in the tree of a copy-on-write mount?  (pid 0: we) */
bool fd_in_tree(const struct task *t, int pid, int fd)
{
	char link[48], *text;
	bool in = false;
	long n;

	if (!view_has(UM_MOUNT_COW) || !(text = heap_alloc(UM_PATH_MAX)))
		return false;
	text_format(link, sizeof(link), "/proc/%d/fd/%d", pid ? pid : process.pid, fd);
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, link, text, UM_PATH_MAX - 1);
	if (n > 0)
		text[n < UM_PATH_MAX ? n : 0] = 0;
	if (n > 0)
		in = cow_to_view(text, &n, UM_PATH_MAX) ||
		     (t && !cow_leads(t, text, (size_t)n, false));
	heap_free(text);
	return in;
}

enum proc_what proc_fd_kind(int pid, int fd)
{
	struct dir_hint h;
	struct carried c;
	struct owned o;

	if (!proc_in_view(pid))
		return PROC_MAGIC;
	owned_ask(&o, pid);
	if (owned_has(&o, fd))
		return PROC_HIDDEN;
	if (find_carrier(pid, fd, &c))
		return PROC_FD;
	return (peer_hint(pid, fd, &h) && h.bind) || fd_in_tree(NULL, pid, fd) ? PROC_BOUND : PROC_MAGIC;
}

/* fdinfo has it in one of its lines. */
long proc_of_pidfd(int pidfd)
{
	char path[48], text[512];
	const char *at = text;

	text_format(path, sizeof(path), "/proc/thread-self/fdinfo/%d", pidfd);
	if (proc_read_file(path, text, sizeof(text)) <= 0)
		return 0;
	while ((at = strchr(at, '\n')))
		if (!strncmp(++at, "Pid:\t", 5)) {
			at += 5;
			return text_number(&at);
		}
	return 0;
}

bool proc_pidfd_hides(int pidfd, int fd)
{
	long pid = proc_of_pidfd(pidfd);

	if (pid <= 0)
		return false;
	return pid == process.pid ? fd_is_ours(fd) : proc_fd_kind((int)pid, fd) == PROC_HIDDEN;
}

/* ---- another process's cwd -------------------------------------------------------------------------------- */

static bool peer_fsinfo(int pid, int tid, struct fsinfo *fs)
{
	struct task t;

	return proc_in_view(pid) && peer_task(pid, tid, &t) && peer_read(pid, t.fs, fs, sizeof(*fs));
}

enum proc_what proc_cwd_kind(int pid, int tid)
{
	struct fsinfo fs;

	if (!peer_fsinfo(pid, tid, &fs))
		return PROC_MAGIC;
	return fs.cwd ? PROC_CWD : fs.cwd_bind || view_has(UM_MOUNT_COW) ? PROC_BOUND : PROC_MAGIC;
}

/* The kernel's path of a descriptor or cwd there, seen through the bind mount. */
static long peer_bound(struct task *t, const struct proc_hit *hit, char *buf, size_t size)
{
	struct dir_hint h = { 0 };
	struct fsinfo fs;
	char link[48];
	bool copied;
	long n;

	if (hit->arg == AT_FDCWD && peer_fsinfo(hit->pid, hit->tid, &fs)) {
		h.bind = fs.cwd_bind;
		h.bound = fs.cwd_bound;
		text_format(link, sizeof(link), "/proc/%d/cwd", hit->tid ? hit->tid : hit->pid);
	} else {
		peer_hint(hit->pid, hit->arg, &h);
		text_format(link, sizeof(link), "/proc/%d/fd/%d", hit->pid, hit->arg);
	}
	if (!h.bind && !view_has(UM_MOUNT_COW))
		return -ENOENT;
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, link, buf, size - 1);
	if (n <= 0)
		return n < 0 ? n : -ENOENT;
	buf[n] = 0;
	return path_from_kernel(t, h.bind, h.bound, buf, n, size, &copied);
}

/* ---- virtual files ---------------------------------------------------------------------------------------- */

static struct file *peer_cwd(struct task *t, int pid, int tid)
{
	struct fsinfo fs;
	struct file f;

	if (!peer_fsinfo(pid, tid, &fs) || !fs.cwd || !peer_read(pid, fs.cwd, &f, sizeof(f)))
		return NULL;
	return fd_carried(t, f.server, f.handle, O_PATH);
}

struct file *proc_file_of(struct task *t, const struct proc_hit *h)
{
	struct carried c;

	if (h->what == PROC_CWD)
		return h->pid ? peer_cwd(t, h->pid, h->tid) : fsinfo_cwd(t);
	if (!h->pid)
		return fd_hold(t, h->arg);
	return find_carrier(h->pid, h->arg, &c) ? fd_carried(t, c.server, c.handle, c.flags) : NULL;
}

/* ---- links ------------------------------------------------------------------------------------------------ */

static long file_text(struct task *t, const struct proc_hit *h, char *buf, size_t size)
{
	struct file *f = proc_file_of(t, h);
	long n;

	if (!f)
		return -ENOENT;
	n = file_path(t, f, buf, size);
	if (n == -ENOENT) {
		n = file_path_removed(t, f, buf, size);
		if (n < 0)
			n = text_format(buf, size, "/");
		n += text_format(buf + n, size - (size_t)n, " (deleted)");
	}
	file_put(f);
	return n < (long)size ? n : -ENAMETOOLONG;
}

static long root_text(struct task *t, const struct proc_hit *h, char *buf, size_t size)
{
	struct fsinfo fs;

	if (!h->pid)
		return text_format(buf, size, "%s", t->fs->root ? t->fs->root : "/");
	return peer_fsinfo(h->pid, h->tid, &fs) && fs.root ? peer_string(h->pid, fs.root, buf, size) : -ENOENT;
}

bool proc_has_root(const struct task *t, int pid, int tid)
{
	struct fsinfo fs;

	return pid ? peer_fsinfo(pid, tid, &fs) && fs.root : t->fs->root != NULL;
}

long proc_link_text(struct task *t, const struct proc_hit *h, char *buf, size_t size)
{
	switch (h->what) {
	case PROC_CWD:
		return h->pid ? file_text(t, h, buf, size) : path_of_cwd(t, buf, size);
	case PROC_FD:
		return file_text(t, h, buf, size);
	case PROC_ROOT:
		return root_text(t, h, buf, size);
	case PROC_BOUND:
		return h->pid ? peer_bound(t, h, buf, size) :
				base_path(t, h->arg, view_generation(t), buf, size);
	default:
		return -EINVAL;
	}
}

const char *proc_stands_for(const char *text, size_t *n, unsigned *minor, uint64_t *ino)
{
	const char *end;
	uint64_t device, number;

	if (strncmp(text, "/memfd:umview:", 14))
		return NULL;
	text += 14;
	device = proc_hex(&text);
	if (*text++ != ':')
		return NULL;
	number = proc_hex(&text);
	if (text[0] != ':' || text[1] != '/')
		return NULL;
	end = strchr(++text, 0);
	if (end - text > 10 && !strcmp(end - 10, " (deleted)"))
		end -= 10;
	*n = (size_t)(end - text);
	if (minor)
		*minor = (unsigned)device;
	if (ino)
		*ino = number;
	return text;
}

/* ---- fdinfo ----------------------------------------------------------------------------------------------- */

#define FROM_CARRIER	(O_APPEND | O_NONBLOCK | FASYNC | O_CLOEXEC)

static uint32_t shown_flags(const struct file *f, const char *octal)
{
	uint32_t carrier = 0, own = f->open_flags;

	for (; *octal >= '0' && *octal <= '7'; octal++)
		carrier = carrier << 3 | (uint32_t)(*octal - '0');
	if (f->flags & FILE_PATH)
		return (own & (O_PATH | O_DIRECTORY | O_NOFOLLOW)) | (carrier & O_CLOEXEC);
	return (own & ~(uint32_t)FROM_CARRIER) | (carrier & FROM_CARRIER) | 0100000 /* O_LARGEFILE */;
}

static long position(struct task *t, struct file *f)
{
	long pos = f->kind == FILE_REMOTE && !(f->flags & FILE_PATH) ? file_seek(t, f, 0, 1 /* SEEK_CUR */) : 0;

	return pos < 0 ? 0 : pos;
}

static uint64_t inode(struct task *t, struct file *f)
{
	struct um_attr a;

	return f->kind == FILE_REMOTE && file_attr(t, f, &a) == 0 ? a.ino : 0;
}

/* The lines about the carrier become lines about the virtual file: the offset is at its server. */
void made_fdinfo(struct made *m)
{
	struct file *f = proc_file_of(m->t, &m->hit);

	for (char *line = made_line(m); line; line = made_line(m)) {
		if (!f)
			made_copy(m, line);
		else if (!strncmp(line, "pos:", 4))
			made_format(m, "pos:\t%ld\n", position(m->t, f));
		else if (!strncmp(line, "flags:\t", 7))
			made_format(m, "flags:\t0%o\n", shown_flags(f, line + 7));
		else if (!strncmp(line, "mnt_id:", 7))
			made_format(m, "mnt_id:\t%u\n", UM_MNT_ID(f->mount));
		else if (!strncmp(line, "ino:", 4))
			made_format(m, "ino:\t%lu\n", inode(m->t, f));
	}
	file_put(f);
}

/* ---- reading the directories ------------------------------------------------------------------------------ */

#define NO_LIST	(-1)

/* fd is open on "/proc/PID/fd" or the like: that process, 0 if it is ours; else NO_LIST. */
static int listed_process(const struct task *t, int fd)
{
	char name[40], path[128];
	const char *at = path + 6, *last;
	long n, pid;

	text_format(name, sizeof(name), "/proc/thread-self/fd/%d", fd);
	n = raw_syscall(__NR_readlinkat, AT_FDCWD, name, path, sizeof(path) - 1);
	if (n <= 6 || strncmp(path, "/proc/", 6))
		return NO_LIST;
	path[n] = 0;
	last = strrchr(path, '/');
	pid = text_number(&at);
	if (pid <= 0 || (strcmp(last, "/fd") && strcmp(last, "/fdinfo") && strcmp(last, "/map_files")))
		return NO_LIST;
	return pid == process.pid || pid == t->tid ? 0 : (int)pid;
}

/* A name of such a directory: the agent's descriptor, or the range of one of its mappings? */
static bool names_owned(const void *arg, const char *name)
{
	const struct owned *o = arg;
	const char *end = name;
	long fd = text_number(&end);

	if (fd >= 0 && !*end)
		return owned_has(o, (int)fd);
	uint64_t from = proc_hex(&name);
	return *name == '-' && ((from >= UM_AGENT_BASE && from < UM_OWN_END) || proc_is_stub(&o->stubs, from));
}

/* No number, and no range of addresses, is longer. */
#define RECORD_MAX	64u

/*
 * Does this look like such a directory?  Its third record (or the first, later on) has a number for a name,
 * or a range.  Only then is its path looked at.
 */
static bool looks_like_list(struct task *t, gaddr buf, long n, size_t name_at)
{
	char head[97] = { 0 };
	size_t size = (size_t)n < sizeof(head) ? (size_t)n : sizeof(head) - 1, at = 0;

	if (copy_from_guest(t, head, buf, size))
		return false;
	while (at + 24 <= size) {
		const char *name = head + at + name_at;
		uint16_t reclen;

		memcpy(&reclen, head + at + 16, sizeof(reclen));
		if (name[0] == '.') {
			at += reclen;
			continue;
		}
		if (reclen == 24)
			return name[0] >= '0' && name[0] <= '9';
		proc_hex(&name);
		return reclen <= RECORD_MAX && *name == '-';
	}
	return false;
}

long proc_filter_dirents(struct task *t, int fd, gaddr buf, long n, bool legacy)
{
	size_t name_at = legacy ? 18 : 19;
	struct owned o;
	int pid;

	if (!looks_like_list(t, buf, n, name_at))
		return n;
	pid = listed_process(t, fd);
	if (pid == NO_LIST || !proc_in_view(pid))
		return n;
	owned_ask(&o, pid);
	proc_stubs_find(&o.stubs, pid);
	return dirents_drop(t, buf, n, legacy, names_owned, &o);
}
