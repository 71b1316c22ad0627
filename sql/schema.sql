-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: The Comptoir authors
--
-- The canonical shop: every table and column that an analysis may read, its meaning and its privacy class.
-- One column a line: name, type, NOT NULL when it is required, then `class: meaning`. The classes are
--   direct      names or reaches a person by itself: never shown, not even as a pseudonym
--   text        labels and words that somebody wrote: never shown, because they may hold anything
--   identifier  points at one person or one transaction of a person: linked on, never shown
--   quasi       does not name a person but helps to single one out
--   sensitive   what a person spent, agreed to or complained about
--   plain       about things, not persons
-- Timestamps are UTC without a zone. Money is in `currency` and excludes tax unless its line says otherwise.

-- orders: grain one row per order; what was bought at one checkout, cancelled and test orders included
CREATE TABLE orders (
  order_id VARCHAR NOT NULL, -- identifier: order number
  customer_id VARCHAR, -- identifier: account that ordered, NULL for a guest
  email VARCHAR, -- direct: e-mail typed at checkout
  created_timestamp TIMESTAMP NOT NULL, -- quasi: when the order was placed
  processed_timestamp TIMESTAMP, -- quasi: when the payment was taken
  cancelled_timestamp TIMESTAMP, -- quasi: when the order was cancelled, NULL if it was not
  financial_status VARCHAR, -- sensitive: paid, partially_refunded, refunded or voided
  fulfillment_status VARCHAR, -- plain: fulfilled, unfulfilled or restocked
  currency VARCHAR, -- plain: ISO 4217 code of every amount of the order
  total_line_items_price DECIMAL(18,4), -- sensitive: sum of price * quantity of the lines, in currency, excluding tax
  total_discounts DECIMAL(18,4), -- sensitive: sum of the lines' discounts, in currency, excluding tax
  subtotal_price DECIMAL(18,4), -- sensitive: line items less discounts, in currency, excluding tax and shipping
  total_tax DECIMAL(18,4), -- sensitive: sum of the lines' tax, in currency
  shipping_cost DECIMAL(18,4), -- sensitive: shipping paid by the customer, in currency
  shipping_expense DECIMAL(18,4), -- plain: shipping paid by the shop to the carrier, in currency, excluding tax
  payment_fee DECIMAL(18,4), -- plain: fee of the payment provider, in currency, excluding tax
  pick_pack_cost DECIMAL(18,4), -- plain: picking and packing, in currency, excluding tax
  total_price DECIMAL(18,4) NOT NULL, -- sensitive: subtotal + tax + shipping, in currency, including tax
  refund_subtotal DECIMAL(18,4), -- sensitive: sum of the subtotals returned later, in currency, excluding tax
  source_name VARCHAR, -- plain: web or pos (point of sale)
  channel VARCHAR, -- quasi: channel of the last touch before the order, store for a point of sale
  landing_site_base_url VARCHAR, -- quasi: first page of the visit that ordered
  shipping_country_code VARCHAR, -- quasi: ISO 3166-1 alpha-2 code of the delivery address
  shipping_postal_code VARCHAR, -- quasi: postal code of the delivery address
  is_test_order BOOLEAN, -- plain: placed by the shop's own staff to test the checkout
  location_id VARCHAR, -- plain: store of a point-of-sale order
  salesperson_id VARCHAR, -- identifier: seller of a point-of-sale order
  PRIMARY KEY (order_id)
);

-- order_lines: grain one row per line of an order; what was bought, at which price
CREATE TABLE order_lines (
  order_line_id VARCHAR NOT NULL, -- identifier: line number
  order_id VARCHAR NOT NULL, -- identifier: order of the line
  product_id VARCHAR, -- plain: product of the line
  variant_id VARCHAR, -- plain: variant of the product
  sku VARCHAR NOT NULL, -- plain: stock keeping unit sold
  quantity INTEGER NOT NULL, -- plain: units sold, above 0
  price DECIMAL(18,4) NOT NULL, -- plain: price of one unit before discount, in the order's currency, excluding tax
  total_discount DECIMAL(18,4), -- sensitive: discount on the whole line, in the order's currency, excluding tax
  order_line_tax DECIMAL(18,4), -- sensitive: tax on the whole line after discount, in the order's currency
  is_gift_card BOOLEAN, -- plain: a gift card, which is a debt and not revenue
  grams INTEGER, -- plain: weight of one unit in grams
  PRIMARY KEY (order_line_id)
);

-- products: grain one row per sku; what the shop sells and what it costs
CREATE TABLE products (
  sku VARCHAR NOT NULL, -- plain: stock keeping unit
  product_id VARCHAR, -- plain: product of which the sku is a variant
  variant_id VARCHAR, -- plain: variant
  title VARCHAR, -- plain: name shown in the shop
  product_type VARCHAR, -- plain: category
  vendor VARCHAR, -- plain: brand or supplier
  price DECIMAL(18,4), -- plain: price of one unit at the end of the data, in the shop's currency, excluding tax
  compare_at_price DECIMAL(18,4), -- plain: struck-through price, in the shop's currency, excluding tax
  unit_cost_amount DECIMAL(18,4), -- plain: supplier price of one unit, in the shop's currency, excluding tax, NULL if unknown
  packaging_cost DECIMAL(18,4), -- plain: packaging of one unit, in the shop's currency, excluding tax
  inbound_cost DECIMAL(18,4), -- plain: freight and duty to the warehouse of one unit, in the shop's currency, excluding tax
  weight_g INTEGER, -- plain: weight of one unit in grams
  volume_cm3 INTEGER, -- plain: volume of one unit in cubic centimetres
  resale_rate DOUBLE, -- plain: share of returned units that can be sold again, 0 to 1
  price_tier VARCHAR, -- plain: entry, mid or premium
  status VARCHAR, -- plain: active or archived
  created_timestamp TIMESTAMP, -- plain: when the sku was put on sale
  PRIMARY KEY (sku)
);

-- product_costs: grain one row per sku and period; history of the supplier price
CREATE TABLE product_costs (
  sku VARCHAR NOT NULL, -- plain: stock keeping unit
  valid_from DATE NOT NULL, -- plain: first day of the cost
  valid_to DATE, -- plain: last day of the cost, NULL while it holds
  unit_cost_amount DECIMAL(18,4), -- plain: supplier price of one unit, in the shop's currency, excluding tax
  PRIMARY KEY (sku, valid_from)
);

-- customers: grain one row per account; who may be known, guests have no row
CREATE TABLE customers (
  customer_id VARCHAR NOT NULL, -- identifier: account number
  email VARCHAR, -- direct: e-mail of the account
  phone VARCHAR, -- direct: phone in E.164
  first_name VARCHAR, -- direct: first name
  last_name VARCHAR, -- direct: last name
  created_timestamp TIMESTAMP, -- quasi: when the account was opened
  country_code VARCHAR, -- quasi: ISO 3166-1 alpha-2 code
  postal_code VARCHAR, -- quasi: postal code
  city VARCHAR, -- quasi: city
  marketing_consent_state VARCHAR, -- sensitive: subscribed, unsubscribed or not_subscribed to e-mail
  customer_tags VARCHAR, -- text: labels set by the shop, separated by commas
  acquisition_channel VARCHAR, -- quasi: channel of the first touch known
  PRIMARY KEY (customer_id)
);

-- touchpoints: grain one row per marketing touch; a visit that a channel brought
CREATE TABLE touchpoints (
  touchpoint_id VARCHAR NOT NULL, -- identifier: touch number
  event_timestamp TIMESTAMP NOT NULL, -- quasi: when the touch happened
  customer_id VARCHAR, -- identifier: account, NULL when the visitor was not known
  user_pseudo_id VARCHAR, -- identifier: device of the visitor
  channel VARCHAR NOT NULL, -- quasi: marketing channel
  source VARCHAR, -- quasi: utm_source
  medium VARCHAR, -- quasi: utm_medium
  campaign VARCHAR, -- quasi: utm_campaign
  is_paid BOOLEAN, -- plain: the touch was bought
  cost DECIMAL(18,4), -- plain: price of the click, in the shop's currency, excluding tax, NULL when not paid
  click_id VARCHAR, -- identifier: click identifier of the platform (gclid, fbclid, ttclid)
  landing_page VARCHAR, -- quasi: path of the first page
  PRIMARY KEY (touchpoint_id)
);

-- ad_spend: grain one row per day, campaign and cost type; what marketing cost
CREATE TABLE ad_spend (
  date_day DATE NOT NULL, -- plain: day of the spend
  platform VARCHAR, -- plain: advertising platform, internal for own costs
  account_id VARCHAR, -- plain: advertising account
  channel VARCHAR NOT NULL, -- plain: marketing channel
  campaign_id VARCHAR, -- plain: campaign number
  campaign_name VARCHAR, -- plain: campaign name
  clicks BIGINT, -- plain: clicks
  impressions BIGINT, -- plain: impressions
  spend DECIMAL(18,4) NOT NULL, -- plain: amount spent, in currency, excluding tax
  conversions DOUBLE, -- plain: conversions that the platform claims
  conversions_value DECIMAL(18,4), -- plain: revenue that the platform claims, in currency, excluding tax
  currency VARCHAR, -- plain: ISO 4217 code
  cost_type VARCHAR -- plain: media, reactivation, support, internal, tech or content
);

-- returns: grain one row per refunded order line; what came back
CREATE TABLE returns (
  refund_id VARCHAR NOT NULL, -- identifier: refund number
  order_line_refund_id VARCHAR, -- identifier: refund line number
  order_line_id VARCHAR NOT NULL, -- identifier: line that was returned
  order_id VARCHAR NOT NULL, -- identifier: order that was returned
  sku VARCHAR, -- plain: stock keeping unit returned
  refunded_quantity INTEGER NOT NULL, -- plain: units returned, above 0
  subtotal DECIMAL(18,4) NOT NULL, -- sensitive: amount refunded, in the order's currency, excluding tax
  total_tax DECIMAL(18,4), -- sensitive: tax refunded, in the order's currency
  refund_created_at TIMESTAMP NOT NULL, -- quasi: when the refund was made
  restock_type VARCHAR, -- plain: return or no_restock
  is_restocked BOOLEAN, -- plain: the units can be sold again
  reason VARCHAR, -- text: reason given by the customer
  handling_cost DECIMAL(18,4), -- plain: cost of handling the return, in the shop's currency, excluding tax
  return_shipping_cost DECIMAL(18,4), -- plain: carriage back paid by the shop, in the shop's currency, excluding tax
  PRIMARY KEY (refund_id, order_line_id)
);

-- stock: grain one row per day, sku and location; what was in the warehouse when the day ended
CREATE TABLE stock (
  snapshot_date DATE NOT NULL, -- plain: day of the snapshot
  sku VARCHAR NOT NULL, -- plain: stock keeping unit
  location_id VARCHAR, -- plain: warehouse
  available_quantity INTEGER NOT NULL, -- plain: units that can be sold, on hand less committed
  on_hand_quantity INTEGER, -- plain: units on the shelf
  incoming_quantity INTEGER, -- plain: units ordered from the supplier, not yet received
  committed_quantity INTEGER, -- plain: units sold, not yet shipped
  safety_stock_quantity INTEGER, -- plain: units below which the shop wants never to fall
  unit_cost_amount DECIMAL(18,4), -- plain: supplier price of one unit, in the shop's currency, excluding tax, NULL if unknown
  lead_time_days INTEGER -- plain: days from supplier order to receipt
);

-- events: grain one row per event of a visit; GA4 names, visitors who consented only
CREATE TABLE events (
  event_timestamp TIMESTAMP NOT NULL, -- quasi: when it happened
  event_name VARCHAR NOT NULL, -- plain: view_item, add_to_cart, begin_checkout or purchase
  user_pseudo_id VARCHAR NOT NULL, -- identifier: device of the visitor
  user_id VARCHAR, -- identifier: account, NULL when not signed in
  ga_session_id VARCHAR, -- identifier: visit, as sessions.session_id
  page_location VARCHAR, -- quasi: path of the page
  sku VARCHAR, -- plain: stock keeping unit looked at
  order_id VARCHAR, -- identifier: order of a purchase event
  value DECIMAL(18,4), -- sensitive: value of the event, in the shop's currency, excluding tax
  source VARCHAR, -- quasi: utm_source of the visit
  medium VARCHAR, -- quasi: utm_medium of the visit
  campaign VARCHAR, -- quasi: utm_campaign of the visit
  device_category VARCHAR, -- quasi: mobile, desktop or tablet
  country VARCHAR -- quasi: ISO 3166-1 alpha-2 code
);

-- sessions: grain one row per visit; visitors who consented only
CREATE TABLE sessions (
  session_id VARCHAR NOT NULL, -- identifier: visit
  user_pseudo_id VARCHAR, -- identifier: device of the visitor
  customer_id VARCHAR, -- identifier: account, NULL when not signed in
  session_start TIMESTAMP, -- quasi: first event of the visit
  session_end TIMESTAMP, -- quasi: last event of the visit
  channel VARCHAR, -- quasi: marketing channel that brought the visit
  pageviews INTEGER, -- quasi: pages seen
  has_purchase BOOLEAN, -- sensitive: the visit ended in an order
  PRIMARY KEY (session_id)
);

-- consents: grain one row per subject, purpose and decision; the latest decision before a day holds on that day
CREATE TABLE consents (
  subject_id VARCHAR NOT NULL, -- identifier: customer_id or user_pseudo_id
  subject_type VARCHAR, -- plain: customer or user_pseudo_id
  purpose VARCHAR NOT NULL, -- plain: analytics_storage, ad_personalization, email_marketing, sms_marketing, ad_storage or ad_user_data
  status VARCHAR NOT NULL, -- sensitive: granted or denied
  consent_timestamp TIMESTAMP NOT NULL, -- quasi: when the decision was taken
  expires_at TIMESTAMP, -- quasi: when the decision lapses, NULL if never
  source VARCHAR, -- plain: where it was asked
  PRIMARY KEY (subject_id, purpose, consent_timestamp)
);

-- targets: grain one row per day and metric; what the shop planned
CREATE TABLE targets (
  date DATE NOT NULL, -- plain: day of the target
  metric VARCHAR NOT NULL, -- plain: net_sales (in the shop's currency, excluding tax) or orders (count)
  value DECIMAL(18,4), -- plain: value planned for the day, in the unit of the metric
  PRIMARY KEY (date, metric)
);

-- cash: grain one row per day; money in the bank
CREATE TABLE cash (
  date DATE NOT NULL, -- plain: day
  balance DECIMAL(18,4), -- plain: balance when the day ended, in the shop's currency
  alert_threshold DECIMAL(18,4), -- plain: balance below which to warn, in the shop's currency
  PRIMARY KEY (date)
);

-- costs: grain one row per month and cost type; overhead
CREATE TABLE costs (
  date DATE NOT NULL, -- plain: first day of the month
  cost_type VARCHAR NOT NULL, -- plain: rent, salaries, software, insurance or content
  amount DECIMAL(18,4), -- plain: amount of the month, in the shop's currency, excluding tax
  allocation_key VARCHAR, -- plain: how to spread it over skus: revenue, quantity or volume
  PRIMARY KEY (date, cost_type)
);

-- email_events: grain one row per event of a message sent to a customer
CREATE TABLE email_events (
  customer_id VARCHAR, -- identifier: account that received the message
  event_timestamp TIMESTAMP, -- quasi: when it happened
  event VARCHAR, -- sensitive: sent, open, click or unsubscribe
  campaign VARCHAR -- plain: campaign of the message
);

-- support_tickets: grain one row per ticket; complaints and questions
CREATE TABLE support_tickets (
  ticket_id VARCHAR NOT NULL, -- identifier: ticket number
  customer_id VARCHAR, -- identifier: account that wrote, NULL for a guest
  sku VARCHAR, -- plain: stock keeping unit that the ticket is about
  created_at TIMESTAMP, -- quasi: when the ticket was opened
  csat INTEGER, -- sensitive: satisfaction from 1 to 5, NULL when not answered
  cost DECIMAL(18,4), -- plain: cost of answering, in the shop's currency, excluding tax
  PRIMARY KEY (ticket_id)
);

-- experiments: grain one row per experiment and unit; who saw which variant
CREATE TABLE experiments (
  experiment_id VARCHAR NOT NULL, -- plain: experiment
  unit_id VARCHAR NOT NULL, -- identifier: customer_id of the unit
  variant VARCHAR NOT NULL, -- plain: A is the control
  assigned_at TIMESTAMP, -- quasi: when the unit was assigned
  PRIMARY KEY (experiment_id, unit_id)
);

-- price_tests: grain one row per sku and test cell; prices tried one after the other
CREATE TABLE price_tests (
  sku VARCHAR NOT NULL, -- plain: stock keeping unit
  cell VARCHAR NOT NULL, -- plain: A is the current price
  price DECIMAL(18,4), -- plain: price of one unit in the cell, in the shop's currency, excluding tax
  start DATE, -- plain: first day of the cell
  "end" DATE, -- plain: last day of the cell
  PRIMARY KEY (sku, cell)
);

-- calendar: grain one row per day and event; holidays, sales and promotions
CREATE TABLE calendar (
  date DATE NOT NULL, -- plain: day
  event VARCHAR NOT NULL, -- plain: name of the event
  type VARCHAR, -- plain: holiday, promotion or peak
  PRIMARY KEY (date, event)
);

-- fx_rates: grain one row per day and pair of currencies
CREATE TABLE fx_rates (
  date DATE NOT NULL, -- plain: day
  "from" VARCHAR NOT NULL, -- plain: ISO 4217 code
  "to" VARCHAR NOT NULL, -- plain: ISO 4217 code
  rate DOUBLE, -- plain: units of to for one unit of from
  PRIMARY KEY (date, "from", "to")
);

-- bom: grain one row per bundle and component; what a bundle is made of
CREATE TABLE bom (
  bundle_sku VARCHAR NOT NULL, -- plain: stock keeping unit of the bundle
  sku VARCHAR NOT NULL, -- plain: stock keeping unit of the component
  quantity INTEGER, -- plain: units of the component in one bundle
  PRIMARY KEY (bundle_sku, sku)
);
