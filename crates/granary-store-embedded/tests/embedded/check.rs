//! The check of a folder: it finds nothing in what histories leave, and finds each thing that is broken on purpose.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use granary_core::idempotency::{Fingerprint, IdempotencyKey};
use granary_core::keys::ConceptCode;
use granary_core::terminology::{Change, Concept, Vocabulary};
use granary_store::suite::Fixture;
use granary_store::suite::history::histories;
use granary_store::suite::world::*;
use granary_store::{CheckReport, CheckRules, Idempotent, Purge, RequestName, Store as _, StoreLimits};
use granary_store_embedded::{EmbeddedStore, OpenError, Runs};

use crate::crash::copy_folder;
use crate::damage::flip;
use crate::folder::segment_file;
use crate::format_v1::{kept, unpack};
use crate::{OnDisk, limits};

pub(crate) fn checked(folder: &Path) -> CheckReport {
    EmbeddedStore::check(folder, check_rules()).unwrap()
}

fn count(report: &CheckReport, what: &str) -> u64 {
    let found = report.looked_at.iter().find(|(known, _)| *known == what);
    found.map_or(0, |(_, count)| *count)
}

/// Stores that are checked whenever they are opened again.
struct Checked {
    inner: OnDisk,
    records: AtomicU64,
}

impl Fixture for Checked {
    type Store = EmbeddedStore;

    async fn with_limits(&self, limits: StoreLimits) -> EmbeddedStore {
        self.inner.with_limits(limits).await
    }

    async fn reopen(&self, store: EmbeddedStore) -> Option<EmbeddedStore> {
        let (folder, limits) = self.inner.folder(&store);
        store.close().await.unwrap();
        drop(store);
        // Some of their bodies count as equal to others.
        let rules = CheckRules {
            body_fits: |_, _, _| true,
            ..check_rules()
        };
        let report = EmbeddedStore::check(&folder, rules).unwrap();
        assert_eq!(report.findings, []);
        let records = count(&report, "resources") + count(&report, "relationships");
        self.records.fetch_add(records, Ordering::Relaxed);
        Some(self.inner.open(&folder, limits))
    }
}

async fn sound_over_histories(runs: Runs, seeds: std::ops::Range<u64>) {
    let inner = OnDisk {
        runs,
        ..OnDisk::in_memory()
    };
    let fixture = Checked {
        inner,
        records: AtomicU64::new(0),
    };
    histories(&fixture, seeds).await;
    assert!(
        fixture.records.into_inner() > 100,
        "there was something to look at"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_in_what_histories_leave() {
    sound_over_histories(Runs::default(), 70_000..70_060).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_where_all_goes_in_as_runs() {
    let runs = Runs {
        heads_min: 1,
        ..Runs::default()
    };
    sound_over_histories(runs, 71_000..71_030).await;
}

#[test]
fn nothing_is_found_in_a_folder_of_format_1() {
    let folder = tempfile::tempdir().unwrap();
    unpack(&fs::read(kept().join("store.lz4")).unwrap(), folder.path());
    let report = checked(folder.path());
    assert_eq!(report.findings, []);
    assert!(
        count(&report, "receipts") > 20 && count(&report, "relationships") > 5,
        "{report:?}"
    );
}

/// A folder that has something of everything, its store closed.
async fn full(fixture: &OnDisk) -> std::path::PathBuf {
    let world = World::new(fixture.fresh().await).await;
    let people: Vec<Op> = (0..1_200)
        .map(|at| {
            let op = create("person", &format!("id-{at:04}"), 0).with_body(noise(100, at));
            match at % 100 {
                0 => op.identified_by(&[&format!("tax:{at}:official")]),
                _ => op,
            }
        })
        .collect();
    world.bulk(&people).await;
    world
        .bulk(&[create("person", "id-0001", 1), create("place", "here", 1)])
        .await;
    world
        .put(&[create("person", "alone", 1).identified_by(&["vat:1:official"])])
        .await;
    let edges: Vec<Op> = (0..20)
        .map(|at| join("knows", &format!("id-{at:04}"), &format!("id-{:04}", at + 1), 1))
        .collect();
    world.bulk(&edges).await;
    world.put(&[join("livesIn", "alone", "here", 1)]).await;
    world
        .bulk(&[upsert("person", "id-0007", 8), delete("person", "id-0009")])
        .await;
    let once = Idempotent {
        name: RequestName {
            path: "purge".into(),
            key: IdempotencyKey::parse("k").unwrap(),
        },
        fingerprint: Fingerprint([7; 16]),
        status: 202,
        kept_since: granary_core::time::Timestamp::EPOCH,
        part: None,
    };
    let purge = Purge {
        source: world.source.clone(),
        task_id: world.task_id(granary_core::task::TaskKind::Purge),
        of_type: world.types[world.type_index("partner") as usize].clone(),
        definitions_revision: world.revision,
        idempotent: Some(once),
    };
    world.store.accept_purge(purge, world.now()).await.unwrap();
    world.apply_all(operations(500)).await;
    let titled = Vocabulary {
        title: "Colours".into(),
        description: None,
    };
    let terminology = world.store.terminology();
    let colours = vec![Change::Create(key("colours"), titled)];
    terminology
        .change_vocabularies(colours, world.now())
        .await
        .unwrap();
    let codes = ["red", "blue"];
    let codes = codes.map(|code| Change::Create(ConceptCode::parse(code).unwrap(), Concept::default()));
    terminology
        .change_concepts(&key("colours"), codes.into(), world.now())
        .await
        .unwrap();
    let (folder, _) = fixture.folder(&world.store);
    world.store.close().await.unwrap();
    drop(world.store);
    folder
}

/// Changes a keyspace of a store that is closed.
fn change(folder: &Path, keyspace: &str, change: impl FnOnce(&Keyspace)) {
    let db = Database::builder(folder.join("db")).open().unwrap();
    let keyspace = db.keyspace(keyspace, KeyspaceCreateOptions::default).unwrap();
    change(&keyspace);
    db.persist(PersistMode::SyncAll).unwrap();
}

/// A key that holds this text.
fn key_with(keyspace: &Keyspace, text: &str) -> Vec<u8> {
    let keys = keyspace.iter().map(|row| row.key().unwrap().to_vec());
    let found = { keys }.find(|key| String::from_utf8_lossy(key).contains(text));
    found.unwrap_or_else(|| panic!("no key with {text}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_that_is_missing_is_found() {
    let fixture = OnDisk::in_memory();
    let folder = full(&fixture).await;
    let sound = checked(&folder);
    assert_eq!(sound.findings, []);
    for (what, least) in [
        ("sources", 1),
        ("definitions", 5),
        ("resources", 1_201),
        ("relationships", 19),
        ("edges by their end", 19),
        ("identifiers", 13),
        ("segments", 1),
        ("blocks of segments", 10),
        ("tasks", 6),
        ("receipts", 1_226),
        ("idempotency keys", 1),
        ("vocabularies", 1),
        ("concepts", 2),
    ] {
        assert!(count(&sound, what) >= least, "{what}: {:?}", sound.looked_at);
    }
    for (keyspace, text, told) in [
        (
            "heads",
            "id-0003",
            "is an edge without its end, 'person' 'id-0003'",
        ),
        ("heads", "id-0100", "has identifiers of a record that has none"),
        ("heads", "alone", "is a body that no record points to"),
        ("heads", "id-1000", "is counted with"),
        (
            "bodies",
            "alone",
            "the body of 'person' 'alone' is missing in bodies",
        ),
        (
            "bodies",
            "id-0007",
            "the body of 'person' 'id-0007' is missing in bodies",
        ),
        ("meta", "id-0200", "has identifiers that are not in meta"),
        (
            "meta",
            "id-0200",
            "finds a record that does not have this identifier",
        ),
        ("identifiers", "id-0300", "is not found by one of its identifiers"),
        ("edges", "id-0004\0id-0005", "names an edge that is not in edges"),
        (
            "edges_in",
            "id-0005\0id-0004",
            "is an edge that is not in edges_in",
        ),
        ("tasks", "", "names a task that is not there"),
        (
            "tasks",
            "",
            "receipts of a task that is not there are never removed",
        ),
        ("task_ids", "", "it is not found by its id"),
        ("spool", "", "its operations are missing"),
        ("receipts", "", "and has receipts of 0, 0 of them failed"),
        ("segments", "", "is not there"),
        ("answers_by_time", "", "is never forgotten"),
        ("concepts", "red", "says it has 2 concepts"),
    ] {
        let broken = fixture.new_folder();
        copy_folder(&folder, broken.path());
        change(broken.path(), keyspace, |rows| {
            rows.remove(key_with(rows, text)).unwrap()
        });
        let report = checked(broken.path());
        let all: Vec<&str> = report
            .findings
            .iter()
            .map(|finding| finding.what.as_str())
            .collect();
        assert!(
            all.iter().any(|what| what.contains(told)),
            "{keyspace} without {text:?}: {all:#?}"
        );
        assert!(all.len() < 10, "{keyspace} without {text:?}: {all:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_flipped_byte_and_each_cut_file_is_found() {
    // Heads and edges in tables of their own, the rest in the journal.
    let fixture = OnDisk {
        runs: Runs {
            heads_min: 1,
            ..Runs::default()
        },
        ..OnDisk::in_memory()
    };
    let folder = full(&fixture).await;
    let found = |break_it: &dyn Fn(&Path), told: &str| {
        let broken = fixture.new_folder();
        copy_folder(&folder, broken.path());
        break_it(broken.path());
        let report = checked(broken.path());
        let all: Vec<&str> = report
            .findings
            .iter()
            .map(|finding| finding.what.as_str())
            .collect();
        assert!(all.iter().any(|what| what.contains(told)), "{told}: {all:#?}");
    };
    for at in [3, 40, 2_000] {
        found(&|folder| flip(&segment_file(folder, "bodies"), at), "segment 1: ");
        found(
            &|folder| flip(&segment_file(folder, "bodies"), at),
            "cannot be read in segment 1",
        );
        found(
            &|folder| flip(&segment_file(folder, "operations"), at),
            "segment 1: ",
        );
    }
    found(
        &|folder| {
            let path = segment_file(folder, "bodies");
            let length = fs::metadata(&path).unwrap().len();
            fs::OpenOptions::new()
                .write(true)
                .open(path)
                .unwrap()
                .set_len(length - 1)
                .unwrap();
        },
        "does not have its",
    );
    found(
        &|folder| fs::remove_file(segment_file(folder, "operations")).unwrap(),
        "is missing",
    );
    found(
        &|folder| fs::write(folder.join("FORMAT"), "x").unwrap(),
        "does not name a format",
    );
    found(
        &|folder| fs::remove_dir_all(folder.join("db")).unwrap(),
        "db/ is missing",
    );
    // The largest table is that of the heads.
    let mut tables = Vec::new();
    files(&folder.join("db"), &mut tables);
    tables.retain(|path| path.parent().is_some_and(|folder| folder.ends_with("tables")));
    let table = { tables.iter() }.max_by_key(|path| fs::metadata(path).unwrap().len());
    let table = table.unwrap().strip_prefix(&folder).unwrap();
    let length = fs::metadata(folder.join(table)).unwrap().len();
    for at in [length / 10, length / 3] {
        found(&|folder| flip(&folder.join(table), at), "cannot be read");
    }
}

fn files(folder: &Path, all: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, all),
            false => all.push(path),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_looked_at_is_told() {
    let fixture = OnDisk::in_memory();
    let store = fixture.fresh().await;
    let (folder, _) = fixture.folder(&store);
    assert!(matches!(
        EmbeddedStore::check(&folder, check_rules()),
        Err(OpenError::InUse(_))
    ));
    drop(store);
    assert_eq!(checked(&folder).findings, []);
    let none = fixture.new_folder();
    assert!(matches!(
        EmbeddedStore::check(none.path(), check_rules()),
        Err(OpenError::Foreign(_))
    ));
    assert_eq!(fs::read_dir(none.path()).unwrap().count(), 0);
    let missing = none.path().join("missing");
    assert!(matches!(
        EmbeddedStore::check(&missing, check_rules()),
        Err(OpenError::Io { .. })
    ));
    assert!(!missing.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_half_way_asks_for_a_start_first() {
    use std::sync::{Arc, Mutex};
    let folder = tempfile::tempdir().unwrap();
    let left = tempfile::tempdir().unwrap();
    let taken = Arc::new(Mutex::new(false));
    let (from, to, once) = (
        folder.path().to_owned(),
        left.path().to_owned(),
        Arc::clone(&taken),
    );
    let observer = move |step| {
        let mut once = once.lock().unwrap();
        if step == granary_store_embedded::RunStep::Synced && !*once {
            copy_folder(&from, &to);
            *once = true;
        }
    };
    let fixture = OnDisk {
        runs: Runs {
            heads_min: 1,
            observer: Some(Arc::new(observer)),
            ..Runs::default()
        },
        ..OnDisk::default()
    };
    let world = World::new(fixture.open(folder.path(), limits())).await;
    world.bulk(&[create("person", "ann", 1)]).await;
    assert!(*taken.lock().unwrap());
    drop(world.store);
    assert!(matches!(
        EmbeddedStore::check(left.path(), check_rules()),
        Err(OpenError::Unsettled(_))
    ));
    drop(EmbeddedStore::open(left.path(), limits()).unwrap());
    assert_eq!(checked(left.path()).findings, []);
}
