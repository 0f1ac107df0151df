//! A source at one moment: one transaction that only reads, on a connection of its own until it is dropped, which is none of
//! the pool: some of them open for an hour would leave writes none. What fails in it is not tried again, for another
//! transaction would be of another moment.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use granary_core::keys::ResourceId;
use granary_core::operation::TypeNumber;
use granary_store::{Definitions, Record, Result, Source, SourceSnapshot, StoreError};

use crate::Inner;
use crate::catalog::read_definitions;
use crate::failure::Attempt;
use crate::records::{read_edges, read_resources};
use crate::session::Session;
use crate::transact::{CALL_TIME_MAX, too_long};

pub(crate) struct PostgresSnapshot {
    source: Source,
    definitions: Definitions,
    /// Dropped, it takes its connection along, and with it the transaction.
    session: Session,
}

impl PostgresSnapshot {
    pub(crate) async fn of(inner: &Arc<Inner>, source: &Source, held_max: Duration) -> Result<Self> {
        let mut session = inner.session().await?.beside_the_pool();
        // Between two pages it waits for whoever reads it.
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = {}; \
             SET LOCAL statement_timeout = {}; SET LOCAL jit = off; SET LOCAL enable_seqscan = off",
            held_max.as_millis().min(i32::MAX as u128),
            CALL_TIME_MAX.as_millis(),
        );
        let definitions = in_time(async {
            session.begin(&begin).await?;
            // The first that is read says which moment it is.
            read_definitions(&session, source).await
        });
        let definitions = definitions.await?;
        Ok(Self {
            source: source.clone(),
            definitions,
            session,
        })
    }
}

async fn in_time<T>(work: impl Future<Output = Attempt<T>>) -> Result<T> {
    match tokio::time::timeout(CALL_TIME_MAX, work).await {
        Ok(outcome) => outcome.map_err(StoreError::from),
        Err(_) => Err(too_long()),
    }
}

#[async_trait]
impl SourceSnapshot for PostgresSnapshot {
    fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    async fn resources(
        &mut self,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        in_time(read_resources(
            &self.session,
            self.source.number,
            number,
            after,
            limit,
        ))
        .await
    }

    async fn relationships(
        &mut self,
        number: TypeNumber,
        after: Option<(&ResourceId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        in_time(read_edges(
            &self.session,
            self.source.number,
            number,
            after,
            limit,
        ))
        .await
    }
}
