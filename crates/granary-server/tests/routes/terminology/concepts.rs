use granary_core::limits::Limits;
use serde_json::json;

use super::{CONCEPTS, VOCABULARIES};
use crate::world::World;

#[tokio::test]
async fn a_concept_is_created_read_replaced_and_deleted() {
    let world = World::with_colours().await;
    let path = format!("{CONCEPTS}/dark%20blue");
    let blue =
        json!({"definition": "like the sea", "designation": {"en-GB": "dark blue", "de": "dunkelblau"}});
    insta::assert_snapshot!(world.put(&path, &blue).await, @r#"
    201
    {"code":"dark blue","definition":"like the sea","designation":{"de":"dunkelblau","en-GB":"dark blue"},"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.put(&path, &json!({})).await, @r#"
    200
    {"code":"dark blue","createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.get(&path).await, @r#"
    200
    {"code":"dark blue","createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}
    "#);
    insta::assert_snapshot!(world.delete(&path).await, @r#"
    200
    {"code":"dark blue"}
    "#);
    for answer in [world.get(&path).await, world.delete(&path).await] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer, @r#"
            404
            {"code":404,"type":"NOT_FOUND","message":"concept 'dark blue' does not exist"}
            "#);
        }
    }
}

#[tokio::test]
async fn a_code_is_any_that_a_path_can_hold() {
    let world = World::with_colours().await;
    for (encoded, code) in [
        ("a%2Fb%3Fc%23d", "a/b?c#d"),
        ("%C3%A9t%C3%A9", "été"),
        ("100%25", "100%"),
        ("bulk", "bulk"),
        ("F32.1", "F32.1"),
    ] {
        let path = format!("{CONCEPTS}/{encoded}");
        assert!(world.put(&path, &json!({})).await.starts_with("201"), "{code}");
        assert_eq!(world.read(&path).await["code"], code);
    }
    assert_eq!(world.walk(CONCEPTS, "code").await.len(), 6);
    insta::assert_snapshot!(world.delete(&format!("{CONCEPTS}/bulk")).await, @r#"
    200
    {"code":"bulk"}
    "#);
    insta::assert_snapshot!(world.put(&format!("{CONCEPTS}/%20a"), &json!({})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"code ' a' is not valid: the code of a concept has 1 to 256 bytes, no blank at its ends, single blanks inside, no control characters, and is not '.' or '..'"}
    "#);
    let long = "c".repeat(256);
    assert!(
        world
            .put(&format!("{CONCEPTS}/{long}"), &json!({}))
            .await
            .starts_with("201")
    );
    for bad in [&format!("{long}c"), "a%20%20b", "a%0Ab", "a%00"] {
        let path = format!("{CONCEPTS}/{bad}");
        assert!(world.put(&path, &json!({})).await.starts_with("400"), "{bad}");
        assert!(world.get(&path).await.starts_with("404"), "{bad}");
        assert!(world.delete(&path).await.starts_with("404"), "{bad}");
    }
}

#[tokio::test]
async fn every_fault_of_a_concept_is_told() {
    let world = World::with_colours().await;
    let body = json!({"definition": 1, "designation": {"e n": "x", "de": ""}, "code": "red"});
    insta::assert_snapshot!(world.put(&format!("{CONCEPTS}/red"), &body).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"4 faults, the first at /code: member 'code' is not known","details":[{"type":"INVALID_ARGUMENT","message":"member 'code' is not known","path":"/code","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"expected a string, found a number","path":"/definition","rule":"type"},{"type":"INVALID_ARGUMENT","message":"has at least one character","path":"/designation/de","rule":"min"},{"type":"INVALID_ARGUMENT","message":"'e n': a language is a tag such as 'en' or 'de-CH': 1 to 8 letters, then parts of 1 to 8 letters and digits behind a '-', 64 characters in all","path":"/designation/e n","rule":"language"}]}
    "#);
    insta::assert_snapshot!(world.get(&format!("{CONCEPTS}/red")).await, @r#"
    200
    {"code":"red","designation":{"en":"red"},"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}
    "#);
}

#[tokio::test]
async fn without_its_vocabulary_a_concept_is_not_found() {
    let world = World::empty().await;
    for vocabulary in ["none", "_x"] {
        let concepts = format!("{VOCABULARIES}/{vocabulary}/concepts");
        for (method, path, body) in [
            ("GET", concepts.clone(), None),
            ("GET", format!("{concepts}/red"), None),
            ("GET", format!("{concepts}/%20"), None),
            ("PUT", format!("{concepts}/red"), Some(json!({}))),
            ("DELETE", format!("{concepts}/red"), None),
            (
                "POST",
                format!("{concepts}/bulk"),
                Some(json!({"operations": []})),
            ),
        ] {
            let answer = match (method, body) {
                ("PUT", Some(body)) => world.put(&path, &body).await,
                (_, Some(body)) => world.post(&path, &body).await,
                (method, None) => world.call(method, &path).await,
            };
            let expected = format!(
                "404\n{{\"code\":404,\"type\":\"NOT_FOUND\",\"message\":\"vocabulary '{vocabulary}' does not exist\"}}"
            );
            assert_eq!(answer, expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_limits_of_concepts_are_named() {
    let mut limits = Limits::default();
    limits.concepts_per_vocabulary = 2;
    let world = World::limited(limits).await;
    world
        .put(&format!("{VOCABULARIES}/colours"), &json!({"title": "Colours"}))
        .await;
    for code in ["a", "b"] {
        let answer = world.put(&format!("{CONCEPTS}/{code}"), &json!({})).await;
        assert!(answer.starts_with("201"), "{answer}");
    }
    insta::assert_snapshot!(world.put(&format!("{CONCEPTS}/c"), &json!({})).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"the number of concepts of the vocabulary is over the limit conceptsPerVocabulary of 2"}
    "#);
    let mut limits = Limits::default();
    limits.concept_code_bytes = 2 * 65;
    let world = World::limited(limits).await;
    for key in ["colours", "shapes"] {
        world
            .put(&format!("{VOCABULARIES}/{key}"), &json!({"title": key}))
            .await;
        world
            .put(&format!("{VOCABULARIES}/{key}/concepts/a"), &json!({}))
            .await;
    }
    insta::assert_snapshot!(world.put(&format!("{CONCEPTS}/b"), &json!({})).await, @r#"
    413
    {"code":413,"type":"CONTENT_TOO_LARGE","message":"what the codes of all concepts take is over the limit conceptCodeBytes of 130"}
    "#);
}

#[tokio::test]
async fn pages_walk_the_concepts_exactly_once() {
    let world = World::with_colours().await;
    for code in ["a", "b%20c", "%C3%A9", "Z"] {
        world.put(&format!("{CONCEPTS}/{code}"), &json!({})).await;
    }
    insta::assert_snapshot!(world.get(&format!("{CONCEPTS}?limit=1")).await, @r#"
    200
    link: </terminology/v1/vocabularies/colours/concepts?limit=1&cursor=[cursor]>; rel="next"
    {"data":[{"code":"Z","createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z"}],"meta":{"cursor":"[cursor]"}}
    "#);
    let all = world.walk(CONCEPTS, "code").await;
    assert_eq!(all, [r#""Z""#, r#""a""#, r#""b c""#, r#""red""#, r#""é""#]);
    for limit in 1..=6 {
        assert_eq!(
            world.walk(&format!("{CONCEPTS}?limit={limit}"), "code").await,
            all
        );
    }
    let answer = world.get(&format!("{CONCEPTS}?cursor=dm9jYWJ1bGFyaWVzCmE")).await;
    assert!(
        answer.starts_with("400\n{\"code\":400,\"type\":\"OUT_OF_RANGE\""),
        "{answer}"
    );
}
