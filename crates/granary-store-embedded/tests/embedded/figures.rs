//! What the store tells of itself.

use granary_store::suite::world::*;
use granary_store::{FigureValue, Store};

use crate::OnDisk;
use granary_store::suite::Fixture;

fn value<S: Store>(store: &S, name: &str) -> f64 {
    let figures = store.figures();
    let of_name: Vec<_> = figures.iter().filter(|figure| figure.name == name).collect();
    match of_name.as_slice() {
        [figure] => match figure.value {
            FigureValue::Counter(value) | FigureValue::Gauge(value) => value,
        },
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_and_the_journal_are_told() {
    let world = World::new(OnDisk::default().fresh().await).await;
    let before = value(&world.store, "syncs");
    world.put(&[create("person", "ann", 1)]).await;
    // It was durable when it returned.
    assert!(value(&world.store, "syncs") > before);
    assert!(value(&world.store, "sync_seconds") > 0.0);
    assert!(value(&world.store, "journal_bytes") > 0.0);
    assert_eq!(value(&world.store, "damaged_segments"), 0.0);
}
