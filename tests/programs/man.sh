# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: man groff
# A program that puts seccomp filters of its own between itself and its helpers (libseccomp, in every child).
cat >page.1 <<'PAGE'
.TH PAGE 1 2020-01-01
.SH NAME
page \- a page to be formatted
.SH DESCRIPTION
Some words, \fBbold\fR and \fIslanted\fR, and a list:
.IP \(bu 2
one
.IP \(bu 2
two
PAGE
gzip -k page.1
MANWIDTH=70 man -l page.1 | cat
MANWIDTH=70 man -l page.1.gz | cat
man -l nothing.1; echo $?
lexgrog page.1
