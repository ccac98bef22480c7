# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: tar gzip
# Archives: created, listed, extracted, compared; sparse, long names, links.
mkdir -p t/$(printf 'x%.0s' $(seq 120))/deep; echo text >t/f; ln t/f t/hard; ln -s f t/soft; truncate -s 3M t/sparse; mkfifo t/fifo
chmod 640 t/f; touch -d @1000000000 t/f t/sparse t/fifo; find t -type d -exec touch -d @1000000000 {} +; touch -hd @1000000000 t/soft
tar --sort=name --owner=0 --group=0 --numeric-owner -cf a.tar t; md5sum a.tar
tar tvf a.tar | cut -c1-10,40-; mkdir x; tar xf a.tar -C x; diff -r --no-dereference x/t/f t/f && stat -c '%a %h %s %Y' x/t/*
tar czf b.tgz -C /usr/include linux; tar xzf b.tgz; diff -r linux /usr/include/linux && echo same
tar -S -cf s.tar t/sparse; [ $(stat -c %s s.tar) -lt 20000 ] && echo sparse; tar cf - /usr/share/doc 2>/dev/null | tar tf - | sort | md5sum
