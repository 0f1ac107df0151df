//! `granary export`: a source, or the records of a type, to a file.

mod compress;
mod csv;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use futures::TryStreamExt;
use granary_client::Client;
use granary_client::api::export::{ExportCounts, ExportLine, ExportQuery};

use super::InSource;
use crate::exit::Ended;
use crate::output::{Output, counted, elapsed, size};
use crate::progress::Bar;
use crate::unfinished::Unfinished;

use compress::Compressed;
use csv::Rows;

/// Write a whole source to a file: its definitions and records, as they were at one moment
///
/// What is written is NDJSON: a header, the profiles and relationship definitions, every resource and every relationship
/// with its version, times and identifiers, and a last line with how many there are. `granary import` puts it back, into
/// whatever store the server has. Vocabularies belong to no source and are not in it.
///
/// Writes go on meanwhile and are not in it. A file is there under its name once it is whole.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 the export is whole; 1 it is not, or anything else.")]
pub(crate) struct Export {
    #[command(flatten)]
    within: InSource,
    /// Only the records of this type, with all definitions
    #[arg(long = "type", env = "GRANARY_TYPE", value_name = "KEY")]
    type_key: Option<String>,
    /// How records are written: NDJSON can be imported; CSV has the properties of one --type, as `granary bulk` takes them,
    /// without versions, times, identifiers and contained resources
    #[arg(long, env = "GRANARY_EXPORT_FORMAT", value_enum, value_name = "FORMAT", default_value_t = ExportFormat::Ndjson)]
    format: ExportFormat,
    /// The file to write, compressed where it is called .gz or .zst; else stdout
    #[arg(short, long, env = "GRANARY_OUTPUT", value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// A line for each definition and each record.
    Ndjson,
    /// A header that names properties, and a row for each record; with --type.
    Csv,
}

/// Where an export goes.
enum Target {
    Stdout,
    File(Box<Compressed>),
}

impl Export {
    pub(crate) async fn run(self, client: &Client, output: &mut Output) -> anyhow::Result<Ended> {
        let source = client.source(&*self.within.source);
        let mut rows = match (self.format, &self.type_key) {
            (ExportFormat::Ndjson, _) => None,
            (ExportFormat::Csv, Some(_)) => Some(Rows::new()?),
            (ExportFormat::Csv, None) => bail!("CSV has records of one type; name it with --type"),
        };
        let query = ExportQuery {
            type_key: self.type_key,
        };
        let started = Instant::now();
        // Asked first, so that a refusal leaves no file.
        let mut pieces = Box::pin(source.export(&query).await?);
        let mut target = Target::open(self.output.as_deref())?;
        let bar = Bar::download(source.key());
        let mover = bar.mover();
        let mut last = LastLine::default();
        while let Some(piece) = pieces.try_next().await.context("the export broke off")? {
            mover.add(piece.len() as u64);
            last.push(&piece);
            match &mut rows {
                Some(rows) => rows.push(&piece)?,
                None => target.write(&piece, output)?,
            }
        }
        let counts = last.counts()?;
        if let Some(rows) = rows {
            rows.write(|piece| target.write(piece, output))?;
        }
        let bytes = bar.position();
        drop(bar);
        target.finish(output)?;
        output.status(
            "Exported",
            format_args!(
                "{}, {} in {}",
                said(&counts),
                size(bytes),
                elapsed(started.elapsed())
            ),
        );
        Ok(Ended::Well)
    }
}

/// What an export has, in words.
pub(super) fn said(counts: &ExportCounts) -> String {
    let definitions = counts.profiles + counts.relationship_definitions;
    format!(
        "{}, {} and {}",
        counted(definitions, "definition"),
        counted(counts.resources, "resource"),
        counted(counts.relationships, "relationship")
    )
}

/// The last line of what has come so far.
#[derive(Default)]
pub(super) struct LastLine {
    line: Vec<u8>,
    ended: bool,
}

impl LastLine {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let (body, ended) = match bytes.strip_suffix(b"\n") {
            Some(body) => (body, true),
            None => (bytes, false),
        };
        if bytes.is_empty() {
            return;
        }
        if std::mem::replace(&mut self.ended, ended) {
            self.line.clear();
        }
        match body.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => {
                self.line.clear();
                self.line.extend_from_slice(&body[at + 1..]);
            }
            None => self.line.extend_from_slice(body),
        }
    }

    /// What an export that is whole says at its end.
    pub(super) fn counts(&self) -> anyhow::Result<ExportCounts> {
        match serde_json::from_slice::<ExportLine>(&self.line) {
            Ok(ExportLine::End(counts)) => Ok(counts),
            Ok(ExportLine::Error(error)) => bail!("the export broke off: {}", error.message),
            _ => bail!("the export broke off: it has no end"),
        }
    }
}

impl Target {
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match path.filter(|path| *path != Path::new("-")) {
            Some(path) => {
                let file = Compressed::by_name(path, Unfinished::create(path)?)?;
                Self::File(Box::new(file))
            }
            None => Self::Stdout,
        })
    }

    fn write(&mut self, piece: &[u8], output: &mut Output) -> anyhow::Result<()> {
        match self {
            Self::Stdout => output.raw(piece),
            Self::File(file) => {
                { file.write_all(piece) }.with_context(|| format!("cannot write {}", file.path().display()))
            }
        }
    }

    fn finish(self, output: &mut Output) -> anyhow::Result<()> {
        match self {
            Self::Stdout => output.flush(),
            Self::File(file) => file.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_found_however_the_pieces_are_cut() {
        let end = r#"{"end":{"profiles":1,"relationshipDefinitions":0,"resources":2,"relationships":3}}"#;
        let whole = format!("{{\"export\":1}}\n{{\"resource\":{{}}}}\n{end}\n");
        for length in 1..=whole.len() {
            let mut last = LastLine::default();
            whole.as_bytes().chunks(length).for_each(|piece| last.push(piece));
            assert_eq!(last.counts().unwrap().relationships, 3, "pieces of {length}");
            let mut last = LastLine::default();
            let cut = &whole.as_bytes()[..whole.len() - end.len() - 1];
            cut.chunks(length).for_each(|piece| last.push(piece));
            assert!(last.counts().is_err(), "pieces of {length}");
        }
    }
}
