-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    What each order earned: its lines less discounts and refunds, less what the units that stayed sold cost to buy, to
--          pack and to bring in. The first margin (cm1) of sku_true_cost, by order: where no cost is missing, no bundle is sold
--          and no landed invoice takes the place of inbound_cost, the two add up to the same.
--          A cost that is unknown makes the order's margin NULL, never 0. Write inbound_cost => 0 where there is none.
--          Every order that has lines stands here, test and cancelled orders too: who reads it says which count.
-- reads    orders(order_id ANY, created_timestamp TIMESTAMP) the orders; an order_id that stands twice counts once, on its first day
-- reads    order_lines(order_line_id ANY?, order_id ANY, sku ANY, quantity INTEGER, price NUMERIC, total_discount NUMERIC?, is_gift_card BOOLEAN?) the lines; a negative quantity is a return
-- reads    products(sku ANY, unit_cost_amount NUMERIC?, packaging_cost NUMERIC?, inbound_cost NUMERIC?) what one unit costs today
-- reads    product_costs?(sku ANY, valid_from DATE, valid_to DATE?, unit_cost_amount NUMERIC) what one unit cost when; of overlapping
--          rows the one that began last holds, and outside of all the cost in products
-- reads    returns?(order_line_id ANY, refunded_quantity INTEGER, subtotal NUMERIC) the returned lines
-- param    exclude_gift_cards BOOLEAN whether gift cards sold are no revenue: they are a debt until they are redeemed
-- returns  order_id ANY the order
-- returns  net_revenue NUMERIC price times quantity, less discounts and refunds
-- returns  purchase_cost NUMERIC units that stayed sold at the supplier price of the day; NULL where one is unknown
-- returns  inbound_packaging NUMERIC their packaging and their way to the warehouse; NULL where one is unknown
-- returns  margin NUMERIC net revenue less both; NULL where one is unknown
-- returns  unknown_lines BIGINT lines of which a cost is unknown
-- grain    one row per order
-- source   contribution margin 1 as in sku_true_cost. One pass over the lines, O(lines); memory O(orders + skus * days).
-- example  SELECT count(*) AS orders, count(margin) AS known, sum(net_revenue) AS net_revenue, sum(margin) AS margin FROM order_margins()
CREATE MACRO order_margins(
    orders := orders,
    order_lines := order_lines,
    products := products,
    product_costs := product_costs,
    returns := returns,
    exclude_gift_cards := true
) AS TABLE
WITH placed AS (
    SELECT order_id, CAST(min(created_timestamp) AS DATE) AS day
    FROM orders
    WHERE order_id IS NOT NULL
    GROUP BY order_id
),

returned AS (
    SELECT
        order_line_id,
        sum(CAST(refunded_quantity AS BIGINT)) AS units,
        sum(CAST(subtotal AS DECIMAL(18, 4))) AS amount
    FROM returns
    WHERE order_line_id IS NOT NULL
    GROUP BY order_line_id
),

sold AS (
    SELECT
        l.order_id, l.sku,
        l.units - coalesce(r.units, 0) AS units,
        CASE
            WHEN l.units IS NULL OR l.paid IS NULL
                THEN raise('a line has no quantity or no price: mend order_lines, or leave the line out')
            WHEN exclude_gift_cards AND l.is_gift_card IS TRUE THEN CAST(0 AS DECIMAL(18, 4))
            ELSE l.paid - coalesce(r.amount, 0)
        END AS net
    FROM returned AS r
    RIGHT JOIN (
        SELECT
            order_line_id, order_id, sku, is_gift_card,
            CAST(quantity AS BIGINT) AS units,
            CAST(
                CAST(price AS DECIMAL(18, 4)) * quantity - coalesce(CAST(total_discount AS DECIMAL(18, 4)), 0) AS DECIMAL(18, 4)
            ) AS paid
        FROM order_lines
    ) AS l ON r.order_line_id = l.order_line_id
),

-- What a product's units of an order were worth; costs are looked up once a product and day below.
order_skus AS (
    SELECT
        s.order_id, s.sku, p.day,
        sum(s.units) AS units,
        sum(s.net) AS net,
        count(*) AS lines
    FROM placed AS p
    INNER JOIN sold AS s ON p.order_id = s.order_id
    GROUP BY s.order_id, s.sku, p.day
),

dated AS (
    SELECT
        d.sku, d.day,
        first_value(c.unit_cost_amount ORDER BY c.valid_from DESC, c.unit_cost_amount DESC) AS cost
    FROM product_costs AS c
    INNER JOIN (SELECT sku, day FROM order_skus GROUP BY sku, day) AS d
        ON c.sku = d.sku AND c.valid_from <= d.day AND (c.valid_to IS NULL OR c.valid_to >= d.day)
    GROUP BY d.sku, d.day
),

listed AS (
    SELECT
        sku,
        max(CAST(unit_cost_amount AS DECIMAL(18, 4))) AS cost,
        max(CAST(packaging_cost AS DECIMAL(18, 4))) AS packaging,
        max(CAST(inbound_cost AS DECIMAL(18, 4))) AS inbound
    FROM products
    GROUP BY sku
),

costed AS (
    SELECT
        s.order_id, s.net, s.lines,
        CASE WHEN s.units = 0 THEN 0 ELSE s.units * CAST(coalesce(dated.cost, listed.cost) AS DECIMAL(18, 4)) END AS purchase,
        CASE WHEN s.units = 0 THEN 0 ELSE s.units * (listed.packaging + listed.inbound) END AS inbound
    FROM listed
    RIGHT JOIN order_skus AS s ON listed.sku = s.sku
    LEFT JOIN dated ON s.sku = dated.sku AND s.day = dated.day
),

added AS (
    SELECT
        order_id,
        CAST(sum(net) AS DECIMAL(18, 4)) AS net_revenue,
        CAST(CASE WHEN count(purchase) = count(*) THEN sum(purchase) END AS DECIMAL(18, 4)) AS purchase_cost,
        CAST(CASE WHEN count(inbound) = count(*) THEN sum(inbound) END AS DECIMAL(18, 4)) AS inbound_packaging,
        sum(CASE WHEN purchase IS NULL OR inbound IS NULL THEN lines ELSE 0 END) AS unknown_lines
    FROM costed
    GROUP BY order_id
)

SELECT
    order_id,
    net_revenue,
    purchase_cost,
    inbound_packaging,
    CAST(net_revenue - purchase_cost - inbound_packaging AS DECIMAL(18, 4)) AS margin,
    unknown_lines
FROM added
