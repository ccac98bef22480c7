/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The path resolver while things change: a cwd and descriptors behind bind mounts, mounts that come and go,
 * links, limits, threads; and what a path costs (path_state_test --speed prints nanoseconds).
 */
#include "path_rig.h"

/* ---- a cwd behind a bind mount ----------------------------------------------------------------------- */

static void chdir_real(const char *path)
{
	long r = where_begin(&last_where, &task, AT_FDCWD, (gaddr)(path[0] == '.' ? path : in_t(path)), WHERE_VERIFY);

	while (where_next(&last_where, &r))
		r = last_where.fs == &real_fs ? kernel_call(&task, __NR_chdir, last_where.upath) : -EINVAL;
	r = where_end(&last_where, r);
	is_int(r, 0, "chdir %s", path);
	fsinfo_moved(&task, &last_where);
}

static void test_bound_fd(void)
{
	long r = where_begin(&last_where, &task, AT_FDCWD, (gaddr)in_t("b/sub"), 0), fd = -1;
	char buf[4096], path[64];

	while (where_next(&last_where, &r))
		fd = r = last_where.fs->open(&last_where, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	where_opened(&last_where, (int)fd);
	where_end(&last_where, r);
	path_of_fd(&task, (int)fd, buf, sizeof(buf));
	is_str(buf, in_t("b/sub"), "a descriptor's path is the one in the view");
	is_str(resolve((int)fd, "../..", 0), "T", "../.. leaves the bind mount");
	is_str(resolve((int)fd, "../newmnt/n", 0), "s5:/n", "a mount made through it");
	is_str(resolve((int)fd, "deep/f", 0), "T/dir/sub/deep/f", "a file");
	is_str(resolve((int)fd, "deep/./../tofile", 0), "T/dir/file", "a link");
	snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd);
	is_str(resolve(AT_FDCWD, path, 0), "T/dir/sub", "%s", path);
	is_str(resolve(AT_FDCWD, path, WHERE_NOFOLLOW), "proc 5", "its link");
	r = last_where.fs->readlink(&last_where, (gaddr)buf, sizeof(buf) - 1);
	buf[r > 0 ? r : 0] = 0;
	is_str(buf, in_t("b/sub"), "shows the path in the view");
	strcat(path, "/../..");
	is_str(resolve(AT_FDCWD, path, 0), "T", "%s", path);
	fd_forget_hint(&task, (int)fd);
	path_of_fd(&task, (int)fd, buf, sizeof(buf));
	is_str(buf, in_t("dir/sub"), "until it is closed");
	raw_syscall(__NR_close, fd);
}

static void test_bound_cwd(void)
{
	char buf[4096];

	chdir_real("b/sub");
	path_of_cwd(&task, buf, sizeof(buf));
	is_str(buf, in_t("b/sub"), "its path is the one in the view");
	is_str(resolve(AT_FDCWD, "..", 0), "T/dir", "..");
	is_str(resolve(AT_FDCWD, "../..", 0), "T", "../.. leaves the bind mount");
	is_str(resolve(AT_FDCWD, "/proc/self/cwd/../..", 0), "T", "from /proc/self/cwd, too");
	is_str(resolve(AT_FDCWD, "../newmnt/n", 0), "s5:/n", "a mount made through it");
	is_str(resolve(AT_FDCWD, "older/old/o", 0), "s6:/old/o", "a mount below what is bound");
	is_str(resolve(AT_FDCWD, "tofile", 0), "T/dir/file", "a link");
	is_str(resolve(AT_FDCWD, "deep/f", 0), "T/dir/sub/deep/f", "a file");
	chdir_real("../sub/deep");
	path_of_cwd(&task, buf, sizeof(buf));
	is_str(buf, in_t("b/sub/deep"), "relative to it");
	chdir_real("bb");
	is_str(resolve(AT_FDCWD, "tofile", 0), "T/file", "a bind mount of what is bound");
	is_str(resolve(AT_FDCWD, "older/old/o", 0), "s6:/old/o", "and a mount below that");
	is_str(resolve(AT_FDCWD, "../mnt/a", 0), "s1:/a", "..");
	chdir_real("b");
	path_of_cwd(&task, buf, sizeof(buf));
	is_str(buf, in_t("b"), "at the bind mount itself");
	is_str(resolve(AT_FDCWD, "..", 0), "T", "its ..");
	fsinfo_describe(task.fs, buf, sizeof(buf));
	fsinfo_moved(&task, NULL);
	is_int(fsinfo_restore(&task, buf), 0, "exec: %s", buf);
	is_str(resolve(AT_FDCWD, "..", 0), "T", "and after exec");
	raw_syscall(__NR_chdir, "/");
	fsinfo_moved(&task, NULL);
}

/* ---- limits, changes, cost --------------------------------------------------------------------------- */

static void test_limits(void)
{
	char name[1026], path[6000];

	memset(name, 'n', 1025);
	name[1025] = 0;
	snprintf(path, sizeof(path), "T/mnt/%s", name);
	is_str(resolve(AT_FDCWD, path, 0), "ENAMETOOLONG", "a name of 1025 bytes at a server");
	path[6 + 1024] = 0;
	is_str(resolve(AT_FDCWD, path, 0), "ENOENT", "of 1024: asked for");
	name[299] = 0;
	snprintf(path, sizeof(path), "T/%s", name);
	is_str(resolve(AT_FDCWD, path, 0), "ENAMETOOLONG", "a real one of 299");
	memset(path, '/', sizeof(path));
	memcpy(path, "T/mnt", 5);
	path[sizeof(path) - 1] = 0;
	path[4999] = 0;
	is_str(resolve(AT_FDCWD, path, 0), "ENAMETOOLONG", "a path of 5000 bytes");
	path[4000] = 0;
	is_str(resolve(AT_FDCWD, path, 0), "s1:/", "4000 are fine");
	is_int(where_begin(&last_where, &task, AT_FDCWD, 16, 0), -EFAULT, "a bad pointer");
	where_end(&last_where, 0);
}

static void test_changes(void)
{
	is_str(resolve(AT_FDCWD, "T/dirx/f", 0), "T/dirx/f", "remembered as plain");
	uint32_t id = fw_mount(UM_MOUNT_REMOTE, in_t("dirx"), 3, 1, "");
	is_str(resolve(AT_FDCWD, "T/dirx/f", 0), "ENOENT", "a mount over it is seen");
	is_str(resolve(AT_FDCWD, "T/dirx/g", 0), "s3:/g", "and what is in it");
	fw_mounts[fw_nmounts - 1].flags = UM_MNT_DYING;
	fw_publish();
	is_str(resolve(AT_FDCWD, "T/dirx/g", 0), "ENOENT", "not while it is being unmounted");
	fw_umount(id);
	is_str(resolve(AT_FDCWD, "T/dirx/f", 0), "T/dirx/f", "and its end");
	raw_syscall(__NR_rename, in_t("dirx"), in_t("diry"));
	raw_syscall(__NR_symlink, "mnt/a", in_t("dirx"));
	view_links_changed(&task);
	is_str(resolve(AT_FDCWD, "T/dirx/f", 0), "s1:/a/f", "a directory replaced by a link");
	raw_syscall(__NR_unlink, in_t("dirx"));
	raw_syscall(__NR_rename, in_t("diry"), in_t("dirx"));
	view_links_changed(&task);
	id = fw_mount(UM_MOUNT_REMOTE, in_t("mnt"), 3, 1, "");
	is_str(resolve(AT_FDCWD, "T/mnt/g", 0), "s3:/g", "a second mount on the same point");
	is_str(resolve(AT_FDCWD, "T/mnt/a/inner/in", 0), "ENOENT", "hides what was mounted in the first");
	task.epoch = id;
	is_str(resolve(AT_FDCWD, "T/mnt/g", 0), "ENOENT", "its own server does not see it");
	is_str(resolve(AT_FDCWD, "T/mnt/a/f", 0), "s1:/a/f", "but the one below");
	task.epoch = 1;
	is_str(resolve(AT_FDCWD, "T/mnt/under", 0), "T/mnt/under", "and who was there before all sees the real one");
	task.epoch = UINT32_MAX;
	fw_umount(id);
	id = fw_mount(UM_MOUNT_REMOTE, "/", 6, 1, "");
	is_str(resolve(AT_FDCWD, "/old/o", 0), "s6:/old/o", "a mount on the root");
	is_str(resolve(AT_FDCWD, "/old/../..", 0), "s6:/", "has no parent");
	is_str(resolve(AT_FDCWD, "T/file", 0), "ENOENT", "and hides everything");
	fw_umount(id);
	is_str(resolve(AT_FDCWD, "T/file", 0), "T/file", "until it goes");
}

static void test_missing(void)
{
	is_str(resolve(AT_FDCWD, "T/later/x", 0), "ENOENT", "a directory that is not there yet");
	is_str(resolve(AT_FDCWD, "T/later/../mnt/a", 0), "ENOENT", "leads nowhere else either");
	is_str(resolve(AT_FDCWD, "T/later/mnt", 0), "ENOENT", "not there yet");
	make_dir("later");
	make_file("later/x");
	is_str(resolve(AT_FDCWD, "T/later/x", 0), "T/later/x", "it is made");
	is_str(resolve(AT_FDCWD, "T/later/../mnt/a", 0), "s1:/a", "and leads elsewhere");
	uint32_t id = fw_mount(UM_MOUNT_REMOTE, in_t("later/mnt"), 3, 1, "");
	is_str(resolve(AT_FDCWD, "T/later/mnt", 0), "s3:/", "something is mounted in it");
	fw_umount(id);
}

/* ---- threads, while the table changes ---------------------------------------------------------------- */

static volatile int stop_threads;

static long wrong_place(struct task *t, const char *path, const struct fs_ops *fs, const char *rest)
{
	struct where w;
	long r = where_begin_path(&w, t, AT_FDCWD, path, 0), wrong = 1;

	if (where_next(&w, &r))
		wrong = w.fs != fs || strcmp(fs == &remote_fs ? w.path + w.rest : (char *)w.upath, rest);
	where_end(&w, r);
	return wrong;
}

static void *resolver(void *arg)
{
	struct task t = { .tid = (int)raw_syscall(__NR_gettid), .epoch = UINT32_MAX, .files = task.files, .fs = task.fs };
	char file[100], mnt[100], link[100], bind[100], missing[100];
	long *wrong = arg;

	snprintf(file, sizeof(file), "%s/dir/file", T);
	snprintf(mnt, sizeof(mnt), "%s/tomnt/a/f", T);
	snprintf(link, sizeof(link), "%s/link/file", T);
	snprintf(bind, sizeof(bind), "%s/b/file", T);
	snprintf(missing, sizeof(missing), "%s/none/file", T);
	while (!stop_threads) {
		*wrong += wrong_place(&t, file, &real_fs, file);
		*wrong += wrong_place(&t, mnt, &remote_fs, "a/f");
		*wrong += wrong_place(&t, link, &real_fs, link);
		*wrong += wrong_place(&t, bind, &real_fs, file);
		*wrong += wrong_place(&t, missing, &real_fs, missing);
		wrong[1]++;
	}
	channel_task_exit(&t);
	return NULL;
}

static void test_threads(void)
{
	long wrong[3][2] = { { 0 } };
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, resolver, wrong[i]);
	for (int i = 0; i < 300; i++) {
		uint32_t id = fw_mount(UM_MOUNT_REMOTE, in_t("other/one"), 3, 1, "");

		usleep(300);
		view_links_changed(&task);
		fw_umount(id);
	}
	stop_threads = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	is_int(wrong[0][0] + wrong[1][0] + wrong[2][0], 0, "threads find the same while mounts come and go (%ld rounds)",
	       wrong[0][1] + wrong[1][1] + wrong[2][1]);
}

static int cost(int dfd, const char *path, unsigned flags)
{
	struct where *w = &last_where;
	int before;
	long r;

	r = where_begin(w, &task, dfd, (gaddr)path, flags);
	while (where_next(w, &r))
		r = find_real(w);
	where_end(w, r);
	before = calls;
	r = where_begin(w, &task, dfd, (gaddr)path, flags);
	(void)where_next(w, &r);
	where_end(w, r);
	return calls - before - 1;	/* string_from_guest() of the shim is one */
}

static void test_cost(void)
{
	int fd = open_path(in_t("dir/sub/deep"));

	is_int(cost(AT_FDCWD, in_t("dir/sub/deep/f"), 0), 0, "a remembered directory costs no system call");
	ok(last_where.upath != (gaddr)last_where.path, "and the guest's own pointer goes to the kernel");
	is_int(cost(AT_FDCWD, in_t("file"), 0), 0, "nor does the parent of a mount");
	is_int(cost(AT_FDCWD, in_t("link/file"), 0), 0, "nor a directory behind a link");
	is_int(cost(AT_FDCWD, in_t("link"), 0), 0, "nor a link that was followed before");
	is_int(cost(AT_FDCWD, in_t("dir"), WHERE_VERIFY), 0, "nor a name that was looked at before");
	is_int(cost(fd, "f", 0), 0, "nor a name in a directory descriptor");
	is_int(cost(AT_FDCWD, "/usr/bin/env", 0), 0, "nor a path far away");
	is_int(cost(AT_FDCWD, "/proc/self/io", 0), 0, "nor one in /proc");
	is_int(cost(AT_FDCWD, "/", 0), 0, "nor the root");
	is_int(cost(AT_FDCWD, in_t("none/x"), 0), 0, "nor one where there is nothing");
	raw_syscall(__NR_close, fd);
}

/* find, rm -r and the like: a directory opened in a plain one is plain without asking. */
static void test_inherited(void)
{
	int top = open_path(in_t("dirx")), before, fd;
	long r;

	make_dir("dirx/in");
	resolve(top, "f", WHERE_NOFOLLOW);
	r = where_begin(&last_where, &task, top, (gaddr)"in", WHERE_NOFOLLOW);
	(void)where_next(&last_where, &r);
	ok(last_where.below_plain, "a name in a plain directory");
	fd = open_path(in_t("dirx/in"));
	where_opened(&last_where, fd);
	where_end(&last_where, r);
	before = calls;
	r = where_begin_path(&last_where, &task, fd, "x", WHERE_NOFOLLOW);
	(void)where_next(&last_where, &r);
	ok(last_where.fs == &real_fs && last_where.below_plain, "what is opened there is plain");
	where_end(&last_where, r);
	is_int(calls, before, "without a system call");
	uint32_t id = fw_mount(UM_MOUNT_REMOTE, in_t("dirx/in/x"), 3, 1, "");
	is_str(resolve(fd, "x", 0), "s3:/", "until something is mounted");
	fw_umount(id);
	is_str(resolve(fd, "../f", 0), "T/dirx/f", "its path is found when needed");
	raw_syscall(__NR_close, fd);
	raw_syscall(__NR_close, top);
	fd_forget_hint(&task, fd);
	fd_forget_hint(&task, top);
}

static double nanoseconds(int dfd, const char *path, unsigned flags)
{
	struct timespec64 a, b;
	int n = 200000;
	long r;

	raw_syscall(__NR_clock_gettime, 1, &a);
	for (int i = 0; i < n; i++) {
		r = where_begin_path(&last_where, &task, dfd, path, flags);
		(void)where_next(&last_where, &r);
		where_end(&last_where, r);
	}
	raw_syscall(__NR_clock_gettime, 1, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / n;
}

static void test_speed(void)
{
	int fd = open_path(in_t("dir/sub/deep"));

	diag("/usr/bin/env: %.0f ns", nanoseconds(AT_FDCWD, "/usr/bin/env", WHERE_NOFOLLOW));
	diag("/usr/bin/env, followed: %.0f ns", nanoseconds(AT_FDCWD, "/usr/bin/env", 0));
	diag("/usr/lib/x86_64-linux-gnu/libc.so.6: %.0f ns",
	     nanoseconds(AT_FDCWD, "/usr/lib/x86_64-linux-gnu/libc.so.6", 0));
	diag("a name in a descriptor: %.0f ns", nanoseconds(fd, "f", WHERE_NOFOLLOW));
	diag("a name beside a mount: %.0f ns", nanoseconds(AT_FDCWD, in_t("file"), WHERE_NOFOLLOW));
	diag("behind a bind mount: %.0f ns", nanoseconds(AT_FDCWD, in_t("b/sub/deep/f"), WHERE_NOFOLLOW));
	chdir_real("b/sub");
	diag("relative, behind a bind mount: %.0f ns", nanoseconds(AT_FDCWD, "deep/f", WHERE_NOFOLLOW));
	raw_syscall(__NR_chdir, "/");
	fsinfo_moved(&task, NULL);
	raw_syscall(__NR_close, fd);
}

static void test_empty_view(void)
{
	static const struct line lines[] = {
		{ "/", 0, "/" }, { "T/link", 0, "T/dir" }, { "T/tomnt", 0, "T/mnt" }, { "T/mnt/under", 0, "T/mnt/under" },
		{ "/dev/fuse", 0, "fuse" }, { "/proc/self/exe", WHERE_NOFOLLOW, "proc 2" }, { "/etc/../dev/fuse", 0, "fuse" },
		{ NULL, 0, NULL },
	};

	check("empty", AT_FDCWD, lines);
	is_int(cost(AT_FDCWD, in_t("link/sub"), 0), 0, "no system call of our own");
	ok(!last_where.fast, "links are the kernel's to follow");
	diag("empty view: %.0f ns", nanoseconds(AT_FDCWD, "/usr/bin/env", 0));
}

int main(int argc, char **argv)
{
	rig_begin();
	test_empty_view();
	mount_all();
	test_bound_fd();
	test_bound_cwd();
	test_limits();
	test_changes();
	test_missing();
	test_threads();
	test_cost();
	test_inherited();
	if (argc > 1 && !strcmp(argv[1], "--speed"))
		test_speed();
	return rig_end();
}
