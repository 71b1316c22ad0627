// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! A plan → rows, one batch at a time. What the statement writes appears when the last row has been read, and not before.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::physical_plan::EmptyRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use url::Url;

mod meter;
mod partition;
mod progress;
mod writable;

pub use meter::Meter;
pub use progress::Progress;
pub(crate) use writable::has_place;

use crate::catalog;
use crate::error::{Error, Kind, Result};
use crate::policy::Ticket;
use crate::sink::{self, Output, Outputs, Published, StagingStore, Target};

/// The rows of a statement.
pub struct Rows {
    schema: SchemaRef,
    stream: SendableRecordBatchStream,
    ctx: SessionContext,
    /// What is run, to find the file at fault when reading fails.
    plan: LogicalPlan,
    progress: Progress,
    staging: Option<Staging>,
    /// Where outputs wait that are not to appear yet.
    held: Option<Arc<Outputs>>,
    bytes: u64,
    published: Vec<Published>,
    /// Whether an error may hold what the session must not see.
    masked: bool,
    /// Its line in the audit log, and how many rows have left.
    ticket: Option<Ticket>,
    left: u64,
}

fn close(ticket: &mut Option<Ticket>, outcome: &str, rows: u64) -> Result<()> {
    ticket.as_mut().map_or(Ok(()), |ticket| ticket.close(outcome, rows))
}

/// What is said instead of an error that may hold private values.
const MASKED: &str =
    "the statement failed while it read private data; what failed is not shown to this role";

/// The error that may be shown: whose fault it is, and nothing of a row.
fn masked(error: Error) -> Error {
    match error.kind {
        Kind::Interrupted => Error::interrupted(),
        kind => Error::new(kind, MASKED).hint("ask somebody with the owner's role to run it"),
    }
}

impl Rows {
    /// Starts a plan. Statements that define something have their effect here and give no rows.
    pub(crate) async fn start(
        ctx: &SessionContext,
        plan: LogicalPlan,
        held: Option<Arc<Outputs>>,
        is_masked: bool,
        ticket: Option<Ticket>,
    ) -> Result<Self> {
        Self::start_within(ctx, plan, held, is_masked, ticket, None).await
    }

    /// The same under a meter of its own, which knows what this statement holds of the memory that all share.
    pub(crate) async fn start_within(
        ctx: &SessionContext,
        plan: LogicalPlan,
        held: Option<Arc<Outputs>>,
        is_masked: bool,
        mut ticket: Option<Ticket>,
        meter: Option<&Arc<Meter>>,
    ) -> Result<Self> {
        let (staged, staging) = stage(ctx, plan.clone())?;
        if let Some(Staging { remote: Some(target), .. }) = &staging
            && target.url.path().ends_with('/')
        {
            sink::may_replace_objects(target).await?;
        }
        let started = async {
            let frame = ctx.execute_logical_plan(staged).await?;
            let schema = Arc::new(frame.schema().as_arrow().clone());
            let task = frame.task_ctx();
            let task = match meter {
                Some(meter) => {
                    let runtime = meter.runtime(&task.runtime_env());
                    task.with_runtime(runtime)
                }
                None => task,
            };
            let physical = frame.create_physical_plan().await?;
            let progress = if is_masked { Progress::hidden() } else { Progress::of(&physical) };
            Ok::<_, DataFusionError>((schema, progress, execute_stream(physical, Arc::new(task))?))
        };
        match started.await {
            Ok((schema, progress, stream)) => Ok(Self {
                schema,
                stream,
                ctx: ctx.clone(),
                plan,
                progress,
                staging,
                held,
                bytes: 0,
                published: vec![],
                masked: is_masked,
                ticket,
                left: 0,
            }),
            Err(error) if is_masked => {
                close(&mut ticket, "failed", 0)?;
                Err(masked(error.into()))
            }
            Err(error) => Err(catalog::explain_failure(ctx, &plan, error).await),
        }
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How far the statement is, to be asked while it runs.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The next batch, or `None` at the end. Dropping the rows before the end cancels the query.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self.stream.next().await {
            Some(Ok(batch)) => {
                self.left += batch.num_rows() as u64;
                Ok(Some(batch))
            }
            Some(Err(error)) => {
                close(&mut self.ticket, "failed", self.left)?;
                if let Some(staging) = self.staging.take() {
                    // The writers stop with the stream, and give back what they were sending.
                    self.stream =
                        Box::pin(EmptyRecordBatchStream::new(SchemaRef::clone(&self.schema)));
                    staging.store.discard();
                    if let Some(failure) = staging.store.failure() {
                        return Err(failure);
                    }
                }
                if self.masked {
                    return Err(masked(error.into()));
                }
                Err(catalog::explain_failure(&self.ctx, &self.plan, error).await)
            }
            None => {
                if let Some(staging) = self.staging.take() {
                    let outputs = match &staging.remote {
                        Some(target) => Output::group_objects(staging.store.take_objects(), target),
                        None => Output::group(staging.store.take(), &staging.roots)?,
                    };
                    self.bytes = outputs.iter().map(Output::bytes).sum();
                    match &self.held {
                        Some(held) => held.add(outputs)?,
                        None => self.published = sink::publish(outputs).await?,
                    }
                }
                close(&mut self.ticket, "read", self.left)?;
                Ok(None)
            }
        }
    }

    /// How many bytes the statement has written to files, once its rows have been read to their end.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What has appeared by it, once its rows have been read to their end; nothing while outputs wait.
    pub fn published(&self) -> &[Published] {
        &self.published
    }

    /// All batches, for results known to be small.
    pub async fn collect(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = vec![];
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// One statement's staging store, under a URL scheme of its own for as long as the statement runs.
struct Staging {
    store: Arc<StagingStore>,
    /// What the statement was told to write: files, or folders.
    roots: Vec<PathBuf>,
    /// The one address, when it is not on this machine.
    remote: Option<Target>,
    url: Url,
    ctx: SessionContext,
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = self.ctx.deregister_object_store(&self.url);
    }
}

static STATEMENTS: AtomicU64 = AtomicU64::new(0);

/// Sends the `COPY … TO` of a plan to a staging store.
fn stage(ctx: &SessionContext, plan: LogicalPlan) -> Result<(LogicalPlan, Option<Staging>)> {
    let scheme = format!("comptoir-stage-{}", STATEMENTS.fetch_add(1, Ordering::Relaxed));
    let mut roots = vec![];
    let mut remote = None;
    let plan = plan
        .transform_down(|node| match node {
            LogicalPlan::Copy(copy) => {
                has_place(&copy)?;
                let copy = partition::with_written_keys(copy)?;
                let output_url = match staged_url(&copy.output_url, &scheme) {
                    Some((path, output_url)) => {
                        if path.is_dir() {
                            sink::may_replace(&path)?;
                        }
                        roots.push(path);
                        output_url
                    }
                    None => {
                        let target = Target::of(&copy.output_url)?;
                        let output_url = format!("{scheme}://{}", target.url.path());
                        roots.push(target.path.clone());
                        remote = Some(target);
                        output_url
                    }
                };
                Ok(Transformed::yes(LogicalPlan::Copy(CopyTo { output_url, ..copy })))
            }
            other => Ok(Transformed::no(other)),
        })?
        .data;
    if roots.is_empty() {
        return Ok((plan, None));
    }
    let url = Url::parse(&format!("{scheme}:///")).map_err(|e| Error::query(e.to_string()))?;
    let store = Arc::new(match &remote {
        Some(target) => StagingStore::over(target.clone()),
        None => StagingStore::default(),
    });
    ctx.register_object_store(&url, Arc::clone(&store) as _);
    Ok((plan, Some(Staging { store, roots, remote, url, ctx: ctx.clone() })))
}

/// The target as a path and as a URL of the staging store, or `None` for a target that is not on this machine.
fn staged_url(target: &str, scheme: &str) -> Option<(PathBuf, String)> {
    let path = catalog::local_path(target)?;
    let is_folder = target.ends_with('/') || path.is_dir();
    // What a link leads to is written, and not the link.
    let path = catalog::real_path(&path);
    let url = if is_folder { Url::from_directory_path(&path) } else { Url::from_file_path(&path) }
        .ok()?;
    let url = format!("{scheme}://{}", url.path());
    Some((path, url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_targets_are_staged_and_others_are_not() {
        let url = |target| staged_url(target, "s").map(|(_, url)| url);
        assert_eq!(url("/tmp/a b.csv").as_deref(), Some("s:///tmp/a%20b.csv"));
        assert_eq!(url("/tmp/none/").as_deref(), Some("s:///tmp/none/"));
        for target in ["file:///tmp/x.parquet", "FILE:///tmp/x.parquet", "file:/tmp/x.parquet"] {
            assert_eq!(url(target).as_deref(), Some("s:///tmp/x.parquet"), "{target}");
        }
        assert_eq!(staged_url("s3://bucket/x.parquet", "s"), None);
    }

    #[test]
    fn the_path_and_the_url_of_a_target_are_the_same_place() {
        for (target, path, url) in [
            ("/none/a/../x.csv", "/none/x.csv", "s:///none/x.csv"),
            ("/none/a%20b.csv", "/none/a%20b.csv", "s:///none/a%2520b.csv"),
            ("/none/at:1.csv", "/none/at:1.csv", "s:///none/at:1.csv"),
        ] {
            assert_eq!(staged_url(target, "s"), Some((PathBuf::from(path), url.to_string())));
        }
    }
}
