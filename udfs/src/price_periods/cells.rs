// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What one sku sold in each period, added up exactly.
//!
//! Sums are integers of 128 bits, in multiples of 2⁻⁶⁴: each term is rounded to one by itself, whatever else there is,
//! so that the sums do not depend on the order of the rows. That is some 20 decimals, and terms up to 4e18.

use datafusion_common::{Result, exec_datafusion_err, exec_err};

use super::NAME;

/// One period of one sku: 64 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    /// The number of the period, or the day of the row; [`NO_DAY`] for a row without one.
    pub(super) period: i32,
    pub(super) promo: bool,
    pub(super) out_of_stock: bool,
    /// Rows that offer a price at which nothing was sold.
    pub(super) offers: u32,
    /// The sum of their prices.
    pub(super) offered: i128,
    pub(super) quantity: i128,
    /// The sum of quantity · price.
    pub(super) amount: i128,
}

pub(super) const NO_DAY: i32 = i32::MIN;

const UNITS: f64 = 18_446_744_073_709_551_616.0; // 2⁶⁴

impl Cell {
    /// The number of bytes that [`Cell::write`] appends.
    pub(super) const WIDTH: usize = 4 + 1 + 4 + 3 * 16;

    /// A row; a negative quantity is a return and a price that is not positive a gift: neither is a sale.
    pub(super) fn new(period: i32, quantity: f64, price: f64, marks: (bool, bool)) -> Result<Self> {
        let mut cell = Self { period, promo: marks.0, out_of_stock: marks.1, ..Self::default() };
        if price > 0.0 && price < f64::INFINITY {
            if quantity == 0.0 {
                (cell.offers, cell.offered) = (1, units(price)?);
            } else if quantity > 0.0 && quantity < f64::INFINITY {
                (cell.quantity, cell.amount) = (units(quantity)?, units(quantity * price)?);
            }
        }
        Ok(cell)
    }

    /// Whether it says nothing at all.
    pub(super) fn is_empty(&self) -> bool {
        self.quantity == 0 && self.offers == 0 && !self.promo && !self.out_of_stock
    }

    pub(super) fn add(&mut self, other: &Self) -> Result<()> {
        let sum = |a: i128, b: i128| {
            a.checked_add(b).ok_or_else(|| exec_datafusion_err!("`{NAME}`: the sum is too large"))
        };
        self.promo |= other.promo;
        self.out_of_stock |= other.out_of_stock;
        self.offers = self.offers.saturating_add(other.offers);
        self.offered = sum(self.offered, other.offered)?;
        self.quantity = sum(self.quantity, other.quantity)?;
        self.amount = sum(self.amount, other.amount)?;
        Ok(())
    }

    pub(super) fn quantity(&self) -> f64 {
        self.quantity as f64 / UNITS
    }

    /// The mean price by quantity; where nothing was sold, the mean of what was offered.
    pub(super) fn price(&self) -> Option<f64> {
        if self.quantity > 0 && self.amount > 0 {
            Some(self.amount as f64 / self.quantity as f64)
        } else if self.offers > 0 && self.offered > 0 {
            Some(self.offered as f64 / UNITS / f64::from(self.offers))
        } else {
            None
        }
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.period.to_le_bytes());
        bytes.push(u8::from(self.promo) | u8::from(self.out_of_stock) << 1);
        bytes.extend_from_slice(&self.offers.to_le_bytes());
        for sum in [self.offered, self.quantity, self.amount] {
            bytes.extend_from_slice(&sum.to_le_bytes());
        }
    }

    /// Reads what [`Cell::write`] wrote, and leaves the rest.
    pub(super) fn read(bytes: &mut &[u8]) -> Result<Self> {
        fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
            let Some((first, rest)) = bytes.split_first_chunk() else {
                return exec_err!("`{NAME}`: the state is malformed");
            };
            *bytes = rest;
            Ok(*first)
        }
        let period = i32::from_le_bytes(take(bytes)?);
        let [marks] = take(bytes)?;
        Ok(Self {
            period,
            promo: marks & 1 != 0,
            out_of_stock: marks & 2 != 0,
            offers: u32::from_le_bytes(take(bytes)?),
            offered: i128::from_le_bytes(take(bytes)?),
            quantity: i128::from_le_bytes(take(bytes)?),
            amount: i128::from_le_bytes(take(bytes)?),
        })
    }
}

fn units(value: f64) -> Result<i128> {
    let scaled = value * UNITS;
    if scaled < 8e37 {
        return Ok(scaled.round_ties_even() as i128);
    }
    exec_err!(
        "`{NAME}`: {value} is too large for a quantity, a price or their product (up to 4e18)"
    )
}

/// Puts a cell among those of its sku, which are in order of their periods and, with a day, one a period.
pub(super) fn put(cells: &mut Vec<Cell>, cell: &Cell) -> Result<()> {
    if cell.period == NO_DAY {
        // A row without a day is a period by itself; these come first.
        let at = cells.partition_point(|c| c.period == NO_DAY);
        cells.insert(at, *cell);
        return Ok(());
    }
    // Rows come in the order of time, mostly.
    match cells.last_mut() {
        Some(last) if last.period == cell.period => last.add(cell),
        Some(last) if last.period > cell.period => {
            match cells.binary_search_by_key(&cell.period, |c| c.period) {
                Ok(at) => cells[at].add(cell),
                Err(at) => {
                    cells.insert(at, *cell);
                    Ok(())
                }
            }
        }
        _ => {
            cells.push(*cell);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_sale_an_offer_or_nothing() -> Result<()> {
        let none = (false, false);
        let sale = Cell::new(3, 2.0, 1e-6, none)?;
        assert!((sale.price().unwrap_or(0.0) / 1e-6 - 1.0).abs() < 1e-12);
        assert_eq!(sale.quantity(), 2.0);
        assert_eq!(Cell::new(3, 0.0, 7.5, none)?.price(), Some(7.5));
        for (quantity, price) in [
            (-1.0, 5.0),
            (2.0, 0.0),
            (2.0, -1.0),
            (f64::NAN, 1.0),
            (1.0, f64::NAN),
            (f64::INFINITY, 1.0),
        ] {
            assert!(Cell::new(3, quantity, price, none)?.is_empty(), "{quantity} {price}");
        }
        assert!(!Cell::new(3, f64::NAN, f64::NAN, (true, false))?.is_empty());
        let error = Cell::new(3, 1e12, 1e9, none).err().map(|e| e.strip_backtrace());
        assert!(error.unwrap_or_default().contains("too large"));
        Ok(())
    }

    #[test]
    fn cells_come_in_any_order_and_survive_the_state() -> Result<()> {
        let rows = [(5, 1.0, 10.0), (3, 2.0, 9.0), (5, 3.0, 8.0), (4, 0.0, 9.5), (3, 0.1, 0.3)];
        let mut expected: Vec<Cell> = vec![];
        for (period, quantity, price) in rows {
            put(&mut expected, &Cell::new(period, quantity, price, (period == 4, false))?)?;
        }
        assert!(expected.is_sorted_by_key(|c| c.period) && expected.len() == 3);
        assert_eq!(expected[2].price(), Some(8.5));
        let mut backwards: Vec<Cell> = vec![];
        for (period, quantity, price) in rows.iter().rev() {
            put(&mut backwards, &Cell::new(*period, *quantity, *price, (*period == 4, false))?)?;
        }
        assert_eq!(backwards, expected);
        let mut bytes = vec![];
        expected.iter().for_each(|cell| cell.write(&mut bytes));
        assert_eq!(bytes.len(), 3 * Cell::WIDTH);
        let mut rest = bytes.as_slice();
        for cell in &expected {
            assert_eq!(Cell::read(&mut rest)?, *cell);
        }
        assert!(Cell::read(&mut rest).is_err());
        Ok(())
    }
}
