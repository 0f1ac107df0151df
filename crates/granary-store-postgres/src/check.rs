//! The check of a whole database: that what is stored more than once agrees, and that what is counted is there. One
//! transaction that only reads, beside the nodes that work; what PostgreSQL keeps by itself, its indexes, its own `amcheck`
//! looks at, where it is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use granary_core::operation::{RecordId, TargetType, TypeRef};
use granary_core::schema::Schema;
use granary_store::{CheckReport, CheckRules, ReceiptsChunk, Record, Result, Source, StoreError, may_go_on};
use tokio_postgres::error::SqlState;

use crate::catalog::{read_definitions, source_of};
use crate::current::is_shown;
use crate::failure::{Attempt, Failure};
use crate::records::{read_edges, read_resources};
use crate::session::{Session, params};
use crate::tasks::{ksuid_of, read_operations};
use crate::{Inner, PostgresOptions, PostgresStore, SCHEMA_VERSION, bucket_of, damaged, int4, uint8};

/// How long one statement may take: some count all of a source.
const STATEMENT_MAX: Duration = Duration::from_secs(3_600);
/// Records that are read at once.
const PAGE: usize = 1_000;
/// Findings of one kind that are told by name.
const NAMED_MAX: i64 = 100;

const TASK: &str =
    "records are not affected; what this task tells of itself is not to be relied on, until it is removed";
const VOCABULARY: &str = "delete a concept and create it again once all that uses it is stopped; else restore a backup of the database";
const REINDEX: &str = "REINDEX INDEX it, and look into the disk and the memory of that machine";

impl PostgresStore {
    /// Checks the store at this URL, beside those who use it. What is wrong with it is in the report; an error says why it
    /// could not be looked at.
    pub async fn check(options: PostgresOptions, rules: CheckRules) -> Result<CheckReport> {
        let mut inner = Inner::of(options)?;
        inner.check_database().await?;
        let mut session = inner.session().await?;
        let mut report = CheckReport::default();
        let version = "SELECT CASE WHEN to_regclass('granary.migration') IS NULL THEN 0 ELSE 1 END";
        let is_there: i32 = session.query_one(version, params![]).await?.get(0);
        if is_there == 0 {
            return Err(StoreError::Unavailable(
                "the database holds no granary store; name the one that servers were given".into(),
            ));
        }
        let begin = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 0; \
             SET LOCAL statement_timeout = {}",
            STATEMENT_MAX.as_millis()
        );
        session.begin(&begin).await?;
        let version = session
            .query_one("SELECT max(version) FROM granary.migration", params![])
            .await?;
        if version.get::<_, Option<i32>>(0) != Some(SCHEMA_VERSION) {
            return Err(StoreError::Unavailable(format!(
                "the schema of the database is not version {SCHEMA_VERSION}, which this version of granary checks; check it \
                 with the version that serves it"
            )));
        }
        let key = session
            .query_opt("SELECT hash_key FROM granary.store", params![])
            .await?;
        let key = key.and_then(|row| row.get::<_, Vec<u8>>(0).try_into().ok());
        inner.hash_key = key.ok_or_else(|| damaged("the hash key"))?;
        let checking = Checking {
            inner: &inner,
            session: &session,
            rules,
        };
        checking.all(&mut report).await.map_err(StoreError::from)?;
        session.roll_back().await;
        inner.check_indexes(&mut report).await?;
        Ok(report)
    }
}

struct Checking<'a> {
    inner: &'a Inner,
    session: &'a Session,
    rules: CheckRules,
}

impl Checking<'_> {
    async fn all(&self, report: &mut CheckReport) -> Attempt<()> {
        let sql = "SELECT source, key, created_at FROM granary.source WHERE NOT dead ORDER BY key";
        let sources = self.session.query(sql, params![]).await?;
        for row in &sources {
            let source = source_of(row)?;
            let definitions = read_definitions(self.session, &source).await?;
            report.looked_at("definitions", definitions.list.len() as u64);
            match Schema::compile(&definitions.list) {
                Ok(schema) => self.records(&source, schema.types(), report).await?,
                Err(error) => {
                    let what = format!("source '{}': {}", source.key, error.message);
                    report.found(what, CheckReport::REBUILD);
                }
            }
            self.rows(&source, report).await?;
            self.tasks(&source, report).await?;
        }
        report.looked_at("sources", sources.len() as u64);
        self.vocabularies(report).await
    }

    /// Every record: its body is the one that was written, its identifiers find it.
    async fn records(&self, source: &Source, types: &[TypeRef], report: &mut CheckReport) -> Attempt<()> {
        for of_type in types {
            let mut after: Option<RecordId> = None;
            loop {
                let page = match &after {
                    Some(RecordId::Resource(id)) => {
                        read_resources(self.session, source.number, of_type.number, Some(id), PAGE).await?
                    }
                    Some(RecordId::Relationship { from, to }) => {
                        let after = Some((from, to));
                        read_edges(self.session, source.number, of_type.number, after, PAGE).await?
                    }
                    None if of_type.target_type() == TargetType::Resource => {
                        read_resources(self.session, source.number, of_type.number, None, PAGE).await?
                    }
                    None => read_edges(self.session, source.number, of_type.number, None, PAGE).await?,
                };
                for record in &page {
                    if !(self.rules.body_fits)(&self.inner.hash_key, &record.body, &record.head.hash) {
                        let what = format!(
                            "source '{}': the body of '{}' '{}' is not the one that was written",
                            source.key, of_type.key, record.id
                        );
                        report.found(what, CheckReport::WRITE_AGAIN);
                    }
                }
                match of_type.target_type() {
                    TargetType::Resource => {
                        report.looked_at("resources", page.len() as u64);
                        self.identifiers(source, of_type, &page, report).await?;
                    }
                    TargetType::Relationship => report.looked_at("relationships", page.len() as u64),
                }
                after = page.last().map(|last| last.id.clone());
                if !may_go_on(&page, PAGE) || after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The identifiers of a page of resources are those by which they are found.
    async fn identifiers(
        &self,
        source: &Source,
        of_type: &TypeRef,
        page: &[Record],
        report: &mut CheckReport,
    ) -> Attempt<()> {
        let ids: Vec<&str> = { page.iter() }
            .filter_map(|record| match &record.id {
                RecordId::Resource(id) => Some(id.as_str()),
                RecordId::Relationship { .. } => None,
            })
            .collect();
        let sql = "SELECT id, digest FROM granary.identifier \
                   WHERE bucket = $1 AND source = $2 AND type = $3 AND id = ANY ($4)";
        let (bucket, number) = (bucket_of(source.number), int4(source.number));
        let rows = self
            .session
            .query(sql, params![bucket, number, int4(of_type.number), ids])
            .await?;
        let mut found: BTreeMap<&str, BTreeSet<&[u8]>> = BTreeMap::new();
        for row in &rows {
            found.entry(row.get(0)).or_default().insert(row.get(1));
        }
        report.looked_at("identifiers", rows.len() as u64);
        for record in page {
            let id = record.id.to_string();
            let sent = match record.identifiers.is_empty() {
                true => Vec::new(),
                false => (self.rules.triples)(&record.identifiers).unwrap_or_default(),
            };
            let digests = sent.iter().map(|triple| triple.digest(&self.inner.hash_key));
            let expected: BTreeSet<[u8; 16]> = digests.collect();
            let found = found.remove(id.as_str()).unwrap_or_default();
            let agrees = expected.len() == found.len()
                && expected.iter().all(|digest| found.contains(digest.as_slice()))
                && record.head.identifiers.is_some() != expected.is_empty();
            if !agrees {
                let what = format!(
                    "source '{}': '{}' '{id}' is not found by its identifiers, or by others",
                    source.key, of_type.key
                );
                report.found(what, CheckReport::WRITE_AGAIN);
            }
        }
        Ok(())
    }

    /// Rows without what they belong to.
    async fn rows(&self, source: &Source, report: &mut CheckReport) -> Attempt<()> {
        const ENDS: &str = concat!(
            "SELECT d.key || ' ' || e.from_id || '.' || e.to_id FROM granary.edge e \
             JOIN granary.definition d ON d.bucket = e.bucket AND d.source = e.source AND d.number = e.type \
             WHERE e.bucket = $1 AND e.source = $2 AND ",
            is_shown!("d.from_number", "d.to_number"),
            " AND (NOT EXISTS (SELECT FROM granary.resource r WHERE r.bucket = e.bucket AND r.source = e.source \
             AND r.type = d.from_number AND r.id = e.from_id) \
             OR NOT EXISTS (SELECT FROM granary.resource r WHERE r.bucket = e.bucket AND r.source = e.source \
             AND r.type = d.to_number AND r.id = e.to_id)) LIMIT $3"
        );
        const RESOURCES: &str = "SELECT r.id FROM granary.resource r WHERE r.bucket = $1 AND r.source = $2 \
             AND NOT EXISTS (SELECT FROM granary.definition d WHERE d.bucket = r.bucket AND d.source = r.source \
             AND d.number = r.type AND d.kind = 0) LIMIT $3";
        const EDGES: &str = "SELECT e.from_id || '.' || e.to_id FROM granary.edge e \
             WHERE e.bucket = $1 AND e.source = $2 \
             AND NOT EXISTS (SELECT FROM granary.definition d WHERE d.bucket = e.bucket AND d.source = e.source \
             AND d.number = e.type AND d.kind = 1) LIMIT $3";
        const IDENTIFIERS: &str = "SELECT i.id FROM granary.identifier i WHERE i.bucket = $1 AND i.source = $2 \
             AND NOT EXISTS (SELECT FROM granary.resource r WHERE r.bucket = i.bucket AND r.source = i.source \
             AND r.type = i.type AND r.id = i.id) LIMIT $3";
        for (sql, what) in [
            (ENDS, "is an edge without one of its ends"),
            (RESOURCES, "is a resource of a type that is not defined"),
            (EDGES, "is an edge of a type that is not defined"),
            (IDENTIFIERS, "is found by an identifier and is not there"),
        ] {
            let here = params![bucket_of(source.number), int4(source.number), NAMED_MAX];
            for row in self.session.query(sql, here).await? {
                let name: &str = row.get(0);
                report.found(
                    format!("source '{}': '{name}' {what}", source.key),
                    CheckReport::REBUILD,
                );
            }
        }
        Ok(())
    }

    /// Each task has its operations, and a receipt for each that is decided.
    async fn tasks(&self, source: &Source, report: &mut CheckReport) -> Attempt<()> {
        let (bucket, number) = (bucket_of(source.number), int4(source.number));
        let mut decided: BTreeMap<Vec<u8>, (u64, u64)> = BTreeMap::new();
        let mut after: (Vec<u8>, i64) = (Vec::new(), -1);
        loop {
            let sql = "SELECT ksuid, first, body FROM granary.receipts WHERE bucket = $1 AND source = $2 \
                       AND (ksuid, first) > ($3, $4) ORDER BY ksuid, first LIMIT 256";
            let of = params![bucket, number, after.0.clone(), after.1];
            let rows = self.session.query(sql, of).await?;
            let Some(last) = rows.last() else { break };
            after = (last.get(0), last.get(1));
            for row in &rows {
                let (next, failures) = decided.entry(row.get(0)).or_default();
                match ReceiptsChunk::decompressed(row.get(2)) {
                    // A gap shows in the sum.
                    Ok(chunk) if uint8(row.get(1)) == *next => {
                        *next += u64::from(chunk.count);
                        *failures += chunk.failures.len() as u64;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let task = ksuid_of(row.get(0))?;
                        report.found(format!("source '{}': task {task}: {error}", source.key), TASK);
                    }
                }
            }
        }
        let mut operations: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        let mut after: (Vec<u8>, i32) = (Vec::new(), -1);
        loop {
            let sql = "SELECT ksuid, number, count, operations FROM granary.segment \
                       WHERE bucket = $1 AND source = $2 AND (ksuid, number) > ($3, $4) \
                       ORDER BY ksuid, number LIMIT 16";
            let of = params![bucket, number, after.0.clone(), after.1];
            let rows = self.session.query(sql, of).await?;
            let Some(last) = rows.last() else { break };
            after = (last.get(0), last.get(1));
            report.looked_at("segments", rows.len() as u64);
            for row in &rows {
                let read = read_operations(row.get(3)).map(|operations| operations.len() as i32);
                if !matches!(&read, Ok(count) if *count == row.get::<_, i32>(2)) {
                    let task = ksuid_of(row.get(0))?;
                    let what = format!(
                        "source '{}': task {task}: its operations cannot be read",
                        source.key
                    );
                    report.found(what, TASK);
                }
                *operations.entry(row.get(0)).or_default() += u64::from(row.get::<_, i32>(2).unsigned_abs());
            }
        }
        let mut after = (false, i64::MIN);
        loop {
            let sql = "SELECT at_once, sequence, ksuid, total, cursor, failures, completed_at IS NOT NULL, cancelled, \
                       purge IS NOT NULL FROM granary.task WHERE bucket = $1 AND source = $2 \
                       AND (at_once, sequence) > ($3, $4) ORDER BY at_once, sequence LIMIT 1000";
            let rows = self
                .session
                .query(sql, params![bucket, number, after.0, after.1])
                .await?;
            let Some(last) = rows.last() else { break };
            after = (last.get(0), last.get(1));
            report.looked_at("tasks", rows.len() as u64);
            for row in rows.iter().filter(|row| !row.get::<_, bool>(8)) {
                let ksuid: Vec<u8> = row.get(2);
                let [total, cursor, failed] = [3, 4, 5].map(|column| uint8(row.get(column)));
                let (ended, cancelled): (bool, bool) = (row.get(6), row.get(7));
                let (receipts, failures) = decided.remove(&ksuid).unwrap_or_default();
                let sent = operations.remove(&ksuid).unwrap_or_default();
                report.looked_at("receipts", receipts);
                if (receipts, failures, sent) != (cursor, failed, total) {
                    let what = format!(
                        "source '{}': task {}: it has decided {cursor} of {total} operations, {failed} of them failed, and has \
                         {sent} operations and {receipts} receipts, {failures} of them failed",
                        source.key,
                        ksuid_of(&ksuid)?
                    );
                    report.found(what, TASK);
                } else if ended && !cancelled && cursor != total {
                    let task = ksuid_of(&ksuid)?;
                    let what = format!(
                        "source '{}': task {task}: it has ended at {cursor} of {total}",
                        source.key
                    );
                    report.found(what, TASK);
                }
            }
        }
        let receipts: Vec<&[u8]> = decided.keys().map(Vec::as_slice).collect();
        self.removed(source, receipts, report).await
    }

    /// A task that was removed is not there, and what is left of one, its receipts, is known to be still to go.
    async fn removed(&self, source: &Source, receipts: Vec<&[u8]>, report: &mut CheckReport) -> Attempt<()> {
        let (bucket, number) = (bucket_of(source.number), int4(source.number));
        let sql = "SELECT count(*), count(t.ksuid) FROM granary.removed_task r LEFT JOIN granary.task t \
                   ON t.bucket = r.bucket AND t.source = r.source AND t.ksuid = r.ksuid WHERE r.bucket = $1 AND r.source = $2";
        let row = self.session.query_one(sql, params![bucket, number]).await?;
        let [removed, there] = [0, 1].map(|column| row.get::<_, i64>(column));
        report.looked_at("removed tasks", uint8(removed));
        if there > 0 {
            let what = format!(
                "source '{}': {there} tasks are there and are said to be removed",
                source.key
            );
            report.found(what, TASK);
        }
        let sql = "SELECT count(*) FROM unnest($3::bytea[]) AS r (ksuid) WHERE NOT EXISTS (SELECT FROM granary.removed_task t \
                   WHERE t.bucket = $1 AND t.source = $2 AND t.ksuid = r.ksuid AND NOT t.cleared)";
        let row = self
            .session
            .query_one(sql, params![bucket, number, receipts])
            .await?;
        let left: i64 = row.get(0);
        if left > 0 {
            let what = format!(
                "source '{}': receipts of {left} tasks that are not there are never removed",
                source.key
            );
            report.found(what, CheckReport::HARMLESS);
        }
        Ok(())
    }

    /// Each vocabulary has as many concepts as it says.
    async fn vocabularies(&self, report: &mut CheckReport) -> Attempt<()> {
        let sql = "SELECT v.key, v.concepts, v.code_bytes, count(c.code), \
                   coalesce(sum(octet_length(c.code) + 64), 0)::int8 FROM granary.vocabulary v \
                   LEFT JOIN granary.concept c ON c.bucket = v.bucket AND c.vocabulary = v.number \
                   GROUP BY v.bucket, v.key, v.concepts, v.code_bytes ORDER BY v.key";
        let rows = self.session.query(sql, params![]).await?;
        report.looked_at("vocabularies", rows.len() as u64);
        for row in &rows {
            let [told, told_bytes, count, bytes] = [1, 2, 3, 4].map(|column| row.get::<_, i64>(column));
            report.looked_at("concepts", uint8(count));
            if (told, told_bytes) != (count, bytes) {
                let key: &str = row.get(0);
                let what = format!(
                    "vocabulary '{key}' says it has {told} concepts ({told_bytes} bytes) and has {count} ({bytes} bytes)"
                );
                report.found(what, VOCABULARY);
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Has PostgreSQL look at its own indexes, where it can.
    async fn check_indexes(&self, report: &mut CheckReport) -> Result<()> {
        const NOTE: &str = "not looked at: the indexes of PostgreSQL; as a superuser, CREATE EXTENSION amcheck in this \
                            database and check again as that user, or run pg_amcheck";
        let session = self.session().await?;
        let sql = "SELECT to_regprocedure('bt_index_check(regclass,boolean)') IS NOT NULL";
        if !session.query_one(sql, params![]).await?.get::<_, bool>(0) {
            report.notes.push(NOTE.into());
            return Ok(());
        }
        let sql = "SELECT c.oid::int8, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   JOIN pg_am a ON a.oid = c.relam WHERE n.nspname = 'granary' AND c.relkind = 'i' \
                   AND a.amname = 'btree' ORDER BY 2";
        let indexes = session.query(sql, params![]).await?;
        for row in &indexes {
            // Each for itself: an error would end what stands around it.
            let session = self.session().await?;
            let sql = "SELECT bt_index_check($1::oid::regclass, true)";
            let oid = row.get::<_, i64>(0);
            match session.execute(sql, params![oid]).await {
                Ok(_) => report.looked_at("indexes of PostgreSQL", 1),
                Err(Failure::Database(error)) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                    report.notes.push(NOTE.into());
                    return Ok(());
                }
                Err(Failure::Database(error))
                    if [Some(&SqlState::INDEX_CORRUPTED), Some(&SqlState::DATA_CORRUPTED)]
                        .contains(&error.code()) =>
                {
                    let index: &str = row.get(1);
                    report.found(
                        format!("the index granary.{index} does not agree with its table"),
                        REINDEX,
                    );
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Ok(())
    }
}
