-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    The proof that sku_true_cost lost no money, and what to know before trusting it: one row for each pool with what
--          was to be spread and what was spread, one for the agreement of its revenue with net_sales, and one for each
--          doubt: components that are missing or assumed, lines without orders, returns without lines, rows that stand twice.
-- reads    orders(order_id ANY, customer_id ANY?, created_timestamp TIMESTAMP, cancelled_timestamp TIMESTAMP?, is_test_order BOOLEAN?, currency VARCHAR?, channel VARCHAR?, payment_fee NUMERIC?, order_pick_pack NUMERIC?, shipping_expense NUMERIC?, shipping_cost NUMERIC?, guest_key ANY?, net_amount NUMERIC?, refund_subtotal NUMERIC?) the orders; an order_id
--          that stands twice counts once. channel is what won the customer with a first order: the last touch, unless mapped
-- column   order_pick_pack = pick_pack_cost
-- column   net_amount = subtotal_price | total_line_items_price - coalesce(total_discounts, 0)
-- reads    order_lines(order_line_id ANY?, order_id ANY, sku ANY, quantity INTEGER, price NUMERIC, total_discount NUMERIC?, is_gift_card BOOLEAN?) the lines; a negative quantity is a return
-- reads    products?(sku ANY, product_id ANY?, title VARCHAR?, unit_cost_amount NUMERIC?, packaging_cost NUMERIC?, inbound_cost NUMERIC?, weight_g NUMERIC?, volume_cm3 NUMERIC?, resale_rate NUMERIC?) the products and what one unit costs today
-- reads    product_costs?(sku ANY, valid_from DATE, valid_to DATE?, unit_cost_amount NUMERIC) what one unit cost when; of overlapping
--          rows the one that began last holds, and outside of all the cost in products
-- reads    returns?(order_line_id ANY, order_id ANY?, refunded_quantity INTEGER, subtotal NUMERIC, is_restocked BOOLEAN?, handling_cost NUMERIC?, return_shipping_cost NUMERIC?) the returned lines; their costs are of the row, not of a unit
-- reads    stock?(snapshot_date DATE, sku ANY, on_hand_quantity NUMERIC, unit_cost_amount NUMERIC?) the stock of the days that were counted; a product
--          that a counted day does not name had none, and below zero is none
-- column   on_hand_quantity = available_quantity
-- reads    ad_spend?(date_day DATE, channel VARCHAR, spend NUMERIC, cost_type VARCHAR?, currency VARCHAR?) what marketing cost
-- reads    costs?(date DATE, cost_type VARCHAR?, amount NUMERIC, allocation_key VARCHAR?) overhead, counted on its date; rows of the type inbound
--          are landed invoices and take the place of products' inbound_cost
-- reads    support_tickets?(sku ANY?, created_at TIMESTAMP, cost NUMERIC) tickets; those without a product stay unallocated
-- reads    bom?(bundle_sku ANY, sku ANY, quantity NUMERIC) what a bundle is made of
-- param    from_date DATE the first day of orders, stock, spend and costs; NULL is the first there is
-- param    to_date DATE the last day; NULL is the last there is
-- param    tz VARCHAR the time zone of the shop, such as 'Europe/Paris': orders and tickets, whose times are UTC, belong to the day of its wall clock
-- param    period VARCHAR 'all'|'month' one row per product, or one per product and month
-- param    storage_rate DOUBLE 0..10 what storing costs in a year as a share of the stock's value, such as 0.055
-- param    pick_pack_cost DECIMAL(18,4) picking and packing of an order that does not say it
-- param    returns_rate DOUBLE 0..1 returns and after-sales as a share of net revenue, where there is no returns table
-- param    overhead DECIMAL(18,4) overhead of each period, in place of the table costs, by overhead_key (row counts as revenue)
-- param    defaults VARCHAR 'none'|'playbook' playbook assumes what is unknown: storage 5.5 % a year, 1.75 an order for picking and
--          packing, returns 8.5 % of revenue; each is named in assumed_components
-- param    fulfillment_key VARCHAR 'quantity'|'revenue'|'half'|'equal' how an order's fulfilment is spread over its lines; half is
--          half in equal parts and half by quantity
-- param    inbound_key VARCHAR 'auto'|'weight'|'volume'|'quantity'|'revenue'|'equal' how landed invoices are spread; auto is weight
--          where all sold products have one, else volume, else quantity
-- param    overhead_key VARCHAR 'row'|'revenue'|'quantity'|'weight'|'volume'|'equal' how overhead is spread; row is the key that the row of costs names, revenue if none
-- param    cac_cost_types VARCHAR[] the types of ad spend that win customers, such as ['media']; NULL is all of them
-- param    unattributed_spend VARCHAR 'spread'|'leave' spend of a channel and month without a first order: spread over the first orders of the
--          period, or left unallocated and told by the checks
-- param    resale_basis VARCHAR 'rate'|'observed' what returned units lose: by the product's resale_rate, or by which were restocked; the
--          other where one is unknown
-- param    decimals INTEGER 0..4 to how many decimals pools are spread; what is left over goes to the largest remainders, among equals to the highest sku
-- param    include_tests BOOLEAN whether test orders count
-- param    exclude_cancelled BOOLEAN whether cancelled orders are left out
-- param    exclude_gift_cards BOOLEAN whether gift cards sold are no revenue: they are a debt until they are redeemed
-- returns  check VARCHAR what was looked at; pool_ before a pool
-- returns  severity VARCHAR info, warn or error
-- returns  affected BIGINT how many rows, orders or products it concerns; of a pool, those that it was spread over
-- returns  message VARCHAR what it means
-- returns  pool NUMERIC the money that was to be spread or is in doubt; NULL where it is not about money
-- returns  allocated NUMERIC the money that was spread
-- grain    one row per pool that there is, and one per doubt
-- source   the invariant of sku_true_cost: the products' shares of a pool add up to the pool
-- example  SELECT "check", severity, affected, pool, allocated FROM sku_true_cost_checks() ORDER BY "check"
CREATE MACRO sku_true_cost_checks(
    orders := orders,
    order_lines := order_lines,
    products := products,
    product_costs := product_costs,
    returns := returns,
    stock := stock,
    ad_spend := ad_spend,
    costs := costs,
    support_tickets := support_tickets,
    bom := bom,
    from_date := NULL,
    to_date := NULL,
    tz := 'UTC',
    period := 'all',
    storage_rate := NULL,
    pick_pack_cost := NULL,
    returns_rate := NULL,
    overhead := NULL,
    defaults := 'none',
    fulfillment_key := 'quantity',
    inbound_key := 'auto',
    overhead_key := 'row',
    cac_cost_types := NULL,
    unattributed_spend := 'spread',
    resale_basis := 'rate',
    decimals := 4,
    include_tests := false,
    exclude_cancelled := true,
    exclude_gift_cards := true
) AS TABLE
WITH skus AS (
    SELECT *
    FROM sku_true_cost(
        orders => orders,
        order_lines => order_lines,
        products => products,
        product_costs => product_costs,
        returns => returns,
        stock => stock,
        ad_spend => ad_spend,
        costs => costs,
        support_tickets => support_tickets,
        bom => bom,
        from_date => from_date,
        to_date => to_date,
        tz => tz,
        period => period,
        storage_rate => storage_rate,
        pick_pack_cost => pick_pack_cost,
        returns_rate => returns_rate,
        overhead => overhead,
        defaults => defaults,
        fulfillment_key => fulfillment_key,
        inbound_key => inbound_key,
        overhead_key => overhead_key,
        cac_cost_types => cac_cost_types,
        unattributed_spend => unattributed_spend,
        resale_basis => resale_basis,
        decimals => decimals,
        include_tests => include_tests,
        exclude_cancelled => exclude_cancelled,
        exclude_gift_cards => exclude_gift_cards,
        detail => true
    )
),

invoice_months AS (
    SELECT array_agg(DISTINCT CAST(date_trunc('month', date) AS DATE)) AS months
    FROM costs
    WHERE
        cost_type = 'inbound'
        AND (from_date IS NULL OR date >= from_date)
        AND (to_date IS NULL OR date <= to_date)
),

found AS (
    SELECT
        count(*) AS products,
        count(*) FILTER (WHERE units_sold > 0) AS sold_products,
        coalesce(sum(net_revenue), 0) AS revenue,
        coalesce(sum(fulfillment), 0) AS fulfillment,
        coalesce(sum(payment_fees), 0) AS fees,
        coalesce(sum(acquisition_marketing), 0) AS won,
        coalesce(sum(skus.overhead), 0) AS spread_overhead,
        -- In a month without invoices the products' own inbound cost stands there.
        coalesce(
            sum(inbound_cost) FILTER (WHERE period = 'all' OR array_has(months, CAST(date_trunc('month', period_start) AS DATE))), 0
        ) AS landed,
        count(*) FILTER (WHERE array_has(missing_components, 'purchase_cost')) AS no_purchase,
        count(*) FILTER (WHERE array_has(missing_components, 'inbound_packaging')) AS no_inbound,
        count(*) FILTER (WHERE array_has(missing_components, 'storage_cost')) AS no_storage,
        count(*) FILTER (WHERE array_has(missing_components, 'acquisition_marketing')) AS no_acquisition,
        count(*) FILTER (WHERE array_has(missing_components, 'fulfillment')) AS no_fulfillment,
        count(*) FILTER (WHERE array_has(missing_components, 'payment_fees')) AS no_fees,
        count(*) FILTER (WHERE array_has(missing_components, 'returns_sav')) AS no_returns,
        count(*) FILTER (WHERE array_has(missing_components, 'overhead')) AS no_overhead,
        count(*) FILTER (WHERE cardinality(assumed_components) > 0) AS assumed,
        count(*) FILTER (WHERE warnings LIKE '%negative_stock%') AS negative_stock,
        count(*) FILTER (WHERE warnings LIKE '%all_returned%') AS all_returned,
        count(*) FILTER (WHERE warnings LIKE '%not_in_products%') AS unlisted,
        count(*) FILTER (WHERE warnings LIKE '%_unknown%') AS without_size
    FROM invoice_months CROSS JOIN skus
),

line_orders AS (
    SELECT order_id, count(*) AS lines
    FROM order_lines
    GROUP BY order_id
),

order_rows AS (
    SELECT
        order_id,
        count(*) AS times,
        min(local_time(created_timestamp, tz)) AS placed_at,
        max(CASE WHEN given(guest_key) THEN coalesce(customer_id, guest_key) ELSE customer_id END) IS NULL AS is_guest,
        bool_or(is_test_order IS TRUE AND NOT include_tests) AS is_test,
        bool_or(cancelled_timestamp IS NOT NULL AND exclude_cancelled) AS is_cancelled,
        max(CAST(payment_fee AS DECIMAL(18, 4))) AS fee,
        coalesce(
            max(CAST(order_pick_pack AS DECIMAL(18, 4))),
            CASE
                WHEN pick_pack_cost IS NOT NULL THEN pick_pack_cost
                WHEN defaults = 'playbook' THEN CAST(1.75 AS DECIMAL(18, 4))
                ELSE CAST(NULL AS DECIMAL(18, 4))
            END
        ) + greatest(
            coalesce(max(CAST(shipping_expense AS DECIMAL(18, 4))), 0) - coalesce(max(CAST(shipping_cost AS DECIMAL(18, 4))), 0), 0
        ) AS fulfillment
    FROM orders
    WHERE order_id IS NOT NULL AND created_timestamp IS NOT NULL
    GROUP BY order_id
),

order_facts AS (
    SELECT
        count(*) FILTER (WHERE in_period AND is_test) AS tests,
        count(*) FILTER (WHERE in_period AND NOT is_test AND is_cancelled) AS cancelled,
        count(*) FILTER (WHERE in_period AND counts) AS orders,
        count(*) FILTER (WHERE in_period AND counts AND times > 1) AS duplicates,
        count(*) FILTER (WHERE in_period AND counts AND is_guest) AS guests,
        count(*) FILTER (WHERE in_period AND counts AND lines IS NULL) AS without_lines,
        sum(coalesce(fulfillment, 0) + coalesce(fee, 0)) FILTER (WHERE in_period AND counts AND lines IS NULL) AS stranded,
        coalesce(sum(fulfillment) FILTER (WHERE in_period AND counts), 0) AS fulfillment,
        coalesce(sum(fee) FILTER (WHERE in_period AND counts), 0) AS fees
    FROM (
        SELECT
            o.*,
            l.lines,
            NOT o.is_test AND NOT o.is_cancelled AS counts,
            (from_date IS NULL OR CAST(o.placed_at AS DATE) >= from_date)
            AND (to_date IS NULL OR CAST(o.placed_at AS DATE) <= to_date) AS in_period
        FROM line_orders AS l
        RIGHT JOIN order_rows AS o ON l.order_id = o.order_id
    ) AS joined
),

stray_lines AS (
    SELECT coalesce(sum(l.lines), 0) AS stray
    FROM line_orders AS l
    LEFT ANTI JOIN order_rows AS o ON l.order_id = o.order_id
),

line_ids AS (
    SELECT order_line_id, count(*) AS times
    FROM order_lines
    WHERE order_line_id IS NOT NULL
    GROUP BY order_line_id
),

line_facts AS (
    SELECT coalesce(sum(times - 1), 0) AS repeated
    FROM line_ids
    WHERE times > 1
),

stray_returns AS (
    SELECT count(*) AS stray, sum(CAST(r.subtotal AS DECIMAL(18, 4))) AS refunded
    FROM returns AS r
    LEFT ANTI JOIN line_ids AS l ON r.order_line_id = l.order_line_id
),

-- What orders say of themselves, where they do.
declared AS (
    SELECT order_id, max(net_sales) AS net_sales
    FROM net_sales(
        (
            SELECT order_id, customer_id, created_timestamp, cancelled_timestamp, is_test_order, net_amount AS subtotal_price, refund_subtotal
            FROM orders
        ),
        order_lines => order_lines,
        returns => returns,
        include_tests => include_tests,
        exclude_cancelled => exclude_cancelled,
        exclude_gift_cards => exclude_gift_cards,
        tz => tz
    )
    WHERE
        given(net_amount) AND given(refund_subtotal)
        AND (from_date IS NULL OR CAST(created_timestamp AS DATE) >= from_date)
        AND (to_date IS NULL OR CAST(created_timestamp AS DATE) <= to_date)
    GROUP BY order_id
    UNION ALL
    SELECT order_id, max(net_sales) AS net_sales
    FROM net_sales(
        (
            SELECT order_id, customer_id, created_timestamp, cancelled_timestamp, is_test_order, net_amount AS subtotal_price
            FROM orders
        ),
        order_lines => order_lines,
        returns => returns,
        include_tests => include_tests,
        exclude_cancelled => exclude_cancelled,
        exclude_gift_cards => exclude_gift_cards,
        tz => tz
    )
    WHERE
        given(net_amount) AND NOT given(refund_subtotal)
        AND (from_date IS NULL OR CAST(created_timestamp AS DATE) >= from_date)
        AND (to_date IS NULL OR CAST(created_timestamp AS DATE) <= to_date)
    GROUP BY order_id
),

declared_facts AS (
    SELECT count(*) AS orders, coalesce(sum(net_sales), 0) AS revenue
    FROM declared
),

spend_facts AS (
    SELECT
        count(*) AS n,
        coalesce(sum(CAST(spend AS DECIMAL(18, 4))) FILTER (WHERE counts), 0) AS spent,
        coalesce(sum(CAST(spend AS DECIMAL(18, 4))) FILTER (WHERE NOT counts), 0) AS other_types
    FROM (
        SELECT spend, cac_cost_types IS NULL OR coalesce(array_has(cac_cost_types, cost_type), false) AS counts
        FROM ad_spend
        WHERE (from_date IS NULL OR date_day >= from_date) AND (to_date IS NULL OR date_day <= to_date)
    ) AS spend_rows
),

cost_facts AS (
    SELECT
        count(*) FILTER (WHERE cost_type IS DISTINCT FROM 'inbound') AS n,
        count(*) FILTER (WHERE cost_type IS NOT DISTINCT FROM 'inbound') AS invoices,
        coalesce(sum(CAST(amount AS DECIMAL(18, 4))) FILTER (WHERE cost_type IS DISTINCT FROM 'inbound'), 0) AS overheads,
        coalesce(sum(CAST(amount AS DECIMAL(18, 4))) FILTER (WHERE cost_type IS NOT DISTINCT FROM 'inbound'), 0) AS invoiced
    FROM costs
    WHERE (from_date IS NULL OR date >= from_date) AND (to_date IS NULL OR date <= to_date)
),

ticket_facts AS (
    SELECT count(*) AS n, sum(CAST(cost AS DECIMAL(18, 4))) AS cost
    FROM support_tickets
    WHERE
        sku IS NULL
        AND (from_date IS NULL OR CAST(local_time(created_at, tz) AS DATE) >= from_date)
        AND (to_date IS NULL OR CAST(local_time(created_at, tz) AS DATE) <= to_date)
),

product_facts AS (
    SELECT count(*) AS repeated
    FROM (SELECT sku FROM products GROUP BY sku HAVING count(*) > 1) AS twice
),

history_facts AS (
    SELECT count(*) AS overlaps
    FROM (
        SELECT valid_to, lead(valid_from) OVER (PARTITION BY sku ORDER BY valid_from, valid_to, unit_cost_amount) AS next_from
        FROM product_costs
    ) AS history
    WHERE next_from IS NOT NULL AND (valid_to IS NULL OR next_from <= valid_to)
),

stock_facts AS (
    SELECT
        count(DISTINCT snapshot_date) AS days,
        CAST(arrow_cast(max(snapshot_date), 'Int32') AS BIGINT) - CAST(arrow_cast(min(snapshot_date), 'Int32') AS BIGINT) + 1 AS span
    FROM stock
    WHERE (from_date IS NULL OR snapshot_date >= from_date) AND (to_date IS NULL OR snapshot_date <= to_date)
),

listed AS (
    SELECT unnest(make_array(
        named_struct(
            'check', 'pool_fulfillment', 'severity', CASE WHEN CAST(order_facts.fulfillment AS DECIMAL(38, 4)) = CAST(found.fulfillment AS DECIMAL(38, 4)) THEN 'info' ELSE 'warn' END,
            'affected', CASE WHEN order_facts.fulfillment <> 0 THEN sold_products ELSE -1 END,
            'message', CASE WHEN CAST(order_facts.fulfillment AS DECIMAL(38, 4)) = CAST(found.fulfillment AS DECIMAL(38, 4)) THEN 'spread to the last 0.0001' ELSE 'not all of it is spread: orders have no lines, or products have no figure because an order of theirs has none' END,
            'pool', CAST(order_facts.fulfillment AS DECIMAL(38, 4)), 'allocated', CAST(found.fulfillment AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'pool_payment_fees', 'severity', CASE WHEN CAST(order_facts.fees AS DECIMAL(38, 4)) = CAST(found.fees AS DECIMAL(38, 4)) THEN 'info' ELSE 'warn' END,
            'affected', CASE WHEN order_facts.fees <> 0 THEN sold_products ELSE -1 END,
            'message', CASE WHEN CAST(order_facts.fees AS DECIMAL(38, 4)) = CAST(found.fees AS DECIMAL(38, 4)) THEN 'spread to the last 0.0001' ELSE 'not all of it is spread: orders have no lines, or products have no figure because an order of theirs has none' END,
            'pool', CAST(order_facts.fees AS DECIMAL(38, 4)), 'allocated', CAST(found.fees AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'pool_acquisition_marketing', 'severity', CASE WHEN CAST(spend_facts.spent AS DECIMAL(38, 4)) = CAST(found.won AS DECIMAL(38, 4)) THEN 'info' ELSE 'warn' END,
            'affected', CASE WHEN spend_facts.n > 0 THEN sold_products ELSE -1 END,
            'message', CASE WHEN CAST(spend_facts.spent AS DECIMAL(38, 4)) = CAST(found.won AS DECIMAL(38, 4)) THEN 'spread to the last 0.0001' ELSE 'not all of it is spread: no order of the period is a customer''s first, or unattributed_spend is leave and channels and months had none' END,
            'pool', CAST(spend_facts.spent AS DECIMAL(38, 4)), 'allocated', CAST(found.won AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'pool_overhead', 'severity', CASE WHEN CAST(CASE WHEN overhead IS NULL THEN cost_facts.overheads WHEN period = 'month' THEN found.spread_overhead ELSE overhead END AS DECIMAL(38, 4)) = CAST(found.spread_overhead AS DECIMAL(38, 4)) THEN 'info' ELSE 'warn' END,
            'affected', CASE WHEN overhead IS NOT NULL OR cost_facts.n > 0 THEN sold_products ELSE -1 END,
            'message', CASE WHEN CAST(CASE WHEN overhead IS NULL THEN cost_facts.overheads WHEN period = 'month' THEN found.spread_overhead ELSE overhead END AS DECIMAL(38, 4)) = CAST(found.spread_overhead AS DECIMAL(38, 4)) THEN 'spread to the last 0.0001' ELSE 'not all of it is spread: a month with costs has no product to bear them' END,
            'pool', CAST(CASE WHEN overhead IS NULL THEN cost_facts.overheads WHEN period = 'month' THEN found.spread_overhead ELSE overhead END AS DECIMAL(38, 4)), 'allocated', CAST(found.spread_overhead AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'pool_inbound', 'severity', CASE WHEN CAST(cost_facts.invoiced AS DECIMAL(38, 4)) = CAST(found.landed AS DECIMAL(38, 4)) THEN 'info' ELSE 'warn' END,
            'affected', CASE WHEN cost_facts.invoices > 0 THEN sold_products ELSE -1 END,
            'message', CASE WHEN CAST(cost_facts.invoiced AS DECIMAL(38, 4)) = CAST(found.landed AS DECIMAL(38, 4)) THEN 'spread to the last 0.0001' ELSE 'not all of it is spread: a month with invoices has no product to bear them' END,
            'pool', CAST(cost_facts.invoiced AS DECIMAL(38, 4)), 'allocated', CAST(found.landed AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'revenue_agrees_with_net_sales', 'severity', CASE WHEN CAST(declared_facts.revenue AS DECIMAL(38, 4)) = CAST(found.revenue AS DECIMAL(38, 4)) THEN 'info' ELSE 'warn' END,
            'affected', CASE WHEN declared_facts.orders > 0 THEN order_facts.orders ELSE -1 END,
            'message', CASE WHEN CAST(declared_facts.revenue AS DECIMAL(38, 4)) = CAST(found.revenue AS DECIMAL(38, 4)) THEN 'the products'' revenue is the orders'' net_sales' ELSE 'the lines say another revenue than the orders: lines are missing, or discounts or refunds stand on the orders only' END,
            'pool', CAST(declared_facts.revenue AS DECIMAL(38, 4)), 'allocated', CAST(found.revenue AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'missing_purchase_cost', 'severity', 'warn', 'affected', CASE WHEN no_purchase > 0 THEN no_purchase ELSE -1 END,
            'message', 'products have no purchase cost: their total and margins are NULL; give unit_cost_amount in products or product_costs', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'missing_inbound_packaging', 'severity', 'warn', 'affected', CASE WHEN no_inbound > 0 THEN no_inbound ELSE -1 END,
            'message', 'products have no packaging_cost or no inbound_cost', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'missing_storage_cost', 'severity', 'warn', 'affected', CASE WHEN no_storage > 0 THEN no_storage ELSE -1 END,
            'message', 'storage is not known: it needs the table stock, the value of what lies there, and storage_rate', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'missing_acquisition_marketing', 'severity', 'warn', 'affected', CASE WHEN no_acquisition > 0 THEN no_acquisition ELSE -1 END,
            'message', 'acquisition is not known: there is no ad_spend', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'missing_fulfillment', 'severity', 'warn', 'affected', CASE WHEN no_fulfillment > 0 THEN no_fulfillment ELSE -1 END,
            'message', 'an order of these products has no pick_pack_cost; the argument pick_pack_cost stands in', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'missing_payment_fees', 'severity', 'warn', 'affected', CASE WHEN no_fees > 0 THEN no_fees ELSE -1 END,
            'message', 'an order of these products has no payment_fee', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'missing_returns_sav', 'severity', 'warn', 'affected', CASE WHEN no_returns > 0 THEN no_returns ELSE -1 END,
            'message', 'what returns cost is not known: there is no table returns and no returns_rate, or what came back has no cost, or neither resale_rate nor is_restocked', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'missing_overhead', 'severity', 'warn', 'affected', CASE WHEN no_overhead > 0 THEN no_overhead ELSE -1 END,
            'message', 'overhead is not known: there are no costs; the argument overhead stands in', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'assumed_components', 'severity', 'warn', 'affected', CASE WHEN assumed > 0 THEN assumed ELSE -1 END,
            'message', 'components of these products rest on defaults of the playbook', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'test_orders_excluded', 'severity', 'info', 'affected', CASE WHEN tests > 0 THEN tests ELSE -1 END,
            'message', 'test orders are left out', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'cancelled_orders_excluded', 'severity', 'info', 'affected', CASE WHEN cancelled > 0 THEN cancelled ELSE -1 END,
            'message', 'cancelled orders are left out', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'guests', 'severity', 'info', 'affected', CASE WHEN guests > 0 THEN guests ELSE -1 END,
            'message', 'orders without a customer count as nobody''s first order; guest_key => email knows them by e-mail', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'duplicate_orders', 'severity', 'warn', 'affected', CASE WHEN duplicates > 0 THEN duplicates ELSE -1 END,
            'message', 'rows repeat an order_id; each order counts once', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'duplicate_lines', 'severity', 'error', 'affected', CASE WHEN line_facts.repeated > 0 THEN line_facts.repeated ELSE -1 END,
            'message', 'rows repeat an order_line_id, and each counts: take them out of order_lines', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'duplicate_products', 'severity', 'warn', 'affected', CASE WHEN product_facts.repeated > 0 THEN product_facts.repeated ELSE -1 END,
            'message', 'products stand there more than once; the highest cost of each kind holds', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'overlapping_costs', 'severity', 'warn', 'affected', CASE WHEN history_facts.overlaps > 0 THEN history_facts.overlaps ELSE -1 END,
            'message', 'rows of product_costs are still valid when the next begins; the next holds from then on', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'orders_without_lines', 'severity', 'warn', 'affected', CASE WHEN order_facts.without_lines > 0 THEN order_facts.without_lines ELSE -1 END,
            'message', 'orders have no lines: what they cost is not spread', 'pool', CAST(order_facts.stranded AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'lines_without_order', 'severity', 'error', 'affected', CASE WHEN stray_lines.stray > 0 THEN stray_lines.stray ELSE -1 END,
            'message', 'lines belong to no order, and do not count', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'returns_without_line', 'severity', 'error', 'affected', CASE WHEN stray_returns.stray > 0 THEN stray_returns.stray ELSE -1 END,
            'message', 'returns belong to no line, and do not count', 'pool', CAST(stray_returns.refunded AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'tickets_without_product', 'severity', 'info', 'affected', CASE WHEN ticket_facts.n > 0 THEN ticket_facts.n ELSE -1 END,
            'message', 'support tickets name no product, and are not spread', 'pool', CAST(ticket_facts.cost AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'spend_of_other_types', 'severity', 'info', 'affected', CASE WHEN CASE WHEN other_types <> 0 THEN 1 ELSE 0 END > 0 THEN CASE WHEN other_types <> 0 THEN 1 ELSE 0 END ELSE -1 END,
            'message', 'ad spend of types that cac_cost_types does not name is left out', 'pool', CAST(other_types AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'negative_stock', 'severity', 'warn', 'affected', CASE WHEN negative_stock > 0 THEN negative_stock ELSE -1 END,
            'message', 'products had less than nothing in stock on a day, which counts as nothing', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'all_returned', 'severity', 'info', 'affected', CASE WHEN all_returned > 0 THEN all_returned ELSE -1 END,
            'message', 'products came back as often as they were sold or more: they have no figure per unit', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'not_in_products', 'severity', 'warn', 'affected', CASE WHEN unlisted > 0 THEN unlisted ELSE -1 END,
            'message', 'products sold or stocked are not in the table products', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'without_weight_or_volume', 'severity', 'warn', 'affected', CASE WHEN without_size > 0 THEN without_size ELSE -1 END,
            'message', 'products have no weight or volume, and bear nothing of overhead that is spread by it', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'stock_days_missing', 'severity', 'info', 'affected', CASE WHEN CASE WHEN stock_facts.days < stock_facts.span THEN stock_facts.span - stock_facts.days ELSE 0 END > 0 THEN CASE WHEN stock_facts.days < stock_facts.span THEN stock_facts.span - stock_facts.days ELSE 0 END ELSE -1 END,
            'message', 'days between the first and the last stock count were not counted; the mean of the others stands for them', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        ),
        named_struct(
            'check', 'nothing_sold', 'severity', 'error', 'affected', CASE WHEN CASE WHEN order_facts.orders = 0 THEN 1 ELSE 0 END > 0 THEN CASE WHEN order_facts.orders = 0 THEN 1 ELSE 0 END ELSE -1 END,
            'message', 'no order counts in this period', 'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))
        )
    )) AS item
    FROM found CROSS JOIN order_facts CROSS JOIN stray_lines CROSS JOIN line_facts CROSS JOIN stray_returns CROSS JOIN declared_facts
        CROSS JOIN spend_facts CROSS JOIN cost_facts CROSS JOIN ticket_facts CROSS JOIN product_facts CROSS JOIN history_facts
        CROSS JOIN stock_facts
)

SELECT
    item['check'] AS "check",
    item['severity'] AS severity,
    item['affected'] AS affected,
    item['message'] AS message,
    item['pool'] AS pool,
    item['allocated'] AS allocated
FROM listed
WHERE item['affected'] >= 0
