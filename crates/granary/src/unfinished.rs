//! A file under another name until it is whole, so that what stands under its own name always is. It says by that other name
//! what it is, and nothing of it stays where it is given up, unless the process is killed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tempfile::NamedTempFile;

/// A file that is being written; dropped before it is finished, it leaves nothing.
pub(crate) struct Unfinished {
    path: PathBuf,
    /// The same, or where that leads to.
    leads_to: PathBuf,
    file: BufWriter<Target>,
}

/// What is written to.
enum Target {
    /// A file that gets its name later. No other process writes it.
    Named(NamedTempFile),
    /// A pipe or a device that is there already, and stays.
    There(File),
}

impl Unfinished {
    /// A file that will be called `path`. What is there under that name stays until then, and may be read meanwhile.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        let name = path.file_name();
        let name = name.with_context(|| format!("'{}' names no file", path.display()))?;
        // Where it is a link, what that leads to is written, also where nothing is there yet.
        let leads_to = fs::canonicalize(path).unwrap_or_else(|_| match fs::read_link(path) {
            Ok(to) => path.with_file_name("").join(to),
            Err(_) => path.to_owned(),
        });
        let target = match fs::metadata(&leads_to) {
            Ok(meta) if meta.is_dir() => bail!("{} is a folder", path.display()),
            Ok(meta) if !meta.is_file() => {
                Target::There(File::options().write(true).open(path).with_context(cannot)?)
            }
            _ => {
                let folder = leads_to.parent().filter(|folder| *folder != Path::new(""));
                let mut named = tempfile::Builder::new();
                named
                    .prefix(leads_to.file_name().unwrap_or(name))
                    .rand_bytes(8)
                    .suffix(".unfinished");
                #[cfg(unix)]
                named.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
                let named = named.tempfile_in(folder.unwrap_or(Path::new(".")));
                Target::Named(named.with_context(cannot)?)
            }
        };
        Ok(Self {
            path: path.to_owned(),
            leads_to,
            file: BufWriter::new(target),
        })
    }

    /// The name that it will have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// True where this file would be replaced.
    pub(crate) fn replaces(&self, file: &Path) -> bool {
        fs::canonicalize(file).is_ok_and(|file| file == self.leads_to)
    }

    /// Gives it its name, once it is on the disk.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let Self { path, leads_to, file } = self;
        let cannot = || format!("cannot write {}", path.display());
        let target = file.into_inner().map_err(std::io::IntoInnerError::into_error);
        match target.with_context(cannot)? {
            Target::There(_) => Ok(()),
            Target::Named(named) => {
                named.as_file().sync_all().with_context(cannot)?;
                named.persist(&leads_to).with_context(cannot)?;
                Ok(())
            }
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Named(file) => file.write(bytes),
            Self::There(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Named(file) => file.flush(),
            Self::There(file) => file.flush(),
        }
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_name_once_it_is_whole_and_else_nothing_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ndjson");
        let names = || {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        std::fs::write(&path, "old").unwrap();
        let mut file = Unfinished::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        // Another that is written at the same time is its own.
        let mut other = Unfinished::create(&path).unwrap();
        other.write_all(b"other").unwrap();
        let unfinished = |name: &std::ffi::OsString| name.to_str().unwrap().ends_with(".unfinished");
        assert_eq!(names().iter().filter(|name| unfinished(name)).count(), 2);
        drop((file, other));
        assert_eq!(names(), ["x.ndjson"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        let mut file = Unfinished::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(file.path(), path);
        assert!(file.replaces(&path) && !file.replaces(Path::new("/dev/null")));
        file.finish().unwrap();
        assert_eq!(names(), ["x.ndjson"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        for no_file in ["..", "/"] {
            assert!(Unfinished::create(Path::new(no_file)).is_err(), "{no_file}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_written_and_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("x.ndjson"), folder.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut through = Unfinished::create(&link).unwrap();
        through.write_all(b"new").unwrap();
        through.finish().unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        let to_nothing = folder.path().join("to-nothing");
        std::os::unix::fs::symlink("not-yet", &to_nothing).unwrap();
        let mut through = Unfinished::create(&to_nothing).unwrap();
        through.write_all(b"new").unwrap();
        through.finish().unwrap();
        assert!(std::fs::symlink_metadata(&to_nothing).unwrap().is_symlink());
        assert_eq!(
            std::fs::read_to_string(folder.path().join("not-yet")).unwrap(),
            "new"
        );
        let null = Path::new("/dev/null");
        let mut device = Unfinished::create(null).unwrap();
        device.write_all(b"new").unwrap();
        device.finish().unwrap();
        assert!(!std::fs::metadata(null).unwrap().is_file());
        assert!(Unfinished::create(folder.path()).is_err());
    }
}
