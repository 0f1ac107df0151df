//! Who is served. Without keys whoever is on this machine, and nobody else; with keys who has one, as far as its role and
//! sources go (`granary_api::rights`).
//!
//! Keys are read from the store once a second at most, not for each call: a key that is revoked at another node works here
//! for that long. One that is revoked here is gone at once.

mod audit;
mod cors;
mod gate;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderValue;
use granary_core::access::{ApiKey, KeyRecord, Role, Sources};
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::ksuid::Ksuid;
use granary_core::time::Timestamp;
use granary_engine::error_object;
use granary_store::Access as Keys;
use tokio::time::Instant;

pub(crate) use audit::{Audited, followed};
pub(crate) use gate::let_in;

/// How keys are looked after, and who may call from a page of another site.
#[derive(Clone, Debug)]
pub struct AccessOptions {
    /// How long keys are used as they were read.
    pub keys_kept: Duration,
    /// The same for a key that is not among them: it may have been made meanwhile.
    pub unknown_kept: Duration,
    /// How often it is written down when keys were used.
    pub uses_noted_every: Duration,
    /// The sites whose pages may call (CORS), each as a browser names it: `https://console.example`. None unless told.
    pub origins: Vec<HeaderValue>,
}

impl Default for AccessOptions {
    fn default() -> Self {
        Self {
            keys_kept: Duration::from_secs(1),
            unknown_kept: Duration::from_millis(100),
            uses_noted_every: Duration::from_secs(60),
            origins: Vec::new(),
        }
    }
}

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Somebody on this machine, where no key is asked for; or of whom nothing is asked.
    Anyone,
    /// Who has this key.
    Holder(Arc<KeyRecord>),
}

impl Caller {
    /// The sources that the caller may see.
    pub(crate) fn sources(&self) -> &Sources {
        match self {
            Self::Anyone => &Sources::All,
            Self::Holder(key) => &key.sources,
        }
    }

    fn role(&self) -> Role {
        match self {
            Self::Anyone => Role::Admin,
            Self::Holder(key) => key.role,
        }
    }
}

/// What a server knows of keys.
pub(crate) struct Access {
    options: AccessOptions,
    /// Only this machine reaches the server.
    this_machine: bool,
    kept: Mutex<Kept>,
    /// Moves when keys were changed here, so that none that were read before are taken for those in force.
    forgotten: AtomicU64,
    /// Held by whoever reads the keys; the others wait for what it reads.
    reading: tokio::sync::Mutex<()>,
    /// When keys were used, as far as it is not written down yet.
    used: Mutex<HashMap<Ksuid, Timestamp>>,
}

/// Keys as they were read.
#[derive(Default)]
struct Kept {
    known: Option<Arc<Known>>,
    read_at: Option<Instant>,
    /// When reading them failed last, and why.
    failed: Option<(Instant, ErrorObject)>,
}

struct Known {
    revision: u64,
    keys: HashMap<Ksuid, Arc<KeyRecord>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Access {
    pub(crate) fn new(options: AccessOptions, this_machine: bool) -> Self {
        Self {
            options,
            this_machine,
            kept: Mutex::default(),
            forgotten: AtomicU64::new(0),
            reading: tokio::sync::Mutex::default(),
            used: Mutex::default(),
        }
    }

    /// Looks whether there are keys, so that it is known from the first call on; where that fails the next call looks.
    pub(crate) async fn look(&self, keys: &dyn Keys) {
        if let Err(error) = self.known(keys, Duration::ZERO).await {
            tracing::debug!(%error, "the API keys could not be read at the start");
        }
    }

    /// The keys in force, read no longer ago than this.
    async fn known(&self, keys: &dyn Keys, kept_for: Duration) -> Result<Arc<Known>, ErrorObject> {
        if let Some(known) = self.read_within(kept_for) {
            return Ok(known);
        }
        let waits_since = Instant::now();
        let _turn = self.reading.lock().await;
        if let Some(known) = self.read_within(kept_for) {
            return Ok(known);
        }
        // Where the store is out of reach, all who waited for one who tried are told so with it, and do not try in turn.
        if let Some((at, error)) = &lock(&self.kept).failed
            && *at > waits_since
        {
            return Err(error.clone());
        }
        let (asked_at, forgotten) = (Instant::now(), self.forgotten.load(Ordering::SeqCst));
        let read = self.read(keys).await;
        let mut kept = lock(&self.kept);
        match read {
            Ok(known) => {
                kept.known = Some(Arc::clone(&known));
                kept.read_at = (self.forgotten.load(Ordering::SeqCst) == forgotten).then_some(asked_at);
                kept.failed = None;
                Ok(known)
            }
            Err(failure) => {
                let error = error_object(failure);
                kept.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn read(&self, keys: &dyn Keys) -> granary_store::Result<Arc<Known>> {
        let revision = keys.keys_revision().await?;
        let before = lock(&self.kept).known.clone();
        if let Some(same) = before.filter(|known| known.revision == revision) {
            return Ok(same);
        }
        let stored = keys.keys().await?;
        let keys = stored.keys.into_iter().map(|key| (key.id, Arc::new(key)));
        Ok(Arc::new(Known {
            revision: stored.revision,
            keys: keys.collect(),
        }))
    }

    fn read_within(&self, time: Duration) -> Option<Arc<Known>> {
        let kept = lock(&self.kept);
        let fresh = kept.read_at.is_some_and(|read_at| read_at.elapsed() < time);
        kept.known.clone().filter(|_| fresh)
    }

    /// Keys were changed here: the next call looks at them anew.
    pub(crate) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        lock(&self.kept).read_at = None;
    }

    /// True where the store never had a key, as far as is known without asking it.
    fn may_be_open(&self) -> bool {
        let known = &lock(&self.kept).known;
        self.this_machine && known.as_ref().is_none_or(|known| known.revision == 0)
    }

    /// Who has this key.
    async fn holder(&self, keys: &dyn Keys, key: &ApiKey) -> Result<Arc<KeyRecord>, ErrorObject> {
        let mut known = self.known(keys, self.options.keys_kept).await?;
        if !known.keys.contains_key(&key.id()) {
            known = self.known(keys, self.options.unknown_kept).await?;
        }
        match known.keys.get(&key.id()) {
            Some(record) if record.hash.is_of(key) => Ok(Arc::clone(record)),
            _ => Err(unauthenticated(
                "the key is not valid, or not any more; use another",
            )),
        }
    }

    /// Remembers that a key was used; `write_uses` writes it down.
    fn used(&self, id: Ksuid, now: Timestamp) {
        let mut used = lock(&self.used);
        let last = used.entry(id).or_insert(now);
        *last = now.max(*last);
    }

    /// When a key was used last, where it is not written down yet.
    pub(crate) fn last_use(&self, id: &Ksuid) -> Option<Timestamp> {
        lock(&self.used).get(id).copied()
    }

    /// Writes down when keys were used.
    pub(crate) async fn write_uses(&self, keys: &dyn Keys) {
        let used = std::mem::take(&mut *lock(&self.used));
        if used.is_empty() {
            return;
        }
        let uses: Vec<(Ksuid, Timestamp)> = used.into_iter().collect();
        if let Err(error) = keys.note_use(&uses).await {
            tracing::warn!(%error, "when keys were used could not be written down; it is tried again");
            uses.into_iter().for_each(|(id, at)| self.used(id, at));
        }
    }

    /// Writes it down every so often.
    pub(crate) async fn keep_writing_uses(&self, keys: &dyn Keys) {
        loop {
            tokio::time::sleep(self.options.uses_noted_every).await;
            self.write_uses(keys).await;
        }
    }
}

fn unauthenticated(message: &str) -> ErrorObject {
    ErrorObject::new(ErrorType::Unauthenticated, message)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use granary_store::{Result, StoreError, StoredKeys};

    use super::*;

    /// A store that is out of reach, and takes ten seconds to find out.
    #[derive(Default)]
    struct OutOfReach {
        asked: AtomicU64,
    }

    #[async_trait]
    impl Keys for OutOfReach {
        async fn keys_revision(&self) -> Result<u64> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(10)).await;
            Err(StoreError::Unavailable("nobody is there".to_owned()))
        }

        async fn keys(&self) -> Result<StoredKeys> {
            unreachable!("the revision is read first")
        }

        async fn create_key(&self, _: &KeyRecord) -> Result<()> {
            unreachable!("nothing is written")
        }

        async fn revoke_key(&self, _: Ksuid) -> Result<KeyRecord> {
            unreachable!("nothing is written")
        }

        async fn note_use(&self, _: &[(Ksuid, Timestamp)]) -> Result<()> {
            Err(StoreError::Unavailable("nobody is there".to_owned()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_do_not_wait_in_turn_for_a_store_that_is_out_of_reach() {
        let (access, store) = (Access::new(AccessOptions::default(), true), OutOfReach::default());
        let started = Instant::now();
        let calls = (0..50).map(|_| access.known(&store, Duration::from_secs(1)));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(
                answer.err().map(|error| error.error_type),
                Some(ErrorType::Unavailable)
            );
        }
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        // One that comes later tries anew.
        assert!(access.known(&store, Duration::from_secs(1)).await.is_err());
        assert_eq!(store.asked.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_use_that_could_not_be_written_down_is_not_forgotten() {
        let access = Access::new(AccessOptions::default(), true);
        let id = Ksuid::from_bytes([1; 20]);
        access.used(id, Timestamp::from_millis(2));
        access.used(id, Timestamp::from_millis(1));
        access.write_uses(&OutOfReach::default()).await;
        assert_eq!(access.last_use(&id), Some(Timestamp::from_millis(2)));
    }
}
