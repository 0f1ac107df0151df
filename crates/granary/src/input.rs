//! What `granary bulk` sends: files and stdin, told apart by name and first bytes, and records wrapped into operations
//! on their way.

use std::io;
use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_core::operation::{Action, TargetType};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::io::ReaderStream;

/// How much is read at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// How far to look for what the first operation is on. An operation is not larger (limit `operationBytes`).
const HEAD_BYTES_MAX: usize = 11_000_000;
/// The longest record that is wrapped; the server refuses far shorter ones.
const LINE_BYTES_MAX: usize = 64_000_000;

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
    extension: Option<String>,
    /// The content coding that its name tells of: it is sent as it is.
    pub(crate) encoding: Option<&'static str>,
    head: Vec<u8>,
    rest: Box<dyn AsyncRead + Send + Unpin>,
    ended: bool,
}

impl Input {
    /// Opens a file, or stdin for `-`.
    pub(crate) async fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::over("stdin".into(), None, None, tokio::io::stdin()));
        }
        let cannot = || format!("cannot read {}", path.display());
        let file = tokio::fs::File::open(path).await.with_context(cannot)?;
        let meta = file.metadata().await.with_context(cannot)?;
        if meta.is_dir() {
            bail!("{} is a folder; name the files in it", path.display());
        }
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into(),
        );
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().to_lowercase());
        // A pipe or a device has no size beforehand.
        let size = meta.is_file().then_some(meta.len());
        let encoding = match extension.as_deref() {
            Some("gz") => Some("gzip"),
            Some("zst") => Some("zstd"),
            _ => None,
        };
        let inner = || Path::new(path.file_stem()?).extension();
        let extension = match encoding {
            Some(_) => inner().map(|extension| extension.to_string_lossy().to_lowercase()),
            None => extension,
        };
        Ok(Self {
            encoding,
            ..Self::over(name, size, extension, file)
        })
    }

    /// Bytes that are already here.
    pub(crate) fn of(name: &str, bytes: &'static [u8]) -> Self {
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_owned());
        Self::over(name.to_owned(), Some(bytes.len() as u64), extension, bytes)
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
            encoding: None,
            head: Vec::new(),
            rest: Box::new(rest),
            ended: false,
        }
    }

    /// How its operations stand in it: by its extension, else by its first bytes.
    pub(crate) async fn format(&mut self) -> anyhow::Result<Format> {
        self.more().await?;
        let extension = self.extension.as_deref();
        if let (Some(_), None | Some("ndjson" | "jsonl" | "json" | "csv")) = (self.encoding, extension) {
            // What cannot be looked into is taken for lines.
            return Ok(match extension {
                Some("json") => Format::Json,
                Some("csv") => Format::Csv,
                _ => Format::Ndjson,
            });
        }
        if self.head.starts_with(&[0x1f, 0x8b]) || self.head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            bail!(
                "{} is compressed; name it so that it tells, such as operations.ndjson.gz or .zst, or send what zcat \
                 makes of it: zcat {} | granary bulk -",
                self.name,
                self.name
            );
        }
        match self.extension.as_deref() {
            Some("json") => Ok(Format::Json),
            Some("ndjson" | "jsonl") => Ok(Format::Ndjson),
            Some("csv") => Ok(Format::Csv),
            _ => Ok(format_of(&self.head)),
        }
    }

    /// What its first operation is on.
    pub(crate) async fn target(&mut self, format: Format, wrapped: bool) -> anyhow::Result<TargetType> {
        if self.encoding.is_some() || format == Format::Csv {
            return Ok(TargetType::Resource);
        }
        let depth = match (format, wrapped) {
            (Format::Ndjson, true) => 1,
            (Format::Ndjson, false) => 2,
            (Format::Json | Format::Csv, _) => 4,
        };
        loop {
            if let Some(target) = target_of(&self.head, depth) {
                return Ok(target);
            }
            if self.ended || self.head.len() > HEAD_BYTES_MAX {
                // The server says better what is wrong with such a body than we could.
                return Ok(TargetType::Resource);
            }
            self.more().await?;
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

    /// Its bytes from the start.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let head = futures::stream::iter([Ok(Bytes::from(self.head))]);
        head.chain(ReaderStream::with_capacity(self.rest, CHUNK_BYTES))
    }
}

/// Records, one a line, as operations of this action on this type, one a line.
pub(crate) fn wrap(
    records: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    action: Action,
    type_key: &str,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut wrapper = Wrapper::new(action, type_key);
    // The last line need not end with a line break: `None` stands for the end.
    let chunks = records.map(Some).chain(futures::stream::iter([None]));
    chunks.map(move |chunk| match chunk {
        Some(chunk) => wrapper.push(&chunk?),
        None => wrapper.end(),
    })
}

/// Wraps records into operations without reading what is in them: that is the server's to check.
struct Wrapper {
    open: Vec<u8>,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    line_number: u64,
}

impl Wrapper {
    fn new(action: Action, type_key: &str) -> Self {
        let type_key = serde_json::Value::from(type_key);
        let (name, payload) = (action.name(), action.payload());
        let open = format!(r#"{{"action":"{name}","{payload}":{{"type":{type_key}"#).into_bytes();
        Self {
            open,
            line: Vec::new(),
            line_number: 0,
        }
    }

    fn push(&mut self, mut chunk: &[u8]) -> io::Result<Bytes> {
        let mut wrapped = Vec::with_capacity(chunk.len() + chunk.len() / 2);
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let (rest_of_line, after) = (&chunk[..end], &chunk[end + 1..]);
            if self.line.is_empty() {
                self.wrap(rest_of_line, &mut wrapped)?;
            } else {
                self.line.extend_from_slice(rest_of_line);
                self.take_line(&mut wrapped)?;
            }
            chunk = after;
        }
        self.line.extend_from_slice(chunk);
        if self.line.len() > LINE_BYTES_MAX {
            let number = self.line_number + 1;
            return Err(bad_line(
                number,
                format_args!("is longer than {LINE_BYTES_MAX} bytes; is it one record a line?"),
            ));
        }
        Ok(wrapped.into())
    }

    fn end(&mut self) -> io::Result<Bytes> {
        let mut wrapped = Vec::new();
        self.take_line(&mut wrapped)?;
        Ok(wrapped.into())
    }

    fn take_line(&mut self, wrapped: &mut Vec<u8>) -> io::Result<()> {
        let mut line = std::mem::take(&mut self.line);
        self.wrap(&line, wrapped)?;
        line.clear();
        self.line = line;
        Ok(())
    }

    fn wrap(&mut self, line: &[u8], wrapped: &mut Vec<u8>) -> io::Result<()> {
        let line = without_mark(line, self.line_number == 0).trim_ascii();
        self.line_number += 1;
        if line.is_empty() {
            return Ok(());
        }
        let Some(members) = line.strip_prefix(b"{").and_then(|line| line.strip_suffix(b"}")) else {
            return Err(bad_line(
                self.line_number,
                "is no record; with --type each line is one, such as {\"id\":…,\"data\":{…}}",
            ));
        };
        wrapped.extend_from_slice(&self.open);
        if !members.trim_ascii().is_empty() {
            wrapped.push(b',');
        }
        wrapped.extend_from_slice(members);
        wrapped.extend_from_slice(b"}}\n");
        Ok(())
    }
}

fn bad_line(number: u64, what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("line {number} {what}"))
}

/// Without the byte order mark that may stand before the first line.
fn without_mark(bytes: &[u8], first: bool) -> &[u8] {
    bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .filter(|_| first)
        .unwrap_or(bytes)
}

/// A bulk request starts with its member `operations`; all else is taken for lines.
fn format_of(head: &[u8]) -> Format {
    let head = without_mark(head, true).trim_ascii_start();
    let first = head.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    match first {
        Some(first) if first.starts_with(b"\"operations\"") => Format::Json,
        _ => Format::Ndjson,
    }
}

/// What the first operation is on: a relationship has `from` or `to` among the members of its payload, at this depth
/// of the document, or an id of two ends; `None` while the payload has not ended.
fn target_of(head: &[u8], payload_depth: usize) -> Option<TargetType> {
    let mut depth = 0;
    let mut at = 0;
    let mut id_follows = false;
    while let Some(byte) = head.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == payload_depth => return Some(TargetType::Resource),
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let text = string_at(head, at)?;
                at += text.len() + 1;
                if depth == payload_depth {
                    let is_key = *head.get(at + 1..)?.trim_ascii_start().first()? == b':';
                    match text {
                        b"from" | b"to" if is_key => return Some(TargetType::Relationship),
                        // No id of a resource holds a dot.
                        _ if id_follows && text.contains(&b'.') => return Some(TargetType::Relationship),
                        _ => id_follows = is_key && text == b"id",
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The text between the quote at `at` and the next one.
fn string_at(json: &[u8], at: usize) -> Option<&[u8]> {
    let text = &json[at + 1..];
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bulk_request_is_told_by_its_first_member() {
        for json in [
            r#"{"operations":[]}"#,
            " \n{ \"operations\" : [",
            "\u{feff}{\"operations\":[",
        ] {
            assert_eq!(format_of(json.as_bytes()), Format::Json, "{json}");
        }
        for lines in [r#"{"action":"CREATE"}"#, "", "[", r#"{"data":{"operations":1}}"#] {
            assert_eq!(format_of(lines.as_bytes()), Format::Ndjson, "{lines}");
        }
    }

    #[test]
    fn the_first_operation_tells_what_a_request_is_on() {
        use TargetType::{Relationship, Resource};
        for (depth, head, target) in [
            (
                2,
                r#"{"action":"CREATE","create":{"type":"t","from":"#,
                Some(Relationship),
            ),
            (2, r#"{"create":{"to": 1"#, Some(Relationship)),
            (
                2,
                r#"{"action":"DELETE","delete":{"type":"t","id":"ab.cd"}}"#,
                Some(Relationship),
            ),
            (
                2,
                r#"{"action":"DELETE","delete":{"type":"t.u","id":"ab"}}"#,
                Some(Resource),
            ),
            (
                2,
                r#"{"create":{"type":"from","data":{"from":1,"to":"}"}}}"#,
                Some(Resource),
            ),
            (2, r#"{"create":{"data":{"a\"}":"\\"}}}"#, Some(Resource)),
            (2, r#"{"create":{"type":"from"#, None),
            (2, r#"{"create":{"data":{"x":1}"#, None),
            (2, r#"{"create":{"from""#, None),
            (1, r#"{"from":{"id":"ab","type":"t"}"#, Some(Relationship)),
            (1, r#"{"data":{}}"#, Some(Resource)),
            (
                4,
                r#"{"operations":[{"action":"CREATE","create":{"from":1"#,
                Some(Relationship),
            ),
            (
                4,
                r#"{"operations":[{"action":"CREATE","create":{"data":{"from":1}}}"#,
                Some(Resource),
            ),
            (4, r#"{"operations":[]}"#, None),
            (2, "", None),
            (2, "}}", None),
        ] {
            // Some prefix may know less, none knows otherwise.
            for end in 0..=head.len() {
                let told = target_of(&head.as_bytes()[..end], depth);
                assert!(told.is_none() || told == target, "{head} at {end}: {told:?}");
            }
            assert_eq!(target_of(head.as_bytes(), depth), target, "{head}");
        }
    }

    fn wrapped(chunks: &[&str]) -> io::Result<String> {
        let mut wrapper = Wrapper::new(Action::Upsert, "air\"port");
        let mut all = Vec::new();
        for chunk in chunks {
            all.extend_from_slice(&wrapper.push(chunk.as_bytes())?);
        }
        all.extend_from_slice(&wrapper.end()?);
        Ok(String::from_utf8(all).unwrap())
    }

    #[test]
    fn records_become_operations_however_they_are_cut() {
        let records = "\u{feff}{\"id\":\"ab\",\"data\":{\"é\":1}}\r\n\n { } \n{\"data\":{}}";
        let open = r#"{"action":"UPSERT","upsert":{"type":"air\"port""#;
        let expected =
            format!("{open},\"id\":\"ab\",\"data\":{{\"é\":1}}}}}}\n{open} }}}}\n{open},\"data\":{{}}}}}}\n");
        assert_eq!(wrapped(&[records]).unwrap(), expected);
        for line in expected.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
        for (cut, _) in records.char_indices() {
            assert_eq!(
                wrapped(&[&records[..cut], &records[cut..]]).unwrap(),
                expected,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let error = wrapped(&["{\"data\":{}}\n\n[1]\n"]).unwrap_err();
        assert!(error.to_string().starts_with("line 3 is no record"), "{error}");
        assert!(wrapped(&["{\"data\":1"]).is_err());
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
        assert_eq!(Input::of("x.json", b"").format().await.unwrap(), Format::Json);
        assert_eq!(
            Input::of("x.ndjson", b"{\"operations\":").format().await.unwrap(),
            Format::Ndjson
        );
        let error = Input::of("x.gz", &[0x1f, 0x8b, 8]).format().await.unwrap_err();
        assert!(error.to_string().contains("zcat x.gz"), "{error}");
    }
}
