-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT count(*) AS items, count(*) FILTER (WHERE is_head) AS head_items, sum(value) FILTER (WHERE is_head) AS head_value, max(rank) AS last_rank
FROM pareto({orders}, id => customer_id, value => net_sales)
