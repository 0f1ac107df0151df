//! What a record carries beside its content: the times of a historical import and its identifiers (contract, section
//! 4, *Meta*).

use std::fmt;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::keys::BadName;
use crate::operation::ContentHash;
use crate::time::Timestamp;

/// What the `meta` of a create or an upsert says; what it leaves out stays as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMeta {
    /// When the record was created.
    pub created_at: Option<Timestamp>,
    /// When it was last changed; never without `created_at`, never before it.
    pub updated_at: Option<Timestamp>,
    /// All of its identifiers; an empty list takes those away that are stored.
    pub identifiers: Option<Identifiers>,
}

impl SentMeta {
    /// True where it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// About how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let triple = |triple: &Triple| triple.system.len() + triple.value.len() + triple.usage.len();
        let identifiers =
            |sent: &Identifiers| sent.json.len() + sent.triples.iter().map(triple).sum::<usize>();
        64 + self.identifiers.as_ref().map_or(0, identifiers)
    }
}

/// The identifiers of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identifiers {
    /// The JSON array as it was sent, without white space between tokens.
    pub json: Box<str>,
    /// What each of them is found by, all different.
    pub triples: Vec<Triple>,
    /// The keyed hash of `json`; `None` for the empty list, which is the same as none.
    pub hash: Option<ContentHash>,
}

/// What an identifier is found by. A part that is absent is empty.
///
/// Its notation is `system:value:use`, each part percent-encoded (contract, section 13).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Triple {
    /// Who gave the identifier.
    pub system: Box<str>,
    /// The identifier.
    pub value: Box<str>,
    /// What it is used for.
    pub usage: Box<str>,
}

impl Triple {
    /// The longest `system`, in bytes.
    pub const SYSTEM_BYTES_MAX: usize = 1_024;
    /// The longest `value`, in bytes.
    pub const VALUE_BYTES_MAX: usize = 1_024;
    /// The longest `use`, in bytes.
    pub const USE_BYTES_MAX: usize = 64;

    /// The triple that a notation spells: cut at its raw colons, then each part decoded.
    pub fn parse(raw: &str) -> Result<Self, BadName> {
        let bad = || {
            let rule = "an identifier is system:value:use, each part percent-encoded and an absent one empty";
            BadName::new("identifier", rule.to_owned(), raw)
        };
        let mut parts = raw.split(':').map(decode);
        let mut part = || parts.next().flatten().map(String::into_boxed_str);
        let (Some(system), Some(value), Some(usage)) = (part(), part(), part()) else {
            return Err(bad());
        };
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self { system, value, usage })
    }

    /// A keyed hash of it: what an index may hold in its place.
    pub fn digest(&self, key: &[u8; 16]) -> [u8; 16] {
        let mut hasher = SipHasher24::new_with_key(key);
        for part in [&self.system, &self.value, &self.usage] {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part.as_bytes());
        }
        hasher.finish128().as_bytes()
    }
}

impl fmt::Display for Triple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, part) in [&self.system, &self.value, &self.usage].into_iter().enumerate() {
            if place > 0 {
                f.write_str(":")?;
            }
            for byte in part.bytes() {
                match byte {
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                        write!(f, "{}", char::from(byte))?;
                    }
                    byte => write!(f, "%{byte:02X}")?,
                }
            }
        }
        Ok(())
    }
}

/// Undoes percent-encoding; `None` where it is broken, or not of UTF-8.
fn decode(raw: &str) -> Option<String> {
    let mut bytes = raw.bytes();
    let mut decoded = Vec::with_capacity(raw.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            decoded.push((digit()? * 16 + digit()?) as u8);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notation_is_cut_before_it_is_decoded() {
        let triple = Triple::parse("http%3A%2F%2Fid.org:a%3Ab:official").unwrap();
        let parts = (&*triple.system, &*triple.value, &*triple.usage);
        assert_eq!(parts, ("http://id.org", "a:b", "official"));
        assert_eq!(triple.to_string(), "http%3A%2F%2Fid.org:a%3Ab:official");
        assert_eq!(Triple::parse(&triple.to_string()).unwrap(), triple);
        let absent = Triple::parse(":%C3%A9:").unwrap();
        assert_eq!((&*absent.system, &*absent.value, &*absent.usage), ("", "é", ""));
    }

    #[test]
    fn what_is_no_notation_is_told() {
        for bad in [
            "", "a", "a:b", "a:b:c:d", "a:%:c", "a:%2:c", "a:%ZZ:c", "a:%FF:c", "a:%+1:c",
        ] {
            assert!(Triple::parse(bad).is_err(), "{bad:?}");
        }
    }
}
