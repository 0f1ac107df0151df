//! `granary config`: what is in force, and whence.

use std::ffi::OsString;

use clap::{Args, Command};
use serde::Serialize;

use crate::exit::Ended;
use crate::output::{Output, WARN, styled};
use crate::settings::{self, Flag, limit_variable};
use crate::store::StoreAt;

/// Show the settings that are in force, and where each comes from
///
/// A flag comes from the command line, else from its variable, else from the settings file, else it has its default.
/// Flags that have no value are left out. The settings file is granary.toml in the current folder, or the one that
/// --config or GRANARY_CONFIG names. Its keys are the names of flags. Those that mean something else elsewhere are in tables,
/// as their variables say: GRANARY_DEMO_LISTEN is listen in [demo], GRANARY_EXPORT_FORMAT is format in [export]. Limits are by
/// their names in [limits]:
///
///   server = "https://granary.example"
///   key-file = "writer.key"
///   source = "clinic"
///
///   [limits]
///   jsonDepth = 32
///
/// Passwords are not shown.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Config {}

/// One of them.
#[derive(Serialize)]
struct Setting {
    key: String,
    value: String,
    from: String,
}

/// What stands on the command line of `config` itself: the flags that every command has.
pub(crate) struct Given<'a> {
    /// The command line that is defined.
    pub(crate) command: &'a Command,
    /// What was typed.
    pub(crate) args: &'a [OsString],
}

impl Config {
    pub(crate) fn run(self, given: &Given<'_>, output: &mut Output) -> anyhow::Result<Ended> {
        let mut all: Vec<Setting> = settings::flags(given.command)
            .iter()
            .filter_map(|flag| in_force(flag, given))
            .collect();
        if let Some(key) = std::env::var_os("GRANARY_API_KEY").filter(|key| !key.is_empty()) {
            all.push(Setting {
                key: "API key".to_owned(),
                value: format!("{} characters, not shown", key.len()),
                from: "GRANARY_API_KEY".to_owned(),
            });
        }
        if let Ok(level) = std::env::var("GRANARY_LOG") {
            all.push(Setting {
                key: "log".to_owned(),
                value: level,
                from: "GRANARY_LOG".to_owned(),
            });
        }
        let limits = settings::limits()?;
        all.extend(limits.table().iter().map(|row| limit(row.name, row.value)));
        output.rows(&["KEY", "VALUE", "FROM"], &all, |setting| {
            vec![setting.key.clone(), setting.value.clone(), setting.from.clone()]
        })?;
        for unknown in settings::unknown_variables(given.command) {
            output.note(format_args!("{}: {unknown}", styled(WARN, "warning")));
        }
        Ok(Ended::Well)
    }
}

/// What a flag is, if it is anything.
fn in_force(flag: &Flag, given: &Given<'_>) -> Option<Setting> {
    let (value, from) = typed(flag, given)
        .map(|value| (value, "command line".to_owned()))
        .or_else(|| {
            let value = std::env::var_os(&flag.variable)?;
            Some((value.to_string_lossy().into_owned(), flag.variable.clone()))
        })
        .or_else(|| {
            let file = settings::in_force()?;
            let value = file.value(flag)?.shown();
            Some((value, file.path.display().to_string()))
        })
        .or_else(|| Some((flag.default.clone()?, "default".to_owned())))?;
    Some(Setting {
        key: flag.name(),
        value: if flag.secret {
            without_password(&value)
        } else {
            value
        },
        from,
    })
}

/// What a flag that every command has is on this command line.
fn typed(flag: &Flag, given: &Given<'_>) -> Option<String> {
    let own = flag.table.is_none()
        && given
            .command
            .get_arguments()
            .any(|arg| arg.get_long() == Some(&flag.key));
    let long = format!("--{}", flag.key);
    let mut args = given.args.iter().map(|arg| arg.to_string_lossy()).filter(|_| own);
    while let Some(arg) = args.next() {
        match arg.strip_prefix(&long) {
            Some("") if flag.takes == settings::Takes::Nothing => return Some("true".to_owned()),
            Some("") => return args.next().map(|value| value.into_owned()),
            Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
            _ => {}
        }
    }
    None
}

fn limit(name: &str, value: u64) -> Setting {
    let variable = limit_variable(name);
    let from = match std::env::var_os(&variable) {
        Some(_) => variable,
        None => match settings::in_force().filter(|file| file.has_limit(name)) {
            Some(file) => file.path.display().to_string(),
            None => "default".to_owned(),
        },
    };
    Setting {
        key: format!("limits.{name}"),
        value: value.to_string(),
        from,
    }
}

/// A store as it may be shown.
fn without_password(store: &str) -> String {
    match store.parse::<StoreAt>() {
        Ok(at) => at.to_string(),
        Err(_) => "not shown: it is no store".to_owned(),
    }
}
