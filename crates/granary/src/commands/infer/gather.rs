//! The records of a file, found in whatever form they come.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use granary_client::api::definitions::Members;
use granary_core::keys::Key;
use serde_json::value::RawValue;

use super::node::{Kind, NAMES_MAX, Node};
use super::texts::Spot;
use crate::input::{CsvRows, Delimiter, Format, Opened, Records, open_sync};

/// More types than a source has are not told apart.
const TYPES_MAX: usize = 1_000;
/// Records in operations, lines of exports and other records that are looked into, as the limit `jsonDepth` has it.
const RECORDS_DEPTH_MAX: usize = 64;
/// Members of a record as `granary bulk --type` takes it.
const OF_RECORD: [&str; 7] = ["id", "type", "data", "contained", "meta", "from", "to"];
/// Lines of an export that hold no record.
const OF_EXPORT: [&str; 5] = ["export", "profile", "relationshipDefinition", "end", "error"];

/// What was found in one place that contains records.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) types: BTreeSet<String>,
    /// Records that contain something there.
    pub(super) records: u64,
    /// The most that one of them contains there.
    pub(super) most: usize,
}

/// What was learned of the records of one type.
pub(super) struct Gathered {
    pub(super) type_key: Option<String>,
    /// True where they are contained in others.
    pub(super) contained: bool,
    /// True where values are cells of CSV.
    pub(super) cells: bool,
    pub(super) records: u64,
    pub(super) data: Node,
    pub(super) contains: Vec<(String, Place)>,
    /// Records of other types, which were passed over.
    pub(super) other_types: BTreeMap<String, u64>,
    /// Columns and the properties that they are proposed as.
    pub(super) renamed: Vec<(String, String)>,
    /// True where columns `from` and `to` were taken for the ends of relationships.
    pub(super) ends_passed_over: bool,
    /// The names of the files that were read.
    pub(super) files: Vec<String>,
    separator: String,
    /// Where the record is that is taken in.
    at: Spot,
    /// How many more names may be kept.
    room: usize,
}

impl Gathered {
    pub(super) fn new(type_key: Option<String>, separator: String) -> Self {
        Self {
            type_key,
            contained: false,
            cells: false,
            records: 0,
            data: Node::default(),
            contains: Vec::new(),
            other_types: BTreeMap::new(),
            renamed: Vec::new(),
            ends_passed_over: false,
            files: Vec::new(),
            separator,
            at: Spot::default(),
            room: NAMES_MAX,
        }
    }

    /// Reads a file, or so many records of it.
    pub(super) fn read(
        &mut self,
        path: &Path,
        format: Option<Format>,
        delimiter: Option<Delimiter>,
        limit: u64,
    ) -> anyhow::Result<()> {
        let Opened {
            reader,
            format,
            delimiter,
        } = open_sync(path, format, delimiter)?;
        self.at.file = self.files.len();
        self.files.push(path.display().to_string());
        let read = match format {
            Format::Csv => self.read_csv(CsvRows::new(reader, delimiter), limit),
            Format::Json | Format::Ndjson => self.read_json(Records::new(reader), limit),
        };
        read.with_context(|| format!("cannot make anything of {}", path.display()))
    }

    fn read_json(&mut self, mut records: Records<impl std::io::BufRead>, limit: u64) -> anyhow::Result<()> {
        let mut read = 0;
        while read < limit {
            let Some((line, value)) = records.next_with_line()? else {
                break;
            };
            self.at.line = line;
            let taken = match serde_json::from_slice::<&RawValue>(value) {
                Ok(value) => self.take(value, 0),
                Err(error) => Err(anyhow::Error::new(error).context("it is no JSON")),
            };
            taken.with_context(|| format!("line {}", records.line()))?;
            read += 1;
        }
        Ok(())
    }

    /// Takes in a value, whatever it is, in so many others.
    fn take(&mut self, value: &RawValue, depth: usize) -> anyhow::Result<()> {
        must_not_be_deeper(depth)?;
        if !value.get().starts_with('{') {
            // Told as a kind of its own: it is no record.
            return self.take_data(value);
        }
        let Members(members) = serde_json::from_str(value.get())?;
        let member = |name: &str| {
            members
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| value)
        };
        if let Some(action) = member("action").and_then(|value| text(value)) {
            return match action.to_ascii_uppercase().as_str() {
                "CREATE" => member("create").map_or(Ok(()), |payload| self.take(payload, depth + 1)),
                "UPSERT" => member("upsert").map_or(Ok(()), |payload| self.take(payload, depth + 1)),
                _ => Ok(()),
            };
        }
        if let [(name, inner)] = members.as_slice() {
            match name.as_str() {
                "resource" | "relationship" => return self.take(inner, depth + 1),
                name if OF_EXPORT.contains(&name) && inner.get().starts_with(['{', '1']) => return Ok(()),
                _ => {}
            }
        }
        let of_record = |(name, _): &(String, _)| OF_RECORD.contains(&name.as_str());
        let holds_data = member("data").is_some_and(|data| data.get().starts_with('{'));
        let is_edge = member("from").is_some() && member("to").is_some();
        if members.iter().all(of_record) && (holds_data || is_edge) {
            return self.take_record(&members, false, depth);
        }
        self.count_record(None, false);
        if depth > 0 {
            return self.take_data(value);
        }
        // It names the record, as the column `id` of CSV does.
        let own: Vec<_> = members.into_iter().filter(|(name, _)| name != "id").collect();
        Ok(self.data.take_members(&own, self.at, &mut self.room, 0)?)
    }

    /// Takes in a record, and those that it contains.
    fn take_record(
        &mut self,
        members: &[(String, Box<RawValue>)],
        inside: bool,
        depth: usize,
    ) -> anyhow::Result<()> {
        must_not_be_deeper(depth)?;
        let member = |name: &str| {
            members
                .iter()
                .find(|(own, _)| own == name)
                .map(|(_, value)| value)
        };
        let type_key = member("type").and_then(|value| text(value));
        let counts = self.count_record(type_key, inside);
        if counts {
            match member("data") {
                Some(data) => self.take_data(data)?,
                None => self.data.take_object(true),
            }
        }
        let Some(contained) = member("contained").filter(|value| value.get().starts_with('{')) else {
            return Ok(());
        };
        let Members(keys) = serde_json::from_str(contained.get())?;
        for (key, records) in keys {
            let records: Vec<Members> = serde_json::from_str(records.get())?;
            if counts && !records.is_empty() {
                self.take_place(&key, &records);
            }
            for Members(record) in &records {
                self.take_record(record, true, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Counts a record; true where it is of the type that is asked for.
    fn count_record(&mut self, type_key: Option<String>, inside: bool) -> bool {
        let wanted = match (&self.type_key, &type_key) {
            (Some(wanted), Some(own)) => wanted == own,
            // The first says which.
            (None, Some(own)) if self.records == 0 && !inside => {
                self.type_key = Some(own.clone());
                true
            }
            // A record that does not say its type is of the one that there is.
            (_, None) => !inside,
            (None, Some(_)) => false,
        };
        if wanted {
            self.records += 1;
            self.contained |= inside;
        } else if let Some(own) = type_key.filter(|_| !inside)
            && (self.other_types.len() < TYPES_MAX || self.other_types.contains_key(&own))
        {
            *self.other_types.entry(own).or_default() += 1;
        }
        wanted
    }

    fn take_data(&mut self, data: &RawValue) -> anyhow::Result<()> {
        Ok(self.data.take(data, self.at, &mut self.room, 0)?)
    }

    fn take_place(&mut self, key: &str, records: &[Members]) {
        let place = match self.contains.iter().position(|(own, _)| own == key) {
            Some(place) => place,
            None if self.contains.len() == NAMES_MAX => return,
            None => {
                self.contains.push((key.to_owned(), Place::default()));
                self.contains.len() - 1
            }
        };
        let (_, place) = &mut self.contains[place];
        place.records += 1;
        place.most = place.most.max(records.len());
        for Members(record) in records {
            let own = record
                .iter()
                .find(|(name, _)| name == "type")
                .and_then(|(_, value)| text(value));
            if let Some(own) = own
                && place.types.len() < TYPES_MAX
            {
                place.types.insert(own);
            }
        }
    }

    /// Reads rows, whose cells say what they are.
    fn read_csv(&mut self, mut rows: CsvRows<impl std::io::BufRead>, limit: u64) -> anyhow::Result<()> {
        self.cells = true;
        let Some(header) = rows.next()? else { return Ok(()) };
        // Those that name records are no properties. One of `from` and `to` alone names none.
        let has = |name: &str| header.iter().any(|column| column == name);
        let joins = has("from") && has("to");
        self.ends_passed_over |= joins;
        let names = |name: &str| match name {
            "from" | "to" => joins,
            name => matches!(name, "id" | ""),
        };
        let columns: Vec<Option<Vec<String>>> = header
            .iter()
            .map(|name| (!names(name)).then(|| self.path_of(name)))
            .collect();
        let mut read = 0;
        while read < limit {
            let Some((line, cells)) = rows.next_with_line()? else {
                break;
            };
            if cells.len() != columns.len() {
                let what = format!(
                    "the row has {} cells, and the header {}",
                    cells.len(),
                    columns.len()
                );
                return Err(rows.wrong(&what).into());
            }
            read += 1;
            self.at.line = line;
            self.records += 1;
            self.data.take_object(true);
            // Objects of which a cell is there, each counted once a row.
            let mut objects = BTreeSet::new();
            for (place, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
                let Some(path) = &columns[place] else { continue };
                let mut node = &mut self.data;
                for (depth, name) in path.iter().enumerate() {
                    let Some(member) = node.member_mut(name, &mut self.room) else {
                        break;
                    };
                    node = member;
                    if depth + 1 < path.len() && objects.insert(&path[..=depth]) {
                        node.take_object(true);
                    }
                    if depth + 1 == path.len() {
                        take_cell(node, cell, &self.separator, self.at);
                    }
                }
            }
        }
        Ok(())
    }

    /// The property of a column: its dotted path, with names that properties may have.
    fn path_of(&mut self, column: &str) -> Vec<String> {
        let path: Vec<String> = column.split('.').map(property_name).collect();
        let renamed = path.join(".");
        let known = |(own, _): &(String, String)| own == column;
        if renamed != column && !self.renamed.iter().any(known) {
            self.renamed.push((column.to_owned(), renamed));
        }
        path
    }
}

fn must_not_be_deeper(depth: usize) -> anyhow::Result<()> {
    anyhow::ensure!(
        depth <= RECORDS_DEPTH_MAX,
        "records are nested more than {RECORDS_DEPTH_MAX} deep, which no server takes; is it the right file?"
    );
    Ok(())
}

/// Takes in a cell. One that holds a separator makes all of its column arrays, also in other files.
fn take_cell(node: &mut Node, cell: &str, separator: &str, at: Spot) {
    let mut is_array = node.count(Kind::Array) > 0;
    if !is_array && cell.contains(separator) {
        is_array = true;
        // Those before are arrays of one.
        let before = std::mem::take(node);
        node.kinds[Kind::Array as usize] = before.seen();
        node.element = (before.seen() > 0).then(|| Box::new(before));
    }
    match is_array {
        true => node.take_list(cell.split(separator), at),
        false => node.take_text(cell, at),
    }
}

/// `fullName` for `Full name`, where that is no key.
fn property_name(name: &str) -> String {
    if Key::parse(name).is_ok() {
        return name.to_owned();
    }
    let mut made = String::new();
    for word in name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        let (first, rest) = word.split_at(1);
        match made.is_empty() {
            true => made.push_str(&first.to_ascii_lowercase()),
            false => made.push_str(&first.to_ascii_uppercase()),
        }
        made.push_str(rest);
    }
    made.truncate(Key::LEN_MAX);
    match Key::parse(&made) {
        Ok(_) => made,
        Err(_) => format!("column-{made}"),
    }
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}
