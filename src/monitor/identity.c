/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users and groups by name or number: what --fakeroot, --user, `umview su` and `umview sudo` make of them.  The result is
 * the text that an agent takes (UM_CALL_IDENTITY, and "ident=" in the boot text): "UID:GID:GROUP,GROUP...".
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "log.h"

#define NAME_SIZE	256
#define GROUPS_MAX	512	/* UM_NGROUPS of kernel/cred.h */

/* A number, and nothing but that. */
static bool number(const char *s, unsigned *id)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);

	if (*s < '0' || *s > '9' || *end || v >= 0xffffffff)
		return false;
	*id = (unsigned)v;
	return true;
}

bool identity_user(const char *name, struct identity *i)
{
	const struct passwd *pw = getpwnam(name);
	bool is_number = false;

	if (!pw && (is_number = number(name + (name[0] == '#'), &i->uid)))
		pw = getpwuid(i->uid);
	if (!pw)
		return is_number;
	i->uid = pw->pw_uid;
	i->gid = pw->pw_gid;
	i->has_group = true;
	snprintf(i->name, sizeof(i->name), "%s", pw->pw_name);
	snprintf(i->home, sizeof(i->home), "%s", pw->pw_dir);
	snprintf(i->shell, sizeof(i->shell), "%s", pw->pw_shell);
	return true;
}

bool identity_group(const char *name, unsigned *gid)
{
	const struct group *gr = getgrnam(name);

	if (!gr)
		return number(name + (name[0] == '#'), gid);
	*gid = gr->gr_gid;
	return true;
}

/* One more at the end of the text; NULL, and the text is freed, when there is no memory. */
static char *add_group(char *text, unsigned gid)
{
	char *longer = NULL;

	if (text && asprintf(&longer, "%s%s%u", text, text[strlen(text) - 1] == ':' ? "" : ",", gid) < 0)
		longer = NULL;
	free(text);
	return longer;
}

static char *ids_text(const struct identity *i)
{
	char *text;

	return asprintf(&text, "%u:%u:", i->uid, i->gid) < 0 ? NULL : text;
}

char *identity_with_groups(const struct identity *i)
{
	gid_t list[GROUPS_MAX];
	int n = GROUPS_MAX;
	char *text = ids_text(i);

	if (!i->name[0] || getgrouplist(i->name, i->gid, list, &n) < 0) {
		list[0] = i->gid;
		n = 1;
	}
	for (int k = 0; k < n && text; k++)
		text = add_group(text, list[k]);
	return text;
}

/* "GROUP,GROUP...": the groups that were named. */
static char *named_groups(const struct identity *i, char *list)
{
	char *text = ids_text(i), *next;
	int n = 0;

	for (char *name = list; text && name && *name; name = next) {
		unsigned gid;

		next = strchr(name, ',');
		if (next)
			*next++ = 0;
		if (!identity_group(name, &gid) || ++n > GROUPS_MAX) {
			say("--user: %s: there is no such group%s", name, n > GROUPS_MAX ? " that there is room for" : "");
			free(text);
			return NULL;
		}
		text = add_group(text, gid);
	}
	return text;
}

char *identity_parse(const char *spec)
{
	struct identity i = { 0 };
	char copy[4096], *group, *groups = NULL;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", spec) >= sizeof(copy))
		return NULL;
	group = strchr(copy, ':');
	if (group)
		*group++ = 0;
	if (group && (groups = strchr(group, ':')))
		*groups++ = 0;
	if (!identity_user(copy, &i)) {
		say("--user: %s: there is no such user; UID:GID[:GROUP,GROUP...] takes names and numbers", copy);
		return NULL;
	}
	if (group && *group) {
		if (!identity_group(group, &i.gid)) {
			say("--user: %s: there is no such group", group);
			return NULL;
		}
	} else if (!i.has_group) {
		say("--user: %s: nobody knows this user's group; say %s:GID", copy, copy);
		return NULL;
	}
	return groups ? named_groups(&i, groups) : identity_with_groups(&i);
}
