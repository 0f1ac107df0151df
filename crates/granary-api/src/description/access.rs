//! API keys.

use serde_json::Value;

use super::operation::{Operation, operation};
use super::{example, page};
use crate::keys::{Key, KeyCreated, KeyWrite, Revoked};
use crate::page::{Page, PageQuery};
use crate::paths::{KEY, KEYS};

fn key() -> Value {
    example!({
        "id": "2eVocVVgjAWYJ74DifXluwVtSYs", "name": "loader", "role": "writer", "sources": ["clinic"],
        "createdAt": "2026-01-31T08:15:30.250Z",
    })
}

pub(super) fn operations() -> Vec<Operation> {
    let all = [
        operation("GET", KEYS, "listKeys", "List API keys")
            .says("In the order in which they were made; the keys themselves are never shown again.")
            .query::<PageQuery>()
            .answers::<Page<Key>>(200, "A page of API keys.", page(key()))
            .list(),
        operation("POST", KEYS, "createKey", "Create an API key")
            .says("The only answer that shows it.")
            .bare()
            .body::<KeyWrite>(example!({"name": "loader", "role": "writer", "sources": ["clinic"]}))
            .answers::<KeyCreated>(
                201,
                "It is there, and works from now on.",
                example!({
                    "id": "2eVocVVgjAWYJ74DifXluwVtSYs",
                    "key": "granary_2eVocVVgjAWYJ74DifXluwVtSYs_0000000000000000000000000000000000000000000",
                    "name": "loader", "role": "writer", "sources": ["clinic"],
                }),
            )
            .with("Location")
            .with("CacheControl"),
        operation("GET", KEY, "readKey", "Read an API key")
            .bare()
            .of_something_named()
            .answers::<Key>(200, "The API key.", key()),
        operation("DELETE", KEY, "revokeKey", "Revoke an API key")
            .bare()
            .of_something_named()
            .answers::<Revoked>(
                200,
                "It is gone, and works no more.",
                example!({"id": "2eVocVVgjAWYJ74DifXluwVtSYs"}),
            ),
    ];
    all.map(|operation| operation.tagged("API keys")).into()
}
