//! Finds the end of one JSON value, over any number of inputs, by its strings and brackets.

/// How far into a value the scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Before its first byte.
    Start,
    /// In an object or an array.
    Nested {
        /// Brackets that are open.
        depth: u64,
        /// Whether it is in a string, and how.
        string: InString,
    },
    /// In a string that is the whole value.
    Text(InString),
    /// In a number or a word that is the whole value.
    Bare,
}

/// Whether a scan is in a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InString {
    No,
    Yes,
    /// After a backslash.
    Escaped,
}

const PLAIN: u8 = 0;
const QUOTE: u8 = 1;
const OPEN: u8 = 2;
const CLOSE: u8 = 3;

const CLASSES: [u8; 256] = {
    let mut classes = [PLAIN; 256];
    classes[b'"' as usize] = QUOTE;
    classes[b'{' as usize] = OPEN;
    classes[b'[' as usize] = OPEN;
    classes[b'}' as usize] = CLOSE;
    classes[b']' as usize] = CLOSE;
    classes
};

pub(crate) const fn blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

impl Scan {
    /// Goes on over `bytes`: where the value ends, if it does. A number or a word ends before what follows it, all
    /// others after their last byte.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        if *self == Self::Start {
            *self = match bytes.first()? {
                b'{' | b'[' => Self::Nested {
                    depth: 1,
                    string: InString::No,
                },
                b'"' => Self::Text(InString::Yes),
                _ => Self::Bare,
            };
            at = 1;
        }
        match self {
            Self::Start => None,
            Self::Nested { depth, string } => nested(bytes, at, depth, string),
            Self::Text(string) => end_of_string(bytes, at, string),
            Self::Bare => {
                let ends = |byte: &u8| blank(*byte) || matches!(byte, b',' | b']' | b'}');
                bytes[at..].iter().position(ends).map(|past| at + past)
            }
        }
    }
}

fn nested(bytes: &[u8], mut at: usize, depth: &mut u64, string: &mut InString) -> Option<usize> {
    if *string != InString::No {
        at = end_of_string(bytes, at, string)?;
    }
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match CLASSES[usize::from(*byte)] {
            PLAIN => {}
            QUOTE => {
                *string = InString::Yes;
                at = end_of_string(bytes, at, string)?;
            }
            OPEN => *depth += 1,
            _ => {
                *depth -= 1;
                if *depth == 0 {
                    return Some(at);
                }
            }
        }
    }
    None
}

/// From inside a string to after its closing quote. Eight bytes at a time: most strings are short, and for them this
/// beats a call of memchr.
fn end_of_string(bytes: &[u8], mut at: usize, string: &mut InString) -> Option<usize> {
    if *string == InString::Escaped && at < bytes.len() {
        *string = InString::Yes;
        at += 1;
    }
    loop {
        while let Some((word, _)) = bytes[at..].split_first_chunk::<8>() {
            let found = zero_bytes(u64::from_le_bytes(*word) ^ repeat(b'"'))
                | zero_bytes(u64::from_le_bytes(*word) ^ repeat(b'\\'));
            if found != 0 {
                at += found.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match bytes.get(at)? {
            b'"' => {
                *string = InString::No;
                return Some(at + 1);
            }
            b'\\' if at + 1 == bytes.len() => {
                *string = InString::Escaped;
                return None;
            }
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

const fn repeat(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

/// The highest bit of the lowest byte that is zero; bits above it may be wrong, bits below are not set.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(repeat(1)) & !word & repeat(0x80)
}
