-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    What to know before trusting rfm_score on this data: guests and other orders left out, orders delivered twice,
--          customers without a positive order, measures that do not tell customers apart, too few customers.
-- reads    orders through net_sales(keep_excluded => true) the orders, one row per order
-- param    k INTEGER 3..10 how many scores a measure has
-- param    min_customers BIGINT the number of scorable customers below which scores say little
-- param    as_of TIMESTAMP the moment after which orders do not count; NULL is the last order's
-- returns  check VARCHAR what was looked at
-- returns  severity VARCHAR info, warn or error
-- returns  affected BIGINT how many orders or customers it concerns
-- returns  message VARCHAR what it means
-- grain    one row per check that found something
-- source   the edge cases of the definition of rfm_score
-- example  SELECT * FROM rfm_score_checks() ORDER BY "check"
CREATE MACRO rfm_score_checks(
    orders,
    k := 5,
    min_customers := 0,
    as_of := NULL
) AS TABLE
WITH order_facts AS (
    SELECT
        count(*) AS orders,
        count(*) FILTER (WHERE exclusion = 'test') AS tests,
        count(*) FILTER (WHERE exclusion = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE exclusion IS NULL AND customer_id IS NULL) AS guests,
        count(*) FILTER (WHERE exclusion IS NULL AND net_sales IS NULL) AS without_amount,
        count(*) FILTER (WHERE exclusion IS NULL AND created_timestamp IS NULL) AS without_time,
        count(*) FILTER (WHERE exclusion IS NULL AND order_id IS NULL) AS without_id,
        count(*) FILTER (WHERE exclusion IS NULL AND created_timestamp > as_of) AS future
    FROM orders
),

customers AS (
    SELECT customer_id, order_summary(order_id, created_timestamp, net_sales) AS summary
    FROM orders
    WHERE exclusion IS NULL AND customer_id IS NOT NULL AND (as_of IS NULL OR created_timestamp <= as_of)
    GROUP BY customer_id
),

customer_facts AS (
    SELECT
        count(*) AS customers,
        count(*) FILTER (WHERE summary['orders'] > 0) AS scorable,
        count(*) FILTER (WHERE summary['orders'] = 0) AS unscored,
        count(*) FILTER (WHERE summary['amount'] < 0) AS negative,
        coalesce(sum(summary['duplicates']), 0) AS duplicates,
        min(summary['last_order_at']) AS r_low, max(summary['last_order_at']) AS r_high,
        min(summary['orders']) FILTER (WHERE summary['orders'] > 0) AS f_low, max(summary['orders']) AS f_high,
        min(summary['amount']) FILTER (WHERE summary['orders'] > 0) AS m_low,
        max(summary['amount']) FILTER (WHERE summary['orders'] > 0) AS m_high
    FROM customers
),

facts AS (
    SELECT * FROM order_facts CROSS JOIN customer_facts
),

found AS (
    SELECT 'test_orders_excluded' AS "check", 'info' AS severity, tests AS affected, 'test orders are left out' AS message FROM facts
    UNION ALL
    SELECT 'cancelled_orders_excluded', 'info', cancelled, 'cancelled orders are left out' FROM facts
    UNION ALL
    SELECT 'guests_excluded', 'warn', guests, 'orders without a customer are left out; guest_key => email counts them by e-mail' FROM facts
    UNION ALL
    SELECT 'amount_missing', 'warn', without_amount, 'orders without an amount are left out' FROM facts
    UNION ALL
    SELECT 'time_missing', 'warn', without_time, 'orders without a time count, but never as the last order' FROM facts
    UNION ALL
    SELECT 'order_id_missing', 'info', without_id, 'orders without an order_id each count as one order; twice delivered, they count twice' FROM facts
    UNION ALL
    SELECT 'future_orders_excluded', 'info', future, 'orders after as_of are left out' FROM facts
    UNION ALL
    SELECT 'duplicate_orders', 'warn', duplicates, 'rows repeat an order_id of the same customer; each order counts once' FROM facts
    UNION ALL
    SELECT 'no_positive_order', 'info', unscored, 'customers whose orders have no positive amount are not scored' FROM facts
    UNION ALL
    SELECT 'negative_monetary', 'warn', negative, 'customers were refunded more than they paid; they score lowest' FROM facts
    UNION ALL
    SELECT 'too_few_customers', 'warn', CASE WHEN scorable < greatest(k, min_customers) THEN scorable ELSE 0 END,
        'so few customers can be scored that scores say little' FROM facts
    UNION ALL
    SELECT 'no_customers', 'error', CASE WHEN scorable = 0 THEN 1 ELSE 0 END, 'no customer can be scored' FROM facts
    UNION ALL
    SELECT 'no_variance_frequency', 'warn', CASE WHEN f_low = f_high THEN scorable ELSE 0 END,
        'all customers have the same number of orders: every frequency score is 1' FROM facts
    UNION ALL
    SELECT 'no_variance_monetary', 'warn', CASE WHEN m_low = m_high THEN scorable ELSE 0 END,
        'all customers have the same amount: every monetary score is 1' FROM facts
    UNION ALL
    SELECT 'no_variance_recency', 'warn', CASE WHEN r_low = r_high THEN scorable ELSE 0 END,
        'all customers bought last at the same time: every recency score is 1' FROM facts
)

SELECT "check", severity, affected, message
FROM found
WHERE affected > 0
