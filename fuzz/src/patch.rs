//! Patches: the first line is a document, the rest a patch of it. A patch of `serde_json`'s trees, a few lines after RFC
//! 6902, gives the same document or fails as well.

use granary_core::check::Rejection;
use granary_core::error::ErrorType;
use granary_core::json::Scanner;
use granary_core::patch::Patch;

use crate::peer::Number;
use crate::places;
use crate::source::LIMITS;
use crate::tree::{Tree, is_json, names_a_surrogate};
use crate::two_parts;

/// The document without white space; `None` where it is none, or one that no edge has.
fn compact(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut scanner = Scanner::new(bytes, 12, &mut out);
    scanner.start_copy();
    scanner.skip().ok()?;
    scanner.stop_copy();
    scanner.finish().ok()?;
    let document = Tree::read(&out).filter(|document| !document.has_twins());
    document.map(|_| out)
}

/// Why an operation does nothing.
#[derive(Debug, PartialEq)]
enum Misfit {
    Nowhere,
    Differs,
}

fn steps(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

fn index(step: &str, length: usize) -> Option<usize> {
    let spelled = step == "0"
        || (step.bytes().all(|byte| byte.is_ascii_digit()) && !step.starts_with('0') && !step.is_empty());
    spelled
        .then(|| step.parse().ok())
        .flatten()
        .filter(|at| *at < length)
}

fn below<'t>(tree: &'t mut Tree, step: &str) -> Option<&'t mut Tree> {
    match tree {
        Tree::Object(members) => members
            .iter_mut()
            .find(|(name, _)| name == step)
            .map(|(_, value)| value),
        Tree::Array(elements) => index(step, elements.len()).map(|at| &mut elements[at]),
        _ => None,
    }
}

fn one(document: &mut Tree, action: &str, pointer: &str, value: Option<&Tree>) -> Result<(), Misfit> {
    let steps = steps(pointer);
    let misfit = || {
        if action == "test" {
            Misfit::Differs
        } else {
            Misfit::Nowhere
        }
    };
    let wanted = || value.cloned().expect("it takes a value");
    let Some((last, above)) = steps.split_last() else {
        return match action {
            "test" => same(document, &wanted()).then_some(()).ok_or(Misfit::Differs),
            "remove" => Err(Misfit::Nowhere),
            _ => {
                *document = wanted();
                Ok(())
            }
        };
    };
    let parent = above
        .iter()
        .try_fold(document, |tree, step| below(tree, step))
        .ok_or_else(misfit)?;
    match (action, parent) {
        ("add", Tree::Object(members)) => match members.iter_mut().find(|(name, _)| name == last) {
            Some((_, there)) => *there = wanted(),
            None => members.push((last.clone(), wanted())),
        },
        ("add", Tree::Array(elements)) => {
            let at = if last == "-" {
                Some(elements.len())
            } else {
                index(last, elements.len() + 1)
            };
            elements.insert(at.ok_or_else(misfit)?, wanted());
        }
        ("remove", Tree::Object(members)) => {
            let at = members.iter().position(|(name, _)| name == last);
            members.remove(at.ok_or_else(misfit)?);
        }
        ("remove", Tree::Array(elements)) => {
            elements.remove(index(last, elements.len()).ok_or_else(misfit)?);
        }
        (action, parent) => {
            let there = below(parent, last).ok_or_else(misfit)?;
            match action {
                "test" => return same(there, &wanted()).then_some(()).ok_or(Misfit::Differs),
                _ => *there = wanted(),
            }
        }
    }
    Ok(())
}

/// Equal as RFC 6902 has it.
fn same(one: &Tree, other: &Tree) -> bool {
    match (one, other) {
        (Tree::Number(one), Tree::Number(other)) => {
            let numbers = [one, other].map(|raw| Number::of(raw));
            // One that no number needs is compared as it is written.
            one == other || (numbers.iter().all(Number::is_known) && numbers[0].compare(&numbers[1]).is_eq())
        }
        (Tree::Array(one), Tree::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Tree::Object(one), Tree::Object(other)) => {
            let in_other = |(name, value): &(String, Tree)| {
                other
                    .iter()
                    .any(|(known, theirs)| known == name && same(value, theirs))
            };
            one.len() == other.len() && one.iter().all(in_other)
        }
        (one, other) => one == other,
    }
}

pub fn run(input: &[u8]) {
    let (document, patch) = two_parts(input);
    let sent = patch.strip_prefix(b"\xef\xbb\xbf").unwrap_or(patch);
    let tree = Tree::read(sent);
    let parsed = match Patch::parse(patch, &LIMITS) {
        Ok(parsed) => parsed,
        Err(Rejection::Syntax { offset, .. }) => {
            assert!(offset <= patch.len() && !is_json(sent));
            return;
        }
        Err(Rejection::Invalid(error)) => {
            assert!(is_json(sent) || names_a_surrogate(sent), "{error:?}");
            if let Some(tree) = &tree {
                places::resolve(&error, tree);
            }
            return;
        }
    };
    let Some(document) = compact(document) else { return };
    let outcome = parsed.apply(&document);
    let Some(Tree::Array(operations)) = tree else {
        assert!(names_a_surrogate(sent), "a patch is an array");
        return;
    };
    let text = |operation: &Tree, name: &str| match operation.member(name) {
        Some(Tree::Text(text)) => text.clone(),
        other => panic!("'{name}' of a patch that is taken: {other:?}"),
    };
    let mut expected = Tree::read(&document).expect("it was read before");
    let mut failed = None;
    // A value may bring a member twice into the document; then `first` and `last` are a matter of taste.
    if operations.iter().any(Tree::has_twins) {
        return;
    }
    for (place, operation) in operations.iter().enumerate() {
        let (action, pointer) = (text(operation, "op"), text(operation, "path"));
        if let Err(misfit) = one(&mut expected, &action, &pointer, operation.member("value")) {
            failed = Some((place, misfit));
            break;
        }
    }
    match (outcome, failed) {
        (Ok(patched), None) => assert_eq!(Tree::read(&patched), Some(expected)),
        (Err(error), Some((place, misfit))) => {
            let wanted = if misfit == Misfit::Differs {
                ErrorType::FailedPrecondition
            } else {
                ErrorType::InvalidArgument
            };
            assert_eq!(error.error_type, wanted, "{error:?}");
            let path = error.details[0].path.as_deref().expect("it says where");
            assert!(
                path.starts_with(&format!("/{place}/")),
                "{error:?}, the peer at {place}"
            );
        }
        (outcome, failed) => panic!("{outcome:?}, and the peer {failed:?}"),
    }
}
