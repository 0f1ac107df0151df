//! JSON as a tree, read by `serde_json`: numbers as they are written, members in their order, and those that come twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// True where `serde_json` takes it for JSON.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes);
    text.is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// True where a text in it may name half of a surrogate pair: JSON to the scanner, and not to `serde_json`.
pub(crate) fn names_a_surrogate(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| three.eq_ignore_ascii_case(b"\\ud"))
}

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// The members of an object, as they are written.
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

impl Tree {
    /// The value in these bytes; `None` where `serde_json` does not take them.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        Self::of(serde_json::from_str(std::str::from_utf8(bytes).ok()?).ok()?)
    }

    fn of(raw: &RawValue) -> Option<Self> {
        let text = raw.get();
        Some(match text.as_bytes().first()? {
            b'{' => {
                let members: Members<'_> = serde_json::from_str(text).ok()?;
                let members = members
                    .0
                    .into_iter()
                    .map(|(name, value)| Some((name, Self::of(value)?)));
                Self::Object(members.collect::<Option<_>>()?)
            }
            b'[' => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                Self::Array(elements.into_iter().map(Self::of).collect::<Option<_>>()?)
            }
            b'"' => Self::Text(serde_json::from_str(text).ok()?),
            b't' => Self::Boolean(true),
            b'f' => Self::Boolean(false),
            b'n' => Self::Null,
            _ => Self::Number(text.to_owned()),
        })
    }

    /// The first member of this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// True where some object in it has a member twice.
    pub(crate) fn has_twins(&self) -> bool {
        match self {
            Self::Object(members) => {
                let twin = |at: usize| members[..at].iter().any(|(name, _)| *name == members[at].0);
                (0..members.len()).any(twin) || members.iter().any(|(_, value)| value.has_twins())
            }
            Self::Array(elements) => elements.iter().any(Self::has_twins),
            _ => false,
        }
    }

    /// All values that a pointer leads to (RFC 6901): several, where members come twice. `None` where it is no pointer.
    pub(crate) fn at(&self, pointer: &str) -> Option<Vec<&Self>> {
        let mut here = vec![self];
        if pointer.is_empty() {
            return Some(here);
        }
        for step in pointer.strip_prefix('/')?.split('/') {
            // Names are cut after 200 characters (`Path::pointer`).
            let name = step.replace("~1", "/").replace("~0", "~");
            let is = |known: &str| match name.chars().count() {
                200 => known.starts_with(&name),
                _ => known == name,
            };
            let mut next = Vec::new();
            for tree in here {
                match tree {
                    Self::Object(members) => {
                        next.extend(
                            members
                                .iter()
                                .filter(|(known, _)| is(known))
                                .map(|(_, value)| value),
                        );
                    }
                    Self::Array(elements) => {
                        next.extend(step.parse().ok().and_then(|at: usize| elements.get(at)));
                    }
                    _ => {}
                }
            }
            here = next;
        }
        Some(here)
    }
}
