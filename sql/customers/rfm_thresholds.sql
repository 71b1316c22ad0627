-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Where the scores of rfm_score begin and end: for each measure and score the lowest and highest value that has
--          it, and how many customers do.
-- reads    orders through net_sales(keep_excluded => false) the orders, one row per order
-- param    k INTEGER 3..10 how many scores a measure has
-- param    method VARCHAR 'quantile'|'fixed' scores by rank among the customers, or by the cuts given
-- param    r_cuts INTEGER[] for method fixed: k - 1 days since the last order, ascending
-- param    f_cuts BIGINT[] for method fixed: k - 1 numbers of orders, ascending
-- param    m_cuts DOUBLE[] for method fixed: k - 1 amounts, ascending
-- param    ties VARCHAR 'lowest'|'average'|'ntile' the score that equal customers share
-- param    nested BOOLEAN whether frequency is scored within each recency score, and monetary within each of those
-- param    period INTERVAL only orders this long before as_of count; NULL counts all
-- param    as_of TIMESTAMP the moment from which recency counts; NULL is the last order's
-- returns  measure VARCHAR recency_days, frequency or monetary
-- returns  score INTEGER the score, k the best
-- returns  lowest NUMERIC the lowest value with that score: days, orders, or money in the orders' currency; the type is that of the amounts
-- returns  highest NUMERIC the highest value with that score
-- returns  customers BIGINT how many customers have it
-- returns  share DOUBLE their share of the scored customers
-- grain    one row per measure and score that a customer has; with nested, ranges of neighbouring scores may overlap
-- withheld lowest, highest
-- source   observed ranges of the scores of rfm_score
-- example  SELECT * FROM rfm_thresholds() ORDER BY measure, score
CREATE MACRO rfm_thresholds(
    orders,
    k := 5,
    method := 'quantile',
    r_cuts := NULL,
    f_cuts := NULL,
    m_cuts := NULL,
    ties := 'lowest',
    nested := false,
    period := NULL,
    as_of := NULL
) AS TABLE
WITH scored AS (
    SELECT *
    FROM rfm_score(
        orders,
        k => k,
        method => method,
        r_cuts => r_cuts,
        f_cuts => f_cuts,
        m_cuts => m_cuts,
        ties => ties,
        nested => nested,
        period => period,
        as_of => as_of
    )
    WHERE is_scored
),

-- One pass: the three measures of a customer become three rows. None of them is NULL: coalesce gives days and orders the
-- type of money.
cells AS (
    SELECT
        r_score, f_score, m_score,
        count(*) AS customers,
        min(recency_days) AS r_low, max(recency_days) AS r_high,
        min(frequency) AS f_low, max(frequency) AS f_high,
        min(monetary) AS m_low, max(monetary) AS m_high
    FROM scored
    GROUP BY r_score, f_score, m_score
),

listed AS (
    SELECT customers, unnest(make_array(
        named_struct('measure', 'recency_days', 'score', r_score, 'low', coalesce(r_low, m_low), 'high', coalesce(r_high, m_high)),
        named_struct('measure', 'frequency', 'score', f_score, 'low', coalesce(f_low, m_low), 'high', coalesce(f_high, m_high)),
        named_struct('measure', 'monetary', 'score', m_score, 'low', m_low, 'high', m_high)
    )) AS cell
    FROM cells
),

long AS (
    SELECT
        cell['measure'] AS measure, cell['score'] AS score, cell['low'] AS low, cell['high'] AS high, customers
    FROM listed
)

SELECT
    measure,
    score,
    min(low) AS lowest,
    max(high) AS highest,
    sum(customers) AS customers,
    CAST(sum(customers) AS DOUBLE) / sum(sum(customers)) OVER (PARTITION BY measure) AS share
FROM long
GROUP BY measure, score
