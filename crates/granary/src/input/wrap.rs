//! Records wrapped into operations on their way.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use granary_client::api::definitions::Members;
use granary_core::operation::Action;
use memchr::memmem;

use super::{trimmed, without_mark};

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

/// Wraps records into operations. What is in them is the server's to check; of one as it was read, what only the server gives is
/// left out.
struct Wrapper {
    action: Action,
    open: Vec<u8>,
    type_key: String,
    /// The start of a line whose end has not come yet.
    line: Vec<u8>,
    line_number: u64,
}

impl Wrapper {
    fn new(action: Action, type_key: &str) -> Self {
        let type_json = serde_json::Value::from(type_key);
        let (name, payload) = (action.name(), action.payload());
        let open = format!(r#"{{"action":"{name}","{payload}":{{"type":{type_json}"#).into_bytes();
        Self {
            action,
            open,
            type_key: type_key.to_owned(),
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
        let line = trimmed(without_mark(line, self.line_number == 0));
        self.line_number += 1;
        if line.is_empty() {
            return Ok(());
        }
        let as_sent = as_sent(line, self.action, &self.type_key);
        let line = as_sent.as_deref().unwrap_or(line);
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

/// A record that was read, as it may be sent: without the type that is said beside it, and without what the server gives in
/// `meta`. Of one that is to be deleted its ids are left. `None` where it is no such record.
fn as_sent(line: &[u8], action: Action, type_key: &str) -> Option<Vec<u8>> {
    /// A client may send the last as well, but not to say when this write came.
    const OF_SERVER: [&str; 3] = ["source", "version", "updatedAt"];
    memmem::find(line, b"\"meta\"")?;
    let Members(mut record) = serde_json::from_slice(line).ok()?;
    let (_, meta) = record.iter_mut().find(|(name, _)| name == "meta")?;
    let Members(mut members) = serde_json::from_str(meta.get()).ok()?;
    if !members.iter().any(|(name, _)| name == "version") {
        return None;
    }
    members.retain(|(name, _)| !OF_SERVER.contains(&name.as_str()));
    *meta = serde_json::value::to_raw_value(&Members(members)).ok()?;
    record.retain(|(name, value)| match name.as_str() {
        // One of another type is the server's to refuse.
        "type" => serde_json::from_str::<String>(value.get()).ok().as_deref() != Some(type_key),
        "id" | "from" | "to" => true,
        _ => action != Action::Delete,
    });
    serde_json::to_vec(&Members(record)).ok()
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
    fn a_record_as_it_was_read_is_sent_without_what_the_server_gives() {
        let wrapped = |record: &str| {
            let operation = wrapped(&[record]).unwrap();
            let inner = operation.strip_prefix(r#"{"action":"UPSERT","upsert":{"type":"air\"port","#);
            inner.unwrap().strip_suffix("}}\n").unwrap().to_owned()
        };
        let read = concat!(
            r#"{"id":"ab","type":"air\"port","data":{"z":1.10,"type":"x"},"meta":{"createdAt":"2026-01-31T08:15:30.250Z","#,
            r#""updatedAt":"2026-02-01T08:15:30.250Z","source":"s","version":3}}"#
        );
        assert_eq!(
            wrapped(read),
            r#""id":"ab","data":{"z":1.10,"type":"x"},"meta":{"createdAt":"2026-01-31T08:15:30.250Z"}"#
        );
        // All others are sent as they are, wrong ones too.
        for sent in [
            r#""data":{ "meta":{"version":1} }"#,
            r#""meta":{"createdAt":"2026-01-31T08:15:30.250Z", "updatedAt":"2026-01-31T08:15:30.250Z"}"#,
            r#""meta":{"source":"s"}"#,
            r#""meta":7"#,
            r#""meta":{"version":1"#,
        ] {
            assert_eq!(wrapped(&format!("{{{sent}}}")), sent);
        }
        let other = wrapped(r#"{"type":"runway","meta":{"version":1}}"#);
        assert_eq!(other, r#""type":"runway","meta":{}"#);
    }

    #[test]
    fn of_a_record_that_was_read_and_is_deleted_its_ids_are_sent() {
        let deleted = |record: &str| {
            let operation = wrap_one(record.as_bytes(), Action::Delete, "t").unwrap();
            let operation = String::from_utf8(operation).unwrap();
            let inner = operation.strip_prefix(r#"{"action":"DELETE","delete":{"type":"t","#);
            inner.unwrap().strip_suffix("}}").unwrap().to_owned()
        };
        let meta = r#""meta":{"createdAt":"2026-01-31T08:15:30.250Z","version":3}"#;
        let read =
            format!(r#"{{"id":"ab","type":"t","data":{{"id":"x"}},"contained":{{"rooms":[]}},{meta}}}"#);
        assert_eq!(deleted(&read), r#""id":"ab""#);
        let ends = r#""from":{"type":"a","id":"x"},"to":{"type":"b","id":"y"}"#;
        let read = format!(r#"{{"id":"x.y","type":"t",{ends},"data":{{}},{meta}}}"#);
        assert_eq!(deleted(&read), format!(r#""id":"x.y",{ends}"#));
        // What a client wrote is the server's to judge.
        let written = r#""id":"ab","data":{}"#;
        assert_eq!(deleted(&format!("{{{written}}}")), written);
    }

    #[test]
    fn a_line_that_is_no_record_is_named() {
        let error = wrapped(&["{\"data\":{}}\n\n[1]\n"]).unwrap_err();
        assert!(error.to_string().starts_with("line 3 is no record"), "{error}");
        assert!(wrapped(&["{\"data\":1"]).is_err());
    }
}
