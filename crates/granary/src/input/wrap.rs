//! Records wrapped into operations on their way.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_core::operation::Action;

use super::without_mark;

/// The longest record that is wrapped; the server refuses far shorter ones.
const LINE_BYTES_MAX: usize = 64_000_000;

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

/// One record as an operation; an error where it is none.
pub(crate) fn wrap_one(record: &[u8], action: Action, type_key: &str) -> io::Result<Vec<u8>> {
    let mut wrapped = Vec::new();
    Wrapper::new(action, type_key).wrap(record, &mut wrapped)?;
    wrapped.truncate(wrapped.trim_ascii_end().len());
    Ok(wrapped)
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
