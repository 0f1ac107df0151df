//! What is checked only is checked as what is stored: the two never disagree.

use bytes::Bytes;
use granary_core::decide::Verdict;
use granary_core::error::{ErrorObject, ErrorType};
use granary_core::limits::Limits;
use granary_core::operation::TargetType;
use granary_core::schema::DefinitionKind;
use granary_engine::{BulkRequest, BundleMode, Change, Expected, Intake, SingleWrite};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::world::{World, answer, key, options, request};

/// A source with orders that contain lines, and edges that have data.
async fn world() -> World {
    let world = World::with(Limits::default(), options()).await;
    let order = json!({
        "properties": {"name": {"type": "symbol", "rules": [{"required": true}]}, "count": {"type": "integer"}},
        "contained": {"lines": {"types": ["line"], "cardinality": "0:*"}, "note": {"types": ["part"], "cardinality": "0:1"}},
    });
    let line = json!({"type": "CONTAINED", "properties": {"price": {"type": "decimal"}}});
    let follows = json!({
        "from": {"profileKey": "order", "includeKey": "follows", "includeCardinality": "0:*"},
        "to": {"profileKey": "order", "includeKey": "followedBy", "includeCardinality": "0:1"},
        "properties": {"days": {"type": "integer", "rules": [{"min": 0}]}},
    });
    for (kind, name, definition) in [
        (DefinitionKind::Profile, "line", line),
        (DefinitionKind::Profile, "order", order),
        (DefinitionKind::RelationshipDefinition, "follows", follows),
    ] {
        world
            .define(&key("clinics"), kind, name, &definition)
            .await
            .unwrap();
    }
    world
}

/// Mostly the first, else one of the others.
fn mostly(right: impl Strategy<Value = Value> + 'static, wrong: Vec<Value>) -> impl Strategy<Value = Value> {
    prop_oneof![12 => right, 1 => prop::sample::select(wrong)]
}

fn id() -> impl Strategy<Value = Value> {
    mostly(
        prop::sample::select(vec!["a1", "a2", "a3"]).prop_map(Value::from),
        vec![json!("_"), json!(1), Value::Null],
    )
}

fn data() -> impl Strategy<Value = Value> {
    let count = mostly(
        any::<i8>().prop_map(Value::from),
        vec![json!("1"), json!(1.5), Value::Null],
    );
    let data = ("\\PC{0,6}", count).prop_map(|(name, count)| json!({"name": name, "count": count}));
    mostly(
        data,
        vec![json!({}), json!([]), json!({"name": "n", "nmae": 1}), Value::Null],
    )
}

fn contained() -> impl Strategy<Value = Value> {
    let line = mostly(
        prop::sample::select(vec![
            json!({"type": "line", "data": {"price": 1.10}}),
            json!({"id": "l1", "type": "line", "data": {}}),
        ]),
        vec![
            json!({"type": "line"}),
            json!({"type": "order", "data": {}}),
            json!({"type": "line", "data": {"price": "1"}}),
        ],
    );
    let note = json!({"type": "part", "data": {}});
    (prop::collection::vec(line, 0..3), 0..3_usize).prop_map(
        move |(lines, notes)| json!({"lines": lines, "note": vec![note.clone(); notes.saturating_sub(1)]}),
    )
}

/// The body of a create or an upsert of an order; the type is said where there is no path to say it.
fn order(type_said: bool) -> impl Strategy<Value = Value> {
    (prop::option::of(id()), data(), prop::option::of(contained())).prop_map(move |(id, data, contained)| {
        let mut order = json!({"data": data});
        if type_said {
            order["type"] = json!("order");
        }
        for (name, value) in [("id", id), ("contained", contained)] {
            if let Some(value) = value {
                order[name] = value;
            }
        }
        order
    })
}

fn edge(type_said: bool) -> impl Strategy<Value = Value> {
    let days = mostly(
        (0..9_i32).prop_map(|days| json!({"days": days})),
        vec![json!({"days": -1}), json!({"since": 1})],
    );
    (id(), id(), prop::option::of(days)).prop_map(move |(from, to, data)| {
        let end = |id: Value| json!({"type": "order", "id": id});
        let mut edge = json!({"from": end(from), "to": end(to)});
        if type_said {
            edge["type"] = json!("follows");
        }
        if let Some(data) = data {
            edge["data"] = data;
        }
        edge
    })
}

fn operation(payload: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    (payload, 0..3_u8).prop_map(|(payload, action)| match action {
        0 => json!({"action": "CREATE", "create": payload}),
        1 => json!({"action": "UPSERT", "upsert": payload}),
        _ => {
            let mut delete = payload;
            for content in ["data", "contained"] {
                delete.as_object_mut().unwrap().remove(content);
            }
            json!({"action": "DELETE", "delete": delete})
        }
    })
}

/// Runs a case for each of the inputs, all on one quiet store.
fn for_each<T: std::fmt::Debug>(input: impl Strategy<Value = T>, case: impl AsyncFn(&World, T)) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(world());
    let mut runner = TestRunner::new(Config::with_cases(200));
    let tried = runner.run(&input, |value| {
        runtime.block_on(case(&world, value));
        Ok(())
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
}

fn is_no_fault(error: &ErrorObject) {
    assert_ne!(error.error_type, ErrorType::InvalidArgument, "{error:?}");
}

async fn single(world: &World, write: SingleWrite) {
    let validated = world
        .engine
        .validate(world.engine.admit().unwrap(), write.clone())
        .await;
    let written = world.engine.write(world.engine.admit().unwrap(), write).await;
    match (validated, written) {
        (Ok(()), Ok(_)) => {}
        (Ok(()), Err(error)) => is_no_fault(&error),
        (Err(refused), written) => assert_eq!(Err(refused), written.map(|_| ())),
    }
}

fn write(target: TargetType, type_key: &str, change: Change) -> SingleWrite {
    SingleWrite {
        source: key("clinics"),
        target,
        type_key: type_key.to_owned(),
        change,
        expected: Expected::Anything,
        once: None,
    }
}

#[test]
fn what_is_valid_is_applied_as_a_single_write() {
    let body = |value: Value| Bytes::from(value.to_string());
    for_each(order(false), async |world, order| {
        single(
            world,
            write(TargetType::Resource, "order", Change::Create(body(order.clone()))),
        )
        .await;
        let id = "a2".parse().unwrap();
        single(
            world,
            write(TargetType::Resource, "order", Change::Upsert(id, body(order))),
        )
        .await;
    });
    for_each(edge(false), async |world, edge| {
        single(
            world,
            write(TargetType::Relationship, "follows", Change::Create(body(edge))),
        )
        .await;
    });
}

async fn bulk(world: &World, target: TargetType, operations: Vec<Value>) {
    let body = json!({"operations": operations}).to_string();
    let bulk = |validate_only| BulkRequest {
        target,
        validate_only,
        ..request("clinics")
    };
    let validated = world.bulk(bulk(true), &body).await.unwrap();
    match (validated, world.bulk(bulk(false), &body).await.unwrap()) {
        (Intake::Valid { count }, Intake::Accepted(task)) => {
            assert_eq!(count, operations.len() as u64);
            world.ended(&task).await;
            let receipts = world.receipts(&task).await;
            assert_eq!(receipts.len(), operations.len());
            receipts
                .iter()
                .filter_map(|receipt| receipt.error.as_ref())
                .for_each(is_no_fault);
        }
        (Intake::Rejected(validated), Intake::Rejected(sent)) => {
            assert_eq!(answer(*validated), answer(*sent));
        }
        differ => panic!("{differ:?}"),
    }
}

#[test]
fn what_is_valid_is_applied_as_a_bulk_request() {
    // One that is refused refuses all, so most are short.
    let some = |payload| prop::collection::vec(operation(payload), 1..6);
    for_each(some(order(true).boxed()), async |world, operations| {
        bulk(world, TargetType::Resource, operations).await;
    });
    for_each(some(edge(true).boxed()), async |world, operations| {
        bulk(world, TargetType::Relationship, operations).await;
    });
}

async fn bundle(world: &World, resources: Vec<Value>, relationships: Vec<Value>) {
    let sent = json!({"resourceOperations": resources, "relationshipOperations": relationships});
    let sent = Bytes::from(sent.to_string());
    let send = |mode| {
        let place = world.engine.admit().unwrap();
        let (source, sent) = (key("clinics"), sent.clone());
        async move { world.engine.bundle(place, &source, sent, mode, None).await }
    };
    let validated = send(BundleMode::ValidateOnly).await;
    let written = send(BundleMode::Write).await;
    match (validated, written) {
        (Ok(validated), Ok(written)) if validated.failure().is_none() => {
            let receipts = written.resources.iter().chain(&written.relationships);
            for receipt in receipts {
                if let Some(Verdict::Failure(error)) = &receipt.verdict {
                    is_no_fault(error);
                }
            }
        }
        (validated, written) => assert_eq!(validated, written),
    }
}

#[test]
fn what_is_valid_is_applied_as_a_bundle() {
    let resources = prop::collection::vec(operation(order(true).boxed()), 0..4);
    let relationships = prop::collection::vec(operation(edge(true).boxed()), 0..3);
    for_each(
        (resources, relationships),
        async |world, (resources, relationships)| {
            bundle(world, resources, relationships).await;
        },
    );
}
