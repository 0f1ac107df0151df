//! What moments dates and times mean, to compare them.

use super::moment::number;

/// The moments that a date, a date-time or a time of day may mean.
///
/// A date has no zone: beside a moment that has one it is taken to be of that zone, otherwise of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    first: Moment<'a>,
    last: Moment<'a>,
    /// Seconds east of UTC.
    zone: Option<i64>,
}

/// Seconds after 1970 by a clock on the wall, and the digits of the fraction up to the last that is not 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Moment<'a> {
    seconds: i64,
    fraction: &'a str,
}

/// Sorts after the digits of every fraction.
const END_OF_SECOND: &str = ":";
const DAY: i64 = 86_400;

impl<'a> Span<'a> {
    /// The span of a text that is a `date`, a `datetime` or an `instant`.
    pub fn of_date(text: &'a str) -> Option<Self> {
        let part = |range: std::ops::Range<usize>| number(text.as_bytes().get(range)?).map(i64::from);
        let year = part(0..4)?;
        if let Some((_, rest)) = text.split_once('T') {
            let zone_at = rest.find(['Z', '+', '-'])?;
            let (clock, zone) = rest.split_at(zone_at);
            let days = days(year, part(5..7)?, part(8..10)?);
            let at = Moment {
                seconds: days * DAY,
                ..Moment::default()
            }
            .plus(clock)?;
            return Some(Self {
                first: at,
                last: at,
                zone: Some(offset(zone.as_bytes())?),
            });
        }
        let (from, to) = match text.len() {
            4 => (days(year, 1, 1), days(year + 1, 1, 1)),
            7 => {
                let month = part(5..7)?;
                let after = if month == 12 {
                    days(year + 1, 1, 1)
                } else {
                    days(year, month + 1, 1)
                };
                (days(year, month, 1), after)
            }
            _ => {
                let day = days(year, part(5..7)?, part(8..10)?);
                (day, day + 1)
            }
        };
        Some(Self {
            first: Moment {
                seconds: from * DAY,
                fraction: "",
            },
            last: Moment {
                seconds: to * DAY - 1,
                fraction: END_OF_SECOND,
            },
            zone: None,
        })
    }

    /// The span of a text that is a `time`.
    pub fn of_time(text: &'a str) -> Option<Self> {
        let at = Moment::default().plus(text)?;
        Some(Self {
            first: at,
            last: at,
            zone: None,
        })
    }

    /// True where all of this is later than all of `other`.
    pub fn after(&self, other: &Span<'_>) -> bool {
        let zone = |own: Option<i64>, others: Option<i64>| own.or(others).unwrap_or(0);
        let first = self.first.seconds - zone(self.zone, other.zone);
        let last = other.last.seconds - zone(other.zone, self.zone);
        (first, self.first.fraction) > (last, other.last.fraction)
    }

    /// True where both mean the same moments.
    pub fn equals(&self, other: &Span<'_>) -> bool {
        let precise = |span: &Span<'_>| span.first == span.last;
        let zone = |own: Option<i64>, others: Option<i64>| own.or(others).unwrap_or(0);
        let moved = |moment: &Moment<'_>, zone: i64| moment.seconds - zone;
        let (own, others) = (zone(self.zone, other.zone), zone(other.zone, self.zone));
        precise(self) == precise(other)
            && self.first.fraction == other.first.fraction
            && moved(&self.first, own) == moved(&other.first, others)
            && moved(&self.last, own) == moved(&other.last, others)
    }
}

impl<'a> Moment<'a> {
    /// This and `hh:mm:ss` with its fraction.
    fn plus(self, clock: &'a str) -> Option<Self> {
        let part = |range: std::ops::Range<usize>| number(clock.as_bytes().get(range)?).map(i64::from);
        let seconds = part(0..2)? * 3_600 + part(3..5)? * 60 + part(6..8)?;
        Some(Self {
            seconds: self.seconds + seconds,
            fraction: clock.get(9..).unwrap_or("").trim_end_matches('0'),
        })
    }
}

/// The seconds east of UTC that `Z` or `±hh:mm` says.
fn offset(zone: &[u8]) -> Option<i64> {
    let [sign, h1, h2, b':', m1, m2] = zone else {
        return (zone == b"Z").then_some(0);
    };
    let minutes = number(&[*h1, *h2])? * 60 + number(&[*m1, *m2])?;
    let seconds = i64::from(minutes) * 60;
    Some(if *sign == b'-' { -seconds } else { seconds })
}

/// The days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Of a period: the earliest moment of its start is not after the latest of its end.
pub fn start_not_after_end(start: &str, end: &str) -> Result<(), &'static str> {
    match (Span::of_date(start), Span::of_date(end)) {
        (Some(start), Some(end)) if start.after(&end) => Err("the start of a period is not after its end"),
        _ => Ok(()),
    }
}
