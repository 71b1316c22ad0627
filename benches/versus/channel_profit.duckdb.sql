-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- The channel of the first touch before the first order, and what a customer brought within a year of it.
WITH sales AS (
    SELECT customer_id, created_timestamp, net_sales
    FROM {orders}
    QUALIFY row_number() OVER (PARTITION BY order_id, customer_id ORDER BY created_timestamp DESC, net_sales DESC) = 1
),

firsts AS (
    SELECT customer_id, min(created_timestamp) AS first_order
    FROM sales
    WHERE net_sales > 0
    GROUP BY customer_id
),

acquired AS (
    SELECT
        f.customer_id,
        f.first_order,
        f.first_order + INTERVAL 8766 HOUR <= (SELECT max(created_timestamp) FROM {orders}) AS is_mature,
        coalesce(arg_min(t.channel, (t.event_timestamp, t.touchpoint_id)), '(unattributed)') AS channel
    FROM firsts AS f
    LEFT JOIN {touchpoints} AS t
        ON f.customer_id = t.customer_id AND t.event_timestamp BETWEEN f.first_order - INTERVAL 30 DAY AND f.first_order
    GROUP BY f.customer_id, f.first_order
),

brought AS (
    SELECT a.channel, a.is_mature, sum(s.net_sales) AS revenue
    FROM acquired AS a
    INNER JOIN sales AS s ON a.customer_id = s.customer_id
    WHERE s.net_sales > 0 AND s.created_timestamp < a.first_order + INTERVAL 8766 HOUR
    GROUP BY a.channel, a.is_mature, a.customer_id
)

SELECT
    channel,
    count(*) AS new_customers,
    count(*) FILTER (WHERE is_mature) AS mature_customers,
    CAST(round(CAST(sum(revenue) FILTER (WHERE is_mature) AS DOUBLE) / count(*) FILTER (WHERE is_mature), 4) AS DECIMAL(18, 4)) AS ltv_revenue
FROM brought
GROUP BY channel
ORDER BY channel
