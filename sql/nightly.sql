-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- A nightly script for the demo shop: it looks at the data first, then writes three outputs, which appear together
-- when everything has passed, or not at all.
--
--   comptoir demo --dir demo
--   comptoir run sql/nightly.sql --data demo -p out=nightly

PARAMETER out VARCHAR;
PARAMETER day DATE DEFAULT DATE '2026-01-01';
PARAMETER fewest_orders BIGINT DEFAULT 1000;
PARAMETER orders IDENTIFIER DEFAULT orders;

-- What must hold, or nothing is published.
ASSERT NO ROWS IN check_unique("$orders", order_id) MESSAGE 'an order stands in the shop twice';
ASSERT NO ROWS IN check_not_null("$orders", created_timestamp) MESSAGE 'an order without a time';
ASSERT NO ROWS IN check_foreign_key(order_lines, order_id, "$orders", order_id) MESSAGE 'a line without its order';
ASSERT NO ROWS IN check_accepted("$orders", financial_status, ['paid', 'partially_refunded', 'refunded', 'voided']);
ASSERT NO ROWS IN check_row_count("$orders", minimum => $fewest_orders) MESSAGE 'too few orders: was the import cut short?';
ASSERT NO ROWS IN check_fresh("$orders", created_timestamp, max_age => INTERVAL '2 days', as_of => $day)
    MESSAGE 'no recent order: did the import run?';

-- What one should know.
ASSERT NO ROWS IN check_not_null("$orders", customer_id) SEVERITY WARN MESSAGE 'guests are in no segment';
ASSERT NO ROWS IN (SELECT * FROM rfm_score_checks("$orders") WHERE severity <> 'info') SEVERITY WARN;

CREATE TABLE scores AS
SELECT * FROM rfm_score("$orders", as_of => $day);

-- Of the table, so that what is written is what is checked.
ASSERT (SELECT count(*) FROM scores) > 0 MESSAGE 'no customer was scored';
ASSERT NO ROWS IN check_unique(scores, customer_id);

-- One file, written anew each night.
COPY (
    SELECT segment, segment_label, action, count(*) AS customers, sum(monetary) AS monetary
    FROM scores
    WHERE segment IS NOT NULL
    GROUP BY segment, segment_label, action
    ORDER BY monetary DESC, segment
) TO $out || '/segments.csv';

-- One folder, exchanged as a whole.
COPY (SELECT * FROM scores WHERE is_scored ORDER BY customer_id) TO $out || '/scores/' STORED AS PARQUET PARTITIONED BY (segment);

-- One folder a day: each run adds its day, and a day that is run again replaces itself.
COPY (
    SELECT $day AS as_of, count(*) AS orders, sum(net_sales) AS net_sales
    FROM net_sales("$orders")
    WHERE created_timestamp < $day
) TO $out || '/sales/day=' || $day || '/' STORED AS PARQUET;
