//! KSUIDs: 27 characters that sort by the second in which they were made. Time and randomness are handed in.

use std::fmt;

use crate::time::Timestamp;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// KSUID time starts here, in seconds after 1970.
const EPOCH_SECONDS: i64 = 1_400_000_000;

/// A K-sortable unique id: 4 bytes of seconds, 16 of randomness, in base 62.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ksuid([u8; 20]);

impl Ksuid {
    /// The number of characters of a KSUID.
    pub const LEN: usize = 27;

    /// The id for this moment and this randomness.
    pub fn from_parts(at: Timestamp, random: [u8; 16]) -> Self {
        let seconds = (at.millis() / 1_000 - EPOCH_SECONDS).clamp(0, i64::from(u32::MAX)) as u32;
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..].copy_from_slice(&random);
        Self(bytes)
    }

    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes, which sort as the text does.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The id that `raw` spells; `None` when it is not 27 digits of base 62 or is past the largest id.
    pub fn parse(raw: &str) -> Option<Self> {
        if raw.len() != Self::LEN {
            return None;
        }
        // The number in limbs of 32 bits, least significant first.
        let mut limbs = [0_u32; 5];
        for digit in raw.bytes() {
            let mut carry = match digit {
                b'0'..=b'9' => digit - b'0',
                b'A'..=b'Z' => digit - b'A' + 10,
                b'a'..=b'z' => digit - b'a' + 36,
                _ => return None,
            } as u64;
            for limb in &mut limbs {
                let value = u64::from(*limb) * 62 + carry;
                *limb = value as u32;
                carry = value >> 32;
            }
            if carry != 0 {
                return None;
            }
        }
        let mut bytes = [0; 20];
        for (place, limb) in bytes.chunks_exact_mut(4).zip(limbs.iter().rev()) {
            place.copy_from_slice(&limb.to_be_bytes());
        }
        Some(Self(bytes))
    }

    /// The 27 characters.
    pub fn to_text(self) -> [u8; Self::LEN] {
        // Five digits a division: 62^5 fits a limb.
        const STEP: u64 = 62 * 62 * 62 * 62 * 62;
        let mut limbs = [0_u64; 5];
        for (limb, bytes) in limbs.iter_mut().zip(self.0.chunks_exact(4)) {
            *limb = bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b));
        }
        let mut text = [b'0'; Self::LEN];
        let mut end = Self::LEN;
        while end > 0 {
            let mut rest = 0;
            for limb in &mut limbs {
                let value = rest << 32 | *limb;
                *limb = value / STEP;
                rest = value % STEP;
            }
            let start = end.saturating_sub(5);
            for place in text[start..end].iter_mut().rev() {
                *place = DIGITS[(rest % 62) as usize];
                rest /= 62;
            }
            end = start;
        }
        text
    }
}

impl fmt::Display for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_text()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use svix_ksuid::KsuidLike;

    use super::*;

    proptest! {
        #[test]
        fn text_agrees_with_the_reference_and_comes_back(bytes: [u8; 20]) {
            let id = Ksuid(bytes);
            prop_assert_eq!(id.to_string(), svix_ksuid::Ksuid::from_bytes(bytes).to_base62());
            prop_assert_eq!(Ksuid::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn text_sorts_as_bytes(a: [u8; 20], b: [u8; 20]) {
            prop_assert_eq!(a.cmp(&b), Ksuid(a).to_text().cmp(&Ksuid(b).to_text()));
        }

        #[test]
        fn anything_else_is_no_id(raw in "\\PC{0,40}") {
            if let Some(id) = Ksuid::parse(&raw) {
                prop_assert_eq!(id.to_string(), raw);
            }
        }
    }

    #[test]
    fn past_the_largest_is_no_id() {
        assert_eq!(
            Ksuid::parse("aWgEPTl1tmebfsQzFP4bxwgy80V"),
            Some(Ksuid([255; 20]))
        );
        assert_eq!(Ksuid::parse("aWgEPTl1tmebfsQzFP4bxwgy80W"), None);
        assert_eq!(Ksuid::parse("zzzzzzzzzzzzzzzzzzzzzzzzzzz"), None);
    }
}
