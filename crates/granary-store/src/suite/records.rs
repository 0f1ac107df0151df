//! Resources.

use super::Fixture;
use super::world::*;
use crate::{EdgeFilter, PAGE_BYTES_MAX, Store, may_go_on};

pub async fn a_record_shows_its_versions_and_times<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let first = world.put(&[create("person", "ann", 1)]).await.remove(0);
    let first = first.expect("it is stored").head;
    assert_eq!((first.version, first.created_at), (1, first.updated_at));
    let second = world.put(&[upsert("person", "ann", 2)]).await.remove(0);
    let second = second.expect("it is stored").head;
    assert_eq!((second.version, second.created_at), (2, first.created_at));
    assert!(second.updated_at > first.updated_at);
    world.bulk(&[upsert("person", "ann", 3)]).await;
    let third = world
        .record("person", &resource("ann"))
        .await
        .expect("it is stored")
        .head;
    assert_eq!((third.version, third.created_at), (3, first.created_at));
    assert!(third.updated_at > second.updated_at);
    world
        .bulk(&[delete("person", "ann"), create("person", "ann", 4)])
        .await;
    let again = world
        .record("person", &resource("ann"))
        .await
        .expect("it is stored")
        .head;
    assert_eq!((again.version, again.created_at), (1, again.updated_at));
    assert!(again.created_at > third.updated_at);
}

pub async fn no_two_states_of_a_record_have_one_stamp<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let mut stamps = Vec::new();
    for round in 0..3 {
        for op in [create("person", "ann", round), upsert("person", "ann", round + 1)] {
            if round == 1 {
                world.bulk(&[op]).await;
            } else {
                world.put(&[op]).await;
            }
            let ann = world
                .record("person", &resource("ann"))
                .await
                .expect("it is stored");
            stamps.push(ann.head.stamp);
        }
        world.put(&[delete("person", "ann")]).await;
    }
    let mut sorted = stamps.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted, stamps, "stamps grow");
}

pub async fn an_equal_upsert_changes_nothing<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[create("person", "ann", 1), create("person", "bob", 1)])
        .await;
    world.bulk(&[join("knows", "ann", "bob", 1)]).await;
    let ann = world.record("person", &resource("ann")).await;
    let knows = world.record("knows", &edge("ann", "bob")).await;
    assert_eq!(world.outcome(&[upsert("person", "ann", 1)]).await, [304]);
    assert_eq!(world.outcome(&[rejoin("knows", "ann", "bob", 1)]).await, [304]);
    world.put(&[upsert("person", "ann", 1)]).await;
    assert_eq!(world.record("person", &resource("ann")).await, ann);
    assert_eq!(world.record("knows", &edge("ann", "bob")).await, knows);
    // Equal to what is stored, not to what was stored once.
    assert_eq!(
        world
            .outcome(&[upsert("person", "ann", 2), upsert("person", "ann", 1)])
            .await,
        [200, 200]
    );
}

pub async fn an_id_may_stand_in_two_types<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[create("person", "paris", 1), create("place", "paris", 2)])
        .await;
    world.put(&[join("livesIn", "paris", "paris", 3)]).await;
    world.put(&[join("knows", "paris", "paris", 4)]).await;
    assert_eq!(world.body("person", "paris").await, Some(body(1)));
    assert_eq!(world.body("place", "paris").await, Some(body(2)));
    world.put(&[upsert("place", "paris", 5)]).await;
    assert_eq!(world.body("person", "paris").await, Some(body(1)));
    world.put(&[delete("place", "paris")]).await;
    assert_eq!(world.body("person", "paris").await, Some(body(1)));
    assert_eq!(world.body("place", "paris").await, None);
    assert_eq!(world.edge_ids("livesIn").await, Vec::<String>::new());
    assert_eq!(world.edge_ids("knows").await, ["paris.paris"]);
}

pub async fn resources_are_listed_in_byte_order_with_every_page_size<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let mut names = [
        "aa", "aa-", "aa-b", "aa0", "aaA", "aa_", "aaa", "ab", "AB", "Zz", "--", "-a", "09", "zz", "zzz",
    ];
    let ops: Vec<Op> = names.iter().map(|id| create("person", id, 1)).collect();
    world.bulk(&ops).await;
    // Neighbours on both sides.
    world
        .bulk(&[create("place", "--", 2), create("place", "zzzz", 2)])
        .await;
    names.sort_unstable();
    for page in 1..=names.len() + 1 {
        assert_eq!(
            ids(&world.resources("person", page).await),
            names,
            "pages of {page}"
        );
    }
    assert_eq!(ids(&world.resources("place", 1).await), ["--", "zzzz"]);
    let after = rid("aa-a");
    let number = world.number("person");
    let list = |after, limit| world.store.resources(&world.source, number, after, limit);
    let next = list(Some(&after), 2)
        .await
        .expect("listed after an id that is not there");
    assert_eq!(ids(&next), ["aa-b", "aa0"]);
    assert_eq!(list(None, 0).await.expect("an empty page"), []);
}

pub async fn a_page_of_large_bodies_ends_early_and_says_so<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let mega = |id: usize| upsert("person", &format!("p-{id:02}"), 0).with_body(vec![b'x'; 1 << 20]);
    world.bulk(&(0..20).map(mega).collect::<Vec<_>>()).await;
    let number = world.number("person");
    let page = world.store.resources(&world.source, number, None, 100).await;
    let page = page.expect("resources are listed");
    assert_eq!(page.len(), PAGE_BYTES_MAX >> 20);
    assert!(may_go_on(&page, 100));
    assert_eq!(world.resources("person", 100).await.len(), 20);
}

pub async fn a_body_is_the_last_one_written_wherever_it_was_before<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    // Written alone, by a small request, by a large one, without a body: from each to each.
    let ways = 4;
    for before in 0..ways {
        for after in 0..ways {
            let id = format!("id-{before}-{after}");
            for (turn, way) in [before, after, after, before].into_iter().enumerate() {
                let seed = (before * 100 + after * 10 + turn) as u64;
                let op = upsert("person", &id, 0);
                let op = match way {
                    0 | 1 => op.with_body(noise(100, seed)),
                    2 => op.with_body(noise(70_000, seed)),
                    _ => op.with_body(Vec::new()),
                };
                match way {
                    0 => _ = world.put(std::slice::from_ref(&op)).await,
                    _ => _ = world.bulk(std::slice::from_ref(&op)).await,
                }
                let found = world.body("person", &id).await;
                assert!(found.as_ref() == Some(&op.body), "{id}, turn {turn}");
            }
            world.put(&[delete("person", &id)]).await;
            assert_eq!(world.body("person", &id).await, None);
            world.put(&[create("person", &id, 7)]).await;
            assert_eq!(world.body("person", &id).await, Some(body(7)));
        }
    }
}

pub async fn records_read_together_stand_as_they_were_asked_for<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world
        .bulk(&[create("person", "ann", 1), create("person", "bob", 2)])
        .await;
    world.bulk(&[join("knows", "ann", "bob", 3)]).await;
    let (person, place, knows) = (
        world.number("person"),
        world.number("place"),
        world.number("knows"),
    );
    let wanted = [
        (person, resource("bob")),
        (knows, edge("ann", "bob")),
        (place, resource("bob")),
        (person, resource("ann")),
        (knows, edge("bob", "ann")),
        (person, resource("bob")),
    ];
    let found = world.store.records(&world.source, &wanted).await;
    let found = found.expect("records are read");
    let names = ["person", "knows", "place", "person", "knows", "person"];
    for ((found, name), (_, id)) in found.iter().zip(names).zip(&wanted) {
        assert_eq!(*found, world.record(name, id).await);
    }
    assert_eq!(
        found.iter().map(Option::is_some).collect::<Vec<_>>(),
        [true, true, false, true, false, true]
    );
    let none = world.store.records(&world.source, &[]).await;
    assert_eq!(none.expect("nothing is read"), []);
}

pub async fn records_read_together_are_of_one_moment<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    let both = |n| [upsert("person", "ann", n), upsert("place", "rome", n)];
    world.put(&both(0)).await;
    let wanted = [
        (world.number("person"), resource("ann")),
        (world.number("place"), resource("rome")),
    ];
    let writing = async {
        for n in 1..50 {
            world.put(&both(n)).await;
        }
    };
    let reading = async {
        let mut last = None;
        while last != Some(body(49)) {
            let found = world.store.records(&world.source, &wanted).await;
            let bodies = found.expect("records are read").into_iter().map(|record| {
                let record = record.expect("it is stored");
                record.body.to_vec()
            });
            let bodies: Vec<Vec<u8>> = bodies.collect();
            assert_eq!(bodies[0], bodies[1]);
            last = bodies.into_iter().next();
        }
    };
    futures::join!(writing, reading);
}

pub async fn what_does_not_exist_is_not_found<F: Fixture>(fixture: &F) {
    let world = World::new(fixture.fresh().await).await;
    world.put(&[create("person", "ann", 1)]).await;
    assert_eq!(world.record("person", &resource("an")).await, None);
    assert_eq!(world.record("person", &resource("anna")).await, None);
    assert_eq!(world.record("place", &resource("ann")).await, None);
    assert_eq!(world.record("knows", &edge("ann", "ann")).await, None);
    let (store, source) = (&world.store, &world.source);
    let unknown = 4_000_000_000;
    let found = store.record(source, unknown, &resource("ann")).await;
    assert_eq!(found.expect("it is looked for"), None);
    let found = store.resources(source, unknown, None, 10).await;
    assert_eq!(found.expect("they are listed"), []);
    let found = store
        .relationships(source, unknown, &EdgeFilter::default(), None, 10)
        .await;
    assert_eq!(found.expect("they are listed"), []);
}
