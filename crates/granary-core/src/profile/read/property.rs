//! Reading properties.

use std::collections::HashSet;
use std::sync::Arc;

use super::Reading;
use crate::error::{ErrorObject, ErrorType};
use crate::fault::Path;
use crate::profile::complex::{ComplexType, OwnField};
use crate::profile::document::Node;
use crate::profile::fields::{Binding, Fields, Property, Strength, Value, ValueType};
use crate::profile::types::{TYPES, TypeShape, type_named};

const MEMBERS: [&str; 6] = ["type", "description", "items", "properties", "rules", "binding"];

/// What types are called elsewhere, in names that are not like ours, and what they are called here.
const ELSEWHERE: [(&str, &str); 10] = [
    ("string", "symbol"),
    ("text", "symbol"),
    ("number", "decimal"),
    ("float", "decimal"),
    ("double", "decimal"),
    ("int", "integer"),
    ("long", "integer"),
    ("bool", "boolean"),
    ("timestamp", "instant"),
    ("list", "array"),
];

/// What a value inside a complex type is, whatever its definition says.
#[derive(Clone, Copy)]
struct Own {
    field: &'static OwnField,
    /// True for the elements of the field.
    element: bool,
}

impl Own {
    fn shape(self) -> TypeShape {
        match self.element {
            true => self.field.item_shape(),
            false => self.field.shape(),
        }
    }
}

impl Reading<'_> {
    /// Reads the properties of an object. `depth` is their nesting; those of the definition itself have 1.
    pub(super) fn properties(&mut self, node: &Node<'_>, path: &Path<'_>, depth: u64) -> Fields {
        let mut properties = Vec::new();
        for (name, node) in self.distinct_properties(node, path, depth) {
            let here = path.name(name);
            self.name_as_key(name, &here);
            match self.value(node, &here, depth, None) {
                Some((value, required)) => {
                    properties.push((name.to_owned(), Property { required, value }));
                }
                None => {
                    self.at_fault.insert(name.to_owned());
                }
            }
        }
        Fields::new(properties)
    }

    /// Reads what a definition adds to the fields of a complex type.
    fn own_properties(
        &mut self,
        complex: &'static ComplexType,
        node: &Node<'_>,
        path: &Path<'_>,
        depth: u64,
    ) -> Arc<Fields> {
        let plain = complex.plain();
        let mut properties: Vec<(String, Property)> = plain
            .names
            .iter()
            .zip(&plain.properties)
            .map(|(name, property)| (name.to_owned(), property.clone()))
            .collect();
        for (name, node) in self.distinct_properties(node, path, depth) {
            let here = path.name(name);
            let place = plain.names.find(name);
            let own = complex.own_fields().find(|field| field.name == name);
            let (Some(place), Some(field)) = (place, own) else {
                let noun = format!("field of {}", complex.name);
                self.faults
                    .add_unknown(&here, "unknown", &noun, name, plain.names.iter());
                continue;
            };
            let own = Own {
                field,
                element: false,
            };
            if let Some((value, required)) = self.value(node, &here, depth, Some(own)) {
                let required = required || field.is_required();
                properties[place].1 = Property { required, value };
            }
        }
        Arc::new(Fields::new(properties))
    }

    /// The members of `properties`, each name once; those given twice are faults.
    fn distinct_properties<'n>(
        &mut self,
        node: &'n Node<'_>,
        path: &Path<'_>,
        depth: u64,
    ) -> Vec<(&'n str, &'n Node<'n>)> {
        let Node::Object(members) = node else {
            self.wrong_type(node, path, "an object");
            return Vec::new();
        };
        if !self.allows_depth(path, depth) {
            return Vec::new();
        }
        self.properties_count += members.len() as u64;
        let mut seen = HashSet::new();
        let mut distinct = Vec::new();
        for (name, node) in members {
            if seen.insert(&**name) {
                distinct.push((&**name, node));
            } else {
                self.duplicate(&path.name(name), name);
            }
        }
        distinct
    }

    fn allows_depth(&mut self, path: &Path<'_>, depth: u64) -> bool {
        let Some(beside) = self.beside else {
            return true;
        };
        let limit = beside.limits.definition_depth;
        if depth <= limit {
            return true;
        }
        let error = ErrorObject::over_limit("the nesting", "definitionDepth", limit);
        self.faults
            .add_as(ErrorType::ContentTooLarge, path, "definitionDepth", || {
                error.message
            });
        false
    }

    /// Reads a property or the `items` of an array, and whether it is required. `own` is what a complex type says of
    /// it. `None` if its type is not usable.
    fn value(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        depth: u64,
        own: Option<Own>,
    ) -> Option<(Value, bool)> {
        self.object(node, path, &MEMBERS);
        self.description(node, path);
        let shape = match own {
            None => self.shape(node, path),
            Some(own) => Some(self.own_shape(node, path, own)),
        };
        let item = self.items(node, path, depth, shape, own);
        let mut fields = self.members(node, path, depth, shape);
        let mut binding = self.binding(node, path, shape);
        if let Some(TypeShape::Complex(_)) = shape
            && let Some(of_code) = binding.take()
        {
            fields = fields.map(|fields| self.bind_code(fields, of_code, path));
        }
        let value_type = shape.map(|shape| match shape {
            TypeShape::Text(text) => ValueType::Text(text),
            TypeShape::Boolean => ValueType::Boolean,
            TypeShape::Integer => ValueType::Integer,
            TypeShape::Decimal => ValueType::Decimal,
            // An array whose items are at fault still has rules to be judged.
            TypeShape::Array => ValueType::Array(Box::new(item.unwrap_or_else(any_value))),
            TypeShape::Object => {
                let fields = fields.map(Arc::unwrap_or_clone);
                ValueType::Object(Box::new(fields.unwrap_or_default()))
            }
            TypeShape::Complex(complex) => ValueType::Complex(complex, fields.unwrap_or_default()),
        });
        let of_type = match own {
            Some(own) if !own.element => own.field.rules(),
            _ => Vec::new(),
        };
        let (rules, required) = match node.member("rules") {
            Some(rules) => self.rules(rules, &path.name("rules"), value_type.as_ref(), of_type),
            None => (of_type, false),
        };
        let value = Value {
            value_type: value_type?,
            rules: rules.into(),
            binding: binding.map(Box::new),
        };
        Some((value, required))
    }

    /// Reads `items`.
    fn items(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        depth: u64,
        shape: Option<TypeShape>,
        own: Option<Own>,
    ) -> Option<Value> {
        let own = own.map(|own| Own { element: true, ..own });
        match (node.member("items"), shape) {
            (None, Some(TypeShape::Array)) => match own {
                Some(own) => Some(own.field.plain_item()),
                None => {
                    self.missing(node, path, "items");
                    None
                }
            },
            (Some(items), Some(TypeShape::Array) | None) => {
                let here = path.name("items");
                let allowed = self.allows_depth(&here, depth + 1);
                let read = allowed
                    .then(|| self.value(items, &here, depth + 1, own))
                    .flatten();
                self.items_at_fault |= read.is_none();
                read.map(|(value, _)| value)
            }
            (Some(_), Some(_)) => {
                let message = || "items are only for the type array".to_owned();
                self.faults.add(&path.name("items"), "items", message);
                None
            }
            (None, _) => None,
        }
    }

    /// Reads `properties`.
    fn members(
        &mut self,
        node: &Node<'_>,
        path: &Path<'_>,
        depth: u64,
        shape: Option<TypeShape>,
    ) -> Option<Arc<Fields>> {
        let here = path.name("properties");
        match (node.member("properties"), shape) {
            (None, Some(TypeShape::Object)) => {
                self.missing(node, path, "properties");
                None
            }
            (None, Some(TypeShape::Complex(complex))) => Some(Arc::clone(complex.plain())),
            (Some(properties), Some(TypeShape::Complex(complex))) => {
                Some(self.own_properties(complex, properties, &here, depth + 1))
            }
            (Some(properties), Some(TypeShape::Object) | None) => {
                Some(Arc::new(self.properties(properties, &here, depth + 1)))
            }
            (Some(_), Some(_)) => {
                let message = || "properties are only for the type object and for complex types".to_owned();
                self.faults.add(&here, "properties", message);
                None
            }
            (None, _) => None,
        }
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
        if shape.is_none() {
            match ELSEWHERE
                .iter()
                .find(|(other, _)| other.eq_ignore_ascii_case(name))
            {
                Some((_, ours)) => self.faults.add(&here, "type", || {
                    format!("type '{name}' is not known, did you mean '{ours}'?")
                }),
                None => {
                    let known = TYPES.iter().map(|known| known.name());
                    self.faults.add_unknown(&here, "type", "type", name, known);
                }
            }
        }
        shape
    }

    /// The shape of a value inside a complex type, which a definition may repeat and not change.
    fn own_shape(&mut self, node: &Node<'_>, path: &Path<'_>, own: Own) -> TypeShape {
        let (shape, name) = (own.shape(), own.field.name);
        if let Some(given) = node.member("type")
            && given.text() != Some(shape.name())
        {
            let message = || format!("the type of '{name}' is {}; leave it out", shape.name());
            self.faults.add(&path.name("type"), "type", message);
        }
        shape
    }

    /// Reads `binding`.
    fn binding(&mut self, node: &Node<'_>, path: &Path<'_>, shape: Option<TypeShape>) -> Option<Binding> {
        let binding = node.member("binding")?;
        let here = path.name("binding");
        if !matches!(shape?.name(), "code" | "coding") {
            let message = || {
                let hint = match shape {
                    Some(TypeShape::Array) => "; that of the elements goes in 'items'",
                    _ => "",
                };
                format!("a binding is only for the types code and coding{hint}")
            };
            self.faults.add(&here, "binding", message);
            return None;
        }
        self.object(binding, &here, &["vocabulary"]);
        let here = here.name("vocabulary");
        let Some(vocabulary) = binding.member("vocabulary") else {
            self.missing(binding, &path.name("binding"), "vocabulary");
            return None;
        };
        let members = ["key", "strength"];
        self.object(vocabulary, &here, &members);
        for member in members {
            if vocabulary.member(member).is_none() {
                self.missing(vocabulary, &here, member);
            }
        }
        let key = vocabulary.member("key").and_then(|value| {
            let here = here.name("key");
            let key = self.key(value, &here)?;
            if let Some(beside) = self.beside
                && !beside.vocabularies.contains(&key)
            {
                let known = beside.vocabularies.iter().map(|known| known.as_str());
                self.faults
                    .add_unknown(&here, "binding", "vocabulary", key.as_str(), known);
            }
            Some(key)
        });
        let strength = vocabulary.member("strength").and_then(|value| {
            let here = here.name("strength");
            self.choice(value, &here, "binding", &Strength::NAMES, Strength::parse)
        });
        let binding = Binding {
            vocabulary: key?,
            strength: strength?,
        };
        self.bindings.push(binding.clone());
        Some(binding)
    }

    /// Binds the code of a coding.
    fn bind_code(&mut self, fields: Arc<Fields>, binding: Binding, path: &Path<'_>) -> Arc<Fields> {
        let mut fields = Arc::unwrap_or_clone(fields);
        let code = fields
            .names
            .find("code")
            .and_then(|place| fields.properties.get_mut(place));
        if let Some(code) = code {
            if code.value.binding.is_some() {
                self.faults.add(&path.name("binding"), "binding", || {
                    "the property 'code' is bound already; leave one of the two out".to_owned()
                });
            }
            code.value.binding = Some(Box::new(binding));
        }
        Arc::new(fields)
    }
}

/// Stands for items that are at fault; such a definition is refused.
fn any_value() -> Value {
    Value {
        value_type: ValueType::Boolean,
        rules: Box::default(),
        binding: None,
    }
}
