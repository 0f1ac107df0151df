//! `cargo xtask`: what the project does to itself. Kept to small crates, so that it builds in seconds.

#![expect(clippy::print_stdout, reason = "a command line")]

mod cargo;
mod description;
mod docs;
mod fuzz;
mod install;
mod package;
mod test;

use anyhow::{Result, bail};

const USAGE: &str = "\
cargo xtask test              build, lint and test everything; what CI runs
cargo xtask docs [--check]    write the generated pages of docs/ and openapi/granary.json, or fail where one is stale
cargo xtask crash ARGS…       kill a server many times over: --deaths N --seed S --minutes M --store folder|postgres
cargo xtask power ARGS…       cut its power at many points: --points N --seed S --scene NAME --without PART
cargo xtask cluster ARGS…     have servers that share a PostgreSQL fail in every way: --faults N --seed S --minutes M --fail-over
cargo xtask fuzz ARGS…        hand the fuzz targets what they have not seen: --minutes N (of each target) --target NAME --seed S, or --short
cargo xtask package [--test]  make a Debian package of the release binary, in target/package; try it in a fresh Debian
cargo xtask clients           lint the description of the API, make clients from it, and use them on a server
cargo xtask bench ARGS…       measure; see `cargo xtask bench --help`";

fn main() -> Result<()> {
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["test"] => test::everything(),
        ["docs"] => docs::write(),
        ["docs", "--check"] => docs::check(),
        ["crash", rest @ ..] => test::crash(rest),
        ["power", rest @ ..] => test::power(rest),
        ["cluster", rest @ ..] => test::cluster(rest),
        ["fuzz", "--short"] => fuzz::short(),
        ["fuzz", rest @ ..] => fuzz::long(rest),
        ["package"] => package::build().map(|made| println!("made {}", made.display())),
        ["package", "--test"] => package::test(),
        ["bench", rest @ ..] => test::bench(rest),
        ["clients"] => test::clients(),
        _ => bail!("{USAGE}"),
    }
}
