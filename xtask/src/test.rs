//! The whole test run, part by part, with the minutes each takes.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

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

fn parts(minutes: &mut Vec<(&'static str, Duration)>) -> Result<()> {
    let mut part = |name: &'static str, steps: &[&[&str]]| -> Result<()> {
        println!("\n== {name}");
        let started = Instant::now();
        let outcome = steps.iter().try_for_each(|step| cargo(step));
        minutes.push((name, started.elapsed()));
        outcome.with_context(|| format!("failed in part '{name}'"))
    };
    part("format", &[&["fmt", "--all", "--check"]])?;
    part(
        "build",
        &[&["build", "--release", "--workspace", "--all-targets"]],
    )?;
    part(
        "lint",
        &[&[
            "clippy",
            "--release",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ]],
    )?;
    part("generated pages", &[&["xtask", "docs", "--check"]])?;
    part(
        "core, stores, wire",
        &[&["test", "--release", "--workspace", "--exclude", "granary-tests"]],
    )?;
    part(
        "conformance and crash",
        &[&["test", "--release", "--package", "granary-tests"]],
    )?;
    part(
        "demo",
        &[&["run", "--release", "--package", "granary", "--", "demo", "--exit"]],
    )?;
    part("bench, small", &[&["xtask", "bench", "--operations", "20000"]])
}

/// Kills a server as often as the arguments say.
pub(crate) fn crash(arguments: &[&str]) -> Result<()> {
    cargo(&["build", "--release", "--package", "granary"])?;
    let fixed = [
        "run",
        "--release",
        "--package",
        "granary-tests",
        "--bin",
        "crash",
        "--",
    ];
    cargo(&[&fixed, arguments].concat())
}

/// Measures.
pub(crate) fn bench(arguments: &[&str]) -> Result<()> {
    cargo(&["build", "--release", "--package", "granary"])?;
    let fixed = ["run", "--quiet", "--release", "--package", "granary-bench", "--"];
    cargo(&[&fixed, arguments].concat())
}

fn cargo(arguments: &[&str]) -> Result<()> {
    println!("$ cargo {}", arguments.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(arguments).status()?;
    if !status.success() {
        bail!("`cargo {}` ended with {status}", arguments.join(" "));
    }
    Ok(())
}
