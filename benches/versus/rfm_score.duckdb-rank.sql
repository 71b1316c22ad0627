-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
WITH once AS (
    SELECT customer_id, created_timestamp, net_sales
    FROM {orders}
    WHERE customer_id IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY order_id, customer_id ORDER BY created_timestamp DESC, net_sales DESC
    ) = 1
),

customers AS (
    SELECT
        customer_id,
        max(created_timestamp) FILTER (net_sales > 0) AS last_order_at,
        count(*) FILTER (net_sales > 0) AS frequency,
        sum(net_sales) AS monetary
    FROM once
    GROUP BY customer_id
),

measures AS (
    SELECT
        customer_id,
        CAST(
            (epoch_us((SELECT max(created_timestamp) FROM {orders})) - epoch_us(last_order_at)) // 86400000000 AS INTEGER
        ) AS recency_days,
        frequency,
        monetary
    FROM customers
),

scored AS (
    SELECT
        customer_id, recency_days, frequency, monetary,
        1 + 5 * (rank() OVER (ORDER BY recency_days DESC) - 1) // count(*) OVER () AS r,
        1 + 5 * (rank() OVER (ORDER BY frequency) - 1) // count(*) OVER () AS f,
        1 + 5 * (rank() OVER (ORDER BY monetary) - 1) // count(*) OVER () AS m
    FROM measures
    WHERE frequency > 0
    UNION ALL
    SELECT customer_id, recency_days, frequency, monetary, NULL AS r, NULL AS f, NULL AS m
    FROM measures
    WHERE frequency = 0
),

-- One row per customer, as rfm_score gives them.
rfm AS (
    SELECT
        customer_id, recency_days, frequency, monetary, r AS r_score, f AS f_score, m AS m_score,
        CASE
            WHEN frequency = 0 THEN NULL
            WHEN r = 1 AND f >= 4 AND m >= 4 THEN 'cant_lose_them'
            WHEN r = 1 AND f = 1 THEN 'lost'
            WHEN r <= 2 AND f + m >= 6 THEN 'at_risk'
            WHEN r <= 2 THEN 'hibernating'
            WHEN (r = 5 AND f >= 4 AND m >= 4) OR (r = 4 AND f = 5 AND m = 5) THEN 'champions'
            WHEN f >= 3 AND f + m >= 7 THEN 'loyal_customers'
            WHEN r >= 4 AND f = 1 THEN 'new_customers'
            ELSE 'potential_loyalists'
        END AS segment
    FROM scored
)

SELECT segment, count(*) AS customers, sum(monetary) AS monetary
FROM rfm
GROUP BY segment
ORDER BY segment
