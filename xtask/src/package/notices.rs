//! The notices of the crates that are in the binary: their licences ask that these go with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// How the files begin that hold what must be passed on, in lower case.
const BEGIN: [&str; 5] = ["license", "licence", "copying", "copyright", "notice"];

/// Each crate of others with its licence, and then their texts, each once, under the crates that have it.
pub(super) fn of_third_parties() -> Result<String> {
    let crates = crates()?;
    let sources = sources()?;
    let mut text = "What others wrote and is in granary, and under which licence.\n\n".to_owned();
    let mut texts: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, licence) in &crates {
        writeln!(text, "{name}: {licence}")?;
        let folder = sources
            .iter()
            .map(|source| source.join(name))
            .find(|folder| folder.is_dir())
            .with_context(|| format!("the source of {name} is in none of {sources:?}; run cargo fetch"))?;
        for file in files(&folder)? {
            let notice = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let notice = String::from_utf8_lossy(&notice).trim().replace('\r', "");
            texts.entry(notice).or_default().insert(name);
        }
    }
    for (notice, names) in texts {
        let names: Vec<&str> = names.into_iter().collect();
        write!(
            text,
            "\n\n{}\n{}:\n\n{notice}\n",
            "-".repeat(80),
            names.join(", ")
        )?;
    }
    Ok(text)
}

/// The crates of others that are linked into the binary, as `name-version`, with their licences.
fn crates() -> Result<BTreeMap<String, String>> {
    let mut ask = crate::cargo::command(&["tree", "--locked", "--package", "granary"]);
    ask.args(["--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--format", "{p}|{l}|"]);
    let output = ask.output().context("cannot run cargo tree")?;
    ensure!(
        output.status.success(),
        "cargo tree ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let crates: BTreeMap<String, String> = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('|');
            let (package, licence) = (fields.next()?, fields.next()?);
            // What has a path behind it is ours.
            let (name, version) = package.split_once(" v").filter(|(_, rest)| !rest.contains('('))?;
            Some((format!("{name}-{version}"), licence.to_owned()))
        })
        .collect();
    ensure!(
        !crates.is_empty(),
        "cargo tree named no crate that granary is made of"
    );
    Ok(crates)
}

/// Where cargo keeps the sources of crates, a folder each registry.
fn sources() -> Result<Vec<PathBuf>> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => std::env::home_dir()
            .context("there is neither CARGO_HOME nor a home")?
            .join(".cargo"),
    };
    entries(&home.join("registry/src"))
}

/// The files of a crate that hold notices, also those of what it has taken in from others.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .to_lowercase();
            if path.is_dir() {
                folders.push(path);
            } else if BEGIN.iter().any(|begin| name.starts_with(begin)) && !name.ends_with(".rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// What is in a folder, in order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list {}", folder.display());
    let mut entries = std::fs::read_dir(folder)
        .with_context(cannot)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()
        .with_context(cannot)?;
    entries.sort();
    Ok(entries)
}
