//! When there is room again (contract, section 9: `Retry-After`): what has to go away first, at the rate at which such
//! has gone away during the last minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use granary_core::error::{ErrorObject, ErrorType};
use granary_store::{Result, Source};
use tracing::debug;

use crate::engine::{Inner, Places};
use crate::lanes::lock;

/// Told where nothing was measured: nothing went away for a minute, or the server has only just been started, or leaves
/// tasks to others.
const RETRY_AFTER_UNMEASURED: u32 = 5;
/// The longest time that is told: until then much may change.
pub(crate) const RETRY_AFTER_MAX: u32 = 300;
/// A rate is that of so many slots of time, the one that it is included.
const SLOTS: usize = 12;
/// How long a slot is.
const SLOT: Duration = Duration::from_secs(5);
/// So many sources are measured on their own at most; more have the rate of all.
const SOURCES_MEASURED_MAX: usize = 10_000;
/// How long what waits is taken for what it was: those who are refused come often, and must not cost much.
const WAITING_KEPT: Duration = Duration::from_secs(1);
/// The same while somebody counts it anew: a store may wait for every lane to do that.
const WAITING_KEPT_MEANWHILE: Duration = Duration::from_secs(30);

/// How much went away, by slots of time.
#[derive(Clone, Debug, Default)]
struct Rate {
    slots: [u64; SLOTS],
    /// The number of the slot that was counted in last.
    newest: u64,
    /// When something went away after nothing had for all slots.
    since: Duration,
}

impl Rate {
    /// Forgets what is too long ago.
    fn move_on(&mut self, now: Duration) {
        let slot = now.as_secs() / SLOT.as_secs();
        for passed in (self.newest + 1..=slot).rev().take(SLOTS) {
            self.slots[passed as usize % SLOTS] = 0;
        }
        self.newest = self.newest.max(slot);
    }

    fn is_still(&self) -> bool {
        self.slots.iter().all(|count| *count == 0)
    }

    fn count(&mut self, now: Duration, count: u64) {
        self.move_on(now);
        if self.is_still() {
            self.since = now;
        }
        let slot = self.newest as usize % SLOTS;
        self.slots[slot] = self.slots[slot].saturating_add(count);
    }

    /// How much went away in a second; `None` where nothing did.
    fn in_a_second(&mut self, now: Duration) -> Option<f64> {
        self.move_on(now);
        if self.is_still() {
            return None;
        }
        let oldest = SLOT * (self.newest + 1).saturating_sub(SLOTS as u64) as u32;
        let measured = now.saturating_sub(self.since.max(oldest)).as_secs_f64();
        let sum: f64 = self.slots.iter().map(|count| *count as f64).sum();
        Some(sum / measured.max(1.0))
    }
}

/// After how many seconds so much has gone away.
fn seconds(amount: f64, rate: Option<f64>) -> u32 {
    match rate {
        // A float that fits no integer becomes the nearest one that does.
        Some(rate) => ((amount / rate).ceil() as u32).clamp(1, RETRY_AFTER_MAX),
        None => RETRY_AFTER_UNMEASURED,
    }
}

/// Measures what goes away, and keeps for a moment what waits.
#[derive(Default)]
pub(crate) struct Drain {
    applied: Mutex<Applied>,
    places: Mutex<Rate>,
    deletes: Mutex<Rate>,
    /// By the number of the source; `None` is all.
    waiting: Mutex<HashMap<Option<u32>, Counted>>,
}

/// Operations that wait.
#[derive(Clone, Default)]
struct Counted {
    /// When they were counted last, and how many they were.
    last: Option<(Duration, u64)>,
    /// Whoever counts anew has this meanwhile.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Counted {
    /// How many they were, if that is not longer ago.
    fn within(&self, now: Duration, age: Duration) -> Option<u64> {
        // It may be from after `now`, where another was faster.
        self.last
            .filter(|(at, _)| now.saturating_sub(*at) < age)
            .map(|(_, waiting)| waiting)
    }
}

/// Operations of tasks that were applied.
#[derive(Default)]
struct Applied {
    all: Rate,
    /// By the number of the source.
    of_sources: HashMap<u32, Rate>,
}

impl Drain {
    /// Operations of a source were applied.
    pub(crate) fn applied(&self, now: Duration, source: u32, count: u64) {
        let mut applied = lock(&self.applied);
        applied.all.count(now, count);
        let rates = &mut applied.of_sources;
        if rates.len() >= SOURCES_MEASURED_MAX && !rates.contains_key(&source) {
            rates.retain(|_, rate| rate.in_a_second(now).is_some());
            if rates.len() >= SOURCES_MEASURED_MAX {
                return;
            }
        }
        rates.entry(source).or_default().count(now, count);
    }

    fn freed(&self, of: Places) -> &Mutex<Rate> {
        match of {
            Places::Common => &self.places,
            Places::Deletes => &self.deletes,
        }
    }

    /// A place among the requests in flight came free.
    pub(crate) fn place_freed(&self, now: Duration, of: Places) {
        lock(self.freed(of)).count(now, 1);
    }

    /// After how many seconds a place among the requests in flight comes free.
    pub(crate) fn until_place(&self, now: Duration, of: Places) -> u32 {
        seconds(1.0, lock(self.freed(of)).in_a_second(now))
    }

    /// After how many seconds so many operations of a source, or of all, are applied. A source that was not worked at for
    /// a minute says nothing of itself.
    fn until_applied(&self, now: Duration, source: Option<u32>, operations: f64) -> u32 {
        let mut applied = lock(&self.applied);
        let own = source.and_then(|source| applied.of_sources.get_mut(&source)?.in_a_second(now));
        let rate = own.or_else(|| applied.all.in_a_second(now));
        seconds(operations, rate)
    }

    /// Operations that wait, of a source or all, as they were counted a moment ago, or else as `count` says: one counts at
    /// a time, and meanwhile others take what was counted last.
    async fn waiting(
        &self,
        clock: impl Fn() -> Duration,
        of: Option<u32>,
        count: impl Future<Output = Result<u64>>,
    ) -> Result<u64> {
        let counted = || lock(&self.waiting).entry(of).or_default().clone();
        let known = counted();
        if let Some(waiting) = known.within(clock(), WAITING_KEPT) {
            return Ok(waiting);
        }
        let turn = match known.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                if let Some(waiting) = known.within(clock(), WAITING_KEPT_MEANWHILE) {
                    return Ok(waiting);
                }
                known.turn.lock().await
            }
        };
        // Whoever had the turn before has counted.
        let now = clock();
        if let Some(waiting) = counted().within(now, WAITING_KEPT) {
            return Ok(waiting);
        }
        let waiting = count.await?;
        let mut all = lock(&self.waiting);
        drop(turn);
        all.retain(|_, counted| {
            Arc::strong_count(&counted.turn) > 1 || counted.within(now, WAITING_KEPT_MEANWHILE).is_some()
        });
        all.entry(of).or_default().last = Some((now, waiting));
        Ok(waiting)
    }
}

impl Inner {
    /// Operations that wait: those of the task of a source that is next, or all.
    async fn waiting(&self, next_of: Option<&Source>) -> Result<u64> {
        let of = next_of.map(|source| source.number);
        let count = self.store.operations_waiting(next_of);
        self.drain.waiting(|| self.clock.monotonic(), of, count).await
    }

    /// A refusal with the time after which the source has room for a task, where it was for want of that: once the task
    /// that is next has ended.
    pub(crate) async fn with_time_of_task(&self, source: &Source, refusal: ErrorObject) -> ErrorObject {
        if refusal.error_type != ErrorType::ResourceExhausted || refusal.retry_after.is_some() {
            return refusal;
        }
        let seconds = match self.waiting(Some(source)).await {
            // It is a purge, of which nobody knows how much it deletes.
            Ok(0) => RETRY_AFTER_UNMEASURED,
            Ok(waiting) => {
                let now = self.clock.monotonic();
                self.drain.until_applied(now, Some(source.number), waiting as f64)
            }
            Err(failure) => {
                debug!(%failure, "what waits was not counted");
                RETRY_AFTER_UNMEASURED
            }
        };
        refusal.with_retry_after(seconds)
    }

    /// The refusal of so many bytes: there is room for them once as large a part of what is spooled was applied.
    pub(crate) async fn until_room(&self, wanted: u64, bytes_max: u64, refusal: ErrorObject) -> ErrorObject {
        let counted = async { Ok::<_, ErrorObject>((self.taken_bytes().await?, self.waiting(None).await)) };
        let seconds = match counted.await {
            Ok((taken, Ok(waiting))) if taken > 0 && waiting > 0 => {
                let over = (taken.saturating_add(wanted))
                    .saturating_sub(bytes_max)
                    .min(taken);
                let operations = waiting as f64 * (over as f64 / taken as f64);
                let now = self.clock.monotonic();
                self.drain.until_applied(now, None, operations)
            }
            // What takes the room is on its way in, or in answers.
            _ => RETRY_AFTER_UNMEASURED,
        };
        refusal.with_retry_after(seconds)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let mut rate = Rate::default();
        assert_eq!(rate.in_a_second(at(7)), None);
        for second in 100..200 {
            rate.count(at(second), 30);
        }
        let now = rate.in_a_second(at(199)).unwrap();
        assert!((29.0..=32.0).contains(&now), "{now}");
        // It slows down.
        for second in 200..260 {
            rate.count(at(second), 10);
        }
        let now = rate.in_a_second(at(259)).unwrap();
        assert!((9.5..=11.0).contains(&now), "{now}");
        // Nothing for half a minute, nothing for a whole one.
        let now = rate.in_a_second(at(289)).unwrap();
        assert!((4.0..=6.5).contains(&now), "{now}");
        assert_eq!(rate.in_a_second(at(259 + 61)), None);
    }

    #[test]
    fn a_rate_that_is_measured_for_a_short_time_is_that_of_this_time() {
        let mut rate = Rate::default();
        rate.count(at(1_000), 50);
        assert_eq!(
            rate.in_a_second(at(1_000)),
            Some(50.0),
            "less than a second is one"
        );
        rate.count(at(1_002), 50);
        assert_eq!(rate.in_a_second(at(1_002)), Some(50.0));
        // It begins anew after it stood still.
        rate.count(at(2_000), 8);
        assert_eq!(rate.in_a_second(at(2_004)), Some(2.0));
    }

    #[test]
    fn what_is_told_is_at_least_a_second_and_at_most_the_bound() {
        assert_eq!(seconds(0.0, Some(1.0)), 1);
        assert_eq!(seconds(3.0, Some(1_000.0)), 1);
        assert_eq!(seconds(30.0, Some(7.0)), 5);
        assert_eq!(seconds(1e300, Some(1e-300)), RETRY_AFTER_MAX);
        assert_eq!(seconds(1e9, None), RETRY_AFTER_UNMEASURED);
    }

    #[test]
    fn a_source_has_its_own_rate_and_one_that_stood_still_that_of_all() {
        let drain = Drain::default();
        for second in 100..110 {
            drain.applied(at(second), 1, 900);
            drain.applied(at(second), 2, 100);
        }
        let until = |source| drain.until_applied(at(110), source, 9_000.0);
        assert_eq!(
            (until(Some(1)), until(Some(2)), until(Some(3)), until(None)),
            (10, 90, 9, 9)
        );
    }

    #[test]
    fn sources_that_are_measured_are_bounded() {
        let drain = Drain::default();
        let many = SOURCES_MEASURED_MAX as u32;
        for source in 0..=many {
            drain.applied(at(100), source, 1);
        }
        assert_eq!(lock(&drain.applied).of_sources.len(), SOURCES_MEASURED_MAX);
        drain.applied(at(200), many, 1);
        assert_eq!(
            lock(&drain.applied).of_sources.len(),
            1,
            "who stood still makes room"
        );
    }

    #[tokio::test]
    async fn what_was_counted_after_one_has_looked_at_the_clock_is_taken() {
        let drain = Drain::default();
        let counted = drain.waiting(|| at(200), None, async { Ok(7) }).await;
        assert_eq!(counted.unwrap(), 7);
        // It looked at the clock first, and came to the lock last.
        let counted = drain.waiting(|| at(199), None, async { Ok(8) }).await;
        assert_eq!(counted.unwrap(), 7);
        let counted = drain.waiting(|| at(201), None, async { Ok(9) }).await;
        assert_eq!(counted.unwrap(), 9, "it is counted anew after a second");
    }

    #[tokio::test]
    async fn one_counts_what_waits_and_others_take_the_last_answer() {
        let (drain, counts) = (Drain::default(), AtomicU64::new(0));
        let (go, gone) = tokio::sync::oneshot::channel();
        let slow = async {
            gone.await.unwrap();
            Ok(counts.fetch_add(1, Ordering::Relaxed) + 1)
        };
        let quick = || async { Ok(counts.fetch_add(1, Ordering::Relaxed) + 100) };
        // Nothing is known yet: the second waits for the first, the other source does not.
        let first = drain.waiting(|| at(100), None, slow);
        let second = drain.waiting(|| at(100), None, quick());
        let others = async {
            let of_source = drain.waiting(|| at(100), Some(1), async { Ok(3) }).await;
            go.send(()).unwrap();
            of_source.unwrap()
        };
        let (first, second, others) = tokio::join!(first, second, others);
        assert_eq!((first.unwrap(), second.unwrap(), others), (1, 1, 3));
        // Something is known: nobody waits for who counts anew.
        let mut again = Box::pin(drain.waiting(|| at(110), None, std::future::pending()));
        assert!(futures::poll!(again.as_mut()).is_pending());
        let meanwhile = drain.waiting(|| at(111), None, quick()).await;
        assert_eq!(meanwhile.unwrap(), 1);
        assert_eq!(counts.load(Ordering::Relaxed), 1);
        // Who counts goes away, as its client does.
        drop(again);
        assert_eq!(drain.waiting(|| at(200), None, quick()).await.unwrap(), 101);
        // What is known of those who were refused long ago is forgotten.
        assert_eq!(lock(&drain.waiting).len(), 1);
    }
}
