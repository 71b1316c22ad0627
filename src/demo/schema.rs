// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The tables of the demo, read from `sql/schema.sql`, so that the shop that is written and the shop that is documented
//! are one. The truths have their own text below, in the same form.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::error::{Error, Result};

/// One table to write.
pub(super) struct Spec {
    /// `orders`, or `truth/skus`.
    pub(super) name: &'static str,
    pub(super) schema: SchemaRef,
}

/// Canonical tables, then truths.
pub(super) fn specs() -> Result<Vec<Spec>> {
    let mut specs = parse(include_str!("../../sql/schema.sql"))?;
    specs.extend(parse(TRUTH)?);
    Ok(specs)
}

const TRUTH: &str = r#"
-- The process behind each account: orders arrive at random at a rate until the customer drops out.
CREATE TABLE "truth/customers" (
  customer_id VARCHAR NOT NULL, -- account number
  true_segment VARCHAR NOT NULL, -- prospect, new, loyal, occasional or gone at the end of the data
  acquisition_channel VARCHAR NOT NULL, -- channel of the first touch
  purchase_rate_per_year DOUBLE NOT NULL, -- orders a year while alive, mean over the seasons
  dropout_timestamp TIMESTAMP, -- when the customer stops buying for good, may lie after the end, NULL for a prospect
  is_alive_at_end BOOLEAN NOT NULL, -- would still buy
  orders_placed INTEGER NOT NULL, -- orders of the person, cancelled ones and forgotten sign-ins included
  expected_orders_next_90d DOUBLE NOT NULL, -- rate and drop-out known, season ignored
  basket_factor DOUBLE NOT NULL, -- how much larger than usual this person's baskets are
  coupon_affinity DOUBLE NOT NULL -- probability of a code on an order
);
CREATE TABLE "truth/guest_orders" (
  order_id VARCHAR NOT NULL, -- order without customer_id
  person_id VARCHAR NOT NULL, -- who it was
  customer_id VARCHAR -- the person's account, NULL if there is none
);
CREATE TABLE "truth/skus" (
  sku VARCHAR NOT NULL, -- stock keeping unit
  elasticity DOUBLE NOT NULL, -- of units to the net price paid, negative
  base_demand DOUBLE NOT NULL, -- weight of the sku in the choice at its reference price
  reference_price DECIMAL(18,4) NOT NULL, -- price at which base_demand holds
  unit_cost DECIMAL(18,4) NOT NULL, -- supplier price at the end of the data, also where products does not know it
  promo_uplift DOUBLE NOT NULL, -- factor on units during a promotion, beside the price effect
  return_rate DOUBLE NOT NULL, -- factor on the probability of a return
  companion_sku VARCHAR NOT NULL, -- sku most often bought with it
  stockout_days INTEGER NOT NULL -- days on which nothing could be sold
);
CREATE TABLE "truth/channels" (
  channel VARCHAR NOT NULL, -- marketing channel
  exposure_share DOUBLE NOT NULL, -- share of the middle touches of paths that do not end in an order
  log_odds DOUBLE NOT NULL, -- effect of one more touch on the log-odds of an order, path length held fixed
  acquisition_share DOUBLE NOT NULL, -- share of new customers whose first touch it is
  cac_media DECIMAL(18,4) NOT NULL, -- media spend for one expected new person, 0 for unpaid channels
  purchase_rate_factor DOUBLE NOT NULL -- purchase rate of the customers it brings, against the mean customer
);
CREATE TABLE "truth/experiments" (
  experiment_id VARCHAR NOT NULL, -- experiment
  metric VARCHAR NOT NULL, -- what the variant changes
  true_relative_effect DOUBLE NOT NULL -- of B against A
);
CREATE TABLE "truth/shop" (
  generator_version INTEGER NOT NULL, -- goes up when the same seed gives other bytes
  seed BIGINT NOT NULL, -- seed, as a signed number
  orders BIGINT NOT NULL, -- rows of orders
  customers BIGINT NOT NULL, -- rows of customers
  skus BIGINT NOT NULL, -- skus without gift cards
  start_date DATE NOT NULL, -- first day
  end_date DATE NOT NULL -- last day
);
"#;

/// Reads DDL in the strict form of `sql/schema.sql`, one column a line; SQL at large is the planner's business.
fn parse(ddl: &'static str) -> Result<Vec<Spec>> {
    let mut specs = vec![];
    let mut open: Option<(&'static str, Vec<Field>)> = None;
    for line in ddl.lines() {
        let code = line.split("--").next().unwrap_or("").trim().trim_end_matches(',');
        if let Some(rest) = code.strip_prefix("CREATE TABLE ") {
            open = Some((rest.trim_end_matches(" (").trim_matches('"'), vec![]));
        } else if code.starts_with(')') {
            specs.extend(
                open.take()
                    .map(|(name, fields)| Spec { name, schema: Arc::new(Schema::new(fields)) }),
            );
        } else if let Some((_, fields)) = &mut open
            && !code.is_empty()
            && !code.starts_with("PRIMARY KEY")
        {
            fields.push(column(code)?);
        }
    }
    Ok(specs)
}

fn column(code: &str) -> Result<Field> {
    let mut words = code.split_whitespace();
    let name = words.next().unwrap_or("").trim_matches('"');
    let kind = match words.next().unwrap_or("") {
        "VARCHAR" => DataType::Utf8,
        "BIGINT" => DataType::Int64,
        "INTEGER" => DataType::Int32,
        "DECIMAL(18,4)" => DataType::Decimal128(18, 4),
        "DOUBLE" => DataType::Float64,
        "BOOLEAN" => DataType::Boolean,
        "DATE" => DataType::Date32,
        "TIMESTAMP" => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => {
            return Err(Error::usage(format!(
                "schema.sql: column `{name}` has the unknown type `{other}`"
            )));
        }
    };
    Ok(Field::new(name, kind, words.next() != Some("NOT")))
}
