// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Columns of text → typed columns, as a projection over the scan.
//!
//! The engine's CSV reader knows no NULL but the empty field, no decimal comma and no date but `2024-12-31`. So such
//! columns are read as text, and a view over the scan turns them into what they are. A view is a logical plan: filters
//! and projections go through it, and it can be sent to another process.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::cast::as_string_array;
use datafusion::common::utils::take_function_args;
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue};
use datafusion::datasource::ViewTable;
use datafusion::functions::expr_fn::{btrim, regexp_like, replace, to_date, to_timestamp_micros};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TableProviderFilterPushDown, TableType, Volatility, cast, in_list, lit, when,
};
use datafusion::physical_plan::ExecutionPlan;

use super::kind::{COMMA_NUMBER, Reading};
use crate::error::Result;

/// A view that is a table to the user: `DROP TABLE` and `SHOW TABLES` need not know how its columns are read.
#[derive(Debug)]
pub(super) struct TypedTable {
    view: ViewTable,
}

impl TypedTable {
    pub(super) fn new(plan: LogicalPlan, definition: Option<String>) -> Self {
        Self { view: ViewTable::new(plan, definition) }
    }

    pub(super) fn plan(&self) -> &LogicalPlan {
        self.view.logical_plan()
    }
}

#[async_trait]
impl TableProvider for TypedTable {
    fn schema(&self) -> SchemaRef {
        self.view.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// The planner puts this plan in the table's place, so nothing of ours is left in a query.
    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.view.get_logical_plan()
    }

    fn get_table_definition(&self) -> Option<&str> {
        self.view.get_table_definition()
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        self.view.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        self.view.scan(state, projection, filters, limit).await
    }
}

/// Whether the engine's CSV reader cannot give this column as it is meant.
pub(super) fn needs_view(data_type: &DataType, by_format: bool, reading: &Reading) -> bool {
    reading.touches_all()
        || by_format
        || (reading.decimal_comma && data_type.is_numeric())
        || !parsed_by_reader(data_type)
}

/// The projection that gives `schema` from a scan whose columns in need are text: some of the first `texts`, and those that
/// `folders` names, with whether one of their folders means NULL.
pub(super) fn projection(
    scan: &DFSchema,
    schema: &Schema,
    by_format: &[String],
    reading: &Reading,
    texts: usize,
    folders: &[(&str, bool)],
) -> Result<Vec<Expr>> {
    let mut all = vec![];
    for (i, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        let (qualifier, _) = scan.qualified_field_with_unqualified_name(name)?;
        let column = Expr::Column(Column::new(qualifier.cloned(), name));
        let formatted = by_format.contains(name);
        let expr = if i < texts && needs_view(field.data_type(), formatted, reading) {
            typed(column, field.data_type(), formatted, reading, scan)?
        } else if let Some((_, nulls)) = folders.iter().find(|(key, _)| key == name) {
            cast(ScalarUDF::from(Folder::new(*nulls)).call(vec![column]), field.data_type().clone())
        } else {
            column
        };
        all.push(match qualifier {
            Some(qualifier) => expr.alias_qualified(Some(qualifier.clone()), name),
            None => expr.alias(name),
        });
    }
    Ok(all)
}

fn typed(
    mut text: Expr,
    data_type: &DataType,
    by_format: bool,
    reading: &Reading,
    scan: &DFSchema,
) -> Result<Expr> {
    let mut nulls = reading.nulls.clone();
    if reading.trim {
        text = btrim(vec![text]);
        nulls.push(String::new());
    }
    if !nulls.is_empty() {
        let words = nulls.into_iter().map(lit).collect();
        text = when(in_list(text.clone(), words, false), lit(ScalarValue::Utf8(None)))
            .otherwise(text)?;
    }
    if by_format {
        return Ok(match (data_type, &reading.date_format, &reading.timestamp_format) {
            (DataType::Date32, Some(format), _) => to_date(vec![text, lit(format)]),
            (DataType::Timestamp(..), _, Some(format)) => {
                cast(to_timestamp_micros(vec![text, lit(format)]), data_type.clone())
            }
            _ => cast(text, data_type.clone()),
        });
    }
    if reading.decimal_comma && data_type.is_numeric() {
        let plain = replace(replace(text.clone(), lit("."), lit("")), lit(","), lit("."));
        // A text that is no such number has to fail the cast, and without showing the value.
        let number = regexp_like(text.clone(), lit(COMMA_NUMBER), None);
        text = when(text.clone().is_null(), lit(ScalarValue::Utf8(None)))
            .when(number, plain)
            .otherwise(lit("not a number with a decimal comma"))?;
    }
    if text.get_type(scan)? == *data_type { Ok(text) } else { Ok(cast(text, data_type.clone())) }
}

/// What Hive, Spark and DuckDB call the folder of the rows whose key is NULL.
pub(crate) const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// The value of a folder's name, which the engine gives as text.
///
/// To `k = 'a:b'` the engine lists the folder `k=a:b` alone, and not `k=a%3Ab` with the same value: to a function it looks
/// at each. Where a value may be NULL it must not choose folders at all, hence stable: it asks whether a filter's bit is
/// set, which means nothing where the filter is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Folder(Signature);

impl Folder {
    fn new(nulls: bool) -> Self {
        let volatility = if nulls { Volatility::Stable } else { Volatility::Immutable };
        Self(Signature::exact(vec![DataType::Utf8], volatility))
    }
}

impl ScalarUDFImpl for Folder {
    fn name(&self) -> &str {
        "folder_value"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let [names] = take_function_args(self.name(), args.args)?;
        let names = names.into_array(args.number_rows)?;
        let values = as_string_array(&names)?.iter().map(|name| name.filter(|n| *n != NULL_FOLDER));
        Ok(ColumnarValue::Array(Arc::new(values.collect::<StringArray>())))
    }
}

/// The types arrow-csv turns text into.
fn parsed_by_reader(data_type: &DataType) -> bool {
    use DataType::*;
    data_type.is_primitive() && !matches!(data_type, Float16 | Duration(_) | Interval(_))
        || matches!(data_type, Boolean | Utf8 | Utf8View | Null)
}
