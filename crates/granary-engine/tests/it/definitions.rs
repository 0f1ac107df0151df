//! Changes of definitions.

use granary_core::error::ErrorType;
use granary_core::limits::Limits;
use granary_core::schema::DefinitionKind::{Profile, RelationshipDefinition};
use granary_engine::Expected;
use serde_json::json;

use crate::world::{World, key};

#[tokio::test]
async fn a_profile_that_is_named_cannot_be_deleted_until_nothing_names_it() {
    let world = World::at_rest(Limits::default()).await;
    let source = key("clinics");
    let delete = async |kind, name| {
        let anything = Expected::Anything;
        world
            .engine
            .delete_definition(&source, kind, &key(name), anything)
            .await
    };
    let error = delete(Profile, "provider").await.unwrap_err();
    assert_eq!(error.error_type, ErrorType::FailedPrecondition);
    assert_eq!(
        error.message,
        "profile 'provider' is in use: relationship definition 'worksWith' names it at /from/profileKey; change \
         that first"
    );
    delete(RelationshipDefinition, "worksWith").await.unwrap();
    delete(Profile, "provider").await.unwrap();
    let error = delete(Profile, "provider").await.unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (404, "profile 'provider' does not exist")
    );
}

#[tokio::test]
async fn definitions_changed_at_the_same_time_are_all_stored() {
    let world = World::at_rest(Limits::default()).await;
    let (source, profile) = (key("clinics"), json!({"properties": {}}));
    let puts = (0..40).map(|n| {
        let (world, source, profile) = (&world, &source, &profile);
        async move { world.define(source, Profile, &format!("p{n}"), profile).await }
    });
    for done in futures::future::join_all(puts).await {
        done.unwrap();
    }
    let source = world.engine.source(&source).await.unwrap();
    assert_eq!(world.store.definitions(&source).await.unwrap().list.len(), 43);
}

#[tokio::test]
async fn a_definition_with_faults_is_refused() {
    let world = World::at_rest(Limits::default()).await;
    let bad = json!({"properties": {"a": {"type": "nothing"}, "b": {"type": "symbol", "rules": [{"pattern": "("}]}}});
    let error = world
        .define(&key("clinics"), Profile, "bad", &bad)
        .await
        .unwrap_err();
    assert_eq!((error.code, error.details.len()), (400, 2), "{error:?}");
    let nowhere = world
        .define(&key("nowhere"), Profile, "bad", &bad)
        .await
        .unwrap_err();
    assert_eq!(nowhere.code, 404);
}
