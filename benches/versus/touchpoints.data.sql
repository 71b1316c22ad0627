-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- Two touches for each of {rows} orders, by the same customer, up to twenty days before it: 2 * {rows} rows. One channel in
-- eight is direct.
SELECT
    'T' || lpad(CAST(j AS VARCHAR), 10, '0') AS touchpoint_id,
    'C' || lpad(
        CAST(CAST(floor({rows} * 0.275 * pow(hash(j // 2, 'customer') / 18446744073709551616.0, 2)) AS BIGINT) AS VARCHAR), 9, '0'
    ) AS customer_id,
    TIMESTAMP '2022-01-01'
        + to_seconds(CAST(floor((j // 2) * (4 * 365.25 * 86400 / {rows})) AS BIGINT) - CAST(hash(j, 'age') % 1728000 AS BIGINT))
        AS event_timestamp,
    (['google_ads', 'meta_ads', 'seo', 'email', 'instagram', 'tiktok', 'affiliate', 'direct'])[1 + CAST(hash(j, 'channel') % 8 AS BIGINT)]
        AS channel
FROM range(2 * {rows}) AS numbers(j)
