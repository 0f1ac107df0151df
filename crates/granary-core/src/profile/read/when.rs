//! Reading `when`: after the rest of a definition, since a condition may name any property of it.

use std::collections::HashSet;

use super::Reading;
use super::when_path::{Layout, Step, Unfinished, kind};
use crate::fault::Path;
use crate::profile::document::Node;
use crate::profile::fields::{Fields, Value, ValueType};
use crate::profile::types::TextType;
use crate::profile::value::{self, Decimal};
use crate::profile::when::{Condition, Guarded, Relation, Test, Wanted, Whens, fold};

const OPERATORS: [&str; 8] = ["eq", "lt", "gt", "any", "all", "and", "or", "not"];
/// What stands for any text, and alone for any value.
const WILDCARD: char = '*';
/// The most values that the conditions of one definition compare with: each may be compared with every value of a record.
const VALUES_MAX: usize = 1_000;

impl Reading<'_> {
    /// Reads the conditional rules of a definition with these `properties`, which were read as `fields`.
    pub(super) fn whens<'n>(&mut self, properties: &'n Node<'_>, fields: &'n Fields) -> Option<Box<Whens>> {
        // Paths into items that are at fault would be told as faults of the conditions.
        if !self.conditional || self.items_at_fault {
            return None;
        }
        let mut layout = Layout {
            fields,
            root: Unfinished::default(),
            tests: Vec::new(),
            values: 0,
        };
        let path = Path::ROOT;
        self.whens_of_fields(
            &mut layout,
            properties,
            fields,
            &path.name("properties"),
            &mut Vec::new(),
        );
        if layout.values > VALUES_MAX {
            let message = || {
                let count = layout.values;
                format!("the conditions compare with {count} values, at most {VALUES_MAX} allowed")
            };
            self.faults.add(&path.name("properties"), "when", message);
        }
        Some(Box::new(Whens {
            root: layout.root.finish(0),
            tests: layout.tests.into(),
        }))
    }

    fn whens_of_fields<'n>(
        &mut self,
        layout: &mut Layout<'n>,
        node: &'n Node<'_>,
        fields: &'n Fields,
        path: &Path<'_>,
        steps: &mut Vec<Step<'n>>,
    ) {
        let Node::Object(members) = node else { return };
        let mut seen = HashSet::new();
        for (name, node) in members {
            // What is at fault itself is not there.
            if let Some(place) = fields.names.find(name)
                && seen.insert(place)
            {
                steps.push(Step::Member(name));
                let value = &fields.properties[place].value;
                self.whens_of_value(layout, node, value, &path.name(name), steps);
                steps.pop();
            }
        }
    }

    fn whens_of_value<'n>(
        &mut self,
        layout: &mut Layout<'n>,
        node: &'n Node<'_>,
        value: &'n Value,
        path: &Path<'_>,
        steps: &mut Vec<Step<'n>>,
    ) {
        if let Some(Node::Array(entries)) = node.member("rules") {
            let path = path.name("rules");
            for (entry, node) in entries.iter().enumerate() {
                let here = path.index(entry);
                let Some(when) = node.member("when") else { continue };
                let when = self.condition(layout, when, &here.name("when"), steps);
                let rules = self.guarded_rules(node, entry, &path, value);
                if let Some(when) = when {
                    let spot = layout.root.at(steps);
                    spot.kind = kind(value);
                    spot.guarded.push(Guarded {
                        when,
                        required: matches!(node.member("required"), Some(Node::Boolean(true))),
                        rules: rules.into(),
                    });
                }
            }
        }
        match (&value.value_type, node.member("items"), node.member("properties")) {
            (ValueType::Array(item), Some(items), _) => {
                steps.push(Step::Element);
                self.whens_of_value(layout, items, item, &path.name("items"), steps);
                steps.pop();
            }
            (ValueType::Object(fields), _, Some(properties)) => {
                self.whens_of_fields(layout, properties, fields, &path.name("properties"), steps);
            }
            (ValueType::Complex(_, fields), _, Some(properties)) => {
                self.whens_of_fields(layout, properties, fields, &path.name("properties"), steps);
            }
            _ => {}
        }
    }

    /// Reads an object with one operator. `steps` lead to the value whose rules it is for.
    fn condition<'n>(
        &mut self,
        layout: &mut Layout<'n>,
        node: &'n Node<'_>,
        path: &Path<'_>,
        steps: &[Step<'n>],
    ) -> Option<Condition> {
        let Node::Object(members) = node else {
            self.wrong_type(node, path, "an object with one operator");
            return None;
        };
        if members.len() != 1 {
            let message = || {
                let count = members.len();
                format!("has {count} operators, one is expected; 'and' joins several")
            };
            self.faults.add(path, "when", message);
        }
        let mut found = None;
        for (operator, node) in members {
            let here = path.name(operator);
            let condition = match &**operator {
                "and" => self
                    .conditions(layout, node, &here, steps)
                    .map(|all| Condition::And(all.into())),
                "or" => self
                    .conditions(layout, node, &here, steps)
                    .map(|all| Condition::Or(all.into())),
                "not" => self
                    .condition(layout, node, &here, steps)
                    .map(|condition| Condition::Not(Box::new(condition))),
                name if OPERATORS.contains(&name) => self.comparison(layout, name, node, &here, steps),
                name => {
                    self.faults
                        .add_unknown(&here, "when", "operator", name, OPERATORS);
                    None
                }
            };
            found = found.or(condition);
        }
        found
    }

    fn conditions<'n>(
        &mut self,
        layout: &mut Layout<'n>,
        node: &'n Node<'_>,
        path: &Path<'_>,
        steps: &[Step<'n>],
    ) -> Option<Vec<Condition>> {
        let elements = self.not_empty(node, path, "an array of objects with one operator each")?;
        let mut all = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            all.extend(self.condition(layout, element, &path.index(index), steps));
        }
        (all.len() == elements.len()).then_some(all)
    }

    fn not_empty<'n>(
        &mut self,
        node: &'n Node<'n>,
        path: &Path<'_>,
        expected: &str,
    ) -> Option<&'n [Node<'n>]> {
        match node {
            Node::Array(elements) if elements.is_empty() => {
                self.faults.add(path, "when", || "is empty".to_owned());
                None
            }
            Node::Array(elements) => Some(elements),
            _ => {
                self.wrong_type(node, path, expected);
                None
            }
        }
    }

    /// Reads what stands in `eq`, `lt`, `gt`, `any` or `all`: one path, and what the value there is compared with.
    fn comparison<'n>(
        &mut self,
        layout: &mut Layout<'n>,
        operator: &str,
        node: &'n Node<'_>,
        path: &Path<'_>,
        steps: &[Step<'n>],
    ) -> Option<Condition> {
        let Node::Object(members) = node else {
            self.wrong_type(node, path, "an object with the path of a property and a value");
            return None;
        };
        if members.len() != 1 {
            let message = || {
                let count = members.len();
                format!("has {count} paths, one is expected; 'and' joins several comparisons")
            };
            self.faults.add(path, "when", message);
        }
        let mut found = None;
        for (text, node) in members {
            let here = path.name(text);
            let Some(target) = self.target(layout.fields, text, &here, steps) else {
                continue;
            };
            let relation = match operator {
                "lt" => Relation::AtMost,
                "gt" => Relation::AtLeast,
                _ => Relation::Equal,
            };
            let list = matches!(operator, "any" | "all");
            let values = match list {
                true => self.not_empty(node, &here, "an array of values").unwrap_or(&[]),
                false => std::slice::from_ref(node),
            };
            layout.values += values.len();
            let mut wanted = Vec::new();
            for (index, node) in values.iter().enumerate() {
                let place = here.index(index);
                let place = if list { &place } else { &here };
                wanted.extend(self.wanted(&target.value.value_type, relation, node, place));
            }
            if wanted.is_empty() {
                continue;
            }
            let mut test = |wanted: Vec<Wanted>| {
                Condition::Test(layout.add(
                    &target,
                    Test {
                        relation,
                        wanted: wanted.into(),
                        depth: target.current.1,
                    },
                ))
            };
            let condition = match operator {
                "all" => Condition::And(wanted.into_iter().map(|wanted| test(vec![wanted])).collect()),
                _ => test(wanted),
            };
            found = found.or(Some(condition));
        }
        found
    }

    /// Reads what a value of this type is compared with.
    fn wanted(
        &mut self,
        value_type: &ValueType,
        relation: Relation,
        node: &Node<'_>,
        path: &Path<'_>,
    ) -> Option<Wanted> {
        let ordered = match value_type {
            ValueType::Integer | ValueType::Decimal => true,
            ValueType::Text(text) => dates(text).is_some(),
            _ => false,
        };
        if relation != Relation::Equal && !ordered {
            self.faults.add(path, "when", || {
                let name = value_type.name();
                format!("lt and gt are for numbers, dates and times, not for the type {name}")
            });
            return None;
        }
        if relation == Relation::Equal && node.text() == Some("*") {
            return Some(Wanted::Present);
        }
        let wanted = match (value_type, node) {
            (ValueType::Boolean, Node::Boolean(value)) => Ok(Wanted::Boolean(*value)),
            (ValueType::Integer, Node::Number(raw)) => value::integer(raw).map(Wanted::Integer),
            (ValueType::Decimal, Node::Number(raw)) => {
                Decimal::parse(raw).map(|_| Wanted::Decimal((*raw).into()))
            }
            (ValueType::Text(text_type), Node::String(text)) => text_wanted(text_type, text),
            (ValueType::Object(_) | ValueType::Complex(..), _) => {
                Err("an object is compared with '*' alone, name one of its properties")
            }
            (value_type, other) => {
                self.faults.add(path, "when", || {
                    let (json, name) = (value_type.json(), value_type.name());
                    format!("expected {json} ({name}), found {}", other.kind_name())
                });
                return None;
            }
        };
        wanted
            .map_err(|wrong| self.faults.add(path, "when", || wrong.to_owned()))
            .ok()
    }
}

/// How texts of this type are compared as moments, if they are.
fn dates(text_type: &TextType) -> Option<fn(Box<str>) -> Wanted> {
    match text_type.name {
        "date" | "datetime" | "instant" => Some(Wanted::Date),
        "time" => Some(Wanted::Time),
        _ => None,
    }
}

fn text_wanted(text_type: &TextType, text: &str) -> Result<Wanted, &'static str> {
    let as_moment = dates(text_type);
    let folded = text_type.name == "symbol" && text_type.names.is_none();
    if as_moment.is_none() && text.contains(WILDCARD) {
        let parts = text.split(WILDCARD).map(|part| match folded {
            true => fold(part).collect::<String>().into(),
            false => part.into(),
        });
        return Ok(Wanted::Like {
            parts: parts.collect(),
            folded,
        });
    }
    if let Some(form) = text_type.form {
        form(text)?;
    }
    Ok(match as_moment {
        Some(wanted) => wanted(text.into()),
        None if folded => Wanted::Folded(fold(text).collect::<String>().into()),
        None => Wanted::Text(text.into()),
    })
}
