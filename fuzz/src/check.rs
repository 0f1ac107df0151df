//! The check of operations: what passes is JSON and is kept as it was sent, however it is spaced and in whatever order its
//! members come; what does not is told with pointers that lead somewhere; and of properties of simple types the verdict is
//! that of a slow peer.

use granary_core::check::Rejection;
use granary_core::operation::{Action, Operation, TargetType};
use serde_json::value::RawValue;

use crate::places::Place;
use crate::source::{LIMITS, PLAIN, SCHEMA, with_checker};
use crate::tree::{Members, Tree, is_json, names_a_surrogate};
use crate::{peer, places};

type Checked = Result<(Operation, Vec<u8>), Rejection>;

fn check(target: TargetType, bytes: &[u8]) -> Checked {
    with_checker(&SCHEMA, target, |checker| {
        let mut body = b"before".to_vec();
        let checked = checker.operation(bytes, &mut body);
        let own = body.split_off(6);
        assert_eq!(body, b"before");
        assert!(
            checked.is_ok() || own.is_empty(),
            "what is rejected leaves nothing"
        );
        checked.map(|operation| (operation, own))
    })
}

/// The operation with white space wherever it may stand.
pub(crate) fn spaced(raw: &str, out: &mut String) {
    out.push_str(" \n");
    match raw.as_bytes().first() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(raw).expect("it was read before");
            out.push('{');
            for (at, (name, value)) in members.0.iter().enumerate() {
                out.push_str(if at > 0 { " ,\t" } else { "\r" });
                out.push_str(&serde_json::to_string(name).expect("a text"));
                out.push_str(" :");
                spaced(value.get(), out);
            }
            out.push_str(" }");
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(raw).expect("it was read before");
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                out.push_str(if at > 0 { "\t," } else { "" });
                spaced(element.get(), out);
            }
            out.push_str("\n]");
        }
        _ => out.push_str(raw),
    }
    out.push(' ');
}

/// The operation with the members of its envelope and its payload, and of the objects of the edge in it, the other way round.
pub(crate) fn turned(raw: &str, levels: usize) -> Option<String> {
    let members: Members<'_> = serde_json::from_str(raw).ok()?;
    let members = members.0.iter().rev().map(|(name, value)| {
        let deeper =
            (levels > 0 && name != "data" && name != "contained").then(|| turned(value.get(), levels - 1));
        let value = deeper.flatten().unwrap_or_else(|| value.get().to_owned());
        format!("{}:{value}", serde_json::to_string(name).expect("a text"))
    });
    Some(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
}

/// What two checks of the same must agree on.
fn verdict(checked: &Checked) -> Result<(&Operation, &[u8]), Option<Vec<Place<'_>>>> {
    match checked {
        Ok((operation, body)) => Ok((operation, body)),
        // Past the limit it depends on the order which faults are told.
        Err(Rejection::Invalid(error)) if error.details_total.is_none() => Err(Some(places::sorted(error))),
        Err(_) => Err(None),
    }
}

fn judged(target: TargetType, input: &[u8]) {
    let checked = check(target, input);
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let tree = Tree::read(text);
    match &checked {
        Err(Rejection::Syntax { offset, .. }) => {
            assert!(*offset <= input.len());
            assert!(!is_json(text), "it is JSON: {checked:?}");
            return;
        }
        Err(Rejection::Invalid(error)) => {
            assert!(
                is_json(text) || names_a_surrogate(text),
                "it is not JSON: {error:?}"
            );
            if let Some(tree) = &tree {
                places::resolve(error, tree);
            }
        }
        Ok((operation, body)) => {
            let tree = tree
                .as_ref()
                .expect("what passes is JSON without halves of surrogate pairs");
            assert!(!tree.has_twins());
            let payload = tree.member(operation.action.payload()).expect("a payload");
            let type_key = SCHEMA.types()[operation.type_index as usize].key.as_str();
            assert_eq!(payload.member("type"), Some(&Tree::Text(type_key.to_owned())));
            kept(operation, body, payload);
        }
    }
    let Some(tree) = &tree else { return };
    if tree.has_twins() {
        assert!(checked.is_err());
        return;
    }
    let text = std::str::from_utf8(text).expect("it was read before");
    let mut wide = String::new();
    spaced(text.trim(), &mut wide);
    let again = check(target, wide.as_bytes());
    // A name with escapes is written without them here, which says the same.
    let comparable = !text.contains('\\');
    assert!(
        !comparable || verdict(&again) == verdict(&checked),
        "spaced:\n{again:?}\n{checked:?}"
    );
    if let Some(turned) = turned(text, 3)
        && let Ok(_) | Err(Some(_)) = verdict(&checked)
    {
        let again = check(target, turned.as_bytes());
        assert!(
            !comparable || verdict(&again) == verdict(&checked),
            "turned:\n{again:?}\n{checked:?}"
        );
    }
    if target == TargetType::Resource {
        against_peer(tree, &checked);
    }
}

/// True where `kept` is `sent` as a record with this id keeps it: an integer that is -0 is 0, and in a reference `@rootId` is
/// the id.
fn is_kept(sent: &Tree, kept: &Tree, id: &str) -> bool {
    match (sent, kept) {
        (Tree::Number(sent), Tree::Number(kept)) => sent == kept || (sent == "-0" && kept == "0"),
        (Tree::Text(sent), Tree::Text(kept)) => sent == kept || (sent == "@rootId" && kept == id),
        (Tree::Array(sent), Tree::Array(kept)) => {
            sent.len() == kept.len() && sent.iter().zip(kept).all(|(sent, kept)| is_kept(sent, kept, id))
        }
        (Tree::Object(sent), Tree::Object(kept)) => {
            let same = |((name, sent), (known, kept)): (&(String, Tree), &(String, Tree))| {
                name == known && is_kept(sent, kept, id)
            };
            sent.len() == kept.len() && sent.iter().zip(kept).all(same)
        }
        (sent, kept) => sent == kept,
    }
}

/// The body is what was sent, and checked once more it is the same.
fn kept(operation: &Operation, body: &[u8], payload: &Tree) {
    if operation.action == Action::Delete {
        assert!(body.is_empty() && operation.hash.is_none());
        return;
    }
    let absent = |name: &str| payload.member(name).is_none_or(|value| *value == Tree::Null);
    if body.is_empty() {
        assert!(absent("data") && operation.id.target_type() == TargetType::Relationship);
        return;
    }
    let tree = Tree::read(body).expect("a body is JSON");
    let id = operation.id.to_string();
    let (sent, own) = (payload.member("data"), tree.member("data"));
    let same = sent.zip(own).is_some_and(|(sent, own)| is_kept(sent, own, &id));
    assert!(same, "{sent:?} is kept as {own:?}");
    assert_eq!(tree.member("contained").is_some(), !absent("contained"));
    assert!(
        !body.iter().any(|byte| matches!(byte, b'\n' | b'\t')),
        "a body is one line"
    );
    if operation.id.target_type() == TargetType::Resource {
        let again = with_checker(&SCHEMA, TargetType::Resource, |checker| {
            let mut again = Vec::new();
            checker
                .resource(operation.type_index, Action::Create, None, body, &mut again)
                .map(|_| again)
        });
        // What was judged by the id of the record, or by its own, is not judged alike without it.
        if let Ok(again) = again {
            assert_eq!(again, body, "a body stays as it is");
        }
    }
}

/// Of an operation that is right but for its data, the verdict on the data is that of the peer.
fn against_peer(tree: &Tree, checked: &Checked) {
    let Tree::Object(envelope) = tree else { return };
    let [(_, action), (name, payload)] = envelope.as_slice() else {
        return;
    };
    let (Tree::Text(action), Tree::Object(members)) = (action, payload) else {
        return;
    };
    let [(first, Tree::Text(type_key)), (second, data @ Tree::Object(_))] = members.as_slice() else {
        return;
    };
    let create = (action.as_str(), name.as_str()) == ("CREATE", "create");
    let plain = (first.as_str(), type_key.as_str(), second.as_str()) == ("type", "plain", "data");
    if !create || !plain || envelope[0].0 != "action" || too_deep(tree, LIMITS.json_depth) {
        return;
    }
    let profile = Tree::read(PLAIN.as_bytes()).expect("it is JSON");
    let mut faults = Vec::new();
    peer::object(
        data,
        profile.member("properties").expect("properties"),
        "/create/data",
        &mut faults,
    );
    faults.sort_unstable();
    match checked {
        Ok(_) => assert!(faults.is_empty(), "the peer finds {faults:?}"),
        Err(Rejection::Invalid(error)) if error.details_total.is_none() => {
            let mut own: Vec<_> = error
                .details
                .iter()
                .map(|fault| {
                    (
                        fault.path.clone().unwrap_or_default(),
                        fault.rule.clone().unwrap_or_default(),
                    )
                })
                .collect();
            own.sort_unstable();
            assert_eq!(own, faults, "{error:?}");
        }
        Err(_) => assert!(!faults.is_empty(), "the peer finds no fault"),
    }
}

fn too_deep(tree: &Tree, left: u64) -> bool {
    match tree {
        Tree::Array(elements) => left == 0 || elements.iter().any(|value| too_deep(value, left - 1)),
        Tree::Object(members) => left == 0 || members.iter().any(|(_, value)| too_deep(value, left - 1)),
        _ => false,
    }
}

pub fn run(input: &[u8]) {
    judged(TargetType::Resource, input);
    judged(TargetType::Relationship, input);
}
