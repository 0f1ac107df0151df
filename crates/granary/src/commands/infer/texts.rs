//! What is learned of the texts in one place of the data: which forms they have, and which of them do not.

use std::collections::HashSet;

use granary_core::profile::value::{Decimal, code, date, datetime, instant, integer, time, uri, url};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

/// More different texts than this are no list of choices.
pub(super) const CHOICES_MAX: usize = 20;
/// A longer text is no choice.
const CHOICE_LEN_MAX: usize = 60;
/// Whether values differ from each other is looked at for so many.
const UNIQUE_MAX: usize = 10_000;
/// So many texts may be of another form before a form is given up, ...
const MISFITS_MAX: u64 = 1_000;
/// ... and beyond that one of so many. A few that are wrong say nothing of the rest.
const MISFITS_ONE_OF: u64 = 50;
/// Of a text that is of another form so many characters are kept.
const SHOWN_CHARS_MAX: usize = 40;

/// Where in the data a value stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spot {
    /// In which of the files, counted from 0.
    pub(super) file: usize,
    /// On which line of it, counted from 1.
    pub(super) line: u64,
}

/// A form that nearly every text may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Integer,
    Decimal,
    Boolean,
    Date,
    Instant,
    Datetime,
    Time,
}

impl Form {
    /// The one that says more stands before one that says less.
    pub(super) const ALL: [Self; 7] = [
        Self::Integer,
        Self::Decimal,
        Self::Boolean,
        Self::Date,
        Self::Instant,
        Self::Datetime,
        Self::Time,
    ];

    /// The type of such texts, and what they are called.
    pub(super) const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Integer => ("integer", "whole numbers"),
            Self::Decimal => ("decimal", "numbers"),
            Self::Boolean => ("boolean", "true or false"),
            Self::Date => ("date", "dates"),
            Self::Instant => ("instant", "moments with a zone"),
            Self::Datetime => ("datetime", "dates or moments"),
            Self::Time => ("time", "times of a day"),
        }
    }

    /// True where only a cell of CSV is such a value: in JSON it would not be text.
    pub(super) const fn of_cells(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal | Self::Boolean)
    }

    fn has(self, text: &str) -> bool {
        match self {
            Self::Integer => is_number(text) && integer(text).is_ok(),
            Self::Decimal => is_number(text) && Decimal::parse(text).is_ok(),
            Self::Boolean => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            Self::Date => date(text).is_ok(),
            Self::Instant => instant(text).is_ok(),
            Self::Datetime => datetime(text).is_ok(),
            Self::Time => time(text).is_ok(),
        }
    }
}

/// The texts that do not have a form.
#[derive(Clone, Debug, Default)]
pub(super) struct Misfits {
    /// How many; [`u64::MAX`] once the form is given up.
    pub(super) count: u64,
    /// The first of them, cut where it is long, and where it stands.
    pub(super) first: Option<(String, Spot)>,
}

/// A text that comes again and again.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) text: String,
    /// How often.
    pub(super) count: u64,
    /// Where it came first.
    pub(super) first: Spot,
}

/// Forms that every text so far has had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forms {
    pub(super) code: bool,
    /// A code in the narrow sense: no word in small letters.
    pub(super) capitals: bool,
    pub(super) uri: bool,
    pub(super) urn: bool,
    pub(super) url: bool,
}

/// What is known of the texts of one place.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) forms: Forms,
    misfits: [Misfits; Form::ALL.len()],
    seen: u64,
    /// The different ones; `None` once they are too many.
    pub(super) choices: Option<Vec<Choice>>,
    /// Hashes of those so far; `None` once two were the same.
    unique: Option<HashSet<u64>>,
    /// True where more came than could be compared.
    pub(super) unique_in_part: bool,
}

/// True where JSON writes a number so: those with zeros before them are codes.
fn is_number(text: &str) -> bool {
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let bytes = text.as_bytes();
    let first = digit(bytes.first()) || bytes.first() == Some(&b'-');
    first && digit(bytes.last()) && serde_json::from_str::<&RawValue>(text).is_ok()
}

impl Texts {
    pub(super) fn new() -> Self {
        Self {
            forms: Forms {
                code: true,
                capitals: true,
                uri: true,
                urn: true,
                url: true,
            },
            misfits: Default::default(),
            seen: 0,
            choices: Some(Vec::new()),
            unique: Some(HashSet::new()),
            unique_in_part: false,
        }
    }

    pub(super) fn take(&mut self, text: &str, at: Spot) {
        let Forms {
            code: is_code,
            capitals,
            uri: is_uri,
            urn,
            url: is_url,
        } = &mut self.forms;
        *is_code = *is_code && code(text).is_ok();
        let capital =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_./".contains(&byte);
        *capitals = *capitals && !text.is_empty() && text.bytes().all(capital);
        *is_uri = *is_uri && uri(text).is_ok();
        *urn = *urn && text.starts_with("urn:");
        *is_url = *is_url && text.contains("://") && url(text).is_ok();
        self.seen += 1;
        for form in Form::ALL {
            let misfits = &mut self.misfits[form as usize];
            if misfits.count == u64::MAX || form.has(text) {
                continue;
            }
            misfits.count += 1;
            let shown = || text.chars().take(SHOWN_CHARS_MAX).collect();
            misfits.first.get_or_insert_with(|| (shown(), at));
            if misfits.count > MISFITS_MAX && misfits.count > self.seen / MISFITS_ONE_OF {
                misfits.count = u64::MAX;
            }
        }
        self.count_choice(text, at);
        if let Some(unique) = &mut self.unique {
            match unique.len() == UNIQUE_MAX {
                true => self.unique_in_part = true,
                false if !unique.insert(xxh3_64(text.as_bytes())) => self.unique = None,
                false => {}
            }
        }
    }

    /// Those that do not have this form.
    pub(super) const fn misfits(&self, form: Form) -> &Misfits {
        &self.misfits[form as usize]
    }

    /// True where all have this form.
    pub(super) const fn all(&self, form: Form) -> bool {
        self.misfits(form).count == 0
    }

    fn count_choice(&mut self, text: &str, at: Spot) {
        let Some(choices) = &mut self.choices else { return };
        if let Some(choice) = choices.iter_mut().find(|choice| choice.text == text) {
            choice.count += 1;
        } else if choices.len() == CHOICES_MAX || text.len() > CHOICE_LEN_MAX {
            self.choices = None;
        } else {
            choices.push(Choice {
                text: text.to_owned(),
                count: 1,
                first: at,
            });
        }
    }

    /// True where all that were compared differ from each other.
    pub(super) const fn unique(&self) -> bool {
        self.unique.is_some()
    }
}
