//! Idempotency keys: a client names its request, so that the same one once more starts nothing (contract, section 2).

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::error::ErrorObject;

/// The key that a client gave a request: what it likes, of 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Longer ones are refused.
    pub const LEN_MAX: usize = 255;

    /// Reads the value of the header.
    pub fn parse(raw: &str) -> Result<Self, ErrorObject> {
        let fits = (1..=Self::LEN_MAX).contains(&raw.len());
        match fits && raw.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(raw.to_owned())),
            false => Err(ErrorObject::invalid(format!(
                "an Idempotency-Key is 1 to {} visible ASCII characters, a random UUID for one",
                Self::LEN_MAX
            ))),
        }
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What tells a request from another under the same key: of its media type, its query and its decoded body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 16]);

/// Takes a [`Fingerprint`] while the body comes.
#[derive(Clone, Debug)]
pub struct Fingerprinting(SipHasher13);

impl Fingerprinting {
    /// Begins with what is known before the body. `hash_key` is the store's: fingerprints of one are compared.
    pub fn new(hash_key: &[u8; 16], media_type: &str, query: &str) -> Self {
        let mut hasher = SipHasher13::new_with_key(hash_key);
        for part in [media_type, query] {
            hasher.write_u64(part.len() as u64);
            hasher.write(part.as_bytes());
        }
        Self(hasher)
    }

    /// Takes in the next bytes of the body, in pieces of any size.
    pub fn feed(&mut self, piece: &[u8]) {
        self.0.write(piece);
    }

    /// Of all that came.
    pub fn finish(&self) -> Fingerprint {
        Fingerprint(self.0.finish128().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_and_not_long() {
        let longest = "k".repeat(IdempotencyKey::LEN_MAX);
        for right in [
            "a",
            r#""quoted""#,
            "8e03978e-40d5-43dd-bc93-6894a57f9324",
            &longest,
        ] {
            assert_eq!(IdempotencyKey::parse(right).unwrap().as_str(), right);
        }
        for wrong in [
            "",
            "two words",
            "ä",
            "tab\t",
            &"k".repeat(IdempotencyKey::LEN_MAX + 1),
        ] {
            let error = IdempotencyKey::parse(wrong).unwrap_err();
            assert_eq!(error.code, 400, "{wrong}");
        }
    }

    #[test]
    fn a_fingerprint_is_of_type_query_and_body_whatever_the_pieces() {
        let of = |media_type: &str, query: &str, pieces: &[&str]| {
            let mut print = Fingerprinting::new(&[7; 16], media_type, query);
            for piece in pieces {
                print.feed(piece.as_bytes());
            }
            print.finish()
        };
        let first = of("json", "a=1", &["one body"]);
        assert_eq!(of("json", "a=1", &["one", "", " ", "body"]), first);
        for other in [
            of("json", "a=1", &["another"]),
            of("json", "a=2", &["one body"]),
            of("text", "a=1", &["one body"]),
            of("jsona", "=1", &["one body"]),
            of("json", "a=1one", &[" body"]),
        ] {
            assert_ne!(other, first);
        }
    }
}
