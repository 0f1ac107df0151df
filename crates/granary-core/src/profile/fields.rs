//! Compiled properties: what the check of a record is driven by.

use std::sync::Arc;

use super::complex::ComplexType;
use super::names::Names;
use super::rules::Rule;
use super::types::TextType;
use crate::keys::Key;

/// The properties of an object, compiled.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Their names.
    pub names: Names,
    /// Them, at the places of their names.
    pub properties: Box<[Property]>,
    /// The places of those that must be present.
    pub required: Box<[u32]>,
}

/// One property.
#[derive(Clone, Debug)]
pub struct Property {
    /// True where it must be present and not null.
    pub required: bool,
    /// What its value must be.
    pub value: Value,
}

/// What a value must be.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its type.
    pub value_type: ValueType,
    /// The rules that must hold beside the type.
    pub rules: Box<[Rule]>,
    /// The vocabulary that its codes are from, if they are bound to one.
    pub binding: Option<Box<Binding>>,
}

/// A binding of codes to a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The vocabulary.
    pub vocabulary: Key,
    /// Whether other codes are refused.
    pub strength: Strength,
}

/// Whether codes from elsewhere than the vocabulary are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// They are taken.
    Preferred,
    /// They are refused.
    Required,
}

impl Strength {
    /// Every value of `strength` in a definition.
    pub const NAMES: [&str; 2] = ["preferred", "required"];

    /// The strength with this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "preferred" => Some(Self::Preferred),
            "required" => Some(Self::Required),
            _ => None,
        }
    }
}

/// The type of a value.
#[derive(Clone, Debug)]
pub enum ValueType {
    /// A string of some form.
    Text(&'static TextType),
    /// `true` or `false`.
    Boolean,
    /// A signed 64-bit number.
    Integer,
    /// A number kept digit for digit.
    Decimal,
    /// Elements that are all like this.
    Array(Box<Value>),
    /// Members.
    Object(Box<Fields>),
    /// The members of a complex type.
    Complex(&'static ComplexType, Arc<Fields>),
}

impl ValueType {
    /// Its name in a definition.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text(text) => text.name,
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
            Self::Complex(complex, _) => complex.name,
        }
    }

    /// What JSON its values are.
    pub fn json(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Boolean => "a boolean",
            Self::Integer | Self::Decimal => "a number",
            Self::Array(_) => "an array",
            Self::Object(_) | Self::Complex(..) => "an object",
        }
    }
}

impl Fields {
    /// The table of these properties.
    pub fn new(properties: Vec<(String, Property)>) -> Self {
        let required =
            |(place, (_, property)): (usize, &(String, Property))| property.required.then_some(place as u32);
        Self {
            names: Names::new(properties.iter().map(|(name, _)| name.as_str())),
            required: properties.iter().enumerate().filter_map(required).collect(),
            properties: properties.into_iter().map(|(_, property)| property).collect(),
        }
    }
}
