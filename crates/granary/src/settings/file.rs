//! The settings file: read, and judged against the flags that there are.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Command;
use granary_core::limits::Limits;
use granary_core::{closest, did_you_mean};

use super::flags::{Flag, Takes, Value, flags};

/// A file with every flag in it is far smaller.
const FILE_BYTES_MAX: u64 = 1_000_000;
/// What the variables of limits begin with.
pub(super) const LIMIT_PREFIX: &str = "GRANARY_LIMIT_";
/// The table of limits.
const LIMITS: &str = "limits";

/// A settings file.
#[derive(Debug)]
pub(crate) struct SettingsFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    values: Vec<(Flag, Value)>,
    limits: Vec<(String, u64)>,
}

impl SettingsFile {
    /// Reads a file. All that is in it must be known: a misspelt key must not be taken as none.
    pub(super) fn read(path: &Path, command: &Command) -> anyhow::Result<Self> {
        use std::io::Read;
        let cannot = || format!("cannot read the settings in {}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).with_context(cannot)?;
        let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
        if read.with_context(cannot)? as u64 > FILE_BYTES_MAX {
            bail!("{}: it is longer than {FILE_BYTES_MAX} bytes", cannot());
        }
        Self::parse(path.to_owned(), &text, command).with_context(cannot)
    }

    pub(super) fn parse(path: PathBuf, text: &str, command: &Command) -> anyhow::Result<Self> {
        // The message shows the line that is wrong, which may hold a password.
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            anyhow::anyhow!("line {line} is not TOML: {}", error.message())
        })?;
        let known = flags(command);
        let mut settings = Self {
            path,
            values: Vec::new(),
            limits: Vec::new(),
        };
        for (key, value) in &table {
            match value {
                toml::Value::Table(inner) if key == LIMITS => settings.take_limits(inner)?,
                toml::Value::Table(inner) => {
                    let mut tables = known.iter().filter_map(|flag| flag.table.as_deref());
                    if !tables.any(|table| table == key) {
                        let tables = known.iter().filter_map(|flag| flag.table.as_deref());
                        let hint = did_you_mean(key, tables.chain([LIMITS]));
                        bail!("there is no table [{key}]{hint}");
                    }
                    for (inner_key, value) in inner {
                        settings.take(&known, Some(key), inner_key, value)?;
                    }
                }
                value => settings.take(&known, None, key, value)?,
            }
        }
        Ok(settings)
    }

    fn take(
        &mut self,
        known: &[Flag],
        table: Option<&str>,
        key: &str,
        value: &toml::Value,
    ) -> anyhow::Result<()> {
        let of_table = || known.iter().filter(|flag| flag.table.as_deref() == table);
        let Some(flag) = of_table().find(|flag| flag.key == key) else {
            if key.replace('_', "-") == "api-key" {
                bail!(
                    "an API key does not stand in a settings file; name the file that holds it with key-file = \"…\""
                );
            }
            let hint = did_you_mean(key, of_table().map(|flag| flag.key.as_str()));
            let place = table.map(|table| format!(" in [{table}]")).unwrap_or_default();
            bail!("there is no key '{key}'{place}{hint}; keys are the names of flags, see `granary --help`");
        };
        if flag.key == "config" {
            bail!("'config' names this file, and does not stand in it");
        }
        let name = flag.name();
        let value = match (flag.takes, value) {
            (Takes::Nothing, toml::Value::Boolean(on)) => Value::Switch(*on),
            (Takes::Nothing, _) => bail!("'{name}' is true or false"),
            (Takes::Many, toml::Value::Array(elements)) => {
                let texts: Option<Vec<String>> = elements.iter().map(text).collect();
                Value::Texts(texts.with_context(|| format!("'{name}' takes strings"))?)
            }
            (_, value) => {
                let text = text(value).with_context(|| format!("'{name}' takes a string or a number"))?;
                Value::Texts(vec![text])
            }
        };
        self.values.push((flag.clone(), value));
        Ok(())
    }

    fn take_limits(&mut self, table: &toml::Table) -> anyhow::Result<()> {
        let mut judge = Limits::default();
        for (name, value) in table {
            let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
            let number = number.with_context(|| format!("the limit {name} is a whole number from 1 on"))?;
            set(&mut judge, name, number)?;
            self.limits.push((name.clone(), number));
        }
        Ok(())
    }

    /// What it says of a flag.
    pub(crate) fn value(&self, flag: &Flag) -> Option<&Value> {
        let found = self
            .values
            .iter()
            .find(|(known, _)| known.variable == flag.variable);
        found.map(|(_, value)| value)
    }

    /// True where it sets this limit.
    pub(crate) fn has_limit(&self, name: &str) -> bool {
        self.limits.iter().any(|(known, _)| known == name)
    }
}

fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Sets a limit; one that is not known is told with what was likely meant.
fn set(limits: &mut Limits, name: &str, value: u64) -> anyhow::Result<()> {
    let names: Vec<&str> = limits.table().iter().map(|row| row.name).collect();
    if !names.contains(&name) {
        bail!(
            "no limit is named '{name}'{}",
            did_you_mean(name, names.into_iter())
        );
    }
    Ok(limits.set(name, value)?)
}

/// The limits in force, by a file and variables. Variables of limits that there are not are refused: what was meant would
/// not be in force.
pub(super) fn limits(
    file: Option<&SettingsFile>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> anyhow::Result<Limits> {
    let mut limits = Limits::default();
    for (name, value) in file.iter().flat_map(|file| &file.limits) {
        set(&mut limits, name, *value)?;
    }
    let names: Vec<&str> = limits.table().iter().map(|row| row.name).collect();
    let known: Vec<String> = names.iter().map(|name| limit_variable(name)).collect();
    for (variable, value) in variables {
        let Some(variable) = variable.to_str().filter(|name| name.starts_with(LIMIT_PREFIX)) else {
            continue;
        };
        let Some(place) = known.iter().position(|known| known == variable) else {
            // What they have in common says nothing of which is meant.
            let known = known.iter().filter_map(|known| known.strip_prefix(LIMIT_PREFIX));
            let near = closest(&variable[LIMIT_PREFIX.len()..], known);
            let hint = near.map_or_else(String::new, |near| {
                format!(", did you mean '{LIMIT_PREFIX}{near}'?")
            });
            bail!("{variable} names no limit{hint}; all of them are in docs/limits.md and at GET /limits");
        };
        let value = value.to_string_lossy();
        let wrong = || format!("{variable} is '{value}'; give it a whole number from 1 on");
        limits
            .set(names[place], value.parse().with_context(wrong)?)
            .with_context(wrong)?;
    }
    Ok(limits)
}

/// The variable that sets a limit: `GRANARY_LIMIT_JSON_DEPTH` for `jsonDepth`.
pub(crate) fn limit_variable(name: &str) -> String {
    let mut variable = LIMIT_PREFIX.to_owned();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            variable.push('_');
        }
        variable.push(letter.to_ascii_uppercase());
    }
    variable
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parsed(toml: &str) -> Result<SettingsFile, String> {
        let parsed = SettingsFile::parse("granary.toml".into(), toml, &crate::Cli::command());
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_was_likely_meant() {
        for (toml, part) in [
            ("soruce = \"x\"", "no key 'soruce', did you mean 'source'?"),
            ("[dmeo]\nexit = true", "no table [dmeo], did you mean 'demo'?"),
            (
                "[demo]\nexti = true",
                "no key 'exti' in [demo], did you mean 'exit'?",
            ),
            (
                "[limits]\njsonDeep = 3",
                "no limit is named 'jsonDeep', did you mean 'jsonDepth'?",
            ),
            ("[limits]\njsonDepth = 0", "cannot be 0"),
            ("[limits]\njsonDepth = \"3\"", "a whole number"),
            ("wait = \"yes\"", "'wait' is true or false"),
            ("listen = true", "takes a string"),
            ("api-key = \"granary_x\"", "key-file"),
            ("config = \"x\"", "names this file"),
            ("a =", "line 1 is not TOML"),
        ] {
            let wrong = parsed(toml).unwrap_err();
            assert!(wrong.contains(part), "{toml}: {wrong}");
        }
    }

    #[test]
    fn what_is_no_toml_is_not_shown() {
        let wrong = parsed("json = true\nstore = \"postgres://ada:secret@host\" x").unwrap_err();
        assert!(wrong.contains("line 2") && !wrong.contains("secret"), "{wrong}");
    }

    #[test]
    fn variables_of_limits_win_over_the_file_and_must_be_known() {
        let file = parsed("[limits]\njsonDepth = 9\nlistLimit = 20").unwrap();
        let variable =
            |name: &str, value: &str| vec![(OsString::from(name), OsString::from(value))].into_iter();
        let limits = |name: &str, value: &str| super::limits(Some(&file), variable(name, value));
        let in_force = limits("GRANARY_LIMIT_JSON_DEPTH", "10").unwrap();
        assert_eq!((in_force.json_depth, in_force.list_limit), (10, 20));
        let unknown = limits("GRANARY_LIMIT_JSON_DEPHT", "10").unwrap_err().to_string();
        assert!(
            unknown.contains("names no limit, did you mean 'GRANARY_LIMIT_JSON_DEPTH'?; all"),
            "{unknown}"
        );
        assert!(limits("GRANARY_LIMIT_JSON_DEPTH", "0").is_err());
        assert!(limits("GRANARY_LIMIT_JSON_DEPTH", "x").is_err());
        assert!(limits("GRANARY_LIMIT", "x").is_ok());
        assert_eq!(
            limit_variable("tasksWaitingPerSource"),
            "GRANARY_LIMIT_TASKS_WAITING_PER_SOURCE"
        );
    }
}
