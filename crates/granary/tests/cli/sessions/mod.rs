//! Sessions of the command line as people see them: what is typed, and all that it answers, on stdout and on stderr. Each
//! `.console` file here is one, against a server and in a folder of its own that holds `files/`.
//!
//! `UPDATE_SESSIONS=1 cargo test -p granary --test cli sessions` writes what is answered into the files; what it wrote is then
//! read by a person. What differs from run to run stands as `[ID]`, `[TIME]`, `[TOOK]` and `[SERVER]`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use regex::{Captures, Regex};

use super::Server;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/sessions")
}

/// What hides what differs from run to run.
struct Hiding {
    id: Regex,
    time: Regex,
    took: Regex,
    rate: Regex,
}

impl Hiding {
    fn new() -> Self {
        let regex = |pattern| Regex::new(pattern).unwrap();
        Self {
            id: regex(r"\b((?:bk|s|bd|pg)_)?[0-9A-Za-z]{27}\b"),
            time: regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
            took: regex(r"\b(in|after) [0-9.]+ (?:ms|s)\b"),
            rate: regex(r" \([0-9,]+/s\)"),
        }
    }

    fn hide(&self, text: &str, server: &str, folder: &str) -> String {
        let text = text.replace(server, "[SERVER]").replace(folder, "[FOLDER]");
        let text = self.time.replace_all(&text, "[TIME]");
        // Of 27 letters and digits those are an id that have both.
        let text = self.id.replace_all(&text, |found: &Captures<'_>| {
            let prefix = found.get(1).map_or("", |prefix| prefix.as_str());
            match found[0].bytes().any(|byte| byte.is_ascii_digit()) {
                true => format!("{prefix}[ID]"),
                false => found[0].to_owned(),
            }
        });
        let text = self.took.replace_all(&text, "$1 [TOOK]");
        self.rate.replace_all(&text, "").into_owned()
    }
}

/// Runs a line as a shell does, and answers what a terminal would show of it.
fn answered(line: &str, folder: &Path, server: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_granary")).parent().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(binary.to_owned()).chain(std::env::split_paths(&path)));
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GRANARY_")) {
        command.env_remove(name);
    }
    let output = command
        .args(["-c", &format!("exec 2>&1; {line}")])
        .current_dir(folder)
        .env("PATH", path.unwrap())
        .env("GRANARY_SERVER", server)
        .env("COLUMNS", "100")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .expect("a shell starts");
    let mut text = String::from_utf8(output.stdout).expect("it is text");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    match output.status.code() {
        Some(0) => text,
        code => format!("{text}[exit {}]\n", code.expect("it was not killed")),
    }
}

/// Runs a session, and writes it down again as it went.
fn run(session: &str) -> String {
    let server = Server::empty();
    let folder = server.folder.path().join("session");
    fs::create_dir(&folder).unwrap();
    for file in fs::read_dir(super::sessions::folder().join("files")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    let hiding = Hiding::new();
    let mut went = String::new();
    // What is no line that is typed, and no remark, is an answer, and made anew. A blank line stands before a remark.
    for line in session.lines() {
        if let Some(typed) = line.strip_prefix("$ ") {
            let answer = answered(typed, &folder, &server.url);
            let hidden = hiding.hide(&answer, &server.url, folder.to_str().unwrap());
            went.push_str(&format!("{line}\n{hidden}"));
        } else if line.starts_with("# ") {
            let gap = if went.is_empty() { "" } else { "\n" };
            went.push_str(&format!("{gap}{line}\n"));
        }
    }
    went
}

#[test]
fn each_is_answered_as_it_is_written() {
    let update = std::env::var_os("UPDATE_SESSIONS").is_some();
    let mut names: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "console"))
        .collect();
    names.sort();
    assert!(names.len() > 5, "sessions are found");
    let mut wrong = Vec::new();
    let runs = names.iter().map(|path| {
        let session = fs::read_to_string(path).unwrap();
        std::thread::spawn(move || (run(&session), session))
    });
    let runs: Vec<_> = runs.collect();
    for (path, ran) in names.iter().zip(runs) {
        let (went, written) = ran.join().expect("a session runs");
        if update {
            fs::write(path, &went).unwrap();
        } else if went != written {
            wrong.push(difference(path, &written, &went));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The first line that differs, with what stands around it.
fn difference(path: &Path, written: &str, went: &str) -> String {
    let name = path.file_name().unwrap().to_string_lossy();
    let (written, went): (Vec<_>, Vec<_>) = (written.lines().collect(), went.lines().collect());
    let same = written
        .iter()
        .zip(&went)
        .take_while(|(one, other)| one == other)
        .count();
    let show = |lines: &[&str]| {
        lines[same.saturating_sub(3).min(lines.len())..lines.len().min(same + 4)].join("\n  ")
    };
    format!(
        "{name}:{}: written is\n  {}\nand it went\n  {}\n",
        same + 1,
        show(&written),
        show(&went)
    )
}

#[test]
fn what_differs_is_hidden_and_nothing_else() {
    let hiding = Hiding::new();
    let hidden = hiding.hide(
        "bk_2eVocVVgjAWYJ74DifXluwVtSYs COMPLETE  3 operations in 12 ms (50,000/s) at http://a:1, 2026-01-31T08:15:30.250Z",
        "http://a:1",
        "/nowhere",
    );
    assert_eq!(
        hidden,
        "bk_[ID] COMPLETE  3 operations in [TOOK] at [SERVER], [TIME]"
    );
    assert_eq!(
        hiding.hide("abcdefghijklmnopqrstuvwxyzA", "x:", "y:"),
        "abcdefghijklmnopqrstuvwxyzA"
    );
}
