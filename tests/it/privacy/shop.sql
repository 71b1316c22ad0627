-- A small shop with one planted victim, whose every value is like nobody else's.
COPY (
    SELECT
        'C' || lpad(CAST(n AS VARCHAR), 3, '0') AS customer_id,
        'person' || n || '@example.org' AS email,
        '+3360000' || lpad(CAST(n AS VARCHAR), 4, '0') AS phone,
        'First' || n AS first_name,
        'Last' || n AS last_name,
        to_timestamp_micros((1735689600 + n * 259200) * 1000000) AS created_timestamp,
        CASE WHEN n % 3 = 0 THEN 'BE' WHEN n <= 57 THEN 'FR' ELSE 'LU' END AS country_code,
        lpad(CAST(n % 7 AS VARCHAR), 2, '7') || '000' AS postal_code,
        CASE n % 7 WHEN 0 THEN 'Paris' WHEN 1 THEN 'Lyon' WHEN 2 THEN 'Lille' WHEN 3 THEN 'Gent' WHEN 4 THEN 'Nice' ELSE 'Brest' END AS city,
        CASE WHEN n % 2 = 0 THEN 'subscribed' ELSE 'unsubscribed' END AS marketing_consent_state,
        'tag' || (n % 3) AS customer_tags,
        CASE WHEN n % 4 = 0 THEN 'email' ELSE 'search' END AS acquisition_channel
    FROM generate_series(1, 60) AS s(n)
    UNION ALL
    SELECT
        'VICTIM-4242', 'zoe.quatrefages@private.example', '+33699887766', 'Zoe', 'Quatrefages',
        TIMESTAMP '2025-05-05 05:55:55', 'FR', '99123', 'Zzyzxville', 'victimsubscribed', 'hates-broccoli', 'carrier-pigeon'
) TO '{dir}/customers.parquet';

COPY (
    SELECT
        'O' || lpad(CAST(n AS VARCHAR), 4, '0') AS order_id,
        CASE WHEN n % 10 = 0 THEN NULL ELSE 'C' || lpad(CAST((n * 7) % 60 + 1 AS VARCHAR), 3, '0') END AS customer_id,
        CASE WHEN n % 10 = 0 THEN 'guest' || n || '@example.org' ELSE 'person' || ((n * 7) % 60 + 1) || '@example.org' END AS email,
        to_timestamp_micros((1740816000 + n * 46800) * 1000000) AS created_timestamp,
        CAST(NULL AS TIMESTAMP) AS cancelled_timestamp,
        'EUR' AS currency,
        CAST(20 + n % 13 * 5 AS DECIMAL(18, 4)) AS total_line_items_price,
        CAST(n % 3 AS DECIMAL(18, 4)) AS total_discounts,
        CAST(20 + n % 13 * 5 - n % 3 AS DECIMAL(18, 4)) AS subtotal_price,
        CAST(25 + n % 13 * 6 AS DECIMAL(18, 4)) AS total_price,
        CAST(0 AS DECIMAL(18, 4)) AS refund_subtotal,
        CASE n % 5 WHEN 0 THEN 'web' WHEN 1 THEN 'email' ELSE 'search' END AS channel,
        n % 50 = 0 AS is_test_order,
        CAST(n % 4 AS BIGINT) AS pageviews,
        CAST(0.5 AS DECIMAL(18, 4)) AS payment_fee
    FROM generate_series(1, 400) AS s(n)
    UNION ALL
    SELECT
        'O-VICTIM-' || n, 'VICTIM-4242', 'zoe.quatrefages@private.example', to_timestamp_micros((1749189966 + n * 86400) * 1000000), NULL, 'EUR',
        CAST(98765.4321 AS DECIMAL(18, 4)), CAST(0 AS DECIMAL(18, 4)), CAST(98765.4321 AS DECIMAL(18, 4)), CAST(98765.4321 AS DECIMAL(18, 4)),
        CAST(0 AS DECIMAL(18, 4)), 'carrier-pigeon', false, CAST(777 AS BIGINT), CAST(0.5 AS DECIMAL(18, 4))
    FROM generate_series(1, 12) AS s(n)
) TO '{dir}/orders.parquet';

COPY (
    SELECT
        'L' || n AS order_line_id,
        'O' || lpad(CAST((n - 1) % 400 + 1 AS VARCHAR), 4, '0') AS order_id,
        'SKU' || (n % 6) AS product_id,
        'SKU' || (n % 6) AS variant_id,
        'SKU' || (n % 6) AS sku,
        CAST(1 + n % 3 AS INTEGER) AS quantity,
        CAST(10 + n % 6 AS DECIMAL(18, 4)) AS price,
        CAST(0 AS DECIMAL(18, 4)) AS total_discount,
        false AS is_gift_card
    FROM generate_series(1, 800) AS s(n)
    UNION ALL
    SELECT 'L-VICTIM-' || n, 'O-VICTIM-' || n, 'SKU-SECRET', 'SKU-SECRET', 'SKU-SECRET', CAST(41 AS INTEGER), CAST(2408.9129 AS DECIMAL(18, 4)), CAST(0 AS DECIMAL(18, 4)), false
    FROM generate_series(1, 12) AS s(n)
) TO '{dir}/order_lines.parquet';

COPY (
    SELECT 'SKU' || n AS sku, 'SKU' || n AS product_id, 'Product ' || n AS title, CASE WHEN n % 2 = 0 THEN 'garden' ELSE 'kitchen' END AS product_type,
        CAST(10 + n AS DECIMAL(18, 4)) AS price, CAST(4 AS DECIMAL(18, 4)) AS unit_cost_amount
    FROM generate_series(0, 5) AS s(n)
) TO '{dir}/products.parquet';

COPY (
    SELECT * FROM (VALUES
        ('P91', 'Hansen', 510), ('U25', 'Wang', 500), ('C83', 'Wang', 520), ('U25', 'Wang', 460), ('C83', 'Hansen', 420), ('C83', 'Hansen', 560),
        ('U25', 'Devi', 580), ('P91', 'Devi', 480), ('U25', 'Ivanov', 490), ('P91', 'Ivanov', 540), ('U25', 'Silva', 550)
    ) AS t(test_id, last_name, test_score)
) TO '{dir}/exams.parquet';

COPY (
    SELECT
        'C' || lpad(CAST(n AS VARCHAR), 3, '0') AS subject_id, 'email_marketing' AS purpose, 'granted' AS status,
        TIMESTAMP '2025-01-01 00:00:00' AS consent_timestamp, CAST(NULL AS TIMESTAMP) AS expires_at
    FROM generate_series(1, 40) AS s(n)
    UNION ALL
    SELECT
        'C' || lpad(CAST(n AS VARCHAR), 3, '0'), 'email_marketing', 'denied', TIMESTAMP '2025-02-01 00:00:00', NULL
    FROM generate_series(1, 10) AS s(n)
    UNION ALL
    SELECT
        'C' || lpad(CAST(n AS VARCHAR), 3, '0'), 'email_marketing', 'granted', TIMESTAMP '2025-03-01 00:00:00', TIMESTAMP '2025-03-02 00:00:00'
    FROM generate_series(11, 15) AS s(n)
) TO '{dir}/consents.parquet';
