//! `granary.toml`: what flags are where neither the command line nor a variable says.
//!
//! What it says of the command that is run is put behind the command line, as if it had been typed, but where a flag or a
//! variable says it already, or says what cannot stand beside it. So there is one place that reads and judges flags.

mod file;
mod flags;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use granary_core::limits::Limits;

pub(crate) use file::{SettingsFile, limit_variable};
pub(crate) use flags::{Flag, Takes, flags};

/// The file that is read where none is named.
pub(crate) const FILE: &str = "granary.toml";

/// The file of this process; a process reads one.
static IN_FORCE: OnceLock<SettingsFile> = OnceLock::new();

/// The settings file that is in force, if one is.
pub(crate) fn in_force() -> Option<&'static SettingsFile> {
    IN_FORCE.get()
}

/// The command line with what the settings file adds to it.
pub(crate) struct CommandLine {
    /// Its arguments, the name of the program first.
    pub(crate) args: Vec<OsString>,
    /// The flags that come from the file.
    pub(crate) from_file: Vec<String>,
}

/// Reads the settings file that the command line, a variable or the current folder names, and adds what it says.
pub(crate) fn complete(args: Vec<OsString>, command: &Command) -> anyhow::Result<CommandLine> {
    let plain = |args| CommandLine {
        args,
        from_file: Vec::new(),
    };
    // What is wrong with the command line is told by who reads it in earnest; so is its help.
    let looked_at = command.clone().ignore_errors(true).try_get_matches_from(&args);
    let Ok(matches) = looked_at else {
        return Ok(plain(args));
    };
    let Some(path) = path(&matches) else {
        return Ok(plain(args));
    };
    let file = SettingsFile::read(&path, command)?;
    let from_file = additions(&file, command, &matches);
    let _ = IN_FORCE.set(file);
    Ok(with_additions(args, from_file))
}

/// Where the settings file is: a name that is empty is none.
fn path(matches: &ArgMatches) -> Option<PathBuf> {
    let (leaf, _) = leaf(matches);
    let named = |matches: &ArgMatches| {
        let named = matches.try_get_one::<OsString>("config").ok().flatten();
        named.map(PathBuf::from)
    };
    match named(leaf).or_else(|| named(matches)) {
        Some(path) => Some(path).filter(|path| !path.as_os_str().is_empty()),
        None => Some(PathBuf::from(FILE)).filter(|path| path.exists()),
    }
}

/// The matches of the command that is run, and its name with those of the commands that it is in.
fn leaf(matches: &ArgMatches) -> (&ArgMatches, Vec<&str>) {
    let (mut leaf, mut names) = (matches, Vec::new());
    while let Some((name, inner)) = leaf.subcommand() {
        names.push(name);
        leaf = inner;
    }
    (leaf, names)
}

/// The command that a command line names, as far as it names one.
pub(crate) fn command_of(command: &Command, args: &[OsString]) -> Command {
    let mut built = command.clone();
    built.build();
    let looked_at = command.clone().ignore_errors(true).try_get_matches_from(args);
    let names = looked_at
        .as_ref()
        .map(|matches| leaf(matches).1)
        .unwrap_or_default();
    let named = names
        .iter()
        .try_fold(&built, |command, name| command.find_subcommand(name));
    named.unwrap_or(&built).clone()
}

/// What the file says of the command that is run, as flags.
fn additions(file: &SettingsFile, command: &Command, matches: &ArgMatches) -> Vec<String> {
    let mut built = command.clone();
    built.build();
    let (leaf, names) = leaf(matches);
    let Some(command) = names
        .iter()
        .try_fold(&built, |command, name| command.find_subcommand(name))
    else {
        return Vec::new();
    };
    let given = |arg: &Arg| {
        let source = |matches: &ArgMatches| {
            let known = matches.try_contains_id(arg.get_id().as_str()).is_ok();
            known
                .then(|| matches.value_source(arg.get_id().as_str()))
                .flatten()
        };
        let given = |source| matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        given(source(leaf)) || (arg.is_global_set() && given(source(matches)))
    };
    let excluded = |arg: &Arg| {
        command.get_arguments().any(|other| {
            let conflicts = |one: &Arg, other: &Arg| {
                let all = command.get_arg_conflicts_with(one);
                all.iter().any(|arg| arg.get_id() == other.get_id())
            };
            given(other) && (conflicts(arg, other) || conflicts(other, arg))
        })
    };
    let mut added = Vec::new();
    for arg in command.get_arguments() {
        let Some(value) = Flag::of(arg).and_then(|flag| file.value(&flag).cloned()) else {
            continue;
        };
        if !given(arg) && !excluded(arg) {
            added.extend(value.as_flags(arg.get_long().unwrap_or_default()));
        }
    }
    added
}

/// The arguments with these before what follows a `--`.
fn with_additions(mut args: Vec<OsString>, from_file: Vec<String>) -> CommandLine {
    let at = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    args.splice(at..at, from_file.iter().map(OsString::from));
    CommandLine { args, from_file }
}

/// The limits in force: those of the contract, but for what `GRANARY_LIMIT_…`, or else the file, says.
pub(crate) fn limits() -> anyhow::Result<Limits> {
    file::limits(in_force(), std::env::vars_os())
}

/// Variables of ours that no flag and no limit has, each with what was likely meant.
pub(crate) fn unknown_variables(command: &Command) -> Vec<String> {
    let known: Vec<String> = flags(command).into_iter().map(|flag| flag.variable).collect();
    let others = ["GRANARY_API_KEY", "GRANARY_LOG"];
    let known: Vec<&str> = known.iter().map(String::as_str).chain(others).collect();
    let ours = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    ours.filter(|name| name.starts_with("GRANARY_") && !name.starts_with(file::LIMIT_PREFIX))
        .filter(|name| !known.contains(&name.as_str()))
        .map(|name| {
            let hint = granary_core::did_you_mean(&name, known.iter().copied());
            format!("{name} is no variable of granary{hint}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// What a file adds to a command line.
    fn added(toml: &str, args: &[&str]) -> Vec<String> {
        let command = crate::Cli::command();
        let file = SettingsFile::parse(FILE.into(), toml, &command).unwrap();
        let args = ["granary"].iter().chain(args);
        let matches = command
            .clone()
            .ignore_errors(true)
            .try_get_matches_from(args)
            .unwrap();
        additions(&file, &command, &matches)
    }

    #[test]
    fn a_file_says_what_the_command_line_does_not() {
        let toml = "server = \"http://a:1\"\nsource = \"clinic\"\nwait = true\nlimit = 7\n[demo]\nexit = true\n[key]\nrole = \"reader\"";
        for (args, expected) in [
            (
                &["bulk", "x"][..],
                &["--source=clinic", "--wait", "--server=http://a:1"][..],
            ),
            (&["bulk", "x", "-s", "lab", "--wait"], &["--server=http://a:1"]),
            (
                &["--server", "http://b", "task", "list"],
                &["--source=clinic", "--limit=7"],
            ),
            (
                &["task", "list", "--server", "http://b"],
                &["--source=clinic", "--limit=7"],
            ),
            (&["demo"], &["--exit", "--server=http://a:1"]),
            (&["key", "create"], &["--role=reader", "--server=http://a:1"]),
            (&["source", "list"], &["--server=http://a:1"]),
        ] {
            assert_eq!(added(toml, args), expected, "{args:?}");
        }
    }

    #[test]
    fn what_means_something_else_elsewhere_is_in_a_table() {
        let toml = "limit = 7\nformat = \"json\"\n[infer]\nlimit = 1000\n[export]\nformat = \"csv\"";
        for (args, expected) in [
            (&["task", "list"][..], &["--limit=7"][..]),
            (&["profile", "infer", "x"], &["--format=json", "--limit=1000"]),
            (&["bulk", "x"], &["--format=json"]),
            (&["export"], &["--format=csv"]),
        ] {
            assert_eq!(added(toml, args), expected, "{args:?}");
        }
    }

    #[test]
    fn what_is_given_keeps_out_what_cannot_stand_beside_it() {
        let toml =
            "store = \"postgres://host/db\"\ncors-origin = [\"https://a.example\", \"https://b.example\"]";
        let origins = [
            "--cors-origin=https://a.example",
            "--cors-origin=https://b.example",
        ];
        assert_eq!(added(toml, &["serve", "--data", "x"]), origins);
        assert_eq!(added("data = \"x\"", &["serve", "--store", "y"]), [""; 0]);
        assert!(added(toml, &["serve"]).contains(&"--store=postgres://host/db".to_owned()));
        assert_eq!(added("wait = true", &["bulk", "x", "--validate-only"]), [""; 0]);
        assert_eq!(added("wait = false", &["bulk", "x"]), [""; 0]);
    }

    #[test]
    fn additions_stand_before_what_is_no_flag() {
        let args = ["granary", "bulk", "--", "-x"].map(OsString::from).to_vec();
        let line = with_additions(args, vec!["--wait".to_owned()]);
        assert_eq!(line.args, ["granary", "bulk", "--wait", "--", "-x"]);
    }
}
