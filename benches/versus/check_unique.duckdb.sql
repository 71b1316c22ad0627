-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT count(*) AS keys, sum(occurrences) AS occurrences
FROM (
    SELECT customer_id, count(*) AS occurrences
    FROM {orders}
    WHERE customer_id IS NOT NULL
    GROUP BY customer_id
    HAVING count(*) > 1
)
