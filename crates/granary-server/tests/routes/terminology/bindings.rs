use granary_core::limits::Limits;
use serde_json::{Value, json};

use super::{CONCEPTS, VOCABULARIES};
use crate::world::{BULK, World};

const PENS: &str = "/sources/clinics/v1/resources/pen";

/// A profile of pens with a colour that is bound to the vocabulary `colours`.
fn pen(strength: &str) -> Value {
    let binding = json!({"vocabulary": {"key": "colours", "strength": strength}});
    json!({"properties": {"colour": {"type": "code", "binding": binding}}})
}

fn of_colour(colour: &str) -> Value {
    json!({"data": {"colour": colour}})
}

impl World {
    async fn define_pen(&self, strength: &str) -> String {
        self.put("/sources/clinics/v1/profiles/pen", &pen(strength)).await
    }
}

#[tokio::test]
async fn a_profile_is_bound_to_a_vocabulary_that_exists() {
    let world = World::new().await;
    insta::assert_snapshot!(world.define_pen("preferred").await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"/properties/colour/binding/vocabulary/key: vocabulary 'colours' is not known","details":[{"type":"INVALID_ARGUMENT","message":"vocabulary 'colours' is not known","path":"/properties/colour/binding/vocabulary/key","rule":"binding"}]}
    "#);
    world
        .put(&format!("{VOCABULARIES}/colours"), &json!({"title": "Colours"}))
        .await;
    assert!(world.define_pen("preferred").await.starts_with("201"));
    insta::assert_snapshot!(world.delete(&format!("{VOCABULARIES}/colours")).await, @r#"
    400
    {"code":400,"type":"FAILED_PRECONDITION","message":"vocabulary 'colours' is in use: profile 'pen' of source 'clinics' is bound to it; change that first"}
    "#);
    world.delete("/sources/clinics/v1/profiles/pen").await;
    assert!(
        world
            .delete(&format!("{VOCABULARIES}/colours"))
            .await
            .starts_with("200")
    );
}

#[tokio::test]
async fn a_record_is_judged_by_the_concepts_in_force() {
    let world = World::with_colours().await;
    world.define_pen("required").await;
    assert!(world.post(PENS, &of_colour("red")).await.starts_with("201"));
    insta::assert_snapshot!(world.post(PENS, &of_colour("rde")).await, @r#"
    400
    {"code":400,"type":"INVALID_ARGUMENT","message":"/data/colour: 'rde' is not a code of the vocabulary 'colours'","details":[{"type":"INVALID_ARGUMENT","message":"'rde' is not a code of the vocabulary 'colours'","path":"/data/colour","rule":"binding"}]}
    "#);
    assert!(world.post(PENS, &of_colour("blue")).await.starts_with("400"));
    world.put(&format!("{CONCEPTS}/blue"), &json!({})).await;
    assert!(world.post(PENS, &of_colour("blue")).await.starts_with("201"));
    world.delete(&format!("{CONCEPTS}/red")).await;
    assert!(world.post(PENS, &of_colour("red")).await.starts_with("400"));
    let write = |colour| json!([{"action": "CREATE", "create": {"type": "pen", "data": {"colour": colour}}}]);
    world.carried_out(BULK, write("blue")).await;
    insta::assert_snapshot!(world.post(BULK, &json!({"operations": write("red")})).await, @r#"
    400
    {"status":"REJECTED","receipts":[{"status":"FAILURE","error":{"code":400,"type":"INVALID_ARGUMENT","message":"/create/data/colour: 'red' is not a code of the vocabulary 'colours'","details":[{"type":"INVALID_ARGUMENT","message":"'red' is not a code of the vocabulary 'colours'","path":"/create/data/colour","rule":"binding"}]}}]}
    "#);
    // What a binding prefers it does not require.
    world.define_pen("preferred").await;
    assert!(world.post(PENS, &of_colour("red")).await.starts_with("201"));
}

#[tokio::test]
async fn codes_that_requests_still_hold_leave_room_or_the_next_one_waits() {
    let mut limits = Limits::default();
    limits.concept_code_bytes = 2 * 67;
    let world = World::limited(limits).await;
    world
        .put(&format!("{VOCABULARIES}/colours"), &json!({"title": "Colours"}))
        .await;
    world.put(&format!("{CONCEPTS}/red"), &json!({})).await;
    world.define_pen("required").await;
    let source = world.engine.source(&"clinics".parse().unwrap()).await.unwrap();
    let schema = world.engine.schema(&source).await.unwrap();
    let held = world.engine.vocabularies(&schema).await.unwrap();
    assert!(held.get("colours").unwrap().contains("red"));
    // The two of the new revision fit, but not beside the one that is held.
    world.put(&format!("{CONCEPTS}/sea"), &json!({})).await;
    insta::assert_snapshot!(world.post(PENS, &of_colour("sea")).await, @r#"
    429
    retry-after: 1
    {"code":429,"type":"RESOURCE_EXHAUSTED","message":"the codes that are needed to check do not fit into the limit conceptCodeBytes of 134 together with those of other requests; send the request again later"}
    "#);
    drop(held);
    assert!(world.post(PENS, &of_colour("sea")).await.starts_with("201"));
}
