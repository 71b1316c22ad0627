-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- Two ASOF joins find the first and the last touch of each order; what the touches between them get is added where they begin
-- and taken away where they end, and summed along the customer. Amounts are counted in ten-thousandths.
WITH sales AS (
    SELECT customer_id, created_timestamp AS moment, CAST(net_sales * 10000 AS BIGINT) AS amount
    FROM (
        SELECT order_id, customer_id, created_timestamp, net_sales
        FROM {orders}
        QUALIFY row_number() OVER (PARTITION BY order_id, customer_id ORDER BY created_timestamp DESC, net_sales DESC) = 1
    )
    WHERE net_sales > 0
),

touches AS (
    SELECT
        customer_id, event_timestamp AS moment, channel,
        row_number() OVER (PARTITION BY customer_id ORDER BY event_timestamp, touchpoint_id) AS place
    FROM {touchpoints}
    WHERE customer_id IS NOT NULL
),

moments AS (
    SELECT customer_id, moment, min(place) AS first, max(place) AS last
    FROM touches
    GROUP BY customer_id, moment
),

ends AS (
    SELECT s.customer_id, s.moment - INTERVAL 30 DAY AS since, s.amount, m.last
    FROM sales AS s ASOF LEFT JOIN moments AS m ON s.customer_id = m.customer_id AND s.moment >= m.moment
),

windows AS (
    SELECT e.customer_id, e.amount, m.first, e.last, e.last - m.first + 1 AS n
    FROM ends AS e ASOF LEFT JOIN moments AS m ON e.customer_id = m.customer_id AND e.since <= m.moment
),

shares AS (
    SELECT
        customer_id, amount, first, last, n,
        CASE WHEN n = 1 THEN amount WHEN n = 2 THEN (amount + 1) // 2 ELSE (3 * amount + 5) // 10 END AS head,
        CASE WHEN n > 2 THEN (4 * amount + 5 * (n - 2)) // (10 * (n - 2)) ELSE 0 END AS each
    FROM windows
    WHERE n > 0
),

changes AS (
    SELECT customer_id, first AS place, head AS own, 0 AS onward FROM shares
    UNION ALL
    SELECT customer_id, last AS place, amount - head - each * greatest(n - 2, 0) AS own, 0 AS onward FROM shares WHERE n > 1
    UNION ALL
    SELECT customer_id, first + 1 AS place, 0 AS own, each AS onward FROM shares WHERE n > 2
    UNION ALL
    SELECT customer_id, last AS place, 0 AS own, -each AS onward FROM shares WHERE n > 2
),

at_touch AS (
    SELECT customer_id, place, sum(own) AS own, sum(onward) AS onward
    FROM changes
    GROUP BY customer_id, place
),

credits AS (
    SELECT
        t.channel,
        coalesce(c.own, 0)
            + coalesce(sum(c.onward) OVER (PARTITION BY t.customer_id ORDER BY t.place ROWS UNBOUNDED PRECEDING), 0) AS credit
    FROM touches AS t LEFT JOIN at_touch AS c ON t.customer_id = c.customer_id AND t.place = c.place
    UNION ALL
    SELECT '(unattributed)' AS channel, amount AS credit FROM windows WHERE n IS NULL OR n <= 0
)

SELECT channel, CAST(sum(credit) AS DECIMAL(34, 0)) * CAST(0.0001 AS DECIMAL(4, 4)) AS revenue
FROM credits
GROUP BY channel
ORDER BY channel
