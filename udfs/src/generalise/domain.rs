// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The values of a quasi-identifier and the levels to which they generalise.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type};
use arrow::row::{RowConverter, SortField};
use datafusion_common::{Result, exec_err};
use siphasher::sip::SipHasher24;

use super::options::Spec;

/// What stands for any value.
pub(super) const STAR: &str = "*";

/// A text that many cells share; `None` is NULL.
pub(super) type Label = Option<Arc<str>>;

/// Values as numbers from 0 in ascending order, NULL first.
pub(super) struct Interned {
    pub(super) values: ArrayRef,
    pub(super) codes: Vec<u32>,
}

/// Numbers the values of an array.
pub(super) fn intern(array: &ArrayRef) -> Result<Interned> {
    let converter = RowConverter::new(vec![SortField::new(array.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(array))?;
    let mut known: HashMap<&[u8], u32> = HashMap::new();
    let mut first: Vec<usize> = vec![];
    let mut codes = Vec::with_capacity(array.len());
    for index in 0..rows.num_rows() {
        let next = first.len() as u32;
        let code = *known.entry(rows.row(index).data()).or_insert(next);
        if code == next {
            first.push(index);
        }
        codes.push(code);
    }
    let mut order: Vec<u32> = (0..first.len() as u32).collect();
    order.sort_unstable_by_key(|code| rows.row(first[*code as usize]));
    let mut rank = vec![0; first.len()];
    order.iter().enumerate().for_each(|(place, code)| rank[*code as usize] = place as u32);
    let sorted = order.iter().map(|code| rows.row(first[*code as usize]));
    let values = converter.convert_rows(sorted)?.swap_remove(0);
    codes.iter_mut().for_each(|code| *code = rank[*code as usize]);
    Ok(Interned { values, codes })
}

/// The rows of a hierarchy: a value and what it generalises to, level by level.
pub(super) type Hierarchy = BTreeMap<String, Vec<Arc<str>>>;

/// A quasi-identifier.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// The values, ascending, NULL first.
    pub(super) values: ArrayRef,
    pub(super) texts: Vec<Label>,
    /// The values as numbers where they are; NaN for NULL.
    pub(super) numbers: Option<Vec<f64>>,
    /// The place of each value in the order in which Mondrian cuts.
    pub(super) places: Vec<u32>,
    /// From the values themselves to the most general.
    pub(super) levels: Vec<Level>,
}

/// One level of generalisation.
#[derive(Clone, Debug)]
pub(super) struct Level {
    /// What it does, such that levels of one name give any value the same label.
    pub(super) name: String,
    /// The label of each value.
    pub(super) codes: Vec<u32>,
    pub(super) labels: Vec<Label>,
    /// What each label loses, from 0 for a single value to 1 for any value: of an interval its width over
    /// the range, of several values the others that it could be about over all others (Iyengar 2002).
    pub(super) losses: Vec<f64>,
    /// The same, but of several values their number over that of all (Xu et al. 2006).
    pub(super) shares: Vec<f64>,
    /// Each label's label on the next level.
    pub(super) up: Vec<u32>,
}

impl Column {
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(super) fn has_null(&self) -> bool {
        self.texts.first().is_some_and(Option::is_none)
    }

    /// The levels of a column's values by its generaliser.
    pub(super) fn new(
        spec: &Spec,
        values: ArrayRef,
        hierarchy: Option<&Hierarchy>,
    ) -> Result<Self> {
        let texts = texts(&values)?;
        let numbers = numbers(&values)?;
        let mut column = Self {
            name: spec.name.clone(),
            places: (0..texts.len() as u32).collect(),
            values,
            texts,
            numbers,
            levels: vec![],
        };
        let known = column.texts.len();
        column.levels.push(Level {
            name: "value".into(),
            codes: (0..known as u32).collect(),
            labels: column.texts.clone(),
            losses: vec![0.0; known],
            shares: vec![0.0; known],
            up: vec![],
        });
        match spec.generaliser.as_str() {
            "exact" => {}
            "plain" => column.add_star(),
            "width" => column.add_widths(&spec.steps)?,
            "prefix" => column.add_prefixes(&spec.steps)?,
            "date_parts" => column.add_date_parts(&spec.steps)?,
            "top" => column.add_tops(&spec.steps)?,
            "hierarchy" => column.add_hierarchy(hierarchy)?,
            other => return exec_err!("there is no generaliser '{other}'"),
        }
        column.connect()?;
        Ok(column)
    }

    fn add_star(&mut self) {
        let star: Label = Some(STAR.into());
        self.levels.push(Level {
            name: STAR.into(),
            codes: vec![0; self.len()],
            labels: vec![star; self.len().min(1)],
            losses: vec![if self.len() > 1 { 1.0 } else { 0.0 }],
            shares: vec![if self.len() > 1 { 1.0 } else { 0.0 }],
            up: vec![],
        });
    }

    /// Adds a level of labels with their losses, of labels of several values among so many; NULL becomes
    /// any value.
    fn add(
        &mut self,
        name: String,
        among: Option<usize>,
        labels: impl IntoIterator<Item = (Arc<str>, f64)>,
    ) {
        let mut labels = labels.into_iter();
        let mut level = Level {
            name,
            codes: Vec::with_capacity(self.len()),
            labels: vec![],
            losses: vec![],
            shares: vec![],
            up: vec![],
        };
        let mut known: HashMap<Arc<str>, u32> = HashMap::new();
        for text in &self.texts {
            let label = match text {
                None => Some((Arc::from(STAR), 1.0)),
                Some(_) => labels.next(),
            };
            let Some((label, loss)) = label else { break };
            let code = *known.entry(Arc::clone(&label)).or_insert_with(|| {
                level.labels.push(Some(label));
                level.losses.push(loss);
                level.labels.len() as u32 - 1
            });
            level.codes.push(code);
        }
        level.shares = match among {
            Some(all) => level.losses.iter().map(|loss| share_of_all(*loss, all)).collect(),
            None => level.losses.clone(),
        };
        self.levels.push(level);
    }

    /// The share of the other values that a label of so many values covers.
    fn share(&self, values: usize) -> f64 {
        let others = self.len() - usize::from(self.has_null());
        if others > 1 { (values.saturating_sub(1)) as f64 / (others - 1) as f64 } else { 0.0 }
    }

    /// Labels whose loss is the share of values that they cover.
    fn add_counted(&mut self, name: String, labels: Vec<Arc<str>>) {
        let mut sizes: HashMap<Arc<str>, usize> = HashMap::new();
        labels.iter().for_each(|label| *sizes.entry(Arc::clone(label)).or_default() += 1);
        let labels: Vec<(Arc<str>, f64)> = labels
            .into_iter()
            .map(|label| {
                let loss = self.share(sizes.get(&label).copied().unwrap_or(1));
                (label, loss)
            })
            .collect();
        let others = self.len() - usize::from(self.has_null());
        self.add(name, Some(others), labels);
    }

    /// Intervals of the widths, the first of which holds 0.
    fn add_widths(&mut self, steps: &[String]) -> Result<()> {
        let range = self.range();
        let mut before: Option<f64> = None;
        for step in steps {
            let width = self.number("width", step)?;
            if width <= 0.0 || !width.is_finite() {
                return exec_err!("`width({}, {step})`: a width is greater than 0", self.name);
            }
            if let Some(before) = before {
                let times = width / before;
                if times < 1.5 || (times - times.round()).abs() > 1e-9 {
                    return exec_err!(
                        "`width({}, …)`: each width is a multiple of the one before, so that intervals nest; found {width} after {before}",
                        self.name
                    );
                }
            }
            before = Some(width);
            let Some(intervals) = intervals(&self.values, step, width)? else {
                return exec_err!(
                    "`width({0}, {step})` needs numbers, and `{0}` is of type {1}; for texts write `prefix`, for dates `date_parts`",
                    self.name,
                    self.values.data_type()
                );
            };
            let loss = if range > 0.0 { (width / range).min(1.0) } else { 0.0 };
            self.add(
                format!("width({width})"),
                None,
                intervals.into_iter().map(|label| (label, loss)),
            );
        }
        self.add_star();
        Ok(())
    }

    fn range(&self) -> f64 {
        let Some(numbers) = &self.numbers else { return 0.0 };
        let known = || numbers.iter().copied().filter(|n| n.is_finite());
        known().fold(f64::MIN, f64::max) - known().fold(f64::MAX, f64::min)
    }

    fn number(&self, generaliser: &str, step: &str) -> Result<f64> {
        match step.parse() {
            Ok(number) => Ok(number),
            Err(_) => exec_err!("`{generaliser}({}, …)` takes numbers; found '{step}'", self.name),
        }
    }

    /// The first characters, and a star for the rest.
    fn add_prefixes(&mut self, steps: &[String]) -> Result<()> {
        let mut before = usize::MAX;
        for step in steps {
            let Ok(length) = step.parse::<usize>() else {
                return exec_err!(
                    "`prefix({}, …)` takes lengths from 0; found '{step}'",
                    self.name
                );
            };
            if length >= before {
                return exec_err!(
                    "`prefix({}, …)` takes lengths from the longest to the shortest; found {length} after {before}",
                    self.name
                );
            }
            before = length;
            let labels =
                self.texts.iter().flatten().map(|text| match text.char_indices().nth(length) {
                    Some((end, _)) => Arc::from(format!("{}{STAR}", &text[..end])),
                    None => Arc::clone(text),
                });
            self.add_counted(format!("prefix({length})"), labels.collect());
        }
        self.add_star();
        Ok(())
    }

    /// What is left of a date when its smaller parts are taken away.
    fn add_date_parts(&mut self, steps: &[String]) -> Result<()> {
        const PARTS: [&str; 5] = ["day", "month", "quarter", "year", "decade"];
        if !self.values.data_type().is_temporal() {
            return exec_err!(
                "`date_parts({0}, …)` needs dates, and `{0}` is of type {1}",
                self.name,
                self.values.data_type()
            );
        }
        let mut before = None;
        for step in steps {
            let Some(part) = PARTS.iter().position(|part| part == step) else {
                return exec_err!(
                    "`date_parts({}, …)` takes 'day', 'month', 'quarter', 'year' and 'decade'; found '{step}'",
                    self.name
                );
            };
            if before.is_some_and(|before| before >= part) {
                return exec_err!(
                    "`date_parts({}, …)` takes parts from the smallest to the greatest; found '{step}' after '{}'",
                    self.name,
                    PARTS[before.unwrap_or(0)]
                );
            }
            before = Some(part);
            let mut labels = vec![];
            for text in self.texts.iter().flatten() {
                let Some(label) = date_part(text, part) else {
                    return exec_err!("`date_parts({}, …)` cannot read a date", self.name);
                };
                labels.push(Arc::from(label));
            }
            self.add_counted(step.clone(), labels);
        }
        self.add_star();
        Ok(())
    }

    /// One label for all values from a threshold on.
    fn add_tops(&mut self, steps: &[String]) -> Result<()> {
        let Some(numbers) = self.numbers.clone() else {
            return exec_err!(
                "`top({0}, …)` needs numbers, and `{0}` is of type {1}",
                self.name,
                self.values.data_type()
            );
        };
        let mut before = f64::INFINITY;
        for step in steps {
            let threshold = self.number("top", step)?;
            if threshold >= before {
                return exec_err!(
                    "`top({}, …)` takes thresholds from the highest to the lowest; found {step} after {before}",
                    self.name
                );
            }
            before = threshold;
            let top: Arc<str> = format!("{step}+").into();
            let labels = self.texts.iter().zip(&numbers).filter_map(|(text, number)| {
                text.as_ref().map(|text| match *number >= threshold {
                    true => Arc::clone(&top),
                    false => Arc::clone(text),
                })
            });
            self.add_counted(format!("top({threshold})"), labels.collect());
        }
        self.add_star();
        Ok(())
    }

    /// The levels of a table; every value must be in it.
    fn add_hierarchy(&mut self, hierarchy: Option<&Hierarchy>) -> Result<()> {
        let empty = Hierarchy::new();
        let hierarchy = hierarchy.unwrap_or(&empty);
        let mut rows = vec![];
        let mut missing: Vec<&str> = vec![];
        for text in self.texts.iter().flatten() {
            match hierarchy.get(text.as_ref()) {
                Some(levels) => rows.push(levels),
                None => missing.push(text),
            }
        }
        if let Some(sample) = missing.first() {
            return exec_err!(
                "the hierarchy of `{}` lacks {} of its {} values, such as '{sample}'; give every value a row",
                self.name,
                missing.len(),
                missing.len() + rows.len()
            );
        }
        let height = hierarchy.values().map(Vec::len).max().unwrap_or(0);
        let mut added: Vec<(String, Vec<(Arc<str>, f64)>)> = vec![];
        let mut constant = false;
        for level in 0..height {
            let mut sizes: HashMap<&str, usize> = HashMap::new();
            for labels in hierarchy.values() {
                *sizes.entry(&labels[level]).or_default() += 1;
            }
            constant = sizes.len() == 1;
            let leaves = hierarchy.len();
            let loss = |label: &str| match (sizes.get(label), leaves) {
                (Some(size), 2..) => (size - 1) as f64 / (leaves - 1) as f64,
                _ => 0.0,
            };
            let table =
                hierarchy.iter().flat_map(|(value, labels)| [value, labels[level].as_ref()]);
            let name = format!("hierarchy({}) {}", level + 1, fingerprint(table));
            let labels = rows.iter().map(|r| (Arc::clone(&r[level]), loss(&r[level])));
            added.push((name, labels.collect()));
        }
        // Mondrian keeps what belongs together side by side: ordered by the most general label first.
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        let skip = usize::from(self.has_null());
        order.sort_by_key(|code| {
            let row = (*code as usize).checked_sub(skip).map(|place| rows[place]);
            (row.map(|r| r.iter().rev().cloned().collect::<Vec<_>>()), *code)
        });
        if self.numbers.is_none() {
            order.iter().enumerate().for_each(|(p, code)| self.places[*code as usize] = p as u32);
        }
        added.into_iter().for_each(|(name, labels)| self.add(name, Some(hierarchy.len()), labels));
        if !constant {
            self.add_star();
        }
        Ok(())
    }

    /// Finds each label's label on the next level, and refuses levels that do not nest.
    fn connect(&mut self) -> Result<()> {
        for level in 1..self.levels.len() {
            let (below, above) = self.levels.split_at_mut(level);
            let (below, above) = (&mut below[level - 1], &above[0]);
            let mut up = vec![u32::MAX; below.labels.len()];
            for (low, high) in below.codes.iter().zip(&above.codes) {
                let slot = &mut up[*low as usize];
                if *slot != u32::MAX && slot != high {
                    let show = |label: &Label| label.as_deref().unwrap_or("NULL").to_string();
                    return exec_err!(
                        "the levels of `{}` do not nest: '{}' of level {} is in both '{}' and '{}' of level {level}; make each level's groups of whole groups of the level before",
                        self.name,
                        show(&below.labels[*low as usize]),
                        level - 1,
                        show(&above.labels[*slot as usize]),
                        show(&above.labels[*high as usize])
                    );
                }
                *slot = *high;
            }
            below.up = up;
        }
        Ok(())
    }
}

/// The share of all values that a label covers, from the share of the others; that of one is 0.
fn share_of_all(loss: f64, all: usize) -> f64 {
    match (loss, all) {
        (0.0, _) | (_, 0 | 1) => loss,
        _ => (1.0 + loss * (all - 1) as f64) / all as f64,
    }
}

/// Sixteen digits that are the same for the same texts in the same order, from release to release.
pub(super) fn fingerprint<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hasher = SipHasher24::new();
    for text in texts {
        hasher.write(&(text.len() as u64).to_le_bytes());
        hasher.write(text.as_bytes());
    }
    format!("{:016x}", hasher.finish())
}

/// The text of each value.
pub(super) fn texts(values: &ArrayRef) -> Result<Vec<Label>> {
    let texts = arrow::compute::cast(values, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().iter().map(|text| text.map(Arc::from)).collect())
}

/// Numbers and times as floats, for distances.
fn numbers(values: &ArrayRef) -> Result<Option<Vec<f64>>> {
    let data_type = values.data_type();
    let plain = match data_type {
        DataType::Date32 => arrow::compute::cast(values, &DataType::Int32)?,
        t if t.is_temporal() => arrow::compute::cast(values, &DataType::Int64)?,
        t if t.is_numeric() => Arc::clone(values),
        _ => return Ok(None),
    };
    let floats = arrow::compute::cast(&plain, &DataType::Float64)?;
    let floats = floats.as_primitive::<Float64Type>();
    Ok(Some(floats.iter().map(|n| n.unwrap_or(f64::NAN)).collect()))
}

/// The interval of each value that is not NULL: exact for integers and decimals.
fn intervals(values: &ArrayRef, step: &str, width: f64) -> Result<Option<Vec<Arc<str>>>> {
    let data_type = values.data_type();
    if !data_type.is_numeric() {
        return Ok(None);
    }
    if !data_type.is_floating()
        && let Some((width, scale)) = decimal(step)
    {
        let (_, own) = match data_type {
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
                (*p, *s)
            }
            _ => (0, 0),
        };
        let scale = scale.max(own.max(0) as u32);
        if scale <= 18
            && let Ok(exact) = arrow::compute::cast(values, &DataType::Decimal128(38, scale as i8))
        {
            let places = scale - decimal(step).map_or(0, |(_, scale)| scale);
            let width = width * 10_i128.pow(places);
            let exact = exact.as_primitive::<Decimal128Type>();
            if exact.null_count() == values.null_count() {
                let labels = exact.iter().flatten().map(|value| {
                    let low = value.div_euclid(width) * width;
                    Arc::from(format!(
                        "[{},{})",
                        unscaled(low, scale),
                        unscaled(low + width, scale)
                    ))
                });
                return Ok(Some(labels.collect()));
            }
        }
    }
    let floats = arrow::compute::cast(values, &DataType::Float64)?;
    let labels = floats.as_primitive::<Float64Type>().iter().flatten().map(|value| {
        if !value.is_finite() {
            return Arc::from(value.to_string());
        }
        let bin = (value / width).floor();
        Arc::from(format!("[{},{})", bin * width, (bin + 1.0) * width))
    });
    Ok(Some(labels.collect()))
}

/// A decimal as an integer and the number of its decimal places.
pub(super) fn decimal(text: &str) -> Option<(i128, u32)> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part = part.trim_end_matches('0');
    let digits = format!("{whole}{part}");
    let plain =
        !digits.is_empty() && digits.len() <= 20 && digits.bytes().all(|b| b.is_ascii_digit());
    let value = plain.then(|| digits.parse::<i128>().ok())??;
    (value > 0).then_some((value, part.len() as u32))
}

/// An integer with so many decimal places, without zeros at its end.
fn unscaled(value: i128, scale: u32) -> String {
    let unit = 10_i128.pow(scale);
    let (sign, size) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    let (whole, part) = (size / unit as u128, size % unit as u128);
    if part == 0 {
        return format!("{sign}{whole}");
    }
    let part = format!("{part:0width$}", width = scale as usize);
    format!("{sign}{whole}.{}", part.trim_end_matches('0'))
}

/// A date's text as arrow writes it, cut after a part.
fn date_part(text: &str, part: usize) -> Option<String> {
    let day = text.get(..text.find('T').unwrap_or(text.len()))?;
    let end = day.rfind('-')?;
    let month = day.get(..end)?;
    let middle = month.rfind('-')?;
    let year = day.get(..middle)?;
    Some(match part {
        0 => day.to_string(),
        1 => month.to_string(),
        2 => format!("{year}-Q{}", month.get(middle + 1..)?.parse::<u32>().ok()?.div_ceil(3)),
        3 => year.to_string(),
        _ => format!("{}s", year.parse::<i64>().ok()?.div_euclid(10) * 10),
    })
}
