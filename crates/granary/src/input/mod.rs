//! What `granary bulk` sends: files and stdin, told apart by name and first bytes, and what is made of them on their way.

mod cell;
mod columns;
mod decode;
mod delimiter;
mod records;
mod sniff;
mod wrap;

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{self, Poll};

use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_core::json::without_byte_order_mark;
use granary_core::operation::TargetType;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio_util::io::ReaderStream;

pub(crate) use columns::{ColumnMap, renamed, twice_in};
pub(crate) use decode::{Coding, decoded};
pub(crate) use delimiter::{Delimiter, with_commas};
pub(crate) use records::{CsvRows, Lines, Opened, Records, open_sync};
pub(crate) use wrap::{wrap, wrap_one};

use sniff::{format_of, target_of};

/// How much is read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// The longest header of CSV that is read; that of a file with a thousand columns is far shorter.
const HEADER_BYTES_MAX: usize = 1_000_000;
/// How far to look for what the first operation is on. An operation is not larger (limit `operationBytes`).
const HEAD_BYTES_MAX: usize = 11_000_000;

/// How operations stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A bulk request, `{"operations":[…]}`.
    Json,
    /// One operation, or with --type one record, a line.
    Ndjson,
    /// A header row that names properties, and a row for each operation; with --type.
    Csv,
}

/// Something to send, opened, its start already read.
pub(crate) struct Input {
    /// What to call it.
    pub(crate) name: String,
    /// Its size in bytes, where it is known.
    pub(crate) size: Option<u64>,
    /// The content coding that it is in.
    pub(crate) coding: Option<Coding>,
    extension: Option<String>,
    head: Vec<u8>,
    rest: Box<dyn AsyncRead + Send + Unpin>,
    ended: bool,
}

impl Input {
    /// Opens a file, or stdin for `-`, and reads its start.
    pub(crate) async fn open(path: &Path) -> anyhow::Result<Self> {
        let mut input = Self::unread(path).await?;
        // A gzip member and a zstd frame begin with their magic number, and no JSON, line or CSV does.
        while input.head.len() < Coding::MAGIC_LEN && !input.ended {
            input.more().await?;
        }
        input.coding = Coding::of(&input.head);
        Ok(input)
    }

    async fn unread(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::over("stdin".into(), None, None, tokio::io::stdin()));
        }
        let cannot = || format!("cannot read {}", path.display());
        let file = tokio::fs::File::open(path).await.with_context(cannot)?;
        let meta = file.metadata().await.with_context(cannot)?;
        if meta.is_dir() {
            bail!("{} is a folder; name the files in it", path.display());
        }
        // A pipe or a device has no size beforehand.
        let size = meta.is_file().then_some(meta.len());
        Ok(match size {
            Some(left) => Self::over(shown_name(path), size, extension(path), Unchanged { file, left }),
            None => Self::over(shown_name(path), size, extension(path), file),
        })
    }

    /// Bytes that are already here.
    pub(crate) fn of(name: &str, bytes: &'static [u8]) -> Self {
        let size = Some(bytes.len() as u64);
        let input = Self::over(name.to_owned(), size, extension(Path::new(name)), bytes);
        Self {
            coding: Coding::of(bytes),
            ..input
        }
    }

    fn over(
        name: String,
        size: Option<u64>,
        extension: Option<String>,
        rest: impl AsyncRead + Send + Unpin + 'static,
    ) -> Self {
        Self {
            name,
            size,
            extension,
            coding: None,
            head: Vec::new(),
            rest: Box::new(rest),
            ended: false,
        }
    }

    /// How its operations stand in it: by its extension, else by its first bytes.
    pub(crate) async fn format(&mut self) -> anyhow::Result<Format> {
        if self.head.is_empty() {
            self.more().await?;
        }
        Ok(format_told(self.extension.as_deref(), &self.peek()))
    }

    /// Of CSV: what separates its cells.
    pub(crate) async fn delimiter(&mut self) -> anyhow::Result<Delimiter> {
        loop {
            let head = self.peek();
            let whole = self.ended || head.len() > HEADER_BYTES_MAX || columns::header_len(&head).is_some();
            if whole {
                return Ok(Delimiter::of_header(self.extension.as_deref(), &head));
            }
            drop(head);
            self.more().await?;
        }
    }

    /// What its first operation is on.
    pub(crate) async fn target(&mut self, format: Format, wrapped: bool) -> anyhow::Result<TargetType> {
        let depth = match (format, wrapped) {
            (Format::Csv, _) => return Ok(TargetType::Resource),
            (Format::Ndjson, true) => 1,
            (Format::Ndjson, false) => 2,
            (Format::Json, _) => 4,
        };
        loop {
            let head = self.peek();
            if let Some(target) = target_of(&head, depth) {
                return Ok(target);
            }
            if self.ended || head.len() > HEAD_BYTES_MAX {
                // The server says better what is wrong with such a body than we could.
                return Ok(TargetType::Resource);
            }
            drop(head);
            self.more().await?;
        }
    }

    /// Its first line that is not blank, and which one that is; `None` where there is none, or it is longer than an
    /// operation may be.
    pub(crate) async fn first_line(&mut self) -> anyhow::Result<Option<(u64, Vec<u8>)>> {
        loop {
            let head = self.peek();
            let mut rest = without_byte_order_mark(&head);
            let mut number = 1;
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line = trimmed(&rest[..end]);
                if !line.is_empty() {
                    return Ok(Some((number, line.to_owned())));
                }
                (rest, number) = (&rest[end + 1..], number + 1);
            }
            if self.ended || head.len() > HEAD_BYTES_MAX {
                let line = trimmed(rest);
                return Ok((self.ended && !line.is_empty()).then(|| (number, line.to_owned())));
            }
            drop(head);
            self.more().await?;
        }
    }

    /// What was read of it so far, decoded.
    fn peek(&self) -> std::borrow::Cow<'_, [u8]> {
        match self.coding {
            None => (&*self.head).into(),
            Some(coding) => coding.start_of(&self.head, HEAD_BYTES_MAX).into(),
        }
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        let old = self.head.len();
        self.head.resize(old + CHUNK_BYTES, 0);
        let read = self.rest.read(&mut self.head[old..]).await;
        self.head.truncate(old + *read.as_ref().unwrap_or(&0));
        let read = read.with_context(|| format!("cannot read {}", self.name))?;
        self.ended |= read == 0;
        Ok(())
    }

    /// Its bytes from the start, as they are.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let head = futures::stream::iter([Ok(Bytes::from(self.head))]);
        head.chain(ReaderStream::with_capacity(self.rest, CHUNK_BYTES))
    }
}

/// A file that has as many bytes as when it was opened, or fails: what is appended to it meanwhile would be cut anywhere.
struct Unchanged {
    file: tokio::fs::File,
    left: u64,
}

impl AsyncRead for Unchanged {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let (is_room, read) = (
            buffer.remaining() > 0,
            Pin::new(&mut self.file).poll_read(context, buffer),
        );
        if matches!(read, Poll::Ready(Ok(()))) {
            let length = (buffer.filled().len() - before) as u64;
            let left = self.left.checked_sub(length);
            if left.is_none() || (is_room && length == 0 && self.left > 0) {
                let why = "it changed while it was read; send it once nobody writes to it any more";
                return Poll::Ready(Err(io::Error::other(why)));
            }
            self.left = left.unwrap_or_default();
        }
        read
    }
}

/// What a file is called in messages.
fn shown_name(path: &Path) -> String {
    match path.file_name() {
        Some(name) => name.to_string_lossy().into(),
        None => path.display().to_string(),
    }
}

/// The extension of a file, without those that say how it is compressed.
fn extension(path: &Path) -> Option<String> {
    let lower = |path: &Path| Some(path.extension()?.to_string_lossy().to_lowercase());
    match lower(path)?.as_str() {
        "gz" | "zst" => lower(Path::new(path.file_stem()?)),
        extension => Some(extension.to_owned()),
    }
}

/// The format that an extension names, else that of the first bytes. No CSV begins with a brace: operations that were written
/// under the name of one are operations.
fn format_told(extension: Option<&str>, head: &[u8]) -> Format {
    let brace = || {
        without_byte_order_mark(head)
            .trim_ascii_start()
            .starts_with(b"{\"")
    };
    match format_named(extension) {
        Some(Format::Csv) if brace() => format_of(head),
        Some(format) => format,
        None => format_of(head),
    }
}

/// The format that an extension names.
fn format_named(extension: Option<&str>) -> Option<Format> {
    match extension? {
        "json" => Some(Format::Json),
        "ndjson" | "jsonl" => Some(Format::Ndjson),
        "csv" | "tsv" => Some(Format::Csv),
        _ => None,
    }
}

/// Without the white space of JSON at both ends.
fn trimmed(mut json: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    while let [first, rest @ ..] = json
        && blank(first)
    {
        json = rest;
    }
    while let [rest @ .., last] = json
        && blank(last)
    {
        json = rest;
    }
    json
}

/// A line without the byte order mark that may stand before the first.
fn without_mark(line: &[u8], first: bool) -> &[u8] {
    if first {
        without_byte_order_mark(line)
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_changes_while_it_is_read_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        for (changed, sent) in [
            ("id,n\na,1\n", true),
            ("id,n\na,1\nb,2\n", false),
            ("id,n\n", false),
        ] {
            std::fs::write(&path, "id,n\na,1\n").unwrap();
            let input = Input::unread(&path).await.unwrap();
            std::fs::write(&path, changed).unwrap();
            let pieces: Vec<_> = input.into_stream().collect().await;
            assert_eq!(pieces.iter().all(Result::is_ok), sent, "{changed}: {pieces:?}");
        }
    }

    #[tokio::test]
    async fn what_was_looked_at_is_sent_too() {
        let data: &[u8] = br#"{"action":"CREATE","create":{"type":"t","data":{}}}"#;
        let mut input = Input::of("x", data);
        assert_eq!(input.format().await.unwrap(), Format::Ndjson);
        assert_eq!(
            input.target(Format::Ndjson, false).await.unwrap(),
            TargetType::Resource
        );
        let sent: Vec<_> = input.into_stream().map(Result::unwrap).collect().await;
        assert_eq!(sent.concat(), data);
        for (name, format) in [
            ("x.json", Format::Json),
            ("x.ndjson", Format::Ndjson),
            // Operations under the name of a CSV.
            ("x.CSV", Format::Json),
            ("x.jsonl.zst", Format::Ndjson),
            ("x.gz", Format::Json),
        ] {
            let mut input = Input::of(name, b"{\"operations\":");
            assert_eq!(input.format().await.unwrap(), format, "{name}");
        }
        for name in ["x.CSV", "x.csv.gz", "x.tsv"] {
            let mut input = Input::of(name, b"id,{\n");
            assert_eq!(input.format().await.unwrap(), Format::Csv, "{name}");
        }
    }

    #[tokio::test]
    async fn what_is_compressed_is_looked_into_whatever_it_is_called() {
        let edge: &[u8] = br#"{"action":"CREATE","create":{"type":"t","from":{}}}"#;
        for coding in [Coding::Gzip, Coding::Zstd] {
            for name in ["x", "x.ndjson", "x.gz"] {
                let bytes: &'static [u8] = decode::tests::encoded(coding, edge).leak();
                let mut input = Input::of(name, bytes);
                assert_eq!(input.coding, Some(coding));
                assert_eq!(input.format().await.unwrap(), Format::Ndjson, "{name}");
                let target = input.target(Format::Ndjson, false).await.unwrap();
                assert_eq!(target, TargetType::Relationship, "{name}");
                let sent: Vec<_> = input.into_stream().map(Result::unwrap).collect().await;
                assert_eq!(sent.concat(), bytes);
            }
        }
    }
}
