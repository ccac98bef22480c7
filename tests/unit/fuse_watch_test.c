/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches in a mounted file system (fuse_watch.c, fuse_shadow.c): the server is the small one of fuse_rig.h, the inotify
 * the kernel's, and the directory of the shadows one of our own.  What guests see is tested by tests/guest/inotify.c;
 * here are servers that do not say what their names are, or change names behind our back, and what is left at the end.
 */
#include "fuse_rig.h"
#include <linux/inotify.h>

static int inotify, top;
static char top_path[64];

/* One that tells that it lives. */
static int new_inotify(void)
{
	struct flock lk = { .l_type = F_RDLCK, .l_start = (long)UM_WATCH_LOCK(getpid(), 1), .l_len = 1 };
	int fd = (int)raw_syscall(__NR_inotify_init1, O_NONBLOCK | O_CLOEXEC);

	is_int(raw_syscall(__NR_fcntl, fd, F_OFD_SETLK, &lk), 0, "an inotify");
	return fd;
}

static int watch(const char *path)
{
	char at[512];
	int err = rig_do(UM_OP_WATCH, path);

	if (err)
		return err;
	snprintf(at, sizeof at, "/proc/self/fd/%d/%.400s", top, (const char *)rig_slot(0)->data);
	return (int)raw_syscall(__NR_inotify_add_watch, inotify, at, IN_ALL_EVENTS);
}

/* The events in the queue: "WD:MASK:NAME ..." in hexadecimal. */
static const char *events(void)
{
	static char out[4096];
	char buf[8192] __attribute__((aligned(8)));
	long n = read(inotify, buf, sizeof buf);
	size_t at = 0;

	out[0] = 0;
	for (long i = 0; i < n;) {
		const struct inotify_event *e = (const struct inotify_event *)(buf + i);

		at += (size_t)snprintf(out + at, sizeof out - at, "%s%d:%x:%s", i ? " " : "", e->wd, e->mask,
				       e->len ? e->name : "");
		i += (long)(sizeof *e + e->len);
	}
	return out;
}

static void fill(void)
{
	uint64_t d = rig_new(1, "dir", S_IFDIR | 0755);

	rig_put(rig_new(1, "file", S_IFREG | 0644), "hello");
	rig_put(rig_new(d, "inner", S_IFREG | 0600), "inside");
	rig_new(d, "sub", S_IFDIR | 0755);
}

static void begin(void)
{
	rig_start();
	rig_world.monitor_pid = (uint32_t)getpid();
	snprintf(top_path, sizeof top_path, "/tmp/fuse_watch_test-%d", getpid());
	raw_syscall(__NR_mkdir, top_path, 0700);
	top = (int)raw_syscall(__NR_open, top_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	inotify = new_inotify();
	fill();
	is_int(rig_pump(), -EAGAIN, "nothing to read after INIT");
}

static void end(const char *what)
{
	char command[128];

	rig_stop(what);
	close(inotify);
	close(top);
	snprintf(command, sizeof command, "rm -rf %s", top_path);
	is_int(system(command), 0, "%s: the directory can be removed", what);
}

static void test_events(void)
{
	long f;

	begin();
	is_int(rig_do(UM_OP_WATCH, "dir"), -ENOSPC, "no directory for shadows");
	rig.shm->shadow = (uint32_t)top + 1;
	is_int(watch("nothing"), -ENOENT, "what does not exist");
	is_int(watch("dir"), 1, "a directory");
	is_int(watch("file"), 2, "a file");
	is_int(watch("dir"), 1, "the same again");
	is_str(events(), "", "nothing has happened");
	f = rig_open("dir/inner", O_RDWR, 0);
	is_int(rig_read_at(f, 0, 3), 3, "read");
	is_int(rig_write_at(f, 0, "x"), 1, "write");
	is_str(events(), "1:20:inner 1:1:inner 1:2:inner", "open, access, modify");
	is_int(rig_close(f), 0, "close");
	is_str(events(), "1:8:inner", "closed, after writing");
	is_int(rig_do(UM_OP_UNLINK, "file"), 0, "unlink");
	is_str(events(), "2:4: 2:400: 2:8000:", "attributes, gone, no more watched");
	end("events");
}

/* Names come and go at the server without our knowing. */
static void test_behind(void)
{
	uint64_t sub;

	begin();
	rig.shm->shadow = (uint32_t)top + 1;
	is_int(watch("dir"), 1, "the directory above");
	is_int(watch("dir/sub"), 2, "a directory");
	sub = rig_find(rig_find(1, "dir"), "sub");
	rig_put(rig_new(sub, "unheard-of", S_IFREG | 0644), "text");
	is_int(rig_do(UM_OP_UNLINK, "dir/sub/unheard-of"), 0, "a new file is removed");
	is_str(events(), "", "nobody knew it");
	rig_put(rig_new(sub, "second", S_IFREG | 0644), "text");
	rig_path2(rig_begin(0, UM_OP_RENAME), "");
	rig_path(rig_slot(0), "dir/sub/second");
	rig_path2(rig_slot(0), "dir/sub/third");
	rig_slot(0)->req.base2 = UM_ROOT_NODE;
	is_int(rig_call(0), 0, "a new file is renamed");
	is_str(events(), "2:100:second 2:40:second 2:80:third", "it is made known, then moved");
	rig_remove(sub, "third", false);
	is_int(rig_do(UM_OP_RMDIR, "dir/sub"), 0, "a directory emptied behind us is removed");
	ok(strstr(events(), "2:400: 2:8000: 1:40000200:sub"), "with what we believed to be in it");
	end("behind");
}

/* Who watched is gone: nothing is kept. */
static void test_over(void)
{
	long f;

	begin();
	rig.shm->shadow = (uint32_t)top + 1;
	rig_new(rig_new(rig_find(rig_find(1, "dir"), "sub"), "deep", S_IFDIR | 0755), "deeper", S_IFDIR | 0755);
	is_int(watch("dir"), 1, "a directory");
	is_int(watch("dir/sub/deep"), 2, "one below");
	f = rig_open("dir/inner", O_RDONLY, 0);
	fuse_handles_sweep(rig.c, false);
	ok(rig.c->shadow, "it is kept");
	close(inotify);
	fuse_handles_sweep(rig.c, false);
	ok(!rig.c->shadow, "until the inotify is closed");
	is_int(raw_syscall(__NR_faccessat, top, "r", 0), -ENOENT, "all is removed");
	is_int(rig_close(f), 0, "a file that was open is closed");
	inotify = new_inotify();
	is_int(watch("dir"), 1, "another one can begin");
	is_int(rig_do(UM_OP_UNLINK, "dir/inner"), 0, "unlink");
	is_str(events(), "1:200:inner", "is told");
	end("over");
}

static void test_names(void)
{
	char name[32];

	begin();
	rig.shm->shadow = (uint32_t)top + 1;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "many%d", i);
		rig_new(1, name, S_IFREG | 0644);
	}
	is_int(watch(""), 1, "a directory of many pieces");
	is_str(events(), "", "nobody is told of what was there");
	is_int(rig_do(UM_OP_UNLINK, "many999"), 0, "unlink the last");
	is_str(events(), "1:200:many999", "it was there");
	is_int(rig_do(UM_OP_MKDIR, "many999"), 0, "mkdir");
	is_str(events(), "1:40000100:many999", "a directory is made");
	end("names");
}

int main(void)
{
	plan(0);
	test_events();
	test_behind();
	test_over();
	test_names();
	return done();
}
