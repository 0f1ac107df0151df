//! The folder of a store: its format version, its lock, and the words for a folder that cannot be opened.
//!
//! ```text
//! FORMAT      "granary embedded store, format 1"
//! LOCK        held while a process has the folder open
//! db/         fjall: all that decides
//! SYNCED      up to which commit the journal in db/ is durable
//! redo/       runs of heads and edges that are on their way into the database
//! segments/   bodies and operations of bulk requests: NNNNNNNNNN.bodies, NNNNNNNNNN.operations
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use granary_store::StoreError;

use crate::numbered;

/// The format that this version writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
pub(crate) const FORMAT_FILE: &str = "FORMAT";
const FORMAT_WORDS: &str = "granary embedded store, format ";

/// Why a folder cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error(
        "the data folder {0} is in use by another granary process; stop that one, or give this one another folder"
    )]
    InUse(PathBuf),
    /// It holds something, and that is not a store.
    #[error("the folder {0} is not empty and is not a granary data folder; give an empty one, or a new name")]
    Foreign(PathBuf),
    /// It was written by a later version.
    #[error(
        "the data folder {folder} has format {found} and this version of granary reads up to format {FORMAT_VERSION}; \
         install the version that wrote it, or a later one"
    )]
    Newer {
        /// The folder.
        folder: PathBuf,
        /// Its format.
        found: u32,
    },
    /// A process that ended has left something that only a start settles.
    #[error(
        "the data folder {0} was left half way by a process that ended; start granary on it, stop it, and check again"
    )]
    Unsettled(PathBuf),
    /// It is a store, but not as it was written.
    #[error(
        "the data folder {folder} is damaged: {what}; restore it from a backup, or start with an empty folder"
    )]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The machine does not let us.
    #[error(
        "the data folder {folder} cannot be opened: {error}; check its owner, its rights and the space on its disk"
    )]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A folder that this process holds, with a format that it reads.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) segments: PathBuf,
    pub(crate) redo: PathBuf,
    /// No first start has come to its end here: the format is not written yet.
    pub(crate) fresh: bool,
    /// Held until the store is dropped.
    _lock: File,
}

impl Folder {
    /// Opens `path`, or makes it where it is missing or empty.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        let io = |error| OpenError::Io {
            folder: path.to_owned(),
            error,
        };
        fs::create_dir_all(path).map_err(io)?;
        // The name of a new folder is durable once what holds it is.
        if let Some(parent) = path.canonicalize().map_err(io)?.parent() {
            sync_folder(parent).map_err(io)?;
        }
        let format = match fs::read_to_string(path.join(FORMAT_FILE)) {
            Ok(words) => Some(words),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) if error.kind() == ErrorKind::InvalidData => Some(String::new()),
            Err(error) => return Err(io(error)),
        };
        if let Some(words) = &format {
            read_format(path, words)?;
            if !path.join("db").is_dir() {
                return Err(OpenError::Damaged {
                    folder: path.to_owned(),
                    what: "its folder db/ is missing".into(),
                });
            }
        } else if !is_empty(path).map_err(io)? {
            return Err(OpenError::Foreign(path.to_owned()));
        }
        let lock = File::create(path.join("LOCK")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let segments = path.join("segments");
        let redo = path.join("redo");
        for folder in [&segments, &redo] {
            fs::create_dir_all(folder).map_err(io)?;
        }
        sync_folder(path).map_err(io)?;
        Ok(Self {
            path: path.to_owned(),
            segments,
            redo,
            fresh: format.is_none(),
            _lock: lock,
        })
    }

    /// Ends a first start: from here on, what is missing in the folder is damage.
    pub(crate) fn seal(&self) -> Result<(), OpenError> {
        if self.fresh {
            write_format(&self.path).map_err(|error| self.io(error))
        } else {
            Ok(())
        }
    }

    pub(crate) fn io(&self, error: std::io::Error) -> OpenError {
        OpenError::Io {
            folder: self.path.clone(),
            error,
        }
    }

    /// What the store says while it is opened.
    pub(crate) fn refused(&self, error: StoreError) -> OpenError {
        match error {
            StoreError::Damaged(what) => self.damaged(what),
            other => self.io(std::io::Error::other(other.to_string())),
        }
    }

    pub(crate) fn damaged(&self, what: impl Into<String>) -> OpenError {
        OpenError::Damaged {
            folder: self.path.clone(),
            what: what.into(),
        }
    }
}

/// Empty, but for what a first start that was cut off may have left.
fn is_empty(path: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if !["LOCK", "segments", "redo", "db", "FORMAT.new", numbered::FILE]
            .iter()
            .any(|ours| name == *ours)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_format(path: &Path, words: &str) -> Result<(), OpenError> {
    match words.trim_end().strip_prefix(FORMAT_WORDS).map(str::parse::<u32>) {
        Some(Ok(FORMAT_VERSION)) => Ok(()),
        Some(Ok(found)) if found > FORMAT_VERSION => Err(OpenError::Newer {
            folder: path.to_owned(),
            found,
        }),
        _ => Err(OpenError::Damaged {
            folder: path.to_owned(),
            what: format!("its file {FORMAT_FILE} does not name a format"),
        }),
    }
}

fn write_format(path: &Path) -> std::io::Result<()> {
    // What the format promises is there, and stays, before it is.
    sync_folder(path)?;
    let fresh = path.join("FORMAT.new");
    let mut file = File::create(&fresh)?;
    writeln!(file, "{FORMAT_WORDS}{FORMAT_VERSION}")?;
    file.sync_all()?;
    fs::rename(fresh, path.join(FORMAT_FILE))?;
    sync_folder(path)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::open(dir.path()).unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(OpenError::InUse(_))));
        drop(first);
        Folder::open(dir.path()).unwrap();
    }

    #[test]
    fn what_cannot_be_opened_is_said() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), "dear").unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(OpenError::Foreign(_))));

        let dir = tempfile::tempdir().unwrap();
        Folder::open(dir.path()).unwrap().seal().unwrap();
        let without_db = Folder::open(dir.path());
        assert!(matches!(without_db, Err(OpenError::Damaged { what, .. }) if what.contains("db/")));
        fs::create_dir(dir.path().join("db")).unwrap();
        Folder::open(dir.path()).unwrap();
        fs::write(dir.path().join(FORMAT_FILE), "granary embedded store, format 2\n").unwrap();
        assert!(matches!(
            Folder::open(dir.path()),
            Err(OpenError::Newer { found: 2, .. })
        ));
        for rubbish in ["", "granary", "granary embedded store, format x", "\u{0}\u{0}"] {
            fs::write(dir.path().join(FORMAT_FILE), rubbish).unwrap();
            assert!(
                matches!(Folder::open(dir.path()), Err(OpenError::Damaged { .. })),
                "{rubbish:?}"
            );
        }
        fs::write(dir.path().join(FORMAT_FILE), [0xff, 0xfe]).unwrap();
        assert!(matches!(Folder::open(dir.path()), Err(OpenError::Damaged { .. })));
    }
}
