//! A file record by record, read at leisure: to propose a profile from it, or to pick what failed out of it. Nothing but
//! one record is held.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;
use granary_core::csv::Cells;
use granary_core::json::without_byte_order_mark;

use super::cell::Cell;
use super::decode::{Coding, damaged};
use super::delimiter::row_with_commas;
use super::{CHUNK_BYTES, Delimiter, Format, extension, format_told, sniff, trimmed, without_mark};

/// The longest record that is read; the server refuses far shorter ones.
const RECORD_BYTES_MAX: usize = 64_000_000;

/// A file or stdin, decoded, and how records stand in it.
pub(crate) struct Opened {
    /// What is in it.
    pub(crate) reader: Box<dyn BufRead + Send>,
    /// By its extension, else by its first bytes.
    pub(crate) format: Format,
    /// What separates its cells, where it is CSV.
    pub(crate) delimiter: Delimiter,
}

/// Opens a file, or stdin for `-`.
pub(crate) fn open_sync(
    path: &Path,
    format: Option<Format>,
    delimiter: Option<Delimiter>,
) -> anyhow::Result<Opened> {
    let cannot = || format!("cannot read {}", path.display());
    let (reader, extension): (Box<dyn Read + Send>, _) = match path == Path::new("-") {
        true => (Box::new(io::stdin()), None),
        false => {
            let file = File::open(path).with_context(cannot)?;
            anyhow::ensure!(
                !file.metadata().with_context(cannot)?.is_dir(),
                "{} is a folder; name the files in it",
                path.display()
            );
            (Box::new(file), extension(path))
        }
    };
    let mut reader: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(CHUNK_BYTES, reader));
    if let Some(coding) = Coding::of(reader.fill_buf().with_context(cannot)?) {
        let decoded = Damaged(coding.reader(reader).with_context(cannot)?);
        reader = Box::new(BufReader::with_capacity(CHUNK_BYTES, decoded));
    }
    let head = reader.fill_buf().with_context(cannot)?;
    let format = format.unwrap_or_else(|| format_told(extension.as_deref(), head));
    let delimiter = delimiter.unwrap_or_else(|| Delimiter::of_header(extension.as_deref(), head));
    Ok(Opened {
        reader,
        format,
        delimiter,
    })
}

/// Says of each error that it is the file that is damaged.
struct Damaged<R>(R);

impl<R: Read> Read for Damaged<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(damaged)
    }
}

/// JSON values one after the other: lines, the elements of an array, or those of the `operations` of a bulk request.
pub(crate) struct Records<R> {
    reader: R,
    value: Vec<u8>,
    place: Place,
    /// Line breaks that were passed.
    lines: u64,
    first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Values follow each other.
    Open,
    /// Values are elements of an array; what is behind it is not looked at.
    Array,
    End,
}

impl<R: BufRead> Records<R> {
    /// The values of what `reader` reads.
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            value: Vec::new(),
            place: Place::Open,
            lines: 0,
            first: true,
        }
    }

    /// On which line the value that was read last ends, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.lines + 1
    }

    /// The next value; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            if self.place == Place::End {
                return Ok(None);
            }
            self.open()?;
            let Some(byte) = self.skip_blanks()? else {
                return match self.place {
                    Place::Array => Err(self.wrong("the array is not closed")),
                    _ => Ok(None),
                };
            };
            match (byte, self.place) {
                (b',', Place::Array) => self.reader.consume(1),
                (b']', Place::Array) => self.place = Place::End,
                _ => {
                    self.read_value()?;
                    return Ok(Some(&self.value));
                }
            }
        }
    }

    /// The next with the line that it begins on, counted from 1.
    pub(crate) fn next_with_line(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        if self.next()?.is_none() {
            return Ok(None);
        }
        Ok(Some((self.line() - count_lines(&self.value), &self.value)))
    }

    /// True where the values are the elements of an array. Asked before the first of them.
    pub(crate) fn of_array(&mut self) -> io::Result<bool> {
        self.open()?;
        Ok(self.place == Place::Array)
    }

    /// Finds out what the values are: an array's elements where the first byte, or the first member `operations`, says so.
    fn open(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.first) {
            return Ok(());
        }
        let head = self.reader.fill_buf()?;
        let text = without_byte_order_mark(head);
        let mark = head.len() - text.len();
        self.reader.consume(mark);
        let Some(byte) = self.skip_blanks()? else {
            return Ok(());
        };
        let head = self.reader.fill_buf()?;
        let array_at = match byte {
            b'[' => Some(0),
            b'{' if sniff::format_of(head) == Format::Json => head.iter().position(|byte| *byte == b'['),
            _ => None,
        };
        if let Some(at) = array_at {
            self.reader.consume(at + 1);
            self.place = Place::Array;
        }
        Ok(())
    }

    /// The first byte that is no white space.
    fn skip_blanks(&mut self) -> io::Result<Option<u8>> {
        loop {
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let blanks = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.lines += count_lines(&bytes[..blanks]);
            let found = bytes.get(blanks).copied();
            self.reader.consume(blanks);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Reads a value whose first byte comes next, to its end. What is inside it is not judged.
    fn read_value(&mut self) -> io::Result<()> {
        self.value.clear();
        let (mut depth, mut in_string, mut escaped) = (0_u64, false, false);
        loop {
            let bytes = self.reader.fill_buf()?;
            if bytes.is_empty() {
                return match depth == 0 && !in_string {
                    true => Ok(()),
                    false => Err(self.wrong("the value ends too early")),
                };
            }
            let mut ends = None;
            for (at, byte) in bytes.iter().enumerate() {
                if in_string {
                    in_string = escaped || *byte != b'"';
                    escaped = !escaped && *byte == b'\\';
                    if !in_string && depth == 0 {
                        ends = Some(at + 1);
                    }
                } else {
                    match byte {
                        b'"' => in_string = true,
                        b'{' | b'[' => depth += 1,
                        // Of what holds it.
                        b'}' | b']' | b',' if depth == 0 => ends = Some(at),
                        b'}' | b']' => {
                            depth -= 1;
                            ends = (depth == 0).then_some(at + 1);
                        }
                        _ if depth == 0 && byte.is_ascii_whitespace() => ends = Some(at),
                        _ => {}
                    }
                }
                if ends.is_some() {
                    break;
                }
            }
            let taken = ends.unwrap_or(bytes.len());
            self.value.extend_from_slice(&bytes[..taken]);
            self.lines += count_lines(&bytes[..taken]);
            self.reader.consume(taken);
            if self.value.len() > RECORD_BYTES_MAX {
                return Err(self.wrong(&format!("a record is longer than {RECORD_BYTES_MAX} bytes")));
            }
            if ends.is_some() {
                return match self.value.is_empty() {
                    true => Err(self.wrong("this is no JSON")),
                    false => Ok(()),
                };
            }
        }
    }

    /// An error with the line that it is on.
    pub(crate) fn wrong(&self, what: &str) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("line {}: {what}", self.line()),
        )
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The lines of a file that are not empty, counted as the server counts the operations of NDJSON: what is in them is not
/// judged.
pub(crate) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    lines: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of what `reader` reads.
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            line: Vec::new(),
            lines: 0,
        }
    }

    /// On which line the one is that was read last, counted from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.lines
    }

    /// The next, without white space around it; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            self.line.clear();
            let most = RECORD_BYTES_MAX as u64 + 1;
            self.reader
                .by_ref()
                .take(most)
                .read_until(b'\n', &mut self.line)?;
            if self.line.is_empty() {
                return Ok(None);
            }
            self.lines += 1;
            if self.line.len() > RECORD_BYTES_MAX {
                let why = format!("line {}: it is longer than {RECORD_BYTES_MAX} bytes", self.lines);
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            if !trimmed(without_mark(&self.line, self.lines == 1)).is_empty() {
                break;
            }
        }
        Ok(Some(trimmed(without_mark(&self.line, self.lines == 1))))
    }
}

/// The rows of a CSV file, its header first; empty lines are passed over.
pub(crate) struct CsvRows<R> {
    reader: R,
    delimiter: Delimiter,
    row: Vec<u8>,
    cells: Cells,
    lines: u64,
    /// The line that the row begins on.
    line: u64,
    first: bool,
}

impl<R: BufRead> CsvRows<R> {
    /// The rows of what `reader` reads.
    pub(crate) fn new(reader: R, delimiter: Delimiter) -> Self {
        Self {
            reader,
            delimiter,
            row: Vec::new(),
            cells: Cells::default(),
            lines: 0,
            line: 0,
            first: true,
        }
    }

    /// The cells of the next row, with the line that it begins on.
    pub(crate) fn next_with_line(&mut self) -> io::Result<Option<(u64, &Cells)>> {
        if self.next()?.is_none() {
            return Ok(None);
        }
        Ok(Some((self.line, &self.cells)))
    }

    /// On which line the row begins that was read last, counted from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    /// The next row as it is written, without its line break; `None` at the end.
    pub(crate) fn next_raw(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            self.row.clear();
            self.line = self.lines + 1;
            // A line break between quotes is part of a cell.
            let mut cell = Cell::default();
            loop {
                let before = self.row.len();
                let most = (RECORD_BYTES_MAX + 1).saturating_sub(before) as u64;
                self.reader.by_ref().take(most).read_until(b'\n', &mut self.row)?;
                if self.row.len() > RECORD_BYTES_MAX {
                    return Err(self.wrong(&format!("a row is longer than {RECORD_BYTES_MAX} bytes")));
                }
                self.lines += u64::from(self.row.ends_with(b"\n"));
                let delimiter = self.delimiter.byte();
                let read = self.row[before..].iter();
                cell = read.fold(cell, |cell, byte| cell.after_in(*byte, delimiter));
                if self.row.len() == before || !cell.quoted() {
                    break;
                }
            }
            if self.row.is_empty() {
                return Ok(None);
            }
            while matches!(self.row.last(), Some(b'\r' | b'\n')) {
                self.row.pop();
            }
            if std::mem::take(&mut self.first) {
                let mark = self.row.len() - without_byte_order_mark(&self.row).len();
                self.row.drain(..mark);
            }
            if !self.row.is_empty() {
                return Ok(Some(&self.row));
            }
        }
    }

    /// The cells of the next row; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<&Cells>> {
        if self.next_raw()?.is_none() {
            return Ok(None);
        }
        let rewritten;
        let row = match self.delimiter {
            Delimiter::Comma => &self.row,
            delimiter => {
                rewritten = row_with_commas(&self.row, delimiter);
                &rewritten
            }
        };
        let Ok(row) = std::str::from_utf8(row) else {
            return Err(self.wrong("this is not UTF-8"));
        };
        if let Err((cell, why)) = self.cells.read(row) {
            return Err(self.wrong(&format!("cell {} {why}", cell + 1)));
        }
        Ok(Some(&self.cells))
    }

    /// An error with the line that it is on.
    pub(crate) fn wrong(&self, what: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("line {}: {what}", self.lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(json: &str) -> Result<Vec<String>, String> {
        let read = |capacity: usize| {
            let mut records = Records::new(BufReader::with_capacity(capacity, json.as_bytes()));
            let mut all = Vec::new();
            loop {
                match records.next() {
                    Ok(Some(value)) => all.push(String::from_utf8_lossy(value).into_owned()),
                    Ok(None) => return Ok(all),
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        let whole = read(1 << 16);
        // What is told by the first bytes needs them in one piece, as a file hands them out.
        for capacity in [64, 65, 71] {
            assert_eq!(read(capacity), whole, "{json} in pieces of {capacity}");
        }
        whole
    }

    #[test]
    fn values_are_found_in_lines_arrays_and_requests() {
        let two = vec![r#"{"a":"}\"]"}"#.to_owned(), r#"{"b":[1,{}]}"#.to_owned()];
        for json in [
            "{\"a\":\"}\\\"]\"}\r\n\n{\"b\":[1,{}]}",
            "\u{feff}[{\"a\":\"}\\\"]\"} ,\n{\"b\":[1,{}]}]\n",
            "{ \"operations\" : [{\"a\":\"}\\\"]\"},{\"b\":[1,{}]}]}",
            "{\"a\":\"}\\\"]\"}{\"b\":[1,{}]}\n",
        ] {
            assert_eq!(values(json), Ok(two.clone()), "{json}");
        }
        assert_eq!(values("[]"), Ok(vec![]));
        assert_eq!(values(" \n"), Ok(vec![]));
        assert_eq!(
            values("1 \"x\" null"),
            Ok(vec!["1".into(), "\"x\"".into(), "null".into()])
        );
        for (json, part) in [
            ("{}\n{\"a\":", "line 2: the value ends too early"),
            ("[{}\n", "line 2: the array is not closed"),
            ("{}\n}", "line 2: this is no JSON"),
        ] {
            assert_eq!(values(json), Err(part.to_owned()), "{json}");
        }
    }

    #[test]
    fn a_quote_inside_a_cell_takes_in_no_other_rows() {
        let mut rows = CsvRows::new(
            &b"id,size\n1,5\" pipe\n2,\"6\"\" \npipe\"\n\"3\"\"\"x,\n4,"[..],
            Delimiter::Comma,
        );
        let mut all = Vec::new();
        while let Some(row) = rows.next_raw().unwrap() {
            all.push(String::from_utf8(row.to_vec()).unwrap());
        }
        assert_eq!(
            all,
            ["id,size", "1,5\" pipe", "2,\"6\"\" \npipe\"", "\"3\"\"\"x,", "4,"]
        );
    }

    #[test]
    fn lines_are_counted_whatever_is_in_them() {
        let mut lines = Lines::new("\u{feff}{\"a\":\r\n\n \t\r\n}\n\u{feff}\n[".as_bytes());
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push(String::from_utf8(line.to_vec()).unwrap());
        }
        assert_eq!(all, ["{\"a\":", "}", "\u{feff}", "["]);
    }

    #[test]
    fn rows_may_hold_line_breaks_and_empty_lines_are_none() {
        let csv = "\u{feff}a,b\r\n\r\n1,\"x\ny \"\"z\"\"\"\n\n2,";
        let mut rows = CsvRows::new(csv.as_bytes(), Delimiter::Comma);
        let mut all = Vec::new();
        while let Some(cells) = rows.next().unwrap() {
            all.push(cells.iter().collect::<Vec<_>>().join("|"));
        }
        assert_eq!(all, ["a|b", "1|x\ny \"z\"", "2|"]);
        let mut rows = CsvRows::new(&b"a\n1,\"x\n"[..], Delimiter::Comma);
        rows.next().unwrap();
        let error = rows.next().unwrap_err().to_string();
        assert!(error.contains("opens a quote"), "{error}");
    }
}
