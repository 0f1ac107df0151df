//! JSON without a tree: a pull scanner over the bytes of one value (RFC 8259, strict).
//!
//! The scanner reads each byte once and tells what stands where; whoever drives it knows what it expects there. While
//! asked to, it copies what it passes into an output without the white space between tokens: runs that hold none
//! are copied whole, so compact input costs one copy. It does not recurse and allocates only for strings with
//! escapes that someone wants to read, and for nesting past 64 in what is skipped.
//!
//! What it does not do: judge meaning. Duplicate members and lone surrogate escapes are well-formed JSON here; the
//! second is told by [`Text::lone_surrogate`].

mod scanner;
mod text;

use std::ops::Range;

pub use scanner::{Kind, Member, Place, Scanner};
pub use text::Text;

/// Why scanning stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// It is not JSON.
    Syntax {
        /// The byte at which it goes wrong.
        offset: usize,
        /// What is wrong there.
        message: &'static str,
    },
    /// Objects and arrays are nested deeper than allowed. Whether the rest is JSON is not known.
    TooDeep,
}

/// `bytes` without the byte order mark that a whole body may begin with (contract, section 13). The scanner itself takes
/// none.
pub fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Where a part stands in the text that it is of.
pub(crate) fn range_in(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

/// Writes `value` as a JSON string, quotes included, at the end of `out`.
pub fn push_string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    for c in value.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\0'..='\x1f' => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
