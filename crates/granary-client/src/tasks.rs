//! Tasks and their receipts.

use futures::Stream;
use granary_api::page::Page;
use granary_api::tasks::{ReceiptsQuery, Task, TaskQuery, TasksQuery};
use granary_core::operation::TargetType;
use granary_core::receipt::Receipt;
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bulk::collection;
use crate::{Error, SourceClient, TaskEvent};

/// An operation of a task, as it was accepted.
#[derive(Clone, Debug, Deserialize)]
pub struct TaskOperation {
    /// Which operation of the task, counted from 0.
    pub index: u64,
    /// The operation, as a bulk request takes it; `None` where it is kept no longer.
    pub operation: Option<Box<RawValue>>,
}

impl SourceClient {
    /// A page of the tasks.
    pub async fn tasks(&self, query: &TasksQuery) -> Result<Page<Task>, Error> {
        self.client
            .read(self.request(Method::GET, &["tasks"])?.query(query))
            .await
    }

    /// Reads a task, without its receipts. The prefix of the id may be left off.
    pub async fn task(&self, id: &str) -> Result<Task, Error> {
        self.client.read(self.request(Method::GET, &["tasks", id])?).await
    }

    /// Cancels a task: what is applied by now stays, all else of it never will be.
    pub async fn cancel_task(&self, id: &str) -> Result<Task, Error> {
        let request = self.request(Method::POST, &["tasks", id, "cancel"])?;
        self.client.read(request).await
    }

    /// Reads a task with all its receipts: for small tasks. See [`Self::receipts`] for the others.
    pub async fn task_with_receipts(&self, id: &str) -> Result<Task, Error> {
        let query = TaskQuery {
            with_receipts: Some(true),
        };
        self.client
            .read(self.request(Method::GET, &["tasks", id])?.query(&query))
            .await
    }

    /// Reads a bulk task where its request was sent, with its receipts unless the query says otherwise.
    pub async fn bulk_task(&self, target: TargetType, id: &str, query: &TaskQuery) -> Result<Task, Error> {
        let request = self.request(Method::GET, &[collection(target), "bulk", id])?;
        self.client.read(request.query(query)).await
    }

    /// A page of the receipts of a task, in the order of its operations.
    pub async fn receipts(&self, id: &str, query: &ReceiptsQuery) -> Result<Page<Receipt>, Error> {
        let request = self.request(Method::GET, &["tasks", id, "receipts"])?;
        self.client.read(request.query(query)).await
    }

    /// All receipts of a task that the query asks for, one after another as they arrive.
    pub async fn receipts_stream(
        &self,
        id: &str,
        query: &ReceiptsQuery,
    ) -> Result<impl Stream<Item = Result<Receipt, Error>> + use<>, Error> {
        let request = self.request(Method::GET, &["tasks", id, "receipts"])?;
        self.client.lines(request.query(query)).await
    }

    /// The operations of a task that the query asks for, one after another as they arrive.
    pub async fn operations_stream(
        &self,
        id: &str,
        query: &ReceiptsQuery,
    ) -> Result<impl Stream<Item = Result<TaskOperation, Error>> + use<>, Error> {
        let request = self.request(Method::GET, &["tasks", id, "operations"])?;
        self.client.lines(request.query(query)).await
    }

    /// What becomes of a task, as it happens, until it has ended: nothing more follows then. `seen` is the revision of the
    /// event that was seen last, where there was one. A stream that breaks off before is to be asked for again.
    pub async fn task_events(
        &self,
        id: &str,
        seen: Option<u64>,
    ) -> Result<impl Stream<Item = Result<TaskEvent, Error>> + use<>, Error> {
        let mut request = self.request(Method::GET, &["tasks", id, "events"])?;
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        self.client.events(request).await
    }
}
