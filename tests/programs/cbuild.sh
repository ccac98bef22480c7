# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: gcc make
# A C project of 60 files, built by make -j4, then run; again after a change; then with errors.
mkdir src; cd src
for i in $(seq 60); do
	printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include "all.h"\nint f%d(int x) { char b[32]; snprintf(b, sizeof b, "%%d", x + %d); return atoi(b) + (int)strlen(b); }\n' $i $i >f$i.c
done
{ for i in $(seq 60); do echo "int f$i(int);"; done; } >all.h
{ echo '#include <stdio.h>'; echo '#include "all.h"'; echo 'int main(void) { long s = 0;'; for i in $(seq 60); do echo "s += f$i($i);"; done; printf '%s\n' 'printf("%ld\n", s); return 0; }'; } >main.c
printf 'OBJS = $(patsubst %%.c,%%.o,$(sort $(wildcard *.c)))\nprog: $(OBJS)\n\t@gcc -o $@ $(OBJS)\n%%.o: %%.c all.h\n\t@gcc -O1 -Wall -c -o $@ $<\nclean:\n\t@rm -f *.o prog\n' >Makefile
make -j4 && ./prog && md5sum prog *.o | md5sum || exit 9
touch f7.c; make -j4; make -j4; ./prog
gcc -O2 -flto -o lto f1.c f2.c f3.c -xc - <<C && ./lto
#include "all.h"
int main(void) { return f1(1) + f2(2) + f3(3) > 0 ? 0 : 1; }
C
echo "lto $?"; ar rcs lib.a *.o; nm lib.a | grep -c ' T f'; gcc -shared -fPIC -o lib.so f1.c; objdump -d lib.so | grep -c '<f1>:'; strip -o stripped prog; ./stripped
echo 'int broken(' >f8.c; make -j4 2>&1 | grep -c 'f8.c:.*error'; make clean; ls | wc -l
