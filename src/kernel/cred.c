/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules by which ids and capabilities change, as in the kernel's kernel/sys.c and security/commoncap.c
 * (credentials(7), capabilities(7)), on a struct cred of our own.  Nothing here makes a system call but for asking once who we
 * really are.
 */
#include <linux/prctl.h>
#include <linux/securebits.h>
#include "cred.h"

#define BIT(n)		(1ull << (n))
/* what setfsuid() takes and gives: the capabilities about files */
#define FS_CAPS		(BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(9) | BIT(CRED_MKNOD) | BIT(32))

static bool has(const struct cred *c, unsigned bit)
{
	return c->securebits & bit;
}

bool cred_in_group(const struct cred *c, uint32_t gid)
{
	for (uint32_t i = 0; i < c->ngroups; i++)
		if (c->groups[i] == gid)
			return true;
	return gid == c->gid.fs;
}

/* ---- as text ------------------------------------------------------------------------------------------- */

static struct cred *new_cred(uint32_t ngroups)
{
	struct cred *c = heap_alloc(sizeof *c + ngroups * sizeof *c->groups);

	if (c)
		c->ngroups = ngroups;
	return c;
}

struct cred *cred_copy(const struct cred *c)
{
	struct cred *copy = c ? new_cred(c->ngroups) : NULL;

	if (copy)
		memcpy(copy, c, sizeof *c + c->ngroups * sizeof *c->groups);
	return copy;
}

/* The numbers at *s, parted by commas, into *list; how many, or -1. */
static int take_list(const char **s, uint32_t *list, int max)
{
	int n = 0;

	for (; **s >= '0' && **s <= '9'; n++) {
		long v = text_number(s);

		if (n == max || v < 0 || v > UINT32_MAX)
			return -1;
		list[n] = (uint32_t)v;
		if (**s == ',')
			++*s;
	}
	return n;
}

struct cred *cred_with_groups(const struct cred *head, const uint32_t *groups, uint32_t n)
{
	struct cred *c = new_cred(n);

	if (!c)
		return NULL;
	*c = *head;
	c->ngroups = n;
	memcpy(c->groups, groups, n * sizeof *groups);
	return c;
}

struct cred *cred_login(const char *text, const struct cred *old)
{
	uint32_t groups[UM_NGROUPS], id[2];
	bool strict = *text == 's';
	int n;

	text += strict;
	for (int i = 0; i < 2; i++) {
		if (take_list(&text, &id[i], 1) != 1 || id[i] == CRED_SAME || *text++ != ':')
			return NULL;
	}
	n = take_list(&text, groups, UM_NGROUPS);
	if (n < 0 || *text)
		return NULL;
	struct cred c = {
		.uid = { id[0], id[0], id[0], id[0] }, .gid = { id[1], id[1], id[1], id[1] },
		.permitted = id[0] ? 0 : CRED_ALL, .effective = id[0] ? 0 : CRED_ALL, .bounding = CRED_ALL,
		.strict = strict || (old && old->strict),
		.own_uid = old ? old->own_uid : id[0], .own_gid = old ? old->own_gid : id[1],
		.kernel_uid = old ? old->kernel_uid : (uint32_t)raw_syscall(__NR_geteuid),
		.kernel_gid = old ? old->kernel_gid : (uint32_t)raw_syscall(__NR_getegid),
	};
	return cred_with_groups(&c, groups, (uint32_t)n);
}

/* The 32-bit words of a struct cred in front of the groups, one after the other. */
#define WORDS	(offsetof(struct cred, ngroups) / sizeof(uint32_t))
_Static_assert(offsetof(struct cred, groups) == (WORDS + 1) * sizeof(uint32_t), "words");
_Static_assert(WORDS <= 25, "UM_CRED_TEXT");

void cred_write(const struct cred *c, char buf[UM_CRED_TEXT])
{
	const uint32_t *word = (const uint32_t *)c;
	char *p = buf;

	for (uint32_t i = 0; i < WORDS; i++)
		p += text_format(p, 12, "%s%u", i ? "," : "", word[i]);
	for (uint32_t i = 0; i < c->ngroups; i++)
		p += text_format(p, 12, ",%u", c->groups[i]);
}

struct cred *cred_read(const char *text)
{
	uint32_t word[WORDS + UM_NGROUPS];
	struct cred head = { 0 };
	int n = take_list(&text, word, WORDS + UM_NGROUPS);

	if (n < (int)WORDS || *text)
		return NULL;
	memcpy(&head, word, WORDS * sizeof *word);
	return cred_with_groups(&head, word + WORDS, (uint32_t)n - WORDS);
}

/* ---- users --------------------------------------------------------------------------------------------- */

static bool any_root(const struct cred_ids *u)
{
	return !u->real || !u->effective || !u->saved;
}

/* The ids have changed: so do the capabilities. */
static void users_changed(struct cred *c, struct cred_ids old)
{
	if (has(c, SECBIT_NO_SETUID_FIXUP))
		return;
	if (any_root(&old) && !any_root(&c->uid)) {
		if (!has(c, SECBIT_KEEP_CAPS))
			c->permitted = c->effective = 0;
		c->ambient = 0;
	}
	if (!old.effective && c->uid.effective)
		c->effective = 0;
	if (old.effective && !c->uid.effective)
		c->effective = c->permitted;
}

/* Is id one of those that may be taken without a capability? */
static bool known(const struct cred_ids *old, uint32_t id, bool saved_too)
{
	return id == CRED_SAME || id == old->real || id == old->effective || (saved_too && id == old->saved);
}

static long set_one(struct cred_ids *ids, bool can, uint32_t id)
{
	if (id == CRED_SAME)
		return -EINVAL;
	if (!can && id != ids->real && id != ids->saved)
		return -EPERM;
	if (can)
		ids->real = ids->saved = id;
	ids->effective = ids->fs = id;
	return 0;
}

static long set_two(struct cred_ids *ids, bool can, uint32_t real, uint32_t effective)
{
	const struct cred_ids old = *ids;

	if (!can && (!known(&old, real, false) || !known(&old, effective, true)))
		return -EPERM;
	if (real != CRED_SAME)
		ids->real = real;
	if (effective != CRED_SAME)
		ids->effective = effective;
	if (real != CRED_SAME || (effective != CRED_SAME && effective != old.real))
		ids->saved = ids->effective;
	ids->fs = ids->effective;
	return 0;
}

static long set_three(struct cred_ids *ids, bool can, uint32_t real, uint32_t effective, uint32_t saved)
{
	const struct cred_ids old = *ids;

	if ((real == CRED_SAME || real == old.real) && (saved == CRED_SAME || saved == old.saved) &&
	    (effective == CRED_SAME || (effective == old.effective && effective == old.fs)))
		return 0;		/* since Linux 5.19: the file system's id stays, too */
	if (!can && (!known(&old, real, true) || !known(&old, effective, true) || !known(&old, saved, true)))
		return -EPERM;
	if (real != CRED_SAME)
		ids->real = real;
	if (effective != CRED_SAME)
		ids->effective = effective;
	if (saved != CRED_SAME)
		ids->saved = saved;
	ids->fs = ids->effective;
	return 0;
}

/* The old one, whatever happened. */
static long set_fs(struct cred_ids *ids, bool can, uint32_t id)
{
	uint32_t old = ids->fs;

	if (id != CRED_SAME && (can || known(ids, id, true) || id == old))
		ids->fs = id;
	return old;
}

long cred_setuid(struct cred *c, uint32_t id)
{
	struct cred_ids old = c->uid;
	long r = set_one(&c->uid, cred_can(c, CRED_SETUID), id);

	users_changed(c, old);
	return r;
}

long cred_setreuid(struct cred *c, uint32_t real, uint32_t effective)
{
	struct cred_ids old = c->uid;
	long r = set_two(&c->uid, cred_can(c, CRED_SETUID), real, effective);

	users_changed(c, old);
	return r;
}

long cred_setresuid(struct cred *c, uint32_t real, uint32_t effective, uint32_t saved)
{
	struct cred_ids old = c->uid;
	long r = set_three(&c->uid, cred_can(c, CRED_SETUID), real, effective, saved);

	users_changed(c, old);
	return r;
}

long cred_setfsuid(struct cred *c, uint32_t id)
{
	long old = set_fs(&c->uid, cred_can(c, CRED_SETUID), id);

	if (has(c, SECBIT_NO_SETUID_FIXUP))
		return old;
	if (!old && c->uid.fs)
		c->effective &= ~FS_CAPS;
	if (old && !c->uid.fs)
		c->effective |= c->permitted & FS_CAPS;
	return old;
}

long cred_setgid(struct cred *c, uint32_t id)
{
	return set_one(&c->gid, cred_can(c, CRED_SETGID), id);
}

long cred_setregid(struct cred *c, uint32_t real, uint32_t effective)
{
	return set_two(&c->gid, cred_can(c, CRED_SETGID), real, effective);
}

long cred_setresgid(struct cred *c, uint32_t real, uint32_t effective, uint32_t saved)
{
	return set_three(&c->gid, cred_can(c, CRED_SETGID), real, effective, saved);
}

long cred_setfsgid(struct cred *c, uint32_t id)
{
	return set_fs(&c->gid, cred_can(c, CRED_SETGID), id);
}

/* ---- exec ---------------------------------------------------------------------------------------------- */

#define SET_UID		04000u
#define SET_GID		02000u
#define GROUP_EXEC	0010u

void cred_exec(struct cred *c, uint32_t mode, uint32_t uid, uint32_t gid)
{
	uint64_t had = c->permitted;

	if (mode & SET_UID)
		c->uid.effective = uid;
	if ((mode & (SET_GID | GROUP_EXEC)) == (SET_GID | GROUP_EXEC))
		c->gid.effective = gid;
	bool changed = c->uid.effective != c->uid.real || c->gid.effective != c->gid.real;

	if (changed)
		c->ambient = 0;
	bool root = !has(c, SECBIT_NOROOT) && (!c->uid.effective || !c->uid.real);
	bool all = root && !c->uid.effective;

	c->permitted = (root ? c->bounding | c->inheritable : 0) | c->ambient;
	c->effective = all ? c->permitted : c->ambient;
	c->secure = changed || (c->uid.real && (all || c->permitted & ~(had | c->ambient)));
	c->securebits &= ~(uint32_t)SECBIT_KEEP_CAPS;
	c->uid.saved = c->uid.fs = c->uid.effective;
	c->gid.saved = c->gid.fs = c->gid.effective;
}

/* ---- capabilities -------------------------------------------------------------------------------------- */

long cred_capset(struct cred *c, uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	effective &= CRED_ALL;
	permitted &= CRED_ALL;
	inheritable &= CRED_ALL;
	if ((!cred_can(c, CRED_SETPCAP) && inheritable & ~(c->inheritable | c->permitted)) ||
	    inheritable & ~(c->inheritable | c->bounding) || permitted & ~c->permitted || effective & ~permitted)
		return -EPERM;
	c->effective = effective;
	c->permitted = permitted;
	c->inheritable = inheritable;
	c->ambient &= permitted & inheritable;
	return 0;
}

static long set_securebits(struct cred *c, unsigned long bits)
{
	unsigned long locked = (c->securebits & SECURE_ALL_LOCKS) >> 1;

	if (locked & (c->securebits ^ bits) || (c->securebits & SECURE_ALL_LOCKS & ~bits) ||
	    bits & ~(unsigned long)(SECURE_ALL_LOCKS | SECURE_ALL_BITS) || !cred_can(c, CRED_SETPCAP))
		return -EPERM;
	c->securebits = (uint32_t)bits;
	return 0;
}

static long set_keep_caps(struct cred *c, unsigned long on)
{
	if (on > 1)
		return -EINVAL;
	if (has(c, SECBIT_KEEP_CAPS_LOCKED))
		return -EPERM;
	c->securebits = (c->securebits & ~(uint32_t)SECBIT_KEEP_CAPS) | (on ? SECBIT_KEEP_CAPS : 0);
	return 0;
}

static long drop_bounding(struct cred *c, unsigned long n)
{
	if (!cred_can(c, CRED_SETPCAP))
		return -EPERM;
	if (n > CRED_LAST)
		return -EINVAL;
	c->bounding &= ~BIT(n);
	return 0;
}

static long ambient(struct cred *c, unsigned long what, unsigned long n, bool more)
{
	if (what == PR_CAP_AMBIENT_CLEAR_ALL) {
		if (n || more)
			return -EINVAL;
		c->ambient = 0;
		return 0;
	}
	if (n > CRED_LAST || more)
		return -EINVAL;
	switch (what) {
	case PR_CAP_AMBIENT_IS_SET:
		return c->ambient >> n & 1;
	case PR_CAP_AMBIENT_RAISE:
		if (!(c->permitted & c->inheritable & BIT(n)) || has(c, SECBIT_NO_CAP_AMBIENT_RAISE))
			return -EPERM;
		c->ambient |= BIT(n);
		return 0;
	case PR_CAP_AMBIENT_LOWER:
		c->ambient &= ~BIT(n);
		return 0;
	default:
		return -EINVAL;
	}
}

long cred_prctl(struct cred *c, int option, unsigned long a, unsigned long b, unsigned long d, unsigned long e)
{
	switch (option) {
	case PR_GET_KEEPCAPS:	return has(c, SECBIT_KEEP_CAPS);
	case PR_SET_KEEPCAPS:	return set_keep_caps(c, a);
	case PR_GET_SECUREBITS:	return c->securebits;
	case PR_SET_SECUREBITS:	return set_securebits(c, a);
	case PR_CAPBSET_READ:	return a > CRED_LAST ? -EINVAL : (long)(c->bounding >> a & 1);
	case PR_CAPBSET_DROP:	return drop_bounding(c, a);
	case PR_CAP_AMBIENT:	return ambient(c, a, b, d || e);
	default:		return -ENOSYS;
	}
}
