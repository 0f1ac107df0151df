//! The table of value types (contract, section 5).

use super::value;

/// A type whose values are JSON strings.
#[derive(Debug)]
pub struct TextType {
    /// Its name, such as `code`.
    pub name: &'static str,
    /// What a text must look like beyond being text.
    pub form: Option<fn(&str) -> Result<(), &'static str>>,
    /// The fewest characters that fit the form.
    pub chars_min: u64,
    /// The most characters that fit the form.
    pub chars_max: u64,
}

/// What a type's values are made of.
#[derive(Clone, Copy, Debug)]
pub enum TypeShape {
    /// A JSON string.
    Text(&'static TextType),
    /// `true` or `false`.
    Boolean,
    /// A signed 64-bit number.
    Integer,
    /// A number kept digit for digit.
    Decimal,
    /// Elements, as `items` says.
    Array,
    /// Members, as `properties` says.
    Object,
    /// Named by the contract, not built yet.
    Later,
}

macro_rules! text {
    ($name:literal, $form:expr, $min:expr, $max:expr) => {
        (
            $name,
            TypeShape::Text(&TextType {
                name: $name,
                form: $form,
                chars_min: $min,
                chars_max: $max,
            }),
        )
    };
}

/// Every type by its name.
pub const TYPES: &[(&str, TypeShape)] = &[
    text!("symbol", None, 0, u64::MAX),
    text!("code", Some(value::code), 1, u64::MAX),
    text!("markdown", None, 0, u64::MAX),
    text!("uri", Some(value::uri), 1, u64::MAX),
    text!("url", Some(value::url), 2, u64::MAX),
    ("boolean", TypeShape::Boolean),
    ("integer", TypeShape::Integer),
    ("decimal", TypeShape::Decimal),
    text!("date", Some(value::date), 4, 10),
    text!("datetime", Some(value::datetime), 4, u64::MAX),
    text!("instant", Some(value::instant), 20, u64::MAX),
    text!("time", Some(value::time), 8, u64::MAX),
    ("array", TypeShape::Array),
    ("object", TypeShape::Object),
    ("xhtml", TypeShape::Later),
    ("reference", TypeShape::Later),
    ("identifier", TypeShape::Later),
    ("address", TypeShape::Later),
    ("humanname", TypeShape::Later),
    ("contactpoint", TypeShape::Later),
    ("coding", TypeShape::Later),
    ("period", TypeShape::Later),
    ("geopoint", TypeShape::Later),
    ("attachment", TypeShape::Later),
];

/// The type with this name.
pub fn type_named(name: &str) -> Option<TypeShape> {
    TYPES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, shape)| *shape)
}
