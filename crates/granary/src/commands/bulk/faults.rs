//! Many faults told as few: those of one kind together, with where the first of them are. A file with one wrong column has
//! the same fault in each of its rows, and another one must not drown in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use granary_core::error::ErrorObject;

use super::lines::SentFile;
use crate::output::{DIM, FAULTS_SHOWN, NAME, count, counted, styled};

/// Kinds of faults that are held while they are read; of more, the number alone.
const GROUPS_MAX: usize = 1_000;
/// Operations that are named of each kind.
const PLACES_MAX: usize = 3;

/// Faults by their kind.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    groups: Vec<Group>,
    known: HashMap<String, usize>,
    /// Faults of kinds that came when there were too many.
    others: u64,
}

/// Faults of one kind.
#[derive(Debug)]
struct Group {
    /// Where in its operation the first is.
    path: Option<String>,
    /// What is said of the first.
    message: String,
    count: u64,
    /// The first operations that have it.
    places: Vec<u64>,
}

impl Faults {
    /// Takes in what is wrong with an operation.
    pub(crate) fn take(&mut self, index: u64, error: &ErrorObject) {
        if error.details.is_empty() {
            let message = format!("{} {}", error.code, error.message);
            let kind = kind_of(error.error_type, None, None, &error.message);
            self.add(index, kind, None, &message);
        }
        for detail in &error.details {
            let (path, rule) = (detail.path.as_deref(), detail.rule.as_deref());
            let kind = kind_of(detail.error_type, rule, path, &detail.message);
            self.add(index, kind, path, &detail.message);
        }
        let told = error.details.len() as u64;
        self.others += error.details_total.map_or(0, |total| total.saturating_sub(told));
    }

    fn add(&mut self, index: u64, kind: String, path: Option<&str>, message: &str) {
        let place = match self.known.get(&kind) {
            Some(place) => *place,
            None if self.groups.len() == GROUPS_MAX => {
                self.others += 1;
                return;
            }
            None => {
                self.known.insert(kind, self.groups.len());
                self.groups.push(Group {
                    path: path.map(str::to_owned),
                    message: message.to_owned(),
                    count: 0,
                    places: Vec::new(),
                });
                self.groups.len() - 1
            }
        };
        let group = &mut self.groups[place];
        group.count += 1;
        if group.places.len() < PLACES_MAX && group.places.last() != Some(&index) {
            group.places.push(index);
        }
    }

    /// Tells them, a line a kind, the most frequent first; with the lines of the file that was sent, where there is one.
    pub(crate) async fn told(mut self, file: Option<&SentFile>) -> Vec<String> {
        self.groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        let hidden = self.groups.len().saturating_sub(FAULTS_SHOWN);
        let hidden_faults: u64 = self
            .groups
            .iter()
            .skip(FAULTS_SHOWN)
            .map(|group| group.count)
            .sum();
        self.groups.truncate(FAULTS_SHOWN);
        let wanted: BTreeSet<u64> = self
            .groups
            .iter()
            .flat_map(|group| group.places.clone())
            .collect();
        let lines = match file {
            Some(file) => file.lines_of(wanted).await,
            None => BTreeMap::new(),
        };
        let mut told: Vec<String> = self.groups.iter().map(|group| group.told(&lines)).collect();
        let faults = hidden_faults + self.others;
        if faults > 0 {
            let kinds = match (hidden, self.others) {
                (hidden, 0) => format!(" of {}", counted(hidden as u64, "other kind")),
                _ => " of other kinds".to_owned(),
            };
            told.push(styled(
                DIM,
                format_args!("… and {}{kinds}", counted(faults, "fault")),
            ));
        }
        told
    }
}

impl Group {
    fn told(&self, lines: &BTreeMap<u64, u64>) -> String {
        let path = match &self.path {
            Some(path) => format!("{NAME}{path}{NAME:#}: "),
            None => String::new(),
        };
        let places: Vec<String> = self.places.iter().map(|index| place(*index, lines)).collect();
        let (noun, more) = (
            if places.len() == 1 {
                "operation"
            } else {
                "operations"
            },
            if self.count > places.len() as u64 {
                ", …"
            } else {
                ""
            },
        );
        format!(
            "{} × {path}{}; {noun} {}{more}",
            count(self.count),
            self.message,
            places.join(", ")
        )
    }
}

/// `7 (line 9)`: an operation counted from 0, and the line that it was sent in.
pub(crate) fn place(index: u64, lines: &BTreeMap<u64, u64>) -> String {
    match lines.get(&index) {
        Some(line) => format!("{} (line {})", count(index), count(*line)),
        None => count(index),
    }
}

/// What faults of one kind have in common: all but values, indexes and numbers.
fn kind_of(
    error_type: granary_core::error::ErrorType,
    rule: Option<&str>,
    path: Option<&str>,
    message: &str,
) -> String {
    let path: Vec<&str> = path.unwrap_or_default().split('/').map(without_index).collect();
    let (rule, path) = (rule.unwrap_or_default(), path.join("/"));
    format!("{error_type:?}\n{rule}\n{path}\n{}", without_values(message))
}

fn without_index(segment: &str) -> &str {
    match !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()) {
        true => "*",
        false => segment,
    }
}

/// A message without what is quoted in it, and without numbers.
fn without_values(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let mut quoted = false;
    let mut last = ' ';
    for c in message.chars() {
        match c {
            // An apostrophe inside a word opens nothing.
            '\'' if quoted || !last.is_alphanumeric() => {
                quoted = !quoted;
                kept.push(c);
            }
            _ if quoted => {}
            '0'..='9' if last.is_ascii_digit() => {}
            '0'..='9' => kept.push('0'),
            _ => kept.push(c),
        }
        last = c;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &str, rule: &str, message: &str) -> ErrorObject {
        let error = serde_json::json!({"code": 400, "type": "INVALID_ARGUMENT", "message": "x", "details": [
            {"type": "INVALID_ARGUMENT", "message": message, "path": path, "rule": rule}]});
        serde_json::from_value(error).unwrap()
    }

    fn plain(lines: &[String]) -> Vec<String> {
        let plain = |line: &String| anstream::adapter::strip_str(line).to_string();
        lines.iter().map(plain).collect()
    }

    #[tokio::test]
    async fn faults_of_one_kind_are_told_once_and_a_rare_one_is_seen() {
        let mut faults = Faults::default();
        for index in 0..5_000 {
            faults.take(
                index,
                &error("/create/data/sku", "required", "property 'sku' is required"),
            );
            if index == 4_000 {
                faults.take(index, &error("/create/data/n", "type", "'x 7' is not an integer"));
            }
        }
        let told = plain(&faults.told(None).await);
        assert_eq!(
            told,
            [
                "5,000 × /create/data/sku: property 'sku' is required; operations 0, 1, 2, …",
                "1 × /create/data/n: 'x 7' is not an integer; operation 4,000"
            ]
        );
    }

    #[tokio::test]
    async fn values_and_indexes_make_no_kind() {
        let mut faults = Faults::default();
        for index in 0..50 {
            let (path, message) = (
                format!("/create/data/tags/{index}"),
                format!(
                    "'don't {index}' is not an integer (line {}, column 'n')",
                    index + 2
                ),
            );
            faults.take(index, &error(&path, "type", &message));
            // Both of one operation: it is named once.
            faults.take(index, &error(&path, "type", &message));
            let conflict = serde_json::json!({"code": 409, "type": "ALREADY_EXISTS",
                "message": format!("record with id 'a{index}' already exists")});
            faults.take(index, &serde_json::from_value(conflict).unwrap());
        }
        let told = plain(&faults.told(None).await);
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(
            told[0].starts_with("100 × /create/data/tags/0: 'don't 0'"),
            "{told:#?}"
        );
        assert!(told[0].ends_with("; operations 0, 1, 2, …"), "{told:#?}");
        assert_eq!(
            told[1],
            "50 × 409 record with id 'a0' already exists; operations 0, 1, 2, …"
        );
    }

    #[tokio::test]
    async fn kinds_without_end_do_not_fill_memory() {
        let mut faults = Faults::default();
        for index in 0..3_000 {
            faults.take(
                index,
                &error(&format!("/create/data/p{index}"), "unknown", "not known"),
            );
        }
        assert_eq!(faults.groups.len(), GROUPS_MAX);
        let told = plain(&faults.told(None).await);
        assert_eq!(told.len(), FAULTS_SHOWN + 1);
        assert_eq!(told[FAULTS_SHOWN], "… and 2,980 faults of other kinds");
    }
}
