-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT channel, sum(credit_revenue) AS revenue
FROM weighted_attribution(
    {orders},
    {touchpoints},
    grain => 'touch',
    path => 'none',
    exclude_direct => 'never',
    reset_after_conversion => false
)
GROUP BY channel
ORDER BY channel
