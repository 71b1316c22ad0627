-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Whether a column is empty somewhere, and how often. No row comes back when it is filled everywhere, or when
--          the relation has no rows: check_row_count finds that.
-- reads    relation(value ANY) what is checked; the column or expression that must not be NULL
-- returns  nulls BIGINT how many rows have NULL
-- returns  row_count BIGINT how many rows there are
-- grain    one row when something is missing
-- source   SQL's NOT NULL constraint
-- example  SELECT * FROM check_not_null(orders, customer_id)
CREATE MACRO check_not_null(
    relation,
    value
) AS TABLE
SELECT nulls, row_count
FROM (
    SELECT count(*) FILTER (WHERE value IS NULL) AS nulls, count(*) AS row_count
    FROM relation
)
WHERE nulls > 0
