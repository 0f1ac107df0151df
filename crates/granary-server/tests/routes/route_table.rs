//! Every route, with a call that succeeds and one for each error that is its own. A route without fails the test, and so
//! does an error that a route of its kind must have. What every call can meet alike (405, a stopping server, too many
//! requests in flight, headers that are not honoured) is in `every_call` and `health`.

use std::collections::BTreeSet;

use granary_core::limits::Limits;
use granary_server::ROUTES;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use serde_json::json;

use crate::world::{BULK, World, create, create_edge, shown};

/// What a call carries.
enum With {
    Nothing,
    Json(&'static str),
    /// A body of a type that is not known.
    Text,
    /// More than any body may have here.
    TooMuch,
    /// A header, and this body.
    Header(HeaderName, &'static str, &'static str),
}

use With::{Header, Json, Nothing, Text, TooMuch};

/// Path, what it carries, the status that is answered and the type of the error.
type Call = (&'static str, With, u16, &'static str);

const OK: &str = "";
const INVALID: &str = "INVALID_ARGUMENT";
const PRECONDITION: &str = "FAILED_PRECONDITION";
const RANGE: &str = "OUT_OF_RANGE";
const MISSING: &str = "NOT_FOUND";
const EXISTS: &str = "ALREADY_EXISTS";
const LARGE: &str = "CONTENT_TOO_LARGE";
const MEDIA: &str = "UNSUPPORTED_MEDIA_TYPE";
const LATER: &str = "UNIMPLEMENTED";

/// More than a body may have.
const BYTES_MAX: u64 = 4_000;

const PROVIDER: &str = r#"{"id": "cyd", "data": {"name": "Cyd"}}"#;
const OFFICE: &str = r#"{"id": "o9", "type": "office", "data": {}}"#;

/// In `{task}`, `{waiting}` and `{purge}` stand ids of tasks.
fn calls(method: &str, path: &str) -> Vec<Call> {
    const V1: &str = "/sources/{source}/v1";
    let of_source = path.strip_prefix(V1);
    match (method, of_source.unwrap_or(path)) {
        ("get", "/catalog/v1/sources") => vec![
            ("/catalog/v1/sources", Nothing, 200, OK),
            ("/catalog/v1/sources?limit=0", Nothing, 400, INVALID),
            ("/catalog/v1/sources?cursor=x", Nothing, 400, RANGE),
        ],
        ("get", "/catalog/v1/sources/{source}") => vec![
            ("/catalog/v1/sources/clinics", Nothing, 200, OK),
            ("/catalog/v1/sources/none", Nothing, 404, MISSING),
        ],
        ("put", "/catalog/v1/sources/{source}") => vec![
            (
                "/catalog/v1/sources/clinics",
                Json(r#"{"type":"registry"}"#),
                200,
                OK,
            ),
            (
                "/catalog/v1/sources/fresh",
                Json(r#"{"type":"registry"}"#),
                201,
                OK,
            ),
            (
                "/catalog/v1/sources/fresh",
                Json(r#"{"type":"other"}"#),
                400,
                INVALID,
            ),
            (
                "/catalog/v1/sources/_",
                Json(r#"{"type":"registry"}"#),
                400,
                INVALID,
            ),
            ("/catalog/v1/sources/fresh", Text, 415, MEDIA),
            ("/catalog/v1/sources/fresh", TooMuch, 413, LARGE),
        ],
        ("delete", "/catalog/v1/sources/{source}") => vec![
            ("/catalog/v1/sources/clinics", Nothing, 400, PRECONDITION),
            ("/catalog/v1/sources/clinics?purge=perhaps", Nothing, 400, INVALID),
            ("/catalog/v1/sources/clinics?purge=true", Nothing, 202, OK),
            ("/catalog/v1/sources/clinics", Nothing, 404, MISSING),
        ],
        ("get", "/profiles") => vec![
            ("/sources/clinics/v1/profiles", Nothing, 200, OK),
            ("/sources/none/v1/profiles", Nothing, 404, MISSING),
            ("/sources/clinics/v1/profiles?x=1", Nothing, 400, INVALID),
            ("/sources/clinics/v1/profiles?cursor=x", Nothing, 400, RANGE),
        ],
        ("get", "/profiles/{key}") => vec![
            ("/sources/clinics/v1/profiles/provider", Nothing, 200, OK),
            ("/sources/clinics/v1/profiles/none", Nothing, 404, MISSING),
        ],
        ("put", "/profiles/{key}") => vec![
            (
                "/sources/clinics/v1/profiles/fresh",
                Json(r#"{"properties":{}}"#),
                201,
                OK,
            ),
            (
                "/sources/clinics/v1/profiles/fresh",
                Json(r#"{"properties":{}}"#),
                200,
                OK,
            ),
            (
                "/sources/none/v1/profiles/fresh",
                Json(r#"{"properties":{}}"#),
                404,
                MISSING,
            ),
            (
                "/sources/clinics/v1/profiles/fresh",
                Json(r#"{"properties":[]}"#),
                400,
                INVALID,
            ),
            (
                "/sources/clinics/v1/profiles/office",
                Json(r#"{"properties":{}}"#),
                400,
                PRECONDITION,
            ),
            (
                "/sources/clinics/v1/profiles/fresh",
                Header(IF_NONE_MATCH, "*", r#"{"properties":{}}"#),
                412,
                PRECONDITION,
            ),
            ("/sources/clinics/v1/profiles/fresh", Text, 415, MEDIA),
            ("/sources/clinics/v1/profiles/fresh", TooMuch, 413, LARGE),
        ],
        ("delete", "/profiles/{key}") => vec![
            (
                "/sources/clinics/v1/profiles/provider",
                Nothing,
                400,
                PRECONDITION,
            ),
            (
                "/sources/clinics/v1/profiles/unused",
                Header(IF_MATCH, "\"x\"", ""),
                412,
                PRECONDITION,
            ),
            ("/sources/clinics/v1/profiles/unused", Nothing, 200, OK),
            ("/sources/clinics/v1/profiles/unused", Nothing, 404, MISSING),
        ],
        ("get", "/relationship-definitions") => vec![
            ("/sources/clinics/v1/relationship-definitions", Nothing, 200, OK),
            ("/sources/none/v1/relationship-definitions", Nothing, 404, MISSING),
            (
                "/sources/clinics/v1/relationship-definitions?limit=x",
                Nothing,
                400,
                INVALID,
            ),
            (
                "/sources/clinics/v1/relationship-definitions?cursor=x",
                Nothing,
                400,
                RANGE,
            ),
        ],
        ("get", "/relationship-definitions/{key}") => vec![
            (
                "/sources/clinics/v1/relationship-definitions/refersTo",
                Nothing,
                200,
                OK,
            ),
            (
                "/sources/clinics/v1/relationship-definitions/none",
                Nothing,
                404,
                MISSING,
            ),
        ],
        ("put", "/relationship-definitions/{key}") => {
            const KNOWS: &str = r#"{"from":{"profileKey":"provider","includeKey":"a","includeCardinality":"0:*"},"to":{"profileKey":"provider","includeKey":"b","includeCardinality":"0:*"}}"#;
            vec![
                (
                    "/sources/clinics/v1/relationship-definitions/knows",
                    Json(KNOWS),
                    201,
                    OK,
                ),
                (
                    "/sources/none/v1/relationship-definitions/knows",
                    Json(KNOWS),
                    404,
                    MISSING,
                ),
                (
                    "/sources/clinics/v1/relationship-definitions/knows",
                    Json("{}"),
                    400,
                    INVALID,
                ),
                (
                    "/sources/clinics/v1/relationship-definitions/knows",
                    Header(IF_NONE_MATCH, "*", KNOWS),
                    412,
                    PRECONDITION,
                ),
                (
                    "/sources/clinics/v1/relationship-definitions/knows",
                    Text,
                    415,
                    MEDIA,
                ),
                (
                    "/sources/clinics/v1/relationship-definitions/knows",
                    TooMuch,
                    413,
                    LARGE,
                ),
            ]
        }
        ("delete", "/relationship-definitions/{key}") => vec![
            (
                "/sources/clinics/v1/relationship-definitions/refersTo",
                Nothing,
                400,
                PRECONDITION,
            ),
            (
                "/sources/clinics/v1/relationship-definitions/spare",
                Header(IF_MATCH, "\"x\"", ""),
                412,
                PRECONDITION,
            ),
            (
                "/sources/clinics/v1/relationship-definitions/spare",
                Nothing,
                200,
                OK,
            ),
            (
                "/sources/clinics/v1/relationship-definitions/spare",
                Nothing,
                404,
                MISSING,
            ),
        ],
        ("post", "/resources/bulk" | "/relationships/bulk") => {
            const CREATE: &str =
                r#"{"operations":[{"action":"CREATE","create":{"type":"provider","data":{"name":"x"}}}]}"#;
            const DELETE: &str =
                r#"{"operations":[{"action":"DELETE","delete":{"type":"refersTo","id":"ada.bob"}}]}"#;
            match path.contains("resources") {
                true => vec![
                    ("/sources/clinics/v1/resources/bulk", Json(CREATE), 202, OK),
                    (
                        "/sources/clinics/v1/resources/bulk?validateOnly=true",
                        Json(CREATE),
                        200,
                        OK,
                    ),
                    ("/sources/none/v1/resources/bulk", Json(CREATE), 404, MISSING),
                    ("/sources/clinics/v1/resources/bulk", Json(DELETE), 400, INVALID),
                    ("/sources/clinics/v1/resources/bulk", Text, 415, MEDIA),
                    ("/sources/clinics/v1/resources/bulk", TooMuch, 413, LARGE),
                ],
                false => vec![
                    ("/sources/clinics/v1/relationships/bulk", Json(DELETE), 202, OK),
                    ("/sources/none/v1/relationships/bulk", Json(DELETE), 404, MISSING),
                    (
                        "/sources/clinics/v1/relationships/bulk",
                        Json(CREATE),
                        400,
                        INVALID,
                    ),
                    ("/sources/clinics/v1/relationships/bulk", Text, 415, MEDIA),
                    ("/sources/clinics/v1/relationships/bulk", TooMuch, 413, LARGE),
                ],
            }
        }
        ("get", "/resources/bulk/{id}") => vec![
            ("/sources/clinics/v1/resources/bulk/{task}", Nothing, 200, OK),
            (
                "/sources/clinics/v1/resources/bulk/{purge}",
                Nothing,
                404,
                MISSING,
            ),
            (
                "/sources/clinics/v1/resources/bulk/{task}?x=1",
                Nothing,
                400,
                INVALID,
            ),
        ],
        ("get", "/relationships/bulk/{id}") => vec![
            ("/sources/clinics/v1/relationships/bulk/{edges}", Nothing, 200, OK),
            (
                "/sources/clinics/v1/relationships/bulk/{task}",
                Nothing,
                404,
                MISSING,
            ),
        ],
        ("get", "/resources/{type}") => vec![
            ("/sources/clinics/v1/resources/provider", Nothing, 200, OK),
            (
                "/sources/clinics/v1/resources/provider?identifier=tax:1:",
                Nothing,
                200,
                OK,
            ),
            ("/sources/clinics/v1/resources/office", Nothing, 404, MISSING),
            (
                "/sources/clinics/v1/resources/provider?identifier=x",
                Nothing,
                400,
                INVALID,
            ),
            (
                "/sources/clinics/v1/resources/provider?cursor=x",
                Nothing,
                400,
                RANGE,
            ),
        ],
        ("post", "/resources/{type}") => vec![
            ("/sources/clinics/v1/resources/provider", Json(PROVIDER), 201, OK),
            (
                "/sources/clinics/v1/resources/provider",
                Json(PROVIDER),
                409,
                EXISTS,
            ),
            (
                "/sources/clinics/v1/resources/office",
                Json(PROVIDER),
                404,
                MISSING,
            ),
            ("/sources/clinics/v1/resources/provider", Json("{}"), 400, INVALID),
            (
                "/sources/clinics/v1/resources/provider",
                Header(IF_NONE_MATCH, "*", PROVIDER),
                412,
                PRECONDITION,
            ),
            ("/sources/clinics/v1/resources/provider", Text, 415, MEDIA),
            ("/sources/clinics/v1/resources/provider", TooMuch, 413, LARGE),
        ],
        ("get", "/resources/{type}/{id}") => vec![
            ("/sources/clinics/v1/resources/provider/ada", Nothing, 200, OK),
            ("/sources/clinics/v1/resources/provider/tax:7:", Nothing, 200, OK),
            (
                "/sources/clinics/v1/resources/provider/tax:1:",
                Nothing,
                400,
                PRECONDITION,
            ),
            (
                "/sources/clinics/v1/resources/provider/tax:2:",
                Nothing,
                404,
                MISSING,
            ),
            (
                "/sources/clinics/v1/resources/provider/a:b",
                Nothing,
                400,
                INVALID,
            ),
            (
                "/sources/clinics/v1/resources/provider/nobody",
                Nothing,
                404,
                MISSING,
            ),
        ],
        ("put", "/resources/{type}/{id}") => vec![
            (
                "/sources/clinics/v1/resources/provider/cyd",
                Json(PROVIDER),
                201,
                OK,
            ),
            (
                "/sources/clinics/v1/resources/provider/cyd",
                Json(PROVIDER),
                200,
                OK,
            ),
            (
                "/sources/clinics/v1/resources/none/cyd",
                Json(PROVIDER),
                404,
                MISSING,
            ),
            (
                "/sources/clinics/v1/resources/provider/dan",
                Json(PROVIDER),
                400,
                INVALID,
            ),
            (
                "/sources/clinics/v1/resources/provider/cyd",
                Header(IF_MATCH, "\"x\"", PROVIDER),
                412,
                PRECONDITION,
            ),
            ("/sources/clinics/v1/resources/provider/cyd", Text, 415, MEDIA),
            ("/sources/clinics/v1/resources/provider/cyd", TooMuch, 413, LARGE),
        ],
        ("delete", "/resources/{type}/{id}") => vec![
            (
                "/sources/clinics/v1/resources/provider/ada",
                Header(IF_MATCH, "\"x\"", ""),
                412,
                PRECONDITION,
            ),
            ("/sources/clinics/v1/resources/provider/ada", Nothing, 200, OK),
            (
                "/sources/clinics/v1/resources/provider/ada",
                Nothing,
                404,
                MISSING,
            ),
        ],
        ("get", "/resources/{type}/{id}/{*contained}") => vec![
            (
                "/sources/clinics/v1/resources/provider/ada/offices",
                Nothing,
                200,
                OK,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o1",
                Nothing,
                200,
                OK,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o2",
                Nothing,
                404,
                MISSING,
            ),
        ],
        ("post", "/resources/{type}/{id}/{*contained}") => vec![
            (
                "/sources/clinics/v1/resources/provider/ada/offices",
                Json(OFFICE),
                201,
                OK,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices",
                Json(OFFICE),
                409,
                EXISTS,
            ),
            (
                "/sources/clinics/v1/resources/provider/nobody/offices",
                Json(OFFICE),
                404,
                MISSING,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices",
                Json("{}"),
                400,
                INVALID,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices",
                Header(IF_MATCH, "\"x\"", OFFICE),
                412,
                PRECONDITION,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices",
                Text,
                415,
                MEDIA,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices",
                TooMuch,
                413,
                LARGE,
            ),
        ],
        ("put", "/resources/{type}/{id}/{*contained}") => vec![
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o9",
                Json(OFFICE),
                201,
                OK,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o9",
                Json(OFFICE),
                200,
                OK,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/none/o9",
                Json(OFFICE),
                404,
                MISSING,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o1",
                Json(OFFICE),
                400,
                INVALID,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o9",
                Header(IF_MATCH, "\"x\"", OFFICE),
                412,
                PRECONDITION,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o9",
                Text,
                415,
                MEDIA,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o9",
                TooMuch,
                413,
                LARGE,
            ),
        ],
        ("delete", "/resources/{type}/{id}/{*contained}") => vec![
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o1",
                Header(IF_MATCH, "\"x\"", ""),
                412,
                PRECONDITION,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o1",
                Nothing,
                200,
                OK,
            ),
            (
                "/sources/clinics/v1/resources/provider/ada/offices/o1",
                Nothing,
                404,
                MISSING,
            ),
        ],
        ("get", "/relationships/{type}") => vec![
            (
                "/sources/clinics/v1/relationships/refersTo?from=ada",
                Nothing,
                200,
                OK,
            ),
            ("/sources/clinics/v1/relationships/none", Nothing, 404, MISSING),
            (
                "/sources/clinics/v1/relationships/refersTo?from=_",
                Nothing,
                400,
                INVALID,
            ),
            (
                "/sources/clinics/v1/relationships/refersTo?cursor=x",
                Nothing,
                400,
                RANGE,
            ),
        ],
        ("post", "/relationships/{type}") => {
            const EDGE: &str =
                r#"{"from":{"id":"bob","type":"provider"},"to":{"id":"ada","type":"provider"}}"#;
            const LOOSE: &str =
                r#"{"from":{"id":"bob","type":"provider"},"to":{"id":"nobody","type":"provider"}}"#;
            vec![
                ("/sources/clinics/v1/relationships/refersTo", Json(EDGE), 201, OK),
                (
                    "/sources/clinics/v1/relationships/refersTo",
                    Json(EDGE),
                    409,
                    EXISTS,
                ),
                (
                    "/sources/clinics/v1/relationships/refersTo",
                    Json(LOOSE),
                    404,
                    MISSING,
                ),
                ("/sources/clinics/v1/relationships/spare", Json(EDGE), 201, OK),
                (
                    "/sources/clinics/v1/relationships/spare",
                    Json(r#"{"from":{"id":"bob","type":"provider"},"to":{"id":"bob","type":"provider"}}"#),
                    400,
                    PRECONDITION,
                ),
                (
                    "/sources/clinics/v1/relationships/refersTo",
                    Json("[]"),
                    400,
                    INVALID,
                ),
                (
                    "/sources/clinics/v1/relationships/refersTo",
                    Header(IF_NONE_MATCH, "*", EDGE),
                    412,
                    PRECONDITION,
                ),
                ("/sources/clinics/v1/relationships/refersTo", Text, 415, MEDIA),
                ("/sources/clinics/v1/relationships/refersTo", TooMuch, 413, LARGE),
            ]
        }
        ("get", "/relationships/{type}/{id}") => vec![
            (
                "/sources/clinics/v1/relationships/refersTo/ada.bob?includes=provider",
                Nothing,
                200,
                OK,
            ),
            (
                "/sources/clinics/v1/relationships/refersTo/bob.ada",
                Nothing,
                404,
                MISSING,
            ),
            (
                "/sources/clinics/v1/relationships/refersTo/ada.bob?includes=none",
                Nothing,
                400,
                INVALID,
            ),
        ],
        ("delete", "/relationships/{type}/{id}") => vec![
            (
                "/sources/clinics/v1/relationships/refersTo/ada.bob",
                Header(IF_MATCH, "\"x\"", ""),
                412,
                PRECONDITION,
            ),
            (
                "/sources/clinics/v1/relationships/refersTo/ada.bob",
                Nothing,
                200,
                OK,
            ),
            (
                "/sources/clinics/v1/relationships/refersTo/ada.bob",
                Nothing,
                404,
                MISSING,
            ),
        ],
        ("patch", "/relationships/{type}/{id}") => {
            const PATCH: &str = r#"[{"op":"add","path":"/since","value":"2020"}]"#;
            const TEST: &str = r#"[{"op":"test","path":"/since","value":"1999"}]"#;
            vec![
                (
                    "/sources/clinics/v1/relationships/refersTo/ada.bob",
                    Json(PATCH),
                    200,
                    OK,
                ),
                (
                    "/sources/clinics/v1/relationships/refersTo/ada.bob",
                    Json(TEST),
                    400,
                    PRECONDITION,
                ),
                (
                    "/sources/clinics/v1/relationships/refersTo/bob.ada",
                    Json(PATCH),
                    404,
                    MISSING,
                ),
                (
                    "/sources/clinics/v1/relationships/refersTo/ada.bob",
                    Json("{}"),
                    400,
                    INVALID,
                ),
                (
                    "/sources/clinics/v1/relationships/refersTo/ada.bob",
                    Header(IF_MATCH, "\"x\"", PATCH),
                    412,
                    PRECONDITION,
                ),
                (
                    "/sources/clinics/v1/relationships/refersTo/ada.bob",
                    Text,
                    415,
                    MEDIA,
                ),
                (
                    "/sources/clinics/v1/relationships/refersTo/ada.bob",
                    TooMuch,
                    413,
                    LARGE,
                ),
            ]
        }
        ("get", "/tasks") => vec![
            (
                "/sources/clinics/v1/tasks?status=SUCCESS&kind=BULK",
                Nothing,
                200,
                OK,
            ),
            ("/sources/none/v1/tasks", Nothing, 404, MISSING),
            ("/sources/clinics/v1/tasks?status=DONE", Nothing, 400, INVALID),
            ("/sources/clinics/v1/tasks?cursor=x", Nothing, 400, RANGE),
        ],
        ("get", "/tasks/{id}") => vec![
            (
                "/sources/clinics/v1/tasks/{task}?withReceipts=true",
                Nothing,
                200,
                OK,
            ),
            ("/sources/clinics/v1/tasks/bk_x", Nothing, 404, MISSING),
            (
                "/sources/clinics/v1/tasks/{task}?withReceipts=x",
                Nothing,
                400,
                INVALID,
            ),
        ],
        ("get", "/tasks/{id}/receipts") => vec![
            (
                "/sources/clinics/v1/tasks/{task}/receipts?status=SUCCESS",
                Nothing,
                200,
                OK,
            ),
            ("/sources/clinics/v1/tasks/bk_x/receipts", Nothing, 404, MISSING),
            (
                "/sources/clinics/v1/tasks/{task}/receipts?limit=1001",
                Nothing,
                400,
                INVALID,
            ),
            (
                "/sources/clinics/v1/tasks/{task}/receipts?cursor=x",
                Nothing,
                400,
                RANGE,
            ),
        ],
        ("post", "/tasks/{id}/cancel") => vec![
            ("/sources/clinics/v1/tasks/{waiting}/cancel", Nothing, 200, OK),
            (
                "/sources/clinics/v1/tasks/{waiting}/cancel",
                Nothing,
                400,
                PRECONDITION,
            ),
            ("/sources/clinics/v1/tasks/bk_x/cancel", Nothing, 404, MISSING),
        ],
        ("post", "/bundle") => {
            const DELETE: &str =
                r#"{"resourceOperations":[{"action":"DELETE","delete":{"type":"provider","id":"ada"}}]}"#;
            const AGAIN: &str = r#"{"resourceOperations":[{"action":"CREATE","create":{"type":"provider","id":"bob","data":{"name":"x"}}}]}"#;
            vec![
                (
                    "/sources/clinics/v1/bundle?validateOnly=true",
                    Json(DELETE),
                    200,
                    OK,
                ),
                ("/sources/clinics/v1/bundle", Json(DELETE), 200, OK),
                ("/sources/clinics/v1/bundle", Json(DELETE), 404, MISSING),
                ("/sources/clinics/v1/bundle", Json(AGAIN), 409, EXISTS),
                ("/sources/clinics/v1/bundle", Json("{}"), 400, INVALID),
                ("/sources/clinics/v1/bundle", Text, 415, MEDIA),
                ("/sources/clinics/v1/bundle", TooMuch, 413, LARGE),
            ]
        }
        ("post", "/purge") => {
            const PURGE: &str = r#"{"collectionType":"RESOURCE","collectionKey":"provider"}"#;
            const NONE: &str = r#"{"collectionType":"RESOURCE","collectionKey":"none"}"#;
            vec![
                ("/sources/clinics/v1/purge", Json(PURGE), 202, OK),
                ("/sources/clinics/v1/purge", Json(NONE), 404, MISSING),
                ("/sources/clinics/v1/purge", Json("{}"), 400, INVALID),
                ("/sources/clinics/v1/purge", Text, 415, MEDIA),
                ("/sources/clinics/v1/purge", TooMuch, 413, LARGE),
            ]
        }
        ("get", "/purge/{id}") => vec![
            ("/sources/clinics/v1/purge/{purge}", Nothing, 200, OK),
            ("/sources/clinics/v1/purge/{task}", Nothing, 404, MISSING),
        ],
        ("get", "/terminology/v1/vocabularies") => vec![
            ("/terminology/v1/vocabularies", Nothing, 200, OK),
            ("/terminology/v1/vocabularies?x=1", Nothing, 400, INVALID),
            ("/terminology/v1/vocabularies?cursor=x", Nothing, 400, RANGE),
        ],
        ("post", "/terminology/v1/vocabularies/bulk") => vec![
            (
                "/terminology/v1/vocabularies/bulk",
                Json(r#"{"operations":[{"action":"DELETE","delete":{"key":"colours"}}]}"#),
                200,
                OK,
            ),
            (
                "/terminology/v1/vocabularies/bulk",
                Json(r#"{"operations":[{"action":"DELETE","delete":{}}]}"#),
                400,
                INVALID,
            ),
            ("/terminology/v1/vocabularies/bulk", Text, 415, MEDIA),
            ("/terminology/v1/vocabularies/bulk", TooMuch, 413, LARGE),
        ],
        ("get", "/terminology/v1/vocabularies/{key}") => vec![
            ("/terminology/v1/vocabularies/colours", Nothing, 200, OK),
            ("/terminology/v1/vocabularies/none", Nothing, 404, MISSING),
        ],
        ("put", "/terminology/v1/vocabularies/{key}") => vec![
            (
                "/terminology/v1/vocabularies/fresh",
                Json(r#"{"title":"Fresh"}"#),
                201,
                OK,
            ),
            (
                "/terminology/v1/vocabularies/fresh",
                Json(r#"{"title":"Fresh"}"#),
                200,
                OK,
            ),
            (
                "/terminology/v1/vocabularies/fresh",
                Json(r#"{"titel":"Fresh"}"#),
                400,
                INVALID,
            ),
            ("/terminology/v1/vocabularies/fresh", Text, 415, MEDIA),
            ("/terminology/v1/vocabularies/fresh", TooMuch, 413, LARGE),
        ],
        ("delete", "/terminology/v1/vocabularies/{key}") => vec![
            ("/terminology/v1/vocabularies/bound", Nothing, 400, PRECONDITION),
            ("/terminology/v1/vocabularies/colours", Nothing, 200, OK),
            ("/terminology/v1/vocabularies/colours", Nothing, 404, MISSING),
        ],
        ("get", "/terminology/v1/vocabularies/{key}/concepts") => vec![
            ("/terminology/v1/vocabularies/colours/concepts", Nothing, 200, OK),
            (
                "/terminology/v1/vocabularies/none/concepts",
                Nothing,
                404,
                MISSING,
            ),
            (
                "/terminology/v1/vocabularies/colours/concepts?limit=0",
                Nothing,
                400,
                INVALID,
            ),
            (
                "/terminology/v1/vocabularies/colours/concepts?cursor=x",
                Nothing,
                400,
                RANGE,
            ),
        ],
        ("post", "/terminology/v1/vocabularies/{key}/concepts/bulk") => {
            const DELETE: &str = r#"{"operations":[{"action":"DELETE","delete":{"code":"red"}}]}"#;
            vec![
                (
                    "/terminology/v1/vocabularies/colours/concepts/bulk",
                    Json(DELETE),
                    200,
                    OK,
                ),
                (
                    "/terminology/v1/vocabularies/none/concepts/bulk",
                    Json(DELETE),
                    404,
                    MISSING,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/bulk",
                    Json("{}"),
                    400,
                    INVALID,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/bulk",
                    Text,
                    415,
                    MEDIA,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/bulk",
                    TooMuch,
                    413,
                    LARGE,
                ),
            ]
        }
        // A concept may be called `bulk`.
        (
            "get",
            "/terminology/v1/vocabularies/{key}/concepts/{code}"
            | "/terminology/v1/vocabularies/{key}/concepts/bulk",
        ) => match path.ends_with("bulk") {
            true => vec![
                (
                    "/terminology/v1/vocabularies/bound/concepts/bulk",
                    Nothing,
                    200,
                    OK,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/bulk",
                    Nothing,
                    404,
                    MISSING,
                ),
            ],
            false => vec![
                (
                    "/terminology/v1/vocabularies/colours/concepts/red",
                    Nothing,
                    200,
                    OK,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/none",
                    Nothing,
                    404,
                    MISSING,
                ),
            ],
        },
        (
            "put",
            "/terminology/v1/vocabularies/{key}/concepts/{code}"
            | "/terminology/v1/vocabularies/{key}/concepts/bulk",
        ) => match path.ends_with("bulk") {
            true => vec![
                (
                    "/terminology/v1/vocabularies/colours/concepts/bulk",
                    Json("{}"),
                    201,
                    OK,
                ),
                (
                    "/terminology/v1/vocabularies/none/concepts/bulk",
                    Json("{}"),
                    404,
                    MISSING,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/bulk",
                    Json("[]"),
                    400,
                    INVALID,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/bulk",
                    Text,
                    415,
                    MEDIA,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/bulk",
                    TooMuch,
                    413,
                    LARGE,
                ),
            ],
            false => vec![
                (
                    "/terminology/v1/vocabularies/colours/concepts/blue",
                    Json("{}"),
                    201,
                    OK,
                ),
                (
                    "/terminology/v1/vocabularies/none/concepts/blue",
                    Json("{}"),
                    404,
                    MISSING,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/blue",
                    Json("[]"),
                    400,
                    INVALID,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/blue",
                    Text,
                    415,
                    MEDIA,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/blue",
                    TooMuch,
                    413,
                    LARGE,
                ),
            ],
        },
        (
            "delete",
            "/terminology/v1/vocabularies/{key}/concepts/{code}"
            | "/terminology/v1/vocabularies/{key}/concepts/bulk",
        ) => match path.ends_with("bulk") {
            true => vec![
                (
                    "/terminology/v1/vocabularies/bound/concepts/bulk",
                    Nothing,
                    200,
                    OK,
                ),
                (
                    "/terminology/v1/vocabularies/bound/concepts/bulk",
                    Nothing,
                    404,
                    MISSING,
                ),
            ],
            false => vec![
                (
                    "/terminology/v1/vocabularies/colours/concepts/red",
                    Nothing,
                    200,
                    OK,
                ),
                (
                    "/terminology/v1/vocabularies/colours/concepts/red",
                    Nothing,
                    404,
                    MISSING,
                ),
            ],
        },
        ("get", "/limits") => vec![
            ("/limits", Nothing, 200, OK),
            ("/limits?x=1", Nothing, 400, INVALID),
        ],
        ("get", "/healthz") => vec![("/healthz", Nothing, 200, OK)],
        ("get", "/readyz") => vec![("/readyz", Nothing, 200, OK)],
        // What is not built yet.
        ("get", "/tasks/{id}/operations") => {
            vec![("/sources/clinics/v1/tasks/{task}/operations", Nothing, 501, LATER)]
        }
        ("get", "/tasks/{id}/events") => {
            vec![("/sources/clinics/v1/tasks/{task}/events", Nothing, 501, LATER)]
        }
        ("post", "/tasks/{id}/retry") => {
            vec![("/sources/clinics/v1/tasks/{task}/retry", Nothing, 501, LATER)]
        }
        ("get", "/metrics") => vec![("/metrics", Nothing, 501, LATER)],
        ("get", "/openapi.json") => vec![("/openapi.json", Nothing, 501, LATER)],
        ("get", "/docs") => vec![("/docs", Nothing, 501, LATER)],
        ("get", "/") => vec![("/", Nothing, 501, LATER)],
        _ => panic!("no call of {method} {path} is written down"),
    }
}

/// The errors that a route of this kind must have a call for.
fn required(method: &str, path: &str, conditional: bool) -> BTreeSet<(u16, &'static str)> {
    let mut required = BTreeSet::new();
    let names_something = path.contains('{') && !(method == "put" && path.split('{').count() == 2);
    if names_something {
        required.insert((404, MISSING));
    }
    let has_body = matches!(method, "put" | "patch") || (method == "post" && !path.ends_with("/cancel"));
    if has_body {
        required.extend([(400, INVALID), (415, MEDIA), (413, LARGE)]);
    }
    if conditional && method != "get" {
        required.insert((412, PRECONDITION));
    }
    let is_list = [
        "sources",
        "profiles",
        "relationship-definitions",
        "{type}",
        "tasks",
        "vocabularies",
        "concepts",
        "receipts",
    ];
    if method == "get" && is_list.iter().any(|last| path.ends_with(&format!("/{last}"))) {
        required.extend([(400, INVALID), (400, RANGE)]);
    }
    required
}

/// A server with something of everything, and the ids of its tasks.
async fn furnished(workers: bool) -> (World, [(&'static str, String); 4]) {
    let limits = Limits {
        bulk_body_bytes: BYTES_MAX,
        single_body_bytes: BYTES_MAX,
        bundle_bytes: BYTES_MAX,
        definition_bytes: BYTES_MAX,
        ..Limits::default()
    };
    let world = match workers {
        true => World::limited(limits).await,
        false => World::at_rest_with(limits).await,
    };
    let put = async |path: &str, body: serde_json::Value| {
        let answer = world.put(path, &body).await;
        assert!(answer.starts_with("20"), "{path}: {answer}");
    };
    let end = |key: &str, cardinality: &str| json!({"profileKey": "provider", "includeKey": key, "includeCardinality": cardinality});
    put(
        "/terminology/v1/vocabularies/colours",
        json!({"title": "Colours"}),
    )
    .await;
    put("/terminology/v1/vocabularies/colours/concepts/red", json!({})).await;
    put("/terminology/v1/vocabularies/bound", json!({"title": "Bound"})).await;
    put("/terminology/v1/vocabularies/bound/concepts/bulk", json!({})).await;
    put(
        "/sources/clinics/v1/profiles/office",
        json!({"type": "CONTAINED", "properties": {}}),
    )
    .await;
    put("/sources/clinics/v1/profiles/unused", json!({"properties": {}})).await;
    put("/sources/clinics/v1/profiles/provider", json!({
        "properties": {
            "name": {"type": "symbol", "rules": [{"required": true}]},
            "status": {"type": "code", "binding": {"vocabulary": {"key": "bound", "strength": "required"}}},
        },
        "contained": {"offices": {"types": ["office"], "cardinality": "0:*"}},
    }))
    .await;
    put(
        "/sources/clinics/v1/relationship-definitions/spare",
        json!({"from": end("x", "0:1"), "to": end("y", "0:*")}),
    )
    .await;
    let single = |identifier: &str| {
        json!({
            "data": {"name": "Ada"},
            "contained": {"offices": [{"id": "o1", "type": "office", "data": {}}]},
            "meta": {"identifier": [{"system": "tax", "value": "1"}, {"system": "tax", "value": identifier}]},
        })
    };
    put("/sources/clinics/v1/resources/provider/ada", single("7")).await;
    put("/sources/clinics/v1/resources/provider/bob", single("8")).await;
    let edge = world
        .post(
            "/sources/clinics/v1/relationships/refersTo",
            &create_edge("ada", "bob")["create"],
        )
        .await;
    assert!(edge.starts_with("201"), "{edge}");
    let mut operations = json!([create("dan", "Dan")]);
    let send = async |path: &str, operations: serde_json::Value| match workers {
        true => world.carried_out(path, operations).await,
        false => world.accepted(path, operations).await,
    };
    let task = send(BULK, operations.take()).await;
    let edges = send(
        "/sources/clinics/v1/relationships/bulk",
        json!([create_edge("bob", "bob")]),
    )
    .await;
    let purge = json!({"collectionType": "RESOURCE", "collectionKey": "unused"});
    let purge = world
        .request(Method::POST, "/sources/clinics/v1/purge")
        .json(&purge)
        .send()
        .await
        .unwrap();
    let purge: serde_json::Value = purge.json().await.unwrap();
    let purge = purge["taskId"].as_str().unwrap().to_owned();
    if workers {
        world.ended("/sources/clinics/v1/tasks?kind=PURGE").await;
    }
    let ids = [
        ("{task}", task.clone()),
        ("{waiting}", task),
        ("{edges}", edges),
        ("{purge}", purge),
    ];
    (world, ids)
}

async fn answer(world: &World, method: &str, path: &str, with: &With) -> String {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let request = world.request(method, path);
    let is_json = |request: reqwest::RequestBuilder| request.header(CONTENT_TYPE, "application/json");
    shown(match with {
        Nothing => request,
        Json(body) => is_json(request).body(*body),
        Text => request.header(CONTENT_TYPE, "text/plain").body("{}"),
        TooMuch => is_json(request).body(" ".repeat(BYTES_MAX as usize + 1)),
        Header(name, value, "") => request.header(name, *value),
        Header(name, value, body) => is_json(request).header(name, *value).body(*body),
    })
    .await
}

#[tokio::test]
async fn every_route_succeeds_and_fails_as_it_should() {
    for route in ROUTES {
        for method in route.methods {
            // A task that is to be cancelled has to wait.
            let (world, ids) = furnished(!route.path.ends_with("/cancel")).await;
            let mut missing = required(method, route.path, route.conditional);
            let mut succeeds = false;
            for (path, with, status, error) in calls(method, route.path) {
                let path = ids
                    .iter()
                    .fold(path.to_owned(), |path, (name, id)| path.replace(name, id));
                let found = answer(&world, method, &path, &with).await;
                assert!(
                    found.starts_with(&format!("{status}\n")),
                    "{method} {path}: {found}"
                );
                let named = error.is_empty() || found.contains(&format!(r#""type":"{error}""#));
                assert!(named, "{method} {path}: {found}");
                missing.remove(&(status, error));
                // What is not built yet has neither successes nor errors of its own.
                if error == LATER {
                    missing.clear();
                }
                succeeds |= status < 300 || error == LATER;
            }
            assert!(succeeds, "{method} {} has no call that succeeds", route.path);
            assert!(
                missing.is_empty(),
                "{method} {} has no call for {missing:?}",
                route.path
            );
        }
    }
}
