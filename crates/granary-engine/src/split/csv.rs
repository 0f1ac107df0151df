//! Splits one row an operation, and reads the header before the first.
//!
//! Only quotes, commas and line breaks are followed: where a row ends. What its cells are is left to the check, so a row
//! comes out as it stands in the body.

use std::fmt;
use std::sync::Arc;

use granary_core::csv::Layout;
use granary_core::error::ErrorObject;

use super::run::{Gatherer, Run};
use super::{Faults, Place, SplitError};

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];
/// The longest header that is held, in bytes: more than a definition may have, whose properties it names.
const HEADER_BYTES_MAX: usize = 2_000_000;

/// Makes of a header what rows become by it.
type ReadHeader = Box<dyn Fn(&[u8]) -> Result<Layout, ErrorObject> + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The start of the body; so many bytes of a byte order mark were seen.
    Start(usize),
    /// In the header, which is held apart.
    Header,
    /// Before a row. Empty lines are none.
    Between,
    /// In a row.
    Row,
    /// In the rest of a row that is over the limit.
    OverLimit,
}

/// Where in a cell the splitter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Start,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: it closes the cell, or is the first of two.
    Quote,
}

/// Splits one row an operation.
pub struct CsvSplitter {
    pub(super) run: Gatherer,
    at: At,
    cell: Cell,
    /// True where the last byte was a carriage return.
    after_return: bool,
    faults: Faults,
    header: Vec<u8>,
    read_header: ReadHeader,
    layout: Option<Arc<Layout>>,
}

impl fmt::Debug for CsvSplitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvSplitter")
            .field("run", &self.run)
            .field("at", &self.at)
            .field("cell", &self.cell)
            .finish_non_exhaustive()
    }
}

impl CsvSplitter {
    /// A splitter at the start of a body. `operation_bytes_max` is the limit on one row.
    pub fn new(
        operation_bytes_max: u64,
        read_header: impl Fn(&[u8]) -> Result<Layout, ErrorObject> + Send + Sync + 'static,
    ) -> Self {
        Self {
            run: Gatherer::new(operation_bytes_max),
            at: At::Start(0),
            cell: Cell::Start,
            after_return: false,
            faults: Faults::default(),
            header: Vec::new(),
            read_header: Box::new(read_header),
            layout: None,
        }
    }

    /// What the rows become, once the header was read.
    pub fn layout(&self) -> Option<&Arc<Layout>> {
        self.layout.as_ref()
    }

    pub(super) fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Run>, SplitError> {
        let bytes = *input;
        let mut at = 0;
        let walked = self.walk(bytes, &mut at);
        self.run.take_in(bytes, at);
        *input = &bytes[at..];
        let between = self.at != At::Row;
        Ok(if walked? || (between && self.run.full(0)) {
            self.run.cut()
        } else {
            None
        })
    }

    pub(super) fn finish(&mut self) -> Result<(), SplitError> {
        match self.at {
            At::Header if !self.header.is_empty() => self.end_header(self.run.here())?,
            At::Row => self.run.close(0, usize::from(self.after_return)),
            _ => {}
        }
        self.at = At::Between;
        if self.layout.is_none() {
            let message =
                "the request is empty; send a header row that names properties, and a row for each operation";
            self.faults.add(1, message, String::new());
        } else if self.run.found() == 0 {
            let message = "the request has no operations; send a row for each after the header";
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
        self.at == At::Row
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
                            3 => At::Header,
                            more => At::Start(more),
                        };
                    } else {
                        // A part of a mark is no name of a column, and is told as one.
                        self.header.extend_from_slice(&BOM[..seen]);
                        self.at = At::Header;
                    }
                }
                At::Header => self.walk_header(bytes, at)?,
                At::Between => {
                    if matches!(bytes[*at], b'\n' | b'\r') {
                        *at += 1;
                    } else {
                        self.run.open(bytes, *at);
                        self.at = At::Row;
                    }
                }
                At::OverLimit => {
                    let ended = self.end_of_row(bytes, at);
                    if ended.is_some() {
                        self.at = At::Between;
                    }
                }
                At::Row => {
                    if self.walk_row(bytes, at) {
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }

    fn walk_header(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), SplitError> {
        if self.header.is_empty() && matches!(bytes[*at], b'\n' | b'\r') {
            *at += 1;
            return Ok(());
        }
        let from = *at;
        let end = self.end_of_row(bytes, at);
        self.header.extend_from_slice(&bytes[from..end.unwrap_or(*at)]);
        let place = self.run.place(bytes, *at);
        if self.header.len() > HEADER_BYTES_MAX {
            let why = format!("the header, the first row of the CSV, has more than {HEADER_BYTES_MAX} bytes");
            return Err(SplitError::of_header(place, ErrorObject::invalid(why)));
        }
        match end {
            Some(_) => self.end_header(place),
            None => Ok(()),
        }
    }

    fn end_header(&mut self, place: Place) -> Result<(), SplitError> {
        let header = std::mem::take(&mut self.header);
        let header = header.strip_suffix(b"\r").unwrap_or(&header);
        let layout = (self.read_header)(header).map_err(|error| SplitError::of_header(place, error))?;
        self.layout = Some(Arc::new(layout));
        self.at = At::Between;
        Ok(())
    }

    /// Goes on in a row; true where there is a run to give out.
    fn walk_row(&mut self, bytes: &[u8], at: &mut usize) -> bool {
        let end = self.end_of_row(bytes, at);
        let blanks = usize::from(self.after_return);
        let content_end = end.unwrap_or(*at);
        if self.run.over_limit(content_end, blanks) {
            self.run.close_over_limit(bytes);
            // What follows in this input is looked at again, past the row.
            *at = content_end;
            self.at = At::OverLimit;
            if end.is_some() {
                self.cell = Cell::Plain;
            }
            return true;
        }
        if end.is_none() {
            return false;
        }
        self.run.close(content_end, blanks);
        self.at = At::Between;
        self.run.full(*at)
    }

    /// Moves `at` past the line break that ends the row, and answers where that stands; to the end of `bytes` where none
    /// does.
    fn end_of_row(&mut self, bytes: &[u8], at: &mut usize) -> Option<usize> {
        while let Some(byte) = bytes.get(*at) {
            let past = match self.cell {
                Cell::Quoted => memchr::memchr(b'"', &bytes[*at..]),
                Cell::Plain => memchr::memchr2(b',', b'\n', &bytes[*at..]),
                Cell::Start | Cell::Quote => Some(0),
            };
            let Some(past) = past else {
                self.after_return = bytes.last() == Some(&b'\r');
                *at = bytes.len();
                return None;
            };
            if past > 0 {
                self.after_return = bytes[*at + past - 1] == b'\r';
            }
            *at += past;
            let byte = if past > 0 { bytes[*at] } else { *byte };
            let end = *at;
            *at += 1;
            self.cell = match (self.cell, byte) {
                (Cell::Quoted, _) => Cell::Quote,
                (Cell::Start | Cell::Quote, b'"') => Cell::Quoted,
                (_, b',') => Cell::Start,
                (_, b'\n') => {
                    self.cell = Cell::Start;
                    return Some(end);
                }
                _ => Cell::Plain,
            };
            self.after_return = byte == b'\r' && self.cell != Cell::Quoted;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::Piece;
    use super::*;

    fn splitter(max: u64) -> CsvSplitter {
        CsvSplitter::new(max, |header| match header {
            b"bad" => Err(ErrorObject::invalid("bad")),
            _ => Ok(Layout::default()),
        })
    }

    /// The rows that come out, each with its line, and the error.
    fn rows(pieces: &[&[u8]], max: u64) -> (Vec<(Option<String>, u64)>, Option<String>) {
        let mut splitter = splitter(max);
        let mut found = Vec::new();
        let mut take = |run: Run| {
            for (index, piece) in run.pieces().enumerate() {
                let row = match piece {
                    Piece::Operation(row) => Some(String::from_utf8(row.to_vec()).unwrap()),
                    Piece::OverLimit => None,
                };
                found.push((row, run.place(index, 0).line));
            }
        };
        for piece in pieces {
            let mut input = *piece;
            while !input.is_empty() {
                match splitter.feed(&mut input) {
                    Ok(run) => run.into_iter().for_each(&mut take),
                    Err(error) => return (found, Some(ErrorObject::from(&error).message)),
                }
            }
        }
        let error = splitter
            .finish()
            .err()
            .map(|error| ErrorObject::from(&error).message);
        splitter.run.cut().into_iter().for_each(&mut take);
        (
            found,
            error.or(splitter.faults.error().map(|error| error.message)),
        )
    }

    #[test]
    fn rows_end_where_they_end_however_the_body_is_cut() {
        let long = "x".repeat(60);
        for (body, expected) in [
            ("id,name\na,b\nc,d\n", vec![(Some("a,b"), 2), (Some("c,d"), 3)]),
            (
                "\u{feff}id\r\na\r\n\r\n\"b\r\n\"\r\nc",
                vec![(Some("a"), 2), (Some("\"b\r\n\""), 4), (Some("c"), 6)],
            ),
            ("\n\nid\n\n\na", vec![(Some("a"), 6)]),
            (
                "id,n\n\"a\"\"\n,\"\"\",1\n,\n\"\"\n",
                vec![(Some("\"a\"\"\n,\"\"\",1"), 2), (Some(","), 4), (Some("\"\""), 5)],
            ),
            (
                "id\na\"b\nc\n\"d\"e\nf\r",
                vec![
                    (Some("a\"b"), 2),
                    (Some("c"), 3),
                    (Some("\"d\"e"), 4),
                    (Some("f"), 5),
                ],
            ),
            ("id\n\"never closed\na\n", vec![(Some("\"never closed\na\n"), 2)]),
            (
                &format!("id\na\n{long}\nb\n\"{long}\n\n{long}\"\r\nc"),
                vec![
                    (Some("a"), 2),
                    (None, 3),
                    (Some("b"), 4),
                    (None, 5),
                    (Some("c"), 8),
                ],
            ),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(row, line)| (row.map(str::to_owned), line))
                .collect();
            let bytes = body.as_bytes();
            for cut in 0..=bytes.len() {
                let (found, error) = rows(&[&bytes[..cut], &bytes[cut..]], 50);
                assert_eq!((&found, error), (&expected, None), "{body:?} cut at {cut}");
            }
            let single: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(rows(&single, 50).0, expected, "{body:?}");
        }
    }

    #[test]
    fn what_has_no_rows_says_what_is_missing() {
        let empty =
            "the request is empty; send a header row that names properties, and a row for each operation";
        let no_rows = "the request has no operations; send a row for each after the header";
        for (body, message) in [
            ("", empty),
            ("\u{feff}", empty),
            ("\r\n\n", empty),
            ("id", no_rows),
            ("id\n\n", no_rows),
            ("bad", "bad"),
            ("bad\r\na", "bad"),
        ] {
            let (found, error) = rows(&[body.as_bytes()], 50);
            assert!(found.is_empty());
            assert!(error.unwrap().ends_with(message), "{body:?}");
        }
        let endless = "x".repeat(HEADER_BYTES_MAX + 1);
        assert!(
            rows(&[endless.as_bytes()], 50)
                .1
                .unwrap()
                .contains("more than 2000000 bytes")
        );
    }

    #[test]
    fn a_row_past_the_limit_is_not_held() {
        let mut splitter = splitter(1_000);
        let piece = [b'"'; 1].into_iter().chain([b'x'; 9_999]).collect::<Vec<_>>();
        splitter.feed(&mut &b"id\n"[..]).unwrap();
        let mut runs = 0;
        for _ in 0..1_000 {
            let mut input = if runs == 0 { &piece[..] } else { &piece[1..] };
            while !input.is_empty() {
                runs += usize::from(splitter.feed(&mut input).unwrap().is_some());
            }
        }
        assert_eq!(runs, 1);
        assert!(splitter.run.open_bytes(b"", 0).is_empty());
    }
}
