//! Bodies as they were before they were encoded. What they expand to is never held: it is given on in steps, each of
//! which ends once it has made its share, and whoever reads them counts the decoded bytes against a limit.

use std::io::{self, Write};
use std::mem;

use bytes::{Buf, Bytes};
use flate2::write::MultiGzDecoder;
use futures::{Stream, StreamExt, stream};
use granary_core::error::ErrorObject;
use granary_engine::BodyError;
use zstd::stream::raw::{self, DParameter, InBuffer, Operation, OutBuffer};

use super::Coding;

/// A step ends once it has made so many bytes, or a little more.
const STEP_BYTES: usize = 128 * 1024;
/// The largest window of a zstd frame, as a power of two: 8 MiB (contract, section 10; RFC 9659).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How long a body of this limit may be as it is sent: bytes that do not shrink grow by a little, and what grows by more
/// says nothing (empty members and frames), which would never meet a limit on what it expands to.
pub(crate) const fn encoded_bytes_max(bytes_max: u64) -> u64 {
    bytes_max.saturating_add(bytes_max / 64).saturating_add(4096)
}

/// The body that `pieces` are in a coding of, piece by piece; one longer than `encoded_bytes_max` as it is sent is refused
/// with `refusal`.
pub(crate) fn decoded<S>(
    coding: Coding,
    pieces: S,
    encoded_bytes_max: u64,
    refusal: ErrorObject,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + use<S>
where
    S: Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
{
    let decoding = Decoding {
        pieces: Box::pin(pieces),
        input: Bytes::new(),
        left: encoded_bytes_max,
        refusal,
    };
    let first = Decoder::new(coding).map(|decoder| (decoder, decoding));
    stream::unfold(Some(first), |state| async {
        match state? {
            Ok((decoder, mut decoding)) => match decoding.next(decoder).await {
                Ok((out, Some(decoder))) => Some((Ok(out), Some(Ok((decoder, decoding))))),
                // What comes after the end is nothing, and needs no piece.
                Ok((out, None)) => (!out.is_empty()).then_some((Ok(out), None)),
                Err(error) => Some((Err(error), None)),
            },
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// A body being decoded.
struct Decoding<S> {
    pieces: std::pin::Pin<Box<S>>,
    /// What has come and was not yet decoded.
    input: Bytes,
    /// How many more bytes may come.
    left: u64,
    refusal: ErrorObject,
}

impl<S: Stream<Item = Result<Bytes, BodyError>>> Decoding<S> {
    /// The next decoded bytes, and the decoder; `None` for it at the end.
    async fn next(&mut self, mut decoder: Decoder) -> Result<(Bytes, Option<Decoder>), BodyError> {
        loop {
            let mut ended = false;
            if self.input.is_empty() && !decoder.has_more() {
                match self.pieces.next().await {
                    Some(piece) => self.take(piece?)?,
                    None => ended = true,
                }
            }
            let mut input = mem::take(&mut self.input);
            let step = move || {
                let out = match ended {
                    true => decoder.finish(),
                    false => decoder.step(&mut input),
                };
                (out, decoder, input)
            };
            let stepped = tokio::task::spawn_blocking(step).await;
            let (out, after, input) =
                stepped.map_err(|_| BodyError::Undecodable("the decoder failed".into()))?;
            let out = Bytes::from(out?);
            if ended {
                return Ok((out, None));
            }
            self.input = input;
            if !out.is_empty() {
                return Ok((out, Some(after)));
            }
            decoder = after;
        }
    }

    fn take(&mut self, piece: Bytes) -> Result<(), BodyError> {
        let left = self.left.checked_sub(piece.len() as u64);
        self.left = left.ok_or_else(|| BodyError::Refused(self.refusal.clone()))?;
        self.input = piece;
        Ok(())
    }
}

/// A decoder of one of the codings, fed piece by piece. Several members or frames one after the other are one body.
enum Decoder {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd(ZstdDecoder),
}

struct ZstdDecoder {
    frames: raw::Decoder<'static>,
    /// True where a frame has ended and no other has begun.
    between: bool,
    /// True where what was fed is not all given out.
    has_more: bool,
}

impl Decoder {
    fn new(coding: Coding) -> Result<Self, BodyError> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Coding::Zstd => {
                let frames = zstd_frames().map_err(|error| broken(coding, &error))?;
                Self::Zstd(ZstdDecoder {
                    frames,
                    between: false,
                    has_more: false,
                })
            }
        })
    }

    /// True where there is more to give out without being fed.
    fn has_more(&self) -> bool {
        matches!(self, Self::Zstd(zstd) if zstd.has_more)
    }

    /// Decodes from the front of `input` until there is enough for a step, or nothing left of it.
    fn step(&mut self, input: &mut Bytes) -> Result<Vec<u8>, BodyError> {
        match self {
            Self::Gzip(members) => {
                while input.has_remaining() && members.get_ref().len() < STEP_BYTES {
                    let taken = members
                        .write(input)
                        .map_err(|error| broken(Coding::Gzip, &error))?;
                    input.advance(taken);
                }
                Ok(mem::take(members.get_mut()))
            }
            Self::Zstd(zstd) => zstd.step(input).map_err(|error| broken(Coding::Zstd, &error)),
        }
    }

    /// The last decoded bytes, if what was fed is whole.
    fn finish(&mut self) -> Result<Vec<u8>, BodyError> {
        match self {
            Self::Gzip(members) => {
                if members.try_finish().is_err() {
                    let why =
                        "what was sent as gzip ends too early, or its check sum is not that of its content";
                    return Err(BodyError::Undecodable(why.to_owned()));
                }
                Ok(mem::take(members.get_mut()))
            }
            Self::Zstd(zstd) if zstd.between => Ok(Vec::new()),
            Self::Zstd(_) => Err(broken(Coding::Zstd, &io::ErrorKind::UnexpectedEof.into())),
        }
    }
}

fn zstd_frames() -> io::Result<raw::Decoder<'static>> {
    let mut frames = raw::Decoder::new()?;
    frames.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
    Ok(frames)
}

impl ZstdDecoder {
    fn step(&mut self, input: &mut Bytes) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(STEP_BYTES);
        let mut made = OutBuffer::around(&mut out);
        let mut fed = InBuffer::around(input);
        let full = made.capacity();
        while made.pos() < full && (fed.pos() < fed.src.len() || self.has_more) {
            self.between = self.frames.run(&mut fed, &mut made)? == 0;
            // A buffer that was filled may have been too small.
            self.has_more = !self.between && made.pos() == full;
        }
        let taken = fed.pos();
        input.advance(taken);
        Ok(out)
    }
}

fn broken(coding: Coding, error: &io::Error) -> BodyError {
    let coding = coding.name();
    BodyError::Undecodable(match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("what was sent as {coding} ends too early"),
        _ => format!("it is not {coding}: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use granary_core::error::ErrorType;

    use super::*;

    pub(crate) fn packed(coding: Coding, plain: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(plain).unwrap();
                encoder.finish().unwrap()
            }
            Coding::Zstd => zstd::encode_all(plain, 3).unwrap(),
        }
    }

    /// What comes out when it is fed in these pieces: the bytes, the longest piece of them, the error.
    async fn fed(coding: Coding, pieces: Vec<Bytes>, max: u64) -> (Vec<u8>, usize, Option<BodyError>) {
        let refusal = ErrorObject::over_limit("the body", "singleBodyBytes", 7);
        let pieces = stream::iter(pieces.into_iter().map(Ok));
        let mut out = Box::pin(decoded(coding, pieces, max, refusal));
        let (mut whole, mut longest) = (Vec::new(), 0);
        while let Some(piece) = out.next().await {
            match piece {
                Ok(piece) => {
                    longest = longest.max(piece.len());
                    whole.extend_from_slice(&piece);
                }
                Err(error) => return (whole, longest, Some(error)),
            }
        }
        (whole, longest, None)
    }

    async fn whole(coding: Coding, sent: &[u8]) -> Result<Vec<u8>, BodyError> {
        match fed(coding, vec![Bytes::copy_from_slice(sent)], u64::MAX).await {
            (whole, _, None) => Ok(whole),
            (_, _, Some(error)) => Err(error),
        }
    }

    const BOTH: [Coding; 2] = [Coding::Gzip, Coding::Zstd];

    #[tokio::test]
    async fn several_members_are_one_body_however_they_are_cut() {
        for coding in BOTH {
            let members: [&[u8]; 4] = [b"one ", b"", b"two ", b"three"];
            let sent: Vec<u8> = members.iter().flat_map(|plain| packed(coding, plain)).collect();
            for cut in 0..=sent.len() {
                let pieces = [&sent[..cut], &sent[cut..]].map(Bytes::copy_from_slice).to_vec();
                let (out, _, error) = fed(coding, pieces, u64::MAX).await;
                assert_eq!(
                    (&out[..], error),
                    (&b"one two three"[..], None),
                    "{coding:?} cut at {cut}"
                );
            }
            let pieces = sent.chunks(1).map(Bytes::copy_from_slice).collect();
            assert_eq!(fed(coding, pieces, u64::MAX).await.0, b"one two three");
        }
    }

    #[tokio::test]
    async fn what_is_not_whole_or_has_something_behind_it_is_an_error() {
        for coding in BOTH {
            let sent = packed(coding, b"a body that is long enough to be cut anywhere");
            for cut in 0..sent.len() {
                let error = whole(coding, &sent[..cut]).await.unwrap_err();
                assert!(
                    error.to_string().contains("ends too early"),
                    "{coding:?} {cut}: {error}"
                );
            }
            for rubbish in [
                &b"\0"[..],
                b"\n",
                b"rubbish that is longer than a header",
                &sent[..3],
            ] {
                let sent = [&sent, rubbish].concat();
                assert!(whole(coding, &sent).await.is_err(), "{coding:?} {rubbish:?}");
            }
            // The check sum of a member.
            let mut flipped = packed(Coding::Gzip, &[7; 1000]);
            let at = flipped.len() - 6;
            flipped[at] ^= 1;
            assert!(whole(Coding::Gzip, &flipped).await.is_err());
        }
    }

    #[tokio::test]
    async fn what_expands_beyond_measure_comes_in_steps() {
        let plain = vec![b' '; 4_000_000];
        for coding in BOTH {
            let sent = packed(coding, &plain);
            assert!(sent.len() < plain.len() / 50);
            let (out, longest, error) = fed(coding, vec![sent.into()], u64::MAX).await;
            assert_eq!((out.len(), error), (plain.len(), None));
            assert!(longest <= 2 * STEP_BYTES, "{longest}");
        }
    }

    #[tokio::test]
    async fn a_body_that_never_says_anything_is_refused_by_its_length() {
        for coding in BOTH {
            let empty = Bytes::from(packed(coding, b""));
            let pieces = vec![empty; 1_000];
            let (out, _, error) = fed(coding, pieces, encoded_bytes_max(7)).await;
            let Some(BodyError::Refused(error)) = error else {
                panic!("{error:?}");
            };
            assert_eq!((out.len(), error.error_type), (0, ErrorType::ContentTooLarge));
        }
    }

    #[tokio::test]
    async fn a_window_of_8_mib_is_read_and_a_larger_one_is_not() {
        let plain = vec![b'x'; 100_000];
        for (log, reads) in [(23, true), (24, false)] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.include_contentsize(false).unwrap();
            encoder.write_all(&plain).unwrap();
            let sent = encoder.finish().unwrap();
            assert_eq!(whole(Coding::Zstd, &sent).await.is_ok(), reads, "{log}");
        }
    }
}
