-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT
    count(*) AS skus,
    sum(n) AS n,
    sum(CAST(round(elasticity, 6) AS DECIMAL(18, 6))) AS elasticity,
    sum(CAST(round(intercept, 6) AS DECIMAL(18, 6))) AS intercept,
    sum(CAST(round(r2, 6) AS DECIMAL(18, 6))) AS r2
FROM (
    SELECT
        sku,
        regr_count(ln(quantity), ln(price)) AS n,
        regr_slope(ln(quantity), ln(price)) AS elasticity,
        regr_intercept(ln(quantity), ln(price)) AS intercept,
        regr_r2(ln(quantity), ln(price)) AS r2
    FROM {price_lines}
    GROUP BY sku
)
