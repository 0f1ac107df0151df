//! One request on its way.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use granary_client::api::bulk::BulkQuery;
use granary_client::{BulkBody, BulkReply, SourceClient};
use granary_core::idempotency::IdempotencyKey;
use granary_core::operation::{Action, TargetType};
use xxhash_rust::xxh3::Xxh3Default;

use crate::input::{ColumnMap, Delimiter, Format, Input, decoded, renamed, with_commas, wrap};
use crate::progress::Bar;

/// How a file is read to name it.
const HASHED_BYTES: usize = 1024 * 1024;

/// What is made of a file on its way.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    /// Its lines are records, which become operations of this action on this type.
    pub(super) wrapped: Option<(Action, String)>,
    /// Its cells are separated by this, and by commas where they go.
    pub(super) delimiter: Delimiter,
    /// Its columns get other names.
    pub(super) map: Vec<ColumnMap>,
}

/// A request that was sent.
pub(crate) struct Sent {
    /// What it is called.
    pub(crate) name: String,
    /// How many bytes were read for it.
    pub(crate) bytes: u64,
    /// How long it took until its answer began.
    pub(crate) time: Duration,
    /// What it was answered with.
    pub(crate) reply: BulkReply,
    /// True where it was accepted before, and nothing was started.
    pub(crate) replayed: bool,
}

/// Sends a request as it is, with a bar on a terminal.
pub(crate) async fn send(
    source: &SourceClient,
    input: Input,
    format: Format,
    target: TargetType,
    query: &BulkQuery,
) -> anyhow::Result<Sent> {
    send_made(source, input, format, target, Made::default(), query, None).await
}

/// Sends what is made of a file, under a key by which it is carried out once.
pub(super) async fn send_made(
    source: &SourceClient,
    input: Input,
    format: Format,
    target: TargetType,
    made: Made,
    query: &BulkQuery,
    key: Option<&IdempotencyKey>,
) -> anyhow::Result<Sent> {
    let (name, length, coding) = (input.name.clone(), input.size, input.coding);
    let bar = Bar::upload(&name, length);
    let mover = bar.mover();
    let bytes = input
        .into_stream()
        .inspect_ok(move |chunk| mover.add(chunk.len() as u64));
    // What nothing is made of goes as it is, compressed or not.
    let as_it_is = made.wrapped.is_none() && made.map.is_empty() && made.delimiter == Delimiter::Comma;
    let bytes = match coding {
        Some(coding) if !as_it_is => decoded(coding, bytes).boxed(),
        _ => bytes.boxed(),
    };
    let body = body(format, made, bytes);
    let body = match coding.filter(|_| as_it_is) {
        Some(coding) => body.with_encoding(coding.name()),
        None => body,
    };
    let body = match length.filter(|_| as_it_is) {
        Some(length) => body.with_length(length),
        None => body,
    };
    let start = Instant::now();
    let sent = match key {
        Some(key) => source.send_bulk_once(target, query, body, key).await,
        None => source
            .send_bulk(target, query, body)
            .await
            .map(|reply| (reply, false)),
    };
    let (reply, replayed) = sent.with_context(|| format!("cannot send {name}"))?;
    Ok(Sent {
        name,
        bytes: bar.position(),
        time: start.elapsed(),
        reply,
        replayed,
    })
}

fn body(
    format: Format,
    made: Made,
    bytes: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) -> BulkBody {
    match (format, made.wrapped) {
        (Format::Json, _) => BulkBody::json(bytes),
        (Format::Csv, _) => {
            let rows = match made.delimiter {
                Delimiter::Comma => bytes.boxed(),
                delimiter => with_commas(bytes, delimiter).boxed(),
            };
            match made.map.is_empty() {
                true => BulkBody::csv(rows),
                false => BulkBody::csv(renamed(rows, made.map)),
            }
        }
        (Format::Ndjson, None) => BulkBody::ndjson(bytes),
        (Format::Ndjson, Some((action, type_key))) => BulkBody::ndjson(wrap(bytes, action, &type_key)),
    }
}

/// The key of a file: the same for the same content that is sent in the same way. None of what cannot be read twice.
pub(super) async fn derived_key(path: &Path, way: &[&str]) -> anyhow::Result<Option<IdempotencyKey>> {
    use std::io::Read;
    let mut hash = Xxh3Default::new();
    for part in way {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let owned = path.to_owned();
    let hashed = tokio::task::spawn_blocking(move || -> std::io::Result<Option<u128>> {
        // Also not opened: a pipe would wait for its writer, and lose what it has written.
        if !std::fs::metadata(&owned)?.is_file() {
            return Ok(None);
        }
        let mut file = std::fs::File::open(&owned)?;
        let mut piece = vec![0; HASHED_BYTES];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(Some(hash.digest128())),
                length => hash.update(&piece[..length]),
            }
        }
    });
    let hashed = hashed.await?;
    let hashed = hashed.with_context(|| format!("cannot read {}", path.display()))?;
    let key = hashed.map(|hash| IdempotencyKey::parse(&format!("granary-bulk-{hash:032x}")));
    key.transpose().map_err(|error| anyhow::anyhow!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_that_of_the_content_and_of_the_way_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (one, same, other) = (file("a", "x\n"), file("b", "x\n"), file("c", "y\n"));
        let key = async |path: &Path, way: &[&str]| derived_key(path, way).await.unwrap();
        let first = key(&one, &["clinic", "book"]).await;
        assert!(first.is_some());
        assert_eq!(first, key(&same, &["clinic", "book"]).await);
        for different in [
            key(&other, &["clinic", "book"]).await,
            key(&one, &["clinicb", "ook"]).await,
            key(&one, &["clinic"]).await,
        ] {
            assert_ne!(first, different);
        }
        assert_eq!(key(folder.path(), &["clinic"]).await, None);
        assert!(derived_key(Path::new("/nowhere/x"), &["clinic"]).await.is_err());
    }
}
