//! What a value of each simple type must look like (contract, sections 5 and 13). Each check says what it expected.

mod decimal;
mod moment;
mod span;
mod text;

pub use decimal::Decimal;
pub use moment::{date, datetime, instant, time};
pub use span::{Span, start_not_after_end};
pub use text::{base64, blank, code, uri, url};

/// The integer that `raw`, a JSON number, spells.
pub fn integer(raw: &str) -> Result<i64, &'static str> {
    if let Ok(value) = raw.parse() {
        return Ok(value);
    }
    if raw.contains(['.', 'e', 'E']) {
        return Err("an integer has no fraction and no exponent");
    }
    Err("an integer is between -9223372036854775808 and 9223372036854775807")
}

#[cfg(test)]
mod tests;
