//! On which lines of the file that was sent its operations stand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::input::{CsvRows, Delimiter, Format, Lines, Opened, open_sync};

/// A file that was sent.
#[derive(Clone, Debug)]
pub(crate) struct SentFile {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    pub(crate) delimiter: Delimiter,
    /// What was typed to send it, as far as it says what is in it.
    pub(crate) command: String,
}

impl SentFile {
    /// The lines of the operations with these indexes, counted from 1 and blank lines among them. The file is read again for
    /// it, as far as the last of them; what cannot be, such as stdin, or is a request in JSON, has none.
    pub(crate) async fn lines_of(&self, wanted: BTreeSet<u64>) -> BTreeMap<u64, u64> {
        let file = self.clone();
        let found = tokio::task::spawn_blocking(move || file.find(&wanted));
        // Where it is gone or another by now, the indexes are told all the same.
        found.await.ok().and_then(Result::ok).unwrap_or_default()
    }

    fn find(&self, wanted: &BTreeSet<u64>) -> anyhow::Result<BTreeMap<u64, u64>> {
        let mut found = BTreeMap::new();
        let Some(last) = wanted.last().copied() else {
            return Ok(found);
        };
        // A pipe would wait for its writer.
        if !std::fs::metadata(&self.path)?.is_file() {
            return Ok(found);
        }
        let opened = open_sync(&self.path, Some(self.format), Some(self.delimiter))?;
        let Opened {
            reader,
            format,
            delimiter,
        } = opened;
        let mut next: Box<dyn FnMut() -> std::io::Result<Option<u64>>> = match format {
            Format::Json => return Ok(found),
            Format::Ndjson => {
                let mut lines = Lines::new(reader);
                Box::new(move || Ok(lines.next()?.is_some().then(|| lines.line())))
            }
            Format::Csv => {
                let mut rows = CsvRows::new(reader, delimiter);
                rows.next_raw()?;
                Box::new(move || Ok(rows.next_raw()?.is_some().then(|| rows.line())))
            }
        };
        for index in 0..=last {
            let Some(line) = next()? else { break };
            if wanted.contains(&index) {
                found.insert(index, line);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_those_an_editor_shows() {
        let folder = tempfile::tempdir().unwrap();
        for (name, content, format, expected) in [
            (
                "a.ndjson",
                "{}\n\n \n{}\n{}",
                Format::Ndjson,
                vec![(0, 1), (1, 4), (2, 5)],
            ),
            // The header is line 1, and a row may go over several.
            (
                "a.csv",
                "id,n\n1,\"x\ny\"\n\n2,z\n3,\n",
                Format::Csv,
                vec![(0, 2), (1, 5), (2, 6)],
            ),
            ("a.json", "{\"operations\":[{}]}", Format::Json, vec![]),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let file = SentFile {
                path,
                format,
                delimiter: Delimiter::Comma,
                command: String::new(),
            };
            let found = file.lines_of((0..9).collect()).await;
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{name}");
        }
        let gone = SentFile {
            path: folder.path().join("gone"),
            format: Format::Csv,
            delimiter: Delimiter::Comma,
            command: String::new(),
        };
        assert!(gone.lines_of([0].into()).await.is_empty());
    }
}
