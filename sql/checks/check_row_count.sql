-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Whether a relation has as many rows as it should. Both bounds are included.
-- reads    relation() what is counted
-- param    minimum BIGINT the fewest rows there may be
-- param    maximum BIGINT the most; NULL for no limit
-- returns  row_count BIGINT how many rows there are
-- returns  minimum BIGINT the fewest there may be
-- returns  maximum BIGINT the most there may be; NULL for no limit
-- grain    one row when there are too few or too many
-- source   count(*)
-- example  SELECT * FROM check_row_count(orders, minimum => 1, maximum => 10)
CREATE MACRO check_row_count(
    relation,
    minimum := 1,
    maximum := NULL
) AS TABLE
SELECT row_count, minimum, maximum
FROM (SELECT count(*) AS row_count FROM relation)
WHERE row_count < minimum OR row_count > maximum
