//! Bytes that are written once and read once: in memory while they are few, then in a file that has no name, so that
//! nothing is left of it whatever happens.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many bytes stay in memory.
const MEMORY_MAX: usize = 1 << 20;

/// Bytes being written.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    on_disk: OnDisk,
}

/// Counts the bytes of one scratch file among those of all, until it is dropped.
#[derive(Debug)]
struct OnDisk {
    all: Arc<AtomicU64>,
    own: u64,
}

impl OnDisk {
    fn add(&mut self, bytes: u64) {
        self.own += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        self.all.fetch_sub(self.own, Ordering::Relaxed);
    }
}

impl Scratch {
    /// An empty one, whose file goes into `dir`; `all` counts the bytes of every such file.
    pub(crate) fn new(dir: PathBuf, all: Arc<AtomicU64>) -> Self {
        Self {
            dir,
            memory: Vec::new(),
            file: None,
            on_disk: OnDisk { all, own: 0 },
        }
    }

    /// Where the next bytes are appended; [`Scratch::settle`] must follow.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// Moves what is in memory to the file if it has become too much. True where it did.
    pub(crate) async fn settle(&mut self) -> io::Result<bool> {
        if self.memory.len() < MEMORY_MAX {
            return Ok(false);
        }
        let mut memory = std::mem::take(&mut self.memory);
        let file = self.file.take();
        let dir = self.dir.clone();
        let write = move || {
            let mut file = match file {
                Some(file) => file,
                None => tempfile::tempfile_in(dir)?,
            };
            file.write_all(&memory)?;
            let written = memory.len() as u64;
            memory.clear();
            io::Result::Ok((file, memory, written))
        };
        let (file, memory, written) = tokio::task::spawn_blocking(write)
            .await
            .map_err(io::Error::other)??;
        self.file = Some(file);
        self.memory = memory;
        self.on_disk.add(written);
        Ok(true)
    }

    /// All that was written, from its start.
    pub(crate) fn into_reader(self) -> io::Result<ScratchReader> {
        let in_memory = Cursor::new(self.memory);
        let bytes: Box<dyn Read + Send + Sync> = match self.file {
            Some(mut file) => {
                file.rewind()?;
                Box::new(BufReader::with_capacity(64 * 1024, file).chain(in_memory))
            }
            None => Box::new(in_memory),
        };
        Ok(ScratchReader {
            bytes,
            _on_disk: self.on_disk,
        })
    }
}

/// Bytes being read back.
pub(crate) struct ScratchReader {
    bytes: Box<dyn Read + Send + Sync>,
    _on_disk: OnDisk,
}

impl Read for ScratchReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}
