-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Whether the newest row of a relation is new enough. A relation without a single time is not fresh; a newest
--          row in the future passes, since it is not old.
-- reads    relation(at TIMESTAMP) what is checked; the column that says when a row came to be, in UTC
-- param    max_age INTERVAL the oldest that the newest row may be
-- param    as_of TIMESTAMP the moment from which its age counts; NULL is now, which --as-of fixes
-- returns  newest_at TIMESTAMP the newest row; NULL when there is none
-- returns  required_at TIMESTAMP the moment since which there should have been one
-- grain    one row when the relation is stale
-- source   max(at) < as_of - max_age
-- example  SELECT * FROM check_fresh(orders, created_timestamp, max_age => INTERVAL '1 day', as_of => TIMESTAMP '2100-01-01')
CREATE MACRO check_fresh(
    relation,
    at,
    max_age := INTERVAL '1 day',
    as_of := NULL
) AS TABLE
SELECT newest_at, required_at
FROM (
    SELECT
        max(at) AS newest_at,
        arrow_cast(coalesce(as_of, now()) - max_age, 'Timestamp(Microsecond, None)') AS required_at
    FROM relation
)
WHERE newest_at IS NULL OR newest_at < required_at
