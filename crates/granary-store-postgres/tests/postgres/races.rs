//! Two nodes that work on the same records at the same time: whatever they answer and leave is what some order of the
//! two, one after the other, would have answered and left. The reference store plays the orders.

use granary_store::suite::world::*;

use crate::race::{Bulk, Guarded, Race, Side, Write};

/// Races the same two so many times.
async fn races(rounds: usize, before: &[Op], sides: [Side; 2]) -> Race {
    let mut race = Race::new().await;
    for round in 0..rounds {
        let mut sides = sides.clone();
        if round % 3 == 0 {
            sides.reverse();
        }
        race.round(round, before, sides).await;
    }
    race.see_that_edges_are_whole().await;
    race
}

fn persons(ids: &[&str]) -> Vec<Op> {
    ids.iter().map(|id| create("person", id, 0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_equal_upsert_against_one_with_other_content() {
    let before = persons(&["aa"]);
    let equal = vec![upsert("person", "aa", 0)];
    races(
        100,
        &before,
        [Bulk(equal.clone()), Write(vec![upsert("person", "aa", 1)])],
    )
    .await;
    races(
        100,
        &before,
        [Write(equal), Write(vec![upsert("person", "aa", 1)])],
    )
    .await;
    // With another record, which the two write one after the other.
    let before = persons(&["aa", "bb"]);
    let equal = vec![upsert("person", "aa", 0), upsert("person", "bb", 1)];
    let other = vec![upsert("person", "aa", 1), upsert("person", "bb", 2)];
    races(50, &before, [Bulk(equal.clone()), Write(other.clone())]).await;
    races(50, &before, [Bulk(other), Write(equal)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_against_a_create() {
    let other = vec![create("person", "aa", 1)];
    races(100, &[], [Bulk(persons(&["aa"])), Write(other.clone())]).await;
    races(100, &[], [Write(persons(&["aa"])), Write(other)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_against_a_delete() {
    let gone = vec![delete("person", "aa")];
    races(50, &[], [Bulk(persons(&["aa"])), Write(gone.clone())]).await;
    races(50, &[], [Bulk(gone.clone()), Write(persons(&["aa"]))]).await;
    races(
        50,
        &persons(&["aa"]),
        [Bulk(persons(&["aa"])), Write(gone.clone())],
    )
    .await;
    races(50, &persons(&["aa"]), [Bulk(gone), Write(persons(&["aa"]))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_against_an_upsert() {
    let (gone, put) = (vec![delete("person", "aa")], vec![upsert("person", "aa", 1)]);
    races(50, &persons(&["aa"]), [Bulk(gone.clone()), Write(put.clone())]).await;
    races(50, &persons(&["aa"]), [Bulk(put.clone()), Write(gone.clone())]).await;
    races(50, &persons(&["aa"]), [Write(put), Write(gone)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_against_the_delete_of_its_end() {
    let before = persons(&["aa", "bb"]);
    let joined = vec![join("knows", "aa", "bb", 0)];
    for end in ["aa", "bb"] {
        let gone = vec![delete("person", end)];
        races(60, &before, [Bulk(joined.clone()), Write(gone.clone())]).await;
        races(60, &before, [Bulk(gone), Write(joined.clone())]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_edges_at_an_end_with_room_for_one() {
    let mut before = persons(&["aa", "bb", "cc"]);
    before.extend(["xx", "yy"].map(|id| create("place", id, 0)));
    let one = |from: &str, to: &str| vec![join("partner", from, to, 0)];
    // At `from`, at `to`, and at the `from` of a type whose other end has room for any number.
    races(70, &before, [Bulk(one("aa", "bb")), Write(one("aa", "cc"))]).await;
    races(70, &before, [Bulk(one("bb", "aa")), Write(one("cc", "aa"))]).await;
    let lives = |place: &str| vec![join("livesIn", "aa", place, 0)];
    races(70, &before, [Bulk(lives("xx")), Write(lives("yy"))]).await;
    races(70, &before, [Write(one("aa", "bb")), Write(one("aa", "cc"))]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_against_the_end_of_the_one_that_takes_its_room() {
    let mut before = persons(&["aa", "bb", "cc"]);
    before.push(join("partner", "aa", "bb", 0));
    let next = vec![join("partner", "aa", "cc", 0)];
    races(
        60,
        &before,
        [Bulk(vec![part("partner", "aa", "bb")]), Write(next.clone())],
    )
    .await;
    races(
        60,
        &before,
        [Bulk(next.clone()), Write(vec![delete("person", "bb")])],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_against_a_chunk_on_the_same_records_in_another_order() {
    let names: Vec<String> = (0..8).map(|at| format!("p{at}")).collect();
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let ops = |content| -> Vec<Op> { ids.iter().map(|id| upsert("person", id, content)).collect() };
    let turned = |ops: Vec<Op>| -> Vec<Op> { ops.into_iter().rev().collect() };
    let edges: Vec<Op> = ids
        .windows(2)
        .map(|two| join("knows", two[0], two[1], 0))
        .collect();
    let across = ids.iter().step_by(2).flat_map(|from| {
        let others = ids.iter().skip(1).step_by(2);
        others.map(|to| join("knows", from, to, 0))
    });
    let with_edges: Vec<Op> = persons(&ids).into_iter().chain(across).collect();
    let gone = |parity| -> Vec<Op> {
        let some = ids.iter().skip(parity).step_by(2);
        some.map(|id| delete("person", id)).collect()
    };
    let mut deadlocks = 0;
    for (before, left, right) in [
        (persons(&ids), ops(1), turned(ops(2))),
        (Vec::new(), ops(1), turned(ops(2))),
        (persons(&ids[..4]), ops(1), turned(ops(2))),
        (persons(&ids), edges.clone(), turned(edges)),
        // Deletes that have no record in common, and all their edges.
        (with_edges, gone(0), turned(gone(1))),
    ] {
        let mut race = Race::new().await;
        race.slow_down();
        for round in 0..12 {
            race.round(round, &before, [Bulk(left.clone()), Write(right.clone())])
                .await;
        }
        race.see_that_edges_are_whole().await;
        deadlocks += race.deadlocks().await;
    }
    assert_eq!(deadlocks, 0, "all lock in one order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_by_stamp_against_a_chunk() {
    let before = persons(&["aa"]);
    for chunk in [
        upsert("person", "aa", 0),
        upsert("person", "aa", 1),
        delete("person", "aa"),
    ] {
        let put = Guarded(vec![upsert("person", "aa", 2)]);
        races(50, &before, [Bulk(vec![chunk.clone()]), put]).await;
        let gone = Guarded(vec![delete("person", "aa")]);
        races(50, &before, [Bulk(vec![chunk]), gone]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_absent_stays_so_until_the_commit() {
    // One sees nothing of the first record and waits for the other with the second: it must not decide on both as they
    // never were together.
    let before = persons(&["bb"]);
    let reads = vec![delete("person", "aa"), upsert("person", "bb", 1)];
    let writes = vec![create("person", "aa", 2), upsert("person", "bb", 2)];
    let race = races(150, &before, [Bulk(reads.clone()), Write(writes.clone())]).await;
    drop(race);
    races(100, &before, [Write(reads), Write(writes)]).await;
}

/// Numbers that look like chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % end
    }

    fn op(&mut self) -> Op {
        let ids = ["aa", "bb", "cc"];
        let (one, two) = (ids[self.below(3)], ids[self.below(3)]);
        let content = self.below(3) as u32;
        match self.below(9) {
            0 | 1 => create("person", one, content),
            2 | 3 => upsert("person", one, content),
            4 => delete("person", one),
            5 => join("knows", one, two, content),
            6 => rejoin("partner", one, two, content),
            7 => part("partner", one, two),
            _ => part("knows", one, two),
        }
    }

    fn ops(&mut self, most: usize) -> Vec<Op> {
        (0..=self.below(most)).map(|_| self.op()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_bundle_against_any_chunk() {
    let mut dice = Dice(0x5DEE_CE66);
    let mut race = Race::new().await;
    for round in 0..400 {
        let mut before = Vec::new();
        for id in ["aa", "bb", "cc"] {
            if dice.below(3) > 0 {
                before.push(create("person", id, 0));
            }
        }
        let sides = [Bulk(dice.ops(5)), Write(dice.ops(4))];
        race.round(round, &before, sides).await;
    }
    race.see_that_edges_are_whole().await;
}
