//! Names and notations that stand in paths, queries and headers: each is refused, or is written as it was read, or as
//! something that reads the same.

use granary_core::access::{ApiKey, KeyName};
use granary_core::contained::ContainedPath;
use granary_core::idempotency::IdempotencyKey;
use granary_core::keys::{ConceptCode, IncludeKey, Key, RelationshipId, ResourceId};
use granary_core::ksuid::Ksuid;
use granary_core::meta::Triple;
use granary_core::task::TaskId;
use granary_core::terminology::LanguageTag;
use granary_core::time::Timestamp;

/// `[a-zA-Z0-9-][\w-]*` of so many characters.
fn is_word(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    lengths.contains(&text.chars().count()) && text.chars().all(word) && !text.starts_with('_')
}

/// Undoes percent-encoding, by way of a URL's query.
fn peers_parts(raw: &str) -> Option<Vec<String>> {
    let decoded = |part: &str| {
        let escapes_are_whole = part.split('%').skip(1).all(|rest| {
            rest.get(..2)
                .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        });
        // In a query a plus is a blank, and an ampersand ends it.
        let written = part.replace('+', "%2B").replace('&', "%26");
        let query = format!("a={written}");
        let (_, value) = url::form_urlencoded::parse(query.as_bytes()).next()?;
        // What is not UTF-8 is replaced there.
        let replaced = value.contains('\u{fffd}')
            && !part.contains('\u{fffd}')
            && !part.to_uppercase().contains("%EF%BF%BD");
        (escapes_are_whole && !replaced).then(|| value.into_owned())
    };
    raw.split(':').map(decoded).collect()
}

fn identifier(text: &str) {
    let parsed = Triple::parse(text);
    match &parsed {
        Ok(triple) => {
            assert_eq!(Triple::parse(&triple.to_string()).as_ref(), Ok(triple));
        }
        Err(bad) => assert!(bad.to_string().chars().count() < 300),
    }
    let ambiguous = text.contains('\u{fffd}') || text.to_uppercase().contains("%EF%BF%BD");
    if !ambiguous {
        let peers = peers_parts(text).filter(|parts| parts.len() == 3);
        let own = parsed.ok().map(|triple| {
            [triple.system, triple.value, triple.usage]
                .map(String::from)
                .to_vec()
        });
        assert_eq!(own, peers);
    }
    // Whatever the parts are, their notation is read as them.
    let mut parts = text.splitn(3, '\n').map(Box::<str>::from);
    let mut part = || parts.next().unwrap_or_default();
    let triple = Triple {
        system: part(),
        value: part(),
        usage: part(),
    };
    assert_eq!(Triple::parse(&triple.to_string()), Ok(triple));
}

pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    identifier(text);
    assert_eq!(Key::parse(text).is_ok(), is_word(text, 1..=62) && text != "bulk");
    assert_eq!(ResourceId::parse(text).is_ok(), is_word(text, 2..=93));
    let include = text.len() <= 255 && text.split('.').all(|part| Key::parse(part).is_ok());
    assert_eq!(IncludeKey::parse(text).is_ok(), include);
    let ends = text
        .split_once('.')
        .is_some_and(|(from, to)| is_word(from, 2..=93) && is_word(to, 2..=93));
    let edge = RelationshipId::parse(text);
    assert_eq!(edge.is_ok(), ends);
    if let Ok(edge) = edge {
        assert_eq!(edge.to_string(), text);
    }
    if let Ok(code) = ConceptCode::parse(text) {
        assert_eq!(code.as_str(), text);
        assert!(crate::peer::is_code(text) && text.len() <= 256);
    }
    if let Some(id) = Ksuid::parse(text) {
        assert_eq!(id.to_string(), text);
        assert_eq!(Ksuid::from_bytes(*id.as_bytes()), id);
    }
    if let Some(bytes) = input.first_chunk::<20>() {
        let id = Ksuid::from_bytes(*bytes);
        assert_eq!(Ksuid::parse(&id.to_string()), Some(id));
    }
    if let Some(task) = TaskId::parse(text) {
        assert_eq!(task.to_string(), text);
    }
    if let Some(id) = TaskId::parse_reference(text) {
        assert!(text.ends_with(&id.to_string()));
    }
    if let Ok(path) = ContainedPath::parse(text) {
        let parents = path
            .parents
            .iter()
            .flat_map(|(key, id)| [key.as_str(), id.as_str()]);
        let id = path.id.as_ref().map(ResourceId::as_str);
        let written: Vec<_> = parents.chain([path.key.as_str()]).chain(id).collect();
        assert_eq!(written.join("/"), text);
    }
    if let Ok(key) = IdempotencyKey::parse(text) {
        assert_eq!(key.as_str(), text);
    }
    if let Ok(name) = KeyName::parse(text) {
        assert_eq!(name.as_str(), text);
    }
    if let Some(key) = ApiKey::parse(text) {
        assert_eq!(key.reveal(), text);
        assert!(key.hash().is_of(&key));
    }
    if let Some(tag) = LanguageTag::parse(text) {
        assert_eq!(tag.as_str(), text);
    }
    if let Some(at) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&at.to_string()), Some(at));
    }
}
