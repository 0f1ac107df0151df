//! A file under another name until it is whole, so that what stands under its own name always is. It says by that other name
//! what it is, and nothing of it stays where it is given up.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A file that is being written; dropped before it is finished, it leaves nothing.
pub(crate) struct Unfinished {
    path: PathBuf,
    unfinished: PathBuf,
    file: BufWriter<File>,
}

impl Unfinished {
    /// A file that will be called `path`. What is there under that name stays until then, and may be read meanwhile.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.file_name();
        let mut name = name
            .with_context(|| format!("'{}' names no file", path.display()))?
            .to_owned();
        name.push(".unfinished");
        let unfinished = path.with_file_name(name);
        let file =
            File::create(&unfinished).with_context(|| format!("cannot write {}", unfinished.display()))?;
        Ok(Self {
            path: path.to_owned(),
            unfinished,
            file: BufWriter::new(file),
        })
    }

    /// The name that it will have.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, once it is on the disk.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let done = { self.file.flush() }
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| std::fs::rename(&self.unfinished, &self.path));
        done.with_context(|| format!("cannot write {}", self.path.display()))
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

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is there only where it was not finished.
        let _ = std::fs::remove_file(&self.unfinished);
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
        assert_eq!(names(), ["x.ndjson", "x.ndjson.unfinished"]);
        drop(file);
        assert_eq!(names(), ["x.ndjson"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        let mut file = Unfinished::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(file.path(), path);
        file.finish().unwrap();
        assert_eq!(names(), ["x.ndjson"]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        for no_file in ["..", "/"] {
            assert!(Unfinished::create(Path::new(no_file)).is_err(), "{no_file}");
        }
    }
}
