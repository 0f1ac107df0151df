//! Sources and their definitions. The row of a source is what its writers agree on: acceptances and single writes share
//! its lock, a change of the definitions or the end of the source takes it alone and then looks for uses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use granary_core::error::ErrorObject;
use granary_core::keys::Key;
use granary_core::operation::TypeNumber;
use granary_core::schema::{AcceptedDefinition, DefinitionKind, Schema, StoredDefinition};
use granary_core::task::{TaskId, TaskKind};
use granary_core::time::Timestamp;
use granary_store::{Definitions, KeptDefinition, Result, Source, StoreError, Stored};
use tokio_postgres::Row;
use tracing::debug;

use crate::failure::{Attempt, Failure};
use crate::session::{Session, params};
use crate::tasks::ksuid_of;
use crate::transact::{Ended, Rules};
use crate::{BUCKETS, Inner, bucket_of, bucket_of_key, damaged, int4, int8, uint4, uint8};

pub(crate) fn kind_number(kind: DefinitionKind) -> i16 {
    match kind {
        DefinitionKind::Profile => 0,
        DefinitionKind::RelationshipDefinition => 1,
    }
}

fn kind_of(number: i16) -> Attempt<DefinitionKind> {
    match number {
        0 => Ok(DefinitionKind::Profile),
        1 => Ok(DefinitionKind::RelationshipDefinition),
        _ => Err(damaged("the kind of a definition").into()),
    }
}

pub(crate) fn parsed_key(raw: &str) -> Attempt<Key> {
    Ok(Key::parse(raw).map_err(|_| damaged("a key"))?)
}

pub(crate) fn source_of(row: &Row) -> Attempt<Source> {
    Ok(Source {
        number: uint4(row.get(0)),
        key: parsed_key(row.get(1))?,
        created_at: Timestamp::from_millis(row.get(2)),
    })
}

/// Locks the source, if it is still there, against a change of its definitions and its end; the revision of the
/// definitions. Any number of writers share it.
pub(crate) async fn share_source(session: &Session, source: &Source) -> Attempt<u64> {
    let sql = "SELECT definitions_revision, reserved_until > now() FROM granary.source \
               WHERE bucket = $1 AND source = $2 AND NOT dead FOR KEY SHARE";
    let row = session
        .query_opt(sql, params![bucket_of(source.number), int4(source.number)])
        .await?;
    let row = row.ok_or_else(|| StoreError::source_gone(source.key.as_str()))?;
    match row.get(1) {
        // Somebody waits for all who share it to be through.
        true => Err(Failure::Raced),
        false => Ok(uint8(row.get(0))),
    }
}

/// Locks the source, if it is still there, against all who share it; the revision of its definitions.
async fn take_source(session: &Session, source: &Source) -> Attempt<u64> {
    let sql = "SELECT definitions_revision FROM granary.source \
               WHERE bucket = $1 AND source = $2 AND NOT dead FOR UPDATE";
    let row = session
        .query_opt(sql, params![bucket_of(source.number), int4(source.number)])
        .await?;
    let row = row.ok_or_else(|| StoreError::source_gone(source.key.as_str()))?;
    Ok(uint8(row.get(0)))
}

/// Sees that the source is there, without locking it.
pub(crate) async fn see_source(session: &Session, source: &Source) -> Attempt<()> {
    let sql = "SELECT 1 FROM granary.source WHERE bucket = $1 AND source = $2 AND NOT dead";
    let row = session
        .query_opt(sql, params![bucket_of(source.number), int4(source.number)])
        .await?;
    row.ok_or_else(|| StoreError::source_gone(source.key.as_str()))?;
    Ok(())
}

/// The definitions of a source.
pub(crate) async fn read_definitions(session: &Session, source: &Source) -> Attempt<Definitions> {
    let sql = "SELECT s.definitions_revision, d.kind, d.key, d.number, d.revision, d.json, d.created_at, d.updated_at \
               FROM granary.source s \
               LEFT JOIN granary.definition d ON d.bucket = s.bucket AND d.source = s.source \
               WHERE s.bucket = $1 AND s.source = $2 AND NOT s.dead ORDER BY d.kind, d.key";
    let rows = session
        .query(sql, params![bucket_of(source.number), int4(source.number)])
        .await?;
    let first = rows
        .first()
        .ok_or_else(|| StoreError::source_gone(source.key.as_str()))?;
    let mut definitions = Definitions {
        revision: uint8(first.get(0)),
        list: Vec::with_capacity(rows.len()),
    };
    for row in &rows {
        // A source without definitions has one row without any.
        let Some(kind) = row.get::<_, Option<i16>>(1) else {
            break;
        };
        definitions.list.push(StoredDefinition {
            kind: kind_of(kind)?,
            key: parsed_key(row.get(2))?,
            number: uint4(row.get(3)),
            revision: uint8(row.get(4)),
            json: row.get::<_, &str>(5).into(),
            created_at: Timestamp::from_millis(row.get(6)),
            updated_at: Timestamp::from_millis(row.get(7)),
        });
    }
    Ok(definitions)
}

impl Inner {
    /// A transaction that takes the source alone. Those who share it come and go, and there may always be some: where it
    /// does not get in by itself, they stand back for it.
    async fn transact_alone<T, F>(&self, source: &Source, work: impl Fn(Arc<Session>) -> F) -> Result<T>
    where
        F: Future<Output = Attempt<T>> + Send,
    {
        const BY_ITSELF: Rules = Rules {
            lock_wait: Duration::from_millis(500),
            ..Rules::DURABLE
        };
        match self.attempt(BY_ITSELF, &work).await {
            Ended::Committed(value) => return Ok(value),
            Ended::Failed(failure) if failure.is_worth_another_try() => {}
            Ended::Failed(failure) => return Err(failure.into()),
            Ended::Unknown(_, error) => return Err(error),
        }
        let reserve = async |until: &'static str| {
            self.transact(Rules::SOON, |session: Arc<Session>| async move {
                let of = params![bucket_of(source.number), int4(source.number)];
                session.execute(until, of).await
            })
            .await
        };
        // Not a key, so those who share the row do not keep this out.
        reserve(
            "UPDATE granary.source SET reserved_until = now() + interval '5 seconds' \
             WHERE bucket = $1 AND source = $2",
        )
        .await?;
        let outcome = self.transact(Rules::DURABLE, work).await;
        let reopened = reserve(
            "UPDATE granary.source SET reserved_until = '-infinity' WHERE bucket = $1 AND source = $2",
        );
        if let Err(failure) = reopened.await {
            debug!(%failure, source = %source.key, "a source stays reserved for some seconds");
        }
        outcome
    }

    pub(crate) async fn put_source(&self, key: &Key, now: Timestamp) -> Result<(Source, Stored)> {
        self.check_open()?;
        if let Some(found) = self.source(key).await? {
            return Ok((found, Stored::Replaced));
        }
        let bucket = bucket_of_key(key);
        self.transact(Rules::DURABLE, |session: Arc<Session>| async move {
            // The row of the bucket is locked from here on: two that create the same source do it one after the other.
            let sql = "INSERT INTO granary.bucket VALUES ($1, 1) \
                       ON CONFLICT (bucket) DO UPDATE SET sources = bucket.sources + 1 RETURNING sources";
            let given: i32 = session.query_one(sql, params![bucket]).await?.get(0);
            if let Some(found) = find_source(&session, key).await? {
                return Ok((found, Stored::Replaced));
            }
            let number = given as u32 * BUCKETS + u32::from(bucket.unsigned_abs());
            let here = || params![bucket, int4(number)];
            let sql = "INSERT INTO granary.source (bucket, source, key, created_at, next_number, definitions_revision) \
                       VALUES ($1, $2, $3, $4, 1, 0)";
            let (of_key, at) = (key.as_str(), now.millis());
            futures::try_join!(
                session.execute(sql, params![bucket, int4(number), of_key, at]),
                session.execute("INSERT INTO granary.lane (bucket, source) VALUES ($1, $2)", here()),
                session.execute("INSERT INTO granary.intake (bucket, source) VALUES ($1, $2)", here()),
            )?;
            let source = Source {
                key: key.clone(),
                number,
                created_at: now,
            };
            Ok((source, Stored::Created))
        })
        .await
    }

    pub(crate) async fn source(&self, key: &Key) -> Result<Option<Source>> {
        self.read(|session: Arc<Session>| async move { find_source(&session, key).await })
            .await
    }

    pub(crate) async fn sources(&self, after: Option<&Key>, limit: usize) -> Result<Vec<Source>> {
        let after = after.map_or("", Key::as_str);
        self.read(|session: Arc<Session>| async move {
            let sql = "SELECT source, key, created_at FROM granary.source WHERE NOT dead AND key > $1 \
                       ORDER BY key LIMIT $2";
            let rows = session.query(sql, params![after, int8(limit as u64)]).await?;
            rows.iter().map(source_of).collect()
        })
        .await
    }

    pub(crate) async fn delete_source(&self, source: &Source, purge: bool) -> Result<()> {
        self.check_open()?;
        let (bucket, number) = (bucket_of(source.number), int4(source.number));
        let here = move || params![bucket, number];
        self.transact_alone(source, |session: Arc<Session>| async move {
            take_source(&session, source).await?;
            // No acceptance is under way any more; the chunk of the lane that is, ends first.
            let sql = "UPDATE granary.lane SET runnable = false, fence = fence + 1, owner = NULL, \
                       lease_until = '-infinity' WHERE bucket = $1 AND source = $2";
            session.execute_on(1, sql, here()).await?;
            if !purge && let Some(what) = held_by(&session, source).await? {
                return Err(StoreError::source_holds(&source.key, what).into());
            }
            let sql = "UPDATE granary.task SET bytes = 0 WHERE bucket = $1 AND source = $2 AND completed_at IS NULL";
            session.execute(sql, here()).await?;
            // No vocabulary is bound by it any more.
            let sql = "DELETE FROM granary.definition WHERE bucket = $1 AND source = $2";
            session.execute(sql, here()).await?;
            let sql = "UPDATE granary.source SET dead = true WHERE bucket = $1 AND source = $2";
            session.execute_on(1, sql, here()).await
        })
        .await
    }

    pub(crate) async fn definitions(&self, source: &Source) -> Result<Definitions> {
        self.read(|session: Arc<Session>| async move { read_definitions(&session, source).await })
            .await
    }

    pub(crate) async fn definitions_revision(&self, source: &Source) -> Result<u64> {
        self.read(|session: Arc<Session>| async move {
            let sql = "SELECT definitions_revision FROM granary.source WHERE bucket = $1 AND source = $2 AND NOT dead";
            let row = session
                .query_opt(sql, params![bucket_of(source.number), int4(source.number)])
                .await?;
            let row = row.ok_or_else(|| StoreError::source_gone(source.key.as_str()))?;
            Ok(uint8(row.get(0)))
        })
        .await
    }

    pub(crate) async fn put_definition(
        &self,
        source: &Source,
        definition: &AcceptedDefinition,
        seen: u64,
        now: Timestamp,
    ) -> Result<(StoredDefinition, Stored)> {
        self.check_open()?;
        self.transact_alone(source, |session: Arc<Session>| async move {
            if take_source(&session, source).await? != seen {
                return Err(StoreError::DefinitionsChanged.into());
            }
            self.see_vocabularies(&session, definition).await?;
            let mut definitions = read_definitions(&session, source).await?;
            let same = |d: &StoredDefinition| d.kind == definition.kind() && d.key == *definition.key();
            let mut stored = StoredDefinition {
                kind: definition.kind(),
                key: definition.key().clone(),
                number: 0,
                revision: 1,
                json: definition.json().into(),
                created_at: now,
                updated_at: now,
            };
            let place = definitions.list.iter().position(same);
            let did = match place {
                None => {
                    self.limits.admit_definition(definitions.list.len())?;
                    let sql = "UPDATE granary.source SET next_number = next_number + 1 \
                               WHERE bucket = $1 AND source = $2 RETURNING next_number - 1";
                    let row = session
                        .query_one(sql, params![bucket_of(source.number), int4(source.number)])
                        .await?;
                    stored.number = uint4(row.get(0));
                    definitions.list.push(stored.clone());
                    Stored::Created
                }
                Some(place) => {
                    let current = &definitions.list[place];
                    if let Some(refusal) = definition.refused_while_records_exist(current)
                        && in_use(&session, source, current.number).await?.is_some()
                    {
                        return Err(StoreError::Refused(refusal).into());
                    }
                    stored.number = current.number;
                    stored.revision = current.revision + 1;
                    stored.created_at = current.created_at;
                    definitions.list[place] = stored.clone();
                    Stored::Replaced
                }
            };
            let ends = ends_of(&definitions)?;
            insert_definition(&session, source, &stored, definition, &ends).await?;
            move_revision(&session, source).await?;
            Ok((stored, did))
        })
        .await
    }

    pub(crate) async fn restore_definitions(&self, source: &Source, kept: &[KeptDefinition]) -> Result<()> {
        self.check_open()?;
        self.transact_alone(source, |session: Arc<Session>| async move {
            take_source(&session, source).await?;
            if let Some(what) = held_by(&session, source).await? {
                return Err(StoreError::source_must_be_empty(&source.key, what).into());
            }
            let sql = "UPDATE granary.source SET next_number = next_number + $3 \
                       WHERE bucket = $1 AND source = $2 RETURNING next_number - $3";
            let count = int4(kept.len() as u32);
            let here = params![bucket_of(source.number), int4(source.number), count];
            let first = uint4(session.query_one(sql, here).await?.get(0));
            let mut definitions = Definitions::default();
            for (number, kept) in (first..).zip(kept) {
                self.see_vocabularies(&session, &kept.accepted).await?;
                self.limits.admit_definition(definitions.list.len())?;
                definitions.list.push(kept.numbered(number));
            }
            let ends = ends_of(&definitions)?;
            for (stored, kept) in definitions.list.iter().zip(kept) {
                insert_definition(&session, source, stored, &kept.accepted, &ends).await?;
            }
            move_revision(&session, source).await
        })
        .await
    }

    pub(crate) async fn delete_definition(
        &self,
        source: &Source,
        kind: DefinitionKind,
        key: &Key,
        seen: u64,
    ) -> Result<()> {
        self.check_open()?;
        self.transact_alone(source, |session: Arc<Session>| async move {
            if take_source(&session, source).await? != seen {
                return Err(StoreError::DefinitionsChanged.into());
            }
            let sql = "DELETE FROM granary.definition WHERE bucket = $1 AND source = $2 AND kind = $3 AND key = $4 \
                       RETURNING number";
            let of = params![
                bucket_of(source.number),
                int4(source.number),
                kind_number(kind),
                key.as_str()
            ];
            let Some(row) = session.query_opt(sql, of).await? else {
                let missing = ErrorObject::not_found(format!("'{key}' does not exist"));
                return Err(StoreError::Refused(missing).into());
            };
            if let Some(why) = in_use(&session, source, uint4(row.get(0))).await? {
                return Err(StoreError::precondition(format!("'{key}' is in use: {why}")).into());
            }
            move_revision(&session, source).await
        })
        .await
    }
}

/// What a source holds, if anything; to be asked with its lock.
async fn held_by(session: &Session, source: &Source) -> Attempt<Option<&'static str>> {
    let sql = "SELECT EXISTS (SELECT FROM granary.task WHERE bucket = $1 AND source = $2 \
                              AND completed_at IS NULL), \
               EXISTS (SELECT FROM granary.resource WHERE bucket = $1 AND source = $2) \
               OR EXISTS (SELECT FROM granary.edge WHERE bucket = $1 AND source = $2) \
               AND NOT EXISTS (SELECT FROM granary.mark WHERE bucket = $1 AND source = $2), \
               EXISTS (SELECT FROM granary.definition WHERE bucket = $1 AND source = $2)";
    let here = params![bucket_of(source.number), int4(source.number)];
    let row = session.query_one(sql, here).await?;
    let holds = ["tasks that have not ended", "records", "definitions"];
    let found = (0..3).zip(holds).find(|(at, _)| row.get::<_, bool>(*at));
    Ok(found.map(|(_, what)| what))
}

/// Writes a definition, whose ends are among `ends`.
async fn insert_definition(
    session: &Session,
    source: &Source,
    stored: &StoredDefinition,
    accepted: &AcceptedDefinition,
    ends: &HashMap<TypeNumber, [i32; 2]>,
) -> Attempt<()> {
    let ends = ends.get(&stored.number);
    let vocabularies: Vec<&str> = accepted.vocabularies().iter().map(Key::as_str).collect();
    let sql = "INSERT INTO granary.definition (bucket, source, kind, key, number, from_number, to_number, \
               revision, json, vocabularies, created_at, updated_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
               ON CONFLICT (bucket, source, kind, key) DO UPDATE SET from_number = excluded.from_number, \
               to_number = excluded.to_number, revision = excluded.revision, json = excluded.json, \
               vocabularies = excluded.vocabularies, updated_at = excluded.updated_at";
    let of = params![
        bucket_of(source.number),
        int4(source.number),
        kind_number(stored.kind),
        stored.key.as_str(),
        int4(stored.number),
        ends.map(|ends| ends[0]),
        ends.map(|ends| ends[1]),
        int8(stored.revision),
        &*stored.json,
        vocabularies,
        stored.created_at.millis(),
        stored.updated_at.millis(),
    ];
    session.execute_on(1, sql, of).await
}

async fn find_source(session: &Session, key: &Key) -> Attempt<Option<Source>> {
    let sql =
        "SELECT source, key, created_at FROM granary.source WHERE bucket = $1 AND key = $2 AND NOT dead";
    let row = session
        .query_opt(sql, params![bucket_of_key(key), key.as_str()])
        .await?;
    row.as_ref().map(source_of).transpose()
}

async fn move_revision(session: &Session, source: &Source) -> Attempt<()> {
    let sql = "UPDATE granary.source SET definitions_revision = definitions_revision + 1 \
               WHERE bucket = $1 AND source = $2";
    session
        .execute_on(1, sql, params![bucket_of(source.number), int4(source.number)])
        .await
}

/// The numbers of the profiles at the ends of each relationship definition.
fn ends_of(definitions: &Definitions) -> Attempt<HashMap<TypeNumber, [i32; 2]>> {
    let schema = Schema::compile(&definitions.list).map_err(|error| damaged(&error.to_string()))?;
    let edges = schema.types().iter().filter_map(|of_type| {
        let ends = of_type.edge.as_ref()?;
        Some((of_type.number, [int4(ends.from.number), int4(ends.to.number)]))
    });
    Ok(edges.collect())
}

/// Why the type with this number cannot go, if it cannot. To be asked with the lock of the source: whoever would write
/// one waits for that.
async fn in_use(session: &Session, source: &Source, number: TypeNumber) -> Attempt<Option<String>> {
    let of = || params![bucket_of(source.number), int4(source.number), int4(number)];
    // Tasks first: one that ends meanwhile has left its records to be found.
    let sql = "SELECT ksuid, kind FROM granary.task WHERE bucket = $1 AND source = $2 AND completed_at IS NULL \
               AND $3 = ANY (type_numbers) ORDER BY sequence LIMIT 1";
    let task = session.query_opt(sql, of()).await?;
    let sql = "SELECT EXISTS (SELECT FROM granary.resource WHERE bucket = $1 AND source = $2 AND type = $3), \
               EXISTS (SELECT FROM granary.edge WHERE bucket = $1 AND source = $2 AND type = $3), \
               EXISTS (SELECT FROM granary.mark WHERE bucket = $1 AND source = $2)";
    let row = session.query_one(sql, of()).await?;
    let (resources, edges, marks): (bool, bool, bool) = (row.get(0), row.get(1), row.get(2));
    if resources || (edges && !marks) {
        return Ok(Some("records of it exist; delete them first".into()));
    }
    if edges {
        // They may be gone already, with a resource that had very many.
        return Ok(Some("edges are being removed; try again in a moment".into()));
    }
    let Some(row) = task else {
        return Ok(None);
    };
    let kind = TaskKind::ALL.get(row.get::<_, i16>(1) as usize);
    let id = TaskId {
        kind: *kind.ok_or_else(|| damaged("the kind of a task"))?,
        ksuid: ksuid_of(row.get(0))?,
    };
    Ok(Some(format!("task {id} has not ended; wait for it")))
}
