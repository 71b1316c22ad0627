-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT segment, count(*) AS customers, sum(monetary) AS monetary
FROM rfm_score({orders})
GROUP BY segment
ORDER BY segment
