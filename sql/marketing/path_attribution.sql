-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Who gets the credit when journeys are already counted: a table of paths with how many of them converted, what
--          they were worth and how many did not, as attribution_paths gives it, or a file made for another tool.
--          Conversions and value add up to those of the table exactly, for every model.
-- reads    paths(path VARCHAR?, channels ANY?, total_conversions NUMERIC, total_conversion_value NUMERIC?, total_null NUMERIC?) the journeys; channels is a list, path a text of channels with the separator between them, read where there are no channels
-- alias    total_conversions: conversions, conv, total_conv
-- param    separator VARCHAR what stands between two channels of path; blanks around a channel do not count
-- param    model VARCHAR 'weighted'|'first'|'last'|'last_non_direct'|'linear'|'position'|'markov'|'shapley'|'all' how a journey is
--          shared out, as by weighted_attribution; time decay needs times
-- param    weights DOUBLE[] for model weighted: the shares of the first touch, of those between together, and of the last
-- param    path_transform VARCHAR 'exposure'|'none'|'first' which touches are positions: neighbours of one channel as one; all;
--          the first of each channel
-- param    exclude_direct VARCHAR 'never'|'unless_only'|'always' when direct touches are left out of a journey
-- param    direct_channel VARCHAR the name of the channel of direct touches; (direct) is direct, too
-- returns  channel VARCHAR the channel; (unattributed) for journeys without any
-- returns  model VARCHAR the model
-- returns  conversions DOUBLE credited conversions
-- returns  value NUMERIC credited value; NULL without total_conversion_value
-- returns  share DOUBLE its share of all credited conversions
-- returns  removal_effect DOUBLE for model markov: the share of conversions that would be lost without it
-- grain    one row per channel and model
-- source   ChannelAttribution's heuristic_models and markov_model of order 1, whose simulation the exact solution replaces;
--          DP6 marketing_attribution_models for the weights
-- example  SELECT * FROM path_attribution((SELECT 'email > ads > email' AS path, 3 AS total_conversions, 120.0 AS total_conversion_value)) ORDER BY channel
CREATE MACRO path_attribution(
    paths,
    separator := '>',
    model := 'weighted',
    weights := [0.3, 0.4, 0.3],
    path_transform := 'exposure',
    exclude_direct := 'never',
    direct_channel := 'direct'
) AS TABLE
WITH listed AS (
    SELECT
        CASE
            WHEN given(channels) THEN channels
            ELSE string_to_array(
                CASE WHEN given(path) THEN path ELSE raise('path_attribution needs the column path or channels') END, separator
            )
        END AS steps,
        CASE
            WHEN total_conversions < 0 OR total_null < 0
                THEN raise('total_conversions and total_null are counts: they must not be negative')
            WHEN cardinality(weights) <> 3 OR abs(weights[1] + weights[2] + weights[3] - 1) > 1e-9
                OR least(weights[1], weights[2], weights[3]) < 0
                THEN raise('weights are three shares from 0 to 1 that add up to 1: the first touch''s, those between''s, the last one''s')
            -- Parts of a conversion to twelve digits, so that they add up exactly.
            ELSE CAST(coalesce(total_conversions, 0) AS DECIMAL(38, 12))
        END AS conversions,
        total_conversion_value AS worth,
        coalesce(total_null, 0) AS nulls
    FROM paths
),

-- A path is known by its text with a separator that no name has.
keyed AS (
    SELECT array_to_string(steps, chr(31), chr(30)) AS journey, steps, conversions, worth, nulls
    FROM listed
),

steps_of AS (
    SELECT journey, unnest(steps) AS step, unnest(generate_series(1, cardinality(steps))) AS place
    FROM (SELECT DISTINCT journey, steps FROM keyed WHERE cardinality(steps) > 0)
),

named AS (
    SELECT journey, CASE WHEN trim(step) = '' THEN '(unknown)' ELSE coalesce(trim(step), '(unknown)') END AS channel, CAST(place AS BIGINT) AS place
    FROM steps_of
),

history AS (
    SELECT journey, 1000000000 AS place, NULL AS channel, conversions, coalesce(worth, 0) AS worth
    FROM keyed
    WHERE conversions <> 0 OR worth <> 0
    UNION ALL
    SELECT journey, place, channel, NULL AS conversions, NULL AS worth
    FROM named
),

credit_lists AS (
    SELECT
        journey,
        channel_credits(
            arrow_cast(place, 'Timestamp(Microsecond, None)'), place, channel, NULL, channel IN (direct_channel, '(direct)'), NULL,
            conversions, worth, NULL,
            CASE WHEN model = 'all' THEN 'first,last,last_non_direct,linear,weighted,position,shapley,markov' ELSE model END,
            path_transform, exclude_direct, true, NULL,
            CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[1] ELSE 0 END,
            CASE WHEN least(weights[1], weights[3]) >= 0 AND weights[1] + weights[3] <= 1 THEN weights[3] ELSE 0 END
        ) AS credits
    FROM history
    GROUP BY journey
),

credited AS (
    SELECT
        c['channel'] AS channel, CAST(c['model'] AS VARCHAR) AS its_model,
        sum(c['credit_revenue']) AS conversions, sum(c['credit_margin']) AS worth
    FROM (SELECT unnest(credits) AS c FROM credit_lists)
    GROUP BY c['channel'], CAST(c['model'] AS VARCHAR)
),

journey_counts AS (
    SELECT journey, sum(conversions) AS conversions, sum(CAST(nulls AS DECIMAL(38, 12))) AS nulls
    FROM keyed
    WHERE model IN ('markov', 'all')
    GROUP BY journey
),

journey_channels AS (
    SELECT journey, array_agg(channel ORDER BY place) AS steps
    FROM named
    WHERE
        model IN ('markov', 'all')
        AND (exclude_direct = 'never' OR channel NOT IN (direct_channel, '(direct)')
            OR (exclude_direct = 'unless_only' AND journey NOT IN (SELECT journey FROM named WHERE channel NOT IN (direct_channel, '(direct)'))))
    GROUP BY journey
),

effects AS (
    SELECT e['channel'] AS channel, e['share'] AS share, e['removal_effect'] AS effect
    FROM (
        SELECT unnest(effects) AS e
        FROM (
            SELECT removal_effects(journey_channels.steps, journey_counts.conversions, journey_counts.nulls) AS effects
            FROM journey_channels INNER JOIN journey_counts ON journey_channels.journey = journey_counts.journey
        )
    )
),

markov_shares AS (
    SELECT
        credited.channel, credited.its_model,
        sum(credited.conversions) OVER () AS conversions, sum(credited.worth) OVER () AS worth,
        coalesce(effects.share / sum(effects.share) OVER (), 0) AS share,
        CASE WHEN row_number() OVER (ORDER BY effects.share DESC NULLS LAST, credited.channel) = 1 THEN 1.0 ELSE 0.0 END AS carries,
        effects.effect
    FROM credited LEFT JOIN effects ON credited.channel = effects.channel
    WHERE credited.its_model = 'markov' AND credited.channel <> '(unattributed)' AND model IN ('markov', 'all')
),

modelled AS (
    SELECT channel, its_model, conversions, worth, CAST(NULL AS DOUBLE) AS effect
    FROM credited
    WHERE model NOT IN ('markov', 'all') OR its_model <> 'markov' OR channel = '(unattributed)'
    UNION ALL
    SELECT
        channel, its_model,
        rescale(conversions, share) + rescale(conversions - sum(rescale(conversions, share)) OVER (), carries) AS conversions,
        rescale(worth, share) + rescale(worth - sum(rescale(worth, share)) OVER (), carries) AS worth,
        effect
    FROM markov_shares
    WHERE model IN ('markov', 'all')
),

-- Every channel under every model, also where it gets nothing.
together AS (
    SELECT channel, its_model, coalesce(sum(conversions), 0) AS conversions, coalesce(sum(worth), 0) AS worth, max(effect) AS effect
    FROM (
        SELECT channel, its_model, conversions, worth, effect
        FROM modelled
        UNION ALL
        SELECT channels.channel, models.its_model, NULL AS conversions, NULL AS worth, CAST(NULL AS DOUBLE) AS effect
        FROM (SELECT DISTINCT its_model FROM credited) AS models CROSS JOIN (SELECT DISTINCT channel FROM credited) AS channels
    )
    GROUP BY channel, its_model
)

SELECT
    channel,
    its_model AS model,
    CAST(conversions AS DOUBLE) AS conversions,
    CASE WHEN given(total_conversion_value) THEN worth ELSE nullif(worth, worth) END AS value,
    CAST(conversions AS DOUBLE) / nullif(CAST(sum(conversions) OVER (PARTITION BY its_model) AS DOUBLE), 0) AS share,
    effect AS removal_effect
FROM together
