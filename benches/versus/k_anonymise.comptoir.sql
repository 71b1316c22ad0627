-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT birth_year, postcode, gender, country, children, channel, count(*) AS customers
FROM k_anonymise(
    {people},
    k => 5,
    quasi => [width(birth_year, 5, 10, 20), prefix(postcode, 2, 1), gender, country, top(children, 3), channel],
    keep => [customer_id],
    max_suppressed => 0.05
)
GROUP BY birth_year, postcode, gender, country, children, channel
ORDER BY birth_year, postcode, gender, country, children, channel
