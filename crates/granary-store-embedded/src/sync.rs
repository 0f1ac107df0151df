//! When what was committed becomes durable, and only then visible.
//!
//! Commits go to the journal without a sync of their own. One thread syncs for all: at once where somebody waits (the
//! waiters of the same moment share one sync), else a few hundred milliseconds after a commit. Each sync publishes the
//! snapshot that it covers, and every read of a client uses the last one published: nothing is shown that a crash could
//! take back.
//!
//! A read holds the snapshot that it uses ([`View`]). What only older snapshots name, the file of a segment whose bodies
//! were moved, is removed when nobody holds one of them any more.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fjall::{Database, PersistMode, Snapshot};
use futures::executor::block_on;
use granary_store::{Result, StoreError};
use tokio::sync::watch;

use crate::lock;
use crate::numbered::CommitNumbers;

/// How long a commit that nobody waits for may stay unsynced.
const SYNC_AFTER: Duration = Duration::from_millis(200);
/// How often the database is asked whether it still writes, where nothing is to be synced: where a table could not be
/// written it goes on to answer, and a commit that waits for that table waits for ever.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// A snapshot that was published, held for a read. Others may hold the same.
#[derive(Clone)]
pub(crate) struct View(Arc<Published>);

impl std::ops::Deref for View {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0.snapshot
    }
}

struct Published {
    snapshot: Snapshot,
    gone: Arc<Gone>,
}

/// Tells that a snapshot is held by nobody any more.
#[derive(Default)]
struct Gone {
    count: Mutex<u64>,
    more: Condvar,
}

impl Drop for Published {
    fn drop(&mut self) {
        *lock(&self.gone.count) += 1;
        self.gone.more.notify_all();
    }
}

/// A commit, as the syncer counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Commit(u64);

/// Syncs the journal and publishes snapshots.
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    db: Database,
    commits: Arc<CommitNumbers>,
    state: Mutex<State>,
    /// There is something to sync, or it became urgent, or it is time to stop.
    wake: Condvar,
    /// How far the syncs are.
    synced: watch::Sender<Synced>,
    /// Held for a commit and for taking the snapshot of a sync; alone, while a run goes in.
    gate: RwLock<()>,
    gone: Arc<Gone>,
    syncs: AtomicU64,
    sync_microseconds: AtomicU64,
}

/// How far the syncs are: all commits up to this one are durable, and visible.
struct Synced {
    commit: Commit,
    /// Why there are no more.
    failed: Option<String>,
}

impl Synced {
    fn check(&self) -> Result<()> {
        match &self.failed {
            Some(error) => Err(StoreError::Unavailable(error.clone())),
            None => Ok(()),
        }
    }
}

struct State {
    committed: u64,
    /// When what is committed must be synced at the latest; `None` where nothing waits.
    due: Option<Instant>,
    urgent: bool,
    stopping: bool,
    published: Arc<Published>,
    /// What was published before and is still held.
    older: Vec<Weak<Published>>,
}

impl Syncer {
    /// Starts the thread. What is in `db` now was recovered from disk; it is synced once more before it is shown.
    pub(crate) fn start(db: &Database, commits: Arc<CommitNumbers>) -> Result<Self> {
        db.persist(PersistMode::SyncAll)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let gone = Arc::new(Gone::default());
        let published = Arc::new(Published {
            snapshot: db.snapshot(),
            gone: Arc::clone(&gone),
        });
        let shared = Arc::new(Shared {
            db: db.clone(),
            commits,
            state: Mutex::new(State {
                committed: 0,
                due: None,
                urgent: false,
                stopping: false,
                published,
                older: Vec::new(),
            }),
            wake: Condvar::new(),
            synced: watch::Sender::new(Synced {
                commit: Commit(0),
                failed: None,
            }),
            gate: RwLock::new(()),
            gone,
            syncs: AtomicU64::new(0),
            sync_microseconds: AtomicU64::new(0),
        });
        let run = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("granary-sync".into())
            .spawn(move || run.run());
        let thread = thread.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// How many syncs there were, and how long they took together.
    pub(crate) fn syncs(&self) -> (u64, Duration) {
        let microseconds = self.shared.sync_microseconds.load(Relaxed);
        (
            self.shared.syncs.load(Relaxed),
            Duration::from_micros(microseconds),
        )
    }

    /// What reads may show.
    pub(crate) fn published(&self) -> View {
        View(Arc::clone(&self.shared.state().published))
    }

    /// Waits until nobody reads what was published before what is published now; false where `stopped` says so first.
    pub(crate) fn wait_for_older_reads(&self, stopped: impl Fn() -> bool) -> bool {
        /// How often `stopped` is asked.
        const STOPPED_ASKED_EVERY: Duration = Duration::from_millis(50);
        let older = self.shared.state().older.clone();
        let gone = &self.shared.gone;
        let mut count = lock(&gone.count);
        while older.iter().any(|view| view.strong_count() > 0) {
            if stopped() {
                return false;
            }
            let woken = gone.more.wait_timeout(count, STOPPED_ASKED_EVERY);
            count = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Says that a batch was committed; to be called after its commit has returned.
    pub(crate) fn committed(&self) -> Commit {
        let mut state = self.shared.state();
        state.committed += 1;
        // Counted from the first commit that waits: a task that commits all the time is synced all the same.
        if state.due.is_none() {
            state.due = Some(Instant::now() + SYNC_AFTER);
            self.shared.wake.notify_one();
        }
        Commit(state.committed)
    }

    /// The last commit: what a refusal was decided on is in it or before it.
    pub(crate) fn last_commit(&self) -> Commit {
        Commit(self.shared.state().committed)
    }

    /// Has the sync done soon, without waiting for it.
    pub(crate) fn hasten(&self) {
        self.shared.state().urgent = true;
        self.shared.wake.notify_one();
    }

    /// Waits until this commit is durable and visible.
    pub(crate) async fn durable(&self, commit: Commit) -> Result<()> {
        let mut synced = self.shared.synced.subscribe();
        if synced.borrow().commit < commit {
            self.hasten();
        }
        let synced = synced.wait_for(|synced| synced.commit >= commit || synced.failed.is_some());
        let synced = synced.await.expect("what is waited for lives as long as this");
        if synced.commit >= commit {
            Ok(())
        } else {
            synced.check()
        }
    }

    /// The same, for a thread that has nothing else to do.
    pub(crate) fn wait(&self, commit: Commit) -> Result<()> {
        block_on(self.durable(commit))
    }

    /// Fails once a sync has failed: what the disk holds is not known any more, until the store is opened again.
    pub(crate) fn check(&self) -> Result<()> {
        self.shared.synced.borrow().check()
    }

    /// Takes no more writes: one has failed, and what it left behind is not known.
    pub(crate) fn fail(&self, error: &dyn std::fmt::Display) {
        tracing::error!(%error, "a write failed; the store takes no more until it is opened again");
        self.shared
            .fail(format!("a write failed ({error}); restart the server"));
    }

    /// To be held for a commit: waits while a run goes in.
    pub(crate) fn pass_gate(&self) -> RwLockReadGuard<'_, ()> {
        self.shared.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps all commits and all new snapshots out for as long as it is held.
    pub(crate) fn close_gate(&self) -> RwLockWriteGuard<'_, ()> {
        self.shared.gate.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Syncs what is left and ends the thread.
    pub(crate) fn stop(&self) {
        self.shared.state().stopping = true;
        self.shared.wake.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(_)) = thread.map(JoinHandle::join) {
            tracing::error!("the thread that syncs had panicked");
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some(commit) = self.next() {
            // Taken before the sync, so that all it shows is covered by it.
            let Some(snapshot) = self.snapshot() else {
                return;
            };
            let last = self.commits.last();
            let began = Instant::now();
            let persisted = self.db.persist(PersistMode::SyncData);
            self.syncs.fetch_add(1, Relaxed);
            self.sync_microseconds
                .fetch_add(began.elapsed().as_micros() as u64, Relaxed);
            if let Err(error) = persisted {
                tracing::error!(%error, "a sync failed; the store takes no more writes until it is opened again");
                self.fail(format!("a sync failed ({error}); restart the server"));
                return;
            }
            self.commits.synced(last);
            {
                let mut state = self.state();
                let published = Arc::new(Published {
                    snapshot,
                    gone: Arc::clone(&self.gone),
                });
                let before = std::mem::replace(&mut state.published, published);
                state.older.retain(|view| view.strong_count() > 0);
                state.older.push(Arc::downgrade(&before));
                state.due = (Commit(state.committed) > commit).then(|| Instant::now() + SYNC_AFTER);
            }
            self.synced.send_modify(|synced| synced.commit = commit);
        }
    }

    /// Takes no more writes where the database does not.
    fn see_that_it_writes(&self) {
        if let Err(error) = self.db.persist(PersistMode::Buffer)
            && self.synced.borrow().check().is_ok()
        {
            tracing::error!(%error, "the database takes no more writes; the store takes none until it is opened again");
            self.fail(format!(
                "the database takes no more writes ({error}); restart the server"
            ));
        }
    }

    fn fail(&self, why: String) {
        self.synced.send_modify(|synced| synced.failed = Some(why));
    }

    /// What is committed, but for a run that is half way; `None` once a write has failed, for what it left behind is
    /// not to be shown.
    fn snapshot(&self) -> Option<Snapshot> {
        let _gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.db.snapshot();
        self.synced.borrow().failed.is_none().then_some(snapshot)
    }

    /// Waits for the next thing to sync; `None` when it is time to stop and nothing is left.
    fn next(&self) -> Option<Commit> {
        let mut state = self.state();
        loop {
            let Some(due) = state.due else {
                if state.stopping {
                    return None;
                }
                state.urgent = false;
                let woken = self.wake.wait_timeout(state, ASK_EVERY);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
                if state.due.is_none() {
                    drop(state);
                    self.see_that_it_writes();
                    state = self.state();
                }
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if state.urgent || state.stopping || left.is_zero() {
                break;
            }
            let woken = self.wake.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.urgent = false;
        Some(Commit(state.committed))
    }
}

#[cfg(test)]
mod tests {
    use fjall::{KeyspaceCreateOptions, Readable};

    use super::*;

    #[test]
    fn commits_that_never_pause_are_published_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::builder(folder.path())
            .manual_journal_persist(true)
            .open()
            .unwrap();
        let keyspace = db.keyspace("any", KeyspaceCreateOptions::default).unwrap();
        let rows = db.keyspace("commits", KeyspaceCreateOptions::default).unwrap();
        let commits = CommitNumbers::open(folder.path(), &db, rows).unwrap();
        let sync = Syncer::start(&db, Arc::new(commits)).unwrap();
        let started = Instant::now();
        while sync.published().is_empty(&keyspace).unwrap() {
            keyspace.insert("key", "value").unwrap();
            sync.committed();
            assert!(
                started.elapsed() < 50 * SYNC_AFTER,
                "nothing was published while commits went on"
            );
        }
    }
}
