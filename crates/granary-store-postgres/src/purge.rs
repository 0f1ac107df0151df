//! Purges, cancelling, and removing the edges under marks.

use std::collections::BTreeMap;
use std::sync::Arc;

use granary_core::ksuid::Ksuid;
use granary_core::operation::{Action, Operation, RecordId, TargetType, TypeRef};
use granary_core::task::TaskKind;
use granary_core::time::Timestamp;
use granary_store::{
    Budget, CheckedBatch, Purge, PurgeProgress, Result, Source, StoreError, StoredTask, TaskProgress,
};

use crate::current::{is_shown, next_stamps, parsed_id};
use crate::failure::Attempt;
use crate::packed::{decode, encode};
use crate::session::{Session, params};
use crate::tasks::{NewTask, insert_task, read_types, task_columns, task_row, update_task};
use crate::transact::Rules;
use crate::upload::admit;
use crate::{Inner, bucket_of, damaged, int4, int8, uint8};

/// The next records of a purge.
pub(crate) struct NextPurged {
    /// The operations that delete them.
    pub(crate) deletes: CheckedBatch,
    /// Behind the last that was looked at.
    pub(crate) after: Vec<u8>,
    /// Nothing comes after them.
    pub(crate) is_last: bool,
}

impl Inner {
    pub(crate) async fn accept_purge(&self, purge: &Purge, now: Timestamp) -> Result<StoredTask> {
        self.check_open()?;
        let source = &purge.source;
        let types = std::slice::from_ref(&purge.of_type);
        let accept = |session: Arc<Session>| async move {
            let once = purge.idempotent.as_ref();
            self.keep_answer(&session, source.number, once, purge.task_id, now)
                .await?;
            admit(
                &session,
                self.limits,
                source,
                types,
                &[0],
                purge.definitions_revision,
            )
            .await?;
            let sequence = next_stamps(&session, 1).await?;
            let target = purge.of_type.target_type();
            let progress = TaskProgress::new_purge(purge.task_id, target, sequence, now);
            let task = NewTask {
                source: source.number,
                at_once: false,
                sequence,
                progress: &progress,
                types,
                types_used: &[0],
                bytes: 0,
                retry_of: None,
            };
            insert_task(&session, &task).await?;
            crate::lanes::wake_lane(&session, source.number).await?;
            Ok(progress.stored(source.number, sequence, types.into()))
        };
        self.transact_once(source.number, purge.task_id.ksuid, accept)
            .await
    }

    /// Deletes of the next records that a purge names, locked, but for those that a single write or a bundle has written
    /// since it was accepted. Looks at as many as the budget has operations.
    pub(crate) async fn next_purged(
        &self,
        session: &Session,
        source: u32,
        of_type: &TypeRef,
        purge: &PurgeProgress,
        budget: Budget,
    ) -> Attempt<NextPurged> {
        let number = int4(of_type.number);
        let room = budget.operations.max(1) as i64;
        let (from, to): (String, String) = match purge.after.is_empty() {
            true => Default::default(),
            false => decode(&purge.after, "a purge")?,
        };
        let rows = match of_type.target_type() {
            TargetType::Resource => {
                let sql = "SELECT stamp, at_once, id, '' FROM granary.resource \
                           WHERE bucket = $1 AND source = $2 AND type = $3 AND id > $4 ORDER BY id LIMIT $5 FOR UPDATE";
                let of = params![bucket_of(source), int4(source), number, from.as_str(), room];
                session.query(sql, of).await?
            }
            TargetType::Relationship => {
                let ends = of_type
                    .edge
                    .as_ref()
                    .map(|ends| [ends.from.number, ends.to.number].map(int4));
                let [from_type, to_type] = ends.ok_or_else(|| damaged("an edge of a type that is none"))?;
                let sql = concat!(
                    "SELECT stamp, at_once, from_id, to_id FROM granary.edge e \
                     WHERE bucket = $1 AND source = $2 AND type = $3 AND (from_id, to_id) > ($4, $5) AND ",
                    is_shown!("$7", "$8"),
                    " ORDER BY from_id, to_id LIMIT $6 FOR UPDATE OF e"
                );
                let of = params![
                    bucket_of(source),
                    int4(source),
                    number,
                    from.as_str(),
                    to.as_str(),
                    room,
                    from_type,
                    to_type
                ];
                session.query(sql, of).await?
            }
        };
        let mut next = NextPurged {
            deletes: CheckedBatch::default(),
            after: purge.after.clone(),
            is_last: (rows.len() as i64) < room,
        };
        for row in &rows {
            let (stamp, at_once) = (uint8(row.get(0)), row.get::<_, bool>(1));
            let (near, far): (&str, &str) = (row.get(2), row.get(3));
            next.after = encode(&(near, far));
            if at_once && stamp >= purge.accepted_at {
                continue;
            }
            let id = match of_type.target_type() {
                TargetType::Resource => RecordId::Resource(parsed_id(near)?),
                TargetType::Relationship => RecordId::Relationship {
                    from: parsed_id(near)?,
                    to: parsed_id(far)?,
                },
            };
            next.deletes.push(Operation {
                action: Action::Delete,
                type_index: 0,
                id,
                hash: None,
                meta: None,
            });
        }
        Ok(next)
    }

    pub(crate) async fn cancel(&self, source: &Source, id: Ksuid, now: Timestamp) -> Result<StoredTask> {
        self.check_open()?;
        self.transact(Rules::DURABLE, |session: Arc<Session>| async move {
            crate::catalog::see_source(&session, source).await?;
            // A chunk that is under way ends first.
            let (bucket, number) = (bucket_of(source.number), int4(source.number));
            let sql = "SELECT 1 FROM granary.lane WHERE bucket = $1 AND source = $2 FOR NO KEY UPDATE";
            session.query_opt(sql, params![bucket, number]).await?;
            let sql = concat!(
                "SELECT ",
                task_columns!(),
                ", at_once FROM granary.task WHERE bucket = $1 AND source = $2 AND ksuid = $3"
            );
            let of = params![bucket, number, id.as_bytes().as_slice()];
            let row = session.query_opt(sql, of).await?;
            let row = row.ok_or_else(|| StoreError::no_task(&id))?;
            let mut task = task_row(&row)?;
            if task.progress.completed_at.is_some() {
                let ended = task.stored(source.number, [].into());
                return Err(StoreError::task_ended(&ended.task).into());
            }
            task.progress.cancel(now);
            update_task(&session, source.number, &task).await?;
            // Those who ended at an operation of it say nothing of the one that comes next.
            let sql = "UPDATE granary.lane SET attempts = 0, trier = NULL, deaths = 0 \
                       WHERE bucket = $1 AND source = $2 AND NOT EXISTS (SELECT FROM granary.task \
                       WHERE bucket = $1 AND source = $2 AND completed_at IS NULL AND sequence < $3)";
            let of = params![bucket, number, int8(task.sequence)];
            session.execute(sql, of).await?;
            let types = read_types(&session, source.number, task.sequence).await?;
            Ok(task.stored(source.number, types))
        })
        .await
    }

    /// Removes so many of the edges under the marks of a source, and with the last of them the marks.
    pub(crate) async fn sweep(&self, session: &Session, source: u32, rows_max: usize) -> Attempt<()> {
        let (bucket, number) = (bucket_of(source), int4(source));
        let marks =
            "SELECT type, id, stamp FROM granary.mark WHERE bucket = $1 AND source = $2 ORDER BY type, id";
        let marks = session.query(marks, params![bucket, number]).await?;
        let most = rows_max.max(1) as i64;
        let edges = session.query(UNDER_MARKS, params![bucket, number, most]).await?;
        let mut counted: BTreeMap<i64, u64> = BTreeMap::new();
        let (mut numbers, mut froms, mut tos, mut stamps) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut seen = 0;
        for row in &edges {
            numbers.push(row.get::<_, i32>(0));
            froms.push(row.get::<_, &str>(1));
            tos.push(row.get::<_, &str>(2));
            stamps.push(row.get::<_, i64>(3));
            if let Some(sequence) = row.get::<_, Option<i64>>(4) {
                *counted.entry(sequence).or_default() += 1;
            }
            seen += row.get::<_, i64>(5);
        }
        // Not one that was written anew meanwhile.
        let sql = "DELETE FROM granary.edge WHERE ctid = ANY (ARRAY(\
                   SELECT e.ctid FROM unnest($3::int4[], $4::text[], $5::text[], $6::int8[]) \
                   u (type, from_id, to_id, stamp) \
                   CROSS JOIN LATERAL (SELECT e.ctid FROM granary.edge e WHERE e.bucket = $1 AND e.source = $2 \
                   AND e.type = u.type AND e.from_id = u.from_id AND e.to_id = u.to_id AND e.stamp = u.stamp \
                   FOR UPDATE) e)) AND bucket + 0 = $1 AND source + 0 = $2";
        let count = froms.len();
        session
            .execute_on(count, sql, params![bucket, number, numbers, froms, tos, stamps])
            .await?;
        for (sequence, removed) in counted {
            self.count_removed(session, source, uint8(sequence), removed)
                .await?;
        }
        if seen < most {
            // All of them are done, but for one that was moved since: there the edges are looked at again.
            let types: Vec<i32> = marks.iter().map(|row| row.get(0)).collect();
            let ids: Vec<&str> = marks.iter().map(|row| row.get(1)).collect();
            let stamps: Vec<i64> = marks.iter().map(|row| row.get(2)).collect();
            let sql = "DELETE FROM granary.mark m USING unnest($3::int4[], $4::text[], $5::int8[]) u (type, id, stamp) \
                       WHERE m.bucket = $1 AND m.source = $2 AND m.type = u.type AND m.id = u.id \
                       AND m.stamp = u.stamp";
            session
                .execute(sql, params![bucket, number, types, ids, stamps])
                .await?;
        }
        Ok(())
    }

    /// Adds to what a purge has removed; also to one that was cancelled: these edges went with what it had deleted.
    async fn count_removed(
        &self,
        session: &Session,
        source: u32,
        sequence: u64,
        removed: u64,
    ) -> Attempt<()> {
        let sql = concat!(
            "SELECT ",
            task_columns!(),
            " FROM granary.task WHERE bucket = $1 AND source = $2 AND NOT at_once AND sequence = $3"
        );
        let of = params![bucket_of(source), int4(source), int8(sequence)];
        let Some(row) = session.query_opt(sql, of).await? else {
            // It was cancelled, and is kept no longer.
            return Ok(());
        };
        let mut task = task_row(&row)?;
        if task.progress.kind == TaskKind::Purge
            && let Some(purge) = &mut task.progress.purge
        {
            purge.deleted.relationships += removed;
            update_task(session, source, &task).await?;
        }
        Ok(())
    }
}

/// Edges that went with one of their ends, each once, with the purge that counts it and how often it was seen. `OFFSET 0`
/// keeps the planner from going the other way, from all edges of the source to the marks.
const UNDER_MARKS: &str = "SELECT type, from_id, to_id, stamp, max(purge), count(*) FROM (\
     SELECT e.type, e.from_id, e.to_id, e.stamp, m.purge FROM granary.mark m \
     JOIN granary.definition d ON d.bucket = $1 AND d.source = $2 AND d.from_number = m.type \
     CROSS JOIN LATERAL (SELECT * FROM granary.edge e WHERE e.bucket = $1 AND e.source = $2 AND e.type = d.number \
     AND e.from_id = m.id AND e.stamp < m.stamp OFFSET 0) e WHERE m.bucket = $1 AND m.source = $2 \
     UNION ALL \
     SELECT e.type, e.from_id, e.to_id, e.stamp, m.purge FROM granary.mark m \
     JOIN granary.definition d ON d.bucket = $1 AND d.source = $2 AND d.to_number = m.type \
     CROSS JOIN LATERAL (SELECT * FROM granary.edge e WHERE e.bucket = $1 AND e.source = $2 AND e.type = d.number \
     AND e.to_id = m.id AND e.stamp < m.stamp OFFSET 0) e WHERE m.bucket = $1 AND m.source = $2 \
     LIMIT $3) e GROUP BY type, from_id, to_id, stamp ORDER BY type, from_id, to_id";
