/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount(2) and umount2(2): which calls reach the monitor and with what, and which are refused with which
 * error.  Paths and the monitor are played by this test.
 */
#include "shim.h"
#include "tap.h"
#include "../../src/kernel/cow.h"
#include "../../src/kernel/sys/mount.c"

static struct um_slot slot;		/* the monitor's */
static int asked;			/* requests it got */
static int answer;
static uint32_t exists = S_IFDIR;	/* mode of whatever path is asked for; 0: nothing is there */
static struct file device = { .refs = 1, .kind = FILE_FUSE_DEVICE, .server = 3, .conn = (void *)1 };
static uint32_t mounted = UM_MOUNT_REMOTE;	/* kind of what is, wherever it is looked for */
static struct file other = { .refs = 1, .kind = FILE_REMOTE };
static struct task task = { .epoch = UINT32_MAX };

struct um_slot *channel_begin(struct task *t, uint32_t server, uint32_t op, int *error)
{
	(void)t;
	if (server || answer == -ENOTCONN) {
		*error = -ENOTCONN;
		return NULL;
	}
	memset(&slot.req, 0, sizeof slot.req);
	memset(slot.data, 'x', 20000);
	slot.req.op = op;
	return &slot;
}

int channel_path(struct um_slot *s, const char *path, size_t len)
{
	memcpy(s->data, path, len + 1);
	s->req.path_len = (uint32_t)len;
	return 0;
}

long channel_call(struct task *t, uint32_t server, struct um_slot *s)
{
	(void)t, (void)server;
	asked++;
	s->rep.handle = 41;
	return answer;
}

long path_canonical(struct task *t, int dfd, const char *path, unsigned flags, char *buf, size_t size)
{
	(void)t, (void)dfd;
	if (!exists && !(flags & WHERE_CREATE))
		return -ENOENT;
	return snprintf(buf, size, "/canon/%s", path);
}

long where_begin_path(struct where *w, struct task *t, int dfd, const char *path, unsigned flags)
{
	(void)w, (void)t, (void)dfd, (void)path, (void)flags;
	return 0;
}

static long show(struct where *w, gaddr buf)
{
	struct stat *st = (struct stat *)buf;

	(void)w;
	memset(st, 0, sizeof *st);
	st->st_mode = exists;
	return exists ? 0 : -ENOENT;
}

static const struct fs_ops place = { .name = "place", .stat = show };

bool where_next(struct where *w, long *r)
{
	static bool turned;

	(void)r;
	w->fs = &place;
	turned = !turned;
	return turned;
}

long where_end(struct where *w, long r)
{
	(void)w;
	return r;
}

long path_of_fd(struct task *t, int fd, char *buf, size_t size)
{
	(void)t, (void)fd;
	return snprintf(buf, size, "/fd");
}

long path_of_cwd(struct task *t, char *buf, size_t size)
{
	(void)t;
	return snprintf(buf, size, "/cwd");
}

long merge_layer(struct task *t, const char *path, uint32_t i, struct where *w)
{
	(void)t, (void)path, (void)i, (void)w;
	return -ENOENT;
}

long merge_place(struct task *t, const char *path, struct where *w)
{
	(void)t, (void)path, (void)w;
	return -ENOENT;
}

const struct fs_ops cow_fs = { .name = "cow" };
const struct fs_ops real_fs = { .name = "real" };

bool cow_lies_over(const struct task *t, const char *path, size_t len)
{
	(void)t, (void)path, (void)len;
	return false;
}

int view_cow_ids(const struct task *t, uint32_t *ids, int max)
{
	(void)t, (void)ids, (void)max;
	return 0;
}

enum cow_state cow_to_view(char *buf, long *len, size_t size)
{
	(void)buf, (void)len, (void)size;
	return COW_NONE;
}

enum view_hit view_lookup(const struct task *t, const char *path, size_t len, struct mount *m)
{
	(void)t, (void)path, (void)len;
	*m = (struct mount) { .kind = mounted, .is_dir = 1 };
	return VIEW_MOUNT;
}

struct file *fd_hold(struct task *t, int fd)
{
	(void)t;
	return fd == 4 ? &device : fd == 5 ? &other : NULL;
}

void file_put(struct file *f)
{
	(void)f;
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

#define GOOD "fd=4,rootmode=40000,user_id=1000,group_id=100"

static long do_mount(const char *type, unsigned long flags, const char *data)
{
	asked = 0;
	return sys_mount(&task, (gaddr)"src", (gaddr)"m", (gaddr)type, flags, (gaddr)data);
}

static const struct um_ctl_mount *sent(void)
{
	return (const struct um_ctl_mount *)slot.data;
}

static const char *sent_string(int n)
{
	const char *s = (const char *)(sent() + 1);

	while (n--)
		s += strlen(s) + 1;
	return s;
}

static void test_fuse(void)
{
	static const char *const bad[] = {
		"", "fd=4,rootmode=40000,user_id=0", "fd=,rootmode=40000,user_id=0,group_id=0", GOOD ",strange",
		GOOD ",blksize=512", "fd=4x,rootmode=40000,user_id=0,group_id=0", "fd=4,rootmode=48000,user_id=0,group_id=0",
		"fd=4294967296,rootmode=40000,user_id=0,group_id=0", "fd=9,rootmode=40000,user_id=0,group_id=0",
		"fd=5,rootmode=40000,user_id=0,group_id=0", GOOD ",max_read=-1", "fd=-1,rootmode=40000,user_id=0,group_id=0",
	};

	is_int(do_mount("fuse.x", MS_NOSUID | MS_NODEV | MS_NOATIME, GOOD ",allow_other,max_read=4096"), 0, "fuse");
	is_int(slot.req.op, UM_CTL_MOUNT, "asks the monitor");
	is_int(sent()->server, 3, "server");
	is_int(sent()->flags, MS_NOSUID | MS_NODEV, "flags that are kept");
	is_int(sent()->rootmode, 040000, "rootmode is octal");
	is_int(sent()->is_dir, 1, "a directory");
	is_int(sent()->allow_other, 1, "allow_other");
	is_int(sent()->default_permissions, 0, "not default_permissions");
	is_int(sent()->max_read, 4096, "max_read");
	is_int(sent()->user_id, 1000, "user_id");
	is_str(sent_string(0), "/canon/m", "canonical target");
	is_str(sent_string(1), "src", "source");
	is_str(sent_string(2), "fuse.x", "type");
	is_str(sent_string(3), "user_id=1000,group_id=100,allow_other,max_read=4096", "options to show");
	is_str(sent_string(4), "", "no second path");
	is_int(task.epoch, 41, "who mounts sees what was before");
	is_int(do_mount("fuse", MS_MGC, GOOD ",default_permissions,subtype=a"), 0, "the old magic number");
	is_int(sent()->flags, 0, "is no flag");
	is_int(do_mount("fuseblk", 0, GOOD ",blksize=512"), 0, "fuseblk");
	is_str(sent_string(3), "user_id=1000,group_id=100,blksize=512", "with its block size");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		is_int(do_mount("fuse", 0, bad[i]), -EINVAL, "refused: \"%s\"", bad[i]);
		is_int(asked, 0, "by us");
	}
	exists = S_IFREG;
	is_int(do_mount("fuse", 0, GOOD), -ENOTDIR, "a directory on a file");
	is_int(do_mount("fuse", 0, "fd=4,rootmode=100000,user_id=0,group_id=0"), 0, "a file on a file");
	is_int(sent()->is_dir, 0, "no directory");
	exists = 0;
	is_int(do_mount("fuse", 0, GOOD), 0, "a mount point need not exist");
	exists = S_IFDIR;
	is_int(sys_mount(&task, 0, (gaddr)"m", (gaddr)"fuse", 0, (gaddr)GOOD), 0, "no source");
	is_str(sent_string(1), "none", "is shown as none");
	answer = -EBUSY;
	is_int(do_mount("fuse", 0, GOOD), -EBUSY, "what the monitor says");
	answer = -ENOTCONN;
	is_int(do_mount("fuse", 0, GOOD), -EPERM, "without a monitor nothing is mounted");
	answer = 0;
}

static void test_others(void)
{

	is_int(do_mount("ext4", 0, NULL), -EPERM, "a file system of the kernel");
	is_int(do_mount("ramfs", 0, NULL), -EPERM, "ramfs");
	is_int(do_mount("fusectl", 0, NULL), -EPERM, "fusectl is not FUSE");
	is_int(do_mount(NULL, MS_REC | MS_PRIVATE, NULL), 0, "private is what mounts are");
	is_int(do_mount(NULL, MS_PRIVATE | MS_BIND, NULL), -EINVAL, "but alone");
	is_int(asked, 0, "the monitor is not asked");
	is_int(do_mount(NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOATIME, NULL), 0, "remount");
	is_int(slot.req.op, UM_CTL_REMOUNT, "... is the monitor's to do");
	is_int(sent()->flags, MS_RDONLY, "... with what is new");
	is_int(do_mount(NULL, MS_BIND | MS_REC, NULL), 0, "bind");
	is_int(slot.req.op, UM_CTL_BIND, "asks the monitor");
	is_str(sent_string(0), "/canon/m", "target");
	is_str(sent_string(4), "/canon/src", "what is bound");
	is_int(sent()->is_dir, 1, "a directory");
	is_int(do_mount(NULL, MS_BIND | MS_RDONLY, NULL), 0, "read-only bind");
	is_int(sent()->flags, MS_RDONLY, "... is told so");
	is_int(do_mount("sysfs", MS_NOEXEC, NULL), 0, "the machine's sysfs");
	is_int(slot.req.op, UM_CTL_BIND, "is shown");
	is_str(sent_string(4), "/sys", "from where it is");
	is_int(do_mount("proc", 0, "hidepid=2"), -EINVAL, "there is only one proc");
}

static void test_move(void)
{
	is_int(do_mount(NULL, MS_MOVE, NULL), 0, "move");
	is_int(slot.req.op, UM_CTL_MOVE, "... is the monitor's to do");
	is_str(sent_string(0), "/canon/m", "where to");
	is_str(sent_string(4), "/canon/src", "what is moved");
	is_int(sys_mount(&task, (gaddr)"", (gaddr)"m", 0, MS_MOVE, 0), -EINVAL, "nothing is moved");
	exists = S_IFREG;
	is_int(do_mount(NULL, MS_MOVE, NULL), -EINVAL, "a directory to a file");
	exists = 0;
	is_int(do_mount(NULL, MS_MOVE, NULL), -ENOENT, "to where nothing is");
	exists = S_IFDIR;
	mounted = UM_MOUNT_HIDE;
	is_int(do_mount(NULL, MS_MOVE, NULL), -EINVAL, "a hidden name");
	mounted = UM_MOUNT_REMOTE;
	is_int(sys_move_mount(&task, AT_FDCWD, (gaddr)"src", 5, (gaddr)"", 0x40), 0, "move_mount to a descriptor's directory");
	is_str(sent_string(0), "/fd", "is told where that is");
	is_int(sys_move_mount(&task, 5, (gaddr)"", AT_FDCWD, (gaddr)"m", 0), -ENOENT, "an empty path without its flag");
	is_int(sys_move_mount(&task, 5, (gaddr)"", AT_FDCWD, (gaddr)"m", 0x4), 0, "and with it");
	is_str(sent_string(4), "/fd", "what is moved");
	is_int(sys_move_mount(&task, 5, (gaddr)"", AT_FDCWD, (gaddr)"m", 0x104), -EINVAL, "groups of propagation");
}

static void test_view(void)
{
	static const char *const bad[] = {
		"merge,ro", "merge,move", "cow", "mincow,except=/x", "vstat", "move,hide", "except=x", "except=/", "except=/..", "except=/a//b",
		"renew,perm", "hide,except=/x", "strange",
	};

	is_int(do_mount("viewfs", 0, "move,except=/a,except=/b/c,perm"), 0, "viewfs");
	is_int(slot.req.op, UM_CTL_BIND, "is a bind");
	is_str(sent_string(4), "/canon/src", "what is shown");
	is_str(sent_string(5), "d/a\nd/b/c", "exceptions");
	is_int(sent()->flags == UM_MNT_PERM, 1, "permanent");
	is_int(do_mount("viewfs", 0, "ro"), 0, "move is what is meant");
	is_int(sent()->flags, MS_RDONLY, "read-only");
	is_int(do_mount("viewfs", 0, "hide"), 0, "hide");
	is_int(slot.req.op, UM_CTL_HIDE, "... is another request");
	is_int(do_mount("hide", 0, NULL), 0, "hide as a type");
	is_int(do_mount("viewfs", 0, "merge,except=/a"), 0, "merge");
	is_int(slot.req.op, UM_CTL_MERGE, "... is another one");
	is_int(do_mount("merge", 0, NULL), 0, "merge as a type");
	is_int(do_mount("viewfs", 0, "renew"), 0, "renew");
	is_int(slot.req.op, UM_CTL_RENEW, "... is another one");
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		is_int(do_mount("viewfs", 0, bad[i]), -EINVAL, "%s", bad[i]);
	is_int(do_mount("tmpfs", MS_NODEV, "mode=750"), 0, "tmpfs");
	is_int(slot.req.op, UM_CTL_TMPFS, "... is the monitor's to make");
	is_int(slot.req.mode, 0750, "... with a mode");
	is_int(do_mount("tmpfs", 0, ""), 0, "tmpfs without options");
	is_int(slot.req.mode, 01777, "... is everybody's");
	is_int(do_mount("tmpfs", 0, "size=1m"), -EINVAL, "a limit that could not be kept");
	is_int(do_mount("tmpfs", 0, "mode=8"), -EINVAL, "no mode");
}

static void test_long(void)
{
	char longer[UM_PATH_MAX + 1];

	memset(longer, 'p', sizeof longer);
	longer[UM_PATH_MAX] = 0;
	is_int(sys_mount(&task, 0, (gaddr)longer, (gaddr)"fuse", 0, (gaddr)GOOD), -ENAMETOOLONG, "endless target");
	is_int(sys_mount(&task, 0, 8, (gaddr)"fuse", 0, (gaddr)GOOD), -EFAULT, "bad target");
	is_int(sys_mount(&task, 0, (gaddr)"", (gaddr)"fuse", 0, (gaddr)GOOD), -ENOENT, "empty target");
}

static void test_umount(void)
{
	is_int(sys_umount2(&task, (gaddr)"m", 2), 0, "umount");
	is_int(slot.req.op, UM_CTL_UMOUNT, "asks the monitor");
	is_int(slot.req.open_flags, 2, "flags");
	is_str((char *)slot.data, "/canon/m", "canonical path");
	is_int(sys_umount2(&task, (gaddr)"m", 16), -EINVAL, "unknown flags");
	is_int(sys_umount2(&task, (gaddr)"m", 4), -EINVAL, "MNT_EXPIRE");
	is_int(sys_umount2(&task, (gaddr)"", 0), -ENOENT, "empty path");
	is_int(sys_umount2(&task, 8, 0), -EFAULT, "bad path");
	answer = -EBUSY;
	is_int(sys_umount2(&task, (gaddr)"m", 0), -EBUSY, "what the monitor says");
	answer = -ENOTCONN;
	is_int(sys_umount2(&task, (gaddr)"m", 0), -EINVAL, "without a monitor nothing is mounted");
}

int main(void)
{
	static const struct um_view_slot no_mounts;

	plan(0);
	process.views = &no_mounts;
	test_fuse();
	test_others();
	test_move();
	test_view();
	test_long();
	test_umount();
	is_int(shim_heap_live, 0, "no memory left");
	return done();
}
