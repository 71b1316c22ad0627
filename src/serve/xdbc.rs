// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! The types of columns, as ODBC and JDBC know them. Power BI reads no table of a server that does not list its types.

use std::sync::LazyLock;

use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType as T, XdbcDatetimeSubcode};
use tonic::Status;

/// A type: its name, ODBC's number, how wide, the base of its digits, and what stands around a value.
struct Type(&'static str, T, Option<i32>, Option<i32>, Option<(&'static str, &'static str)>);

/// Every name that [`super::wire::type_name`] gives.
const TYPES: &[Type] = &[
    Type("BOOLEAN", T::XdbcBit, Some(1), None, None),
    Type("TINYINT", T::XdbcTinyint, Some(3), Some(10), None),
    Type("TINYINT UNSIGNED", T::XdbcSmallint, Some(3), Some(10), None),
    Type("SMALLINT", T::XdbcSmallint, Some(5), Some(10), None),
    Type("SMALLINT UNSIGNED", T::XdbcInteger, Some(5), Some(10), None),
    Type("INTEGER", T::XdbcInteger, Some(10), Some(10), None),
    Type("INTEGER UNSIGNED", T::XdbcBigint, Some(10), Some(10), None),
    Type("BIGINT", T::XdbcBigint, Some(19), Some(10), None),
    Type("BIGINT UNSIGNED", T::XdbcDecimal, Some(20), Some(10), None),
    Type("REAL", T::XdbcReal, Some(24), Some(2), None),
    Type("DOUBLE", T::XdbcDouble, Some(53), Some(2), None),
    Type("DECIMAL", T::XdbcDecimal, Some(38), Some(10), None),
    Type("VARCHAR", T::XdbcVarchar, Some(i32::MAX), None, Some(("'", "'"))),
    Type("VARBINARY", T::XdbcVarbinary, Some(i32::MAX), None, Some(("X'", "'"))),
    Type("DATE", T::XdbcDate, Some(10), None, Some(("DATE '", "'"))),
    Type("TIME", T::XdbcTime, Some(18), None, Some(("TIME '", "'"))),
    Type("TIMESTAMP", T::XdbcTimestamp, Some(29), None, Some(("TIMESTAMP '", "'"))),
    Type(
        "TIMESTAMP WITH TIME ZONE",
        T::XdbcTimestamp,
        Some(35),
        None,
        Some(("TIMESTAMPTZ '", "'")),
    ),
    Type("INTERVAL", T::XdbcInterval, Some(64), None, Some(("INTERVAL '", "'"))),
    Type("ARRAY", T::XdbcVarchar, None, None, None),
    Type("STRUCT", T::XdbcVarchar, None, None, None),
    Type("MAP", T::XdbcVarchar, None, None, None),
    Type("UNION", T::XdbcVarchar, None, None, None),
    Type("NULL", T::XdbcUnknownType, None, None, None),
];

static INFO: LazyLock<Option<XdbcTypeInfoData>> = LazyLock::new(|| {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    TYPES.iter().for_each(|t| builder.append(info(t)));
    builder.build().ok()
});

/// The list.
pub(super) fn types() -> Result<&'static XdbcTypeInfoData, Status> {
    INFO.as_ref().ok_or_else(|| Status::internal("the list of types cannot be built"))
}

fn info(Type(name, data_type, size, radix, literal): &Type) -> XdbcTypeInfo {
    let decimal = *name == "DECIMAL";
    XdbcTypeInfo {
        type_name: (*name).to_string(),
        data_type: *data_type,
        column_size: *size,
        literal_prefix: literal.map(|(before, _)| before.to_string()),
        literal_suffix: literal.map(|(_, after)| after.to_string()),
        create_params: decimal.then(|| vec!["precision".to_string(), "scale".to_string()]),
        nullable: Nullable::NullabilityNullable,
        case_sensitive: *name == "VARCHAR",
        searchable: Searchable::Full,
        unsigned_attribute: radix.map(|_| name.ends_with("UNSIGNED")),
        fixed_prec_scale: false,
        auto_increment: radix.map(|_| false),
        local_type_name: Some((*name).to_string()),
        minimum_scale: decimal.then_some(0),
        maximum_scale: decimal.then_some(38),
        sql_data_type: match data_type {
            T::XdbcDate | T::XdbcTime | T::XdbcTimestamp => T::XdbcDatetime,
            other => *other,
        },
        // ODBC numbers the date 1, which the protocol calls a year.
        datetime_subcode: match data_type {
            T::XdbcDate => Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
            T::XdbcTime => Some(XdbcDatetimeSubcode::XdbcSubcodeTime),
            T::XdbcTimestamp => Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
            _ => None,
        },
        num_prec_radix: *radix,
        interval_precision: None,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

    use super::*;
    use crate::serve::wire::type_name;

    #[test]
    fn every_type_that_a_column_can_have_is_listed() {
        let list = Field::new("item", DataType::Utf8, true);
        for data_type in [
            DataType::Null,
            DataType::Boolean,
            DataType::Int8,
            DataType::UInt64,
            DataType::Float32,
            DataType::Decimal128(18, 4),
            DataType::Utf8View,
            DataType::Binary,
            DataType::Date32,
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::List(list.clone().into()),
            DataType::Struct(vec![list].into()),
        ] {
            let name = type_name(&data_type);
            assert!(TYPES.iter().any(|t| t.0 == name), "{name}");
        }
        assert_eq!(
            types().expect("builds").record_batch(None).expect("a batch").num_rows(),
            TYPES.len()
        );
    }
}
