// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What is asked of [`super::Generalise`], read from its first argument.

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion_common::{Result, ScalarValue, plan_err};

use super::NAME;

/// The first argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// The least number of persons in a class.
    pub(crate) k: u64,
    /// The least diversity of a class, of which kind.
    pub(crate) l: Option<f64>,
    pub(crate) l_kind: Diversity,
    /// The factor of recursive diversity.
    pub(crate) c: f64,
    /// The greatest distance of a class from the whole, of which kind.
    pub(crate) t: Option<f64>,
    pub(crate) t_distance: Distance,
    /// The greatest share of rows that may be left out.
    pub(crate) max_suppressed: f64,
    pub(crate) method: Method,
    pub(crate) metric: Metric,
    /// Whether rows left out are published with stars.
    pub(crate) star: bool,
    /// What earlier releases of the source are for.
    pub(crate) releases: Releases,
    /// Whether there are people among whom somebody would have to search.
    pub(crate) population: bool,
    /// The columns whose labels are told as numbers or times too, by their place, and as which type.
    pub(crate) bounds: Vec<(usize, DataType)>,
    pub(crate) quasi: Vec<Spec>,
    pub(crate) sensitive: Vec<Spec>,
}

/// A column and how it is generalised.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) generaliser: String,
    pub(crate) steps: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Diversity {
    Distinct,
    Entropy,
    Recursive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distance {
    Equal,
    Ordered,
    Hierarchical,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// Every combination of levels is tried.
    Optimal,
    /// From the top of the lattice downwards, the best step each time.
    TopDown,
    /// Boxes cut in two for as long as the halves may be published.
    Mondrian,
    /// Nothing is generalised: the table is measured as it is.
    Measure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    Discernibility,
    Entropy,
    /// The mean share of all values that labels cover.
    Gcp,
    /// The mean of the losses of the columns.
    Loss,
    /// Their geometric mean, each plus 1.
    LossGeometric,
    /// The greatest of them; where two are equal, the next.
    LossRank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Releases {
    Ignore,
    /// Those with other labels are counted.
    Compare,
    /// Other labels than theirs are an error.
    Refuse,
}

/// The word of what no analyst asks for by name.
const UNLISTED: &str = "measure";

/// The words of a choice, and what they mean.
macro_rules! words {
    ($type:ident, $($word:literal => $value:ident),+) => {
        impl $type {
            pub(crate) const WORDS: &[(&str, Self)] = &[$(($word, Self::$value)),+];

            pub(crate) fn word(self) -> &'static str {
                let known = Self::WORDS.iter().find(|(_, value)| *value == self);
                known.map_or(UNLISTED, |(word, _)| word)
            }
        }
    };
}
words!(Diversity, "distinct" => Distinct, "entropy" => Entropy, "recursive" => Recursive);
words!(Distance, "equal" => Equal, "ordered" => Ordered, "hierarchical" => Hierarchical);
words!(Method, "optimal" => Optimal, "topdown" => TopDown, "mondrian" => Mondrian);
words!(Releases, "ignore" => Ignore, "compare" => Compare, "refuse" => Refuse);
words!(Metric, "discernibility" => Discernibility, "entropy" => Entropy, "gcp" => Gcp,
    "loss" => Loss, "loss_geometric" => LossGeometric, "loss_rank" => LossRank);

/// The value of a word, or an error that lists the words.
fn word<T: Copy + PartialEq>(name: &str, found: &str, words: &[(&str, T)]) -> Result<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == found) {
        return Ok(*value);
    }
    let all: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
    plan_err!("`{name}` is one of {}; found '{found}'", all.join(", "))
}

impl Default for Options {
    fn default() -> Self {
        Self {
            k: 1,
            l: None,
            l_kind: Diversity::Distinct,
            c: 1.0,
            t: None,
            t_distance: Distance::Equal,
            max_suppressed: 0.0,
            method: Method::Optimal,
            metric: Metric::Discernibility,
            star: false,
            releases: Releases::Ignore,
            population: false,
            bounds: vec![],
            quasi: vec![],
            sensitive: vec![],
        }
    }
}

impl Options {
    /// Reads a struct; fields that it does not have keep their defaults.
    pub(crate) fn read(value: &ScalarValue) -> Result<Self> {
        let ScalarValue::Struct(array) = value else {
            return plan_err!("`{NAME}`: argument `options` must be a struct, found {value}");
        };
        let mut options = Self::default();
        for (field, column) in array.fields().iter().zip(array.columns()) {
            let value = ScalarValue::try_from_array(column, 0)?;
            options.set(field.name(), value)?;
        }
        options.check()?;
        Ok(options)
    }

    /// Sets one field; a NULL keeps the default.
    pub(crate) fn set(&mut self, name: &str, value: ScalarValue) -> Result<()> {
        match name {
            "quasi" => self.quasi = specs(name, &value)?,
            "sensitive" => self.sensitive = specs(name, &value)?,
            "bounds" => self.bounds = bounds(&value.data_type())?,
            _ if value.is_null() => {}
            "k" => match number(name, &value)? {
                k if k >= 1.0 && k.fract() == 0.0 => self.k = k as u64,
                k => return plan_err!("`k` is a whole number from 1; found {k}"),
            },
            "l" => self.l = Some(number(name, &value)?),
            "c" => self.c = number(name, &value)?,
            "t" => self.t = Some(number(name, &value)?),
            "max_suppressed" => self.max_suppressed = number(name, &value)?,
            "l_kind" => self.l_kind = word(name, &text(&value), Diversity::WORDS)?,
            "t_distance" => self.t_distance = word(name, &text(&value), Distance::WORDS)?,
            "method" if text(&value) == UNLISTED => self.method = Method::Measure,
            "method" => self.method = word(name, &text(&value), Method::WORDS)?,
            "metric" => self.metric = word(name, &text(&value), Metric::WORDS)?,
            "suppress" => {
                self.star = word(name, &text(&value), &[("drop", false), ("star", true)])?;
            }
            "releases" => self.releases = word(name, &text(&value), Releases::WORDS)?,
            "population" => self.population = value == ScalarValue::Boolean(Some(true)),
            _ => return plan_err!("`{NAME}`: `options` has no field `{name}`"),
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let between = |name: &str, value: f64, low: f64, high: f64| match value {
            v if (low..=high).contains(&v) => Ok(()),
            v => plan_err!("`{name}` is between {low} and {high}; found {v}"),
        };
        between("max_suppressed", self.max_suppressed, 0.0, 1.0)?;
        if let Some(l) = self.l {
            between("l", l, 1.0, 1e9)?;
            if l.fract() != 0.0 && self.l_kind != Diversity::Entropy {
                return plan_err!("`l` is a whole number unless `l_kind => 'entropy'`; found {l}");
            }
        }
        if let Some(t) = self.t {
            between("t", t, 0.0, 1.0)?;
        }
        between("c", self.c, f64::MIN_POSITIVE, 1e18)?;
        if self.quasi.is_empty() {
            return plan_err!("`{NAME}`: `options` names no quasi-identifier");
        }
        if self.sensitive.is_empty() && (self.l.is_some() || self.t.is_some()) {
            let which = if self.l.is_some() { "l" } else { "t" };
            return plan_err!(
                "`{which}` is about sensitive columns, and there is none: write `sensitive => [column]`"
            );
        }
        if self.t_distance == Distance::Hierarchical && self.t.is_some() {
            let without = self.sensitive.iter().find(|column| column.generaliser != "hierarchy");
            if let Some(column) = without {
                return plan_err!(
                    "`t_distance => 'hierarchical'` needs a hierarchy of `{0}`: write `sensitive => [hierarchy({0}, table)]`",
                    column.name
                );
            }
        }
        Ok(())
    }

    /// The struct that [`Self::read`] reads.
    pub(crate) fn literal(&self) -> Result<ScalarValue> {
        let mut fields: Vec<(Field, ScalarValue)> = vec![];
        let mut add = |name: &str, value: ScalarValue| {
            fields.push((Field::new(name, value.data_type(), true), value));
        };
        add("k", ScalarValue::UInt64(Some(self.k)));
        add("l", ScalarValue::Float64(self.l));
        add("l_kind", ScalarValue::from(self.l_kind.word()));
        add("c", ScalarValue::Float64(Some(self.c)));
        add("t", ScalarValue::Float64(self.t));
        add("t_distance", ScalarValue::from(self.t_distance.word()));
        add("max_suppressed", ScalarValue::Float64(Some(self.max_suppressed)));
        add("method", ScalarValue::from(self.method.word()));
        add("metric", ScalarValue::from(self.metric.word()));
        add("suppress", ScalarValue::from(if self.star { "star" } else { "drop" }));
        add("releases", ScalarValue::from(self.releases.word()));
        add("population", ScalarValue::Boolean(Some(self.population)));
        add("bounds", bounds_literal(&self.bounds)?);
        add("quasi", spec_literal(&self.quasi)?);
        add("sensitive", spec_literal(&self.sensitive)?);
        structure(fields)
    }

    /// The l that recursive diversity is measured with: the one asked for, or 2.
    pub(crate) fn recursive_l(&self) -> usize {
        self.l.map_or(2, |l| l as usize)
    }
}

/// How many columns a field of the options names, which its type alone says.
pub(super) fn named_columns(options: &DataType, field: &str) -> Result<usize> {
    Ok(columns_of(options, field)?.map_or(0, |columns| columns.len()))
}

/// The columns whose bounds are asked for, and their types, which the type of the options alone says.
pub(super) fn bounds_of(options: &DataType) -> Result<Vec<(usize, DataType)>> {
    let columns = columns_of(options, "bounds")?;
    columns.map_or_else(|| Ok(vec![]), |columns| bounds(&DataType::Struct(columns.clone())))
}

fn columns_of<'a>(options: &'a DataType, field: &str) -> Result<Option<&'a Fields>> {
    let DataType::Struct(fields) = options else {
        return plan_err!("`{NAME}`: argument `options` must be a struct, found {options}");
    };
    match fields.iter().find(|f| f.name() == field).map(|f| f.data_type()) {
        None | Some(DataType::Null) => Ok(None),
        Some(DataType::Struct(columns)) => Ok(Some(columns)),
        Some(other) => plan_err!("`{NAME}`: `{field}` must be a struct, found {other}"),
    }
}

/// A struct with a NULL of the type for each column, under its place.
fn bounds_literal(bounds: &[(usize, DataType)]) -> Result<ScalarValue> {
    let null = |(index, data_type): &(usize, DataType)| {
        let field = Field::new(index.to_string(), data_type.clone(), true);
        Ok((field, ScalarValue::try_from(data_type)?))
    };
    structure(bounds.iter().map(null).collect::<Result<_>>()?)
}

fn bounds(data_type: &DataType) -> Result<Vec<(usize, DataType)>> {
    let DataType::Struct(columns) = data_type else { return Ok(vec![]) };
    let bound = |field: &FieldRef| match field.name().parse() {
        Ok(index) => Ok((index, field.data_type().clone())),
        Err(_) => {
            plan_err!("`{NAME}`: `bounds` names columns by their place; found `{}`", field.name())
        }
    };
    columns.iter().map(bound).collect()
}

fn structure(fields: Vec<(Field, ScalarValue)>) -> Result<ScalarValue> {
    let columns = fields.iter().map(|(_, v)| v.to_array()).collect::<Result<Vec<_>>>()?;
    let fields: Fields = fields.into_iter().map(|(field, _)| field).collect();
    let array = StructArray::try_new_with_length(fields, columns, None, 1)?;
    Ok(ScalarValue::Struct(array.into()))
}

fn spec_literal(specs: &[Spec]) -> Result<ScalarValue> {
    let fields = specs.iter().map(|spec| {
        let words: Vec<ScalarValue> = std::iter::once(&spec.generaliser)
            .chain(&spec.steps)
            .map(|word| ScalarValue::from(word.as_str()))
            .collect();
        let list = ScalarValue::List(ScalarValue::new_list_nullable(&words, &DataType::Utf8));
        (Field::new(&spec.name, list.data_type(), true), list)
    });
    structure(fields.collect())
}

fn specs(name: &str, value: &ScalarValue) -> Result<Vec<Spec>> {
    let wrong = || {
        plan_err!(
            "`{NAME}`: `{name}` must be a struct with a list of texts for each column, found {value}"
        )
    };
    let ScalarValue::Struct(array) = value else {
        return if value.is_null() { Ok(vec![]) } else { wrong() };
    };
    let mut specs = vec![];
    for (field, column) in array.fields().iter().zip(array.columns()) {
        let Some(list) = column.as_list_opt::<i32>().filter(|l| l.is_valid(0)) else {
            return wrong();
        };
        let words = arrow::compute::cast(&list.value(0), &DataType::Utf8)?;
        let mut words = words.as_string::<i32>().iter().flatten().map(String::from);
        let Some(generaliser) = words.next() else { return wrong() };
        specs.push(Spec { name: field.name().clone(), generaliser, steps: words.collect() });
    }
    Ok(specs)
}

fn number(name: &str, value: &ScalarValue) -> Result<f64> {
    match value.cast_to(&DataType::Float64) {
        Ok(ScalarValue::Float64(Some(number))) => Ok(number),
        _ => plan_err!("`{name}` must be a number, found {value}"),
    }
}

fn text(value: &ScalarValue) -> String {
    value.try_as_str().flatten().map_or_else(|| value.to_string(), String::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_survive_a_round_trip() -> Result<()> {
        let spec = |name: &str, words: &[&str]| Spec {
            name: name.into(),
            generaliser: words[0].into(),
            steps: words[1..].iter().map(|w| (*w).into()).collect(),
        };
        let options = Options {
            k: 5,
            l: Some(2.5),
            l_kind: Diversity::Entropy,
            t: Some(0.3),
            max_suppressed: 0.02,
            star: true,
            releases: Releases::Refuse,
            population: true,
            bounds: vec![(0, DataType::Decimal128(38, 2))],
            quasi: vec![spec("age", &["width", "5", "10"]), spec("sex", &["plain"])],
            sensitive: vec![spec("job", &["plain"])],
            ..Options::default()
        };
        let literal = options.literal()?;
        assert_eq!(Options::read(&literal)?, options);
        assert_eq!(named_columns(&literal.data_type(), "quasi")?, 2);
        assert_eq!(named_columns(&literal.data_type(), "sensitive")?, 1);
        assert_eq!(bounds_of(&literal.data_type())?, options.bounds);
        Ok(())
    }
}
