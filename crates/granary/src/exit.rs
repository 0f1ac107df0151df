//! How the process ends: its exit codes, and the last words of one that failed.

use std::io;
use std::process::ExitCode;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::output::Output;
use crate::settings::{self, CommandLine};

/// How a command ended that could do what was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ended {
    /// All well.
    #[default]
    Well,
    /// Some operations of a task failed or were cancelled.
    SomeFailed,
    /// A store that was to be checked could not be looked at.
    NotLookedAt,
    /// A bulk request was rejected.
    Rejected,
    /// Not well, and all has been said about it.
    Badly,
}

impl Ended {
    const fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Badly => 1,
            Self::SomeFailed | Self::NotLookedAt => 2,
            Self::Rejected => 3,
        }
    }
}

/// The exit code of a command; says why, if it failed. `only_shows` says that it does nothing but show what is there.
pub(crate) fn code(ended: anyhow::Result<Ended>, only_shows: bool, output: &mut Output) -> ExitCode {
    let ended = ended.and_then(|ended| match output.flush() {
        // What was done is done, whoever reads of it.
        Err(error) if closed_by_reader(&error) => Ok(ended),
        flushed => flushed.map(|()| ended),
    });
    match ended {
        Ok(ended) => ended.code().into(),
        // Whoever read our output has read enough, as in `granary receipts … | head`.
        Err(error) if closed_by_reader(&error) && only_shows => ExitCode::SUCCESS,
        Err(error) => {
            // Lines already written stand before the error, not after it.
            let _ = output.flush();
            output.error(&error);
            Ended::Badly.code().into()
        }
    }
}

fn closed_by_reader(error: &anyhow::Error) -> bool {
    let broken_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    error.downcast_ref::<io::Error>().is_some_and(broken_pipe)
}

/// True where a command line lacks this argument.
fn lacks(error: &clap::Error, argument: &str) -> bool {
    let lacking = error.kind() == ErrorKind::MissingRequiredArgument;
    let named = error.get(ContextKind::InvalidArg);
    lacking && matches!(named, Some(ContextValue::Strings(all)) if all.iter().any(|one| one == argument))
}

/// Shows help, the version, or what is wrong with the command line. `clap` itself would exit with 2, which is taken.
/// Flags that nobody typed are named with it: they come from the settings file.
pub(crate) fn wrong_command_line(mut error: clap::Error, line: &CommandLine, all: &Command) -> ExitCode {
    let mut command = settings::command_of(all, &line.args);
    if error.get(ContextKind::Usage).is_some() {
        // That of `clap` has what a variable or the file says as if it had to be typed.
        error.insert(
            ContextKind::Usage,
            ContextValue::StyledStr(command.render_usage()),
        );
    }
    let _ = error.print();
    if command.get_name() == "get" && lacks(&error, "<ID>") {
        Output::new(false).note("`granary list TYPE` shows the ids that there are");
    }
    let from_file = &line.from_file;
    if error.use_stderr()
        && let Some(file) = settings::in_force().filter(|_| !from_file.is_empty())
    {
        let flags = from_file
            .iter()
            .map(|flag| flag.split('=').next().unwrap_or(flag));
        let flags: Vec<&str> = flags.collect();
        let path = file.path.display();
        Output::new(false).note(format_args!(
            "{path} sets {}; `granary config` shows more",
            flags.join(", ")
        ));
    }
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => Ended::Badly.code().into(),
    }
}
