-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    What each order is worth to the shop: gross sales less discounts, returns and gift cards sold, without tax
--          and shipping; without test orders and cancelled orders. Analyses that read orders read them through this one.
--          An order-level relation that has a column net_sales is taken at its word: nothing more is subtracted.
-- param    revenue_basis VARCHAR 'net_sales'|'gross_sales'|'total_price'|'margin' the amount that stands in net_sales: net sales;
--          the lines before discounts and returns; what the customer paid, tax and shipping included; what order_margins says
-- param    tz VARCHAR the time zone of the shop, such as 'Europe/Paris': created_timestamp, which is UTC, is told in its
--          wall-clock time, and so are days, weeks and as_of
-- param    grain VARCHAR 'order'|'line' what a row of orders is; lines of one order_id and customer are added up, and the
--          order's time is its first line's
-- param    include_tests BOOLEAN whether test orders count
-- param    exclude_cancelled BOOLEAN whether cancelled orders are left out
-- param    exclude_gift_cards BOOLEAN whether gift cards sold are left out: they are a debt until they are redeemed
-- param    keep_excluded BOOLEAN whether orders that do not count are kept, with the reason in exclusion
-- param    to_currency VARCHAR the currency that amounts are turned into with fx_rates; NULL leaves them, and then orders
--          in more than one currency are an error
-- reads    orders(order_id ANY?, customer_id ANY, created_timestamp TIMESTAMP, net_sales NUMERIC, gross_sales NUMERIC?, total_price NUMERIC?, refund_subtotal NUMERIC?, cancelled_timestamp TIMESTAMP?, is_test_order BOOLEAN?, currency VARCHAR?, guest_key ANY?) the orders; guest_key is a
--          column, such as email, that stands for the customer of an order without customer_id
-- column   net_sales = subtotal_price | total_line_items_price - coalesce(total_discounts, 0)
-- column   gross_sales = total_line_items_price
-- alias    order_id: id, order, order_number, commande, numero_commande, invoiceno, invoice_no, invoice, transaction_id
-- alias    customer_id: client, client_id, customer, customerid, user_id, id_client, customer_unique_id
-- alias    created_timestamp: created_at, order_date, date, date_commande, date_cmd, invoicedate, order_purchase_timestamp, ordered_at, timestamp
-- alias    net_sales: total, amount, revenue, montant, montant_ht, dollar_value, value, net, sales, price, total_price
-- reads    order_lines?(order_line_id ANY?, order_id ANY, quantity NUMERIC, price NUMERIC, total_discount NUMERIC?, is_gift_card BOOLEAN?) the lines, for the gift cards among them
-- reads    returns?(order_line_id ANY?, order_id ANY, subtotal NUMERIC) the returned lines, where orders has no refund_subtotal
-- reads    order_margins?(margin_order_id ANY, margin NUMERIC) what each order earned, for the basis margin: order_margins() or your own; an
--          order that counts and has none there is an error
-- column   margin_order_id = order_id
-- reads    fx_rates?(date DATE, from_currency VARCHAR, to_currency_code VARCHAR, rate NUMERIC) what one unit of a currency is worth, a day
-- column   from_currency = "from"
-- column   to_currency_code = "to"
-- returns  order_id ANY the order
-- returns  customer_id ANY who bought; NULL for a guest
-- returns  created_timestamp TIMESTAMP when the order was placed
-- returns  net_sales NUMERIC what the order is worth, on the revenue basis, in its currency or in to_currency
-- returns  currency VARCHAR the currency of net_sales; NULL where orders has none
-- returns  exclusion VARCHAR why the order does not count: test or cancelled; NULL when it counts
-- grain    one row per order that counts; an order that orders holds twice stands here twice
-- groups   currency, exclusion
-- source   dbt_shopify's definition of net sales: gross sales less discounts less returns
-- example  SELECT count(*) AS orders, sum(net_sales) AS net_sales FROM net_sales()
CREATE MACRO net_sales(
    orders := orders,
    order_lines := order_lines,
    returns := returns,
    fx_rates,
    order_margins,
    revenue_basis := 'net_sales',
    tz := 'UTC',
    grain := 'order',
    include_tests := false,
    exclude_cancelled := true,
    exclude_gift_cards := true,
    keep_excluded := false,
    to_currency := NULL
) AS TABLE
WITH refunds AS (
    -- Only where neither a net amount nor a refund stands in the order itself.
    SELECT order_id, sum(subtotal) AS refunded
    FROM returns
    WHERE revenue_basis = 'net_sales' AND NOT given(net_sales) AND NOT given(refund_subtotal)
    GROUP BY order_id
    -- What changes nothing is left out, and the planner sees that this is the small side.
    HAVING sum(subtotal) <> 0
),

returned_lines AS (
    SELECT order_line_id, sum(subtotal) AS refunded
    FROM returns
    WHERE given(order_line_id) AND given(returns_order_line_id) AND revenue_basis = 'net_sales'
    GROUP BY order_line_id
),

margins AS (
    SELECT margin_order_id, sum(margin) AS margin, count(*) - count(margin) AS unknown
    FROM order_margins
    WHERE revenue_basis = 'margin'
    GROUP BY margin_order_id
),

gift_cards AS (
    -- A gift card that came back is already among the refunds.
    SELECT
        order_lines.order_id,
        sum(
            order_lines.price * order_lines.quantity
            - CASE WHEN revenue_basis = 'gross_sales' THEN 0 ELSE coalesce(order_lines.total_discount, 0) END
            - coalesce(returned_lines.refunded, 0)
        ) AS sold
    FROM order_lines
    LEFT JOIN returned_lines ON order_lines.order_line_id = returned_lines.order_line_id
    WHERE
        order_lines.is_gift_card
        AND exclude_gift_cards
        AND NOT given(net_sales)
        AND revenue_basis <> 'margin'
    GROUP BY order_lines.order_id
    HAVING sold <> 0
),

read_rows AS (
    SELECT
        order_id,
        CASE WHEN given(guest_key) THEN coalesce(customer_id, guest_key) ELSE customer_id END AS customer_id,
        local_time(created_timestamp, tz) AS created_timestamp,
        CASE
            WHEN revenue_basis = 'gross_sales' AND given(gross_sales) THEN gross_sales
            WHEN revenue_basis = 'gross_sales'
                THEN raise('revenue_basis gross_sales needs the column gross_sales or total_line_items_price')
            WHEN revenue_basis = 'total_price' AND given(total_price) THEN total_price
            WHEN revenue_basis = 'total_price' THEN raise('revenue_basis total_price needs the column total_price')
            WHEN given(refund_subtotal) AND NOT given(net_sales) THEN net_sales - coalesce(refund_subtotal, 0)
            ELSE net_sales
        END AS amount,
        currency,
        CAST(CASE
            WHEN is_test_order AND NOT include_tests THEN 'test'
            WHEN cancelled_timestamp IS NOT NULL AND exclude_cancelled THEN 'cancelled'
        END AS VARCHAR) AS exclusion
    FROM orders
    WHERE
        keep_excluded
        OR (
            (include_tests OR is_test_order IS NOT TRUE)
            AND (NOT exclude_cancelled OR cancelled_timestamp IS NULL)
        )
),

orders_that_count AS (
    SELECT order_id, customer_id, created_timestamp, amount, currency, exclusion
    FROM read_rows
    WHERE grain = 'order'
    UNION ALL
    SELECT
        order_id, customer_id, min(created_timestamp) AS created_timestamp, sum(amount) AS amount, min(currency) AS currency,
        min(exclusion) AS exclusion
    FROM read_rows
    WHERE grain = 'line'
    GROUP BY order_id, customer_id
),

-- The small sides stand on the left, where a join keeps its table.
refunded AS (
    SELECT
        o.order_id,
        o.customer_id,
        o.created_timestamp,
        CASE
            WHEN given(net_sales) OR given(refund_subtotal) OR revenue_basis <> 'net_sales' OR NOT given(subtotal) THEN o.amount
            ELSE o.amount - coalesce(refunds.refunded, 0)
        END AS amount,
        o.currency,
        o.exclusion
    FROM refunds
    RIGHT JOIN orders_that_count AS o ON refunds.order_id = o.order_id
),

priced AS (
    SELECT
        r.order_id,
        r.customer_id,
        r.created_timestamp,
        CASE
            WHEN given(net_sales) OR NOT exclude_gift_cards OR NOT given(is_gift_card) THEN r.amount
            WHEN given(order_line_id) AND given(returns_order_line_id) THEN r.amount - coalesce(gift_cards.sold, 0)
            -- Without line ids nobody knows whether a refund was the gift card's: it takes away no more than is left.
            ELSE r.amount - least(coalesce(gift_cards.sold, 0), greatest(r.amount, 0))
        END AS amount,
        r.currency,
        r.exclusion
    FROM gift_cards
    RIGHT JOIN refunded AS r ON gift_cards.order_id = r.order_id
),

earned AS (
    SELECT
        p.order_id,
        p.customer_id,
        p.created_timestamp,
        CASE
            WHEN revenue_basis <> 'margin' THEN p.amount
            WHEN NOT given(order_margins)
                THEN raise('revenue_basis margin needs order_margins: order_margins => order_margins(), or order_id and margin of your own')
            WHEN NOT given(order_id) THEN raise('revenue_basis margin needs the column order_id')
            WHEN margins.unknown = 0 THEN margins.margin
            WHEN p.exclusion IS NULL
                THEN raise('an order that counts has no margin: fill it, as in order_margins => (SELECT order_id, coalesce(margin, 0.4 * net_revenue) AS margin FROM order_margins())')
        END AS amount,
        p.currency,
        p.exclusion
    FROM margins
    RIGHT JOIN priced AS p ON margins.margin_order_id = p.order_id
),

exchanged AS (
    SELECT
        p.order_id,
        p.customer_id,
        p.created_timestamp,
        CASE
            WHEN to_currency IS NULL AND NOT given(currency) THEN p.amount
            WHEN to_currency IS NULL THEN CASE
                WHEN p.currency IS NOT DISTINCT FROM (SELECT min(currency) FROM read_rows) THEN p.amount
                ELSE raise('orders are in more than one currency: give to_currency and fx_rates, or filter one currency')
            END
            WHEN NOT given(currency) THEN raise('to_currency needs the column currency')
            WHEN p.currency = to_currency THEN p.amount
            WHEN fx_rates.rate IS NOT NULL THEN p.amount * fx_rates.rate
            ELSE raise('an order''s currency has no rate to to_currency on its day: give fx_rates that cover it')
        END AS amount,
        CASE WHEN to_currency IS NULL THEN p.currency ELSE to_currency END AS currency,
        p.exclusion
    FROM (SELECT * FROM fx_rates WHERE to_currency_code = to_currency AND to_currency IS NOT NULL) AS fx_rates
    RIGHT JOIN earned AS p
        ON fx_rates.from_currency = p.currency AND fx_rates.date = CAST(p.created_timestamp AS DATE)
)

SELECT order_id, customer_id, created_timestamp, amount AS net_sales, currency, exclusion
FROM exchanged
