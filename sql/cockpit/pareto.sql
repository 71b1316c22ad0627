-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Who makes the most of it: the customers, products or anything else of a relation by what they bring, largest
--          first, with each one's share, the running share, and whether it belongs to the few that make 80 %.
--          Rows of one id are added up. Rows without an id or a value are left out. Totals of zero and below bring nothing:
--          they are listed with a share of 0, and shares are of the sum of the positive totals. Equals share everything:
--          rank, running share, and whether they belong to the head, which therefore may reach a little beyond the share.
-- reads    items(id ANY, value NUMERIC) any relation, a row being one item or a part of one; another analysis's call too
-- param    share DOUBLE 0..1 the share of the whole that the head makes
-- returns  id ANY the item
-- returns  value NUMERIC the sum of its values, read to six decimals
-- returns  rank BIGINT 1 for the largest; equals share the lowest rank, and the next rank skips them
-- returns  share DOUBLE its share of all positive totals; NULL where there is none
-- returns  cumulative_value NUMERIC the positive totals down to this item and its equals
-- returns  cumulative_share DOUBLE their share of all
-- returns  share_of_items DOUBLE the items down to this one and its equals, as a share of all items
-- returns  is_head BOOLEAN among the largest items that together make the asked share
-- returns  lorenz_x DOUBLE the Lorenz curve, from the smallest: the share of items that bring no more than this one
-- returns  lorenz_y DOUBLE what these bring, as a share of all
-- grain    one row per id
-- source   Pareto's 80/20 count; the curve of Lorenz (1905). One aggregation and one sort: O(n log n)
-- example  SELECT * FROM pareto(rfm_score(), id => customer_id, value => monetary) ORDER BY rank, id LIMIT 10
CREATE MACRO pareto(items, id, value, share := 0.8) AS TABLE
WITH totals AS (
    SELECT id AS item, sum(CAST(value AS DECIMAL(38, 6))) AS total
    FROM items
    WHERE id IS NOT NULL AND value IS NOT NULL
    GROUP BY id
),

running AS (
    SELECT
        item,
        total,
        rank() OVER (ORDER BY total DESC) AS nth,
        count(*) OVER (ORDER BY total DESC) AS down_to,
        count(*) OVER () AS n,
        sum(greatest(total, 0)) OVER (ORDER BY total DESC) AS so_far,
        sum(greatest(total, 0)) OVER () AS whole
    FROM totals
),

-- What stands before an item and its equals; all that follows is made of it.
placed AS (
    SELECT
        *,
        so_far - (down_to - nth + 1) * greatest(total, 0) AS before
    FROM running
)

SELECT
    item AS id,
    total AS value,
    CAST(nth AS BIGINT) AS rank,
    CASE WHEN whole > 0 THEN CAST(greatest(total, 0) AS DOUBLE) / CAST(whole AS DOUBLE) END AS share,
    so_far AS cumulative_value,
    CASE WHEN whole > 0 THEN CAST(so_far AS DOUBLE) / CAST(whole AS DOUBLE) END AS cumulative_share,
    CAST(down_to AS DOUBLE) / CAST(n AS DOUBLE) AS share_of_items,
    total > 0 AND before < whole * CAST(share AS DECIMAL(12, 9)) AS is_head,
    CAST(n - nth + 1 AS DOUBLE) / CAST(n AS DOUBLE) AS lorenz_x,
    CASE WHEN whole > 0 THEN CAST(whole - before AS DOUBLE) / CAST(whole AS DOUBLE) END AS lorenz_y
FROM placed
