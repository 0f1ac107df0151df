//! Reading properties.

use std::collections::HashSet;

use super::Reading;
use crate::error::{ErrorObject, ErrorType};
use crate::fault::Path;
use crate::profile::document::Node;
use crate::profile::fields::{Fields, Property, Value, ValueType};
use crate::profile::types::{TYPES, TypeShape, type_named};

const MEMBERS: [&str; 6] = ["type", "description", "items", "properties", "rules", "binding"];

impl Reading<'_> {
    /// Reads the properties of an object. `depth` is their nesting; those of the definition itself have 1.
    pub(super) fn properties(&mut self, node: &Node<'_>, path: &Path<'_>, depth: u64) -> Fields {
        let Node::Object(members) = node else {
            self.wrong_type(node, path, "an object");
            return Fields::default();
        };
        if !self.allows_depth(path, depth) {
            return Fields::default();
        }
        let mut seen = HashSet::new();
        let mut properties = Vec::new();
        for (name, node) in members {
            let here = path.name(name);
            self.properties_count += 1;
            if !seen.insert(&**name) {
                self.duplicate(&here, name);
                continue;
            }
            self.name_as_key(name, &here);
            if let Some((value, required)) = self.value(node, &here, depth) {
                properties.push((name.to_string(), Property { required, value }));
            }
        }
        Fields::new(properties)
    }

    fn allows_depth(&mut self, path: &Path<'_>, depth: u64) -> bool {
        let Some((_, limits)) = self.beside else {
            return true;
        };
        if depth <= limits.definition_depth {
            return true;
        }
        let error = ErrorObject::over_limit("the nesting", "definitionDepth", limits.definition_depth);
        self.faults
            .add_as(ErrorType::ContentTooLarge, path, "definitionDepth", || {
                error.message
            });
        false
    }

    /// Reads a property or the `items` of an array, and whether it is required. `None` if its type is not usable.
    fn value(&mut self, node: &Node<'_>, path: &Path<'_>, depth: u64) -> Option<(Value, bool)> {
        self.object(node, path, &MEMBERS);
        self.description(node, path);
        let shape = self.shape(node, path);
        let items = node.member("items");
        let items_type = match (items, shape) {
            (None, Some(TypeShape::Array)) => {
                self.missing(node, path, "items");
                None
            }
            (Some(items), Some(TypeShape::Array) | None) => {
                let here = path.name("items");
                if self.allows_depth(&here, depth + 1) {
                    self.value(items, &here, depth + 1)
                } else {
                    None
                }
            }
            (Some(_), Some(_)) => {
                let message = || "items are only for the type array".to_owned();
                self.faults.add(&path.name("items"), "items", message);
                None
            }
            (None, _) => None,
        };
        let properties = node.member("properties");
        let fields = match (properties, shape) {
            (None, Some(TypeShape::Object)) => {
                self.missing(node, path, "properties");
                None
            }
            (Some(properties), Some(TypeShape::Object | TypeShape::Later) | None) => {
                Some(self.properties(properties, &path.name("properties"), depth + 1))
            }
            (Some(_), Some(_)) => {
                let message = || "properties are only for the type object and for complex types".to_owned();
                self.faults.add(&path.name("properties"), "properties", message);
                None
            }
            (None, _) => None,
        };
        let value_type = match shape {
            Some(TypeShape::Text(text)) => Some(ValueType::Text(text)),
            Some(TypeShape::Boolean) => Some(ValueType::Boolean),
            Some(TypeShape::Integer) => Some(ValueType::Integer),
            Some(TypeShape::Decimal) => Some(ValueType::Decimal),
            Some(TypeShape::Array) => {
                // An array whose items are at fault still has rules to be judged.
                let item = items_type.map_or_else(any_value, |(value, _)| value);
                Some(ValueType::Array(Box::new(item)))
            }
            Some(TypeShape::Object) => Some(ValueType::Object(Box::new(fields.unwrap_or_default()))),
            Some(TypeShape::Later) | None => None,
        };
        self.binding(node, path, shape);
        let (rules, required) = match node.member("rules") {
            Some(rules) => self.rules(rules, &path.name("rules"), value_type.as_ref()),
            None => (Vec::new(), false),
        };
        let value = Value {
            value_type: value_type?,
            rules: rules.into(),
        };
        Some((value, required))
    }

    fn shape(&mut self, node: &Node<'_>, path: &Path<'_>) -> Option<TypeShape> {
        let here = path.name("type");
        let Some(value) = node.member("type") else {
            self.missing(node, path, "type");
            return None;
        };
        let Some(name) = value.text() else {
            self.wrong_type(value, &here, "the name of a type, which is a string");
            return None;
        };
        let shape = type_named(name);
        match shape {
            None => {
                let known = TYPES.iter().map(|(known, _)| *known);
                self.faults.add_unknown(&here, "type", "type", name, known);
            }
            Some(TypeShape::Later) => {
                let message = || format!("the type {name} is not supported yet");
                self.faults
                    .add_as(ErrorType::Unimplemented, &here, "type", message);
            }
            Some(_) => {}
        }
        shape
    }

    fn binding(&mut self, node: &Node<'_>, path: &Path<'_>, shape: Option<TypeShape>) {
        if node.member("binding").is_none() {
            return;
        }
        let here = path.name("binding");
        let bindable = match shape {
            Some(TypeShape::Text(text)) => text.name == "code",
            Some(TypeShape::Later) => node.member("type").and_then(Node::text) == Some("coding"),
            Some(_) => false,
            None => return,
        };
        if bindable {
            let message = || "a binding to a vocabulary is not supported yet".to_owned();
            self.faults
                .add_as(ErrorType::Unimplemented, &here, "binding", message);
        } else {
            let message = || "a binding is only for the types code and coding".to_owned();
            self.faults.add(&here, "binding", message);
        }
    }
}

/// Stands for items that are at fault; such a definition is refused.
fn any_value() -> Value {
    Value {
        value_type: ValueType::Boolean,
        rules: Box::default(),
    }
}
