-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT
    count(*) AS skus,
    sum(e['n']) AS n,
    sum(CAST(round(e['elasticity'], 6) AS DECIMAL(18, 6))) AS elasticity,
    sum(CAST(round(e['intercept'], 6) AS DECIMAL(18, 6))) AS intercept,
    sum(CAST(round(e['r2'], 6) AS DECIMAL(18, 6))) AS r2
FROM (
    SELECT sku, price_elasticity(quantity, price) AS e
    FROM {price_lines}
    GROUP BY sku
)
