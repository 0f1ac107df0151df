//! One operation of the API, and how it stands in the description.

use std::collections::BTreeSet;

use granary_core::error::ErrorType::{self, *};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use crate::{JSON, NDJSON};

/// Makes the schema of a type, or a reference to it.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The schema of this type.
pub(super) fn of<T: JsonSchema>() -> Shape {
    SchemaGenerator::subschema_for::<T>
}

/// One of two.
struct Either<A, B>(std::marker::PhantomData<(A, B)>);

impl<A: JsonSchema, B: JsonSchema> JsonSchema for Either<A, B> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}Or{}", A::schema_name(), B::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let options = [generator.subschema_for::<A>(), generator.subschema_for::<B>()];
        schemars::json_schema!({"anyOf": options})
    }
}

/// What a body is.
pub(super) struct Content {
    pub(super) media_type: &'static str,
    pub(super) shape: Shape,
    /// Of what is sent in lines or events: what one is.
    pub(super) item: Option<Shape>,
    pub(super) example: Option<Value>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) contents: Vec<Content>,
    pub(super) headers: Vec<&'static str>,
}

/// One operation.
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// The path that is described.
    pub(super) path: &'static str,
    /// The path as it is routed, where that is another one.
    pub(super) routed: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) query: Option<Shape>,
    /// Names of parameters in the components.
    pub(super) headers: Vec<&'static str>,
    pub(super) body: Vec<Content>,
    pub(super) body_required: bool,
    pub(super) answers: Vec<Answer>,
    pub(super) errors: BTreeSet<(u16, &'static str)>,
    /// Statuses of failures whose body may also be this.
    pub(super) failed: Vec<(u16, Shape)>,
}

/// An operation of this method and path, which is called so and does this.
pub(super) fn operation(
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
) -> Operation {
    let operation = Operation {
        method,
        path,
        routed: path,
        id,
        tag: "",
        summary,
        description: "",
        query: None,
        headers: vec!["XRequestId", "AcceptEncoding"],
        body: Vec::new(),
        body_required: true,
        answers: Vec::new(),
        errors: BTreeSet::new(),
        failed: Vec::new(),
    };
    let operation = operation.fails(500, &[Internal]).fails(503, &[Unavailable]);
    match path.contains("{source}") {
        true => operation.fails(404, &[NotFound]),
        false => operation,
    }
}

impl Operation {
    pub(super) fn tagged(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// What there is to know beyond the summary.
    pub(super) fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// It is one case of this route.
    pub(super) fn routed(mut self, path: &'static str) -> Self {
        self.routed = path;
        self
    }

    pub(super) fn query<Q: JsonSchema>(mut self) -> Self {
        self.query = Some(Q::json_schema);
        self.fails(400, &[InvalidArgument])
    }

    /// A header that is sent: its name in the components.
    pub(super) fn header(mut self, name: &'static str) -> Self {
        self.headers.push(name);
        self
    }

    fn body_of(mut self, media_type: &'static str, shape: Shape, example: Value) -> Self {
        if self.body.is_empty() {
            self.headers.push("ContentEncoding");
        }
        self.body.push(Content {
            media_type,
            shape,
            item: None,
            example: Some(example),
        });
        self.fails(400, &[InvalidArgument])
            .fails(413, &[ContentTooLarge])
            .fails(415, &[UnsupportedMediaType])
            .fails(429, &[ResourceExhausted])
    }

    /// A JSON body.
    pub(super) fn body<B: JsonSchema>(self, example: Value) -> Self {
        self.body_of(JSON, of::<B>(), example)
    }

    /// A body of another media type.
    pub(super) fn body_as<B: JsonSchema>(self, media_type: &'static str, example: Value) -> Self {
        self.body_of(media_type, of::<B>(), example)
    }

    /// A body of lines, each of which is this.
    pub(super) fn lines<I: JsonSchema>(self, example: &str) -> Self {
        let mut operation = self.body_of(NDJSON, of::<String>(), example.into());
        if let Some(content) = operation.body.last_mut() {
            content.item = Some(of::<I>());
        }
        operation
    }

    pub(super) fn body_is_optional(mut self) -> Self {
        self.body_required = false;
        self
    }

    /// An answer in JSON.
    pub(super) fn answers<A: JsonSchema>(
        self,
        status: u16,
        description: &'static str,
        example: Value,
    ) -> Self {
        self.answers_as::<A>(status, description, JSON, example)
    }

    /// An answer of another media type.
    pub(super) fn answers_as<A: JsonSchema>(
        mut self,
        status: u16,
        description: &'static str,
        media_type: &'static str,
        example: Value,
    ) -> Self {
        self.answers.push(Answer {
            status,
            description,
            contents: vec![Content {
                media_type,
                shape: of::<A>(),
                item: None,
                example: Some(example),
            }],
            headers: Vec::new(),
        });
        self
    }

    /// The last answer is also this, in lines, where they are asked for or where there is nothing else.
    pub(super) fn or_lines<I: JsonSchema>(mut self, media_type: &'static str, example: &str) -> Self {
        let content = Content {
            media_type,
            shape: of::<String>(),
            item: Some(of::<I>()),
            example: Some(example.into()),
        };
        if let Some(answer) = self.answers.last_mut() {
            answer.contents.push(content);
        }
        self
    }

    /// An answer in JSON that is one of two.
    pub(super) fn answers_either<A: JsonSchema, B: JsonSchema>(
        self,
        status: u16,
        description: &'static str,
        example: Value,
    ) -> Self {
        self.answers_as::<Either<A, B>>(status, description, JSON, example)
    }

    /// An answer in lines or events alone, each of which is this.
    pub(super) fn answers_lines<I: JsonSchema>(
        self,
        status: u16,
        description: &'static str,
        media_type: &'static str,
        example: &str,
    ) -> Self {
        let mut operation = self.answers_as::<String>(status, description, media_type, example.into());
        if let Some(answer) = operation.answers.last_mut() {
            answer
                .contents
                .iter_mut()
                .for_each(|content| content.item = Some(of::<I>()));
        }
        operation
    }

    /// The last answer may also be of this media type.
    pub(super) fn or_as<A: JsonSchema>(mut self, media_type: &'static str, example: Value) -> Self {
        let content = Content {
            media_type,
            shape: of::<A>(),
            item: None,
            example: Some(example),
        };
        if let Some(answer) = self.answers.last_mut() {
            answer.contents.push(content);
        }
        self
    }

    /// An answer without a body.
    pub(super) fn answers_empty(mut self, status: u16, description: &'static str) -> Self {
        self.answers.push(Answer {
            status,
            description,
            contents: Vec::new(),
            headers: Vec::new(),
        });
        self
    }

    /// The last answer has this header: its name in the components.
    pub(super) fn with(mut self, header: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push(header);
        }
        self
    }

    /// It fails so.
    pub(super) fn fails(mut self, code: u16, types: &[ErrorType]) -> Self {
        self.errors
            .extend(types.iter().map(|error| (code, error.spec().name)));
        self
    }

    /// A failure with one of these statuses may have this body in place of an error object.
    pub(super) fn failed_as<F: JsonSchema>(mut self, statuses: &[u16]) -> Self {
        self.failed
            .extend(statuses.iter().map(|status| (*status, of::<F>())));
        self
    }

    // --- what several have in common ---

    /// Nothing but what the path says: a query is refused.
    pub(super) fn bare(self) -> Self {
        self.fails(400, &[InvalidArgument])
    }

    /// A list: its cursor may be of another one, and the next page is in `Link`.
    pub(super) fn list(self) -> Self {
        self.with("Link").fails(400, &[OutOfRange])
    }

    /// Lines are asked for by `Accept`.
    pub(super) fn or_stream<I: JsonSchema>(self, example: &str) -> Self {
        self.or_lines::<I>(NDJSON, example)
    }

    /// It is carried out once by its `Idempotency-Key`.
    pub(super) fn once(mut self) -> Self {
        self.headers.push("IdempotencyKey");
        for answer in &mut self.answers {
            answer.headers.push("IdempotencyReplayed");
        }
        self.fails(400, &[InvalidArgument])
            .fails(409, &[Aborted])
            .fails(422, &[Aborted])
    }

    /// A write that honours conditions.
    pub(super) fn conditional(mut self) -> Self {
        self.headers.extend(["IfMatch", "IfNoneMatchAny"]);
        self.fails(400, &[InvalidArgument])
            .fails(412, &[FailedPrecondition])
            .fails(501, &[Unimplemented])
    }

    /// A read that honours conditions.
    pub(super) fn conditional_read(mut self) -> Self {
        self.headers.extend(["IfMatchRead", "IfNoneMatch"]);
        self.with("ETag")
            .answers_empty(304, "What is named in `If-None-Match` is what is stored.")
            .with("ETag")
            .fails(400, &[InvalidArgument])
            .fails(412, &[FailedPrecondition])
    }

    /// A file of a page, which a browser keeps and asks after each time.
    pub(super) fn kept_by_browsers(mut self) -> Self {
        self.headers.extend(["IfMatchRead", "IfNoneMatch"]);
        let safe = |operation: Self| {
            [
                "ContentSecurityPolicy",
                "ContentTypeOptions",
                "ReferrerPolicy",
                "CacheControl",
                "ETag",
            ]
            .into_iter()
            .fold(operation, Self::with)
        };
        safe(safe(self).answers_empty(304, "What is named in `If-None-Match` is what this server has."))
            .fails(400, &[InvalidArgument])
            .fails(412, &[FailedPrecondition])
    }

    /// As [`conditional_read`](Self::conditional_read), where some of its answers have no tag.
    pub(super) fn conditional_read_mostly(self) -> Self {
        let mut operation = self.conditional_read();
        for answer in operation.answers.iter_mut().filter(|answer| answer.status == 200) {
            answer.headers = vec!["ETagOfRecord"];
        }
        operation
    }

    /// A name in its path that is `bulk` leads to another path, which has not this method.
    pub(super) fn beside_bulk(self) -> Self {
        self.fails(405, &[Unimplemented])
    }

    /// What its path names may not be there.
    pub(super) fn of_something_named(self) -> Self {
        self.fails(404, &[NotFound])
    }

    /// It waits for the end of a task, where that is preferred.
    pub(super) fn waits(mut self) -> Self {
        self.headers.push("Prefer");
        for answer in &mut self.answers {
            answer.headers.push("PreferenceApplied");
        }
        self
    }
}
