-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Where the lines of product_matrix lie, and what each quadrant weighs: its products, units, revenue and margin.
-- reads    placed through product_matrix the orders, and by name what product_matrix and sku_true_cost take
-- returns  period_start DATE first day of the period
-- returns  quadrant VARCHAR cash_cow, urgent_optimisation, premium_niche, stop_or_pivot, or (none) for what has no place
-- returns  volume_threshold DOUBLE where high volume begins
-- returns  margin_threshold DOUBLE where high margin begins
-- returns  products BIGINT how many products lie there
-- returns  net_units BIGINT what they sold and did not get back
-- returns  net_revenue NUMERIC what that brought
-- returns  total_margin NUMERIC what was left of it, of the products whose margin is known
-- returns  share_of_products DOUBLE their share of the period's products
-- returns  share_of_revenue DOUBLE their share of its revenue; NULL where that is not positive
-- grain    one row per period and quadrant that holds a product
-- source   the sums of product_matrix by quadrant
-- example  SELECT quadrant, volume_threshold, margin_threshold, products, net_revenue, total_margin FROM product_matrix_thresholds() ORDER BY quadrant
CREATE MACRO product_matrix_thresholds(placed) AS TABLE
WITH quadrants AS (
    SELECT
        period_start,
        coalesce(quadrant, '(none)') AS quadrant,
        max(volume_threshold) AS volume_threshold,
        max(margin_threshold) AS margin_threshold,
        count(*) AS products,
        sum(net_units) AS net_units,
        sum(net_revenue) AS net_revenue,
        sum(total_margin) AS total_margin
    FROM placed
    GROUP BY period_start, coalesce(quadrant, '(none)')
),

totalled AS (
    SELECT
        *,
        sum(products) OVER (PARTITION BY period_start) AS all_products,
        sum(net_revenue) OVER (PARTITION BY period_start) AS all_revenue
    FROM quadrants
)

SELECT
    period_start,
    quadrant,
    volume_threshold,
    margin_threshold,
    products,
    net_units,
    net_revenue,
    total_margin,
    CAST(products AS DOUBLE) / CAST(all_products AS DOUBLE) AS share_of_products,
    CASE WHEN all_revenue > 0 THEN CAST(net_revenue AS DOUBLE) / CAST(all_revenue AS DOUBLE) END AS share_of_revenue
FROM totalled
