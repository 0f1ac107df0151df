//! Two nodes that work on the same records at the same time: whatever they answer and leave is what some order of the
//! two, one after the other, would have answered and left. The reference store plays the orders.

use std::collections::BTreeMap;
use std::time::Duration;

use granary_core::decide::Guard;
use granary_core::operation::RecordId;
use granary_store::memory::MemoryStore;
use granary_store::suite::world::*;
use granary_store::{Step, Store, Written};
use granary_store_postgres::PostgresStore;

use crate::world::{Database, claimed, ends, limits, until};

const RESOURCES: [&str; 2] = ["person", "place"];
const EDGES: [&str; 3] = ["livesIn", "partner", "knows"];

/// What one of the two does.
#[derive(Clone, Debug)]
enum Side {
    /// Applies a bulk task.
    Bulk(Vec<Op>),
    /// Writes at once.
    Write(Vec<Op>),
    /// Writes at once if the person of the first operation is as it was.
    Guarded(Vec<Op>),
}
use Side::{Bulk, Guarded, Write};

/// What came of one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Came {
    codes: Vec<u16>,
    /// How many operations each of its transactions had.
    chunks: Vec<usize>,
}

/// All records by type and id: version and body.
type Left = BTreeMap<String, (u32, String)>;

/// Two nodes in a source.
struct Race {
    database: Database,
    nodes: [World<PostgresStore>; 2],
    /// Orders other than that the whole of one came before the whole of the other.
    halved: usize,
}

impl Race {
    async fn new() -> Self {
        let database = Database::new();
        let first = World::new(database.node().await).await;
        let second = database.joins(&first).await;
        Self {
            database,
            nodes: [first, second],
            halved: 0,
        }
    }

    /// Each row takes its time from now on, so that the two are in the midst of it together.
    fn slow_down(&self) {
        self.database.sql(
            "CREATE FUNCTION granary.slow() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_sleep(0.003); RETURN coalesce(NEW, OLD); END $$; \
             CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON granary.resource FOR EACH ROW EXECUTE FUNCTION granary.slow(); \
             CREATE TRIGGER slow BEFORE INSERT OR UPDATE OR DELETE ON granary.edge FOR EACH ROW EXECUTE FUNCTION granary.slow();",
        );
    }

    /// Races two in a source that holds `before`. Ids are those of this round alone.
    async fn round(&mut self, round: usize, before: &[Op], sides: [Side; 2]) {
        let of_round = |ops: &[Op]| ops.iter().map(|op| renamed(op, round)).collect::<Vec<_>>();
        let before = of_round(before);
        let sides = sides.map(|side| match side {
            Bulk(ops) => Bulk(of_round(&ops)),
            Write(ops) => Write(of_round(&ops)),
            Guarded(ops) => Guarded(of_round(&ops)),
        });
        if !before.is_empty() {
            self.nodes[0].put(&before).await;
        }
        let guards = [
            guard_of(&self.nodes[0], &sides[0]).await,
            guard_of(&self.nodes[1], &sides[1]).await,
        ];
        let tasks = [
            accepted(&self.nodes[0], &sides[0]).await,
            accepted(&self.nodes[1], &sides[1]).await,
        ];
        let [left, right] = &self.nodes;
        // So that each of them is sometimes the first, and by how much differs.
        let wait = Duration::from_micros(700) * (round as u32 % 7);
        let waits = match round % 2 {
            0 => [wait, Duration::ZERO],
            _ => [Duration::ZERO, wait],
        };
        let [task_left, task_right] = tasks;
        let [guard_left, guard_right] = guards;
        let (came_left, came_right) = ends(async {
            tokio::join!(
                run(left, &sides[0], task_left, guard_left, waits[0]),
                run(right, &sides[1], task_right, guard_right, waits[1]),
            )
        })
        .await;
        let came = [came_left, came_right];
        let left = state(&self.nodes[0], round).await;
        assert_eq!(
            left,
            state(&self.nodes[1], round).await,
            "both nodes show the same"
        );
        self.halved += usize::from(came.iter().any(|came| came.chunks.len() > 1));
        let orders = orders(&before, &sides, &came, round).await;
        let told = |ops: &[Op]| -> Vec<String> {
            let told = |op: &Op| {
                format!(
                    "{} {} {} {}",
                    op.action.name(),
                    op.type_key,
                    op.id,
                    String::from_utf8_lossy(&op.body)
                )
            };
            ops.iter().map(told).collect()
        };
        let all = sides.each_ref().map(|side| match side {
            Bulk(ops) => ("bulk", told(ops)),
            Write(ops) | Guarded(ops) => ("write", told(ops)),
        });
        let codes = came.each_ref().map(|came| came.codes.clone());
        assert!(
            orders.iter().any(|order| *order == (codes.clone(), left.clone())),
            "round {round}: no order explains {came:?} and {left:#?}\nof {:#?} and {all:#?}\norders are {orders:#?}",
            told(&before)
        );
    }

    /// Sees in the database what holds for all that is stored.
    async fn see_that_edges_are_whole(&self) {
        let dangling = "SELECT count(*) FROM granary.edge e JOIN granary.definition d USING (bucket, source) \
                        WHERE d.number = e.type AND (NOT EXISTS (SELECT FROM granary.resource r \
                        WHERE r.bucket = e.bucket AND r.source = e.source AND r.type = d.from_number \
                        AND r.id = e.from_id) OR NOT EXISTS (SELECT FROM granary.resource r \
                        WHERE r.bucket = e.bucket AND r.source = e.source AND r.type = d.to_number \
                        AND r.id = e.to_id))";
        assert_eq!(self.database.count(dangling), 0, "edges without both ends");
        let world = &self.nodes[0];
        for (name, end) in [
            ("livesIn", "from_id"),
            ("partner", "from_id"),
            ("partner", "to_id"),
        ] {
            let crowded = format!(
                "SELECT count(*) FROM (SELECT FROM granary.edge WHERE type = {} GROUP BY {end} HAVING count(*) > 1) c",
                world.number(name)
            );
            assert_eq!(self.database.count(&crowded), 0, "{name}: {end} with two edges");
        }
    }

    /// How many deadlocks there were, once the nodes are gone: what they counted shows when they go.
    async fn deadlocks(self) -> u64 {
        let Self { database, nodes, .. } = self;
        drop(nodes);
        let statistics = |column: &str| {
            let sql = format!(
                "SELECT {column} FROM pg_stat_database WHERE datname = '{}'",
                database.name
            );
            database.cluster.sql("postgres", &sql)
        };
        until("the connections of the nodes are gone", async || {
            statistics("numbackends") == "0"
        })
        .await;
        statistics("deadlocks").parse().unwrap()
    }
}

/// The same operation on records of this round alone.
fn renamed(op: &Op, round: usize) -> Op {
    let name = |id: &str| rid(&format!("{round}-{id}"));
    let id = match &op.id {
        RecordId::Resource(id) => RecordId::Resource(name(id.as_str())),
        RecordId::Relationship { from, to } => RecordId::Relationship {
            from: name(from.as_str()),
            to: name(to.as_str()),
        },
    };
    Op { id, ..op.clone() }
}

async fn guard_of<S: Store>(world: &World<S>, side: &Side) -> Option<Guard> {
    let Guarded(ops) = side else { return None };
    let record = world.record(&ops[0].type_key, &ops[0].id).await;
    let record = record.expect("what is guarded by its stamp is there");
    Some(Guard::Stamp(vec![record.head.stamp]))
}

async fn accepted<S: Store>(world: &World<S>, side: &Side) -> Option<granary_store::StoredTask> {
    match side {
        Bulk(ops) => Some(world.accept(ops).await),
        Write(_) | Guarded(_) => None,
    }
}

/// Does what this side does; of a bulk task all of it, and how it was cut.
async fn run<S: Store>(
    world: &World<S>,
    side: &Side,
    task: Option<granary_store::StoredTask>,
    guard: Option<Guard>,
    wait: Duration,
) -> Came {
    match (side, task) {
        (Write(ops) | Guarded(ops), _) => {
            tokio::time::sleep(wait).await;
            Came {
                codes: written(world.try_guarded(ops, guard).await.expect("a write is decided")),
                chunks: vec![ops.len()],
            }
        }
        (Bulk(_), Some(task)) => {
            let lane = claimed(world).await;
            tokio::time::sleep(wait).await;
            let mut chunks = Vec::new();
            loop {
                match world.step(&lane, WHOLE).await {
                    Step::Applied(count) => chunks.push(count as usize),
                    Step::Tidied => {}
                    Step::Idle => break,
                    Step::Lost => panic!("nobody else wants the lane"),
                }
            }
            world.store.release_lane(lane).await;
            Came {
                codes: codes(&world.receipts(&world.task(&task).await).await),
                chunks,
            }
        }
        (Bulk(_), None) => panic!("a bulk task is accepted before it is applied"),
    }
}

fn written(written: Written) -> Vec<u16> {
    match written {
        Written::Persisted { verdicts, .. } | Written::Refused(verdicts) => verdict_codes(&verdicts),
    }
}

/// All records of a round.
async fn state<S: Store>(world: &World<S>, round: usize) -> Left {
    let mut left = Left::new();
    for name in RESOURCES.into_iter().chain(EDGES) {
        let records = match RESOURCES.contains(&name) {
            true => world.resources(name, 1_000).await,
            false => world.edges(name, &Default::default(), 1_000).await,
        };
        for record in records {
            let id = record.id.to_string();
            if id.starts_with(&format!("{round}-")) {
                let body = String::from_utf8_lossy(&record.body).into_owned();
                left.insert(format!("{name} {id}"), (record.head.version, body));
            }
        }
    }
    left
}

/// What each order of the two comes to: every chunk of a bulk task is a transaction, and a write goes between any two.
async fn orders(
    before: &[Op],
    sides: &[Side; 2],
    came: &[Came; 2],
    round: usize,
) -> Vec<([Vec<u16>; 2], Left)> {
    let mut orders = Vec::new();
    for first in 0..2 {
        // The other of the two comes after so many transactions of this one.
        for after in 1..=came[first].chunks.len() {
            let world = World::new(MemoryStore::new(limits())).await;
            if !before.is_empty() {
                world.put(before).await;
            }
            let guards = [
                guard_of(&world, &sides[0]).await,
                guard_of(&world, &sides[1]).await,
            ];
            let [other, own] = [&sides[1 - first], &sides[first]];
            let mut codes_of = [Vec::new(), Vec::new()];
            match own {
                Write(ops) | Guarded(ops) => {
                    codes_of[first] = written(world.try_guarded(ops, guards[first].clone()).await.unwrap());
                    let task = accepted(&world, other).await;
                    let other_came =
                        run(&world, other, task, guards[1 - first].clone(), Duration::ZERO).await;
                    codes_of[1 - first] = other_came.codes;
                }
                Bulk(ops) => {
                    let task = world.accept(ops).await;
                    let lane = world.claim().await.expect("the lane has work");
                    for count in &came[first].chunks[..after] {
                        world.step(&lane, operations(*count)).await;
                    }
                    let other_came =
                        run(&world, other, None, guards[1 - first].clone(), Duration::ZERO).await;
                    codes_of[1 - first] = other_came.codes;
                    world.drain(&lane, WHOLE).await;
                    codes_of[first] = codes(&world.receipts(&world.task(&task).await).await);
                }
            }
            orders.push((codes_of, state(&world, round).await));
        }
    }
    orders
}

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
