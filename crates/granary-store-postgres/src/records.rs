//! Reading records. Each call is one statement, so what it answers is of one moment; edges under marks are left out.

use std::sync::Arc;

use bytes::Bytes;
use granary_core::decide::RecordKey;
use granary_core::keys::ResourceId;
use granary_core::meta::Triple;
use granary_core::operation::{RecordId, TypeNumber};
use granary_store::{EdgeFilter, PAGE_BYTES_MAX, Record, Result, Source};
use tokio_postgres::Row;

use crate::catalog::see_source;
use crate::current::{HEAD_COLUMNS, head_columns, head_of, is_shown, parsed_id, place_of};
use crate::failure::Attempt;
use crate::session::{Session, param, params};
use crate::{Inner, bucket_of, int4, int8};

/// A record from the columns behind its id: head, data, identifiers.
fn record_of(row: &Row, id: RecordId, from: usize) -> Result<Record> {
    let identifiers: Option<&str> = row.get(from + HEAD_COLUMNS + 1);
    Ok(Record {
        id,
        head: head_of(row, from)?,
        body: Bytes::copy_from_slice(row.get::<_, &str>(from + HEAD_COLUMNS).as_bytes()),
        identifiers: Bytes::copy_from_slice(identifiers.unwrap_or_default().as_bytes()),
    })
}

fn edge_of(row: &Row) -> Result<Record> {
    let id = RecordId::Relationship {
        from: parsed_id(row.get(0))?,
        to: parsed_id(row.get(1))?,
    };
    record_of(row, id, 2)
}

fn id_of(key: &RecordKey<'_>) -> RecordId {
    match *key {
        RecordKey::Resource { id, .. } => RecordId::Resource(id.clone()),
        RecordKey::Relationship { from, to, .. } => RecordId::Relationship {
            from: from.clone(),
            to: to.clone(),
        },
    }
}

/// The ends of the type of an edge `e`, as `d`.
macro_rules! with_ends {
    () => {
        "JOIN granary.definition d ON d.bucket = e.bucket AND d.source = e.source AND d.number = e.type "
    };
}

const RECORDS: &str = concat!(
    "SELECT u.at, ",
    head_columns!("r"),
    ", r.data, r.identifiers FROM unnest($3::int8[], $4::int4[], $5::text[], $6::text[]) u (at, type, id, to_id) \
     CROSS JOIN LATERAL (SELECT * FROM granary.resource r WHERE r.bucket = $1 AND r.source = $2 \
     AND r.type = u.type AND r.id = u.id OFFSET 0) r WHERE u.to_id IS NULL \
     UNION ALL SELECT u.at, ",
    head_columns!("e"),
    ", e.data, e.identifiers FROM unnest($3::int8[], $4::int4[], $5::text[], $6::text[]) u (at, type, id, to_id) \
     CROSS JOIN LATERAL (SELECT * FROM granary.edge e WHERE e.bucket = $1 AND e.source = $2 \
     AND e.type = u.type AND e.from_id = u.id AND e.to_id = u.to_id OFFSET 0) e ",
    with_ends!(),
    "WHERE u.to_id IS NOT NULL AND ",
    is_shown!("d.from_number", "d.to_number")
);

/// These records, in their order.
pub(crate) async fn read_records(
    session: &Session,
    source: u32,
    wanted: &[RecordKey<'_>],
) -> Attempt<Vec<Option<Record>>> {
    let (mut numbers, mut ids, mut tos) = (Vec::new(), Vec::new(), Vec::new());
    for key in wanted {
        let (number, id, to) = match *key {
            RecordKey::Resource { number, id } => (number, id, None),
            RecordKey::Relationship { number, from, to } => (number, from, Some(to.as_str())),
        };
        numbers.push(int4(number));
        ids.push(id.as_str());
        tos.push(to);
    }
    let places: Vec<i64> = (1..=wanted.len() as i64).collect();
    let of = params![bucket_of(source), int4(source), places, numbers, ids, tos];
    let mut records = vec![None; wanted.len()];
    for row in session.query(RECORDS, of).await? {
        let at = place_of(&row)?;
        records[at] = Some(record_of(&row, id_of(&wanted[at]), 1)?);
    }
    Ok(records)
}

/// The rows of a page, which end with the one that reaches the bytes of a page. `$rows` has `weight` and an order.
macro_rules! page {
    ($columns:expr, $order:literal, $rows:expr) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM (SELECT p.*, sum(p.weight) OVER (ORDER BY ",
            $order,
            " ROWS UNBOUNDED PRECEDING) AS upto FROM (",
            $rows,
            ") p) p WHERE p.upto - p.weight < $4 ORDER BY ",
            $order
        )
    };
}

/// Columns of a record in the table with this name, and what it weighs on a page.
macro_rules! record_columns {
    ($of:literal) => {
        concat!(
            head_columns!($of),
            ", ",
            $of,
            ".data, ",
            $of,
            ".identifiers, (octet_length(",
            $of,
            ".data) + coalesce(octet_length(",
            $of,
            ".identifiers), 0))::int8 AS weight"
        )
    };
}

macro_rules! resource_columns {
    () => {
        concat!("p.id, ", head_columns!("p"), ", p.data, p.identifiers")
    };
}

macro_rules! edge_columns {
    () => {
        concat!(
            "p.from_id, p.to_id, ",
            head_columns!("p"),
            ", p.data, p.identifiers"
        )
    };
}

const RESOURCES: &str = page!(
    resource_columns!(),
    "p.id",
    concat!(
        "SELECT r.id, ",
        record_columns!("r"),
        " FROM granary.resource r WHERE r.bucket = $1 AND r.source = $2 AND r.type = $3 AND r.id > $5 \
         ORDER BY r.id LIMIT $6"
    )
);

const IDENTIFIED: &str = page!(
    resource_columns!(),
    "p.id",
    concat!(
        "SELECT r.id, ",
        record_columns!("r"),
        " FROM granary.identifier i JOIN granary.resource r ON r.bucket = $1 AND r.source = $2 AND r.type = $3 \
         AND r.id = i.id WHERE i.bucket = $1 AND i.source = $2 AND i.type = $3 AND i.digest = $7 AND i.id > $5 \
         ORDER BY i.id LIMIT $6"
    )
);

/// Edges of a type behind the place `($5, $7)`, those with these ends.
macro_rules! edges {
    ($ends:literal) => {
        page!(
            edge_columns!(),
            "p.from_id, p.to_id",
            concat!(
                "SELECT e.from_id, e.to_id, ",
                record_columns!("e"),
                " FROM granary.edge e ",
                with_ends!(),
                "WHERE e.bucket = $1 AND e.source = $2 AND e.type = $3 AND ",
                $ends,
                " AND ",
                is_shown!("d.from_number", "d.to_number"),
                " ORDER BY e.from_id, e.to_id LIMIT $6"
            )
        )
    };
}

const ALL_EDGES: &str = edges!("(e.from_id, e.to_id) > ($5, $7)");

/// A page of resources.
pub(crate) async fn read_resources(
    session: &Session,
    source: u32,
    number: TypeNumber,
    after: Option<&ResourceId>,
    limit: usize,
) -> Attempt<Vec<Record>> {
    let of = params![
        bucket_of(source),
        int4(source),
        int4(number),
        PAGE_BYTES_MAX as i64,
        after.map_or("", ResourceId::as_str),
        int8(limit as u64)
    ];
    let rows = session.query(RESOURCES, of).await?;
    let resource = |row: &Row| record_of(row, RecordId::Resource(parsed_id(row.get(0))?), 1);
    Ok(rows.iter().map(resource).collect::<Result<_>>()?)
}

/// A page of all edges of a type.
pub(crate) async fn read_edges(
    session: &Session,
    source: u32,
    number: TypeNumber,
    after: Option<(&ResourceId, &ResourceId)>,
    limit: usize,
) -> Attempt<Vec<Record>> {
    let (after_from, after_to) = after.map_or(("", ""), |(from, to)| (from.as_str(), to.as_str()));
    let of = params![
        bucket_of(source),
        int4(source),
        int4(number),
        PAGE_BYTES_MAX as i64,
        after_from,
        int8(limit as u64),
        after_to
    ];
    let rows = session.query(ALL_EDGES, of).await?;
    Ok(rows.iter().map(edge_of).collect::<Result<_>>()?)
}

impl Inner {
    pub(crate) async fn records(
        &self,
        source: &Source,
        wanted: &[(TypeNumber, RecordId)],
    ) -> Result<Vec<Option<Record>>> {
        let keys: Vec<RecordKey<'_>> = wanted
            .iter()
            .map(|(number, id)| RecordKey::of(*number, id))
            .collect();
        self.read(|session: Arc<Session>| async move {
            let (records, ()) = futures::try_join!(
                read_records(&session, source.number, &keys),
                see_source(&session, source)
            )?;
            Ok(records)
        })
        .await
    }

    pub(crate) async fn resources(
        &self,
        source: &Source,
        number: TypeNumber,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        self.read(|session: Arc<Session>| async move {
            let (page, ()) = futures::try_join!(
                read_resources(&session, source.number, number, after, limit),
                see_source(&session, source)
            )?;
            Ok(page)
        })
        .await
    }

    pub(crate) async fn identified(
        &self,
        source: &Source,
        number: TypeNumber,
        identifier: &Triple,
        after: Option<&ResourceId>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        let digest = identifier.digest(&self.hash_key);
        let of = params![
            bucket_of(source.number),
            int4(source.number),
            int4(number),
            PAGE_BYTES_MAX as i64,
            after.map_or("", ResourceId::as_str),
            int8(limit as u64),
            digest.as_slice()
        ];
        self.read(|session: Arc<Session>| async move {
            let (rows, ()) = futures::try_join!(session.query(IDENTIFIED, of), see_source(&session, source))?;
            let resource = |row: &Row| record_of(row, RecordId::Resource(parsed_id(row.get(0))?), 1);
            Ok(rows.iter().map(resource).collect::<Result<_>>()?)
        })
        .await
    }

    pub(crate) async fn relationships(
        &self,
        source: &Source,
        number: TypeNumber,
        filter: &EdgeFilter,
        after: Option<(&ResourceId, &ResourceId)>,
        limit: usize,
    ) -> Result<Vec<Record>> {
        const OF_FROM: &str = edges!("e.from_id = $8 AND (e.from_id, e.to_id) > ($5, $7)");
        const OF_TO: &str = edges!("e.to_id = $8 AND e.from_id >= $5 AND (e.from_id, e.to_id) > ($5, $7)");
        const OF_BOTH: &str = edges!("e.from_id = $8 AND e.to_id = $9 AND (e.from_id, e.to_id) > ($5, $7)");
        let (after_from, after_to) = after.map_or(("", ""), |(from, to)| (from.as_str(), to.as_str()));
        let mut of = params![
            bucket_of(source.number),
            int4(source.number),
            int4(number),
            PAGE_BYTES_MAX as i64,
            after_from,
            int8(limit as u64),
            after_to
        ];
        let ends = [&filter.from, &filter.to].into_iter().flatten();
        of.extend(ends.map(|end| param(end.as_str())));
        let sql = match (&filter.from, &filter.to) {
            (None, None) => ALL_EDGES,
            (Some(_), None) => OF_FROM,
            (None, Some(_)) => OF_TO,
            (Some(_), Some(_)) => OF_BOTH,
        };
        self.read(|session: Arc<Session>| async move {
            let (rows, ()) = futures::try_join!(session.query(sql, of), see_source(&session, source))?;
            Ok(rows.iter().map(edge_of).collect::<Result<_>>()?)
        })
        .await
    }
}
