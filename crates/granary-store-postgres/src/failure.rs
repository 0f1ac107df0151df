//! Why a transaction did not come through, whether it is worth another try, and what is told of it.

use std::error::Error as _;
use std::time::{Duration, Instant};

use granary_store::StoreError;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::transact::CALL_TIME_MAX;

/// How often a transaction that met another is tried again.
const TRIES_MAX: u32 = 40;

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

/// True where the database refused a commit, and did not just go away: one that goes may have committed before.
pub(crate) fn said_no(error: &tokio_postgres::Error) -> bool {
    let severity = error.as_db_error().and_then(|said| said.parsed_severity());
    severity == Some(Severity::Error)
}

/// The database ended the transaction because nothing came for too long: it had not heard of the commit.
pub(crate) fn was_idle(error: &tokio_postgres::Error) -> bool {
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
