-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    What to know before trusting price_elasticity on this data: what was left out of the sales, what is not known and so
--          cannot be held apart from the price (stock, promotions, seasons, costs), and how many answers bear each doubt.
-- reads    sales through unit_sales the lines of orders, or any relation of sales with a sku, a quantity and a price
-- reads    products?(product_sku ANY, unit_cost NUMERIC?, product_group ANY?) what a unit costs, and what a sku belongs to
-- column   product_sku = sku
-- column   unit_cost = unit_cost_amount
-- reads    stock?(stock_sku ANY, stock_date DATE, available_quantity NUMERIC) the stock of each day
-- column   stock_sku = sku
-- column   stock_date = snapshot_date
-- reads    calendar?(promo_date DATE, event_type VARCHAR) the days of promotions, which are those of type promotion
-- column   promo_date = date
-- column   event_type = type
-- param    grain VARCHAR 'day'|'week'|'month'|'row' what an observation is
-- param    method VARCHAR 'auto'|'simple'|'midpoint'|'loglog'|'ppml'|'panel'|'panel_ppml' the headline, as of price_elasticity
-- param    controls VARCHAR 'auto'|'none'|'trend'|'season' what a regression holds fixed
-- param    price_basis VARCHAR 'net'|'list' the price after or before discount
-- param    exclude_promo BOOLEAN whether periods with a promotion are left out
-- param    exclude_stockout BOOLEAN whether periods with a day out of stock are left out
-- param    min_price_points INTEGER 2..1000 prices below which a regression says little
-- param    min_periods INTEGER 3..100000 periods below which a regression says little
-- param    min_price_cv DOUBLE 0..10 the deviation of the prices over their mean below which they hardly vary
-- param    conf DOUBLE 0.5..0.9999 the confidence of the interval
-- returns  check VARCHAR what was looked at; the warnings of price_elasticity are checks by their names
-- returns  severity VARCHAR info, warn or error
-- returns  affected BIGINT how many lines, days or answers (skus, or panels) it concerns
-- returns  message VARCHAR what it means
-- grain    one row per check that found something
-- source   the edge cases of the definition of price_elasticity
-- example  SELECT "check", severity, affected FROM price_elasticity_checks() ORDER BY "check"
CREATE MACRO price_elasticity_checks(
    sales,
    products := products,
    stock := stock,
    calendar := calendar,
    grain := 'week',
    method := 'auto',
    controls := 'auto',
    price_basis := 'net',
    exclude_promo := true,
    exclude_stockout := true,
    min_price_points := 3,
    min_periods := 12,
    min_price_cv := 0.02,
    conf := 0.95
) AS TABLE
WITH line_facts AS (
    SELECT
        count(*) AS lines,
        count(*) FILTER (WHERE quantity > 0 AND price > 0 AND net_price > 0) AS sold,
        count(*) FILTER (WHERE quantity IS NULL OR price IS NULL) AS incomplete,
        count(*) FILTER (WHERE quantity > 0 AND (price <= 0 OR net_price <= 0)) AS free,
        count(*) FILTER (WHERE quantity > 0 AND date IS NULL) AS without_time,
        count(promo) AS promo_known,
        max(CAST(date AS DATE)) AS last_day,
        min(CAST(date AS DATE)) AS first_day
    FROM sales
),

currency_facts AS (
    SELECT count(*) FILTER (WHERE currencies > 1) AS mixed
    FROM (SELECT sku, count(DISTINCT currency) AS currencies FROM sales GROUP BY sku)
),

known AS (
    SELECT
        (SELECT count(*) FROM stock) AS stocked,
        (SELECT count(*) FROM calendar WHERE event_type = 'promotion') AS promotions,
        (SELECT count(*) FROM products WHERE unit_cost > 0) AS costs
),

-- The discount of a line is what lies between its price and its net sales.
answers AS (
    SELECT elasticity, decision, string_to_array(coalesce(warnings, ''), ',') AS doubts
    FROM price_elasticity(
        (SELECT sku, date, quantity, price, promo, price * quantity - net_sales AS total_discount FROM sales),
        products => products,
        stock => stock,
        calendar => calendar,
        grain => grain,
        method => method,
        controls => controls,
        price_basis => price_basis,
        exclude_promo => exclude_promo,
        exclude_stockout => exclude_stockout,
        min_price_points => min_price_points,
        min_periods => min_periods,
        min_price_cv => min_price_cv,
        conf => conf
    )
),

answer_facts AS (
    SELECT
        count(*) AS answers,
        count(elasticity) AS estimates,
        count(*) FILTER (WHERE decision = 'inconclusive') AS inconclusive,
        count(*) FILTER (WHERE array_has(doubts, 'wrong_sign')) AS wrong_sign,
        count(*) FILTER (WHERE array_has(doubts, 'few_prices')) AS few_prices,
        count(*) FILTER (WHERE array_has(doubts, 'few_periods')) AS few_periods,
        count(*) FILTER (WHERE array_has(doubts, 'low_price_variation')) AS low_price_variation,
        count(*) FILTER (WHERE array_has(doubts, 'promo_confounded')) AS promo_confounded,
        count(*) FILTER (WHERE array_has(doubts, 'stockout_censored')) AS stockout_censored,
        count(*) FILTER (WHERE array_has(doubts, 'endogenous_price')) AS endogenous_price,
        count(*) FILTER (WHERE array_has(doubts, 'seasonal')) AS seasonal,
        count(*) FILTER (WHERE array_has(doubts, 'zero_sales')) AS zero_sales,
        count(*) FILTER (WHERE array_has(doubts, 'carried_prices')) AS carried_prices,
        count(*) FILTER (WHERE array_has(doubts, 'separated')) AS separated,
        count(*) FILTER (WHERE array_has(doubts, 'not_identified')) AS not_identified,
        count(*) FILTER (WHERE array_has(doubts, 'not_converged')) AS not_converged,
        count(*) FILTER (WHERE array_has(doubts, 'few_skus')) AS few_skus
    FROM answers
),

-- One row of facts becomes a list of checks: a UNION would compute the facts once for every check.
listed AS (
    SELECT unnest(make_array(
        named_struct('check', 'no_sales', 'severity', 'error', 'affected', CASE WHEN sold = 0 THEN 1 ELSE 0 END,
            'message', 'nothing was sold at a price'),
        named_struct('check', 'mixed_currencies', 'severity', 'error', 'affected', mixed,
            'message', 'skus were sold in more than one currency, which price_elasticity refuses: filter one, or convert the prices'),
        named_struct('check', 'amount_missing', 'severity', 'warn', 'affected', incomplete,
            'message', 'lines without a quantity or a price are left out'),
        named_struct('check', 'free_lines_excluded', 'severity', 'info', 'affected', free,
            'message', 'lines that cost nothing are no sales at a price'),
        named_struct('check', 'time_missing', 'severity', 'warn', 'affected', without_time,
            'message', 'lines have no time: each is an observation of its own, and nothing of its week is known'),
        named_struct('check', 'short_history', 'severity', 'info',
            'affected', CASE WHEN CAST(last_day AS INTEGER) - CAST(first_day AS INTEGER) < 729 THEN CAST(last_day AS INTEGER) - CAST(first_day AS INTEGER) + 1 ELSE 0 END,
            'message', 'days of sales are fewer than two years: a season cannot be told from the price'),
        named_struct('check', 'stock_unknown', 'severity', 'info', 'affected', CASE WHEN exclude_stockout AND stocked = 0 THEN lines ELSE 0 END,
            'message', 'there is no stock: a week of an empty shelf looks like a week without demand'),
        named_struct('check', 'promotions_unknown', 'severity', 'info',
            'affected', CASE WHEN exclude_promo AND promotions = 0 AND promo_known = 0 THEN lines ELSE 0 END,
            'message', 'neither calendar nor sales say what was a promotion: what it sold counts as an answer to the price'),
        named_struct('check', 'costs_unknown', 'severity', 'info', 'affected', CASE WHEN costs = 0 THEN answers ELSE 0 END,
            'message', 'no product has a cost: there is no optimal_price and no margin_delta_5pct'),
        named_struct('check', 'no_estimate', 'severity', 'warn', 'affected', answers - estimates,
            'message', 'answers have no elasticity; their warnings say why'),
        named_struct('check', 'inconclusive', 'severity', 'info', 'affected', inconclusive,
            'message', 'the interval holds 1, or there is none: the price could go either way'),
        named_struct('check', 'wrong_sign', 'severity', 'warn', 'affected', wrong_sign,
            'message', 'more is sold of these skus at a higher price: something else moves both'),
        named_struct('check', 'few_prices', 'severity', 'warn', 'affected', few_prices,
            'message', 'these skus had fewer than min_price_points prices, and one could hardly tell'),
        named_struct('check', 'few_periods', 'severity', 'warn', 'affected', few_periods,
            'message', 'these skus were sold in fewer than min_periods periods'),
        named_struct('check', 'low_price_variation', 'severity', 'warn', 'affected', low_price_variation,
            'message', 'the prices of these skus hardly vary'),
        named_struct('check', 'promo_confounded', 'severity', 'warn', 'affected', promo_confounded,
            'message', 'periods of promotions are among those that count; exclude_promo leaves them out'),
        named_struct('check', 'stockout_censored', 'severity', 'warn', 'affected', stockout_censored,
            'message', 'periods out of stock are among those that count; exclude_stockout leaves them out'),
        named_struct('check', 'endogenous_price', 'severity', 'warn', 'affected', endogenous_price,
            'message', 'the price of these skus follows what was sold before: it is an answer to demand, not only its cause'),
        named_struct('check', 'seasonal', 'severity', 'warn', 'affected', seasonal,
            'message', 'the months of the year matter and are not held fixed; controls => season does'),
        named_struct('check', 'zero_sales', 'severity', 'info', 'affected', zero_sales,
            'message', 'periods without a sale were dropped by loglog; ppml keeps them'),
        named_struct('check', 'carried_prices', 'severity', 'warn', 'affected', carried_prices,
            'message', 'more than half of the periods had no sale and took the price of another, which draws the elasticity towards 0'),
        named_struct('check', 'separated', 'severity', 'info', 'affected', separated,
            'message', 'months without any sale were dropped by ppml'),
        named_struct('check', 'not_identified', 'severity', 'warn', 'affected', not_identified,
            'message', 'trend and months, or skus and periods, explain the price whole'),
        named_struct('check', 'not_converged', 'severity', 'warn', 'affected', not_converged,
            'message', 'these skus sold at one price only'),
        named_struct('check', 'few_skus', 'severity', 'warn', 'affected', few_skus,
            'message', 'a panel of fewer than 30 skus: its errors are too small')
    )) AS found
    FROM line_facts CROSS JOIN currency_facts CROSS JOIN known CROSS JOIN answer_facts
)

SELECT found['check'] AS "check", found['severity'] AS severity, found['affected'] AS affected, found['message'] AS message
FROM listed
WHERE found['affected'] > 0
