-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- A shop's export of {rows} orders over four years, in the order of time: about a quarter as many customers, of whom
-- few buy much and many once or twice; 1 % of the amounts are zero or negative. One row in a thousand is an order
-- delivered again: a third are copies, a third have another amount, a third come later and have another amount.
WITH numbered AS (
    SELECT
        i,
        i % 1000 = 999 AS again,
        CASE WHEN i % 1000 <> 999 THEN i WHEN i // 1000 % 3 = 2 THEN i - 1 - CAST(hash(i, 'back') % 900 AS BIGINT) ELSE i - 1 END AS first,
        i // 1000 % 3 AS kind
    FROM range({rows}) AS numbers(i)
),

dealt AS (
    SELECT
        first,
        CASE WHEN again AND kind < 2 THEN first ELSE i END AS moment,
        hash(first, 'customer') / 18446744073709551616.0 AS customer,
        hash(CASE WHEN again AND kind = 0 THEN first ELSE i END, 'amount') AS amount
    FROM numbered
)

SELECT
    'O' || lpad(CAST(first AS VARCHAR), 10, '0') AS order_id,
    'C' || lpad(CAST(CAST(floor({rows} * 0.275 * customer * customer) AS BIGINT) AS VARCHAR), 9, '0') AS customer_id,
    TIMESTAMP '2022-01-01' + to_seconds(CAST(floor(moment * (4 * 365.25 * 86400 / {rows})) AS BIGINT)) AS created_timestamp,
    CAST(
        CASE amount % 200 WHEN 0 THEN 0 WHEN 1 THEN -1 ELSE 1 END
        * round(5 + 295 * pow(amount // 200 % 1000000 / 1000000.0, 4), 2)
        AS DECIMAL(18, 4)
    ) AS net_sales
FROM dealt
