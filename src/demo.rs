// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A believable shop with planted truths: three years of orders, people, journeys and stock, the same bytes for the same
//! seed.
//!
//! Every table of `sql/schema.sql` is written to the folder, and under `truth/` what an analysis should find: the state
//! of each customer, the elasticity and the cost of each sku, the effect of each channel.
//!
//! What holds, to the cent:
//!
//! * `total_line_items_price` = sum over the lines of `price * quantity`
//! * `total_discounts` = sum of the lines' `total_discount`
//! * `subtotal_price` = `total_line_items_price - total_discounts`
//! * `total_tax` = sum of the lines' `order_line_tax`; prices exclude tax, shipping is not taxed
//! * `total_price` = `subtotal_price + total_tax + shipping_cost`
//! * `refund_subtotal` = sum of the `subtotal` of the order's returns
//! * `available_quantity` = the day before's, less the units sold, plus what was received; 0 during a stock-out
//!
//! How it is made: a plan (`shop`) holds the calendar, the catalogue, the people and an outline of each order, in 16
//! bytes. Everything else is drawn from the plan when a table is written, from a stream of chance that belongs to the
//! thing alone. So tables are written one beside the other on all cores, and no table waits for another.

mod catalogue;
mod channels;
mod clock;
mod company;
mod customers;
mod dice;
mod journeys;
mod orders;
mod people;
mod products;
mod sales;
mod schema;
mod sheet;
mod shop;
mod stock;
mod words;
mod write;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::error::{Error, Result};
use shop::Shop;
use write::Staging;

/// The kind of file to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One Parquet file a table.
    Parquet,
    /// One CSV file a table (RFC 4180, with a header; NULL is empty).
    Csv,
}

/// Which shop to write, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder, made if it is not there. Files of other names in it are left alone.
    pub dir: PathBuf,
    /// Rows of `orders`, from 1 to a thousand million.
    pub orders: u64,
    /// The same seed and number of orders give the same bytes.
    pub seed: u64,
    /// The kind of file.
    pub format: Format,
}

/// A table that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// `orders`, or `truth/skus`; the file has the format's extension.
    pub name: &'static str,
    /// Its rows.
    pub rows: u64,
}

impl Format {
    /// The extension of a file, without the point.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::Csv => "csv",
        }
    }
}

/// What is asked of a shop that has just been written: the first thing a newcomer sees.
pub const SHOWCASE: &str = "\
SELECT segment, count(*) AS customers, CAST(sum(monetary) AS DECIMAL(18, 2)) AS revenue,
       round(avg(frequency), 1) AS orders_each, round(avg(recency_days)) AS days_since_last
FROM rfm_score()
GROUP BY segment
ORDER BY revenue DESC NULLS LAST";

const MOST_ORDERS: u64 = 1_000_000_000;

/// Writes the shop: all tables or, when something fails, none. Gives the canonical tables, then the truths.
pub fn generate(options: &Options) -> Result<Vec<Table>> {
    if !(1..=MOST_ORDERS).contains(&options.orders) {
        return Err(Error::usage(format!("`{}` orders cannot be made", options.orders))
            .hint(format!("give a number from 1 to {MOST_ORDERS}")));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(JOBS.len());
    let staging = Staging::new(&options.dir, options.format, schema::specs()?)?;
    let shop = Shop::plan(options.seed, options.orders, threads);
    let mut tables = write_all(&shop, &staging, threads)?;
    tables.sort_by_key(|table| staging.position(table.name));
    staging.commit()?;
    Ok(tables)
}

type Job = fn(&Shop, &Staging<'_>) -> Result<Vec<Table>>;

/// What can be written at the same time, the longest first, so that no core is left with a long job at the end.
const JOBS: [Job; 10] = [
    journeys::write_visits,
    sales::write_lines,
    journeys::write_touchpoints,
    sales::write_orders,
    customers::write_consents,
    customers::write_mail,
    customers::write_customers,
    stock::write_stock,
    company::write_company,
    |shop, staging| {
        let mut tables = products::write_products(shop, staging)?;
        tables.extend(customers::write_experiments(shop, staging)?);
        Ok(tables)
    },
];

/// The first error stops the jobs that have not begun.
fn write_all(shop: &Shop, staging: &Staging<'_>, threads: usize) -> Result<Vec<Table>> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let outcome = Mutex::new(Ok(vec![]));
    let work = || {
        while let Some(job) = JOBS.get(next.fetch_add(1, Ordering::Relaxed))
            && !failed.load(Ordering::Relaxed)
        {
            let written = job(shop, staging);
            failed.fetch_or(written.is_err(), Ordering::Relaxed);
            let mut outcome = outcome.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match (&mut *outcome, written) {
                (Ok(tables), Ok(more)) => tables.extend(more),
                (Ok(_), Err(error)) => *outcome = Err(error),
                (Err(_), _) => {}
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    outcome.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
}
