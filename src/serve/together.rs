// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: The Comptoir authors

//! Batches that are there at once leave as one. A message costs both sides as much as thousands of rows do, and the
//! engine's batches are small. Nothing waits for this: the first batch leaves alone, and so does what comes slowly.

use std::task::Poll;

use arrow::array::{Array, RecordBatch};
use arrow::compute::concat_batches;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::error::Result;

/// From how many bytes on a message is large enough.
const ENOUGH: usize = 1 << 20;

/// The same rows in fewer batches.
pub(super) fn together(
    mut rows: BoxStream<'static, Result<RecordBatch>>,
) -> BoxStream<'static, Result<RecordBatch>> {
    let mut held: Vec<RecordBatch> = vec![];
    let (mut bytes, mut most) = (0, 0);
    let mut last = None;
    stream::poll_fn(move |context| {
        while last.is_none() && (bytes < most || held.is_empty()) {
            match rows.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(batch))) => {
                    bytes += size(&batch);
                    held.push(batch);
                }
                // The rows before an error leave before it.
                Poll::Ready(other) => last = Some(other),
                Poll::Pending if held.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        most = ENOUGH;
        bytes = 0;
        let batches = std::mem::take(&mut held);
        Poll::Ready(match batches.as_slice() {
            // Once the end has been told there is nothing else to tell.
            [] => last.replace(None).flatten(),
            [one] => Some(Ok(one.clone())),
            [one, ..] => Some(concat_batches(one.schema_ref(), &batches).map_err(Into::into)),
        })
    })
    .boxed()
}

/// What the rows of a batch take, and not the buffers that they are cut from.
fn size(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns.map(|c| c.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use futures::TryStreamExt;

    use super::*;
    use crate::error::Error;

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let values = Int64Array::from_iter_values(from..from + rows);
        RecordBatch::try_from_iter([("n", Arc::new(values) as _)]).expect("a batch")
    }

    fn sizes(items: Vec<Result<RecordBatch>>) -> Vec<Option<usize>> {
        let rows = together(stream::iter(items).boxed());
        let sizes = rows.map(|batch| batch.ok().map(|b| b.num_rows()));
        futures::executor::block_on(sizes.collect())
    }

    #[test]
    fn the_first_leaves_alone_and_the_others_together() {
        let half = 1 << 16;
        assert_eq!(sizes(vec![]), []);
        assert_eq!(
            sizes((0..6).map(|i| Ok(batch(i * half, half))).collect()),
            [1 << 16, 1 << 17, 1 << 17, 1 << 16].map(Some)
        );
        let failing =
            vec![Ok(batch(0, 1)), Ok(batch(1, 2)), Ok(batch(3, 3)), Err(Error::query(""))];
        assert_eq!(sizes(failing), [Some(1), Some(5), None]);
    }

    #[test]
    fn what_comes_slowly_does_not_wait() {
        let slow = stream::iter(0..4).then(|i| async move {
            let mut turns = 0;
            std::future::poll_fn(|context| {
                turns += 1;
                context.waker().wake_by_ref();
                if turns < 3 { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
            Ok(batch(i, 1))
        });
        let all: Vec<RecordBatch> =
            futures::executor::block_on(together(slow.boxed()).try_collect()).expect("rows");
        assert_eq!(all.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [1; 4]);
    }
}
