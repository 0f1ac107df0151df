//! What is made from the code: tables in pages of `docs/`, whose rest is written by hand, the description of the API, and the
//! reference of the command line, which a test of the binary holds to it.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail};
use granary_core::error::ErrorType;
use granary_core::limits::Limits;

/// What goes before a table, and is followed by the file that it is made from.
const BEGIN: &str = "<!-- Made by `cargo xtask docs` from ";
/// The description of the API (OpenAPI).
const DESCRIPTION: &str = "openapi/granary.json";
/// What goes behind a table.
const END: &str = "<!-- End of what is made. -->";

fn tables() -> [(&'static str, String); 2] {
    [("docs/errors.md", errors()), ("docs/limits.md", limits())]
}

/// Writes every table into its page, and the description.
pub(crate) fn write() -> Result<()> {
    for (path, table) in tables() {
        fs::write(path, with_table(path, &table)?.1)?;
        println!("wrote {path}");
    }
    fs::write(DESCRIPTION, granary_api::description::text())?;
    println!("wrote {DESCRIPTION}");
    // The command line is defined in the binary, which this crate is built without.
    let mut reference = crate::cargo::command(&[
        "test",
        "--quiet",
        "--release",
        "--workspace",
        "--bin",
        "granary",
        "reference",
    ]);
    if !reference.env("UPDATE_DOCS", "1").status()?.success() {
        bail!("the reference in docs/cli.md was not written; see above");
    }
    println!("wrote docs/cli.md");
    Ok(())
}

/// Fails where a page, or the description, is not what would be written.
pub(crate) fn check() -> Result<()> {
    for (path, table) in tables() {
        let (now, then) = with_table(path, &table)?;
        if now != then {
            bail!("{path} is stale; run `cargo xtask docs`");
        }
    }
    if fs::read_to_string(DESCRIPTION)? != granary_api::description::text() {
        bail!("{DESCRIPTION} is stale; run `cargo xtask docs`");
    }
    Ok(())
}

/// A page as it is, and as it is with this table in its place.
fn with_table(path: &str, table: &str) -> Result<(String, String)> {
    let page = fs::read_to_string(path)?;
    let cut = || {
        let (before, rest) = page.split_once(BEGIN)?;
        let (made_from, rest) = rest.split_once('\n')?;
        let (_, after) = rest.split_once(END)?;
        Some(format!("{before}{BEGIN}{made_from}\n\n{table}\n{END}{after}"))
    };
    let then = cut().with_context(|| format!("{path} has no place for its table: '{BEGIN}…' and '{END}'"))?;
    Ok((page, then))
}

fn errors() -> String {
    let mut table = String::from("| type | code | when | what to do |\n| --- | --- | --- | --- |\n");
    for error_type in ErrorType::ALL {
        let row = error_type.spec();
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {} | {} |",
            row.name, row.code, row.meaning, row.advice
        );
    }
    table
}

fn limits() -> String {
    let mut table = String::from("| name | unless set | what it bounds |\n| --- | ---: | --- |\n");
    for row in Limits::default().table() {
        let _ = writeln!(table, "| `{}` | {} | {} |", row.name, row.value, row.meaning);
    }
    table
}
