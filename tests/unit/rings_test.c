/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The monitor's snapshots (src/monitor/snapshot.c) read by a guest (src/kernel/view.c) while they change size, and so
 * ring, all the time.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "tap.h"
#include "shim.h"
#include "../../src/kernel/view.h"
#include "../../src/monitor/world.h"

#define MANY	120		/* too many for a small snapshot */

static struct world w;
static struct task task = { .epoch = UINT32_MAX };
static uint32_t ids[MANY], stable;
static volatile int stop, rounds, small, large;

static uint32_t add(const char *path)
{
	struct mount_rec m = { .path = (char *)path, .kind = UM_MOUNT_REMOTE, .server = 1, .is_dir = 1 };
	int id = mount_add(&w, 0, &m);

	return id > 0 ? (uint32_t)id : 0;
}

static void *writer(void *arg)
{
	char path[64];

	while (!stop) {
		for (int i = 0; i < MANY; i++) {
			snprintf(path, sizeof(path), "/srv/image%03d", i);
			ids[i] = add(path);
		}
		large += w.views[0].slot->current >= UM_RING;
		for (int i = MANY - 1; i >= 0; i--)
			mount_remove(&w, 0, ids[i]);
		small += w.views[0].slot->current < UM_RING;
		rounds++;
	}
	return arg;
}

static int look(const char *path, struct mount *m)
{
	return view_lookup(&task, path, strlen(path), m);
}

/* What is wrong with what is seen in this moment. */
static int look_around(uint64_t *generation)
{
	uint64_t g = view_generation(&task);
	char path[64], buf[64];
	struct mount m;
	int wrong = 0, hit;

	wrong += look("/a/b", &m) != VIEW_MOUNT || m.id != stable || m.path_len != 4;
	wrong += look("/a", &m) != VIEW_ABOVE;
	wrong += look("/srv/imagexxx", &m) != VIEW_PLAIN;
	wrong += view_is_empty(&task);
	wrong += view_mount_by_id(&task, stable, &m, buf, sizeof(buf)) || strcmp(buf, "/a/b");
	snprintf(path, sizeof(path), "/srv/image%03d", (int)(g % MANY));
	hit = look(path, &m);
	wrong += hit == VIEW_ABOVE || (hit == VIEW_MOUNT && (m.path_len != strlen(path) || m.id <= stable));
	*generation = g;
	return wrong;
}

int main(void)
{
	uint64_t before = 0, now = 0;
	long wrong = 0, changes = 0, looks = 0;
	pthread_t thread;

	plan(0);
	is_int(world_create(&w), 0, "a world");
	process.world_fd = w.fd;
	is_int(view_map_world(), 0, "it is mapped");
	is_int(view_map(0), 0, "and its first view");
	stable = add("/a/b");
	ok(stable != 0, "one mount that stays");
	pthread_create(&thread, NULL, writer, NULL);
	for (; rounds < 30 || looks < 20000; looks++) {
		wrong += look_around(&now);
		changes += now != before;
		before = now;
	}
	stop = 1;
	pthread_join(thread, NULL);
	is_int(wrong, 0, "never half a change (%ld looks)", looks);
	ok(changes > 10, "changes are seen (%ld)", changes);
	ok(large == rounds && small == rounds, "both rings were used, %d times", rounds);
	is_int(look_around(&now), 0, "and at the end all is well");
	world_destroy(&w);
	return done();
}
