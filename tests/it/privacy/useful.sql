-- Questions that an analyst has a right to. A block is the question, `-- duckdb` and the same with the threshold written out,
-- for an engine that knows no policy. The rows must be the same.

SELECT country_code, count(*) AS n FROM customers GROUP BY country_code
-- duckdb
SELECT country_code, count(*) AS n FROM customers GROUP BY country_code HAVING count(DISTINCT customer_id) >= 5

SELECT city, count(DISTINCT customer_id) AS persons FROM customers GROUP BY city
-- duckdb
SELECT city, count(DISTINCT customer_id) AS persons FROM customers GROUP BY city HAVING count(DISTINCT customer_id) >= 5

SELECT count(*) AS n FROM customers
-- duckdb
SELECT count(*) AS n FROM customers HAVING count(DISTINCT customer_id) >= 5

SELECT channel, count(*) AS n, sum(total_price) AS s FROM orders GROUP BY channel
-- duckdb
SELECT channel, count(*) AS n, sum(total_price) AS s FROM orders GROUP BY channel HAVING count(DISTINCT customer_id) >= 5

SELECT channel, avg(pageviews) AS a FROM orders GROUP BY channel
-- duckdb
SELECT channel, avg(pageviews) AS a FROM orders GROUP BY channel HAVING count(DISTINCT customer_id) >= 5

SELECT date_trunc('month', created_timestamp) AS m, count(*) AS n FROM orders GROUP BY date_trunc('month', created_timestamp)
-- duckdb
SELECT date_trunc('month', created_timestamp)::TIMESTAMP AS m, count(*) AS n FROM orders GROUP BY 1 HAVING count(DISTINCT customer_id) >= 5

SELECT CAST(created_timestamp AS DATE) AS d, count(*) AS n FROM orders GROUP BY CAST(created_timestamp AS DATE)
-- duckdb
SELECT CAST(created_timestamp AS DATE) AS d, count(*) AS n FROM orders GROUP BY 1 HAVING count(DISTINCT customer_id) >= 5

SELECT extract(dow FROM created_timestamp) AS d, count(*) AS n FROM orders GROUP BY extract(dow FROM created_timestamp)
-- duckdb
SELECT extract(dow FROM created_timestamp) AS d, count(*) AS n FROM orders GROUP BY 1 HAVING count(DISTINCT customer_id) >= 5

SELECT left(postal_code, 1) AS p, count(*) AS n FROM customers GROUP BY left(postal_code, 1)
-- duckdb
SELECT left(postal_code, 1) AS p, count(*) AS n FROM customers GROUP BY 1 HAVING count(DISTINCT customer_id) >= 5

SELECT country_code, city, count(*) AS n FROM customers GROUP BY country_code, city
-- duckdb
SELECT country_code, city, count(*) AS n FROM customers GROUP BY country_code, city HAVING count(DISTINCT customer_id) >= 5

SELECT city, count(*) AS n FROM customers WHERE country_code = 'FR' GROUP BY city
-- duckdb
SELECT city, count(*) AS n FROM customers WHERE country_code = 'FR' GROUP BY city HAVING count(DISTINCT customer_id) >= 5

SELECT city, count(*) AS n FROM customers WHERE country_code IN ('FR', 'BE') AND created_timestamp >= '2025-02-01' GROUP BY city
-- duckdb
SELECT city, count(*) AS n FROM customers WHERE country_code IN ('FR', 'BE') AND created_timestamp >= '2025-02-01' GROUP BY city HAVING count(DISTINCT customer_id) >= 5

SELECT channel, count(*) AS n FROM orders WHERE created_timestamp BETWEEN TIMESTAMP '2025-04-01' AND TIMESTAMP '2025-06-30' GROUP BY channel
-- duckdb
SELECT channel, count(*) AS n FROM orders WHERE created_timestamp BETWEEN TIMESTAMP '2025-04-01' AND TIMESTAMP '2025-06-30' GROUP BY channel HAVING count(DISTINCT customer_id) >= 5

SELECT channel, sum(total_price) AS s FROM orders WHERE is_test_order IS NOT TRUE GROUP BY channel
-- duckdb
SELECT channel, sum(total_price) AS s FROM orders WHERE is_test_order IS NOT TRUE GROUP BY channel HAVING count(DISTINCT customer_id) >= 5

SELECT c.city, sum(o.total_price) AS s, count(*) AS n FROM customers AS c JOIN orders AS o ON c.customer_id = o.customer_id GROUP BY c.city
-- duckdb
SELECT c.city, sum(o.total_price) AS s, count(*) AS n FROM customers AS c JOIN orders AS o ON c.customer_id = o.customer_id GROUP BY c.city HAVING count(DISTINCT c.customer_id) >= 5

SELECT c.country_code, count(o.total_price) AS n FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id GROUP BY c.country_code
-- duckdb
SELECT c.country_code, count(o.total_price) AS n FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id GROUP BY c.country_code HAVING count(DISTINCT c.customer_id) >= 5

SELECT sku, sum(quantity) AS q FROM order_lines GROUP BY sku
-- duckdb
SELECT l.sku, sum(l.quantity) AS q FROM order_lines AS l LEFT JOIN orders AS o USING (order_id) GROUP BY l.sku HAVING count(DISTINCT o.customer_id) >= 5

SELECT l.sku, sum(l.price * l.quantity) AS s FROM order_lines AS l JOIN orders AS o ON l.order_id = o.order_id WHERE o.channel = 'search' GROUP BY l.sku
-- duckdb
SELECT l.sku, sum(l.price * l.quantity) AS s FROM order_lines AS l JOIN orders AS o ON l.order_id = o.order_id WHERE o.channel = 'search' GROUP BY l.sku HAVING count(DISTINCT o.customer_id) >= 5

SELECT p.product_type, sum(l.quantity) AS q FROM order_lines AS l JOIN products AS p ON l.sku = p.sku GROUP BY p.product_type
-- duckdb
SELECT p.product_type, sum(l.quantity) AS q FROM order_lines AS l LEFT JOIN orders AS o USING (order_id) JOIN products AS p ON l.sku = p.sku GROUP BY p.product_type HAVING count(DISTINCT o.customer_id) >= 5

SELECT p.title, count(*) AS n FROM order_lines AS l LEFT JOIN products AS p ON l.sku = p.sku GROUP BY p.title
-- duckdb
SELECT p.title, count(*) AS n FROM order_lines AS l LEFT JOIN orders AS o USING (order_id) LEFT JOIN products AS p ON l.sku = p.sku GROUP BY p.title HAVING count(DISTINCT o.customer_id) >= 5

SELECT n, count(*) AS persons FROM (SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id) AS t GROUP BY n
-- duckdb
SELECT n, count(*) AS persons FROM (SELECT customer_id, count(*) AS n FROM orders GROUP BY customer_id) AS t GROUP BY n HAVING count(DISTINCT customer_id) >= 5

SELECT kind, count(*) AS persons, avg(spent) AS a FROM (SELECT customer_id, CASE WHEN count(*) >= 7 THEN 'often' ELSE 'seldom' END AS kind, sum(pageviews) AS spent FROM orders GROUP BY customer_id) AS t GROUP BY kind
-- duckdb
SELECT kind, count(*) AS persons, avg(spent) AS a FROM (SELECT customer_id, CASE WHEN count(*) >= 7 THEN 'often' ELSE 'seldom' END AS kind, sum(pageviews) AS spent FROM orders GROUP BY customer_id) AS t GROUP BY kind HAVING count(DISTINCT customer_id) >= 5

SELECT first_month, count(*) AS persons FROM (SELECT customer_id, date_trunc('month', min(created_timestamp)) AS first_month FROM orders GROUP BY customer_id) AS t GROUP BY first_month
-- duckdb
SELECT first_month, count(*) AS persons FROM (SELECT customer_id, date_trunc('month', min(created_timestamp))::TIMESTAMP AS first_month FROM orders GROUP BY customer_id) AS t GROUP BY first_month HAVING count(DISTINCT customer_id) >= 5

SELECT channel, count(*) AS n FROM orders GROUP BY channel HAVING count(*) > 90 ORDER BY n DESC LIMIT 2
-- duckdb
SELECT channel, count(*) AS n FROM orders GROUP BY channel HAVING count(*) > 90 AND count(DISTINCT customer_id) >= 5 ORDER BY n DESC LIMIT 2

SELECT channel, sum(total_price) / count(*) AS mean, round(sum(total_price)) AS r FROM orders GROUP BY channel
-- duckdb
SELECT channel, sum(total_price) / count(*) AS mean, round(sum(total_price)) AS r FROM orders GROUP BY channel HAVING count(DISTINCT customer_id) >= 5

SELECT channel, n, sum(n) OVER () AS total, rank() OVER (ORDER BY n DESC) AS place FROM (SELECT channel, count(*) AS n FROM orders GROUP BY channel) AS t
-- duckdb
SELECT channel, n, sum(n) OVER () AS total, rank() OVER (ORDER BY n DESC) AS place FROM (SELECT channel, count(*) AS n FROM orders GROUP BY channel HAVING count(DISTINCT customer_id) >= 5) AS t

WITH monthly AS (SELECT date_trunc('month', created_timestamp) AS m, channel, count(*) AS n FROM orders GROUP BY date_trunc('month', created_timestamp), channel) SELECT m, max(n) AS most FROM monthly GROUP BY m
-- duckdb
WITH monthly AS (SELECT date_trunc('month', created_timestamp)::TIMESTAMP AS m, channel, count(*) AS n FROM orders GROUP BY 1, channel HAVING count(DISTINCT customer_id) >= 5) SELECT m, max(n) AS most FROM monthly GROUP BY m

SELECT 'orders' AS what, count(*) AS n FROM orders UNION ALL SELECT 'customers', count(*) FROM customers
-- duckdb
SELECT 'orders' AS what, count(*) AS n FROM orders HAVING count(DISTINCT customer_id) >= 5 UNION ALL SELECT 'customers', count(*) FROM customers HAVING count(DISTINCT customer_id) >= 5

SELECT channel, stddev(pageviews) AS s FROM orders GROUP BY channel
-- duckdb
SELECT channel, stddev(pageviews) AS s FROM orders GROUP BY channel HAVING count(DISTINCT customer_id) >= 15

SELECT channel, count(cancelled_timestamp) AS n, count(DISTINCT currency) AS m FROM orders GROUP BY channel
-- duckdb
SELECT channel, count(cancelled_timestamp) AS n, count(DISTINCT currency) AS m FROM orders GROUP BY channel HAVING count(DISTINCT customer_id) >= 5

SELECT g.city, g.n, t.n AS total FROM (SELECT city, count(*) AS n FROM customers GROUP BY city) AS g CROSS JOIN (SELECT count(*) AS n FROM customers) AS t
-- duckdb
SELECT g.city, g.n, t.n AS total FROM (SELECT city, count(*) AS n FROM customers GROUP BY city HAVING count(DISTINCT customer_id) >= 5) AS g CROSS JOIN (SELECT count(*) AS n FROM customers) AS t

SELECT channel, count(*) AS n FROM orders GROUP BY channel HAVING count(*) > (SELECT avg(n) FROM (SELECT channel, count(*) AS n FROM orders GROUP BY channel) AS t)
-- duckdb
SELECT channel, count(*) AS n FROM orders GROUP BY channel HAVING count(DISTINCT customer_id) >= 5 AND count(*) > (SELECT avg(n) FROM (SELECT channel, count(*) AS n FROM orders GROUP BY channel HAVING count(DISTINCT customer_id) >= 5) AS t)

SELECT product_type, count(*) AS n FROM products GROUP BY product_type
-- duckdb
SELECT product_type, count(*) AS n FROM products GROUP BY product_type

SELECT sku, price FROM products WHERE price > 11
-- duckdb
SELECT sku, price FROM products WHERE price > 11

SELECT country_code, city, count(*) AS n FROM customers WHERE country_code = 'BE' AND city IN ('Paris', 'Lyon') GROUP BY country_code, city
-- duckdb
SELECT country_code, city, count(*) AS n FROM customers WHERE country_code = 'BE' AND city IN ('Paris', 'Lyon') GROUP BY country_code, city HAVING count(DISTINCT customer_id) >= 5

SELECT count(*) AS n FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id WHERE o.customer_id IS NULL
-- duckdb
SELECT count(*) AS n FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id WHERE o.customer_id IS NULL HAVING count(DISTINCT c.customer_id) >= 5

SELECT n, count(*) AS persons FROM (SELECT c.customer_id, count(o.pageviews) AS n FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id GROUP BY c.customer_id) AS t GROUP BY n
-- duckdb
SELECT n, count(*) AS persons FROM (SELECT c.customer_id, count(o.pageviews) AS n FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id GROUP BY c.customer_id) AS t GROUP BY n HAVING count(DISTINCT customer_id) >= 5

SELECT c.city, count(DISTINCT c.customer_id) AS persons, sum(o.pageviews) AS views FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id GROUP BY c.city
-- duckdb
SELECT c.city, count(DISTINCT c.customer_id) AS persons, sum(o.pageviews) AS views FROM customers AS c LEFT JOIN orders AS o ON c.customer_id = o.customer_id GROUP BY c.city HAVING count(DISTINCT c.customer_id) >= 5 AND count(DISTINCT o.customer_id) >= 5

SELECT v.area, count(*) AS n FROM customers AS c JOIN (VALUES ('Paris', 'north'), ('Lille', 'north'), ('Nice', 'south')) AS v(city, area) ON c.city = v.city GROUP BY v.area
-- duckdb
SELECT v.area, count(*) AS n FROM customers AS c JOIN (VALUES ('Paris', 'north'), ('Lille', 'north'), ('Nice', 'south')) AS v(city, area) ON c.city = v.city GROUP BY v.area HAVING count(DISTINCT c.customer_id) >= 5

SELECT o.channel, count(*) AS n, g.n AS all_of_it FROM orders AS o JOIN (SELECT channel, count(*) AS n FROM orders GROUP BY channel) AS g ON o.channel = g.channel WHERE o.created_timestamp >= '2025-05-01' GROUP BY o.channel, g.n
-- duckdb
SELECT o.channel, count(*) AS n, g.n AS all_of_it FROM orders AS o JOIN (SELECT channel, count(*) AS n FROM orders GROUP BY channel HAVING count(DISTINCT customer_id) >= 5) AS g ON o.channel = g.channel WHERE o.created_timestamp >= '2025-05-01' GROUP BY o.channel, g.n HAVING count(DISTINCT o.customer_id) >= 5

SELECT p.product_type, sum(l.quantity * p.price) AS worth FROM order_lines AS l LEFT JOIN products AS p ON l.sku = p.sku GROUP BY p.product_type
-- duckdb
SELECT p.product_type, sum(l.quantity * p.price) AS worth FROM order_lines AS l LEFT JOIN orders AS o USING (order_id) LEFT JOIN products AS p ON l.sku = p.sku GROUP BY p.product_type HAVING count(DISTINCT o.customer_id) >= 5

SELECT country_code, sum(pageviews) AS views FROM (SELECT c.country_code, o.pageviews FROM customers AS c JOIN orders AS o USING (customer_id) WHERE o.channel = 'web' UNION ALL SELECT c.country_code, o.pageviews FROM customers AS c JOIN orders AS o USING (customer_id) WHERE o.channel = 'search') AS u GROUP BY country_code
-- duckdb
SELECT country_code, sum(pageviews) AS views FROM (SELECT c.customer_id, o.channel, c.country_code, o.pageviews FROM customers AS c JOIN orders AS o USING (customer_id) WHERE o.channel IN ('web', 'search')) AS u GROUP BY country_code HAVING count(DISTINCT CASE channel WHEN 'web' THEN customer_id END) >= 5 AND count(DISTINCT CASE channel WHEN 'search' THEN customer_id END) >= 5

SELECT date_part('month', created_timestamp) AS m, grouping(date_part('month', created_timestamp)) AS g, count(*) AS n FROM orders WHERE channel = 'search' AND created_timestamp < '2025-10-01' GROUP BY ROLLUP (date_part('month', created_timestamp))
-- duckdb
SELECT date_part('month', created_timestamp) AS m, grouping(date_part('month', created_timestamp)) AS g, count(*) AS n FROM orders WHERE channel = 'search' AND created_timestamp < '2025-10-01' GROUP BY ROLLUP (date_part('month', created_timestamp)) HAVING count(DISTINCT customer_id) >= 5

SELECT city, grouping(city) AS g, count(*) AS n FROM customers GROUP BY city
-- duckdb
SELECT city, 0, count(*) AS n FROM customers GROUP BY city HAVING count(DISTINCT customer_id) >= 5
