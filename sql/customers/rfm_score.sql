-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- about    Who the best customers are: every customer's recency, frequency and monetary value, a score from 1 to k for
--          each, and the segment that the three scores make, with what to do about it.
--          Frequency counts the orders with a positive amount, each order_id once however often it was delivered; the last
--          order is the last of those; monetary adds up all amounts, refunds included. Customers whose every order was
--          refunded are there, unscored. Orders without a customer or a time are
--          left out.
-- reads    orders through net_sales(keep_excluded => false) the orders, one row per order
-- param    k INTEGER 3..10 how many scores a measure has; 5 is the best of 5
-- param    method VARCHAR 'quantile'|'fixed' scores by rank among the customers, or by the cuts given
-- param    r_cuts INTEGER[] for method fixed: k - 1 days since the last order, ascending; fewer days than the first give k
-- param    f_cuts BIGINT[] for method fixed: k - 1 numbers of orders, ascending; the first reached gives 2
-- param    m_cuts DOUBLE[] for method fixed: k - 1 amounts, ascending; the first reached gives 2
-- param    ties VARCHAR 'lowest'|'average'|'ntile' the score that equal customers share: by the lowest or the mean of their
--          ranks; ntile tears them apart by customer_id, as NTILE does
-- param    nested BOOLEAN whether frequency is scored within each recency score, and monetary within each of those
-- param    period INTERVAL only orders this long before as_of count; NULL counts all
-- param    segments VARCHAR 'playbook8'|'extended11' the map from scores to segments: eight or eleven segments, or a
--          relation of rules of which the first by priority and name wins
-- reads    segments?(r_min INTEGER, r_max INTEGER, f_min INTEGER, f_max INTEGER, m_min INTEGER, m_max INTEGER, segment VARCHAR, priority INTEGER?) rules over the scores, both ends included
-- param    min_customers BIGINT below this number of scorable customers nobody is scored
-- param    as_of TIMESTAMP the moment from which recency counts, and after which orders do not; NULL is the last order's
-- param    language VARCHAR 'en'|'fr' the language of segment_label and action
-- returns  customer_id ANY the customer
-- returns  last_order_at TIMESTAMP the last order with a positive amount
-- returns  recency_days INTEGER whole days from it to as_of
-- returns  frequency BIGINT orders with a positive amount
-- returns  monetary NUMERIC the sum of all amounts, in the orders' currency
-- returns  r_score INTEGER 1 to k, k for the most recent
-- returns  f_score INTEGER 1 to k, k for the most frequent
-- returns  m_score INTEGER 1 to k, k for the highest amount
-- returns  rfm_score VARCHAR the three scores, such as 545; with k = 10, 10-4-5
-- returns  segment VARCHAR the segment's code
-- returns  segment_label VARCHAR the segment's name
-- returns  action VARCHAR what to do
-- returns  is_scored BOOLEAN false for customers without an order of a positive amount
-- returns  warnings VARCHAR a doubt about this row: no_positive_order, too_few_customers or negative_monetary; NULL for none
-- grain    one row per customer
-- groups   r_score, f_score, m_score, rfm_score, segment, segment_label, action, is_scored, warnings
-- source   score(x) = min(k, 1 + floor(k * #{y : y < x} / N)), which is NTILE where it is defined and equal for equals; the
--          eight segments are Comptoir's own rules, the eleven the published 125-cell map; for another k than 5 scores are
--          stretched to 1..5 before the map: 1 + round((score - 1) * 4 / (k - 1))
-- example  SELECT segment, count(*) AS customers, sum(monetary) AS revenue FROM rfm_score() GROUP BY segment ORDER BY revenue DESC
CREATE MACRO rfm_score(
    orders,
    k := 5,
    method := 'quantile',
    r_cuts := NULL,
    f_cuts := NULL,
    m_cuts := NULL,
    ties := 'lowest',
    nested := false,
    period := NULL,
    segments := 'playbook8',
    min_customers := 0,
    as_of := NULL,
    language := 'en'
) AS TABLE
WITH customers AS (
    SELECT
        customer_id,
        order_summary(order_id, created_timestamp, net_sales) AS summary
    FROM orders
    WHERE
        customer_id IS NOT NULL
        AND created_timestamp IS NOT NULL
        AND (as_of IS NULL OR created_timestamp <= as_of)
        AND (
            period IS NULL
            OR created_timestamp > coalesce(as_of, (SELECT max(created_timestamp) FROM orders)) - period
        )
    GROUP BY customer_id
),

measures AS (
    SELECT
        customer_id,
        summary['last_order_at'] AS last_order_at,
        summary['orders'] AS frequency,
        summary['amount'] AS monetary,
        CAST((
            CAST(arrow_cast(coalesce(as_of, (SELECT max(created_timestamp) FROM orders)), 'Timestamp(Microsecond, None)') AS BIGINT)
            - CAST(arrow_cast(summary['last_order_at'], 'Timestamp(Microsecond, None)') AS BIGINT)
        ) / 86400000000 AS INTEGER) AS recency_days
    FROM customers
),

bounds AS (
    SELECT
        count(*) AS n,
        score_bounds(-recency_days, k, CASE WHEN ties = 'average' THEN 'average' ELSE 'lowest' END) AS r,
        score_bounds(frequency, k, CASE WHEN ties = 'average' THEN 'average' ELSE 'lowest' END) AS f,
        score_bounds(monetary, k, CASE WHEN ties = 'average' THEN 'average' ELSE 'lowest' END) AS m
    FROM measures
    WHERE frequency > 0
),

flat AS (
    SELECT measures.*, bounds.n, score(-recency_days, bounds.r) AS r, score(frequency, bounds.f) AS f, score(monetary, bounds.m) AS m
    FROM bounds CROSS JOIN measures
),

nested_f AS (
    SELECT r, score_bounds(frequency, k, CASE WHEN ties = 'average' THEN 'average' ELSE 'lowest' END) AS bounds
    FROM flat
    WHERE frequency > 0
    GROUP BY r
),

with_f AS (
    SELECT
        flat.customer_id, flat.last_order_at, flat.frequency, flat.monetary, flat.recency_days, flat.n, flat.r,
        score(flat.frequency, nested_f.bounds) AS f
    FROM nested_f RIGHT JOIN flat ON nested_f.r = flat.r
),

nested_m AS (
    SELECT r, f, score_bounds(monetary, k, CASE WHEN ties = 'average' THEN 'average' ELSE 'lowest' END) AS bounds
    FROM with_f
    WHERE frequency > 0
    GROUP BY r, f
),

scored AS (
    SELECT customer_id, last_order_at, frequency, monetary, recency_days, n, r, f, m
    FROM flat
    WHERE method = 'quantile' AND ties <> 'ntile' AND NOT nested
    UNION ALL
    SELECT
        with_f.customer_id, with_f.last_order_at, with_f.frequency, with_f.monetary, with_f.recency_days, with_f.n, with_f.r,
        with_f.f, score(with_f.monetary, nested_m.bounds) AS m
    FROM nested_m RIGHT JOIN with_f ON nested_m.r = with_f.r AND nested_m.f = with_f.f
    WHERE method = 'quantile' AND ties <> 'ntile' AND nested
    UNION ALL
    SELECT
        customer_id, last_order_at, frequency, monetary, recency_days,
        count(*) OVER () AS n,
        CASE
            WHEN nested THEN raise('nested goes with ties lowest or average, not with ntile')
            ELSE CAST(ntile(k) OVER (ORDER BY recency_days DESC, customer_id) AS INTEGER)
        END AS r,
        CAST(ntile(k) OVER (ORDER BY frequency, customer_id) AS INTEGER) AS f,
        CAST(ntile(k) OVER (ORDER BY monetary, customer_id) AS INTEGER) AS m
    FROM measures
    WHERE method = 'quantile' AND ties = 'ntile' AND frequency > 0
    UNION ALL
    SELECT
        customer_id, last_order_at, frequency, monetary, recency_days, CAST(NULL AS BIGINT) AS n,
        CAST(NULL AS INTEGER) AS r, CAST(NULL AS INTEGER) AS f, CAST(NULL AS INTEGER) AS m
    FROM measures
    WHERE method = 'quantile' AND ties = 'ntile' AND frequency = 0
    UNION ALL
    SELECT
        customer_id, last_order_at, frequency, monetary, recency_days, bounds.n,
        CASE
            WHEN coalesce(cardinality(r_cuts), 0) <> k - 1 OR r_cuts <> array_sort(r_cuts)
                THEN raise('method fixed needs r_cuts with k - 1 ascending values')
            ELSE k + 1 - score(recency_days, r_cuts)
        END AS r,
        CASE
            WHEN coalesce(cardinality(f_cuts), 0) <> k - 1 OR f_cuts <> array_sort(f_cuts)
                THEN raise('method fixed needs f_cuts with k - 1 ascending values')
            ELSE score(frequency, f_cuts)
        END AS f,
        CASE
            WHEN coalesce(cardinality(m_cuts), 0) <> k - 1 OR m_cuts <> array_sort(m_cuts)
                THEN raise('method fixed needs m_cuts with k - 1 ascending values')
            ELSE score(monetary, m_cuts)
        END AS m
    FROM bounds CROSS JOIN measures
    WHERE method = 'fixed'
),

decided AS (
    SELECT
        *,
        frequency > 0 AND (min_customers = 0 OR n >= min_customers) AS is_scored
    FROM scored
),

-- The maps speak of five scores.
fifths AS (
    SELECT
        customer_id, last_order_at, frequency, monetary, recency_days, is_scored,
        CASE WHEN is_scored THEN r END AS r_score,
        CASE WHEN is_scored THEN f END AS f_score,
        CASE WHEN is_scored THEN m END AS m_score,
        CASE WHEN k = 5 THEN r ELSE CAST(round((r - 1) * 4.0 / (k - 1)) AS INTEGER) + 1 END AS r,
        CASE WHEN k = 5 THEN f ELSE CAST(round((f - 1) * 4.0 / (k - 1)) AS INTEGER) + 1 END AS f,
        CASE WHEN k = 5 THEN m ELSE CAST(round((m - 1) * 4.0 / (k - 1)) AS INTEGER) + 1 END AS m
    FROM decided
),

own_cells AS (
    SELECT
        cells.r_score, cells.f_score, cells.m_score,
        first_value(segments.segment ORDER BY segments.priority, segments.segment) AS segment
    FROM (SELECT DISTINCT r_score, f_score, m_score FROM fifths WHERE is_scored AND given(segments)) AS cells
    INNER JOIN segments
        ON cells.r_score BETWEEN segments.r_min AND segments.r_max
        AND cells.f_score BETWEEN segments.f_min AND segments.f_max
        AND cells.m_score BETWEEN segments.m_min AND segments.m_max
    WHERE given(segments)
    GROUP BY cells.r_score, cells.f_score, cells.m_score
),

segmented AS (
    SELECT
        fifths.customer_id, fifths.last_order_at, fifths.frequency, fifths.monetary, fifths.recency_days, fifths.is_scored,
        fifths.r_score, fifths.f_score, fifths.m_score,
        CASE
            WHEN NOT fifths.is_scored THEN CAST(NULL AS VARCHAR)
            WHEN given(segments) THEN coalesce(own_cells.segment, 'others')
            WHEN segments = 'playbook8' THEN CASE
                WHEN r = 1 AND f >= 4 AND m >= 4 THEN 'cant_lose_them'
                WHEN r = 1 AND f = 1 THEN 'lost'
                WHEN r <= 2 AND f + m >= 6 THEN 'at_risk'
                WHEN r <= 2 THEN 'hibernating'
                WHEN (r = 5 AND f >= 4 AND m >= 4) OR (r = 4 AND f = 5 AND m = 5) THEN 'champions'
                WHEN f >= 3 AND f + m >= 7 THEN 'loyal_customers'
                WHEN r >= 4 AND f = 1 THEN 'new_customers'
                ELSE 'potential_loyalists'
            END
            ELSE CASE
                WHEN 100 * r + 10 * f + m IN (555, 554, 544, 545, 454, 455, 445) THEN 'champions'
                WHEN 100 * r + 10 * f + m IN (543, 444, 435, 355, 354, 345, 344, 335) THEN 'loyal_customers'
                WHEN 100 * r + 10 * f + m IN (
                    553, 551, 552, 541, 542, 533, 532, 531, 452, 451, 442, 441, 431, 453, 433, 432, 423, 353, 352, 351, 342,
                    341, 333, 323
                ) THEN 'potential_loyalists'
                WHEN 100 * r + 10 * f + m IN (512, 511, 422, 421, 412, 411, 311) THEN 'new_customers'
                WHEN 100 * r + 10 * f + m IN (
                    525, 524, 523, 522, 521, 515, 514, 513, 425, 424, 413, 414, 415, 315, 314, 313
                ) THEN 'promising'
                WHEN 100 * r + 10 * f + m IN (535, 534, 443, 434, 343, 334, 325, 324) THEN 'need_attention'
                WHEN 100 * r + 10 * f + m IN (331, 321, 312, 221, 213, 231, 241, 251) THEN 'about_to_sleep'
                WHEN 100 * r + 10 * f + m IN (
                    255, 254, 245, 244, 253, 252, 243, 242, 235, 234, 225, 224, 153, 152, 145, 143, 142, 135, 134, 133, 125, 124
                ) THEN 'at_risk'
                WHEN 100 * r + 10 * f + m IN (155, 154, 144, 214, 215, 115, 114, 113) THEN 'cant_lose_them'
                WHEN 100 * r + 10 * f + m IN (332, 322, 233, 232, 223, 222, 132, 123, 122, 212, 211) THEN 'hibernating'
                ELSE 'lost'
            END
        END AS segment
    FROM own_cells
    RIGHT JOIN fifths
        ON own_cells.r_score = fifths.r_score AND own_cells.f_score = fifths.f_score AND own_cells.m_score = fifths.m_score
)

SELECT
    customer_id,
    last_order_at,
    recency_days,
    frequency,
    monetary,
    r_score,
    f_score,
    m_score,
    CASE
        WHEN NOT is_scored THEN NULL
        WHEN k < 10 THEN concat(r_score, f_score, m_score)
        ELSE concat_ws('-', r_score, f_score, m_score)
    END AS rfm_score,
    segment,
    CASE
        WHEN language = 'fr' THEN CASE segment
            WHEN 'champions' THEN 'Champions'
            WHEN 'loyal_customers' THEN 'Clients fidèles'
            WHEN 'potential_loyalists' THEN 'Fidèles potentiels'
            WHEN 'new_customers' THEN 'Nouveaux clients'
            WHEN 'promising' THEN 'Prometteurs'
            WHEN 'need_attention' THEN 'À surveiller'
            WHEN 'about_to_sleep' THEN 'En voie d''assoupissement'
            WHEN 'at_risk' THEN 'À risque'
            WHEN 'cant_lose_them' THEN 'VIP dormants'
            WHEN 'hibernating' THEN 'En hibernation'
            WHEN 'lost' THEN 'Perdus'
            WHEN 'others' THEN 'Autres'
            ELSE segment
        END
        ELSE CASE segment
            WHEN 'champions' THEN 'Champions'
            WHEN 'loyal_customers' THEN 'Loyal Customers'
            WHEN 'potential_loyalists' THEN 'Potential Loyalists'
            WHEN 'new_customers' THEN 'New Customers'
            WHEN 'promising' THEN 'Promising'
            WHEN 'need_attention' THEN 'Need Attention'
            WHEN 'about_to_sleep' THEN 'About To Sleep'
            WHEN 'at_risk' THEN 'At Risk'
            WHEN 'cant_lose_them' THEN 'Can''t Lose Them'
            WHEN 'hibernating' THEN 'Hibernating'
            WHEN 'lost' THEN 'Lost'
            WHEN 'others' THEN 'Others'
            ELSE segment
        END
    END AS segment_label,
    CASE
        WHEN language = 'fr' THEN CASE segment
            WHEN 'champions' THEN 'Récompenser, avant-premières, parrainage ; pas de remise'
            WHEN 'loyal_customers' THEN 'Programme de fidélité, ventes croisées'
            WHEN 'potential_loyalists' THEN 'Recommandations, incitation à la prochaine commande'
            WHEN 'new_customers' THEN 'Bienvenue, aide à la deuxième commande'
            WHEN 'promising' THEN 'Faire connaître la marque, petits essais'
            WHEN 'need_attention' THEN 'Offre à durée limitée sur leurs achats passés'
            WHEN 'about_to_sleep' THEN 'Relancer avant qu''ils ne s''endorment'
            WHEN 'at_risk' THEN 'Message personnel, remise de réactivation'
            WHEN 'cant_lose_them' THEN 'Alerte rouge : les appeler, les reconquérir'
            WHEN 'hibernating' THEN 'Réactivation à -15 %, autres catégories'
            WHEN 'lost' THEN 'Une dernière offre à -15 %, puis ne plus dépenser'
        END
        ELSE CASE segment
            WHEN 'champions' THEN 'Reward, early access, referrals; no discount'
            WHEN 'loyal_customers' THEN 'Loyalty programme, cross-sell'
            WHEN 'potential_loyalists' THEN 'Recommend, nudge towards the next order'
            WHEN 'new_customers' THEN 'Welcome, help to the second order'
            WHEN 'promising' THEN 'Make the brand known, small trials'
            WHEN 'need_attention' THEN 'Limited offer on what they bought before'
            WHEN 'about_to_sleep' THEN 'Reach out before they fall asleep'
            WHEN 'at_risk' THEN 'Personal message, reactivation discount'
            WHEN 'cant_lose_them' THEN 'Red alert: call them, win them back'
            WHEN 'hibernating' THEN 'Reactivate at -15 %, other categories'
            WHEN 'lost' THEN 'One last offer at -15 %, then stop spending'
        END
    END AS action,
    is_scored,
    CASE
        WHEN frequency = 0 THEN 'no_positive_order'
        WHEN NOT is_scored THEN 'too_few_customers'
        WHEN monetary < 0 THEN 'negative_monetary'
    END AS warnings
FROM segmented
