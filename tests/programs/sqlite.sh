# SPDX-License-Identifier: GPL-2.0-or-later
# NEEDS: sqlite3
# A data base in a file: transactions, an index, write-ahead log, two connections.
sqlite3 t.db <<'SQL'
create table t(id integer primary key, name text, n int);
with recursive c(x) as (select 1 union all select x + 1 from c where x < 20000) insert into t select x, 'name ' || x, x * 7 % 1000 from c;
create index i on t(n);
select count(*), sum(n), max(name) from t; begin; delete from t where n < 500; rollback; select count(*) from t; update t set n = n + 1 where id % 3 = 0;
pragma integrity_check; vacuum; select n, count(*) from t group by n order by 2 desc, 1 limit 3;
SQL
sqlite3 t.db 'pragma journal_mode=wal; insert into t values(100000, "wal", 1); select count(*) from t' ; sqlite3 t.db .dump | md5sum; ls
for i in 1 2 3 4; do sqlite3 -cmd '.timeout 20000' t.db "insert into t(name) values('p$i')" & done; wait; sqlite3 t.db 'select count(*) from t'
sqlite3 t.db 'select * from none'; echo $?
