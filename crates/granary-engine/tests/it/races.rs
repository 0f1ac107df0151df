//! Many callers at once for one thing: exactly one of them has it.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use granary_core::error::ErrorObject;
use granary_core::limits::Limits;
use granary_core::operation::{RecordId, TargetType};
use granary_core::schema::DefinitionKind;
use granary_engine::{Change, Expected, PartChange, Persisted};
use serde_json::{Value, json};

use crate::world::{World, key};

/// As many as may be in flight at once.
const CALLERS: usize = 64;

fn body(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn resource(id: &str) -> RecordId {
    RecordId::Resource(id.parse().unwrap())
}

fn upsert(id: &str, name: &str) -> Change {
    Change::Upsert(id.parse().unwrap(), body(&json!({"data": {"name": name}})))
}

/// Starts all of these at once and waits for them.
async fn all<F>(calls: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let started: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    join_all(started).await.into_iter().map(Result::unwrap).collect()
}

/// One of these persisted, and all others were refused with this code.
fn one_of(outcomes: &[Result<Persisted, ErrorObject>], refused_with: u16) {
    let persisted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let codes: Vec<u16> = outcomes
        .iter()
        .filter_map(|outcome| Some(outcome.as_ref().err()?.code))
        .collect();
    assert_eq!((persisted, codes), (1, vec![refused_with; outcomes.len() - 1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_creates_of_one_id_one_persists() {
    let world = Arc::new(World::at_rest(Limits::default()).await);
    let outcomes = all((0..CALLERS).map(|n| {
        let world = Arc::clone(&world);
        let create = json!({"id": "a1", "data": {"name": n.to_string()}});
        async move {
            world
                .write_resource("provider", Change::Create(body(&create)))
                .await
        }
    }))
    .await;
    one_of(&outcomes, 409);
    let winner = outcomes.into_iter().find_map(Result::ok).unwrap().record;
    assert_eq!(world.record("clinics", "provider", &resource("a1")).await, winner);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_writes_that_expect_one_state_one_persists() {
    let world = Arc::new(World::at_rest(Limits::default()).await);
    let first = world.write_resource("provider", upsert("a1", "A")).await.unwrap();
    let mut expected = Expected::OneOf(vec![first.tag.unwrap()]);
    for round in 0..5 {
        let outcomes = all((0..CALLERS).map(|n| {
            let (world, expected) = (Arc::clone(&world), expected.clone());
            async move {
                let change = upsert("a1", &format!("{round} {n}"));
                world
                    .write(TargetType::Resource, "provider", change, expected)
                    .await
            }
        }))
        .await;
        one_of(&outcomes, 412);
        let winner = outcomes.into_iter().find_map(Result::ok).unwrap();
        assert_eq!(winner.record.unwrap().head.version, round + 2);
        expected = Expected::OneOf(vec![winner.tag.unwrap()]);
    }
    let outcomes = all((0..CALLERS).map(|_| {
        let (world, expected) = (Arc::clone(&world), expected.clone());
        let change = Change::Delete(resource("a1"));
        async move {
            world
                .write(TargetType::Resource, "provider", change, expected)
                .await
        }
    }))
    .await;
    one_of(&outcomes, 412);
    let outcomes = all((0..CALLERS).map(|n| {
        let world = Arc::clone(&world);
        let change = upsert("a1", &n.to_string());
        async move {
            world
                .write(TargetType::Resource, "provider", change, Expected::Absent)
                .await
        }
    }))
    .await;
    one_of(&outcomes, 412);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_edges_for_one_place_one_persists() {
    let world = Arc::new(World::at_rest(Limits::default()).await);
    let led_by = json!({
        "from": {"profileKey": "provider", "includeKey": "ledBy", "includeCardinality": "0:1"},
        "to": {"profileKey": "provider", "includeKey": "leads", "includeCardinality": "0:*"},
    });
    let kind = DefinitionKind::RelationshipDefinition;
    world
        .define(&key("clinics"), kind, "ledBy", &led_by)
        .await
        .unwrap();
    for n in 0..CALLERS {
        world
            .write_resource("provider", upsert(&format!("p{n}"), "A"))
            .await
            .unwrap();
    }
    let outcomes = all((0..CALLERS).map(|n| {
        let world = Arc::clone(&world);
        let end = |id: &str| json!({"id": id, "type": "provider"});
        let edge = json!({"from": end("p0"), "to": end(&format!("p{n}"))});
        async move { world.write_edge("ledBy", Change::Create(body(&edge))).await }
    }))
    .await;
    one_of(&outcomes, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_definitions_that_expect_one_state_one_is_stored() {
    let world = Arc::new(World::at_rest(Limits::default()).await);
    let put = |n: usize, expected| {
        let world = Arc::clone(&world);
        async move {
            let profile = json!({"description": n.to_string(), "properties": {}});
            let kind = DefinitionKind::Profile;
            let (source, name) = (key("clinics"), key("ward"));
            world
                .engine
                .put_definition(&source, kind, &name, body(&profile), expected)
                .await
        }
    };
    let mut expected = Expected::Absent;
    for round in 1..=3 {
        let outcomes = all((0..8).map(|n| put(n, expected.clone()))).await;
        let stored: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.as_ref().ok())
            .collect();
        let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
        assert!(refused.map(|error| error.code).all(|code| code == 412));
        assert_eq!(stored.len(), 1);
        assert_eq!(stored[0].definition.revision, round);
        expected = Expected::OneOf(vec![stored[0].tag.clone()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_patch_of_many_is_lost() {
    let world = Arc::new(World::at_rest(Limits::default()).await);
    let edge = counted_edge(&world).await;
    let patch = |n: usize, expected: Expected| {
        let (world, edge) = (Arc::clone(&world), edge.clone());
        let patch = json!([{"op": "add", "path": "/callers/-", "value": n}]);
        async move {
            let change = Change::Patch(edge, body(&patch));
            world
                .write(TargetType::Relationship, "counts", change, expected)
                .await
        }
    };
    for outcome in all((0..CALLERS).map(|n| patch(n, Expected::Anything))).await {
        outcome.unwrap();
    }
    let record = RecordId::Relationship {
        from: edge.from.clone(),
        to: edge.to.clone(),
    };
    let stored = world.record("clinics", "counts", &record).await.unwrap();
    assert_eq!(stored.head.version as usize, 1 + CALLERS);
    let stored: Value = serde_json::from_slice(&stored.body).unwrap();
    let mut callers: Vec<u64> = stored["data"]["callers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap())
        .collect();
    callers.sort_unstable();
    assert_eq!(callers, (0..CALLERS as u64).collect::<Vec<_>>());
    // Where all expect the state that they have read, one persists.
    let tag = patch(0, Expected::Anything).await.unwrap().tag.unwrap();
    let outcomes = all((0..CALLERS).map(|n| patch(n, Expected::OneOf(vec![tag.clone()])))).await;
    one_of(&outcomes, 412);
}

/// An edge whose data has a list of callers.
async fn counted_edge(world: &World) -> granary_core::keys::RelationshipId {
    let counts = json!({
        "from": {"profileKey": "provider", "includeKey": "counts", "includeCardinality": "0:*"},
        "to": {"profileKey": "provider", "includeKey": "countedBy", "includeCardinality": "0:*"},
        "properties": {"callers": {"type": "array", "items": {"type": "integer"}}},
    });
    let kind = DefinitionKind::RelationshipDefinition;
    world
        .define(&key("clinics"), kind, "counts", &counts)
        .await
        .unwrap();
    for id in ["p1", "p2"] {
        world.write_resource("provider", upsert(id, "A")).await.unwrap();
    }
    let end = |id: &str| json!({"id": id, "type": "provider"});
    let edge = json!({"from": end("p1"), "to": end("p2"), "data": {"callers": []}});
    world
        .write_edge("counts", Change::Create(body(&edge)))
        .await
        .unwrap();
    "p1.p2".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_contained_resource_of_many_is_lost() {
    let world = Arc::new(World::at_rest(Limits::default()).await);
    let order = json!({"properties": {}, "contained": {
        "parts": {"types": ["part"], "cardinality": "0:*"}, "main": {"types": ["part"], "cardinality": "0:1"},
    }});
    world
        .define(&key("clinics"), DefinitionKind::Profile, "order", &order)
        .await
        .unwrap();
    let root: granary_core::keys::ResourceId = "o1".parse().unwrap();
    let empty = Change::Upsert(root.clone(), body(&json!({"data": {}})));
    world.write_resource("order", empty).await.unwrap();
    let add = |path: &'static str, part: Value| {
        let (world, root) = (Arc::clone(&world), root.clone());
        async move {
            let path = granary_core::contained::ContainedPath::parse(path).unwrap();
            let change = Change::Contained(root, path, PartChange::Add(body(&part)));
            world.write_resource("order", change).await
        }
    };
    let part = |n: usize| json!({"id": format!("p{n:02}"), "type": "part", "data": {}});
    for outcome in all((0..CALLERS).map(|n| add("parts", part(n)))).await {
        outcome.unwrap();
    }
    let stored = world.record("clinics", "order", &resource("o1")).await.unwrap();
    let stored: Value = serde_json::from_slice(&stored.body).unwrap();
    let parts = stored["contained"]["parts"].as_array().unwrap();
    let mut ids: Vec<&str> = parts.iter().map(|part| part["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..CALLERS).map(|n| format!("p{n:02}")).collect::<Vec<_>>());
    // One id, or one place, has room for one of them.
    one_of(&all((0..CALLERS).map(|_| add("parts", part(99)))).await, 409);
    one_of(&all((0..CALLERS).map(|n| add("main", part(n + 100)))).await, 400);
}
