/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tracer: "TID name(arguments) = result", one line a call, one write a line.
 *
 * Names and types come from src/syscalls.tbl.  The lines go to the descriptor whose number the monitor has
 * left in the world's header (um_world.trace); every guest inherits it, guarded as our other descriptors
 * are.  Calls that the filter lets through by themselves never come here and are not seen.  The line is
 * made after the call, when what it returned can be shown; calls that may not return are shown twice,
 * with "?" before.
 */
#include "trace.h"
#include "trace_table.h"

#define LINE_MAX	1024
#define PATH_SHOWN	256	/* bytes shown of a string */
#define DATA_SHOWN	32	/* bytes shown of data */

struct line {
	size_t len;
	char text[LINE_MAX];
};

static __attribute__((format(printf, 2, 3))) void add(struct line *l, const char *fmt, ...)
{
	size_t room = sizeof(l->text) - l->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = text_vformat(l->text + l->len, room, fmt, ap);
	va_end(ap);
	l->len += (size_t)n < room ? (size_t)n : room - 1;
}

static void add_escaped(struct line *l, const char *s, size_t n, bool cut)
{
	add(l, "\"");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\n')
			add(l, "\\n");
		else if (c == '"' || c == '\\')
			add(l, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			add(l, "\\%o", c);
		else
			add(l, "%c", c);
	}
	add(l, cut ? "\"..." : "\"");
}

static void add_string(struct line *l, struct task *t, gaddr s)
{
	char buf[PATH_SHOWN];
	long n;

	if (!s) {
		add(l, "NULL");
		return;
	}
	n = string_from_guest(t, buf, s, sizeof(buf));
	if (n == -EFAULT)
		add(l, "0x%lx", s);
	else
		add_escaped(l, buf, n < 0 ? sizeof(buf) : (size_t)n, n < 0);
}

static void add_data(struct line *l, struct task *t, gaddr p, unsigned long n)
{
	char buf[DATA_SHOWN];
	size_t shown = n < sizeof(buf) ? n : sizeof(buf);

	if (!p || copy_from_guest(t, buf, p, shown))
		add(l, p ? "0x%lx" : "NULL", p);
	else
		add_escaped(l, buf, shown, shown < n);
}

static void add_number(struct line *l, enum um_trace_type type, unsigned long v)
{
	switch (type) {
	case UM_TRACE_UINT:
		add(l, "%u", (unsigned)v);
		break;
	case UM_TRACE_LONG:
		add(l, "%ld", (long)v);
		break;
	case UM_TRACE_ULONG:
		add(l, "%lu", v);
		break;
	case UM_TRACE_OCTAL:
		add(l, "0%o", (unsigned)v);
		break;
	case UM_TRACE_HEX32:
		v = (uint32_t)v;
		/* fall through */
	case UM_TRACE_HEX:
	case UM_TRACE_OUT:		/* nothing was stored there */
		add(l, v ? "0x%lx" : "0", v);
		break;
	default:
		add(l, "%d", (int)v);
	}
}

static void add_argument(struct line *l, struct task *t, const struct um_trace_call *c, int i,
			 const unsigned long *args, long result)
{
	enum um_trace_type type = c->type[i];
	unsigned long v = args[i], length = args[c->length[i]];

	if (type == UM_TRACE_DFD && (int)v == AT_FDCWD)
		add(l, "AT_FDCWD");
	else if (type == UM_TRACE_STRING)
		add_string(l, t, v);
	else if (type == UM_TRACE_IN)
		add_data(l, t, v, length);
	else if (type == UM_TRACE_OUT && result > 0)
		add_data(l, t, v, (unsigned long)result < length ? (unsigned long)result : length);
	else
		add_number(l, type, v);
}

static void add_result(struct line *l, long result)
{
	const size_t names = sizeof(um_errno_names) / sizeof(*um_errno_names);

	if (result == -UM_ERESTART)
		add(l, " = ? (made again after a signal)\n");
	else if (result < 0 && result >= -4095 && (size_t)-result < names && um_errno_names[-result])
		add(l, " = -1 %s\n", um_errno_names[-result]);
	else if (result > INT32_MAX || result < INT32_MIN)
		add(l, " = 0x%lx\n", (unsigned long)result);
	else
		add(l, " = %ld\n", result);
}

static void begin(struct line *l, struct task *t, uint32_t nr, const unsigned long *args, long result)
{
	const struct um_trace_call *c = nr == UM_NR_um_call ? &um_trace_private : NULL;

	if (nr <= UM_NR_MAX && um_trace_calls[nr].name)
		c = &um_trace_calls[nr];
	l->len = 0;
	if (!c) {
		add(l, "%d syscall_%u(0x%lx, 0x%lx, 0x%lx)", t->tid, nr, args[0], args[1], args[2]);
		return;
	}
	add(l, "%d %s(", t->tid, c->name);
	for (int i = 0; i < c->nargs; i++) {
		add(l, i ? ", " : "");
		add_argument(l, t, c, i, args, result);
	}
	add(l, ")");
}

static void write_line(struct line *l)
{
	if (l->text[l->len - 1] != '\n')	/* it was cut */
		l->text[l->len - 1] = '\n';
	own_write((int)process.world->trace, l->text, l->len);
}

static bool may_not_return(uint32_t nr)
{
	return nr == UM_NR_exit || nr == UM_NR_exit_group || nr == UM_NR_execve || nr == UM_NR_execveat ||
	       nr == UM_NR_rt_sigreturn;
}

void trace_before(struct task *t, uint32_t nr, const unsigned long *args)
{
	struct line l;

	if (!may_not_return(nr))
		return;
	begin(&l, t, nr, args, 0);
	add(&l, " = ?\n");
	write_line(&l);
}

void trace_after(struct task *t, uint32_t nr, const unsigned long *args, long result)
{
	struct line l;

	begin(&l, t, nr, args, result);
	add_result(&l, result);
	write_line(&l);
}
