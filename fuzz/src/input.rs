//! What the command line reads, as far as it stands alone.

#[expect(
    dead_code,
    reason = "it is part of the command line, and not all of it is needed here"
)]
#[path = "../../crates/granary/src/input/cell.rs"]
mod cell;
#[expect(
    dead_code,
    reason = "it is part of the command line, and not all of it is needed here"
)]
#[path = "../../crates/granary/src/input/delimiter.rs"]
mod delimiter;

pub(crate) use delimiter::Delimiter;

/// A file that comes in these pieces.
pub(crate) fn rewritten(pieces: &[&[u8]], delimiter: Delimiter) -> Vec<u8> {
    let (mut rewriter, mut out) = (delimiter::Rewriter::new(delimiter), Vec::new());
    pieces.iter().for_each(|piece| rewriter.push(piece, &mut out));
    rewriter.end(&mut out);
    out
}
