// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The ends of an interval as numbers or times, beside its label.

use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion_common::Result;

use super::domain::{Label, STAR, decimal};
use super::options::{Method, Spec};

/// The type of the ends of a column's labels; `None` where its labels are no intervals.
pub(crate) fn bounds_type(spec: &Spec, method: Method, values: &DataType) -> Option<DataType> {
    let is_own = matches!(spec.generaliser.as_str(), "plain" | "exact" | "width" | "top");
    if !is_own && method != Method::Mondrian {
        return None;
    }
    let own_scale = match values {
        t if t.is_floating() => return Some(DataType::Float64),
        t if t.is_temporal() => return Some(values.clone()),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => (*scale).max(0),
        t if t.is_integer() => 0,
        _ => return None,
    };
    let mut widest = u32::from(own_scale.unsigned_abs());
    for step in spec.steps.iter().filter(|_| spec.generaliser == "width") {
        match decimal(step) {
            Some((_, scale)) => widest = widest.max(scale),
            // Such a width is reckoned with in floats.
            None => return Some(DataType::Float64),
        }
    }
    match widest {
        0..=18 => Some(DataType::Decimal128(38, widest as i8)),
        _ => Some(DataType::Float64),
    }
}

/// The lower and the upper end of each label. The label of one value has it twice; what has no end is
/// NULL, and so are both ends of a star.
pub(super) fn bounds(labels: &[Label], data_type: &DataType) -> Result<[ArrayRef; 2]> {
    let ends = labels.iter().map(|label| label.as_deref().map_or((None, None), ends));
    let (lower, upper): (Vec<_>, Vec<_>) = ends.unzip();
    let read = |texts: Vec<Option<&str>>| cast(&StringArray::from(texts), data_type);
    Ok([read(lower)?, read(upper)?])
}

fn ends(label: &str) -> (Option<&str>, Option<&str>) {
    let interval = label.strip_prefix('[').and_then(|rest| rest.strip_suffix([')', ']']));
    match (interval, label.strip_suffix('+')) {
        _ if label == STAR => (None, None),
        (Some(interval), _) => {
            interval.split_once(',').map_or((None, None), |(low, high)| (Some(low), Some(high)))
        }
        (None, Some(threshold)) => (Some(threshold), None),
        (None, None) => (Some(label), Some(label)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Date32Type, Decimal128Type, Float64Type};

    use super::*;

    fn spec(generaliser: &str, steps: &[&str]) -> Spec {
        Spec {
            name: "a".into(),
            generaliser: generaliser.into(),
            steps: steps.iter().map(|step| (*step).into()).collect(),
        }
    }

    #[test]
    fn the_type_holds_every_end() {
        let of = |generaliser, steps: &[&str], values: &DataType| {
            bounds_type(&spec(generaliser, steps), Method::Optimal, values)
        };
        let money = DataType::Decimal128(18, 4);
        assert_eq!(of("width", &["5", "10"], &DataType::Int8), Some(DataType::Decimal128(38, 0)));
        assert_eq!(of("width", &["2.5"], &DataType::Int64), Some(DataType::Decimal128(38, 1)));
        assert_eq!(of("width", &["50"], &money), Some(DataType::Decimal128(38, 4)));
        assert_eq!(of("top", &["50"], &DataType::Float32), Some(DataType::Float64));
        assert_eq!(of("plain", &[], &DataType::Date32), Some(DataType::Date32));
        assert_eq!(of("date_parts", &["month"], &DataType::Date32), None);
        assert_eq!(of("hierarchy", &[], &DataType::Int64), None);
        assert_eq!(of("plain", &[], &DataType::Utf8), None);
        let boxes = bounds_type(&spec("hierarchy", &[]), Method::Mondrian, &DataType::Int64);
        assert_eq!(boxes, Some(DataType::Decimal128(38, 0)));
    }

    #[test]
    fn labels_are_read_back() -> Result<()> {
        let labels = ["[-5,0)", "[21,24]", "34+", "*", "27"].map(|l| Some(l.into()));
        let labels: Vec<Label> = labels.into_iter().chain([None]).collect();
        let [lower, upper] = bounds(&labels, &DataType::Decimal128(38, 0))?;
        let whole = |array: &ArrayRef| -> Vec<Option<i128>> {
            array.as_primitive::<Decimal128Type>().iter().collect()
        };
        assert_eq!(whole(&lower), [Some(-5), Some(21), Some(34), None, Some(27), None]);
        assert_eq!(whole(&upper), [Some(0), Some(24), None, None, Some(27), None]);

        let labels: Vec<Label> = vec![Some("[2000-06-01,2013-01-05]".into())];
        let [lower, upper] = bounds(&labels, &DataType::Date32)?;
        let (lower, upper) =
            (lower.as_primitive::<Date32Type>(), upper.as_primitive::<Date32Type>());
        assert_eq!(upper.value(0) - lower.value(0), 4601);

        let labels: Vec<Label> = vec![Some("[-0.000001,1000000)".into()), Some("inf".into())];
        let [lower, upper] = bounds(&labels, &DataType::Float64)?;
        assert_eq!(lower.as_primitive::<Float64Type>().value(0), -1e-6);
        assert_eq!(upper.as_primitive::<Float64Type>().value(0), 1e6);
        assert_eq!(lower.null_count(), 0);
        Ok(())
    }
}
