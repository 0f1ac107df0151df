//! How an operation stands in the description.

use std::collections::{BTreeMap, BTreeSet};

use granary_core::access::Right;
use granary_core::error::ErrorType::{PermissionDenied, Unauthenticated, Unimplemented};
use serde_json::{Map, Value, json};

use super::operation::{Content, Operation, Shape};
use super::schemas::Schemas;
use super::{errors, parameters};
use crate::rights::Call;

impl Operation {
    fn is_write(&self) -> bool {
        self.method != "GET"
    }

    fn right(&self) -> Right {
        Call::find(self.method, self.routed).map_or(Right::Open, |call| call.right)
    }

    /// Its method as a member of a path item.
    pub(super) fn member(&self) -> String {
        self.method.to_ascii_lowercase()
    }

    pub(super) fn write(mut self, schemas: &mut Schemas, responses: &mut BTreeMap<String, Value>) -> Value {
        let right = self.right();
        match right {
            Right::Open => {}
            _ => {
                self = self
                    .fails(401, &[Unauthenticated])
                    .fails(403, &[PermissionDenied])
            }
        }
        // Headers that would change what a write means are refused where they are not understood.
        if self.is_write() {
            self = self.fails(501, &[Unimplemented]);
        }
        let mut operation = Map::new();
        operation.insert("operationId".to_owned(), self.id.into());
        operation.insert("summary".to_owned(), self.summary.into());
        operation.insert("tags".to_owned(), json!([self.tag]));
        let description = [self.description, &right_of(right)].map(str::trim).join(" ");
        operation.insert("description".to_owned(), description.trim().into());
        if right == Right::Open {
            operation.insert("security".to_owned(), json!([]));
        }
        let mut parameters = self.path_parameters();
        if let Some(query) = self.query {
            parameters.extend(query_parameters(&schemas.of(query)));
        }
        let headers = self.headers.iter();
        parameters.extend(headers.map(|name| json!({"$ref": format!("#/components/parameters/{name}")})));
        operation.insert("parameters".to_owned(), parameters.into());
        if !self.body.is_empty() {
            let content = contents(&self.body, |shape| schemas.of(shape));
            operation.insert(
                "requestBody".to_owned(),
                json!({"required": self.body_required, "content": content}),
            );
        }
        let mut answers = Map::new();
        for answer in &self.answers {
            let mut object = Map::new();
            object.insert("description".to_owned(), answer.description.into());
            object.insert("headers".to_owned(), header_references(&answer.headers));
            if !answer.contents.is_empty() {
                object.insert(
                    "content".to_owned(),
                    contents(&answer.contents, |shape| schemas.of(shape)),
                );
            }
            answers.insert(answer.status.to_string(), object.into());
        }
        let mut by_code: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for (code, error_type) in &self.errors {
            by_code.entry(*code).or_default().push(error_type);
        }
        for (code, types) in by_code {
            let other = self.failed.iter().find(|(status, _)| *status == code);
            let response = match other {
                Some((_, shape)) => errors::response(code, &types, schemas, Some(*shape)),
                None => {
                    let name = errors::name(code, &types);
                    if !responses.contains_key(&name) {
                        let response = errors::response(code, &types, schemas, None);
                        responses.insert(name.clone(), response);
                    }
                    json!({"$ref": format!("#/components/responses/{name}")})
                }
            };
            answers.insert(code.to_string(), response);
        }
        operation.insert("responses".to_owned(), answers.into());
        operation.into()
    }

    fn path_parameters(&self) -> Vec<Value> {
        let parts = self.path.split('/').filter(|part| part.starts_with('{'));
        let names = parts.map(|part| part.trim_matches(['{', '}']));
        names
            .map(|name| {
                let (description, schema, example) = parameters::in_path(self.method, self.path, name);
                json!({
                    "name": name, "in": "path", "required": true, "description": description,
                    "schema": schema, "example": example,
                })
            })
            .collect()
    }
}

/// Who may call.
fn right_of(right: Right) -> String {
    match right {
        Right::Open => "Takes no key.".to_owned(),
        Right::OfSource(role) => format!("Takes a key with the role `{}` for the source.", role.name()),
        Right::Any(role) => format!(
            "Takes a key with the role `{}`, for whatever sources.",
            role.name()
        ),
        Right::Everywhere(role) => {
            format!("Takes a key with the role `{}` for all sources.", role.name())
        }
    }
}

/// Each member of a struct of a query as a parameter.
fn query_parameters(schema: &Value) -> Vec<Value> {
    let required: BTreeSet<&str> = schema["required"]
        .as_array()
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    properties
        .iter()
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            // A parameter that is there has a value.
            super::schemas::without_null(&mut schema);
            // Any number that is not negative is taken, however large.
            if let Some(members) = schema.as_object_mut()
                && members.get("format").is_some_and(|format| format == "int64")
            {
                members.remove("format");
            }
            let description = schema
                .as_object_mut()
                .and_then(|members| members.remove("description"));
            json!({
                "name": name, "in": "query", "required": required.contains(name.as_str()),
                "description": description.unwrap_or_default(), "schema": schema,
            })
        })
        .collect()
}

fn contents(contents: &[Content], mut schema: impl FnMut(Shape) -> Value) -> Value {
    let mut object = Map::new();
    for content in contents {
        let mut media = Map::new();
        media.insert("schema".to_owned(), schema(content.shape));
        if let Some(item) = content.item {
            // The name of OpenAPI 3.2, where it is told of lines and events.
            media.insert("x-itemSchema".to_owned(), schema(item));
        }
        if let Some(example) = &content.example {
            media.insert("example".to_owned(), example.clone());
        }
        object.insert(content.media_type.to_owned(), media.into());
    }
    object.into()
}

/// The headers of an answer: those of every one, and these.
pub(super) fn header_references(names: &[&str]) -> Value {
    let mut headers = Map::new();
    for name in ["XRequestId", "ContentEncoding", "Vary"].iter().chain(names) {
        let reference = json!({"$ref": format!("#/components/headers/{name}")});
        headers.insert(parameters::header_name(name).to_owned(), reference);
    }
    headers.into()
}
