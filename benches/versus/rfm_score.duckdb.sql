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

-- The score of x is 1 + floor(5 * #{y < x} / n): it is above j where x is greater than the value at place ceil(j * n / 5),
-- which is what quantile_disc gives.
cuts AS (
    SELECT
        quantile_disc(-recency_days, [0.2, 0.4, 0.6, 0.8]) AS r,
        quantile_disc(frequency, [0.2, 0.4, 0.6, 0.8]) AS f,
        quantile_disc(monetary, [0.2, 0.4, 0.6, 0.8]) AS m
    FROM measures
    WHERE frequency > 0
),

scored AS (
    SELECT
        customer_id, recency_days, frequency, monetary,
        CASE WHEN frequency > 0 THEN 1
            + CAST(-recency_days > cuts.r[1] AS INTEGER) + CAST(-recency_days > cuts.r[2] AS INTEGER)
            + CAST(-recency_days > cuts.r[3] AS INTEGER) + CAST(-recency_days > cuts.r[4] AS INTEGER)
        END AS r,
        CASE WHEN frequency > 0 THEN 1
            + CAST(frequency > cuts.f[1] AS INTEGER) + CAST(frequency > cuts.f[2] AS INTEGER)
            + CAST(frequency > cuts.f[3] AS INTEGER) + CAST(frequency > cuts.f[4] AS INTEGER)
        END AS f,
        CASE WHEN frequency > 0 THEN 1
            + CAST(monetary > cuts.m[1] AS INTEGER) + CAST(monetary > cuts.m[2] AS INTEGER)
            + CAST(monetary > cuts.m[3] AS INTEGER) + CAST(monetary > cuts.m[4] AS INTEGER)
        END AS m
    FROM measures CROSS JOIN cuts
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
