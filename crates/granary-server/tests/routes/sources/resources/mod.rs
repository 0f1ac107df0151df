mod bulk;
mod contained;
mod csv;

use serde_json::json;

use crate::world::{BULK, PROVIDERS, World, create};

#[tokio::test]
async fn a_resource_is_created_and_read() {
    let world = World::new().await;
    let ada = json!({"id": "ada", "data": {"name": "Ada", "practiceNumber": 7}});
    insta::assert_snapshot!(world.post(PROVIDERS, &ada).await, @r#"
    201
    location: /sources/clinics/v1/resources/provider/ada
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"ada","type":"provider","data":{"name":"Ada","practiceNumber":7},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}}
    "#);
    insta::assert_snapshot!(world.get(&format!("{PROVIDERS}/ada")).await, @r#"
    200
    etag: "[tag]"
    {"id":"ada","type":"provider","data":{"name":"Ada","practiceNumber":7},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}
    "#);
    insta::assert_snapshot!(world.post(PROVIDERS, &ada).await, @r#"
    409
    {"code":409,"type":"ALREADY_EXISTS","message":"record with id 'ada' already exists"}
    "#);
}

#[tokio::test]
async fn a_resource_without_an_id_gets_one() {
    let world = World::new().await;
    insta::assert_snapshot!(world.post(PROVIDERS, &json!({"data": {"name": "Ada"}})).await, @r#"
    201
    location: /sources/clinics/v1/resources/provider/[id]
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"[id]","type":"provider","data":{"name":"Ada"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}}
    "#);
}

#[tokio::test]
async fn a_resource_is_created_by_its_path_then_replaced_then_left_as_it_is() {
    let world = World::new().await;
    let put = |number: u32| {
        let body = json!({"data": {"name": "Ada", "practiceNumber": number}});
        let world = &world;
        async move { world.put(&format!("{PROVIDERS}/ada"), &body).await }
    };
    insta::assert_snapshot!(put(7).await, @r#"
    201
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"ada","type":"provider","data":{"name":"Ada","practiceNumber":7},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}}
    "#);
    insta::assert_snapshot!(put(8).await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"ada","type":"provider","data":{"name":"Ada","practiceNumber":8},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":2}}}
    "#);
    insta::assert_snapshot!(put(8).await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"ada","type":"provider","data":{"name":"Ada","practiceNumber":8},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":2}}}
    "#);
}

#[tokio::test]
async fn a_replaced_resource_keeps_nothing_of_what_it_was() {
    let world = World::new().await;
    let path = format!("{PROVIDERS}/ada");
    world
        .put(
            &path,
            &json!({"data": {"name": "Ada", "specialities": ["Pharmacist"]}}),
        )
        .await;
    world.put(&path, &json!({"data": {"name": "Ada"}})).await;
    assert_eq!(world.read(&path).await["data"], json!({"name": "Ada"}));
}

#[tokio::test]
async fn values_come_back_digit_for_digit() {
    let world = World::new().await;
    let body = r#"{ "data" : { "name" : "\u0041da \u00e9 é \/ \u0000" , "practiceNumber" : -0 } }"#;
    let request = world.request(reqwest::Method::POST, PROVIDERS);
    insta::assert_snapshot!(crate::world::shown(request.header("content-type", "application/json").body(body)).await, @r#"
    201
    location: /sources/clinics/v1/resources/provider/[id]
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"[id]","type":"provider","data":{"name":"\u0041da \u00e9 é \/ \u0000","practiceNumber":0},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}}
    "#);
}

#[tokio::test]
async fn every_fault_of_a_resource_is_told() {
    let world = World::new().await;
    let bad = json!({"id": "_x", "data": {"nmae": "Ada", "practiceNumber": "7", "specialities": "none"}, "extra": 1});
    insta::assert_snapshot!(world.post(PROVIDERS, &bad).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"6 faults, the first at /data/nmae: property 'nmae' is not known, did you mean 'name'?","details":[{"type":"INVALID_ARGUMENT","message":"property 'nmae' is not known, did you mean 'name'?","path":"/data/nmae","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"expected a number (integer), found a string; write it without quotes","path":"/data/practiceNumber","rule":"type"},{"type":"INVALID_ARGUMENT","message":"expected an array, found a string; write it in brackets","path":"/data/specialities","rule":"type"},{"type":"INVALID_ARGUMENT","message":"property 'name' is required","path":"/data/name","rule":"required"},{"type":"INVALID_ARGUMENT","message":"member 'extra' is not known","path":"/extra","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"id '_x' is not valid: an id has 2 to 93 of the characters A-Z a-z 0-9 _ - and does not start with _","path":"/id","rule":"id"}]}
    "#);
    insta::assert_snapshot!(world.put(&format!("{PROVIDERS}/ada"), &json!({"id": "bob", "type": "nurse"})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"3 faults, the first at /id: is 'bob', but the path names 'ada'; send one of them","details":[{"type":"INVALID_ARGUMENT","message":"is 'bob', but the path names 'ada'; send one of them","path":"/id","rule":"id"},{"type":"INVALID_ARGUMENT","message":"is 'nurse', but the path names 'provider'; send one of them","path":"/type","rule":"type"},{"type":"INVALID_ARGUMENT","message":"'data' is required","path":"/data","rule":"required"}]}
    "#);
    insta::assert_snapshot!(world.put(&format!("{PROVIDERS}/a"), &json!({"data": {"name": "Ada"}})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"id 'a' is not valid: an id has 2 to 93 of the characters A-Z a-z 0-9 _ - and does not start with _"}
    "#);
    insta::assert_snapshot!(world.get(PROVIDERS).await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let world = World::new().await;
    let post = |body: &'static str| {
        let request = world.request(reqwest::Method::POST, PROVIDERS);
        crate::world::shown(request.header("content-type", "application/json").body(body))
    };
    insta::assert_snapshot!(post("").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 0: the value ends too early"}
    "#);
    insta::assert_snapshot!(post(r#"{"data": {"name": "Ada"}"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the body is not JSON at byte 24: the value ends too early"}
    "#);
    insta::assert_snapshot!(post("[]").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"expected an object, found an array","details":[{"type":"INVALID_ARGUMENT","message":"expected an object, found an array","path":"","rule":"type"}]}
    "#);
    insta::assert_snapshot!(post(r#"{"data": {"name": "Ada", "name": "Bob"}}"#).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"/data/name: 'name' is given twice","details":[{"type":"INVALID_ARGUMENT","message":"'name' is given twice","path":"/data/name","rule":"duplicate"}]}
    "#);
}

#[tokio::test]
async fn a_resource_is_deleted_once() {
    let world = World::new().await;
    let path = format!("{PROVIDERS}/ada");
    world.put(&path, &json!({"data": {"name": "Ada"}})).await;
    insta::assert_snapshot!(world.delete(&path).await, @r#"
    200
    {"taskId":"s_[id]","status":"PERSISTED"}
    "#);
    insta::assert_snapshot!(world.get(&path).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no 'provider' with id 'ada'"}
    "#);
    insta::assert_snapshot!(world.delete(&path).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"record with id 'ada' does not exist"}
    "#);
    insta::assert_snapshot!(world.delete(&format!("{PROVIDERS}/_")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no 'provider' with id '_'"}
    "#);
}

#[tokio::test]
async fn a_type_that_is_not_there_or_contained_is_not_found() {
    let world = World::new().await;
    let line = json!({"type": "CONTAINED", "properties": {}});
    world.put("/sources/clinics/v1/profiles/line", &line).await;
    insta::assert_snapshot!(world.get("/sources/clinics/v1/resources/nurse").await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"there is no ROOT profile 'nurse'"}
    "#);
    let record = json!({"data": {"name": "Ada"}});
    for key in ["nurse", "line", "refersTo"] {
        let path = format!("/sources/clinics/v1/resources/{key}");
        for answer in [
            world.get(&path).await,
            world.get_lines(&path).await,
            world.get(&format!("{path}/x1")).await,
            world.post(&path, &record).await,
            world.put(&format!("{path}/x1"), &record).await,
            world.delete(&format!("{path}/x1")).await,
        ] {
            assert!(
                answer.starts_with("404\n{\"code\":404,\"type\":\"NOT_FOUND\""),
                "{key}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn resources_are_listed_in_the_order_of_their_ids() {
    let world = World::new().await;
    insta::assert_snapshot!(world.get(PROVIDERS).await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
    insta::assert_snapshot!(world.get_lines(PROVIDERS).await, @"
    200
    content-type: application/x-ndjson
    ");
    let ids = ["b2", "B1", "a-", "a_", "a0", "10", "-0"];
    world
        .carried_out(BULK, ids.iter().map(|id| create(id, "Ada")).collect())
        .await;
    insta::assert_snapshot!(world.get("/sources/clinics/v1/resources/provider?limit=2").await, @r#"
    200
    link: </sources/clinics/v1/resources/provider?limit=2&cursor=[cursor]>; rel="next"
    {"data":[{"id":"-0","type":"provider","data":{"name":"Ada"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}},{"id":"10","type":"provider","data":{"name":"Ada"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}],"meta":{"cursor":"[cursor]"}}
    "#);
    insta::assert_snapshot!(world.get_lines("/sources/clinics/v1/resources/provider?limit=2").await, @r#"
    200
    content-type: application/x-ndjson
    {"id":"-0","type":"provider","data":{"name":"Ada"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}
    {"id":"10","type":"provider","data":{"name":"Ada"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}
    "#);
    let mut sorted = ids.map(|id| format!("{id:?}"));
    sorted.sort();
    for limit in 1..=8 {
        assert_eq!(
            world.walk(&format!("{PROVIDERS}?limit={limit}"), "id").await,
            sorted
        );
    }
}

#[tokio::test]
async fn a_stream_of_resources_has_all_of_them_once() {
    let world = World::new().await;
    for count in [999, 1_000, 1_001, 2_000] {
        let known = world.get_lines(PROVIDERS).await.lines().count().saturating_sub(2);
        let more = (known..count).map(|n| create(&format!("p{n:05}"), "Ada"));
        world.carried_out(BULK, more.collect()).await;
        let lines = world.get_lines(PROVIDERS).await;
        let ids: Vec<String> = lines.lines().skip(2).map(|line| line[7..13].to_owned()).collect();
        assert_eq!(ids, (0..count).map(|n| format!("p{n:05}")).collect::<Vec<_>>());
    }
    let some = world.get_lines(&format!("{PROVIDERS}?limit=1000")).await;
    assert_eq!(some.lines().count(), 2 + 1_000);
}

#[tokio::test]
async fn a_page_goes_on_where_a_record_was_deleted() {
    let world = World::new().await;
    world
        .carried_out(
            BULK,
            ["a1", "a2", "a3"].iter().map(|id| create(id, "Ada")).collect(),
        )
        .await;
    let page = world.read(&format!("{PROVIDERS}?limit=1")).await;
    world.delete(&format!("{PROVIDERS}/a1")).await;
    world.delete(&format!("{PROVIDERS}/a2")).await;
    let cursor = page["meta"]["cursor"].as_str().unwrap();
    let rest = world
        .walk(&format!("{PROVIDERS}?limit=1&cursor={cursor}"), "id")
        .await;
    assert_eq!(rest, [r#""a3""#]);
}

#[tokio::test]
async fn a_resource_is_checked_and_not_stored_where_that_is_asked_for() {
    let world = World::new().await;
    let ada = json!({"id": "ada", "data": {"name": "Ada"}});
    let bad = json!({"id": "ada", "data": {"nmae": "Ada"}});
    insta::assert_snapshot!(world.post("/sources/clinics/v1/resources/provider?validateOnly=true", &ada).await, @r#"
    200
    {"status":"VALID","count":1}
    "#);
    insta::assert_snapshot!(world.post("/sources/clinics/v1/resources/provider?validateOnly=true", &bad).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"2 faults, the first at /data/nmae: property 'nmae' is not known, did you mean 'name'?","details":[{"type":"INVALID_ARGUMENT","message":"property 'nmae' is not known, did you mean 'name'?","path":"/data/nmae","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"property 'name' is required","path":"/data/name","rule":"required"}]}
    "#);
    let path = format!("{PROVIDERS}/ada");
    let (check, write) = (
        format!("{path}?validateOnly=true"),
        format!("{path}?validateOnly=false"),
    );
    insta::assert_snapshot!(world.put(&check, &ada).await, @r#"
    200
    {"status":"VALID","count":1}
    "#);
    assert!(world.put(&check, &bad).await.starts_with("400\n"));
    insta::assert_snapshot!(world.put(&format!("{path}?validateOnly=yes"), &ada).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: validateOnly: provided string was not `true` or `false`"}
    "#);
    for answer in [
        world
            .post("/sources/none/v1/resources/provider?validateOnly=true", &ada)
            .await,
        world
            .post("/sources/clinics/v1/resources/nurse?validateOnly=true", &ada)
            .await,
        world.get(&path).await,
    ] {
        assert!(answer.starts_with("404\n"), "{answer}");
    }
    insta::assert_snapshot!(world.get("/sources/clinics/v1/tasks?kind=SINGLE").await, @r#"
    200
    {"data":[],"meta":{}}
    "#);
    assert!(world.put(&write, &ada).await.starts_with("201\n"));
    // Whether it exists is decided when it is stored.
    insta::assert_snapshot!(world.post("/sources/clinics/v1/resources/provider?validateOnly=true", &ada).await, @r#"
    200
    {"status":"VALID","count":1}
    "#);
}
