-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
WITH classes AS (
    SELECT count(*) AS n, count(DISTINCT customer_id) AS units
    FROM {people}
    GROUP BY birth_year, postcode, gender, country, children, channel
)

SELECT min(units) AS k, count(*) AS classes, count(*) FILTER (units = 1) AS uniques, CAST(sum(n) AS BIGINT) AS customers
FROM classes
