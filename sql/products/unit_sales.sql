-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    What was sold of each sku, line by line: units, the price of one before and after discount, and the day; without
--          test orders, cancelled orders and gift cards. Analyses of prices and quantities read their sales through this
--          one. Sales that have a date of their own are taken at their word: no order is looked up.
--          Lines with a negative quantity are returns and are left out, and so are lines whose order is not there.
-- param    include_tests BOOLEAN whether test orders count
-- param    exclude_cancelled BOOLEAN whether cancelled orders are left out
-- param    exclude_gift_cards BOOLEAN whether gift cards sold are left out
-- param    subtract_returns BOOLEAN whether units that came back are taken off the quantity of their line; what was asked
--          for is what was sold, so that by default they are not
-- param    tz VARCHAR the time zone of the shop, such as 'Europe/Paris': the times of orders, which are UTC, are told in its
--          wall-clock time; a date that the sales themselves have stays as it is
-- param    as_of TIMESTAMP the moment after which sales do not count; NULL counts all
-- reads    sales(order_line_id ANY?, order_id ANY?, sku ANY, date TIMESTAMP?, quantity NUMERIC, price NUMERIC, total_discount NUMERIC?, is_gift_card BOOLEAN?, promo BOOLEAN?) the lines of orders, or any relation of sales
-- alias    sku: product, product_id, variant_id, reference, ref, article, stockcode, stock_code, item, brand
-- alias    date: day, week, created_at, order_date, invoicedate, date_commande
-- alias    quantity: sales, units, qty, quantite, units_sold, volume
-- alias    price: unit_price, unitprice, prix, prix_unitaire, averageprice, price_each
-- reads    orders?(order_id ANY, created_timestamp TIMESTAMP, is_test_order BOOLEAN?, cancelled_timestamp TIMESTAMP?, currency VARCHAR?) the orders of the lines, for the time and for what does not count
-- reads    returns?(order_line_id ANY?, refunded_quantity NUMERIC) the returned lines
-- returns  order_id ANY the order; NULL where sales have none
-- returns  sku ANY the sku sold
-- returns  date TIMESTAMP when; NULL where sales have neither a date nor an order
-- returns  quantity NUMERIC the units
-- returns  price NUMERIC the price of one before discount
-- returns  net_sales NUMERIC what the line was worth after discount
-- returns  net_price DOUBLE the price of one after discount
-- returns  promo BOOLEAN whether the relation says that it was sold in a promotion; NULL where it does not say
-- returns  currency VARCHAR the currency of the prices; NULL where nothing says
-- grain    one row per line of an order that counts
-- groups   sku, promo, currency
-- source   net sales as dbt_shopify defines them, a line at a time: price times quantity less discount
-- example  SELECT sku, sum(quantity) AS units, sum(net_sales) AS net_sales FROM unit_sales() GROUP BY sku ORDER BY units DESC LIMIT 10
CREATE MACRO unit_sales(
    sales := order_lines,
    orders := orders,
    returns := returns,
    include_tests := false,
    exclude_cancelled := true,
    exclude_gift_cards := true,
    subtract_returns := false,
    tz := 'UTC',
    as_of := NULL
) AS TABLE
WITH lines AS (
    -- The order says when, and whether the line counts at all.
    SELECT
        s.order_line_id, s.order_id, s.sku, local_time(o.created_timestamp, tz) AS date, s.quantity, s.price,
        coalesce(s.total_discount, 0) AS discount, s.promo, o.currency
    FROM (
        SELECT order_id, created_timestamp, currency
        FROM orders
        WHERE
            (include_tests OR is_test_order IS NOT TRUE)
            AND (NOT exclude_cancelled OR cancelled_timestamp IS NULL)
    ) AS o
    INNER JOIN sales AS s ON o.order_id = s.order_id
    WHERE
        given(order_id) AND NOT given(date)
        AND s.quantity >= 0
        AND (NOT exclude_gift_cards OR s.is_gift_card IS NOT TRUE)
    UNION ALL
    SELECT
        order_line_id, order_id, sku, date, quantity, price,
        coalesce(total_discount, 0) AS discount, promo, CAST(NULL AS VARCHAR) AS currency
    FROM sales
    WHERE
        NOT (given(order_id) AND NOT given(date))
        AND quantity >= 0
        AND (NOT exclude_gift_cards OR is_gift_card IS NOT TRUE)
),

returned AS (
    SELECT order_line_id, sum(refunded_quantity) AS units
    FROM returns
    WHERE subtract_returns
    GROUP BY order_line_id
),

kept AS (
    SELECT order_line_id, order_id, sku, date, quantity, price, discount, quantity AS bought, promo, currency
    FROM lines
    WHERE NOT subtract_returns
    UNION ALL
    -- The small side stands on the left, where a join keeps its table. What was paid for a unit stays what it was.
    SELECT
        l.order_line_id, l.order_id, l.sku, l.date, greatest(l.quantity - coalesce(returned.units, 0), 0) AS quantity, l.price, l.discount,
        l.quantity AS bought, l.promo, l.currency
    FROM returned
    RIGHT JOIN lines AS l ON returned.order_line_id = l.order_line_id
    WHERE subtract_returns
)

SELECT
    order_id,
    sku,
    date,
    quantity,
    price,
    CASE WHEN quantity = bought THEN price * quantity - discount ELSE (price * bought - discount) * quantity / bought END AS net_sales,
    CASE
        WHEN bought = 0 THEN CAST(price AS DOUBLE) - CAST(discount AS DOUBLE)
        ELSE CAST(price AS DOUBLE) - CAST(discount AS DOUBLE) / CAST(bought AS DOUBLE)
    END AS net_price,
    promo,
    currency
FROM kept
WHERE as_of IS NULL OR date <= as_of
