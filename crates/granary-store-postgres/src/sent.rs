//! Operations of a task read back as they were accepted. The bodies of a segment are freed when all of its operations
//! have succeeded; those with one that failed, and what was not applied, keep them as long as the task.

use std::sync::Arc;

use bytes::Bytes;
use granary_core::operation::Action;
use granary_core::task::TaskKind;
use granary_store::{CheckedBatch, PAGE_BYTES_MAX, Result, SentOperation, StoreError, StoredTask, Weighed};

use crate::chunk::with_bodies;
use crate::failure::Attempt;
use crate::retention::TASK_IS_THERE;
use crate::session::{Session, params};
use crate::tasks::read_operations;
use crate::{Inner, bucket_of, damaged, int4, int8, uint8};

impl Inner {
    /// The operations of a task with these indices.
    pub(crate) async fn sent(&self, task: &StoredTask, wanted: &[u64]) -> Result<Vec<SentOperation>> {
        let total = match task.task.id.kind {
            TaskKind::Purge => 0,
            _ => task.task.counts.total,
        };
        self.read(|session: Arc<Session>| async move {
            let (mut page, mut bytes): (Vec<SentOperation>, usize) = (Vec::new(), 0);
            let mut missing = false;
            let mut open: Option<OpenSegment> = None;
            for index in wanted.iter().copied().filter(|index| *index < total) {
                let from = match &open {
                    Some(segment) if segment.holds(index) => None,
                    // Where indices do not ascend all are looked at.
                    Some(segment) if index > segment.first => Some(segment.number),
                    _ => Some(0),
                };
                if let Some(from) = from {
                    open = read_segment(&session, task, from, index).await?;
                }
                let Some(segment) = open.as_ref().filter(|segment| segment.holds(index)) else {
                    missing = true;
                    break;
                };
                let sent = segment.operation(index);
                bytes += sent.bytes();
                page.push(sent);
                if bytes >= PAGE_BYTES_MAX {
                    break;
                }
            }
            let of = params![
                bucket_of(task.source),
                int4(task.source),
                task.task.id.ksuid.as_bytes().as_slice()
            ];
            match session.query_opt(TASK_IS_THERE, of).await? {
                None => Err(StoreError::task_gone(task.task.id).into()),
                Some(_) if missing => Err(damaged("operations of a task are missing").into()),
                Some(_) => Ok(page),
            }
        })
        .await
    }
}

/// A segment that was read, with its bodies where it still has them.
struct OpenSegment {
    number: i32,
    first: u64,
    batch: CheckedBatch,
    bodies_kept: bool,
}

impl OpenSegment {
    fn holds(&self, index: u64) -> bool {
        index >= self.first && index - self.first < self.batch.operations.len() as u64
    }

    /// The operation with this index, which it holds.
    fn operation(&self, index: u64) -> SentOperation {
        let at = (index - self.first) as usize;
        let operation = self.batch.operations[at].clone();
        match self.bodies_kept || operation.action == Action::Delete {
            true => SentOperation {
                index,
                operation,
                body: Some(Bytes::copy_from_slice(self.batch.body(at))),
            },
            false => SentOperation::removed(index, operation),
        }
    }
}

/// The segment with this operation, looked for from this one on.
async fn read_segment(
    session: &Session,
    task: &StoredTask,
    from: i32,
    index: u64,
) -> Attempt<Option<OpenSegment>> {
    let sql = "SELECT number, first, operations, bodies FROM granary.segment \
               WHERE bucket = $1 AND source = $2 AND ksuid = $3 AND number >= $4 AND first + count > $5 \
               ORDER BY number LIMIT 1";
    let of = params![
        bucket_of(task.source),
        int4(task.source),
        task.task.id.ksuid.as_bytes().as_slice(),
        from,
        int8(index)
    ];
    let Some(row) = session.query_opt(sql, of).await? else {
        return Ok(None);
    };
    let operations = read_operations(row.get(2))?;
    let bodies: Option<&[u8]> = row.get(3);
    let batch = match bodies {
        Some(bodies) => with_bodies(operations, bodies)?,
        None => CheckedBatch {
            body_ends: vec![0; operations.len()],
            operations,
            bodies: Vec::new(),
        },
    };
    Ok(Some(OpenSegment {
        number: row.get(0),
        first: uint8(row.get(1)),
        batch,
        bodies_kept: bodies.is_some(),
    }))
}
