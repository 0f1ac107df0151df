//! Segments: the immutable files that a bulk request is spooled to. The file of *bodies* is their home from then on;
//! the file of *operations* is what the worker reads and what receipts take ids, types and actions from.
//!
//! ```text
//! both         magic 8 bytes, segment number u32, format u32, then blocks
//! a block      stored length u32, full length u32, xxh3 of the stored bytes u64, stored bytes
//! bodies       a block is lz4, about 16 KiB before; in it each body follows its length u32
//! operations   a block is OPERATIONS_PER_BLOCK rows (the last one fewer), each after its length u16
//!              at the end: offsets of the blocks u64 each, count of operations u64, xxh3 of these u64, magic 8 bytes
//! ```
//!
//! A segment is written once, synced, and only then named by a transaction. Numbers are little-endian.
//!
//! The two files have lives of their own. Once its task has ended the bodies of a segment may be moved to another one
//! (`collect`), of bodies alone; the operations stay for as long as their task.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use granary_core::operation::Operation;
use granary_store::{Result, StoreError};
use xxhash_rust::xxh3::xxh3_64;

use crate::bodies::{self, BodiesWriter};
use crate::rows::{CountRow, OperationRow, Place, SegmentRow};

pub(crate) const BODIES_MAGIC: &[u8; 8] = b"granbody";
const OPERATIONS_MAGIC: &[u8; 8] = b"granoper";
pub(crate) const FILE_HEADER: usize = 16;
pub(crate) const BLOCK_HEADER: usize = 16;
const TRAILER: usize = 24;
pub(crate) const SEGMENT_FORMAT: u32 = 1;
/// Bodies are gathered to blocks of this size before they are compressed.
pub(crate) const BODIES_PER_BLOCK_BYTES: usize = 16 * 1024;
/// Operations are read in blocks of this many.
pub(crate) const OPERATIONS_PER_BLOCK: u64 = 512;

/// The two files of a segment.
#[derive(Clone)]
pub(crate) struct SegmentPaths {
    pub(crate) operations: PathBuf,
    pub(crate) bodies: PathBuf,
}

impl SegmentPaths {
    pub(crate) fn new(folder: &Path, segment: u32) -> Self {
        let file = |kind| folder.join(format!("{segment:010}.{kind}"));
        Self {
            operations: file("operations"),
            bodies: file("bodies"),
        }
    }

    /// Removes what is there of them.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for path in [&self.operations, &self.bodies] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The number of the segment that a file belongs to.
pub(crate) fn segment_of(path: &Path) -> Option<u32> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// A segment being written. Dropped before it is finished and kept, its files go.
pub(crate) struct SegmentWriter {
    segment: u32,
    bodies: BodiesWriter,
    operations: BufWriter<File>,
    operations_bytes: u64,
    rows: Vec<u8>,
    offsets: Vec<u64>,
    count: u64,
    files: Unnamed,
}

/// A segment that is written and synced; its name is durable once the folder is synced.
pub(crate) struct FinishedSegment {
    pub(crate) segment: u32,
    pub(crate) operations_bytes: u64,
    /// What there is to count of its bodies.
    pub(crate) count: CountRow,
    files: Unnamed,
}

impl SegmentWriter {
    pub(crate) fn create(folder: &Path, segment: u32) -> io::Result<Self> {
        let paths = SegmentPaths::new(folder, segment);
        Ok(Self {
            segment,
            bodies: BodiesWriter::create(&paths.bodies, segment)?,
            operations: bodies::create(&paths.operations, OPERATIONS_MAGIC, segment)?,
            operations_bytes: FILE_HEADER as u64,
            rows: Vec::new(),
            offsets: Vec::new(),
            count: 0,
            files: Unnamed::new(segment, paths),
        })
    }

    /// Bytes so far, those of the blocks that are not yet full included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bodies.bytes() + self.operations_bytes + self.rows.len() as u64
    }

    /// True when the next operation belongs into another segment.
    pub(crate) fn is_full(&self) -> bool {
        self.bodies.is_full()
    }

    /// Appends one operation and its body.
    pub(crate) fn push(&mut self, mut operation: Operation, body: &[u8]) -> io::Result<()> {
        let place = if body.is_empty() {
            Place::Nowhere
        } else {
            self.bodies.push(body)?
        };
        let meta = match operation.meta.take() {
            None => Place::Nowhere,
            Some(meta) => self.bodies.push_beside(&crate::rows::encode(&meta))?,
        };
        let row = OperationRow {
            operation,
            place,
            meta,
        };
        let start = self.rows.len();
        self.rows.extend([0; 2]);
        crate::rows::encode_to(&row, &mut self.rows);
        let length = u16::try_from(self.rows.len() - start - 2).map_err(io::Error::other)?;
        self.rows[start..start + 2].copy_from_slice(&length.to_le_bytes());
        self.count += 1;
        if self.count.is_multiple_of(OPERATIONS_PER_BLOCK) {
            self.end_rows()?;
        }
        Ok(())
    }

    fn end_rows(&mut self) -> io::Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.offsets.push(self.operations_bytes);
        self.operations_bytes += bodies::write_block(&mut self.operations, &self.rows, self.rows.len())?;
        self.rows.clear();
        Ok(())
    }

    /// Ends both files and syncs them.
    pub(crate) fn finish(mut self) -> io::Result<FinishedSegment> {
        self.end_rows()?;
        let numbers = self.offsets.iter().chain([&self.count]);
        let index: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
        self.operations.write_all(&index)?;
        self.operations.write_all(&xxh3_64(&index).to_le_bytes())?;
        self.operations.write_all(OPERATIONS_MAGIC)?;
        self.operations_bytes += (index.len() + TRAILER - 8) as u64;
        let count = self.bodies.finish()?;
        self.operations.flush()?;
        self.operations.get_ref().sync_all()?;
        Ok(FinishedSegment {
            segment: self.segment,
            operations_bytes: self.operations_bytes,
            count,
            files: self.files,
        })
    }
}

impl FinishedSegment {
    /// What both files take.
    pub(crate) fn bytes(&self) -> u64 {
        self.operations_bytes + self.count.bytes
    }

    /// A transaction names the segment now, or may: its files stay.
    pub(crate) fn keep(&mut self) {
        self.files.keep();
    }
}

/// The files of a segment that no transaction names yet: they go with this.
pub(crate) struct Unnamed {
    segment: u32,
    paths: SegmentPaths,
    kept: bool,
}

impl Unnamed {
    pub(crate) fn new(segment: u32, paths: SegmentPaths) -> Self {
        Self {
            segment,
            paths,
            kept: false,
        }
    }

    /// A transaction names the segment now, or may.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.paths.remove()
        {
            tracing::warn!(segment = self.segment, %error, "could not remove an abandoned segment; the next start does");
        }
    }
}

/// A segment open for reading. One file that is damaged leaves the other readable.
pub(crate) struct Segment {
    segment: u32,
    bodies: std::result::Result<File, NotOpen>,
    operations: std::result::Result<Operations, NotOpen>,
}

/// Why a file of a segment is not open.
struct NotOpen {
    words: String,
    kind: NotOpenKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NotOpenKind {
    /// There is none.
    Missing,
    /// It is not what was written.
    Damaged,
    /// It could not be looked at, for this process has too many files open, say: it may pass.
    Passing,
}

impl NotOpen {
    fn of(words: String, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => NotOpenKind::Missing,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => NotOpenKind::Damaged,
            _ => NotOpenKind::Passing,
        };
        Self { words, kind }
    }
}

struct Operations {
    file: File,
    /// Where each block starts.
    offsets: Vec<u64>,
    count: u64,
}

impl Segment {
    pub(crate) fn open(folder: &Path, segment: u32) -> Self {
        let paths = SegmentPaths::new(folder, segment);
        let operations = || {
            let file = open_file(&paths.operations, OPERATIONS_MAGIC, segment)?;
            let (offsets, count) = read_index(&file)
                .map_err(|error| NotOpen::of(format!("the index of operations: {error}"), &error))?;
            Ok(Operations { file, offsets, count })
        };
        Self {
            segment,
            bodies: open_file(&paths.bodies, BODIES_MAGIC, segment),
            operations: operations(),
        }
    }

    /// True where each of its files could be opened, or is none of it (any more).
    pub(crate) fn is_whole(&self) -> bool {
        let missing = |kept: Option<&NotOpen>| kept.is_none_or(|why| why.kind == NotOpenKind::Missing);
        missing(self.bodies.as_ref().err()) && missing(self.operations.as_ref().err())
    }

    /// True where no file of it was removed since it was opened.
    pub(crate) fn is_there(&self, folder: &Path) -> bool {
        let paths = SegmentPaths::new(folder, self.segment);
        (self.bodies.is_err() || paths.bodies.exists())
            && (self.operations.is_err() || paths.operations.exists())
    }

    fn opened(&self) -> Result<&Operations> {
        self.operations.as_ref().map_err(|why| self.not_open(why))
    }

    /// How many operations it holds.
    pub(crate) fn count(&self) -> Result<u64> {
        Ok(self.opened()?.count)
    }

    /// The rows of the block with this number; block `n` starts with operation `n * OPERATIONS_PER_BLOCK`.
    pub(crate) fn operations(&self, block: u64) -> Result<Vec<OperationRow>> {
        let opened = self.opened()?;
        let offset = usize::try_from(block)
            .ok()
            .and_then(|block| opened.offsets.get(block));
        let offset = *offset.ok_or_else(|| self.damaged("an operation past its end"))?;
        let (stored, _) = self.block(&opened.file, offset)?;
        let mut rows = Vec::with_capacity(OPERATIONS_PER_BLOCK as usize);
        let mut rest = stored.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_le_bytes(*length));
            let row = after.get(..length).ok_or_else(|| self.damaged("a cut row"))?;
            rows.push(crate::rows::decode(row, "operations")?);
            rest = &after[length..];
        }
        let expected = (opened.count - block * OPERATIONS_PER_BLOCK).min(OPERATIONS_PER_BLOCK);
        if rows.len() as u64 != expected {
            return Err(self.damaged(&format!("block {block} of operations does not hold {expected}")));
        }
        Ok(rows)
    }

    /// The block of bodies that starts at this offset.
    pub(crate) fn bodies(&self, offset: u32) -> Result<Vec<u8>> {
        let bodies = self.bodies.as_ref().map_err(|why| self.not_open(why))?;
        let (stored, full_length) = self.block(bodies, u64::from(offset))?;
        // lz4 makes at most 255 bytes of one: more is damage, and must not be asked of the memory.
        if full_length > stored.len().saturating_mul(255) {
            return Err(self.damaged(&format!("the length of the block at {offset}")));
        }
        lz4_flex::block::decompress(&stored, full_length)
            .map_err(|error| self.damaged(&format!("a block of bodies: {error}")))
    }

    /// Reads all of its bodies and operations: how many blocks there are, or what is wrong with which file.
    pub(crate) fn check(&self, row: &SegmentRow) -> std::result::Result<u64, Vec<StoreError>> {
        let (mut blocks, mut wrong) = (0, Vec::new());
        if row.bodies_bytes > 0 {
            let mut offset = FILE_HEADER as u64;
            while offset < row.bodies_bytes {
                let read = u32::try_from(offset).map_err(|_| self.damaged("it is too long"));
                let read = read.and_then(|at| Ok((self.bodies(at)?, self.stored_length(offset)?)));
                match read {
                    Ok((_, length)) => offset += BLOCK_HEADER as u64 + length,
                    // Where the next one starts is not known for sure.
                    Err(error) => {
                        wrong.push(error);
                        break;
                    }
                }
                blocks += 1;
            }
        }
        if row.operations_bytes > 0 {
            match self.opened() {
                Ok(opened) => {
                    for block in 0..opened.offsets.len() as u64 {
                        blocks += 1;
                        wrong.extend(self.operations(block).err());
                    }
                }
                Err(error) => wrong.push(error),
            }
        }
        match wrong.is_empty() {
            true => Ok(blocks),
            false => Err(wrong),
        }
    }

    fn stored_length(&self, offset: u64) -> Result<u64> {
        let bodies = self.bodies.as_ref().map_err(|why| self.not_open(why))?;
        let mut length = [0; 4];
        let read = bodies.read_exact_at(&mut length, offset);
        read.map_err(|error| self.cut(offset, &error))?;
        Ok(u64::from(u32::from_le_bytes(length)))
    }

    fn block(&self, file: &File, offset: u64) -> Result<(Vec<u8>, usize)> {
        let cut = |error: io::Error| self.cut(offset, &error);
        let mut header = [0; BLOCK_HEADER];
        file.read_exact_at(&mut header, offset).map_err(cut)?;
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (stored_length, full_length) = (u64::from(word(0)), word(4) as usize);
        // A damaged length must not ask for more memory than the file could fill.
        let end = file.metadata().map_err(cut)?.len();
        if offset + BLOCK_HEADER as u64 + stored_length > end {
            return Err(self.damaged(&format!("the block at {offset} is cut off")));
        }
        let mut stored = vec![0; stored_length as usize];
        file.read_exact_at(&mut stored, offset + BLOCK_HEADER as u64)
            .map_err(cut)?;
        if xxh3_64(&stored).to_le_bytes() != header[8..16] {
            return Err(self.damaged(&format!("the checksum of the block at {offset}")));
        }
        Ok((stored, full_length))
    }

    /// Why the block at this offset could not be read.
    fn cut(&self, offset: u64, error: &io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged(&format!("the block at {offset} is cut off")),
            // It may pass.
            _ => StoreError::Unavailable(format!("segment {}: {error}", self.segment)),
        }
    }

    fn not_open(&self, why: &NotOpen) -> StoreError {
        match why.kind {
            NotOpenKind::Missing | NotOpenKind::Damaged => self.damaged(&why.words),
            NotOpenKind::Passing => {
                StoreError::Unavailable(format!("segment {}: {}", self.segment, why.words))
            }
        }
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged(format!("segment {}: {what}", self.segment))
    }
}

fn open_file(path: &Path, magic: &[u8; 8], segment: u32) -> std::result::Result<File, NotOpen> {
    let opened = || {
        let file = File::open(path)?;
        let mut header = [0; FILE_HEADER];
        file.read_exact_at(&mut header, 0)
            .map_err(|error| named(error, "it is cut off"))?;
        let expected = [
            magic.as_slice(),
            &segment.to_le_bytes(),
            &SEGMENT_FORMAT.to_le_bytes(),
        ]
        .concat();
        match header == *expected {
            true => Ok(file),
            false => Err(wrong("its header is wrong")),
        }
    };
    opened().map_err(|error| NotOpen::of(format!("{}: {error}", path.display()), &error))
}

fn read_index(file: &File) -> io::Result<(Vec<u64>, u64)> {
    let cut = || wrong("it is cut off");
    let end = file.metadata()?.len();
    let trailer_at = end.checked_sub(TRAILER as u64).ok_or_else(cut)?;
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, trailer_at)?;
    let word = |at: usize| {
        let bytes = trailer[at..at + 8].iter().rev();
        bytes.fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    let count = word(0);
    let length = count.div_ceil(OPERATIONS_PER_BLOCK).checked_mul(8);
    let index_at = length.and_then(|length| trailer_at.checked_sub(length));
    let index_at = index_at.ok_or_else(cut)?;
    let mut index = vec![0; usize::try_from(trailer_at - index_at).map_err(|_| cut())?];
    file.read_exact_at(&mut index, index_at)?;
    let checksum = xxh3_64(&[index.as_slice(), &trailer[..8]].concat());
    if trailer[16..] != *OPERATIONS_MAGIC || word(8) != checksum {
        return Err(wrong("its checksum is wrong"));
    }
    let offsets = index
        .chunks_exact(8)
        .filter_map(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
    Ok((offsets.collect(), count))
}

/// A file that can be read, and is not what was written.
fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The same in these words where the file ends too early.
fn named(error: io::Error, what: &str) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => wrong(what),
        _ => error,
    }
}

/// The body that starts at `offset` in a block of bodies.
pub(crate) fn body_at(block: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = block.get(offset as usize..)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    rest.get(..u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use granary_core::keys::ResourceId;
    use granary_core::operation::{Action, RecordId};

    use super::*;

    /// More than a block of each file.
    fn operations() -> Vec<(Operation, Vec<u8>)> {
        let operation = |at: u32| Operation {
            action: Action::Delete,
            type_index: at,
            id: RecordId::Resource(ResourceId::parse(&format!("id-{at}")).unwrap()),
            hash: None,
            meta: None,
        };
        (0..600)
            .map(|at| {
                (
                    operation(at),
                    at.to_string().repeat(at as usize % 40).into_bytes(),
                )
            })
            .collect()
    }

    fn written(folder: &Path) {
        let mut writer = SegmentWriter::create(folder, 7).unwrap();
        for (operation, body) in operations() {
            writer.push(operation, &body).unwrap();
        }
        writer.finish().unwrap().keep();
    }

    /// Sees that all that can be read is right; how much could not be.
    fn read(folder: &Path) -> usize {
        let segment = Segment::open(folder, 7);
        let (mut damaged, mut blocks) = (0, std::collections::HashMap::new());
        let rows: Vec<OperationRow> = (0..2)
            .flat_map(|block| {
                segment
                    .operations(block)
                    .inspect_err(|_| damaged += 1)
                    .unwrap_or_default()
            })
            .collect();
        let expected = operations();
        for row in &rows {
            let (operation, body) = &expected[row.operation.type_index as usize];
            assert_eq!(&row.operation, operation);
            match row.place {
                Place::Segment { block, offset, .. } => {
                    match blocks.entry(block).or_insert_with(|| segment.bodies(block)) {
                        Ok(block) => assert_eq!(body_at(block, offset), Some(body.as_slice())),
                        Err(_) => damaged += 1,
                    }
                }
                _ => assert!(body.is_empty()),
            }
        }
        assert!(damaged > 0 || rows.len() == expected.len());
        damaged
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        assert_eq!(read(folder.path()), 0);
        assert_eq!(Segment::open(folder.path(), 7).count().unwrap(), 600);
        assert!(Segment::open(folder.path(), 8).count().is_err());
    }

    #[test]
    fn no_flipped_byte_makes_a_wrong_answer() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        let paths = SegmentPaths::new(folder.path(), 7);
        for path in [paths.operations, paths.bodies] {
            let good = fs::read(&path).unwrap();
            let mut silent = 0;
            // Headers and ends byte by byte, the rest here and there.
            let places = (0..good.len()).filter(|at| *at < 100 || *at + 100 > good.len() || at % 37 == 0);
            for at in places {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                fs::write(&path, &bad).unwrap();
                silent += usize::from(read(folder.path()) == 0);
            }
            // Only the length before compression has no checksum: one that is too large does no harm.
            assert!(silent <= 8, "{silent} flips went unnoticed");
            fs::write(&path, &good).unwrap();
        }
        assert_eq!(read(folder.path()), 0);
    }

    #[test]
    fn no_cut_makes_a_wrong_answer() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        let paths = SegmentPaths::new(folder.path(), 7);
        for path in [paths.operations, paths.bodies] {
            let good = fs::read(&path).unwrap();
            for length in (0..good.len()).step_by(97).chain([good.len() - 1]) {
                fs::write(&path, &good[..length]).unwrap();
                assert!(read(folder.path()) > 0, "cut to {length}");
            }
            fs::write(&path, &good).unwrap();
        }
    }

    #[test]
    fn a_file_that_cannot_be_looked_at_is_not_taken_for_damaged() {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path());
        let paths = SegmentPaths::new(folder.path(), 7);
        let unavailable = |what: Option<StoreError>| matches!(what, Some(StoreError::Unavailable(_)));
        for path in [&paths.operations, &paths.bodies] {
            let good = fs::read(path).unwrap();
            // Opening one fails like where there are too many files, reading the other like on a bad disk.
            for breaks in [
                |path: &Path| std::os::unix::fs::symlink(path, path).unwrap(),
                |path: &Path| fs::create_dir(path).unwrap(),
            ] {
                fs::remove_file(path).unwrap();
                breaks(path);
                let segment = Segment::open(folder.path(), 7);
                assert!(!segment.is_whole(), "it is tried again");
                match path == &paths.operations {
                    true => {
                        assert!(unavailable(segment.count().err()));
                        assert!(unavailable(segment.operations(0).err()));
                    }
                    false => assert!(unavailable(segment.bodies(FILE_HEADER as u32).err())),
                }
                fs::remove_file(path).or_else(|_| fs::remove_dir(path)).unwrap();
                fs::write(path, &good).unwrap();
            }
        }
        assert_eq!(read(folder.path()), 0);
        fs::remove_file(&paths.bodies).unwrap();
        let missing = Segment::open(folder.path(), 7).bodies(FILE_HEADER as u32);
        assert!(matches!(missing, Err(StoreError::Damaged(_))));
    }

    #[test]
    fn an_abandoned_segment_goes() {
        let folder = tempfile::tempdir().unwrap();
        drop(SegmentWriter::create(folder.path(), 7).unwrap());
        drop(SegmentWriter::create(folder.path(), 7).unwrap().finish().unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
