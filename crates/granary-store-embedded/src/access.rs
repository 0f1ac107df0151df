//! API keys: rows in `keys`, a few, all of them held in memory too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use granary_core::access::{KeyHash, KeyName, KeyRecord, Role, Sources};
use granary_core::ksuid::Ksuid;
use granary_core::time::Timestamp;
use granary_store::{Access, Result, StoreError, StoredKeys};
use serde::{Deserialize, Serialize};

use crate::rows::{decode, encode};
use crate::{EmbeddedStore, Inner, Keyspaces, engine, lock};

/// The row of the keys as a whole.
const REVISION_KEY: [u8; 1] = [0];
const KEY_KIND: u8 = 1;

/// What moves with each key that comes or goes.
#[derive(Serialize, Deserialize)]
struct RevisionRow {
    revision: u64,
}

/// A key, under its id.
#[derive(Serialize, Deserialize)]
struct KeyRow {
    name: Option<Box<str>>,
    role: u8,
    /// `None`: all.
    sources: Option<Vec<Box<str>>>,
    hash: [u8; 32],
    created_at: i64,
    last_used_at: Option<i64>,
}

impl KeyRow {
    fn new(key: &KeyRecord) -> Self {
        let role = match key.role {
            Role::Reader => 1,
            Role::Writer => 2,
            Role::Admin => 3,
        };
        let sources = match &key.sources {
            Sources::All => None,
            Sources::These(these) => Some(these.iter().map(|key| key.as_str().into()).collect()),
        };
        Self {
            name: key.name.as_ref().map(|name| name.as_str().into()),
            role,
            sources,
            hash: *key.hash.as_bytes(),
            created_at: key.created_at.millis(),
            last_used_at: key.last_used_at.map(Timestamp::millis),
        }
    }

    fn record(self, id: Ksuid) -> Result<KeyRecord> {
        let role = match self.role {
            1 => Role::Reader,
            2 => Role::Writer,
            3 => Role::Admin,
            _ => return Err(damaged("a row of keys")),
        };
        let sources = match &self.sources {
            None => Sources::All,
            Some(names) => {
                Sources::parse(names.iter().map(|name| &**name)).map_err(|_| damaged("a row of keys"))?
            }
        };
        let name = self.name.as_deref().map(KeyName::parse).transpose();
        Ok(KeyRecord {
            id,
            name: name.map_err(|_| damaged("a row of keys"))?,
            role,
            sources,
            hash: KeyHash::from_bytes(self.hash),
            created_at: Timestamp::from_millis(self.created_at),
            last_used_at: self.last_used_at.map(Timestamp::from_millis),
        })
    }
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged(what.to_owned())
}

fn key_of(id: &Ksuid) -> [u8; 21] {
    let mut key = [KEY_KIND; 21];
    key[1..].copy_from_slice(id.as_bytes());
    key
}

/// The keys in memory.
pub(crate) struct State {
    /// Held by each change.
    writer: Mutex<()>,
    /// The keys that are durable; changed only under `writer`.
    all: RwLock<Arc<All>>,
}

#[derive(Clone, Default)]
struct All {
    revision: u64,
    keys: BTreeMap<Ksuid, KeyRecord>,
}

/// All keys.
pub(crate) fn load(keyspaces: &Keyspaces) -> Result<State> {
    let rows = &keyspaces.keys;
    let revision = rows.get(REVISION_KEY).map_err(engine)?;
    let revision: Option<RevisionRow> = revision.map(|row| decode(&row, "keys")).transpose()?;
    let mut keys = BTreeMap::new();
    for row in rows.prefix([KEY_KIND]) {
        let (key, row) = row.into_inner().map_err(engine)?;
        let id = key.get(1..).and_then(|id| id.try_into().ok());
        let id = Ksuid::from_bytes(id.ok_or_else(|| damaged("a key of keys"))?);
        keys.insert(id, decode::<KeyRow>(&row, "keys")?.record(id)?);
    }
    let revision = revision.map_or(0, |row| row.revision);
    // A store that lost count of its keys would be open to everyone.
    if revision == 0 && !keys.is_empty() {
        return Err(damaged("keys without a revision"));
    }
    Ok(State {
        writer: Mutex::new(()),
        all: RwLock::new(Arc::new(All { revision, keys })),
    })
}

impl State {
    fn all(&self) -> Arc<All> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    /// Changes keys: `change` is given all of them, and answers the ids of those that it has changed.
    fn change_keys<T>(&self, change: impl FnOnce(&mut All) -> Result<(T, Vec<Ksuid>)>) -> Result<T> {
        self.check_open()?;
        let _writer = lock(&self.access.writer);
        let before = self.access.all();
        let mut all = before.as_ref().clone();
        let (value, changed) = change(&mut all)?;
        let rows = &self.keyspaces.keys;
        let mut batch = self.db.batch();
        for id in changed {
            match all.keys.get(&id) {
                Some(key) => batch.insert(rows, key_of(&id), encode(&KeyRow::new(key))),
                None => batch.remove(rows, key_of(&id)),
            }
        }
        if batch.is_empty() {
            return Ok(value);
        }
        if all.revision != before.revision {
            let revision = all.revision;
            batch.insert(rows, REVISION_KEY, encode(&RevisionRow { revision }));
        }
        self.commit(batch)?;
        self.sync.wait(self.sync.committed())?;
        *self.access.all.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(all);
        Ok(value)
    }
}

#[async_trait]
impl Access for EmbeddedStore {
    async fn keys_revision(&self) -> Result<u64> {
        Ok(self.inner.access.all().revision)
    }

    async fn keys(&self) -> Result<StoredKeys> {
        let all = self.inner.access.all();
        Ok(StoredKeys {
            revision: all.revision,
            keys: all.keys.values().cloned().collect(),
        })
    }

    async fn create_key(&self, key: &KeyRecord) -> Result<()> {
        let key = key.clone();
        self.run(move |inner| {
            inner.change_keys(|all| {
                inner.limits.admit_key(all.keys.len())?;
                let id = key.id;
                all.revision += 1;
                all.keys.insert(id, key);
                Ok(((), vec![id]))
            })
        })
        .await
    }

    async fn revoke_key(&self, id: Ksuid) -> Result<KeyRecord> {
        self.run(move |inner| {
            inner.change_keys(|all| {
                let gone = all.keys.remove(&id).ok_or_else(|| StoreError::no_key(&id))?;
                all.revision += 1;
                Ok((gone, vec![id]))
            })
        })
        .await
    }

    async fn note_use(&self, used: &[(Ksuid, Timestamp)]) -> Result<()> {
        let used = used.to_vec();
        self.run(move |inner| {
            inner.change_keys(|all| {
                let mut changed = Vec::new();
                for (id, at) in used {
                    if let Some(key) = all.keys.get_mut(&id)
                        && key.last_used_at < Some(at)
                    {
                        key.last_used_at = Some(at);
                        changed.push(id);
                    }
                }
                Ok(((), changed))
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use granary_core::access::ApiKey;

    use super::*;

    /// The rows are part of the format: bytes that were written stay readable.
    #[test]
    fn a_row_is_read_as_it_was_written_in_format_1() {
        let id = Ksuid::from_bytes([9; 20]);
        let key = KeyRecord {
            id,
            name: Some(KeyName::parse("ada").unwrap()),
            role: Role::Writer,
            sources: Sources::parse(["clinic"]).unwrap(),
            hash: KeyHash::from_bytes([5; 32]),
            created_at: Timestamp::from_millis(1),
            last_used_at: Some(Timestamp::from_millis(2)),
        };
        let mut bytes = vec![1, 3, b'a', b'd', b'a', 2, 1, 1, 6];
        bytes.extend(b"clinic");
        bytes.extend([5; 32]);
        bytes.extend([2, 1, 4]);
        assert_eq!(encode(&KeyRow::new(&key)), bytes);
        let read = decode::<KeyRow>(&bytes, "keys").unwrap().record(id).unwrap();
        assert_eq!(format!("{read:?}"), format!("{key:?}"));
        assert_eq!(read.hash.as_bytes(), key.hash.as_bytes());
        let whole = [0, 3, 0].into_iter().chain([5; 32]).chain([2, 0]);
        let whole = decode::<KeyRow>(&whole.collect::<Vec<u8>>(), "keys").unwrap();
        let whole = whole.record(id).unwrap();
        assert_eq!((whole.role, whole.sources), (Role::Admin, Sources::All));
    }

    #[test]
    fn a_row_that_is_none_is_damage() {
        let key = ApiKey::from_parts(Ksuid::from_bytes([9; 20]), [1; 32]);
        let record = KeyRecord {
            id: key.id(),
            name: None,
            role: Role::Reader,
            sources: Sources::All,
            hash: key.hash(),
            created_at: Timestamp::EPOCH,
            last_used_at: None,
        };
        let rows: [fn(&mut KeyRow); 4] = [
            |row| row.role = 0,
            |row| row.role = 4,
            |row| row.sources = Some(vec![]),
            |row| row.name = Some("".into()),
        ];
        for spoil in rows {
            let mut row = KeyRow::new(&record);
            spoil(&mut row);
            assert!(matches!(row.record(key.id()), Err(StoreError::Damaged(_))));
        }
    }
}
