-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Which values of a column are not among those that are accepted. NULL passes: check_not_null finds it.
-- reads    relation(value VARCHAR) what is checked; the column or expression
-- param    accepted VARCHAR[] the values that are accepted, compared letter for letter
-- returns  value VARCHAR a value that is not accepted
-- returns  occurrences BIGINT how many rows have it
-- grain    one row per value that is not accepted
-- source   SQL's CHECK (column IN (…)) constraint
-- example  SELECT * FROM check_accepted(orders, financial_status, ['paid', 'refunded'])
CREATE MACRO check_accepted(
    relation,
    value,
    accepted
) AS TABLE
SELECT value, count(*) AS occurrences
FROM relation
WHERE value IS NOT NULL AND array_has(accepted, value) IS NOT TRUE
GROUP BY value
