//! Vocabularies and their concepts.

use granary_core::error::ErrorType;
use granary_core::keys::{ConceptCode, Key};
use granary_core::limits::Limits;
use granary_core::schema::DefinitionKind::Profile;
use granary_core::schema::accept;
use granary_core::terminology::{Change, Concept, LanguageTag, Outcome, Vocabulary};
use granary_core::time::Timestamp;

use super::world::*;
use super::{Fixture, refusal, refused_with, reopen_or_skip};
use crate::{PAGE_BYTES_MAX, Result, Store, StoreError, StoreLimits, VocabularyHead, may_go_on};

fn code(raw: &str) -> ConceptCode {
    ConceptCode::parse(raw).expect("a code")
}

fn titled(title: &str) -> Vocabulary {
    Vocabulary {
        title: title.into(),
        description: Some("for a test".into()),
    }
}

fn meaning(definition: &str) -> Concept {
    let language = LanguageTag::parse("en-GB").expect("a language");
    Concept {
        definition: Some(definition.into()),
        designation: [(language, definition.to_uppercase().into())].into(),
    }
}

/// `+a` creates, `=a` upserts, `-a` deletes; what follows a blank is the content.
fn parse<N, C>(raw: &str, name: impl Fn(&str) -> N, content: impl Fn(&str) -> C) -> Change<N, C> {
    let (what, said) = raw.split_once(' ').unwrap_or((raw, "x"));
    let (action, what) = what.split_at(1);
    match action {
        "+" => Change::Create(name(what), content(said)),
        "=" => Change::Upsert(name(what), content(said)),
        "-" => Change::Delete(name(what)),
        other => panic!("'{other}' changes nothing"),
    }
}

/// 201 for created, 200 for replaced or deleted, 304 for unchanged, else the code of the error.
fn codes_of(outcomes: &[Outcome]) -> Vec<u16> {
    let code = |outcome: &Outcome| match outcome {
        Outcome::Created => 201,
        Outcome::Replaced { unchanged: true, .. } => 304,
        Outcome::Replaced { .. } | Outcome::Deleted => 200,
        Outcome::Failed(error) => error.code,
    };
    outcomes.iter().map(code).collect()
}

impl<S: Store> World<S> {
    async fn vocabularies(&self, changes: &[&str]) -> Vec<u16> {
        let changes = changes.iter().map(|raw| parse(raw, key, titled)).collect();
        let terminology = self.store.terminology();
        let outcomes = terminology.change_vocabularies(changes, self.now()).await;
        codes_of(&outcomes.expect("the store does not fail"))
    }

    async fn concepts(&self, vocabulary: &str, changes: &[&str]) -> Vec<u16> {
        codes_of(&self.try_concepts(vocabulary, changes).await.expect("it does"))
    }

    async fn try_concepts(&self, vocabulary: &str, changes: &[&str]) -> Result<Vec<Outcome>> {
        let changes = changes.iter().map(|raw| parse(raw, code, meaning)).collect();
        let terminology = self.store.terminology();
        terminology
            .change_concepts(&key(vocabulary), changes, self.now())
            .await
    }

    /// Keys and titles of all vocabularies.
    async fn titles(&self) -> Vec<String> {
        let all = self.store.terminology().vocabularies(None, 1_000).await;
        let all = all.expect("they are read");
        let shown = |v: &crate::StoredVocabulary| format!("{} {}", v.key, v.kept.content.title);
        all.iter().map(shown).collect()
    }

    /// Codes and definitions of all concepts.
    async fn meanings(&self, vocabulary: &str) -> Vec<String> {
        let all = self
            .store
            .terminology()
            .concepts(&key(vocabulary), None, 1_000)
            .await;
        let all = all.expect("they are read");
        let shown = |c: &crate::StoredConcept| {
            let definition = c.kept.content.definition.as_deref().unwrap_or_default();
            format!("{} {definition}", c.code)
        };
        all.iter().map(shown).collect()
    }

    async fn head(&self, vocabulary: &str) -> VocabularyHead {
        let heads = self.store.terminology().vocabulary_heads().await;
        let head = heads.expect("they are read")[&key(vocabulary)];
        let read = self.store.terminology().vocabulary(&key(vocabulary)).await;
        assert_eq!(read.expect("it is read").expect("it is there").head, head);
        head
    }
}

pub async fn a_vocabulary_is_stored_replaced_and_deleted<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    let terminology = world.store.terminology();
    let (first_at, second_at) = (world.now(), world.now());
    let change = |content: Vocabulary, now: Timestamp| async move {
        let changes = vec![Change::Upsert(key("colours"), content)];
        let outcomes = terminology.change_vocabularies(changes, now).await;
        outcomes.expect("it is stored").pop().expect("one outcome")
    };
    assert_eq!(change(titled("Colours"), first_at).await, Outcome::Created);
    let stored = terminology.vocabulary(&key("colours")).await;
    let stored = stored.expect("it is read").expect("it is there");
    assert_eq!(stored.kept.content, titled("Colours"));
    assert_eq!(
        (stored.kept.created_at, stored.kept.updated_at),
        (first_at, first_at)
    );
    let replaced = |updated_at, unchanged| Outcome::Replaced {
        created_at: first_at,
        updated_at,
        unchanged,
    };
    let equal = change(titled("Colours"), second_at).await;
    assert_eq!(equal, replaced(first_at, true));
    let bare = Vocabulary {
        title: "Hues".into(),
        description: None,
    };
    let other = change(bare.clone(), second_at).await;
    assert_eq!(other, replaced(second_at, false));
    let stored = terminology.vocabulary(&key("colours")).await;
    let stored = stored.expect("it is read").expect("it is there");
    assert_eq!(stored.kept.content, bare);
    assert_eq!(
        (stored.kept.created_at, stored.kept.updated_at),
        (first_at, second_at)
    );
    assert_eq!(world.vocabularies(&["-colours", "-colours"]).await, [200, 404]);
    let gone = terminology.vocabulary(&key("colours")).await;
    assert_eq!(gone.expect("it is read"), None);
}

pub async fn changes_of_vocabularies_are_judged_in_order_each_on_its_own<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    let did = world
        .vocabularies(&[
            "+a one", "+a two", "=a three", "=a three", "-b", "=b four", "-b", "+c five",
        ])
        .await;
    assert_eq!(did, [201, 409, 200, 304, 404, 201, 200, 201]);
    assert_eq!(world.titles().await, ["a three", "c five"]);
    assert_eq!(world.vocabularies(&[]).await, [0; 0]);
}

pub async fn vocabularies_are_listed_in_key_order_with_every_page_size<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+b", "+Zoo", "+a", "+-x", "+a-b"]).await;
    let expected = ["-x", "Zoo", "a", "a-b", "b"];
    for limit in 1..=6 {
        let (mut found, mut after) = (Vec::new(), None::<Key>);
        loop {
            let page = world
                .store
                .terminology()
                .vocabularies(after.as_ref(), limit)
                .await;
            let page = page.expect("they are read");
            assert!(page.len() <= limit);
            after = page.last().map(|last| last.key.clone());
            found.extend(page.iter().map(|v| v.key.to_string()));
            if !may_go_on(&page, limit) {
                break;
            }
        }
        assert_eq!(found, expected, "limit {limit}");
    }
    let heads = world.store.terminology().vocabulary_heads().await;
    let heads = heads.expect("they are read");
    assert_eq!(heads.keys().map(Key::as_str).collect::<Vec<_>>(), expected);
}

pub async fn a_concept_is_stored_replaced_and_deleted<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+colours"]).await;
    let terminology = world.store.terminology();
    assert_eq!(world.concepts("colours", &["=a b"]).await, [201]);
    let read = || async {
        let read = terminology.concept(&key("colours"), &code("a")).await;
        read.expect("it is read")
    };
    let first = read().await.expect("it is there");
    assert_eq!((first.code.as_str(), &first.kept.content), ("a", &meaning("b")));
    assert_eq!(first.kept.created_at, first.kept.updated_at);
    assert_eq!(world.concepts("colours", &["=a b"]).await, [304]);
    assert_eq!(read().await, Some(first.clone()));
    let changes = vec![Change::Upsert(code("a"), Concept::default())];
    let outcomes = terminology
        .change_concepts(&key("colours"), changes, world.now())
        .await;
    assert_eq!(codes_of(&outcomes.expect("it is stored")), [200]);
    let second = read().await.expect("it is there");
    assert_eq!(second.kept.content, Concept::default());
    assert_eq!(second.kept.created_at, first.kept.created_at);
    assert!(second.kept.updated_at > first.kept.updated_at);
    assert_eq!(world.concepts("colours", &["-a", "-a"]).await, [200, 404]);
    assert_eq!(read().await, None);
}

pub async fn changes_of_concepts_are_judged_in_order_each_on_its_own<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+v"]).await;
    assert_eq!(world.concepts("v", &["+a 1", "+b 1"]).await, [201, 201]);
    let changes = [
        "+a 2", "=a 3", "-b", "+b 4", "+b 5", "=c 6", "-c", "-c", "=d 7", "=d 7",
    ];
    let did = world.concepts("v", &changes).await;
    assert_eq!(did, [409, 200, 200, 201, 409, 201, 200, 404, 201, 304]);
    assert_eq!(world.meanings("v").await, ["a 3", "b 4", "d 7"]);
    let head = world.head("v").await;
    assert_eq!((head.concepts, head.code_bytes), (3, 3 * 65));
}

pub async fn concepts_are_listed_in_byte_order_with_every_page_size<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+v", "+w"]).await;
    world.concepts("w", &["+other"]).await;
    let expected = ["!", "B", "a", "a/b", "aa", "ä", "\u{ffff}", "😀"];
    let changes: Vec<_> = expected.iter().rev().map(|code| format!("+{code}")).collect();
    let changes: Vec<_> = changes.iter().map(String::as_str).collect();
    world.concepts("v", &changes).await;
    let terminology = world.store.terminology();
    for limit in 1..=9 {
        let (mut found, mut after) = (Vec::new(), None::<ConceptCode>);
        loop {
            let page = terminology.concepts(&key("v"), after.as_ref(), limit).await;
            let page = page.expect("they are read");
            assert!(page.len() <= limit);
            after = page.last().map(|last| last.code.clone());
            found.extend(page.iter().map(|c| c.code.to_string()));
            if !may_go_on(&page, limit) {
                break;
            }
        }
        assert_eq!(found, expected, "limit {limit}");
    }
    let codes = terminology.codes(&key("v")).await.expect("they are read");
    let (head, codes) = codes.expect("it is there");
    assert_eq!(codes.len(), expected.len());
    assert!(expected.iter().all(|code| codes.contains(code)));
    assert_eq!(head, world.head("v").await);
    let none = terminology.codes(&key("none")).await;
    assert!(none.expect("it is read").is_none());
}

pub async fn a_page_of_large_concepts_ends_early_and_says_so<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+v"]).await;
    let large = "x".repeat(PAGE_BYTES_MAX / 4);
    let changes = [format!("+a {large}"), format!("+b {large}"), "+c".to_owned()];
    let changes: Vec<_> = changes.iter().map(String::as_str).collect();
    world.concepts("v", &changes).await;
    let terminology = world.store.terminology();
    let first = terminology
        .concepts(&key("v"), None, 10)
        .await
        .expect("they are read");
    assert_eq!(first.len(), 2);
    assert!(may_go_on(&first, 10));
    let last = first.last().map(|last| last.code.clone());
    let rest = terminology.concepts(&key("v"), last.as_ref(), 10).await;
    let rest = rest.expect("they are read");
    assert!(rest.len() == 1 && !may_go_on(&rest, 10));

    // Of many that are less large all are found, page by page.
    const MANY: usize = 1_000;
    world.vocabularies(&["+w"]).await;
    let text = "x".repeat(9_000);
    let changes: Vec<String> = (0..MANY).map(|at| format!("+c{at:04} {text}")).collect();
    for changes in changes.chunks(200) {
        let changes: Vec<_> = changes.iter().map(String::as_str).collect();
        world.concepts("w", &changes).await;
    }
    let (mut found, mut last) = (0, None);
    loop {
        let page = terminology.concepts(&key("w"), last.as_ref(), MANY).await;
        let page = page.expect("they are read");
        found += page.len();
        last = page.last().map(|last| last.code.clone());
        if !may_go_on(&page, MANY) {
            break;
        }
    }
    assert_eq!(found, MANY);
}

pub async fn the_revision_of_a_vocabulary_moves_with_its_concepts_alone<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+v", "+w"]).await;
    let start = world.head("v").await;
    assert_ne!(start.number, world.head("w").await.number);
    let mut seen = vec![start.revision];
    for (changes, moves) in [
        (&["+a 1"][..], true),
        (&["=a 1", "+a 1", "-b"], false),
        (&["=a 2"], true),
        (&["-a"], true),
        (&[], false),
    ] {
        world.concepts("v", changes).await;
        let now = world.head("v").await.revision;
        assert_eq!(seen.last() != Some(&now), moves, "{changes:?}");
        assert_eq!(seen.contains(&now), !moves, "{changes:?}");
        seen.push(now);
    }
    world.concepts("w", &["+a"]).await;
    world.vocabularies(&["=v other"]).await;
    assert_eq!(Some(&world.head("v").await.revision), seen.last());
    assert_eq!(world.head("v").await.number, start.number);
}

pub async fn a_vocabulary_goes_with_its_concepts_and_another_comes_without<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+v", "+w"]).await;
    world.concepts("v", &["+a", "+b"]).await;
    world.concepts("w", &["+a"]).await;
    let old = world.head("v").await;
    for changes in [&["-v", "+v"][..], &["-v", "+v", "-v", "=v"]] {
        world.vocabularies(changes).await;
        let fresh = world.head("v").await;
        assert_ne!(fresh.number, old.number, "a number is not given twice");
        assert_eq!((fresh.concepts, fresh.code_bytes), (0, 0));
        assert_eq!(world.meanings("v").await, [""; 0]);
        world.concepts("v", &["+a", "+b"]).await;
    }
    world.vocabularies(&["-v"]).await;
    assert_eq!(world.meanings("w").await, ["a x"]);
    let gone = ErrorType::NotFound;
    let terminology = world.store.terminology();
    refused_with(world.try_concepts("v", &["+a"]).await, gone);
    refused_with(terminology.concept(&key("v"), &code("a")).await, gone);
    refused_with(terminology.concepts(&key("v"), None, 9).await, gone);
    // What was made and unmade at once leaves nothing.
    assert_eq!(world.vocabularies(&["+x", "-x"]).await, [201, 200]);
    assert_eq!(world.titles().await, ["w x"]);
}

pub async fn of_two_that_create_a_concept_at_once_one_succeeds<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+v"]).await;
    for round in 0..10 {
        let change = format!("+{round}");
        let changes = [change.as_str()];
        let (one, two) = futures::join!(world.concepts("v", &changes), world.concepts("v", &changes));
        let mut did = [one, two].concat();
        did.sort_unstable();
        assert_eq!(did, [201, 409]);
    }
    assert_eq!(world.head("v").await.concepts, 10);
}

/// A profile with a code that is bound to the vocabulary `v`, its key written as `spelled`.
fn bound(spelled: &str, strength: &str) -> String {
    let binding = format!(r#"{{"vocabulary":{{"key":"{spelled}","strength":"{strength}"}}}}"#);
    format!(r#"{{"properties":{{"v":{{"type":"code","binding":{binding}}}}}}}"#)
}

pub async fn a_vocabulary_that_a_definition_is_bound_to_stays<F: Fixture>(fixture: &F) {
    let mut world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+v", "+w"]).await;
    world.concepts("v", &["+a"]).await;
    for spelled in ["v", "\\u0076"] {
        for strength in ["preferred", "required"] {
            world.define(Profile, "thing", &bound(spelled, strength)).await;
            let changes = vec![Change::Delete(key("v"))];
            let terminology = world.store.terminology();
            let outcomes = terminology.change_vocabularies(changes, world.now()).await;
            let outcomes = outcomes.expect("they are judged");
            let Outcome::Failed(error) = &outcomes[0] else {
                panic!("{outcomes:?}");
            };
            assert_eq!(error.error_type, ErrorType::FailedPrecondition);
            let names = format!("profile 'thing' of source '{}'", world.source.key);
            assert!(error.message.contains(&names), "{error}");
        }
    }
    assert_eq!(world.vocabularies(&["-w", "=v other"]).await, [200, 200]);
    assert_eq!(world.concepts("v", &["-a"]).await, [200]);
    world
        .define(Profile, "thing", r#"{"properties":{"v":{"type":"code"}}}"#)
        .await;
    assert_eq!(world.vocabularies(&["-v"]).await, [200]);
}

pub async fn a_definition_that_names_a_vocabulary_that_is_gone_is_not_stored<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    let seen = world.definitions().await;
    let there = [key("v")].into();
    let limits = Limits::default();
    let json = bound("v", "required");
    let accepted = accept(
        Profile,
        &key("thing"),
        json.as_bytes(),
        &seen.list,
        &there,
        &limits,
    );
    let accepted = accepted.expect("it was good");
    let put = || {
        world
            .store
            .put_definition(&world.source, &accepted, seen.revision, world.now())
    };
    let outcome = put().await;
    assert!(
        matches!(outcome, Err(StoreError::DefinitionsChanged)),
        "{outcome:?}"
    );
    world.vocabularies(&["+v"]).await;
    put().await.expect("it is good now");
}

pub async fn a_binding_and_the_end_of_its_vocabulary_do_not_pass_each_other<F: Fixture>(fixture: &F) {
    let mut world = World::bare(fixture.fresh().await).await;
    let json = bound("v", "required");
    for _ in 0..20 {
        world.vocabularies(&["+v"]).await;
        let seen = world.definitions().await;
        let (there, limits) = ([key("v")].into(), Limits::default());
        let accepted = accept(
            Profile,
            &key("thing"),
            json.as_bytes(),
            &seen.list,
            &there,
            &limits,
        );
        let accepted = accepted.expect("it is good");
        let put = world
            .store
            .put_definition(&world.source, &accepted, seen.revision, world.now());
        let (put, deleted) = futures::join!(put, world.vocabularies(&["-v"]));
        match (put, &deleted[..]) {
            (Ok(_), [400]) => {
                world.undefine(Profile, "thing").await.expect("it goes");
                world.vocabularies(&["-v"]).await;
            }
            (Err(StoreError::DefinitionsChanged), [200]) => {}
            other => panic!("{other:?}"),
        }
    }
}

pub async fn the_limits_of_vocabularies_and_concepts_are_kept<F: Fixture>(fixture: &F) {
    let mut limits = StoreLimits::from(&Limits::default());
    limits.vocabularies = 2;
    limits.concepts_per_vocabulary = 3;
    limits.concept_code_bytes = 5 * 65;
    let world = World::bare(fixture.with_limits(limits).await).await;
    let did = world
        .vocabularies(&["+a", "+b", "+c", "=b other", "-a", "+c"])
        .await;
    assert_eq!(did, [201, 201, 413, 200, 200, 201]);
    let did = world
        .concepts("b", &["+1", "+2", "+3", "+4", "=3 y", "-1", "+4"])
        .await;
    assert_eq!(did, [201, 201, 201, 413, 200, 200, 201]);
    // Two of five are left for all others together.
    assert_eq!(world.concepts("c", &["+1", "+2", "+3"]).await, [201, 201, 413]);
    let over = world.try_concepts("c", &["+3"]).await.expect("it is judged");
    assert!(matches!(&over[0], Outcome::Failed(e) if e.message.contains("conceptCodeBytes")));
    let over = world.try_concepts("b", &["+5"]).await.expect("it is judged");
    assert!(matches!(&over[0], Outcome::Failed(e) if e.message.contains("conceptsPerVocabulary")));
    world.vocabularies(&["-b"]).await;
    assert_eq!(world.concepts("c", &["+3"]).await, [201]);
}

pub async fn a_closed_store_changes_no_vocabulary<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+v"]).await;
    world.store.close().await.expect("it closes");
    let changes = vec![Change::Delete(key("v"))];
    let terminology = world.store.terminology();
    let outcome = terminology.change_vocabularies(changes, world.now()).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
    let outcome = world.try_concepts("v", &["+a"]).await;
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
}

pub async fn vocabularies_stay_over_a_reopen<F: Fixture>(fixture: &F) {
    let world = World::bare(fixture.fresh().await).await;
    world.vocabularies(&["+v one", "+w two", "+gone"]).await;
    world.concepts("v", &["+a 1", "+b 2"]).await;
    world.concepts("gone", &["+a 1"]).await;
    let highest = world.head("gone").await.number;
    world.vocabularies(&["-gone"]).await;
    let head = world.head("v").await;
    let stored = world.store.terminology().concept(&key("v"), &code("b")).await;
    let stored = stored.expect("it is read");
    let world = reopen_or_skip!(fixture, world, "vocabularies over a reopen");
    assert_eq!(world.titles().await, ["v one", "w two"]);
    assert_eq!(world.meanings("v").await, ["a 1", "b 2"]);
    assert_eq!(world.head("v").await, head);
    let again = world.store.terminology().concept(&key("v"), &code("b")).await;
    assert_eq!(again.expect("it is read"), stored);
    let error = refusal(world.try_concepts("gone", &["+a"]).await);
    assert_eq!(error.message, "vocabulary 'gone' does not exist");
    world.vocabularies(&["+gone"]).await;
    assert!(
        world.head("gone").await.number > highest,
        "a number is not given twice"
    );
    assert_eq!(world.concepts("v", &["+a", "=b 2", "-a"]).await, [409, 304, 200]);
}
