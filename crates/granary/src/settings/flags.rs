//! Every flag by the name that it has in the settings file, which follows from its variable: `GRANARY_LOG_FORMAT` is
//! `log-format`, and `GRANARY_DEMO_LISTEN` is `listen` in the table `[demo]`.

use clap::{Arg, ArgAction, Command};

/// What a flag is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flag {
    /// The table it is in, where its name means something else elsewhere.
    pub(crate) table: Option<String>,
    /// Its key, as it is typed on the command line.
    pub(crate) key: String,
    /// Its variable.
    pub(crate) variable: String,
    /// What it takes.
    pub(crate) takes: Takes,
    /// What it is unless something else is said, where it is anything.
    pub(crate) default: Option<String>,
    /// It may hold a password.
    pub(crate) secret: bool,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing: it is there or not.
    Nothing,
    /// A value.
    One,
    /// Values, in an array or one.
    Many,
}

/// What a settings file says of a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Of one that takes nothing.
    Switch(bool),
    /// Of others, as they would be typed.
    Texts(Vec<String>),
}

impl Flag {
    /// The flag that an argument is; `None` of a positional one, and of those that no file sets.
    pub(crate) fn of(arg: &Arg) -> Option<Self> {
        let key = arg.get_long()?.to_owned();
        let variable = arg.get_env()?.to_str()?.to_owned();
        let own = key.to_uppercase().replace('-', "_");
        let table = variable.strip_prefix("GRANARY_")?.strip_suffix(&own)?;
        let table = table.strip_suffix('_').map(str::to_lowercase);
        let takes = match arg.get_action() {
            ArgAction::SetTrue => Takes::Nothing,
            ArgAction::Append => Takes::Many,
            _ => Takes::One,
        };
        let default = arg
            .get_default_values()
            .first()
            .filter(|_| takes != Takes::Nothing);
        Some(Self {
            table,
            key,
            variable,
            takes,
            default: default.map(|value| value.to_string_lossy().into_owned()),
            secret: arg.is_hide_env_values_set(),
        })
    }

    /// Its name in messages: `demo.listen`.
    pub(crate) fn name(&self) -> String {
        match &self.table {
            Some(table) => format!("{table}.{}", self.key),
            None => self.key.clone(),
        }
    }
}

/// Every flag of a command line, once.
pub(crate) fn flags(command: &Command) -> Vec<Flag> {
    fn walk(command: &Command, found: &mut Vec<Flag>) {
        for flag in command.get_arguments().filter_map(Flag::of) {
            match found.iter_mut().find(|known| known.variable == flag.variable) {
                // A default that only some commands have is none.
                Some(known) if known.default != flag.default => known.default = None,
                Some(_) => {}
                None => found.push(flag),
            }
        }
        command.get_subcommands().for_each(|inner| walk(inner, found));
    }
    let mut found = Vec::new();
    walk(command, &mut found);
    found
}

impl Value {
    /// As it would be typed.
    pub(crate) fn as_flags(&self, long: &str) -> Vec<String> {
        match self {
            Self::Switch(false) => Vec::new(),
            Self::Switch(true) => vec![format!("--{long}")],
            Self::Texts(texts) => texts.iter().map(|text| format!("--{long}={text}")).collect(),
        }
    }

    /// As it is shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Switch(on) => on.to_string(),
            Self::Texts(texts) => texts.join(","),
        }
    }
}
