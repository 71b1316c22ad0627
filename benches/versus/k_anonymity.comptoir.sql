-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT k, classes, uniques, "rows" AS customers
FROM k_anonymity({people}, quasi => [birth_year, postcode, gender, country, children, channel], unit => customer_id)
