-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Which skus take sales from each other and which sell together: how the quantity of each of the skus most often
--          bought with others answers to the price of each other one, its own price held fixed. Sales become periods as in
--          price_elasticity; periods in which either sku was in a promotion or out of stock are left out.
--          Among 380 pairs some twenty are significant at 5 % by chance alone: read p_value with that in mind.
-- reads    sales through unit_sales the lines of orders, or any relation of sales with a sku, a date, a quantity and a price
-- reads    stock?(stock_sku ANY, stock_date DATE, available_quantity NUMERIC) the stock of each day
-- column   stock_sku = sku
-- column   stock_date = snapshot_date
-- reads    calendar?(promo_date DATE, event_type VARCHAR) the days of promotions, which are those of type promotion
-- column   promo_date = date
-- column   event_type = type
-- param    k INTEGER 2..200 how many skus: those in the most orders with another sku, then those with the most units
-- param    grain VARCHAR 'day'|'week'|'month' what an observation is
-- param    controls VARCHAR 'auto'|'none'|'trend'|'season' what a regression holds fixed, as for price_elasticity
-- param    price_basis VARCHAR 'net'|'list' the price after or before discount
-- param    exclude_promo BOOLEAN whether periods with a promotion are left out
-- param    exclude_stockout BOOLEAN whether periods with a day out of stock are left out
-- param    conf DOUBLE 0.5..0.9999 the confidence of the interval
-- returns  sku_a ANY the sku whose quantity changes
-- returns  sku_b ANY the sku whose price changes
-- returns  cross_elasticity DOUBLE percent of the quantity of a for one percent of the price of b
-- returns  relation VARCHAR substitute above 0, complement below 0; NULL without an estimate
-- returns  method VARCHAR loglog or ppml, as price_elasticity chooses for sku_a
-- returns  std_error DOUBLE its standard error (HC1)
-- returns  ci_low DOUBLE the lower end of its confidence interval
-- returns  ci_high DOUBLE the upper end
-- returns  p_value DOUBLE of a cross elasticity of 0
-- returns  n_obs BIGINT the periods that count
-- returns  is_significant BOOLEAN whether the interval leaves out 0
-- returns  warnings VARCHAR why there is no estimate: few_periods, not_identified or not_converged; NULL for none
-- grain    one row per ordered pair of two of the k skus
-- source   least squares of ln quantity, or Poisson regression of quantity, on both ln prices and controls, HC1
-- example  SELECT sku_a, sku_b, cross_elasticity, relation, p_value FROM cross_price_elasticity(k => 6) ORDER BY p_value LIMIT 10
CREATE MACRO cross_price_elasticity(
    sales,
    stock := stock,
    calendar := calendar,
    k := 20,
    grain := 'week',
    controls := 'auto',
    price_basis := 'net',
    exclude_promo := true,
    exclude_stockout := true,
    conf := 0.95
) AS TABLE
WITH baskets AS (
    SELECT order_id, array_agg(DISTINCT sku) AS skus
    FROM sales
    WHERE order_id IS NOT NULL AND quantity > 0
    GROUP BY order_id
    HAVING count(DISTINCT sku) > 1
),

shared AS (
    SELECT sku, count(*) AS orders
    FROM (SELECT unnest(skus) AS sku FROM baskets)
    GROUP BY sku
),

chosen AS (
    SELECT units.sku
    FROM shared
    RIGHT JOIN (SELECT sku, sum(quantity) AS units FROM sales GROUP BY sku HAVING sum(quantity) > 0) AS units
        ON shared.sku = units.sku
    ORDER BY coalesce(shared.orders, 0) DESC, units.units DESC, units.sku
    LIMIT k
),

rows AS (
    SELECT
        s.sku, s.date, CAST(s.quantity AS DOUBLE) AS quantity,
        CASE WHEN price_basis = 'list' THEN CAST(s.price AS DOUBLE) ELSE s.net_price END AS price,
        s.promo, CAST(NULL AS BOOLEAN) AS out_of_stock
    FROM chosen
    INNER JOIN sales AS s ON chosen.sku = s.sku
    UNION ALL
    SELECT
        empty.stock_sku, CAST(empty.stock_date AS TIMESTAMP), CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE), CAST(NULL AS BOOLEAN), true
    FROM chosen
    INNER JOIN (
        SELECT stock_sku, stock_date
        FROM stock
        GROUP BY stock_sku, stock_date
        HAVING sum(available_quantity) <= 0
    ) AS empty ON chosen.sku = empty.stock_sku
    UNION ALL
    SELECT
        chosen.sku, CAST(days.promo_date AS TIMESTAMP), CAST(NULL AS DOUBLE), CAST(NULL AS DOUBLE), true, CAST(NULL AS BOOLEAN)
    FROM (SELECT DISTINCT promo_date FROM calendar WHERE event_type = 'promotion') AS days
    CROSS JOIN chosen
),

periods AS (
    SELECT sku, price_periods(date, quantity, price, promo, out_of_stock, grain) AS periods
    FROM rows
    GROUP BY sku
),

fitted AS (
    SELECT
        a.sku AS sku_a,
        b.sku AS sku_b,
        cross_elasticity(a.periods, b.periods, controls, exclude_promo, exclude_stockout, conf) AS fit
    FROM periods AS a
    INNER JOIN periods AS b ON a.sku <> b.sku
)

SELECT
    sku_a,
    sku_b,
    fit['cross_elasticity'] AS cross_elasticity,
    CASE
        WHEN fit['cross_elasticity'] > 0 THEN 'substitute'
        WHEN fit['cross_elasticity'] < 0 THEN 'complement'
    END AS relation,
    fit['method'] AS method,
    fit['std_error'] AS std_error,
    fit['ci_low'] AS ci_low,
    fit['ci_high'] AS ci_high,
    fit['p_value'] AS p_value,
    fit['n_obs'] AS n_obs,
    fit['ci_low'] > 0 OR fit['ci_high'] < 0 AS is_significant,
    fit['reason'] AS warnings
FROM fitted
