//! Collection: bodies that no head points to any more are removed from the disk.
//!
//! A segment is written once, so its dead bodies go with the whole file, after its live ones were moved to another
//! segment. `choose.rs` says which are worth it, `round.rs` moves what is alive in them. Counts choose, and the heads
//! decide: a file of bodies is removed only after a walk over all heads of its source has moved whatever pointed into it,
//! and that is synced. ADR 15 has the protocol.
//!
//! One thread looks every few seconds and rests for as long as it works, so that it takes half a core at the most. It
//! holds the lane of a source for one small batch at a time. Stopping waits for a batch or a sync at the longest.

mod choose;
mod round;
#[cfg(test)]
mod tests;
mod window;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use granary_core::time::Timestamp;
use granary_store::{Result, StoreError};

use crate::{Inner, lock};

/// When segments are collected. The default is for a server; tests choose otherwise.
#[derive(Clone)]
pub struct Collection {
    /// How often a thread of the store looks whether a segment is to be collected; `None` where it is only done when it
    /// is asked for.
    pub look_every: Option<Duration>,
    /// How long the bytes of what was deleted or overwritten may stay. A segment that holds older ones is collected,
    /// whatever their share.
    pub dead_kept: Duration,
    /// How long the bodies of operations that failed or were cancelled stay, from the end of their task on.
    pub failures_kept: Duration,
    /// Segments are collected for their space once all of them together take more than so many percent of what is alive
    /// in them,
    pub total_percent: u64,
    /// and so many bytes of them are dead;
    pub dead_bytes_min: u64,
    /// those of which less than so many percent is alive.
    pub live_percent: u64,
    /// Heads that are held in memory to be moved together.
    pub window_heads_max: usize,
    /// Heads that are pointed elsewhere in one batch, with the lane held.
    pub batch_heads_max: usize,
    /// What time it is, unless the machine is to be asked.
    pub clock: Option<Arc<dyn Fn() -> Timestamp + Send + Sync>>,
    /// Called at each step of a round.
    pub observer: Option<Arc<dyn Fn(CollectStep) + Send + Sync>>,
}

impl Default for Collection {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            look_every: Some(Duration::from_secs(10)),
            dead_kept: 30 * DAY,
            failures_kept: 7 * DAY,
            total_percent: 200,
            // A round walks over all heads of a source: not for less.
            dead_bytes_min: 16 << 20,
            live_percent: 60,
            // Some 40 MB.
            window_heads_max: 500_000,
            // Some milliseconds.
            batch_heads_max: 1_024,
            clock: None,
            observer: None,
        }
    }
}

impl Collection {
    /// Nothing is collected unless it is asked for.
    pub fn by_hand() -> Self {
        Self {
            look_every: None,
            ..Self::default()
        }
    }

    fn now(&self) -> Timestamp {
        match &self.clock {
            Some(clock) => clock(),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    fn at(&self, step: CollectStep) {
        if let Some(observer) = &self.observer {
            observer(step);
        }
    }
}

/// What has just been done of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectStep {
    /// The heads that point into the victims are known, or as many of them as are moved together.
    Found,
    /// Their bodies are written to a new segment, which is not synced.
    Copied,
    /// The new segment and its name are synced.
    Synced,
    /// A row names it.
    Named,
    /// A batch of heads points into it, not synced. Comes again for each batch.
    Pointed,
    /// The rows of the victims say that their bodies are gone, not synced.
    Retired,
    /// All of that is synced.
    Durable,
    /// Nobody reads by what was before.
    Unread,
    /// The bodies of a victim are removed. Comes again for each.
    Removed,
}

/// What collection has done since the store was opened, and what it saw when it last looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectionFigures {
    /// Rounds that came to their end.
    pub rounds: u64,
    /// Bytes of the segments that bodies were moved to.
    pub bytes_rewritten: u64,
    /// Bytes of the files that were removed.
    pub bytes_freed: u64,
    /// Bytes of bodies of all segments that may be collected: those of ended tasks, but for what is kept for a retry.
    pub bytes_total: u64,
    /// What is alive of that, about.
    pub bytes_live: u64,
    /// Since when the oldest dead bytes among them are dead.
    pub oldest_dead_at: Option<Timestamp>,
    /// Segments that could not be read, and are left alone until the store is opened again.
    pub segments_damaged: u64,
}

/// What collection keeps beside the store.
pub(crate) struct State {
    pub(crate) options: Collection,
    /// One round at a time.
    turn: Mutex<()>,
    stopping: AtomicBool,
    /// Wakes whoever rests, to stop.
    rest: Mutex<()>,
    stop: Condvar,
    figures: Mutex<CollectionFigures>,
    /// Segments that are left alone.
    damaged: Mutex<std::collections::BTreeSet<u32>>,
}

impl State {
    pub(crate) fn new(options: Collection) -> Self {
        Self {
            options,
            turn: Mutex::default(),
            stopping: AtomicBool::new(false),
            rest: Mutex::default(),
            stop: Condvar::new(),
            figures: Mutex::default(),
            damaged: Mutex::default(),
        }
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Rests for so long, or until it is time to stop.
    fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut rest = lock(&self.rest);
        while !self.stopping() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.stop.wait_timeout(rest, left);
            rest = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Has a round end where it stands, and no other begin. Returns when none is under way.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(lock(&self.rest));
        self.stop.notify_all();
        drop(lock(&self.turn));
    }
}

/// Works and rests in turn.
struct Pace<'a> {
    state: &'a State,
    /// It works in the background, so it rests.
    rests: bool,
    since: Instant,
}

impl<'a> Pace<'a> {
    /// What is done between two rests, at least.
    const WORK_MIN: Duration = Duration::from_millis(2);
    /// A rest is no longer, however long a disk took.
    const REST_MAX: Duration = Duration::from_millis(250);

    fn new(state: &'a State, rests: bool) -> Self {
        Self {
            state,
            rests,
            since: Instant::now(),
        }
    }

    /// Rests where it is time to; fails where it is time to stop. No lock may be held.
    fn go_on(&mut self) -> Result<()> {
        let worked = self.since.elapsed();
        if self.rests && worked >= Self::WORK_MIN {
            self.state.rest(worked.min(Self::REST_MAX));
            self.since = Instant::now();
        }
        match self.state.stopping() {
            true => Err(StoreError::Unavailable("the store is closing".into())),
            false => Ok(()),
        }
    }
}

impl Inner {
    /// Collects what is to be collected now. What it writes to itself is not looked at again.
    pub(crate) fn collect(&self, rests: bool) -> Result<CollectionFigures> {
        let state = &self.collection;
        let _turn = lock(&state.turn);
        let mut pace = Pace::new(state, rests);
        let below = self.after_all_segments();
        loop {
            pace.go_on()?;
            self.check_open()?;
            // A round that broke off may have pointed heads to a segment that is a victim now: the walk must see them so.
            self.sync.wait(self.sync.last_commit())?;
            let Some(chosen) = self.choose(below)? else { break };
            self.round(&chosen, &mut pace)?;
        }
        Ok(self.collection_figures())
    }

    pub(crate) fn collection_figures(&self) -> CollectionFigures {
        let mut figures = lock(&self.collection.figures).clone();
        figures.segments_damaged = lock(&self.collection.damaged).len() as u64;
        figures
    }
}

/// The thread that collects. Dropped, it stops it and waits for its end.
pub(crate) struct Collector {
    inner: Arc<Inner>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Collector {
    pub(crate) fn start(inner: &Arc<Inner>) -> io::Result<Self> {
        let start = |every| {
            let inner = Arc::clone(inner);
            std::thread::Builder::new()
                .name("granary-collect".into())
                .spawn(move || keep_collecting(&inner, every))
        };
        let thread = inner.collection.options.look_every.map(start).transpose()?;
        Ok(Self {
            inner: Arc::clone(inner),
            thread: Mutex::new(thread),
        })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.inner.collection.stop();
        let thread = lock(&self.thread).take();
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!("the thread that collects had panicked");
        }
    }
}

fn keep_collecting(inner: &Inner, every: Duration) {
    let state = &inner.collection;
    while !state.stopping() {
        state.rest(every);
        match catch_unwind(AssertUnwindSafe(|| inner.collect(true))) {
            Ok(Ok(_)) => {}
            Err(_) => tracing::error!("collecting segments panicked; trying again"),
            // What fails for good is said where it failed.
            Ok(Err(_)) if state.stopping() || inner.check_open().is_err() => return,
            Ok(Err(error)) => tracing::warn!(%error, "segments were not collected; trying again"),
        }
    }
}
