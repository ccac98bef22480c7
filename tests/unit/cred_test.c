/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * src/kernel/cred.c: identities as text.  (The rules by which they change are tested with the kernel as the oracle:
 * tests/guest/identity.c.)
 */
#include <stdlib.h>
#include <unistd.h>
#include "tap.h"
#include "shim.h"
#include "../../src/kernel/cred.h"

static const char *const bad[] = {
	"", "0", "0:", "0:0", ":0:", "a:0:", "0:a:", "-1:0:", "4294967295:0:", "0:4294967295:", "4294967296:0:", "1:2:3:4",
	"1:2:x", "1:2:3;4", "1:2:3, 4", " 1:2:3",
};

static void test_login(void)
{
	struct cred *root = cred_login("0:0:0", NULL), *user = cred_login("1000:2000:5,3", root), *own = cred_login("7:8:", NULL);

	ok(root && root->uid.saved == 0 && root->permitted == CRED_ALL && root->effective == CRED_ALL && root->ngroups == 1,
	   "root has all capabilities");
	ok(root && root->own_uid == 0 && root->kernel_uid == geteuid() && root->kernel_gid == getegid(),
	   "and owns the caller's files");
	ok(user && user->uid.real == 1000 && user->uid.fs == 1000 && user->gid.effective == 2000 && !user->permitted &&
	   user->bounding == CRED_ALL, "a user has none");
	ok(user && user->ngroups == 2 && cred_in_group(user, 5) && cred_in_group(user, 2000) && !cred_in_group(user, 4),
	   "but groups");
	ok(user && user->own_uid == 0, "whose the files are does not change");
	ok(own && own->own_uid == 7 && own->own_gid == 8 && own->ngroups == 0, "unless it is the first identity");
	struct cred *strict = cred_login("s0:0:", NULL), *after = cred_login("1:1:", strict);

	ok(strict && strict->strict && strict->own_uid == 0 && root && !root->strict, "with an s a user is strict");
	ok(after && after->strict && user && !user->strict, "and who comes after him");
	heap_free(strict);
	heap_free(after);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ok(!cred_login(bad[i], NULL), "no identity: \"%s\"", bad[i]);
	heap_free(root);
	heap_free(user);
	heap_free(own);
}

static bool same(const struct cred *a, const struct cred *b)
{
	return a && b && a->ngroups == b->ngroups && !memcmp(a, b, sizeof(*a) + a->ngroups * sizeof(*a->groups));
}

static void test_text(void)
{
	char text[UM_CRED_TEXT], many[UM_NGROUPS * 12 + 16];
	struct cred *c, *back;
	int n = snprintf(many, sizeof(many), "4294967294:4294967294:");

	for (unsigned i = 0; i < UM_NGROUPS; i++)
		n += snprintf(many + n, sizeof(many) - (size_t)n, "%s%u", i ? "," : "", 4294967294u - i);
	c = cred_login(many, NULL);
	ok(c && c->ngroups == UM_NGROUPS, "as many groups as there may be");
	c->permitted = c->effective = c->inheritable = c->bounding = c->ambient = UINT64_MAX;
	c->securebits = c->secure = c->strict = c->own_uid = c->own_gid = UINT32_MAX;
	cred_write(c, text);
	ok(strlen(text) < sizeof(text), "the longest text fits");
	back = cred_read(text);
	ok(same(c, back), "and comes back as it was");
	heap_free(back);
	snprintf(many + n, sizeof(many) - (size_t)n, ",1");
	ok(!cred_login(many, NULL), "one more group is one too many");
	text[strlen(text) / 20] = 'x';
	ok(!cred_read(text), "what is broken is none");
	ok(!cred_read("1,2,3"), "nor what is too short");
	back = cred_copy(c);
	ok(same(c, back), "a copy");
	ok(!cred_copy(NULL), "of nobody is nobody");
	heap_free(back);
	heap_free(c);
	is_int(shim_heap_live, 0, "nothing is left on the heap");
}

int main(void)
{
	plan(0);
	test_login();
	test_text();
	return done();
}
