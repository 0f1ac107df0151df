//! The binary `granary`: the server and its command line. Results go to stdout, all else to stderr.

mod commands;
mod exit;
mod input;
mod key_given;
mod log;
mod open_files;
mod output;
mod progress;
#[cfg(test)]
mod reference;
mod settings;
mod start;
mod store;
mod traces;
mod unfinished;
mod watch;
mod yaml;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Once;

use clap::{Args, CommandFactory, Parser, Subcommand};

use commands::{
    bench, bulk, check, config, definition, demo, export, get, import, infer, key, list, manual, receipts,
    serve, source, task, vocabulary,
};
use exit::Ended;
use granary_client::DefinitionKind;
use output::Output;

/// A registry for very large volumes of records
///
/// Resources and relationships are created, upserted and deleted in bulk, checked against the profiles of their
/// source. A bulk request is checked whole before it is accepted, and then applied in order by a task, whose receipts
/// say what became of every operation.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    styles = output::HELP,
    after_help = "Try `granary demo` first. Exit codes and environment variables are in `granary --help`.",
    after_long_help = AFTER_HELP,
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  all that was asked for was done
  1  anything not named here: no server, a refused call, a wrong command line
  2  some operations of a task failed or were cancelled; `check` could not look
  3  a bulk request was rejected; nothing of it was stored
  130  Ctrl-C while a task was waited for; the task goes on

Output:
  Results go to stdout, everything else to stderr. With --json every result is one JSON value a line, also of
  lists, as `jq` likes it. Progress bars are drawn only on a terminal, and colours too unless --color says
  otherwise; NO_COLOR=1 turns them off.

Settings:
  A flag comes from the command line, else from its variable, else from granary.toml in the current folder (or the
  file that --config names), else it has its default; `granary config` shows which. In the file a flag has the
  name that it has here, such as source = \"clinic\"; [limits] holds limits by their names.

Environment:
  Every flag has a variable, GRANARY_ and its name in capitals: GRANARY_SOURCE for --source, GRANARY_JSON=1 for
  --json. The flag wins. Those of `demo` and `bench` start with GRANARY_DEMO_ and GRANARY_BENCH_, what
  `key create` makes a key of with GRANARY_KEY_, and those of `bulk --failures`, `export --format`,
  `profile infer --limit`, `list --from`, `list --to` and `man --output` are GRANARY_BULK_FAILURES,
  GRANARY_EXPORT_FORMAT, GRANARY_INFER_LIMIT, GRANARY_LIST_FROM, GRANARY_LIST_TO and
  GRANARY_MAN_OUTPUT. GRANARY_LIMIT_JSON_DEPTH and the like set the limits of a server.
  GRANARY_API_KEY holds the API key to show to the server; it has no flag, for others can read command lines.

Examples:
  granary demo                                               see it all, on real data
  granary serve --data ./data                                start a server
  granary serve --store postgres://ada@db.example/granary    one of several that share a store
  granary source apply library
  granary profile apply --source library -f book.json
  granary bulk books.ndjson --source library --type book --wait
  granary export --source library -o library.ndjson
  granary list book --source library
  granary receipts --source library bk_2eVocVVgjAWYJ74DifXluwVtSYs --failures";

/// What every subcommand takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The server to talk to
    #[arg(
        long,
        global = true,
        env = "GRANARY_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    server: String,
    /// The file that holds the API key to show; or the key itself stands in GRANARY_API_KEY
    #[arg(long, global = true, env = "GRANARY_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The file of the certificate that the server's must be issued by, as PEM; else those that this machine trusts
    #[arg(long, global = true, env = "GRANARY_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Write results as JSON, one value a line
    #[arg(long, global = true, env = "GRANARY_JSON", value_parser = commands::switch())]
    json: bool,
    /// When to write in colour
    #[arg(
        long,
        global = true,
        env = "GRANARY_COLOR",
        value_enum,
        value_name = "WHEN",
        default_value = "auto"
    )]
    color: Color,
    /// The file of settings; an empty name is none [default: granary.toml, if it is there]
    #[arg(long, global = true, env = "GRANARY_CONFIG", value_name = "FILE")]
    config: Option<OsString>,
}

/// When to write in colour.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

impl Color {
    /// What a command line says, also one that is wrong: that is told in colour or not too.
    fn of(args: &[OsString]) -> Self {
        let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        let typed = args
            .iter()
            .enumerate()
            .find_map(|(place, arg)| match arg.strip_prefix("--color")? {
                "" => args.get(place + 1).map(|value| value.to_string()),
                rest => rest.strip_prefix('=').map(str::to_owned),
            });
        let named = typed.or_else(|| std::env::var("GRANARY_COLOR").ok());
        let named = named.and_then(|name| clap::ValueEnum::from_str(&name, false).ok());
        named.unwrap_or(Self::Auto)
    }

    /// Has all that is written from here on follow it.
    fn take_effect(self) {
        match self {
            Self::Auto => {}
            Self::Always => anstream::ColorChoice::Always.write_global(),
            Self::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

impl Global {
    /// A client of the server, with the key that is given.
    fn client(&self) -> anyhow::Result<granary_client::Client> {
        let options = granary_client::ClientOptions {
            api_key: key_given::api_key(self.key_file.as_deref())?,
            ca_file: self.ca_file.clone(),
            on_starting: Some(tell_starting),
        };
        Ok(granary_client::Client::with(&self.server, options)?)
    }
}

/// Tells once that a server which is starting is waited for.
fn tell_starting(server: &granary_client::Url) {
    static TOLD: Once = Once::new();
    let (server, most) = (
        server.as_str().trim_end_matches('/'),
        granary_client::STARTING_MAX,
    );
    TOLD.call_once(|| {
        Output::new(false).note(format_args!(
            "the server at {server} is starting; waiting for it, {} s at the most",
            most.as_secs()
        ));
    });
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    Bulk(bulk::Bulk),
    #[command(subcommand)]
    Task(task::Task),
    Receipts(receipts::Receipts),
    Get(get::Get),
    List(list::List),
    Export(export::Export),
    Import(import::Import),
    Check(check::Check),
    Bench(bench::Bench),
    #[command(subcommand)]
    Source(source::Source),
    /// Profiles: what a resource of a type looks like
    #[command(subcommand)]
    Profile(Profile),
    /// Relationship definitions: what a relationship of a type joins
    #[command(subcommand)]
    RelationshipDefinition(definition::Definition),
    #[command(subcommand)]
    Vocabulary(vocabulary::Vocabulary),
    #[command(subcommand)]
    Key(key::Key),
    Config(config::Config),
    Completions(manual::Completions),
    #[command(name = "man")]
    Manual(manual::Manual),
}

/// What profiles are there for.
#[derive(Debug, Subcommand)]
enum Profile {
    #[command(flatten)]
    Stored(definition::Definition),
    Infer(infer::Infer),
}

fn main() -> std::process::ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    let line = match settings::complete(given.clone(), &Cli::command()) {
        Ok(line) => line,
        Err(error) => return exit::code(Err(error), true, &mut Output::new(false)),
    };
    Color::of(&line.args).take_effect();
    let cli = match Cli::try_parse_from(&line.args) {
        Ok(cli) => cli,
        Err(error) => return exit::wrong_command_line(error, &line, &Cli::command()),
    };
    let mut output = Output::new(cli.global.json);
    let only_shows = matches!(
        &cli.command,
        Command::Receipts(_)
            | Command::Get(_)
            | Command::List(_)
            | Command::Task(task::Task::List(_))
            | Command::Config(_)
            | Command::Completions(_)
            | Command::Manual(_)
    );
    let ended = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(run(cli, &given, &mut output));
            // A read of stdin that is under way cannot be called off, and is no reason to stay.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error.into()),
    };
    exit::code(ended, only_shows, &mut output)
}

async fn run(cli: Cli, given: &[OsString], output: &mut Output) -> anyhow::Result<Ended> {
    let client = || cli.global.client();
    match cli.command {
        Command::Serve(command) => command.run(output).await,
        Command::Demo(command) => command.run(output).await,
        Command::Bulk(command) => command.run(&client()?, output).await,
        Command::Task(command) => command.run(&client()?, output).await,
        Command::Receipts(command) => command.run(&client()?, output).await,
        Command::Get(command) => command.run(&client()?, output).await,
        Command::List(command) => command.run(&client()?, output).await,
        Command::Export(command) => command.run(&client()?, output).await,
        Command::Import(command) => command.run(&client()?, output).await,
        Command::Check(command) => command.run(output).await,
        Command::Bench(command) => command.run(cli.global.key_file.as_deref(), output).await,
        Command::Source(command) => command.run(&client()?, output).await,
        Command::Profile(Profile::Stored(command)) => {
            command.run(DefinitionKind::Profile, &client()?, output).await
        }
        Command::Profile(Profile::Infer(command)) => command.run(output).await,
        Command::RelationshipDefinition(command) => {
            command
                .run(DefinitionKind::RelationshipDefinition, &client()?, output)
                .await
        }
        Command::Vocabulary(command) => command.run(&client()?, output).await,
        Command::Key(command) => command.run(client, output).await,
        Command::Config(config) => {
            let command = Cli::command();
            let given = config::Given {
                command: &command,
                args: given,
            };
            config.run(&given, output)
        }
        Command::Completions(command) => command.run(Cli::command(), output),
        Command::Manual(command) => command.run(Cli::command(), output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn colour_is_told_by_any_command_line() {
        let of = |args: &[&str]| Color::of(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(matches!(of(&["granary", "x", "--color", "never"]), Color::Never));
        assert!(matches!(
            of(&["granary", "--color=always", "--nope"]),
            Color::Always
        ));
        assert!(matches!(of(&["granary", "--color"]), Color::Auto));
    }

    #[test]
    fn every_flag_has_a_variable_and_a_description() {
        fn walk(command: &clap::Command, path: &str) {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                let Some(long) = arg.get_long().filter(|long| !matches!(*long, "help" | "version")) else {
                    continue;
                };
                // Those that mean something else elsewhere.
                let of = match long {
                    _ if path.ends_with("demo") => "DEMO_",
                    _ if path.ends_with("bench") => "BENCH_",
                    "role" | "source" | "name" if path.ends_with("key create") => "KEY_",
                    "failures" if path.ends_with("bulk") => "BULK_",
                    "format" if path.ends_with("export") => "EXPORT_",
                    "limit" if path.ends_with("infer") => "INFER_",
                    "from" | "to" if path == "granary list" => "LIST_",
                    "output" if path.ends_with("man") => "MAN_",
                    _ => "",
                };
                let variable = format!("GRANARY_{of}{}", long.to_uppercase().replace('-', "_"));
                let env = arg.get_env().and_then(|env| env.to_str());
                if !arg.is_global_set() {
                    assert_eq!(env, Some(variable.as_str()), "{path} --{long}");
                }
                assert!(arg.get_help().is_some(), "{path} --{long} says nothing");
            }
            for inner in command.get_subcommands() {
                assert!(
                    inner.get_about().is_some(),
                    "{path} {} says nothing",
                    inner.get_name()
                );
                walk(inner, &format!("{path} {}", inner.get_name()));
            }
        }
        walk(&Cli::command(), "granary");
    }
}
