//! Tasks that are not a list of operations, or end before theirs do: purges, and cancelling.

use fjall::{Readable, Snapshot};
use granary_core::ksuid::Ksuid;
use granary_core::operation::{Action, Operation, RecordId, TargetType, TypeRef};
use granary_core::time::Timestamp;
use granary_store::{
    Budget, CheckedBatch, Purge, PurgeProgress, Result, Source, StoreError, StoredTask, TaskProgress,
};

use crate::effects::edge_ends;
use crate::keys::{self, TaskClass, TaskPlace};
use crate::rows::{self, HeadRow, InlineRow, LaneRow, SpecRow, Spool};
use crate::{Inner, engine, lock};

/// The next records of a purge.
pub(crate) struct NextPurged {
    /// The operations that delete them.
    pub(crate) deletes: CheckedBatch,
    /// The last key that was looked at.
    pub(crate) after: Vec<u8>,
    /// Nothing comes after them.
    pub(crate) is_last: bool,
}

impl Inner {
    pub(crate) fn accept_purge(&self, purge: &Purge, now: Timestamp) -> Result<StoredTask> {
        let state = self.state_of(&purge.source)?;
        let mut writer = self.writer_of(&state)?;
        if let Err(answered) = self.check_once(purge.source.number, purge.idempotent.as_ref()) {
            drop(writer);
            self.sync.wait(self.sync.last_commit())?;
            return Err(answered);
        }
        self.limits.admit_task(writer.queue.len() as u64)?;
        let definitions = state.definitions();
        let types = vec![purge.of_type.clone()];
        if definitions.revision != purge.definitions_revision {
            definitions.still_define(&types, [0])?;
        }
        let place = state.lane_task(writer.lane.lane_next);
        let target = purge.of_type.target_type();
        let task = TaskProgress::new_purge(purge.task_id, target, writer.lane.stamp_next, now);
        let spec = SpecRow {
            types,
            types_used: vec![0],
            spool: Spool::Inline,
            bytes: 0,
        };
        let mut batch = self.db.batch();
        self.write_task(&mut batch, &place, &task, &spec, Some(&InlineRow::default()));
        let once = purge.idempotent.as_ref();
        self.keep_answer(&mut batch, place.source, once, purge.task_id, now);
        let row = LaneRow {
            lane_next: place.sequence + 1,
            ..writer.lane.clone()
        };
        batch.insert(
            &self.keyspaces.lanes,
            place.source.to_be_bytes(),
            rows::encode(&row),
        );
        self.commit(batch)?;
        writer.lane = row;
        writer.queue.push_back(place.sequence);
        let commit = self.sync.committed();
        lock(&self.lanes).wake(place.source);
        drop(writer);
        self.sync.wait(commit)?;
        Ok(task.stored(place.source, place.sequence, spec.types.into()))
    }

    /// Deletes of the next records that a purge names, but for those that a single write or a bundle has written since
    /// it was accepted. Looks at as many as the budget has operations.
    pub(crate) fn next_purged(
        &self,
        latest: &Snapshot,
        source: u32,
        of_type: &TypeRef,
        purge: &PurgeProgress,
        budget: Budget,
    ) -> Result<NextPurged> {
        let prefix = keys::of_type(source, of_type.number);
        let start = match purge.after.is_empty() {
            true => prefix.clone(),
            false => keys::after(purge.after.clone()),
        };
        let keyspace = match of_type.target_type() {
            TargetType::Resource => &self.keyspaces.heads,
            TargetType::Relationship => &self.keyspaces.edges,
        };
        let mut next = NextPurged {
            deletes: CheckedBatch::default(),
            after: purge.after.clone(),
            is_last: true,
        };
        for (looked_at, row) in latest.range(keyspace, start..).enumerate() {
            let (key, value) = row.into_inner().map_err(engine)?;
            if !key.starts_with(&prefix) {
                break;
            }
            if looked_at == budget.operations.max(1) {
                next.is_last = false;
                break;
            }
            next.after = key.to_vec();
            let row: HeadRow = rows::decode(&value, "heads")?;
            if row.at_once && row.stamp >= purge.accepted_at {
                continue;
            }
            let id = match of_type.target_type() {
                TargetType::Resource => {
                    keys::resource_id(&key).ok_or_else(|| StoreError::Damaged("a key of heads".into()))?
                }
                TargetType::Relationship => {
                    let (from, to) = edge_ends(&key)?;
                    RecordId::Relationship { from, to }
                }
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

    pub(crate) fn cancel(&self, source: &Source, id: Ksuid, now: Timestamp) -> Result<StoredTask> {
        let state = self.state_of(source)?;
        let mut writer = self.writer_of(&state)?;
        let latest = self.db.snapshot();
        let place = self
            .task_place(&latest, source.number, id)?
            .ok_or_else(|| StoreError::no_task(&id))?;
        let mut task = self.task_row(&latest, &place)?;
        let spec = self.spec(&latest, &place)?;
        let retry_of = self.lineage(&latest, &place)?;
        let TaskPlace { class, sequence, .. } = place;
        if class != TaskClass::Lane || task.ended() {
            let ended = self.sync.last_commit();
            drop(writer);
            self.sync.wait(ended)?;
            return Err(StoreError::task_ended(
                &task.stored(source.number, sequence, spec.types.into()).task,
            ));
        }
        task.cancel(now);
        let mut queue = writer.queue.clone();
        queue.retain(|waiting| *waiting != sequence);
        let row = LaneRow {
            lane_head: queue.front().copied().unwrap_or(writer.lane.lane_next),
            ..writer.lane.clone()
        };
        let mut batch = self.db.batch();
        batch.insert(&self.keyspaces.tasks, place.key(), rows::encode(&task));
        batch.insert(
            &self.keyspaces.lanes,
            source.number.to_be_bytes(),
            rows::encode(&row),
        );
        self.commit(batch)?;
        (writer.lane, writer.queue) = (row, queue);
        self.spooled
            .fetch_sub(spec.bytes, std::sync::atomic::Ordering::Relaxed);
        let commit = self.sync.committed();
        drop(writer);
        self.sync.wait(commit)?;
        let stored = task.stored(source.number, sequence, spec.types.into());
        Ok(stored.retrying(retry_of))
    }
}
