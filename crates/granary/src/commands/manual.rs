//! `granary completions` and `granary man`: what is made from the definition of the command line.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::exit::Ended;
use crate::output::{Output, counted};

/// Write completions for a shell
///
/// bash:  granary completions bash > ~/.local/share/bash-completion/completions/granary
/// zsh:   granary completions zsh > "${fpath[1]}/_granary"
/// fish:  granary completions fish > ~/.config/fish/completions/granary.fish
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut command: Command, output: &mut Output) -> anyhow::Result<Ended> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "granary", &mut script);
        output.raw(&script)?;
        Ok(Ended::Well)
    }
}

/// Write the manual as man pages
///
/// That of granary, or of a command such as `bulk` or `task watch`:
///
///   granary man bulk | man -l -
///   granary man --output /usr/local/share/man/man1
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Manual {
    /// The command that the page is of
    #[arg(value_name = "COMMAND", conflicts_with = "output")]
    command: Vec<String>,
    /// The folder to write all pages to, a file each
    #[arg(short, long, env = "GRANARY_MAN_OUTPUT", value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    output: Option<PathBuf>,
}

impl Manual {
    pub(crate) fn run(self, mut command: Command, output: &mut Output) -> anyhow::Result<Ended> {
        command.build();
        if let Some(folder) = self.output {
            let cannot = || format!("cannot write man pages to {}", folder.display());
            std::fs::create_dir_all(&folder).with_context(cannot)?;
            let written = write_all(&command, &folder).with_context(cannot)?;
            output.status(
                "Written",
                format_args!("{} to {}", counted(written, "page"), folder.display()),
            );
            return Ok(Ended::Well);
        }
        let mut of = &command;
        for name in &self.command {
            let Some(inner) = of.find_subcommand(name) else {
                let known = of.get_subcommands().map(Command::get_name);
                let hint = granary_core::did_you_mean(name, known);
                bail!(
                    "'{}' has no command '{name}'{hint}",
                    of.get_bin_name().unwrap_or("granary")
                );
            };
            of = inner;
        }
        output.raw(&page(of)?)?;
        Ok(Ended::Well)
    }
}

/// The page of a command.
fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // A date would make each build another page.
    Man::new(command.clone())
        .date("")
        .manual("Granary")
        .render(&mut page)?;
    Ok(page)
}

fn write_all(command: &Command, folder: &std::path::Path) -> std::io::Result<u64> {
    let mut written = 1;
    // `granary help` says what the pages say.
    let shown = |inner: &&Command| !inner.is_hide_set() && inner.get_name() != "help";
    for inner in command.get_subcommands().filter(shown) {
        written += write_all(inner, folder)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    std::fs::write(folder.join(format!("{name}.1")), page(command)?)?;
    Ok(written)
}
