//! Operations that end the process. A panic is caught, an abort or the want of memory is not: the next start would try
//! the same operation, and end again.
//!
//! Each start notes where the lanes stand that have work. One death is no sign of anything: the start after it applies
//! what waits as ever, in large chunks. From the second start on that finds a lane at the same place its operations are
//! applied a few at a time, so that the lane comes close to the one at fault; where starts come again and it does not
//! get on, it is suspect: operations are tried one by one, each noted before, and one that so many processes have ended
//! at is left out. A stop in order forgets all of it.

use std::collections::HashMap;

use fjall::OwnedWriteBatch;
use granary_store::{Result, StoreError};

use crate::rows::TrialRow;
use crate::{Inner, engine, lock, rows};

/// Starts that find a lane at the same place, after which few of its operations are applied at once.
const STARTS_AT_EASE_MAX: u32 = 1;
/// Those after which its next operation is suspected.
const STARTS_MAX: u32 = 2;
/// So many processes may end at one operation before it is given up. Those that are killed for another reason have then
/// been so five times, each in the same few milliseconds.
const DEATHS_MAX: u32 = 5;

impl TrialRow {
    /// What a start finds that comes after this, or after nothing.
    fn next(before: Option<Self>, at: (u64, u64)) -> Self {
        match before.filter(|before| before.at == at) {
            None => Self {
                at,
                starts: 1,
                trying: false,
                deaths: 0,
            },
            Some(before) => Self {
                at,
                starts: before.starts.saturating_add(1),
                trying: false,
                deaths: before.deaths.saturating_add(u32::from(before.trying)),
            },
        }
    }

    /// Few operations are to be applied at once: a process has begun here, and ended.
    pub(crate) fn asks_for_care(&self) -> bool {
        self.starts > STARTS_AT_EASE_MAX || self.is_suspect()
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.starts > STARTS_MAX || self.deaths > 0
    }
}

/// Lanes that have not got on since the start.
pub(crate) type Trials = HashMap<u32, TrialRow>;

impl Inner {
    /// Notes where a lane with work stands; to be called once at a start.
    pub(crate) fn note_start(&self, batch: &mut OwnedWriteBatch, source: u32, at: (u64, u64)) -> Result<()> {
        let trials = &self.keyspaces.trials;
        let before = trials.get(source.to_be_bytes()).map_err(engine)?;
        let before = before.map(|row| rows::decode(&row, "trials")).transpose()?;
        let trial = TrialRow::next(before, at);
        batch.insert(trials, source.to_be_bytes(), rows::encode(&trial));
        lock(&self.lanes).trials.insert(source, trial);
        Ok(())
    }

    /// Notes that the operation at this place is about to be tried alone; false where it is to be left out instead.
    pub(crate) fn may_be_tried(&self, source: u32, at: (u64, u64)) -> Result<bool> {
        let known = lock(&self.lanes).trials.get(&source).copied();
        let known = known.filter(|known| known.at == at);
        if known.is_some_and(|known| known.deaths >= DEATHS_MAX) {
            return Ok(false);
        }
        let trial = TrialRow {
            at,
            starts: known.map_or(0, |known| known.starts),
            trying: true,
            deaths: known.map_or(0, |known| known.deaths),
        };
        let mut batch = self.db.batch();
        let trials = &self.keyspaces.trials;
        batch.insert(trials, source.to_be_bytes(), rows::encode(&trial));
        self.commit(batch)?;
        // What came before is durable with it: the next start finds the lane here.
        self.sync.wait(self.sync.committed())?;
        Ok(true)
    }

    /// Says that a lane has got on.
    pub(crate) fn got_on(&self, source: u32) {
        lock(&self.lanes).trials.remove(&source);
    }

    /// Forgets all of it: the process ends of its own will.
    pub(crate) fn forget_trials(&self) -> Result<()> {
        let mut batch = self.db.batch();
        for row in self.keyspaces.trials.iter() {
            batch.remove(&self.keyspaces.trials, row.key().map_err(engine)?);
        }
        if batch.is_empty() {
            return Ok(());
        }
        match self.commit(batch) {
            // Nothing can be written any more; that is told where it matters.
            Err(StoreError::Unavailable(_)) => Ok(()),
            committed => {
                committed?;
                self.sync.committed();
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_suspect_where_starts_find_it_at_the_same_place() {
        let mut trial = TrialRow::next(None, (1, 7));
        let mut asked = Vec::new();
        for _ in 0..3 {
            asked.push((trial.asks_for_care(), trial.is_suspect()));
            assert_eq!(trial.deaths, 0);
            trial = TrialRow::next(Some(trial), (1, 7));
        }
        assert_eq!(asked, [(false, false), (true, false), (true, true)]);
        let tried = TrialRow {
            trying: true,
            ..trial
        };
        assert_eq!(TrialRow::next(Some(tried), (1, 7)).deaths, 1);
        let on = TrialRow::next(Some(tried), (1, 8));
        assert_eq!((on.starts, on.deaths), (1, 0));
        assert!(!on.asks_for_care());
    }
}
