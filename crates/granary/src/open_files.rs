//! How many files and connections this process may have open at once, and what of them is for whom.
//!
//! A store that cannot open a file half way may have to stop. So connections, which others open, never get at what the
//! store and the server itself need.

use anyhow::ensure;
use granary_server::CONNECTIONS_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::store::{PostgresSettings, StoreAt};

/// Kept for what is open for a while: two files of each upload, those that the store writes or merges, those of start
/// and of the log, what is listened at, calls that this process makes itself.
const OTHERS: u64 = 256;
/// With fewer connections a server is of no use.
const CONNECTIONS_MIN: u64 = 16;

/// Raises how many files this process may have as far as that is of use and allowed. How many connections may be open
/// beside what the store and the server need.
pub(crate) fn connections_max(at: &StoreAt, settings: &PostgresSettings) -> anyhow::Result<usize> {
    let of_store = match at {
        StoreAt::Folder(_) => granary_store_embedded::OPEN_FILES_MAX,
        // One listens.
        StoreAt::Postgres(_) => settings.connections.saturating_add(1),
    };
    let reserved = OTHERS.saturating_add(of_store as u64);
    let connections = beside(
        raised_to(reserved.saturating_add(CONNECTIONS_MAX as u64)),
        reserved,
    )?;
    if connections < CONNECTIONS_MAX {
        tracing::warn!(
            connections,
            "more clients than these wait, for this process may not have more files open; raise what it may (ulimit -n)"
        );
    }
    Ok(connections)
}

/// How many files this process may have, after an attempt to raise that to `wanted`; `None` where nothing bounds it.
fn raised_to(wanted: u64) -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let asked = maximum.map_or(wanted, |maximum| wanted.min(maximum));
    if current.is_none_or(|current| current >= asked) {
        return current;
    }
    let raised = Rlimit {
        current: Some(asked),
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Some(asked),
        Err(error) => {
            tracing::warn!(%error, "how many files this process may have open stays as it is");
            current
        }
    }
}

/// How many connections there may be where a process may have so many files, and these are for others.
fn beside(files: Option<u64>, reserved: u64) -> anyhow::Result<usize> {
    let Some(files) = files else {
        return Ok(CONNECTIONS_MAX);
    };
    let least = reserved.saturating_add(CONNECTIONS_MIN);
    ensure!(
        files >= least,
        "this process may have {files} files open at once, and a server needs {least} and more; raise it, with \
         `ulimit -n {wanted}`, LimitNOFILE= of systemd or --ulimit nofile= of a container",
        wanted = reserved.saturating_add(CONNECTIONS_MAX as u64)
    );
    Ok(usize::try_from(files - reserved)
        .map_or(CONNECTIONS_MAX, |connections| connections.min(CONNECTIONS_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_left() {
        assert_eq!(beside(Some(1_024), 640).unwrap(), 384);
        assert_eq!(beside(Some(656), 640).unwrap(), 16);
        assert_eq!(beside(Some(10_640), 640).unwrap(), CONNECTIONS_MAX);
        assert_eq!(beside(Some(u64::MAX), 640).unwrap(), CONNECTIONS_MAX);
        assert_eq!(beside(None, 640).unwrap(), CONNECTIONS_MAX);
        let few = beside(Some(655), 640).unwrap_err().to_string();
        assert!(few.contains("ulimit -n 10640"), "{few}");
        assert!(beside(Some(256), 640).is_err());
        assert!(beside(Some(1_024), u64::MAX).is_err());
    }
}
