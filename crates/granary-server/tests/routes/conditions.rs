//! `ETag`, `If-Match` and `If-None-Match`: what a caller expects of what is stored.

use reqwest::Method;
use reqwest::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::world::{BULK, EDGES, PROVIDERS, World, create, create_edge, shown};

const ADA: &str = "/sources/clinics/v1/resources/provider/ada";
const REFERS: &str = "/sources/clinics/v1/relationships/refersTo/ada.bob";
const PROFILE: &str = "/sources/clinics/v1/profiles/provider";
const DEFINITION: &str = "/sources/clinics/v1/relationship-definitions/refersTo";

async fn world_of_one_of_each() -> World {
    let world = World::new().await;
    world
        .carried_out(BULK, json!([create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    let edges = "/sources/clinics/v1/relationships/bulk";
    world.carried_out(edges, json!([create_edge("ada", "bob")])).await;
    world
}

async fn tag(world: &World, path: &str) -> String {
    let answer = world.request(Method::GET, path).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.headers()[ETAG].to_str().unwrap().to_owned()
}

/// Sends a write with these conditions.
async fn send(
    world: &World,
    method: Method,
    path: &str,
    body: Option<&Value>,
    when: &[(&str, &str)],
) -> String {
    let mut request = world.request(method, path);
    for (name, value) in when {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    shown(request).await
}

#[tokio::test]
async fn the_tag_of_a_record_is_that_of_its_state() {
    let world = World::new().await;
    let put = |name: &'static str| {
        let world = &world;
        async move {
            let body = json!({"data": {"name": name}});
            let answer = world.request(Method::PUT, ADA).json(&body).send().await.unwrap();
            answer.headers()[ETAG].to_str().unwrap().to_owned()
        }
    };
    insta::assert_snapshot!(world.post(PROVIDERS, &json!({"id": "ada", "data": {"name": "Ada"}})).await, @r#"
    201
    location: /sources/clinics/v1/resources/provider/ada
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"ada","type":"provider","data":{"name":"Ada"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}}
    "#);
    let first = tag(&world, ADA).await;
    // Equal: the state is the same.
    assert_eq!(put("Ada").await, first);
    let second = put("Eve").await;
    assert_ne!(second, first);
    assert_eq!(tag(&world, ADA).await, second);
    // What was is another state, though its content is the same.
    let third = put("Ada").await;
    world.delete(ADA).await;
    let fourth = put("Ada").await;
    let mut all = vec![first, second, third, fourth];
    // And the same in a source of the same name.
    world.delete(ADA).await;
    for path in [DEFINITION, PROFILE, "/catalog/v1/sources/clinics"] {
        assert!(world.delete(path).await.starts_with("200"), "{path}");
    }
    let world = world.with_clinics().await;
    world.put(ADA, &json!({"data": {"name": "Ada"}})).await;
    all.push(tag(&world, ADA).await);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 5);
}

#[tokio::test]
async fn a_write_is_refused_unless_the_record_is_as_expected() {
    let world = world_of_one_of_each().await;
    let ada = json!({"data": {"name": "Eve"}});
    let put = |when: &'static str, value: String| {
        let (world, ada) = (&world, &ada);
        async move { send(world, Method::PUT, ADA, Some(ada), &[(when, &value)]).await }
    };
    insta::assert_snapshot!(put("if-match", "\"1-999\"".into()).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"record with id 'ada' was changed; read it and decide again"}
    "#);
    insta::assert_snapshot!(put("if-none-match", "*".into()).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"record with id 'ada' exists; read it and decide again"}
    "#);
    let now = tag(&world, ADA).await;
    // A weak tag matches nothing here.
    assert!(put("if-match", format!("W/{now}")).await.starts_with("412\n"));
    assert!(put("if-match", "\"\"".into()).await.starts_with("412\n"));
    insta::assert_snapshot!(put("if-match", format!("\"1-999\", {now}")).await, @r#"
    200
    etag: "[tag]"
    {"taskId":"s_[id]","status":"PERSISTED","resource":{"id":"ada","type":"provider","data":{"name":"Eve"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":2}}}
    "#);
    // It was changed by that.
    assert!(put("if-match", now.clone()).await.starts_with("412\n"));
    assert!(put("if-match", "*".into()).await.starts_with("200\n"));
    let delete = |value: String| {
        let world = &world;
        async move { send(world, Method::DELETE, ADA, None, &[("if-match", &value)]).await }
    };
    insta::assert_snapshot!(delete(now).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"record with id 'ada' was changed; read it and decide again"}
    "#);
    assert!(delete(tag(&world, ADA).await).await.starts_with("200\n"));
    insta::assert_snapshot!(delete("*".into()).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"record with id 'ada' does not exist; read it and decide again"}
    "#);
    insta::assert_snapshot!(put("if-match", "*".into()).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"record with id 'ada' does not exist; read it and decide again"}
    "#);
    assert!(put("if-none-match", "*".into()).await.starts_with("201\n"));
}

#[tokio::test]
async fn both_conditions_must_hold() {
    let world = world_of_one_of_each().await;
    let body = json!({"data": {"name": "Eve"}});
    for path in [ADA, "/sources/clinics/v1/resources/provider/new"] {
        for matches in ["*", "\"1-1\""] {
            let when = [("if-match", matches), ("if-none-match", "*")];
            let answer = send(&world, Method::PUT, path, Some(&body), &when).await;
            assert!(answer.starts_with("412\n"), "{path} {matches}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_create_takes_conditions_too() {
    let world = world_of_one_of_each().await;
    let end = |id: &str| json!({"type": "provider", "id": id});
    let edge = json!({"from": end("ada"), "to": end("bob")});
    let back = json!({"from": end("bob"), "to": end("ada")});
    let ada = json!({"id": "ada", "data": {"name": "Ada"}});
    let cyd = json!({"id": "cyd", "data": {"name": "Cyd"}});
    for (path, there, new) in [(PROVIDERS, &ada, &cyd), (EDGES, &edge, &back)] {
        let post = |body, when| send(&world, Method::POST, path, Some(body), when);
        assert!(post(there, &[("if-none-match", "*")]).await.starts_with("412\n"));
        assert!(post(new, &[("if-match", "*")]).await.starts_with("412\n"));
        assert!(post(there, &[("if-match", "*")]).await.starts_with("409\n"));
        assert!(post(new, &[("if-none-match", "*")]).await.starts_with("201\n"));
    }
}

#[tokio::test]
async fn an_edge_is_deleted_if_it_is_as_expected() {
    let world = world_of_one_of_each().await;
    let now = tag(&world, REFERS).await;
    for (value, status) in [("\"1-1\"", 412), (now.as_str(), 200), ("*", 412)] {
        let answer = send(&world, Method::DELETE, REFERS, None, &[("if-match", value)]).await;
        assert!(answer.starts_with(&format!("{status}\n")), "{value}: {answer}");
    }
}

#[tokio::test]
async fn a_definition_is_changed_if_it_is_as_expected() {
    let world = World::new().await;
    let definition = crate::world::refers_to();
    let put = |path, value: String| {
        let (world, definition) = (&world, &definition);
        async move {
            send(
                world,
                Method::PUT,
                path,
                Some(definition),
                &[("if-match", &value)],
            )
            .await
        }
    };
    let first = tag(&world, DEFINITION).await;
    insta::assert_snapshot!(put(DEFINITION, first.clone()).await, @r#"
    200
    etag: "[tag]"
    {"key":"refersTo","revision":2,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","from":{"includeCardinality":"0:*","includeKey":"refersTo","profileKey":"provider"},"properties":{"since":{"type":"date"}},"to":{"includeCardinality":"0:*","includeKey":"referredBy","profileKey":"provider"}}
    "#);
    insta::assert_snapshot!(put(DEFINITION, first.clone()).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"relationship definition 'refersTo' was changed; read it and decide again"}
    "#);
    insta::assert_snapshot!(send(&world, Method::PUT, DEFINITION, Some(&definition), &[("if-none-match", "*")]).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"relationship definition 'refersTo' exists; read it and decide again"}
    "#);
    insta::assert_snapshot!(send(&world, Method::DELETE, DEFINITION, None, &[("if-match", &first)]).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"relationship definition 'refersTo' was changed; read it and decide again"}
    "#);
    // Of another kind, with the same key and number.
    assert!(
        put(DEFINITION, tag(&world, PROFILE).await)
            .await
            .starts_with("412\n")
    );
    let second = tag(&world, DEFINITION).await;
    let gone = send(&world, Method::DELETE, DEFINITION, None, &[("if-match", &second)]).await;
    assert!(gone.starts_with("200\n"), "{gone}");
    insta::assert_snapshot!(send(&world, Method::DELETE, DEFINITION, None, &[("if-match", "*")]).await, @r#"
    412
    {"code":412,"type":"FAILED_PRECONDITION","message":"relationship definition 'refersTo' does not exist; read it and decide again"}
    "#);
    assert!(put(DEFINITION, "*".into()).await.starts_with("412\n"));
    let new = send(
        &world,
        Method::PUT,
        DEFINITION,
        Some(&definition),
        &[("if-none-match", "*")],
    )
    .await;
    assert!(new.starts_with("201\n"), "{new}");
    // Made again, it is another.
    let made_again = tag(&world, DEFINITION).await;
    assert!(made_again != first && made_again != second);
}

#[tokio::test]
async fn what_was_read_before_and_did_not_change_is_not_sent_again() {
    let world = world_of_one_of_each().await;
    for path in [ADA, REFERS, PROFILE, DEFINITION] {
        let now = tag(&world, path).await;
        for (name, value, status) in [
            (IF_NONE_MATCH, now.clone(), 304),
            (IF_NONE_MATCH, format!("W/{now}"), 304),
            (IF_NONE_MATCH, format!("\"x\",{now}"), 304),
            (IF_NONE_MATCH, "*".to_owned(), 304),
            (IF_NONE_MATCH, "\"x\"".to_owned(), 200),
            (IF_MATCH, now.clone(), 200),
            (IF_MATCH, "*".to_owned(), 200),
            (IF_MATCH, format!("W/{now}"), 412),
            (IF_MATCH, "\"x\"".to_owned(), 412),
        ] {
            for method in [Method::GET, Method::HEAD] {
                let request = world.request(method, path).header(&name, &value);
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), status, "{path} {name} {value}");
                if status != 412 {
                    assert_eq!(answer.headers()[ETAG], now.as_str());
                }
                let body = answer.bytes().await.unwrap();
                assert!(status != 304 || body.is_empty());
            }
        }
    }
    let missing = world
        .request(Method::GET, &format!("{PROVIDERS}/eve"))
        .header(IF_NONE_MATCH, "*");
    assert!(shown(missing).await.starts_with("404\n"));
}

#[tokio::test]
async fn a_condition_that_is_none_is_invalid() {
    let world = world_of_one_of_each().await;
    let body = json!({"data": {"name": "Eve"}});
    let put =
        |when: &'static [(&'static str, &'static str)]| send(&world, Method::PUT, ADA, Some(&body), when);
    insta::assert_snapshot!(put(&[("if-match", "1-1")]).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the header if-match is not valid: it is * or a list of tags, each in double quotes"}
    "#);
    insta::assert_snapshot!(put(&[("if-match", "*"), ("if-match", "\"1-1\"")]).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the header if-match is not valid: * stands alone"}
    "#);
    insta::assert_snapshot!(put(&[("if-none-match", "\"1-1\"")]).await, @r#"
    501
    {"code":501,"type":"UNIMPLEMENTED","message":"a write takes If-None-Match with * alone; name the state it is to change in If-Match"}
    "#);
    for value in ["", "\"1", "*, \"1\"", "w/\"1\""] {
        for name in ["if-match", "if-none-match"] {
            for method in [Method::PUT, Method::GET, Method::DELETE] {
                let answer = send(&world, method, ADA, Some(&body), &[(name, value)]).await;
                assert!(answer.starts_with("400\n"), "{name} {value}: {answer}");
            }
        }
    }
}
