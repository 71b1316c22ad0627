-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    What to do with each product: volume across, margin up, and four quadrants: cash cows (both high), urgent
--          optimisation (volume without margin), premium niche (margin without volume), stop or pivot (neither).
--          High is at or above the threshold, so that with equal values all are high. Products without a unit that stayed
--          sold, without revenue (samples, gift cards) or without a known margin are listed without a quadrant, and do not
--          move the thresholds. High among the others may still be a loss: warnings say so.
-- reads    skus through sku_true_cost the orders, and by name the tables and arguments of sku_true_cost
-- param    volume VARCHAR 'net_units'|'net_revenue' what lies across
-- param    margin VARCHAR 'unit_margin'|'margin_rate' what goes up: money per unit, or the share of revenue
-- param    threshold VARCHAR 'median'|'mean'|'percentile'|'value' where high begins: the median or the mean of the products, a
--          quantile of them, or a value
-- param    volume_threshold DOUBLE for percentile the quantile from 0 to 1; for value the volume
-- param    margin_threshold DOUBLE for percentile the quantile from 0 to 1; for value the margin
-- param    language VARCHAR 'en'|'fr' the language of quadrant_label and action
-- returns  sku ANY the product
-- returns  product_id ANY the product of which it is a variant
-- returns  title VARCHAR its name
-- returns  volume DOUBLE units or revenue that stayed
-- returns  margin DOUBLE margin per unit or as a share of revenue, after all costs that are known
-- returns  volume_threshold DOUBLE where high volume begins
-- returns  margin_threshold DOUBLE where high margin begins
-- returns  quadrant VARCHAR cash_cow, urgent_optimisation, premium_niche or stop_or_pivot
-- returns  quadrant_label VARCHAR its name
-- returns  action VARCHAR what to do
-- returns  net_units BIGINT units that stayed sold
-- returns  net_revenue NUMERIC what they brought
-- returns  total_margin NUMERIC net revenue less total cost
-- returns  margin_share DOUBLE the product's share of all positive total margins of the period
-- returns  cumulative_margin_share DOUBLE the share of the products with as much margin or more: 20 % of products make 80 % of margin
-- returns  is_complete BOOLEAN false where components of the cost are missing, and the margin is too good
-- returns  period_start DATE first day of the row
-- returns  warnings VARCHAR why there is no quadrant: no_sales, all_returned, no_revenue or margin_unknown; or negative_margin
--          where a high margin is below zero; NULL for none
-- grain    one row per row of sku_true_cost
-- source   the growth-share matrix of the Boston Consulting Group, with volume and margin; the quantile is type 7
-- example  SELECT sku, volume, margin, quadrant, action FROM product_matrix() ORDER BY sku LIMIT 10
CREATE MACRO product_matrix(
    skus,
    volume := 'net_units',
    margin := 'unit_margin',
    threshold := 'median',
    volume_threshold := NULL,
    margin_threshold := NULL,
    language := 'en'
) AS TABLE
WITH measured AS (
    SELECT
        sku, product_id, title, units_sold, net_units, net_revenue, is_complete, period_start,
        CAST(net_revenue - total_cost AS DECIMAL(18, 4)) AS total_margin,
        CASE WHEN volume = 'net_units' THEN CAST(net_units AS DECIMAL(38, 12)) ELSE CAST(net_revenue AS DECIMAL(38, 12)) END AS across,
        CASE WHEN margin = 'unit_margin' THEN CAST(unit_margin AS DECIMAL(38, 12)) ELSE CAST(margin_rate AS DECIMAL(38, 12)) END AS up
    FROM skus
),

eligible AS (
    SELECT
        m.*,
        CASE WHEN net_units > 0 AND net_revenue > 0 AND up IS NOT NULL THEN across END AS x,
        CASE WHEN net_units > 0 AND net_revenue > 0 AND up IS NOT NULL THEN up END AS y
    FROM measured AS m
),

-- The arguments of threshold are checked where a row meets them.
limits AS (
    SELECT
        e.*,
        CASE
            WHEN threshold = 'median' THEN percentile_cont(CAST(x AS DOUBLE), 0.5) OVER (PARTITION BY period_start)
            WHEN threshold = 'mean' THEN CAST(avg(x) OVER (PARTITION BY period_start) AS DOUBLE)
            WHEN volume_threshold IS NULL THEN raise('threshold percentile or value needs volume_threshold and margin_threshold')
            WHEN threshold = 'value' THEN volume_threshold
            WHEN volume_threshold NOT BETWEEN 0 AND 1 THEN raise('threshold percentile takes volume_threshold from 0 to 1')
            ELSE percentile_cont(CAST(x AS DOUBLE), volume_threshold) OVER (PARTITION BY period_start)
        END AS x_limit,
        CASE
            WHEN threshold = 'median' THEN percentile_cont(CAST(y AS DOUBLE), 0.5) OVER (PARTITION BY period_start)
            WHEN threshold = 'mean' THEN CAST(avg(y) OVER (PARTITION BY period_start) AS DOUBLE)
            WHEN margin_threshold IS NULL THEN raise('threshold percentile or value needs volume_threshold and margin_threshold')
            WHEN threshold = 'value' THEN margin_threshold
            WHEN margin_threshold NOT BETWEEN 0 AND 1 THEN raise('threshold percentile takes margin_threshold from 0 to 1')
            ELSE percentile_cont(CAST(y AS DOUBLE), margin_threshold) OVER (PARTITION BY period_start)
        END AS y_limit,
        sum(greatest(total_margin, 0)) OVER (PARTITION BY period_start) AS margin_all,
        sum(greatest(total_margin, 0)) OVER (PARTITION BY period_start ORDER BY coalesce(total_margin, 0) DESC) AS margin_so_far
    FROM eligible AS e
),

placed AS (
    SELECT
        l.*,
        CASE
            WHEN x IS NULL THEN CAST(NULL AS VARCHAR)
            WHEN CAST(x AS DOUBLE) >= x_limit AND CAST(y AS DOUBLE) >= y_limit THEN 'cash_cow'
            WHEN CAST(x AS DOUBLE) >= x_limit THEN 'urgent_optimisation'
            WHEN CAST(y AS DOUBLE) >= y_limit THEN 'premium_niche'
            ELSE 'stop_or_pivot'
        END AS quadrant
    FROM limits AS l
)

SELECT
    sku,
    product_id,
    title,
    CAST(across AS DOUBLE) AS volume,
    CAST(up AS DOUBLE) AS margin,
    x_limit AS volume_threshold,
    y_limit AS margin_threshold,
    quadrant,
    CASE
        WHEN language = 'fr' THEN CASE quadrant
            WHEN 'cash_cow' THEN 'Vache à lait'
            WHEN 'urgent_optimisation' THEN 'Optimisation urgente'
            WHEN 'premium_niche' THEN 'Niche premium'
            WHEN 'stop_or_pivot' THEN 'Arrêter ou pivoter'
        END
        ELSE CASE quadrant
            WHEN 'cash_cow' THEN 'Cash Cow'
            WHEN 'urgent_optimisation' THEN 'Urgent Optimisation'
            WHEN 'premium_niche' THEN 'Premium Niche'
            WHEN 'stop_or_pivot' THEN 'Stop or Pivot'
        END
    END AS quadrant_label,
    CASE
        WHEN language = 'fr' THEN CASE quadrant
            WHEN 'cash_cow' THEN 'Ne jamais être en rupture, mettre en avant, pas de remise'
            WHEN 'urgent_optimisation' THEN 'Relever le prix ou renégocier le coût, réduire retours et logistique'
            WHEN 'premium_niche' THEN 'Tenir le prix, faire connaître aux bons clients, ventes croisées'
            WHEN 'stop_or_pivot' THEN 'Écouler le stock, puis arrêter, regrouper en lot ou repositionner'
        END
        ELSE CASE quadrant
            WHEN 'cash_cow' THEN 'Never run out, show it first, no discount'
            WHEN 'urgent_optimisation' THEN 'Raise the price or renegotiate the cost, cut returns and logistics'
            WHEN 'premium_niche' THEN 'Hold the price, make it known to the right customers, sell it along'
            WHEN 'stop_or_pivot' THEN 'Sell the stock off, then stop, bundle or reposition'
        END
    END AS action,
    net_units,
    net_revenue,
    total_margin,
    CASE WHEN margin_all > 0 AND total_margin IS NOT NULL THEN CAST(greatest(total_margin, 0) AS DOUBLE) / CAST(margin_all AS DOUBLE) END AS margin_share,
    CASE WHEN margin_all > 0 AND total_margin IS NOT NULL THEN CAST(margin_so_far AS DOUBLE) / CAST(margin_all AS DOUBLE) END AS cumulative_margin_share,
    is_complete,
    period_start,
    CASE
        WHEN net_units <= 0 AND units_sold > 0 THEN 'all_returned'
        WHEN net_units <= 0 THEN 'no_sales'
        WHEN net_revenue <= 0 THEN 'no_revenue'
        WHEN up IS NULL THEN 'margin_unknown'
        WHEN up < 0 AND quadrant IN ('cash_cow', 'premium_niche') THEN 'negative_margin'
    END AS warnings
FROM placed
