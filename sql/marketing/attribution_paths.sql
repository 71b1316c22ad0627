-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    The ways that people take through the channels: every journey that ended in an order, and every one that ended
--          without, counted by its channels in their order. What path_attribution and other tools for journeys read.
--          A journey without an order is touches of one customer, or one anonymous visitor, that no order's journey holds, as
--          long as neither an order nor more than the lookback lies between them. Those of the last days may still end in an
--          order; as_of can cut the orders off so that all have had their time.
-- reads    orders through net_sales(keep_excluded => false, tz => tz) the orders, one row per order
-- reads    touchpoints(touchpoint_id ANY?, event_timestamp TIMESTAMP, touch_customer_id ANY, user_pseudo_id ANY?, channel VARCHAR, source VARCHAR?, medium VARCHAR?, campaign VARCHAR?) the touches
-- column   touch_customer_id = customer_id
-- param    lookback INTERVAL how long before its order a touch may be, at most; the moment itself counts
-- param    path VARCHAR 'exposure'|'none'|'first' which touches are positions of the journey: neighbours of one channel as
--          one, at the first of them; all; the first of each channel
-- param    level VARCHAR 'channel'|'campaign'|'source_medium' what a channel is: channel; channel / campaign; source / medium
-- param    reset_after_conversion BOOLEAN whether a journey begins after the order before
-- param    exclude_direct VARCHAR 'unless_only'|'never'|'always' when direct touches are left out of a journey; with
--          unless_only they count where there is no other
-- param    direct_channel VARCHAR the name of the channel of direct touches; (direct) is direct, too
-- param    tz VARCHAR the time zone of the shop, such as 'Europe/Paris': times of orders and touches, which are UTC, are told in its
--          wall-clock time, and so is as_of
-- param    as_of TIMESTAMP the moment after which orders and touches do not count; NULL counts all
-- returns  path VARCHAR the channels, as in email > google_ads; a name with > in it stands in double quotes; (unattributed)
--          for orders without a touch
-- returns  channels VARCHAR[] the channels as a list
-- returns  path_length INTEGER how many they are
-- returns  total_conversions BIGINT orders at the end of such a journey
-- returns  total_conversion_value NUMERIC their revenue
-- returns  total_null BIGINT such journeys that ended without an order
-- returns  conversion_rate DOUBLE the share that ended in an order
-- returns  mean_days DOUBLE from the first touch to the order
-- grain    one row per sequence of channels
-- source   the input of ChannelAttribution (path, total_conversions, total_conversion_value, total_null)
-- example  SELECT path, total_conversions, total_null FROM attribution_paths() ORDER BY total_conversions DESC, path LIMIT 10
CREATE MACRO attribution_paths(
    orders,
    touchpoints := touchpoints,
    lookback := INTERVAL '30 days',
    path := 'exposure',
    level := 'channel',
    reset_after_conversion := true,
    exclude_direct := 'unless_only',
    direct_channel := 'direct',
    as_of := NULL,
    tz := 'UTC'
) AS TABLE
WITH converted AS (
    SELECT o.customer_id, o.created_timestamp, o.order_id, o.net_sales
    FROM orders AS o
    WHERE
        -- A later delivery may take an order back.
        (o.net_sales > 0 OR (o.order_id IS NOT NULL AND o.net_sales IS NOT NULL))
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
        order_id, net_sales AS revenue
    FROM converted
    UNION ALL
    SELECT
        touch_customer_id AS customer_id, event_timestamp AS at, touchpoint_id, channel, unit,
        NULL AS order_id, NULL AS revenue
    FROM touched
    WHERE touch_customer_id IS NOT NULL
),

visits AS (
    SELECT customer_id, NULL AS visitor, at, touchpoint_id, channel, unit, order_id, revenue
    FROM history
    UNION ALL
    SELECT
        touch_customer_id AS customer_id, user_pseudo_id AS visitor, event_timestamp AS at, touchpoint_id, channel, unit,
        NULL AS order_id, NULL AS revenue
    FROM touched
    WHERE touch_customer_id IS NULL AND user_pseudo_id IS NOT NULL
),

visit_lists AS (
    SELECT
        customer_id, visitor,
        journeys(
            at, touchpoint_id, unit, NULL, channel IN (direct_channel, '(direct)'), order_id, revenue, NULL, NULL,
            'linear', path, exclude_direct, reset_after_conversion, lookback
        ) AS found
    FROM visits
    GROUP BY customer_id, visitor
),

counted AS (
    SELECT
        coalesce(j['path'], '(unattributed)') AS its_path,
        j['channels'] AS channels,
        count(j['conversion_at']) AS conversions,
        sum(j['revenue']) AS revenue,
        count(*) - count(j['conversion_at']) AS nulls,
        sum(
            CAST(arrow_cast(j['conversion_at'], 'Timestamp(Microsecond, None)') AS BIGINT)
            - CAST(arrow_cast(j['started_at'], 'Timestamp(Microsecond, None)') AS BIGINT)
        ) AS micros
    FROM (SELECT unnest(found) AS j FROM visit_lists)
    GROUP BY coalesce(j['path'], '(unattributed)'), j['channels']
)

SELECT
    its_path AS path,
    channels,
    CAST(cardinality(channels) AS INTEGER) AS path_length,
    conversions AS total_conversions,
    coalesce(revenue, 0) AS total_conversion_value,
    nulls AS total_null,
    CAST(conversions AS DOUBLE) / (conversions + nulls) AS conversion_rate,
    CAST(micros AS DOUBLE) / 86400000000 / nullif(conversions, 0) AS mean_days
FROM counted
