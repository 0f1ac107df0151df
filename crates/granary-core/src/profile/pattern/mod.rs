//! Patterns: ECMAScript regular expressions, run by an engine whose time is linear in the text.
//!
//! The syntax is translated to that of the `regex` crate; what cannot run in linear time (look-around,
//! back-references) is refused when the profile is stored, with words that say so. A pattern is searched, not
//! anchored, and `.` and classes match whole Unicode characters, as with the `u` flag; outside of that flag
//! ECMAScript takes `{`, `}` and `]` as themselves where they mean nothing, and so do patterns here.

mod class;
mod translate;

use regex::{Regex, RegexBuilder};

/// The sizes that a compiled pattern is tried at. The engine does not tell how large one became, so a pattern counts
/// as the smallest of these that it fits in; what fits in none is refused.
const COMPILED_BYTES: [usize; 3] = [1 << 13, 1 << 16, 1 << 20];

/// The memory that an engine may use for what it learns while it searches.
const LEARNED_BYTES_MAX: usize = 1 << 18;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Box<str>,
    regex: Regex,
    compiled_bytes_max: usize,
}

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (character {at} of the pattern)")]
pub struct BadPattern {
    /// What is wrong.
    pub message: String,
    /// The character at which it is wrong, counted from 1.
    pub at: usize,
}

impl Pattern {
    /// Compiles an ECMAScript pattern.
    pub fn parse(source: &str) -> Result<Self, BadPattern> {
        let translated = translate::translate(source)?;
        let mut message = "";
        for size in COMPILED_BYTES {
            let mut builder = RegexBuilder::new(&translated);
            match builder.size_limit(size).dfa_size_limit(LEARNED_BYTES_MAX).build() {
                Ok(regex) => {
                    return Ok(Self {
                        source: source.into(),
                        regex,
                        compiled_bytes_max: size,
                    });
                }
                Err(regex::Error::CompiledTooBig(_)) => {
                    message = "the pattern is too large when compiled, repeat less";
                }
                // The error's own text shows the translation, which nobody sent.
                Err(_) => {
                    message = "the pattern is not supported, or its groups are nested too deeply";
                    break;
                }
            }
        }
        let message = message.to_owned();
        Err(BadPattern { message, at: 1 })
    }

    /// What it takes in memory, at most.
    pub fn compiled_bytes_max(&self) -> usize {
        self.compiled_bytes_max
    }

    /// True where the pattern is found in `text`.
    #[inline]
    pub fn found_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The pattern as it was given.
    pub fn source(&self) -> &str {
        &self.source
    }
}

#[cfg(test)]
mod tests;
