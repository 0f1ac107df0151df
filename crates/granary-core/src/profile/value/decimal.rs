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
        // What ends the digits is `.`, `e` or `E`; the exponent may come behind either.
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = rest.split_at(digits(rest));
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(digits(rest)),
            None => ("", rest),
        };
        let exponent = rest.get(1..).map_or(0, bounded_exponent);
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
        let plain = |decimal: &Decimal<'_>| !decimal.negative && decimal.exponent == 0;
        match plain(self) && plain(other) {
            true => self.compare_plain(other),
            false => self.compare_any(other),
        }
    }

    /// Compares what has neither sign nor exponent: no number of JSON has leading zeros.
    fn compare_plain(&self, other: &Decimal<'_>) -> Ordering {
        let (fraction, other_fraction) = (self.fraction.as_bytes(), other.fraction.as_bytes());
        let both = fraction.len().min(other_fraction.len());
        let more = |rest: &[u8]| rest.iter().any(|digit| *digit != b'0');
        (self.whole.len().cmp(&other.whole.len()))
            .then_with(|| self.whole.cmp(other.whole))
            .then_with(|| fraction[..both].cmp(&other_fraction[..both]))
            .then_with(|| more(&fraction[both..]).cmp(&more(&other_fraction[both..])))
    }

    fn compare_any(&self, other: &Decimal<'_>) -> Ordering {
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

#[cfg(test)]
proptest::proptest! {
    #[test]
    fn decimals_compare_alike_however_they_are_compared(
        a in "(0|[1-9][01]{0,3})(\\.[01]{1,4})?",
        b in "(0|[1-9][01]{0,3})(\\.[01]{1,4})?",
    ) {
        let (a, b) = (Decimal::parse(&a).unwrap(), Decimal::parse(&b).unwrap());
        proptest::prop_assert_eq!(a.compare_plain(&b), a.compare_any(&b));
        proptest::prop_assert_eq!(a.compare(&b), a.compare_any(&b));
    }

    #[test]
    fn a_decimal_is_read_part_by_part(
        sign in "-?", whole in "0|[1-9][0-9]{0,4}", fraction in "[0-9]{0,4}", exponent in 0..400_i64, big in "[eE]\\+?|[eE]-|",
    ) {
        let point = if fraction.is_empty() { "" } else { "." };
        let power = if big.is_empty() { String::new() } else { exponent.to_string() };
        let raw = format!("{sign}{whole}{point}{fraction}{big}{power}");
        let exponent = if big.is_empty() { 0 } else if big.ends_with('-') { -exponent } else { exponent };
        match Decimal::parse(&raw) {
            Ok(read) => proptest::prop_assert_eq!(
                (read.negative, read.whole, read.fraction, read.exponent),
                (sign == "-", whole.as_str(), fraction.as_str(), exponent)
            ),
            Err(_) => proptest::prop_assert!(exponent.abs() > Decimal::EXPONENT_MAX),
        }
    }
}
