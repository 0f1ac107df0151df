//! What goes with a deleted resource: its edges, removed with it or marked.

use std::collections::BTreeSet;

use granary_core::decide::{Decision, Head, Plan, RecordKey};
use granary_core::keys::ResourceId;
use granary_core::operation::TypeNumber;
use granary_store::Result;

use crate::current::{is_shown, parsed_id, place_of};
use crate::effects::{Effects, Place};
use crate::failure::Attempt;
use crate::session::{Session, params};
use crate::{bucket_of, int4, int8, uint4};

/// Deletes these edges; how many were there.
pub(crate) async fn delete_edges(
    session: &Session,
    source: u32,
    numbers: Vec<i32>,
    froms: Vec<&str>,
    tos: Vec<&str>,
) -> Attempt<u64> {
    let sql = "DELETE FROM granary.edge WHERE ctid = ANY (ARRAY(\
               SELECT e.ctid FROM unnest($3::int4[], $4::text[], $5::text[]) u (type, from_id, to_id) \
               CROSS JOIN LATERAL (SELECT e.ctid FROM granary.edge e WHERE e.bucket = $1 AND e.source = $2 \
               AND e.type = u.type AND e.from_id = u.from_id AND e.to_id = u.to_id FOR UPDATE) e)) \
               AND bucket + 0 = $1 AND source + 0 = $2";
    session
        .execute(sql, params![bucket_of(source), int4(source), numbers, froms, tos])
        .await
}

/// The edges at deleted resources, one resource after the other; at most so many of each, and of all. Nothing is sorted,
/// so it ends where there are enough.
const EDGES_AT: &str = concat!(
    "SELECT u.at, e.type, e.from_id, e.to_id FROM unnest($3::int4[], $4::text[]) WITH ORDINALITY u (type, id, at) \
     CROSS JOIN LATERAL (SELECT e.* FROM granary.definition d CROSS JOIN LATERAL (\
     (SELECT e.type, e.from_id, e.to_id FROM granary.edge e WHERE d.from_number = u.type AND e.bucket = $1 \
     AND e.source = $2 AND e.type = d.number AND e.from_id = u.id AND ",
    is_shown!("d.from_number", "d.to_number"),
    " LIMIT $5) UNION \
     (SELECT e.type, e.from_id, e.to_id FROM granary.edge e WHERE d.to_number = u.type AND e.bucket = $1 \
     AND e.source = $2 AND e.type = d.number AND e.to_id = u.id AND ",
    is_shown!("d.from_number", "d.to_number"),
    " LIMIT $5)) e WHERE d.bucket = $1 AND d.source = $2 LIMIT $5) e LIMIT $5"
);

/// Removes the stored edges of deleted resources, or marks these where they are too many. Records of the plan that went
/// are stored no more.
pub(crate) async fn cascade(
    session: &Session,
    place: &Place<'_>,
    plan: &Plan<'_>,
    decision: &Decision,
    stored: &mut [Option<Head>],
) -> Attempt<Effects> {
    let mut effects = Effects::default();
    let mut resources = Vec::new();
    for cascade in &decision.cascades {
        // One that was made and deleted by this chunk alone has edges of this chunk alone.
        if let (RecordKey::Resource { number, id }, Some(_)) =
            (plan.records()[cascade.record], &stored[cascade.record])
        {
            resources.push((number, id, cascade.stamp));
        }
    }
    if resources.is_empty() {
        return Ok(effects);
    }
    // Behind an older mark there may be any number of edges that are gone: it is moved, and nothing is looked at.
    let moved = mark(session, place, &resources, OnlyMarked::Yes).await?;
    effects.marked = !moved.is_empty();
    resources.retain(|(number, id, _)| !moved.iter().any(|(n, i)| n == number && i == *id));

    let numbers: Vec<i32> = resources.iter().map(|(number, ..)| int4(*number)).collect();
    let ids: Vec<&str> = resources.iter().map(|(_, id, _)| id.as_str()).collect();
    let one_too_many = place.cascade_max as i64 + 1;
    let of = params![
        bucket_of(place.source),
        int4(place.source),
        numbers,
        ids,
        one_too_many
    ];
    let rows = session.query(EDGES_AT, of).await?;
    let mut whole = resources.len();
    if rows.len() > place.cascade_max {
        // The edges of the one where it stopped, and of those behind it, were not all seen.
        let places: Vec<usize> = rows.iter().map(place_of).collect::<Result<_>>()?;
        whole = match places.is_sorted() {
            true => places.last().copied().unwrap_or_default(),
            // The database went another way: then it says nothing of any.
            false => 0,
        };
        mark(session, place, &resources[whole..], OnlyMarked::No).await?;
        effects.marked = true;
    }
    // In the order of their keys: two that delete ends of the same edges do not wait for each other.
    let mut gone = BTreeSet::new();
    for row in &rows {
        if place_of(row)? < whole {
            let number: TypeNumber = uint4(row.get(1));
            // Between two resources of one chunk it goes once.
            gone.insert((number, row.get::<_, &str>(2), row.get::<_, &str>(3)));
        }
    }
    if gone.is_empty() {
        return Ok(effects);
    }
    let numbers = gone.iter().map(|(number, ..)| int4(*number)).collect();
    let froms = gone.iter().map(|(_, from, _)| *from).collect();
    let tos = gone.iter().map(|(.., to)| *to).collect();
    effects.relationships = delete_edges(session, place.source, numbers, froms, tos).await?;
    for (key, row) in plan.records().iter().zip(stored) {
        if let RecordKey::Relationship { number, from, to } = *key
            && gone.contains(&(number, from.as_str(), to.as_str()))
        {
            *row = None;
        }
    }
    Ok(effects)
}

/// Which resources are marked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnlyMarked {
    /// Those that have a mark already.
    Yes,
    /// All.
    No,
}

/// Marks these resources from their stamps on; which were.
async fn mark(
    session: &Session,
    place: &Place<'_>,
    resources: &[(TypeNumber, &ResourceId, u64)],
    only_marked: OnlyMarked,
) -> Attempt<Vec<(TypeNumber, ResourceId)>> {
    let numbers: Vec<i32> = resources.iter().map(|(number, ..)| int4(*number)).collect();
    let ids: Vec<&str> = resources.iter().map(|(_, id, _)| id.as_str()).collect();
    let stamps: Vec<i64> = resources.iter().map(|(.., stamp)| int8(*stamp)).collect();
    let purge = place.purge.map(int8);
    // A purge that marked one before counts what is still there.
    let sql = match only_marked {
        OnlyMarked::Yes => {
            "UPDATE granary.mark m SET stamp = u.stamp, purge = coalesce($6, m.purge) \
             FROM unnest($3::int4[], $4::text[], $5::int8[]) u (type, id, stamp) \
             WHERE m.bucket = $1 AND m.source = $2 AND m.type = u.type AND m.id = u.id RETURNING m.type, m.id"
        }
        OnlyMarked::No => {
            "INSERT INTO granary.mark (bucket, source, type, id, stamp, purge) \
             SELECT $1, $2, u.type, u.id, u.stamp, $6 \
             FROM unnest($3::int4[], $4::text[], $5::int8[]) u (type, id, stamp) RETURNING type, id"
        }
    };
    let of = params![
        bucket_of(place.source),
        int4(place.source),
        numbers,
        ids,
        stamps,
        purge
    ];
    let rows = session.query(sql, of).await?;
    let marked = rows
        .iter()
        .map(|row| Ok((uint4(row.get(0)), parsed_id(row.get(1))?)));
    marked.collect()
}
