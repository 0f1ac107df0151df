//! Whatever list: its limit and its cursor.

use granary_core::limits::Limits;
use serde_json::json;

use crate::world::{EDGES, PROVIDERS, World};

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
