/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process's file system calls start from: its cwd and its umask.
 *
 * While the cwd is real, it is the kernel's, and we only remember through which bind mount it was
 * reached (the kernel knows its path at the other end of the bind).  A virtual cwd is a directory handle
 * at a server; a carrier of its own, parked high and inherited by children, keeps the handle and the mount
 * busy, and the kernel's cwd waits at "/".
 *
 * Over exec it travels as text (behind "cwd="):
 *
 *	-						nothing to tell
 *	b:BIND:BOUND					real, reached through a bind mount
 *	v:fd:server:handle:mount:node/2^32:node%2^32:PATH	virtual; odd bytes of PATH as %xx
 *	r:...						the same through a read-only bind mount
 *
 * and behind that, if it has a root of its own, ",PATH".
 */
#include <linux/fcntl.h>
#include "fd.h"
#include "path.h"
#include "path_walk.h"

struct fsinfo *fsinfo_new(uint32_t umask)
{
	struct fsinfo *fs = heap_alloc(sizeof(*fs));

	if (!fs)
		return NULL;
	fs->refs = 1;
	fs->cwd_fd = -1;
	fs->umask = umask;
	return fs;
}

static int park_copy(int fd)
{
	long copy = raw_syscall(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	int parked = copy < 0 ? (int)copy : fd_park((int)copy);

	if (copy >= 0 && parked < 0)
		raw_syscall(__NR_close, copy);
	return parked;
}

/*
 * A copy for somebody with a descriptor table of his own (who may share our memory for a while: vfork) names the
 * same parked descriptor; in the same table it needs another one.
 */
struct fsinfo *fsinfo_copy(struct fsinfo *old, bool same_table)
{
	struct fsinfo *fs = heap_alloc(sizeof(*fs));

	if (!fs)
		return NULL;
	lock_acquire(&old->lock);
	fs->refs = 1;
	fs->cwd = old->cwd;
	fs->cwd_fd = old->cwd_fd;
	fs->umask = old->umask;
	fs->cwd_bind = old->cwd_bind;
	fs->cwd_bound = old->cwd_bound;
	fs->cwd_read_only = old->cwd_read_only;
	fs->root = old->root ? heap_strndup(old->root, strlen(old->root)) : NULL;
	if (fs->cwd) {
		file_get(fs->cwd);
		fs->cwd_fd = same_table ? park_copy(old->cwd_fd) : fd_own(old->cwd_fd) < 0 ? -1 : old->cwd_fd;
	}
	lock_release(&old->lock);
	if ((!fs->cwd || fs->cwd_fd >= 0) && (fs->root || !old->root))
		return fs;
	file_put(fs->cwd);
	heap_free(fs->root);
	heap_free(fs);
	return NULL;
}

/* Frees the memory only: whose descriptor table this thread has, and whether the parked descriptor of the
 * cwd is still needed there, is not known here. */
void fsinfo_put(struct fsinfo *fs)
{
	if (!fs || __atomic_sub_fetch(&fs->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (fs->cwd)
		fd_disown(fs->cwd_fd);
	file_put(fs->cwd);
	hint_free(fs->hint);
	heap_free(fs->root);
	heap_free(fs);
}

void fsinfo_leave(struct fsinfo *old, const struct fsinfo *now)
{
	if (old && old->refs == 1 && old->cwd && old->cwd_fd != now->cwd_fd)
		raw_syscall(__NR_close, old->cwd_fd);
	fsinfo_put(old);
}

/* ---- changing it ---------------------------------------------------------------------------------- */

static void cwd_replace(struct task *t, struct file *f, int fd, uint32_t bind, uint32_t bound, bool read_only)
{
	struct fsinfo *fs = t->fs;
	struct file *old;
	int old_fd;

	lock_acquire(&fs->lock);
	old = fs->cwd;
	old_fd = fs->cwd_fd;
	__atomic_store_n(&fs->cwd, f, __ATOMIC_RELEASE);
	fs->cwd_fd = fd;
	fs->cwd_bind = bind;
	fs->cwd_bound = bound;
	fs->cwd_read_only = read_only;
	if (fs->hint)
		hint_forget(fs->hint);
	lock_release(&fs->lock);
	if (!old)
		return;
	fd_give_up(old_fd);
	file_closed(t, old);
	file_put(old);
}

struct file *fsinfo_cwd(struct task *t)
{
	struct fsinfo *fs = t->fs;
	struct file *f;

	if (!__atomic_load_n(&fs->cwd, __ATOMIC_ACQUIRE))
		return NULL;
	lock_acquire(&fs->lock);
	f = fs->cwd;
	if (f)
		file_get(f);
	lock_release(&fs->lock);
	return f;
}

int fsinfo_set_cwd(struct task *t, struct file *f)
{
	int fd, parked;

	if (!f) {
		cwd_replace(t, NULL, -1, 0, 0, false);
		return 0;
	}
	fd = carrier_open(f->server, f->handle, O_RDONLY | O_CLOEXEC);
	parked = fd < 0 ? fd : fd_park(fd);
	if (parked < 0) {
		if (fd >= 0)
			raw_syscall(__NR_close, fd);
		file_put(f);
		return parked;
	}
	raw_syscall(__NR_chdir, "/");
	cwd_replace(t, f, parked, 0, 0, false);
	return 0;
}

void fsinfo_moved(struct task *t, const struct where *w)
{
	cwd_replace(t, NULL, -1, w ? w->bind : 0, w ? w->bound : 0, w && w->read_only);
}

void fsinfo_moved_to(struct task *t, int fd)
{
	uint32_t bound, bind = base_bind(t, fd, &bound);

	cwd_replace(t, NULL, -1, bind, bound, fd_read_only(t, fd));
}

/* ---- exec ----------------------------------------------------------------------------------------- */

/* The path as a word without blanks and commas.  0 or -ENOSPC. */
static int put_word(char *buf, size_t size, size_t *len, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (*len + 4 > size)
			return -ENOSPC;
		if (c > ' ' && c < 0x7f && c != '%' && c != ',')
			buf[(*len)++] = (char)c;
		else
			*len += (size_t)text_format(buf + *len, size - *len, "%%%02x", c);
	}
	buf[*len] = 0;
	return 0;
}

int fsinfo_describe(struct fsinfo *fs, char *buf, size_t size)
{
	const struct file *f = fs->cwd;
	size_t len;
	int n;

	if (f)
		n = text_format(buf, size, "%c:%d:%u:%u:%u:%u:%u:", f->flags & FILE_RDONLY ? 'r' : 'v', fs->cwd_fd, f->server, f->handle, f->mount,
				(unsigned)(f->node >> 32), (unsigned)f->node);
	else if (fs->cwd_bind)
		n = text_format(buf, size, "b:%u:%u", fs->cwd_bind, fs->cwd_bound);
	else
		n = text_format(buf, size, "-");
	if ((size_t)n >= size)
		return -ENOSPC;
	len = (size_t)n;
	if (f && f->path && put_word(buf, size, &len, f->path))
		return -ENOSPC;
	if (fs->root && len + 2 > size)
		return -ENOSPC;
	if (fs->root) {
		buf[len++] = ',';
		if (put_word(buf, size, &len, fs->root))
			return -ENOSPC;
	}
	return (int)len;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The word up to a blank, a comma or the end, decoded; NULL when empty, broken, or memory is short: then the path is
 * asked from the server. */
static char *get_word(const char *s)
{
	size_t n = 0, out = 0;
	char *p;

	while (s[n] && s[n] != ' ' && s[n] != ',')
		n++;
	p = n ? heap_alloc(n + 1) : NULL;
	for (size_t i = 0; p && i < n; i++) {
		if (s[i] != '%') {
			p[out++] = s[i];
			continue;
		}
		if (i + 2 >= n || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0) {
			heap_free(p);
			return NULL;
		}
		p[out++] = (char)(hex(s[i + 1]) << 4 | hex(s[i + 2]));
		i += 2;
	}
	return p;
}

static bool numbers(const char **s, long *to, int n)
{
	for (int i = 0; i < n; i++) {
		if (*(*s)++ != ':')
			return false;
		to[i] = text_number(s);
		if (to[i] < 0)
			return false;
	}
	return true;
}

static int restore_virtual(struct fsinfo *fs, const char *s, uint32_t flags)
{
	long n[6];
	struct file *f;

	if (!numbers(&s, n, 6) || *s != ':')
		return -EINVAL;
	f = file_new(FILE_REMOTE);
	if (!f)
		return -ENOMEM;
	f->server = (uint32_t)n[1];
	f->handle = (uint32_t)n[2];
	f->mount = (uint32_t)n[3];
	f->mode = 0040000;	/* S_IFDIR */
	f->node = (uint64_t)n[4] << 32 | (uint32_t)n[5];
	f->path = get_word(s + 1);
	f->flags = flags;
	fs->cwd = f;
	fs->cwd_fd = (int)n[0];
	return fd_own(fs->cwd_fd);
}

int fsinfo_restore(struct task *t, const char *text)
{
	const char *comma = text;
	struct mount m;
	long n[2];

	while (*comma && *comma != ' ' && *comma != ',')
		comma++;
	if (*comma == ',' && !(t->fs->root = get_word(comma + 1)))
		return -ENOMEM;
	if (*text == 'v' || *text == 'r')
		return restore_virtual(t->fs, text + 1, *text == 'r' ? FILE_RDONLY : 0);
	if (*text != 'b')
		return *text == '-' ? 0 : -EINVAL;
	text++;
	if (!numbers(&text, n, 2))
		return -EINVAL;
	t->fs->cwd_bind = (uint32_t)n[0];
	t->fs->cwd_bound = (uint32_t)n[1];
	t->fs->cwd_read_only = !view_mount_by_id(t, t->fs->cwd_bind, &m, NULL, 0) && m.flags & UM_MNT_RDONLY;
	return 0;
}
