//! One connection at work: statements with typed parameters, transactions that may always be tried again.
//!
//! Nothing is kept in a database session beyond a transaction, so a pooler may stand in between: what a transaction
//! needs is set with `SET LOCAL`, and statements are either prepared or sent unnamed with the types of their parameters.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use deadpool_postgres::Object;
use futures::TryStreamExt;
use granary_core::ksuid::Ksuid;
use granary_store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::{ToSql, Type};

use crate::{Inner, Statements, bucket_of, int4};

/// How often a transaction that met another is tried again.
const TRIES_MAX: u32 = 40;
/// However short a lease is, a busy node has so long to send its next statement.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// How long a transaction may stand idle before the database ends it: its node is stopped, or cut off.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// What the work of a transaction takes at the most before it counts as lost, and so its commit, and all tries together.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// Why a transaction did not come through.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The caller is told this.
    Store(StoreError),
    /// The database said no, or was lost.
    Database(tokio_postgres::Error),
    /// What it was decided on changed: the same again, on what is there now.
    Raced,
}

pub(crate) type Attempt<T> = Result<T, Failure>;

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl Failure {
    pub(crate) fn is_worth_another_try(&self) -> bool {
        // One that failed before it in the same transaction; two nodes that make the same table at once.
        const PASSING: [SqlState; 7] = [
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::UNIQUE_VIOLATION,
            SqlState::IN_FAILED_SQL_TRANSACTION,
            SqlState::DUPLICATE_SCHEMA,
            SqlState::DUPLICATE_TABLE,
        ];
        match self {
            Self::Raced => true,
            // Where the connection went before the end of the transaction was asked for, it has left nothing.
            Self::Database(error) => {
                is_lost(error) || error.code().is_some_and(|code| PASSING.contains(code))
            }
            Self::Store(_) => false,
        }
    }
}

impl Failure {
    /// Somebody else held a lock for too long.
    pub(crate) fn is_lock_wait(&self) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error,
            Failure::Raced => {
                Self::Unavailable("others wrote the same at the same time, again and again".into())
            }
            Failure::Database(error) => unavailable(&error),
        }
    }
}

/// The connection is gone: it was cut, or the database ended it, as it does with one that was idle in a transaction for
/// too long, or when it stops.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    let is_last = |said: &DbError| matches!(said.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    match error.as_db_error() {
        Some(said) => is_last(said),
        None => error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()),
    }
}

/// The database ended the transaction because nothing came for too long: it had not heard of the commit.
fn was_idle(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT)
}

/// The database could not do it. Messages may quote what was sent: told are those on connections, rights, resources and
/// the server, of others their code alone.
pub(crate) fn unavailable(error: &tokio_postgres::Error) -> StoreError {
    const TOLD: [&str; 8] = ["08", "25", "28", "3D", "42", "53", "55", "57"];
    StoreError::Unavailable(match error.as_db_error() {
        Some(said) => match said.code().code() {
            code @ ("26000" | "42P05") => format!(
                "PostgreSQL: a prepared statement is not where it was made ({code}); behind a pooler that hands out \
                 connections by the transaction set --postgres-statements unnamed"
            ),
            code if TOLD.iter().any(|class| code.starts_with(class)) => {
                format!("PostgreSQL: {} ({code})", said.message())
            }
            code => format!("PostgreSQL refused a statement (SQLSTATE {code}); its own log says why"),
        },
        None => format!("PostgreSQL: {}", with_causes(error)),
    })
}

/// What an error says, and what led to it.
pub(crate) fn with_causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A value that a statement takes, and its type there.
pub(crate) trait Param: ToSql + Sync + Send {
    /// What it is to the database.
    const TYPE: Type;
}

macro_rules! params_of {
    ($($rust:ty => $sql:ident),+ $(,)?) => {
        $(impl Param for $rust {
            const TYPE: Type = Type::$sql;
        })+
    };
}

params_of! {
    bool => BOOL, i16 => INT2, i32 => INT4, i64 => INT8, f64 => FLOAT8, &str => TEXT, String => TEXT,
    &[u8] => BYTEA, Vec<u8> => BYTEA,
    Option<i16> => INT2, Option<i32> => INT4, Option<i64> => INT8, Option<&str> => TEXT, Option<Vec<u8>> => BYTEA,
    Vec<bool> => BOOL_ARRAY, Vec<i32> => INT4_ARRAY, Vec<i64> => INT8_ARRAY, Vec<&str> => TEXT_ARRAY,
    Vec<Option<&str>> => TEXT_ARRAY, Vec<Option<i64>> => INT8_ARRAY,
    Vec<&[u8]> => BYTEA_ARRAY, Vec<Option<&[u8]>> => BYTEA_ARRAY,
}

/// The parameters of a statement with their types.
pub(crate) type Params<'a> = Vec<(Arc<dyn ToSql + Sync + Send + 'a>, Type)>;

/// A value of a row that is copied.
pub(crate) type Value<'a> = &'a (dyn ToSql + Sync);

pub(crate) fn param<'a, T: Param + 'a>(value: T) -> (Arc<dyn ToSql + Sync + Send + 'a>, Type) {
    (Arc::new(value), T::TYPE)
}

/// The parameters of a statement, in their order.
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::session::param($value)),*] };
}
pub(crate) use params;

/// A connection, in a transaction or not.
pub(crate) struct Session {
    /// `None` once it is given back.
    client: Option<Object>,
    statements: Statements,
    in_transaction: bool,
    /// Held while a statement is prepared: those that are sent without waiting for each other reach the database in the
    /// order in which they were begun, also where some of them were prepared before and others were not.
    turn: tokio::sync::Mutex<()>,
    /// Statements that were begun and not answered.
    unanswered: AtomicU32,
}

impl Session {
    pub(crate) fn new(client: Object, statements: Statements) -> Self {
        Self {
            client: Some(client),
            statements,
            in_transaction: false,
            turn: tokio::sync::Mutex::default(),
            unanswered: AtomicU32::new(0),
        }
    }

    fn client(&self) -> &Object {
        self.client
            .as_ref()
            .expect("a session has its connection until it is dropped")
    }

    pub(crate) async fn begin(&mut self, settings: &str) -> Attempt<()> {
        self.in_transaction = true;
        self.client().batch_execute(settings).await?;
        Ok(())
    }

    async fn commit(mut self) -> Attempt<()> {
        self.client().batch_execute("COMMIT").await?;
        self.ended();
        Ok(())
    }

    /// Ends the transaction without a trace. Where that fails the connection goes, and with it the transaction.
    async fn roll_back(mut self) {
        if self.client().batch_execute("ROLLBACK").await.is_ok() {
            self.ended();
        }
    }

    /// The end of the transaction was answered, and so was all before it.
    fn ended(&mut self) {
        self.in_transaction = false;
        *self.unanswered.get_mut() = 0;
    }

    /// Runs statements without parameters.
    pub(crate) async fn batch(&self, sql: &str) -> Attempt<()> {
        Ok(self.client().batch_execute(sql).await?)
    }

    /// The rows of a statement, and how many it was on.
    async fn run(&self, sql: &'static str, params: Params<'_>) -> Attempt<(Vec<Row>, u64)> {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        let answer = self.send(sql, params).await;
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
        answer
    }

    async fn send(&self, sql: &'static str, params: Params<'_>) -> Attempt<(Vec<Row>, u64)> {
        let client = self.client();
        let rows = match self.statements {
            Statements::Prepared => {
                let types: Vec<Type> = params.iter().map(|(_, of_type)| of_type.clone()).collect();
                let statement = {
                    let _turn = self.turn.lock().await;
                    client.prepare_typed_cached(sql, &types).await?
                };
                let values: Vec<&(dyn ToSql + Sync)> =
                    params.iter().map(|(value, _)| &**value as _).collect();
                client.query_raw(&statement, values).await?
            }
            Statements::Unnamed => {
                let typed = params
                    .iter()
                    .map(|(value, of_type)| (&**value as _, of_type.clone()));
                let values: Vec<(&(dyn ToSql + Sync), Type)> = typed.collect();
                client.query_typed_raw(sql, values).await?
            }
        };
        let mut rows = std::pin::pin!(rows);
        let mut all = Vec::new();
        while let Some(row) = rows.try_next().await? {
            all.push(row);
        }
        Ok((all, rows.rows_affected().unwrap_or_default()))
    }

    /// The rows of a statement.
    pub(crate) async fn query(&self, sql: &'static str, params: Params<'_>) -> Attempt<Vec<Row>> {
        Ok(self.run(sql, params).await?.0)
    }

    /// The first row of a statement.
    pub(crate) async fn query_opt(&self, sql: &'static str, params: Params<'_>) -> Attempt<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// The one row of a statement that always has one.
    pub(crate) async fn query_one(&self, sql: &'static str, params: Params<'_>) -> Attempt<Row> {
        let found = self.query_opt(sql, params).await?;
        found.ok_or_else(|| StoreError::Damaged("a row that is always there is missing".into()).into())
    }

    /// How many rows a statement was on.
    pub(crate) async fn execute(&self, sql: &'static str, params: Params<'_>) -> Attempt<u64> {
        Ok(self.run(sql, params).await?.1)
    }

    /// Runs a statement that must be on so many rows; on another number somebody else was there.
    pub(crate) async fn execute_on(
        &self,
        count: usize,
        sql: &'static str,
        params: Params<'_>,
    ) -> Attempt<()> {
        match self.execute(sql, params).await? {
            on if on == count as u64 => Ok(()),
            _ => Err(Failure::Raced),
        }
    }
}

/// Copying many rows into a table.
impl Session {
    /// False where a statement may have no name: one that copies has.
    pub(crate) fn can_copy(&self) -> bool {
        self.statements == Statements::Prepared
    }

    /// Copies rows with values of these types into a table.
    pub(crate) async fn copy<'r>(
        &self,
        count: usize,
        sql: &'static str,
        types: &[Type],
        rows: impl Iterator<Item = Vec<Value<'r>>>,
    ) -> Attempt<()> {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        let client = self.client();
        let statement = {
            let _turn = self.turn.lock().await;
            client.prepare_typed_cached(sql, &[]).await?
        };
        let writer = BinaryCopyInWriter::new(client.copy_in(&statement).await?, types);
        let mut writer = std::pin::pin!(writer);
        for row in rows {
            writer.as_mut().write(&row).await?;
        }
        let copied = writer.finish().await?;
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
        if copied != count as u64 {
            return Err(
                StoreError::Damaged("a copy wrote another number of rows than was sent".into()).into(),
            );
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A connection with a transaction that nobody will end is closed; the database ends it then. So is one that was
        // not waited for to the end: who knows whether it still answers.
        if (self.in_transaction || *self.unanswered.get_mut() > 0)
            && let Some(client) = self.client.take()
        {
            drop(Object::take(client));
        }
    }
}

/// How a transaction is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Commit {
    /// Durable when it has returned: all that anyone can see.
    Durable,
    /// Soon durable, and before any durable commit that follows it: what nobody sees yet.
    Soon,
}

/// What is in force in one transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) commit: Commit,
    /// How long it waits for a lock.
    pub(crate) lock_wait: Duration,
    /// It holds the lock of a lane, which a node that is stopped must not keep past its lease.
    pub(crate) holds_lane: bool,
    /// How long it may take to its commit, and each of its statements.
    pub(crate) time_max: Duration,
}

impl Rules {
    pub(crate) const DURABLE: Self = Self {
        commit: Commit::Durable,
        lock_wait: Duration::from_secs(10),
        holds_lane: false,
        time_max: CALL_TIME_MAX,
    };
    pub(crate) const CHUNK: Self = Self {
        holds_lane: true,
        ..Self::DURABLE
    };
    pub(crate) const SOON: Self = Self {
        commit: Commit::Soon,
        ..Self::DURABLE
    };
}

/// How an attempt at a transaction ended.
pub(crate) enum Ended<T> {
    /// It is committed.
    Committed(T),
    /// It has left nothing.
    Failed(Failure),
    /// The connection was lost while it committed: it has, or it has not.
    Unknown(T, StoreError),
}

impl Inner {
    /// What begins a transaction. The plans of chunks must use the keys whatever the statistics say, also on tables that
    /// were empty when they were last looked at: so no table is read whole.
    fn begin_with(&self, rules: Rules) -> String {
        let synchronous = match rules.commit {
            // What the operator asks for beyond that stays, such as `remote_apply`.
            Commit::Durable => {
                "SELECT set_config('synchronous_commit', 'on', true) \
                 WHERE current_setting('synchronous_commit') IN ('off', 'local');"
            }
            Commit::Soon => "SET LOCAL synchronous_commit = off;",
        };
        let idle = match rules.holds_lane {
            true => (self.lease / 3).max(IDLE_MIN),
            false => IDLE_MAX,
        };
        format!(
            "BEGIN; {synchronous} SET LOCAL lock_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {}; \
             SET LOCAL statement_timeout = {}; SET LOCAL jit = off; SET LOCAL enable_seqscan = off",
            rules.lock_wait.as_millis(),
            idle.as_millis(),
            rules.time_max.as_millis(),
        )
    }

    /// One attempt at a transaction.
    pub(crate) async fn attempt<T, F>(&self, rules: Rules, work: impl FnOnce(Arc<Session>) -> F) -> Ended<T>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        let mut session = match self.session().await {
            Ok(session) => session,
            Err(error) => return Ended::Failed(Failure::Store(error)),
        };
        let working = async {
            if let Err(failure) = session.begin(&self.begin_with(rules)).await {
                return (Some(session), Err(failure));
            }
            let session = Arc::new(session);
            let outcome = work(Arc::clone(&session)).await;
            // The work has ended and let go of it.
            (Arc::into_inner(session), outcome)
        };
        let (session, outcome) = match tokio::time::timeout(rules.time_max, working).await {
            Ok((Some(session), outcome)) => (session, outcome),
            Ok((None, _)) | Err(_) => return Ended::Failed(Failure::Store(too_long())),
        };
        match outcome {
            Err(failure) => {
                let _ = tokio::time::timeout(CALL_TIME_MAX, session.roll_back()).await;
                Ended::Failed(failure)
            }
            Ok(value) => match tokio::time::timeout(CALL_TIME_MAX, session.commit()).await {
                Ok(Ok(())) => Ended::Committed(value),
                Ok(Err(Failure::Database(error))) if !said_no(&error) && !was_idle(&error) => {
                    Ended::Unknown(value, unavailable(&error))
                }
                Ok(Err(failure)) => Ended::Failed(failure),
                Err(_) => Ended::Unknown(value, too_long()),
            },
        }
    }

    /// A transaction, tried again while it meets others.
    pub(crate) async fn transact<T, F>(
        &self,
        rules: Rules,
        work: impl Fn(Arc<Session>) -> F,
    ) -> granary_store::Result<T>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        let mut tries = Tries::default();
        loop {
            match self.attempt(rules, &work).await {
                Ended::Committed(value) => return Ok(value),
                Ended::Failed(failure) => tries.again(failure).await?,
                Ended::Unknown(_, error) => return Err(error),
            }
        }
    }

    /// A transaction that does no harm when it happens twice: where the answer to its commit is lost it is tried again.
    pub(crate) async fn transact_again<T, F>(
        &self,
        rules: Rules,
        work: impl Fn(Arc<Session>) -> F,
    ) -> granary_store::Result<T>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        let mut tries = Tries::default();
        loop {
            match self.attempt(rules, &work).await {
                Ended::Committed(value) => return Ok(value),
                Ended::Failed(failure) => tries.again(failure).await?,
                Ended::Unknown(..) => tries.again(Failure::Raced).await?,
            }
        }
    }

    /// A transaction that writes the task with this id. Where the answer to its commit is lost, the task tells.
    pub(crate) async fn transact_once<T, F>(
        &self,
        source: u32,
        id: Ksuid,
        work: impl Fn(Arc<Session>) -> F,
    ) -> granary_store::Result<T>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        let mut tries = Tries::default();
        loop {
            match self.attempt(Rules::DURABLE, &work).await {
                Ended::Committed(value) => return Ok(value),
                Ended::Failed(failure) => tries.again(failure).await?,
                Ended::Unknown(value, error) => match self.was_committed(source, id).await {
                    Some(true) => return Ok(value),
                    Some(false) => tries.again(Failure::Raced).await?,
                    None => return Err(error),
                },
            }
        }
    }

    /// Whether the task with this id is there; `None` where that could not be learned.
    async fn was_committed(&self, source: u32, id: Ksuid) -> Option<bool> {
        const ASK_EVERY: Duration = Duration::from_millis(250);
        let since = Instant::now();
        while since.elapsed() < CALL_TIME_MAX {
            let ended = self.attempt(Rules::SOON, |session: Arc<Session>| async move {
                // It waits for a transaction that would write it and has not ended.
                let sql = "INSERT INTO granary.task (bucket, source, at_once, sequence, ksuid, kind, total, cursor, \
                           failures, created_at, cancelled, types, type_numbers, bytes) \
                           VALUES ($1, $2, true, 0, $3, 0, 0, 0, 0, 0, false, '', '{}', 0) \
                           ON CONFLICT (bucket, source, ksuid) DO NOTHING";
                let of = || params![bucket_of(source), int4(source), id.as_bytes().to_vec()];
                let is_missing = session.execute(sql, of()).await? == 1;
                if is_missing {
                    let sql = "DELETE FROM granary.task WHERE bucket = $1 AND source = $2 AND ksuid = $3";
                    session.execute(sql, of()).await?;
                }
                Ok(!is_missing)
            });
            if let Ended::Committed(is_there) = ended.await {
                return Some(is_there);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
        None
    }

    /// Statements of which each stands for itself.
    pub(crate) async fn read<T, F>(&self, work: impl FnOnce(Arc<Session>) -> F) -> granary_store::Result<T>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        let session = Arc::new(self.session().await?);
        match tokio::time::timeout(CALL_TIME_MAX, work(session)).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(too_long()),
        }
    }
}

/// True where the database refused a commit, and did not just go away: one that goes may have committed before.
fn said_no(error: &tokio_postgres::Error) -> bool {
    let severity = error.as_db_error().and_then(|said| said.parsed_severity());
    severity == Some(Severity::Error)
}

fn too_long() -> StoreError {
    StoreError::Unavailable(format!(
        "PostgreSQL did not answer within {} s",
        CALL_TIME_MAX.as_secs()
    ))
}

/// Counts the tries of one call, and their time: each may have waited for a lock.
pub(crate) struct Tries {
    count: u32,
    since: Instant,
}

impl Default for Tries {
    fn default() -> Self {
        let since = Instant::now();
        Self { count: 0, since }
    }
}

impl Tries {
    /// Waits for the next try, or says why there is none.
    pub(crate) async fn again(&mut self, failure: Failure) -> granary_store::Result<()> {
        self.count += 1;
        let is_over = self.count >= TRIES_MAX || self.since.elapsed() >= CALL_TIME_MAX;
        if is_over || !failure.is_worth_another_try() {
            return Err(failure.into());
        }
        // Whoever else is there should be through; two that meet should not meet again. All tries together are longer than
        // a source is reserved for one who changes its definitions.
        let jitter = u64::from(getrandom::u32().unwrap_or_default() % 4);
        let count = u64::from(self.count);
        tokio::time::sleep(Duration::from_millis((count * count / 2 + jitter).min(500))).await;
        Ok(())
    }
}
