-- Statements of an analyst who wants to know what one customer did. Blocks are set apart by blank lines; the first line of a
-- block says what must become of its last statement: a code, `empty` for no rows, or `safe` for an answer that names nobody.

-- PRIV001 row output
SELECT * FROM customers

-- PRIV001
SELECT email FROM customers WHERE country_code = 'FR'

-- PRIV001
SELECT customer_id, city FROM customers

-- PRIV001
SELECT 1 FROM customers

-- PRIV001
SELECT country_code FROM customers

-- PRIV001
SELECT * FROM order_lines

-- PRIV001
SELECT c.* FROM customers AS c JOIN orders AS o ON c.customer_id = o.customer_id

-- PRIV002 unit keys and identifiers as groups
SELECT email, count(*) FROM customers GROUP BY email

-- PRIV001
SELECT customer_id, count(*) FROM orders GROUP BY customer_id

-- PRIV002
SELECT order_id, sum(total_price) FROM orders GROUP BY order_id

-- PRIV002
SELECT last_name, count(*) FROM customers GROUP BY last_name

-- PRIV002
SELECT phone, country_code, count(*) FROM customers GROUP BY phone, country_code

-- PRIV002
SELECT customer_tags, count(*) FROM customers GROUP BY customer_tags

-- PRIV002
SELECT total_price, count(*) FROM orders GROUP BY total_price

-- PRIV002
SELECT left(email, 3), count(*) FROM customers GROUP BY left(email, 3)

-- refused
SELECT md5(email), count(*) FROM customers GROUP BY md5(email)

-- PRIV002
SELECT keyed_hash(1, customer_id), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT length(email), count(*) FROM customers GROUP BY length(email)

-- PRIV002
SELECT upper(customer_id), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT customer_id || city, count(*) FROM customers GROUP BY 1

-- PRIV002 filters on identifiers
SELECT count(*) FROM customers WHERE email = 'zoe.quatrefages@private.example'

-- PRIV002
SELECT count(*) FROM customers WHERE email LIKE 'zoe%'

-- PRIV002
SELECT count(*) FROM customers WHERE email ~ '^zoe'

-- PRIV002
SELECT avg(total_price) FROM orders WHERE customer_id = 'VICTIM-4242'

-- PRIV002
SELECT avg(total_price) FROM orders WHERE customer_id <> 'VICTIM-4242'

-- PRIV002
SELECT avg(total_price) FROM orders WHERE customer_id IN ('VICTIM-4242', 'C001', 'C002', 'C003', 'C004', 'C005')

-- PRIV002
SELECT sum(total_price) FROM orders WHERE total_price > 90000

-- PRIV002
SELECT count(*) FROM customers WHERE postal_code = '99123'

-- PRIV002
SELECT count(*) FROM customers WHERE city = 'Paris' OR country_code = 'FR'

-- PRIV002
SELECT count(*) FROM customers WHERE NOT (city = 'Paris' AND country_code = 'FR')

-- PRIV002
SELECT count(*) FROM customers WHERE city || country_code = 'ZzyzxvilleFR'

-- PRIV002
SELECT count(*) FROM customers WHERE CASE WHEN email = 'zoe.quatrefages@private.example' THEN true ELSE false END

-- PRIV002
SELECT count(*) FROM customers WHERE first_name IS NOT NULL

-- PRIV002
SELECT count(*) FROM customers WHERE customer_id > 'V'

-- PRIV002
SELECT count(*) FROM orders WHERE channel = (SELECT channel FROM orders WHERE customer_id = 'VICTIM-4242' LIMIT 1)

-- empty small groups
SELECT city, count(*) FROM customers WHERE city = 'Zzyzxville' GROUP BY city

-- empty
SELECT count(*) FROM customers WHERE city = 'Zzyzxville'

-- empty
SELECT sum(total_price) FROM orders WHERE channel = 'carrier-pigeon'

-- empty many rows of one person
SELECT channel, count(*), avg(total_price) FROM orders WHERE channel = 'carrier-pigeon' GROUP BY channel

-- empty
SELECT sku, sum(quantity) FROM order_lines WHERE sku = 'SKU-SECRET' GROUP BY sku

-- safe
SELECT channel, count(*), sum(total_price) FROM orders GROUP BY channel

-- safe
SELECT city, country_code, count(*) FROM customers GROUP BY city, country_code

-- safe
SELECT postal_code, count(*) FROM customers GROUP BY postal_code

-- safe
SELECT sku, sum(price * quantity) FROM order_lines GROUP BY sku

-- empty
SELECT date_trunc('second', created_timestamp), count(*) FROM orders GROUP BY 1

-- PRIV002 fan-out joins
SELECT c.city, count(*) FROM customers AS c JOIN orders AS o ON c.city <> o.channel GROUP BY c.city

-- PRIV002
SELECT c.city, count(*) FROM customers AS c CROSS JOIN orders AS o GROUP BY c.city

-- PRIV002
SELECT c.city, count(*) FROM customers AS c, orders AS o GROUP BY c.city

-- PRIV002
SELECT c.city, count(*) FROM customers AS c JOIN orders AS o ON c.email = o.email GROUP BY c.city

-- PRIV002
SELECT c.city, count(*) FROM customers AS c JOIN orders AS o ON c.customer_id = o.customer_id OR c.city = 'Zzyzxville' GROUP BY c.city

-- PRIV002
SELECT a.city, count(*) FROM customers AS a JOIN customers AS b ON a.city = b.city GROUP BY a.city

-- PRIV002 fan-out by a public side does not make one person many
SELECT c.city, count(*) FROM customers AS c JOIN (SELECT 'Zzyzxville' AS city, value FROM generate_series(1, 100)) AS x ON c.city = x.city GROUP BY c.city

-- PRIV002
SELECT count(*) FROM customers AS c JOIN (VALUES ('VICTIM-4242')) AS v(id) ON c.customer_id = v.id

-- PRIV002
SELECT count(*) FROM customers AS c JOIN (VALUES ('zoe.quatrefages@private.example')) AS v(e) ON c.email = v.e

-- PRIV002
SELECT count(*) FROM (VALUES ('FR'), ('XX')) AS v(code) LEFT JOIN customers AS c ON c.country_code = v.code

-- PRIV002
SELECT v.code, count(*) FROM (VALUES ('FR'), ('XX')) AS v(code) FULL JOIN customers AS c ON c.country_code = v.code GROUP BY v.code

-- PRIV002
SELECT count(*) FROM customers AS c LEFT SEMI JOIN orders AS o ON c.customer_id = o.customer_id

-- PRIV002
SELECT count(*) FROM customers AS c LEFT ANTI JOIN (VALUES ('C001')) AS v(id) ON c.customer_id = v.id

-- PRIV002
SELECT count(*) FROM customers NATURAL JOIN orders

-- PRIV002 forged units
SELECT city, count(*) FROM (SELECT customer_id, city FROM customers UNION ALL SELECT 'x' || value, 'Zzyzxville' FROM generate_series(1, 100)) AS u GROUP BY city

-- PRIV002
SELECT city, count(*) FROM (SELECT customer_id, city FROM customers UNION ALL VALUES ('a', 'Zzyzxville'), ('b', 'Zzyzxville'), ('c', 'Zzyzxville'), ('d', 'Zzyzxville')) AS u GROUP BY city

-- PRIV002 a key written over many others
SELECT count(*), sum(o.total_price) FROM (SELECT 'VICTIM-4242' AS customer_id FROM customers) AS u JOIN orders AS o ON u.customer_id = o.customer_id

-- PRIV002
SELECT count(*), sum(o.total_price) FROM (SELECT 'VICTIM-4242' AS customer_id FROM customers UNION ALL SELECT customer_id FROM customers) AS u JOIN orders AS o ON u.customer_id = o.customer_id

-- PRIV002
SELECT count(*), sum(o.total_price) FROM (SELECT CAST('VICTIM-4242' AS VARCHAR) AS customer_id, city FROM customers) AS u JOIN orders AS o ON u.customer_id = o.customer_id

-- empty an alias is not a key
SELECT customer_id, count(*) FROM (SELECT city AS customer_id FROM customers WHERE city = 'Zzyzxville') AS u GROUP BY customer_id

-- PRIV002
SELECT city, count(*) FROM (SELECT city, order_id AS customer_id FROM customers AS c JOIN orders AS o USING (customer_id)) AS u GROUP BY city, customer_id

-- PRIV002 conditional aggregates
SELECT sum(CASE WHEN email = 'zoe.quatrefages@private.example' THEN 1 ELSE 0 END) FROM customers

-- PRIV002
SELECT count(*) FILTER (WHERE customer_id = 'VICTIM-4242') FROM orders

-- PRIV002
SELECT sum(total_price) FILTER (WHERE channel = 'carrier-pigeon') FROM orders

-- PRIV002
SELECT sum(CASE WHEN channel = 'carrier-pigeon' THEN total_price ELSE 0 END) FROM orders

-- PRIV002
SELECT sum(x) FROM (SELECT CASE WHEN channel = 'carrier-pigeon' THEN 1 ELSE 0 END AS x FROM orders) AS t

-- PRIV002
SELECT count(nullif(channel, 'carrier-pigeon')) FROM orders

-- PRIV002
SELECT sum(CAST(channel = 'carrier-pigeon' AS INTEGER)) FROM orders

-- PRIV002
SELECT sum(total_price + 0) FROM orders

-- PRIV002
SELECT sum(total_price * total_price * total_price) FROM orders

-- PRIV002
SELECT sum(power(total_price, 100)) FROM orders

-- PRIV002 extremes
SELECT max(total_price) FROM orders

-- PRIV002
SELECT channel, min(total_price) FROM orders GROUP BY channel

-- PRIV002
SELECT max(customer_id) FROM orders

-- PRIV002
SELECT median(total_price) FROM orders

-- PRIV002
SELECT approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY total_price) FROM orders

-- PRIV002
SELECT array_agg(email) FROM customers

-- PRIV002
SELECT string_agg(email, ',') FROM customers

-- PRIV002
SELECT first_value(email ORDER BY created_timestamp) FROM customers

-- PRIV002
SELECT last_value(total_price) FROM orders

-- PRIV002
SELECT nth_value(email, 61) FROM customers

-- PRIV002
SELECT bit_xor(pageviews) FROM orders

-- PRIV002
SELECT bool_or(is_test_order) FROM orders

-- PRIV002
SELECT count(DISTINCT email) FROM customers

-- PRIV002
SELECT sum(DISTINCT total_price) FROM orders

-- PRIV002
SELECT corr(total_price, pageviews) FROM orders

-- refused
SELECT generalise(city, 1) FROM customers

-- PRIV002 HAVING below the groups, and over one person
SELECT count(*) FROM (SELECT customer_id FROM orders GROUP BY customer_id HAVING sum(total_price) > 90000) AS t

-- empty
SELECT channel, count(*) FROM orders GROUP BY channel HAVING count(*) = 12

-- empty an error in HAVING must not tell of small groups
SELECT channel, count(*) FROM orders GROUP BY channel HAVING 1 / (count(*) - 12) > 5

-- safe
SELECT channel, 1 / (count(*) - 12) FROM orders GROUP BY channel

-- PRIV002
SELECT customer_id, count(*) FROM orders GROUP BY customer_id, total_price

-- PRIV001 subqueries
SELECT (SELECT email FROM customers)

-- PRIV002
SELECT (SELECT email FROM customers LIMIT 1)

-- PRIV001
SELECT 1 WHERE EXISTS (SELECT 1 FROM customers WHERE city = 'Zzyzxville')

-- PRIV001
SELECT 1 WHERE 'zoe.quatrefages@private.example' IN (SELECT email FROM customers)

-- PRIV001
SELECT * FROM (VALUES ('zoe.quatrefages@private.example')) AS v(e) WHERE e IN (SELECT email FROM customers)

-- PRIV002
SELECT * FROM (VALUES ('Zzyzxville')) AS v(c) WHERE EXISTS (SELECT 1 FROM customers WHERE customers.city = v.c)

-- PRIV002
SELECT (SELECT max(total_price) FROM orders), (SELECT email FROM customers LIMIT 1)

-- PRIV002
SELECT (SELECT max(total_price) FROM orders)

-- PRIV002
SELECT v.c, (SELECT count(*) FROM customers WHERE customers.email = v.c) FROM (VALUES ('zoe.quatrefages@private.example')) AS v(c)

-- safe
SELECT (SELECT sum(total_price) FROM orders WHERE channel = 'carrier-pigeon') IS NULL

-- PRIV002 windows
SELECT sum(total_price) OVER (PARTITION BY customer_id) FROM orders

-- PRIV002
SELECT count(*) FROM (SELECT row_number() OVER (ORDER BY total_price DESC) AS r FROM orders) AS t WHERE r = 1

-- PRIV002
SELECT lag(email) OVER (ORDER BY created_timestamp) FROM customers

-- PRIV002 set operations
SELECT city FROM customers UNION SELECT 'Zzyzxville'

-- refused
SELECT email FROM customers INTERSECT SELECT 'zoe.quatrefages@private.example'

-- refused
SELECT email FROM customers EXCEPT SELECT 'a'

-- PRIV002
SELECT DISTINCT city FROM customers

-- PRIV002
SELECT DISTINCT ON (country_code) email FROM customers

-- PRIV002
WITH RECURSIVE r AS (SELECT customer_id, 1 AS n FROM customers UNION ALL SELECT customer_id, n + 1 FROM r WHERE n < 5) SELECT count(*) FROM r

-- PRIV002 LIMIT and sampling
SELECT avg(total_price) FROM (SELECT total_price, customer_id FROM orders ORDER BY total_price DESC LIMIT 1) AS t

-- PRIV002
SELECT count(*) FROM (SELECT * FROM customers LIMIT 1) AS t

-- PRIV002
SELECT count(*) FROM (SELECT * FROM customers OFFSET 60) AS t

-- refused
SELECT count(*) FROM customers TABLESAMPLE (10 PERCENT)

-- PRIV002 errors as channels
SELECT CAST(email AS INTEGER), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT count(*) FROM customers WHERE CAST(email AS INTEGER) = 1

-- PRIV002
SELECT sum(CAST(email AS INTEGER)) FROM customers

-- PRIV002
SELECT arrow_cast(email, 'Int32'), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT count(*) FROM orders WHERE 1 / (total_price - 98765.4321) > 0

-- PRIV002
SELECT CASE WHEN channel = 'carrier-pigeon' THEN raise('found') END, count(*) FROM orders GROUP BY 1

-- PRIV002
SELECT count(*) FROM orders WHERE channel = 'carrier-pigeon' AND 1 / 0 = 1

-- PRIV002
SELECT raise(email) FROM customers

-- PRIV002
SELECT sum(pageviews * pageviews) FROM orders

-- PRIV002 volatile functions
SELECT count(*) FROM customers WHERE random() < 0.1

-- PRIV002
SELECT count(*) FROM customers WHERE created_timestamp > now()

-- PRIV002
SELECT uuid(), count(*) FROM customers GROUP BY 1

-- PRIV002 EXPLAIN
EXPLAIN SELECT email FROM customers WHERE email = 'zoe.quatrefages@private.example'

-- PRIV002
EXPLAIN ANALYZE SELECT city, count(*) FROM customers GROUP BY city

-- safe
EXPLAIN SELECT city, count(*) FROM customers GROUP BY city

-- safe
EXPLAIN VERBOSE SELECT city, count(*) FROM customers WHERE country_code = 'FR' GROUP BY city

-- refused
SET datafusion.explain.show_statistics = true

-- PRIV001 COPY and tables
COPY (SELECT * FROM customers) TO '{dir}/stolen.csv'

-- PRIV001
COPY customers TO '{dir}/stolen.parquet'

-- PRIV001
CREATE TABLE mine AS SELECT * FROM customers

-- PRIV002
INSERT INTO customers SELECT * FROM customers

-- PRIV002
DROP TABLE customers

-- PRIV002
CREATE OR REPLACE TABLE customers AS SELECT 1 AS customer_id

-- PRIV002
CREATE OR REPLACE VIEW customers AS SELECT 1 AS customer_id

-- PRIV002
CREATE EXTERNAL TABLE theft STORED AS PARQUET LOCATION '{dir}/customers.parquet'

-- refused
SELECT * FROM '{dir}/customers.parquet'

-- refused
DESCRIBE '{dir}/customers.parquet'

-- refused
SELECT count(*) FROM rfm_score('{dir}/orders.parquet')

-- PRIV002
COPY (SELECT city, count(*) AS n FROM customers GROUP BY city) TO '{dir}/customers.parquet'

-- refused
UPDATE customers SET city = 'x'

-- refused
DELETE FROM customers WHERE email = 'zoe.quatrefages@private.example'

-- PRIV001 views and macros
CREATE VIEW leak AS SELECT email FROM customers

-- PRIV002
CREATE MACRO peek(e) AS TABLE SELECT count(*) AS n FROM customers WHERE email = e;
SELECT * FROM peek('zoe.quatrefages@private.example')

-- PRIV001
CREATE MACRO rows_of(t) AS TABLE SELECT * FROM t;
SELECT * FROM rows_of(customers)

-- PRIV002
CREATE MACRO initial(e) AS left(e, 1);
SELECT initial(email), count(*) FROM customers GROUP BY 1

-- PRIV002 prepared parameters
PREPARE look AS SELECT count(*) FROM customers WHERE email = $1;
EXECUTE look('zoe.quatrefages@private.example')

-- empty
PREPARE town AS SELECT city, count(*) FROM customers WHERE city = $1 GROUP BY city;
EXECUTE town('Zzyzxville')

-- PRIV002 encodings
SELECT encode(CAST(email AS BYTEA), 'hex'), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT ascii(email), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT unnest(string_to_array(email, '@')) FROM customers

-- PRIV002
SELECT substr(email, 1, 1), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT named_struct('e', email), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT mask_email(email), count(*) FROM customers GROUP BY 1

-- PRIV002
SELECT pseudonymise(customer_id, 'a key of sixteen'), count(*) FROM customers GROUP BY 1

-- PRIV001 analyses
SELECT * FROM rfm_score()

-- PRIV001
SELECT customer_id, segment FROM rfm_score()

-- PRIV002
SELECT customer_id, monetary, count(*) FROM rfm_score() GROUP BY customer_id, monetary

-- PRIV002
SELECT monetary, count(*) FROM rfm_score() GROUP BY monetary

-- PRIV002
SELECT max(monetary) FROM rfm_score()

-- PRIV002
SELECT segment, count(*) FROM rfm_score(orders, net_sales => CASE WHEN email = 'zoe.quatrefages@private.example' THEN 1000000 ELSE 1 END) GROUP BY segment

-- PRIV002
SELECT segment, count(*) FROM rfm_score(orders, customer_id => order_id) GROUP BY segment

-- PRIV002
SELECT segment, count(*) FROM rfm_score((SELECT * FROM orders WHERE customer_id = 'VICTIM-4242')) GROUP BY segment

-- PRIV002
SELECT segment, count(*) FROM rfm_score((SELECT * FROM orders WHERE channel = 'search')) GROUP BY segment

-- PRIV001
SELECT * FROM net_sales()

-- PRIV002 made up rows beside a person's
SELECT * FROM net_sales((SELECT 'O-VICTIM-1' AS order_id, 'x' AS customer_id, TIMESTAMP '2025-01-01 00:00:00' AS created_timestamp, CAST(1 AS DECIMAL(18, 4)) AS total_line_items_price, CAST(0 AS DECIMAL(18, 4)) AS total_discounts))

-- PRIV002
CREATE TABLE bait AS SELECT 'O-VICTIM-1' AS order_id, TIMESTAMP '2025-01-01 00:00:00' AS created_timestamp;
SELECT sku, sum(quantity) FROM unit_sales(orders => bait) GROUP BY sku

-- PRIV002
SELECT segment, count(*) FROM rfm_score(segments => (SELECT 1 AS r_min, 5 AS r_max, 1 AS f_min, 5 AS f_max, 1 AS m_min, 5 AS m_max, 'all' AS segment)) GROUP BY segment

-- PRIV002 a hidden column's name is not to be guessed
SELECT v.city, count(*) FROM (SELECT 'p' || value AS "#unit1", 'Zzyzxville' AS city FROM generate_series(1, 100)) AS v JOIN customers AS c ON v.city = c.city GROUP BY v.city

-- PRIV002
SELECT * FROM pareto(orders, id => customer_id, value => total_price)

-- PRIV002
SELECT * FROM check_unique(orders, key => customer_id)

-- refused
SELECT * FROM profile(customers)

-- refused
SELECT * FROM k_anonymise(customers, k => 2, quasi => [email])

-- safe
SELECT * FROM reid_risk(customers, quasi => [city])

-- PRIV002 information
SELECT * FROM information_schema.views

-- safe
SELECT table_name, column_name FROM information_schema.columns WHERE table_name = 'customers'

-- safe
DESCRIBE customers

-- safe
SHOW TABLES

-- PRIV002 asserting
ASSERT (SELECT max(total_price) FROM orders) > 90000

-- PRIV001
ASSERT NO ROWS IN (SELECT * FROM customers WHERE city = 'Zzyzxville')

-- safe grouping sets
SELECT country_code, city, count(*) FROM customers GROUP BY ROLLUP (country_code, city)

-- safe
SELECT country_code, city, count(*) FROM customers GROUP BY CUBE (country_code, city)

-- PRIV002
SELECT email, count(*) FROM customers GROUP BY GROUPING SETS ((email), ())

-- refused names
SELECT * FROM "customers#1"

-- refused
SELECT "#unit1" FROM customers

-- PRIV002
SELECT count(*) FROM customers WHERE "email" = 'zoe.quatrefages@private.example' -- a comment

-- PRIV002
SELECT count(*) FROM datafusion.public.customers WHERE email = 'zoe.quatrefages@private.example'

-- PRIV001
SELECT a.b FROM (SELECT email AS b FROM customers) AS a
