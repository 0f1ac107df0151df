//! Splits one operation a line.

use super::run::{Gatherer, Run};
use super::scan::blank;
use super::{Faults, Place, SplitError};

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];
/// How much white space may follow an operation at the limit on its line before the line counts as over it.
const TRAILING_BLANK: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The start of the body; so many bytes of a byte order mark were seen.
    Start(usize),
    /// Before the first byte of a line that is not white space.
    Blank,
    /// In an operation. `blanks` of white space may be its last bytes, or the end of the line.
    Operation { blanks: usize },
    /// In the rest of a line that is over the limit.
    OverLimit,
}

/// Splits one operation a line.
#[derive(Debug)]
pub struct NdjsonSplitter {
    pub(super) run: Gatherer,
    at: At,
    faults: Faults,
}

impl NdjsonSplitter {
    /// A splitter at the start of a body. `operation_bytes_max` is the limit on one operation.
    pub fn new(operation_bytes_max: u64) -> Self {
        Self {
            run: Gatherer::new(operation_bytes_max),
            at: At::Start(0),
            faults: Faults::default(),
        }
    }

    pub(super) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Run>, SplitError> {
        let bytes = *input;
        let mut at = 0;
        let walked = self.walk(bytes, &mut at);
        self.run.take_in(bytes, at);
        *input = &bytes[at..];
        let between = !self.in_operation();
        Ok(if walked? || (between && self.run.full(0)) {
            self.run.cut()
        } else {
            None
        })
    }

    pub(super) fn finish(&mut self) -> Result<(), SplitError> {
        match self.at {
            At::Start(seen) if seen > 0 => {
                let why = "it begins with a part of a byte order mark";
                return Err(SplitError::not_json(self.run.here(), why));
            }
            At::Operation { blanks } => self.run.close(0, blanks),
            _ => {}
        }
        self.at = At::Blank;
        if self.run.found() == 0 {
            let message = "the request has no operations; send one a line";
            self.faults.add(1, message, String::new());
        }
        Ok(())
    }

    /// The place that the splitter has reached.
    pub(super) fn here(&self) -> Place {
        let here = self.run.here();
        let given_out = u64::from(self.at == At::OverLimit);
        Place {
            operation: here.operation - given_out,
            ..here
        }
    }

    pub(super) fn in_operation(&self) -> bool {
        matches!(self.at, At::Operation { .. })
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Walks over `bytes` from `at` on, until their end, or until there is a run to give out: then true.
    fn walk(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, SplitError> {
        while *at < bytes.len() {
            match self.at {
                At::Start(seen) => {
                    if bytes[*at] == BOM[seen] {
                        *at += 1;
                        self.at = match seen + 1 {
                            3 => At::Blank,
                            more => At::Start(more),
                        };
                    } else if seen == 0 {
                        self.at = At::Blank;
                    } else {
                        let why = "it begins with a part of a byte order mark";
                        return Err(SplitError::not_json(self.run.place(bytes, *at), why));
                    }
                }
                At::Blank => {
                    if blank(bytes[*at]) {
                        *at += 1;
                    } else {
                        self.run.open(bytes, *at);
                        self.at = At::Operation { blanks: 0 };
                    }
                }
                At::OverLimit => match memchr::memchr(b'\n', &bytes[*at..]) {
                    Some(past) => {
                        *at += past + 1;
                        self.at = At::Blank;
                    }
                    None => *at = bytes.len(),
                },
                At::Operation { blanks } => {
                    if self.line(bytes, at, blanks) {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    /// Goes on in a line that has an operation; true where there is a run to give out.
    fn line(&mut self, bytes: &[u8], at: &mut usize, blanks_before: usize) -> bool {
        let newline = memchr::memchr(b'\n', &bytes[*at..]);
        let part = &bytes[*at..newline.map_or(bytes.len(), |past| *at + past)];
        let own = part.iter().rev().take_while(|byte| blank(**byte)).count();
        let blanks = if own == part.len() {
            blanks_before + own
        } else {
            own
        };
        let end = *at + part.len();
        let not_counted = if blanks > TRAILING_BLANK { 0 } else { blanks };
        if self.run.over_limit(end, not_counted) {
            self.run.close_over_limit(bytes);
            *at = end;
            self.at = At::OverLimit;
            return true;
        }
        *at = end;
        if newline.is_none() {
            self.at = At::Operation { blanks };
            return false;
        }
        self.run.close(end, blanks);
        self.at = At::Blank;
        self.run.full(*at)
    }
}
