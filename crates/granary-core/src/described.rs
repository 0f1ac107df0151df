//! What names, ids and moments look like on the wire, for the description of the API (JSON Schema). What has members of its
//! own derives it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::access::Sources;
use crate::keys::{ConceptCode, Key, ResourceId};
use crate::ksuid::Ksuid;
use crate::task::TaskId;
use crate::time::Timestamp;

/// A text that is parsed: its schema stands where it is used.
macro_rules! text {
    ($name:ident, $schema:expr) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

text!(
    Key,
    json_schema!({
        "type": "string",
        "pattern": format!("^[A-Za-z0-9-][A-Za-z0-9_-]{{0,{}}}$", Key::LEN_MAX - 1),
        "not": {"const": Key::RESERVED},
    })
);
text!(
    ResourceId,
    json_schema!({
        "type": "string",
        "pattern": format!(
            "^[A-Za-z0-9-][A-Za-z0-9_-]{{{},{}}}$",
            ResourceId::LEN_MIN - 1,
            ResourceId::LEN_MAX - 1
        ),
    })
);
text!(
    ConceptCode,
    json_schema!({"type": "string", "minLength": 1, "maxLength": ConceptCode::BYTES_MAX})
);
text!(
    TaskId,
    json_schema!({
        "type": "string",
        "pattern": format!("^(bk|s|bd|pg)_[0-9A-Za-z]{{{}}}$", Ksuid::LEN),
    })
);
text!(Timestamp, json_schema!({"type": "string", "format": "date-time"}));
text!(
    Sources,
    json_schema!({
        "type": "array",
        "description": "Keys of sources, or `*` alone for all of them.",
        "items": {"type": "string"},
        "minItems": 1,
    })
);

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn pattern<T: JsonSchema>() -> Regex {
        let schema = T::json_schema(&mut SchemaGenerator::default());
        Regex::new(schema.get("pattern").unwrap().as_str().unwrap()).unwrap()
    }

    #[test]
    fn patterns_take_what_is_parsed() {
        for raw in ["", "a", "_a", "-", "a_b", "é", &"x".repeat(62), &"x".repeat(63)] {
            assert_eq!(pattern::<Key>().is_match(raw), Key::parse(raw).is_ok(), "{raw}");
        }
        for raw in ["", "a", "ab", "_a", "--", &"x".repeat(93), &"x".repeat(94)] {
            assert_eq!(
                pattern::<ResourceId>().is_match(raw),
                ResourceId::parse(raw).is_ok(),
                "{raw}"
            );
        }
        let id = Ksuid::from_bytes([7; 20]);
        for kind in crate::task::TaskKind::ALL {
            assert!(pattern::<TaskId>().is_match(&format!("{}{id}", kind.prefix())));
        }
        assert!(!pattern::<TaskId>().is_match(&id.to_string()));
    }
}
