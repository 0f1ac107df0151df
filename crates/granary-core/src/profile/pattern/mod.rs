//! Patterns: ECMAScript regular expressions, run by an engine whose time is linear in the text.
//!
//! The syntax is translated to that of the `regex` crate; what cannot run in linear time (look-around,
//! back-references) is refused when the profile is stored, with words that say so. A pattern is searched, not
//! anchored, and `.` and classes match whole Unicode characters, as with the `u` flag; outside of that flag
//! ECMAScript takes `{`, `}` and `]` as themselves where they mean nothing, and so do patterns here.

mod class;
mod translate;

use regex::{Regex, RegexBuilder};

/// The most memory that one compiled pattern may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    source: Box<str>,
    regex: Regex,
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
        let regex = RegexBuilder::new(&translated)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(COMPILED_BYTES_MAX)
            .build()
            .map_err(|error| BadPattern {
                message: match error {
                    regex::Error::CompiledTooBig(_) => {
                        "the pattern is too large when compiled, repeat less".to_owned()
                    }
                    // Its text shows the translation, which nobody sent.
                    _ => "the pattern is not supported".to_owned(),
                },
                at: 1,
            })?;
        Ok(Self {
            source: source.into(),
            regex,
        })
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
