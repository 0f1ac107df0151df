//! Who holds which lane. One process, so this is in memory; which lanes have work is in the rows.

use std::collections::{HashMap, VecDeque};

use granary_store::{Lane, LastChunk, Result, Source};

use crate::catalog::SourceState;
use crate::rows::TrialRow;
use crate::trials::Trials;
use crate::{Inner, lock};

/// Lanes by the number of their source.
#[derive(Default)]
pub(crate) struct LaneTable {
    /// Lanes with work that nobody holds, the one that waits longest first.
    ready: VecDeque<u32>,
    /// Lanes that are held, each with its fence.
    held: HashMap<u32, u64>,
    fence: u64,
    pub(crate) trials: Trials,
}

impl LaneTable {
    /// Says that a lane has work.
    pub(crate) fn wake(&mut self, source: u32) {
        if !self.held.contains_key(&source) && !self.ready.contains(&source) {
            self.ready.push_back(source);
        }
    }
}

impl Inner {
    /// Operations that are not decided: those of the task at the head of a lane, or those of all lanes.
    pub(crate) fn operations_waiting(&self, next_of: Option<&Source>) -> Result<u64> {
        if let Some(source) = next_of {
            return self.undecided(self.state_of(source)?.as_ref(), 1);
        }
        let states: Vec<_> = self.sources().values().cloned().collect();
        let each = states.iter().map(|state| self.undecided(state, usize::MAX));
        each.sum()
    }

    /// The same of so many tasks of one lane.
    fn undecided(&self, state: &SourceState, tasks_max: usize) -> Result<u64> {
        let (queue, latest) = {
            let writer = lock(&state.writer);
            let queue: Vec<u64> = writer.queue.iter().copied().take(tasks_max).collect();
            (queue, self.db.snapshot())
        };
        let each = queue.into_iter().map(|sequence| {
            let task = self.task_row(&latest, &state.lane_task(sequence))?;
            Ok(task.undecided())
        });
        each.sum()
    }

    pub(crate) fn claim_lane(&self) -> Option<Lane> {
        // Held throughout: a lane that is woken between being taken and being held would be ready and held.
        let mut lanes = lock(&self.lanes);
        loop {
            let number = lanes.ready.pop_front()?;
            // A source that was deleted has no lane any more.
            if let Some(source) = self.source_numbered(number) {
                lanes.fence += 1;
                let fence = lanes.fence;
                lanes.held.insert(number, fence);
                let trial = lanes.trials.get(&number);
                return Some(Lane {
                    source,
                    fence,
                    // By this process, from one that began at the same place and has ended.
                    taken_over: trial.is_some_and(TrialRow::asks_for_care),
                    suspect: trial.is_some_and(TrialRow::is_suspect),
                    last: LastChunk::default(),
                });
            }
        }
    }

    pub(crate) fn release_lane(&self, lane: &Lane) {
        let state = self.state_of(&lane.source).ok();
        // Under the lock of the writes: an acceptance either is in the queue by now, or wakes the lane afterwards.
        let writer = state.as_ref().map(|state| lock(&state.writer));
        let waiting = writer
            .as_ref()
            .is_some_and(|writer| !writer.deleted && (!writer.queue.is_empty() || !writer.marks.is_empty()));
        let mut lanes = lock(&self.lanes);
        if lanes.held.get(&lane.source.number) == Some(&lane.fence) {
            lanes.held.remove(&lane.source.number);
            if waiting {
                lanes.wake(lane.source.number);
            }
        }
    }

    pub(crate) fn holds(&self, lane: &Lane) -> bool {
        lock(&self.lanes).held.get(&lane.source.number) == Some(&lane.fence)
    }
}
