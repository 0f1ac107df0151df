//! What stands in a block of a console: commands, each behind a `$`, and what they print. What a run prints may differ from
//! the page in what the server makes, and in how long things took.

use anyhow::{Result, bail};

use super::learned::Learned;

/// Interrupts the server that was started last, as the key does.
pub(crate) const INTERRUPT: &str = "^C";
/// Shows with which code the command before it ended.
pub(crate) const CODE: &str = "echo $?";

/// A command, and what the page says that it prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// As it is typed; of several lines where one ends with a backslash.
    pub(crate) command: String,
    pub(crate) output: String,
}

/// The commands of a block, in their order.
pub(crate) fn steps(block: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for line in block.lines() {
        let command = match line {
            INTERRUPT => Some(INTERRUPT),
            line => line.strip_prefix("$ "),
        };
        match (steps.last_mut(), command) {
            (Some(step), _) if goes_on => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            (_, Some(command)) => steps.push(Step {
                command: command.to_owned(),
                output: String::new(),
            }),
            (Some(step), None) => {
                step.output.push_str(line);
                step.output.push('\n');
                continue;
            }
            (None, None) => bail!("'{line}' stands before the first command, which begins with '$ '"),
        }
        goes_on = line.ends_with('\\');
    }
    Ok(steps)
}

/// A command and what it prints, as they stand in a page.
pub(crate) fn as_page_shows(step: &Step, output: &str) -> String {
    let sign = if step.command == INTERRUPT { "" } else { "$ " };
    format!("{sign}{}\n{output}", step.command)
}

/// True where a run has printed what the page says. A line `…` in the page stands for any lines, and at the end of a line
/// for its rest.
pub(crate) fn is_as_written(written: &str, actual: &str, learned: &mut Learned) -> bool {
    let (written, actual): (Vec<_>, Vec<_>) = (written.lines().collect(), actual.lines().collect());
    let mut tried = learned.clone();
    let same = lines_are_as_written(&written, &actual, &mut tried);
    if same {
        *learned = tried;
    }
    same
}

fn lines_are_as_written(written: &[&str], actual: &[&str], learned: &mut Learned) -> bool {
    let Some((line, rest)) = written.split_first() else {
        return actual.is_empty();
    };
    if line.trim() == "…" {
        return (0..=actual.len()).any(|left_out| {
            let mut tried = learned.clone();
            let same = lines_are_as_written(rest, &actual[left_out..], &mut tried);
            if same {
                *learned = tried;
            }
            same
        });
    }
    let Some((other, others)) = actual.split_first() else {
        return false;
    };
    line_is_as_written(line, other, learned) && lines_are_as_written(rest, others, learned)
}

fn line_is_as_written(written: &str, actual: &str, learned: &mut Learned) -> bool {
    let (written, actual) = (without_durations(written), without_durations(actual));
    let Some(begin) = written.strip_suffix('…') else {
        return learned.same(&written, &actual);
    };
    let end = actual.char_indices().nth(begin.chars().count()).map(|(at, _)| at);
    learned.same(begin, end.map_or(actual.as_str(), |end| &actual[..end]))
}

/// The line with the same time wherever it says how long something took, `in 3 ms`, `after 1.2 s`, and without rates, `(120/s)`.
fn without_durations(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    for at in 2..words.len() {
        let number = words[at - 1].parse::<f64>().is_ok();
        let unit = words[at].trim_end_matches(',');
        if number && matches!(words[at - 2], "in" | "after") && matches!(unit, "ms" | "s") {
            words[at - 1] = "0";
            words[at] = "ms";
        }
    }
    words.retain(|word| !(word.starts_with('(') && word.ends_with("/s)")));
    words.join(" ")
}

#[test]
fn commands_are_told_from_what_they_print() {
    let block = "$ granary bulk a.csv \\\n    --wait\none\n\n$ echo $?\n0\n^C\n";
    let steps = steps(block).unwrap();
    let told: Vec<_> = steps
        .iter()
        .map(|step| (step.command.as_str(), step.output.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("granary bulk a.csv \\\n    --wait", "one\n\n"),
            ("echo $?", "0\n"),
            ("^C", "")
        ]
    );
    let again: String = steps
        .iter()
        .map(|step| as_page_shows(step, &step.output))
        .collect();
    assert_eq!(again, block);
    assert!(super::console::steps("granary\n").is_err());
}

#[test]
fn only_what_differs_from_run_to_run_may_differ() {
    let id = |digit: &str| format!("bk_{}", digit.repeat(27));
    for (written, actual, same) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\n", "a\nb\n", false),
        ("a\nb\n", "a\n", false),
        ("a\n…\nd\n", "a\nb\nc\nd\n", true),
        ("a\n…\nd\n", "a\nd\n", true),
        ("a\n…\nd\n", "a\nb\n", false),
        ("all of …\n", "all of it\n", true),
        ("all of …\n", "al\n", false),
        ("3 in 2 ms\n", "3 in 1.4 s\n", true),
        ("3 in 2 ms\n", "4 in 2 ms\n", false),
        ("3 in 2 ms\n", "3 in 2 ms (1,500/s)\n", true),
        ("2 ms\n", "3 ms\n", false),
    ] {
        assert_eq!(
            is_as_written(written, actual, &mut Learned::default()),
            same,
            "{written}{actual}"
        );
    }
    let mut learned = Learned::default();
    assert!(is_as_written(&id("x"), &id("y"), &mut learned));
    assert!(!is_as_written(&id("x"), &id("z"), &mut learned));
    assert_eq!(learned.sent(&id("x")), id("y"));
}
