// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! One error for the whole crate: what went wrong, where in the SQL, why, and what to write instead.
//!
//! Everything below a door returns [`Error`]. A [`DataFusionError`] is turned into one in a single exhaustive match, so
//! that a new kind upstream is a compile error here and not a wrong exit code.

use std::fmt;

use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Diagnostic, SchemaError, Span};
use datafusion::parquet::errors::ParquetError;

mod store;

pub(crate) use store::{explain as explain_store, lacking as lacking_store};

/// `Result` with [`Error`] unless another error is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault it is, which is also what a program that called us wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The query, or the data it read, is wrong.
    Query,
    /// The command line, a path or the configuration is wrong.
    Usage,
    /// What it needs cannot be reached now, and may be later: an object store, a lock.
    Retry,
    /// It needs more memory or disk than it may have.
    Resource,
    /// Somebody asked us to stop.
    Interrupted,
    /// Whoever asks may not.
    Denied,
    /// It is good SQL, and the engine has no way to do it.
    Unsupported,
}

impl Kind {
    /// The exit code of a process that ends with this kind of error.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Query | Kind::Denied | Kind::Unsupported => 1,
            Kind::Usage => 2,
            Kind::Retry => 3,
            Kind::Resource => 4,
            Kind::Interrupted => 130,
        }
    }
}

/// What went wrong. `Display` gives the message alone; [`crate::diagnostic::render`] draws the place in the SQL too.
#[derive(Clone, Debug)]
pub struct Error {
    /// Whose fault it is.
    pub kind: Kind,
    /// One sentence without a final period; never holds a value from the data unless the query wrote it.
    pub message: String,
    /// The place in the statement's text, where one is known.
    pub span: Option<Span>,
    /// What else is true and helps to understand.
    pub notes: Vec<String>,
    /// What to write instead.
    pub hints: Vec<String>,
}

impl Error {
    /// An error of the given kind, without a place.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), span: None, notes: vec![], hints: vec![] }
    }

    /// The query or its data is wrong.
    pub fn query(message: impl Into<String>) -> Self {
        Self::new(Kind::Query, message)
    }

    /// The command line, a path or the configuration is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Stopped on request.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// Adds the place.
    pub fn at(mut self, span: Option<Span>) -> Self {
        self.span = span.or(self.span);
        self
    }

    /// Adds a place unless a more precise one is known.
    pub fn at_least(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    /// Adds what to write instead.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a fact that explains.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Puts words in front of the message: `while doing x: message`.
    pub fn context(mut self, words: impl fmt::Display) -> Self {
        self.message = format!("{words}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        convert(&error)
    }
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        from_io(&error, Kind::Usage)
    }
}

/// A full disk is neither the query's fault nor that of who wrote the path.
pub(crate) fn from_io(error: &std::io::Error, otherwise: Kind) -> Error {
    let kind = io_kind(error, otherwise);
    let words = Error::new(kind, error.to_string());
    match kind {
        Kind::Resource => words.hint("make room on the disk, or write elsewhere"),
        _ => words,
    }
}

/// Whose fault an error of the file system is.
pub(crate) fn io_kind(error: &std::io::Error, otherwise: Kind) -> Kind {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull
        | ErrorKind::QuotaExceeded
        | ErrorKind::FileTooLarge
        | ErrorKind::OutOfMemory => Kind::Resource,
        _ => otherwise,
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        convert(&DataFusionError::ArrowError(Box::new(error), None))
    }
}

impl From<ParquetError> for Error {
    fn from(error: ParquetError) -> Self {
        convert(&DataFusionError::ParquetError(Box::new(error)))
    }
}

fn convert(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::Diagnostic(diagnostic, inner) => {
            from_diagnostic(diagnostic, convert(inner))
        }
        DataFusionError::Context(_, inner) => convert(inner),
        DataFusionError::Shared(inner) => convert(inner),
        // Several errors of one statement: the first is shown whole, the others as notes.
        DataFusionError::Collection(errors) => {
            let mut all = errors.iter().map(convert);
            let first = all.next().unwrap_or_else(|| Error::query("the statement failed"));
            all.fold(first, |first, next| first.note(next.message))
        }
        DataFusionError::External(source) => from_external(source.as_ref()),
        DataFusionError::ArrowError(source, _) => match source.as_ref() {
            ArrowError::ExternalError(source) => from_external(source.as_ref()),
            ArrowError::IoError(message, source) => from_wrapped_io(message, source),
            ArrowError::CsvError(words) if words.starts_with("Nested type") => Error::query(
                "a CSV file cannot hold lists or structs",
            )
            .hint("write JSON or Parquet, or take the values out: `column[1]`, `column['field']`"),
            ArrowError::ParseError(words) => Error::query(plain(words)),
            other => Error::query(plain(&other.to_string())),
        },
        DataFusionError::ParquetError(source) => match source.as_ref() {
            ParquetError::External(source) => from_external(source.as_ref()),
            // The text of the error is all that is left of a failed spill.
            other if other.to_string().contains(SPILL_LIMIT) => {
                convert(&DataFusionError::ResourcesExhausted(other.to_string()))
            }
            other => Error::query(plain(&other.to_string())),
        },
        DataFusionError::SchemaError(source, _) => match source.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let mut names: Vec<&str> = vec![];
                for field in valid_fields.iter().filter(|f| !f.name.is_empty()) {
                    if !names.contains(&field.name.as_str()) {
                        names.push(&field.name);
                    }
                }
                let error = Error::query(format!("column `{}` not found", field.name));
                match crate::diagnostic::nearest(&field.name, names.iter().copied()).as_slice() {
                    [] => error.note(format!("columns here: {}", names.join(", "))),
                    near => {
                        error.hint(format!("did you mean {}?", crate::diagnostic::or_list(near)))
                    }
                }
            }
            other => Error::query(other.to_string()),
        },
        DataFusionError::SQL(source, _) => {
            let (message, span) = crate::diagnostic::parser_place(&source.to_string());
            Error::query(message).at(span)
        }
        DataFusionError::Configuration(message) => Error::usage(plain(message)),
        DataFusionError::ResourcesExhausted(message) => Error::new(Kind::Resource, plain(message))
            .hint(
                "raise `--memory-limit`, or leave more room for spilling in the temporary folder",
            ),
        DataFusionError::Internal(message) => {
            Error::query(format!("Comptoir met a case it was not built for: {}", plain(message)))
                .hint("this is our bug: please report the statement")
        }
        DataFusionError::ObjectStore(source) => from_store(source),
        DataFusionError::IoError(source) => from_wrapped_io(&source.to_string(), source),
        DataFusionError::ExecutionJoin(source) => {
            Error::query(format!("a worker stopped: {source}"))
        }
        DataFusionError::NotImplemented(message) => Error::new(Kind::Unsupported, plain(message)),
        DataFusionError::Plan(message) if mistyped(message).is_some() => {
            Error::query(plain(message))
                .hint("convert it with `CAST(… AS DOUBLE)`, or take another column")
        }
        DataFusionError::Plan(message)
        | DataFusionError::Execution(message)
        | DataFusionError::Substrait(message)
        | DataFusionError::Ffi(message) => Error::query(plain(message)),
    }
}

/// What a store refuses for good is the query's fault; what it could not do this time may work the next.
fn from_store(error: &object_store::Error) -> Error {
    use object_store::Error as Store;
    let place = match error {
        Store::NotFound { path, .. }
        | Store::PermissionDenied { path, .. }
        | Store::Unauthenticated { path, .. } => path.as_str(),
        Store::Generic { store: "GCS", .. } => "gs://…",
        Store::Generic { store: "MicrosoftAzure", .. } => "az://…",
        Store::Generic { store: "S3", .. } => "s3://…",
        _ => "a file",
    };
    store::explain(place, error)
}

fn from_diagnostic(diagnostic: &Diagnostic, inner: Error) -> Error {
    // An inner error that already knows its place is the more precise of the two.
    if inner.span.is_some() {
        return inner;
    }
    let mut error = Error { message: plain(&diagnostic.message), span: diagnostic.span, ..inner };
    error.notes.extend(diagnostic.notes.iter().map(|n| n.message.clone()));
    error.hints.extend(diagnostic.helps.iter().map(|h| h.message.clone()));
    error
}

/// The setting that bounds what may be spilled, which the engine names when it is reached.
const SPILL_LIMIT: &str = "max_temp_directory_size";

/// An error of the file system that another error may have put on.
fn from_wrapped_io(message: &str, source: &std::io::Error) -> Error {
    match source.get_ref().and_then(|inner| known(inner)) {
        Some(inner) => inner,
        None if message.contains(SPILL_LIMIT) || source.to_string().contains(SPILL_LIMIT) => {
            convert(&DataFusionError::ResourcesExhausted(message.to_string()))
        }
        None => Error { message: plain(message), ..from_io(source, Kind::Query) },
    }
}

fn from_external(source: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    known(source).unwrap_or_else(|| Error::query(plain(&source.to_string())))
}

/// The error within others that says what is the matter: writers wrap that of a store several times.
fn known(error: &(dyn std::error::Error + 'static)) -> Option<Error> {
    if let Some(ours) = error.downcast_ref::<Error>() {
        Some(ours.clone())
    } else if let Some(theirs) = error.downcast_ref::<DataFusionError>() {
        Some(convert(theirs))
    } else if let Some(store) = error.downcast_ref::<object_store::Error>() {
        Some(from_store(store))
    } else if let Some(io) = error.downcast_ref::<std::io::Error>() {
        // Its source is that of what it holds, not what it holds.
        known(io.get_ref()?)
    } else {
        known(error.source()?)
    }
}

/// Removes what DataFusion wraps around a message: its back trace, the layers a function's own words come through, and
/// the final period of its sentences.
fn plain(message: &str) -> String {
    let message = message.split(DataFusionError::BACK_TRACE_SEP).next().unwrap_or(message).trim();
    if let Some(words) = mistyped(message) {
        return words;
    }
    let message = match message.split_once("user-defined coercion failed with: ") {
        Some((_, words)) => words.split(". No function matches").next().unwrap_or(words),
        None => message,
    };
    let layers = ["Execution error: ", "Error during planning: ", "Arrow error: "];
    let message = layers.iter().fold(message, |m, layer| m.trim_start_matches(layer));
    message.strip_suffix('.').unwrap_or(message).to_string()
}

/// What a function takes and was given, from the list of all that the engine has tried, which it calls its own bug.
fn mistyped(message: &str) -> Option<String> {
    let (name, tried) = message.split_once("' failed to match any signature")?;
    let (_, name) = name.rsplit_once("Function '")?;
    let found = tried.split_once("(DataType: ")?.1.split(").").next()?;
    let wanted = tried.split("requires ").skip(1).filter_map(|one| one.split(',').next());
    let mut all: Vec<&str> = vec![];
    for one in wanted {
        let kind = one.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_number = matches!(kind, "Decimal" | "Int" | "UInt" | "Float");
        let words = if is_number { "numbers" } else { one };
        if !all.contains(&words) {
            all.push(words);
        }
    }
    let found = if found.contains("Utf8") { "text" } else { found };
    Some(format!("`{name}` takes {}, not {found}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_error_survives_a_round_trip_through_datafusion() {
        let error = Error::usage("no").hint("yes");
        let back = Error::from(DataFusionError::Context(
            "x".into(),
            Box::new(DataFusionError::from(error)),
        ));
        assert_eq!((back.kind, back.message.as_str(), back.hints.len()), (Kind::Usage, "no", 1));
    }

    #[test]
    fn a_diagnostic_gives_the_place_and_the_words() {
        let inner = DataFusionError::Plan("raw".into());
        let error = Error::from(inner.with_diagnostic(Diagnostic::new_error("nice", None)));
        assert_eq!(error.message, "nice");
    }
}
