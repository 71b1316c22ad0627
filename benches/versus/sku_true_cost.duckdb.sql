-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- The same components without returns, stock and ad spend, in whole ten thousandths; the pools by largest remainder.
WITH orders AS (
    SELECT
        order_id,
        CAST(10000 * (pick_pack_cost + greatest(shipping_expense - shipping_cost, 0)) AS HUGEINT) AS fulfillment,
        CAST(10000 * payment_fee AS HUGEINT) AS fee
    FROM {shop_orders}
),

weights AS (
    SELECT
        order_id,
        sum(quantity) AS units,
        CAST(10000 * sum(price * quantity - total_discount) AS HUGEINT) AS paid
    FROM {shop_lines}
    GROUP BY order_id
),

skus AS (
    SELECT
        l.sku,
        sum(l.quantity) AS units,
        sum(l.price * l.quantity - l.total_discount) AS net,
        sum(o.fulfillment * l.quantity * 10000000000 // w.units) AS fulfillment,
        sum(o.fee * CAST(10000 * (l.price * l.quantity - l.total_discount) AS HUGEINT) * 10000000000 // w.paid) AS fee,
        CAST(10000 * sum(l.price * l.quantity - l.total_discount) AS HUGEINT) AS weight
    FROM {shop_lines} AS l
    INNER JOIN orders AS o ON l.order_id = o.order_id
    INNER JOIN weights AS w ON l.order_id = w.order_id
    GROUP BY l.sku
),

totals AS (
    SELECT
        CAST(round(sum(fulfillment) / 10000000000.0) AS HUGEINT) AS fulfillment,
        CAST(round(sum(fee) / 10000000000.0) AS HUGEINT) AS fee,
        CAST(sum(fulfillment) AS HUGEINT) AS fulfillment_weight,
        CAST(sum(fee) AS HUGEINT) AS fee_weight,
        CAST(sum(weight) AS HUGEINT) AS weight
    FROM skus
),

shares AS (
    SELECT
        s.*,
        t.fulfillment * s.fulfillment // t.fulfillment_weight AS f, t.fulfillment * s.fulfillment % t.fulfillment_weight AS f_rest,
        t.fee * s.fee // t.fee_weight AS p, t.fee * s.fee % t.fee_weight AS p_rest,
        10000000000 * s.weight // t.weight AS o, 10000000000 * s.weight % t.weight AS o_rest,
        t.fulfillment AS f_all, t.fee AS p_all
    FROM skus AS s CROSS JOIN totals AS t
),

rounded AS (
    SELECT
        *,
        f + CAST(row_number() OVER (ORDER BY f_rest DESC, sku DESC) <= f_all - sum(f) OVER () AS INTEGER) AS f_part,
        p + CAST(row_number() OVER (ORDER BY p_rest DESC, sku DESC) <= p_all - sum(p) OVER () AS INTEGER) AS p_part,
        o + CAST(row_number() OVER (ORDER BY o_rest DESC, sku DESC) <= 10000000000 - sum(o) OVER () AS INTEGER) AS o_part
    FROM shares
)

SELECT
    r.sku,
    CAST(r.units AS BIGINT) AS net_units,
    CAST(r.net AS DECIMAL(18, 4)) AS net_revenue,
    CAST(r.units * p.unit_cost_amount AS DECIMAL(18, 4)) AS purchase_cost,
    CAST(r.units * (p.packaging_cost + p.inbound_cost) AS DECIMAL(18, 4)) AS inbound_packaging,
    CAST(CAST(r.f_part AS DECIMAL(30, 4)) / 10000 AS DECIMAL(18, 4)) AS fulfillment,
    CAST(CAST(r.p_part AS DECIMAL(30, 4)) / 10000 AS DECIMAL(18, 4)) AS payment_fees,
    CAST(CAST(r.o_part AS DECIMAL(30, 4)) / 10000 AS DECIMAL(18, 4)) AS overhead
FROM rounded AS r
INNER JOIN {shop_products} AS p ON r.sku = p.sku
ORDER BY r.sku
