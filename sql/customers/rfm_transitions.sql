-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    How customers moved between segments from one day to another: scores both days by what was known then, and
--          counts the customers of every pair of segments.
-- reads    orders through net_sales(keep_excluded => false) the orders, one row per order
-- param    from_date TIMESTAMP the earlier moment
-- param    to_date TIMESTAMP the later moment; NULL is the last order's
-- param    k INTEGER 3..10 how many scores a measure has
-- param    ties VARCHAR 'lowest'|'average'|'ntile' the score that equal customers share
-- param    nested BOOLEAN whether frequency is scored within each recency score, and monetary within each of those
-- param    period INTERVAL only orders this long before each moment count; NULL counts all
-- param    segments VARCHAR 'playbook8'|'extended11' the map from scores to segments, or a relation of rules
-- reads    segments?(r_min INTEGER, r_max INTEGER, f_min INTEGER, f_max INTEGER, m_min INTEGER, m_max INTEGER, segment VARCHAR, priority INTEGER?) rules over the scores, both ends included
-- returns  from_segment VARCHAR the segment at from_date; (none) for who had no order yet, (unscored) without a positive one
-- returns  to_segment VARCHAR the segment at to_date, in the same words
-- returns  customers BIGINT how many customers moved so
-- returns  share DOUBLE their share of the customers of from_segment
-- returns  monetary NUMERIC what they had spent by to_date, in the orders' currency
-- grain    one row per pair of segments that a customer has
-- source   two runs of rfm_score, joined by customer
-- example  SELECT * FROM rfm_transitions(from_date => '2025-06-30', to_date => '2025-12-31') ORDER BY customers DESC, from_segment, to_segment
CREATE MACRO rfm_transitions(
    orders,
    from_date,
    to_date := NULL,
    k := 5,
    ties := 'lowest',
    nested := false,
    period := NULL,
    segments := 'playbook8'
) AS TABLE
WITH earlier AS (
    SELECT customer_id, coalesce(segment, '(unscored)') AS segment
    FROM rfm_score(orders, k => k, ties => ties, nested => nested, period => period, segments => segments, as_of => from_date)
),

later AS (
    SELECT customer_id, coalesce(segment, '(unscored)') AS segment, monetary
    FROM rfm_score(orders, k => k, ties => ties, nested => nested, period => period, segments => segments, as_of => to_date)
),

moves AS (
    SELECT
        coalesce(earlier.segment, '(none)') AS from_segment,
        coalesce(later.segment, '(none)') AS to_segment,
        later.monetary
    FROM earlier
    FULL JOIN later ON earlier.customer_id = later.customer_id
)

SELECT
    from_segment,
    to_segment,
    count(*) AS customers,
    CAST(count(*) AS DOUBLE) / sum(count(*)) OVER (PARTITION BY from_segment) AS share,
    sum(monetary) AS monetary
FROM moves
GROUP BY from_segment, to_segment
