-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    What to know before trusting weighted_attribution and attribution_report on this data: the proof that the channels'
--          credits add up to the orders, and one row for each doubt: orders that no touch brought, guests, touches of nobody,
--          without a time or a channel, channels that cost and are never touched because they are called otherwise.
-- reads    orders through net_sales(keep_excluded => true, tz => tz) the orders, one row per order
-- reads    touchpoints(touchpoint_id ANY?, event_timestamp TIMESTAMP, touch_customer_id ANY, user_pseudo_id ANY?, channel VARCHAR, source VARCHAR?, medium VARCHAR?, campaign VARCHAR?) the touches
-- column   touch_customer_id = customer_id
-- reads    ad_spend?(date_day DATE?, spend_channel VARCHAR, campaign_name VARCHAR?, spend_source VARCHAR?, spend_medium VARCHAR?, spend NUMERIC, cost_type VARCHAR?) what marketing cost
-- column   spend_channel = channel
-- column   spend_source = source
-- column   spend_medium = medium
-- param    cost_types VARCHAR[] the types of cost that are spend; a row without a type is media
-- param    model VARCHAR 'weighted'|'first'|'last'|'last_non_direct'|'linear'|'position'|'time_decay'|'markov'|'shapley'|'all'
--          how an order is shared out, as by weighted_attribution
-- param    weights DOUBLE[] for model weighted: the shares of the first touch, of those between together, and of the last
-- param    lookback INTERVAL how long before its order a touch may be, at most; the moment itself counts
-- param    path VARCHAR 'exposure'|'none'|'first' which touches are positions of the journey
-- param    level VARCHAR 'channel'|'campaign'|'source_medium' what a channel is: channel; channel / campaign; source / medium
-- param    reset_after_conversion BOOLEAN whether a journey begins after the order before
-- param    exclude_direct VARCHAR 'unless_only'|'never'|'always' when direct touches are left out of a journey
-- param    direct_channel VARCHAR the name of the channel of direct touches; (direct) is direct, too
-- param    half_life INTERVAL for model time_decay: the age at which a touch weighs half
-- param    as_of TIMESTAMP the moment after which orders, touches and spend do not count; NULL counts all
-- param    tz VARCHAR the time zone of the shop, such as 'Europe/Paris': times of orders and touches, which are UTC, are told in its
--          wall-clock time, and so is as_of
-- returns  check VARCHAR what was looked at; credits_add_up is the proof
-- returns  severity VARCHAR info, warn or error
-- returns  affected BIGINT how many orders, touches or channels it concerns
-- returns  message VARCHAR what it means
-- returns  pool NUMERIC the money that was to be shared out or is in doubt; NULL where it is not about money
-- returns  allocated NUMERIC the money that was credited, of a proof
-- grain    one row for the proof, and one per doubt
-- source   the invariant of weighted_attribution: for every model the credits add up to the positive net sales of the orders
-- example  SELECT "check", severity, affected, pool, allocated FROM weighted_attribution_checks() ORDER BY "check"
CREATE MACRO weighted_attribution_checks(
    orders,
    touchpoints := touchpoints,
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
    as_of := NULL,
    tz := 'UTC'
) AS TABLE
WITH order_facts AS (
    SELECT
        count(*) FILTER (WHERE exclusion = 'test') AS tests,
        count(*) FILTER (WHERE exclusion = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE exclusion IS NULL AND net_sales IS NULL) AS without_amount,
        count(*) FILTER (WHERE exclusion IS NULL AND net_sales <= 0) AS not_positive,
        count(*) FILTER (WHERE exclusion IS NULL AND net_sales > 0 AND created_timestamp IS NULL) AS without_time,
        count(*) FILTER (WHERE exclusion IS NULL AND order_id IS NULL) AS without_id,
        count(*) FILTER (WHERE exclusion IS NULL AND created_timestamp > as_of) AS future
    FROM orders
),

-- Each order once: the latest delivery, then the largest. Orders without an id each count.
orders_once AS (
    SELECT
        customer_id,
        count(*) FILTER (WHERE order_id IS NULL AND net_sales > 0) AS unnamed,
        sum(net_sales) FILTER (WHERE order_id IS NULL AND net_sales > 0) AS unnamed_sales,
        count(*) FILTER (WHERE order_id IS NOT NULL) - 1 AS repeats,
        CASE WHEN order_id IS NOT NULL THEN first_value(net_sales ORDER BY created_timestamp DESC NULLS LAST, net_sales DESC) END AS net_sales
    FROM orders
    WHERE exclusion IS NULL AND net_sales IS NOT NULL AND (as_of IS NULL OR created_timestamp <= as_of)
    GROUP BY customer_id, order_id
),

conversion_facts AS (
    SELECT
        coalesce(sum(unnamed), 0) + count(*) FILTER (WHERE net_sales > 0) AS conversions,
        coalesce(sum(unnamed_sales), 0) + coalesce(sum(net_sales) FILTER (WHERE net_sales > 0), 0) AS revenue,
        coalesce(sum(unnamed) FILTER (WHERE customer_id IS NULL), 0) + count(*) FILTER (WHERE net_sales > 0 AND customer_id IS NULL) AS guests,
        coalesce(sum(unnamed_sales) FILTER (WHERE customer_id IS NULL), 0)
            + coalesce(sum(net_sales) FILTER (WHERE net_sales > 0 AND customer_id IS NULL), 0) AS guest_revenue,
        coalesce(sum(repeats) FILTER (WHERE repeats > 0), 0) AS repeats
    FROM orders_once
),

touch_facts AS (
    SELECT
        count(*) AS touches,
        count(*) FILTER (WHERE event_timestamp IS NULL) AS without_time,
        count(*) FILTER (WHERE touch_customer_id IS NULL AND user_pseudo_id IS NOT NULL) AS anonymous,
        count(*) FILTER (WHERE touch_customer_id IS NULL AND user_pseudo_id IS NULL) AS nobodys,
        count(*) FILTER (WHERE channel IS NULL) AS without_channel,
        count(touchpoint_id) - count(DISTINCT touchpoint_id) AS repeats,
        count(*) FILTER (WHERE local_time(event_timestamp, tz) > as_of) AS future
    FROM touchpoints
),

-- Orders are in the shop's time already.
reported AS (
    SELECT *
    FROM attribution_report(
        (SELECT * FROM orders WHERE exclusion IS NULL),
        (SELECT * REPLACE (local_time(event_timestamp, tz) AS event_timestamp) FROM touchpoints),
        ad_spend => ad_spend,
        cost_types => cost_types,
        model => model,
        weights => weights,
        lookback => lookback,
        path => path,
        level => level,
        reset_after_conversion => reset_after_conversion,
        exclude_direct => exclude_direct,
        direct_channel => direct_channel,
        half_life => half_life,
        as_of => as_of
    )
),

touched_channels AS (
    SELECT DISTINCT
        CASE
            WHEN level = 'campaign' THEN concat(coalesce(channel, '(unknown)'), ' / ', coalesce(campaign, '(none)'))
            WHEN level = 'source_medium' THEN concat(coalesce(source, '(none)'), ' / ', coalesce(medium, '(none)'))
            ELSE coalesce(channel, '(unknown)')
        END AS its_channel
    FROM touchpoints
),

channel_facts AS (
    SELECT
        count(DISTINCT r.model) AS models,
        coalesce(sum(r.revenue), 0) AS credited,
        coalesce(sum(r.orders) FILTER (WHERE r.channel = '(unattributed)'), 0) AS unattributed,
        coalesce(sum(r.revenue) FILTER (WHERE r.channel = '(unattributed)'), 0) AS unattributed_revenue,
        count(DISTINCT r.channel) FILTER (WHERE r.spend > 0 AND t.its_channel IS NULL) AS untouched,
        coalesce(sum(r.spend) FILTER (WHERE t.its_channel IS NULL), 0) AS untouched_spend,
        count(r.spend) AS paid,
        count(DISTINCT r.channel) FILTER (WHERE r.spend IS NULL AND r.channel <> '(unattributed)' AND r.orders > 0) AS unpaid
    FROM touched_channels AS t RIGHT JOIN reported AS r ON t.its_channel = r.channel
),

-- One row of facts becomes a list of checks: a UNION would compute the facts once for every check.
listed AS (
    SELECT unnest(make_array(
        named_struct('check', 'credits_add_up', 'affected', c.conversions,
            'severity', CASE WHEN CAST(f.credited AS DECIMAL(38, 4)) = CAST(f.models * c.revenue AS DECIMAL(38, 4)) THEN 'info' ELSE 'error' END,
            'message', CASE WHEN CAST(f.credited AS DECIMAL(38, 4)) = CAST(f.models * c.revenue AS DECIMAL(38, 4)) THEN 'the credits of every model add up to the orders, to the last 0.0001' ELSE 'the credits do not add up to the orders' END,
            'pool', CAST(f.models * c.revenue AS DECIMAL(38, 4)), 'allocated', CAST(f.credited AS DECIMAL(38, 4))),
        named_struct('check', 'unattributed_orders', 'affected', CAST(round(f.unattributed / greatest(f.models, 1)) AS BIGINT),
            'severity', CASE WHEN 2 * f.unattributed > f.models * c.conversions THEN 'warn' ELSE 'info' END,
            'message', 'orders have no touch in the lookback; they stand in channel (unattributed)',
            'pool', CAST(f.unattributed_revenue / greatest(f.models, 1) AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'guests', 'affected', c.guests, 'severity', 'info',
            'message', 'orders without a customer have no touches; guest_key => email knows them by e-mail',
            'pool', CAST(c.guest_revenue AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'spend_without_touches', 'affected', f.untouched, 'severity', 'warn',
            'message', 'channels of ad_spend are in no touch: nobody came through them, or touchpoints call them otherwise',
            'pool', CAST(f.untouched_spend / greatest(f.models, 1) AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'channels_without_spend', 'affected', CASE WHEN f.paid > 0 THEN f.unpaid ELSE 0 END, 'severity', 'info',
            'message', 'channels have orders and no spend: cost per order and return on spend are NULL',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'test_orders_excluded', 'affected', o.tests, 'severity', 'info',
            'message', 'test orders are left out',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'cancelled_orders_excluded', 'affected', o.cancelled, 'severity', 'info',
            'message', 'cancelled orders are left out',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'amount_missing', 'affected', o.without_amount, 'severity', 'warn',
            'message', 'orders without an amount are left out',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'no_positive_amount', 'affected', o.not_positive, 'severity', 'info',
            'message', 'orders that were refunded in full, or are worth nothing, have nothing to share out',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'time_missing', 'affected', o.without_time, 'severity', 'warn',
            'message', 'orders without a time have no touches before them',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'order_id_missing', 'affected', o.without_id, 'severity', 'info',
            'message', 'orders without an order_id each count as one order; twice delivered, they count twice',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'duplicate_orders', 'affected', c.repeats, 'severity', 'warn',
            'message', 'rows repeat an order_id of the same customer; each order counts once',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'future_orders_excluded', 'affected', o.future, 'severity', 'info',
            'message', 'orders after as_of are left out',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'future_touches_excluded', 'affected', t.future, 'severity', 'info',
            'message', 'touches after as_of are left out',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'anonymous_touches', 'affected', t.anonymous, 'severity', 'info',
            'message', 'touches have a visitor and no customer: they earn nothing, and count as journeys without an order',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'touches_of_nobody', 'affected', t.nobodys, 'severity', 'warn',
            'message', 'touches without a customer and a visitor are left out',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'touches_without_time', 'affected', t.without_time, 'severity', 'warn',
            'message', 'touches without a time are left out',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'channel_missing', 'affected', t.without_channel, 'severity', 'warn',
            'message', 'touches without a channel stand in channel (unknown)',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'duplicate_touches', 'affected', t.repeats, 'severity', 'warn',
            'message', 'rows repeat a touchpoint_id; path exposure takes neighbours of one channel for one, path none does not',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'no_touches', 'affected', CASE WHEN t.touches = 0 THEN 1 ELSE 0 END, 'severity', 'error',
            'message', 'there is no touch: every order is unattributed',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4))),
        named_struct('check', 'no_orders', 'affected', CASE WHEN c.conversions = 0 THEN 1 ELSE 0 END, 'severity', 'error',
            'message', 'no order has anything to share out',
            'pool', CAST(NULL AS DECIMAL(38, 4)), 'allocated', CAST(NULL AS DECIMAL(38, 4)))
    )) AS item
    FROM order_facts AS o CROSS JOIN conversion_facts AS c CROSS JOIN touch_facts AS t CROSS JOIN channel_facts AS f
)

SELECT
    item['check'] AS "check",
    item['severity'] AS severity,
    item['affected'] AS affected,
    item['message'] AS message,
    item['pool'] AS pool,
    item['allocated'] AS allocated
FROM listed
WHERE item['affected'] > 0
