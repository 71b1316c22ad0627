-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
SELECT count(*) AS keys, sum(occurrences) AS occurrences
FROM check_unique({orders}, customer_id)
