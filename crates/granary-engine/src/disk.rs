//! The disk that requests are spooled to.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// How much a disk has free.
#[derive(Clone)]
pub struct Disk(Arc<dyn Fn() -> io::Result<u64> + Send + Sync>);

impl fmt::Debug for Disk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Disk").field(&(self.0)().ok()).finish()
    }
}

impl Disk {
    /// The disk that this folder is on.
    #[cfg(unix)]
    pub fn of(folder: PathBuf) -> Option<Self> {
        Some(Self::telling(move || {
            let disk = rustix::fs::statvfs(&folder)?;
            Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
        }))
    }

    /// Nobody tells.
    #[cfg(not(unix))]
    pub fn of(_folder: PathBuf) -> Option<Self> {
        None
    }

    /// A disk whose free bytes are asked for like this.
    pub fn telling(free_bytes: impl Fn() -> io::Result<u64> + Send + Sync + 'static) -> Self {
        Self(Arc::new(free_bytes))
    }

    /// How many of its bytes spooled requests may take, where they take so many now: 80 % of what is theirs or nobody's,
    /// so that the records, the journal and what is written while files are merged have the rest. `None` where the
    /// disk does not tell.
    pub(crate) fn bytes_max(&self, taken: u64) -> Option<u64> {
        let free = (self.0)()
            .inspect_err(|error| tracing::warn!(%error, "it is not known how much the disk has free"))
            .ok()?;
        Some(free.saturating_add(taken) / 10 * 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spooled_requests_may_take_four_fifths_of_what_is_free() {
        let disk = Disk::telling(|| Ok(700));
        assert_eq!(disk.bytes_max(300), Some(800));
        let full = Disk::telling(|| Ok(0));
        assert_eq!((full.bytes_max(1_000), full.bytes_max(0)), (Some(800), Some(0)));
        assert_eq!(Disk::telling(|| Err(io::Error::other("gone"))).bytes_max(1), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_disk_of_a_folder_tells_what_it_has_free() {
        let disk = Disk::of(std::env::temp_dir()).unwrap();
        let max = disk.bytes_max(0);
        assert!(max.is_some_and(|max| max < 1 << 60), "{max:?}");
        assert_eq!(Disk::of("/there/is/none".into()).unwrap().bytes_max(0), None);
    }
}
