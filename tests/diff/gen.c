/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What steps are made of: the tree, paths that hit it often enough, descriptors, modes, sizes.
 *
 * Paths never lead far up: a directory outside of the tree is not kept as a cwd or as a descriptor to start from
 * (stray(), back_home()), a path has few "..", and above the tree lie more directories than those can climb (run.py
 * makes them).  No name drawn here is a name of one of those.
 */
#include "diff.h"

#define LONG_255 "l123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" \
	"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789" \
	"0123456789012345678901234567890123456789012345678912345"

/* Where a path goes first; "@" is the tree. */
static const char *const bases[] = {
	"", "", "", "", "", "a/", "a/", "a/b/", "a/b/", "a/b/c/", "d/", "d/", "d/e/",
	"@/", "@/", "@/a/", "@/a/b/", "@/d/", "@/d/e/",
	"ld/", "labs/", "a/up/", "a/up/d/", "./", "a/../", "ld/../", "a//b/./", "loop1/", "dang/", "f0/", "lf/", "a/b/../../d/",
	"many/", "//@/", "@//a/./", "@/../@@/a/", "@/ld/", "@/labs/../", "/proc/self/cwd/", "a/b/c/../../../", "n0/", "n1/", "@/n0/",
	"d/e/lroot/", "n2/", "n3/",
	"/proc/self/fd/101/", "/dev/fd/101/a/", "/proc/self/fd/101/../@@/", "/proc/thread-self/cwd/", "/proc/self/root@/", "/proc/thread-self/root/@/a/",
	"/proc/self/cwd/../", "/proc/self/fd/101/a/b/../", "/proc/self/task/../fd/101/", "lproc/", "lfd/",
};

static const char *const names[] = {
	"f0", "f0", "f0", "f1", "f1", "f2", "f3", "a", "b", "c", "d", "e", "a", "b",
	"n0", "n0", "n0", "n1", "n1", "n1", "n2", "n2", "n3", "n4",
	"ld", "labs", "lf", "lf", "dang", "loop1", "loop2", "up", "lroot", "lout", "lself", "ln",
	"x", "x", "s0", "s1", "s2", "s3", "s4", "sx", ".", "..", "many", "many/m07", LONG_255, LONG_255 "6",
	"big", "big", "ro", "out", "fifo", "lproc", "lfd", "a/../f0", "d/e/", "f1/", "./f0", "a//f1",
};

static const char *const targets[] = {
	"f0", "a", "a/b", "../d", "@/d/e", "@/a/f1", "..", ".", "nowhere", "n0", "n1", "@/n2", "../..", "f0/", "a/", "@", "@/",
	"/proc/self/fd/4", "/proc/self/cwd", "/proc/self/cwd/f0", "lf", "n3/f0", "./a/../f1", "", LONG_255, "n4",
	"/proc/self/fd/101", "/proc/self/fd/101/a/", "/dev/fd/5", "/proc/self/root@", "/proc/self/root", "a/../../@@/d", "//@//d//",
};

/* ---- the tree --------------------------------------------------------------------------------------------- */

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "difftest: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void make_file(const char *name, unsigned mode, const char *text, size_t times)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, features & FEAT_PERM ? mode : mode | 0600);

	must(fd >= 0, name);
	while (times--)
		must(write(fd, text, strlen(text)) > 0, name);
	close(fd);
}

static void make_link(const char *name, const char *target)
{
	char text[PATH_MAX + 64];

	snprintf(text, sizeof text, "%s%s", *target == '@' ? root : "", target + (*target == '@'));
	must(!symlink(text, name), name);
}

static void copy_program(const char *program)
{
	char buf[65536];
	int in = open(program, O_RDONLY), out = open("x", O_WRONLY | O_CREAT, 0755);
	long n;

	must(in >= 0 && out >= 0, program);
	while ((n = read(in, buf, sizeof buf)) > 0)
		must(write(out, buf, (size_t)n) == n, "x");
	close(in);
	close(out);
}

static void make_scripts(const char *program)
{
	char text[PATH_MAX + 64];

	copy_program(program);
	snprintf(text, sizeof text, "#!%s/x  one two \nrest\n", root);
	make_file("s0", 0755, text, 1);
	snprintf(text, sizeof text, "#! %s/s0 three\n", root);
	make_file("s1", 0755, text, 1);
	make_file("s2", 0755, "#!nowhere\n", 1);
	make_file("s3", 0755, "no interpreter\n", 1);
	make_file("s4", 0644, text, 1);
	make_file("d/s5", 0755, "#!x here\n", 1);
	make_link("sx", "x");
}

void tree_make(const char *program)
{
	static const char *const dirs[] = { "a", "a/b", "a/b/c", "d", "d/e", "many" };
	char name[32];

	must(!mkdir(root, 0755) && !chdir(root), root);
	for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++)
		must(!mkdir(dirs[i], 0755), dirs[i]);
	make_file("f0", 0644, "f0 text. ", 20);
	make_file("f1", 0600, "f1 text. ", 700);
	make_file("a/f1", 0644, "a/f1 text. ", 3);
	make_file("a/b/f2", 0664, "", 0);
	make_file("d/f0", 0444, "d/f0 text. ", 1);
	make_file("d/e/f3", 0640, "d/e/f3 text. ", 1000);
	make_file("big", 0644, "0123456789abcdef", 20000);
	make_file("ro", 0400, "read only", 1);
	make_link("ld", "a/b");
	make_link("lproc", "/proc/self/fd/101/a");
	make_link("lfd", "/dev/fd/101");
	make_link("labs", "@/d");
	make_link("lf", "a/f1");
	make_link("a/lf", "@/d/f0");
	make_link("a/up", "..");
	make_link("d/e/lroot", "@");
	make_link("dang", "nowhere");
	make_link("a/dang", "@/a/n0");
	make_link("loop1", "loop2");
	make_link("loop2", "./loop1");
	make_link("d/lself", "/proc/self/cwd");
	make_file("../outside", 0644, "outside. ", 2);
	make_link("lout", "@/../outside");
	make_link("ln", "n0");
	for (int i = 0; i < 70; i++) {
		snprintf(name, sizeof name, "many/m%02d%.*s", i, i % 12, "abcdefghijklm");
		make_file(name, 0644, "m", 1);
	}
	make_scripts(program);
}

/* ---- paths ------------------------------------------------------------------------------------------------- */

/* "@" becomes the tree's path, "@@" its last name. */
static size_t expand(char *to, size_t room, const char *text)
{
	size_t n = 0;

	for (; *text; text++) {
		if (text[0] == '@' && text[1] == '@') {
			n += (size_t)snprintf(to + n, room - n, "%s", strrchr(root, '/') + 1);
			text++;
		} else if (*text == '@') {
			n += (size_t)snprintf(to + n, room - n, "%s", root);
		} else {
			to[n++] = *text;
		}
	}
	to[n] = 0;
	return n;
}

static void say_rest(const char *p)
{
	size_t len = strlen(p);
	const char *number = strstr(p, "/#");

	if (number && number[2] >= '0' && number[2] <= '9') {	/* a file without a name */
		say("%.*s#", (int)(number + 1 - p), p);
		p = number + 2 + strspn(number + 2, "0123456789");
	}

	if (len > 300) {
		say("%.40s...(%zu)", p, len);
		return;
	}
	for (; *p; p++)
		say(*p < ' ' || *p == '"' ? "\\%03o" : "%c", (unsigned char)*p);
}

void say_path(const char *p)
{
	static const char *const numbered[] = { "pipe:[", "socket:[" };
	const char *at = strstr(p, root), *deleted = strstr(p, " (deleted)");
	size_t number = strncmp(p, "/proc/", 6) ? 0 : strspn(p + 6, "0123456789");

	if (deleted && !deleted[10] && !(features & FEAT_UNLINKED)) {
		say("deleted");
		return;
	}
	if (number && p[6 + number] == '/') {		/* a child's may have been passed on */
		say(atoi(p + 6) == getpid() ? "\"/proc/PID/" : "\"/proc/OTHER/");
		p += 6 + number + 1;
		if (!strncmp(p, "task/", 5)) {
			p += 5 + strspn(p + 5, "0123456789");
			say("task/TID");
		}
		say("%s\"", p);
		return;
	}
	for (unsigned i = 0; i < 2; i++)
		if (!strncmp(p, numbered[i], strlen(numbered[i]))) {
			say("\"%s]\"", numbered[i]);
			return;
		}
	say("\"");
	if (at && (!at[root_len] || at[root_len] == '/' || at[root_len] == ' ') && (at == p || at - p < 3)) {
		say("%.*s@", (int)(at - p), p);
		p = at + root_len;
	}
	say_rest(p);
	say("\"");
}

/* Its descriptors may be its own, and /proc/self is the first thread. */
bool in_thread(void)
{
	return syscall(SYS_gettid) != getpid();
}

static void append_name(char *text)
{
	char *name = text + strlen(text);

	strcpy(name, PICK_OF(names));
	if (!(features & FEAT_LONGNAME) && strlen(name) > 255)
		name[255] = 0;
}

static void pick_text(struct upath *p)
{
	static const char *const suffixes[] = { "/", "/.", "/..", "//" };
	unsigned kind = pick(60), n;

	p->arg = p->text;
	p->text[0] = 0;
	switch (kind) {
	case 0:
		p->arg = (char *)8;
		return;
	case 1:
		return;
	case 2:				/* too long, or just not */
		n = pick(2) ? 4094 : 4096;
		memset(p->text, '/', n);
		for (unsigned i = 0; i + 1 < n; i += 2)
			p->text[i] = '.';
		strcpy(p->text + n - 4, pick(2) ? "/f0" : "//a");
		return;
	case 3:
	case 4:
		sprintf(p->text, "/proc/%s/fd/%u", in_thread() ? "thread-self" : "self", 3 + pick(FD_DRAWN - 2));
		if (kind == 4)
			append_name(strcat(p->text, "/"));
		return;
	}
	expand(p->text, sizeof p->text, PICK_OF(bases));
	append_name(p->text);
	if (chance(9))
		strcat(p->text, PICK_OF(suffixes));
}

static void say_text(const struct upath *p)
{
	if (p->arg == p->text)
		say_path(p->text);
	else
		say("BAD");
}

void pick_path(struct upath *p)
{
	p->dfd = AT_FDCWD;
	pick_text(p);
	say_text(p);
}

void pick_at(struct upath *p)
{
	if (pick(5) < 3) {
		p->dfd = AT_FDCWD;
		say("CWD, ");
	} else {
		p->dfd = pick_fd();
		say(", ");
	}
	pick_text(p);
	say_text(p);
}

/* Root's steps would change the machine's own root by a link to it. */
const char *pick_target(char *buf, size_t size)
{
	const char *target = PICK_OF(targets);

	expand(buf, size, !geteuid() && !strcmp(target, "/proc/self/root") ? "/proc/self/root@" : target);
	return buf;
}

/* ---- the rest ---------------------------------------------------------------------------------------------- */

int pick_fd(void)
{
	unsigned n = pick(FD_DRAWN);
	int fd = n == 0 ? -1 : (int)n + 2;

	say("%d", fd);
	return fd;
}

/* Each bit with a chance that leaves most calls possible. */
unsigned pick_bits(const unsigned *bits, unsigned n)
{
	unsigned r = 0, how_many = pick(4);

	while (how_many--)
		r |= bits[pick(n)];
	return r;
}

unsigned pick_mode(void)
{
	static const unsigned modes[] = { 0644, 0600, 0755, 0777, 0664, 04755, 02755, 01777, 0444, 0555, 0200, 0, 0111, 07777 };
	unsigned mode = PICK_OF(modes);

	return features & FEAT_PERM ? mode : (mode | 0700) & ~01000u;
}

size_t pick_size(void)
{
	static const unsigned sizes[] = { 0, 1, 3, 10, 100, 511, 512, 1000, 4096, 5000, 8192, 16384, 65536, 70001 };

	return PICK_OF(sizes);
}

int64_t pick_offset(void)
{
	static const int64_t offsets[] = {
		0, 0, 1, 5, 100, 180, 181, 4095, 4096, 5000, 12288, 65535, 100000, 320000, -1, -100, INT64_MAX, INT64_MAX - 5000,
	};

	return PICK_OF(offsets);
}
