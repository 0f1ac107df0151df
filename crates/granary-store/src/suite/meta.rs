//! What records carry beside their content.

use granary_core::decide::Guard;

use super::world::*;
use super::{Fixture, reopen_or_skip};
use crate::Written;

const TAX: &str = "tax:1:official";
const VAT: &str = "vat:1:official";

pub async fn identifiers_are_kept_until_others_are_sent<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let shown = async |id: &str| {
        let record = world.record("person", &resource(id)).await.expect("it is stored");
        String::from_utf8(record.identifiers.to_vec()).expect("identifiers are text")
    };
    let ops = [
        create("person", "ann", 1).identified_by(&[TAX, VAT]),
        upsert("person", "ann", 2),
        create("person", "bob", 1).identified_by(&[TAX]),
        upsert("person", "bob", 1).identified_by(&[VAT]),
        create("person", "cyd", 1).identified_by(&[TAX]),
        upsert("person", "cyd", 1).identified_by(&[]),
        create("person", "dan", 1).identified_by(&[TAX]),
        delete("person", "dan"),
        create("person", "dan", 1),
    ];
    for chunk in [1, 2, 100] {
        world.accept(&ops).await;
        world.apply_all(operations(chunk)).await;
        assert_eq!(
            shown("ann").await,
            format!("{:?}", [TAX, VAT]),
            "chunks of {chunk}"
        );
        assert_eq!(shown("bob").await, format!("{:?}", [VAT]));
        assert_eq!(
            (shown("cyd").await.as_str(), shown("dan").await.as_str()),
            ("", "")
        );
        for page in [1, 2, 10] {
            assert_eq!(world.identified("person", TAX, page).await, ["ann"]);
            assert_eq!(world.identified("person", VAT, page).await, ["ann", "bob"]);
        }
        let all = ["ann", "bob", "cyd", "dan"].map(|id| delete("person", id));
        assert_eq!(world.outcome(&all).await, [200; 4]);
        assert!(world.identified("person", TAX, 10).await.is_empty());
    }
    assert!(world.identified("place", VAT, 10).await.is_empty());
}

pub async fn meta_of_large_requests_comes_back<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let long = format!("system:{}:official", "v".repeat(1_000));
    let ops: Vec<Op> = (0..300)
        .map(|n| {
            let notation = format!("number:{n}:official");
            let op = create("person", &format!("p-{n}"), n).with_body(noise(400, u64::from(n)));
            op.identified_by(&[&long, &notation]).imported(i64::from(n), None)
        })
        .collect();
    world.bulk(&ops).await;
    assert_eq!(world.identified("person", &long, 7).await.len(), 300);
    for n in [0, 150, 299] {
        let found = world
            .identified("person", &format!("number:{n}:official"), 10)
            .await;
        assert_eq!(found, [format!("p-{n}")]);
        let record = world
            .record("person", &resource(&format!("p-{n}")))
            .await
            .expect("it is stored");
        assert_eq!(record.head.created_at.millis(), n);
    }
}

pub async fn imported_times_are_kept<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let ops = [
        create("person", "ann", 1).imported(1_000, Some(2_000)),
        upsert("person", "ann", 1).imported(1_000, Some(2_000)),
        upsert("person", "ann", 1).imported(1_000, Some(3_000)),
        upsert("person", "bob", 1).imported(5_000, None),
    ];
    assert_eq!(world.outcome(&ops).await, [200, 304, 200, 200]);
    let times = async |id: &str| {
        let head = world
            .record("person", &resource(id))
            .await
            .expect("it is stored")
            .head;
        (head.created_at.millis(), head.updated_at.millis(), head.version)
    };
    assert_eq!(times("ann").await, (1_000, 3_000, 2));
    let (created_at, updated_at, version) = times("bob").await;
    assert!(created_at == 5_000 && updated_at > 1_000_000 && version == 1);
    world.bulk(&[upsert("person", "ann", 2)]).await;
    let (created_at, updated_at, version) = times("ann").await;
    assert!(created_at == 1_000 && updated_at > 1_000_000 && version == 3);
}

pub async fn an_edge_keeps_its_meta<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    world
        .bulk(&[join("knows", "ann", "bob", 1)
            .identified_by(&[TAX])
            .imported(7, Some(8))])
        .await;
    let found = async || world.record("knows", &edge("ann", "bob")).await;
    let record = found().await.expect("it is stored");
    assert_eq!(record.identifiers.as_ref(), format!("{:?}", [TAX]).as_bytes());
    assert_eq!(
        (record.head.created_at.millis(), record.head.updated_at.millis()),
        (7, 8)
    );
    world.put(&[rejoin("knows", "ann", "bob", 2)]).await;
    assert_eq!(
        found().await.expect("it is stored").identifiers,
        record.identifiers
    );
    world.put(&[delete("person", "bob")]).await;
    world
        .put(&[create("person", "bob", 1), join("knows", "ann", "bob", 1)])
        .await;
    assert!(found().await.expect("it is stored").identifiers.is_empty());
}

pub async fn a_write_answers_the_meta_it_leaves<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let steps = [
        upsert("person", "ann", 1).identified_by(&[TAX]),
        upsert("person", "ann", 1),
        upsert("person", "ann", 2),
        upsert("person", "ann", 2).identified_by(&[VAT]),
        upsert("person", "ann", 2).identified_by(&[]),
        upsert("person", "ann", 3)
            .identified_by(&[TAX, VAT])
            .imported(1, Some(2)),
    ];
    for op in steps {
        let answered = world.put(std::slice::from_ref(&op)).await;
        let stored = world.record("person", &resource("ann")).await;
        assert_eq!(answered, [stored], "{op:?}");
    }
}

pub async fn a_guard_lets_one_state_through<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let codes = async |op: Op, guard: Guard| match world.try_guarded(&[op], Some(guard)).await {
        Ok(Written::Refused(verdicts)) => verdict_codes(&verdicts),
        Ok(Written::Persisted { verdicts, .. }) => verdict_codes(&verdicts),
        Err(error) => panic!("a write is decided: {error}"),
    };
    let stamp = async || {
        world
            .record("person", &resource("ann"))
            .await
            .expect("it is stored")
            .head
            .stamp
    };
    assert_eq!(codes(upsert("person", "ann", 1), Guard::Exists).await, [412]);
    assert_eq!(codes(upsert("person", "ann", 1), Guard::Absent).await, [200]);
    assert_eq!(codes(upsert("person", "ann", 1), Guard::Absent).await, [412]);
    let first = stamp().await;
    assert_eq!(
        codes(upsert("person", "ann", 2), Guard::Stamp(vec![first])).await,
        [200]
    );
    assert_eq!(
        codes(upsert("person", "ann", 3), Guard::Stamp(vec![first])).await,
        [412]
    );
    assert_eq!(
        codes(delete("person", "ann"), Guard::Stamp(vec![first])).await,
        [412]
    );
    world.put(&[delete("person", "ann")]).await;
    world.put(&[create("person", "ann", 1)]).await;
    assert_ne!(stamp().await, first, "a record created again is another one");
    assert_eq!(codes(delete("person", "ann"), Guard::Exists).await, [200]);
}

pub async fn identifiers_stay_over_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[create("person", "ann", 1)
            .identified_by(&[TAX])
            .imported(1, Some(2))])
        .await;
    let before = world.record("person", &resource("ann")).await;
    let world = reopen_or_skip!(fixture, world, "meta::identifiers_stay_over_a_reopen");
    assert_eq!(world.record("person", &resource("ann")).await, before);
    assert_eq!(world.identified("person", TAX, 10).await, ["ann"]);
}
