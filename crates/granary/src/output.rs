//! What people and programs get to see: lines, tables, JSON, errors.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Effects, Style};
use granary_client::Error;
use granary_client::api::bulk::RejectedReceipt;
use granary_core::error::{Detail, ErrorObject};
use serde::Serialize;

/// Headings.
pub(crate) const BOLD: Style = Style::new().effects(Effects::BOLD);
/// What is less important than the rest.
pub(crate) const DIM: Style = Style::new().effects(Effects::DIMMED);
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().effects(Effects::BOLD);
/// What did not.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
/// What a reader should look at.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().effects(Effects::BOLD);
/// Names: commands, paths, keys.
pub(crate) const NAME: Style = AnsiColor::Cyan.on_default();

/// The colours of `--help`, those of `cargo`.
pub(crate) const HELP: Styles = Styles::styled()
    .header(GOOD)
    .usage(GOOD)
    .literal(AnsiColor::Cyan.on_default().effects(Effects::BOLD))
    .placeholder(NAME)
    .error(BAD)
    .valid(NAME)
    .invalid(WARN);

/// How many faults of a rejected request or failures of a task are shown.
pub(crate) const FAULTS_SHOWN: usize = 20;

/// Text in a style, for `format!`. Streams that are no terminal get the text alone.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Where results and messages go.
pub(crate) struct Output {
    /// Results as JSON.
    pub(crate) json: bool,
    /// As it is: data has whatever characters it has, also those that begin a style on a terminal.
    stdout: BufWriter<io::Stdout>,
    stdout_is_terminal: bool,
    /// False where lines go without styles.
    is_styled: bool,
}

impl Output {
    /// Output of results as JSON, or as text.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            stdout: BufWriter::with_capacity(64 * 1024, io::stdout()),
            stdout_is_terminal: io::stdout().is_terminal(),
            is_styled: AutoStream::choice(&io::stdout()) != ColorChoice::Never,
        }
    }

    /// Writes a line of a result.
    pub(crate) fn line(&mut self, line: impl Display) -> anyhow::Result<()> {
        match self.is_styled {
            true => writeln!(self.stdout, "{line}")?,
            false => writeln!(self.stdout, "{}", strip_str(&line.to_string()))?,
        }
        if self.stdout_is_terminal {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes a result as one line of JSON.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.stdout, value).map_err(io::Error::from)?;
        self.line("")
    }

    /// Writes JSON as it is, as a line; with its names in a style where that is shown.
    pub(crate) fn pretty(&mut self, json: &str) -> anyhow::Result<()> {
        let text = indented(json, self.is_styled);
        self.raw(text.as_bytes())?;
        self.line("")
    }

    /// Writes a piece of a result as it is.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// Writes what is held back.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.stdout.flush()?)
    }

    /// Writes rows under a header, or a JSON line each.
    pub(crate) fn rows<T: Serialize>(
        &mut self,
        header: &[&str],
        items: &[T],
        cells: impl Fn(&T) -> Vec<String>,
    ) -> anyhow::Result<()> {
        if self.json {
            return items.iter().try_for_each(|item| self.json_line(item));
        }
        let rows: Vec<_> = items.iter().map(cells).collect();
        let table = Table::fit(header, &rows);
        self.line(table.header(header))?;
        rows.iter().try_for_each(|row| self.line(table.row(row)))
    }

    /// Tells, on stderr, what has been done, as `cargo` does: `    Uploaded airports.ndjson`.
    pub(crate) fn status(&self, verb: &str, text: impl Display) {
        self.note(format_args!("{GOOD}{verb:>12}{GOOD:#} {text}"));
    }

    /// The same for what a reader should look at.
    pub(crate) fn status_bad(&self, verb: &str, text: impl Display) {
        self.note(format_args!("{BAD}{verb:>12}{BAD:#} {text}"));
    }

    /// Tells something on stderr. Nobody reading it is no reason to stop.
    pub(crate) fn note(&self, text: impl Display) {
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }

    /// Tells on stderr why a command failed, with every fault that the server named.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.note(format_args!(
            "{BAD}error{BAD:#}: {}",
            in_our_words(&format!("{error:#}"))
        ));
        if let Some(Error::Refused {
            error,
            status,
            request_id,
        }) = error.downcast_ref()
        {
            for line in fault_lines(error) {
                self.note(format_args!("  {line}"));
            }
            if *status == 404 && error.message.starts_with("source '") {
                self.note("  create it with `granary source apply`; `granary source list` shows those that there are");
            }
            if *status == 401 && !error.message.contains(NO_KEY) {
                self.note("  give the key in GRANARY_API_KEY, or the file that holds it with --key-file");
            }
            if let (500.., Some(id)) = (status, request_id) {
                self.note(format_args!("  {DIM}the request id is {id}{DIM:#}"));
            }
        }
    }
}

/// How a server says that a call carries no key, for those that speak HTTP,
const NO_KEY: &str = "send one in X-API-Key or Authorization: Bearer";
/// and that a source can be deleted with all it holds.
const PURGE: &str = "?purge=true";

/// What a server says, with the flags of the command line in place of what stands in HTTP.
fn in_our_words(message: &str) -> String {
    let message = message.replace(
        NO_KEY,
        "give it in GRANARY_API_KEY, or the file that holds it with --key-file",
    );
    let key = message
        .split_once("source '")
        .and_then(|(_, rest)| rest.split_once('\''));
    let key = key.map_or("KEY", |(key, _)| key);
    let message = message.replace(PURGE, &format!("`granary source delete {key} --purge`"));
    message.replace("?incomplete=true", "--incomplete")
}

/// Columns wide enough for what they hold.
pub(crate) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Columns that these rows fit in.
    pub(crate) fn fit(header: &[&str], rows: &[Vec<String>]) -> Self {
        let mut widths: Vec<usize> = header.iter().map(|cell| width(cell)).collect();
        for row in rows {
            for (width_max, cell) in widths.iter_mut().zip(row) {
                *width_max = width(cell).max(*width_max);
            }
        }
        Self { widths }
    }

    /// The line of the header.
    pub(crate) fn header(&self, header: &[&str]) -> String {
        let cells: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
        styled(BOLD, self.row(&cells))
    }

    /// The line of a row. A number stands right, all else left.
    pub(crate) fn row(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (column, (cell, width_max)) in row.iter().zip(&self.widths).enumerate() {
            let gap = " ".repeat(width_max.saturating_sub(width(cell)));
            let last = column + 1 == row.len();
            let number = visible(cell).chars().all(|c| c.is_ascii_digit() || c == ',');
            match (number, last) {
                (true, _) => line.extend([&gap, cell.as_str()]),
                (false, false) => line.extend([cell.as_str(), &gap]),
                (false, true) => line.push_str(cell),
            }
            if !last {
                line.push_str("  ");
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// A cell without its colours, which most have none of.
fn visible(cell: &str) -> Cow<'_, str> {
    match cell.contains('\x1b') {
        true => anstream::adapter::strip_str(cell).to_string().into(),
        false => cell.into(),
    }
}

fn width(cell: &str) -> usize {
    visible(cell).chars().count()
}

/// The faults of an error, a line each: where, and what.
pub(crate) fn fault_lines(error: &ErrorObject) -> Vec<String> {
    let path_width = error
        .details
        .iter()
        .filter_map(|detail| detail.path.as_deref())
        .map(width)
        .max()
        .unwrap_or(0);
    let line = |Detail { path, message, .. }: &Detail| match path {
        Some(path) if path_width <= 60 => format!("{NAME}{path:path_width$}{NAME:#}  {message}"),
        Some(path) => format!("{NAME}{path}{NAME:#}  {message}"),
        None => message.clone(),
    };
    let mut lines: Vec<_> = error.details.iter().map(line).collect();
    let shown = lines.len() as u64;
    if let Some(total) = error.details_total.filter(|total| *total > shown) {
        lines.push(styled(DIM, format_args!("… {} faults in all", count(total))));
    }
    lines
}

/// The failures of a rejected request, readable: each operation with its faults below it.
pub(crate) fn rejected_lines(failures: &[RejectedReceipt]) -> Vec<String> {
    rejected_lines_at(failures, count)
}

/// The same, each operation called by its index as `place` has it.
pub(crate) fn rejected_lines_at(failures: &[RejectedReceipt], place: impl Fn(u64) -> String) -> Vec<String> {
    let mut lines = Vec::new();
    for failure in failures {
        let index = failure.index.unwrap_or_default();
        let Some(error) = &failure.error else { continue };
        let faults = fault_lines(error);
        let head = format!("operation {}", place(index));
        // With its faults below, the message would only sum them up.
        lines.push(match faults.is_empty() {
            true => format!("{}  {}", styled(BOLD, head), error.message),
            false => styled(BOLD, head),
        });
        lines.extend(faults.into_iter().map(|fault| format!("  {fault}")));
    }
    lines
}

/// A number for people: `28,298`.
pub(crate) fn count(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

/// A number with its noun: `1 operation`, `2 operations`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A size for people, in powers of 1,000: `7.5 MB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// A time for people: `4 ms`, `1.3 s`, `2 min 5 s`.
pub(crate) fn elapsed(time: Duration) -> String {
    match time.as_millis() {
        // Nothing takes no time.
        0..1_000 => format!("{} ms", time.as_millis().max(1)),
        1_000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60),
    }
}

/// How many a second; nothing where the time is too short to tell.
pub(crate) fn rate(number: u64, time: Duration) -> Option<String> {
    (time >= Duration::from_millis(1)).then(|| count((number as f64 / time.as_secs_f64()) as u64))
}

/// JSON for people: indented, in colour, every value as it is written.
pub(crate) fn pretty(json: &str) -> String {
    indented(json, true)
}

fn indented(json: &str, is_styled: bool) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut rest = json.trim();
    let indent = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(first) = rest.chars().next() {
        let token_len = match first {
            '"' => string_len(rest),
            '{' | '[' | '}' | ']' | ',' | ':' => 1,
            _ => rest
                .find([',', '}', ']', ':', ' ', '\n', '\r', '\t'])
                .unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(token_len);
        rest = after.trim_start();
        match first {
            '{' | '[' if rest.starts_with(['}', ']']) => text.push_str(token),
            '{' | '[' => {
                depth += 1;
                text.push_str(token);
                indent(&mut text, depth);
            }
            '}' | ']' => {
                // Right after its opening nothing was indented.
                if !text.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    indent(&mut text, depth);
                }
                text.push_str(token);
            }
            ',' => {
                text.push(',');
                indent(&mut text, depth);
            }
            ':' => text.push_str(": "),
            '"' if rest.starts_with(':') && is_styled => text.push_str(&styled(NAME, token)),
            _ => text.push_str(token),
        }
    }
    text
}

/// The length of the JSON string that `json` starts with.
fn string_len(json: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

/// A value of the wire as people see it there: `SUCCESS`.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(serde_json::Value::Null) | Err(_) => String::new(),
        Ok(other) => {
            let mut text = String::new();
            let _ = write!(text, "{other}");
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_its_values_stay() {
        let json = r#"{"a":[1.10,-0,{}],"b" : {"c":"x, \"y\": [","d":[]},"e":null}"#;
        let pretty = pretty(json);
        let expected = "{\n  \"a\": [\n    1.10,\n    -0,\n    {}\n  ],\n  \"b\": {\n    \"c\": \"x, \\\"y\\\": [\",\n    \"d\": []\n  },\n  \"e\": null\n}";
        assert_eq!(visible(&pretty), expected);
    }

    #[test]
    fn what_stands_in_http_is_said_as_it_is_typed() {
        assert_eq!(
            in_our_words("source 'a' holds 2 profiles; delete them first, or all of it with ?purge=true"),
            "source 'a' holds 2 profiles; delete them first, or all of it with `granary source delete a --purge`"
        );
        assert!(in_our_words(&format!("the call carries no key; {NO_KEY}")).ends_with("with --key-file"));
        assert_eq!(in_our_words("as it is"), "as it is");
    }

    #[test]
    fn broken_json_is_shown_all_the_same() {
        for json in ["", "{", "\"a", "}}]", "[1,", "é"] {
            pretty(json);
        }
    }

    #[test]
    fn columns_hold_what_they_hold() {
        let rows = [
            vec!["airport".to_owned(), "9".to_owned(), styled(GOOD, "ok")],
            vec!["x".into(), "1,000".into(), "y".into()],
        ];
        let table = Table::fit(&["TYPE", "COUNT", "STATUS"], &rows);
        assert_eq!(visible(&table.row(&rows[0])), "airport      9  ok");
        assert_eq!(visible(&table.row(&rows[1])), "x        1,000  y");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(
            (size(999), size(34_835), size(7_501_064)),
            ("999 B".into(), "35 kB".into(), "7.5 MB".into())
        );
        assert_eq!(elapsed(Duration::from_micros(999)), "1 ms");
        assert_eq!(elapsed(Duration::from_millis(999)), "999 ms");
        assert_eq!(elapsed(Duration::from_millis(1_300)), "1.3 s");
        assert_eq!(elapsed(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(rate(500, Duration::from_millis(10)), Some("50,000".into()));
        assert_eq!(rate(500, Duration::ZERO), None);
        assert_eq!(
            (counted(1, "operation"), counted(2_000, "operation")),
            ("1 operation".into(), "2,000 operations".into())
        );
    }
}
