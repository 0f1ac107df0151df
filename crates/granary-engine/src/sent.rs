//! The operations of a task read back, page by page, and in the form that a bulk request sends them in.

use std::sync::Arc;

use granary_core::keys::Key;
use granary_core::meta::SentMeta;
use granary_core::operation::{Action, RecordId, TypeRef};
use granary_core::receipt::ReceiptStatus;
use granary_store::{SentOperation, Store, StoreError, StoredTask};

use crate::engine::Engine;

/// How many operations are looked at together.
pub const OPERATIONS_PAGE: usize = 1_000;

/// An operation with what became of it.
pub type Sent = (ReceiptStatus, SentOperation);

/// The operations of a task of which some became one of these.
pub struct SentOperations {
    store: Arc<dyn Store>,
    task: StoredTask,
    /// What is asked for; all where there is none.
    statuses: Vec<ReceiptStatus>,
}

impl SentOperations {
    /// Those of a task that became one of these; all of them where there is none.
    pub fn new(engine: &Engine, task: StoredTask, statuses: impl IntoIterator<Item = ReceiptStatus>) -> Self {
        Self {
            store: Arc::clone(engine.store()),
            task,
            statuses: statuses.into_iter().collect(),
        }
    }

    /// The task.
    pub fn task(&self) -> &StoredTask {
        &self.task
    }

    /// True where it is asked for what became this.
    pub fn admits(&self, status: ReceiptStatus) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }

    /// True where the task has ended, and none became what is asked for: none is looked for among millions of others.
    fn has_none(&self) -> bool {
        let of = |status: &ReceiptStatus| self.task.task.counts.of(*status);
        self.task.task.completed_at.is_some()
            && !self.statuses.is_empty()
            && self.statuses.iter().map(of).sum::<u64>() == 0
    }

    /// Those that are asked for among the next [`OPERATIONS_PAGE`] operations, at most `limit`; and where to go on, `None`
    /// at the end.
    pub async fn some(&self, from: u64, limit: usize) -> Result<(Vec<Sent>, Option<u64>), StoreError> {
        if self.has_none() {
            return Ok((Vec::new(), None));
        }
        let receipts = self.store.receipts(&self.task, from, OPERATIONS_PAGE).await?;
        let admitted = receipts.iter().filter(|receipt| self.admits(receipt.status));
        let (wanted, statuses): (Vec<u64>, Vec<_>) = admitted
            .take(limit)
            .map(|receipt| (receipt.index, receipt.status))
            .unzip();
        let sent = match wanted.is_empty() {
            true => Vec::new(),
            false => self.store.operations(&self.task, &wanted).await?,
        };
        let after = match wanted.get(sent.len()) {
            Some(unread) => Some(*unread),
            None if wanted.len() == limit => wanted.last().map(|last| last + 1),
            None => (!receipts.is_empty()).then(|| from.saturating_add(receipts.len() as u64)),
        };
        Ok((statuses.into_iter().zip(sent).collect(), after))
    }

    /// The first that is asked for, from this one on.
    pub async fn next_after(&self, from: u64) -> Result<Option<u64>, StoreError> {
        let mut next = Some(from);
        while let Some(from) = next {
            let receipts = self.store.receipts(&self.task, from, OPERATIONS_PAGE).await?;
            if let Some(first) = receipts.iter().find(|receipt| self.admits(receipt.status)) {
                return Ok(Some(first.index));
            }
            next = (!receipts.is_empty()).then(|| from.saturating_add(receipts.len() as u64));
        }
        Ok(None)
    }
}

/// Appends an operation as a bulk request sends it, with the id that it was given.
pub fn write_operation(out: &mut Vec<u8>, of_type: &TypeRef, sent: &SentOperation, body: &[u8]) {
    let operation = &sent.operation;
    let (action, payload) = (operation.action.name(), operation.action.payload());
    // Ids and keys hold no character that JSON would escape.
    let (id, key) = (&operation.id, &of_type.key);
    out.extend(format!(r#"{{"action":"{action}","{payload}":{{"#).bytes());
    match (&operation.id, &of_type.edge) {
        (RecordId::Relationship { from, to }, Some(edge)) if operation.action != Action::Delete => {
            let end =
                |id: &dyn std::fmt::Display, profile: &Key| format!(r#"{{"id":"{id}","type":"{profile}"}}"#);
            let (from, to) = (end(from, &edge.from.profile), end(to, &edge.to.profile));
            out.extend(format!(r#""type":"{key}","from":{from},"to":{to}"#).bytes());
        }
        _ => out.extend(format!(r#""id":"{id}","type":"{key}""#).bytes()),
    }
    let members = body.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    if let Some(members) = members.filter(|members| !members.is_empty()) {
        out.push(b',');
        out.extend(members);
    }
    if let Some(meta) = &operation.meta {
        write_meta(out, meta);
    }
    out.extend(b"}}");
}

fn write_meta(out: &mut Vec<u8>, meta: &SentMeta) {
    let created_at = meta.created_at.map(|at| format!(r#""createdAt":"{at}""#));
    let updated_at = meta.updated_at.map(|at| format!(r#""updatedAt":"{at}""#));
    let identifiers = meta.identifiers.as_ref();
    let identifiers = identifiers.map(|sent| format!(r#""identifier":{}"#, sent.json));
    let members = [created_at, updated_at, identifiers];
    let members: Vec<String> = members.into_iter().flatten().collect();
    out.extend(format!(r#","meta":{{{}}}"#, members.join(",")).bytes());
}
