use super::*;
use crate::keys::Key;
use crate::meta::Identifiers;
use crate::operation::EdgeEnd;

const NOW: Timestamp = Timestamp::EPOCH;

fn rid(raw: &str) -> ResourceId {
    ResourceId::parse(raw).unwrap()
}

fn types() -> Vec<TypeRef> {
    let key = |raw| Key::parse(raw).unwrap();
    let end = |at_most_one| EdgeEnd {
        profile: key("place"),
        number: 1,
        at_most_one,
    };
    vec![
        TypeRef {
            key: key("place"),
            number: 1,
            edge: None,
        },
        TypeRef {
            key: key("in"),
            number: 2,
            edge: Some(EdgeEnds {
                from: end(true),
                to: end(false),
            }),
        },
    ]
}

fn resource(action: Action, id: &str, content: u8) -> Operation {
    let hash = (action != Action::Delete).then_some(ContentHash([content; 16]));
    Operation {
        action,
        type_index: 0,
        id: RecordId::Resource(rid(id)),
        hash,
        meta: None,
    }
}

fn edge(action: Action, from: &str, to: &str, content: u8) -> Operation {
    let id = RecordId::Relationship {
        from: rid(from),
        to: rid(to),
    };
    let hash = (action != Action::Delete).then_some(ContentHash([content; 16]));
    Operation {
        action,
        type_index: 1,
        id,
        hash,
        meta: None,
    }
}

/// Decides on an empty store.
fn decide(operations: &[Operation]) -> Decision {
    let types = types();
    let plan = Plan::of(operations, &types);
    let current = Current {
        heads: vec![None; plan.records().len()],
        neighbours: vec![Vec::new(); plan.bounds().len()],
    };
    plan.decide(current, NOW, 1)
}

fn codes(decision: &Decision) -> Vec<u16> {
    let code = |verdict: &Verdict| match verdict {
        Verdict::Success { unchanged: false } => 200,
        Verdict::Success { unchanged: true } => 304,
        Verdict::Failure(error) => error.code,
    };
    decision.verdicts.iter().map(code).collect()
}

use Action::{Create, Delete, Upsert};

#[test]
fn each_operation_sees_the_earlier_ones() {
    let decision = decide(&[
        resource(Create, "aa", 1),
        resource(Create, "aa", 2),
        resource(Upsert, "aa", 3),
        resource(Upsert, "aa", 3),
        resource(Delete, "aa", 0),
        resource(Delete, "aa", 0),
        resource(Upsert, "aa", 4),
    ]);
    assert_eq!(codes(&decision), [200, 409, 200, 304, 200, 404, 200]);
    assert_eq!(decision.puts.len(), 1);
    let put = &decision.puts[0];
    assert_eq!((put.operation, put.head.version, put.head.stamp), (6, 1, 3));
    assert_eq!(
        (
            decision.deletes.len(),
            decision.cascades.len(),
            decision.stamp_next
        ),
        (0, 1, 4)
    );
    let Verdict::Failure(error) = &decision.verdicts[1] else {
        panic!("a create on an existing id")
    };
    assert_eq!(error.message, "record with id 'aa' already exists");
}

#[test]
fn an_edge_needs_both_ends_and_room() {
    let decision = decide(&[
        edge(Create, "aa", "bb", 1),
        resource(Create, "aa", 1),
        edge(Create, "aa", "bb", 1),
        resource(Create, "bb", 1),
        resource(Create, "cc", 1),
        edge(Create, "aa", "bb", 1),
        edge(Upsert, "aa", "bb", 2),
        edge(Create, "aa", "bb", 1),
        edge(Create, "aa", "cc", 1),
        edge(Delete, "aa", "bb", 0),
        edge(Create, "aa", "cc", 1),
    ]);
    assert_eq!(
        codes(&decision),
        [404, 200, 404, 200, 200, 200, 200, 409, 400, 200, 200]
    );
}

#[test]
fn a_deleted_resource_takes_its_edges_along() {
    let decision = decide(&[
        resource(Create, "aa", 1),
        resource(Create, "bb", 1),
        edge(Create, "aa", "bb", 1),
        resource(Delete, "bb", 0),
        edge(Delete, "aa", "bb", 0),
        resource(Create, "bb", 1),
        resource(Create, "cc", 1),
        edge(Create, "aa", "cc", 1),
    ]);
    assert_eq!(codes(&decision), [200, 200, 200, 200, 404, 200, 200, 200]);
    assert_eq!(decision.cascades.len(), 1);
}

/// The head that an upsert of other content leaves of a record of this version and time.
fn upserted(version: u32, at: Timestamp) -> Head {
    let types = types();
    let operations = [resource(Upsert, "aa", 2)];
    let plan = Plan::of(&operations, &types);
    let stored = Head {
        version,
        stamp: 3,
        created_at: at,
        updated_at: at,
        hash: ContentHash([1; 16]),
        identifiers: None,
        at_once: false,
    };
    let current = Current {
        heads: vec![Some(stored)],
        neighbours: Vec::new(),
    };
    plan.decide(current, NOW, 9).puts[0].head
}

#[test]
fn a_clock_set_back_keeps_the_time_of_a_record() {
    let later = Timestamp::from_millis(5_000);
    let head = upserted(7, later);
    assert_eq!(
        (head.version, head.stamp, head.created_at, head.updated_at),
        (8, 9, later, later)
    );
}

#[test]
fn the_highest_version_stays() {
    let head = upserted(VERSION_MAX, NOW);
    assert_eq!((head.version, head.stamp), (VERSION_MAX, 9));
}

/// An operation with this meta.
fn with_meta(mut operation: Operation, meta: SentMeta) -> Operation {
    operation.meta = Some(Box::new(meta));
    operation
}

fn identifiers(content: u8) -> Identifiers {
    Identifiers {
        hash: (content > 0).then_some(ContentHash([content; 16])),
        ..Identifiers::default()
    }
}

#[test]
fn sent_meta_is_compared_and_kept() {
    let identified = |content| SentMeta {
        identifiers: Some(identifiers(content)),
        ..SentMeta::default()
    };
    let imported = SentMeta {
        created_at: Some(Timestamp::from_millis(-5_000)),
        updated_at: Some(Timestamp::from_millis(-4_000)),
        identifiers: None,
    };
    let decision = decide(&[
        with_meta(resource(Create, "aa", 1), identified(7)),
        with_meta(resource(Upsert, "aa", 1), identified(7)),
        with_meta(resource(Upsert, "aa", 1), identified(8)),
        resource(Upsert, "aa", 1),
        resource(Upsert, "aa", 2),
        with_meta(resource(Upsert, "aa", 2), imported.clone()),
        with_meta(resource(Upsert, "aa", 2), imported),
        with_meta(resource(Create, "bb", 1), identified(7)),
        with_meta(resource(Upsert, "bb", 1), identified(0)),
        with_meta(resource(Create, "cc", 1), identified(7)),
        resource(Delete, "cc", 0),
        resource(Create, "cc", 1),
    ]);
    assert_eq!(
        codes(&decision),
        [200, 304, 200, 304, 200, 200, 304, 200, 200, 200, 200, 200]
    );
    let [a, b, c] = decision.puts.as_slice() else {
        panic!("three records are written")
    };
    assert_eq!(
        (a.operation, a.identifiers, a.head.version),
        (5, Identified::In(2), 4)
    );
    let times = (a.head.created_at.millis(), a.head.updated_at.millis());
    assert_eq!(times, (-5_000, -4_000));
    assert_eq!(a.head.identifiers, Some(ContentHash([8; 16])));
    assert_eq!((b.identifiers, b.head.identifiers), (Identified::Nowhere, None));
    assert_eq!((c.identifiers, c.head.identifiers), (Identified::Nowhere, None));
}

#[test]
fn a_guard_is_on_the_first_record_alone() {
    let types = types();
    let operations = [resource(Upsert, "aa", 2), resource(Upsert, "bb", 2)];
    let stored = Head {
        version: 1,
        stamp: 5,
        created_at: NOW,
        updated_at: NOW,
        hash: ContentHash([1; 16]),
        identifiers: None,
        at_once: false,
    };
    let cases = [
        (Guard::Exists, Some(stored), 200),
        (Guard::Exists, None, 412),
        (Guard::Absent, Some(stored), 412),
        (Guard::Absent, None, 200),
        (Guard::Stamp(vec![4, 5]), Some(stored), 200),
        (Guard::Stamp(vec![4, 6]), Some(stored), 412),
        (Guard::Stamp(vec![5]), None, 412),
    ];
    for (guard, head, code) in cases {
        let plan = Plan::of(&operations, &types).at_once(Some(&guard));
        let current = Current {
            heads: vec![head, None],
            neighbours: Vec::new(),
        };
        let decision = plan.decide(current, NOW, 9);
        assert_eq!(codes(&decision), [code, 200], "{guard:?} on {head:?}");
        assert!(decision.puts.iter().all(|put| put.head.at_once));
    }
}
