/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ELF loader: load.c. */
#ifndef UM_AGENT_LOAD_H
#define UM_AGENT_LOAD_H

#include "agent.h"
#include <linux/elf.h>

/* The headers of one ELF file, checked. */
struct elf_file {
	int fd;
	Elf64_Ehdr eh;
	Elf64_Phdr *ph;		/* on the heap */
	char *interp;		/* PT_INTERP's path on the heap, or NULL */
	bool exec_stack;
};

/* The start of a file: it holds, usually, all that is looked at. */
struct elf_head { uint8_t data[1024]; long size; };	/* size: bytes read, or -errno */
void elf_read_head(struct elf_head *h, int fd);

/*
 * Reads and checks the headers, of which h is the start.  0; -ENOEXEC (not a 64-bit x86 executable or shared object: *why says
 * what), -ENOMEM, -EIO.  elf_close() frees what it allocated and leaves the descriptor alone.
 */
int elf_open(struct elf_file *e, int fd, const struct elf_head *h, const char **why);
void elf_close(struct elf_file *e);

struct auxv { uint64_t type, value; };

/* What the kernel leaves on the stack of a new program. */
struct start_stack {
	uint64_t *sp;		/* points at argc */
	char **argv, **envp;
	struct auxv *auxv;
	size_t nauxv;		/* entries, the last (AT_NULL) included */
};

void stack_parse(struct start_stack *s, uint64_t *sp);
struct auxv *stack_auxv(struct start_stack *s, uint64_t type);	/* or NULL */

/* Takes the first two arguments away, in place. */
void stack_drop_two(struct start_stack *s);

/*
 * Maps the program (and its interpreter, interp_fd >= 0), completes the auxiliary vector, tells the
 * kernel where everything is, and jumps to the first instruction.  Does not return; what is wrong at this
 * point kills the process as it would inside the kernel's execve.
 */
_Noreturn void load_run(struct task *t, struct start_stack *s, int prog_fd, int interp_fd, const char *execfn);

#endif
