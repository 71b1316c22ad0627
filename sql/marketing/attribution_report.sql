-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    What each marketing channel brought and what it cost: the orders and the revenue that a model credits to it, its
--          spend, cost per order and return on spend, and what a last click would have said. Orders, revenue and margin add
--          up to those of net_sales for every model; what no touch brought is a row of its own.
-- reads    orders through net_sales(keep_excluded => false, order_margins => order_margins, tz => tz) the orders, one row per order
-- reads    touchpoints(touchpoint_id ANY?, event_timestamp TIMESTAMP, touch_customer_id ANY, user_pseudo_id ANY?, channel VARCHAR, source VARCHAR?, medium VARCHAR?, campaign VARCHAR?) the touches
-- column   touch_customer_id = customer_id
-- reads    order_margins?(margin_order_id ANY, margin NUMERIC) what each order earned, shared out as its revenue; an order that is not there earned nothing
-- column   margin_order_id = order_id
-- reads    ad_spend?(date_day DATE?, spend_channel VARCHAR, campaign_name VARCHAR?, spend_source VARCHAR?, spend_medium VARCHAR?, spend NUMERIC, cost_type VARCHAR?) what marketing cost
-- column   spend_channel = channel
-- column   spend_source = source
-- column   spend_medium = medium
-- param    cost_types VARCHAR[] the types of cost that are spend; a row without a type is media
-- param    model VARCHAR 'weighted'|'first'|'last'|'last_non_direct'|'linear'|'position'|'time_decay'|'markov'|'shapley'|'all'
--          how an order is shared out: by weights; to the first or the last touch; to the last that is not direct; equally;
--          40/20/40; by age; by removal effects; equally among the distinct channels; all, one after the other
-- param    weights DOUBLE[] for model weighted: the shares of the first touch, of those between together, and of the last;
--          a journey of two shares the middle equally
-- param    lookback INTERVAL how long before its order a touch may be, at most; the moment itself counts
-- param    path VARCHAR 'exposure'|'none'|'first' which touches are positions of the journey: neighbours of one channel as
--          one, at the first of them; all; the first of each channel
-- param    level VARCHAR 'channel'|'campaign'|'source_medium' what a channel is: channel; channel / campaign; source / medium,
--          whose spend is known where ad_spend has both
-- param    reset_after_conversion BOOLEAN whether a journey begins after the order before
-- param    exclude_direct VARCHAR 'unless_only'|'never'|'always' when direct touches are left out of a journey; with
--          unless_only they count where there is no other
-- param    direct_channel VARCHAR the name of the channel of direct touches; (direct) is direct, too
-- param    half_life INTERVAL for model time_decay: the age at which a touch weighs half
-- param    conversions VARCHAR 'all'|'new_customers' which orders count: all, or the first of each customer ever; then
--          guests' do not, for nobody knows their first
-- param    tz VARCHAR the time zone of the shop, such as 'Europe/Paris': times of orders and touches, which are UTC, are told in its
--          wall-clock time, and so is as_of
-- param    as_of TIMESTAMP the moment after which orders, touches and spend do not count; NULL counts all
-- returns  channel VARCHAR the channel, at the level; (unattributed) for orders without a touch
-- returns  model VARCHAR the model
-- returns  orders DOUBLE credited orders
-- returns  revenue NUMERIC credited revenue, in the orders' currency
-- returns  margin NUMERIC credited margin; NULL without order_margins
-- returns  spend NUMERIC what it cost; NULL where ad_spend does not speak of it
-- returns  cpa DOUBLE spend divided by orders
-- returns  roas_immediate DOUBLE revenue divided by spend
-- returns  roas_60d DOUBLE likewise, the orders of a customer's first 60 days being credited to what brought the first
-- returns  assisted_orders BIGINT orders in whose journey the channel is and which another one closed
-- returns  last_click_revenue NUMERIC the revenue of the orders whose journey it closed
-- returns  delta_vs_last_click NUMERIC revenue less last_click_revenue
-- grain    one row per channel and model; channels with spend and nothing else are among them
-- source   the models of weighted_attribution; CPA and ROAS as advertisers use them
-- example  SELECT channel, revenue, spend, roas_immediate, delta_vs_last_click FROM attribution_report() ORDER BY revenue DESC
CREATE MACRO attribution_report(
    orders,
    touchpoints := touchpoints,
    order_margins,
    ad_spend := ad_spend,
    cost_types := ['media'],
    model := 'weighted',
    weights := [0.3, 0.4, 0.3],
    lookback := INTERVAL '30 days',
    path := 'exposure',
    level := 'channel',
    reset_after_conversion := true,
    exclude_direct := 'unless_only',
    direct_channel := 'direct',
    half_life := INTERVAL '7 days',
    conversions := 'all',
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
        AND (conversions = 'all' OR o.customer_id IS NOT NULL)
        AND (as_of IS NULL OR o.created_timestamp <= as_of)
),

touched AS (
    SELECT
        touchpoint_id, local_time(event_timestamp, tz) AS event_timestamp, touch_customer_id, channel,
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

channel_lists AS (
    SELECT
        customer_id,
        channel_credits(
            at, touchpoint_id, unit, NULL, channel IN (direct_channel, '(direct)'), order_id, revenue,
            CASE WHEN given(order_margins) THEN margin ELSE CAST(NULL AS DECIMAL(18, 4)) END, NULL,
            model, path, exclude_direct, reset_after_conversion, lookback, CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[1] ELSE 0 END,
            CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[3] ELSE 0 END, half_life,
            conversions = 'new_customers', INTERVAL '60 days'
        ) AS credits
    FROM history
    GROUP BY customer_id
),

credited AS (
    SELECT
        c['channel'] AS channel, CAST(c['model'] AS VARCHAR) AS its_model, sum(c['credit_orders']) AS orders,
        sum(c['credit_revenue']) AS revenue, sum(c['credit_margin']) AS margin, sum(c['credit_horizon']) AS horizon,
        sum(c['last_click_revenue']) AS last_click, sum(c['assisted_orders']) AS assisted
    FROM (SELECT unnest(credits) AS c FROM channel_lists)
    GROUP BY c['channel'], CAST(c['model'] AS VARCHAR)
),

-- For model markov: the journeys of everybody, with orders and without.
effect_lists AS (
    SELECT removal_effects(channels, total_conversions, total_null) AS effects
    FROM attribution_paths(
        orders,
        (SELECT * REPLACE (local_time(event_timestamp, tz) AS event_timestamp) FROM touchpoints),
        lookback => lookback,
        path => path,
        level => level,
        reset_after_conversion => reset_after_conversion,
        exclude_direct => exclude_direct,
        direct_channel => direct_channel,
        as_of => as_of
    )
    WHERE model IN ('markov', 'all')
),

effects AS (
    SELECT e['channel'] AS channel, e['share'] AS share
    FROM (SELECT unnest(effects) AS e FROM effect_lists)
),

-- Model markov: each channel's share of what linear credits of all channels add up to.
markov_shares AS (
    SELECT
        credited.channel, credited.its_model,
        sum(credited.orders) OVER () AS orders, sum(credited.revenue) OVER () AS revenue,
        sum(credited.margin) OVER () AS margin, sum(credited.horizon) OVER () AS horizon,
        coalesce(effects.share / sum(effects.share) OVER (), 0) AS share,
        CASE WHEN row_number() OVER (ORDER BY effects.share DESC NULLS LAST, credited.channel) = 1 THEN 1.0 ELSE 0.0 END AS carries
    FROM credited LEFT JOIN effects ON credited.channel = effects.channel
    WHERE credited.its_model = 'markov' AND credited.channel <> '(unattributed)' AND model IN ('markov', 'all')
),

modelled AS (
    SELECT channel, its_model, orders, revenue, margin, horizon
    FROM credited
    WHERE model NOT IN ('markov', 'all') OR its_model <> 'markov' OR channel = '(unattributed)'
    UNION ALL
    SELECT
        channel, its_model,
        rescale(orders, share) + rescale(orders - sum(rescale(orders, share)) OVER (), carries) AS orders,
        rescale(revenue, share) + rescale(revenue - sum(rescale(revenue, share)) OVER (), carries) AS revenue,
        rescale(margin, share) + rescale(margin - sum(rescale(margin, share)) OVER (), carries) AS margin,
        rescale(horizon, share) + rescale(horizon - sum(rescale(horizon, share)) OVER (), carries) AS horizon
    FROM markov_shares
    WHERE model IN ('markov', 'all')
),

-- The same for every model, and reckoned once.
helped AS (
    SELECT channel, sum(last_click) AS last_click, sum(assisted) AS assisted
    FROM credited
    GROUP BY channel
),

spent AS (
    SELECT channel, sum(spend) AS spend
    FROM (
        SELECT
            CASE
                WHEN level = 'campaign' THEN concat(spend_channel, ' / ', coalesce(campaign_name, '(none)'))
                WHEN level = 'source_medium' THEN concat(coalesce(spend_source, '(none)'), ' / ', coalesce(spend_medium, '(none)'))
                ELSE spend_channel
            END AS channel,
            spend
        FROM ad_spend
        WHERE
            array_has(cost_types, coalesce(cost_type, 'media'))
            AND (as_of IS NULL OR date_day IS NULL OR date_day <= CAST(as_of AS DATE))
            AND (level <> 'source_medium' OR (given(spend_source) AND given(spend_medium)))
    ) AS units
    GROUP BY channel
),

-- Every channel under every model, also where it got nothing, or cost and got nothing.
places AS (
    SELECT channels.channel, models.its_model
    FROM (SELECT DISTINCT its_model FROM credited) AS models
    CROSS JOIN (SELECT channel FROM credited UNION SELECT channel FROM spent) AS channels
),

together AS (
    SELECT
        p.channel, p.its_model, coalesce(m.orders, 0) AS orders, coalesce(m.revenue, 0) AS revenue,
        coalesce(m.margin, 0) AS margin, coalesce(m.horizon, 0) AS horizon, spent.spend
    FROM spent
    RIGHT JOIN places AS p ON spent.channel = p.channel
    LEFT JOIN modelled AS m ON p.channel = m.channel AND p.its_model = m.its_model
)

SELECT
    t.channel,
    t.its_model AS model,
    CAST(t.orders AS DOUBLE) AS orders,
    t.revenue,
    CASE WHEN given(order_margins) THEN t.margin ELSE nullif(t.margin, t.margin) END AS margin,
    t.spend,
    CASE WHEN t.orders > 0 THEN CAST(t.spend AS DOUBLE) / CAST(t.orders AS DOUBLE) END AS cpa,
    CASE WHEN t.spend > 0 THEN CAST(t.revenue AS DOUBLE) / CAST(t.spend AS DOUBLE) END AS roas_immediate,
    CASE WHEN t.spend > 0 THEN CAST(t.horizon AS DOUBLE) / CAST(t.spend AS DOUBLE) END AS roas_60d,
    coalesce(helped.assisted, 0) AS assisted_orders,
    coalesce(helped.last_click, 0) AS last_click_revenue,
    t.revenue - coalesce(helped.last_click, 0) AS delta_vs_last_click
FROM helped RIGHT JOIN together AS t ON helped.channel = t.channel
