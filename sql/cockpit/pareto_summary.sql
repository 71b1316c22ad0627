-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    How unequal it is, in one row: how many customers or products make 80 % of the whole, what the top 20 % make, and
--          the Gini coefficient. Counts as pareto does: rows of one id are added up, totals of zero and below bring nothing.
-- reads    items(id ANY?, value NUMERIC?) any relation, a row being one item or a part of one; another analysis's call too
-- param    share DOUBLE 0..1 the share of the whole that the head makes
-- param    top DOUBLE 0..1 the share of the items whose share of the whole is asked; a part of an item brings that part
-- returns  items BIGINT how many items there are
-- returns  total NUMERIC the sum of the positive totals
-- returns  head_items BIGINT the largest items that together make the asked share, with the equals of the last
-- returns  head_share_of_items DOUBLE their share of all items
-- returns  head_share_of_total DOUBLE what they make, at least the asked share
-- returns  top_share DOUBLE what the top items make
-- returns  gini DOUBLE 0 where all bring the same, near 1 where one brings all; of the population, without a correction for few items
-- returns  largest_share DOUBLE what the largest item makes
-- returns  items_without_value BIGINT items whose total is zero or below
-- returns  negative_total NUMERIC what the totals below zero add up to, which is in none of the shares
-- returns  rows_left_out BIGINT rows without an id or a value
-- grain    one row
-- source   Gini = 2 * sum(i * x(i)) / (n * sum(x)) - (n + 1) / n with x ascending, negative totals as 0
-- example  SELECT items, head_items, head_share_of_items, top_share, gini FROM pareto_summary(order_lines, id => sku, value => price * quantity)
CREATE MACRO pareto_summary(items, id, value, share := 0.8, top := 0.2) AS TABLE
WITH totals AS (
    SELECT
        id AS item,
        sum(CAST(value AS DECIMAL(38, 6))) AS total,
        count(*) FILTER (WHERE id IS NULL OR value IS NULL) AS left_out,
        count(*) FILTER (WHERE id IS NOT NULL AND value IS NOT NULL) AS kept
    FROM items
    GROUP BY id
),

-- What is no item stands last, behind totals below zero.
listed AS (
    SELECT
        left_out,
        kept > 0 AS is_item,
        CASE WHEN kept > 0 THEN total END AS total,
        CASE WHEN kept > 0 THEN greatest(total, 0) ELSE CAST(0 AS DECIMAL(38, 6)) END AS x,
        CASE WHEN kept > 0 THEN 1 ELSE 0 END AS one
    FROM totals
),

running AS (
    SELECT
        total,
        x,
        left_out,
        is_item,
        rank() OVER (ORDER BY total DESC NULLS LAST) AS nth,
        row_number() OVER (ORDER BY total DESC NULLS LAST) AS place,
        sum(one) OVER () AS n,
        sum(x) OVER () AS whole,
        sum(x) OVER (ORDER BY total DESC NULLS LAST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS so_far
    FROM listed
),

marked AS (
    SELECT
        *,
        -- Equals stand together: before the first of them stands what is before all of them.
        is_item AND total > 0 AND so_far - (place - nth + 1) * x < whole * CAST(share AS DECIMAL(12, 9)) AS is_head
    FROM running
),

facts AS (
    SELECT
        coalesce(max(n), 0) AS n,
        coalesce(max(whole), 0) AS whole,
        count(*) FILTER (WHERE is_head) AS head,
        coalesce(sum(x) FILTER (WHERE is_head), 0) AS head_total,
        sum(CAST(x AS DECIMAL(38, 6)) * greatest(least(CAST(top * CAST(n AS DOUBLE) AS DECIMAL(18, 6)) - (place - 1), 1), 0)) FILTER (WHERE is_item) AS top_total,
        sum((n - place + 1) * x) FILTER (WHERE is_item) AS weighted,
        max(x) FILTER (WHERE is_item) AS largest,
        count(*) FILTER (WHERE is_item AND total <= 0) AS without_value,
        coalesce(sum(total) FILTER (WHERE is_item AND total < 0), 0) AS below_zero,
        coalesce(sum(left_out), 0) AS left_out
    FROM marked
)

SELECT
    n AS items,
    whole AS total,
    head AS head_items,
    CASE WHEN n > 0 THEN CAST(head AS DOUBLE) / CAST(n AS DOUBLE) END AS head_share_of_items,
    CASE WHEN whole > 0 THEN CAST(head_total AS DOUBLE) / CAST(whole AS DOUBLE) END AS head_share_of_total,
    CASE WHEN whole > 0 THEN CAST(top_total AS DOUBLE) / CAST(whole AS DOUBLE) END AS top_share,
    CASE
        WHEN whole > 0
            THEN 2 * CAST(weighted AS DOUBLE) / (CAST(n AS DOUBLE) * CAST(whole AS DOUBLE)) - CAST(n + 1 AS DOUBLE) / CAST(n AS DOUBLE)
    END AS gini,
    CASE WHEN whole > 0 THEN CAST(largest AS DOUBLE) / CAST(whole AS DOUBLE) END AS largest_share,
    without_value AS items_without_value,
    below_zero AS negative_total,
    left_out AS rows_left_out
FROM facts
