//! The table of value types (contract, section 5).

use super::complex::{self, ComplexType};
use super::value;

/// Tells what a text that does not have the form should look like.
pub type Form = fn(&str) -> Result<(), &'static str>;

/// A type whose values are JSON strings.
#[derive(Debug)]
pub struct TextType {
    /// Its name, such as `code`.
    pub name: &'static str,
    /// What a text must look like beyond being text.
    pub form: Option<Form>,
    /// What it names, if it names something that is looked up.
    pub names: Option<Named>,
    /// The fewest characters that fit the form.
    pub chars_min: u64,
    /// The most characters that fit the form.
    pub chars_max: u64,
}

/// What the text of a reference names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A resource type of the source.
    ResourceType,
    /// A resource, which need not exist, or a token that stands for one.
    Resource,
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
    /// Members, as the type itself says.
    Complex(&'static ComplexType),
}

impl TypeShape {
    /// Its name in a definition.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text(text) => text.name,
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Array => "array",
            Self::Object => "object",
            Self::Complex(complex) => complex.name,
        }
    }
}

/// A text type of this name, form, and fewest and most characters.
const fn text(name: &'static str, form: Option<Form>, chars_min: u64, chars_max: u64) -> TextType {
    TextType {
        name,
        form,
        names: None,
        chars_min,
        chars_max,
    }
}

pub(super) static SYMBOL: TextType = text("symbol", None, 0, u64::MAX);
pub(super) static CODE: TextType = text("code", Some(value::code), 1, u64::MAX);
static MARKDOWN: TextType = text("markdown", None, 0, u64::MAX);
static XHTML: TextType = text("xhtml", None, 0, u64::MAX);
pub(super) static URI: TextType = text("uri", Some(value::uri), 1, u64::MAX);
pub(super) static URL: TextType = text("url", Some(value::url), 2, u64::MAX);
static DATE: TextType = text("date", Some(value::date), 4, 10);
pub(super) static DATETIME: TextType = text("datetime", Some(value::datetime), 4, u64::MAX);
static INSTANT: TextType = text("instant", Some(value::instant), 20, u64::MAX);
static TIME: TextType = text("time", Some(value::time), 8, u64::MAX);

/// Every type that a definition may name.
pub static TYPES: &[TypeShape] = &[
    TypeShape::Text(&SYMBOL),
    TypeShape::Text(&CODE),
    TypeShape::Text(&MARKDOWN),
    TypeShape::Text(&XHTML),
    TypeShape::Text(&URI),
    TypeShape::Text(&URL),
    TypeShape::Boolean,
    TypeShape::Integer,
    TypeShape::Decimal,
    TypeShape::Text(&DATE),
    TypeShape::Text(&DATETIME),
    TypeShape::Text(&INSTANT),
    TypeShape::Text(&TIME),
    TypeShape::Complex(&complex::REFERENCE),
    TypeShape::Object,
    TypeShape::Array,
    TypeShape::Complex(&complex::IDENTIFIER),
    TypeShape::Complex(&complex::ADDRESS),
    TypeShape::Complex(&complex::HUMANNAME),
    TypeShape::Complex(&complex::CONTACTPOINT),
    TypeShape::Complex(&complex::CODING),
    TypeShape::Complex(&complex::PERIOD),
    TypeShape::Complex(&complex::GEOPOINT),
    TypeShape::Complex(&complex::ATTACHMENT),
];

/// The type with this name.
pub fn type_named(name: &str) -> Option<TypeShape> {
    TYPES.iter().find(|shape| shape.name() == name).copied()
}
