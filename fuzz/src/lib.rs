//! What the fuzz targets do: each module has a `run` that takes any bytes and panics where something does not hold. They
//! look for more than panics: what is read is held against a slow peer (`serde_json`, `csv`, `regex`, `time`, or a few
//! lines that follow the contract), or against its own inverse.
//!
//! Parts of other crates that are private, and stand alone, are taken in as modules: so they need not be public, and no
//! server and no database is built to reach them.

pub mod check;
pub mod csv;
pub mod cursor;
pub mod delimiter;
pub mod identifier;
pub mod json;
pub mod kept;
pub mod patch;
pub mod pattern;
pub mod profile;
pub mod split;
pub mod stored;
pub mod terminology;
pub mod value;
pub mod when;
pub mod yaml;

mod input;
mod peer;
mod places;
mod source;
mod tree;

#[expect(
    dead_code,
    reason = "it is part of the embedded store, and not all of it is needed here"
)]
#[path = "../../crates/granary-store-embedded/src/bodies.rs"]
mod bodies;
#[expect(
    dead_code,
    reason = "it is part of the embedded store, and not all of it is needed here"
)]
#[path = "../../crates/granary-store-embedded/src/journal.rs"]
mod journal;
#[expect(
    dead_code,
    reason = "it is part of the embedded store, and not all of it is needed here"
)]
#[path = "../../crates/granary-store-embedded/src/keys.rs"]
mod keys;
#[path = "../../crates/granary-server/src/cursor.rs"]
mod list_cursor;
#[path = "../../crates/granary-store-embedded/src/redo.rs"]
mod redo;
#[path = "../../crates/granary-store-embedded/src/rows.rs"]
mod rows;
#[expect(
    dead_code,
    reason = "it is part of the embedded store, and not all of it is needed here"
)]
#[path = "../../crates/granary-store-embedded/src/segment.rs"]
mod segment;
#[expect(
    dead_code,
    reason = "it is part of the engine, and not all of it is needed here"
)]
#[allow(
    unfulfilled_lint_expectations,
    reason = "what is public there is not public here"
)]
#[path = "../../crates/granary-engine/src/split/mod.rs"]
mod splitter;
#[path = "../../crates/granary/src/yaml.rs"]
mod yaml_reader;

/// The bytes before the first line break, and those after it.
fn two_parts(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n');
    end.map_or((input, &[]), |end| (&input[..end], &input[end + 1..]))
}
