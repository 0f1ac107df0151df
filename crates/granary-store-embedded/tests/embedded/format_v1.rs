//! Folders of format 1 open and read back exactly.
//!
//! `tests/format_v1/store.lz4` was written once by [`write_format_v1`] and, once format 1 is released, is never edited
//! again: a later version must read what an earlier one wrote. `tests/format_v1/expected.txt` says what is in it.
//! `tasks.lz4` and `tasks.txt` are another such folder, of what becomes of tasks, by [`write_format_v1_tasks`].
//! Of the journals only the bytes up to the last that is not zero are kept: the database sets 64 MB aside for each.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use granary_core::keys::ConceptCode;
use granary_core::ksuid::Ksuid;
use granary_core::schema::DefinitionKind;
use granary_core::task::TaskKind;
use granary_core::terminology::{Change, Concept, LanguageTag, Vocabulary};
use granary_store::suite::Fixture;
use granary_store::suite::world::*;
use granary_store::{EdgeFilter, Store as _, TaskFilter};
use granary_store_embedded::EmbeddedStore;

use crate::check::checked;
use crate::collect_crash::only_named_files;
use crate::retiring::{all_steps, before};
use crate::trials::{self, killed};
use crate::{OnDisk, limits};

pub(crate) fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format_v1")
}

/// A folder as one file: paths with contents, `None` for a folder; postcard, then lz4 after its length.
type Packed = Vec<(String, Option<Vec<u8>>)>;

fn pack(root: &Path) -> Vec<u8> {
    let mut packed = Packed::new();
    gather(root, root, &mut packed);
    packed.sort();
    lz4_flex::compress_prepend_size(&postcard::to_stdvec(&packed).unwrap())
}

fn gather(root: &Path, folder: &Path, packed: &mut Packed) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            packed.push((name, None));
            gather(root, &path, packed);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        if path.extension().is_some_and(|kind| kind == "jnl") {
            let end = bytes.iter().rposition(|byte| *byte != 0);
            bytes.truncate(end.map_or(0, |last| last + 1));
        }
        packed.push((name, Some(bytes)));
    }
}

pub(crate) fn unpack(packed: &[u8], root: &Path) {
    let packed = lz4_flex::decompress_size_prepended(packed).unwrap();
    let packed: Packed = postcard::from_bytes(&packed).unwrap();
    for (name, bytes) in packed {
        match bytes {
            None => fs::create_dir_all(root.join(name)).unwrap(),
            Some(bytes) => fs::write(root.join(name), bytes).unwrap(),
        }
    }
}

/// All that a store shows of the source of a world, one line each, in words that are not those of the code.
async fn shown(world: &World<EmbeddedStore>) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").unwrap();
    for source in world.store.sources(None, 100).await.unwrap() {
        line(format!(
            "source {} {} {}",
            source.number, source.key, source.created_at
        ));
    }
    let definitions = world.definitions().await;
    line(format!("definitions of revision {}", definitions.revision));
    for d in &definitions.list {
        let kind = match d.kind {
            DefinitionKind::Profile => "profile",
            DefinitionKind::RelationshipDefinition => "relationship definition",
        };
        let (number, revision, created, updated) = (d.number, d.revision, d.created_at, d.updated_at);
        line(format!(
            "{kind} {number} {} {revision} {created} {updated} {}",
            d.key, d.json
        ));
    }
    for name in ["person", "place", "livesIn", "partner", "knows"] {
        let records = match world.types[world.type_index(name) as usize].edge {
            None => world.resources(name, 100).await,
            Some(_) => world.edges(name, &EdgeFilter::default(), 100).await,
        };
        for record in records {
            let head = record.head;
            let hash: String = head.hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
            let body = match record.body.len() {
                0..200 => String::from_utf8(record.body.to_vec()).unwrap(),
                length => format!(
                    "{length} bytes, sum {}",
                    record.body.iter().map(|b| u64::from(*b)).sum::<u64>()
                ),
            };
            let (version, stamp) = (head.version, head.stamp);
            let (created, updated) = (head.created_at, head.updated_at);
            let at_once = if head.at_once { "at once" } else { "by the lane" };
            let identifiers = String::from_utf8(record.identifiers.to_vec()).unwrap();
            line(format!(
                "{name} {} {version} {stamp} {created} {updated} {at_once} {identifiers} {hash} {body}",
                record.id
            ));
        }
    }
    for notation in ["tax:1:official", "tax:2:official"] {
        let found = world.identified("person", notation, 100).await;
        line(format!("{notation} {}", found.join(" ")));
    }
    let terminology = world.store.terminology();
    for vocabulary in terminology.vocabularies(None, 100).await.unwrap() {
        let words = format!("{:?} {:?}", vocabulary.head, vocabulary.kept);
        line(format!("vocabulary {} {words}", vocabulary.key));
        for concept in terminology.concepts(&vocabulary.key, None, 100).await.unwrap() {
            line(format!("concept {} {:?}", concept.code, concept.kept));
        }
    }
    for kind in [None, Some(TaskKind::Single), Some(TaskKind::Bundle)] {
        let filter = TaskFilter {
            kind,
            ..TaskFilter::default()
        };
        for stored in world
            .store
            .tasks(&world.source, &filter, None, 100)
            .await
            .unwrap()
        {
            let task = &stored.task;
            let counts = serde_json::to_string(&task.counts).unwrap();
            let at = |moment: Option<granary_core::time::Timestamp>| {
                moment.map_or("-".into(), |at| at.to_string())
            };
            let (status, target) = (
                serde_json::to_string(&task.status).unwrap(),
                serde_json::to_string(&task.target_type).unwrap(),
            );
            line(format!(
                "task {} {status} {target} {:?} {} {} {} {} {counts}",
                task.id,
                task.deleted,
                stored.sequence,
                task.created_at,
                at(task.started_at),
                at(task.completed_at)
            ));
            for receipt in world.receipts(&stored).await {
                line(format!("  {}", serde_json::to_string(&receipt).unwrap()));
            }
        }
    }
    line(format!("spooled {}", world.spooled().await));
    text
}

/// Bodies that pack well, so that the folder stays small.
fn long(op: Op, letter: u8) -> Op {
    op.with_body(vec![letter; 40_000])
}

/// Writes the folder and the expectation. Run it, once a format, with
/// `cargo test --release -p granary-store-embedded --test embedded write_format_v1 -- --ignored`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it has been run, and what it wrote is kept"]
async fn write_format_v1() {
    assert!(!kept().exists(), "what was released stays as it is");
    let fixture = OnDisk::default();
    let mut world = World::new(fixture.fresh().await).await;
    world
        .define(DefinitionKind::Profile, "place", r#"{"properties":{}}"#)
        .await;
    let gone = world.store.put_source(&key("gone"), world.now()).await.unwrap().0;
    world.store.delete_source(&gone, false).await.unwrap();
    world.store.put_source(&key("other"), world.now()).await.unwrap();
    // Bodies in the database: of a small request, of a single write, of a bundle, and one moved there from a segment.
    world
        .bulk(&[
            create("person", "ann", 1),
            create("person", "bob", 2),
            create("person", "ann", 3),
            upsert("person", "bob", 2),
            delete("person", "zoe"),
            create("place", "rome", 4),
        ])
        .await;
    world.put(&[upsert("person", "ann", 5)]).await;
    world
        .put(&[create("person", "cyd", 6), join("partner", "cyd", "ann", 7)])
        .await;
    world
        .bulk(&[
            long(create("person", "dan", 0), b'd'),
            long(create("person", "eve", 0), b'e'),
            create("person", "fay", 8),
        ])
        .await;
    world.put(&[upsert("person", "eve", 9)]).await;
    world
        .bulk(&[
            join("knows", "ann", "bob", 1),
            join("knows", "ann", "ann", 2).with_body(Vec::new()),
            join("livesIn", "ann", "rome", 3),
            join("livesIn", "ann", "oslo", 4),
            long(join("knows", "dan", "ann", 0), b'k'),
            long(join("knows", "eve", "bob", 0), b'l'),
        ])
        .await;
    world
        .bulk(&[
            long(create("person", "kim", 0), b'k').identified_by(&["tax:1:official", "tax:2:official"]),
            create("person", "lea", 1).imported(1_000, Some(2_000)),
            long(create("person", "hub", 0), b'h'),
        ])
        .await;
    world
        .put(&[upsert("person", "lea", 2).identified_by(&["tax:1:official"])])
        .await;
    let to_hub = ["bob", "cyd", "dan", "kim", "lea"].map(|id| join("knows", id, "hub", 1));
    world.bulk(&to_hub).await;
    world.accept_purge("partner").await;
    world.apply_all(operations(10)).await;
    let cancelled = world.accept(&[create("person", "mia", 1)]).await;
    world.cancel(&cancelled).await.unwrap();
    let titled = Vocabulary {
        title: "Colours".into(),
        description: None,
    };
    let red = Concept {
        definition: Some("The colour of blood".into()),
        designation: [(LanguageTag::parse("de").unwrap(), "rot".into())].into(),
    };
    let terminology = world.store.terminology();
    let colours = vec![Change::Create(key("colours"), titled)];
    terminology
        .change_vocabularies(colours, world.now())
        .await
        .unwrap();
    let concepts = vec![Change::Create(ConceptCode::parse("red").unwrap(), red)];
    terminology
        .change_concepts(&key("colours"), concepts, world.now())
        .await
        .unwrap();
    // Half done, and waiting; one in the database, one in a segment. The first chunk leaves a mark.
    world
        .accept(&[
            delete("person", "hub"),
            create("person", "gil", 1),
            create("person", "ann", 1),
            upsert("person", "hal", 1),
        ])
        .await;
    world
        .accept(&[
            long(create("person", "ida", 0), b'i'),
            long(upsert("person", "dan", 0), b'j'),
            delete("person", "fay"),
        ])
        .await;
    let lane = world.claim().await.unwrap();
    world.step(&lane, operations(2)).await;
    world.settle().await;
    world.store.close().await.unwrap();
    let text = shown(&world).await;
    let (folder, _) = fixture.folder(&world.store);
    drop(world.store);
    fs::create_dir_all(kept()).unwrap();
    fs::write(kept().join("store.lz4"), pack(&folder)).unwrap();
    fs::write(kept().join("expected.txt"), text).unwrap();
}

async fn opened(name: &str) -> (tempfile::TempDir, World<EmbeddedStore>) {
    let folder = tempfile::tempdir().unwrap();
    unpack(&fs::read(kept().join(name)).unwrap(), folder.path());
    let world = World::found(EmbeddedStore::open(folder.path(), limits()).unwrap()).await;
    (folder, world)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_format_1_reads_back_exactly() {
    let (_folder, world) = opened("store.lz4").await;
    let expected = fs::read_to_string(kept().join("expected.txt")).unwrap();
    let found = shown(&world).await;
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_format_1_goes_on() {
    let (_folder, world) = opened("store.lz4").await;
    world.apply_all(operations(1)).await;
    let tasks = world
        .store
        .tasks(&world.source, &TaskFilter::default(), None, 2)
        .await
        .unwrap();
    assert_eq!(codes(&world.receipts(&tasks[1]).await), [200, 200, 409, 200]);
    assert_eq!(codes(&world.receipts(&tasks[0]).await), [200, 200, 200]);
    assert_eq!(world.body("person", "dan").await, Some(vec![b'j'; 40_000]));
    assert_eq!(world.body("person", "fay").await, None);
    world.put(&[delete("person", "ann")]).await;
    assert_eq!(world.edge_ids("knows").await, ["eve.bob"]);
    assert_eq!(world.edge_ids("livesIn").await, Vec::<String>::new());
    assert_eq!(
        world.identified("person", "tax:1:official", 10).await,
        ["kim", "lea"]
    );
    let next = world.store.put_source(&key("next"), world.now()).await.unwrap().0;
    assert!(next.number > 3, "no number is given twice");
}

/// All that a store shows of the source of a world, and what is known of its tasks beside, these gone ones too.
async fn shown_with_tasks(world: &World<EmbeddedStore>, gone: &[Ksuid]) -> String {
    let mut text = shown(world).await;
    let source = &world.source;
    for stored in { world.store.tasks(source, &TaskFilter::default(), None, 100).await }.unwrap() {
        let parent = stored.task.retry_of.map_or("none".into(), |id| id.to_string());
        writeln!(text, "task {} retries {parent}", stored.task.id).unwrap();
    }
    for id in gone {
        let removed = world.store.removed_task(source, *id).await.unwrap().unwrap();
        writeln!(text, "removed {id} {} at {}", removed.id, removed.at).unwrap();
    }
    text
}

/// Writes the folder of what becomes of tasks, and the expectation, once, as [`write_format_v1`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it has been run, and what it wrote is kept"]
async fn write_format_v1_tasks() {
    assert!(
        !kept().join("tasks.lz4").exists(),
        "what was released stays as it is"
    );
    let fixture = OnDisk::default();
    let world = World::new(fixture.fresh().await).await;
    let person = |at: u64| format!("id-{at}");
    let creates: Vec<Op> = (0..4)
        .map(|at| long(create("person", &person(at), 0), b'p'))
        .collect();
    // Of these two the operations are in segments, and those of the second have failed.
    let gone = world.bulk(&creates).await;
    let half_gone = world.bulk(&creates).await;
    let since = world.now();
    let failed = world
        .bulk(&[create("person", "id-0", 1), create("person", "id-9", 2)])
        .await;
    let is_gone = async || {
        let id = half_gone.task.id.ksuid;
        world
            .store
            .removed_task(&world.source, id)
            .await
            .unwrap()
            .is_some()
    };
    while !is_gone().await {
        let retired = world
            .store
            .retire_tasks(&before(since), world.now(), 1)
            .await
            .unwrap();
        assert!(retired.more, "what it held is still there");
    }
    world.settle().await;
    let mut retry = world.upload(&[create("person", "id-0", 1)]).await.unwrap();
    retry.set_retry_of(failed.task.id);
    retry.accept(world.revision, world.now()).await.unwrap();
    // Three processes end with it at the head of the lane.
    let mut folder = killed(&fixture.folder(&world.store).0);
    for _ in 0..2 {
        let (world, _) = trials::open(folder.path()).await;
        world.claim().await.unwrap();
        folder = killed(folder.path());
    }
    fs::write(kept().join("tasks.lz4"), pack(folder.path())).unwrap();
    let (_folder, world) = opened("tasks.lz4").await;
    let gone = [gone.task.id.ksuid, half_gone.task.id.ksuid];
    fs::write(kept().join("tasks.txt"), shown_with_tasks(&world, &gone).await).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_format_1_read_back_and_go_on() {
    let (folder, world) = opened("tasks.lz4").await;
    let expected = fs::read_to_string(kept().join("tasks.txt")).unwrap();
    let ids = expected.lines().filter_map(|line| line.strip_prefix("removed "));
    let gone: Vec<Ksuid> = ids
        .map(|line| Ksuid::parse(line.split(' ').next().unwrap()).unwrap())
        .collect();
    assert_eq!(gone.len(), 2);
    assert_eq!(shown_with_tasks(&world, &gone).await, expected);
    let lane = world.claim().await.unwrap();
    assert!(lane.taken_over && lane.suspect);
    world.drain(&lane, operations(1)).await;
    world.settle().await;
    let tasks = {
        world
            .store
            .tasks(&world.source, &TaskFilter::default(), None, 100)
            .await
    }
    .unwrap();
    let [retry, failed] = &tasks[..] else {
        panic!("two are there")
    };
    assert_eq!(retry.task.retry_of, Some(failed.task.id));
    assert_eq!(codes(&world.receipts(retry).await), [409]);
    assert_eq!(codes(&world.receipts(failed).await), [409, 200]);
    all_steps(&world, &before(world.now())).await;
    assert_eq!(world.resources("person", 100).await.len(), 5);
    world.store.close().await.unwrap();
    drop(world);
    assert_eq!(checked(folder.path()).findings, []);
    only_named_files(folder.path());
}
