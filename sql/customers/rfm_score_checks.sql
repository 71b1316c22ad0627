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
    WHERE exclusion IS NULL AND customer_id IS NOT NULL AND created_timestamp IS NOT NULL AND (as_of IS NULL OR created_timestamp <= as_of)
    GROUP BY customer_id
),

customer_facts AS (
    SELECT
        count(*) AS customers,
        count(*) FILTER (WHERE summary['orders'] > 0) AS scorable,
        count(*) FILTER (WHERE summary['orders'] = 0) AS unscored,
        count(*) FILTER (WHERE summary['amount'] < 0) AS negative,
        coalesce(sum(summary['duplicates']), 0) AS duplicates,
        (CAST(arrow_cast(coalesce(as_of, (SELECT max(created_timestamp) FROM orders WHERE exclusion IS NULL)), 'Timestamp(Microsecond, None)') AS BIGINT)
            - CAST(arrow_cast(max(summary['last_order_at']), 'Timestamp(Microsecond, None)') AS BIGINT)) / 86400000000 AS r_low,
        (CAST(arrow_cast(coalesce(as_of, (SELECT max(created_timestamp) FROM orders WHERE exclusion IS NULL)), 'Timestamp(Microsecond, None)') AS BIGINT)
            - CAST(arrow_cast(min(summary['last_order_at']), 'Timestamp(Microsecond, None)') AS BIGINT)) / 86400000000 AS r_high,
        min(summary['orders']) FILTER (WHERE summary['orders'] > 0) AS f_low, max(summary['orders']) AS f_high,
        min(summary['amount']) FILTER (WHERE summary['orders'] > 0) AS m_low,
        max(summary['amount']) FILTER (WHERE summary['orders'] > 0) AS m_high
    FROM customers
),

-- One row of facts becomes a list of checks: a UNION would compute the facts once for every check.
listed AS (
    SELECT unnest(make_array(
        named_struct('check', 'test_orders_excluded', 'severity', 'info', 'affected', tests,
            'message', 'test orders are left out'),
        named_struct('check', 'cancelled_orders_excluded', 'severity', 'info', 'affected', cancelled,
            'message', 'cancelled orders are left out'),
        named_struct('check', 'guests_excluded', 'severity', 'warn', 'affected', guests,
            'message', 'orders without a customer are left out; guest_key => email counts them by e-mail'),
        named_struct('check', 'amount_missing', 'severity', 'warn', 'affected', without_amount,
            'message', 'orders without an amount are left out'),
        named_struct('check', 'time_missing', 'severity', 'warn', 'affected', without_time,
            'message', 'orders without a time are left out'),
        named_struct('check', 'order_id_missing', 'severity', 'info', 'affected', without_id,
            'message', 'orders without an order_id each count as one order; twice delivered, they count twice'),
        named_struct('check', 'future_orders_excluded', 'severity', 'info', 'affected', future,
            'message', 'orders after as_of are left out'),
        named_struct('check', 'duplicate_orders', 'severity', 'warn', 'affected', duplicates,
            'message', 'rows repeat an order_id of the same customer; each order counts once'),
        named_struct('check', 'no_positive_order', 'severity', 'info', 'affected', unscored,
            'message', 'customers whose orders have no positive amount are not scored'),
        named_struct('check', 'negative_monetary', 'severity', 'warn', 'affected', negative,
            'message', 'customers were refunded more than they paid; they score lowest'),
        named_struct('check', 'too_few_customers', 'severity', 'warn',
            'affected', CASE WHEN scorable < greatest(k, min_customers) THEN scorable ELSE 0 END,
            'message', 'so few customers can be scored that scores say little'),
        named_struct('check', 'no_customers', 'severity', 'error', 'affected', CASE WHEN scorable = 0 THEN 1 ELSE 0 END,
            'message', 'no customer can be scored'),
        named_struct('check', 'no_variance_frequency', 'severity', 'warn',
            'affected', CASE WHEN f_low = f_high THEN scorable ELSE 0 END,
            'message', 'all customers have the same number of orders: every frequency score is 1'),
        named_struct('check', 'no_variance_monetary', 'severity', 'warn',
            'affected', CASE WHEN m_low = m_high THEN scorable ELSE 0 END,
            'message', 'all customers have the same amount: every monetary score is 1'),
        named_struct('check', 'no_variance_recency', 'severity', 'warn',
            'affected', CASE WHEN r_low = r_high THEN scorable ELSE 0 END,
            'message', 'all customers bought last on the same day before as_of: every recency score is 1')
    )) AS found
    FROM order_facts CROSS JOIN customer_facts
)

SELECT found['check'] AS "check", found['severity'] AS severity, found['affected'] AS affected, found['message'] AS message
FROM listed
WHERE found['affected'] > 0
