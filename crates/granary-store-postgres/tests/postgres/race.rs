//! Two nodes that do something at the same time, and the orders that could explain what they did.

use std::collections::BTreeMap;
use std::time::Duration;

use granary_core::decide::Guard;
use granary_core::operation::RecordId;
use granary_store::memory::MemoryStore;
use granary_store::suite::world::*;
use granary_store::{Step, Store, Written};
use granary_store_postgres::PostgresStore;

use crate::world::{Database, claimed, ends, limits, until};

pub(crate) const RESOURCES: [&str; 2] = ["person", "place"];
pub(crate) const EDGES: [&str; 3] = ["livesIn", "partner", "knows"];

/// What one of the two does.
#[derive(Clone, Debug)]
pub(crate) enum Side {
    /// Applies a bulk task.
    Bulk(Vec<Op>),
    /// Writes at once.
    Write(Vec<Op>),
    /// Writes at once if the person of the first operation is as it was.
    Guarded(Vec<Op>),
}
pub(crate) use Side::{Bulk, Guarded, Write};

/// What came of one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) codes: Vec<u16>,
    /// How many operations each of its transactions had.
    pub(crate) chunks: Vec<usize>,
}

/// All records by type and id: version and body.
pub(crate) type Left = BTreeMap<String, (u32, String)>;

/// Two nodes in a source.
pub(crate) struct Race {
    pub(crate) database: Database,
    pub(crate) nodes: [World<PostgresStore>; 2],
    /// Orders other than that the whole of one came before the whole of the other.
    pub(crate) halved: usize,
}

impl Race {
    pub(crate) async fn new() -> Self {
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
    pub(crate) fn slow_down(&self) {
        self.database.sql(
            "CREATE FUNCTION granary.slow() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM pg_sleep(0.003); RETURN coalesce(NEW, OLD); END $$; \
             CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON granary.resource FOR EACH ROW EXECUTE FUNCTION granary.slow(); \
             CREATE TRIGGER slow BEFORE INSERT OR UPDATE OR DELETE ON granary.edge FOR EACH ROW EXECUTE FUNCTION granary.slow();",
        );
    }

    /// Races two in a source that holds `before`. Ids are those of this round alone.
    pub(crate) async fn round(&mut self, round: usize, before: &[Op], sides: [Side; 2]) {
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
    pub(crate) async fn see_that_edges_are_whole(&self) {
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
    pub(crate) async fn deadlocks(self) -> u64 {
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
pub(crate) fn renamed(op: &Op, round: usize) -> Op {
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

pub(crate) async fn guard_of<S: Store>(world: &World<S>, side: &Side) -> Option<Guard> {
    let Guarded(ops) = side else { return None };
    let record = world.record(&ops[0].type_key, &ops[0].id).await;
    let record = record.expect("what is guarded by its stamp is there");
    Some(Guard::Stamp(vec![record.head.stamp]))
}

pub(crate) async fn accepted<S: Store>(world: &World<S>, side: &Side) -> Option<granary_store::StoredTask> {
    match side {
        Bulk(ops) => Some(world.accept(ops).await),
        Write(_) | Guarded(_) => None,
    }
}

/// Does what this side does; of a bulk task all of it, and how it was cut.
pub(crate) async fn run<S: Store>(
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

pub(crate) fn written(written: Written) -> Vec<u16> {
    match written {
        Written::Persisted { verdicts, .. } | Written::Refused(verdicts) => verdict_codes(&verdicts),
    }
}

/// All records of a round.
pub(crate) async fn state<S: Store>(world: &World<S>, round: usize) -> Left {
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
pub(crate) async fn orders(
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
