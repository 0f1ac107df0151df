//! One JSON string as it stands in the input.

use std::borrow::Cow;

/// One JSON string as it stands in the input, already known to be well formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    /// What stands between the quotes.
    pub(super) raw: &'a str,
    /// True where `raw` holds escapes.
    pub(super) escaped: bool,
    /// True where an escape names half of a surrogate pair without the other half.
    pub(super) lone: bool,
}

impl<'a> Text<'a> {
    /// What stands between the quotes, escapes and all.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// The text itself where it stands in the input as it is: without escapes.
    #[inline]
    pub fn plain(&self) -> Option<&'a str> {
        if self.escaped { None } else { Some(self.raw) }
    }

    /// True where an escape names half of a surrogate pair without the other half, so that no text is meant.
    #[inline]
    pub fn lone_surrogate(&self) -> bool {
        self.lone
    }

    /// The text with its escapes resolved; U+FFFD stands for lone surrogates.
    pub fn decode(&self) -> Cow<'a, str> {
        match self.plain() {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(unescape(self.raw)),
        }
    }
}

/// The value of a hexadecimal digit.
pub(super) fn hex_digit(byte: u8) -> Option<u16> {
    (byte as char).to_digit(16).map(|digit| digit as u16)
}

/// The unit that four hexadecimal digits at the start of `raw` name.
pub(super) fn hex_unit(raw: &[u8]) -> Option<u16> {
    let digits = raw.get(..4)?;
    digits.iter().try_fold(0, |n, b| Some(n << 4 | hex_digit(*b)?))
}

fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        rest = rest.get(at + 2..).unwrap_or("");
        text.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = hex_unit(rest.as_bytes()).unwrap_or(0xfffd);
                rest = rest.get(4..).unwrap_or("");
                unit_or_pair(unit, &mut rest)
            }
            other => other as char,
        });
    }
    text.push_str(rest);
    text
}

/// The character that `unit` names, together with the escape after it if the two are a surrogate pair.
fn unit_or_pair(unit: u16, rest: &mut &str) -> char {
    if (0xd800..0xdc00).contains(&unit)
        && let Some(after) = rest.strip_prefix("\\u")
        && let Some(low @ 0xdc00..0xe000) = hex_unit(after.as_bytes())
    {
        *rest = after.get(4..).unwrap_or("");
        let point = 0x10000 + ((u32::from(unit) - 0xd800) << 10) + (u32::from(low) - 0xdc00);
        return char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER)
}
