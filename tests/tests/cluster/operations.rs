//! The page for operators: what it says to type into a database or a node is there.

use std::process::Command;

use granary_core::limits::Limits;
use granary_tests::cluster::{Nodes, Role};

const PAGE: &str = include_str!("../../../docs/operations.md");
/// What the page says of a bench, not of a node.
const OF_THE_BENCH: &str = "--shared";

/// What the page sets between backticks on one line.
fn code() -> impl Iterator<Item = &'static str> {
    let lines = PAGE.lines().filter(|line| !line.starts_with("```"));
    lines.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The rows of the table with this head: their first cell.
fn first_cells(head: &str) -> Vec<&'static str> {
    let mut lines = PAGE.lines().skip_while(|line| !line.starts_with(head));
    lines.next().expect("the page has this table");
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('|').nth(1).unwrap().trim()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statements_and_settings_of_the_page_are_ones_of_the_database() {
    let _alone = super::alone().await;
    let nodes = Nodes::with(&[Role::All], &[]).await.unwrap();
    let statements: Vec<&str> = code()
        .filter(|code| code.starts_with("SELECT ") || code.starts_with("UPDATE "))
        .collect();
    assert!(statements.len() >= 4, "{statements:?}");
    for statement in statements {
        nodes
            .sql(statement)
            .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
    // Those that begin with `_` share the beginning of the one before.
    let mut settings: Vec<&str> = first_cells("| setting |")
        .into_iter()
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| !name.starts_with('_'))
        .collect();
    settings.extend(code().filter(|code| code.ends_with("_timeout")));
    assert!(settings.len() >= 10, "{settings:?}");
    for setting in settings {
        nodes
            .sql(&format!("SHOW {setting}"))
            .unwrap_or_else(|error| panic!("{setting}: {error:?}"));
    }
}

#[test]
fn the_options_and_variables_of_the_page_are_ones_of_a_node() {
    let server = granary_tests::binary().unwrap();
    let help = Command::new(server).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words = || PAGE.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    let named: Vec<&str> = words()
        .filter(|word| word.starts_with("GRANARY_") || word.starts_with("--") && word.len() > 3)
        .filter(|word| *word != OF_THE_BENCH && !word.trim_matches('-').is_empty())
        .collect();
    // `cargo`, `createuser`, `createdb`, `key create` and `source delete` have options too, and the log has its variable.
    let of_others = [
        "--locked",
        "--path",
        "--release",
        "--pwprompt",
        "--owner",
        "--encoding",
        "--name",
        "--source",
        "--purge",
        "GRANARY_LOG",
    ];
    // Limits have their own page; each has a variable.
    let of_limits: Vec<String> = { Limits::default().table().into_iter() }
        .map(|limit| limit_variable(limit.name))
        .collect();
    let unknown: Vec<&&str> = named
        .iter()
        .filter(|word| !of_others.contains(word) && !help.contains(**word))
        .filter(|word| !of_limits.iter().any(|limit| limit == **word))
        .collect();
    assert!(
        named.len() > 15 && unknown.is_empty(),
        "not in `granary serve --help`: {unknown:?}"
    );
}

/// The variable of a limit: `GRANARY_LIMIT_JSON_DEPTH` for `jsonDepth`.
fn limit_variable(name: &str) -> String {
    let mut variable = "GRANARY_LIMIT_".to_owned();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            variable.push('_');
        }
        variable.push(letter.to_ascii_uppercase());
    }
    variable
}
