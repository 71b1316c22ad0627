-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- {rows} sales in the order of time, of a hundredth as many skus in no order: each sku has a price around which it moves by a
-- quarter, an elasticity between -0.5 and -3, and quantities that follow it with noise.
WITH dealt AS (
    SELECT
        i,
        hash(i, 'sku') % greatest({rows} // 100, 1) AS sku,
        hash(i, 'price') % 1000000 / 1000000.0 AS move,
        hash(i, 'noise') % 1000000 / 1000000.0 AS noise
    FROM range({rows}) AS numbers(i)
)

SELECT
    'S' || lpad(CAST(sku AS VARCHAR), 8, '0') AS sku,
    greatest(round(
        50 * pow(0.75 + 0.5 * move, -0.5 - 2.5 * (hash(sku, 'elasticity') % 1000 / 1000.0)) * (0.5 + noise)
    ), 1) AS quantity,
    CAST(round((5 + hash(sku, 'base') % 10000 / 100.0) * (0.75 + 0.5 * move), 2) AS DOUBLE) AS price
FROM dealt
ORDER BY i
