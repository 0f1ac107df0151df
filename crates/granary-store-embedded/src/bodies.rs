//! A file of bodies being written: that of a segment that a request is spooled to, or the whole of one that bodies are
//! moved to (`collect`). `segment.rs` says what it looks like.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::rows::{CountRow, Place};
use crate::segment::{
    BLOCK_HEADER, BODIES_MAGIC, BODIES_PER_BLOCK_BYTES, FILE_HEADER, SEGMENT_FORMAT, SegmentPaths, Unnamed,
};

/// A segment is closed when its bodies take more than this, well below what an offset of 32 bits reaches.
const BODIES_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A file of bodies being written.
pub(crate) struct BodiesWriter {
    segment: u32,
    file: BufWriter<File>,
    /// What is written to the file.
    bytes: u64,
    block: Vec<u8>,
    packed: Vec<u8>,
    /// Bodies of records, and what all that was written takes before it is packed, that of records apart.
    records: u64,
    records_bytes: u64,
    full_bytes: u64,
}

impl BodiesWriter {
    pub(crate) fn create(path: &Path, segment: u32) -> io::Result<Self> {
        Ok(Self {
            segment,
            file: create(path, BODIES_MAGIC, segment)?,
            bytes: FILE_HEADER as u64,
            block: Vec::with_capacity(2 * BODIES_PER_BLOCK_BYTES),
            packed: Vec::new(),
            records: 0,
            records_bytes: 0,
            full_bytes: 0,
        })
    }

    /// Bytes so far, those of the block that is not yet full included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.block.len() as u64
    }

    /// True when what comes next belongs into another segment.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= BODIES_BYTES_MAX
    }

    /// Appends the body of a record: where it is.
    pub(crate) fn push(&mut self, body: &[u8]) -> io::Result<Place> {
        self.records += 1;
        self.records_bytes += body.len() as u64;
        self.push_beside(body)
    }

    /// Appends what stands beside a body, which no head will point to.
    pub(crate) fn push_beside(&mut self, body: &[u8]) -> io::Result<Place> {
        if !self.block.is_empty() && self.block.len() + body.len() > BODIES_PER_BLOCK_BYTES {
            self.end_block()?;
        }
        self.full_bytes += body.len() as u64;
        let block = u32::try_from(self.bytes).map_err(io::Error::other)?;
        let offset = self.block.len() as u32;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        self.block.extend(length.to_le_bytes());
        self.block.extend(body);
        Ok(Place::Segment {
            segment: self.segment,
            block,
            offset,
        })
    }

    fn end_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.packed
            .resize(lz4_flex::block::get_maximum_output_size(self.block.len()), 0);
        let length =
            lz4_flex::block::compress_into(&self.block, &mut self.packed).map_err(io::Error::other)?;
        self.bytes += write_block(&mut self.file, &self.packed[..length], self.block.len())?;
        self.block.clear();
        Ok(())
    }

    /// Ends the file and syncs it: what there is to count of it.
    pub(crate) fn finish(mut self) -> io::Result<CountRow> {
        self.end_block()?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let share = self.records_bytes as f64 / self.full_bytes.max(1) as f64;
        Ok(CountRow {
            task: None,
            bytes: self.bytes,
            records_bytes: (self.bytes as f64 * share) as u64,
            records: self.records,
            beside: self.full_bytes > self.records_bytes,
            live: 0,
            dead_since: None,
        })
    }
}

/// A segment that bodies are moved to. Dropped before it is finished and kept, its file goes.
pub(crate) struct MovedWriter {
    bodies: BodiesWriter,
    files: Unnamed,
}

/// A segment that bodies were moved to, synced; its name is durable once the folder is synced.
pub(crate) struct MovedSegment {
    pub(crate) segment: u32,
    pub(crate) count: CountRow,
    pub(crate) files: Unnamed,
}

impl MovedWriter {
    pub(crate) fn create(folder: &Path, segment: u32) -> io::Result<Self> {
        let paths = SegmentPaths::new(folder, segment);
        Ok(Self {
            bodies: BodiesWriter::create(&paths.bodies, segment)?,
            files: Unnamed::new(segment, paths),
        })
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bodies.is_full()
    }

    pub(crate) fn push(&mut self, body: &[u8]) -> io::Result<Place> {
        self.bodies.push(body)
    }

    pub(crate) fn finish(self) -> io::Result<MovedSegment> {
        let segment = self.bodies.segment;
        Ok(MovedSegment {
            segment,
            count: self.bodies.finish()?,
            files: self.files,
        })
    }
}

/// A new file of a segment, with its header.
pub(crate) fn create(path: &Path, magic: &[u8; 8], segment: u32) -> io::Result<BufWriter<File>> {
    let mut file = BufWriter::with_capacity(256 * 1024, File::create_new(path)?);
    file.write_all(magic)?;
    file.write_all(&segment.to_le_bytes())?;
    file.write_all(&SEGMENT_FORMAT.to_le_bytes())?;
    Ok(file)
}

pub(crate) fn write_block(file: &mut impl Write, stored: &[u8], full_length: usize) -> io::Result<u64> {
    let stored_length = u32::try_from(stored.len()).map_err(io::Error::other)?;
    let full_length = u32::try_from(full_length).map_err(io::Error::other)?;
    file.write_all(&stored_length.to_le_bytes())?;
    file.write_all(&full_length.to_le_bytes())?;
    file.write_all(&xxh3_64(stored).to_le_bytes())?;
    file.write_all(stored)?;
    Ok((BLOCK_HEADER + stored.len()) as u64)
}
