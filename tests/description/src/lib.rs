//! The description of the API, held against what is really sent and answered. A member, a status, a header or a type of error
//! that is answered and not described is a fault of the description, and so is a body that was taken and does not fit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value};

/// A call as it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, with its query.
    pub path: &'a str,
    /// The media type of its body.
    pub media_type: &'a str,
    /// Its body, decoded.
    pub body: &'a [u8],
}

/// What it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its headers: names in lower case, and values.
    pub headers: &'a [(String, String)],
    /// Its body, decoded.
    pub body: &'a [u8],
}

impl Answer<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn media_type(&self) -> &str {
        let raw = self.header("content-type").unwrap_or_default();
        raw.split(';').next().unwrap_or_default().trim()
    }
}

/// Headers that HTTP itself, or a place before the call is known, has on any answer.
const OF_HTTP: [&str; 6] = [
    "content-type",
    "content-length",
    "date",
    "connection",
    "transfer-encoding",
    "allow",
];

/// Which way a body goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Sent,
    Answered,
}

/// The description that the code makes.
#[derive(Default)]
pub struct Description {
    document: Value,
    /// By the schema as it is written.
    validators: Mutex<BTreeMap<(Way, String), Arc<Validator>>>,
}

impl Description {
    /// As the code makes it now.
    pub fn made() -> Self {
        Self {
            document: granary_api::description::description(),
            validators: Mutex::default(),
        }
    }

    /// Each operation: its method in upper case, and its path with names in braces.
    pub fn operations(&self) -> Vec<(String, String)> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        paths
            .flat_map(|(path, methods)| {
                let methods = methods.as_object().into_iter().flatten();
                methods.map(|(method, _)| (method.to_ascii_uppercase(), path.clone()))
            })
            .collect()
    }

    /// Each status that an operation is described to answer.
    pub fn statuses(&self, method: &str, path: &str) -> BTreeSet<u16> {
        let responses = &self.document["paths"][path][method.to_ascii_lowercase()]["responses"];
        let codes = responses.as_object().into_iter().flatten();
        codes.filter_map(|(code, _)| code.parse().ok()).collect()
    }

    /// Names of the headers that an operation is described to take.
    pub fn sent_headers(&self, method: &str, path: &str) -> BTreeSet<String> {
        let parameters = &self.document["paths"][path][method.to_ascii_lowercase()]["parameters"];
        let parameters = parameters.as_array().into_iter().flatten();
        let parameters = parameters.map(|parameter| self.resolved(parameter));
        let headers = parameters.filter(|parameter| parameter["in"] == "header");
        headers
            .filter_map(|parameter| Some(parameter["name"].as_str()?.to_ascii_lowercase()))
            .collect()
    }

    /// The described path that a path is of: where several fit, what is said in full stands before a name.
    pub fn path_of(&self, path: &str) -> Option<&str> {
        let path = path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let expected: Vec<&str> = template.split('/').collect();
            let mut pairs = expected.iter().zip(&parts);
            expected.len() == parts.len()
                && pairs.all(|(expected, part)| {
                    (expected.starts_with('{') && !part.is_empty()) || expected == part
                })
        };
        let named = |template: &&str| {
            let parts = template.split('/');
            parts.map(|part| part.starts_with('{')).collect::<Vec<_>>()
        };
        let paths = self.document["paths"].as_object()?;
        let paths = paths.keys().map(String::as_str);
        paths.filter(|template| fits(template)).min_by_key(named)
    }

    /// Holds a call and its answer against the description.
    pub fn check(&self, call: &Call<'_>, answer: &Answer<'_>) -> Result<()> {
        let checked = self.checked(call, answer);
        checked.with_context(|| {
            let (Call { method, path, .. }, status) = (call, answer.status);
            let body: String = String::from_utf8_lossy(answer.body).chars().take(500).collect();
            format!("{method} {path}: {status} {body}")
        })
    }

    fn checked(&self, call: &Call<'_>, answer: &Answer<'_>) -> Result<()> {
        let method = match call.method {
            "HEAD" => "get".to_owned(),
            method => method.to_ascii_lowercase(),
        };
        let path = self.path_of(call.path);
        let operation = path.and_then(|path| self.document["paths"][path].get(&method));
        let Some(operation) = operation else {
            ensure!(
                matches!(answer.status, 404 | 405),
                "no operation is described here, and it is answered"
            );
            return Ok(());
        };
        let response = operation["responses"].get(answer.status.to_string());
        let response = self.resolved(response.context("the status is not described")?);
        self.headers(response, answer)?;
        let encoded = answer.header("content-encoding").is_some();
        if call.method != "HEAD" && !encoded {
            self.answered(response, answer)?;
        }
        if (200..300).contains(&answer.status) {
            self.taken(operation, call)?;
        }
        Ok(())
    }

    fn headers(&self, response: &Value, answer: &Answer<'_>) -> Result<()> {
        let described = response["headers"]
            .as_object()
            .context("no headers are described")?;
        let names: BTreeMap<String, &Value> = described
            .iter()
            .map(|(name, header)| (name.to_ascii_lowercase(), self.resolved(header)))
            .collect();
        for (name, _) in answer.headers {
            ensure!(
                names.contains_key(name) || OF_HTTP.contains(&name.as_str()),
                "the header {name} is not described"
            );
        }
        for (name, header) in names {
            let is_there = answer.header(&name).is_some();
            ensure!(
                is_there || header["required"] != true,
                "the header {name} is missing"
            );
        }
        Ok(())
    }

    fn answered(&self, response: &Value, answer: &Answer<'_>) -> Result<()> {
        let Some(contents) = response["content"].as_object() else {
            ensure!(answer.body.is_empty(), "a body is answered and not described");
            return Ok(());
        };
        let media_type = answer.media_type();
        let content = contents.get(media_type);
        let content = content.with_context(|| format!("the media type {media_type} is not described"))?;
        self.body(content, media_type, answer.body, Way::Answered)?;
        if let Some(types) = response["x-error-types"].as_array() {
            let body: Value = serde_json::from_slice(answer.body)?;
            // An answer of another kind has its errors in receipts.
            let known = body["type"].is_null() || types.contains(&body["type"]);
            ensure!(known, "the type of error {} is not described", body["type"]);
        }
        Ok(())
    }

    /// What was taken must be described so that it may be sent.
    fn taken(&self, operation: &Value, call: &Call<'_>) -> Result<()> {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<&Value> = parameters.map(|parameter| self.resolved(parameter)).collect();
        let query = call.path.split_once('?').map_or("", |(_, query)| query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            let known = |parameter: &&&Value| parameter["in"] == "query" && parameter["name"] == name;
            ensure!(
                parameters.iter().any(|parameter| known(&parameter)),
                "the parameter {name} is not described"
            );
        }
        if call.body.is_empty() {
            let required = operation["requestBody"]["required"] == true;
            ensure!(!required, "no body was sent, and one is described as required");
            return Ok(());
        }
        let contents = operation["requestBody"]["content"].as_object();
        let contents = contents.context("a body was taken, and none is described")?;
        let media_type = call.media_type.split(';').next().unwrap_or_default().trim();
        let content = contents.get(media_type);
        let content = content.with_context(|| format!("the media type {media_type} is not described"))?;
        self.body(content, media_type, call.body, Way::Sent)
    }

    fn body(&self, content: &Value, media_type: &str, body: &[u8], way: Way) -> Result<()> {
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let item = content.get("x-itemSchema");
        match (media_type, item) {
            ("application/json" | "application/json-patch+json", _) => {
                self.fits(&content["schema"], &serde_json::from_slice(body)?, way)
            }
            ("application/x-ndjson", Some(item)) => {
                let lines = body.split(|byte| *byte == b'\n');
                let mut lines = lines.filter(|line| !line.trim_ascii().is_empty());
                lines.try_for_each(|line| self.fits(item, &serde_json::from_slice(line)?, way))
            }
            ("text/event-stream", Some(item)) => {
                let text = String::from_utf8_lossy(body);
                let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
                data.try_for_each(|data| self.fits(item, &serde_json::from_str(data)?, way))
            }
            _ => Ok(()),
        }
    }

    /// Holds a value against a schema of the description.
    fn fits(&self, schema: &Value, value: &Value, way: Way) -> Result<()> {
        let validator = self.validator(schema, way)?;
        let faults: Vec<String> = validator
            .iter_errors(value)
            .take(5)
            .map(|fault| format!("at '{}': {fault}", fault.instance_path()))
            .collect();
        if !faults.is_empty() {
            bail!("{value} does not fit {schema}: {}", faults.join("; "));
        }
        Ok(())
    }

    fn validator(&self, schema: &Value, way: Way) -> Result<Arc<Validator>> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (way, schema.to_string());
        if let Some(validator) = validators.get(&key) {
            return Ok(Arc::clone(validator));
        }
        let mut root = schema.as_object().cloned().unwrap_or_default();
        let schemas = self.document["components"]["schemas"].clone();
        root.insert("components".to_owned(), serde_json::json!({"schemas": schemas}));
        let mut root = Value::Object(root);
        if way == Way::Answered {
            close(&mut root);
        }
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true)
            .build(&root)?;
        let validator = Arc::new(validator);
        validators.insert(key, Arc::clone(&validator));
        Ok(validator)
    }

    /// Follows a reference into the components.
    fn resolved<'d>(&'d self, object: &'d Value) -> &'d Value {
        let reference = object["$ref"].as_str().and_then(|raw| raw.strip_prefix('#'));
        let found = reference.and_then(|pointer| self.document.pointer(pointer));
        found.unwrap_or(object)
    }

    /// What is wrong with the description in itself: examples that do not fit.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.examples(&self.document, "", &mut faults);
        faults
    }

    fn examples(&self, node: &Value, at: &str, faults: &mut Vec<String>) {
        let Some(members) = node.as_object() else {
            for (index, element) in node.as_array().into_iter().flatten().enumerate() {
                self.examples(element, &format!("{at}/{index}"), faults);
            }
            return;
        };
        let way = match at.contains("/requestBody/") {
            true => Way::Sent,
            false => Way::Answered,
        };
        if let Some(schema) = members.get("schema") {
            let one = members.get("example").into_iter();
            let several = members.get("examples").and_then(Value::as_object);
            let several = several
                .into_iter()
                .flat_map(Map::values)
                .map(|example| &example["value"]);
            for example in one.chain(several) {
                if let Err(fault) = self.fits(schema, example, way) {
                    faults.push(format!("{at}: {fault}"));
                }
                if let (Some(item), Some(text), true) = (
                    members.get("x-itemSchema"),
                    example.as_str(),
                    at.ends_with("x-ndjson"),
                ) {
                    for line in text.lines() {
                        let line = serde_json::from_str(line).map_err(anyhow::Error::from);
                        if let Err(fault) = line.and_then(|line| self.fits(item, &line, way)) {
                            faults.push(format!("{at}: {fault}"));
                        }
                    }
                }
            }
        }
        for (name, member) in members {
            self.examples(member, &format!("{at}/{name}"), faults);
        }
    }
}

/// What is answered has the members that are described, and no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Array(elements) => elements.iter_mut().for_each(close),
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if members.get("properties").is_some_and(Value::is_object)
                && members.get("type").is_some_and(|of_type| of_type == "object")
            {
                members.entry("additionalProperties").or_insert(false.into());
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"{"key":"a","type":"registry","createdAt":"2026-01-31T08:15:30.250Z"}"#;

    fn check(call: (&str, &str), status: u16, body: &str) -> Result<()> {
        let headers = [("content-type", "application/json"), ("x-request-id", "1")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let (method, path) = call;
        let call = Call {
            method,
            path,
            media_type: "application/json",
            body: b"",
        };
        let answer = Answer {
            status,
            headers: &headers,
            body: body.as_bytes(),
        };
        Description::made().check(&call, &answer)
    }

    #[test]
    fn every_example_fits_its_schema() {
        let faults = Description::made().faults();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn what_is_answered_and_not_described_is_told() {
        let read = ("GET", "/catalog/v1/sources/a");
        check(read, 200, SOURCE).unwrap();
        let more = SOURCE.replace("\"key\"", "\"more\":1,\"key\"");
        for (call, status, body) in [
            (read, 200, more.as_str()),
            (read, 200, r#"{"key":"a","type":"registry"}"#),
            (
                read,
                200,
                r#"{"key":"a","type":"other","createdAt":"2026-01-31T08:15:30.250Z"}"#,
            ),
            (
                read,
                200,
                r#"{"key":"a","type":"registry","createdAt":"yesterday"}"#,
            ),
            (read, 201, SOURCE),
            (read, 404, r#"{"code":404,"type":"ALREADY_EXISTS","message":"x"}"#),
            (
                ("GET", "/catalog/v1/sources?limits=1"),
                200,
                r#"{"data":[],"meta":{}}"#,
            ),
            (("GET", "/sources/a/v1/profiles/b"), 200, "{}"),
            (("GET", "/nowhere"), 200, "{}"),
        ] {
            assert!(check(call, status, body).is_err(), "{call:?} {status} {body}");
        }
    }
}
