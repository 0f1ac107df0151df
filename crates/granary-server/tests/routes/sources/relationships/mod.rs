mod bulk;
mod includes;
mod patch;

use serde_json::{Value, json};

use crate::world::{BULK, EDGES, World, create, create_edge};

fn edge(from: &str, to: &str) -> Value {
    let end = |id: &str| json!({"type": "provider", "id": id});
    json!({"from": end(from), "to": end(to), "data": {"since": "2020-02"}})
}

async fn world_of_three() -> World {
    let world = World::new().await;
    let three = json!([create("ada", "Ada"), create("bob", "Bob"), create("cyd", "Cyd")]);
    world.carried_out(BULK, three).await;
    world
}

#[tokio::test]
async fn an_edge_is_created_read_and_deleted() {
    let world = world_of_three().await;
    insta::assert_snapshot!(world.post(EDGES, &edge("ada", "bob")).await, @r#"
    201
    location: /sources/clinics/v1/relationships/refersTo/ada.bob
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","relationship":{"id":"ada.bob","type":"refersTo","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"data":{"since":"2020-02"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}}
    "#);
    insta::assert_snapshot!(world.get(&format!("{EDGES}/ada.bob")).await, @r#"
    200
    etag: "[tag]"
    {"id":"ada.bob","type":"refersTo","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"data":{"since":"2020-02"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}
    "#);
    insta::assert_snapshot!(world.post(EDGES, &edge("ada", "bob")).await, @r#"
    409
    {"code":409,"type":"ALREADY_EXISTS","message":"record with id 'ada.bob' already exists"}
    "#);
    insta::assert_snapshot!(world.delete(&format!("{EDGES}/ada.bob")).await, @r#"
    200
    {"taskId":"s_[id]","status":"PERSISTED"}
    "#);
    insta::assert_snapshot!(world.delete(&format!("{EDGES}/ada.bob")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"record with id 'ada.bob' does not exist"}
    "#);
    insta::assert_snapshot!(world.get(&format!("{EDGES}/ada.bob")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no edge 'refersTo' with id 'ada.bob'"}
    "#);
}

#[tokio::test]
async fn an_edge_has_a_direction() {
    let world = world_of_three().await;
    world.post(EDGES, &edge("ada", "bob")).await;
    assert!(world.get(&format!("{EDGES}/bob.ada")).await.starts_with("404"));
    assert!(world.post(EDGES, &edge("bob", "ada")).await.starts_with("201"));
    assert!(world.post(EDGES, &edge("ada", "ada")).await.starts_with("201"));
}

#[tokio::test]
async fn an_edge_needs_both_its_ends() {
    let world = world_of_three().await;
    insta::assert_snapshot!(world.post(EDGES, &edge("ada", "eve")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"to: resource of type 'provider' with id 'eve' does not exist"}
    "#);
    insta::assert_snapshot!(world.post(EDGES, &json!({"from": {"id": "ada", "type": "nurse"}, "too": 1})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"3 faults, the first at /too: member 'too' is not known, did you mean 'to'?","details":[{"type":"INVALID_ARGUMENT","message":"member 'too' is not known, did you mean 'to'?","path":"/too","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"'to' is required","path":"/to","rule":"required"},{"type":"INVALID_ARGUMENT","message":"is 'nurse', this end of the relationship type is 'provider'","path":"/from/type","rule":"type"}]}
    "#);
}

#[tokio::test]
async fn an_edge_past_the_cardinality_is_refused() {
    let world = world_of_three().await;
    let mut one = crate::world::refers_to();
    one["from"]["includeCardinality"] = json!("0:1");
    world
        .put("/sources/clinics/v1/relationship-definitions/refersTo", &one)
        .await;
    world.post(EDGES, &edge("ada", "bob")).await;
    insta::assert_snapshot!(world.post(EDGES, &edge("ada", "cyd")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"from: resource of type 'provider' with id 'ada' has its one edge of type 'refersTo' already, with 'bob'; delete that edge first"}
    "#);
}

#[tokio::test]
async fn an_edge_goes_with_its_end() {
    let world = world_of_three().await;
    world.post(EDGES, &edge("ada", "bob")).await;
    world.post(EDGES, &edge("bob", "cyd")).await;
    world.post(EDGES, &edge("cyd", "ada")).await;
    world.delete("/sources/clinics/v1/resources/provider/bob").await;
    assert_eq!(world.walk(EDGES, "id").await, [r#""cyd.ada""#]);
}

#[tokio::test]
async fn a_definition_that_is_not_there_is_not_found() {
    let world = world_of_three().await;
    let path = "/sources/clinics/v1/relationships/covers";
    insta::assert_snapshot!(world.get(path).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no relationship definition 'covers'"}
    "#);
    for answer in [
        world.get_lines(path).await,
        world.get(&format!("{path}/ada.bob")).await,
        world.post(path, &edge("ada", "bob")).await,
        world.delete(&format!("{path}/ada.bob")).await,
        world.get("/sources/clinics/v1/relationships/provider").await,
    ] {
        assert!(
            answer.starts_with("404\n{\"code\":404,\"type\":\"NOT_FOUND\""),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn edges_are_listed_whole_or_of_one_end() {
    let world = world_of_three().await;
    for (from, to) in [("cyd", "ada"), ("ada", "bob"), ("ada", "cyd"), ("bob", "ada")] {
        world.post(EDGES, &edge(from, to)).await;
    }
    insta::assert_snapshot!(world.get("/sources/clinics/v1/relationships/refersTo?limit=1&from=ada").await, @r#"
    200
    link: </sources/clinics/v1/relationships/refersTo?limit=1&from=ada&cursor=[cursor]>; rel="next"
    {"data":[{"id":"ada.bob","type":"refersTo","from":{"id":"ada","type":"provider"},"to":{"id":"bob","type":"provider"},"data":{"since":"2020-02"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}],"meta":{"cursor":"[cursor]"}}
    "#);
    insta::assert_snapshot!(world.get_lines("/sources/clinics/v1/relationships/refersTo?to=ada").await, @r#"
    200
    content-type: application/x-ndjson
    {"id":"bob.ada","type":"refersTo","from":{"id":"bob","type":"provider"},"to":{"id":"ada","type":"provider"},"data":{"since":"2020-02"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}
    {"id":"cyd.ada","type":"refersTo","from":{"id":"cyd","type":"provider"},"to":{"id":"ada","type":"provider"},"data":{"since":"2020-02"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/relationships/refersTo?from=_").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"id '_' is not valid: an id has 2 to 93 of the characters A-Z a-z 0-9 _ - and does not start with _"}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/relationships/refersTo?from=eve").await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
    for (query, expected) in [
        ("", &["ada.bob", "ada.cyd", "bob.ada", "cyd.ada"][..]),
        ("from=ada&", &["ada.bob", "ada.cyd"]),
        ("to=ada&", &["bob.ada", "cyd.ada"]),
        ("from=ada&to=cyd&", &["ada.cyd"]),
    ] {
        for limit in 1..=5 {
            let found = world.walk(&format!("{EDGES}?{query}limit={limit}"), "id").await;
            let expected: Vec<String> = expected.iter().map(|id| format!("{id:?}")).collect();
            assert_eq!(found, expected, "{query}");
        }
    }
}

#[tokio::test]
async fn an_edge_is_checked_and_not_stored_where_that_is_asked_for() {
    let world = World::new().await;
    let check = format!("{EDGES}?validateOnly=true");
    // Whether its ends exist is decided when it is stored.
    insta::assert_snapshot!(world.post(&check, &edge("ada", "bob")).await, @r#"
    200
    {"status":"VALID","count":1}
    "#);
    let mut bad = edge("ada", "bob");
    bad["data"]["since"] = json!("yesterday");
    insta::assert_snapshot!(world.post(&check, &bad).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"/data/since: 'yesterday': a date is YYYY, YYYY-MM or YYYY-MM-DD, and a real one","details":[{"type":"INVALID_ARGUMENT","message":"'yesterday': a date is YYYY, YYYY-MM or YYYY-MM-DD, and a real one","path":"/data/since","rule":"type"}]}
    "#);
    assert!(world.get(&format!("{EDGES}/ada.bob")).await.starts_with("404\n"));
}

#[tokio::test]
async fn a_stream_of_edges_has_all_of_them_once() {
    let world = World::new().await;
    let people: Vec<String> = (0..46).map(|n| format!("p{n:02}")).collect();
    let creates: Vec<Value> = people.iter().map(|id| create(id, "A")).collect();
    world.carried_out(BULK, creates.into()).await;
    let pairs = people
        .iter()
        .flat_map(|from| people.iter().map(move |to| (from, to)));
    let pairs: Vec<_> = pairs.take(2_001).collect();
    let creates: Vec<Value> = pairs.iter().map(|(from, to)| create_edge(from, to)).collect();
    world
        .carried_out("/sources/clinics/v1/relationships/bulk", creates.into())
        .await;
    let lines = world.get_lines(EDGES).await;
    let ids: Vec<Value> = lines
        .lines()
        .skip(2)
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    let expected: Vec<Value> = pairs
        .iter()
        .map(|(from, to)| json!(format!("{from}.{to}")))
        .collect();
    assert_eq!(ids, expected);
    let some = world.get_lines(&format!("{EDGES}?limit=1000")).await;
    assert_eq!(some.lines().count(), 2 + 1_000);
}
