//! One connection at work: statements with typed parameters, the begin and the end of a transaction.
//!
//! Nothing is kept in a database session beyond a transaction, so a pooler may stand in between: what a transaction
//! needs is set with `SET LOCAL`, and statements are either prepared or sent unnamed with the types of their parameters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use deadpool_postgres::{ClientWrapper, Object};
use futures::TryStreamExt;
use granary_store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use crate::Statements;
use crate::failure::{Attempt, Failure};

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

/// A connection of the pool, or one that the pool counts no more.
enum Client {
    Pooled(Object),
    Own(ClientWrapper),
}

/// A connection, in a transaction or not.
pub(crate) struct Session {
    /// `None` once it is given back.
    client: Option<Client>,
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
            client: Some(Client::Pooled(client)),
            statements,
            in_transaction: false,
            turn: tokio::sync::Mutex::default(),
            unanswered: AtomicU32::new(0),
        }
    }

    /// The same session, whose connection the pool makes up for; it is closed when the session is dropped.
    pub(crate) fn beside_the_pool(mut self) -> Self {
        self.client = self.client.take().map(|client| match client {
            Client::Pooled(client) => Client::Own(Object::take(client)),
            own @ Client::Own(_) => own,
        });
        self
    }

    fn client(&self) -> &ClientWrapper {
        match &self.client {
            Some(Client::Pooled(client)) => client,
            Some(Client::Own(client)) => client,
            None => unreachable!("a session has its connection until it is dropped"),
        }
    }

    pub(crate) async fn begin(&mut self, settings: &str) -> Attempt<()> {
        self.in_transaction = true;
        self.client().batch_execute(settings).await?;
        Ok(())
    }

    pub(crate) async fn commit(mut self) -> Attempt<()> {
        self.client().batch_execute("COMMIT").await?;
        self.ended();
        Ok(())
    }

    /// Ends the transaction without a trace. Where that fails the connection goes, and with it the transaction.
    pub(crate) async fn roll_back(mut self) {
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
            && let Some(Client::Pooled(client)) = self.client.take()
        {
            drop(Object::take(client));
        }
    }
}
