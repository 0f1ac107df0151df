//! The engine over the reference store.

mod split;
