//! Decimals, digit for digit: compared by value without ever being a float.

use std::cmp::Ordering;

/// A decimal as it is written.
#[derive(Clone, Copy, Debug)]
pub struct Decimal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    exponent: i64,
}

impl<'a> Decimal<'a> {
    /// The most digits that a decimal is written with, before and after the point.
    pub const DIGITS_MAX: usize = 64;
    /// The largest exponent, and the smallest when negative.
    pub const EXPONENT_MAX: i64 = 308;

    /// The decimal that `raw`, a JSON number, spells.
    pub fn parse(raw: &'a str) -> Result<Self, &'static str> {
        let (negative, rest) = match raw.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, raw),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], bounded_exponent(&rest[at + 1..])),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.len() + fraction.len() > Self::DIGITS_MAX {
            return Err("a decimal has at most 64 digits");
        }
        if exponent.abs() > Self::EXPONENT_MAX {
            return Err("the exponent of a decimal is between -308 and 308");
        }
        Ok(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    fn digits(&self) -> impl Iterator<Item = u8> + 'a {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// The digits from the first that is not 0, and the power of ten of that one; `None` for zero.
    fn leading(&self) -> Option<(i64, impl Iterator<Item = u8> + 'a)> {
        let zeros = self.digits().take_while(|d| *d == b'0').count();
        if zeros == self.whole.len() + self.fraction.len() {
            return None;
        }
        let power = self.whole.len() as i64 - zeros as i64 + self.exponent;
        Some((power, self.digits().skip(zeros)))
    }

    /// Compares by value: `1.10` equals `1.1` and `11e-1`; `-0` equals `0`.
    pub fn compare(&self, other: &Decimal<'_>) -> Ordering {
        match (self.leading(), other.leading()) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) if other.negative => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) if self.negative => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(_), Some(_)) if self.negative != other.negative => match self.negative {
                true => Ordering::Less,
                false => Ordering::Greater,
            },
            (Some((power, digits)), Some((other_power, other_digits))) => {
                let pad = std::iter::repeat(b'0');
                let both = digits.chain(pad.clone()).zip(other_digits.chain(pad));
                let by_digits = || {
                    let mut both = both.take(Self::DIGITS_MAX);
                    both.find_map(|(a, b)| (a != b).then(|| a.cmp(&b)))
                };
                let larger = power
                    .cmp(&other_power)
                    .then_with(|| by_digits().unwrap_or(Ordering::Equal));
                if self.negative { larger.reverse() } else { larger }
            }
        }
    }
}

/// The exponent that `raw` spells, or one that is out of bounds for all that are too long.
fn bounded_exponent(raw: &str) -> i64 {
    let (sign, digits) = match raw.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, raw.strip_prefix('+').unwrap_or(raw)),
    };
    let digits = digits.trim_start_matches('0');
    match digits {
        "" => 0,
        _ => sign * digits.parse().unwrap_or(1_000_000).min(1_000_000),
    }
}
