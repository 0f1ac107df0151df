//! Tasks and their receipts as they are read, and the row of a task.

use std::collections::HashMap;
use std::sync::Arc;

use granary_core::ksuid::Ksuid;
use granary_core::operation::{Operation, TargetType, TypeRef};
use granary_core::receipt::Receipt;
use granary_core::task::{TaskId, TaskKind};
use granary_store::{
    Decided, PurgeProgress, ReceiptsChunk, Result, Source, StoreError, StoredTask, TaskFilter, TaskProgress,
    unpack,
};
use tokio_postgres::Row;

use crate::catalog::see_source;
use crate::failure::Attempt;
use crate::packed::{decode, encode};
use crate::retention::TASK_IS_THERE;
use crate::session::{Session, params};
use crate::{Inner, bucket_of, damaged, int4, int8, uint8};

/// Tasks that are looked at together for a list.
const LOOK_AT: i64 = 256;

/// A task at a moment.
pub(crate) struct TaskRow {
    pub(crate) sequence: u64,
    pub(crate) progress: TaskProgress,
    /// The task that it is a retry of.
    pub(crate) retry_of: Option<TaskId>,
}

impl TaskRow {
    pub(crate) fn stored(&self, source: u32, types: Arc<[TypeRef]>) -> StoredTask {
        let stored = self.progress.stored(source, self.sequence, types);
        stored.retrying(self.retry_of)
    }
}

/// The columns that [`task_row`] reads, in their order.
macro_rules! task_columns {
    () => {
        "sequence, ksuid, kind, target, total, cursor, failures, created_at, started_at, completed_at, cancelled, purge, \
         retry_of"
    };
}
pub(crate) use task_columns;

/// How many columns [`task_row`] reads.
const TASK_COLUMNS: usize = 13;

pub(crate) fn ksuid_of(bytes: &[u8]) -> Attempt<Ksuid> {
    let bytes = <[u8; 20]>::try_from(bytes).map_err(|_| damaged("the id of a task"))?;
    Ok(Ksuid::from_bytes(bytes))
}

/// The kinds of tasks by their numbers in the database.
const KINDS: [TaskKind; 4] = [
    TaskKind::Bulk,
    TaskKind::Single,
    TaskKind::Bundle,
    TaskKind::Purge,
];

fn kind_number(kind: TaskKind) -> i16 {
    match kind {
        TaskKind::Bulk => 0,
        TaskKind::Single => 1,
        TaskKind::Bundle => 2,
        TaskKind::Purge => 3,
    }
}

fn target_number(target: TargetType) -> i16 {
    match target {
        TargetType::Resource => 0,
        TargetType::Relationship => 1,
    }
}

/// The kind with this number.
pub(crate) fn kind_of(number: i16) -> Attempt<TaskKind> {
    let kind = usize::try_from(number).ok().and_then(|number| KINDS.get(number));
    Ok(*kind.ok_or_else(|| damaged("the kind of a task"))?)
}

pub(crate) fn task_row(row: &Row) -> Attempt<TaskRow> {
    let target_type = match row.get::<_, Option<i16>>(3) {
        None => None,
        Some(0) => Some(TargetType::Resource),
        Some(_) => Some(TargetType::Relationship),
    };
    let purge: Option<&[u8]> = row.get(11);
    // What is tried again is always a bulk task.
    let retry_of: Option<&[u8]> = row.get(12);
    let parent = |id| -> Attempt<TaskId> {
        Ok(TaskId {
            kind: TaskKind::Bulk,
            ksuid: ksuid_of(id)?,
        })
    };
    Ok(TaskRow {
        sequence: uint8(row.get(0)),
        progress: TaskProgress {
            kind: kind_of(row.get(2))?,
            ksuid: *ksuid_of(row.get(1))?.as_bytes(),
            target_type,
            total: uint8(row.get(4)),
            cursor: uint8(row.get(5)),
            failures: uint8(row.get(6)),
            created_at: row.get(7),
            started_at: row.get(8),
            completed_at: row.get(9),
            cancelled: row.get(10),
            purge: purge
                .map(|bytes| decode::<PurgeProgress>(bytes, "a purge"))
                .transpose()?,
        },
        retry_of: retry_of.map(parent).transpose()?,
    })
}

/// Everything of a task that is written with it and never changes.
pub(crate) struct NewTask<'a> {
    pub(crate) source: u32,
    pub(crate) at_once: bool,
    pub(crate) sequence: u64,
    pub(crate) progress: &'a TaskProgress,
    pub(crate) types: &'a [TypeRef],
    /// Which of the types its operations name.
    pub(crate) types_used: &'a [u32],
    /// Bytes that are spooled for it.
    pub(crate) bytes: u64,
    /// The bulk task that it is a retry of.
    pub(crate) retry_of: Option<TaskId>,
}

/// Writes a new task.
pub(crate) async fn insert_task(session: &Session, task: &NewTask<'_>) -> Attempt<()> {
    let progress = task.progress;
    let used = task.types_used.iter().map(|index| &task.types[*index as usize]);
    let mut numbers: Vec<i32> = used
        .flat_map(|of_type| {
            let ends = of_type
                .edge
                .as_ref()
                .map(|edge| [edge.from.number, edge.to.number]);
            std::iter::once(of_type.number).chain(ends.into_iter().flatten())
        })
        .map(int4)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let sql = "INSERT INTO granary.task (bucket, source, at_once, sequence, ksuid, kind, target, total, cursor, \
               failures, created_at, started_at, completed_at, cancelled, purge, types, type_numbers, bytes, retry_of) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";
    let row = params![
        bucket_of(task.source),
        int4(task.source),
        task.at_once,
        int8(task.sequence),
        progress.ksuid.as_slice(),
        kind_number(progress.kind),
        progress.target_type.map(target_number),
        int8(progress.total),
        int8(progress.cursor),
        int8(progress.failures),
        progress.created_at,
        progress.started_at,
        progress.completed_at,
        progress.cancelled,
        progress.purge.as_ref().map(encode),
        encode(&task.types),
        numbers,
        int8(task.bytes),
        task.retry_of.map(|parent| parent.ksuid.as_bytes().to_vec()),
    ];
    session.execute_on(1, sql, row).await
}

/// Writes how far a task is.
pub(crate) async fn update_task(session: &Session, source: u32, task: &TaskRow) -> Attempt<()> {
    let progress = &task.progress;
    let sql = "UPDATE granary.task SET total = $4, cursor = $5, failures = $6, started_at = $7, completed_at = $8, \
               cancelled = $9, purge = $10 WHERE bucket = $1 AND source = $2 AND NOT at_once AND sequence = $3";
    let row = params![
        bucket_of(source),
        int4(source),
        int8(task.sequence),
        int8(progress.total),
        int8(progress.cursor),
        int8(progress.failures),
        progress.started_at,
        progress.completed_at,
        progress.cancelled,
        progress.purge.as_ref().map(encode),
    ];
    session.execute_on(1, sql, row).await
}

/// Writes the receipts of a chunk.
pub(crate) async fn insert_receipts(
    session: &Session,
    source: u32,
    ksuid: &[u8; 20],
    first: u64,
    receipts: &ReceiptsChunk,
) -> Attempt<()> {
    let sql = "INSERT INTO granary.receipts (bucket, source, ksuid, first, count, body) VALUES ($1, $2, $3, $4, $5, $6)";
    let row = params![
        bucket_of(source),
        int4(source),
        ksuid.as_slice(),
        int8(first),
        int4(receipts.count),
        receipts.compressed(),
    ];
    session.execute_on(1, sql, row).await
}

fn stored(row: &Row, source: u32) -> Attempt<StoredTask> {
    let task = task_row(row)?;
    let types: Vec<TypeRef> = decode(row.get(TASK_COLUMNS), "the types of a task")?;
    Ok(task.stored(source, types.into()))
}

impl Inner {
    pub(crate) async fn task(&self, source: &Source, id: Ksuid) -> Result<Option<StoredTask>> {
        self.read(|session: Arc<Session>| async move {
            let sql = concat!(
                "SELECT ",
                task_columns!(),
                ", types FROM granary.task WHERE bucket = $1 AND source = $2 AND ksuid = $3"
            );
            let of = params![
                bucket_of(source.number),
                int4(source.number),
                id.as_bytes().as_slice()
            ];
            let (row, _) = futures::try_join!(session.query_opt(sql, of), see_source(&session, source))?;
            row.map(|row| stored(&row, source.number)).transpose()
        })
        .await
    }

    pub(crate) async fn tasks(
        &self,
        source: &Source,
        filter: &TaskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredTask>> {
        let at_once = matches!(filter.kind, Some(TaskKind::Single | TaskKind::Bundle));
        self.read(|session: Arc<Session>| async move {
            see_source(&session, source).await?;
            if limit == 0 {
                return Ok(Vec::new());
            }
            let mut before = before.map_or(i64::MAX, int8);
            let mut found = Vec::new();
            loop {
                let sql = concat!(
                    "SELECT ",
                    task_columns!(),
                    ", types FROM granary.task WHERE bucket = $1 AND source = $2 AND at_once = $3 AND sequence < $4 \
                     AND ($5::int2 IS NULL OR kind = $5) ORDER BY sequence DESC LIMIT $6"
                );
                let of = params![
                    bucket_of(source.number),
                    int4(source.number),
                    at_once,
                    before,
                    filter.kind.map(kind_number),
                    LOOK_AT,
                ];
                let rows = session.query(sql, of).await?;
                for row in &rows {
                    before = row.get(0);
                    let task = stored(row, source.number)?;
                    if filter.admits(&task.task) {
                        found.push(task);
                    }
                    if found.len() == limit {
                        return Ok(found);
                    }
                }
                if rows.len() < LOOK_AT as usize {
                    return Ok(found);
                }
            }
        })
        .await
    }

    pub(crate) async fn receipts(&self, task: &StoredTask, from: u64, limit: usize) -> Result<Vec<Receipt>> {
        let total = task.task.counts.total;
        // The first and the last that are asked for; a purge has no operations.
        let to = from.saturating_add(limit as u64).min(total);
        let gone = || StoreError::task_gone(task.task.id);
        self.read(|session: Arc<Session>| async move {
            let (bucket, source) = (bucket_of(task.source), int4(task.source));
            let id = task.task.id.ksuid;
            let range = || params![bucket, source, id.as_bytes().to_vec(), int8(from), int8(to)];
            let spooled = "SELECT first, operations FROM granary.segment WHERE bucket = $1 AND source = $2 \
                           AND ksuid = $3 AND first + count > $4 AND first < $5 ORDER BY number";
            let decided = "SELECT first, body FROM granary.receipts WHERE bucket = $1 AND source = $2 \
                           AND ksuid = $3 AND first + count > $4 AND first < $5 ORDER BY first";
            let there = params![bucket, source, id.as_bytes().to_vec()];
            let (segments, chunks, alive) = futures::try_join!(
                session.query(spooled, range()),
                session.query(decided, range()),
                session.query_opt(TASK_IS_THERE, there),
            )?;
            if alive.is_none() {
                return Err(gone().into());
            }
            if task.task.id.kind == TaskKind::Purge {
                return Ok(Vec::new());
            }
            let mut decided = HashMap::new();
            for row in &chunks {
                let chunk = ReceiptsChunk::decompressed(row.get(1))?;
                for (index, place) in (uint8(row.get(0))..).zip(0..chunk.count) {
                    decided.extend(chunk.decided(place)?.map(|decided| (index, decided)));
                }
            }
            let mut receipts = Vec::with_capacity(to.saturating_sub(from) as usize);
            for row in &segments {
                let first = uint8(row.get(0));
                let operations = read_operations(row.get(1))?;
                for (index, operation) in (first..)
                    .zip(&operations)
                    .filter(|(index, _)| (from..to).contains(index))
                {
                    receipts.push(match decided.remove(&index) {
                        // What was decided after the task was read is not shown.
                        _ if index >= task.cursor => task.pending_receipt(index, operation),
                        Some(Decided { at, unchanged, error }) => {
                            task.decided_receipt(index, operation, at, unchanged, error)
                        }
                        None => return Err(damaged("an operation has no receipt").into()),
                    });
                }
            }
            if receipts.len() as u64 != to.saturating_sub(from) {
                return Err(damaged("operations of a task are missing").into());
            }
            Ok(receipts)
        })
        .await
    }
}

/// The operations of a segment.
pub(crate) fn read_operations(bytes: &[u8]) -> Result<Vec<Operation>> {
    decode(&unpack(bytes, "operations of a task")?, "operations of a task")
}

/// The types of a task.
pub(crate) async fn read_types(session: &Session, source: u32, sequence: u64) -> Attempt<Arc<[TypeRef]>> {
    let sql =
        "SELECT types FROM granary.task WHERE bucket = $1 AND source = $2 AND NOT at_once AND sequence = $3";
    let row = session
        .query_one(sql, params![bucket_of(source), int4(source), int8(sequence)])
        .await?;
    let types: Vec<TypeRef> = decode(row.get(0), "the types of a task")?;
    Ok(types.into())
}
