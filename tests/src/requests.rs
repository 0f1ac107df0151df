//! The bulk requests of a run: made by chance, over few ids, and kept with what is known of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use futures::stream;
use granary_api::bulk::BulkQuery;
use granary_client::{BulkBody, BulkReply, Client, DefinitionKind, SourceClient};
use granary_core::operation::TargetType;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::model::{Operation, Request};

/// What the ids begin with that bulk requests write, and nobody else.
pub(crate) const ID: &str = "id-";

/// Edges of which a resource has as many as one likes.
pub(crate) const NEAR: &str = "near";
/// Edges of which one at the most begins at a resource.
pub(crate) const HOME: &str = "home";

/// Defines what the requests need.
pub(crate) async fn define(client: &Client, key: &str) -> Result<()> {
    client.put_source(key).await?;
    let source = client.source(key);
    let place =
        r#"{"properties":{"n":{"type":"integer","rules":[{"required":true}]},"text":{"type":"symbol"}}}"#;
    source
        .put_definition(DefinitionKind::Profile, "place", place)
        .await?;
    let near = r#"{"from":{"profileKey":"place","includeKey":"near","includeCardinality":"0:*"},
        "to":{"profileKey":"place","includeKey":"nearBy","includeCardinality":"0:*"},
        "properties":{"n":{"type":"integer"}}}"#;
    source
        .put_definition(DefinitionKind::RelationshipDefinition, NEAR, near)
        .await?;
    let home = r#"{"from":{"profileKey":"place","includeKey":"home","includeCardinality":"0:1"},
        "to":{"profileKey":"place","includeKey":"homeOf","includeCardinality":"0:*"},
        "properties":{"n":{"type":"integer"}}}"#;
    source
        .put_definition(DefinitionKind::RelationshipDefinition, HOME, home)
        .await?;
    Ok(())
}

/// Makes requests, and keeps them.
pub(crate) struct Requests {
    rng: StdRng,
    ids: u32,
    lengths: BTreeSet<usize>,
    /// Every request that was sent, in the order in which it was begun.
    pub(crate) sent: Vec<Sent>,
}

/// A request that was sent. Moments are those of a clock that counts what happens.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) request: Arc<Request>,
    /// The id of its task, if the answer came.
    pub(crate) task: Option<String>,
    /// The moment before it was sent.
    pub(crate) began: u64,
    /// From this moment on it cannot be accepted any more, if it has not been.
    pub(crate) over: Option<u64>,
    /// It was not sent whole.
    pub(crate) cut_off: bool,
}

impl Requests {
    /// Requests over so many ids.
    pub(crate) fn new(seed: u64, ids: u32) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            ids,
            lengths: BTreeSet::new(),
            sent: Vec::new(),
        }
    }

    /// Makes a request and returns its place in `sent`. It has about so many operations, as many as no other: its task is
    /// known by that even if the answer never comes.
    pub(crate) fn next(&mut self, length: usize, began: u64) -> usize {
        let target = if self.rng.random_bool(0.5) {
            TargetType::Resource
        } else {
            TargetType::Relationship
        };
        self.next_of(target, length, began, Self::next_operation)
    }

    /// The same, of operations that this makes.
    pub(crate) fn next_of(
        &mut self,
        target: TargetType,
        mut length: usize,
        began: u64,
        mut operation: impl FnMut(&mut Self, TargetType) -> Operation,
    ) -> usize {
        while !self.lengths.insert(length) {
            length += 1;
        }
        let operations = (0..length).map(|_| operation(self, target)).collect();
        self.sent.push(Sent {
            request: Arc::new(Request {
                target,
                edges: NEAR,
                operations,
            }),
            task: None,
            began,
            over: None,
            cut_off: false,
        });
        self.sent.len() - 1
    }

    fn next_operation(&mut self, target: TargetType) -> Operation {
        let mut id = || format!("{ID}{}", self.rng.random_range(0..self.ids));
        let (from, to) = (id(), id());
        // Few values, so that equal upserts occur.
        let n = self.rng.random_range(0..3);
        let name = match target {
            TargetType::Resource => (from, None),
            TargetType::Relationship => (from, Some(to)),
        };
        match self.rng.random_range(0..10) {
            0..4 => Operation::Create(name, n),
            4..8 => Operation::Upsert(name, n),
            _ => Operation::Delete(name),
        }
    }
}

/// Sends a request and returns the id of its task.
pub(crate) async fn send(source: &SourceClient, request: &Request) -> Result<String> {
    let body = request.to_json();
    let length = body.len() as u64;
    let body = BulkBody::json(stream::iter([Ok(body.into())])).with_length(length);
    match source
        .send_bulk(request.target, &BulkQuery::default(), body)
        .await?
    {
        BulkReply::Accepted(accepted) => Ok(accepted.task_id.to_string()),
        _ => anyhow::bail!("a request that is right was not accepted"),
    }
}
