-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Which marketing touches brought which orders, and how much of their revenue each one earned. The journey of an
--          order is its customer's touches in the lookback before it, after the order before; the model shares the order
--          out among them. Credits add up to the orders exactly, rounding included: what it leaves goes to the last touch.
--          Model markov adds up in all and not order by order: its channels get their removal effects' shares of the
--          total, spread as linear credits are, and rounding falls on the largest credit of each channel.
--          Orders count once however often they were delivered, those with a positive amount only; orders of one moment
--          share a journey. Orders without a touch, guests' among them, stand in channel (unattributed). Touches without
--          a customer or a time are nobody's and left out.
-- reads    orders through net_sales(keep_excluded => false, order_margins => order_margins, tz => tz) the orders, one row per order
-- reads    touchpoints(touchpoint_id ANY?, event_timestamp TIMESTAMP, touch_customer_id ANY, user_pseudo_id ANY?, channel VARCHAR, source VARCHAR?, medium VARCHAR?, campaign VARCHAR?) the touches
-- column   touch_customer_id = customer_id
-- reads    order_margins?(margin_order_id ANY, margin NUMERIC) what each order earned, shared out as its revenue; an order that is not there earned nothing
-- column   margin_order_id = order_id
-- param    model VARCHAR 'weighted'|'first'|'last'|'last_non_direct'|'linear'|'position'|'time_decay'|'markov'|'shapley'|'all'
--          how an order is shared out: by weights; to the first or the last touch; to the last that is not direct; equally;
--          40/20/40; by age; by removal effects; equally among the distinct channels; all, one after the other
-- param    grain VARCHAR 'journey'|'touch' what a row is: an order and one of its touches, or a touch with the sums of its
--          credits, of which there are far fewer
-- param    weights DOUBLE[] for model weighted: the shares of the first touch, of those between together, and of the last;
--          a journey of two shares the middle equally
-- param    lookback INTERVAL how long before its order a touch may be, at most; the moment itself counts
-- param    path VARCHAR 'exposure'|'none'|'first' which touches are positions of the journey: neighbours of one channel as
--          one, at the first of them; all; the first of each channel
-- param    level VARCHAR 'channel'|'campaign'|'source_medium' what a channel is: channel; channel / campaign; source / medium
-- param    reset_after_conversion BOOLEAN whether a journey begins after the order before
-- param    exclude_direct VARCHAR 'unless_only'|'never'|'always' when direct touches are left out of a journey; with
--          unless_only they count where there is no other
-- param    direct_channel VARCHAR the name of the channel of direct touches; (direct) is direct, too
-- param    half_life INTERVAL for model time_decay: the age at which a touch weighs half
-- param    conversions VARCHAR 'all'|'new_customers' which orders count: all, or the first of each customer ever; then
--          guests' do not, for nobody knows their first
-- param    conversion_period VARCHAR 'day'|'week'|'month'|'quarter'|'year' for grain touch: keeps the credits of orders of
--          different periods apart
-- param    include_unattributed BOOLEAN whether orders without a touch are kept
-- param    tz VARCHAR the time zone of the shop, such as 'Europe/Paris': times of orders and touches, which are UTC, are told in its
--          wall-clock time, and so is as_of
-- param    as_of TIMESTAMP the moment after which orders and touches do not count; NULL counts all
-- returns  order_id ANY the order; NULL at grain touch
-- returns  customer_id ANY the customer; NULL for a guest
-- returns  conversion_at TIMESTAMP when the order was placed; NULL at grain touch
-- returns  touchpoint_id ANY the touch; NULL when unattributed
-- returns  touched_at TIMESTAMP when the touch happened
-- returns  channel VARCHAR what the touch came through, at the level; (unknown) or (unattributed)
-- returns  campaign VARCHAR the touch's campaign
-- returns  touch_index INTEGER the place of the touch in the journey, from 1; NULL at grain touch
-- returns  path_length INTEGER the number of positions of the journey, 0 when unattributed; NULL at grain touch
-- returns  role VARCHAR only, first, mid or last
-- returns  weight DOUBLE the share of the touch; NULL at grain touch
-- returns  credit_orders DOUBLE its share of orders, to the thousand-millionth
-- returns  credit_revenue NUMERIC its share of revenue; decimals have four digits or more
-- returns  credit_margin NUMERIC its share of margin; NULL without order_margins
-- returns  model VARCHAR the model
-- returns  path VARCHAR the channels of the journey, as in email > google_ads; a name with > in it stands in double quotes
-- returns  conversion_period TIMESTAMP the begin of the period of the orders that are credited
-- grain    journey: one row per order, model and position of its journey, or one unattributed row;
--          touch: one row per touch, model and period with credits, one for a touch without, and one unattributed row per
--          customer, model and period
-- groups   channel, campaign, touch_index, path_length, role, model, path, conversion_period
-- source   first share, the middle share equally, last share; a journey of two gives first + middle / 2 and last + middle / 2
--          (DP6 marketing_attribution_models 1.0.10), which is one half each for 30/40/30 (Snowplow's rule for two);
--          time decay 0.5 ^ (age / half_life), normalised (DP6 2.1.1); Shapley with the worth of a set of channels being the
--          value of the journeys within it, whose dividends are the journeys, hence equal shares for their channels;
--          removal effects of a chain of order 1 without self-transitions (Anderl et al. 2016), solved exactly, with
--          the journeys of everybody, anonymous visitors among them, that ended without an order
-- example  SELECT channel, sum(credit_revenue) AS revenue FROM weighted_attribution(grain => 'touch') GROUP BY channel ORDER BY revenue DESC
CREATE MACRO weighted_attribution(
    orders,
    touchpoints := touchpoints,
    order_margins,
    model := 'weighted',
    grain := 'journey',
    weights := [0.3, 0.4, 0.3],
    lookback := INTERVAL '30 days',
    path := 'exposure',
    level := 'channel',
    reset_after_conversion := true,
    exclude_direct := 'unless_only',
    direct_channel := 'direct',
    half_life := INTERVAL '7 days',
    conversions := 'all',
    conversion_period := NULL,
    include_unattributed := true,
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
            WHEN conversion_period IS NOT NULL AND grain <> 'touch'
                THEN raise('conversion_period goes with grain touch; at grain journey every row has its conversion_at')
            -- A later delivery may take an order back.
            ELSE o.net_sales > 0 OR (o.order_id IS NOT NULL AND o.net_sales IS NOT NULL)
        END
        AND (conversions = 'all' OR o.customer_id IS NOT NULL)
        AND (as_of IS NULL OR o.created_timestamp <= as_of)
),

touched AS (
    SELECT
        touchpoint_id, local_time(event_timestamp, tz) AS event_timestamp, touch_customer_id, campaign,
        channel IN (direct_channel, '(direct)') AS is_direct,
        CASE
            WHEN level = 'campaign' THEN concat(coalesce(channel, '(unknown)'), ' / ', coalesce(campaign, '(none)'))
            WHEN level = 'source_medium' THEN concat(coalesce(source, '(none)'), ' / ', coalesce(medium, '(none)'))
            ELSE channel
        END AS unit
    FROM touchpoints
    WHERE as_of IS NULL OR local_time(event_timestamp, tz) <= as_of
),

-- The orders stand first, because the first of a union says what type a column has; of what they have not, a query of
-- no rows says it.
history AS (
    SELECT
        customer_id, created_timestamp AS at, (SELECT nullif(touchpoint_id, touchpoint_id) FROM touchpoints WHERE false) AS touchpoint_id,
        CAST(NULL AS BOOLEAN) AS is_direct, CAST(NULL AS VARCHAR) AS unit, CAST(NULL AS VARCHAR) AS campaign,
        order_id, net_sales AS revenue, margin
    FROM converted
    UNION ALL
    SELECT
        touch_customer_id AS customer_id, event_timestamp AS at, touchpoint_id, is_direct, unit, campaign,
        NULL AS order_id, NULL AS revenue, NULL AS margin
    FROM touched
    WHERE touch_customer_id IS NOT NULL
),

-- The customer of a list is taken from its rows and not from the key: planning would take the key for unique after unnest.
touch_lists AS (
    SELECT
        min(customer_id) AS its_customer,
        touch_credits(
            at, touchpoint_id, unit,
            CASE WHEN given(campaign) THEN campaign ELSE CAST(NULL AS VARCHAR) END,
            is_direct, order_id, revenue,
            CASE WHEN given(order_margins) THEN margin ELSE CAST(NULL AS DECIMAL(18, 4)) END,
            CASE WHEN conversion_period IS NULL THEN CAST(NULL AS TIMESTAMP) ELSE date_trunc(coalesce(conversion_period, 'day'), at) END,
            model, path, exclude_direct, reset_after_conversion, lookback, CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[1] ELSE 0 END,
            CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[3] ELSE 0 END, half_life,
            conversions = 'new_customers'
        ) AS credits
    FROM history
    WHERE grain = 'touch'
    GROUP BY customer_id
),

journey_lists AS (
    SELECT
        min(customer_id) AS its_customer,
        journey_credits(
            at, touchpoint_id, unit,
            CASE WHEN given(campaign) THEN campaign ELSE CAST(NULL AS VARCHAR) END,
            is_direct, order_id, revenue,
            CASE WHEN given(order_margins) THEN margin ELSE CAST(NULL AS DECIMAL(18, 4)) END,
            CAST(NULL AS TIMESTAMP),
            model, path, exclude_direct, reset_after_conversion, lookback, CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[1] ELSE 0 END,
            CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[3] ELSE 0 END, half_life,
            conversions = 'new_customers'
        ) AS credits
    FROM history
    WHERE grain = 'journey'
    GROUP BY customer_id
),

credited AS (
    SELECT
        c['order_id'] AS order_id, its_customer AS customer_id, c['conversion_at'] AS conversion_at, c['touchpoint_id'] AS touchpoint_id,
        c['touched_at'] AS touched_at, c['channel'] AS channel, c['campaign'] AS campaign,
        c['touch_index'] AS touch_index, c['path_length'] AS path_length, c['weight'] AS weight,
        c['credit_orders'] AS credit_orders, c['credit_revenue'] AS credit_revenue, c['credit_margin'] AS credit_margin,
        CAST(c['model'] AS VARCHAR) AS its_model, c['path'] AS its_path, CAST(NULL AS TIMESTAMP) AS its_period
    FROM (SELECT its_customer, unnest(credits) AS c FROM journey_lists)
    WHERE grain = 'journey'
    UNION ALL
    SELECT
        NULL AS order_id, its_customer AS customer_id, nullif(c['touched_at'], c['touched_at']) AS conversion_at, c['touchpoint_id'] AS touchpoint_id,
        c['touched_at'] AS touched_at, c['channel'] AS channel, c['campaign'] AS campaign,
        CAST(NULL AS INTEGER) AS touch_index, CAST(NULL AS INTEGER) AS path_length, CAST(NULL AS DOUBLE) AS weight,
        c['credit_orders'] AS credit_orders, c['credit_revenue'] AS credit_revenue, c['credit_margin'] AS credit_margin,
        CAST(c['model'] AS VARCHAR) AS its_model, CAST(NULL AS VARCHAR) AS its_path, c['period'] AS its_period
    FROM (SELECT its_customer, unnest(credits) AS c FROM touch_lists)
    WHERE grain = 'touch'
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

linear_totals AS (
    SELECT
        channel,
        sum(CAST(credit_orders AS DECIMAL(38, 9))) AS orders,
        sum(credit_revenue) AS revenue,
        sum(credit_margin) AS margin
    FROM credited
    WHERE its_model = 'markov' AND channel <> '(unattributed)'
    GROUP BY channel
),

-- Each channel's share of the removal effects of the channels that have credits.
markov_shares AS (
    SELECT
        linear_totals.channel, linear_totals.orders, linear_totals.revenue, linear_totals.margin,
        sum(linear_totals.orders) OVER () AS all_orders,
        sum(linear_totals.revenue) OVER () AS all_revenue,
        sum(linear_totals.margin) OVER () AS all_margin,
        coalesce(effects.share / sum(effects.share) OVER (), 0) AS share,
        row_number() OVER (ORDER BY effects.share DESC NULLS LAST, linear_totals.channel) AS place
    FROM linear_totals LEFT JOIN effects ON linear_totals.channel = effects.channel
),

-- What a channel gets in all; rounding is the first one's.
markov_targets AS (
    SELECT
        channel, orders, revenue, margin,
        rescale(all_orders, share) + rescale(all_orders - sum(rescale(all_orders, share)) OVER (), CASE WHEN place = 1 THEN 1.0 ELSE 0.0 END)
            AS target_orders,
        rescale(all_revenue, share) + rescale(all_revenue - sum(rescale(all_revenue, share)) OVER (), CASE WHEN place = 1 THEN 1.0 ELSE 0.0 END)
            AS target_revenue,
        rescale(all_margin, share) + rescale(all_margin - sum(rescale(all_margin, share)) OVER (), CASE WHEN place = 1 THEN 1.0 ELSE 0.0 END)
            AS target_margin
    FROM markov_shares
),

markov_factors AS (
    SELECT
        channel, target_orders, target_revenue, target_margin,
        CASE WHEN orders = 0 THEN 0 ELSE CAST(target_orders AS DOUBLE) / CAST(orders AS DOUBLE) END AS orders_factor,
        CASE WHEN revenue = 0 THEN 0 ELSE CAST(target_revenue AS DOUBLE) / CAST(revenue AS DOUBLE) END AS revenue_factor,
        CASE WHEN margin = 0 THEN 0 ELSE CAST(target_margin AS DOUBLE) / CAST(margin AS DOUBLE) END AS margin_factor
    FROM markov_targets
),

markov_rounded AS (
    SELECT
        f.channel,
        f.target_orders - sum(rescale(CAST(c.credit_orders AS DECIMAL(38, 9)), f.orders_factor)) AS orders,
        f.target_revenue - sum(rescale(c.credit_revenue, f.revenue_factor)) AS revenue,
        f.target_margin - sum(rescale(c.credit_margin, f.margin_factor)) AS margin
    FROM markov_factors AS f
    INNER JOIN credited AS c ON f.channel = c.channel
    WHERE c.its_model = 'markov'
    GROUP BY f.channel, f.target_orders, f.target_revenue, f.target_margin
),

markov_rows AS (
    SELECT
        c.*,
        f.orders_factor, f.revenue_factor, f.margin_factor,
        r.orders AS orders_left, r.revenue AS revenue_left, r.margin AS margin_left,
        CASE
            WHEN row_number() OVER (
                PARTITION BY c.channel
                -- One key, for a column that is NULL throughout is no order to the planner.
                ORDER BY c.credit_revenue DESC, concat_ws('/', c.touched_at, c.customer_id, c.order_id, c.touchpoint_id, c.its_period)
            ) = 1 THEN 1.0
            ELSE 0.0
        END AS carries
    FROM markov_factors AS f
    INNER JOIN markov_rounded AS r ON f.channel = r.channel
    INNER JOIN credited AS c ON f.channel = c.channel
    WHERE c.its_model = 'markov'
),

attributed AS (
    SELECT
        order_id, customer_id, conversion_at, touchpoint_id, touched_at, channel, campaign, touch_index, path_length, weight,
        credit_orders, credit_revenue, credit_margin, its_model, its_path, its_period
    FROM credited
    WHERE model NOT IN ('markov', 'all') OR its_model <> 'markov' OR channel = '(unattributed)'
    UNION ALL
    SELECT
        order_id, customer_id, conversion_at, touchpoint_id, touched_at, channel, campaign, touch_index, path_length,
        weight * revenue_factor AS weight,
        CAST(rescale(CAST(credit_orders AS DECIMAL(38, 9)), orders_factor) + rescale(orders_left, carries) AS DOUBLE) AS credit_orders,
        rescale(credit_revenue, revenue_factor) + rescale(revenue_left, carries) AS credit_revenue,
        rescale(credit_margin, margin_factor) + rescale(margin_left, carries) AS credit_margin,
        its_model, its_path, its_period
    FROM markov_rows
    WHERE model IN ('markov', 'all')
)

SELECT
    order_id,
    customer_id,
    conversion_at,
    touchpoint_id,
    touched_at,
    channel,
    campaign,
    touch_index,
    path_length,
    CASE
        WHEN touch_index IS NULL THEN CAST(NULL AS VARCHAR)
        WHEN path_length = 1 THEN 'only'
        WHEN touch_index = 1 THEN 'first'
        WHEN touch_index = path_length THEN 'last'
        ELSE 'mid'
    END AS role,
    weight,
    credit_orders,
    credit_revenue,
    CASE WHEN given(order_margins) THEN credit_margin ELSE nullif(credit_margin, credit_margin) END AS credit_margin,
    its_model AS model,
    its_path AS path,
    its_period AS conversion_period
FROM attributed
WHERE include_unattributed OR channel <> '(unattributed)'
