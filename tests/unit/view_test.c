/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading views: what is found, in which epoch, while the monitor writes.
 */
#include <errno.h>
#include <stdio.h>
#include "tap.h"
#include "fakeworld.h"

static struct task task = { .epoch = UINT32_MAX };

static enum view_hit look(const char *path, struct mount *m)
{
	return view_lookup(&task, path, strlen(path), m);
}

static void test_lookup(void)
{
	struct fw_server *v = &fw_servers[1];
	uint32_t first, second, inner;
	struct mount m;
	char buf[4096];

	v->head = fw_map(UM_OFF_SERVER(1), UM_SLOTS_OFF);
	ok(view_is_empty(&task), "a new view is empty");
	is_int(look("/", &m), VIEW_PLAIN, "nothing is in it");
	first = fw_mount(UM_MOUNT_REMOTE, "/a/b", 1, 1, "");
	is_int(look("/", &m), VIEW_ABOVE, "the root is above the mount");
	is_int(look("/a", &m), VIEW_ABOVE, "so is its parent");
	is_int(look("/a/b", &m), VIEW_MOUNT, "there it is");
	is_int(m.id, first, "its id");
	is_int(m.server, 1, "its server");
	is_int(m.path_len, 4, "the length of its path");
	is_int(look("/a/b/c", &m), VIEW_PLAIN, "below it is nothing more");
	is_int(look("/a/bb", &m), VIEW_PLAIN, "names are whole");
	is_int(look("/a/", &m), VIEW_PLAIN, "paths are canonical");
	second = fw_mount(UM_MOUNT_REMOTE, "/a/b", 1, 0, "");
	inner = fw_mount(UM_MOUNT_BIND, "/a/b/c", 0, 1, "/usr");
	look("/a/b", &m);
	is_int(m.id, second, "the newest mount counts");
	task.epoch = second;
	look("/a/b", &m);
	is_int(m.id, first, "for its own server the one below");
	is_int(look("/a/b/c", &m), VIEW_ABOVE, "what came later is only in the way");
	task.epoch = first;
	is_int(look("/a/b", &m), VIEW_ABOVE, "before all mounts");
	ok(view_is_empty(&task), "nothing is visible");
	task.epoch = UINT32_MAX;
	ok(!view_is_empty(&task), "to others it is");
	is_int(view_bind_target(&task, inner, buf, sizeof(buf)), 0, "a bind mount");
	is_str(buf, "/usr", "its target");
	is_int(view_bind_target(&task, first, buf, sizeof(buf)), -ENOENT, "others have none");
	is_int(view_mount_by_id(&task, inner, &m, buf, sizeof(buf)), 0, "by id");
	is_str(buf, "/a/b/c", "its path");
	is_int(view_mount_by_id(&task, 99, &m, buf, sizeof(buf)), -ENOENT, "no such id");
	is_int(view_mount_by_id(&task, inner, &m, buf, 4), -ENAMETOOLONG, "too small a buffer");
}

static void test_print(void)
{
	char buf[4096];
	long n;

	fw_mount(UM_MOUNT_REMOTE, "/with blank\\", 1, 1, "");
	n = view_print(&task, 0, buf, sizeof(buf) - 1);
	buf[n] = 0;
	ok(n > 0 && !strncmp(buf, "img\\040file /a/b fuse.test rw,user_id=0 0 0\n", 42), "a line of mounts");
	ok(strstr(buf, " /with\\040blank\\134 ") != NULL, "odd characters are octal");
	n = view_print(&task, 1, buf, sizeof(buf) - 1);
	buf[n] = 0;
	ok(strstr(buf, " / /a/b rw - fuse.test img\\040file rw,user_id=0\n") != NULL, "a line of mountinfo");
	ok(strstr(buf, " /usr /a/b/c rw - ") != NULL, "the root of a bind mount is what it shows");
	is_int(view_print(&task, 0, buf, 20), -ENOSPC, "too small a buffer");
}

static void test_generation(void)
{
	uint64_t a = view_generation(&task), b;

	ok(a == view_generation(&task), "nothing changes, nor does the generation");
	view_links_changed(&task);
	b = view_generation(&task);
	ok(a != b, "it does when a link is made");
	fw_publish();
	ok(b != view_generation(&task), "and when the table changes");
	b = view_generation(&task);
	task.epoch = 5;
	ok(b != view_generation(&task), "and is another in another epoch");
	task.epoch = UINT32_MAX;
	fw_world->links -= 1;
	ok(a != view_generation(&task), "one change does not undo another");
}

/* ---- a writer at work -------------------------------------------------------------------------------- */

static volatile int stop;

static void *writer(void *arg)
{
	(void)arg;
	while (!stop) {
		uint32_t id = fw_mount(UM_MOUNT_REMOTE, "/a/b/c/d/e", 1, 1, "");

		fw_umount(id);
	}
	return NULL;
}

static void test_writer(void)
{
	long wrong = 0, seen = 0;
	pthread_t thread;
	struct mount m;
	char buf[64];

	pthread_create(&thread, NULL, writer, NULL);
	for (int i = 0; i < 200000 || (!seen && i < 50000000); i++) {	/* the writer may have to wait for a processor */
		enum view_hit hit = look("/a/b/c/d/e", &m);

		seen += hit == VIEW_MOUNT;
		wrong += hit == VIEW_ABOVE || (hit == VIEW_MOUNT && (m.path_len != 10 || m.server != 1));
		hit = look("/a/b", &m);
		wrong += hit != VIEW_MOUNT || m.path_len != 4;
		wrong += view_mount_by_id(&task, 1, &m, buf, sizeof(buf)) || strcmp(buf, "/a/b");
	}
	stop = 1;
	pthread_join(thread, NULL);
	is_int(wrong, 0, "never half a change, while a writer is at work");
	ok(seen > 0, "and changes are seen (%ld times)", seen);
}

int main(void)
{
	plan(0);
	fw_create();
	is_int(view_map(UM_VIEWS), -EINVAL, "no such view");
	test_lookup();
	test_print();
	test_generation();
	test_writer();
	while (fw_nmounts)
		fw_umount(fw_mounts[0].id);
	return done();
}
