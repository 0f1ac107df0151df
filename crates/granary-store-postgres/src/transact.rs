//! Transactions, each fit to be tried again: what is in force in one, how it ended, and what is done about it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use granary_core::ksuid::Ksuid;
use granary_store::StoreError;

use crate::failure::{Attempt, Failure, Tries, said_no, unavailable, was_idle};
use crate::session::{Session, params};
use crate::{Inner, bucket_of, int4};

/// However short a lease is, a busy node has so long to send its next statement.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// How long a transaction may stand idle before the database ends it: its node is stopped, or cut off.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// What the work of a transaction takes at the most before it counts as lost, and so its commit, and all tries together.
pub(crate) const CALL_TIME_MAX: Duration = Duration::from_secs(30);

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
        self.transact_as(rules, work, Failure::Store).await
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
        self.transact_as(rules, work, |_| Failure::Raced).await
    }

    /// `unknown` says what it is where the answer to the commit is lost.
    async fn transact_as<T, F>(
        &self,
        rules: Rules,
        work: impl Fn(Arc<Session>) -> F,
        unknown: impl Fn(StoreError) -> Failure,
    ) -> granary_store::Result<T>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        let mut tries = Tries::default();
        loop {
            let failure = match self.attempt(rules, &work).await {
                Ended::Committed(value) => return Ok(value),
                Ended::Failed(failure) => failure,
                Ended::Unknown(_, lost) => unknown(lost),
            };
            tries.again(failure).await?;
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
            let ended = self.attempt(Rules::DURABLE, |session: Arc<Session>| async move {
                // It waits for a transaction that would write it and has not ended.
                let sql = "INSERT INTO granary.task (bucket, source, at_once, sequence, ksuid, kind, total, cursor, \
                           failures, created_at, cancelled, types, type_numbers, bytes) \
                           VALUES ($1, $2, true, 0, $3, 0, 0, 0, 0, 0, false, '', '{}', 0) \
                           ON CONFLICT (bucket, source, ksuid) DO NOTHING";
                let of = || params![bucket_of(source), int4(source), id.as_bytes().to_vec()];
                let is_missing = session.execute(sql, of()).await? == 1;
                let sql = match is_missing {
                    true => "DELETE FROM granary.task WHERE bucket = $1 AND source = $2 AND ksuid = $3",
                    // Something is written, so that this commit waits for what the lost one waited for, such as a stand-by.
                    false => {
                        "UPDATE granary.task SET cursor = cursor WHERE bucket = $1 AND source = $2 AND ksuid = $3"
                    }
                };
                session.execute(sql, of()).await?;
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

pub(crate) fn too_long() -> StoreError {
    StoreError::Unavailable(format!(
        "PostgreSQL did not answer within {} s",
        CALL_TIME_MAX.as_secs()
    ))
}
