//! Edges.

use super::Fixture;
use super::world::*;
use crate::{EdgeFilter, Store};

fn from(id: &str) -> EdgeFilter {
    EdgeFilter {
        from: Some(rid(id)),
        to: None,
    }
}

fn to(id: &str) -> EdgeFilter {
    EdgeFilter {
        from: None,
        to: Some(rid(id)),
    }
}

async fn people<F: Fixture>(fixture: &F, names: &[&str]) -> World<F::Store> {
    let world = World::new(fixture.fresh().await).await;
    let ops: Vec<Op> = names.iter().map(|id| create("person", id, 1)).collect();
    world.bulk(&ops).await;
    world
}

pub async fn an_edge_needs_both_its_ends<F: Fixture>(fixture: &F) {
    let world = people(fixture, &["ann", "bob"]).await;
    world.put(&[create("place", "rome", 1)]).await;
    let ops = [
        join("livesIn", "ann", "rome", 1),
        join("livesIn", "ann", "bob", 1),
        join("livesIn", "rome", "rome", 1),
        rejoin("livesIn", "zoe", "rome", 1),
        rejoin("livesIn", "zoe", "zoe", 1),
    ];
    assert_eq!(world.outcome(&ops).await, [200, 404, 404, 404, 404]);
    for op in &ops[1..] {
        let refused = world.refused(std::slice::from_ref(op)).await;
        assert_eq!(verdict_codes(&refused), [404]);
    }
    assert_eq!(world.edge_ids("livesIn").await, ["ann.rome"]);
}

pub async fn a_bounded_end_has_room_for_one_edge<F: Fixture>(fixture: &F) {
    let world = people(fixture, &["ann", "bob", "cyd"]).await;
    world
        .bulk(&[create("place", "rome", 1), create("place", "oslo", 1)])
        .await;
    let lives = [
        join("livesIn", "ann", "rome", 1),
        join("livesIn", "ann", "oslo", 1),
        rejoin("livesIn", "ann", "oslo", 1),
        rejoin("livesIn", "ann", "rome", 2),
        join("livesIn", "bob", "rome", 1),
        part("livesIn", "ann", "rome"),
        rejoin("livesIn", "ann", "oslo", 1),
    ];
    assert_eq!(world.outcome(&lives).await, [200, 400, 400, 200, 200, 200, 200]);
    let partners = [
        join("partner", "ann", "bob", 1),
        join("partner", "ann", "cyd", 1),
        join("partner", "cyd", "bob", 1),
        join("partner", "bob", "ann", 1),
        join("partner", "cyd", "cyd", 1),
    ];
    assert_eq!(world.outcome(&partners).await, [200, 400, 400, 200, 200]);
    for op in [
        join("livesIn", "bob", "oslo", 1),
        rejoin("partner", "ann", "ann", 1),
    ] {
        assert_eq!(verdict_codes(&world.refused(&[op]).await), [400]);
    }
    world.put(&[delete("person", "bob")]).await;
    assert_eq!(
        world.outcome(&[join("partner", "ann", "ann", 1)]).await,
        [200],
        "what went with bob leaves room"
    );
}

pub async fn an_edge_may_join_a_resource_with_itself<F: Fixture>(fixture: &F) {
    let world = people(fixture, &["ann", "bob"]).await;
    world
        .put(&[
            join("knows", "ann", "ann", 1),
            join("knows", "ann", "bob", 1),
            join("partner", "ann", "ann", 1),
        ])
        .await;
    assert_eq!(
        ids(&world.edges("knows", &from("ann"), 10).await),
        ["ann.ann", "ann.bob"]
    );
    assert_eq!(ids(&world.edges("knows", &to("ann"), 10).await), ["ann.ann"]);
    world.put(&[rejoin("partner", "ann", "ann", 2)]).await;
    let refused = world.refused(&[join("partner", "ann", "bob", 1)]).await;
    assert_eq!(verdict_codes(&refused), [400]);
    world.put(&[delete("person", "ann")]).await;
    assert_eq!(world.edge_ids("knows").await, Vec::<String>::new());
    assert_eq!(world.edge_ids("partner").await, Vec::<String>::new());
    world.put(&[create("person", "ann", 1)]).await;
    assert_eq!(world.edges("knows", &to("ann"), 10).await, []);
    assert_eq!(world.edges("knows", &from("ann"), 10).await, []);
}

pub async fn a_deleted_resource_takes_its_edges_along<F: Fixture>(fixture: &F) {
    let world = people(fixture, &["ann", "bob", "cyd"]).await;
    world
        .bulk(&[create("place", "rome", 1), create("place", "bob", 1)])
        .await;
    let edges = [
        join("knows", "ann", "bob", 1),
        join("knows", "bob", "ann", 1),
        join("knows", "bob", "cyd", 1).with_body(noise(70_000, 1)),
        join("knows", "bob", "bob", 1),
        join("knows", "ann", "cyd", 1),
    ];
    world.bulk(&edges).await;
    world
        .bulk(&[
            join("livesIn", "bob", "bob", 1),
            join("livesIn", "ann", "rome", 1),
            join("livesIn", "cyd", "bob", 1),
            join("partner", "cyd", "bob", 1),
        ])
        .await;
    let in_one = [
        delete("person", "bob"),
        delete("person", "bob"),
        create("person", "bob", 2),
    ];
    assert_eq!(world.outcome(&in_one).await, [200, 404, 200]);
    assert_eq!(world.edge_ids("knows").await, ["ann.cyd"]);
    assert_eq!(
        world.edge_ids("livesIn").await,
        ["ann.rome", "cyd.bob"],
        "the place of the same id keeps its own"
    );
    assert_eq!(world.edge_ids("partner").await, Vec::<String>::new());
    for (name, gone) in [("knows", edge("bob", "cyd")), ("livesIn", edge("bob", "bob"))] {
        assert_eq!(world.record(name, &gone).await, None);
    }
    assert_eq!(world.edges("knows", &to("bob"), 10).await, []);
    assert_eq!(world.outcome(&[part("knows", "ann", "bob")]).await, [404]);
    assert_eq!(world.outcome(&[join("knows", "ann", "bob", 1)]).await, [200]);
    world.put(&[delete("place", "bob")]).await;
    assert_eq!(world.edge_ids("livesIn").await, ["ann.rome"]);
    assert_eq!(world.edge_ids("knows").await, ["ann.bob", "ann.cyd"]);
}

pub async fn an_id_that_starts_another_keeps_its_edges_apart<F: Fixture>(fixture: &F) {
    let names = ["aa", "aa-", "aaa", "aa0", "a-"];
    let world = people(fixture, &names).await;
    let mut ops = Vec::new();
    for near in names {
        for far in names {
            ops.push(join("knows", near, far, 1));
        }
    }
    for near in names {
        ops.push(join("partner", near, near, 1));
    }
    assert!(world.outcome(&ops).await.iter().all(|code| *code == 200));
    for filter in [from("aa"), to("aa")] {
        assert_eq!(world.edges("knows", &filter, 2).await.len(), 5);
    }
    world.put(&[delete("person", "aa")]).await;
    for other in &names[1..] {
        for filter in [from(other), to(other)] {
            assert_eq!(world.edges("knows", &filter, 2).await.len(), 4, "{other}");
        }
        assert!(world.record("partner", &edge(other, other)).await.is_some());
    }
    assert_eq!(world.edge_ids("knows").await.len(), 16);
}

pub async fn edges_are_listed_by_either_end_with_every_page_size<F: Fixture>(fixture: &F) {
    let names = ["ab", "a-b", "abc", "Ab", "_", "zz"].map(|id| if id == "_" { "a_" } else { id });
    let world = people(fixture, &names).await;
    let mut pairs = Vec::new();
    for (at, near) in names.into_iter().enumerate() {
        for (other, far) in names.into_iter().enumerate() {
            if (at * 7 + other * 3) % 4 != 0 {
                pairs.push((near, far));
            }
        }
    }
    let ops: Vec<Op> = pairs
        .iter()
        .map(|(near, far)| join("knows", near, far, 1))
        .collect();
    world.bulk(&ops).await;
    pairs.sort_unstable();
    let text = |pairs: &[&(&str, &str)]| -> Vec<String> {
        pairs.iter().map(|(near, far)| format!("{near}.{far}")).collect()
    };
    for page in [1, 2, 3, 5, 100] {
        let all: Vec<_> = pairs.iter().collect();
        assert_eq!(
            ids(&world.edges("knows", &EdgeFilter::default(), page).await),
            text(&all)
        );
        for name in names {
            let out: Vec<_> = pairs.iter().filter(|(near, _)| *near == name).collect();
            assert_eq!(ids(&world.edges("knows", &from(name), page).await), text(&out));
            let inward: Vec<_> = pairs.iter().filter(|(_, far)| *far == name).collect();
            assert_eq!(ids(&world.edges("knows", &to(name), page).await), text(&inward));
            for other in names {
                let both = EdgeFilter {
                    from: Some(rid(name)),
                    to: Some(rid(other)),
                };
                let one: Vec<_> = pairs.iter().filter(|pair| **pair == (name, other)).collect();
                assert_eq!(ids(&world.edges("knows", &both, page).await), text(&one));
            }
        }
    }
}

pub async fn a_list_of_edges_goes_on_after_any_place<F: Fixture>(fixture: &F) {
    let names = ["aa", "bb", "cc", "dd"];
    let world = people(fixture, &names).await;
    let mut ops = Vec::new();
    for near in names {
        for far in names {
            ops.push(join("knows", near, far, 1));
        }
    }
    world.bulk(&ops).await;
    let number = world.number("knows");
    let places = ["a-", "aa", "bb", "bb0", "cc", "zz"];
    for filter in [EdgeFilter::default(), from("bb"), to("bb")] {
        let all = world.edges("knows", &filter, 100).await;
        for near in places {
            for far in places {
                let after = (rid(near), rid(far));
                let expected: Vec<String> = all
                    .iter()
                    .filter(|record| ends(&record.id) > after)
                    .map(|record| record.id.to_string())
                    .collect();
                let found = world
                    .store
                    .relationships(&world.source, number, &filter, Some((&after.0, &after.1)), 100)
                    .await;
                let found = ids(&found.expect("edges are listed"));
                assert_eq!(found, expected, "{filter:?} after {after:?}");
            }
        }
    }
}

pub async fn an_edge_without_data_has_an_empty_body<F: Fixture>(fixture: &F) {
    let world = people(fixture, &["ann", "bob"]).await;
    let bare = |from: &str, to: &str| join("knows", from, to, 0).with_body(Vec::new());
    world.bulk(&[bare("ann", "bob")]).await;
    world.put(&[bare("bob", "ann")]).await;
    for id in [edge("ann", "bob"), edge("bob", "ann")] {
        let found = world.record("knows", &id).await.expect("it is stored");
        assert_eq!(found.body.as_ref(), b"");
        let (near, far) = ends(&id);
        let again = rejoin("knows", near.as_str(), far.as_str(), 0).with_body(Vec::new());
        assert_eq!(world.outcome(&[again]).await, [304]);
    }
    assert_eq!(world.outcome(&[rejoin("knows", "ann", "bob", 1)]).await, [200]);
    let found = world.record("knows", &edge("ann", "bob")).await;
    assert_eq!(found.expect("it is stored").body.as_ref(), body(1));
}

pub async fn edges_of_two_types_are_apart<F: Fixture>(fixture: &F) {
    let world = people(fixture, &["ann", "bob"]).await;
    world
        .bulk(&[join("knows", "ann", "bob", 1), join("partner", "ann", "bob", 2)])
        .await;
    world.bulk(&[part("knows", "ann", "bob")]).await;
    assert_eq!(world.edge_ids("knows").await, Vec::<String>::new());
    assert_eq!(world.edge_ids("partner").await, ["ann.bob"]);
    let found = world.record("partner", &edge("ann", "bob")).await;
    assert_eq!(found.expect("it is stored").body.as_ref(), body(2));
}
