//! Values in columns of bytes.

use granary_store::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::damaged;

/// The bytes of a value in a column.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("a row holds only what postcard can write")
}

/// The value in these bytes; `place` is for the message.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| damaged(&format!("{place}: {error}")))
}
