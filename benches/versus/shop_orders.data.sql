-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- {rows} orders over four years with what each cost the shop.
SELECT
    'O' || lpad(CAST(i AS VARCHAR), 10, '0') AS order_id,
    'C' || lpad(CAST(CAST(floor({rows} * 0.275 * pow(hash(i, 'customer') / 18446744073709551616.0, 2)) AS BIGINT) AS VARCHAR), 9, '0') AS customer_id,
    TIMESTAMP '2022-01-01' + to_seconds(CAST(floor(i * (4 * 365.25 * 86400 / {rows})) AS BIGINT)) AS created_timestamp,
    CAST(1.2 + hash(i, 'pick') % 200 / 100.0 AS DECIMAL(18, 4)) AS pick_pack_cost,
    CAST(3 + hash(i, 'carrier') % 900 / 100.0 AS DECIMAL(18, 4)) AS shipping_expense,
    CAST(CASE hash(i, 'free') % 3 WHEN 0 THEN 0 ELSE 4.9 END AS DECIMAL(18, 4)) AS shipping_cost,
    CAST(0.25 + hash(i, 'fee') % 300 / 100.0 AS DECIMAL(18, 4)) AS payment_fee
FROM range({rows}) AS numbers(i)
