//! The whole test run, part by part, with the minutes each takes.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cargo;

/// Runs every part in order; ends at the first that fails.
pub(crate) fn everything() -> Result<()> {
    let mut minutes = Vec::new();
    let outcome = parts(&mut minutes);
    println!("\nminutes by part");
    for (part, took) in &minutes {
        println!("  {:5.1}  {part}", took.as_secs_f64() / 60.0);
    }
    let total: Duration = minutes.iter().map(|(_, took)| *took).sum();
    println!("  {:5.1}  in all", total.as_secs_f64() / 60.0);
    outcome
}

const OUTSIDE: [&str; 6] = ["test", "--release", "--workspace", "--test", "outside", "--"];

fn parts(minutes: &mut Vec<(&'static str, Duration)>) -> Result<()> {
    let mut part = |name: &'static str, run: &dyn Fn() -> Result<()>| -> Result<()> {
        println!("\n== {name}");
        let started = Instant::now();
        let outcome = run();
        minutes.push((name, started.elapsed()));
        outcome.with_context(|| format!("failed in part '{name}'"))
    };
    part("programs for tests", &crate::install::programs_for_tests)?;
    part("format", &|| {
        cargo(&["fmt", "--all", "--check"])?;
        cargo(&["fmt", "--check", "--manifest-path", "fuzz/Cargo.toml"])
    })?;
    part("generated pages", &crate::docs::check)?;
    part("build", &|| {
        cargo(&["build", "--release", "--workspace", "--all-targets"])
    })?;
    part("lint", &|| {
        cargo(&[
            "clippy",
            "--release",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ])
    })?;
    // Always the whole workspace, or what was built above: one package alone takes other features of what it depends
    // on, and so a build of its own.
    part("core, stores, wire", &|| {
        cargo(&["test", "--release", "--workspace", "--exclude", "granary-tests"])
    })?;
    part("fuzz", &crate::fuzz::short)?;
    part("conformance and crash", &|| {
        cargo(&[&OUTSIDE[..], &["--skip", "cluster::", "--skip", "power::"]].concat())
    })?;
    part("cuts of power, and what the kits are made of", &|| {
        cargo(&[
            "test",
            "--release",
            "--workspace",
            "--lib",
            "--test",
            "outside",
            "--",
            "power::",
            "checker::",
            "register::",
            "told::tests::",
        ])
    })?;
    // Apart from the others: servers that have no time look like ones that are gone.
    part("cluster", &|| cargo(&[&OUTSIDE[..], &["cluster::"]].concat()))?;
    part("routes, conformance and crash on PostgreSQL", &|| {
        let outside = [
            "test",
            "--release",
            "--workspace",
            "--test",
            "routes",
            "--test",
            "outside",
        ];
        // What a folder is refused for, no database is.
        let all = [
            &outside[..],
            &[
                "--",
                "--skip",
                "folder",
                "--skip",
                "cluster::",
                "--skip",
                "power::",
            ],
        ]
        .concat();
        let mut command = cargo::command(&all);
        finish(command.env("GRANARY_TEST_STORE", "postgres"))
    })?;
    part("demo", &|| binary("granary", &["demo", "--exit"]))?;
    part("package", &crate::package::test)?;
    part("console", &console)?;
    part("description and clients", &crate::description::used)?;
    part("bench, small", &|| {
        // A run that shows that it runs; what it measures is worth nothing, and is not kept among the reports.
        let small = ["--operations", "20000", "--rounds", "1", "--out", "target/bench"];
        binary("granary-bench", &small)?;
        binary("granary-bench", &[&small[..], &["--shared"]].concat())
    })
}

/// The console in a browser, against the binary that stands beside this one.
fn console() -> Result<()> {
    let binary = std::env::current_exe()?.with_file_name("granary");
    let mut command = Command::new("npx");
    command.args(["--no", "--", "playwright", "test"]);
    finish(
        command
            .current_dir(crate::install::CONSOLE_TESTS)
            .env("GRANARY_BIN", binary),
    )
}

/// Kills a server as often as the arguments say.
pub(crate) fn crash(arguments: &[&str]) -> Result<()> {
    build()?;
    binary("crash", arguments)
}

/// Cuts the power as often as the arguments say.
pub(crate) fn power(arguments: &[&str]) -> Result<()> {
    build()?;
    binary("power", arguments)
}

/// Has what the arguments say go wrong in a cluster.
pub(crate) fn cluster(arguments: &[&str]) -> Result<()> {
    build()?;
    binary("cluster", arguments)
}

/// Makes clients from the description of the API, and uses them.
pub(crate) fn clients() -> Result<()> {
    build()?;
    crate::description::used()
}

/// Measures.
pub(crate) fn bench(arguments: &[&str]) -> Result<()> {
    build()?;
    binary("granary-bench", arguments)
}

fn build() -> Result<()> {
    cargo(&["build", "--release", "--workspace", "--bins"])
}

/// Runs a binary of the workspace, which stands beside this one.
fn binary(name: &str, arguments: &[&str]) -> Result<()> {
    run(&std::env::current_exe()?.with_file_name(name), arguments)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    finish(&mut cargo::command(arguments))
}

fn run(program: &Path, arguments: &[&str]) -> Result<()> {
    finish(Command::new(program).args(arguments))
}

/// Shows what is run, and runs it to its end.
pub(crate) fn finish(command: &mut Command) -> Result<()> {
    let program = Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            line = format!("{}={} {line}", name.to_string_lossy(), value.to_string_lossy());
        }
    }
    for argument in command.get_args() {
        line = format!("{line} {}", argument.to_string_lossy());
    }
    println!("$ {line}");
    let status = command.status()?;
    if !status.success() {
        bail!("`{line}` ended with {status}");
    }
    Ok(())
}
