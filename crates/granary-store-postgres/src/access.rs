//! API keys. One row is what their changes agree on: each takes it alone, and it says which keys are in force.

use async_trait::async_trait;
use granary_core::access::{KeyHash, KeyName, KeyRecord, Role, Sources};
use granary_core::ksuid::Ksuid;
use granary_core::time::Timestamp;
use granary_store::{Access, Result, StoreError, StoredKeys};
use std::sync::Arc;
use tokio_postgres::Row;

use crate::failure::Attempt;
use crate::session::{Session, params};
use crate::transact::Rules;
use crate::{BUCKETS, Inner, PostgresStore, damaged, uint8};

fn bucket_of_id(id: &Ksuid) -> i16 {
    (xxhash_rust::xxh3::xxh3_64(id.as_bytes()) % u64::from(BUCKETS)) as i16
}

fn role_number(role: Role) -> i16 {
    match role {
        Role::Reader => 1,
        Role::Writer => 2,
        Role::Admin => 3,
    }
}

fn record_of(row: &Row) -> Result<KeyRecord> {
    let not_so = |_| damaged("a row of granary.api_key");
    let id: &[u8] = row.get(0);
    let role = match row.get::<_, i16>(2) {
        1 => Role::Reader,
        2 => Role::Writer,
        3 => Role::Admin,
        _ => return Err(damaged("a row of granary.api_key")),
    };
    let name = row.get::<_, Option<&str>>(1).map(KeyName::parse).transpose();
    let sources: Vec<&str> = row.get(3);
    let hash: &[u8] = row.get(4);
    Ok(KeyRecord {
        id: Ksuid::from_bytes(id.try_into().map_err(not_so)?),
        name: name.map_err(|_| damaged("a row of granary.api_key"))?,
        role,
        sources: Sources::parse(sources).map_err(|_| damaged("a row of granary.api_key"))?,
        hash: KeyHash::from_bytes(hash.try_into().map_err(not_so)?),
        created_at: Timestamp::from_millis(row.get(5)),
        last_used_at: row.get::<_, Option<i64>>(6).map(Timestamp::from_millis),
    })
}

/// Locks the keys against all other changes, and moves their revision.
async fn change_revision(session: &Session) -> Attempt<()> {
    let sql = "UPDATE granary.access SET revision = revision + 1 WHERE bucket = 0";
    session.execute_on(1, sql, params![]).await
}

impl Inner {
    async fn create_key_in(&self, session: &Session, key: &KeyRecord) -> Attempt<()> {
        change_revision(session).await?;
        let id = key.id.as_bytes().to_vec();
        // One that is there already is this one: the answer to its commit was lost.
        let sql = "SELECT count(*) FROM granary.api_key WHERE ksuid <> $1";
        let count: i64 = session.query_one(sql, params![id.clone()]).await?.get(0);
        self.limits
            .admit_key(usize::try_from(count).unwrap_or(usize::MAX))?;
        let sql = "INSERT INTO granary.api_key (bucket, ksuid, name, role, sources, hash, created_at) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (bucket, ksuid) DO NOTHING";
        let row = params![
            bucket_of_id(&key.id),
            id,
            key.name.as_ref().map(KeyName::as_str),
            role_number(key.role),
            key.sources.names(),
            key.hash.as_bytes().to_vec(),
            key.created_at.millis()
        ];
        session.execute(sql, row).await?;
        Ok(())
    }
}

async fn revoke_key_in(session: &Session, id: &Ksuid) -> Attempt<KeyRecord> {
    change_revision(session).await?;
    let sql = "DELETE FROM granary.api_key WHERE bucket = $1 AND ksuid = $2 \
               RETURNING ksuid, name, role, sources, hash, created_at, last_used_at";
    let of = params![bucket_of_id(id), id.as_bytes().to_vec()];
    let row = session.query_opt(sql, of).await?;
    Ok(record_of(&row.ok_or_else(|| StoreError::no_key(id))?)?)
}

#[async_trait]
impl Access for PostgresStore {
    async fn keys_revision(&self) -> Result<u64> {
        let read = |session: Arc<Session>| async move {
            let sql = "SELECT revision FROM granary.access WHERE bucket = 0";
            Ok(uint8(session.query_one(sql, params![]).await?.get(0)))
        };
        self.inner.read(read).await
    }

    async fn keys(&self) -> Result<StoredKeys> {
        let read = |session: Arc<Session>| async move {
            // One statement, so that keys and revision are of one moment.
            let sql = "SELECT k.ksuid, k.name, k.role, k.sources, k.hash, k.created_at, k.last_used_at, a.revision \
                       FROM granary.access a LEFT JOIN granary.api_key k ON true WHERE a.bucket = 0 ORDER BY k.ksuid";
            let rows = session.query(sql, params![]).await?;
            let revision = rows.first().map_or(0, |row| uint8(row.get(7)));
            let keys = rows
                .iter()
                .filter(|row| row.get::<_, Option<&[u8]>>(0).is_some())
                .map(record_of);
            let keys = keys.collect::<Result<Vec<_>>>()?;
            Ok(StoredKeys { revision, keys })
        };
        self.inner.read(read).await
    }

    async fn create_key(&self, key: &KeyRecord) -> Result<()> {
        let inner = &self.inner;
        inner.check_open()?;
        let create = |session: Arc<Session>| async move { inner.create_key_in(&session, key).await };
        inner.transact_again(Rules::DURABLE, create).await
    }

    async fn revoke_key(&self, id: Ksuid) -> Result<KeyRecord> {
        self.inner.check_open()?;
        let revoke = |session: Arc<Session>| async move { revoke_key_in(&session, &id).await };
        self.inner.transact(Rules::DURABLE, revoke).await
    }

    async fn note_use(&self, used: &[(Ksuid, Timestamp)]) -> Result<()> {
        self.inner.check_open()?;
        let note = |session: Arc<Session>| async move {
            let buckets: Vec<i32> = used.iter().map(|(id, _)| i32::from(bucket_of_id(id))).collect();
            let ids: Vec<&[u8]> = used.iter().map(|(id, _)| id.as_bytes().as_slice()).collect();
            let moments: Vec<i64> = used.iter().map(|(_, at)| at.millis()).collect();
            let sql = "UPDATE granary.api_key k SET last_used_at = u.at \
                       FROM unnest($1::int4[], $2::bytea[], $3::int8[]) u (bucket, ksuid, at) \
                       WHERE k.bucket = u.bucket AND k.ksuid = u.ksuid AND coalesce(k.last_used_at < u.at, true)";
            session.execute(sql, params![buckets, ids, moments]).await?;
            Ok(())
        };
        self.inner.transact_again(Rules::SOON, note).await
    }
}
