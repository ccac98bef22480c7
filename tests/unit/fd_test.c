/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The descriptor table, carriers and their locks, the agent's own descriptors, the cwd; all of it over exec.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/wait.h>
#include "tap.h"
#include "fakeworld.h"
#include "nofiles.h"
#include "../../src/kernel/fd.h"
#include "../../src/kernel/path.h"
#include "../../src/kernel/fs/fuse.h"
#include "../../src/wire/pages.h"

static struct task task;
static int joined;
static const struct fw_node tree[] = { { "/d", 'd', "" }, { "/d/f", 'f', "" }, { NULL, 0, NULL } };

const struct fs_ops real_fs, remote_fs;

struct fuse_conn *fuse_conn_join(uint32_t server)
{
	joined = (int)server;
	return (struct fuse_conn *)&joined;
}

void fuse_conn_leave(struct fuse_conn *c)
{
	joined = c == (struct fuse_conn *)&joined ? 0 : -1;
}

long fuse_dev_open(struct task *t, int open_flags)
{
	(void)t;
	(void)open_flags;
	return -ENXIO;
}

bool client_closed(const struct file *f)
{
	(void)f;
	return false;
}

static uint32_t shared;		/* the handle that is */

void client_share(uint32_t server, uint32_t handle)
{
	if (server == 1)
		shared = handle;
}

bool client_is_shared(const struct file *f)
{
	return f->handle == shared;
}

bool pages_closed(struct task *t, const struct file *f)
{
	(void)t;
	(void)f;
	return false;
}

static struct file *remote_file(uint32_t handle, uint32_t mode)
{
	struct file *f = file_new(FILE_REMOTE);

	f->server = 1;
	f->handle = handle;
	f->mount = 1;
	f->mode = mode;
	f->node = 0x1234567890abcdefull;
	return f;
}

/* ---- the table --------------------------------------------------------------------------------------- */

static void test_table(void)
{
	struct file *f = remote_file(3, 0100000), *g = remote_file(2, 0040000);
	struct files *copy;

	ok(!fd_peek(&task, 3), "an empty table");
	is_int(task.files->size, 0, "costs nothing");
	is_int(fd_install(&task, 3, f), 0, "a virtual descriptor");
	ok(fd_peek(&task, 3) == f, "is there");
	ok(!fd_peek(&task, 2) && !fd_peek(&task, 4) && !fd_peek(&task, -1) && !fd_peek(&task, 100000), "others are not");
	is_int(fd_install(&task, 900, g), 0, "a high one");
	ok(fd_peek(&task, 900) == g && fd_peek(&task, 3) == f, "the table has grown");
	ok(fd_hold(&task, 3) == f && f->refs == 2, "a reference");
	file_put(f);
	copy = files_copy(task.files);
	ok(f->refs == 2 && g->refs == 2, "a copy refers to the same files");
	files_put(copy);
	ok(f->refs == 1 && g->refs == 1, "until it goes");
	ok(fd_remove(&task, 3) == f && !fd_peek(&task, 3), "removed");
	ok(!fd_remove(&task, 3), "only once");
	file_put(f);
	shim_heap_fail_after = 0;
	is_int(fd_install(&task, 5000, g), -ENOMEM, "no memory for a larger table");
	shim_heap_fail_after = -1;
	file_put(fd_remove(&task, 900));
}

/* ---- carriers ---------------------------------------------------------------------------------------- */

/* Does anybody hold the handle, as its server would ask? */
static bool held(uint32_t handle)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = (long)UM_LOCK(1, handle), .l_len = 1 };

	raw_syscall(__NR_fcntl, process.world_fd, F_OFD_GETLK, &lock);
	return lock.l_type != F_UNLCK;
}

static void test_carrier(int flags, int want, const char *what)
{
	uint32_t server = 0, handle = 0;
	int fd = carrier_open(1, 77, flags), copy;
	struct stat st;
	long got;

	ok(fd >= 0, "%s: a carrier", what);
	got = raw_syscall(__NR_fcntl, fd, F_GETFL);
	is_int(got & ~O_LARGEFILE, want, "%s: its flags", what);
	is_int(raw_syscall(__NR_fcntl, fd, F_GETFD), flags & O_CLOEXEC ? FD_CLOEXEC : 0, "%s: close-on-exec", what);
	is_int(carrier_identify(fd, &server, &handle), 1, "%s: can be told", what);
	ok(server == 1 && handle == 77, "%s: and for what it stands", what);
	ok(held(77), "%s: the handle is held", what);
	copy = (int)raw_syscall(__NR_dup, fd);
	raw_syscall(__NR_close, fd);
	ok(held(77), "%s: by a duplicate, too", what);
	raw_syscall(__NR_close, copy);
	ok(!held(77), "%s: not after the last close", what);
	raw_syscall(__NR_fstat, process.world_fd, &st);
	ok((uint64_t)st.st_size == UM_WORLD_SIZE, "%s: the world is as it was", what);
}

/* A file that a client has opened, at a descriptor. */
static struct file *opened(uint32_t number, int flags, int *fd)
{
	struct file *f = remote_file(UM_HANDLE_CLIENT | number, 0100000);

	*fd = carrier_open_for(&task, f, flags);
	f->open_flags = (uint32_t)(flags & ~O_CLOEXEC);
	return f;
}

static void closed(struct file *f, int fd)
{
	carrier_close(&task, f, fd);
	file_put(f);
}

static int spares(void)
{
	int n = 0;

	for (int i = 0; i < SPARES; i++)
		n += task.files->spare[i].fd != 0;
	return n;
}

static void test_spares(void)
{
	uint32_t server, handle;
	struct file *f, *g;
	int fd, other, first;

	f = opened(1, O_RDONLY, &fd);
	ok(fd >= 0 && held(f->handle) && !spares(), "a client's file: a carrier like any other");
	first = fd;
	carrier_close(&task, f, fd);
	ok(!held(f->handle) && f->flags & FILE_OVER && spares() == 1, "closed, it is kept, without its lock");
	file_put(f);
	f = opened(2, O_RDONLY | O_CLOEXEC | O_NONBLOCK, &fd);
	ok(fd == first && f->spare, "the next file gets it, at the lowest number");
	is_int(carrier_identify(fd, &server, &handle), 1, "a carrier");
	ok(server == 1 && handle == f->handle && held(handle), "of the new file");
	is_int(raw_syscall(__NR_fcntl, fd, F_GETFD), FD_CLOEXEC, "close-on-exec");
	is_int(raw_syscall(__NR_fcntl, fd, F_GETFL) & ~O_LARGEFILE, O_NONBLOCK, "with its flags");
	g = opened(3, O_RDONLY, &other);
	ok(other > fd && !g->spare, "another one has its own");
	closed(g, other);
	is_int(spares(), 2, "which is kept, too");
	g = opened(3, O_RDONLY | O_SYNC, &other);
	ok(!g->spare, "what was opened in another way is not taken");
	closed(g, other);
	file_get(f);
	closed(f, fd);
	ok(!held(f->handle) && spares() == 2 && !f->spare, "a file that somebody else holds: its carrier goes");
	file_put(f);
	f = opened(4, O_RDONLY, &fd);
	carrier_share(1, f->handle);
	closed(f, fd);
	is_int(spares(), 1, "one that has been taken by another process: likewise");
	f = opened(5, O_RDONLY, &fd);
	file_passed(f);
	closed(f, fd);
	is_int(spares(), 1, "one that has been sent away: likewise");
	f = opened(6, O_RDONLY, &fd);
	closed(f, fd);
	f = opened(7, O_RDONLY, &fd);
	is_int(spares(), 2, "one in use, one not");
	files_put(files_copy(task.files));
	ok(!spares() && !f->spare, "the table is copied: none is left");
	closed(f, fd);
	is_int(spares(), 0, "and what was open then is not kept");
	for (int i = 0; i < 2 * SPARES; i++) {
		f = opened(8, O_RDONLY | (i % 2 ? O_SYNC : 0), &fd);
		closed(f, fd);
	}
	is_int(spares(), 2, "no more than are needed");
	ok(!carrier_share(1, UM_HANDLE_CLIENT | 8), "who takes one that is closed is told");
	ok(carrier_share(1, 5) && carrier_share(1, UM_HANDLE_DEVICE), "of others nobody need know");
	lock_acquire(&task.files->lock);
	carrier_drop_spares(task.files);
	lock_release(&task.files->lock);
	shared = 0;
}

static void test_carriers(void)
{
	uint32_t server, handle;
	int fd, pipes[2];

	test_carrier(O_RDONLY | O_CLOEXEC, O_RDONLY, "read");
	test_carrier(O_WRONLY | O_TRUNC | O_CREAT | O_EXCL, O_WRONLY, "write");
	test_carrier(O_RDWR | O_APPEND | O_NONBLOCK, O_RDWR | O_APPEND | O_NONBLOCK, "append");
	test_carrier(O_PATH | O_DIRECTORY | O_NOFOLLOW, O_RDONLY, "path");
	test_carrier(O_ACCMODE | O_SYNC, O_RDONLY | O_SYNC, "no access");
	fd = (int)raw_syscall(__NR_open, "/dev/null", O_RDONLY);
	is_int(carrier_identify(fd, &server, &handle), 0, "/dev/null is no carrier");
	raw_syscall(__NR_close, fd);
	fd = (int)raw_syscall(__NR_memfd_create, "x", 0);
	raw_syscall(__NR_lseek, fd, UM_LOCK(1, 77), 0);
	is_int(carrier_identify(fd, &server, &handle), 0, "nor is another file at that offset");
	raw_syscall(__NR_close, fd);
	raw_syscall(__NR_pipe, pipes);
	is_int(carrier_identify(pipes[0], &server, &handle), 0, "nor a pipe");
	raw_syscall(__NR_close, pipes[0]);
	raw_syscall(__NR_close, pipes[1]);
	is_int(carrier_identify(999, &server, &handle), 0, "nor what is not open");
}

static void test_killed(void)
{
	int ready[2], child;
	char c;

	raw_syscall(__NR_pipe, ready);
	child = fork();
	if (!child) {
		carrier_open(1, 88, O_RDWR);
		raw_syscall(__NR_write, ready[1], "x", 1);
		pause();
	}
	raw_syscall(__NR_read, ready[0], &c, 1);
	ok(held(88), "a handle in another process");
	raw_syscall(__NR_kill, child, 9);
	waitpid(child, NULL, 0);
	ok(!held(88), "is free when that is killed");
	raw_syscall(__NR_close, ready[0]);
	raw_syscall(__NR_close, ready[1]);
}

/* ---- the agent's own --------------------------------------------------------------------------------- */

static void test_own(void)
{
	int fd = (int)raw_syscall(__NR_open, "/dev/null", O_RDONLY | O_CLOEXEC), high = fd_park(fd);

	ok(fd_is_ours(process.world_fd), "the world is ours");
	ok(!fd_is_ours(-1) && !fd_is_ours(0) && !fd_is_ours(fd), "others are not");
	ok(high > 100 && high < 1024, "parked at %d", high);
	ok(fd_is_ours(high), "and ours");
	is_int(raw_syscall(__NR_fcntl, high, F_GETFD), 0, "it stays open over exec");
	is_int(raw_syscall(__NR_fcntl, fd, F_GETFD), -EBADF, "the low number is free");
	is_int(fd_own(high), 0, "twice ours");
	fd_disown(high);
	ok(fd_is_ours(high), "is once too few");
	fd_disown(high);
	ok(!fd_is_ours(high), "now it is not");
	raw_syscall(__NR_close, high);
}

/* ---- adoption ---------------------------------------------------------------------------------------- */

static void test_adopt(void)
{
	int fd = carrier_open(1, 2, O_RDONLY), dev = carrier_open(2, UM_HANDLE_DEVICE, O_RDWR);
	struct file *f;

	fd_adopt(&task, fd);
	f = fd_peek(&task, fd);
	ok(f && f->kind == FILE_REMOTE && f->handle == 2 && f->node == 2, "a carrier from elsewhere is taken over");
	is_int(f ? f->mode : 0, 0040000, "its server says what it is");
	fd_adopt(&task, fd);
	ok(fd_peek(&task, fd) == f, "once");
	fd_adopt(&task, 0);
	ok(!fd_peek(&task, 0), "an ordinary descriptor is left alone");
	fd_adopt(&task, dev);
	f = fd_peek(&task, dev);
	ok(f && f->kind == FILE_FUSE_DEVICE && joined == 2, "the device of a server is joined");
	raw_syscall(__NR_close, fd);
	file_put(fd_remove(&task, fd));
	raw_syscall(__NR_close, dev);
	file_put(fd_remove(&task, dev));
	is_int(joined, 0, "and left");
}

/* ---- exec -------------------------------------------------------------------------------------------- */

static void test_exec(struct fw_server *v)
{
	int a = carrier_open(1, 2, O_RDONLY), dup = (int)raw_syscall(__NR_dup, a);
	int b = carrier_open(1, 3, O_RDWR | O_CLOEXEC), closed = v->closed;
	struct files *old = task.files;
	struct file *f = remote_file(2, 0040000);
	char text[400], again[400];

	file_get(f);
	fd_install(&task, a, f);
	fd_install(&task, dup, f);
	fd_install(&task, b, remote_file(3, 0100000));
	is_int(files_describe(old, text, 40), -ENOSPC, "too little room");
	ok(files_describe(old, text, sizeof(text)) == (int)strlen(text), "described: %s", text);
	task.files = files_new();
	is_int(files_restore(task.files, text), 0, "and read back");
	raw_syscall(__NR_close, b);
	f = fd_peek(&task, a);
	ok(f && f->handle == 2 && f->node == 0x1234567890abcdefull && f->mode == 0040000, "a file");
	ok(f && f == fd_peek(&task, dup) && f->refs == 2, "and its duplicate");
	ok(!fd_peek(&task, b), "not what exec closes");
	files_after_exec(&task);
	is_int(v->closed, closed + 1, "whose server is told");
	files_describe(task.files, again, sizeof(again));
	text[strlen(again)] = 0;
	is_str(again, text, "the rest is described as before");
	is_int(files_restore(task.files, "3:junk"), -EINVAL, "junk is refused");
	is_int(files_restore(task.files, "3:1:2:9:1:1:1:1:1:1,"), -EINVAL, "an unknown kind, too");
	is_int(files_restore(task.files, ""), 0, "nothing is fine");
	files_exit(&task);
	is_int(v->closed, closed + 3, "at the end of the process every descriptor is closed");
	ok(!fd_peek(&task, a) && !held(2), "and gone");
	files_put(task.files);
	task.files = old;
	raw_syscall(__NR_close, a);
	file_put(fd_remove(&task, a));
	file_put(fd_remove(&task, dup));
	file_put(fd_remove(&task, b));
}

/* Real descriptors that were reached through bind mounts 7 and 8. */
static void test_exec_bound(void)
{
	struct files *old = task.files;
	int fd = (int)raw_syscall(__NR_dup, 0), closes = (int)raw_syscall(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	char text[80], want[80], again[80];

	snprintf(text, sizeof(text), "b%d:7:12:1,b%d:8:3:0,", fd, closes);
	snprintf(want, sizeof(want), "b%d:7:12:1,", fd);
	task.files = files_new();
	is_int(files_restore(task.files, text), 0, "behind bind mounts");
	is_int(files_describe(task.files, again, sizeof(again)), (int)strlen(want), "described again");
	is_str(again, want, "without what exec closes");
	is_int(files_describe(task.files, again, 4), -ENOSPC, "no room");
	int carried = files_carry(task.files);
	struct files *before = task.files;
	task.files = files_new();
	is_int(files_carried(task.files, carried), 0, "carried by a descriptor");
	is_int(files_describe(task.files, again, sizeof(again)), (int)strlen(want), "and the same");
	is_str(again, want, "as before");
	files_put(before);
	is_int(files_restore(task.files, "b3:7:x,"), -EINVAL, "junk is refused");
	files_put(task.files);
	task.files = old;
	raw_syscall(__NR_close, fd);
	raw_syscall(__NR_close, closes);
}

/* ---- the cwd ----------------------------------------------------------------------------------------- */

static void test_cwd(struct fw_server *v)
{
	struct fsinfo *copy, *old = task.fs;
	struct file *f = remote_file(2, 0040000);
	char text[400], path[100];
	int closed = v->closed, fd;

	f->path = heap_strndup("/mnt/d ir,%", 11);
	is_int(fsinfo_describe(task.fs, text, sizeof(text)), 1, "a real cwd is not worth a word");
	is_int(fsinfo_set_cwd(&task, f), 0, "a virtual cwd");
	fd = task.fs->cwd_fd;
	ok(fd_is_ours(fd) && held(2), "holds its handle by a descriptor of ours");
	path_of_cwd(&task, path, sizeof(path));
	is_str(path, "/mnt/d", "its server says where it is now");
	raw_syscall(__NR_getcwd, path, sizeof(path));
	is_str(path, "/", "the kernel's waits at the root");
	copy = fsinfo_copy(task.fs, false);
	ok(copy->cwd == f && f->refs == 2, "a child has it, too");
	fsinfo_put(copy);
	ok(fd_is_ours(fd), "and takes nothing away when it ends");
	ok(fsinfo_describe(task.fs, text, sizeof(text)) > 0, "exec: %s", text);
	ok(!strchr(text, ' ') && !strchr(text, ','), "one word");
	task.fs = fsinfo_new(022);
	is_int(fsinfo_restore(&task, text), 0, "read back");
	is_int(task.fs->cwd_fd, fd, "the same descriptor");
	is_str(task.fs->cwd->path, "/mnt/d ir,%", "the same path");
	is_int(fsinfo_restore(&task, "v:junk"), -EINVAL, "junk is refused");
	is_int(fsinfo_restore(&task, "-"), 0, "nothing is fine");
	fsinfo_put(task.fs);
	task.fs = old;
	fsinfo_set_cwd(&task, NULL);
	ok(!fd_is_ours(fd) && !held(2), "a real cwd lets the handle go");
	is_int(v->closed, closed + 1, "and tells the server");
	is_int(raw_syscall(__NR_fcntl, fd, F_GETFD), -EBADF, "nothing stays open");
}

int main(void)
{
	struct fw_server *v;

	plan(0);
	fw_create();
	task.tid = process.pid;
	task.epoch = UINT32_MAX;
	task.files = files_new();
	task.fs = fsinfo_new(022);
	v = fw_serve(1, tree);
	fw_mount(UM_MOUNT_REMOTE, "/mnt", 1, 1, "");
	test_table();
	test_carriers();
	test_spares();
	test_killed();
	test_own();
	test_adopt();
	test_exec(v);
	test_exec_bound();
	test_cwd(v);
	channel_task_exit(&task);
	files_put(task.files);
	fsinfo_put(task.fs);
	is_int(shim_heap_live, 0, "no memory is lost");
	fw_umount(1);
	fw_stop(v);
	return done();
}
