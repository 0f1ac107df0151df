//! A file that is compressed where its name says so.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::unfinished::Unfinished;

/// A file that is being written, compressed by its extension.
pub(super) enum Compressed {
    /// `.gz`
    Gzip(GzEncoder<Unfinished>),
    /// `.zst`
    Zstd(zstd::Encoder<'static, Unfinished>),
    /// Any other.
    Plain(Unfinished),
}

impl Compressed {
    /// What writes to `file` as the extension of `path` says.
    pub(super) fn by_name(path: &Path, file: Unfinished) -> anyhow::Result<Self> {
        let extension = path
            .extension()
            .map(|extension| extension.to_string_lossy().to_lowercase());
        Ok(match extension.as_deref() {
            Some("gz") => Self::Gzip(GzEncoder::new(file, Compression::default())),
            Some("zst") => {
                let cannot = || format!("cannot write {}", path.display());
                let mut encoder =
                    zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL).with_context(cannot)?;
                // So that what is cut off or changed on a disk is noticed.
                encoder.include_checksum(true).with_context(cannot)?;
                Self::Zstd(encoder)
            }
            _ => Self::Plain(file),
        })
    }

    /// The name that the file will have.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Gzip(file) => file.get_ref().path(),
            Self::Zstd(file) => file.get_ref().path(),
            Self::Plain(file) => file.path(),
        }
    }

    /// Writes what is held back and gives the file its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let path = self.path().to_owned();
        let file = match self {
            Self::Gzip(file) => file.finish(),
            Self::Zstd(file) => file.finish(),
            Self::Plain(file) => Ok(file),
        };
        file.with_context(|| format!("cannot write {}", path.display()))?
            .finish()
    }
}

impl Write for Compressed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(file) => file.write(bytes),
            Self::Zstd(file) => file.write(bytes),
            Self::Plain(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(file) => file.flush(),
            Self::Zstd(file) => file.flush(),
            Self::Plain(file) => file.flush(),
        }
    }
}
