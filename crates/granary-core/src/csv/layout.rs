//! What a header means, and how a row becomes an operation by it.

use std::cell::LazyCell;
use std::collections::HashSet;
use std::ops::Deref;

use super::{Cells, Sheet};
use crate::error::ErrorObject;
use crate::fault::{Faults, Path, shown};
use crate::json::push_string;
use crate::operation::{Action, TargetType};
use crate::profile::fields::{Fields, ValueType};
use crate::schema::Schema;

/// A header that was read: what each column is, and the shape of the operations.
#[derive(Debug, Default)]
pub struct Layout {
    columns: Vec<Column>,
    /// The operation up to its first column.
    open: Vec<u8>,
    separator: String,
    id: Option<usize>,
    /// Columns of ids of ends, each with the JSON before its id.
    ends: Vec<(usize, Vec<u8>)>,
    /// True where operations have `data` though all of it is absent.
    always_data: bool,
    data: Vec<Node>,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// Where its value stands in the operation (RFC 6901).
    pointer: String,
    kind: Kind,
    array: bool,
}

/// What JSON the text of a cell becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Boolean,
    Integer,
    Decimal,
}

impl Kind {
    /// What a cell has to be.
    const fn wanted(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Boolean => "true or false",
            Self::Integer => "an integer",
            Self::Decimal => "a number",
        }
    }
}

/// A member of `data` or below it, in the order of the header.
#[derive(Debug)]
struct Node {
    /// Its name with quotes and colon.
    name: Vec<u8>,
    value: NodeValue,
}

#[derive(Debug)]
enum NodeValue {
    Cell(usize),
    Object(Vec<Node>),
}

impl Sheet {
    /// Reads the header, without its line break. The error has every fault of it.
    pub fn layout(&self, schema: &Schema, header: &[u8], details_max: u64) -> Result<Layout, ErrorObject> {
        let wrong =
            |why: String| ErrorObject::invalid(format!("the header, the first row of the CSV, {why}"));
        let header = std::str::from_utf8(header).map_err(|_| wrong("is not UTF-8".to_owned()))?;
        let mut cells = Cells::default();
        cells
            .read(header)
            .map_err(|(place, why)| wrong(format!("is not valid: its cell {} {why}", place + 1)))?;
        let mut faults = Faults::new(details_max);
        let mut layout = self.empty(schema);
        // Made once, where there is a column that is not known.
        let known = LazyCell::new(|| self.fields(schema).map(paths).unwrap_or_default());
        let mut seen = HashSet::new();
        for (place, name) in cells.iter().enumerate() {
            if !seen.insert(name) {
                faults.add(&Path::ROOT, "unique", || {
                    format!("column '{}' stands twice", shown(name))
                });
                continue;
            }
            let column = self.column(schema, &mut layout, place, name, &known, &mut faults);
            layout.columns.push(column);
        }
        self.complete(&layout, &mut faults);
        match faults.into_error() {
            None => Ok(layout),
            Some(error) => Err(ErrorObject {
                message: format!(
                    "the header, the first row of the CSV, is not valid: {}",
                    error.message
                ),
                ..error
            }),
        }
    }

    fn empty(&self, schema: &Schema) -> Layout {
        let (name, payload) = (self.action.name(), self.action.payload());
        let mut open = format!(r#"{{"action":"{name}","{payload}":{{"type":"#).into_bytes();
        push_string(&mut open, &self.type_key);
        let writes = self.action != Action::Delete;
        debug_assert!(schema.types().len() > self.type_index as usize);
        Layout {
            open,
            separator: self.separator.clone(),
            always_data: writes && self.target == TargetType::Resource,
            ..Layout::default()
        }
    }

    /// The column at this place, its part of the layout made.
    fn column(
        &self,
        schema: &Schema,
        layout: &mut Layout,
        place: usize,
        name: &str,
        known: &impl Deref<Target = Vec<String>>,
        faults: &mut Faults,
    ) -> Column {
        let payload = self.action.payload();
        let text = |pointer: String| Column {
            name: name.to_owned(),
            pointer,
            kind: Kind::Text,
            array: false,
        };
        let ends = schema.relationship_shape(self.type_index).map(|(_, ends)| ends);
        let end = match (name, ends) {
            ("from", Some(ends)) => Some(&ends.from),
            ("to", Some(ends)) => Some(&ends.to),
            _ => None,
        };
        if let Some(end) = end {
            let mut before = format!(r#","{name}":{{"type":"#).into_bytes();
            push_string(&mut before, end.profile.as_str());
            before.extend_from_slice(br#","id":"#);
            layout.ends.push((place, before));
            return text(format!("/{payload}/{name}/id"));
        }
        if name == "id" {
            layout.id = Some(place);
            return text(format!("/{payload}/id"));
        }
        let fields = self.fields(schema);
        if self.action == Action::Delete {
            faults.add(&Path::ROOT, "unknown", || {
                format!(
                    "column '{}' has no place in a DELETE, which takes ids alone",
                    shown(name)
                )
            });
            return text(String::new());
        }
        let found = fields
            .ok_or_else(String::new)
            .and_then(|fields| found(fields, name));
        match found {
            Ok((kind, array)) => {
                place_node(&mut layout.data, name, place);
                Column {
                    pointer: format!("/{payload}/data/{}", name.replace('.', "/")),
                    kind,
                    array,
                    ..text(String::new())
                }
            }
            Err(why) if why.is_empty() => {
                let always = match self.target {
                    TargetType::Resource => &["id"][..],
                    TargetType::Relationship => &["id", "from", "to"],
                };
                let known = known.iter().map(String::as_str).chain(always.iter().copied());
                faults.add_unknown(&Path::ROOT, "unknown", "column", name, known);
                text(String::new())
            }
            Err(why) => {
                faults.add(&Path::ROOT, "type", || format!("column '{}' {why}", shown(name)));
                text(String::new())
            }
        }
    }

    fn fields<'s>(&self, schema: &'s Schema) -> Option<&'s Fields> {
        let resource = schema.resource_shape(self.type_index).map(|shape| &shape.fields);
        resource.or_else(|| Some(&schema.relationship_shape(self.type_index)?.0.fields))
    }

    /// Columns without which no row can be right.
    fn complete(&self, layout: &Layout, faults: &mut Faults) {
        let has = |name: &str| layout.columns.iter().any(|column| column.name == name);
        let both_ends = has("from") && has("to");
        let (complete, needed) = match (self.target, self.action) {
            (TargetType::Resource, Action::Create) => (true, ""),
            (TargetType::Resource, _) => (has("id"), "'id'"),
            (TargetType::Relationship, Action::Delete) => {
                (has("id") || both_ends, "'id', or 'from' and 'to'")
            }
            (TargetType::Relationship, _) => (both_ends, "'from' and 'to', the ids of its ends"),
        };
        if !complete {
            let name = self.action.name();
            faults.add(&Path::ROOT, "required", || {
                format!("{name} needs the column {needed}")
            });
        }
    }
}

/// What a dotted path leads to. The error says why it is no column, nothing where there is no such property.
fn found(mut fields: &Fields, path: &str) -> Result<(Kind, bool), String> {
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        let place = fields.names.find(step).ok_or_else(String::new)?;
        let property = fields.properties.get(place).ok_or_else(String::new)?;
        let last = steps.peek().is_none();
        match &property.value.value_type {
            ValueType::Object(below) if !last => fields = below,
            ValueType::Complex(_, below) if !last => fields = below,
            value if last => return leaf(value),
            _ => return Err(String::new()),
        }
    }
    Err(String::new())
}

fn leaf(value: &ValueType) -> Result<(Kind, bool), String> {
    let scalar = |value: &ValueType| match value {
        ValueType::Text(_) => Some(Kind::Text),
        ValueType::Boolean => Some(Kind::Boolean),
        ValueType::Integer => Some(Kind::Integer),
        ValueType::Decimal => Some(Kind::Decimal),
        _ => None,
    };
    if let Some(kind) = scalar(value) {
        return Ok((kind, false));
    }
    match value {
        ValueType::Array(items) => scalar(&items.value_type)
            .map(|kind| (kind, true))
            .ok_or_else(|| "is an array of what no cell can hold; send JSON".to_owned()),
        value => {
            let below = match value {
                ValueType::Object(fields) => fields.names.iter().next(),
                ValueType::Complex(_, fields) => fields.names.iter().next(),
                _ => None,
            };
            let example = below.map_or_else(String::new, |name| format!(", such as '….{name}'"));
            Err(format!("is an object; name what is in it{example}"))
        }
    }
}

/// So many paths are compared at most to find the one that was meant.
const PATHS_MAX: usize = 2_000;

/// The dotted paths of all properties that can be columns.
fn paths(fields: &Fields) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![(String::new(), fields)];
    while let Some((before, fields)) = open.pop() {
        for (name, property) in fields.names.iter().zip(&fields.properties) {
            let path = format!("{before}{name}");
            match &property.value.value_type {
                ValueType::Object(below) => open.push((format!("{path}."), below)),
                ValueType::Complex(_, below) => open.push((format!("{path}."), below)),
                value if leaf(value).is_ok() => all.push(path),
                _ => {}
            }
            if all.len() + open.len() >= PATHS_MAX {
                return all;
            }
        }
    }
    all
}

/// Puts the cell at `place` into the tree at this dotted path, which a profile has.
fn place_node(mut nodes: &mut Vec<Node>, path: &str, place: usize) {
    let mut rest = path;
    loop {
        let (step, after) = match rest.split_once('.') {
            Some((step, after)) => (step, Some(after)),
            None => (rest, None),
        };
        let mut name = Vec::new();
        push_string(&mut name, step);
        name.push(b':');
        let Some(after) = after else {
            nodes.push(Node {
                name,
                value: NodeValue::Cell(place),
            });
            return;
        };
        let same = |node: &Node| node.name == name && matches!(node.value, NodeValue::Object(_));
        let at = nodes.iter().position(same).unwrap_or_else(|| {
            nodes.push(Node {
                name: name.clone(),
                value: NodeValue::Object(Vec::new()),
            });
            nodes.len() - 1
        });
        match &mut nodes[at].value {
            NodeValue::Object(below) => nodes = below,
            NodeValue::Cell(_) => return,
        }
        rest = after;
    }
}

impl Layout {
    /// Appends the operation that the row is to `out`. `line` is where in the file it begins, counted from 1, for the error.
    pub fn write(
        &self,
        row: &[u8],
        line: u64,
        cells: &mut Cells,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorObject> {
        let wrong = |why: String| ErrorObject::invalid(format!("line {line} {why}"));
        let row = std::str::from_utf8(row)
            .map_err(|error| wrong(format!("is not UTF-8 at byte {} of the row", error.valid_up_to())))?;
        cells.read(row).map_err(|(place, why)| {
            let name = self
                .columns
                .get(place)
                .map_or("past the last", |column| &column.name);
            wrong(format!(
                "is not valid CSV: the cell of column '{}' {why}",
                shown(name)
            ))
        })?;
        let (has, wanted) = (cells.len(), self.columns.len());
        if has != wanted {
            return Err(wrong(format!("has {has} cells and the header {wanted}")));
        }
        out.extend_from_slice(&self.open);
        if let Some(place) = self.id
            && !cells.get(place).is_empty()
        {
            out.extend_from_slice(br#","id":"#);
            push_string(out, cells.get(place));
        }
        for (place, before) in &self.ends {
            if !cells.get(*place).is_empty() {
                out.extend_from_slice(before);
                push_string(out, cells.get(*place));
                out.push(b'}');
            }
        }
        let before = out.len();
        out.extend_from_slice(br#","data":"#);
        if !self.write_object(&self.data, cells, out) && !self.always_data {
            out.truncate(before);
        }
        out.extend_from_slice(b"}}");
        Ok(())
    }

    /// Appends an object of the cells that are not empty; false where all are.
    fn write_object(&self, nodes: &[Node], cells: &Cells, out: &mut Vec<u8>) -> bool {
        let mut any = false;
        out.push(b'{');
        for node in nodes {
            let before = out.len();
            if any {
                out.push(b',');
            }
            out.extend_from_slice(&node.name);
            let written = match &node.value {
                NodeValue::Object(below) => self.write_object(below, cells, out),
                NodeValue::Cell(place) => self.write_cell(*place, cells.get(*place), out),
            };
            any |= written;
            if !written {
                out.truncate(before);
            }
        }
        out.push(b'}');
        any
    }

    fn write_cell(&self, place: usize, cell: &str, out: &mut Vec<u8>) -> bool {
        let Some(column) = self.columns.get(place).filter(|_| !cell.is_empty()) else {
            return false;
        };
        if !column.array {
            write_value(column.kind, cell, out);
            return true;
        }
        out.push(b'[');
        for (index, element) in cell.split(&*self.separator).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_value(column.kind, element, out);
        }
        out.push(b']');
        true
    }

    /// The error of the check of the operation that `row` became, with the line and the column of each fault.
    pub fn located(&self, mut error: ErrorObject, row: &[u8], line: u64) -> ErrorObject {
        let mut cells = Cells::default();
        let read = std::str::from_utf8(row).is_ok_and(|row| cells.read(row).is_ok());
        let mut told = false;
        for detail in &mut error.details {
            let path = detail.path.as_deref().unwrap_or_default();
            let own = |column: &Column| {
                let below = path.strip_prefix(&*column.pointer);
                !column.pointer.is_empty()
                    && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
            };
            let before = detail.message.clone();
            match self.columns.iter().position(own) {
                Some(place) => {
                    let column = &self.columns[place];
                    if read && detail.rule.as_deref() == Some("type") && column.kind != Kind::Text {
                        let cell = cells.get(place);
                        let element = path
                            .rsplit('/')
                            .next()
                            .and_then(|index| index.parse::<usize>().ok());
                        let value = match element.filter(|_| column.array) {
                            Some(index) => cell.split(&*self.separator).nth(index).unwrap_or_default(),
                            None => cell,
                        };
                        detail.message = format!("'{}' is not {}", shown(value), column.kind.wanted());
                    }
                    detail.message += &format!(" (line {line}, column '{}')", column.name);
                }
                None => detail.message += &format!(" (line {line})"),
            }
            if let Some(head) = error.message.strip_suffix(&before)
                && !told
            {
                error.message = format!("{head}{}", detail.message);
                told = true;
            }
        }
        error
    }
}

/// A value as JSON. One that is not of its kind stays text: the check then says that it is not.
fn write_value(kind: Kind, value: &str, out: &mut Vec<u8>) {
    match kind {
        Kind::Integer | Kind::Decimal if is_number(value.as_bytes()) => {
            out.extend_from_slice(value.as_bytes())
        }
        Kind::Boolean if value.eq_ignore_ascii_case("true") => out.extend_from_slice(b"true"),
        Kind::Boolean if value.eq_ignore_ascii_case("false") => out.extend_from_slice(b"false"),
        _ => push_string(out, value),
    }
}

/// True where it is a JSON number (RFC 8259, section 6).
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let whole = digits(text);
    if whole == 0 || (whole > 1 && text[0] == b'0') {
        return false;
    }
    let mut rest = &text[whole..];
    if let Some(part) = rest.strip_prefix(b".") {
        let length = digits(part);
        if length == 0 {
            return false;
        }
        rest = &part[length..];
    }
    if let [b'e' | b'E', power @ ..] = rest {
        let power = match power {
            [b'+' | b'-', power @ ..] => power,
            power => power,
        };
        return !power.is_empty() && digits(power) == power.len();
    }
    rest.is_empty()
}
