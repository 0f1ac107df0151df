//! Profiles and relationship definitions: read, judged with every fault, compiled.

pub mod pattern;
pub mod value;
