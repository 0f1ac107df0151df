//! Single writes.

use bytes::Bytes;
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::keys::ResourceId;
use granary_core::limits::Limits;
use granary_core::operation::RecordId;
use granary_core::schema::DefinitionKind;
use granary_engine::{Change, Persisted, WriteOutcome};
use serde_json::{Value, json};

use crate::world::{World, key};

fn id(raw: &str) -> ResourceId {
    raw.parse().unwrap()
}

async fn create(world: &World, of_type: &str, body: &Value) -> Result<Persisted, ErrorObject> {
    let body = Bytes::from(body.to_string());
    world.write_resource(of_type, Change::Create(body)).await
}

async fn upsert(world: &World, raw: &str, body: &Value) -> Result<Persisted, ErrorObject> {
    let body = Bytes::from(body.to_string());
    world
        .write_resource("provider", Change::Upsert(id(raw), body))
        .await
}

#[tokio::test]
async fn a_resource_is_created_replaced_and_deleted() {
    let world = World::at_rest(Limits::default()).await;
    let made = create(&world, "provider", &json!({"data": {"name": "A"}}))
        .await
        .unwrap();
    assert_eq!(made.outcome, WriteOutcome::Created);
    assert!(made.task_id.to_string().starts_with("s_"));
    let record = made.record.unwrap();
    assert_eq!((record.id.to_string().len(), record.head.version), (27, 1));

    let first = upsert(&world, "a1", &json!({"data": {"name": "A"}}))
        .await
        .unwrap();
    assert_eq!(first.outcome, WriteOutcome::Created);
    world.clock.advance(std::time::Duration::from_secs(1));
    let equal = upsert(&world, "a1", &json!({"data": {"name": "A"}}))
        .await
        .unwrap();
    assert_eq!(
        (equal.outcome, equal.record.unwrap().head.version),
        (WriteOutcome::Replaced, 1)
    );
    let second = upsert(&world, "a1", &json!({"data": {"name": "B"}}))
        .await
        .unwrap();
    assert_eq!(
        (second.outcome, second.record.unwrap().head.version),
        (WriteOutcome::Replaced, 2)
    );

    let taken = create(&world, "provider", &json!({"id": "a1", "data": {"name": "C"}}))
        .await
        .unwrap_err();
    assert_eq!(
        (taken.code, taken.message.as_str()),
        (409, "record with id 'a1' already exists")
    );

    let delete = || world.write_resource("provider", Change::Delete(RecordId::Resource(id("a1"))));
    let gone = delete().await.unwrap();
    assert_eq!((gone.outcome, gone.record), (WriteOutcome::Deleted, None));
    assert_eq!(delete().await.unwrap_err().error_type, ErrorType::NotFound);
}

#[tokio::test]
async fn an_edge_is_created_and_deleted() {
    let world = World::at_rest(Limits::default()).await;
    for raw in ["a1", "a2"] {
        upsert(&world, raw, &json!({"data": {"name": "A"}}))
            .await
            .unwrap();
    }
    let end = |id| json!({"id": id, "type": "provider"});
    let connect = |to: &'static str| {
        let body = Bytes::from(json!({"from": end("a1"), "to": end(to)}).to_string());
        world.write_edge("worksWith", Change::Create(body))
    };
    let made = connect("a2").await.unwrap();
    assert_eq!(made.record.unwrap().id.to_string(), "a1.a2");
    assert_eq!(connect("a2").await.unwrap_err().code, 409);
    assert_eq!(connect("a3").await.unwrap_err().code, 404);
    let edge = RecordId::Relationship {
        from: id("a1"),
        to: id("a2"),
    };
    let gone = world.write_edge("worksWith", Change::Delete(edge)).await;
    assert_eq!(gone.unwrap().outcome, WriteOutcome::Deleted);
}

#[tokio::test]
async fn a_type_that_cannot_stand_in_the_path_is_not_found() {
    let world = World::at_rest(Limits::default()).await;
    for of_type in ["nothing", "part", "worksWith"] {
        let error = create(&world, of_type, &json!({"data": {}})).await.unwrap_err();
        assert_eq!(
            (error.code, error.message),
            (404, format!("resource type '{of_type}' does not exist"))
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_told_by_its_path() {
    let world = World::at_rest(Limits::default()).await;
    let error = upsert(&world, "a1", &json!({"data": {"name": 1, "practiceNumber": "x"}}))
        .await
        .unwrap_err();
    let paths: Vec<_> = error
        .details
        .iter()
        .map(|detail| detail.path.as_deref().unwrap())
        .collect();
    assert_eq!(paths, ["/data/name", "/data/practiceNumber"]);
    let body = Bytes::from_static(b"\xEF\xBB\xBF{\"data\" 1}");
    let error = world
        .write_resource("provider", Change::Create(body))
        .await
        .unwrap_err();
    assert!(
        error.message.starts_with("the body is not JSON at byte 11: "),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let body = json!({"data": {"name": "x".repeat(100_000)}}).to_string();
    for (limit, fits) in [(body.len(), true), (body.len() - 1, false)] {
        let limits = Limits {
            single_body_bytes: limit as u64,
            ..Limits::default()
        };
        let world = World::at_rest(limits).await;
        let outcome = world.write_resource("provider", Change::Create(Bytes::from(body.clone())));
        assert_eq!(
            outcome.await.map_err(|error| error.code).err(),
            (!fits).then_some(413)
        );
    }
}

#[tokio::test]
async fn a_write_is_judged_by_the_definitions_in_force() {
    let world = World::at_rest(Limits::default()).await;
    let body = json!({"data": {"name": "A", "nick": "a"}});
    assert_eq!(upsert(&world, "a1", &body).await.unwrap_err().code, 400);
    // Changed by somebody else, whom this engine does not know of.
    let other = crate::world::World {
        engine: granary_engine::Engine::start(
            world.store.clone(),
            world.clock.clone(),
            Limits::default(),
            granary_engine::EngineOptions {
                workers: 0,
                ..Default::default()
            },
        ),
        store: world.store.clone(),
        clock: world.clock.clone(),
    };
    let with_nick = json!({"properties": {"name": {"type": "symbol"}, "nick": {"type": "symbol"}}});
    other
        .define(&key("clinics"), DefinitionKind::Profile, "provider", &with_nick)
        .await
        .unwrap();
    assert!(upsert(&world, "a1", &body).await.is_ok());
    let without = json!({"properties": {"name": {"type": "symbol"}}});
    other
        .define(&key("clinics"), DefinitionKind::Profile, "provider", &without)
        .await
        .unwrap();
    assert_eq!(upsert(&world, "a1", &body).await.unwrap_err().code, 400);
}

#[tokio::test]
async fn a_write_that_has_begun_ends_though_nobody_waits() {
    let world = World::at_rest(Limits::default()).await;
    let body = Bytes::from(json!({"data": {"name": "A"}}).to_string());
    let a1 = id("a1");
    let mut write = Box::pin(world.write_resource("provider", Change::Upsert(a1.clone(), body)));
    assert!(futures::poll!(&mut write).is_pending());
    drop(write);
    world.engine.stop().await;
    let stored = world.record("clinics", "provider", &RecordId::Resource(a1)).await;
    assert!(stored.is_some());
}
