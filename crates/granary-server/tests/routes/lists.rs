//! Whatever list: its limit and its cursor.

use granary_core::limits::Limits;
use serde_json::json;

use crate::world::{BULK, EDGES, PROVIDERS, World, create, create_edge};

/// Every list, with something in it.
fn lists() -> [String; 6] {
    let v1 = "/sources/clinics/v1";
    [
        "/catalog/v1/sources".to_owned(),
        format!("{v1}/profiles"),
        format!("{v1}/relationship-definitions"),
        PROVIDERS.to_owned(),
        EDGES.to_owned(),
        format!("{v1}/tasks"),
    ]
}

#[tokio::test]
async fn the_limit_of_a_list_has_bounds() {
    let limits = Limits {
        list_limit: 20,
        ..Limits::default()
    };
    let world = World::limited(limits).await;
    insta::assert_snapshot!(world.get("/catalog/v1/sources?limit=0").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"limit must be from 1 to 20 (listLimit)"}
    "#);
    insta::assert_snapshot!(world.get("/catalog/v1/sources?limit=21").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"limit must be from 1 to 20 (listLimit)"}
    "#);
    insta::assert_snapshot!(world.get("/catalog/v1/sources?limit=ten").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: limit: invalid digit found in string"}
    "#);
    insta::assert_snapshot!(world.get("/catalog/v1/sources?limit=1&limit=2").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: duplicate field `limit`"}
    "#);
    for list in lists() {
        for bad in ["0", "21", "-1", "", "1.5", "99999999999999999999"] {
            let answer = world.get(&format!("{list}?limit={bad}")).await;
            assert!(answer.starts_with("400\n"), "{list} {bad}: {answer}");
        }
        for good in ["1", "20"] {
            let answer = world.get(&format!("{list}?limit={good}")).await;
            assert!(answer.starts_with("200"), "{list} {good}: {answer}");
        }
    }
    for list in [PROVIDERS, EDGES] {
        let answer = world.get_lines(&format!("{list}?limit=0")).await;
        assert!(answer.starts_with("400\n"), "{list}: {answer}");
    }
}

#[tokio::test]
async fn a_cursor_that_is_not_of_this_list_is_out_of_range() {
    let world = World::new().await;
    for n in 0..3 {
        let key = format!("/catalog/v1/sources/s{n}");
        world.put(&key, &json!({"type": "registry"})).await;
    }
    let page = world.read("/catalog/v1/sources?limit=1").await;
    let of_sources = page["meta"]["cursor"].as_str().unwrap();
    insta::assert_snapshot!(world.get(&format!("{PROVIDERS}?cursor={of_sources}")).await, @r#"
    400
    {"code":400,"type":"OUT_OF_RANGE","message":"the cursor is not of this list; start the list again without it"}
    "#);
    let long = "A".repeat(5_000);
    for list in lists() {
        for cursor in ["", "x", "%25", "%00", "AAAA", "é", long.as_str(), of_sources] {
            let answer = world.get(&format!("{list}?cursor={cursor}")).await;
            if cursor == of_sources && list == "/catalog/v1/sources" {
                continue;
            }
            let expected = "400\n{\"code\":400,\"type\":\"OUT_OF_RANGE\"";
            assert!(answer.starts_with(expected), "{list} {cursor}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_cursor_is_of_a_list_with_its_filters() {
    let world = World::new().await;
    let people = ["ada", "bob", "cyd"];
    let creates: Vec<_> = people.iter().map(|id| create(id, "A")).collect();
    let task = world.carried_out(BULK, json!(creates)).await;
    world.carried_out(BULK, json!([create("dan", "D")])).await;
    let edges = ["ada.bob", "ada.cyd", "bob.ada", "cyd.ada", "bob.cyd", "cyd.bob"];
    let edges: Vec<_> = edges
        .iter()
        .map(|id| id.split_once('.').unwrap())
        .map(|(from, to)| create_edge(from, to))
        .collect();
    world
        .carried_out("/sources/clinics/v1/relationships/bulk", json!(edges))
        .await;
    for id in ["eve", "fay"] {
        world
            .put(&format!("{PROVIDERS}/{id}"), &json!({"data": {"name": "E"}}))
            .await;
    }
    let tasks = "/sources/clinics/v1/tasks";
    let receipts = format!("{tasks}/{task}/receipts");
    let (soon, later) = (
        "createdBefore=2027-01-01T00:00:00Z",
        "createdBefore=2028-01-01T00:00:00Z",
    );
    for (list, filters) in [
        (
            EDGES,
            &[
                "",
                "from=ada",
                "from=bob",
                "to=ada",
                "from=ada&to=bob",
                "to=bob&from=ada",
            ][..],
        ),
        (
            tasks,
            &[
                "",
                "kind=BULK",
                "kind=SINGLE",
                "status=SUCCESS",
                "outcome=COMPLETE",
                "status=SUCCESS&outcome=COMPLETE",
                soon,
                later,
            ],
        ),
        (receipts.as_str(), &["", "status=SUCCESS"]),
    ] {
        for filter in filters {
            let page = world.read(&format!("{list}?{filter}&limit=1")).await;
            let Some(cursor) = page["meta"]["cursor"].as_str() else {
                assert!(
                    filter.contains("from=ada&to=bob") || filter.contains("to=bob&from=ada"),
                    "{list} {filter}"
                );
                continue;
            };
            for other in filters {
                let answer = world.get(&format!("{list}?{other}&cursor={cursor}")).await;
                // The order of parameters makes no other list.
                let sorted = |filter: &str| {
                    let mut parts: Vec<_> = filter.split('&').map(str::to_owned).collect();
                    parts.sort();
                    parts
                };
                if sorted(filter) == sorted(other) {
                    assert!(answer.starts_with("200"), "{list} {filter}: {answer}");
                } else {
                    let expected = "400\n{\"code\":400,\"type\":\"OUT_OF_RANGE\"";
                    assert!(answer.starts_with(expected), "{list} {filter} {other}: {answer}");
                }
            }
        }
    }
}
