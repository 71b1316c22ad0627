-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Which values of a column point at nothing: they do not stand among the parent's keys. NULL points nowhere on
--          purpose and passes, as in SQL's FOREIGN KEY.
-- reads    relation(key ANY) what is checked; the column that points
-- reads    parent(parent_key ANY) what it points at; the key's column
-- returns  key ANY a value without a parent
-- returns  occurrences BIGINT how many rows have it
-- grain    one row per value without a parent
-- source   SQL's FOREIGN KEY constraint, MATCH SIMPLE
-- example  SELECT * FROM check_foreign_key(orders, shipping_country_code, (SELECT 'FR' AS code), code)
CREATE MACRO check_foreign_key(
    relation,
    key,
    parent,
    parent_key
) AS TABLE
WITH keys AS (
    SELECT key, count(*) AS occurrences
    FROM relation
    WHERE key IS NOT NULL
    GROUP BY key
)

SELECT keys.key, keys.occurrences
FROM keys
WHERE NOT EXISTS (SELECT 1 FROM parent WHERE parent.parent_key = keys.key)
