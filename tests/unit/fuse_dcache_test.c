/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What clients find without asking (fuse_dcache.c writes it, remote_dcache.c reads it): it is never anything else than what the
 * server would say, as long as the server says that it is valid; and in a mount that is alone, longer.
 */
#define RIG_NODES 40000
#include <linux/fs.h>
#include <sys/wait.h>
#include "fuse_rig.h"
#include "../../src/kernel/fs/remote.h"
#include "../../src/wire/pages.h"

static const char *const dirs[] = { "", "a/", "b/", "a/c/", "b/c/" };
static const char *const names[] = { "a", "b", "c", "x", "y", "z" };
#define DIRS	(sizeof dirs / sizeof *dirs)
#define NAMES	(sizeof names / sizeof *names)

static struct um_attr got;

static int look(const char *path)
{
	return dcache_attr(&rig.task, 1, UM_ROOT_NODE, path, UM_WALK_FOLLOW, &got);
}

/* ---- the truth ------------------------------------------------------------------------------------------- */

/* What the server has there: its node, or 0. */
static uint64_t truth(const char *path)
{
	char copy[64], *name, *rest = copy;
	uint64_t at = 1;

	snprintf(copy, sizeof copy, "%s", path);
	while (at && (name = strsep(&rest, "/")))
		if (*name)
			at = rig_find(at, name) ? rig_real(rig_find(at, name)) : 0;
	return at;
}

static unsigned hits, absent, lies, listed;

static void check(const char *path)
{
	int r = look(path);
	uint64_t id = truth(path);
	struct fuse_attr a;

	if (!r)
		return;
	hits += r > 0;
	absent += r < 0;
	if (r > 0 && id) {
		rig_attr(id, &a);
		if (got.ino == a.ino && got.size == a.size && got.mode == a.mode && got.nlink == a.nlink &&
		    (uint64_t)got.mtime == a.mtime && got.uid == a.uid)
			return;
	} else if (r == -ENOENT && !id) {
		return;
	}
	if (!lies++)
		diag("%s: %d, ino %llu size %llu nlink %u; the server has %llu", path, r, (unsigned long long)got.ino,
		     (unsigned long long)got.size, got.nlink, (unsigned long long)id);
}

static void check_all(void)
{
	char path[64];

	for (size_t d = 0; d < DIRS; d++)
		for (size_t n = 0; n < NAMES; n++) {
			snprintf(path, sizeof path, "%s%s", dirs[d], names[n]);
			check(path);
		}
}

/* ---- directories ------------------------------------------------------------------------------------------ */

/* Is each name that is read there, and each that is there read, once? */
static void check_directory(const char *path)
{
	uint64_t id = *path ? truth(path) : 1, left = 0;
	long h = id && S_ISDIR(rig.node[id].mode) ? rig_open(path, O_RDONLY | O_DIRECTORY, 0) : 0;
	struct um_slot *s;

	if (h <= 0)
		return;
	for (uint64_t i = 2; i < rig.next; i++)
		left += rig.node[i].used && rig.node[i].parent == id && rig.node[i].name[0];
	for (;;) {
		s = rig_on(UM_OP_READDIR, h);
		s->req.size = pick(2) ? 70 : 4000;
		if (rig_call(0) || !s->rep.size)
			break;
		for (uint64_t at = 0; at < s->rep.size; at += ((struct linux_dirent64 *)(s->data + at))->d_reclen) {
			const char *name = ((struct linux_dirent64 *)(s->data + at))->d_name;

			if (!strcmp(name, ".") || !strcmp(name, ".."))
				continue;
			if (!rig_find(id, name) && !lies++)
				diag("%s: %s is read", path, name);
			left--;
		}
	}
	if (left && !lies++)
		diag("%s: %lld names more than were read", path, (long long)left);
	rig_close(h);
	listed++;
}

/* ---- random changes -------------------------------------------------------------------------------------- */

static void some_path(char *path)
{
	sprintf(path, "%s%s", dirs[pick(DIRS)], names[pick(NAMES)]);
}

static void in_file(const char *path)
{
	long h = rig_open(path, O_RDWR | (pick(2) ? O_CREAT : 0) | (pick(4) ? 0 : O_TRUNC), 0644);

	if (h < 0)
		return;
	check_all();
	if (pick(2))
		rig_write_at(h, pick(100), "some text");
	else
		rig_read_at(h, 0, 10);
	check_all();
	rig_close(h);
}

static void set_attributes(const char *path)
{
	struct um_slot *s = rig_begin(0, UM_OP_SETATTR);

	rig_path(s, path);
	s->req.valid = pick(2) ? FATTR_MODE : FATTR_UID;
	s->req.mode = 0600 + pick(64);
	s->req.set_uid = pick(9);
	rig_call(0);
}

static void notify_inode(const char *path)
{
	struct fuse_notify_inval_inode_out o = { .ino = truth(path) };

	fuse_notify(rig.c, FUSE_NOTIFY_INVAL_INODE, (const uint8_t *)&o, sizeof o);
	if (o.ino > 1)
		rig.node[o.ino].uid = 77;	/* it has been changed behind our back: hence the notice */
}

static void step(void)
{
	char path[64], other[64];

	some_path(path);
	some_path(other);
	switch (pick(12)) {
	case 0:	rig_do(UM_OP_MKDIR, path); break;
	case 1:	rig_do(UM_OP_UNLINK, path); break;
	case 2:	rig_do(UM_OP_RMDIR, path); break;
	case 3:	rig_two(UM_OP_RENAME, path, other); break;
	case 4:	rig_two(UM_OP_LINK, path, other); break;
	case 5:	set_attributes(path); break;
	case 6:	notify_inode(path); break;
	case 7:
	case 8:	in_file(path); break;
	default: rig_stat(path);
	}
}

static void test_random(bool alone)
{
	hits = absent = lies = listed = 0;
	rig_start();
	if (alone) {
		rig.shm->mount_flags |= UM_MNT_ALONE;
		rig.entry_valid = rig.attr_valid = 0;
	}
	rig_pump();
	for (int i = 0; i < 12000; i++) {
		step();
		check_all();
		if (!(i % 7))
			check_directory(pick(2) ? "" : pick(2) ? "a" : "a/c");
	}
	is_int(lies, 0, "%s: 12000 steps, and nothing that is found without asking is wrong", alone ? "alone" : "by time-outs");
	ok(!alone || rig.count[FUSE_OPENDIR] < listed / 2, "%u of %u directories had to be opened at the server", rig.count[FUSE_OPENDIR], listed);
	ok(hits > 10000 && absent > 10000, "... of which there is much: attributes %u times, no such name %u times", hits, absent);
	rig_stop("random");
}

/* ---- one by one ------------------------------------------------------------------------------------------ */

static void expire_shared(uint64_t nodeid)
{
	struct um_dcache_node *set = rig.c->dcache->nodes + um_dcache_node_set(nodeid);

	for (unsigned i = 0; i < UM_DCACHE_WAYS; i++)
		if (set[i].nodeid == nodeid)
			set[i].until = 1;
}

static void test_when(void)
{
	uint64_t dir, file, two;

	rig_start();
	dir = rig_new(1, "dir", S_IFDIR | 0755);
	file = rig_new(dir, "file", S_IFREG | 0644);
	rig_pump();
	is_int(look("dir/file"), 0, "at first nothing is known");
	rig_stat("dir/file");
	is_int(look("dir/file"), 1, "what has been asked for is");
	is_int(got.ino, file, "and it is that file");
	is_int(look("dir//file"), 1, "two slashes are one");
	is_int(dcache_attr(&rig.task, 1, UM_ROOT_NODE, "dir/file/", UM_WALK_DIR, &got), 0, "whether it is a directory, the server is asked");
	is_int(look("dir/./file"), 0, "and what is behind a dot");
	is_int(look("dir/../dir"), 0, "or two");
	is_int(dcache_attr(&rig.task, 1, dir, "file", 0, &got), 1, "from its directory");
	is_int(dcache_attr(&rig.task, 1, file, "", 0, &got), 1, "from itself");
	is_int(dcache_attr(&rig.task, 1, file, "more", 0, &got), 0, "nothing is below a file");
	is_int(dcache_attr(&rig.task, 1, 0, "dir", 0, &got), 0, "from nowhere");
	expire_shared(file);
	is_int(look("dir/file"), 0, "not longer than it is valid");

	rig_stat("dir/none");
	is_int(look("dir/none"), -ENOENT, "a name that the server said is not there, for a while");
	rig.entry_valid = rig.attr_valid = 0;
	two = rig_new(dir, "two", S_IFREG | 0644);
	rig.node[two].nlink = 2;
	rig_stat("dir/two");
	rig_stat("dir/other");
	is_int(look("dir/two"), 0, "nothing without validity");
	is_int(look("dir/other"), 0, "nor that something is not there");
	rig.shm->mount_flags |= UM_MNT_ALONE;
	rig_stat("dir/two");
	rig_stat("dir/other");
	is_int(look("dir/other"), -ENOENT, "alone: that");
	is_int(look("dir/two"), 0, "but no attributes of a file with two names: it may have two nodes");
	rig.node[two].nlink = 1;
	rig_stat("dir/two");
	is_int(look("dir/two"), 1, "with one, yes");
	rig_stop("when");
}

static void test_who(void)
{
	rig_start();
	rig_new(1, "file", S_IFREG | 0644);
	rig_pump();
	rig_stat("file");
	is_int(look("file"), 1, "served as root's: anybody");
	rig.shm->mount_flags = UM_MNT_HUMAN;
	is_int(look("file"), 1, "for all users");
	rig.shm->default_permissions = 1;
	is_int(look("file"), 0, "by the mode bits: the server's agent looks");
	rig.shm->default_permissions = 0;
	rig.shm->allow_other = 0;
	rig.shm->owner_uid = geteuid();
	is_int(look("file"), 1, "the one whose mount it is");
	rig.shm->owner_uid = geteuid() + 1;
	is_int(look("file"), geteuid() == 0, "root, but nobody else");
	rig.shm->allow_other = 1;
	rig.shm->state = UM_SERVER_DEAD;
	is_int(look("file"), 0, "a dead server is asked: it will not answer");
	rig_stop("who");
}

/* A directory that has been read needs no OPENDIR, nor a RELEASEDIR, until something is asked that was not. */
static void test_directory(void)
{
	long h;

	rig_start();
	rig.shm->mount_flags |= UM_MNT_ALONE;
	rig_new(1, "file", S_IFREG | 0644);
	rig_new(1, "other", S_IFREG | 0644);
	rig_pump();
	check_directory("");
	is_int(rig.count[FUSE_OPENDIR], 1, "the first time it is opened");
	for (int i = 0; i < 9; i++)
		check_directory("");
	is_int(lies, 0, "ten times the same");
	ok(rig.count[FUSE_OPENDIR] <= 3, "and opened for the sizes of the buffer only: %u", rig.count[FUSE_OPENDIR]);
	rig.count[FUSE_OPENDIR] = 0;
	h = rig_open("", O_RDONLY | O_DIRECTORY, 0);
	is_int(rig.count[FUSE_OPENDIR], 0, "opened once more: not");
	rig_on(UM_OP_FSYNC, h);
	is_int(rig_call(0), 0, "fsync");
	is_int(rig.count[FUSE_OPENDIR], 1, "needs it");
	rig_close(h);
	rig_do(UM_OP_MKDIR, "dir");
	check_directory("");
	is_int(lies, 0, "a new name is read");
	is_int(rig.count[FUSE_OPENDIR], 2, "from the server");
	rig_stop("directory");
}

/* Long names and more than there is room for: only more questions. */
static void test_room(void)
{
	char name[256];
	unsigned known = 0, wrong = 0;

	rig_start();
	rig_pump();
	memset(name, 'n', sizeof name);
	name[UM_DCACHE_NAME_MAX + 1] = 0;
	rig_new(1, name, S_IFREG | 0644);
	rig_stat(name);
	is_int(look(name), 0, "a name that is too long for the table");
	name[UM_DCACHE_NAME_MAX] = 0;
	rig_new(1, name, S_IFREG | 0644);
	rig_stat(name);
	is_int(look(name), 1, "one that just fits");
	rig.c->names_max = 3000;
	for (int i = 0; i < 4000; i++) {
		snprintf(name, sizeof name, "f%d", i);
		rig.node[rig_new(1, name, S_IFREG | 0644)].size = (uint64_t)i;
		rig_stat(name);
	}
	for (int i = 0; i < 4000; i++) {
		snprintf(name, sizeof name, "f%d", i);
		if (look(name) == 1) {
			known++;
			wrong += got.size != (uint64_t)i;
		}
	}
	ok(known > 2500 && known <= 3000, "%u of 4000 are known, no more than the server keeps", known);
	is_int(wrong, 0, "each of them is itself");
	rig_stop("room");
}

/* A writer that was stopped in the middle, and one that goes on writing. */
static void test_torn(void)
{
	struct um_dcache_node *n;
	uint64_t file;

	rig_start();
	file = rig_new(1, "file", S_IFREG | 0644);
	rig_pump();
	rig_stat("file");
	n = rig.c->dcache->nodes + um_dcache_node_set(file);
	while (n->nodeid != file)
		n++;
	n->seq |= 1;
	is_int(look("file"), 0, "an entry that is being written is not believed");
	n->seq++;
	is_int(look("file"), 1, "when it has been, it is");
	rig_stop("torn");
}

/* libfuse renames what is open instead of removing it, and removes that when it is closed. */
static void test_hidden(void)
{
	uint64_t dir;
	int carrier;
	long h;

	rig_start();
	rig.shm->mount_flags |= UM_MNT_ALONE;
	rig.entry_valid = rig.attr_valid = 0;
	dir = rig_new(1, "dir", S_IFDIR | 0755);
	rig_new(dir, "file", S_IFREG | 0644);
	rig_new(dir, ".fuse_hidden1", S_IFREG | 0644);
	rig_pump();
	rig_stat("dir/.fuse_hidden1");
	rig_stat("dir/.fuse_hidden2");
	is_int(look("dir/.fuse_hidden1"), 0, "a name of libfuse's own is asked for");
	is_int(look("dir/.fuse_hidden2"), 0, "and may come into being");
	h = rig_open("dir/file", O_RDONLY, 0);
	carrier = rig_carrier((uint32_t)h);
	rig_do(UM_OP_UNLINK, "dir/file");
	rig_stat("dir");
	is_int(look("dir"), 1, "the directory after that");
	close(carrier);
	rig_close(h);
	is_int(look("dir"), 0, "is asked for when the file is closed for good");
	rig_stop("hidden");
}

/* A child of the server's that closes what it has inherited: the server goes on. */
static void test_child(void)
{
	int status = 0;
	long h;
	pid_t pid;

	rig_start();
	rig_new(1, "file", S_IFREG | 0644);
	rig_pump();
	h = rig_open("file", O_RDONLY, 0);
	rig_stat("file");
	is_int(look("file"), 1, "known");
	rig.shm->nlocks = 3;
	pid = fork();
	if (!pid) {
		rig.c->nlocks = 3;
		fuse_conn_leave(rig.c);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	is_int(status, 0, "a child leaves the connection");
	is_int(look("file"), 1, "it is known still");
	is_int(rig.shm->nhandles, 1, "and open");
	is_int(rig.c->opens->open[h % UM_OPENS].handle, h, "with an offset that is shared");
	is_int(rig.shm->nlocks, 3, "and locked");
	rig.shm->nlocks = 0;
	rig_close(h);
	rig_stop("child");
}

/* The number of a file that is open is another file's now, which is no server's right, and that file is not taken for this one. */
static void test_again(void)
{
	uint64_t file;
	long h;

	rig_start();
	file = rig_new(1, "file", S_IFREG | 0644);
	rig_pump();
	h = rig_open("file", O_RDONLY, 0);
	is_int(dcache_attr(&rig.task, 1, file, "", 0, &got), 1, "by its number");
	rig.generation++;
	rig_expire();
	rig_stat("file");
	is_int(dcache_attr(&rig.task, 1, file, "", 0, &got), 0, "not when that has become another file's: the first one is open");
	is_int(look("file"), 0, "and that one is asked for");
	rig_on(UM_OP_STAT, h);
	is_int(rig_call(0), -EIO, "there is nothing left of the first one");
	rig_close(h);
	rig.lies = true;
	rig.wrong = 0;
	rig_stop("again");
}

/* What a WRITE has done that failed, only the server knows. */
static void test_failed(void)
{
	uint64_t file;
	long h;

	rig_start();
	rig.shm->mount_flags |= UM_MNT_ALONE;
	rig.entry_valid = rig.attr_valid = 0;
	file = rig_new(1, "file", S_IFREG | 0644);
	rig_pump();
	h = rig_open("file", O_RDWR, 0);
	rig_stat("file");
	is_int(look("file"), 1, "known");
	rig.refuse[FUSE_WRITE] = -EIO;
	rig.node[file].size = 100;
	is_int(rig_write_at(h, 0, "text"), -EIO, "a write fails");
	is_int(look("file"), 0, "then it is asked");
	rig_close(h);
	rig_stop("failed");
}

/* ---- extended attributes that there are not ---------------------------------------------------------------- */

static bool lacks(const char *path, const char *name)
{
	return dcache_lacks(&rig.task, 1, UM_ROOT_NODE, path, UM_WALK_FOLLOW, name);
}

static void test_lacks(void)
{
	static const char selinux[] = "security.selinux", acl[] = "system.posix_acl_access";
	struct fuse_notify_inval_inode_out o;
	uint64_t file;

	rig_start();
	file = rig_new(1, "file", S_IFREG | 0644);
	o = (struct fuse_notify_inval_inode_out){ .ino = file };
	rig_pump();
	rig_stat("file");
	is_int(rig_xattr_op(UM_OP_GETXATTR, "file", selinux, "12"), -ENODATA, "there is none");
	ok(!lacks("file", selinux), "which somebody else may change");
	rig.shm->mount_flags |= UM_MNT_ALONE;
	rig_xattr_op(UM_OP_GETXATTR, "file", selinux, "12");
	ok(lacks("file", selinux), "alone: it is known");
	ok(!lacks("file", acl) && !lacks("file", "user.a") && !lacks("none", selinux), "of that one");
	rig_xattr_op(UM_OP_GETXATTR, "file", acl, "");
	rig_xattr_op(UM_OP_GETXATTR, "file", "user.a", "");
	ok(lacks("file", selinux) && lacks("file", acl) && !lacks("file", "user.a"), "of two; who may read others depends");
	is_int(rig_xattr_op(UM_OP_SETXATTR, "file", acl, "some"), 0, "it is set");
	ok(!lacks("file", acl) && !lacks("file", selinux), "nothing is known");
	rig_stat("file");
	ok(!lacks("file", acl) && !lacks("file", selinux), "nor by its other attributes");
	is_int(rig_xattr_op(UM_OP_GETXATTR, "file", acl, "1234"), 0, "there is one");
	ok(!lacks("file", acl), "so it is asked for");
	is_int(rig_xattr_op(UM_OP_REMOVEXATTR, "file", acl, ""), 0, "it is removed");
	rig_xattr_op(UM_OP_GETXATTR, "file", acl, "");
	rig_stat("file");
	ok(lacks("file", acl), "and known not to be there");
	fuse_notify(rig.c, FUSE_NOTIFY_INVAL_INODE, (const uint8_t *)&o, sizeof o);
	rig_stat("file");
	ok(!lacks("file", acl), "until the server says that it has changed");
	rig.refuse[FUSE_GETXATTR] = -EOPNOTSUPP;
	rig_xattr_op(UM_OP_GETXATTR, "file", acl, "");
	ok(!lacks("file", acl), "another error is not that");
	rig_stop("lacks");
}

int main(void)
{
	rig_state = 1;
	test_lacks();
	test_when();
	test_who();
	test_room();
	test_torn();
	test_directory();
	test_hidden();
	test_child();
	test_again();
	test_failed();
	test_random(false);
	test_random(true);
	return done();
}
