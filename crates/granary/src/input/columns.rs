//! The columns of a CSV file under the names of properties: `--map column=property`.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_core::csv::Cells;
use granary_core::json::without_byte_order_mark;

use super::HEADER_BYTES_MAX;
use super::cell::Cell;

/// What a column is called from here on, as `--map` takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnMap {
    /// Its name in the file.
    pub(crate) column: String,
    /// The property, `id`, `from` or `to` that it holds; `None` leaves it out.
    pub(crate) property: Option<String>,
}

impl std::str::FromStr for ColumnMap {
    type Err = &'static str;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        // The name of a property has no `=`; that of a column may.
        match raw.rsplit_once('=') {
            Some((column, property)) if !column.is_empty() => Ok(Self {
                column: column.to_owned(),
                property: (!property.is_empty()).then(|| property.to_owned()),
            }),
            _ => Err("write it as COLUMN=PROPERTY, such as 'Full name=name', or as COLUMN= to leave it out"),
        }
    }
}

impl std::fmt::Display for ColumnMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.column, self.property.as_deref().unwrap_or(""))
    }
}

/// Says what cannot be meant: a column that holds two things, or a property that two columns hold.
pub(crate) fn twice_in(map: &[ColumnMap]) -> Option<String> {
    for (place, entry) in map.iter().enumerate() {
        let before = &map[..place];
        let ColumnMap { column, property } = entry;
        if before.iter().any(|other| other.column == *column) {
            return Some(format!(
                "--map names the column '{column}' twice, and a column holds one property"
            ));
        }
        if let Some(property) = property
            && let Some(other) = before
                .iter()
                .find(|other| other.property.as_ref() == Some(property))
        {
            return Some(format!(
                "--map has two columns for '{property}', '{}' and '{column}'; leave one out with '{column}='",
                other.column
            ));
        }
    }
    None
}

/// The same CSV with its columns renamed and left out.
pub(crate) fn renamed(
    rows: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    map: Vec<ColumnMap>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut columns = Columns::new(map);
    // A header need not end with a line break: `None` stands for the end.
    let pieces = rows.map(Some).chain(futures::stream::iter([None]));
    pieces.map(move |piece| match piece {
        Some(piece) => columns.push(&piece?),
        None => columns.end(),
    })
}

/// Rewrites a file as it comes: its header, and of its rows what is kept.
struct Columns {
    map: Vec<ColumnMap>,
    /// The start of the header, until it has ended.
    header: Option<Vec<u8>>,
    /// Which columns are left out.
    left_out: Vec<bool>,
    /// Where in a cell, and in which.
    at: Cell,
    cell: usize,
    /// True once a cell of the row is kept.
    begun: bool,
    /// Bytes of the row that are kept.
    row_bytes: usize,
    /// True where the row is no empty line.
    seen: bool,
    /// True where a carriage return waits for its line feed.
    returned: bool,
}

impl Columns {
    fn new(map: Vec<ColumnMap>) -> Self {
        Self {
            map,
            header: Some(Vec::new()),
            left_out: Vec::new(),
            at: Cell::default(),
            cell: 0,
            begun: false,
            row_bytes: 0,
            seen: false,
            returned: false,
        }
    }

    fn push(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        let mut out = Vec::with_capacity(piece.len() + 64);
        let Some(header) = &mut self.header else {
            self.rows(piece, &mut out);
            return Ok(out.into());
        };
        header.extend_from_slice(piece);
        let Some(length) = header_len(header) else {
            return match header.len() > HEADER_BYTES_MAX {
                true => Err(wrong(format!(
                    "its header is longer than {HEADER_BYTES_MAX} bytes; is it CSV with a header?"
                ))),
                false => Ok(Bytes::new()),
            };
        };
        let header = self.header.take().unwrap_or_default();
        self.write_header(&header[..length], &mut out)?;
        self.rows(&header[length..], &mut out);
        Ok(out.into())
    }

    fn end(&mut self) -> io::Result<Bytes> {
        let mut out = Vec::new();
        if let Some(header) = self.header.take() {
            self.write_header(&header, &mut out)?;
        }
        self.end_row(&mut out);
        Ok(out.into())
    }

    /// Takes in the header, with the line break at its end and empty lines before it.
    fn write_header(&mut self, header: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let blank = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let text = without_byte_order_mark(header);
        let empty_lines = text.iter().take_while(|byte| blank(byte)).count();
        out.extend_from_slice(&text[..empty_lines]);
        let text = std::str::from_utf8(&text[empty_lines..]).map_err(|_| wrong("its header is not UTF-8"))?;
        let row = text.trim_end_matches(['\r', '\n']);
        let mut cells = Cells::default();
        cells
            .read(row)
            .map_err(|(cell, why)| wrong(format!("its header is not CSV: cell {} {why}", cell + 1)))?;
        for entry in &self.map {
            if !cells.iter().any(|cell| cell == entry.column) {
                let shown: Vec<String> = cells.iter().take(50).map(|cell| format!("'{cell}'")).collect();
                return Err(wrong(format!(
                    "it has no column '{}' as --map names it; its columns are {}",
                    entry.column,
                    shown.join(", ")
                )));
            }
        }
        let mut first = true;
        for cell in cells.iter() {
            let entry = self.map.iter().find(|entry| entry.column == cell);
            let name = match entry {
                Some(entry) => entry.property.as_deref(),
                None => Some(cell),
            };
            self.left_out.push(name.is_none());
            let Some(name) = name else { continue };
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            out.extend(format!("\"{}\"", name.replace('"', "\"\"")).bytes());
        }
        out.extend_from_slice(&text.as_bytes()[row.len()..]);
        if first {
            return Err(wrong("--map leaves out all of its columns"));
        }
        Ok(())
    }

    /// Takes in rows, or parts of some.
    fn rows(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if !self.left_out.contains(&true) {
            out.extend_from_slice(piece);
            return;
        }
        for byte in piece {
            // One that ends no line is part of the cell.
            if std::mem::take(&mut self.returned) && *byte != b'\n' {
                self.write(b'\r', out);
            }
            let quoted = self.at.quoted();
            self.seen |= quoted || !matches!(byte, b'\r' | b'\n');
            // What stands before a row is no part of its first cell.
            if self.seen {
                self.at = self.at.after(*byte);
            }
            match byte {
                b',' if !quoted => {
                    self.begin();
                    self.cell += 1;
                    if self.keeps() && std::mem::replace(&mut self.begun, true) {
                        out.push(b',');
                        self.row_bytes += 1;
                    }
                }
                b'\n' if !quoted => {
                    self.end_row(out);
                    out.push(b'\n');
                    (self.cell, self.row_bytes, self.begun, self.seen) = (0, 0, false, false);
                }
                // Of a line break it is no part of a cell that might be left out.
                b'\r' if !quoted => self.returned = true,
                _ => self.write(*byte, out),
            }
        }
    }

    /// A row of which nothing is kept is a row all the same; an empty line would be none.
    fn end_row(&self, out: &mut Vec<u8>) {
        if self.seen && self.row_bytes == 0 {
            out.extend_from_slice(b"\"\"");
        }
    }

    /// The first cell of a row begins with it.
    fn begin(&mut self) {
        if self.cell == 0 && self.keeps() {
            self.begun = true;
        }
    }

    fn write(&mut self, byte: u8, out: &mut Vec<u8>) {
        if self.keeps() {
            out.push(byte);
            self.row_bytes += 1;
        }
    }

    /// True where the cell is kept; one that has no column is, for the server to refuse.
    fn keeps(&self) -> bool {
        !self.left_out.get(self.cell).copied().unwrap_or(false)
    }
}

/// The length of the header with its line break; `None` where it has not ended. Empty lines may stand before it.
pub(super) fn header_len(bytes: &[u8]) -> Option<usize> {
    let (mut cell, mut begun) = (Cell::default(), false);
    let mark = bytes.len() - without_byte_order_mark(bytes).len();
    for (at, byte) in bytes.iter().enumerate().skip(mark) {
        match byte {
            b'\n' if begun && !cell.quoted() => return Some(at + 1),
            b'\r' | b'\n' if !begun => continue,
            _ => {}
        }
        begun = true;
        cell = cell.after(*byte);
    }
    None
}

fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[&str]) -> Vec<ColumnMap> {
        entries.iter().map(|entry| entry.parse().unwrap()).collect()
    }

    /// What becomes of a file, however it is cut.
    #[track_caller]
    fn made(entries: &[&str], csv: &str) -> Result<String, String> {
        let run = |pieces: &[&[u8]]| -> io::Result<String> {
            let mut columns = Columns::new(map(entries));
            let mut out = Vec::new();
            for piece in pieces {
                out.extend_from_slice(&columns.push(piece)?);
            }
            out.extend_from_slice(&columns.end()?);
            Ok(String::from_utf8(out).unwrap())
        };
        let bytes = csv.as_bytes();
        let whole = run(&[bytes]).map_err(|error| error.to_string());
        for cut in 0..=bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(
                run(&[one, two]).map_err(|error| error.to_string()),
                whole,
                "cut at {cut}"
            );
        }
        whole
    }

    #[test]
    fn columns_get_the_names_of_properties() {
        let csv = "\u{feff}\r\nNo,\"Full \"\"name\"\"\",city\r\n1,\"Doe, J\",\r\n";
        let mapped = made(&["Full \"name\"=name", "city=address.city"], csv).unwrap();
        assert_eq!(
            mapped,
            "\r\n\"No\",\"name\",\"address.city\"\r\n1,\"Doe, J\",\r\n"
        );
    }

    #[test]
    fn a_file_may_end_without_a_line_break() {
        assert_eq!(made(&["a=b"], "a").unwrap(), "\"b\"");
        assert_eq!(made(&["a="], "a,b\n1,").unwrap(), "\"b\"\n\"\"");
    }

    #[test]
    fn a_carriage_return_inside_a_cell_stays() {
        let csv = "id,n,x\r\n1,10\r20,z\r\n2,\r,z\n3,3,z\r4";
        assert_eq!(made(&["x="], csv).unwrap(), "\"id\",\"n\"\r\n1,10\r20\n2,\r\n3,3");
        assert_eq!(made(&["n="], csv).unwrap(), "\"id\",\"x\"\r\n1,z\n2,z\n3,z\r4");
    }

    #[test]
    fn columns_are_left_out_wherever_they_stand() {
        let csv = "a,b,c\n1,\"x,\"\"\n,\",3\n\n,,\n1\n1,2,3,4\n";
        for (entries, expected) in [
            (&["a="][..], "\"b\",\"c\"\n\"x,\"\"\n,\",3\n\n,\n\"\"\n2,3,4\n"),
            (&["b="], "\"a\",\"c\"\n1,3\n\n,\n1\n1,3,4\n"),
            (&["c="], "\"a\",\"b\"\n1,\"x,\"\"\n,\"\n\n,\n1\n1,2,4\n"),
            (&["a=", "c=z", "b="], "\"z\"\n3\n\n\"\"\n\"\"\n3,4\n"),
        ] {
            assert_eq!(made(entries, csv).unwrap(), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_quote_inside_a_cell_takes_in_no_other_rows() {
        let csv = "id,size,n\n1,5\" pipe,x\n2,6\" pipe,y\n";
        assert_eq!(made(&["size="], csv).unwrap(), "\"id\",\"n\"\n1,x\n2,y\n");
        assert_eq!(
            made(&["n="], csv).unwrap(),
            "\"id\",\"size\"\n1,5\" pipe\n2,6\" pipe\n"
        );
    }

    #[test]
    fn what_cannot_be_mapped_is_said() {
        for (entries, csv, part) in [
            (
                &["naem=name"][..],
                "name,city\n",
                "no column 'naem' as --map names it; its columns are 'name', 'city'",
            ),
            (&["name=x"], "na\"me\n", "cell 1 has a quote inside"),
            (&["a="], "a\n1\n", "leaves out all"),
        ] {
            let error = made(entries, csv).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(twice_in(&map(&["a=x", "b=y", "c=", "d="])), None);
        for (entries, part) in [
            (["SKU=id", "SKU=sku"], "names the column 'SKU' twice"),
            (["a=id", "b=id"], "two columns for 'id', 'a' and 'b'"),
        ] {
            assert!(twice_in(&map(&entries)).unwrap().contains(part));
        }
        for wrong in ["name", "=name", ""] {
            assert!(wrong.parse::<ColumnMap>().is_err(), "{wrong}");
        }
        assert_eq!(map(&["a=b=c"])[0].column, "a=b");
    }
}
