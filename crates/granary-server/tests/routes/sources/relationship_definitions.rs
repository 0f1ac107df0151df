use serde_json::json;

use crate::world::{BULK, World, create, create_edge, refers_to};

const DEFINITIONS: &str = "/sources/clinics/v1/relationship-definitions";

#[tokio::test]
async fn a_relationship_definition_is_created_replaced_and_read() {
    let world = World::new().await;
    let mut covers = refers_to();
    covers["from"]["includeKey"] = json!("covers");
    covers["to"]["includeKey"] = json!("coveredBy");
    insta::assert_snapshot!(world.put(&format!("{DEFINITIONS}/covers"), &covers).await, @r#"
    201
    etag: "[tag]"
    {"key":"covers","revision":1,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","from":{"includeCardinality":"0:*","includeKey":"covers","profileKey":"provider"},"properties":{"since":{"type":"date"}},"to":{"includeCardinality":"0:*","includeKey":"coveredBy","profileKey":"provider"}}
    "#);
    insta::assert_snapshot!(world.put(&format!("{DEFINITIONS}/covers"), &covers).await, @r#"
    200
    etag: "[tag]"
    {"key":"covers","revision":2,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","from":{"includeCardinality":"0:*","includeKey":"covers","profileKey":"provider"},"properties":{"since":{"type":"date"}},"to":{"includeCardinality":"0:*","includeKey":"coveredBy","profileKey":"provider"}}
    "#);
    insta::assert_snapshot!(world.get(&format!("{DEFINITIONS}/covers")).await, @r#"
    200
    etag: "[tag]"
    {"key":"covers","revision":2,"createdAt":"2026-01-31T08:00:00.000Z","updatedAt":"2026-01-31T08:00:00.000Z","from":{"includeCardinality":"0:*","includeKey":"covers","profileKey":"provider"},"properties":{"since":{"type":"date"}},"to":{"includeCardinality":"0:*","includeKey":"coveredBy","profileKey":"provider"}}
    "#);
    assert_eq!(
        world.walk(&format!("{DEFINITIONS}?limit=1"), "key").await,
        [r#""covers""#, r#""refersTo""#]
    );
}

#[tokio::test]
async fn a_bad_relationship_definition_is_refused_with_every_fault() {
    let world = World::new().await;
    let bad = json!({
        "from": {"profileKey": "providr", "includeKey": "refersTo", "includeCardinality": "0:2"},
        "to": {"profileKey": "provider", "includeKey": "refersTo"},
        "propertys": {},
    });
    insta::assert_snapshot!(world.put(&format!("{DEFINITIONS}/covers"), &bad).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"5 faults, the first at /propertys: member 'propertys' is not known, did you mean 'properties'?","details":[{"type":"INVALID_ARGUMENT","message":"member 'propertys' is not known, did you mean 'properties'?","path":"/propertys","rule":"unknown"},{"type":"INVALID_ARGUMENT","message":"profile 'providr' is not known, did you mean 'provider'?","path":"/from/profileKey","rule":"profileKey"},{"type":"INVALID_ARGUMENT","message":"'0:2' is not allowed, did you mean '0:1'?","path":"/from/includeCardinality","rule":"cardinality"},{"type":"INVALID_ARGUMENT","message":"'includeCardinality' is required","path":"/to/includeCardinality","rule":"required"},{"type":"INVALID_ARGUMENT","message":"include key 'refersTo' is taken at profile 'provider' by relationship definition 'refersTo'","path":"/to/includeKey","rule":"includeKey"}]}
    "#);
    insta::assert_snapshot!(world.put(&format!("{DEFINITIONS}/covers"), &json!({})).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"2 faults, the first at /from: 'from' is required","details":[{"type":"INVALID_ARGUMENT","message":"'from' is required","path":"/from","rule":"required"},{"type":"INVALID_ARGUMENT","message":"'to' is required","path":"/to","rule":"required"}]}
    "#);
    insta::assert_snapshot!(world.get(&format!("{DEFINITIONS}/covers")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"relationship definition 'covers' does not exist"}
    "#);
}

#[tokio::test]
async fn a_relationship_definition_in_use_is_not_deleted() {
    let world = World::new().await;
    world
        .carried_out(BULK, json!([create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    let edges = "/sources/clinics/v1/relationships/bulk";
    world.carried_out(edges, json!([create_edge("ada", "bob")])).await;
    insta::assert_snapshot!(world.delete(&format!("{DEFINITIONS}/refersTo")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"'refersTo' is in use: records of it exist; delete them first"}
    "#);
    world.delete("/sources/clinics/v1/resources/provider/bob").await;
    insta::assert_snapshot!(world.delete(&format!("{DEFINITIONS}/refersTo")).await, @r#"
    200
    {"key":"refersTo"}
    "#);
    insta::assert_snapshot!(world.delete(&format!("{DEFINITIONS}/refersTo")).await, @r#"
    404
    {"code":404,"type":"NOT_FOUND","message":"relationship definition 'refersTo' does not exist"}
    "#);
}

#[tokio::test]
async fn a_relationship_definition_with_edges_keeps_its_profiles() {
    let world = World::new().await;
    world
        .put("/sources/clinics/v1/profiles/nurse", &json!({"properties": {}}))
        .await;
    world
        .carried_out(BULK, json!([create("ada", "Ada"), create("bob", "Bob")]))
        .await;
    world
        .carried_out(
            "/sources/clinics/v1/relationships/bulk",
            json!([create_edge("ada", "bob")]),
        )
        .await;
    let mut other = refers_to();
    other["to"]["profileKey"] = json!("nurse");
    insta::assert_snapshot!(world.put(&format!("{DEFINITIONS}/refersTo"), &other).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"/to/profileKey: cannot change from 'provider' to 'nurse' while records exist","details":[{"type":"FAILED_PRECONDITION","message":"cannot change from 'provider' to 'nurse' while records exist","path":"/to/profileKey","rule":"profileKey"}]}
    "#);
}
