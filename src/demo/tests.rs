// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The promises of the demo, on a shop of two thousand orders.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::orders::Order;
use super::shop::Shop;
use super::*;

const ORDERS: u64 = 2000;

fn write(dir: &Path, seed: u64, format: Format) -> Result<Vec<Table>> {
    generate(&Options { dir: dir.to_path_buf(), orders: ORDERS, seed, format })
}

fn bytes(dir: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for folder in [dir.to_path_buf(), dir.join("truth")] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_file() {
                files.insert(
                    path.display().to_string().replace(&dir.display().to_string(), ""),
                    fs::read(path)?,
                );
            }
        }
    }
    Ok(files)
}

#[test]
fn every_order_adds_up() {
    let shop = Shop::plan(1, ORDERS, 2);
    assert_eq!(shop.stubs.len() as u64, ORDERS);
    assert!(shop.stubs.is_sorted_by_key(|s| s.time));
    let (mut refunds, mut cancelled, mut cards) = (0, 0, 0);
    for index in 0..shop.stubs.len() {
        let order = Order::draw(&shop, index);
        assert!(!order.lines.is_empty());
        assert!(order.lines.iter().all(|l| l.quantity > 0 && l.price > 0 && l.discount >= 0));
        assert_eq!(order.subtotal(), order.gross() - order.discounts());
        assert_eq!(order.total(), order.subtotal() + order.tax() + order.shipping);
        assert!(order.refunded() <= order.subtotal() && order.subtotal() > 0);
        assert_eq!(order.refund_time.is_some(), order.refunded() > 0);
        assert!(order.cancelled.is_none() || order.refunded() == 0);
        refunds += usize::from(order.refunded() > 0);
        cancelled += usize::from(order.cancelled.is_some());
        cards += order.lines.iter().filter(|l| l.card).count();
    }
    assert!((60..200).contains(&refunds), "{refunds}");
    assert!((20..70).contains(&cancelled), "{cancelled}");
    assert!((5..50).contains(&cards), "{cards}");
}

#[test]
fn touches_lie_between_the_order_before_and_the_order() {
    let shop = Shop::plan(2, ORDERS, 1);
    for (index, stub) in shop.stubs.iter().enumerate() {
        let path = journeys::journey(&shop, index);
        assert!(path.is_sorted_by_key(|touch| touch.time));
        assert!(
            path.iter().all(|t| t.time <= stub.time && (t.time > stub.previous || stub.nth == 0))
        );
    }
}

#[test]
fn the_plan_does_not_depend_on_the_threads() {
    let (one, three) = (Shop::plan(4, 500, 1), Shop::plan(4, 500, 3));
    assert!(one.stubs == three.stubs);
    assert_eq!(one.ledger.units, three.ledger.units);
    assert_eq!(one.ledger.sales, three.ledger.sales);
}

#[test]
fn the_same_seed_gives_the_same_bytes() -> Result<()> {
    for format in [Format::Parquet, Format::Csv] {
        let (a, b, c) = (tempfile::tempdir()?, tempfile::tempdir()?, tempfile::tempdir()?);
        let tables = write(a.path(), 7, format)?;
        assert_eq!(tables.first(), Some(&Table { name: "orders", rows: ORDERS }));
        assert_eq!(tables.len(), schema::specs()?.len());
        write(b.path(), 7, format)?;
        write(c.path(), 8, format)?;
        let (a, b, c) = (bytes(a.path())?, bytes(b.path())?, bytes(c.path())?);
        assert_eq!(a.len(), schema::specs()?.len());
        assert!(a == b);
        let orders = format!("/orders.{}", format.extension());
        assert!(a[orders.as_str()] != c[orders.as_str()]);
        if format == Format::Csv {
            let lines = a[orders.as_str()].iter().filter(|&&b| b == b'\n').count();
            assert_eq!(lines as u64, ORDERS + 1);
        }
    }
    Ok(())
}

#[test]
fn a_folder_holds_one_kind_of_shop() -> Result<()> {
    let dir = tempfile::tempdir()?;
    write(dir.path(), 7, Format::Parquet)?;
    assert!(write(dir.path(), 7, Format::Csv).is_err());
    Ok(())
}

#[test]
fn one_order_is_a_shop() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for orders in [1, 2] {
        let options =
            Options { dir: dir.path().to_path_buf(), orders, seed: 1, format: Format::Parquet };
        assert_eq!(generate(&options)?.first(), Some(&Table { name: "orders", rows: orders }));
    }
    Ok(())
}

#[test]
fn what_is_not_ours_is_left_alone() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (notes, orders) = (dir.path().join("notes.txt"), dir.path().join("orders.parquet"));
    fs::write(&notes, "mine")?;
    fs::write(&orders, "also mine")?;
    assert!(write(dir.path(), 1, Format::Parquet).is_err());
    assert_eq!(fs::read(&orders)?, b"also mine");
    fs::remove_file(&orders)?;
    write(dir.path(), 1, Format::Parquet)?;
    assert_eq!(fs::read(&notes)?, b"mine");
    write(dir.path(), 2, Format::Parquet)?;
    Ok(())
}

#[test]
fn a_failure_leaves_nothing_behind() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let specs = schema::specs()?;
    let staging = Staging::new(dir.path(), Format::Parquet, specs)?;
    let mut sheet = staging.sheet("bom")?;
    assert!(sheet.text("SKU-0001").int(3).end_row().is_err());
    drop((sheet, staging));
    assert!(bytes(dir.path())?.is_empty());
    Ok(())
}

#[test]
fn no_orders_and_too_many_are_refused() {
    for orders in [0, MOST_ORDERS + 1] {
        let options = Options { dir: "/nowhere".into(), orders, seed: 1, format: Format::Parquet };
        assert!(generate(&options).is_err_and(|e| e.to_string().contains(&orders.to_string())));
    }
}
