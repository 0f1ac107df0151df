use serde_json::{Value, json};

use crate::world::{BULK, World, create, create_edge, refers_to};

const V1: &str = "/sources/clinics/v1";

/// A task of five operations, of which the second and the fourth fail.
async fn five(world: &World) -> String {
    let ids = ["a1", "a1", "a2", "a2", "a3"];
    let id = world
        .carried_out(BULK, ids.iter().map(|id| create(id, "Ada")).collect())
        .await;
    format!("{V1}/tasks/{id}/operations")
}

#[tokio::test]
async fn operations_are_answered_in_pages_and_lines() {
    let world = World::new().await;
    let operations = five(&world).await;
    insta::assert_snapshot!(world.get(&format!("{operations}?limit=2")).await, @r#"
    200
    link: </sources/clinics/v1/tasks/bk_[id]/operations?limit=2&cursor=[cursor]>; rel="next"
    {"data":[{"index":0,"status":"SUCCESS","operation":{"action":"CREATE","create":{"id":"a1","type":"provider","data":{"name":"Ada"}}}},{"index":1,"status":"FAILURE","operation":{"action":"CREATE","create":{"id":"a1","type":"provider","data":{"name":"Ada"}}}}],"meta":{"cursor":"[cursor]"}}
    "#);
    insta::assert_snapshot!(world.get_lines(&format!("{operations}?status=FAILURE")).await, @r#"
    200
    content-type: application/x-ndjson
    {"index":1,"status":"FAILURE","operation":{"action":"CREATE","create":{"id":"a1","type":"provider","data":{"name":"Ada"}}}}
    {"index":3,"status":"FAILURE","operation":{"action":"CREATE","create":{"id":"a2","type":"provider","data":{"name":"Ada"}}}}
    "#);
    insta::assert_snapshot!(world.get_lines(&format!("{operations}?status=FAILURE&limit=1")).await, @r#"
    200
    content-type: application/x-ndjson
    {"index":1,"status":"FAILURE","operation":{"action":"CREATE","create":{"id":"a1","type":"provider","data":{"name":"Ada"}}}}
    "#);
}

#[tokio::test]
async fn pages_walk_the_operations_exactly_once() {
    let world = World::new().await;
    let operations = five(&world).await;
    for (query, expected) in [
        ("", &["0", "1", "2", "3", "4"][..]),
        ("status=SUCCESS&", &["0", "2", "4"]),
        ("status=FAILURE&", &["1", "3"]),
        ("status=PENDING&", &[]),
        ("from=3&", &["3", "4"]),
        ("from=2&status=FAILURE&", &["3"]),
        ("from=5&", &[]),
        ("from=18446744073709551615&", &[]),
    ] {
        for limit in 1..=6 {
            let found = world
                .walk(&format!("{operations}?{query}limit={limit}"), "index")
                .await;
            assert_eq!(found, expected, "{query}{limit}");
        }
        let lines = world
            .get_lines(&format!("{operations}?{}", query.trim_end_matches('&')))
            .await;
        assert_eq!(lines.lines().skip(2).count(), expected.len(), "{query}");
    }
}

#[tokio::test]
async fn what_is_read_back_can_be_sent_again() {
    let world = World::at_rest().await;
    let mut imported = create("b1", "Bea");
    imported["create"]["meta"] = json!({
        "createdAt": "2001-02-03T04:05:06.000Z", "updatedAt": "2002-02-03T04:05:06.000Z",
        "identifier": [{"system": "urn:a\"b", "value": "1", "use": "official"}],
    });
    let nameless = json!({"action": "CREATE", "create": {"type": "provider", "data": {"name": "Zoë \"Z\""}}});
    let sent = json!([
        imported, nameless,
        {"action": "UPSERT", "upsert": {"id": "b1", "type": "provider", "data": {"name": "Bee"}}},
        {"action": "DELETE", "delete": {"id": "b1", "type": "provider"}},
    ]);
    let id = world.accepted(BULK, sent.clone()).await;
    let page = world.read(&format!("{V1}/tasks/{id}/operations")).await;
    let mut read: Vec<Value> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["operation"].clone())
        .collect();
    let again = world
        .post(&format!("{BULK}?validateOnly=true"), &json!({"operations": read}))
        .await;
    assert!(again.starts_with("200"), "{again}");
    let made = read[1]["create"].as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(made.as_str().unwrap().len(), 27);
    assert_eq!(Value::from(read), sent);

    let edges =
        json!([create_edge("b1", "b2"), {"action": "DELETE", "delete": {"type": "refersTo", "id": "b1.b2"}}]);
    let bulk = format!("{V1}/relationships/bulk");
    world
        .put(&format!("{V1}/relationship-definitions/refersTo"), &refers_to())
        .await;
    let id = world.accepted(&bulk, edges.clone()).await;
    let page = world.read(&format!("{V1}/tasks/{id}/operations")).await;
    let read: Vec<Value> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["operation"].clone())
        .collect();
    let again = world
        .post(&format!("{bulk}?validateOnly=true"), &json!({"operations": read}))
        .await;
    assert!(again.starts_with("200"), "{again}");
    for (read, sent) in read.iter().zip(edges.as_array().unwrap()) {
        assert_eq!(read["action"], sent["action"]);
        assert_eq!(read["create"]["from"]["id"], sent["create"]["from"]["id"]);
        assert_eq!(read["delete"], sent["delete"]);
    }
}

#[tokio::test]
async fn many_large_operations_are_read_in_more_pages_than_asked_for() {
    let world = World::at_rest().await;
    let name = "n".repeat(5 << 20);
    let sent: Vec<Value> = (0..4).map(|at| create(&format!("l{at}"), &name)).collect();
    let id = world.accepted(BULK, sent.into()).await;
    let operations = format!("{V1}/tasks/{id}/operations");
    let page = world.read(&operations).await;
    assert_eq!(page["data"].as_array().unwrap().len(), 2);
    assert_eq!(world.walk(&operations, "index").await, ["0", "1", "2", "3"]);
    assert_eq!(world.get_lines(&operations).await.lines().count(), 2 + 4);
}

#[tokio::test]
async fn operations_go_on_where_the_first_is_told_again() {
    let world = World::new().await;
    let operations = five(&world).await;
    let page = world.read(&format!("{operations}?limit=1&from=1")).await;
    let cursor = page["meta"]["cursor"].as_str().unwrap();
    let next = world
        .read(&format!("{operations}?limit=1&from=1&cursor={cursor}"))
        .await;
    assert_eq!(next["data"][0]["index"], 2);
    let past = world.get(&format!("{operations}?from=3&cursor={cursor}")).await;
    assert!(past.contains("OUT_OF_RANGE"), "{past}");
}

#[tokio::test]
async fn what_operations_do_not_know_is_refused() {
    let world = World::new().await;
    let operations = five(&world).await;
    for (query, code) in [
        ("limit=0", 400),
        ("limit=1001", 400),
        ("from=-1", 400),
        ("status=FAILED", 400),
        ("cursor=x", 400),
    ] {
        for answer in [
            world.get(&format!("{operations}?{query}")).await,
            world.get_lines(&format!("{operations}?{query}")).await,
        ] {
            assert!(
                answer.starts_with(&format!("{code}\n{{\"code\":{code}")),
                "{query}: {answer}"
            );
        }
    }
    let missing = world.get(&format!("{V1}/tasks/bk_nothing/operations")).await;
    assert!(missing.starts_with("404"), "{missing}");
}

#[tokio::test]
async fn a_write_applied_at_once_has_operations_that_say_what_is_gone() {
    let world = World::new().await;
    world
        .put(
            &format!("{V1}/resources/provider/s1"),
            &json!({"data": {"name": "Ada"}}),
        )
        .await;
    let tasks = world.read(&format!("{V1}/tasks?kind=SINGLE")).await;
    let id = tasks["data"][0]["taskId"].as_str().unwrap();
    for answer in [
        world.get(&format!("{V1}/tasks/{id}/operations")).await,
        world.get_lines(&format!("{V1}/tasks/{id}/operations")).await,
    ] {
        assert!(answer.starts_with("410\n"), "{answer}");
        assert!(answer.contains("are kept no longer"), "{answer}");
    }
    world.delete(&format!("{V1}/resources/provider/s1")).await;
    let tasks = world.read(&format!("{V1}/tasks?kind=SINGLE")).await;
    let id = tasks["data"][0]["taskId"].as_str().unwrap();
    let page = world.read(&format!("{V1}/tasks/{id}/operations")).await;
    assert_eq!(
        page["data"][0]["operation"],
        json!({"action": "DELETE", "delete": {"id": "s1", "type": "provider"}})
    );
}
