-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- {rows} customers with six quasi-identifiers, of which a few thousand combinations are common and many are rare, and a
-- sensitive tier.
SELECT
    i AS customer_id,
    CAST(1940 + 70 * pow(hash(i, 'birth') % 1000003 / 1000003.0, 0.7) AS INTEGER) AS birth_year,
    lpad(CAST(CAST(floor(90 * pow(hash(i, 'area') % 1000003 / 1000003.0, 3)) AS INTEGER) * 1000 AS VARCHAR), 5, '0') AS postcode,
    CASE hash(i, 'gender') % 20 WHEN 0 THEN NULL WHEN 1 THEN 'x' ELSE CASE hash(i, 'sex') % 2 WHEN 0 THEN 'f' ELSE 'm' END END AS gender,
    'country ' || CAST(floor(12 * pow(hash(i, 'country') % 1000003 / 1000003.0, 4)) AS INTEGER) AS country,
    CAST(floor(6 * pow(hash(i, 'children') % 1000003 / 1000003.0, 2)) AS INTEGER) AS children,
    'channel ' || hash(i, 'channel') % 8 AS channel,
    'tier ' || CAST(floor(5 * pow(hash(i, 'tier') % 1000003 / 1000003.0, 2)) AS INTEGER) AS tier
FROM range({rows}) AS numbers(i)
