//! Operations of the suite, spelt shortly.

use granary_core::keys::{Key, ResourceId};
use granary_core::meta::{Identifiers, SentMeta, Triple};
use granary_core::operation::{Action, ContentHash, RecordId};
use granary_core::time::Timestamp;

use crate::{Budget, CheckRules};

/// More than any task of the suite holds.
pub const WHOLE: Budget = Budget {
    operations: 1_000_000,
    bytes: u64::MAX,
};

/// A budget of so many operations of any size.
pub fn operations(operations: usize) -> Budget {
    Budget {
        operations,
        bytes: u64::MAX,
    }
}

/// An operation with its type by name and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// What it does.
    pub action: Action,
    /// The key of the type.
    pub type_key: String,
    /// The record.
    pub id: RecordId,
    /// Its body; empty for a delete.
    pub body: Vec<u8>,
    /// The hash of its content, where it has one.
    pub hash: Option<ContentHash>,
    /// What it says of meta.
    pub meta: SentMeta,
}

impl Op {
    fn new(action: Action, type_key: &str, id: RecordId, body: Vec<u8>) -> Self {
        let hash = (action != Action::Delete).then(|| hash_of(&body));
        Self {
            action,
            type_key: type_key.into(),
            id,
            body,
            hash,
            meta: SentMeta::default(),
        }
    }

    /// The same with this body.
    pub fn with_body(mut self, body: Vec<u8>) -> Self {
        self.hash = Some(hash_of(&body));
        self.body = body;
        self
    }

    /// The same with these identifiers, each as its notation.
    pub fn identified_by(mut self, notations: &[&str]) -> Self {
        self.meta.identifiers = Some(identifiers(notations));
        self
    }

    /// The same with these times, in milliseconds.
    pub fn imported(mut self, created_at: i64, updated_at: Option<i64>) -> Self {
        self.meta.created_at = Some(Timestamp::from_millis(created_at));
        self.meta.updated_at = updated_at.map(Timestamp::from_millis);
        self
    }

    /// The same with other bytes that count as the same content, as ids made for contained resources do.
    pub fn with_equal_body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }
}

/// Identifiers with these notations.
pub fn identifiers(notations: &[&str]) -> Identifiers {
    let json = format!("{notations:?}");
    Identifiers {
        hash: (!notations.is_empty()).then(|| hash_of(json.as_bytes())),
        triples: notations.iter().map(|notation| triple(notation)).collect(),
        json: json.into(),
    }
}

/// The triple with this notation.
pub fn triple(notation: &str) -> Triple {
    Triple::parse(notation).expect("the suite uses good notations")
}

/// Creates a resource.
pub fn create(type_key: &str, id: &str, content: u32) -> Op {
    Op::new(Action::Create, type_key, resource(id), body(content))
}

/// Upserts a resource.
pub fn upsert(type_key: &str, id: &str, content: u32) -> Op {
    Op::new(Action::Upsert, type_key, resource(id), body(content))
}

/// Deletes a resource.
pub fn delete(type_key: &str, id: &str) -> Op {
    Op::new(Action::Delete, type_key, resource(id), Vec::new())
}

/// Creates an edge.
pub fn join(type_key: &str, from: &str, to: &str, content: u32) -> Op {
    Op::new(Action::Create, type_key, edge(from, to), body(content))
}

/// Upserts an edge.
pub fn rejoin(type_key: &str, from: &str, to: &str, content: u32) -> Op {
    Op::new(Action::Upsert, type_key, edge(from, to), body(content))
}

/// Deletes an edge.
pub fn part(type_key: &str, from: &str, to: &str) -> Op {
    Op::new(Action::Delete, type_key, edge(from, to), Vec::new())
}

/// The id of a resource.
pub fn rid(raw: &str) -> ResourceId {
    ResourceId::parse(raw).expect("the suite uses good ids")
}

/// A key.
pub fn key(raw: &str) -> Key {
    Key::parse(raw).expect("the suite uses good keys")
}

/// The record id of a resource.
pub fn resource(id: &str) -> RecordId {
    RecordId::Resource(rid(id))
}

/// The record id of an edge.
pub fn edge(from: &str, to: &str) -> RecordId {
    RecordId::Relationship {
        from: rid(from),
        to: rid(to),
    }
}

/// The body with this content.
pub fn body(content: u32) -> Vec<u8> {
    format!(r#"{{"data":{{"name":"{content}"}}}}"#).into_bytes()
}

/// So many bytes that a compressor that looks for what repeats can do nothing with. They are text, as all bodies are: a
/// store may keep them as such.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        SYMBOLS[(state >> 32) as usize % SYMBOLS.len()]
    };
    (0..length).map(|_| next()).collect()
}

/// What a check takes in place of what it takes from real records.
pub fn check_rules() -> CheckRules {
    CheckRules {
        body_fits: |_, body, hash| hash_of(body) == *hash,
        triples: |json| {
            let notations: Vec<String> = serde_json::from_slice(json).ok()?;
            Some(notations.iter().map(|notation| triple(notation)).collect())
        },
    }
}

/// Equal bodies have equal hashes; a store takes hashes as they come.
fn hash_of(body: &[u8]) -> ContentHash {
    use std::hash::{DefaultHasher, Hasher};
    let mut hash = [0; 16];
    for (half, place) in hash.chunks_exact_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        hasher.write_usize(half);
        hasher.write(body);
        place.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    ContentHash(hash)
}
