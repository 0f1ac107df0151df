//! The names of things (contract, section 4): keys, resource ids, edge ids, codes of concepts. Each is parsed once and
//! then cannot be wrong.

use std::borrow::Borrow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::error::ErrorObject;
use crate::profile::value::code;

/// A name that does not fit its rule. The message says the rule and what was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} '{found}' is not valid: {rule}")]
pub struct BadName {
    what: &'static str,
    rule: String,
    found: String,
}

impl BadName {
    pub(crate) fn new(what: &'static str, rule: String, raw: &str) -> Self {
        // An error message must not grow with what was sent.
        let mut found: String = raw.chars().take(100).collect();
        if found.len() < raw.len() {
            found.push('…');
        }
        Self { what, rule, found }
    }
}

impl From<BadName> for ErrorObject {
    fn from(bad: BadName) -> Self {
        ErrorObject::invalid(bad.to_string())
    }
}

/// `[A-Za-z0-9-][A-Za-z0-9_-]*` with a length in bytes.
fn fits(raw: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    // Nearly all fit, so that it is cheaper to look at every byte than to stop at one that does not.
    let words = |raw: &str| raw.bytes().fold(true, |fits, b| fits & WORD[usize::from(b)]);
    length.contains(&raw.len()) && raw.as_bytes()[0] != b'_' && words(raw)
}

/// True for each byte that a name may hold.
const WORD: [bool; 256] = {
    let mut word = [false; 256];
    let mut byte = 0;
    while byte < word.len() {
        word[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'_');
        byte += 1;
    }
    word
};

/// The key of a source, a profile, a relationship definition, a property or a contain key.
///
/// 1 to 62 of `A-Z a-z 0-9 _ -`, not starting with `_`; `bulk` is reserved (contract, section 4).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Box<str>);

impl Key {
    /// The longest key, in characters.
    pub const LEN_MAX: usize = 62;
    /// What no key may be, since it stands where a type stands in a path.
    pub const RESERVED: &str = "bulk";

    /// The key that `raw` spells.
    pub fn parse(raw: &str) -> Result<Self, BadName> {
        if fits(raw, 1..=Self::LEN_MAX) && raw != Self::RESERVED {
            return Ok(Self(raw.into()));
        }
        let rule = format!(
            "a key has 1 to {} of the characters A-Z a-z 0-9 _ -, does not start with _, and is not '{}'",
            Self::LEN_MAX,
            Self::RESERVED
        );
        Err(BadName::new("key", rule, raw))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an edge is called as seen from one of its ends, such as `worksAt` or `provider.worksAt`: one or more keys joined
/// by dots (contract, section 4).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IncludeKey(Box<str>);

impl IncludeKey {
    /// The longest include key, in characters.
    pub const LEN_MAX: usize = 255;

    /// The include key that `raw` spells.
    pub fn parse(raw: &str) -> Result<Self, BadName> {
        if raw.len() <= Self::LEN_MAX && raw.split('.').all(|part| Key::parse(part).is_ok()) {
            return Ok(Self(raw.into()));
        }
        let rule = format!(
            "an include key is one key or several joined by dots, with at most {} characters",
            Self::LEN_MAX
        );
        Err(BadName::new("include key", rule, raw))
    }

    /// The include key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id of a resource, unique per source and type.
///
/// 2 to 93 of `A-Z a-z 0-9 _ -`, not starting with `_` (contract, section 4). Ids that are made here, and most others, are
/// held without an allocation.
#[derive(Clone)]
pub struct ResourceId(IdBytes);

/// ASCII, as [`ResourceId::parse`] has seen.
#[derive(Clone)]
enum IdBytes {
    Short { length: u8, bytes: [u8; SHORT_MAX] },
    Long(Box<[u8]>),
}

/// With it a [`ResourceId`] takes 32 bytes; an id that is made here has 27.
const SHORT_MAX: usize = 30;

impl ResourceId {
    /// The shortest id, in characters.
    pub const LEN_MIN: usize = 2;
    /// The longest id, in characters.
    pub const LEN_MAX: usize = 93;

    /// The id that `raw` spells.
    pub fn parse(raw: &str) -> Result<Self, BadName> {
        if fits(raw, Self::LEN_MIN..=Self::LEN_MAX) {
            return Ok(Self::held(raw.as_bytes()));
        }
        let rule = format!(
            "an id has {} to {} of the characters A-Z a-z 0-9 _ - and does not start with _",
            Self::LEN_MIN,
            Self::LEN_MAX
        );
        Err(BadName::new("id", rule, raw))
    }

    fn held(raw: &[u8]) -> Self {
        let mut bytes = [0; SHORT_MAX];
        Self(match bytes.get_mut(..raw.len()) {
            Some(short) => {
                short.copy_from_slice(raw);
                let length = raw.len() as u8;
                IdBytes::Short { length, bytes }
            }
            None => IdBytes::Long(raw.into()),
        })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("an id is ASCII")
    }

    /// The bytes of its text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            IdBytes::Short { length, bytes } => &bytes[..usize::from(*length)],
            IdBytes::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ResourceId {}

impl std::hash::Hash for ResourceId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl PartialOrd for ResourceId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ResourceId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

/// The code of a concept, unique per vocabulary: a value of the type `code` (contract, section 5) that can stand in a
/// path and in a key.
///
/// 1 to 256 bytes, no blank at the ends, single inner blanks, no control characters; `.` and `..` are none, since a URL
/// cannot hold them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConceptCode(Box<str>);

impl ConceptCode {
    /// The longest code, in bytes.
    pub const BYTES_MAX: usize = 256;

    /// The code that `raw` spells.
    pub fn parse(raw: &str) -> Result<Self, BadName> {
        let fits = raw.len() <= Self::BYTES_MAX
            && code(raw).is_ok()
            && !raw.contains(char::is_control)
            && !matches!(raw, "." | "..");
        if fits {
            return Ok(Self(raw.into()));
        }
        let rule = format!(
            "the code of a concept has 1 to {} bytes, no blank at its ends, single blanks inside, no control \
             characters, and is not '.' or '..'",
            Self::BYTES_MAX
        );
        Err(BadName::new("code", rule, raw))
    }

    /// The code as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `FromStr` and serde by way of `parse` and text.
macro_rules! parsed_from_text {
    ($name:ident, |$value:ident, $serializer:ident| $serialized:expr) => {
        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(raw: &str) -> Result<Self, BadName> {
                Self::parse(raw)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, $serializer: S) -> Result<S::Ok, S::Error> {
                let $value = self;
                $serialized
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a name")
                    }
                    fn visit_str<E: serde::de::Error>(self, raw: &str) -> Result<$name, E> {
                        $name::parse(raw).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

macro_rules! name_as_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
        parsed_from_text!($name, |name, serializer| serializer
            .serialize_str(name.as_str()));
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                self.as_str()
            }
        }
    };
}
name_as_text!(Key);
name_as_text!(IncludeKey);
name_as_text!(ResourceId);
name_as_text!(ConceptCode);

/// Names that are looked up by text.
macro_rules! borrowed_as_text {
    ($name:ident) => {
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}
borrowed_as_text!(Key);
borrowed_as_text!(IncludeKey);
borrowed_as_text!(ConceptCode);

/// The id of an edge: `{fromId}.{toId}` (contract, section 1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationshipId {
    /// The resource that the edge leaves.
    pub from: ResourceId,
    /// The resource that the edge reaches.
    pub to: ResourceId,
}

impl RelationshipId {
    /// The edge id that `raw` spells. No resource id holds a `.`, so there is one way to cut it.
    pub fn parse(raw: &str) -> Result<Self, BadName> {
        let Some((from, to)) = raw.split_once('.') else {
            let rule = "the id of a relationship is {fromId}.{toId}".to_owned();
            return Err(BadName::new("id", rule, raw));
        };
        Ok(Self {
            from: ResourceId::parse(from)?,
            to: ResourceId::parse(to)?,
        })
    }
}

impl fmt::Display for RelationshipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.from, self.to)
    }
}

parsed_from_text!(RelationshipId, |id, serializer| serializer.collect_str(id));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_at_their_edges() {
        let longest = "k".repeat(62);
        for good in ["a", "-", "A-b_9", "9", "Bulk", &longest] {
            assert_eq!(Key::parse(good).unwrap().as_str(), good);
        }
        let too_long = "k".repeat(63);
        for bad in ["", "_a", "bulk", "a b", "é", "a.b", "a/b", "a\0", &too_long] {
            assert!(Key::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn include_keys_may_have_dots() {
        let longest = [
            "k".repeat(62),
            "k".repeat(62),
            "k".repeat(62),
            "k".repeat(62),
            "abc".into(),
        ];
        let longest = longest.join(".");
        for good in ["worksAt", "provider.worksAt", "a.b.c", &longest] {
            assert_eq!(IncludeKey::parse(good).unwrap().as_str(), good);
        }
        let too_long = format!("{longest}d");
        for bad in [
            "", ".", "a.", ".a", "a..b", "a.b c", "a._b", "bulk", "a.bulk", &too_long,
        ] {
            assert!(IncludeKey::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn resource_ids_at_their_edges() {
        let longest = "i".repeat(93);
        for good in ["ab", "-_", "2eVocVVgjAWYJ74DifXluwVtSYs", "bulk", &longest] {
            assert_eq!(ResourceId::parse(good).unwrap().as_str(), good);
        }
        let too_long = "i".repeat(94);
        for bad in ["", "a", "_a", "a.b", "ab\n", &too_long] {
            assert!(ResourceId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_the_same_however_long_they_are() {
        assert_eq!(size_of::<ResourceId>(), 32);
        let all: Vec<String> = (ResourceId::LEN_MIN..=ResourceId::LEN_MAX)
            .flat_map(|length| [b'a', b'-', b'z'].map(|b| char::from(b).to_string().repeat(length)))
            .collect();
        for a in &all {
            let id = ResourceId::parse(a).unwrap();
            assert_eq!((id.as_str(), id.to_string().as_str()), (a.as_str(), a.as_str()));
            assert_eq!(id.as_bytes(), a.as_bytes());
            for b in &all {
                assert_eq!(id.cmp(&ResourceId::parse(b).unwrap()), a.cmp(b));
                assert_eq!(id == ResourceId::parse(b).unwrap(), a == b);
            }
        }
    }

    #[test]
    fn concept_codes_at_their_edges() {
        let longest = "é".repeat(128);
        for good in ["a", "F32.1", "a/b?c#d", "é ü", "bulk", "...", "100%", &longest] {
            assert_eq!(ConceptCode::parse(good).unwrap().as_str(), good);
        }
        let too_long = "c".repeat(257);
        for bad in [
            "", " a", "a ", "a  b", "a\nb", "a\0", "\u{85}", ".", "..", &too_long,
        ] {
            assert!(ConceptCode::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_edge_id_is_both_ends() {
        let id = RelationshipId::parse("ab.cd").unwrap();
        assert_eq!(
            (id.from.as_str(), id.to.as_str(), id.to_string().as_str()),
            ("ab", "cd", "ab.cd")
        );
        for bad in ["ab", "ab.", ".cd", "ab.cd.ef", "ab.c"] {
            assert!(RelationshipId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_long_name_makes_a_short_message() {
        assert!(Key::parse(&"é".repeat(1_000_000)).unwrap_err().to_string().len() < 500);
    }
}
