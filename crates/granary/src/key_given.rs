//! The API key that the command line shows to a server: from a file, or from `GRANARY_API_KEY`. It has no flag, for others
//! on the machine can read command lines; and no message here quotes it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use granary_core::access::ApiKey;

const VARIABLE: &str = "GRANARY_API_KEY";
/// A file that holds a key holds little else.
const FILE_BYTES_MAX: u64 = 10_000;
/// The bits of a mode that give others than the owner anything.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// The key that is given, if one is.
pub(crate) fn api_key(file: Option<&Path>) -> anyhow::Result<Option<ApiKey>> {
    if let Some(path) = file {
        let (mut text, shown) = (String::new(), path.display());
        File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
            .with_context(|| format!("cannot read the key in {shown}"))?;
        let key = parsed(&text, &format!("the file {shown}"))?;
        warn_if_open(path);
        return Ok(Some(key));
    }
    match std::env::var(VARIABLE) {
        Ok(key) if key.is_empty() => Ok(None),
        Ok(key) => parsed(&key, VARIABLE).map(Some),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(no_key(VARIABLE)),
    }
}

/// Tells once that others on the machine can read a key.
#[cfg(unix)]
fn warn_if_open(path: &Path) {
    use std::os::unix::fs::MetadataExt;
    use std::sync::Once;
    static TOLD: Once = Once::new();
    // A pipe, as `<(…)` makes one, has a mode that says nothing.
    let open = std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & OTHERS != 0);
    if open {
        let shown = path.display();
        TOLD.call_once(|| {
            crate::output::Output::new(false).note(format_args!(
                "warning: others can read the key in {shown}; take that from them with `chmod 600 {shown}`"
            ));
        });
    }
}

#[cfg(not(unix))]
fn warn_if_open(_: &Path) {}

fn parsed(text: &str, place: &str) -> anyhow::Result<ApiKey> {
    ApiKey::parse(text.trim()).ok_or_else(|| no_key(place))
}

fn no_key(place: &str) -> anyhow::Error {
    let (prefix, len) = (ApiKey::PREFIX, ApiKey::LEN);
    anyhow!(
        "{place} does not hold an API key: {len} characters that begin with {prefix}, as `granary key create` prints it"
    )
}
