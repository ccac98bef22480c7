/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said to the user, and the log of the view.
 */
#ifndef UM_MONITOR_LOG_H
#define UM_MONITOR_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* One line "umview: ..." for the user: on stderr, or to whoever log_say_to() named. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_say_to(void (*send)(void *arg, const char *line), void *arg);

/* One line for the log: kept (the last 64 KiB), and written to the file given by log_to_file(). */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_text(const char *line, size_t len);
void log_to_file(int fd);

/* The last whole lines that fit.  Returns the bytes copied. */
size_t log_tail(char *buf, size_t size);

#endif
