//! Pages of `docs/` that are made from the tables of `granary-core`.

use std::fmt::Write;
use std::fs;

use anyhow::{Result, bail};
use granary_core::error::ErrorType;
use granary_core::limits::Limits;

fn pages() -> [(&'static str, String); 2] {
    [("docs/errors.md", errors()), ("docs/limits.md", limits())]
}

/// Writes every page.
pub(crate) fn write() -> Result<()> {
    for (path, text) in pages() {
        fs::write(path, text)?;
        println!("wrote {path}");
    }
    Ok(())
}

/// Fails where a page is not what would be written.
pub(crate) fn check() -> Result<()> {
    for (path, text) in pages() {
        if fs::read_to_string(path).unwrap_or_default() != text {
            bail!("{path} is stale; run `cargo xtask docs`");
        }
    }
    Ok(())
}

fn errors() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         <!-- Made by `cargo xtask docs` from crates/granary-core/src/error.rs. -->\n\n\
         Every failed call answers, and every failed operation carries, one error object:\n\n\
         ```json\n\
         {\"code\": 400, \"type\": \"INVALID_ARGUMENT\", \"message\": \"for people\",\n \
         \"details\": [{\"type\": \"INVALID_ARGUMENT\", \"message\": \"…\", \"path\": \"/create/data/name\", \"rule\": \"required\"}],\n \
         \"detailsTotal\": 250}\n\
         ```\n\n\
         `type` is for programs, `message` for people. `details` holds every fault that was found, up to the limit\n\
         `detailsPerError`; where there are more, `detailsTotal` is their number. `path` is an RFC 6901 pointer into what was\n\
         sent.\n\n\
         | type | code | when | what to do |\n| --- | --- | --- | --- |\n",
    );
    for error_type in ErrorType::ALL {
        let row = error_type.spec();
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            row.name, row.code, row.meaning, row.advice
        );
    }
    page
}

fn limits() -> String {
    let mut page = String::from(
        "# Limits\n\n\
         <!-- Made by `cargo xtask docs` from crates/granary-core/src/limits.rs. -->\n\n\
         Every bound that a client can meet. `GET /limits` answers those in force. Each is set by an environment variable:\n\
         `GRANARY_LIMIT_` and its name in capitals, such as `GRANARY_LIMIT_TASKS_WAITING_PER_SOURCE`.\n\n\
         | name | unless set | what it bounds |\n| --- | ---: | --- |\n",
    );
    for row in Limits::default().table() {
        let _ = writeln!(page, "| `{}` | {} | {} |", row.name, row.value, row.meaning);
    }
    page
}
