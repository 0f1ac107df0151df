use granary_core::limits::Limits;
use granary_core::terminology::Change;
use granary_store::StoreLimits;

use super::*;
use crate::Collection;
use crate::runs::Runs;

/// A store with the vocabularies `kept` and `gone`, each with so many concepts.
fn filled(folder: &std::path::Path, concepts: usize) -> Inner {
    let inner = Inner::open(
        folder,
        StoreLimits::from(&Limits::default()),
        Runs::default(),
        Collection::by_hand(),
    )
    .unwrap();
    for key in ["kept", "gone"] {
        let key = Key::parse(key).unwrap();
        let changes = vec![Change::Create(key.clone(), Vocabulary::default())];
        inner.change_vocabularies(changes, Timestamp::EPOCH).unwrap();
        let code = |n| ConceptCode::parse(&format!("c{n}")).unwrap();
        let changes = (0..concepts).map(|n| Change::Create(code(n), Concept::default()));
        inner
            .change_concepts(&key, changes.collect(), Timestamp::EPOCH)
            .unwrap();
    }
    inner
}

fn rows_left(inner: &Inner) -> (usize, usize) {
    let dead = inner.keyspaces.vocabularies.prefix([DEAD_KIND]).count();
    (inner.keyspaces.concepts.iter().count(), dead)
}

fn delete_gone() -> Vec<VocabularyChange> {
    vec![Change::Delete(Key::parse("gone").unwrap())]
}

#[test]
fn the_rows_of_a_deleted_vocabulary_are_removed() {
    for concepts in [0, 1, FREED_AT_ONCE, FREED_AT_ONCE + 1] {
        let folder = tempfile::tempdir().unwrap();
        let inner = filled(folder.path(), concepts);
        assert_eq!(rows_left(&inner), (2 * concepts, 0));
        inner
            .change_vocabularies(delete_gone(), Timestamp::EPOCH)
            .unwrap();
        assert_eq!(rows_left(&inner), (concepts, 0));
    }
}

#[test]
fn what_a_crash_leaves_of_a_deleted_vocabulary_the_next_change_removes() {
    let folder = tempfile::tempdir().unwrap();
    let inner = filled(folder.path(), 3);
    {
        let mut writer = inner.terminology.hold();
        let heads = inner.terminology.heads();
        let mut rules = VocabularyRules {
            count: 2,
            count_max: 2,
            in_use: |_: &Key| None,
        };
        let current = inner.db.snapshot();
        let decided = decide(delete_gone(), Timestamp::EPOCH, &mut rules, |key| {
            let row = inner.vocabulary_row(&current, key)?;
            Ok::<_, StoreError>(row.map(VocabularyRow::kept))
        });
        inner
            .commit_vocabularies(&mut writer, &heads, decided.unwrap())
            .unwrap();
    }
    assert_eq!(rows_left(&inner), (6, 1));
    drop(inner);
    let inner = Inner::open(
        folder.path(),
        StoreLimits::from(&Limits::default()),
        Runs::default(),
        Collection::by_hand(),
    )
    .unwrap();
    assert_eq!(inner.terminology.heads().len(), 1);
    assert_eq!(rows_left(&inner), (6, 1));
    inner.change_vocabularies(Vec::new(), Timestamp::EPOCH).unwrap();
    assert_eq!(rows_left(&inner), (3, 0));
}
