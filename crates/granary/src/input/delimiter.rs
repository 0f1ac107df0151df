//! CSV whose cells are separated by something else than commas, which are what the server takes: told by the header, and
//! rewritten on its way. What is a fault stays one, on the same line.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_core::json::without_byte_order_mark;

use super::cell::Cell;

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What separates the cells of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Delimiter {
    /// As RFC 4180 has it.
    #[default]
    Comma,
    /// As spreadsheets write it where the comma stands in numbers.
    Semicolon,
    /// As in `.tsv`.
    Tab,
    /// `|`.
    Pipe,
}

impl Delimiter {
    /// The byte itself.
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
        }
    }

    /// As `--delimiter` takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Comma => ",",
            Self::Semicolon => ";",
            Self::Tab => "tab",
            Self::Pipe => "|",
        }
    }

    /// That of a file which begins so: a header with commas is separated by them, one without by semicolons or tabs, where
    /// it has some. A bar is not guessed: it is what joins the elements of an array.
    pub(super) fn of_header(extension: Option<&str>, head: &[u8]) -> Self {
        if extension == Some("tsv") {
            return Self::Tab;
        }
        let (mut begun, mut quoted) = (false, false);
        let (mut semicolons, mut tabs) = (false, false);
        for byte in without_byte_order_mark(head) {
            match byte {
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b',' => return Self::Comma,
                b'\n' if begun => break,
                b'\r' | b'\n' => continue,
                b';' => semicolons = true,
                b'\t' => tabs = true,
                _ => {}
            }
            begun = true;
        }
        match (semicolons, tabs) {
            (true, _) => Self::Semicolon,
            (false, true) => Self::Tab,
            (false, false) => Self::Comma,
        }
    }
}

impl std::str::FromStr for Delimiter {
    type Err = &'static str;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        match raw {
            "," | "comma" => Ok(Self::Comma),
            ";" | "semicolon" => Ok(Self::Semicolon),
            "\t" | "\\t" | "tab" => Ok(Self::Tab),
            "|" => Ok(Self::Pipe),
            _ => Err("it is ',', ';', 'tab' or '|'"),
        }
    }
}

/// The same rows with commas between their cells.
pub(crate) fn with_commas(
    rows: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    delimiter: Delimiter,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut rewriter = Rewriter::new(delimiter);
    // The last row need not end with a line break: `None` stands for the end.
    let pieces = rows.map(Some).chain(futures::stream::iter([None]));
    pieces.map(move |piece| {
        let mut out = Vec::new();
        match piece {
            Some(piece) => rewriter.push(&piece?, &mut out),
            None => rewriter.end(&mut out),
        }
        Ok(out.into())
    })
}

/// Puts cells in quotes that are in none, since a comma may be in them, and commas between cells.
pub(super) struct Rewriter {
    delimiter: u8,
    at: Cell,
    /// True where the cell is in quotes that were not there.
    opened: bool,
    /// True after a quote in a cell without quotes around it: a fault, to be one still, and to take in no other cells.
    wrong: bool,
    /// True where a carriage return waits for its line feed.
    returned: bool,
    /// What may be the start of a byte order mark, until that is known.
    start: Option<Vec<u8>>,
}

impl Rewriter {
    pub(super) const fn new(delimiter: Delimiter) -> Self {
        Self {
            delimiter: delimiter.byte(),
            at: Cell::Start,
            opened: false,
            wrong: false,
            returned: false,
            start: Some(Vec::new()),
        }
    }

    pub(super) fn push(&mut self, mut piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() + piece.len() / 2);
        while let (Some(start), [byte, rest @ ..]) = (&mut self.start, piece) {
            start.push(*byte);
            piece = rest;
            if start == MARK {
                self.start = None;
            } else if !MARK.starts_with(start) {
                self.begin(out);
            }
        }
        piece.iter().for_each(|byte| self.take(*byte, out));
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.begin(out);
        let returned = std::mem::take(&mut self.returned);
        self.close(out);
        if returned {
            out.push(b'\r');
        }
    }

    /// Takes in what turned out to be no byte order mark.
    fn begin(&mut self, out: &mut Vec<u8>) {
        let start = self.start.take().unwrap_or_default();
        start.iter().for_each(|byte| self.take(*byte, out));
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.at == Cell::Quoted {
            return self.write(byte, out);
        }
        let returned = std::mem::take(&mut self.returned);
        if byte == b'\n' {
            self.close(out);
            if returned {
                out.push(b'\r');
            }
            out.push(b'\n');
            return;
        }
        // One that ends no line is part of the cell.
        if returned {
            self.write(b'\r', out);
        }
        if byte == b'\r' {
            self.returned = true;
        } else if byte == self.delimiter {
            self.close(out);
            out.push(b',');
        } else {
            self.write(byte, out);
        }
    }

    /// Writes a byte of a cell.
    fn write(&mut self, byte: u8, out: &mut Vec<u8>) {
        match (self.at, byte) {
            (Cell::Start | Cell::Quote, b'"') => {
                self.at = Cell::Quoted;
                out.push(b'"');
            }
            (Cell::Start, _) => {
                (self.at, self.opened) = (Cell::Plain, true);
                out.extend([b'"', byte]);
            }
            (Cell::Quoted, _) => {
                self.at = if byte == b'"' { Cell::Quote } else { Cell::Quoted };
                out.push(byte);
            }
            (Cell::Quote, _) => {
                (self.at, self.wrong) = (Cell::Plain, true);
                out.push(harmless(byte));
            }
            (Cell::Plain, b'"') if self.opened => {
                (self.opened, self.wrong) = (false, true);
                out.extend(b"\" ");
            }
            (Cell::Plain, _) if self.wrong => out.push(harmless(byte)),
            (Cell::Plain, _) => out.push(byte),
        }
    }

    /// Ends a cell.
    fn close(&mut self, out: &mut Vec<u8>) {
        if self.opened {
            out.push(b'"');
        }
        (self.at, self.opened, self.wrong) = (Cell::Start, false, false);
    }
}

/// A byte of a cell that is at fault, without what could end it or open another.
const fn harmless(byte: u8) -> u8 {
    if matches!(byte, b'"' | b',') { b' ' } else { byte }
}

/// A row, without its line break, with commas between its cells.
pub(super) fn row_with_commas(row: &[u8], delimiter: Delimiter) -> Vec<u8> {
    let mut rewriter = Rewriter {
        start: None,
        ..Rewriter::new(delimiter)
    };
    let mut out = Vec::new();
    rewriter.push(row, &mut out);
    rewriter.end(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use granary_core::csv::Cells;

    use super::*;

    /// What becomes of a file, however it is cut.
    #[track_caller]
    fn made(csv: &str, delimiter: Delimiter) -> String {
        let run = |pieces: &[&[u8]]| {
            let (mut rewriter, mut out) = (Rewriter::new(delimiter), Vec::new());
            pieces.iter().for_each(|piece| rewriter.push(piece, &mut out));
            rewriter.end(&mut out);
            String::from_utf8(out).unwrap()
        };
        let whole = run(&[csv.as_bytes()]);
        for cut in 0..=csv.len() {
            let (one, two) = csv.as_bytes().split_at(cut);
            assert_eq!(run(&[one, two]), whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn cells_are_separated_by_commas_and_what_is_in_them_stays() {
        let csv = "\u{feff}id;price;note\r\n\r\na;1,50;\"x;\"\"y\"\"\nz\"\r\nb;;\n";
        let expected = "\"id\",\"price\",\"note\"\r\n\r\n\"a\",\"1,50\",\"x;\"\"y\"\"\nz\"\r\n\"b\",,\n";
        assert_eq!(made(csv, Delimiter::Semicolon), expected);
        assert_eq!(made("a\tb c", Delimiter::Tab), "\"a\",\"b c\"");
        assert_eq!(made("é|\u{fefe}\r", Delimiter::Pipe), "\"é\",\"\u{fefe}\"\r");
        assert_eq!(made("\u{fefe};1", Delimiter::Semicolon), "\"\u{fefe}\",\"1\"");
        assert_eq!(made("", Delimiter::Tab), "");
    }

    #[test]
    fn a_fault_stays_one_and_takes_in_no_other_cells() {
        for row in [
            "5\" pipe",
            "a\"",
            "a\"\"",
            "a\",b",
            "\"a\"b",
            "\"a\",",
            "\"a\" \"b",
        ] {
            let made = made(&format!("x;{row};y\nz"), Delimiter::Semicolon);
            let (first, next) = made.split_once('\n').unwrap();
            let wrong = Cells::default().read(first).unwrap_err();
            assert_eq!(wrong.0, 1, "{row}: {first}");
            assert_eq!(next, "\"z\"", "{row}");
        }
    }

    #[test]
    fn the_header_tells_what_separates_cells() {
        for (header, delimiter) in [
            ("id;name\n1,2;3", Delimiter::Semicolon),
            ("\u{feff}\r\n\"a,b\";c", Delimiter::Semicolon),
            ("id\tname\n", Delimiter::Tab),
            ("id\n1;2", Delimiter::Comma),
            ("a;b,c\n", Delimiter::Comma),
            ("a|b", Delimiter::Comma),
            ("", Delimiter::Comma),
        ] {
            assert_eq!(
                Delimiter::of_header(Some("csv"), header.as_bytes()),
                delimiter,
                "{header}"
            );
        }
        assert_eq!(Delimiter::of_header(Some("tsv"), b"a,b\n"), Delimiter::Tab);
        for delimiter in [
            Delimiter::Comma,
            Delimiter::Semicolon,
            Delimiter::Tab,
            Delimiter::Pipe,
        ] {
            assert_eq!(delimiter.name().parse(), Ok(delimiter));
        }
        assert!("x".parse::<Delimiter>().is_err());
    }
}
