-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT quadrant, count(*) AS products, sum(net_units) AS net_units, sum(net_revenue) AS net_revenue
FROM product_matrix({shop_orders}, order_lines => {shop_lines}, products => {shop_products}, overhead => 1000000)
GROUP BY quadrant
ORDER BY quadrant
