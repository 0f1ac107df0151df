//! Two nodes, of which one changes what the other relies on: nothing of a type that does not exist is ever left.

use std::sync::mpsc;
use std::time::Duration;

use granary_core::error::ErrorType;
use granary_core::limits::Limits;
use granary_core::schema::{AcceptedDefinition, DefinitionKind, accept};
use granary_core::terminology::{Outcome, Vocabulary, VocabularyChange};
use granary_store::suite::world::*;
use granary_store::{Definitions, Result, Step, Store, StoreError, Terminology, Written};
use granary_store_postgres::PostgresStore;
use granary_test_postgres::{Cluster, Proxy};

use crate::world::{Database, claimed, ends, node};

/// Two nodes in a source, and one more type in each round.
struct Race {
    database: Database,
    nodes: [World<PostgresStore>; 2],
}

impl Race {
    async fn new() -> Self {
        let database = Database::new();
        let first = World::bare(database.node().await).await;
        let second = database.joins(&first).await;
        Self {
            database,
            nodes: [first, second],
        }
    }

    /// Both know one more type.
    async fn define(&mut self, name: &str) {
        self.nodes[0].define(DefinitionKind::Profile, name, PROFILE).await;
        self.nodes[1].refresh().await;
    }

    /// Sees that whatever is stored, or waits, is of a type that exists.
    fn see_that_all_is_of_a_type(&self) {
        let typeless = "SELECT \
             (SELECT count(*) FROM granary.resource r WHERE NOT EXISTS (SELECT FROM granary.definition d \
              WHERE d.bucket = r.bucket AND d.source = r.source AND d.number = r.type)) \
             + (SELECT count(*) FROM granary.edge r WHERE NOT EXISTS (SELECT FROM granary.definition d \
              WHERE d.bucket = r.bucket AND d.source = r.source AND d.number = r.type)) \
             + (SELECT count(*) FROM granary.task t CROSS JOIN unnest(t.type_numbers) u (type) \
              WHERE completed_at IS NULL AND NOT EXISTS (SELECT FROM granary.definition d \
              WHERE d.bucket = t.bucket AND d.source = t.source AND d.number = u.type))";
        assert_eq!(self.database.count(typeless), 0, "something has no type");
    }
}

/// So that each of two is sometimes the first, and by how much differs.
async fn waits(round: usize, side: usize) {
    if round % 2 == side {
        tokio::time::sleep(Duration::from_micros(600) * (round as u32 % 9)).await;
    }
}

/// Applies what waits.
async fn work(world: &World<PostgresStore>) {
    while let Some(lane) = world.claim().await {
        world.drain(&lane, WHOLE).await;
        world.store.release_lane(lane).await;
    }
}

async fn undefine(world: &World<PostgresStore>, name: &str) -> Result<()> {
    let profile = DefinitionKind::Profile;
    world
        .store
        .delete_definition(&world.source, profile, &key(name), world.revision)
        .await
}

/// True where it went through, false where what is stored forbids it, or other definitions are in force.
#[track_caller]
fn went<T: std::fmt::Debug>(outcome: Result<T>) -> bool {
    match outcome {
        Ok(_) => true,
        Err(StoreError::DefinitionsChanged) => false,
        Err(StoreError::Refused(error))
            if matches!(
                error.error_type,
                ErrorType::FailedPrecondition | ErrorType::NotFound
            ) =>
        {
            false
        }
        other => panic!("neither done nor refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_type_against_a_request_of_it() {
    let mut race = Race::new().await;
    let mut accepted = 0;
    for round in 0..100 {
        let name = format!("type{round}");
        race.define(&name).await;
        let [left, right] = &race.nodes;
        let upload = right.upload(&[create(&name, "aa", 0)]).await.unwrap();
        let (gone, task) = ends(async {
            tokio::join!(
                async {
                    waits(round, 0).await;
                    undefine(left, &name).await
                },
                async {
                    waits(round, 1).await;
                    upload.accept(right.revision, right.now()).await
                },
            )
        })
        .await;
        let (gone, task) = (went(gone), went(task));
        assert_ne!(gone, task, "round {round}: one of the two");
        accepted += usize::from(task);
        race.see_that_all_is_of_a_type();
        work(&race.nodes[0]).await;
    }
    assert!(
        (1..100).contains(&accepted),
        "both were first at times: {accepted}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_type_against_a_write_of_it() {
    let mut race = Race::new().await;
    let mut written = 0;
    for round in 0..100 {
        let name = format!("type{round}");
        race.define(&name).await;
        let [left, right] = &race.nodes;
        let ops = [create(&name, "aa", 0)];
        let (gone, write) = ends(async {
            tokio::join!(
                async {
                    waits(round, 0).await;
                    undefine(left, &name).await
                },
                async {
                    waits(round, 1).await;
                    right.try_write(&ops).await
                },
            )
        })
        .await;
        let (gone, write) = (went(gone), went(write));
        assert_ne!(gone, write, "round {round}: one of the two");
        written += usize::from(write);
        race.see_that_all_is_of_a_type();
    }
    assert!((1..100).contains(&written), "both were first at times: {written}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_type_against_the_chunk_that_ends_its_last_task() {
    let mut race = Race::new().await;
    for round in 0..100 {
        let name = format!("type{round}");
        race.define(&name).await;
        let [left, right] = &race.nodes;
        right.accept(&[create(&name, "aa", 0)]).await;
        let lane = claimed(right).await;
        let (gone, step) = ends(async {
            tokio::join!(
                async {
                    waits(round, 0).await;
                    undefine(left, &name).await
                },
                async {
                    waits(round, 1).await;
                    right.step(&lane, WHOLE).await
                },
            )
        })
        .await;
        assert_eq!(step, Step::Applied(1));
        assert!(!went(gone), "round {round}: it was in use all the time");
        race.see_that_all_is_of_a_type();
        right.store.release_lane(lane).await;
    }
}

/// The same with the one moment that matters: the chunk commits while the other looks for uses of the type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ends_while_its_type_is_looked_for_leaves_its_records_to_be_found() {
    let database = Database::new();
    let proxies = [(); 2].map(|()| Proxy::start(database.cluster.addr()).unwrap());
    let url = |proxy: &Proxy| Cluster::url_at(proxy.addr(), &database.name);
    let mut left = World::bare(node(url(&proxies[0])).await).await;
    left.define(DefinitionKind::Profile, "person", PROFILE).await;
    let right = World::at(&left, node(url(&proxies[1])).await);
    right.accept(&persons_of(1)).await;
    let lane = claimed(&right).await;

    let (looking, when_looking) = mpsc::channel();
    let (committed, when_committed) = mpsc::channel::<()>();
    // The chunk has written all, and is about to commit, when the other begins to look.
    let (ready, when_ready) = mpsc::channel();
    proxies[1].drop_next_reply_after(move |sent| {
        if contains(sent, "COMMIT") && !contains(sent, "never") {
            let _ = ready.send(());
            let _ = when_looking.recv_timeout(Duration::from_secs(20));
        }
        false
    });
    // It looks for tasks and for records in two statements: the chunk commits before the second of them.
    let mut looks = 0;
    proxies[0].drop_next_reply_after(move |sent| {
        if contains(sent, "FROM granary.task WHERE") || contains(sent, "EXISTS (SELECT FROM granary.resource")
        {
            looks += 1;
            if looks == 2 {
                let _ = looking.send(());
                let _ = when_committed.recv_timeout(Duration::from_secs(20));
            }
        }
        false
    });
    let gone = async {
        let ready = tokio::task::spawn_blocking(move || when_ready.recv_timeout(Duration::from_secs(20)));
        ready.await.unwrap().unwrap();
        undefine(&left, "person").await
    };
    let chunk = async {
        let step = right.step(&lane, WHOLE).await;
        let _ = committed.send(());
        step
    };
    let (gone, step) = ends(async { tokio::join!(gone, chunk) }).await;
    assert_eq!(step, Step::Applied(1));
    assert!(!went(gone), "its record is there");
    assert_eq!(right.resources("person", 10).await.len(), 1);
}

fn persons_of(count: usize) -> Vec<Op> {
    (0..count)
        .map(|at| create("person", &format!("p{at}"), 0))
        .collect()
}

fn contains(sent: &[u8], word: &str) -> bool {
    sent.windows(word.len()).any(|window| window == word.as_bytes())
}

/// What a definition is accepted as beside these.
fn accepted(name: &str, json: &str, beside: &Definitions, vocabularies: &[&str]) -> AcceptedDefinition {
    let known = vocabularies.iter().map(|name| key(name)).collect();
    let limits = Limits::default();
    accept(
        DefinitionKind::Profile,
        &key(name),
        json.as_bytes(),
        &beside.list,
        &known,
        &limits,
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_against_a_write_checked_by_what_was_before() {
    let mut race = Race::new().await;
    race.define("person").await;
    let mut written = 0;
    for round in 0..100 {
        let [left, right] = &mut race.nodes;
        left.refresh().await;
        right.refresh().await;
        let revision = right.revision;
        let ops = [create("person", &format!("p{round}"), 0)];
        let seen = left.definitions().await;
        let other = accepted("person", PROFILE, &seen, &[]);
        let (put, write) = ends(async {
            tokio::join!(
                async {
                    waits(round, 0).await;
                    left.store
                        .put_definition(&left.source, &other, seen.revision, left.now())
                        .await
                },
                async {
                    waits(round, 1).await;
                    right.try_write(&ops).await
                },
            )
        })
        .await;
        put.expect("nothing forbids to replace it");
        match write {
            Ok(Written::Persisted { .. }) => written += 1,
            Err(StoreError::DefinitionsChanged) => {
                assert_eq!(right.record("person", &ops[0].id).await, None, "round {round}");
            }
            other => panic!("round {round}: {other:?}"),
        }
        assert_eq!(right.definitions().await.revision, revision + 1);
        // By what was before, nothing is written any more.
        let late = right
            .try_write(&[create("person", &format!("late{round}"), 0)])
            .await;
        assert!(matches!(late, Err(StoreError::DefinitionsChanged)), "{late:?}");
    }
    assert!((1..100).contains(&written), "both were first at times: {written}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_becomes_contained_against_a_create_of_it() {
    let mut race = Race::new().await;
    let mut contained = 0;
    for round in 0..100 {
        let name = format!("type{round}");
        race.define(&name).await;
        let [left, right] = &race.nodes;
        let seen = left.definitions().await;
        let other = accepted(&name, CONTAINED_PROFILE, &seen, &[]);
        let ops = [create(&name, "aa", 0)];
        // As a write in one round, as a request in the next.
        let upload = match round % 2 {
            0 => None,
            _ => Some(right.upload(&ops).await.unwrap()),
        };
        let (put, created) = ends(async {
            tokio::join!(
                async {
                    waits(round / 2, 0).await;
                    left.store
                        .put_definition(&left.source, &other, seen.revision, left.now())
                        .await
                },
                async {
                    waits(round / 2, 1).await;
                    match upload {
                        None => right.try_write(&ops).await.map(drop),
                        Some(upload) => upload.accept(right.revision, right.now()).await.map(drop),
                    }
                },
            )
        })
        .await;
        let (put, created) = (went(put), went(created));
        assert_ne!(put, created, "round {round}: one of the two");
        contained += usize::from(put);
        work(&race.nodes[1]).await;
    }
    assert!(
        (1..100).contains(&contained),
        "both were first at times: {contained}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_source_against_all_that_is_done_in_it() {
    let database = Database::new();
    let nodes = [database.node().await, database.node().await];
    let [left, right] = nodes;
    let mut left = World::bare_named(left, "first").await;
    let mut right = right;
    for round in 0..60 {
        let mut world = World::bare_named(left.store, &format!("source{round}")).await;
        world.define(DefinitionKind::Profile, "person", PROFILE).await;
        left = world;
        let other = World::at(&left, right);
        let ops = persons_of(2);
        let upload = other.upload(&ops).await.unwrap();
        let waiting = other.accept(&[create("person", "waiting", 0)]).await;
        let lane = claimed(&other).await;
        let (gone, outcomes) = ends(async {
            tokio::join!(
                async {
                    waits(round, 0).await;
                    left.store.delete_source(&left.source, true).await
                },
                async {
                    waits(round, 1).await;
                    tokio::join!(
                        other.try_write(&ops),
                        upload.accept(other.revision, other.now()),
                        other.store.apply_chunk(&lane, WHOLE, other.now()),
                    )
                },
            )
        })
        .await;
        gone.expect("a purge of a source is never refused");
        let (write, task, step) = outcomes;
        went(write);
        went(task);
        assert!(matches!(step, Ok(Step::Lost | Step::Applied(1))), "{step:?}");
        // All of it is gone for everyone, and its lane is never claimed again.
        let found = other.store.task(&other.source, waiting.task.id.ksuid).await;
        assert!(!went(found), "round {round}");
        let late = other.store.apply_chunk(&lane, WHOLE, other.now()).await;
        assert!(matches!(late, Ok(Step::Lost)), "{late:?}");
        assert!(other.claim().await.is_none());
        other.store.release_lane(lane).await;
        right = other.store;
    }
    while left.store.free_space(1_000).await.unwrap() {}
    let kept = [
        "resource",
        "task",
        "segment",
        "upload",
        "receipts",
        "definition",
        "lane",
        "intake",
    ]
    .map(|table| {
        format!(
            "(SELECT count(*) FROM granary.{table} WHERE source IN \
                              (SELECT source FROM granary.source WHERE key <> 'first') \
                              OR source NOT IN (SELECT source FROM granary.source))"
        )
    });
    assert_eq!(
        database.count(&format!("SELECT {}", kept.join(" + "))),
        0,
        "nothing is left of them"
    );
}

/// Changes a vocabulary; false where that was refused.
async fn change(world: &World<PostgresStore>, change: VocabularyChange) -> bool {
    let changed = world.store.change_vocabularies(vec![change], world.now()).await;
    match &changed.expect("changes are judged")[..] {
        [Outcome::Created | Outcome::Deleted] => true,
        [Outcome::Failed(error)] if error.error_type == ErrorType::FailedPrecondition => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_vocabulary_against_a_definition_that_is_bound_to_it() {
    let race = Race::new().await;
    let mut bound = 0;
    for round in 0..100 {
        let [left, right] = &race.nodes;
        let name = format!("words{round}");
        let words = Vocabulary {
            title: "words".into(),
            description: None,
        };
        assert!(change(left, VocabularyChange::Create(key(&name), words)).await);
        let binding = format!(r#"{{"vocabulary":{{"key":"{name}","strength":"required"}}}}"#);
        let json = format!(r#"{{"properties":{{"v":{{"type":"code","binding":{binding}}}}}}}"#);
        let seen = right.definitions().await;
        let definition = accepted(&format!("type{round}"), &json, &seen, &[&name]);
        let (gone, stored) = ends(async {
            tokio::join!(
                async {
                    waits(round, 0).await;
                    change(left, VocabularyChange::Delete(key(&name))).await
                },
                async {
                    waits(round, 1).await;
                    right
                        .store
                        .put_definition(&right.source, &definition, seen.revision, right.now())
                        .await
                },
            )
        })
        .await;
        let stored = went(stored);
        assert_ne!(gone, stored, "round {round}: one of the two");
        bound += usize::from(stored);
        let unknown = "SELECT count(*) FROM granary.definition d CROSS JOIN unnest(d.vocabularies) v (key) \
                       WHERE NOT EXISTS (SELECT FROM granary.vocabulary k WHERE k.key = v.key)";
        assert_eq!(race.database.count(unknown), 0, "a definition names what is gone");
    }
    assert!((1..100).contains(&bound), "both were first at times: {bound}");
}
