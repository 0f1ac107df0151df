//! Who holds which lane. One process, so this is in memory; which lanes have work is in the rows.

use std::collections::{HashMap, VecDeque};

use granary_store::Lane;

use crate::{Inner, lock};

/// Lanes by the number of their source.
#[derive(Default)]
pub(crate) struct LaneTable {
    /// Lanes with work that nobody holds, the one that waits longest first.
    ready: VecDeque<u32>,
    /// Lanes that are held, each with its fence.
    held: HashMap<u32, u64>,
    fence: u64,
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
                return Some(Lane {
                    source,
                    fence,
                    // Who held it before is this process, and has not vanished.
                    taken_over: false,
                    suspect: false,
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
