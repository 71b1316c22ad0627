-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- Every order with every touch of its window: for few rows only.
WITH sales AS (
    SELECT row_number() OVER () AS sale, customer_id, created_timestamp AS moment, CAST(net_sales * 10000 AS BIGINT) AS amount
    FROM (
        SELECT order_id, customer_id, created_timestamp, net_sales
        FROM {orders}
        QUALIFY row_number() OVER (PARTITION BY order_id, customer_id ORDER BY created_timestamp DESC, net_sales DESC) = 1
    )
    WHERE net_sales > 0
),

journeys AS (
    SELECT
        s.sale, s.amount, t.channel,
        row_number() OVER (PARTITION BY s.sale ORDER BY t.event_timestamp, t.touchpoint_id) AS i,
        count(t.touchpoint_id) OVER (PARTITION BY s.sale) AS n
    FROM sales AS s
    LEFT JOIN {touchpoints} AS t
        ON s.customer_id = t.customer_id AND t.event_timestamp BETWEEN s.moment - INTERVAL 30 DAY AND s.moment
),

shares AS (
    SELECT
        *,
        CASE WHEN n = 1 THEN amount WHEN n = 2 THEN (amount + 1) // 2 ELSE (3 * amount + 5) // 10 END AS head,
        CASE WHEN n > 2 THEN (4 * amount + 5 * (n - 2)) // (10 * (n - 2)) ELSE 0 END AS each
    FROM journeys
),

credits AS (
    SELECT
        CASE WHEN n = 0 THEN '(unattributed)' ELSE channel END AS channel,
        CASE
            WHEN n = 0 THEN amount
            WHEN i = 1 THEN head
            WHEN i = n THEN amount - head - each * greatest(n - 2, 0)
            ELSE each
        END AS credit
    FROM shares
)

SELECT channel, CAST(sum(credit) AS DECIMAL(34, 0)) * CAST(0.0001 AS DECIMAL(4, 4)) AS revenue
FROM credits
GROUP BY channel
ORDER BY channel
