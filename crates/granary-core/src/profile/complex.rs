//! The complex types, each a row that says its fields (contract, section 5).
//!
//! A row compiles into the same [`Fields`] that the properties of an object do, so a value is checked by the same
//! code. Uses of a type without rules of their own share what it compiles to.

use std::sync::{Arc, OnceLock};

use super::fields::{Fields, Property, Value, ValueType};
use super::rules::{Bound, Rule};
use super::types::{CODE, DATETIME, Named, SYMBOL, TextType, TypeShape, URI, URL};
use super::value;

/// A type whose values are objects with fields of its own.
#[derive(Debug)]
pub struct ComplexType {
    /// Its name, such as `address`.
    pub name: &'static str,
    fields: &'static [OwnField],
    /// What must hold between the texts of its first two fields where both are given.
    pub law: Option<Law>,
    plain: OnceLock<Arc<Fields>>,
}

/// Tells what is wrong between two texts.
pub type Law = fn(&str, &str) -> Result<(), &'static str>;

/// A field of a complex type.
#[derive(Debug)]
pub struct OwnField {
    /// Its name.
    pub name: &'static str,
    shape: TypeShape,
    /// True where it is an array of that shape.
    array: bool,
    required: bool,
    min: Option<&'static str>,
    max: Option<&'static str>,
}

const fn field(name: &'static str, shape: TypeShape) -> OwnField {
    OwnField {
        name,
        shape,
        array: false,
        required: false,
        min: None,
        max: None,
    }
}

impl OwnField {
    const fn array(self) -> Self {
        Self { array: true, ..self }
    }

    const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    const fn at_least(self, min: &'static str) -> Self {
        Self {
            min: Some(min),
            ..self
        }
    }

    const fn at_most(self, max: &'static str) -> Self {
        Self {
            max: Some(max),
            ..self
        }
    }
}

const fn complex(name: &'static str, law: Option<Law>, fields: &'static [OwnField]) -> ComplexType {
    ComplexType {
        name,
        fields,
        law,
        plain: OnceLock::new(),
    }
}

const A_SYMBOL: TypeShape = TypeShape::Text(&SYMBOL);
const A_CODE: TypeShape = TypeShape::Text(&CODE);
const A_DATETIME: TypeShape = TypeShape::Text(&DATETIME);

/// A symbol that names a resource type.
static RESOURCE_TYPE: TextType = TextType {
    names: Some(Named::ResourceType),
    chars_min: 1,
    chars_max: crate::keys::Key::LEN_MAX as u64,
    ..SYMBOL_TYPE
};
/// A symbol that names a resource.
static RESOURCE: TextType = TextType {
    names: Some(Named::Resource),
    chars_min: crate::keys::ResourceId::LEN_MIN as u64,
    chars_max: crate::keys::ResourceId::LEN_MAX as u64,
    ..SYMBOL_TYPE
};
/// A symbol that holds bytes.
static BASE64: TextType = TextType {
    form: Some(value::base64),
    ..SYMBOL_TYPE
};
const SYMBOL_TYPE: TextType = TextType {
    name: "symbol",
    form: None,
    names: None,
    chars_min: 0,
    chars_max: u64::MAX,
};

pub(super) static PERIOD: ComplexType = complex(
    "period",
    Some(value::start_not_after_end),
    &[field("start", A_DATETIME), field("end", A_DATETIME)],
);

/// Its first three fields are what an identifier is found by.
pub static IDENTIFIER: ComplexType = complex(
    "identifier",
    None,
    &[
        field("system", TypeShape::Text(&URI)),
        field("value", A_SYMBOL),
        field("use", A_CODE),
        field("period", TypeShape::Complex(&PERIOD)),
    ],
);

pub(super) static ADDRESS: ComplexType = complex(
    "address",
    None,
    &[
        field("use", A_CODE),
        field("type", A_CODE),
        field("text", A_SYMBOL),
        field("line", A_SYMBOL).array(),
        field("city", A_SYMBOL),
        field("district", A_SYMBOL),
        field("state", A_SYMBOL),
        field("postalCode", A_SYMBOL),
        field("country", A_SYMBOL),
        field("period", TypeShape::Complex(&PERIOD)),
    ],
);

pub(super) static HUMANNAME: ComplexType = complex(
    "humanname",
    None,
    &[
        field("use", A_CODE),
        field("text", A_SYMBOL),
        field("family", A_SYMBOL),
        field("given", A_SYMBOL).array(),
        field("prefix", A_SYMBOL).array(),
        field("suffix", A_SYMBOL).array(),
        field("period", TypeShape::Complex(&PERIOD)),
    ],
);

pub(super) static CONTACTPOINT: ComplexType = complex(
    "contactpoint",
    None,
    &[
        field("system", A_CODE),
        field("value", A_SYMBOL),
        field("use", A_CODE),
        field("rank", TypeShape::Integer).at_least("1"),
        field("period", TypeShape::Complex(&PERIOD)),
    ],
);

pub(super) static CODING: ComplexType = complex(
    "coding",
    None,
    &[
        field("system", TypeShape::Text(&URI)),
        field("version", A_SYMBOL),
        field("code", A_CODE),
        field("display", A_SYMBOL),
        field("userSelected", TypeShape::Boolean),
    ],
);

pub(super) static GEOPOINT: ComplexType = complex(
    "geopoint",
    None,
    &[
        field("latitude", TypeShape::Decimal)
            .required()
            .at_least("-90")
            .at_most("90"),
        field("longitude", TypeShape::Decimal)
            .required()
            .at_least("-180")
            .at_most("180"),
    ],
);

pub(super) static ATTACHMENT: ComplexType = complex(
    "attachment",
    None,
    &[
        field("contentType", A_CODE),
        field("language", A_CODE),
        field("data", TypeShape::Text(&BASE64)),
        field("url", TypeShape::Text(&URL)),
        field("size", TypeShape::Integer),
        field("hash", A_SYMBOL),
        field("title", A_SYMBOL),
        field("creation", A_DATETIME),
    ],
);

pub(super) static REFERENCE: ComplexType = complex(
    "reference",
    None,
    &[
        field("type", TypeShape::Text(&RESOURCE_TYPE)).required(),
        field("id", TypeShape::Text(&RESOURCE)).required(),
    ],
);

/// What every complex value may carry that has no `id` of its own.
static ID: OwnField = field("id", A_SYMBOL);

impl ComplexType {
    /// Its fields.
    pub fn own_fields(&self) -> impl Iterator<Item = &'static OwnField> + use<> {
        let own_id = self.fields.iter().any(|field| field.name == ID.name);
        self.fields.iter().chain((!own_id).then_some(&ID))
    }

    /// What its values are checked by where a definition adds nothing.
    pub fn plain(&self) -> &Arc<Fields> {
        self.plain.get_or_init(|| {
            let fields = self.own_fields();
            Arc::new(Fields::new(
                fields.map(|own| (own.name.to_owned(), own.plain())).collect(),
            ))
        })
    }
}

impl OwnField {
    /// What it is made of.
    pub fn shape(&self) -> TypeShape {
        if self.array { TypeShape::Array } else { self.shape }
    }

    /// Of an array, what its elements are made of.
    pub fn item_shape(&self) -> TypeShape {
        self.shape
    }

    /// True where a value must have it.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// The rules of the type on it.
    pub fn rules(&self) -> Vec<Rule> {
        let bound = |raw: &str| match self.shape {
            TypeShape::Integer => raw.parse().ok().map(Bound::Integer),
            _ => Some(Bound::Decimal(raw.into())),
        };
        let min = self.min.and_then(bound).map(Rule::Min);
        min.into_iter()
            .chain(self.max.and_then(bound).map(Rule::Max))
            .collect()
    }

    /// Of an array, its elements where a definition adds nothing; otherwise the field itself.
    pub fn plain_item(&self) -> Value {
        Value {
            value_type: match self.shape {
                TypeShape::Text(text) => ValueType::Text(text),
                TypeShape::Integer => ValueType::Integer,
                TypeShape::Decimal => ValueType::Decimal,
                TypeShape::Complex(complex) => ValueType::Complex(complex, Arc::clone(complex.plain())),
                // No row has a field of the other two.
                TypeShape::Boolean | TypeShape::Array | TypeShape::Object => ValueType::Boolean,
            },
            rules: self.rules().into(),
            binding: None,
        }
    }

    fn plain(&self) -> Property {
        let item = self.plain_item();
        let value = match self.array {
            false => item,
            true => Value {
                value_type: ValueType::Array(Box::new(item)),
                rules: Box::default(),
                binding: None,
            },
        };
        Property {
            required: self.required,
            value,
        }
    }
}
