//! Who may do what: the roles, the sources that a key is for, the key as it is sent and as it is kept.
//!
//! A key is its id and 256 bits of randomness. What is kept of it is a hash: one of SHA-256, for what is random needs no
//! slow one. It is found by its id and compared in a time that says nothing about it (ADR 16).

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{ErrorObject, ErrorType};
use crate::keys::{BadName, Key};
use crate::ksuid::Ksuid;
use crate::time::Timestamp;

/// What a key may do (contract, section 13). Each may do what the ones before it may.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Reader,
    /// Also writes data and runs tasks.
    Writer,
    /// Also changes sources, definitions, vocabularies and keys.
    Admin,
}

impl Role {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Admin => "admin",
        }
    }
}

/// The sources that a key is for. On the wire a list of keys, or `["*"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Every source, those to come included, and what belongs to none.
    All,
    /// These, whether they exist or not.
    These(BTreeSet<Key>),
}

impl Sources {
    /// What stands for all of them.
    pub const EVERY: &str = "*";

    /// The sources that these names spell.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, ErrorObject> {
        let mut these = BTreeSet::new();
        let mut every = false;
        for name in names {
            match name {
                Self::EVERY => every = true,
                name => drop(these.insert(Key::parse(name)?)),
            }
        }
        match (every, these.is_empty()) {
            (true, true) => Ok(Self::All),
            (false, false) => Ok(Self::These(these)),
            // Whoever made a list and found nothing for it must not get a key for everything.
            (false, true) => Err(ErrorObject::invalid(
                "a key without sources could do nothing; name some, or leave 'sources' out for a key for all",
            )),
            (true, false) => Err(ErrorObject::invalid("'*' stands for every source, name it alone")),
        }
    }

    /// Their names: what [`Sources::parse`] reads.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::All => vec![Self::EVERY],
            Self::These(keys) => keys.iter().map(Key::as_str).collect(),
        }
    }

    /// True where this source is one of them.
    pub fn hold(&self, source: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(keys) => keys.iter().any(|key| key.as_str() == source),
        }
    }
}

impl Serialize for Sources {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Self::parse(names.iter().map(String::as_str)).map_err(D::Error::custom)
    }
}

/// What a call takes: a role, for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Nothing: whoever reaches the server may call.
    Open,
    /// The role, on the source that the path of the call names.
    OfSource(Role),
    /// The role, on whatever the key is for: what is shown is the same for every source, or only what the key is for.
    Any(Role),
    /// The role, in a key for all sources: the call is about what belongs to none.
    Everywhere(Role),
}

impl Right {
    /// Refuses a key that has not this right. `source` is what the path of the call names.
    pub fn check(self, role: Role, sources: &Sources, source: Option<&str>) -> Result<(), ErrorObject> {
        let denied = |message: String| Err(ErrorObject::new(ErrorType::PermissionDenied, message));
        let needed = match self {
            Self::Open => return Ok(()),
            Self::OfSource(needed) | Self::Any(needed) | Self::Everywhere(needed) => needed,
        };
        match self {
            Self::OfSource(_)
                if *sources != Sources::All && !source.is_some_and(|source| sources.hold(source)) =>
            {
                // The same words whether it exists or not.
                denied("the key is not for this source; use one that is".to_owned())
            }
            Self::Everywhere(_) if *sources != Sources::All => denied(
                "the key is for some sources, and this call takes one for all; use a key without sources"
                    .to_owned(),
            ),
            _ if role < needed => denied(format!(
                "the key has the role {}, and this call takes {}; use a key with that role",
                role.name(),
                needed.name()
            )),
            _ => Ok(()),
        }
    }
}

/// What people call a key: 1 to 100 characters, none of them a control character, no blank at the ends.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyName(Box<str>);

impl KeyName {
    /// The longest name, in characters.
    pub const LEN_MAX: usize = 100;

    /// The name that `raw` spells.
    pub fn parse(raw: &str) -> Result<Self, BadName> {
        let legal = (1..=Self::LEN_MAX).contains(&raw.chars().count()) && raw.trim() == raw;
        if legal && !raw.chars().any(char::is_control) {
            return Ok(Self(raw.into()));
        }
        let rule = format!(
            "a name of a key has 1 to {} characters on one line, without blanks at its ends",
            Self::LEN_MAX
        );
        Err(BadName::new("name", rule, raw))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key as its holder sends it: `granary_`, its id, `_`, 43 letters and digits. Shown by [`ApiKey::reveal`] alone.
#[derive(Clone)]
pub struct ApiKey {
    id: Ksuid,
    text: Box<str>,
}

impl ApiKey {
    /// What each begins with, so that people and scanners know one when they see it.
    pub const PREFIX: &str = "granary_";
    /// How long its secret is: the digits of base 62 that 256 bits take.
    const SECRET_LEN: usize = 43;
    /// How long it is.
    pub const LEN: usize = Self::PREFIX.len() + Ksuid::LEN + 1 + Self::SECRET_LEN;

    /// The key with this id and this secret.
    pub fn from_parts(id: Ksuid, secret: [u8; 32]) -> Self {
        let secret = String::from_utf8_lossy(&base62(secret)).into_owned();
        Self {
            id,
            text: format!("{}{id}_{secret}", Self::PREFIX).into(),
        }
    }

    /// The key that `raw` spells; `None` where it cannot be one.
    pub fn parse(raw: &str) -> Option<Self> {
        let (id, secret) = raw.strip_prefix(Self::PREFIX)?.split_once('_')?;
        let id = Ksuid::parse(id)?;
        let legal = secret.len() == Self::SECRET_LEN && secret.bytes().all(|b| b.is_ascii_alphanumeric());
        legal.then(|| Self { id, text: raw.into() })
    }

    /// Its id, which is no secret.
    pub const fn id(&self) -> Ksuid {
        self.id
    }

    /// The whole of it: for its holder, and nobody else.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is kept of it.
    pub fn hash(&self) -> KeyHash {
        KeyHash(Sha256::digest(self.text.as_bytes()).into())
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}_…", Self::PREFIX, self.id)
    }
}

/// 256 bits as 43 digits, the first of them first.
fn base62(bytes: [u8; 32]) -> [u8; ApiKey::SECRET_LEN] {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut rest = bytes;
    let mut text = [b'0'; ApiKey::SECRET_LEN];
    for place in text.iter_mut().rev() {
        let mut carry = 0_u16;
        for byte in &mut rest {
            let value = carry << 8 | u16::from(*byte);
            *byte = (value / 62) as u8;
            carry = value % 62;
        }
        *place = DIGITS[usize::from(carry)];
    }
    text
}

/// What is kept of a key: the SHA-256 of its text.
#[derive(Clone)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// True where it is the hash of this key; takes as long whether it is or not.
    pub fn is_of(&self, key: &ApiKey) -> bool {
        self.0.ct_eq(&key.hash().0).into()
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// A key as it is kept.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Its id.
    pub id: Ksuid,
    /// What people call it.
    pub name: Option<KeyName>,
    /// What it may do,
    pub role: Role,
    /// and where.
    pub sources: Sources,
    /// What its holder must show.
    pub hash: KeyHash,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was used last, give or take a minute.
    pub last_used_at: Option<Timestamp>,
}

impl KeyRecord {
    /// What it is called where people read it: its name, or its id.
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => name.as_str().to_owned(),
            None => self.id.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> Ksuid {
        Ksuid::from_parts(Timestamp::from_millis(1_750_000_000_000), [7; 16])
    }

    #[test]
    fn a_key_is_read_back_as_it_was_made() {
        for secret in [[0; 32], [255; 32], [0xA5; 32]] {
            let key = ApiKey::from_parts(id(), secret);
            assert_eq!(key.reveal().len(), ApiKey::LEN);
            let read = ApiKey::parse(key.reveal()).unwrap();
            assert_eq!(read.id(), id());
            assert!(key.hash().is_of(&read));
        }
    }

    #[test]
    fn the_secret_is_the_number_in_base_62() {
        let mut one = [0; 32];
        one[31] = 61;
        let end = |secret| ApiKey::from_parts(id(), secret).reveal()[36..].to_owned();
        assert_eq!(end(one), format!("{}z", "0".repeat(42)));
        one[31] = 62;
        assert_eq!(end(one), format!("{}10", "0".repeat(41)));
        // 2^256 - 1, by another program.
        assert_eq!(end([255; 32]), "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
    }

    #[test]
    fn a_hash_is_sha_256_and_of_one_key_alone() {
        let key = ApiKey::from_parts(id(), [1; 32]);
        let hash = key.hash();
        for bit in 0..256 {
            let mut other = *hash.as_bytes();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!KeyHash::from_bytes(other).is_of(&key), "bit {bit}");
        }
        assert!(!hash.is_of(&ApiKey::from_parts(id(), [2; 32])));
        let text = "granary_0o5Fs0EELR0fUjHjbCnEtdUwQe3_0000000000000000000000000000000000000000000";
        let hash = ApiKey::parse(text).unwrap().hash();
        let hex: String = hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        // By sha256sum.
        assert_eq!(
            hex,
            "197cff0555dfbfc9f4ea47780e8eeb247a99241b6541b0f5119223eed71e8492"
        );
    }

    #[test]
    fn what_is_no_key_is_not_taken_for_one() {
        let key = ApiKey::from_parts(id(), [1; 32]);
        let text = key.reveal();
        for raw in [
            "",
            "granary_",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.replace("granary_", "granary-"),
            &format!("{}_", &text[..text.len() - 1]),
            &format!("{}é", &text[..text.len() - 2]),
        ] {
            assert!(ApiKey::parse(raw).is_none(), "{raw}");
        }
    }

    #[test]
    fn neither_a_key_nor_its_hash_is_in_what_a_debugger_prints() {
        let key = ApiKey::from_parts(id(), [1; 32]);
        let record = KeyRecord {
            id: id(),
            name: None,
            role: Role::Admin,
            sources: Sources::All,
            hash: KeyHash::from_bytes([171; 32]),
            created_at: Timestamp::EPOCH,
            last_used_at: None,
        };
        let printed = format!("{key:?} {record:?}");
        assert!(printed.contains(&id().to_string()));
        assert!(
            !printed.contains(&key.reveal()[40..]) && !printed.contains("171"),
            "{printed}"
        );
    }

    #[test]
    fn a_role_may_do_what_those_before_it_may() {
        let all = [Role::Reader, Role::Writer, Role::Admin];
        for has in all {
            for needs in all {
                let may = has as u8 >= needs as u8;
                for right in [
                    Right::OfSource(needs),
                    Right::Any(needs),
                    Right::Everywhere(needs),
                ] {
                    let checked = right.check(has, &Sources::All, Some("a"));
                    assert_eq!(checked.is_ok(), may, "{has:?} {right:?}");
                }
            }
        }
    }

    #[test]
    fn a_key_for_some_sources_is_for_no_other_and_not_for_what_belongs_to_none() {
        let sources = Sources::parse(["a", "b"]).unwrap();
        let may = |right: Right, source| right.check(Role::Admin, &sources, source).is_ok();
        assert!(may(Right::OfSource(Role::Admin), Some("a")));
        assert!(may(Right::OfSource(Role::Admin), Some("b")));
        for other in [Some("c"), Some("A"), Some("*"), Some(""), None] {
            assert!(!may(Right::OfSource(Role::Reader), other), "{other:?}");
        }
        assert!(may(Right::Any(Role::Admin), None));
        assert!(!may(Right::Everywhere(Role::Reader), None));
        assert!(may(Right::Open, None));
    }

    #[test]
    fn sources_are_named_or_all() {
        assert_eq!(Sources::parse(["*"]).unwrap(), Sources::All);
        assert_eq!(Sources::parse(["b", "a", "b"]).unwrap().names(), ["a", "b"]);
        for wrong in [&[][..], &["*", "a"], &["bulk"], &["a b"]] {
            assert!(Sources::parse(wrong.iter().copied()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_name_stands_on_one_line() {
        assert_eq!(
            KeyName::parse("nightly import, Zürich").unwrap().as_str(),
            "nightly import, Zürich"
        );
        let long = "é".repeat(KeyName::LEN_MAX);
        assert!(KeyName::parse(&long).is_ok());
        for wrong in ["", " a", "a\n", "a\nb", "a\u{1b}b", &format!("{long}é")] {
            assert!(KeyName::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
