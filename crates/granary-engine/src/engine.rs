//! The engine: what the parts of it share, and its start and end.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::Key;
use granary_core::limits::Limits;
use granary_core::vocabulary::Vocabularies;
use granary_store::{Source, Store, StoreError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error};

use crate::clock::Clock;
use crate::codes::KeptCodes;
use crate::disk::Disk;
use crate::drain::Drain;
use crate::error::{error_object, internal, unavailable};
use crate::figures::Counters;
use crate::lanes::Lanes;
use crate::once::NamesInFlight;
use crate::schemas::{CompiledSchema, Schemas, compile};

/// How often a write is tried again because the definitions changed under it.
pub(crate) const CHANGED_TRIES_MAX: u32 = 10;

/// Sources are spread over so many locks of those that change their definitions.
pub(crate) const DEFINING: usize = 16;
/// The same of those that compile them.
const COMPILING: usize = 64;

/// What the disk keeps free beside records that are imported: as much as the collection of a folder needs for a segment.
const ROOM_BESIDE_RECORDS: u64 = 256 << 20;

/// How an engine runs. What a client can meet is in [`Limits`].
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Workers that carry out tasks. 0: none, for a node that only takes in.
    pub workers: usize,
    /// Runs of operations of one bulk request that are checked at once.
    pub checks_in_flight: usize,
    /// Runs that are checked at once over all requests.
    pub checks: usize,
    /// How long a worker stays with a lane while others wait.
    pub quantum: Duration,
    /// How long a chunk should take; its number of operations follows.
    pub chunk_time: Duration,
    /// How often workers look for work that nothing woke them for.
    pub poll_every: Duration,
    /// Where the failures of rejected requests go while they are being answered. Nothing is left there.
    pub scratch_dir: PathBuf,
    /// The disk that requests are spooled to, where it is one of this machine.
    pub disk: Option<Disk>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            workers: cores,
            checks_in_flight: cores + 1,
            checks: cores,
            quantum: Duration::from_millis(100),
            chunk_time: Duration::from_millis(20),
            poll_every: Duration::from_secs(1),
            scratch_dir: std::env::temp_dir(),
            disk: None,
        }
    }
}

/// Whose places: of what has a body, or of deletes of single records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    Common,
    Deletes,
}

/// A place among the requests in flight (limit `requestsInFlight`), given back when it is dropped.
pub struct InFlight {
    inner: Arc<Inner>,
    of: Places,
    _permit: OwnedSemaphorePermit,
}

impl fmt::Debug for InFlight {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("InFlight").finish_non_exhaustive()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.inner
            .drain
            .place_freed(self.inner.clock.monotonic(), self.of);
    }
}

/// The engine. Cheap to clone: every clone is the same one.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) options: EngineOptions,
    /// Wakes the workers: something was accepted. All of them, for a single one might be at work, and look again only when
    /// its turn is over.
    pub(crate) accepted: Notify,
    /// A source was deleted: there may be space to free.
    pub(crate) deleted: Notify,
    pub(crate) names: NamesInFlight,
    pub(crate) counters: Counters,
    pub(crate) drain: Drain,
    /// Places for deletes of single records.
    deletes: Arc<Semaphore>,
    /// Places for those who wait for the end of a task.
    pub(crate) waits: Semaphore,
    /// Places for those who watch tasks.
    pub(crate) watches: Arc<Semaphore>,
    /// Places for exports that are open.
    pub(crate) exports: Arc<Semaphore>,
    /// When those end at the latest.
    pub(crate) exports_until: Arc<Mutex<Vec<Instant>>>,
    /// Acceptances and writes that have begun, waited for or not.
    pub(crate) writes: TaskTracker,
    pub(crate) hash_key: [u8; 16],
    pub(crate) schemas: Schemas,
    /// Held while definitions of a source are changed, by its number: of changes that are sent together none has to be
    /// judged again because of another of this process.
    pub(crate) defining: [tokio::sync::Mutex<()>; DEFINING],
    /// Held while the definitions of a source are compiled.
    compiling: [tokio::sync::Mutex<()>; COMPILING],
    /// Held for a round of removing tasks that are kept no longer.
    pub(crate) retiring: tokio::sync::Mutex<()>,
    pub(crate) codes: KeptCodes,
    pub(crate) no_vocabularies: Arc<Vocabularies>,
    /// Places for checks that run at once.
    pub(crate) checks: Semaphore,
    /// Bytes of scratch files.
    pub(crate) scratch_bytes: Arc<AtomicU64>,
    in_flight: Arc<Semaphore>,
    stop: CancellationToken,
    workers: TaskTracker,
}

/// As many places as a limit has, as far as they can be counted.
fn places(limit: u64) -> Semaphore {
    let count = usize::try_from(limit).unwrap_or(usize::MAX);
    Semaphore::new(count.min(Semaphore::MAX_PERMITS))
}

impl Inner {
    pub(crate) fn scratch_bytes(&self) -> u64 {
        self.scratch_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that count towards the limit `spoolBytes`: spooled requests and scratch files.
    pub(crate) async fn taken_bytes(&self) -> Result<u64, ErrorObject> {
        let spooled = self.store.spooled_bytes().await.map_err(error_object)?;
        Ok(spooled + self.scratch_bytes())
    }

    /// Refuses so many more bytes beside those that are taken, where all together would be over the limit `spoolBytes`,
    /// or over what the disk has room for. What is told may take less once it is packed, so that one that is alone is
    /// tried.
    pub(crate) async fn admit_bytes(&self, wanted: u64) -> Result<(), ErrorObject> {
        let taken = self.taken_bytes().await?;
        let limit = self.limits.spool_bytes;
        let disk = self.options.disk.as_ref();
        let of_disk = disk
            .and_then(|disk| disk.bytes_max(taken))
            .filter(|max| *max < limit);
        let max = of_disk.unwrap_or(limit);
        if taken.saturating_add(wanted) <= max || (taken == 0 && max > 0) {
            return Ok(());
        }
        let message = match of_disk {
            Some(max) => format!(
                "the disk has room for {max} bytes of spooled requests and answers, which take {taken}; make room on \
                 it, or send the request again later"
            ),
            None => format!(
                "spooled requests and answers take {taken} bytes, and with this one more than the limit spoolBytes of \
                 {limit}; send the request again later"
            ),
        };
        let refusal = ErrorObject::new(ErrorType::ResourceExhausted, message);
        Err(self.until_room(wanted, max, refusal).await)
    }

    /// Refuses records that nothing is spooled of, where the disk has no room for so many bytes of them, and for what the
    /// store needs besides.
    pub(crate) async fn admit_records(&self, bytes: u64) -> Result<(), ErrorObject> {
        let Some(disk) = &self.options.disk else {
            return Ok(());
        };
        let taken = self.taken_bytes().await?;
        let wanted = bytes.saturating_add(ROOM_BESIDE_RECORDS);
        match disk.bytes_max(taken) {
            Some(max) if taken.saturating_add(wanted) > max => {
                let message = format!(
                    "the disk has no room for more records: {wanted} bytes beside what is spooled, of which \
                     {ROOM_BESIDE_RECORDS} stay free; make room on it"
                );
                let refusal = ErrorObject::new(ErrorType::ResourceExhausted, message);
                Err(self.until_room(wanted, max, refusal).await)
            }
            _ => Ok(()),
        }
    }
}

impl Engine {
    /// Starts the workers. To be called inside a tokio runtime.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        options: EngineOptions,
    ) -> Self {
        let inner = Inner {
            hash_key: store.hash_key(),
            schemas: Schemas::default(),
            defining: Default::default(),
            compiling: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            retiring: Default::default(),
            codes: KeptCodes::new(limits.concept_code_bytes),
            no_vocabularies: Arc::default(),
            checks: Semaphore::new(options.checks.max(1)),
            scratch_bytes: Arc::default(),
            in_flight: Arc::new(places(limits.requests_in_flight)),
            deletes: Arc::new(places(limits.requests_in_flight)),
            waits: places(limits.waits),
            watches: Arc::new(places(limits.event_streams)),
            exports: Arc::new(places(limits.exports)),
            exports_until: Arc::default(),
            store,
            clock,
            limits,
            options,
            accepted: Notify::new(),
            deleted: Notify::new(),
            names: NamesInFlight::default(),
            counters: Counters::default(),
            drain: Drain::default(),
            writes: TaskTracker::new(),
            stop: CancellationToken::new(),
            workers: TaskTracker::new(),
        };
        let engine = Self {
            inner: Arc::new(inner),
        };
        let lanes = Lanes::new(Arc::clone(&engine.inner), engine.inner.stop.clone());
        engine.inner.workers.spawn(lanes.run());
        let (inner, stop) = (Arc::clone(&engine.inner), engine.inner.stop.clone());
        engine
            .inner
            .workers
            .spawn(crate::lanes::pass_on_hints(inner, stop));
        let (inner, stop) = (Arc::clone(&engine.inner), engine.inner.stop.clone());
        engine
            .inner
            .workers
            .spawn(crate::space::keep_freeing(inner, stop));
        let (inner, stop) = (Arc::clone(&engine.inner), engine.inner.stop.clone());
        engine
            .inner
            .workers
            .spawn(crate::space::keep_forgetting(inner, stop));
        let (inner, stop) = (Arc::clone(&engine.inner), engine.inner.stop.clone());
        engine
            .inner
            .workers
            .spawn(crate::retention::keep_retiring(inner, stop));
        engine
    }

    /// Stops: takes in nothing new, lets what has begun end, has the workers give their lanes back after the chunk
    /// they are at. The store stays open.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.writes.close();
        self.inner.writes.wait().await;
        self.inner.workers.close();
        self.inner.workers.wait().await;
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// The clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// True once the engine is stopping.
    pub fn stopping(&self) -> bool {
        self.inner.stop.is_cancelled()
    }

    /// Takes a place among the requests in flight, before the body of a single write is read into memory. A bulk
    /// request takes its own.
    pub fn admit(&self) -> Result<InFlight, ErrorObject> {
        self.admit_among(Places::Common)
    }

    /// The same for the delete of a single record. Deletes have as many places of their own: they have no body, and are not to
    /// wait for those that take long to send theirs.
    pub fn admit_delete(&self) -> Result<InFlight, ErrorObject> {
        self.admit_among(Places::Deletes)
    }

    fn admit_among(&self, of: Places) -> Result<InFlight, ErrorObject> {
        let (places, what) = match of {
            Places::Common => (&self.inner.in_flight, "requests"),
            Places::Deletes => (&self.inner.deletes, "deletes"),
        };
        if self.stopping() {
            return Err(unavailable("the server was stopping; send the request again"));
        }
        match Arc::clone(places).try_acquire_owned() {
            Ok(permit) => Ok(InFlight {
                inner: Arc::clone(&self.inner),
                of,
                _permit: permit,
            }),
            Err(_) => {
                let message = format!(
                    "{} {what} are in flight, which is the limit requestsInFlight; send the request again later",
                    self.inner.limits.requests_in_flight
                );
                let seconds = self.inner.drain.until_place(self.inner.clock.monotonic(), of);
                Err(ErrorObject::new(ErrorType::ResourceExhausted, message).with_retry_after(seconds))
            }
        }
    }

    /// True while all places among the requests in flight are taken.
    pub fn is_crowded(&self) -> bool {
        self.inner.in_flight.available_permits() == 0
    }

    pub(crate) fn requests_in_flight(&self) -> u64 {
        let free = self.inner.in_flight.available_permits() as u64;
        self.inner.limits.requests_in_flight.saturating_sub(free)
    }

    /// The source with this key, or `NOT_FOUND`.
    pub async fn source(&self, key: &Key) -> Result<Source, ErrorObject> {
        let found = self.inner.store.source(key).await.map_err(error_object)?;
        found.ok_or_else(|| error_object(StoreError::source_gone(key.as_str())))
    }

    /// The definitions of a source that are in force, compiled.
    pub async fn schema(&self, source: &Source) -> Result<Arc<CompiledSchema>, ErrorObject> {
        let store = &self.inner.store;
        let revision = store.definitions_revision(source).await.map_err(error_object)?;
        if let Some(last) = self.inner.schemas.last(source)
            && last.revision == revision
        {
            return Ok(last);
        }
        // Calls that come at once wait for one of them.
        let _alone = self.inner.compiling[source.number as usize % COMPILING]
            .lock()
            .await;
        let definitions = match self.inner.schemas.last(source) {
            Some(last) if last.revision >= revision => return Ok(last),
            _ => store.definitions(source).await.map_err(error_object)?,
        };
        let compiling = tokio::task::spawn_blocking(move || compile(&definitions));
        let schema = Arc::new(compiling.await.map_err(|_| internal())??);
        self.inner.schemas.keep(source, Arc::clone(&schema));
        Ok(schema)
    }

    /// Bytes on disk that hold the failures of rejected requests until they are answered.
    pub fn scratch_bytes(&self) -> u64 {
        self.inner.scratch_bytes()
    }

    /// Runs a write that must not stop half way: it goes on even if nobody waits for it any more, and the engine
    /// does not stop before it has ended.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, ErrorObject>> + Send + 'static,
    ) -> Result<T, ErrorObject> {
        // What it tells of is still of the request.
        let write = write.in_current_span();
        self.inner.writes.spawn(write).await.unwrap_or_else(|failure| {
            error!(%failure, "a write failed");
            Err(internal())
        })
    }
}
