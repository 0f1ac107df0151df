//! Which segments are to be collected.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use granary_core::time::Timestamp;
use granary_store::{Result, TaskProgress};

use crate::catalog::SourceState;
use crate::counts::Recounted;
use crate::rows::CountRow;
use crate::sync::View;
use crate::{Inner, engine, lock, rows};

/// Live bytes that are moved in one round, about: what disk they take beside their victims, which go at its end.
const ROUND_BYTES_MAX: u64 = 256 << 20;

/// The victims of a round, all of one source.
pub(super) struct Chosen {
    pub(super) state: Arc<SourceState>,
    pub(super) victims: BTreeSet<u32>,
}

/// A segment that may be collected.
struct Candidate {
    /// Its source among those that were looked at.
    source: usize,
    segment: u32,
    row: CountRow,
}

impl Candidate {
    fn is_below(&self, percent: u64) -> bool {
        self.row.live_bytes().saturating_mul(100) < self.row.bytes.saturating_mul(percent)
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl Inner {
    /// The next victims among the segments with smaller numbers than `below`, if any are due.
    pub(super) fn choose(&self, below: u32) -> Result<Option<Chosen>> {
        let options = &self.collection.options;
        let now = options.now();
        let states: Vec<Arc<SourceState>> = self.sources().values().cloned().collect();
        let mut all = Vec::new();
        for (source, state) in states.iter().enumerate() {
            let found = self.candidates(state, now)?;
            all.extend(
                found
                    .into_iter()
                    .map(|(segment, row)| Candidate { source, segment, row }),
            );
        }
        let damaged = lock(&self.collection.damaged).clone();
        all.retain(|candidate| !damaged.contains(&candidate.segment));
        let total: u64 = all.iter().map(|candidate| candidate.row.bytes).sum();
        let live: u64 = all.iter().map(|candidate| candidate.row.live_bytes()).sum();
        let oldest = all.iter().filter_map(|candidate| candidate.row.dead_since).min();
        {
            let mut figures = lock(&self.collection.figures);
            (figures.bytes_total, figures.bytes_live) = (total, live);
            figures.oldest_dead_at = oldest.map(Timestamp::from_millis);
        }

        all.retain(|candidate| candidate.segment < below);
        let old = now.millis().saturating_sub(millis(options.dead_kept));
        let is_old = |candidate: &Candidate| candidate.row.dead_since.is_some_and(|since| since <= old);
        let is_waste = total.saturating_mul(100) > live.saturating_mul(options.total_percent)
            && total - live.min(total) >= options.dead_bytes_min;
        if all.iter().any(is_old) {
            all.retain(is_old);
            all.sort_by_key(|candidate| candidate.row.dead_since);
        } else if is_waste {
            all.retain(|candidate| candidate.is_below(options.live_percent));
            // The emptiest first, for the most space for what is moved.
            let share =
                |candidate: &Candidate| candidate.row.live_bytes() * 1_000 / candidate.row.bytes.max(1);
            all.sort_by_key(share);
        } else {
            return Ok(None);
        }
        let Some(source) = all.first().map(|candidate| candidate.source) else {
            return Ok(None);
        };
        let (mut victims, mut moved) = (BTreeSet::new(), 0);
        for candidate in all.iter().filter(|candidate| candidate.source == source) {
            moved += candidate.row.live_bytes();
            if moved > ROUND_BYTES_MAX && !victims.is_empty() {
                break;
            }
            victims.insert(candidate.segment);
        }
        Ok(Some(Chosen {
            state: Arc::clone(&states[source]),
            victims,
        }))
    }

    /// The segments of a source that may be collected, with their counts. Notes of those that are partly dead and were
    /// not known to be that they are from now on.
    fn candidates(&self, state: &SourceState, now: Timestamp) -> Result<Vec<(u32, CountRow)>> {
        let mut writer = lock(&state.writer);
        if writer.deleted {
            return Ok(Vec::new());
        }
        // What has ended and is durable: no chunk of it comes again, not even after a crash.
        let shown = self.sync.published();
        let (mut found, mut noted) = (Vec::new(), Recounted::default());
        let mut asked = Vec::new();
        for (segment, row) in writer.counts.iter() {
            let free_from = match (row.task, writer.counts.free_from(segment)) {
                (None, _) => i64::MIN,
                (Some(task), _) if writer.queue.binary_search(&task).is_ok() => continue,
                (Some(_), Some(free_from)) => free_from,
                (Some(task), None) => {
                    let Some(free_from) = self.free_from(state, &shown, task)? else {
                        continue;
                    };
                    asked.push((segment, free_from));
                    free_from
                }
            };
            let mut row = row.clone();
            if row.is_partly_dead() && row.dead_since.is_none() {
                row.dead_since = Some(now.millis());
                noted.insert(segment, row.clone());
            }
            if free_from <= now.millis() {
                found.push((segment, row));
            }
        }
        for (segment, free_from) in asked {
            writer.counts.set_free_from(segment, free_from);
        }
        if !noted.is_empty() {
            let mut batch = self.db.batch();
            self.write_counts(&mut batch, state.source.number, &noted);
            self.commit(batch)?;
            writer.counts.take(noted);
            self.sync.committed();
        }
        Ok(found)
    }

    /// From when on the segments of a task may be collected: not before it has ended, and bodies of operations that
    /// failed or were cancelled stay a while. `None` where it has not ended.
    fn free_from(&self, state: &SourceState, shown: &View, sequence: u64) -> Result<Option<i64>> {
        use fjall::Readable as _;

        let key = state.lane_task(sequence).key();
        let Some(row) = shown.get(&self.keyspaces.tasks, key).map_err(engine)? else {
            return Ok(None);
        };
        let task: TaskProgress = rows::decode(&row, "tasks")?;
        let kept = millis(self.collection.options.failures_kept);
        Ok(task
            .completed_at
            .map(|ended| match task.failures > 0 || task.cancelled {
                true => ended.saturating_add(kept),
                false => i64::MIN,
            }))
    }
}
