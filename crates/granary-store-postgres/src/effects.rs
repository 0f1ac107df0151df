//! What a decision writes: records, their identifiers, and what goes with a deleted resource.

use granary_core::decide::{Decision, Head, Identified, Plan, Put, RecordKey};
use granary_core::meta::Identifiers;
use granary_store::{CheckedBatch, Result};

use crate::cascade::{cascade, delete_edges};
use tokio_postgres::types::Type;

use crate::failure::{Attempt, Failure};
use crate::session::{Params, Session, Value, param, params};
use crate::{bucket_of, damaged, int4, int8};

/// Edges that the deletes of a single write or a bundle remove with their ends.
pub(crate) const CASCADE_MAX: usize = 4_096;

/// Where a decision is written.
pub(crate) struct Place<'a> {
    pub(crate) source: u32,
    pub(crate) hash_key: &'a [u8; 16],
    /// The sequence of the purge that decides.
    pub(crate) purge: Option<u64>,
    /// Edges that its deletes remove with their ends; resources past that are marked.
    pub(crate) cascade_max: usize,
}

/// What went beside the records that a chunk names.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Edges that were removed with their ends.
    pub(crate) relationships: u64,
    /// Resources were marked: their edges are still to be removed.
    pub(crate) marked: bool,
}

/// Writes what was decided. `stored` are the rows of the plan's records, locked, those that marks hide included.
pub(crate) async fn write_effects(
    session: &Session,
    place: &Place<'_>,
    plan: &Plan<'_>,
    mut stored: Vec<Option<Head>>,
    decision: &Decision,
    batch: &CheckedBatch,
) -> Attempt<Effects> {
    let effects = cascade(session, place, plan, decision, &mut stored).await?;
    let writing = Writing {
        session,
        place,
        plan,
        stored: &stored,
        batch,
    };
    // One after the other on one connection, without waiting in between.
    futures::try_join!(
        writing.delete_resources(decision),
        writing.delete_edges(decision),
        writing.put(&decision.puts, Table::Resource, IsStored::No),
        writing.put(&decision.puts, Table::Resource, IsStored::Yes),
        writing.put(&decision.puts, Table::Edge, IsStored::No),
        writing.put(&decision.puts, Table::Edge, IsStored::Yes),
        writing.identify(decision),
    )?;
    Ok(effects)
}

/// Columns of records to be written, one entry a record.
#[derive(Default)]
struct Columns<'a> {
    numbers: Vec<i32>,
    ids: Vec<&'a str>,
    tos: Vec<&'a str>,
    versions: Vec<i32>,
    stamps: Vec<i64>,
    created: Vec<i64>,
    updated: Vec<i64>,
    at_once: Vec<bool>,
    hashes: Vec<&'a [u8]>,
    identifiers_hashes: Vec<Option<&'a [u8]>>,
    identifiers: Vec<Option<&'a str>>,
    data: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    /// The parameters of an `insert!`.
    fn params(self, source: u32, table: Table) -> Params<'a> {
        let mut of = params![bucket_of(source), int4(source), self.numbers, self.ids];
        if table == Table::Edge {
            of.push(param(self.tos));
        }
        of.extend(params![
            self.versions,
            self.stamps,
            self.created,
            self.updated,
            self.at_once,
            self.hashes,
            self.identifiers_hashes,
            self.identifiers,
            self.data,
        ]);
        of
    }

    /// The record with this index as a `copy!` takes it.
    fn row<'r>(&'r self, bucket: &'r i16, source: &'r i32, table: Table, at: usize) -> Vec<Value<'r>> {
        let mut row: Vec<Value<'r>> = vec![bucket, source, &self.numbers[at], &self.ids[at]];
        if table == Table::Edge {
            row.push(&self.tos[at]);
        }
        let rest: [Value<'r>; 9] = [
            &self.versions[at],
            &self.stamps[at],
            &self.created[at],
            &self.updated[at],
            &self.at_once[at],
            &self.hashes[at],
            &self.identifiers_hashes[at],
            &self.identifiers[at],
            &self.data[at],
        ];
        row.extend(rest);
        row
    }
}

/// Which records are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Resource,
    Edge,
}

/// Whether they are there before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IsStored {
    Yes,
    No,
}

/// From so many new records on they are copied: the database takes half the time for it, and one answer more is waited
/// for.
const COPY_FROM: usize = 64;

/// Columns of a record, with those of its key after its type.
macro_rules! columns {
    ($key:literal) => {
        concat!(
            " (bucket, source, type, ",
            $key,
            ", version, stamp, created_at, updated_at, at_once, hash, identifiers_hash, identifiers, data) "
        )
    };
}

macro_rules! insert_resources {
    ($conflict:expr) => {
        concat!(
            "INSERT INTO granary.resource",
            columns!("id"),
            "SELECT $1, $2, u.* FROM unnest($3::int4[], $4::text[], $5::int4[], $6::int8[], $7::int8[], $8::int8[], \
             $9::bool[], $10::bytea[], $11::bytea[], $12::text[], $13::text[]) u ",
            $conflict
        )
    };
}

macro_rules! insert_edges {
    ($conflict:expr) => {
        concat!(
            "INSERT INTO granary.edge",
            columns!("from_id, to_id"),
            "SELECT $1, $2, u.* FROM unnest($3::int4[], $4::text[], $5::text[], $6::int4[], $7::int8[], $8::int8[], \
             $9::int8[], $10::bool[], $11::bytea[], $12::bytea[], $13::text[], $14::text[]) u ",
            $conflict
        )
    };
}

/// What is locked is replaced, found by its key. Identifiers with the same hash stay as they are stored.
macro_rules! replaces {
    ($table:literal, $key:literal) => {
        concat!(
            "ON CONFLICT ",
            $key,
            " DO UPDATE SET version = excluded.version, stamp = excluded.stamp, created_at = excluded.created_at, \
             updated_at = excluded.updated_at, at_once = excluded.at_once, hash = excluded.hash, \
             identifiers_hash = excluded.identifiers_hash, identifiers = CASE WHEN ",
            $table,
            ".identifiers_hash IS NOT DISTINCT FROM excluded.identifiers_hash THEN ",
            $table,
            ".identifiers ELSE excluded.identifiers END, data = excluded.data"
        )
    };
}

const COPY_RESOURCES: &str = concat!("COPY granary.resource", columns!("id"), "FROM STDIN BINARY");
const COPY_EDGES: &str = concat!(
    "COPY granary.edge",
    columns!("from_id, to_id"),
    "FROM STDIN BINARY"
);

/// The types of the columns of an edge; a resource has an id in the place of two.
const RECORD_TYPES: [Type; 14] = [
    Type::INT2,
    Type::INT4,
    Type::INT4,
    Type::TEXT,
    Type::TEXT,
    Type::INT4,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::BOOL,
    Type::BYTEA,
    Type::BYTEA,
    Type::TEXT,
    Type::TEXT,
];

struct Writing<'a> {
    session: &'a Session,
    place: &'a Place<'a>,
    plan: &'a Plan<'a>,
    stored: &'a [Option<Head>],
    batch: &'a CheckedBatch,
}

impl<'a> Writing<'a> {
    /// What an operation says of identifiers.
    fn sent(&self, operation: usize) -> Result<&'a Identifiers> {
        let meta = self.batch.operations[operation].meta.as_deref();
        let sent = meta.and_then(|meta| meta.identifiers.as_ref());
        sent.ok_or_else(|| damaged("an operation without the identifiers that it has sent"))
    }

    /// The records among these that are of a kind, and stored or not, in the order of their keys.
    fn columns(&self, puts: &'a [Put], table: Table, is_stored: IsStored) -> Result<Columns<'a>> {
        let mut columns = Columns::default();
        let mut puts: Vec<&Put> = puts.iter().collect();
        // All put new records there in one order, so that no two wait for each other.
        puts.sort_unstable_by_key(|put| self.plan.records()[put.record]);
        for put in puts {
            let key = self.plan.records()[put.record];
            if self.stored[put.record].is_some() != (is_stored == IsStored::Yes) {
                continue;
            }
            match key {
                RecordKey::Resource { number, id } if table == Table::Resource => {
                    columns.numbers.push(int4(number));
                    columns.ids.push(id.as_str());
                }
                RecordKey::Relationship { number, from, to } if table == Table::Edge => {
                    columns.numbers.push(int4(number));
                    columns.ids.push(from.as_str());
                    columns.tos.push(to.as_str());
                }
                _ => continue,
            }
            let head = &put.head;
            columns.versions.push(int4(head.version));
            columns.stamps.push(int8(head.stamp));
            columns.created.push(head.created_at.millis());
            columns.updated.push(head.updated_at.millis());
            columns.at_once.push(head.at_once);
            columns.hashes.push(&head.hash.0);
            let hash = head.identifiers.as_ref();
            columns
                .identifiers_hashes
                .push(hash.map(|hash| hash.0.as_slice()));
            columns.identifiers.push(match put.identifiers {
                Identified::In(operation) => Some(&self.sent(operation)?.json),
                Identified::AsStored | Identified::Nowhere => None,
            });
            let body = std::str::from_utf8(self.batch.body(put.operation));
            columns
                .data
                .push(body.map_err(|_| damaged("a body that is not UTF-8"))?);
        }
        Ok(columns)
    }

    async fn put(&self, puts: &'a [Put], table: Table, is_stored: IsStored) -> Attempt<()> {
        let columns = self.columns(puts, table, is_stored)?;
        let count = columns.ids.len();
        if count == 0 {
            return Ok(());
        }
        let source = self.place.source;
        // One that somebody else puts there meanwhile is a unique violation, and all is decided again.
        if is_stored == IsStored::No && count >= COPY_FROM && self.session.can_copy() {
            let (sql, types) = match table {
                Table::Resource => (COPY_RESOURCES, [&RECORD_TYPES[..3], &RECORD_TYPES[4..]].concat()),
                Table::Edge => (COPY_EDGES, RECORD_TYPES.to_vec()),
            };
            let (bucket, number) = (bucket_of(source), int4(source));
            let rows = (0..count).map(|at| columns.row(&bucket, &number, table, at));
            return self.session.copy(count, sql, &types, rows).await;
        }
        let sql = match (table, is_stored) {
            (Table::Resource, IsStored::No) => insert_resources!(""),
            (Table::Resource, IsStored::Yes) => {
                insert_resources!(replaces!("resource", "(bucket, source, type, id)"))
            }
            (Table::Edge, IsStored::No) => insert_edges!(""),
            (Table::Edge, IsStored::Yes) => {
                insert_edges!(replaces!("edge", "(bucket, source, type, from_id, to_id)"))
            }
        };
        self.session
            .execute_on(count, sql, columns.params(source, table))
            .await
    }

    async fn delete_resources(&self, decision: &Decision) -> Attempt<()> {
        let (mut numbers, mut ids) = (Vec::new(), Vec::new());
        for record in &decision.deletes {
            if let (RecordKey::Resource { number, id }, Some(_)) =
                (self.plan.records()[*record], &self.stored[*record])
            {
                numbers.push(int4(number));
                ids.push(id.as_str());
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        let sql = "DELETE FROM granary.resource WHERE ctid = ANY (ARRAY(\
                   SELECT r.ctid FROM unnest($3::int4[], $4::text[]) u (type, id) \
                   CROSS JOIN LATERAL (SELECT r.ctid FROM granary.resource r WHERE r.bucket = $1 AND r.source = $2 \
                   AND r.type = u.type AND r.id = u.id FOR UPDATE) r)) \
                   AND bucket + 0 = $1 AND source + 0 = $2";
        let count = ids.len();
        let of = params![
            bucket_of(self.place.source),
            int4(self.place.source),
            numbers,
            ids
        ];
        self.session.execute_on(count, sql, of).await
    }

    async fn delete_edges(&self, decision: &Decision) -> Attempt<()> {
        let (mut numbers, mut froms, mut tos) = (Vec::new(), Vec::new(), Vec::new());
        for record in &decision.deletes {
            if let (RecordKey::Relationship { number, from, to }, Some(_)) =
                (self.plan.records()[*record], &self.stored[*record])
            {
                numbers.push(int4(number));
                froms.push(from.as_str());
                tos.push(to.as_str());
            }
        }
        match froms.len() {
            0 => Ok(()),
            count => match delete_edges(self.session, self.place.source, numbers, froms, tos).await? {
                on if on == count as u64 => Ok(()),
                _ => Err(Failure::Raced),
            },
        }
    }

    /// Moves what resources are found by to where their identifiers are now.
    async fn identify(&self, decision: &Decision) -> Attempt<()> {
        let (mut gone_numbers, mut gone_ids) = (Vec::new(), Vec::new());
        let mut gone = |record: usize| {
            let had_any = self.stored[record].is_some_and(|head| head.identifiers.is_some());
            if let (RecordKey::Resource { number, id }, true) = (self.plan.records()[record], had_any) {
                gone_numbers.push(int4(number));
                gone_ids.push(id.as_str());
            }
        };
        let (mut numbers, mut ids, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        decision.deletes.iter().for_each(|record| gone(*record));
        for put in &decision.puts {
            if put.identifiers == Identified::AsStored {
                continue;
            }
            gone(put.record);
            if let (RecordKey::Resource { number, id }, Identified::In(operation)) =
                (self.plan.records()[put.record], put.identifiers)
            {
                for triple in &self.sent(operation)?.triples {
                    numbers.push(int4(number));
                    ids.push(id.as_str());
                    digests.push(triple.digest(self.place.hash_key));
                }
            }
        }
        let (bucket, source) = (bucket_of(self.place.source), int4(self.place.source));
        if !gone_ids.is_empty() {
            let sql = "DELETE FROM granary.identifier WHERE ctid = ANY (ARRAY(\
                       SELECT i.ctid FROM unnest($3::int4[], $4::text[]) u (type, id) \
                       CROSS JOIN LATERAL (SELECT i.ctid FROM granary.identifier i WHERE i.bucket = $1 \
                       AND i.source = $2 AND i.type = u.type AND i.id = u.id FOR UPDATE) i)) \
                       AND bucket + 0 = $1 AND source + 0 = $2";
            self.session
                .execute(sql, params![bucket, source, gone_numbers, gone_ids])
                .await?;
        }
        if !ids.is_empty() {
            let sql = "INSERT INTO granary.identifier (bucket, source, type, id, digest) \
                       SELECT $1, $2, u.* FROM unnest($3::int4[], $4::text[], $5::bytea[]) u";
            let digests: Vec<&[u8]> = digests.iter().map(|digest| digest.as_slice()).collect();
            let count = ids.len();
            self.session
                .execute_on(count, sql, params![bucket, source, numbers, ids, digests])
                .await?;
        }
        Ok(())
    }
}
