//! The workers: they carry out what was accepted, lane by lane, and share their time fairly among the sources.
//!
//! A worker claims a lane, applies chunks of it for a quantum of time and gives it back behind the others, so a source
//! with ten million operations delays no other. It is woken when something is accepted and looks by itself every so
//! often, and does the same either way.
//!
//! A lane whose chunk fails is *parked*: kept by this engine, so that none of its workers takes it up again before its
//! pause is over, while all others go on. One whose chunk *panics* goes on operation by operation, and an operation that panics
//! on its own fails with INTERNAL: it would panic again, and all that wait behind it would wait for ever. What is
//! applied rests on the cursor in the store alone, so a chunk may always be tried again.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use granary_store::{Budget, Lane, Step, StoreError, TaskProgress};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::engine::Inner;
use crate::error::internal;
use crate::told;

/// A chunk has at least so many operations in its budget,
const CHUNK_OPERATIONS_MIN: usize = 256;
/// and at most so many.
const CHUNK_OPERATIONS_MAX: usize = 4_096;
/// Where a worker vanished, chunks are of so many operations, until as many are applied as one may have had. Should the next
/// one vanish too, so many are suspected.
const CHUNK_OPERATIONS_CAREFUL: usize = 64;
/// What a worker begins with.
const CHUNK_OPERATIONS_FIRST: usize = 1_024;
/// Bytes of bodies in one chunk.
const CHUNK_BYTES: u64 = 1 << 20;
/// The pause after a first failure; it doubles with each that follows.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The longest pause where the store is out of reach. No operation is at fault then, and it comes back for all lanes at
/// once: what waits should not wait for half a minute more, and asking whether it is back costs next to nothing.
const PAUSE_UNREACHED_MAX: Duration = Duration::from_secs(1);

/// The lanes that this engine's workers share.
pub(crate) struct Lanes {
    inner: Arc<Inner>,
    stop: CancellationToken,
    /// Lanes that wait after a failure, with the monotonic time at which they are taken up again.
    parked: Mutex<Vec<(Duration, Lane)>>,
    /// By the number of the source.
    troubles: Mutex<HashMap<u32, Trouble>>,
}

/// What went wrong in a lane and is not over.
#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    /// Failures in a row.
    failures: u32,
    /// So many operations are still applied one by one, because a chunk that held them panicked.
    one_by_one: u64,
}

/// Wakes the workers when another process may have accepted something, until the engine stops.
pub(crate) async fn pass_on_hints(inner: Arc<Inner>, stop: CancellationToken) {
    if inner.options.workers == 0 {
        return;
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            // All of them: one hint may stand for many requests. Those that are at work look again by themselves.
            () = inner.store.work_elsewhere() => inner.accepted.notify_waiters(),
        }
    }
}

enum Turn {
    Worked,
    Idle,
}

/// Why a chunk was not applied.
enum ChunkFailure {
    Store(StoreError),
    Panic(String),
}

impl Lanes {
    pub(crate) fn new(inner: Arc<Inner>, stop: CancellationToken) -> Self {
        Self {
            inner,
            stop,
            parked: Mutex::default(),
            troubles: Mutex::default(),
        }
    }

    /// Runs the workers until the engine stops; every lane has been given back when this returns.
    pub(crate) async fn run(self) {
        let lanes = Arc::new(self);
        let mut workers = JoinSet::new();
        for _ in 0..lanes.inner.options.workers {
            workers.spawn(Arc::clone(&lanes).work());
        }
        while let Some(ended) = workers.join_next().await {
            if let Err(failure) = ended
                && !lanes.stop.is_cancelled()
            {
                error!(%failure, "a worker failed; another takes its place");
                workers.spawn(Arc::clone(&lanes).work());
            }
        }
        let parked = std::mem::take(&mut *lock(&lanes.parked));
        for (_, lane) in parked {
            lanes.inner.store.release_lane(lane).await;
        }
    }

    /// One worker.
    async fn work(self: Arc<Self>) {
        let mut operations = CHUNK_OPERATIONS_FIRST;
        let (mut failures, mut longest) = (0, PAUSE_MAX);
        while !self.stop.is_cancelled() {
            // Marked before looking, so what is accepted meanwhile still wakes us.
            let mut accepted = pin!(self.inner.accepted.notified());
            accepted.as_mut().enable();
            match self.take_turn(&mut operations).await {
                Ok(turn) => {
                    if failures > 0 {
                        info!("lanes can be claimed again");
                    }
                    failures = 0;
                    if matches!(turn, Turn::Worked) {
                        continue;
                    }
                }
                Err(failure) => {
                    failures += 1;
                    longest = pause_max(&failure);
                    if failures == 1 {
                        warn!(%failure, "could not claim a lane; trying again");
                    } else {
                        debug!(%failure, failures, "could not claim a lane; trying again");
                    }
                }
            }
            let sleep = if failures > 0 {
                pause_after(failures, longest)
            } else {
                self.until_due().min(self.inner.options.poll_every)
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = accepted, if failures == 0 => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Takes a lane and applies chunks of it for a quantum.
    async fn take_turn(&self, operations: &mut usize) -> Result<Turn, StoreError> {
        let lane = match self.take_parked() {
            Some(lane) => lane,
            None => match self.inner.store.claim_lane().await? {
                Some(lane) => lane,
                None => return Ok(Turn::Idle),
            },
        };
        let _held = self.inner.counters.hold_lane();
        let clock = &self.inner.clock;
        let until = clock.monotonic() + self.inner.options.quantum;
        let source = lane.source.number;
        // Operations that may be what ended whoever held the lane, and those of them that are tried one by one.
        let (mut careful, mut suspected) = (0, 0);
        if lane.taken_over {
            careful = self
                .inner
                .store
                .operations_at_once_max()
                .max(CHUNK_OPERATIONS_MAX as u64);
        }
        if lane.suspect {
            warn!(source = %lane.source.key, "workers vanished with this lane; its operations are tried one by one");
            suspected = CHUNK_OPERATIONS_CAREFUL as u64;
        }
        loop {
            let one_by_one = suspected > 0 || self.trouble(source).one_by_one > 0;
            let budget = Budget {
                operations: match one_by_one {
                    true => 1,
                    false if careful > 0 => CHUNK_OPERATIONS_CAREFUL,
                    false => *operations,
                },
                bytes: CHUNK_BYTES,
            };
            let began = clock.monotonic();
            match self.apply(&lane, budget).await {
                Ok(Step::Applied(count)) => {
                    let ended = clock.monotonic();
                    let took = ended - began;
                    self.inner.counters.chunk(count, took);
                    tell_end(&lane);
                    self.inner.drain.applied(ended, source, count);
                    self.applied(&lane, count);
                    suspected = suspected.saturating_sub(count);
                    let whole = careful == 0 && !one_by_one;
                    careful = careful.saturating_sub(count);
                    if whole {
                        *operations = adapted(*operations, count, took, self.inner.options.chunk_time);
                    }
                }
                Ok(Step::Tidied) => {}
                Ok(Step::Idle) => {
                    self.over_with(source);
                    break;
                }
                Ok(Step::Lost) => {
                    self.over_with(source);
                    return Ok(Turn::Worked);
                }
                Err(failure) => match self.give_up(&lane, budget, &failure).await {
                    Some(Step::Applied(count)) => {
                        tell_end(&lane);
                        self.applied(&lane, count);
                        suspected = suspected.saturating_sub(count);
                        careful = careful.saturating_sub(count);
                    }
                    // It is no longer ours to wait for.
                    Some(_) => {
                        self.over_with(source);
                        break;
                    }
                    None => {
                        // It may have been too much for one transaction.
                        *operations = (*operations / 2).max(CHUNK_OPERATIONS_MIN);
                        self.failed(&lane, budget, &failure);
                        self.park(lane, &failure);
                        return Ok(Turn::Worked);
                    }
                },
            }
            // A store that never waits would keep the thread from all others, who may want us to stop.
            tokio::task::yield_now().await;
            // One that asks for care is kept: given back, it would begin with many operations at once.
            let is_over = careful == 0 && clock.monotonic() >= until;
            if self.stop.is_cancelled() || is_over {
                break;
            }
        }
        self.inner.store.release_lane(lane).await;
        Ok(Turn::Worked)
    }

    async fn apply(&self, lane: &Lane, budget: Budget) -> Result<Step, ChunkFailure> {
        lane.last.clear();
        let now = self.inner.clock.now();
        let applying = self.inner.store.apply_chunk(lane, budget, now);
        match AssertUnwindSafe(applying).catch_unwind().await {
            Ok(step) => step.map_err(ChunkFailure::Store),
            Err(panic) => Err(ChunkFailure::Panic(panic_message(panic.as_ref()))),
        }
    }

    /// Fails the one operation of a chunk that panicked, for good: it would again. `None` where the chunk was of more
    /// operations or did not panic, or the store did not do it: then the lane has to wait.
    async fn give_up(&self, lane: &Lane, budget: Budget, failure: &ChunkFailure) -> Option<Step> {
        let ChunkFailure::Panic(message) = failure else {
            return None;
        };
        if budget.operations > 1 {
            return None;
        }
        let source = &lane.source.key;
        let task = lane.last.task().map(tracing::field::display);
        let now = self.inner.clock.now();
        let failing = self.inner.store.fail_operation(lane, internal(), now);
        match AssertUnwindSafe(failing).catch_unwind().await {
            Ok(Ok(Step::Applied(0) | Step::Tidied)) => None,
            Ok(Ok(step)) => {
                if let Step::Applied(_) = step {
                    error!(task.id = task, %source, message, "one operation panicked; it has failed, and its lane goes on");
                }
                Some(step)
            }
            Ok(Err(failure)) => {
                warn!(task.id = task, %source, %failure, "an operation that panicked could not be failed");
                None
            }
            Err(panic) => {
                let message = panic_message(panic.as_ref());
                error!(task.id = task, %source, message, "failing an operation that panicked did so too");
                None
            }
        }
    }

    /// A chunk was applied: the failures before it are over.
    fn applied(&self, lane: &Lane, count: u64) {
        let mut troubles = lock(&self.troubles);
        let Some(trouble) = troubles.get_mut(&lane.source.number) else {
            return;
        };
        if trouble.failures > 0 {
            info!(source = %lane.source.key, "the lane goes on");
        }
        trouble.failures = 0;
        trouble.one_by_one = trouble.one_by_one.saturating_sub(count);
        if trouble.one_by_one == 0 {
            troubles.remove(&lane.source.number);
        }
    }

    /// Notes and logs a failure, in full the first time, and decides how the lane is tried again.
    fn failed(&self, lane: &Lane, budget: Budget, failure: &ChunkFailure) {
        self.inner.counters.chunk_failed();
        let mut troubles = lock(&self.troubles);
        let trouble = troubles.entry(lane.source.number).or_default();
        trouble.failures += 1;
        let (source, failures) = (&lane.source.key, trouble.failures);
        let task = lane.last.task().map(tracing::field::display);
        match failure {
            ChunkFailure::Store(failure) if failures == 1 => {
                warn!(task.id = task, %source, %failure, "a chunk was not applied; trying again");
            }
            ChunkFailure::Store(failure) => {
                debug!(task.id = task, %source, %failure, failures, "a chunk was not applied again")
            }
            ChunkFailure::Panic(message) if budget.operations > 1 => {
                error!(task.id = task, %source, message, "a chunk panicked; its operations are tried one by one");
                trouble.one_by_one = budget.operations as u64;
            }
            // It could not be failed, as one operation of a task is: it is a step of a purge, or the store is at fault.
            ChunkFailure::Panic(message) if failures <= 2 => {
                error!(task.id = task, %source, message, "a chunk of one operation panicked; its lane waits");
            }
            ChunkFailure::Panic(message) => {
                debug!(task.id = task, %source, message, failures, "the chunk of one operation panicked again")
            }
        }
    }

    fn trouble(&self, source: u32) -> Trouble {
        lock(&self.troubles).get(&source).copied().unwrap_or_default()
    }

    fn over_with(&self, source: u32) {
        lock(&self.troubles).remove(&source);
    }

    fn park(&self, lane: Lane, failure: &ChunkFailure) {
        let longest = match failure {
            ChunkFailure::Store(failure) => pause_max(failure),
            ChunkFailure::Panic(_) => PAUSE_MAX,
        };
        let pause = pause_after(self.trouble(lane.source.number).failures, longest);
        let due = self.inner.clock.monotonic() + pause;
        lock(&self.parked).push((due, lane));
    }

    /// A parked lane whose pause is over.
    fn take_parked(&self) -> Option<Lane> {
        let now = self.inner.clock.monotonic();
        let mut parked = lock(&self.parked);
        let place = parked.iter().position(|(due, _)| *due <= now)?;
        Some(parked.swap_remove(place).1)
    }

    /// How long it is until the pause of some parked lane is over.
    fn until_due(&self) -> Duration {
        let now = self.inner.clock.monotonic();
        let parked = lock(&self.parked);
        let next = parked.iter().map(|(due, _)| due.saturating_sub(now)).min();
        // Not zero, lest workers spin where the clock of the pauses stands still.
        next.map_or(Duration::MAX, |left| left.max(Duration::from_millis(1)))
    }
}

/// Tells of the task of the last chunk where it has ended with that.
fn tell_end(lane: &Lane) {
    if let Some(task) = lane.last.take_applied().filter(TaskProgress::ended) {
        told::ended(
            &lane.source.key,
            &task.stored(lane.source.number, 0, [].into()).task,
        );
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pause_after(failures: u32, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (PAUSE_FIRST * (1 << doublings)).min(longest)
}

/// The longest pause after a failure like this.
fn pause_max(failure: &StoreError) -> Duration {
    match failure {
        StoreError::Unavailable(_) => PAUSE_UNREACHED_MAX,
        StoreError::Refused(_)
        | StoreError::Answered(_)
        | StoreError::DefinitionsChanged
        | StoreError::Damaged(_) => PAUSE_MAX,
    }
}

/// The operations for the next chunk, after one of `count` of at most `operations` took so long.
fn adapted(operations: usize, count: u64, took: Duration, aim: Duration) -> usize {
    // A chunk that was cut short by its bytes or the end of its task says nothing about more operations.
    if took <= aim && count < operations as u64 {
        return operations;
    }
    let took = took.as_secs_f64().max(1e-6);
    let fitting = (count as f64 * aim.as_secs_f64() / took) as usize;
    fitting
        .clamp(operations / 2, operations * 2)
        .clamp(CHUNK_OPERATIONS_MIN, CHUNK_OPERATIONS_MAX)
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_grows_and_shrinks_towards_its_time() {
        let aim = Duration::from_millis(20);
        let after =
            |operations, count, millis| adapted(operations, count, Duration::from_millis(millis), aim);
        assert_eq!(after(1_024, 1_024, 20), 1_024);
        assert_eq!(after(1_024, 1_024, 16), 1_280);
        assert_eq!(after(1_024, 1_024, 1), 2_048);
        assert_eq!(after(1_024, 1_024, 0), 2_048);
        assert_eq!(after(4_096, 4_096, 1), 4_096);
        assert_eq!(after(1_024, 1_024, 30), 682);
        assert_eq!(after(1_024, 1_024, 900), 512);
        assert_eq!(after(300, 300, 900), 256);
        assert_eq!(after(1_024, 3, 1), 1_024);
        assert_eq!(after(1_024, 100, 40), 512);
    }

    #[test]
    fn pauses_grow_to_their_bound() {
        let pauses = |failure: &StoreError| {
            let longest = pause_max(failure);
            [1, 2, 3, 4, 5, u32::MAX].map(|failures| pause_after(failures, longest).as_millis())
        };
        let damaged = StoreError::Damaged("for the test".into());
        assert_eq!(pauses(&damaged), [100, 200, 400, 800, 1_600, 30_000]);
        let out_of_reach = StoreError::Unavailable("for the test".into());
        assert_eq!(pauses(&out_of_reach), [100, 200, 400, 800, 1_000, 1_000]);
    }
}
