-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    How demand for each sku answers to its price: the elasticity by the method that the data allow, with its interval,
--          what it says about raising or lowering the price, and what to doubt.
--          Sales are added up to periods, from the first to the last with a sale. The price of a period is the mean net
--          price of its units; a period without a sale takes the price of the nearest one. Units of a free line (a gift) and returns
--          are no sales. Periods with a promotion or a day out of stock are left out: a promotion sells more than its price
--          does, and an empty shelf sells nothing at any price.
--          Where only some buyers have a discount code, the net price of a week also tells who bought, not only what was
--          asked, which draws the elasticity towards 0; price_basis => 'list' then measures the price that everybody saw.
--          A price test stands in simple_elasticity and midpoint_elasticity, and is the headline where the sales allow no
--          regression: two weeks have no interval, and cannot decide.
--          What other skus cost is not held fixed: in a large shop, whose estimates are sharp, method => 'panel' takes out
--          what moves all skus together.
-- reads    sales through unit_sales the lines of orders, or any relation of sales with a sku, a quantity and a price
-- reads    products?(product_sku ANY, unit_cost NUMERIC?, product_group ANY?) what a unit costs, for optimal_price and margin_delta_5pct,
--          and what a sku belongs to, such as product_group => product_type
-- column   product_sku = sku
-- column   unit_cost = unit_cost_amount
-- reads    stock?(stock_sku ANY, stock_date DATE, available_quantity NUMERIC) the stock of each day; a sku is out of stock on a day on which no place has any left
-- column   stock_sku = sku
-- column   stock_date = snapshot_date
-- reads    calendar?(promo_date DATE, event_type VARCHAR) the days of promotions, which are those of type promotion; they concern every sku
-- column   promo_date = date
-- column   event_type = type
-- reads    price_tests?(test_sku ANY, test_cell VARCHAR, test_price NUMERIC, test_start DATE, test_end DATE) prices tried on purpose; the cell A is the baseline
-- column   test_sku = sku
-- column   test_cell = cell
-- column   test_price = price
-- column   test_start = start
-- column   test_end = "end"
-- param    grain VARCHAR 'day'|'week'|'month'|'row' what an observation is: a day, a week from Monday, a month, or each row of
--          sales by itself, which is also what rows without any date are
-- param    method VARCHAR 'auto'|'simple'|'midpoint'|'loglog'|'ppml'|'panel'|'panel_ppml' the headline: auto takes midpoint below
--          min_price_points prices or min_periods periods, else loglog, but ppml where a fifth of the periods or more have no
--          sale or where quantities are counts with a mean below 20, whose logarithms are biased. panel and panel_ppml give
--          one row for the skus of each product_group together, or for all of them without one, with an effect of each sku and
--          of each period and errors clustered by sku
-- param    controls VARCHAR 'auto'|'none'|'trend'|'season' what a regression holds fixed: nothing, a linear trend, that and
--          the months of the year; auto takes season from two years and 56 periods on, trend from half a year on. Promotions
--          that are kept are controlled for, except with none
-- param    price_basis VARCHAR 'net'|'list' the price after or before discount
-- param    exclude_promo BOOLEAN whether periods with a promotion, by the calendar or by a column promo of sales, are left out
-- param    exclude_stockout BOOLEAN whether periods with a day out of stock are left out
-- param    min_price_points INTEGER 2..1000 prices below which a regression says little; prices within 0.1 % are one
-- param    min_periods INTEGER 3..100000 periods below which a regression says little
-- param    min_price_cv DOUBLE 0..10 the deviation of the prices over their mean below which they hardly vary
-- param    conf DOUBLE 0.5..0.9999 the confidence of the interval
-- returns  sku ANY the sku; NULL for panel and panel_ppml
-- returns  method VARCHAR the method used: loglog, ppml, midpoint or simple; NULL where none was possible
-- returns  elasticity DOUBLE percent of quantity for one percent of price, with its sign
-- returns  elasticity_abs DOUBLE without its sign
-- returns  std_error DOUBLE its standard error, robust to unequal variances (HC1); NULL for simple and midpoint
-- returns  ci_low DOUBLE the lower end of its confidence interval, by Student's t with n - k degrees of freedom
-- returns  ci_high DOUBLE the upper end
-- returns  p_value DOUBLE of an elasticity of 0
-- returns  r2 DOUBLE the share of the variance of ln quantity (loglog) or of the deviance (ppml) that is explained
-- returns  n_obs BIGINT the observations that count
-- returns  n_prices BIGINT the different prices among them; NULL for a panel, as the prices that follow are
-- returns  price_min DOUBLE the lowest price of a period
-- returns  price_max DOUBLE the highest
-- returns  simple_elasticity DOUBLE ((Q2 - Q1) / Q1) / ((P2 - P1) / P1): in a price test, of cell A and the cell whose price
--          is farthest from it, by units a day; else of the mean price and quantity of the periods on either side of the
--          geometric middle of the lowest and the highest price, from the side of the first period
-- returns  midpoint_elasticity DOUBLE the same with the changes over the means of the two
-- returns  decision VARCHAR raise when the whole interval of the absolute elasticity is below 1, lower when it is above 1,
--          else inconclusive; NULL without an elasticity
-- returns  point_decision VARCHAR the same from the elasticity alone, however unsure: raise, lower or keep
-- returns  optimal_price DOUBLE the price of the highest margin, cost * e / (1 + e); NULL unless e < -1 and the cost is known
-- returns  revenue_delta_5pct DOUBLE the share by which revenue changes when the price rises by 5 %: 1.05 ^ (1 + e) - 1
-- returns  margin_delta_5pct DOUBLE the same for the margin at the last price; NULL unless that is above a known cost
-- returns  warnings VARCHAR doubts, separated by commas, NULL for none. wrong_sign: more is sold at a higher price.
--          few_prices, few_periods: fewer than min_price_points or min_periods. low_price_variation: below min_price_cv.
--          promo_confounded, stockout_censored: such periods are among those that count. endogenous_price: the price follows
--          what the period before sold beyond expectation (p < 0.01). seasonal: the months of the year matter and are not
--          held fixed (F test on ln(1 + q), p < 0.01). zero_sales: periods without a sale were dropped by loglog.
--          carried_prices: more than half of the periods had no sale and took the price of another, which draws the
--          elasticity towards 0. separated:
--          months without any sale were dropped by ppml. not_identified: trend and months explain the price whole.
--          not_converged: sales at one price only. few_skus: a panel of fewer than 30
-- returns  product_group ANY what the sku belongs to, or the skus of the panel; NULL where products do not say
-- grain    one row per sku that was sold; for panel and panel_ppml one row per product_group
-- source   loglog: least squares of ln quantity on ln price and controls with White's errors, times n / (n - k) (MacKinnon and
--          White 1985, HC1). ppml: Poisson pseudo maximum likelihood (Santos Silva and Tenreyro 2006). optimal_price: Lerner's
--          rule. panel: two-way effects, taken out exactly, and CRV1 with the small-sample corrections of fixest. Agrees with
--          statsmodels and pyfixest to 1e-8
-- example  SELECT sku, elasticity, ci_low, ci_high, decision, warnings FROM price_elasticity() ORDER BY std_error LIMIT 10
CREATE MACRO price_elasticity(
    sales,
    products := products,
    stock := stock,
    calendar := calendar,
    price_tests := price_tests,
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
WITH priced AS (
    SELECT
        sku, date, CAST(quantity AS DOUBLE) AS quantity,
        CASE WHEN price_basis = 'list' THEN CAST(price AS DOUBLE) ELSE net_price END AS price,
        promo, currency
    FROM sales
),

-- What is known of days on which nothing was sold.
rows AS (
    SELECT sku, date, quantity, price, promo, CAST(NULL AS BOOLEAN) AS out_of_stock, currency
    FROM priced
    UNION ALL
    SELECT
        stock_sku, CAST(stock_date AS TIMESTAMP), CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE), CAST(NULL AS BOOLEAN), true,
        CAST(NULL AS VARCHAR)
    FROM (
        SELECT stock_sku, stock_date
        FROM stock
        WHERE grain <> 'row'
        GROUP BY stock_sku, stock_date
        HAVING sum(available_quantity) <= 0
    )
    UNION ALL
    SELECT
        skus.sku, CAST(days.promo_date AS TIMESTAMP), CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE), true, CAST(NULL AS BOOLEAN),
        CAST(NULL AS VARCHAR)
    FROM (SELECT DISTINCT promo_date FROM calendar WHERE event_type = 'promotion' AND grain <> 'row') AS days
    CROSS JOIN (SELECT DISTINCT sku FROM priced) AS skus
),

periods AS (
    SELECT
        sku,
        CASE
            WHEN min(currency) <> max(currency)
                THEN raise('a sku was sold in more than one currency: filter one, or convert the prices')
            ELSE price_periods(date, quantity, price, promo, out_of_stock, grain)
        END AS periods
    FROM rows
    GROUP BY sku
    HAVING count(quantity) > 0
),

fitted AS (
    SELECT
        sku,
        elasticity_fit(
            periods, method, controls, exclude_promo, exclude_stockout, min_price_points, min_periods, min_price_cv, conf
        ) AS fit
    FROM periods
),

catalogue AS (
    SELECT product_sku, max(CAST(unit_cost AS DOUBLE)) AS cost, max(product_group) AS product_group
    FROM products
    GROUP BY product_sku
),

pooled AS (
    SELECT
        nullif(max(p.sku), max(p.sku)) AS sku,
        c.product_group,
        elasticity_panel(p.periods, method, exclude_promo, exclude_stockout, conf) AS fit
    FROM catalogue AS c
    RIGHT JOIN periods AS p ON c.product_sku = p.sku
    GROUP BY c.product_group
),

-- The cells of a price test, and what each sold a day.
cells AS (
    SELECT t.test_sku, t.test_cell, t.price, coalesce(sum(s.quantity), 0) / t.days AS quantity
    FROM (
        SELECT
            test_sku, test_cell, CAST(test_price AS DOUBLE) AS price, test_start, test_end,
            CAST(test_end AS INTEGER) - CAST(test_start AS INTEGER) + 1 AS days
        FROM price_tests
        WHERE test_price > 0 AND test_end >= test_start
    ) AS t
    LEFT JOIN priced AS s
        ON t.test_sku = s.sku AND CAST(s.date AS DATE) >= t.test_start AND CAST(s.date AS DATE) <= t.test_end
    GROUP BY t.test_sku, t.test_cell, t.price, t.test_start, t.test_end, t.days
),

-- The cell farthest from the baseline, the cheaper of two equally far.
tested AS (
    SELECT
        test_sku, p1, q1,
        first_value(p2 ORDER BY distance DESC, p2, q2) AS p2,
        first_value(q2 ORDER BY distance DESC, p2, q2) AS q2
    FROM (
        SELECT
            base.test_sku, base.price AS p1, base.quantity AS q1, c.price AS p2, c.quantity AS q2,
            abs(ln(c.price / base.price)) AS distance
        FROM cells AS base
        INNER JOIN cells AS c ON base.test_sku = c.test_sku
        WHERE base.test_cell = 'A' AND c.test_cell <> 'A' AND c.price <> base.price
    )
    GROUP BY test_sku, p1, q1
),

headed AS (
    SELECT
        f.sku,
        f.fit,
        c.cost,
        c.product_group,
        CASE WHEN tested.q1 > 0 THEN ((tested.q2 - tested.q1) / tested.q1) / ((tested.p2 - tested.p1) / tested.p1) END AS test_simple,
        CASE
            WHEN tested.q1 + tested.q2 > 0
                THEN ((tested.q2 - tested.q1) / (tested.q2 + tested.q1)) / ((tested.p2 - tested.p1) / (tested.p2 + tested.p1))
        END AS test_midpoint
    FROM catalogue AS c
    RIGHT JOIN fitted AS f ON c.product_sku = f.sku
    LEFT JOIN tested ON f.sku = tested.test_sku
),

answered AS (
    SELECT
        sku,
        fit['method'] AS used,
        CASE fit['method']
            WHEN 'simple' THEN coalesce(test_simple, fit['elasticity'])
            WHEN 'midpoint' THEN coalesce(test_midpoint, fit['elasticity'])
            ELSE fit['elasticity']
        END AS elasticity,
        fit['std_error'] AS std_error,
        fit['ci_low'] AS ci_low,
        fit['ci_high'] AS ci_high,
        fit['p_value'] AS p_value,
        fit['r2'] AS r2,
        fit['n_obs'] AS n_obs,
        fit['n_prices'] AS n_prices,
        fit['price_min'] AS price_min,
        fit['price_max'] AS price_max,
        fit['price_last'] AS price_last,
        coalesce(test_simple, fit['simple_elasticity']) AS simple_elasticity,
        coalesce(test_midpoint, fit['midpoint_elasticity']) AS midpoint_elasticity,
        fit['warnings'] AS warnings,
        cost,
        product_group
    FROM headed
    WHERE method <> 'panel' AND method <> 'panel_ppml'
    UNION ALL
    SELECT
        sku, method AS used, fit['elasticity'] AS elasticity, fit['std_error'] AS std_error, fit['ci_low'] AS ci_low,
        fit['ci_high'] AS ci_high, fit['p_value'] AS p_value, fit['r2'] AS r2, fit['n_obs'] AS n_obs,
        CAST(NULL AS BIGINT) AS n_prices, CAST(NULL AS DOUBLE) AS price_min, CAST(NULL AS DOUBLE) AS price_max,
        CAST(NULL AS DOUBLE) AS price_last, CAST(NULL AS DOUBLE) AS simple_elasticity,
        CAST(NULL AS DOUBLE) AS midpoint_elasticity, fit['warnings'] AS warnings, CAST(NULL AS DOUBLE) AS cost,
        product_group
    FROM pooled
    WHERE method = 'panel' OR method = 'panel_ppml'
)

SELECT
    sku,
    used AS method,
    elasticity,
    abs(elasticity) AS elasticity_abs,
    std_error,
    ci_low,
    ci_high,
    p_value,
    r2,
    n_obs,
    n_prices,
    price_min,
    price_max,
    simple_elasticity,
    midpoint_elasticity,
    CASE
        WHEN elasticity IS NULL THEN CAST(NULL AS VARCHAR)
        WHEN elasticity > 0 THEN 'inconclusive'
        WHEN ci_low > -1 AND ci_high < 1 THEN 'raise'
        WHEN ci_high < -1 THEN 'lower'
        ELSE 'inconclusive'
    END AS decision,
    CASE
        WHEN elasticity IS NULL THEN CAST(NULL AS VARCHAR)
        WHEN elasticity > 0 THEN 'inconclusive'
        WHEN elasticity > -1 THEN 'raise'
        WHEN elasticity < -1 THEN 'lower'
        ELSE 'keep'
    END AS point_decision,
    CASE WHEN elasticity < -1 AND cost > 0 THEN cost * elasticity / (1 + elasticity) END AS optimal_price,
    power(CAST(1.05 AS DOUBLE), 1 + elasticity) - 1 AS revenue_delta_5pct,
    CASE
        WHEN price_last > cost THEN (1.05 * price_last - cost) * power(CAST(1.05 AS DOUBLE), elasticity) / (price_last - cost) - 1
    END AS margin_delta_5pct,
    warnings,
    product_group
FROM answered
