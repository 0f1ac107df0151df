//! Tasks: each is found by its id, has its operations, and a receipt for each that is decided; answers to requests that
//! are carried out once.

use granary_core::ksuid::Ksuid;
use granary_store::{CheckReport, ReceiptsChunk, Result, StoreError, TaskProgress};

use super::{Checking, Source, words};
use crate::answers::time_key;
use crate::engine;
use crate::keys::{self, TaskClass, TaskPlace};
use crate::rows::{self, AnswerRow, InlineRow, RemovedRow, SegmentRow, SpecRow, Spool};
use crate::segment::Segment;

const REMEDY: &str =
    "records are not affected; what this task tells of itself is not to be relied on, until it is removed";

impl Checking<'_> {
    pub(super) fn tasks(&mut self, source: &Source) {
        let keyspaces = self.keyspaces;
        for class in [TaskClass::Lane, TaskClass::AtOnce] {
            let prefix = TaskPlace::prefix(source.number, class);
            self.walk("tasks", &keyspaces.tasks, &prefix, |checking, key, value| {
                let sequence = keys::last_number(key).ok_or_else(|| wrong("is no key"))?;
                let place = TaskPlace {
                    source: source.number,
                    class,
                    sequence,
                };
                let task: TaskProgress = rows::decode(value, "tasks")?;
                checking.report.looked_at("tasks", 1);
                if let Err(error) = checking.task(&place, &task) {
                    let what = format!("source '{}': task {}: {}", source.key, task.id(), words(&error));
                    checking.report.found(what, REMEDY);
                }
                Ok(())
            });
        }
        self.removed(source);
        let prefix = source.number.to_be_bytes();
        self.walk(
            "task_ids",
            &keyspaces.task_ids,
            &prefix,
            |_, _, place| match keyspaces.tasks.contains_key(place).map_err(engine)? {
                true => Ok(()),
                false => Err(wrong("names a task that is not there")),
            },
        );
        self.walk("answers", &keyspaces.answers, &prefix, |checking, key, value| {
            checking.report.looked_at("idempotency keys", 1);
            let row: AnswerRow = rows::decode(value, "answers")?;
            let by_time = time_key(granary_core::time::Timestamp::from_millis(row.at), key);
            match keyspaces.answers_by_time.contains_key(by_time).map_err(engine)? {
                true => Ok(()),
                false => {
                    let what = "an answer to a request that is carried out once is never forgotten";
                    checking.report.found(what, CheckReport::HARMLESS);
                    Ok(())
                }
            }
        });
    }

    /// A task that was removed is not there, and what is left of one is known to be still to go.
    fn removed(&mut self, source: &Source) {
        let keyspaces = self.keyspaces;
        let prefix = keys::all_removed(source.number);
        self.walk("removed", &keyspaces.removed, &prefix, |checking, _, value| {
            checking.report.looked_at("removed tasks", 1);
            let row: RemovedRow = rows::decode(value, "removed")?;
            let id = keys::task_id(source.number, row.id.ksuid);
            match keyspaces.task_ids.contains_key(id).map_err(engine)? {
                true => Err(wrong("says that a task was removed that is there")),
                false => Ok(()),
            }
        });
        let mut seen: Option<TaskPlace> = None;
        let prefix = source.number.to_be_bytes();
        self.walk("receipts", &keyspaces.receipts, &prefix, |checking, key, _| {
            let place = TaskPlace::of_part(key).ok_or_else(|| wrong("is no key"))?;
            if seen.replace(place) == Some(place) {
                return Ok(());
            }
            let is_there = keyspaces.tasks.contains_key(place.key()).map_err(engine)?;
            let half_removed = keys::half_removed(source.number, place.sequence);
            if !is_there && !keyspaces.removed.contains_key(half_removed).map_err(engine)? {
                let what = format!(
                    "source '{}': receipts of a task that is not there are never removed",
                    source.key
                );
                checking.report.found(what, CheckReport::HARMLESS);
            }
            Ok(())
        });
    }

    fn task(&mut self, place: &TaskPlace, task: &TaskProgress) -> Result<()> {
        let id = keys::task_id(place.source, Ksuid::from_bytes(task.ksuid));
        let found = self.keyspaces.task_ids.get(id).map_err(engine)?;
        if found.is_none_or(|found| *found != *place.key()) {
            return Err(wrong("it is not found by its id"));
        }
        if task.purge.is_some() {
            return Ok(());
        }
        if task.cursor > task.total || (task.ended() && !task.cancelled && task.cursor != task.total) {
            return Err(wrong(&format!(
                "it has ended at operation {} of {}",
                task.cursor, task.total
            )));
        }
        let operations = self.operations(place)?;
        if operations != task.total {
            return Err(wrong(&format!(
                "it has {operations} of its {} operations",
                task.total
            )));
        }
        self.receipts(place, task)
    }

    /// How many operations of a task there are.
    fn operations(&self, place: &TaskPlace) -> Result<u64> {
        let part = |number| -> Result<_> {
            let row = self.keyspaces.spool.get(place.part(number)).map_err(engine)?;
            row.ok_or_else(|| wrong("its operations are missing"))
        };
        let spec: SpecRow = rows::decode(&part(0)?, "spool")?;
        let segments = match spec.spool {
            Spool::Inline => {
                let row: InlineRow = rows::decode(&part(1)?, "spool")?;
                return Ok(row.operations.len() as u64);
            }
            Spool::Segments(segments) => segments,
        };
        let mut count = 0;
        for (segment, first) in segments {
            let row = self
                .keyspaces
                .segments
                .get(segment.to_be_bytes())
                .map_err(engine)?;
            let row: Option<SegmentRow> = row.map(|row| rows::decode(&row, "segments")).transpose()?;
            if row.is_none_or(|row| row.operations_bytes == 0) || first != count {
                return Err(wrong(&format!(
                    "segment {segment} with its operations is not there"
                )));
            }
            // One that is damaged is told with its segment.
            count += Segment::open(&self.folder.segments, segment).count()?;
        }
        Ok(count)
    }

    /// There is one receipt for each operation before the cursor.
    fn receipts(&mut self, place: &TaskPlace, task: &TaskProgress) -> Result<()> {
        let (mut next, mut failures) = (0, 0);
        let mut gap = None;
        let prefix = place.key();
        self.walk("receipts", &self.keyspaces.receipts, &prefix, |_, key, value| {
            let first = keys::last_number(key).ok_or_else(|| wrong("is no key"))?;
            let chunk = ReceiptsChunk::decompressed(value)?;
            if first != next {
                gap.get_or_insert(next);
            }
            next = first + u64::from(chunk.count);
            failures += chunk.failures.len() as u64;
            Ok(())
        });
        self.report.looked_at("receipts", next);
        if let Some(at) = gap {
            return Err(wrong(&format!("operation {at} has no receipt")));
        }
        if (next, failures) != (task.cursor, task.failures) {
            return Err(wrong(&format!(
                "it has decided {} operations, {} of them failed, and has receipts of {next}, {failures} of them failed",
                task.cursor, task.failures
            )));
        }
        Ok(())
    }
}

fn wrong(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}
