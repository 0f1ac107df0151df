//! Files that are compressed, told by their first bytes, and what is in them.

use std::io::{self, BufRead, BufReader, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use futures::{Stream, StreamExt};
use tokio_util::io::{StreamReader, SyncIoBridge};

/// How much is given on at once.
const PIECE_BYTES: usize = 256 * 1024;
/// How many pieces may wait to be taken.
const PIECES_WAITING: usize = 4;
/// The largest window of a zstd frame, as a power of two: 8 MiB, as the server takes it.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// gzip, of one member or several.
    Gzip,
    /// zstd, of one frame or several.
    Zstd,
}

impl Coding {
    /// How many bytes tell it.
    pub(crate) const MAGIC_LEN: usize = 4;

    /// The coding of what begins so.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its name in `Content-Encoding`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What it is of.
    pub(super) fn reader<'a>(
        self,
        encoded: impl BufRead + Send + 'a,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(encoded)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(encoded)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }

    /// The start of what `encoded` is of, as far as it goes, and no longer than `most`.
    pub(super) fn start_of(self, encoded: &[u8], most: usize) -> Vec<u8> {
        let mut start = Vec::new();
        if let Ok(reader) = self.reader(encoded) {
            // It breaks off where `encoded` does: what came before is the start.
            let _ = reader.take(most as u64 + 1).read_to_end(&mut start);
        }
        start
    }
}

/// The bytes that `pieces` are in this coding of.
pub(crate) fn decoded(
    coding: Coding,
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (send, mut receive) = tokio::sync::mpsc::channel(PIECES_WAITING);
    let encoded = SyncIoBridge::new(StreamReader::new(pieces.boxed()));
    // Decoding is work for a thread of its own; it waits where what it has made is not taken.
    tokio::task::spawn_blocking(move || {
        let mut reader = match coding.reader(BufReader::new(encoded)) {
            Ok(reader) => reader,
            Err(error) => return drop(send.blocking_send(Err(error))),
        };
        loop {
            let mut piece = vec![0; PIECE_BYTES];
            let read = match reader.read(&mut piece) {
                Ok(0) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read,
            };
            let failed = read.is_err();
            let piece = read.map(|length| {
                piece.truncate(length);
                Bytes::from(piece)
            });
            // Nobody takes it any more where the request is over.
            if send.blocking_send(piece.map_err(damaged)).is_err() || failed {
                return;
            }
        }
    });
    futures::stream::poll_fn(move |context| receive.poll_recv(context))
}

/// Says that it is the file that is wrong.
pub(super) fn damaged(error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("what is compressed is damaged or breaks off: {error}"),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use futures::TryStreamExt;

    use super::*;

    pub(in crate::input) fn encoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    async fn all(coding: Coding, pieces: Vec<Vec<u8>>) -> io::Result<Vec<u8>> {
        let pieces = futures::stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece))));
        let pieces: Vec<Bytes> = decoded(coding, pieces).try_collect().await?;
        Ok(pieces.concat())
    }

    #[tokio::test]
    async fn what_was_compressed_comes_back_however_it_is_cut() {
        let bytes: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| n.to_string().into_bytes())
            .collect();
        for coding in [Coding::Gzip, Coding::Zstd] {
            let one = encoded(coding, &bytes);
            assert_eq!(Coding::of(&one), Some(coding));
            // Members and frames one after the other are one file.
            let twice = [&one[..], &one].concat();
            let pieces = twice.chunks(7_919).map(<[u8]>::to_vec).collect();
            assert_eq!(all(coding, pieces).await.unwrap(), [&bytes[..], &bytes].concat());
            let start = coding.start_of(&one[..one.len() / 2], 1_000);
            assert_eq!(start, bytes[..1_001]);
        }
    }

    #[tokio::test]
    async fn what_is_damaged_or_breaks_off_is_said() {
        let bytes = vec![7; 100_000];
        for coding in [Coding::Gzip, Coding::Zstd] {
            let whole = encoded(coding, &bytes);
            let cut = whole[..whole.len() - 3].to_vec();
            let error = all(coding, vec![cut]).await.unwrap_err();
            assert!(error.to_string().contains("damaged or breaks off"), "{error}");
            let longer = [&whole[..], b"{}"].concat();
            assert!(all(coding, vec![longer]).await.is_err(), "{coding:?}");
        }
    }
}
