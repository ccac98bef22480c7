/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What files were said to be, kept from one view to the next: in the format of fakeroot(1), which may read ours and
 * whose we may read.  An inode's number says nothing of its contents, so, as there, what was removed and made anew meanwhile
 * is mistaken for what it was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kernel/vstat.h"
#include "identity.h"
#include "log.h"

#define TYPE	0170000u
#define ALL	(UM_VS_UID | UM_VS_GID | UM_VS_MODE | UM_VS_TYPE | UM_VS_RDEV)

static int table_map(struct world *w, struct vtable *vt)
{
	void *base = world_map(w, UM_OFF_VSTAT, um_vtable_size(UM_VSTAT_RECORDS));

	if (!base)
		return -1;
	return vtable_attach(vt, base, um_vtable_size(UM_VSTAT_RECORDS));
}

static void table_unmap(struct vtable *vt)
{
	munmap(vt->head, um_vtable_size(UM_VSTAT_RECORDS));
}

/* ---- loading ---------------------------------------------------------------------------------------- */

/* "dev=...": false if it is none.  dev is hexadecimal, mode octal. */
static bool take_line(const char *line, uint64_t *dev, uint64_t *ino, struct vstat *v)
{
	unsigned long long d, i, mode, uid, gid, nlink, rdev;

	if (sscanf(line, "dev=%llx,ino=%llu,mode=%llo,uid=%llu,gid=%llu,nlink=%llu,rdev=%llu", &d, &i, &mode, &uid, &gid,
		   &nlink, &rdev) != 7)
		return false;
	bool device = (mode & TYPE) == 0020000 || (mode & TYPE) == 0060000;

	*dev = d;
	*ino = i;
	*v = (struct vstat) {
		.have = UM_VS_UID | UM_VS_GID | UM_VS_MODE | (device ? UM_VS_TYPE | UM_VS_RDEV : 0),
		.uid = (uint32_t)uid, .gid = (uint32_t)gid, .mode = (uint32_t)mode, .rdev = rdev,
	};
	return true;
}

int statefile_load(struct world *w, const char *path)
{
	FILE *f = fopen(path, "re");
	struct vtable vt;
	char line[512];
	int n = 0, r = 0;

	if (!f || table_map(w, &vt) < 0) {
		say("--fakeroot-load: %s: %s", path, strerror(errno));
		if (f)
			fclose(f);
		return -1;
	}
	while (r == 0 && fgets(line, sizeof(line), f)) {
		uint64_t dev, ino;
		struct vstat v;

		n++;
		if (!take_line(line, &dev, &ino, &v)) {
			say("--fakeroot-load: %s:%d: this is no line of such a file", path, n);
			r = -1;
		} else if (vtable_set(&vt, NULL, dev, ino, &v, ALL)) {
			say("--fakeroot-load: %s: there is no room for more than %u files", path, UM_VSTAT_RECORDS);
			r = -1;
		}
	}
	w->head->vstat_used = n > 0;
	fclose(f);
	table_unmap(&vt);
	return r;
}

/* ---- saving ----------------------------------------------------------------------------------------- */

static int put_line(void *arg, uint64_t dev, uint64_t ino, const struct vstat *v)
{
	return fprintf(arg, "dev=%llx,ino=%llu,mode=%llo,uid=%llu,gid=%llu,nlink=%llu,rdev=%llu\n",
		       (unsigned long long)dev, (unsigned long long)ino, (unsigned long long)v->mode,
		       (unsigned long long)v->uid, (unsigned long long)v->gid, 1ull,
		       v->have & UM_VS_RDEV ? (unsigned long long)v->rdev : 0) < 0;
}

/* The file is complete or as it was. */
int statefile_save(struct world *w, const char *path)
{
	struct vtable vt;
	char *tmp;
	FILE *f;
	int r;

	if (asprintf(&tmp, "%s.%d", path, (int)getpid()) < 0)
		return -1;
	f = fopen(tmp, "we");
	r = f && table_map(w, &vt) == 0 ? 0 : -1;
	if (r == 0) {
		r = vtable_each(&vt, put_line, f) ? -1 : 0;
		table_unmap(&vt);
	}
	if (f && fclose(f))
		r = -1;
	if (r == 0 && rename(tmp, path) < 0)
		r = -1;
	if (r < 0) {
		say("--fakeroot-save: %s: %s", path, strerror(errno));
		unlink(tmp);
	}
	free(tmp);
	return r;
}
