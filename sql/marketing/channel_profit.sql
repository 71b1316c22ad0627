-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Which channels bring customers that are worth what they cost: the value of a channel's new customers over their first
--          year beside what it cost to win them, by kind of cost, how long that takes to pay back, and where a part of the
--          budget would do more. A new customer belongs to the channels that brought the first order. Only customers whose
--          year is complete speak about value: a blend with young ones would make every growing channel look poor.
--          Orders of guests are left out: nobody knows which was their first.
-- reads    orders through net_sales(keep_excluded => false, order_margins => order_margins, tz => tz) the orders, one row per order
-- reads    touchpoints(touchpoint_id ANY?, event_timestamp TIMESTAMP, touch_customer_id ANY, user_pseudo_id ANY?, channel VARCHAR, source VARCHAR?, medium VARCHAR?, campaign VARCHAR?) the touches
-- column   touch_customer_id = customer_id
-- reads    order_margins?(margin_order_id ANY, margin NUMERIC) what each order earned, shared out as its revenue; an order that is not there earned nothing
-- column   margin_order_id = order_id
-- reads    ad_spend?(date_day DATE?, spend_channel VARCHAR, campaign_name VARCHAR?, spend NUMERIC, cost_type VARCHAR?) what marketing cost
-- column   spend_channel = channel
-- param    horizon_months DOUBLE 1..120 how long a customer's value counts, in months of 30.4375 days from the first order
-- param    mature_only BOOLEAN whether only customers who were won that long ago count for value; otherwise all do, with what
--          they have brought so far
-- param    basis VARCHAR 'revenue'|'margin' which value is set against cost, for rank and suggested_shift; margin needs order_margins
-- param    shift DOUBLE 0..1 the share of the media budget that suggested_shift moves to the best channel
-- param    min_customers BIGINT fewer mature customers of a channel give a warning
-- param    acquisition_model VARCHAR 'first'|'last'|'last_non_direct'|'linear'|'weighted'|'position'|'time_decay'|'shapley' how a new
--          customer is shared out among the touches before the first order
-- param    weights DOUBLE[] for model weighted: the shares of the first touch, of those between together, and of the last;
--          a journey of two shares the middle equally
-- param    lookback INTERVAL how long before its order a touch may be, at most; the moment itself counts
-- param    path VARCHAR 'exposure'|'none'|'first' which touches are positions of the journey: neighbours of one channel as
--          one, at the first of them; all; the first of each channel
-- param    level VARCHAR 'channel'|'campaign' what a channel is: channel; channel / campaign
-- param    exclude_direct VARCHAR 'unless_only'|'never'|'always' when direct touches are left out of a journey; with
--          unless_only they count where there is no other
-- param    direct_channel VARCHAR the name of the channel of direct touches; (direct) is direct, too
-- param    half_life INTERVAL for model time_decay: the age at which a touch weighs half
-- param    tz VARCHAR the time zone of the shop, such as 'Europe/Paris': times of orders and touches, which are UTC, are told in its
--          wall-clock time, and so is as_of
-- param    as_of TIMESTAMP the moment after which nothing counts; NULL is the last order's
-- returns  channel VARCHAR the channel, at the level; (unattributed) for customers whom no touch brought
-- returns  new_customers DOUBLE customers whose first order it brought
-- returns  mature_customers DOUBLE those of them whose horizon is complete
-- returns  media_cost NUMERIC spend of type media or without a type; NULL where ad_spend does not speak of the channel
-- returns  reactivation_cost NUMERIC spend of type reactivation
-- returns  support_cost NUMERIC spend of type support
-- returns  other_cost NUMERIC all other spend: internal, tech, content
-- returns  cac DOUBLE all of it divided by new_customers; NULL without new customers
-- returns  cac_blended DOUBLE the cost of all channels divided by all new customers
-- returns  ltv_revenue DOUBLE mean revenue of a mature customer within the horizon; NULL without one
-- returns  ltv_margin DOUBLE mean margin, likewise; NULL without order_margins
-- returns  ltv_cac_ratio DOUBLE ltv_revenue divided by cac
-- returns  ltv_margin_cac_ratio DOUBLE ltv_margin divided by cac
-- returns  payback_days INTEGER the first day, counted from the first order's as 0, on which the margin of the mean mature
--          customer has brought in the cac; without order_margins the revenue, which says too early a day; NULL where that
--          is not within the horizon
-- returns  roas_immediate DOUBLE revenue of first orders divided by cost
-- returns  roas_60d DOUBLE revenue of the first 60 days divided by cost
-- returns  rank BIGINT 1 for the highest ratio on the basis; NULL without a ratio
-- returns  budget_share DOUBLE its share of all media cost
-- returns  suggested_shift NUMERIC what to add to its media budget; the sum over channels is 0
-- returns  warnings VARCHAR doubts, with commas between them: spend_without_customers, customers_without_spend,
--          no_mature_customers, few_mature_customers; NULL for none
-- grain    one row per channel with new customers or spend
-- source   LTV / CAC as investors use it; payback in days; the shift takes from the other channels in proportion to their media
--          cost, at most all of it, and gives it to the channel of the highest ratio that has media cost
-- example  SELECT channel, cac, ltv_revenue, ltv_cac_ratio, payback_days, suggested_shift FROM channel_profit() ORDER BY rank NULLS LAST, channel
CREATE MACRO channel_profit(
    orders,
    touchpoints := touchpoints,
    order_margins,
    ad_spend := ad_spend,
    horizon_months := 12,
    mature_only := true,
    basis := 'revenue',
    shift := 0.2,
    min_customers := 30,
    acquisition_model := 'first',
    weights := [0.3, 0.4, 0.3],
    lookback := INTERVAL '30 days',
    path := 'exposure',
    level := 'channel',
    exclude_direct := 'unless_only',
    direct_channel := 'direct',
    half_life := INTERVAL '7 days',
    as_of := NULL,
    tz := 'UTC'
) AS TABLE
WITH converted AS (
    SELECT o.customer_id, o.created_timestamp, o.order_id, o.net_sales, order_margins.margin
    FROM order_margins
    RIGHT JOIN orders AS o ON order_margins.margin_order_id = o.order_id
    WHERE
        CASE
            WHEN cardinality(weights) <> 3 OR abs(weights[1] + weights[2] + weights[3] - 1) > 1e-9
                OR least(weights[1], weights[2], weights[3]) < 0
                THEN raise('weights are three shares from 0 to 1 that add up to 1: the first touch''s, those between''s, the last one''s')
            -- A later delivery may take an order back.
            ELSE o.net_sales > 0 OR (o.order_id IS NOT NULL AND o.net_sales IS NOT NULL)
        END
        AND o.customer_id IS NOT NULL
        AND o.created_timestamp IS NOT NULL
        AND (as_of IS NULL OR o.created_timestamp <= as_of)
),

touched AS (
    SELECT
        touchpoint_id, local_time(event_timestamp, tz) AS event_timestamp, touch_customer_id, user_pseudo_id, channel,
        CASE
            WHEN level = 'campaign' THEN concat(coalesce(channel, '(unknown)'), ' / ', coalesce(campaign, '(none)'))
            WHEN level = 'source_medium' THEN concat(coalesce(source, '(none)'), ' / ', coalesce(medium, '(none)'))
            ELSE channel
        END AS unit
    FROM touchpoints
    WHERE as_of IS NULL OR local_time(event_timestamp, tz) <= as_of
),

-- The orders stand first, because the first of a union says what type a column has.
history AS (
    SELECT
        customer_id, created_timestamp AS at, NULL AS touchpoint_id, NULL AS channel, NULL AS unit,
        order_id, net_sales AS revenue, margin
    FROM converted
    UNION ALL
    SELECT
        touch_customer_id AS customer_id, event_timestamp AS at, touchpoint_id, channel, unit,
        NULL AS order_id, NULL AS revenue, NULL AS margin
    FROM touched
    WHERE touch_customer_id IS NOT NULL
),

-- The customer of a list is taken from its rows and not from the key: planning would take the key for unique after unnest.
acquired_lists AS (
    SELECT
        min(customer_id) AS its_customer,
        channel_credits(
            at, touchpoint_id, unit, NULL, channel IN (direct_channel, '(direct)'), order_id, revenue, NULL, NULL,
            acquisition_model, path, exclude_direct, true, lookback, CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[1] ELSE 0 END,
            CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[3] ELSE 0 END, half_life, true, INTERVAL '60 days'
        ) AS credits
    FROM history
    GROUP BY customer_id
),

acquired AS (
    SELECT
        its_customer AS customer_id, c['channel'] AS channel, c['credit_orders'] AS share, c['credit_revenue'] AS first_revenue,
        c['credit_horizon'] AS early_revenue
    FROM (SELECT its_customer, unnest(credits) AS c FROM acquired_lists)
    WHERE c['credit_orders'] <> 0
),

-- Each order once: the latest delivery, then the largest. Orders without an id each count.
orders_once AS (
    SELECT
        customer_id,
        CAST(arrow_cast(max(created_timestamp), 'Timestamp(Microsecond, None)') AS BIGINT) AS micros,
        CASE
            WHEN order_id IS NULL THEN sum(net_sales)
            ELSE first_value(net_sales ORDER BY created_timestamp DESC, net_sales DESC)
        END AS revenue,
        CASE
            WHEN order_id IS NULL THEN sum(margin)
            ELSE first_value(margin ORDER BY created_timestamp DESC, net_sales DESC)
        END AS margin
    FROM converted
    GROUP BY customer_id, order_id, CASE WHEN order_id IS NULL THEN created_timestamp END
),

firsts AS (
    SELECT customer_id, min(micros) AS first_micros
    FROM orders_once
    WHERE revenue > 0
    GROUP BY customer_id
),

clock AS (
    SELECT
        CAST(arrow_cast(coalesce(as_of, max(created_timestamp)), 'Timestamp(Microsecond, None)') AS BIGINT) AS now,
        CAST(horizon_months * 2629800000000 AS BIGINT) AS horizon
    FROM converted
),

-- What a customer brought, day by day after the first order, and whether the year is over.
days AS (
    SELECT
        o.customer_id,
        CAST((o.micros - firsts.first_micros) / 86400000000 AS INTEGER) AS day,
        firsts.first_micros + clock.horizon <= clock.now OR NOT mature_only AS counts,
        sum(o.revenue) AS revenue,
        sum(o.margin) AS margin
    FROM clock
    CROSS JOIN firsts
    INNER JOIN orders_once AS o ON firsts.customer_id = o.customer_id
    WHERE o.revenue > 0 AND o.micros - firsts.first_micros < clock.horizon
    GROUP BY
        o.customer_id,
        CAST((o.micros - firsts.first_micros) / 86400000000 AS INTEGER),
        firsts.first_micros + clock.horizon <= clock.now OR NOT mature_only
),

-- Every customer has a day 0. Means come out the same to the last digit in whatever order they are added up.
channel_days AS (
    SELECT
        acquired.channel,
        days.day,
        sum(CASE WHEN days.day = 0 THEN acquired.share ELSE 0 END) AS won,
        sum(CASE WHEN days.day = 0 THEN acquired.first_revenue END) AS first_revenue,
        sum(CASE WHEN days.day = 0 THEN acquired.early_revenue END) AS early_revenue,
        sum(CASE WHEN days.day = 0 AND days.counts THEN acquired.share ELSE 0 END) AS customers,
        sum(CASE WHEN days.counts THEN CAST(CAST(acquired.share AS DOUBLE) * CAST(days.revenue AS DOUBLE) AS DECIMAL(38, 9)) END) AS revenue,
        sum(CASE WHEN days.counts THEN CAST(CAST(acquired.share AS DOUBLE) * CAST(days.margin AS DOUBLE) AS DECIMAL(38, 9)) END) AS margin
    FROM acquired INNER JOIN days ON acquired.customer_id = days.customer_id
    GROUP BY acquired.channel, days.day
),

cumulated AS (
    SELECT
        *,
        sum(won) OVER (PARTITION BY channel) AS all_won,
        sum(customers) OVER (PARTITION BY channel) AS mature,
        sum(CASE WHEN given(order_margins) THEN margin ELSE revenue END) OVER (PARTITION BY channel ORDER BY day) AS brought
    FROM channel_days
),

spent AS (
    SELECT
        CASE WHEN level = 'campaign' THEN concat(spend_channel, ' / ', coalesce(campaign_name, '(none)')) ELSE spend_channel END AS channel,
        coalesce(sum(spend) FILTER (WHERE coalesce(cost_type, 'media') = 'media'), 0) AS media,
        coalesce(sum(spend) FILTER (WHERE cost_type = 'reactivation'), 0) AS reactivation,
        coalesce(sum(spend) FILTER (WHERE cost_type = 'support'), 0) AS support,
        coalesce(sum(spend) FILTER (WHERE cost_type NOT IN ('media', 'reactivation', 'support')), 0) AS other,
        sum(spend) AS cost
    FROM ad_spend
    WHERE as_of IS NULL OR date_day IS NULL OR date_day <= CAST(as_of AS DATE)
    GROUP BY CASE WHEN level = 'campaign' THEN concat(spend_channel, ' / ', coalesce(campaign_name, '(none)')) ELSE spend_channel END
),

channel_values AS (
    SELECT
        c.channel,
        sum(c.won) AS customers,
        sum(c.customers) AS mature,
        sum(c.first_revenue) AS first_revenue,
        sum(c.early_revenue) AS early_revenue,
        sum(c.revenue) AS revenue,
        sum(c.margin) AS margin,
        min(
            CASE
                WHEN c.mature > 0
                    AND CAST(c.brought AS DOUBLE) / CAST(c.mature AS DOUBLE)
                        >= CAST(coalesce(spent.cost, 0) AS DOUBLE) / CAST(c.all_won AS DOUBLE)
                    THEN c.day
            END
        ) AS payback
    FROM spent RIGHT JOIN cumulated AS c ON spent.channel = c.channel
    GROUP BY c.channel
),

measured AS (
    SELECT
        coalesce(v.channel, spent.channel) AS channel,
        coalesce(v.customers, 0) AS customers,
        coalesce(v.mature, 0) AS mature,
        v.first_revenue, v.early_revenue, v.payback,
        spent.media, spent.reactivation, spent.support, spent.other, spent.cost,
        CASE
            WHEN coalesce(v.customers, 0) = 0 THEN CAST(NULL AS DOUBLE)
            ELSE CAST(coalesce(spent.cost, 0) AS DOUBLE) / CAST(v.customers AS DOUBLE)
        END AS cac,
        CASE WHEN v.mature > 0 THEN CAST(v.revenue AS DOUBLE) / CAST(v.mature AS DOUBLE) END AS ltv_revenue,
        CASE
            WHEN basis = 'margin' AND NOT given(order_margins) THEN raise('basis margin needs order_margins: order_id and margin')
            WHEN given(order_margins) AND v.mature > 0 THEN CAST(v.margin AS DOUBLE) / CAST(v.mature AS DOUBLE)
            ELSE CAST(NULL AS DOUBLE)
        END AS ltv_margin
    FROM channel_values AS v FULL JOIN spent ON v.channel = spent.channel
),

ratios AS (
    SELECT
        *,
        CASE WHEN cac > 0 THEN ltv_revenue / cac END AS revenue_ratio,
        CASE WHEN cac > 0 THEN ltv_margin / cac END AS margin_ratio,
        CASE WHEN cac > 0 THEN CASE WHEN basis = 'margin' THEN ltv_margin ELSE ltv_revenue END / cac END AS ratio
    FROM measured
),

ranked AS (
    SELECT
        *,
        CASE WHEN ratio IS NOT NULL THEN rank() OVER (ORDER BY ratio DESC NULLS LAST) END AS place,
        -- The best channel with a media budget; of equals the first by name.
        CASE
            WHEN media > 0 AND ratio IS NOT NULL
                THEN row_number() OVER (ORDER BY CASE WHEN media > 0 THEN ratio END DESC NULLS LAST, channel)
        END AS place_of_budget,
        sum(cost) OVER () AS all_cost,
        sum(customers) OVER () AS all_customers,
        sum(media) OVER () AS all_media
    FROM ratios
),

givers AS (
    SELECT
        *,
        sum(CASE WHEN place_of_budget = 1 THEN media ELSE 0 END) OVER () AS best_media,
        coalesce(min(place_of_budget) OVER () = 1, false) AS has_best
    FROM ranked
),

gifts AS (
    SELECT
        *,
        CASE
            WHEN NOT has_best OR place_of_budget = 1 OR all_media = best_media THEN rescale(media, 0.0)
            ELSE rescale(
                media,
                -least(1.0, shift * CAST(all_media AS DOUBLE) / CAST(all_media - best_media AS DOUBLE))
            )
        END AS gift
    FROM givers
),

-- Both are sums, so that they have one type.
shifts AS (
    SELECT *, sum(gift) OVER () AS all_gifts, sum(gift) OVER (PARTITION BY channel) AS own_gift
    FROM gifts
)

SELECT
    channel,
    CAST(customers AS DOUBLE) AS new_customers,
    CAST(mature AS DOUBLE) AS mature_customers,
    media AS media_cost,
    reactivation AS reactivation_cost,
    support AS support_cost,
    other AS other_cost,
    cac,
    CASE WHEN all_customers > 0 THEN CAST(coalesce(all_cost, 0) AS DOUBLE) / CAST(all_customers AS DOUBLE) END AS cac_blended,
    ltv_revenue,
    ltv_margin,
    revenue_ratio AS ltv_cac_ratio,
    margin_ratio AS ltv_margin_cac_ratio,
    CAST(payback AS INTEGER) AS payback_days,
    CASE WHEN cost > 0 THEN CAST(coalesce(first_revenue, 0) AS DOUBLE) / CAST(cost AS DOUBLE) END AS roas_immediate,
    CASE WHEN cost > 0 THEN CAST(coalesce(early_revenue, 0) AS DOUBLE) / CAST(cost AS DOUBLE) END AS roas_60d,
    CAST(place AS BIGINT) AS rank,
    CAST(media AS DOUBLE) / nullif(CAST(all_media AS DOUBLE), 0) AS budget_share,
    CASE
        WHEN NOT has_best OR media IS NULL THEN nullif(all_gifts, all_gifts)
        WHEN place_of_budget = 1 THEN -all_gifts
        ELSE own_gift
    END AS suggested_shift,
    nullif(concat_ws(
        ',',
        CASE WHEN customers = 0 THEN 'spend_without_customers' END,
        CASE WHEN coalesce(cost, 0) = 0 THEN 'customers_without_spend' END,
        CASE WHEN customers > 0 AND mature = 0 THEN 'no_mature_customers' END,
        CASE WHEN mature > 0 AND mature < min_customers THEN 'few_mature_customers' END
    ), '') AS warnings
FROM shifts
