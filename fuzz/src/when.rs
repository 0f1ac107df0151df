//! Conditions of rules: the first line is a condition, the rest is data. Where the data fits the profile but for the
//! rule, the rule applies where a few lines that follow ADR 7 say that the condition holds.

use granary_core::check::Rejection;
use granary_core::operation::{Action, TargetType};
use granary_core::schema::{DefinitionKind, Schema};

use crate::peer::Number;
use crate::source::{accepted, stored, with_checker};
use crate::tree::Tree;
use crate::two_parts;

/// The rule on `mark` is broken by any text; that on `count` by any element of `lines`.
fn profile(when: &str) -> String {
    format!(
        r#"{{"properties":{{"mark":{{"type":"markdown","rules":[{{"max":0,"when":{when}}}]}},
        "name":{{"type":"symbol"}},"status":{{"type":"code"}},"rank":{{"type":"integer"}},"fee":{{"type":"decimal"}},
        "on":{{"type":"boolean"}},"born":{{"type":"date"}},"seen":{{"type":"datetime"}},"opens":{{"type":"time"}},
        "tags":{{"type":"array","items":{{"type":"symbol"}}}},"home":{{"type":"address"}},
        "lines":{{"type":"array","items":{{"type":"object","properties":{{"code":{{"type":"code"}},"no":{{"type":"integer"}},
        "parts":{{"type":"array","items":{{"type":"integer"}}}}}}}}}}}}}}"#
    )
}

/// The values at a path; elements of arrays on the way, and at its end.
fn at<'t>(tree: &'t Tree, path: &str) -> Vec<&'t Tree> {
    let mut here = vec![tree];
    for name in path.split('.') {
        here = here
            .into_iter()
            .flat_map(flat)
            .filter_map(|tree| tree.member(name))
            .collect();
    }
    here.into_iter()
        .flat_map(flat)
        .filter(|tree| **tree != Tree::Null)
        .collect()
}

fn flat(tree: &Tree) -> Vec<&Tree> {
    match tree {
        Tree::Array(elements) => elements.iter().flat_map(flat).collect(),
        other => vec![other],
    }
}

/// What the contract calls the type at a path: only what is compared needs it.
fn is_symbol(path: &str) -> bool {
    matches!(path, "name" | "tags")
        || (path.starts_with("home.") && !matches!(path, "home.use" | "home.type"))
}

fn is_moment(path: &str) -> bool {
    matches!(path, "born" | "seen" | "opens") || path.starts_with("home.period")
}

fn fold(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// A `*` stands for anything: by trying all ends of it.
fn wild(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|from| wild(rest, &text[from..])),
        Some((c, rest)) => text.first() == Some(c) && wild(rest, &text[1..]),
    }
}

fn same(found: &Tree, wanted: &Tree, path: &str) -> bool {
    match (found, wanted) {
        (_, Tree::Text(any)) if any == "*" => true,
        (Tree::Text(found), Tree::Text(wanted)) => {
            let chars = |text: &str| {
                if is_symbol(path) {
                    fold(text)
                } else {
                    text.to_owned()
                }
                .chars()
                .collect::<Vec<_>>()
            };
            wild(&chars(wanted), &chars(found))
        }
        (Tree::Number(found), Tree::Number(wanted)) => Number::of(found).compare(&Number::of(wanted)).is_eq(),
        (found, wanted) => found == wanted,
    }
}

/// Whether a condition holds; `None` where these lines do not know.
fn holds(when: &Tree, data: &Tree) -> Option<bool> {
    let Tree::Object(members) = when else { return None };
    let [(operator, operand)] = members.as_slice() else {
        return None;
    };
    let all = |operand: &Tree| -> Option<Vec<bool>> {
        let Tree::Array(conditions) = operand else {
            return None;
        };
        conditions
            .iter()
            .map(|condition| holds(condition, data))
            .collect()
    };
    let (path, wanted) = match (operator.as_str(), operand) {
        ("and", operand) => return Some(all(operand)?.into_iter().all(|holds| holds)),
        ("or", operand) => return Some(all(operand)?.into_iter().any(|holds| holds)),
        ("not", operand) => return Some(!holds(operand, data)?),
        (_, Tree::Object(members)) => match members.as_slice() {
            [(path, wanted)] => (path.as_str(), wanted),
            _ => return None,
        },
        _ => return None,
    };
    let found = at(data, path);
    if is_moment(path) && *wanted != Tree::Text("*".into()) {
        return None;
    }
    // Wildcards by trial take too long where there are many.
    let stars = |tree: &Tree| matches!(tree, Tree::Text(text) if text.matches('*').count() > 4);
    let compared = |wanted: &Tree| found.iter().any(|found| same(found, wanted, path));
    match (operator.as_str(), wanted) {
        ("eq", wanted) if !stars(wanted) => Some(compared(wanted)),
        ("any", Tree::Array(list)) if !list.iter().any(stars) => Some(list.iter().any(compared)),
        ("all", Tree::Array(list)) if !list.iter().any(stars) => Some(list.iter().all(compared)),
        ("lt" | "gt", Tree::Number(wanted)) => Some(found.iter().any(|found| match found {
            Tree::Number(found) => {
                match (operator.as_str(), Number::of(found).compare(&Number::of(wanted))) {
                    ("lt", order) => order.is_le(),
                    (_, order) => order.is_ge(),
                }
            }
            _ => false,
        })),
        _ => None,
    }
}

pub fn run(input: &[u8]) {
    let (when, data) = two_parts(input);
    let Ok(text) = std::str::from_utf8(when) else {
        return;
    };
    let Ok(accepted) = accepted(DefinitionKind::Profile, profile(text).as_bytes(), &[]) else {
        return;
    };
    let definition = stored(DefinitionKind::Profile, "thing", 1, accepted.json());
    let schema = Schema::compile(&[definition]).expect("what was accepted compiles");
    let mut body = br#"{"data":"#.to_vec();
    body.extend_from_slice(data);
    body.push(b'}');
    let mut out = Vec::new();
    let checked = with_checker(&schema, TargetType::Resource, |checker| {
        checker.resource(0, Action::Create, None, &body, &mut out)
    });
    let (Some(when), Some(data)) = (Tree::read(when), Tree::read(data)) else {
        return;
    };
    let broken = match &checked {
        Ok(_) => false,
        Err(Rejection::Invalid(error)) => match error.details.as_slice() {
            [only] if only.path.as_deref() == Some("/data/mark") && only.rule.as_deref() == Some("max") => {
                true
            }
            _ => return,
        },
        Err(Rejection::Syntax { .. }) => return,
    };
    let marked = matches!(data.member("mark"), Some(Tree::Text(text)) if !text.is_empty());
    if let Some(holds) = holds(&when, &data) {
        assert_eq!(broken, marked && holds, "{when:?} in {data:?}: {checked:?}");
    }
}
