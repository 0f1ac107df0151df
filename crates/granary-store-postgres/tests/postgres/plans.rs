//! How the database finds what a chunk is on: by keys, whatever the statistics say. The plans are those of the statements
//! as they were sent, from the log of the server.

use granary_store::suite::world::*;
use granary_store::{Step, Store};
use granary_store_postgres::PostgresStore;
use granary_test_postgres::{Cluster, Durability};
use serde_json::Value;

use crate::world::{new_database, node};

/// Tables that grow with what is stored. Those with a row a source, or few, are not among them.
const LARGE: [&str; 8] = [
    "resource",
    "edge",
    "identifier",
    "task",
    "segment",
    "receipts",
    "lane",
    "source",
];

/// A task with its types and the two halves of its receipts, as they are shown; the source, as reads look for it.
const READ_ALONE: [&str; 3] = [
    ", types FROM granary.task",
    "AND first < $5",
    "SELECT 1 FROM granary.source",
];

struct Planned {
    cluster: Cluster,
    name: String,
    world: World<PostgresStore>,
}

/// A statement and how it was done.
struct Done {
    text: String,
    plan: Value,
}

impl Planned {
    async fn new() -> Self {
        let cluster = Cluster::start_with(
            Durability::Off,
            &[
                "session_preload_libraries=auto_explain",
                "auto_explain.log_min_duration=0",
                "auto_explain.log_nested_statements=on",
                "auto_explain.log_format=json",
                "autovacuum=off",
            ],
        )
        .unwrap();
        let name = new_database(&cluster);
        let world = World::new(node(cluster.url(&name)).await).await;
        Self { cluster, name, world }
    }

    /// Persons and edges with these numbers beside what is there.
    fn fill(&self, numbers: std::ops::Range<usize>) {
        let (first, last) = (numbers.start, numbers.end - 1);
        let world = &self.world;
        let (source, person, knows) = (world.source.number, world.number("person"), world.number("knows"));
        let bucket = source % 1_024;
        let head = "1, 1, 0, 0, false";
        self.cluster.sql(&self.name, &format!(
            "SET auto_explain.log_min_duration = -1; \
             INSERT INTO granary.resource (bucket, source, type, version, stamp, created_at, updated_at, at_once, id, hash, data) \
             SELECT {bucket}, {source}, {person}, {head}, 'filled' || n, '\\x00112233445566778899aabbccddeeff', '{{}}' \
             FROM generate_series({first}, {last}) n; \
             INSERT INTO granary.edge (bucket, source, type, version, stamp, created_at, updated_at, at_once, from_id, to_id, hash, data) \
             SELECT {bucket}, {source}, {knows}, {head}, 'filled' || n, 'filled' || (n + 1), \
             '\\x00112233445566778899aabbccddeeff', '' FROM generate_series({first}, {last}) n",
        ));
    }

    fn analyze(&self) {
        self.cluster.sql(&self.name, "ANALYZE");
    }

    /// What the server did since its log had this length.
    fn done(&self, from: usize) -> Vec<Done> {
        let log = self.cluster.log();
        let mut all = Vec::new();
        let mut lines = log[from..].lines().peekable();
        while let Some(line) = lines.next() {
            if !line.contains(" plan:") {
                continue;
            }
            let mut json = String::new();
            while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
                json.push_str(more);
            }
            let explained: Value = serde_json::from_str(&json).unwrap();
            all.push(Done {
                text: explained["Query Text"].as_str().unwrap().to_owned(),
                plan: explained["Plan"].clone(),
            });
        }
        all
    }

    /// Does all that a chunk can, with a thousand entries at a time, and sees how it was done.
    async fn see_that_keys_are_used(&self, round: usize) {
        let world = &self.world;
        let name = |at: usize| format!("r{round}-{at}");
        let person =
            |at: usize| create("person", &name(at), 0).identified_by(&[&format!("tax:{round}{at}:official")]);
        let from = self.cluster.log().len();
        let creates: Vec<Op> = (0..1_000).map(person).collect();
        let updates: Vec<Op> = (0..1_000)
            .map(|at| upsert("person", &name(at), 1).identified_by(&[&format!("tax:{round}{at}1:official")]))
            .collect();
        let edges: Vec<Op> = (0..1_000)
            .map(|at| join("knows", &name(at), &name((at + 1) % 1_000), 0))
            .chain((0..500).map(|at| join("partner", &name(at * 2), &name(at * 2 + 1), 0)))
            .collect();
        let rejoined: Vec<Op> = (0..1_000)
            .map(|at| rejoin("knows", &name(at), &name((at + 1) % 1_000), 1))
            .collect();
        let parted: Vec<Op> = (0..500)
            .map(|at| part("knows", &name(at), &name(at + 1)))
            .collect();
        let absent: Vec<Op> = (0..500)
            .flat_map(|at| {
                [
                    delete("person", &format!("none{at}")),
                    upsert("person", &name(at), 2),
                ]
            })
            .collect();
        let gone: Vec<Op> = (0..900).map(|at| delete("person", &name(at))).collect();
        for ops in [creates, updates, edges, rejoined, parted, absent, gone] {
            let task = world.accept(&ops).await;
            let lane = world.claim().await.unwrap();
            while world.step(&lane, operations(1_000)).await != Step::Idle {}
            world.store.release_lane(lane).await;
            world.receipts(&world.task(&task).await).await;
        }
        let done = self.done(from);
        // Not a test that cannot fail: all that is meant was seen.
        for wanted in [
            "granary.resource r WHERE r.bucket = $1 AND r.source = $2 AND r.type = u.type AND r.id = u.id FOR NO KEY UPDATE",
            "granary.resource r WHERE r.bucket = $1 AND r.source = $2 AND r.type = u.type AND r.id = u.id FOR UPDATE",
            "AND e.from_id = u.from_id AND e.to_id = u.to_id FOR UPDATE) e",
            "LIMIT u.count FOR KEY SHARE OF e",
            "INSERT INTO granary.resource",
            "ON CONFLICT (bucket, source, type, id) DO UPDATE",
            "DELETE FROM granary.resource",
            "INSERT INTO granary.edge",
            "ON CONFLICT (bucket, source, type, from_id, to_id) DO UPDATE",
            "DELETE FROM granary.edge",
            "INSERT INTO granary.identifier",
            "DELETE FROM granary.identifier",
            "SELECT type, from_id, to_id, stamp, max(purge)",
            "completed_at IS NULL ORDER BY sequence",
            "operations, bodies FROM granary.segment",
            "EXISTS (SELECT FROM granary.mark",
            "UPDATE granary.lane l",
            "FROM granary.lane WHERE runnable",
            "INSERT INTO granary.receipts",
            "UPDATE granary.task",
            "SELECT 1 FROM unnest",
        ] {
            assert!(
                done.iter().any(|done| done.text.contains(wanted)),
                "no plan of `{wanted}`"
            );
        }
        for Done { text, plan } in &done {
            // What is read outside of a transaction goes by the statistics: a small table may be read as a whole.
            if !READ_ALONE.iter().any(|read| text.contains(read)) {
                see_keys(text, plan);
            }
        }
    }
}

/// Sees that no large table is read as a whole in a transaction of the store, nor all that a source has there. How the
/// marks of a source, which are few, are looked through is the planner's to say.
#[track_caller]
fn see_keys(text: &str, plan: &Value) {
    let node = plan["Node Type"].as_str().unwrap();
    let table = plan["Relation Name"].as_str().unwrap_or_default();
    let of_statement = || format!("\n{text}\n{plan:#}");
    let is_large = LARGE.contains(&table);
    assert!(
        !(is_large && node == "Seq Scan"),
        "{table} is read as a whole:{}",
        of_statement()
    );
    if ["resource", "edge"].contains(&table) && node.starts_with("Index") {
        let by = plan["Index Cond"].as_str().unwrap_or_default();
        let ids: &[&str] = match table {
            "resource" => &["type", "id"],
            // By either of its ends; by both where a record is looked for.
            _ => &["type", "_id"],
        };
        for column in ["bucket", "source"].iter().chain(ids) {
            assert!(by.contains(column), "{table} without {column}:{}", of_statement());
        }
    }
    for below in plan["Plans"].as_array().into_iter().flatten() {
        see_keys(text, below);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_finds_by_keys_whatever_the_statistics_say() {
    let planned = Planned::new().await;
    // Empty, without statistics; the plans that are kept from then serve on.
    for round in 0..2 {
        planned.see_that_keys_are_used(round).await;
    }
    planned.fill(1..101);
    planned.analyze();
    planned.see_that_keys_are_used(2).await;
    planned.fill(101..200_001);
    planned.see_that_keys_are_used(3).await;
    planned.analyze();
    planned.see_that_keys_are_used(4).await;
}
