//! The subcommands: a file or a folder for each.

pub(crate) mod bench;
pub(crate) mod bulk;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod definition;
pub(crate) mod demo;
pub(crate) mod export;
mod failed;
pub(crate) mod get;
pub(crate) mod import;
pub(crate) mod infer;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod manual;
pub(crate) mod receipts;
pub(crate) mod serve;
pub(crate) mod source;
pub(crate) mod task;
pub(crate) mod vocabulary;

use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::net::{AddrParseError, SocketAddr};

use clap::Args;
use clap::builder::FalseyValueParser;
use granary_client::Error;
use granary_client::api::page::{Page, PageQuery};

use crate::output::Output;

/// An answer to a question is shorter.
const ANSWER_BYTES_MAX: u64 = 1_000;

/// How the variable of a flag without a value is read: empty, `0`, `no` and `false` are no.
pub(crate) fn switch() -> FalseyValueParser {
    FalseyValueParser::new()
}

/// The source that a command is about.
#[derive(Clone, Debug, Args)]
pub(crate) struct InSource {
    /// The source it is in
    #[arg(short, long, env = "GRANARY_SOURCE", value_name = "KEY")]
    pub(crate) source: String,
}

/// Where a server listens, as it is typed.
pub(crate) fn listen_address(raw: &str) -> Result<SocketAddr, String> {
    raw.parse().map_err(
        |error: AddrParseError| match raw.trim_start_matches(':').parse::<u16>() {
            Ok(port) => format!("a port alone is no address; for this machine alone it is 127.0.0.1:{port}"),
            Err(_) => error.to_string(),
        },
    )
}

/// Whether what cannot be undone is to be done: asked on a terminal, unless it is said beforehand. A program is not asked.
pub(crate) fn confirmed(question: &str, yes: bool, output: &Output) -> anyhow::Result<bool> {
    if yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    output.note(format_args!("{question} [y/N]"));
    let mut answer = String::new();
    BufReader::new(io::stdin().take(ANSWER_BYTES_MAX)).read_line(&mut answer)?;
    let confirmed = is_yes(&answer);
    if !confirmed {
        output.note("nothing is changed");
    }
    Ok(confirmed)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Every item of a list, page after page.
pub(crate) async fn all_of<T>(
    mut page: impl AsyncFnMut(&PageQuery) -> Result<Page<T>, Error>,
) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    let mut query = PageQuery {
        limit: Some(1_000),
        cursor: None,
    };
    loop {
        let Page { data, meta } = page(&query).await?;
        all.extend(data);
        match meta.cursor {
            Some(cursor) => query.cursor = Some(cursor),
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_no_address() {
        assert!(listen_address("127.0.0.1:0").is_ok());
        for port in ["18105", ":18105"] {
            assert!(
                listen_address(port).unwrap_err().ends_with(" 127.0.0.1:18105"),
                "{port}"
            );
        }
        assert_eq!(
            listen_address("here").unwrap_err(),
            "invalid socket address syntax"
        );
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(["y\n", "Y", " yes \r\n"].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "yess", "no"].into_iter().any(is_yes));
    }
}
