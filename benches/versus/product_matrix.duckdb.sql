-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- Costs as floats that are not rounded: enough to tell on which side of a median a product lies.
WITH weights AS (
    SELECT order_id, sum(quantity) AS units, sum(price * quantity - total_discount) AS paid
    FROM {shop_lines}
    GROUP BY order_id
),

skus AS (
    SELECT
        l.sku,
        sum(l.quantity) AS units,
        sum(l.price * l.quantity - l.total_discount) AS net,
        sum(CAST(o.pick_pack_cost + greatest(o.shipping_expense - o.shipping_cost, 0) AS DOUBLE) * l.quantity / w.units)
        + sum(CAST(o.payment_fee AS DOUBLE) * (l.price * l.quantity - l.total_discount) / w.paid) AS shared
    FROM {shop_lines} AS l
    INNER JOIN {shop_orders} AS o ON l.order_id = o.order_id
    INNER JOIN weights AS w ON l.order_id = w.order_id
    GROUP BY l.sku
),

margins AS (
    SELECT
        s.units, s.net,
        (
            s.net - s.units * (p.unit_cost_amount + p.packaging_cost + p.inbound_cost)
            - s.shared - 1000000 * CAST(s.net AS DOUBLE) / sum(s.net) OVER ()
        ) / s.units AS margin
    FROM skus AS s
    INNER JOIN {shop_products} AS p ON s.sku = p.sku
),

limits AS (
    SELECT quantile_cont(units, 0.5) AS units, quantile_cont(margin, 0.5) AS margin
    FROM margins
)

SELECT
    CASE
        WHEN m.units >= l.units AND m.margin >= l.margin THEN 'cash_cow'
        WHEN m.units >= l.units THEN 'urgent_optimisation'
        WHEN m.margin >= l.margin THEN 'premium_niche'
        ELSE 'stop_or_pivot'
    END AS quadrant,
    count(*) AS products,
    CAST(sum(m.units) AS BIGINT) AS net_units,
    sum(m.net) AS net_revenue
FROM margins AS m CROSS JOIN limits AS l
GROUP BY quadrant
ORDER BY quadrant
