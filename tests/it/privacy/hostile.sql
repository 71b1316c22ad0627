-- Statements of a second analyst, who knows how the gate works. They do not ask for rows: they let a group of many be large
-- and its number be one person's, or let a statement fail when somebody is there. Blocks as in attacks.sql.

-- PRIV002 weights: everybody is in the group, and one person in the sum
SELECT sum(o.total_price * v.w) FROM orders AS o JOIN (VALUES ('carrier-pigeon', 1.0), ('web', 0.0), ('email', 0.0), ('search', 0.0)) AS v(c, w) ON o.channel = v.c

-- PRIV002
SELECT sum(v.w) FROM customers AS c JOIN (VALUES ('Zzyzxville', 1.0), ('Paris', 0.0), ('Lyon', 0.0)) AS v(c, w) ON c.city = v.c

-- PRIV002
SELECT avg(v.w), count(*) FROM customers AS c JOIN (SELECT 'Zzyzxville' AS c, 1.0 AS w UNION ALL SELECT 'Paris', 0.0) AS v ON c.city = v.c

-- PRIV002
SELECT sum(l.quantity * p.w) FROM order_lines AS l JOIN (SELECT sku, CASE WHEN sku = 'SKU1' THEN 1.0 ELSE 0.0 END AS w FROM products) AS p ON l.sku = p.sku

-- PRIV002
SELECT sum(m) FROM (SELECT c.customer_id, max(v.w) AS m FROM customers AS c JOIN (VALUES ('Zzyzxville', 1.0), ('Paris', 0.0)) AS v(c, w) ON c.city = v.c GROUP BY c.customer_id) AS t

-- PRIV002 a condition by way of the greatest of one person
SELECT sum(m) FROM (SELECT customer_id, max(x) AS m FROM (SELECT customer_id, CASE WHEN city = 'Zzyzxville' THEN 1 ELSE 0 END AS x FROM customers) AS a GROUP BY customer_id) AS b

-- PRIV002
SELECT avg(m) FROM (SELECT customer_id, min(date_part('day', created_timestamp)) AS m FROM orders GROUP BY customer_id) AS t

-- PRIV002 weights by repetition: a million rows for one town
SELECT count(*) FROM orders AS o JOIN (SELECT 'carrier-pigeon' AS c FROM generate_series(1, 100000) UNION ALL SELECT 'web') AS v ON o.channel = v.c

-- PRIV002
SELECT sum(o.total_price) FROM orders AS o JOIN (SELECT 'carrier-pigeon' AS c UNION ALL SELECT 'carrier-pigeon' UNION ALL SELECT 'web') AS v ON o.channel = v.c

-- PRIV002
SELECT sum(o.total_price) FROM orders AS o JOIN (VALUES ('carrier-pigeon', 1), ('carrier-pigeon', 2), ('web', 1)) AS v(c, n) ON o.channel = v.c

-- PRIV002
SELECT count(*) FROM order_lines AS l JOIN (SELECT p.sku FROM products AS p CROSS JOIN generate_series(1, 1000) AS s(n) WHERE p.sku = 'SKU1' OR n = 1) AS x ON l.sku = x.sku

-- PRIV002
CREATE TABLE weights AS SELECT 'carrier-pigeon' AS c, value AS n FROM generate_series(1, 1000);
SELECT count(*) FROM orders AS o JOIN weights AS w ON o.channel = w.c

-- PRIV002
WITH RECURSIVE w AS (SELECT 'carrier-pigeon' AS c, 1 AS n UNION ALL SELECT c, n + 1 FROM w WHERE n < 1000) SELECT count(*) FROM orders AS o JOIN w ON o.channel = w.c

-- PRIV002
SELECT count(*) FROM orders AS o JOIN (SELECT channel, unnest(make_array(1, 2, 3)) AS n FROM (SELECT channel, count(*) AS n FROM orders GROUP BY channel) AS g) AS v ON o.channel = v.channel

-- safe
SELECT v.area, count(*) FROM customers AS c JOIN (VALUES ('Zzyzxville', 'far'), ('Paris', 'near'), ('Lyon', 'near')) AS v(city, area) ON c.city = v.city GROUP BY v.area

-- safe outer joins: many are kept, and one has a partner
SELECT count(o.total_price), sum(o.total_price), count(*) FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id AND o.channel = 'carrier-pigeon'

-- safe
SELECT c.country_code, avg(o.total_price) FROM customers AS c LEFT JOIN (SELECT * FROM orders WHERE channel = 'carrier-pigeon') AS o ON c.customer_id = o.customer_id GROUP BY c.country_code

-- safe
SELECT sum(o.total_price) FROM orders AS o RIGHT JOIN customers AS c ON c.customer_id = o.customer_id AND c.city = 'Zzyzxville'

-- safe
SELECT sum(s) FROM (SELECT c.customer_id, sum(o.total_price) AS s FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id AND o.channel = 'carrier-pigeon' GROUP BY c.customer_id) AS t

-- safe
SELECT sum(n), avg(n), max(n) FROM (SELECT country_code, sum(n) AS n FROM (SELECT c.customer_id, c.country_code, count(o.pageviews) AS n FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id AND o.channel = 'carrier-pigeon' GROUP BY c.customer_id, c.country_code) AS t GROUP BY country_code) AS g

-- safe
SELECT sum(p.w) FROM customers AS c LEFT JOIN (SELECT customer_id, sum(total_price) AS w FROM orders WHERE channel = 'carrier-pigeon' GROUP BY customer_id) AS p ON c.customer_id = p.customer_id

-- safe
SELECT count(l.quantity), sum(l.price * l.quantity) FROM orders AS o LEFT JOIN order_lines AS l ON o.order_id = l.order_id AND l.sku = 'SKU-SECRET'

-- PRIV002
SELECT count(v.c) FROM customers AS c LEFT JOIN (VALUES ('Zzyzxville')) AS v(c) ON c.city = v.c

-- safe
SELECT country_code, sum(total_price) FROM (SELECT c.country_code, o.total_price FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id AND o.channel = 'carrier-pigeon') AS t GROUP BY ROLLUP (country_code)

-- empty
SELECT count(*) FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id AND o.channel = 'carrier-pigeon' WHERE o.customer_id IS NOT NULL

-- safe
SELECT count(DISTINCT o.customer_id), count(DISTINCT o.channel), count(DISTINCT c.customer_id) FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id AND o.channel = 'carrier-pigeon'

-- safe
SELECT CASE WHEN o.customer_id IS NULL THEN 'never' ELSE 'ever' END, count(*), sum(o.total_price) FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id AND o.channel = 'carrier-pigeon' GROUP BY 1

-- empty unions: one part holds the persons, the other the amount
SELECT sum(x) FROM (SELECT total_price AS x FROM orders WHERE channel = 'carrier-pigeon' UNION ALL SELECT NULL FROM customers) AS u

-- empty
SELECT sum(x) FROM (SELECT total_price AS x FROM orders WHERE channel = 'carrier-pigeon' UNION ALL SELECT total_discounts FROM orders WHERE channel <> 'carrier-pigeon') AS u

-- empty
SELECT count(*) FROM (SELECT city FROM customers WHERE city = 'Zzyzxville' UNION ALL SELECT city FROM customers WHERE city = 'Paris') AS u

-- empty
SELECT sum(total_price) FROM (SELECT * FROM orders UNION ALL SELECT * FROM orders WHERE channel = 'carrier-pigeon' UNION ALL SELECT * FROM orders WHERE channel = 'carrier-pigeon') AS u

-- PRIV002 oracles: it fails when somebody is there
SELECT count(*) FROM customers AS c JOIN (VALUES (1)) AS v(n) ON c.city = v.n WHERE c.city = 'Zzyzxville'

-- PRIV002
SELECT count(*) FROM orders AS o JOIN (VALUES (CAST(1 AS DECIMAL(38, 37)))) AS v(n) ON o.pageviews = v.n

-- PRIV002
SELECT count(*) FROM customers AS c JOIN (VALUES ('2025-05-05 05:55:55')) AS v(t) ON c.created_timestamp = v.t

-- PRIV002
SELECT date_trunc('month', city), count(*) FROM customers WHERE city = 'Zzyzxville' GROUP BY 1

-- PRIV002
SELECT date_part('year', postal_code), count(*) FROM customers WHERE city = 'Zzyzxville' GROUP BY 1

-- PRIV002
SELECT date_trunc('nonsense', created_timestamp), count(*) FROM customers WHERE city = 'Zzyzxville' GROUP BY 1

-- PRIV002
SELECT generalise_number(pageviews, 0), count(*) FROM orders WHERE channel = 'carrier-pigeon' GROUP BY 1

-- PRIV002
SELECT generalise_text(city, -1), count(*) FROM customers WHERE city = 'Zzyzxville' GROUP BY 1

-- PRIV002
SELECT generalise_date(created_timestamp, 'fortnight'), count(*) FROM orders WHERE channel = 'carrier-pigeon' GROUP BY 1

-- PRIV002
SELECT CASE WHEN city = 'Zzyzxville' THEN 'abc' ELSE DATE '2025-01-01' END, count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT CASE city WHEN 'Zzyzxville' THEN 'x' ELSE 1 END, count(*) FROM customers GROUP BY 1

-- refused
SELECT sum(city) FROM customers WHERE city = 'Zzyzxville'

-- refused
SELECT avg(postal_code) FROM customers WHERE city = 'Zzyzxville'

-- PRIV002
SELECT TRY_CAST(city AS INTEGER), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT count(*) FROM customers WHERE city = 'Zzyzxville' AND raise('somebody is there') IS NULL

-- empty
SELECT count(*) FROM customers WHERE city = 'Zzyzxville' HAVING 1 / 0 = 1

-- empty
SELECT city, count(*) FROM customers WHERE city = 'Zzyzxville' GROUP BY city HAVING raise('somebody is there') IS NULL

-- PRIV002
SELECT city FROM customers GROUP BY city HAVING bool_or(email = 'zoe.quatrefages@private.example')

-- PRIV002
SELECT regexp_match(city, '(((a+)+)+)$'), count(*) FROM customers GROUP BY 1

-- PRIV002 squares and other moments
SELECT sum(price * price), corr(price, price) FROM order_lines

-- PRIV002
SELECT covar_pop(total_price, total_discounts), regr_slope(total_price, total_discounts) FROM orders

-- PRIV002
SELECT approx_percentile_cont_with_weight(1, 0.999) WITHIN GROUP (ORDER BY total_price) FROM orders

-- PRIV002
SELECT percentile_cont(0.999) WITHIN GROUP (ORDER BY total_price) FROM orders

-- PRIV002
SELECT approx_median(total_price), channel FROM orders GROUP BY channel

-- PRIV002
SELECT any_value(email) FROM customers

-- PRIV002
SELECT array_agg(DISTINCT total_price ORDER BY total_price) FROM orders

-- PRIV002
SELECT string_agg(city, ',' ORDER BY city) FROM customers

-- safe
SELECT channel, var_pop(total_price), stddev(total_price), avg(total_price) FROM orders GROUP BY channel

-- PRIV002 order within an aggregate
SELECT sum(total_price ORDER BY created_timestamp) FROM orders

-- PRIV002
SELECT count(DISTINCT order_id) FROM orders WHERE channel = 'search'

-- PRIV002 subqueries of every kind
SELECT city, count(*) FROM customers WHERE EXISTS (SELECT 1 FROM orders WHERE orders.customer_id = customers.customer_id AND channel = 'carrier-pigeon') GROUP BY city

-- PRIV002
SELECT count(*) FROM customers WHERE customer_id IN (SELECT customer_id FROM orders WHERE channel = 'carrier-pigeon')

-- PRIV002
SELECT count(*) FROM customers WHERE city IN (SELECT city FROM customers GROUP BY city)

-- PRIV002
SELECT count(*) FROM customers WHERE city = ANY (SELECT 'Zzyzxville')

-- PRIV002
SELECT city, (SELECT max(total_price) FROM orders AS o WHERE o.customer_id = c.customer_id) FROM customers AS c

-- PRIV002
SELECT * FROM (VALUES ('Zzyzxville')) AS v(c), LATERAL (SELECT count(*) AS n FROM customers WHERE customers.city = v.c) AS t

-- PRIV002
SELECT * FROM (VALUES ('Zzyzxville')) AS v(c) WHERE (SELECT count(*) FROM (SELECT 1 FROM customers) AS t) > (SELECT length(email) FROM customers)

-- PRIV002
SELECT * FROM generate_series(1, 100) LIMIT (SELECT count(*) FROM customers WHERE email = 'zoe.quatrefages@private.example')

-- PRIV001
SELECT * FROM (VALUES (1)) AS v(x) ORDER BY (SELECT email FROM customers)

-- PRIV002
VALUES ((SELECT email FROM customers WHERE city = 'Zzyzxville' LIMIT 1))

-- PRIV002
SELECT CASE WHEN (SELECT count(*) FROM customers WHERE email = 'zoe.quatrefages@private.example') > 0 THEN 'yes' END

-- PRIV002
SELECT make_array((SELECT first_value(email) FROM customers))

-- PRIV002
SELECT count(*) FROM customers AS c WHERE created_timestamp > (SELECT max(created_timestamp) FROM orders)

-- refused
SELECT sum(n) FROM (SELECT count(*) AS n FROM customers QUALIFY row_number() OVER (ORDER BY email) = 1) AS t

-- PRIV002
SELECT city, count(*) FROM customers GROUP BY city QUALIFY row_number() OVER (ORDER BY max(email)) = 1

-- PRIV002
SELECT first_value(total_price) OVER (ORDER BY total_price DESC), count(*) FROM orders GROUP BY 1

-- PRIV002
SELECT DISTINCT ON (city) city, email FROM customers ORDER BY city, email

-- PRIV002
SELECT ntile(61) OVER (ORDER BY created_timestamp) FROM customers

-- PRIV002 keys of many parts that are one person's
SELECT generalise_text(email, 5), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT ('a' || customer_id), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT struct(city, email), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT to_char(created_timestamp, '%Y'), reverse(city), count(*) FROM customers GROUP BY 1, 2

-- empty
SELECT created_timestamp, count(*) FROM customers GROUP BY created_timestamp

-- PRIV002
SELECT created_timestamp, count(*) FROM customers GROUP BY GROUPING SETS ((created_timestamp), (email))

-- PRIV002
SELECT CASE WHEN email = 'zoe.quatrefages@private.example' THEN 'her' ELSE 'others' END, count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT CASE WHEN customer_tags IS NULL THEN 'none' ELSE customer_tags END, count(*) FROM customers GROUP BY 1

-- safe a case of one person is a small group
SELECT CASE WHEN city = 'Zzyzxville' THEN 'there' ELSE 'elsewhere' END AS place, count(*) FROM customers GROUP BY 1

-- safe
SELECT kind, count(*), sum(s) FROM (SELECT customer_id, CASE WHEN sum(total_price) > 90000 THEN 'rich' ELSE 'other' END AS kind, sum(total_price) AS s FROM orders GROUP BY customer_id) AS t GROUP BY kind

-- refused doors to rows
TABLE customers

-- refused
WITH c AS MATERIALIZED (SELECT * FROM customers) SELECT * FROM c

-- PRIV001
WITH c AS (SELECT * FROM customers), d AS (SELECT * FROM c) SELECT email FROM d

-- refused
SELECT * FROM (DELETE FROM customers RETURNING email) AS t

-- PRIV001
SELECT * EXCLUDE (city) FROM customers

-- PRIV001
SELECT * REPLACE (upper(city) AS city) FROM customers

-- refused
FROM customers

-- PRIV001
SELECT ALL city FROM public."customers" AS "Customers"

-- PRIV001
SELECT city FROM customers WHERE false

-- PRIV002
SELECT count(*) OVER () FROM (SELECT city FROM customers GROUP BY city UNION ALL SELECT city FROM customers) AS t

-- refused
SELECT * FROM customers PIVOT (count(*) FOR city IN ('Zzyzxville', 'Paris'))

-- refused
SELECT * FROM customers MATCH_RECOGNIZE (PATTERN (A))

-- refused
SELECT * FROM customers TABLESAMPLE SYSTEM (1)

-- PRIV001 files by other names
COPY (SELECT * FROM customers) TO '{dir}/stolen.json'

-- PRIV001
COPY (SELECT email FROM customers) TO '{dir}/stolen/' STORED AS PARQUET PARTITIONED BY (email)

-- refused
SELECT * FROM 'file://{dir}/customers.parquet'

-- refused
SELECT * FROM '{dir}/../data/customers.parquet'

-- refused
SELECT * FROM '{dir}/cust*.parquet'

-- refused
SELECT * FROM "{dir}/customers.parquet"

-- refused
SELECT * FROM '{dir}'

-- refused
SELECT * FROM read_parquet('{dir}/customers.parquet')

-- PRIV002
CREATE EXTERNAL TABLE theft2 STORED AS CSV LOCATION '{dir}/customers.parquet' OPTIONS ('format.has_header' 'false')

-- PRIV002
CREATE EXTERNAL TABLE theft3 STORED AS PARQUET LOCATION 'FILE:///{dir}/customers.parquet'

-- PRIV002
CREATE UNBOUNDED EXTERNAL TABLE theft4 (email VARCHAR) STORED AS CSV LOCATION '{dir}/'

-- PRIV002
COPY (SELECT 1 AS x) TO '{dir}/not-there/../customers.parquet'

-- PRIV002
COPY (SELECT 1 AS x) TO 'x:/../../../../../../../../..{dir}/customers.parquet'

-- PRIV002
COPY (SELECT 1 AS x) TO 'file://{dir}/%63ustomers.parquet'

-- PRIV002
COPY (SELECT 1 AS x) TO 'FILE:{dir}/customers.parquet'

-- PRIV002
COPY (SELECT 1 AS x) TO '{dir}/' STORED AS PARQUET

-- PRIV002
COPY (SELECT 1 AS x) TO '{dir}/customers.parquet/part.parquet'

-- PRIV002 a file beside one: the folder makes the table
COPY (SELECT 'mine' AS order_id) TO '{dir}/orders.csv'

-- PRIV002
COPY (SELECT 'mine' AS order_id) TO '{dir}/orders/part.parquet'

-- refused
COPY customers FROM '{dir}/products.parquet'

-- PRIV002 names
CREATE TABLE orders AS SELECT 1 AS order_id

-- PRIV002
CREATE TABLE IF NOT EXISTS customers AS SELECT 1 AS customer_id

-- PRIV002
DROP VIEW customers

-- PRIV002
DROP TABLE IF EXISTS public.orders

-- PRIV002
CREATE VIEW orders AS SELECT 'x' AS order_id

-- refused
ALTER TABLE customers RENAME TO people

-- refused
TRUNCATE TABLE customers

-- refused
CREATE SCHEMA open

-- refused
CREATE DATABASE open

-- refused
CREATE INDEX i ON customers (email)

-- refused
CREATE FUNCTION f(VARCHAR) RETURNS VARCHAR RETURN $1

-- refused
CREATE OR REPLACE MACRO rfm_score(t) AS TABLE SELECT * FROM t

-- refused
CREATE MACRO count(x) AS x

-- PRIV001 the session's own names do not make anybody's rows public
CREATE VIEW fine AS SELECT city, count(*) AS n FROM customers GROUP BY city;
CREATE TABLE copied AS SELECT f.*, c.email FROM fine AS f JOIN customers AS c ON f.city = c.city

-- PRIV002
CREATE TABLE filled AS SELECT 'x' AS email;
INSERT INTO filled SELECT email FROM customers WHERE email = 'zoe.quatrefages@private.example'

-- PRIV001
CREATE TABLE filled2 AS SELECT 'x' AS email;
INSERT INTO filled2 SELECT email FROM customers

-- PRIV002
CREATE TABLE with_default (a INTEGER, x DOUBLE DEFAULT (SELECT max(total_price) FROM orders));
INSERT INTO with_default (a) VALUES (1)

-- refused
UPDATE filled2 SET email = (SELECT email FROM customers LIMIT 1)

-- refused
MERGE INTO customers AS t USING (SELECT 1 AS x) AS s ON true WHEN MATCHED THEN DELETE

-- refused settings
SET datafusion.explain.show_statistics = true

-- refused
SET datafusion.catalog.information_schema = false

-- refused
SET purpose = 'anything'

-- refused
SET role = 'owner'

-- refused
RESET datafusion.explain.show_statistics

-- refused
SET datafusion.execution.collect_statistics = true

-- PRIV002 plans
EXPLAIN FORMAT TREE SELECT max(total_price) FROM orders

-- safe
EXPLAIN FORMAT PGJSON SELECT city, count(*) FROM customers WHERE city = 'Zzyzxville' GROUP BY city

-- PRIV002
EXPLAIN ANALYZE VERBOSE SELECT count(*) FROM customers

-- refused
EXPLAIN EXPLAIN SELECT count(*) FROM customers

-- PRIV002
EXPLAIN COPY customers TO '{dir}/stolen.csv'

-- safe
EXPLAIN PRIVACY SELECT email FROM customers WHERE email = 'zoe.quatrefages@private.example'

-- safe
EXPLAIN PRIVACY SELECT city, sum(total_price) FROM customers AS c JOIN orders AS o USING (customer_id) WHERE city = 'Zzyzxville' GROUP BY city

-- safe what the catalog says
SELECT * FROM information_schema.tables

-- safe
SELECT * FROM information_schema.df_settings WHERE name LIKE '%catalog%'

-- refused
SHOW CREATE TABLE customers

-- safe
SHOW COLUMNS FROM customers

-- refused
SELECT * FROM sys.audit

-- refused
SELECT * FROM sys.queries

-- refused
CREATE TABLE IF NOT EXISTS sys.audit AS SELECT 1 AS x

-- refused
SELECT * FROM parquet_metadata('{dir}/customers.parquet')

-- refused
SELECT * FROM metadata_cache()

-- safe analyses
SELECT * FROM rfm_thresholds()

-- safe
SELECT * FROM rfm_thresholds(k => 10, nested => true)

-- safe
SELECT * FROM rfm_transitions(from_date => '2025-05-01', to_date => '2025-12-31')

-- safe
SELECT segment, count(*), sum(monetary), avg(monetary) FROM rfm_score(k => 10) GROUP BY segment

-- PRIV002
SELECT CASE WHEN monetary > 1000000 THEN 'rich' ELSE 'other' END, count(*) FROM rfm_score() GROUP BY 1

-- PRIV002
SELECT segment, max(monetary) FROM rfm_score() GROUP BY segment

-- safe
SELECT * FROM rfm_score_checks()

-- PRIV001
SELECT * FROM order_margins(orders, order_lines)

-- safe
SELECT sku, sum(quantity), sum(net_sales) FROM unit_sales() GROUP BY sku

-- safe
SELECT * FROM sku_true_cost()

-- safe
SELECT * FROM product_matrix()

-- safe
SELECT * FROM product_matrix_thresholds()

-- safe
SELECT * FROM price_elasticity()

-- PRIV002
SELECT * FROM rfm_score((SELECT * FROM orders LIMIT 12))

-- PRIV002
SELECT segment, count(*) FROM rfm_score((SELECT * FROM orders WHERE channel = 'carrier-pigeon' UNION ALL SELECT * FROM orders)) GROUP BY segment

-- PRIV002
SELECT * FROM pareto_summary(orders, id => customer_id, value => total_price)

-- PRIV002
SELECT * FROM check_accepted(customers, value => city, accepted => ['Paris', 'Lyon'])

-- refused
SELECT * FROM check_foreign_key(orders, customers, key => email, referenced => email)

-- PRIV002
SELECT * FROM check_not_null(customers, value => email)

-- PRIV002
SELECT * FROM check_fresh(customers, at => created_timestamp)

-- refused
SELECT * FROM k_anonymise((SELECT * FROM customers WHERE city = 'Zzyzxville'), k => 2, quasi => [city])

-- refused
SELECT * FROM k_anonymity(customers, quasi => [email])

-- refused
SELECT * FROM l_diversity(customers, quasi => [city], sensitive => [email])

-- refused
SELECT * FROM reid_risk((SELECT * FROM customers WHERE city = 'Zzyzxville'), quasi => [city])

-- refused
SELECT * FROM t_closeness(customers, quasi => [city], sensitive => [phone])

-- PRIV002 macros
CREATE MACRO weigh(x, w) AS x * w;
SELECT sum(weigh(total_price, 1)) FROM orders

-- PRIV002
CREATE MACRO nested(t) AS TABLE SELECT segment, max(monetary) AS m FROM rfm_score(t) GROUP BY segment;
SELECT * FROM nested(orders)

-- PRIV002
CREATE MACRO hidden(t) AS TABLE SELECT * FROM rfm_score((SELECT * FROM t WHERE channel = 'carrier-pigeon'));
SELECT segment, count(*) FROM hidden(orders) GROUP BY segment

-- PRIV002 prepared
PREPARE weight AS SELECT sum(o.total_price * v.w) FROM orders AS o JOIN (VALUES ($1, $2), ('web', 0.0)) AS v(c, w) ON o.channel = v.c;
EXECUTE weight('carrier-pigeon', 1.0)

-- PRIV001
PREPARE everything AS SELECT * FROM customers WHERE city = $1;
EXECUTE everything('Zzyzxville')

-- refused
PREPARE half AS SELECT count(*) FROM customers WHERE city = $1;
EXECUTE half

-- refused
PREPARE wrong AS SELECT count(*) FROM customers WHERE created_timestamp = $1;
EXECUTE wrong('not a time')

-- PRIV002 asserting
ASSERT (SELECT count(*) FROM customers WHERE email = 'zoe.quatrefages@private.example') = 0

-- refused
ASSERT (SELECT count(*) FROM customers WHERE city = 'Zzyzxville') = 1

-- PRIV001
ASSERT NO ROWS IN (SELECT email FROM customers) MESSAGE 'look'

-- safe
ASSERT NO ROWS IN (SELECT city, count(*) FROM customers WHERE city = 'Zzyzxville' GROUP BY city)

-- safe what a name may hide
SELECT count(*) AS "zoe" FROM customers

-- PRIV002
SELECT "EMAIL", count(*) FROM (SELECT email AS "EMAIL" FROM customers) AS t GROUP BY "EMAIL"

-- PRIV002
SELECT city, count(*) FROM (SELECT email AS city FROM customers) AS customers GROUP BY city

-- PRIV002
SELECT t.city, count(*) FROM (SELECT c.email AS city FROM customers AS c JOIN orders AS o USING (customer_id)) AS t GROUP BY t.city

-- refused a prepared statement within another
PREPARE shell AS PREPARE kernel AS SELECT * FROM customers;
EXECUTE shell;
EXECUTE kernel

-- PRIV002 a relation of one's own under the name that an analysis reads when nothing is said
CREATE TABLE touchpoints AS SELECT 't1' AS touchpoint_id, TIMESTAMP '2025-02-01 00:00:00' AS event_timestamp, 'VICTIM-4242' AS customer_id, 'mine' AS channel, 'x' AS campaign;
SELECT channel, orders, revenue FROM attribution_report(lookback => INTERVAL '365 days', model => 'first', reset_after_conversion => false)

-- PRIV002
CREATE TABLE clicks AS SELECT 't1' AS touchpoint_id, TIMESTAMP '2025-02-01 00:00:00' AS event_timestamp, 'VICTIM-4242' AS customer_id, 'mine' AS channel, 'x' AS campaign;
SELECT channel, orders, revenue FROM attribution_report(touchpoints => clicks, lookback => INTERVAL '365 days', model => 'first')

-- PRIV002
CREATE VIEW returns AS SELECT 'L1' AS order_line_id, CAST(1000 AS DECIMAL(18, 4)) AS subtotal, 1 AS refunded_quantity;
SELECT sku, units_returned, net_revenue FROM sku_true_cost()
