//! What strace writes, line by line: calls that begin, and calls that end.

use anyhow::{Context, Result, bail, ensure};

/// A call that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// What stands between the parentheses.
    pub(super) arguments: String,
}

/// What a line tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Begun(Call),
    /// With what it returned; `None` where it did not.
    Ended(Call, Option<i64>),
    /// Nothing of a call: a signal, or the end of a thread.
    Other,
}

/// A line: which thread, at what microsecond, and what it tells, in this order.
pub(super) struct Line {
    pub(super) thread: u32,
    pub(super) at: u64,
    /// When the call had ended that it tells the end of.
    pub(super) ended: u64,
    pub(super) told: Vec<Told>,
}

/// Reads lines; holds the calls that have begun and not ended.
#[derive(Default)]
pub(super) struct Reader {
    begun: std::collections::HashMap<u32, Call>,
}

impl Reader {
    pub(super) fn line(&mut self, line: &str) -> Result<Line> {
        self.parse(line).with_context(|| {
            let short: String = line.chars().take(300).collect();
            format!("strace wrote a line that is not understood: {short}")
        })
    }

    fn parse(&mut self, line: &str) -> Result<Line> {
        let (thread, rest) = line.trim_end().split_once(' ').context("no thread")?;
        let (at, rest) = rest.trim_start().split_once(' ').context("no time")?;
        let (thread, at) = (thread.parse()?, micros(at)?);
        let mut ended = at;
        let told = if rest.starts_with("+++") || rest.starts_with("---") {
            vec![Told::Other]
        } else if let Some(rest) = rest.strip_prefix("<... ") {
            let (name, rest) = rest.split_once(" resumed>").context("no end of a call")?;
            let mut call = self.begun.remove(&thread).context("it had not begun")?;
            ensure!(call.name == name, "another call had begun: {}", call.name);
            let (arguments, result) = end(rest)?;
            call.arguments += arguments;
            vec![Told::Ended(call, result)]
        } else {
            let (name, rest) = rest.split_once('(').context("no call")?;
            let name = name.to_owned();
            if let Some(arguments) = rest.strip_suffix(" <unfinished ...>") {
                let arguments = arguments.to_owned();
                let call = Call { name, arguments };
                self.begun.insert(thread, call.clone());
                vec![Told::Begun(call)]
            } else {
                let (arguments, result) = end(rest)?;
                ended += took(rest)?;
                let arguments = arguments.to_owned();
                let call = Call { name, arguments };
                vec![Told::Begun(call.clone()), Told::Ended(call, result)]
            }
        };
        Ok(Line {
            thread,
            at,
            ended,
            told,
        })
    }
}

fn micros(time: &str) -> Result<u64> {
    let (seconds, micros) = time.split_once('.').context("no fraction of a second")?;
    ensure!(micros.len() == 6, "no microseconds");
    Ok(seconds.parse::<u64>()? * 1_000_000 + micros.parse::<u64>()?)
}

/// How long a call took, as it stands at the end of its line; nothing where it did not return.
fn took(line: &str) -> Result<u64> {
    match line.rsplit_once('<') {
        Some((_, time)) if line.ends_with('>') => micros(&time[..time.len() - 1]),
        _ => Ok(0),
    }
}

/// The arguments and what was returned, of what follows the first parenthesis.
fn end(rest: &str) -> Result<(&str, Option<i64>)> {
    let (arguments, result) = rest.rsplit_once(" = ").context("no result")?;
    let arguments = arguments.trim_end().strip_suffix(')').context("no parenthesis")?;
    let end = result.find([' ', '<']).unwrap_or(result.len());
    let result = match &result[..end] {
        "?" => None,
        number => Some(match number.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16)? as i64,
            None => number.parse()?,
        }),
    };
    Ok((arguments, result))
}

impl Call {
    /// The arguments, one by one. Strings are in hexadecimal digits, so no comma is in them.
    pub(super) fn split(&self) -> Vec<&str> {
        self.arguments.split(", ").collect()
    }

    pub(super) fn argument(&self, place: usize) -> Result<&str> {
        let found = self.split().into_iter().nth(place);
        found.with_context(|| format!("{} has no argument {place}", self.name))
    }

    /// A descriptor: its number, and the path that it is of.
    pub(super) fn descriptor(&self, place: usize) -> Result<(i64, String)> {
        let argument = self.argument(place)?;
        let (number, path) = match argument.split_once('<') {
            Some((number, path)) => (
                number,
                text(
                    path.trim_end_matches("(deleted)")
                        .strip_suffix('>')
                        .context("no end of a path")?,
                )?,
            ),
            None => (argument, String::new()),
        };
        let number = match number {
            "AT_FDCWD" => -100,
            number => number.parse()?,
        };
        Ok((number, path))
    }

    /// A string.
    pub(super) fn bytes(&self, place: usize) -> Result<Vec<u8>> {
        string(self.argument(place)?)
    }

    pub(super) fn path(&self, place: usize) -> Result<String> {
        Ok(String::from_utf8(self.bytes(place)?)?)
    }

    pub(super) fn number(&self, place: usize) -> Result<u64> {
        Ok(self.argument(place)?.parse()?)
    }

    /// All strings among the arguments, one after the other.
    pub(super) fn all_bytes(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut rest = self.arguments.as_str();
        while let Some((_, after)) = rest.split_once('"') {
            let (hex, after) = after.split_once('"').context("no end of a string")?;
            ensure!(!after.starts_with("..."), "a string that was cut off");
            all.extend(unescape(hex)?);
            rest = after;
        }
        Ok(all)
    }
}

fn string(argument: &str) -> Result<Vec<u8>> {
    let hex = argument.strip_prefix('"').context("no string")?;
    match hex.split_once('"') {
        Some((hex, "")) => unescape(hex),
        _ => bail!("a string that was cut off"),
    }
}

/// A path as strace puts it behind a descriptor.
fn text(escaped: &str) -> Result<String> {
    Ok(String::from_utf8(unescape(escaped)?)?)
}

/// Bytes that stand as `\x2f` each, where they are not written as they are.
fn unescape(escaped: &str) -> Result<Vec<u8>> {
    let escaped = escaped.as_bytes();
    let mut bytes = Vec::with_capacity(escaped.len() / 4);
    let mut at = 0;
    let digit = |at: usize| -> Result<u8> {
        let digit = escaped.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        Ok(digit.context("no hexadecimal digit")? as u8)
    };
    while let Some(byte) = escaped.get(at) {
        if *byte == b'\\' {
            ensure!(escaped.get(at + 1) == Some(&b'x'), "an escape that is not known");
            bytes.push(digit(at + 2)? << 4 | digit(at + 3)?);
            at += 4;
        } else {
            bytes.push(*byte);
            at += 1;
        }
    }
    Ok(bytes)
}

/// A path as it stands in the lines.
pub(super) fn escaped(path: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::new();
    for byte in path.bytes() {
        // Writing to a string does not fail.
        _ = write!(escaped, "\\x{byte:02x}");
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_whole_or_in_two_lines() {
        let mut reader = Reader::default();
        let line = r#"7 1795741086.000012 write(3<\x2f\x61>, "\x61\x62", 2)    = 2 <0.000085>"#;
        let line = reader.line(line).unwrap();
        let times = (line.at, line.ended);
        assert_eq!(
            (line.thread, times),
            (7, (1_795_741_086_000_012, 1_795_741_086_000_097))
        );
        let [Told::Begun(_), Told::Ended(call, Some(2))] = line.told.as_slice() else {
            panic!("{:?}", line.told)
        };
        assert_eq!(call.name, "write");
        assert_eq!(call.descriptor(0).unwrap(), (3, "/a".to_owned()));
        assert_eq!(call.bytes(1).unwrap(), b"ab");
        let begun = reader
            .line(r"7 1795741086.000013 fsync(3<\x2f\x61> <unfinished ...>")
            .unwrap();
        assert!(matches!(begun.told.as_slice(), [Told::Begun(_)]));
        let other = reader.line("8 1795741086.000014 close(4) = -1 EBADF (Bad file descriptor) <0.100000>");
        assert!(matches!(other.unwrap().told[1], Told::Ended(_, Some(-1))));
        let ended = reader
            .line("7 1795741086.000015 <... fsync resumed>) = 0 <0.000002>")
            .unwrap();
        let [Told::Ended(call, Some(0))] = ended.told.as_slice() else {
            panic!("{:?}", ended.told)
        };
        assert_eq!(call.descriptor(0).unwrap().0, 3);
        reader
            .line("7 1795741086.000015 <... fsync resumed>) = 0 <0.000002>")
            .map(|_| ())
            .unwrap_err();
    }

    #[test]
    fn what_was_cut_off_is_an_error() {
        let mut reader = Reader::default();
        let line = reader
            .line(r#"7 1795741086.000012 write(3<\x2f>, "\x61"..., 2) = 2 <0.100000>"#)
            .unwrap();
        let Told::Ended(call, _) = &line.told[1] else {
            panic!("{:?}", line.told)
        };
        call.bytes(1).unwrap_err();
        call.all_bytes().unwrap_err();
    }

    #[test]
    fn a_path_is_read_as_it_is_written() {
        assert_eq!(text(&escaped("/tmp/a b")).unwrap(), "/tmp/a b");
    }
}
