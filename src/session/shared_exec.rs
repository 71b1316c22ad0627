// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! One computation, several readers.
//!
//! The first reader of a partition starts a task that runs the input to its end into a buffer; every reader takes the
//! batches from the buffer at its own pace, so that no reader can keep another waiting. The buffer is accounted in the
//! memory pool, spills to disk when the pool refuses, and forgets what every reader has taken.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use arrow::array::RecordBatch;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, stream};
use tokio::sync::watch;

/// The computation and its buffers, one a partition.
#[derive(Debug)]
pub(super) struct Shared {
    input: Arc<dyn ExecutionPlan>,
    readers: usize,
    /// How many of the readers have been made.
    made: AtomicUsize,
    partitions: Vec<Mutex<Option<Arc<Buffer>>>>,
}

impl Shared {
    /// A computation that so many readers will read.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, readers: usize) -> Self {
        let partitions = input.properties().partitioning.partition_count();
        Self {
            input,
            readers,
            made: AtomicUsize::new(0),
            partitions: (0..partitions).map(|_| Mutex::new(None)).collect(),
        }
    }

    /// The buffer of a partition, which is being filled from the first call on.
    fn buffer(&self, partition: usize, context: &Arc<TaskContext>) -> Result<Arc<Buffer>> {
        let mut slot = held(&self.partitions[partition]);
        if let Some(buffer) = slot.as_ref() {
            return Ok(Arc::clone(buffer));
        }
        let stream = self.input.execute(partition, Arc::clone(context))?;
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), partition);
        let spill = SpillManager::new(context.runtime_env(), metrics, self.input.schema());
        let reservation = MemoryConsumer::new(format!("Shared[{partition}]"))
            .with_can_spill(true)
            .register(context.memory_pool());
        let (progress, _) = watch::channel(());
        let buffer = Arc::new(Buffer {
            state: Mutex::new(State {
                segments: vec![],
                end: None,
                taken: vec![0; self.readers],
                reservation,
            }),
            progress,
            spill,
            task: Mutex::new(None),
        });
        // The task holds the buffer weakly: when every reader has gone, the buffer goes, and the task with it.
        let filled = Arc::downgrade(&buffer);
        *held(&buffer.task) = Some(SpawnedTask::spawn(async move {
            let mut stream = stream;
            for batches in 1.. {
                let next = stream.next().await;
                let Some(buffer) = filled.upgrade() else { return };
                if buffer.push(next) {
                    return;
                }
                if batches % SEGMENT == 0 {
                    drop(buffer);
                    step_aside().await;
                }
            }
        }));
        *slot = Some(Arc::clone(&buffer));
        Ok(buffer)
    }
}

struct Buffer {
    state: Mutex<State>,
    progress: watch::Sender<()>,
    spill: SpillManager,
    task: Mutex<Option<SpawnedTask<()>>>,
}

struct State {
    segments: Vec<Segment>,
    /// `Ok` when the input has ended, the error when it has failed.
    end: Option<Result<(), Arc<DataFusionError>>>,
    /// How many segments each reader has read to their ends.
    taken: Vec<usize>,
    reservation: MemoryReservation,
}

/// A run of batches.
#[derive(Clone)]
enum Segment {
    Memory(Vec<RecordBatch>),
    Disk(Arc<dyn SpillFile>),
    /// Read by everybody.
    Gone,
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffer")
    }
}

/// How many batches make a segment, which is what is spilled and forgotten as one.
const SEGMENT: usize = 16;

impl Buffer {
    /// Adds what the input gave; true when there is nothing more to come.
    fn push(&self, next: Option<Result<RecordBatch>>) -> bool {
        let mut state = held(&self.state);
        let ended = match next {
            Some(Ok(batch)) => match self.add(&mut state, batch) {
                Ok(()) => false,
                Err(error) => {
                    state.end = Some(Err(Arc::new(error)));
                    true
                }
            },
            Some(Err(error)) => {
                state.end = Some(Err(Arc::new(error)));
                true
            }
            None => {
                state.end = Some(Ok(()));
                true
            }
        };
        drop(state);
        self.progress.send_replace(());
        ended
    }

    fn add(&self, state: &mut State, batch: RecordBatch) -> Result<()> {
        let bytes = size(&batch);
        if state.reservation.try_grow(bytes).is_err() {
            self.spill(state)?;
            state.reservation.try_grow(bytes)?;
        }
        match state.segments.last_mut() {
            Some(Segment::Memory(batches)) if batches.len() < SEGMENT => batches.push(batch),
            _ => state.segments.push(Segment::Memory(vec![batch])),
        }
        Ok(())
    }

    /// Writes every segment in memory to disk.
    fn spill(&self, state: &mut State) -> Result<()> {
        for segment in &mut state.segments {
            if let Segment::Memory(batches) = segment {
                *segment = match self.spill.spill_record_batch_and_finish(batches, "Shared")? {
                    Some(file) => Segment::Disk(file),
                    None => Segment::Gone,
                };
            }
        }
        state.reservation.free();
        Ok(())
    }

    /// The segment at a place, once it is complete; `None` at the end of the input.
    async fn segment(self: &Arc<Self>, reader: usize, place: usize) -> Result<Option<Segment>> {
        let mut progress = self.progress.subscribe();
        loop {
            {
                let mut state = held(&self.state);
                state.taken[reader] = place;
                self.forget(&mut state);
                // The last segment may still grow until the input has ended.
                if place + 1 < state.segments.len()
                    || (place < state.segments.len() && state.end.is_some())
                {
                    return Ok(Some(state.segments[place].clone()));
                }
                match &state.end {
                    Some(Ok(())) => return Ok(None),
                    Some(Err(error)) => return Err(DataFusionError::Shared(Arc::clone(error))),
                    None => {}
                }
            }
            if progress.changed().await.is_err() {
                return datafusion::common::internal_err!(
                    "a shared computation was dropped while it was read"
                );
            }
        }
    }

    /// Drops the segments that every reader has read.
    fn forget(&self, state: &mut State) {
        let all = state.taken.iter().copied().min().unwrap_or(0);
        let mut freed = 0;
        for segment in state.segments.iter_mut().take(all) {
            if let Segment::Memory(batches) = segment {
                freed += batches.iter().map(size).sum::<usize>();
            }
            *segment = Segment::Gone;
        }
        let freed = freed.min(state.reservation.size());
        state.reservation.shrink(freed);
    }
}

/// Puts this task at the end of its thread's queue, from where an idle thread may take it. Of two tasks that one thread
/// wakes, the second waits for that thread, however long the first one keeps it.
async fn step_aside() {
    let mut aside = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut aside, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What a batch holds, without the rest of the larger batch that it may be a slice of.
fn size(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|c| c.to_data().get_slice_memory_size().unwrap_or_else(|_| c.get_array_memory_size()))
        .sum()
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader of a [`Shared`] computation.
#[derive(Debug)]
pub(super) struct SharedExec {
    shared: Arc<Shared>,
    properties: Arc<PlanProperties>,
    /// Which partitions this reader has begun, and as which of the readers.
    begun: Mutex<Vec<bool>>,
    reader: usize,
}

impl SharedExec {
    /// The next reader.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let properties = Arc::clone(shared.input.properties());
        let reader = shared.made.fetch_add(1, Ordering::Relaxed);
        let begun = Mutex::new(vec![false; shared.partitions.len()]);
        Self { shared, properties, begun, reader }
    }
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedExec: reader {} of {}", self.reader + 1, self.shared.readers)
    }
}

impl ExecutionPlan for SharedExec {
    fn name(&self) -> &str {
        "SharedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.shared.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    /// A changed input is no longer what the other readers read: this reader gets a computation of its own.
    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(child) if Arc::ptr_eq(&child, &self.shared.input) => Ok(self),
            Some(child) => Ok(child),
            None => datafusion::common::internal_err!("SharedExec has one child"),
        }
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(child) if Arc::ptr_eq(&child, &self.shared.input) => Ok(self),
            Some(child) => Ok(child),
            None => datafusion::common::internal_err!("SharedExec has one child"),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        // A plan that is run a second time finds its buffers read: it computes for itself.
        if std::mem::replace(&mut held(&self.begun)[partition], true) {
            return self.shared.input.execute(partition, context);
        }
        let buffer = self.shared.buffer(partition, &context)?;
        let reader = self.reader;
        let segments = stream::try_unfold((buffer, 0), move |(buffer, place)| async move {
            if place == 0 {
                step_aside().await;
            }
            let Some(segment) = buffer.segment(reader, place).await? else {
                return Ok::<_, DataFusionError>(None);
            };
            let batches = match segment {
                Segment::Memory(batches) => stream::iter(batches.into_iter().map(Ok)).boxed(),
                Segment::Disk(file) => buffer.spill.read_spill_as_stream(file, None)?.boxed(),
                Segment::Gone => stream::empty().boxed(),
            };
            Ok(Some((batches, (buffer, place + 1))))
        });
        let batches = segments.flat_map(|segment| match segment {
            Ok(batches) => batches,
            Err(error) => stream::once(async { Err(error) }).boxed(),
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
