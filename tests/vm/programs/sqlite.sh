# SPDX-License-Identifier: MIT
# A data base is filled, asked, changed, checked and dumped.
cat >script <<'END'
PRAGMA page_size = 4096;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, x REAL, n INTEGER, b BLOB);
WITH RECURSIVE c(i, s) AS (SELECT 1, 12345 UNION ALL
	SELECT i + 1, (s * 1103515245 + 12345) % 2147483648 FROM c WHERE i < 60000)
INSERT INTO t SELECT i, printf('name-%05d', s % 5000), s / 7.0, s % 1000,
	zeroblob(s % 40) FROM c;
CREATE INDEX by_name ON t(name, n);
CREATE INDEX by_x ON t(x) WHERE n > 500;
SELECT count(*), sum(n), avg(x), min(x), max(x), total(x * n), sum(length(b)) FROM t;
SELECT n % 10 AS d, count(*), round(avg(x), 6), group_concat(DISTINCT n % 3)
	FROM t GROUP BY d ORDER BY d;
SELECT name, count(*) AS c, sum(x) FROM t GROUP BY name ORDER BY c DESC, name LIMIT 10;
SELECT a.name, count(*) FROM t a JOIN t b ON a.name = b.name AND a.n < b.n
	GROUP BY a.name ORDER BY 2 DESC, 1 LIMIT 5;
SELECT id, n, sum(n) OVER (ORDER BY id ROWS 10 PRECEDING), rank() OVER (ORDER BY n, id)
	FROM t WHERE id % 6000 = 0;
BEGIN;
UPDATE t SET x = x * 1.5, name = upper(name) WHERE n BETWEEN 100 AND 300;
DELETE FROM t WHERE n % 7 = 3;
SAVEPOINT s;
DELETE FROM t WHERE id < 30000;
ROLLBACK TO s;
COMMIT;
SELECT count(*), sum(x), sum(length(hex(b))) FROM t;
SELECT json_group_array(json_object('id', id, 'x', x)) FROM t WHERE id % 10000 = 0;
VACUUM;
PRAGMA integrity_check;
PRAGMA foreign_key_check;
END
sqlite3 data.db <script
sqlite3 data.db .dump | sha256sum
sqlite3 data.db "SELECT sum(x) FROM t" "SELECT 1e308 * 10, -1.0 / 3, 1 << 40, 5 % -3"
