//! What one request takes of the server's memory at its most, however large it is: of a request, and of one of a hundredth
//! of its size. The bodies are made while they are sent, so a request of 5 GB needs no file of that size.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::TryStreamExt;
use granary_api::bulk::BulkQuery;
use granary_api::tasks::ReceiptsQuery;
use granary_client::{BulkBody, BulkReply};
use granary_core::operation::TargetType;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::granary::{self, ended, failures};
use crate::process::memory_bytes;
use crate::workload::{Load, Workload};

/// The small request is so many times smaller.
const SMALLER: u64 = 100;
/// Pieces of a body.
const PIECE_BYTES: usize = 256 * 1024;

/// How a request is sent, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Sent {
    Plain,
    Gzip,
    /// With faults in every operation.
    Faulty,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    pub(crate) sent: Sent,
    pub(crate) operations: u64,
    /// As JSON, before any coding.
    pub(crate) request_bytes: u64,
    pub(crate) idle_bytes: u64,
    /// The peak above that until the request is answered: accepted, or rejected and its answer read to the end.
    pub(crate) answered_bytes: u64,
    /// The same until its task has ended and all its receipts are read.
    pub(crate) applied_bytes: Option<u64>,
}

pub(crate) async fn measure(operations: u64, folder: &Path) -> Result<Vec<Memory>> {
    let mut all = Vec::new();
    for sent in [Sent::Plain, Sent::Gzip, Sent::Faulty] {
        for operations in [operations / SMALLER, operations] {
            all.push(one(sent, operations, folder).await?);
        }
    }
    Ok(all)
}

async fn one(sent: Sent, operations: u64, folder: &Path) -> Result<Memory> {
    let folder = tempfile::tempdir_in(folder)?;
    let mut server = granary::server(&folder.path().join("data")).await?;
    let source = granary::source(&server, "memory").await?;
    let pid = server.pid().context("the server has ended")?;
    let idle_bytes = memory_bytes(pid, "VmRSS")?;
    let above_idle = || anyhow::Ok(memory_bytes(pid, "VmHWM")?.saturating_sub(idle_bytes));

    let workload = match sent {
        Sent::Plain | Sent::Gzip => Workload::Creates,
        Sent::Faulty => Workload::Rejected,
    };
    let (pieces, mut made) = mpsc::channel(4);
    let making = tokio::task::spawn_blocking(move || {
        let load = Load::new(workload, operations, &Vec::new().into());
        write(&load, sent == Sent::Gzip, Pieces::new(pieces))
    });
    let body = BulkBody::json(futures::stream::poll_fn(move |context| {
        made.poll_recv(context).map(|piece| piece.map(Ok))
    }));
    let body = match sent {
        Sent::Gzip => body.with_encoding("gzip"),
        Sent::Plain | Sent::Faulty => body,
    };
    let (answered_bytes, applied_bytes) = match source
        .send_bulk(TargetType::Resource, &BulkQuery::default(), body)
        .await?
    {
        BulkReply::Accepted(accepted) => {
            let answered = above_idle()?;
            let task = accepted.task_id.to_string();
            ensure!(
                ended(&source, &task).await?.counts.success == operations,
                "not all succeeded"
            );
            let receipts = source.receipts_stream(&task, &ReceiptsQuery::default()).await?;
            let read = receipts.try_fold(0, async |count, _| Ok(count + 1)).await?;
            ensure!(read == operations, "{read} receipts");
            (answered, Some(above_idle()?))
        }
        BulkReply::Rejected(rejection) => {
            let failed = failures(rejection).await?;
            ensure!(failed == operations, "{failed} failures");
            (above_idle()?, None)
        }
        BulkReply::Valid(_) => bail!("the request was only checked"),
    };
    let request_bytes = making.await??;
    ensure!(server.stop().await?.success(), "the server did not stop well");
    Ok(Memory {
        sent,
        operations,
        request_bytes,
        idle_bytes,
        answered_bytes,
        applied_bytes,
    })
}

/// Writes a request; answers its length before any coding.
fn write(load: &Load, gzip: bool, pieces: Pieces) -> io::Result<u64> {
    if gzip {
        let mut out = GzEncoder::new(pieces, Compression::fast());
        let length = write_plain(load, &mut out)?;
        out.finish()?.flush()?;
        return Ok(length);
    }
    let mut pieces = pieces;
    let length = write_plain(load, &mut pieces)?;
    pieces.flush()?;
    Ok(length)
}

fn write_plain(load: &Load, out: &mut impl Write) -> io::Result<u64> {
    let (mut operation_bytes, mut length) = (Vec::new(), 2);
    let mut between = r#"{"operations":["#;
    for operation in load.measured() {
        operation_bytes.clear();
        operation_bytes.extend(between.as_bytes());
        operation.write(&mut operation_bytes, false)?;
        out.write_all(&operation_bytes)?;
        length += operation_bytes.len() as u64;
        between = ",\n";
    }
    out.write_all(b"]}")?;
    Ok(length)
}

/// Gathers what is written to pieces and hands them over, waiting where they are not taken.
struct Pieces {
    to: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
}

impl Pieces {
    fn new(to: mpsc::Sender<Bytes>) -> Self {
        Self {
            to,
            piece: Vec::with_capacity(PIECE_BYTES),
        }
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sent = self.to.blocking_send(piece.into());
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
