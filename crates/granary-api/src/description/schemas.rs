//! Schemas of what is sent and of what is answered, made from the types by their attributes of serde.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::operation::Shape;

/// Collects the schemas that operations refer to.
pub(super) struct Schemas(SchemaGenerator);

impl Schemas {
    pub(super) fn new() -> Self {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        // Members that may be left out may be left out both ways.
        Self(settings.for_deserialize().into_generator())
    }

    /// A schema, or a reference to it.
    pub(super) fn of(&mut self, shape: Shape) -> Value {
        let mut schema = shape(&mut self.0).to_value();
        tidy(&mut schema);
        schema
    }

    /// All that was referred to, by name.
    pub(super) fn components(mut self) -> Map<String, Value> {
        let mut components = self.0.take_definitions(true);
        components.values_mut().for_each(tidy);
        components
    }
}

/// Puts a schema as it is read best: comments are for those who read Rust, and a list of constants is an enum.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(elements) => elements.iter_mut().for_each(tidy),
        Value::Object(members) => {
            if let Some(Value::String(description)) = members.get_mut("description") {
                *description = cleaned(description);
            }
            if let Some(options) = members.get("oneOf").and_then(constants) {
                let (names, said): (Vec<Value>, Vec<String>) = options.into_iter().unzip();
                members.remove("oneOf");
                members.insert("type".to_owned(), "string".into());
                members.insert("enum".to_owned(), names.into());
                let before = members.get("description").and_then(Value::as_str);
                let description = format!("{}\n\n{}", before.unwrap_or_default(), said.join("\n"));
                members.insert("description".to_owned(), description.trim().into());
            }
            // Numbers of JSON are what most clients hold in 64 bits with a sign.
            if members
                .get("format")
                .is_some_and(|format| format == "uint64" || format == "uint32" || format == "uint16")
            {
                members.insert("format".to_owned(), "int64".into());
            }
            // What is answered leaves a member out in place of null. What is sent may say null, and is refused where it says
            // what is not known.
            if members.get("additionalProperties") != Some(&Value::Bool(false))
                && let Some(Value::Object(properties)) = members.get_mut("properties")
            {
                properties.values_mut().for_each(without_null);
            }
            members.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

/// The constants of a list that has nothing else, each with what is said of it.
fn constants(options: &Value) -> Option<Vec<(Value, String)>> {
    let options = options.as_array()?.iter();
    options
        .map(|option| {
            let name = option.get("const")?.as_str()?;
            let said = option.get("description").and_then(Value::as_str)?;
            Some((name.into(), format!("- `{name}`: {}", cleaned(said))))
        })
        .collect()
}

/// The same schema without null, on its own level.
pub(super) fn without_null(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|one| one != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            members.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(options)) = members.get_mut("anyOf") {
        options.retain(|option| *option != json!({"type": "null"}));
        if let [Value::Object(one)] = options.as_slice() {
            let one = one.clone();
            members.remove("anyOf");
            members.extend(one);
        }
    }
}

/// What a link into the code names, as clients know it.
fn on_the_wire(link: &str) -> String {
    match link.rsplit_once("::") {
        // A value of an enum; what stands in a module has its own name.
        Some((of, name))
            if of
                .rsplit("::")
                .next()
                .is_some_and(|of| of.starts_with(char::is_uppercase)) =>
        {
            name.to_ascii_uppercase()
        }
        Some((_, name)) => name.to_owned(),
        None => link.to_owned(),
    }
}

/// A comment without its links into the code and into the contract.
pub(super) fn cleaned(comment: &str) -> String {
    let mut out = String::new();
    let mut rest = comment;
    while let Some(start) = rest.find("[`") {
        let Some(length) = rest[start..].find("`]") else {
            break;
        };
        out.push_str(&rest[..start]);
        let link = &rest[start + 2..start + length];
        out.push('`');
        out.push_str(&on_the_wire(link));
        out.push('`');
        rest = &rest[start + length + 2..];
        // The address of the link.
        if let Some(end) = rest.strip_prefix('(').and_then(|address| address.find(')')) {
            rest = &rest[end + 2..];
        }
    }
    out.push_str(rest);
    while let Some(start) = out.find(" (contract, section") {
        let Some(length) = out[start..].find(')') else {
            break;
        };
        out.replace_range(start..=start + length, "");
    }
    out.replace('\n', " ").replace("  ", "\n\n")
}
