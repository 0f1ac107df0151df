//! Operations of a task read back as they were accepted. Those of a small request are in `spool` with their bodies,
//! those of a large one in segments: their files of operations stay as long as the task, and the files of bodies may be
//! collected.

use bytes::Bytes;
use fjall::{Readable, Snapshot};
use granary_core::operation::{Action, Operation};
use granary_store::{Result, SentOperation, StoreError, StoredTask, take_page};

use crate::keys::{TaskClass, TaskPlace};
use crate::read::class_of;
use crate::rows::{self, InlineRow, OperationRow, Place, SegmentRow, Spool};
use crate::segment::{OPERATIONS_PER_BLOCK, body_at};
use crate::{Inner, engine};

impl Inner {
    /// The operations of a task with these indices.
    pub(crate) fn sent(&self, task: &StoredTask, wanted: &[u64]) -> Result<Vec<SentOperation>> {
        if self.source_numbered(task.source).is_none() {
            return Err(StoreError::task_gone(task.task.id));
        }
        let place = TaskPlace {
            source: task.source,
            class: class_of(task.task.id.kind),
            sequence: task.sequence,
        };
        let now = self.sync.published();
        self.see_task(&now, &place, task)?;
        if task.task.deleted.is_some() {
            return Ok(Vec::new());
        }
        let there = wanted.iter().filter(|index| **index < task.task.counts.total);
        match self.spec(&now, &place)?.spool {
            Spool::Inline => {
                let row = self.inline(&now, &place)?;
                take_page(
                    there.map(|index| inline_at(&row, place.class, *index)),
                    wanted.len(),
                )
            }
            Spool::Segments(segments) => {
                let mut open = OpenBlock::default();
                let read = there.map(|index| {
                    let at = segments.partition_point(|(_, first)| first <= index);
                    let (segment, first) = at.checked_sub(1).map(|at| segments[at]).ok_or_else(missing)?;
                    self.seek(&now, &mut open, segment, (index - first) / OPERATIONS_PER_BLOCK)?;
                    let row = open.rows.get(((index - first) % OPERATIONS_PER_BLOCK) as usize);
                    self.segment_row(*index, row.ok_or_else(missing)?, open.bodies_kept)
                });
                take_page(read, wanted.len())
            }
        }
    }

    /// Opens a block of operations, unless it is the one that is open.
    fn seek(&self, now: &Snapshot, open: &mut OpenBlock, segment: u32, block: u64) -> Result<()> {
        if open.at == Some((segment, block)) {
            return Ok(());
        }
        let row = now
            .get(&self.keyspaces.segments, segment.to_be_bytes())
            .map_err(engine)?;
        let row: SegmentRow = rows::decode(&row.ok_or_else(missing)?, "segments")?;
        *open = OpenBlock {
            at: Some((segment, block)),
            // This snapshot holds the file where its row still has it.
            bodies_kept: row.bodies_bytes > 0,
            rows: self.segment(segment)?.operations(block)?,
        };
        Ok(())
    }

    fn segment_row(&self, index: u64, row: &OperationRow, bodies_kept: bool) -> Result<SentOperation> {
        let mut operation = row.operation.clone();
        if !bodies_kept && (row.place, row.meta) != (Place::Nowhere, Place::Nowhere) {
            return Ok(SentOperation::removed(index, operation));
        }
        operation.meta = self.meta_at(row.meta)?;
        let body = match row.place {
            Place::Segment {
                segment,
                block,
                offset,
            } => {
                let bytes = self
                    .blocks
                    .get(segment, block, || self.segment(segment)?.bodies(block))?;
                // Not a slice, which would hold all of the block.
                Bytes::copy_from_slice(body_at(&bytes, offset).ok_or_else(missing)?)
            }
            Place::Nowhere | Place::Bodies => Bytes::new(),
        };
        Ok(SentOperation {
            index,
            operation,
            body: Some(body),
        })
    }
}

/// The block of operations that was read last.
#[derive(Default)]
struct OpenBlock {
    at: Option<(u32, u64)>,
    bodies_kept: bool,
    rows: Vec<OperationRow>,
}

fn inline_at(row: &InlineRow, class: TaskClass, index: u64) -> Result<SentOperation> {
    let at = usize::try_from(index).map_err(|_| missing())?;
    let operation: Operation = row.operations.get(at).ok_or_else(missing)?.clone();
    if class == TaskClass::AtOnce && operation.action != Action::Delete {
        // The body is that of the record alone.
        return Ok(SentOperation::removed(index, operation));
    }
    let start = match at.checked_sub(1) {
        None => Some(&0),
        Some(before) => row.body_ends.get(before),
    };
    let body = start.zip(row.body_ends.get(at));
    let body = body.and_then(|(start, end)| row.bodies.get(*start..*end));
    Ok(SentOperation {
        index,
        operation,
        body: Some(Bytes::copy_from_slice(body.ok_or_else(missing)?)),
    })
}

fn missing() -> StoreError {
    StoreError::Damaged("the operations of a task are missing".into())
}
