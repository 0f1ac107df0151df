//! An edge with the resources at its ends.

use serde_json::{Value, json};

use crate::world::{BULK, EDGES, World, create, create_edge};

const WORKS_AT: &str = "/sources/clinics/v1/relationships/worksAt/ada.main";

/// Ada works at the main clinic, and refers to Bob and to herself.
async fn world() -> World {
    let world = World::new().await;
    let works_at = json!({
        "from": {"profileKey": "provider", "includeKey": "worksAt", "includeCardinality": "0:*"},
        "to": {"profileKey": "clinic", "includeKey": "staff", "includeCardinality": "0:*"},
    });
    let clinic = json!({"properties": {"name": {"type": "symbol"}}});
    world.put("/sources/clinics/v1/profiles/clinic", &clinic).await;
    world
        .put("/sources/clinics/v1/relationship-definitions/worksAt", &works_at)
        .await;
    let clinic =
        json!({"action": "CREATE", "create": {"type": "clinic", "id": "main", "data": {"name": "Main"}}});
    world
        .carried_out(BULK, json!([create("ada", "Ada"), create("bob", "Bob"), clinic]))
        .await;
    let works = json!({"action": "CREATE", "create": {
        "type": "worksAt", "from": {"type": "provider", "id": "ada"}, "to": {"type": "clinic", "id": "main"},
    }});
    let edges = json!([works, create_edge("ada", "bob"), create_edge("ada", "ada")]);
    world
        .carried_out("/sources/clinics/v1/relationships/bulk", edges)
        .await;
    world
}

/// The ids of what is included, by type.
async fn ids(world: &World, path: &str) -> Value {
    let edge = world.read(path).await;
    let includes = edge["includes"]
        .as_object()
        .unwrap_or_else(|| panic!("{path}: {edge}"));
    let ids = |rows: &Value| {
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].clone())
            .collect()
    };
    includes
        .iter()
        .map(|(of_type, rows)| (of_type.clone(), ids(rows)))
        .collect::<serde_json::Map<_, Value>>()
        .into()
}

#[tokio::test]
async fn an_edge_is_read_with_the_resources_at_its_ends() {
    let world = world().await;
    insta::assert_snapshot!(world.get("/sources/clinics/v1/relationships/worksAt/ada.main?includes=provider,clinic").await, @r#"
    200
    {"id":"ada.main","type":"worksAt","from":{"id":"ada","type":"provider"},"to":{"id":"main","type":"clinic"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1},"includes":{"provider":[{"id":"ada","type":"provider","data":{"name":"Ada"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}],"clinic":[{"id":"main","type":"clinic","data":{"name":"Main"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}]}}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/relationships/worksAt/ada.main?includes=clinic").await, @r#"
    200
    {"id":"ada.main","type":"worksAt","from":{"id":"ada","type":"provider"},"to":{"id":"main","type":"clinic"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1},"includes":{"clinic":[{"id":"main","type":"clinic","data":{"name":"Main"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}]}}
    "#);
    insta::assert_snapshot!(world.get(&format!("{EDGES}/ada.ada?includes=provider")).await, @r#"
    200
    {"id":"ada.ada","type":"refersTo","from":{"id":"ada","type":"provider"},"to":{"id":"ada","type":"provider"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1},"includes":{"provider":[{"id":"ada","type":"provider","data":{"name":"Ada"},"meta":{"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","source":"clinics","version":1}}]}}
    "#);
    for (query, expected) in [
        ("includes=provider", json!({"provider": ["ada"]})),
        ("includes=worksAt", json!({"provider": ["ada"]})),
        ("includes=staff", json!({"clinic": ["main"]})),
        ("includes=staff,clinic,staff", json!({"clinic": ["main"]})),
        (
            "includes=clinic,provider",
            json!({"provider": ["ada"], "clinic": ["main"]}),
        ),
        (
            "includes=clinic&includes=worksAt",
            json!({"provider": ["ada"], "clinic": ["main"]}),
        ),
    ] {
        assert_eq!(
            ids(&world, &format!("{WORKS_AT}?{query}")).await,
            expected,
            "{query}"
        );
    }
    for (query, expected) in [
        ("includes=provider", json!({"provider": ["ada", "bob"]})),
        ("includes=refersTo", json!({"provider": ["ada"]})),
        ("includes=referredBy", json!({"provider": ["bob"]})),
        (
            "includes=referredBy,refersTo",
            json!({"provider": ["ada", "bob"]}),
        ),
    ] {
        assert_eq!(
            ids(&world, &format!("{EDGES}/ada.bob?{query}")).await,
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_name_that_no_end_has_is_not_included() {
    let world = world().await;
    insta::assert_snapshot!(world.get("/sources/clinics/v1/relationships/worksAt/ada.main?includes=provider,nurse").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"includes: 'nurse' is neither a type nor an include key of this relationship type, which has clinic, provider, staff, worksAt"}
    "#);
    insta::assert_snapshot!(world.get("/sources/clinics/v1/relationships/worksAt/ada.main?include=provider").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"the query of the URL is not valid: unknown parameter 'include', there is 'includes' alone"}
    "#);
    for bad in [
        "includes=",
        "includes=provider,",
        "includes=Provider",
        "includes=refersTo",
        "includes=%00",
    ] {
        let answer = world.get(&format!("{WORKS_AT}?{bad}")).await;
        assert!(
            answer.starts_with("400\n{\"code\":400,\"type\":\"INVALID_ARGUMENT\""),
            "{bad}: {answer}"
        );
    }
    let missing = world.get(&format!("{EDGES}/bob.ada?includes=provider")).await;
    assert!(missing.starts_with("404\n"), "{missing}");
}
