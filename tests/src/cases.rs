//! The table of values in `tests/cases`, as its README describes it. Values are cut out of the files as they stand.

use std::path::Path;

use granary_core::json::{Kind, Scanner};

/// The profiles that are there beside the one with the properties of a table.
pub const NEIGHBOURS: [(&str, &str); 2] = [
    ("other", r#"{"properties":{}}"#),
    ("part", r#"{"type":"CONTAINED","properties":{}}"#),
];

/// One file.
#[derive(Debug)]
pub struct Table {
    /// The name of the file, without its ending.
    pub name: String,
    /// The profile with the properties.
    pub profile: String,
    /// What is stored: the `data` as it is sent and as it is kept.
    pub accepted: Vec<(String, String)>,
    /// What is refused.
    pub refused: Vec<Refused>,
}

/// A record that is refused.
#[derive(Debug)]
pub struct Refused {
    /// Its `data`.
    pub data: String,
    /// Pointers from `data` on and rules, in order.
    pub faults: Vec<(String, String)>,
}

/// Every table in the folder, in the order of their names.
pub fn tables(folder: &Path) -> Vec<Table> {
    let files = std::fs::read_dir(folder).expect("the folder of the tables is there");
    let mut tables: Vec<Table> = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let name = path.file_stem().and_then(|name| name.to_str());
            let text = std::fs::read_to_string(&path).expect("a table is readable");
            Table::parse(name.expect("a name"), &text)
        })
        .collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    tables
}

impl Table {
    fn parse(name: &str, text: &str) -> Self {
        let (mut property, mut properties) = (None, None);
        let mut lists = [("accepted", ""), ("kept", ""), ("refused", "")];
        for (member, value) in members(text) {
            match member.as_str() {
                "property" => property = Some(value),
                "properties" => properties = Some(value),
                other => {
                    let list = lists.iter_mut().find(|(known, _)| *known == other);
                    let (_, list) = list.unwrap_or_else(|| panic!("{name}: {other}"));
                    *list = value;
                }
            }
        }
        let [(_, accepted), (_, kept), (_, refused)] = lists;
        let profile = match (property, properties) {
            (Some(property), None) => format!(r#"{{"properties":{{"v":{property}}}}}"#),
            (None, Some(properties)) => format!(r#"{{"properties":{properties}}}"#),
            _ => panic!("{name}: either property or properties"),
        };
        let of_one = property.is_some();
        let data = |value: &str| match of_one {
            true => format!(r#"{{"v":{value}}}"#),
            false => value.to_owned(),
        };
        let mut table = Self {
            name: name.to_owned(),
            profile,
            accepted: elements(accepted)
                .map(|value| (data(value), data(value)))
                .collect(),
            refused: Vec::new(),
        };
        for pair in elements(kept) {
            let [(_, sent), (_, kept)] = <[_; 2]>::try_from(members(pair)).expect("sent and kept");
            table.accepted.push((data(sent), data(kept)));
        }
        for one in elements(refused) {
            let [(_, value), (_, faults)] = <[_; 2]>::try_from(members(one)).expect("value and faults");
            let faults = elements(faults).map(|fault| {
                let fault: Vec<String> = elements(fault).map(text_of).collect();
                let [pointer, rule] = <[_; 2]>::try_from(fault).expect("pointer and rule");
                let pointer = if of_one { format!("/v{pointer}") } else { pointer };
                (pointer, rule)
            });
            let mut faults: Vec<_> = faults.collect();
            faults.sort();
            table.refused.push(Refused {
                data: data(value),
                faults,
            });
        }
        table
    }
}

const DEPTH: usize = 512;

/// The members of a JSON object, their values as they stand.
pub fn members(json: &str) -> Vec<(String, &str)> {
    let mut nothing = Vec::new();
    let mut scanner = Scanner::new(json.as_bytes(), DEPTH, &mut nothing);
    assert_eq!(scanner.peek(), Ok(Kind::Object), "{json}");
    scanner.open().expect("not too deep");
    let mut members = Vec::new();
    while let Some(name) = scanner.member(members.is_empty()).expect("an object") {
        let start = scanner.offset();
        scanner.skip().expect("a value");
        members.push((name.decode().into_owned(), &json[start..scanner.offset()]));
    }
    members
}

/// The elements of a JSON array as they stand; none where there is no array.
fn elements(json: &str) -> impl Iterator<Item = &str> {
    let mut nothing = Vec::new();
    let mut scanner = Scanner::new(json.as_bytes(), DEPTH, &mut nothing);
    let mut elements = Vec::new();
    if !json.is_empty() {
        assert_eq!(scanner.peek(), Ok(Kind::Array), "{json}");
        scanner.open().expect("not too deep");
        while scanner.element(elements.is_empty()).expect("an array") {
            let start = scanner.offset();
            scanner.skip().expect("a value");
            elements.push(&json[start..scanner.offset()]);
        }
    }
    elements.into_iter()
}

fn text_of(json: &str) -> String {
    let mut nothing = Vec::new();
    let mut scanner = Scanner::new(json.as_bytes(), DEPTH, &mut nothing);
    scanner.string().expect("a string").decode().into_owned()
}
