//! The store that many nodes share: PostgreSQL. Every node may do everything; what they must agree on is in the database,
//! and each call is one transaction that may be tried again.
//!
//! A source's rows stand under its *bucket*, the first column of every key. Its *lane* is one row that a node takes by
//! compare-and-set, with a fence, an owner and a lease; that an operation is applied once rests on the cursor of its task
//! and the lock of that row, never on clocks. Single writes and bundles go beside a chunk: what either was decided on is
//! locked until it commits (`current.rs`). See `docs/adr/0013` for why.

mod access;
mod answers;
mod cascade;
mod catalog;
mod check;
mod chunk;
mod connect;
mod current;
mod effects;
mod failure;
mod hint;
mod lanes;
mod migrate;
mod packed;
mod purge;
mod records;
mod retention;
mod sent;
mod session;
mod snapshot;
mod space;
mod tasks;
mod terminology;
mod transact;
mod upload;
mod write;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use granary_core::error::ErrorObject;
use granary_core::keys::{Key, ResourceId};
use granary_core::ksuid::Ksuid;
use granary_core::meta::Triple;
use granary_core::operation::{RecordId, TargetType, TypeNumber, TypeRef};
use granary_core::receipt::Receipt;
use granary_core::schema::{AcceptedDefinition, DefinitionKind, StoredDefinition};
use granary_core::task::TaskId;
use granary_core::time::Timestamp;
use granary_store::{
    Access, Budget, Definitions, EdgeFilter, Figure, FirstAnswer, KeptDefinition, Lane, Purge, Record,
    RemovedTask, RequestName, Result, Retention, Retired, SentOperation, Source, SourceSnapshot, Step, Store,
    StoreError, StoreLimits, Stored, StoredTask, TaskFilter, Terminology, Upload, Write, Written,
};

pub use migrate::SCHEMA_VERSION;
use tracing::info;

use crate::session::{Session, params};
use crate::transact::Rules;

/// How statements are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statements {
    /// Prepared once a connection.
    #[default]
    Prepared,
    /// Unnamed, with the types of their parameters: for a pooler that knows no prepared statements, such as PgBouncer
    /// before 1.21 in transaction mode.
    Unnamed,
}

/// How a node works with the database.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port,host:port/database?target_session_attrs=read-write` and what else
    /// <https://docs.rs/tokio-postgres/latest/tokio_postgres/config/struct.Config.html> tells.
    pub url: String,
    /// Connections of this node at the most, from 2 on.
    pub connections: usize,
    /// How statements are sent.
    pub statements: Statements,
    /// What the certificate of the server is checked against (PEM); without it, the certificates of this machine.
    pub root_certificate: Option<PathBuf>,
    /// How long a node holds a lane without a sign of life, counted from the begin of its last chunk. A chunk that stands
    /// idle for a third of it is given up.
    pub lease: Duration,
    /// Bounds of acceptance.
    pub limits: StoreLimits,
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the URL, which holds a password.
        f.debug_struct("PostgresOptions")
            .field("connections", &self.connections)
            .field("statements", &self.statements)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// The store in one database.
pub struct PostgresStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pool: Pool,
    /// How a connection is made beside those of the pool.
    config: tokio_postgres::Config,
    tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
    /// Listens for hints of other nodes, once somebody waits for them.
    listener: tokio::sync::Mutex<Option<hint::Listener>>,
    statements: Statements,
    lease: Duration,
    limits: StoreLimits,
    hash_key: [u8; 16],
    /// Who this node is in the rows of lanes: another at every start.
    owner: String,
    closed: AtomicBool,
    /// The other nodes are about to be told of work.
    hinting: AtomicBool,
    /// The lanes that this node holds, by the number of their source, with what was read of the task at their head.
    held: Mutex<HashMap<u32, Held>>,
    /// Bytes that uploads of this node hold and have not written.
    held_bytes: AtomicU64,
    retiring: retention::Retiring,
    /// Uploads that were dropped and whose rows are still there.
    abandoned: Mutex<Vec<upload::UploadKey>>,
    /// Those that are marked, and still to be removed.
    marked: Mutex<Vec<upload::UploadKey>>,
    /// Held while these are removed.
    clearing: tokio::sync::Mutex<()>,
}

/// A lane that this node holds.
#[derive(Default)]
struct Held {
    fence: u64,
    open: Option<Arc<chunk::OpenTask>>,
    /// The task and the cursor of a chunk that was begun and has neither ended nor failed: it panicked.
    trying: Option<(u64, u64)>,
}

/// Buckets over which sources and vocabularies are spread; fixed for ever.
const BUCKETS: u32 = 1_024;

/// The bucket of the source with this number.
pub(crate) fn bucket_of(source: u32) -> i16 {
    (source % BUCKETS) as i16
}

/// The bucket of what has this key: a number that it is given says the same.
pub(crate) fn bucket_of_key(key: &Key) -> i16 {
    (xxhash_rust::xxh3::xxh3_64(key.as_str().as_bytes()) % u64::from(BUCKETS)) as i16
}

/// A number of the domain as the database holds it. Numbers are given within 31 bits: a larger one names nothing.
pub(crate) fn int4(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(crate) fn uint4(number: i32) -> u32 {
    number.unsigned_abs()
}

/// The same for counts and stamps, which stay within 63 bits.
pub(crate) fn int8(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn uint8(number: i64) -> u64 {
    number.unsigned_abs()
}

pub(crate) fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.into())
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn check_open(&self) -> Result<()> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("it is closed".into())),
            false => Ok(()),
        }
    }
}

impl PostgresStore {
    /// Connects, brings the schema up to date, and reads what the store is.
    pub async fn open(options: PostgresOptions) -> Result<Self> {
        let mut inner = Inner::of(options)?;
        inner.check_database().await?;
        inner.migrate().await?;
        inner.hash_key = inner.settle_hash_key().await?;
        info!(
            owner = inner.owner,
            "this node is told from others by its owner in granary.lane"
        );
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

impl Inner {
    /// A node that has not connected yet.
    fn of(options: PostgresOptions) -> Result<Self> {
        let (config, tls) = connect::way(&options)?;
        Ok(Self {
            pool: connect::pool(config.clone(), tls.clone(), options.connections)?,
            config,
            tls,
            listener: tokio::sync::Mutex::default(),
            statements: options.statements,
            lease: options.lease,
            limits: options.limits,
            hash_key: [0; 16],
            owner: random_name()?,
            closed: AtomicBool::new(false),
            hinting: AtomicBool::new(false),
            held: Mutex::default(),
            held_bytes: AtomicU64::new(0),
            retiring: retention::Retiring::default(),
            abandoned: Mutex::default(),
            marked: Mutex::default(),
            clearing: tokio::sync::Mutex::default(),
        })
    }
}

fn random_name() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Says why a database of this version (as in `server_version_num`) and encoding does not do.
fn works_on(version: i32, encoding: &str) -> std::result::Result<(), String> {
    if version < 150_000 {
        let major = version / 10_000;
        return Err(format!("PostgreSQL 15 or later is needed; this is {major}"));
    }
    if encoding != "UTF8" {
        return Err(format!(
            "the database must be encoded in UTF8; this one is in {encoding}"
        ));
    }
    Ok(())
}

#[test]
fn an_older_server_is_refused_by_its_number() {
    assert_eq!(
        works_on(140_013, "UTF8").unwrap_err(),
        "PostgreSQL 15 or later is needed; this is 14"
    );
    assert_eq!(works_on(150_000, "UTF8"), Ok(()));
}

impl Inner {
    /// Sees that the database is one that works.
    async fn check_database(&self) -> Result<()> {
        let asked = self.read(|session: Arc<Session>| async move {
            let sql =
                "SELECT current_setting('server_version_num')::int4, current_setting('server_encoding')";
            let row = session.query_one(sql, params![]).await?;
            Ok((row.get::<_, i32>(0), row.get::<_, String>(1)))
        });
        let (version, encoding) = asked.await?;
        works_on(version, &encoding).map_err(StoreError::Unavailable)
    }

    /// The secret key of the store, made by whoever comes first.
    async fn settle_hash_key(&self) -> Result<[u8; 16]> {
        let mut fresh = [0; 16];
        getrandom::fill(&mut fresh).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let settled = self.transact(Rules::DURABLE, |session: Arc<Session>| async move {
            let insert = "INSERT INTO granary.store (hash_key) VALUES ($1) ON CONFLICT DO NOTHING";
            session.execute(insert, params![fresh.as_slice()]).await?;
            let row = session
                .query_one("SELECT hash_key FROM granary.store", params![])
                .await?;
            Ok(row.get::<_, Vec<u8>>(0))
        });
        settled.await?.try_into().map_err(|_| damaged("the hash key"))
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn hash_key(&self) -> [u8; 16] {
        self.inner.hash_key
    }

    fn terminology(&self) -> &dyn Terminology {
        self
    }

    fn access(&self) -> &dyn Access {
        self
    }

    async fn put_source(&self, key: &Key, now: Timestamp) -> Result<(Source, Stored)> {
        self.inner.put_source(key, now).await
    }

    async fn source(&self, key: &Key) -> Result<Option<Source>> {
        self.inner.source(key).await
    }

    async fn sources(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Source>> {
        self.inner.sources(after, limit).await
    }

    async fn delete_source(&self, source: &Source, purge: bool) -> Result<()> {
        self.inner.delete_source(source, purge).await
    }

    async fn free_space(&self, rows: usize) -> Result<bool> {
        self.inner.free_space(rows).await
    }

    async fn definitions(&self, source: &Source) -> Result<Definitions> {
        self.inner.definitions(source).await
    }

    async fn definitions_revision(&self, source: &Source) -> Result<u64> {
        self.inner.definitions_revision(source).await
    }

    async fn put_definition(
        &self,
        source: &Source,
        definition: &AcceptedDefinition,
        seen: u64,
        now: Timestamp,
    ) -> Result<(StoredDefinition, Stored)> {
        self.inner.put_definition(source, definition, seen, now).await
    }

    async fn delete_definition(
        &self,
        source: &Source,
        kind: DefinitionKind,
        key: &Key,
        seen: u64,
    ) -> Result<()> {
        self.inner.delete_definition(source, kind, key, seen).await
    }

    async fn snapshot(&self, source: &Source, held_max: Duration) -> Result<Box<dyn SourceSnapshot>> {
        let snapshot = snapshot::PostgresSnapshot::of(&self.inner, source, held_max).await?;
        Ok(Box::new(snapshot))
    }

    async fn restore_definitions(&self, source: &Source, definitions: &[KeptDefinition]) -> Result<()> {
        self.inner.restore_definitions(source, definitions).await
    }

    async fn begin_upload(
        &self,
        source: &Source,
        task_id: TaskId,
        target_type: TargetType,
        types: Arc<[TypeRef]>,
    ) -> Result<Box<dyn Upload>> {
        let upload = upload::PostgresUpload::begin(&self.inner, source, task_id, target_type, types).await?;
        Ok(Box::new(upload))
    }

    async fn accept_purge(&self, purge: Purge, now: Timestamp) -> Result<StoredTask> {
        let accepted = self.inner.accept_purge(&purge, now).await?;
        self.inner.hint();
        Ok(accepted)
    }

    async fn cancel(&self, source: &Source, id: Ksuid, now: Timestamp) -> Result<StoredTask> {
        self.inner.cancel(source, id, now).await
    }

    async fn first_answer(
        &self,
        source: &Source,
        name: &RequestName,
        kept_since: Timestamp,
    ) -> Result<Option<FirstAnswer>> {
        self.inner.first_answer(source, name, kept_since).await
    }

    async fn forget_answers(&self, kept_since: Timestamp, limit: usize) -> Result<bool> {
        self.inner.forget_answers(kept_since, limit).await
    }

    async fn retire_tasks(&self, kept: &Retention, now: Timestamp, rows: usize) -> Result<Retired> {
        self.inner.retire_tasks(kept, now, rows).await
    }

    async fn removed_task(&self, source: &Source, id: Ksuid) -> Result<Option<RemovedTask>> {
        self.inner.removed_task(source, id).await
    }

    async fn claim_lane(&self) -> Result<Option<Lane>> {
        self.inner.claim_lane().await
    }

    async fn release_lane(&self, lane: Lane) {
        self.inner.release_lane(&lane).await;
    }

    async fn apply_chunk(&self, lane: &Lane, budget: Budget, now: Timestamp) -> Result<Step> {
        self.inner.apply_chunk(lane, budget, now).await
    }

    async fn fail_operation(&self, lane: &Lane, error: ErrorObject, now: Timestamp) -> Result<Step> {
        self.inner.fail_operation(lane, &error, now).await
    }

    async fn write(&self, write: Write, now: Timestamp) -> Result<Written> {
        self.inner.write(&write, now).await
    }

    async fn records(
        &self,
        source: &Source,
        wanted: &[(TypeNumber, RecordId)],
    ) -> Result<Vec<Option<Record>>> {
        self.inner.records(source, wanted).await
    }

    async fn resources(
        &self,
        source: &Source,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.inner.resources(source, number, after, limit).await
    }

    async fn identified(
        &self,
        source: &Source,
        number: TypeNumber,
        identifier: &Triple,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.inner
            .identified(source, number, identifier, after, limit)
            .await
    }

    async fn relationships(
        &self,
        source: &Source,
        number: TypeNumber,
        filter: &EdgeFilter,
        after: Option<(&ResourceId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.inner
            .relationships(source, number, filter, after, limit)
            .await
    }

    async fn task(&self, source: &Source, id: Ksuid) -> Result<Option<StoredTask>> {
        self.inner.task(source, id).await
    }

    async fn tasks(
        &self,
        source: &Source,
        filter: &TaskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<StoredTask>> {
        self.inner.tasks(source, filter, before, limit).await
    }

    async fn receipts(&self, task: &StoredTask, from: u64, limit: usize) -> Result<Vec<Receipt>> {
        self.inner.receipts(task, from, limit).await
    }

    async fn operations(&self, task: &StoredTask, wanted: &[u64]) -> Result<Vec<SentOperation>> {
        self.inner.sent(task, wanted).await
    }

    async fn work_elsewhere(&self) {
        self.inner.work_elsewhere().await;
    }

    async fn spooled_bytes(&self) -> Result<u64> {
        self.inner.spooled_bytes().await
    }

    async fn operations_waiting(&self, next_of: Option<&Source>) -> Result<u64> {
        self.inner.operations_waiting(next_of).await
    }

    fn figures(&self) -> Vec<Figure> {
        let pool = self.inner.pool.status();
        let gauge = |name, help, value: usize| Figure::gauge(name, help, value as f64);
        vec![
            gauge("connections", "Connections to PostgreSQL", pool.size),
            gauge("connections_max", "How many there may be", pool.max_size),
            gauge("connections_idle", "Connections that nobody uses", pool.available),
            gauge(
                "connections_awaited",
                "Calls that wait for a connection",
                pool.waiting,
            ),
        ]
    }

    async fn check_writable(&self) -> Result<()> {
        self.inner.check_open()?;
        let asked = self.inner.read(|session: Arc<Session>| async move {
            // A stand-by is one too.
            let sql = "SELECT current_setting('transaction_read_only') = 'on'";
            Ok(session.query_one(sql, params![]).await?.get::<_, bool>(0))
        });
        // A probe must have its answer soon.
        match tokio::time::timeout(Duration::from_secs(3), asked).await {
            Ok(Ok(false)) => Ok(()),
            Ok(Ok(true)) => Err(StoreError::Unavailable(
                "the database is a stand-by, or read-only, and takes no writes".into(),
            )),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(StoreError::Unavailable(
                "PostgreSQL did not answer within 3 s".into(),
            )),
        }
    }

    async fn close(&self) -> Result<()> {
        self.inner.closed.store(true, Ordering::SeqCst);
        self.inner.remove_abandoned_uploads().await;
        self.inner.release_all().await;
        Ok(())
    }
}
