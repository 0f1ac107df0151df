//! Retries: a new task from what another did not do (contract, section 7). What failed and what was cancelled is read back
//! and goes the way of a bulk request of one operation a line: it is checked anew, spooled anew and accepted, with the
//! ids that it was given when it was accepted first.

use bytes::Bytes;
use futures::{Stream, stream};
use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::operation::TargetType;
use granary_core::receipt::ReceiptStatus;
use granary_core::task::{TaskId, TaskKind};
use granary_store::{PAGE_BYTES_MAX, StoreError, StoredTask, Weighed};

use crate::engine::{Engine, InFlight};
use crate::error::{error_object, internal};
use crate::intake::{BodyError, BodyFormat, BulkRequest, Intake};
use crate::once::{Known, Once};
use crate::rejection::ReceiptsShown;
use crate::sent::{OPERATIONS_PAGE, SentOperations, write_operation};

/// A request to try again what a task did not do.
#[derive(Clone, Debug)]
pub struct Retry {
    /// The source.
    pub source: Key,
    /// Which receipts the answer shows if it is rejected.
    pub receipts: ReceiptsShown,
    /// Where it is to be carried out once.
    pub once: Option<Once>,
}

/// Where the operations of a request come from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// From whoever sends it.
    Client,
    /// From a task that is tried again.
    Task(TaskId),
}

impl Origin {
    /// A limit on what is read. What was accepted once is within it as it was sent, and may be longer as it is read back,
    /// with its ids.
    pub(crate) fn bounded(&self, limit: u64) -> u64 {
        match self {
            Self::Client => limit,
            Self::Task(_) => u64::MAX,
        }
    }
}

impl Engine {
    /// Makes a new task of the operations of another that failed or were cancelled, in their order. It is answered as a
    /// bulk request is. `parent` finds the task that is tried again, and is asked only where the request is new:
    /// `FAILED_PRECONDITION` where that has not ended, is no bulk task, or did all that it was to do.
    pub async fn retry(
        &self,
        place: InFlight,
        request: Retry,
        parent: impl Future<Output = Result<StoredTask, ErrorObject>> + Send,
    ) -> Result<Intake, ErrorObject> {
        let outcome = self.take_in_again(request, parent).await;
        drop(place);
        self.inner.counters.bulk(&outcome);
        outcome
    }

    async fn take_in_again(
        &self,
        request: Retry,
        parent: impl Future<Output = Result<StoredTask, ErrorObject>> + Send,
    ) -> Result<Intake, ErrorObject> {
        let source = self.source(&request.source).await?;
        let name = match &request.once {
            None => None,
            Some(once) => match self.take_name(&source, once).await? {
                Known::New(name) => Some(name),
                Known::Answered(answer) => return Ok(Intake::Replayed(once.replayed(answer)?.task_id)),
            },
        };
        let parent = parent.await?;
        let target = what_can_be_retried(&parent)?;
        let origin = Origin::Task(parent.task.id);
        let undone = [ReceiptStatus::Failure, ReceiptStatus::Cancelled];
        let lines = lines(SentOperations::new(self, parent, undone));
        let bulk = BulkRequest {
            source: request.source,
            target,
            format: BodyFormat::Ndjson,
            body_bytes: None,
            validate_only: false,
            receipts: request.receipts,
            once: request.once,
        };
        self.read_in(&source, bulk, origin, lines, name).await
    }
}

/// What the operations of a task are on; refuses one that cannot be tried again.
fn what_can_be_retried(parent: &StoredTask) -> Result<TargetType, ErrorObject> {
    let task = &parent.task;
    let refused = |why: &str| ErrorObject::failed_precondition(format!("task {} {why}", task.id));
    let target = task.target_type.filter(|_| task.id.kind == TaskKind::Bulk);
    let target = target.ok_or_else(|| {
        refused(
            "is no bulk task, and only those keep their operations to be tried again; send the request again",
        )
    })?;
    if task.completed_at.is_none() {
        return Err(refused(
            "has not ended; wait for its end, or cancel it, and retry it then",
        ));
    }
    if task.counts.failure + task.counts.cancelled == 0 {
        return Err(refused("has nothing to retry: all of its operations succeeded"));
    }
    Ok(target)
}

/// The operations one a line, a page at a time.
fn lines(sent: SentOperations) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    struct At {
        sent: SentOperations,
        /// The next operation to look at.
        from: u64,
    }
    let first = At { sent, from: 0 };
    stream::try_unfold(Some(first), |at| async move {
        let Some(at) = at else { return Ok(None) };
        let refused = |error| BodyError::Refused(error);
        let failed = |failure: StoreError| refused(error_object(failure));
        let (found, next) = at.sent.some(at.from, OPERATIONS_PAGE).await.map_err(failed)?;
        let bytes: usize = found.iter().map(|(_, sent)| sent.bytes()).sum();
        let mut lines = Vec::with_capacity(bytes.min(PAGE_BYTES_MAX) + found.len() * 128);
        for (_, operation) in &found {
            let task = at.sent.task();
            let of_type = task.types.get(operation.operation.type_index as usize);
            let of_type = of_type.ok_or_else(|| refused(internal()))?;
            let Some(body) = &operation.body else {
                return Err(refused(kept_no_longer(task)));
            };
            write_operation(&mut lines, of_type, operation, body);
            lines.push(b'\n');
        }
        let after = next.map(|next| At { from: next, ..at });
        Ok(Some((Bytes::from(lines), after)))
    })
}

fn kept_no_longer(parent: &StoredTask) -> ErrorObject {
    let id = parent.task.id;
    ErrorObject::not_found(format!(
        "operations of task {id} are kept no longer; send the request again"
    ))
    .with_code(410)
}
