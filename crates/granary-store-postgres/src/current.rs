//! What a chunk or a write is decided on, read so that it still holds when that commits.
//!
//! Records that are there are read with row locks, in the order of their keys: resources first, then edges, then the
//! edges of bounded ends. What is written is locked against all; a resource at the end of an edge is only kept from
//! going, unless it may have one edge: then it is locked against others who would add one. A resource that is deleted is
//! locked before its edges are read, and whoever adds an edge to it holds it, so none is missed. What is not there cannot
//! be locked: where somebody else puts it there first, the insert meets it and all is decided again; what is not there
//! and stays so is looked for once more when all is locked.

use granary_core::decide::{Current, Decision, Direction, Head, Plan, RecordKey};
use granary_core::keys::ResourceId;
use granary_core::operation::{Action, ContentHash, EdgeEnds, Operation, RecordId, TypeNumber, TypeRef};
use granary_core::time::Timestamp;
use granary_store::Result;
use tokio_postgres::Row;

use crate::failure::{Attempt, Failure};
use crate::session::{Session, params};
use crate::{bucket_of, damaged, int4, int8, uint8};

/// How many stamps a run has: what the sequence `granary.stamp` moves by.
pub(crate) const STAMPS: u64 = 8_192;

/// What a decision is made on.
pub(crate) struct Ground {
    pub(crate) current: Current,
    /// The rows of the plan's records, those that marks hide included.
    pub(crate) stored: Vec<Option<Head>>,
    /// The first of stamps that nobody else has, one for each operation.
    pub(crate) stamp: u64,
}

/// The columns that [`head_of`] reads, in their order, of the table or alias with this name.
macro_rules! head_columns {
    ($of:literal) => {
        concat!(
            $of,
            ".version, ",
            $of,
            ".stamp, ",
            $of,
            ".created_at, ",
            $of,
            ".updated_at, ",
            $of,
            ".hash, ",
            $of,
            ".identifiers_hash, ",
            $of,
            ".at_once"
        )
    };
}
pub(crate) use head_columns;

/// How many columns [`head_of`] reads.
pub(crate) const HEAD_COLUMNS: usize = 7;

/// A head from the columns of a row from this one on.
pub(crate) fn head_of(row: &Row, from: usize) -> Result<Head> {
    let hash = |bytes: &[u8]| {
        let hash = <[u8; 16]>::try_from(bytes);
        hash.map(ContentHash).map_err(|_| damaged("the hash of a record"))
    };
    let identifiers: Option<&[u8]> = row.get(from + 5);
    Ok(Head {
        version: row.get::<_, i32>(from).unsigned_abs(),
        stamp: uint8(row.get(from + 1)),
        created_at: Timestamp::from_millis(row.get(from + 2)),
        updated_at: Timestamp::from_millis(row.get(from + 3)),
        hash: hash(row.get(from + 4))?,
        identifiers: identifiers.map(hash).transpose()?,
        at_once: row.get(from + 6),
    })
}

pub(crate) fn parsed_id(raw: &str) -> Result<ResourceId> {
    ResourceId::parse(raw).map_err(|_| damaged("the id of a record"))
}

/// An edge `e` of a type whose ends are resources of the types `$from` and `$to` is not hidden by a mark.
macro_rules! is_shown {
    ($from:literal, $to:literal) => {
        concat!(
            "NOT EXISTS (SELECT FROM granary.mark m WHERE m.bucket = e.bucket AND m.source = e.source AND m.type = ",
            $from,
            " AND m.id = e.from_id AND m.stamp > e.stamp) \
             AND NOT EXISTS (SELECT FROM granary.mark m WHERE m.bucket = e.bucket AND m.source = e.source AND m.type = ",
            $to,
            " AND m.id = e.to_id AND m.stamp > e.stamp)"
        )
    };
}
pub(crate) use is_shown;

/// How strongly resources are locked: all of a plan alike, so that all writers take them in one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Strength {
    /// Kept from going.
    Kept,
    /// Written, or at an end that may have one edge.
    Written,
    /// Deleted.
    Deleted,
}

impl Strength {
    fn of(operations: &[Operation], types: &[TypeRef]) -> Self {
        let of_one = |operation: &Operation| match (&operation.id, operation.action) {
            (RecordId::Resource(_), Action::Delete) => Self::Deleted,
            (RecordId::Resource(_), _) => Self::Written,
            (RecordId::Relationship { .. }, _) => {
                let ends = types[operation.type_index as usize].edge.as_ref();
                match ends.is_some_and(|ends| ends.from.at_most_one || ends.to.at_most_one) {
                    true => Self::Written,
                    false => Self::Kept,
                }
            }
        };
        operations.iter().map(of_one).max().unwrap_or(Self::Kept)
    }
}

// Each of these goes from the keys to the rows, one after the other in the order of the keys, whatever the planner
// believes of the tables: what is locked inside a lateral query is not joined in another order.

macro_rules! lock_resources {
    ($lock:literal) => {
        concat!(
            "SELECT u.at, ",
            head_columns!("r"),
            " FROM unnest($3::int4[], $4::text[]) WITH ORDINALITY u (type, id, at) \
             CROSS JOIN LATERAL (SELECT * FROM granary.resource r WHERE r.bucket = $1 AND r.source = $2 \
             AND r.type = u.type AND r.id = u.id ",
            $lock,
            ") r"
        )
    };
}

const LOCK_EDGES: &str = concat!(
    "SELECT u.at, ",
    head_columns!("e"),
    ", ",
    is_shown!("u.from_type", "u.to_type"),
    " FROM unnest($3::int4[], $4::text[], $5::text[], $6::int4[], $7::int4[]) \
     WITH ORDINALITY u (type, from_id, to_id, from_type, to_type, at) \
     CROSS JOIN LATERAL (SELECT * FROM granary.edge e WHERE e.bucket = $1 AND e.source = $2 AND e.type = u.type \
     AND e.from_id = u.from_id AND e.to_id = u.to_id FOR UPDATE) e"
);

macro_rules! lock_neighbours {
    ($near:literal, $far:literal) => {
        concat!(
            "SELECT u.at, n.id FROM unnest($3::int4[], $4::text[], $5::int8[], $6::int4[], $7::int4[]) \
             WITH ORDINALITY u (type, id, count, from_type, to_type, at) \
             CROSS JOIN LATERAL (SELECT e.",
            $far,
            " AS id FROM granary.edge e WHERE e.bucket = $1 AND e.source = $2 AND e.type = u.type AND e.",
            $near,
            " = u.id AND ",
            is_shown!("u.from_type", "u.to_type"),
            " ORDER BY e.",
            $far,
            " LIMIT u.count FOR KEY SHARE OF e) n"
        )
    };
}

/// The ends of the relationship type with this number.
pub(crate) fn ends_of(types: &[TypeRef], number: TypeNumber) -> Result<&EdgeEnds> {
    let of_type = types
        .iter()
        .find(|of_type| of_type.number == number && of_type.edge.is_some());
    let ends = of_type.and_then(|of_type| of_type.edge.as_ref());
    ends.ok_or_else(|| damaged("an edge of a type that is none"))
}

/// Reads and locks what a plan of these operations asks for.
pub(crate) async fn lock_ground(
    session: &Session,
    source: u32,
    plan: &Plan<'_>,
    operations: &[Operation],
    types: &[TypeRef],
) -> Attempt<Ground> {
    let (resources, edges, stamp) = futures::try_join!(
        lock_resources(session, source, plan, Strength::of(operations, types)),
        lock_edges(session, source, plan, types),
        // Taken when all is locked: whoever wrote one of these before has smaller ones.
        next_stamps(session, operations.len()),
    )?;
    let mut stored = vec![None; plan.records().len()];
    let mut heads = vec![None; plan.records().len()];
    for (at, head) in resources {
        (stored[at], heads[at]) = (Some(head), Some(head));
    }
    for (at, head, is_shown) in edges {
        stored[at] = Some(head);
        heads[at] = is_shown.then_some(head);
    }
    let neighbours = match plan.bounds().len() {
        0 => Vec::new(),
        _ => lock_neighbours(session, source, plan, types).await?,
    };
    Ok(Ground {
        current: Current { heads, neighbours },
        stored,
        stamp,
    })
}

/// Sees that what was absent, and is not put there, still is: while the others were waited for, somebody may have put it
/// there together with them, and the decision would be on what never was at one time.
pub(crate) async fn see_absent(
    session: &Session,
    source: u32,
    plan: &Plan<'_>,
    stored: &[Option<Head>],
    decision: &Decision,
) -> Attempt<()> {
    if stored.len() == 1 {
        return Ok(());
    }
    let mut absent: Vec<bool> = stored.iter().map(Option::is_none).collect();
    decision.puts.iter().for_each(|put| absent[put.record] = false);
    let (mut types, mut ids) = (Vec::new(), Vec::new());
    let (mut edge_types, mut froms, mut tos) = (Vec::new(), Vec::new(), Vec::new());
    for (key, _) in plan.records().iter().zip(absent).filter(|(_, absent)| *absent) {
        match *key {
            RecordKey::Resource { number, id } => {
                types.push(int4(number));
                ids.push(id.as_str());
            }
            RecordKey::Relationship { number, from, to } => {
                edge_types.push(int4(number));
                froms.push(from.as_str());
                tos.push(to.as_str());
            }
        }
    }
    if !ids.is_empty() {
        let sql = "SELECT 1 FROM unnest($3::int4[], $4::text[]) u (type, id) \
                   CROSS JOIN LATERAL (SELECT FROM granary.resource r WHERE r.bucket = $1 AND r.source = $2 \
                   AND r.type = u.type AND r.id = u.id OFFSET 0) r LIMIT 1";
        let of = params![bucket_of(source), int4(source), types, ids];
        if session.query_opt(sql, of).await?.is_some() {
            return Err(Failure::Raced);
        }
    }
    if !froms.is_empty() {
        let sql = "SELECT 1 FROM unnest($3::int4[], $4::text[], $5::text[]) u (type, from_id, to_id) \
                   CROSS JOIN LATERAL (SELECT FROM granary.edge e WHERE e.bucket = $1 AND e.source = $2 \
                   AND e.type = u.type AND e.from_id = u.from_id AND e.to_id = u.to_id OFFSET 0) e LIMIT 1";
        let of = params![bucket_of(source), int4(source), edge_types, froms, tos];
        if session.query_opt(sql, of).await?.is_some() {
            return Err(Failure::Raced);
        }
    }
    Ok(())
}

/// The first of stamps for so many operations, which are larger than any before.
pub(crate) async fn next_stamps(session: &Session, operations: usize) -> Attempt<u64> {
    let runs = (operations as u64).div_ceil(STAMPS).max(1);
    let rows = session
        .query(
            "SELECT nextval('granary.stamp') FROM generate_series(1, $1::int8)",
            params![int8(runs)],
        )
        .await?;
    let stamps: Vec<u64> = rows.iter().map(|row| uint8(row.get(0))).collect();
    // Another node may have taken one between two of them.
    if !stamps.is_sorted_by(|one, next| next.checked_sub(*one) == Some(STAMPS)) {
        return Err(Failure::Raced);
    }
    Ok(stamps[0])
}

/// The places of the plan's records in the order of their keys.
fn in_order(plan: &Plan<'_>) -> Vec<usize> {
    let mut places: Vec<usize> = (0..plan.records().len()).collect();
    places.sort_unstable_by_key(|at| plan.records()[*at]);
    places
}

async fn lock_resources(
    session: &Session,
    source: u32,
    plan: &Plan<'_>,
    strength: Strength,
) -> Attempt<Vec<(usize, Head)>> {
    let (mut places, mut numbers, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for at in in_order(plan) {
        if let RecordKey::Resource { number, id } = plan.records()[at] {
            places.push(at);
            numbers.push(int4(number));
            ids.push(id.as_str());
        }
    }
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let sql = match strength {
        Strength::Kept => lock_resources!("FOR KEY SHARE"),
        Strength::Written => lock_resources!("FOR NO KEY UPDATE"),
        Strength::Deleted => lock_resources!("FOR UPDATE"),
    };
    let rows = session
        .query(sql, params![bucket_of(source), int4(source), numbers, ids])
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push((places[place_of(row)?], head_of(row, 1)?));
    }
    Ok(found)
}

async fn lock_edges(
    session: &Session,
    source: u32,
    plan: &Plan<'_>,
    types: &[TypeRef],
) -> Attempt<Vec<(usize, Head, bool)>> {
    let mut places = Vec::new();
    let (mut numbers, mut froms, mut tos) = (Vec::new(), Vec::new(), Vec::new());
    let (mut from_types, mut to_types) = (Vec::new(), Vec::new());
    for at in in_order(plan) {
        if let RecordKey::Relationship { number, from, to } = plan.records()[at] {
            let ends = ends_of(types, number)?;
            places.push(at);
            numbers.push(int4(number));
            froms.push(from.as_str());
            tos.push(to.as_str());
            from_types.push(int4(ends.from.number));
            to_types.push(int4(ends.to.number));
        }
    }
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let of = params![
        bucket_of(source),
        int4(source),
        numbers,
        froms,
        tos,
        from_types,
        to_types
    ];
    let rows = session.query(LOCK_EDGES, of).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push((
            places[place_of(row)?],
            head_of(row, 1)?,
            row.get(1 + HEAD_COLUMNS),
        ));
    }
    Ok(found)
}

async fn lock_neighbours(
    session: &Session,
    source: u32,
    plan: &Plan<'_>,
    types: &[TypeRef],
) -> Attempt<Vec<Vec<ResourceId>>> {
    let mut neighbours = vec![Vec::new(); plan.bounds().len()];
    for direction in [Direction::From, Direction::To] {
        let mut places = Vec::new();
        let (mut numbers, mut ids, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut from_types, mut to_types) = (Vec::new(), Vec::new());
        let mut bounds: Vec<_> = plan.bounds().enumerate().collect();
        bounds.sort_unstable_by_key(|(_, (end, _))| (end.number, end.id));
        for (at, (end, count)) in bounds {
            if end.direction == direction {
                let ends = ends_of(types, end.number)?;
                places.push(at);
                numbers.push(int4(end.number));
                ids.push(end.id.as_str());
                counts.push(count as i64);
                from_types.push(int4(ends.from.number));
                to_types.push(int4(ends.to.number));
            }
        }
        if places.is_empty() {
            continue;
        }
        let sql = match direction {
            Direction::From => lock_neighbours!("from_id", "to_id"),
            Direction::To => lock_neighbours!("to_id", "from_id"),
        };
        let of = params![
            bucket_of(source),
            int4(source),
            numbers,
            ids,
            counts,
            from_types,
            to_types
        ];
        for row in session.query(sql, of).await? {
            neighbours[places[place_of(&row)?]].push(parsed_id(row.get(1))?);
        }
    }
    Ok(neighbours)
}

/// Which row of what was asked for a row answers.
pub(crate) fn place_of(row: &Row) -> Result<usize> {
    let at: i64 = row.get(0);
    let place = at.checked_sub(1).and_then(|at| usize::try_from(at).ok());
    place.ok_or_else(|| damaged("the order of an answer"))
}
