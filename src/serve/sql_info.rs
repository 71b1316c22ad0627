// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! What the server can do, key by key. Drivers ask for some, and give up on a server that does not answer.

use std::collections::BTreeMap;

use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions,
    SqlSupportsConvert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
use tonic::Status;

use super::settings::Settings;
use super::status;
use crate::policy::{Rights, Who};

/// Nothing is limited but by memory.
const NO_LIMIT: i64 = 0;

pub(super) fn data(
    settings: &Settings,
    who: &Who,
    functions: &Functions,
) -> Result<SqlInfoData, Status> {
    let reads = who.rights == Rights::Reader;
    let timeout = i32::try_from(settings.limits.query_timeout.as_millis()).unwrap_or(i32::MAX);
    let mut infos = SqlInfoDataBuilder::new();
    // The server.
    infos.append(SqlInfo::FlightSqlServerName, "Comptoir");
    infos.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    infos.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    infos.append(SqlInfo::FlightSqlServerReadOnly, reads);
    infos.append(SqlInfo::FlightSqlServerSql, true);
    infos.append(SqlInfo::FlightSqlServerSubstrait, false);
    infos.append(SqlInfo::FlightSqlServerSubstraitMinVersion, "");
    infos.append(SqlInfo::FlightSqlServerSubstraitMaxVersion, "");
    infos.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    infos.append(SqlInfo::FlightSqlServerCancel, true);
    infos.append(SqlInfo::FlightSqlServerBulkIngestion, !reads);
    infos.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    infos.append(SqlInfo::FlightSqlServerStatementTimeout, timeout);
    infos.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
    // Names.
    infos.append(SqlInfo::SqlDdlCatalog, false);
    infos.append(SqlInfo::SqlDdlSchema, !reads);
    infos.append(SqlInfo::SqlDdlTable, !reads);
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    // As it is written: the protocol's enum has no better word for a name in quotes.
    let quoted = SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32;
    infos.append(SqlInfo::SqlIdentifierCase, lower);
    infos.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    infos.append(SqlInfo::SqlQuotedIdentifierCase, quoted);
    infos.append(SqlInfo::SqlAllTablesAreSelectable, true);
    // Ascending order puts NULL last, descending order first: NULL counts as the highest.
    infos.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    infos.append(SqlInfo::SqlKeywords, ALL_KEYWORDS);
    infos.append(SqlInfo::SqlNumericFunctions, functions.numeric.clone());
    infos.append(SqlInfo::SqlStringFunctions, functions.text.clone());
    infos.append(SqlInfo::SqlSystemFunctions, functions.system.clone());
    infos.append(SqlInfo::SqlDatetimeFunctions, functions.time.clone());
    infos.append(SqlInfo::SqlSearchStringEscape, "\\");
    infos.append(SqlInfo::SqlExtraNameCharacters, "");
    infos.append(SqlInfo::SqlSupportsColumnAliasing, true);
    infos.append(SqlInfo::SqlNullPlusNullIsNull, true);
    infos.append(SqlInfo::SqlSupportsConvert, conversions());
    infos.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    infos.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    infos.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    infos.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    let bits = |bits: &[i32]| bits.iter().fold(0_i32, |mask, bit| mask | (1 << bit));
    infos.append(
        SqlInfo::SqlSupportedGroupBy,
        bits(&[
            SqlSupportedGroupBy::SqlGroupByUnrelated as i32,
            SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32,
        ]),
    );
    infos.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    infos.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    infos.append(
        SqlInfo::SqlSupportedGrammar,
        bits(&[
            SupportedSqlGrammar::SqlMinimumGrammar as i32,
            SupportedSqlGrammar::SqlCoreGrammar as i32,
        ]),
    );
    // Entry level.
    infos.append(SqlInfo::SqlAnsi92SupportedLevel, bits(&[0]));
    infos.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    infos.append(
        SqlInfo::SqlOuterJoinsSupportLevel,
        bits(&[SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32]),
    );
    infos.append(SqlInfo::SqlSchemaTerm, "schema");
    infos.append(SqlInfo::SqlProcedureTerm, "procedure");
    infos.append(SqlInfo::SqlCatalogTerm, "catalog");
    infos.append(SqlInfo::SqlCatalogAtStart, true);
    // Schemas and catalogs may stand before names in no procedure, index or privilege: there are none.
    infos.append(SqlInfo::SqlSchemasSupportedActions, 0_i32);
    infos.append(SqlInfo::SqlCatalogsSupportedActions, 0_i32);
    infos.append(SqlInfo::SqlSupportedPositionedCommands, 0_i32);
    infos.append(SqlInfo::SqlSelectForUpdateSupported, false);
    infos.append(SqlInfo::SqlStoredProceduresSupported, false);
    infos.append(
        SqlInfo::SqlSupportedSubqueries,
        bits(&[
            SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32,
            SqlSupportedSubqueries::SqlSubqueriesInExists as i32,
            SqlSupportedSubqueries::SqlSubqueriesInIns as i32,
            SqlSupportedSubqueries::SqlSubqueriesInQuantifieds as i32,
        ]),
    );
    infos.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    infos.append(
        SqlInfo::SqlSupportedUnions,
        bits(&[SqlSupportedUnions::SqlUnion as i32, SqlSupportedUnions::SqlUnionAll as i32]),
    );
    for unlimited in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatementLength,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        infos.append(unlimited, NO_LIMIT);
    }
    let sessions = i64::try_from(settings.limits.sessions).unwrap_or(i64::MAX);
    infos.append(SqlInfo::SqlMaxConnections, sessions);
    infos.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
    // Transactions: none.
    infos.append(
        SqlInfo::SqlDefaultTransactionIsolation,
        i64::from(SqlTransactionIsolationLevel::SqlTransactionNone as i32),
    );
    infos.append(SqlInfo::SqlTransactionsSupported, false);
    infos.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, bits(&[0]));
    infos.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    infos.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    // Results are read forward, and are not written.
    infos.append(SqlInfo::SqlSupportedResultSetTypes, bits(&[1]));
    infos.append(SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, bits(&[0]));
    infos.append(SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, bits(&[1]));
    infos.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, bits(&[0]));
    infos.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, bits(&[0]));
    infos.append(SqlInfo::SqlBatchUpdatesSupported, false);
    infos.append(SqlInfo::SqlSavepointsSupported, false);
    infos.append(SqlInfo::SqlNamedParametersSupported, false);
    infos.append(SqlInfo::SqlLocatorsUpdateCopy, false);
    infos.append(SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false);
    infos.build().map_err(|e| status::flight(e, ""))
}

/// The functions there are, in the groups that drivers know.
#[derive(Default)]
pub(super) struct Functions {
    pub(super) numeric: Vec<String>,
    pub(super) text: Vec<String>,
    pub(super) time: Vec<String>,
    pub(super) system: Vec<String>,
}

impl Functions {
    /// Sorts functions into the groups by what their documentation says they are.
    pub(super) fn sorted(functions: Vec<(String, String)>) -> Self {
        let mut sorted = Self::default();
        for (name, section) in functions {
            let section = section.to_lowercase();
            if section.contains("math") {
                sorted.numeric.push(name);
            } else if section.contains("string") || section.contains("regular") {
                sorted.text.push(name);
            } else if section.contains("time") {
                sorted.time.push(name);
            } else {
                sorted.system.push(name);
            }
        }
        sorted
    }
}

/// Which types CAST turns into which.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert as T;
    let numbers = [
        T::SqlConvertBigint,
        T::SqlConvertDecimal,
        T::SqlConvertFloat,
        T::SqlConvertInteger,
        T::SqlConvertNumeric,
        T::SqlConvertReal,
        T::SqlConvertSmallint,
        T::SqlConvertTinyint,
    ];
    let texts = [T::SqlConvertChar, T::SqlConvertVarchar, T::SqlConvertLongvarchar];
    let times = [T::SqlConvertDate, T::SqlConvertTimestamp];
    let list = |types: &[&[T]]| types.concat().into_iter().map(|t| t as i32).collect::<Vec<_>>();
    let bit = [T::SqlConvertBit];
    let mut conversions = BTreeMap::new();
    for number in numbers {
        conversions.insert(number as i32, list(&[&numbers, &texts, &bit]));
    }
    for text in texts {
        conversions.insert(text as i32, list(&[&numbers, &texts, &times, &bit]));
    }
    for time in times {
        conversions.insert(time as i32, list(&[&times, &texts]));
    }
    conversions.insert(T::SqlConvertBit as i32, list(&[&numbers, &texts, &bit]));
    conversions
}
