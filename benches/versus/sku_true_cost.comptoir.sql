-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT sku, net_units, net_revenue, purchase_cost, inbound_packaging, fulfillment, payment_fees, overhead
FROM sku_true_cost({shop_orders}, {shop_lines}, {shop_products}, overhead => 1000000, detail => true)
ORDER BY sku
