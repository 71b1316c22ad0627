-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    What each product truly costs: purchase, inbound and packaging, storage, acquisition, fulfilment, returns and
--          overhead, as totals and per unit that stayed sold, with the margins that remain.
--          Money is conserved: every pool (the orders' fulfilment and fees, ad spend, landed invoices, overhead) is spread
--          without losing or inventing 0.0001; sku_true_cost_checks() proves it. Amounts are decimals whatever their input.
--          Units and revenue belong to the day of the order; returns of these orders count whenever they came.
--          Purchase and inbound cost follow net units (sold less returned); what returned units lost is in returns_sav.
--          A table that is missing or empty, or one missing figure of a product's units, makes a component NULL, never 0,
--          and names it in missing_components. total_cost adds up what is known, and is NULL without a purchase cost.
--          Gift cards keep their units and costs and have no revenue. A bundle of bom costs what its parts cost (bundles
--          within bundles down to 10 levels), or its own cost where a part's is unknown.
-- reads    orders(order_id ANY, customer_id ANY?, created_timestamp TIMESTAMP, cancelled_timestamp TIMESTAMP?, is_test_order BOOLEAN?, currency VARCHAR?, channel VARCHAR?, payment_fee NUMERIC?, order_pick_pack NUMERIC?, shipping_expense NUMERIC?, shipping_cost NUMERIC?, guest_key ANY?) the orders; an order_id
--          that stands twice counts once. channel is what won the customer with a first order: the last touch, unless mapped
-- column   order_pick_pack = pick_pack_cost
-- reads    order_lines(order_line_id ANY?, order_id ANY, sku ANY, quantity INTEGER, price NUMERIC, total_discount NUMERIC?, is_gift_card BOOLEAN?) the lines; a negative quantity is a return
-- reads    products?(sku ANY, product_id ANY?, title VARCHAR?, unit_cost_amount NUMERIC?, packaging_cost NUMERIC?, inbound_cost NUMERIC?, weight_g NUMERIC?, volume_cm3 NUMERIC?, resale_rate NUMERIC?) the products and what one unit costs today
-- reads    product_costs?(sku ANY, valid_from DATE, valid_to DATE?, unit_cost_amount NUMERIC) what one unit cost when; of overlapping
--          rows the one that began last holds, and outside of all the cost in products
-- reads    returns?(order_line_id ANY, refunded_quantity INTEGER, subtotal NUMERIC, is_restocked BOOLEAN?, handling_cost NUMERIC?, return_shipping_cost NUMERIC?) the returned lines; their costs are of the row, not of a unit
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
-- param    detail BOOLEAN whether payment_fees stand in their own column and not within fulfillment
-- param    include_tests BOOLEAN whether test orders count
-- param    exclude_cancelled BOOLEAN whether cancelled orders are left out
-- param    exclude_gift_cards BOOLEAN whether gift cards sold are no revenue: they are a debt until they are redeemed
-- returns  sku ANY the product
-- returns  product_id ANY the product of which it is a variant
-- returns  title VARCHAR its name
-- returns  units_sold BIGINT units of orders that count
-- returns  units_returned BIGINT units of these that came back
-- returns  net_units BIGINT units that stayed sold
-- returns  net_revenue NUMERIC price times quantity, less discounts and refunds
-- returns  purchase_cost NUMERIC net units at the supplier price of the day of sale
-- returns  inbound_packaging NUMERIC packaging of the net units, and their way to the warehouse
-- returns  storage_cost NUMERIC mean stock in units times their value, times the yearly rate, times the period's days / 365
-- returns  acquisition_marketing NUMERIC ad spend of a channel and month, divided by its first orders, by the line's share of each
-- returns  fulfillment NUMERIC picking, packing and shipping that customers did not pay, and payment fees unless detail
-- returns  returns_sav NUMERIC handling and carriage of returns, what returned units lost, and support tickets
-- returns  overhead NUMERIC the product's share of overhead
-- returns  total_cost NUMERIC the sum of the known components
-- returns  purchase_cost_per_unit NUMERIC per net unit; NULL where no unit stayed sold, as all that follow
-- returns  inbound_packaging_per_unit NUMERIC per net unit
-- returns  storage_cost_per_unit NUMERIC per net unit
-- returns  acquisition_marketing_per_unit NUMERIC per net unit
-- returns  fulfillment_per_unit NUMERIC per net unit
-- returns  returns_sav_per_unit NUMERIC per net unit
-- returns  overhead_per_unit NUMERIC per net unit
-- returns  total_cost_per_unit NUMERIC per net unit
-- returns  unit_margin NUMERIC net revenue less total cost, per net unit
-- returns  margin_rate DOUBLE net revenue less total cost, by net revenue
-- returns  cm1 NUMERIC net revenue less purchase and inbound; NULL where one is missing
-- returns  cm2 NUMERIC cm1 less storage, fulfilment, payment fees and returns
-- returns  cm3 NUMERIC cm2 less acquisition
-- returns  is_loss_making BOOLEAN costs more than it brings; NULL where missing components leave it open
-- returns  is_complete BOOLEAN nothing is missing
-- returns  missing_components VARCHAR[] the components that are NULL, and payment_fees
-- returns  assumed_components VARCHAR[] the components that rest on a default of the playbook
-- returns  break_even_price NUMERIC the net price of a unit at which this volume would pay the total cost
-- returns  payment_fees NUMERIC the product's share of payment fees; NULL where they are within fulfillment
-- returns  inbound_cost NUMERIC the way to the warehouse alone, which inbound_packaging includes
-- returns  period_start DATE first day of the row
-- returns  period_end DATE last day of the row
-- returns  warnings VARCHAR doubts about this row, such as no_sales, all_returned, negative_stock, not_in_products; NULL for none
-- grain    one row per product (and month) that was sold, returned, stocked or written about in the period
-- source   the seven components of the product's cost template; keys as in Odoo's landed costs (quantity, weight, volume, equal)
--          and its rest to the last line. An order's costs are split over its lines to 10^-14, added up by product, and apportion() rounds
--          the sums by largest remainder. Two passes over the lines, O(lines + stock rows + orders); memory O(orders + products * days).
-- example  SELECT sku, net_units, net_revenue, total_cost_per_unit, unit_margin, cm3, is_complete FROM sku_true_cost(storage_rate => 0.055) ORDER BY net_revenue DESC LIMIT 10
CREATE MACRO sku_true_cost(
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
    detail := false,
    include_tests := false,
    exclude_cancelled := true,
    exclude_gift_cards := true
) AS TABLE
WITH RECURSIVE order_rows AS (
    SELECT
        order_id,
        max(CASE WHEN given(guest_key) THEN coalesce(customer_id, guest_key) ELSE customer_id END) AS customer,
        min(local_time(created_timestamp, tz)) AS placed_at,
        min(channel) AS channel,
        min(currency) AS currency_low,
        max(currency) AS currency_high,
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
        ) AS fulfillment,
        pick_pack_cost IS NULL AND defaults = 'playbook' AND count(order_pick_pack) = 0 AS is_assumed
    FROM orders
    WHERE
        (include_tests OR is_test_order IS NOT TRUE)
        AND (NOT exclude_cancelled OR cancelled_timestamp IS NULL)
        AND order_id IS NOT NULL
        AND created_timestamp IS NOT NULL
    GROUP BY order_id
),

-- Each customer's first order, of all orders, not of the period's.
first_orders AS (
    SELECT
        first_value(order_id ORDER BY placed_at, order_id) AS order_id,
        coalesce(first_value(channel ORDER BY placed_at, order_id), '(unknown)') AS channel,
        CAST(date_trunc('month', min(placed_at)) AS DATE) AS month,
        CAST(min(placed_at) AS DATE) AS day
    FROM order_rows
    WHERE customer IS NOT NULL
    GROUP BY customer
),

spent AS (
    SELECT
        CAST(date_trunc('month', date_day) AS DATE) AS month,
        coalesce(channel, '(unknown)') AS channel,
        sum(CAST(spend AS DECIMAL(18, 4))) AS amount,
        min(currency) AS currency_low,
        max(currency) AS currency_high
    FROM ad_spend
    WHERE
        (from_date IS NULL OR date_day >= from_date)
        AND (to_date IS NULL OR date_day <= to_date)
        AND (cac_cost_types IS NULL OR array_has(cac_cost_types, cost_type))
    GROUP BY date_trunc('month', date_day), channel
),

won AS (
    SELECT channel, month, count(*) AS orders
    FROM first_orders
    WHERE (from_date IS NULL OR day >= from_date) AND (to_date IS NULL OR day <= to_date)
    GROUP BY channel, month
),

cac AS (
    SELECT
        spent.channel, spent.month, spent.amount, spent.currency_low, spent.currency_high,
        won.orders IS NOT NULL AS has_won,
        CAST(CAST(spent.amount AS DECIMAL(38, 14)) / CAST(won.orders AS DECIMAL(9, 0)) AS DECIMAL(28, 12)) AS each
    FROM won
    RIGHT JOIN spent ON won.channel = spent.channel AND won.month = spent.month
),

spent_in_all AS (
    SELECT
        CASE WHEN period = 'month' THEN month ELSE DATE '1970-01-01' END AS bucket,
        sum(amount) AS spent,
        sum(CASE WHEN has_won THEN amount ELSE 0 END) AS spent_on_firsts,
        min(currency_low) AS spent_low,
        max(currency_high) AS spent_high
    FROM cac
    GROUP BY CASE WHEN period = 'month' THEN month ELSE DATE '1970-01-01' END
),

placed AS (
    SELECT
        o.order_id,
        CAST(o.placed_at AS DATE) AS day,
        f.order_id IS NOT NULL AS is_first,
        f.each,
        o.currency_low, o.currency_high, o.fee, o.fulfillment, o.is_assumed
    FROM (
        SELECT first_orders.order_id, cac.each
        FROM cac
        RIGHT JOIN first_orders ON cac.channel = first_orders.channel AND cac.month = first_orders.month
    ) AS f
    RIGHT JOIN order_rows AS o ON f.order_id = o.order_id
    WHERE
        (from_date IS NULL OR CAST(o.placed_at AS DATE) >= from_date)
        AND (to_date IS NULL OR CAST(o.placed_at AS DATE) <= to_date)
),

returned AS (
    SELECT
        order_line_id,
        sum(CAST(refunded_quantity AS BIGINT)) AS units,
        sum(CAST(subtotal AS DECIMAL(18, 4))) AS amount,
        sum(
            coalesce(CAST(handling_cost AS DECIMAL(18, 4)), 0) + coalesce(CAST(return_shipping_cost AS DECIMAL(18, 4)), 0)
        ) AS handling,
        sum(CASE WHEN is_restocked IS FALSE THEN CAST(refunded_quantity AS BIGINT) ELSE 0 END) AS lost,
        sum(CASE WHEN is_restocked IS NULL THEN CAST(refunded_quantity AS BIGINT) ELSE 0 END) AS in_doubt
    FROM returns
    WHERE order_line_id IS NOT NULL
    GROUP BY order_line_id
),

sold AS (
    SELECT
        l.order_id,
        l.sku,
        greatest(l.units, 0) AS units,
        coalesce(r.units, 0) + greatest(-l.units, 0) AS back,
        coalesce(r.lost, 0) AS lost,
        coalesce(r.in_doubt, 0) + greatest(-l.units, 0) AS in_doubt,
        coalesce(r.handling, 0) AS handling,
        l.paid,
        CASE
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

order_weights AS (
    SELECT
        order_id,
        CAST(count(*) AS DECIMAL(18, 4)) AS lines,
        CAST(sum(units) AS DECIMAL(18, 4)) AS units,
        CAST(sum(greatest(paid, 0)) AS DECIMAL(18, 4)) AS paid,
        CAST(sum(greatest(net, 0)) AS DECIMAL(18, 4)) AS net
    FROM sold
    GROUP BY order_id
),

-- A line's weight in its order and the order's, for each of the three things that are split; what has no weight falls
-- back from amounts to units, and from units to equal parts.
weighed AS (
    SELECT
        s.sku, s.units, s.back, s.lost, s.in_doubt, s.handling, s.paid, s.net,
        w.day, w.is_first, w.each, w.currency_low, w.currency_high, w.fee, w.fulfillment, w.is_assumed,
        CASE
            WHEN fulfillment_key = 'revenue' AND w.net > 0 THEN CAST(greatest(s.net, 0) AS DECIMAL(18, 4))
            WHEN fulfillment_key = 'half' AND w.units > 0 THEN CAST(w.units + s.units * w.lines AS DECIMAL(18, 4))
            WHEN fulfillment_key <> 'equal' AND w.units > 0 THEN CAST(s.units AS DECIMAL(18, 4))
            ELSE CAST(1 AS DECIMAL(18, 4))
        END AS fulfillment_part,
        CASE
            WHEN fulfillment_key = 'revenue' AND w.net > 0 THEN w.net
            WHEN fulfillment_key = 'half' AND w.units > 0 THEN CAST(2 * w.units * w.lines AS DECIMAL(28, 4))
            WHEN fulfillment_key <> 'equal' AND w.units > 0 THEN w.units
            ELSE w.lines
        END AS fulfillment_whole,
        CASE
            WHEN w.paid > 0 THEN CAST(greatest(s.paid, 0) AS DECIMAL(18, 4))
            WHEN w.units > 0 THEN CAST(s.units AS DECIMAL(18, 4))
            ELSE CAST(1 AS DECIMAL(18, 4))
        END AS fee_part,
        CASE WHEN w.paid > 0 THEN w.paid WHEN w.units > 0 THEN w.units ELSE w.lines END AS fee_whole,
        CASE
            WHEN w.net > 0 THEN CAST(greatest(s.net, 0) AS DECIMAL(18, 4))
            WHEN w.units > 0 THEN CAST(s.units AS DECIMAL(18, 4))
            ELSE CAST(1 AS DECIMAL(18, 4))
        END AS first_part,
        CASE WHEN w.net > 0 THEN w.net WHEN w.units > 0 THEN w.units ELSE w.lines END AS first_whole
    FROM (
        SELECT placed.*, order_weights.lines, order_weights.units, order_weights.paid, order_weights.net
        FROM placed
        INNER JOIN order_weights ON placed.order_id = order_weights.order_id
    ) AS w
    INNER JOIN sold AS s ON w.order_id = s.order_id
),

-- What happened to a product on a day: sales, stock counts, tickets.
activity AS (
    SELECT
        sku, day,
        sum(units) AS units,
        sum(back) AS back,
        sum(lost) AS lost,
        sum(in_doubt) AS in_doubt,
        sum(net) AS net,
        sum(handling) AS handling,
        sum(CAST(fulfillment * fulfillment_part AS DECIMAL(38, 10)) / CAST(fulfillment_whole AS DECIMAL(28, 4))) AS fulfillment,
        sum(CAST(fee * fee_part AS DECIMAL(38, 10)) / CAST(fee_whole AS DECIMAL(28, 4))) AS fee,
        sum(CAST(each * first_part AS DECIMAL(38, 10)) / CAST(first_whole AS DECIMAL(28, 4))) AS won,
        sum(CASE WHEN is_first THEN CAST(first_part AS DECIMAL(38, 10)) / CAST(first_whole AS DECIMAL(28, 4)) END) AS firsts,
        count(*) FILTER (WHERE fulfillment IS NULL) AS fulfillment_unknown,
        count(*) FILTER (WHERE is_assumed) AS fulfillment_assumed,
        count(*) FILTER (WHERE fee IS NULL) AS fee_unknown,
        count(*) FILTER (WHERE paid IS NULL OR units IS NULL) AS unreadable,
        min(currency_low) AS currency_low,
        max(currency_high) AS currency_high,
        count(*) FILTER (WHERE currency_low IS NULL) AS without_currency,
        CAST(0 AS DECIMAL(18, 4)) AS ticket_cost,
        CAST(0 AS DECIMAL(18, 4)) AS on_hand,
        CAST(0 AS DECIMAL(18, 4)) AS valued,
        CAST(0 AS BIGINT) AS negative_stock
    FROM weighed
    GROUP BY sku, day
    UNION ALL
    SELECT
        sku, CAST(snapshot_date AS DATE) AS day,
        0 AS units, 0 AS back, 0 AS lost, 0 AS in_doubt, 0 AS net, 0 AS handling, 0 AS fulfillment, 0 AS fee,
        CAST(NULL AS DECIMAL(38, 14)) AS won, CAST(NULL AS DECIMAL(38, 14)) AS firsts,
        0 AS fulfillment_unknown, 0 AS fulfillment_assumed, 0 AS fee_unknown, 0 AS unreadable,
        CAST(NULL AS VARCHAR) AS currency_low, CAST(NULL AS VARCHAR) AS currency_high, 0 AS without_currency,
        CAST(0 AS DECIMAL(18, 4)) AS ticket_cost,
        -- Units whose cost the count does not say, and the value of those whose cost it does.
        sum(CASE WHEN unit_cost_amount IS NULL THEN greatest(CAST(on_hand_quantity AS DECIMAL(18, 4)), 0) ELSE 0 END) AS on_hand,
        sum(
            CASE
                WHEN unit_cost_amount IS NULL THEN 0
                ELSE greatest(CAST(on_hand_quantity AS DECIMAL(18, 4)), 0) * CAST(unit_cost_amount AS DECIMAL(18, 4))
            END
        ) AS valued,
        count(*) FILTER (WHERE on_hand_quantity < 0) AS negative_stock
    FROM stock
    WHERE (from_date IS NULL OR snapshot_date >= from_date) AND (to_date IS NULL OR snapshot_date <= to_date)
    GROUP BY sku, snapshot_date
    UNION ALL
    SELECT
        sku, CAST(local_time(created_at, tz) AS DATE) AS day,
        0 AS units, 0 AS back, 0 AS lost, 0 AS in_doubt, 0 AS net, 0 AS handling, 0 AS fulfillment, 0 AS fee,
        CAST(NULL AS DECIMAL(38, 14)) AS won, CAST(NULL AS DECIMAL(38, 14)) AS firsts,
        0 AS fulfillment_unknown, 0 AS fulfillment_assumed, 0 AS fee_unknown, 0 AS unreadable,
        CAST(NULL AS VARCHAR) AS currency_low, CAST(NULL AS VARCHAR) AS currency_high, 0 AS without_currency,
        sum(CAST(cost AS DECIMAL(18, 4))) AS ticket_cost,
        CAST(0 AS DECIMAL(18, 4)) AS on_hand, CAST(0 AS DECIMAL(18, 4)) AS valued, 0 AS negative_stock
    FROM support_tickets
    WHERE
        sku IS NOT NULL
        AND created_at IS NOT NULL
        AND (from_date IS NULL OR CAST(local_time(created_at, tz) AS DATE) >= from_date)
        AND (to_date IS NULL OR CAST(local_time(created_at, tz) AS DATE) <= to_date)
    GROUP BY sku, CAST(local_time(created_at, tz) AS DATE)
),

exploded AS (
    SELECT bundle_sku, sku, CAST(quantity AS DECIMAL(18, 4)) AS times, CAST(1 AS BIGINT) AS depth
    FROM bom
    UNION ALL
    SELECT
        e.bundle_sku, b.sku, CAST(e.times * b.quantity AS DECIMAL(18, 4)) AS times,
        CASE WHEN e.depth < 10 THEN e.depth + 1 ELSE raise('bom nests deeper than 10 levels, or a bundle holds itself') END AS depth
    FROM exploded AS e
    INNER JOIN bom AS b ON e.sku = b.bundle_sku
),

-- A bundle stands here once for itself, and once for each part that is no bundle.
bundle_parts AS (
    SELECT e.bundle_sku AS sku, e.sku AS cost_sku, sum(e.times) AS times, false AS is_own
    FROM exploded AS e
    LEFT ANTI JOIN bom AS b ON e.sku = b.bundle_sku
    GROUP BY e.bundle_sku, e.sku
    UNION ALL
    SELECT bundle_sku AS sku, bundle_sku AS cost_sku, CAST(1 AS DECIMAL(18, 4)) AS times, true AS is_own
    FROM bom
    GROUP BY bundle_sku
),

cost_history AS (
    SELECT
        sku,
        valid_from,
        valid_to,
        lead(valid_from) OVER (PARTITION BY sku ORDER BY valid_from, valid_to, unit_cost_amount) AS next_from,
        CAST(unit_cost_amount AS DECIMAL(18, 4)) AS unit_cost
    FROM product_costs
    WHERE valid_from IS NOT NULL
),

catalogue AS (
    SELECT
        sku,
        min(product_id) AS product_id,
        min(title) AS title,
        max(CAST(unit_cost_amount AS DECIMAL(18, 4))) AS unit_cost,
        max(CAST(packaging_cost AS DECIMAL(18, 4))) AS packaging,
        max(CAST(inbound_cost AS DECIMAL(18, 4))) AS inbound,
        max(CAST(weight_g AS DECIMAL(18, 4))) AS weight,
        max(CAST(volume_cm3 AS DECIMAL(18, 4))) AS volume,
        max(CAST(resale_rate AS DECIMAL(18, 6))) AS resale
    FROM products
    GROUP BY sku
),

-- The small sides stand on the left, where a join keeps its table.
priced AS (
    SELECT
        a.*,
        date_trunc('month', a.day) AS month,
        c.packaging, c.inbound,
        coalesce(h.unit_cost, c.unit_cost) AS unit_cost
    FROM catalogue AS c
    RIGHT JOIN (
        cost_history AS h
        RIGHT JOIN (
            SELECT
                activity.*,
                coalesce(p.cost_sku, activity.sku) AS cost_sku,
                coalesce(p.times, 1) AS times,
                coalesce(p.is_own, true) AS is_own
            FROM bundle_parts AS p
            RIGHT JOIN activity ON p.sku = activity.sku
        ) AS a
            ON h.sku = a.cost_sku
            AND a.day >= h.valid_from
            AND (h.valid_to IS NULL OR a.day <= h.valid_to)
            AND (h.next_from IS NULL OR a.day < h.next_from)
    ) ON c.sku = a.cost_sku
),

skus AS (
    SELECT
        sku,
        CASE WHEN period = 'month' THEN CAST(month AS DATE) ELSE DATE '1970-01-01' END AS bucket,
        min(day) AS first_day,
        max(day) AS last_day,
        sum(units) FILTER (WHERE is_own) AS units,
        sum(back) FILTER (WHERE is_own) AS back,
        sum(net) FILTER (WHERE is_own) AS net,
        sum(handling) FILTER (WHERE is_own) AS handling,
        sum(ticket_cost) FILTER (WHERE is_own) AS ticket_cost,
        sum(fulfillment) FILTER (WHERE is_own) AS fulfillment,
        sum(fee) FILTER (WHERE is_own) AS fee,
        sum(won) FILTER (WHERE is_own) AS won,
        sum(firsts) FILTER (WHERE is_own) AS firsts,
        sum(fulfillment_unknown) FILTER (WHERE is_own) AS fulfillment_unknown,
        sum(fulfillment_assumed) FILTER (WHERE is_own) AS fulfillment_assumed,
        sum(fee_unknown) FILTER (WHERE is_own) AS fee_unknown,
        sum(unreadable) FILTER (WHERE is_own) AS unreadable,
        min(currency_low) AS currency_low,
        max(currency_high) AS currency_high,
        sum(without_currency) AS without_currency,
        sum(negative_stock) FILTER (WHERE is_own) AS negative_stock,
        sum(lost) FILTER (WHERE is_own) AS lost,
        sum(in_doubt) FILTER (WHERE is_own) AS in_doubt,
        -- Of the product itself, and of its parts: the two ways to know what a bundle costs.
        sum((units - back) * unit_cost) FILTER (WHERE is_own) AS own_cost,
        sum(back * unit_cost) FILTER (WHERE is_own) AS own_back_cost,
        sum(lost * unit_cost) FILTER (WHERE is_own) AS own_lost_cost,
        sum(valued) FILTER (WHERE is_own) AS valued,
        sum(on_hand * unit_cost) FILTER (WHERE is_own) AS own_stock_value,
        count(*) FILTER (WHERE is_own AND (units > 0 OR back > 0) AND unit_cost IS NULL) AS own_unknown,
        count(*) FILTER (WHERE is_own AND on_hand > 0 AND unit_cost IS NULL) AS own_stock_unknown,
        sum((units - back) * times * unit_cost) FILTER (WHERE NOT is_own) AS part_cost,
        sum(back * times * unit_cost) FILTER (WHERE NOT is_own) AS part_back_cost,
        sum(lost * times * unit_cost) FILTER (WHERE NOT is_own) AS part_lost_cost,
        sum(on_hand * times * unit_cost) FILTER (WHERE NOT is_own) AS part_stock_value,
        count(*) FILTER (WHERE NOT is_own AND (units > 0 OR back > 0) AND unit_cost IS NULL) AS part_unknown,
        count(*) FILTER (WHERE NOT is_own AND on_hand > 0 AND unit_cost IS NULL) AS part_stock_unknown,
        count(*) FILTER (WHERE NOT is_own) AS parts,
        max(CASE WHEN NOT is_own AND packaging IS NULL THEN 1 ELSE 0 END) AS part_packaging_unknown,
        max(CASE WHEN NOT is_own AND inbound IS NULL THEN 1 ELSE 0 END) AS part_inbound_unknown,
        sum((units - back) * times * packaging) FILTER (WHERE NOT is_own) AS part_packaging,
        sum((units - back) * times * inbound) FILTER (WHERE NOT is_own) AS part_inbound,
        sum(back * times * packaging) FILTER (WHERE NOT is_own) AS part_back_packaging,
        sum(back * times * inbound) FILTER (WHERE NOT is_own) AS part_back_inbound
    FROM priced
    GROUP BY sku, CASE WHEN period = 'month' THEN CAST(month AS DATE) ELSE DATE '1970-01-01' END
),

snapshots AS (
    SELECT bucket, count(*) AS days
    FROM (
        SELECT DISTINCT
            snapshot_date,
            CASE WHEN period = 'month' THEN CAST(date_trunc('month', snapshot_date) AS DATE) ELSE DATE '1970-01-01' END AS bucket
        FROM stock
        WHERE (from_date IS NULL OR snapshot_date >= from_date) AND (to_date IS NULL OR snapshot_date <= to_date)
    ) AS counted
    GROUP BY bucket
),

cost_rows AS (
    SELECT
        CASE WHEN period = 'month' THEN CAST(date_trunc('month', date) AS DATE) ELSE DATE '1970-01-01' END AS bucket,
        CAST(amount AS DECIMAL(18, 4)) AS amount,
        cost_type IS NOT DISTINCT FROM 'inbound' AS is_inbound,
        CASE
            WHEN overhead_key <> 'row' THEN overhead_key
            WHEN allocation_key IS NULL OR cost_type IS NOT DISTINCT FROM 'inbound' THEN 'revenue'
            WHEN allocation_key IN ('revenue', 'quantity', 'weight', 'volume', 'equal') THEN allocation_key
            ELSE raise('an allocation_key of costs is none of revenue, quantity, weight, volume, equal: mend it, or give overhead_key')
        END AS spread_by
    FROM costs
    WHERE (from_date IS NULL OR date >= from_date) AND (to_date IS NULL OR date <= to_date)
),

cost_pools AS (
    SELECT
        bucket,
        sum(amount) FILTER (WHERE is_inbound) AS landed,
        sum(amount) FILTER (WHERE NOT is_inbound) AS in_all,
        coalesce(sum(amount) FILTER (WHERE NOT is_inbound AND spread_by = 'revenue'), 0) AS by_revenue,
        coalesce(sum(amount) FILTER (WHERE NOT is_inbound AND spread_by = 'quantity'), 0) AS by_quantity,
        coalesce(sum(amount) FILTER (WHERE NOT is_inbound AND spread_by = 'weight'), 0) AS by_weight,
        coalesce(sum(amount) FILTER (WHERE NOT is_inbound AND spread_by = 'volume'), 0) AS by_volume,
        coalesce(sum(amount) FILTER (WHERE NOT is_inbound AND spread_by = 'equal'), 0) AS by_equal
    FROM cost_rows
    GROUP BY bucket
),

present AS (
    SELECT
        (SELECT count(*) FROM returns) > 0 AS has_returns,
        (SELECT count(*) FROM stock) > 0 AS has_stock,
        (SELECT count(*) FROM ad_spend) > 0 AS has_spend,
        (SELECT count(*) FROM costs WHERE cost_type IS DISTINCT FROM 'inbound') > 0 AS has_costs
),

-- Weights of a product within its period. What came back beyond what was sold weighs nothing.
measured AS (
    SELECT
        s.*,
        c.product_id, c.title, c.unit_cost, c.packaging, c.inbound, c.resale, c.sku IS NOT NULL AS is_listed,
        p.has_returns OR sum(s.back) OVER () > 0 AS has_returns, p.has_stock, p.has_spend, p.has_costs,
        snapshots.days AS snapshot_days,
        CASE WHEN unattributed_spend = 'spread' THEN a.spent ELSE a.spent_on_firsts END AS spent,
        a.spent - a.spent_on_firsts AS spent_on_nobody,
        a.spent_low, a.spent_high,
        k.landed,
        CASE WHEN overhead IS NULL THEN coalesce(k.by_revenue, 0) WHEN overhead_key IN ('row', 'revenue') THEN overhead ELSE 0 END AS by_revenue,
        CASE WHEN overhead IS NULL THEN coalesce(k.by_quantity, 0) WHEN overhead_key = 'quantity' THEN overhead ELSE 0 END AS by_quantity,
        CASE WHEN overhead IS NULL THEN coalesce(k.by_weight, 0) WHEN overhead_key = 'weight' THEN overhead ELSE 0 END AS by_weight,
        CASE WHEN overhead IS NULL THEN coalesce(k.by_volume, 0) WHEN overhead_key = 'volume' THEN overhead ELSE 0 END AS by_volume,
        CASE WHEN overhead IS NULL THEN coalesce(k.by_equal, 0) WHEN overhead_key = 'equal' THEN overhead ELSE 0 END AS by_equal,
        coalesce(from_date, min(s.first_day) OVER ()) AS day_low,
        coalesce(to_date, max(s.last_day) OVER ()) AS day_high,
        CAST(greatest(s.net, 0) AS DECIMAL(28, 4)) AS r,
        CAST(greatest(s.units - s.back, 0) AS DECIMAL(28, 4)) AS q,
        CAST(greatest(s.units - s.back, 0) * coalesce(c.weight, 0) AS DECIMAL(28, 4)) AS w,
        CAST(greatest(s.units - s.back, 0) * coalesce(c.volume, 0) AS DECIMAL(28, 4)) AS v,
        CAST(CASE WHEN s.units > 0 THEN 1 ELSE 0 END AS DECIMAL(28, 4)) AS e,
        s.units > s.back AND c.weight IS NULL AS no_weight,
        s.units > s.back AND c.volume IS NULL AS no_volume
    FROM present AS p
    CROSS JOIN (
        snapshots RIGHT JOIN (
            spent_in_all AS a RIGHT JOIN (
                cost_pools AS k RIGHT JOIN (
                    catalogue AS c RIGHT JOIN skus AS s ON c.sku = s.sku
                ) ON k.bucket = s.bucket
            ) ON a.bucket = s.bucket
        ) ON snapshots.bucket = s.bucket
    )
),

totalled AS (
    SELECT
        m.*,
        sum(r) OVER (PARTITION BY bucket) AS r_all,
        sum(q) OVER (PARTITION BY bucket) AS q_all,
        sum(w) OVER (PARTITION BY bucket) AS w_all,
        sum(v) OVER (PARTITION BY bucket) AS v_all,
        sum(e) OVER (PARTITION BY bucket) AS e_all,
        CAST(sum(fulfillment) OVER (PARTITION BY bucket) AS DECIMAL(38, 4)) AS fulfillment_all,
        CAST(sum(fee) OVER (PARTITION BY bucket) AS DECIMAL(38, 4)) AS fee_all,
        sum(firsts) OVER (PARTITION BY bucket) AS firsts_all,
        sum(CASE WHEN no_weight THEN 1 ELSE 0 END) OVER (PARTITION BY bucket) AS without_weight,
        sum(CASE WHEN no_volume THEN 1 ELSE 0 END) OVER (PARTITION BY bucket) AS without_volume,
        sum(unreadable) OVER () AS unreadable_all,
        min(currency_low) OVER () AS currency_low_all,
        max(currency_high) OVER () AS currency_high_all,
        sum(without_currency) OVER () AS without_currency_all,
        min(spent_low) OVER () AS spent_low_all,
        max(spent_high) OVER () AS spent_high_all
    FROM measured AS m
),

-- A key without any weight gives way to revenue, that to units, those to equal parts: no pool is lost while a product is
-- there to bear it.
keyed AS (
    SELECT
        t.*,
        CASE WHEN r_all > 0 THEN r WHEN q_all > 0 THEN q ELSE CAST(1 AS DECIMAL(28, 4)) END AS z,
        CASE
            WHEN inbound_key = 'auto' THEN CASE
                WHEN without_weight = 0 AND w_all > 0 THEN 'weight'
                WHEN without_volume = 0 AND v_all > 0 THEN 'volume'
                ELSE 'quantity'
            END
            ELSE inbound_key
        END AS landed_by
    FROM totalled AS t
),

apportioned AS (
    SELECT
        k.*,
        coalesce(apportion(fulfillment_all, fulfillment, decimals) OVER (PARTITION BY bucket ORDER BY sku), 0) AS got_f,
        coalesce(apportion(fee_all, fee, decimals) OVER (PARTITION BY bucket ORDER BY sku), 0) AS got_p,
        coalesce(
            apportion(
                spent,
                coalesce(won, 0) + CASE
                    WHEN unattributed_spend = 'spread' AND firsts_all > 0
                        THEN CAST(spent_on_nobody * CAST(coalesce(firsts, 0) AS DECIMAL(28, 8)) AS DECIMAL(38, 8)) / CAST(firsts_all AS DECIMAL(28, 4))
                    ELSE CAST(0 AS DECIMAL(38, 12))
                END,
                decimals
            ) OVER (PARTITION BY bucket ORDER BY sku), 0
        ) AS got_a,
        coalesce(apportion(by_revenue, z, decimals) OVER (PARTITION BY bucket ORDER BY sku), 0)
        + coalesce(apportion(by_quantity, CASE WHEN q_all > 0 THEN q ELSE z END, decimals) OVER (PARTITION BY bucket ORDER BY sku), 0)
        + coalesce(apportion(by_weight, CASE WHEN w_all > 0 THEN w ELSE z END, decimals) OVER (PARTITION BY bucket ORDER BY sku), 0)
        + coalesce(apportion(by_volume, CASE WHEN v_all > 0 THEN v ELSE z END, decimals) OVER (PARTITION BY bucket ORDER BY sku), 0)
        + coalesce(apportion(by_equal, CASE WHEN e_all > 0 THEN e ELSE z END, decimals) OVER (PARTITION BY bucket ORDER BY sku), 0) AS got_o,
        apportion(
            landed,
            CASE
                WHEN landed_by = 'weight' AND w_all > 0 THEN w
                WHEN landed_by = 'volume' AND v_all > 0 THEN v
                WHEN landed_by = 'quantity' AND q_all > 0 THEN q
                WHEN landed_by = 'equal' AND e_all > 0 THEN e
                ELSE z
            END,
            decimals
        ) OVER (PARTITION BY bucket ORDER BY sku) AS got_i
    FROM keyed AS k
),

known AS (
    SELECT
        a.*,
        units - back AS net_units,
        CAST(CASE
            WHEN parts > 0 AND part_unknown = 0 THEN coalesce(part_cost, 0)
            WHEN own_unknown = 0 THEN coalesce(own_cost, 0)
        END AS DECIMAL(18, 4)) AS purchase_cost,
        CAST(CASE
            WHEN parts > 0 AND part_unknown = 0 THEN coalesce(part_back_cost, 0)
            WHEN own_unknown = 0 THEN coalesce(own_back_cost, 0)
        END AS DECIMAL(38, 8)) AS back_cost,
        CAST(CASE
            WHEN parts > 0 AND part_unknown = 0 THEN coalesce(part_lost_cost, 0)
            WHEN own_unknown = 0 THEN coalesce(own_lost_cost, 0)
        END AS DECIMAL(38, 8)) AS lost_cost,
        CAST(CASE
            WHEN units = 0 AND back = 0 THEN 0
            WHEN packaging IS NOT NULL THEN (units - back) * packaging
            WHEN parts > 0 AND part_packaging_unknown = 0 THEN part_packaging
        END AS DECIMAL(38, 8)) AS packaging_cost,
        CAST(CASE
            WHEN landed IS NOT NULL THEN got_i
            WHEN units = 0 AND back = 0 THEN 0
            WHEN inbound IS NOT NULL THEN (units - back) * inbound
            WHEN parts > 0 AND part_inbound_unknown = 0 THEN part_inbound
        END AS DECIMAL(38, 8)) AS inbound_cost,
        CAST(CASE
            WHEN packaging IS NOT NULL THEN back * packaging
            WHEN parts > 0 AND part_packaging_unknown = 0 THEN part_back_packaging
        END AS DECIMAL(38, 8)) AS back_packaging,
        CAST(CASE
            WHEN inbound IS NOT NULL THEN back * inbound
            WHEN parts > 0 AND part_inbound_unknown = 0 THEN part_back_inbound
            WHEN landed IS NOT NULL THEN 0
        END AS DECIMAL(38, 8)) AS back_inbound,
        CAST(CASE
            WHEN own_stock_unknown = 0 THEN valued + coalesce(own_stock_value, 0)
            WHEN parts > 0 AND part_stock_unknown = 0 THEN valued + coalesce(part_stock_value, 0)
        END AS DECIMAL(38, 8)) AS stock_value,
        CASE WHEN period = 'month' THEN greatest(bucket, day_low) ELSE day_low END AS period_start,
        CASE
            WHEN period = 'month' THEN least(CAST(bucket + INTERVAL '1 month' - INTERVAL '1 day' AS DATE), day_high)
            ELSE day_high
        END AS period_end
    FROM apportioned AS a
    WHERE
        CASE
            WHEN unreadable_all > 0 THEN raise('a line has no quantity or no price: mend order_lines, or leave the line out')
            WHEN currency_low_all <> currency_high_all OR (currency_low_all IS NOT NULL AND without_currency_all > 0)
                THEN raise('orders are in more than one currency: filter one, or turn the amounts into one before')
            WHEN spent_low_all <> spent_high_all OR spent_low_all <> currency_low_all
                THEN raise('ad_spend is in another currency than the orders, or in more than one: turn it into theirs before')
            ELSE true
        END
),

components AS (
    SELECT
        k.*,
        CAST(packaging_cost + inbound_cost AS DECIMAL(18, 4)) AS inbound_packaging,
        CASE
            WHEN has_stock AND snapshot_days > 0 THEN CAST(
                stock_value
                * CASE
                    WHEN storage_rate IS NOT NULL THEN CAST(storage_rate AS DECIMAL(10, 6))
                    WHEN defaults = 'playbook' THEN CAST(0.055 AS DECIMAL(10, 6))
                    ELSE CAST(NULL AS DECIMAL(10, 6))
                END
                * (CAST(arrow_cast(period_end, 'Int32') AS BIGINT) - CAST(arrow_cast(period_start, 'Int32') AS BIGINT) + 1)
                / (365 * snapshot_days) AS DECIMAL(18, 4)
            )
        END AS storage_cost,
        CASE WHEN has_spend THEN got_a END AS acquisition_marketing,
        CASE WHEN fulfillment_unknown = 0 THEN got_f END AS handling_cost,
        CASE WHEN fee_unknown = 0 THEN got_p END AS fees,
        CAST(ticket_cost + CASE
            WHEN NOT has_returns THEN r * CASE
                WHEN returns_rate IS NOT NULL THEN CAST(returns_rate AS DECIMAL(10, 6))
                WHEN defaults = 'playbook' THEN CAST(0.085 AS DECIMAL(10, 6))
                ELSE CAST(NULL AS DECIMAL(10, 6))
            END
            WHEN back = 0 THEN handling
            WHEN resale IS NOT NULL AND (resale_basis = 'rate' OR in_doubt > 0)
                THEN handling + (back_cost + back_packaging + back_inbound) * (1 - resale)
            WHEN in_doubt = 0 THEN handling + lost_cost + (back_packaging + back_inbound) * lost / back
        END AS DECIMAL(18, 4)) AS returns_sav,
        CASE WHEN overhead IS NOT NULL OR has_costs THEN got_o END AS overhead_cost
    FROM known AS k
),

added AS (
    SELECT
        c.*,
        CAST(
            coalesce(inbound_packaging, 0) + coalesce(storage_cost, 0) + coalesce(acquisition_marketing, 0)
            + coalesce(handling_cost, 0) + coalesce(fees, 0) + coalesce(returns_sav, 0) + coalesce(overhead_cost, 0)
            AS DECIMAL(18, 4)
        ) AS known_cost,
        CAST(net - purchase_cost - inbound_packaging AS DECIMAL(18, 4)) AS cm1,
        array_remove(string_to_array(concat_ws(
            ',',
            CASE WHEN purchase_cost IS NULL THEN 'purchase_cost' END,
            CASE WHEN inbound_packaging IS NULL THEN 'inbound_packaging' END,
            CASE WHEN storage_cost IS NULL THEN 'storage_cost' END,
            CASE WHEN acquisition_marketing IS NULL THEN 'acquisition_marketing' END,
            CASE WHEN handling_cost IS NULL THEN 'fulfillment' END,
            CASE WHEN fees IS NULL THEN 'payment_fees' END,
            CASE WHEN returns_sav IS NULL THEN 'returns_sav' END,
            CASE WHEN overhead_cost IS NULL THEN 'overhead' END
        ), ','), '') AS missing,
        array_remove(string_to_array(concat_ws(
            ',',
            CASE WHEN defaults = 'playbook' AND storage_rate IS NULL AND storage_cost IS NOT NULL THEN 'storage_cost' END,
            CASE WHEN fulfillment_assumed > 0 AND handling_cost IS NOT NULL THEN 'fulfillment' END,
            CASE WHEN defaults = 'playbook' AND returns_rate IS NULL AND NOT has_returns THEN 'returns_sav' END
        ), ','), '') AS assumed
    FROM components AS c
)

SELECT
    sku,
    product_id,
    title,
    units AS units_sold,
    back AS units_returned,
    net_units,
    CAST(net AS DECIMAL(18, 4)) AS net_revenue,
    purchase_cost,
    inbound_packaging,
    storage_cost,
    acquisition_marketing,
    CASE WHEN detail THEN handling_cost ELSE CAST(handling_cost + coalesce(fees, 0) AS DECIMAL(18, 4)) END AS fulfillment,
    returns_sav,
    overhead_cost AS overhead,
    CAST(purchase_cost + known_cost AS DECIMAL(18, 4)) AS total_cost,
    CASE WHEN net_units > 0 THEN CAST(purchase_cost / net_units AS DECIMAL(18, 4)) END AS purchase_cost_per_unit,
    CASE WHEN net_units > 0 THEN CAST(inbound_packaging / net_units AS DECIMAL(18, 4)) END AS inbound_packaging_per_unit,
    CASE WHEN net_units > 0 THEN CAST(storage_cost / net_units AS DECIMAL(18, 4)) END AS storage_cost_per_unit,
    CASE WHEN net_units > 0 THEN CAST(acquisition_marketing / net_units AS DECIMAL(18, 4)) END AS acquisition_marketing_per_unit,
    CASE
        WHEN net_units > 0
            THEN CAST((handling_cost + CASE WHEN detail THEN 0 ELSE coalesce(fees, 0) END) / net_units AS DECIMAL(18, 4))
    END AS fulfillment_per_unit,
    CASE WHEN net_units > 0 THEN CAST(returns_sav / net_units AS DECIMAL(18, 4)) END AS returns_sav_per_unit,
    CASE WHEN net_units > 0 THEN CAST(overhead_cost / net_units AS DECIMAL(18, 4)) END AS overhead_per_unit,
    CASE WHEN net_units > 0 THEN CAST((purchase_cost + known_cost) / net_units AS DECIMAL(18, 4)) END AS total_cost_per_unit,
    CASE WHEN net_units > 0 THEN CAST((net - purchase_cost - known_cost) / net_units AS DECIMAL(18, 4)) END AS unit_margin,
    CASE WHEN net > 0 THEN CAST(net - purchase_cost - known_cost AS DOUBLE) / CAST(net AS DOUBLE) END AS margin_rate,
    cm1,
    CAST(cm1 - storage_cost - handling_cost - fees - returns_sav AS DECIMAL(18, 4)) AS cm2,
    CAST(cm1 - storage_cost - handling_cost - fees - returns_sav - acquisition_marketing AS DECIMAL(18, 4)) AS cm3,
    CASE
        WHEN CAST(net - coalesce(purchase_cost, 0) - known_cost AS DECIMAL(18, 4)) < 0 THEN true
        WHEN cardinality(missing) = 0 THEN false
    END AS is_loss_making,
    cardinality(missing) = 0 AS is_complete,
    missing AS missing_components,
    assumed AS assumed_components,
    CASE WHEN net_units > 0 THEN CAST((purchase_cost + known_cost) / net_units AS DECIMAL(18, 4)) END AS break_even_price,
    CASE WHEN detail THEN fees ELSE CAST(NULL AS DECIMAL(18, 4)) END AS payment_fees,
    CAST(inbound_cost AS DECIMAL(18, 4)) AS inbound_cost,
    period_start,
    period_end,
    nullif(concat_ws(
        ', ',
        CASE WHEN units = 0 THEN 'no_sales' END,
        CASE WHEN units > 0 AND net_units <= 0 THEN 'all_returned' END,
        CASE WHEN negative_stock > 0 THEN 'negative_stock' END,
        CASE WHEN NOT is_listed THEN 'not_in_products' END,
        CASE WHEN no_volume AND by_volume <> 0 THEN 'volume_unknown' END,
        CASE WHEN no_weight AND by_weight <> 0 THEN 'weight_unknown' END
    ), '') AS warnings
FROM added
