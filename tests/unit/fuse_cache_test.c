/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the FUSE client remembers: names and attributes and their time-outs, lookup counts and FORGET,
 * what a server cannot do (ENOSYS); reading directories; permissions; and requests of several guests
 * at once.
 */
#include <linux/fs.h>
#include <linux/mount.h>
#include "fuse_rig.h"

static uint64_t dir, file;

static void begin(void)
{
	rig_start();
	dir = rig_new(1, "dir", S_IFDIR | 0755);
	file = rig_new(dir, "file", S_IFREG | 0644);
	rig_put(file, "hello");
}

/* ---- names and attributes --------------------------------------------------------------------------------- */

static void test_timeouts(void)
{
	begin();
	rig_stat("dir/file");
	is_int(rig.count[FUSE_LOOKUP], 2, "two names, two LOOKUPs");
	is_int(rig.count[FUSE_GETATTR], 0, "which bring the attributes");
	rig_stat("dir/file");
	is_int(rig.count[FUSE_LOOKUP], 2, "known");
	rig_stat("dir/none");
	is_int(rig.count[FUSE_LOOKUP], 3, "a missing name");
	rig_stat("dir/none");
	is_int(rig.count[FUSE_LOOKUP], 3, "is known to be missing");
	rig_expire();
	rig_stat("dir/file");
	is_int(rig.count[FUSE_LOOKUP], 5, "after the time-out both are asked for");
	is_int(rig.node[file].nlookup, 2, "and the server counts two");
	rig_stat("dir/none");
	is_int(rig.count[FUSE_LOOKUP], 6, "the missing one too");
	rig.node[file].size = 3;
	rig.attr_valid = 0;
	rig_expire();
	rig_stat("dir/file");
	is_int(rig.count[FUSE_GETATTR], 0, "without validity LOOKUP's attributes are good for this call");
	rig_stat("dir/file");
	is_int(rig.count[FUSE_GETATTR], 1, "but not for the next");
	rig.entry_valid = 0;
	rig_expire();
	is_int(rig_do(UM_OP_STAT, "dir/none"), -ENOENT, "ENOENT is");
	is_int(rig_do(UM_OP_STAT, "dir/none"), -ENOENT, "not remembered");
	is_int(rig.count[FUSE_LOOKUP], 6 + 2 + 4, "without validity");
	rig_stop("time-outs");
}

static void test_changes(void)
{
	uint64_t other;
	long h;

	begin();
	h = rig_open("dir/file", O_RDWR, 0);
	rig.node[file].name[0] = 0;		/* replaced behind our back */
	other = rig_new(dir, "file", S_IFREG | 0600);
	rig_expire();
	is_int(rig_stat("dir/file")->ino, other, "a name may lead to another node");
	is_int(rig_read_at(h, 0, 5), 5, "the old one is open still");
	rig_on(UM_OP_PATHOF, h);
	is_int(rig_call(0), -ENOENT, "but has no name");
	is_int(rig_close(h), 0, "close");
	is_int(rig.node[file].nlookup, 0, "then it is forgotten");
	rig.node[other].mode = S_IFDIR | 0755;
	rig_expire();
	is_int(rig_do(UM_OP_STAT, "dir/file/."), 0, "a node may become another thing");
	is_int(rig_do(UM_OP_UNLINK, "dir/file"), -EISDIR, "and is that");
	h = rig_open("dir", O_PATH, 0);
	rig.node[dir].mode = S_IFREG | 0755;
	rig_expire();
	rig_on(UM_OP_STAT, h);
	is_int(rig_call(0), -EIO, "what is held may not");
	rig_on(UM_OP_STAT, h);
	is_int(rig_call(0), -EIO, "and stays bad");
	is_int(rig_close(h), 0, "close");
	rig_stop("changes");
}

static void test_forget(void)
{
	char name[32];
	long h;

	begin();
	rig_pump();
	rig.c->names_max = 8192;
	h = rig_open("dir/file", O_RDONLY, 0);
	for (int i = 0; i < 9000; i++) {
		snprintf(name, sizeof name, "f%d", i);
		rig_new(1, name, S_IFREG | 0644);
		rig_do(UM_OP_STAT, name);
	}
	ok(rig.c->nnames <= 8192, "not more names than allowed");
	ok(rig.forgotten > 700, "the old ones were forgotten");
	rig.c->names_max = 8000;
	rig_new(1, "one more", S_IFREG | 0644);
	rig_do(UM_OP_STAT, "one more");
	ok(rig.count[FUSE_BATCH_FORGET] > 0, "many at once");
	is_int(rig.node[file].nlookup, 1, "but not what is open");
	is_int(rig.node[dir].nlookup, 1, "nor where it is");
	is_int(rig_do(UM_OP_STAT, "f0"), 0, "a forgotten one is found again");
	is_int(rig_close(h), 0, "close");
	h = rig_open("f8999", O_RDONLY, 0);
	is_int(rig_do(UM_OP_UNLINK, "f8999"), 0, "unlink");
	is_int(rig_close(h), 0, "close");
	unsigned left = 0;
	for (uint64_t i = 2; i < rig.next; i++)
		left += rig.node[i].nlookup != 0;
	ok(left <= FUSE_NAMES_MAX + 1, "the server keeps what we keep (%u)", left);
	rig_stop("forget");

	begin();
	rig.minor = 12;
	rig.init_size = 24;
	rig_pump();
	rig_stat("dir/file");
	is_int(rig_do(UM_OP_UNLINK, "dir/file"), 0, "unlink");
	is_int(rig.count[FUSE_FORGET], 1, "an old server gets plain FORGETs");
	is_int(rig.node[file].nlookup, 0, "with the whole count");
	rig_stop("old forget");
}

/* The inode's number may be that of the next file: who is told of the loss only after that takes one for the other (go-fuse 2.1). */
static void test_forget_first(void)
{
	uint32_t lookups;

	begin();
	rig_pump();
	rig_stat("dir/file");
	rig.mute = FUSE_UNLINK;
	rig_path(rig_begin(1, UM_OP_UNLINK), "dir/file");
	rig_post(1);
	rig_pump();
	lookups = rig.count[FUSE_LOOKUP];
	rig_path(rig_begin(2, UM_OP_STAT), "other");
	rig_post(2);
	rig_reply(rig.muted, 0, NULL, 0);
	ok(rig_read_message() > 0, "a message");
	rig_serve();
	is_int(rig.count[FUSE_FORGET] + rig.count[FUSE_BATCH_FORGET], 1, "what was removed is forgotten");
	is_int(rig.count[FUSE_LOOKUP], lookups, "before the next request is sent");
	rig_pump();
	is_int(rig_slot(1)->rep.error, 0, "removed");
	is_int(rig_slot(2)->rep.error, -ENOENT, "and looked up");
	rig_slot(1)->state = rig_slot(2)->state = UM_SLOT_IDLE;
	rig_stop("forget first");
}

/* ---- what a server cannot do -------------------------------------------------------------------------------- */

static int on_handle(uint32_t op, long h, uint64_t size)
{
	struct um_slot *s = rig_on(op, h);

	s->req.size = size;
	return rig_call(0);
}

static void test_enosys(void)
{
	struct um_slot *s;
	long h;

	begin();
	rig_pump();
	for (size_t i = 0; i < 64; i++)
		rig.refuse[i] = i == FUSE_INIT || i == FUSE_LOOKUP || i == FUSE_GETATTR || i == FUSE_MKNOD || i == FUSE_OPEN ||
				i == FUSE_RELEASE || i == FUSE_READ || i == FUSE_WRITE || i == FUSE_DESTROY ? 0 : -ENOSYS;
	h = rig_open("made", O_RDWR | O_CREAT | O_EXCL, 0600);
	ok(h > 0, "CREATE unknown: MKNOD and OPEN");
	is_int(rig_slot(0)->rep.created, 1, "created");
	is_int(rig_write_at(h, 0, "abc"), 3, "write");
	for (int i = 0; i < 2; i++) {
		s = rig_begin(0, UM_OP_ACCESS);
		rig_path(s, "made");
		s->req.mode = 2;
		is_int(rig_call(0), 0, "ACCESS unknown: yes");
		is_int(on_handle(UM_OP_FSYNC, h, 0), 0, "FSYNC unknown: done");
		s = rig_on(UM_OP_SEEK, h);
		s->req.whence = SEEK_DATA;
		is_int(rig_call(0), 0, "LSEEK unknown: all is data");
		s = rig_on(UM_OP_SEEK, h);
		s->req.whence = SEEK_HOLE;
		is_int(rig_call(0), 0, "with a hole");
		is_int(s->rep.offset, 3, "at the end");
		s = rig_on(UM_OP_SEEK, h);
		s->req.whence = SEEK_DATA;
		s->req.offset = 3;
		is_int(rig_call(0), -ENXIO, "behind which there is nothing");
		is_int(on_handle(UM_OP_FALLOCATE, h, 10), -EOPNOTSUPP, "FALLOCATE unknown");
		s = rig_begin(0, UM_OP_GETXATTR);
		rig_path(s, "made");
		rig_path2(s, "user.a");
		is_int(rig_call(0), -EOPNOTSUPP, "GETXATTR unknown");
		s->req.op = UM_OP_SETXATTR;
		is_int(rig_call(0), -EOPNOTSUPP, "SETXATTR unknown");
		s->req.op = UM_OP_REMOVEXATTR;
		is_int(rig_call(0), -EOPNOTSUPP, "REMOVEXATTR unknown");
		is_int(rig_do(UM_OP_LISTXATTR, "made"), -EOPNOTSUPP, "LISTXATTR unknown");
		s = rig_begin(0, UM_OP_RENAME);
		rig_path(s, "made");
		rig_path2(s, "other");
		s->req.base2 = UM_ROOT_NODE;
		s->req.open_flags = RENAME_NOREPLACE;
		is_int(rig_call(0), -EINVAL, "RENAME2 unknown");
		rig_path(rig_begin(0, UM_OP_OPEN), "dir");
		rig_slot(0)->req.open_flags = O_TMPFILE | O_RDWR;
		is_int(rig_call(0), -EOPNOTSUPP, "TMPFILE unknown");
		long h2 = rig_open("made2", O_RDWR | O_CREAT, 0600);
		is_int(rig_close(h2), 0, "FLUSH unknown: done");
		h2 = rig_open("dir", O_RDONLY, 0);
		ok(h2 > 0, "OPENDIR unknown: not needed");
		is_int(on_handle(UM_OP_FSYNC, h2, 0), 0, "FSYNCDIR unknown: done");
		is_int(rig_close(h2), 0, "no RELEASEDIR");
		is_int(rig_do(UM_OP_STATFS, ""), -ENOSYS, "STATFS unknown: that is all there is to say");
	}
	is_int(rig.count[FUSE_CREATE] + rig.count[FUSE_ACCESS] + rig.count[FUSE_FSYNC] + rig.count[FUSE_LSEEK] +
	       rig.count[FUSE_FALLOCATE] + rig.count[FUSE_GETXATTR] + rig.count[FUSE_SETXATTR] +
	       rig.count[FUSE_REMOVEXATTR] + rig.count[FUSE_LISTXATTR] + rig.count[FUSE_RENAME2] +
	       rig.count[FUSE_TMPFILE] + rig.count[FUSE_FLUSH] + rig.count[FUSE_OPENDIR] + rig.count[FUSE_FSYNCDIR],
	       14, "each was asked for once");
	is_int(rig.count[FUSE_RELEASEDIR], 0, "no RELEASEDIR");
	is_int(rig_close(h), 0, "close");
	rig.refuse[FUSE_OPEN] = -ENOSYS;
	h = rig_open("dir/file", O_RDONLY, 0);
	ok(h > 0, "OPEN unknown: not needed");
	is_int(rig_close(h), 0, "close");
	is_int(rig.count[FUSE_RELEASE], 3, "no RELEASE");
	rig_stop("ENOSYS");
}

/* ---- directories ------------------------------------------------------------------------------------------- */

/* Reads all of it; the number of names, or -errno. */
static int read_all(long h, uint64_t room, char *seen, size_t seen_size)
{
	int n = 0;

	memset(seen, 0, seen_size);
	for (;;) {
		int r = on_handle(UM_OP_READDIR, h, room);
		const struct um_slot *s = rig_slot(0);

		if (r)
			return r;
		if (!s->rep.size)
			return n;
		for (uint64_t at = 0; at < s->rep.size; n++) {
			const struct linux_dirent64 *d = (const struct linux_dirent64 *)(s->data + at);
			int i = atoi(d->d_name + 1);

			if (!d->d_ino || d->d_reclen % 8 || strlen(d->d_name) > 20 || i < 0 || (size_t)i >= seen_size)
				return -1000;
			seen[i]++;
			at += d->d_reclen;
		}
	}
}

static bool each_once(const char *seen, int n)
{
	for (int i = 0; i < n; i++)
		if (seen[i] != 1)
			return false;
	return true;
}

static void test_readdir(bool plus)
{
	const char *what = plus ? "READDIRPLUS" : "READDIR";
	char seen[3000], name[32];
	uint64_t big;
	long h;

	begin();
	if (plus)
		rig.init_flags |= FUSE_DO_READDIRPLUS;
	big = rig_new(1, "big", S_IFDIR | 0755);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "n%d", i);
		rig_new(big, name, S_IFREG | 0644);
	}
	h = rig_open("big", O_RDONLY | O_DIRECTORY, 0);
	is_int(read_all(h, 32768, seen, sizeof seen), 3000, "%s: all names", what);
	ok(each_once(seen, 3000), "%s: each once", what);
	is_int(on_handle(UM_OP_READDIR, h, 32768), 0, "%s: read on at the end", what);
	is_int(rig_slot(0)->rep.size, 0, "%s: nothing", what);
	rig_on(UM_OP_SEEK, h);
	is_int(rig_call(0), 0, "%s: rewind", what);
	is_int(read_all(h, 200, seen, sizeof seen), 3000, "%s: in small pieces", what);
	ok(each_once(seen, 3000), "%s: each once", what);
	rig_on(UM_OP_SEEK, h);
	rig_call(0);
	is_int(on_handle(UM_OP_READDIR, h, 16), -EINVAL, "%s: not even room for one", what);
	is_int(rig_close(h), 0, "%s: close", what);
	if (plus) {
		unsigned asked = rig.count[FUSE_LOOKUP];

		ok(rig.count[FUSE_READDIRPLUS] > 0, "asked with attributes");
		is_int(rig_stat("big/n3")->mode, S_IFREG | 0644, "whose names are known");
		is_int(rig.count[FUSE_LOOKUP], asked, "without a LOOKUP");
		rig_stat("big/n2999");
		h = rig_open("big", O_RDONLY | O_DIRECTORY, 0);
		rig.refuse[FUSE_READDIRPLUS] = -ENOSYS;
		is_int(read_all(h, 32768, seen, sizeof seen), 3000, "READDIRPLUS unknown after all");
		is_int(rig_close(h), 0, "close");
	} else {
		is_int(rig.count[FUSE_READDIRPLUS], 0, "READDIRPLUS is not used");
	}
	h = rig_open("dir", O_RDONLY, 0);
	is_int(rig_do(UM_OP_UNLINK, "dir/file"), 0, "unlink");
	is_int(rig_do(UM_OP_RMDIR, "dir"), 0, "rmdir of an open directory");
	is_int(on_handle(UM_OP_READDIR, h, 4096), -ENOENT, "which cannot be read any more");
	rig_path(rig_on(UM_OP_STAT, h), "file");
	is_int(rig_call(0), -ENOENT, "nor walked");
	is_int(rig_close(h), 0, "close");
	rig_stop(what);
}

/* ---- who may -------------------------------------------------------------------------------------------------- */

static int as(uint32_t uid, uint32_t gid, uint32_t op, const char *path, uint32_t mode)
{
	struct um_slot *s = rig_begin(0, op);

	rig_path(s, path);
	s->req.uid = uid;
	s->req.gid = gid;
	s->req.mode = mode;
	return rig_call(0);
}

static void test_permissions(void)
{
	struct um_slot *s;

	begin();
	rig.shm->allow_other = 0;
	rig.shm->owner_uid = 1000;
	rig_pump();
	is_int(as(1000, 1000, UM_OP_STAT, "dir/file", 0), 0, "the owner may enter");
	is_int(rig.last_uid, 1000, "the server is told who asks");
	is_int(as(0, 0, UM_OP_STAT, "dir/file", 0), 0, "uid 0 may enter");
	is_int(as(2000, 1000, UM_OP_STAT, "dir/file", 0), -EACCES, "others may not without allow_other");
	rig.shm->allow_other = 1;
	is_int(as(2000, 1000, UM_OP_STAT, "dir/file", 0), 0, "but with it");

	rig.shm->default_permissions = 1;
	rig.node[dir].mode = S_IFDIR | 0750;
	rig.node[dir].uid = rig.node[file].uid = 1000;
	rig.node[dir].gid = 100;
	rig.node[file].mode = S_IFREG | 0640;
	rig_expire();
	is_int(as(2000, 200, UM_OP_STAT, "dir/file", 0), -EACCES, "no search permission");
	is_int(as(2000, 100, UM_OP_STAT, "dir/file", 0), 0, "the group has it");
	is_int(as(2000, 100, UM_OP_ACCESS, "dir/file", 4), -EACCES, "the file is not readable");
	is_int(as(1000, 1, UM_OP_ACCESS, "dir/file", 6), 0, "for its owner it is, and writable");
	is_int(as(1000, 1, UM_OP_ACCESS, "dir/file", 1), -EACCES, "but not executable");
	is_int(as(0, 0, UM_OP_ACCESS, "dir/file", 6), 0, "root may all");
	is_int(as(0, 0, UM_OP_ACCESS, "dir/file", 1), -EACCES, "but execute what nobody may");
	is_int(as(2000, 100, UM_OP_MKDIR, "dir/new", 0755), -EACCES, "mkdir needs write permission");
	is_int(as(1000, 1, UM_OP_MKDIR, "dir/new", 0755), 0, "which the owner has");
	is_int(as(2000, 100, UM_OP_UNLINK, "dir/file", 0), -EACCES, "unlink too");
	rig.node[dir].mode = S_IFDIR | 01777;
	rig_expire();
	is_int(as(2000, 100, UM_OP_UNLINK, "dir/file", 0), -EPERM, "sticky: not somebody else's");
	s = rig_begin(0, UM_OP_SETATTR);
	rig_path(s, "dir/file");
	s->req.uid = 2000;
	s->req.valid = FATTR_MODE;
	is_int(rig_call(0), -EPERM, "chmod by another");
	s->req.valid = FATTR_MTIME;
	is_int(rig_call(0), -EPERM, "utimens by another");
	s->req.valid = FATTR_MTIME | FATTR_MTIME_NOW;
	is_int(rig_call(0), -EACCES, "touch by another");
	s->req.valid = FATTR_SIZE;
	is_int(rig_call(0), -EACCES, "truncate by another");
	s->req.uid = 1000;
	s->req.valid = FATTR_UID;
	s->req.set_uid = 2000;
	is_int(rig_call(0), -EPERM, "files are not given away");
	s->req.valid = FATTR_MODE;
	s->req.mode = 0600;
	is_int(rig_call(0), 0, "chmod by the owner");
	rig_path(s = rig_begin(0, UM_OP_OPEN), "dir/file");
	s->req.uid = 2000;
	is_int(rig_call(0), -EACCES, "open by another");
	rig.shm->default_permissions = 0;

	rig.shm->mount_flags = MS_RDONLY;
	is_int(rig_do(UM_OP_MKDIR, "x"), -EROFS, "read-only: mkdir");
	is_int(rig_do(UM_OP_MKDIR, "dir"), -EEXIST, "of what exists");
	is_int(rig_do(UM_OP_UNLINK, "dir/file"), -EROFS, "unlink");
	is_int(rig_open("dir/file", O_RDWR, 0), -EROFS, "open for writing");
	is_int(rig_open("x", O_RDONLY | O_CREAT, 0), -EROFS, "create");
	is_int(as(0, 0, UM_OP_ACCESS, "dir/file", 2), -EROFS, "access");
	s = rig_begin(0, UM_OP_SETATTR);
	rig_path(s, "dir/file");
	s->req.valid = FATTR_MODE;
	is_int(rig_call(0), -EROFS, "chmod");
	rig.shm->mount_flags = 0;
	rig_stop("permissions");
}

/* ---- several guests at once ------------------------------------------------------------------------------------ */

static void test_together(void)
{
	struct um_slot *s;
	long h;

	begin();
	h = rig_open("dir/file", O_RDWR, 0);
	for (unsigned k = 1; k < 4; k++) {	/* three append at once */
		s = rig_begin(k, UM_OP_WRITE);
		s->req.base = 0;
		s->req.handle = (uint32_t)h;
		s->req.offset = UM_OFFSET_END;
		s->req.size = 2;
		memset(s->data, (int)('0' + k), 2);
		rig_post(k);
	}
	rig_pump();
	is_int(rig.node[file].size, 11, "appending writers wait for each other");
	is_int(memcmp(rig.node[file].data, "hello112233", 11), 0, "in their order");
	rig_on(UM_OP_SEEK, h);
	rig_call(0);
	for (unsigned k = 1; k < 4; k++) {	/* three share an offset */
		s = rig_begin(k, UM_OP_READ);
		s->req.base = 0;
		s->req.handle = (uint32_t)h;
		s->req.offset = UM_OFFSET_FILE;
		s->req.size = 3;
		rig_post(k);
	}
	rig_pump();
	is_int(memcmp(rig_slot(1)->data, "hel", 3), 0, "readers of one offset");
	is_int(memcmp(rig_slot(2)->data, "lo1", 3), 0, "get one piece each");
	is_int(memcmp(rig_slot(3)->data, "122", 3), 0, "of it");

	rig.mute = FUSE_OPEN;			/* a handle that is being opened is nobody's */
	rig_path(rig_begin(1, UM_OP_OPEN), "dir/file");
	rig_post(1);
	rig_pump();
	rig_begin(2, UM_OP_STAT)->req.base = 0;
	rig_slot(2)->req.handle = (uint32_t)h + 1;
	is_int(rig_call(2), -EBADF, "a number that was not told yet");
	rig_reply(rig.muted, -EPERM, NULL, 0);
	rig_pump();
	is_int(rig_slot(1)->rep.error, -EPERM, "the open fails");
	rig_slot(1)->state = UM_SLOT_IDLE;

	rig.mute = FUSE_LOOKUP;			/* a LOOKUP that is answered after the server took the name back */
	rig_expire();
	rig_path(rig_begin(1, UM_OP_STAT), "dir");
	rig_post(1);
	rig_pump();
	uint64_t late = rig.muted;
	rig.mute = 0;
	struct { struct fuse_notify_inval_entry_out o; char name[4]; } gone = { { .parent = 1, .namelen = 3 }, "dir" };
	is_int(rig_reply(0, FUSE_NOTIFY_INVAL_ENTRY, &gone, sizeof gone.o + 4), (long)(16 + sizeof gone.o + 4), "notified");
	struct fuse_entry_out e;
	rig_entry(dir, &e);
	rig_reply(late, 0, &e, sizeof e);
	rig_pump();
	is_int(rig_slot(1)->rep.error, 0, "the answer is used");
	unsigned asked = rig.count[FUSE_LOOKUP];
	rig_stat("dir");
	is_int(rig.count[FUSE_LOOKUP], asked + 1, "but not remembered");
	is_int(rig_close(h), 0, "close");
	rig_stop("together");
}

/* Without memory: errors, nothing worse. */
static void test_memory(void)
{
	begin();
	rig_pump();
	for (long n = 0; n < 12; n++) {
		shim_heap_fail_after = n;
		rig_stat("dir/file");
		long h = rig_open("dir", O_RDONLY, 0);
		rig_open("new", O_RDWR | O_CREAT, 0600);
		struct um_slot *s = rig_begin(0, UM_OP_RENAME);
		rig_path(s, "new");
		rig_path2(s, "newer");
		s->req.base2 = UM_ROOT_NODE;
		rig_call(0);
		if (h > 0)
			on_handle(UM_OP_READDIR, h, 4096);
		shim_heap_fail_after = -1;
		rig.shm->state = UM_SERVER_ENDING;
		is_int(rig_pump(), -ENODEV, "out of memory after %ld", n);
		rig_stop("memory");
		begin();
		rig_pump();
	}
	rig_stop("memory");
}

int main(void)
{
	plan(0);
	test_timeouts();
	test_changes();
	test_forget();
	test_forget_first();
	test_enosys();
	test_readdir(false);
	test_readdir(true);
	test_permissions();
	test_together();
	test_memory();
	return done();
}
