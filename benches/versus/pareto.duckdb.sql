-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
WITH totals AS (
    SELECT customer_id, sum(net_sales) AS total
    FROM {orders}
    WHERE customer_id IS NOT NULL AND net_sales IS NOT NULL
    GROUP BY customer_id
),

running AS (
    SELECT
        total,
        rank() OVER (ORDER BY total DESC) AS nth,
        count(*) OVER (ORDER BY total DESC) AS down_to,
        sum(greatest(total, 0)) OVER (ORDER BY total DESC) AS so_far,
        sum(greatest(total, 0)) OVER () AS whole
    FROM totals
),

placed AS (
    SELECT
        *,
        total > 0 AND (so_far - (down_to - nth + 1) * greatest(total, 0)) * 10 < whole * 8 AS is_head
    FROM running
)

SELECT
    count(*) AS items,
    count(*) FILTER (is_head) AS head_items,
    CAST(sum(total) FILTER (is_head) AS DECIMAL(38, 6)) AS head_value,
    max(nth) AS last_rank
FROM placed
