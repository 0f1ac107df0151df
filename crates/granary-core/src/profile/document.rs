//! A definition as a tree: small, read rarely, and every fault in it is to be told.

use std::borrow::Cow;

use crate::fault::{Faults, Path};
use crate::json::{Halt, Kind, Scanner};

/// A JSON value. Members keep their order and their duplicates.
#[derive(Clone, Debug)]
pub(crate) enum Node<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// What it is called in a message.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => Kind::Null.name(),
            Self::Boolean(_) => Kind::True.name(),
            Self::Number(_) => Kind::Number.name(),
            Self::String(_) => Kind::String.name(),
            Self::Array(_) => Kind::Array.name(),
            Self::Object(_) => Kind::Object.name(),
        }
    }

    /// The first member with this name, unless it is null.
    pub(crate) fn member(&self, name: &str) -> Option<&Node<'a>> {
        let Self::Object(members) = self else { return None };
        let (_, found) = members.iter().find(|(known, _)| known == name)?;
        (!matches!(found, Self::Null)).then_some(found)
    }

    /// The text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value that is next. Recursion is bounded by the depth that the scanner allows. Texts with half of a
    /// surrogate pair become faults.
    pub(crate) fn read(
        scanner: &mut Scanner<'a, '_>,
        path: &Path<'_>,
        faults: &mut Faults,
    ) -> Result<Self, Halt> {
        Ok(match scanner.peek()? {
            Kind::String => {
                let text = scanner.string()?;
                if text.lone_surrogate() {
                    faults.add(path, "type", lone_surrogate);
                }
                Self::String(text.decode())
            }
            Kind::Number => Self::Number(scanner.number()?),
            kind @ (Kind::True | Kind::False) => {
                scanner.literal(kind)?;
                Self::Boolean(kind == Kind::True)
            }
            Kind::Null => {
                scanner.literal(Kind::Null)?;
                Self::Null
            }
            Kind::Array => {
                scanner.open()?;
                let mut elements = Vec::new();
                while scanner.element(elements.is_empty())? {
                    elements.push(Self::read(scanner, &path.index(elements.len()), faults)?);
                }
                Self::Array(elements)
            }
            Kind::Object => {
                scanner.open()?;
                let mut members = Vec::new();
                while let Some(name) = scanner.member(members.is_empty())? {
                    let text = name.decode();
                    let here = path.name(&text);
                    if name.lone_surrogate() {
                        faults.add(&here, "key", lone_surrogate);
                    }
                    let value = Self::read(scanner, &here, faults)?;
                    members.push((text, value));
                }
                Self::Object(members)
            }
        })
    }

    /// The object in `json`, with only those members that `wanted` names: enough to see what a definition that was
    /// accepted names. `None` if it is not an object.
    pub(crate) fn outline(json: &'a str, wanted: &[&str]) -> Option<Self> {
        let (mut nothing, mut faults) = (Vec::new(), Faults::new(0));
        let mut scanner = Scanner::new(json.as_bytes(), super::read::JSON_DEPTH_MAX, &mut nothing);
        if scanner.peek().ok()? != Kind::Object {
            return None;
        }
        scanner.open().ok()?;
        let (mut members, mut first) = (Vec::new(), true);
        while let Some(name) = scanner.member(std::mem::take(&mut first)).ok()? {
            let name = name.decode();
            if wanted.contains(&&*name) {
                let value = Self::read(&mut scanner, &Path::ROOT, &mut faults).ok()?;
                members.push((name, value));
            } else {
                scanner.skip().ok()?;
            }
        }
        Some(Self::Object(members))
    }
}

/// What to say about a text with half of a surrogate pair.
pub(crate) fn lone_surrogate() -> String {
    "holds half of a surrogate pair, which is no character; write both halves".to_owned()
}
