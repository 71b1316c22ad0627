-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- The 2,000 products of shop_lines, for any of {rows}.
SELECT
    'SKU-' || lpad(CAST(i AS VARCHAR), 4, '0') AS sku,
    CAST(1 + hash(i, 'cost') % 3000 / 100.0 AS DECIMAL(18, 4)) AS unit_cost_amount,
    CAST(hash(i, 'packaging') % 90 / 100.0 AS DECIMAL(18, 4)) AS packaging_cost,
    CAST(hash(i, 'inbound') % 200 / 100.0 AS DECIMAL(18, 4)) AS inbound_cost
FROM range(2000) AS numbers(i)
