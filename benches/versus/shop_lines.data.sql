-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- One to three lines for each of {rows} orders, of 2,000 products.
SELECT
    'L' || lpad(CAST(3 * i + n AS VARCHAR), 11, '0') AS order_line_id,
    'O' || lpad(CAST(i AS VARCHAR), 10, '0') AS order_id,
    'SKU-' || lpad(CAST(hash(i, n, 'sku') % 2000 AS VARCHAR), 4, '0') AS sku,
    CAST(1 + hash(i, n, 'quantity') % 4 AS INTEGER) AS quantity,
    CAST(2 + hash(i, n, 'price') % 9000 / 100.0 AS DECIMAL(18, 4)) AS price,
    CAST(CASE hash(i, n, 'promo') % 5 WHEN 0 THEN 1.5 ELSE 0 END AS DECIMAL(18, 4)) AS total_discount
FROM range({rows}) AS numbers(i), range(3) AS lines(n)
WHERE n = 0 OR n <= hash(i, 'lines') % 3
