//! Finds the end of one operation after another in a body of any length, without building the document.
//!
//! A splitter is fed the body piece by piece and gives back runs of operations. It holds one run at most: bounded by
//! bytes, by operations, and where a single operation is larger than a run, by the limit on one operation; one past
//! that limit is skipped to its end without being held. What an operation is made of is left to the check; the
//! splitter follows strings and brackets alone, which is enough to know where it ends if it is right, and if it is not
//! right the check says so before anything after it matters.

mod csv;
mod json;
mod ndjson;
mod run;
mod scan;

pub use csv::CsvSplitter;
pub use json::JsonSplitter;
pub use ndjson::NdjsonSplitter;
pub use run::{Piece, Run};

use std::sync::Arc;

use granary_core::csv::Layout;
use granary_core::error::{Detail, ErrorObject, ErrorType};

/// A place in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The byte, counted from 0.
    pub byte: u64,
    /// The line, counted from 1.
    pub line: u64,
    /// The operation, counted from 0: the one that the place is in, or the next one.
    pub operation: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            byte,
            line,
            operation,
        } = self;
        write!(f, "at byte {byte}, line {line}, operation {operation}")
    }
}

/// Why a body cannot be split any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {place}: {why}")]
pub struct SplitError {
    what: &'static str,
    /// Where.
    pub place: Place,
    why: String,
    /// True where it is inside an operation that was not given out, in whole or in part.
    pub in_operation: bool,
    /// What is told instead: of a header, all that is wrong with it.
    told: Option<Box<ErrorObject>>,
}

impl SplitError {
    pub(crate) fn not_json(place: Place, why: impl Into<String>) -> Self {
        Self {
            what: "the body is not JSON",
            place,
            why: why.into(),
            in_operation: false,
            told: None,
        }
    }

    pub(crate) fn broken_off(place: Place, why: impl Into<String>) -> Self {
        Self {
            what: "the body breaks off",
            ..Self::not_json(place, why)
        }
    }

    /// The header of CSV that ends at `place` is wrong.
    pub(crate) fn of_header(place: Place, error: ErrorObject) -> Self {
        Self {
            told: Some(Box::new(error)),
            ..Self::not_json(place, "the header is not valid")
        }
    }

    fn undecodable(place: Place, why: impl Into<String>) -> Self {
        Self {
            what: "the body cannot be decoded",
            ..Self::not_json(place, why)
        }
    }

    fn inside(self, in_operation: bool) -> Self {
        Self { in_operation, ..self }
    }
}

impl From<&SplitError> for ErrorObject {
    fn from(error: &SplitError) -> Self {
        match &error.told {
            Some(told) => (**told).clone(),
            None => ErrorObject::invalid(error.to_string()),
        }
    }
}

/// What is wrong with a request beside its operations, though it is JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    details: Vec<Detail>,
    total: u64,
}

impl Faults {
    /// Takes one more fault in; past `limit` it is only counted.
    fn add(&mut self, limit: u64, message: impl Into<String>, path: String) {
        self.total += 1;
        if (self.details.len() as u64) < limit {
            self.details.push(Detail {
                error_type: ErrorType::InvalidArgument,
                message: message.into(),
                path: Some(path),
                rule: None,
            });
        }
    }

    /// The error that says them all; `None` where there are none.
    fn error(&self) -> Option<ErrorObject> {
        let first = self.details.first()?;
        let message = match self.total {
            1 => first.message.clone(),
            more => format!("{} (and {} more)", first.message, more - 1),
        };
        let mut error = ErrorObject::invalid(message).with_details(self.details.clone());
        error.details_total = (self.total > self.details.len() as u64).then_some(self.total);
        Some(error)
    }
}

/// A splitter for one of the formats of a body.
#[derive(Debug)]
pub enum Splitter {
    /// `{"operations": […]}`.
    Json(JsonSplitter),
    /// One operation a line.
    Ndjson(NdjsonSplitter),
    /// One row an operation.
    Csv(CsvSplitter),
}

macro_rules! each {
    ($self:expr, $splitter:ident => $call:expr) => {
        match $self {
            Splitter::Json($splitter) => $call,
            Splitter::Ndjson($splitter) => $call,
            Splitter::Csv($splitter) => $call,
        }
    };
}

impl Splitter {
    /// Takes in bytes from the front of `input` until it has a run, or none are left. After an error it takes no
    /// more; [`Splitter::rest`] then has the operations before it.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Run>, SplitError> {
        each!(self, splitter => splitter.feed(input))
    }

    /// Tells the splitter that the body has ended; [`Splitter::rest`] then has the last operations.
    pub fn finish(&mut self) -> Result<(), SplitError> {
        each!(self, splitter => splitter.finish())
    }

    /// The operations that were found and not given out.
    pub fn rest(&mut self) -> Option<Run> {
        each!(self, splitter => splitter.run.cut())
    }

    /// The error for a body that breaks off here for the reason `why`.
    pub fn broken_off(&self, why: &str) -> SplitError {
        each!(self, splitter => {
            SplitError::broken_off(splitter.here(), why).inside(splitter.in_operation())
        })
    }

    /// The error for a body that cannot be decoded from here on for the reason `why`.
    pub fn undecodable(&self, why: &str) -> SplitError {
        each!(self, splitter => {
            SplitError::undecodable(splitter.here(), why).inside(splitter.in_operation())
        })
    }

    /// What rows become, where the operations are rows.
    pub fn layout(&self) -> Option<&Arc<Layout>> {
        match self {
            Self::Csv(splitter) => splitter.layout(),
            Self::Json(_) | Self::Ndjson(_) => None,
        }
    }

    /// How many operations were found so far.
    pub fn operations(&self) -> u64 {
        each!(self, splitter => splitter.run.found())
    }

    /// True once something is known to be wrong with the request beside its operations.
    pub fn faulty(&self) -> bool {
        each!(self, splitter => splitter.faults().total > 0)
    }

    /// What is wrong with the request beside its operations: told once the body has ended.
    pub fn faults(&self) -> Option<ErrorObject> {
        each!(self, splitter => splitter.faults().error())
    }
}
