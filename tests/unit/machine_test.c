/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The probing, on this machine and on ones that lack something: a host whose call fails where a fault is
 * injected.
 */
#include <stdlib.h>

#include "tap.h"
#include "../../src/monitor/machine.c"

/* The call nr fails with error, if its argument `arg`, less what is not in mask, is value. */
struct fault { long nr; int arg; long mask, value, error; };

static struct fault fault;
static bool fsgsbase;

static long call_with_fault(long nr, long a, long b, long c, long d, long e, long f)
{
	const long args[] = { a, b, c, d, e, f };

	if (fault.error && nr == fault.nr && (args[fault.arg] & fault.mask) == fault.value)
		return -fault.error;
	return real_call(nr, a, b, c, d, e, f);
}

static unsigned long auxval_with_fault(unsigned long type)
{
	return type == AT_HWCAP2 ? (fsgsbase ? HWCAP2_FSGSBASE_BIT : 0) : getauxval(type);
}

static const struct host host = { call_with_fault, auxval_with_fault };

static const struct machine_check *check(const char *name)
{
	for (size_t i = 0; i < machine_nchecks; i++)
		if (!strcmp(machine_checks[i].name, name))
			return &machine_checks[i];
	return NULL;
}

/* ---- one fault each ------------------------------------------------------------------------------- */

#define WX	(PROT_WRITE | PROT_EXEC)

static const struct {
	const char *what;
	struct fault fault;
	const char *fails;		/* the check that must fail; no other may */
	enum tier tier;			/* of machine_tier() */
} cases[] = {
	{ "nothing is missing", { 0 }, NULL, TIER_PATCH },
	{ "/proc is not mounted", { SYS_access, 1, 0, 0, ENOENT }, "proc", TIER_PATCH },
	{ "seccomp is not built in", { SYS_seccomp, 0, -1, SECCOMP_SET_MODE_FILTER, ENOSYS }, "seccomp", TIER_PATCH },
	{ "seccomp is forbidden", { SYS_seccomp, 0, -1, SECCOMP_SET_MODE_FILTER, EPERM }, "seccomp", TIER_PATCH },
	{ "memfd_create is unknown", { SYS_memfd_create, 0, 0, 0, ENOSYS }, "memfd_exec", TIER_PATCH },
	{ "memfd_create is forbidden", { SYS_memfd_create, 0, 0, 0, EACCES }, "memfd_exec", TIER_PATCH },
	{ "MFD_EXEC is unknown", { SYS_memfd_create, 1, MFD_EXEC, MFD_EXEC, EINVAL }, NULL, TIER_PATCH },
	{ "memory files cannot be executed", { SYS_execveat, 1, 0, 0, EACCES }, "memfd_exec", TIER_PATCH },
	{ "files may not be large", { SYS_ftruncate, 1, 0, 0, EFBIG }, "sparse_file", TIER_PATCH },
	{ "no locks of open files", { SYS_fcntl, 1, -1, F_OFD_SETLK, EINVAL }, "ofd_locks", TIER_PATCH },
	{ "the agent's place is taken", { SYS_mmap, 0, -1, AGENT_BASE, EEXIST }, "address", TIER_PATCH },
	{ "pidfd_open is unknown", { SYS_pidfd_open, 1, 0, 0, ENOSYS }, "pidfd", TIER_PATCH },
	{ "gs cannot be set", { SYS_arch_prctl, 0, -1, ARCH_SET_GS, EPERM }, "gs", TIER_TRAP },
	{ "execmem is denied", { SYS_mmap, 2, WX, WX, EACCES }, "execmem", TIER_TRAP },
	{ "execmod is denied", { SYS_mprotect, 2, WX, WX, EACCES }, "execmod", TIER_TRAP },
	{ "changed text cannot be executed again", { SYS_mprotect, 2, WX, PROT_EXEC, EACCES }, "execmod", TIER_TRAP },
	{ "PR_SET_MM is refused", { SYS_prctl, 0, -1, PR_SET_MM, EPERM }, "mm_map", TIER_PATCH },
	{ "process_vm_readv is refused", { SYS_process_vm_readv, 1, 0, 0, EPERM }, "process_vm", TIER_PATCH },
};

/* Who may not read his own memory so may not read another's. */
static bool same_or_follows(const char *fails, const char *name)
{
	return !strcmp(fails, name) || (!strcmp(fails, "process_vm") && !strcmp(name, "process_vm_others"));
}

static void test_case(size_t i)
{
	const struct machine_check *lacks = NULL;

	fault = cases[i].fault;
	fsgsbase = true;
	for (size_t k = 0; k < machine_nchecks; k++) {
		const char *name = machine_checks[k].name;
		bool want = !cases[i].fails || !same_or_follows(cases[i].fails, name);
		fflush(stdout);
		is_int(machine_checks[k].works(&host), want, "%s: %s", cases[i].what, name);
	}
	enum tier tier = machine_tier(&host, &lacks);
	is_int(tier, cases[i].tier, "%s: the tier is %s", cases[i].what, tier_name(cases[i].tier));
	ok((tier == TIER_PATCH) == !lacks, "%s: the reason", cases[i].what);
	if (lacks)
		is_str(lacks->name, cases[i].fails, "%s: its name", cases[i].what);
}

static void test_no_fsgsbase(void)
{
	const struct machine_check *lacks;

	fault = (struct fault) { 0 };
	fsgsbase = false;
	ok(!check("fsgsbase")->works(&host), "no fsgsbase");
	is_int(machine_tier(&host, &lacks), TIER_PATCH, "without fsgsbase: patch, and gs is read in another way");
	ok(!lacks, "without fsgsbase: nothing that patching needs is missing");
}

/* Root does not need no_new_privs; who is an ordinary user here does. */
static void test_no_new_privs(void)
{
	fault = (struct fault) { SYS_prctl, 0, -1, PR_SET_NO_NEW_PRIVS, EINVAL };
	is_int(check("no_new_privs")->works(&host), geteuid() == 0, "no_new_privs refused");
}

/* What is tried leaves this process as it was. */
static void test_nothing_stays(void)
{
	fault = (struct fault) { 0 };
	fsgsbase = true;
	int before = dup(0);
	close(before);
	for (size_t k = 0; k < machine_nchecks; k++)
		machine_checks[k].works(&host);
	int after = dup(0);
	close(after);
	is_int(after, before, "no descriptor stays open");
	is_int(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0, "no_new_privs is not set here");
	is_int(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0, "no filter is installed here");
}

static void test_names(void)
{
	is_int(tier_by_name("trap"), TIER_TRAP, "trap");
	is_int(tier_by_name("patch"), TIER_PATCH, "patch");
	is_int(tier_by_name("none"), -1, "none is nothing to ask for");
	is_int(tier_by_name(""), -1, "the empty name");
	for (size_t i = 0; i < machine_nchecks; i++)
		ok(check(machine_checks[i].name) == &machine_checks[i], "%s is there once", machine_checks[i].name);
}

static void test_fault(void)
{
	uint64_t ns = machine_fault_ns();

	ok(ns > 50 && ns < 1000000, "a page fault takes %lu ns", (unsigned long)ns);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--version"))	/* run from a memory file by a check */
		return 0;
	plan(0);
	test_nothing_stays();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(i);
	test_no_fsgsbase();
	test_no_new_privs();
	test_names();
	test_fault();
	return done();
}
