-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT
    channel,
    CAST(new_customers AS BIGINT) AS new_customers,
    CAST(mature_customers AS BIGINT) AS mature_customers,
    CAST(ltv_revenue AS DECIMAL(18, 4)) AS ltv_revenue
FROM channel_profit({orders}, {touchpoints}, path => 'none', exclude_direct => 'never')
ORDER BY channel
