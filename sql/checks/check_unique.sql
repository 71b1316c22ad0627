-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Which keys stand in a relation more than once. A key is one to three columns; rows that lack one of those given
--          are left out, as SQL's UNIQUE leaves them out: check_not_null finds them.
-- reads    relation(key ANY, key2 ANY?, key3 ANY?) what is checked; the key's columns or expressions
-- returns  key ANY the first column of a key that repeats
-- returns  key2 ANY the second, NULL where the key has one column
-- returns  key3 ANY the third, NULL where the key has fewer
-- returns  occurrences BIGINT how many rows have this key
-- grain    one row per key that repeats
-- source   SQL's UNIQUE constraint
-- example  SELECT * FROM check_unique(orders, customer_id) ORDER BY occurrences DESC, key LIMIT 10
CREATE MACRO check_unique(
    relation,
    key,
    key2,
    key3
) AS TABLE
SELECT key, key2, key3, count(*) AS occurrences
FROM relation
WHERE
    key IS NOT NULL
    AND (key2 IS NOT NULL OR NOT given(key2))
    AND (key3 IS NOT NULL OR NOT given(key3))
GROUP BY key, key2, key3
HAVING count(*) > 1
