//! What the hot paths take for one operation, counted and not timed, so that it is the same on every machine: allocations of
//! the check, of splitting and of the whole intake, allocations and written bytes of applying. Each bound lies a little above
//! what is taken today; who lowers the figure lowers the bound.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and shows what it counted"
)]

#[expect(dead_code, reason = "the bench itself needs the rest")]
#[path = "../src/providers.rs"]
mod providers;

use std::alloc::System;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use granary_core::check::Checker;
use granary_core::keys::Key;
use granary_core::limits::Limits;
use granary_core::operation::TargetType;
use granary_core::schema::{DefinitionKind, Schema, StoredDefinition};
use granary_core::task::TaskStatus;
use granary_core::time::Timestamp;
use granary_core::vocabulary::Vocabularies;
use granary_engine::split::{JsonSplitter, Splitter};
use granary_engine::{
    BodyFormat, BulkRequest, Clock, Engine, EngineOptions, Expected, Intake, ReceiptsShown, SystemClock,
};
use granary_store::{Source, Store, StoreLimits, StoredTask};
use granary_store_embedded::EmbeddedStore;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const OPERATIONS: u64 = 50_000;
const PIECE_BYTES: usize = 64 * 1024;

/// None, but for the few that are kept from one to the next.
const ALLOCATIONS_OF_CHECK_MAX: f64 = 0.001;
const ALLOCATIONS_OF_SPLIT_MAX: f64 = 0.02;
const ALLOCATIONS_OF_INTAKE_MAX: f64 = 0.1;
const BYTES_OF_INTAKE_MAX: f64 = 140.0;
/// Chunks are smaller where the machine is slower, so there is more room above these.
const ALLOCATIONS_OF_APPLY_MAX: f64 = 3.6;
/// A head twice, to its redo file and to the tree: in the journal it was once, and once more when that was written out.
const BYTES_OF_APPLY_MAX: f64 = 165.0;

/// The bulk request, in pieces as they come over a connection, and its operations.
fn request() -> (Vec<Bytes>, Vec<Vec<u8>>) {
    let (mut body, mut operations) = (br#"{"operations":["#.to_vec(), Vec::new());
    for number in 0..OPERATIONS {
        let (id, data) = (providers::id(number), providers::data(number));
        let mut operation = Vec::new();
        let of_type = providers::TYPE;
        write!(
            operation,
            r#"{{"action":"CREATE","create":{{"type":"{of_type}","id":"{id}","data":{data}}}}}"#
        )
        .unwrap();
        if number > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&operation);
        operations.push(operation);
    }
    body.extend_from_slice(b"]}");
    let pieces = body.chunks(PIECE_BYTES).map(Bytes::copy_from_slice);
    (pieces.collect(), operations)
}

/// Allocations since the region began; one that grows counts as one more.
fn allocations(region: &Region<'_, System>) -> f64 {
    let change = region.change();
    (change.allocations + change.reallocations) as f64
}

/// Bytes that this process has written so far, to files of any kind.
fn written_bytes() -> f64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.unwrap().parse().unwrap()
}

/// What was over its bound.
#[derive(Default)]
struct Counted(Vec<String>);

impl Counted {
    fn within(&mut self, what: &str, count: f64, max: f64) {
        let each = count / OPERATIONS as f64;
        let told = format!("{what}: {each:.3} an operation, and the bound is {max}");
        println!("{told}");
        if each > max {
            self.0.push(told);
        }
    }
}

/// One test, for it counts what the whole process takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_takes_no_more_than_it_did() {
    let (pieces, operations) = request();
    let mut counted = Counted::default();
    check(&mut counted, &operations);
    split(&mut counted, &pieces);
    intake_and_apply(&mut counted, pieces).await;
    assert!(counted.0.is_empty(), "{}", counted.0.join("\n"));
}

fn check(counted: &mut Counted, operations: &[Vec<u8>]) {
    let definition = StoredDefinition {
        kind: DefinitionKind::Profile,
        key: Key::parse(providers::TYPE).unwrap(),
        number: 1,
        revision: 1,
        json: providers::PROFILE.into(),
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
    };
    let schema = Schema::compile(&[definition]).unwrap();
    let (vocabularies, limits) = (Vocabularies::default(), Limits::default());
    let mut random = || [7; 16];
    let mut checker = Checker {
        schema: &schema,
        target: TargetType::Resource,
        vocabularies: &vocabularies,
        tokens: None,
        limits: &limits,
        hash_key: [7; 16],
        now: Timestamp::from_millis(0),
        random: &mut random,
    };
    let mut body = Vec::with_capacity(1 << 20);
    // The first may fill what is kept.
    checker.operation(&operations[0], &mut body).unwrap();
    let region = Region::new(ALLOCATOR);
    for operation in operations {
        body.clear();
        checker.operation(operation, &mut body).unwrap();
    }
    counted.within(
        "allocations of the check",
        allocations(&region),
        ALLOCATIONS_OF_CHECK_MAX,
    );
}

fn split(counted: &mut Counted, pieces: &[Bytes]) {
    let limits = Limits::default();
    let region = Region::new(ALLOCATOR);
    let splitter = JsonSplitter::new(limits.operation_bytes, limits.details_per_error);
    let mut splitter = Splitter::Json(splitter);
    let mut found = 0;
    for piece in pieces {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            found += splitter.feed(&mut rest).unwrap().map_or(0, |run| run.len());
        }
    }
    counted.within(
        "allocations of the splitter",
        allocations(&region),
        ALLOCATIONS_OF_SPLIT_MAX,
    );
    assert!(found > 0);
}

async fn intake_and_apply(counted: &mut Counted, pieces: Vec<Bytes>) {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), StoreLimits::from(&Limits::default())).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let source = Key::parse("counted").unwrap();
    let clock = SystemClock::default();
    let (stored, _) = store.put_source(&source, clock.now()).await.unwrap();

    let taking_in = engine(&store, 0);
    let (kind, key) = (DefinitionKind::Profile, Key::parse(providers::TYPE).unwrap());
    let profile = Bytes::from_static(providers::PROFILE.as_bytes());
    let put = taking_in.put_definition(&source, kind, &key, profile, Expected::Anything);
    put.await.unwrap();
    let request = BulkRequest {
        source: source.clone(),
        target: TargetType::Resource,
        format: BodyFormat::Json,
        validate_only: false,
        receipts: ReceiptsShown::All,
        body_bytes: None,
        once: None,
    };
    let (region, written) = (Region::new(ALLOCATOR), written_bytes());
    let intake = taking_in
        .bulk(request, stream::iter(pieces.into_iter().map(Ok)))
        .await;
    let Intake::Accepted(task) = intake.unwrap() else {
        panic!("the request was not accepted")
    };
    counted.within(
        "allocations of the intake",
        allocations(&region),
        ALLOCATIONS_OF_INTAKE_MAX,
    );
    counted.within(
        "bytes written by the intake",
        written_bytes() - written,
        BYTES_OF_INTAKE_MAX,
    );
    taking_in.stop().await;

    let (region, written) = (Region::new(ALLOCATOR), written_bytes());
    let applying = engine(&store, 1);
    ended(&store, &stored, &task).await;
    counted.within(
        "allocations of applying",
        allocations(&region),
        ALLOCATIONS_OF_APPLY_MAX,
    );
    counted.within(
        "bytes written by applying",
        written_bytes() - written,
        BYTES_OF_APPLY_MAX,
    );
    applying.stop().await;
    store.close().await.unwrap();
}

fn engine(store: &Arc<dyn Store>, workers: usize) -> Engine {
    let options = EngineOptions {
        workers,
        ..EngineOptions::default()
    };
    Engine::start(
        Arc::clone(store),
        Arc::new(SystemClock::default()),
        Limits::default(),
        options,
    )
}

async fn ended(store: &Arc<dyn Store>, source: &Source, task: &StoredTask) {
    loop {
        let found = store.task(source, task.task.id.ksuid).await.unwrap().unwrap();
        if found.task.status != TaskStatus::Pending {
            assert_eq!(found.task.counts.success, OPERATIONS);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
