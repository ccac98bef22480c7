/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/kernel/vstat.c: what is put into the table is found again, by readers in other processes too, while it is
 * changed; a writer that is killed at any instruction loses no record and leaves no wrong one.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tap.h"
#include "shim.h"
#include "../../src/kernel/vstat.h"

#define SMALL	4096u
#define KILLS	200
#define KEYS	64u		/* of the writers: few, so that chains and free records are fought for */

static void *new_table(struct vtable *vt, uint32_t records)
{
	uint64_t size = um_vtable_size(records);
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	um_vtable_format(at, records);
	if (vtable_attach(vt, at, size))
		abort();
	return at;
}

static void old_table(struct vtable *vt, uint32_t records)
{
	munmap(vt->head, um_vtable_size(records));
}

/* A task as the agent has it: its thread is known by when it began. */
static struct task *me(void)
{
	static struct task t;

	t.tid = gettid();
	return &t;
}

static struct vstat owner(uint32_t uid)
{
	return (struct vstat){ .have = UM_VS_UID | UM_VS_GID, .uid = uid, .gid = ~uid };
}

static void test_attach(void)
{
	struct vtable vt;
	struct um_vtable *h = new_table(&vt, SMALL);
	uint64_t size = um_vtable_size(SMALL);

	is_int(vtable_attach(&vt, h, size - 1), -EINVAL, "a table that is cut short is none");
	h->buckets = 3;
	is_int(vtable_attach(&vt, h, size), -EINVAL, "nor is one with odd numbers in it");
	h->buckets = SMALL;
	h->magic++;
	is_int(vtable_attach(&vt, h, size), -EINVAL, "nor is anything else");
	munmap(h, size);
}

static void test_basics(void)
{
	struct vtable vt;
	struct vstat v = { .have = UM_VS_UID | UM_VS_MODE, .uid = 7, .mode = 04755 }, got;

	new_table(&vt, SMALL);
	ok(!vtable_any(&vt), "empty");
	ok(!vtable_get(&vt, 1, 2, &got) && !got.have, "nothing is found in it");
	vtable_remove(&vt, me(), 1, 2);
	ok(!vtable_any(&vt), "nothing is removed from it");

	is_int(vtable_set(&vt, me(), 1, 2, &v, v.have), 0, "set");
	ok(vtable_any(&vt), "not empty any more");
	ok(vtable_get(&vt, 1, 2, &got) && got.uid == 7 && got.mode == 04755, "found");
	ok(!vtable_get(&vt, 2, 1, &got) && !vtable_get(&vt, 1, 3, &got), "others are not");

	v = (struct vstat){ .have = UM_VS_GID | UM_VS_TYPE | UM_VS_RDEV, .gid = 8, .mode = 0020000, .rdev = 42 };
	vtable_set(&vt, NULL, 1, 2, &v, v.have);
	vtable_get(&vt, 1, 2, &got);
	ok(got.have == (UM_VS_UID | UM_VS_MODE | UM_VS_GID | UM_VS_TYPE | UM_VS_RDEV) && got.uid == 7 && got.gid == 8 &&
	   got.mode == 0024755 && got.rdev == 42, "what comes later is added; type and permissions apart");
	vtable_set(&vt, me(), 1, 2, &v, UM_VS_UID);
	vtable_get(&vt, 1, 2, &got);
	ok(!(got.have & UM_VS_UID) && got.gid == 8, "what is named and not there is real again");

	vtable_add_nlink(&vt, me(), 1, 2, 2);
	vtable_add_nlink(&vt, me(), 1, 2, -3);
	vtable_get(&vt, 1, 2, &got);
	ok(got.have & UM_VS_NLINK && got.nlink == -1, "links are counted");
	vtable_add_nlink(&vt, me(), 1, 2, 1);
	ok(vtable_get(&vt, 1, 2, &got) && !(got.have & UM_VS_NLINK), "... and forgotten at 0");

	vtable_remove(&vt, me(), 1, 2);
	ok(!vtable_get(&vt, 1, 2, &got), "removed");
	is_int(vt.head->live, 0, "no record is left");
	is_int(vt.head->used, 2, "and two were enough for all of this");
	old_table(&vt, SMALL);
}

static void test_full(void)
{
	struct vtable vt;
	struct vstat v = owner(1), got;
	int bad = 0;

	new_table(&vt, SMALL);
	for (uint32_t i = 0; i < SMALL; i++)
		bad += vtable_set(&vt, me(), 5, i, &v, v.have) != 0;
	is_int(bad, 0, "%u records go in", SMALL);
	is_int(vtable_set(&vt, me(), 6, 0, &v, v.have), -ENOSPC, "no more");
	vtable_remove(&vt, me(), 5, 77);
	is_int(vtable_set(&vt, me(), 6, 0, &v, v.have), 0, "one for one");
	for (uint32_t i = 0; i < SMALL; i++)
		bad += vtable_get(&vt, 5, i, &got) != (i != 77);
	is_int(bad, 0, "all the others are still there");
	old_table(&vt, SMALL);
}

/* Words of the filter that are not 0. */
static int filter_words(const struct vtable *vt)
{
	const uint64_t *word = (const uint64_t *)((const char *)vt->head + UM_VTABLE_FILTER_AT);
	int n = 0;

	for (uint32_t i = 0; i < UM_VTABLE_FILTER; i++)
		n += word[i] != 0;
	return n;
}

static void test_filter(void)
{
	struct vtable vt;
	struct vstat v = owner(1), got;
	int bad = 0;

	new_table(&vt, SMALL);
	for (uint32_t i = 0; i < 20; i++)
		vtable_set(&vt, me(), 5, i, &v, v.have);
	ok(filter_words(&vt) > 10 && filter_words(&vt) <= 20, "a word of the filter for each of 20 inodes: %d", filter_words(&vt));
	for (uint32_t i = 0; i < 1000; i++)
		bad += vtable_get(&vt, 5, i, &got) != (i < 20);
	is_int(bad, 0, "those are found, and no others");
	for (uint32_t i = 0; i < 20; i++)
		vtable_remove(&vt, me(), 5, i);
	is_int(filter_words(&vt), 0, "none is left: nor is anything of the filter");
	vtable_set(&vt, me(), 5, 7, &v, v.have);
	ok(vtable_get(&vt, 5, 7, &got), "and it begins anew");

	memset((char *)vt.head + UM_VTABLE_FILTER_AT, 0, UM_VTABLE_FILTER * 8);
	ok(!vtable_get(&vt, 5, 7, &got), "what the filter does not have is not looked for");
	vt.head->filter = 0;
	ok(vtable_get(&vt, 5, 7, &got), "but in a table that had none yet");
	old_table(&vt, SMALL);
}

static int count_one(void *arg, uint64_t dev, uint64_t ino, const struct vstat *v)
{
	uint64_t *sum = arg;

	sum[0]++;
	sum[1] += dev == 3 && v->uid == (uint32_t)ino && v->gid == ~(uint32_t)ino;
	return 0;
}

static void test_million(void)
{
	const uint32_t n = 1000000;
	uint64_t sum[2] = { 0 };
	struct vtable vt;
	struct vstat got;
	int bad = 0;

	new_table(&vt, UM_VSTAT_RECORDS);
	for (uint32_t i = 0; i < n; i++) {
		struct vstat v = owner(i);

		bad += vtable_set(&vt, me(), 3, i, &v, v.have) != 0;
	}
	for (uint32_t i = 0; i < n; i++)
		bad += !vtable_get(&vt, 3, i, &got) || got.uid != i;
	is_int(bad, 0, "a million inodes");
	vtable_each(&vt, count_one, sum);
	ok(sum[0] == n && sum[1] == n, "each of them is told of once");
	old_table(&vt, UM_VSTAT_RECORDS);
}

/* ---- several processes ------------------------------------------------------------------------------------ */

/* Every value tells of itself: the reader sees whether it is whole and in its place. */
static struct vstat telling(uint64_t ino, uint32_t round)
{
	return (struct vstat){ .have = UM_VS_UID | UM_VS_GID | UM_VS_MODE | UM_VS_RDEV | UM_VS_ORIGIN, .uid = round,
			       .gid = ~round, .mode = round & 07777, .rdev = round, .origin_dev = round,
			       .origin_ino = ino };
}

static bool is_whole(const struct vstat *v, uint64_t ino)
{
	return v->gid == ~v->uid && v->mode == (v->uid & 07777) && v->rdev == v->uid && v->origin_dev == v->uid &&
	       v->origin_ino == ino;
}

static _Noreturn void write_for_ever(struct vtable *vt, unsigned seed)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint32_t round = 1;; round++) {
		uint64_t ino = 1 + (unsigned)rand_r(&seed) % KEYS;
		struct vstat v = telling(ino, round);

		if (rand_r(&seed) % 3)
			vtable_set(vt, me(), 9, ino, &v, v.have);
		else
			vtable_remove(vt, me(), 9, ino);
	}
}

static pid_t start_writer(struct vtable *vt, unsigned seed)
{
	pid_t pid = fork();

	if (!pid)
		write_for_ever(vt, seed);
	return pid;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Chains and free list together hold each record that was ever used, once. */
static int lost_records(const struct vtable *vt)
{
	static unsigned char seen[SMALL + 1];
	const struct um_vtable *h = vt->head;
	const uint32_t *bucket = (const uint32_t *)((const char *)h + UM_VTABLE_BUCKETS_AT);
	const struct um_vstat_record *records = (const void *)((const char *)h + h->records_at);
	int bad = 0;
	uint32_t live = 0;

	memset(seen, 0, sizeof seen);
	for (uint32_t b = 0; b < h->buckets; b++)
		for (uint32_t n = bucket[b], steps = 0; n && steps < SMALL; n = records[n - 1].next, steps++, live++)
			bad += n > h->used || seen[n]++ || records[n - 1].seq & 1;
	for (uint32_t n = h->free, steps = 0; n && steps < SMALL; n = records[n - 1].next, steps++)
		bad += n > h->used || seen[n]++ || !(records[n - 1].seq & 1);
	for (uint32_t n = 1; n <= h->used; n++)
		bad += !seen[n];
	return bad + (live != h->live);
}

/* One look at all keys.  Returns how many were wrong, *found how many were there. */
static int read_all(const struct vtable *vt, int *found)
{
	struct vstat v;
	int bad = 0;

	for (uint64_t ino = 1; ino <= KEYS; ino++)
		if (vtable_get(vt, 9, ino, &v)) {
			bad += !is_whole(&v, ino);
			(*found)++;
		}
	return bad;
}

static void test_killed(void)
{
	int bad = 0, broken = 0, found = 0, held = 0;
	struct vtable vt;
	pid_t other;

	new_table(&vt, SMALL);
	other = start_writer(&vt, 1);
	for (int i = 0; i < KILLS; i++) {
		pid_t pid = start_writer(&vt, (unsigned)i + 2);

		usleep((unsigned)(500 + rand() % 3000));
		bad += read_all(&vt, &found);
		stop(pid);
		held += ((uint32_t)vt.head->lock & 0x7fffffff) == (uint32_t)pid;
		bad += read_all(&vt, &found);
	}
	stop(other);
	struct vstat v = telling(1, 1);
	alarm(20);
	is_int(vtable_set(&vt, me(), 9, 1, &v, v.have), 0, "after %d writers were killed the table can be written", KILLS);
	alarm(0);
	broken = lost_records(&vt);
	is_int(bad, 0, "nobody has seen half a record");
	is_int(broken, 0, "no record is lost or there twice");
	ok(found > KILLS, "there was something to see");
	ok(vt.head->used <= KEYS + 2, "records are used again: %u", vt.head->used);
	diag("%d of them held the lock", held);
	old_table(&vt, SMALL);
}

/* A key that is always there, in a chain where others come and go, is always found. */
static void test_steady(void)
{
	struct vtable vt;
	struct vstat v = owner(1), got;
	int missing = 0;

	new_table(&vt, 64);
	vt.buckets = 1;			/* one chain for all */
	for (uint64_t ino = 100; ino < 120; ino++)
		vtable_set(&vt, me(), 9, ino, &v, v.have);
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (uint32_t i = 1;; i++) {
			struct vstat w = owner(i);

			vtable_set(&vt, me(), 9, 100 + i % 20, &w, w.have);
			if (i % 3 == 0)
				vtable_remove(&vt, me(), 9, i % 7);
			else
				vtable_set(&vt, me(), 9, i % 7, &w, w.have);
		}
	}
	for (int i = 0; i < 300000; i++)
		missing += !vtable_get(&vt, 9, 100 + (unsigned)i % 20, &got) || got.gid != ~got.uid;
	is_int(missing, 0, "what is there is found, whatever happens beside it");
	stop(pid);
	munmap(vt.head, um_vtable_size(64));
}

/* The holder's number belongs to another thread by now. */
static void test_reused_number(void)
{
	struct vtable vt;
	struct vstat v = owner(1);

	new_table(&vt, SMALL);
	vt.head->lock = 12345ull << 32 | (uint32_t)getppid();
	alarm(20);
	is_int(vtable_set(&vt, me(), 1, 1, &v, v.have), 0, "a dead holder's number that lives again keeps nobody out");
	alarm(0);
	is_int(vt.head->lock, 0, "the lock is free");
	old_table(&vt, SMALL);
}

int main(void)
{
	plan(0);
	test_attach();
	test_basics();
	test_full();
	test_filter();
	test_million();
	test_reused_number();
	test_steady();
	test_killed();
	return done();
}
