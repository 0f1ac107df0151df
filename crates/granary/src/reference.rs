//! The reference in `docs/cli.md`, made from the definition of the command line: `cargo xtask docs` writes it, and a test
//! fails where it is stale.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

/// What goes before the reference in its page, and behind it.
const BEGIN: &str = "<!-- Made by `cargo xtask docs` from crates/granary/src. -->\n";
const END: &str = "\n<!-- End of what is made. -->";

/// The whole reference.
fn reference(command: &Command) -> String {
    let mut built = command.clone();
    built.build();
    let mut text = String::from("\n### Every command\n\n");
    table(&mut text, built.get_arguments().filter(|arg| arg.is_global_set()));
    for inner in built.get_subcommands() {
        of(&mut text, inner);
    }
    text
}

fn of(text: &mut String, command: &Command) {
    // It says what `--help` says.
    if command.get_name() == "help" {
        return;
    }
    let inner: Vec<_> = command
        .get_subcommands()
        .filter(|inner| !inner.is_hide_set())
        .collect();
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    if inner.is_empty() {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").split_whitespace();
        let usage = usage.collect::<Vec<_>>().join(" ");
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n### `{name}`\n\n```text\n{usage}\n```\n\n{}\n",
            prose(&about)
        );
        if let Some(after) = command.get_after_help() {
            let _ = write!(text, "\n{after}\n");
        }
        let own: Vec<_> = command.get_arguments().filter(|arg| shown(arg)).collect();
        if !own.is_empty() {
            text.push('\n');
            table(text, own.into_iter());
        }
    }
    inner.into_iter().for_each(|inner| of(text, inner));
}

fn shown(arg: &Arg) -> bool {
    !arg.is_global_set() && !matches!(arg.get_action(), ArgAction::Help | ArgAction::Version)
}

/// Examples in a description are set apart.
fn prose(about: &str) -> String {
    let mut out = Vec::new();
    let mut in_example = false;
    let mut lines = about.lines().peekable();
    while let Some(line) = lines.next() {
        let example = line.starts_with("  ")
            || (line.is_empty() && in_example && lines.peek().is_some_and(|next| next.starts_with("  ")));
        let shell = ["bash: ", "zsh: ", "fish: "]
            .iter()
            .any(|shell| line.starts_with(shell));
        if (example || shell) != in_example {
            in_example = !in_example;
            out.push(if in_example { "```text" } else { "```" });
        }
        out.push(line.strip_prefix("  ").unwrap_or(line));
    }
    if in_example {
        out.push("```");
    }
    out.join("\n")
}

fn table<'a>(text: &mut String, args: impl Iterator<Item = &'a Arg>) {
    text.push_str("| flag | variable | what it is |\n| --- | --- | --- |\n");
    for arg in args {
        let value = || {
            let names = arg.get_value_names().unwrap_or_default();
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            names.join(" ")
        };
        let flag = match (arg.get_long(), arg.get_action()) {
            (None, _) => value(),
            (Some(long), ArgAction::SetTrue) => format!("--{long}"),
            (Some(long), _) => format!("--{long} {}", value()),
        };
        let flag = match arg.get_short() {
            Some(short) => format!("`-{short}`, `{flag}`"),
            None => format!("`{flag}`"),
        };
        let variable = arg
            .get_env()
            .map(|name| format!("`{}`", name.to_string_lossy()))
            .unwrap_or_default();
        let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let values: Vec<_> = arg
            .get_possible_values()
            .into_iter()
            .filter(|_| arg.get_action().takes_values())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !values.is_empty() {
            let _ = write!(help, ": {}", values.join(", "));
        }
        if let Some(default) = arg
            .get_default_values()
            .first()
            .filter(|_| arg.get_action().takes_values())
        {
            let _ = write!(help, " [default: {}]", default.to_string_lossy());
        }
        let line = format!("| {flag} | {variable} | {} |\n", help.replace('|', "\\|"));
        text.push_str(&line);
    }
}

#[test]
fn the_reference_is_not_stale() {
    use clap::CommandFactory;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a place for it");
    let (_, after) = rest.split_once(END).expect("the place ends");
    let made = format!("{before}{BEGIN}{}{END}{after}", reference(&crate::Cli::command()));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, made).unwrap();
    } else {
        assert!(made == page, "docs/cli.md is stale; run `cargo xtask docs`");
    }
}
