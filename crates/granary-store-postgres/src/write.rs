//! Single writes and bundles: decided and written in one transaction, beside whatever the lane does.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use granary_core::decide::{Decision, Identified, Plan, RecordKey};
use granary_core::time::Timestamp;
use granary_store::{
    CheckedBatch, ReceiptsChunk, Record, Result, StoreError, TaskProgress, Write, Written, only_used, pack,
    written,
};

use crate::catalog::share_source;
use crate::current::{lock_ground, see_absent};
use crate::effects::{CASCADE_MAX, write_effects};
use crate::failure::Attempt;
use crate::lanes::{lock_intake, wake_lane};
use crate::packed::encode;
use crate::records::read_records;
use crate::session::{Session, params};
use crate::tasks::{NewTask, insert_receipts, insert_task};
use crate::{Inner, bucket_of, int4};

impl Inner {
    pub(crate) async fn write(&self, write: &Write, now: Timestamp) -> Result<Written> {
        self.check_open()?;
        self.transact_once(
            write.source.number,
            write.task_id.ksuid,
            |session: Arc<Session>| async move { self.write_in(&session, write, now).await },
        )
        .await
    }

    async fn write_in(&self, session: &Session, write: &Write, now: Timestamp) -> Attempt<Written> {
        let source = write.source.number;
        let batch = &write.batch;
        let plan = Plan::of(&batch.operations, &write.types).at_once(write.guard.as_ref());
        let plan = plan.with_versions(write.versions.as_deref());
        let (revision, ground) = futures::try_join!(
            share_source(session, &write.source),
            lock_ground(session, source, &plan, &batch.operations, &write.types),
        )?;
        // Those of the same name that held the locks have ended.
        let once = write.idempotent.as_ref();
        self.check_once(session, source, once).await?;
        if revision != write.definitions_revision {
            return Err(StoreError::DefinitionsChanged.into());
        }
        let sequence = ground.stamp;
        let decision = plan.decide(ground.current, now, ground.stamp);
        see_absent(session, source, &plan, &ground.stored, &decision).await?;
        if decision.failure_count() > 0 {
            return Ok(Written::Refused(decision.verdicts));
        }
        self.keep_answer(session, source, once, write.task_id, now)
            .await?;
        let kept = read_kept(session, source, &plan, &decision, batch).await?;
        let records = written(
            &plan,
            &decision,
            batch,
            |at| {
                Ok(kept
                    .get(&at)
                    .map_or_else(Bytes::new, |record| record.identifiers.clone()))
            },
            |at, _| Ok(kept.get(&at).cloned()),
        )?;

        let place = self.place(source, None, CASCADE_MAX);
        let effects = write_effects(session, &place, &plan, ground.stored, &decision, batch).await?;
        let total = batch.operations.len() as u64;
        let mut progress = TaskProgress::new(write.task_id, write.target_type, total, now);
        progress.advance(total, 0, now);
        let (types, operations) = only_used(&write.types, &batch.operations);
        let types_used: Vec<u32> = (0..types.len() as u32).collect();
        let task = NewTask {
            source,
            at_once: true,
            sequence,
            progress: &progress,
            types: &types,
            types_used: &types_used,
            bytes: 0,
            retry_of: None,
        };
        // What receipts need; the bodies are in the records.
        let operations = pack(&encode(&operations));
        let sql = "INSERT INTO granary.segment (bucket, source, ksuid, number, first, count, operations) \
                   VALUES ($1, $2, $3, 0, 0, $4, $5)";
        let spooled = params![
            bucket_of(source),
            int4(source),
            progress.ksuid.as_slice(),
            total as i32,
            operations
        ];
        let receipts = ReceiptsChunk::of(&decision.verdicts, now);
        futures::try_join!(
            insert_task(session, &task),
            session.execute_on(1, sql, spooled),
            insert_receipts(session, source, &progress.ksuid, 0, &receipts),
        )?;
        if effects.marked {
            lock_intake(session, source).await?;
            wake_lane(session, source).await?;
        }
        Ok(Written::Persisted {
            records,
            verdicts: decision.verdicts,
        })
    }
}

/// The stored records that a write leaves as they are, or whose identifiers it leaves, by their place in the plan.
async fn read_kept(
    session: &Session,
    source: u32,
    plan: &Plan<'_>,
    decision: &Decision,
    batch: &CheckedBatch,
) -> Attempt<HashMap<usize, Record>> {
    let leaves = |at: &usize| match decision.puts.iter().find(|put| put.record == *at) {
        Some(put) => put.identifiers == Identified::AsStored && put.head.identifiers.is_some(),
        None => !decision.deletes.contains(at),
    };
    let mut places: Vec<usize> = (0..batch.operations.len())
        .map(|index| plan.record_of(index))
        .collect();
    places.sort_unstable();
    places.dedup();
    places.retain(leaves);
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let wanted: Vec<RecordKey<'_>> = places.iter().map(|at| plan.records()[*at]).collect();
    let records = read_records(session, source, &wanted).await?;
    let found = places.into_iter().zip(records);
    Ok(found.filter_map(|(at, record)| Some((at, record?))).collect())
}
