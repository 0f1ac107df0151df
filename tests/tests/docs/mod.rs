//! The pages of `docs/`, as tests: every request is sent to a real server and every command run, in the order of its page,
//! and must be answered as the page says, and as the description of the API does. `UPDATE_DOCS=1` writes the answers into the pages instead; what it wrote is then read by a person.

mod console;
mod layout;
mod learned;
mod machine;
mod page;
mod run;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use granary_test_description::Description;
use run::Mode;

/// Pages that say nothing that could be sent to a server: one explains words; what another says to type into a database
/// has a test beside those of several nodes; two say how fast it is, and what it survives; one is of a page in a browser, one of
/// clients that are made and used, which have tests of their own; what is typed into a shell is a session of the command
/// line's own tests.
const WITHOUT_EXAMPLES: [&str; 7] = [
    "cli.md",
    "clients.md",
    "console.md",
    "glossary.md",
    "operations.md",
    "performance.md",
    "reliability.md",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Where pages are below `docs/`; the records of decisions are none.
const FOLDERS: [&str; 3] = ["", "guides/", "how-to/"];

/// The pages of `docs/` by name.
fn pages() -> Vec<(String, String)> {
    let mut names = BTreeSet::new();
    for below in FOLDERS {
        for entry in fs::read_dir(folder().join(below)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                names.insert(format!("{below}{name}"));
            }
        }
    }
    names
        .into_iter()
        .map(|name| {
            let text = fs::read_to_string(folder().join(&name)).unwrap();
            (name, text)
        })
        .collect()
}

#[tokio::test]
async fn every_example_is_answered_as_it_is_written() {
    let mode = match std::env::var_os("UPDATE_DOCS") {
        Some(_) => Mode::Update,
        None => Mode::Compare,
    };
    let description = Description::made();
    let mut wrong = Vec::new();
    for (name, text) in pages() {
        if WITHOUT_EXAMPLES.contains(&name.as_str()) {
            continue;
        }
        match run::page(&text, mode, &description).await {
            Err(error) => wrong.push(format!("docs/{name}: {error:#}")),
            Ok(done) if done.examples == 0 => wrong.push(format!("docs/{name}: it has no example")),
            Ok(done) => {
                wrong.extend(done.differences.iter().map(|one| format!("docs/{name}:{one}")));
                if mode == Mode::Update && done.text != text {
                    fs::write(folder().join(&name), done.text).unwrap();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut all = vec![(
        top.join("README.md"),
        fs::read_to_string(top.join("README.md")).unwrap(),
    )];
    all.extend(
        pages()
            .into_iter()
            .map(|(name, text)| (folder().join(name), text)),
    );
    let mut broken = Vec::new();
    for (path, text) in &all {
        for link in page::links(text) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            let found = match heading {
                "" => target.exists(),
                heading => fs::read_to_string(&target).is_ok_and(|text| page::has_heading(&text, heading)),
            };
            if !found {
                broken.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
