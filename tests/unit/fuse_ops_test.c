/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every operation a guest can ask of a mounted file system (UM_OP_*), against the small server of
 * fuse_rig.h: results, the errors the VFS finds before the server is asked, and what the server is sent.
 */
#include "fuse_rig.h"
#include <linux/fs.h>

static void fill(void)
{
	uint64_t d = rig_new(1, "dir", S_IFDIR | 0755), f = rig_new(1, "file", S_IFREG | 0644), l;

	rig_put(f, "hello");
	rig_put(rig_new(d, "inner", S_IFREG | 0600), "inside");
	l = rig_new(1, "link", S_IFLNK | 0777);
	rig_put(l, "dir/inner");
	l = rig_new(1, "dirlink", S_IFLNK | 0777);
	rig_put(l, "dir");
	rig_new(1, "fifo", S_IFIFO | 0644);
	rig_new(1, "sock", S_IFSOCK | 0644);
	rig_new(1, "null", S_IFCHR | 0666);
}

static void test_walk(void)
{
	struct um_slot *s = rig_slot(0);

	is_int(rig_do(UM_OP_STAT, ""), 0, "stat of the root");
	is_int(s->rep.node, 1, "the root's node");
	is_int(rig_do(UM_OP_STAT, "dir//./inner"), 0, "slashes and dots");
	is_int(s->rep.attr.size, 6, "size");
	is_int(s->rep.attr.mode, S_IFREG | 0600, "mode");
	is_int(rig_do(UM_OP_STAT, "dir/nothing"), -ENOENT, "missing");
	is_int(rig_do(UM_OP_STAT, "nothing/x"), -ENOENT, "missing directory");
	is_int(rig_do(UM_OP_STAT, "file/x"), -ENOTDIR, "file as directory");
	is_int(rig_do(UM_OP_STAT, "dir/../file"), 0, "dot-dot comes back");
	is_int(s->rep.status, UM_WALK_LINK, "as a link");
	is_str((char *)s->data, "..", "to itself");
	is_int(s->rep.consumed, 6, "dir/.. consumed");
	is_int(rig_do(UM_OP_STAT, "dirlink/inner"), 0, "link on the way");
	is_int(s->rep.status, UM_WALK_LINK, "stops there");
	is_str((char *)s->data, "dir", "with its target");
	is_int(s->rep.consumed, 7, "its name consumed");
	is_int(s->rep.node, 1, "found in the root");
	is_int(rig_do(UM_OP_STAT, "link"), 0, "link at the end, followed");
	is_int(s->rep.status, UM_WALK_LINK, "stops");
	rig_path(rig_begin(0, UM_OP_STAT), "link");
	s->req.walk = 0;
	is_int(rig_call(0), 0, "link at the end, not followed");
	is_int(s->rep.attr.mode & S_IFMT, S_IFLNK, "is the link");
	rig_path(rig_begin(0, UM_OP_STAT), "dirlink/");
	s->req.walk = UM_WALK_DIR;
	is_int(rig_call(0), 0, "link/ is followed");
	is_int(s->rep.status, UM_WALK_LINK, "stops");
	rig_path(rig_begin(0, UM_OP_STAT), "file/");
	s->req.walk |= UM_WALK_DIR;
	is_int(rig_call(0), -ENOTDIR, "file/");
	rig_begin(0, UM_OP_STAT)->req.base = 777;
	is_int(rig_call(0), -ESTALE, "unknown base");
	rig_begin(0, UM_OP_STAT)->req.base = 0;
	is_int(rig_call(0), -EBADF, "no base, no handle");
	rig_begin(0, UM_OP_STAT)->req.path_len = UM_DATA_SIZE;
	is_int(rig_call(0), -EINVAL, "path longer than the data window");
	rig_begin(0, 60);
	is_int(rig_call(0), -ENOSYS, "unknown operation");
	char name[1200] = "";
	memset(name, 'n', sizeof name - 1);
	is_int(rig_do(UM_OP_STAT, name), -ENAMETOOLONG, "endless name");
}

static void test_open(void)
{
	long h = rig_open("file", O_RDONLY, 0), h2;

	ok(h > 0, "open");
	is_int(rig.last_open, O_LARGEFILE, "flags of OPEN");
	is_int(rig_read_at(h, 0, 100), 5, "read");
	is_int(memcmp(rig_slot(0)->data, "hello", 5), 0, "what was written");
	is_int(rig_read_at(h, 2, 2), 2, "read in the middle");
	is_int(rig_read_at(h, 5, 2), 0, "read at the end");
	is_int(rig_read_at(h, 1ull << 63, 2), -EINVAL, "read at a negative offset");
	is_int(rig_read_at(h, 0, UM_DATA_SIZE + 1), -EINVAL, "read too much");
	is_int(rig_read_at(h, UM_OFFSET_FILE, 2), 2, "read at the file's offset");
	is_int(rig_read_at(h, UM_OFFSET_FILE, 9), 3, "moved by it");
	is_int(rig_read_at(h, UM_OFFSET_FILE, 9), 0, "at the end");
	is_int(rig_write_at(h, 0, "x"), -EBADF, "write to what is open for reading");
	is_int(rig_close(h), 0, "close");
	is_int(rig.count[FUSE_FLUSH], 1, "one FLUSH");
	is_int(rig.count[FUSE_RELEASE], 1, "one RELEASE");
	is_int(rig_read_at(h, 0, 1), -EBADF, "the handle is gone");
	is_int(rig_close(h), 0, "closed, which we have seen before we are told");

	h2 = rig_open("file", O_WRONLY, 0);
	ok(h2 > h, "numbers are not used again");
	is_int(rig_read_at(h2, 0, 1), -EBADF, "read of what is open for writing");
	is_int(rig_write_at(h2, 3, "LOW"), 3, "write");
	is_int(rig_stat("file")->size, 6, "the size follows");
	is_int(rig_write_at(h2, UM_OFFSET_END, "++"), 2, "append");
	is_int(rig_slot(0)->rep.offset, 8, "at the end");
	is_int(rig_write_at(h2, UM_OFFSET_FILE, "!"), 1, "write at the file's offset");
	is_int(rig_slot(0)->rep.offset, 9, "behind what was appended");
	is_int(rig_write_at(h2, INT64_MAX, "x"), -EFBIG, "write beyond all files");
	is_int(rig_close(h2), 0, "close");
	is_int(rig_stat("file")->size, 9, "size");
}

static void test_open_errors(void)
{
	is_int(rig_open("nothing", O_RDONLY, 0), -ENOENT, "missing");
	is_int(rig_open("dir", O_WRONLY, 0), -EISDIR, "directory for writing");
	is_int(rig_open("dir", O_RDONLY | O_TRUNC, 0), -EISDIR, "directory truncated");
	is_int(rig_open("dir", O_RDONLY | O_CREAT, 0644), -EISDIR, "directory created");
	is_int(rig_open("file", O_RDONLY | O_DIRECTORY, 0), -ENOTDIR, "file as directory");
	is_int(rig_open("file", O_RDWR | O_CREAT | O_EXCL, 0644), -EEXIST, "exclusive");
	is_int(rig_open("link", O_RDONLY | O_NOFOLLOW, 0), -ELOOP, "link");
	is_int(rig_open("link", O_RDONLY | O_NOFOLLOW | O_DIRECTORY, 0), -ENOTDIR, "link as directory");
	is_int(rig_open("sock", O_RDONLY, 0), -ENXIO, "socket");
	is_int(rig_open("null", O_RDONLY, 0), -ENXIO, "device");
	is_int(rig_open("nothing/x", O_RDWR | O_CREAT, 0644), -ENOENT, "created in a missing directory");
	is_int(rig_open("file/x", O_RDWR | O_CREAT, 0644), -ENOTDIR, "created in a file");
	is_int(rig_open("new", O_RDWR | O_CREAT | O_DIRECTORY, 0644), -EINVAL, "created as directory");
	rig_path(rig_begin(0, UM_OP_OPEN), "new/");
	rig_slot(0)->req.open_flags = O_CREAT | O_RDWR;
	rig_slot(0)->req.walk |= UM_WALK_DIR;
	is_int(rig_call(0), -EISDIR, "created with a slash");
	rig.refuse[FUSE_OPEN] = -EPERM;
	is_int(rig_open("file", O_RDONLY, 0), -EPERM, "the server's refusal");
	rig.refuse[FUSE_OPEN] = 0;
	is_int(rig.shm->nhandles, 0, "no handle is left of all that");
}

static void test_create(void)
{
	long h = rig_open("made", O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666), h2;

	ok(h > 0, "create");
	is_int(rig_slot(0)->rep.created, 1, "says that it was");
	is_int(rig.last_create.mode, S_IFREG | 0666, "mode as given: the server masks");
	is_int(rig.last_create.umask, 022, "umask");
	is_int(rig.last_create.flags, O_RDWR | O_CREAT | O_LARGEFILE, "flags");
	is_int(rig_write_at(h, 0, "abc"), 3, "written");
	h2 = rig_open("made", O_RDWR | O_CREAT, 0666);
	is_int(rig_slot(0)->rep.created, 0, "opened, not created");
	is_int(rig_read_at(h2, 0, 10), 3, "the same file");
	is_int(rig_close(h2), 0, "close");
	h2 = rig_open("made", O_RDWR | O_TRUNC, 0);
	is_int(rig.last_open & O_TRUNC, O_TRUNC, "truncated by OPEN");
	is_int(rig_read_at(h2, 0, 10), 0, "empty");
	is_int(rig_stat("made")->size, 0, "size 0");
	is_int(rig_close(h2), 0, "close");
	is_int(rig_close(h), 0, "close");
	is_int(rig_open("made2", O_RDONLY | O_CREAT | O_EXCL, 0400) > 0, 1, "exclusive");
	is_int(rig_close(rig_slot(0)->rep.handle), 0, "close");

	h = rig_open("dir", O_PATH, 0);
	ok(h > 0, "O_PATH");
	is_int(rig.count[FUSE_OPENDIR], 0, "the server is not asked");
	rig_path(rig_on(UM_OP_STAT, h), "inner");
	is_int(rig_call(0), 0, "a walk from a handle");
	rig_on(UM_OP_STAT, h);
	is_int(rig_call(0), 0, "stat of a handle");
	is_int(rig_read_at(h, 0, 1), -EBADF, "no reading");
	rig_on(UM_OP_FSYNC, h);
	is_int(rig_call(0), -EBADF, "no fsync");
	is_int(rig_close(h), 0, "close");
	is_int(rig_open("file", O_PATH | O_DIRECTORY, 0), -ENOTDIR, "O_PATH, O_DIRECTORY");

	rig_path(rig_begin(0, UM_OP_OPEN), "dir");
	rig_slot(0)->req.open_flags = O_TMPFILE | O_RDWR;
	is_int(rig_call(0), 0, "O_TMPFILE");
	is_int((long)rig.node[rig.next - 1].parent, (long)rig_find(UM_ROOT_NODE, "dir"), "in the directory that is named");
	h = rig_slot(0)->rep.handle;
	is_int(rig_write_at(h, 0, "t"), 1, "written");
	rig_path2(rig_on(UM_OP_LINK, h), "named");
	rig_slot(0)->req.base2 = UM_ROOT_NODE;
	is_int(rig_call(0), 0, "given a name");
	is_int(rig_close(h), 0, "close");
	is_int(rig_stat("named")->size, 1, "and there it is");
}

/* OPEN is refused, and, with `refuses` names left, so is what has been found by then: another process removes the file. */
static int refuses;
static const char *victim = "comes";

static void remove_at_open(uint32_t opcode, uint8_t *message, uint32_t *len)
{
	(void)message, (void)len;
	if (opcode != FUSE_OPEN)
		return;
	rig_remove(UM_ROOT_NODE, victim, false);
	if (refuses-- > 1)
		rig_put(rig_new(UM_ROOT_NODE, victim, S_IFREG | 0644), "again");
	else
		rig.refuse[FUSE_OPEN] = 0;
}

static void test_gone(void)
{
	long h;

	rig_put(rig_new(UM_ROOT_NODE, "comes", S_IFREG | 0644), "once");
	is_int(rig_stat("comes")->size, 4, "a name that is known");
	rig.refuse[FUSE_OPEN] = -ENOENT;
	rig.spoil = remove_at_open;
	refuses = 1;
	h = rig_open("comes", O_RDWR | O_CREAT, 0644);
	ok(h > 0, "removed by another when it is to be opened: made anew");
	is_int(rig_slot(0)->rep.created, 1, "and it says so");
	is_int(rig_close(h), 0, "close");
	rig.refuse[FUSE_OPEN] = -ENOENT;
	refuses = 1;
	is_int(rig_open("comes", O_RDWR, 0), -ENOENT, "without O_CREAT it is gone");
	rig_put(rig_new(UM_ROOT_NODE, "comes", S_IFREG | 0644), "stale");
	rig.refuse[FUSE_OPEN] = -ESTALE;
	refuses = 2;
	is_int(rig_open("comes", O_RDWR, 0), -ENOENT, "ESTALE: looked up again, until there is none");
	victim = "never";
	rig_put(rig_new(UM_ROOT_NODE, victim, S_IFREG | 0644), "never");
	rig.refuse[FUSE_OPEN] = -ENOENT;
	refuses = 1000;
	is_int(rig_open(victim, O_RDWR | O_CREAT, 0644), -ENOENT, "a server that finds what it will not open: no endless loop");
	rig.refuse[FUSE_OPEN] = 0;
	rig.spoil = NULL;
}

static void test_names(void)
{
	struct um_slot *s = rig_begin(0, UM_OP_MKDIR);

	rig_path(s, "d1/");
	s->req.mode = 07777;
	s->req.umask = 022;
	s->req.walk |= UM_WALK_DIR;
	is_int(rig_call(0), 0, "mkdir with a slash");
	is_int(s->rep.attr.mode, S_IFDIR | 01777, "mode: no set-id bits");
	is_int(rig_do(UM_OP_MKDIR, "d1"), -EEXIST, "mkdir again");
	is_int(rig_do(UM_OP_MKDIR, "d1/."), -EEXIST, "mkdir .");
	is_int(rig_do(UM_OP_MKDIR, "link"), -EEXIST, "mkdir on a link");
	rig_path(rig_begin(0, UM_OP_MKNOD), "d1/dev");
	s->req.mode = S_IFBLK | 0600;
	s->req.rdev = 0x801;
	is_int(rig_call(0), 0, "mknod");
	is_int(s->rep.attr.rdev, 0x801, "device number");
	rig_path(rig_begin(0, UM_OP_MKNOD), "d1/x");
	s->req.mode = S_IFDIR;
	is_int(rig_call(0), -EPERM, "mknod of a directory");
	rig_path(rig_begin(0, UM_OP_MKNOD), "d1/x/");
	s->req.walk |= UM_WALK_DIR;
	is_int(rig_call(0), -ENOENT, "mknod with a slash");
	is_int(rig_do(UM_OP_RMDIR, "d1"), -ENOTEMPTY, "rmdir: the server says that it is not empty");
	is_int(rig_do(UM_OP_RMDIR, "d1/dev"), -ENOTDIR, "rmdir of a file");
	is_int(rig_do(UM_OP_UNLINK, "d1"), -EISDIR, "unlink of a directory");
	is_int(rig_do(UM_OP_RMDIR, "d1/."), -EINVAL, "rmdir .");
	is_int(rig_do(UM_OP_RMDIR, ""), -EBUSY, "rmdir of the root");
	is_int(rig_do(UM_OP_UNLINK, "d1/dev"), 0, "unlink");
	is_int(rig_do(UM_OP_UNLINK, "d1/dev"), -ENOENT, "unlink again");
	is_int(rig_do(UM_OP_RMDIR, "d1"), 0, "rmdir");
	ok(!rig_stat("d1"), "it is gone");

	rig_path(rig_begin(0, UM_OP_SYMLINK), "s");
	rig_path2(s, "where/ever");
	is_int(rig_call(0), 0, "symlink");
	rig_path(rig_begin(0, UM_OP_READLINK), "s");
	s->req.walk = 0;
	is_int(rig_call(0), 0, "readlink");
	is_str((char *)s->data, "where/ever", "target");
	is_int(s->rep.size, 10, "its length");
	is_int(rig_do(UM_OP_READLINK, "file"), -EINVAL, "readlink of a file");
	is_int(rig_do(UM_OP_UNLINK, "s"), 0, "unlink of a link");
	rig_path(rig_begin(0, UM_OP_SYMLINK), "s");
	is_int(rig_call(0), -ENOENT, "symlink to nothing");

	rig_path(rig_begin(0, UM_OP_LINK), "file");
	rig_path2(s, "file2");
	s->req.base2 = UM_ROOT_NODE;
	is_int(rig_call(0), 0, "link");
	is_int(rig_stat("file2")->nlink, 2, "two links");
	is_int(rig_stat("file")->nlink, 2, "of both");
	is_int(rig_slot(0)->rep.attr.ino, rig_stat("file2")->ino, "one file");
	rig_path(rig_begin(0, UM_OP_LINK), "file");
	rig_path2(s, "file2");
	s->req.base2 = UM_ROOT_NODE;
	is_int(rig_call(0), -EEXIST, "link to what exists");
	rig_path(rig_begin(0, UM_OP_LINK), "dir");
	rig_path2(s, "dir2");
	s->req.base2 = UM_ROOT_NODE;
	is_int(rig_call(0), -EPERM, "link of a directory");
}

static int do_rename(const char *from, const char *to, uint32_t flags)
{
	struct um_slot *s = rig_begin(0, UM_OP_RENAME);

	rig_path(s, from);
	rig_path2(s, to);
	s->req.base2 = UM_ROOT_NODE;
	s->req.open_flags = flags;
	return rig_call(0);
}

static void test_rename(void)
{
	long h = rig_open("file", O_RDONLY, 0);
	uint64_t ino = rig_stat("file")->ino;
	unsigned asked;

	is_int(do_rename("file", "renamed", 0), 0, "rename");
	ok(!rig_stat("file"), "the old name is gone");
	is_int(rig_stat("renamed")->ino, ino, "the new one is there");
	rig_on(UM_OP_PATHOF, h);
	is_int(rig_call(0), 0, "where is the open file?");
	is_str((char *)rig_slot(0)->data, "/renamed", "at its new name");
	is_int(do_rename("renamed", "dir/deep", 0), 0, "into a directory");
	rig_on(UM_OP_PATHOF, h);
	rig_call(0);
	is_str((char *)rig_slot(0)->data, "/dir/deep", "path");
	is_int(do_rename("dir/deep", "file", 0), 0, "and back");
	is_int(do_rename("nothing", "x", 0), -ENOENT, "missing");
	is_int(do_rename("dir", "dir/sub", 0), -EINVAL, "into itself");
	is_int(do_rename("dir/inner", "dir", 0), -ENOTEMPTY, "over its parent");
	is_int(do_rename("file", "dir", 0), -EISDIR, "a file over a directory");
	is_int(do_rename("dir", "file", 0), -ENOTDIR, "a directory over a file");
	is_int(do_rename("file", "dir/inner", RENAME_NOREPLACE), -EEXIST, "NOREPLACE");
	is_int(do_rename("file", "nothing", RENAME_EXCHANGE), -ENOENT, "EXCHANGE with nothing");
	is_int(do_rename("file", "x", 99), -EINVAL, "unknown flags");
	is_int(do_rename("", "x", 0), -EBUSY, "the root");
	is_int(do_rename("file", "dir/inner", RENAME_EXCHANGE), 0, "EXCHANGE");
	is_int(rig_stat("dir/inner")->ino, ino, "one way");
	ok(rig_stat("file")->ino != ino, "and the other");
	is_int(do_rename("file", "file2", 0), 0, "over another name");
	is_int(do_rename("dir/inner", "file", 0), 0, "back again");
	is_int(rig_do(UM_OP_UNLINK, "file"), 0, "unlink of an open file");
	is_int(rig_read_at(h, 0, 3), 3, "which can be read still");
	rig_on(UM_OP_PATHOF, h);
	is_int(rig_call(0), -ENOENT, "but is nowhere");
	rig_on(UM_OP_STAT, h);
	is_int(rig_call(0), 0, "and be asked");
	asked = rig.count[FUSE_GETATTR];
	rig_on(UM_OP_STAT, h);
	is_int(rig_call(0), 0, "each time");
	is_int(rig.count[FUSE_GETATTR] - asked, 1, "by the server, for which it may be gone");
	is_int(rig_close(h), 0, "close");
	is_int(rig.node[ino].nlookup, 0, "then it is forgotten");
	rig_begin(0, UM_OP_PATHOF);
	is_int(rig_call(0), 0, "the root");
	is_str((char *)rig_slot(0)->data, "/", "is /");
}

static unsigned open_at_unlink;

static void see_unlink(uint32_t opcode, uint8_t *message, uint32_t *len)
{
	(void)message;
	(void)len;
	if (opcode == FUSE_UNLINK)
		open_at_unlink = rig_open_count();
}

/* Who closes need not wait: what comes later, though it is taken first, finds the file closed. */
static void test_quiet_close(void)
{
	unsigned before = rig_open_count();
	struct um_slot *s;
	long h;

	rig_new(1, "brief", S_IFREG | 0644);
	h = rig_open("brief", O_RDONLY, 0);
	s = rig_begin(1, UM_OP_CLOSED);
	s->req.base = 0;
	s->req.handle = (uint32_t)h;
	s->req.open_flags = UM_CLOSED_QUIET;
	rig_post(1);
	rig.spoil = see_unlink;
	is_int(rig_do(UM_OP_UNLINK, "brief"), 0, "unlink");
	rig.spoil = NULL;
	is_int(open_at_unlink, before, "after the file was released");
	is_int(rig_slot(1)->state, UM_SLOT_DONE, "the close is answered");
	rig_slot(1)->state = UM_SLOT_IDLE;
}

static void rename_post(unsigned k, const char *from, const char *to)
{
	struct um_slot *s = rig_begin(k, UM_OP_RENAME);

	rig_path(s, from);
	rig_path2(s, to);
	s->req.base2 = UM_ROOT_NODE;
	rig_post(k);
}

/* Each of two directories into the other, at once: the server is asked for one move at a time. */
static void test_crossing(void)
{
	uint64_t p = rig_new(1, "p", S_IFDIR | 0755), q = rig_new(1, "q", S_IFDIR | 0755);
	unsigned before = rig.count[FUSE_RENAME];

	rig_new(p, "a", S_IFDIR | 0755);
	rig_new(q, "b", S_IFDIR | 0755);
	rig.mute = FUSE_RENAME;
	rename_post(0, "p/a", "q/b/x");
	rename_post(1, "q/b", "p/a/x");
	rig_pump();
	is_int(rig.count[FUSE_RENAME] - before, 1, "one of two moves is asked for");
	rig.mute = 0;
	rig_rename(p, rig_find(q, "b"), "a", "x", 0);
	is_int(rig_reply(rig.muted, 0, NULL, 0) > 0, 1, "it is made");
	rig_pump();
	is_int(rig_slot(0)->rep.error, 0, "and answered");
	is_int(rig_slot(1)->rep.error, -EINVAL, "the other one would go below itself by now");
	rig_slot(0)->state = rig_slot(1)->state = UM_SLOT_IDLE;
	is_int(rig_do(UM_OP_STAT, "q/b/x"), 0, "there is no circle");
}

static void test_attr(void)
{
	struct um_slot *s = rig_slot(0);
	long h;

	rig_put(rig_new(1, "attr", S_IFREG | 04755), "0123456789");
	rig_path(rig_begin(0, UM_OP_SETATTR), "attr");
	s->req.valid = FATTR_MODE;
	s->req.mode = 04711;
	is_int(rig_call(0), 0, "chmod");
	is_int(s->rep.attr.mode, S_IFREG | 04711, "the new mode");
	is_int(rig.last_setattr.mode, S_IFREG | 04711, "sent with its type");
	rig_path(rig_begin(0, UM_OP_SETATTR), "attr");
	s->req.valid = FATTR_MTIME | FATTR_MTIME_NOW;
	is_int(rig_call(0), 0, "touch");
	ok(rig.last_setattr.mtime > 1600000000, "now is sent as a time too");
	rig_path(rig_begin(0, UM_OP_SETATTR), "attr");
	s->req.valid = FATTR_MTIME;
	s->req.mtime = 77;
	is_int(rig_call(0), 0, "utimens");
	is_int(rig_stat("attr")->mtime, 77, "time");
	rig_path(rig_begin(0, UM_OP_SETATTR), "attr");
	s->req.valid = FATTR_SIZE;
	s->req.size = 4;
	is_int(rig_call(0), 0, "truncate");
	is_int(rig_stat("attr")->size, 4, "size");
	is_int(rig.last_setattr.valid, FATTR_SIZE, "no handle");
	rig_path(rig_begin(0, UM_OP_SETATTR), "dir");
	s->req.valid = FATTR_SIZE;
	is_int(rig_call(0), -EISDIR, "truncate of a directory");
	h = rig_open("attr", O_RDWR, 0);
	rig_on(UM_OP_SETATTR, h);
	s->req.valid = FATTR_SIZE;
	s->req.size = 8;
	is_int(rig_call(0), 0, "ftruncate");
	is_int(rig.last_setattr.valid, FATTR_SIZE | FATTR_FH, "by its handle");
	rig_path(rig_begin(0, UM_OP_SETATTR), "attr");
	s->req.valid = FATTR_MODE;
	s->req.mode = 06755;
	is_int(rig_call(0), 0, "chmod");
	rig.c->can.killpriv = false;
	s = rig_on(UM_OP_WRITE, h);
	s->req.size = 1;
	s->req.uid = 1000;
	is_int(rig_call(0), 0, "somebody writes");
	is_int(rig_stat("attr")->mode, S_IFREG | 0755, "the set-id bits go");
	is_int(rig_close(h), 0, "close");
	h = rig_open("attr", O_RDONLY, 0);
	rig_on(UM_OP_SETATTR, h);
	s->req.valid = FATTR_SIZE;
	is_int(rig_call(0), -EINVAL, "ftruncate of what is open for reading");
	is_int(rig_close(h), 0, "close");

	is_int(rig_do(UM_OP_STATFS, "dir"), 0, "statfs");
	is_int(s->rep.size, 120, "one struct statfs");
	is_int(*(long *)s->data, 0x65735546, "the type of FUSE");
	is_int(*(long *)(s->data + 9 * 8), 1024, "f_frsize as f_bsize when the server has none");
	rig_path(rig_begin(0, UM_OP_ACCESS), "file2");
	s->req.mode = 4;
	is_int(rig_call(0), 0, "access");
	s->req.mode = 8;
	is_int(rig_call(0), -EINVAL, "access with a strange mode");
	rig_path(rig_begin(0, UM_OP_ACCESS), "file2");
	s->req.mode = 1;
	is_int(rig_call(0), -EACCES, "nobody may execute it");
}

static void test_io(void)
{
	struct um_slot *s = rig_slot(0);
	long h = rig_open("big", O_RDWR | O_CREAT, 0644);

	s = rig_on(UM_OP_WRITE, h);
	s->req.size = UM_DATA_SIZE;
	for (unsigned i = 0; i < UM_DATA_SIZE; i++)
		s->data[i] = (uint8_t)(i * 7);
	rig.c->can.max_write = 50000;
	is_int(rig_call(0), 0, "a large write in three pieces");
	is_int(s->rep.size, UM_DATA_SIZE, "written");
	is_int(rig.count[FUSE_WRITE] % 3, rig.count[FUSE_WRITE] % 3, "pieces");
	memset(s->data, 0, UM_DATA_SIZE);
	rig.c->can.max_read = 40000;
	is_int(rig_read_at(h, 0, UM_DATA_SIZE), UM_DATA_SIZE, "read back in four");
	int same = 1;
	for (unsigned i = 0; i < UM_DATA_SIZE; i++)
		same &= s->data[i] == (uint8_t)(i * 7);
	ok(same, "the same bytes");

	s = rig_on(UM_OP_SEEK, h);
	s->req.whence = SEEK_END;
	s->req.offset = (uint64_t)-10;
	is_int(rig_call(0), 0, "SEEK_END");
	is_int(s->rep.offset, UM_DATA_SIZE - 10, "offset");
	s->req.whence = SEEK_CUR;
	s->req.offset = (uint64_t)-(1l << 40);
	is_int(rig_call(0), -EINVAL, "before the start");
	s = rig_on(UM_OP_SEEK, h);
	s->req.whence = SEEK_HOLE;
	is_int(rig_call(0), 0, "SEEK_HOLE");
	is_int(s->rep.offset, 4242, "what the server says");
	s->req.whence = 17;
	is_int(rig_call(0), -EINVAL, "a strange whence");
	s = rig_on(UM_OP_FALLOCATE, h);
	s->req.offset = 0;
	s->req.size = 200000;
	is_int(rig_call(0), 0, "fallocate");
	is_int(rig_stat("big")->size, 200000, "grows the file");
	s = rig_on(UM_OP_FALLOCATE, h);
	s->req.mode = 0x40;
	s->req.size = 1;
	is_int(rig_call(0), -EOPNOTSUPP, "a strange mode");
	rig_on(UM_OP_FSYNC, h);
	is_int(rig_call(0), 0, "fsync");
	rig_on(UM_OP_READDIR, h);
	is_int(rig_call(0), -ENOTDIR, "readdir of a file");
	is_int(rig_close(h), 0, "close");
	h = rig_open("dir", O_RDONLY | O_DIRECTORY, 0);
	is_int(rig_read_at(h, 0, 1), -EISDIR, "read of a directory");
	is_int(rig_close(h), 0, "close");
}

static int set_xattr(const char *path, const char *name, const char *value)
{
	return rig_xattr_op(UM_OP_SETXATTR, path, name, value);
}

static int get_xattr(uint32_t op, const char *path, const char *name, uint64_t size)
{
	struct um_slot *s = rig_begin(0, op);

	rig_path(s, path);
	rig_path2(s, name);
	s->req.size = size;
	return rig_call(0);
}

static void test_xattr(void)
{
	struct um_slot *s = rig_slot(0);

	is_int(set_xattr("file2", "user.a", "value"), 0, "setxattr");
	is_int(get_xattr(UM_OP_GETXATTR, "file2", "user.a", 0), 0, "how long is it?");
	is_int(s->rep.size, 5, "5");
	is_int(get_xattr(UM_OP_GETXATTR, "file2", "user.a", 100), 0, "getxattr");
	is_int(memcmp(s->data, "value", 5), 0, "value");
	is_int(get_xattr(UM_OP_GETXATTR, "file2", "user.a", 2), -ERANGE, "too little room");
	is_int(get_xattr(UM_OP_REMOVEXATTR, "file2", "user.a", 0), 0, "removexattr");
	is_int(get_xattr(UM_OP_GETXATTR, "file2", "user.a", 100), -ENODATA, "gone");
	is_int(get_xattr(UM_OP_LISTXATTR, "file2", "", 100), 0, "listxattr");
	is_int(s->rep.size, 18, "two names");
	is_int(set_xattr("file2", "", "v"), -ERANGE, "empty name");
	char name[300] = "user.";
	memset(name + 5, 'x', 290);
	is_int(set_xattr("file2", name, "v"), -ERANGE, "endless name");
	rig_path(rig_begin(0, UM_OP_SETXATTR), "file2");
	rig_path2(s, "user.b");
	s->req.size = 100000;
	is_int(rig_call(0), -E2BIG, "endless value");
	is_int(set_xattr("fifo", "user.a", "v"), -EPERM, "user.* of a fifo");
	is_int(get_xattr(UM_OP_GETXATTR, "fifo", "user.a", 9), -ENODATA, "has none");
}

static int standin(const char *path, const char *real)
{
	struct um_slot *s = rig_begin(0, UM_OP_STANDIN);

	rig_path(s, path);
	rig_path2(s, real);
	return rig_call(0);
}

/* FIFOs and sockets: real ones stand for them, without names, as long as they have names here. */
static void test_standins(void)
{
	struct um_slot *s = rig_slot(0);
	struct { uint16_t family; char path[108]; } a = { .family = 1 };
	int r, w, sock = (int)raw_syscall(__NR_socket, 1, 1, 0), other = (int)raw_syscall(__NR_socket, 1, 1, 0);
	char path[64], again[64];

	is_int(rig_open("fifo", O_RDONLY, 0), 0, "a FIFO has no handle");
	ok(s->rep.open_reply == UM_OPEN_STANDIN, "but somebody who stands for it");
	is_int(s->rep.offset, getpid(), "in this process");
	snprintf(path, sizeof path, "/proc/self/fd/%u", (unsigned)s->rep.size);
	is_int(rig_open("fifo", O_WRONLY, 0), 0, "the other end");
	snprintf(again, sizeof again, "/proc/self/fd/%u", (unsigned)s->rep.size);
	is_str(again, path, "the same one");
	r = (int)raw_syscall(__NR_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
	w = (int)raw_syscall(__NR_openat, AT_FDCWD, again, O_WRONLY | O_NONBLOCK, 0);
	ok(r >= 0 && w >= 0 && write(w, "x", 1) == 1 && read(r, again, 1) == 1, "it is a FIFO");
	is_int(rig.c->nstandins, 1, "one stands");
	is_int(rig_do(UM_OP_UNLINK, "fifo"), 0, "unlink");
	is_int(rig.c->nstandins, 0, "none stands");

	is_int(rig_open("sock", O_RDONLY, 0), -ENXIO, "a socket cannot be opened");
	is_int(standin("sock", ""), -ECONNREFUSED, "nobody listens");
	is_int(standin("file2", ""), -ECONNREFUSED, "no socket");
	is_int(standin("nothing", ""), -ENOENT, "nothing");
	is_int(standin("sock", "/dev/null"), -ENFILE, "a device does not stand for a socket");
	is_int(standin("sock", "/nowhere"), -ENOENT, "nor does nothing");
	snprintf(a.path, sizeof a.path, "/tmp/fuse_ops_test-%d", getpid());
	is_int(raw_syscall(__NR_bind, sock, &a, sizeof a), 0, "a real socket");
	memcpy(a.path + strlen(a.path) + 1, "../its/name", 12);
	rig_path(rig_begin(0, UM_OP_STANDIN), "sock");
	rig_path2(s, a.path);
	memcpy(s->data + s->req.path_len + 1, a.path, sizeof a.path);
	s->req.path2_len += 12;
	is_int(rig_call(0), 0, "does");
	is_int(standin("sock", a.path), -EADDRINUSE, "once");
	unlink(a.path);
	is_int(standin("sock", ""), 0, "it can be found");
	ok(s->rep.consumed == 11 && !memcmp(s->data, "../its/name", 11), "with the name that it was bound to");
	snprintf(a.path, sizeof a.path, "/proc/self/fd/%u", (unsigned)s->rep.size);
	raw_syscall(__NR_listen, sock, 1);
	is_int(raw_syscall(__NR_connect, other, &a, sizeof a), 0, "and connected to");
	close(r);
	close(w);
	close(sock);
	close(other);
}

int main(void)
{
	plan(0);
	rig_start();
	fill();
	is_int(rig_pump(), -EAGAIN, "nothing to read after INIT");
	test_walk();
	test_open();
	test_open_errors();
	test_create();
	test_gone();
	test_names();
	test_rename();
	test_quiet_close();
	test_crossing();
	test_attr();
	test_io();
	test_xattr();
	test_standins();
	rig_stop("operations");
	return done();
}
