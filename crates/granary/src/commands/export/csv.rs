//! The records of an export as CSV, as `granary bulk` takes it: a header of `id`, or `from` and `to`, and the dotted paths of
//! properties. Which columns there are is known at the end, so the rows wait in a temporary file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};

use anyhow::{Context, bail};
use granary_client::api::definitions::Members;
use granary_client::api::export::ExportLine;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What joins the elements of an array in a cell, as the server takes them.
const SEPARATOR: char = '|';

/// Rows that are gathered.
pub(super) struct Rows {
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    /// The columns of properties, in the order in which they were met.
    columns: Vec<String>,
    places: HashMap<String, usize>,
    /// One row a line: its ids, then pairs of a column and its cell, as a JSON array.
    spooled: BufWriter<File>,
    /// True once the records are relationships.
    joins: bool,
}

/// What a row is made of.
#[derive(Deserialize)]
struct Record {
    id: String,
    from: Option<End>,
    to: Option<End>,
    #[serde(default)]
    data: Option<Members>,
    #[serde(default)]
    contained: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct End {
    id: String,
}

/// A row on its way through the file.
type Spooled = (Vec<String>, Vec<(usize, String)>);

impl Rows {
    pub(super) fn new() -> anyhow::Result<Self> {
        let file = tempfile::tempfile().context("cannot make a temporary file; TMPDIR says where")?;
        Ok(Self {
            line: Vec::new(),
            columns: Vec::new(),
            places: HashMap::new(),
            spooled: BufWriter::new(file),
            joins: false,
        })
    }

    /// Takes the next bytes of the export.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take(&line)?;
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let record = match serde_json::from_slice(line)? {
            ExportLine::Resource(record) => record,
            ExportLine::Relationship(record) => record,
            _ => return Ok(()),
        };
        let record: Record = serde_json::from_str(record.get())?;
        let cannot = |what: &str| {
            let id = &record.id;
            format!("CSV cannot hold {what} of '{id}'; export it as NDJSON (--format ndjson)")
        };
        if record.contained.is_some() {
            bail!(cannot("the contained resources"));
        }
        let ids = match (&record.from, &record.to) {
            (Some(from), Some(to)) => {
                self.joins = true;
                vec![from.id.clone(), to.id.clone()]
            }
            _ => vec![record.id.clone()],
        };
        // A header with one of these twice says no more which is which.
        let named: &[&str] = if self.joins {
            &["id", "from", "to"]
        } else {
            &["id"]
        };
        let data = record.data.unwrap_or_default();
        let is_named = |(name, value): &&(String, Box<RawValue>)| {
            named.contains(&name.as_str()) && value.get() != "null"
        };
        if let Some((name, _)) = data.0.iter().find(is_named) {
            bail!(cannot(&format!(
                "the property {name} (a column by that name holds the id)"
            )));
        }
        let mut cells = Vec::new();
        self.cells(&data, "", &mut cells)
            .map_err(|path| anyhow::anyhow!(cannot(&path)))?;
        let row: Spooled = (ids, cells);
        serde_json::to_writer(&mut self.spooled, &row)?;
        Ok(self.spooled.write_all(b"\n")?)
    }

    /// The cells of an object; or what has none, by its path. `null` counts as absent, as an empty cell does; what is empty
    /// and there is something else.
    fn cells(
        &mut self,
        members: &Members,
        prefix: &str,
        cells: &mut Vec<(usize, String)>,
    ) -> Result<(), String> {
        for (name, value) in &members.0 {
            let path = format!("{prefix}{name}");
            let empty = || format!("the empty {path} (an empty cell is an absent one)");
            let raw = value.get();
            let cell = match raw.as_bytes().first() {
                Some(b'{') => {
                    let inner: Members = serde_json::from_str(raw).map_err(|_| path.clone())?;
                    let before = cells.len();
                    self.cells(&inner, &format!("{path}."), cells)?;
                    if cells.len() == before {
                        return Err(empty());
                    }
                    continue;
                }
                Some(b'[') => {
                    let elements: Vec<Box<RawValue>> = serde_json::from_str(raw).map_err(|_| path.clone())?;
                    let texts = elements.iter().map(|element| scalar(element.get()));
                    let texts: Option<Vec<String>> = texts.collect();
                    let fits = |text: &String| !text.is_empty() && !text.contains(SEPARATOR);
                    let texts = texts.filter(|texts| texts.iter().all(fits));
                    texts.ok_or_else(|| path.clone())?.join(&SEPARATOR.to_string())
                }
                Some(b'n') => continue,
                _ => scalar(raw).unwrap_or_default(),
            };
            if cell.is_empty() {
                return Err(empty());
            }
            let columns = &mut self.columns;
            let place = *self.places.entry(path).or_insert_with_key(|path| {
                columns.push(path.clone());
                columns.len() - 1
            });
            cells.push((place, cell));
        }
        Ok(())
    }

    /// Hands out the header and the rows, a piece at a time.
    pub(super) fn write(self, mut write: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        const PIECE: usize = 256 * 1024;
        let mut file = self
            .spooled
            .into_inner()
            .context("cannot write a temporary file")?;
        file.seek(SeekFrom::Start(0))?;
        let mut out = Vec::new();
        let ids: &[&str] = if self.joins { &["from", "to"] } else { &["id"] };
        let names = ids.iter().copied().chain(self.columns.iter().map(String::as_str));
        row(&mut out, names);
        for line in BufReader::new(file).lines() {
            let (ids, cells): Spooled = serde_json::from_str(&line?)?;
            let mut of_columns = vec![""; self.columns.len()];
            cells.iter().for_each(|(place, cell)| of_columns[*place] = cell);
            row(&mut out, ids.iter().map(String::as_str).chain(of_columns));
            if out.len() >= PIECE {
                write(&out)?;
                out.clear();
            }
        }
        write(&out)
    }
}

/// The text of a value that is no object and no array; `None` of one that is. `null` has none.
fn scalar(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'{' | b'[' => None,
        b'n' => Some(String::new()),
        // Digit for digit.
        _ => Some(raw.to_owned()),
    }
}

/// Appends a row, quoted where it must be (RFC 4180).
fn row<'a>(out: &mut Vec<u8>, cells: impl Iterator<Item = &'a str>) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        match cell.contains(['"', ',', '\r', '\n']) || cell.trim() != cell {
            true => out.extend(format!("\"{}\"", cell.replace('"', "\"\"")).bytes()),
            false => out.extend(cell.bytes()),
        }
    }
    out.extend(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(data: &str) -> Result<usize, String> {
        let mut rows = Rows::new().unwrap();
        let line = format!(r#"{{"resource":{{"id":"ada","type":"t","data":{data},"meta":{{}}}}}}"#);
        let pushed = rows.push(format!("{line}\n").as_bytes());
        pushed
            .map(|()| rows.columns.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn properties_by_the_names_of_ids_are_refused() {
        let told = |name: &str, id: &str| {
            Err(format!(
                "CSV cannot hold the property {name} (a column by that name holds the id) of '{id}'; export it as NDJSON \
                 (--format ndjson)"
            ))
        };
        assert_eq!(taken(r#"{"name":"x","id":"y"}"#), told("id", "ada"));
        assert_eq!(taken(r#"{"from":"x","to":"y","at":{"id":"z"},"id":null}"#), Ok(3));
        for name in ["id", "from", "to"] {
            let line = format!(
                r#"{{"relationship":{{"id":"a.b","type":"t","from":{{"type":"a","id":"a"}},"to":{{"type":"b","id":"b"}},"data":{{"{name}":"x"}},"meta":{{}}}}}}"#
            );
            let pushed = Rows::new().unwrap().push(format!("{line}\n").as_bytes());
            assert_eq!(
                pushed.map_err(|error| error.to_string()).map(|()| 0),
                told(name, "a.b")
            );
        }
    }

    #[test]
    fn what_is_empty_and_not_absent_is_refused() {
        for (data, path) in [
            (r#"{"name":""}"#, "name"),
            (r#"{"name":"x","tags":[]}"#, "tags"),
            (r#"{"name":"x","at":{}}"#, "at"),
            (r#"{"at":{"city":""}}"#, "at.city"),
            (r#"{"at":{"city":null}}"#, "at"),
        ] {
            let told = format!(
                "CSV cannot hold the empty {path} (an empty cell is an absent one) of 'ada'; export it as NDJSON \
                 (--format ndjson)"
            );
            assert_eq!(taken(data), Err(told), "{data}");
        }
        let in_a_list = taken(r#"{"tags":["x",""]}"#).unwrap_err();
        assert!(in_a_list.contains("CSV cannot hold tags of 'ada'"), "{in_a_list}");
        // Absent, as far as the server goes.
        assert_eq!(taken(r#"{"name":null}"#), Ok(0));
        assert_eq!(taken("{}"), Ok(0));
        assert_eq!(taken(r#"{"name":"x","tags":[0,false],"at":{"city":"y"}}"#), Ok(3));
    }
}
