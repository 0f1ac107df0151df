//! Marks: edges of deleted resources that are still to be removed.

use granary_core::error::{ErrorObject, ErrorType};
use granary_store::suite::Fixture;
use granary_store::suite::world::*;
use granary_store::{Step, Store as _};

use crate::OnDisk;

#[tokio::test]
async fn no_operation_is_given_up_while_edges_are_removed() {
    let world = World::new(OnDisk::default().fresh().await).await;
    let people = ["hub", "aa", "bb", "cc"].map(|id| create("person", id, 1));
    world.bulk(&people).await;
    world
        .bulk(&["aa", "bb", "cc"].map(|id| join("knows", "hub", id, 1)))
        .await;
    let task = world
        .accept(&[delete("person", "hub"), create("person", "dd", 1)])
        .await;
    let lane = world.claim().await.unwrap();
    // The chunk has room for fewer edges than there are, so they are left to be removed after it.
    assert_eq!(world.step(&lane, operations(1)).await, Step::Applied(1));
    let error = ErrorObject::new(ErrorType::Internal, "this one cannot be tried");
    let step = world.store.fail_operation(&lane, error, world.now()).await;
    assert_eq!(step.unwrap(), Step::Applied(0));
    assert_eq!(world.step(&lane, operations(1)).await, Step::Tidied);
    world.drain(&lane, operations(1)).await;
    world.settle().await;
    let task = world.task(&task).await;
    assert_eq!(codes(&world.receipts(&task).await), [200, 200]);
}
